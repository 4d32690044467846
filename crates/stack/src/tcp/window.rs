//! How far the peer may be ahead of the program: the receive window, sized by use.
//!
//! A window has to hold what can be under way in one round trip, and its double while the peer still speeds up. What is
//! larger than that helps nobody: it only makes the queue long, and each idle connection may be sent a megabyte. So a window begins
//! with [`INITIAL`] and grows, up to the socket's buffer, to twice what the program has taken in one *least* round trip.
//! The least one has no queues in it, ours included; with the current one a window would feed on the queue that it makes.
//!
//! Beside a path of microseconds it is the host itself that takes time: a batch is received, handed over and read before the window
//! opens again. So no round trip counts for less than [`TURN`]. A peer on the same machine that is held by the window sends only when our
//! acknowledgement lets it, in the interrupt of that, on our processor; one that is not held sends on its own.
//!
//! The program's reads are what is measured, not arrivals: a program that does not read needs no room. It is measured
//! over a round trip, or [`SPAN`] where that is shorter, since bytes come in bursts of a whole batch.
//!
//! A window never shrinks, except by what lies in it unread. A program that sets `SO_RCVBUF` gets that, from the start.
//!
//! After the idea of dynamic right-sizing (Fisk and Feng, 2001), which Linux follows with the smoothed round trip.

use std::time::Duration;

use sockeye_device::Instant;

/// What a window begins with: 4 Gbit/s over a round trip of one millisecond.
const INITIAL: usize = 512 * 1024;
/// What a host needs for a turn: to receive a batch of 64 super-frames, and to have it read.
const TURN: Duration = Duration::from_millis(1);
/// The shortest time worth measuring over.
const SPAN: Duration = Duration::from_millis(4);
/// Where no round trip was measured (a connection that came by a SYN cookie): a long one, on the safe side.
const UNKNOWN: Duration = Duration::from_millis(100);

/// The size of a window, and what it is worked out from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowSize {
    size: usize,
    /// Since when it has been measured.
    since: Instant,
    /// What the program had taken by then.
    taken: u64,
}

impl WindowSize {
    pub(crate) fn new(now: Instant) -> Self {
        WindowSize { size: INITIAL, since: now, taken: 0 }
    }

    /// Bytes, of at most `most`.
    pub(crate) fn get(&self, most: usize) -> usize {
        self.size.min(most)
    }

    /// The program has now taken `taken` bytes in all. `round_trip` is the least that was seen.
    pub(crate) fn take(&mut self, now: Instant, taken: u64, round_trip: Option<Duration>, most: usize) {
        let round_trip = round_trip.unwrap_or(UNKNOWN).max(TURN);
        let elapsed = now.since(self.since);
        if elapsed < round_trip.max(SPAN) {
            return;
        }
        let bytes = u128::from(taken.saturating_sub(self.taken));
        // `elapsed` is not zero, as it is not below SPAN.
        let needed = 2 * bytes * round_trip.as_nanos() / elapsed.as_nanos();
        self.size = self.size.max(usize::try_from(needed).unwrap_or(usize::MAX).min(most));
        (self.since, self.taken) = (now, taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 6 << 20;

    /// A program that takes `rate` bytes a second, in reads of a millisecond's worth, over a second.
    fn after_a_second(rate: u64, round_trip: Option<Duration>) -> usize {
        let start = Instant::from_millis(5_000);
        let mut window = WindowSize::new(start);
        for millis in 1..=1_000 {
            window.take(start + Duration::from_millis(millis), rate / 1_000 * millis, round_trip, MOST);
        }
        window.get(MOST)
    }

    #[test]
    fn a_short_round_trip_counts_as_a_turn() {
        let near = Some(Duration::from_micros(100));
        assert_eq!(after_a_second(200_000_000, near), INITIAL);
        let size = after_a_second(1_000_000_000, near);
        assert!((1_900_000..2_100_000).contains(&size), "{size}");
    }

    #[test]
    fn a_long_round_trip_gets_twice_what_is_under_way() {
        let size = after_a_second(20_000_000, Some(Duration::from_millis(100)));
        assert!((3_900_000..4_200_000).contains(&size), "{size}");
    }

    #[test]
    fn the_buffer_is_the_bound() {
        assert_eq!(after_a_second(1 << 30, Some(Duration::from_millis(100))), MOST);
        assert_eq!(after_a_second(1 << 30, None), MOST);
        assert_eq!(WindowSize::new(Instant::ZERO).get(1_000), 1_000);
    }

    #[test]
    fn a_program_that_reads_little_needs_little() {
        assert_eq!(after_a_second(10_000, Some(Duration::from_millis(200))), INITIAL);
    }

    #[test]
    fn a_window_does_not_shrink() {
        let start = Instant::from_millis(5_000);
        let mut window = WindowSize::new(start);
        window.take(start + Duration::from_secs(1), 1 << 24, Some(Duration::from_millis(500)), MOST);
        let size = window.get(MOST);
        assert!(size > INITIAL);
        window.take(start + Duration::from_secs(9), 1 << 24, Some(Duration::from_millis(500)), MOST);
        assert_eq!(window.get(MOST), size);
    }
}

// RFC 9293 section 3.8.6.2 (managing the window), RFC 7323 section 2 (why it must be able to be large).
