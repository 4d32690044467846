//! Writing pcapng, the capture format of Wireshark and tcpdump.
//!
//! A file is a section header, a description of each interface, and a block for each frame: three of the format's
//! blocks, so they are written here, with one copy of the frame and no allocation. (The crates for the format build each
//! block from options on the heap; pcap-file, the best kept of them, has only candidates of its next release. Our
//! tests read the file back with it.)
//!
//! Timestamps are in nanoseconds. Each frame says which way it went, and a super-frame is as long as it was, with a
//! comment that tells how it is to be cut: what a wire carried, and what the kernel's own captures would hide.
//!
//! Blocks gather in a buffer and are written when there are enough of them, and at the end.
//!
//! # Standards
//!
//! draft-ietf-opsawg-pcapng-03 §3.1 (blocks), §3.5 (options), §4.1 (section header), §4.2 (interface description),
//! §4.3 (enhanced packet).

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use sockeye_wire::MacAddr;

use crate::Offload;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const LINK_TYPE_ETHERNET: u16 = 1;
const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_MAC: u16 = 6;
const INTERFACE_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;
/// What is gathered before it is written.
const ENOUGH: usize = 64 * 1024;

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To us.
    Inbound,
    /// From us.
    Outbound,
}

/// An interface of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceId(u32);

/// A capture in the making. Dropping it writes what is left; [`Writer::flush`] tells whether that worked.
#[derive(Debug)]
pub struct Writer<W: Write> {
    sink: W,
    buffer: Vec<u8>,
    interfaces: u32,
    comment: String,
}

impl<W: Write> Writer<W> {
    /// Begins a capture.
    pub fn new(sink: W) -> Self {
        let mut writer = Writer { sink, buffer: Vec::new(), interfaces: 0, comment: String::new() };
        writer.block(SECTION_HEADER, |out| {
            out.extend(BYTE_ORDER_MAGIC.to_le_bytes());
            out.extend([1, 0, 0, 0]); // version 1.0
            out.extend(u64::MAX.to_le_bytes()); // the section's length is not known
            option(out, SECTION_APPLICATION, b"sockeye");
            option(out, END_OF_OPTIONS, &[]);
        });
        writer
    }

    /// Adds an interface that frames can be recorded on.
    pub fn add_interface(&mut self, name: &str, mac: MacAddr) -> InterfaceId {
        self.block(INTERFACE_DESCRIPTION, |out| {
            out.extend(LINK_TYPE_ETHERNET.to_le_bytes());
            out.extend([0, 0]);
            out.extend([0; 4]); // frames are recorded whole
            option(out, INTERFACE_NAME, name.as_bytes());
            option(out, INTERFACE_MAC, &mac.0);
            option(out, INTERFACE_RESOLUTION, &[9]); // 10^-9 s
            option(out, END_OF_OPTIONS, &[]);
        });
        self.interfaces += 1;
        InterfaceId(self.interfaces - 1)
    }

    /// Records a frame, given in slices. `time` counts from 1970 (or from the start of a simulation).
    pub fn record<'a>(
        &mut self,
        interface: InterfaceId,
        time: Duration,
        direction: Direction,
        offload: &Offload,
        frame: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<()> {
        let mut comment = std::mem::take(&mut self.comment);
        comment.clear();
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.block(ENHANCED_PACKET, |out| {
            out.extend(interface.0.to_le_bytes());
            out.extend(((nanos >> 32) as u32).to_le_bytes());
            out.extend((nanos as u32).to_le_bytes());
            let lengths = out.len();
            out.extend([0; 8]);
            for slice in frame {
                out.extend_from_slice(slice);
            }
            let len = out.len() - lengths - 8;
            for at in [lengths, lengths + 4] {
                out[at..at + 4].copy_from_slice(&(len as u32).to_le_bytes());
            }
            pad(out, len);
            let flags: u32 = match direction {
                Direction::Inbound => 1,
                Direction::Outbound => 2,
            };
            option(out, PACKET_FLAGS, &flags.to_le_bytes());
            if let Some(segmentation) = offload.segmentation {
                let payload = len.saturating_sub(usize::from(segmentation.header_len));
                let count = payload.div_ceil(usize::from(segmentation.size.max(1)));
                // Writing to a string does not fail.
                let _ = write!(comment, "super-frame: {count} segments of {} bytes", segmentation.size);
                option(out, COMMENT, comment.as_bytes());
            }
            option(out, END_OF_OPTIONS, &[]);
        });
        self.comment = comment;
        if self.buffer.len() >= ENOUGH { self.write_out() } else { Ok(()) }
    }

    /// Writes all that was recorded.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.sink.flush()
    }

    fn write_out(&mut self) -> io::Result<()> {
        let result = self.sink.write_all(&self.buffer);
        self.buffer.clear();
        result
    }

    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.extend(kind.to_le_bytes());
        self.buffer.extend([0; 4]);
        body(&mut self.buffer);
        let len = (self.buffer.len() - start + 4) as u32;
        self.buffer[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
        self.buffer.extend(len.to_le_bytes());
    }
}

impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// Options are short: names and comments of ours, cut to what a length can say.
fn option(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    out.extend(kind.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

fn pad(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&[0; 3][..len.wrapping_neg() % 4]);
}
