//! The authentication header of IPsec, in both families.
//!
//! ```text
//!   0        1        2                 4                 8                 12
//!  +--------+--------+-----------------+-----------------+-----------------+---------- - -
//!  | next   | length | 0               | SPI             | sequence number | check value
//!  +--------+--------+-----------------+-----------------+-----------------+---------- - -
//! ```
//!
//! The length counts words of 4 bytes without the first two; in IPv6 the header is a multiple of 8 bytes long, in IPv4
//! of 4, and the check value has the padding in it that this takes. Nothing is verified here: what a value means, only a
//! security association knows.
//!
//! # Standards
//!
//! RFC 4302 §2 (header), §3.3.3.2.1 (padding of the check value).

use crate::field::{put, split, u32_at};
use crate::{Malformed, Protocol};

/// Length of a header without a check value.
pub const HEADER_LEN: usize = 12;
/// The longest check value.
pub const MAX_ICV_LEN: usize = 1012;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Which security association of the receiver's.
    pub spi: u32,
    /// Counts the packets of the association.
    pub seq: u32,
    /// The integrity check value with its padding: a multiple of 4 bytes, at most [`MAX_ICV_LEN`].
    pub icv: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads a header; returns also what comes next, and its bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<(Header<'a>, Protocol, &'a [u8]), Malformed> {
        let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let len = (usize::from(fixed[1]) + 2) * 4;
        let (header, rest) = bytes.split_at_checked(len).ok_or(Malformed::HeaderLength)?;
        Ok((Header::of(header).ok_or(Malformed::HeaderLength)?, Protocol(fixed[0]), rest))
    }

    /// Reads a header that has its right length.
    pub(crate) fn of(header: &'a [u8]) -> Option<Header<'a>> {
        let (fixed, icv) = header.split_first_chunk::<HEADER_LEN>()?;
        Some(Header { spi: u32_at(fixed, 4), seq: u32_at(fixed, 8), icv })
    }

    /// Bytes that [`Header::emit`] writes.
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.icv.len()
    }

    /// Writes the header and says how long it is.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Header::header_len`], or the check value not as [`Header::icv`] wants it.
    pub fn emit(&self, next_header: Protocol, buffer: &mut [u8]) -> usize {
        let Header { spi, seq, icv } = *self;
        assert!(icv.len().is_multiple_of(4) && icv.len() <= MAX_ICV_LEN, "a check value that fits a header");
        let (fixed, rest) = split::<HEADER_LEN>(buffer);
        put(fixed, 0, [next_header.0, (icv.len() / 4 + 1) as u8, 0, 0]);
        put(fixed, 4, spi.to_be_bytes());
        put(fixed, 8, seq.to_be_bytes());
        rest[..icv.len()].copy_from_slice(icv);
        self.header_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 96 bits, as HMAC-SHA1-96 makes them.
    #[rustfmt::skip]
    const HEADER: [u8; 24] = [
        6, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];

    #[test]
    fn fields() {
        let bytes = [&HEADER[..], b"rest"].concat();
        let (header, next, rest) = Header::parse(&bytes).unwrap();
        assert_eq!(header, Header { spi: 0x100, seq: 7, icv: &HEADER[12..] });
        assert_eq!((next, rest), (Protocol::TCP, &b"rest"[..]));
        let mut written = [0xaa; 24];
        assert_eq!(header.emit(next, &mut written), 24);
        assert_eq!(written, HEADER);
    }

    #[test]
    fn lying_lengths_are_refused() {
        for length in 0..=255u8 {
            let mut bytes = HEADER;
            bytes[1] = length;
            let expected = match (usize::from(length) + 2) * 4 {
                len @ 12..=24 => Ok(len - 12),
                _ => Err(Malformed::HeaderLength),
            };
            assert_eq!(Header::parse(&bytes).map(|(header, ..)| header.icv.len()), expected, "length {length}");
        }
        for len in 0..24 {
            let expected = if len < 12 { Malformed::Truncated } else { Malformed::HeaderLength };
            assert_eq!(Header::parse(&HEADER[..len]), Err(expected));
        }
    }
}
