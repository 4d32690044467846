//! Control messages of datagrams: what the program attaches when it sends, and what it asked for when it receives.
//!
//! The layout is `struct cmsghdr`: length (with itself), level, type, data, padding to eight bytes. What does not fit into the program's buffer is cut
//! as the kernel cuts it (`put_cmsg`), and told by `MSG_CTRUNC`.

use crate::address::Encoded;
use crate::sys::Errno;
use libc::{c_int, cmsghdr};
use sockeye_control::Family;
use sockeye_control::datagram::{Header, Wanted};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const INVALID: Errno = Errno(libc::EINVAL);
const HEADER: usize = size_of::<cmsghdr>();

/// The longest list that a program may attach; Linux's own limit (`net.core.optmem_max`) is not much larger.
pub(crate) const MAX_SENT: usize = 1024;

const IP_ORIGDSTADDR: c_int = 20;
const IPV6_ORIGDSTADDR: c_int = 74;
const UDP_SEGMENT: c_int = 103;
const UDP_GRO: c_int = 104;

/// Puts what the program attached into the header.
pub(crate) fn read_sent(mut list: &[u8], family: Family, header: &mut Header) -> Result<(), Errno> {
    while let Some((head, _)) = list.split_first_chunk::<HEADER>() {
        let [len, level, kind] = [&head[..8], &head[8..12], &head[12..]].map(native);
        let len = usize::try_from(len).map_err(|_| INVALID)?;
        let data = list.get(HEADER..len).ok_or(INVALID)?;
        attach(level as c_int, kind as c_int, data, family, header)?;
        list = list.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    Ok(())
}

fn native(bytes: &[u8]) -> u64 {
    let mut wide = [0; 8];
    let at = if cfg!(target_endian = "little") { 0 } else { 8 - bytes.len() };
    wide[at..at + bytes.len()].copy_from_slice(bytes);
    u64::from_ne_bytes(wide)
}

fn attach(level: c_int, kind: c_int, data: &[u8], family: Family, header: &mut Header) -> Result<(), Errno> {
    let from = |ip: IpAddr| (!ip.is_unspecified()).then(|| SocketAddr::new(ip, 0));
    match (level, kind, family) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO, Family::V4) => {
            // Interface, source, destination (of what was received; unused here).
            let data: &[u8; 12] = data.try_into().map_err(|_| INVALID)?;
            header.port = native(&data[..4]) as u32;
            header.local = from(Ipv4Addr::new(data[4], data[5], data[6], data[7]).into());
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, Family::V6) => {
            let data: &[u8; 20] = data.try_into().map_err(|_| INVALID)?;
            header.local = data.first_chunk::<16>().and_then(|&octets| from(Ipv6Addr::from(octets).into()));
            header.port = native(&data[16..]) as u32;
        }
        (libc::IPPROTO_IP, libc::IP_TTL, Family::V4) => {
            header.ttl = Some(u8::try_from(int(data)?).ok().filter(|&ttl| ttl != 0).ok_or(INVALID)?);
        }
        (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, Family::V6) => {
            // -1 is the socket's own.
            let limit = int(data)?;
            header.ttl = if limit == -1 { None } else { Some(u8::try_from(limit).map_err(|_| INVALID)?) };
        }
        (libc::IPPROTO_IP, libc::IP_TOS, Family::V4) => {
            header.tos = Some(match data {
                [tos] => *tos,
                data => u8::try_from(int(data)?).map_err(|_| INVALID)?,
            });
        }
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, Family::V6) => {
            let class = int(data)?;
            header.tos = if class == -1 { None } else { Some(u8::try_from(class).map_err(|_| INVALID)?) };
        }
        (libc::SOL_UDP, UDP_SEGMENT, _) => {
            header.segment = u16::from_ne_bytes(data.try_into().map_err(|_| INVALID)?);
        }
        // Descriptors and credentials mean nothing to a datagram of the internet; Linux ignores them.
        (libc::SOL_SOCKET, libc::SCM_RIGHTS | libc::SCM_CREDENTIALS, _) => {}
        (libc::SOL_SOCKET | libc::IPPROTO_IP | libc::IPPROTO_IPV6 | libc::SOL_UDP, _, _) => return Err(INVALID),
        // Not for this protocol.
        _ => {}
    }
    Ok(())
}

fn int(data: &[u8]) -> Result<c_int, Errno> {
    data.try_into().map(c_int::from_ne_bytes).map_err(|_| INVALID)
}

/// Control messages for the program.
pub(crate) struct List {
    bytes: [u8; 256],
    len: usize,
    room: usize,
    cut: bool,
}

impl List {
    /// What the program asked for, in the kernel's order, for a buffer of the program's of `room` bytes.
    pub(crate) fn received(header: &Header, family: Family, room: usize) -> List {
        let mut list = List { bytes: [0; 256], len: 0, room: room.min(256), cut: false };
        let wants = |what| header.wanted.contains(what);
        let (seconds, nanoseconds) = (header.timestamp / 1_000_000_000, header.timestamp % 1_000_000_000);
        if wants(Wanted::TIMESTAMP_NANOSECONDS) {
            list.put_pair(libc::SO_TIMESTAMPNS, seconds, nanoseconds);
        } else if wants(Wanted::TIMESTAMP) {
            list.put_pair(libc::SO_TIMESTAMP, seconds, nanoseconds / 1000);
        }
        if wants(Wanted::SEGMENT) && header.segment != 0 {
            list.put(libc::SOL_UDP, UDP_GRO, &c_int::from(header.segment).to_ne_bytes());
        }
        let ttl = c_int::from(header.ttl.unwrap_or(0)).to_ne_bytes();
        let tos = header.tos.unwrap_or(0);
        match family {
            Family::V4 => {
                if wants(Wanted::PACKET_INFO) {
                    let local = match header.local {
                        Some(SocketAddr::V4(address)) => address.ip().octets(),
                        _ => [0; 4],
                    };
                    let mut info = [0; 12];
                    info[..4].copy_from_slice(&header.port.to_ne_bytes());
                    info[4..8].copy_from_slice(&local);
                    info[8..].copy_from_slice(&local);
                    list.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
                }
                if wants(Wanted::TTL) {
                    list.put(libc::IPPROTO_IP, libc::IP_TTL, &ttl);
                }
                if wants(Wanted::TOS) {
                    list.put(libc::IPPROTO_IP, libc::IP_TOS, &[tos]);
                }
            }
            Family::V6 => {
                if wants(Wanted::PACKET_INFO) {
                    let local = match header.local {
                        Some(SocketAddr::V6(address)) => address.ip().octets(),
                        _ => [0; 16],
                    };
                    let mut info = [0; 20];
                    info[..16].copy_from_slice(&local);
                    info[16..].copy_from_slice(&header.port.to_ne_bytes());
                    list.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
                }
                if wants(Wanted::TTL) {
                    list.put(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &ttl);
                }
                if wants(Wanted::TOS) {
                    list.put(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &c_int::from(tos).to_ne_bytes());
                }
            }
            Family::Packet => {}
        }
        if wants(Wanted::ORIGINAL_DESTINATION)
            && let Some(local) = header.local
        {
            let (level, kind) = match family {
                Family::V4 => (libc::IPPROTO_IP, IP_ORIGDSTADDR),
                Family::V6 | Family::Packet => (libc::IPPROTO_IPV6, IPV6_ORIGDSTADDR),
            };
            list.put(level, kind, Encoded::new(local).as_bytes());
        }
        list
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// `MSG_CTRUNC` if not all of them fit.
    pub(crate) fn flags(&self) -> c_int {
        if self.cut { libc::MSG_CTRUNC } else { 0 }
    }

    fn put_pair(&mut self, kind: c_int, seconds: u64, fraction: u64) {
        let mut time = [0; 16];
        time[..8].copy_from_slice(&seconds.to_ne_bytes());
        time[8..].copy_from_slice(&fraction.to_ne_bytes());
        self.put(libc::SOL_SOCKET, kind, &time);
    }

    fn put(&mut self, level: c_int, kind: c_int, data: &[u8]) {
        let Some(room) = self.bytes.get_mut(self.len..self.room).filter(|room| room.len() >= HEADER) else {
            self.cut = true;
            return;
        };
        let len = (HEADER + data.len()).min(room.len());
        self.cut |= len < HEADER + data.len();
        room[..8].copy_from_slice(&len.to_ne_bytes());
        room[8..12].copy_from_slice(&level.to_ne_bytes());
        room[12..HEADER].copy_from_slice(&kind.to_ne_bytes());
        room[HEADER..len].copy_from_slice(&data[..len - HEADER]);
        self.len += (HEADER + data.len()).next_multiple_of(8).min(room.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_control::datagram;

    fn header() -> Header {
        Header {
            kind: datagram::Kind::Data,
            wanted: Wanted::PACKET_INFO | Wanted::TTL | Wanted::TOS | Wanted::TIMESTAMP,
            remote: None,
            local: Some("10.0.0.9:53".parse().expect("address")),
            port: 3,
            ttl: Some(64),
            tos: Some(0x10),
            segment: 0,
            control: 0,
            timestamp: 5_000_000_007,
        }
    }

    #[test]
    fn what_is_received_can_be_sent() {
        let list = List::received(&header(), Family::V4, 256);
        assert_eq!(list.flags(), 0);
        // The time is for receiving only; it comes first and takes 32 bytes.
        let mut sent = Header::data(None);
        assert_eq!(read_sent(list.as_bytes(), Family::V4, &mut sent), Err(INVALID));
        assert_eq!(read_sent(&list.as_bytes()[32..], Family::V4, &mut sent), Ok(()));
        assert_eq!((sent.port, sent.ttl, sent.tos), (3, Some(64), Some(0x10)));
        assert_eq!(sent.local, Some("10.0.0.9:0".parse().expect("address")));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_told() {
        let whole = List::received(&header(), Family::V4, 1000).len;
        for room in 0..=whole {
            let list = List::received(&header(), Family::V4, room);
            assert!(list.len <= room);
            // Padding at the end need not fit.
            assert_eq!(list.flags() != 0, room < whole - 7, "{room} of {whole}");
        }
    }

    #[test]
    fn lying_lengths_are_refused() {
        let list = List::received(&header(), Family::V4, 256);
        for len in [0u64, 1, 15, 29, 300, u64::MAX, u64::MAX - 7, 1 << 63] {
            let mut bytes = list.as_bytes()[32..].to_vec();
            bytes[..8].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(read_sent(&bytes, Family::V4, &mut Header::data(None)), Err(INVALID), "{len}");
        }
        for len in 0..16 {
            assert_eq!(read_sent(&list.as_bytes()[..len], Family::V4, &mut Header::data(None)), Ok(()));
        }
    }
}
