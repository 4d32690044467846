//! What a stream tells of its packets.

use super::*;
use crate::tcp::{Heard, Interest};

/// Hop-by-hop options, then destination options, each with one that is skipped.
const HOP_BY_HOP: [u8; 8] = [60, 0, 0x1e, 4, 1, 2, 3, 4];
const DESTINATION: [u8; 8] = [6, 0, 0x1e, 4, 5, 6, 7, 8];

/// What the peer's packets bear besides.
#[derive(Clone, Copy)]
struct Manner {
    hops: u8,
    flow: u32,
    extended: bool,
}

const PLAIN: Manner = Manner { hops: 9, flow: 0, extended: false };

impl Bench {
    fn rx_as(&mut self, manner: Manner, seg: Seg) {
        let mut segment = self.segment(seg);
        self.sum(PEER_IP, &mut segment);
        let extensions = if manner.extended { [HOP_BY_HOP, DESTINATION].concat() } else { Vec::new() };
        let mut frame = self.headers(OUR_MAC, PEER_IP, Protocol::TCP, extensions.len() + segment.len());
        let network = &mut frame[ethernet::HEADER_LEN..];
        network[..4].copy_from_slice(&(6 << 28 | manner.flow).to_be_bytes());
        network[7] = manner.hops;
        if manner.extended {
            network[6] = 0;
        }
        frame.extend(extensions);
        frame.extend(segment);
        self.stack.handle_frame(self.now, self.port, &mut RxFrame::copied_from(&frame, Offload::default()));
        self.poll();
    }

    fn heard(&self, id: ConnectionId) -> (u8, u32, Option<usize>) {
        let heard = self.stack.tcp_heard(id);
        assert_eq!(heard.port(), Some(self.port));
        (heard.hops, heard.flow, self.stack.tcp_kept(id).map(|kept| kept.headers.len()))
    }

    /// A connection whose handshake went `how`.
    fn opened(interest: Interest, [syn, last]: [Manner; 2]) -> (Bench, ConnectionId) {
        let (mut bench, listener) = Bench::of(true).listens(5, Options { interest, ..Options::default() });
        bench.rx_as(syn, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
        bench.advertise();
        bench.tx();
        bench.rx_as(last, from_peer());
        let id = bench.stack.tcp_accept(listener).unwrap();
        (bench, id)
    }
}

fn data(at: u32, bytes: &[u8]) -> Seg {
    Seg { seq: PEER + 1 + at, data: bytes.to_vec(), ..from_peer() }
}

#[test]
fn who_asks_for_nothing_hears_of_the_handshake_alone() {
    let last = Manner { hops: 8, flow: 0x0b8_12345, extended: true };
    let (mut bench, id) = Bench::opened(Interest::default(), [PLAIN, last]);
    bench.rx_as(PLAIN, data(0, b"more"));
    assert_eq!(bench.heard(id), (8, 0x0b8_12345, None));
    let (bench, id) = Bench::established(Options::default());
    assert_eq!(bench.heard(id).0, 64, "of IPv4, too");
}

#[test]
fn what_is_asked_for_is_of_the_last_packet_in_order() {
    let interest = Interest { any: true, hops: true, class: true, destination: true, ..Interest::default() };
    let extended = Manner { hops: 7, flow: 0x0100_0001, extended: true };
    let (mut bench, id) = Bench::opened(interest, [PLAIN, Manner { hops: 8, ..PLAIN }]);
    assert_eq!(bench.heard(id), (8, 0, Some(40)), "the SYN's header, as hops are asked for");
    bench.rx_as(extended, data(0, b"one"));
    assert_eq!(bench.heard(id), (7, 0x0100_0001, Some(56)));
    // Ahead of a gap, and behind what has come since.
    bench.rx_as(PLAIN, data(6, b"three"));
    assert_eq!(bench.heard(id), (7, 0x0100_0001, Some(56)));
    bench.rx_as(PLAIN, data(3, b"two"));
    assert_eq!(bench.heard(id), (7, 0x0100_0001, Some(56)), "it filled the gap, and does not stand at the end");
    assert_eq!(bench.read(id), b"onetwothree");
    // An acknowledgement stands at the end. Nothing of it is worth keeping.
    bench.rx_as(PLAIN, data(11, b""));
    assert_eq!(bench.heard(id), (9, 0, None));
    bench.rx_as(extended, data(11, b""));
    bench.rx_as(PLAIN, Seg { flags: RST, ..data(11, b"") });
    assert_eq!(bench.heard(id), (7, 0x0100_0001, Some(56)), "an end is no news");
    bench.stack.tcp_close(bench.now, id);
    assert!(bench.stack.tcp.kept.is_empty());
}

#[test]
fn a_wish_begins_and_ends_with_what_was_known_in_advance() {
    let (mut bench, id) = Bench::opened(Interest::default(), [PLAIN; 2]);
    let other = Manner { flow: 5, ..PLAIN };
    bench.rx_as(other, data(0, b"a"));
    bench.rx_as(other, data(1, b"b"));
    let wish = |interest| Options { interest, ..Options::default() };
    let flow = Interest { any: true, flow: true, ..Interest::default() };
    bench.stack.tcp_set_options(bench.now, id, wish(flow));
    bench.rx_as(other, data(2, b"c"));
    assert_eq!(bench.heard(id), (9, 5, Some(40)));
    bench.stack.tcp_set_options(bench.now, id, wish(Interest::default()));
    for (at, manner) in [(3, PLAIN), (4, PLAIN), (5, other)] {
        bench.rx_as(manner, data(at, b"d"));
    }
    assert_eq!(bench.heard(id), (9, 5, Some(40)), "what was kept stays");
    assert_eq!(bench.read(id), b"abcddd");
}

#[test]
fn a_syn_that_comes_to_nothing_leaves_nothing() {
    let interest = Interest { any: true, port: true, ..Interest::default() };
    let (mut bench, _) = Bench::of(true).listens(5, Options { interest, ..Options::default() });
    bench.rx_as(PLAIN, Seg { seq: PEER, ack: 0, flags: SYN, ..from_peer() });
    assert_eq!(bench.stack.tcp.kept.len(), 1);
    bench.rx_as(PLAIN, Seg { seq: PEER + 1, ack: 0, flags: RST, ..from_peer() });
    assert!(bench.stack.tcp.kept.is_empty());
}

#[test]
fn who_connects_hears_of_the_answer_if_it_asks() {
    let all = Interest { any: true, port: true, hops: true, flow: true, ..Interest::default() };
    for interest in [Interest::default(), all] {
        let mut bench = Bench::of(true);
        let remote = SocketAddr::new(six(PEER_IP).into(), OUR_PORT);
        let options = Options { interest, ..Options::default() };
        let id = bench.stack.tcp_connect(bench.now, None, remote, options).unwrap();
        bench.poll();
        bench.advertise();
        let syn = bench.tx();
        (bench.peer_port, bench.our_port) = (OUR_PORT, bench.stack.tcp_addresses(id).unwrap().local.port());
        bench.rx_as(Manner { flow: 3, ..PLAIN }, Seg { seq: PEER, ack: syn.seq + 1, flags: SYN | ACK, ..from_peer() });
        assert_eq!(bench.stack.tcp_status(id).state, State::Established);
        if interest.any {
            assert_eq!(bench.heard(id), (9, 3, Some(40)));
        } else {
            assert_eq!((bench.stack.tcp_heard(id), bench.stack.tcp_kept(id)), (Heard::default(), None));
        }
    }
}
