//! What an acknowledgement means: progress, a sign of loss, or nothing.
//!
//! With SACK the scoreboard tells what is lost (RFC 6675: more than two segments' worth was received above it). Without,
//! each duplicate acknowledgement stands for one segment that has left the network, and the third says that the first
//! outstanding segment is lost; a partial acknowledgement says it of the next (RFC 6582). Either way the in-flight
//! estimate shrinks with each sign, and what the window then allows is sent: retransmissions first, new data after,
//! which makes limited transmit (RFC 3042) and the inflation of the window no special cases.

use super::congestion::{Acked, CongestionControl};
use super::connection::Connection;
use super::input::Arrival;
use super::rtt::MAX_RTO;
use super::timers::Timer;
use crate::counters::Counters;
use sockeye_device::Instant;
use sockeye_wire::tcp::Flags;
use std::time::Duration;

/// Duplicate acknowledgements, or segments received above a gap, that say the gap is loss and not reordering.
const DUPLICATE_THRESHOLD: u32 = 3;

/// Where a connection stands between losing and having recovered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Open,
    /// Loss was noticed by acknowledgements; ends when everything sent until then is acknowledged.
    FastRecovery { until: u64 },
    /// The timer fired; likewise.
    Timeout { until: u64 },
}

/// The state of loss recovery.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) phase: Phase,
    duplicates: u32,
}

impl Recovery {
    /// Duplicate acknowledgements since the last progress.
    pub(crate) fn duplicates(&self) -> u32 {
        self.duplicates
    }
}

impl Connection {
    /// Bytes thought to be in the network.
    pub(crate) fn in_flight(&self) -> u64 {
        let flight = self.sender.board.in_flight();
        if self.negotiated.sack {
            return flight;
        }
        flight.saturating_sub(u64::from(self.sender.recovery.duplicates) * u64::from(self.sender.segment_size))
    }

    /// Takes the acknowledgement of a segment whose ACK field, `to` as an offset, lies in `una..=nxt`.
    pub(crate) fn handle_ack(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        to: u64,
        window_changed: bool,
        counters: &mut Counters,
    ) {
        let una = self.sender.board.una();
        let sack = self.negotiated.sack && !arrival.options.sack.as_slice().is_empty();
        let newly_sacked = if sack { self.take_sack_blocks(arrival) } else { 0 };
        if to > una {
            self.progress(now, arrival, to);
        } else if self.sender.board.outstanding() > 0
            && arrival.payload.is_empty()
            && !arrival.flags.contains(Flags::SYN)
            && !arrival.flags.contains(Flags::FIN)
            && (newly_sacked > 0 || (!window_changed && !self.negotiated.sack))
        {
            self.sender.recovery.duplicates = self.sender.recovery.duplicates.saturating_add(1);
            self.wants_transmit = true;
        }
        if self.sender.board.outstanding() > 0 {
            self.look_for_loss(newly_sacked > 0, counters);
        }
    }

    #[inline(never)]
    fn take_sack_blocks(&mut self, arrival: &Arrival) -> u64 {
        let (una, nxt) = (self.sender.board.una(), self.sender.board.nxt());
        let una_seq = self.send_seq(una);
        let mut news = 0;
        for &(left, right) in arrival.options.sack.as_slice() {
            // Both edges in what is outstanding; a block below it reports a duplicate (RFC 2883).
            let (start, end) = (left - una_seq, right - una_seq);
            if start >= 0 && end > start && una + end as u64 <= nxt {
                news += self.sender.board.sack(una + start as u64, una + end as u64);
            }
        }
        news
    }

    fn progress(&mut self, now: Instant, arrival: &Arrival, to: u64) {
        let in_flight_before = self.in_flight();
        let cumulative = self.sender.board.acknowledge(to);
        self.wants_transmit = true;
        self.path.heard();
        self.sender.retries = 0;
        self.sender.probes = 0;
        // Without a sample the back-off stays (Karn): a path that has become slower than the timeout would otherwise be
        // taken for one that loses, segment after segment.
        if let Some(sent_at) = cumulative.sent_at {
            self.sender.rtt.sample_nanos(now.as_nanos().saturating_sub(sent_at.as_nanos()));
        } else if let Some(rtt) = self.echoed_rtt(now, arrival) {
            self.sender.rtt.sample(rtt);
        }
        if self.sender.urgent.is_some_and(|urgent| urgent <= to) {
            self.sender.urgent = None;
        }

        let acked = Acked {
            bytes: cumulative.bytes.min(u64::from(u32::MAX)) as u32,
            window_limited: self.sender.window_limited,
        };
        match self.sender.recovery.phase {
            Phase::Open => {
                self.sender.recovery.duplicates = 0;
                self.sender.congestion.on_ack(acked);
            }
            Phase::FastRecovery { until } if to < until => {
                // (RFC 6582, step 3, partial acknowledgement.) The segments that filled the gap had been counted as
                // duplicates.
                let segments = (cumulative.bytes / u64::from(self.sender.segment_size)) as u32;
                let recovery = &mut self.sender.recovery;
                recovery.duplicates = recovery.duplicates.saturating_sub(segments.saturating_sub(1));
                if !self.negotiated.sack {
                    self.sender.board.lose_head(u64::from(self.sender.segment_size));
                    self.sender.retransmit_now = true;
                }
            }
            Phase::FastRecovery { .. } => {
                self.sender.recovery = Recovery::default();
                self.sender.congestion.on_recovered(in_flight_before.min(u64::from(u32::MAX)) as u32);
            }
            Phase::Timeout { until } => {
                self.sender.recovery.duplicates = 0;
                self.sender.congestion.on_ack(Acked { window_limited: true, ..acked });
                if to >= until {
                    self.sender.recovery = Recovery::default();
                }
            }
        }

        if self.sender.board.outstanding() > 0 {
            self.sender.silent_since = Some(now);
            self.timers.set(Timer::Retransmit, self.sender.rtt.deadline(now));
        } else {
            self.sender.silent_since = None;
            self.timers.clear(Timer::Retransmit);
        }
    }

    /// The round trip of what an acknowledgement of new data answers, also if that was sent twice (RFC 7323, 4.1).
    fn echoed_rtt(&self, now: Instant, arrival: &Arrival) -> Option<Duration> {
        let stamps = arrival.options.timestamps.filter(|_| self.negotiated.timestamps)?;
        let rtt = Duration::from_millis(self.timestamp(now).wrapping_sub(stamps.echo).into());
        (rtt <= MAX_RTO).then_some(rtt)
    }

    #[inline(never)]
    fn look_for_loss(&mut self, sack_news: bool, counters: &mut Counters) {
        let segment = u64::from(self.sender.segment_size);
        let lost = sack_news && self.sender.board.lose_below_sacked(u64::from(DUPLICATE_THRESHOLD - 1) * segment);
        if self.sender.recovery.phase != Phase::Open {
            return;
        }
        if !lost && self.sender.recovery.duplicates < DUPLICATE_THRESHOLD {
            return;
        }
        if !lost {
            self.sender.board.lose_head(segment);
        }
        let outstanding = self.sender.board.outstanding().min(u64::from(u32::MAX)) as u32;
        counters.tcp_fast_recoveries += 1;
        self.sender.congestion.on_loss(outstanding);
        self.sender.recovery.phase = Phase::FastRecovery { until: self.sender.board.nxt() };
        self.sender.retransmit_now = true;
        self.wants_transmit = true;
    }

    /// The retransmission timer fired with data outstanding (RFC 6298, 5.4 to 5.6; RFC 5681, 3.1).
    pub(crate) fn retransmission_timeout(&mut self) {
        let outstanding = self.sender.board.outstanding().min(u64::from(u32::MAX)) as u32;
        if self.sender.retries == 1 {
            self.sender.congestion.on_timeout(outstanding);
        }
        self.sender.board.lose_all();
        self.sender.recovery = Recovery { phase: Phase::Timeout { until: self.sender.board.nxt() }, duplicates: 0 };
        self.sender.retransmit_now = true;
        self.sender.rtt.back_off();
        self.wants_transmit = true;
    }
}
