//! How long to look before sleeping.
//!
//! A wake-up from sleep costs more than all that a node does with a small segment: the processor has to leave its idle state, or
//! another has to be told to. So a node that was woken shortly after it fell asleep looks for a while before it sleeps
//! again, and gives way to whoever wants the processor (sched_yield) between the looks: a program that shares the
//! node's processor runs at once, and the node finds what it wrote when that program waits.
//!
//! How long is learnt, as KVM learns to poll before it halts: it doubles with each wait that would have ended within [`MOST`],
//! and halves with each look in vain. A node that hears something once in a while does not look at all; one that hears nothing
//! sleeps. What is lost in vain is bounded by what was gained: about twice [`MOST`] for each burst.

use core::time::Duration;

/// The first look.
const FIRST: Duration = Duration::from_micros(8);
/// The longest look: some wake-ups' worth.
pub(crate) const MOST: Duration = Duration::from_micros(64);

/// Giving way took so long: somebody else has much to do here. Then it is better to sleep, for a wake-up is cheap on a processor that is awake.
pub(crate) const CONTENDED: Duration = Duration::from_micros(20);

/// How long to look before the next sleep.
#[derive(Debug, Default)]
pub(crate) struct BusyPoll {
    budget: Duration,
}

impl BusyPoll {
    /// Zero: sleep at once.
    pub(crate) fn budget(&self) -> Duration {
        self.budget
    }

    /// What was waited for came after so long.
    pub(crate) fn waited(&mut self, time: Duration) {
        if time <= self.budget {
            return;
        }
        self.budget = if time <= MOST {
            (self.budget * 2).clamp(FIRST, MOST)
        } else if self.budget > FIRST {
            self.budget / 2
        } else {
            Duration::ZERO
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_longer_while_waits_are_short() {
        let mut poll = BusyPoll::default();
        assert_eq!(poll.budget(), Duration::ZERO);
        for _ in 0..5 {
            poll.waited(Duration::from_micros(40));
        }
        assert_eq!(poll.budget(), MOST, "doubled until a wait of 40 us is within it");
        poll.waited(Duration::from_micros(3));
        assert_eq!(poll.budget(), MOST, "a look that succeeds changes nothing");
    }

    #[test]
    fn stops_looking_when_waits_are_long() {
        let mut poll = BusyPoll { budget: MOST };
        let mut lost = Duration::ZERO;
        for _ in 0..10 {
            lost += poll.budget();
            poll.waited(Duration::from_millis(1));
        }
        assert_eq!(poll.budget(), Duration::ZERO);
        assert!(lost <= MOST * 2, "lost {lost:?}");
    }
}
