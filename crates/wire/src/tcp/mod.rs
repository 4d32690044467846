//! Segments of the Transmission Control Protocol.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +-------------------------------+-------------------------------+
//!  |          source port          |       destination port        |
//!  +-------------------------------+-------------------------------+
//!  |                        sequence number                        |
//!  +---------------------------------------------------------------+
//!  |                     acknowledgement number                    |
//!  +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
//!  | data  |       |C|E|U|A|P|R|S|F|                               |
//!  | offset|   0   |W|C|R|C|S|S|Y|I|            window             |
//!  |       |       |R|E|G|K|H|T|N|N|                               |
//!  +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
//!  |           checksum            |        urgent pointer         |
//!  +-------------------------------+-------------------------------+
//!  |                   options, 0 to 40 bytes ...
//! ```
//!
//! A segment has no length of its own: it is what IP carried. [`Segment::parse`] checks the data offset against that,
//! and nothing else; which combinations of flags make sense is the connection's question. Options are read by
//! [`Options::parse`], which cannot fail, or one by one by [`OptionIter`], which tells what is wrong with each.
//!
//! The checksum covers addresses too and is often left to a device, so that neither side computes it unasked:
//! [`Segment::verify_checksum`] on the way in; on the way out [`Repr::emit`] leaves the field zero, and the sender puts
//! there what [`checksum`](crate::checksum) makes of pseudo-header, header and payload, or only of the pseudo-header
//! where a device does the rest.
//!
//! # Standards
//!
//! RFC 9293 §3.1 (header), §3.4 (sequence numbers, what a segment occupies of them); the options name their
//! own ([`Options`], [`TcpOption`]).

mod flags;
mod option;
mod options;
mod sack;
mod seq;

use core::net::IpAddr;

pub use flags::Flags;
pub use option::{BadOption, OptionIter, TcpOption, kind};
pub use options::{MAX_OPTIONS_LEN, Options, Timestamps};
pub use sack::{SackBlock, SackBlocks};
pub use seq::SeqNumber;

use crate::checksum::pseudo_header;
use crate::field::{put, split, u16_at, u32_at};
use crate::{Malformed, Protocol};

/// Length of a header without options.
pub const HEADER_LEN: usize = 20;
/// Length of the longest header.
pub const MAX_HEADER_LEN: usize = 60;
/// Where in the header the checksum stands.
pub const CHECKSUM_OFFSET: usize = 16;

/// A segment in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    header: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads a segment from the whole payload of an IP packet. The checksum is not looked at.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Segment<'a>, Malformed> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let header_len = usize::from(header[12] >> 4) * 4;
        let (whole, payload) = bytes.split_at_checked(header_len).ok_or(Malformed::HeaderLength)?;
        let options = whole.get(HEADER_LEN..).ok_or(Malformed::HeaderLength)?;
        Ok(Segment { header, options, payload, bytes })
    }

    /// The sender's port.
    #[inline]
    pub fn src_port(&self) -> u16 {
        u16_at(self.header, 0)
    }

    /// The receiver's port.
    #[inline]
    pub fn dst_port(&self) -> u16 {
        u16_at(self.header, 2)
    }

    /// The number of the first byte of payload, or of the SYN before it.
    #[inline]
    pub fn seq(&self) -> SeqNumber {
        SeqNumber(u32_at(self.header, 4))
    }

    /// What the sender expects next. Counts only with [`Flags::ACK`].
    #[inline]
    pub fn ack(&self) -> SeqNumber {
        SeqNumber(u32_at(self.header, 8))
    }

    /// The control bits.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags(self.header[13])
    }

    /// What the sender will take beyond the acknowledgement, before scaling.
    #[inline]
    pub fn window(&self) -> u16 {
        u16_at(self.header, 14)
    }

    /// The checksum as it was sent.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.header, CHECKSUM_OFFSET)
    }

    /// Where urgent data ends, from the sequence number on. Counts only with [`Flags::URG`].
    #[inline]
    pub fn urgent(&self) -> u16 {
        u16_at(self.header, 18)
    }

    /// Bytes of the header, options included.
    #[inline]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// The options in bytes, a multiple of 4. See [`Options::parse`] and [`OptionIter`].
    #[inline]
    pub fn options_bytes(&self) -> &'a [u8] {
        self.options
    }

    /// What the segment carries.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// How many sequence numbers the segment occupies: its payload, and one each for SYN and FIN.
    #[inline]
    pub fn seq_len(&self) -> u32 {
        let flags = self.flags();
        self.payload.len() as u32 + u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN))
    }

    /// True when the checksum is right for a segment between these addresses.
    #[inline]
    pub fn verify_checksum(&self, src: IpAddr, dst: IpAddr) -> bool {
        let mut sum = pseudo_header(src, dst, Protocol::TCP.0, self.bytes.len() as u32);
        sum.add(self.bytes);
        sum.finish() == 0
    }

    /// The meaning of the header.
    #[inline]
    pub fn repr(&self) -> Repr {
        Repr {
            src_port: self.src_port(),
            dst_port: self.dst_port(),
            seq: self.seq(),
            ack: self.ack(),
            flags: self.flags(),
            window: self.window(),
            urgent: self.urgent(),
            options: Options::parse(self.options),
        }
    }
}

/// The meaning of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// The number of the first byte of payload, or of the SYN before it.
    pub seq: SeqNumber,
    /// What is expected next; counts with [`Flags::ACK`].
    pub ack: SeqNumber,
    /// The control bits.
    pub flags: Flags,
    /// What will be taken beyond the acknowledgement, already scaled.
    pub window: u16,
    /// Where urgent data ends, from the sequence number on; counts with [`Flags::URG`].
    pub urgent: u16,
    /// The options.
    pub options: Options,
}

impl Repr {
    /// Bytes that [`Repr::emit`] writes.
    #[inline]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// Writes the header and says how long it is. The checksum is left zero; it goes to [`CHECKSUM_OFFSET`].
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Repr::header_len`].
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let Repr { src_port, dst_port, seq, ack, flags, window, urgent, ref options } = *self;
        let (header, rest) = split::<HEADER_LEN>(buffer);
        let header_len = HEADER_LEN + options.emit(rest);
        put(header, 0, src_port.to_be_bytes());
        put(header, 2, dst_port.to_be_bytes());
        put(header, 4, seq.0.to_be_bytes());
        put(header, 8, ack.0.to_be_bytes());
        put(header, 12, [((header_len / 4) << 4) as u8, flags.0]);
        put(header, 14, window.to_be_bytes());
        put(header, 16, [0; 2]);
        put(header, 18, urgent.to_be_bytes());
        header_len
    }
}

/// What an ICMP error quotes of a segment: as much as routers must send back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// The port it was sent from.
    pub src_port: u16,
    /// The port it was sent to.
    pub dst_port: u16,
    /// Its sequence number: shows whether whoever sent the error has seen the segment (RFC 5927 §4.1).
    pub seq: SeqNumber,
}

impl Quoted {
    /// Reads the first 8 bytes of a quoted IP payload.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Quoted, Malformed> {
        let header: &[u8; 8] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        Ok(Quoted { src_port: u16_at(header, 0), dst_port: u16_at(header, 2), seq: SeqNumber(u32_at(header, 4)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A SYN from Linux to itself, but for its checksum.
    #[rustfmt::skip]
    const SYN: [u8; 40] = [
        0xbe, 0x72, 0x00, 0x09, 0x30, 0x6b, 0xfd, 0x06, 0, 0, 0, 0, 0xa0, 0x02, 0xff, 0xd7, 0x00, 0x00, 0x00, 0x00,
        2, 4, 0xff, 0xd7, 4, 2, 8, 10, 0xd1, 0x68, 0x51, 0x57, 0x00, 0x00, 0x00, 0x00, 1, 3, 3, 10,
    ];
    /// What stood in the SYN's checksum field, for the device to complete.
    const SYN_PARTIAL: u16 = 0xfe30;

    /// The answer to it, with a whole checksum.
    #[rustfmt::skip]
    const RST: [u8; 20] = [
        0x00, 0x09, 0xbe, 0x72, 0, 0, 0, 0, 0x30, 0x6b, 0xfd, 0x07, 0x50, 0x14, 0x00, 0x00, 0xc5, 0xdf, 0x00, 0x00,
    ];

    fn syn() -> Repr {
        Repr {
            src_port: 48754,
            dst_port: 9,
            seq: SeqNumber(0x306b_fd06),
            ack: SeqNumber(0),
            flags: Flags::SYN,
            window: 65495,
            urgent: 0,
            options: Options {
                mss: Some(65495),
                window_scale: Some(10),
                sack_permitted: true,
                timestamps: Some(Timestamps { value: 0xd168_5157, echo: 0 }),
                sack: SackBlocks::default(),
            },
        }
    }

    #[test]
    fn fields() {
        let segment = Segment::parse(&SYN).unwrap();
        assert_eq!(segment.repr(), syn());
        assert_eq!((segment.header_len(), segment.payload(), segment.seq_len()), (40, &[][..], 1));
        let mut bytes = [0xaa; 40];
        assert_eq!(syn().emit(&mut bytes), 40);
        assert_eq!(bytes, SYN, "we look like Linux");
        assert_eq!(
            syn().to_string(),
            "48754 > 9 SYN seq 812383494 win 65495 <mss 65495, scale 10, sack permitted, time 3513274711 echo 0>"
        );
    }

    /// Bad input C11.
    #[test]
    fn lying_offsets_are_refused() {
        let mut bytes = SYN;
        for words in 0..=15 {
            bytes[12] = words << 4;
            let result = Segment::parse(&bytes).map(|segment| (segment.options_bytes().len(), segment.payload().len()));
            let expected = match usize::from(words) * 4 {
                header_len @ 20..=40 => Ok((header_len - 20, 40 - header_len)),
                _ => Err(Malformed::HeaderLength),
            };
            assert_eq!(result, expected, "offset {words}");
        }
        for len in 0..SYN.len() {
            let expected = if len < 20 { Malformed::Truncated } else { Malformed::HeaderLength };
            assert_eq!(Segment::parse(&SYN[..len]).unwrap_err(), expected);
        }
    }

    /// Bad input C12: the parser has no opinion; reserved bits are ignored and not sent.
    #[test]
    fn every_combination_of_flags() {
        for flags in 0..=255 {
            for reserved in 0..16 {
                let mut bytes = SYN;
                bytes[12] |= reserved;
                bytes[13] = flags;
                let segment = Segment::parse(&bytes).unwrap();
                assert_eq!((segment.flags(), segment.header_len()), (Flags(flags), 40));
                assert_eq!(segment.seq_len(), u32::from(flags & 1) + u32::from(flags >> 1 & 1));
                segment.repr().emit(&mut bytes);
                assert_eq!(bytes[12..14], [0xa0, flags]);
            }
        }
    }

    /// Bad input C13.
    #[test]
    fn checksum_covers_addresses_and_length() {
        let rst = Segment::parse(&RST).unwrap();
        assert!(rst.verify_checksum(LOCAL, LOCAL) && rst.checksum() == 0xc5df);
        assert_eq!(pseudo_header(LOCAL, LOCAL, 6, 40).folded(), SYN_PARTIAL);

        let mut bytes = SYN;
        let mut sum = pseudo_header(LOCAL, LOCAL, 6, 40);
        sum.add(&bytes);
        bytes[CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish().to_be_bytes());
        let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        assert!(Segment::parse(&bytes).unwrap().verify_checksum(LOCAL, LOCAL));
        assert!(!Segment::parse(&bytes).unwrap().verify_checksum(LOCAL, other));
        assert!(!Segment::parse(&[&bytes[..], &[0; 2]].concat()).unwrap().verify_checksum(LOCAL, LOCAL));
        assert!(!Segment::parse(&SYN).unwrap().verify_checksum(LOCAL, LOCAL), "zero is no exception in TCP");
    }

    #[test]
    fn quoted_segments() {
        let quoted = Quoted { src_port: 48754, dst_port: 9, seq: SeqNumber(0x306b_fd06) };
        assert_eq!(Quoted::parse(&SYN[..8]), Ok(quoted));
        assert_eq!(Quoted::parse(&SYN[..7]), Err(Malformed::Truncated));
    }
}
