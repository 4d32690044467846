//! What the owner of a socket asks of it. Nothing here waits.

use super::lite::{self, is_lite};
use super::{
    Error, OVERHEAD, Options, Received, SPARE, SPARE_SIZE, Send, SendError, Socket, SocketId, Status, Summary, Udp,
    Way, max_payload,
};
use crate::Stack;
use crate::bind::{Bind, BindError, Foreign};
use crate::counters::Drop;
use crate::errors::{ErrorQueue, Reported};
use crate::family::FamilyOptions;
use crate::ip::{Ip, Outgoing};
use crate::ipv4::output::{Fragmentation, Manner, SendError as IpError};
use crate::port::PortId;
use crate::route::{AddressKind, or_ourselves};
use sockeye_device::Instant;
use sockeye_filter::Program;
use sockeye_wire::Protocol;
use sockeye_wire::ipv6::{self, Scope};
use sockeye_wire::udp::{CHECKSUM_OFFSET, HEADER_LEN, Repr};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

impl Stack {
    /// A socket at an address and port; port 0 for any that is free.
    pub fn udp_open(&mut self, wish: &Bind) -> Result<SocketId, BindError> {
        self.open_datagram(wish, Protocol::UDP)
    }

    /// The same of UDP-Lite, which has ports of its own. What can be asked of a socket is the same for both.
    pub fn udp_lite_open(&mut self, wish: &Bind) -> Result<SocketId, BindError> {
        self.open_datagram(wish, Protocol::UDP_LITE)
    }

    fn open_datagram(&mut self, wish: &Bind, protocol: Protocol) -> Result<SocketId, BindError> {
        if wish.foreign == Foreign::Never && !self.ip.may_bind(wish.address) {
            return Err(BindError::NotLocal);
        }
        let udp = &mut self.udp;
        let bindings = &mut udp.ports_mut(protocol).bindings;
        let binding = bindings.bind(wish, self.ip.rng.next_u32())?;
        let local = bindings.address(binding).ok_or(BindError::InUse)?;
        let id = udp.sockets.insert(Socket {
            protocol,
            binding,
            bound: local,
            dual: wish.dual,
            local,
            remote: None,
            options: Options { device: wish.device, ..Options::default() },
            reuse_port: wish.reuse_port,
            queue: VecDeque::new(),
            memory: 0,
            error: None,
            reports: ErrorQueue::default(),
            path_mtu: None,
            route: None,
            received: 0,
            sent: 0,
            dropped: 0,
            program: None,
            selection: None,
        });
        udp.hash(id);
        udp.inherit_selection(id);
        Ok(id)
    }

    /// Connects to a peer: others are not heard any more, and errors are. None undoes it. Returns our end.
    pub fn udp_connect(&mut self, id: SocketId, peer: Option<SocketAddr>) -> Result<SocketAddr, SendError> {
        let Stack { udp, ip, .. } = self;
        let socket = udp.sockets.get(id).ok_or(SendError::Closed)?;
        let (bound, options) = (socket.bound, socket.options);
        let local = match peer {
            None => bound,
            Some(peer) if !socket.reaches(peer.ip()) => return Err(unreached(peer)),
            Some(peer) => {
                let own = Some(bound.ip()).filter(|own| options.foreign || ip.is_local(*own));
                let (device, from) = by_group(&options, peer.ip(), options.device, own);
                let preferences = options.family_of(peer.ip()).preferences;
                let route = ip.route_preferring(or_ourselves(peer.ip()), from, device, preferences);
                let route = route?;
                if options.to_neighbors && !route.is_to_neighbor(or_ourselves(peer.ip())) {
                    return Err(SendError::NoRoute);
                }
                if route.kind == AddressKind::Broadcast && !options.broadcast {
                    return Err(SendError::Broadcast);
                }
                // Who listens to a group, or to everybody, goes on to listen there.
                let local = if bound.ip().is_unspecified() { route.source } else { bound.ip() };
                SocketAddr::new(local, bound.port())
            }
        };
        udp.unhash(id);
        if let Some(socket) = udp.sockets.get_mut(id) {
            socket.local = local;
            socket.remote = peer.map(with_ourselves);
            socket.route = None;
            let (protocol, binding) = (socket.protocol, socket.binding);
            udp.ports_mut(protocol).bindings.set_address(binding, local.ip());
        }
        udp.hash(id);
        Ok(local)
    }

    /// Sends a datagram.
    pub fn udp_send(&mut self, now: Instant, id: SocketId, send: &Send<'_>) -> Result<(), SendError> {
        self.udp.send(now, &mut self.ip, id, send)
    }

    /// The oldest datagram that waits.
    pub fn udp_recv(&mut self, id: SocketId) -> Option<Received> {
        let socket = self.udp.sockets.get_mut(id)?;
        let received = socket.queue.pop_front()?;
        let cost = received.headers.len() + received.data.len() + OVERHEAD;
        socket.memory -= cost;
        self.udp.memory -= cost;
        Some(received)
    }

    /// The oldest datagram that waits, which goes on waiting.
    pub fn udp_peek(&self, id: SocketId) -> Option<&Received> {
        self.udp.sockets.get(id)?.queue.front()
    }

    /// Takes back the buffer of a datagram that was received, to be used again.
    pub fn udp_recycle(&mut self, buffer: Vec<u8>) {
        if self.udp.spare.len() < SPARE && buffer.capacity() <= SPARE_SIZE {
            self.udp.spare.push(buffer);
        }
    }

    /// What there is to do for the socket.
    pub fn udp_status(&self, id: SocketId) -> Status {
        self.udp.sockets.get(id).map_or_else(Status::default, |socket| Status {
            readable: socket.queue.front().map(|next| next.data.len()),
            queued: socket.queue.len(),
            writable: !self.udp.sockets.is_blocked(id),
            error: socket.error,
            newest_report: socket.reports.newest(),
        })
    }

    /// Our end.
    pub fn udp_local(&self, id: SocketId) -> Option<SocketAddr> {
        Some(self.udp.sockets.get(id)?.local)
    }

    /// The peer's end, if connected.
    pub fn udp_remote(&self, id: SocketId) -> Option<SocketAddr> {
        self.udp.sockets.get(id)?.remote
    }

    /// What the network said, once.
    pub fn udp_take_error(&mut self, id: SocketId) -> Option<Error> {
        self.udp.sockets.get_mut(id)?.error.take()
    }

    /// The oldest error that was not asked for yet, where the socket receives them.
    pub fn udp_take_report(&mut self, id: SocketId) -> Option<Reported> {
        let socket = self.udp.sockets.get_mut(id)?;
        let (reported, pending) = socket.reports.pop()?;
        if let Some(pending) = pending {
            socket.error = pending.map(Error::Reported);
        }
        Some(reported)
    }

    /// To whom a packet was too long, and how long it may be, once (`IPV6_RECVPATHMTU`).
    pub fn udp_take_path_mtu(&mut self, id: SocketId) -> Option<(SocketAddr, u16)> {
        self.udp.sockets.get_mut(id)?.path_mtu.take()
    }

    /// The socket's settings.
    pub fn udp_options(&self, id: SocketId) -> Option<&Options> {
        Some(&self.udp.sockets.get(id)?.options)
    }

    /// Changes them.
    pub fn udp_set_options(&mut self, id: SocketId, options: Options) {
        if let Some(socket) = self.udp.sockets.get_mut(id) {
            if !options.family.iter().any(|family| family.receive_errors) {
                socket.reports.clear();
            }
            socket.options = options;
            socket.route = None;
        }
    }

    /// What the socket gets goes through this filter first; none: it gets all.
    pub fn udp_set_filter(&mut self, id: SocketId, program: Option<Arc<Program>>) {
        if let Some(socket) = self.udp.sockets.get_mut(id) {
            socket.program = program;
        }
    }

    /// `SO_REUSEADDR` and `SO_REUSEPORT` have been set after binding.
    pub fn udp_set_reuse(&mut self, id: SocketId, reuse_address: bool, reuse_port: bool) {
        if let Some(socket) = self.udp.sockets.get_mut(id) {
            socket.reuse_port = reuse_port;
            let (protocol, binding) = (socket.protocol, socket.binding);
            self.udp.ports_mut(protocol).bindings.set_reuse(binding, reuse_address, reuse_port);
        }
    }

    /// The largest packet on the way to the peer (`IP_MTU`), if connected; also of a socket that does not heed it.
    pub fn udp_path_mtu(&self, id: SocketId) -> Option<u16> {
        let socket = self.udp.sockets.get(id)?;
        let remote = socket.remote?.ip();
        let family = socket.options.family_of(remote);
        let route = self.ip.route_by(remote, Some(socket.local.ip()), socket.options.device.or(family.port)).ok()?;
        Some(route.mtu)
    }

    /// The end of a socket, and of what it has not read.
    pub fn udp_close(&mut self, id: SocketId) {
        self.udp.unhash(id);
        let udp = &mut self.udp;
        let Some(socket) = udp.sockets.remove(id) else { return };
        udp.memory -= socket.memory;
        udp.ports_mut(socket.protocol).bindings.release(socket.binding);
    }

    /// All sockets.
    pub fn udp_sockets(&self) -> impl Iterator<Item = Summary> + '_ {
        self.udp.sockets.iter().map(|(id, socket)| Summary {
            id,
            protocol: socket.protocol,
            local: socket.local,
            remote: socket.remote,
            receive_memory: socket.memory,
            receive_buffer: socket.options.receive_buffer,
            received: socket.received,
            sent: socket.sent,
            dropped: socket.dropped,
        })
    }
}

impl Socket {
    /// The label of what goes there, unless a datagram names its own. Of a socket that speaks to many the peer's port is no part of the flow.
    fn label(&self, ip: &Ip, source: IpAddr, to: SocketAddr) -> u32 {
        if to.is_ipv4() || !self.options.family_of(to.ip()).labels {
            return 0;
        }
        let peer = self.remote.unwrap_or(SocketAddr::new(to.ip(), 0));
        ip.flow_label(self.protocol, SocketAddr::new(source, self.local.port()), peer)
    }
}

/// The host itself, for who sends to nobody in particular.
fn with_ourselves(to: SocketAddr) -> SocketAddr {
    SocketAddr::new(or_ourselves(to.ip()), to.port())
}

/// No way leads from an address of IPv6 to one of IPv4; Linux tells the two cases apart.
fn unreached(peer: SocketAddr) -> SendError {
    if peer.is_ipv4() { SendError::NoRoute } else { SendError::Family }
}

impl Udp {
    fn send(&mut self, now: Instant, ip: &mut Ip, id: SocketId, send: &Send<'_>) -> Result<(), SendError> {
        let socket = self.sockets.get_mut(id).ok_or(SendError::Closed)?;
        let to = with_ourselves(send.to.or(socket.remote).ok_or(SendError::NotConnected)?);
        if !socket.reaches(to.ip()) {
            return Err(unreached(to));
        }
        if to.port() == 0 {
            return Err(SendError::Destination);
        }
        let len = send.payload.iter().map(|slice| slice.len()).sum::<usize>();
        // Over IPv6 a program that asks for errors is told what would do, however long this is; over IPv4 only of what a length can say.
        if to.is_ipv4() && len > usize::from(u16::MAX) {
            return Err(SendError::MessageSize);
        }
        let too_long = to.is_ipv4() && len > max_payload(to.ip());
        // A routing header's first stop decides which way it goes.
        let next = match (to.ip(), send.headers) {
            (IpAddr::V6(to), Some(headers)) => headers.next_stop(to).into(),
            (to, _) => to,
        };
        let foreign = socket.options.foreign;
        if let Some(from) = send.from.filter(|from| !from.is_unspecified() && !foreign) {
            ip.check_source(from)?;
        }
        // A socket that is bound to everybody's address hears there, but cannot speak from it.
        // One that is connected over IPv6 may send to a mapped address all the same, from another.
        let own = Some(socket.local.ip());
        let own =
            own.filter(|own| own.is_ipv4() == to.is_ipv4() && (ip.is_local(*own) || foreign && !own.is_multicast()));
        let from = send.from.filter(|from| !from.is_unspecified()).or(own);
        let device = send.device.or(socket.options.device);
        let (device, from) = by_group(&socket.options, to.ip(), device, from);
        let way = Way { to: next, from, device, generation: ip.route_generation() };
        let family = *socket.options.family_of(to.ip());
        let (mut route, label) = match socket.route {
            Some((last, route, label)) if last == way => (route, label),
            _ => {
                let found = ip.route_preferring(next, from, device, family.preferences);
                let found = found?;
                let label = socket.label(ip, found.source, to);
                socket.route = Some((way, found, label));
                (found, label)
            }
        };
        if (send.to_neighbor || socket.options.to_neighbors) && !route.is_to_neighbor(next) {
            return Err(SendError::NoRoute);
        }
        let groups = *socket.options.groups_of(to.ip());
        let Options { broadcast, checksum, checksum_v6, .. } = socket.options;
        let FamilyOptions { ttl, tos, .. } = family;
        let ttl = ttl.unwrap_or(route.hop_limit);
        let fragmentation = send.fragmentation.unwrap_or(family.fragmentation);
        let (ttl, fragmentation) = match route.kind {
            AddressKind::Broadcast if !broadcast => return Err(SendError::Broadcast),
            AddressKind::Broadcast => (ttl, Fragmentation::Anywhere),
            AddressKind::Multicast => (groups.hops, Fragmentation::Anywhere),
            AddressKind::Invalid => return Err(SendError::Destination),
            AddressKind::Local | AddressKind::Anycast | AddressKind::Unicast => (ttl, fragmentation),
        };
        if !fragmentation.heeds_path() {
            route.mtu = ip.port(route.port).mtu;
        }
        route.mtu = family.limit(route.mtu);
        let lite = is_lite(socket.protocol);
        // RFC 8200 section 8.1: over IPv6 there is no datagram without, but where a tunnel has asked for it (RFC 6935).
        let checksum = if to.is_ipv6() { checksum_v6 } else { checksum };
        let outgoing = Outgoing {
            source: from.unwrap_or(route.source),
            destination: to.ip(),
            protocol: socket.protocol,
            ttl: send.ttl.unwrap_or(ttl),
            tos: send.tos.unwrap_or(tos),
            // No device knows what a part of a datagram is.
            checksum_offset: (checksum && !lite).then_some(CHECKSUM_OFFSET as u16),
            segment_size: None,
        };
        let mut header = [0; HEADER_LEN];
        let len = len.min(max_payload(to.ip()));
        if lite {
            let ports = (socket.local.port(), to.port());
            header = lite::header(&outgoing, ports, socket.options.send_coverage, (len, send.payload));
        } else {
            Repr { src_port: socket.local.port(), dst_port: to.port() }.emit(len, &mut header);
        }
        let flow_label = send.flow_label.unwrap_or(label);
        let manner = Manner { fragmentation, options: send.options, headers: send.headers, flow_label };
        let comes_back = !route.port.is_loopback()
            && match route.kind {
                AddressKind::Multicast => groups.loops && ip.multicast.admits(route.port, to.ip(), outgoing.source),
                kind => kind == AddressKind::Broadcast,
            };
        let leaves = route.kind != AddressKind::Multicast || outgoing.ttl > 0 && !stays(to.ip());
        let sent = match (comes_back && !ip.copies.has_room(), leaves || route.port.is_loopback()) {
            _ if too_long => Err(IpError::MessageSize),
            (true, _) => Err(IpError::Full),
            (false, true) => ip.send_by(now, &route, &outgoing, &manner, &header, send.payload),
            (false, false) => Ok(()),
        };
        match sent {
            Ok(()) => {
                if comes_back {
                    ip.bring_back(route.port, &outgoing, &header, send.payload);
                }
                socket.sent += 1;
                let counters = &mut ip.counters;
                *(if lite { &mut counters.udp_lite_datagrams_sent } else { &mut counters.udp_datagrams_sent }) += 1;
                counters.udp_v6_datagrams_sent += u64::from(!lite && to.is_ipv6());
                Ok(())
            }
            Err(IpError::Full) => {
                self.sockets.block(id);
                Err(SendError::Full)
            }
            Err(IpError::NoRoute) => Err(SendError::NoRoute),
            Err(IpError::HostUnreachable) => Err(SendError::HostUnreachable),
            Err(IpError::LinkDown) => Err(SendError::LinkDown),
            Err(IpError::MessageSize) => {
                if to.is_ipv6() && socket.options.tells_path_mtu {
                    socket.path_mtu = Some((SocketAddr::new(to.ip(), 0), route.mtu));
                    self.sockets.notify(id);
                }
                let Some(socket) = self.sockets.get_mut(id) else { return Err(SendError::MessageSize) };
                if socket.receives_errors(to.is_ipv6()) {
                    // Of IPv4 Linux tells the peer's port only.
                    let peer = socket.remote.map_or(0, |remote| remote.port());
                    let to = SocketAddr::new(to.ip(), if to.is_ipv6() { to.port() } else { peer });
                    let (memory, limit) = (socket.memory, socket.options.receive_buffer);
                    if !socket.reports.push_too_long(now, outgoing.source, to, route.mtu, (memory, limit)) {
                        ip.counters.drop(Drop::ErrorQueueFull);
                    }
                    self.sockets.notify(id);
                }
                Err(SendError::MessageSize)
            }
            Err(IpError::Family) => Err(SendError::Family),
        }
    }
}

/// By which port, and from where: a group may have a way of its own, where nobody says another.
fn by_group(
    options: &Options,
    to: IpAddr,
    device: Option<PortId>,
    from: Option<IpAddr>,
) -> (Option<PortId>, Option<IpAddr>) {
    if !to.is_multicast() {
        return (device.or(options.family_of(to).port), from);
    }
    let groups = options.groups_of(to);
    (device.or(groups.port), from.or(groups.source))
}

/// True for a group that does not reach beyond the host (RFC 4291, 2.7).
fn stays(group: IpAddr) -> bool {
    matches!(group, IpAddr::V6(group) if ipv6::scope(group).0 <= Scope::INTERFACE_LOCAL.0)
}
