//! Anycast addresses: what is taken and answered there, and what is not done from there.

use super::ipv6::{FROM_PEER, PEER6, US6, acquainted, icmp_between, ipv6_frame, solicitation_for};
use super::*;
use crate::ipv6::anycast::TooMany;
use crate::udp;
use sockeye_device::Checksum;
use sockeye_wire::icmpv6::Message as Icmp;
use sockeye_wire::ipv6::{self, Repr};
use std::net::Ipv6Addr;

const SHARED: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9);

/// A host that has heard from its peer, and has joined the address.
fn host() -> Host {
    let mut host = acquainted();
    host.stack.anycast_join(host.port, SHARED).unwrap();
    host
}

/// Something comes to the address, of which the device has verified the checksum.
fn arrive(host: &mut Host, protocol: Protocol, payload: &[u8]) {
    let frame = ipv6_frame(Repr { dst: SHARED, next_header: protocol, ..FROM_PEER }, &[], payload);
    host.arrive_with(&frame, Offload { checksum: Checksum::Verified, segmentation: None });
}

fn datagram(payload: &[u8]) -> Vec<u8> {
    let mut bytes = udp_bytes(7, 9, payload);
    bytes[7] = 1;
    bytes
}

#[test]
fn who_asks_all_is_answered_after_a_while_and_never_overridden() {
    let mut host = host();
    let asked_of_all = solicitation_for(SHARED, PEER6, ipv6::solicited_node(SHARED));
    let answer = ["fd00::1 > fd00::2 fd00::9 is-at 02:00:00:00:00:01 solicited perhaps"];
    host.arrive(&asked_of_all);
    assert_eq!(host.sent(), [""; 0]);
    host.pass(ms(1_000));
    assert_eq!(host.sent(), answer);
    // A question to us alone: nobody else answers it.
    host.arrive(&solicitation_for(SHARED, PEER6, SHARED));
    assert_eq!(host.sent(), answer);
    host.arrive(&solicitation_for(SHARED, Ipv6Addr::UNSPECIFIED, ipv6::solicited_node(SHARED)));
    host.pass(ms(1_000));
    assert_eq!(host.sent(), ["fd00::1 > ff02::1 fd00::9 is-at 02:00:00:00:00:01 perhaps"]);
    assert_eq!(host.drops(), []);
    // What was left meanwhile is not answered for.
    host.arrive(&asked_of_all);
    host.stack.anycast_leave(host.port, SHARED);
    host.pass(ms(1_000));
    host.arrive(&asked_of_all);
    assert_eq!(host.sent(), [""; 0]);
    assert_eq!(host.drops(), [("link_not_member", 1)]);
}

#[test]
fn what_is_said_there_is_answered_from_an_address_of_our_own() {
    let mut host = host();
    let echo = icmp_between(PEER6, SHARED, &Icmp::EchoRequest { ident: 1, seq: 2, data: b"hello" });
    arrive(&mut host, Protocol::ICMPV6, &echo);
    arrive(&mut host, Protocol::UDP, &datagram(b"anybody?"));
    let sent = host.sent();
    assert_eq!(sent[0], "fd00::1 > fd00::2 echo reply 1/2 len 5");
    assert!(sent[1].starts_with("fd00::1 > fd00::2 ") && sent[1].ends_with("port unreachable"), "{sent:?}");
    // A connection is made with one host, and this may be another next time.
    let mut segment = [0; 20];
    segment[..4].copy_from_slice(&[0, 7, 0, 9]);
    (segment[12], segment[13]) = (0x50, 2);
    arrive(&mut host, Protocol::TCP, &segment);
    assert_eq!(host.sent(), [""; 0]);
    assert_eq!(host.drops(), [("udp_no_socket", 1), ("tcp_address", 1)]);
}

#[test]
fn a_socket_hears_what_is_sent_there_and_answers_from_there_only_if_it_says_so() {
    let mut host = host();
    let bind = |address: Ipv6Addr| crate::Bind::new(address.into(), 9);
    let socket = host.stack.udp_open(&bind(Ipv6Addr::UNSPECIFIED)).unwrap();
    assert!(host.stack.udp_open(&bind(SHARED)).is_err());
    arrive(&mut host, Protocol::UDP, &datagram(b"hello"));
    let received = host.stack.udp_recv(socket).unwrap();
    assert_eq!(received.to.ip(), IpAddr::V6(SHARED));
    for from in [None, Some(SHARED.into())] {
        let send = udp::Send { to: Some(received.from), from, payload: &[b"well"], ..udp::Send::default() };
        host.stack.udp_send(host.now, socket, &send).unwrap();
    }
    let sent = host.sent();
    assert!(sent[0].starts_with("fd00::1 > fd00::2 ") && sent[1].starts_with("fd00::9 > fd00::2 "), "{sent:?}");
    // We are one of those who have it.
    let route = host.stack.route_to(SHARED.into(), None, None).unwrap();
    assert_eq!((route.port, route.source), (PortId::LOOPBACK, IpAddr::V6(US6)));
    assert_eq!(host.drops(), []);
}

#[test]
fn there_are_so_many_and_so_many_answers_wait() {
    let mut host = acquainted();
    let number = |n: u16| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, n);
    assert!((0..256).all(|n| host.stack.anycast_join(host.port, number(n)).is_ok()));
    assert_eq!(host.stack.anycast_join(host.port, number(256)), Err(TooMany));
    assert_eq!(host.stack.anycast_join(host.port, number(255)), Ok(()));
    let first = host.stack.anycast_addresses(host.port)[0];
    assert_eq!((first.address, first.users), (number(255), 2));
    for n in 0..70 {
        host.arrive(&solicitation_for(number(n), PEER6, ipv6::solicited_node(number(n))));
    }
    assert_eq!(host.drops(), [("nd_anycast", 6)]);
    host.pass(ms(1_000));
    assert_eq!(host.sent().len(), 64);
    for n in (0..256).chain([255, 255]) {
        host.stack.anycast_leave(host.port, number(n));
    }
    assert!(host.stack.anycast_addresses(host.port).is_empty());
}
