//! Room in the table: who gets some, and who must go for it.
//!
//! The table has a limit, and so has the number of unresolved entries in it (a half): a scan of a link
//! evicts other unresolved entries first, and those that have failed, never the neighbours that answer. All operations cost the same with one
//! neighbour or thousands.

use super::{Entry, Neighbors, Slot, State};
use crate::port::PortId;
use sockeye_device::Instant;
use std::net::IpAddr;
use std::time::Duration;

/// How many entries are compared when one must go.
const EVICTION_SAMPLE: usize = 16;

impl Neighbors {
    /// Makes an entry for a neighbour that nobody knows, and begins to ask for it.
    pub(super) fn insert(&mut self, now: Instant, port: PortId, address: IpAddr) {
        if self.index.len() >= self.limit {
            self.evict();
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        self.slots[index as usize].entry = Some(Entry {
            port,
            address,
            state: State::Failed { until: now },
            timer: None,
            confirmed: Instant::ZERO,
            reachable_for: Duration::ZERO,
            used: now,
        });
        self.index.insert((port, address), index);
        self.begin(now, index);
    }

    /// The oldest unresolved entry goes.
    pub(super) fn evict_unresolved(&mut self) {
        while let Some((index, generation)) = self.unresolved.pop_front() {
            if self.slots[index as usize].is_unresolved(generation) {
                self.remove(index);
                return;
            }
        }
    }

    /// Of a few entries the one goes that matters least: whom nobody has heard before those that answer, then the longest
    /// unused.
    fn evict(&mut self) {
        let count = self.slots.len();
        let victim = (0..count)
            .map(|step| (self.hand + step) % count)
            .filter_map(|index| Some((index, self.slots[index].entry.as_ref()?)))
            .take(EVICTION_SAMPLE)
            .min_by_key(|(_, entry)| (entry.state.worth(), entry.used))
            .map(|(index, _)| index as u32);
        self.hand = (self.hand + EVICTION_SAMPLE) % count.max(1);
        if let Some(victim) = victim {
            self.remove(victim);
        }
    }

    /// Forgets an entry; packets that waited are [`Neighbors::evicted`].
    pub(super) fn remove(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let Some(entry) = slot.entry.take() else { return };
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        self.index.remove(&(entry.port, entry.address));
        if let Some(timer) = entry.timer {
            self.wheel.cancel(timer);
        }
        if let State::Incomplete { packets, .. } = entry.state {
            self.unresolved_count -= 1;
            self.waiting_memory -= packets.iter().map(|packet| packet.buffer.len()).sum::<usize>();
            self.evicted.extend(packets);
        }
        self.generation += 1;
    }
}

impl State {
    /// RFC 6583, 6.2: who is known to be there stays before those who may not be.
    fn worth(&self) -> u8 {
        match self {
            State::Incomplete { .. } | State::Failed { .. } => 0,
            State::Stale { .. } => 1,
            State::Delay { .. } | State::Probe { .. } => 2,
            State::Reachable { .. } => 3,
        }
    }
}

impl Slot {
    /// Whether it still has the entry that became unresolved at that generation.
    pub(super) fn is_unresolved(&self, generation: u32) -> bool {
        self.generation == generation && matches!(self.entry, Some(Entry { state: State::Incomplete { .. }, .. }))
    }
}

// RFC 6583, 6 and 7; RFC 4861, 7.3.
