//! The way out: a header, a neighbour, a queue.
//!
//! The counterpart of [`ipv4::output`](crate::ipv4::output), which hands over here what is of this family. A packet that does
//! not fit its path is cut by us or not at all: routers cut nothing. The identification of its fragments is drawn at random,
//! so that nobody can guess the next one (RFC 7739).
//!
//! # Standards
//!
//! RFC 8200 §3, §4.5, §8.1 (pseudo header, and that UDP has a checksum), RFC 8201 (path MTU), RFC 7739 §5.3.

use crate::checksum;
use crate::ip::{Ip, Outgoing};
use crate::ipv4::fragment::{Cut, Gather};
use crate::ipv4::output::{Manner, SendError};
use crate::ipv6::Headers;
use crate::port::{Buffers, OutFrame, PortId};
use crate::route::RouteEntry;
use sockeye_device::{Instant, Offload, SegmentKind, Segmentation};
use sockeye_wire::checksum::pseudo_header;
use sockeye_wire::ipv6::extension::{self, FRAGMENT_LEN, Fragment};
use sockeye_wire::ipv6::{HEADER_LEN, Repr};
use sockeye_wire::{EtherType, MacAddr, Protocol, ethernet};
use std::net::{IpAddr, Ipv6Addr};

impl Ip {
    /// Sends `header` followed by `payload` by `route`.
    pub(crate) fn send_v6_by(
        &mut self,
        now: Instant,
        route: &RouteEntry,
        outgoing: &Outgoing,
        manner: &Manner<'_>,
        header: &[u8],
        payload: &[&[u8]],
    ) -> Result<(), SendError> {
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (outgoing.source, outgoing.destination) else {
            return Err(SendError::Family);
        };
        let len = header.len() + payload.iter().map(|slice| slice.len()).sum::<usize>();
        let Manner { fragmentation, headers, flow_label, .. } = *manner;
        let extensions_len = headers.map_or(0, Headers::len);
        if extensions_len + len > usize::from(u16::MAX) {
            return Err(SendError::MessageSize);
        }
        let fits = HEADER_LEN + extensions_len + len <= usize::from(route.mtu) || outgoing.segment_size.is_some();
        if !fits && !fragmentation.cuts() {
            return Err(SendError::MessageSize);
        }
        let state = self.find_port(route.port).filter(|port| port.up).ok_or(SendError::LinkDown)?;
        let (mac, capabilities) = (state.mac, state.capabilities);
        // What cannot be queued leaves no trace, not even a question for the neighbour.
        if !state.queue.has_room(1, 0) {
            return Err(SendError::Full);
        }
        let link = ethernet::Repr { dst: MacAddr::ZERO, src: mac, vlan: None, ether_type: EtherType::IPV6 };
        let mut repr = Repr {
            src,
            dst,
            next_header: outgoing.protocol,
            hop_limit: outgoing.ttl,
            traffic_class: outgoing.tos,
            flow_label,
        };
        if !fits {
            return self.send_v6_in_pieces(now, route, outgoing, (&link, &repr), headers, header, payload);
        }
        let to = self.link_to(now, route)?;
        let mut frame = match headers {
            None => self.v6_frame(&link, &repr, &[], len, &mut Gather::new(header, payload)),
            Some(headers) => {
                let mut extensions = vec![0; headers.len()];
                repr.next_header = headers.emit(dst, outgoing.protocol, &mut extensions);
                repr.dst = headers.next_stop(dst);
                self.v6_frame(&link, &repr, &extensions, len, &mut Gather::new(header, payload))
            }
        };
        let transport = frame.len - len;
        if let Some(at) = outgoing.checksum_offset {
            let sum = pseudo_header(src.into(), dst.into(), outgoing.protocol.0, len as u32);
            let by_device = capabilities.checksum || outgoing.segment_size.is_some();
            checksum::fill(&mut frame, transport, at, sum, outgoing.protocol, by_device);
        }
        frame.offload.segmentation = outgoing.segment_size.map(|size| Segmentation {
            kind: SegmentKind::TcpV6,
            size,
            header_len: (transport + header.len()) as u16,
        });
        self.counters.ipv6_packets_sent += 1;
        self.dispatch(route, to, frame)
    }

    #[allow(clippy::too_many_arguments, reason = "a packet, in its parts")]
    fn send_v6_in_pieces(
        &mut self,
        now: Instant,
        route: &RouteEntry,
        outgoing: &Outgoing,
        (link, repr): (&ethernet::Repr, &Repr),
        headers: Option<&Headers>,
        header: &[u8],
        payload: &[&[u8]],
    ) -> Result<(), SendError> {
        let transport_len = header.len() + payload.iter().map(|slice| slice.len()).sum::<usize>();
        let sum = outgoing.checksum_offset.map(|at| {
            let sum = pseudo_header(repr.src.into(), repr.dst.into(), repr.next_header.0, transport_len as u32);
            (usize::from(at), checksum::over(sum, header, payload, repr.next_header))
        });
        // What every fragment has, and what stands before the transport's header in the first.
        let mut extensions = vec![0; headers.map_or(0, Headers::every_len) + FRAGMENT_LEN];
        let at = extensions.len() - FRAGMENT_LEN;
        let mut repr = Repr { next_header: Protocol::FRAGMENT, ..*repr };
        let (mut carried, mut begin) = (outgoing.protocol, Vec::new());
        if let Some(headers) = headers {
            repr.next_header = headers.emit_every(repr.dst, &mut extensions);
            (carried, begin) = headers.rest(outgoing.protocol);
            repr.dst = headers.next_stop(repr.dst);
        }
        let before = begin.len();
        begin.extend_from_slice(header);
        let len = before + transport_len;
        let mtu = usize::from(route.mtu);
        let own = HEADER_LEN + extensions.len();
        let cut = Cut::new(len, mtu, own, own).ok_or(SendError::MessageSize)?;
        // All of them or none.
        let memory = cut.pieces() * Buffers::size_for(ethernet::HEADER_LEN + mtu);
        if !self.port(route.port).queue.has_room(cut.pieces(), memory) {
            return Err(SendError::Full);
        }
        let to = self.link_to(now, route)?;
        let id = self.rng.next_u32();
        let mut bytes = Gather::new(&begin, payload);
        for (range, more) in cut {
            let fragment = Fragment { offset: range.start as u16, more, id };
            extension::Repr::Fragment(fragment).emit(carried, &mut extensions[at..]);
            let mut frame = self.v6_frame(link, &repr, &extensions, range.len(), &mut bytes);
            let fragmentable = frame.len - range.len();
            if let Some((at, value)) = sum
                && range.contains(&(before + at))
            {
                checksum::put(&mut frame.buffer, fragmentable + before + at - range.start, value);
            }
            self.counters.ipv6_fragments_sent += 1;
            self.dispatch(route, to, frame)?;
        }
        self.counters.ipv6_fragmented += 1;
        self.counters.ipv6_packets_sent += 1;
        Ok(())
    }

    /// A frame with `extensions` and `len` bytes behind them, in which only the destination's hardware address is missing.
    fn v6_frame(
        &mut self,
        link: &ethernet::Repr,
        repr: &Repr,
        extensions: &[u8],
        len: usize,
        bytes: &mut Gather<'_>,
    ) -> OutFrame {
        let mut buffer = self.buffers.take(link.header_len() + HEADER_LEN + extensions.len() + len);
        let at = link.emit(&mut buffer);
        let at = at + repr.emit(extensions.len() + len, &mut buffer[at..]);
        let (slot, rest) = buffer[at..].split_at_mut(extensions.len());
        slot.copy_from_slice(extensions);
        bytes.copy_to(&mut rest[..len]);
        OutFrame { len: at + extensions.len() + len, buffer, offload: Offload::default() }
    }

    /// Sends a packet that fits to a station whose hardware address is known, past the neighbour table.
    pub(crate) fn send_v6_to(
        &mut self,
        port: PortId,
        mac: MacAddr,
        outgoing: &Outgoing,
        (src, dst): (Ipv6Addr, Ipv6Addr),
        payload: &[u8],
    ) -> Result<(), SendError> {
        let state = self.find_port(port).filter(|port| port.up).ok_or(SendError::LinkDown)?;
        let link = ethernet::Repr { dst: mac, src: state.mac, vlan: None, ether_type: EtherType::IPV6 };
        let repr = Repr {
            src,
            dst,
            next_header: outgoing.protocol,
            hop_limit: outgoing.ttl,
            traffic_class: outgoing.tos,
            flow_label: 0,
        };
        let frame = self.v6_frame(&link, &repr, &[], payload.len(), &mut Gather::new(payload, &[]));
        if !self.enqueue(port, frame) {
            return Err(SendError::Full);
        }
        self.counters.ipv6_packets_sent += 1;
        Ok(())
    }
}
