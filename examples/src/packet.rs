//! Headers around a payload: IPv4, IPv6 with extension headers, fragments of both, and a frame around all.

use std::net::IpAddr;

use sockeye_wire::ipv4::options::OptionBuffer;
use sockeye_wire::ipv6::extension::{self, Fragment, emit_chain};
use sockeye_wire::{EtherType, MacAddr, Protocol, ethernet, ipv4, ipv6};

use crate::Result;

/// A packet of IPv4.
pub fn ipv4(header: &ipv4::Repr<'_>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; header.header_len()];
    header.emit(payload.len(), &mut bytes);
    bytes.extend(payload);
    bytes
}

/// The same in packets of at most `mtu` bytes.
///
/// Each has the header again, with the place of its piece; all but the last carry a multiple of 8 bytes. Of the options only
/// those that routers need each time are in all of them.
pub fn ipv4_fragments(header: &ipv4::Repr<'_>, payload: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let copied = OptionBuffer::for_fragments(header.options);
    let room = mtu.saturating_sub(header.header_len()).max(8) & !7;
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
pub fn ipv6(header: &ipv6::Repr, extensions: &[extension::Repr<'_>], upper: Protocol, payload: &[u8]) -> Vec<u8> {
    let len: usize = extensions.iter().map(extension::Repr::header_len).sum();
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
pub fn ipv6_fragments(
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

    let mut whole = vec![0; once.iter().map(extension::Repr::header_len).sum()];
    let (first, _) = emit_chain(once, upper, &mut whole);
    whole.extend(payload);

    let before =
        ipv6::HEADER_LEN + each.iter().map(extension::Repr::header_len).sum::<usize>() + extension::FRAGMENT_LEN;
    let room = mtu.saturating_sub(before).max(8) & !7;
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

/// A plain packet of either family. The identification is IPv4's.
pub fn ip(src: IpAddr, dst: IpAddr, id: u16, protocol: Protocol, payload: &[u8]) -> Result<Vec<u8>> {
    Ok(match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let (dont_fragment, more_fragments, fragment_offset) = (true, false, 0);
            let (ttl, tos, options) = (64, 0, &[]);
            let header = ipv4::Repr {
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
            };
            ipv4(&header, payload)
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let header = ipv6::Repr { src, dst, next_header: protocol, hop_limit: 64, traffic_class: 0, flow_label: 0 };
            ipv6(&header, &[], protocol, payload)
        }
        _ => return Err(format!("{src} and {dst} are of two families")),
    })
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
