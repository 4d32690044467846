//! Header prediction: a frame that begins as the last one of its connection did needs no second judgement.
//!
//! Between two segments of a connection the link header and most of the IP header do not differ, and what is decided from
//! them (is the frame ours, may the packet come in, whose is the segment) does not either, as long as the host's addresses
//! stand and the connection does. So the beginning of a frame that was delivered is kept, for a few connections at a time,
//! and a frame that has the same one goes straight to the connection. What differs is looked at: the packet's length, and
//! the header's checksum, of which all but three words is summed already.
//!
//! A prediction never drops anything. What does not fit takes the general way, which knows the reason.
//!
//! The idea is Van Jacobson's (RFC 1323 appendix, "4BSD header prediction"), one layer further down.

use crate::port::PortId;
use sockeye_device::RxFrame;
use sockeye_wire::checksum::{self, Sum};
use sockeye_wire::{ethernet, ipv4, tcp};
use std::ops::Range;

/// Where the fields stand in a frame without tags and IP options.
const NETWORK: usize = ethernet::HEADER_LEN;
const LENGTH: usize = NETWORK + 2;
/// Flags and fragment offset, time to live, protocol.
const MIDDLE: Range<usize> = NETWORK + 6..NETWORK + 10;
const CHECKSUM: usize = NETWORK + ipv4::CHECKSUM_OFFSET;
const ADDRESSES: usize = NETWORK + 12;
const TRANSPORT: usize = NETWORK + ipv4::HEADER_LEN;
/// As far as the ports.
const HEAD: usize = TRANSPORT + 4;
/// Connections at a time.
const SLOTS: usize = 16;

/// The beginnings of frames, a few connections' at a time.
#[derive(Default)]
pub(crate) struct Predictions {
    slots: [Option<Prediction>; SLOTS],
}

struct Prediction {
    head: [u8; HEAD],
    /// Of the IP header without length, identification and checksum.
    sum: Sum,
    port: PortId,
    generation: u64,
    connection: u32,
}

impl Predictions {
    /// The connection that a frame is for, and where its segment stands in the frame's buffer. `generation` is that of
    /// the host's addresses.
    #[inline]
    pub(crate) fn find(&self, frame: &RxFrame, port: PortId, generation: u64) -> Option<(u32, Range<usize>)> {
        let bytes = frame.buffer.get(frame.range.clone())?;
        let head: &[u8; HEAD] = bytes.first_chunk()?;
        let known = self.slots[slot(head)].as_ref()?;
        let same = known.head[..LENGTH] == head[..LENGTH]
            && known.head[MIDDLE] == head[MIDDLE]
            && known.head[ADDRESSES..] == head[ADDRESSES..]
            && known.port == port
            && known.generation == generation;
        if !same {
            return None;
        }
        let length = word(head, LENGTH);
        let mut whole = known.sum;
        whole.add_u32(u32::from(length) << 16 | u32::from(word(head, LENGTH + 2)));
        whole.add_u16(word(head, CHECKSUM));
        let end = NETWORK + usize::from(length);
        if whole.finish() != 0 || end > bytes.len() || end < TRANSPORT + tcp::HEADER_LEN {
            return None;
        }
        Some((known.connection, frame.range.start + TRANSPORT..frame.range.start + end))
    }

    /// A frame was delivered to a connection by the general way, as a packet for us alone whose segment begins at
    /// `segment` in the frame's buffer.
    pub(crate) fn learn(&mut self, frame: &RxFrame, segment: usize, port: PortId, generation: u64, connection: u32) {
        // A tag, an IP option, or a packet that was put together.
        if segment != frame.range.start + TRANSPORT {
            return;
        }
        let Some(&head) = frame.buffer.get(frame.range.clone()).and_then(|bytes| bytes.first_chunk::<HEAD>()) else {
            return;
        };
        let mut fixed = head;
        fixed[LENGTH..MIDDLE.start].fill(0);
        fixed[CHECKSUM..ADDRESSES].fill(0);
        let sum = checksum::sum(&fixed[NETWORK..TRANSPORT]);
        self.slots[slot(&head)] = Some(Prediction { head, sum, port, generation, connection });
    }

    /// Something else stands at the end of a flow between these ports now.
    pub(crate) fn forget(&mut self, local: u16, remote: u16) {
        self.slots[usize::from(local ^ remote) % SLOTS] = None;
    }
}

#[inline]
fn word(head: &[u8; HEAD], at: usize) -> u16 {
    u16::from_be_bytes([head[at], head[at + 1]])
}

/// By the ports alone: whom they are for is compared anyway.
fn slot(head: &[u8; HEAD]) -> usize {
    usize::from(word(head, TRANSPORT) ^ word(head, TRANSPORT + 2)) % SLOTS
}
