//! What was decided about a packet is done: it is delivered, kept until the rest of it comes, or complained about.
//!
//! A packet that was put together from fragments goes through [`input`] as if it had come whole, since the
//! rest of its extension headers is only now there to be read. What is left of its coming in pieces is a mark, which
//! neighbour discovery asks for.
//!
//! # Standards
//!
//! RFC 8200 §4.5 (reassembly, and which fragments are answered), RFC 6946 (fragments that are the whole packet).

use super::input::{self, Accepted, Decision};
use crate::Stack;
use crate::counters::Drop;
use crate::icmp::Complaint;
use crate::ip::Incoming;
use crate::ipv4::input::Arrival;
use crate::link;
use crate::port::PortId;
use crate::raw::View;
use crate::reassembly::{Key, Piece, Whole};
use sockeye_device::{Checksum, Instant, RxFrame};
use sockeye_wire::Protocol;
use sockeye_wire::icmpv6::ParameterCode;
use sockeye_wire::ipv6::extension::FRAGMENT_LEN;
use sockeye_wire::ipv6::{HEADER_LEN, PAYLOAD_LEN_OFFSET};

impl Accepted {
    /// The packet as raw sockets see it.
    fn view<'a>(&self, port: PortId, frame: &'a RxFrame) -> View<'a> {
        View {
            fragment_size: self.fragment_size,
            source: self.source.into(),
            destination: self.destination.into(),
            protocol: self.protocol,
            port,
            ttl: self.hop_limit,
            tos: self.traffic_class,
            packet: &frame.buffer[self.packet.clone()],
            payload: &frame.buffer[self.payload.clone()],
            unchecked: frame.offload.checksum == Checksum::Present,
            unicast: self.unicast,
        }
    }
}

impl Stack {
    pub(crate) fn handle_ipv6(&mut self, now: Instant, port: PortId, frame: &mut RxFrame, arrived: link::Arrived) {
        self.ip.counters.ipv6_packets_received += 1;
        let arrival = Arrival { loopback: arrived.loopback, link_broadcast: arrived.broadcast };
        match input::decide(&frame.buffer, arrived.payload, port, arrival, &self.ip.addresses, &self.ip.multicast) {
            Decision::Deliver(accepted) => self.deliver_ipv6(now, port, accepted, frame),
            Decision::Reassemble(accepted, piece) => self.take_fragment(now, port, arrival, &accepted, &piece, frame),
            Decision::Drop(reason) => self.ip.counters.drop(reason),
            Decision::Complain(reason, accepted, code, pointer) => {
                self.refuse(now, frame, &accepted, reason, (code, pointer));
            }
        }
    }

    fn refuse(&mut self, now: Instant, frame: &RxFrame, accepted: &Accepted, reason: Drop, why: (ParameterCode, u32)) {
        self.ip.counters.drop(reason);
        let packet = &frame.buffer[accepted.packet.clone()];
        self.ip.complain(now, packet, accepted.unicast, Complaint::Parameter(why.0, why.1));
    }

    /// A whole packet.
    fn deliver_ipv6(&mut self, now: Instant, port: PortId, accepted: Accepted, frame: &mut RxFrame) {
        let told = self.ip.port_told(port, accepted.destination.into());
        let heard = !self.raw.is_empty() && {
            let view = accepted.view(told, frame);
            self.show_raw(now, &view)
        };
        match accepted.protocol {
            Protocol::TCP | Protocol::UDP | Protocol::UDP_LITE => {
                self.ip.counters.ipv6_packets_delivered += 1;
                let incoming = Incoming {
                    fragment_size: accepted.fragment_size,
                    source: accepted.source.into(),
                    destination: accepted.destination.into(),
                    port: told,
                    arrived_by: port,
                    tos: accepted.traffic_class,
                    ttl: accepted.hop_limit,
                    checksum: frame.offload.checksum,
                    segmentation: frame.offload.segmentation,
                    // TCP is between two hosts, and who has an anycast address is not always the same.
                    unicast: accepted.unicast && !(accepted.anycast && accepted.protocol == Protocol::TCP),
                    packet: accepted.packet,
                    options: 0..0,
                };
                if accepted.protocol == Protocol::TCP {
                    self.tcp.handle_segment(now, &mut self.ip, &incoming, frame, accepted.payload);
                } else {
                    self.deliver_datagram(now, accepted.protocol, &incoming, frame, accepted.payload);
                }
            }
            Protocol::ICMPV6 => {
                self.ip.counters.ipv6_packets_delivered += 1;
                self.handle_icmpv6(now, port, &accepted, &accepted.view(told, frame));
            }
            _ if heard => self.ip.counters.ipv6_packets_delivered += 1,
            _ => {
                let why = (ParameterCode::UNKNOWN_NEXT_HEADER, accepted.protocol_at as u32);
                self.refuse(now, frame, &accepted, Drop::Ipv6Protocol, why);
            }
        }
    }

    fn take_fragment(
        &mut self,
        now: Instant,
        port: PortId,
        arrival: Arrival,
        accepted: &Accepted,
        fragment: &input::Piece,
        frame: &RxFrame,
    ) {
        self.ip.counters.ipv6_fragments_received += 1;
        let piece = Piece {
            datagram: Key {
                source: accepted.source.into(),
                destination: accepted.destination.into(),
                protocol: 0,
                id: fragment.fragment.id,
            },
            offset: fragment.fragment.offset,
            more: fragment.fragment.more,
            // Neither the fixed header counts nor the one that goes when the packet is whole.
            header_len: fragment.header.len() - HEADER_LEN - FRAGMENT_LEN,
            // Headers up to there are within limits.
            number_at: fragment.number_at as u16,
            tos: accepted.traffic_class,
            unicast: accepted.unicast,
        };
        let header = &frame.buffer[fragment.header.clone()];
        let payload = &frame.buffer[fragment.payload.clone()];
        match self.reassemble(now, &piece, header, payload) {
            Ok(None) => {}
            Ok(Some(whole)) => self.handle_whole_ipv6(now, port, arrival, &whole),
            Err(reason) => {
                let offset_at = (fragment.header.len() - FRAGMENT_LEN + 2) as u32;
                let why = match reason {
                    Drop::FragmentMalformed if !payload.is_empty() => PAYLOAD_LEN_OFFSET as u32,
                    Drop::FragmentTooLong => offset_at,
                    _ => return self.ip.counters.drop(reason),
                };
                self.refuse(now, frame, accepted, reason, (ParameterCode::ERRONEOUS_FIELD, why));
            }
        }
    }

    fn handle_whole_ipv6(&mut self, now: Instant, port: PortId, arrival: Arrival, whole: &Whole) {
        let mut frame = RxFrame { buffer: self.tcp.pool.large(), ..RxFrame::default() };
        match put_together(whole, &mut frame) {
            Some(()) => {
                self.ip.counters.ipv6_reassembled += 1;
                match input::decide(
                    &frame.buffer,
                    frame.range.clone(),
                    port,
                    arrival,
                    &self.ip.addresses,
                    &self.ip.multicast,
                ) {
                    Decision::Deliver(accepted) => {
                        let fragment_size = whole.longest;
                        let accepted = Accepted { fragmented: true, fragment_size, ..accepted };
                        self.deliver_ipv6(now, port, accepted, &mut frame);
                    }
                    Decision::Reassemble(..) => self.ip.counters.drop(Drop::Ipv6Extension),
                    Decision::Drop(reason) => self.ip.counters.drop(reason),
                    Decision::Complain(reason, accepted, code, pointer) => {
                        self.refuse(now, &frame, &accepted, reason, (code, pointer));
                    }
                }
            }
            None => self.ip.counters.drop(Drop::FragmentTooLong),
        }
        if !frame.buffer.is_empty() {
            self.tcp.pool.give(frame.buffer);
        }
    }
}

/// Writes a packet as its sender would have, had it not been cut: without fragment header.
fn put_together(whole: &Whole, frame: &mut RxFrame) -> Option<()> {
    let (header, fragment) = whole.header.split_last_chunk::<FRAGMENT_LEN>()?;
    let len = whole.copy_to(header, &mut frame.buffer)?;
    *frame.buffer.get_mut(usize::from(whole.number_at))? = fragment[0];
    let payload_len = u16::try_from(len - HEADER_LEN).ok()?;
    frame.buffer[PAYLOAD_LEN_OFFSET..PAYLOAD_LEN_OFFSET + 2].copy_from_slice(&payload_len.to_be_bytes());
    frame.buffer[1] = frame.buffer[1] & 0x0f | whole.tos << 4;
    frame.buffer[0] = frame.buffer[0] & 0xf0 | whole.tos >> 4;
    frame.range = 0..len;
    Some(())
}
