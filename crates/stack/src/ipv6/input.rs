//! The way in: may this packet come in, and what does it carry.
//!
//! [`decide`] is pure, as its [counterpart](crate::ipv4::input) is: from the bytes, how they came and our addresses it comes
//! to a [`Decision`], and the stack performs it.
//!
//! **Addresses.** A source is one that a single host can have, on a real link neither the loopback nor one of our own (but for
//! the advertisement of a station that claims it). The
//! unspecified address is the source of a host that has none yet: only ICMPv6 may have it. An IPv4 address in IPv6's clothes
//! is none on a wire. A destination is ours, or that of a group in which somebody on the port listens to that source.
//!
//! **Extension headers** are walked once, within limits ([`Limits::DEFAULT`]): a sender pays for its headers, not the
//! receiver. Options that we do not know say themselves what becomes of the packet. Routing headers that are not done
//! are refused, of whatever type: this is a host. A packet with AH is not read further than to that header: without an association that
//! verifies it, it must not be believed, and AH is a protocol like any that nobody here speaks.
//!
//! # Standards
//!
//! RFC 8200 §4 (extension headers, options, routing), RFC 8504 §5 (what a node does), RFC 4291 §2.5, §2.7, §2.8
//! (addresses), RFC 4942 §2.2 (mapped addresses), RFC 5095 (routing type 0), RFC 4302 §3.4.2 (AH without an association).

use crate::counters::Drop;
use crate::ipv4::input::Arrival;
use crate::multicast::Multicast;
use crate::port::PortId;
use crate::route::{AddressKind, Addresses};
use sockeye_wire::icmpv6::ParameterCode;
use sockeye_wire::ipv6::extension::{
    Extension, Extensions, FRAGMENT_LEN, Fragment, HeaderOption, Limits, OptionsHeader, PlacedOption, UnknownAction,
};
use sockeye_wire::ipv6::{NEXT_HEADER_OFFSET, Packet};
use sockeye_wire::{Protocol, ipv6};
use std::net::Ipv6Addr;
use std::ops::Range;

/// What is to be done with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is ours, and whole.
    Deliver(Accepted),
    /// It is ours, and a piece.
    Reassemble(Accepted, Piece),
    /// It is not for us, or not fit to be.
    Drop(Drop),
    /// The same, and the sender is told where it is wrong.
    Complain(Drop, Accepted, ParameterCode, u32),
}

/// A packet that is ours. Ranges are in the same buffer as the packet's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) traffic_class: u8,
    pub(crate) hop_limit: u8,
    /// To this host alone, on the link and by IP.
    pub(crate) unicast: bool,
    /// To an address that others have as well.
    pub(crate) anycast: bool,
    /// It comes from an address of ours, but not from us.
    pub(crate) ours: bool,
    /// Routers were asked to look inside.
    pub(crate) router_alert: bool,
    /// It came in pieces, be it in a single one.
    pub(crate) fragmented: bool,
    /// The length of the longest piece, where there were several; else 0.
    pub(crate) fragment_size: u16,
    /// What it carries, and where that is said, from the beginning of the packet.
    pub(crate) protocol: Protocol,
    pub(crate) protocol_at: usize,
    /// Header and payload, without padding.
    pub(crate) packet: Range<usize>,
    pub(crate) payload: Range<usize>,
}

/// Where a fragment belongs, and what there is of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) fragment: Fragment,
    /// Up to the end of the fragment header, in the buffer.
    pub(crate) header: Range<usize>,
    /// Where the number stands that says that a fragment header follows, from the beginning of the packet.
    pub(crate) number_at: usize,
    /// What it carries, in the buffer.
    pub(crate) payload: Range<usize>,
}

/// Decides about the packet in `buffer[range]`, which came by `port`.
pub(crate) fn decide(
    buffer: &[u8],
    range: Range<usize>,
    port: PortId,
    arrival: Arrival,
    addresses: &Addresses,
    multicast: &Multicast,
) -> Decision {
    let Some(bytes) = buffer.get(range.clone()) else { return Decision::Drop(Drop::Ipv6Malformed) };
    let Ok(packet) = Packet::parse(bytes) else { return Decision::Drop(Drop::Ipv6Malformed) };
    if !may_be_source(packet.src(), arrival, addresses) {
        return Decision::Drop(Drop::Ipv6Source);
    }
    let kind = match destination(packet.dst(), port, arrival, addresses) {
        Ok(AddressKind::Multicast) if !multicast.is_member(port, packet.dst().into()) => {
            return Decision::Drop(Drop::Ipv6NotMember);
        }
        Ok(kind) => kind,
        Err(reason) => return Decision::Drop(reason),
    };
    let (start, end) = (range.start, range.start + packet.bytes().len());
    let mut accepted = Accepted {
        source: packet.src(),
        destination: packet.dst(),
        traffic_class: packet.traffic_class(),
        hop_limit: packet.hop_limit(),
        unicast: kind != AddressKind::Multicast,
        anycast: kind == AddressKind::Anycast,
        ours: !arrival.loopback && addresses.classify_v6(packet.src()) == AddressKind::Local,
        router_alert: false,
        fragmented: false,
        fragment_size: 0,
        protocol: packet.next_header(),
        protocol_at: NEXT_HEADER_OFFSET,
        packet: start..end,
        payload: end..end,
    };
    match walk(&packet, &mut accepted) {
        // What is said about groups and neighbours is always heard (RFC 3810, 6.2).
        Ok(_)
            if packet.dst().is_multicast()
                && accepted.protocol != Protocol::ICMPV6
                && !multicast.admits(port, packet.dst().into(), packet.src().into()) =>
        {
            Decision::Drop(Drop::Ipv6NotMember)
        }
        Ok(None) => Decision::Deliver(accepted),
        Ok(Some(piece)) => Decision::Reassemble(accepted, piece),
        Err((reason, None)) => Decision::Drop(reason),
        Err((reason, Some((code, pointer)))) => Decision::Complain(reason, accepted, code, pointer),
    }
}

/// Why a packet is refused, and what its sender is told.
type Refusal = (Drop, Option<(ParameterCode, u32)>);

/// From header to header, up to what the packet carries. A piece, if it is one of several.
fn walk(packet: &Packet<'_>, accepted: &mut Accepted) -> Result<Option<Piece>, Refusal> {
    let mut piece = None;
    let mut number_at = NEXT_HEADER_OFFSET;
    let mut headers = Extensions::new(packet, Limits::DEFAULT);
    let mut authentication = None;
    let malformed = |bad: sockeye_wire::ipv6::extension::BadHeader| {
        (Drop::Ipv6Extension, bad.parameter_code().map(|code| (code, bad.pointer)))
    };
    for header in headers.by_ref() {
        let header = header.map_err(malformed)?;
        match header.extension {
            Extension::HopByHop(options) | Extension::Destination(options) => {
                accepted.router_alert |= take_options(&options, accepted.destination)?;
            }
            Extension::Routing(routing) if routing.segments_left > 0 => {
                let kind = header.at as u32 + 2;
                return Err((Drop::Ipv6Routing, Some((ParameterCode::ERRONEOUS_FIELD, kind))));
            }
            Extension::Fragment(_) if accepted.fragmented => {
                // A piece of a piece: nobody honest makes such.
                return Err((Drop::Ipv6Extension, Some((ParameterCode::ERRONEOUS_FIELD, header.at as u32))));
            }
            Extension::Fragment(fragment) => {
                accepted.fragmented = true;
                if !fragment.is_atomic() {
                    let Range { start, end } = accepted.packet;
                    let at = start + header.at + FRAGMENT_LEN;
                    piece = Some(Piece { fragment, header: start..at, number_at, payload: at..end });
                }
            }
            Extension::Routing(_) => {}
            Extension::Authentication(_) => {
                authentication = Some((Protocol::AH, number_at, header.at));
                break;
            }
        }
        number_at = header.at;
    }
    let (protocol, protocol_at, at) = match authentication {
        Some(header) => header,
        None => {
            let upper = headers.end().map_err(malformed)?;
            (upper.protocol, upper.protocol_at, upper.at)
        }
    };
    (accepted.protocol, accepted.protocol_at) = (protocol, protocol_at);
    accepted.payload.start = accepted.packet.start + at;
    match protocol {
        _ if piece.is_some() && accepted.ours => Err((Drop::Ipv6Source, None)),
        _ if piece.is_some() => Ok(piece),
        Protocol::NO_NEXT_HEADER => Err((Drop::Ipv6NoNextHeader, None)),
        Protocol::ICMPV6 => Ok(None),
        _ if accepted.source.is_unspecified() || accepted.ours => Err((Drop::Ipv6Source, None)),
        _ => Ok(None),
    }
}

/// True when there is a router alert among the options.
fn take_options(header: &OptionsHeader<'_>, destination: Ipv6Addr) -> Result<bool, Refusal> {
    let mut alert = false;
    for PlacedOption { at, option } in header.options() {
        match option {
            HeaderOption::RouterAlert(_) => alert = true,
            HeaderOption::Pad1 | HeaderOption::PadN(_) | HeaderOption::JumboPayload(_) => {}
            // Mobility (RFC 6275) is not spoken here.
            HeaderOption::HomeAddress(_) | HeaderOption::Unknown { .. } => match option.unknown_action() {
                UnknownAction::Skip => {}
                action => {
                    let told = action.reports(destination).then_some((ParameterCode::UNKNOWN_OPTION, at as u32));
                    return Err((Drop::Ipv6Option, told));
                }
            },
        }
    }
    Ok(alert)
}

/// What may stand in the source field.
fn may_be_source(source: Ipv6Addr, arrival: Arrival, addresses: &Addresses) -> bool {
    match addresses.classify_v6(source) {
        // Another who has an anycast address of ours may speak from there (RFC 4291, 2.6).
        AddressKind::Unicast | AddressKind::Anycast => source.to_ipv4_mapped().is_none(),
        // Who claims an address of ours says so from there; what else comes from there is refused with the message.
        AddressKind::Local => arrival.loopback || !source.is_loopback(),
        // Unspecified.
        AddressKind::Invalid => true,
        AddressKind::Broadcast | AddressKind::Multicast => false,
    }
}

/// What the destination is, if it may be ours.
fn destination(to: Ipv6Addr, port: PortId, arrival: Arrival, addresses: &Addresses) -> Result<AddressKind, Drop> {
    if to.is_loopback() && !arrival.loopback {
        return Err(Drop::Ipv6Destination);
    }
    match addresses.classify_v6(to) {
        AddressKind::Local | AddressKind::Anycast if arrival.link_broadcast => Err(Drop::Ipv6LinkMulticast),
        // A link-local address is one of its own link's.
        AddressKind::Local if to.is_unicast_link_local() && !arrival.loopback && !addresses.is_on(port, to) => {
            Err(Drop::Ipv6NotForUs)
        }
        AddressKind::Anycast
            if to.is_unicast_link_local() && !arrival.loopback && !addresses.is_anycast_on(port, to) =>
        {
            Err(Drop::Ipv6NotForUs)
        }
        // RFC 4291, 2.7: nobody sends to scope 0, and scope 1 ends at the host.
        AddressKind::Multicast if ipv6::scope(to).0 <= u8::from(!arrival.loopback) => Err(Drop::Ipv6Destination),
        kind @ (AddressKind::Local | AddressKind::Anycast | AddressKind::Multicast) => Ok(kind),
        AddressKind::Unicast => Err(Drop::Ipv6NotForUs),
        AddressKind::Broadcast | AddressKind::Invalid => Err(Drop::Ipv6Destination),
    }
}
