//! Packet sockets: their calls, and the options of level SOL_PACKET.
//!
//! # Standards
//!
//! Linux packet(7), and `net/packet/af_packet.c` as observed.

mod fanout;
mod rings;

use sockeye_device::{Offload, vnet};
use sockeye_stack::packet::ring::{Geometry, Version};
use sockeye_stack::packet::{self, Reception, SendError};
use sockeye_stack::{PortId, Stack};

use crate::errno::Errno;
use crate::host::{Host, SocketId, State, set_back};
use crate::names::*;
use crate::settings::{Privilege, Settings, int, read_int};

pub use rings::Rings;

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
    options: Options,
    memberships: Vec<Membership>,
    /// Rings for what arrives and for what is sent, where there are some.
    receiving: Option<Geometry>,
    sending: Option<Geometry>,
}

/// What is set on a packet socket.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    ignore_outgoing: bool,
    qdisc_bypass: bool,
    origin: bool,
    auxiliary: bool,
    /// How long the header before each frame is; 0: there is none.
    virtual_header: usize,
    loss: bool,
    copy_threshold: i32,
    timestamp: i32,
    reserve: u32,
    placed: bool,
    version: Version,
}

/// What is to be received besides, by `struct packet_mreq`, and how often that was said.
#[derive(Clone, Debug)]
struct Membership {
    port: PortId,
    kind: u16,
    address: Vec<u8>,
    count: u32,
}

/// What PACKET_VNET_HDR_SZ may be: `struct virtio_net_hdr`, and the same with a count of buffers.
const SHORT_HEADER: i32 = vnet::HEADER_LEN as i32;
const LONG_HEADER: i32 = packet::VirtualHeader::LONGEST as i32;

/// `PACKET_MR_*`.
const MULTICAST: u16 = 0;
const PROMISCUOUS: u16 = 1;
const ALL_MULTICAST: u16 = 2;
const UNICAST: u16 = 3;
/// Of one socket; the kernel bounds them by its memory.
const MEMBERSHIPS: usize = 1_024;

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
                ignore_outgoing: self.options.ignore_outgoing,
                unseen: self.options.qdisc_bypass,
                virtual_header: self.options.virtual_header,
                reserve: self.options.reserve as usize,
                placed: self.options.placed,
                loss: self.options.loss,
                copy: self.options.copy_threshold != 0,
            },
        );
    }
}

impl PacketSocket {
    /// PACKET_ADD_MEMBERSHIP, PACKET_DROP_MEMBERSHIP.
    fn set_membership(&mut self, stack: &mut Stack, add: bool, value: &[u8]) -> Result<(), Errno> {
        let request: &[u8; 16] = value.first_chunk().ok_or(Errno::EINVAL)?;
        let index = u32::from_ne_bytes([request[0], request[1], request[2], request[3]]);
        let (kind, len) = (u16::from_ne_bytes([request[4], request[5]]), u16::from_ne_bytes([request[6], request[7]]));
        let address = value.get(8..8 + usize::from(len)).ok_or(Errno::EINVAL)?.to_vec();
        let port = PortId::from_interface_index(index).filter(|port| stack.ports().any(|(id, _)| id == *port));
        let port = port.ok_or(Errno::ENODEV)?;
        let same = |one: &Membership| (one.port, one.kind, &one.address) == (port, kind, &address);
        let found = self.memberships.iter().position(same);
        match (add, found) {
            (true, Some(at)) => self.memberships[at].count = self.memberships[at].count.saturating_add(1),
            (true, None) => {
                let exact = matches!(kind, MULTICAST | UNICAST);
                if len > 6 || exact && len != 6 {
                    return Err(Errno::EINVAL);
                }
                if self.memberships.len() >= MEMBERSHIPS {
                    return Err(Errno::ENOBUFS);
                }
                stack.packet_receive_more(port, reception(kind), true);
                self.memberships.push(Membership { port, kind, address, count: 1 });
            }
            (false, Some(at)) => {
                self.memberships[at].count -= 1;
                if self.memberships[at].count == 0 {
                    self.memberships.swap_remove(at);
                    stack.packet_receive_more(port, reception(kind), false);
                }
            }
            // As Linux has it.
            (false, None) => {}
        }
        Ok(())
    }

    /// The end of all memberships.
    pub(crate) fn leave_all(&mut self, stack: &mut Stack) {
        for Membership { port, kind, .. } in self.memberships.drain(..) {
            stack.packet_receive_more(port, reception(kind), false);
        }
    }
}

/// What a device has to let through for a membership.
fn reception(kind: u16) -> Reception {
    Reception {
        promiscuous: matches!(kind, PROMISCUOUS | UNICAST),
        all_multicast: matches!(kind, ALL_MULTICAST | MULTICAST),
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
            options: Options::default(),
            memberships: Vec::new(),
            receiving: None,
            sending: None,
        });
        let id = self.insert(state, Settings::default());
        set_back(&mut self.packets, packet.index(), id);
        Ok(id)
    }

    /// Whether a packet socket is one without link headers (SOCK_DGRAM); none for all others.
    pub fn is_cooked(&self, id: SocketId) -> Option<bool> {
        self.packet(id).ok().map(|packet| packet.cooked)
    }

    /// bind(2) of a packet socket: to a protocol (0: the one it has) and to an interface by its index (0: all).
    pub fn packet_bind(&mut self, id: SocketId, protocol: u16, index: u32) -> Result<(), Errno> {
        let packet = self.packet(id)?.id;
        // Who is in a group stays where it is bound.
        if self.stack.packet_group(packet).is_some() {
            return Err(Errno::EINVAL);
        }
        let port = self.interface(index)?;
        let own = self.stack.packet_bound(packet).map_or(0, |(own, _)| own);
        let protocol = if protocol == 0 { own } else { protocol };
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
    pub fn packet_send(&mut self, id: SocketId, to: Option<(u16, u32, &[u8])>, payload: &[u8]) -> Result<(), Errno> {
        let socket = self.packet(id)?;
        let (mut payload, mut offload) = (payload, Offload::default());
        if let Some(behind) = socket.options.virtual_header.checked_sub(vnet::HEADER_LEN) {
            let (header, rest) = payload.split_first_chunk().ok_or(Errno::EINVAL)?;
            let frame = rest.get(behind..).ok_or(Errno::EINVAL)?;
            offload = packet::offload(header, frame)?;
            payload = frame;
        }
        let send = packet::Send { payload, offload, ..self.packet_way(id, to)? };
        let packet = self.packet(id)?.id;
        Ok(self.stack.packet_send(packet, &send)?)
    }

    /// What a program that sends has said of where to.
    fn packet_way(&self, id: SocketId, to: Option<(u16, u32, &[u8])>) -> Result<packet::Send<'static>, Errno> {
        let mut send = packet::Send::default();
        if let Some((protocol, index, address)) = to {
            send.port = Some(self.interface(index).map_err(|_| Errno::ENXIO)?.ok_or(Errno::ENXIO)?);
            send.protocol = protocol;
            if self.packet(id)?.cooked {
                let address = address.first_chunk().ok_or(Errno::EINVAL)?;
                send.to = Some(sockeye_wire::MacAddr(*address));
            }
        }
        Ok(send)
    }

    /// Whether the program wants to know more of each frame (PACKET_AUXDATA), of a packet socket.
    pub fn wants_auxiliary(&self, id: SocketId) -> bool {
        self.packet(id).is_ok_and(|packet| packet.options.auxiliary)
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
        if let Some(done) = self.set_fanout_option(id, level, name, value) {
            return Some(done);
        }
        let Host { stack, sockets, .. } = self;
        let socket = sockets.get_mut(id.0)?;
        let State::Packet(packet) = &mut socket.state else { return None };
        if (level, name) == (SOL_SOCKET, SO_REUSEPORT) && read_int(value).is_ok_and(|on| on != 0) {
            return Some(Err(Errno::EOPNOTSUPP));
        }
        if level != SOL_PACKET {
            return (level != SOL_SOCKET).then_some(Err(Errno::ENOPROTOOPT));
        }
        let (cooked, has_rings) = (packet.cooked, packet.receiving.is_some() || packet.sending.is_some());
        if matches!(name, PACKET_ADD_MEMBERSHIP | PACKET_DROP_MEMBERSHIP) {
            return Some(packet.set_membership(stack, name == PACKET_ADD_MEMBERSHIP, value));
        }
        let options = &mut packet.options;
        let mut set = || {
            let on = match name {
                // As Linux judges these: not a byte more than an int.
                PACKET_VERSION
                | PACKET_COPY_THRESH
                | PACKET_RESERVE
                | PACKET_LOSS
                | PACKET_TIMESTAMP
                | PACKET_TX_HAS_OFF
                | PACKET_QDISC_BYPASS
                | PACKET_IGNORE_OUTGOING
                    if value.len() != size_of::<i32>() =>
                {
                    Err(Errno::EINVAL)
                }
                _ => read_int(value),
            };
            match name {
                PACKET_IGNORE_OUTGOING => match on? {
                    on @ (0 | 1) => options.ignore_outgoing = on == 1,
                    _ => return Err(Errno::EINVAL),
                },
                PACKET_QDISC_BYPASS => options.qdisc_bypass = on? != 0,
                // There is one interface below each.
                PACKET_ORIGDEV => options.origin = on? != 0,
                PACKET_AUXDATA => options.auxiliary = on? != 0,
                PACKET_COPY_THRESH => options.copy_threshold = on?,
                // Software takes the time, whatever is asked for, as without hardware that does.
                PACKET_TIMESTAMP => options.timestamp = on?,
                // As Linux, which says nothing where it is too late.
                PACKET_TX_HAS_OFF => options.placed = if has_rings { options.placed } else { on? != 0 },
                PACKET_VNET_HDR | PACKET_VNET_HDR_SZ if cooked => return Err(Errno::EINVAL),
                PACKET_VNET_HDR_SZ if !matches!(on?, 0 | SHORT_HEADER | LONG_HEADER) => return Err(Errno::EINVAL),
                PACKET_VNET_HDR | PACKET_VNET_HDR_SZ | PACKET_LOSS | PACKET_RESERVE | PACKET_VERSION => {
                    let on = on?;
                    if has_rings {
                        return Err(Errno::EBUSY);
                    }
                    match name {
                        PACKET_VNET_HDR => options.virtual_header = if on == 0 { 0 } else { vnet::HEADER_LEN },
                        // It is one of three.
                        PACKET_VNET_HDR_SZ => options.virtual_header = usize::try_from(on).unwrap_or(0),
                        PACKET_LOSS => options.loss = on != 0,
                        PACKET_RESERVE => options.reserve = u32::try_from(on).map_err(|_| Errno::EINVAL)?,
                        _ => {
                            options.version = match on {
                                0 => Version::V1,
                                1 => Version::V2,
                                2 => Version::V3,
                                _ => return Err(Errno::EINVAL),
                            }
                        }
                    }
                }
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
        if let Some(told) = self.fanout_option(id, level, name) {
            return Some(told);
        }
        let Host { stack, sockets, .. } = self;
        let State::Packet(packet) = &sockets.get(id.0)?.state else { return None };
        let options = packet.options;
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
                let packet::Statistics { packets, drops, freezes } = stack.packet_take_statistics(packet.id);
                let mut value = [packets.to_ne_bytes(), drops.to_ne_bytes()].concat();
                if packet.options.version == Version::V3 {
                    value.extend(freezes.to_ne_bytes());
                }
                Ok(value)
            }
            (SOL_PACKET, PACKET_IGNORE_OUTGOING) => Ok(int(options.ignore_outgoing.into())),
            (SOL_PACKET, PACKET_QDISC_BYPASS) => Ok(int(options.qdisc_bypass.into())),
            (SOL_PACKET, PACKET_ORIGDEV) => Ok(int(options.origin.into())),
            (SOL_PACKET, PACKET_AUXDATA) => Ok(int(options.auxiliary.into())),
            (SOL_PACKET, PACKET_VNET_HDR) => Ok(int((options.virtual_header > 0).into())),
            (SOL_PACKET, PACKET_VNET_HDR_SZ) => Ok(int(i32::try_from(options.virtual_header).unwrap_or(0))),
            (SOL_PACKET, PACKET_TX_HAS_OFF) => Ok(int(options.placed.into())),
            (SOL_PACKET, PACKET_LOSS) => Ok(int(options.loss.into())),
            (SOL_PACKET, PACKET_COPY_THRESH) => Ok(int(options.copy_threshold)),
            (SOL_PACKET, PACKET_TIMESTAMP) => Ok(int(options.timestamp)),
            (SOL_PACKET, PACKET_RESERVE) => Ok(int(options.reserve.cast_signed())),
            (SOL_PACKET, PACKET_VERSION) => Ok(int(options.version as i32)),
            _ => Err(Errno::ENOPROTOOPT),
        })
    }
}
