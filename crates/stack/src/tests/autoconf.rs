//! A host that configures itself: duplicates, routers, prefixes, lifetimes, floods.

use super::*;
use crate::autoconf::{AddressState, Identifiers, Notice, Origin, Settings};
use proptest::prelude::*;
use sockeye_wire::icmpv6::Message as Icmp;
use sockeye_wire::ipv6::{self, Repr};
use sockeye_wire::ndisc::{
    self, NdOption, NeighborAdvertisement, Options, Preference, PrefixInformation, RecursiveDns, RouteInformation,
    RouterAdvertisement,
};
use std::net::Ipv6Addr;

/// Of the hardware address, so that it can be read.
const LINK_LOCAL: &str = "fe80::ff:fe00:1";
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xff);
const NOBODY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
const NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0);

fn settings() -> Settings {
    Settings { identifiers: Identifiers::Hardware, ..Settings::default() }
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A port that has just begun to look after itself.
fn fresh(settings: Settings) -> Host {
    let mut stack = Stack::new(Config::default(), [1; 32]);
    let now = Instant::from_millis(1_000);
    let capabilities = Capabilities::default();
    let port = stack.add_port(PortConfig { name: "eth0".into(), mac: OUR_MAC, mtu: 1_500, capabilities });
    stack.configure_ipv6(now, port, settings);
    Host { stack, port, now, room: None }
}

/// One that has its link-local address, and has asked for routers as often as nobody answered.
fn settled(settings: Settings) -> Host {
    let mut host = fresh(settings);
    host.pass(seconds(10));
    host.sent();
    while host.stack.poll_notice().is_some() {}
    host
}

/// Addresses and states, those of the link aside.
fn addresses(host: &Host) -> Vec<String> {
    let all = host.stack.addresses_of(host.port).into_iter();
    let global = all.filter(|own| own.origin != Origin::LinkLocal);
    global.map(|own| format!("{} {:?} {:?}", own.prefix, own.state, own.origin)).collect()
}

fn notices(host: &mut Host) -> Vec<Notice> {
    std::iter::from_fn(|| host.stack.poll_notice()).collect()
}

fn discovery(src: Ipv6Addr, dst: Ipv6Addr, message: ndisc::Message<'_>) -> Vec<u8> {
    let message = Icmp::Discovery(message);
    let mut payload = vec![0; message.total_len()];
    message.emit(src, dst, &mut payload);
    let mut bytes = vec![0; ipv6::HEADER_LEN];
    Repr { src, dst, next_header: Protocol::ICMPV6, hop_limit: 255, traffic_class: 0, flow_label: 0 }
        .emit(payload.len(), &mut bytes);
    bytes.extend_from_slice(&payload);
    let mac = if dst.is_multicast() { MacAddr::for_group(dst.into()) } else { OUR_MAC };
    frame(PEER_MAC, mac, EtherType::IPV6, &bytes)
}

/// Somebody asks whether anybody has `target`.
fn probe(target: Ipv6Addr, nonce: &[u8]) -> Vec<u8> {
    let mut bytes = [0; 8];
    let options = Options::write(&[NdOption::Nonce(nonce)], &mut bytes);
    discovery(NOBODY, ipv6::solicited_node(target), ndisc::Message::NeighborSolicitation { target, options })
}

/// Somebody has `target`.
fn claim(target: Ipv6Addr, router: bool) -> Vec<u8> {
    let mut bytes = [0; 8];
    let options = Options::write(&[NdOption::TargetLinkLayer(PEER_MAC)], &mut bytes);
    let said = NeighborAdvertisement { router, solicited: false, overrides: true, target, options };
    discovery(target, ipv6::ALL_NODES, ndisc::Message::NeighborAdvertisement(said))
}

const SAID: RouterAdvertisement<'static> = RouterAdvertisement {
    hop_limit: 0,
    managed: false,
    other: false,
    preference: Preference::Medium,
    lifetime: 1_800,
    reachable_time: 0,
    retransmit_time: 0,
    options: Options::NONE,
};

fn advertise(host: &mut Host, router: Ipv6Addr, said: RouterAdvertisement<'_>, options: &[NdOption<'_>]) {
    let mut bytes = [0; 1_400];
    let options = Options::write(options, &mut bytes);
    let message = ndisc::Message::RouterAdvertisement(RouterAdvertisement { options, ..said });
    host.arrive(&discovery(router, ipv6::ALL_NODES, message));
}

fn slaac(prefix: Ipv6Addr, valid: u32, preferred: u32) -> NdOption<'static> {
    NdOption::Prefix(PrefixInformation {
        prefix,
        prefix_len: 64,
        on_link: true,
        autonomous: true,
        router_address: false,
        valid_lifetime: valid,
        preferred_lifetime: preferred,
    })
}

fn next_hop(host: &Host, to: &str) -> Option<String> {
    host.stack.ip.route(to.parse().unwrap(), None).ok().map(|route| route.next_hop.to_string())
}

fn source(host: &Host, to: &str) -> Option<String> {
    host.stack.ip.route(to.parse().unwrap(), None).ok().map(|route| route.source.to_string())
}

#[test]
fn an_address_is_asked_for_and_then_announced() {
    let mut host = fresh(Settings { optimistic: false, routers: false, ..settings() });
    assert_eq!(host.sent(), [""; 0], "after a random time");
    assert_eq!(host.stack.ports().nth(1).unwrap().1.addresses(), []);
    host.pass(seconds(1));
    assert_eq!(host.sent(), [format!(":: > ff02::1:ff00:1 who-has {LINK_LOCAL} nonce")]);
    host.pass(seconds(2));
    assert_eq!(host.sent(), [format!("{LINK_LOCAL} > ff02::1 {LINK_LOCAL} is-at 02:00:00:00:00:01")]);
    let port = host.port;
    let settled = Notice::Address { port, prefix: prefix("fe80::ff:fe00:1/64"), origin: Origin::LinkLocal };
    assert_eq!(notices(&mut host), [settled]);
    assert_eq!(next_hop(&host, "fe80::7").as_deref(), Some("fe80::7"));
    assert_eq!(host.stack.poll_timeout().is_some(), host.stack.ip.autoconf.poll_timeout().is_some());
}

/// RFC 4862, 5.4.2: who asks at the same time is heard; and hosts that start together do not ask together.
#[test]
fn groups_are_joined_before_the_first_question_and_that_comes_at_a_random_time() {
    let mut times = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut stack = Stack::new(Config::default(), [seed; 32]);
        let now = Instant::from_millis(1_000);
        let capabilities = Capabilities::default();
        let port = stack.add_port(PortConfig { name: "eth0".into(), mac: OUR_MAC, mtu: 1_500, capabilities });
        stack.configure_ipv6(now, port, Settings { optimistic: false, routers: false, ..settings() });
        let mut host = Host { stack, port, now, room: None };
        let member = |host: &Host, group: Ipv6Addr| host.stack.ip.multicast.is_member(port, group.into());
        assert!(member(&host, ipv6::ALL_NODES) && member(&host, ipv6::solicited_node(ip(LINK_LOCAL))));
        assert_eq!(host.sent(), [""; 0]);
        while host.sent().is_empty() {
            host.pass(ms(1));
        }
        let waited = host.now.since(now);
        assert!(waited <= seconds(1) + ms(1), "{waited:?}");
        times.insert(waited);
    }
    assert!(times.len() > 10, "{times:?}");
}

#[test]
fn an_optimistic_address_serves_at_once_and_is_careful() {
    let mut host = fresh(Settings { routers: false, ..settings() });
    host.stack.add_address(host.now, host.port, prefix("fd00::1/64"));
    host.pass(Duration::ZERO);
    let asked = [
        format!(":: > ff02::1:ff00:1 who-has {LINK_LOCAL} nonce"),
        ":: > ff02::1:ff00:1 who-has fd00::1 nonce".to_owned(),
    ];
    assert_eq!(host.sent(), asked);
    assert_eq!(addresses(&host), ["fd00::1/64 Optimistic Configured"]);
    // Who asks is answered, so that nobody forgets who had it before; and asked is from the link-local address.
    let mut bytes = [0; 8];
    let options = Options::write(&[NdOption::SourceLinkLayer(PEER_MAC)], &mut bytes);
    let question = ndisc::Message::NeighborSolicitation { target: ip("fd00::1"), options };
    host.arrive(&discovery(ip("fd00::2"), ip("fd00::1"), question));
    host.stack.ip.link(host.now, host.port, ip("fd00::3").into());
    let answered = [
        "fd00::1 > fd00::2 fd00::1 is-at 02:00:00:00:00:01 solicited perhaps".to_owned(),
        format!("{LINK_LOCAL} > ff02::1:ff00:3 who-has fd00::3"),
    ];
    assert_eq!(host.sent(), answered);
    host.arrive(&claim(ip("fd00::3"), false));
    host.pass(seconds(1));
    let announced = host.sent();
    assert!(announced.contains(&"fd00::1 > ff02::1 fd00::1 is-at 02:00:00:00:00:01".to_owned()), "{announced:?}");
    assert_eq!(addresses(&host), ["fd00::1/64 Preferred Configured"]);
}

#[test]
fn an_address_that_somebody_has_is_given_up_and_told() {
    for optimistic in [false, true] {
        for defended in [false, true] {
            let mut host = settled(Settings { optimistic, routers: false, ..settings() });
            host.stack.add_address(host.now, host.port, prefix("fd00::1/64"));
            host.pass(ms(200));
            let own = ip("fd00::1");
            // It is had, or wanted at the same time.
            host.arrive(&if defended { claim(own, false) } else { probe(own, b"others") });
            host.pass(seconds(5));
            assert_eq!(addresses(&host), ["fd00::1/64 Duplicated Configured"]);
            assert_eq!(notices(&mut host), [Notice::Duplicate { port: host.port, address: own, anew: false }]);
            assert!(!host.stack.ip.is_local(own.into()) && next_hop(&host, "fd00::2").is_none());
            assert_eq!(host.drops(), [("nd_duplicate", 1)]);
            assert_eq!(host.stack.counters().nd_duplicates, 1);
            // When the link comes up again it is tried once more.
            host.stack.set_link(host.now, host.port, false);
            host.stack.set_link(host.now, host.port, true);
            host.pass(seconds(3));
            assert_eq!(addresses(&host), ["fd00::1/64 Preferred Configured"]);
        }
    }
}

#[test]
fn our_own_question_come_back_is_nobody_elses() {
    let mut host = settled(Settings { routers: false, ..settings() });
    host.stack.add_address(host.now, host.port, prefix("fd00::1/64"));
    host.pass(Duration::ZERO);
    let own = host.sent_frames();
    assert_eq!(own.len(), 1);
    host.arrive(&own[0].0);
    host.pass(seconds(2));
    assert_eq!(addresses(&host), ["fd00::1/64 Preferred Configured"]);
    assert_eq!(host.drops(), [("nd_looped", 1)]);
}

#[test]
fn nothing_is_taken_at_a_tentative_address() {
    let mut host = settled(Settings { optimistic: false, routers: false, ..settings() });
    host.stack.add_address(host.now, host.port, prefix("fd00::1/64"));
    let mut bytes = [0; 8];
    let options = Options::write(&[NdOption::SourceLinkLayer(PEER_MAC)], &mut bytes);
    let question = ndisc::Message::NeighborSolicitation { target: ip("fd00::1"), options };
    host.arrive(&discovery(ip("fd00::2"), ipv6::solicited_node(ip("fd00::1")), question));
    host.arrive(&discovery(ip("fd00::2"), ip("fd00::1"), question));
    assert_eq!(host.drops(), [("ipv6_not_for_us", 1), ("nd_tentative", 1)]);
    assert_eq!(host.sent(), [""; 0]);
    assert_eq!(source(&host, "fd00::2"), None);
}

#[test]
fn an_address_of_our_own_making_is_made_anew_three_times() {
    let mut host = settled(Settings { identifiers: Identifiers::Stable, ..settings() });
    advertise(&mut host, ROUTER, SAID, &[slaac(NETWORK, 3_600, 1_800)]);
    let made = |host: &Host| {
        let own = host.stack.addresses_of(host.port);
        let own = own.iter().find(|own| own.origin == Origin::Stable).unwrap();
        (own.prefix.addr(), own.state)
    };
    let mut seen = Vec::new();
    for wait in [500, 1_500, 1_500, 1_500] {
        host.pass(ms(wait));
        let (IpAddr::V6(address), state) = made(&host) else { panic!("{:?}", made(&host)) };
        assert_ne!(state, AddressState::Duplicated);
        seen.push(address);
        host.arrive(&claim(address, false));
    }
    seen.dedup();
    assert_eq!(seen.len(), 4);
    assert_eq!(made(&host), (seen[3].into(), AddressState::Duplicated));
    let last = notices(&mut host).pop();
    assert_eq!(last, Some(Notice::Duplicate { port: host.port, address: seen[3], anew: false }));
}

#[test]
fn routers_are_asked_for_ever_more_seldom_until_one_answers() {
    let mut host = fresh(settings());
    let mut asked = Vec::new();
    for second in 0..100 {
        host.pass(seconds(1));
        if host.sent().iter().any(|line| line.contains("routers?")) {
            asked.push(second);
        }
    }
    let waits: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits.len(), 4, "{asked:?}");
    for (wait, expected) in waits.iter().zip([4, 8, 16, 32]) {
        assert!((expected * 9 / 10 - 1..=expected * 11 / 10 + 1).contains(wait), "{waits:?}");
    }
    advertise(&mut host, ROUTER, SAID, &[]);
    host.pass(seconds(1_000));
    assert!(!host.sent().iter().any(|line| line.contains("routers?")));
}

#[test]
fn what_a_router_says_holds_for_its_time() {
    let mut host = settled(settings());
    let other = ip("2001:db8:0:9::");
    let servers = [ip("2001:db8::53").octets()];
    let options = [
        slaac(NETWORK, 600, 300),
        NdOption::Mtu(1_400),
        NdOption::Route(RouteInformation { prefix: other, prefix_len: 64, preference: Preference::Low, lifetime: 900 }),
        NdOption::RecursiveDns(RecursiveDns { lifetime: 100, servers: sockeye_wire::group::Addresses::of(&servers) }),
    ];
    advertise(&mut host, ROUTER, RouterAdvertisement { hop_limit: 31, ..SAID }, &options);
    let made = "2001:db8:0:1:0:ff:fe00:1";
    assert_eq!(addresses(&host), [format!("{made}/64 Optimistic Stable")]);
    assert_eq!(next_hop(&host, "2001:db8:7::1").as_deref(), Some("fe80::ff"));
    assert_eq!(next_hop(&host, "2001:db8:0:9::1").as_deref(), Some("fe80::ff"));
    assert_eq!(next_hop(&host, "2001:db8:0:1::9").as_deref(), Some("2001:db8:0:1::9"));
    assert_eq!(source(&host, "2001:db8:7::1").as_deref(), Some(made));
    let route = host.stack.ip.route(ip("2001:db8:7::1").into(), None).unwrap();
    assert_eq!((route.mtu, route.hop_limit), (1_400, 31));
    assert_eq!(host.stack.name_servers(), [(ip("2001:db8::53").into(), host.port)]);
    host.pass(seconds(101));
    assert_eq!(host.stack.name_servers(), []);
    assert_eq!(addresses(&host), [format!("{made}/64 Preferred Stable")]);
    host.pass(seconds(200));
    assert_eq!(addresses(&host), [format!("{made}/64 Deprecated Stable")]);
    assert_eq!(source(&host, "2001:db8:7::1").as_deref(), Some(made), "better than one of the link");
    host.pass(seconds(300));
    assert_eq!(addresses(&host), [""; 0]);
    assert_eq!(next_hop(&host, "2001:db8:0:1::9").as_deref(), Some("fe80::ff"), "not on the link any more");
    host.pass(seconds(1_200));
    assert_eq!(next_hop(&host, "2001:db8:7::1"), None);
    assert!(host.stack.routers().is_empty());
    assert_eq!(host.drops(), []);
}

#[test]
fn an_address_lives_two_hours_after_somebody_ends_it() {
    let mut host = settled(settings());
    let valid =
        |host: &Host| host.stack.addresses_of(host.port)[1].valid_until.map(|until| until.since(host.now).as_secs());
    advertise(&mut host, ROUTER, SAID, &[slaac(NETWORK, 86_400, 14_400)]);
    assert_eq!(valid(&host), Some(86_400));
    // Shorter, but long enough; too short; longer again; for ever; and no more.
    for (said, then) in
        [(8_000, Some(8_000)), (10, Some(7_200)), (9_000, Some(9_000)), (u32::MAX, None), (0, Some(7_200))]
    {
        advertise(&mut host, ROUTER, SAID, &[slaac(NETWORK, said, 0)]);
        assert_eq!(valid(&host), then, "{said}");
    }
    assert_eq!(host.stack.addresses_of(host.port)[1].state, AddressState::Optimistic);
    host.pass(seconds(3_000));
    assert_eq!(host.stack.addresses_of(host.port)[1].state, AddressState::Deprecated);
    advertise(&mut host, ROUTER, SAID, &[slaac(NETWORK, 100, 100)]);
    assert_eq!(valid(&host), Some(4_200), "what is left is less than two hours");
    assert_eq!(host.stack.addresses_of(host.port)[1].state, AddressState::Preferred);
}

#[test]
fn a_router_that_ends_or_is_none_any_more_is_left() {
    let other = ip("fe80::fe");
    let mut host = settled(settings());
    advertise(&mut host, ROUTER, SAID, &[]);
    advertise(&mut host, other, RouterAdvertisement { preference: Preference::High, ..SAID }, &[]);
    assert_eq!(next_hop(&host, "2001:db8:7::1").as_deref(), Some("fe80::fe"));
    advertise(&mut host, other, RouterAdvertisement { preference: Preference::Low, ..SAID }, &[]);
    assert_eq!(next_hop(&host, "2001:db8:7::1").as_deref(), Some("fe80::ff"));
    // Who does not answer is passed over for one who may.
    host.stack.ip.link(host.now, host.port, ROUTER.into());
    host.pass(seconds(4));
    assert_eq!(next_hop(&host, "2001:db8:7::1").as_deref(), Some("fe80::fe"));
    advertise(&mut host, other, RouterAdvertisement { lifetime: 0, ..SAID }, &[]);
    assert_eq!(next_hop(&host, "2001:db8:7::1").as_deref(), Some("fe80::ff"), "the last one");
    host.pass(seconds(2));
    host.stack.ip.link(host.now, host.port, ROUTER.into());
    host.arrive(&claim(ROUTER, true));
    assert_eq!(host.stack.routers().len(), 1);
    host.arrive(&claim(ROUTER, false));
    assert_eq!(next_hop(&host, "2001:db8:7::1"), None);
}

#[test]
fn what_cannot_be_is_not_believed() {
    let mut host = settled(settings());
    // From afar, or from an address of no link.
    let mut bytes = [0; 32];
    let options = Options::write(&[slaac(NETWORK, 600, 300)], &mut bytes);
    let message = ndisc::Message::RouterAdvertisement(RouterAdvertisement { options, ..SAID });
    let mut far = discovery(ROUTER, ipv6::ALL_NODES, message);
    far[ethernet::HEADER_LEN + 7] = 254;
    host.arrive(&far);
    host.arrive(&discovery(ip("2001:db8::1"), ipv6::ALL_NODES, message));
    assert_eq!(host.drops(), [("nd_invalid", 2)]);
    let prefix = |prefix: &str, prefix_len| PrefixInformation {
        prefix: ip(prefix),
        prefix_len,
        on_link: true,
        autonomous: true,
        router_address: false,
        valid_lifetime: 600,
        preferred_lifetime: 300,
    };
    let bad = [
        prefix("::", 0),
        prefix("fe80::", 64),
        prefix("ff00::", 64),
        PrefixInformation { preferred_lifetime: 601, ..prefix("2001:db8::", 64) },
        prefix("2001:db8:1::", 63),
    ];
    let options: Vec<_> =
        bad.map(NdOption::Prefix).into_iter().chain([1_279, 1_501, 70_000].map(NdOption::Mtu)).collect();
    advertise(&mut host, ROUTER, SAID, &options);
    assert_eq!(host.drops(), [("nd_invalid", 2), ("nd_option", 8)]);
    assert_eq!(addresses(&host), [""; 0]);
    assert_eq!(host.stack.ip.route(ip("2001:db8:7::1").into(), None).unwrap().mtu, 1_500);
    // A port that was told to hear no routers hears none.
    let mut deaf = settled(Settings { routers: false, ..settings() });
    advertise(&mut deaf, ROUTER, SAID, &[slaac(NETWORK, 600, 300)]);
    assert_eq!((deaf.drops(), next_hop(&deaf, "2001:db8::1")), (vec![("nd_router", 1)], None));
}

#[test]
fn a_flood_of_advertisements_meets_a_limit() {
    let mut host = settled(settings());
    let numbered = |top: u16, number: u16| Ipv6Addr::new(top, number, 0, 0, 0, 0, 0, 0);
    for number in 1..2_000u16 {
        let router = ipv6::with_interface_id(ROUTER, number.into());
        let route = RouteInformation {
            prefix: numbered(0x2003, number),
            prefix_len: 64,
            preference: Preference::High,
            lifetime: u32::MAX,
        };
        let servers = [numbered(0x2004, number).octets()];
        let dns = RecursiveDns { lifetime: u32::MAX, servers: sockeye_wire::group::Addresses::of(&servers) };
        let prefix = slaac(numbered(0x2001, number), u32::MAX, u32::MAX);
        advertise(&mut host, router, SAID, &[prefix, NdOption::Route(route), NdOption::RecursiveDns(dns)]);
        host.sent();
    }
    assert_eq!((host.stack.routers().len(), host.stack.name_servers().len(), addresses(&host).len()), (16, 8, 16));
    // Default routes, others, prefixes, and the link itself.
    assert_eq!(host.stack.routes().filter(|route| route.port == host.port).count(), 16 + 64 + 32 + 1);
    assert!(host.dropped(Drop::NdLimit) > 5_000);
    // The first are served on, and no flow has lost its route for it.
    let generation = host.stack.ip.route_generation();
    advertise(&mut host, ipv6::with_interface_id(ROUTER, 1_999), SAID, &[slaac(numbered(0x2001, 1_999), 1, 1)]);
    advertise(&mut host, ipv6::with_interface_id(ROUTER, 1), SAID, &[slaac(numbered(0x2001, 1), u32::MAX, u32::MAX)]);
    assert_eq!(host.stack.ip.route_generation(), generation);
    assert_eq!(next_hop(&host, "2001:1::9").as_deref(), Some("2001:1::9"));
}

#[test]
fn temporary_addresses_succeed_each_other() {
    let mut host = settled(Settings { temporary: true, ..settings() });
    let temporary = |host: &Host| {
        let all = host.stack.addresses_of(host.port).into_iter();
        let mut temporary: Vec<_> = all.filter(|own| own.origin == Origin::Temporary).collect();
        temporary.sort_by_key(|own| own.valid_until);
        temporary
    };
    advertise(
        &mut host,
        ROUTER,
        RouterAdvertisement { lifetime: u16::MAX, ..SAID },
        &[slaac(NETWORK, u32::MAX, u32::MAX)],
    );
    host.pass(seconds(5));
    let first = temporary(&host);
    assert_eq!(first.len(), 1);
    let preferred = first[0].preferred_until.unwrap().since(host.now).as_secs();
    assert!((86_400 * 6 / 10 - 6..=86_400).contains(&preferred), "{preferred}");
    assert_eq!(source(&host, "2001:db8:7::1"), Some(first[0].prefix.addr().to_string()));
    // The next one is there before the first is deprecated.
    host.pass(seconds(preferred - 2));
    let two = temporary(&host);
    assert_eq!((two.len(), two[0].state), (2, AddressState::Preferred));
    host.pass(seconds(3));
    assert_eq!(temporary(&host)[0].state, AddressState::Deprecated);
    let next = temporary(&host)[1];
    assert!(next.prefix.addr() != first[0].prefix.addr());
    host.pass(seconds(1_000));
    // The route has ended, the prefix has not.
    advertise(&mut host, ROUTER, SAID, &[]);
    assert_eq!(source(&host, "2001:db8:7::1"), Some(next.prefix.addr().to_string()));
    host.pass(seconds(86_400 * 30));
    assert!((2..=4).contains(&temporary(&host).len()));
}

/// A router that prefers a network no more, and then again.
#[test]
fn temporary_addresses_come_back_with_the_networks_preference() {
    let mut host = settled(Settings { temporary: true, ..settings() });
    let preferred = |host: &Host| {
        let all = host.stack.addresses_of(host.port).into_iter();
        all.filter(|own| own.origin == Origin::Temporary && own.state == AddressState::Preferred).count()
    };
    let say = |host: &mut Host, preferred: u32| {
        let said = RouterAdvertisement { lifetime: u16::MAX, ..SAID };
        advertise(host, ROUTER, said, &[slaac(NETWORK, 86_400 * 7, preferred)]);
        host.pass(seconds(5));
    };
    say(&mut host, 86_400 * 7);
    assert_eq!(preferred(&host), 1);
    say(&mut host, 0);
    assert_eq!(preferred(&host), 0);
    say(&mut host, 86_400 * 7);
    assert_eq!(preferred(&host), 1, "the same, as it is still young");
    // It has a successor in its time, all the same.
    for _ in 0..24 {
        host.pass(seconds(3_600));
        assert_eq!(preferred(&host).min(1), 1);
    }
    // While the network is not preferred, the address outlives its day.
    say(&mut host, 0);
    host.pass(seconds(86_400 + 7_200));
    assert_eq!(preferred(&host), 0);
    say(&mut host, 86_400 * 7);
    assert_eq!(preferred(&host), 1, "another");
    say(&mut host, 86_400 * 7);
    assert_eq!(preferred(&host), 1, "and no more");
}

#[test]
fn a_link_too_narrow_has_no_ipv6() {
    let mut stack = Stack::new(Config::default(), [1; 32]);
    let now = Instant::from_millis(1_000);
    let capabilities = Capabilities::default();
    let port = stack.add_port(PortConfig { name: "eth0".into(), mac: OUR_MAC, mtu: 1_279, capabilities });
    stack.configure_ipv6(now, port, settings());
    stack.add_address(now, port, prefix("fd00::1/64"));
    let mut host = Host { stack, port, now, room: None };
    host.pass(seconds(10));
    assert_eq!(host.sent(), [""; 0]);
    let question = ndisc::Message::NeighborSolicitation { target: ip("fd00::1"), options: Options::NONE };
    host.arrive(&discovery(ip("fd00::2"), ip("fd00::1"), question));
    assert_eq!(host.drops(), [("link_protocol", 1)]);
}

/// Options of kinds that mean something, with anything in them.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![
        Just(1u8),
        Just(3),
        Just(3),
        Just(5),
        Just(14),
        Just(24),
        Just(24),
        Just(25),
        Just(31),
        any::<u8>()
    ];
    let option = (kind, 1usize..6, any::<[u8; 40]>(), any::<bool>()).prop_map(|(kind, units, mut bytes, sound)| {
        if kind == 3 && sound {
            // A prefix that may be one.
            (bytes[1], bytes[2], bytes[3], bytes[16]) = (4, 64, 0xc0, 0x20 | bytes[16] & 0x0f);
            bytes[8..11].fill(0);
        } else {
            bytes[1] = units as u8;
        }
        bytes[0] = kind;
        bytes[..8 * usize::from(bytes[1])].to_vec()
    });
    prop::collection::vec(option, 0..12).prop_map(|options| options.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever routers say, what is remembered has its limits, and no timer fires for ever at one moment.
    #[test]
    fn anything_from_routers_is_bounded(
        said in prop::collection::vec((any::<u16>(), any::<(u8, u8, u16, u32, u32)>(), options(), 0u64..20_000), 1..60),
        temporary in any::<bool>(),
    ) {
        let mut host = fresh(Settings { temporary, ..settings() });
        for (router, (hop_limit, flags, lifetime, reachable_time, retransmit_time), bytes, wait) in said {
            let router = ipv6::with_interface_id(ROUTER, router.into());
            let message = RouterAdvertisement {
                hop_limit,
                preference: [Preference::Low, Preference::Medium, Preference::High][usize::from(flags) % 3],
                lifetime,
                reachable_time,
                retransmit_time,
                options: Options::parse(&bytes).unwrap(),
                ..SAID
            };
            host.arrive(&discovery(router, ipv6::ALL_NODES, ndisc::Message::RouterAdvertisement(message)));
            let mut turns = 0;
            let end = host.now + seconds(wait);
            while let Some(next) = host.stack.poll_timeout().filter(|&next| next <= end) {
                host.now = host.now.max(next);
                host.stack.handle_timeout(host.now);
                host.sent();
                turns += 1;
                prop_assert!(turns < 20_000, "timers without end");
            }
            host.now = end;
            let made = host.stack.addresses_of(host.port).len();
            prop_assert!(made <= 16 + 1, "{made} addresses");
            let routes = host.stack.routes().filter(|route| route.port == host.port).count();
            prop_assert!(routes <= 16 + 64 + 32 + 1, "{routes} routes");
            prop_assert!(host.stack.name_servers().len() <= 8 && host.stack.search_domains().len() <= 8);
            let mtu = host.stack.ip.port(host.port).mtu_v6;
            prop_assert!((1_280..=1_500).contains(&mtu), "{mtu}");
        }
    }
}
