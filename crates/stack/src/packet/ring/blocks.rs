//! Version 3: blocks, filled with frames one after the other.
//!
//! A block that is full, or that has waited for `tp_retire_blk_tov` since its first frame, becomes the program's. If the next one is
//! still the program's, the ring is frozen: frames are dropped until the program gives it back. An empty block waits for ever, so an idle
//! ring costs nothing.

use super::geometry::{BLOCK_HEADER, Geometry};
use super::{Frame, Memory, Put, status};
use sockeye_device::Instant;
use std::time::Duration;

/// `tp_retire_blk_tov`, where the program leaves it to us.
const RETIRE_AFTER: u32 = 8;
/// Where `block_status` stands.
const STATUS: usize = 8;

#[derive(Debug)]
pub(super) struct Blocks {
    geometry: Geometry,
    current: usize,
    /// The current block is the program's still.
    frozen: bool,
    sequence: u64,
    /// Of the block that is open: frames, bytes, where the last frame begins, when the first came and the last.
    frames: u32,
    used: usize,
    last_frame: usize,
    opened: Duration,
    last_time: Duration,
    due: Option<Instant>,
    pub(super) freezes: u32,
}

impl Blocks {
    pub(super) fn new(geometry: Geometry, memory: &dyn Memory, time: Duration) -> Self {
        let mut blocks = Blocks {
            geometry,
            current: 0,
            frozen: false,
            sequence: 0,
            frames: 0,
            used: 0,
            last_frame: 0,
            opened: time,
            last_time: time,
            due: None,
            freezes: 0,
        };
        blocks.open(memory, time);
        blocks
    }

    /// Where the word of the block before the current one stands.
    pub(super) fn last(&self) -> usize {
        let last = self.current.checked_sub(1).unwrap_or(self.geometry.blocks - 1);
        last * self.geometry.block_size + STATUS
    }

    /// Whether the block so many quarters of the ring ahead is ours.
    pub(super) fn is_free(&self, memory: &dyn Memory, quarters: usize) -> bool {
        let Geometry { blocks, block_size, .. } = self.geometry;
        memory.load((self.current + blocks / 4 * quarters) % blocks * block_size + STATUS) & status::USER == 0
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn put(&mut self, memory: &dyn Memory, frame: &Frame<'_>) -> Put {
        let version = self.geometry.version;
        let Some((mac, net)) = frame.places(version.header_len()) else { return Put::Full };
        let longest = self.geometry.block_size - self.geometry.first;
        let (mac, kept) = if mac > longest { (longest, 0) } else { (mac, frame.kept.min(longest - mac)) };
        let len = (mac + kept).next_multiple_of(8);
        if self.frozen {
            if memory.load(self.base() + STATUS) & status::USER != 0 {
                return Put::Full;
            }
            self.open(memory, frame.time);
        }
        let mut ready = false;
        if self.used + len > self.geometry.block_size && self.frames > 0 {
            self.close(memory, frame.losing, 0, frame.time);
            ready = true;
            if !self.dispatch(memory, frame.time) {
                return Put::Full;
            }
        }
        let at = self.base() + self.used;
        let mut header = [0; 40];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &(len as u32).to_ne_bytes());
        put(4, &(frame.time.as_secs() as u32).to_ne_bytes());
        put(8, &frame.time.subsec_nanos().to_ne_bytes());
        put(12, &(kept as u32).to_ne_bytes());
        put(16, &(frame.len as u32).to_ne_bytes());
        put(20, &(frame.status() | frame.vlan_status()).to_ne_bytes());
        put(24, &(mac as u16).to_ne_bytes());
        put(26, &(net as u16).to_ne_bytes());
        let (control, protocol) = frame.vlan.map_or((0, 0), |tag| (tag.control, tag.protocol));
        put(28, &frame.flow.to_ne_bytes());
        put(32, &u32::from(control).to_ne_bytes());
        put(36, &protocol.to_ne_bytes());
        memory.write(at, &header);
        memory.write(at + header.len(), &[0; 8]);
        memory.write(at + version.address_at(), &frame.address());
        frame.copy(memory, at + mac, kept);
        self.last_frame = at;
        self.last_time = frame.time;
        self.used += len;
        self.frames += 1;
        if self.frames == 1 {
            let after = if self.geometry.retire_after == 0 { RETIRE_AFTER } else { self.geometry.retire_after };
            self.due = Some(frame.now + Duration::from_millis(after.into()));
        }
        Put::Done { ready, cut: false }
    }

    pub(super) fn handle_timeout(&mut self, memory: &dyn Memory, now: Instant, time: Duration, losing: bool) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        self.close(memory, losing, status::BLOCK_TIMEOUT, time);
        self.dispatch(memory, time);
        true
    }

    fn base(&self) -> usize {
        self.current * self.geometry.block_size
    }

    fn open(&mut self, memory: &dyn Memory, time: Duration) {
        self.sequence += 1;
        self.frozen = false;
        (self.frames, self.used, self.opened, self.due) = (0, self.geometry.first, time, None);
        memory.store(self.base() + STATUS, status::KERNEL);
    }

    /// The block becomes the program's.
    fn close(&mut self, memory: &dyn Memory, losing: bool, why: u32, time: Duration) {
        let base = self.base();
        self.due = None;
        let last = if self.frames > 0 {
            memory.write(self.last_frame, &[0; 4]);
            self.last_time
        } else {
            time
        };
        let mut header = [0; BLOCK_HEADER];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        // TPACKET_V3.
        put(0, &2u32.to_ne_bytes());
        put(4, &(BLOCK_HEADER as u32).to_ne_bytes());
        put(12, &self.frames.to_ne_bytes());
        put(16, &(self.geometry.first as u32).to_ne_bytes());
        put(20, &(self.used as u32).to_ne_bytes());
        put(24, &self.sequence.to_ne_bytes());
        for (at, time) in [(32, self.opened), (40, last)] {
            put(at, &(time.as_secs() as u32).to_ne_bytes());
            put(at + 4, &time.subsec_nanos().to_ne_bytes());
        }
        memory.write(base, &header[..STATUS]);
        memory.write(base + STATUS + 4, &header[STATUS + 4..]);
        memory.store(base + STATUS, status::USER | why | if losing { status::LOSING } else { 0 });
        self.current = (self.current + 1) % self.geometry.blocks;
    }

    /// Opens the next block; false if it is the program's still.
    fn dispatch(&mut self, memory: &dyn Memory, time: Duration) -> bool {
        if memory.load(self.base() + STATUS) & status::USER != 0 {
            self.frozen = true;
            self.freezes += 1;
            return false;
        }
        self.open(memory, time);
        true
    }
}
