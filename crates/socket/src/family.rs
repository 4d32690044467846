//! One socket, two families: addresses as a program has them, and as the stack has them.
//!
//! A socket of AF_INET6 whose IPV6_V6ONLY is off speaks IPv4 as well. To its program IPv4's addresses are then
//! *mapped* (`::ffff:10.0.0.1`), on the wire and in the stack they are themselves. Here is the only place where one becomes
//! the other.
//!
//! A scope (`%eth0`) says on which link a link-local address is meant: the index of an interface. In the stack that is a port
//! beside the address; the stack's own addresses bear none. As on Linux who binds or connects to such an address is
//! bound to its interface, and has to name it. Flow labels go no further than here.
//!
//! A socket of AF_INET6 that is connected over IPv4 can become one of AF_INET (IPV6_ADDRFORM): what it has of IPv6 is then gone.
//!
//! # Standards
//!
//! RFC 2553 §6.2 (IPV6_ADDRFORM), RFC 3493 §3.7 (mapped addresses), §5.3 (IPV6_V6ONLY); RFC 4007 §11 (zones in programs); Linux ipv6(7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sockeye_device::Instant;
use sockeye_stack::{PortId, Stack, tcp};

use crate::errno::Errno;
use crate::host::{Host, Socket, SocketId, State};
use crate::names::{AF_INET, AF_INET6};
use crate::settings::{Settings, Switch, read_int};

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
        // An echo socket of ICMPv6 speaks nothing else.
        let only = self.ipv6.is_some_and(|ipv6| ipv6.only) || self.raw.is_some_and(|raw| !raw.is_raw());
        match (address, &self.ipv6) {
            (SocketAddr::V4(_), None) => Ok(address),
            // As it is: a datagram socket may say it so.
            (SocketAddr::V4(_), Some(_)) => {
                if only {
                    Err(refused)
                } else {
                    Ok(address)
                }
            }
            (SocketAddr::V6(address), Some(_)) => match address.ip().to_ipv4_mapped() {
                Some(_) if only => Err(refused),
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
            // It was bound to both families, and has become one of IPv4.
            SocketAddr::V6(v6) if self.ipv6.is_none() && v6.ip().is_unspecified() => {
                SocketAddr::new(self.unspecified(), v6.port())
            }
            _ => address,
        }
    }
}

/// True for an address that means something on one link, or in one host, only.
fn is_of_a_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V6(address) if address.is_multicast() => matches!(address.octets()[1] & 0x0f, 1 | 2),
        IpAddr::V6(address) => address.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    }
}

/// Adds the scope of an address that was heard, or is, on a port.
pub fn scoped(address: SocketAddr, port: Option<PortId>) -> SocketAddr {
    match (address, port) {
        (SocketAddr::V6(mut address), Some(port)) if is_of_a_link(address.ip().to_owned().into()) => {
            address.set_scope_id(port.interface_index());
            address.into()
        }
        _ => address,
    }
}

impl Socket {
    /// The port that a program means by the scope of an address; none where it does not say, or need not. An error names what is no port here, if it
    /// can be one anywhere.
    fn named_zone(&self, stack: &Stack, address: SocketAddr) -> Option<Result<PortId, Option<PortId>>> {
        let SocketAddr::V6(address) = address else { return None };
        if !is_of_a_link((*address.ip()).into()) || address.scope_id() == 0 {
            return None;
        }
        let port = PortId::from_interface_index(address.scope_id());
        let known = port.filter(|&port| stack.ports().any(|(id, _)| id == port));
        Some(known.ok_or(port))
    }

    /// The port by which a message is to go to an address.
    pub(crate) fn zone(&self, stack: &Stack, address: SocketAddr) -> Result<Option<PortId>, Errno> {
        match self.named_zone(stack, address) {
            None => Ok(self.device),
            Some(Ok(port)) if self.device.is_none_or(|device| device == port) => Ok(Some(port)),
            Some(_) => Err(Errno::ENETUNREACH),
        }
    }

    /// The port that a socket is on once it is bound to an address: that of its scope, whatever it was on. An address of a link needs one, and has to
    /// be there.
    pub(crate) fn own_zone(&self, stack: &Stack, address: SocketAddr) -> Result<Option<PortId>, Errno> {
        let named = self.named_zone(stack, address).transpose().map_err(|_| Errno::ENODEV)?;
        let zone = named.or(self.device);
        let IpAddr::V6(ip) = address.ip() else { return Ok(zone) };
        if is_of_a_link(ip.into()) && zone.is_none() {
            return Err(Errno::EINVAL);
        }
        let on = |port: PortId| stack.ports().find(|&(id, _)| id == port).map(|(_, port)| port.addresses());
        match zone.and_then(on) {
            Some(there) if ip.is_loopback() || ip.is_unicast_link_local() => {
                let free = [Switch::FOREIGN, Switch::BINDS_ANYWHERE].map(|switch| self.settings.advanced.is_on(switch))
                    != [false; 2];
                let is_there = free || there.iter().any(|prefix| prefix.addr() == ip);
                is_there.then_some(zone).ok_or(Errno::EADDRNOTAVAIL)
            }
            _ => Ok(zone),
        }
    }

    /// The port that a socket is on once it is connected: an address of a link needs one.
    pub(crate) fn peer_zone(&self, stack: &Stack, address: SocketAddr) -> Result<Option<PortId>, Errno> {
        let zone = match (self.named_zone(stack, address), self.device) {
            (Some(Ok(port)), Some(device)) if device != port => return Err(Errno::EINVAL),
            (Some(Err(port)), Some(device)) if port != Some(device) => return Err(Errno::EINVAL),
            (Some(Err(_)), _) => return Err(Errno::ENETUNREACH),
            (Some(Ok(port)), _) => Some(port),
            (None, Some(device)) => Some(device),
            (None, None) if address.ip().is_multicast() && is_of_a_link(address.ip()) => self.groups.options[1].port,
            (None, None) => None,
        };
        if zone.is_none() && is_of_a_link(address.ip()) { Err(Errno::EINVAL) } else { Ok(zone) }
    }

    /// Where it is, as far as it is bound without a port.
    pub(crate) fn portless(&self) -> SocketAddr {
        SocketAddr::new(self.address.unwrap_or(self.settings.unspecified()), 0)
    }
}

impl Host {
    /// The address to connect to, as the stack has it. Nobody in particular is ourselves, as on Linux: over IPv4 at the address
    /// that the socket is bound to, if it is to one.
    pub(crate) fn peer_meant(&self, id: SocketId, remote: SocketAddr) -> Result<SocketAddr, Errno> {
        let settings = self.settings(id).ok_or(Errno::EBADF)?;
        let refused = if remote.is_ipv4() { Errno::EAFNOSUPPORT } else { Errno::ENETUNREACH };
        let meant = settings.inward(remote, refused)?;
        if !meant.ip().is_unspecified() {
            return Ok(meant);
        }
        let own = self.local_address(id)?.ip().to_canonical();
        let ourselves = match (own, meant) {
            (IpAddr::V4(own), SocketAddr::V4(_)) if !own.is_unspecified() => own.into(),
            (IpAddr::V4(_), _) | (_, SocketAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
            (IpAddr::V6(_), SocketAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
        };
        Ok(SocketAddr::new(ourselves, meant.port()))
    }

    /// IPV6_ADDRFORM: a socket that is connected over IPv4 becomes one of AF_INET. Its memberships in groups of IPv6 end, and what it has of flow labels and anycast addresses.
    pub(crate) fn become_ipv4(&mut self, now: Instant, id: SocketId, value: &[u8]) -> Result<(), Errno> {
        if read_int(value)? != i32::from(AF_INET) {
            return Err(Errno::EINVAL);
        }
        let socket = self.sockets.get(id.0).ok_or(Errno::EBADF)?;
        if socket.settings.raw.is_some() {
            return Err(Errno::ENOPROTOOPT);
        }
        let established = match socket.state {
            State::Connection { id, .. } => self.stack.tcp_status(id).state == tcp::State::Established,
            State::Joined { id, side, .. } => {
                self.stack.tcp_joined_info(id, side).is_some_and(|info| info.state == tcp::State::Established)
            }
            _ => true,
        };
        let SocketAddr::V6(peer) = self.peer_address(id)? else { return Err(Errno::ENOPROTOOPT) };
        if !established {
            return Err(Errno::ENOTCONN);
        }
        peer.ip().to_ipv4_mapped().ok_or(Errno::EADDRNOTAVAIL)?;
        if let Some(member) = self.sockets.get(id.0).and_then(|socket| socket.groups.member) {
            let held = self.stack.memberships(member).iter().map(|held| (held.port, held.group));
            for (port, group) in held.filter(|(_, group)| group.is_ipv6()).collect::<Vec<_>>() {
                self.stack.member_leave(member, port, group)?;
            }
        }
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        socket.settings.ipv6 = None;
        let (labels, shared) = (std::mem::take(&mut socket.flow_labels), std::mem::take(&mut socket.anycast));
        self.release_flow_labels(now, &labels);
        self.leave_all_anycast(shared);
        self.apply(now, id);
        Ok(())
    }

    /// The address that a datagram is to go to, or to come from, as the stack has it.
    pub fn inward(&self, id: SocketId, address: SocketAddr) -> Result<SocketAddr, Errno> {
        let settings = self.settings(id).ok_or(Errno::EBADF)?;
        settings.inward(address, if settings.raw.is_some() { Errno::EINVAL } else { Errno::ENETUNREACH })
    }

    /// The port by which a datagram to an address is to go, where the program says or the socket is bound to one.
    pub fn zone(&self, id: SocketId, address: SocketAddr) -> Result<Option<PortId>, Errno> {
        self.sockets.get(id.0).ok_or(Errno::EBADF)?.zone(&self.stack, address)
    }

    /// From now on the socket is bound to a port's link.
    pub(crate) fn narrow(&mut self, now: Instant, id: SocketId, zone: Option<PortId>) {
        if let Some(socket) = self.sockets.get_mut(id.0) {
            socket.device = zone;
            self.apply(now, id);
        }
    }

    /// An address of one end, with the scope that the other end or the socket gives it.
    pub(crate) fn with_scope(&self, socket: &Socket, address: SocketAddr, other: Option<IpAddr>) -> SocketAddr {
        let port = socket.device.or_else(|| {
            let local = [Some(address.ip()), other].into_iter().flatten();
            local.filter_map(|local| self.stack.port_of(local)).next()
        });
        scoped(socket.settings.outward(address), port)
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
        assert_eq!(v6.inward(plain, Errno::EINVAL), Ok(plain));
        assert_eq!(only.inward(plain, Errno::EINVAL), Err(Errno::EINVAL));
        assert_eq!(v6.inward(mapped, Errno::EINVAL), Ok(plain));
        assert_eq!(only.inward(mapped, Errno::EINVAL), Err(Errno::EINVAL));
        assert_eq!(only.inward(global, Errno::EINVAL), Ok(global));
        assert_eq!((v4.outward(plain), v6.outward(plain), v6.outward(global)), (plain, mapped, global));
    }
}
