//! What must hold for a host whatever arrives and whatever is asked of it: for the kept corpus and the fuzzer alike.
//!
//! All exercises read their input as a script of small decisions, so every input is a course of events, and every
//! course can be cut short anywhere.

#![allow(unreachable_pub, reason = "the fuzz targets use this file in a crate of their own")]
#![allow(clippy::unwrap_used, reason = "a panic is the verdict")]

#[allow(dead_code, reason = "only its script, and what it demands of what leaves")]
#[path = "../../../device/tests/exercise/mod.rs"]
mod device;
mod frames;
mod operations;
mod packets;

pub use frames::stack_frames;
pub use operations::stack_operations;
pub use packets::stack_packets;
