//! The pump of a listener: connections from the accept queue to whoever accepts.
//!
//! Each connection gets a pair, whose program's end travels over the listener's pair in one message with both addresses.
//! The accepting process answers with one byte, a credit, so the node knows how many are still on their way: no more than
//! a window. The rest waits in the stack's accept queue, where a SYN flood, a backlog and a full queue are dealt with.
//! Credits come in the order of the messages and are read only when the window is full: they wake nobody.
//!
//! Connections that nobody has taken when the listener goes are reset, as on Linux.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use sockeye_control::Accepted;
use sockeye_socket::table::Key;

use crate::pair;

/// The most connections on their way to one listener's program.
pub(crate) const WINDOW: usize = 64;

/// A connection on its way to a listener's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flight {
    /// The node holds the other end of its pair.
    End(Key),
    /// It is one within the node.
    Local(Key),
}

/// What the pump remembers between its turns.
#[derive(Debug)]
pub(crate) struct ListenerPump {
    pub(crate) window: usize,
    /// On their way, oldest first.
    pub(crate) in_flight: VecDeque<Flight>,
    /// The one that found no room in the pair: its message and the program's end.
    pub(crate) held: Option<(Accepted, OwnedFd)>,
}

impl ListenerPump {
    pub(crate) fn new(backlog: i32) -> Self {
        let mut pump = ListenerPump { window: 1, in_flight: VecDeque::new(), held: None };
        pump.set_backlog(backlog);
        pump
    }

    pub(crate) fn set_backlog(&mut self, backlog: i32) {
        self.window = (backlog.cast_unsigned() as usize).clamp(1, WINDOW);
    }

    /// Reads the credits that are there.
    pub(crate) fn take_credits(&mut self, ours: impl AsFd) {
        let mut credits = [0; WINDOW];
        if let Ok((_, count)) = rustix::net::recv(ours, &mut credits, RecvFlags::DONTWAIT) {
            self.in_flight.drain(..count.min(self.in_flight.len()));
        }
    }

    /// Sends the one that is held, if it may go now.
    pub(crate) fn send_held(&mut self, ours: impl AsFd) -> Result<(), Errno> {
        let Some((message, theirs)) = &self.held else { return Ok(()) };
        pair::send(ours, &message.encode(), Some(theirs.as_fd()))?;
        self.held = None;
        Ok(())
    }
}
