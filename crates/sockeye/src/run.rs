//! `sockeye run`: a program on a node.
//!
//! On a node that runs already there is nothing to supervise: the environment is set (`LD_PRELOAD`, `SOCKEYE_CONTROL`)
//! and this process becomes the program, so that signals, job control and the exit code are the program's own.
//!
//! With `-i` (or `-c`) the node is this command's: a child process, in a process group of its own so that the
//! terminal's ^C is the program's to answer, and ended by the kernel if this process dies. The program is started when
//! the node says that it serves. The node stays until the program *and what it left behind* have ended (a server that
//! puts itself into the background is such a case: this process is its subreaper), and stops in good order, so that
//! the last bytes a program wrote are still delivered. Signals sent here go to the program, and after its end to what
//! it left. INT and QUIT from a terminal reach the program by themselves: the terminal sends them to the whole group.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

use crate::cli::{DriverName, Mac, NodeArgs, Run};
use crate::failure::Failure;
use crate::patience::ends_within;
use crate::program::{self, Found};
use crate::{client, preload};

/// How long a node that was told to stop may take before it is ended.
const PATIENCE: Duration = Duration::from_secs(10);

const FORWARDED: [i32; 8] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH];

/// Runs the program; comes back only where the node is this command's own.
pub(crate) fn run(args: &Run) -> Result<ExitCode, Failure> {
    let found = program::find(&args.program[0])?;
    let library = preload::library()?;
    if args.node.interface.is_some() || args.node.file.is_some() {
        return with_own_node(args, &found, &library);
    }
    refuse_node_options(&args.node)?;
    let control = client::path(args.control.control.as_deref())?;
    client::Client::connect(&control).map_err(|failure| {
        Failure::new(format!("{failure}, or give `run` an interface: sockeye run -i IFACE -a ADDR/LEN -- PROGRAM"))
    })?;
    let error = command(&args.program, &found, &library, &control).exec();
    Err(cannot_start(&found.path, &error))
}

/// The program with the shim before it.
fn command(program: &[OsString], Found { path, loader }: &Found, library: &Path, control: &Path) -> Command {
    let mut command = Command::new(loader.as_ref().unwrap_or(path));
    command.arg0(&program[0]);
    if let Some(loader) = loader {
        // Before glibc 2.33 the program is told its path instead of its name.
        if fs::read(loader).is_ok_and(|bytes| bytes.windows(8).any(|part| part == b"--argv0\0")) {
            command.arg("--argv0").arg(&program[0]);
        }
        // A path without a slash the loader would look for, and one that begins with a dash it would take for an option.
        command.arg(std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    }
    command
        .args(&program[1..])
        .env("LD_PRELOAD", preload::preload_list(library, std::env::var_os("LD_PRELOAD")))
        .env("SOCKEYE_CONTROL", std::path::absolute(control).unwrap_or_else(|_| control.to_owned()));
    command
}

fn cannot_start(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot start {}: {error}; try it without sockeye first", path.display()))
}

/// Options of a node make no sense without one to make.
fn refuse_node_options(node: &NodeArgs) -> Result<(), Failure> {
    let NodeArgs { interface: _, address, gateway, mac, driver, dns, no_local_shortcut, file: _ } = node;
    let none = address.is_empty() && gateway.is_empty() && mac.is_none() && driver.is_none() && dns.is_empty();
    if none && !no_local_shortcut {
        return Ok(());
    }
    Err(Failure::usage(
        "-a, -g, --mac, --driver, --dns and --no-local-shortcut describe a node to make; add -i IFACE, or leave them out",
    ))
}

fn with_own_node(args: &Run, found: &Found, library: &Path) -> Result<ExitCode, Failure> {
    let control = match &args.control.control {
        Some(path) => path.clone(),
        None => library.with_file_name(format!("run-{}.sock", std::process::id())),
    };
    let _ = rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1));
    let node = OwnNode::start(&args.node, &control)?;
    // What was ignored when we were started (nohup) shall be ignored by the program; a handler of ours would undo that.
    let ignored = ignored_signals();
    let forwarded = FORWARDED.into_iter().filter(|number| ignored >> (number - 1) & 1 == 0);
    let mut signals = signal_hook::iterator::Signals::new(forwarded)
        .map_err(|error| Failure::new(format!("cannot watch signals: {error}; try again")))?;
    let child = match command(&args.program, found, library, &control).spawn() {
        Ok(child) => child,
        Err(error) => {
            node.stop(&control);
            return Err(cannot_start(&found.path, &error));
        }
    };
    let program = Pid::from_child(&child);
    // Whom a signal is for: the program by its descriptor, which cannot come to mean another process.
    let descriptor = rustix::process::pidfd_open(program, PidfdFlags::empty()).ok();
    let ended = std::sync::Arc::new(AtomicBool::new(false));
    {
        let (ended, node) = (ended.clone(), node.pid);
        let handle = std::thread::Builder::new().name("signals".into()).spawn(move || {
            for number in signals.forever() {
                forward(number, descriptor.as_ref(), ended.load(Ordering::Relaxed), node);
            }
        });
        handle
            .map_err(|error| Failure::new(format!("cannot start a thread: {error}; check the limits of processes")))?;
    }
    let (status, node_alive) = wait_for_all(program, node.pid, &ended);
    if node_alive {
        node.stop(&control);
    } else {
        let _ = fs::remove_file(&control);
    }
    Ok(exit_code(status))
}

/// Waits for the program, and then for what it left. Tells how the program ended, and whether the node still runs.
fn wait_for_all(program: Pid, node: Pid, ended: &AtomicBool) -> (Option<WaitStatus>, bool) {
    let mut status = None;
    let mut node_alive = true;
    while status.is_none() || (node_alive && others_than(node).next().is_some()) {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, how))) if pid == program => {
                status = Some(how);
                ended.store(true, Ordering::Relaxed);
            }
            Ok(Some((pid, _))) if pid == node => {
                node_alive = false;
                eprintln!("sockeye: the node of this program has ended before it; its sockets are gone");
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    (status, node_alive)
}

/// This process's children but the node.
fn others_than(node: Pid) -> impl Iterator<Item = Pid> {
    let lists = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    lists
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
        .filter_map(Pid::from_raw)
        .filter(move |&pid| pid != node)
}

fn forward(number: i32, program: Option<&OwnedFd>, ended: bool, node: Pid) {
    let Some(signal) = Signal::from_named_raw(number) else { return };
    if matches!(number, SIGINT | SIGQUIT | SIGWINCH) && in_foreground() {
        return;
    }
    if !ended {
        if let Some(program) = program {
            let _ = rustix::process::pidfd_send_signal(program, signal);
        }
        return;
    }
    for pid in others_than(node) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// The signals that this process ignores: bit N - 1 for signal N.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Does a terminal send its signals to our process group?
fn in_foreground() -> bool {
    let Ok(terminal) = fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// The program's own code, or 128 + N for signal N.
fn exit_code(status: Option<WaitStatus>) -> ExitCode {
    let code = status
        .and_then(|status| status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// A node that is a child of this process.
pub(crate) struct OwnNode {
    child: Child,
    pid: Pid,
}

impl OwnNode {
    /// Starts `sockeye up` and waits until it serves.
    pub(crate) fn start(args: &NodeArgs, control: &Path) -> Result<OwnNode, Failure> {
        Self::spawn(own_command(args, control)?)
    }

    /// Runs a command that is a `sockeye up` and waits until it serves.
    pub(crate) fn spawn(mut command: Command) -> Result<OwnNode, Failure> {
        let mut child = command
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start a node: {error}; check the limits of processes")))?;
        let pid = Pid::from_child(&child);
        let mut ready = String::new();
        let read = child.stdout.take().map(|output| BufReader::new(output).read_line(&mut ready));
        match read {
            Some(Ok(_)) if ready.starts_with("ready") => Ok(OwnNode { pid, child }),
            // It has said on standard error what was wrong.
            _ => {
                let code = child.wait().ok().and_then(|status| status.code());
                match code.and_then(|code| u8::try_from(code).ok()) {
                    Some(code) if code != 0 => Err(Failure::told(code)),
                    _ => Err(Failure::new("the node ended before it was ready; see SOCKEYE_LOG=debug")),
                }
            }
        }
    }

    /// The node's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it in good order; by force where that takes too long.
    pub(crate) fn stop(mut self, control: &Path) {
        let asked = client::Client::connect(control).and_then(|mut client| client.down());
        if asked.is_err() {
            let _ = rustix::process::kill_process(self.pid, Signal::TERM);
        }
        if !ends_within(&self.child, PATIENCE) {
            tracing::warn!("the node did not stop within {} s and is ended", PATIENCE.as_secs());
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        let _ = fs::remove_file(control);
    }
}

/// `sockeye up` as these options say, for a child of this process.
fn own_command(args: &NodeArgs, control: &Path) -> Result<Command, Failure> {
    let NodeArgs { interface, address, gateway, mac, driver, dns, no_local_shortcut, file } = args;
    let mut command = up_command(control)?;
    let mut option = |name: &str, value: String| {
        command.arg(name).arg(value);
    };
    interface.iter().for_each(|name| option("-i", name.clone()));
    address.iter().for_each(|prefix| option("-a", prefix.to_string()));
    gateway.iter().for_each(|gateway| option("-g", gateway.to_string()));
    dns.iter().for_each(|server| option("--dns", server.to_string()));
    mac.iter().for_each(|mac| {
        let text = match mac {
            Mac::Auto => "auto".to_owned(),
            Mac::Inherit => "inherit".to_owned(),
            Mac::Fixed(mac) => mac.to_string(),
        };
        option("--mac", text);
    });
    driver.iter().for_each(|driver| {
        let text = match driver {
            DriverName::Packet => "packet",
            DriverName::Xdp => "xdp",
            DriverName::Tap => "tap",
        };
        option("--driver", text.to_owned());
    });
    if *no_local_shortcut {
        command.arg("--no-local-shortcut");
    }
    if let Some(file) = file {
        command.arg("-c").arg(file);
    }
    Ok(command)
}

/// `sockeye up` with its control socket, tied to this process's life, ready to be told more.
pub(crate) fn up_command(control: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(myself()?);
    command
        .args(["up", "--owned", "--control"])
        .arg(control)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The node itself is on the kernel, also where we are on another one: what is only left out the shim would put back.
        .env("LD_PRELOAD", "");
    Ok(command)
}

/// This command's own file.
pub(crate) fn myself() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find this command's own file: {error}; mount /proc")))
}
