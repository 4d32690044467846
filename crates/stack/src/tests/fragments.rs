//! Fragments, in and out (rows A2, A4 to A11, D8).

use super::*;
use crate::Bind;
use crate::udp::Send;
use proptest::prelude::*;

const PORT: u16 = 9;

fn host() -> (Host, crate::udp::SocketId) {
    let mut host = Host::acquainted();
    let socket = host.stack.udp_open(&Bind::new(v4(US), PORT)).unwrap();
    (host, socket)
}

fn piece(id: u16, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    let header = ipv4::Repr { id, fragment_offset: offset as u16, more_fragments: more, ..FROM_PEER };
    ipv4_frame(header, payload)
}

/// A datagram to our socket, cut into pieces of `size`.
fn pieces(id: u16, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let whole = udp_bytes(1_000, PORT, payload);
    let count = whole.len().div_ceil(size);
    let cut = |(index, part): (usize, &[u8])| piece(id, index * size, index + 1 < count, part);
    whole.chunks(size).enumerate().map(cut).collect()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 7 % 251) as u8).collect()
}

#[test]
fn pieces_in_any_order_with_copies_make_the_whole() {
    let (mut host, socket) = host();
    let payload = pattern(5_000);
    let mut frames = pieces(1, &payload, 1_480);
    frames.reverse();
    let copy = frames[0].clone();
    frames.insert(1, copy);
    for frame in &frames {
        host.arrive(frame);
    }
    assert_eq!(host.stack.udp_recv(socket).unwrap().data, payload);
    assert_eq!(host.drops(), [("fragment_duplicate", 1)]);
    assert_eq!(host.stack.reassembly_memory(), 0);
}

#[test]
fn datagrams_that_interleave_are_kept_apart() {
    let (mut host, socket) = host();
    let (a, b) = (pieces(1, &[1; 3_000], 1_480), pieces(2, &[2; 3_000], 1_480));
    for (one, other) in a.iter().zip(&b) {
        host.arrive(other);
        host.arrive(one);
    }
    assert_eq!(host.stack.udp_recv(socket).unwrap().data, [2; 3_000]);
    assert_eq!(host.stack.udp_recv(socket).unwrap().data, [1; 3_000]);
}

/// Rows A4 and A6: whatever overlaps is refused, with all that comes of it later.
#[test]
fn what_overlaps_is_refused_with_the_whole_datagram() {
    let a = [1u8; 40];
    type Fragments<'a> = &'a [(usize, bool, &'a [u8])];
    let overlaps: [(&str, Fragments<'_>); 7] = [
        ("teardrop", &[(0, true, &a), (24, true, &a[..8])]),
        ("teardrop, the other way round", &[(24, true, &a[..8]), (0, true, &a)]),
        ("enclosing", &[(8, true, &a[..8]), (0, true, &a)]),
        ("partial", &[(0, true, &a), (32, true, &a)]),
        ("the same place, other bytes", &[(0, true, &a), (0, true, &[2u8; 40])]),
        ("two ends", &[(40, false, &a[..8]), (48, false, &a[..8])]),
        ("behind the end", &[(40, false, &a[..8]), (48, true, &a[..8])]),
    ];
    for (what, fragments) in overlaps {
        let (mut host, socket) = host();
        for &(offset, more, payload) in fragments {
            host.arrive(&piece(5, offset, more, payload));
        }
        assert_eq!(host.dropped(Drop::FragmentOverlap), 1, "{what}");
        // Everything that would have completed it comes to nothing.
        for frame in pieces(5, &pattern(100), 40) {
            host.arrive(&frame);
        }
        assert_eq!(host.stack.udp_recv(socket), None, "{what}");
        // After its time the identification is free again.
        host.pass(ms(31_000));
        for frame in pieces(5, &pattern(100), 40) {
            host.arrive(&frame);
        }
        assert_eq!(host.stack.udp_recv(socket).unwrap().data, pattern(100), "{what}");
    }
}

/// Rows A5 and A10.
#[test]
fn impossible_fragments_are_refused() {
    let (mut host, socket) = host();
    host.arrive(&piece(1, 65_512, false, &[0; 1_400]));
    host.arrive(&piece(1, 65_528, false, &[0; 8]));
    assert_eq!(host.dropped(Drop::FragmentTooLong), 2);
    host.arrive(&piece(2, 0, true, &[0; 13]));
    host.arrive(&piece(2, 8, true, &[]));
    host.arrive(&piece(2, 8, false, &[]));
    assert_eq!(host.dropped(Drop::FragmentMalformed), 3);
    assert_eq!(host.stack.udp_recv(socket), None);
    assert_alive(&mut host);
}

/// Row A7: a first fragment that does not hold the transport header is no trouble.
#[test]
fn tiny_fragments_are_put_together_and_then_checked() {
    let (mut host, socket) = host();
    for frame in pieces(1, &pattern(100), 8) {
        host.arrive(&frame);
    }
    assert_eq!(host.stack.udp_recv(socket).unwrap().data, pattern(100));
}

/// Row A9.
#[test]
fn time_is_up_after_thirty_seconds_and_only_who_sent_the_first_piece_is_told() {
    let (mut host, _) = host();
    let frames = pieces(1, &pattern(3_000), 1_480);
    host.arrive(&frames[1]);
    host.pass(ms(31_000));
    assert_eq!(host.sent_packets(), [""; 0]);
    host.arrive(&frames[0]);
    host.pass(ms(29_000));
    assert_eq!(host.sent_packets(), [""; 0]);
    host.pass(ms(2_000));
    assert_eq!(host.sent_packets(), ["10.0.0.1 > 10.0.0.2 time exceeded 1"]);
    assert_eq!(host.dropped(Drop::FragmentTimeout), 2);
    // Not about what many got.
    let dst = Ipv4Addr::new(10, 0, 0, 255);
    let header = ipv4::Repr { dst, more_fragments: true, ..FROM_PEER };
    host.arrive(&frame(PEER_MAC, MacAddr::BROADCAST, EtherType::IPV4, &packet(header, &[0; 16])));
    host.pass(ms(31_000));
    assert_eq!(host.sent_packets(), [""; 0]);
    assert_eq!(host.stack.reassembly_memory(), 0);
}

/// Row A8: many datagrams that never become whole, from many sources.
#[test]
fn memory_is_bounded_and_fresh_traffic_goes_on() {
    let (mut host, socket) = host();
    for n in 0..50_000u32 {
        let src = Ipv4Addr::from(0x0b00_0000 + n);
        let header = ipv4::Repr { src, id: n as u16, more_fragments: true, ..FROM_PEER };
        host.arrive(&ipv4_frame(header, &[0; 1_400]));
        assert!(host.stack.reassembly_memory() <= 4 << 20);
    }
    assert!(host.dropped(Drop::FragmentMemory) > 40_000);
    for frame in pieces(9, &pattern(5_000), 1_480) {
        host.arrive(&frame);
    }
    assert_eq!(host.stack.udp_recv(socket).unwrap().data, pattern(5_000));
    host.pass(ms(31_000));
    assert_eq!(host.stack.reassembly_memory(), 0);
    assert_alive(&mut host);
}

/// Row A8: one source alone starves itself only.
#[test]
fn one_source_has_a_quarter_of_the_memory() {
    let (mut host, socket) = host();
    let honest = pieces(9, &pattern(3_000), 1_480);
    host.arrive(&honest[0]);
    for n in 0..20_000u32 {
        let src = Ipv4Addr::new(10, 0, 0, 66);
        let header = ipv4::Repr { src, id: n as u16, more_fragments: true, ..FROM_PEER };
        host.arrive(&ipv4_frame(header, &[0; 1_400]));
    }
    assert!(host.stack.reassembly_memory() <= (1 << 20) + 4_000, "{}", host.stack.reassembly_memory());
    host.arrive(&honest[1]);
    host.arrive(&honest[2]);
    assert_eq!(host.stack.udp_recv(socket).unwrap().data, pattern(3_000), "an older datagram of another source");
}

/// Row A8: as many pieces as possible, in the worst order.
#[test]
fn a_datagram_has_a_limited_number_of_pieces() {
    let (mut host, socket) = host();
    let mut frames = pieces(1, &pattern(60_000), 8);
    frames.reverse();
    for frame in &frames {
        host.arrive(frame);
    }
    assert_eq!(host.dropped(Drop::FragmentTooMany), 1);
    assert_eq!(host.stack.udp_recv(socket), None);
}

/// Row A11: congestion marks.
#[test]
fn marks_are_combined_and_impossible_ones_refused() {
    for (marks, want) in
        [([2, 2], Some(2)), ([2, 3], Some(3)), ([3, 1], Some(3)), ([0, 0], Some(0)), ([0, 3], None), ([0, 2], None)]
    {
        let (mut host, socket) = host();
        let whole = udp_bytes(1_000, PORT, &pattern(24));
        for (index, part) in whole.chunks(16).enumerate() {
            let header = ipv4::Repr {
                tos: 0x40 | marks[index],
                fragment_offset: (index * 16) as u16,
                more_fragments: index == 0,
                ..FROM_PEER
            };
            host.arrive(&ipv4_frame(header, part));
        }
        assert_eq!(host.stack.udp_recv(socket).map(|got| got.tos), want.map(|mark| 0x40 | mark), "{marks:?}");
    }
}

/// Row A11: a forged piece spoils the datagram; nothing corrupt is delivered.
#[test]
fn the_transport_checksum_is_verified_after_reassembly() {
    let (mut host, socket) = host();
    let mut whole = udp_bytes(1_000, PORT, &pattern(100));
    let mut sum = sockeye_wire::checksum::pseudo_header(v4(PEER), v4(US), 17, whole.len() as u32);
    sum.add(&whole);
    whole[6..8].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
    host.arrive(&piece(1, 0, true, &whole[..56]));
    let mut forged = whole[56..].to_vec();
    forged[3] ^= 1;
    host.arrive(&piece(1, 56, false, &forged));
    assert_eq!(host.stack.udp_recv(socket), None);
    assert_eq!(host.dropped(Drop::UdpChecksum), 1);
}

/// Row D8: the largest ping there is.
#[test]
fn a_ping_of_65507_bytes_comes_back() {
    let mut host = Host::acquainted();
    let data = pattern(65_507);
    let echo = icmp_bytes(&Message::EchoRequest { ident: 1, seq: 2, data: &data });
    let count = echo.len().div_ceil(1_480);
    for (index, part) in echo.chunks(1_480).enumerate() {
        let header = ipv4::Repr {
            protocol: Protocol::ICMP,
            fragment_offset: (index * 1_480) as u16,
            more_fragments: index + 1 < count,
            ..FROM_PEER
        };
        host.arrive(&ipv4_frame(header, part));
    }
    let frames = host.sent_frames();
    assert_eq!(frames.len(), count);
    let mut back = Vec::new();
    for (frame, _) in &frames {
        assert!(frame.len() <= 1_514);
        back.extend_from_slice(ipv4::Packet::parse(&frame[14..]).unwrap().payload());
    }
    assert_eq!(Message::parse(&back), Ok(Message::EchoReply { ident: 1, seq: 2, data: &data }));
}

#[test]
fn a_large_datagram_is_cut_and_put_together_again_between_two_hosts() {
    let mut wire = Wire::new();
    let a = wire.hosts[0].stack.udp_open(&Bind::new(v4(US), 1_000)).unwrap();
    let b = wire.hosts[1].stack.udp_open(&Bind::new(v4(PEER), 53)).unwrap();
    for len in [0, 1, 1_472, 1_473, 2_952, 2_953, 65_507] {
        let payload = pattern(len);
        let (first, second) = payload.split_at(len / 3);
        let send = Send { to: Some((PEER, 53).into()), payload: &[first, second], ..Send::default() };
        wire.hosts[0].stack.udp_send(wire.hosts[0].now, a, &send).unwrap();
        wire.settle();
        assert_eq!(wire.hosts[1].stack.udp_recv(b).unwrap().data, payload, "{len}");
    }
    assert_eq!(wire.hosts[1].drops(), []);
    let too_large = Send { to: Some((PEER, 53).into()), payload: &[&[0; 65_508]], ..Send::default() };
    let refused = wire.hosts[0].stack.udp_send(wire.hosts[0].now, a, &too_large);
    assert_eq!(refused, Err(crate::udp::SendError::MessageSize));
}

#[test]
fn a_trace_of_a_cut() {
    let (mut host, socket) = host();
    let send = Send { to: Some((PEER, 53).into()), payload: &[&[0; 3_000]], ..Send::default() };
    host.stack.udp_send(host.now, socket, &send).unwrap();
    assert_eq!(
        host.sent(),
        [
            "10.0.0.1 > 10.0.0.2 fragment 0..1480+",
            "10.0.0.1 > 10.0.0.2 fragment 1480..2960+",
            "10.0.0.1 > 10.0.0.2 fragment 2960..3008",
        ]
    );
}

/// A datagram is cut to what the path is known to carry, not only to what our own link does.
#[test]
fn a_learnt_path_mtu_cuts_smaller() {
    let (mut host, socket) = host();
    host.stack.ip.learn_path_mtu(host.now, v4(PEER), 1_000, 1_500);
    let send = Send { to: Some((PEER, 53).into()), payload: &[&[0; 1_400]], ..Send::default() };
    host.stack.udp_send(host.now, socket, &send).unwrap();
    assert_eq!(host.sent(), ["10.0.0.1 > 10.0.0.2 fragment 0..976+", "10.0.0.1 > 10.0.0.2 fragment 976..1408"]);
}

proptest! {
    /// Any cut, in any order, with copies, equals the original.
    #[test]
    fn reassembly_is_the_inverse_of_cutting(
        len in 1usize..8_000,
        size in (1usize..150).prop_map(|eights| eights * 8),
        seed in any::<u64>(),
    ) {
        let payload = pattern(len);
        let mut frames = pieces(3, &payload, size);
        prop_assume!(frames.len() > 1 && frames.len() <= 128);
        let mut state = seed;
        let mut next = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % bound
        };
        for _ in 0..next(4) {
            // Of one piece only: copies of all would rightly be another datagram.
            let copy = frames[0].clone();
            frames.push(copy);
        }
        for last in (1..frames.len()).rev() {
            frames.swap(last, next(last + 1));
        }
        let (mut host, socket) = host();
        for frame in &frames {
            host.arrive(frame);
        }
        prop_assert_eq!(host.stack.udp_recv(socket).map(|got| got.data), Some(payload));
        prop_assert_eq!(host.stack.udp_recv(socket), None);
    }
}
