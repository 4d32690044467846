//! UDP: which socket a datagram is for, its queue, and the way out.
//!
//! **Which socket.** As Linux scores them: one that is connected to exactly this peer, before one that is bound to exactly
//! this address, before one that is bound to all; among equals one bound to the device that it came by, then the
//! youngest. Sockets that share a port by `SO_REUSEPORT` share its datagrams by a hash of the four addresses, so that a
//! peer stays with its socket. A broadcast goes to every socket that it matches. Three keyed hash tables, so the cost
//! does not grow with the number of sockets.
//!
//! **Queue.** What a socket has not read is bounded by its receive buffer, with what keeping it costs; what comes beyond
//! is dropped and counted for the socket too.
//!
//! **Errors.** What ICMP says of a datagram concerns a connected socket only (others cannot tell which of their peers is
//! meant), and only what is final, as Linux has it; that the next hop does not answer is told too.
//!
//! # Standards
//!
//! RFC 768, RFC 1122 §4.1, RFC 8085 §3.2 (path MTU), RFC 5927; Linux udp(7), socket(7).

use crate::bind::{Bind, BindError, BindingId, Bindings};
use crate::counters::Drop;
use crate::hash::{Keyed, Keys};
use crate::ip::{IcmpError, Incoming, Ip, Outgoing};
use crate::ipv4::output::{Fragmentation, Manner, SendError as IpError};
use crate::port::PortId;
use crate::route::{AddressKind, RouteEntry};
use crate::{Event, Stack};
use hashbrown::HashMap;
use sockeye_device::{Checksum, Instant};
use sockeye_wire::Protocol;
use sockeye_wire::udp::{CHECKSUM_OFFSET, Datagram, HEADER_LEN, Quoted, Repr};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The largest payload over IPv4.
pub const MAX_PAYLOAD: usize = 65_535 - 20 - HEADER_LEN;
/// What keeping a datagram costs a receive buffer besides its bytes.
const OVERHEAD: usize = 512;
/// Buffers of datagrams that were read, kept for the next.
const SPARE: usize = 256;

/// A socket. Goes stale when it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId {
    index: u32,
    generation: u32,
}

impl SocketId {
    /// A dense index: small, and used again after the end.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// What a socket's owner may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `SO_RCVBUF`: what may wait to be read, with what keeping it costs.
    pub receive_buffer: usize,
    /// `IP_TTL`.
    pub ttl: u8,
    /// `IP_MULTICAST_TTL`.
    pub multicast_ttl: u8,
    /// `IP_TOS`.
    pub tos: u8,
    /// `SO_BROADCAST`.
    pub broadcast: bool,
    /// `IP_MTU_DISCOVER`.
    pub fragmentation: Fragmentation,
    /// `SO_NO_CHECK` turned around: datagrams carry a checksum.
    pub checksum: bool,
    /// `SO_BINDTODEVICE`: only by this port, both ways.
    pub device: Option<PortId>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            receive_buffer: 212_992,
            ttl: 64,
            multicast_ttl: 1,
            tos: 0,
            broadcast: false,
            fragmentation: Fragmentation::WhenNeeded,
            checksum: true,
            device: None,
        }
    }
}

/// A datagram to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Send<'a> {
    /// To whom; none for the peer that the socket is connected to.
    pub to: Option<SocketAddr>,
    /// From which of our addresses (`IP_PKTINFO`); none for the socket's, or the best.
    pub from: Option<IpAddr>,
    /// Instead of the socket's.
    pub ttl: Option<u8>,
    /// Instead of the socket's.
    pub tos: Option<u8>,
    /// What it carries, in order.
    pub payload: &'a [&'a [u8]],
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The port's queue is full. An event comes when it is worth trying again.
    Full,
    /// There is no socket of that identity.
    Closed,
    /// No destination was given, and the socket is not connected.
    NotConnected,
    /// A port of zero, or an address that is nobody's.
    Destination,
    /// The source is not one of our addresses.
    NotLocal,
    /// To everybody, without leave (`SO_BROADCAST`).
    Broadcast,
    /// There is no route.
    NoRoute,
    /// The neighbour does not answer.
    HostUnreachable,
    /// The link is down.
    LinkDown,
    /// Larger than a datagram can be, or than the path carries where it may not be cut.
    MessageSize,
    /// An address of another family than the socket's.
    Family,
}

/// What the network said of datagrams that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Nobody has the port, or the host does not speak UDP.
    Refused,
    /// The next hop does not answer.
    HostUnreachable,
    /// A filter forbids it.
    Prohibited,
    /// It was larger than the path carries, and was not to be cut.
    MessageSize,
    /// A header was not understood.
    Protocol,
}

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// From whom.
    pub from: SocketAddr,
    /// To which of our addresses.
    pub to: SocketAddr,
    /// By which port.
    pub port: PortId,
    /// As it arrived.
    pub ttl: u8,
    /// As it arrived.
    pub tos: u8,
    /// When it arrived.
    pub timestamp: Instant,
    /// What it carried. Give the buffer back with [`Stack::udp_recycle`].
    pub data: Vec<u8>,
}

/// What an owner looks at when it was told that something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Status {
    /// Length of the next datagram, if there is one.
    pub readable: Option<usize>,
    /// Datagrams that wait.
    pub queued: usize,
    /// False after [`SendError::Full`], until there is room.
    pub writable: bool,
    /// What the network said. Stays until [`Stack::udp_take_error`].
    pub error: Option<Error>,
}

/// A socket, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub id: SocketId,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's, if connected.
    pub remote: Option<SocketAddr>,
    /// Charged to the receive buffer.
    pub receive_memory: usize,
    /// Size of the receive buffer.
    pub receive_buffer: usize,
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams dropped for want of room.
    pub dropped: u64,
}

struct Socket {
    binding: BindingId,
    /// Where it was bound; the address may be unspecified though it is connected from one.
    bound: SocketAddr,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    options: Options,
    reuse_port: bool,
    queue: VecDeque<Received>,
    memory: usize,
    error: Option<Error>,
    queued_event: bool,
    blocked: bool,
    /// The route that was used last, to whom and from where.
    route: Option<(IpAddr, Option<IpAddr>, u64, RouteEntry)>,
    received: u64,
    sent: u64,
    dropped: u64,
}

struct Slot {
    generation: u32,
    socket: Option<Socket>,
}

/// All of a host's UDP.
pub(crate) struct Udp {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// By local address and port; unspecified for all addresses.
    bound: HashMap<SocketAddr, Vec<u32>, Keyed>,
    /// By local and remote address and port.
    connected: HashMap<(SocketAddr, SocketAddr), Vec<u32>, Keyed>,
    bindings: Bindings,
    hasher: Keyed,
    events: VecDeque<SocketId>,
    blocked: Vec<SocketId>,
    spare: Vec<Vec<u8>>,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    Dropped(Drop),
}

impl Udp {
    pub(crate) fn new(keys: &Keys) -> Self {
        Udp {
            slots: Vec::new(),
            free: Vec::new(),
            bound: HashMap::with_hasher(keys.hasher(b"udp bound")),
            connected: HashMap::with_hasher(keys.hasher(b"udp connected")),
            bindings: Bindings::new(keys.hasher(b"udp bindings")),
            hasher: keys.hasher(b"udp reuse"),
            events: VecDeque::new(),
            blocked: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// A datagram has arrived: `bytes`, from its UDP header on.
    pub(crate) fn handle_datagram(&mut self, now: Instant, ip: &mut Ip, incoming: &Incoming, bytes: &[u8]) -> Outcome {
        let Ok(datagram) = Datagram::parse(bytes) else { return Outcome::Dropped(Drop::UdpMalformed) };
        let needs_check = incoming.checksum == Checksum::Present;
        if needs_check && !datagram.verify_checksum(incoming.source, incoming.destination) {
            return Outcome::Dropped(Drop::UdpChecksum);
        }
        let from = SocketAddr::new(incoming.source, datagram.src_port());
        let to = SocketAddr::new(incoming.destination, datagram.dst_port());
        let (one, many) = if incoming.unicast {
            (self.find(from, to, incoming.port), Vec::new())
        } else {
            (None, self.find_all(to, incoming.port))
        };
        if one.is_none() && many.is_empty() {
            return Outcome::Dropped(Drop::UdpNoSocket);
        }
        // A super-datagram of a sender on this machine: each piece is one that it sent.
        let size = incoming.segmentation.map_or(usize::MAX, |cut| usize::from(cut.size).max(1));
        for index in one.into_iter().chain(many) {
            let mut rest = datagram.payload();
            loop {
                let (piece, more) = rest.split_at(rest.len().min(size));
                self.deliver(now, ip, index, (from, to), incoming, piece);
                rest = more;
                if rest.is_empty() {
                    break;
                }
            }
        }
        Outcome::Taken
    }

    fn deliver(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        index: u32,
        (from, to): (SocketAddr, SocketAddr),
        incoming: &Incoming,
        payload: &[u8],
    ) {
        let slot = &mut self.slots[index as usize];
        let Some(socket) = slot.socket.as_mut() else { return };
        let cost = payload.len() + OVERHEAD;
        // As Linux: one more is taken while there is any room at all, so that a small buffer still takes a large one.
        if socket.memory > socket.options.receive_buffer.saturating_sub(cost) && socket.memory > 0 {
            socket.dropped += 1;
            return ip.counters.drop(Drop::UdpReceiveBuffer);
        }
        let mut data = self.spare.pop().unwrap_or_default();
        data.clear();
        data.extend_from_slice(payload);
        let Incoming { port, ttl, tos, .. } = *incoming;
        socket.queue.push_back(Received { from, to, port, ttl, tos, timestamp: now, data });
        socket.memory += cost;
        socket.received += 1;
        ip.counters.udp_datagrams_received += 1;
        notify(&mut self.events, socket, SocketId { index, generation: slot.generation });
    }

    /// The one socket for a datagram.
    fn find(&self, from: SocketAddr, to: SocketAddr, port: PortId) -> Option<u32> {
        let connected = if self.connected.is_empty() { None } else { self.connected.get(&(to, from)) };
        connected
            .and_then(|found| self.best(found, from, to, port))
            .or_else(|| self.best(self.bound.get(&to)?, from, to, port))
            .or_else(|| self.best(self.bound.get(&any(to))?, from, to, port))
    }

    /// Among sockets that match equally well: bound to the device, then sharing, then the youngest.
    fn best(&self, found: &[u32], from: SocketAddr, to: SocketAddr, port: PortId) -> Option<u32> {
        let with_device = |&index: &u32| self.at(index).is_some_and(|socket| socket.options.device == Some(port));
        let without = |&index: &u32| self.at(index).is_some_and(|socket| socket.options.device.is_none());
        let is_on_device = found.iter().any(with_device);
        let matching = || {
            found.iter().copied().filter(move |index| if is_on_device { with_device(index) } else { without(index) })
        };
        let youngest = matching().next_back()?;
        if !self.at(youngest).is_some_and(|socket| socket.reuse_port) {
            return Some(youngest);
        }
        let sharing = || matching().filter(|&index| self.at(index).is_some_and(|socket| socket.reuse_port));
        let choice = self.hasher.hash(&(from, to)) as usize % sharing().count();
        sharing().nth(choice)
    }

    /// All sockets for a datagram to everybody.
    fn find_all(&self, to: SocketAddr, port: PortId) -> Vec<u32> {
        let exact = self.bound.get(&to).into_iter().flatten();
        let all = self.bound.get(&any(to)).into_iter().flatten();
        exact
            .chain(all)
            .copied()
            .filter(|&index| {
                self.at(index).is_some_and(|socket| socket.options.device.is_none_or(|device| device == port))
            })
            .collect()
    }

    /// An ICMP error about a datagram of ours, with the original's transport header.
    pub(crate) fn handle_icmp(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        error: IcmpError,
        source: IpAddr,
        destination: IpAddr,
        original: &[u8],
    ) {
        let Ok(quoted) = Quoted::parse(original) else { return ip.counters.drop(Drop::IcmpMalformed) };
        let local = SocketAddr::new(source, quoted.src_port);
        let remote = SocketAddr::new(destination, quoted.dst_port);
        let connected = self.connected.get(&(local, remote)).and_then(|found| found.last().copied());
        let known = connected.or_else(|| self.find(remote, local, PortId::LOOPBACK));
        let Some(index) = known else { return ip.counters.drop(Drop::IcmpNoSocket) };
        ip.counters.icmp_errors_delivered += 1;
        if let IcmpError::FragmentationNeeded { mtu, packet } = error {
            ip.learn_path_mtu(now, destination, mtu, packet);
        }
        let Some(error) = self.final_error(index, error) else { return };
        if let Some(index) = connected {
            self.set_error(index, error);
        }
    }

    /// The next hop of a datagram of ours does not answer.
    pub(crate) fn handle_unreachable(&mut self, source: IpAddr, destination: IpAddr, original: &[u8]) {
        let Ok(quoted) = Quoted::parse(original) else { return };
        let local = SocketAddr::new(source, quoted.src_port);
        let remote = SocketAddr::new(destination, quoted.dst_port);
        if let Some(&index) = self.connected.get(&(local, remote)).and_then(|found| found.last()) {
            self.set_error(index, Error::HostUnreachable);
        }
    }

    /// What is final about an error. The others say only that the network has trouble at the moment.
    fn final_error(&self, index: u32, error: IcmpError) -> Option<Error> {
        match error {
            IcmpError::PortUnreachable | IcmpError::ProtocolUnreachable => Some(Error::Refused),
            IcmpError::Prohibited => Some(Error::Prohibited),
            IcmpError::ParameterProblem => Some(Error::Protocol),
            IcmpError::FragmentationNeeded { .. } => {
                let never = self.at(index).is_some_and(|found| found.options.fragmentation == Fragmentation::Never);
                never.then_some(Error::MessageSize)
            }
            IcmpError::NetworkUnreachable | IcmpError::HostUnreachable | IcmpError::TimeExceeded => None,
        }
    }

    fn set_error(&mut self, index: u32, error: Error) {
        let slot = &mut self.slots[index as usize];
        if let Some(socket) = slot.socket.as_mut() {
            socket.error = Some(error);
            notify(&mut self.events, socket, SocketId { index, generation: slot.generation });
        }
    }

    /// The queues towards the devices have become shorter: whoever was refused may try again.
    pub(crate) fn handle_room(&mut self) {
        for id in std::mem::take(&mut self.blocked) {
            let Some(slot) = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation) else {
                continue;
            };
            if let Some(socket) = slot.socket.as_mut() {
                socket.blocked = false;
                notify(&mut self.events, socket, id);
            }
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        while let Some(id) = self.events.pop_front() {
            if let Some(socket) = self.get_mut(id) {
                socket.queued_event = false;
                return Some(Event::Udp(id));
            }
        }
        None
    }

    fn at(&self, index: u32) -> Option<&Socket> {
        self.slots.get(index as usize)?.socket.as_ref()
    }

    fn get(&self, id: SocketId) -> Option<&Socket> {
        let slot = self.slots.get(id.index())?;
        if slot.generation == id.generation { slot.socket.as_ref() } else { None }
    }

    fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        let slot = self.slots.get_mut(id.index())?;
        if slot.generation == id.generation { slot.socket.as_mut() } else { None }
    }

    /// Puts a socket where datagrams find it.
    fn hash(&mut self, id: SocketId) {
        let Some(socket) = self.get(id) else { return };
        let (local, remote) = (socket.local, socket.remote);
        match remote {
            Some(remote) => self.connected.entry((local, remote)).or_default().push(id.index),
            None => self.bound.entry(local).or_default().push(id.index),
        }
    }

    fn unhash(&mut self, id: SocketId) {
        let Some(socket) = self.get(id) else { return };
        let (local, remote) = (socket.local, socket.remote);
        match remote {
            Some(remote) => remove(&mut self.connected, (local, remote), id.index),
            None => remove(&mut self.bound, local, id.index),
        }
    }

    fn send(&mut self, now: Instant, ip: &mut Ip, id: SocketId, send: &Send<'_>) -> Result<(), SendError> {
        let socket = self.get_mut(id).ok_or(SendError::Closed)?;
        let mut to = send.to.or(socket.remote).ok_or(SendError::NotConnected)?;
        if to.is_ipv4() != socket.local.is_ipv4() {
            return Err(SendError::Family);
        }
        if to.port() == 0 {
            return Err(SendError::Destination);
        }
        if to.ip().is_unspecified() {
            // As Linux: to nobody in particular is to ourselves.
            to.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let len = send.payload.iter().map(|slice| slice.len()).sum::<usize>();
        if len > MAX_PAYLOAD {
            return Err(SendError::MessageSize);
        }
        if send.from.is_some_and(|from| !from.is_unspecified() && !ip.is_local(from)) {
            return Err(SendError::NotLocal);
        }
        // A socket that is bound to everybody's address hears there, but cannot speak from it.
        let own = Some(socket.local.ip()).filter(|own| ip.is_local(*own));
        let from = send.from.filter(|from| !from.is_unspecified()).or(own);
        let generation = ip.route_generation();
        let route = match socket.route {
            Some((destination, source, at, route)) if (destination, source, at) == (to.ip(), from, generation) => route,
            _ => {
                let found = ip.route_by(to.ip(), from, socket.options.device).map_err(|_| SendError::NoRoute)?;
                socket.route = Some((to.ip(), from, generation, found));
                found
            }
        };
        let Options { ttl, multicast_ttl, tos, broadcast, fragmentation, checksum, .. } = socket.options;
        let (ttl, fragmentation) = match route.kind {
            AddressKind::Broadcast if !broadcast => return Err(SendError::Broadcast),
            AddressKind::Broadcast => (ttl, Fragmentation::Anywhere),
            AddressKind::Multicast => (multicast_ttl, Fragmentation::Anywhere),
            AddressKind::Invalid => return Err(SendError::Destination),
            AddressKind::Local | AddressKind::Unicast => (ttl, fragmentation),
        };
        let outgoing = Outgoing {
            source: from.unwrap_or(route.source),
            destination: to.ip(),
            protocol: Protocol::UDP,
            ttl: send.ttl.unwrap_or(ttl),
            tos: send.tos.unwrap_or(tos),
            dont_fragment: fragmentation == Fragmentation::Never,
            checksum_offset: checksum.then_some(CHECKSUM_OFFSET as u16),
            segment_size: None,
        };
        let mut header = [0; HEADER_LEN];
        Repr { src_port: socket.local.port(), dst_port: to.port() }.emit(len, &mut header);
        let manner = Manner { fragmentation, options: &[] };
        match ip.send_by(now, &route, &outgoing, &manner, &header, send.payload) {
            Ok(()) => {
                socket.sent += 1;
                ip.counters.udp_datagrams_sent += 1;
                Ok(())
            }
            Err(IpError::Full) => {
                if !std::mem::replace(&mut socket.blocked, true) {
                    self.blocked.push(id);
                }
                Err(SendError::Full)
            }
            Err(IpError::NoRoute) => Err(SendError::NoRoute),
            Err(IpError::HostUnreachable) => Err(SendError::HostUnreachable),
            Err(IpError::LinkDown) => Err(SendError::LinkDown),
            Err(IpError::MessageSize) => Err(SendError::MessageSize),
            Err(IpError::Family) => Err(SendError::Family),
        }
    }
}

impl Stack {
    /// A socket at an address and port; port 0 for any that is free.
    pub fn udp_open(&mut self, wish: &Bind) -> Result<SocketId, BindError> {
        if !self.ip.may_bind(wish.address) {
            return Err(BindError::NotLocal);
        }
        let udp = &mut self.udp;
        let binding = udp.bindings.bind(wish, self.ip.rng.next_u32())?;
        let local = udp.bindings.address(binding).ok_or(BindError::InUse)?;
        let index = udp.free.pop().unwrap_or_else(|| {
            udp.slots.push(Slot { generation: 0, socket: None });
            (udp.slots.len() - 1) as u32
        });
        let slot = &mut udp.slots[index as usize];
        slot.socket = Some(Socket {
            binding,
            bound: local,
            local,
            remote: None,
            options: Options { device: wish.device, ..Options::default() },
            reuse_port: wish.reuse_port,
            queue: VecDeque::new(),
            memory: 0,
            error: None,
            queued_event: false,
            blocked: false,
            route: None,
            received: 0,
            sent: 0,
            dropped: 0,
        });
        let id = SocketId { index, generation: slot.generation };
        udp.hash(id);
        Ok(id)
    }

    /// Connects to a peer: others are not heard any more, and errors are. None undoes it. Returns our end.
    pub fn udp_connect(&mut self, id: SocketId, peer: Option<SocketAddr>) -> Result<SocketAddr, SendError> {
        let Stack { udp, ip, .. } = self;
        let socket = udp.get(id).ok_or(SendError::Closed)?;
        let (bound, options) = (socket.bound, socket.options);
        let local = match peer {
            None => bound,
            Some(peer) if peer.is_ipv4() != bound.is_ipv4() => return Err(SendError::Family),
            Some(peer) => {
                let own = Some(bound.ip()).filter(|own| ip.is_local(*own));
                let to = if peer.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { peer.ip() };
                let route = ip.route_by(to, own, options.device).map_err(|_| SendError::NoRoute)?;
                if route.kind == AddressKind::Broadcast && !options.broadcast {
                    return Err(SendError::Broadcast);
                }
                SocketAddr::new(own.unwrap_or(route.source), bound.port())
            }
        };
        udp.unhash(id);
        if let Some(socket) = udp.get_mut(id) {
            socket.local = local;
            socket.remote = peer.map(|peer| match peer.ip() {
                ip if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), peer.port()),
                _ => peer,
            });
            socket.route = None;
            let binding = socket.binding;
            udp.bindings.set_address(binding, local.ip());
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
        let socket = self.udp.get_mut(id)?;
        let received = socket.queue.pop_front()?;
        socket.memory -= received.data.len() + OVERHEAD;
        Some(received)
    }

    /// The oldest datagram that waits, which goes on waiting.
    pub fn udp_peek(&self, id: SocketId) -> Option<&Received> {
        self.udp.get(id)?.queue.front()
    }

    /// Takes back the buffer of a datagram that was received, to be used again.
    pub fn udp_recycle(&mut self, buffer: Vec<u8>) {
        if self.udp.spare.len() < SPARE {
            self.udp.spare.push(buffer);
        }
    }

    /// What there is to do for the socket.
    pub fn udp_status(&self, id: SocketId) -> Status {
        self.udp.get(id).map_or_else(Status::default, |socket| Status {
            readable: socket.queue.front().map(|next| next.data.len()),
            queued: socket.queue.len(),
            writable: !socket.blocked,
            error: socket.error,
        })
    }

    /// Our end.
    pub fn udp_local(&self, id: SocketId) -> Option<SocketAddr> {
        Some(self.udp.get(id)?.local)
    }

    /// The peer's end, if connected.
    pub fn udp_remote(&self, id: SocketId) -> Option<SocketAddr> {
        self.udp.get(id)?.remote
    }

    /// What the network said, once.
    pub fn udp_take_error(&mut self, id: SocketId) -> Option<Error> {
        self.udp.get_mut(id)?.error.take()
    }

    /// The socket's settings.
    pub fn udp_options(&self, id: SocketId) -> Option<&Options> {
        Some(&self.udp.get(id)?.options)
    }

    /// Changes them.
    pub fn udp_set_options(&mut self, id: SocketId, options: Options) {
        if let Some(socket) = self.udp.get_mut(id) {
            socket.options = options;
            socket.route = None;
        }
    }

    /// `SO_REUSEADDR` and `SO_REUSEPORT` have been set after binding.
    pub fn udp_set_reuse(&mut self, id: SocketId, reuse_address: bool, reuse_port: bool) {
        if let Some(socket) = self.udp.get_mut(id) {
            socket.reuse_port = reuse_port;
            let binding = socket.binding;
            self.udp.bindings.set_reuse(binding, reuse_address, reuse_port);
        }
    }

    /// The largest packet on the way to the peer (`IP_MTU`), if connected.
    pub fn udp_path_mtu(&self, id: SocketId) -> Option<u16> {
        let socket = self.udp.get(id)?;
        let route = self.ip.route_by(socket.remote?.ip(), Some(socket.local.ip()), socket.options.device);
        route.ok().map(|route| route.mtu)
    }

    /// The end of a socket, and of what it has not read.
    pub fn udp_close(&mut self, id: SocketId) {
        self.udp.unhash(id);
        let udp = &mut self.udp;
        let Some(slot) = udp.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation) else { return };
        let Some(socket) = slot.socket.take() else { return };
        slot.generation = slot.generation.wrapping_add(1);
        udp.free.push(id.index);
        udp.bindings.release(socket.binding);
    }

    /// All sockets.
    pub fn udp_sockets(&self) -> impl Iterator<Item = Summary> + '_ {
        self.udp.slots.iter().enumerate().filter_map(|(index, slot)| {
            let socket = slot.socket.as_ref()?;
            Some(Summary {
                id: SocketId { index: index as u32, generation: slot.generation },
                local: socket.local,
                remote: socket.remote,
                receive_memory: socket.memory,
                receive_buffer: socket.options.receive_buffer,
                received: socket.received,
                sent: socket.sent,
                dropped: socket.dropped,
            })
        })
    }
}

fn notify(events: &mut VecDeque<SocketId>, socket: &mut Socket, id: SocketId) {
    if !std::mem::replace(&mut socket.queued_event, true) {
        events.push_back(id);
    }
}

/// The same port at all addresses.
fn any(address: SocketAddr) -> SocketAddr {
    let unspecified: IpAddr = match address.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(unspecified, address.port())
}

fn remove<K: Eq + std::hash::Hash>(table: &mut HashMap<K, Vec<u32>, Keyed>, key: K, index: u32) {
    if let Some(found) = table.get_mut(&key) {
        found.retain(|&other| other != index);
        if found.is_empty() {
            table.remove(&key);
        }
    }
}
