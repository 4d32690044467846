//! The retransmission timeout, from round-trip times (RFC 6298).
//!
//! A sample comes from a segment that was sent once and is now acknowledged (Karn: never from one that was sent twice,
//! unless a timestamp tells which of the two was answered). A back-off lasts until there is a sample.
//! The variance term has Linux's floor: a path with a steady round trip does not earn a timeout so tight that the
//! peer's delayed acknowledgement (40 ms there, up to 500 ms by the standard) looks like loss.

use sockeye_device::Instant;
use std::time::Duration;

/// Before the first sample (RFC 6298, 2.1).
const INITIAL_RTO: Duration = Duration::from_secs(1);
/// What a timeout is above the round trip at least. The standard's floor is one second; every large stack has had 200 ms for decades, and so have we.
pub const MIN_RTO: Duration = Duration::from_millis(200);
/// (2.5) An upper bound of at least 60 seconds; Linux has 120.
pub const MAX_RTO: Duration = Duration::from_secs(120);

/// Smoothed round-trip time, its variation, and the timeout that follows; in nanoseconds, which every acknowledgement
/// reckons with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RttEstimator {
    smoothed: Option<u64>,
    variation: u64,
    least: u64,
    rto: u64,
    backoff: u32,
}

impl Default for RttEstimator {
    fn default() -> Self {
        RttEstimator { smoothed: None, variation: 0, least: u64::MAX, rto: nanos(INITIAL_RTO), backoff: 0 }
    }
}

impl RttEstimator {
    /// Takes a sample: a segment sent once was acknowledged `rtt` after it left.
    pub(crate) fn sample(&mut self, rtt: Duration) {
        self.sample_nanos(nanos(rtt.min(MAX_RTO)));
    }

    /// The same in nanoseconds.
    #[inline]
    pub(crate) fn sample_nanos(&mut self, rtt: u64) {
        let rtt = rtt.min(nanos(MAX_RTO));
        self.least = self.least.min(rtt);
        let smoothed = match self.smoothed {
            None => {
                self.variation = rtt / 2;
                rtt
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
                (smoothed * 7 + rtt) / 8
            }
        };
        self.smoothed = Some(smoothed);
        self.rto = (smoothed + (self.variation * 4).max(nanos(MIN_RTO))).min(nanos(MAX_RTO));
        self.backoff = 0;
    }

    /// The timeout to arm now.
    pub(crate) fn rto(&self) -> Duration {
        Duration::from_nanos(self.timeout())
    }

    /// When it fires for what is sent now.
    #[inline]
    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        Instant::from_nanos(now.as_nanos().saturating_add(self.timeout()))
    }

    #[inline]
    fn timeout(&self) -> u64 {
        (self.rto << self.backoff.min(16)).min(nanos(MAX_RTO))
    }

    /// The timer fired: twice as long the next time (5.5).
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// The SYN was sent more than once: RFC 6298 5.7, three seconds until there is a sample.
    pub(crate) fn syn_was_lost(&mut self) {
        self.backoff = 0;
        if self.smoothed.is_none() {
            self.rto = nanos(Duration::from_secs(3));
        }
    }

    /// The smoothed round-trip time, when there was a sample.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed.map(Duration::from_nanos)
    }

    /// The variation of the round-trip time.
    pub(crate) fn variation(&self) -> Duration {
        Duration::from_nanos(self.variation)
    }

    /// The shortest round trip seen.
    pub(crate) fn least(&self) -> Option<Duration> {
        (self.least != u64::MAX).then_some(Duration::from_nanos(self.least))
    }
}

/// Nanoseconds of something short: a round trip, a timeout.
const fn nanos(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000_000 + duration.subsec_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_sample_sets_both_terms() {
        let mut rtt = RttEstimator::default();
        assert_eq!(rtt.rto(), ms(1_000));
        rtt.sample(ms(400));
        assert_eq!((rtt.smoothed(), rtt.variation(), rtt.rto()), (Some(ms(400)), ms(200), ms(1_200)));
    }

    #[test]
    fn a_steady_path_keeps_the_floor_on_top_of_the_round_trip() {
        let mut rtt = RttEstimator::default();
        (0..200).for_each(|_| rtt.sample(ms(100)));
        assert_eq!(rtt.rto(), ms(300));
    }

    #[test]
    fn backing_off_doubles_up_to_the_bound_and_ends_with_a_sample() {
        let mut rtt = RttEstimator::default();
        rtt.back_off();
        assert_eq!(rtt.rto(), ms(2_000));
        (0..40).for_each(|_| rtt.back_off());
        assert_eq!(rtt.rto(), MAX_RTO);
        rtt.sample(ms(1));
        assert_eq!(rtt.rto(), ms(201));
    }

    #[test]
    fn a_lost_syn_costs_three_seconds_until_a_sample() {
        let mut rtt = RttEstimator::default();
        rtt.back_off();
        rtt.syn_was_lost();
        assert_eq!(rtt.rto(), ms(3_000));
    }
}
