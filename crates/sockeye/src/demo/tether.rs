//! Programs of the demo, each on a leash.
//!
//! Whatever ends the demo (its end, ^C, `kill -9`), the programs that it started end too: each is started by way of
//! `sockeye tether`, which asks the kernel for a signal at its parent's death, enters the host's network namespace and
//! becomes the program. (The kernel ties the signal to the parent's *thread*, so the demo starts programs from its main
//! thread only, and a lab's own way of starting them, on a thread that ends at once, would not do.)

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sockeye_lab::Host;

use crate::cli::Tether;
use crate::failure::Failure;
use crate::patience::{ends_within, readable_until};
use crate::{run, up};

/// `sockeye tether`: becomes the program; comes back only to say why not.
pub(crate) fn exec(args: &Tether) -> Result<ExitCode, Failure> {
    up::tie_to_parent(Signal::KILL)?;
    if let Some(path) = &args.namespace {
        let entered = File::open(path).and_then(|namespace| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).map_err(Into::into)
        });
        entered.map_err(|error| Failure::new(format!("cannot enter the network of {}: {error}", path.display())))?;
    }
    let error = Command::new(&args.program[0]).args(&args.program[1..]).exec();
    Err(Failure::new(format!("cannot start {}: {error}", args.program[0].to_string_lossy())))
}

/// A command that will run `program` on `host`, on a leash.
pub(crate) fn on(host: &Host, program: impl AsRef<OsStr>) -> Result<Command, Failure> {
    // The descriptor is closed on exec; the path leads through this process, which outlives its children.
    let descriptor = host.namespace().as_fd().as_raw_fd();
    let namespace = PathBuf::from(format!("/proc/{}/fd/{descriptor}", std::process::id()));
    let mut command = Command::new(run::myself()?);
    command.arg("tether").arg("--namespace").arg(namespace).arg("--").arg(program);
    command.stdin(Stdio::null());
    Ok(command)
}

/// A program that runs; it is ended where it is dropped.
pub(crate) struct Running {
    child: Child,
    what: String,
}

impl Running {
    /// Starts it. `what` is for messages.
    pub(crate) fn start(mut command: Command, what: impl Into<String>) -> Result<Running, Failure> {
        let what = what.into();
        match command.spawn() {
            Ok(child) => Ok(Running { child, what }),
            Err(error) => Err(Failure::new(format!("cannot start {what}: {error}; check the limits of processes"))),
        }
    }

    /// Waits until it writes a line to its standard output that contains `sign`.
    pub(crate) fn says(&mut self, sign: &str, patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        let mut output = self.child.stdout.take().map(BufReader::new);
        while let Some(reader) = &mut output {
            if !readable_until(reader.get_ref(), deadline) {
                return Err(Failure::new(format!("{} does not start within {} s", self.what, patience.as_secs())));
            }
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) if line.contains(sign) => {
                    // What it says later is read by nobody, but must not end it with a broken pipe.
                    self.child.stdout = output.map(BufReader::into_inner);
                    return Ok(());
                }
                Ok(_) => {}
            }
        }
        Err(Failure::new(format!("{} ended before it served; try it by hand", self.what)))
    }

    /// Waits for its end, and gives what it wrote to its standard output. Only for programs that write little.
    pub(crate) fn finish(mut self, patience: Duration) -> Result<(ExitStatus, String), Failure> {
        if !ends_within(&self.child, patience) {
            return Err(Failure::new(format!("{} is not done within {} s", self.what, patience.as_secs())));
        }
        let mut text = String::new();
        if let Some(mut output) = self.child.stdout.take() {
            let _ = output.read_to_string(&mut text);
        }
        match self.child.wait() {
            Ok(status) => Ok((status, text)),
            Err(error) => Err(Failure::new(format!("cannot wait for {}: {error}", self.what))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
