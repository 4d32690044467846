//! What a device is, and the batch that it fills.
//!
//! A device moves whole Ethernet frames and never blocks. Receiving fills an [`RxBatch`], whose buffers go round: the
//! device writes into them, the stack keeps the buffer of a frame whose payload it wants to hold, and returns it later
//! by [`RxBatch::recycle`]. In the steady state nobody allocates.
//!
//! Sending is [`Device::transmit`] for each frame and one [`Device::flush`] after the last. Large frames leave at once,
//! gathered from where they lie; small ones are copied and leave together. Their order is kept. [`Full`] means that
//! nothing was taken: the caller keeps the frame and waits for `POLLOUT` while [`Device::wants_writable`] is true.
//!
//! A frame that the device takes and then cannot send (the interface is down, the frame is longer than the MTU) is
//! counted, as a wire would lose it; it is not an error of the call.

use std::io;
use std::os::fd::BorrowedFd;

use sockeye_wire::{MacAddr, ethernet};

use crate::{Capabilities, Checksum, Full, Instant, MAX_SUPER_FRAME, RxFrame, SegmentKind, TxFrame};

/// Where frames come from and go to.
pub trait Device {
    /// The name, for people.
    fn name(&self) -> &str;

    /// The address that the stack on this device has as its own.
    fn mac(&self) -> MacAddr;

    /// The largest IP packet of a frame that is not a super-frame, in bytes.
    fn mtu(&self) -> u16;

    /// What [`Device::transmit`] may leave to the device.
    fn capabilities(&self) -> Capabilities;

    /// The longest super-frame worth building, in bytes, link header included. A longer one is sent too, but is cut by
    /// software.
    fn max_super_frame(&self) -> usize {
        MAX_SUPER_FRAME
    }

    /// False while frames cannot pass, as far as the device knows.
    fn link_up(&self) -> bool {
        true
    }

    /// Fills `batch`, and tells how many frames it now holds. 0: nothing there now. A full batch: there may be more.
    ///
    /// Errors are final: the interface is gone, or the descriptor unusable. A link that goes down is not one.
    fn receive(&mut self, batch: &mut RxBatch) -> io::Result<usize>;

    /// Sends `frame`, or keeps a copy until [`Device::flush`]. [`Full`]: nothing was taken.
    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), Full>;

    /// Sends all that is kept. What cannot go now stays, and [`Device::wants_writable`] says so.
    fn flush(&mut self) -> io::Result<()>;

    /// What to poll: `POLLIN` for [`Device::receive`], `POLLOUT` while [`Device::wants_writable`]. `None` for a device
    /// without a descriptor.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;

    /// True when the device pushed back, or keeps frames that could not leave. Then poll for `POLLOUT`, offer again, and
    /// flush. After [`Full`] it stays true over the flush that ends the round, until a frame is taken or a whole round
    /// passes in which none was offered: so no wake-up is lost, and nobody spins who has nothing to send any more.
    fn wants_writable(&self) -> bool;

    /// When to call [`Device::receive`] and [`Device::flush`] although no descriptor is ready (a device that delays).
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Lets frames through that are for other stations (`promiscuous`), or for any group, or no more. A device that
    /// receives whatever is on its wire need not do anything.
    fn set_reception(&mut self, promiscuous: bool, all_multicast: bool) -> io::Result<()> {
        let _ = (promiscuous, all_multicast);
        Ok(())
    }

    /// What has happened so far.
    fn counters(&self) -> DeviceCounters;
}

impl<D: Device + ?Sized> Device for Box<D> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn mac(&self) -> MacAddr {
        (**self).mac()
    }
    fn mtu(&self) -> u16 {
        (**self).mtu()
    }
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    fn max_super_frame(&self) -> usize {
        (**self).max_super_frame()
    }
    fn link_up(&self) -> bool {
        (**self).link_up()
    }
    fn receive(&mut self, batch: &mut RxBatch) -> io::Result<usize> {
        (**self).receive(batch)
    }
    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), Full> {
        (**self).transmit(frame)
    }
    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        (**self).as_fd()
    }
    fn wants_writable(&self) -> bool {
        (**self).wants_writable()
    }
    fn poll_timeout(&self) -> Option<Instant> {
        (**self).poll_timeout()
    }
    fn set_reception(&mut self, promiscuous: bool, all_multicast: bool) -> io::Result<()> {
        (**self).set_reception(promiscuous, all_multicast)
    }
    fn counters(&self) -> DeviceCounters {
        (**self).counters()
    }
}

/// Whether the kernel cuts and completes such a frame rightly: it has a link header, it is a super-frame of a kind that
/// was offered, and if it is one, its checksum is partial (the kernel sums each piece from that).
pub(crate) fn fits(frame: &TxFrame<'_>, capabilities: Capabilities) -> bool {
    let offered = match frame.offload.segmentation.map(|segmentation| segmentation.kind) {
        None => return frame.header.len() >= ethernet::HEADER_LEN,
        Some(SegmentKind::TcpV4) => capabilities.tcp_v4,
        Some(SegmentKind::TcpV6) => capabilities.tcp_v6,
        Some(SegmentKind::Udp) => capabilities.udp,
    };
    offered && frame.header.len() >= ethernet::HEADER_LEN && matches!(frame.offload.checksum, Checksum::Partial { .. })
}

/// Whether somebody waits for room, see [`Device::wants_writable`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PushBack {
    waiting: bool,
    /// Since the last flush.
    fresh: bool,
}

impl PushBack {
    pub(crate) fn refuse(&mut self) {
        *self = PushBack { waiting: true, fresh: true };
    }

    pub(crate) fn take(&mut self) {
        *self = PushBack::default();
    }

    pub(crate) fn flush(&mut self) {
        *self = PushBack { waiting: self.fresh, fresh: false };
    }

    pub(crate) fn is_waiting(self) -> bool {
        self.waiting
    }
}

/// What has happened on a device. Every frame that does not arrive is in one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Frames received, a super-frame as one.
    pub rx_frames: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Super-frames among them.
    pub rx_super_frames: u64,
    /// Frames that the kernel dropped because we did not read in time.
    pub rx_dropped: u64,
    /// Frames that could not be read: longer than the buffer, or with a description that contradicts them.
    pub rx_errors: u64,
    /// Frames sent, a super-frame as one.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Super-frames among them.
    pub tx_super_frames: u64,
    /// Frames lost because the interface was down or its own queue overflowed.
    pub tx_dropped: u64,
    /// Frames that the device cannot send: longer than the MTU, or with a description that contradicts them.
    pub tx_errors: u64,
    /// Times that the device pushed back. Nothing is lost by it.
    pub tx_full: u64,
    /// Times that the link was seen to go down.
    pub link_lost: u64,
}

impl DeviceCounters {
    /// Each counter with its name.
    pub fn named(&self) -> [(&'static str, u64); 12] {
        let DeviceCounters {
            rx_frames,
            rx_bytes,
            rx_super_frames,
            rx_dropped,
            rx_errors,
            tx_frames,
            tx_bytes,
            tx_super_frames,
            tx_dropped,
            tx_errors,
            tx_full,
            link_lost,
        } = *self;
        [
            ("rx_frames", rx_frames),
            ("rx_bytes", rx_bytes),
            ("rx_super_frames", rx_super_frames),
            ("rx_dropped", rx_dropped),
            ("rx_errors", rx_errors),
            ("tx_frames", tx_frames),
            ("tx_bytes", tx_bytes),
            ("tx_super_frames", tx_super_frames),
            ("tx_dropped", tx_dropped),
            ("tx_errors", tx_errors),
            ("tx_full", tx_full),
            ("link_lost", link_lost),
        ]
    }

    pub(crate) fn count_received(&mut self, bytes: usize, super_frame: bool) {
        self.rx_frames += 1;
        self.rx_bytes += bytes as u64;
        self.rx_super_frames += u64::from(super_frame);
    }

    pub(crate) fn count_sent(&mut self, bytes: usize, super_frame: bool) {
        self.tx_frames += 1;
        self.tx_bytes += bytes as u64;
        self.tx_super_frames += u64::from(super_frame);
    }
}

/// Frames that arrived together, and the buffers for the next ones.
#[derive(Debug, Default)]
pub struct RxBatch {
    slots: Vec<RxFrame>,
    filled: usize,
    /// Every slot from `filled` on has a buffer of at least so many bytes.
    size: usize,
    spare: Vec<Vec<u8>>,
}

impl RxBatch {
    /// A batch of at most `count` frames. Buffers come with the first receive.
    pub fn new(count: usize) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(count.max(1), RxFrame::default);
        RxBatch { slots, filled: 0, size: 0, spare: Vec::new() }
    }

    /// The frames of the last receive.
    pub fn frames(&self) -> &[RxFrame] {
        &self.slots[..self.filled]
    }

    /// The frames of the last receive, to keep buffers of: leave an empty one in its place.
    pub fn frames_mut(&mut self) -> &mut [RxFrame] {
        &mut self.slots[..self.filled]
    }

    /// How many frames it can hold.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Gives back a buffer that somebody kept. More than one for each slot are let go.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < self.slots.len() && buffer.capacity() > 0 {
            self.spare.push(buffer);
        }
    }

    /// For devices: a buffer that nobody needs.
    pub fn take_spare(&mut self) -> Option<Vec<u8>> {
        self.spare.pop()
    }

    /// For devices: every slot, each with a buffer of at least `size` bytes. Nothing counts as filled until
    /// [`RxBatch::set_filled`], and only from a slot that then counts may its buffer be taken.
    pub fn slots(&mut self, size: usize) -> &mut [RxFrame] {
        // Mostly one or two have been filled since the last time, and the others are as they were. A device that brings
        // its own buffers asks for none.
        let used = match size {
            0 => 0,
            _ if size > self.size => self.slots.len(),
            _ => self.filled,
        };
        self.filled = 0;
        self.size = size;
        for slot in &mut self.slots[..used] {
            if slot.buffer.len() < size {
                if let Some(spare) = self.spare.pop() {
                    slot.buffer = spare;
                }
                if slot.buffer.is_empty() {
                    // Zeroed by the system, page by page, when it is first used.
                    slot.buffer = vec![0; size];
                } else {
                    slot.buffer.resize(size, 0);
                }
            }
        }
        &mut self.slots
    }

    /// For devices: the first `count` slots hold frames now.
    ///
    /// # Panics
    ///
    /// When there are fewer slots.
    pub fn set_filled(&mut self, count: usize) {
        assert!(count <= self.slots.len(), "a batch of {} cannot hold {count} frames", self.slots.len());
        self.filled = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_reuses_what_is_given_back() {
        let mut batch = RxBatch::new(2);
        let slots = batch.slots(100);
        assert!(slots.iter().all(|slot| slot.buffer.len() == 100));
        batch.set_filled(1);
        let kept = std::mem::take(&mut batch.frames_mut()[0].buffer);
        let address = kept.as_ptr();
        batch.recycle(kept);
        assert_eq!(batch.slots(100)[0].buffer.as_ptr(), address);
        assert!(batch.frames().is_empty());
    }

    #[test]
    fn a_batch_has_buffers_of_the_size_asked_for_whatever_was_asked_before() {
        let mut batch = RxBatch::new(3);
        for (size, filled) in [(100, 3), (0, 2), (0, 1), (100, 0), (40, 2), (100, 1), (200, 3), (200, 1), (200, 0)] {
            let slots = batch.slots(size);
            assert!(slots.iter().all(|slot| slot.buffer.len() >= size));
            slots[..filled].iter_mut().for_each(|slot| slot.buffer = vec![0; 7]);
            batch.set_filled(filled);
        }
    }

    #[test]
    fn a_batch_keeps_no_more_spares_than_slots() {
        let mut batch = RxBatch::new(1);
        batch.recycle(vec![0; 10]);
        batch.recycle(vec![0; 20]);
        batch.recycle(Vec::new());
        assert_eq!(batch.take_spare().map(|spare| spare.len()), Some(10));
        assert_eq!(batch.take_spare(), None);
    }

    #[test]
    fn who_was_refused_is_waited_for_until_a_round_without_an_offer() {
        let mut push_back = PushBack::default();
        push_back.refuse();
        push_back.flush();
        assert!(push_back.is_waiting(), "the round in which it was refused");
        push_back.refuse();
        push_back.flush();
        assert!(push_back.is_waiting(), "refused again");
        push_back.flush();
        assert!(!push_back.is_waiting(), "a round without an offer");
        push_back.refuse();
        push_back.take();
        assert!(!push_back.is_waiting());
    }

    #[test]
    fn every_counter_has_a_name_of_its_own() {
        let named = DeviceCounters::default().named();
        let names: std::collections::BTreeSet<_> = named.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), named.len());
    }
}
