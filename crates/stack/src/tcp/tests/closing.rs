//! Closing: both orders, at once, half, with a RST, and what remains for a while.

use super::*;
use crate::tcp::Error;

#[test]
fn we_close_first() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.stack.tcp_shutdown(bench.now, id);
    tx!(bench, at 0, { seq: US + 1, flags: FIN | ACK });
    assert_eq!(bench.state(id), State::FinWait1);
    rx!(bench, at 1, Seg { ack: US + 2, ..from_peer() });
    assert_eq!(bench.state(id), State::FinWait2);
    // Half closed: data still comes in.
    rx!(bench, at 2, Seg { ack: US + 2, data: b"late".to_vec(), ..from_peer() });
    assert_eq!(bench.read(id), b"late");
    bench.ignore();
    rx!(bench, at 3, Seg { seq: PEER + 5, ack: US + 2, flags: FIN | ACK, ..from_peer() });
    tx!(bench, at 3, { seq: US + 2, ack: PEER + 6, flags: ACK });
    assert_eq!(bench.state(id), State::TimeWait);
    bench.stack.tcp_close(bench.now, id);
    // The FIN again is acknowledged again, and 2 MSL begin again.
    rx!(bench, at 30_000, Seg { seq: PEER + 5, ack: US + 2, flags: FIN | ACK, ..from_peer() });
    tx!(bench, at 30_000, { seq: US + 2, ack: PEER + 6, flags: ACK });
    bench.at(80_000);
    assert_eq!(bench.stack.tcp_table_sizes()[3], ("time_wait", 1));
    bench.at(91_000);
    bench.assert_empty();
}

#[test]
fn the_peer_closes_first() {
    let (mut bench, id) = Bench::established(Options::default());
    rx!(bench, at 0, Seg { flags: FIN | ACK, data: b"bye".to_vec(), ..from_peer() });
    tx!(bench, at 0, { ack: PEER + 5, flags: ACK });
    assert_eq!((bench.state(id), bench.status(id).peer_closed), (State::CloseWait, true));
    bench.write(id, b"answer");
    tx!(bench, at 0, { data: b"answer".to_vec() });
    assert_eq!(bench.read(id), b"bye");
    bench.stack.tcp_close(bench.now, id);
    tx!(bench, at 0, { seq: US + 7, flags: FIN | ACK });
    rx!(bench, at 1, Seg { seq: PEER + 5, ack: US + 8, ..from_peer() });
    bench.assert_empty();
}

#[test]
fn both_close_at_once() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.stack.tcp_shutdown(bench.now, id);
    tx!(bench, at 0, { flags: FIN | ACK });
    rx!(bench, at 1, Seg { flags: FIN | ACK, ..from_peer() });
    tx!(bench, at 1, { seq: US + 2, ack: PEER + 2, flags: ACK });
    assert_eq!(bench.state(id), State::Closing);
    rx!(bench, at 2, Seg { seq: PEER + 2, ack: US + 2, ..from_peer() });
    assert_eq!(bench.state(id), State::TimeWait);
}

#[test]
fn a_fin_ahead_of_its_data_waits_for_it() {
    let (mut bench, id) = Bench::established(Options::default());
    rx!(bench, at 0, Seg { seq: PEER + 4, flags: FIN | ACK, data: b"de".to_vec(), ..from_peer() });
    assert!(!bench.status(id).peer_closed);
    rx!(bench, at 1, Seg { data: b"abc".to_vec(), ..from_peer() });
    assert_eq!((bench.read(id), bench.status(id).peer_closed), (b"abcde".to_vec(), true));
}

#[test]
fn a_fin_follows_what_was_written_and_is_sent_again() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.write(id, b"last words");
    bench.ignore();
    bench.stack.tcp_close(bench.now, id);
    tx!(bench, at 0, { seq: US + 11, flags: FIN | ACK });
    tx!(bench, at 250, { seq: US + 1, data: b"last words".to_vec(), flags: FIN | ACK | PSH });
    rx!(bench, at 260, Seg { ack: US + 12, ..from_peer() });
    silent!(bench, at 10_000);
    // An orphan in FIN-WAIT-2 goes after a minute.
    bench.at(70_000);
    bench.assert_empty();
}

#[test]
fn closing_with_unread_data_resets() {
    let (mut bench, id) = Bench::established(Options::default());
    rx!(bench, at 0, Seg { data: b"unread".to_vec(), ..from_peer() });
    bench.ignore();
    bench.stack.tcp_close(bench.now, id);
    tx!(bench, at 0, { seq: US + 1, ack: PEER + 7, flags: RST | ACK });
    bench.assert_empty();
}

#[test]
fn data_for_a_program_that_is_gone_resets() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.stack.tcp_close(bench.now, id);
    tx!(bench, at 0, { flags: FIN | ACK });
    rx!(bench, at 5, Seg { ack: US + 2, data: b"anybody?".to_vec(), ..from_peer() });
    assert!(bench.tx().flags.contains(RST));
    bench.assert_empty();
}

#[test]
fn a_reset_ends_it_and_says_why() {
    let (mut bench, id) = Bench::established(Options::default());
    rx!(bench, at 0, Seg { data: b"last".to_vec(), ..from_peer() });
    rx!(bench, at 1, Seg { seq: PEER + 5, flags: RST, ..from_peer() });
    assert_eq!((bench.state(id), bench.status(id).error), (State::Closed, Some(Error::Reset)));
    assert_eq!(bench.stack.tcp_take_error(id), Some(Error::Reset));
    assert_eq!(bench.stack.tcp_take_error(id), None);
    bench.stack.tcp_close(bench.now, id);
    bench.assert_empty();
}

#[test]
fn time_wait_ignores_resets_and_gives_way_to_what_is_newer() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.stack.tcp_close(bench.now, id);
    rx!(bench, at 1, Seg { ack: US + 2, flags: FIN | ACK, ..from_peer() });
    bench.ignore();
    // RFC 1337.
    rx!(bench, at 2, Seg { seq: PEER + 2, ack: US + 2, flags: RST, ..from_peer() });
    assert_eq!(bench.stack.tcp_table_sizes()[3].1, 1);
    rx!(bench, at 3, Seg { seq: PEER - 5_000, ack: 0, flags: SYN, ..from_peer() });
    tx!(bench, at 3, { seq: US + 2, ack: PEER + 2, flags: ACK });
    let before = bench.iss.unwrap();
    rx!(bench, at 1_000, Seg { seq: PEER + 90_000, ack: 0, flags: SYN, ..from_peer() });
    tx!(bench, at 1_000, { ack: PEER + 90_001, flags: SYN | ACK });
    assert!(bench.iss.unwrap().after(before), "the new connection's numbers are above the old one's");
}

#[test]
fn a_successor_in_time_wait_begins_above_even_a_fast_predecessor() {
    let (mut bench, id) = Bench::established(Options::default());
    // Far more than the clock of the initial numbers gives in the time.
    let mut acked = 0u32;
    for _ in 0..40 {
        bench.write(id, &[0; 100_000]);
        acked += bench.sent.iter().map(|seg| seg.data.len() as u32).sum::<u32>();
        bench.ignore();
        rx!(bench, at 0, Seg { ack: US + 1 + acked, ..from_peer() });
        acked += bench.sent.iter().map(|seg| seg.data.len() as u32).sum::<u32>();
        bench.ignore();
        rx!(bench, at 0, Seg { ack: US + 1 + acked, ..from_peer() });
    }
    assert!(acked > 1_000_000, "{acked} bytes");
    bench.stack.tcp_close(bench.now, id);
    bench.poll();
    acked += bench.sent.iter().map(|seg| seg.data.len() as u32).sum::<u32>();
    bench.ignore();
    rx!(bench, at 0, Seg { ack: US + 2 + acked, flags: FIN | ACK, ..from_peer() });
    let old = bench.iss.unwrap() + 1 + acked + 1;
    assert_eq!(bench.stack.tcp_table_sizes()[3].1, 1);
    rx!(bench, at 10, Seg { seq: PEER + 90_000, ack: 0, flags: SYN, ..from_peer() });
    assert!(bench.iss.unwrap().after(old));
}

#[test]
fn an_abort_tells_the_peer() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.stack.tcp_abort(bench.now, id);
    tx!(bench, at 0, { seq: US + 1, flags: RST | ACK });
    bench.assert_empty();
    // And again to whoever still believes in it.
    rx!(bench, at 1, Seg { data: b"?".to_vec(), ..from_peer() });
    assert!(bench.tx().flags.contains(RST));
}

#[test]
fn what_was_written_goes_before_an_abort() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.set_full(true);
    // More than one segment, the last not full: no rule about small ones holds it back.
    assert_eq!(bench.stack.tcp_write(bench.now, id, &[7; 1_500]), 1_500);
    bench.stack.tcp_shutdown(bench.now, id);
    bench.stack.tcp_abort(bench.now, id);
    bench.stack.tcp_close(bench.now, id);
    bench.poll();
    assert!(bench.sent.is_empty());
    bench.set_full(false);
    let sent: usize = std::iter::from_fn(|| (bench.sent.len() > 1).then(|| bench.tx()))
        .map(|seg| (assert!(!seg.flags.intersects(FIN | RST), "{seg:?}"), seg.data.len()).1)
        .sum();
    assert_eq!(sent, 1_500);
    tx!(bench, at 0, { seq: US + 1_501, flags: RST | ACK });
    bench.assert_empty();
}

#[test]
fn an_abort_waits_for_no_window() {
    let (mut bench, id) = Bench::established(Options::default());
    rx!(bench, at 0, Seg { window: 0, ..from_peer() });
    bench.write(id, b"too much");
    bench.stack.tcp_abort(bench.now, id);
    bench.poll();
    tx!(bench, at 0, { seq: US + 1, flags: RST | ACK });
    bench.assert_empty();
}

#[test]
fn a_handshake_that_outlives_its_listener_is_reset() {
    let (mut bench, listener) = Bench::listening(10, Options::default());
    rx!(bench, at 0, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    bench.tx();
    bench.stack.tcp_unlisten(bench.now, listener);
    rx!(bench, at 10, from_peer());
    tx!(bench, at 10, { seq: US + 1, flags: RST });
    bench.assert_empty();
}
