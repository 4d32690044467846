//! The way to the peer, remembered: route, link header, MTU.
//!
//! A connection asks for its route once, and again only when the host's tables have changed, which one number tells
//! ([`Ip::generation`]); a link address that stays in use is asked for again now and then, so that a stale one is probed. In between, a segment's link, network and transport headers are written into one small buffer,
//! and its payload goes to the device from where it lies.

use super::demux::Flow;
use crate::Egress;
use crate::counters::Drop;
use crate::ip::{Ip, Link, Outgoing, Route};
use crate::neighbor::USE_INTERVAL;
use crate::port::PortId;
use sockeye_device::{Checksum, Full, Instant, Offload, SegmentKind, Segmentation, TxFrame};
use sockeye_wire::tcp::{CHECKSUM_OFFSET, Flags, Options, Repr};
use sockeye_wire::{EtherType, MacAddr, Protocol, SeqNumber, checksum, ethernet, ipv4};
use std::net::IpAddr;

/// Ethernet, IP without options, TCP with all the options that there can be.
const MAX_HEADERS: usize = 18 + 40 + 60;
/// RFC 9293, MUST-15, for IPv4 and IPv6.
const DEFAULT_MSS: [u16; 2] = [536, 1220];
/// IP and TCP headers without options.
const BASE_HEADERS: [u32; 2] = [20 + 20, 40 + 20];

/// The way to a peer.
pub(crate) struct Path {
    route: Option<Route>,
    link: Option<MacAddr>,
    confirmed_at: Instant,
    generation: u64,
    mtu: u16,
    mtu_changed: bool,
    heard: bool,
    ipv6: bool,
    /// Of the next packet (RFC 6864: any value will do for what is never fragmented).
    identification: u16,
}

impl Path {
    /// The way to the far end of `flow`.
    pub(crate) fn new(now: Instant, ip: &mut Ip, flow: &Flow) -> Self {
        let mut path = Path {
            route: None,
            link: None,
            confirmed_at: now,
            generation: u64::MAX,
            mtu: 0,
            mtu_changed: false,
            heard: false,
            ipv6: flow.remote.is_ipv6(),
            identification: flow.local.port().wrapping_mul(31) ^ flow.remote.port(),
        };
        path.refresh_route(ip, flow);
        path.mtu_changed = false;
        path
    }

    /// The port that leads to the peer.
    pub(crate) fn port(&self) -> PortId {
        self.route.as_ref().map_or(PortId::LOOPBACK, |route| route.port)
    }

    /// The MTU to the peer.
    pub(crate) fn mtu(&self) -> u16 {
        self.mtu
    }

    /// The largest segment without options.
    pub(crate) fn max_segment(&self) -> u32 {
        u32::from(self.mtu).saturating_sub(BASE_HEADERS[usize::from(self.ipv6)]).max(1)
    }

    /// What a peer that names no MSS is taken to want.
    pub(crate) fn default_mss(&self) -> u16 {
        DEFAULT_MSS[usize::from(self.ipv6)]
    }

    /// True once after the MTU has changed.
    pub(crate) fn take_mtu_change(&mut self) -> bool {
        std::mem::take(&mut self.mtu_changed)
    }

    /// Something about the way has changed: look again.
    pub(crate) fn forget(&mut self) {
        self.generation = u64::MAX;
    }

    /// The peer does not answer: is the next hop alive?
    pub(crate) fn doubt(&mut self, now: Instant, ip: &mut Ip) {
        if let Some(route) = &self.route {
            ip.doubt(now, route.port, route.next_hop);
        }
        self.forget();
    }

    /// Brings route and link address up to date, at little cost when nothing has changed.
    pub(crate) fn refresh(&mut self, now: Instant, ip: &mut Ip, flow: &Flow) {
        if self.generation != ip.generation() {
            self.refresh_route(ip, flow);
        } else if self.link.is_some() && now.since(self.confirmed_at) < USE_INTERVAL {
            return;
        }
        self.confirmed_at = now;
        if std::mem::take(&mut self.heard)
            && let Some(route) = &self.route
        {
            ip.confirm(now, route.port, route.next_hop);
        }
        self.link = match &self.route {
            // To ourselves there is no link: the host's own queue brings it back.
            Some(route) if route.port != PortId::LOOPBACK => match ip.link(now, route.port, route.next_hop) {
                Link::Ready(mac) => Some(mac),
                Link::Pending | Link::Failed => None,
            },
            _ => None,
        };
    }

    /// The peer has acknowledged something new: the next hop is alive, and the neighbour cache is to know when it is asked
    /// next (RFC 4861, 7.3.1, in the words of a later family).
    pub(crate) fn heard(&mut self) {
        self.heard = true;
    }

    fn refresh_route(&mut self, ip: &mut Ip, flow: &Flow) {
        self.generation = ip.generation();
        self.link = None;
        self.route = ip.route(flow.remote.ip(), Some(flow.local.ip())).ok();
        let mtu = self.route.as_ref().map_or(if self.mtu == 0 { 576 } else { self.mtu }, |route| route.mtu);
        self.mtu_changed |= mtu != self.mtu;
        self.mtu = mtu;
    }

    /// Sends a segment, as a super-segment to be cut into pieces of `cut` bytes of payload if that is given. What cannot
    /// be sent for want of a route or a neighbour is lost, as it might be on the way; only a full device is told.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn send(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        egress: &mut dyn Egress,
        flow: &Flow,
        (ttl, tos): (u8, u8),
        segment: &Repr,
        payload: &[&[u8]],
        cut: Option<u16>,
    ) -> Result<(), Full> {
        let (Some(route), Some(to)) = (&self.route, self.link) else {
            return send_slowly(now, ip, flow, (ttl, tos), segment, payload, cut);
        };
        let mut headers = [0; MAX_HEADERS];
        let payload_len: usize = payload.iter().map(|slice| slice.len()).sum();
        let transport_len = segment.header_len() + payload_len;
        let link_header =
            ethernet::Repr { dst: to, src: ip.port(route.port).mac, vlan: None, ether_type: EtherType::IPV4 };
        let network = link_header.emit(&mut headers);
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (flow.local.ip(), flow.remote.ip()) else { return Ok(()) };
        let network_header = ipv4::Repr {
            src,
            dst,
            protocol: Protocol::TCP,
            ttl,
            tos,
            id: self.identification,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            options: &[],
        };
        let transport = network + network_header.emit(transport_len, &mut headers[network..]);
        let end = transport + emit_with_partial_checksum(flow, segment, payload_len, &mut headers[transport..]);
        let frame = TxFrame { header: &headers[..end], payload, offload: offload(transport, end, cut) };
        egress.transmit(route.port, &frame)?;
        let pieces = cut.map_or(1, |size| payload_len.div_ceil(usize::from(size)).max(1));
        self.identification = self.identification.wrapping_add(pieces as u16);
        ip.counters.tcp_segments_sent += 1;
        Ok(())
    }
}

fn offload(transport: usize, end: usize, cut: Option<u16>) -> Offload {
    Offload {
        checksum: Checksum::Partial { start: transport as u16, offset: CHECKSUM_OFFSET as u16 },
        segmentation: cut.map(|size| Segmentation { kind: SegmentKind::TcpV4, size, header_len: end as u16 }),
    }
}

/// Writes the TCP header with the sum of the pseudo-header in its checksum field, for the device to complete.
fn emit_with_partial_checksum(flow: &Flow, segment: &Repr, payload_len: usize, header: &mut [u8]) -> usize {
    let len = segment.emit(header);
    let total = (len + payload_len) as u32;
    let sum = checksum::pseudo_header(flow.local.ip(), flow.remote.ip(), Protocol::TCP.0, total).folded();
    header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum.to_be_bytes());
    len
}

/// Through the host's own queue, by copy: where the neighbour is not known yet, and to ourselves.
fn send_slowly(
    now: Instant,
    ip: &mut Ip,
    flow: &Flow,
    (ttl, tos): (u8, u8),
    segment: &Repr,
    payload: &[&[u8]],
    cut: Option<u16>,
) -> Result<(), Full> {
    let mut header = [0; 60];
    let len = segment.emit(&mut header);
    let outgoing = Outgoing {
        source: flow.local.ip(),
        destination: flow.remote.ip(),
        protocol: Protocol::TCP,
        ttl,
        tos,
        dont_fragment: true,
        checksum_offset: Some(CHECKSUM_OFFSET as u16),
        segment_size: cut,
    };
    ip.send(now, &outgoing, &header[..len], payload)?;
    ip.counters.tcp_segments_sent += 1;
    Ok(())
}

/// Sends a segment that belongs to no connection's transmission: a SYN-ACK, a RST. A full queue loses it, as the network
/// might; the peer asks again.
pub(crate) fn send_alone(now: Instant, ip: &mut Ip, flow: &Flow, hop: (u8, u8), segment: &Repr) {
    if send_slowly(now, ip, flow, hop, segment, &[], None) == Err(Full) {
        ip.counters.drop(Drop::LinkQueueFull);
    }
}

/// A segment without options and payload.
pub(crate) fn bare(flow: &Flow, seq: SeqNumber, ack: SeqNumber, flags: Flags) -> Repr {
    Repr {
        src_port: flow.local.port(),
        dst_port: flow.remote.port(),
        seq,
        ack,
        flags,
        window: 0,
        urgent: 0,
        options: Options::default(),
    }
}
