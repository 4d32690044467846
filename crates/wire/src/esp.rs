//! The encapsulating payload of IPsec, in both families, as far as it can be read without a key.
//!
//! ```text
//!   0                 4                 8
//!  +-----------------+-----------------+----------- - - -+---------+-----+------+----------- - -
//!  | SPI             | sequence number | payload         | padding | pad | next | check value
//!  +-----------------+-----------------+----------- - - -+---------+-----+------+----------- - -
//!                                       `------------ encrypted ---------------'
//! ```
//!
//! The header is in clear; what follows is opaque, and how much of its end is a check value only a security association
//! knows. [`Trailer`] writes and reads the end of the encrypted part, for who has the key or encrypts with none (RFC 2410).
//!
//! # Standards
//!
//! RFC 4303 §2 (format), §2.4 (padding, its bytes count from 1).

use crate::field::{put, split, u32_at};
use crate::{Malformed, Protocol};

/// Length of the header.
pub const HEADER_LEN: usize = 8;
/// Length of the trailer without padding.
pub const TRAILER_LEN: usize = 2;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which security association of the receiver's. 0 is on no wire; to 255 they are reserved.
    pub spi: u32,
    /// Counts the packets of the association.
    pub seq: u32,
}

impl Header {
    /// Reads a header; returns also what follows it.
    pub fn parse(bytes: &[u8]) -> Result<(Header, &[u8]), Malformed> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
        Ok((Header { spi: u32_at(header, 0), seq: u32_at(header, 4) }, rest))
    }

    /// Writes the header and returns [`HEADER_LEN`].
    ///
    /// # Panics
    ///
    /// When the buffer is shorter.
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let (header, _) = split::<HEADER_LEN>(buffer);
        put(header, 0, self.spi.to_be_bytes());
        put(header, 4, self.seq.to_be_bytes());
        HEADER_LEN
    }
}

/// The end of what is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Bytes of padding.
    pub pad_len: u8,
    /// What the payload is.
    pub next_header: Protocol,
}

impl Trailer {
    /// The trailer of a payload of `payload_len` bytes that brings both to a multiple of `block`: the cipher's, and 4 at least.
    pub fn new(payload_len: usize, next_header: Protocol, block: u8) -> Trailer {
        let block = usize::from(block).max(4);
        let pad_len = (payload_len + TRAILER_LEN).next_multiple_of(block) - payload_len - TRAILER_LEN;
        // A block has 255 bytes at most, and padding one less.
        Trailer { pad_len: pad_len as u8, next_header }
    }

    /// Reads the end of the decrypted bytes; returns also the payload before it. The padding is asked what it is.
    pub fn parse(clear: &[u8]) -> Result<(Trailer, &[u8]), Malformed> {
        let (before, &[pad_len, next_header]) = clear.split_last_chunk::<2>().ok_or(Malformed::Truncated)?;
        let payload_len = before.len().checked_sub(usize::from(pad_len)).ok_or(Malformed::TotalLength)?;
        let (payload, padding) = before.split_at(payload_len);
        if !padding.iter().copied().eq(1..=pad_len) {
            return Err(Malformed::Padding);
        }
        Ok((Trailer { pad_len, next_header: Protocol(next_header) }, payload))
    }

    /// Bytes that [`Trailer::emit`] writes.
    #[allow(clippy::len_without_is_empty, reason = "no trailer is empty")]
    pub fn len(&self) -> usize {
        usize::from(self.pad_len) + TRAILER_LEN
    }

    /// Writes padding and trailer and says how long they are.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Trailer::len`].
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let out = &mut buffer[..self.len()];
        for (byte, count) in out.iter_mut().zip(1..=self.pad_len) {
            *byte = count;
        }
        out[usize::from(self.pad_len)..].copy_from_slice(&[self.pad_len, self.next_header.0]);
        out.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields() {
        let bytes = [0, 0, 1, 0, 0, 0, 0, 7, 0xee];
        let (header, rest) = Header::parse(&bytes).unwrap();
        assert_eq!((header, rest), (Header { spi: 0x100, seq: 7 }, &[0xee][..]));
        let mut written = [0xaa; 8];
        assert_eq!(header.emit(&mut written), 8);
        assert_eq!(written, bytes[..8]);
        for len in 0..8 {
            assert_eq!(Header::parse(&bytes[..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn trailers_pad_to_the_block() {
        for block in [1, 4, 8, 16, 255] {
            for payload_len in 0..300 {
                let trailer = Trailer::new(payload_len, Protocol::TCP, block);
                assert!(usize::from(trailer.pad_len) < usize::from(block).max(4));
                let mut clear = vec![0xee; payload_len + trailer.len()];
                assert!(clear.len().is_multiple_of(usize::from(block).max(4)));
                trailer.emit(&mut clear[payload_len..]);
                assert_eq!(Trailer::parse(&clear), Ok((trailer, &vec![0xee; payload_len][..])));
            }
        }
    }

    #[test]
    fn trailers_that_lie_are_refused() {
        assert_eq!(Trailer::parse(&[6]), Err(Malformed::Truncated));
        assert_eq!(Trailer::parse(&[1, 2, 3, 6]), Err(Malformed::TotalLength));
        assert_eq!(Trailer::parse(&[1, 3, 2, 6]), Err(Malformed::Padding));
        assert_eq!(Trailer::parse(&[1, 2, 2, 6]).map(|(trailer, _)| trailer.len()), Ok(4));
    }
}
