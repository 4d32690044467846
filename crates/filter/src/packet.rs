//! A packet as a program sees it: bytes, of which a socket's data is the rear part, and the offsets that reach them.
//!
//! ```text
//!   bytes:   | link header | network header | transport header | payload |
//!            link          network          data, here of a UDP socket
//! ```
//!
//! A program counts from where the socket's data begins: the link header for a packet socket, the network header for a raw
//! or cooked one, the transport header for UDP and TCP. Offsets at [`NETWORK_OFFSET`] and [`LINK_OFFSET`] and above count from
//! those headers instead, even where they stand before the data. All other negative offsets reach nothing.
//!
//! The bytes may be in one piece or in several ([`Bytes`]): a frame that is sent is headers here and payload there.

use crate::code::{LINK_OFFSET, NETWORK_OFFSET};
use crate::metadata::Metadata;

/// Bytes to load from, in whatever pieces they are.
pub trait Bytes {
    /// How many there are.
    fn len(&self) -> usize;

    /// The `N` bytes at `at`, if all of them are there.
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Bytes for [u8] {
    #[inline(always)]
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at..)?.first_chunk().copied()
    }
}

/// Pieces, one after the other.
impl Bytes for [&[u8]] {
    fn len(&self) -> usize {
        self.iter().map(|piece| piece.len()).sum()
    }

    fn read<const N: usize>(&self, mut at: usize) -> Option<[u8; N]> {
        let mut pieces = self.iter();
        let first = loop {
            let piece = pieces.next()?;
            match piece.get(at..) {
                Some(rest) => break rest,
                None => at -= piece.len(),
            }
        };
        if let Some(whole) = first.first_chunk() {
            return Some(*whole);
        }
        let mut rest = first.iter().chain(pieces.copied().flatten());
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = *rest.next()?;
        }
        Some(bytes)
    }
}

/// Where the headers begin, in bytes from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// The link header, where there is one.
    pub link: Option<usize>,
    /// The network header.
    pub network: usize,
    /// The data of the socket: what a program calls offset 0.
    pub data: usize,
}

/// A packet to run a program on.
#[derive(Debug)]
pub struct Packet<'a, B: Bytes + ?Sized = [u8]> {
    bytes: &'a B,
    headers: Headers,
    metadata: &'a Metadata,
}

impl<'a, B: Bytes + ?Sized> Packet<'a, B> {
    /// Bytes without headers, as on a Unix socket: an offset from the network header is one from the first byte.
    pub fn new(bytes: &'a B, metadata: &'a Metadata) -> Packet<'a, B> {
        Packet::with_headers(bytes, Headers { link: None, network: 0, data: 0 }, metadata)
    }

    /// Bytes with headers. What is said to begin beyond the last byte is not there.
    pub fn with_headers(bytes: &'a B, headers: Headers, metadata: &'a Metadata) -> Packet<'a, B> {
        Packet { bytes, headers, metadata }
    }

    /// The packet's length, from where the data begins.
    pub fn data_len(&self) -> u32 {
        u32::try_from(self.bytes.len().saturating_sub(self.headers.data)).unwrap_or(u32::MAX)
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        self.metadata
    }

    /// Where the network header begins, from the data; negative if it stands before.
    pub(crate) fn network(&self) -> i64 {
        signed(self.headers.network) - signed(self.headers.data)
    }

    /// The `N` bytes at an offset that a program gives.
    #[inline(always)]
    pub(crate) fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let at = if offset.cast_signed() >= 0 {
            self.headers.data.checked_add(offset as usize)?
        } else {
            self.beyond_data(offset)?
        };
        self.bytes.read(at)
    }

    /// The `N` bytes at a distance from the data, which may be negative.
    pub(crate) fn at<const N: usize>(&self, distance: i64) -> Option<[u8; N]> {
        let at = signed(self.headers.data).checked_add(distance)?;
        self.bytes.read(usize::try_from(at).ok()?)
    }

    /// An offset from the network or the link header, from the first byte.
    #[cold]
    fn beyond_data(&self, offset: u32) -> Option<usize> {
        if let Some(offset) = offset.checked_sub(NETWORK_OFFSET) {
            self.headers.network.checked_add(offset as usize)
        } else {
            self.headers.link?.checked_add(offset.checked_sub(LINK_OFFSET)? as usize)
        }
    }
}

/// No slice is longer than this can say; what claims to be is beyond any of them either way.
fn signed(offset: usize) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_read_as_the_whole_does() {
        let whole: Vec<u8> = (0..20).collect();
        let pieces: [&[u8]; 6] = [&[], &whole[..3], &whole[3..4], &[], &whole[4..6], &whole[6..]];
        assert_eq!(Bytes::len(&pieces[..]), whole.len());
        for at in 0..24 {
            assert_eq!(pieces.read::<1>(at), whole[..].read::<1>(at));
            assert_eq!(pieces.read::<2>(at), whole[..].read::<2>(at));
            assert_eq!(pieces.read::<4>(at), whole[..].read::<4>(at));
        }
        assert_eq!(pieces.read::<4>(usize::MAX), None);
    }

    #[test]
    fn offsets_count_from_the_headers() {
        let bytes: Vec<u8> = (0..40).collect();
        let metadata = Metadata::default();
        let headers = Headers { link: Some(0), network: 14, data: 34 };
        let packet = Packet::with_headers(&bytes[..], headers, &metadata);
        assert_eq!(packet.data_len(), 6);
        assert_eq!(packet.load(0), Some([34]));
        assert_eq!(packet.load(4), Some([38, 39]));
        assert_eq!(packet.load::<2>(5), None);
        assert_eq!(packet.load(NETWORK_OFFSET), Some([14]));
        assert_eq!(packet.load(NETWORK_OFFSET + 25), Some([39]));
        assert_eq!(packet.load::<1>(NETWORK_OFFSET + 26), None);
        assert_eq!(packet.load(LINK_OFFSET + 12), Some([12, 13]));
        assert_eq!(packet.load::<1>(LINK_OFFSET - 1), None);
        assert_eq!(packet.load::<1>(u32::MAX), None);
        assert_eq!(Packet::new(&bytes[..], &metadata).load::<1>(LINK_OFFSET), None);
        assert_eq!(packet.at(-34), Some([0]));
        assert_eq!(packet.at::<1>(-35), None);
    }

    #[test]
    fn headers_beyond_the_bytes_are_not_there() {
        let metadata = Metadata::default();
        let headers = Headers { link: Some(usize::MAX), network: usize::MAX, data: usize::MAX };
        let packet = Packet::with_headers(&[1, 2, 3][..], headers, &metadata);
        assert_eq!(packet.data_len(), 0);
        for offset in [0, 1, NETWORK_OFFSET + 1, LINK_OFFSET + 1] {
            assert_eq!(packet.load::<1>(offset), None);
        }
    }
}
