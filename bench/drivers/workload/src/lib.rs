//! The loads that a driver puts on a stack, written once, so that every stack does the same work.
//!
//! A driver is a program with a TCP/IP stack linked into it, for measuring. It implements [`Host`] for its stack and leaves
//! the rest to [`run`]: the command line, the load, the clock, the line that it prints. Two kinds of tasks:
//!
//! - *engine*: two hosts in one thread, joined by a wire in memory. No kernel takes part, so what is measured is the stack.
//! - *wire*: one host on an interface, against the server programs of `bench` behind it.
//!
//! Whatever a stack can do better than the plain way (larger segments, checksums left out), its driver lets it do by
//! default. `-m` and `-c` make all do the same: segments for an MTU, every checksum computed.

mod command;
pub mod engine;
mod outcome;
pub mod wire;

pub use command::{Command, Conditions, Interface, Load};
pub use outcome::{Latency, Outcome, Unit};

use std::error::Error;
use std::net::SocketAddrV4;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// What goes wrong here is told to a person, in a line.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The time since the first call.
pub(crate) fn clock() -> Duration {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGINNING.elapsed()
}

/// What a reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes, at least one.
    Bytes(usize),
    /// None yet.
    Nothing,
    /// The peer has closed in good order, and all was read.
    End,
}

/// A stack, and the device that it stands on. Nothing here waits but [`Host::wait`]. `now` is the time since the program
/// began.
pub trait Host {
    /// One end of a connection.
    type Socket: Copy;

    /// Accepts connections on `port` from now on.
    fn listen(&mut self, port: u16) -> Result<()>;
    /// A connection that was accepted.
    fn accept(&mut self) -> Option<Self::Socket>;
    /// Begins to connect, from a port of the host's choice.
    fn connect(&mut self, now: Duration, remote: SocketAddrV4) -> Result<Self::Socket>;
    /// Whether bytes may be written: the handshake is over. An error when it has failed.
    fn is_open(&mut self, socket: Self::Socket) -> Result<bool>;
    /// Copies bytes into the send queue; says how many found room.
    fn write(&mut self, now: Duration, socket: Self::Socket, bytes: &[u8]) -> usize;
    /// Copies bytes out of the receive queue. An error when the connection has been lost.
    fn read(&mut self, now: Duration, socket: Self::Socket, into: &mut [u8]) -> Result<Read>;
    /// Closes and lets go: the host finishes alone.
    fn close(&mut self, now: Duration, socket: Self::Socket);
    /// Ends a connection with a RST, so that the peer forgets it at once.
    fn abort(&mut self, now: Duration, socket: Self::Socket);
    /// Takes what has arrived at the device; says whether there was anything.
    fn receive(&mut self, now: Duration) -> Result<bool>;
    /// Fires the timers that are due, and hands the device what may be sent.
    fn transmit(&mut self, now: Duration) -> Result<()>;
    /// Sleeps until frames have arrived, the device takes frames again or a timer is due, at most for `limit`.
    fn wait(&mut self, now: Duration, limit: Duration) -> Result<()>;
}

/// Reads the command line, runs its task and prints the result. `pair` makes the hosts of an engine; `wire` puts a load on
/// an interface, most simply with [`wire::run`].
pub fn run<H: Host>(
    pair: impl FnOnce(&Conditions) -> Result<engine::Pair<H>>,
    wire: impl FnOnce(&Interface, Load, SocketAddrV4, Duration) -> Result<Outcome>,
) -> ExitCode {
    let done = Command::parse(std::env::args().skip(1)).and_then(|command| match command {
        Command::Engine { conditions, load, duration } => {
            engine::run(pair(&conditions)?, load, duration, conditions.idle)
        }
        Command::Wire { interface, load, peer, duration } => wire(&interface, load, peer, duration),
    });
    match done {
        Ok(outcome) => {
            println!("{outcome}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
