//! Autoconfiguration: how a port comes to its addresses, routers and name servers, and how it loses them again.
//!
//! A port that was told to ([`Ip::configure_ipv6`]) makes itself a link-local address, asks whether anybody has its addresses
//! already, asks for routers, and believes what they say: default routes, prefixes of the link, addresses made from them,
//! the MTU, name servers. A host it remains: nothing is forwarded. A port that was not told has the addresses that it
//! was given, at once, and hears no router.
//!
//! | room | concern |
//! |---|---|
//! | [`address`] | the port's own addresses: states, lifetimes, whether somebody else has them |
//! | [`identifier`] | the lower half of an address |
//! | [`advertisement`] | what routers say |
//! | [`views`] | the same, for people |
//!
//! **Time.** All that is known here ends at some time. Tables are small and bounded, so the next end is looked for by going
//! through them, when something in them has changed; in between one number is compared.
//!
//! **Bounds.** Whoever is on the link may send advertisements, and many of them. What is remembered of a link has limits
//! ([`MAX_ROUTERS`] and its like); at a limit those that were there first are served on, and what comes beyond is
//! counted. What changes nothing costs no flow its cached route.
//!
//! # Standards
//!
//! RFC 4862, RFC 4861 §6.3, RFC 7559 (asking for routers until one answers), RFC 8504 §5.

mod address;
mod advertisement;
mod identifier;
mod views;

pub use address::{AddressState, Origin};
pub use views::{AddressView, Notice, RouteView, RouterView};

use crate::hash::Keys;
use crate::ip::Ip;
use crate::neighbor::Timing;
use crate::port::PortId;
use crate::rng::Rng;
use crate::wheel::earlier;
use address::{Due, Own};
use advertisement::{Domain, LearntRoute, OnLink, Server};
use sockeye_device::Instant;
use sockeye_wire::{IpPrefix, ipv6};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Default routers of a link that are remembered.
const MAX_ROUTERS: usize = 16;
/// Routes through routers of a link, default routes aside.
const MAX_ROUTES: usize = 64;
/// Prefixes that are on a link.
const MAX_PREFIXES: usize = 32;
/// Addresses that a port makes from prefixes; as many as Linux.
const MAX_ADDRESSES: usize = 16;
/// Name servers of a link, and as many domains.
const MAX_NAMES: usize = 8;
/// What happened and was not asked for yet.
const MAX_NOTICES: usize = 256;

/// RFC 4861 §10: MAX_RTR_SOLICITATION_DELAY.
const SOLICITATION_DELAY: Duration = Duration::from_secs(1);
/// RTR_SOLICITATION_INTERVAL, which is RFC 7559's IRT.
const SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
/// RFC 7559 §2: MRT.
const SOLICITATION_MOST: Duration = Duration::from_secs(3_600);

/// What a port is to do by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Routers are heard.
    pub routers: bool,
    /// Addresses are made from the prefixes that routers advertise for it.
    pub autonomous: bool,
    /// Beside each such address one that lasts a day, and is preferred.
    pub temporary: bool,
    /// Where identifiers come from.
    pub identifiers: Identifiers,
    /// How often it is asked whether somebody has an address already; 0 for not at all.
    pub detection: u8,
    /// An address is used while that is still being asked.
    pub optimistic: bool,
    /// What stable identifiers are made from; the stack's own seed, where there is none.
    pub secret: Option<[u8; 16]>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            routers: true,
            autonomous: true,
            temporary: false,
            identifiers: Identifiers::Stable,
            detection: 1,
            optimistic: true,
            secret: None,
        }
    }
}

/// Where the lower half of an address comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identifiers {
    /// A secret and the network: the same each time in one network, another in the next (RFC 7217).
    #[default]
    Stable,
    /// The hardware address (RFC 4291, appendix A).
    Hardware,
}

/// When routers are asked for next, and how long to wait then.
#[derive(Clone, Copy, Debug)]
struct Solicitation {
    at: Instant,
    /// None before the first.
    wait: Option<Duration>,
}

/// What is known of a port's link.
pub(crate) struct Link {
    settings: Settings,
    own: Vec<Own>,
    routes: Vec<LearntRoute>,
    prefixes: Vec<OnLink>,
    servers: Vec<Server>,
    domains: Vec<Domain>,
    solicitation: Option<Solicitation>,
    timing: Timing,
}

/// All links that configure themselves.
pub(crate) struct Autoconf {
    links: Vec<Option<Box<Link>>>,
    secret: [u8; 16],
    next: Option<Instant>,
    notices: VecDeque<Notice>,
    names_generation: u64,
}

impl Autoconf {
    pub(crate) fn new(keys: &Keys) -> Self {
        Autoconf {
            links: Vec::new(),
            secret: keys.derive(b"interface identifiers"),
            next: None,
            notices: VecDeque::new(),
            names_generation: 0,
        }
    }

    pub(crate) fn link(&self, port: PortId) -> Option<&Link> {
        self.links.get(port.index())?.as_deref()
    }

    fn link_mut(&mut self, port: PortId) -> Option<&mut Link> {
        self.links.get_mut(port.index())?.as_deref_mut()
    }

    fn links(&self) -> impl Iterator<Item = (PortId, &Link)> {
        self.links.iter().enumerate().filter_map(|(index, link)| Some((PortId(index as u16), link.as_deref()?)))
    }

    fn reschedule(&mut self) {
        self.next = self.links.iter().flatten().fold(None, |next, link| earlier(next, link.next()));
    }

    fn notify(&mut self, notice: Notice) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push_back(notice);
        }
    }

    pub(crate) fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}

impl Link {
    fn next(&self) -> Option<Instant> {
        let own = self.own.iter().filter_map(Own::next);
        let routes = self.routes.iter().filter_map(|route| route.until);
        let prefixes = self.prefixes.iter().filter_map(|prefix| prefix.until);
        let servers = self.servers.iter().filter_map(|server| server.until);
        let domains = self.domains.iter().filter_map(|domain| domain.until);
        let solicitation = self.solicitation.map(|solicitation| solicitation.at);
        own.chain(routes).chain(prefixes).chain(servers).chain(domains).chain(solicitation).min()
    }
}

impl Ip {
    /// From now on the port looks after itself.
    pub(crate) fn configure_ipv6(&mut self, now: Instant, port: PortId, settings: Settings) {
        let Some(state) = self.find_port(port).filter(|state| !port.is_loopback() && state.carries_ipv6()) else {
            return;
        };
        let up = state.up;
        let given: Vec<IpPrefix> = state.addresses.iter().copied().filter(|own| own.addr().is_ipv6()).collect();
        let links = &mut self.autoconf.links;
        if links.len() <= port.index() {
            links.resize_with(port.index() + 1, || None);
        }
        links[port.index()] = Some(Box::new(Link {
            settings,
            own: given.into_iter().map(|prefix| Own::preferred(prefix, Origin::Configured)).collect(),
            routes: Vec::new(),
            prefixes: Vec::new(),
            servers: Vec::new(),
            domains: Vec::new(),
            solicitation: None,
            timing: Timing::default(),
        }));
        if up {
            self.start_ipv6(now, port);
        }
    }

    /// The port's link has come up: it may be another one than before.
    pub(crate) fn start_ipv6(&mut self, now: Instant, port: PortId) {
        let delay = self.rng.up_to(SOLICITATION_DELAY);
        let Some(link) = self.autoconf.link_mut(port) else { return };
        if link.settings.routers {
            link.solicitation = Some(Solicitation { at: now + delay, wait: None });
        }
        let has_link_local = link.own.iter().any(|own| own.origin == Origin::LinkLocal);
        let known: Vec<Ipv6Addr> = link.own.iter().map(Own::address).collect();
        if !has_link_local {
            self.make_link_local(now, port);
        }
        for address in known {
            self.detect(now, port, address);
        }
        self.autoconf.reschedule();
    }

    /// The port's link has gone down: nobody can be asked any more.
    pub(crate) fn stop_ipv6(&mut self, port: PortId) {
        if let Some(link) = self.autoconf.link_mut(port) {
            link.solicitation = None;
            link.own.iter_mut().for_each(|own| own.pause());
            self.autoconf.reschedule();
        }
    }

    /// Does what time wants done.
    pub(crate) fn handle_autoconf_timeout(&mut self, now: Instant) {
        if self.autoconf.next.is_none_or(|next| now < next) {
            return;
        }
        for index in 0..self.autoconf.links.len() {
            let port = PortId(index as u16);
            while let Some(due) = self.autoconf.link_mut(port).and_then(|link| link.due(now)) {
                self.perform(now, port, due);
            }
            self.expire_advertised(now, port);
            self.solicit_routers(now, port);
        }
        self.autoconf.reschedule();
    }

    fn perform(&mut self, now: Instant, port: PortId, due: Due) {
        match due {
            Due::Ask(address) => self.ask_for_duplicates(now, port, address),
            Due::Settled(address) => self.settle_address(now, port, address),
            Due::Deprecated => self.route_generation += 1,
            Due::Renew(address) => self.renew_temporary(now, port, address),
            Due::Expired(address) => self.drop_own(port, address),
        }
    }

    /// RFC 7559: asks for routers until one answers, ever more seldom.
    fn solicit_routers(&mut self, now: Instant, port: PortId) {
        let jitter = self.rng.below(201);
        let Some(link) = self.autoconf.link_mut(port) else { return };
        let Some(solicitation) = link.solicitation.as_mut().filter(|solicitation| now >= solicitation.at) else {
            return;
        };
        let wait = match solicitation.wait {
            None => SOLICITATION_INTERVAL,
            Some(wait) => (wait * 2).min(SOLICITATION_MOST),
        };
        solicitation.wait = Some(wait);
        // RAND is from -0.1 to 0.1.
        solicitation.at = now + wait * (900 + jitter) / 1_000;
        self.send_router_solicitation(now, port);
    }

    /// The address from which the port asks for routers and neighbours, link-local as it is, and whether it is known to be
    /// ours alone.
    pub(crate) fn link_local(&self, port: PortId) -> Option<(Ipv6Addr, bool)> {
        let own = self.autoconf.link(port)?.own.iter();
        let mut usable = own.filter(|own| own.address().is_unicast_link_local() && own.is_assigned());
        usable.next().map(|own| (own.address(), own.state != AddressState::Optimistic))
    }

    /// True where an address says what is on the link: one that was given, or made for the link. What routers say, they say
    /// apart from it (RFC 5942).
    pub(crate) fn names_its_network(&self, port: PortId, prefix: IpPrefix) -> bool {
        let own = self.autoconf.link(port).and_then(|link| link.own.iter().find(|own| own.prefix == prefix));
        own.is_none_or(|own| !own.is_advertised())
    }
}

impl Rng {
    /// A duration of up to `most`.
    pub(crate) fn up_to(&mut self, most: Duration) -> Duration {
        most * self.below(1_025) / 1_024
    }
}

/// The moment in so many seconds; never for all ones.
fn until(now: Instant, seconds: u32) -> Option<Instant> {
    (seconds != u32::MAX).then(|| now + Duration::from_secs(seconds.into()))
}

/// A prefix that a router may speak of: of this family, neither of a link nor of groups.
fn is_network(prefix: &IpPrefix) -> bool {
    match prefix.addr() {
        IpAddr::V6(address) => {
            !address.is_multicast() && ipv6::scope(address) > ipv6::Scope::LINK_LOCAL && !address.is_loopback()
        }
        IpAddr::V4(_) => false,
    }
}
