//! Packet sockets: their calls, and the options of level SOL_PACKET.
//!
//! # Standards
//!
//! Linux packet(7), and `net/packet/af_packet.c` as observed.

use sockeye_device::Instant;
use sockeye_stack::packet::{self, SendError};
use sockeye_stack::{PortId, Stack};

use crate::errno::Errno;
use crate::host::{Host, SocketId, State, set_back};
use crate::names::*;
use crate::settings::{Privilege, Settings, int, read_int};

/// `sockaddr_ll` without its family: a packet socket's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LinkName {
    /// The EtherType, in the machine's own order.
    pub protocol: u16,
    /// The interface's index; 0 is any.
    pub index: u32,
    /// The kind of hardware (ARPHRD_*); 0 without an interface.
    pub hardware: u16,
    /// The interface's own address, if there is one.
    pub address: Option<[u8; 6]>,
}

/// A packet socket, and what was set on it.
#[derive(Clone, Debug)]
pub(crate) struct PacketSocket {
    pub(crate) id: packet::SocketId,
    cooked: bool,
    ignore_outgoing: bool,
    qdisc_bypass: bool,
    origin: bool,
}

impl PacketSocket {
    /// Hands the settings down to the stack.
    pub(crate) fn apply(&self, stack: &mut Stack, settings: &Settings) {
        let own = packet::Options::default();
        let bytes = |size: Option<i32>| size.and_then(|size| usize::try_from(size).ok());
        stack.packet_set_options(
            self.id,
            packet::Options {
                receive_buffer: bytes(settings.receive_buffer).unwrap_or(own.receive_buffer),
                send_buffer: bytes(settings.send_buffer).unwrap_or(own.send_buffer),
                ignore_outgoing: self.ignore_outgoing,
                unseen: self.qdisc_bypass,
            },
        );
    }
}

impl From<SendError> for Errno {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Full => Errno::EAGAIN,
            SendError::Closed => Errno::EBADF,
            SendError::NoPort => Errno::ENXIO,
            SendError::Down => Errno::ENETDOWN,
            SendError::Malformed => Errno::EINVAL,
            SendError::MessageSize => Errno::EMSGSIZE,
        }
    }
}

impl Host {
    /// socket(2) of AF_PACKET. `protocol` as the program gave it: in the network's order.
    pub fn packet_socket(&mut self, kind: i32, protocol: i32, who: Privilege) -> Result<SocketId, Errno> {
        if who != Privilege::Administrator {
            return Err(Errno::EPERM);
        }
        let cooked = match kind {
            SOCK_RAW => false,
            SOCK_DGRAM => true,
            _ => return Err(Errno::ESOCKTNOSUPPORT),
        };
        // As Linux, which takes sixteen bits of it.
        let protocol = u16::from_be(protocol as u16);
        let packet = self.stack.packet_open(cooked, protocol);
        let state = State::Packet(PacketSocket {
            id: packet,
            cooked,
            ignore_outgoing: false,
            qdisc_bypass: false,
            origin: false,
        });
        let id = self.insert(state, Settings::default());
        set_back(&mut self.packets, packet.index(), id);
        Ok(id)
    }

    /// Whether a packet socket is one without link headers (SOCK_DGRAM); none for all others.
    pub fn is_cooked(&self, id: SocketId) -> Option<bool> {
        self.packet(id).ok().map(|packet| packet.cooked)
    }

    /// bind(2) of a packet socket: to a protocol (0: none) and to an interface by its index (0: all).
    pub fn packet_bind(&mut self, id: SocketId, protocol: u16, index: u32) -> Result<(), Errno> {
        let packet = self.packet(id)?.id;
        let port = self.interface(index)?;
        self.stack.packet_bind(packet, protocol, port);
        if let Some(port) = port
            && protocol != 0
            && !self.stack.ports().any(|(id, state)| id == port && state.is_up())
        {
            self.fail(id, Errno::ENETDOWN);
        }
        Ok(())
    }

    /// getsockname(2) of a packet socket.
    pub fn packet_name(&self, id: SocketId) -> Result<LinkName, Errno> {
        let (protocol, port) = self.stack.packet_bound(self.packet(id)?.id).ok_or(Errno::EBADF)?;
        let Some((port, state)) = port.and_then(|port| self.stack.ports().find(|(id, _)| *id == port)) else {
            return Ok(LinkName { protocol, ..LinkName::default() });
        };
        let (index, hardware) = (port.interface_index(), packet::hardware(port));
        Ok(LinkName { protocol, index, hardware, address: Some(state.mac.0) })
    }

    /// send(2) on a packet socket. `to`: protocol (0: the socket's), interface and address, if the program gave them.
    pub fn packet_send(
        &mut self,
        now: Instant,
        id: SocketId,
        to: Option<(u16, u32, &[u8])>,
        payload: &[u8],
    ) -> Result<(), Errno> {
        let socket = self.packet(id)?;
        let (packet, cooked) = (socket.id, socket.cooked);
        let mut send = packet::Send { payload, ..packet::Send::default() };
        if let Some((protocol, index, address)) = to {
            send.port = Some(self.interface(index).map_err(|_| Errno::ENXIO)?.ok_or(Errno::ENXIO)?);
            send.protocol = protocol;
            if cooked {
                let address = address.first_chunk().ok_or(Errno::EINVAL)?;
                send.to = sockeye_wire::MacAddr(*address);
            }
        }
        Ok(self.stack.packet_send(now, packet, &send)?)
    }

    /// What stands behind a packet socket.
    pub(crate) fn packet(&self, id: SocketId) -> Result<&PacketSocket, Errno> {
        match &self.sockets.get(id.0).ok_or(Errno::EBADF)?.state {
            State::Packet(packet) => Ok(packet),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// The port that a program means by an index; none for 0.
    fn interface(&self, index: u32) -> Result<Option<PortId>, Errno> {
        if index == 0 {
            return Ok(None);
        }
        let port = PortId::from_interface_index(index).filter(|port| self.stack.ports().any(|(id, _)| id == *port));
        port.map(Some).ok_or(Errno::ENODEV)
    }

    /// setsockopt(2), if it is an option of packet sockets on one.
    pub(crate) fn set_packet_option(
        &mut self,
        id: SocketId,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Option<Result<(), Errno>> {
        let Host { stack, sockets, .. } = self;
        let socket = sockets.get_mut(id.0)?;
        let State::Packet(packet) = &mut socket.state else { return None };
        if level != SOL_PACKET {
            return (level != SOL_SOCKET).then_some(Err(Errno::ENOPROTOOPT));
        }
        let mut set = || {
            let on = read_int(value);
            match name {
                PACKET_IGNORE_OUTGOING => match on? {
                    on @ (0 | 1) => packet.ignore_outgoing = on == 1,
                    _ => return Err(Errno::EINVAL),
                },
                PACKET_QDISC_BYPASS => packet.qdisc_bypass = on? != 0,
                PACKET_ORIGDEV => packet.origin = on? != 0,
                _ => return Err(Errno::ENOPROTOOPT),
            }
            Ok(())
        };
        let done = set();
        packet.apply(stack, &socket.settings);
        Some(done)
    }

    /// getsockopt(2), if it is an option of packet sockets on one.
    pub(crate) fn packet_option(&mut self, id: SocketId, level: i32, name: i32) -> Option<Result<Vec<u8>, Errno>> {
        let Host { stack, sockets, .. } = self;
        let State::Packet(packet) = &sockets.get(id.0)?.state else { return None };
        Some(match (level, name) {
            (SOL_SOCKET, SO_TYPE) => Ok(int(if packet.cooked { SOCK_DGRAM } else { SOCK_RAW })),
            (SOL_SOCKET, SO_DOMAIN) => Ok(int(AF_PACKET.into())),
            (SOL_SOCKET, SO_PROTOCOL) => {
                // In the network's order, as it was given.
                let protocol = stack.packet_bound(packet.id).map_or(0, |(protocol, _)| protocol);
                Ok(int(protocol.to_be().into()))
            }
            (SOL_SOCKET, _) => return None,
            (SOL_PACKET, PACKET_STATISTICS) => {
                let packet::Statistics { packets, drops } = stack.packet_take_statistics(packet.id);
                Ok([packets.to_ne_bytes(), drops.to_ne_bytes()].concat())
            }
            (SOL_PACKET, PACKET_IGNORE_OUTGOING) => Ok(int(packet.ignore_outgoing.into())),
            (SOL_PACKET, PACKET_QDISC_BYPASS) => Ok(int(packet.qdisc_bypass.into())),
            (SOL_PACKET, PACKET_ORIGDEV) => Ok(int(packet.origin.into())),
            _ => Err(Errno::ENOPROTOOPT),
        })
    }
}
