//! A wire in memory: two devices in one thread, what one sends the other receives.
//!
//! Each direction is a queue with a bound; a full one pushes back. A super-frame or a partial checksum passes as it is
//! when the receiving end's capabilities say that its stack takes such frames; otherwise it is cut and completed on the way, as
//! a NIC would do. So an end may offer offloads to its own stack whose peer knows nothing of them, and the reverse.
//! Buffers are swapped, not copied, on the receiving side, and go back to the sender's stock: large ones, which a stack
//! may keep and give back as it does with any device's, and small ones.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use sockeye_wire::MacAddr;

use crate::device::PushBack;
use crate::segment::{self, Segments};
use crate::{
    BUFFER_LEN, Capabilities, Checksum, Device, DeviceCounters, Full, MAX_SUPER_FRAME, Offload, RxBatch, RxFrame,
    SegmentKind, Segmentation, TxFrame, copy,
};

/// Frames that a direction holds unless told otherwise.
pub const DEFAULT_LIMIT: usize = 256;
/// The longest link header: two tags.
const LINK_HEADER: usize = 22;
/// A frame that is longer gets a large buffer.
const SMALL: usize = 4 * 1024;

/// What one end of the wire says of itself.
#[derive(Clone, Debug)]
pub struct End {
    /// The device's name.
    pub name: String,
    /// The stack's address.
    pub mac: MacAddr,
    /// The largest IP packet that is not in a super-frame.
    pub mtu: u16,
    /// What the end's stack may leave to the wire, and takes from it.
    pub capabilities: Capabilities,
}

impl End {
    /// An end with a locally administered address made of `number`, an MTU of 1500 and every offload.
    pub fn new(name: impl Into<String>, number: u16) -> End {
        let [high, low] = number.to_be_bytes();
        let mac = MacAddr([0x02, 0, 0, 0, high, low]);
        End { name: name.into(), mac, mtu: 1500, capabilities: Capabilities::ALL }
    }
}

/// A wire with MTU 1500 and every offload, between `02:00:00:00:00:01` and `02:00:00:00:00:02`.
pub fn pair() -> (MemoryDevice, MemoryDevice) {
    wire(End::new("memory0", 1), End::new("memory1", 2), DEFAULT_LIMIT)
}

/// A wire between two ends. Each direction holds `limit` frames.
pub fn wire(a: End, b: End, limit: usize) -> (MemoryDevice, MemoryDevice) {
    let [a_to_b, b_to_a] = [b.capabilities, a.capabilities].map(|receiver| {
        Rc::new(RefCell::new(Direction {
            queue: VecDeque::new(),
            small: Vec::new(),
            large: Vec::new(),
            limit: limit.max(1),
            receiver,
        }))
    });
    let device = |end, outgoing, incoming| MemoryDevice {
        end,
        outgoing,
        incoming,
        push_back: PushBack::default(),
        counters: DeviceCounters::default(),
    };
    (device(a, a_to_b.clone(), b_to_a.clone()), device(b, b_to_a, a_to_b))
}

/// One end of a wire in memory.
#[derive(Debug)]
pub struct MemoryDevice {
    end: End,
    outgoing: Rc<RefCell<Direction>>,
    incoming: Rc<RefCell<Direction>>,
    push_back: PushBack,
    counters: DeviceCounters,
}

#[derive(Debug)]
struct Direction {
    queue: VecDeque<Waiting>,
    small: Vec<Vec<u8>>,
    /// Each of [`BUFFER_LEN`].
    large: Vec<Vec<u8>>,
    limit: usize,
    receiver: Capabilities,
}

#[derive(Debug)]
struct Waiting {
    buffer: Vec<u8>,
    len: usize,
    offload: Offload,
}

impl MemoryDevice {
    /// Frames that wait for [`Device::receive`].
    pub fn readable(&self) -> usize {
        self.incoming.borrow().queue.len()
    }
}

impl Device for MemoryDevice {
    fn name(&self) -> &str {
        &self.end.name
    }

    fn mac(&self) -> MacAddr {
        self.end.mac
    }

    fn mtu(&self) -> u16 {
        self.end.mtu
    }

    fn capabilities(&self) -> Capabilities {
        self.end.capabilities
    }

    fn receive(&mut self, batch: &mut RxBatch) -> io::Result<usize> {
        let mut incoming = self.incoming.borrow_mut();
        while let Some(spare) = batch.take_spare() {
            incoming.give_back(spare);
        }
        let mut count = 0;
        for slot in batch.slots(0) {
            let Some(Waiting { buffer, len, offload }) = incoming.queue.pop_front() else { break };
            self.counters.count_received(len, offload.segmentation.is_some());
            let old = std::mem::replace(slot, RxFrame { buffer, range: 0..len, offload });
            incoming.give_back(old.buffer);
            count += 1;
        }
        batch.set_filled(count);
        Ok(count)
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), Full> {
        let len = frame.len();
        let longest = (usize::from(self.end.mtu) + LINK_HEADER).min(MAX_SUPER_FRAME);
        match self.outgoing.borrow_mut().take(frame, len, longest) {
            Taken::Yes => self.counters.count_sent(len, frame.offload.segmentation.is_some()),
            Taken::Never => self.counters.tx_errors += 1,
            Taken::Full => {
                self.push_back.refuse();
                self.counters.tx_full += 1;
                return Err(Full);
            }
        }
        self.push_back.take();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push_back.flush();
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn wants_writable(&self) -> bool {
        self.push_back.is_waiting()
    }

    fn counters(&self) -> DeviceCounters {
        self.counters
    }
}

enum Taken {
    Yes,
    Full,
    /// The frame contradicts itself or the MTU.
    Never,
}

impl Direction {
    #[inline]
    fn take(&mut self, frame: &TxFrame<'_>, len: usize, longest: usize) -> Taken {
        match frame.offload.segmentation {
            Some(segmentation) => self.take_super(frame, len, segmentation),
            None if len > longest => Taken::Never,
            None => self.take_whole(frame, len),
        }
    }

    /// A super-frame: whole if the receiver takes such, else in pieces.
    fn take_super(&mut self, frame: &TxFrame<'_>, len: usize, segmentation: Segmentation) -> Taken {
        let Ok(mut segments) = Segments::new(frame) else { return Taken::Never };
        let whole = match segmentation.kind {
            SegmentKind::TcpV4 => self.receiver.tcp_v4,
            SegmentKind::TcpV6 => self.receiver.tcp_v6,
            SegmentKind::Udp => self.receiver.udp,
        };
        if whole {
            return self.take_whole(frame, len);
        }
        // A frame of more pieces than the queue has places may go into an empty one, or it would never go.
        if !self.queue.is_empty() && self.queue.len() + segments.count() > self.limit {
            return Taken::Full;
        }
        loop {
            let mut buffer = self.small.pop().unwrap_or_default();
            match segments.next_into(&mut buffer) {
                Ok(true) => {
                    let len = buffer.len();
                    self.queue.push_back(Waiting { buffer, len, offload: Offload::default() });
                }
                Ok(false) | Err(_) => {
                    self.give_back(buffer);
                    return Taken::Yes;
                }
            }
        }
    }

    /// A frame that goes as it is, but for a checksum that the receiver would miss.
    #[inline]
    fn take_whole(&mut self, frame: &TxFrame<'_>, len: usize) -> Taken {
        if self.queue.len() >= self.limit {
            return Taken::Full;
        }
        let mut offload = frame.offload;
        let mut buffer = if len > SMALL { self.gather_large(frame) } else { self.gather_small(frame) };
        if offload.segmentation.is_none() && !self.receiver.checksum {
            if segment::complete(&mut buffer[..len], offload.checksum).is_err() {
                self.give_back(buffer);
                return Taken::Never;
            }
            offload.checksum = Checksum::Present;
        }
        self.queue.push_back(Waiting { buffer, len, offload });
        Taken::Yes
    }

    #[inline]
    fn gather_small(&mut self, frame: &TxFrame<'_>) -> Vec<u8> {
        let mut buffer = self.small.pop().unwrap_or_else(|| Vec::with_capacity(SMALL));
        buffer.clear();
        frame.gather(&mut buffer);
        buffer
    }

    fn gather_large(&mut self, frame: &TxFrame<'_>) -> Vec<u8> {
        let mut buffer = self.large.pop().unwrap_or_else(|| vec![0; BUFFER_LEN]);
        let mut room = &mut buffer[..];
        for slice in std::iter::once(&frame.header).chain(frame.payload) {
            let (to, rest) = room.split_at_mut(slice.len());
            copy(to, slice);
            room = rest;
        }
        buffer
    }

    fn give_back(&mut self, buffer: Vec<u8>) {
        let stock = if buffer.len() == BUFFER_LEN { &mut self.large } else { &mut self.small };
        if buffer.capacity() > 0 && stock.len() < self.limit {
            stock.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_frames::{self, Tcp};

    fn received(device: &mut MemoryDevice) -> Vec<RxFrame> {
        let mut batch = RxBatch::new(64);
        device.receive(&mut batch).expect("memory does not fail");
        batch.frames_mut().iter_mut().map(std::mem::take).collect()
    }

    #[test]
    fn what_one_sends_the_other_receives_in_order() {
        let (mut a, mut b) = pair();
        for n in 0..3u8 {
            let payload = [n; 10];
            let frame =
                TxFrame { header: &[7; 14], payload: &[&payload[..4], &payload[4..]], offload: Offload::default() };
            a.transmit(&frame).expect("room");
        }
        let frames = received(&mut b);
        assert_eq!(frames.len(), 3);
        for (n, frame) in frames.iter().enumerate() {
            assert_eq!(frame.bytes()[..14], [7; 14]);
            assert_eq!(frame.bytes()[14..], [n as u8; 10]);
        }
        assert!(received(&mut a).is_empty());
        assert_eq!((a.counters().tx_frames, b.counters().rx_bytes), (3, 72));
    }

    #[test]
    fn a_full_wire_pushes_back_and_loses_nothing() {
        let (mut a, mut b) = wire(End::new("a", 1), End::new("b", 2), 2);
        let frame = TxFrame { header: &[0; 60], payload: &[], offload: Offload::default() };
        a.transmit(&frame).expect("room");
        a.transmit(&frame).expect("room");
        assert_eq!(a.transmit(&frame), Err(Full));
        assert!(a.wants_writable());
        assert_eq!(received(&mut b).len(), 2);
        a.transmit(&frame).expect("room again");
        assert!(!a.wants_writable());
        assert_eq!(a.counters().tx_full, 1);
    }

    #[test]
    fn a_super_frame_passes_whole_or_is_cut() {
        let bytes = Tcp { payload: 3000, ..Tcp::default() }.frame();
        let offload = test_frames::tcp_offload(&bytes, 1000);
        let frame = TxFrame { header: &bytes, payload: &[], offload };

        let (mut a, mut b) = pair();
        a.transmit(&frame).expect("room");
        let whole = received(&mut b);
        assert_eq!((whole.len(), whole[0].offload), (1, offload));

        let plain = End { capabilities: Capabilities::default(), ..End::new("b", 2) };
        let (mut a, mut b) = wire(End::new("a", 1), plain, 2);
        a.transmit(&frame).expect("an empty wire takes more pieces than its limit");
        assert_eq!(a.transmit(&frame), Err(Full));
        let pieces = received(&mut b);
        assert_eq!(pieces.len(), 3);
        assert!(pieces.iter().all(|piece| piece.offload == Offload::default()));
    }

    #[test]
    fn too_long_or_contradictory_frames_are_counted() {
        let (mut a, _b) = pair();
        let long = TxFrame { header: &[0; 2000], payload: &[], offload: Offload::default() };
        assert_eq!(a.transmit(&long), Ok(()));
        let bytes = Tcp { payload: 3000, ..Tcp::default() }.frame();
        let mut offload = test_frames::tcp_offload(&bytes, 1000);
        offload.segmentation.as_mut().expect("is one").header_len = 53;
        assert_eq!(a.transmit(&TxFrame { header: &bytes, payload: &[], offload }), Ok(()));
        assert_eq!((a.counters().tx_errors, a.counters().tx_frames), (2, 0));
    }
}
