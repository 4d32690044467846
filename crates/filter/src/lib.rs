//! Classic BPF: the small programs that decide which packets a socket sees, and how much of each.
//!
//! A program is given as [`Instruction`]s, the form in which it comes through `SO_ATTACH_FILTER`, out of `tcpdump -dd`, or out
//! of a [text](parse). [`Program::new`] verifies them by the kernel's rules and keeps them decoded; what exists as a [`Program`]
//! is verified. [`Program::run`] executes it on a [`Packet`] (bytes, where the headers begin in them, and [`Metadata`])
//! and says how many bytes are to be kept; 0 drops the packet.
//!
//! The machine has an accumulator A, an index X, sixteen words of scratch memory, and jumps that go forward only, so
//! each run ends after at most as many steps as there are instructions. It cannot fail, only refuse: a load outside
//! of the packet or a division by zero ends the run with 0. It allocates nothing, keeps nothing and reads no clock.
//!
//! Programs are also made from words: [`compile`] takes the expressions of pcap-filter(7), `tcp port 80 and not src net
//! 10.0.0.0/8`, for Ethernet frames.
//!
//! The judge of "exact to Linux's" is Linux: a test attaches the same random programs to kernel sockets, sends them
//! random packets, and compares (`peers/tests/real/filter.rs`).
//!
//! ```
//! use sockeye_filter::{Metadata, Packet, Program, parse};
//!
//! // tcpdump -ddd 'ip proto 6', cut to 96 bytes.
//! let program = Program::new(&parse("6\n40 0 0 12\n21 0 3 2048\n48 0 0 23\n21 0 1 6\n6 0 0 96\n6 0 0 0\n")?)?;
//!
//! let metadata = Metadata::default();
//! let mut frame = [0; 200];
//! assert_eq!(program.run(&Packet::new(&frame[..], &metadata)), 0);
//! frame[12..14].copy_from_slice(&[0x08, 0x00]);
//! frame[23] = 6;
//! assert_eq!(program.run(&Packet::new(&frame[..], &metadata)), 96);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Standards
//!
//! McCanne and Jacobson, "The BSD Packet Filter" (USENIX, 1993); Linux's `Documentation/networking/filter.rst`, and the
//! behaviour of Linux 6.18 where that says nothing.

pub mod code;

mod ancillary;
mod attributes;
mod expression;
mod instruction;
mod listing;
mod metadata;
mod operation;
mod packet;
mod payload;
mod program;
mod verify;

pub use ancillary::Ancillary;
pub use expression::{ExpressionError, compile};
pub use instruction::Instruction;
pub use listing::{Assembly, Numbers, ParseError, parse};
pub use metadata::{Device, Metadata, VlanTag};
pub use packet::{Bytes, Headers, Packet};
pub use program::{MAX_INSTRUCTIONS, Program};
pub use verify::{Reason, Rejected};
