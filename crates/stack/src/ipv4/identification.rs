//! The identification field: what the fragments of one datagram have in common.
//!
//! It has to differ between the datagrams of one source, destination and protocol while their fragments may be on the
//! way, and it must not be guessable, neither to forge fragments nor to count from afar how much this host sends. One
//! global counter fails the second wish, random numbers the first (they repeat after some 300 datagrams). So there is
//! a counter for each of many buckets, each source, destination and protocol belongs to a bucket and starts at its own
//! secret place, and every step is of a random length: RFC 7739's third way.
//!
//! A datagram that may not be cut (DF) and is whole needs no identification: zero serves.
//!
//! # Standards
//!
//! RFC 791 §3.1, RFC 6864 §4 (uniqueness, atomic datagrams), RFC 7739 §5.3, RFC 6274 §3.5.2.

use crate::hash::Keyed;
use crate::rng::Rng;
use std::net::IpAddr;

const BUCKETS: usize = 2_048;
/// Steps are from 1 to this.
const STRIDE: u32 = 8;

/// The counters.
pub(crate) struct Identifications {
    hasher: Keyed,
    counters: Box<[u16]>,
}

impl Identifications {
    pub(crate) fn new(hasher: Keyed) -> Self {
        Identifications { hasher, counters: vec![0; BUCKETS].into() }
    }

    /// The identification of the next datagram.
    pub(crate) fn next(&mut self, rng: &mut Rng, source: IpAddr, destination: IpAddr, protocol: u8) -> u16 {
        let hash = self.hasher.hash(&(source, destination, protocol));
        let counter = &mut self.counters[(hash >> 32) as usize % BUCKETS];
        *counter = counter.wrapping_add(1 + rng.below(STRIDE) as u16);
        counter.wrapping_add(hash as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Keys;
    use std::collections::HashSet;

    #[test]
    fn numbers_repeat_late_for_one_destination_and_tell_nothing_of_another() {
        let keys = Keys::new([5; 32]);
        let (mut ids, mut rng) = (Identifications::new(keys.hasher(b"id")), Rng::new(keys.derive(b"rng")));
        let mut next = |last| ids.next(&mut rng, IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, last]), 17);
        let run: Vec<u16> = (0..5_000).map(|_| next(2)).collect();
        assert_eq!(run.iter().collect::<HashSet<_>>().len(), run.len());
        let steps: HashSet<u16> = run.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        assert_eq!(steps.len(), STRIDE as usize);
        // Row A12: across two destinations, differences are not steps of one counter.
        let across: Vec<u16> = (0..100).map(|turn| next(3 + turn % 2)).collect();
        let small = across.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) <= 2 * STRIDE as u16).count();
        assert!(small < 10, "{small} of 99 steps look like a shared counter");
    }
}
