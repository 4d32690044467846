//! How many errors of ICMP a host sends.
//!
//! Their rate is limited twice: for each destination (a few at once, then one a second), and for all (a thousand a second). The limit for all
//! is blurred at random: if it could be counted exactly, it would tell a third party which ports are open (SAD DNS). Whether a port without a
//! socket is spoken of at all can be chosen, too: who scans a host learns less from one that is silent. What a host says to itself has no limit.
//!
//! # Standards
//!
//! RFC 1812 §4.3.2.8, RFC 4443 §2.4(f) and §3.1.

use crate::counters::Drop;
use crate::hash::Keyed;
use crate::icmp::Complaint;
use crate::ip::Ip;
use crate::rng::Rng;
use crate::route::AddressKind;
use sockeye_device::Instant;
use std::net::IpAddr;
use std::time::Duration;

/// Destinations share this many buckets by a keyed hash.
const BUCKETS: usize = 1_024;

/// How many errors a host sends, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRates {
    /// To all destinations together.
    pub all: Rate,
    /// To one destination.
    pub each: Rate,
    /// Whether who sends to a port that nobody has is told so.
    pub ports: bool,
}

/// So many at once, and so many a second after these. No more than one in a nanosecond, and none where either is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// A second.
    pub sustained: u32,
}

impl Default for ErrorRates {
    fn default() -> Self {
        let (all, each) = (Rate { burst: 50, sustained: 1_000 }, Rate { burst: 6, sustained: 1 });
        ErrorRates { all, each, ports: true }
    }
}

/// Limits the rate of complaints.
pub(crate) struct Limiter {
    rates: ErrorRates,
    hasher: Keyed,
    buckets: Box<[Bucket]>,
    global: Bucket,
}

/// Tokens, as the moment at which the bucket would be full: one number, no timer.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Takes `count` tokens if there is one at least.
    fn take(&mut self, now: Instant, count: u32, Rate { burst, sustained }: Rate) -> bool {
        let Some(interval) = Duration::from_secs(1).checked_div(sustained).filter(|_| burst > 0) else { return false };
        let full_at = self.full_at.max(now);
        // Before the first token is back, the bucket is empty.
        if full_at.since(now) > interval * (burst - 1) {
            return false;
        }
        self.full_at = (full_at + interval * count).min(now + interval * burst);
        true
    }
}

impl Limiter {
    pub(crate) fn new(hasher: Keyed, rates: ErrorRates) -> Self {
        Limiter { rates, hasher, buckets: vec![Bucket::default(); BUCKETS].into(), global: Bucket::default() }
    }

    /// True when one may be sent to `destination`.
    fn allow(&mut self, now: Instant, rng: &mut Rng, destination: IpAddr) -> bool {
        // One that is refused for its destination's sake costs the others nothing.
        let bucket = &mut self.buckets[self.hasher.hash(&destination) as usize % BUCKETS];
        bucket.take(now, 1, self.rates.each) && self.global.take(now, 1 + rng.below(3), self.rates.all)
    }
}

impl Ip {
    /// Whether a complaint may be sent to `destination` now.
    pub(crate) fn may_complain(&mut self, now: Instant, destination: IpAddr, complaint: Complaint) -> bool {
        if complaint == Complaint::Port && !self.limiter.rates.ports {
            return false;
        }
        // Who is told is a program of this host, and nothing leaves.
        let inside = self.addresses.classify(destination) == AddressKind::Local;
        let allowed = inside || self.limiter.allow(now, &mut self.rng, destination);
        if !allowed {
            self.counters.drop(Drop::IcmpRateLimit);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Keys;

    fn limiter(rates: ErrorRates) -> (Limiter, Rng) {
        let keys = Keys::new([9; 32]);
        (Limiter::new(keys.hasher(b"limit"), rates), Rng::new(keys.derive(b"rng")))
    }

    fn sent(limiter: &mut Limiter, rng: &mut Rng, millis: u64) -> usize {
        let to = IpAddr::from([10, 0, 0, 9]);
        (0..20).filter(|_| limiter.allow(Instant::from_millis(millis), rng, to)).count()
    }

    #[test]
    fn one_destination_gets_six_then_one_a_second() {
        let (mut limiter, mut rng) = limiter(ErrorRates::default());
        let mut sent = |at| sent(&mut limiter, &mut rng, at);
        assert_eq!(sent(5_000), 6);
        assert_eq!(sent(5_999), 0);
        assert_eq!(sent(6_000), 1);
        assert_eq!(sent(9_500), 3);
        assert_eq!(sent(100_000), 6);
    }

    #[test]
    fn rates_can_be_chosen() {
        let each = Rate { burst: 2, sustained: 4 };
        let (mut limiter, mut rng) = limiter(ErrorRates { each, ..ErrorRates::default() });
        let mut sent = |at| sent(&mut limiter, &mut rng, at);
        assert_eq!(sent(5_000), 2);
        assert_eq!(sent(5_249), 0);
        assert_eq!(sent(5_250), 1);
        assert_eq!(sent(6_000), 2);
    }

    #[test]
    fn none_is_none() {
        for each in [Rate { burst: 0, sustained: 9 }, Rate { burst: 9, sustained: 0 }] {
            let (mut limiter, mut rng) = limiter(ErrorRates { each, ..ErrorRates::default() });
            assert_eq!(sent(&mut limiter, &mut rng, 5_000), 0);
        }
    }

    #[test]
    fn the_largest_numbers_do_no_harm() {
        let each = Rate { burst: u32::MAX, sustained: u32::MAX };
        let (mut limiter, mut rng) = limiter(ErrorRates { each, all: each, ports: true });
        assert_eq!(sent(&mut limiter, &mut rng, 5_000), 20);
        let each = Rate { burst: u32::MAX, sustained: 1 };
        let (mut limiter, mut rng) = self::limiter(ErrorRates { each, all: each, ports: true });
        assert_eq!(sent(&mut limiter, &mut rng, 5_000), 20);
    }

    /// Row D5: the global limit cannot be counted from outside.
    #[test]
    fn all_together_are_limited_to_a_number_that_varies() {
        let (mut limiter, mut rng) = limiter(ErrorRates::default());
        let burst = |limiter: &mut Limiter, rng: &mut Rng, second: u64| {
            (0..1_000u32)
                .filter(|&host| {
                    let to = IpAddr::from((0x0a00_0000 + host).to_be_bytes());
                    limiter.allow(Instant::from_millis(second * 100_000), rng, to)
                })
                .count()
        };
        let counts: Vec<_> = (1..20).map(|second| burst(&mut limiter, &mut rng, second)).collect();
        assert!(counts.iter().all(|count| (10..=50).contains(count)), "{counts:?}");
        assert!(counts.iter().any(|count| *count != counts[0]), "{counts:?}");
    }
}
