//! The way to the peer, remembered: route, link header, MTU.
//!
//! A connection asks for its route once, and again only when the host's tables have changed, which one number tells
//! ([`Ip::generation`]); a link address that stays in use is asked for again now and then, so that a stale one is probed.
//! In between, a segment's headers are a copy of the connection's [template](super::template), and its payload goes to the
//! device from where it lies.

use super::demux::Flow;
use super::hop::{Extras, Hop};
use super::options::Options as Settings;
use super::template::{MAX_HEADERS, Plain, Template, V4, V6};
use crate::Egress;
use crate::counters::Drop;
use crate::ip::{Ip, Link, Outgoing, Route};
use crate::ipv4::output::Fragmentation;
use crate::neighbor::USE_INTERVAL;
use crate::port::PortId;
use sockeye_device::{Checksum, Full, Instant, Offload, SegmentKind, Segmentation, TxFrame};
use sockeye_wire::tcp::{CHECKSUM_OFFSET, Flags, Options, Repr};
use sockeye_wire::{MacAddr, Protocol, SeqNumber};
use std::net::IpAddr;

/// RFC 9293, MUST-15, for IPv4 and IPv6.
const DEFAULT_MSS: [u16; 2] = [536, 1220];
/// IP and TCP headers without options.
const BASE_HEADERS: [u32; 2] = [20 + 20, 40 + 20];

/// The way to a peer.
pub(crate) struct Path {
    route: Option<Route>,
    link: Option<MacAddr>,
    template: Option<Template>,
    confirmed_at: Instant,
    generation: u64,
    mtu: u16,
    mtu_changed: bool,
    heard: bool,
    ipv6: bool,
    /// Of the next packet by the template (RFC 6864: any value will do for what is never fragmented).
    identification: u16,
    /// Bytes of options or extension headers in each packet; then there is no template.
    extra: u16,
    /// Where packets go first, if that is not the peer.
    next_stop: Option<IpAddr>,
    /// What is known of the path beyond the link bounds what is sent.
    heeds_path: bool,
    /// Packets may be cut on the way: each needs an identification that no other of the host's has.
    may_be_cut: bool,
    /// The label of the flow; 0: none.
    flow_label: u32,
}

impl Path {
    /// The way to the far end of `flow`.
    pub(crate) fn new(now: Instant, ip: &mut Ip, flow: &Flow, options: &Settings) -> Self {
        let mut path = Path {
            route: None,
            link: None,
            template: None,
            confirmed_at: now,
            generation: u64::MAX,
            mtu: 0,
            mtu_changed: false,
            heard: false,
            ipv6: flow.remote.is_ipv6(),
            identification: flow.local.port().wrapping_mul(31) ^ flow.remote.port(),
            extra: 0,
            next_stop: None,
            heeds_path: true,
            may_be_cut: false,
            flow_label: 0,
        };
        path.restyle(ip, flow, options);
        path.refresh_route(ip, flow);
        path.mtu_changed = false;
        path
    }

    /// What is said of packets has changed, or is said for the first time.
    pub(crate) fn restyle(&mut self, ip: &Ip, flow: &Flow, options: &Settings) {
        let family = options.of(self.ipv6);
        let extras = options.extras(self.ipv6);
        let extra = extras.map_or(0, |extras| extras.len(self.ipv6)) as u16;
        let next_stop = extras.map(|extras| extras.next_stop(flow.remote.ip()));
        let heeds_path = family.fragmentation.heeds_path();
        if (extra, next_stop, heeds_path) != (self.extra, self.next_stop, self.heeds_path) {
            self.mtu_changed |= extra != self.extra;
            self.forget();
        }
        (self.extra, self.next_stop, self.heeds_path) = (extra, next_stop, heeds_path);
        self.flow_label = match options.flow_label {
            0 if family.labels => ip.flow_label(Protocol::TCP, flow.local, flow.remote),
            label => label,
        };
        self.may_be_cut = !self.ipv6 && !self.hop(options).dont_fragment;
        self.template = None;
    }

    /// What IP says in each packet.
    pub(crate) fn hop(&self, options: &Settings) -> Hop {
        let family = options.of(self.ipv6);
        Hop {
            ttl: family.ttl.unwrap_or(self.hop_limit()),
            tos: family.tos,
            dont_fragment: family.fragmentation == Fragmentation::WhenNeeded
                || family.fragmentation == Fragmentation::Never,
            flow_label: self.flow_label,
        }
    }

    fn hop_limit(&self) -> u8 {
        self.route.as_ref().map_or(64, |route| route.hop_limit)
    }

    /// Segments leave one by one: each bears more than a device's cutting is asked to copy, or a number of its own.
    pub(crate) fn leaves_singly(&self) -> bool {
        self.extra > 0 || self.may_be_cut
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
        u32::from(self.mtu).saturating_sub(BASE_HEADERS[usize::from(self.ipv6)] + u32::from(self.extra)).max(1)
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
    #[inline]
    pub(crate) fn refresh(&mut self, now: Instant, ip: &mut Ip, flow: &Flow) {
        if self.generation != ip.generation() || self.link.is_none() || now >= self.confirmed_at + USE_INTERVAL {
            self.renew(now, ip, flow);
        }
    }

    #[inline(never)]
    fn renew(&mut self, now: Instant, ip: &mut Ip, flow: &Flow) {
        if self.generation != ip.generation() {
            self.refresh_route(ip, flow);
        }
        self.template = None;
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
        self.route = ip.route(self.next_stop.unwrap_or(flow.remote.ip()), Some(flow.local.ip())).ok();
        let mtu = match &self.route {
            Some(route) if self.heeds_path => route.mtu,
            Some(route) => ip.port(route.port).mtu,
            None if self.mtu == 0 => 576,
            None => self.mtu,
        };
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
        options: &Settings,
        segment: &Repr,
        payload: &[&[u8]],
        cut: Option<u16>,
    ) -> Result<(), Full> {
        self.make_template(ip, flow, options);
        let Some(template) = &self.template else {
            return send_slowly(now, ip, flow, self.hop(options), options.extras(self.ipv6), segment, payload, cut);
        };
        let mut headers = [0; MAX_HEADERS];
        let end = template.write(self.identification, segment, length(payload), &mut headers);
        self.hand_over(ip, egress, &headers[..end], payload, cut)
    }

    /// The same for a plain segment.
    #[allow(clippy::too_many_arguments)]
    #[inline]
    pub(crate) fn send_plain(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        egress: &mut dyn Egress,
        flow: &Flow,
        options: &Settings,
        segment: &Plain,
        payload: &[&[u8]],
        cut: Option<u16>,
    ) -> Result<(), Full> {
        self.make_template(ip, flow, options);
        let Some(template) = &self.template else {
            let (hop, extras) = (self.hop(options), options.extras(self.ipv6));
            return send_slowly(now, ip, flow, hop, extras, &segment.repr(flow), payload, cut);
        };
        let (headers, end) = template.write_plain(self.identification, segment, length(payload));
        self.hand_over(ip, egress, &headers[..end], payload, cut)
    }

    /// There is a template unless the neighbour is not known, or is ourselves, or packets leave one by one.
    #[inline]
    fn make_template(&mut self, ip: &Ip, flow: &Flow, options: &Settings) {
        if self.template.is_none() {
            self.template = match (&self.route, self.link) {
                (Some(route), Some(to)) if !self.leaves_singly() => {
                    Template::new((ip.port(route.port).mac, to), flow, self.hop(options))
                }
                _ => None,
            };
        }
    }

    #[inline]
    fn hand_over(
        &mut self,
        ip: &mut Ip,
        egress: &mut dyn Egress,
        header: &[u8],
        payload: &[&[u8]],
        cut: Option<u16>,
    ) -> Result<(), Full> {
        egress.transmit(self.port(), &TxFrame { header, payload, offload: offload(self.ipv6, header.len(), cut) })?;
        let pieces = cut.map_or(1, |size| length(payload).div_ceil(usize::from(size)).max(1));
        self.identification = self.identification.wrapping_add(pieces as u16);
        ip.counters.tcp_segments_sent += 1;
        ip.counters.link_frames_sent += 1;
        let packets = if self.ipv6 { &mut ip.counters.ipv6_packets_sent } else { &mut ip.counters.ipv4_packets_sent };
        *packets += 1;
        Ok(())
    }
}

#[inline]
fn length(payload: &[&[u8]]) -> usize {
    payload.iter().map(|slice| slice.len()).sum()
}

#[inline]
fn offload(ipv6: bool, end: usize, cut: Option<u16>) -> Offload {
    let (transport, kind) = if ipv6 { (V6, SegmentKind::TcpV6) } else { (V4, SegmentKind::TcpV4) };
    Offload {
        checksum: Checksum::Partial { start: transport as u16, offset: CHECKSUM_OFFSET as u16 },
        segmentation: cut.map(|size| Segmentation { kind, size, header_len: end as u16 }),
    }
}

/// Through the host's own queue, by copy: where the neighbour is not known yet, to ourselves, and with extras.
#[allow(clippy::too_many_arguments, reason = "a segment, in its parts")]
fn send_slowly(
    now: Instant,
    ip: &mut Ip,
    flow: &Flow,
    hop: Hop,
    extras: Option<&Extras>,
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
        ttl: hop.ttl,
        tos: hop.tos,
        checksum_offset: Some(CHECKSUM_OFFSET as u16),
        segment_size: cut,
    };
    ip.send(now, &outgoing, &hop.manner(extras), &header[..len], payload)?;
    ip.counters.tcp_segments_sent += 1;
    Ok(())
}

/// Sends a segment that belongs to no connection's transmission: a SYN-ACK, a RST. A full queue loses it, as the network
/// might; the peer asks again.
pub(crate) fn send_alone(now: Instant, ip: &mut Ip, flow: &Flow, hop: Hop, extras: Option<&Extras>, segment: &Repr) {
    if send_slowly(now, ip, flow, hop, extras, segment, &[], None) == Err(Full) {
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
