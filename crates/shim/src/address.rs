//! Socket addresses as C has them, to and from the program's memory.
//!
//! Lengths and families are checked as Linux's `inet`, `inet6`, `packet` and `netlink` sockets check them; what remains is an [`Address`].

use crate::memory;
use crate::sys::Errno;
use libc::{c_int, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_ll, sockaddr_nl, socklen_t};
use sockeye_control::{Address, Family, Kind, LinkAddress, NetlinkAddress, SocketName};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

const INVALID: Errno = Errno(libc::EINVAL);
const WRONG_FAMILY: Errno = Errno(libc::EAFNOSUPPORT);

/// The longest address that the kernel takes from a program.
const MAX: usize = 128;

/// As much of an address as matters here.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    bytes: [u8; size_of::<sockaddr_in6>()],
    len: usize,
}

impl Raw {
    /// Copies the program's address.
    pub(crate) fn read(address: *const sockaddr, len: socklen_t) -> Result<Raw, Errno> {
        let len = usize::try_from(len).ok().filter(|&len| len <= MAX).ok_or(INVALID)?;
        let mut bytes = [0; size_of::<sockaddr_in6>()];
        let kept = len.min(bytes.len());
        memory::read(address.cast(), &mut bytes[..kept])?;
        Ok(Raw { bytes, len })
    }

    fn family(&self) -> Result<c_int, Errno> {
        if self.len < size_of::<sa_family_t>() {
            return Err(INVALID);
        }
        Ok(c_int::from(sa_family_t::from_ne_bytes([self.bytes[0], self.bytes[1]])))
    }

    fn part<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|index| self.bytes.get(at + index).copied().unwrap_or(0))
    }

    fn port(&self) -> u16 {
        u16::from_be_bytes(self.part(2))
    }

    fn v4(&self) -> Result<SocketAddr, Errno> {
        if self.len < size_of::<sockaddr_in>() {
            return Err(INVALID);
        }
        Ok(SocketAddrV4::new(Ipv4Addr::from(self.part(4)), self.port()).into())
    }

    fn v6(&self) -> Result<SocketAddr, Errno> {
        // RFC 2133's address had no scope; Linux takes it still.
        if self.len < size_of::<sockaddr_in6>() - 4 {
            return Err(INVALID);
        }
        let (flow, scope) = (u32::from_be_bytes(self.part(4)), u32::from_ne_bytes(self.part(24)));
        Ok(SocketAddrV6::new(Ipv6Addr::from(self.part::<16>(8)), self.port(), flow, scope).into())
    }

    fn link(&self) -> Result<LinkAddress, Errno> {
        if self.len < size_of::<sockaddr_ll>() {
            return Err(INVALID);
        }
        Ok(LinkAddress {
            protocol: u16::from_be_bytes(self.part(2)),
            port: u32::from_ne_bytes(self.part(4)),
            hardware: u16::from_ne_bytes(self.part(8)),
            packet: self.bytes[10],
            len: self.bytes[11],
            address: self.part(12),
        })
    }

    fn netlink(&self) -> Result<Address, Errno> {
        if self.len < size_of::<sockaddr_nl>() || self.family()? != libc::AF_NETLINK {
            return Err(INVALID);
        }
        Ok(NetlinkAddress { port: u32::from_ne_bytes(self.part(4)), groups: u32::from_ne_bytes(self.part(8)) }.into())
    }

    /// For `bind`: IPv4's may say `AF_UNSPEC` if they say no address.
    pub(crate) fn to_bind(self, family: Family) -> Result<Address, Errno> {
        match family {
            Family::V4 => {
                let address = self.v4()?;
                match self.family()? {
                    libc::AF_INET => Ok(address.into()),
                    libc::AF_UNSPEC if address.ip().is_unspecified() => Ok(address.into()),
                    _ => Err(WRONG_FAMILY),
                }
            }
            Family::V6 => {
                let address = self.v6()?;
                if self.family()? == libc::AF_INET6 { Ok(address.into()) } else { Err(WRONG_FAMILY) }
            }
            Family::Packet => {
                let address = self.link()?;
                if self.family()? == libc::AF_PACKET { Ok(address.into()) } else { Err(INVALID) }
            }
            Family::Netlink => self.netlink(),
        }
    }

    /// For `connect`: `None` for `AF_UNSPEC`, which dissolves. IPv4's address is also good for IPv6's datagrams.
    pub(crate) fn to_connect(self, name: SocketName) -> Result<Option<Address>, Errno> {
        match (self.family()?, name.family) {
            (_, Family::Packet) => Err(Errno(libc::EOPNOTSUPP)),
            (libc::AF_UNSPEC, _) => Ok(None),
            (_, Family::Netlink) => self.netlink().map(Some),
            (libc::AF_INET, Family::V4) => self.v4().map(|address| Some(address.into())),
            (libc::AF_INET, Family::V6) if name.kind == Kind::Datagram => self.v4().map(|address| Some(address.into())),
            (libc::AF_INET6, Family::V6) => self.v6().map(|address| Some(address.into())),
            (_, Family::V6) if self.len < size_of::<sockaddr_in6>() - 4 => Err(INVALID),
            _ if self.len < size_of::<sockaddr_in>() => Err(INVALID),
            _ => Err(WRONG_FAMILY),
        }
    }

    /// For a message to send: IPv4's may say `AF_UNSPEC`, and so may those of raw sockets; a packet socket's are not asked for their family.
    pub(crate) fn to_send(self, name: SocketName) -> Result<Address, Errno> {
        match (self.family()?, name.family) {
            (_, Family::Packet) => self.link().map(Address::Link),
            (_, Family::Netlink) => self.netlink(),
            (libc::AF_INET | libc::AF_UNSPEC, Family::V4) => self.v4().map(Address::Internet),
            (libc::AF_INET, Family::V6) if name.kind == Kind::Datagram => self.v4().map(Address::Internet),
            (libc::AF_INET6, Family::V6) => self.v6().map(Address::Internet),
            (libc::AF_UNSPEC, Family::V6) if name.kind == Kind::Raw => self.v6().map(Address::Internet),
            _ if self.len < size_of::<sockaddr_in>() => Err(INVALID),
            _ => Err(WRONG_FAMILY),
        }
    }

    /// For `getnameinfo`: whatever it is.
    pub(crate) fn any(self) -> Result<SocketAddr, Errno> {
        match self.family()? {
            libc::AF_INET => self.v4(),
            libc::AF_INET6 => self.v6(),
            _ => Err(WRONG_FAMILY),
        }
    }
}

/// An address as C has it.
pub(crate) struct Encoded {
    bytes: [u8; size_of::<sockaddr_in6>()],
    len: usize,
}

impl Encoded {
    pub(crate) fn new(address: impl Into<Address>) -> Encoded {
        match address.into() {
            Address::Internet(address) => Encoded::internet(address),
            Address::Link(address) => Encoded::link(address),
            Address::Netlink(address) => Encoded::netlink(address),
        }
    }

    fn link(address: LinkAddress) -> Encoded {
        let mut bytes = [0; size_of::<sockaddr_in6>()];
        bytes[..2].copy_from_slice(&(libc::AF_PACKET as sa_family_t).to_ne_bytes());
        bytes[2..4].copy_from_slice(&address.protocol.to_be_bytes());
        bytes[4..8].copy_from_slice(&address.port.to_ne_bytes());
        bytes[8..10].copy_from_slice(&address.hardware.to_ne_bytes());
        bytes[10..12].copy_from_slice(&[address.packet, address.len]);
        bytes[12..20].copy_from_slice(&address.address);
        Encoded { bytes, len: size_of::<sockaddr_ll>() }
    }

    fn netlink(address: NetlinkAddress) -> Encoded {
        let mut bytes = [0; size_of::<sockaddr_in6>()];
        bytes[..2].copy_from_slice(&(libc::AF_NETLINK as sa_family_t).to_ne_bytes());
        bytes[4..8].copy_from_slice(&address.port.to_ne_bytes());
        bytes[8..12].copy_from_slice(&address.groups.to_ne_bytes());
        Encoded { bytes, len: size_of::<sockaddr_nl>() }
    }

    fn internet(address: SocketAddr) -> Encoded {
        let mut bytes = [0; size_of::<sockaddr_in6>()];
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        let (family, len) = match address {
            SocketAddr::V4(address) => {
                bytes[4..8].copy_from_slice(&address.ip().octets());
                (libc::AF_INET, size_of::<sockaddr_in>())
            }
            SocketAddr::V6(address) => {
                bytes[4..8].copy_from_slice(&address.flowinfo().to_be_bytes());
                bytes[8..24].copy_from_slice(&address.ip().octets());
                bytes[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
                (libc::AF_INET6, size_of::<sockaddr_in6>())
            }
        };
        bytes[..2].copy_from_slice(&(family as sa_family_t).to_ne_bytes());
        Encoded { bytes, len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Gives an address to the program as the kernel does: as much as there is room for, and its full length.
pub(crate) fn give(address: impl Into<Address>, to: *mut sockaddr, len: *mut socklen_t) -> Result<(), Errno> {
    let encoded = Encoded::new(address);
    let bytes = encoded.as_bytes();
    let room = memory::read_value(len.cast_const())?;
    // A length is an int to the kernel.
    let room = usize::try_from(room as c_int).map_err(|_| INVALID)?.min(bytes.len());
    memory::write(to.cast(), &bytes[..room])?;
    memory::write(len.cast(), &(bytes.len() as socklen_t).to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(bytes: &[u8]) -> Raw {
        Raw::read(bytes.as_ptr().cast(), bytes.len() as socklen_t).expect("readable")
    }

    fn name(family: Family) -> SocketName {
        SocketName { node: 1, family, kind: Kind::Datagram, id: sockeye_control::SocketId([0; 16]) }
    }

    #[test]
    fn addresses_survive_the_round_trip() {
        let v4: SocketAddr = "10.1.2.3:80".parse().expect("address");
        let v6: SocketAddr = SocketAddrV6::new("fe80::1".parse().expect("address"), 443, 0x12345, 7).into();
        for (address, family) in [(v4, Family::V4), (v6, Family::V6)] {
            let raw = raw(Encoded::new(address).as_bytes());
            assert_eq!(raw.any(), Ok(address));
            let address = Address::from(address);
            assert_eq!(raw.to_bind(family), Ok(address));
            assert_eq!(raw.to_connect(name(family)), Ok(Some(address)));
            assert_eq!(raw.to_send(name(family)), Ok(address));
        }
        let link = LinkAddress {
            protocol: 0x86dd,
            port: 7,
            hardware: 1,
            packet: 4,
            len: 6,
            address: [1, 2, 3, 4, 5, 6, 0, 0],
        };
        let raw = raw(Encoded::new(link).as_bytes());
        assert_eq!(raw.to_bind(Family::Packet), Ok(link.into()));
        assert_eq!(raw.to_send(name(Family::Packet)), Ok(link.into()));
        assert_eq!(raw.to_connect(name(Family::Packet)), Err(Errno(libc::EOPNOTSUPP)));
        let netlink = Address::from(NetlinkAddress { port: 0x1234_5678, groups: 1 << 31 });
        let bytes = Encoded::new(netlink);
        let raw = self::raw(bytes.as_bytes());
        assert_eq!((bytes.as_bytes().len(), raw.to_bind(Family::Netlink)), (12, Ok(netlink)));
        assert_eq!(raw.to_send(name(Family::Netlink)), Ok(netlink));
        assert_eq!(raw.to_connect(name(Family::Netlink)), Ok(Some(netlink)));
        assert_eq!(self::raw(&bytes.as_bytes()[..11]).to_bind(Family::Netlink), Err(INVALID));
        assert_eq!(raw.to_bind(Family::Packet), Err(INVALID));
    }

    #[test]
    fn errors_are_as_linux_has_them() {
        let v4 = Encoded::new("10.1.2.3:80".parse::<SocketAddr>().expect("address")).bytes;
        for len in 0..16 {
            assert_eq!(raw(&v4[..len]).to_bind(Family::V4), Err(INVALID));
            assert_eq!(raw(&v4[..len]).to_connect(name(Family::V4)), Err(INVALID));
            assert_eq!(raw(&v4[..len]).to_send(name(Family::V4)), Err(INVALID));
        }
        assert_eq!(raw(&v4[..16]).to_bind(Family::V6), Err(INVALID));
        let stream = SocketName { kind: Kind::Stream, ..name(Family::V6) };
        assert_eq!(raw(&v4[..16]).to_connect(stream), Err(INVALID));
        assert_eq!(raw(&v4).to_connect(stream), Err(WRONG_FAMILY));
        assert!(matches!(raw(&v4[..16]).to_connect(name(Family::V6)), Ok(Some(Address::Internet(SocketAddr::V4(_))))));
        let any: SocketAddr = "0.0.0.0:0".parse().expect("address");
        assert_eq!(raw(&[0; 16]).to_bind(Family::V4), Ok(any.into()));
        assert_eq!(raw(&[0; 16]).to_bind(Family::Packet), Err(INVALID));
        assert_eq!(raw(&[0; 2]).to_connect(name(Family::V4)), Ok(None));
        assert_eq!(raw(&[1; 16]).to_bind(Family::V4), Err(WRONG_FAMILY));
        assert_eq!(raw(&[1; 16]).to_connect(name(Family::V4)), Err(WRONG_FAMILY));
        assert!(matches!(Raw::read([0; 200].as_ptr().cast(), 129), Err(INVALID)));
        assert!(matches!(Raw::read([0; 200].as_ptr().cast(), socklen_t::MAX), Err(INVALID)));
    }
}
