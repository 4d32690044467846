//! A program that takes part in a measurement: started, listened to line by line, and certainly ended.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use sockeye_lab::Command;

use crate::Result;

/// How long a program may take to be ready, or to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running program; it ends when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<(Stream, String)>,
    stdout: Vec<String>,
    stderr: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Out,
    Err,
}

impl Process {
    /// Starts a program. Its standard input stays open until it is dropped.
    pub fn start(command: &mut Command) -> Result<Process> {
        Process::start_with_input(command, Stdio::piped())
    }

    /// Starts a program with a standard input of the caller's.
    pub fn start_with_input(command: &mut Command, stdin: Stdio) -> Result<Process> {
        let name = name(&format!("{command:?}"));
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let (sender, lines) = channel();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        collect(stdout.ok_or("no standard output")?, Stream::Out, sender.clone());
        collect(stderr.ok_or("no standard error")?, Stream::Err, sender);
        Ok(Process { name, child, lines, stdout: Vec::new(), stderr: Vec::new() })
    }

    /// Runs a program to its end, which must be a good one, and returns what it wrote to standard output.
    pub fn run(command: &mut Command, patience: Duration) -> Result<String> {
        Process::start(command)?.finish(patience)
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that contains `text`.
    pub fn line_with(&mut self, text: &str, patience: Duration) -> Result<String> {
        let end = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((_, line)) if line.contains(text) => return Ok(line),
                Ok((stream, line)) => self.keep(stream, line),
                Err(_) => return Err(self.complaint(&format!("never said {text:?}")).into()),
            }
        }
    }

    /// Waits until it says that it is ready, in its own words.
    pub fn ready(mut self, text: &str) -> Result<Process> {
        self.line_with(text, PATIENCE)?;
        Ok(self)
    }

    /// What it has said so far, for whoever waited for something else in vain.
    pub fn last_words(&mut self) -> String {
        while let Ok((stream, line)) = self.lines.try_recv() {
            self.keep(stream, line);
        }
        self.complaint("is not ready")
    }

    /// The most memory that it has held at any time, in bytes, asked for until it ends. For programs that hold it a while.
    pub fn peak_memory(&self, patience: Duration) -> f64 {
        let (mut peak, end) = (0.0, Instant::now() + patience);
        loop {
            let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
            let Some(kilobytes) = line.and_then(|number| number.parse::<f64>().ok()) else { return peak };
            peak = kilobytes * 1024.0;
            if self.has_ended_within(Duration::from_millis(50)) || Instant::now() > end {
                return peak;
            }
        }
    }

    /// Waits for its end, which must be a good one, and returns what it wrote to standard output.
    pub fn finish(mut self, patience: Duration) -> Result<String> {
        let end = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((stream, line)) => self.keep(stream, line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.complaint("did not end in time").into());
                }
            }
        }
        let status = self.child.wait()?;
        if status.success() { Ok(self.stdout.join("\n")) } else { Err(self.complaint(&status.to_string()).into()) }
    }

    fn keep(&mut self, stream: Stream, line: String) {
        match stream {
            Stream::Out => self.stdout.push(line),
            Stream::Err => self.stderr.push(line),
        }
    }

    fn complaint(&self, what: &str) -> String {
        let said = self.stderr.iter().rev().chain(self.stdout.iter().rev()).find(|line| !line.trim().is_empty());
        format!("{}: {what}{}", self.name, said.map(|line| format!(": {line}")).unwrap_or_default())
    }

    fn has_ended_within(&self, patience: Duration) -> bool {
        let Ok(pidfd) = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()) else { return true };
        let timeout = Timespec::try_from(patience).ok();
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], timeout.as_ref()).is_ok_and(|count| count == 1)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        let pid = Pid::from_child(&self.child);
        // Asked first: servers have children of their own.
        let _ = kill_process(pid, Signal::TERM);
        if !self.has_ended_within(PATIENCE) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A command line without where it runs and where its program lies.
fn name(line: &str) -> String {
    let line = line.split_once("taskset -c ").and_then(|(_, line)| Some(line.split_once(' ')?.1)).unwrap_or(line);
    let (program, arguments) = line.split_once(' ').unwrap_or((line, ""));
    format!("{} {arguments}", program.rsplit('/').next().unwrap_or(program)).trim_end().to_owned()
}

fn collect(from: impl Read + Send + 'static, stream: Stream, to: Sender<(Stream, String)>) {
    thread::spawn(move || {
        for bytes in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            if to.send((stream, String::from_utf8_lossy(&bytes).into_owned())).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_says_what_and_not_where() {
        assert_eq!(name("taskset -c 0 /some/where/driver engine bulk 1"), "driver engine bulk 1");
        assert_eq!(name("wrk"), "wrk");
    }
}
