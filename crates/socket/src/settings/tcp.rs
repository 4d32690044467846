//! Options of level IPPROTO_TCP.
//!
//! What this host does not do is refused, and asked it says that it is off, as docs/options.md tells number by number. Connections are opened without
//! data (RFC 7413 is not done), as on a Linux whose `tcp_fastopen` is 0: there, how many may wait at a listener is kept, and whoever wants to
//! connect so is told that it cannot be (EOPNOTSUPP).

use core::time::Duration;

use sockeye_stack::tcp;

use crate::errno::Errno;
use crate::names::*;
use crate::settings::{Privilege, int, read_int, within};

/// TCP_KEEPIDLE, TCP_KEEPINTVL: at most 32,767 s.
const KEEP_SECONDS_MAX: i32 = 32_767;
const KEEP_COUNT_MAX: i32 = 127;
const WINDOW_CLAMP_MIN: i32 = 1_152;
/// Linux's: a shift of a time in microseconds.
const TX_DELAY_MAX: i32 = (1 << 28) - 1;
/// The longest queue of a listener (net.core.somaxconn).
pub const BACKLOG_MAX: i32 = 4_096;
const MAXSEG_MIN: i32 = 88;
const MAXSEG_MAX: i32 = 32_767;
/// Names of congestion controls are shorter than this (TCP_CA_NAME_MAX).
const CONGESTION_NAME_MAX: usize = 16;
/// The congestion control that the stack has.
const CONGESTION: &[u8] = b"reno";
/// SYN retransmissions when nothing was set (net.ipv4.tcp_syn_retries).
pub const SYN_COUNT: i32 = 6;
/// The FIN-WAIT-2 timeout in seconds when nothing was set (net.ipv4.tcp_fin_timeout).
pub const FIN_TIMEOUT: i32 = 60;

/// Options of level IPPROTO_TCP, and SO_KEEPALIVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpSettings {
    /// TCP_NODELAY.
    pub no_delay: bool,
    /// TCP_CORK.
    pub cork: bool,
    /// TCP_QUICKACK; `None`: as the connection's traffic suggests.
    pub quick_ack: Option<bool>,
    /// TCP_MAXSEG, in bytes.
    pub max_segment: Option<u16>,
    /// SO_KEEPALIVE.
    pub keepalive: bool,
    /// TCP_KEEPIDLE.
    pub keep_idle: Duration,
    /// TCP_KEEPINTVL.
    pub keep_interval: Duration,
    /// TCP_KEEPCNT.
    pub keep_count: u8,
    /// TCP_USER_TIMEOUT; zero: the host's own.
    pub user_timeout: Duration,
    /// TCP_SYNCNT: retransmissions of SYN; `None`: the host's own.
    pub syn_count: Option<u8>,
    /// TCP_NOTSENT_LOWAT in bytes; `None`: no mark.
    pub not_sent_low_water: Option<u32>,
    /// TCP_WINDOW_CLAMP in bytes.
    pub window_clamp: Option<u32>,
    /// TCP_LINGER2: FIN-WAIT-2 after close; `None`: the host's own.
    pub linger2: Option<Duration>,
    /// TCP_DEFER_ACCEPT in seconds, as many as some number of SYNs takes; zero: off.
    pub defer_accept: i32,
    /// TCP_FASTOPEN: connections that may wait before they stand; there are none.
    pub fast_open: i32,
}

impl Default for TcpSettings {
    fn default() -> Self {
        TcpSettings {
            no_delay: false,
            cork: false,
            quick_ack: None,
            max_segment: None,
            keepalive: false,
            keep_idle: Duration::from_secs(7_200),
            keep_interval: Duration::from_secs(75),
            keep_count: 9,
            user_timeout: Duration::ZERO,
            syn_count: None,
            not_sent_low_water: None,
            window_clamp: None,
            linger2: None,
            defer_accept: 0,
            fast_open: 0,
        }
    }
}

impl TcpSettings {
    pub(super) fn set(&mut self, who: Privilege, name: i32, bytes: &[u8]) -> Result<(), Errno> {
        if matches!(name, TCP_CONGESTION | TCP_ULP) && bytes.is_empty() {
            return Err(Errno::EINVAL);
        }
        if name == TCP_ULP {
            // There is no layer above.
            return Err(Errno::ENOENT);
        }
        if name == TCP_CONGESTION {
            let name = &bytes[..bytes.len().min(CONGESTION_NAME_MAX)];
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            return if name == CONGESTION { Ok(()) } else { Err(Errno::ENOENT) };
        }
        let value = read_int(bytes)?;
        match name {
            TCP_NODELAY => self.no_delay = value != 0,
            TCP_CORK => self.cork = value != 0,
            TCP_QUICKACK => self.quick_ack = Some(value != 0),
            TCP_MAXSEG if value == 0 => self.max_segment = None,
            TCP_MAXSEG => self.max_segment = Some(within(value, MAXSEG_MIN, MAXSEG_MAX)? as u16),
            TCP_KEEPIDLE => self.keep_idle = seconds(within(value, 1, KEEP_SECONDS_MAX)?),
            TCP_KEEPINTVL => self.keep_interval = seconds(within(value, 1, KEEP_SECONDS_MAX)?),
            TCP_KEEPCNT => self.keep_count = within(value, 1, KEEP_COUNT_MAX)? as u8,
            TCP_SYNCNT => self.syn_count = Some(within(value, 1, KEEP_COUNT_MAX)? as u8),
            TCP_LINGER2 if value <= 0 => self.linger2 = (value < 0).then_some(Duration::ZERO),
            TCP_LINGER2 => self.linger2 = Some(seconds(value.min(2 * FIN_TIMEOUT))),
            TCP_DEFER_ACCEPT => self.defer_accept = time_of_syns(value),
            TCP_WINDOW_CLAMP if value == 0 => self.window_clamp = None,
            TCP_WINDOW_CLAMP => self.window_clamp = Some(value.max(WINDOW_CLAMP_MIN).cast_unsigned()),
            TCP_USER_TIMEOUT if value < 0 => return Err(Errno::EINVAL),
            TCP_USER_TIMEOUT => self.user_timeout = Duration::from_millis(u64::from(value.cast_unsigned())),
            TCP_NOTSENT_LOWAT => self.not_sent_low_water = (value != 0).then_some(value.cast_unsigned()),
            TCP_FASTOPEN if value < 0 => return Err(Errno::EINVAL),
            TCP_FASTOPEN => self.fast_open = value.min(BACKLOG_MAX),
            TCP_FASTOPEN_CONNECT if value == 1 => return Err(Errno::EOPNOTSUPP),
            // Linux itself does nothing with it any more.
            TCP_THIN_DUPACK => drop(within(value, 0, 1)?),
            // Switches that are off. Who asks for none of it gets that.
            TCP_THIN_LINEAR_TIMEOUTS | TCP_FASTOPEN_CONNECT | TCP_FASTOPEN_NO_COOKIE | TCP_INQ => off(value, 0, 1)?,
            TCP_SAVE_SYN => off(value, 0, 2)?,
            TCP_TX_DELAY => off(value, 0, TX_DELAY_MAX)?,
            // Who may not repair is told so first; who does not repair cannot set any of it.
            TCP_REPAIR if who == Privilege::User => return Err(Errno::EPERM),
            // -1 is off, too.
            TCP_REPAIR => off(if value == -1 { 0 } else { value }, 0, 1)?,
            TCP_REPAIR_QUEUE | TCP_REPAIR_WINDOW | TCP_TIMESTAMP => return Err(Errno::EPERM),
            TCP_QUEUE_SEQ | TCP_REPAIR_OPTIONS => return Err(Errno::EINVAL),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    pub(super) fn value(&self, name: i32) -> Result<Vec<u8>, Errno> {
        let whole = |duration: Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let value = match name {
            TCP_NODELAY => self.no_delay.into(),
            TCP_CORK => self.cork.into(),
            TCP_QUICKACK => self.quick_ack.unwrap_or(true).into(),
            TCP_MAXSEG => self.max_segment.unwrap_or(536).into(),
            TCP_KEEPIDLE => whole(self.keep_idle),
            TCP_KEEPINTVL => whole(self.keep_interval),
            TCP_KEEPCNT => self.keep_count.into(),
            TCP_SYNCNT => self.syn_count.map_or(SYN_COUNT, i32::from),
            TCP_LINGER2 => self.linger2.map_or(FIN_TIMEOUT, |time| if time.is_zero() { -1 } else { whole(time) }),
            TCP_DEFER_ACCEPT => self.defer_accept,
            TCP_WINDOW_CLAMP => self.window_clamp.unwrap_or(0).cast_signed(),
            TCP_USER_TIMEOUT => i32::try_from(self.user_timeout.as_millis()).unwrap_or(i32::MAX),
            TCP_NOTSENT_LOWAT => self.not_sent_low_water.unwrap_or(0).cast_signed(),
            TCP_CONGESTION => {
                let mut name = CONGESTION.to_vec();
                name.resize(CONGESTION_NAME_MAX, 0);
                return Ok(name);
            }
            TCP_FASTOPEN => self.fast_open,
            TCP_THIN_LINEAR_TIMEOUTS
            | TCP_THIN_DUPACK
            | TCP_REPAIR
            | TCP_SAVE_SYN
            | TCP_FASTOPEN_CONNECT
            | TCP_FASTOPEN_NO_COOKIE
            | TCP_INQ
            | TCP_TX_DELAY
            | TCP_IS_MPTCP => 0,
            // What is always so.
            TCP_RTO_MAX_MS => whole_units(tcp::MAX_RTO.as_millis()),
            TCP_RTO_MIN_US => whole_units(tcp::MIN_RTO.as_micros()),
            TCP_DELACK_MAX_US => whole_units(tcp::ACK_DELAY.as_micros()),
            // Of this congestion control there is nothing to tell; no SYN was kept; there is no layer above, and no key.
            TCP_CC_INFO | TCP_SAVED_SYN | TCP_ULP | TCP_FASTOPEN_KEY => return Ok(Vec::new()),
            TCP_REPAIR_QUEUE | TCP_QUEUE_SEQ | TCP_REPAIR_WINDOW => return Err(Errno::EINVAL),
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(int(value))
    }
}

/// A switch that this host does not have, or a number that must be 0: what else could be is refused otherwise than what could not.
fn off(value: i32, low: i32, high: i32) -> Result<(), Errno> {
    if within(value, low, high)? == 0 { Ok(()) } else { Err(Errno::ENOPROTOOPT) }
}

/// The time that is over when as many answers to a SYN were sent as take `seconds` at least, the first after one, each pause twice as long as the last
/// and none longer than two minutes: what Linux makes of TCP_DEFER_ACCEPT.
fn time_of_syns(seconds: i32) -> i32 {
    let longest = tcp::MAX_RTO.as_secs() as i32;
    let (mut passed, mut pause) = (0, 1);
    for _ in 0..255 {
        if passed >= seconds {
            break;
        }
        passed += pause;
        pause = longest.min(2 * pause);
    }
    passed
}

fn whole_units(units: u128) -> i32 {
    i32::try_from(units).unwrap_or(i32::MAX)
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(u64::from(value.max(0).cast_unsigned()))
}

// Linux man page tcp(7).
