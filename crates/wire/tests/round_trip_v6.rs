//! Meaning to bytes and back, for IPv6, group membership and IPsec; and almost good bytes into their parsers.

mod exercise;

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use sockeye_wire::group::{Address, Addresses, QueryDetails, Record, RecordKind, Records};
use sockeye_wire::icmpv6::{Message, ParameterCode, TimeExceededCode, UnreachableCode};
use sockeye_wire::ipv6::extension::{Extension, Extensions, Fragment, HeaderOption, Limits, Repr, emit_chain};
use sockeye_wire::ndisc::{
    DnsSearchList, Domains, NdOption, NeighborAdvertisement, Options, Preference, PrefixInformation, RecursiveDns,
    RouteInformation, RouterAdvertisement, encode_domain,
};
use sockeye_wire::{MacAddr, Protocol};
use sockeye_wire::{ah, checksum, esp, icmpv6, igmp, ipv6, mld, ndisc, udp_lite};

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..100), vec(any::<u8>(), 1400..3000)]
}

prop_compose! {
    fn ipv6_repr()(
        (src, dst) in (v6(), v6()),
        (next_header, hop_limit, traffic_class) in any::<(u8, u8, u8)>(),
        flow_label in 0..=ipv6::MAX_FLOW_LABEL,
    ) -> ipv6::Repr {
        ipv6::Repr { src, dst, next_header: Protocol(next_header), hop_limit, traffic_class, flow_label }
    }
}

/// An option, the data of an unknown one by its length.
fn header_option() -> impl Strategy<Value = HeaderOption<'static>> {
    const DATA: &[u8] = &[0x5a; 255];
    prop_oneof![
        any::<u16>().prop_map(HeaderOption::RouterAlert),
        v6().prop_map(HeaderOption::HomeAddress),
        (2..=255u8, 0..40usize)
            .prop_filter("known ones are made above", |(kind, _)| ![5, 0xc2, 0xc9].contains(kind))
            .prop_map(|(kind, len)| HeaderOption::Unknown { kind, data: &DATA[..len] }),
    ]
}

/// An extension header that owns what it is made of.
#[derive(Clone, Debug)]
enum Owned {
    HopByHop(Vec<HeaderOption<'static>>),
    Destination(Vec<HeaderOption<'static>>),
    Routing(u8, u8, Vec<u8>),
    Fragment(Fragment),
    Authentication(u32, u32, Vec<u8>),
}

impl Owned {
    fn repr(&self) -> Repr<'_> {
        match self {
            Owned::HopByHop(options) => Repr::HopByHop(options),
            Owned::Destination(options) => Repr::Destination(options),
            Owned::Routing(kind, segments_left, data) => {
                Repr::Routing { kind: *kind, segments_left: *segments_left, data }
            }
            Owned::Fragment(fragment) => Repr::Fragment(*fragment),
            Owned::Authentication(spi, seq, icv) => Repr::Authentication(ah::Header { spi: *spi, seq: *seq, icv }),
        }
    }
}

fn extension() -> impl Strategy<Value = Owned> {
    let at_home = |wanted: u8| {
        move |options: &Vec<HeaderOption<'static>>| {
            options.iter().all(|option| !matches!(option.kind(), 5 | 0xc9) || option.kind() == wanted)
        }
    };
    prop_oneof![
        vec(header_option(), 0..6).prop_filter("at home", at_home(0xc9)).prop_map(Owned::Destination),
        (any::<(u8, u8)>(), 0..9usize).prop_map(|((kind, left), units)| Owned::Routing(
            kind,
            left,
            vec![kind; 4 + 8 * units]
        )),
        any::<u32>().prop_map(|id| Owned::Fragment(Fragment { offset: 0, more: false, id })),
        (any::<(u32, u32)>(), 0..9usize).prop_map(|((spi, seq), units)| Owned::Authentication(
            spi,
            seq,
            vec![7; 4 + 8 * units]
        )),
    ]
}

fn chain() -> impl Strategy<Value = Vec<Owned>> {
    let alert = vec(any::<u16>().prop_map(HeaderOption::RouterAlert), 0..4);
    (option::of(alert), vec(extension(), 0..6))
        .prop_map(|(first, rest)| first.map(Owned::HopByHop).into_iter().chain(rest).collect())
}

fn nd_preference() -> impl Strategy<Value = Preference> {
    prop_oneof![Just(Preference::Low), Just(Preference::Medium), Just(Preference::High)]
}

fn domains() -> impl Strategy<Value = Vec<u8>> {
    vec("[a-z][a-z0-9-]{0,20}(\\.[a-z]{1,10}){0,3}", 1..4).prop_map(|names| {
        let mut bytes = Vec::new();
        for name in names {
            let mut buffer = [0; 255];
            let len = encode_domain(&name, &mut buffer).expect("a name");
            bytes.extend_from_slice(&buffer[..len]);
        }
        bytes
    })
}

prop_compose! {
    fn prefix_information()(
        (prefix, prefix_len) in (v6(), 0..=128u8),
        (on_link, autonomous, router_address) in any::<(bool, bool, bool)>(),
        (valid_lifetime, preferred_lifetime) in any::<(u32, u32)>(),
    ) -> PrefixInformation {
        PrefixInformation { prefix, prefix_len, on_link, autonomous, router_address, valid_lifetime, preferred_lifetime }
    }
}

prop_compose! {
    fn route_information()(
        (prefix, prefix_len, lifetime) in (any::<u128>(), 0..=128u8, any::<u32>()),
        preference in nd_preference(),
    ) -> RouteInformation {
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0);
        RouteInformation { prefix: Ipv6Addr::from_bits(prefix & mask), prefix_len, preference, lifetime }
    }
}

fn record_parts<A: Address>(address: impl Strategy<Value = A>) -> impl Strategy<Value = (u8, A, usize, usize)> {
    (any::<u8>(), address, 0..5usize, 0..4usize)
}

/// Records of these parts, their sources the first of `sources`.
fn records<'a, A: Address>(
    parts: &[(u8, A, usize, usize)],
    sources: impl Fn(usize) -> Addresses<'a, A>,
) -> Vec<Record<'a, A>> {
    const AUXILIARY: &[u8] = &[9; 16];
    let record = |&(kind, group, count, words): &(u8, A, usize, usize)| Record {
        kind: RecordKind(kind),
        group,
        sources: sources(count),
        auxiliary: &AUXILIARY[..4 * words],
    };
    parts.iter().map(record).collect()
}

proptest! {
    #[test]
    fn ipv6_round_trip(repr in ipv6_repr(), payload in payload(), padding in 0..20usize) {
        let mut bytes = vec![0xaa; ipv6::HEADER_LEN + payload.len() + padding];
        prop_assert_eq!(repr.emit(payload.len(), &mut bytes), ipv6::HEADER_LEN);
        bytes[ipv6::HEADER_LEN..][..payload.len()].copy_from_slice(&payload);
        let packet = ipv6::Packet::parse(&bytes).unwrap();
        prop_assert_eq!(packet.repr(), repr);
        prop_assert_eq!(packet.bytes().len(), bytes.len() - padding);
        // The one length of zero that is none stands before hop-by-hop options.
        prop_assert_eq!(packet.payload(), &payload);
        exercise::ipv6(&bytes);
    }

    #[test]
    fn extensions_round_trip(repr in ipv6_repr(), chain in chain(), payload in vec(any::<u8>(), 0..50)) {
        let reprs: Vec<Repr<'_>> = chain.iter().map(Owned::repr).collect();
        let mut bytes = vec![0xaa; reprs.iter().map(Repr::header_len).sum()];
        let (next_header, len) = emit_chain(&reprs, Protocol::UDP, &mut bytes);
        prop_assert_eq!(len, bytes.len());
        let mut packet = vec![0; ipv6::HEADER_LEN];
        let repr = ipv6::Repr { next_header, ..repr };
        repr.emit(len + payload.len(), &mut packet);
        packet.extend_from_slice(&bytes);
        packet.extend_from_slice(&payload);
        let packet = ipv6::Packet::parse(&packet).unwrap();
        let mut walk = Extensions::new(&packet, Limits::DEFAULT);
        let mut at = ipv6::HEADER_LEN;
        for expected in &reprs {
            let header = walk.next().unwrap().unwrap();
            prop_assert_eq!(header.at, at);
            at += expected.header_len();
            match (header.extension, *expected) {
                (Extension::HopByHop(found), Repr::HopByHop(expected))
                | (Extension::Destination(found), Repr::Destination(expected)) => {
                    let options = found.options().map(|placed| placed.option).filter(|option| !option.is_padding());
                    prop_assert!(options.eq(expected.iter().copied()));
                    for placed in found.options() {
                        let (multiple, plus) = placed.option.alignment();
                        prop_assert_eq!((placed.at - header.at) % multiple, plus);
                    }
                }
                (Extension::Routing(found), Repr::Routing { kind, segments_left, data }) => {
                    prop_assert_eq!((found.kind, found.segments_left, found.data), (kind, segments_left, data));
                }
                (Extension::Fragment(found), Repr::Fragment(expected)) => prop_assert_eq!(found, expected),
                (Extension::Authentication(found), Repr::Authentication(expected)) => {
                    prop_assert_eq!(found, expected);
                }
                (found, expected) => prop_assert!(false, "{found:?} instead of {expected:?}"),
            }
        }
        prop_assert!(walk.next().is_none());
        let upper = walk.end().unwrap();
        prop_assert_eq!((upper.protocol, upper.at, upper.payload), (Protocol::UDP, at, &payload[..]));
    }

    #[test]
    fn fragments_round_trip(units in 0..0x2000u16, more in any::<bool>(), id in any::<u32>(), rest in vec(any::<u8>(), 8..40)) {
        let fragment = Fragment { offset: units * 8, more, id };
        let mut bytes = [0xaa; 8];
        Repr::Fragment(fragment).emit(Protocol::UDP, &mut bytes);
        let repr = ipv6::Repr {
            src: Ipv6Addr::LOCALHOST, dst: Ipv6Addr::LOCALHOST, next_header: Protocol::FRAGMENT, hop_limit: 1,
            traffic_class: 0, flow_label: 0,
        };
        let mut packet = vec![0; ipv6::HEADER_LEN];
        repr.emit(8 + rest.len(), &mut packet);
        packet.extend_from_slice(&bytes);
        packet.extend_from_slice(&rest);
        let upper = Extensions::new(&ipv6::Packet::parse(&packet).unwrap(), Limits::DEFAULT).upper().unwrap();
        prop_assert_eq!((upper.fragment, upper.payload), (Some(fragment), &rest[..]));
    }

    #[test]
    fn icmpv6_round_trip(
        (ident, seq, code, word) in any::<(u16, u16, u8, u32)>(),
        (src, dst) in (v6(), v6()),
        data in payload(),
        bit in any::<usize>(),
    ) {
        for message in [
            Message::DestinationUnreachable { code: UnreachableCode(code), original: &data },
            Message::PacketTooBig { mtu: word, original: &data },
            Message::TimeExceeded { code: TimeExceededCode(code), original: &data },
            Message::ParameterProblem { code: ParameterCode(code), pointer: word, original: &data },
            Message::EchoRequest { ident, seq, data: &data },
            Message::EchoReply { ident, seq, data: &data },
            Message::Unknown { kind: 200, code, rest: word.to_be_bytes(), data: &data },
            Message::Unknown { kind: 100, code, rest: word.to_be_bytes(), data: &data },
        ] {
            let mut bytes = vec![0xaa; message.total_len()];
            prop_assert_eq!(message.emit(src, dst, &mut bytes), bytes.len());
            prop_assert_eq!(Message::parse(&bytes, src, dst), Ok(message));
            let bit = bit % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Message::parse(&bytes, src, dst).is_err());
        }
    }

    #[test]
    fn ndisc_round_trip(
        (src, dst, target, destination) in (v6(), v6(), v6(), v6()),
        (mac, nonce, mtu) in any::<([u8; 6], [u8; 6], u32)>(),
        (prefix, route) in (prefix_information(), route_information()),
        (servers, names) in (vec(any::<[u8; 16]>(), 1..4), domains()),
        (packet, lifetime) in (vec(any::<[u8; 8]>(), 0..20), any::<u32>()),
        (hop_limit, managed, other, router_lifetime, times) in any::<(u8, bool, bool, u16, (u32, u32))>(),
        (preference, picks) in (nd_preference(), vec(any::<Index>(), 0..6)),
    ) {
        let packet = packet.concat();
        let all = [
            NdOption::SourceLinkLayer(MacAddr(mac)),
            NdOption::TargetLinkLayer(MacAddr(mac)),
            NdOption::Prefix(prefix),
            NdOption::RedirectedHeader(&packet),
            NdOption::Mtu(mtu),
            NdOption::Nonce(&nonce),
            NdOption::Route(route),
            NdOption::RecursiveDns(RecursiveDns { lifetime, servers: Addresses::of(&servers) }),
            NdOption::DnsSearchList(DnsSearchList { lifetime, domains: Domains::parse(&names).unwrap() }),
            NdOption::Unknown { kind: 99, data: &nonce },
        ];
        let given: Vec<NdOption<'_>> = picks.iter().map(|pick| *pick.get(&all)).collect();
        let mut buffer = vec![0xaa; given.iter().map(NdOption::len).sum()];
        let options = Options::write(&given, &mut buffer);
        prop_assert!(options.iter().map(Result::unwrap).eq(given.iter().copied()));
        let (reachable_time, retransmit_time) = times;
        let (router, solicited, overrides) = (managed, other, hop_limit & 1 != 0);
        let advertisement = RouterAdvertisement {
            hop_limit, managed, other, preference, lifetime: router_lifetime, reachable_time, retransmit_time, options,
        };
        for message in [
            ndisc::Message::RouterSolicitation { options },
            ndisc::Message::RouterAdvertisement(advertisement),
            ndisc::Message::NeighborSolicitation { target, options },
            ndisc::Message::NeighborAdvertisement(NeighborAdvertisement { router, solicited, overrides, target, options }),
            ndisc::Message::Redirect { target, destination, options },
        ] {
            let message = Message::Discovery(message);
            let mut bytes = vec![0xaa; message.total_len()];
            prop_assert_eq!(message.emit(src, dst, &mut bytes), bytes.len());
            prop_assert_eq!(Message::parse(&bytes, src, dst), Ok(message));
            exercise::icmpv6(&bytes);
        }
    }

    #[test]
    fn mld_round_trip(
        (src, dst, group) in (v6(), v6(), v6()),
        (max_response, interval, suppress, robustness) in (any::<u16>(), any::<u8>(), any::<bool>(), 0..8u8),
        (with_details, sources) in (any::<bool>(), vec(any::<[u8; 16]>(), 5)),
        parts in vec(record_parts(v6()), 0..5),
    ) {
        let all = Addresses::of(&sources);
        let details = with_details.then_some(QueryDetails { suppress, robustness, interval, sources: all });
        let given = records(&parts, |count| Addresses::of(&sources[..count]));
        let mut buffer = vec![0xaa; given.iter().map(Record::len).sum()];
        let report = Records::write(&given, &mut buffer);
        prop_assert!(report.iter().eq(given.iter().copied()));
        for message in [
            mld::Message::Query(mld::Query { max_response, group, details }),
            mld::Message::ReportV1 { group },
            mld::Message::Done { group },
            mld::Message::ReportV2(report),
        ] {
            let message = Message::Listener(message);
            let mut bytes = vec![0xaa; message.total_len()];
            prop_assert_eq!(message.emit(src, dst, &mut bytes), bytes.len());
            prop_assert_eq!(Message::parse(&bytes, src, dst), Ok(message));
        }
    }

    #[test]
    fn igmp_round_trip(
        (group, max_response, interval, suppress, robustness) in (v4(), any::<u8>(), any::<u8>(), any::<bool>(), 0..8u8),
        (with_details, sources) in (any::<bool>(), vec(any::<[u8; 4]>(), 5)),
        parts in vec(record_parts(v4()), 0..5),
        bit in any::<usize>(),
    ) {
        let all = Addresses::of(&sources);
        let details = with_details.then_some(QueryDetails { suppress, robustness, interval, sources: all });
        let given = records(&parts, |count| Addresses::of(&sources[..count]));
        let mut buffer = vec![0xaa; given.iter().map(Record::len).sum()];
        let report = Records::write(&given, &mut buffer);
        for message in [
            igmp::Message::Query(igmp::Query { max_response, group, details }),
            igmp::Message::ReportV1 { group },
            igmp::Message::ReportV2 { group },
            igmp::Message::Leave { group },
            igmp::Message::ReportV3(report),
            igmp::Message::Unknown { kind: 0x13, code: interval, data: sources.as_flattened() },
        ] {
            let mut bytes = vec![0xaa; message.total_len()];
            prop_assert_eq!(message.emit(&mut bytes), bytes.len());
            prop_assert_eq!(igmp::Message::parse(&bytes), Ok(message));
            let bit = bit % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(igmp::Message::parse(&bytes).is_err());
        }
    }

    #[test]
    fn udp_lite_round_trip(
        (src_port, dst_port) in any::<(u16, u16)>(),
        (src, dst) in (v6(), v6()),
        payload in payload(),
        (coverage, bit) in any::<(Index, usize)>(),
    ) {
        let total_len = udp_lite::HEADER_LEN + payload.len();
        let coverage = match coverage.index(payload.len() + 2) {
            0 => 0,
            more => (udp_lite::HEADER_LEN + more - 1) as u16,
        };
        let repr = udp_lite::Repr { src_port, dst_port, coverage };
        let mut bytes = vec![0xaa; udp_lite::HEADER_LEN];
        prop_assert_eq!(repr.emit(&mut bytes), udp_lite::HEADER_LEN);
        bytes.extend_from_slice(&payload);
        let covered = repr.covered_len(total_len);
        let mut sum = checksum::pseudo_header(src.into(), dst.into(), Protocol::UDP_LITE.0, total_len as u32);
        sum.add(&bytes[..covered]);
        bytes[udp_lite::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
        let datagram = udp_lite::Datagram::parse(&bytes).unwrap();
        prop_assert_eq!((datagram.repr(), datagram.payload()), (repr, &payload[..]));
        prop_assert!(datagram.verify_checksum(src.into(), dst.into()));

        // A bit that is covered is seen, one that is not may be what it likes. (Not so of the coverage itself.)
        let at = bit % (8 * total_len);
        prop_assume!(!(32..48).contains(&at));
        bytes[at / 8] ^= 1 << (at % 8);
        let right = udp_lite::Datagram::parse(&bytes).unwrap().verify_checksum(src.into(), dst.into());
        prop_assert_eq!(right, at / 8 >= covered);
    }

    #[test]
    fn ipsec_round_trip((spi, seq, next) in any::<(u32, u32, u8)>(), words in 0..=253usize, payload in payload(), block in any::<u8>()) {
        let icv = vec![0x77; 4 * words];
        let header = ah::Header { spi, seq, icv: &icv };
        let mut bytes = vec![0xaa; header.header_len()];
        prop_assert_eq!(header.emit(Protocol(next), &mut bytes), bytes.len());
        bytes.extend_from_slice(&payload);
        prop_assert_eq!(ah::Header::parse(&bytes), Ok((header, Protocol(next), &payload[..])));

        let header = esp::Header { spi, seq };
        let trailer = esp::Trailer::new(payload.len(), Protocol(next), block);
        let mut bytes = vec![0xaa; esp::HEADER_LEN];
        header.emit(&mut bytes);
        bytes.extend_from_slice(&payload);
        let at = bytes.len();
        bytes.resize(at + trailer.len(), 0xaa);
        prop_assert_eq!(trailer.emit(&mut bytes[at..]), trailer.len());
        let (read, clear) = esp::Header::parse(&bytes).unwrap();
        prop_assert_eq!((read, clear.len() % usize::from(block).max(4)), (header, 0));
        prop_assert_eq!(esp::Trailer::parse(clear), Ok((trailer, &payload[..])));
    }

    #[test]
    fn addresses_keep_their_halves(prefix in v6(), id in any::<u64>(), mac in any::<[u8; 6]>()) {
        let addr = ipv6::with_interface_id(prefix, id);
        prop_assert_eq!(addr.to_bits(), prefix.to_bits() >> 64 << 64 | u128::from(id));
        prop_assert!(ipv6::link_local(id).is_unicast_link_local());
        prop_assert_eq!(ipv6::scope(ipv6::link_local(id)), ipv6::Scope::LINK_LOCAL);
        let group = ipv6::solicited_node(prefix);
        prop_assert!(ipv6::is_solicited_node(group) && group.is_multicast());
        prop_assert_eq!(group, ipv6::solicited_node(group));
        prop_assert!(prefix.octets().ends_with(&MacAddr::for_group(group.into()).0[3..]));
        let id = ipv6::interface_id(MacAddr(mac)).to_be_bytes();
        prop_assert_eq!(([id[0] ^ 2, id[1], id[2], id[5], id[6], id[7]], [id[3], id[4]]), (mac, [0xff, 0xfe]));
    }

    /// Bytes that get further than noise does: valid headers, then noise in a few places.
    #[test]
    fn almost_good_bytes_into_every_parser(
        (repr, chain) in (ipv6_repr(), chain()),
        parts in vec(record_parts(v6()), 0..4),
        spots in vec(any::<(Index, u8)>(), 0..4),
    ) {
        let reprs: Vec<Repr<'_>> = chain.iter().map(Owned::repr).collect();
        let mut headers = vec![0; reprs.iter().map(Repr::header_len).sum()];
        let (next_header, len) = emit_chain(&reprs, Protocol::ICMPV6, &mut headers);
        let sources = [[0x20; 16]; 5];
        let given = records(&parts, |count| Addresses::of(&sources[..count]));
        let mut buffer = vec![0; given.iter().map(Record::len).sum()];
        let message = Message::Listener(mld::Message::ReportV2(Records::write(&given, &mut buffer)));
        let mut report = vec![0; message.total_len()];
        message.emit(repr.src, repr.dst, &mut report);
        let mut packet = vec![0; ipv6::HEADER_LEN];
        ipv6::Repr { next_header, ..repr }.emit(len + report.len(), &mut packet);
        packet.extend_from_slice(&headers);
        packet.extend_from_slice(&report);
        let mut error = vec![0; icmpv6::HEADER_LEN + packet.len()];
        Message::PacketTooBig { mtu: 1280, original: &packet }.emit(repr.src, repr.dst, &mut error);
        let extensions = [&[next_header.0], &packet[ipv6::HEADER_LEN..]].concat();
        for mut bytes in [packet, report, error, extensions] {
            for (index, value) in &spots {
                let at = index.index(bytes.len());
                bytes[at] = *value;
            }
            for (_, run) in exercise::ALL {
                run(&bytes);
            }
        }
    }
}
