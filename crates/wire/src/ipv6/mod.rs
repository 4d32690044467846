//! Internet Protocol, version 6.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +-------+---------------+---------------------------------------+
//!  |   6   | traffic class |              flow label               |
//!  +-------+---------------+-------+---------------+---------------+
//!  |         payload length        |  next header  |   hop limit   |
//!  +-------------------------------+---------------+---------------+
//!  |                         source address                        |
//!  |                           (16 bytes)                          |
//!  +---------------------------------------------------------------+
//!  |                      destination address                      |
//!  |                           (16 bytes)                          |
//!  +---------------------------------------------------------------+
//! ```
//!
//! The header has one length, no checksum and no fragments: what is rare stands in [extension headers](extension), each
//! of which says what the next one is. [`Packet`] reads the fixed part and knows where the payload ends; what the link
//! delivered beyond that is padding and is cut off. A payload length of zero with a hop-by-hop header first is that of a
//! jumbogram: the length then is in an option there, and is found without asking the rest of the header whether it is
//! sound. [`extension::Extensions`] asks that, and says which byte is to blame.
//!
//! # Standards
//!
//! RFC 8200 §3 (header), RFC 2675 §3 (jumbograms), RFC 2474 §3 and RFC 3168 §5 (traffic class), RFC 6437 §2 (flow label),
//! RFC 4443 §2.4 (c) (quoted packets).

mod address;
pub mod extension;

use core::net::Ipv6Addr;

pub use address::{
    ALL_MLDV2_ROUTERS, ALL_NODES, ALL_ROUTERS, Scope, interface_id, is_reserved_interface_id, is_solicited_node,
    link_local, scope, solicited_node, with_interface_id,
};

use crate::field::{array_at, put, split, u16_at, u32_at};
use crate::{Malformed, Protocol};

/// Length of the fixed header.
pub const HEADER_LEN: usize = 40;
/// The largest packet that every link carries whole.
pub const MIN_MTU: usize = 1280;
/// Where in the header the payload length stands.
pub const PAYLOAD_LEN_OFFSET: usize = 4;
/// Where in the header the next header's number stands.
pub const NEXT_HEADER_OFFSET: usize = 6;
/// The largest flow label.
pub const MAX_FLOW_LABEL: u32 = 0xf_ffff;

/// A packet in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet, and cuts off what the link padded.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        let (header, rest) = split_header(bytes)?;
        let payload_len = match u16_at(header, PAYLOAD_LEN_OFFSET) {
            0 if header[NEXT_HEADER_OFFSET] == Protocol::HOP_BY_HOP.0 => jumbo_len(rest),
            payload_len => usize::from(payload_len),
        };
        let payload = rest.get(..payload_len).ok_or(Malformed::TotalLength)?;
        Ok(Packet { header, payload, bytes: &bytes[..HEADER_LEN + payload_len] })
    }

    /// Reads the beginning of a packet, as an ICMP error quotes it: the header must be whole, the payload is what there
    /// is of it. Its payload length only cuts off what follows the packet.
    #[inline]
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        let (header, rest) = split_header(bytes)?;
        let payload = match u16_at(header, PAYLOAD_LEN_OFFSET) {
            0 if header[NEXT_HEADER_OFFSET] == Protocol::HOP_BY_HOP.0 => rest,
            payload_len => rest.get(..usize::from(payload_len)).unwrap_or(rest),
        };
        Ok(Packet { header, payload, bytes: &bytes[..HEADER_LEN + payload.len()] })
    }

    /// Who sent the packet.
    #[inline]
    pub fn src(&self) -> Ipv6Addr {
        Ipv6Addr::from(array_at::<16, HEADER_LEN>(self.header, 8))
    }

    /// Who it is for, or with a routing header whose segments are not all left behind, who is next on the way.
    #[inline]
    pub fn dst(&self) -> Ipv6Addr {
        Ipv6Addr::from(array_at::<16, HEADER_LEN>(self.header, 24))
    }

    /// What the payload begins with: an extension header, or what the packet carries.
    #[inline]
    pub fn next_header(&self) -> Protocol {
        Protocol(self.header[NEXT_HEADER_OFFSET])
    }

    /// How many routers it may still pass, and the next one counts.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// Six bits of differentiated services, two of congestion notification.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        (u16_at(self.header, 0) >> 4) as u8
    }

    /// What the packets of one flow have in common, 20 bits; 0 where the sender does not say.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        u32_at(self.header, 0) & MAX_FLOW_LABEL
    }

    /// The payload length as it was sent: 0 in a jumbogram, and of a quoted packet that of the whole one.
    #[inline]
    pub fn payload_len(&self) -> u16 {
        u16_at(self.header, PAYLOAD_LEN_OFFSET)
    }

    /// Extension headers and what the packet carries.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The packet from its first byte to the end of its payload, without padding.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The meaning of the header.
    #[inline]
    pub fn repr(&self) -> Repr {
        Repr {
            src: self.src(),
            dst: self.dst(),
            next_header: self.next_header(),
            hop_limit: self.hop_limit(),
            traffic_class: self.traffic_class(),
            flow_label: self.flow_label(),
        }
    }
}

/// The meaning of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Who sends the packet.
    pub src: Ipv6Addr,
    /// Who it is for, or where a routing header leads it first.
    pub dst: Ipv6Addr,
    /// What the payload begins with.
    pub next_header: Protocol,
    /// How many routers it may pass, and the next one counts.
    pub hop_limit: u8,
    /// The traffic class.
    pub traffic_class: u8,
    /// The flow label, 20 bits.
    pub flow_label: u32,
}

impl Repr {
    /// Writes the header for a payload of `payload_len` bytes, extension headers among them, and returns
    /// [`HEADER_LEN`]. For more than 65,535 bytes the length is left zero: such a payload begins with hop-by-hop options,
    /// one of which is [`JumboPayload`](extension::HeaderOption::JumboPayload).
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than the header, or a payload beyond 65,535 bytes is none of a jumbogram.
    #[inline]
    pub fn emit(&self, payload_len: usize, buffer: &mut [u8]) -> usize {
        let Repr { src, dst, next_header, hop_limit, traffic_class, flow_label } = *self;
        debug_assert!(flow_label <= MAX_FLOW_LABEL, "a flow label of 20 bits");
        let payload_len = u16::try_from(payload_len).unwrap_or_else(|_| {
            assert!(next_header == Protocol::HOP_BY_HOP, "a payload that fits a packet");
            0
        });
        let first = 0x6000_0000 | u32::from(traffic_class) << 20 | flow_label & MAX_FLOW_LABEL;
        let (header, _) = split::<HEADER_LEN>(buffer);
        put(header, 0, first.to_be_bytes());
        put(header, PAYLOAD_LEN_OFFSET, payload_len.to_be_bytes());
        put(header, NEXT_HEADER_OFFSET, [next_header.0, hop_limit]);
        put(header, 8, src.octets());
        put(header, 24, dst.octets());
        HEADER_LEN
    }
}

#[inline(always)]
fn split_header(bytes: &[u8]) -> Result<(&[u8; HEADER_LEN], &[u8]), Malformed> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
    if header[0] >> 4 != 6 {
        return Err(Malformed::Version);
    }
    Ok((header, rest))
}

/// The payload length of what may be a jumbogram. One that says no length has none. A length below 65,536 is no
/// jumbogram's, but bounds what the walk over the extension headers gets to see and to complain of.
#[cold]
fn jumbo_len(rest: &[u8]) -> usize {
    extension::jumbo_payload_len(rest).map_or(0, |len| len as usize)
}

#[cfg(test)]
mod tests;
