//! The node: the one place with an event loop.
//!
//! ```text
//!   programs                         the node (one thread)                              the wire
//!  ┌─────────┐  a socket pair    ┌──────────┐      ┌──────┐      ┌───────┐   frames   ┌────────┐
//!  │ curl    │<─────────────────>│ boundary │<────>│ host │<────>│ stack │<──────────>│ device │
//!  │ (shim)  │  data, datagrams  └──────────┘      └──────┘      └───────┘            └────────┘
//!  │         │                   ┌──────────┐          ^
//!  │         │<─────────────────>│ server   │──────────┘
//!  └─────────┘  control calls    └──────────┘
//! ```
//!
//! [`Node::open`] takes a [`Config`], opens the interfaces and the control socket; [`Node::run`] serves. A program's data
//! needs no call into the node at all: it is read from and written to a real descriptor, the other end of which the
//! boundary pumps to and from the stack's queues. Only what makes or changes a socket is a request to the control
//! server. An idle node makes no system call.
//!
//! | room | concern |
//! |---|---|
//! | `node` | the loop: who has his turn, and when; what is logged; the end |
//! | `poller`, [`spin`] | one epoll for all that is waited for; whether to look once more before sleeping |
//! | [`ports`] | devices as ports of the stack |
//! | `boundary`, `end`, `pair` | every program's socket: its entry, its quota, its pair |
//! | `stream`, `listener`, `datagram`, `rings` | what goes through a pair, and back |
//! | `local` | two programs of this node that connect to each other |
//! | `graveyard` | sockets that are gone while their programs ask on |
//! | `server`, `requests`, `board` | control calls: who may ask, what is asked, what is said without asking |
//! | `interfaces`, `netlink` | the network as programs see it: ioctls, files, rtnetlink |
//! | `resolve` | names |
//! | `config`, `error` | what it is told before it starts, and why it does not |
//! | `show`, `trace`, `counters` | what people see of it |

mod board;
mod boundary;
mod config;
mod counters;
mod datagram;
mod end;
mod error;
mod graveyard;
mod interfaces;
mod listener;
mod local;
mod netlink;
mod node;
mod pair;
mod poller;
pub mod ports;
mod requests;
mod resolve;
mod rings;
mod server;
mod show;
pub mod spin;
mod stream;
mod trace;

pub use config::{Config, Driver, Interface, Limits, usual_ipv6};
pub use error::Error;
pub use interfaces::rtnetlink::answers as rtnetlink_answers;
pub use node::Node;
pub use sockeye_device::MacChoice;
