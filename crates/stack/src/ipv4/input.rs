//! The way in: may this packet come in, and to whom does it go.
//!
//! [`decide`] is pure: from the bytes, the port's nature and our addresses it comes to a [`Decision`], and the stack performs
//! it. The checks stand in the order of RFC 1122 §3.2.1: version and lengths, checksum, addresses, options. What fails is
//! dropped without an answer, except that a malformed option is answered by a parameter problem (§3.2.2.5).
//!
//! **Addresses.** A source must be one that a host can have: not a group, not a broadcast, not reserved, and on a real link
//! neither the loopback network nor one of our own (a "land" packet would make the host talk to itself). A destination must
//! be ours (whatever port it came in by: the weak host model, as Linux has it), a broadcast of one of our links, or a group
//! in which somebody on the port listens to that source. One
//! host's address in a frame for everybody is refused (§3.3.6).
//!
//! **Options.** Unknown ones are ignored, malformed ones refused. Source routes are not followed and not ended here:
//! their use today is to get around filters (RFC 7126 §4.3, §4.4; a deviation from RFC 1122 §3.2.1.8).
//!
//! The time to live is not looked at: a packet that has arrived has arrived (§3.2.1.7).

use crate::counters::Drop;
use crate::multicast::Multicast;
use crate::port::PortId;
use crate::route::{AddressKind, Addresses};
use sockeye_wire::Protocol;
use sockeye_wire::ipv4::Packet;
use sockeye_wire::ipv4::options::Options;
use std::net::Ipv4Addr;
use std::ops::Range;

/// What is to be done with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is ours, and whole.
    Deliver(Accepted),
    /// It is ours, and a piece.
    Reassemble(Accepted, Fragment),
    /// It is not for us, or not fit to be.
    Drop(Drop),
    /// The same, and the sender is told where the header is wrong.
    Complain(Drop, Accepted, u8),
}

/// A packet that is ours. Ranges are in the same buffer as the packet's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Of what came in pieces: the length of the longest; else 0.
    pub(crate) fragment_size: u16,
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) protocol: Protocol,
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    /// To this host alone, on the link and by IP.
    pub(crate) unicast: bool,
    /// Header and payload, without padding.
    pub(crate) packet: Range<usize>,
    pub(crate) options: Range<usize>,
    pub(crate) payload: Range<usize>,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) id: u16,
    /// In bytes.
    pub(crate) offset: u16,
    pub(crate) more: bool,
}

/// How a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// By the loopback, where our own addresses are in place.
    pub(crate) loopback: bool,
    /// In a frame for many.
    pub(crate) link_broadcast: bool,
}

/// Decides about the packet in `buffer[range]`.
pub(crate) fn decide(
    buffer: &[u8],
    range: Range<usize>,
    port: PortId,
    arrival: Arrival,
    addresses: &Addresses,
    multicast: &Multicast,
) -> Decision {
    let Some(bytes) = buffer.get(range.clone()) else { return Decision::Drop(Drop::Ipv4Malformed) };
    let Ok(packet) = Packet::parse(bytes) else { return Decision::Drop(Drop::Ipv4Malformed) };
    if !packet.verify_checksum() {
        return Decision::Drop(Drop::Ipv4Checksum);
    }
    let nobody = packet.src().is_unspecified() && may_come_from_nobody(&packet);
    if !nobody && !may_be_source(packet.src(), arrival, addresses) {
        return Decision::Drop(Drop::Ipv4Source);
    }
    let unicast = match destination(packet.dst(), arrival, addresses) {
        Ok(AddressKind::Multicast) if !admits(multicast, port, &packet) => return Decision::Drop(Drop::Ipv4NotMember),
        Ok(kind) => kind == AddressKind::Local,
        Err(reason) => return Decision::Drop(reason),
    };

    let start = range.start;
    let end = start + packet.bytes().len();
    let payload = start + packet.header_len();
    let accepted = Accepted {
        fragment_size: 0,
        source: packet.src(),
        destination: packet.dst(),
        protocol: packet.protocol(),
        tos: packet.tos(),
        ttl: packet.ttl(),
        unicast,
        packet: start..end,
        options: payload - packet.options().len()..payload,
        payload: payload..end,
    };
    if !packet.options().is_empty() {
        if let Err(bad) = Options::new(packet.options()).validate() {
            // An error is sent about the first fragment only (RFC 1122 §3.2.2).
            return match packet.fragment_offset() {
                0 => Decision::Complain(Drop::Ipv4Options, accepted, bad.pointer),
                _ => Decision::Drop(Drop::Ipv4Options),
            };
        }
        if Options::new(packet.options()).flatten().any(|option| option.is_source_route()) {
            return Decision::Drop(Drop::Ipv4SourceRoute);
        }
    }
    if packet.is_fragment() {
        let piece = Fragment { id: packet.id(), offset: packet.fragment_offset(), more: packet.more_fragments() };
        return Decision::Reassemble(accepted, piece);
    }
    Decision::Deliver(accepted)
}

/// What a host may send before it has an address, to all or on its link (RFC 1122, 3.2.1.3 (a); RFC 2131, 4.1), and what a switch asks about groups
/// that has none (RFC 4541, 2.1.1).
fn may_come_from_nobody(packet: &Packet<'_>) -> bool {
    let on_link = matches!(packet.dst().octets(), [224, 0, 0, _]);
    packet.dst().is_broadcast() || on_link || packet.protocol() == Protocol::IGMP
}

/// RFC 1122 §3.2.1.3: what may stand in the source field.
fn may_be_source(source: Ipv4Addr, arrival: Arrival, addresses: &Addresses) -> bool {
    match addresses.classify_v4(source) {
        AddressKind::Unicast => true,
        AddressKind::Local => arrival.loopback,
        AddressKind::Broadcast | AddressKind::Multicast | AddressKind::Anycast | AddressKind::Invalid => false,
    }
}

/// RFC 3376, 3.2: what the port's filter says of a packet to a group. What is said about groups is always heard (9.1).
fn admits(multicast: &Multicast, port: PortId, packet: &Packet<'_>) -> bool {
    let group = packet.dst().into();
    match packet.protocol() {
        Protocol::IGMP => multicast.is_member(port, group),
        _ => multicast.admits(port, group, packet.src().into()),
    }
}

/// What the destination is, if it may be ours.
fn destination(destination: Ipv4Addr, arrival: Arrival, addresses: &Addresses) -> Result<AddressKind, Drop> {
    if destination.is_loopback() && !arrival.loopback {
        return Err(Drop::Ipv4Destination);
    }
    match addresses.classify_v4(destination) {
        AddressKind::Local if arrival.link_broadcast => Err(Drop::Ipv4LinkBroadcast),
        kind @ (AddressKind::Local | AddressKind::Broadcast | AddressKind::Multicast) => Ok(kind),
        AddressKind::Unicast => Err(Drop::Ipv4NotForUs),
        // There are none of IPv4.
        AddressKind::Anycast | AddressKind::Invalid => Err(Drop::Ipv4Destination),
    }
}
