//! What must hold for any bytes into the parsers of IPv6, of group membership and of IPsec.

use std::net::{IpAddr, Ipv6Addr};

use sockeye_wire::group::{Address, Records};
use sockeye_wire::icmpv6::Arrival;
use sockeye_wire::ipv6::extension::{
    self, Extension, Extensions, Header, HeaderOption, Limits, Repr, Upper, emit_chain,
};
use sockeye_wire::ndisc::{Domains, NdOption};
use sockeye_wire::{Malformed, Protocol};
use sockeye_wire::{ah, checksum, esp, icmpv6, igmp, ipv6, mld, ndisc, tcp, udp, udp_lite};

const SRC: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const DST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

/// IPv6 packets with their extension headers, whole and quoted.
pub fn ipv6(bytes: &[u8]) {
    if let Ok(quoted) = ipv6::Packet::parse_quoted(bytes) {
        assert_eq!(ipv6::HEADER_LEN + quoted.payload().len(), quoted.bytes().len());
        assert!(bytes.starts_with(quoted.bytes()));
        assert!(quoted.payload().len() <= usize::from(quoted.payload_len()) || quoted.payload_len() == 0);
        walk(&quoted);
    }
    let Ok(packet) = ipv6::Packet::parse(bytes) else { return };
    assert!(ipv6::Packet::parse_quoted(bytes).is_ok());
    assert!(bytes.starts_with(packet.bytes()));
    assert_eq!(packet.bytes().len(), ipv6::HEADER_LEN + packet.payload().len());
    let jumbo = packet.payload().len() != usize::from(packet.payload_len());
    assert!(!jumbo || (packet.payload_len(), packet.next_header()) == (0, Protocol::HOP_BY_HOP));

    let repr = packet.repr();
    let mut copy = vec![0xaa; packet.bytes().len()];
    assert_eq!(repr.emit(usize::from(packet.payload_len()), &mut copy), ipv6::HEADER_LEN);
    copy[ipv6::HEADER_LEN..].copy_from_slice(packet.payload());
    assert_eq!(copy, packet.bytes(), "all of a header is meaning");
    assert!(!repr.to_string().is_empty());
    if let Some(upper) = walk(&packet) {
        assert_eq!(upper.at + upper.payload.len(), packet.bytes().len());
        match upper.protocol {
            Protocol::TCP => super::tcp(upper.payload),
            Protocol::UDP => super::udp(upper.payload),
            Protocol::ICMPV6 => icmpv6(upper.payload),
            _ => {}
        }
    }
}

/// Extension headers. One byte says what the first is; the rest is the payload of a packet.
pub fn ipv6_extensions(bytes: &[u8]) {
    let Some((&first, payload)) = bytes.split_first() else { return };
    let payload = &payload[..payload.len().min(65_535)];
    let next_header = Protocol(first);
    let repr = ipv6::Repr { src: SRC, dst: DST, next_header, hop_limit: 64, traffic_class: 0, flow_label: 0 };
    let mut packet = vec![0; ipv6::HEADER_LEN];
    repr.emit(payload.len(), &mut packet);
    packet.extend_from_slice(payload);
    ipv6(&packet);
}

/// What two walks with different limits find; all that they find is written again, and read.
fn walk<'a>(packet: &ipv6::Packet<'a>) -> Option<Upper<'a>> {
    let strict = Extensions::new(packet, Limits::DEFAULT).upper();
    let mut walk = Extensions::new(packet, Limits::NONE);
    let (mut at, mut headers) = (ipv6::HEADER_LEN, Vec::new());
    for header in walk.by_ref() {
        let header = match header {
            Ok(header) => header,
            Err(bad) => {
                assert!(bad.pointer as usize <= packet.bytes().len());
                assert!(strict.is_err());
                // An error is the end.
                assert_eq!((walk.next(), walk.end()), (None, Err(bad)));
                return None;
            }
        };
        assert_eq!(header.at, at);
        assert_eq!(packet.bytes()[at], header.next_header.0);
        at = packet.bytes().len() - header.rest.len();
        assert!(at >= header.at + 8 && (at - header.at) % 8 == 0);
        assert!(!header.extension.to_string().is_empty());
        headers.push(header);
    }
    match (strict, walk.end()) {
        (Ok(strict), free) => assert_eq!(Ok(strict), free),
        (Err(bad), _) => assert!(bad.pointer as usize <= packet.bytes().len()),
    }
    let upper = walk.end().ok()?;
    assert_eq!(upper.at, at);
    assert!(headers.len() <= 256 * 32);
    rewrite(packet, &headers, &upper);
    Some(upper)
}

fn rewrite(packet: &ipv6::Packet<'_>, headers: &[Header<'_>], upper: &Upper<'_>) {
    let options: Vec<Vec<HeaderOption<'_>>> = headers
        .iter()
        .map(|header| match header.extension {
            Extension::HopByHop(options) | Extension::Destination(options) => {
                let len = options.options().map(|placed| placed.option.len()).sum::<usize>();
                assert_eq!(len, options.bytes().len());
                assert!(options.options().all(|placed| packet.bytes()[placed.at] == placed.option.kind()));
                options.options().map(|placed| placed.option).filter(|option| !option.is_padding()).collect()
            }
            _ => Vec::new(),
        })
        .collect();
    let reprs: Vec<Repr<'_>> = headers
        .iter()
        .zip(&options)
        .map(|(header, options)| match header.extension {
            Extension::HopByHop(_) => Repr::HopByHop(options),
            Extension::Destination(_) => Repr::Destination(options),
            Extension::Routing(routing) => {
                let _ = (routing.addresses().map(Iterator::count), routing.final_destination());
                let extension::Routing { kind, segments_left, data } = routing;
                Repr::Routing { kind, segments_left, data }
            }
            Extension::Fragment(fragment) => Repr::Fragment(fragment),
            Extension::Authentication(header) => Repr::Authentication(header),
        })
        .collect();
    // What stood out of place may take more room in its place than a header has.
    let len: usize = reprs.iter().map(Repr::header_len).sum();
    let jumbo = packet.payload_len() == 0 && packet.next_header() == Protocol::HOP_BY_HOP;
    let fits = len + upper.payload.len() <= 65_535 && reprs.iter().all(|repr| repr.header_len() <= extension::MAX_LEN);
    if jumbo || !fits {
        return;
    }
    let mut chain = vec![0xaa; len];
    let (next_header, written) = emit_chain(&reprs, upper.protocol, &mut chain);
    assert_eq!((next_header, written), (packet.next_header(), len));
    let mut again = vec![0; ipv6::HEADER_LEN];
    packet.repr().emit(len + upper.payload.len(), &mut again);
    again.extend_from_slice(&chain);
    again.extend_from_slice(upper.payload);
    let again = ipv6::Packet::parse(&again).unwrap();
    let mut walk = Extensions::new(&again, Limits::NONE);
    for (header, expected) in walk.by_ref().zip(headers) {
        let (found, expected) = (header.unwrap().extension, expected.extension);
        match (found, expected) {
            (Extension::HopByHop(found), Extension::HopByHop(expected))
            | (Extension::Destination(found), Extension::Destination(expected)) => {
                let plain = |options: extension::OptionsHeader<'_>| {
                    options.options().map(|placed| placed.option.kind()).filter(|&kind| kind > 1).collect::<Vec<_>>()
                };
                assert_eq!(plain(found), plain(expected));
            }
            _ => assert_eq!(found, expected),
        }
    }
    let found = walk.end().unwrap();
    assert_eq!((found.protocol, found.payload, found.fragment), (upper.protocol, upper.payload, upper.fragment));
    let mut twice = vec![0xbb; len];
    emit_chain(&reprs, upper.protocol, &mut twice);
    assert_eq!(twice, chain);
}

/// ICMPv6 messages, with the checksum that they have and with the right one.
pub fn icmpv6(bytes: &[u8]) {
    icmpv6_as_it_is(bytes);
    if let Err(Malformed::Checksum) = icmpv6::Message::parse(bytes, SRC, DST) {
        let mut mended = bytes.to_vec();
        mended[2..4].fill(0);
        let mut sum = checksum::pseudo_header(SRC.into(), DST.into(), 58, mended.len() as u32);
        sum.add(&mended);
        mended[2..4].copy_from_slice(&sum.finish().to_be_bytes());
        assert_ne!(icmpv6::Message::parse(&mended, SRC, DST), Err(Malformed::Checksum));
        icmpv6_as_it_is(&mended);
    }
}

fn icmpv6_as_it_is(bytes: &[u8]) {
    let Ok(message) = icmpv6::Message::parse(bytes, SRC, DST) else { return };
    assert!(message.total_len() <= bytes.len());
    assert_eq!(message.kind(), bytes[0]);
    assert_eq!(message.is_error(), message.original().is_some());
    if let Some(original) = message.original()
        && let Ok(packet) = ipv6::Packet::parse_quoted(original)
        && let Some(upper) = walk(&packet)
    {
        let _ = (tcp::Quoted::parse(upper.payload), udp::Quoted::parse(upper.payload));
    }
    match message {
        icmpv6::Message::Discovery(message) => discovery(&message),
        icmpv6::Message::Listener(message) => listener(&message),
        _ => {}
    }
    let mut copy = vec![0xaa; message.total_len()];
    assert_eq!(message.emit(SRC, DST, &mut copy), copy.len());
    assert_eq!(icmpv6::Message::parse(&copy, SRC, DST), Ok(message));
    let mut head = vec![0xaa; message.header_len()];
    assert_eq!(message.emit_header(SRC, DST, &mut head), head.len());
    head.extend_from_slice(message.data());
    assert_eq!(head, copy);
    assert!(!message.to_string().is_empty());
}

fn discovery(message: &ndisc::Message<'_>) {
    ndisc_options(message.options().as_bytes());
    let good = Arrival { src: SRC, dst: DST, hop_limit: 255, fragmented: false, router_alert: false };
    for wrong in [Arrival { hop_limit: 254, ..good }, Arrival { fragmented: true, ..good }] {
        assert!(message.validate(&wrong).is_err());
    }
    let from_nobody = message.validate(&Arrival { src: Ipv6Addr::UNSPECIFIED, ..good });
    assert!(from_nobody.is_err() || message.options().source_link_layer().is_none() || message.kind() == 136);
    let _ = message.validate(&good);
}

/// Options of neighbour discovery.
pub fn ndisc_options(bytes: &[u8]) {
    let Ok(options) = ndisc::Options::parse(bytes) else { return };
    assert_eq!((options.as_bytes(), bytes.len() % 8), (bytes, 0));
    assert!(options.iter().count() <= bytes.len() / 8);
    let good: Vec<NdOption<'_>> = options.iter().filter_map(Result::ok).collect();
    for option in &good {
        match option {
            NdOption::Prefix(prefix) => assert_eq!(prefix.network().len(), prefix.prefix_len),
            NdOption::Route(route) => assert_eq!(route.network().addr(), IpAddr::V6(route.prefix)),
            NdOption::RecursiveDns(dns) => assert!(dns.servers.iter().count() > 0),
            NdOption::DnsSearchList(list) => {
                assert!(list.domains.iter().count() > 0);
                assert!(list.domains.iter().all(|name| name.labels().count() > 0 && !name.to_string().is_empty()));
                assert_eq!(Domains::parse(list.domains.as_bytes()), Ok(list.domains));
            }
            _ => {}
        }
    }
    let mut buffer = vec![0xaa; bytes.len()];
    let again = ndisc::Options::write(&good, &mut buffer);
    assert!(again.iter().map(Result::unwrap).eq(good.iter().copied()));
    assert_eq!(again.source_link_layer(), options.source_link_layer());
    assert_eq!(again.target_link_layer(), options.target_link_layer());
    assert_eq!(again.nonce(), options.nonce());
}

fn listener(message: &mld::Message<'_>) {
    let good = Arrival { src: SRC, dst: DST, hop_limit: 1, fragmented: false, router_alert: true };
    for wrong in [Arrival { hop_limit: 2, ..good }, Arrival { router_alert: false, ..good }] {
        assert!(message.validate(&wrong).is_err());
    }
    let _ = message.validate(&good);
    match message {
        mld::Message::Query(query) => assert!(query.max_response_millis() >= u32::from(query.max_response)),
        mld::Message::ReportV2(report) => records(report),
        _ => {}
    }
}

fn records<A: Address>(records: &Records<'_, A>) {
    let all: Vec<_> = records.iter().collect();
    assert_eq!(all.len(), usize::from(records.len()));
    let mut buffer = vec![0xaa; records.as_bytes().len()];
    assert_eq!(Records::write(&all, &mut buffer).as_bytes(), records.as_bytes());
}

/// IGMP messages, with the checksum that they have and with the right one.
pub fn igmp(bytes: &[u8]) {
    igmp_as_it_is(bytes);
    if let Err(Malformed::Checksum) = igmp::Message::parse(bytes) {
        let mut mended = bytes.to_vec();
        mended[2..4].fill(0);
        let checksum = checksum::sum(&mended).finish();
        mended[2..4].copy_from_slice(&checksum.to_be_bytes());
        igmp_as_it_is(&mended);
    }
}

fn igmp_as_it_is(bytes: &[u8]) {
    let Ok(message) = igmp::Message::parse(bytes) else { return };
    assert!(message.total_len() <= bytes.len());
    match &message {
        igmp::Message::Query(query) => {
            assert_eq!(query.version() == 3, query.details.is_some());
            assert!(query.max_response_millis() >= 100 || query.version() == 3);
        }
        igmp::Message::ReportV3(report) => records(report),
        _ => {}
    }
    let mut copy = vec![0xaa; message.total_len()];
    assert_eq!(message.emit(&mut copy), copy.len());
    assert_eq!(igmp::Message::parse(&copy), Ok(message));
    assert!(!message.to_string().is_empty());
}

/// UDP-Lite datagrams.
pub fn udp_lite(bytes: &[u8]) {
    let Ok(datagram) = udp_lite::Datagram::parse(bytes) else { return };
    assert_eq!(udp_lite::HEADER_LEN + datagram.payload().len(), bytes.len());
    let repr = datagram.repr();
    assert_eq!(repr.covered_len(bytes.len()), datagram.covered_len());
    assert!((udp_lite::HEADER_LEN..=bytes.len()).contains(&datagram.covered_len()));
    let mut copy = vec![0xaa; bytes.len()];
    assert_eq!(repr.emit(&mut copy), udp_lite::HEADER_LEN);
    copy[udp_lite::HEADER_LEN..].copy_from_slice(datagram.payload());
    let mut sum = checksum::pseudo_header(SRC.into(), DST.into(), 136, copy.len() as u32);
    sum.add(&copy[..repr.covered_len(bytes.len())]);
    copy[udp_lite::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
    let again = udp_lite::Datagram::parse(&copy).unwrap();
    assert!(again.verify_checksum(SRC.into(), DST.into()));
    assert_eq!((again.repr(), again.payload()), (repr, datagram.payload()));
    assert!(!repr.to_string().is_empty());
}

/// Authentication headers, encapsulating headers and trailers.
pub fn ipsec(bytes: &[u8]) {
    if let Ok((header, next_header, rest)) = ah::Header::parse(bytes) {
        assert_eq!(header.header_len() + rest.len(), bytes.len());
        let mut copy = vec![0xaa; header.header_len()];
        assert_eq!(header.emit(next_header, &mut copy), copy.len());
        assert_eq!(ah::Header::parse(&copy), Ok((header, next_header, &[][..])));
    }
    if let Ok((header, rest)) = esp::Header::parse(bytes) {
        let mut copy = bytes.to_vec();
        assert_eq!(header.emit(&mut copy), esp::HEADER_LEN);
        assert_eq!(copy, bytes);
        if let Ok((trailer, payload)) = esp::Trailer::parse(rest) {
            let mut copy = vec![0xaa; trailer.len()];
            assert_eq!(trailer.emit(&mut copy), copy.len());
            assert_eq!([payload, &copy].concat(), rest);
        }
    }
}
