//! What was decided about a packet is done: it is delivered, kept until the rest of it comes, or complained about.
//!
//! A datagram that was put together from fragments gets the header that its sender would have written, had it not been cut, and is delivered
//! as if it had come whole.
//!
//! # Standards
//!
//! RFC 791 (reassembly), RFC 1122 §3.2.2.1 and §3.2.2.5 (which errors are answered).

use super::input::{self, Accepted, Arrival, Decision};
use crate::Stack;
use crate::counters::Drop;
use crate::icmp::Complaint;
use crate::ip::Incoming;
use crate::link;
use crate::port::PortId;
use crate::reassembly::{Key, Piece, Whole};
use sockeye_device::{Instant, Offload, RxFrame};
use sockeye_wire::Protocol;
use sockeye_wire::ipv4::{CHECKSUM_OFFSET, HEADER_LEN, Packet};

impl Stack {
    pub(crate) fn handle_ipv4(&mut self, now: Instant, port: PortId, frame: &mut RxFrame, arrived: link::Arrived) {
        self.ip.counters.ipv4_packets_received += 1;
        let arrival = Arrival { loopback: arrived.loopback, link_broadcast: arrived.broadcast };
        match input::decide(&frame.buffer, arrived.payload, port, arrival, &self.ip.addresses, &self.ip.multicast) {
            Decision::Deliver(accepted) => self.deliver_ipv4(now, port, accepted, frame),
            Decision::Reassemble(accepted, fragment) => {
                let piece = Piece {
                    datagram: Key {
                        source: accepted.source.into(),
                        destination: accepted.destination.into(),
                        protocol: accepted.protocol.0,
                        id: fragment.id.into(),
                    },
                    offset: fragment.offset,
                    more: fragment.more,
                    header_len: accepted.payload.start - accepted.packet.start,
                    number_at: 0,
                    tos: accepted.tos,
                    unicast: accepted.unicast,
                };
                self.ip.counters.ipv4_fragments_received += 1;
                let header = &frame.buffer[accepted.packet.start..accepted.payload.start];
                match self.reassemble(now, &piece, header, &frame.buffer[accepted.payload.clone()]) {
                    Ok(None) => {}
                    Ok(Some(whole)) => self.handle_whole_ipv4(now, port, &whole, accepted.unicast),
                    Err(reason) => self.ip.counters.drop(reason),
                }
            }
            Decision::Drop(reason) => self.ip.counters.drop(reason),
            Decision::Complain(reason, accepted, pointer) => {
                self.ip.counters.drop(reason);
                let packet = &frame.buffer[accepted.packet];
                self.ip.complain(now, packet, accepted.unicast, Complaint::Header(pointer));
            }
        }
    }

    fn deliver_ipv4(&mut self, now: Instant, port: PortId, accepted: Accepted, frame: &mut RxFrame) {
        self.ip.counters.ipv4_packets_delivered += 1;
        let Accepted { source, destination, protocol, tos, ttl, unicast, packet, options, payload, fragment_size } =
            accepted;
        let incoming = Incoming {
            fragment_size,
            source: source.into(),
            destination: destination.into(),
            port: self.ip.port_told(port, destination.into()),
            arrived_by: port,
            tos,
            ttl,
            checksum: frame.offload.checksum,
            segmentation: frame.offload.segmentation,
            unicast,
            packet,
            options,
        };
        let heard = !self.raw.is_empty() && {
            let view = incoming.view(protocol, &frame.buffer, payload.clone());
            self.show_raw(now, &view)
        };
        match protocol {
            Protocol::TCP => self.tcp.handle_segment(now, &mut self.ip, &incoming, frame, payload),
            Protocol::UDP | Protocol::UDP_LITE => self.deliver_datagram(now, protocol, &incoming, frame, payload),
            Protocol::ICMP => {
                let options = &frame.buffer[incoming.options.clone()];
                let view = incoming.view(protocol, &frame.buffer, payload);
                self.handle_icmp(now, &incoming, options, &view);
            }
            Protocol::IGMP => {
                let options = &frame.buffer[incoming.options.clone()];
                self.ip.handle_igmp(now, &incoming, options, &frame.buffer[payload]);
            }
            _ if heard => {}
            _ => {
                self.ip.counters.drop(Drop::Ipv4Protocol);
                self.ip.complain(now, &frame.buffer[incoming.packet], unicast, Complaint::Protocol);
            }
        }
    }

    fn handle_whole_ipv4(&mut self, now: Instant, port: PortId, whole: &Whole, unicast: bool) {
        let mut frame = RxFrame { buffer: self.tcp.pool.large(), ..RxFrame::default() };
        match self.put_together_ipv4(whole, unicast, &mut frame) {
            Ok(accepted) => self.deliver_ipv4(now, port, accepted, &mut frame),
            Err(reason) => self.ip.counters.drop(reason),
        }
        if !frame.buffer.is_empty() {
            self.tcp.pool.give(frame.buffer);
        }
    }

    /// Writes a packet as if it had come whole.
    fn put_together_ipv4(&mut self, whole: &Whole, unicast: bool, frame: &mut RxFrame) -> Result<Accepted, Drop> {
        let len = whole.copy_to(&whole.header, &mut frame.buffer).ok_or(Drop::FragmentTooLong)?;
        let total = u16::try_from(len).map_err(|_| Drop::FragmentTooLong)?;
        let header = &mut frame.buffer[..whole.header.len()];
        // As the sender would have written the header, had it not been cut.
        header[1] = whole.tos;
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header[6..8].fill(0);
        header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].fill(0);
        let checksum = sockeye_wire::checksum::sum(header).finish();
        header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&checksum.to_be_bytes());
        frame.range = 0..len;
        frame.offload = Offload::default();
        self.ip.counters.ipv4_reassembled += 1;
        let packet = Packet::parse(&frame.buffer[..len]).map_err(|_| Drop::Ipv4Malformed)?;
        let payload = packet.header_len();
        Ok(Accepted {
            fragment_size: whole.longest,
            source: packet.src(),
            destination: packet.dst(),
            protocol: packet.protocol(),
            tos: packet.tos(),
            ttl: packet.ttl(),
            unicast,
            packet: 0..len,
            options: HEADER_LEN..payload,
            payload: payload..len,
        })
    }
}
