//! What the owner of a socket asks of it. Nothing here waits.

use super::{Kind, OVERHEAD, Options, Raw, Received, Send, SendError, Socket, SocketId, Status, Summary};
use crate::Stack;
use crate::bind::{BindError, EPHEMERAL};
use crate::errors::{Cause, ErrorQueue, Reported};
use crate::ip::Ip;
use crate::route::{AddressKind, or_ourselves};
use sockeye_device::Instant;
use sockeye_filter::Program;
use sockeye_wire::Protocol;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Buffers of packets that were read, kept for the next.
const SPARE: usize = 64;
/// Larger ones are not kept.
const SPARE_SIZE: usize = 2_048;

impl Stack {
    /// A socket of a family. A raw socket hears from now on, an echo socket when it has an identifier.
    pub fn raw_open(&mut self, ipv6: bool, kind: Kind) -> SocketId {
        let raw = &mut self.raw;
        let any: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let protocol = |protocol: Protocol| kind == Kind::Protocol(protocol.0);
        let options = Options {
            header_included: kind == Kind::Protocol(255),
            // RFC 3542, 3.1: always so.
            checksum_offset: (ipv6 && protocol(Protocol::ICMPV6)).then_some(2),
            ..Options::default()
        };
        let id = raw.sockets.insert(Socket {
            ipv6,
            kind,
            identifier: 0,
            bound: any,
            local: any,
            remote: None,
            options,
            queue: VecDeque::new(),
            memory: 0,
            error: None,
            reports: ErrorQueue::default(),
            path_mtu: None,
            received: 0,
            sent: 0,
            dropped: 0,
            program: None,
        });
        if let Kind::Protocol(protocol) = kind {
            raw.by_protocol.insert((ipv6, protocol), id.index() as u32);
        }
        id
    }

    /// Binds to an address; an echo socket to an identifier, too (0: to any that is free), and once only.
    pub fn raw_bind(&mut self, id: SocketId, address: IpAddr, identifier: u16) -> Result<(), BindError> {
        let Stack { raw, ip, .. } = self;
        let socket = raw.sockets.get(id).ok_or(BindError::NotLocal)?;
        let anywhere = socket.options.binds_anywhere;
        if address.is_ipv6() != socket.ipv6 || !anywhere && !ip.may_bind(address) {
            return Err(BindError::NotLocal);
        }
        if socket.kind == Kind::Echo {
            if !address.is_unspecified() && !anywhere && !ip.is_local(address) {
                return Err(BindError::NotLocal);
            }
            raw.identify(ip, id, identifier)?;
        }
        if let Some(socket) = raw.sockets.get_mut(id) {
            (socket.bound, socket.local) = (address, address);
        }
        Ok(())
    }

    /// Connects to a peer: others are not heard any more, and errors are. None undoes it. The port is given back and means nothing.
    ///
    /// As on Linux a raw socket of IPv6 may be connected to somebody of IPv4. It can then do nothing but say so.
    pub fn raw_connect(&mut self, id: SocketId, peer: Option<(IpAddr, u16)>) -> Result<(), SendError> {
        let Stack { raw, ip, .. } = self;
        let socket = raw.sockets.get(id).ok_or(SendError::Closed)?;
        let (local, remote) = match peer {
            None => (socket.bound, None),
            Some((peer, _)) if !socket.may_name(peer) => return Err(SendError::Family),
            Some((peer, _)) if peer.is_ipv4() && socket.ipv6 && !socket.bound.is_unspecified() => {
                return Err(SendError::Destination);
            }
            Some((peer, port)) => {
                let peer = or_ourselves(peer);
                let own = Some(socket.bound).filter(|own| ip.is_local(*own));
                let Options { family, device, .. } = socket.options;
                let device = device.or(family.port.filter(|_| !peer.is_multicast()));
                let route = ip.route_preferring(peer, own, device, family.preferences);
                let route = route?;
                if socket.options.to_neighbors && !route.is_to_neighbor(peer) {
                    return Err(SendError::NoRoute);
                }
                if route.kind == AddressKind::Broadcast && !socket.options.broadcast {
                    return Err(SendError::Broadcast);
                }
                let local = if socket.bound.is_unspecified() { route.source } else { socket.bound };
                (local, Some((peer, port)))
            }
        };
        raw.identified(ip, id)?;
        if let Some(socket) = raw.sockets.get_mut(id) {
            (socket.local, socket.remote) = (local, remote);
        }
        Ok(())
    }

    /// Sends a packet.
    pub fn raw_send(&mut self, now: Instant, id: SocketId, send: &Send<'_>) -> Result<(), SendError> {
        self.raw.send(now, &mut self.ip, id, send)
    }

    /// The oldest packet that waits.
    pub fn raw_recv(&mut self, id: SocketId) -> Option<Received> {
        let socket = self.raw.sockets.get_mut(id)?;
        let received = socket.queue.pop_front()?;
        let cost = received.headers.len() + received.data.len() + OVERHEAD;
        socket.memory -= cost;
        self.raw.memory -= cost;
        Some(received)
    }

    /// Takes back the buffer of a packet that was received, to be used again.
    pub fn raw_recycle(&mut self, buffer: Vec<u8>) {
        if self.raw.spare.len() < SPARE && buffer.capacity() <= SPARE_SIZE {
            self.raw.spare.push(buffer);
        }
    }

    /// What there is to do for the socket.
    pub fn raw_status(&self, id: SocketId) -> Status {
        self.raw.sockets.get(id).map_or_else(Status::default, |socket| Status {
            readable: socket.queue.front().map(|next| next.data.len()),
            queued: socket.queue.len(),
            writable: !self.raw.sockets.is_blocked(id),
            error: socket.error,
            newest_report: socket.reports.newest(),
        })
    }

    /// Where it is bound, or what connecting has chosen; with the identifier of an echo socket, or the protocol.
    pub fn raw_local(&self, id: SocketId) -> Option<(IpAddr, u16)> {
        let socket = self.raw.sockets.get(id)?;
        let number = match socket.kind {
            Kind::Protocol(protocol) => protocol.into(),
            Kind::Echo => socket.identifier,
        };
        Some((socket.local, number))
    }

    /// The peer, if connected.
    pub fn raw_remote(&self, id: SocketId) -> Option<(IpAddr, u16)> {
        self.raw.sockets.get(id)?.remote
    }

    /// What the network said, once.
    pub fn raw_take_error(&mut self, id: SocketId) -> Option<Cause> {
        self.raw.sockets.get_mut(id)?.error.take()
    }

    /// The oldest error that was not asked for yet, where the socket receives them.
    pub fn raw_take_report(&mut self, id: SocketId) -> Option<Reported> {
        let socket = self.raw.sockets.get_mut(id)?;
        let (reported, pending) = socket.reports.pop()?;
        if let Some(pending) = pending {
            socket.error = pending;
        }
        Some(reported)
    }

    /// To whom a packet was too long, and how long it may be, once (`IPV6_RECVPATHMTU`).
    pub fn raw_take_path_mtu(&mut self, id: SocketId) -> Option<(SocketAddr, u16)> {
        self.raw.sockets.get_mut(id)?.path_mtu.take()
    }

    /// The socket's settings.
    pub fn raw_options(&self, id: SocketId) -> Option<&Options> {
        Some(&self.raw.sockets.get(id)?.options)
    }

    /// Changes them.
    pub fn raw_set_options(&mut self, id: SocketId, options: Options) {
        if let Some(socket) = self.raw.sockets.get_mut(id) {
            if !options.family.receive_errors {
                socket.reports.clear();
            }
            socket.options = options;
        }
    }

    /// What the socket gets goes through this filter first; none: it gets all.
    pub fn raw_set_filter(&mut self, id: SocketId, program: Option<Arc<Program>>) {
        if let Some(socket) = self.raw.sockets.get_mut(id) {
            socket.program = program;
        }
    }

    /// The largest packet on the way to the peer (`IP_MTU`), if connected; also of a socket that does not heed it.
    pub fn raw_path_mtu(&self, id: SocketId) -> Option<u16> {
        let socket = self.raw.sockets.get(id)?;
        let own = Some(socket.local).filter(|own| self.ip.is_local(*own));
        let route =
            self.ip.route_by(socket.remote?.0, own, socket.options.device.or(socket.options.family.port)).ok()?;
        Some(route.mtu)
    }

    /// The end of a socket, and of what it has not read.
    pub fn raw_close(&mut self, id: SocketId) {
        let raw = &mut self.raw;
        let Some(socket) = raw.sockets.remove(id) else { return };
        let index = id.index() as u32;
        raw.memory -= socket.memory;
        match socket.kind {
            Kind::Protocol(protocol) => raw.by_protocol.remove(&(socket.ipv6, protocol), index),
            Kind::Echo => raw.by_identifier.remove(&socket.identifier, index),
        }
    }

    /// All sockets.
    pub fn raw_sockets(&self) -> impl Iterator<Item = Summary> + '_ {
        self.raw.sockets.iter().map(|(id, socket)| Summary {
            id,
            kind: socket.kind,
            receive_memory: socket.memory,
            receive_buffer: socket.options.receive_buffer,
            received: socket.received,
            sent: socket.sent,
            dropped: socket.dropped,
        })
    }
}

impl Socket {
    /// True for whom it can be connected to.
    fn may_name(&self, peer: IpAddr) -> bool {
        match (self.ipv6, peer) {
            (false, peer) => peer.is_ipv4(),
            (true, IpAddr::V4(_)) => self.kind != Kind::Echo,
            // One that was connected over IPv4 comes from there.
            (true, IpAddr::V6(_)) => self.local.is_ipv6(),
        }
    }
}

impl Raw {
    /// Gives an echo socket its identifier, once.
    fn identify(&mut self, ip: &mut Ip, id: SocketId, wish: u16) -> Result<(), BindError> {
        let socket = self.sockets.get(id).ok_or(BindError::NotLocal)?;
        if socket.identifier != 0 {
            return Err(BindError::InUse);
        }
        let shares = socket.options.reuse_address;
        let (first, count) = (*EPHEMERAL.start(), u32::from(EPHEMERAL.end() - EPHEMERAL.start()) + 1);
        let identifier = match wish {
            0 => {
                let offset = ip.rng.below(count);
                let mut candidates = (0..count).map(|step| first + ((offset + step) % count) as u16);
                candidates.find(|wish| !self.by_identifier.contains(wish)).ok_or(BindError::NoPorts)?
            }
            wish => {
                let mut holders = self.by_identifier.find(&wish).iter();
                let taken =
                    |&other: &u32| !(shares && self.sockets.at(other).is_some_and(|other| other.options.reuse_address));
                if holders.any(taken) {
                    return Err(BindError::InUse);
                }
                wish
            }
        };
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.identifier = identifier;
        }
        self.by_identifier.insert(identifier, id.index() as u32);
        Ok(())
    }

    /// An echo socket that has no identifier gets one.
    pub(super) fn identified(&mut self, ip: &mut Ip, id: SocketId) -> Result<(), SendError> {
        match self.sockets.get(id).ok_or(SendError::Closed)? {
            Socket { kind: Kind::Echo, identifier: 0, .. } => self.identify(ip, id, 0).map_err(|_| SendError::Full),
            _ => Ok(()),
        }
    }
}
