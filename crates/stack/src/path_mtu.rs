//! Path MTUs: how large a packet a path is known to carry, where that is less than our own link does.
//!
//! A router that could not forward a packet says how large it may be. A forger can say so too; so whoever sent the packet
//! checks first that the complaint quotes something really sent (RFC 5927 §7.2), and only then teaches it here. What is
//! learnt is never below a floor (a forged tiny MTU must not turn every byte into a packet), never raises what is known,
//! and is forgotten after ten minutes, when a larger packet tries again. A router from before RFC 1191 names no MTU: the
//! next smaller one of the common links is tried.
//!
//! The table is bounded; when it is full, the oldest goes first. All entries live equally long, so they stand in the order
//! in which they expire.
//!
//! # Standards
//!
//! RFC 1191 §3, §5, §6.3 (ageing), §7.1 (plateaus); RFC 5927 §7.

use crate::hash::Keyed;
use hashbrown::HashMap;
use sockeye_device::Instant;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// The least that is believed, as Linux's `min_pmtu`.
pub(crate) const FLOOR: u16 = 552;
/// RFC 1191 §6.3.
const LIFETIME: Duration = Duration::from_secs(600);
const CAPACITY: usize = 4_096;
/// RFC 1191 §7.1.
const PLATEAUS: [u16; 9] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 576, FLOOR];

#[derive(Debug)]
struct Entry {
    mtu: u16,
    expires: Instant,
}

/// The table.
#[derive(Debug)]
pub(crate) struct PathMtus {
    entries: HashMap<IpAddr, Entry, Keyed>,
    /// By expiry. An entry that was learnt again stands here twice; only its later place counts.
    order: VecDeque<(Instant, IpAddr)>,
}

impl PathMtus {
    pub(crate) fn new(hasher: Keyed) -> Self {
        PathMtus { entries: HashMap::with_hasher(hasher), order: VecDeque::new() }
    }

    /// What is known of the path to `destination`.
    pub(crate) fn find(&self, destination: IpAddr) -> Option<u16> {
        if self.entries.is_empty() { None } else { self.entries.get(&destination).map(|entry| entry.mtu) }
    }

    /// A packet of `packet` bytes did not fit; the router says that `mtu` would (0: it does not say). Returns the new
    /// MTU of the path if it has become smaller than `known`, what was believed until now.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        destination: IpAddr,
        mtu: u16,
        packet: u16,
        known: u16,
    ) -> Option<u16> {
        let said = match mtu {
            0 => PLATEAUS.into_iter().find(|&plateau| plateau < packet.min(known)).unwrap_or(FLOOR),
            mtu => mtu.max(FLOOR),
        };
        if said >= known {
            return None;
        }
        if self.entries.len() >= CAPACITY && !self.entries.contains_key(&destination) {
            self.drop_oldest();
        }
        let expires = now + LIFETIME;
        self.entries.insert(destination, Entry { mtu: said, expires });
        self.order.push_back((expires, destination));
        // One that is learnt again and again leaves places behind; they are swept before they outgrow what is alive.
        if self.order.len() > 64 + 2 * self.entries.len() {
            let entries = &self.entries;
            self.order.retain(|(at, who)| entries.get(who).is_some_and(|entry| entry.expires == *at));
        }
        Some(said)
    }

    /// Forgets what has expired; true when something has.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let before = self.entries.len();
        while let Some(&(expires, _)) = self.order.front()
            && expires <= now
        {
            self.drop_front();
        }
        self.entries.len() < before
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.order.front().map(|&(expires, _)| expires)
    }

    fn drop_oldest(&mut self) {
        let before = self.entries.len();
        while self.entries.len() == before && !self.order.is_empty() {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        let Some((expires, destination)) = self.order.pop_front() else { return };
        if self.entries.get(&destination).is_some_and(|entry| entry.expires == expires) {
            self.entries.remove(&destination);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Keys;

    fn host(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
    }

    #[test]
    fn the_oldest_makes_room_and_the_table_ends_empty() {
        let mut table = PathMtus::new(Keys::new([1; 32]).hasher(b"test"));
        let start = Instant::from_millis(1);
        for number in 0..CAPACITY as u32 + 10 {
            let now = start + Duration::from_millis(number.into());
            assert_eq!(table.learn(now, host(number), 1_400, 1_500, 1_500), Some(1_400));
        }
        assert_eq!((table.entries.len(), table.find(host(9)), table.find(host(10))), (CAPACITY, None, Some(1_400)));
        assert!(!table.expire(start + LIFETIME));
        assert!(table.expire(start + LIFETIME + Duration::from_secs(10)));
        assert_eq!((table.entries.len(), table.order.len(), table.poll_timeout()), (0, 0, None));
    }

    #[test]
    fn what_is_learnt_again_lives_from_then_on() {
        let mut table = PathMtus::new(Keys::new([1; 32]).hasher(b"test"));
        let start = Instant::from_millis(1);
        table.learn(start, host(1), 1_400, 1_500, 1_500);
        table.learn(start + Duration::from_secs(300), host(1), 1_300, 1_400, 1_400);
        assert!(!table.expire(start + LIFETIME));
        assert_eq!(table.find(host(1)), Some(1_300));
        assert!(table.expire(start + LIFETIME + Duration::from_secs(300)));
        assert_eq!(table.find(host(1)), None);
    }
}
