//! User datagrams.
//!
//! ```text
//!   0               2               4               6               8
//!  +---------------+---------------+---------------+---------------+--------- - -
//!  | source port   | dest. port    | length        | checksum      | payload
//!  +---------------+---------------+---------------+---------------+--------- - -
//! ```
//!
//! The length repeats what IP knows. It may be smaller than what IP carried, and then it counts; it may not be larger.
//! A checksum of zero means that the sender computed none: fine in IPv4, forbidden in IPv6.
//!
//! # Standards
//!
//! RFC 768 (all of it), RFC 1122 §4.1.3.4 (checksums), RFC 8200 §8.1 (no zero checksum in IPv6), RFC 6935 §5 (but for a
//! port that says so: [`Datagram::has_checksum`]). Jumbograms (RFC 2675 §4, length zero) are refused.

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
    bytes: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram from the payload of an IP packet, cut to the length that it claims.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Datagram<'a>, Malformed> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let bytes = bytes.get(..usize::from(u16_at(header, 4))).ok_or(Malformed::TotalLength)?;
        let payload = bytes.get(HEADER_LEN..).ok_or(Malformed::TotalLength)?;
        Ok(Datagram { header, bytes, payload })
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

    /// Bytes of header and payload.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.bytes.len()
    }

    /// The checksum as it was sent; 0 where there is none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.header, CHECKSUM_OFFSET)
    }

    /// True when the sender has computed a checksum. In IPv6 a datagram without one is for a port only that was opened
    /// for such (a tunnel's), and is otherwise dropped.
    #[inline]
    pub fn has_checksum(&self) -> bool {
        self.checksum() != 0
    }

    /// True when the checksum is right, or rightly absent, for a datagram between these addresses.
    #[inline]
    pub fn verify_checksum(&self, src: IpAddr, dst: IpAddr) -> bool {
        if !self.has_checksum() {
            return src.is_ipv4();
        }
        let mut sum = pseudo_header(src, dst, Protocol::UDP.0, self.bytes.len() as u32);
        sum.add(self.bytes);
        sum.finish() == 0
    }

    /// What the datagram carries.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The meaning of the header.
    #[inline]
    pub fn repr(&self) -> Repr {
        Repr { src_port: self.src_port(), dst_port: self.dst_port() }
    }
}

/// The meaning of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
}

impl Repr {
    /// Writes the header for a payload of `payload_len` bytes and returns [`HEADER_LEN`]. The checksum is left zero; it
    /// goes to [`CHECKSUM_OFFSET`], as [`Sum::finish_nonzero`](crate::checksum::Sum::finish_nonzero) gives it.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than the header, or the payload longer than a datagram can carry.
    #[inline]
    pub fn emit(&self, payload_len: usize, buffer: &mut [u8]) -> usize {
        let Repr { src_port, dst_port } = *self;
        let total_len = u16::try_from(HEADER_LEN + payload_len).expect("a payload that fits a datagram");
        let (header, _) = split::<HEADER_LEN>(buffer);
        put(header, 0, src_port.to_be_bytes());
        put(header, 2, dst_port.to_be_bytes());
        put(header, 4, total_len.to_be_bytes());
        put(header, 6, [0; 2]);
        HEADER_LEN
    }
}

/// What an ICMP error quotes of a datagram: its header, as far as routers must send it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// The port it was sent from.
    pub src_port: u16,
    /// The port it was sent to.
    pub dst_port: u16,
}

impl Quoted {
    /// Reads the first 8 bytes of a quoted IP payload. Its length is not checked against what was quoted.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Quoted, Malformed> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        Ok(Quoted { src_port: u16_at(header, 0), dst_port: u16_at(header, 2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};

    const SRC: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
    const DST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2));
    const DST6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    const HELLO: [u8; 13] = [0x14, 0xe9, 0, 53, 0, 13, 0, 0, b'h', b'e', b'l', b'l', b'o'];

    /// Bad input E1.
    #[test]
    fn every_length() {
        for claimed in 0..=u16::MAX {
            let mut bytes = HELLO;
            bytes[4..6].copy_from_slice(&claimed.to_be_bytes());
            match Datagram::parse(&bytes) {
                Ok(datagram) => {
                    assert!((8..=13).contains(&claimed));
                    assert_eq!(datagram.payload(), &HELLO[8..usize::from(claimed)], "the smaller length counts");
                }
                Err(reason) => {
                    assert!(!(8..=13).contains(&claimed));
                    assert_eq!(reason, Malformed::TotalLength);
                }
            }
        }
        for len in 0..HELLO.len() {
            let expected = if len < 8 { Malformed::Truncated } else { Malformed::TotalLength };
            assert_eq!(Datagram::parse(&HELLO[..len]).unwrap_err(), expected);
        }
    }

    /// Bad input E2.
    #[test]
    fn no_checksum_is_for_ipv4_only() {
        let datagram = Datagram::parse(&HELLO).unwrap();
        assert!(datagram.verify_checksum(SRC, DST));
        assert!(!datagram.verify_checksum(DST6, DST6) && !datagram.has_checksum());
    }

    #[test]
    fn checksum_covers_what_the_length_says() {
        let mut bytes = HELLO;
        let mut sum = pseudo_header(SRC, DST, 17, 13);
        sum.add(&bytes);
        bytes[6..8].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
        let padded = [&bytes[..], &[0xee; 5]].concat();
        assert!(Datagram::parse(&padded).unwrap().verify_checksum(SRC, DST));
        assert!(!Datagram::parse(&padded).unwrap().verify_checksum(SRC, Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn largest_datagram() {
        let mut header = [0; 8];
        Repr { src_port: 1, dst_port: 2 }.emit(65_527, &mut header);
        assert_eq!(header, [0, 1, 0, 2, 0xff, 0xff, 0, 0]);
    }
}
