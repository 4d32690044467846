//! What all segments of a connection begin with.
//!
//! Nearly every segment of a connection has the same headers but for a few fields, bears no option but timestamps ([`Plain`]), and goes to the same
//! station. So its headers are a copy, in which the fields are filled in that differ; and checksums begin with the sums of what does not.
//!
//! # Standards
//!
//! RFC 1071 §2 (sums made in pieces), RFC 7323 appendix A (where timestamps stand).

use super::demux::Flow;
use super::hop::Hop;
use super::path::bare;
use sockeye_wire::checksum::{self, Sum};
use sockeye_wire::tcp::{CHECKSUM_OFFSET, Flags, HEADER_LEN, Options, Repr, Timestamps};
use sockeye_wire::{EtherType, MacAddr, Protocol, SeqNumber, ethernet, ipv4, ipv6};
use std::net::SocketAddr;

/// Ethernet, IP without options, TCP with all the options that there can be.
pub(super) const MAX_HEADERS: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN + 60;
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

/// What every segment of a connection begins with, with zeros for what differs; and the sums that a checksum begins with,
/// as a sum may be made in pieces.
pub(super) struct Template {
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
    pub(super) fn new((from, to): (MacAddr, MacAddr), flow: &Flow, hop: Hop) -> Option<Self> {
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
    pub(super) fn write(&self, id: u16, segment: &Repr, payload_len: usize, headers: &mut [u8; MAX_HEADERS]) -> usize {
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
    pub(super) fn write_plain(&self, id: u16, segment: &Plain, payload_len: usize) -> ([u8; MAX_PLAIN], usize) {
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
pub(super) const V4: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN;
pub(super) const V6: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN;
/// And the other fields that differ.
const LENGTH_V4: usize = ethernet::HEADER_LEN + 2;
const IDENTIFICATION: usize = ethernet::HEADER_LEN + 4;
const NETWORK_CHECKSUM: usize = ethernet::HEADER_LEN + ipv4::CHECKSUM_OFFSET;
const LENGTH_V6: usize = ethernet::HEADER_LEN + ipv6::PAYLOAD_LEN_OFFSET;
/// In the TCP header: the clock in the timestamps option, behind two "no operations", kind and length.
const STAMP: usize = HEADER_LEN + 4;
/// A TCP header with no other option.
const PLAIN: usize = STAMP + 8;
pub(super) const MAX_PLAIN: usize = V6 + PLAIN;

#[inline(always)]
fn put<const N: usize, const M: usize>(headers: &mut [u8; N], at: usize, value: [u8; M]) {
    headers[at..at + M].copy_from_slice(&value);
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
