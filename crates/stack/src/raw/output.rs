//! The way out: a header of ours, or what is missing in the program's.
//!
//! **A header of ours** is as any other datagram's; what does not fit its path is cut, unless the program forbids it. Over IPv6 a checksum is put where the program
//! says (`IPV6_CHECKSUM`), with ICMPv6 always.
//!
//! **A header of the program's** over IPv4 gets its total length and its checksum, an identification where it has none and could be cut, and a source
//! where it has none; over IPv6 nothing. It goes where the call says, not where the header says, and is never cut. Nobody checks what else is in it: that is what it is for.

use super::{Kind, Raw, Send, SendError, Socket, SocketId};
use crate::counters::Drop;
use crate::ip::{Ip, Outgoing};
use crate::ipv4::output::{Fragmentation, Manner, SendError as IpError};
use crate::port::OutFrame;
use crate::route::{AddressKind, RouteEntry, or_ourselves};
use sockeye_device::{Instant, Offload};
use sockeye_wire::checksum::{Sum, pseudo_header, sum};
use sockeye_wire::{EtherType, MacAddr, Protocol, ethernet, icmpv4, icmpv6, ipv4, ipv6};
use std::net::{IpAddr, SocketAddr};

const MAX: usize = 65_535;
const DONT_FRAGMENT: u8 = 0x40;

impl Raw {
    pub(super) fn send(&mut self, now: Instant, ip: &mut Ip, id: SocketId, send: &Send<'_>) -> Result<(), SendError> {
        self.identified(ip, id)?;
        let socket = self.sockets.get_mut(id).ok_or(SendError::Closed)?;
        let to = or_ourselves(send.to.or(socket.remote.map(|(peer, _)| peer)).ok_or(SendError::NotConnected)?);
        match (to.is_ipv6(), socket.ipv6) {
            (false, false) => {}
            (true, true) if socket.local.is_ipv6() => {}
            // As Linux, which looks for a way to a mapped address; nobody has such.
            (false, true) if socket.kind == Kind::Echo => return Err(SendError::Destination),
            (false, true) => return Err(SendError::NoRoute),
            (true, _) => return Err(SendError::Family),
        }
        if send.payload.len() > MAX {
            return Err(SendError::MessageSize);
        }
        let from = send.from.filter(|from| !from.is_unspecified());
        let foreign = socket.options.foreign;
        if let Some(from) = from.filter(|_| !foreign) {
            ip.check_source(from)?;
        }
        // Who is bound to an address of many hears there, but cannot speak from it.
        let own = |own: &IpAddr| ip.is_local(*own) || foreign && !own.is_multicast() && !own.is_unspecified();
        let from = from.or(Some(socket.local).filter(own));
        // A routing header's first stop decides which way it goes.
        let next = match (to, send.headers) {
            (IpAddr::V6(to), Some(headers)) => headers.next_stop(to).into(),
            _ => to,
        };
        let mut way = (send.port.or(socket.options.device), from);
        if next.is_multicast() {
            way = (way.0.or(socket.options.groups.port), way.1.or(socket.options.groups.source));
        } else {
            way.0 = way.0.or(socket.options.family.port);
        }
        let preferences = socket.options.family.preferences;
        let route = ip.route_preferring(next, way.1, way.0, preferences)?;
        if route.kind == AddressKind::Broadcast && !socket.options.broadcast {
            return Err(SendError::Broadcast);
        }
        if (send.to_neighbor || socket.options.to_neighbors) && !route.is_to_neighbor(next) {
            return Err(SendError::NoRoute);
        }
        let sent = if socket.options.header_included {
            socket.send_as_it_is(now, ip, &route, send.payload)
        } else {
            socket.send_behind_header(now, ip, route, to, send)
        };
        match sent {
            Ok(()) => {
                socket.sent += 1;
                ip.counters.raw_packets_sent += 1;
            }
            Err(SendError::Full) => self.sockets.block(id),
            Err(SendError::MessageSize) if socket.options.family.receive_errors || socket.options.tells_path_mtu => {
                let mtu = if socket.heeds_path() { route.mtu } else { ip.port(route.port).mtu };
                if socket.options.tells_path_mtu && socket.ipv6 {
                    socket.path_mtu = Some((SocketAddr::new(to, 0), mtu));
                }
                let port = socket.remote.map_or(0, |(_, port)| port);
                let room = (socket.memory, socket.options.receive_buffer);
                if socket.options.family.receive_errors
                    && !socket.reports.push_too_long(now, route.source, SocketAddr::new(to, port), mtu, room)
                {
                    ip.counters.drop(Drop::ErrorQueueFull);
                }
                self.sockets.notify(id);
            }
            Err(_) => {}
        }
        sent
    }
}

impl Socket {
    /// Whether what is known of a path bounds what is sent there; else only the link does.
    pub(super) fn heeds_path(&self) -> bool {
        !self.options.header_included && self.options.family.fragmentation.heeds_path()
    }

    fn send_behind_header(
        &self,
        now: Instant,
        ip: &mut Ip,
        mut route: RouteEntry,
        to: IpAddr,
        send: &Send<'_>,
    ) -> Result<(), SendError> {
        let protocol = match (self.kind, self.ipv6) {
            (Kind::Protocol(protocol), _) => Protocol(protocol),
            (Kind::Echo, false) => Protocol::ICMP,
            (Kind::Echo, true) => Protocol::ICMPV6,
        };
        let family = &self.options.family;
        if !family.fragmentation.heeds_path() {
            route.mtu = ip.port(route.port).mtu;
        }
        route.mtu = family.limit(route.mtu);
        let ttl = family.ttl.unwrap_or(route.hop_limit);
        let (ttl, fragmentation) = match route.kind {
            AddressKind::Multicast => (self.options.groups.hops, Fragmentation::Anywhere),
            AddressKind::Broadcast => (ttl, Fragmentation::Anywhere),
            _ => (ttl, send.fragmentation.unwrap_or(family.fragmentation)),
        };
        let source = route.source;
        let outgoing = Outgoing {
            source,
            destination: to,
            protocol,
            ttl: send.ttl.unwrap_or(ttl),
            tos: send.tos.unwrap_or(family.tos),
            checksum_offset: None,
            segment_size: None,
        };
        let Send { options, headers, flow_label, .. } = *send;
        let labelled = || match self.options.family.labels {
            true => ip.flow_label(protocol, SocketAddr::new(source, self.identifier), SocketAddr::new(to, 0)),
            false => 0,
        };
        let manner = Manner { fragmentation, options, headers, flow_label: flow_label.unwrap_or_else(labelled) };
        let pseudo = || pseudo_header(source, to, protocol.0, send.payload.len() as u32);
        match (self.kind, self.options.checksum_offset) {
            (Kind::Echo, _) => {
                let sum = if self.ipv6 { pseudo() } else { Sum::default() };
                let message = self.echo(send.payload, sum)?;
                self.part_with(now, ip, &route, &outgoing, &manner, &message)
            }
            (Kind::Protocol(_), Some(at)) if self.ipv6 => {
                let payload = with_checksum(send.payload, at.into(), pseudo(), protocol)?;
                self.part_with(now, ip, &route, &outgoing, &manner, &payload)
            }
            (Kind::Protocol(_), _) => self.part_with(now, ip, &route, &outgoing, &manner, send.payload),
        }
    }

    /// What goes to many comes back, too, to whoever hears it here; with a time to live of zero only there.
    fn part_with(
        &self,
        now: Instant,
        ip: &mut Ip,
        route: &RouteEntry,
        outgoing: &Outgoing,
        manner: &Manner<'_>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let groups = &self.options.groups;
        let Outgoing { source, destination, ttl, .. } = *outgoing;
        let comes_back = !route.port.is_loopback()
            && match route.kind {
                AddressKind::Multicast => groups.loops && ip.multicast.admits(route.port, destination, source),
                kind => kind == AddressKind::Broadcast,
            };
        if comes_back && !ip.copies.has_room() {
            return Err(SendError::Full);
        }
        if route.kind != AddressKind::Multicast || ttl > 0 || route.port.is_loopback() {
            dispatch(ip.send_by(now, route, outgoing, manner, &[], &[payload]))?;
            match outgoing.protocol {
                Protocol::ICMP => ip.counters.icmp.note_sent(payload),
                Protocol::ICMPV6 => ip.counters.icmpv6.note_sent(payload),
                _ => {}
            }
        }
        if comes_back {
            ip.bring_back(route.port, outgoing, &[], &[payload]);
        }
        Ok(())
    }

    /// An echo request with the socket's identifier.
    fn echo(&self, message: &[u8], sum: Sum) -> Result<Vec<u8>, SendError> {
        const _: () = assert!(icmpv4::HEADER_LEN == icmpv6::HEADER_LEN, "one echo serves both");
        let request = if self.ipv6 { icmpv6::message_type::ECHO_REQUEST } else { 8 };
        if message.len() < icmpv4::HEADER_LEN || message[..2] != [request, 0] {
            return Err(SendError::Payload);
        }
        let mut message = message.to_vec();
        message[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        with_checksum(&message, icmpv6::CHECKSUM_OFFSET, sum, Protocol::ICMPV6)
    }

    fn send_as_it_is(&self, now: Instant, ip: &mut Ip, route: &RouteEntry, packet: &[u8]) -> Result<(), SendError> {
        if packet.len() > usize::from(ip.port(route.port).mtu) {
            return Err(SendError::MessageSize);
        }
        let mut packet = packet.to_vec();
        if self.ipv6 {
            if packet.len() < ipv6::HEADER_LEN {
                return Err(SendError::Payload);
            }
            return dispatch(ip.send_packet(now, route, EtherType::IPV6, &packet));
        }
        let header_len = usize::from(packet.first().copied().unwrap_or(0) & 0x0f) * 4;
        if !(ipv4::HEADER_LEN..=packet.len()).contains(&header_len) {
            return Err(SendError::Payload);
        }
        self.fill_in(ip, route, &mut packet, header_len);
        dispatch(ip.send_packet(now, route, EtherType::IPV4, &packet))?;
        if packet.get(9) == Some(&Protocol::ICMP.0) {
            ip.counters.icmp.note_sent(packet.get(header_len..).unwrap_or_default());
        }
        Ok(())
    }

    fn fill_in(&self, ip: &mut Ip, route: &RouteEntry, packet: &mut [u8], header_len: usize) {
        let total = packet.len() as u16;
        if packet[12..16] == [0; 4]
            && let IpAddr::V4(source) = route.source
        {
            packet[12..16].copy_from_slice(&source.octets());
        }
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        if packet[4..6] == [0; 2] && packet[6] & DONT_FRAGMENT == 0 {
            let address = |at: usize| IpAddr::from([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
            let (source, destination, protocol) = (address(12), address(16), packet[9]);
            let id = ip.identifications.next(&mut ip.rng, source, destination, protocol);
            packet[4..6].copy_from_slice(&id.to_be_bytes());
        }
        let at = ipv4::CHECKSUM_OFFSET;
        packet[at..at + 2].fill(0);
        let checksum = sum(&packet[..header_len]).finish();
        packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// What is sent, with the checksum at its place, whatever stood there before.
fn with_checksum(bytes: &[u8], at: usize, mut sum: Sum, protocol: Protocol) -> Result<Vec<u8>, SendError> {
    if at + 2 > bytes.len() {
        return Err(SendError::Payload);
    }
    let mut bytes = bytes.to_vec();
    bytes[at..at + 2].fill(0);
    sum.add(&bytes);
    let value = if protocol == Protocol::UDP { sum.finish_nonzero() } else { sum.finish() };
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
    Ok(bytes)
}

fn dispatch(sent: Result<(), IpError>) -> Result<(), SendError> {
    sent.map_err(|error| match error {
        IpError::Full => SendError::Full,
        IpError::NoRoute => SendError::NoRoute,
        IpError::HostUnreachable => SendError::HostUnreachable,
        IpError::LinkDown => SendError::LinkDown,
        IpError::MessageSize => SendError::MessageSize,
        IpError::Family => SendError::Family,
    })
}

impl Ip {
    /// Sends a whole packet, header and all, by `route`, which carries it.
    pub(crate) fn send_packet(
        &mut self,
        now: Instant,
        route: &RouteEntry,
        ether_type: EtherType,
        packet: &[u8],
    ) -> Result<(), IpError> {
        let state = self.find_port(route.port).filter(|port| port.up).ok_or(IpError::LinkDown)?;
        if !state.queue.has_room(1, 0) {
            return Err(IpError::Full);
        }
        let link = ethernet::Repr { dst: MacAddr::ZERO, src: state.mac, vlan: None, ether_type };
        let to = self.link_to(now, route)?;
        let mut buffer = self.buffers.take(link.header_len() + packet.len());
        let at = link.emit(&mut buffer);
        let len = at + packet.len();
        buffer[at..len].copy_from_slice(packet);
        self.dispatch(route, to, OutFrame { buffer, len, offload: Offload::default() })
    }
}
