//! Socket filters on segments, and programs that choose a listener.

use super::*;
use crate::counters::Drop;
use sockeye_filter::{Instruction, Program};
use std::sync::Arc;

/// Keeps so many bytes, from the TCP header on.
fn keeping(bytes: u32) -> Option<Arc<Program>> {
    Some(Arc::new(Program::new(&[Instruction::statement(6, bytes)]).unwrap()))
}

fn with(filter: Option<Arc<Program>>) -> Options {
    Options { filter, ..Options::default() }
}

fn data(at: u32, bytes: &[u8]) -> Seg {
    Seg { seq: PEER + 1 + at, data: bytes.to_vec(), ..from_peer() }
}

#[test]
fn a_segment_that_nobody_wants_never_came() {
    let (mut bench, id) = Bench::established(Options::default());
    bench.ignore();
    bench.rx(10, data(0, b"one"));
    assert_eq!(bench.read(id), b"one");
    bench.ignore();
    // Now its beginnings are known, and must be forgotten.
    bench.stack.tcp_set_options(bench.now, id, with(keeping(0)));
    bench.rx(20, data(3, b"two"));
    assert_eq!(bench.read(id), b"");
    bench.silent();
    assert_eq!(bench.dropped(Drop::TcpFilter), 1);
    bench.stack.tcp_set_options(bench.now, id, with(None));
    bench.rx(30, data(3, b"two"));
    bench.rx(31, data(6, b"three"));
    assert_eq!(bench.read(id), b"twothree");
}

#[test]
fn what_is_cut_off_was_not_sent() {
    let (mut bench, id) = Bench::established(with(keeping(22)));
    bench.rx(10, Seg { flags: ACK | FIN, ..data(0, b"abcd") });
    assert_eq!(bench.read(id), b"ab");
    assert!(bench.status(id).peer_closed, "as Linux: the end follows what is left");
    let (mut bench, id) = Bench::established(with(keeping(1)));
    bench.rx(10, data(0, b"abcd"));
    assert_eq!(bench.read(id), b"", "the header is never cut");
    assert_eq!(bench.dropped(Drop::TcpFilter), 0);
}

#[test]
fn a_listeners_filter_is_for_syns_too_and_is_inherited() {
    let syn = || Seg { seq: PEER, flags: SYN, ..from_peer() };
    let (mut bench, listener) = Bench::listening(5, with(keeping(0)));
    bench.rx(0, syn());
    bench.silent();
    assert_eq!(bench.dropped(Drop::TcpFilter), 1);
    bench.stack.tcp_set_listener_options(listener, with(keeping(21)));
    bench.rx(10, syn());
    assert_eq!(bench.tx().flags, SYN | ACK);
    bench.rx(20, from_peer());
    let id = bench.stack.tcp_accept(listener).unwrap();
    bench.stack.tcp_set_listener_options(listener, with(None));
    bench.rx(30, data(0, b"abcd"));
    assert_eq!(bench.read(id), b"a");
}

#[test]
fn a_program_chooses_a_listener() {
    let mut bench = Bench::new();
    let bind = Bind { reuse_port: true, ..Bind::new(OUR_IP.into(), OUR_PORT) };
    let listen = |bench: &mut Bench| {
        let binding = bench.stack.tcp_bind(&bind).unwrap();
        bench.stack.tcp_listen(binding, 5, Options::default()).unwrap()
    };
    let listeners: Vec<ListenerId> = (0..3).map(|_| listen(&mut bench)).collect();
    for wanted in [0, 1, 2] {
        let program = Program::new(&[Instruction::statement(6, wanted)]).unwrap();
        assert!(bench.stack.tcp_set_selection(listeners[0], Some(Arc::new(program))));
        let late = listen(&mut bench);
        assert!(bench.stack.tcp_selection(late).is_some(), "who joins has it, too");
        bench.stack.tcp_unlisten(bench.now, late);
        let flow = crate::tcp::Flow { local: (OUR_IP, OUR_PORT).into(), remote: (PEER_IP, 9).into() };
        assert_eq!(
            bench.stack.tcp.listener_without_segment(&flow, PortId::LOOPBACK),
            None,
            "there is nothing to look at"
        );
        bench.rx(u64::from(wanted), Seg { seq: PEER + 100 * wanted, flags: SYN, ..from_peer() });
        bench.ignore();
        let half_open = |id| bench.stack.tcp.listeners.get(id).map(|listener| listener.half_open);
        let counts: Vec<_> = listeners.iter().map(|&id| half_open(id).unwrap()).collect();
        let index = wanted as usize;
        assert_eq!(counts, [0, 0, 0].iter().enumerate().map(|(at, _)| usize::from(at == index)).collect::<Vec<_>>());
        bench.rx(u64::from(wanted), Seg { seq: PEER + 100 * wanted + 1, flags: RST, ..from_peer() });
    }
    assert!(bench.stack.tcp_set_selection(listeners[0], None));
    assert!(bench.stack.tcp_selection(listeners[2]).is_none());
}
