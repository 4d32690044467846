//! The forwarding table: for an address, the routes of the longest prefix that holds it.
//!
//! One hash table for each prefix length in use, looked at from the longest to the shortest. A host uses a handful of
//! lengths (its links, the default), so a lookup is a handful of probes, however many routes there are; it never costs
//! more than the number of bits in an address. Both families live in one table: their keys differ.
//!
//! The routes of one prefix are kept in the order of their metrics; the first that is usable is taken. What is usable
//! (the port is up, the gateway has not just failed to answer) is the caller's to say, and where no route of a prefix is,
//! the next shorter prefix is tried: so several default gateways back each other up (RFC 1122 §3.3.1.5).
//!
//! # Standards
//!
//! RFC 1122 §3.3.1 (a host's routing), RFC 1812 §5.2.4.3 (longest match).

use crate::hash::Keyed;
use crate::port::PortId;
use hashbrown::HashMap;
use sockeye_wire::IpPrefix;
use std::net::IpAddr;

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to. Host bits do not matter.
    pub destination: IpPrefix,
    /// The gateway; none where the destination is on the link.
    pub next_hop: Option<IpAddr>,
    /// By which port.
    pub port: PortId,
    /// The source address to prefer; else the port's own.
    pub source: Option<IpAddr>,
    /// The lowest wins among the routes of one prefix.
    pub metric: u32,
}

impl Route {
    /// Same destination, gateway and port: the same route, whatever its metric.
    fn is_same(&self, other: &Route) -> bool {
        (self.destination.network(), self.next_hop, self.port)
            == (other.destination.network(), other.next_hop, other.port)
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Fib {
    routes: HashMap<IpPrefix, Vec<Route>, Keyed>,
    /// Lengths in use with the number of their prefixes, longest first; IPv4's, then IPv6's.
    lengths: [Vec<(u8, usize)>; 2],
}

impl Fib {
    pub(crate) fn new(hasher: Keyed) -> Self {
        Fib { routes: HashMap::with_hasher(hasher), lengths: [Vec::new(), Vec::new()] }
    }

    /// Adds a route, or replaces the one with the same destination, gateway and port.
    pub(crate) fn insert(&mut self, route: Route) {
        let prefix = route.destination.network();
        let routes = self.routes.entry(prefix).or_default();
        if routes.is_empty() {
            let lengths = &mut self.lengths[family(prefix.addr())];
            match lengths.binary_search_by(|&(len, _)| prefix.len().cmp(&len)) {
                Ok(at) => lengths[at].1 += 1,
                Err(at) => lengths.insert(at, (prefix.len(), 1)),
            }
        }
        routes.retain(|other| !other.is_same(&route));
        let at = routes.partition_point(|other| other.metric <= route.metric);
        routes.insert(at, route);
    }

    /// Removes the route with the same destination, gateway and port. True when there was one.
    pub(crate) fn remove(&mut self, route: &Route) -> bool {
        self.remove_where(route, |other| other.is_same(route))
    }

    /// Removes the route if it is still this one, and not another that has taken its place.
    pub(crate) fn remove_exactly(&mut self, route: &Route) -> bool {
        self.remove_where(route, |other| other.is_same(route) && other.metric == route.metric)
    }

    fn remove_where(&mut self, route: &Route, matches: impl Fn(&Route) -> bool) -> bool {
        let prefix = route.destination.network();
        let Some(routes) = self.routes.get_mut(&prefix) else { return false };
        let before = routes.len();
        routes.retain(|other| !matches(other));
        let (after, removed) = (routes.len(), routes.len() < before);
        if after == 0 {
            self.routes.remove(&prefix);
            let lengths = &mut self.lengths[family(prefix.addr())];
            if let Some(at) = lengths.iter().position(|&(len, _)| len == prefix.len()) {
                lengths[at].1 -= 1;
                if lengths[at].1 == 0 {
                    lengths.remove(at);
                }
            }
        }
        removed
    }

    /// True where there is a route with the same destination, gateway and port.
    pub(crate) fn contains(&self, route: &Route) -> bool {
        let routes = self.routes.get(&route.destination.network());
        routes.is_some_and(|routes| routes.iter().any(|other| other.is_same(route)))
    }

    /// The first usable route of the longest prefix that holds `address` and has one.
    pub(crate) fn lookup(&self, address: IpAddr, mut usable: impl FnMut(&Route) -> bool) -> Option<&Route> {
        for &(len, _) in &self.lengths[family(address)] {
            let Ok(prefix) = IpPrefix::new(address, len) else { continue };
            if let Some(routes) = self.routes.get(&prefix.network())
                && let Some(route) = routes.iter().find(|route| usable(route))
            {
                return Some(route);
            }
        }
        None
    }

    /// All routes, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().flatten()
    }
}

fn family(address: IpAddr) -> usize {
    usize::from(address.is_ipv6())
}
