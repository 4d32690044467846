//! What happened to sockets: events of the stack, readiness, failures.

use sockeye_device::Instant;
use sockeye_stack::{Event, tcp};

use super::{Host, SocketId, State, clear_back};
use crate::errno::Errno;
use crate::names::*;

/// What poll(2) would say, in its flags ([`crate::names`], POLL*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Readiness(pub u16);

impl Readiness {
    /// True if all of `flags` are set.
    pub fn contains(self, flags: u16) -> bool {
        self.0 & flags == flags
    }
}

impl Host {
    /// A socket that something happened to since it was last named here. Look at its readiness, or at its body.
    pub fn poll_event(&mut self) -> Option<SocketId> {
        loop {
            let id = match self.stack.poll_event()? {
                Event::Connection(id) => self.connections.get(id.index()).copied().flatten(),
                Event::Listener(id) => self.listeners.get(id.index()).copied().flatten(),
                Event::Udp(id) => self.datagrams.get(id.index()).copied().flatten(),
                Event::Raw(id) => self.raws.get(id.index()).copied().flatten(),
                Event::Packet(id) => self.packets.get(id.index()).copied().flatten(),
            };
            // What its owner has let go of has no socket any more.
            let Some(id) = id else { continue };
            self.refresh(id);
            return Some(id);
        }
    }

    /// The failure that the program has not been told of, which clears it (SO_ERROR).
    pub fn take_error(&mut self, id: SocketId) -> Option<Errno> {
        self.refresh(id);
        let socket = self.sockets.get_mut(id.0)?;
        match socket.state {
            State::Datagram(Some(udp)) => {
                socket.error.take().or_else(|| self.stack.udp_take_error(udp).map(|error| error.into()))
            }
            State::Raw(raw) => socket.error.take().or_else(|| self.stack.raw_take_error(raw).map(Errno::from)),
            State::Packet(ref packet) => {
                let id = packet.id;
                socket.error.take().or_else(|| self.stack.packet_take_error(id).map(Errno::from))
            }
            State::Connection { id, .. } => {
                socket.error.take().or_else(|| self.stack.tcp_take_error(id).map(Errno::from))
            }
            _ => socket.error.take(),
        }
    }

    /// The failure that ends a call on a stream, which clears it. What may pass is only told to who asks ([`Host::take_error`]).
    pub(super) fn take_failure(&mut self, id: SocketId) -> Option<Errno> {
        self.refresh(id);
        self.sockets.get_mut(id.0)?.error.take()
    }

    /// Whether there is a failure that the program has not been told of.
    pub fn has_error(&self, id: SocketId) -> bool {
        self.sockets.get(id.0).is_some_and(|socket| socket.error.is_some())
    }

    /// What poll(2) says of the socket.
    pub fn readiness(&self, id: SocketId) -> Readiness {
        let Some(socket) = self.sockets.get(id.0) else { return Readiness::default() };
        let mut flags = if socket.error.is_some() { POLLERR } else { 0 };
        match socket.state {
            State::Fresh | State::Bound(_) => flags |= POLLOUT | POLLHUP,
            // Only who carries its bytes knows.
            State::Connection { established: false, .. } | State::Joined { .. } => {}
            State::Connection { id, .. } => {
                let status = self.stack.tcp_status(id);
                if status.readable > 0 || status.peer_closed {
                    flags |= POLLIN;
                }
                if status.send_space > 0 || status.local_closed {
                    flags |= POLLOUT;
                }
                if status.peer_closed {
                    flags |= POLLRDHUP;
                }
                if status.peer_closed && status.local_closed {
                    flags |= POLLHUP;
                }
                if status.error.is_some() {
                    flags |= POLLERR | POLLHUP | POLLIN | POLLOUT;
                }
            }
            State::Listening { id, .. } => {
                if self.stack.tcp_accept_queue(id).0 > 0 {
                    flags |= POLLIN;
                }
            }
            State::Datagram(None) => flags |= POLLOUT,
            State::Packet(ref packet) => {
                flags |= POLLOUT;
                if self.stack.packet_readable(packet.id).is_some() {
                    flags |= POLLIN;
                }
            }
            State::Datagram(Some(udp)) => {
                let status = self.stack.udp_status(udp);
                if status.writable {
                    flags |= POLLOUT;
                }
                if status.readable.is_some() {
                    flags |= POLLIN;
                }
                if status.error.is_some() || status.newest_report.is_some() {
                    flags |= POLLERR;
                }
            }
            State::Raw(raw) => {
                let status = self.stack.raw_status(raw);
                if status.writable {
                    flags |= POLLOUT;
                }
                if status.readable.is_some() {
                    flags |= POLLIN;
                }
                if status.error.is_some() || status.newest_report.is_some() {
                    flags |= POLLERR;
                }
            }
        }
        Readiness(flags)
    }

    /// Brings a connection's socket up to what the stack says: established, or failed and fresh again.
    pub(super) fn refresh(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id.0) else { return };
        let State::Connection { id: connection, bound, established, .. } = &mut socket.state else { return };
        let status = self.stack.tcp_status(*connection);
        if status.error.is_some() {
            socket.error = self.stack.tcp_take_error(*connection).map(Errno::from);
            if let Some(reported) = self.stack.tcp_take_report(*connection) {
                socket.reports.push(*reported);
            }
        }
        if *established || matches!(status.state, tcp::State::SynSent | tcp::State::SynReceived) {
            return;
        }
        if status.state != tcp::State::Closed || status.readable > 0 {
            *established = true;
            return;
        }
        let connection = *connection;
        socket.error = socket.error.or(Some(Errno::ECONNREFUSED));
        socket.was = self.stack.tcp_addresses(connection).map(|flow| flow.local);
        socket.state = bound.map_or(State::Fresh, State::Bound);
        clear_back(&mut self.connections, connection.index());
        // It is over already: this only lets go of what is left of it, at no particular time.
        self.stack.tcp_close(Instant::ZERO, connection);
    }
}
