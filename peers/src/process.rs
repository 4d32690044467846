//! A program that a test has started.
//!
//! What it writes is collected by threads, so that it never stands still on a full pipe, and a test can wait for a line.
//! Its end is waited for on a pidfd. It leads a process group; when the [`Process`] is dropped, the group is killed.
//! Should the test itself be killed, or stand still in a read or write of its own, a guard does it: a shell that reads from
//! a pipe whose other end is ours until we are gone, or until no program of a test has any business to live on.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command as Plain, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use sockeye_lab::Command;

use crate::DEADLINE;

/// Fails the test when a program is missing, by the name of the package that has it.
pub fn require(program: &str) {
    let package = match program {
        "nc" => "netcat-openbsd",
        "python3" => "python3",
        "ss" | "ip" => "iproute2",
        "redis-cli" | "redis-benchmark" => "redis-tools",
        "ping" => "iputils-ping",
        "xargs" => "findutils",
        other => other,
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).is_file());
    assert!(found, "the program {program} is missing: install the package {package}");
}

/// Asks until the answer is there, at most for the [deadline](DEADLINE). For events that nobody reports.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "in vain waited for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The longest that any program of a test may live.
const LIFETIME_SECONDS: &str = "900";

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pidfd: OwnedFd,
    output: Arc<Output>,
    readers: Vec<thread::JoinHandle<()>>,
    ended: Option<ExitStatus>,
    guard: Child,
}

/// What a program left behind when it ended.
#[derive(Debug)]
pub struct Finished {
    /// The program and its arguments.
    pub name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub stdout: Vec<u8>,
    /// All it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Process {
    /// Starts a program that reads nothing.
    pub fn start(command: &mut Command) -> Process {
        Process::spawn(command.stdin(Stdio::null()))
    }

    /// Starts a program; its standard input is the caller's to write and to close.
    pub fn start_with_input(command: &mut Command) -> (Process, ChildStdin) {
        let mut process = Process::spawn(command.stdin(Stdio::piped()));
        let stdin = process.child.stdin.take().expect("the input was piped");
        (process, stdin)
    }

    /// Starts a program whose standard output is the caller's to read, for output that is too large to collect.
    pub fn start_with_output(command: &mut Command) -> (Process, impl Read + use<>) {
        let (reader, writer) = io::pipe().expect("a pipe is made");
        (Process::launch(command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped())), reader)
    }

    /// Starts a program with the input as it was set.
    pub fn spawn(command: &mut Command) -> Process {
        Process::launch(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    fn launch(command: &mut Command) -> Process {
        // A script among the arguments makes no name.
        let name: String = format!("{command:?}").lines().take(1).flat_map(|line| line.chars().take(200)).collect();
        let mut child = command.process_group(0).spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let pid = Pid::from_child(&child);
        let guard = Plain::new("sh")
            .args(["-c", "timeout $2 cat; kill -KILL -- -$1", "guard", &child.id().to_string(), LIFETIME_SECONDS])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the shell starts");
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a child has a pidfd until it is waited for");
        let output = Arc::new(Output::default());
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(collect(stdout, output.clone(), |text| &mut text.stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(collect(stderr, output.clone(), |text| &mut text.stderr));
        }
        Process { name, child, pidfd, output, readers, ended: None, guard }
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until standard output or standard error has a whole line that contains `text`; returns the line.
    pub fn line_with(&mut self, text: &str) -> String {
        let end = Instant::now() + DEADLINE;
        let mut collected = self.output.lock();
        loop {
            let line = [&collected.stdout, &collected.stderr].into_iter().find_map(|bytes| {
                let whole = &bytes[..bytes.iter().rposition(|byte| *byte == b'\n')? + 1];
                String::from_utf8_lossy(whole).lines().find(|line| line.contains(text)).map(str::to_owned)
            });
            if let Some(line) = line {
                return line;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || collected.closed == self.readers.len() {
                let collected = collected.clone();
                panic!("{} never wrote a line with {text:?}{collected}", self.name);
            }
            collected = self.output.more.wait_timeout(collected, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> Vec<u8> {
        self.output.lock().stdout.clone()
    }

    /// How many bytes it wrote to standard output so far.
    pub fn heard(&self) -> usize {
        self.output.lock().stdout.len()
    }

    /// Sends a signal to the program, not to its children.
    pub fn signal(&self, signal: Signal) {
        // A program that has ended already is as good as one that obeyed.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Whether it runs still.
    pub fn is_running(&self) -> bool {
        !self.has_ended_within(Duration::ZERO)
    }

    /// Waits for its end, at most for the [deadline](DEADLINE).
    pub fn finish(self) -> Finished {
        self.finish_within(DEADLINE)
    }

    /// Waits for its end, for longer than usual.
    pub fn finish_within(mut self, patience: Duration) -> Finished {
        if !self.has_ended_within(patience) {
            let collected = self.output.lock().clone();
            panic!("{} did not end within {patience:?}{collected}", self.name);
        }
        let status = self.child.wait().expect("a child can be waited for");
        self.ended = Some(status);
        // A child of its own that lives on may hold the pipes open; it dies now, as the whole group.
        self.kill_group();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let collected = std::mem::take(&mut *self.output.lock());
        Finished { name: self.name.clone(), status, stdout: collected.stdout, stderr: collected.stderr }
    }

    /// Waits for its end, which must be a good one.
    pub fn success(self) -> Finished {
        self.finish().success()
    }

    fn has_ended_within(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).expect("a timeout fits");
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&timeout)) {
                Ok(count) => return count == 1,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("cannot poll a pidfd: {error}"),
            }
        }
    }

    fn kill_group(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill_group();
            let _ = self.child.wait();
        }
        // The guard is a shell and its children; all of them are one group.
        let _ = kill_process_group(Pid::from_child(&self.guard), Signal::KILL);
        let _ = self.guard.wait();
        if thread::panicking() {
            eprintln!("{}{}", self.name, *self.output.lock());
        }
    }
}

impl Finished {
    /// Itself, where it ended well; otherwise the test fails with what it wrote.
    pub fn success(self) -> Finished {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finished { name, status, stdout, stderr } = self;
        write!(f, "{name}: {status}")?;
        write_tail(f, "stdout", stdout)?;
        write_tail(f, "stderr", stderr)
    }
}

#[derive(Debug, Default)]
struct Output {
    text: Mutex<Collected>,
    more: Condvar,
}

#[derive(Clone, Debug, Default)]
struct Collected {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    closed: usize,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tail(f, "stdout", &self.stdout)?;
        write_tail(f, "stderr", &self.stderr)
    }
}

/// The end of what a program wrote: enough to see why, not a megabyte of a web page, and nothing that is not text.
fn write_tail(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    const TAIL: usize = 4000;
    let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
    match std::str::from_utf8(tail) {
        _ if tail.is_empty() => Ok(()),
        Ok(text) => write!(f, "\n  {name}: {}", text.trim_end()),
        Err(_) => write!(f, "\n  {name}: {} bytes, not text", bytes.len()),
    }
}

fn collect(
    mut from: impl Read + Send + 'static,
    output: Arc<Output>,
    which: fn(&mut Collected) -> &mut Vec<u8>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut block = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut block) {
            which(&mut output.lock()).extend_from_slice(&block[..count]);
            output.more.notify_all();
        }
        output.lock().closed += 1;
        output.more.notify_all();
    })
}
