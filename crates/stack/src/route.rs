//! Which way a packet goes: by which port, to which next hop, from which of our addresses, and how large it may be.
//!
//! An address is one of six things to a host: its own, its own and others' (anycast), everybody's on a link (broadcast), a group's (multicast), that of
//! a host on a link or behind a gateway (unicast), or none (unspecified, reserved, out of place). [`Addresses`] knows what
//! is configured; the [FIB](crate::fib) knows the rest.
//!
//! What goes to ourselves goes by the loopback port, whatever port the address belongs to. A gateway that has just
//! failed to answer is passed over for a minute if there is another way (RFC 1122 §3.3.1.4, §3.3.1.5); nobody is pinged
//! for it: what is sent shows it.
//!
//! The source is the caller's, else the route's own, else the address of the port whose network holds the next hop, else
//! the port's first (RFC 1122 §3.3.4.3); of IPv6's the best by [`selection`]. What is of a link (`fe80::`) is of
//! the link that the caller names, or the one on which the source is.
//!
//! # Standards
//!
//! RFC 1122 §3.2.1.3 (addresses), §3.3.1 (routing), §3.3.4.3 (source selection), §3.3.6 (broadcasts); RFC 6890 (special
//! addresses); RFC 919, RFC 922; RFC 4007 §6 and §9 (zones); RFC 6724.

use crate::family::Preferences;
use crate::ip::{DEAD_GATEWAY, Ip};
use crate::port::{Port, PortId};
use crate::selection::{self, Candidate, Destination, Source, is_of_a_link};
use sockeye_device::Instant;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The host itself, for who sends to nobody in particular (RFC 1122 leaves it open; Linux has it so).
pub(crate) fn or_ourselves(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// The way to a destination. Valid while `Ip::route_generation` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// By which port.
    pub port: PortId,
    /// From which of our addresses.
    pub source: IpAddr,
    /// To whom on the link: the destination or a gateway; 255.255.255.255 for any broadcast.
    pub next_hop: IpAddr,
    /// The largest packet, of the port or, where it is known to be smaller, of the path.
    pub mtu: u16,
    /// What the destination is.
    pub kind: AddressKind,
    /// How far a packet goes, where nobody says.
    pub hop_limit: u8,
}

/// Why there is no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No route leads there.
    Nowhere,
    /// From an address that is none of ours, or of the loopback, which no other host may see (RFC 1122 §3.2.1.3).
    Source,
}

/// What an address is to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// One of our own.
    Local,
    /// One that is ours, and others' as well.
    Anycast,
    /// Another host.
    Unicast,
    /// All hosts of a link.
    Broadcast,
    /// The hosts of a group.
    Multicast,
    /// No host: unspecified, or reserved.
    Invalid,
}

/// Our addresses, and the broadcast addresses that follow from them, each table in order.
///
/// Every packet asks for two addresses, and mostly there is a handful to compare with. A stranger chooses what is looked
/// for but not what is in the tables, so a search has its bound without a keyed hash.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    v4: Vec<Known>,
    /// A link-local address may be on several.
    v6: Vec<(Ipv6Addr, PortId)>,
    anycast: Vec<(Ipv6Addr, PortId)>,
}

/// An IPv4 address that means something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    address: Ipv4Addr,
    /// Of one that is both, it is not.
    broadcast: bool,
    port: PortId,
}

impl Addresses {
    /// Reads the ports' addresses anew.
    pub(crate) fn rebuild(&mut self, ports: &[Port]) {
        let Addresses { v4, v6, anycast } = self;
        v4.clear();
        v6.clear();
        anycast.clear();
        for (index, state) in ports.iter().enumerate() {
            let port = PortId(index as u16);
            anycast.extend(state.anycast.iter().map(|held| (held.address, port)));
            for prefix in &state.addresses {
                match prefix.addr() {
                    IpAddr::V4(address) => v4.push(Known { address, broadcast: false, port }),
                    IpAddr::V6(address) => v6.push((address, port)),
                }
                if let (Some(ones), IpAddr::V4(zeros)) = (prefix.broadcast(), prefix.network().addr()) {
                    // RFC 1122 §3.3.6: both the all-ones and the ancient all-zeros form; of the loopback Linux has the former only.
                    let forms = [ones, zeros].into_iter().take(if port.is_loopback() { 1 } else { 2 });
                    v4.extend(forms.map(|address| Known { address, broadcast: true, port }));
                }
            }
        }
        // Of several entries the first stays: our own before everybody's, then that of the first port.
        v4.sort_unstable();
        v4.dedup_by_key(|known| known.address);
        v6.sort_unstable();
        anycast.sort_unstable();
    }

    /// True for one of our own addresses, all of 127/8 but its broadcast included.
    pub(crate) fn is_local(&self, address: IpAddr) -> bool {
        self.classify(address) == AddressKind::Local
    }

    /// What `address` is.
    pub(crate) fn classify(&self, address: IpAddr) -> AddressKind {
        match address {
            IpAddr::V4(address) => self.classify_v4(address),
            IpAddr::V6(address) => self.classify_v6(address),
        }
    }

    /// The same for IPv6.
    pub(crate) fn classify_v6(&self, address: Ipv6Addr) -> AddressKind {
        if address.is_multicast() {
            AddressKind::Multicast
        } else if address.is_loopback() || self.v6.binary_search_by_key(&address, |&(own, _)| own).is_ok() {
            AddressKind::Local
        } else if address.is_unspecified() {
            AddressKind::Invalid
        } else if !self.anycast.is_empty() && self.anycast_port(address.into()).is_some() {
            AddressKind::Anycast
        } else {
            AddressKind::Unicast
        }
    }

    /// True for an address of this very port.
    pub(crate) fn is_on(&self, port: PortId, address: Ipv6Addr) -> bool {
        self.v6.binary_search(&(address, port)).is_ok()
    }

    /// The port that an anycast address is on.
    pub(crate) fn anycast_port(&self, address: IpAddr) -> Option<PortId> {
        let IpAddr::V6(address) = address else { return None };
        let found = self.anycast.binary_search_by_key(&address, |&(held, _)| held);
        found.ok().map(|index| self.anycast[index].1)
    }

    /// True for an anycast address of this very port.
    pub(crate) fn is_anycast_on(&self, port: PortId, address: Ipv6Addr) -> bool {
        self.anycast.binary_search(&(address, port)).is_ok()
    }

    /// The same for IPv4.
    #[inline]
    pub(crate) fn classify_v4(&self, address: Ipv4Addr) -> AddressKind {
        match (self.find(address), address.octets()[0]) {
            (Some(Known { broadcast: false, .. }), _) | (None, 127) => AddressKind::Local,
            (_, 224..=239) => AddressKind::Multicast,
            (Some(_), _) => AddressKind::Broadcast,
            (None, _) if address.is_broadcast() => AddressKind::Broadcast,
            (None, 0 | 240..) => AddressKind::Invalid,
            (None, _) => AddressKind::Unicast,
        }
    }

    /// The port on whose link `address` is everybody's.
    fn broadcast_port(&self, address: IpAddr) -> Option<PortId> {
        let IpAddr::V4(address) = address else { return None };
        self.find(address).filter(|known| known.broadcast).map(|known| known.port)
    }

    /// The port that an address of ours is on.
    pub(crate) fn port_of(&self, address: IpAddr) -> Option<PortId> {
        match address {
            IpAddr::V4(address) => self.find(address).filter(|known| !known.broadcast).map(|known| known.port),
            IpAddr::V6(address) => {
                self.v6.binary_search_by_key(&address, |&(own, _)| own).ok().map(|index| self.v6[index].1)
            }
        }
    }

    #[inline]
    fn find(&self, address: Ipv4Addr) -> Option<Known> {
        let key = address.to_bits();
        self.v4.binary_search_by_key(&key, |known| known.address.to_bits()).ok().map(|index| self.v4[index])
    }
}

/// True for a host's address that means something on one link only.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

impl RouteEntry {
    /// True where no gateway stands between.
    pub(crate) fn is_to_neighbor(&self, destination: IpAddr) -> bool {
        self.kind != AddressKind::Unicast || self.next_hop == destination
    }
}

impl crate::Stack {
    /// The way to a destination, from an address of ours and by a port if these are given.
    pub fn route_to(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        device: Option<PortId>,
    ) -> Result<RouteEntry, NoRoute> {
        self.ip.route_by(destination, source, device)
    }
}

impl Ip {
    /// The way to `destination`, from `source` if that is given (it must be one of our own).
    pub(crate) fn route(&self, destination: IpAddr, source: Option<IpAddr>) -> Result<RouteEntry, NoRoute> {
        self.route_by(destination, source, None)
    }

    /// The same, by one port only if `device` is given.
    pub(crate) fn route_by(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        device: Option<PortId>,
    ) -> Result<RouteEntry, NoRoute> {
        self.route_preferring(destination, source, device, Preferences::default())
    }

    /// The same for a program that prefers some of our addresses.
    pub(crate) fn route_preferring(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        device: Option<PortId>,
        preferences: Preferences,
    ) -> Result<RouteEntry, NoRoute> {
        let source = source.filter(|source| !source.is_unspecified());
        let device = device.or_else(|| if is_of_a_link(destination) { self.addresses.port_of(source?) } else { None });
        let kind = self.addresses.classify(destination);
        match kind {
            AddressKind::Invalid => Err(NoRoute::Nowhere),
            AddressKind::Local => {
                // As on Linux: all of 127/8 is asked from 127.0.0.1, which is the one that access lists know.
                let itself = Some(destination).filter(|address| !(address.is_ipv4() && address.is_loopback()));
                self.entry(PortId::LOOPBACK, source.or(itself), (destination, destination), kind, preferences)
            }
            AddressKind::Anycast => {
                // As what goes to ourselves, but not from there.
                let port = self.addresses.anycast_port(destination).ok_or(NoRoute::Nowhere)?;
                let ends = (destination, destination);
                let source = self.entry(port, source, ends, kind, preferences)?.source;
                self.entry(PortId::LOOPBACK, Some(source), ends, kind, preferences)
            }
            AddressKind::Broadcast | AddressKind::Multicast => {
                let port = device
                    .or_else(|| self.addresses.broadcast_port(destination))
                    .or_else(|| source.and_then(|source| self.addresses.port_of(source)))
                    .or_else(|| {
                        self.fib.lookup(destination, |route| self.is_usable(route.port)).map(|route| route.port)
                    })
                    .or_else(|| self.first_link(destination));
                let next_hop = if kind == AddressKind::Broadcast { Ipv4Addr::BROADCAST.into() } else { destination };
                let port = port.filter(|&port| self.is_usable(port)).ok_or(NoRoute::Nowhere)?;
                self.entry(port, source, (destination, next_hop), kind, preferences)
            }
            AddressKind::Unicast => self.route_unicast(destination, source, device, preferences),
        }
    }

    fn route_unicast(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        device: Option<PortId>,
        preferences: Preferences,
    ) -> Result<RouteEntry, NoRoute> {
        // RFC 4291, 2.5.6: what is of a link stays on a link, whatever the default route says.
        let of_a_link = is_link_local(destination);
        let usable = |route: &crate::fib::Route| {
            self.is_usable(route.port)
                && device.is_none_or(|device| device == route.port)
                && (!of_a_link || is_link_local(route.destination.addr()))
        };
        let alive = |route: &crate::fib::Route| {
            usable(route) && route.next_hop.is_none_or(|gateway| !self.is_dead(route.port, gateway))
        };
        let found = if self.dead_gateways.is_empty() { None } else { self.fib.lookup(destination, alive) };
        let (port, next_hop, source) = match (found.or_else(|| self.fib.lookup(destination, usable)), device) {
            (Some(route), _) => (route.port, route.next_hop.unwrap_or(destination), source.or(route.source)),
            // As on Linux: who names a link of IPv4 that no route leads by means a host on it.
            (None, Some(port)) if destination.is_ipv4() && self.is_usable(port) && !port.is_loopback() => {
                (port, destination, source)
            }
            _ => return Err(NoRoute::Nowhere),
        };
        let kind = AddressKind::Unicast;
        let mut entry = self.entry(port, source, (destination, next_hop), kind, preferences)?;
        if let Some(mtu) = self.path_mtus.find(destination) {
            entry.mtu = entry.mtu.min(mtu);
        }
        Ok(entry)
    }

    fn entry(
        &self,
        port: PortId,
        source: Option<IpAddr>,
        (destination, next_hop): (IpAddr, IpAddr),
        kind: AddressKind,
        preferences: Preferences,
    ) -> Result<RouteEntry, NoRoute> {
        if !port.is_loopback() && matches!(source, Some(IpAddr::V4(source)) if source.is_loopback()) {
            return Err(NoRoute::Source);
        }
        let state = self.find_port(port).ok_or(NoRoute::Nowhere)?;
        let (source, mtu, hop_limit) = match destination {
            IpAddr::V4(_) => {
                let of_family = || state.addresses.iter().filter(|prefix| prefix.addr().is_ipv4());
                let chosen = || {
                    let near = of_family().find(|prefix| prefix.contains(next_hop));
                    near.or_else(|| of_family().next()).map(|prefix| prefix.addr())
                };
                (source.or_else(chosen), state.mtu, self.ttl)
            }
            IpAddr::V6(destination) => {
                let chosen =
                    || Some(selection::source(destination, preferences, self.candidates(port))?.address.into());
                (source.or_else(chosen), state.mtu_v6, state.hop_limit)
            }
        };
        let source = source.ok_or(NoRoute::Nowhere)?;
        Ok(RouteEntry { port, source, next_hop, mtu, kind, hop_limit })
    }

    /// The addresses of IPv6 from which a port may send.
    fn candidates(&self, port: PortId) -> impl Iterator<Item = Candidate> + '_ {
        let link = self.autoconf.link(port);
        let addresses = self.find_port(port).into_iter().flat_map(|state| &state.addresses);
        addresses.filter_map(move |prefix| {
            let IpAddr::V6(address) = prefix.addr() else { return None };
            let own = link.and_then(|link| link.own().iter().find(|own| own.address() == address));
            Some(Candidate {
                address,
                prefix_len: prefix.len(),
                avoided: own.is_some_and(|own| own.is_avoided()),
                temporary: own.is_some_and(|own| own.is_temporary()),
            })
        })
    }

    /// Puts addresses of a peer in the order in which to try them.
    pub(crate) fn order_destinations(&self, addresses: &mut [IpAddr]) {
        let mut destinations: Vec<_> = addresses.iter().map(|&address| self.with_source(address)).collect();
        selection::order(&mut destinations);
        for (place, destination) in addresses.iter_mut().zip(destinations) {
            *place = destination.address;
        }
    }

    fn with_source(&self, address: IpAddr) -> Destination {
        let route = self.route(address, None).ok();
        let source = route.map(|route| {
            let avoided = self.candidates(route.port).any(|own| IpAddr::V6(own.address) == route.source && own.avoided);
            Source { address: route.source, avoided }
        });
        Destination { address, source }
    }

    /// The port by which a group is reached, be it that none of its addresses is in use yet.
    pub(crate) fn port_for_group(&self, group: IpAddr) -> Option<PortId> {
        let routed = || self.fib.lookup(group, |route| self.is_usable(route.port)).map(|route| route.port);
        let any = || (1..self.ports.len() as u16).map(PortId).find(|&port| self.is_usable(port));
        routed().or_else(|| self.first_link(group)).or_else(any)
    }

    fn is_usable(&self, port: PortId) -> bool {
        self.find_port(port).is_some_and(|port| port.up)
    }

    fn first_link(&self, destination: IpAddr) -> Option<PortId> {
        let mut links = self.ports.iter().enumerate().skip(1);
        let has_family = |port: &Port| port.addresses.iter().any(|own| own.addr().is_ipv4() == destination.is_ipv4());
        links.find(|(_, port)| port.up && has_family(port)).map(|(index, _)| PortId(index as u16))
    }

    fn is_dead(&self, port: PortId, gateway: IpAddr) -> bool {
        self.dead_gateways.iter().any(|&(on, who, _)| (on, who) == (port, gateway))
    }

    /// A neighbour did not answer. If it is a gateway, others are preferred for a while.
    pub(crate) fn bury_gateway(&mut self, now: Instant, port: PortId, address: IpAddr) {
        let is_gateway = self.fib.iter().any(|route| (route.port, route.next_hop) == (port, Some(address)));
        if is_gateway && !self.is_dead(port, address) {
            self.dead_gateways.push((port, address, now + DEAD_GATEWAY));
            self.route_generation += 1;
        }
    }

    /// A neighbour has answered: if it was given up as a gateway, it is one again.
    pub(crate) fn revive_gateway(&mut self, port: PortId, address: IpAddr) {
        if self.is_dead(port, address) {
            self.dead_gateways.retain(|&(on, who, _)| (on, who) != (port, address));
            self.route_generation += 1;
        }
    }

    /// Whether a program may send from an address that it names. As Linux has it: from somebody else's address of IPv4 no way leads.
    pub(crate) fn check_source(&self, source: IpAddr) -> Result<(), NoRoute> {
        match (self.addresses.classify(source), source) {
            _ if self.may_send_from(source) => Ok(()),
            (AddressKind::Unicast, IpAddr::V4(_)) => Err(NoRoute::Nowhere),
            _ => Err(NoRoute::Source),
        }
    }

    /// True for an address that a socket may bind to: all, our own, or one that many share.
    pub(crate) fn may_bind(&self, address: IpAddr) -> bool {
        address.is_unspecified()
            || matches!(
                self.addresses.classify(address),
                AddressKind::Local | AddressKind::Broadcast | AddressKind::Multicast
            )
    }
}
