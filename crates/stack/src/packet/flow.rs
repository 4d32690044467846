//! Which flow a frame belongs to, as a number: the same for both directions, and for all of a datagram's fragments.
//!
//! Made of the addresses, the protocol and, where a packet is whole, the ports; of a frame that is no IP, of its protocol alone. The key is the
//! host's own, so that no peer can choose its number.
//!
//! # Standards
//!
//! Linux's flow dissector with symmetric keys, as observed. RFC 791 §3.1, RFC 8200 §4.

use super::view::Seen;
use crate::hash::Keyed;
use sockeye_filter::Bytes;
use sockeye_wire::{EtherType, Protocol, ethernet};

/// Extension headers that are walked past.
const HEADERS: usize = 8;
/// Protocols whose header begins with two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

type End = ([u8; 16], [u8; 2]);

/// The number of a frame's flow.
pub(super) fn hash(key: &Keyed, seen: &Seen<'_>) -> u32 {
    let ends = match EtherType(seen.protocol) {
        EtherType::IPV4 => ipv4(&seen.view),
        EtherType::IPV6 => ipv6(&seen.view),
        _ => None,
    };
    let hash = match ends {
        Some((protocol, one, other)) => {
            // In one piece: hashing many small ones costs several times as much.
            let mut bytes = [0; 37];
            bytes[0] = protocol;
            for (place, (address, port)) in bytes[1..].chunks_exact_mut(18).zip([one.min(other), one.max(other)]) {
                place[..16].copy_from_slice(&address);
                place[16..].copy_from_slice(&port);
            }
            key.hash(&bytes)
        }
        None => key.hash(&seen.protocol),
    };
    (hash >> 32) as u32
}

fn ipv4(view: &impl Bytes) -> Option<(u8, End, End)> {
    let header: [u8; 20] = view.read(ethernet::HEADER_LEN)?;
    let whole = u16::from_be_bytes([header[6], header[7]]) & 0x3fff == 0;
    let at = ethernet::HEADER_LEN + usize::from(header[0] & 15) * 4;
    let [source, destination] = ports(view, at, header[9], whole);
    let address = |at: usize| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&header[at..at + 4]);
        address
    };
    Some((header[9], (address(12), source), (address(16), destination)))
}

fn ipv6(view: &impl Bytes) -> Option<(u8, End, End)> {
    let header: [u8; 40] = view.read(ethernet::HEADER_LEN)?;
    let (mut protocol, mut at, mut whole) = (header[6], ethernet::HEADER_LEN + header.len(), true);
    for _ in 0..HEADERS {
        let len = match Protocol(protocol) {
            Protocol::FRAGMENT => {
                whole = false;
                8
            }
            Protocol::HOP_BY_HOP | Protocol::ROUTING | Protocol::DESTINATION_OPTIONS => {
                let Some([_, len]) = view.read(at) else { break };
                usize::from(len) * 8 + 8
            }
            _ => break,
        };
        let Some([next]) = view.read(at) else { break };
        (protocol, at) = (next, at + len);
    }
    let [source, destination] = ports(view, at, protocol, whole);
    let address = |at: usize| header[at..at + 16].try_into().unwrap_or([0; 16]);
    Some((protocol, (address(8), source), (address(24), destination)))
}

fn ports(view: &impl Bytes, at: usize, protocol: u8, whole: bool) -> [[u8; 2]; 2] {
    match view.read(at) {
        Some([one, two, three, four]) if whole && WITH_PORTS.contains(&protocol) => [[one, two], [three, four]],
        _ => [[0; 2]; 2],
    }
}
