//! One enum of timers and one table of deadlines for each connection.
//!
//! Setting and clearing a deadline is a store. The host's wheel holds at most one entry for a connection, for the
//! earliest deadline that it has had; when that fires, the connection looks at its table. So the retransmission timer,
//! which every acknowledgement pushes back, costs the wheel nothing until it is about to fire.

use crate::wheel::TimerId;
use sockeye_device::Instant;

/// What a connection may be waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// RFC 6298: data, SYN or FIN is outstanding.
    Retransmit,
    /// The peer's window is closed, or too small to use (RFC 9293, 3.8.6.1).
    Persist,
    /// An acknowledgement is owed (3.8.6.3).
    DelayedAck,
    /// Silence (3.8.4).
    Keepalive,
    /// An orphan in FIN-WAIT-2 waits no longer.
    FinWait,
    /// `TCP_DEFER_ACCEPT`: the connection is offered without data.
    DeferAccept,
}

const COUNT: usize = 6;
const ALL: [Timer; COUNT] =
    [Timer::Retransmit, Timer::Persist, Timer::DelayedAck, Timer::Keepalive, Timer::FinWait, Timer::DeferAccept];

/// The deadlines of one connection, and its entry in the wheel.
#[derive(Debug)]
pub(crate) struct Timers {
    deadlines: [Instant; COUNT],
    /// The entry in the host's wheel, and when it fires.
    armed: Option<(TimerId, Instant)>,
    /// A deadline may be earlier than that.
    sooner: bool,
}

impl Default for Timers {
    fn default() -> Self {
        Timers { deadlines: [Instant::FAR_FUTURE; COUNT], armed: None, sooner: false }
    }
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Instant) {
        self.deadlines[timer as usize] = deadline;
        self.sooner |= self.armed.is_none_or(|(_, armed)| deadline < armed);
    }

    pub(crate) fn clear(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = Instant::FAR_FUTURE;
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.deadlines[timer as usize] != Instant::FAR_FUTURE
    }

    /// A timer whose deadline has passed; it is cleared by this.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Timer> {
        let timer = ALL.into_iter().find(|&timer| self.deadlines[timer as usize] <= now)?;
        self.clear(timer);
        Some(timer)
    }

    /// False when the wheel knows all that it has to.
    #[inline]
    pub(crate) fn may_need_arming(&self) -> bool {
        self.sooner
    }

    /// The deadline that the wheel has to know now, with the entry that it has instead.
    pub(crate) fn take_arming(&mut self) -> Option<(Option<TimerId>, Instant)> {
        if !std::mem::take(&mut self.sooner) {
            return None;
        }
        let (_, deadline) = self.next()?;
        match self.armed {
            // Later than what is armed: it will look again when that fires.
            Some((_, armed)) if armed <= deadline => None,
            armed => Some((armed.map(|(id, _)| id), deadline)),
        }
    }

    /// The wheel has this entry for the connection from now on.
    pub(crate) fn note_armed(&mut self, id: TimerId, deadline: Instant) {
        self.armed = Some((id, deadline));
    }

    /// The wheel's entry has fired: it has none now.
    pub(crate) fn note_fired(&mut self) {
        self.armed = None;
        self.sooner = true;
    }

    /// Forgets everything; the wheel's entry is to be cancelled.
    pub(crate) fn take_armed(&mut self) -> Option<TimerId> {
        std::mem::take(self).armed.map(|(id, _)| id)
    }

    /// The earliest deadline, with its timer.
    pub(crate) fn next(&self) -> Option<(Timer, Instant)> {
        let first = ALL.into_iter().min_by_key(|&timer| self.deadlines[timer as usize])?;
        self.is_set(first).then_some((first, self.deadlines[first as usize]))
    }
}
