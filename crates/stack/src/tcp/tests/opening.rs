//! Opening: active, passive, simultaneous, refused, given up; the two queues; cookies.

use super::*;
use crate::counters::Drop;
use crate::errors::Cause;
use crate::tcp::{ConnectError, Error};

fn connecting() -> (Bench, ConnectionId) {
    let mut bench = Bench::new();
    let id = bench.stack.tcp_connect(bench.now, None, peer_address(), Options::default()).unwrap();
    bench.poll();
    (bench, id)
}

#[test]
fn an_active_open_offers_all_options_and_is_acknowledged() {
    let (mut bench, id) = connecting();
    let syn = tx!(bench, at 0, { seq: US, flags: SYN, ack: 0 });
    assert_eq!((syn.options.mss, syn.options.window_scale, syn.options.sack_permitted), (Some(1_460), Some(7), true));
    assert_eq!(syn.options.timestamps.map(|stamps| stamps.echo), Some(0));
    rx!(bench, at 1, Seg { seq: PEER, flags: SYN | ACK, ..from_peer() });
    tx!(bench, at 1, { seq: US + 1, ack: PEER + 1, flags: ACK });
    assert_eq!(bench.state(id), State::Established);
}

#[test]
fn a_refused_open_says_so() {
    let (mut bench, id) = connecting();
    bench.ignore();
    rx!(bench, at 1, Seg { seq: 0, flags: RST | ACK, ..from_peer() });
    assert_eq!((bench.state(id), bench.status(id).error), (State::Closed, Some(Error::Refused)));
    silent!(bench, at 5_000);
}

#[test]
fn an_open_that_reaches_nobody_says_so() {
    let (mut bench, id) = connecting();
    tx!(bench, at 0, { seq: US, flags: SYN, ack: 0 });
    bench.rx_unreachable(icmpv4::UnreachableCode::PORT, 0, US);
    assert_eq!((bench.state(id), bench.status(id).error), (State::Closed, Some(Error::Refused)));
    let report = bench.stack.tcp_take_report(id).expect("who says so is kept");
    assert_eq!((report.cause, report.destination), (Cause::Icmp { kind: 3, code: 3 }, peer_address()));
    assert_eq!(bench.stack.tcp_take_report(id), None);
}

#[test]
fn a_reset_that_acknowledges_nothing_of_ours_is_ignored() {
    let (mut bench, id) = connecting();
    bench.ignore();
    rx!(bench, at 1, Seg { seq: 0, flags: RST, ..from_peer() });
    rx!(bench, at 1, Seg { seq: 0, ack: US + 77, flags: RST | ACK, ..from_peer() });
    assert_eq!(bench.state(id), State::SynSent);
}

#[test]
fn an_acknowledgement_of_something_else_is_reset_and_the_open_goes_on() {
    let (mut bench, id) = connecting();
    bench.ignore();
    rx!(bench, at 1, Seg { seq: PEER, ack: US + 500, flags: SYN | ACK, ..from_peer() });
    tx!(bench, at 1, { seq: US + 500, flags: RST });
    assert_eq!(bench.state(id), State::SynSent);
    // Once at once, as the RST may have ended what the peer confused us with; not again for whoever says the same again.
    silent!(bench, at 3);
    tx!(bench, at 8, { seq: US, flags: SYN });
    rx!(bench, at 9, Seg { seq: PEER, ack: US + 500, flags: SYN | ACK, ..from_peer() });
    tx!(bench, at 9, { seq: US + 500, flags: RST });
    silent!(bench, at 1_000);
}

#[test]
fn a_syn_is_sent_again_for_three_minutes() {
    let (mut bench, id) = connecting();
    tx!(bench, at 0, { flags: SYN });
    let mut due = 0;
    for wait in [1u64, 2, 4, 8, 16, 32, 64, 120] {
        due += wait * 1_000;
        silent!(bench, at due - 5);
        if due < 180_000 {
            tx!(bench, at due + 10, { seq: US, flags: SYN });
        } else {
            bench.at(due + 10);
        }
    }
    bench.silent();
    assert_eq!(bench.status(id).error, Some(Error::TimedOut));
}

#[test]
fn a_simultaneous_open_meets_in_the_middle() {
    let (mut bench, id) = connecting();
    tx!(bench, at 0, { flags: SYN });
    rx!(bench, at 1, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    tx!(bench, at 1, { seq: US, ack: PEER + 1, flags: SYN | ACK });
    assert_eq!(bench.state(id), State::SynReceived);
    rx!(bench, at 2, Seg { ..from_peer() });
    assert_eq!(bench.state(id), State::Established);
    rx!(bench, at 3, Seg { data: b"hello".to_vec(), flags: ACK | PSH, ..from_peer() });
    assert_eq!(bench.read(id), b"hello");
}

#[test]
fn a_simultaneous_open_survives_the_crossing_of_both_syn_acks() {
    let (mut bench, id) = connecting();
    tx!(bench, at 0, { flags: SYN });
    rx!(bench, at 1, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    tx!(bench, at 1, { flags: SYN | ACK });
    rx!(bench, at 2, Seg { seq: PEER, flags: SYN | ACK, ..from_peer() });
    tx!(bench, at 2, { ack: PEER + 1, flags: ACK });
    rx!(bench, at 3, from_peer());
    assert_eq!(bench.state(id), State::Established);
}

#[test]
fn nobody_connects_to_a_group_or_to_nobody() {
    let mut bench = Bench::new();
    for address in ["224.0.0.1:80", "255.255.255.255:80", "10.0.0.255:80", "0.0.0.0:80"] {
        let result = bench.stack.tcp_connect(bench.now, None, address.parse().unwrap(), Options::default());
        assert_eq!(result, Err(ConnectError::NotUnicast), "{address}");
    }
    for (remote, reason) in [("192.0.2.1:80", ConnectError::NoRoute), ("10.0.0.2:0", ConnectError::NoPort)] {
        let result = bench.stack.tcp_connect(bench.now, None, remote.parse().unwrap(), Options::default());
        assert_eq!(result, Err(reason), "{remote}");
    }
}

#[test]
fn a_passive_open_waits_in_the_accept_queue_with_its_data() {
    let (mut bench, listener) = Bench::listening(1, Options::default());
    rx!(bench, at 0, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    let answer = tx!(bench, at 0, { seq: US, ack: PEER + 1, flags: SYN | ACK });
    assert_eq!((answer.options.window_scale, answer.options.timestamps), (None, None), "what was not offered");
    assert_eq!(bench.stack.tcp_accept(listener), None);
    rx!(bench, at 1, from_peer());
    // The third segment ends the handshake: nothing answers it.
    bench.silent();
    rx!(bench, at 1, Seg { data: b"GET".to_vec(), ..from_peer() });
    let id = bench.stack.tcp_accept(listener).unwrap();
    assert_eq!(bench.read(id), b"GET");
}

#[test]
fn a_lost_syn_ack_is_sent_again_and_in_the_end_forgotten() {
    let (mut bench, _) = Bench::listening(1, Options::default());
    rx!(bench, at 0, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    tx!(bench, at 0, { flags: SYN | ACK });
    for due in [1_000, 3_000, 7_000, 15_000, 31_000] {
        silent!(bench, at due - 5);
        tx!(bench, at due + 10, { seq: US, ack: PEER + 1, flags: SYN | ACK });
    }
    silent!(bench, at 70_000);
    bench.assert_empty();
}

#[test]
fn a_full_accept_queue_drops_and_recovers() {
    let (mut bench, listener) = Bench::listening(0, Options::default());
    for (index, port) in [5_001u16, 5_002].into_iter().enumerate() {
        bench.peer_port = port;
        bench.iss = None;
        rx!(bench, at 0, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
        if index == 0 {
            tx!(bench, at 0, { flags: SYN | ACK });
            rx!(bench, at 0, from_peer());
        }
    }
    // The queue of backlog 0 holds one; the second SYN got no answer.
    silent!(bench, at 0);
    assert_eq!(bench.dropped(Drop::TcpAcceptQueueFull), 1);
    assert!(bench.stack.tcp_accept(listener).is_some());
    rx!(bench, at 1_000, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    tx!(bench, at 1_000, { flags: SYN | ACK });
    rx!(bench, at 1_001, from_peer());
    assert!(bench.stack.tcp_accept(listener).is_some());
}

#[test]
fn a_full_syn_queue_answers_with_cookies_that_open_real_connections() {
    let (mut bench, listener) = Bench::listening(4, Options::default());
    for port in 0..8 {
        bench.peer_port = 6_000 + port;
        rx!(bench, at 0, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    }
    bench.ignore();
    bench.peer_port = PEER_PORT;
    bench.iss = None;
    let theirs = tcp::Options {
        mss: Some(1_460),
        window_scale: Some(5),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 900, echo: 0 }),
        ..Default::default()
    };
    rx!(bench, at 1, Seg { seq: PEER, ack: 0, flags: SYN, options: theirs, ..from_peer() });
    let answer = tx!(bench, at 1, { seq: US, ack: PEER + 1, flags: SYN | ACK });
    let before = bench.stack.tcp_table_sizes();
    let echo = answer.options.timestamps.unwrap().value;
    let stamps = tcp::Options { timestamps: Some(Timestamps { value: 901, echo }), ..Default::default() };
    // A number that was never given opens nothing.
    rx!(bench, at 2, Seg { ack: US + 99, options: stamps, ..from_peer() });
    tx!(bench, at 2, { flags: RST });
    assert_eq!(bench.stack.tcp_table_sizes(), before);
    rx!(bench, at 3, Seg { options: stamps, data: b"hi".to_vec(), ..from_peer() });
    let id = bench.stack.tcp_accept(listener).unwrap();
    assert_eq!(bench.read(id), b"hi");
    let info = bench.stack.tcp_info(bench.now, id).unwrap();
    assert_eq!((info.sack, info.window_scales, info.timestamps), (true, Some((5, 7)), true));
    assert_eq!(info.send_mss, 1_460 - 12);
}

#[test]
fn a_deferred_accept_waits_for_data() {
    let options = Options { defer_accept: Some(std::time::Duration::from_secs(3)), ..Default::default() };
    let (mut bench, listener) = Bench::listening(5, options);
    rx!(bench, at 0, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    rx!(bench, at 0, from_peer());
    assert_eq!(bench.stack.tcp_accept(listener), None);
    rx!(bench, at 10, Seg { data: b"x".to_vec(), ..from_peer() });
    assert!(bench.stack.tcp_accept(listener).is_some());
}

#[test]
fn closing_a_listener_resets_what_nobody_accepted() {
    let (mut bench, listener) = Bench::listening(5, Options::default());
    rx!(bench, at 0, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    rx!(bench, at 0, from_peer());
    bench.ignore();
    bench.stack.tcp_unlisten(bench.now, listener);
    tx!(bench, at 0, { seq: US + 1, flags: RST | ACK });
    bench.assert_empty();
    rx!(bench, at 1, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    tx!(bench, at 1, { ack: PEER + 1, flags: RST | ACK });
}
