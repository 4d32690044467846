//! Who of several sockets that share a port gets a datagram, where a program says so (`SO_ATTACH_REUSEPORT_CBPF`).
//!
//! The program sees the packet from the first byte of its payload on and returns a number: that of the socket, in the order in which they were
//! bound. When one is closed the last takes its number, as on Linux. Where it names nobody the hash decides. The program is the group's: who
//! joins has it, and whoever is in it may change it.
//!
//! # Standards
//!
//! Linux socket(7).

use super::{SocketId, Udp};
use crate::Stack;
use crate::bind::Bind;
use crate::ip::{Incoming, Ip};
use crate::socket_filter::{self, About};
use sockeye_filter::Program;
use sockeye_wire::udp::HEADER_LEN;
use std::sync::Arc;

/// A datagram, for a program to look at.
pub(super) struct Arrived<'a> {
    pub(super) ip: &'a mut Ip,
    pub(super) incoming: &'a Incoming,
    /// Of its packet.
    pub(super) headers: &'a [u8],
    /// From its UDP header on.
    pub(super) bytes: &'a [u8],
}

impl Arrived<'_> {
    /// The number that a program chooses.
    #[cold]
    pub(super) fn select(&mut self, program: &Program) -> usize {
        let Incoming { destination, unicast, port, .. } = *self.incoming;
        let about = About { destination, unicast, port, random: self.ip.rng.next_u64() };
        socket_filter::select(program, about, &[self.headers, self.bytes], self.headers.len() + HEADER_LEN)
    }
}

impl Stack {
    /// From now on the program chooses among all that share the socket's port (`SO_ATTACH_REUSEPORT_CBPF`); none: the hash does again. False, and
    /// nothing done, if the socket does not share.
    pub fn udp_set_selection(&mut self, id: SocketId, program: Option<Arc<Program>>) -> bool {
        let Some(group) = self.udp.group_of(id) else { return false };
        for index in group {
            if let Some(socket) = self.udp.sockets.at_mut(index) {
                socket.selection = program.clone();
            }
        }
        true
    }

    /// The program that chooses among those that share the socket's port.
    pub fn udp_selection(&self, id: SocketId) -> Option<&Arc<Program>> {
        self.udp.sockets.get(id)?.selection.as_ref()
    }
}

impl Udp {
    /// Who begins to share a port has the program of those that share it already.
    pub(super) fn inherit_selection(&mut self, id: SocketId) {
        let group = self.group_of(id).unwrap_or_default();
        let program = group.iter().find_map(|&index| self.sockets.at(index)?.selection.clone());
        if let (Some(_), Some(socket)) = (&program, self.sockets.get_mut(id)) {
            socket.selection = program;
        }
    }

    /// All that share a port with a socket, itself included. None if it does not share.
    fn group_of(&self, id: SocketId) -> Option<Vec<u32>> {
        let socket = self.sockets.get(id)?;
        let ports = self.ports(socket.protocol);
        let own = ports.bindings.get(socket.binding).filter(|bind| bind.reuse_port)?;
        let bound = ports.bound.find(&socket.bound);
        let bind = |index: u32| -> Option<&Bind> { ports.bindings.get(self.sockets.at(index)?.binding) };
        let itself = id.index() as u32;
        let others = bound.iter().copied().filter(|&index| index != itself);
        let sharing = others.filter(|&index| bind(index).is_some_and(|other| other.shares_with(own)));
        Some(sharing.chain([itself]).collect())
    }
}
