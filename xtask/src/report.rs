//! Sections, what passed and failed in them, and the last line.
//!
//! A test that hangs must not take the run along, and must be named. A harness says of each test that runs for a minute that it does; one
//! that goes on for [`TEST_LIMIT`] after that is stopped, with its harness, and it is the culprit. So is whoever was said to run when the
//! harness itself has taken too long.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How much longer than a minute one test may take: a generous bound, too, as a gibibyte over a bad wire takes about five by itself.
const TEST_LIMIT: Duration = Duration::from_secs(600);
/// How long a harness that was stopped may be heard of.
const LAST_WORDS: Duration = Duration::from_secs(20);

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
        self.tests_within(TEST_LIMIT, command);
    }

    fn tests_within(&mut self, limit: Duration, command: &mut Command) {
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
        if let Some(lines) = child.stdout.take().map(lines) {
            let mut slow = BTreeMap::new();
            if !self.follow(&lines, &mut slow, limit) {
                let _ = kill_process(Pid::from_child(&child), Signal::TERM);
                // Who is stopped is named below; what others say until then counts.
                while let Ok(text) = lines.recv_timeout(LAST_WORDS) {
                    self.hear(&text, &mut slow);
                }
            }
            for name in slow.into_keys() {
                self.fail(format!("{}: {name} did not end", self.section));
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

    /// Counts tests until the harness has no more to say; false when one takes too long.
    fn follow(&mut self, lines: &Receiver<String>, slow: &mut BTreeMap<String, Instant>, limit: Duration) -> bool {
        loop {
            let left = slow.values().min().map(|since| limit.saturating_sub(since.elapsed()));
            match left.map_or_else(|| lines.recv().map_err(Into::into), |left| lines.recv_timeout(left)) {
                Ok(text) => self.hear(&text, slow),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// A line of a harness; `slow` are the tests that it has said to run for long.
    fn hear(&mut self, text: &str, slow: &mut BTreeMap<String, Instant>) {
        println!("{text}");
        if let Some(name) = text.strip_prefix("test ").and_then(|text| text.split_once(" has been running for over ")) {
            slow.insert(name.0.to_owned(), Instant::now());
        }
        let Some((name, passed)) = verdict(text) else { return };
        slow.remove(name);
        if passed {
            self.passed += 1;
        } else {
            self.fail(format!("{}: {name}", self.section));
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

/// What a program writes, line by line. A test may print what is not UTF-8; that is no reason to stop listening.
fn lines(stdout: impl Read + Send + 'static) -> Receiver<String> {
    let (said, heard) = channel();
    std::thread::spawn(move || {
        for bytes in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if said.send(String::from_utf8_lossy(&bytes).into_owned()).is_err() {
                return;
            }
        }
    });
    heard
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let variables = variables.map(|(name, value)| format!("{}={} ", name.to_string_lossy(), value.to_string_lossy()));
    variables.collect::<String>() + &words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::{Report, verdict};

    #[test]
    fn a_test_that_does_not_end_is_stopped_and_named() {
        let slow = "has been running for over 60 seconds";
        let said = format!(
            "echo test one ... ok; echo test two {slow}; echo test two ... ok; echo test three {slow}; exec sleep 1000"
        );
        let mut report = Report::new();
        report.section("Here");
        report.tests_within(Duration::from_millis(100), Command::new("sh").args(["-c", &said]));
        assert_eq!((report.passed, report.failed), (2, 1));
        assert_eq!(report.culprits, ["Here: three did not end"]);
    }

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
