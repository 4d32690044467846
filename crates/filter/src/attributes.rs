//! Looking for a netlink attribute: the ancillary loads `SKF_AD_NLATTR` and `SKF_AD_NLATTR_NEST`.
//!
//! An attribute is a length of 16 bits (of header and value), a type of 16 bits of which the upper two are flags, and a value,
//! padded to a multiple of four; both numbers in the machine's byte order. Attributes follow one another until one of
//! them does not fit what is left.
//!
//! # Standards
//!
//! Linux: `<linux/netlink.h>`, `nla_find` and `nla_find_nested`.

use crate::packet::{Bytes, Packet};

const HEADER_LEN: u32 = 4;
const TYPE_MASK: u16 = 0x3fff;

/// Where the first attribute of a type stands, looking from `start` to the end of the packet; 0 if nowhere.
pub(crate) fn find<B: Bytes + ?Sized>(packet: &Packet<'_, B>, start: u32, wanted: u32) -> u32 {
    match packet.data_len().checked_sub(start) {
        Some(len) => find_within(packet, start, len, wanted),
        None => 0,
    }
}

/// Where the first attribute of a type stands within the attribute at `outer`; 0 if nowhere.
pub(crate) fn find_nested<B: Bytes + ?Sized>(packet: &Packet<'_, B>, outer: u32, wanted: u32) -> u32 {
    let Some(left) = packet.data_len().checked_sub(outer) else { return 0 };
    match attribute(packet, outer, left) {
        Some((len, _)) => find_within(packet, outer + HEADER_LEN, len - HEADER_LEN, wanted),
        None => 0,
    }
}

fn find_within<B: Bytes + ?Sized>(packet: &Packet<'_, B>, mut at: u32, mut left: u32, wanted: u32) -> u32 {
    while let Some((len, kind)) = attribute(packet, at, left) {
        if u32::from(kind) == wanted {
            return at;
        }
        let padded = len.next_multiple_of(4);
        let Some(rest) = left.checked_sub(padded) else { return 0 };
        (at, left) = (at + padded, rest);
    }
    0
}

/// Length, with the header, and type of the attribute at an offset, if it is whole.
fn attribute<B: Bytes + ?Sized>(packet: &Packet<'_, B>, at: u32, left: u32) -> Option<(u32, u16)> {
    let [l0, l1, t0, t1] = if left >= HEADER_LEN { packet.at(at.into())? } else { return None };
    let len = u32::from(u16::from_ne_bytes([l0, l1]));
    let whole = (HEADER_LEN..=left).contains(&len);
    whole.then_some((len, u16::from_ne_bytes([t0, t1]) & TYPE_MASK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Metadata;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn attributes_are_found_in_a_row_and_in_each_other() {
        let inner = [attribute(7, b"abcde"), attribute(8, b"")].concat();
        let bytes = [attribute(1, b"x"), attribute(2 | 0x8000, &inner), attribute(3, b"end")].concat();
        let metadata = Metadata::default();
        let packet = Packet::new(&bytes[..], &metadata);
        assert_eq!([1, 2, 3, 4].map(|wanted| find(&packet, 0, wanted)), [0, 8, 28, 0]);
        assert_eq!([7, 8, 3].map(|wanted| find_nested(&packet, 8, wanted)), [12, 24, 0]);
        assert_eq!(find(&packet, bytes.len() as u32 - 3, 3), 0);
        assert_eq!(find(&packet, u32::MAX, 3), 0);
        assert_eq!(find(&packet, 0, 0x8002), 0);
    }

    #[test]
    fn a_length_that_lies_ends_the_search() {
        let metadata = Metadata::default();
        for len in [0_u16, 3, 100] {
            let bytes = [&len.to_ne_bytes()[..], &attribute(1, b"")].concat();
            assert_eq!(find(&Packet::new(&bytes[..], &metadata), 0, 1), 0);
            assert_eq!(find_nested(&Packet::new(&bytes[..], &metadata), 0, 1), 0);
        }
    }
}
