//! What a host never sends, whatever arrives and whatever programs ask for. Everything that it understands is shown to it, over
//! both families, and all that leaves is looked at.

use super::*;
use crate::Bind;
use crate::counters::Drop;
use crate::tcp;
use crate::udp::Send;
use sockeye_wire::icmpv6;
use sockeye_wire::ipv6::{self, extension};
use std::net::Ipv6Addr;

const US6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const PEER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// A host with two links and a gateway of each family.
fn host() -> Host {
    let mut host = Host::acquainted();
    host.stack.add_address(host.now, host.port, prefix("fd00::1/64"));
    let capabilities = Capabilities::default();
    let mac = MacAddr([2, 0, 0, 0, 0, 7]);
    let other = host.stack.add_port(PortConfig { name: "eth1".into(), mac, mtu: 1_500, capabilities });
    for address in ["10.0.7.1/24", "fd07::1/64"] {
        host.stack.add_address(host.now, other, prefix(address));
    }
    for (destination, next_hop) in [("0.0.0.0/0", IpAddr::from(PEER)), ("::/0", PEER6.into())] {
        let (destination, next_hop) = (prefix(destination), Some(next_hop));
        host.stack.add_route(crate::Route { destination, next_hop, port: host.port, source: None, metric: 0 });
    }
    host
}

/// All that leaves in a life full of incidents.
fn everything() -> Vec<Vec<u8>> {
    let mut host = host();
    let mut sent = Vec::new();
    host.join(Ipv4Addr::new(224, 1, 1, 1));
    let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
    for (any, to) in any.into_iter().zip([IpAddr::from(FAR), PEER6.into()]) {
        let socket = host.stack.udp_open(&Bind::new(any, 0)).unwrap();
        let mut options = host.stack.udp_options(socket).copied().unwrap();
        options.family.iter_mut().for_each(|family| family.tos = 0xb8);
        host.stack.udp_set_options(socket, options);
        for len in [0, 100, 4_000] {
            let send = Send { to: Some((to, 53).into()), payload: &[&vec![0; len]], ..Send::default() };
            host.stack.udp_send(host.now, socket, &send).unwrap();
        }
        host.stack.tcp_connect(host.now, None, (to, 80).into(), tcp::Options::default()).unwrap();
    }
    for frame in ipv6_specimens().into_iter().chain(hostile::specimens()) {
        host.arrive(&frame);
        sent.extend(host.sent_frames());
        // To a third host, by way of ours.
        let third: Ipv6Addr = "fd07::9".parse().unwrap();
        for (kind, at, address) in [([8, 0], 30, &[10u8, 0, 7, 9][..]), ([0x86, 0xdd], 38, &third.octets())] {
            let mut through = frame.clone();
            if through.get(12..14) == Some(&kind)
                && let Some(destination) = through.get_mut(at..at + address.len())
            {
                destination.copy_from_slice(address);
                hostile::mend(&mut through);
                host.arrive(&through);
            }
        }
        host.pass(ms(500));
        sent.extend(host.sent_frames());
    }
    host.pass(ms(60_000));
    sent.extend(host.sent_frames());
    assert!(sent.len() > 30, "{}", sent.len());
    let refused = |reason| host.stack.counters().dropped(reason);
    let refused = [Drop::Ipv4NotForUs, Drop::Ipv6NotForUs].map(refused);
    assert!(refused.iter().all(|&count| count > 4), "{refused:?}");
    sent.into_iter().map(|(frame, _)| frame).collect()
}

fn ipv6_specimens() -> Vec<Vec<u8>> {
    let fragment = extension::Repr::Fragment(extension::Fragment { offset: 0, more: true, id: 5 });
    let echo = icmpv6::Message::EchoRequest { ident: 1, seq: 2, data: &[0; 32] };
    let from_peer = ipv6::Repr {
        src: PEER6,
        dst: US6,
        next_header: Protocol::ICMPV6,
        hop_limit: 64,
        traffic_class: 0xb8,
        flow_label: 0,
    };
    let echo = super::ipv6::icmp(&echo);
    vec![
        super::ipv6::advertisement(PEER6, PEER_MAC, true),
        super::ipv6::solicitation(PEER6, US6),
        super::ipv6::ipv6_frame(from_peer, &[], &echo),
        super::ipv6::ipv6_frame(from_peer, &[fragment], &echo),
        super::ipv6::ipv6_frame(ipv6::Repr { next_header: Protocol(200), ..from_peer }, &[], &[0; 1_400]),
        super::ipv6::ipv6_frame(ipv6::Repr { next_header: Protocol::UDP, ..from_peer }, &[], &echo),
    ]
}

/// RFC 1122, 2.3.1 and 2.3.3: RFC 894's encapsulation, so neither trailers (types 0x1000 and on) nor lengths (802.3, K1 = 6); and
/// 3.2.1.6: a type of service is nothing to the link, which would bear it in a tag.
#[test]
fn every_frame_has_the_type_of_what_it_carries_and_no_tag() {
    let types: std::collections::BTreeSet<_> = everything().iter().map(|frame| [frame[12], frame[13]]).collect();
    assert_eq!(types.into_iter().collect::<Vec<_>>(), [[8, 0], [8, 6], [0x86, 0xdd]]);
}

/// RFC 1122, 3.2.1.8b: nobody asked for a stream identifier, or for any other option. IGMP's router alert (RFC 2113) is no program's.
#[test]
fn no_packet_has_an_option_of_its_own() {
    let frames = everything();
    let packets = frames.iter().filter(|frame| frame[12..14] == [8, 0]);
    let packets: Vec<_> = packets.map(|frame| ipv4::Packet::parse(&frame[14..]).unwrap()).collect();
    assert!(packets.iter().any(|packet| packet.protocol() == Protocol::IGMP));
    for packet in packets {
        let expected: &[u8] = if packet.protocol() == Protocol::IGMP { &[148, 4, 0, 0] } else { &[] };
        assert_eq!(packet.options(), expected, "{}", describe_packet(&packet));
    }
}

/// RFC 1122, 3.1 and 3.2.2.2; RFC 4861, 8.3; rows A15 and B11: a host with two links is no router, forwards nothing and redirects nobody.
#[test]
fn nothing_is_forwarded_and_nobody_redirected() {
    for frame in everything() {
        let (ours, redirects) = match frame[12..14] {
            [8, 0] => {
                let packet = ipv4::Packet::parse(&frame[14..]).unwrap();
                let ours = [US, Ipv4Addr::new(10, 0, 7, 1)].contains(&packet.src()) || packet.src().is_unspecified();
                (ours, packet.protocol() == Protocol::ICMP && packet.payload().first() == Some(&5))
            }
            [0x86, 0xdd] => {
                let packet = sockeye_wire::ipv6::Packet::parse(&frame[14..]).unwrap();
                let others = packet.src() == PEER6;
                (!others, packet.next_header() == Protocol::ICMPV6 && packet.payload().first() == Some(&137))
            }
            _ => (true, false),
        };
        assert!(ours && !redirects, "{}", describe(&frame));
    }
}

/// RFC 6980.
#[test]
fn neighbour_discovery_is_never_cut() {
    let frames = everything();
    let packets = frames.iter().filter(|frame| frame[12..14] == [0x86, 0xdd]);
    let packets: Vec<_> = packets.map(|frame| sockeye_wire::ipv6::Packet::parse(&frame[14..]).unwrap()).collect();
    let is_cut = |packet: &&sockeye_wire::ipv6::Packet<'_>| packet.next_header() == Protocol::FRAGMENT;
    let is_discovery = |packet: &&sockeye_wire::ipv6::Packet<'_>| {
        packet.next_header() == Protocol::ICMPV6 && (133..=137).contains(&packet.payload()[0])
    };
    assert!(packets.iter().any(|packet| is_cut(&packet)), "datagrams are");
    assert!(packets.iter().any(|packet| is_discovery(&packet)));
    for packet in packets.iter().filter(is_cut) {
        assert_ne!(packet.payload()[0], Protocol::ICMPV6.0, "{}", describe(&frames[0]));
    }
}

/// Row B3: whoever says that even less than every link carries would fit makes no fragment of what is whole (RFC 8021), in
/// either family below its floor.
#[test]
fn a_forged_narrow_path_makes_no_fragments() {
    let mut host = host();
    host.stack.ip.link(host.now, host.port, PEER6.into());
    host.arrive(&super::ipv6::advertisement(PEER6, PEER_MAC, true));
    let socket = host.stack.udp_open(&Bind::new(Ipv6Addr::UNSPECIFIED.into(), 5_000)).unwrap();
    let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
    host.stack.udp_connect(socket, Some((far, 53).into())).unwrap();
    let send = |host: &mut Host, len: usize| {
        let send = Send { payload: &[&[0; 1_400][..len]], ..Send::default() };
        host.stack.udp_send(host.now, socket, &send).unwrap();
        host.sent_frames().into_iter().map(|(frame, _)| frame[14..].to_vec()).collect::<Vec<_>>()
    };
    host.sent();
    let whole = send(&mut host, 1_200);
    for mtu in [0, 68, 1_000, 1_279] {
        let said = super::ipv6::icmp(&icmpv6::Message::PacketTooBig { mtu, original: &whole[0] });
        host.arrive(&super::ipv6::ipv6_frame(
            ipv6::Repr {
                src: PEER6,
                dst: US6,
                next_header: Protocol::ICMPV6,
                hop_limit: 64,
                traffic_class: 0,
                flow_label: 0,
            },
            &[],
            &said,
        ));
        let again = send(&mut host, 1_200);
        assert_eq!((again.len(), again[0][6], again[0].len()), (1, Protocol::UDP.0, 1_248), "{mtu}");
        assert!(host.stack.udp_path_mtu(socket).unwrap() >= 1_280, "{mtu}");
        // What has to be cut is cut no smaller than to that.
        assert!(send(&mut host, 1_400).iter().rev().skip(1).all(|piece| piece.len() >= 1_272), "{mtu}");
    }
}
