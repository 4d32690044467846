//! What the worked examples share.
//!
//! Each example is a program in `src/bin`: it makes packets with [`sockeye_wire`] and sends them by ordinary Berkeley sockets.
//! Nothing in it knows of Sockeye's node, so it runs on the kernel as it is, and on a node by `sockeye run -- PROGRAM`. (That is
//! why the sockets are those of `socket2` and `nix`, which call libc: a library that makes system calls of its own
//! goes past every interposition.)
//!
//! - [`payload`]: an echo request, a datagram or a segment, with its checksum;
//! - [`packet`]: IP headers, extension headers and fragments around it, and a frame around all;
//! - [`extensions`]: extension headers of IPv6;
//! - [`way`]: three ways to hand a whole packet to the system;
//! - [`receive`]: the other direction;
//! - [`sticky`]: what the system is told once, and writes into every packet of a raw socket;
//! - [`host`]: whom a name means;
//! - [`interface`]: what an interface is called, has and is;
//! - [`complain`]: a beginning with a command line, and an end with one line that names the culprit.

pub mod complain;
pub mod extensions;
pub mod host;
pub mod interface;
pub mod packet;
pub mod payload;
pub mod receive;
pub mod sticky;
pub mod way;

pub use complain::{Explain, Result, start, unsent};
