//! A port: a device, as the stack knows it.
//!
//! It bears the device's name, its addresses, and a bounded queue of frames that wait for the device. The queue is for
//! what IP and ARP send; TCP hands its super-segments to the device itself, from where they are. When the device is
//! full, frames stay; when the queue is full, whoever sends is told so. Nothing is dropped between stack and device but
//! what nobody waits for (an answer to a ping), and that is counted.
//!
//! Port 0 is the loopback. It has no device: what is sent there comes back at once.

use crate::Egress;
use crate::ipv6::anycast::Anycast;
use sockeye_device::{Capabilities, Full, Instant, Offload, TxFrame};
use sockeye_wire::ipv6::MIN_MTU;
use sockeye_wire::{IpPrefix, MacAddr};
use std::collections::VecDeque;

/// Frames that may wait for a device; as Linux's default queue.
const QUEUE_FRAMES: usize = 1_000;
/// Memory that they may take.
const QUEUE_MEMORY: usize = 8 << 20;

/// Which port. Dense from 0, which is the loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub(crate) u16);

impl PortId {
    /// The port by which the host reaches itself.
    pub const LOOPBACK: PortId = PortId(0);

    /// A dense index; the first port that is added has 1.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// True for the port by which the host reaches itself.
    pub fn is_loopback(self) -> bool {
        self == PortId::LOOPBACK
    }

    /// What programs call it: from 1, as Linux counts interfaces.
    pub const fn interface_index(self) -> u32 {
        self.0 as u32 + 1
    }

    /// The port that programs call so, if there can be one.
    pub fn from_interface_index(index: u32) -> Option<Self> {
        u16::try_from(index.checked_sub(1)?).ok().map(PortId)
    }

    /// The port with this index, as [`PortId::index`] gave it. Whether there is one is seen when it is used.
    pub const fn from_index(index: u16) -> Self {
        PortId(index)
    }
}

/// What the stack is told of a device.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// The device's name, for people.
    pub name: String,
    /// Our hardware address on its link.
    pub mac: MacAddr,
    /// The largest IP packet that the link carries.
    pub mtu: u16,
    /// What the device does by itself.
    pub capabilities: Capabilities,
}

/// A port.
#[derive(Debug)]
pub struct Port {
    /// The device's name.
    pub name: String,
    /// Our hardware address there.
    pub mac: MacAddr,
    /// The largest IP packet that the link carries.
    pub mtu: u16,
    /// What the device does by itself.
    pub capabilities: Capabilities,
    /// The link is there, and nobody has taken the port down.
    pub(crate) up: bool,
    pub(crate) carrier: bool,
    pub(crate) enabled: bool,
    pub(crate) addresses: Vec<IpPrefix>,
    pub(crate) anycast: Vec<Anycast>,
    pub(crate) queue: Queue,
    /// When an address of IPv4, and one of IPv6, was last defended.
    pub(crate) defended: [Option<Instant>; 2],
    /// What packets of IPv6 may have, which a router may say is less than the link could.
    pub(crate) mtu_v6: u16,
    /// How far packets of IPv6 go, where nobody says.
    pub(crate) hop_limit: u8,
}

impl Port {
    pub(crate) fn new(config: PortConfig, hop_limit: u8) -> Self {
        let PortConfig { name, mac, mtu, capabilities } = config;
        Port {
            name,
            mac,
            mtu,
            capabilities,
            up: true,
            carrier: true,
            enabled: true,
            addresses: Vec::new(),
            anycast: Vec::new(),
            queue: Queue::default(),
            defended: [None; 2],
            mtu_v6: mtu,
            hop_limit,
        }
    }

    /// True where a link carries what every link of IPv6 must (RFC 8200, 5). Others have none of it.
    pub fn carries_ipv6(&self) -> bool {
        usize::from(self.mtu) >= MIN_MTU
    }

    /// True while packets can pass: the link is there, and nobody has taken the port down.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// True while the link is there.
    pub fn has_carrier(&self) -> bool {
        self.carrier
    }

    /// True unless somebody has taken the port down.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Our addresses there, in the order in which they were added: the first is preferred as a source.
    pub fn addresses(&self) -> &[IpPrefix] {
        &self.addresses
    }

    /// Frames that wait for the device.
    pub fn queued(&self) -> usize {
        self.queue.frames.len()
    }
}

/// A frame that is complete but for the destination's hardware address.
#[derive(Debug)]
pub(crate) struct OutFrame {
    /// At least `len` bytes.
    pub(crate) buffer: Vec<u8>,
    pub(crate) len: usize,
    pub(crate) offload: Offload,
}

impl OutFrame {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// Writes the destination into the link header.
    pub(crate) fn address_to(&mut self, mac: MacAddr) {
        self.buffer[..6].copy_from_slice(&mac.0);
    }
}

/// Frames that wait for a device.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    frames: VecDeque<OutFrame>,
    memory: usize,
}

impl Queue {
    /// True when so many frames, of so much memory together, find room.
    pub(crate) fn has_room(&self, frames: usize, memory: usize) -> bool {
        self.frames.len() + frames <= QUEUE_FRAMES && self.memory + memory <= QUEUE_MEMORY
    }

    pub(crate) fn push(&mut self, frame: OutFrame) -> Result<(), OutFrame> {
        if !self.has_room(1, frame.buffer.len()) {
            return Err(frame);
        }
        self.memory += frame.buffer.len();
        self.frames.push_back(frame);
        Ok(())
    }

    /// Hands over frames until the device is full. The buffers go back to `buffers`. Returns how many went.
    pub(crate) fn flush(&mut self, port: PortId, egress: &mut dyn Egress, buffers: &mut Buffers) -> usize {
        let mut count = 0;
        while let Some(frame) = self.frames.front() {
            let whole = TxFrame { header: frame.bytes(), payload: &[], offload: frame.offload };
            if egress.transmit(port, &whole) == Err(Full) {
                break;
            }
            if let Some(frame) = self.frames.pop_front() {
                self.memory -= frame.buffer.len();
                buffers.give(frame.buffer);
            }
            count += 1;
        }
        count
    }

    pub(crate) fn clear(&mut self, buffers: &mut Buffers) -> usize {
        let count = self.frames.len();
        self.memory = 0;
        for frame in self.frames.drain(..) {
            buffers.give(frame.buffer);
        }
        count
    }
}

/// Buffers of frames, kept for the next: two sizes, so that a busy queue allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
}

impl Buffers {
    /// Holds a frame of an ordinary link.
    const SMALL: usize = 2_048;
    /// Holds any frame.
    const LARGE: usize = sockeye_device::MAX_SUPER_FRAME;
    const KEPT_SMALL: usize = 1_024;
    const KEPT_LARGE: usize = 32;

    /// A buffer of at least `len` bytes, with anything in it. `len` is at most that of the largest frame.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        let size = Self::size_for(len);
        let kept = if size == Self::SMALL { &mut self.small } else { &mut self.large };
        kept.pop().unwrap_or_else(|| vec![0; size])
    }

    /// How large a buffer is that holds `len` bytes.
    pub(crate) fn size_for(len: usize) -> usize {
        if len <= Self::SMALL { Self::SMALL } else { Self::LARGE }
    }

    pub(crate) fn give(&mut self, buffer: Vec<u8>) {
        match buffer.len() {
            Self::SMALL if self.small.len() < Self::KEPT_SMALL => self.small.push(buffer),
            Self::LARGE if self.large.len() < Self::KEPT_LARGE => self.large.push(buffer),
            _ => {}
        }
    }
}
