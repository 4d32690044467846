//! An interface: smoltcp on Sockeye's own packet socket, so that both get the same from the kernel.
//!
//! That is more than smoltcp's own raw socket offers: many frames a system call both ways, super-frames on receive (the
//! kernel does not cut what it sends us; smoltcp takes any IP packet), and no checksums where the device does them.
//! smoltcp cannot make super-frames: it sends what fits the peer's MSS.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;
use sockeye_device::{Device as _, MacChoice, Offload, PacketSocket, RxBatch, TxFrame};
use sockeye_wire::{Protocol, checksum, ethernet, ipv4, tcp};
use sockeye_workload::Result;
use std::time::Duration;

/// Frames received at a time.
const BATCH: usize = 64;
/// Where the checksum stands in a TCP header.
const CHECKSUM_OFFSET: usize = 16;

/// A packet socket, and the frames that it has delivered and smoltcp has not seen.
pub struct Packet {
    socket: PacketSocket,
    batch: RxBatch,
    next: usize,
    scratch: Vec<u8>,
    error: Option<std::io::Error>,
    /// What `scratch` holds found no room, and goes first when there is some.
    pending: Option<Offload>,
}

impl Packet {
    pub fn open(interface: &str) -> Result<Packet> {
        let socket = PacketSocket::open(interface, MacChoice::Auto)?;
        Ok(Packet { socket, batch: RxBatch::new(BATCH), next: 0, scratch: Vec::new(), error: None, pending: None })
    }
}

impl crate::host::Port for Packet {
    fn wait(&mut self, limit: Duration) -> Result<()> {
        let writable = self.socket.wants_writable();
        let Some(fd) = self.socket.as_fd() else { return Err("a packet socket has a descriptor".into()) };
        let flags = if writable { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&Timespec::try_from(limit)?))?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.flush()?;
        if let Some(offload) = self.pending
            && self.socket.transmit(&TxFrame { header: &self.scratch, payload: &[], offload }).is_ok()
        {
            self.pending = None;
            self.socket.flush()?;
        }
        self.error.take().map_or(Ok(()), |error| Err(error.into()))
    }

    fn address(&self) -> Option<EthernetAddress> {
        Some(EthernetAddress(self.socket.mac().0))
    }
}

impl Device for Packet {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Room<'_>)> {
        let Packet { socket, batch, next, scratch, error, pending } = self;
        if pending.is_some() {
            return None;
        }
        if *next >= batch.frames().len() {
            *next = 0;
            if let Err(failure) = socket.receive(batch) {
                *error = Some(failure);
            }
        }
        let frame = batch.frames().get(*next)?;
        *next += 1;
        Some((Received(frame.bytes()), Room { socket, scratch, pending }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        let Packet { socket, scratch, pending, .. } = self;
        pending.is_none().then_some(Room { socket, scratch, pending })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = usize::from(self.socket.mtu()) + ethernet::HEADER_LEN;
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }
}

/// A frame that has arrived.
pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

/// Room for a frame.
pub struct Room<'a> {
    socket: &'a mut PacketSocket,
    scratch: &'a mut Vec<u8>,
    pending: &'a mut Option<Offload>,
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.scratch.resize(len, 0);
        let result = write(self.scratch);
        let offload = leave_checksum(self.scratch);
        let frame = TxFrame { header: self.scratch, payload: &[], offload };
        *self.pending = self.socket.transmit(&frame).is_err().then_some(offload);
        result
    }
}

/// Prepares a TCP segment for a device that completes its checksum: the field holds the sum of the pseudo header.
fn leave_checksum(frame: &mut [u8]) -> Offload {
    let Some((_, rest)) = frame.split_at_mut_checked(ethernet::HEADER_LEN) else { return Offload::default() };
    let Ok(packet) = ipv4::Packet::parse(rest) else { return Offload::default() };
    let (src, dst, header_len, len) = (packet.src(), packet.dst(), packet.header_len(), packet.payload().len());
    if packet.protocol() != Protocol::TCP || len < tcp::HEADER_LEN {
        return Offload::default();
    }
    let sum = !checksum::pseudo_header(src.into(), dst.into(), Protocol::TCP.0, len as u32).finish();
    let field = header_len + CHECKSUM_OFFSET;
    rest[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    let start = (ethernet::HEADER_LEN + header_len) as u16;
    Offload {
        checksum: sockeye_device::Checksum::Partial { start, offset: CHECKSUM_OFFSET as u16 },
        segmentation: None,
    }
}
