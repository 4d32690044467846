//! Sockeye as a library: a host in user space, inside a program of yours.
//!
//! A [`Node`] is what `sockeye up` runs: devices, stack, sockets and the control socket by which unmodified programs
//! find it (`sockeye run`). It is told what to be by a [`Config`], and serves on the thread that runs it.
//!
//! ```no_run
//! use sockeye::{Config, Driver, Interface, MacChoice, Node};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new("/run/sockeye/mine.sock");
//! config.interfaces.push(Interface {
//!     name: "eth0".into(),
//!     addresses: vec!["10.0.0.2/24".parse()?],
//!     mac: MacChoice::Auto,
//!     driver: Driver::Packet,
//! });
//! Node::open(config)?.run()?;
//! # Ok(())
//! # }
//! ```
//!
//! The rooms below are crates of their own: `sockeye-stack` is the host without any I/O (and `sim`, many hosts in virtual
//! time), `sockeye-socket` the Berkeley calls on it, `sockeye-device` and `sockeye-wire` frames and bytes.

pub mod host;

pub use host::Host;
pub use sockeye_node::{Config, Driver, Error, Interface, Limits, MacChoice, Node};
