//! Copies for ourselves of what is sent to many.
//!
//! What goes to a group, or to everybody, on a link goes to who listens on this host, too, as if it had come by that link. A
//! copy is made whole, before its original may be cut, and waits until the devices have theirs. The queue is bounded; while it
//! is full, whoever sends is told to wait, as with a device.
//!
//! # Standards
//!
//! RFC 1112 §6.1 (local delivery), RFC 3493 §5.2 (IPV6_MULTICAST_LOOP), RFC 1122 §3.3.6.

use crate::Stack;
use crate::checksum;
use crate::ip::{Ip, Outgoing};
use crate::ipv4::fragment::Gather;
use crate::link::Arrived;
use crate::port::PortId;
use sockeye_device::{Checksum, Instant, Offload, RxFrame};
use sockeye_wire::checksum::pseudo_header;
use sockeye_wire::{EtherType, ipv4, ipv6};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Copies that may wait.
const WAITING: usize = 256;

/// A packet that comes back by the port by which it was sent.
pub(crate) struct Copy {
    pub(crate) port: PortId,
    pub(crate) ether_type: EtherType,
    pub(crate) frame: RxFrame,
}

/// The copies that wait.
#[derive(Default)]
pub(crate) struct Copies(VecDeque<Copy>);

impl Copies {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// False while no other one can be taken.
    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < WAITING
    }

    pub(crate) fn pop(&mut self) -> Option<Copy> {
        self.0.pop_front()
    }
}

impl Ip {
    /// Brings a packet back that is sent by `port`: `header` followed by `payload`. What finds no room is lost; see
    /// [`Copies::has_room`].
    pub(crate) fn bring_back(&mut self, port: PortId, outgoing: &Outgoing, header: &[u8], payload: &[&[u8]]) {
        let len = header.len() + payload.iter().map(|slice| slice.len()).sum::<usize>();
        let Outgoing { source, destination, protocol, .. } = *outgoing;
        let (ether_type, at) = match destination {
            IpAddr::V4(_) => (EtherType::IPV4, ipv4::HEADER_LEN),
            IpAddr::V6(_) => (EtherType::IPV6, ipv6::HEADER_LEN),
        };
        if !self.copies.has_room() || at + len > usize::from(u16::MAX) {
            return;
        }
        let mut buffer = self.buffers.take(at + len);
        match (source, destination) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let repr = ipv4::Repr {
                    src,
                    dst,
                    protocol,
                    ttl: outgoing.ttl,
                    tos: outgoing.tos,
                    id: 0,
                    dont_fragment: true,
                    more_fragments: false,
                    fragment_offset: 0,
                    options: &[],
                };
                repr.emit(len, &mut buffer);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let (hop_limit, traffic_class) = (outgoing.ttl, outgoing.tos);
                let repr = ipv6::Repr { src, dst, next_header: protocol, hop_limit, traffic_class, flow_label: 0 };
                repr.emit(len, &mut buffer);
            }
            _ => return self.buffers.give(buffer),
        }
        Gather::new(header, payload).copy_to(&mut buffer[at..at + len]);
        if let Some(offset) = outgoing.checksum_offset {
            let sum = pseudo_header(source, destination, protocol.0, len as u32);
            let value = checksum::over(sum, header, payload, protocol);
            checksum::put(&mut buffer, at + usize::from(offset), value);
        }
        let offload = Offload { checksum: Checksum::Verified, ..Offload::default() };
        let frame = RxFrame { buffer, range: 0..at + len, offload };
        self.copies.0.push_back(Copy { port, ether_type, frame });
    }
}

impl Stack {
    /// What we have sent to many arrives here, too. True when there was something.
    pub(crate) fn handle_copies(&mut self, now: Instant) -> bool {
        // What answers them waits for the next turn.
        let count = self.ip.copies.len();
        for _ in 0..count {
            let Some(Copy { port, ether_type, mut frame }) = self.ip.copies.pop() else { break };
            let arrived = Arrived { ether_type, broadcast: true, loopback: true, payload: frame.range.clone() };
            match ether_type {
                EtherType::IPV4 => self.handle_ipv4(now, port, &mut frame, arrived),
                _ => self.handle_ipv6(now, port, &mut frame, arrived),
            }
            if !frame.buffer.is_empty() {
                self.ip.buffers.give(frame.buffer);
            }
        }
        if count > 0 {
            self.udp.handle_room();
        }
        count > 0
    }
}
