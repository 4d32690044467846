//! UDP: which socket a datagram is for, its queue, and the way out.
//!
//! **Which socket.** As Linux scores them: one that is connected to exactly this peer, before one that is bound to exactly
//! this address, before one that is bound to all; among equals one bound to the device that it came by, then the
//! youngest. Sockets that share a port by `SO_REUSEPORT` share its datagrams by a hash of the four addresses, so that a
//! peer stays with its socket, unless a program says who gets which (`SO_ATTACH_REUSEPORT_CBPF`). A broadcast goes to every socket that it matches, and so does what is sent to a group, of those that
//! hear its source there (or, being in no group, hear all: IP_MULTICAST_ALL). Three keyed hash tables, so the cost
//! does not grow with the number of sockets.
//!
//! **Queue.** What a socket has not read is bounded by its receive buffer, with what keeping it costs; what comes beyond
//! is dropped and counted for the socket too. All sockets together have a bound as well.
//!
//! **Errors.** What ICMP says of a datagram concerns a connected socket only (others cannot tell which of their peers is
//! meant), and only what is final, as Linux has it; that the next hop does not answer is told too. A socket that receives
//! errors gets each of them ([`errors`](crate::errors)).
//!
//! **UDP-Lite** is the same with another header and ports of its own: a socket is of either, and only what arrives and what leaves
//! looks which it is (`lite.rs`).
//!
//! # Standards
//!
//! RFC 768, RFC 3828, RFC 1122 §4.1, RFC 6935 and 6936 (IPv6 without checksum), RFC 8085 §3.2 (path MTU), RFC 5927; Linux udp(7), socket(7).

mod calls;
mod input;
mod lite;
mod ports;
mod selection;

pub(crate) use input::Outcome;

use crate::Event;
use crate::bind::BindingId;
use crate::errors::{Cause, ErrorQueue};
use crate::family::FamilyOptions;
use crate::hash::{Keyed, Keys};
use crate::ipv4::output::Fragmentation;
use crate::ipv6::Headers;
use crate::multicast::MemberId;
use crate::port::PortId;
use crate::route::{NoRoute, RouteEntry};
use crate::slab::handle;
use crate::sockets::Sockets;
use ports::Ports;
use sockeye_device::Instant;
use sockeye_filter::Program;
use sockeye_wire::Protocol;
use sockeye_wire::udp::HEADER_LEN;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The largest payload of a datagram to `destination`. IPv4 counts its header in the length of a packet, IPv6 does not.
fn max_payload(destination: IpAddr) -> usize {
    let header = if destination.is_ipv4() { 20 } else { 0 };
    65_535 - header - HEADER_LEN
}

/// What keeping a datagram costs a receive buffer besides its bytes.
const OVERHEAD: usize = 512;
/// Buffers of datagrams that were read, kept for the next.
const SPARE: usize = 256;
/// Larger ones are not kept.
const SPARE_SIZE: usize = 2_048;

handle! {
    /// A socket. Goes stale when it is closed.
    SocketId
}

/// What a socket's owner may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `SO_RCVBUF`: what may wait to be read, with what keeping it costs.
    pub receive_buffer: usize,
    /// Of packets of IPv4, and of IPv6.
    pub family: [FamilyOptions; 2],
    /// `SO_BROADCAST`.
    pub broadcast: bool,
    /// `IPV6_RECVPATHMTU`: the program is told how long packets may be, when one was too long.
    pub tells_path_mtu: bool,
    /// `IP_TRANSPARENT`: it may speak from addresses that are not ours.
    pub foreign: bool,
    /// `SO_NO_CHECK` turned around: datagrams carry a checksum.
    pub checksum: bool,
    /// `UDP_NO_CHECK6_TX` turned around: over IPv6, too (RFC 6935).
    pub checksum_v6: bool,
    /// `UDP_NO_CHECK6_RX`: datagrams without one are taken over IPv6, too.
    pub takes_unchecked: bool,
    /// `UDPLITE_SEND_CSCOV`, UDP-Lite's: how many bytes a checksum covers, 0 for all; none: all, and the header says how many.
    pub send_coverage: Option<u16>,
    /// `UDPLITE_RECV_CSCOV`, UDP-Lite's: what is not covered in full must be covered so far, with 0 it is not taken; none: it is.
    pub receive_coverage: Option<u16>,
    /// Datagrams come with the headers of their packets.
    pub keeps_headers: bool,
    /// `UDP_GRO`: several of one length that came in one piece are delivered so.
    pub coalesces: bool,
    /// `SO_DONTROUTE`: only to neighbours.
    pub to_neighbors: bool,
    /// `SO_BINDTODEVICE`: only by this port, both ways.
    pub device: Option<PortId>,
    /// What is sent to groups of IPv4, and of IPv6.
    pub groups: [GroupOptions; 2],
    /// Who is in groups for the socket.
    pub member: Option<MemberId>,
}

/// How a socket speaks to groups of one family, and which it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupOptions {
    /// `IP_MULTICAST_TTL`, `IPV6_MULTICAST_HOPS`; with zero it does not leave the host.
    pub hops: u8,
    /// `IP_MULTICAST_LOOP`: who listens on this host hears it, too.
    pub loops: bool,
    /// `IP_MULTICAST_ALL`: groups are heard in which somebody else on this host is.
    pub all: bool,
    /// `IP_MULTICAST_IF`: by which port.
    pub port: Option<PortId>,
    /// The same: from which address.
    pub source: Option<IpAddr>,
}

impl Default for GroupOptions {
    fn default() -> Self {
        GroupOptions { hops: 1, loops: true, all: true, port: None, source: None }
    }
}

impl Options {
    fn groups_of(&self, address: IpAddr) -> &GroupOptions {
        &self.groups[usize::from(address.is_ipv6())]
    }

    fn family_of(&self, address: IpAddr) -> &FamilyOptions {
        &self.family[usize::from(address.is_ipv6())]
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            receive_buffer: 212_992,
            family: [FamilyOptions::default(); 2],
            broadcast: false,
            tells_path_mtu: false,
            foreign: false,
            checksum: true,
            checksum_v6: true,
            takes_unchecked: false,
            send_coverage: None,
            receive_coverage: None,
            keeps_headers: false,
            coalesces: false,
            to_neighbors: false,
            device: None,
            groups: [GroupOptions::default(); 2],
            member: None,
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
    /// By which port; none for that to which the socket is bound, or the best.
    pub device: Option<PortId>,
    /// Instead of the socket's.
    pub ttl: Option<u8>,
    /// Instead of the socket's.
    pub tos: Option<u8>,
    /// Instead of the socket's.
    pub fragmentation: Option<Fragmentation>,
    /// Options of the header, over IPv4.
    pub options: &'a [u8],
    /// Extension headers, over IPv6.
    pub headers: Option<&'a Headers>,
    /// The flow's label, over IPv6; 20 bits. None: one of the stack's making.
    pub flow_label: Option<u32>,
    /// `MSG_DONTROUTE`: only to a neighbour.
    pub to_neighbor: bool,
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
    /// The source is not one of our addresses, or one that the destination may not see.
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
    /// On a raw or an echo socket: what it carries is not what the socket may send.
    Payload,
}

impl From<NoRoute> for SendError {
    fn from(error: NoRoute) -> Self {
        match error {
            NoRoute::Nowhere => SendError::NoRoute,
            NoRoute::Source => SendError::NotLocal,
        }
    }
}

/// What the network said of datagrams that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Nobody has the port, or the host does not speak UDP.
    Refused,
    /// The next hop does not answer.
    HostUnreachable,
    /// It was larger than the path carries, and was not to be cut.
    MessageSize,
    /// Whatever else it was.
    Reported(Cause),
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
    /// Of what came in pieces: the length of the longest packet; else 0.
    pub fragment_size: u16,
    /// How many the socket had lost by then (`SO_RXQ_OVFL`).
    pub lost: u32,
    /// Of several that came in one piece ([`Options::coalesces`]) the length of each; the last may be shorter. 0: it is one.
    pub segment: u16,
    /// The header of its packet with all options and extension headers, where the socket keeps them ([`Options::keeps_headers`]).
    pub headers: Vec<u8>,
    /// What it carried. Give the buffer back with [`udp_recycle`](crate::Stack::udp_recycle).
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
    /// What the network said. Stays until [`udp_take_error`](crate::Stack::udp_take_error).
    pub error: Option<Error>,
    /// There are errors to be asked for one by one: the number of the youngest, which grows by one with each.
    pub newest_report: Option<u64>,
}

/// A socket, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub id: SocketId,
    /// UDP, or UDP-Lite.
    pub protocol: Protocol,
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
    /// UDP, or UDP-Lite.
    protocol: Protocol,
    binding: BindingId,
    /// Where it was bound; the address may be unspecified though it is connected from one.
    bound: SocketAddr,
    /// It speaks for IPv4, too, while it is bound to no address in particular.
    dual: bool,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    options: Options,
    /// `SO_ATTACH_FILTER`.
    program: Option<Arc<Program>>,
    /// `SO_ATTACH_REUSEPORT_CBPF`: it says who of those that share the address gets a datagram. All of them have the same.
    selection: Option<Arc<Program>>,
    reuse_port: bool,
    queue: VecDeque<Received>,
    memory: usize,
    error: Option<Error>,
    reports: ErrorQueue,
    /// To whom packets were too long, and how long they may be: the last one that was not told yet.
    path_mtu: Option<(SocketAddr, u16)>,
    /// The route that was used last, to whom and from where, and the label of what went there.
    route: Option<(Way, RouteEntry, u32)>,
    received: u64,
    sent: u64,
    dropped: u64,
}

impl Socket {
    /// Whether the program wants to hear of each error about what went over that family.
    fn receives_errors(&self, ipv6: bool) -> bool {
        self.options.family[usize::from(ipv6)].receive_errors
    }

    /// True where it can speak to a peer of that family.
    fn reaches(&self, peer: IpAddr) -> bool {
        peer.is_ipv4() == self.local.is_ipv4() || peer.is_ipv4() && self.dual && self.bound.ip().is_unspecified()
    }
}

/// To whom, from where and by which port, while the host's tables stand.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    to: IpAddr,
    from: Option<IpAddr>,
    device: Option<PortId>,
    generation: u64,
}

/// All of a host's UDP, and its UDP-Lite.
pub(crate) struct Udp {
    sockets: Sockets<SocketId, Socket>,
    /// UDP's, and UDP-Lite's.
    ports: [Ports; 2],
    hasher: Keyed,
    spare: Vec<Vec<u8>>,
    /// Those for whom a datagram to many is; memory that is used again.
    hearers: Vec<u32>,
    /// What all queues together hold, with what keeping it costs, and may.
    memory: usize,
    limit: usize,
}

impl Udp {
    pub(crate) fn new(keys: &Keys, limit: usize) -> Self {
        Udp {
            sockets: Sockets::default(),
            ports: [
                Ports::new(keys, [b"udp bound", b"udp connected", b"udp bindings"]),
                Ports::new(keys, [b"udp-lite bound", b"udp-lite connected", b"udp-lite bindings"]),
            ],
            hasher: keys.hasher(b"udp reuse"),
            spare: Vec::new(),
            hearers: Vec::new(),
            memory: 0,
            limit,
        }
    }

    /// The queues towards the devices have become shorter: whoever was refused may try again.
    pub(crate) fn handle_room(&mut self) {
        self.sockets.handle_room();
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.sockets.poll_event().map(Event::Udp)
    }
}
