//! How an example ends: well, or with one line that says what failed and what to do.

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::process::ExitCode;

use clap::Parser;

/// What an example comes to; an error is a line for whoever runs it.
pub type Result<T> = std::result::Result<T, String>;

/// Puts what was tried before the reason why it failed.
pub trait Explain<T> {
    /// The value, or "cannot `what`: reason".
    fn explain(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Explain<T> for std::result::Result<T, E> {
    fn explain(self, what: impl Display) -> Result<T> {
        self.map_err(|error| format!("cannot {what}: {error}"))
    }
}

/// What to do about a packet that the system did not take, where somebody can.
pub fn unsent(to: impl Display) -> impl FnOnce(io::Error) -> String {
    move |error| {
        let mend = match error.raw_os_error() {
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => "`ip route` shows where the ways lead",
            Some(libc::EMSGSIZE) => "cut it with --socket hdrincl --fragment 1280, or so",
            Some(libc::ENETDOWN) => "`ip link set NAME up` sets an interface up",
            Some(libc::EINVAL) => "the source must be this host's own, and a link-local address takes --interface",
            Some(libc::EADDRNOTAVAIL) => "`ip address` shows those that this host has",
            Some(libc::EACCES) => "a broadcast takes --socket cooked or packet",
            _ => return format!("cannot send to {to}: {error}"),
        };
        format!("cannot send to {to}: {error}: {mend}")
    }
}

/// Addresses that no packet has both of.
pub fn two_families(src: IpAddr, dst: IpAddr) -> String {
    format!("{src} and {dst} are of two families: say two of one")
}

/// Runs a program with what its command line says, and tells how it ended: 0, or 1 with a line that says why, or 2 where the command
/// line itself cannot be understood.
pub fn start<C: Parser>(run: impl FnOnce(&C) -> Result<()>) -> ExitCode {
    let (line, code) = match C::try_parse() {
        Ok(cli) => match run(&cli) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(line) => (line, 1),
        },
        // Help, which was asked for.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => (one_line(&error.render().to_string()), 2),
    };
    eprintln!("{line}");
    code.into()
}

/// What clap says in several lines.
fn one_line(rendered: &str) -> String {
    let lines = rendered.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let told: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    format!("{}; --help tells more", told.join(" ").trim_start_matches("error: "))
}
