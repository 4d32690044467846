//! Socket addresses as C has them, to and from the program's memory.
//!
//! Lengths and families are checked as Linux's `inet` and `inet6` sockets check them; what remains is a `SocketAddr`.

use crate::memory;
use crate::sys::Errno;
use libc::{c_int, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};
use sockeye_control::Family;
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

    /// For `bind`: IPv4's may say `AF_UNSPEC` if they say no address.
    pub(crate) fn to_bind(self, family: Family) -> Result<SocketAddr, Errno> {
        match family {
            Family::V4 => {
                let address = self.v4()?;
                match self.family()? {
                    libc::AF_INET => Ok(address),
                    libc::AF_UNSPEC if address.ip().is_unspecified() => Ok(address),
                    _ => Err(WRONG_FAMILY),
                }
            }
            Family::V6 => {
                let address = self.v6()?;
                if self.family()? == libc::AF_INET6 { Ok(address) } else { Err(WRONG_FAMILY) }
            }
        }
    }

    /// For `connect`: `None` for `AF_UNSPEC`, which dissolves.
    pub(crate) fn to_connect(self, family: Family) -> Result<Option<SocketAddr>, Errno> {
        match (self.family()?, family) {
            (libc::AF_UNSPEC, _) => Ok(None),
            (libc::AF_INET, Family::V4) => self.v4().map(Some),
            (libc::AF_INET6, Family::V6) => self.v6().map(Some),
            _ if self.len < size_of::<sockaddr_in>() => Err(INVALID),
            _ => Err(WRONG_FAMILY),
        }
    }

    /// For a datagram to send: IPv4's may say `AF_UNSPEC`.
    pub(crate) fn to_send(self, family: Family) -> Result<SocketAddr, Errno> {
        let address = match (self.family()?, family) {
            (libc::AF_INET | libc::AF_UNSPEC, Family::V4) => self.v4()?,
            (libc::AF_INET6, Family::V6) => self.v6()?,
            _ if self.len < size_of::<sockaddr_in>() => return Err(INVALID),
            _ => return Err(WRONG_FAMILY),
        };
        if address.port() == 0 { Err(INVALID) } else { Ok(address) }
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
    pub(crate) fn new(address: SocketAddr) -> Encoded {
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
pub(crate) fn give(address: SocketAddr, to: *mut sockaddr, len: *mut socklen_t) -> Result<(), Errno> {
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

    #[test]
    fn addresses_survive_the_round_trip() {
        let v4: SocketAddr = "10.1.2.3:80".parse().expect("address");
        let v6: SocketAddr = SocketAddrV6::new("fe80::1".parse().expect("address"), 443, 0x12345, 7).into();
        for (address, family) in [(v4, Family::V4), (v6, Family::V6)] {
            let raw = raw(Encoded::new(address).as_bytes());
            assert_eq!(raw.to_bind(family), Ok(address));
            assert_eq!(raw.to_connect(family), Ok(Some(address)));
            assert_eq!(raw.to_send(family), Ok(address));
            assert_eq!(raw.any(), Ok(address));
        }
    }

    #[test]
    fn errors_are_as_linux_has_them() {
        let v4 = Encoded::new("10.1.2.3:80".parse().expect("address")).bytes;
        for len in 0..16 {
            assert_eq!(raw(&v4[..len]).to_bind(Family::V4), Err(INVALID));
            assert_eq!(raw(&v4[..len]).to_connect(Family::V4), Err(INVALID));
            assert_eq!(raw(&v4[..len]).to_send(Family::V4), Err(INVALID));
        }
        assert_eq!(raw(&v4[..16]).to_bind(Family::V6), Err(INVALID));
        assert_eq!(raw(&[0; 16]).to_bind(Family::V4), Ok("0.0.0.0:0".parse().expect("address")));
        assert_eq!(raw(&[0; 2]).to_connect(Family::V4), Ok(None));
        assert_eq!(raw(&[1; 16]).to_bind(Family::V4), Err(WRONG_FAMILY));
        assert_eq!(raw(&[1; 16]).to_connect(Family::V4), Err(WRONG_FAMILY));
        assert_eq!(raw(&[0; 16]).to_send(Family::V4), Err(INVALID), "port 0");
        assert!(matches!(Raw::read([0; 200].as_ptr().cast(), 129), Err(INVALID)));
        assert!(matches!(Raw::read([0; 200].as_ptr().cast(), socklen_t::MAX), Err(INVALID)));
    }
}
