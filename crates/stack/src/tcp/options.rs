//! What a socket's owner may set, under the names that tcp(7) gives.

use super::heard::Interest;
use super::hop::Extras;
use crate::family::FamilyOptions;
use sockeye_filter::Program;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a connection; a listener's are inherited by the connections that it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `TCP_NODELAY`: small segments leave at once (RFC 9293, MUST-17: Nagle's algorithm is off).
    pub nodelay: bool,
    /// `TCP_CORK`: only full segments leave, for at most 200 ms.
    pub cork: bool,
    /// `TCP_QUICKACK`: acknowledgements are not delayed.
    pub quick_ack: bool,
    /// `SO_KEEPALIVE` (MUST-25: off unless asked for).
    pub keepalive: bool,
    /// `TCP_KEEPIDLE`: silence before the first probe.
    pub keep_idle: Duration,
    /// `TCP_KEEPINTVL`: time between probes.
    pub keep_interval: Duration,
    /// `TCP_KEEPCNT`: unanswered probes before the connection is given up.
    pub keep_count: u8,
    /// `TCP_USER_TIMEOUT` (RFC 5482, and MUST-21: R2 as a time): how long data may stay unacknowledged.
    pub user_timeout: Option<Duration>,
    /// `TCP_SYNCNT`: how often a SYN is sent again; `None` keeps trying for three minutes (MUST-23).
    pub syn_retries: Option<u8>,
    /// `TCP_LINGER2`: how long an orphan waits in FIN-WAIT-2.
    pub fin_timeout: Duration,
    /// `TCP_MAXSEG`: an upper bound for segments, both ways.
    pub max_segment: Option<u16>,
    /// `TCP_DEFER_ACCEPT`: a connection is offered for accepting once it has data, or after this long.
    pub defer_accept: Option<Duration>,
    /// `SO_SNDBUF`: bytes that the program may be ahead of the peer.
    pub send_buffer: usize,
    /// `SO_RCVBUF`: bytes that the peer may be ahead of the program.
    pub receive_buffer: usize,
    /// The window begins smaller and grows with use, up to `receive_buffer`; off where a program has set that.
    pub receive_grows: bool,
    /// `TCP_NOTSENT_LOWAT`: with more than this unsent the socket is not writable.
    pub not_sent_low_water: usize,
    /// `TCP_WINDOW_CLAMP`: the largest window to offer.
    pub window_clamp: Option<u32>,
    /// Of packets of IPv4, and of IPv6: how far they go (MUST-49), of which service (MUST-48, SHLD-22; the two ECN bits are TCP's own).
    pub family: [FamilyOptions; 2],
    /// The label of all packets of IPv6, 20 bits; 0: one of the stack's making, if any.
    pub flow_label: u32,
    /// What packets have besides.
    pub extras: Option<Arc<Extras>>,
    /// `SO_ATTACH_FILTER`: what arrives goes through it first. A listener's judges SYNs and third segments, too.
    pub filter: Option<Arc<Program>>,
    /// What is to be heard of packets of IPv6, besides how the connection began.
    pub interest: Interest,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            nodelay: false,
            cork: false,
            quick_ack: false,
            keepalive: false,
            keep_idle: Duration::from_secs(7_200),
            keep_interval: Duration::from_secs(75),
            keep_count: 9,
            user_timeout: None,
            syn_retries: None,
            fin_timeout: Duration::from_secs(60),
            max_segment: None,
            defer_accept: None,
            send_buffer: 1 << 20,
            receive_buffer: 6 << 20,
            receive_grows: true,
            not_sent_low_water: usize::MAX,
            window_clamp: None,
            family: [FamilyOptions::default(); 2],
            flow_label: 0,
            extras: None,
            filter: None,
            interest: Interest::default(),
        }
    }
}

impl Options {
    /// What is said of the packets of one family.
    pub(crate) fn of(&self, ipv6: bool) -> &FamilyOptions {
        &self.family[usize::from(ipv6)]
    }

    /// What packets of one family have besides, if anything.
    pub(crate) fn extras(&self, ipv6: bool) -> Option<&Extras> {
        self.extras.as_deref().filter(|extras| extras.len(ipv6) > 0)
    }
}
