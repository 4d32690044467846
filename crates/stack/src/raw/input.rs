//! A packet, or what the network says of one, arrives.

use super::{Kind, OVERHEAD, Options, Raw, Received, Socket};
use crate::Stack;
use crate::counters::Drop;
use crate::errors::{Cause, Report};
use crate::family::FLOW_LABEL;
use crate::ip::{IcmpError, Ip};
use crate::ipv4::output::Fragmentation;
use crate::multicast::Multicast;
use crate::port::PortId;
use crate::socket_filter::{self, About};
use sockeye_device::Instant;
use sockeye_wire::Protocol;
use sockeye_wire::checksum::pseudo_header;
use sockeye_wire::ipv6;
use std::net::{IpAddr, SocketAddr};

/// A packet that was sent to this host, whole, as raw sockets see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// Of what came in pieces: the length of the longest; else 0.
    pub(crate) fragment_size: u16,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) port: PortId,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    /// From the IP header on.
    pub(crate) packet: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// Nobody has vouched for the transport's checksum.
    pub(crate) unchecked: bool,
    /// Sent to us alone.
    pub(crate) unicast: bool,
}

impl View<'_> {
    /// Over IPv4 there is none.
    fn flow_label(&self) -> u32 {
        let first = self.packet.first_chunk().filter(|_| self.source.is_ipv6());
        first.map_or(0, |&word| u32::from_be_bytes(word) & FLOW_LABEL)
    }

    /// What this packet, a message of ICMP, says of one of ours: between which addresses that went and of which protocol, from its IP header and its
    /// transport header on.
    pub(crate) fn report<'b>(
        &self,
        cause: Cause,
        info: u32,
        (source, destination, protocol): (IpAddr, IpAddr, Protocol),
        packet: &'b [u8],
        transport: &'b [u8],
    ) -> Report<'b> {
        // RFC 4884, 4: in words of 32 bits, or of 64.
        let quoted = match (cause, self.payload) {
            (Cause::Icmp { kind: 3 | 11 | 12, .. }, &[_, _, _, _, _, words, ..]) => u16::from(words) * 4,
            (Cause::Icmpv6 { kind: 1 | 3, .. }, &[_, _, _, _, words, ..]) => u16::from(words) * 8,
            _ => 0,
        };
        Report {
            quoted,
            cause,
            info,
            offender: self.source,
            to: self.destination,
            port: self.port,
            ttl: self.ttl,
            tos: self.tos,
            flow_label: self.flow_label(),
            source,
            destination,
            protocol,
            packet,
            transport,
        }
    }
}

impl Stack {
    /// Copies of a packet for raw sockets. True if there are any for its protocol.
    pub(crate) fn show_raw(&mut self, now: Instant, view: &View<'_>) -> bool {
        self.raw.show(now, &mut self.ip, view)
    }
}

impl Raw {
    fn show(&mut self, now: Instant, ip: &mut Ip, view: &View<'_>) -> bool {
        let key = (view.source.is_ipv6(), view.protocol.0);
        // Lent while packets are handed out, which does not change it.
        let Some(sockets) = self.by_protocol.lend(&key) else { return false };
        let mut shown = false;
        for &index in &sockets {
            let Some(socket) = self.sockets.at(index).filter(|socket| socket.hears(&ip.multicast, view)) else {
                continue;
            };
            shown = true;
            if !socket.wants(view) {
                continue;
            }
            let data = if socket.ipv6 { view.payload } else { view.packet };
            if socket.ipv6 && socket.options.checksum_offset.is_some() && view.unchecked && !is_right(view) {
                ip.counters.drop(Drop::RawChecksum);
                continue;
            }
            self.queue(now, ip, index, view, data);
        }
        self.by_protocol.give_back(&key, sockets);
        shown
    }

    /// A reply to an echo request, from its ICMP header on, for the youngest that has the identifier. True if somebody waits for it.
    pub(crate) fn deliver_echo(&mut self, now: Instant, ip: &mut Ip, identifier: u16, view: &View<'_>) -> bool {
        let ipv6 = view.source.is_ipv6();
        let fits =
            |&&index: &&u32| self.sockets.at(index).is_some_and(|socket| socket.ipv6 == ipv6 && socket.is_for(view));
        let Some(&index) = self.by_identifier.find(&identifier).iter().rev().find(fits) else { return false };
        self.queue(now, ip, index, view, view.payload);
        true
    }

    /// True if somebody has a raw socket for a protocol.
    pub(crate) fn speaks(&self, ipv6: bool, protocol: Protocol) -> bool {
        self.by_protocol.contains(&(ipv6, protocol.0))
    }

    fn queue(&mut self, now: Instant, ip: &mut Ip, index: u32, view: &View<'_>, data: &[u8]) {
        let Some(socket) = self.sockets.at_mut(index) else { return };
        if view.ttl < socket.options.family.min_ttl {
            socket.dropped += 1;
            return ip.counters.drop(Drop::RawMinTtl);
        }
        let mut data = data;
        if let Some(program) = &socket.program {
            let View { destination, unicast, port, .. } = *view;
            let about = About { destination, unicast, port, random: ip.rng.next_u64() };
            let before = view.packet.len().saturating_sub(data.len());
            match socket_filter::run(program, about, &[view.packet], before) {
                Some(kept) => data = &data[..data.len().min(kept)],
                None => {
                    socket.dropped += 1;
                    return ip.counters.drop(Drop::RawFilter);
                }
            }
        }
        let headers = match view.packet.len().checked_sub(view.payload.len()) {
            Some(len) if socket.options.keeps_headers => &view.packet[..len],
            _ => &[],
        };
        let cost = headers.len() + data.len() + OVERHEAD;
        // As Linux: one more is taken while there is any room at all, so that a small buffer still takes a large one.
        if socket.memory > socket.options.receive_buffer.saturating_sub(cost) && socket.memory > 0 {
            socket.dropped += 1;
            return ip.counters.drop(Drop::RawReceiveBuffer);
        }
        if self.memory + cost > self.limit {
            socket.dropped += 1;
            return ip.counters.drop(Drop::RawMemory);
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(data);
        let View { source, destination, port, ttl, tos, fragment_size, .. } = *view;
        let headers = headers.to_vec();
        socket.queue.push_back(Received {
            from: source,
            to: destination,
            port,
            ttl,
            tos,
            timestamp: now,
            fragment_size,
            lost: socket.dropped as u32,
            headers,
            data: bytes,
        });
        socket.memory += cost;
        self.memory += cost;
        socket.received += 1;
        ip.counters.raw_packets_received += 1;
        self.sockets.notify_at(index);
    }

    /// An error about a packet of ours that was not TCP's or UDP's alone. True if it concerns somebody.
    pub(crate) fn handle_report(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        error: Option<IcmpError>,
        report: &Report<'_>,
    ) -> bool {
        let ipv6 = report.source.is_ipv6();
        let concerned = if is_echo(report) {
            let identifier = report.transport.get(4..6).map_or(0, |field| u16::from_be_bytes([field[0], field[1]]));
            let mut echo = self.by_identifier.find(&identifier).iter().copied();
            echo.find(|&index| self.sockets.at(index).is_some_and(|socket| socket.ipv6 == ipv6))
        } else {
            None
        };
        let raw = self.by_protocol.find(&(ipv6, report.protocol.0)).iter().copied();
        let raw = raw.filter(|&index| self.sockets.at(index).is_some_and(|socket| socket.has_sent(report)));
        let concerned: Vec<u32> = concerned.into_iter().chain(raw).collect();
        if concerned.is_empty() {
            return false;
        }
        let learns =
            |&index: &u32| self.sockets.at(index).is_some_and(|socket| socket.options.family.fragmentation.learns());
        if let Some(IcmpError::FragmentationNeeded { mtu, packet }) = error
            && concerned.iter().any(learns)
        {
            ip.learn_path_mtu(now, report.destination, mtu, packet);
        }
        for index in concerned {
            self.tell(now, ip, index, report);
        }
        true
    }

    fn tell(&mut self, now: Instant, ip: &mut Ip, index: u32, report: &Report<'_>) {
        let Some(socket) = self.sockets.at_mut(index) else { return };
        if is_too_long(report.cause) && socket.ipv6 && socket.options.tells_path_mtu {
            let mtu = u16::try_from(report.info).unwrap_or(u16::MAX).max(ipv6::MIN_MTU as u16);
            socket.path_mtu = Some((SocketAddr::new(report.destination, 0), mtu));
            self.sockets.notify_at(index);
        }
        let Some(socket) = self.sockets.at_mut(index) else { return };
        let is_final = report.cause.is_final() || is_too_long(report.cause) && socket.hears_of_length(report);
        if !socket.options.family.receive_errors && (socket.remote.is_none() || !is_final) {
            return;
        }
        if socket.options.family.receive_errors {
            let data = if socket.options.header_included { report.packet } else { report.transport };
            if !socket.reports.push(report.keep(now, 0, data), socket.memory, socket.options.receive_buffer) {
                return ip.counters.drop(Drop::ErrorQueueFull);
            }
        }
        ip.counters.icmp_errors_delivered += 1;
        socket.error = Some(report.cause);
        self.sockets.notify_at(index);
    }
}

impl Socket {
    /// By the socket's address and device.
    fn is_for(&self, view: &View<'_>) -> bool {
        self.is_addressed(view) && self.is_on(view.port)
    }

    fn is_addressed(&self, view: &View<'_>) -> bool {
        self.local.is_unspecified() || self.local == view.destination
    }

    fn is_on(&self, port: PortId) -> bool {
        self.options.device.is_none_or(|device| device == port)
    }

    /// As Linux has it: of IPv4 both the address and the wishes about groups have to fit. Of IPv6 one of them is enough: who is
    /// bound to nobody hears all, and who is bound to an address of the host's hears the groups that it wishes, too.
    fn hears(&self, multicast: &Multicast, view: &View<'_>) -> bool {
        let Options { member, groups, .. } = &self.options;
        let wished = || multicast.hears_for(*member, view.port, (view.destination, view.source), groups.all);
        let fits = match self.is_addressed(view) {
            addressed if !view.destination.is_multicast() => addressed,
            true => self.ipv6 || wished(),
            false => self.ipv6 && wished(),
        };
        fits && self.is_on(view.port) && self.remote.is_none_or(|(peer, _)| peer == view.source)
    }

    /// What the program lets through: the one place where it is decided.
    fn wants(&self, view: &View<'_>) -> bool {
        let kind = view.payload.first().copied();
        match (self.kind, kind) {
            // Linux lets types through that its 32 bits do not know.
            (Kind::Protocol(1), Some(kind)) if !self.ipv6 => kind >= 32 || !self.options.filter.blocks(kind),
            (Kind::Protocol(58), Some(kind)) if self.ipv6 => !self.options.filter.blocks(kind),
            (Kind::Protocol(1), None) => self.ipv6,
            (Kind::Protocol(58), None) => !self.ipv6,
            _ => true,
        }
    }

    /// Whether it may have sent the packet that is spoken of.
    fn has_sent(&self, report: &Report<'_>) -> bool {
        self.remote.is_none_or(|(peer, _)| peer == report.destination)
            && (self.local.is_unspecified() || self.local == report.source)
            && self.is_on(report.port)
    }

    /// Whether a packet that is too long for its path is the program's affair.
    fn hears_of_length(&self, report: &Report<'_>) -> bool {
        match (report.source, self.kind) {
            (IpAddr::V6(_), Kind::Protocol(_)) => self.options.family.fragmentation == Fragmentation::Never,
            _ => self.options.family.fragmentation != Fragmentation::Anywhere,
        }
    }
}

fn is_too_long(cause: Cause) -> bool {
    matches!(cause, Cause::Icmp { kind: 3, code: 4 } | Cause::Icmpv6 { kind: 2, .. })
}

/// Whether a packet that is spoken of was an echo request.
fn is_echo(report: &Report<'_>) -> bool {
    matches!((report.protocol, report.transport.first()), (Protocol::ICMP, Some(8)) | (Protocol::ICMPV6, Some(128)))
}

/// Whether the checksum over what a packet carries is right.
fn is_right(view: &View<'_>) -> bool {
    let len = view.payload.len() as u32;
    let mut sum = pseudo_header(view.source, view.destination, view.protocol.0, len);
    sum.add(view.payload);
    sum.finish() == 0
}
