//! Numbers that a stranger cannot predict, and a test can.
//!
//! The generator is a keyed pseudo-random function (SipHash-2-4) of a counter. Its key comes from the stack's seed; no
//! operating system is asked. It serves timers' jitter, ports, identifications; it makes no keys.

use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::time::Duration;

/// The generator.
#[derive(Clone)]
pub(crate) struct Rng {
    key: [u8; 16],
    counter: u64,
}

impl Rng {
    /// A generator with this key.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Rng { key, counter: 0 }
    }

    /// 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.counter += 1;
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u64(self.counter);
        hasher.finish()
    }

    /// 32 bits.
    pub(crate) fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    /// A number below `bound`; zero where the bound is zero. Uneven by less than one in 2^32.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// A duration from half of `base` to one and a half of it (RFC 4861 §6.3.2).
    pub(crate) fn around(&mut self, base: Duration) -> Duration {
        base / 2 + base * self.below(1024) / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_below_its_bound_and_reaches_all_of_it() {
        let mut rng = Rng::new([3; 16]);
        let mut seen = [false; 10];
        for _ in 0..1_000 {
            seen[rng.below(10) as usize] = true;
        }
        assert_eq!(seen, [true; 10]);
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn jitters_around_its_base() {
        let mut rng = Rng::new([4; 16]);
        let base = Duration::from_secs(30);
        let drawn: Vec<_> = (0..1_000).map(|_| rng.around(base)).collect();
        assert!(drawn.iter().all(|drawn| (base / 2..base * 3 / 2).contains(drawn)));
        assert!(drawn.iter().min() < Some(&(base * 6 / 10)) && drawn.iter().max() > Some(&(base * 14 / 10)));
    }
}
