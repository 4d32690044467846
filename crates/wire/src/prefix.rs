//! An address and how much of it names the network.
//!
//! One type serves an interface's address (`10.0.0.2/24`, host bits kept) and a route's destination (`10.0.0.0/24`, see
//! [`IpPrefix::network`]). Its length is proved against its family when it is made, so nobody checks it again.
//!
//! # Standards
//!
//! RFC 4632 §3.1 (the `address/length` notation), RFC 4291 §2.3 (the same for IPv6), RFC 5952 §4 (the text of its
//! addresses), RFC 3021 §2.1 and §3.3 (a /31 has no broadcast address), RFC 1122 §3.2.1.3 (the directed broadcast).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// An address with the length of its network part, of either family. Host bits are kept; two prefixes with different
/// host bits differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpPrefix {
    addr: IpAddr,
    len: u8,
}

impl IpPrefix {
    /// `addr` with a network part of `len` bits: at most 32 for IPv4, at most 128 for IPv6.
    pub const fn new(addr: IpAddr, len: u8) -> Result<IpPrefix, PrefixError> {
        if len > bits(addr) { Err(PrefixError::Length) } else { Ok(IpPrefix { addr, len }) }
    }

    /// The prefix that only `addr` is in: /32 or /128.
    pub const fn host(addr: IpAddr) -> IpPrefix {
        IpPrefix { addr, len: bits(addr) }
    }

    /// The address, with its host bits.
    #[inline]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// Bits of the network part.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "the length of a prefix counts bits, not elements")]
    pub const fn len(&self) -> u8 {
        self.len
    }

    /// True for /32 and /128.
    pub const fn is_host(&self) -> bool {
        self.len == bits(self.addr)
    }

    /// True when `ip` lies in this network. An address of the other family never does.
    #[inline]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.addr, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => (network.to_bits() ^ ip.to_bits()) & mask_v4(self.len) == 0,
            (IpAddr::V6(network), IpAddr::V6(ip)) => (network.to_bits() ^ ip.to_bits()) & mask_v6(self.len) == 0,
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// True when all of `other` lies in this network.
    pub fn covers(&self, other: &IpPrefix) -> bool {
        self.len <= other.len && self.contains(other.addr)
    }

    /// The same network with its host bits cleared: the form for a table.
    pub fn network(&self) -> IpPrefix {
        let addr = match self.addr {
            IpAddr::V4(addr) => IpAddr::V4(Ipv4Addr::from_bits(addr.to_bits() & mask_v4(self.len))),
            IpAddr::V6(addr) => IpAddr::V6(Ipv6Addr::from_bits(addr.to_bits() & mask_v6(self.len))),
        };
        IpPrefix { addr, len: self.len }
    }

    /// The mask of the network part, in the prefix's own family.
    pub fn netmask(&self) -> IpAddr {
        match self.addr {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(mask_v4(self.len))),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(mask_v6(self.len))),
        }
    }

    /// The directed broadcast address. None for IPv6, and for /31 and /32, where every address is a host.
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.addr {
            IpAddr::V4(addr) if self.len < 31 => Some(Ipv4Addr::from_bits(addr.to_bits() | !mask_v4(self.len))),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        }
    }
}

/// Why a prefix is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// The part before the slash is not an IP address.
    Address,
    /// The length is missing, not a decimal number, or longer than the address.
    Length,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PrefixError::Address => "not an IP address (expected ADDRESS/LENGTH, for example 10.0.0.2/24)",
            PrefixError::Length => "prefix length missing or out of range (0 to 32 for IPv4, 0 to 128 for IPv6)",
        })
    }
}

impl core::error::Error for PrefixError {}

impl FromStr for IpPrefix {
    type Err = PrefixError;

    /// Reads `ADDRESS/LENGTH`. The length is required: an address alone could mean a host or a class.
    fn from_str(text: &str) -> Result<IpPrefix, PrefixError> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let addr = addr.parse().map_err(|_| PrefixError::Address)?;
        let len = len.filter(|len| len.bytes().all(|byte| byte.is_ascii_digit())).ok_or(PrefixError::Length)?;
        IpPrefix::new(addr, len.parse().map_err(|_| PrefixError::Length)?)
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

const fn bits(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[inline]
fn mask_v4(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

#[inline]
fn mask_v6(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> IpPrefix {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks() {
        for (text, network, netmask, broadcast) in [
            ("10.9.8.7/24", "10.9.8.0/24", "255.255.255.0", Some("10.9.8.255")),
            ("10.9.8.7/0", "0.0.0.0/0", "0.0.0.0", Some("255.255.255.255")),
            ("10.9.8.7/30", "10.9.8.4/30", "255.255.255.252", Some("10.9.8.7")),
            ("10.9.8.7/31", "10.9.8.6/31", "255.255.255.254", None),
            ("10.9.8.7/32", "10.9.8.7/32", "255.255.255.255", None),
            ("fd00:9::7/64", "fd00:9::/64", "ffff:ffff:ffff:ffff::", None),
            ("fd00:9::7/0", "::/0", "::", None),
        ] {
            let prefix = prefix(text);
            assert_eq!(prefix.to_string(), text, "host bits are kept");
            assert_eq!(prefix.network().to_string(), network);
            assert_eq!(prefix.netmask(), ip(netmask));
            assert_eq!(prefix.broadcast(), broadcast.map(|text| text.parse().unwrap()));
        }
    }

    #[test]
    fn members() {
        assert!(prefix("10.9.8.7/24").contains(ip("10.9.8.200")) && !prefix("10.9.8.7/24").contains(ip("10.9.9.7")));
        assert!(prefix("0.0.0.0/0").contains(ip("255.255.255.255")));
        assert!(!prefix("0.0.0.0/0").contains(ip("::")) && !prefix("::/0").contains(ip("0.0.0.0")));
        assert!(
            prefix("10.0.0.0/8").covers(&prefix("10.9.0.0/16")) && !prefix("10.9.0.0/16").covers(&prefix("10.0.0.0/8"))
        );
        assert!(IpPrefix::host(ip("::1")).is_host() && IpPrefix::host(ip("::1")).contains(ip("::1")));
    }

    /// RFC 5952 §4 and §5: one text for each address.
    #[test]
    fn ipv6_addresses_are_written_in_one_way() {
        for (text, canonical) in [
            ("2001:0DB8::0001/64", "2001:db8::1/64"),
            ("2001:db8:0:0:0:0:2:1/128", "2001:db8::2:1/128"),
            ("2001:db8::1:1:1:1:1/64", "2001:db8:0:1:1:1:1:1/64"),
            ("2001:0:0:1:0:0:0:1/64", "2001:0:0:1::1/64"),
            ("2001:db8:0:0:1:0:0:1/64", "2001:db8::1:0:0:1/64"),
            ("0:0:0:0:0:ffff:a09:1/128", "::ffff:10.9.0.1/128"),
            ("0:0:0:0:0:0:0:0/0", "::/0"),
        ] {
            assert_eq!(prefix(text).to_string(), canonical);
        }
    }

    #[test]
    fn text_that_is_no_prefix() {
        for (text, error) in [
            ("", PrefixError::Address),
            ("10.0.0/8", PrefixError::Address),
            ("host/8", PrefixError::Address),
            ("/8", PrefixError::Address),
            ("10.0.0.1", PrefixError::Length),
            ("10.0.0.1/", PrefixError::Length),
            ("10.0.0.1/33", PrefixError::Length),
            ("10.0.0.1/+8", PrefixError::Length),
            ("10.0.0.1/-1", PrefixError::Length),
            ("10.0.0.1/8/8", PrefixError::Length),
            ("10.0.0.1/256", PrefixError::Length),
            ("::/129", PrefixError::Length),
        ] {
            assert_eq!(text.parse::<IpPrefix>(), Err(error), "{text:?}");
        }
    }
}
