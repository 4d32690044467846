//! Headers around a payload: IPv4, IPv6 with extension headers, fragments of both, and a frame around all.

use std::net::IpAddr;

use sockeye_wire::ipv4::options::OptionBuffer;
use sockeye_wire::ipv6::extension::{self, Fragment, emit_chain};
use sockeye_wire::{EtherType, MacAddr, Protocol, ethernet, ipv4, ipv6};

use crate::Result;
use crate::complain::two_families;

/// What stands before a payload.
#[derive(Clone, Copy, Debug)]
pub enum Header<'a> {
    /// A header of IPv4.
    V4(ipv4::Repr<'a>),
    /// A header of IPv6, and those behind it.
    V6 {
        /// The header itself.
        header: ipv6::Repr,
        /// In this order.
        extensions: &'a [extension::Repr<'a>],
        /// What fragments are known by.
        id: u32,
    },
}

impl<'a> Header<'a> {
    /// A plain one of either family.
    pub fn plain(src: IpAddr, dst: IpAddr, id: u16) -> Result<Header<'a>> {
        // The protocol is whatever the packet will carry.
        let protocol = Protocol(0);
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let (dont_fragment, more_fragments, fragment_offset) = (true, false, 0);
                let (ttl, tos, options) = (64, 0, &[]);
                Ok(Header::V4(ipv4::Repr {
                    src,
                    dst,
                    protocol,
                    ttl,
                    tos,
                    id,
                    dont_fragment,
                    more_fragments,
                    fragment_offset,
                    options,
                }))
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let (hop_limit, traffic_class, flow_label) = (64, 0, 0);
                let header = ipv6::Repr { src, dst, next_header: protocol, hop_limit, traffic_class, flow_label };
                Ok(Header::V6 { header, extensions: &[], id: id.into() })
            }
            _ => Err(two_families(src, dst)),
        }
    }

    /// The same for a packet that may pass so many routers.
    pub fn with_hops(mut self, hops: u8) -> Header<'a> {
        match &mut self {
            Header::V4(header) => header.ttl = hops,
            Header::V6 { header, .. } => header.hop_limit = hops,
        }
        self
    }

    /// The same with extension headers, which only IPv6 has.
    pub fn with_extensions(mut self, headers: &'a [extension::Repr<'a>]) -> Result<Header<'a>> {
        match &mut self {
            Header::V6 { extensions, .. } => *extensions = headers,
            Header::V4(_) if headers.is_empty() => {}
            Header::V4(header) => {
                return Err(format!("--header is for IPv6, and {} is an address of IPv4", header.dst));
            }
        }
        Ok(self)
    }

    /// Its length.
    pub fn header_len(&self) -> usize {
        match self {
            Header::V4(header) => header.header_len(),
            Header::V6 { extensions, .. } => ipv6::HEADER_LEN + extensions_len(extensions),
        }
    }

    /// One packet.
    pub fn packet(&self, protocol: Protocol, payload: &[u8]) -> Result<Vec<u8>> {
        if self.header_len() + payload.len() > LARGEST {
            return Err(format!("{} bytes do not fit a packet of {LARGEST}: say a smaller --size", payload.len()));
        }
        Ok(match self {
            Header::V4(header) => ipv4(&ipv4::Repr { protocol, ..*header }, payload),
            Header::V6 { header, extensions, .. } => ipv6(header, extensions, protocol, payload),
        })
    }

    /// One packet, or where there is an MTU, as many as it takes.
    pub fn packets(&self, protocol: Protocol, payload: &[u8], mtu: Option<u16>) -> Result<Vec<Vec<u8>>> {
        let whole = self.packet(protocol, payload)?;
        let Some(mtu) = mtu.map(usize::from) else { return Ok(vec![whole]) };
        let least = match self {
            Header::V4(header) => header.header_len() + 8,
            Header::V6 { .. } => self.header_len() + extension::FRAGMENT_LEN + 8,
        };
        if mtu < least {
            return Err(format!("no data find room in packets of {mtu} bytes: say --fragment {least} or more"));
        }
        Ok(match self {
            Header::V4(header) => ipv4_fragments(&ipv4::Repr { protocol, ..*header }, payload, mtu),
            Header::V6 { header, extensions, id } => ipv6_fragments(header, extensions, (protocol, payload), *id, mtu),
        })
    }
}

/// No packet is larger: that is all that the length in a header can say.
const LARGEST: usize = 65_535;

/// The number that a header has for another packet, to this address, behind it.
pub fn carrying(to: IpAddr) -> Protocol {
    if to.is_ipv4() { Protocol::IPV4 } else { Protocol::IPV6 }
}

/// What of IP's two families a packet is, by its first four bits.
pub fn ether_type(packet: &[u8]) -> EtherType {
    match packet.first().map(|byte| byte >> 4) {
        Some(6) => EtherType::IPV6,
        _ => EtherType::IPV4,
    }
}

/// A frame. A device pads what is shorter than 60 bytes.
pub fn frame(dst: MacAddr, src: MacAddr, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let header = ethernet::Repr { dst, src, vlan: None, ether_type };
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes);
    bytes.extend(payload);
    bytes
}

/// A packet of IPv4.
fn ipv4(header: &ipv4::Repr<'_>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; header.header_len()];
    header.emit(payload.len(), &mut bytes);
    bytes.extend(payload);
    bytes
}

/// The same in packets of at most `mtu` bytes.
///
/// Each has the header again, with the place of its piece; all but the last carry a multiple of 8 bytes. Of the options only
/// those that routers need each time are in all of them.
fn ipv4_fragments(header: &ipv4::Repr<'_>, payload: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let copied = OptionBuffer::for_fragments(header.options);
    let room = (mtu - header.header_len()) & !7;
    let mut offset = 0;
    let mut packets = Vec::new();
    for piece in payload.chunks(room) {
        let header = ipv4::Repr {
            dont_fragment: false,
            more_fragments: offset + piece.len() < payload.len(),
            fragment_offset: offset as u16,
            options: if offset == 0 { header.options } else { copied.as_bytes() },
            ..*header
        };
        packets.push(ipv4(&header, piece));
        offset += piece.len();
    }
    packets
}

/// A packet of IPv6: the header, extension headers in a row, and what it carries. Each names the next one.
fn ipv6(header: &ipv6::Repr, extensions: &[extension::Repr<'_>], upper: Protocol, payload: &[u8]) -> Vec<u8> {
    let len = extensions_len(extensions);
    let mut bytes = vec![0; ipv6::HEADER_LEN + len];
    let (next_header, _) = emit_chain(extensions, upper, &mut bytes[ipv6::HEADER_LEN..]);
    ipv6::Repr { next_header, ..*header }.emit(len + payload.len(), &mut bytes);
    bytes.extend(payload);
    bytes
}

/// The same in packets of at most `mtu` bytes.
///
/// What routers look at (hop-by-hop options, and all up to a routing header) is in each of them; then comes the fragment
/// header; what follows it is cut like any data, the other extension headers too.
fn ipv6_fragments(
    header: &ipv6::Repr,
    extensions: &[extension::Repr<'_>],
    (upper, payload): (Protocol, &[u8]),
    id: u32,
    mtu: usize,
) -> Vec<Vec<u8>> {
    let for_routers =
        |header: &extension::Repr<'_>| matches!(header, extension::Repr::HopByHop(_) | extension::Repr::Routing { .. });
    let cut = extensions.iter().rposition(for_routers).map_or(0, |last| last + 1);
    let (each, once) = extensions.split_at(cut);

    let mut whole = vec![0; extensions_len(once)];
    let (first, _) = emit_chain(once, upper, &mut whole);
    whole.extend(payload);

    let before = ipv6::HEADER_LEN + extensions_len(each) + extension::FRAGMENT_LEN;
    let room = (mtu - before) & !7;
    let mut offset = 0;
    let mut packets = Vec::new();
    for piece in whole.chunks(room) {
        let fragment = Fragment { offset: offset as u16, more: offset + piece.len() < whole.len(), id };
        let headers = [each, &[extension::Repr::Fragment(fragment)]].concat();
        packets.push(ipv6(header, &headers, first, piece));
        offset += piece.len();
    }
    packets
}

fn extensions_len(extensions: &[extension::Repr<'_>]) -> usize {
    extensions.iter().map(extension::Repr::header_len).sum()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use sockeye_wire::ipv4::options::IpOption;
    use sockeye_wire::ipv6::extension::{Extensions, HeaderOption, Limits};

    use super::*;

    /// Pieces with their places come to the whole, whatever their size; none is larger than it may be.
    fn assert_whole(mut pieces: Vec<(usize, bool, Vec<u8>)>, payload: &[u8]) {
        pieces.sort();
        let mut whole: Vec<u8> = Vec::new();
        for (index, (offset, more, piece)) in pieces.iter().enumerate() {
            assert_eq!((*offset, *more), (whole.len(), index + 1 < pieces.len()));
            whole.extend(piece);
        }
        assert_eq!(whole, payload);
    }

    #[test]
    fn fragments_of_ipv4_come_to_the_whole() {
        let mut options = OptionBuffer::new();
        options.push_record_route(3).unwrap();
        options.push(&IpOption::RouterAlert(0)).unwrap();
        let header = ipv4::Repr {
            src: Ipv4Addr::LOCALHOST,
            dst: Ipv4Addr::LOCALHOST,
            protocol: Protocol::UDP,
            ttl: 64,
            tos: 0,
            id: 7,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            options: options.as_bytes(),
        };
        let payload: Vec<u8> = (0..2000).map(|byte| byte as u8).collect();
        for mtu in 68..2100 {
            let packets = ipv4_fragments(&header, &payload, mtu);
            let pieces = packets.iter().map(|bytes| {
                let packet = ipv4::Packet::parse(bytes).unwrap();
                assert!(packet.verify_checksum() && bytes.len() <= mtu && packet.id() == 7);
                let at = usize::from(packet.fragment_offset());
                assert_eq!(packet.header_len(), if at == 0 { 40 } else { 24 }, "routes are recorded in the first only");
                (at, packet.more_fragments(), packet.payload().to_vec())
            });
            assert_whole(pieces.collect(), &payload);
        }
    }

    #[test]
    fn fragments_of_ipv6_have_what_routers_need_and_come_to_the_whole() {
        let (alert, option) =
            ([HeaderOption::RouterAlert(0)], [HeaderOption::Unknown { kind: 0x1e, data: b"sockeye" }]);
        let extensions = [extension::Repr::HopByHop(&alert), extension::Repr::Destination(&option)];
        let (src, dst, upper) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, Protocol::UDP);
        let header = ipv6::Repr { src, dst, next_header: upper, hop_limit: 64, traffic_class: 0, flow_label: 0 };
        let payload: Vec<u8> = (0..2000).map(|byte| byte as u8).collect();
        let mut whole = vec![0; 16];
        extensions[1].emit(upper, &mut whole);
        whole.extend(&payload);
        for mtu in 80..2100 {
            let packets = ipv6_fragments(&header, &extensions, (upper, &payload), 7, mtu);
            let pieces = packets.iter().map(|bytes| {
                assert!(bytes.len() <= mtu);
                let packet = ipv6::Packet::parse(bytes).unwrap();
                let mut headers = Extensions::new(&packet, Limits::DEFAULT);
                let first = headers.next().unwrap().unwrap();
                assert!(matches!(first.extension, extension::Extension::HopByHop(_)));
                let second = headers.next().unwrap().unwrap();
                let extension::Extension::Fragment(fragment) = second.extension else { panic!("{second:?}") };
                assert_eq!((fragment.id, second.next_header), (7, Protocol::DESTINATION_OPTIONS));
                (fragment.offset.into(), fragment.more, second.rest.to_vec())
            });
            assert_whole(pieces.collect(), &whole);
        }
    }
}
