//! Real programs under the shim, and the same programs on the kernel's own stack.
//!
//! Most programs run twice: on a loopback of the kernel's in a network namespace of their own, without the shim; and under the
//! shim with a peer that speaks the control protocol, in a namespace that has no network at all. What they print must be equal, so the
//! kernel says what is right. A few can only run under the shim (a node that goes away, names from the peer's list); for these it is written down.

// All of it is a test; what cannot be had fails it.
#![allow(clippy::unwrap_used)]

mod peer;

use peer::Peer;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Builds the library, and returns where it is. (Cargo builds no `cdylib` for a test.)
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        // target/PROFILE/deps/this-test
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or(OsString::from("cargo"));
        let build = Command::new(cargo)
            .args(["build", "--quiet", "--package", "sockeye-shim", "--target-dir"])
            .arg(target)
            .status()
            .expect("cargo runs");
        assert!(build.success());
        target.join("debug/libsockeye_shim.so")
    })
}

fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        // Not a wrapper's script, which would be under the shim, too.
        let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let output = output.expect("these tests need python3");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    })
}

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name)
}

/// A C program, compiled as distributions compile theirs.
fn compiled(name: &str) -> PathBuf {
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name.strip_suffix(".c").unwrap());
    let compiler = Command::new("cc")
        .args(["-O2", "-Wall", "-Werror", "-D_FORTIFY_SOURCE=2", "-pthread", "-o"])
        .args([&binary, &program(name)])
        .status();
    assert!(compiler.expect("these tests need a C compiler").success());
    binary
}

fn command(name: &str) -> Command {
    if name.ends_with(".c") {
        return Command::new(compiled(name));
    }
    let mut command = Command::new(python());
    // -I: what it prints must not depend on the user's settings. -u: it shall be seen even if the program hangs.
    command.arg("-Iu").arg(program(name));
    command
}

/// In a network namespace of its own, with or without a loopback that is up.
fn run(mut command: Command, loopback: bool) -> Output {
    // SAFETY: between fork and exec these are plain system calls.
    unsafe {
        command.pre_exec(move || {
            let user = if libc::geteuid() == 0 { 0 } else { libc::CLONE_NEWUSER };
            if libc::unshare(libc::CLONE_NEWNET | user) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            if loopback {
                let mut request: libc::ifreq = std::mem::zeroed();
                request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
                request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
                let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
                if libc::ioctl(socket, libc::SIOCSIFFLAGS, &request) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                libc::close(socket);
            }
            // A program that hangs is an error, and not a test that never ends.
            libc::alarm(60);
            Ok(())
        });
    }
    command.stdin(Stdio::null()).output().expect("the program starts; it needs a network namespace")
}

fn on_kernel(name: &str) -> String {
    text(name, "on the kernel", run(command(name), true))
}

fn under_shim(name: &str) -> String {
    let peer = Peer::start(name);
    let mut command = command(name);
    command.env("LD_PRELOAD", shim()).env("SOCKEYE_CONTROL", peer.path());
    text(name, "under the shim", run(command, false))
}

fn text(name: &str, place: &str, output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{name} {place}: {}\n{errors}\nit printed:\n{text}", output.status);
    assert_eq!(errors, "", "{name} {place} printed errors");
    assert!(text.ends_with("done\n"), "{name} {place} did not come to its end:\n{text}");
    text.into_owned()
}

#[track_caller]
fn same(name: &str) {
    let (kernel, shim) = (on_kernel(name), under_shim(name));
    if kernel == shim {
        return;
    }
    let difference: Vec<_> = kernel
        .lines()
        .zip(shim.lines().chain(std::iter::repeat("")))
        .filter(|(kernel, shim)| kernel != shim)
        .map(|(kernel, shim)| format!("  kernel: {kernel}\n  shim:   {shim}"))
        .collect();
    panic!("{name} prints otherwise under the shim:\n{}\nall of it:\n{shim}", difference.join("\n"));
}

macro_rules! same {
    ($($test:ident: $program:literal;)*) => {
        $( #[test] fn $test() { same($program); } )*
    };
}

same! {
    descriptors_are_the_lowest_and_know_what_they_are: "descriptors.py";
    streams_carry_end_and_reset: "streams.py";
    connecting_is_told_by_readiness: "connecting.py";
    several_processes_accept: "accepting.py";
    datagrams_keep_addresses_and_bounds: "datagrams.py";
    descriptors_travel: "travelling.py";
    bad_arguments_are_errors: "faults.py";
    options_are_told_and_read: "options.py";
    event_loops_run: "events.py";
    compiled_programs_run: "calls.c";
    another_root_leads_to_the_node: "rooted.py";
    what_is_started_stays: "starting.c";
}

#[test]
fn names_are_the_nodes() {
    assert_eq!(under_shim("names.py"), include_str!("programs/names.out"));
}

#[test]
fn without_a_node_there_is_an_error() {
    assert_eq!(under_shim("gone.py"), include_str!("programs/gone.out"));
}

#[test]
fn what_is_not_done_is_refused() {
    assert_eq!(under_shim("refusals.py"), include_str!("programs/refusals.out"));
}
