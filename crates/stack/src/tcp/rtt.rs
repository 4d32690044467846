//! The retransmission timeout, from round-trip times (RFC 6298).
//!
//! A sample comes from a segment that was sent once and is now acknowledged (Karn: never from one that was sent twice,
//! unless a timestamp tells which of the two was answered). A back-off lasts until there is a sample.
//! The variance term has Linux's floor: a path with a steady round trip does not earn a timeout so tight that the
//! peer's delayed acknowledgement (40 ms there, up to 500 ms by the standard) looks like loss.

use std::time::Duration;

/// Before the first sample (RFC 6298, 2.1).
const INITIAL_RTO: Duration = Duration::from_secs(1);
/// The standard's floor is one second; every large stack has had 200 ms for decades, and so have we.
pub(crate) const MIN_RTO: Duration = Duration::from_millis(200);
/// (2.5) An upper bound of at least 60 seconds; Linux has 120.
pub(crate) const MAX_RTO: Duration = Duration::from_secs(120);

/// Smoothed round-trip time, its variation, and the timeout that follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RttEstimator {
    smoothed: Option<Duration>,
    variation: Duration,
    least: Duration,
    rto: Duration,
    backoff: u32,
}

impl Default for RttEstimator {
    fn default() -> Self {
        RttEstimator { smoothed: None, variation: Duration::ZERO, least: Duration::MAX, rto: INITIAL_RTO, backoff: 0 }
    }
}

impl RttEstimator {
    /// Takes a sample: a segment sent once was acknowledged `rtt` after it left.
    pub(crate) fn sample(&mut self, rtt: Duration) {
        self.least = self.least.min(rtt);
        match self.smoothed {
            None => {
                self.smoothed = Some(rtt);
                self.variation = rtt / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
                self.smoothed = Some((smoothed * 7 + rtt) / 8);
            }
        }
        let smoothed = self.smoothed.unwrap_or(rtt);
        self.rto = (smoothed + (self.variation * 4).max(MIN_RTO)).min(MAX_RTO);
        self.backoff = 0;
    }

    /// The timeout to arm now.
    pub(crate) fn rto(&self) -> Duration {
        self.rto.saturating_mul(1 << self.backoff.min(16)).min(MAX_RTO)
    }

    /// The timer fired: twice as long the next time (5.5).
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// The SYN was sent more than once: RFC 6298 5.7, three seconds until there is a sample.
    pub(crate) fn syn_was_lost(&mut self) {
        self.backoff = 0;
        if self.smoothed.is_none() {
            self.rto = Duration::from_secs(3);
        }
    }

    /// The smoothed round-trip time, when there was a sample.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The variation of the round-trip time.
    pub(crate) fn variation(&self) -> Duration {
        self.variation
    }

    /// The shortest round trip seen.
    pub(crate) fn least(&self) -> Option<Duration> {
        (self.least != Duration::MAX).then_some(self.least)
    }
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
