//! Rings: frames in memory that the program has mapped, so that reading one costs no system call.
//!
//! The memory is divided into blocks of the same size. In versions 1 and 2 blocks are cut into slots of the same size, one frame each
//! ([`slots`]); in version 3 a block is filled with frames one after the other, and is the program's when it is full or its time is over
//! ([`blocks`]). A word in each slot or block says whose it is: 0 ours, 1 the program's. A ring of frames to send is of slots in all three
//! ([`transmit`]); it stands behind the one for what arrives, in the same memory.
//!
//! The program may write anything anywhere at any time. So all that is decided from is kept here, and what is read back is one word,
//! whose it is; a program that lies about that overwrites its own frames or loses them. Where anything stands was computed from a
//! [`Geometry`], which was checked to the last sum before there was any memory.
//!
//! Behind the ring stands a page of our own ([`CONTROL_LEN`]), by which whoever waits for the program is spared a question: where
//! the word stands that was last made the program's, and whether a signal is wanted when there is another.
//!
//! # Standards
//!
//! Linux `Documentation/networking/packet_mmap.rst`, `linux/if_packet.h`; CVE-2017-7308 (sums that wrapped).

mod blocks;
mod geometry;
mod slots;
#[cfg(test)]
mod tests;
mod transmit;

use super::fanout::Room;
use super::view::{Seen, hardware};
use super::{PacketType, Statistics, VirtualHeader};
use blocks::Blocks;
use slots::Slots;
use sockeye_device::{Checksum, Instant, SegmentKind};
use sockeye_filter::VlanTag;
use std::sync::Arc;
use std::time::Duration;

pub(super) use transmit::{Claim, Rules, TransmitRing};

pub use geometry::{Geometry, Refused, Request, Version};

/// Bytes of our own behind a ring.
pub const CONTROL_LEN: usize = 4_096;
/// In them: where the word stands that was last made the program's.
pub const CONTROL_LAST: usize = 0;
/// In them: 1 when a signal is wanted.
pub const CONTROL_ARMED: usize = 4;

/// `TP_STATUS_*`.
pub(super) mod status {
    pub(crate) const KERNEL: u32 = 0;
    pub(crate) const USER: u32 = 1;
    pub(crate) const COPY: u32 = 1 << 1;
    pub(crate) const LOSING: u32 = 1 << 2;
    pub(crate) const CHECKSUM_NOT_READY: u32 = 1 << 3;
    pub(crate) const VLAN_VALID: u32 = 1 << 4;
    pub(crate) const BLOCK_TIMEOUT: u32 = 1 << 5;
    pub(crate) const VLAN_PROTOCOL_VALID: u32 = 1 << 6;
    pub(crate) const CHECKSUM_VALID: u32 = 1 << 7;
    pub(crate) const GSO_TCP: u32 = 1 << 8;

    /// Where in a slot of version 1, which has a `long` for its status, the half stands that is used.
    pub(crate) const fn low_half() -> usize {
        if cfg!(target_endian = "big") { 4 } else { 0 }
    }
}

/// Memory that is shared with a program. Nothing in it can be relied on, and no access to it can fail: what lies outside is zero, and stays so.
pub trait Memory: std::fmt::Debug + Send + Sync {
    /// A word, after everything that was written before it; `at` is a multiple of four.
    fn load(&self, at: usize) -> u32;
    /// Writes a word, after everything that was written before; `at` is a multiple of four.
    fn store(&self, at: usize, value: u32);
    /// Writes bytes.
    fn write(&self, at: usize, bytes: &[u8]);
    /// Reads bytes.
    fn read(&self, at: usize, bytes: &mut [u8]);
}

/// A frame for a ring.
pub(super) struct Frame<'a> {
    pub(super) seen: &'a Seen<'a>,
    /// The number of its flow, if the ring wants that.
    pub(super) flow: u32,
    pub(super) kind: PacketType,
    pub(super) vlan: Option<VlanTag>,
    /// Without the link header.
    pub(super) cooked: bool,
    /// Where the data begin, of the frame.
    pub(super) from: usize,
    /// Bytes of it, and as many as the filter has left.
    pub(super) len: usize,
    pub(super) kept: usize,
    /// `PACKET_RESERVE`.
    pub(super) reserve: usize,
    /// If it is cut here, it is in the queue as a whole.
    pub(super) copied: bool,
    /// `PACKET_VNET_HDR`.
    pub(super) virtual_header: Option<VirtualHeader>,
    /// Since 1970.
    pub(super) time: Duration,
    /// The socket has lost frames since its statistics were read.
    pub(super) losing: bool,
    pub(super) now: Instant,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It stands in the ring, of which a part became the program's, if `ready`; `cut` if not all of it did.
    Done { ready: bool, cut: bool },
    /// There was no room.
    Full,
}

/// A ring for what arrives.
#[derive(Debug)]
pub(super) struct Ring {
    memory: Arc<dyn Memory>,
    /// Where our own page begins.
    control: usize,
    manner: Manner,
    geometry: Geometry,
}

#[derive(Debug)]
enum Manner {
    Slots(Slots),
    Blocks(Blocks),
}

impl Ring {
    /// An empty ring at the beginning of `memory`; our own page is at `control`.
    pub(super) fn new(memory: Arc<dyn Memory>, geometry: Geometry, control: usize, time: Duration) -> Self {
        let manner = match geometry.version {
            Version::V1 | Version::V2 => Manner::Slots(Slots::new(geometry)),
            Version::V3 => Manner::Blocks(Blocks::new(geometry, &*memory, time)),
        };
        memory.store(control + CONTROL_LAST, manner.last() as u32);
        memory.store(control + CONTROL_ARMED, 1);
        Ring { memory, control, manner, geometry }
    }

    pub(super) fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Whether the flow of each frame is told (`TP_FT_REQ_FILL_RXHASH`).
    pub(super) fn wants_flows(&self) -> bool {
        self.geometry.flows
    }

    /// Whether there is room for another frame: plenty, if the slot or block a quarter of the ring ahead is ours as well.
    pub(super) fn room(&self) -> Room {
        let ahead = |quarters: usize| match &self.manner {
            Manner::Slots(slots) => slots.is_free(&*self.memory, quarters),
            Manner::Blocks(blocks) => blocks.is_free(&*self.memory, quarters),
        };
        match (ahead(1), ahead(0)) {
            (true, _) => Room::Plenty,
            (false, true) => Room::Little,
            (false, false) => Room::None,
        }
    }

    /// Goes on in memory that begins with what is in it; our own page is at `control` there.
    pub(super) fn move_to(&mut self, memory: Arc<dyn Memory>, control: usize) {
        memory.store(control + CONTROL_LAST, self.manner.last() as u32);
        memory.store(control + CONTROL_ARMED, 1);
        (self.memory, self.control) = (memory, control);
    }

    pub(super) fn put(&mut self, frame: &Frame<'_>) -> Put {
        let put = match &mut self.manner {
            Manner::Slots(slots) => slots.put(&*self.memory, frame),
            Manner::Blocks(blocks) => blocks.put(&*self.memory, frame),
        };
        self.tell_last(matches!(put, Put::Done { ready: true, .. }));
        put
    }

    /// Makes the program's what has waited long enough. True if something was.
    pub(super) fn handle_timeout(&mut self, now: Instant, time: Duration, losing: bool) -> bool {
        let retired = match &mut self.manner {
            Manner::Slots(_) => false,
            Manner::Blocks(blocks) => blocks.handle_timeout(&*self.memory, now, time, losing),
        };
        self.tell_last(retired);
        retired
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.manner {
            Manner::Slots(_) => None,
            Manner::Blocks(blocks) => blocks.poll_timeout(),
        }
    }

    /// Whether the program is to be signalled; then it is not again until it wants to be.
    pub(super) fn take_signal(&mut self) -> bool {
        let armed = self.memory.load(self.control + CONTROL_ARMED) != 0;
        let waiting = self.memory.load(self.manner.last()) != status::KERNEL;
        if armed && waiting {
            self.memory.store(self.control + CONTROL_ARMED, 0);
        }
        armed && waiting
    }

    /// The signal could not be given.
    pub(super) fn keep_signal(&mut self) {
        self.memory.store(self.control + CONTROL_ARMED, 1);
    }

    /// `tp_freeze_q_cnt`, which begins again.
    pub(super) fn take_freezes(&mut self) -> u32 {
        match &mut self.manner {
            Manner::Slots(_) => 0,
            Manner::Blocks(blocks) => std::mem::take(&mut blocks.freezes),
        }
    }

    fn tell_last(&self, ready: bool) {
        if ready {
            self.memory.store(self.control + CONTROL_LAST, self.manner.last() as u32);
        }
    }
}

impl Manner {
    fn last(&self) -> usize {
        match self {
            Manner::Slots(slots) => slots.last(),
            Manner::Blocks(blocks) => blocks.last(),
        }
    }
}

impl Frame<'_> {
    /// Where link and network header stand, from the beginning of a slot: `tp_mac`, `tp_net`. None if they do not fit into their fields.
    fn places(&self, header_len: usize) -> Option<(usize, usize)> {
        const LINK: usize = 16;
        let net = match self.cooked {
            true => header_len.next_multiple_of(16) + LINK + self.reserve,
            false => {
                let vnet = self.virtual_header.map_or(0, |header| header.as_bytes().len());
                (header_len + LINK).next_multiple_of(16) + self.reserve + vnet
            }
        };
        let mac = if self.cooked { net } else { net - sockeye_wire::ethernet::HEADER_LEN };
        (net <= usize::from(u16::MAX)).then_some((mac, net))
    }

    /// Flags about the frame itself.
    fn status(&self) -> u32 {
        let mut status = status::USER;
        match self.seen.offload.checksum {
            Checksum::Partial { .. } => status |= status::CHECKSUM_NOT_READY,
            Checksum::Verified if self.kind != PacketType::Outgoing => status |= status::CHECKSUM_VALID,
            Checksum::Present | Checksum::Verified => {}
        }
        if matches!(self.seen.offload.segmentation, Some(cut) if cut.kind != SegmentKind::Udp) {
            status |= status::GSO_TCP;
        }
        status
    }

    fn vlan_status(&self) -> u32 {
        if self.vlan.is_some() { status::VLAN_VALID | status::VLAN_PROTOCOL_VALID } else { 0 }
    }

    /// `struct sockaddr_ll`.
    fn address(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..2].copy_from_slice(&17u16.to_ne_bytes());
        bytes[2..4].copy_from_slice(&self.seen.protocol.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.seen.port.interface_index().to_ne_bytes());
        bytes[8..10].copy_from_slice(&hardware(self.seen.port).to_ne_bytes());
        bytes[10..12].copy_from_slice(&[self.kind as u8, 6]);
        bytes[12..18].copy_from_slice(&self.seen.source.0);
        bytes
    }

    /// The frame itself, `len` bytes of it, and what stands before it.
    fn copy(&self, memory: &dyn Memory, mac: usize, len: usize) {
        if let Some(header) = self.virtual_header {
            let header = header.as_bytes();
            memory.write(mac.saturating_sub(header.len()), header);
        }
        let mut at = mac;
        for piece in self.seen.view.pieces(self.from, len) {
            memory.write(at, piece);
            at += piece.len();
        }
    }
}

impl Statistics {
    /// Whether frames were lost since it was read.
    pub(super) fn is_losing(&self) -> bool {
        self.drops > 0
    }
}
