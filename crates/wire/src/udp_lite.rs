//! UDP-Lite: datagrams of which the checksum may cover the beginning only.
//!
//! ```text
//!   0               2               4               6               8
//!  +---------------+---------------+---------------+---------------+--------- - -
//!  | source port   | dest. port    | coverage      | checksum      | payload
//!  +---------------+---------------+---------------+---------------+--------- - -
//! ```
//!
//! Where UDP has a length, which repeats what IP knows, there is a coverage: how many bytes are summed, from the header on. 0
//! means all; less than the header, or more than there is, is a lie. The header is always summed, so that a checksum of zero
//! is none in either family, and the pseudo-header has the whole length.
//!
//! # Standards
//!
//! RFC 3828 §3.1 (header), §3.2 (pseudo-header), §3.4 (jumbograms, which need a coverage of 0 to be covered in full).

use core::net::IpAddr;

use crate::checksum::pseudo_header;
use crate::field::{put, split, u16_at};
use crate::{Malformed, Protocol};

/// Length of the header.
pub const HEADER_LEN: usize = 8;
/// Where in the header the checksum stands.
pub const CHECKSUM_OFFSET: usize = 6;

/// A datagram in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
    bytes: &'a [u8],
    covered: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram from the whole payload of an IP packet.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Datagram<'a>, Malformed> {
        let (header, payload) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
        let covered = match usize::from(u16_at(header, 4)) {
            0 => bytes,
            coverage @ HEADER_LEN.. => bytes.get(..coverage).ok_or(Malformed::TotalLength)?,
            _ => return Err(Malformed::TotalLength),
        };
        Ok(Datagram { header, payload, bytes, covered })
    }

    /// The sender's port; 0 where it expects no answer.
    #[inline]
    pub fn src_port(&self) -> u16 {
        u16_at(self.header, 0)
    }

    /// The receiver's port.
    #[inline]
    pub fn dst_port(&self) -> u16 {
        u16_at(self.header, 2)
    }

    /// Bytes that the checksum covers, the header's 8 among them: what a receiver compares with the least that it takes.
    #[inline]
    pub fn covered_len(&self) -> usize {
        self.covered.len()
    }

    /// The checksum as it was sent.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.header, CHECKSUM_OFFSET)
    }

    /// True when the checksum is there and right for a datagram between these addresses.
    #[inline]
    pub fn verify_checksum(&self, src: IpAddr, dst: IpAddr) -> bool {
        let mut sum = pseudo_header(src, dst, Protocol::UDP_LITE.0, self.bytes.len() as u32);
        sum.add(self.covered);
        self.checksum() != 0 && sum.finish() == 0
    }

    /// What the datagram carries.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The meaning of the header.
    #[inline]
    pub fn repr(&self) -> Repr {
        Repr { src_port: self.src_port(), dst_port: self.dst_port(), coverage: u16_at(self.header, 4) }
    }
}

/// The meaning of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// How many bytes the checksum covers, 8 or more; 0 for all.
    pub coverage: u16,
}

impl Repr {
    /// Writes the header and returns [`HEADER_LEN`]. The checksum is left zero; it goes to [`CHECKSUM_OFFSET`], as
    /// [`Sum::finish_nonzero`](crate::checksum::Sum::finish_nonzero) gives it over the pseudo-header and
    /// [`Repr::covered_len`] bytes.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than the header.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let Repr { src_port, dst_port, coverage } = *self;
        let (header, _) = split::<HEADER_LEN>(buffer);
        put(header, 0, src_port.to_be_bytes());
        put(header, 2, dst_port.to_be_bytes());
        put(header, 4, coverage.to_be_bytes());
        put(header, 6, [0; 2]);
        HEADER_LEN
    }

    /// How many bytes of a datagram of `total_len` the checksum covers. A coverage that is longer covers all.
    #[inline]
    pub fn covered_len(&self, total_len: usize) -> usize {
        if self.coverage == 0 { total_len } else { usize::from(self.coverage).min(total_len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;

    const SRC: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 1));
    const DST: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 2));
    const HELLO: [u8; 13] = [0x14, 0xe9, 0, 53, 0, 0, 0, 0, b'h', b'e', b'l', b'l', b'o'];

    fn with(coverage: u16) -> [u8; 13] {
        let mut bytes = HELLO;
        bytes[4..6].copy_from_slice(&coverage.to_be_bytes());
        bytes
    }

    #[test]
    fn every_coverage() {
        for coverage in 0..=u16::MAX {
            let bytes = with(coverage);
            let expected = match coverage {
                0 => Ok(13),
                8..=13 => Ok(usize::from(coverage)),
                _ => Err(Malformed::TotalLength),
            };
            assert_eq!(Datagram::parse(&bytes).map(|datagram| datagram.covered_len()), expected);
        }
        for len in 0..8 {
            assert_eq!(Datagram::parse(&HELLO[..len]).unwrap_err(), Malformed::Truncated);
        }
    }

    #[test]
    fn what_is_not_covered_may_change() {
        for coverage in [0, 8, 10, 13] {
            let mut bytes = with(coverage);
            let repr = Datagram::parse(&bytes).unwrap().repr();
            let mut sum = pseudo_header(SRC, DST, 136, 13);
            sum.add(&bytes[..repr.covered_len(13)]);
            bytes[CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
            for at in (0..13).filter(|at| !(4..6).contains(at)) {
                let mut changed = bytes;
                changed[at] ^= 0x10;
                let right = Datagram::parse(&changed).unwrap().verify_checksum(SRC, DST);
                assert_eq!(right, at >= repr.covered_len(13), "coverage {coverage}, byte {at}");
            }
            assert!(Datagram::parse(&bytes).unwrap().verify_checksum(SRC, DST));
        }
    }

    /// RFC 3828 §3.1: a checksum of zero is illegal, in IPv4 too.
    #[test]
    fn no_checksum_is_for_nobody() {
        let local = IpAddr::from([127, 0, 0, 1]);
        let datagram = Datagram::parse(&HELLO).unwrap();
        assert!(!datagram.verify_checksum(SRC, DST) && !datagram.verify_checksum(local, local));
    }
}
