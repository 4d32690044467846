//! Routing headers: which way a packet has still to go.
//!
//! A host follows none of them on its own account, so that all it asks is the type and how many segments are left:
//! with none left the header is history and is passed over. With some left it says "parameter problem" at the type it does
//! not know (type 0 is one that nobody may know any more); type 2 and 4 have rules of their own. The bytes of a type are
//! kept as they are; where they are addresses, [`Routing::addresses`] reads them.
//!
//! # Standards
//!
//! RFC 8200 §4.4 (the common part, unknown types), §8.1 (the destination that checksums are about); RFC 5095 §3 (type 0),
//! RFC 6275 §6.4 (type 2), RFC 6554 §3 (type 3), RFC 8754 §2 (type 4).

use core::net::Ipv6Addr;

/// Types of routing headers.
pub mod routing_type {
    /// Any way at all: forbidden (RFC 5095).
    pub const SOURCE_ROUTE: u8 = 0;
    /// To a mobile node's home address (RFC 6275).
    pub const MOBILE: u8 = 2;
    /// Within a network of low power (RFC 6554).
    pub const RPL: u8 = 3;
    /// By segments (RFC 8754).
    pub const SEGMENTS: u8 = 4;
}

/// What a routing header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing<'a> {
    /// How to read the rest.
    pub kind: u8,
    /// How many nodes have still to be visited.
    pub segments_left: u8,
    /// What follows, 4 bytes and a multiple of 8.
    pub data: &'a [u8],
}

impl<'a> Routing<'a> {
    /// Reads a header of `fixed` and what follows its first 4 bytes.
    pub(super) fn of(fixed: &[u8; 8], data: &'a [u8]) -> Routing<'a> {
        Routing { kind: fixed[2], segments_left: fixed[3], data }
    }

    /// The addresses of the types that are made of them (0, 2 and 4), in the order in which they stand there: of type 4 the
    /// last node comes first. None for others.
    pub fn addresses(&self) -> Option<impl DoubleEndedIterator<Item = Ipv6Addr> + ExactSizeIterator + use<'a>> {
        let bytes = self.data.get(4..)?;
        let bytes = match self.kind {
            routing_type::SOURCE_ROUTE | routing_type::MOBILE => bytes,
            routing_type::SEGMENTS => bytes.get(..(usize::from(self.data[0]) + 1) * 16)?,
            _ => return None,
        };
        Some(bytes.as_chunks::<16>().0.iter().copied().map(Ipv6Addr::from))
    }

    /// Where the packet goes in the end, if the type tells: what checksums are about. None when nothing is left, as then
    /// the packet's own destination is it.
    pub fn final_destination(&self) -> Option<Ipv6Addr> {
        if self.segments_left == 0 {
            return None;
        }
        let mut addresses = self.addresses()?;
        if self.kind == routing_type::SEGMENTS { addresses.next() } else { addresses.next_back() }
    }
}
