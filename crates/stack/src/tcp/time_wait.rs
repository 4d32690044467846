//! TIME-WAIT: the little that is kept for 2 MSL after both sides have closed (RFC 9293, 3.6.1, MUST-13).
//!
//! It answers a FIN that is sent again, ignores RSTs (RFC 1337), and gives way to a new connection of the same
//! addresses that is provably newer: by timestamp (RFC 6191) or by sequence number (MAY-2).

use super::connection::Connection;
use super::demux::Flow;
use super::hop::Hop;
use super::input::Arrival;
use crate::bind::BindingId;
use crate::wheel::TimerId;
use sockeye_device::Instant;
use sockeye_wire::SeqNumber;
use sockeye_wire::tcp::{Flags, Repr, Timestamps};
use std::time::Duration;

/// 2 MSL as Linux has it.
pub(crate) const DURATION: Duration = Duration::from_secs(60);
/// More than this many are not kept; the newest is then let go at once, and counted.
pub(crate) const MAX: usize = 256 * 1024;

/// A connection that is over.
pub(crate) struct TimeWait {
    pub(crate) flow: Flow,
    pub(crate) snd_nxt: SeqNumber,
    pub(crate) rcv_nxt: SeqNumber,
    pub(crate) window: u16,
    pub(crate) timestamps: bool,
    pub(crate) ts_recent: u32,
    pub(crate) timestamp_offset: u32,
    pub(crate) hop: Hop,
    pub(crate) binding: Option<BindingId>,
    pub(crate) since: Instant,
    pub(crate) timer: Option<TimerId>,
}

/// What to do for a segment that arrives in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ignore,
    Acknowledge {
        restart: bool,
    },
    /// The addresses are free for the SYN that has come.
    GiveWay,
}

impl TimeWait {
    pub(crate) fn new(connection: &Connection, now: Instant) -> Self {
        let Connection { flow, negotiated, receiver, options, binding, timestamp_offset, .. } = connection;
        TimeWait {
            flow: *flow,
            snd_nxt: connection.send_seq(connection.sender.board.nxt()),
            rcv_nxt: connection.receive_seq(connection.rcv_nxt()),
            window: (receiver.edge.saturating_sub(connection.rcv_nxt()) >> negotiated.receive_scale)
                .min(u64::from(u16::MAX)) as u16,
            timestamps: negotiated.timestamps,
            ts_recent: receiver.ts_recent,
            timestamp_offset: *timestamp_offset,
            hop: connection.path.hop(options),
            binding: *binding,
            since: now,
            timer: None,
        }
    }

    pub(crate) fn judge(&self, arrival: &Arrival) -> Verdict {
        if arrival.flags.contains(Flags::RST) {
            return Verdict::Ignore;
        }
        let newer = match (self.timestamps, arrival.options.timestamps) {
            (true, Some(timestamps)) => {
                let ahead = timestamps.value.wrapping_sub(self.ts_recent) as i32;
                ahead > 0 || (ahead == 0 && arrival.seq.after(self.rcv_nxt))
            }
            _ => arrival.seq.after(self.rcv_nxt),
        };
        if arrival.flags.contains(Flags::SYN) && !arrival.flags.contains(Flags::ACK) {
            return if newer { Verdict::GiveWay } else { Verdict::Acknowledge { restart: false } };
        }
        let fin_again = arrival.flags.contains(Flags::FIN);
        if !fin_again && arrival.payload.is_empty() && arrival.seq == self.rcv_nxt {
            return Verdict::Ignore;
        }
        Verdict::Acknowledge { restart: fin_again }
    }

    /// Says again what the last acknowledgement said.
    pub(crate) fn acknowledgement(&self, now: Instant) -> Repr {
        let mut repr = super::path::bare(&self.flow, self.snd_nxt, self.rcv_nxt, Flags::ACK);
        repr.window = self.window;
        repr.options.timestamps = self.timestamps.then(|| Timestamps {
            value: (now.as_millis() as u32).wrapping_add(self.timestamp_offset),
            echo: self.ts_recent,
        });
        repr
    }

    /// May our side use the addresses again for a connection of its own (RFC 6191: with timestamps, after a second)?
    pub(crate) fn may_be_reused(&self, now: Instant) -> bool {
        self.timestamps && now.since(self.since) > Duration::from_secs(1)
    }
}
