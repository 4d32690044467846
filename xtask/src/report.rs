//! Sections, what passed and failed in them, and the last line.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// What came out so far.
pub(crate) struct Report {
    passed: u32,
    failed: u32,
    culprits: Vec<String>,
    section: &'static str,
    began: Instant,
}

impl Report {
    pub(crate) fn new() -> Report {
        Report { passed: 0, failed: 0, culprits: Vec::new(), section: "", began: Instant::now() }
    }

    /// Opens a section.
    pub(crate) fn section(&mut self, name: &'static str) {
        self.section = name;
        println!("\n== {name} (at {} s)", self.began.elapsed().as_secs());
    }

    /// Counts a check that is not a test.
    pub(crate) fn check(&mut self, result: Result<(), String>) -> bool {
        match result {
            Ok(()) => {
                self.passed += 1;
                true
            }
            Err(reason) => {
                println!("FAILED: {reason}");
                self.fail(format!("{}: {reason}", self.section));
                false
            }
        }
    }

    /// Runs a command whose end is the verdict.
    pub(crate) fn step(&mut self, command: &mut Command) -> bool {
        let line = line(command);
        println!("$ {line}");
        let result = match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{line}: {status}")),
            Err(error) => Err(format!("{line}: {error}")),
        };
        self.check(result)
    }

    /// Runs a command that is a test harness and counts its tests as they come, so that one that is cut short counts too.
    pub(crate) fn tests(&mut self, command: &mut Command) {
        let line = line(command);
        println!("$ {line}");
        let mut child = match command.stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => {
                self.check(Err(format!("{line}: {error}")));
                return;
            }
        };
        let before = self.failed;
        if let Some(stdout) = child.stdout.take() {
            // A test may print what is not UTF-8; that is no reason to stop listening.
            for bytes in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&bytes);
                println!("{text}");
                match verdict(&text) {
                    Some((_, true)) => self.passed += 1,
                    Some((name, false)) => self.fail(format!("{}: {name}", self.section)),
                    None => {}
                }
            }
        }
        match child.wait() {
            Ok(status) if status.success() => {}
            // Tests that failed have been counted by name.
            Ok(_) if self.failed > before => {}
            Ok(status) => {
                self.check(Err(format!("{line}: {status}")));
            }
            Err(error) => {
                self.check(Err(format!("{line}: {error}")));
            }
        }
    }

    fn fail(&mut self, culprit: String) {
        self.failed += 1;
        self.culprits.push(culprit);
    }

    /// The verdict.
    pub(crate) fn finish(self) -> ExitCode {
        let Report { passed, failed, culprits, section: _, began } = self;
        println!("\n== Verdict (after {} s)", began.elapsed().as_secs());
        for culprit in culprits {
            println!("failed: {culprit}");
        }
        println!("{passed} passed, {failed} failed");
        if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The name in a line of a test's end, such as `test tcp::opens ... ok`, and whether that is a good one.
fn verdict(line: &str) -> Option<(&str, bool)> {
    let (name, end) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    match end.trim() {
        "ok" => Some((name, true)),
        "FAILED" => Some((name, false)),
        _ => None,
    }
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let variables = variables.map(|(name, value)| format!("{}={} ", name.to_string_lossy(), value.to_string_lossy()));
    variables.collect::<String>() + &words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn lines_of_a_harness_are_understood() {
        assert_eq!(verdict("test tcp::opens ... ok"), Some(("tcp::opens", true)));
        assert_eq!(verdict("test tcp::closes ... FAILED"), Some(("tcp::closes", false)));
        assert_eq!(
            verdict("test src/lib.rs - (line 19) - compile ... ok"),
            Some(("src/lib.rs - (line 19) - compile", true))
        );
        assert_eq!(verdict("test tcp::later ... ignored"), None);
        assert_eq!(verdict("test result: ok. 5 passed; 0 failed"), None);
        assert_eq!(verdict("running 3 tests"), None);
    }
}
