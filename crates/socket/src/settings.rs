//! What a program has set on a socket, and the bytes in which it says so.
//!
//! [`Settings`] is the meaning; [`Settings::set`] and [`Settings::value`] are setsockopt and getsockopt on it: level, name and
//! bytes exactly as Linux lays them out, with Linux's limits and its errors. Options that ask about a live socket (its
//! error, its kind, its TCP_INFO) are answered by the socket itself, in `options.rs`. An option that this host does not
//! do is refused with ENOPROTOOPT, never taken in silence: a program that believes it was heard hangs later, where
//! nobody looks for the reason. One is taken, kept and reported without effect, because many programs set it and none can tell:
//! SO_PRIORITY orders a kernel's queues, of which there are none here. SO_MARK names a route of the kernel's, and is
//! refused as Linux refuses it to everybody but the administrator (EPERM); its value is 0. A switch that this host does not have can be asked for and
//! turned off, as it is off.
//!
//! Buffer sizes follow Linux: what a program asks for is bounded by the host's limit, doubled (for bookkeeping), and reported
//! doubled.

mod ip;
mod tcp;
#[cfg(test)]
mod tests;

use sockeye_stack::PortId;

use crate::errno::Errno;
use crate::names::*;
use crate::switches::Asker;
use crate::udp_lite;

pub use crate::advanced::{Advanced, Switch};
pub use crate::ipv6::Ipv6Settings;
pub use crate::raw::RawSettings;
pub use crate::udp_lite::UdpLiteSettings;
pub(crate) use ip::TTL;
pub use ip::{IpSettings, cut_value};
pub use tcp::{BACKLOG_MAX, FIN_TIMEOUT, SYN_COUNT, TcpSettings};

/// The largest SO_SNDBUF or SO_RCVBUF that a program may ask for, before doubling (net.core.wmem_max, rmem_max).
pub const BUFFER_MAX: i32 = 4 << 20;
/// SO_SNDBUF and SO_RCVBUF of a datagram socket at first (net.core.wmem_default, rmem_default).
pub const DATAGRAM_BUFFER: i32 = 212_992;
const SEND_BUFFER_MIN: i32 = 4_608;
const RECEIVE_BUFFER_MIN: i32 = 2_304;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// UDP and UDP-Lite understand each other's level.
pub fn datagram_level(level: i32) -> i32 {
    if level == IPPROTO_UDPLITE { IPPROTO_UDP } else { level }
}

impl Settings {
    /// Whether errors are kept for the program one by one (IP_RECVERR, IPV6_RECVERR).
    pub fn receives_errors(&self) -> bool {
        self.ip.receive_errors || self.ipv6.is_some_and(|ipv6| ipv6.receive_errors)
    }

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
            IPPROTO_TCP if stream => self.tcp.set(who, name, bytes),
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
            IPPROTO_IP => self.ip.value(name).map(int),
            IPPROTO_IPV6 if let Some(ipv6) = &self.ipv6 => ipv6.value(name).map(int),
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
            SO_SNDBUF => self.send_buffer.unwrap_or(if stream { 16_384 } else { DATAGRAM_BUFFER }),
            SO_RCVBUF => self.receive_buffer.unwrap_or(if stream { 131_072 } else { DATAGRAM_BUFFER }),
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

fn buffer_size(asked: i32, limit: i32, least: i32) -> i32 {
    // A negative size is a huge one, as in Linux, which compares without sign.
    let asked = if asked < 0 { limit } else { asked.min(limit) };
    asked.saturating_mul(2).max(least)
}

// Linux man pages socket(7), tcp(7), ip(7), udp(7); POSIX.1-2017 XSH 2.10.16.
