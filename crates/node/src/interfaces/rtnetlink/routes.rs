//! Routes: RTM_NEWROUTE.
//!
//! The stack has one table, and knows its own addresses besides. Linux has routes to these, too, in a table of their own (`local`), and that is
//! how they are told here. Whence a route is (`RTPROT_*`) follows from what it is: one that goes with an address, one that a router has
//! advertised, one that somebody has set.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sockeye_device::Instant;
use sockeye_socket::Errno;
use sockeye_stack::autoconf::RouteView;
use sockeye_stack::{AddressKind, PortId, Route, RouteEntry, Stack};
use sockeye_wire::IpPrefix;

use super::messages::{Messages, Request};
use super::{AF_INET6, NO_INTERFACE, RT_TABLE_LOCAL, RT_TABLE_MAIN, Refused};
use crate::interfaces::Interface;

const RTM_NEWROUTE: u16 = 24;

/// `struct rtmsg`: family, lengths, TOS, table, protocol, scope, type, flags.
const FIXED_LEN: usize = 12;

const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_IIF: u16 = 3;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_CACHEINFO: u16 = 12;
const RTA_TABLE: u16 = 15;
const RTA_PREF: u16 = 20;
const RTA_UID: u16 = 25;

/// Within RTA_METRICS.
const RTAX_MTU: u16 = 2;

const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const RTN_ANYCAST: u8 = 4;
const RTN_BROADCAST: u8 = 3;
const RTN_MULTICAST: u8 = 5;

const RTPROT_UNSPEC: u8 = 0;
const RTPROT_REDIRECT: u8 = 1;
const RTPROT_KERNEL: u8 = 2;
const RTPROT_BOOT: u8 = 3;
const RTPROT_RA: u8 = 9;

const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RT_SCOPE_HOST: u8 = 254;

/// The answer to one question, and no entry of a table.
const RTM_F_CLONED: u32 = 0x200;
/// Asks for the entry, and not for the answer.
const RTM_F_FIB_MATCH: u32 = 0x2000;

/// A route as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Told {
    destination: IpPrefix,
    table: u8,
    protocol: u8,
    scope: u8,
    kind: u8,
    flags: u32,
    /// The source that was asked for, where one may be.
    from: Option<IpAddr>,
    /// The source to prefer.
    source: Option<IpAddr>,
    gateway: Option<IpAddr>,
    /// The interface's index.
    index: u32,
    metric: u32,
    /// Seconds until it goes.
    expires: Option<u32>,
    /// The largest packet, where the link takes larger ones.
    mtu: Option<u32>,
    user: Option<u32>,
}

impl Told {
    pub(super) fn family(&self) -> u8 {
        super::family(self.destination.addr())
    }

    /// Without what changes by itself.
    pub(super) fn lasting(self) -> Told {
        Told { expires: None, ..self }
    }

    pub(super) fn put(&self, messages: &mut Messages) {
        let Told { destination, table, protocol, scope, kind, flags, .. } = *self;
        let v6 = destination.addr().is_ipv6();
        let scope = if v6 { RT_SCOPE_UNIVERSE } else { scope };
        let mut fixed = [0; FIXED_LEN];
        fixed[..8].copy_from_slice(&[
            super::family(destination.addr()),
            destination.len(),
            self.from.map_or(0, |from| IpPrefix::host(from).len()),
            0,
            table,
            protocol,
            scope,
            kind,
        ]);
        fixed[8..].copy_from_slice(&flags.to_ne_bytes());
        messages.message(RTM_NEWROUTE, &fixed, |messages| {
            messages.number(RTA_TABLE, table.into());
            if destination.len() > 0 {
                messages.address(RTA_DST, destination.addr());
            }
            if let Some(from) = self.from {
                messages.address(RTA_SRC, from);
            }
            // Some programs lose the last attribute: what they need stands before, as it does with Linux.
            messages.number(RTA_OIF, self.index);
            if let Some(source) = self.source {
                messages.address(RTA_PREFSRC, source);
            }
            if let Some(gateway) = self.gateway {
                messages.address(RTA_GATEWAY, gateway);
            }
            if v6 || self.metric != 0 {
                messages.number(RTA_PRIORITY, self.metric);
            }
            if let Some(user) = self.user {
                messages.number(RTA_UID, user);
            }
            if let Some(mtu) = self.mtu {
                let metric = [8u16.to_ne_bytes(), RTAX_MTU.to_ne_bytes()].concat();
                messages.attribute(RTA_METRICS, &[metric, mtu.to_ne_bytes().to_vec()].concat());
            }
            if v6 || flags & RTM_F_CLONED != 0 {
                // `struct rta_cacheinfo`: clients, last use, expires in hundredths of a second, error, and three more.
                let mut times = [0; 32];
                let expires = self.expires.map_or(0, |seconds| seconds.saturating_mul(100).min(i32::MAX as u32));
                times[8..12].copy_from_slice(&expires.to_ne_bytes());
                messages.attribute(RTA_CACHEINFO, &times);
            }
            if v6 {
                // Medium, of RFC 4191.
                messages.attribute(RTA_PREF, &[0]);
            }
        });
    }

    /// What the table says.
    fn entry(now: Instant, all: &[Interface], stack: &Stack, route: &Route) -> Option<Told> {
        let Route { destination, next_hop, port, source, metric } = *route;
        let destination = destination.network();
        let interface = interface(all, port).filter(|one| one.enabled)?;
        let of_address = interface.addresses.iter().map(|own| own.prefix).find(|own| own.network() == destination);
        let of_address = of_address.filter(|_| next_hop.is_none());
        let view = stack.route_view(route);
        let protocol = match view {
            Some(RouteView { redirect: true, .. }) => RTPROT_REDIRECT,
            Some(RouteView { redirect: false, .. }) if next_hop.is_some() => RTPROT_RA,
            Some(_) => RTPROT_KERNEL,
            None if of_address.is_some() || (destination.addr().is_ipv6() && next_hop.is_none()) => RTPROT_KERNEL,
            None => RTPROT_BOOT,
        };
        let v6 = destination.addr().is_ipv6();
        // As in /proc/net/ipv6_route.
        let least = match (v6, next_hop) {
            (false, _) => 0,
            (true, None) => 256,
            (true, Some(_)) => 1024,
        };
        Some(Told {
            destination,
            table: RT_TABLE_MAIN,
            protocol,
            scope: if next_hop.is_some() { RT_SCOPE_UNIVERSE } else { RT_SCOPE_LINK },
            kind: RTN_UNICAST,
            flags: 0,
            from: None,
            source: source.or(of_address.filter(|_| !v6).map(|own| own.addr())),
            gateway: next_hop,
            index: interface.index,
            metric: metric.saturating_add(least),
            expires: view.and_then(|view| view.until).map(|until| seconds(until.since(now).as_secs())),
            mtu: None,
            user: None,
        })
    }

    /// To what is the host's own, or everybody's on a link.
    fn local(destination: IpPrefix, kind: u8, interface: &Interface, source: Option<IpAddr>) -> Told {
        let groups = kind == RTN_MULTICAST;
        Told {
            destination,
            table: RT_TABLE_LOCAL,
            protocol: RTPROT_KERNEL,
            scope: if kind == RTN_LOCAL { RT_SCOPE_HOST } else { RT_SCOPE_LINK },
            kind,
            flags: 0,
            from: None,
            source,
            gateway: None,
            index: interface.index,
            metric: if groups { 256 } else { 0 },
            expires: None,
            mtu: None,
            user: None,
        }
    }
}

fn seconds(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

fn interface(all: &[Interface], port: PortId) -> Option<&Interface> {
    all.iter().find(|one| one.port == port)
}

/// The routes that a dump asks for: of a family, and, if that is to be looked at, of a table, a kind, an origin, an interface. The table that
/// nobody has is an error.
pub(super) fn asked(
    messages: &mut Messages,
    now: Instant,
    all: &[Interface],
    stack: &Stack,
    request: &Request<'_>,
    strict: bool,
) -> Result<(), Refused> {
    // There is no cache of routes.
    if request.word(8) & RTM_F_CLONED != 0 {
        return Ok(());
    }
    let family = request.byte(0);
    let attributes = request.attributes(FIXED_LEN);
    let wish = |value: u32| Some(value).filter(|&value| strict && value != 0);
    let table = wish(attributes.number(RTA_TABLE).unwrap_or(request.byte(4).into()));
    let (protocol, kind) = (wish(request.byte(5).into()), wish(request.byte(7).into()));
    let index = wish(attributes.number(RTA_OIF).unwrap_or(0));
    if index.is_some_and(|index| !all.iter().any(|one| one.index == index)) {
        return Err(NO_INTERFACE);
    }
    if [table, protocol, kind, index].iter().any(Option::is_some) {
        messages.filtered();
    }
    if table.is_some_and(|table| !matches!(table, 253..=255)) && family != 0 {
        return Err(Refused(Errno::ENOENT, "the node has the tables main and local"));
    }
    let is = |wish: Option<u32>, value: u8| wish.is_none_or(|wish| wish == u32::from(value));
    for which in super::families(family) {
        for told in self::all(now, all, stack, which) {
            let meant = is(table, told.table) && is(protocol, told.protocol) && is(kind, told.kind);
            if meant && index.is_none_or(|index| index == told.index) {
                told.put(messages);
            }
        }
    }
    Ok(())
}

/// Both tables.
pub(super) fn all(now: Instant, all: &[Interface], stack: &Stack, family: u8) -> impl Iterator<Item = Told> {
    main(now, all, stack, family).into_iter().chain(local(all, family))
}

/// The main table, by destination.
fn main(now: Instant, all: &[Interface], stack: &Stack, family: u8) -> Vec<Told> {
    let of_family = stack.routes().filter(|route| super::family(route.destination.addr()) == family);
    let mut main: Vec<Told> = of_family
        .filter(|route| !route.port.is_loopback())
        .filter_map(|route| Told::entry(now, all, stack, route))
        .collect();
    // Of IPv6 the default route is the last, as Linux walks its tree.
    let last = |told: &Told| family == AF_INET6 && told.destination.len() == 0;
    main.sort_by_key(|told| (last(told), told.destination.addr(), told.destination.len(), told.metric, told.index));
    main
}

/// What every host has without being told.
fn local(all: &[Interface], family: u8) -> Vec<Told> {
    let mut local = Vec::new();
    for one in all.iter().filter(|one| one.enabled) {
        let own = || one.addresses.iter().map(|own| own.prefix).filter(|own| super::family(own.addr()) == family);
        for prefix in own() {
            let source = Some(prefix.addr()).filter(IpAddr::is_ipv4);
            if one.is_loopback() && prefix.addr().is_ipv4() {
                local.push(Told::local(prefix.network(), RTN_LOCAL, one, source));
            }
            local.push(Told::local(IpPrefix::host(prefix.addr()), RTN_LOCAL, one, source));
            if let Some(broadcast) = prefix.broadcast() {
                local.push(Told::local(IpPrefix::host(broadcast.into()), RTN_BROADCAST, one, source));
            }
        }
        let shared = one.anycast.iter().filter(|_| family == AF_INET6).map(|held| IpPrefix::host(held.address.into()));
        local.extend(shared.map(|prefix| Told::local(prefix, RTN_ANYCAST, one, None)));
        let groups = IpPrefix::new(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), 8);
        if let Ok(groups) = groups
            && family == AF_INET6
            && !one.is_loopback()
        {
            local.push(Told::local(groups, RTN_MULTICAST, one, None));
        }
    }
    local.sort_by_key(|told| (told.destination.addr(), told.destination.len(), told.index));
    local
}

/// What is wrong with a question for the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// An address is of another family.
    Question,
    /// It asks for the way of a packet that comes in.
    Input,
    /// The source is none of the host's own addresses.
    Source,
    /// There is no such interface.
    Interface,
    /// There is no way.
    NoRoute,
}

/// The way to a destination: `ip route get`.
pub(super) fn way(
    messages: &mut Messages,
    now: Instant,
    all: &[Interface],
    stack: &Stack,
    request: &Request<'_>,
) -> Result<(), Wrong> {
    let family = request.byte(0);
    let attributes = request.attributes(FIXED_LEN);
    let ip = |kind| attributes.find(kind).map(|value| super::ip(family, value).ok_or(Wrong::Question)).transpose();
    // Nobody in particular is ourselves over IPv4, and whoever is anywhere over IPv6.
    let meant = ip(RTA_DST)?.unwrap_or(if family == AF_INET6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    });
    let asked = ip(RTA_SRC)?.filter(|source| !source.is_unspecified());
    if attributes.number(RTA_IIF).is_some_and(|index| index != 0) {
        return Err(Wrong::Input);
    }
    if asked.is_some_and(|source| !all.iter().any(|one| one.addresses.iter().any(|own| own.prefix.addr() == source))) {
        return Err(Wrong::Source);
    }
    let device = match attributes.number(RTA_OIF).filter(|&index| index != 0) {
        Some(index) => Some(all.iter().find(|one| one.index == index).ok_or(Wrong::Interface)?),
        None => None,
    };
    let destination = match meant {
        IpAddr::V4(to) if to.is_unspecified() => {
            let own = device.and_then(|one| one.addresses.iter().map(|own| own.prefix.addr()).find(IpAddr::is_ipv4));
            asked.or(own).unwrap_or(Ipv4Addr::LOCALHOST.into())
        }
        to => to,
    };
    let device = device.map(|one| one.port);
    let found = stack.route_to(destination, asked, device).map_err(|_| Wrong::NoRoute)?;
    if request.word(8) & RTM_F_FIB_MATCH != 0 {
        let matches = |route: &&Route| route.destination.contains(destination) && route.port == found.port;
        let best =
            stack.routes().filter(matches).max_by_key(|route| (route.destination.len(), u32::MAX - route.metric));
        best.and_then(|route| Told::entry(now, all, stack, route)).ok_or(Wrong::NoRoute)?.put(messages);
        return Ok(());
    }
    let RouteEntry { port, source, next_hop, mtu, kind, .. } = found;
    let interface = interface(all, port).ok_or(Wrong::NoRoute)?;
    let (table, kind) = match kind {
        AddressKind::Local => (RT_TABLE_LOCAL, RTN_LOCAL),
        AddressKind::Anycast => (RT_TABLE_LOCAL, RTN_ANYCAST),
        AddressKind::Broadcast => (RT_TABLE_LOCAL, RTN_BROADCAST),
        AddressKind::Multicast => (RT_TABLE_LOCAL, RTN_MULTICAST),
        AddressKind::Unicast | AddressKind::Invalid => (RT_TABLE_MAIN, RTN_UNICAST),
    };
    let gateway = Some(next_hop).filter(|&hop| kind == RTN_UNICAST && hop != destination);
    let v6 = destination.is_ipv6();
    let metric = match (v6, gateway, kind) {
        (false, ..) | (_, _, RTN_LOCAL | RTN_ANYCAST) => 0,
        (true, None, _) => 256,
        (true, Some(_), _) => 1024,
    };
    let told = Told {
        destination: IpPrefix::host(meant),
        // Where there are no other rules Linux finds IPv4's both tables as one.
        table: if v6 { table } else { RT_TABLE_MAIN },
        protocol: if v6 { RTPROT_KERNEL } else { RTPROT_UNSPEC },
        scope: RT_SCOPE_UNIVERSE,
        kind,
        flags: if v6 { 0 } else { RTM_F_CLONED },
        from: asked.or(v6.then_some(Ipv6Addr::UNSPECIFIED.into())),
        source: Some(source).filter(|_| v6 || asked.is_none()),
        gateway,
        index: interface.index,
        metric,
        expires: None,
        mtu: Some(u32::from(mtu)).filter(|&mtu| mtu < interface.mtu),
        user: attributes.number(RTA_UID),
    };
    told.put(messages);
    Ok(())
}
