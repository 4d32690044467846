//! Timers: delayed acknowledgements, keepalive, user timeout, giving up, TCP timestamps.

use super::*;
use crate::tcp::Error;
use std::time::Duration;

/// Uses up the acknowledgements that are not delayed at the start of a connection.
fn settle(bench: &mut Bench, id: ConnectionId) -> u32 {
    let mut seq = PEER + 1;
    for _ in 0..16 {
        rx!(bench, at 0, Seg { seq, data: b"x".to_vec(), ..from_peer() });
        seq += 1;
    }
    bench.read(id);
    bench.ignore();
    seq
}

#[test]
fn one_segment_is_acknowledged_late_and_two_at_once() {
    let (mut bench, id) = Bench::established(Options::default());
    let seq = settle(&mut bench, id);
    rx!(bench, at 100, Seg { seq, data: b"x".to_vec(), ..from_peer() });
    silent!(bench, at 135);
    tx!(bench, at 145, { ack: seq + 1, flags: ACK });
    let full = || vec![0; 1_000];
    rx!(bench, at 200, Seg { seq: seq + 1, data: full(), ..from_peer() });
    bench.silent();
    rx!(bench, at 200, Seg { seq: seq + 1_001, data: full(), ..from_peer() });
    tx!(bench, at 200, { ack: seq + 2_001, flags: ACK });
}

#[test]
fn an_answer_carries_the_acknowledgement() {
    let (mut bench, id) = Bench::established(Options::default());
    let seq = settle(&mut bench, id);
    rx!(bench, at 100, Seg { seq, data: b"question".to_vec(), ..from_peer() });
    bench.silent();
    bench.write(id, b"answer");
    tx!(bench, at 100, { ack: seq + 8, data: b"answer".to_vec() });
    silent!(bench, at 200);
}

#[test]
fn keepalive_probes_silence_and_gives_up() {
    let options = Options {
        keepalive: true,
        keep_idle: Duration::from_secs(10),
        keep_interval: Duration::from_secs(2),
        keep_count: 3,
        ..Options::default()
    };
    let (mut bench, id) = Bench::established(options);
    silent!(bench, at 9_900);
    tx!(bench, at 10_100, { seq: US, data: vec![], flags: ACK });
    rx!(bench, at 10_200, from_peer());
    silent!(bench, at 20_100);
    for due in [20_300, 22_300, 24_300] {
        tx!(bench, at due, { seq: US, flags: ACK });
    }
    bench.at(26_400);
    assert_eq!((bench.state(id), bench.status(id).error), (State::Closed, Some(Error::TimedOut)));
}

#[test]
fn a_user_timeout_ends_a_silent_connection() {
    let options = Options { user_timeout: Some(Duration::from_secs(5)), ..Options::default() };
    let (mut bench, id) = Bench::established(options);
    bench.write(id, b"anybody?");
    bench.at(4_900);
    assert_eq!(bench.state(id), State::Established);
    bench.at(13_000);
    assert_eq!(bench.status(id).error, Some(Error::TimedOut));
}

#[test]
fn an_unanswered_connection_is_given_up_after_a_quarter_of_an_hour() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.write(id, b"anybody?");
    bench.at(600_000);
    assert_eq!(bench.state(id), State::Established);
    bench.at(2_000_000);
    assert_eq!(bench.status(id).error, Some(Error::TimedOut));
    bench.stack.tcp_close(bench.now, id);
    bench.assert_empty();
}

#[test]
fn a_window_closed_over_data_in_flight_may_stay_closed_for_ever() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.write(id, b"in flight");
    bench.ignore();
    let mut at = 0;
    for _ in 0..40 {
        at += 60_000;
        rx!(bench, at at, Seg { window: 0, ..from_peer() });
    }
    assert_eq!(bench.state(id), State::Established);
    bench.ignore();
    rx!(bench, at at, Seg { ack: US + 10, ..from_peer() });
    bench.write(id, b"open");
    assert_eq!(bench.tx().data, b"open");
}

#[test]
fn timestamps_are_echoed_and_old_ones_refused() {
    let theirs =
        tcp::Options { mss: Some(1_000), timestamps: Some(Timestamps { value: 500, echo: 0 }), ..Default::default() };
    let (mut bench, id) = Bench::established_with(Options::default(), theirs);
    let stamped = |value| tcp::Options { timestamps: Some(Timestamps { value, echo: 0 }), ..Default::default() };
    rx!(bench, at 1, Seg { options: stamped(600), data: b"new".to_vec(), ..from_peer() });
    assert_eq!(bench.tx().options.timestamps.map(|stamps| stamps.echo), Some(600));
    rx!(bench, at 2, Seg { seq: PEER + 4, options: stamped(550), data: b"old".to_vec(), ..from_peer() });
    assert_eq!(bench.dropped(crate::counters::Drop::TcpPaws), 1);
    assert_eq!(bench.read(id), b"new");
    // Once agreed, a segment without one is none.
    rx!(bench, at 3, Seg { seq: PEER + 4, data: b"bare".to_vec(), ..from_peer() });
    assert_eq!(bench.read(id), b"");
}

#[test]
fn an_idle_connection_has_no_timers() {
    let (bench, _) = Bench::established(Options::default());
    assert_eq!(bench.stack.tcp_table_sizes()[5], ("timers", 0));
}

#[test]
fn a_peer_that_answers_every_keepalive_probe_is_never_given_up() {
    let options = Options { keepalive: true, keep_idle: Duration::from_secs(10), ..Options::default() };
    let (mut bench, id) = Bench::established(options);
    bench.at(10_100);
    for probe in 1..=20 {
        tx!(bench, at 10_100 + 75_100 * (probe - 1), { seq: US, flags: ACK });
        rx!(bench, at 10_100 + 75_100 * (probe - 1), from_peer());
    }
    assert_eq!(bench.state(id), State::Established);
}

#[test]
fn a_path_that_has_become_slow_is_not_for_ever_mistaken_for_one_that_loses() {
    for stamped in [false, true] {
        let stamps = stamped.then_some(Timestamps { value: 500, echo: 0 });
        let theirs = tcp::Options { mss: Some(1_000), timestamps: stamps, ..Default::default() };
        let (mut bench, id) = Bench::established_with(Options::default(), theirs);
        let mut sent_again = Vec::new();
        for round in 0..4u32 {
            let at = u64::from(round) * 1_000;
            bench.at(at);
            bench.write(id, &[7; 500]);
            let echo = bench.tx().options.timestamps.map(|stamps| stamps.value);
            bench.at(at + 999);
            sent_again.push(bench.sent.len());
            bench.ignore();
            // What was sent first is acknowledged, a second after it left.
            let timestamps = echo.map(|echo| Timestamps { value: 600 + round, echo });
            let options = tcp::Options { timestamps, ..Default::default() };
            rx!(bench, at at + 999, Seg { ack: US + 1 + 500 * (round + 1), options, ..from_peer() });
        }
        assert_eq!((sent_again[0], sent_again[3]), (2, 0), "stamped: {stamped}, {sent_again:?}");
    }
}

#[test]
fn a_small_window_that_opens_does_not_wait_for_the_delayed_acknowledgement() {
    let (mut bench, id) = Bench::established(Options { receive_buffer: 1_500, ..Options::default() });
    let seq = settle(&mut bench, id);
    rx!(bench, at 100, Seg { seq, data: vec![0; 1_000], ..from_peer() });
    bench.silent();
    bench.read(id);
    tx!(bench, at 100, { ack: seq + 1_000, window: 1_500 });
}
