//! ARP and the neighbour states, seen from the wire (rows E4, E5).

use super::*;
use crate::neighbor::NeighborState;
use crate::resolution::Link;
use crate::udp::{Error, Send, SocketId};
use crate::{Bind, Event};
use std::net::SocketAddr;

fn state(host: &Host) -> Option<(NeighborState, Option<MacAddr>)> {
    host.stack.neighbors().find(|found| found.address == v4(PEER)).map(|found| (found.state, found.mac))
}

fn socket(host: &mut Host) -> SocketId {
    host.stack.udp_open(&Bind::new(v4(US), 1_000)).unwrap()
}

fn send(host: &mut Host, socket: SocketId, to: Ipv4Addr, payload: &[u8]) -> Result<(), crate::udp::SendError> {
    let to = Some(SocketAddr::new(v4(to), 53));
    host.stack.udp_send(host.now, socket, &Send { to, payload: &[payload], ..Send::default() })
}

#[test]
fn a_packet_waits_for_the_answer_and_then_goes() {
    let mut host = Host::new();
    let socket = socket(&mut host);
    send(&mut host, socket, PEER, b"one").unwrap();
    send(&mut host, socket, PEER, b"three").unwrap();
    assert_eq!(host.sent(), ["arp who-has 10.0.0.2 tell 10.0.0.1"]);
    assert_eq!(state(&host), Some((NeighborState::Incomplete, None)));
    host.arrive(&arp_reply(PEER, PEER_MAC));
    assert_eq!(host.sent(), ["10.0.0.1:1000 > 10.0.0.2:53 udp len 3", "10.0.0.1:1000 > 10.0.0.2:53 udp len 5"]);
    assert_eq!(state(&host), Some((NeighborState::Reachable, Some(PEER_MAC))));
    assert_eq!(host.drops(), []);
}

#[test]
fn the_silent_are_asked_three_times_and_given_up() {
    let mut host = Host::new();
    let socket = socket(&mut host);
    host.stack.udp_connect(socket, Some(SocketAddr::new(v4(PEER), 53))).unwrap();
    send(&mut host, socket, PEER, b"anybody?").unwrap();
    for second in 0..3 {
        assert_eq!(host.sent(), ["arp who-has 10.0.0.2 tell 10.0.0.1"], "second {second}");
        host.pass(ms(1_010));
    }
    assert_eq!(host.sent(), [""; 0]);
    assert_eq!(state(&host), Some((NeighborState::Failed, None)));
    // The sender learns, and is refused while the failure is fresh.
    assert_eq!(host.stack.poll_event(), Some(Event::Udp(socket)));
    assert_eq!(host.stack.udp_take_error(socket), Some(Error::HostUnreachable));
    assert_eq!(send(&mut host, socket, PEER, b"now?"), Err(crate::udp::SendError::HostUnreachable));
    assert_eq!(host.drops(), [("neighbor_failed", 1)]);
    // A second later it is tried again.
    host.pass(ms(1_000));
    send(&mut host, socket, PEER, b"now?").unwrap();
    assert_eq!(host.sent(), ["arp who-has 10.0.0.2 tell 10.0.0.1"]);
}

#[test]
fn stale_is_only_checked_when_it_is_used() {
    let mut host = Host::acquainted();
    host.pass(ms(46_000));
    assert_eq!(state(&host), Some((NeighborState::Stale, Some(PEER_MAC))));
    host.pass(ms(100_000));
    assert_eq!(host.sent(), [""; 0], "nobody is asked without need");

    let socket = socket(&mut host);
    send(&mut host, socket, PEER, b"still there?").unwrap();
    assert_eq!(host.sent(), ["10.0.0.1:1000 > 10.0.0.2:53 udp len 12"], "what is known is used");
    assert_eq!(state(&host), Some((NeighborState::Delay, Some(PEER_MAC))));
    host.pass(ms(5_010));
    assert_eq!(host.sent(), ["arp (02:00:00:00:00:02) who-has 10.0.0.2 tell 10.0.0.1"]);
    assert_eq!(state(&host), Some((NeighborState::Probe, Some(PEER_MAC))));
    host.arrive(&arp_reply(PEER, PEER_MAC));
    assert_eq!(state(&host), Some((NeighborState::Reachable, Some(PEER_MAC))));
}

#[test]
fn news_from_above_confirms_without_asking() {
    let mut host = Host::acquainted();
    for _ in 0..20 {
        host.pass(ms(10_000));
        host.stack.ip.link(host.now, host.port, v4(PEER));
        host.stack.ip.confirm(host.now, host.port, v4(PEER));
        assert_eq!(state(&host).map(|(state, _)| state), Some(NeighborState::Reachable));
    }
    assert_eq!(host.sent(), [""; 0]);
}

#[test]
fn one_that_vanished_is_asked_alone_then_all_are_asked_then_it_fails() {
    let mut host = Host::acquainted();
    host.pass(ms(46_000));
    let before = host.stack.ip.link_generation();
    assert_eq!(host.stack.ip.link(host.now, host.port, v4(PEER)), Link::Ready(PEER_MAC));
    let mut asked = Vec::new();
    for _ in 0..15 {
        host.pass(ms(1_000));
        asked.extend(host.sent());
    }
    let alone = "arp (02:00:00:00:00:02) who-has 10.0.0.2 tell 10.0.0.1";
    let all = "arp who-has 10.0.0.2 tell 10.0.0.1";
    assert_eq!(asked, [alone, alone, alone, all, all, all]);
    assert_eq!(state(&host), Some((NeighborState::Failed, None)));
    assert_ne!(host.stack.ip.link_generation(), before, "whoever keeps its address learns that it is void");
}

#[test]
fn questions_are_answered_and_leave_no_trace() {
    let mut host = Host::new();
    host.arrive(&arp_request(PEER, PEER_MAC, US));
    assert_eq!(host.sent(), ["arp 10.0.0.1 is-at 02:00:00:00:00:01"]);
    // RFC 5227: somebody wants to know whether the address is free.
    host.arrive(&arp_request(Ipv4Addr::UNSPECIFIED, PEER_MAC, US));
    assert_eq!(host.sent(), ["arp 10.0.0.1 is-at 02:00:00:00:00:01"]);
    host.arrive(&arp_request(PEER, PEER_MAC, GATEWAY));
    assert_eq!(host.sent(), [""; 0]);
    assert_eq!(host.stack.neighbors().count(), 0);
    assert_eq!(host.drops(), [("arp_not_for_us", 1)]);
}

#[test]
fn a_hundred_thousand_strangers_cost_nothing() {
    let mut host = Host::acquainted();
    for n in 0..100_000u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let mac = MacAddr([2, 9, 9, b, c, d]);
        let who = Ipv4Addr::from(0x0a00_0000 | (n + 3));
        host.arrive(&arp_request(who, mac, US));
        host.arrive(&arp_reply(who, mac));
        if n % 500 == 0 {
            host.sent();
        }
    }
    assert_eq!(host.stack.neighbors().count(), 1);
    assert_eq!(state(&host), Some((NeighborState::Reachable, Some(PEER_MAC))));
    assert_alive(&mut host);
}

/// A scan of the link: unresolved neighbours make room for each other, not those that answer for them.
#[test]
fn unresolved_neighbours_are_bounded_and_the_known_stay() {
    let config = Config { max_neighbors: 64, ..Config::default() };
    let mut host = Host::with(config, Capabilities::default(), OUR_MAC, "10.0.0.1/8");
    let socket = socket(&mut host);
    host.stack.ip.link(host.now, host.port, v4(PEER));
    host.arrive(&arp_reply(PEER, PEER_MAC));
    for n in 0..10_000u32 {
        let _maybe_full = send(&mut host, socket, Ipv4Addr::from(0x0a01_0000 + n), b"scan");
        host.sent();
        if n % 100 == 0 {
            host.pass(ms(50));
        }
    }
    assert!(host.stack.neighbors().count() <= 64);
    assert_eq!(state(&host).map(|(_, mac)| mac), Some(Some(PEER_MAC)));
    assert!(host.dropped(Drop::NeighborEvicted) > 9_000);
    host.pass(ms(10_000));
    let waiting: usize = host.stack.neighbors().map(|found| found.queued).sum();
    assert_eq!(waiting, 0, "no packet waits for ever");
}

#[test]
fn a_claim_that_nobody_asked_for_must_first_outlast_the_known_station() {
    let thief = MacAddr([2, 6, 6, 6, 6, 6]);
    let mut host = Host::acquainted();
    host.arrive(&arp_reply(PEER, thief));
    assert_eq!(host.sent(), ["arp (02:00:00:00:00:02) who-has 10.0.0.2 tell 10.0.0.1"]);
    host.arrive(&arp_reply(PEER, thief));
    assert_eq!(state(&host), Some((NeighborState::Probe, Some(PEER_MAC))));
    host.arrive(&arp_reply(PEER, PEER_MAC));
    assert_eq!(state(&host), Some((NeighborState::Reachable, Some(PEER_MAC))));
    assert_eq!(host.drops(), [("arp_doubtful", 1)]);

    // An honest take-over: the old station is gone.
    host.arrive(&arp_request(PEER, thief, PEER));
    host.pass(ms(1_010));
    host.sent();
    host.arrive(&arp_reply(PEER, thief));
    assert_eq!(state(&host), Some((NeighborState::Reachable, Some(thief))));
}

#[test]
fn our_address_is_defended_but_not_in_a_shouting_match() {
    let mut host = Host::new();
    for _ in 0..100 {
        host.arrive(&arp_request(US, PEER_MAC, US));
    }
    assert_eq!(host.sent(), ["arp announce 10.0.0.1"]);
    host.pass(ms(10_000));
    host.arrive(&arp_reply(US, PEER_MAC));
    assert_eq!(host.sent(), ["arp announce 10.0.0.1"]);
    assert_eq!(host.dropped(Drop::ArpConflict), 101);
}

#[test]
fn impossible_senders_are_ignored() {
    let mut host = Host::acquainted();
    for (who, mac) in [
        (PEER, MacAddr::BROADCAST),
        (PEER, MacAddr::ZERO),
        (Ipv4Addr::BROADCAST, PEER_MAC),
        (Ipv4Addr::new(224, 0, 0, 1), PEER_MAC),
        (Ipv4Addr::LOCALHOST, PEER_MAC),
    ] {
        host.arrive(&arp_reply(who, mac));
    }
    // An ARP for something else, and one that is cut short.
    let mut odd = arp_reply(PEER, PEER_MAC);
    odd[18] = 255;
    host.arrive(&odd);
    host.arrive(&arp_reply(PEER, PEER_MAC)[..30]);
    // The Ethernet source is a station all the same: what counts is what ARP says, and both are checked.
    assert_eq!(host.dropped(Drop::ArpSource) + host.dropped(Drop::LinkSource), 5);
    assert_eq!(host.dropped(Drop::ArpMalformed), 2);
    assert_eq!(state(&host), Some((NeighborState::Reachable, Some(PEER_MAC))));
}

#[test]
fn a_link_that_goes_down_takes_its_neighbours_along() {
    let mut host = Host::acquainted();
    let socket = socket(&mut host);
    host.stack.set_link(host.now, host.port, false);
    assert_eq!(host.stack.neighbors().count(), 0);
    assert_eq!(send(&mut host, socket, PEER, b"x"), Err(crate::udp::SendError::NoRoute));
    host.arrive(&echo_request(b"x"));
    assert_eq!(host.dropped(Drop::LinkDown), 1);
    host.stack.set_link(host.now, host.port, true);
    assert_eq!(host.sent(), ["arp probe 10.0.0.1", "arp announce 10.0.0.1"]);
    assert_alive(&mut host);
}

#[test]
fn two_hosts_find_each_other() {
    let mut wire = Wire::new();
    let a = wire.hosts[0].stack.udp_open(&Bind::new(v4(US), 1_000)).unwrap();
    let b = wire.hosts[1].stack.udp_open(&Bind::new(v4(PEER), 53)).unwrap();
    send(&mut wire.hosts[0], a, PEER, b"hello").unwrap();
    assert_eq!(
        wire.settle(),
        [
            "a arp who-has 10.0.0.2 tell 10.0.0.1",
            "b arp 10.0.0.2 is-at 02:00:00:00:00:02",
            "a 10.0.0.1:1000 > 10.0.0.2:53 udp len 5",
        ]
    );
    assert_eq!(wire.hosts[1].stack.udp_recv(b).unwrap().data, b"hello");
}
