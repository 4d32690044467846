//! Raw sockets: packets of a protocol as they are, and the echoes of ICMP for those who may not have that.
//!
//! **Raw sockets** are of a family and a protocol. Each gets a copy of every packet of its protocol that is for this host, once it is
//! whole and before the protocol itself has it, if it is from whom the socket is connected to, to where it is bound, by the device that it is bound to, and
//! of a type that its filter lets through (`ICMP_FILTER`, `ICMP6_FILTER`). Of IPv4 it gets the packet with its header, of IPv6 what the packet carries. A
//! protocol that somebody has a raw socket for is not said to be unknown here. What is sent gets a header of ours, or, where the program wrote its own
//! (`IP_HDRINCL`), what Linux fills in there.
//!
//! **Echo sockets** (Linux's "ping sockets") send echo requests and nothing else. Their port is the identifier in the message, which is filled in, as the
//! checksum is; the replies to that identifier are theirs.
//!
//! While there is no raw socket, a packet costs one comparison for it.
//!
//! What a socket has not read is bounded by its receive buffer, with what keeping it costs; all sockets together have a bound as well. Errors: see
//! [`errors`](crate::errors).
//!
//! # Standards
//!
//! Linux raw(7), icmp(7), ip(7), ipv6(7); RFC 3542 §3 (IPv6: checksums, filters).

mod calls;
mod input;
mod output;

use crate::Event;
use crate::errors::{Cause, ErrorQueue};
use crate::family::FamilyOptions;
use crate::hash::Keys;
use crate::ipv4::output::Fragmentation;
use crate::ipv6::Headers;
use crate::multicast::MemberId;
use crate::port::PortId;
use crate::slab::handle;
use crate::sockets::{Places, Sockets};
use crate::udp::GroupOptions;
use sockeye_device::Instant;
use sockeye_filter::Program;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub(crate) use input::View;

pub use crate::udp::SendError;

/// What keeping a packet costs a receive buffer besides its bytes.
const OVERHEAD: usize = 512;

handle! {
    /// A socket. Goes stale when it is closed.
    SocketId
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Packets of a protocol.
    Protocol(u8),
    /// Echo requests and their replies.
    Echo,
}

/// Types of messages that a socket does not want, a bit each: `ICMP_FILTER` (the first 32), `ICMP6_FILTER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter(pub [u32; 8]);

impl Filter {
    /// Whether messages of a type are kept away.
    pub fn blocks(&self, kind: u8) -> bool {
        self.0[usize::from(kind / 32)] >> (kind % 32) & 1 == 1
    }
}

/// What a socket's owner may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `SO_RCVBUF`: what may wait to be read, with what keeping it costs.
    pub receive_buffer: usize,
    /// Of the packets of its family.
    pub family: FamilyOptions,
    /// `SO_BROADCAST`.
    pub broadcast: bool,
    /// `SO_DONTROUTE`: only to neighbours.
    pub to_neighbors: bool,
    /// `IPV6_RECVPATHMTU`: the program is told how long packets may be, when one was too long.
    pub tells_path_mtu: bool,
    /// Groups: whom the socket hears there, and what it sends.
    pub groups: GroupOptions,
    /// Who is in groups for the socket.
    pub member: Option<MemberId>,
    /// `IP_TRANSPARENT`: it may speak from addresses that are not ours.
    pub foreign: bool,
    /// `IP_FREEBIND`, `IP_TRANSPARENT`: it may be bound to addresses that are not ours.
    pub binds_anywhere: bool,
    /// `SO_BINDTODEVICE`: only by this port, both ways.
    pub device: Option<PortId>,
    /// `SO_REUSEADDR`: echo sockets that all have it may share an identifier.
    pub reuse_address: bool,
    /// `IP_HDRINCL`, `IPV6_HDRINCL`: what is sent begins with its own header.
    pub header_included: bool,
    /// `IPV6_CHECKSUM`: where in what is sent the checksum is to be put; what is received must have a right one.
    pub checksum_offset: Option<u16>,
    /// `ICMP_FILTER`, `ICMP6_FILTER`.
    pub filter: Filter,
    /// What comes comes with the headers of its packet.
    pub keeps_headers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            receive_buffer: 212_992,
            family: FamilyOptions::default(),
            broadcast: false,
            to_neighbors: false,
            tells_path_mtu: false,
            groups: GroupOptions::default(),
            member: None,
            foreign: false,
            binds_anywhere: false,
            device: None,
            reuse_address: false,
            header_included: false,
            checksum_offset: None,
            filter: Filter::default(),
            keeps_headers: false,
        }
    }
}

/// A packet to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Send<'a> {
    /// To whom; none for the peer that the socket is connected to.
    pub to: Option<IpAddr>,
    /// From which of our addresses (`IP_PKTINFO`); none for the socket's, or the best.
    pub from: Option<IpAddr>,
    /// By which port (`IP_PKTINFO`, or an address's scope).
    pub port: Option<PortId>,
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
    /// What it carries, or the packet itself.
    pub payload: &'a [u8],
    /// `MSG_DONTROUTE`: only to a neighbour.
    pub to_neighbor: bool,
}

/// A packet that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// From whom.
    pub from: IpAddr,
    /// To which of our addresses.
    pub to: IpAddr,
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
    /// The packet's header with all options and extension headers, where the socket keeps them ([`Options::keeps_headers`]).
    pub headers: Vec<u8>,
    /// A raw socket of IPv4: the packet; others: what it carried.
    pub data: Vec<u8>,
}

/// What an owner looks at when it was told that something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Status {
    /// Length of the next packet, if there is one.
    pub readable: Option<usize>,
    /// Packets that wait.
    pub queued: usize,
    /// False after [`SendError::Full`], until there is room.
    pub writable: bool,
    /// What the network said. Stays until [`raw_take_error`](crate::Stack::raw_take_error).
    pub error: Option<Cause>,
    /// There are errors to be asked for one by one: the number of the youngest, which grows by one with each.
    pub newest_report: Option<u64>,
}

/// A socket, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub id: SocketId,
    /// What for.
    pub kind: Kind,
    /// Charged to the receive buffer.
    pub receive_memory: usize,
    /// Size of the receive buffer.
    pub receive_buffer: usize,
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets dropped for want of room.
    pub dropped: u64,
}

struct Socket {
    ipv6: bool,
    kind: Kind,
    /// Of an echo socket; 0 while it has none.
    identifier: u16,
    /// Where the program has bound it.
    bound: IpAddr,
    /// To where packets must be: as bound, or as connecting has chosen.
    local: IpAddr,
    /// From whom packets must be. The port means nothing, but is given back.
    remote: Option<(IpAddr, u16)>,
    options: Options,
    /// `SO_ATTACH_FILTER`.
    program: Option<Arc<Program>>,
    queue: VecDeque<Received>,
    memory: usize,
    error: Option<Cause>,
    reports: ErrorQueue,
    /// To whom packets were too long, and how long they may be: the last one that was not told yet.
    path_mtu: Option<(SocketAddr, u16)>,
    received: u64,
    sent: u64,
    dropped: u64,
}

/// All of a host's raw sockets.
pub(crate) struct Raw {
    sockets: Sockets<SocketId, Socket>,
    /// Raw sockets by family and protocol.
    by_protocol: Places<(bool, u8)>,
    /// Echo sockets of both families by identifier.
    by_identifier: Places<u16>,
    spare: Vec<Vec<u8>>,
    /// What all queues together hold, with what keeping it costs, and may.
    memory: usize,
    limit: usize,
}

impl Raw {
    pub(crate) fn new(keys: &Keys, limit: usize) -> Self {
        Raw {
            sockets: Sockets::default(),
            by_protocol: Places::new(keys.hasher(b"raw protocols")),
            by_identifier: Places::new(keys.hasher(b"echo identifiers")),
            spare: Vec::new(),
            memory: 0,
            limit,
        }
    }

    /// No packet needs to be shown to anybody.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_protocol.is_empty()
    }

    /// The queues towards the devices have become shorter: whoever was refused may try again.
    pub(crate) fn handle_room(&mut self) {
        self.sockets.handle_room();
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.sockets.poll_event().map(Event::Raw)
    }
}
