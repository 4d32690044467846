//! Data: both ways, in order and not, small and large, acknowledged and lost.

use super::*;

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251) as u8).collect()
}

#[test]
fn a_write_leaves_at_once_and_its_acknowledgement_frees_the_queue() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.write(id, b"hello");
    tx!(bench, at 0, { seq: US + 1, ack: PEER + 1, flags: ACK | PSH, data: b"hello".to_vec() });
    rx!(bench, at 10, Seg { ack: US + 6, ..from_peer() });
    silent!(bench, at 5_000);
}

#[test]
fn a_large_write_leaves_as_super_segments_within_the_initial_window() {
    let (mut bench, id) = Bench::established(Options::default());
    assert_eq!(bench.write(id, &bytes(100_000)), 100_000);
    // Ten segments of 1,000 bytes, in one piece.
    tx!(bench, at 0, { seq: US + 1, data: bytes(10_000) });
    bench.silent();
    rx!(bench, at 10, Seg { ack: US + 10_001, ..from_peer() });
    // Slow start: twice as much.
    let sent = bench.tx();
    assert_eq!((sent.seq, sent.data.len()), (US + 10_001, 20_000));
}

#[test]
fn nagle_holds_the_second_small_segment_and_nodelay_does_not() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.write(id, b"a");
    bench.ignore();
    bench.write(id, b"b");
    bench.write(id, b"c");
    bench.silent();
    rx!(bench, at 10, Seg { ack: US + 2, ..from_peer() });
    tx!(bench, at 10, { seq: US + 2, data: b"bc".to_vec() });

    let (mut bench, id) = Bench::established(Options { nodelay: true, ..Options::default() });
    bench.write(id, b"a");
    bench.write(id, b"b");
    tx!(bench, at 0, { data: b"a".to_vec() });
    tx!(bench, at 0, { data: b"b".to_vec() });
}

#[test]
fn a_small_tail_behind_full_segments_does_not_wait_for_them() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.write(id, &bytes(2_500));
    tx!(bench, at 0, { data: bytes(2_500), flags: ACK | PSH });
}

#[test]
fn a_cork_holds_what_is_not_full_until_it_is_pulled() {
    let (mut bench, id) = Bench::established(Options { cork: true, ..Options::default() });
    bench.write(id, &bytes(1_200));
    tx!(bench, at 0, { data: bytes(1_000) });
    bench.silent();
    bench.stack.tcp_set_options(bench.now, id, Options::default());
    bench.poll();
    assert_eq!(bench.tx().data.len(), 200);
}

#[test]
fn data_is_read_in_order_whatever_the_order_of_arrival() {
    let (mut bench, id) = Bench::established(Options::default());
    let at = |offset: u32, data: &[u8]| Seg { seq: PEER + 1 + offset, data: data.to_vec(), ..from_peer() };
    rx!(bench, at 0, at(5, b"world"));
    // A gap is told at once.
    tx!(bench, at 0, { ack: PEER + 1, flags: ACK });
    assert_eq!(bench.read(id), b"");
    rx!(bench, at 1, at(3, b"lowo"));
    rx!(bench, at 2, at(0, b"hello"));
    assert_eq!(bench.read(id), b"helloworld");
    bench.ignore();
    rx!(bench, at 3, at(0, b"helloworld!"));
    assert_eq!(bench.read(id), b"!");
}

#[test]
fn gaps_are_reported_by_sack_latest_first() {
    let theirs = tcp::Options { mss: Some(1_000), sack_permitted: true, ..Default::default() };
    let (mut bench, _) = Bench::established_with(Options::default(), theirs);
    let at = |offset: u32| Seg { seq: PEER + 1 + offset, data: vec![0; 100], ..from_peer() };
    rx!(bench, at 0, at(200));
    assert_eq!(bench.tx().options.sack.as_slice(), [(SeqNumber(PEER + 201), SeqNumber(PEER + 301))]);
    rx!(bench, at 0, at(600));
    assert_eq!(
        bench.tx().options.sack.as_slice(),
        [(SeqNumber(PEER + 601), SeqNumber(PEER + 701)), (SeqNumber(PEER + 201), SeqNumber(PEER + 301))]
    );
    rx!(bench, at 0, at(0));
    rx!(bench, at 0, at(100));
    bench.tx();
    let sent = bench.tx();
    assert_eq!((sent.ack, sent.options.sack.as_slice().len()), (PEER + 301, 1));
}

#[test]
fn three_duplicates_retransmit_and_a_partial_acknowledgement_the_next() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.write(id, &bytes(10_000));
    bench.ignore();
    let duplicate = || Seg { ack: US + 1, ..from_peer() };
    rx!(bench, at 10, duplicate());
    rx!(bench, at 10, duplicate());
    bench.silent();
    rx!(bench, at 10, duplicate());
    tx!(bench, at 10, { seq: US + 1, data: bytes(1_000) });
    bench.silent();
    // The first and the third segment were lost.
    rx!(bench, at 20, Seg { ack: US + 2_001, ..from_peer() });
    tx!(bench, at 20, { seq: US + 2_001, data: bytes(3_000)[2_000..].to_vec() });
    rx!(bench, at 30, Seg { ack: US + 10_001, ..from_peer() });
    silent!(bench, at 5_000);
    let info = bench.stack.tcp_info(bench.now, id).unwrap();
    assert_eq!((info.congestion_state, info.total_retransmissions, info.slow_start_threshold), (0, 2, 5_000));
}

#[test]
fn limited_transmit_sends_new_data_for_each_of_the_first_duplicates() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.write(id, &bytes(30_000));
    bench.ignore();
    for expected in [10_000, 11_000] {
        rx!(bench, at 10, Seg { ack: US + 1, ..from_peer() });
        let sent = bench.tx();
        assert_eq!((sent.seq, sent.data.len()), (US + 1 + expected, 1_000));
    }
}

#[test]
fn sack_retransmits_exactly_the_holes() {
    let theirs = tcp::Options { mss: Some(1_000), sack_permitted: true, ..Default::default() };
    let (mut bench, id) = Bench::established_with(Options::default(), theirs);
    bench.write(id, &bytes(10_000));
    bench.ignore();
    // Segments 2 and 5 of 0..10 are missing.
    let us = bench.iss.unwrap();
    let mut options = tcp::Options::default();
    options.sack.push((us + 1 + 6_000, us + 1 + 10_000));
    options.sack.push((us + 1 + 3_000, us + 1 + 5_000));
    rx!(bench, at 10, Seg { ack: US + 2_001, options, ..from_peer() });
    tx!(bench, at 10, { seq: US + 2_001, data: bytes(10_000)[2_000..3_000].to_vec() });
    tx!(bench, at 10, { seq: US + 5_001, data: bytes(10_000)[5_000..6_000].to_vec() });
    bench.silent();
}

#[test]
fn a_timeout_sends_the_first_segment_again_and_backs_off() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.write(id, &bytes(3_000));
    bench.ignore();
    for (due, next) in [(200, 600), (600, 1_400)] {
        tx!(bench, at due + 10, { seq: US + 1, data: bytes(1_000) });
        silent!(bench, at next - 50);
    }
    rx!(bench, at 1_390, Seg { ack: US + 3_001, ..from_peer() });
    silent!(bench, at 60_000);
}

#[test]
fn a_full_device_loses_nothing() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.set_full(true);
    bench.write(id, b"hello");
    bench.silent();
    bench.set_full(false);
    tx!(bench, at 0, { data: b"hello".to_vec() });
}

#[test]
fn the_window_closes_as_the_program_does_not_read_and_opens_when_it_does() {
    let (mut bench, id) = Bench::established(Options { receive_buffer: 4_000, ..Options::default() });
    for segment in 0..4u32 {
        rx!(bench, at 0, Seg { seq: PEER + 1 + 1_000 * segment, data: vec![7; 1_000], ..from_peer() });
    }
    bench.at(100);
    let last = bench.sent.back().unwrap().clone();
    assert_eq!((last.ack, last.window), (PEER + 4_001, 0));
    bench.ignore();
    // A byte too many is acknowledged as not taken.
    rx!(bench, at 200, Seg { seq: PEER + 4_001, data: vec![9], ..from_peer() });
    tx!(bench, at 200, { ack: PEER + 4_001, window: 0 });
    assert_eq!(bench.read(id).len(), 4_000);
    tx!(bench, at 200, { ack: PEER + 4_001, window: 4_000 });
}

/// TCP_WINDOW_CLAMP of less than a segment: what is worth telling is less, too, or a full window would stay closed for ever.
#[test]
fn a_window_clamped_below_a_segment_opens_again() {
    let options = Options { receive_buffer: 4_000, window_clamp: Some(1_000), ..Options::default() };
    let (mut bench, id) = Bench::established(options);
    let mut seq = PEER + 1;
    for len in [1_400, 1_400, 1_200] {
        rx!(bench, at 0, Seg { seq, data: vec![7; len], ..from_peer() });
        seq += len as u32;
    }
    bench.at(100);
    let last = bench.sent.back().unwrap().clone();
    assert_eq!((last.ack, last.window), (seq, 0));
    bench.ignore();
    assert_eq!(bench.read(id).len(), 4_000);
    tx!(bench, at 100, { ack: seq, window: 1_152 });
}

#[test]
fn a_closed_window_is_probed_and_its_opening_lets_data_through() {
    let (mut bench, id) = Bench::established(Options::default());
    rx!(bench, at 0, Seg { window: 0, seq: PEER + 1, data: b"x".to_vec(), ..from_peer() });
    bench.ignore();
    bench.write(id, b"waiting");
    bench.silent();
    for wait in [300, 500, 1_000, 2_000, 4_000] {
        bench.at(bench.now.since(bench.began).as_millis() as u64 + wait);
        let probe = bench.tx();
        assert_eq!((probe.seq, probe.data.len()), (US, 0));
        bench.ignore();
    }
    let now = bench.now.since(bench.began).as_millis() as u64;
    rx!(bench, at now, Seg { seq: PEER + 2, ..from_peer() });
    tx!(bench, at now, { seq: US + 1, data: b"waiting".to_vec() });
}

#[test]
fn a_shrunken_window_is_survived() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.write(id, &bytes(5_000));
    bench.ignore();
    rx!(bench, at 1, Seg { ack: US + 1_001, window: 1_000, ..from_peer() });
    bench.write(id, b"more");
    bench.silent();
    rx!(bench, at 2, Seg { ack: US + 5_001, window: 9_000, ..from_peer() });
    tx!(bench, at 2, { seq: US + 5_001, data: b"more".to_vec() });
}

#[test]
fn silly_windows_are_not_filled() {
    let (mut bench, id) = Bench::established(Options::default());
    rx!(bench, at 0, Seg { window: 100, ..from_peer() });
    bench.ignore();
    bench.write(id, &bytes(5_000));
    bench.silent();
    rx!(bench, at 1, Seg { window: 2_000, ..from_peer() });
    tx!(bench, at 1, { data: bytes(2_000) });
}

#[test]
fn numbers_wrap_without_notice() {
    let (mut bench, listener) = Bench::listening(10, Options::default());
    let isn = u32::MAX - 1_500;
    rx!(bench, at 0, Seg { seq: isn, ack: 0, flags: SYN, ..from_peer() });
    rx!(bench, at 0, Seg { seq: isn.wrapping_add(1), ..from_peer() });
    let id = bench.stack.tcp_accept(listener).unwrap();
    for segment in 0..4u32 {
        let seq = isn.wrapping_add(1 + 1_000 * segment);
        rx!(bench, at 1, Seg { seq, data: vec![segment as u8; 1_000], ..from_peer() });
    }
    let read = bench.read(id);
    assert_eq!((read.len(), read[0], read[3_999]), (4_000, 0, 3));
}

#[test]
fn an_urgent_byte_is_marked_both_ways() {
    let (mut bench, id) = Bench::established(Options::default());
    rx!(bench, at 0, Seg { flags: ACK | URG, urgent: 3, data: b"ab!cd".to_vec(), ..from_peer() });
    assert_eq!(bench.status(id).urgent, Some(3));
    bench.read(id);
    assert_eq!(bench.status(id).urgent, None);
    bench.ignore();
    assert!(bench.stack.tcp_write_urgent(bench.now, id, b"now!"));
    bench.poll();
    tx!(bench, at 0, { flags: ACK | PSH | URG, urgent: 4, data: b"now!".to_vec() });
}

#[test]
fn every_segment_names_the_same_end_of_urgent_data() {
    let (mut bench, id) = Bench::established(Options::default());
    assert!(bench.stack.tcp_write_urgent(bench.now, id, &bytes(3_500)));
    bench.poll();
    for (start, len) in [(0, 1_000), (1_000, 1_000), (2_000, 1_000), (3_000, 500)] {
        // A device that cuts a super-segment would copy the pointer into each piece.
        let sent = bench.tx();
        assert_eq!((sent.seq, sent.data.len(), sent.urgent), (US + 1 + start, len, 3_500 - start as u16));
    }
}

#[test]
fn segments_that_carry_sack_blocks_fit_the_path() {
    let theirs = tcp::Options { mss: Some(1_460), sack_permitted: true, ..Default::default() };
    let (mut bench, id) = Bench::established_with(Options { nodelay: true, ..Options::default() }, theirs);
    for gap in [2_000, 4_000, 6_000] {
        rx!(bench, at 0, Seg { seq: PEER + 1 + gap, data: vec![0; 100], ..from_peer() });
    }
    bench.ignore();
    // The bench checks every frame against the MTU.
    bench.write(id, &bytes(1_460));
    bench.write(id, &bytes(10_000));
    assert!(!bench.tx().options.sack.as_slice().is_empty());
}

#[test]
fn a_probe_that_the_device_did_not_take_leaves_when_it_does() {
    let (mut bench, id) = Bench::established(Options::default());
    rx!(bench, at 0, Seg { window: 0, seq: PEER + 1, data: b"x".to_vec(), ..from_peer() });
    bench.write(id, b"waiting");
    bench.ignore();
    bench.set_full(true);
    silent!(bench, at 300);
    bench.set_full(false);
    tx!(bench, at 300, { seq: US, data: vec![] });
}

#[test]
fn one_narrower_path_is_told_many_times_and_believed_once() {
    let theirs = tcp::Options { mss: Some(1_460), ..Default::default() };
    let (mut bench, id) = Bench::established_with(Options::default(), theirs);
    bench.write(id, &bytes(5_000));
    bench.ignore();
    // Each piece of the super-segment meets the same router.
    for piece in 0..3 {
        bench.rx_too_big(1_000, US + 1 + 1_460 * piece);
    }
    let again: usize = std::iter::from_fn(|| bench.sent.pop_front()).map(|seg| seg.data.len()).sum();
    assert_eq!(again, 5_000);
}
