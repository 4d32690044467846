//! Interfaces, as getifaddrs(3) tells of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use sockeye_wire::MacAddr;

use crate::{Explain, Result};

/// An interface of this host's.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number, which sockets want instead.
    pub index: u32,
    /// Its hardware address.
    pub mac: MacAddr,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Interface {
    /// The interface of this name.
    pub fn named(name: &str) -> Result<Interface> {
        let mut found = None;
        let mut addresses = Vec::new();
        for entry in getifaddrs().explain("list the interfaces")?.filter(|entry| entry.interface_name == name) {
            // One entry an address: of the link, of IPv4, of IPv6.
            let Some(address) = entry.address else { continue };
            if let Some(link) = address.as_link_addr() {
                found = Some((link.ifindex() as u32, MacAddr(link.addr().unwrap_or_default())));
            } else if let Some(address) = address.as_sockaddr_in() {
                addresses.push(IpAddr::V4(address.ip()));
            } else if let Some(address) = address.as_sockaddr_in6() {
                addresses.push(IpAddr::V6(address.ip()));
            }
        }
        let (index, mac) = found.ok_or(format!("there is no interface {name}: `ip link` lists those that are"))?;
        Ok(Interface { name: name.to_owned(), index, mac, addresses })
    }

    /// Its first address of IPv4.
    pub fn ipv4(&self) -> Result<Ipv4Addr> {
        let mut addresses = self.addresses.iter();
        let first = addresses.find_map(|address| if let IpAddr::V4(address) = address { Some(*address) } else { None });
        first.ok_or(format!("{} has no address of IPv4: give one with --from", self.name))
    }

    /// Its link-local address of IPv6.
    pub fn link_local(&self) -> Result<Ipv6Addr> {
        let mut addresses = self.addresses.iter();
        let first = addresses.find_map(|address| match address {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(*address),
            _ => None,
        });
        first.ok_or(format!("{} has no link-local address: give one with --from", self.name))
    }
}
