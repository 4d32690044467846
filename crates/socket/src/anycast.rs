//! IPV6_JOIN_ANYCAST and IPV6_LEAVE_ANYCAST: addresses that a socket has the host share with others of its link.
//!
//! All kinds of sockets have them, as on Linux, and give them back when they are closed. A host may have such addresses only of networks that it is on, because
//! nobody else would send to them by its link; and joining is for administrators, leaving for everybody.
//!
//! # Standards
//!
//! Linux `anycast.c`, ipv6(7); RFC 4291 §2.6.

use std::net::{IpAddr, Ipv6Addr};

use sockeye_stack::PortId;

use crate::errno::Errno;
use crate::host::{Host, SocketId};
use crate::multicast::part;
use crate::settings::Privilege;

/// Addresses of one socket. Linux has a bound by memory (`optmem_max`).
const MOST: usize = 1_024;

impl Host {
    /// setsockopt(2): an `ipv6_mreq`, an address and an interface's index, 0 for the one on whose network the address is.
    pub(crate) fn set_anycast(&mut self, id: SocketId, who: Privilege, join: bool, value: &[u8]) -> Result<(), Errno> {
        if self.settings(id).ok_or(Errno::EBADF)?.ipv6.is_none() {
            return Err(Errno::ENOPROTOOPT);
        }
        let address = Ipv6Addr::from(part::<16>(value, 0)?);
        let index = u32::from_ne_bytes(part(value, 16)?);
        if join { self.join_anycast(id, who, address, index) } else { self.leave_anycast(id, address, index) }
    }

    fn join_anycast(&mut self, id: SocketId, who: Privilege, address: Ipv6Addr, index: u32) -> Result<(), Errno> {
        if who != Privilege::Administrator {
            return Err(Errno::EPERM);
        }
        // What is ours alone is not shared.
        if address.is_multicast() || address.is_loopback() || self.stack().port_of(address.into()).is_some() {
            return Err(Errno::EINVAL);
        }
        let port = match index {
            0 => self.stack().ports().map(|(port, _)| port).find(|&port| self.is_on_network(port, address)),
            index => Some(self.port_at(index).ok_or(Errno::ENODEV)?),
        };
        let port = port.filter(|&port| self.is_on_network(port, address)).ok_or(Errno::EADDRNOTAVAIL)?;
        let Host { stack, sockets, .. } = self;
        let held = &mut sockets.get_mut(id.0).ok_or(Errno::EBADF)?.anycast;
        if held.len() >= MOST {
            return Err(Errno::ENOMEM);
        }
        stack.anycast_join(port, address).map_err(|_| Errno::ENOMEM)?;
        held.insert(0, (port, address));
        Ok(())
    }

    fn leave_anycast(&mut self, id: SocketId, address: Ipv6Addr, index: u32) -> Result<(), Errno> {
        let held = &mut self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?.anycast;
        let meant = |port: PortId| index == 0 || port.interface_index() == index;
        let at = held.iter().position(|&(port, held)| held == address && meant(port)).ok_or(Errno::ENOENT)?;
        let (port, address) = held.remove(at);
        self.stack_mut().anycast_leave(port, address);
        Ok(())
    }

    /// The socket is no more.
    pub(crate) fn leave_all_anycast(&mut self, held: Vec<(PortId, Ipv6Addr)>) {
        for (port, address) in held {
            self.stack_mut().anycast_leave(port, address);
        }
    }

    /// Whether an address would be of a network of the port's addresses.
    fn is_on_network(&self, port: PortId, address: Ipv6Addr) -> bool {
        let mut ports = self.stack().ports();
        let found = ports.find(|(id, _)| *id == port);
        found.is_some_and(|(_, port)| port.addresses().iter().any(|own| own.contains(IpAddr::V6(address))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::*;
    use sockeye_device::{Capabilities, Instant};
    use sockeye_stack::{Config, PortConfig, Stack};
    use sockeye_wire::MacAddr;

    const NOW: Instant = Instant::ZERO;

    #[test]
    fn an_anycast_address_is_the_hosts_while_a_socket_has_it() {
        let mut stack = Stack::new(Config::default(), [7; 32]);
        let mac = MacAddr([2, 0, 0, 0, 0, 9]);
        let capabilities = Capabilities::default();
        let port = stack.add_port(PortConfig { name: "eth0".into(), mac, mtu: 1_500, capabilities });
        stack.add_address(NOW, port, "fd09::2/64".parse().unwrap());
        let mut host = Host::new(stack);
        let set = |host: &mut Host, id, who, name, address: &str, index: u32| {
            let address: Ipv6Addr = address.parse().unwrap();
            let value = [&address.octets()[..], &index.to_ne_bytes()].concat();
            host.set_option(NOW, id, who, IPPROTO_IPV6, name, &value)
        };
        let join = |host: &mut Host, id, address, index| {
            set(host, id, Privilege::Administrator, IPV6_JOIN_ANYCAST, address, index)
        };
        let first = host.socket(AF_INET6.into(), SOCK_DGRAM, 0).unwrap();
        let second = host.socket(AF_INET6.into(), SOCK_STREAM, 0).unwrap();
        for (address, index, refused) in [
            ("fd09::2", 0, Errno::EINVAL),
            ("::1", 0, Errno::EINVAL),
            ("ff02::5", 0, Errno::EINVAL),
            ("fd77::1", 0, Errno::EADDRNOTAVAIL),
            ("fd77::1", 2, Errno::EADDRNOTAVAIL),
            ("fd09::9", 1, Errno::EADDRNOTAVAIL),
            ("fd09::9", 7, Errno::ENODEV),
            ("::", 0, Errno::EADDRNOTAVAIL),
        ] {
            assert_eq!(join(&mut host, first, address, index), Err(refused), "{address} {index}");
        }
        for (id, index) in [(first, 0), (first, 2), (second, 2)] {
            assert_eq!(join(&mut host, id, "fd09::9", index), Ok(()));
        }
        let users = |host: &Host| host.stack().anycast_addresses(port).iter().map(|held| held.users).sum::<u32>();
        assert_eq!(users(&host), 3);
        for (address, index, outcome) in
            [("fd09::9", 1, Err(Errno::ENOENT)), ("fd09::8", 0, Err(Errno::ENOENT)), ("fd09::9", 0, Ok(()))]
        {
            assert_eq!(set(&mut host, first, Privilege::User, IPV6_LEAVE_ANYCAST, address, index), outcome);
        }
        assert_eq!(set(&mut host, first, Privilege::User, IPV6_JOIN_ANYCAST, "fd09::9", 0), Err(Errno::EPERM));
        host.close(NOW, first);
        assert_eq!(users(&host), 1);
        host.close(NOW, second);
        assert_eq!(users(&host), 0);
    }
}
