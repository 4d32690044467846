//! Internet Protocol, version 4.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +-------+-------+---------------+-------------------------------+
//!  |   4   |  IHL  |      TOS      |          total length         |
//!  +-------+-------+---------------+-+-+-+-------------------------+
//!  |         identification        |0|D|M|     fragment offset     |
//!  +---------------+---------------+-+-+-+-------------------------+
//!  |  time to live |    protocol   |        header checksum        |
//!  +---------------+---------------+-------------------------------+
//!  |                         source address                        |
//!  +---------------------------------------------------------------+
//!  |                      destination address                      |
//!  +---------------------------------------------------------------+
//!  |                   options, 0 to 40 bytes ...
//! ```
//!
//! Three lengths must agree: the header's own (IHL, in words), the packet's (total length) and the number of bytes that
//! the link delivered. The first two must nest in this order or the packet is refused; what the link delivered beyond
//! the total length is padding and is cut off. The header checksum is verified apart, by
//! [`Packet::verify_checksum`], since a device may have done so.
//!
//! Options are bytes here; [`options`] reads and writes them. A host looks at them only when there are any, which is
//! nearly never.
//!
//! # Standards
//!
//! RFC 791 §3.1 (header), §3.2 (fragmentation fields); RFC 1122 §3.2.1.1 to §3.2.1.8 (what a host checks);
//! RFC 2474 §3 and RFC 3168 §5 (what became of the type of service); RFC 6864 §4 (identification).

pub mod options;

use core::net::Ipv4Addr;

use crate::checksum::{Sum, sum};
use crate::field::{put, split, u16_at, u32_at};
use crate::{Malformed, Protocol};

/// Length of a header without options.
pub const HEADER_LEN: usize = 20;
/// Length of the longest header.
pub const MAX_HEADER_LEN: usize = 60;
/// The largest packet that every link carries whole.
pub const MIN_MTU: usize = 68;
/// Where in the header the checksum stands.
pub const CHECKSUM_OFFSET: usize = 10;

/// A packet in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet, and cuts off what the link padded. The checksum is not looked at.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let header_len = header_len(header)?;
        let bytes = bytes.get(..usize::from(u16_at(header, 2))).ok_or(Malformed::TotalLength)?;
        let (whole, payload) = bytes.split_at_checked(header_len).ok_or(Malformed::TotalLength)?;
        let options = whole.get(HEADER_LEN..).ok_or(Malformed::HeaderLength)?;
        Ok(Packet { header, options, payload, bytes })
    }

    /// Reads the beginning of a packet, as an ICMP error quotes it: the header must be whole, the payload is what there
    /// is of it. Its total length only cuts off what follows the packet; some hosts quote it changed.
    #[inline]
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let header_len = header_len(header)?;
        let total_len = usize::from(u16_at(header, 2));
        let bytes = bytes.get(..total_len).filter(|whole| whole.len() >= header_len).unwrap_or(bytes);
        let (whole, payload) = bytes.split_at_checked(header_len).ok_or(Malformed::HeaderLength)?;
        let options = whole.get(HEADER_LEN..).ok_or(Malformed::HeaderLength)?;
        Ok(Packet { header, options, payload, bytes })
    }

    /// Who sent the packet.
    #[inline]
    pub fn src(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32_at(self.header, 12))
    }

    /// Who it is for.
    #[inline]
    pub fn dst(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32_at(self.header, 16))
    }

    /// What it carries.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        Protocol(self.header[9])
    }

    /// How many routers it may still pass, and the next one counts.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// The type of service: six bits of differentiated services, two of congestion notification.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.header[1]
    }

    /// What the fragments of one packet have in common.
    #[inline]
    pub fn id(&self) -> u16 {
        u16_at(self.header, 4)
    }

    /// True when no router may cut it.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.header[6] & 0x40 != 0
    }

    /// True for all fragments but the last.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.header[6] & 0x20 != 0
    }

    /// Where the payload stands in the whole packet's, in bytes: a multiple of 8, at most 65,528.
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        (u16_at(self.header, 6) & 0x1fff) << 3
    }

    /// True for a piece of a packet, the first or the last one too.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        u16_at(self.header, 6) & 0x3fff != 0
    }

    /// Bytes of header and payload. Of a quoted packet, of the whole one before it was cut.
    #[inline]
    pub fn total_len(&self) -> usize {
        usize::from(u16_at(self.header, 2))
    }

    /// Bytes of the header, options included.
    #[inline]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// The header's checksum as it was sent.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.header, CHECKSUM_OFFSET)
    }

    /// True when the header's checksum is right.
    #[inline]
    pub fn verify_checksum(&self) -> bool {
        let mut sum = sum(self.header);
        if !self.options.is_empty() {
            sum.add(self.options);
        }
        sum.finish() == 0
    }

    /// The options in bytes, a multiple of 4, mostly none. See [`options::Options`].
    #[inline]
    pub fn options(&self) -> &'a [u8] {
        self.options
    }

    /// What the packet carries.
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
    pub fn repr(&self) -> Repr<'a> {
        Repr {
            src: self.src(),
            dst: self.dst(),
            protocol: self.protocol(),
            ttl: self.ttl(),
            tos: self.tos(),
            id: self.id(),
            dont_fragment: self.dont_fragment(),
            more_fragments: self.more_fragments(),
            fragment_offset: self.fragment_offset(),
            options: self.options,
        }
    }
}

/// The meaning of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// Who sends the packet.
    pub src: Ipv4Addr,
    /// Who it is for.
    pub dst: Ipv4Addr,
    /// What it carries.
    pub protocol: Protocol,
    /// How many routers it may pass, and the next one counts.
    pub ttl: u8,
    /// The type of service.
    pub tos: u8,
    /// What the fragments of one packet have in common.
    pub id: u16,
    /// No router may cut it.
    pub dont_fragment: bool,
    /// More of it comes in other fragments.
    pub more_fragments: bool,
    /// Where the payload stands in the whole packet's, in bytes, a multiple of 8.
    pub fragment_offset: u16,
    /// Options in bytes, at most 40. Padded with "end of options" to a multiple of 4 when they are sent.
    pub options: &'a [u8],
}

impl Repr<'_> {
    /// Bytes that [`Repr::emit`] writes.
    #[inline]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len().next_multiple_of(4)
    }

    /// Writes the header, its checksum included, for a payload of `payload_len` bytes, and says how long it is.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Repr::header_len`], the options longer than 40 bytes, or the packet longer than
    /// 65,535.
    #[inline]
    pub fn emit(&self, payload_len: usize, buffer: &mut [u8]) -> usize {
        let Repr { src, dst, protocol, ttl, tos, id, dont_fragment, more_fragments, fragment_offset, options } = *self;
        debug_assert!(fragment_offset % 8 == 0, "a fragment begins at a multiple of 8 bytes");
        let header_len = self.header_len();
        assert!(header_len <= MAX_HEADER_LEN, "options that fit a header");
        let total_len = u16::try_from(header_len + payload_len).expect("a payload that fits a packet");
        let fragment = u16::from(dont_fragment) << 14 | u16::from(more_fragments) << 13 | fragment_offset >> 3;

        let first = 0x4000 | ((header_len as u16 / 4) << 8) | u16::from(tos);
        let carried = u16::from_be_bytes([ttl, protocol.0]);

        let (header, rest) = split::<HEADER_LEN>(buffer);
        // Summed from the values: reading back at once what was just written in smaller pieces stalls.
        let mut sum = Sum::new();
        for (at, word) in [(0, first), (2, total_len), (4, id), (6, fragment), (8, carried)] {
            put(header, at, word.to_be_bytes());
            sum.add_u16(word);
        }
        for (at, address) in [(12, src), (16, dst)] {
            put(header, at, address.octets());
            sum.add_u32(address.to_bits());
        }
        if !options.is_empty() {
            let (used, padding) = rest[..header_len - HEADER_LEN].split_at_mut(options.len());
            used.copy_from_slice(options);
            padding.fill(options::END);
            sum.add(options);
        }
        put(header, CHECKSUM_OFFSET, sum.finish().to_be_bytes());
        header_len
    }
}

/// The header's length where version and IHL may be believed. Whether so many bytes are there is not asked.
#[inline(always)]
fn header_len(header: &[u8; HEADER_LEN]) -> Result<usize, Malformed> {
    if header[0] >> 4 != 4 {
        return Err(Malformed::Version);
    }
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header_len < HEADER_LEN { Err(Malformed::HeaderLength) } else { Ok(header_len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram from Linux, one byte of payload in it.
    #[rustfmt::skip]
    const PACKET: [u8; 29] = [
        0x45, 0x00, 0x00, 0x1d, 0xdb, 0xa7, 0x40, 0x00, 0x40, 0x11, 0x61, 0x26, 127, 0, 0, 1, 127, 0, 0, 1,
        0x82, 0xd1, 0x00, 0x09, 0x00, 0x09, 0xfe, 0x1c, 0x78,
    ];

    fn repr() -> Repr<'static> {
        Repr {
            src: Ipv4Addr::LOCALHOST,
            dst: Ipv4Addr::LOCALHOST,
            protocol: Protocol::UDP,
            ttl: 64,
            tos: 0,
            id: 0xdba7,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            options: &[],
        }
    }

    fn with(change: impl FnOnce(&mut [u8; 29])) -> Result<(usize, usize), Malformed> {
        let mut bytes = PACKET;
        change(&mut bytes);
        Packet::parse(&bytes).map(|packet| (packet.header_len(), packet.payload().len()))
    }

    #[test]
    fn fields() {
        let packet = Packet::parse(&PACKET).unwrap();
        assert!(packet.verify_checksum() && packet.checksum() == 0x6126);
        assert_eq!(packet.repr(), repr());
        assert_eq!(packet.payload(), &PACKET[20..]);
        let mut bytes = [0xaa; 29];
        assert_eq!(repr().emit(9, &mut bytes), 20);
        assert_eq!(bytes[..20], PACKET[..20]);
    }

    #[test]
    fn fragment_fields() {
        let (mut bytes, mut copy) = (PACKET, PACKET);
        for (word, dont, more, offset) in [
            (0x4000u16, true, false, 0),
            (0x2000, false, true, 0),
            (0x1fff, false, false, 65_528),
            (0x2001, false, true, 8),
            (0x8000, false, false, 0),
        ] {
            bytes[6..8].copy_from_slice(&word.to_be_bytes());
            let packet = Packet::parse(&bytes).unwrap();
            let fields = (packet.dont_fragment(), packet.more_fragments(), packet.fragment_offset());
            assert_eq!(fields, (dont, more, offset), "{word:04x}");
            assert_eq!(packet.is_fragment(), more || offset != 0);
            packet.repr().emit(9, &mut copy);
            assert_eq!(copy[6..8], (word & 0x7fff).to_be_bytes(), "the reserved bit is not sent");
        }
    }

    /// Bad input A1.
    #[test]
    fn lying_lengths_are_refused() {
        for ihl in 0..5 {
            assert_eq!(with(|bytes| bytes[0] = 0x40 | ihl), Err(Malformed::HeaderLength));
        }
        assert_eq!(with(|bytes| bytes[0] = 0x47), Ok((28, 1)));
        for ihl in 8..=15 {
            assert_eq!(with(|bytes| bytes[0] = 0x40 | ihl), Err(Malformed::TotalLength));
        }
        for total in (0..20).chain(30..=u16::MAX) {
            let result = with(|bytes| bytes[2..4].copy_from_slice(&total.to_be_bytes()));
            assert_eq!(result, Err(Malformed::TotalLength), "total length {total}");
        }
        for version in (0..=15).filter(|&version| version != 4) {
            assert_eq!(with(|bytes| bytes[0] = version << 4 | 5), Err(Malformed::Version));
        }
        for len in 0..PACKET.len() {
            let expected = if len < 20 { Malformed::Truncated } else { Malformed::TotalLength };
            assert_eq!(Packet::parse(&PACKET[..len]).unwrap_err(), expected);
        }
    }

    /// Bad input A1.
    #[test]
    fn padding_is_cut_off() {
        for total in 20..=29u16 {
            let payload_len = usize::from(total) - 20;
            assert_eq!(with(|bytes| bytes[2..4].copy_from_slice(&total.to_be_bytes())), Ok((20, payload_len)));
        }
    }

    /// Bad input D7.
    #[test]
    fn quoted_packets_may_be_cut_in_the_payload_only() {
        let mut whole = [&PACKET[..], &[0; 32]].concat();
        for ihl in 0..=15u8 {
            whole[0] = 0x40 | ihl;
            for len in 0..whole.len() {
                let result = Packet::parse_quoted(&whole[..len]);
                let header_len = usize::from(ihl) * 4;
                assert_eq!(result.is_ok(), ihl >= 5 && len >= header_len, "header {header_len}, {len} bytes");
                let Ok(packet) = result else { continue };
                let end = if header_len <= 29 { len.min(29) } else { len };
                assert_eq!(packet.payload(), &whole[header_len..end]);
                assert_eq!(packet.total_len(), 29, "as it was sent");
            }
        }
    }

    #[test]
    fn options_are_padded() {
        for len in 0..=40 {
            let repr = Repr { options: &[options::NO_OPERATION; 40][..len], ..repr() };
            let mut bytes = [0xaa; 60];
            let header_len = repr.emit(0, &mut bytes);
            assert_eq!(header_len, 20 + len.div_ceil(4) * 4);
            let packet = Packet::parse(&bytes[..header_len]).unwrap();
            assert!(packet.verify_checksum());
            assert!(packet.options().iter().enumerate().all(|(at, &byte)| byte == u8::from(at < len)));
        }
    }

    #[test]
    fn as_text() {
        let fragment = Repr { more_fragments: true, fragment_offset: 8, tos: 3, ..repr() };
        let expected = "127.0.0.1 > 127.0.0.1 UDP ttl 64 tos 0x03 DF fragment of 56231 at 8 and more";
        assert_eq!(fragment.to_string(), expected);
    }
}
