//! What is known of a link, for people and for the node.

use super::{AddressState, Origin};
use crate::Stack;
use crate::port::PortId;
use sockeye_device::Instant;
use sockeye_wire::IpPrefix;
use sockeye_wire::ndisc::Preference;
use std::net::{IpAddr, Ipv6Addr};

/// An address of a port's, whatever its state and family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressView {
    /// The address, and how much of it names the network.
    pub prefix: IpPrefix,
    /// What may be done with it.
    pub state: AddressState,
    /// Where it comes from.
    pub origin: Origin,
    /// Until when it is an address of ours; none for ever.
    pub valid_until: Option<Instant>,
    /// Until when it is preferred; none for ever.
    pub preferred_until: Option<Instant>,
}

/// A default router that advertised itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterView {
    /// On which link.
    pub port: PortId,
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// Until when it is one.
    pub until: Option<Instant>,
    /// Rather this one than others, or rather not.
    pub preference: Preference,
}

/// Whence a route is, if nobody configured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// True for a router's redirect, false for its advertisement.
    pub redirect: bool,
    /// Until when it stands.
    pub until: Option<Instant>,
}

/// Something that whoever runs the host may want to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A port's address is its own.
    Address {
        /// The port.
        port: PortId,
        /// The address.
        prefix: IpPrefix,
        /// Where it comes from.
        origin: Origin,
    },
    /// Somebody else on the link has it.
    Duplicate {
        /// The port.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
        /// Another one is made in its place.
        anew: bool,
    },
    /// A default router has come, or gone.
    Router {
        /// The port.
        port: PortId,
        /// Its address.
        address: Ipv6Addr,
        /// It is one from now on; else no more.
        present: bool,
    },
}

impl Stack {
    /// Something that happened; each is told once.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.ip.autoconf.poll_notice()
    }

    /// All addresses of a port, those that are not in use yet and those that never will be, too.
    pub fn addresses_of(&self, port: PortId) -> Vec<AddressView> {
        let Some(state) = self.ip.find_port(port) else { return Vec::new() };
        let configured = |prefix| AddressView {
            prefix,
            state: AddressState::Preferred,
            origin: Origin::Configured,
            valid_until: None,
            preferred_until: None,
        };
        let link = self.ip.autoconf.link(port);
        let plain = state.addresses().iter().filter(|own| own.addr().is_ipv4() || link.is_none());
        let own = link.into_iter().flat_map(|link| link.own()).map(|own| AddressView {
            prefix: own.prefix,
            state: own.state,
            origin: own.origin,
            valid_until: own.valid_until,
            preferred_until: own.preferred_until,
        });
        plain.map(|&prefix| configured(prefix)).chain(own).collect()
    }

    /// The default routers that advertise themselves.
    pub fn routers(&self) -> Vec<RouterView> {
        self.ip.autoconf.links().flat_map(|(port, link)| link.routers(port)).collect()
    }

    /// Whence a route is; none for one that was configured.
    pub fn route_view(&self, route: &crate::Route) -> Option<RouteView> {
        if let Some(until) = self.ip.redirects.find(route) {
            return Some(RouteView { redirect: true, until: Some(until) });
        }
        let (port, next_hop) = (route.port, route.next_hop);
        self.ip.autoconf.link(port)?.advertised(route.destination.network(), next_hop)
    }

    /// The name servers that routers have named, and on which link they are.
    pub fn name_servers(&self) -> Vec<(IpAddr, PortId)> {
        let named = |(port, link): (PortId, &super::Link)| {
            link.servers.iter().map(|server| (server.address.into(), port)).collect::<Vec<_>>()
        };
        self.ip.autoconf.links().flat_map(named).collect()
    }

    /// The domains in which routers would have names looked for.
    pub fn search_domains(&self) -> Vec<String> {
        let links = self.ip.autoconf.links();
        links.flat_map(|(_, link)| link.domains.iter().map(|domain| domain.name.clone())).collect()
    }

    /// Changes whenever those two do.
    pub fn names_generation(&self) -> u64 {
        self.ip.autoconf.names_generation
    }
}
