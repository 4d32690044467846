//! Who is at which port: a table for each of the two protocols, as the ports of one say nothing of the other's.
//!
//! # Standards
//!
//! RFC 3828 §3 (UDP-Lite has an identifier, and with it ports, of its own).

use super::lite::is_lite;
use super::{Socket, SocketId, Udp};
use crate::bind::Bindings;
use crate::hash::Keys;
use crate::sockets::Places;
use sockeye_wire::Protocol;
use std::net::SocketAddr;

/// A protocol's ports.
pub(super) struct Ports {
    /// By local address and port; unspecified for all addresses.
    pub(super) bound: Places<SocketAddr>,
    /// By local and remote address and port.
    pub(super) connected: Places<(SocketAddr, SocketAddr)>,
    pub(super) bindings: Bindings,
}

impl Ports {
    pub(super) fn new(keys: &Keys, [bound, connected, bindings]: [&[u8]; 3]) -> Self {
        Ports {
            bound: Places::new(keys.hasher(bound)),
            connected: Places::new(keys.hasher(connected)),
            bindings: Bindings::new(keys.hasher(bindings)),
        }
    }
}

impl Udp {
    /// The ports of UDP, or of UDP-Lite.
    #[inline]
    pub(super) fn ports(&self, protocol: Protocol) -> &Ports {
        &self.ports[usize::from(is_lite(protocol))]
    }

    /// The same, to change them.
    #[inline]
    pub(super) fn ports_mut(&mut self, protocol: Protocol) -> &mut Ports {
        &mut self.ports[usize::from(is_lite(protocol))]
    }

    /// Puts a socket where datagrams find it.
    pub(super) fn hash(&mut self, id: SocketId) {
        let Some(&Socket { protocol, binding, local, remote, .. }) = self.sockets.get(id) else { return };
        let ports = self.ports_mut(protocol);
        let index = id.index() as u32;
        match remote {
            Some(remote) => ports.connected.insert((local, remote), index),
            None => {
                for place in ports.bindings.places(binding) {
                    ports.bound.insert(place, index);
                }
            }
        }
    }

    /// Takes it away from there.
    pub(super) fn unhash(&mut self, id: SocketId) {
        let Some(&Socket { protocol, binding, local, remote, reuse_port, .. }) = self.sockets.get(id) else { return };
        let ports = self.ports_mut(protocol);
        let index = id.index() as u32;
        match remote {
            Some(remote) => ports.connected.remove(&(local, remote), index),
            None => {
                for place in ports.bindings.places(binding) {
                    if reuse_port {
                        ports.bound.remove_numbered(&place, index);
                    } else {
                        ports.bound.remove(&place, index);
                    }
                }
            }
        }
    }
}
