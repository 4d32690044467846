//! Passive opens: the SYN queue, the accept queue, and what Linux does when either is full.
//!
//! A SYN makes a [`HalfOpen`], a small record that knows just enough to answer again; a third segment that acknowledges
//! it makes a connection, which waits in the listener's accept queue. When the SYN queue is full, SYNs are answered with
//! cookies instead and leave nothing behind. When the accept queue is full, SYNs are dropped, and so are the third
//! segments of handshakes under way (not answered with a RST): the half-open record stays, the SYN-ACK is sent again
//! later, and the handshake completes once there is room.

use super::connection::Negotiated;
use super::demux::Flow;
use super::options::Options;
use super::{JoinedId, ListenerId};
use crate::bind::BindingId;
use crate::wheel::TimerId;
use sockeye_device::Instant;
use sockeye_filter::Program;
use sockeye_wire::SeqNumber;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A SYN-ACK is sent again this often: 1, 3, 7, 15 and 31 s after the first, and the record goes at 63 s.
pub(crate) const SYN_ACK_RETRIES: u8 = 5;
/// After this long without an overflow, no cookie of ours can be under way.
pub(crate) const COOKIE_LIFE: Duration = Duration::from_secs(128);

/// A handshake of which the first segment has arrived and the second was sent.
pub(crate) struct HalfOpen {
    pub(crate) flow: Flow,
    pub(crate) listener: ListenerId,
    pub(crate) iss: SeqNumber,
    pub(crate) irs: SeqNumber,
    pub(crate) negotiated: Negotiated,
    pub(crate) ts_recent: u32,
    pub(crate) timestamp_offset: u32,
    pub(crate) retries: u8,
    /// The third segment has come, but the accept queue had no room for it.
    pub(crate) acknowledged: bool,
    pub(crate) sent_at: Instant,
    pub(crate) timer: Option<TimerId>,
}

/// What waits to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// A connection, by its index.
    Whole(u32),
    /// A connection within the host.
    Joined(JoinedId),
}

/// A listening socket.
pub(crate) struct Listener {
    pub(crate) local: SocketAddr,
    pub(crate) binding: BindingId,
    pub(crate) options: Arc<Options>,
    /// listen(2)'s number: the accept queue holds one more, as on Linux.
    pub(crate) backlog: usize,
    pub(crate) half_open: usize,
    /// Connections ready to be accepted.
    pub(crate) accept: VecDeque<Waiting>,
    /// Connections that are complete but wait for data (`TCP_DEFER_ACCEPT`); they count against the backlog.
    pub(crate) deferred: Vec<u32>,
    pub(crate) last_overflow: Option<Instant>,
    pub(crate) queued_event: bool,
    pub(crate) overflows: u64,
    /// `SO_ATTACH_REUSEPORT_CBPF`: it says who of those that share the address takes a connection. All of them have the same.
    pub(crate) selection: Option<Arc<Program>>,
}

impl Listener {
    pub(crate) fn accept_is_full(&self) -> bool {
        self.accept.len() + self.deferred.len() > self.backlog
    }

    pub(crate) fn syn_is_full(&self) -> bool {
        self.half_open >= self.backlog.max(8)
    }

    /// A cookie of ours may come back.
    pub(crate) fn expects_cookies(&self, now: Instant) -> bool {
        self.last_overflow.is_some_and(|last| now.since(last) < COOKIE_LIFE)
    }
}

impl HalfOpen {
    /// How long to wait before the SYN-ACK is sent again.
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_secs(1 << self.retries.min(6))
    }
}
