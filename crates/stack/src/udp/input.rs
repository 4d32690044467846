//! A datagram, or what the network says of one, arrives.

use super::lite::{is_lite, reason};
use super::ports::Ports;
use super::selection::Arrived;
use super::{Error, OVERHEAD, Received, Udp};
use crate::counters::Drop;
use crate::errors::{Cause, Report};
use crate::ip::{IcmpError, Incoming, Ip};
use crate::ipv4::output::Fragmentation;
use crate::multicast::Multicast;
use crate::port::PortId;
use crate::socket_filter::{self, About};
use sockeye_device::{Checksum, Instant};
use sockeye_wire::udp::{Datagram, HEADER_LEN, Quoted};
use sockeye_wire::{Protocol, ipv6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    Dropped(Drop),
}

impl Udp {
    /// A datagram has arrived: `bytes`, from its UDP header on, behind `headers`.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        incoming: &Incoming,
        (headers, bytes): (&[u8], &[u8]),
    ) -> Outcome {
        let Ok(datagram) = Datagram::parse(bytes) else { return Outcome::Dropped(Drop::UdpMalformed) };
        let unchecked_v6 = incoming.source.is_ipv6() && !datagram.has_checksum();
        let needs_check = incoming.checksum == Checksum::Present;
        if needs_check && !unchecked_v6 && !datagram.verify_checksum(incoming.source, incoming.destination) {
            return Outcome::Dropped(Drop::UdpChecksum);
        }
        let ports = (datagram.src_port(), datagram.dst_port());
        let flow = self.find_hearers(ip, incoming, Protocol::UDP, ports, (headers, bytes));
        // RFC 8200, 8.1: over IPv6 only who has asked for it takes what has no checksum.
        let takes = |&index: &u32| self.sockets.at(index).is_some_and(|socket| socket.options.takes_unchecked);
        if unchecked_v6 && (self.hearers.is_empty() || !self.hearers.iter().all(takes)) {
            return Outcome::Dropped(Drop::UdpChecksum);
        }
        if self.hearers.is_empty() {
            return Outcome::Dropped(Drop::UdpNoSocket);
        }
        self.deliver_to_hearers(now, ip, flow, incoming, (headers, &bytes[..HEADER_LEN], datagram.payload()));
        Outcome::Taken
    }

    /// From whom to whom it goes. `hearers` are then those for whom it is.
    #[inline]
    pub(super) fn find_hearers(
        &mut self,
        ip: &mut Ip,
        incoming: &Incoming,
        protocol: Protocol,
        (src_port, dst_port): (u16, u16),
        (headers, bytes): (&[u8], &[u8]),
    ) -> (SocketAddr, SocketAddr) {
        let from = SocketAddr::new(incoming.source, src_port);
        let to = SocketAddr::new(incoming.destination, dst_port);
        let mut found = std::mem::take(&mut self.hearers);
        found.clear();
        if incoming.unicast {
            let packet = Arrived { ip, incoming, headers, bytes };
            found.extend(self.find(protocol, (from, to), incoming.port, Some(packet)));
        } else {
            self.find_all(&ip.multicast, protocol, (from, to), incoming.port, &mut found);
        }
        self.hearers = found;
        (from, to)
    }

    /// Puts a datagram, or each piece of one, into the queues of all for whom it is.
    #[inline]
    pub(super) fn deliver_to_hearers(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        flow: (SocketAddr, SocketAddr),
        incoming: &Incoming,
        (headers, header, payload): (&[u8], &[u8], &[u8]),
    ) {
        let found = std::mem::take(&mut self.hearers);
        // A super-datagram of a sender on this machine: each piece is one that it sent.
        let size = incoming.segmentation.map_or(usize::MAX, |cut| usize::from(cut.size).max(1));
        for &index in &found {
            let coalesces = || self.sockets.at(index).is_some_and(|socket| socket.options.coalesces);
            let size = if size < usize::MAX && coalesces() { usize::MAX } else { size };
            let mut rest = payload;
            loop {
                let (piece, more) = rest.split_at(rest.len().min(size));
                self.deliver(now, ip, index, flow, incoming, (headers, header, piece));
                rest = more;
                if rest.is_empty() {
                    break;
                }
            }
        }
        self.hearers = found;
    }

    fn deliver(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        index: u32,
        (from, to): (SocketAddr, SocketAddr),
        incoming: &Incoming,
        (headers, header, mut payload): (&[u8], &[u8], &[u8]),
    ) {
        let Some(socket) = self.sockets.at_mut(index) else { return };
        if incoming.ttl < socket.options.family_of(incoming.source).min_ttl {
            socket.dropped += 1;
            return ip.counters.drop(reason(socket.protocol, Drop::UdpMinTtl));
        }
        if let Some(program) = &socket.program {
            let Incoming { destination, unicast, port, .. } = *incoming;
            let about = About { destination, unicast, port, random: ip.rng.next_u64() };
            match socket_filter::run(program, about, &[headers, header, payload], headers.len()) {
                Some(kept) => payload = &payload[..payload.len().min(kept.saturating_sub(HEADER_LEN))],
                None => {
                    socket.dropped += 1;
                    return ip.counters.drop(reason(socket.protocol, Drop::UdpFilter));
                }
            }
        }
        let headers = if socket.options.keeps_headers { headers } else { &[] };
        let cost = headers.len() + payload.len() + OVERHEAD;
        // As Linux: one more is taken while there is any room at all, so that a small buffer still takes a large one.
        let held = socket.memory + socket.reports.memory();
        if held > socket.options.receive_buffer.saturating_sub(cost) && held > 0 {
            socket.dropped += 1;
            return ip.counters.drop(reason(socket.protocol, Drop::UdpReceiveBuffer));
        }
        if self.memory + cost > self.limit {
            socket.dropped += 1;
            return ip.counters.drop(reason(socket.protocol, Drop::UdpMemory));
        }
        let mut data = self.spare.pop().unwrap_or_default();
        data.clear();
        data.extend_from_slice(payload);
        let Incoming { port, ttl, tos, fragment_size, .. } = *incoming;
        let headers = headers.to_vec();
        let lost = socket.dropped as u32;
        // What a filter has cut may be one.
        let segment = incoming.segmentation.map_or(0, |cut| cut.size);
        let segment = if socket.options.coalesces && usize::from(segment) < data.len() { segment } else { 0 };
        socket.queue.push_back(Received {
            from,
            to,
            port,
            ttl,
            tos,
            timestamp: now,
            lost,
            segment,
            fragment_size,
            headers,
            data,
        });
        socket.memory += cost;
        self.memory += cost;
        socket.received += 1;
        let (lite, counters) = (is_lite(socket.protocol), &mut ip.counters);
        *(if lite { &mut counters.udp_lite_datagrams_received } else { &mut counters.udp_datagrams_received }) += 1;
        counters.udp_v6_datagrams_received += u64::from(!lite && to.is_ipv6());
        self.sockets.notify_at(index);
    }

    /// The one socket for a datagram.
    fn find(
        &self,
        protocol: Protocol,
        (from, to): (SocketAddr, SocketAddr),
        port: PortId,
        mut packet: Option<Arrived<'_>>,
    ) -> Option<u32> {
        let Ports { bound, connected, .. } = self.ports(protocol);
        let connected: &[u32] = if connected.is_empty() { &[] } else { connected.find(&(to, from)) };
        for found in [connected, bound.find(&to)] {
            if let Some(best) = self.best(found, (from, to), port, &mut packet) {
                return Some(best);
            }
        }
        self.best(bound.find(&any(to)), (from, to), port, &mut packet)
    }

    /// The best of sockets that match equally well.
    #[inline]
    fn best(
        &self,
        found: &[u32],
        flow: (SocketAddr, SocketAddr),
        port: PortId,
        packet: &mut Option<Arrived<'_>>,
    ) -> Option<u32> {
        match *found {
            [] => None,
            // Mostly it is alone.
            [only] => {
                let device = self.sockets.at(only)?.options.device;
                device.is_none_or(|device| device == port).then_some(only)
            }
            _ => self.best_of_several(found, flow, port, packet),
        }
    }

    /// One that is bound to the device, then those of the datagram's own family, then sharing, then the youngest.
    #[inline(never)]
    fn best_of_several(
        &self,
        found: &[u32],
        (from, to): (SocketAddr, SocketAddr),
        port: PortId,
        packet: &mut Option<Arrived<'_>>,
    ) -> Option<u32> {
        let with_device =
            |&index: &u32| self.sockets.at(index).is_some_and(|socket| socket.options.device == Some(port));
        let without = |&index: &u32| self.sockets.at(index).is_some_and(|socket| socket.options.device.is_none());
        let is_on_device = found.iter().any(with_device);
        let on_device = || {
            found.iter().copied().filter(move |index| if is_on_device { with_device(index) } else { without(index) })
        };
        // A socket of both families leaves IPv4's to one that has no other.
        let of_ipv4 = |&index: &u32| self.sockets.at(index).is_some_and(|socket| !socket.dual);
        let leave = from.is_ipv4() && on_device().any(|index| of_ipv4(&index));
        let matching = || on_device().filter(move |index| !leave || of_ipv4(index));
        let youngest = matching().next_back()?;
        if !self.sockets.at(youngest).is_some_and(|socket| socket.reuse_port) {
            return Some(youngest);
        }
        let sharing = || matching().filter(|&index| self.sockets.at(index).is_some_and(|socket| socket.reuse_port));
        if let (Some(packet), Some(program)) = (packet, self.sockets.at(youngest)?.selection.as_deref())
            && let Some(chosen) = sharing().nth(packet.select(program))
        {
            return Some(chosen);
        }
        let choice = self.hasher.hash(&(from, to)) as usize % sharing().count();
        sharing().nth(choice)
    }

    /// All sockets for a datagram to many: those that are bound there or everywhere, and connected to its sender or nobody.
    fn find_all(
        &self,
        multicast: &Multicast,
        protocol: Protocol,
        (from, to): (SocketAddr, SocketAddr),
        port: PortId,
        found: &mut Vec<u32>,
    ) {
        let Ports { bound, connected, .. } = self.ports(protocol);
        let bound = [bound.find(&to), bound.find(&any(to)), connected.find(&(to, from))];
        let hears = |options: &super::Options| {
            let all = options.groups_of(to.ip()).all;
            options.device.is_none_or(|device| device == port)
                && (!to.ip().is_multicast() || multicast.hears_for(options.member, port, (to.ip(), from.ip()), all))
        };
        let all = bound.into_iter().flatten().copied();
        found.extend(all.filter(|&index| self.sockets.at(index).is_some_and(|socket| hears(&socket.options))));
    }

    /// An ICMP error about a datagram of ours.
    pub(crate) fn handle_icmp(&mut self, now: Instant, ip: &mut Ip, error: IcmpError, report: &Report<'_>) {
        let Report { source, destination, protocol, .. } = *report;
        let Ok(quoted) = Quoted::parse(report.transport) else { return ip.counters.drop(Drop::IcmpMalformed) };
        let local = SocketAddr::new(source, quoted.src_port);
        let remote = SocketAddr::new(destination, quoted.dst_port);
        let connected = self.ports(protocol).connected.find(&(local, remote)).last().copied();
        let known = connected.or_else(|| self.find(protocol, (remote, local), report.port, None));
        let Some(index) = known else { return ip.counters.drop(Drop::IcmpNoSocket) };
        ip.counters.icmp_errors_delivered += 1;
        if let IcmpError::FragmentationNeeded { mtu, packet } = error
            && self.sockets.at(index).is_some_and(|socket| socket.options.family_of(source).fragmentation.learns())
        {
            ip.learn_path_mtu(now, destination, mtu, packet);
        }
        if let IcmpError::FragmentationNeeded { mtu, .. } = error
            && destination.is_ipv6()
            && let Some(socket) = self.sockets.at_mut(index).filter(|socket| socket.options.tells_path_mtu)
        {
            socket.path_mtu = Some((SocketAddr::new(destination, 0), mtu.max(ipv6::MIN_MTU as u16)));
            self.sockets.notify_at(index);
        }
        if self.report(now, ip, index, report, quoted.dst_port) {
            return;
        }
        if let (Some(index), Some(error)) = (connected, self.final_error(index, error, report.cause)) {
            self.set_error(index, error);
        }
    }

    /// Keeps an error for a socket that receives them. False if it does not.
    fn report(&mut self, now: Instant, ip: &mut Ip, index: u32, report: &Report<'_>, port: u16) -> bool {
        let Some(socket) = self.sockets.at_mut(index) else { return false };
        if !socket.receives_errors(report.source.is_ipv6()) {
            return false;
        }
        let is_dont = socket.options.family_of(report.source).fragmentation == Fragmentation::Anywhere;
        if is_dont && matches!(report.cause, Cause::Icmp { kind: 3, code: 4 }) {
            return true;
        }
        let data = report.transport.get(HEADER_LEN..).unwrap_or_default();
        if socket.reports.push(report.keep(now, port, data), socket.memory, socket.options.receive_buffer) {
            self.set_error(index, Error::Reported(report.cause));
        } else {
            ip.counters.drop(Drop::ErrorQueueFull);
        }
        true
    }

    /// The next hop of a datagram of ours does not answer: `report` says it in the words of ICMP.
    pub(crate) fn handle_unreachable(&mut self, now: Instant, ip: &mut Ip, report: &Report<'_>) {
        let Report { source, destination, protocol, .. } = *report;
        let Ok(quoted) = Quoted::parse(report.transport) else { return };
        let local = SocketAddr::new(source, quoted.src_port);
        let remote = SocketAddr::new(destination, quoted.dst_port);
        let connected = self.ports(protocol).connected.find(&(local, remote)).last().copied();
        if let Some(index) = connected.or_else(|| self.find(protocol, (remote, local), report.port, None))
            && self.report(now, ip, index, report, quoted.dst_port)
        {
            return;
        }
        if let Some(index) = connected {
            self.set_error(index, Error::HostUnreachable);
        }
    }

    /// What is final about an error. The others say only that the network has trouble at the moment.
    fn final_error(&self, index: u32, error: IcmpError, cause: Cause) -> Option<Error> {
        match error {
            IcmpError::PortUnreachable => Some(Error::Refused),
            // Who leaves the length of packets to the path is not told.
            IcmpError::FragmentationNeeded { .. } => {
                // Who heeds no path hears nothing of it, but over IPv4.
                let heeds = |found: &super::Socket| {
                    let fragmentation = found.options.family_of(found.local.ip()).fragmentation;
                    fragmentation != Fragmentation::Anywhere && (found.local.is_ipv4() || fragmentation.learns())
                };
                self.sockets.at(index).is_some_and(heeds).then_some(Error::MessageSize)
            }
            _ => cause.is_final().then_some(Error::Reported(cause)),
        }
    }

    fn set_error(&mut self, index: u32, error: Error) {
        if let Some(socket) = self.sockets.at_mut(index) {
            socket.error = Some(error);
            self.sockets.notify_at(index);
        }
    }
}

/// The same port at all addresses.
fn any(address: SocketAddr) -> SocketAddr {
    let unspecified: IpAddr = match address.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(unspecified, address.port())
}
