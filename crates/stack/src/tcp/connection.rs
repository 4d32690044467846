//! The transmission control block of a connection that is past its half-open childhood and not yet in TIME-WAIT.
//!
//! Both directions count in stream offsets of 64 bits that never wrap: offset 0 is the first byte after the SYN, and a
//! FIN counts as one byte behind the last. Sequence numbers exist at the edge only, where segments are read and
//! written.

use super::congestion::{CongestionControl, NewReno};
use super::demux::Flow;
use super::heard::Heard;
use super::options::Options;
use super::path::Path;
use super::reassembly::Reassembly;
use super::recovery::Recovery;
use super::rtt::RttEstimator;
use super::scoreboard::Scoreboard;
use super::timers::{Timer, Timers};
use super::window::WindowSize;
use super::{Error, ListenerId, State};
use crate::bind::BindingId;
use crate::buffer::{ByteQueue, Pool};
use crate::errors::{Cause, Report, Reported};
use crate::ip::IcmpError;
use sockeye_device::Instant;
use sockeye_wire::SeqNumber;
use std::sync::Arc;

/// Bytes of options that timestamps cost every segment.
pub(crate) const TIMESTAMPS_LEN: u32 = 12;
/// Acknowledgements sent without delay at the start of a connection, while the peer's window is still small.
const QUICK_ACKS: u8 = 16;

/// A buffer or clamp below this would, scaled, be a window of nothing.
const LEAST_WINDOW: usize = 1_152;

/// What the two sides agreed on in their SYNs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Negotiated {
    /// The peer's MSS option, or the standard's default.
    pub(crate) peer_mss: u16,
    /// Shifts of the two windows; both zero unless both sides offered scaling.
    pub(crate) send_scale: u8,
    pub(crate) receive_scale: u8,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
}

/// The way out.
pub(crate) struct Sender {
    /// From the first unacknowledged byte to the last that the program wrote.
    pub(crate) queue: ByteQueue,
    pub(crate) board: Scoreboard,
    pub(crate) iss: SeqNumber,
    /// The program will write no more: a FIN follows the queue.
    pub(crate) closing: bool,
    /// The peer's window, scaled, with the segment that told it (SND.WL1, SND.WL2).
    pub(crate) window: u32,
    pub(crate) window_seq: SeqNumber,
    pub(crate) window_ack: SeqNumber,
    pub(crate) max_window: u32,
    /// Payload bytes of a full segment.
    pub(crate) segment_size: u32,
    /// Behind the last segment sent that was not full (Minshall's form of Nagle's rule).
    pub(crate) small_end: u64,
    /// Behind the urgent data, while it is unacknowledged.
    pub(crate) urgent: Option<u64>,
    pub(crate) rtt: RttEstimator,
    pub(crate) congestion: NewReno,
    pub(crate) recovery: Recovery,
    /// The congestion window, not program or peer, was the limit when we last sent.
    pub(crate) window_limited: bool,
    /// One segment leaves whatever the window says: the fast retransmission.
    pub(crate) retransmit_now: bool,
    /// A small segment leaves whatever Nagle, cork and silly-window avoidance say: their timer has fired.
    pub(crate) push_now: bool,
    pub(crate) last_sent: Instant,
    /// Timeouts without an acknowledgement.
    pub(crate) retries: u8,
    /// Since when the peer has owed us an acknowledgement.
    pub(crate) silent_since: Option<Instant>,
    pub(crate) probes: u8,
    pub(crate) retransmitted: u64,
    /// The owner found no room and waits for some.
    pub(crate) wants_space: bool,
}

/// Whether an acknowledgement is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckNeed {
    None,
    /// When the timer fires, or with the next data.
    Delayed,
    Now,
}

/// The way in.
pub(crate) struct Receiver {
    /// In order, not yet read by the program.
    pub(crate) queue: ByteQueue,
    pub(crate) reassembly: Reassembly,
    pub(crate) irs: SeqNumber,
    /// Where the peer's FIN stands, once known.
    pub(crate) fin: Option<u64>,
    /// Everything up to the FIN has arrived, and the FIN.
    pub(crate) finished: bool,
    /// How wide the window may be.
    pub(crate) window: WindowSize,
    /// Right edge of the window that the peer was told; never moves left.
    pub(crate) edge: u64,
    /// What the last acknowledgement acknowledged.
    pub(crate) acknowledged: u64,
    pub(crate) ack: AckNeed,
    pub(crate) quick_acks: u8,
    /// The program answers what it reads: an acknowledgement may wait for the answer.
    pub(crate) interactive: bool,
    /// Behind the urgent byte, while the program has not read past it.
    pub(crate) urgent: Option<u64>,
    /// TS.Recent and when it was taken.
    pub(crate) ts_recent: u32,
    pub(crate) ts_recent_at: Instant,
    /// The largest payload seen: what a full segment of the peer's is.
    pub(crate) segment_size: u32,
    pub(crate) last_heard: Instant,
    /// When payload last arrived.
    pub(crate) last_data: Instant,
    /// When a segment out of the window was last answered.
    pub(crate) last_challenge: Option<Instant>,
}

/// What is left to do for a connection after something happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Alive,
    /// Both sides have said all: only the port waits.
    TimeWait,
    /// Nothing remains to be said.
    Gone,
    /// It is out of every table but its own, where its owner may still ask how it ended.
    Buried,
}

/// A connection.
pub(crate) struct Connection {
    pub(crate) flow: Flow,
    pub(crate) state: State,
    /// Shared by all connections that have the same: a listener's, mostly.
    pub(crate) options: Arc<Options>,
    pub(crate) negotiated: Negotiated,
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
    pub(crate) timers: Timers,
    pub(crate) path: Path,
    pub(crate) binding: Option<BindingId>,
    pub(crate) timestamp_offset: u32,
    /// What the packet told by which the peer opened it, or a later one.
    pub(crate) heard: Heard,
    /// Why it ended; or what was said of one that lives, where the program wants to know at once.
    pub(crate) error: Option<Error>,
    /// What was said against it since the peer was last heard.
    pub(crate) soft_error: Option<Error>,
    /// The message that ended it in the making.
    pub(crate) report: Option<Box<Reported>>,
    /// The owner has let go; nobody reads, and nobody is told.
    pub(crate) orphan: bool,
    /// The owner has aborted it: what was written goes as far as it may at once, and then a RST.
    pub(crate) aborting: bool,
    /// What it counts for among the connections without an owner, in bytes.
    pub(crate) orphan_charge: u32,
    /// In the accept queue of a listener, or on the way there.
    pub(crate) waiting_in: Option<ListenerId>,
    /// A SYN or SYN-ACK is to be sent.
    pub(crate) syn_pending: bool,
    /// A probe of the window, or of the peer's presence, is to be sent.
    pub(crate) probe_pending: bool,
    /// Keepalive probes sent since the peer was last heard.
    pub(crate) keep_probes: u8,
    /// The owner is to be told.
    pub(crate) notify: bool,
    pub(crate) queued_event: bool,
    /// There may be something to send.
    pub(crate) wants_transmit: bool,
    pub(crate) queued_transmit: bool,
    pub(crate) fate: Fate,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
}

impl Connection {
    pub(crate) fn new(
        flow: Flow,
        state: State,
        iss: SeqNumber,
        options: Arc<Options>,
        path: Path,
        now: Instant,
    ) -> Self {
        let segment_size = 536;
        Connection {
            flow,
            state,
            negotiated: Negotiated { peer_mss: 536, send_scale: 0, receive_scale: 0, sack: false, timestamps: false },
            sender: Sender {
                queue: ByteQueue::default(),
                board: Scoreboard::default(),
                iss,
                closing: false,
                window: 0,
                window_seq: SeqNumber(0),
                window_ack: iss,
                max_window: 0,
                segment_size,
                small_end: 0,
                urgent: None,
                rtt: RttEstimator::default(),
                congestion: NewReno::new(segment_size),
                recovery: Recovery::default(),
                window_limited: false,
                retransmit_now: false,
                push_now: false,
                last_sent: now,
                retries: 0,
                silent_since: None,
                probes: 0,
                retransmitted: 0,
                wants_space: false,
            },
            receiver: Receiver {
                queue: ByteQueue::default(),
                reassembly: Reassembly::default(),
                irs: SeqNumber(0),
                fin: None,
                finished: false,
                window: WindowSize::new(now),
                edge: 0,
                acknowledged: 0,
                ack: AckNeed::None,
                quick_acks: QUICK_ACKS,
                interactive: false,
                urgent: None,
                ts_recent: 0,
                ts_recent_at: now,
                segment_size: 536,
                last_heard: now,
                last_data: Instant::ZERO,
                last_challenge: None,
            },
            options,
            timers: Timers::default(),
            path,
            binding: None,
            timestamp_offset: 0,
            heard: Heard::default(),
            error: None,
            soft_error: None,
            report: None,
            orphan: false,
            aborting: false,
            orphan_charge: 0,
            waiting_in: None,
            syn_pending: false,
            probe_pending: false,
            keep_probes: 0,
            notify: false,
            queued_event: false,
            wants_transmit: false,
            queued_transmit: false,
            fate: Fate::Alive,
            bytes_sent: 0,
            bytes_received: 0,
        }
    }

    /// The handshake is done, with this agreed.
    pub(crate) fn establish(&mut self, negotiated: Negotiated, now: Instant) {
        self.negotiated = negotiated;
        self.state = State::Established;
        self.sender.retries = 0;
        self.sender.silent_since = None;
        self.timers.clear(Timer::Retransmit);
        self.refit();
        self.sender.congestion = NewReno::new(self.sender.segment_size);
        self.receiver.last_heard = now;
        self.arm_keepalive(now);
        self.notify = true;
        self.wants_transmit = true;
    }

    /// Works out the segment size from the path's MTU, the peer's MSS and the options that every segment bears
    /// (RFC 9293, 3.7.1: MUST-16; RFC 6691).
    pub(crate) fn refit(&mut self) {
        let mut mss = u32::from(self.negotiated.peer_mss).min(self.path.max_segment());
        if let Some(most) = self.options.max_segment {
            mss = mss.min(u32::from(most));
        }
        if self.negotiated.timestamps {
            mss = mss.saturating_sub(TIMESTAMPS_LEN);
        }
        // The floor keeps a peer that offers an MSS of 1 from making us send a header a byte (CVE-2019-11479).
        let size = mss.max(48);
        if size != self.sender.segment_size {
            self.sender.segment_size = size;
            self.sender.congestion.set_segment_size(size);
        }
    }

    /// The path's MTU has changed. If segments are smaller now, what is in flight did not fit, and goes again in smaller
    /// pieces (RFC 1191, 6.5): once, though each of its pieces may have met the router that said so.
    pub(crate) fn fit_new_mtu(&mut self) {
        let before = self.sender.segment_size;
        self.refit();
        if self.sender.segment_size < before && self.sender.board.outstanding() > 0 {
            self.sender.board.lose_all();
            self.sender.retransmit_now = true;
        }
    }

    /// The sequence number of a byte that we send.
    pub(crate) fn send_seq(&self, offset: u64) -> SeqNumber {
        self.sender.iss + 1 + offset as u32
    }

    /// The sequence number of a byte that we receive.
    pub(crate) fn receive_seq(&self, offset: u64) -> SeqNumber {
        self.receiver.irs + 1 + offset as u32
    }

    /// RCV.NXT as an offset.
    pub(crate) fn rcv_nxt(&self) -> u64 {
        self.receiver.queue.end() + u64::from(self.receiver.finished)
    }

    /// Offset of the end of what is to be sent, with the FIN if there is to be one.
    pub(crate) fn send_end(&self) -> u64 {
        self.sender.queue.end() + u64::from(self.sender.closing)
    }

    /// Our FIN has been sent.
    pub(crate) fn fin_sent(&self) -> bool {
        self.sender.board.nxt() > self.sender.queue.end()
    }

    /// Our FIN has been acknowledged.
    pub(crate) fn fin_acknowledged(&self) -> bool {
        self.sender.board.una() > self.sender.queue.end()
    }

    /// Bytes of room in the send queue.
    pub(crate) fn send_space(&self) -> usize {
        let not_sent = (self.sender.queue.end().saturating_sub(self.sender.board.nxt())) as usize;
        if self.sender.closing || not_sent >= self.options.not_sent_low_water {
            return 0;
        }
        self.options.send_buffer.saturating_sub(self.sender.queue.len())
    }

    /// Something is left to do for the host's queues.
    #[inline]
    pub(crate) fn has_notes(&self) -> bool {
        self.wants_transmit && !self.queued_transmit
            || self.notify
            || self.fate != Fate::Alive
            || self.timers.may_need_arming()
    }

    /// Our clock in the peer's eyes: milliseconds, from a start that differs by connection.
    pub(crate) fn timestamp(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.timestamp_offset)
    }

    /// The window to offer: the right edge of the receive window, which moves only in steps worth telling
    /// (RFC 9293, 3.8.6.2.2: MUST-39) and never to the left (SHLD-14).
    pub(crate) fn next_edge(&self) -> u64 {
        let (next, scale) = (self.rcv_nxt(), self.negotiated.receive_scale);
        let most = self.window_limit();
        let room = most.max(self.receive_limit() as u64).saturating_sub(self.receiver.queue.len() as u64);
        let free = room.min(most).min(u64::from(u16::MAX) << scale);
        let edge = next + (free >> scale << scale);
        let step = (most / 2).min(self.receiver.segment_size.into());
        if edge >= self.receiver.edge + step { edge } else { self.receiver.edge.max(next) }
    }

    /// The largest window that may be offered: what is worth telling is measured by it, and it is never so small that
    /// its scale makes nothing of it.
    pub(crate) fn window_limit(&self) -> u64 {
        let limit = self.receive_limit() as u64;
        let clamp = self.options.window_clamp.map(|clamp| u64::from(clamp).max(LEAST_WINDOW as u64));
        clamp.map_or(limit, |clamp| limit.min(clamp)).max(1 << self.negotiated.receive_scale)
    }

    /// How far the peer may be ahead of the program, in bytes.
    pub(crate) fn receive_limit(&self) -> usize {
        let most = self.options.receive_buffer.max(LEAST_WINDOW);
        if self.options.receive_grows { self.receiver.window.get(most) } else { most }
    }

    /// Owes the peer an acknowledgement without delay.
    pub(crate) fn ack_now(&mut self) {
        self.receiver.ack = AckNeed::Now;
        self.wants_transmit = true;
    }

    /// Memory that the receiving side may hold, with what arrives out of order and what chunks waste.
    pub(crate) fn receive_room(&self) -> usize {
        let held = self.receiver.queue.capacity() + self.receiver.reassembly.capacity();
        (3 * self.receive_limit() + 4 * crate::buffer::LARGE).saturating_sub(held)
    }

    /// (Re)starts the count of silence.
    pub(crate) fn arm_keepalive(&mut self, now: Instant) {
        if self.options.keepalive && !matches!(self.state, State::SynSent | State::SynReceived) {
            self.timers.set(Timer::Keepalive, now + self.options.keep_idle);
        } else {
            self.timers.clear(Timer::Keepalive);
        }
    }

    /// The end: with an error the owner learns why.
    pub(crate) fn finish(&mut self, error: Option<Error>, pool: &mut Pool) {
        self.error = self.error.or(error);
        self.state = State::Closed;
        self.fate = Fate::Gone;
        self.sender.queue.clear(pool);
        self.receiver.reassembly.clear(pool);
        self.notify = true;
    }

    /// SND.UNA and the number behind the last one in flight, the SYN included.
    pub(crate) fn outstanding_seq(&self) -> (SeqNumber, SeqNumber) {
        match self.state {
            State::SynSent | State::SynReceived => (self.sender.iss, self.sender.iss + 1),
            _ => (self.send_seq(self.sender.board.una()), self.send_seq(self.sender.board.nxt())),
        }
    }

    /// RFC 9293, 3.9.2.2, read with RFC 5927: nothing that a router says ends a connection that is open.
    pub(crate) fn handle_icmp(&mut self, now: Instant, error: IcmpError, report: &Report<'_>, pool: &mut Pool) {
        let cause = report.cause;
        let (error, hard) = match error {
            IcmpError::TimeExceeded => (Error::HostUnreachable, false),
            IcmpError::NetworkUnreachable
            | IcmpError::HostUnreachable
            | IcmpError::ParameterProblem
            | IcmpError::Unknown => (told(cause), false),
            IcmpError::PortUnreachable => (Error::Refused, true),
            IcmpError::ProtocolUnreachable | IcmpError::Prohibited => (Error::Reported(cause), true),
            IcmpError::FragmentationNeeded { .. } => {
                // The path has noted the MTU; whether it is news to us shows when we look at the path again.
                self.path.forget();
                self.wants_transmit = true;
                return;
            }
        };
        if hard && self.state == State::SynReceived {
            self.finish(Some(error), pool);
        } else {
            self.handle_soft_error(now, error, report, pool);
        }
    }

    /// Something is wrong on the way; it may pass. A connection that is not open yet is given up, as on Linux, and then who says so is kept, over
    /// IPv4 for everybody. One that is open goes on, and the program is told at once if it asked for that.
    pub(crate) fn handle_soft_error(&mut self, now: Instant, error: Error, report: &Report<'_>, pool: &mut Pool) {
        let asks = self.options.of(self.flow.remote.is_ipv6()).receive_errors;
        if self.state == State::SynSent {
            if asks || self.flow.remote.is_ipv4() {
                self.report = Some(Box::new(report.keep(now, self.flow.remote.port(), report.transport)));
            }
            self.finish(Some(error), pool);
        } else if asks {
            self.error = Some(error);
            self.notify = true;
        } else {
            self.soft_error = Some(error);
        }
    }
}

/// What a router said, where there is a word for it.
fn told(cause: Cause) -> Error {
    match cause {
        Cause::Icmp { kind: 3, code: 0 } | Cause::Icmpv6 { kind: 1, code: 0 } => Error::NetworkUnreachable,
        Cause::Icmp { kind: 3, code: 1 } | Cause::Icmpv6 { kind: 1, code: 2 | 3 } => Error::HostUnreachable,
        cause => Error::Reported(cause),
    }
}
