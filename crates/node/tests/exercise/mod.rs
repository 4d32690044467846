//! What must hold for whatever a program asks by netlink: for the kept corpus, for random requests and for the fuzzer alike.

#![allow(unreachable_pub, reason = "the fuzz target uses this file in a crate of its own")]
#![allow(clippy::unwrap_used, reason = "a panic is the verdict")]

use sockeye_device::{Capabilities, Instant};
use sockeye_node::rtnetlink_answers;
use sockeye_stack::{Config, PortConfig, Route, Stack};
use sockeye_wire::MacAddr;

const HEADER_LEN: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// An answer is no longer than a host of a few addresses and routes has to say, and what was asked.
const MOST: usize = 64 * 1024;

/// Requests, one after another; the first byte says whether the socket means what it says.
pub fn netlink_requests(bytes: &[u8]) {
    let Some((&strict, datagram)) = bytes.split_first() else { return };
    let stack = host();
    let answers = rtnetlink_answers(&stack, strict & 1 != 0, datagram);
    let mut rest = datagram;
    for answer in answers {
        let (len, kind, flags, sequence) = header(rest);
        assert!(answer.len() <= MOST + len, "{} bytes", answer.len());
        let mut kinds = Vec::new();
        let mut said = &answer[..];
        while !said.is_empty() {
            let (len, kind, _, of) = header(said);
            assert_eq!((of, word(said, 12)), (sequence, 1), "whose answer it is");
            whole_attributes(kind, &said[HEADER_LEN..len]);
            kinds.push(kind);
            said = &said[len.next_multiple_of(4)..];
        }
        if flags & 0x300 != 0 && !kinds.is_empty() {
            assert!(matches!(kinds.last(), Some(&(ERROR | DONE))), "{kind}: {kinds:?} has no end");
        }
        assert!(
            kinds.iter().rev().skip(1).all(|kind| !matches!(*kind, ERROR | DONE)),
            "{kinds:?} goes on behind its end"
        );
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// Attributes fill what is behind the fixed part.
fn whole_attributes(kind: u16, body: &[u8]) {
    let fixed = match kind {
        16 => 16,
        20 => 8,
        24 | 28 | 32 => 12,
        DONE => 4,
        // What was asked comes back, whatever it was.
        _ => return,
    };
    let mut rest = &body[fixed..];
    while !rest.is_empty() {
        let len = usize::from(u16::from_ne_bytes(*rest.first_chunk().unwrap()));
        assert!(len >= 4 && len <= rest.len(), "an attribute of {len} bytes in {}", rest.len());
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// Length, type, flags and sequence.
fn header(bytes: &[u8]) -> (usize, u16, u16, u32) {
    let len = word(bytes, 0) as usize;
    assert!(len >= HEADER_LEN && len <= bytes.len(), "{len} of {} bytes", bytes.len());
    let halves = word(bytes, 4).to_ne_bytes();
    let [kind, flags] = [[halves[0], halves[1]], [halves[2], halves[3]]].map(u16::from_ne_bytes);
    (len, kind, flags, word(bytes, 8))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(*bytes[at..].first_chunk().unwrap())
}

/// A host with addresses, routes and a neighbour.
fn host() -> Stack {
    let mut stack = Stack::new(Config::default(), [7; 32]);
    let mac = MacAddr([2, 0, 0, 0, 0, 9]);
    let capabilities = Capabilities::default();
    let port = stack.add_port(PortConfig { name: "eth0".to_owned(), mac, mtu: 1500, capabilities });
    for address in ["10.9.0.2/24", "fd09::2/64"] {
        stack.add_address(Instant::ZERO, port, address.parse().unwrap());
    }
    for (destination, gateway) in [("0.0.0.0/0", "10.9.0.1"), ("::/0", "fd09::1")] {
        let next_hop = Some(gateway.parse().unwrap());
        stack.add_route(Route { destination: destination.parse().unwrap(), next_hop, port, source: None, metric: 0 });
    }
    stack
}
