//! Frames between a device and the stack, with what remains to be done to them.
//!
//! A *super-frame* is one Ethernet frame that carries up to 64 KiB of TCP payload: the sender's device (or the kernel,
//! or the NIC) cuts it into segments of the wire's size, or never cuts it at all when the receiver takes it whole.
//! [`Offload`] says what a frame still lacks before it is fit for a wire: its transport checksum, its segmentation.
//! The same word describes what arrives: a device may have verified the checksum, or the frame may come from a sender
//! on the same machine that never computed one. It is the virtio-net header in the words of this house.

use std::ops::Range;

/// Room for the largest super-frame: a link header, and an IP packet of 65,535 bytes.
pub const MAX_SUPER_FRAME: usize = 18 + 65_535;

/// What devices receive into: room for the largest super-frame and what stands before it. The stack's large chunks have
/// the same size, so that one buffer serves on the wire, in a queue and on the wire again.
pub const BUFFER_LEN: usize = 66 * 1024;

/// What is known, or still to be done, about the transport checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Checksum {
    /// The bytes carry the checksum. A receiver has yet to verify it.
    #[default]
    Present,
    /// The device has verified it (receive only).
    Verified,
    /// The field holds the sum of the pseudo header only. Whoever puts the frame on a real wire sums from `start` to
    /// the end and stores the complement at `start + offset`. On receive: the bytes never left the machine, and are good.
    Partial {
        /// Where the sum begins, from the start of the frame.
        start: u16,
        /// Where the field stands, from `start`.
        offset: u16,
    },
}

/// How a super-frame is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// TCP in IPv4.
    TcpV4,
    /// TCP in IPv6.
    TcpV6,
    /// UDP, each piece a datagram of its own (`UDP_SEGMENT`), in either family.
    Udp,
}

/// The order to cut a super-frame into pieces, each with a copy of the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// What the pieces are.
    pub kind: SegmentKind,
    /// Payload bytes of each piece (the last may have fewer).
    pub size: u16,
    /// Bytes of link, network and transport header together.
    pub header_len: u16,
}

/// What remains to be done to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Offload {
    /// The transport checksum.
    pub checksum: Checksum,
    /// The cut, for a super-frame.
    pub segmentation: Option<Segmentation>,
}

/// A frame from a device. The buffer is owned, so that the stack may keep a large payload where it is instead of
/// copying it: it then takes `buffer` and leaves an empty one, and the device fills in another before it next receives.
#[derive(Debug, Default)]
pub struct RxFrame {
    /// The bytes; only `range` of them is the frame. `buffer.len()` is its whole capacity.
    pub buffer: Vec<u8>,
    /// Where in `buffer` the frame stands, from its Ethernet header on.
    pub range: Range<usize>,
    /// What the device says of checksum and segmentation.
    pub offload: Offload,
}

impl RxFrame {
    /// A frame that owns a copy of `bytes`.
    pub fn copied_from(bytes: &[u8], offload: Offload) -> Self {
        RxFrame { buffer: bytes.to_vec(), range: 0..bytes.len(), offload }
    }

    /// The frame, from its Ethernet header on.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

/// A frame for a device: headers, and slices of somebody's send buffer, gathered on the way out.
#[derive(Clone, Copy, Debug)]
pub struct TxFrame<'a> {
    /// Link, network and transport header in one piece (or a whole frame).
    pub header: &'a [u8],
    /// The payload, in order. May be empty.
    pub payload: &'a [&'a [u8]],
    /// What the device has to do. A super-frame has a [`Checksum::Partial`]: each piece is summed from that.
    pub offload: Offload,
}

impl TxFrame<'_> {
    /// Length of the frame in bytes.
    pub fn len(&self) -> usize {
        self.header.len() + self.payload.iter().map(|slice| slice.len()).sum::<usize>()
    }

    /// True for a frame of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the frame to `out` in one piece.
    pub fn gather(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.header);
        for slice in self.payload {
            out.extend_from_slice(slice);
        }
    }
}

/// The device took nothing: its queue is full. Offer the frame again when it is writable. A full queue pushes back,
/// it does not drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What a device can do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// It completes partial checksums, or delivers where none is needed.
    pub checksum: bool,
    /// It takes TCP super-frames over IPv4.
    pub tcp_v4: bool,
    /// It takes TCP super-frames over IPv6.
    pub tcp_v6: bool,
    /// It takes UDP super-frames.
    pub udp: bool,
}

impl Capabilities {
    /// All of them.
    pub const ALL: Capabilities = Capabilities { checksum: true, tcp_v4: true, tcp_v6: true, udp: true };
    /// None of them: every frame must be fit for a wire.
    pub const NONE: Capabilities = Capabilities { checksum: false, tcp_v4: false, tcp_v6: false, udp: false };
}
