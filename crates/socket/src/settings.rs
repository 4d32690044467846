//! What a program has set on a socket, and the bytes in which it says so.
//!
//! [`Settings`] is the meaning; [`Settings::set`] and [`Settings::value`] are setsockopt and getsockopt on it: level, name and
//! bytes exactly as Linux lays them out, with Linux's limits and its errors. Options that ask about a live socket (its
//! error, its kind, its TCP_INFO) are answered by the socket itself, in `option.rs`. An option that this host does not
//! do is refused with ENOPROTOOPT, never taken in silence: a program that believes it was heard hangs later, where
//! nobody looks for the reason. One is taken, kept and reported without effect, because many programs set it and none can tell:
//! SO_PRIORITY orders a kernel's queues, of which there are none here. SO_MARK names a route of the kernel's, and is
//! refused as Linux refuses it to everybody but the administrator (EPERM); its value is 0. A switch that this host does not have can be asked for and
//! turned off, as it is off.
//!
//! Buffer sizes follow Linux: what a program asks for is bounded by the host's limit, doubled (for bookkeeping), and reported
//! doubled.

use core::time::Duration;

use sockeye_stack::PortId;

use crate::errno::Errno;
use crate::names::*;
use crate::switches::Asker;
use crate::udp_lite;

pub use crate::advanced::{Advanced, Switch};
pub use crate::ipv6::Ipv6Settings;
pub use crate::raw::RawSettings;
pub use crate::udp_lite::UdpLiteSettings;

/// The largest SO_SNDBUF or SO_RCVBUF that a program may ask for, before doubling (net.core.wmem_max, rmem_max).
pub const BUFFER_MAX: i32 = 4 << 20;
const SEND_BUFFER_MIN: i32 = 4_608;
const RECEIVE_BUFFER_MIN: i32 = 2_304;
/// TCP_KEEPIDLE, TCP_KEEPINTVL: at most 32,767 s.
const KEEP_SECONDS_MAX: i32 = 32_767;
const KEEP_COUNT_MAX: i32 = 127;
const MAXSEG_MIN: i32 = 88;
const MAXSEG_MAX: i32 = 32_767;
/// Names of congestion controls are shorter than this (TCP_CA_NAME_MAX).
const CONGESTION_NAME_MAX: usize = 16;
/// The congestion control that the stack has.
const CONGESTION: &[u8] = b"reno";

/// Switches that this host does not have: they are off, and whoever turns one on is refused.
const ALWAYS_OFF: [i32; 8] = [
    SO_DEBUG,
    SO_PASSCRED,
    SO_PASSSEC,
    SO_WIFI_STATUS,
    SO_SELECT_ERR_QUEUE,
    SO_BUSY_POLL,
    SO_ZEROCOPY,
    SO_PREFER_BUSY_POLL,
];

/// Who asks: some settings are for the administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Any program.
    User,
    /// Root, or whoever runs the node.
    Administrator,
}

/// Everything that can be set on a socket, in units of the house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// SO_BROADCAST.
    pub broadcast: bool,
    /// SO_SNDBUF as reported (doubled); `None` until set: the stack's own default.
    pub send_buffer: Option<i32>,
    /// SO_RCVBUF as reported (doubled).
    pub receive_buffer: Option<i32>,
    /// SO_LINGER in seconds.
    pub linger: Option<i32>,
    /// SO_DONTROUTE.
    pub dont_route: bool,
    /// SO_RXQ_OVFL: datagrams tell how many were lost before them.
    pub tells_lost: bool,
    /// SO_TIMESTAMPING: what is asked for, of `SOF_TIMESTAMPING_RX_SOFTWARE` and `SOF_TIMESTAMPING_SOFTWARE`.
    pub timestamping: i32,
    /// SO_PRIORITY; without effect.
    pub priority: i32,
    /// SO_TIMESTAMP or SO_TIMESTAMPNS: datagrams carry the moment they came in.
    pub timestamp: Option<TimestampKind>,
    /// SO_OOBINLINE.
    pub oob_inline: bool,
    /// The TCP level.
    pub tcp: TcpSettings,
    /// The IP level.
    pub ip: IpSettings,
    /// The IPv6 level; none on a socket of AF_INET.
    pub ipv6: Option<Ipv6Settings>,
    /// What only raw and echo sockets have.
    pub raw: Option<RawSettings>,
    /// What only sockets of UDP-Lite have.
    pub udp_lite: Option<UdpLiteSettings>,
    /// What RFC 3542 and Linux add.
    pub advanced: Advanced,
}

/// Which control message brings the time of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampKind {
    /// SO_TIMESTAMP, a `timeval`.
    Micros,
    /// SO_TIMESTAMPNS, a `timespec`.
    Nanos,
}

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
    /// TCP_DEFER_ACCEPT in seconds; zero: off.
    pub defer_accept: i32,
}

/// Options of level IPPROTO_IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpSettings {
    /// IP_TOS.
    pub tos: u8,
    /// IP_TTL; `None`: the host's own.
    pub ttl: Option<u8>,
    /// IP_MTU_DISCOVER, one of IP_PMTUDISC_*.
    pub mtu_discover: i32,
    /// IP_PKTINFO.
    pub packet_info: bool,
    /// IP_RECVTTL.
    pub receive_ttl: bool,
    /// IP_RECVTOS.
    pub receive_tos: bool,
    /// IP_RECVERR: errors are kept for the program one by one.
    pub receive_errors: bool,
    /// IP_BIND_ADDRESS_NO_PORT: bind to port 0 leaves the port to connect or listen.
    pub bind_address_no_port: bool,
    /// IP_MINTTL: what came from farther away is not taken.
    pub min_ttl: u8,
    /// IP_UNICAST_IF.
    pub unicast_port: Option<PortId>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            reuse_address: false,
            reuse_port: false,
            broadcast: false,
            send_buffer: None,
            receive_buffer: None,
            linger: None,
            dont_route: false,
            tells_lost: false,
            timestamping: 0,
            priority: 0,
            timestamp: None,
            oob_inline: false,
            tcp: TcpSettings {
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
            },
            ip: IpSettings {
                tos: 0,
                ttl: None,
                mtu_discover: IP_PMTUDISC_WANT,
                packet_info: false,
                receive_ttl: false,
                receive_tos: false,
                receive_errors: false,
                bind_address_no_port: false,
                min_ttl: 0,
                unicast_port: None,
            },
            ipv6: None,
            raw: None,
            udp_lite: None,
            advanced: Advanced::default(),
        }
    }
}

/// UDP and UDP-Lite understand each other's level.
pub fn datagram_level(level: i32) -> i32 {
    if level == IPPROTO_UDPLITE { IPPROTO_UDP } else { level }
}

/// SYN retransmissions and the FIN-WAIT-2 timeout when nothing was set (net.ipv4.tcp_syn_retries, tcp_fin_timeout).
const SYN_COUNT: i32 = 6;
const FIN_TIMEOUT: i32 = 60;
pub(crate) const TTL: i32 = 64;

impl Settings {
    /// setsockopt on a stream (`stream`) or datagram socket.
    pub fn set(&mut self, stream: bool, who: Privilege, level: i32, name: i32, bytes: &[u8]) -> Result<(), Errno> {
        let ipv6 = self.ipv6.is_some();
        if let Some(set) = self.raw.as_mut().and_then(|raw| raw.set(ipv6, level, name, bytes)) {
            return set;
        }
        let asker = self.asker(stream);
        let level = datagram_level(level);
        if !stream && let Some(set) = udp_lite::set(self.udp_lite.as_mut(), level, name, bytes) {
            return set;
        }
        if let Some(set) = self.advanced.set(asker, who, (level, name), bytes) {
            return set;
        }
        match level {
            SOL_SOCKET => self.set_socket(stream, who, name, bytes),
            IPPROTO_TCP if stream => self.tcp.set(name, bytes),
            IPPROTO_IP => self.ip.set(stream, name, bytes),
            IPPROTO_IPV6 => self.ipv6.as_mut().ok_or(Errno::ENOPROTOOPT)?.set(stream, name, bytes),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    /// getsockopt of what can be set: the value as Linux lays it out.
    pub fn value(&self, stream: bool, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        if let Some(value) = self.raw.and_then(|raw| raw.value(self.ipv6.is_some(), level, name)) {
            return value;
        }
        let level = datagram_level(level);
        if !stream && let Some(value) = udp_lite::value(self.udp_lite, level, name) {
            return Ok(value);
        }
        if let Some(value) = self.advanced.value(self.asker(stream), level, name) {
            return Ok(value);
        }
        match level {
            SOL_SOCKET => self.socket_value(stream, name),
            IPPROTO_TCP if stream => self.tcp.value(name),
            IPPROTO_IP => self.ip.value(stream, name).map(int),
            IPPROTO_IPV6 if let Some(ipv6) = &self.ipv6 => ipv6.value(stream, name).map(int),
            IPPROTO_UDP if !stream => Err(Errno::ENOPROTOOPT),
            // The last to be asked is IP, of either kind, and each says so in its own way.
            _ => Err(if self.ipv6.is_some() { Errno::ENOPROTOOPT } else { Errno::EOPNOTSUPP }),
        }
    }

    fn asker(&self, stream: bool) -> Asker {
        Asker { ipv6: self.ipv6.is_some(), stream, raw: self.raw.is_some_and(|raw| raw.is_raw()) }
    }

    fn set_socket(&mut self, stream: bool, who: Privilege, name: i32, bytes: &[u8]) -> Result<(), Errno> {
        let value = read_int(bytes)?;
        let administrator = who == Privilege::Administrator;
        match name {
            SO_REUSEADDR => self.reuse_address = value != 0,
            SO_REUSEPORT => self.reuse_port = value != 0,
            SO_BROADCAST => self.broadcast = value != 0,
            SO_KEEPALIVE => self.tcp.keepalive = value != 0,
            SO_OOBINLINE => self.oob_inline = value != 0,
            SO_SNDBUF => self.send_buffer = Some(buffer_size(value, BUFFER_MAX, SEND_BUFFER_MIN)),
            SO_RCVBUF => self.receive_buffer = Some(buffer_size(value, BUFFER_MAX, RECEIVE_BUFFER_MIN)),
            SO_SNDBUFFORCE | SO_RCVBUFFORCE if !administrator => return Err(Errno::EPERM),
            SO_SNDBUFFORCE => self.send_buffer = Some(buffer_size(value, 16 * BUFFER_MAX, SEND_BUFFER_MIN)),
            SO_RCVBUFFORCE => self.receive_buffer = Some(buffer_size(value, 16 * BUFFER_MAX, RECEIVE_BUFFER_MIN)),
            SO_LINGER => {
                let seconds = read_int(bytes.get(4..).ok_or(Errno::EINVAL)?)?;
                self.linger = (value != 0).then_some(seconds.max(0));
            }
            SO_PRIORITY if !administrator && !(0..=6).contains(&value) => return Err(Errno::EPERM),
            SO_PRIORITY => self.priority = value,
            SO_MARK => return Err(Errno::EPERM),
            SO_DONTROUTE if !stream => self.dont_route = value != 0,
            SO_RXQ_OVFL if !stream => self.tells_lost = value != 0,
            SO_TIMESTAMPING if !stream => {
                const DONE: i32 = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
                if value & !DONE != 0 {
                    return Err(Errno::EINVAL);
                }
                self.timestamping = value;
            }
            // As Linux: once it meant something.
            SO_BSDCOMPAT => {}
            SO_DEBUG if value != 0 && !administrator => return Err(Errno::EACCES),
            SO_BUSY_POLL if value < 0 => return Err(Errno::EINVAL),
            SO_BUSY_POLL if value > 0 && !administrator => return Err(Errno::EPERM),
            // They are as they were born.
            SO_RCVLOWAT if (0..=1).contains(&value) => {}
            name if value == 0 && ALWAYS_OFF.contains(&name) => {}
            SO_TIMESTAMP if !stream => self.timestamp = (value != 0).then_some(TimestampKind::Micros),
            SO_TIMESTAMPNS if !stream => self.timestamp = (value != 0).then_some(TimestampKind::Nanos),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn socket_value(&self, stream: bool, name: i32) -> Result<Vec<u8>, Errno> {
        let value = match name {
            SO_REUSEADDR => self.reuse_address.into(),
            SO_REUSEPORT => self.reuse_port.into(),
            SO_BROADCAST => self.broadcast.into(),
            SO_KEEPALIVE => self.tcp.keepalive.into(),
            SO_OOBINLINE => self.oob_inline.into(),
            SO_SNDBUF => self.send_buffer.unwrap_or(if stream { 16_384 } else { 212_992 }),
            SO_RCVBUF => self.receive_buffer.unwrap_or(if stream { 131_072 } else { 212_992 }),
            SO_PRIORITY => self.priority,
            SO_MARK => 0,
            SO_DONTROUTE if !stream => self.dont_route.into(),
            SO_RXQ_OVFL if !stream => self.tells_lost.into(),
            SO_TIMESTAMPING if !stream => {
                // With the clock that it is bound to: none.
                let mut bytes = int(self.timestamping);
                bytes.extend(int(0));
                return Ok(bytes);
            }
            SO_BSDCOMPAT => 0,
            SO_RCVLOWAT | SO_SNDLOWAT => 1,
            // Nobody knows.
            SO_INCOMING_CPU => -1,
            // SKF_AD_MAX: filters know all of them.
            SO_BPF_EXTENSIONS => 64,
            SO_PEERCRED => return Ok([0, -1, -1].into_iter().flat_map(int).collect()),
            name if ALWAYS_OFF.contains(&name) => 0,
            SO_TIMESTAMP => (self.timestamp == Some(TimestampKind::Micros)).into(),
            SO_TIMESTAMPNS => (self.timestamp == Some(TimestampKind::Nanos)).into(),
            SO_LINGER => {
                let mut bytes = int(self.linger.is_some().into());
                bytes.extend(self.linger.unwrap_or(0).to_ne_bytes());
                return Ok(bytes);
            }
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(int(value))
    }
}

impl TcpSettings {
    fn set(&mut self, name: i32, bytes: &[u8]) -> Result<(), Errno> {
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
            TCP_DEFER_ACCEPT => self.defer_accept = value.max(0),
            TCP_WINDOW_CLAMP => self.window_clamp = (value > 0).then_some(value.cast_unsigned()),
            TCP_USER_TIMEOUT if value < 0 => return Err(Errno::EINVAL),
            TCP_USER_TIMEOUT => self.user_timeout = Duration::from_millis(u64::from(value.cast_unsigned())),
            TCP_NOTSENT_LOWAT => self.not_sent_low_water = (value != 0).then_some(value.cast_unsigned()),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn value(&self, name: i32) -> Result<Vec<u8>, Errno> {
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
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(int(value))
    }
}

impl IpSettings {
    fn set(&mut self, stream: bool, name: i32, bytes: &[u8]) -> Result<(), Errno> {
        // Nothing at all is 0, but not for all.
        let value = if bytes.is_empty() && !matches!(name, IP_TTL | IP_MINTTL) { 0 } else { read_int_or_byte(bytes)? };
        match name {
            // The two bits of ECN belong to TCP.
            IP_TOS if stream => self.tos = (value as u8 & !0b11) | (self.tos & 0b11),
            IP_TOS => self.tos = value as u8,
            IP_TTL if value == -1 => self.ttl = None,
            IP_TTL => self.ttl = Some(within(value, 1, 255)? as u8),
            IP_MTU_DISCOVER => self.mtu_discover = within(value, IP_PMTUDISC_DONT, IP_PMTUDISC_OMIT)?,
            IP_MINTTL => self.min_ttl = within(value, 0, 255)? as u8,
            IP_RECVERR if !stream => self.receive_errors = value != 0,
            IP_PKTINFO => self.packet_info = value != 0,
            IP_RECVTTL => self.receive_ttl = value != 0,
            IP_RECVTOS => self.receive_tos = value != 0,
            IP_BIND_ADDRESS_NO_PORT => self.bind_address_no_port = value != 0,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn value(&self, stream: bool, name: i32) -> Result<i32, Errno> {
        Ok(match name {
            IP_TOS => self.tos.into(),
            IP_TTL => self.ttl.map_or(TTL, i32::from),
            IP_MTU_DISCOVER => self.mtu_discover,
            IP_PKTINFO => self.packet_info.into(),
            IP_RECVTTL => self.receive_ttl.into(),
            IP_RECVTOS => self.receive_tos.into(),
            IP_RECVERR if !stream => self.receive_errors.into(),
            IP_BIND_ADDRESS_NO_PORT => self.bind_address_no_port.into(),
            IP_MINTTL => self.min_ttl.into(),
            IP_UNICAST_IF => network_order(self.unicast_port),
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }
}

/// What getsockopt copies of a value to a buffer of `len` bytes: at the IP level a number that fits into a byte is one, where there is no room for an
/// int.
pub fn cut_value(level: i32, name: i32, mut value: Vec<u8>, len: usize) -> Vec<u8> {
    let number = value.first_chunk().map(|&bytes| i32::from_ne_bytes(bytes));
    if level == IPPROTO_IP
        && !matches!(name, IP_OPTIONS | IP_MULTICAST_IF)
        && value.len() == 4
        && (1..4).contains(&len)
        && let Some(number @ 0..=255) = number
    {
        return vec![number as u8];
    }
    value.truncate(len);
    value
}

/// A port's number for programs, as IP_UNICAST_IF and its kin have it.
pub(crate) fn network_order(port: Option<PortId>) -> i32 {
    port.map_or(0, PortId::interface_index).to_be().cast_signed()
}

/// An `int` as getsockopt returns it.
pub(crate) fn int(value: i32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

pub(crate) fn read_int(bytes: &[u8]) -> Result<i32, Errno> {
    bytes.first_chunk().map(|&bytes| i32::from_ne_bytes(bytes)).ok_or(Errno::EINVAL)
}

/// At the IP level a `char` will do as well.
pub(crate) fn read_int_or_byte(bytes: &[u8]) -> Result<i32, Errno> {
    read_int(bytes).or_else(|errno| bytes.first().map(|&byte| byte.into()).ok_or(errno))
}

pub(crate) fn within(value: i32, low: i32, high: i32) -> Result<i32, Errno> {
    if (low..=high).contains(&value) { Ok(value) } else { Err(Errno::EINVAL) }
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(u64::from(value.max(0).cast_unsigned()))
}

fn buffer_size(asked: i32, limit: i32, least: i32) -> i32 {
    // A negative size is a huge one, as in Linux, which compares without sign.
    let asked = if asked < 0 { limit } else { asked.min(limit) };
    asked.saturating_mul(2).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &mut Settings, level: i32, name: i32, value: i32) -> Result<(), Errno> {
        settings.set(true, Privilege::User, level, name, &value.to_ne_bytes())
    }

    fn value(settings: &Settings, level: i32, name: i32) -> i32 {
        read_int(&settings.value(true, level, name).expect("known")).expect("an int")
    }

    #[test]
    fn every_int_option_comes_back_as_it_was_set() {
        let options = [
            (SOL_SOCKET, SO_REUSEADDR, 1),
            (SOL_SOCKET, SO_REUSEPORT, 1),
            (SOL_SOCKET, SO_BROADCAST, 1),
            (SOL_SOCKET, SO_KEEPALIVE, 1),
            (SOL_SOCKET, SO_OOBINLINE, 1),
            (SOL_SOCKET, SO_PRIORITY, 6),
            (IPPROTO_TCP, TCP_NODELAY, 1),
            (IPPROTO_TCP, TCP_CORK, 1),
            (IPPROTO_TCP, TCP_QUICKACK, 0),
            (IPPROTO_TCP, TCP_MAXSEG, 1_000),
            (IPPROTO_TCP, TCP_KEEPIDLE, 5),
            (IPPROTO_TCP, TCP_KEEPINTVL, 6),
            (IPPROTO_TCP, TCP_KEEPCNT, 7),
            (IPPROTO_TCP, TCP_SYNCNT, 3),
            (IPPROTO_TCP, TCP_LINGER2, 9),
            (IPPROTO_TCP, TCP_LINGER2, -1),
            (IPPROTO_TCP, TCP_DEFER_ACCEPT, 4),
            (IPPROTO_TCP, TCP_WINDOW_CLAMP, 9_000),
            (IPPROTO_TCP, TCP_USER_TIMEOUT, 1_500),
            (IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16_384),
            (IPPROTO_IP, IP_TOS, 0x10),
            (IPPROTO_IP, IP_TTL, 3),
            (IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO),
            (IPPROTO_IP, IP_PKTINFO, 1),
            (IPPROTO_IP, IP_RECVTTL, 1),
            (IPPROTO_IP, IP_RECVTOS, 1),
            (IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1),
        ];
        let mut settings = Settings::default();
        for (level, name, wanted) in options {
            set(&mut settings, level, name, wanted).unwrap_or_else(|errno| panic!("{level}/{name}: {errno}"));
            assert_eq!(value(&settings, level, name), wanted, "{level}/{name}");
        }
    }

    #[test]
    fn buffers_are_doubled_and_bounded() {
        let mut settings = Settings::default();
        set(&mut settings, SOL_SOCKET, SO_RCVBUF, 100_000).unwrap();
        assert_eq!(value(&settings, SOL_SOCKET, SO_RCVBUF), 200_000);
        set(&mut settings, SOL_SOCKET, SO_SNDBUF, 1).unwrap();
        assert_eq!(value(&settings, SOL_SOCKET, SO_SNDBUF), SEND_BUFFER_MIN);
        set(&mut settings, SOL_SOCKET, SO_SNDBUF, i32::MAX).unwrap();
        assert_eq!(value(&settings, SOL_SOCKET, SO_SNDBUF), 2 * BUFFER_MAX);
        set(&mut settings, SOL_SOCKET, SO_SNDBUF, -1).unwrap();
        assert_eq!(value(&settings, SOL_SOCKET, SO_SNDBUF), 2 * BUFFER_MAX);
    }

    #[test]
    fn linger_is_two_ints() {
        let mut settings = Settings::default();
        let linger = |on: i32, time: i32| [on.to_ne_bytes(), time.to_ne_bytes()].concat();
        settings.set(true, Privilege::User, SOL_SOCKET, SO_LINGER, &linger(1, 0)).unwrap();
        assert_eq!(settings.linger, Some(0));
        assert_eq!(settings.value(true, SOL_SOCKET, SO_LINGER), Ok(linger(1, 0)));
        assert_eq!(settings.set(true, Privilege::User, SOL_SOCKET, SO_LINGER, &[1, 0, 0, 0]), Err(Errno::EINVAL));
    }

    #[test]
    fn what_is_not_done_is_refused() {
        let mut settings = Settings::default();
        // SO_ATTACH_FILTER, SO_MAX_PACING_RATE, TCP_FASTOPEN, TCP_ULP, TCP_MD5SIG, IP_HDRINCL, IP_RECVERR, IP_IPSEC_POLICY,
        // IP_ADD_MEMBERSHIP, IPV6_V6ONLY
        let refused =
            [(1, 26), (1, 47), (6, 23), (6, 31), (6, 14), (0, 3), (0, 11), (0, 16), (0, 35), (41, 26), (-1, 0)];
        for (level, name) in refused {
            assert_eq!(set(&mut settings, level, name, 1), Err(Errno::ENOPROTOOPT), "{level}/{name}");
            let unknown = if level == 41 || level == -1 { Errno::EOPNOTSUPP } else { Errno::ENOPROTOOPT };
            assert_eq!(settings.value(true, level, name), Err(unknown), "{level}/{name}");
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn wrong_values_are_refused() {
        let mut settings = Settings::default();
        for (level, name, wrong) in [(6, TCP_KEEPIDLE, 0), (6, TCP_MAXSEG, 87), (0, IP_TTL, 256), (0, IP_TTL, 0)] {
            assert_eq!(set(&mut settings, level, name, wrong), Err(Errno::EINVAL), "{level}/{name}");
        }
        assert_eq!(set(&mut settings, SOL_SOCKET, SO_MARK, 1), Err(Errno::EPERM));
        assert_eq!(value(&settings, SOL_SOCKET, SO_MARK), 0);
        assert_eq!(set(&mut settings, SOL_SOCKET, SO_PRIORITY, 7), Err(Errno::EPERM));
        assert_eq!(settings.set(true, Privilege::User, SOL_SOCKET, SO_REUSEADDR, &[1]), Err(Errno::EINVAL));
        assert_eq!(settings.set(true, Privilege::User, IPPROTO_TCP, TCP_CONGESTION, b"vegas"), Err(Errno::ENOENT));
        assert_eq!(settings.set(true, Privilege::User, IPPROTO_TCP, TCP_CONGESTION, b"reno\0rest"), Ok(()));
    }
}

// Linux man pages socket(7), tcp(7), ip(7), udp(7); POSIX.1-2017 XSH 2.10.16.
