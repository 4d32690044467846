//! Frames in and out.
//!
//! A [`Device`] is where frames come from and go to: a packet socket, a TAP, a wire in memory. Devices wrap devices.

mod frame;
mod time;

pub use frame::{Capabilities, Checksum, Full, MAX_SUPER_FRAME, Offload, RxFrame, SegmentKind, Segmentation, TxFrame};
pub use time::Instant;
