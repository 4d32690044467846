//! Redirects of both families: who is believed, where they lead, and when they end.

use super::*;
use crate::Route;
use crate::neighbor::NeighborState;
use sockeye_wire::icmpv4::RedirectCode;
use sockeye_wire::icmpv6::Message as Icmp;
use sockeye_wire::ipv6::{self, Repr};
use sockeye_wire::ndisc::{self, NdOption, Options};
use std::net::Ipv6Addr;

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 253);
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xff);
const OTHER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

/// A host with a gateway of each family.
fn host() -> Host {
    let mut host = Host::new();
    host.stack.add_address(host.now, host.port, prefix("fd00::1/64"));
    host.stack.add_address(host.now, host.port, prefix("fe80::1/64"));
    for (destination, gateway) in [("0.0.0.0/0", IpAddr::from(GATEWAY)), ("::/0", IpAddr::from(ROUTER6))] {
        let route = Route {
            destination: prefix(destination),
            next_hop: Some(gateway),
            port: host.port,
            source: None,
            metric: 5,
        };
        host.stack.add_route(route);
    }
    host.pass(Duration::from_secs(5));
    host.sent();
    host
}

/// From `router`, about a packet of ours to `to`.
fn v4(router: Ipv4Addr, to: Ipv4Addr, gateway: Ipv4Addr) -> Vec<u8> {
    v4_of(RedirectCode(1), router, to, gateway)
}

fn v4_of(code: RedirectCode, router: Ipv4Addr, to: Ipv4Addr, gateway: Ipv4Addr) -> Vec<u8> {
    let original = packet(ipv4::Repr { src: US, dst: to, ..FROM_PEER }, &udp_bytes(1, 2, b""));
    let message = Message::Redirect { code, gateway, original: &original };
    ipv4_frame(ipv4::Repr { src: router, protocol: Protocol::ICMP, ..FROM_PEER }, &icmp_bytes(&message))
}

fn v6(router: Ipv6Addr, destination: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    v6_to(router, destination, target, &[])
}

/// One that says which station the target is.
fn v6_to(router: Ipv6Addr, destination: Ipv6Addr, target: Ipv6Addr, station: &[MacAddr]) -> Vec<u8> {
    let dst = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    let mut bytes = [0; 8];
    let station: Vec<_> = station.iter().map(|&mac| NdOption::TargetLinkLayer(mac)).collect();
    let options = Options::write(&station, &mut bytes);
    let message = Icmp::Discovery(ndisc::Message::Redirect { target, destination, options });
    let mut payload = vec![0; message.total_len()];
    message.emit(router, dst, &mut payload);
    let header =
        Repr { src: router, dst, next_header: Protocol::ICMPV6, hop_limit: 255, traffic_class: 0, flow_label: 0 };
    let mut bytes = vec![0; ipv6::HEADER_LEN];
    header.emit(payload.len(), &mut bytes);
    bytes.extend_from_slice(&payload);
    frame(PEER_MAC, OUR_MAC, EtherType::IPV6, &bytes)
}

fn next_hop(host: &Host, to: impl Into<IpAddr>) -> IpAddr {
    host.stack.ip.route(to.into(), None).unwrap().next_hop
}

#[test]
fn the_router_in_use_shows_a_shorter_way() {
    let mut host = host();
    host.arrive(&v4(GATEWAY, FAR, OTHER));
    host.arrive(&v6(ROUTER6, FAR6, OTHER6));
    assert_eq!((next_hop(&host, FAR), next_hop(&host, FAR6)), (OTHER.into(), OTHER6.into()));
    assert_eq!(next_hop(&host, Ipv4Addr::new(192, 0, 2, 8)), IpAddr::from(GATEWAY), "for one host");
    // The next one shows a way again: the destination is on the link.
    host.arrive(&v6(OTHER6, FAR6, FAR6));
    assert_eq!(next_hop(&host, FAR6), IpAddr::from(FAR6));
    assert_eq!((host.stack.counters().redirects_followed, host.drops()), (3, vec![]));
    // It ends with its time.
    host.pass(Duration::from_secs(601));
    assert_eq!((next_hop(&host, FAR), next_hop(&host, FAR6)), (GATEWAY.into(), ROUTER6.into()));
}

/// RFC 1122, 3.3.1.2: a network's, and one for a type of service, are taken for the host's.
#[test]
fn redirects_for_networks_and_services_are_for_the_host() {
    for code in 0..=3 {
        let mut host = host();
        host.arrive(&v4_of(RedirectCode(code), GATEWAY, FAR, OTHER));
        assert_eq!(next_hop(&host, FAR), IpAddr::from(OTHER), "{code}");
        assert_eq!(next_hop(&host, Ipv4Addr::new(192, 0, 2, 8)), IpAddr::from(GATEWAY), "{code}");
    }
}

#[test]
fn nobody_else_is_believed_and_no_way_leads_off_the_link() {
    let mut host = host();
    let generation = host.stack.ip.route_generation();
    let cases = [
        v4(OTHER, FAR, PEER),
        v4(GATEWAY, FAR, FAR),
        v4(GATEWAY, FAR, US),
        v4(GATEWAY, FAR, GATEWAY),
        v4(GATEWAY, FAR, Ipv4Addr::new(10, 0, 0, 255)),
        v4(GATEWAY, PEER, OTHER),
        v4(GATEWAY, US, OTHER),
        v6(OTHER6, FAR6, ROUTER6),
        v6(ROUTER6, FAR6, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
        v6(ROUTER6, Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2), OTHER6),
    ];
    for (index, frame) in cases.iter().enumerate() {
        host.arrive(frame);
        assert_eq!(host.drops(), [("redirect_invalid", index as u64 + 1)]);
    }
    let mut far = v6(ROUTER6, FAR6, OTHER6);
    far[ethernet::HEADER_LEN + 7] = 254;
    host.arrive(&far);
    host.arrive(&v6(ROUTER6, FAR6, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 8)));
    assert_eq!(host.dropped(Drop::NdInvalid), 2);
    assert_eq!(host.stack.ip.route_generation(), generation);
    host.stack.set_redirects(false);
    host.arrive(&v4(GATEWAY, FAR, OTHER));
    assert_eq!(host.dropped(Drop::RedirectOff), 1);
}

/// RFC 4861, 8.1: what is refused leaves no trace, not even which station the target is said to be.
#[test]
fn a_refused_redirect_tells_nothing_of_a_neighbour() {
    let thief = MacAddr([2, 0, 0, 0, 0, 9]);
    let mut refused = host();
    // Of one neighbour nothing is known yet, the other one has answered.
    for target in [OTHER6.into(), ROUTER6.into(), IpAddr::from(OTHER), GATEWAY.into()] {
        refused.stack.ip.link(refused.now, refused.port, target);
    }
    refused.arrive(&super::ipv6::advertisement(ROUTER6, PEER_MAC, true));
    refused.arrive(&arp_reply(GATEWAY, PEER_MAC));
    refused.sent();
    let known = |host: &Host| host.stack.neighbors().collect::<Vec<_>>();
    let before = known(&refused);
    let states: Vec<_> = before.iter().map(|one| one.state).collect();
    assert_eq!(states.iter().filter(|&&state| state == NeighborState::Reachable).count(), 2, "{before:?}");
    let mut from_thief = [v4(OTHER, FAR, GATEWAY), v4(PEER, FAR, OTHER)];
    for frame in &mut from_thief {
        frame[6..12].copy_from_slice(&thief.0);
    }
    for frame in [
        // From somebody else, of nobody's destination, of one that is on the link.
        v6_to(OTHER6, FAR6, ROUTER6, &[thief]),
        v6_to(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfd), FAR6, OTHER6, &[thief]),
        v6_to(ROUTER6, FAR6, ROUTER6, &[thief]),
        v6_to(ROUTER6, Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2), OTHER6, &[thief]),
    ]
    .iter()
    .chain(&from_thief)
    {
        refused.arrive(frame);
        assert_eq!((known(&refused), refused.sent()), (before.clone(), vec![]));
    }
    assert_eq!(refused.dropped(Drop::RedirectInvalid), 6);
    refused.stack.set_redirects(false);
    refused.arrive(&v6_to(ROUTER6, FAR6, OTHER6, &[thief]));
    assert_eq!((known(&refused), refused.sent()), (before, vec![]));
    // From the router in use it is a word, of which more than a word is needed where a station is known.
    let mut host = host();
    host.stack.ip.link(host.now, host.port, OTHER6.into());
    host.sent();
    host.arrive(&v6_to(ROUTER6, FAR6, OTHER6, &[PEER_MAC]));
    let taken: Vec<_> = known(&host).iter().map(|one| (one.mac, one.state)).collect();
    assert_eq!(taken, [(Some(PEER_MAC), NeighborState::Delay)]);
    host.arrive(&v6_to(OTHER6, FAR6, ROUTER6, &[thief]));
    assert_eq!(known(&host)[0].mac, Some(PEER_MAC));
}

#[test]
fn a_way_that_does_not_answer_is_left() {
    let mut host = host();
    for (frame, to, target, router) in [
        (v4(GATEWAY, FAR, OTHER), IpAddr::from(FAR), IpAddr::from(OTHER), IpAddr::from(GATEWAY)),
        (v6(ROUTER6, FAR6, OTHER6), FAR6.into(), OTHER6.into(), ROUTER6.into()),
        (v6(ROUTER6, FAR6, FAR6), FAR6.into(), FAR6.into(), ROUTER6.into()),
    ] {
        host.arrive(&frame);
        assert_eq!(next_hop(&host, to), target);
        host.stack.ip.link(host.now, host.port, target);
        host.pass(Duration::from_secs(4));
        assert_eq!(next_hop(&host, to), router);
        host.pass(Duration::from_secs(120));
    }
}

#[test]
fn the_oldest_of_many_makes_way() {
    let mut host = host();
    let before = host.stack.routes().count();
    for number in 0..1_000u16 {
        let [high, low] = number.to_be_bytes();
        host.arrive(&v4(GATEWAY, Ipv4Addr::new(192, 0, high, low), OTHER));
    }
    assert_eq!(host.stack.routes().count(), before + 256);
    assert_eq!(next_hop(&host, Ipv4Addr::new(192, 0, 0, 1)), IpAddr::from(GATEWAY));
    assert_eq!(next_hop(&host, Ipv4Addr::new(192, 0, 3, 231)), IpAddr::from(OTHER));
    host.stack.set_link(host.now, host.port, false);
    assert_eq!(host.stack.routes().count(), before);
}
