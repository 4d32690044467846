//! Frames in and out.
//!
//! A [`Device`] is where frames come from and go to: a [`PacketSocket`], a [`Tap`], a wire in [`memory`]. Devices wrap
//! devices: [`Capture`] records what passes, [`Impaired`] loses, delays and corrupts it. What a frame still lacks travels
//! beside it as an [`Offload`], so that 64 KiB of TCP cross a device in one piece, and are cut in the last place possible:
//! by the NIC, by the kernel, or by [`segment`].
//!
//! ```
//! use sockeye_device::{Device, Offload, RxBatch, TxFrame, memory};
//!
//! let (mut near, mut far) = memory::pair();
//! let frame = TxFrame { header: &[0; 14], payload: &[b"hello"], offload: Offload::default() };
//! near.transmit(&frame).expect("room");
//! near.flush()?;
//!
//! let mut batch = RxBatch::new(32);
//! assert_eq!(far.receive(&mut batch)?, 1);
//! assert_eq!(batch.frames()[0].bytes()[14..], *b"hello");
//! # Ok::<(), std::io::Error>(())
//! ```

mod capture;
mod copy;
mod device;
mod error;
mod frame;
pub mod impair;
pub mod link;
mod link_address;
mod mac;
pub mod memory;
pub mod namespace;
mod packet;
pub mod pcapng;
pub mod segment;
mod shared;
mod shared_bytes;
mod sys;
mod tap;
#[cfg(test)]
mod test_frames;
mod time;
pub mod vnet;

pub use capture::Capture;
pub use copy::copy;
pub use device::{Device, DeviceCounters, RxBatch};
pub use error::OpenError;
pub use frame::{
    BUFFER_LEN, Capabilities, Checksum, Full, MAX_SUPER_FRAME, Offload, RxFrame, SegmentKind, Segmentation, TxFrame,
};
pub use impair::{Impaired, Impairer, Impairments};
pub use link_address::LinkAddress;
pub use mac::MacChoice;
pub use memory::MemoryDevice;
pub use packet::PacketSocket;
pub use shared::SharedWords;
pub use shared_bytes::SharedBytes;
pub use tap::Tap;
pub use time::Instant;
