//! Versions 1 and 2: slots of the same size.

use super::geometry::{Geometry, Version};
use super::{Frame, Memory, Put, status};

#[derive(Debug)]
pub(super) struct Slots {
    geometry: Geometry,
    /// The slot that is written next.
    head: usize,
}

/// Where the word stands that says whose a slot is: version 1 has a `long` there, whose lower half it is.
pub(super) fn status_at(version: Version) -> usize {
    if version == Version::V1 { status::low_half() } else { 0 }
}

impl Slots {
    pub(super) fn new(geometry: Geometry) -> Self {
        Slots { geometry, head: 0 }
    }

    /// Where the word of the slot before the next stands.
    pub(super) fn last(&self) -> usize {
        let last = self.head.checked_sub(1).unwrap_or(self.geometry.slots() - 1);
        self.geometry.slot(last) + status_at(self.geometry.version)
    }

    /// Whether the slot so many quarters of the ring ahead is ours.
    pub(super) fn is_free(&self, memory: &dyn Memory, quarters: usize) -> bool {
        let slots = self.geometry.slots();
        let ahead = (self.head + slots / 4 * quarters) % slots;
        memory.load(self.geometry.slot(ahead) + status_at(self.geometry.version)) == status::KERNEL
    }

    pub(super) fn put(&mut self, memory: &dyn Memory, frame: &Frame<'_>) -> Put {
        let Slots { geometry, head } = self;
        let version = geometry.version;
        let slot = geometry.slot(*head);
        let whose = slot + status_at(version);
        let Some((mac, net)) = frame.places(version.header_len()) else { return Put::Full };
        if memory.load(whose) != status::KERNEL {
            return Put::Full;
        }
        let room = geometry.frame_size.saturating_sub(mac);
        let kept = frame.kept.min(room);
        let cut = kept < frame.kept;
        *head = (*head + 1) % geometry.slots();
        if mac <= geometry.frame_size {
            frame.copy(memory, slot + mac, kept);
        }
        let mut header = [0; 32];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        let (seconds, nanoseconds) = (frame.time.as_secs() as u32, frame.time.subsec_nanos());
        let mut state = frame.status() | if frame.losing { status::LOSING } else { 0 };
        if cut && frame.copied {
            state |= status::COPY;
        }
        // The first word is written last.
        let (len, snap, macs) = if version == Version::V1 { (8, 12, 16) } else { (4, 8, 12) };
        put(len, &(frame.len as u32).to_ne_bytes());
        put(snap, &(kept as u32).to_ne_bytes());
        put(macs, &(mac as u16).to_ne_bytes());
        put(macs + 2, &(net as u16).to_ne_bytes());
        put(macs + 4, &seconds.to_ne_bytes());
        put(macs + 8, &if version == Version::V1 { nanoseconds / 1_000 } else { nanoseconds }.to_ne_bytes());
        if version == Version::V2 {
            state |= frame.vlan_status();
            let (control, protocol) = frame.vlan.map_or((0, 0), |tag| (tag.control, tag.protocol));
            put(24, &control.to_ne_bytes());
            put(26, &protocol.to_ne_bytes());
        }
        let word = status_at(version);
        memory.write(slot + 4 - word, &header[4 - word..8 - word]);
        memory.write(slot + 8, &header[8..]);
        memory.write(slot + version.address_at(), &frame.address());
        memory.store(whose, state);
        Put::Done { ready: true, cut }
    }
}
