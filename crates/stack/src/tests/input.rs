//! What may come in (rows A1, A3, A13 to A16, E11).

use super::*;
use sockeye_wire::VlanTag;
use sockeye_wire::ipv4::options;

/// What becomes of one packet: nothing leaves, and this is counted.
fn refused(frame: &[u8]) -> Vec<(&'static str, u64)> {
    let mut host = Host::acquainted();
    host.arrive(frame);
    assert_eq!(host.sent(), [""; 0]);
    host.drops()
}

fn from(src: Ipv4Addr) -> Vec<u8> {
    ipv4_frame(ipv4::Repr { src, ..FROM_PEER }, &udp_bytes(1, 9, b"x"))
}

fn to(dst: Ipv4Addr) -> Vec<u8> {
    ipv4_frame(ipv4::Repr { dst, ..FROM_PEER }, &udp_bytes(1, 9, b"x"))
}

#[test]
fn lengths_that_lie_are_refused_in_silence() {
    let good = ipv4_frame(FROM_PEER, &udp_bytes(1, 9, b"hello"));
    let lie = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[14 + at] = value;
        frame
    };
    for (what, frame) in [
        ("version 6", lie(0, 0x65)),
        ("header of 16", lie(0, 0x44)),
        ("header beyond the packet", lie(0, 0x4f)),
        ("total length beyond the frame", lie(2, 0xff)),
        ("total length below the header", lie(3, 10)),
    ] {
        assert_eq!(refused(&frame), [("ipv4_malformed", 1)], "{what}");
    }
    assert_eq!(refused(&lie(8, 63)), [("ipv4_checksum", 1)]);
}

#[test]
fn padding_is_cut_off() {
    let mut host = Host::acquainted();
    let mut frame = echo_request(b"1234");
    frame.resize(60, 0xaa);
    host.arrive(&frame);
    assert_eq!(host.sent(), ["10.0.0.1 > 10.0.0.2 echo reply 1/2 len 4"]);
}

#[test]
fn martians_and_land_get_no_answer() {
    for src in
        ["127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255", "10.0.0.255", "10.0.0.0"]
    {
        assert_eq!(refused(&from(src.parse().unwrap())), [("ipv4_source", 1)], "{src}");
    }
    assert_eq!(refused(&from(US)), [("ipv4_source", 1)], "land");
    // Who has no address yet may speak to all, and on the link.
    for (dst, reason) in
        [("255.255.255.255", "udp_no_socket"), ("224.0.0.1", "udp_no_socket"), ("10.0.0.255", "ipv4_source")]
    {
        let header = ipv4::Repr { src: Ipv4Addr::UNSPECIFIED, dst: dst.parse().unwrap(), ..FROM_PEER };
        assert_eq!(refused(&ipv4_frame(header, &udp_bytes(68, 67, b"x"))), [(reason, 1)], "{dst}");
    }
    for dst in ["127.0.0.1", "0.0.0.0", "240.0.0.1"] {
        assert_eq!(refused(&to(dst.parse().unwrap())), [("ipv4_destination", 1)], "{dst}");
    }
    assert_eq!(refused(&to(FAR)), [("ipv4_not_for_us", 1)]);
    assert_eq!(refused(&to(Ipv4Addr::new(224, 0, 0, 251))), [("ipv4_not_member", 1)]);
}

/// Row A14: nothing that is sent to many is amplified.
#[test]
fn broadcasts_are_heard_and_not_answered() {
    for dst in ["255.255.255.255", "10.0.0.255", "10.0.0.0"] {
        let header = ipv4::Repr { dst: dst.parse().unwrap(), ..FROM_PEER };
        let echo = icmp_bytes(&Message::EchoRequest { ident: 1, seq: 1, data: b"" });
        let ping = packet(ipv4::Repr { protocol: Protocol::ICMP, ..header }, &echo);
        let ping = frame(PEER_MAC, MacAddr::BROADCAST, EtherType::IPV4, &ping);
        assert_eq!(refused(&ping), [("icmp_broadcast", 1)], "{dst}");
        let datagram = frame(PEER_MAC, MacAddr::BROADCAST, EtherType::IPV4, &packet(header, &udp_bytes(1, 9, b"x")));
        assert_eq!(refused(&datagram), [("udp_no_socket", 1)], "{dst}");
        let unknown = packet(ipv4::Repr { protocol: Protocol(200), ..header }, b"x");
        assert_eq!(refused(&frame(PEER_MAC, MacAddr::BROADCAST, EtherType::IPV4, &unknown)), [("ipv4_protocol", 1)]);
    }
}

#[test]
fn one_hosts_address_in_a_frame_for_everybody_is_refused() {
    let datagram = packet(FROM_PEER, &udp_bytes(1, 9, b"x"));
    for mac in [MacAddr::BROADCAST, MacAddr([1, 0, 0x5e, 0, 0, 1])] {
        assert_eq!(refused(&frame(PEER_MAC, mac, EtherType::IPV4, &datagram)), [("ipv4_link_broadcast", 1)]);
    }
}

#[test]
fn frames_of_others_and_of_no_station_are_refused() {
    let datagram = packet(FROM_PEER, &udp_bytes(1, 9, b"x"));
    let other = MacAddr([2, 0, 0, 0, 0, 9]);
    assert_eq!(refused(&frame(PEER_MAC, other, EtherType::IPV4, &datagram)), [("link_not_for_us", 1)]);
    assert_eq!(refused(&frame(MacAddr::BROADCAST, OUR_MAC, EtherType::IPV4, &datagram)), [("link_source", 1)]);
    assert_eq!(refused(&frame(PEER_MAC, OUR_MAC, EtherType(0x1234), &datagram)), [("link_protocol", 1)]);
    assert_eq!(refused(&[2, 0, 0]), [("link_malformed", 1)]);
    assert_eq!(refused(&frame(PEER_MAC, OUR_MAC, EtherType(1_400), &datagram)), [("link_malformed", 1)]);
}

#[test]
fn a_tag_must_be_for_no_vlan() {
    let tagged = |id| {
        let mut frame = vec![0; 18];
        let vlan = Some(VlanTag { priority: 5, drop_eligible: false, id });
        ethernet::Repr { dst: OUR_MAC, src: PEER_MAC, vlan, ether_type: EtherType::IPV4 }.emit(&mut frame);
        frame.extend_from_slice(&echo_request(b"x")[14..]);
        frame
    };
    assert_eq!(refused(&tagged(7)), [("link_vlan", 1)]);
    let mut host = Host::acquainted();
    host.arrive(&tagged(0));
    assert_eq!(host.sent(), ["10.0.0.1 > 10.0.0.2 echo reply 1/2 len 1"]);
}

/// Row A15, and RFC 1122 §3.2.1.7.
#[test]
fn any_time_to_live_is_enough_for_the_destination() {
    for ttl in [0, 1, 255] {
        let mut host = Host::acquainted();
        let echo = icmp_bytes(&Message::EchoRequest { ident: 1, seq: 2, data: b"" });
        host.arrive(&ipv4_frame(ipv4::Repr { protocol: Protocol::ICMP, ttl, ..FROM_PEER }, &echo));
        assert_eq!(host.sent(), ["10.0.0.1 > 10.0.0.2 echo reply 1/2 len 0"]);
    }
}

/// Rows A3 and A16.
#[test]
fn every_option_of_every_length_is_survived() {
    let mut host = Host::acquainted();
    let mut complaints = 0;
    for kind in 0..=255u8 {
        for len in [0, 1, 2, 3, 39, 40, 255] {
            let mut options = [0; 40];
            options[0] = kind;
            options[1] = len;
            options[2] = 4;
            host.arrive(&ipv4_frame(ipv4::Repr { options: &options, ..FROM_PEER }, &udp_bytes(1, 9, b"x")));
            let sent = host.sent_packets();
            complaints += sent.iter().filter(|line| line.contains("parameter problem at 2")).count();
            assert!(sent.iter().all(|line| line.contains("parameter problem") || line.contains("port unreachable")));
            host.pass(ms(50));
        }
    }
    assert!(complaints > 0);
    assert!(host.dropped(Drop::Ipv4Options) > 254 * 3);
    assert_alive(&mut host);
}

#[test]
fn source_routes_are_not_followed_and_not_ended() {
    for kind in [options::LOOSE_SOURCE_ROUTE, options::STRICT_SOURCE_ROUTE] {
        for pointer in [4, 8] {
            let options = [kind, 7, pointer, 10, 0, 0, 9, 0];
            let header = ipv4::Repr { options: &options, ..FROM_PEER };
            assert_eq!(refused(&ipv4_frame(header, &udp_bytes(1, 9, b"x"))), [("ipv4_source_route", 1)]);
        }
    }
}

/// The host reaches itself, by any of its addresses, and no frame of it reaches a wire.
#[test]
fn the_loopback_loops() {
    let mut host = Host::new();
    let server = host.stack.udp_open(&crate::Bind::new(v4(Ipv4Addr::UNSPECIFIED), 53)).unwrap();
    let client = host.stack.udp_open(&crate::Bind::new(v4(Ipv4Addr::UNSPECIFIED), 0)).unwrap();
    for (address, source) in [(US, US), (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST)] {
        let send = crate::udp::Send {
            to: Some((address, 53).into()),
            payload: &[&[7; 40_000]],
            ..crate::udp::Send::default()
        };
        host.stack.udp_send(host.now, client, &send).unwrap();
        assert_eq!(host.sent(), [""; 0]);
        let got = host.stack.udp_recv(server).unwrap();
        assert_eq!((got.from.ip(), got.to, got.data.len()), (v4(source), (address, 53).into(), 40_000));
        // Who is bound to a link hears what goes to its address, wherever from.
        let told = if address == US { host.port } else { PortId::LOOPBACK };
        assert_eq!(got.port, told);
        let of_link = crate::Bind { device: Some(told), ..crate::Bind::new(v4(Ipv4Addr::UNSPECIFIED), 55) };
        let of_link = host.stack.udp_open(&of_link).unwrap();
        host.stack.udp_send(host.now, client, &crate::udp::Send { to: Some((address, 55).into()), ..send }).unwrap();
        host.sent();
        assert_eq!(host.stack.udp_recv(of_link).map(|got| got.port), Some(told));
        host.stack.udp_close(of_link);
    }
    // Nobody there: the host tells itself.
    let client_address = host.stack.udp_local(client).unwrap();
    host.stack.udp_connect(client, Some((US, 54).into())).unwrap();
    // As often as somebody asks.
    for _ in 0..20 {
        host.stack.udp_send(host.now, client, &crate::udp::Send { payload: &[b"x"], ..Default::default() }).unwrap();
        host.sent();
        assert_eq!(host.stack.udp_take_error(client), Some(crate::udp::Error::Refused), "{client_address}");
    }
}
