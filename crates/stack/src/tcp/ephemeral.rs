//! From which port a connection leaves whose owner has none in mind (RFC 6056, 3.3.4: double-hash port selection).
//!
//! To one peer the ports go upwards, from a place that a keyed hash of the two addresses decides: so one that was just
//! used comes again only after all others, when a predecessor that the peer holds in TIME-WAIT is provably older (a port
//! drawn at random comes again within the same millisecond sooner or later, and its SYN is then taken for an old one). How
//! far they have gone is counted in one of many counters, which another hash decides: so what one peer sees tells it
//! little of the connections to others. Some noise is added, as in Linux, to tell it less.

use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// How many counters.
const COUNTERS: usize = 1_024;

/// How far each group of peers has gone.
pub(crate) struct Ephemeral {
    key: [u8; 16],
    counters: Box<[u32]>,
}

/// Where the search for a port begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    counter: usize,
    pub(crate) offset: u32,
}

impl Ephemeral {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Ephemeral { key, counters: vec![0; COUNTERS].into() }
    }

    /// Where the search begins for a connection from `local` to `remote`.
    pub(crate) fn place(&self, local: IpAddr, remote: SocketAddr) -> Place {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        (local, remote).hash(&mut hasher);
        let hash = hasher.finish();
        // The two halves of a pseudo-random number know nothing of each other: they are two hashes.
        let counter = (hash >> 32) as usize % COUNTERS;
        Place { counter, offset: (hash as u32).wrapping_add(self.counters[counter]) }
    }

    /// The search went `steps` beyond its place; `noise` is a random number.
    pub(crate) fn advance(&mut self, place: Place, steps: u32, noise: u32) {
        let counter = &mut self.counters[place.counter];
        *counter = counter.wrapping_add(steps + 1 + u32::from(noise.is_multiple_of(16)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> IpAddr {
        IpAddr::from([10, 0, 0, 1])
    }

    fn remote(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 2], port))
    }

    #[test]
    fn a_place_is_passed_and_does_not_come_again_soon() {
        let mut ephemeral = Ephemeral::new([3; 16]);
        let first = ephemeral.place(local(), remote(80)).offset;
        for noise in 0..1_000 {
            let place = ephemeral.place(local(), remote(80));
            assert!((noise..=2 * noise).contains(&place.offset.wrapping_sub(first)));
            ephemeral.advance(place, 0, noise);
        }
    }

    #[test]
    fn each_peer_begins_elsewhere_and_few_share_a_counter() {
        let mut ephemeral = Ephemeral::new([3; 16]);
        let before: Vec<Place> = (1..1_000).map(|port| ephemeral.place(local(), remote(port))).collect();
        ephemeral.advance(before[0], 6, 1);
        let after = (1..1_000).map(|port| ephemeral.place(local(), remote(port)));
        let moved = before.iter().zip(after).filter(|(before, after)| **before != *after).count();
        assert!((1..8).contains(&moved), "{moved} of 999 have moved with one");
        let offsets: std::collections::HashSet<u32> = before.iter().map(|place| place.offset).collect();
        assert!(offsets.len() > 990);
    }
}
