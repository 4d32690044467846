//! Which way (RFC 1122 §3.3.1).

use super::*;
use crate::fib::{Fib, Route};
use crate::hash::Keys;
use crate::route::{AddressKind, NoRoute};
use proptest::prelude::*;

fn route(destination: &str, next_hop: Option<Ipv4Addr>, port: PortId, metric: u32) -> Route {
    Route { destination: prefix(destination), next_hop: next_hop.map(v4), port, source: None, metric }
}

fn way(host: &Host, to: Ipv4Addr) -> Result<(PortId, IpAddr, IpAddr), NoRoute> {
    host.stack.ip.route(v4(to), None).map(|way| (way.port, way.next_hop, way.source))
}

/// RFC 1122 section 3.2.1.3 (g): no other host sees an address of the loopback.
#[test]
fn from_the_loopback_to_nobody_else() {
    let host = Host::new();
    let from_loopback = |to| host.stack.ip.route(to, Some(v4(Ipv4Addr::LOCALHOST))).map(|way| way.port);
    assert_eq!(from_loopback(v4(PEER)), Err(NoRoute::Source));
    assert_eq!(from_loopback(v4(US)), Ok(PortId::LOOPBACK));
    assert_eq!(from_loopback(v4(Ipv4Addr::new(127, 0, 0, 9))), Ok(PortId::LOOPBACK));
}

#[test]
fn on_the_link_behind_a_gateway_and_nowhere() {
    let mut host = Host::new();
    let port = host.port;
    assert_eq!(way(&host, PEER), Ok((port, v4(PEER), v4(US))));
    assert_eq!(way(&host, FAR), Err(NoRoute::Nowhere));
    host.stack.add_route(route("0.0.0.0/0", Some(GATEWAY), port, 0));
    assert_eq!(way(&host, FAR), Ok((port, v4(GATEWAY), v4(US))));
    host.stack.add_route(route("192.0.2.0/24", Some(PEER), port, 9));
    assert_eq!(way(&host, FAR), Ok((port, v4(PEER), v4(US))), "the longer prefix wins, whatever the metric");
    assert!(host.stack.remove_route(&route("192.0.2.0/24", Some(PEER), port, 0)));
    assert_eq!(way(&host, FAR), Ok((port, v4(GATEWAY), v4(US))));
    assert_eq!(way(&host, Ipv4Addr::new(240, 0, 0, 1)), Err(NoRoute::Nowhere));
    assert_eq!(way(&host, Ipv4Addr::UNSPECIFIED), Err(NoRoute::Nowhere));
}

#[test]
fn ourselves_and_everybody() {
    let host = Host::new();
    assert_eq!(way(&host, US), Ok((PortId::LOOPBACK, v4(US), v4(US))));
    assert_eq!(
        way(&host, Ipv4Addr::LOCALHOST),
        Ok((PortId::LOOPBACK, v4(Ipv4Addr::LOCALHOST), v4(Ipv4Addr::LOCALHOST)))
    );
    let other = Ipv4Addr::new(127, 0, 0, 9);
    assert_eq!(way(&host, other), Ok((PortId::LOOPBACK, v4(other), v4(Ipv4Addr::LOCALHOST))));
    // All-ones of the loopback is everybody, too; all-zeros is one more of its addresses, as on Linux.
    let all = host.stack.ip.route(v4(Ipv4Addr::new(127, 255, 255, 255)), None).unwrap();
    assert_eq!((all.port, all.kind, all.source), (PortId::LOOPBACK, AddressKind::Broadcast, v4(Ipv4Addr::LOCALHOST)));
    let zeros = host.stack.ip.route(v4(Ipv4Addr::new(127, 0, 0, 0)), None).unwrap();
    assert_eq!(zeros.kind, AddressKind::Local);
    for broadcast in [Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 255)] {
        assert_eq!(way(&host, broadcast), Ok((host.port, v4(Ipv4Addr::BROADCAST), v4(US))));
        assert_eq!(host.stack.ip.route(v4(broadcast), None).unwrap().kind, AddressKind::Broadcast);
    }
}

#[test]
fn a_silent_gateway_is_passed_over_while_there_is_another() {
    let mut host = Host::new();
    let second = Ipv4Addr::new(10, 0, 0, 253);
    host.stack.add_route(route("0.0.0.0/0", Some(GATEWAY), host.port, 1));
    host.stack.add_route(route("0.0.0.0/0", Some(second), host.port, 2));
    assert_eq!(way(&host, FAR), Ok((host.port, v4(GATEWAY), v4(US))));
    let generation = host.stack.ip.route_generation();
    host.stack.ip.link(host.now, host.port, v4(GATEWAY));
    host.pass(ms(3_100));
    assert_eq!(way(&host, FAR), Ok((host.port, v4(second), v4(US))));
    assert_ne!(host.stack.ip.route_generation(), generation);
    host.pass(ms(60_000));
    assert_eq!(way(&host, FAR), Ok((host.port, v4(GATEWAY), v4(US))), "it gets another chance");

    // With no other way, the silent one stays the way.
    host.stack.remove_route(&route("0.0.0.0/0", Some(second), host.port, 2));
    host.stack.ip.link(host.now, host.port, v4(GATEWAY));
    host.pass(ms(3_100));
    assert_eq!(way(&host, FAR), Ok((host.port, v4(GATEWAY), v4(US))));
}

#[test]
fn a_port_that_is_down_is_no_way() {
    let mut host = Host::new();
    let mac = MacAddr([2, 0, 0, 0, 1, 1]);
    let capabilities = Capabilities::default();
    let second = host.stack.add_port(PortConfig { name: "eth1".into(), mac, mtu: 1_400, capabilities });
    host.stack.add_address(host.now, second, prefix("172.16.0.1/16"));
    let far_gateway = Ipv4Addr::new(172, 16, 0, 254);
    host.stack.add_route(route("0.0.0.0/0", Some(GATEWAY), host.port, 0));
    host.stack.add_route(route("0.0.0.0/0", Some(far_gateway), second, 5));
    host.stack.set_link(host.now, host.port, false);
    assert_eq!(way(&host, FAR), Ok((second, v4(far_gateway), v4(Ipv4Addr::new(172, 16, 0, 1)))));
    assert_eq!(host.stack.ip.route(v4(FAR), None).unwrap().mtu, 1_400);
    host.stack.set_link(host.now, host.port, true);
    assert_eq!(way(&host, FAR), Ok((host.port, v4(GATEWAY), v4(US))));
}

#[test]
fn a_link_that_is_named_has_every_host_of_ipv4_that_no_route_leads_to() {
    let mut host = Host::new();
    let by =
        |host: &Host, port| host.stack.ip.route_by(v4(FAR), None, Some(port)).map(|route| (route.port, route.next_hop));
    assert_eq!(by(&host, host.port), Ok((host.port, v4(FAR))));
    assert_eq!(by(&host, PortId::LOOPBACK), Err(NoRoute::Nowhere));
    host.stack.add_route(route("0.0.0.0/0", Some(GATEWAY), host.port, 0));
    assert_eq!(by(&host, host.port), Ok((host.port, v4(GATEWAY))));
    host.stack.set_link(host.now, host.port, false);
    assert_eq!(by(&host, host.port), Err(NoRoute::Nowhere));
}

#[test]
fn an_address_comes_with_its_network_and_goes_with_it() {
    let mut host = Host::new();
    host.stack.add_address(host.now, host.port, prefix("10.0.0.9/24"));
    assert_eq!(way(&host, Ipv4Addr::new(10, 0, 0, 9)).unwrap().0, PortId::LOOPBACK);
    host.stack.remove_address(host.port, prefix("10.0.0.1/24"));
    assert_eq!(way(&host, PEER), Ok((host.port, v4(PEER), v4(Ipv4Addr::new(10, 0, 0, 9)))));
    host.stack.remove_address(host.port, prefix("10.0.0.9/24"));
    assert_eq!(way(&host, PEER), Err(NoRoute::Nowhere));
}

proptest! {
    /// The table finds what a search through all routes finds.
    #[test]
    fn lookup_is_longest_match(
        routes in proptest::collection::vec((any::<u32>(), 0u8..=32, 0u32..4, 0u16..3, any::<bool>()), 0..40),
        lookups in proptest::collection::vec(any::<u32>(), 20),
        removed in any::<proptest::sample::Index>(),
    ) {
        let mut fib = Fib::new(Keys::new([3; 32]).hasher(b"fib"));
        let mut naive: Vec<Route> = Vec::new();
        for &(bits, len, metric, port, is_far) in &routes {
            // Few distinct networks, so that prefixes nest and repeat.
            let destination = IpPrefix::new(v4(Ipv4Addr::from_bits(bits & 0x0303_0303)), len).unwrap();
            let next_hop = is_far.then_some(v4(GATEWAY));
            let route = Route { destination, next_hop, port: PortId(port), source: None, metric };
            fib.insert(route);
            let same = |other: &Route| {
                (other.destination.network(), other.next_hop, other.port)
                    == (destination.network(), next_hop, PortId(port))
            };
            naive.retain(|other| !same(other));
            naive.push(route);
        }
        if !naive.is_empty() {
            let gone = naive.remove(removed.index(naive.len()));
            prop_assert!(fib.remove(&gone));
            prop_assert!(!fib.remove(&gone));
        }
        prop_assert_eq!(fib.iter().count(), naive.len());
        for bits in lookups {
            let address = v4(Ipv4Addr::from_bits(bits & 0x0303_0303));
            let usable = |route: &Route| route.port != PortId(2);
            let found = fib.lookup(address, usable).map(|route| (route.destination.len(), route.metric));
            let want = naive
                .iter()
                .filter(|route| usable(route) && route.destination.contains(address))
                .map(|route| (route.destination.len(), route.metric))
                .max_by_key(|&(len, metric)| (len, std::cmp::Reverse(metric)));
            prop_assert_eq!(found, want);
        }
    }
}
