//! Bytes to meaning and back: the formats that a host speaks, one file each.
//!
//! Every format has two faces.
//!
//! - A **view** ([`ethernet::Frame`], [`ipv4::Packet`], [`udp::Datagram`], [`tcp::Segment`]) borrows the bytes. `parse`
//!   checks once that every length in the header agrees with the bytes that are there; after that no accessor can fail,
//!   and none can panic: the fixed part of a header is held as an array, so that an offset is checked by the compiler.
//! - A **Repr** is the meaning: plain fields, made by hand or from a view, written to a buffer by `emit`. What a Repr
//!   cannot express (reserved bits, odd padding) is not ours to send. A format of a fixed length ([`arp`]) or of many
//!   shapes ([`icmpv4`], [`icmpv6`], [`igmp`]) goes from bytes to the meaning in one step.
//!
//! Parsing trusts no length against another, allocates nothing and reads no clock. What it refuses it names with
//! [`Malformed`], so that whoever drops a packet can count the reason. Checksums are verified by a call of their own
//! where a device may have done it already.
//!
//! ```
//! use sockeye_wire::{Malformed, Protocol, ethernet, ipv4, tcp};
//!
//! fn destination_port(frame: &[u8]) -> Result<Option<u16>, Malformed> {
//!     let frame = ethernet::Frame::parse(frame)?;
//!     let packet = ipv4::Packet::parse(frame.payload())?;
//!     if packet.protocol() != Protocol::TCP {
//!         return Ok(None);
//!     }
//!     Ok(Some(tcp::Segment::parse(packet.payload())?.dst_port()))
//! }
//! # assert_eq!(destination_port(&[]), Err(Malformed::Truncated));
//! ```
//!
//! The order of bytes is the network's in a buffer and the machine's in a value. Lengths and offsets are in bytes,
//! whatever unit the header uses.
//!
//! | layer | formats |
//! |---|---|
//! | link | [`ethernet`], [`arp`] |
//! | IPv4 | [`ipv4`] and its [options](ipv4::options), [`icmpv4`] with [`irdp`], [`igmp`] |
//! | IPv6 | [`ipv6`] and its [extension headers](ipv6::extension), [`icmpv6`] with [`ndisc`] and [`mld`] |
//! | above both | [`udp`], [`udp_lite`], [`tcp`]; [`ah`], [`esp`] |
//! | common | [`checksum`], [`IpPrefix`], [`MacAddr`], [`Protocol`], [`group`] |

pub mod ah;
pub mod arp;
pub mod checksum;
pub mod esp;
pub mod ethernet;
pub mod group;
pub mod icmpv4;
pub mod icmpv6;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
pub mod irdp;
pub mod mld;
pub mod ndisc;
pub mod tcp;
pub mod udp;
pub mod udp_lite;

mod field;
mod malformed;
mod prefix;
mod protocol;
mod text;

pub use ethernet::{EtherType, MacAddr, MacAddrError, VlanTag};
pub use malformed::Malformed;
pub use prefix::{IpPrefix, PrefixError};
pub use protocol::Protocol;
pub use tcp::SeqNumber;
