//! Frames in and out.
//!
//! A [`Device`] is where frames come from and go to: a packet socket, a TAP, a wire in memory. Devices wrap devices:
//! one captures, one impairs. What a frame still lacks travels beside it as an [`Offload`], so that 64 KiB of TCP cross
//! a device in one piece, and are cut in the last place possible: by the NIC, by the kernel, or by [`segment`].

mod device;
mod error;
mod frame;
pub mod link;
mod mac;
pub mod memory;
mod packet;
pub mod segment;
mod sys;
mod tap;
#[cfg(test)]
mod test_frames;
mod time;
mod vnet;

pub use device::{Device, DeviceCounters, RxBatch};
pub use error::OpenError;
pub use frame::{Capabilities, Checksum, Full, MAX_SUPER_FRAME, Offload, RxFrame, SegmentKind, Segmentation, TxFrame};
pub use mac::MacChoice;
pub use memory::MemoryDevice;
pub use packet::PacketSocket;
pub use tap::Tap;
pub use time::Instant;
