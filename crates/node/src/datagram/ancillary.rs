//! Control messages: what a program attaches to a datagram, and what its options ask for with one that came.
//!
//! Level, kind and data are Linux's, and so is who understands which: a datagram over IPv4 is asked about at level IP, one over IPv6 at level IPv6,
//! whatever the socket's own family is; only its destination (`IPV6_PKTINFO`) an IPv6 socket is told and may choose for both. What a level does
//! not know is refused (`EINVAL`), what belongs to other levels ignored.
//!
//! # Standards
//!
//! RFC 3542 §6; Linux ip(7), ipv6(7), udp(7), cmsg(3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use sockeye_control::ancillary::{Message, messages, put};
use sockeye_device::Instant;
use sockeye_socket::names::{
    IP_PKTINFO, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, IPV6_HOPLIMIT, IPV6_PKTINFO, IPV6_TCLASS,
    SCM_CREDENTIALS, SCM_RIGHTS, SO_TIMESTAMP, SO_TIMESTAMPNS, SOL_SOCKET, UDP_SEGMENT,
};
use sockeye_socket::settings::TimestampKind;
use sockeye_socket::{Errno, Settings};

/// What a program attached to a datagram; what it said nothing of is the socket's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    /// Where it shall come from.
    pub(crate) from: Option<IpAddr>,
    /// By which interface, as the program knows it.
    pub(crate) port: u32,
    /// Time to live or hop limit.
    pub(crate) ttl: Option<u8>,
    /// Type of service or traffic class.
    pub(crate) tos: Option<u8>,
    /// Cut into datagrams of so many bytes.
    pub(crate) segment: u16,
}

impl Attached {
    /// Reads a list. `v4` says over which protocol the datagram will go.
    pub(crate) fn read(list: &[u8], settings: &Settings, v4: bool) -> Result<Attached, Errno> {
        let mut attached = Attached::default();
        for message in messages(list) {
            let message = message.map_err(|_| Errno::EINVAL)?;
            match message.level {
                SOL_SOCKET => socket(message)?,
                IPPROTO_UDP => attached.udp(message)?,
                IPPROTO_IP if v4 => attached.ip(message)?,
                IPPROTO_IPV6 if v4 && settings.ipv6.is_some() && message.kind == IPV6_PKTINFO => {
                    attached.packet_info(message.data, true)?;
                }
                IPPROTO_IPV6 if !v4 => attached.ipv6(message)?,
                _ => {}
            }
        }
        Ok(attached)
    }

    fn udp(&mut self, Message { kind, data, .. }: Message<'_>) -> Result<(), Errno> {
        match (kind, data.try_into()) {
            (UDP_SEGMENT, Ok(size)) => self.segment = u16::from_ne_bytes(size),
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn ip(&mut self, Message { kind, data, .. }: Message<'_>) -> Result<(), Errno> {
        match kind {
            IP_PKTINFO => {
                // Interface, source, destination (of what was received; unused here).
                let &[a, b, c, d, e, f, g, h, _, _, _, _] = data else { return Err(Errno::EINVAL) };
                self.port = u32::from_ne_bytes([a, b, c, d]);
                self.from = specified(Ipv4Addr::new(e, f, g, h).into());
            }
            IP_TTL => self.ttl = Some(byte(data)?.filter(|&ttl| ttl != 0).ok_or(Errno::EINVAL)?),
            IP_TOS => {
                self.tos = Some(match data {
                    [tos] => *tos,
                    data => byte(data)?.ok_or(Errno::EINVAL)?,
                });
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn ipv6(&mut self, Message { kind, data, .. }: Message<'_>) -> Result<(), Errno> {
        match kind {
            IPV6_PKTINFO => self.packet_info(data, false)?,
            IPV6_HOPLIMIT => self.ttl = byte(data)?,
            IPV6_TCLASS => self.tos = byte(data)?,
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn packet_info(&mut self, data: &[u8], v4: bool) -> Result<(), Errno> {
        let (source, rest) = data.split_first_chunk::<16>().ok_or(Errno::EINVAL)?;
        let port = rest.first_chunk().ok_or(Errno::EINVAL)?;
        let source = Ipv6Addr::from(*source);
        self.port = u32::from_ne_bytes(*port);
        self.from = match source.to_ipv4_mapped() {
            Some(mapped) if v4 => specified(mapped.into()),
            None if !v4 => specified(source.into()),
            _ => return Err(Errno::EINVAL),
        };
        Ok(())
    }
}

/// Descriptors and credentials mean nothing to a datagram of the internet; Linux ignores them.
fn socket(message: Message<'_>) -> Result<(), Errno> {
    match message.kind {
        SCM_RIGHTS | SCM_CREDENTIALS => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

fn specified(address: IpAddr) -> Option<IpAddr> {
    (!address.is_unspecified()).then_some(address)
}

/// An int that fits into a byte; -1 is the socket's own.
fn byte(data: &[u8]) -> Result<Option<u8>, Errno> {
    match data.try_into().map(i32::from_ne_bytes) {
        Ok(-1) => Ok(None),
        Ok(value) => u8::try_from(value).map(Some).map_err(|_| Errno::EINVAL),
        Err(_) => Err(Errno::EINVAL),
    }
}

/// What is known of a datagram that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When.
    pub(crate) at: Instant,
    /// To which address and port, as the stack has it.
    pub(crate) to: SocketAddr,
    /// By which interface, as the program knows it.
    pub(crate) port: u32,
    /// Time to live or hop limit.
    pub(crate) ttl: u8,
    /// Type of service or traffic class.
    pub(crate) tos: u8,
}

/// Appends what a socket's options ask for, in Linux's order.
pub(crate) fn list(list: &mut Vec<u8>, settings: &Settings, now: Instant, arrival: &Arrival) {
    if let Some(kind) = settings.timestamp {
        time(list, kind, now, arrival.at);
    }
    let Arrival { to, port, ttl, tos, .. } = *arrival;
    if let Some(ipv6) = &settings.ipv6 {
        if ipv6.packet_info {
            let IpAddr::V6(destination) = settings.outward(to).ip() else { return };
            let mut info = [0; 20];
            info[..16].copy_from_slice(&destination.octets());
            info[16..].copy_from_slice(&port.to_ne_bytes());
            put(list, IPPROTO_IPV6, IPV6_PKTINFO, &info);
        }
        if to.is_ipv6() {
            if ipv6.receive_hops {
                put(list, IPPROTO_IPV6, IPV6_HOPLIMIT, &i32::from(ttl).to_ne_bytes());
            }
            if ipv6.receive_class {
                put(list, IPPROTO_IPV6, IPV6_TCLASS, &i32::from(tos).to_ne_bytes());
            }
        }
    }
    if let IpAddr::V4(destination) = to.ip() {
        if settings.ip.packet_info {
            let mut info = [0; 12];
            info[..4].copy_from_slice(&port.to_ne_bytes());
            info[4..8].copy_from_slice(&destination.octets());
            info[8..].copy_from_slice(&destination.octets());
            put(list, IPPROTO_IP, IP_PKTINFO, &info);
        }
        if settings.ip.receive_ttl {
            put(list, IPPROTO_IP, IP_TTL, &i32::from(ttl).to_ne_bytes());
        }
        if settings.ip.receive_tos {
            put(list, IPPROTO_IP, IP_TOS, &[tos]);
        }
    }
}

/// When a message arrived: the stack's clock has no date, so what has passed since is subtracted from now.
pub(super) fn time(list: &mut Vec<u8>, kind: TimestampKind, now: Instant, arrived: Instant) {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(now.since(arrived));
    let (kind, fraction) = match kind {
        TimestampKind::Micros => (SO_TIMESTAMP, at.subsec_micros()),
        TimestampKind::Nanos => (SO_TIMESTAMPNS, at.subsec_nanos()),
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&at.as_secs().to_ne_bytes());
    bytes[8..].copy_from_slice(&u64::from(fraction).to_ne_bytes());
    put(list, SOL_SOCKET, kind, &bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_socket::settings::Ipv6Settings;

    fn v6() -> Settings {
        let ipv6 = Ipv6Settings { packet_info: true, receive_hops: true, receive_class: true, ..Default::default() };
        Settings { ipv6: Some(ipv6), ..Settings::default() }
    }

    fn arrival(to: &str) -> Arrival {
        Arrival { at: Instant::ZERO, to: to.parse().unwrap(), port: 3, ttl: 7, tos: 0x28 }
    }

    #[test]
    fn what_is_received_can_be_sent() {
        let mut settings = Settings::default();
        settings.ip.packet_info = true;
        settings.ip.receive_ttl = true;
        settings.ip.receive_tos = true;
        let expected = |from: &str| Attached {
            from: Some(from.parse().unwrap()),
            port: 3,
            ttl: Some(7),
            tos: Some(0x28),
            segment: 0,
        };
        let mut bytes = Vec::new();
        list(&mut bytes, &settings, Instant::ZERO, &arrival("10.0.0.9:53"));
        assert_eq!(Attached::read(&bytes, &settings, true), Ok(expected("10.0.0.9")));
        bytes.clear();
        list(&mut bytes, &v6(), Instant::ZERO, &arrival("[2001:db8::9]:53"));
        assert_eq!(Attached::read(&bytes, &v6(), false), Ok(expected("2001:db8::9")));
        // Of IPv4 an IPv6 socket is told the destination only, mapped.
        bytes.clear();
        list(&mut bytes, &v6(), Instant::ZERO, &arrival("10.0.0.9:53"));
        let mapped = Attached { from: Some("10.0.0.9".parse().unwrap()), port: 3, ..Attached::default() };
        assert_eq!(Attached::read(&bytes, &v6(), true), Ok(mapped));
        assert_eq!(Attached::read(&bytes, &v6(), false), Err(Errno::EINVAL));
        // The time is for receiving only.
        settings.timestamp = Some(TimestampKind::Nanos);
        bytes.clear();
        list(&mut bytes, &settings, Instant::ZERO, &arrival("10.0.0.9:53"));
        assert_eq!(Attached::read(&bytes, &settings, true), Err(Errno::EINVAL));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let one = |level, kind, data: &[u8]| {
            let mut list = Vec::new();
            put(&mut list, level, kind, data);
            list
        };
        let v4 = Settings::default();
        let refused: [(i32, i32, &[u8]); 9] = [
            (IPPROTO_IP, IP_TTL, &256i32.to_ne_bytes()),
            (IPPROTO_IP, IP_TTL, &0i32.to_ne_bytes()),
            (IPPROTO_IP, IP_TTL, &(-1i32).to_ne_bytes()),
            (IPPROTO_IP, IP_TTL, &[1]),
            (IPPROTO_IP, IP_TOS, &[1, 2]),
            (IPPROTO_IP, IP_PKTINFO, &[0; 20]),
            (IPPROTO_IP, 99, &[0; 4]),
            (IPPROTO_UDP, UDP_SEGMENT, &[0; 4]),
            (SOL_SOCKET, SO_TIMESTAMP, &[0; 16]),
        ];
        for (level, kind, data) in refused {
            let read = Attached::read(&one(level, kind, data), &v4, true);
            assert_eq!(read, Err(Errno::EINVAL), "{level} {kind} {data:?}");
        }
        // For others: level IPv6 of an IPv4 socket, a level that nobody knows, a descriptor.
        for (level, kind) in [(IPPROTO_IPV6, IPV6_HOPLIMIT), (77, 99), (SOL_SOCKET, SCM_RIGHTS)] {
            assert_eq!(Attached::read(&one(level, kind, &[0; 4]), &v4, true), Ok(Attached::default()));
        }
        let own = Attached::read(&one(IPPROTO_IPV6, IPV6_HOPLIMIT, &(-1i32).to_ne_bytes()), &v6(), false);
        assert_eq!(own, Ok(Attached::default()));
        assert_eq!(Attached::read(&[0xff; 40], &v4, true), Err(Errno::EINVAL));
    }
}
