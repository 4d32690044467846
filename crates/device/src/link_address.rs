//! The address of a packet socket (`sockaddr_ll`), for programs that open one themselves.
//!
//! A [`PacketSocket`](crate::PacketSocket) is a device of a node's, with all that makes it fast. A program that wants to say
//! or hear a single frame opens a socket of `AF_PACKET` as any other, and needs only this of ours: where it is bound, and where a packet without a
//! link header is to go. The calls are libc's, not the kernel's own: so a program on a node asks the node.
//!
//! # Standards
//!
//! packet(7): "Address types".

use std::io;
use std::os::fd::AsFd;

use sockeye_wire::{EtherType, MacAddr};

use crate::sys;

/// Where a packet socket is, or where what it sends goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// The index of the interface; 0 for all of them, where it says what to receive.
    pub interface: u32,
    /// What to receive, or what is sent without a link header.
    pub ether_type: EtherType,
    /// Who it is for. Says something in [`LinkAddress::send`] on a `SOCK_DGRAM` only.
    pub mac: MacAddr,
}

impl LinkAddress {
    /// Binds a packet socket to the interface; from here on it receives what is of the type.
    pub fn bind(&self, socket: impl AsFd) -> io::Result<()> {
        sys::bind_packet(socket.as_fd(), self.ether_type.0, self.interface)
    }

    /// Sends one packet by the interface: on a `SOCK_RAW` with its link header, on a `SOCK_DGRAM` without.
    pub fn send(&self, socket: impl AsFd, packet: &[u8]) -> io::Result<usize> {
        sys::send_packet(socket.as_fd(), packet, self.ether_type.0, self.interface, self.mac.0)
    }
}
