//! A transport's checksum on the way out: filled in here, or left to the device.
//!
//! For a device that completes checksums only the pseudo header's sum is put in its place, for others, and for a packet
//! that is cut, that of everything.
//!
//! # Standards
//!
//! RFC 768, RFC 8200 §8.1 (UDP has a second form of zero, as zero says that there is no checksum).

use crate::port::OutFrame;
use sockeye_device::Checksum;
use sockeye_wire::Protocol;
use sockeye_wire::checksum::Sum;

/// Fills in the checksum of a whole packet: `at` bytes into the transport header, which begins at `transport`. `sum` is that of
/// the pseudo header.
pub(crate) fn fill(frame: &mut OutFrame, transport: usize, at: u16, mut sum: Sum, protocol: Protocol, by_device: bool) {
    let value = if by_device {
        frame.offload.checksum = Checksum::Partial { start: transport as u16, offset: at };
        sum.folded()
    } else {
        put(&mut frame.buffer, transport + usize::from(at), 0);
        sum.add(&frame.buffer[transport..frame.len]);
        finish(sum, protocol)
    };
    put(&mut frame.buffer, transport + usize::from(at), value);
}

/// The checksum over `header` and `payload`, in which its own place is zero.
pub(crate) fn over(mut sum: Sum, header: &[u8], payload: &[&[u8]], protocol: Protocol) -> u16 {
    sum.add(header);
    for slice in payload {
        sum.add(slice);
    }
    finish(sum, protocol)
}

/// Writes a checksum.
pub(crate) fn put(buffer: &mut [u8], at: usize, value: u16) {
    buffer[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn finish(sum: Sum, protocol: Protocol) -> u16 {
    if protocol == Protocol::UDP { sum.finish_nonzero() } else { sum.finish() }
}
