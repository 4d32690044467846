//! What to send: decided by looking, then performed in one place.
//!
//! [`Connection::transmit`] asks [`Connection::decide`] again and again what the connection would send next, and sends
//! it, until there is nothing more or the device is full. Nothing changes before the device has taken a segment, so a
//! full device simply ends the round. After a segment that empties the queue it need not be asked again. A segment may be a super-segment of up to 64 KiB: its payload leaves as slices of
//! the send queue, and is cut by the device or the NIC.

use super::State;
use super::congestion::CongestionControl;
use super::connection::{AckNeed, Connection, Fate};
use super::input::ACK_DELAY;
use super::rtt::MIN_RTO;
use super::template::Plain;
use super::timers::Timer;
use crate::Egress;
use crate::ip::Ip;
use sockeye_device::{Full, Instant};
use sockeye_wire::tcp::{Flags, Options, Repr, Timestamps};
use std::time::Duration;

/// Slices of the send queue that one segment is gathered from; the queue's chunks are large, so three is common.
const MAX_SLICES: usize = 8;
/// Payload of the largest super-segment: an IP packet is at most 65,535 bytes, with 60 + 60 of headers.
const MAX_PAYLOAD: u32 = 65_535 - 120;
/// No retransmission timeout is shorter, so no shorter silence is idleness.
const IDLE_FOR_LONG: u64 = MIN_RTO.as_nanos() as u64;
/// How long a cork holds.
const CORK: Duration = Duration::from_millis(200);

/// The next thing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Nothing,
    Syn,
    /// `len` bytes from stream offset `from`, and the FIN behind them if `fin`.
    Data {
        from: u64,
        len: u32,
        fin: bool,
        again: bool,
    },
}

impl Connection {
    /// Sends everything that may go now. `Err(Full)` leaves the connection as it was before the segment that did not fit.
    pub(crate) fn transmit(&mut self, now: Instant, ip: &mut Ip, egress: &mut dyn Egress) -> Result<(), Full> {
        if self.fate != Fate::Alive && self.fate != Fate::TimeWait {
            return Ok(());
        }
        self.path.refresh(now, ip, &self.flow);
        if self.path.take_mtu_change() {
            self.fit_new_mtu();
        }
        let idle = now.as_nanos().saturating_sub(self.sender.last_sent.as_nanos());
        if idle > IDLE_FOR_LONG && self.sender.board.outstanding() == 0 && self.sender.rtt.smoothed().is_some() {
            self.sender.congestion.on_idle(Duration::from_nanos(idle), self.sender.rtt.rto());
        }
        loop {
            match self.decide() {
                Decision::Nothing => break,
                Decision::Syn => self.send_syn(now, ip, egress)?,
                Decision::Data { from, len, fin, again } => {
                    self.send_data(now, ip, egress, from, len, fin, again)?;
                    if self.has_said_all() {
                        return Ok(());
                    }
                }
            }
        }
        self.transmit_without_data(now, ip, egress)
    }

    /// What is to be said when there is no data to say it with.
    #[inline(never)]
    fn transmit_without_data(&mut self, now: Instant, ip: &mut Ip, egress: &mut dyn Egress) -> Result<(), Full> {
        if self.probe_pending {
            // One byte before the window and no data: whoever gets it must answer with an acknowledgement.
            let before = self.sender.board.una().wrapping_sub(1);
            self.send_segment(now, ip, egress, Flags::ACK, before, 0, false)?;
            self.probe_pending = false;
        }
        self.wait_for_window(now);
        // Not even behind an acknowledgement that may wait: a peer with a small window would wait for it each time.
        let window_opened = !matches!(self.state, State::SynSent | State::SynReceived) && self.window_update_is_due();
        if self.receiver.ack == AckNeed::Now || window_opened {
            self.send_segment(now, ip, egress, Flags::ACK, self.sender.board.nxt(), 0, false)?;
        }
        Ok(())
    }

    /// Right after a segment with data, which acknowledges what there is: nothing is left to decide.
    fn has_said_all(&self) -> bool {
        let board = &self.sender.board;
        board.nxt() == self.sender.queue.end() && !self.sender.closing && !board.has_lost() && !self.probe_pending
    }

    /// What to send next, of SYN, retransmissions, new data and FIN; changes nothing.
    fn decide(&mut self) -> Decision {
        match self.state {
            State::SynSent | State::SynReceived => {
                return if self.syn_pending { Decision::Syn } else { Decision::Nothing };
            }
            State::Closed | State::TimeWait | State::Listen => return Decision::Nothing,
            _ => {}
        }
        let size = self.full_payload();
        let window = u64::from(self.sender.congestion.window());
        let in_flight = self.in_flight();
        let allowance = window.saturating_sub(in_flight);

        // What was lost goes first.
        if self.sender.board.has_lost()
            && let Some(again) = self.decide_again(allowance, in_flight)
        {
            return again;
        }

        let sender = &self.sender;
        let (una, nxt, stop) = (sender.board.una(), sender.board.nxt(), sender.queue.end());
        if self.fin_sent() {
            return Decision::Nothing;
        }
        let right_edge = una + u64::from(sender.window);
        let available = stop - nxt.min(stop);
        if available == 0 {
            // A FIN by itself: it needs no window worth speaking of, as in every other stack.
            let fin = sender.closing;
            return if fin { Decision::Data { from: nxt, len: 0, fin, again: false } } else { Decision::Nothing };
        }
        let usable = right_edge.saturating_sub(nxt);
        let most = if available > u64::from(size) { self.largest_payload() } else { size };
        let mut len = available.min(usable).min(allowance).min(u64::from(most)) as u32;
        if len >= size {
            // Full segments now; a tail that is not full only if it may leave by itself.
            let tail = len % size;
            if tail > 0 && !(u64::from(len) == available && self.may_send_small()) {
                len -= tail;
            }
        } else if u64::from(len) == available {
            if !self.may_send_small() {
                return Decision::Nothing;
            }
        } else if len == 0 || allowance < available.min(usable).min(u64::from(size)) {
            // The congestion window leaves no room for a full segment: acknowledgements are on their way.
            return Decision::Nothing;
        } else if !sender.push_now && (nxt != una || u64::from(len) * 2 < u64::from(sender.max_window)) {
            // Silly window: wait until a segment, or half of the largest window, fits (RFC 9293, 3.8.6.2.1: MUST-38).
            return Decision::Nothing;
        }
        let fin = sender.closing && u64::from(len) == available && usable > u64::from(len);
        Decision::Data { from: nxt, len, fin, again: false }
    }

    /// Nagle's rule in Minshall's form (SHLD-7): at most one small segment in flight. The plain form, with 64 KiB
    /// segments and delayed acknowledgements, stalls for 40 ms at a time.
    fn may_send_small(&self) -> bool {
        let sender = &self.sender;
        if sender.push_now || sender.closing || self.aborting {
            return true;
        }
        if self.options.cork {
            return false;
        }
        self.options.nodelay || sender.small_end <= sender.board.una()
    }

    /// What of the lost may go now.
    #[inline(never)]
    fn decide_again(&mut self, allowance: u64, in_flight: u64) -> Option<Decision> {
        let size = u64::from(self.full_payload());
        let most = if allowance >= size {
            (allowance - allowance % size).min(u64::from(self.largest_payload()))
        } else if self.sender.retransmit_now || in_flight == 0 {
            size
        } else {
            return None;
        };
        let (start, end) = self.sender.board.next_lost(most)?;
        let stop = self.sender.queue.end();
        let (fin, end) = (end > stop, end.min(stop));
        Some(Decision::Data { from: start, len: (end.saturating_sub(start)) as u32, fin, again: true })
    }

    fn largest_payload(&self) -> u32 {
        let size = self.full_payload();
        // What cuts a super-segment copies the urgent pointer into each piece, where it would point too far.
        let single = self.sender.urgent.is_some() || self.path.leaves_singly();
        let pieces = if single { 1 } else { (MAX_PAYLOAD / size).max(1) };
        pieces * size
    }

    /// Payload of a full segment. While there is a gap to report, SACK blocks take their room from it (RFC 6691, 2).
    #[inline]
    fn full_payload(&self) -> u32 {
        let blocks = if !self.negotiated.sack || self.receiver.reassembly.is_empty() {
            0
        } else {
            4 + 8 * self.most_sack_blocks() as u32
        };
        self.sender.segment_size - blocks
    }

    /// As many as there is room for in a header.
    fn most_sack_blocks(&self) -> usize {
        if self.negotiated.timestamps { 3 } else { 4 }
    }

    #[allow(clippy::too_many_arguments)]
    fn send_data(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        egress: &mut dyn Egress,
        from: u64,
        len: u32,
        fin: bool,
        again: bool,
    ) -> Result<(), Full> {
        let (gathered, fin) = self.send_segment(now, ip, egress, Flags::ACK, from, len, fin)?;
        self.note_sent(now, from, gathered, fin, again);
        Ok(())
    }

    fn note_sent(&mut self, now: Instant, from: u64, len: u32, fin: bool, again: bool) {
        let total = u64::from(len) + u64::from(fin);
        let size = self.full_payload();
        let sender = &mut self.sender;
        sender.last_sent = now;
        sender.retransmit_now = false;
        if again {
            sender.retransmitted += 1;
            sender.board.sent_again(from, from + total, now);
        } else {
            sender.board.sent(total, now);
            if len < size || !len.is_multiple_of(size) {
                sender.small_end = from + u64::from(len);
            }
            self.bytes_sent += u64::from(len);
            self.receiver.interactive |= now < self.receiver.last_data + ACK_DELAY;
        }
        let allowance = u64::from(self.sender.congestion.window()).saturating_sub(self.in_flight());
        self.sender.window_limited = allowance < u64::from(self.sender.segment_size);
        self.sender.push_now = false;
        self.sender.silent_since.get_or_insert(now);
        self.timers.clear(Timer::Persist);
        if again || !self.timers.is_set(Timer::Retransmit) {
            self.timers.set(Timer::Retransmit, self.sender.rtt.deadline(now));
        }
        if fin && !again {
            self.state = match self.state {
                State::CloseWait => State::LastAck,
                State::Established => State::FinWait1,
                other => other,
            };
            self.notify = true;
        }
    }

    /// With data to send, none in flight and no way to send it, the persist timer asks the peer from time to time
    /// (RFC 9293, 3.8.6.1: MUST-36).
    fn wait_for_window(&mut self, now: Instant) {
        let waiting = self.sender.board.outstanding() == 0 && self.send_end() > self.sender.board.nxt();
        if !waiting || matches!(self.state, State::SynSent | State::SynReceived | State::Closed) {
            return;
        }
        if !self.timers.is_set(Timer::Persist) {
            let corked = self.options.cork && self.sender.window > 0;
            let delay =
                if corked { CORK } else { self.sender.rtt.rto().saturating_mul(1 << self.sender.probes.min(10)) };
            self.timers.set(Timer::Persist, now + delay.min(super::rtt::MAX_RTO));
        }
    }

    /// The program has read: the peer is told once the window has grown by a worthwhile step.
    pub(crate) fn window_update_is_due(&self) -> bool {
        if self.receiver.finished {
            return false;
        }
        let limit = self.window_limit();
        let step = (limit / 4).max(2 * u64::from(self.receiver.segment_size)).min(limit / 2);
        let open = self.receiver.edge.saturating_sub(self.rcv_nxt());
        let grown = self.next_edge().saturating_sub(self.receiver.edge);
        // Before anything was read there is no news: the next acknowledgement shows the handshake's window in its true size.
        let news = self.receiver.queue.start() > 0;
        grown > 0 && (grown >= step && news || open == 0)
    }

    #[inline(never)]
    fn send_syn(&mut self, now: Instant, ip: &mut Ip, egress: &mut dyn Egress) -> Result<(), Full> {
        let passive = self.state == State::SynReceived;
        let repr = Repr {
            src_port: self.flow.local.port(),
            dst_port: self.flow.remote.port(),
            seq: self.sender.iss,
            ack: if passive { self.receive_seq(0) } else { sockeye_wire::SeqNumber(0) },
            flags: if passive { Flags::SYN | Flags::ACK } else { Flags::SYN },
            window: self.options.receive_buffer.min(usize::from(u16::MAX)) as u16,
            urgent: 0,
            options: Options {
                mss: Some(self.offered_mss()),
                window_scale: (!passive || self.negotiated.receive_scale > 0).then_some(self.negotiated.receive_scale),
                sack_permitted: self.negotiated.sack,
                timestamps: self.negotiated.timestamps.then(|| Timestamps {
                    value: self.timestamp(now),
                    echo: if passive { self.receiver.ts_recent } else { 0 },
                }),
                ..Options::default()
            },
        };
        self.path.send(now, ip, egress, &self.flow, &self.options, &repr, &[], None)?;
        self.syn_pending = false;
        self.sender.last_sent = now;
        self.sender.silent_since.get_or_insert(now);
        self.timers.set(Timer::Retransmit, self.sender.rtt.deadline(now));
        Ok(())
    }

    /// The MSS that we announce: what our path in can carry (MUST-67), or less if the owner says so.
    pub(crate) fn offered_mss(&self) -> u16 {
        let most = self.path.max_segment().min(u32::from(u16::MAX)) as u16;
        self.options.max_segment.map_or(most, |limit| limit.min(most))
    }

    /// Any segment after the handshake: up to `len` bytes of the queue from stream offset `from` on, as many as lie in so
    /// many pieces as a device takes, and a FIN behind them if `fin` and they are all. Says what has left.
    #[allow(clippy::too_many_arguments)]
    fn send_segment(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        egress: &mut dyn Egress,
        mut flags: Flags,
        from: u64,
        len: u32,
        fin: bool,
    ) -> Result<(u32, bool), Full> {
        let queue = &self.sender.queue;
        let front = queue.front(from, len as usize);
        let mut slices: [&[u8]; MAX_SLICES];
        let (payload, gathered) = if front.len() == len as usize {
            // Mostly it lies in one piece. Of nothing there is none.
            (&std::slice::from_ref(&front)[..usize::from(len > 0)], len)
        } else {
            slices = [&[]; MAX_SLICES];
            let mut count = 0;
            let gathered = queue.slices(from, len as usize, MAX_SLICES, |slice| {
                slices[count] = slice;
                count += 1;
            });
            (&slices[..count], gathered as u32)
        };
        if gathered > 0 && from + u64::from(gathered) == queue.end() {
            flags |= Flags::PSH;
        }
        let fin = fin && gathered == len;
        if fin {
            flags |= Flags::FIN;
        }
        let (next, edge) = (self.rcv_nxt(), self.next_edge());
        let window = (edge - next) >> self.negotiated.receive_scale;
        let segment = Plain {
            seq: self.send_seq(from),
            ack: self.receive_seq(next),
            flags,
            window: window.min(u64::from(u16::MAX)) as u16,
            timestamps: self
                .negotiated
                .timestamps
                .then(|| Timestamps { value: self.timestamp(now), echo: self.receiver.ts_recent }),
        };
        let size = self.full_payload();
        let cut = (gathered > size).then_some(size as u16);
        if self.sender.urgent.is_none() && self.receiver.reassembly.is_empty() {
            self.path.send_plain(now, ip, egress, &self.flow, &self.options, &segment, payload, cut)?;
        } else {
            let repr = self.with_urgent_and_sack(&segment, from);
            self.path.send(now, ip, egress, &self.flow, &self.options, &repr, payload, cut)?;
        }
        self.receiver.edge = edge;
        self.receiver.acknowledged = next;
        self.receiver.ack = AckNeed::None;
        self.timers.clear(Timer::DelayedAck);
        Ok((gathered, fin))
    }

    /// Adds what few segments bear: where urgent data ends, and what has arrived ahead of a gap.
    #[inline(never)]
    fn with_urgent_and_sack(&self, segment: &Plain, from: u64) -> Repr {
        let mut repr = segment.repr(&self.flow);
        if let Some(end) = self.sender.urgent
            && end > from
        {
            repr.flags |= Flags::URG;
            repr.urgent = (end - from).min(u64::from(u16::MAX)) as u16;
        }
        if self.negotiated.sack {
            for (start, end) in self.receiver.reassembly.blocks().take(self.most_sack_blocks()) {
                repr.options.sack.push((self.receive_seq(start), self.receive_seq(end)));
            }
        }
        repr
    }
}
