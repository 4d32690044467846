//! Echoes and errors (rows D1, D2, D4 to D8).

use super::*;
use crate::errors::Cause;
use crate::udp::{Error, Send, SocketId};
use crate::{Bind, ErrorRates};
use sockeye_wire::icmpv4::{TimeExceededCode, Timestamp, UnreachableCode};
use sockeye_wire::ipv4::options::{IpOption, OptionBuffer, Options};

/// A connected socket that has sent something to the peer's port 53, and what it sent.
fn connected(host: &mut Host) -> (SocketId, Vec<u8>) {
    let socket = host.stack.udp_open(&Bind::new(v4(US), 1_000)).unwrap();
    host.stack.udp_connect(socket, Some((PEER, 53).into())).unwrap();
    host.stack.udp_send(host.now, socket, &Send { payload: &[b"question"], ..Send::default() }).unwrap();
    let sent = host.sent_frames().remove(0).0;
    (socket, sent[14..].to_vec())
}

fn unreachable(code: UnreachableCode, mtu: u16, original: &[u8]) -> Vec<u8> {
    icmp_frame(&Message::DestinationUnreachable { code, next_hop_mtu: mtu, original })
}

#[test]
fn an_echo_returns_what_it_got_from_where_it_was_asked() {
    let mut host = Host::acquainted();
    host.stack.add_address(host.now, host.port, prefix("10.0.0.77/24"));
    host.sent();
    let echo = icmp_bytes(&Message::EchoRequest { ident: 9, seq: 8, data: b"payload" });
    let header = ipv4::Repr { protocol: Protocol::ICMP, dst: Ipv4Addr::new(10, 0, 0, 77), tos: 0x10, ..FROM_PEER };
    host.arrive(&ipv4_frame(header, &echo));
    let frames = host.sent_frames();
    assert_eq!(describe(&frames[0].0), "10.0.0.77 > 10.0.0.2 echo reply 9/8 len 7");
    let reply = ipv4::Packet::parse(&frames[0].0[14..]).unwrap();
    assert_eq!((reply.tos(), reply.ttl(), &reply.payload()[8..]), (0x10, 64, &b"payload"[..]));
}

#[test]
fn recorded_routes_and_times_are_reflected() {
    let mut host = Host::acquainted();
    let mut options = OptionBuffer::new();
    options.push_record_route(3).unwrap();
    options.push_timestamp(2, true).unwrap();
    let header = ipv4::Repr { protocol: Protocol::ICMP, options: options.as_bytes(), ..FROM_PEER };
    host.arrive(&ipv4_frame(header, &icmp_bytes(&Message::EchoRequest { ident: 1, seq: 2, data: b"" })));
    let frames = host.sent_frames();
    let reply = ipv4::Packet::parse(&frames[0].0[14..]).unwrap();
    let reflected: Vec<_> = Options::new(reply.options()).map(Result::unwrap).collect();
    let IpOption::RecordRoute(route) = reflected[0] else { panic!("{reflected:?}") };
    // As Linux has it: where the request came, and where the answer left.
    assert_eq!((route.passed().collect::<Vec<_>>(), route.remaining().len()), (vec![US, US], 1));
    let IpOption::Timestamp(times) = reflected[1] else { panic!("{reflected:?}") };
    let (who, when) = times.entries().next().unwrap();
    assert!(who == Some(US) && when >> 31 == 1, "a time of our own kind");
}

#[test]
fn an_unknown_port_and_an_unknown_protocol_are_said_to_be_so() {
    let mut host = Host::acquainted();
    host.arrive(&ipv4_frame(FROM_PEER, &udp_bytes(1_000, 9, b"x")));
    host.arrive(&ipv4_frame(ipv4::Repr { protocol: Protocol(200), ..FROM_PEER }, &[0; 700]));
    let frames = host.sent_frames();
    assert_eq!(describe(&frames[0].0), "10.0.0.1 > 10.0.0.2 port unreachable");
    assert_eq!(describe(&frames[1].0), "10.0.0.1 > 10.0.0.2 protocol unreachable");
    // RFC 1812: as much as fits 576 bytes; RFC 1122: the same octets as received.
    assert_eq!(frames[1].0.len(), 14 + 576);
    let quote = &frames[0].0[14 + 28..];
    assert_eq!(quote, packet(FROM_PEER, &udp_bytes(1_000, 9, b"x")));
}

#[test]
fn a_host_may_be_silent_about_ports() {
    let error_rates = ErrorRates { ports: false, ..ErrorRates::default() };
    let mut host = Host::acquainted_with(Config { error_rates, ..Config::default() });
    host.arrive(&ipv4_frame(FROM_PEER, &udp_bytes(1_000, 9, b"x")));
    host.arrive(&ipv4_frame(ipv4::Repr { protocol: Protocol(200), ..FROM_PEER }, b"x"));
    assert_eq!(host.sent(), ["10.0.0.1 > 10.0.0.2 protocol unreachable"]);
}

#[test]
fn an_error_has_no_type_of_service_and_an_echo_that_of_its_request() {
    let mut host = Host::acquainted();
    let header = ipv4::Repr { tos: 0xb8, ..FROM_PEER };
    host.arrive(&ipv4_frame(header, &udp_bytes(1_000, 9, b"x")));
    let echo = icmp_bytes(&Message::EchoRequest { ident: 1, seq: 2, data: b"" });
    host.arrive(&ipv4_frame(ipv4::Repr { protocol: Protocol::ICMP, ..header }, &echo));
    let services: Vec<_> = host.sent_frames().iter().map(|(frame, _)| frame[14 + 1]).collect();
    assert_eq!(services, [0, 0xb8]);
}

/// Row D4.
#[test]
fn no_error_is_sent_about_an_error_or_a_later_fragment() {
    let mut host = Host::acquainted();
    let (_, sent) = connected(&mut host);
    for kind in [3u8, 4, 5, 11, 12, 40] {
        let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&sent);
        // With a protocol-unreachable to be expected, if it were sent at all: quoted inside an unknown protocol.
        let header = ipv4::Repr { protocol: Protocol::ICMP, ..FROM_PEER };
        host.arrive(&ipv4_frame(header, &message));
        let bad_options = ipv4::Repr { options: &[7, 200, 4, 0], ..header };
        host.arrive(&ipv4_frame(bad_options, &message));
    }
    let later = ipv4::Repr { fragment_offset: 8, options: &[7, 200, 4, 0], ..FROM_PEER };
    host.arrive(&ipv4_frame(later, &[0; 16]));
    assert_eq!(host.sent(), [""; 0]);
}

#[test]
fn errors_are_limited_for_each_destination() {
    let mut host = Host::acquainted();
    for _ in 0..100 {
        host.arrive(&ipv4_frame(FROM_PEER, &udp_bytes(1_000, 9, b"x")));
    }
    assert_eq!(host.sent().len(), 6);
    assert_eq!(host.dropped(Drop::IcmpRateLimit), 94);
    host.pass(ms(3_000));
    for _ in 0..100 {
        host.arrive(&ipv4_frame(FROM_PEER, &udp_bytes(1_000, 9, b"x")));
    }
    assert_eq!(host.sent().len(), 3);
}

/// Row D6.
#[test]
fn old_questions_are_not_answered() {
    let mut host = Host::acquainted();
    let (_, sent) = connected(&mut host);
    let time = Timestamp { ident: 1, seq: 1, originate: 1, receive: 0, transmit: 0 };
    host.arrive(&icmp_frame(&Message::TimestampRequest(time)));
    host.arrive(&icmp_frame(&Message::Unknown { kind: 17, code: 0, rest: [0; 4], data: &[0; 4] }));
    host.arrive(&icmp_frame(&Message::Unknown { kind: 15, code: 0, rest: [0; 4], data: &[] }));
    host.arrive(&icmp_frame(&Message::SourceQuench { original: &sent }));
    assert_eq!(host.sent(), [""; 0]);
    assert_eq!(host.drops(), [("icmp_unknown", 4)]);
}

#[test]
fn an_echo_request_to_a_group_is_not_answered() {
    let mut host = Host::acquainted();
    let group = Ipv4Addr::new(224, 0, 0, 1);
    let header = ipv4::Repr { protocol: Protocol::ICMP, dst: group, ..FROM_PEER };
    let echo = packet(header, &icmp_bytes(&Message::EchoRequest { ident: 1, seq: 2, data: b"" }));
    host.arrive(&frame(PEER_MAC, MacAddr::for_group(group.into()), EtherType::IPV4, &echo));
    assert_eq!((host.sent(), host.drops()), (vec![], vec![("icmp_broadcast", 1)]));
}

#[test]
fn what_is_said_of_a_connected_sockets_datagram_reaches_it() {
    for (code, error) in [
        (UnreachableCode::PORT, Some(Error::Refused)),
        (UnreachableCode::PROTOCOL, Some(Error::Reported(Cause::Icmp { kind: 3, code: 2 }))),
        (UnreachableCode::PROHIBITED, Some(Error::Reported(Cause::Icmp { kind: 3, code: 13 }))),
        // Not final: the network may recover.
        (UnreachableCode::HOST, None),
        (UnreachableCode::NETWORK, None),
    ] {
        let mut host = Host::acquainted();
        let (socket, sent) = connected(&mut host);
        // Eight bytes of the datagram are all that must come back.
        host.arrive(&unreachable(code, 0, &sent[..28]));
        assert_eq!(host.stack.poll_event().is_some(), error.is_some(), "{code}");
        assert_eq!((host.stack.udp_take_error(socket), host.stack.udp_take_error(socket)), (error, None), "{code}");
        assert_eq!(host.drops(), []);
    }
}

/// Row D1, for UDP.
#[test]
fn what_is_said_of_something_never_sent_reaches_nobody() {
    let mut host = Host::acquainted();
    let (socket, sent) = connected(&mut host);
    let forged = |at: usize, value: u8| {
        let mut original = sent.clone();
        original[at] = value;
        unreachable(UnreachableCode::PORT, 0, &original)
    };
    // Another source, another port of ours, and not the first fragment.
    for frame in [forged(15, 9), forged(21, 9), forged(7, 1)] {
        host.arrive(&frame);
    }
    assert_eq!(host.dropped(Drop::IcmpNoSocket), 3);
    // Another port of the peer's: heard by nobody, as a connected socket talks to one only.
    host.arrive(&forged(23, 9));
    assert_eq!(host.stack.udp_take_error(socket), None);
}

/// Row D2.
#[test]
fn a_path_mtu_is_believed_within_bounds_and_forgotten() {
    let mut host = Host::acquainted();
    let (socket, sent) = connected(&mut host);
    let mtu = |host: &Host| host.stack.udp_path_mtu(socket).unwrap();
    let claim = |host: &mut Host, value| {
        host.arrive(&unreachable(UnreachableCode::FRAGMENTATION_NEEDED, value, &sent));
        mtu(host)
    };
    assert_eq!(claim(&mut host, 65_535), 1_500, "never larger");
    assert_eq!(claim(&mut host, 1_400), 1_400);
    assert_eq!(claim(&mut host, 1_450), 1_400, "never larger");
    assert_eq!(claim(&mut host, 1), 552, "never below the floor");
    let generation = host.stack.ip.route_generation();
    host.pass(ms(601_000));
    assert_eq!(mtu(&host), 1_500, "forgotten after ten minutes");
    assert_ne!(host.stack.ip.route_generation(), generation);
}

#[test]
fn a_router_that_names_no_mtu_makes_us_take_the_next_smaller_plateau() {
    let mut host = Host::acquainted();
    let (socket, mut sent) = connected(&mut host);
    sent[2..4].copy_from_slice(&1_500u16.to_be_bytes());
    host.arrive(&unreachable(UnreachableCode::FRAGMENTATION_NEEDED, 0, &sent));
    assert_eq!(host.stack.udp_path_mtu(socket), Some(1_492));
}

/// Row D7.
#[test]
fn truncated_messages_are_dropped() {
    let mut host = Host::acquainted();
    let (_, sent) = connected(&mut host);
    for code in [UnreachableCode::PORT, UnreachableCode::FRAGMENTATION_NEEDED] {
        let whole = icmp_bytes(&Message::DestinationUnreachable { code, next_hop_mtu: 600, original: &sent });
        for len in 0..whole.len() {
            let mut cut = whole[..len].to_vec();
            if len >= 4 {
                cut[2..4].fill(0);
                let sum = sockeye_wire::checksum::sum(&cut).finish();
                cut[2..4].copy_from_slice(&sum.to_be_bytes());
            }
            host.arrive(&ipv4_frame(ipv4::Repr { protocol: Protocol::ICMP, ..FROM_PEER }, &cut));
        }
    }
    // 0 to 7 lack the header, 8 to 27 the quoted header, 28 to 35 the quoted ports.
    assert_eq!(host.dropped(Drop::IcmpMalformed), 2 * 36);
    let mut odd = sent.clone();
    odd[0] = 0x4f;
    host.arrive(&unreachable(UnreachableCode::PORT, 0, &odd[..28]));
    assert_eq!(host.dropped(Drop::IcmpMalformed), 2 * 36 + 1);
    for len in 0..8 {
        host.arrive(&ipv4_frame(
            ipv4::Repr { protocol: Protocol::ICMP, ..FROM_PEER },
            &[8, 0, 0xf7, 0xff, 0, 0, 0, 0][..len],
        ));
    }
    assert_alive(&mut host);
}

#[test]
fn time_exceeded_is_heard_and_changes_nothing() {
    let mut host = Host::acquainted();
    let (socket, sent) = connected(&mut host);
    host.arrive(&icmp_frame(&Message::TimeExceeded { code: TimeExceededCode::TTL, original: &sent }));
    assert_eq!(host.stack.udp_take_error(socket), None);
    assert_eq!(host.stack.counters().icmp_errors_delivered, 1);
}
