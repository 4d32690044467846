//! One socket, two families: addresses as a program has them, and as the stack has them.
//!
//! A socket of AF_INET6 whose IPV6_V6ONLY is off speaks IPv4 as well. To its program IPv4's addresses are then
//! *mapped* (`::ffff:10.0.0.1`), on the wire and in the stack they are themselves. Here is the only place where one becomes
//! the other.
//!
//! A scope (`%eth0`) says on which link a link-local address is meant. No port has link-local addresses unless one was
//! configured, and then there is one way to it; scopes and flow labels go no further than here.
//!
//! # Standards
//!
//! RFC 3493 §3.7 (mapped addresses), §5.3 (IPV6_V6ONLY); Linux ipv6(7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::errno::Errno;
use crate::host::{Host, Socket, SocketId};
use crate::names::{AF_INET, AF_INET6};
use crate::settings::Settings;

impl Settings {
    /// AF_INET or AF_INET6.
    pub fn family(&self) -> u16 {
        if self.ipv6.is_some() { AF_INET6 } else { AF_INET }
    }

    /// No address in particular, in the socket's own family.
    pub(crate) fn unspecified(&self) -> IpAddr {
        if self.ipv6.is_some() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
    }

    /// A program's address as the stack has it. `refused` is for a mapped one where only IPv6 is spoken.
    pub(crate) fn inward(&self, address: SocketAddr, refused: Errno) -> Result<SocketAddr, Errno> {
        match (address, &self.ipv6) {
            (SocketAddr::V4(_), None) => Ok(address),
            (SocketAddr::V6(address), Some(ipv6)) => match address.ip().to_ipv4_mapped() {
                Some(_) if ipv6.only => Err(refused),
                Some(mapped) => Ok(SocketAddr::new(mapped.into(), address.port())),
                None => Ok(SocketAddr::new((*address.ip()).into(), address.port())),
            },
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// The stack's address as the program has it.
    pub fn outward(&self, address: SocketAddr) -> SocketAddr {
        match address {
            SocketAddr::V4(v4) if self.ipv6.is_some() => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
            _ => address,
        }
    }
}

impl Socket {
    /// Where it is, as far as it is bound without a port.
    pub(crate) fn portless(&self) -> SocketAddr {
        SocketAddr::new(self.address.unwrap_or(self.settings.unspecified()), 0)
    }
}

impl Host {
    /// The address that a datagram is to go to, or to come from, as the stack has it.
    pub fn inward(&self, id: SocketId, address: SocketAddr) -> Result<SocketAddr, Errno> {
        self.settings(id).ok_or(Errno::EBADF)?.inward(address, Errno::ENETUNREACH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Ipv6Settings;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_mapped_address_is_one_of_ipv4_unless_only_ipv6_is_spoken() {
        let v4 = Settings::default();
        let v6 = Settings { ipv6: Some(Ipv6Settings::default()), ..Settings::default() };
        let only =
            Settings { ipv6: Some(Ipv6Settings { only: true, ..Ipv6Settings::default() }), ..Settings::default() };
        let (plain, mapped) = (address("10.0.0.1:80"), address("[::ffff:10.0.0.1]:80"));
        let global = address("[2001:db8::1]:80");
        assert_eq!(v4.inward(plain, Errno::EINVAL), Ok(plain));
        assert_eq!(v4.inward(global, Errno::EINVAL), Err(Errno::EAFNOSUPPORT));
        assert_eq!(v6.inward(plain, Errno::EINVAL), Err(Errno::EAFNOSUPPORT));
        assert_eq!(v6.inward(mapped, Errno::EINVAL), Ok(plain));
        assert_eq!(only.inward(mapped, Errno::EINVAL), Err(Errno::EINVAL));
        assert_eq!(only.inward(global, Errno::EINVAL), Ok(global));
        assert_eq!((v4.outward(plain), v6.outward(plain), v6.outward(global)), (plain, mapped, global));
    }
}
