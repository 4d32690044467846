//! A device whose frames are recorded on their way.
//!
//! Recorded is what the device has taken or delivered, in that order, super-frames as they are; a frame that was
//! pushed back is not. Recording never disturbs the traffic: when the file cannot be written any more, it ends, and
//! [`Capture::error`] tells why.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

use sockeye_wire::MacAddr;

use crate::pcapng::{Direction, InterfaceId, Writer};
use crate::{Capabilities, Device, DeviceCounters, Full, Instant, RxBatch, TxFrame};

/// A device, and a pcapng file of all that passes it. What is left is written on drop.
pub struct Capture<D, W: Write> {
    device: D,
    writer: Writer<W>,
    interface: InterfaceId,
    clock: Box<dyn FnMut() -> Duration + Send>,
    error: Option<io::Error>,
}

impl<D: Device, W: Write> Capture<D, W> {
    /// Records to `sink`, with the time of day.
    pub fn new(device: D, sink: W) -> Self {
        let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Capture::with_clock(device, sink, clock)
    }

    /// Records to `sink`, with the time that `clock` tells, counted from 1970.
    pub fn with_clock(device: D, sink: W, clock: impl FnMut() -> Duration + Send + 'static) -> Self {
        let mut writer = Writer::new(sink);
        let interface = writer.add_interface(device.name(), device.mac());
        Capture { device, writer, interface, clock: Box::new(clock), error: None }
    }

    /// The device below.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Writes all that was recorded so far.
    pub fn sync(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Why recording has ended, if it has.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }
}

impl<D: Device, W: Write> Device for Capture<D, W> {
    fn name(&self) -> &str {
        self.device.name()
    }

    fn mac(&self) -> MacAddr {
        self.device.mac()
    }

    fn mtu(&self) -> u16 {
        self.device.mtu()
    }

    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn max_super_frame(&self) -> usize {
        self.device.max_super_frame()
    }

    fn link_up(&self) -> bool {
        self.device.link_up()
    }

    fn receive(&mut self, batch: &mut RxBatch) -> io::Result<usize> {
        let count = self.device.receive(batch)?;
        if count > 0 && self.error.is_none() {
            let time = (self.clock)();
            self.error = batch.frames().iter().find_map(|frame| {
                let bytes = std::iter::once(frame.bytes());
                self.writer.record(self.interface, time, Direction::Inbound, &frame.offload, bytes).err()
            });
        }
        Ok(count)
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), Full> {
        self.device.transmit(frame)?;
        if self.error.is_none() {
            let slices = std::iter::once(frame.header).chain(frame.payload.iter().copied());
            let time = (self.clock)();
            self.error = self.writer.record(self.interface, time, Direction::Outbound, &frame.offload, slices).err();
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.device.flush()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.device.as_fd()
    }

    fn wants_writable(&self) -> bool {
        self.device.wants_writable()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.device.poll_timeout()
    }

    fn set_reception(&mut self, promiscuous: bool, all_multicast: bool) -> io::Result<()> {
        self.device.set_reception(promiscuous, all_multicast)
    }

    fn counters(&self) -> DeviceCounters {
        self.device.counters()
    }
}

impl<D: fmt::Debug, W: Write> fmt::Debug for Capture<D, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Capture { device, error, writer: _, interface: _, clock: _ } = self;
        f.debug_struct("Capture").field("device", device).field("error", error).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;
    use crate::memory;
    use crate::test_frames::{Tcp, tcp_offload};
    use crate::{MemoryDevice, Offload};

    /// A file that outlives the capture. Takes `room` bytes.
    #[derive(Clone)]
    struct Sink {
        written: Arc<Mutex<Vec<u8>>>,
        room: usize,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.written.lock().expect("nobody panics");
            if written.len() + bytes.len() > self.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn capture(room: usize) -> (Capture<MemoryDevice, Sink>, MemoryDevice, Sink) {
        let sink = Sink { written: Arc::default(), room };
        let (near, far) = memory::pair();
        let mut nanos = 1_700_000_000_123_456_788;
        let clock = move || {
            nanos += 1;
            Duration::from_nanos(nanos)
        };
        (Capture::with_clock(near, sink.clone(), clock), far, sink)
    }

    #[test]
    fn an_independent_reader_finds_what_passed() {
        let (mut near, mut far, sink) = capture(usize::MAX);
        let bytes = Tcp { payload: 3001, ..Tcp::default() }.frame();
        let (header, payload) = bytes.split_at(66);
        let offload = tcp_offload(&bytes, 1000);
        near.transmit(&TxFrame { header, payload: &[&payload[..5], &payload[5..]], offload }).expect("room");
        far.transmit(&TxFrame { header: &[7; 61], payload: &[], offload: Offload::default() }).expect("room");
        near.receive(&mut RxBatch::new(4)).expect("receives");
        drop(near);

        let written = sink.written.lock().expect("nobody panics");
        let mut reader = PcapNgReader::new(&written[..]).expect("a section header");
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block() {
            match block.expect("in order") {
                Block::InterfaceDescription(interface) => {
                    assert_eq!(interface.snaplen, 0);
                    assert!(interface.options.contains(&InterfaceDescriptionOption::IfName("memory0".into())));
                    assert!(interface.options.contains(&InterfaceDescriptionOption::IfTsResol(9)));
                }
                Block::EnhancedPacket(packet) => packets.push(packet.into_owned()),
                other => panic!("an unexpected block: {other:?}"),
            }
        }
        assert_eq!(packets.len(), 2);
        let [sent, received] = [&packets[0], &packets[1]];
        assert_eq!((&sent.data[..], sent.original_len as usize), (&bytes[..], bytes.len()));
        assert_eq!(
            sent.options,
            [
                EnhancedPacketOption::Flags(2),
                EnhancedPacketOption::Comment("super-frame: 4 segments of 1000 bytes".into()),
            ]
        );
        assert_eq!(sent.timestamp.as_nanos(), 1_700_000_000_123_456_789);
        assert_eq!((&received.data[..], &received.options[..]), (&[7; 61][..], &[EnhancedPacketOption::Flags(1)][..]));
        assert_eq!(received.timestamp.as_nanos(), 1_700_000_000_123_456_790);
    }

    #[test]
    fn a_full_disk_ends_the_capture_and_not_the_traffic() {
        let (mut near, mut far, _sink) = capture(100);
        let bytes = Tcp { payload: 40_000, ..Tcp::default() }.frame();
        let frame = TxFrame { header: &bytes, payload: &[], offload: tcp_offload(&bytes, 1000) };
        for _ in 0..5 {
            near.transmit(&frame).expect("room");
        }
        assert_eq!(near.error().map(io::Error::kind), Some(io::ErrorKind::StorageFull));
        assert_eq!(far.receive(&mut RxBatch::new(8)).expect("receives"), 5);
    }

    #[test]
    fn what_is_pushed_back_is_not_recorded() {
        let (mut near, _far, sink) = capture(usize::MAX);
        let frame = TxFrame { header: &[0; 60], payload: &[], offload: Offload::default() };
        let taken = std::iter::repeat_with(|| near.transmit(&frame)).take_while(Result::is_ok).count();
        near.sync().expect("room");
        let written = sink.written.lock().expect("nobody panics");
        let mut reader = PcapNgReader::new(&written[..]).expect("a section header");
        let mut packets = 0;
        while let Some(block) = reader.next_block() {
            packets += usize::from(matches!(block.expect("in order"), Block::EnhancedPacket(_)));
        }
        assert_eq!(packets, taken);
    }
}
