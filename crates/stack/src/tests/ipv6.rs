//! A host on IPv6: neighbours, echoes, fragments, and what is refused.

use super::*;
use crate::neighbor::NeighborState;
use sockeye_wire::icmpv6::{self, Message as Icmp};
use sockeye_wire::ipv6::extension::{self, Fragment, HeaderOption};
use sockeye_wire::ipv6::{self, Repr};
use sockeye_wire::ndisc::{self, NdOption, NeighborAdvertisement, Options};
use std::net::Ipv6Addr;

pub(super) const US6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub(super) const PEER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
pub(super) const FROM_PEER: Repr =
    Repr { src: PEER6, dst: US6, next_header: Protocol::ICMPV6, hop_limit: 64, traffic_class: 0, flow_label: 0 };

fn host() -> Host {
    Host::with(Config::default(), Capabilities::default(), OUR_MAC, "fd00::1/64")
}

/// A frame with these extension headers, then `payload`.
pub(super) fn ipv6_frame(header: Repr, extensions: &[extension::Repr<'_>], payload: &[u8]) -> Vec<u8> {
    let mut chain = [0; 512];
    let (first, len) = extension::emit_chain(extensions, header.next_header, &mut chain);
    let mut bytes = vec![0; ipv6::HEADER_LEN];
    Repr { next_header: first, ..header }.emit(len + payload.len(), &mut bytes);
    bytes.extend_from_slice(&chain[..len]);
    bytes.extend_from_slice(payload);
    let mac = if header.dst.is_multicast() { MacAddr::for_group(header.dst.into()) } else { OUR_MAC };
    frame(PEER_MAC, mac, EtherType::IPV6, &bytes)
}

pub(super) fn icmp(message: &Icmp<'_>) -> Vec<u8> {
    icmp_between(PEER6, US6, message)
}

pub(super) fn icmp_between(src: Ipv6Addr, dst: Ipv6Addr, message: &Icmp<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.total_len()];
    message.emit(src, dst, &mut bytes);
    bytes
}

fn echo(data: &[u8]) -> Vec<u8> {
    icmp(&Icmp::EchoRequest { ident: 1, seq: 2, data })
}

fn discovery(src: Ipv6Addr, dst: Ipv6Addr, message: ndisc::Message<'_>) -> Vec<u8> {
    let payload = icmp_between(src, dst, &Icmp::Discovery(message));
    ipv6_frame(Repr { src, dst, hop_limit: 255, ..FROM_PEER }, &[], &payload)
}

/// The peer asks for our address.
pub(super) fn solicitation(src: Ipv6Addr, dst: Ipv6Addr) -> Vec<u8> {
    solicitation_for(US6, src, dst)
}

pub(super) fn solicitation_for(target: Ipv6Addr, src: Ipv6Addr, dst: Ipv6Addr) -> Vec<u8> {
    let mut bytes = [0; 8];
    let option: &[NdOption<'_>] = if src.is_unspecified() { &[] } else { &[NdOption::SourceLinkLayer(PEER_MAC)] };
    let options = Options::write(option, &mut bytes);
    discovery(src, dst, ndisc::Message::NeighborSolicitation { target, options })
}

/// A station tells us that it has `target`.
pub(super) fn advertisement(target: Ipv6Addr, mac: MacAddr, solicited: bool) -> Vec<u8> {
    let mut bytes = [0; 8];
    let options = Options::write(&[NdOption::TargetLinkLayer(mac)], &mut bytes);
    let said = NeighborAdvertisement { router: false, solicited, overrides: true, target, options };
    discovery(PEER6, US6, ndisc::Message::NeighborAdvertisement(said))
}

/// A host that has heard from its peer.
pub(super) fn acquainted() -> Host {
    let mut host = host();
    host.stack.ip.link(host.now, host.port, PEER6.into());
    assert_eq!(host.sent(), ["fd00::1 > ff02::1:ff00:2 who-has fd00::2"]);
    host.arrive(&advertisement(PEER6, PEER_MAC, true));
    host
}

#[test]
fn an_echo_is_answered_once_the_neighbour_is_known() {
    let mut host = host();
    host.arrive(&ipv6_frame(FROM_PEER, &[], &echo(b"hello")));
    assert_eq!(host.sent(), ["fd00::1 > ff02::1:ff00:2 who-has fd00::2"]);
    host.arrive(&advertisement(PEER6, PEER_MAC, true));
    assert_eq!(host.sent(), ["fd00::1 > fd00::2 echo reply 1/2 len 5"]);
    assert_eq!(host.drops(), []);
}

#[test]
fn who_asks_for_our_address_is_answered_and_leaves_no_trace() {
    let mut host = host();
    host.arrive(&solicitation(PEER6, ipv6::solicited_node(US6)));
    let answer = host.sent_frames();
    assert_eq!(describe(&answer[0].0), "fd00::1 > fd00::2 fd00::1 is-at 02:00:00:00:00:01 solicited");
    assert_eq!(answer[0].0[..6], PEER_MAC.0, "where the question came from");
    assert_eq!((answer.len(), host.stack.neighbors().count()), (1, 0));
    // Somebody wants our address for itself: all are told whose it is.
    host.arrive(&solicitation(Ipv6Addr::UNSPECIFIED, ipv6::solicited_node(US6)));
    assert_eq!(host.sent(), ["fd00::1 > ff02::1 fd00::1 is-at 02:00:00:00:00:01"]);
}

#[test]
fn an_address_of_ours_is_defended() {
    let mut host = host();
    for _ in 0..3 {
        host.arrive(&advertisement(US6, PEER_MAC, false));
    }
    // As it announces the address, from there.
    let mut bytes = [0; 8];
    let options = Options::write(&[NdOption::TargetLinkLayer(PEER_MAC)], &mut bytes);
    let said = NeighborAdvertisement { router: false, solicited: false, overrides: true, target: US6, options };
    host.arrive(&discovery(US6, ipv6::ALL_NODES, ndisc::Message::NeighborAdvertisement(said)));
    assert_eq!(host.sent(), ["fd00::1 > ff02::1 fd00::1 is-at 02:00:00:00:00:01"]);
    assert_eq!(host.drops(), [("nd_conflict", 4)]);
    // Our own, come back by way of a loop.
    let mut bytes = [0; 8];
    let options = Options::write(&[NdOption::TargetLinkLayer(OUR_MAC)], &mut bytes);
    let said = NeighborAdvertisement { options, ..said };
    host.arrive(&discovery(US6, ipv6::ALL_NODES, ndisc::Message::NeighborAdvertisement(said)));
    assert_eq!(host.drops(), [("ipv6_source", 1), ("nd_conflict", 4)]);
}

#[test]
fn a_claim_that_nobody_asked_for_replaces_nothing() {
    let mut host = acquainted();
    let thief = MacAddr([2, 0, 0, 0, 0, 9]);
    host.arrive(&advertisement(PEER6, thief, false));
    assert_eq!(host.sent(), ["fd00::1 > fd00::2 who-has fd00::2"], "the known station is asked");
    assert_eq!(host.stack.neighbors().next().and_then(|neighbor| neighbor.mac), Some(PEER_MAC));
    host.arrive(&advertisement(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 7), thief, true));
    assert_eq!(host.stack.neighbors().count(), 1, "a stranger");
    assert_eq!(host.drops(), [("nd_unsolicited", 1), ("nd_doubtful", 1)]);
}

#[test]
fn only_an_answer_shows_that_a_neighbour_hears_us() {
    for (solicited, state) in [(true, NeighborState::Reachable), (false, NeighborState::Delay)] {
        let mut host = host();
        host.stack.ip.link(host.now, host.port, PEER6.into());
        host.arrive(&advertisement(PEER6, PEER_MAC, solicited));
        assert_eq!(host.stack.neighbors().map(|one| one.state).collect::<Vec<_>>(), [state]);
    }
}

#[test]
fn discovery_from_afar_or_in_pieces_is_not_believed() {
    let mut host = acquainted();
    let mut far = solicitation(PEER6, ipv6::solicited_node(US6));
    far[ethernet::HEADER_LEN + 7] = 254;
    host.arrive(&far);
    let question = solicitation(PEER6, US6);
    let payload = &question[ethernet::HEADER_LEN + ipv6::HEADER_LEN..];
    let whole = extension::Repr::Fragment(Fragment { offset: 0, more: false, id: 1 });
    host.arrive(&ipv6_frame(Repr { hop_limit: 255, ..FROM_PEER }, &[whole], payload));
    let (first, second) = payload.split_at(16);
    for (offset, more, piece) in [(0, true, first), (16, false, second)] {
        let header = extension::Repr::Fragment(Fragment { offset, more, id: 2 });
        host.arrive(&ipv6_frame(Repr { hop_limit: 255, ..FROM_PEER }, &[header], piece));
    }
    assert_eq!(host.sent(), [""; 0]);
    assert_eq!(host.drops(), [("nd_invalid", 3)]);
}

#[test]
fn fragments_become_a_packet_whatever_stands_before_and_behind_their_headers() {
    let mut host = acquainted();
    // Destination options behind the fragment header are part of what is cut.
    let data = [7; 100];
    let options = [HeaderOption::Unknown { kind: 0x1e, data: b"skip" }];
    let mut fragmentable = vec![0; 8];
    extension::Repr::Destination(&options).emit(Protocol::ICMPV6, &mut fragmentable);
    fragmentable.extend_from_slice(&echo(&data));
    let (first, second) = fragmentable.split_at(64);
    for (offset, more, piece) in [(64, false, second), (0, true, first)] {
        let before = extension::Repr::Destination(&options);
        let header = extension::Repr::Fragment(Fragment { offset, more, id: 3 });
        let from = Repr { next_header: Protocol::DESTINATION_OPTIONS, ..FROM_PEER };
        host.arrive(&ipv6_frame(from, &[before, header], piece));
    }
    assert_eq!(host.sent(), ["fd00::1 > fd00::2 echo reply 1/2 len 100"]);
    assert_eq!(host.stack.counters().ipv6_reassembled, 1);
    assert_eq!(host.stack.reassembly_memory(), 0);
    assert_eq!(host.drops(), []);
}

#[test]
fn a_long_answer_is_cut() {
    let mut host = acquainted();
    let request = echo(&[1; 3_000]);
    for (index, piece) in request.chunks(1_232).enumerate() {
        let (offset, more) = (index as u16 * 1_232, (index + 1) * 1_232 < request.len());
        let header = extension::Repr::Fragment(Fragment { offset, more, id: 4 });
        host.arrive(&ipv6_frame(FROM_PEER, &[header], piece));
    }
    let expected = [
        "fd00::1 > fd00::2 fragment 0..1448+",
        "fd00::1 > fd00::2 fragment 1448..2896+",
        "fd00::1 > fd00::2 fragment 2896..3008",
    ];
    assert_eq!(host.sent(), expected);
}

#[test]
fn an_incomplete_packet_is_complained_about_when_its_time_is_over() {
    let mut host = acquainted();
    let header = extension::Repr::Fragment(Fragment { offset: 0, more: true, id: 5 });
    host.arrive(&ipv6_frame(FROM_PEER, &[header], &echo(&[0; 24])));
    host.pass(Duration::from_secs(29));
    let complained = |sent: Vec<String>| sent.iter().any(|line| line == "fd00::1 > fd00::2 time exceeded 1");
    assert!(!complained(host.sent()));
    host.pass(Duration::from_secs(2));
    assert!(complained(host.sent()));
}

#[test]
fn what_cannot_be_read_is_answered_with_the_place() {
    let unknown = |kind| [HeaderOption::Unknown { kind, data: b"" }];
    let at_option = ipv6::HEADER_LEN + 2;
    let whole = |id| extension::Repr::Fragment(Fragment { offset: 0, more: false, id });
    let cases: [(&[extension::Repr<'_>], Protocol, &str, Option<usize>); 7] = [
        (&[], Protocol(200), "ipv6_protocol", Some(6)),
        (&[extension::Repr::Destination(&unknown(0x1e))], Protocol(200), "ipv6_protocol", Some(ipv6::HEADER_LEN)),
        (&[extension::Repr::Destination(&unknown(0x41))], Protocol::ICMPV6, "ipv6_option", None),
        (&[extension::Repr::Destination(&unknown(0x81))], Protocol::ICMPV6, "ipv6_option", Some(at_option)),
        (&[extension::Repr::HopByHop(&unknown(0xc1))], Protocol::ICMPV6, "ipv6_option", Some(at_option)),
        (
            &[extension::Repr::Routing { kind: 0, segments_left: 1, data: &[0; 20] }],
            Protocol::ICMPV6,
            "ipv6_routing",
            Some(ipv6::HEADER_LEN + 2),
        ),
        (&[whole(1), whole(2)], Protocol::ICMPV6, "ipv6_extension", Some(ipv6::HEADER_LEN + 8)),
    ];
    for (extensions, next_header, reason, pointer) in cases {
        let mut host = acquainted();
        host.arrive(&ipv6_frame(Repr { next_header, ..FROM_PEER }, extensions, &echo(b"x")));
        let expected: Vec<_> =
            pointer.iter().map(|at| format!("fd00::1 > fd00::2 parameter problem at {at}")).collect();
        assert_eq!(host.sent(), expected, "{reason}");
        assert_eq!(host.drops(), [(reason, 1)]);
    }
}

/// RFC 4302, 3.4.2: what no association verifies is not believed, whatever it carries.
#[test]
fn what_is_authenticated_by_nobody_we_know_is_dropped() {
    let header = extension::Repr::Authentication(sockeye_wire::ah::Header { spi: 5, seq: 6, icv: &[0; 12] });
    let options = [HeaderOption::Unknown { kind: 0x1e, data: b"" }];
    for (extensions, at) in
        [(&[header][..], 6), (&[extension::Repr::Destination(&options), header][..], ipv6::HEADER_LEN)]
    {
        let mut host = acquainted();
        host.arrive(&ipv6_frame(FROM_PEER, extensions, &echo(b"x")));
        assert_eq!(host.sent(), [format!("fd00::1 > fd00::2 parameter problem at {at}")]);
        assert_eq!(host.drops(), [("ipv6_protocol", 1)]);
    }
    // A raw socket that asks for the protocol gets header and all.
    let mut host = acquainted();
    let socket = host.stack.raw_open(true, crate::raw::Kind::Protocol(Protocol::AH.0));
    host.arrive(&ipv6_frame(FROM_PEER, &[header], &echo(b"x")));
    assert_eq!(host.sent(), [""; 0]);
    assert_eq!(host.stack.raw_recv(socket).map(|received| received.data.len()), Some(header.header_len() + 9));
}

#[test]
fn an_error_quotes_what_fits_the_least_mtu() {
    let mut host = acquainted();
    host.arrive(&ipv6_frame(Repr { next_header: Protocol(200), ..FROM_PEER }, &[], &[7; 1_400]));
    let lengths: Vec<_> = host.sent_frames().iter().map(|(frame, _)| frame.len() - ethernet::HEADER_LEN).collect();
    assert_eq!(lengths, [ipv6::MIN_MTU]);
}

#[test]
fn messages_of_unknown_types_are_dropped_in_silence() {
    let mut host = acquainted();
    for kind in [100, 200] {
        host.arrive(&ipv6_frame(FROM_PEER, &[], &icmp(&Icmp::Unknown { kind, code: 0, rest: [0; 4], data: &[0; 48] })));
    }
    assert_eq!(host.sent(), [""; 0]);
    assert!(host.dropped(Drop::IcmpUnknown) >= 1);
}

#[test]
fn errors_are_not_answered_by_errors_nor_crowds_by_echoes() {
    let mut host = acquainted();
    // About an error and a redirect that themselves have an option to complain of, and about a piece that does not show what it is of.
    let options = [HeaderOption::Unknown { kind: 0x9e, data: b"" }];
    let headers = [extension::Repr::Destination(&options)];
    for kind in [1, 4, 127, icmpv6::message_type::REDIRECT] {
        host.arrive(&ipv6_frame(FROM_PEER, &headers, &[&[kind][..], &[0; 47]].concat()));
    }
    let onward = extension::Repr::Routing { kind: 0, segments_left: 1, data: &[0; 20] };
    let later = extension::Repr::Fragment(Fragment { offset: 64, more: false, id: 3 });
    host.arrive(&ipv6_frame(FROM_PEER, &[onward, later], &[200; 48]));
    // About what is for many: nobody has the port, nobody speaks the protocol.
    let everybody = Repr { dst: ipv6::ALL_NODES, ..FROM_PEER };
    host.arrive(&ipv6_frame(Repr { next_header: Protocol::UDP, ..everybody }, &[], &udp_bytes(1_000, 9, b"x")));
    host.arrive(&ipv6_frame(Repr { next_header: Protocol(200), ..everybody }, &[], b"x"));
    assert_eq!(host.sent(), [""; 0]);
    host.arrive(&ipv6_frame(FROM_PEER, &headers, &echo(b"")));
    assert_eq!(host.sent(), ["fd00::1 > fd00::2 parameter problem at 42"], "about a question");
    let to_all = icmp_between(PEER6, ipv6::ALL_NODES, &Icmp::EchoRequest { ident: 1, seq: 2, data: b"all" });
    host.arrive(&ipv6_frame(Repr { dst: ipv6::ALL_NODES, ..FROM_PEER }, &[], &to_all));
    // To a group, an option that wants silence there, and one that does not.
    for (kind, answers) in [(0xc1, 0), (0x81, 1)] {
        let options = [HeaderOption::Unknown { kind, data: b"" }];
        let headers = [extension::Repr::Destination(&options)];
        host.arrive(&ipv6_frame(Repr { dst: ipv6::ALL_NODES, ..FROM_PEER }, &headers, &to_all));
        assert_eq!(host.sent().len(), answers, "{kind:#x}");
    }
}

#[test]
fn martians_are_dropped() {
    let mapped = "::ffff:10.0.0.9".parse().unwrap();
    let other = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9);
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
    let cases = [
        (Repr { src: Ipv6Addr::LOCALHOST, ..FROM_PEER }, "ipv6_source"),
        (Repr { src: US6, ..FROM_PEER }, "ipv6_source"),
        (Repr { src: mapped, ..FROM_PEER }, "ipv6_source"),
        (Repr { src: group, ..FROM_PEER }, "ipv6_source"),
        (Repr { src: Ipv6Addr::UNSPECIFIED, next_header: Protocol::UDP, ..FROM_PEER }, "ipv6_source"),
        (Repr { dst: Ipv6Addr::LOCALHOST, ..FROM_PEER }, "ipv6_destination"),
        (Repr { dst: Ipv6Addr::UNSPECIFIED, ..FROM_PEER }, "ipv6_destination"),
        (Repr { dst: other, ..FROM_PEER }, "ipv6_not_for_us"),
        (Repr { dst: Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 1), ..FROM_PEER }, "ipv6_destination"),
        (Repr { dst: group, ..FROM_PEER }, "link_not_member"),
        (Repr { next_header: Protocol::NO_NEXT_HEADER, ..FROM_PEER }, "ipv6_no_next_header"),
    ];
    for (header, reason) in cases {
        let mut host = acquainted();
        host.arrive(&ipv6_frame(
            header,
            &[],
            &icmp_between(header.src, header.dst, &Icmp::EchoRequest { ident: 1, seq: 2, data: b"" }),
        ));
        assert_eq!(host.drops(), [(reason, 1)], "{header:?}");
        assert_eq!(host.sent(), [""; 0]);
    }
    let mut host = acquainted();
    host.arrive(&frame(PEER_MAC, MacAddr::BROADCAST, EtherType::IPV6, &ipv6_frame(FROM_PEER, &[], &echo(b""))[14..]));
    assert_eq!(host.drops(), [("ipv6_link_multicast", 1)]);
}

#[test]
fn a_packet_that_is_too_big_teaches_the_path() {
    let mut host = acquainted();
    let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
    host.stack.add_route(crate::Route {
        destination: prefix("::/0"),
        next_hop: Some(PEER6.into()),
        port: host.port,
        source: None,
        metric: 0,
    });
    let socket = host.stack.udp_open(&crate::Bind::new(Ipv6Addr::UNSPECIFIED.into(), 5_000)).unwrap();
    let send = |host: &mut Host| {
        let to = Some((far, 53).into());
        host.stack.udp_send(host.now, socket, &crate::udp::Send { to, payload: &[&[0; 1_400]], ..Default::default() })
    };
    send(&mut host).unwrap();
    let sent = host.sent_frames();
    assert_eq!(sent.len(), 1);
    let original = &sent[0].0[ethernet::HEADER_LEN..][..1_200];
    host.arrive(&ipv6_frame(FROM_PEER, &[], &icmp(&Icmp::PacketTooBig { mtu: 1_300, original })));
    send(&mut host).unwrap();
    assert_eq!(host.sent(), ["fd00::1 > 2001:db8::7 fragment 0..1248+", "fd00::1 > 2001:db8::7 fragment 1248..1408"]);
    // Less than every link carries is nothing to go by, and more does not make the path wider.
    for mtu in [0, 1_279, 1_400, 1_500, u32::MAX] {
        host.arrive(&ipv6_frame(FROM_PEER, &[], &icmp(&Icmp::PacketTooBig { mtu, original })));
        send(&mut host).unwrap();
        let cut = ["fd00::1 > 2001:db8::7 fragment 0..1248+", "fd00::1 > 2001:db8::7 fragment 1248..1408"];
        assert_eq!(host.sent(), cut, "{mtu}");
    }
}

#[test]
fn a_forged_too_big_leaves_no_trace() {
    let mut host = acquainted();
    host.stack.udp_open(&crate::Bind::new(Ipv6Addr::UNSPECIFIED.into(), 5_000)).unwrap();
    let before = host.stack.ip.route_generation();
    let stranger = "2001:db8::7".parse().unwrap();
    let later = extension::Repr::Fragment(Fragment { offset: 64, more: false, id: 3 });
    // About ourselves, about a group; about a packet of somebody else's, about a piece that has no ports.
    for (src, dst, headers) in
        [(US6, US6, &[][..]), (US6, ipv6::ALL_NODES, &[]), (stranger, PEER6, &[]), (US6, PEER6, &[later])]
    {
        let quoted = Repr { src, dst, next_header: Protocol::UDP, ..FROM_PEER };
        let original = &ipv6_frame(quoted, headers, &udp_bytes(5_000, 53, &[0; 1_100]))[ethernet::HEADER_LEN..];
        for _ in 0..10 {
            host.arrive(&ipv6_frame(FROM_PEER, &[], &icmp(&Icmp::PacketTooBig { mtu: 1_280, original })));
        }
    }
    assert_eq!((host.stack.ip.route_generation(), host.stack.counters().ipv6_path_mtu_learnt), (before, 0));
}

#[test]
fn an_address_of_a_link_is_not_reached_by_another() {
    let mut host = acquainted();
    let mac = MacAddr([2, 0, 0, 0, 0, 5]);
    let capabilities = Capabilities::default();
    let other = host.stack.add_port(PortConfig { name: "eth1".into(), mac, mtu: 1_500, capabilities });
    let own = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5);
    host.stack.add_address(host.now, other, prefix("fe80::5/64"));
    host.pass(ms(2_010));
    host.sent();
    let asked = Icmp::EchoRequest { ident: 1, seq: 2, data: b"" };
    host.arrive(&ipv6_frame(Repr { dst: own, ..FROM_PEER }, &[], &icmp_between(PEER6, own, &asked)));
    assert_eq!((host.drops(), host.sent().len()), (vec![("ipv6_not_for_us", 1)], 0));
}

#[test]
fn what_is_of_a_link_does_not_leave_by_the_default_route() {
    let mut host = acquainted();
    host.stack.add_route(crate::Route {
        destination: prefix("::/0"),
        next_hop: Some(PEER6.into()),
        port: host.port,
        source: None,
        metric: 0,
    });
    assert!(host.stack.ip.route("2001:db8::7".parse().unwrap(), None).is_ok());
    assert!(host.stack.ip.route("fe80::7".parse().unwrap(), None).is_err());
}

#[test]
fn a_datagram_of_the_largest_size_comes_back_whole() {
    // To ourselves: cut at the loopback's MTU, and put together again.
    let mut host = host();
    let socket = host.stack.udp_open(&crate::Bind::new(US6.into(), 5_000)).unwrap();
    let largest = vec![7; 65_527];
    for (len, outcome) in [(65_527, Ok(())), (65_528, Err(crate::udp::SendError::MessageSize))] {
        let payload = [&largest[..], &[0]].concat();
        let send =
            crate::udp::Send { to: Some((US6, 5_000).into()), payload: &[&payload[..len]], ..Default::default() };
        assert_eq!(host.stack.udp_send(host.now, socket, &send), outcome);
    }
    host.sent();
    assert_eq!(host.stack.udp_recv(socket).map(|received| received.data), Some(largest));
    assert_eq!(host.drops(), []);
}

#[test]
fn a_port_that_nobody_has_is_said_to_be_unreachable() {
    let mut host = acquainted();
    let mut bytes = udp_bytes(9, 4_000, b"anybody?");
    let mut sum = sockeye_wire::checksum::pseudo_header(PEER6.into(), US6.into(), Protocol::UDP.0, bytes.len() as u32);
    sum.add(&bytes);
    bytes[6..8].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
    host.arrive(&ipv6_frame(Repr { next_header: Protocol::UDP, ..FROM_PEER }, &[], &bytes));
    assert_eq!(host.sent(), ["fd00::1 > fd00::2 port unreachable"]);
    // Without a checksum it is nobody's (RFC 8200, 8.1).
    bytes[6..8].fill(0);
    host.arrive(&ipv6_frame(Repr { next_header: Protocol::UDP, ..FROM_PEER }, &[], &bytes));
    assert_eq!(host.drops(), [("udp_checksum", 1), ("udp_no_socket", 1)]);
}

/// One line for a packet.
pub(super) fn describe_ipv6(packet: &ipv6::Packet<'_>) -> String {
    let (src, dst) = (packet.src(), packet.dst());
    let upper = extension::Extensions::new(packet, extension::Limits::DEFAULT).upper().unwrap();
    if let Some(Fragment { offset, more, .. }) = upper.fragment {
        let end = usize::from(offset) + upper.payload.len();
        return format!("{src} > {dst} fragment {offset}..{end}{}", if more { "+" } else { "" });
    }
    if upper.protocol != Protocol::ICMPV6 {
        return format!("{src} > {dst} {} len {}", upper.protocol, upper.payload.len());
    }
    let text = match icmpv6::Message::parse(upper.payload, src, dst).unwrap() {
        Icmp::EchoReply { ident, seq, data } => format!("echo reply {ident}/{seq} len {}", data.len()),
        Icmp::DestinationUnreachable { code, .. } => format!("{code}"),
        Icmp::TimeExceeded { code, .. } => format!("time exceeded {}", code.0),
        Icmp::ParameterProblem { pointer, .. } => format!("parameter problem at {pointer}"),
        Icmp::Discovery(ndisc::Message::NeighborSolicitation { target, options }) => {
            format!("who-has {target}{}", if options.nonce().is_some() { " nonce" } else { "" })
        }
        Icmp::Discovery(ndisc::Message::RouterSolicitation { options }) => {
            let mac = options.source_link_layer().map(|mac| format!(" from {mac}"));
            format!("routers?{}", mac.unwrap_or_default())
        }
        Icmp::Discovery(ndisc::Message::NeighborAdvertisement(said)) => {
            let mac = said.options.target_link_layer().unwrap();
            let solicited = if said.solicited { " solicited" } else { "" };
            format!("{} is-at {mac}{solicited}{}", said.target, if said.overrides { "" } else { " perhaps" })
        }
        other => format!("{other:?}"),
    };
    format!("{src} > {dst} {text}")
}
