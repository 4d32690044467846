//! UDP-Lite sockets, as far as they are not UDP's.

use super::ipv6::ipv6_frame;
use super::*;
use crate::Bind;
use crate::udp::{Error, Options, Send, SocketId};
use sockeye_device::{Checksum, SegmentKind, Segmentation};
use sockeye_wire::checksum::pseudo_header;
use sockeye_wire::udp_lite::{CHECKSUM_OFFSET, Datagram as Lite, HEADER_LEN, Repr as LiteRepr};
use sockeye_wire::{icmpv4, ipv6};
use std::net::Ipv6Addr;

const HEADER: ipv4::Repr<'_> = ipv4::Repr { protocol: Protocol::UDP_LITE, ..FROM_PEER };

fn open(host: &mut Host, port: u16) -> SocketId {
    host.stack.udp_lite_open(&Bind::new(v4(Ipv4Addr::UNSPECIFIED), port)).unwrap()
}

/// A datagram from the peer's port 1,000 with a right checksum.
fn lite(between: (IpAddr, IpAddr), port: u16, coverage: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    let repr = LiteRepr { src_port: 1_000, dst_port: port, coverage };
    repr.emit(&mut bytes);
    bytes.extend_from_slice(payload);
    let mut sum = pseudo_header(between.0, between.1, 136, bytes.len() as u32);
    sum.add(&bytes[..repr.covered_len(bytes.len())]);
    bytes[CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
    bytes
}

fn from_peer(port: u16, coverage: u16, payload: &[u8]) -> Vec<u8> {
    ipv4_frame(HEADER, &lite((v4(PEER), v4(US)), port, coverage, payload))
}

fn received(host: &mut Host, socket: SocketId) -> Option<Vec<u8>> {
    host.stack.udp_recv(socket).map(|got| got.data)
}

#[test]
fn its_ports_are_not_those_of_udp() {
    let mut host = Host::acquainted();
    let udp = host.stack.udp_open(&Bind::new(v4(US), 53)).unwrap();
    let lite = host.stack.udp_lite_open(&Bind::new(v4(US), 53)).unwrap();
    assert!(host.stack.udp_lite_open(&Bind::new(v4(US), 53)).is_err());
    host.arrive(&from_peer(53, 0, b"lite"));
    host.arrive(&ipv4_frame(FROM_PEER, &udp_bytes(1_000, 53, b"udp")));
    assert_eq!((received(&mut host, lite), received(&mut host, udp)), (Some(b"lite".to_vec()), Some(b"udp".to_vec())));
    for socket in [lite, udp] {
        host.stack.udp_connect(socket, Some((PEER, 1_000).into())).unwrap();
    }
    host.arrive(&from_peer(53, 0, b"lite"));
    assert_eq!((received(&mut host, lite), received(&mut host, udp)), (Some(b"lite".to_vec()), None));
    let protocols: Vec<_> = host.stack.udp_sockets().map(|socket| socket.protocol).collect();
    assert_eq!(protocols, [Protocol::UDP, Protocol::UDP_LITE]);
    host.stack.udp_close(lite);
    host.arrive(&from_peer(53, 0, b"lite"));
    assert_eq!(host.drops(), [("udp_lite_no_socket", 1)]);
    let counters = host.stack.counters();
    assert_eq!((counters.udp_lite_datagrams_received, counters.udp_datagrams_received), (2, 1));
    assert!(host.stack.udp_lite_open(&Bind::new(v4(US), 53)).is_ok(), "the port is free again");
}

#[test]
fn coverages_that_lie_are_refused() {
    let mut host = Host::acquainted();
    let socket = open(&mut host, 53);
    for coverage in 0..=40 {
        // What covers more than there is covers all: the checksum is right.
        host.arrive(&from_peer(53, coverage, &[7; 22]));
        let taken = coverage == 0 || (8..=30).contains(&coverage);
        assert_eq!(received(&mut host, socket), taken.then(|| vec![7; 22]), "{coverage}");
    }
    assert_eq!(host.drops(), [("udp_lite_malformed", 17)]);
}

/// RFC 3828 §3.1. A device's word is not taken, as few know what a coverage is.
#[test]
fn what_is_covered_is_verified_and_nothing_else() {
    for at in 0..HEADER_LEN + 6 {
        for checksum in [Checksum::Present, Checksum::Verified] {
            let mut host = Host::acquainted();
            let socket = open(&mut host, 53);
            let mut bytes = lite((v4(PEER), v4(US)), 53, 10, b"hello!");
            bytes[at] ^= if (4..6).contains(&at) { 1 << 2 } else { 1 };
            host.arrive_with(&ipv4_frame(HEADER, &bytes), Offload { checksum, segmentation: None });
            assert_eq!(received(&mut host, socket).is_some(), at >= 10, "byte {at}");
        }
    }
    let mut host = Host::acquainted();
    open(&mut host, 53);
    let mut none = lite((v4(PEER), v4(US)), 53, 10, b"hello!");
    none[CHECKSUM_OFFSET..][..2].fill(0);
    host.arrive(&ipv4_frame(HEADER, &none));
    let cut = Segmentation { kind: SegmentKind::Udp, size: 2, header_len: 42 };
    host.arrive_with(&from_peer(53, 10, b"hello!"), Offload { checksum: Checksum::Present, segmentation: Some(cut) });
    assert_eq!(host.drops(), [("udp_lite_malformed", 1), ("udp_lite_checksum", 1)]);
}

#[test]
fn a_socket_may_want_more_covered() {
    let takes = |receive_coverage, coverage| {
        let mut host = Host::acquainted();
        let socket = open(&mut host, 53);
        host.stack.udp_set_options(socket, Options { receive_coverage, ..Options::default() });
        host.arrive(&from_peer(53, coverage, &[7; 22]));
        let taken = received(&mut host, socket).is_some();
        assert_eq!(host.dropped(Drop::UdpLiteCoverage), u64::from(!taken));
        assert_eq!(host.stack.udp_sockets().next().unwrap().dropped, u64::from(!taken));
        assert_eq!(host.sent(), [""; 0], "nobody is told");
        taken
    };
    for coverage in [0, 8, 20, 29, 30] {
        let all = matches!(coverage, 0 | 30);
        assert!(takes(None, coverage));
        assert_eq!(takes(Some(0), coverage), all);
        assert_eq!(takes(Some(20), coverage), all || coverage >= 20);
        assert_eq!(takes(Some(1_000), coverage), all);
    }
}

#[test]
fn what_is_sent_is_summed_here_as_far_as_it_is_covered() {
    for (asked, len, said) in [
        (None, 100, 108),
        (None, 65_507, 65_515),
        (Some(0), 100, 0),
        (Some(8), 100, 8),
        (Some(57), 100, 57),
        (Some(108), 100, 108),
        (Some(2_000), 100, 108),
        (Some(2_000), 3_000, 2_000),
        (Some(8), 0, 8),
    ] {
        let capabilities = Capabilities { checksum: true, ..Capabilities::default() };
        let mut host = Host::with(Config::default(), capabilities, OUR_MAC, "10.0.0.1/24");
        host.stack.ip.link(host.now, host.port, v4(PEER));
        host.arrive(&arp_reply(PEER, PEER_MAC));
        host.sent();
        let socket = open(&mut host, 1_000);
        host.stack.udp_set_options(socket, Options { send_coverage: asked, checksum: false, ..Options::default() });
        let payload: Vec<u8> = (0..len).map(|at: usize| at as u8).collect();
        let (one, other) = payload.split_at(len / 3);
        let send = Send { to: Some((PEER, 53).into()), payload: &[one, other], ..Send::default() };
        host.stack.udp_send(host.now, socket, &send).unwrap();
        let mut whole = Vec::new();
        for (frame, offload) in host.sent_frames() {
            assert_eq!(offload, Offload::default());
            let packet = ipv4::Packet::parse(&frame[14..]).unwrap();
            assert_eq!(packet.protocol(), Protocol::UDP_LITE);
            whole.extend_from_slice(packet.payload());
        }
        let datagram = Lite::parse(&whole).unwrap();
        assert_eq!(datagram.repr(), LiteRepr { src_port: 1_000, dst_port: 53, coverage: said });
        assert!(datagram.verify_checksum(v4(US), v4(PEER)) && datagram.payload() == payload, "{asked:?} of {len}");
    }
}

#[test]
fn nobody_there_is_told_and_heard() {
    let mut host = Host::acquainted();
    host.arrive(&from_peer(53, 8, b"hello"));
    assert_eq!(host.sent().len(), 1, "port unreachable");
    let socket = open(&mut host, 1_000);
    host.stack.udp_connect(socket, Some((PEER, 53).into())).unwrap();
    host.stack.udp_send(host.now, socket, &Send { payload: &[b"x"], ..Send::default() }).unwrap();
    let sent = host.sent_frames().remove(0).0;
    let code = icmpv4::UnreachableCode::PORT;
    let complaint = Message::DestinationUnreachable { code, next_hop_mtu: 0, original: &sent[14..42] };
    let other = host.stack.udp_open(&Bind::new(v4(Ipv4Addr::UNSPECIFIED), 1_000)).unwrap();
    host.stack.udp_connect(other, Some((PEER, 53).into())).unwrap();
    host.arrive(&icmp_frame(&complaint));
    assert_eq!((host.stack.udp_take_error(other), host.stack.udp_take_error(socket)), (None, Some(Error::Refused)));
}

#[test]
fn over_ipv6_too() {
    let mut host = Host::with(Config::default(), Capabilities::default(), OUR_MAC, "fd00::1/64");
    let socket = host.stack.udp_lite_open(&Bind::new(Ipv6Addr::UNSPECIFIED.into(), 53)).unwrap();
    let peer = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
    let us = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    let (next_header, hop_limit) = (Protocol::UDP_LITE, 64);
    let header = ipv6::Repr { src: peer, dst: us, next_header, hop_limit, traffic_class: 0, flow_label: 0 };
    let between = (peer.into(), us.into());
    host.arrive(&ipv6_frame(header, &[], &lite(between, 53, 9, b"six")));
    host.arrive(&ipv6_frame(header, &[], &lite(between, 54, 9, b"nobody")));
    assert_eq!((received(&mut host, socket), received(&mut host, socket)), (Some(b"six".to_vec()), None));
    assert_eq!(host.drops(), [("udp_lite_no_socket", 1)]);
}
