//! The Berkeley socket calls on Sockeye's stack.
//!
//! A [`Host`] is a stack and the sockets on it. Its methods are the calls that a program knows (socket, bind, listen,
//! accept, connect, send, receive, shutdown, close, setsockopt, getsockopt), with Linux's states, Linux's options and
//! Linux's errors: [`Errno`] is born here and nowhere below. Like the stack it never blocks, reads no clock and makes no
//! system call; what would block is EAGAIN or EINPROGRESS, and [`Host::poll_event`] says when to try again.
//!
//! Data goes two ways: by copy, with [`Host::send`] and [`Host::receive`], or without one, by asking for what stands
//! behind a socket ([`Host::body`]) and using the stack's queues directly, as the node's pumps do.
//!
//! | room | concern |
//! |---|---|
//! | `host` | sockets, their states and the calls on them |
//! | [`settings`], [`advanced`], `switches`, `ipv6`, `raw`, `udp_lite` | what can be set, by level: numbers, bytes, limits, errors |
//! | `options`, `live`, `info`, `heard`, `multicast`, `anycast`, `source_filters`, `filter` | what is asked of or done to a living socket by options |
//! | `packet`, `datagram` | calls of packet sockets; datagrams by copy |
//! | `family`, `flow_labels` | addresses as a program has them, and as the stack has them; labels on lease |
//! | [`names`], `errno`, `convert` | Linux's numbers, and the stack's answers in them |
//! | [`table`] | keys that go stale |

pub mod advanced;
mod anycast;
mod convert;
mod datagram;
pub mod errno;
mod family;
mod filter;
mod flow_labels;
mod heard;
mod host;
mod info;
mod ipv6;
mod live;
mod multicast;
pub mod names;
mod options;
pub mod packet;
mod raw;
mod reports;
pub mod settings;
mod source_filters;
mod switches;
pub mod table;
mod udp_lite;

pub use errno::Errno;
pub use family::scoped;
pub use flow_labels::{Holder, share_number};
pub use host::{Body, Host, Progress, Readiness, Remains, SocketId, SocketView};
pub use live::mtu_info;
pub use options::closed_info;
pub use reports::Reports;
pub use settings::{Privilege, Settings};
