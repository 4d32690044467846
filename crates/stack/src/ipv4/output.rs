//! The way out: a header, a neighbour, a queue.
//!
//! [`Ip::send_by`] takes a transport header and slices of payload, makes a frame of them (several, if it must be cut), and
//! puts it into the port's queue or, while the neighbour is unknown, into the neighbour's. Whoever can wait is told when
//! the queue is full; nothing is dropped here.
//!
//! TCP does not come this way with its data once the neighbour is known: it keeps what [`Ip::route`] and [`Ip::link`] told
//! it, and hands its super-segments to the device from where they are.
//!
//! **Don't fragment.** By default a datagram that fits carries DF, so that the path's MTU is learnt, and one that does not
//! fit is cut here ([`Fragmentation::WhenNeeded`], Linux's `IP_PMTUDISC_WANT`).
//!
//! **Checksums.** A transport names the place of its checksum, and it is [filled in](crate::checksum) here.
//!
//! # Standards
//!
//! RFC 791 §3.2, RFC 1122 §3.2.1, §3.3.3, RFC 1191 §3, RFC 6864 §4.

use super::fragment::{Cut, Gather};
use crate::checksum;
use crate::counters::Drop;
use crate::ip::Ip;
use crate::ipv6::Headers;
use crate::port::{Buffers, OutFrame};
use crate::resolution::Link;
use crate::route::{AddressKind, NoRoute, RouteEntry};
use sockeye_device::{Full, Instant, Offload, SegmentKind, Segmentation};
use sockeye_wire::checksum::pseudo_header;
use sockeye_wire::ipv4::options::{MAX_LEN as MAX_OPTIONS, OptionBuffer, record_route};
use sockeye_wire::ipv4::{self, Repr};
use sockeye_wire::{EtherType, MacAddr, Protocol, ethernet};
use std::net::IpAddr;

/// Whether a packet may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fragmentation {
    /// One that fits is marked "don't fragment"; one that does not fit is cut.
    #[default]
    WhenNeeded,
    /// Every packet is marked; one that does not fit is refused.
    Never,
    /// The same, but only the link is heeded, not what is known of the path: whoever sends wants to find that out.
    Probe,
    /// Packets are not marked, so that routers may cut them too; one that does not fit is cut.
    Anywhere,
    /// The same, but only the link is heeded, and nothing is learnt of the path: forged messages of ICMP say nothing to such a socket.
    Omit,
    /// Packets are not marked, only the link is heeded, and what does not fit it is refused; nothing is learnt of the path.
    Interface,
}

impl Fragmentation {
    /// Whether this host cuts what does not fit.
    pub(crate) fn cuts(self) -> bool {
        matches!(self, Fragmentation::WhenNeeded | Fragmentation::Anywhere | Fragmentation::Omit)
    }

    /// Whether what fits is marked, so that no router cuts it.
    pub(crate) fn marks(self) -> bool {
        matches!(self, Fragmentation::WhenNeeded | Fragmentation::Never | Fragmentation::Probe)
    }

    /// Whether what is known of a path bounds what is sent there; else only the link does.
    pub(crate) fn heeds_path(self) -> bool {
        matches!(self, Fragmentation::WhenNeeded | Fragmentation::Never | Fragmentation::Anywhere)
    }

    /// Whether what routers say of a path is believed on behalf of the socket.
    pub(crate) fn learns(self) -> bool {
        !matches!(self, Fragmentation::Omit | Fragmentation::Interface)
    }
}

/// Why a packet was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The port's queue is full; there will be room.
    Full,
    /// There is no route.
    NoRoute,
    /// The neighbour does not answer.
    HostUnreachable,
    /// The port's link is down.
    LinkDown,
    /// Larger than a packet can be, or than the path carries where it may not be cut.
    MessageSize,
    /// The addresses are of different families.
    Family,
}

/// A packet to send: all but its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    /// Where in the transport header a checksum over pseudo header, header and payload is to be put.
    pub(crate) checksum_offset: Option<u16>,
    /// A super-segment of TCP: the device cuts it into pieces of so many bytes of payload.
    pub(crate) segment_size: Option<u16>,
}

/// What only some packets have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner<'a> {
    pub(crate) fragmentation: Fragmentation,
    /// Options of an IPv4 header.
    pub(crate) options: &'a [u8],
    /// Extension headers of IPv6.
    pub(crate) headers: Option<&'a Headers>,
    /// Of 20 bits, of IPv6.
    pub(crate) flow_label: u32,
}

impl Ip {
    /// Sends `header` followed by `payload` by the best route. What has no way to go is counted and lost, as it might be
    /// on the way; only a full queue is told.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        outgoing: &Outgoing,
        manner: &Manner<'_>,
        header: &[u8],
        payload: &[&[u8]],
    ) -> Result<(), Full> {
        // A routing header's first stop decides which way it goes.
        let next = match (outgoing.destination, manner.headers) {
            (IpAddr::V6(destination), Some(headers)) => headers.next_stop(destination).into(),
            (destination, _) => destination,
        };
        let sent = match self.route(next, Some(outgoing.source)) {
            Ok(route) => self.send_by(now, &route, outgoing, manner, header, payload),
            Err(NoRoute::Nowhere | NoRoute::Source) => Err(SendError::NoRoute),
        };
        match sent {
            Ok(()) => Ok(()),
            Err(SendError::Full) => Err(Full),
            Err(error) => {
                let counters = &mut self.counters;
                let counter = match (error, outgoing.destination) {
                    (SendError::MessageSize, IpAddr::V4(_)) => &mut counters.ipv4_too_large,
                    (SendError::MessageSize, IpAddr::V6(_)) => &mut counters.ipv6_too_large,
                    (_, IpAddr::V4(_)) => &mut counters.ipv4_no_route,
                    (_, IpAddr::V6(_)) => &mut counters.ipv6_no_route,
                };
                *counter += 1;
                Ok(())
            }
        }
    }

    /// Sends `header` followed by `payload` by `route`.
    pub(crate) fn send_by(
        &mut self,
        now: Instant,
        route: &RouteEntry,
        outgoing: &Outgoing,
        manner: &Manner<'_>,
        header: &[u8],
        payload: &[&[u8]],
    ) -> Result<(), SendError> {
        let Manner { fragmentation, options, .. } = *manner;
        let (src, dst) = match (outgoing.source, outgoing.destination) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => (src, dst),
            _ => return self.send_v6_by(now, route, outgoing, manner, header, payload),
        };
        let mut own = [0; MAX_OPTIONS];
        let own = own.get_mut(..options.len()).ok_or(SendError::MessageSize)?;
        own.copy_from_slice(options);
        // A recorded way begins with ourselves. What is malformed goes as its program wrote it.
        let _malformed = record_route(own, src);
        let options = &*own;
        let len = header.len() + payload.iter().map(|slice| slice.len()).sum::<usize>();
        let header_len = ipv4::HEADER_LEN + options.len().next_multiple_of(4);
        if header_len + len > usize::from(u16::MAX) {
            return Err(SendError::MessageSize);
        }
        let fits = header_len + len <= usize::from(route.mtu) || outgoing.segment_size.is_some();
        if !fits && !fragmentation.cuts() {
            return Err(SendError::MessageSize);
        }
        let state = self.find_port(route.port).filter(|port| port.up).ok_or(SendError::LinkDown)?;
        let (mac, capabilities) = (state.mac, state.capabilities);
        let link = ethernet::Repr { dst: MacAddr::ZERO, src: mac, vlan: None, ether_type: EtherType::IPV4 };
        // What cannot be queued leaves no trace, not even a question for the neighbour.
        if !state.queue.has_room(1, 0) {
            return Err(SendError::Full);
        }

        let dont_fragment = fits && fragmentation.marks();
        let repr = Repr {
            src,
            dst,
            protocol: outgoing.protocol,
            // RFC 1122 §3.2.1.7: never a time to live of zero.
            ttl: outgoing.ttl.max(1),
            tos: outgoing.tos,
            // RFC 6864 §4.1: nobody looks at the identification of what cannot be cut.
            id: if dont_fragment { 0 } else { self.next_identification(outgoing) },
            dont_fragment,
            more_fragments: false,
            fragment_offset: 0,
            options,
        };
        if fits {
            let to = self.link_to(now, route)?;
            let mut frame = self.frame(&link, &repr, len, &mut Gather::new(header, payload));
            let transport = frame.len - len;
            if let Some(at) = outgoing.checksum_offset {
                let sum = pseudo_header(src.into(), dst.into(), repr.protocol.0, len as u32);
                let by_device = capabilities.checksum || outgoing.segment_size.is_some();
                checksum::fill(&mut frame, transport, at, sum, repr.protocol, by_device);
            }
            frame.offload.segmentation = outgoing.segment_size.map(|size| Segmentation {
                kind: SegmentKind::TcpV4,
                size,
                header_len: (transport + header.len()) as u16,
            });
            self.counters.ipv4_packets_sent += 1;
            return self.dispatch(route, to, frame);
        }
        self.send_in_pieces(now, route, outgoing, (&link, &repr), header, payload)
    }

    fn send_in_pieces(
        &mut self,
        now: Instant,
        route: &RouteEntry,
        outgoing: &Outgoing,
        (link, repr): (&ethernet::Repr, &Repr<'_>),
        header: &[u8],
        payload: &[&[u8]],
    ) -> Result<(), SendError> {
        let len = header.len() + payload.iter().map(|slice| slice.len()).sum::<usize>();
        let mtu = usize::from(route.mtu);
        let copied = OptionBuffer::for_fragments(repr.options);
        let rest_header = ipv4::HEADER_LEN + copied.as_bytes().len();
        let cut = Cut::new(len, mtu, repr.header_len(), rest_header).ok_or(SendError::MessageSize)?;
        // All of them or none.
        let memory = cut.pieces() * Buffers::size_for(ethernet::HEADER_LEN + mtu);
        if !self.port(route.port).queue.has_room(cut.pieces(), memory) {
            return Err(SendError::Full);
        }
        let to = self.link_to(now, route)?;
        let sum = outgoing.checksum_offset.map(|at| {
            let sum = pseudo_header(outgoing.source, outgoing.destination, repr.protocol.0, len as u32);
            (usize::from(at), checksum::over(sum, header, payload, repr.protocol))
        });
        let mut bytes = Gather::new(header, payload);
        for (range, more_fragments) in cut {
            let options = if range.start == 0 { repr.options } else { copied.as_bytes() };
            let repr = Repr { more_fragments, fragment_offset: range.start as u16, options, ..*repr };
            let mut frame = self.frame(link, &repr, range.len(), &mut bytes);
            let transport = frame.len - range.len();
            if let Some((at, value)) = sum
                && range.contains(&(at + 1))
                && range.start == 0
            {
                checksum::put(&mut frame.buffer, transport + at, value);
            }
            self.counters.ipv4_fragments_sent += 1;
            self.dispatch(route, to, frame)?;
        }
        self.counters.ipv4_fragmented += 1;
        self.counters.ipv4_packets_sent += 1;
        Ok(())
    }

    fn next_identification(&mut self, outgoing: &Outgoing) -> u16 {
        let Outgoing { source, destination, protocol, .. } = *outgoing;
        self.identifications.next(&mut self.rng, source, destination, protocol.0)
    }

    /// Where the next hop is, or none while that is being found out.
    pub(crate) fn link_to(&mut self, now: Instant, route: &RouteEntry) -> Result<Option<MacAddr>, SendError> {
        match self.link(now, route.port, route.next_hop) {
            Link::Ready(mac) => Ok(Some(mac)),
            Link::Pending => Ok(None),
            Link::Failed => Err(SendError::HostUnreachable),
        }
    }

    /// A frame with `len` bytes of IP payload, in which only the destination's hardware address is missing.
    fn frame(&mut self, link: &ethernet::Repr, repr: &Repr<'_>, len: usize, bytes: &mut Gather<'_>) -> OutFrame {
        let headers = link.header_len() + repr.header_len();
        let mut buffer = self.buffers.take(headers + len);
        let at = link.emit(&mut buffer);
        let at = at + repr.emit(len, &mut buffer[at..]);
        bytes.copy_to(&mut buffer[at..at + len]);
        OutFrame { buffer, len: at + len, offload: Offload::default() }
    }

    /// To the device, or to the queue of those who wait for the neighbour.
    pub(crate) fn dispatch(
        &mut self,
        route: &RouteEntry,
        to: Option<MacAddr>,
        mut frame: OutFrame,
    ) -> Result<(), SendError> {
        match to {
            Some(mac) => {
                frame.address_to(mac);
                if self.enqueue(route.port, frame) { Ok(()) } else { Err(SendError::Full) }
            }
            None => {
                if let Some(older) = self.neighbors.wait(route.port, route.next_hop, frame) {
                    self.counters.drop(Drop::NeighborQueueFull);
                    self.buffers.give(older.buffer);
                }
                Ok(())
            }
        }
    }

    /// A router could not forward a packet of `packet` bytes to `destination`, and says that `mtu` would do (0: it does
    /// not say). Whoever sent the packet has checked that the complaint is about it. True when the path's MTU has become
    /// smaller; then [`Ip::route_generation`] has changed.
    pub(crate) fn learn_path_mtu(&mut self, now: Instant, destination: IpAddr, mtu: u16, packet: u16) -> bool {
        // Nothing is learnt of a way to ourselves or to many: no router cuts it short.
        let Some(route) = self.route(destination, None).ok().filter(|route| route.kind == AddressKind::Unicast) else {
            return false;
        };
        let learnt = self.path_mtus.learn(now, destination, mtu, packet, route.mtu).is_some();
        if learnt {
            match destination {
                IpAddr::V4(_) => self.counters.ipv4_path_mtu_learnt += 1,
                IpAddr::V6(_) => self.counters.ipv6_path_mtu_learnt += 1,
            }
            self.route_generation += 1;
        }
        learnt
    }
}
