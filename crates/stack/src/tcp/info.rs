//! What can be seen of TCP from outside: `TCP_INFO`, and the rows of `show sockets`.

use super::congestion::CongestionControl;
use super::connection::Connection;
use super::demux::Flow;
use super::recovery::Phase;
use super::timers::Timer;
use super::{ConnectionId, State, Tcp};
use sockeye_device::Instant;
use std::net::SocketAddr;
use std::time::Duration;

/// A timer as `ss -o` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerInfo {
    /// `on` (retransmission), `persist`, `keepalive`, `timewait`, `delack`.
    pub name: &'static str,
    /// Time until it fires.
    pub remaining: Duration,
    /// How often it has fired in a row.
    pub retries: u8,
}

/// One row of `show sockets`.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The connection's handle, when it has an owner that may know it by it.
    pub id: Option<ConnectionId>,
    /// Where it stands.
    pub state: State,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end; unspecified for a listener.
    pub remote: SocketAddr,
    /// Bytes that the program has not read; for a listener: connections to accept.
    pub receive_queue: usize,
    /// Bytes that the peer has not acknowledged; for a listener: its backlog.
    pub send_queue: usize,
    /// The timer that fires next.
    pub timer: Option<TimerInfo>,
    /// Nobody owns it any more.
    pub orphan: bool,
}

/// The state of a connection as `TCP_INFO` tells it. Sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Where it stands.
    pub state: State,
    /// Which options were agreed on.
    pub timestamps: bool,
    /// SACK was agreed on.
    pub sack: bool,
    /// The two shifts (send, receive), when scaling was agreed on.
    pub window_scales: Option<(u8, u8)>,
    /// `open`, fast recovery or after a timeout: 0, 3, 4 as Linux numbers them.
    pub congestion_state: u8,
    /// Name of the congestion control.
    pub congestion_control: &'static str,
    /// Timeouts in a row.
    pub retransmits: u8,
    /// Probes in a row.
    pub probes: u8,
    /// The retransmission timeout.
    pub rto: Duration,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Its variation.
    pub rtt_variation: Duration,
    /// The shortest seen.
    pub least_rtt: Duration,
    /// Payload of a full segment, to the peer and from it.
    pub send_mss: u32,
    /// Likewise, received.
    pub receive_mss: u32,
    /// MTU of the path.
    pub path_mtu: u32,
    /// Congestion window.
    pub congestion_window: u32,
    /// Slow-start threshold; `u32::MAX` before the first loss.
    pub slow_start_threshold: u32,
    /// Sent, not acknowledged.
    pub unacknowledged: u32,
    /// Of these, reported as received out of order.
    pub sacked: u32,
    /// Of these, deemed lost.
    pub lost: u32,
    /// The peer's window.
    pub send_window: u32,
    /// Our window.
    pub receive_window: u32,
    /// Not sent yet.
    pub not_sent: u32,
    /// Segments sent again, in all.
    pub total_retransmissions: u64,
    /// Payload sent once, and received, in all.
    pub bytes_sent: u64,
    /// Payload acknowledged.
    pub bytes_acknowledged: u64,
    /// Payload received in order.
    pub bytes_received: u64,
    /// Since the last data was sent.
    pub since_sent: Duration,
    /// Since the last data arrived.
    pub since_received: Duration,
}

impl Connection {
    pub(crate) fn info(&self, now: Instant) -> Info {
        let small = |bytes: u64| bytes.min(u64::from(u32::MAX)) as u32;
        let board = &self.sender.board;
        let rtt = &self.sender.rtt;
        Info {
            state: self.state,
            timestamps: self.negotiated.timestamps,
            sack: self.negotiated.sack,
            window_scales: (self.negotiated.receive_scale > 0)
                .then_some((self.negotiated.send_scale, self.negotiated.receive_scale)),
            congestion_state: match self.sender.recovery.phase {
                Phase::Open if self.sender.recovery.duplicates() > 0 => 1,
                Phase::Open => 0,
                Phase::FastRecovery { .. } => 3,
                Phase::Timeout { .. } => 4,
            },
            congestion_control: self.sender.congestion.name(),
            retransmits: self.sender.retries,
            probes: self.sender.probes.max(self.keep_probes),
            rto: rtt.rto(),
            rtt: rtt.smoothed().unwrap_or_default(),
            rtt_variation: rtt.variation(),
            least_rtt: rtt.least().unwrap_or_default(),
            send_mss: self.sender.segment_size,
            receive_mss: self.receiver.segment_size,
            path_mtu: u32::from(self.path.mtu()),
            congestion_window: self.sender.congestion.window(),
            slow_start_threshold: self.sender.congestion.slow_start_threshold(),
            unacknowledged: small(board.outstanding()),
            sacked: small(board.sacked()),
            lost: small(board.lost()),
            send_window: self.sender.window,
            receive_window: small(self.receiver.edge.saturating_sub(self.rcv_nxt())),
            not_sent: small(self.sender.queue.end().saturating_sub(board.nxt())),
            total_retransmissions: self.sender.retransmitted,
            bytes_sent: self.bytes_sent,
            bytes_acknowledged: self.sender.queue.start(),
            bytes_received: self.bytes_received,
            since_sent: now.since(self.sender.last_sent),
            since_received: now.since(self.receiver.last_data),
        }
    }

    fn timer_info(&self, now: Instant) -> Option<TimerInfo> {
        let (timer, deadline) = self.timers.next()?;
        let (name, retries) = match timer {
            Timer::Retransmit => ("on", self.sender.retries),
            Timer::Persist => ("persist", self.sender.probes),
            Timer::Keepalive => ("keepalive", self.keep_probes),
            Timer::DelayedAck => ("delack", 0),
            Timer::FinWait => ("timewait", 0),
            Timer::DeferAccept => ("on", 0),
        };
        Some(TimerInfo { name, remaining: deadline.since(now), retries })
    }
}

impl Tcp {
    /// Every listener, connection, half-open connection and TIME-WAIT. `local_of` tells where a listener listens.
    pub(crate) fn summaries(&self, now: Instant) -> Vec<Summary> {
        let nowhere = |local: SocketAddr| match local {
            SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
            SocketAddr::V6(_) => SocketAddr::from(([0u16; 8], 0)),
        };
        let row = |flow: &Flow, state, timer, orphan| Summary {
            id: None,
            state,
            local: flow.local,
            remote: flow.remote,
            receive_queue: 0,
            send_queue: 0,
            timer,
            orphan,
        };
        let listeners = self.listeners.iter().map(|(_, listener)| {
            let flow = Flow { local: listener.local, remote: nowhere(listener.local) };
            let row = row(&flow, State::Listen, None, false);
            Summary { receive_queue: listener.accept.len(), send_queue: listener.backlog, ..row }
        });
        let connections = self.connections.iter().filter(|(_, connection)| connection.state != State::Closed).map(
            |(index, connection)| Summary {
                id: Some(self.connections.handle(index)),
                receive_queue: connection.receiver.queue.len(),
                send_queue: connection.sender.queue.len(),
                ..row(&connection.flow, connection.state, connection.timer_info(now), connection.orphan)
            },
        );
        let half_open = self.half_open.iter().map(|(_, record)| {
            let remaining = (record.sent_at + record.delay()).since(now);
            let timer = TimerInfo { name: "on", remaining, retries: record.retries };
            row(&record.flow, State::SynReceived, Some(timer), false)
        });
        let time_wait = self.time_wait.iter().map(|(_, waiting)| {
            let remaining = (waiting.since + super::time_wait::DURATION).since(now);
            row(&waiting.flow, State::TimeWait, Some(TimerInfo { name: "timewait", remaining, retries: 0 }), true)
        });
        listeners.chain(connections).chain(half_open).chain(time_wait).collect()
    }

    /// How many entries each table has: listeners, half-open, connections, TIME-WAIT, demultiplexer, timers, within the host.
    pub(crate) fn table_sizes(&self) -> [(&'static str, usize); 7] {
        [
            ("listeners", self.listeners.len()),
            ("half_open", self.half_open.len()),
            ("connections", self.connections.len()),
            ("time_wait", self.time_wait.len()),
            ("flows", self.demux.len()),
            ("timers", self.wheel.len()),
            ("joined", self.joined.len()),
        ]
    }
}
