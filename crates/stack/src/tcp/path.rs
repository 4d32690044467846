//! The way to the peer, remembered: route, link header, MTU.
//!
//! A connection asks for its route once, and again only when the host's tables have changed, which one number tells
//! ([`Ip::generation`]); a link address that stays in use is asked for again now and then, so that a stale one is probed.
//! In between, a segment's headers are a copy of what all segments of the connection have in common ([`Template`]), with
//! the rest filled in, and its payload goes to the device from where it lies. Nearly every segment bears no option but
//! timestamps ([`Plain`]), and of its TCP header too only the fields are written that differ.

use super::demux::Flow;
use super::hop::{Extras, Hop};
use super::options::Options as Settings;
use crate::Egress;
use crate::counters::Drop;
use crate::ip::{Ip, Link, Outgoing, Route};
use crate::ipv4::output::Fragmentation;
use crate::neighbor::USE_INTERVAL;
use crate::port::PortId;
use sockeye_device::{Checksum, Full, Instant, Offload, SegmentKind, Segmentation, TxFrame};
use sockeye_wire::checksum::{self, Sum};
use sockeye_wire::tcp::{CHECKSUM_OFFSET, Flags, HEADER_LEN, Options, Repr, Timestamps};
use sockeye_wire::{EtherType, MacAddr, Protocol, SeqNumber, ethernet, ipv4, ipv6};
use std::net::{IpAddr, SocketAddr};

/// Ethernet, IP without options, TCP with all the options that there can be.
const MAX_HEADERS: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN + 60;
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
        Ok(())
    }
}

#[inline]
fn length(payload: &[&[u8]]) -> usize {
    payload.iter().map(|slice| slice.len()).sum()
}

/// A segment whose only option are the timestamps, and without urgent data: what differs between those of a connection.
pub(crate) struct Plain {
    pub(crate) seq: SeqNumber,
    pub(crate) ack: SeqNumber,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) timestamps: Option<Timestamps>,
}

impl Plain {
    /// As any segment, where it needs options or an urgent pointer.
    pub(crate) fn repr(&self, flow: &Flow) -> Repr {
        let Plain { seq, ack, flags, window, timestamps } = *self;
        let options = Options { timestamps, ..Options::default() };
        Repr { window, options, ..bare(flow, seq, ack, flags) }
    }
}

#[inline]
fn offload(ipv6: bool, end: usize, cut: Option<u16>) -> Offload {
    let (transport, kind) = if ipv6 { (V6, SegmentKind::TcpV6) } else { (V4, SegmentKind::TcpV4) };
    Offload {
        checksum: Checksum::Partial { start: transport as u16, offset: CHECKSUM_OFFSET as u16 },
        segmentation: cut.map(|size| Segmentation { kind, size, header_len: end as u16 }),
    }
}

/// What every segment of a connection begins with, with zeros for what differs; and the sums that a checksum begins with,
/// as a sum may be made in pieces.
struct Template {
    /// IPv4's are shorter.
    headers: [u8; MAX_PLAIN],
    ipv6: bool,
    /// Of IPv4's header without length, identification and checksum.
    network: Sum,
    /// Of the pseudo-header without the length.
    pseudo: Sum,
}

impl Template {
    /// None where the two ends are of different families.
    #[inline(never)]
    fn new((from, to): (MacAddr, MacAddr), flow: &Flow, hop: Hop) -> Option<Self> {
        let Hop { ttl, tos, dont_fragment, flow_label } = hop;
        let mut headers = [0; MAX_PLAIN];
        let mut link = ethernet::Repr { dst: to, src: from, vlan: None, ether_type: EtherType::IPV4 };
        let mut network = Sum::default();
        match (flow.local, flow.remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => {
                let repr = ipv4::Repr {
                    src: *local.ip(),
                    dst: *remote.ip(),
                    protocol: Protocol::TCP,
                    ttl,
                    tos,
                    id: 0,
                    dont_fragment,
                    more_fragments: false,
                    fragment_offset: 0,
                    options: &[],
                };
                repr.emit(0, &mut headers[ethernet::HEADER_LEN..]);
                put(&mut headers, LENGTH_V4, [0; 2]);
                put(&mut headers, NETWORK_CHECKSUM, [0; 2]);
                network = checksum::sum(&headers[ethernet::HEADER_LEN..V4]);
            }
            (SocketAddr::V6(local), SocketAddr::V6(remote)) => {
                link.ether_type = EtherType::IPV6;
                let repr = ipv6::Repr {
                    src: *local.ip(),
                    dst: *remote.ip(),
                    next_header: Protocol::TCP,
                    hop_limit: ttl,
                    traffic_class: tos,
                    flow_label,
                };
                repr.emit(0, &mut headers[ethernet::HEADER_LEN..]);
            }
            _ => return None,
        }
        link.emit(&mut headers);
        let ipv6 = flow.local.is_ipv6();
        let timestamps = Some(Timestamps { value: 0, echo: 0 });
        let segment = Plain { seq: SeqNumber(0), ack: SeqNumber(0), flags: Flags(0), window: 0, timestamps };
        segment.repr(flow).emit(&mut headers[if ipv6 { V6 } else { V4 }..]);
        let pseudo = checksum::pseudo_header(flow.local.ip(), flow.remote.ip(), Protocol::TCP.0, 0);
        Some(Template { headers, ipv6, network, pseudo })
    }

    /// Writes all headers of a segment, with the sum of the pseudo-header in the TCP checksum's field, for the device to
    /// complete.
    fn write(&self, id: u16, segment: &Repr, payload_len: usize, headers: &mut [u8; MAX_HEADERS]) -> usize {
        let start = if self.ipv6 { V6 } else { V4 };
        headers[..start].copy_from_slice(&self.headers[..start]);
        let transport = segment.emit(&mut headers[start..]);
        match self.ipv6 {
            false => self.complete::<V4, _>(id, transport + payload_len, headers),
            true => self.complete::<V6, _>(id, transport + payload_len, headers),
        }
        start + transport
    }

    /// The same for a plain segment.
    #[inline]
    fn write_plain(&self, id: u16, segment: &Plain, payload_len: usize) -> ([u8; MAX_PLAIN], usize) {
        let mut headers = self.headers;
        let end = match self.ipv6 {
            false => self.fill_in::<V4>(id, segment, payload_len, &mut headers),
            true => self.fill_in::<V6>(id, segment, payload_len, &mut headers),
        };
        (headers, end)
    }

    /// Fills in what differs between plain segments, behind an IP header that ends at `TRANSPORT`.
    #[inline]
    fn fill_in<const TRANSPORT: usize>(
        &self,
        id: u16,
        segment: &Plain,
        payload_len: usize,
        headers: &mut [u8; MAX_PLAIN],
    ) -> usize {
        let Plain { seq, ack, flags, window, timestamps } = *segment;
        let mut transport = HEADER_LEN;
        if let Some(Timestamps { value, echo }) = timestamps {
            put(headers, TRANSPORT + STAMP, value.to_be_bytes());
            put(headers, TRANSPORT + STAMP + 4, echo.to_be_bytes());
            transport = PLAIN;
        }
        put(headers, TRANSPORT + 4, seq.0.to_be_bytes());
        put(headers, TRANSPORT + 8, ack.0.to_be_bytes());
        put(headers, TRANSPORT + 12, [((transport / 4) << 4) as u8, flags.0]);
        put(headers, TRANSPORT + 14, window.to_be_bytes());
        self.complete::<TRANSPORT, _>(id, transport + payload_len, headers);
        TRANSPORT + transport
    }

    /// Fills in what depends on identification and length.
    #[inline]
    fn complete<const TRANSPORT: usize, const N: usize>(&self, id: u16, segment_len: usize, headers: &mut [u8; N]) {
        if TRANSPORT == V4 {
            let mut network = self.network;
            let total = (ipv4::HEADER_LEN + segment_len) as u16;
            network.add_u32(u32::from(total) << 16 | u32::from(id));
            put(headers, LENGTH_V4, total.to_be_bytes());
            put(headers, IDENTIFICATION, id.to_be_bytes());
            put(headers, NETWORK_CHECKSUM, network.finish().to_be_bytes());
        } else {
            put(headers, LENGTH_V6, (segment_len as u16).to_be_bytes());
        }
        let mut pseudo = self.pseudo;
        pseudo.add_u32(segment_len as u32);
        put(headers, TRANSPORT + CHECKSUM_OFFSET, pseudo.folded().to_be_bytes());
    }
}

/// Where the TCP header stands, in a frame without tags, IP options and extension headers.
const V4: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN;
const V6: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN;
/// And the other fields that differ.
const LENGTH_V4: usize = ethernet::HEADER_LEN + 2;
const IDENTIFICATION: usize = ethernet::HEADER_LEN + 4;
const NETWORK_CHECKSUM: usize = ethernet::HEADER_LEN + ipv4::CHECKSUM_OFFSET;
const LENGTH_V6: usize = ethernet::HEADER_LEN + ipv6::PAYLOAD_LEN_OFFSET;
/// In the TCP header: the clock in the timestamps option, behind two "no operations", kind and length.
const STAMP: usize = HEADER_LEN + 4;
/// A TCP header with no other option.
const PLAIN: usize = STAMP + 8;
const MAX_PLAIN: usize = V6 + PLAIN;

#[inline(always)]
fn put<const N: usize, const M: usize>(headers: &mut [u8; N], at: usize, value: [u8; M]) {
    headers[at..at + M].copy_from_slice(&value);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    proptest! {
        /// The template gives what writing each header anew gives.
        #[test]
        fn a_template_filled_in_is_what_the_headers_emit(
            macs in any::<[[u8; 6]; 2]>(),
            addresses in prop_oneof![
                any::<[u32; 2]>().prop_map(|ends| ends.map(|end| IpAddr::V4(Ipv4Addr::from_bits(end)))),
                any::<[u128; 2]>().prop_map(|ends| ends.map(|end| IpAddr::V6(Ipv6Addr::from_bits(end)))),
            ],
            (ttl, tos, dont_fragment, label) in any::<(u8, u8, bool, u32)>(),
            (id, seq, ack, flags, window) in any::<(u16, u32, u32, u8, u16)>(),
            timestamps in prop::option::of(any::<(u32, u32)>()),
            payload_len in 0usize..65_000,
        ) {
            let [from, to] = macs.map(MacAddr);
            let [src, dst] = addresses;
            let (local, remote) = (SocketAddr::from((src, 7)), SocketAddr::from((dst, 80)));
            let flow = Flow { local, remote };
            let mut segment = bare(&flow, SeqNumber(seq), SeqNumber(ack), Flags(flags));
            segment.window = window;
            segment.options.timestamps = timestamps.map(|(value, echo)| Timestamps { value, echo });

            let mut expected = [0; MAX_HEADERS];
            let ether_type = if src.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 };
            let network = ethernet::Repr { dst: to, src: from, vlan: None, ether_type }.emit(&mut expected);
            let len = segment.header_len() + payload_len;
            let flow_label = label & 0xf_ffff;
            let hop = Hop { ttl, tos, dont_fragment, flow_label };
            let transport = network + match (src, dst) {
                (IpAddr::V4(src), IpAddr::V4(dst)) => ipv4::Repr {
                    src,
                    dst,
                    protocol: Protocol::TCP,
                    ttl,
                    tos,
                    id,
                    dont_fragment,
                    more_fragments: false,
                    fragment_offset: 0,
                    options: &[],
                }
                .emit(len, &mut expected[network..]),
                (IpAddr::V6(src), IpAddr::V6(dst)) => ipv6::Repr {
                    src,
                    dst,
                    next_header: Protocol::TCP,
                    hop_limit: ttl,
                    traffic_class: tos,
                    flow_label,
                }
                .emit(len, &mut expected[network..]),
                _ => unreachable!("two of one family"),
            };
            let end = transport + segment.emit(&mut expected[transport..]);
            let sum = checksum::pseudo_header(src, dst, Protocol::TCP.0, len as u32).folded();
            put(&mut expected, transport + CHECKSUM_OFFSET, sum.to_be_bytes());

            let mut headers = [0; MAX_HEADERS];
            let template = Template::new((from, to), &flow, hop).expect("one family");
            prop_assert_eq!(template.write(id, &segment, payload_len, &mut headers), end);
            prop_assert_eq!(&headers[..end], &expected[..end]);

            let Repr { seq, ack, flags, window, options, .. } = segment;
            let plain = Plain { seq, ack, flags, window, timestamps: options.timestamps };
            let (headers, plain_end) = template.write_plain(id, &plain, payload_len);
            prop_assert_eq!(&headers[..plain_end], &expected[..end]);
        }
    }
}
