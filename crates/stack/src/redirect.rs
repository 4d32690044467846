//! Redirects: the router in use knows a shorter way to a destination.
//!
//! Anybody on the link can forge a redirect. So only the router that is the first hop to the destination at this moment is
//! believed, and only a way on the same link: another router there, or (with IPv6) the destination itself. What is
//! learnt is a route to one host. It ends after a while, when its next hop does not answer, and when its link goes down; then
//! the router is asked again. There is room for so many; the oldest makes way.
//!
//! Whoever runs the host may want none of it: [`Stack::set_redirects`].
//!
//! # Standards
//!
//! RFC 4861 §8.1 (validity, of which the message itself tells most), §8.3 (a host's part); RFC 1122 §3.2.2.2, §3.3.1.2, §3.3.1.3.

use crate::Stack;
use crate::counters::Drop;
use crate::fib::Route;
use crate::ip::Ip;
use crate::port::PortId;
use crate::route::AddressKind;
use sockeye_device::Instant;
use sockeye_wire::IpPrefix;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Destinations that have a way of their own.
const MOST: usize = 256;
/// How long they have it.
const LIFETIME: Duration = Duration::from_secs(600);

/// The ways that routers have told us of, the oldest first.
pub(crate) struct Redirects {
    entries: VecDeque<(Route, Instant)>,
    followed: bool,
}

impl Default for Redirects {
    fn default() -> Self {
        Redirects { entries: VecDeque::new(), followed: true }
    }
}

impl Redirects {
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.entries.front().map(|&(_, until)| until)
    }

    /// Until when a route stands that is one of these.
    pub(crate) fn find(&self, route: &Route) -> Option<Instant> {
        self.entries.iter().find(|(own, _)| own == route).map(|&(_, until)| until)
    }
}

impl Stack {
    /// Whether redirects are followed; they are, until somebody says otherwise.
    pub fn set_redirects(&mut self, followed: bool) {
        self.ip.redirects.followed = followed;
    }
}

impl Ip {
    /// `router` says that packets to `destination` had better go to `target`.
    pub(crate) fn take_redirect(
        &mut self,
        now: Instant,
        port: PortId,
        router: IpAddr,
        destination: IpAddr,
        target: IpAddr,
    ) -> Result<(), Drop> {
        if !self.redirects.followed {
            return Err(Drop::RedirectOff);
        }
        let first_hop = self.route_by(destination, None, Some(port)).ok();
        let current = first_hop.filter(|route| route.kind == AddressKind::Unicast && route.next_hop != destination);
        let on_link = target == destination && target.is_ipv6();
        let sound = self.addresses.classify(target) == AddressKind::Unicast
            && target != router
            && (on_link || self.is_beside(port, target));
        if current.is_none_or(|route| route.next_hop != router) || !sound {
            return Err(Drop::RedirectInvalid);
        }
        let next_hop = if on_link { None } else { Some(target) };
        let route = Route { destination: IpPrefix::host(destination), next_hop, port, source: None, metric: 0 };
        self.end_redirects(|other| (other.port, other.destination) == (port, route.destination));
        if self.redirects.entries.len() >= MOST
            && let Some((oldest, _)) = self.redirects.entries.pop_front()
        {
            self.fib.remove_exactly(&oldest);
        }
        self.redirects.entries.push_back((route, now + LIFETIME));
        self.fib.insert(route);
        self.route_generation += 1;
        self.counters.redirects_followed += 1;
        Ok(())
    }

    /// True for a host on the port's own link, as far as its addresses tell.
    fn is_beside(&self, port: PortId, address: IpAddr) -> bool {
        match address {
            IpAddr::V6(address) => address.is_unicast_link_local(),
            IpAddr::V4(_) => {
                let addresses = self.find_port(port).map(|port| &port.addresses);
                addresses.is_some_and(|addresses| addresses.iter().any(|own| own.contains(address)))
            }
        }
    }

    /// A neighbour does not answer, or is no router: no way leads over it any more.
    pub(crate) fn forget_redirects(&mut self, port: PortId, address: IpAddr) {
        self.end_redirects(|route| route.port == port && route.next_hop.unwrap_or(route.destination.addr()) == address);
    }

    /// The same for all neighbours of a link.
    pub(crate) fn forget_redirects_of(&mut self, port: PortId) {
        self.end_redirects(|route| route.port == port);
    }

    pub(crate) fn expire_redirects(&mut self, now: Instant) {
        while let Some(&(route, until)) = self.redirects.entries.front()
            && until <= now
        {
            self.redirects.entries.pop_front();
            self.fib.remove_exactly(&route);
            self.route_generation += 1;
        }
    }

    fn end_redirects(&mut self, ends: impl Fn(&Route) -> bool) {
        let Ip { redirects, fib, route_generation, .. } = self;
        redirects.entries.retain(|(route, _)| {
            let stays = !ends(route);
            if !stays {
                fib.remove_exactly(route);
                *route_generation += 1;
            }
            stays
        });
    }
}
