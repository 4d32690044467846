//! What strangers and broken peers send (bad-input checklist, section C).

use super::*;
use crate::counters::Drop;
use crate::tcp::Error;
use crate::{FamilyOptions, Fragmentation};

fn still_works(bench: &mut Bench, id: ConnectionId) {
    let now = bench.now.since(bench.began).as_millis() as u64 + 1_000;
    bench.ignore();
    bench.read(id);
    rx!(bench, at now, Seg { data: b"fine".to_vec(), ..from_peer() });
    assert_eq!(bench.read(id), b"fine");
}

#[test]
fn blind_resets_and_syns_get_a_challenge_and_few_of_them() {
    let (mut bench, id) = Bench::established(Options::default());
    for offset in 1..200u32 {
        rx!(bench, at 0, Seg { seq: PEER + 1 + offset * 100, flags: RST, ..from_peer() });
        rx!(bench, at 0, Seg { seq: PEER + 1 + offset * 100, ack: 0, flags: SYN, ..from_peer() });
    }
    tx!(bench, at 0, { seq: US + 1, ack: PEER + 1, flags: ACK });
    bench.silent();
    assert_eq!(bench.state(id), State::Established);
    still_works(&mut bench, id);
}

#[test]
fn acknowledgements_of_the_future_and_of_the_far_past_are_not_believed() {
    let (mut bench, id) = Bench::established(Options::default());
    rx!(bench, at 0, Seg { ack: US + 5_000, data: b"injected".to_vec(), ..from_peer() });
    rx!(bench, at 0, Seg { ack: US.wrapping_sub(1 << 30), data: b"injected".to_vec(), ..from_peer() });
    assert_eq!(bench.read(id), b"");
    assert_eq!(bench.dropped(Drop::TcpBadAck), 2);
    still_works(&mut bench, id);
}

#[test]
fn segments_out_of_the_window_are_answered_now_and_then() {
    let (mut bench, id) = Bench::established(Options::default());
    for _ in 0..1_000 {
        rx!(bench, at 0, Seg { seq: PEER.wrapping_add(1 << 30), data: b"?".to_vec(), ..from_peer() });
    }
    bench.tx();
    bench.silent();
    still_works(&mut bench, id);
}

#[test]
fn every_flag_combination_in_every_state_is_survived() {
    for flags in 0..=255u8 {
        for stage in 0..7 {
            let (mut bench, id) = Bench::established(Options::default());
            match stage {
                0 => {}
                1 => bench.stack.tcp_shutdown(bench.now, id),
                2 => rx!(bench, at 0, Seg { flags: FIN | ACK, ..from_peer() }),
                3 => {
                    bench.stack.tcp_shutdown(bench.now, id);
                    bench.poll();
                    rx!(bench, at 0, Seg { ack: US + 2, ..from_peer() });
                }
                4 => {
                    bench.stack.tcp_close(bench.now, id);
                    bench.poll();
                    rx!(bench, at 0, Seg { ack: US + 2, flags: FIN | ACK, ..from_peer() });
                }
                5 => bench.peer_port += 1,
                _ => {
                    bench.peer_port += 1;
                    rx!(bench, at 0, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
                }
            }
            for seq in [PEER, PEER + 1, PEER + 2, PEER + 50_000, 0, u32::MAX] {
                for data in [vec![], vec![1; 3]] {
                    rx!(bench, at 0, Seg { seq, flags: Flags(flags), data, urgent: 9, ..from_peer() });
                }
            }
            bench.at(1_000);
        }
    }
}

#[test]
fn a_reset_is_never_answered() {
    let mut bench = Bench::new();
    for flags in [RST, RST | ACK, RST | SYN, RST | FIN | ACK] {
        rx!(bench, at 0, Seg { flags, ..from_peer() });
    }
    bench.silent();
}

#[test]
fn a_closed_port_resets_with_the_standards_numbers() {
    let mut bench = Bench::new();
    rx!(bench, at 0, Seg { seq: 50, ack: 0, flags: SYN, data: b"xy".to_vec(), ..from_peer() });
    tx!(bench, at 0, { seq: 0, ack: 53, flags: RST | ACK });
    rx!(bench, at 0, Seg { seq: 50, ack: 99, flags: ACK, ..from_peer() });
    tx!(bench, at 0, { seq: 99, ack: 0, flags: RST });
}

#[test]
fn options_of_every_kind_and_length_are_survived() {
    for kind in 0..=255u8 {
        for len in [0u8, 1, 2, 3, 4, 10, 12, 39, 40, 255] {
            let (mut bench, listener) = Bench::listening(10, Options::default());
            let mut segment = vec![0; 60];
            tcp::Repr {
                src_port: PEER_PORT,
                dst_port: OUR_PORT,
                seq: SeqNumber(PEER),
                ack: SeqNumber(0),
                flags: SYN,
                window: 1_000,
                urgent: 0,
                options: tcp::Options::default(),
            }
            .emit(&mut segment);
            segment[12] = 15 << 4;
            segment[20..].fill(1);
            segment[20] = kind;
            segment[21] = len;
            segment[22..60].fill(kind ^ len);
            bench.rx_bytes(PEER_IP, segment);
            let answer = bench.tx();
            assert_eq!(answer.flags, SYN | ACK, "kind {kind}, length {len}");
            let stamps = answer
                .options
                .timestamps
                .map(|stamps| Timestamps { value: u32::from(kind ^ len) * 0x0101_0101, echo: stamps.value });
            let options = tcp::Options { timestamps: stamps, ..Default::default() };
            rx!(bench, at 0, Seg { data: b"fine".to_vec(), options, ..from_peer() });
            let id = bench.stack.tcp_accept(listener).expect("a connection");
            assert_eq!(bench.read(id), b"fine");
        }
    }
}

#[test]
fn a_tiny_segment_size_is_not_taken_at_its_word() {
    for mss in [0, 1, 8, 47] {
        let theirs = tcp::Options { mss: Some(mss), ..Default::default() };
        let (mut bench, id) = Bench::established_with(Options::default(), theirs);
        bench.write(id, &[0; 1_000]);
        assert!(bench.stack.tcp_info(bench.now, id).unwrap().send_mss >= 48);
    }
}

#[test]
fn tiny_segments_in_descending_order_hold_bounded_memory() {
    let (mut bench, id) = Bench::established(Options { receive_buffer: 100_000, ..Options::default() });
    for offset in (1..50_000u32).rev() {
        bench.rx_from(PEER_IP, Seg { seq: PEER + 1 + offset, data: vec![7], ..from_peer() });
        bench.ignore();
    }
    assert!(bench.dropped(Drop::TcpReceiveMemory) > 0);
    bench.rx_from(PEER_IP, Seg { data: vec![7; 50_000], ..from_peer() });
    assert_eq!(bench.read(id).len(), 50_000);
}

#[test]
fn urgent_pointers_of_every_kind_are_survived() {
    for urgent in [0, 1, 2, 3, 65_535] {
        for window in [0, 65_535] {
            let (mut bench, id) = Bench::established(Options::default());
            let flags = ACK | URG;
            rx!(bench, at 0, Seg { flags, urgent, window, data: b"ab".to_vec(), ..from_peer() });
            rx!(bench, at 0, Seg { seq: PEER + 3, flags: flags | FIN, urgent, ..from_peer() });
            assert_eq!(bench.read(id), b"ab");
            bench.stack.tcp_close(bench.now, id);
            bench.at(10);
        }
    }
}

#[test]
fn bad_lengths_and_checksums_are_counted() {
    let mut bench = Bench::new();
    for len in 0..20 {
        bench.rx_raw(PEER_IP, &vec![0x50; len]);
    }
    assert_eq!(bench.dropped(Drop::TcpMalformed), 20);
    let mut segment = vec![0u8; 20];
    segment[1] = 9;
    segment[3] = 80;
    for offset in 0..=15u8 {
        segment[12] = offset << 4;
        bench.rx_bytes(PEER_IP, segment.clone());
    }
    assert_eq!(bench.dropped(Drop::TcpMalformed), 20 + 15);
    segment[12] = 0x50;
    segment[17] ^= 1;
    bench.rx_raw(PEER_IP, &segment);
    assert_eq!(bench.dropped(Drop::TcpChecksum), 1);
}

/// What a stranger learns from the ports of the connections to itself does not tell those to others (RFC 6056, 3.3.4).
#[test]
fn ports_of_connections_to_others_cannot_be_foretold() {
    let mut bench = Bench::new();
    let mut port_to = |remote: SocketAddr| {
        let id = bench.stack.tcp_connect(bench.now, None, remote, Options::default()).unwrap();
        bench.stack.tcp_addresses(id).unwrap().local.port()
    };
    let near = (1..100)
        .filter(|&last| {
            let seen = port_to(peer_address());
            port_to(SocketAddr::from(([10, 0, 0, last + 100], 80))).abs_diff(seen) < 100
        })
        .count();
    assert!(near < 5, "{near} of 99 ports are near the one that somebody else has seen");
}

/// Row D1: whoever says that nobody is there gets no connection closed that is open.
#[test]
fn unreachable_is_no_more_than_a_hint_for_an_open_connection() {
    let codes =
        (0..=15).map(icmpv4::UnreachableCode).filter(|&code| code != icmpv4::UnreachableCode::FRAGMENTATION_NEEDED);
    for code in codes {
        let (mut bench, id) = Bench::established(Options::default());
        bench.write(id, &[7; 100]);
        bench.ignore();
        bench.rx_unreachable(code, 0, US + 1);
        bench.silent();
        assert_eq!(bench.state(id), State::Established, "{code}");
    }
}

#[test]
fn a_hint_lasts_until_the_peer_is_heard_and_is_told_at_once_to_who_wants_that() {
    for asks in [false, true] {
        let family = [FamilyOptions { receive_errors: asks, ..FamilyOptions::default() }; 2];
        let (mut bench, id) = Bench::established(Options { family, nodelay: true, ..Options::default() });
        let told = Some(Error::HostUnreachable);
        for heard in [false, true] {
            bench.write(id, b"x");
            bench.ignore();
            let seq = US + 1 + u32::from(heard);
            bench.rx_unreachable(icmpv4::UnreachableCode::HOST, 0, seq);
            assert_eq!(bench.status(id).error, told.filter(|_| asks));
            if heard {
                rx!(bench, at 1, Seg { ack: seq + 1, ..from_peer() });
            }
            let expected = told.filter(|_| asks || !heard);
            assert_eq!(bench.stack.tcp_take_error(id), expected, "asks: {asks}, heard: {heard}");
            assert_eq!((bench.stack.tcp_take_error(id), bench.state(id)), (None, State::Established));
            bench.ignore();
        }
    }
}

#[test]
fn a_narrower_path_is_believed_of_what_is_in_flight_and_down_to_a_floor() {
    let theirs = tcp::Options { mss: Some(1_460), ..Default::default() };
    let (mut bench, id) = Bench::established_with(Options::default(), theirs);
    bench.write(id, &[7; 4_000]);
    bench.ignore();
    bench.rx_too_big(1_000, US + 1 + 50_000);
    bench.silent();
    assert_eq!(bench.dropped(Drop::IcmpNotInFlight), 1);
    bench.rx_too_big(1_000, US + 1);
    // What did not fit goes again at once, in pieces of the new size.
    let again = bench.tx();
    assert_eq!((again.seq, again.data.len()), (US + 1, 4_000));
    assert_eq!(bench.stack.tcp_info(bench.now, id).unwrap().send_mss, 960);
    bench.rx_too_big(68, US + 1);
    bench.at(1);
    assert_eq!(bench.stack.tcp_info(bench.now, id).unwrap().send_mss, 512);
    bench.rx_too_big(1_400, US + 1);
    bench.at(2);
    assert_eq!(bench.stack.tcp_info(bench.now, id).unwrap().send_mss, 512, "an error never widens the path");
}

#[test]
fn a_narrower_path_is_not_believed_of_a_far_router_nor_by_who_believes_none() {
    let near = FamilyOptions { min_ttl: 65, ..FamilyOptions::default() };
    let deaf = |fragmentation| FamilyOptions { fragmentation, ..FamilyOptions::default() };
    let choices = [(near, 1), (deaf(Fragmentation::Interface), 0), (deaf(Fragmentation::Omit), 0)];
    for (family, dropped) in choices {
        let theirs = tcp::Options { mss: Some(1_460), ..Default::default() };
        let (mut bench, id) = Bench::established_with(Options::default(), theirs);
        bench.stack.tcp_set_options(bench.now, id, Options { family: [family; 2], ..Options::default() });
        bench.write(id, &[7; 4_000]);
        bench.ignore();
        bench.rx_too_big(1_000, US + 1);
        bench.silent();
        assert_eq!(bench.dropped(Drop::TcpMinTtl), dropped);
        assert_eq!(bench.stack.tcp_info(bench.now, id).unwrap().send_mss, 1_460);
        assert_eq!(bench.stack.counters().ipv4_path_mtu_learnt, 0);
    }
}

#[test]
fn what_may_be_cut_on_the_way_has_numbers_of_the_hosts() {
    let family = FamilyOptions { fragmentation: Fragmentation::Anywhere, ..FamilyOptions::default() };
    let theirs = tcp::Options { mss: Some(1_460), ..Default::default() };
    let (mut bench, id) = Bench::established_with(Options { family: [family; 2], ..Options::default() }, theirs);
    bench.write(id, &[7; 4_000]);
    let sizes: Vec<_> = bench.sent.drain(..).map(|segment| segment.data.len()).collect();
    assert_eq!(sizes, [1_460, 1_460, 1_080], "one by one, and not for a device to cut and number");
}

#[test]
fn a_segment_with_an_impossible_acknowledgement_leaves_no_timestamp() {
    let stamps = |value| tcp::Options { timestamps: Some(Timestamps { value, echo: 0 }), ..Default::default() };
    let theirs = tcp::Options { mss: Some(1_000), ..stamps(500) };
    let (mut bench, id) = Bench::established_with(Options::default(), theirs);
    rx!(bench, at 1, Seg { ack: US + 900_000, options: stamps(1 << 30), ..from_peer() });
    rx!(bench, at 2, Seg { options: stamps(600), data: b"still here".to_vec(), ..from_peer() });
    assert_eq!(bench.read(id), b"still here");
}
