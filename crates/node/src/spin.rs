//! Whether to look once more, or to sleep.
//!
//! To be woken up costs a processor tens of microseconds: it has to leave its idle state first. What a host waits for often
//! comes within that: a peer's answer, a program's next request. So a wait looks for a while before it sleeps, if that is
//! likely to pay: it did for the last wait. Each time that it did not, some waits do not look at all, after each further
//! failure more of them, up to 63. A wait that ended within the limit asleep would have ended sooner awake, and is
//! as good a reason to look next time.
//!
//! So a host that is asked again and again hardly ever sleeps, one for which something comes now and then wastes the limit at one
//! wait of many, and one for which nothing comes sleeps.

use std::time::Duration;

/// Waits without looking after many failures.
const MOST: u32 = 63;

/// What was learnt from the waits that were.
#[derive(Debug, Default)]
pub struct Spin {
    limit: Duration,
    /// Waits that are not to look, from now on.
    skip: u32,
    /// How many they were the last time.
    penalty: u32,
}

impl Spin {
    /// Looks for at most so long; zero: never.
    pub fn new(limit: Duration) -> Self {
        Spin { limit, skip: 0, penalty: 0 }
    }

    /// How long the wait that begins now shall look.
    pub fn begin(&mut self) -> Duration {
        if self.skip == 0 {
            return self.limit;
        }
        self.skip -= 1;
        Duration::ZERO
    }

    /// The wait is over: how long it was allowed to look, and how long it took.
    pub fn end(&mut self, allowed: Duration, waited: Duration) {
        if waited <= self.limit {
            (self.skip, self.penalty) = (0, 0);
        } else if !allowed.is_zero() {
            self.penalty = (2 * self.penalty + 1).min(MOST);
            self.skip = self.penalty;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(100);

    /// Waits that each take as long; how many of them looked.
    fn looks(spin: &mut Spin, waits: usize, waited: Duration) -> usize {
        (0..waits)
            .filter(|_| {
                let allowed = spin.begin();
                spin.end(allowed, waited);
                !allowed.is_zero()
            })
            .count()
    }

    #[test]
    fn who_is_answered_at_once_goes_on_looking() {
        assert_eq!(looks(&mut Spin::new(LIMIT), 100, LIMIT / 3), 100);
    }

    #[test]
    fn who_waits_in_vain_hardly_looks() {
        let mut spin = Spin::new(LIMIT);
        assert!(looks(&mut spin, 1_000, 10 * LIMIT) < 30);
        assert!(looks(&mut spin, 1_000, LIMIT) >= 999, "what came soon to a sleeper would have come sooner");
    }

    #[test]
    fn one_failure_costs_one_sleep() {
        let mut spin = Spin::new(LIMIT);
        assert_eq!(looks(&mut spin, 1, 10 * LIMIT), 1);
        assert_eq!(looks(&mut spin, 3, LIMIT / 3), 2);
    }

    #[test]
    fn a_limit_of_nothing_never_looks() {
        let mut spin = Spin::new(Duration::ZERO);
        assert_eq!(looks(&mut spin, 100, LIMIT), 0);
    }
}
