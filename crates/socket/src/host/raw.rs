//! Raw and echo sockets: bind, connect, addresses; and the errors of all sockets that ask for each of them.

use std::net::SocketAddr;

use sockeye_stack::errors::Reported;
use sockeye_stack::raw;

use super::{Host, SocketId, State, set_back};
use crate::errno::Errno;
use crate::raw::{RawSettings, apply};
use crate::settings::{Ipv6Settings, Settings};

impl Host {
    /// A raw or an echo socket, which hears from now on. As on Linux it shares from the beginning (SO_REUSEADDR).
    pub(super) fn raw_socket(&mut self, ipv6: Option<Ipv6Settings>, raw: RawSettings) -> SocketId {
        let body = self.stack.raw_open(ipv6.is_some(), raw.kind);
        let id = self
            .insert(State::Raw(body), Settings { ipv6, raw: Some(raw), reuse_address: true, ..Settings::default() });
        set_back(&mut self.raws, body.index(), id);
        if let Some(socket) = self.sockets.get(id.0) {
            apply(&mut self.stack, body, socket);
        }
        id
    }

    pub(super) fn raw_bind(&mut self, body: raw::SocketId, address: SocketAddr) -> Result<(), Errno> {
        let is_echo = self.stack.raw_sockets().any(|socket| socket.id == body && socket.kind == raw::Kind::Echo);
        let bound = self.stack.raw_local(body).is_some_and(|(_, port)| port != 0);
        // An echo socket has its identifier for good; a raw socket may be bound again while it has no peer.
        if is_echo && bound || self.stack.raw_remote(body).is_some() {
            return Err(Errno::EINVAL);
        }
        Ok(self.stack.raw_bind(body, address.ip(), address.port())?)
    }

    pub(super) fn raw_connect(&mut self, body: raw::SocketId, remote: Option<SocketAddr>) -> Result<(), Errno> {
        Ok(self.stack.raw_connect(body, remote.map(|remote| (remote.ip(), remote.port())))?)
    }

    /// The peer; Linux has none to tell where the program gave no port, which means nothing here.
    pub(super) fn raw_peer(&self, body: raw::SocketId) -> Result<SocketAddr, Errno> {
        match self.stack.raw_remote(body) {
            Some((address, port)) if port != 0 => Ok(SocketAddr::new(address, port)),
            _ => Err(Errno::ENOTCONN),
        }
    }

    /// Whether errors are kept for the program one by one.
    pub fn receives_errors(&self, id: SocketId) -> bool {
        self.settings(id).is_some_and(Settings::receives_errors)
    }

    /// On a socket that receives errors: whether poll(2) says POLLERR, because of the pending error or of those in the queue; and the number of the
    /// youngest of these, 0 if there is none.
    pub fn reported_error(&self, id: SocketId) -> Option<u64> {
        let socket = self.sockets.get(id.0)?;
        let (pending, newest) = match socket.state {
            State::Datagram(Some(udp)) => {
                let status = self.stack.udp_status(udp);
                (status.error.is_some(), status.newest_report)
            }
            State::Raw(raw) => {
                let status = self.stack.raw_status(raw);
                (status.error.is_some(), status.newest_report)
            }
            _ => (false, None),
        };
        newest.or((pending || socket.error.is_some()).then_some(0))
    }

    /// The oldest error of the queue (MSG_ERRQUEUE).
    pub fn take_report(&mut self, id: SocketId) -> Option<Reported> {
        let socket = self.sockets.get_mut(id.0)?;
        match socket.state {
            State::Datagram(Some(udp)) => self.stack.udp_take_report(udp),
            State::Raw(raw) => self.stack.raw_take_report(raw),
            State::Datagram(None) | State::Packet(_) => None,
            _ => socket.reports.take(&mut socket.error),
        }
    }
}
