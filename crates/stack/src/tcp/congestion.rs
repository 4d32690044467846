//! Congestion control: events in, window out.
//!
//! It knows bytes and moments, not sequence numbers; which segment was lost is [`recovery`](super::recovery)'s affair.
//! The window is counted in bytes, and what an acknowledgement is worth is what it acknowledges (appropriate byte
//! counting, RFC 3465), so a peer that splits its acknowledgements gains nothing.
//!
//! [`NewReno`] follows RFC 5681 and RFC 6582, with the initial window of RFC 6928.

use std::time::Duration;

/// What a congestion controller is told of an acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acked {
    /// Bytes newly acknowledged.
    pub(crate) bytes: u32,
    /// The window, not the peer or the program, was what limited us (RFC 7661 in short): else it must not grow.
    pub(crate) window_limited: bool,
}

/// Events in, window out.
pub(crate) trait CongestionControl {
    /// The name, as `TCP_CONGESTION` has it.
    fn name(&self) -> &'static str;
    /// How many bytes may be in flight.
    fn window(&self) -> u32;
    /// Below it the window grows by slow start.
    fn slow_start_threshold(&self) -> u32;
    /// New data was acknowledged outside of recovery.
    fn on_ack(&mut self, acked: Acked);
    /// Loss was noticed by acknowledgements: once for each window of data.
    fn on_loss(&mut self, in_flight: u32);
    /// The retransmission timer fired.
    fn on_timeout(&mut self, in_flight: u32);
    /// Recovery has ended: `in_flight` bytes are out.
    fn on_recovered(&mut self, in_flight: u32);
    /// Nothing was sent for longer than a retransmission timeout.
    fn on_idle(&mut self, idle: Duration, rto: Duration);
    /// The path's segment size has changed.
    fn set_segment_size(&mut self, size: u32);
}

/// Ten segments, at most 14,600 bytes unless a segment is larger (RFC 6928).
fn initial_window(segment_size: u32) -> u32 {
    (10 * segment_size).min((2 * segment_size).max(14_600))
}

/// RFC 5681 with RFC 6582's recovery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewReno {
    segment_size: u32,
    window: u32,
    threshold: u32,
    /// Bytes acknowledged in congestion avoidance that have not yet made a segment's worth of growth.
    credit: u32,
}

impl NewReno {
    pub(crate) fn new(segment_size: u32) -> Self {
        NewReno { segment_size, window: initial_window(segment_size), threshold: u32::MAX, credit: 0 }
    }

    /// A SYN was lost on the way here: one segment to begin with (RFC 5681, 3.1).
    pub(crate) fn begin_with_one_segment(&mut self) {
        self.window = self.segment_size;
    }

    fn halve(&mut self, in_flight: u32) {
        // (4) of RFC 5681: half of what is in flight, not of the window.
        self.threshold = (in_flight / 2).max(2 * self.segment_size);
        self.credit = 0;
    }
}

impl CongestionControl for NewReno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn window(&self) -> u32 {
        self.window
    }

    fn slow_start_threshold(&self) -> u32 {
        self.threshold
    }

    fn on_ack(&mut self, acked: Acked) {
        if !acked.window_limited {
            return;
        }
        let mut bytes = acked.bytes;
        if self.window < self.threshold {
            let growth = bytes.min(self.threshold - self.window);
            self.window = self.window.saturating_add(growth);
            bytes -= growth;
        }
        self.credit = self.credit.saturating_add(bytes);
        while self.credit >= self.window {
            self.credit -= self.window;
            self.window = self.window.saturating_add(self.segment_size);
        }
    }

    fn on_loss(&mut self, in_flight: u32) {
        self.halve(in_flight);
        self.window = self.threshold;
    }

    fn on_timeout(&mut self, in_flight: u32) {
        self.halve(in_flight);
        self.window = self.segment_size;
    }

    fn on_recovered(&mut self, in_flight: u32) {
        // RFC 6582 3.2, step 3, option 1: no burst, even when little is left in flight.
        self.window = self.threshold.min(in_flight.max(self.segment_size) + self.segment_size);
    }

    fn on_idle(&mut self, idle: Duration, rto: Duration) {
        // RFC 5681 4.1: the restart window.
        if idle > rto {
            self.window = self.window.min(initial_window(self.segment_size));
            self.credit = 0;
        }
    }

    fn set_segment_size(&mut self, size: u32) {
        self.segment_size = size;
        self.window = self.window.max(size);
        self.threshold = self.threshold.max(2 * size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    fn ack(reno: &mut NewReno, bytes: u32) {
        reno.on_ack(Acked { bytes, window_limited: true });
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_a_segment_a_window() {
        let mut reno = NewReno::new(MSS);
        assert_eq!(reno.window(), 10 * MSS);
        ack(&mut reno, 10 * MSS);
        assert_eq!(reno.window(), 20 * MSS);
        reno.on_loss(20 * MSS);
        assert_eq!((reno.window(), reno.slow_start_threshold()), (10 * MSS, 10 * MSS));
        (0..10).for_each(|_| ack(&mut reno, MSS));
        assert_eq!(reno.window(), 11 * MSS);
    }

    #[test]
    fn divided_acknowledgements_gain_nothing() {
        let (mut whole, mut divided) = (NewReno::new(MSS), NewReno::new(MSS));
        ack(&mut whole, MSS);
        (0..MSS).for_each(|_| ack(&mut divided, 1));
        assert_eq!(whole.window(), divided.window());
    }

    #[test]
    fn a_window_that_was_not_the_limit_does_not_grow() {
        let mut reno = NewReno::new(MSS);
        reno.on_ack(Acked { bytes: 5 * MSS, window_limited: false });
        assert_eq!(reno.window(), 10 * MSS);
    }

    #[test]
    fn a_timeout_leaves_one_segment_and_a_long_idle_the_initial_window() {
        let mut reno = NewReno::new(MSS);
        ack(&mut reno, 90 * MSS);
        reno.on_idle(Duration::from_secs(9), Duration::from_secs(1));
        assert_eq!(reno.window(), 10 * MSS);
        reno.on_timeout(10 * MSS);
        assert_eq!((reno.window(), reno.slow_start_threshold()), (MSS, 5 * MSS));
    }

    #[test]
    fn a_segment_always_fits_the_window_even_one_that_has_grown() {
        let mut reno = NewReno::new(500);
        reno.on_loss(1_000);
        reno.set_segment_size(9_000);
        reno.on_recovered(0);
        assert!(reno.window() >= 9_000);
    }
}
