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
use sockeye_socket::Body;
use sockeye_socket::names::POLLIN;
use sockeye_socket::table::Key;

use crate::boundary::{Boundary, Context};
use crate::end::{Fate, Pump};
use crate::pair;
use crate::stream::StreamPump;

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

impl Boundary {
    /// Hands over what was accepted, as far as the window and the quota go.
    pub(crate) fn pump_listener(&mut self, key: Key, context: &mut Context<'_>) -> Fate {
        loop {
            let Some(end) = self.ends.get_mut(key) else { return Fate::Keep };
            let (listener, owner, hangup) = (end.socket, end.owner, end.ready.end);
            let Pump::Listener(pump) = &mut end.pump else { return Fate::Keep };
            if hangup {
                return Fate::Close;
            }
            match pump.send_held(&end.fd) {
                Ok(()) => {}
                Err(Errno::AGAIN) => {
                    end.blocked(context.poller);
                    return Fate::Keep;
                }
                Err(_) => return Fate::Close,
            }
            if pump.in_flight.len() >= pump.window {
                pump.take_credits(&end.fd);
            }
            let waits = pump.in_flight.len() >= pump.window;
            let more = context.host.readiness(listener).contains(POLLIN);
            end.listen(context.poller, waits && more);
            if waits || !more {
                return Fate::Keep;
            }
            if self.admit(owner).is_err() {
                // The stack's queue holds them until somebody closes something, and refuses more.
                return Fate::Keep;
            }
            let Ok(socket) = context.host.accept(listener) else { return Fate::Keep };
            if let Some(Body::Joined(joined, _)) = context.host.body(socket) {
                let Some((message, theirs, local)) = self.accept_local(context, socket, joined, owner) else {
                    self.counters.connections_lost += 1;
                    continue;
                };
                self.send_accepted(key, message, theirs, Flight::Local(local), self.numbers);
                continue;
            }
            let addresses = context
                .host
                .local_address(socket)
                .and_then(|local| context.host.peer_address(socket).map(|remote| Accepted { local, remote }));
            let Ok(message) = addresses else {
                self.counters.connections_lost += 1;
                context.host.close(context.now, socket);
                continue;
            };
            let Ok((accepted, theirs)) = self.open(context, socket, owner, false) else {
                self.counters.connections_lost += 1;
                continue;
            };
            if let Some(end) = self.ends.get_mut(accepted) {
                end.pump = Pump::Stream(StreamPump::new(0));
            }
            self.mark(accepted);
            let number = self.ends.get(accepted).map_or(0, |end| end.number);
            self.send_accepted(key, message, theirs, Flight::End(accepted), number);
        }
    }

    /// Puts an accepted connection, which the trace calls by `number`, on its way to the listener's program.
    fn send_accepted(&mut self, listener: Key, message: Accepted, theirs: OwnedFd, flight: Flight, number: u64) {
        self.counters.connections_handed_over += 1;
        let Some(end) = self.ends.get_mut(listener) else { return };
        let (pid, listening) = (end.owner.pid, end.number);
        if let Pump::Listener(pump) = &mut end.pump {
            pump.in_flight.push_back(flight);
            pump.held = Some((message, theirs));
        }
        let within = if matches!(flight, Flight::Local(_)) { ", within the node" } else { "" };
        let outcome = || (format!("accept(#{listening})"), format!("#{number} from {}{within}", message.remote));
        self.note(pid, outcome);
    }
}
