//! What a stream can tell of the packets that brought it (`IP_PKTOPTIONS`, `IPV6_2292PKTOPTIONS`).
//!
//! A stream has bytes and no packets, so there is one answer for all that came: port, hops and flow of the packet that completed the handshake, if the
//! peer opened the connection. They cost an accepted connection a few bytes. Over IPv6 who asks for more hears of the last packet whose segment ended where
//! everything that came in order ends: each fact that is [asked for](Interest) is replaced, and where the packet has extension headers or a label
//! that are asked for, its headers are [kept](Kept). A listener that asks keeps those of the SYN, until the connection's first segment behind the handshake.
//! No packet has more than 2 KiB of them.
//!
//! Who asks for nothing pays nothing: as with a [filter](super::filter), a connection of somebody who asks is never [predicted](super::prediction),
//! and the general way looks. Headers are kept beside the connections, in a table of the few that have some.
//!
//! # Standards
//!
//! RFC 2292 §4.1 (TCP), of which RFC 3542 kept nothing; Linux ipv6(7), and what its TCP does (`tcp_v6_do_rcv`).

use super::connection::{Connection, Fate};
use super::demux::{Endpoint, Flow};
use super::filter::Place;
use super::input::Arrival;
use super::{ConnectionId, State, Tcp};
use crate::Stack;
use crate::family::FLOW_LABEL;
use crate::port::PortId;
use sockeye_device::RxFrame;
use sockeye_wire::ipv6;
use sockeye_wire::ipv6::extension::{Extension, Extensions, Limits};
use sockeye_wire::tcp::Flags;
use std::net::IpAddr;

/// What is remembered of a packet. At first: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// By which port it came: its index, or [`NOWHERE`].
    port: u16,
    /// Time to live or hop limit; 1 of no packet.
    pub hops: u8,
    /// Service or class (8 bits) and label (20 bits), as IPv6 has them.
    pub flow: u32,
}

/// A host has fewer ports.
const NOWHERE: u16 = u16::MAX;

impl Default for Heard {
    fn default() -> Self {
        Heard { port: NOWHERE, hops: 1, flow: 0 }
    }
}

impl Heard {
    pub(super) fn new(port: PortId, hops: u8, flow: u32) -> Self {
        Heard { port: port.0, hops, flow }
    }

    /// By which port it came.
    pub fn port(&self) -> Option<PortId> {
        (self.port != NOWHERE).then_some(PortId(self.port))
    }

    /// Another packet replaces what is asked for.
    pub fn learn(&mut self, interest: Interest, packet: Heard) {
        if interest.port {
            self.port = packet.port;
        }
        if interest.hops {
            self.hops = packet.hops;
        }
        if interest.flow || interest.class {
            self.flow = packet.flow;
        }
    }

    /// Type of service or traffic class.
    pub fn class(&self) -> u8 {
        (self.flow >> 20) as u8
    }

    /// The flow label; 0 over IPv4.
    pub fn label(&self) -> u32 {
        self.flow & FLOW_LABEL
    }
}

/// The headers of a packet of IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The fixed header, and extension headers if any are asked for.
    pub headers: Box<[u8]>,
    /// By which port it came.
    pub port: PortId,
    /// Of what came in pieces: the length of the longest packet; else 0.
    pub fragment_size: u16,
}

/// What of packets of IPv6 is to be heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Anything at all, be it of what is not told of streams.
    pub any: bool,
    /// `IPV6_RECVPKTINFO`, `IPV6_2292PKTINFO`.
    pub port: bool,
    /// `IPV6_RECVHOPLIMIT`, `IPV6_2292HOPLIMIT`.
    pub hops: bool,
    /// `IPV6_RECVTCLASS`.
    pub class: bool,
    /// `IPV6_FLOWINFO`.
    pub flow: bool,
    /// `IPV6_RECVHOPOPTS`, `IPV6_2292HOPOPTS`.
    pub hop_by_hop: bool,
    /// `IPV6_RECVRTHDR`, `IPV6_2292RTHDR`.
    pub routing: bool,
    /// `IPV6_RECVDSTOPTS`, `IPV6_2292DSTOPTS`.
    pub destination: bool,
}

impl Interest {
    fn extends(&self) -> bool {
        self.hop_by_hop || self.routing || self.destination
    }

    /// The headers of a packet, with the extension headers if any are asked for.
    fn kept(&self, place: &Place<'_>, frame: &RxFrame) -> Kept {
        let (packet, segment) = place.packet(frame);
        let len = if self.extends() { segment } else { ipv6::HEADER_LEN };
        let headers = packet.get(..len).unwrap_or_default().into();
        Kept { headers, port: place.incoming.port, fragment_size: place.incoming.fragment_size }
    }

    /// Whether a packet has an extension header that is asked for.
    fn finds(&self, packet: &[u8]) -> bool {
        let wants = |extension: &Extension<'_>| match extension {
            Extension::HopByHop(_) => self.hop_by_hop,
            Extension::Routing(_) => self.routing,
            Extension::Destination(_) => self.destination,
            _ => false,
        };
        let headers = ipv6::Packet::parse(packet).map(|packet| Extensions::new(&packet, Limits::DEFAULT));
        headers.is_ok_and(|mut headers| headers.any(|header| header.is_ok_and(|header| wants(&header.extension))))
    }
}

/// A packet that was looked at before its segment was taken, and may be worth keeping.
pub(super) struct Noted {
    interest: Interest,
    heard: Heard,
    kept: Option<Kept>,
}

impl Place<'_> {
    /// The facts that every packet has.
    pub(super) fn heard(&self, frame: &RxFrame) -> Heard {
        // 0 over IPv4.
        let label = ipv6::Packet::parse(self.packet(frame).0).map_or(0, |packet| packet.flow_label());
        let flow = u32::from(self.incoming.tos) << 20 | label;
        Heard::new(self.incoming.port, self.incoming.ttl, flow)
    }

    /// Looks at a packet for somebody who may ask for something.
    #[inline]
    pub(super) fn note(&self, interest: Interest, frame: &RxFrame) -> Option<Noted> {
        (interest.any && self.incoming.source.is_ipv6()).then(|| self.look(interest, frame))
    }

    #[cold]
    fn look(&self, interest: Interest, frame: &RxFrame) -> Noted {
        let heard = self.heard(frame);
        let more = interest.flow && heard.flow != 0 || interest.extends() && interest.finds(self.packet(frame).0);
        Noted { interest, heard, kept: more.then(|| interest.kept(self, frame)) }
    }

    /// What a packet that opens a connection leaves to somebody who asks.
    pub(super) fn opening(&self, interest: Interest, frame: &RxFrame) -> Option<Kept> {
        let noted = self.note(interest, frame)?;
        noted.kept.or_else(|| (interest.port || interest.hops).then(|| interest.kept(self, frame)))
    }
}

impl Tcp {
    /// A listener answers this SYN.
    pub(super) fn note_syn(&mut self, listener: u32, flow: &Flow, place: &Place<'_>, frame: &RxFrame) {
        let Some(interest) = self.listeners.at(listener as usize).map(|found| found.options.interest) else { return };
        if let Some(kept) = place.opening(interest, frame)
            && let Some(half_open @ Endpoint::HalfOpen(_)) = self.demux.find(flow)
        {
            self.kept.insert(half_open, kept);
        }
    }

    /// What was kept of something that ends, or goes on as something else.
    #[inline]
    pub(super) fn take_kept(&mut self, of: Endpoint) -> Option<Kept> {
        // Mostly nobody has asked, and there is no key to hash.
        if self.kept.is_empty() { None } else { self.kept.remove(&of) }
    }

    /// A connection has taken a segment: what was noted of its packet counts, if nothing came after it.
    #[cold]
    pub(super) fn keep(&mut self, index: u32, arrival: &Arrival, noted: Noted) {
        let Some(connection) = self.connections.at_mut(index as usize) else { return };
        if !connection.ends_with(arrival) {
            return;
        }
        let Noted { interest, heard, kept } = noted;
        connection.heard.learn(interest, heard);
        match kept {
            Some(kept) => _ = self.kept.insert(Endpoint::Connection(index), kept),
            None => _ = self.take_kept(Endpoint::Connection(index)),
        }
    }
}

impl Connection {
    /// Whether a segment ends where everything that came in order ends.
    fn ends_with(&self, arrival: &Arrival) -> bool {
        let of = |flag| u32::from(arrival.flags.contains(flag));
        let end = arrival.seq + (arrival.payload.len() as u32 + of(Flags::SYN) + of(Flags::FIN));
        self.fate == Fate::Alive && self.state != State::Closed && end == self.receive_seq(self.rcv_nxt())
    }
}

impl Stack {
    /// What a connection has heard of packets; of one that is no more, nothing.
    pub fn tcp_heard(&self, id: ConnectionId) -> Heard {
        let Some(Connection { heard, flow, .. }) = self.tcp.connections.get(id) else { return Heard::default() };
        match heard.port() {
            Some(port) => Heard { port: self.port_to_tell(port, flow.local.ip()).0, ..*heard },
            None => *heard,
        }
    }

    /// The headers that a connection has kept.
    pub fn tcp_kept(&self, id: ConnectionId) -> Option<Kept> {
        let local = self.tcp.connections.get(id)?.flow.local.ip();
        let kept = self.tcp.kept.get(&Endpoint::Connection(id.index() as u32))?;
        Some(Kept { port: self.port_to_tell(kept.port, local), ..kept.clone() })
    }

    /// As on Linux, what comes from the host itself came by the port that has the address.
    pub(super) fn port_to_tell(&self, port: PortId, local: IpAddr) -> PortId {
        if port.is_loopback() { self.port_of(local).unwrap_or(port) } else { port }
    }
}
