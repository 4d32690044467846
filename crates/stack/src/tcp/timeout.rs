//! A timer fires: what was not answered is sent again, asked about, or given up.

use super::connection::{Connection, Fate};
use super::timers::Timer;
use super::{Error, State};
use crate::buffer::Pool;
use crate::counters::Counters;
use crate::ip::Ip;
use sockeye_device::Instant;
use std::time::Duration;

/// RFC 9293 3.8.3: R1, after which the network layer is told to doubt the path (SHLD-10).
const R1: u8 = 3;
/// R2 as Linux counts it: 15 timeouts, about 15 minutes (SHLD-11: at least 100 s).
const R2: u8 = 15;
/// An orphan is not worth 15 minutes.
const R2_ORPHAN: u8 = 8;
/// A peer that was heard from within this time is not gone.
const ALIVE: Duration = Duration::from_secs(600);
/// R2 of a SYN (MUST-23).
const SYN_R2: Duration = Duration::from_secs(180);

impl Connection {
    /// A timer of this connection has fired.
    pub(crate) fn handle_timer(&mut self, now: Instant, timer: Timer, ip: &mut Ip, pool: &mut Pool) {
        let counters = &mut ip.counters;
        match timer {
            Timer::DelayedAck => {
                counters.tcp_delayed_acks += 1;
                // The program did not answer in time: it reads, it does not converse.
                self.receiver.interactive = false;
                self.ack_now();
            }
            Timer::Retransmit => self.handle_retransmission_timer(now, ip, pool),
            Timer::Persist => self.handle_persist_timer(now, pool, counters),
            Timer::Keepalive => self.handle_keepalive_timer(now, pool, counters),
            Timer::FinWait => self.fate = Fate::Gone,
            Timer::DeferAccept => self.notify = true,
        }
    }

    fn handle_retransmission_timer(&mut self, now: Instant, ip: &mut Ip, pool: &mut Pool) {
        ip.counters.tcp_timeouts += 1;
        self.sender.retries = self.sender.retries.saturating_add(1);
        let silent = self.sender.silent_since.map_or(Duration::ZERO, |since| now.since(since));
        let opening = matches!(self.state, State::SynSent | State::SynReceived);
        let given_up = match (opening, self.options.user_timeout) {
            (_, Some(limit)) => silent >= limit,
            (true, None) => match self.options.syn_retries {
                Some(most) => self.sender.retries > most,
                None => silent >= SYN_R2,
            },
            (false, None) if self.orphan => self.sender.retries > R2_ORPHAN,
            // MUST-37: a peer that answers with a closed window is not gone, even if what it closed it over is in flight.
            (false, None) if self.sender.window == 0 && now.since(self.receiver.last_heard) < ALIVE => false,
            (false, None) => self.sender.retries > R2,
        };
        if given_up {
            ip.counters.tcp_given_up += 1;
            self.finish(Some(self.soft_error.unwrap_or(Error::TimedOut)), pool);
            return;
        }
        if self.sender.retries == R1 {
            // MUST-20: the next hop may be dead.
            self.path.doubt(now, ip);
        }
        if opening {
            self.sender.rtt.back_off();
            self.syn_pending = true;
            self.wants_transmit = true;
        } else if self.sender.board.outstanding() > 0 {
            self.retransmission_timeout();
        }
    }

    fn handle_persist_timer(&mut self, now: Instant, pool: &mut Pool, counters: &mut Counters) {
        let silent = now.since(self.receiver.last_heard);
        let limit = match self.options.user_timeout {
            Some(limit) => Some(limit),
            // MUST-37: a window may stay closed for ever, as long as the peer answers. An orphan has nobody to wait for.
            None if self.orphan => Some(Duration::from_secs(100)),
            None => None,
        };
        if limit.is_some_and(|limit| silent >= limit) && self.sender.probes > 0
            || self.sender.probes >= R2 && silent > ALIVE
            || self.orphan && self.sender.probes >= R2_ORPHAN
        {
            counters.tcp_given_up += 1;
            self.finish(Some(Error::TimedOut), pool);
            return;
        }
        if self.sender.window > 0 {
            // Nagle, a cork or a silly window has held it back long enough.
            self.sender.push_now = true;
        } else {
            self.sender.probes = self.sender.probes.saturating_add(1);
            counters.tcp_window_probes += 1;
            self.probe_pending = true;
        }
        self.wants_transmit = true;
    }

    fn handle_keepalive_timer(&mut self, now: Instant, pool: &mut Pool, counters: &mut Counters) {
        let silent = now.since(self.receiver.last_heard);
        if !self.options.keepalive {
            return;
        }
        if silent < self.options.keep_idle || self.sender.board.outstanding() > 0 {
            // MUST-26: only in silence; data in flight has a timer of its own.
            self.keep_probes = 0;
            self.timers.set(
                Timer::Keepalive,
                (self.receiver.last_heard + self.options.keep_idle).max(now + Duration::from_secs(1)),
            );
            return;
        }
        let given_up = match self.options.user_timeout {
            Some(limit) => silent >= limit && self.keep_probes > 0,
            // MUST-29: one lost answer does not end it.
            None => self.keep_probes >= self.options.keep_count,
        };
        if given_up {
            counters.tcp_given_up += 1;
            self.finish(Some(self.soft_error.unwrap_or(Error::TimedOut)), pool);
            return;
        }
        counters.tcp_keepalives += 1;
        self.keep_probes += 1;
        self.probe_pending = true;
        self.wants_transmit = true;
        self.timers.set(Timer::Keepalive, now + self.options.keep_interval);
    }
}
