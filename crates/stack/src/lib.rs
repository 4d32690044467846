//! The host, sans-I/O: from Ethernet frames to sockets, with no clock, no system call and no thread.
//!
//! [`Stack`] is the whole of it; its documentation says how to drive it. Behind it, one room for each concern:
//!
//! | room | concern |
//! |---|---|
//! | [`stack`] | frames and time in, frames and events out |
//! | [`port`], `link` | devices as the stack knows them; Ethernet |
//! | [`neighbor`], `arp`, `conflict` | who is behind an address on a link, and whether it is free |
//! | [`route`], [`fib`], `selection`, `redirect`, `path_mtu` | which way a packet goes, and from where |
//! | [`ipv4`] | in, out, fragments |
//! | [`ipv6`] | the same, neighbours, and addresses by themselves |
//! | `icmp` | echoes and errors |
//! | [`multicast`] | groups, and who listens to them |
//! | [`packet`] | frames to and from programs, past all of the above |
//! | [`udp`], [`tcp`] | the transports, and what their owners call |
//! | [`raw`], [`errors`] | packets as they are; what the network says of those that we sent |
//! | [`family`] | what sockets say of each family's packets |
//! | [`bind`] | who holds which port |
//! | [`counters`] | what was dropped and why |
//! | [`hash`], `rng` | secrets, and what they key |
//! | [`wheel`], [`buffer`] | timers, memory |
//! | [`sim`] | many hosts in virtual time |
//!
//! Each transport is a struct that borrows [`Ip`](ip) mutably while it works. Nothing is shared in any other way, nothing
//! locks, and everything is decided by what is passed in: the same frames at the same times, with the same seed, have the
//! same effect.

#![allow(rustdoc::private_intra_doc_links, reason = "module documentation guides those who work in here too")]

mod arp;
pub mod bind;
pub mod buffer;
mod checksum;
mod conflict;
pub mod counters;
mod error_rates;
pub mod errors;
pub mod family;
pub mod fib;
pub mod flow_labels;
pub mod hash;
mod icmp;
mod ip;
mod ipv4;
pub mod ipv6;
mod line;
mod link;
pub mod multicast;
pub mod neighbor;
pub mod packet;
mod path_mtu;
pub mod port;
pub mod raw;
mod reassembly;
mod redirect;
mod resolution;
mod rng;
pub mod route;
mod selection;
pub mod sim;
mod slab;
mod socket_filter;
mod sockets;
pub mod stack;
pub mod tcp;
pub mod udp;
pub mod wheel;

#[cfg(test)]
mod tests;

pub use bind::{Bind, BindError, BindingId};
pub use conflict::Conflict;
pub use error_rates::{ErrorRates, Rate};
pub use family::{FamilyOptions, Preferences};
pub use fib::Route;
pub use ip::IcmpError;
pub use ipv4::output::Fragmentation;
pub use ipv6::autoconf;
pub use port::{Port, PortConfig, PortId};
pub use route::{AddressKind, NoRoute, RouteEntry};
pub use stack::Stack;

use sockeye_device::{Full, TxFrame};

/// What a host is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// Neighbours that are remembered, of all links together.
    pub max_neighbors: usize,
    /// Memory that incomplete datagrams may take, in bytes.
    pub reassembly_memory: usize,
    /// Memory that datagrams which nobody has read may take, in bytes, of all sockets together.
    pub udp_memory: usize,
    /// Memory that frames may take which packet sockets have not read, in bytes, of all sockets together.
    pub packet_memory: usize,
    /// How many errors of ICMP it sends.
    pub error_rates: ErrorRates,
    /// How far packets go where nothing else says: the time to live, and the hop limit until a router says one.
    pub ttl: u8,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_neighbors: 4_096,
            reassembly_memory: 4 << 20,
            udp_memory: 64 << 20,
            packet_memory: 64 << 20,
            error_rates: ErrorRates::default(),
            ttl: 64,
        }
    }
}

/// Where frames go.
pub trait Egress {
    /// Takes a frame for a port's device, or nothing of it.
    fn transmit(&mut self, port: PortId, frame: &TxFrame<'_>) -> Result<(), Full>;
}

/// Something about a socket has changed: look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// At a connection: its status says what.
    Connection(tcp::ConnectionId),
    /// At a listener: there may be connections to accept.
    Listener(tcp::ListenerId),
    /// At a datagram socket: its status says what.
    Udp(udp::SocketId),
    /// At a raw or an echo socket: its status says what.
    Raw(raw::SocketId),
    /// At a packet socket: there are frames, or there is room.
    Packet(packet::SocketId),
}
