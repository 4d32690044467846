//! Options of IP that are about the socket itself and the host that it lives on: interfaces by their numbers, what its packets said, how long one may be.
//!
//! # Standards
//!
//! RFC 3542 §6, §11.4; Linux ip(7), ipv6(7).

use std::net::{IpAddr, SocketAddr};

use sockeye_device::Instant;
use sockeye_stack::family::{FLOW_LABEL, FamilyOptions};
use sockeye_stack::{PortId, Stack};

use crate::advanced::Sticky;
use crate::errno::Errno;
use crate::host::{Body, Host, Socket, SocketId};
use crate::names::*;
use crate::settings::{Settings, Switch, int, read_int};

impl Settings {
    /// IP_FREEBIND or IP_TRANSPARENT.
    pub(crate) fn binds_anywhere(&self) -> bool {
        self.advanced.is_on(Switch::BINDS_ANYWHERE) || self.advanced.is_on(Switch::FOREIGN)
    }

    /// The label of a peer's address, where such are sent (IPV6_FLOWINFO_SEND).
    pub(crate) fn flow_label_of(&self, remote: Option<SocketAddr>) -> u32 {
        match remote {
            Some(SocketAddr::V6(to)) if self.advanced.is_on(Switch::SENDS_FLOW) => to.flowinfo() & FLOW_LABEL,
            _ => 0,
        }
    }
}

impl Socket {
    /// By which port and from where a connection to `remote` is to go: what is bound counts, then IPV6_PKTINFO.
    pub(crate) fn source_for_connection(
        &self,
        stack: &Stack,
        remote: Option<SocketAddr>,
        zone: Option<PortId>,
    ) -> Result<(Option<PortId>, SocketAddr), Errno> {
        let bound = self.portless();
        let Some(SocketAddr::V6(_)) = remote else { return Ok((zone, bound)) };
        let Some((address, _)) = self.settings.advanced.packet_info else { return Ok((zone, bound)) };
        let named = self.named_link(stack)?;
        let address = if bound.ip().is_unspecified() { address.into() } else { bound.ip() };
        Ok((zone.or(named), SocketAddr::new(address, 0)))
    }

    /// The link that IPV6_PKTINFO names, if it names one.
    fn named_link(&self, stack: &Stack) -> Result<Option<PortId>, Errno> {
        match self.settings.advanced.packet_info {
            None | Some((_, 0)) => Ok(None),
            Some((_, index)) => {
                let port = PortId::from_interface_index(index);
                port.filter(|port| stack.ports().any(|(id, _)| id == *port)).map(Some).ok_or(Errno::ENODEV)
            }
        }
    }

    /// Whether the link that IPV6_PKTINFO names, if it names one, leads to somebody whom messages are to go to.
    pub(crate) fn may_reach(&self, stack: &Stack, remote: SocketAddr) -> Result<(), Errno> {
        if remote.is_ipv4() || self.device.is_some() {
            return Ok(());
        }
        let Some(port) = self.named_link(stack).map_err(|_| Errno::ENETUNREACH)? else { return Ok(()) };
        let is_there = match stack.port_of(remote.ip()) {
            // An address of ours is on its own link.
            Some(own) => own == port,
            None if remote.ip().is_loopback() => port == PortId::LOOPBACK,
            None => stack.route_to(remote.ip(), None, Some(port)).is_ok(),
        };
        if is_there { Ok(()) } else { Err(Errno::ENETUNREACH) }
    }

    /// What is said of packets of IPv4, and of IPv6: those go by the link that IPV6_PKTINFO names.
    pub(crate) fn family_options(&self, stack: &Stack) -> [FamilyOptions; 2] {
        let [v4, v6] = self.settings.family_options();
        let named = self.named_link(stack).ok().flatten();
        [v4, FamilyOptions { port: named.or(v6.port), ..v6 }]
    }
}

impl Host {
    /// setsockopt(2), if the option is one of these.
    pub(crate) fn set_live_option(
        &mut self,
        now: Instant,
        id: SocketId,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Option<Result<(), Errno>> {
        let settings = self.settings(id)?;
        let v6 = settings.ipv6.is_some();
        let is_raw = settings.raw.is_some_and(|raw| raw.is_raw());
        let done = match (level, name) {
            (IPPROTO_IPV6, IPV6_ADDRFORM) if v6 => return Some(self.become_ipv4(now, id, value)),
            (IPPROTO_IP, IP_UNICAST_IF) => self.set_unicast_port(id, false, value),
            (IPPROTO_IPV6, IPV6_UNICAST_IF) if v6 => self.set_unicast_port(id, true, value),
            // They are for raw sockets.
            (IPPROTO_IP, IP_ROUTER_ALERT) if !is_raw => Err(Errno::EINVAL),
            (IPPROTO_IPV6, IPV6_ROUTER_ALERT) if v6 && !is_raw => read_int(value).and(Err(Errno::ENOPROTOOPT)),
            (IPPROTO_IPV6, IPV6_PKTINFO) if v6 => {
                let index = value.get(16..)?.first_chunk().map(|&index| u32::from_ne_bytes(index))?;
                let device = self.sockets.get(id.0)?.device.map_or(0, PortId::interface_index);
                // The rest is a setting like others.
                return (index != 0 && device != 0 && index != device).then_some(Err(Errno::EINVAL));
            }
            _ => return None,
        };
        if done.is_ok() {
            self.apply(now, id);
        }
        Some(done)
    }

    /// getsockopt(2), if the option is one of these.
    pub(crate) fn live_option(&self, id: SocketId, level: i32, name: i32) -> Option<Result<Vec<u8>, Errno>> {
        let settings = self.settings(id)?;
        let v6 = settings.ipv6.is_some();
        let is_raw = settings.raw.is_some_and(|raw| raw.is_raw());
        Some(match (level, name) {
            (IPPROTO_IP, IP_TTL) => Ok(int(settings.ip.ttl.unwrap_or(self.stack().ttl()).into())),
            (IPPROTO_IPV6, IPV6_UNICAST_HOPS) => Ok(int(settings.ipv6?.hops.unwrap_or(self.stack().ttl()).into())),
            // They are for raw sockets, and off elsewhere.
            (IPPROTO_IP, IP_HDRINCL | IP_ROUTER_ALERT) if !is_raw => Ok(int(0)),
            // What Linux calls so is a socket's number: the protocol of a raw one, the port of others.
            (IPPROTO_IP, IP_PROTOCOL) => Ok(int(match settings.raw {
                Some(raw) if raw.is_raw() => raw.protocol(v6),
                _ => self.local_address(id).map_or(0, |local| local.port().into()),
            })),
            (IPPROTO_IPV6, IPV6_PATHMTU) if v6 => self.path_mtu_info(id),
            (IPPROTO_IPV6, IPV6_ADDRFORM) if v6 => match settings.raw {
                Some(_) => Err(Errno::ENOPROTOOPT),
                None => self.peer_address(id).map(|_| int(AF_INET6.into())),
            },
            (IPPROTO_IPV6, IPV6_ROUTER_ALERT) if v6 && !is_raw => Ok(int(0)),
            _ => return None,
        })
    }

    /// The extension headers of everything that the socket sends from now on.
    pub fn set_sticky(&mut self, now: Instant, id: SocketId, sticky: Sticky) -> Result<(), Errno> {
        self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?.settings.advanced.replace_sticky(sticky)?;
        self.apply(now, id);
        Ok(())
    }

    /// An index in network order; 0: none in particular.
    fn set_unicast_port(&mut self, id: SocketId, v6: bool, value: &[u8]) -> Result<(), Errno> {
        let index = u32::from_be_bytes(value.try_into().map_err(|_| Errno::EINVAL)?);
        let port = match index {
            0 => None,
            index => Some(self.port_at(index).ok_or(Errno::EADDRNOTAVAIL)?),
        };
        let socket = self.sockets.get_mut(id.0).ok_or(Errno::EBADF)?;
        if port.is_some() && socket.device.is_some_and(|device| port != Some(device)) {
            return Err(Errno::EINVAL);
        }
        match &mut socket.settings.ipv6 {
            Some(ipv6) if v6 => ipv6.unicast_port = port,
            _ => socket.settings.ip.unicast_port = port,
        }
        Ok(())
    }

    /// `struct ip6_mtuinfo` of the way to the peer: whom it is to, and how long a packet may be.
    fn path_mtu_info(&self, id: SocketId) -> Result<Vec<u8>, Errno> {
        let mtu = match self.body(id).ok_or(Errno::EBADF)? {
            Body::Datagram(udp) => self.stack().udp_path_mtu(udp),
            Body::Raw(raw) => self.stack().raw_path_mtu(raw),
            Body::Connection(connection) => self.stack().tcp_path_mtu(connection),
            Body::Joined(joined, side) => {
                self.stack().tcp_joined_info(joined, side).and_then(|info| u16::try_from(info.path_mtu).ok())
            }
            _ => None,
        };
        Ok(mtu_info(self.peer_address(id)?, mtu.ok_or(Errno::ENOTCONN)?))
    }
}

/// `struct ip6_mtuinfo`: an address of IPv6, of whose port nothing is said, and a number.
pub fn mtu_info(to: SocketAddr, mtu: u16) -> Vec<u8> {
    let mut info = vec![0; 32];
    info[..2].copy_from_slice(&AF_INET6.to_ne_bytes());
    if let IpAddr::V6(address) = to.ip() {
        info[8..24].copy_from_slice(&address.octets());
    }
    if let SocketAddr::V6(to) = to {
        info[24..28].copy_from_slice(&to.scope_id().to_ne_bytes());
    }
    info[28..].copy_from_slice(&u32::from(mtu).to_ne_bytes());
    info
}
