//! What routers say of themselves and of their link, and how long it holds.
//!
//! An advertisement is believed if it comes from the link (its hop limit says so) and from a link-local address; who may be
//! a router at all is for the link to enforce (RFC 6105). From it come default routes and more specific ones, in the
//! order of the routers' preference and behind those that were configured; prefixes that are on the link; prefixes from
//! which addresses are made; the link's MTU and hop limit; the times of neighbour discovery; name servers and domains.
//!
//! What was configured is the administrator's: a route or a prefix that is there already is not a router's to end.
//!
//! A forged advertisement could end an address by a short lifetime. So an address lives at least two hours after
//! anybody said that it should not.
//!
//! # Standards
//!
//! RFC 4861 §6.3.4 and §6.3.5 (processing, and what times out), §7.3.3 (a router that is none any more); RFC 4862 §5.5.3
//! (addresses, the two hours); RFC 4191 §3 (preference, routes); RFC 8106 §5 (names); RFC 5942 §4 (an address says
//! nothing of what is on the link).

use super::{Link, MAX_NAMES, MAX_PREFIXES, MAX_ROUTERS, MAX_ROUTES, Notice, RouteView, RouterView, is_network, until};
use crate::counters::Drop;
use crate::fib::Route;
use crate::ip::Ip;
use crate::neighbor::Claim;
use crate::port::PortId;
use crate::resolution::Claimed;
use sockeye_device::Instant;
use sockeye_wire::IpPrefix;
use sockeye_wire::ipv6::MIN_MTU;
use sockeye_wire::ndisc::{
    DnsSearchList, NdOption, Preference, PrefixInformation, RecursiveDns, RouteInformation, RouterAdvertisement,
};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Of routes through routers that advertise themselves: as Linux has it, and one less or more by their preference.
const ADVERTISED_METRIC: u32 = 1_024;
/// Of prefixes that are said to be on the link: as Linux has it.
const ON_LINK_METRIC: u32 = 256;
/// RFC 4862 §5.5.3 e.
const TWO_HOURS: Duration = Duration::from_secs(2 * 3_600);
/// RFC 4861 §6.2.1: the longest time that a router may advertise.
const MAX_REACHABLE: u32 = 3_600_000;
/// Between questions: what is less would be a flood, what is more would let no neighbour fail.
const RETRANSMIT: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

/// A route through a router that said so.
pub(super) struct LearntRoute {
    destination: IpPrefix,
    router: Ipv6Addr,
    preference: Preference,
    pub(super) until: Option<Instant>,
}

impl LearntRoute {
    fn is_default(&self) -> bool {
        self.destination.len() == 0
    }

    fn route(&self, port: PortId) -> Route {
        let metric = match self.preference {
            Preference::High => ADVERTISED_METRIC - 1,
            Preference::Medium => ADVERTISED_METRIC,
            Preference::Low => ADVERTISED_METRIC + 1,
        };
        Route { destination: self.destination, next_hop: Some(self.router.into()), port, source: None, metric }
    }
}

/// A prefix that is on the link.
pub(super) struct OnLink {
    prefix: IpPrefix,
    pub(super) until: Option<Instant>,
}

impl OnLink {
    fn route(&self, port: PortId) -> Route {
        Route { destination: self.prefix, next_hop: None, port, source: None, metric: ON_LINK_METRIC }
    }
}

/// A name server.
pub(super) struct Server {
    pub(super) address: Ipv6Addr,
    pub(super) until: Option<Instant>,
}

/// A domain to look for names in.
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) until: Option<Instant>,
}

impl Link {
    pub(super) fn routers(&self, port: PortId) -> impl Iterator<Item = RouterView> + '_ {
        let routers = self.routes.iter().filter(|route| route.is_default());
        routers.map(move |route| {
            let LearntRoute { router, preference, until, .. } = *route;
            RouterView { port, address: router, until, preference }
        })
    }

    pub(super) fn advertised(&self, destination: IpPrefix, next_hop: Option<IpAddr>) -> Option<RouteView> {
        let until = match next_hop {
            Some(router) => {
                let mut routes = self.routes.iter();
                routes.find(|route| (route.destination, IpAddr::V6(route.router)) == (destination, router))?.until
            }
            None => self.prefixes.iter().find(|on_link| on_link.prefix == destination)?.until,
        };
        Some(RouteView { redirect: false, until })
    }
}

impl Ip {
    /// A router's advertisement, valid as far as it tells itself.
    pub(crate) fn take_router_advertisement(
        &mut self,
        now: Instant,
        port: PortId,
        router: Ipv6Addr,
        said: &RouterAdvertisement<'_>,
    ) -> Result<(), Drop> {
        self.counters.nd_router_advertisements_received += 1;
        let Some(link) = self.autoconf.link_mut(port).filter(|link| link.settings.routers) else {
            return Err(Drop::NdRouter);
        };
        if said.lifetime > 0 {
            link.solicitation = None;
        }
        self.take_parameters(port, said);
        let mut outcome = Ok(());
        if let Some(mac) = said.options.source_link_layer()
            && mac.is_unicast()
            && self.hear(now, port, router.into(), mac, Claim::Passing) == Claimed::Doubtful
        {
            outcome = Err(Drop::NdDoubtful);
        }
        let everything = IpPrefix::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        if let Ok(everything) = everything {
            self.learn_route(now, port, (everything, router), said.lifetime.into(), said.preference);
        }
        for option in said.options.iter() {
            match option {
                Ok(NdOption::Prefix(prefix)) => self.take_prefix(now, port, &prefix),
                Ok(NdOption::Route(route)) => self.take_route(now, port, router, &route),
                Ok(NdOption::Mtu(mtu)) => self.take_mtu(port, mtu),
                Ok(NdOption::RecursiveDns(servers)) => self.take_servers(now, port, &servers),
                Ok(NdOption::DnsSearchList(domains)) => self.take_domains(now, port, &domains),
                Ok(_) => {}
                Err(_) => self.counters.drop(Drop::NdOption),
            }
        }
        self.autoconf.reschedule();
        outcome
    }

    fn take_parameters(&mut self, port: PortId, said: &RouterAdvertisement<'_>) {
        let Some(link) = self.autoconf.link_mut(port) else { return };
        if (1..=MAX_REACHABLE).contains(&said.reachable_time) {
            link.timing.reachable = Duration::from_millis(said.reachable_time.into());
        }
        if said.retransmit_time != 0 {
            let retransmit = Duration::from_millis(said.retransmit_time.into());
            link.timing.retransmit = retransmit.clamp(*RETRANSMIT.start(), *RETRANSMIT.end());
        }
        self.neighbors.set_timing(port, link.timing);
        if let Some(state) = self.ports.get_mut(port.index())
            && said.hop_limit != 0
            && state.hop_limit != said.hop_limit
        {
            state.hop_limit = said.hop_limit;
            self.route_generation += 1;
        }
    }

    fn take_mtu(&mut self, port: PortId, mtu: u32) {
        let Some(state) = self.ports.get_mut(port.index()) else { return };
        match u16::try_from(mtu) {
            Ok(mtu) if usize::from(mtu) >= MIN_MTU && mtu <= state.mtu => {
                if state.mtu_v6 != mtu {
                    state.mtu_v6 = mtu;
                    self.route_generation += 1;
                }
            }
            _ => self.counters.drop(Drop::NdOption),
        }
    }

    fn take_route(&mut self, now: Instant, port: PortId, router: Ipv6Addr, said: &RouteInformation) {
        let destination = said.network();
        if destination.len() > 0 && !is_network(&destination) {
            return self.counters.drop(Drop::NdOption);
        }
        self.learn_route(now, port, (destination, router), said.lifetime, said.preference);
    }

    fn learn_route(
        &mut self,
        now: Instant,
        port: PortId,
        (destination, router): (IpPrefix, Ipv6Addr),
        lifetime: u32,
        preference: Preference,
    ) {
        let Some(link) = self.autoconf.link_mut(port) else { return };
        let known = |route: &LearntRoute| (route.destination, route.router) == (destination, router);
        let known = link.routes.iter().position(known);
        match known {
            Some(index) if lifetime == 0 => {
                let gone = link.routes.remove(index);
                self.end_route(port, &gone);
            }
            Some(index) => {
                let route = &mut link.routes[index];
                route.until = until(now, lifetime);
                if route.preference != preference {
                    route.preference = preference;
                    let route = route.route(port);
                    self.fib.insert(route);
                    self.route_generation += 1;
                }
            }
            None if lifetime == 0 => {}
            None => {
                let learnt = LearntRoute { destination, router, preference, until: until(now, lifetime) };
                let default = learnt.is_default();
                let most = if default { MAX_ROUTERS } else { MAX_ROUTES };
                if link.routes.iter().filter(|route| route.is_default() == default).count() >= most {
                    return self.counters.drop(Drop::NdLimit);
                }
                let route = learnt.route(port);
                if self.fib.contains(&route) {
                    return;
                }
                link.routes.push(learnt);
                self.fib.insert(route);
                self.route_generation += 1;
                if default {
                    self.autoconf.notify(Notice::Router { port, address: router, present: true });
                }
            }
        }
    }

    fn end_route(&mut self, port: PortId, gone: &LearntRoute) {
        self.fib.remove_exactly(&gone.route(port));
        self.route_generation += 1;
        if gone.is_default() {
            self.autoconf.notify(Notice::Router { port, address: gone.router, present: false });
        }
    }

    /// A neighbour says that it is no router: RFC 4861, 7.2.5.
    pub(crate) fn forget_router(&mut self, port: PortId, address: Ipv6Addr) {
        self.forget_redirects(port, address.into());
        let Some(link) = self.autoconf.link_mut(port) else { return };
        let gone: Vec<_> = link.routes.extract_if(.., |route| route.router == address).collect();
        for route in &gone {
            self.end_route(port, route);
        }
        if !gone.is_empty() {
            self.autoconf.reschedule();
        }
    }

    fn take_prefix(&mut self, now: Instant, port: PortId, said: &PrefixInformation) {
        let network = said.network();
        // A prefix of no bits would take everything from the routers.
        if network.len() == 0 || !is_network(&network) {
            return self.counters.drop(Drop::NdOption);
        }
        if said.on_link {
            self.take_on_link(now, port, network, said.valid_lifetime);
        }
        if said.autonomous && self.autoconf.link(port).is_some_and(|link| link.settings.autonomous) {
            self.take_autonomous(now, port, network, said);
        }
    }

    fn take_on_link(&mut self, now: Instant, port: PortId, prefix: IpPrefix, lifetime: u32) {
        let Some(link) = self.autoconf.link_mut(port) else { return };
        let known = link.prefixes.iter().position(|on_link| on_link.prefix == prefix);
        match known {
            Some(index) if lifetime == 0 => {
                let gone = link.prefixes.remove(index);
                self.fib.remove_exactly(&gone.route(port));
                self.route_generation += 1;
            }
            Some(index) => link.prefixes[index].until = until(now, lifetime),
            None if lifetime == 0 => {}
            None if link.prefixes.len() >= MAX_PREFIXES => self.counters.drop(Drop::NdLimit),
            None => {
                let on_link = OnLink { prefix, until: until(now, lifetime) };
                let route = on_link.route(port);
                if !self.fib.contains(&route) {
                    link.prefixes.push(on_link);
                    self.fib.insert(route);
                    self.route_generation += 1;
                }
            }
        }
    }

    /// RFC 4862, 5.5.3.
    fn take_autonomous(&mut self, now: Instant, port: PortId, network: IpPrefix, said: &PrefixInformation) {
        if network.len() != 64 || said.preferred_lifetime > said.valid_lifetime {
            return self.counters.drop(Drop::NdOption);
        }
        let (valid, preferred) = (until(now, said.valid_lifetime), until(now, said.preferred_lifetime));
        let Some(link) = self.autoconf.link_mut(port) else { return };
        let mut known = false;
        let mut changed = false;
        for own in link.own.iter_mut().filter(|own| own.is_advertised() && own.prefix.network() == network) {
            let before = own.state;
            let valid = lengthened(now, own.valid_until, valid);
            own.set_lifetimes(now, valid, preferred);
            changed |= own.state != before;
            known = true;
        }
        if changed {
            self.route_generation += 1;
        }
        if known {
            self.revive_temporary(now, port, network);
        } else if said.valid_lifetime != 0 {
            self.make_advertised(now, port, said.prefix, (valid, preferred));
        }
    }

    fn take_servers(&mut self, now: Instant, port: PortId, said: &RecursiveDns<'_>) {
        for address in said.servers.iter() {
            if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
                self.counters.drop(Drop::NdOption);
                continue;
            }
            let Some(link) = self.autoconf.link_mut(port) else { return };
            let known = link.servers.iter().position(|server| server.address == address);
            match known {
                Some(index) if said.lifetime == 0 => {
                    link.servers.remove(index);
                    self.autoconf.names_generation += 1;
                }
                Some(index) => link.servers[index].until = until(now, said.lifetime),
                None if said.lifetime == 0 => {}
                None if link.servers.len() >= MAX_NAMES => self.counters.drop(Drop::NdLimit),
                None => {
                    link.servers.push(Server { address, until: until(now, said.lifetime) });
                    self.autoconf.names_generation += 1;
                }
            }
        }
    }

    fn take_domains(&mut self, now: Instant, port: PortId, said: &DnsSearchList<'_>) {
        for domain in said.domains.iter() {
            let name = domain.to_string();
            // What is escaped is no name of a host.
            if name.is_empty() || name.contains('\\') {
                self.counters.drop(Drop::NdOption);
                continue;
            }
            let Some(link) = self.autoconf.link_mut(port) else { return };
            let known = link.domains.iter().position(|domain| domain.name == name);
            match known {
                Some(index) if said.lifetime == 0 => {
                    link.domains.remove(index);
                    self.autoconf.names_generation += 1;
                }
                Some(index) => link.domains[index].until = until(now, said.lifetime),
                None if said.lifetime == 0 => {}
                None if link.domains.len() >= MAX_NAMES => self.counters.drop(Drop::NdLimit),
                None => {
                    link.domains.push(Domain { name, until: until(now, said.lifetime) });
                    self.autoconf.names_generation += 1;
                }
            }
        }
    }

    /// What no router has repeated in time is no more.
    pub(super) fn expire_advertised(&mut self, now: Instant, port: PortId) {
        let Some(link) = self.autoconf.link_mut(port) else { return };
        let over = |until: Option<Instant>| until.is_some_and(|until| until <= now);
        let routes: Vec<_> = link.routes.extract_if(.., |route| over(route.until)).collect();
        let prefixes: Vec<_> = link.prefixes.extract_if(.., |on_link| over(on_link.until)).collect();
        let before = link.servers.len() + link.domains.len();
        link.servers.retain(|server| !over(server.until));
        link.domains.retain(|domain| !over(domain.until));
        let names_changed = link.servers.len() + link.domains.len() != before;
        for route in &routes {
            self.end_route(port, route);
        }
        for on_link in &prefixes {
            self.fib.remove_exactly(&on_link.route(port));
            self.route_generation += 1;
        }
        self.autoconf.names_generation += u64::from(names_changed);
    }
}

/// The end of an address that was to end at `before`, and of which somebody says `said`.
fn lengthened(now: Instant, before: Option<Instant>, said: Option<Instant>) -> Option<Instant> {
    let guarded = now + TWO_HOURS;
    match (before, said) {
        (_, None) => None,
        (Some(before), Some(said)) if said > guarded || said > before => Some(said),
        (None, Some(said)) if said > guarded => Some(said),
        (Some(before), Some(_)) if before <= guarded => Some(before),
        (_, Some(_)) => Some(guarded),
    }
}
