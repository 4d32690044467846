//! Header prediction: a frame that begins as the last one of its connection did needs no second judgement.
//!
//! Between two segments of a connection the link header and most of the IP header do not differ, and what is decided from
//! them (is the frame ours, may the packet come in, whose is the segment) does not either, as long as the host's addresses
//! stand and the connection does. So the beginning of a frame that was delivered is kept, for a few connections at a time,
//! and a frame that has the same one goes straight to the connection. What differs is looked at: the packet's length, and for
//! IPv4 the identification and the header's checksum, of which all but three words is summed already. IPv6 has neither, and if
//! its header says that TCP follows there are no extension headers.
//!
//! A prediction never drops anything. What does not fit takes the general way, which knows the reason.
//!
//! The idea is Van Jacobson's (RFC 1323 appendix, "4BSD header prediction"), one layer further down.

use crate::port::PortId;
use sockeye_device::RxFrame;
use sockeye_wire::checksum::{self, Sum};
use sockeye_wire::{EtherType, Protocol, ethernet, ipv4, ipv6, tcp};
use std::ops::Range;

/// Where the fields stand in a frame without tags.
const NETWORK: usize = ethernet::HEADER_LEN;
const TYPE: usize = NETWORK - 2;
const IPV4: [u8; 2] = EtherType::IPV4.0.to_be_bytes();
const IPV6: [u8; 2] = EtherType::IPV6.0.to_be_bytes();

/// IPv4 without options.
mod v4 {
    use super::{NETWORK, Range, ipv4};

    pub(super) const LENGTH: usize = NETWORK + 2;
    /// Flags and fragment offset, time to live, protocol.
    pub(super) const MIDDLE: Range<usize> = NETWORK + 6..NETWORK + 10;
    pub(super) const CHECKSUM: usize = NETWORK + ipv4::CHECKSUM_OFFSET;
    pub(super) const ADDRESSES: usize = NETWORK + 12;
    pub(super) const TRANSPORT: usize = NETWORK + ipv4::HEADER_LEN;
    /// As far as the ports.
    pub(super) const HEAD: usize = TRANSPORT + 4;
}

/// IPv6 without extension headers.
mod v6 {
    use super::{NETWORK, ipv6};

    pub(super) const LENGTH: usize = NETWORK + ipv6::PAYLOAD_LEN_OFFSET;
    pub(super) const NEXT_HEADER: usize = NETWORK + ipv6::NEXT_HEADER_OFFSET;
    pub(super) const TRANSPORT: usize = NETWORK + ipv6::HEADER_LEN;
    /// As far as the ports.
    pub(super) const HEAD: usize = TRANSPORT + 4;
}

/// Connections at a time.
const SLOTS: usize = 16;

/// The beginnings of frames, a few connections' at a time.
#[derive(Default)]
pub(crate) struct Predictions {
    slots: [Option<Prediction>; SLOTS],
}

struct Prediction {
    /// IPv4's are shorter.
    head: [u8; v6::HEAD],
    /// Of IPv4's header without length, identification and checksum.
    sum: Sum,
    port: PortId,
    generation: u64,
    connection: u32,
}

impl Predictions {
    /// By which ports the frames came that are known.
    #[cfg(test)]
    pub(crate) fn ports(&self) -> Vec<PortId> {
        self.slots.iter().flatten().map(|known| known.port).collect()
    }

    /// The connection that a frame is for, and where its segment stands in the frame's buffer. `generation` is that of
    /// the host's addresses.
    #[inline]
    pub(crate) fn find(&self, frame: &RxFrame, port: PortId, generation: u64) -> Option<(u32, Range<usize>)> {
        let bytes = frame.buffer.get(frame.range.clone())?;
        let (connection, segment) = match bytes.get(TYPE..NETWORK)? {
            [a, b] if [*a, *b] == IPV4 => self.find_v4(bytes, port, generation)?,
            [a, b] if [*a, *b] == IPV6 => self.find_v6(bytes, port, generation)?,
            _ => return None,
        };
        if segment.end > bytes.len() || segment.end < segment.start + tcp::HEADER_LEN {
            return None;
        }
        Some((connection, frame.range.start + segment.start..frame.range.start + segment.end))
    }

    /// The connection, and where the segment stands by what the header says of its length.
    #[inline]
    fn find_v4(&self, bytes: &[u8], port: PortId, generation: u64) -> Option<(u32, Range<usize>)> {
        let head: &[u8; v4::HEAD] = bytes.first_chunk()?;
        let known = self.slots[slot(head, v4::TRANSPORT)].as_ref()?;
        let same = known.head[..v4::LENGTH] == head[..v4::LENGTH]
            && known.head[v4::MIDDLE] == head[v4::MIDDLE]
            && known.head[v4::ADDRESSES..v4::HEAD] == head[v4::ADDRESSES..]
            && known.port == port
            && known.generation == generation;
        if !same {
            return None;
        }
        let length = word(head, v4::LENGTH);
        let mut whole = known.sum;
        whole.add_u32(u32::from(length) << 16 | u32::from(word(head, v4::LENGTH + 2)));
        whole.add_u16(word(head, v4::CHECKSUM));
        (whole.finish() == 0).then_some((known.connection, v4::TRANSPORT..NETWORK + usize::from(length)))
    }

    #[inline]
    fn find_v6(&self, bytes: &[u8], port: PortId, generation: u64) -> Option<(u32, Range<usize>)> {
        let head: &[u8; v6::HEAD] = bytes.first_chunk()?;
        let known = self.slots[slot(head, v6::TRANSPORT)].as_ref()?;
        let same = known.head[..v6::LENGTH] == head[..v6::LENGTH]
            && known.head[v6::NEXT_HEADER..] == head[v6::NEXT_HEADER..]
            && known.port == port
            && known.generation == generation;
        let length = usize::from(word(head, v6::LENGTH));
        same.then_some((known.connection, v6::TRANSPORT..v6::TRANSPORT + length))
    }

    /// A frame was delivered to a connection by the general way, as a packet for us alone whose segment begins at
    /// `segment` in the frame's buffer.
    pub(crate) fn learn(&mut self, frame: &RxFrame, segment: usize, port: PortId, generation: u64, connection: u32) {
        let Some(bytes) = frame.buffer.get(frame.range.clone()) else { return };
        let mut head = [0; v6::HEAD];
        let mut sum = Sum::default();
        // Anything else is a tag, an IP option, an extension header, or a packet that was put together.
        let transport = match (bytes.get(TYPE..NETWORK), segment.checked_sub(frame.range.start)) {
            (Some(kind), Some(v4::TRANSPORT)) if *kind == IPV4 => {
                let Some(begin) = bytes.first_chunk::<{ v4::HEAD }>() else { return };
                head[..v4::HEAD].copy_from_slice(begin);
                let mut fixed = *begin;
                fixed[v4::LENGTH..v4::MIDDLE.start].fill(0);
                fixed[v4::CHECKSUM..v4::ADDRESSES].fill(0);
                sum = checksum::sum(&fixed[NETWORK..v4::TRANSPORT]);
                v4::TRANSPORT
            }
            (Some(kind), Some(v6::TRANSPORT)) if *kind == IPV6 => {
                let Some(begin) = bytes.first_chunk() else { return };
                if begin[v6::NEXT_HEADER] != Protocol::TCP.0 {
                    return;
                }
                head = *begin;
                v6::TRANSPORT
            }
            _ => return,
        };
        self.slots[slot(&head, transport)] = Some(Prediction { head, sum, port, generation, connection });
    }

    /// Something else stands at the end of a flow between these ports now.
    pub(crate) fn forget(&mut self, local: u16, remote: u16) {
        self.slots[usize::from(local ^ remote) % SLOTS] = None;
    }
}

#[inline]
fn word<const N: usize>(head: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([head[at], head[at + 1]])
}

/// By the ports alone: whom they are for is compared anyway.
#[inline]
fn slot<const N: usize>(head: &[u8; N], transport: usize) -> usize {
    usize::from(word(head, transport) ^ word(head, transport + 2)) % SLOTS
}
