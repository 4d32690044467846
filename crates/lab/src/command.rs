//! A program to be run inside a namespace: `std::process::Command`, spawned from a thread that has entered.
//!
//! It does not hand out the inner command: one `spawn` on that would run the program outside, and nobody would notice.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{self, Child, ExitStatus, Output, Stdio};
use std::{fmt, io};

use crate::Namespace;

/// A program, its arguments and surroundings, and the namespace it will be born in.
///
/// As text it is the program and its arguments.
pub struct Command {
    namespace: Namespace,
    inner: process::Command,
}

impl Command {
    pub(crate) fn new(namespace: Namespace, program: &str) -> Command {
        Command { namespace, inner: process::Command::new(program) }
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Command {
        self.inner.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Command {
        self.inner.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        self.inner.env(name, value);
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Command {
        self.inner.env_remove(name);
        self
    }

    /// Sets the working directory.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Command {
        self.inner.current_dir(directory);
        self
    }

    /// Sets the standard input.
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Command {
        self.inner.stdin(stdin);
        self
    }

    /// Sets the standard output.
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Command {
        self.inner.stdout(stdout);
        self
    }

    /// Sets the standard error.
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Command {
        self.inner.stderr(stderr);
        self
    }

    /// Puts the program in a process group: 0 for one of its own.
    pub fn process_group(&mut self, group: i32) -> &mut Command {
        std::os::unix::process::CommandExt::process_group(&mut self.inner, group);
        self
    }

    /// Starts the program.
    pub fn spawn(&mut self) -> io::Result<Child> {
        let Command { namespace, inner } = self;
        namespace.enter(|| inner.spawn())?
    }

    /// Starts the program and waits for its end.
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        let Command { namespace, inner } = self;
        namespace.enter(|| inner.status())?
    }

    /// Starts the program, waits for its end, and collects what it wrote.
    pub fn output(&mut self) -> io::Result<Output> {
        let Command { namespace, inner } = self;
        namespace.enter(|| inner.output())?
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner.get_program().to_string_lossy())?;
        self.inner.get_args().try_for_each(|argument| write!(f, " {}", argument.to_string_lossy()))
    }
}
