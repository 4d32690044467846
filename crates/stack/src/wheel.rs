//! A hierarchical timer wheel: arming, cancelling and firing cost the same with one timer or a million.
//!
//! Time is cut into ticks of about a millisecond. Level 0 has a slot for each of the next 64 ticks, level 1 a slot for
//! each of the next 64 × 64, and so on; a timer stands in the lowest level whose reach covers it and moves down as its
//! time comes near. A slot is a doubly linked list through a slab, so that cancelling needs no search, and each level
//! has a bitmap of its occupied slots, so that finding the next one needs no scan. A timer never fires early: its
//! deadline is rounded up to a tick.
//!
//! [`Wheel::next`] may name a moment at which nothing fires (a slot that only moves down a level), at most once a level
//! for a timer; so an idle host with one long timer wakes a handful of times, not once a tick.

use sockeye_device::Instant;

const TICK_SHIFT: u32 = 20;
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
const LEVELS: usize = 7;
const NIL: u32 = u32::MAX;
/// Where an entry that has fired, but was not yet handed out, is listed.
const DUE: u8 = LEVELS as u8;
const FREE: u8 = u8::MAX;

/// A timer that was armed. Stale after it has fired or was cancelled, which [`Wheel::cancel`] notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

struct Entry<K> {
    key: K,
    tick: u64,
    previous: u32,
    next: u32,
    generation: u32,
    level: u8,
    slot: u8,
}

/// Timers that carry a key `K`.
pub struct Wheel<K> {
    entries: Vec<Entry<K>>,
    free: u32,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    /// The levels that have an occupied slot.
    levels: u32,
    due: u32,
    /// Every tick up to and with this one has been dealt with.
    elapsed: u64,
    armed: usize,
    /// What [`Wheel::next`] says: it is asked far more often than anything changes.
    next: Option<Instant>,
}

impl<K: Copy> Default for Wheel<K> {
    fn default() -> Self {
        Wheel::new()
    }
}

impl<K: Copy> Wheel<K> {
    /// A wheel with no timers, at the origin of time.
    pub fn new() -> Self {
        Wheel {
            entries: Vec::new(),
            free: NIL,
            heads: [[NIL; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            levels: 0,
            due: NIL,
            elapsed: 0,
            armed: 0,
            next: None,
        }
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.armed
    }

    /// True when no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// Arms a timer that fires at `deadline` or within a tick after it.
    pub fn insert(&mut self, deadline: Instant, key: K) -> TimerId {
        let tick = (deadline.as_nanos() >> TICK_SHIFT) + 1;
        let index = if self.free == NIL {
            self.entries.push(Entry { key, tick, previous: NIL, next: NIL, generation: 0, level: FREE, slot: 0 });
            (self.entries.len() - 1) as u32
        } else {
            let index = self.free;
            let entry = &mut self.entries[index as usize];
            self.free = entry.next;
            entry.key = key;
            entry.tick = tick;
            index
        };
        self.armed += 1;
        self.link(index);
        self.next = self.find_next();
        TimerId { index, generation: self.entries[index as usize].generation }
    }

    /// Disarms a timer; does nothing to one that has fired.
    pub fn cancel(&mut self, id: TimerId) {
        match self.entries.get(id.index as usize) {
            Some(entry) if entry.generation == id.generation && entry.level != FREE => {
                self.unlink(id.index);
                self.release(id.index);
                self.next = self.find_next();
            }
            _ => {}
        }
    }

    /// The key of one timer whose time has come, and `None` when there are no more.
    pub fn expire(&mut self, now: Instant) -> Option<K> {
        let key = self.take_due(now);
        self.next = self.find_next();
        key
    }

    /// When to call [`Wheel::expire`] next.
    #[inline]
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    fn take_due(&mut self, now: Instant) -> Option<K> {
        let now = now.as_nanos() >> TICK_SHIFT;
        loop {
            if self.due != NIL {
                let index = self.due;
                self.unlink(index);
                let key = self.entries[index as usize].key;
                self.release(index);
                return Some(key);
            }
            match self.next_slot() {
                Some((level, slot, start)) if start <= now => {
                    self.elapsed = self.elapsed.max(start);
                    self.empty_slot(level, slot);
                }
                _ => {
                    self.elapsed = self.elapsed.max(now);
                    return None;
                }
            }
        }
    }

    fn find_next(&self) -> Option<Instant> {
        if self.due != NIL {
            return Some(Instant::from_nanos(self.elapsed << TICK_SHIFT));
        }
        self.next_slot().map(|(_, _, start)| Instant::from_nanos(start << TICK_SHIFT))
    }

    /// The occupied slot that comes first, and the tick at which it begins.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        let shift = LEVEL_BITS * level as u32;
        let here = (self.elapsed >> shift) as usize % SLOTS;
        let ahead = self.occupied[level].rotate_right(here as u32).trailing_zeros() as usize;
        let slot = (here + ahead) % SLOTS;
        let start = ((self.elapsed >> shift) + ahead as u64) << shift;
        Some((level, slot, start.max(self.elapsed)))
    }

    fn empty_slot(&mut self, level: usize, slot: usize) {
        while self.heads[level][slot] != NIL {
            let index = self.heads[level][slot];
            self.unlink(index);
            self.link(index);
        }
    }

    fn link(&mut self, index: u32) {
        let tick = self.entries[index as usize].tick;
        let (level, slot) = if tick <= self.elapsed {
            (DUE, 0)
        } else {
            let highest_change = 63 - ((tick ^ self.elapsed) | (SLOTS as u64 - 1)).leading_zeros();
            let level = (highest_change / LEVEL_BITS) as usize;
            if level < LEVELS {
                (level as u8, ((tick >> (LEVEL_BITS * level as u32)) as usize % SLOTS) as u8)
            } else {
                // Beyond the reach of the wheel (decades): as far out as it goes, and again from there.
                let level = LEVELS - 1;
                let here = (self.elapsed >> (LEVEL_BITS * level as u32)) as usize % SLOTS;
                (level as u8, ((here + SLOTS - 1) % SLOTS) as u8)
            }
        };
        let head = if level == DUE {
            std::mem::replace(&mut self.due, index)
        } else {
            self.occupied[level as usize] |= 1 << slot;
            self.levels |= 1 << level;
            std::mem::replace(&mut self.heads[level as usize][slot as usize], index)
        };
        if head != NIL {
            self.entries[head as usize].previous = index;
        }
        let entry = &mut self.entries[index as usize];
        entry.level = level;
        entry.slot = slot;
        entry.previous = NIL;
        entry.next = head;
    }

    fn unlink(&mut self, index: u32) {
        let Entry { previous, next, level, slot, .. } = self.entries[index as usize];
        if next != NIL {
            self.entries[next as usize].previous = previous;
        }
        if previous != NIL {
            self.entries[previous as usize].next = next;
        } else if level == DUE {
            self.due = next;
        } else {
            self.heads[level as usize][slot as usize] = next;
            if next == NIL {
                self.occupied[level as usize] &= !(1 << slot);
                if self.occupied[level as usize] == 0 {
                    self.levels &= !(1 << level);
                }
            }
        }
    }

    fn release(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.level = FREE;
        entry.next = self.free;
        self.free = index;
        self.armed -= 1;
    }
}

/// The earlier of two moments, either of which there may not be.
#[inline]
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn fires_in_order_of_ticks_and_never_early() {
        let mut wheel = Wheel::new();
        for millis in [5u64, 1, 70, 5_000, 300_000, 90_000_000] {
            wheel.insert(ms(millis), millis);
        }
        let mut fired = Vec::new();
        while let Some(next) = wheel.next() {
            while let Some(millis) = wheel.expire(next) {
                assert!(next >= ms(millis), "{millis} fired early, at {next}");
                assert!(next.since(ms(millis)) <= Duration::from_millis(3));
                fired.push(millis);
            }
        }
        assert_eq!(fired, [1, 5, 70, 5_000, 300_000, 90_000_000]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_cancelled_timer_stays_silent_and_its_id_goes_stale() {
        let mut wheel = Wheel::new();
        let first = wheel.insert(ms(10), 1);
        let second = wheel.insert(ms(10), 2);
        wheel.cancel(first);
        let third = wheel.insert(ms(10), 3);
        wheel.cancel(first);
        let mut fired: Vec<i32> = std::iter::from_fn(|| wheel.expire(ms(50))).collect();
        fired.sort_unstable();
        assert_eq!(fired, [2, 3]);
        wheel.cancel(second);
        wheel.cancel(third);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_deadline_in_the_past_is_due_at_once() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.expire(ms(1_000)), None);
        wheel.insert(ms(10), ());
        assert!(wheel.next().is_some_and(|next| next <= ms(1_000)));
        assert_eq!(wheel.expire(ms(1_000)), Some(()));
    }

    #[test]
    fn the_far_future_is_no_special_case() {
        let mut wheel = Wheel::new();
        wheel.insert(Instant::FAR_FUTURE, ());
        assert_eq!(wheel.expire(ms(1 << 30)), None);
        assert_eq!(wheel.len(), 1);
    }

    proptest! {
        /// Against the obvious model: a sorted list.
        #[test]
        fn agrees_with_a_sorted_list(operations in prop::collection::vec((0u8..4, 0u64..200_000), 1..300)) {
            let mut wheel = Wheel::new();
            let mut model: Vec<(u64, u32, TimerId)> = Vec::new();
            let (mut now, mut serial) = (0u64, 0u32);
            for (operation, value) in operations {
                match operation {
                    0 | 1 => {
                        let id = wheel.insert(ms(now + value), serial);
                        model.push((now + value, serial, id));
                        serial += 1;
                    }
                    2 if !model.is_empty() => {
                        let (_, _, id) = model.swap_remove(value as usize % model.len());
                        wheel.cancel(id);
                    }
                    _ => {
                        now += value / 4;
                        let mut fired: Vec<u32> = std::iter::from_fn(|| wheel.expire(ms(now))).collect();
                        fired.sort_unstable();
                        let at = |deadline: u64| (ms(deadline).as_nanos() >> TICK_SHIFT) + 1;
                        let mut expected: Vec<u32> = model.iter()
                            .filter(|entry| at(entry.0) <= ms(now).as_nanos() >> TICK_SHIFT).map(|entry| entry.1).collect();
                        expected.sort_unstable();
                        model.retain(|entry| !expected.contains(&entry.1));
                        prop_assert_eq!(fired, expected);
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
            }
        }
    }
}
