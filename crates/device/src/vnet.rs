//! The virtio-net header: what remains to be done to a frame, in the kernel's words.
//!
//! Packet sockets and TAPs put these ten bytes before each frame, in the byte order of the machine:
//!
//! ```text
//! flags (1) | gso_type (1) | hdr_len (2) | gso_size (2) | csum_start (2) | csum_offset (2)
//! ```
//!
//! The kernel's `hdr_len` on receive is a hint (what lies in the linear part of its buffer), not the length of the
//! headers, so that is found in the frame itself. CWR in a super-frame has a bit of its own, because a device that does
//! not know of ECN would copy CWR to every piece.
//!
//! # Standards
//!
//! Virtual I/O Device (VIRTIO) 1.3 §5.1.6 (the legacy header, without `num_buffers`); `linux/virtio_net.h`.

use sockeye_wire::Malformed;

use crate::segment::Layout;
use crate::{Checksum, Offload, SegmentKind, Segmentation};

/// Bytes of the header.
pub const HEADER_LEN: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
/// A flag of a received frame: its checksum was verified.
pub const CHECKSUM_VALID: u8 = 2;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
const UDP_L4: u8 = 5;
const ECN: u8 = 0x80;
const CWR: u8 = 0x80;

/// The header for a frame to send. `frame` holds at least its headers.
pub fn encode(offload: &Offload, frame: &[u8]) -> [u8; HEADER_LEN] {
    let Offload { checksum, segmentation } = *offload;
    let mut header = [0; HEADER_LEN];
    let mut put = |at: usize, value: u16| header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    let mut flags = 0;
    let mut transport = None;
    if let Checksum::Partial { start, offset } = checksum {
        flags = NEEDS_CHECKSUM;
        transport = Some(usize::from(start));
        put(6, start);
        put(8, offset);
    }
    let mut kind = 0;
    if let Some(segmentation) = segmentation {
        put(2, segmentation.header_len);
        put(4, segmentation.size);
        let congestion_window_reduced =
            || transport.and_then(|at| frame.get(at + 13)).is_some_and(|flags| flags & CWR != 0);
        kind = match segmentation.kind {
            SegmentKind::TcpV4 => TCP_V4,
            SegmentKind::TcpV6 => TCP_V6,
            SegmentKind::Udp => UDP_L4,
        };
        if segmentation.kind != SegmentKind::Udp && congestion_window_reduced() {
            kind |= ECN;
        }
    }
    header[0] = flags;
    header[1] = kind;
    header
}

/// What the header of a received frame says. `tag` bytes were put into the frame since the kernel described it.
pub fn decode(header: &[u8; HEADER_LEN], frame: &[u8], tag: u16) -> Result<Offload, Malformed> {
    let field = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let checksum = if header[0] & NEEDS_CHECKSUM != 0 {
        let start = field(6).checked_add(tag).ok_or(Malformed::HeaderLength)?;
        let offset = field(8);
        if usize::from(start) + usize::from(offset) + 2 > frame.len() {
            return Err(Malformed::HeaderLength);
        }
        Checksum::Partial { start, offset }
    } else if header[0] & CHECKSUM_VALID != 0 {
        Checksum::Verified
    } else {
        Checksum::Present
    };
    let segmentation = match header[1] & !ECN {
        TCP_V4 | TCP_V6 | UDP_L4 => {
            let (kind, header_len) = Layout::of(frame)?.kind(frame)?;
            let size = field(4);
            if size == 0 {
                return Err(Malformed::TotalLength);
            }
            Some(Segmentation { kind, size, header_len: header_len as u16 })
        }
        // None, or a UDP datagram that the kernel put together from fragments: whole as it is.
        _ => None,
    };
    Ok(Offload { checksum, segmentation })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_frames::{Tcp, tcp_offload, udp, udp_offload};

    #[test]
    fn what_is_encoded_is_decoded() {
        for v6 in [false, true] {
            for flags in [0x10, 0x90] {
                let bytes = Tcp { v6, flags, payload: 5000, ..Tcp::default() }.frame();
                let offload = tcp_offload(&bytes, 1400);
                let header = encode(&offload, &bytes);
                assert_eq!(header[1] & ECN != 0, flags & CWR != 0);
                assert_eq!(decode(&header, &bytes, 0), Ok(offload));
            }
            let bytes = udp(v6, 5000);
            let offload = udp_offload(&bytes, 1400);
            assert_eq!(decode(&encode(&offload, &bytes), &bytes, 0), Ok(offload));
        }
        let plain = Offload::default();
        assert_eq!(encode(&plain, &[]), [0; HEADER_LEN]);
        assert_eq!(decode(&[0; HEADER_LEN], &[], 0), Ok(plain));
        assert_eq!(decode(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[], 0).map(|it| it.checksum), Ok(Checksum::Verified));
    }

    #[test]
    fn a_reinserted_tag_moves_everything() {
        let bytes = Tcp { payload: 5000, ..Tcp::default() }.frame();
        let header = encode(&tcp_offload(&bytes, 1400), &bytes);
        let tagged = Tcp { tags: 1, payload: 5000, ..Tcp::default() }.frame();
        assert_eq!(decode(&header, &tagged, 4), Ok(tcp_offload(&tagged, 1400)));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header: [u8; HEADER_LEN], frame in prop::collection::vec(any::<u8>(), 0..100), tag in 0..5u16) {
            if let Ok(Offload { checksum: Checksum::Partial { start, offset }, .. }) = decode(&header, &frame, tag) {
                prop_assert!(usize::from(start) + usize::from(offset) + 2 <= frame.len());
            }
        }
    }
}
