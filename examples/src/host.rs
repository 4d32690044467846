//! Hosts as somebody says them: an address, or a name, of which getaddrinfo(3) tells the addresses. The first one counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

use crate::Result;

/// A host of either family.
pub fn any(text: &str) -> Result<IpAddr> {
    first(text, "address", Some)
}

/// A host of IPv4.
pub fn ipv4(text: &str) -> Result<Ipv4Addr> {
    first(text, "address of IPv4", |address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })
}

/// A host of IPv6.
pub fn ipv6(text: &str) -> Result<Ipv6Addr> {
    first(text, "address of IPv6", |address| match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    })
}

fn first<T>(text: &str, what: &str, wanted: impl Fn(IpAddr) -> Option<T>) -> Result<T> {
    let known = (text, 0).to_socket_addrs().map_err(|_| "no host has this name: say an address".to_owned())?;
    known.map(|known| known.ip()).find_map(wanted).ok_or(format!("this host has no {what}"))
}
