//! A segment arrives (RFC 9293, 3.10.7.3 and 3.10.7.4), for a connection that has a transmission control block.
//!
//! The order of the checks is the standard's: sequence number, RST, SYN, ACK, URG, text, FIN, with PAWS (RFC 7323, 5)
//! before the first and RFC 5961's answers to blind attacks in their places. What arrives changes the connection only;
//! what is to be sent because of it is noted, and sent when the host next transmits, so that a batch of segments is
//! answered once (MUST-58, MUST-59).

use super::connection::{AckNeed, Connection, Fate, Negotiated};
use super::timers::Timer;
use super::{Error, State};
use crate::buffer::Pool;
use crate::counters::{Counters, Drop};
use sockeye_device::{Instant, RxFrame};
use sockeye_wire::SeqNumber;
use sockeye_wire::tcp::{Flags, Options, Segment};
use std::ops::Range;
use std::time::Duration;

/// Segments out of the window are answered at most this often on a connection (the interval is Linux's), so that two
/// confused ends do not answer each other for ever, and what one connection sends tells nothing of another
/// (CVE-2016-5696).
const CHALLENGE_INTERVAL: Duration = Duration::from_millis(500);
/// After the peer has confused our SYN with an older connection: several ticks of the timestamps' clock, as on Linux.
const SYN_AGAIN: Duration = Duration::from_millis(4);
/// A timestamp older than this proves nothing (RFC 7323, 5.5).
const PAWS_IDLE: Duration = Duration::from_secs(24 * 24 * 3_600);
/// RFC 9293, MUST-40: below half a second; 40 ms, as Linux has it.
pub const ACK_DELAY: Duration = Duration::from_millis(40);

/// A segment, read.
pub(crate) struct Arrival {
    pub(crate) seq: SeqNumber,
    pub(crate) ack: SeqNumber,
    pub(crate) flags: Flags,
    /// As on the wire, unscaled.
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Options,
    /// Where the payload stands in the frame's buffer.
    pub(crate) payload: Range<usize>,
}

impl Arrival {
    /// Of a segment that stands at `place` in the frame's buffer.
    #[inline]
    pub(crate) fn new(segment: &Segment<'_>, place: &Range<usize>) -> Self {
        Arrival {
            seq: segment.seq(),
            ack: segment.ack(),
            flags: segment.flags(),
            window: segment.window(),
            urgent: segment.urgent(),
            options: Options::parse(segment.options_bytes()),
            payload: place.start + segment.header_len()..place.end,
        }
    }
}

/// What the host has to do for a segment besides what the connection notes for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    None,
    /// RFC 9293, 3.10.7.1: answer as if the connection did not exist.
    Reset,
    /// The connection is given up, and the peer is told by a RST.
    Abort,
}

impl Connection {
    /// Takes a segment.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        frame: &mut RxFrame,
        pool: &mut Pool,
        counters: &mut Counters,
    ) -> Reply {
        if self.state == State::SynSent {
            return self.handle_in_syn_sent(now, arrival, pool, counters);
        }
        let next = self.rcv_nxt() as i64;
        let mut start = next + i64::from(arrival.seq - self.receive_seq(next as u64));
        if arrival.flags.contains(Flags::SYN) {
            // A SYN stands before the first byte of its segment.
            start += 1;
        }
        let fin = arrival.flags.contains(Flags::FIN);
        let end = start + arrival.payload.len() as i64 + i64::from(fin);

        if !self.timestamp_is_current(now, arrival) {
            counters.drop(Drop::TcpPaws);
            self.challenge(now, counters);
            return Reply::None;
        }
        // The window is what the peer was told, right edge included: a probe of a closed window stands on it.
        let edge = self.receiver.edge.max(self.rcv_nxt()) as i64;
        if start > edge || end < next {
            return self.out_of_window(now, arrival, start, counters);
        }
        if end == next && end > start && !arrival.flags.contains(Flags::RST) {
            // All of it was here before: say so, and learn from its ACK field no more than from any old one.
            counters.tcp_duplicate_segments += 1;
            self.ack_now();
        }

        if arrival.flags.contains(Flags::RST) {
            return self.handle_reset(now, start == next, pool, counters);
        }
        if arrival.flags.contains(Flags::SYN) {
            // RFC 5961, 4.2. Also a repeated SYN of a simultaneous open, which this answers as it must be.
            self.challenge(now, counters);
            return Reply::None;
        }
        if !arrival.flags.contains(Flags::ACK) {
            counters.drop(Drop::TcpNoAck);
            return Reply::None;
        }
        self.receiver.last_heard = now;
        self.keep_probes = 0;
        self.soft_error = None;

        let una = self.sender.board.una();
        let to = una as i64 + i64::from(arrival.ack - self.send_seq(una));
        if self.state == State::SynReceived {
            if to != 0 {
                counters.drop(Drop::TcpBadAck);
                return Reply::Reset;
            }
            let negotiated = self.negotiated;
            self.establish(negotiated, now);
            self.set_window(arrival);
        }
        // RFC 5961, 5.2.
        if to > self.sender.board.nxt() as i64 || to < una as i64 - i64::from(self.sender.max_window) {
            counters.drop(Drop::TcpBadAck);
            self.challenge(now, counters);
            return Reply::None;
        }
        self.note_timestamp(now, arrival, start);
        if to >= una as i64 {
            let changed = self.update_window(arrival);
            self.handle_ack(now, arrival, to as u64, changed, counters);
            self.release_acknowledged(pool);
        }
        self.after_our_fin(now);

        self.take_urgent(arrival, start);
        if self.orphan && end > self.rcv_nxt() as i64 + i64::from(fin) && !self.receiver.finished {
            // RFC 9293, 3.6.1 (SHLD-3): the program is gone, and nobody will ever read this. Linux does the same.
            counters.drop(Drop::TcpNoReader);
            return Reply::Abort;
        }
        self.take_text(now, arrival, start, frame, pool, counters);
        if fin {
            self.take_fin(end - 1);
        }
        self.arrive_at_fin(pool);
        Reply::None
    }

    /// RFC 9293, 3.10.7.3.
    #[inline(never)]
    fn handle_in_syn_sent(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        pool: &mut Pool,
        counters: &mut Counters,
    ) -> Reply {
        let acknowledges = arrival.flags.contains(Flags::ACK);
        if acknowledges && arrival.ack != self.send_seq(0) {
            counters.drop(Drop::TcpBadAck);
            if arrival.flags.contains(Flags::RST) {
                return Reply::None;
            }
            // The peer remembers a connection of the same addresses (9293, 3.5.1: half open, or in TIME-WAIT). Our RST ends
            // it, or a timestamp that is newer by then: the SYN is worth another try at once, and not after a second.
            // Only once, as anybody can send such a segment.
            if self.sender.retries == 0 {
                self.timers.set(Timer::Retransmit, now + SYN_AGAIN);
            }
            return Reply::Reset;
        }
        if arrival.flags.contains(Flags::RST) {
            if acknowledges {
                counters.tcp_resets_received += 1;
                self.finish(Some(Error::Refused), pool);
            } else {
                counters.drop(Drop::TcpBlindReset);
            }
            return Reply::None;
        }
        if !arrival.flags.contains(Flags::SYN) {
            counters.drop(Drop::TcpNoSyn);
            return Reply::None;
        }
        let theirs = &arrival.options;
        let scaling = theirs.window_scale.is_some();
        let negotiated = Negotiated {
            peer_mss: theirs.mss.unwrap_or(self.path.default_mss()),
            send_scale: theirs.window_scale.unwrap_or(0).min(14),
            receive_scale: if scaling { self.negotiated.receive_scale } else { 0 },
            sack: theirs.sack_permitted && self.negotiated.sack,
            timestamps: theirs.timestamps.is_some() && self.negotiated.timestamps,
        };
        self.receiver.irs = arrival.seq;
        self.receiver.edge = u64::from(u16::MAX).min(self.options.receive_buffer as u64);
        if let Some(timestamps) = theirs.timestamps {
            self.receiver.ts_recent = timestamps.value;
            self.receiver.ts_recent_at = now;
        }
        if acknowledges {
            let syn_was_lost = self.sender.retries > 0;
            if syn_was_lost {
                self.sender.rtt.syn_was_lost();
            } else {
                self.sender.rtt.sample(now.since(self.sender.last_sent));
            }
            self.establish(negotiated, now);
            if syn_was_lost {
                self.sender.congestion.begin_with_one_segment();
            }
            self.set_window(arrival);
            self.ack_now();
        } else {
            // Simultaneous open (MUST-10).
            self.negotiated = negotiated;
            self.state = State::SynReceived;
            self.syn_pending = true;
            self.wants_transmit = true;
            self.set_window(arrival);
        }
        Reply::None
    }

    fn timestamp_is_current(&self, now: Instant, arrival: &Arrival) -> bool {
        if !self.negotiated.timestamps || arrival.flags.contains(Flags::RST) {
            return true;
        }
        match arrival.options.timestamps {
            // RFC 7323, 3.2: once agreed, every segment but a RST bears one.
            None => false,
            Some(timestamps) => {
                timestamps.value.wrapping_sub(self.receiver.ts_recent) as i32 >= 0
                    || now.since(self.receiver.ts_recent_at) > PAWS_IDLE
            }
        }
    }

    /// RFC 7323, 4.3: the timestamp to echo is that of the segment that the last acknowledgement was waiting for. Only
    /// after the ACK field was found good: a blind guess must not leave a timestamp that shuts out the peer's own.
    fn note_timestamp(&mut self, now: Instant, arrival: &Arrival, start: i64) {
        if let Some(timestamps) = arrival.options.timestamps
            && self.negotiated.timestamps
            && start <= self.receiver.acknowledged as i64
        {
            self.receiver.ts_recent = timestamps.value;
            self.receiver.ts_recent_at = now;
        }
    }

    #[cold]
    fn out_of_window(&mut self, now: Instant, arrival: &Arrival, start: i64, counters: &mut Counters) -> Reply {
        if arrival.flags.contains(Flags::RST) {
            counters.drop(Drop::TcpBlindReset);
        } else {
            counters.drop(Drop::TcpOutOfWindow);
            if arrival.payload.is_empty() || arrival.flags.contains(Flags::SYN) || start > self.rcv_nxt() as i64 {
                self.challenge(now, counters);
            } else {
                // Old data: the peer has not seen our acknowledgement, and will send again until it does.
                self.ack_now();
            }
        }
        Reply::None
    }

    /// An acknowledgement to whoever sent something that does not fit, not too often.
    #[cold]
    fn challenge(&mut self, now: Instant, counters: &mut Counters) {
        let recent = self.receiver.last_challenge.is_some_and(|last| now.since(last) < CHALLENGE_INTERVAL);
        if recent {
            counters.tcp_challenges_suppressed += 1;
            return;
        }
        self.receiver.last_challenge = Some(now);
        counters.tcp_challenges_sent += 1;
        self.ack_now();
    }

    /// RFC 5961, 3.2: only a RST at exactly RCV.NXT is believed.
    #[cold]
    fn handle_reset(&mut self, now: Instant, exact: bool, pool: &mut Pool, counters: &mut Counters) -> Reply {
        if !exact {
            counters.drop(Drop::TcpBlindReset);
            self.challenge(now, counters);
            return Reply::None;
        }
        counters.tcp_resets_received += 1;
        let error = match self.state {
            State::SynReceived => Some(Error::Refused),
            // Both have closed: nothing is lost.
            State::Closing | State::LastAck => None,
            State::CloseWait => Some(Error::BrokenPipe),
            _ => Some(Error::Reset),
        };
        self.finish(error, pool);
        Reply::None
    }

    /// The window of a segment that is known to be the newest.
    pub(crate) fn set_window(&mut self, arrival: &Arrival) {
        // RFC 7323, 2.2: the window of a SYN is never scaled.
        let scale = if arrival.flags.contains(Flags::SYN) { 0 } else { self.negotiated.send_scale };
        self.sender.window = u32::from(arrival.window) << scale;
        self.sender.max_window = self.sender.max_window.max(self.sender.window);
        self.sender.window_seq = arrival.seq;
        self.sender.window_ack = arrival.ack;
    }

    /// SND.WND, SND.WL1 and SND.WL2: an old segment does not tell the window. Returns whether it changed.
    #[inline]
    fn update_window(&mut self, arrival: &Arrival) -> bool {
        let newer = arrival.seq.after(self.sender.window_seq)
            || (arrival.seq == self.sender.window_seq && arrival.ack.after_eq(self.sender.window_ack));
        let before = self.sender.window;
        if newer {
            self.set_window(arrival);
        }
        if self.sender.window != before {
            self.wants_transmit = true;
            if self.sender.window > before {
                self.timers.clear(Timer::Persist);
                self.sender.probes = 0;
            }
        }
        self.sender.window != before
    }

    fn release_acknowledged(&mut self, pool: &mut Pool) {
        let una = self.sender.board.una().min(self.sender.queue.end());
        let count = (una - self.sender.queue.start()) as usize;
        if count > 0 {
            self.sender.queue.consume(pool, count);
            if self.sender.wants_space && self.send_space() >= self.options.send_buffer / 3 {
                self.sender.wants_space = false;
                self.notify = true;
            }
        }
    }

    fn after_our_fin(&mut self, now: Instant) {
        if !self.sender.closing || !self.fin_acknowledged() {
            return;
        }
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.notify = true;
                self.wait_for_their_fin(now);
            }
            State::Closing => self.fate = Fate::TimeWait,
            State::LastAck => {
                self.state = State::Closed;
                self.fate = Fate::Gone;
            }
            _ => {}
        }
    }

    /// An orphan in FIN-WAIT-2 does not wait for ever.
    pub(crate) fn wait_for_their_fin(&mut self, now: Instant) {
        if self.orphan && self.state == State::FinWait2 {
            self.timers.set(Timer::FinWait, now + self.options.fin_timeout);
        }
    }

    /// RFC 9293, 3.8.5, with the pointer behind the urgent byte (MUST-62, RFC 6093). Only forwards (MUST-31), and only
    /// into what may arrive.
    fn take_urgent(&mut self, arrival: &Arrival, start: i64) {
        if !arrival.flags.contains(Flags::URG) || arrival.urgent == 0 || self.receiver.fin.is_some() {
            return;
        }
        let end = start + i64::from(arrival.urgent);
        let beyond = self.receiver.edge as i64 + i64::from(u16::MAX);
        if end <= self.receiver.queue.start() as i64 || end > beyond {
            return;
        }
        let end = end as u64;
        if self.receiver.urgent.is_none_or(|known| known < end) {
            self.receiver.urgent = Some(end);
            self.notify = true;
        }
    }

    fn take_text(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        start: i64,
        frame: &mut RxFrame,
        pool: &mut Pool,
        counters: &mut Counters,
    ) {
        let mut range = arrival.payload.clone();
        if range.is_empty() {
            return;
        }
        if !matches!(self.state, State::Established | State::FinWait1 | State::FinWait2) {
            // The peer has said that there is no more (3.10.7.4, seventh: this should not occur).
            counters.drop(Drop::TcpAfterFin);
            return;
        }
        let next = self.receiver.queue.end();
        let edge = self.receiver.edge.max(next);
        let mut start = start;
        if start < next as i64 {
            range.start = range.end.min(range.start + (next as i64 - start) as usize);
            start = next as i64;
        }
        let start = start as u64;
        let fits = edge.saturating_sub(start).min(range.len() as u64) as usize;
        if fits < range.len() {
            counters.tcp_trimmed_to_window += 1;
        }
        range.end = range.start + fits;
        if range.is_empty() {
            // Nothing new, or nothing that fits: say what we have.
            self.ack_now();
            return;
        }
        let len = range.len();
        self.receiver.last_data = now;
        self.receiver.segment_size = self.receiver.segment_size.max((len as u32).min(self.sender.segment_size));
        if start == next {
            // What fills the gap is never refused for want of memory: what came ahead of it makes room.
            while self.receive_room() < len && self.receiver.reassembly.drop_last(pool) {
                counters.drop(Drop::TcpReceiveMemory);
            }
            // A payload that fills a good part of its buffer stays where it is; a small one is copied together with
            // its neighbours.
            if len * 4 >= frame.buffer.len() && frame.buffer.len() >= crate::buffer::SMALL {
                self.receiver.queue.push_owned(std::mem::take(&mut frame.buffer), range);
            } else {
                self.receiver.queue.push(pool, &frame.buffer[range]);
            }
            if self.receiver.reassembly.is_empty() {
                self.owe_ack(now);
            } else {
                self.receiver.reassembly.drain_into(pool, &mut self.receiver.queue);
                self.ack_now();
            }
        } else {
            self.keep_ahead(start, &frame.buffer[range], pool, counters);
        }
        self.bytes_received += self.receiver.queue.end() - next;
        self.notify |= self.receiver.queue.end() > next;
    }

    /// Payload that stands behind a gap.
    #[inline(never)]
    fn keep_ahead(&mut self, start: u64, bytes: &[u8], pool: &mut Pool, counters: &mut Counters) {
        counters.tcp_out_of_order += 1;
        let room = self.receive_room();
        if !self.receiver.reassembly.insert(pool, start, bytes, room) {
            counters.drop(Drop::TcpReceiveMemory);
        }
        // RFC 5681, 4.2: a gap is told at once.
        self.ack_now();
    }

    /// RFC 9293, 3.8.6.3: every second full segment at once (SHLD-19), else within the delay.
    fn owe_ack(&mut self, now: Instant) {
        self.wants_transmit = true;
        if self.receiver.ack == AckNeed::Now {
            return;
        }
        let unacknowledged = self.receiver.queue.end() - self.receiver.acknowledged;
        let two_segments = 2 * u64::from(self.receiver.segment_size);
        let quick = self.receiver.quick_acks > 0 && !self.receiver.interactive;
        if unacknowledged >= two_segments || quick || self.options.quick_ack {
            self.receiver.ack = AckNeed::Now;
            self.receiver.quick_acks = self.receiver.quick_acks.saturating_sub(1);
        } else if self.receiver.ack == AckNeed::None {
            self.receiver.ack = AckNeed::Delayed;
            self.timers.set(Timer::DelayedAck, now + ACK_DELAY);
        }
    }

    fn take_fin(&mut self, at: i64) {
        if at >= self.receiver.queue.end() as i64 && self.receiver.fin.is_none() && at <= self.receiver.edge as i64 {
            self.receiver.fin = Some(at as u64);
        }
    }

    fn arrive_at_fin(&mut self, pool: &mut Pool) {
        if self.receiver.finished || self.receiver.fin != Some(self.receiver.queue.end()) {
            return;
        }
        self.receiver.finished = true;
        self.receiver.reassembly.clear(pool);
        self.notify = true;
        self.ack_now();
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.fate = Fate::TimeWait,
            _ => {}
        }
    }
}
