//! Packets of ours, each with a display filter of Wireshark's that says what it means.

use std::net::{Ipv4Addr, Ipv6Addr};

use sockeye_wire::group::{Addresses, QueryDetails, Record, RecordKind, Records};
use sockeye_wire::icmpv6::{Message, ParameterCode, TimeExceededCode, UnreachableCode};
use sockeye_wire::ipv4::options::{IpOption, OptionBuffer};
use sockeye_wire::ipv6::extension::{Fragment, HeaderOption, Repr, emit_chain, routing_type};
use sockeye_wire::ndisc::{
    DnsSearchList, Domains, NdOption, NeighborAdvertisement, Options, Preference, PrefixInformation, RecursiveDns,
    RouteInformation, RouterAdvertisement, encode_domain,
};
use sockeye_wire::tcp::{self, Flags, SeqNumber};
use sockeye_wire::{MacAddr, Protocol, ah, checksum, esp, igmp, ipv4, ipv6, mld, ndisc, udp, udp_lite};

use super::rewrite::summed;

/// A packet from its IP header on, and what it means.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) bytes: Vec<u8>,
    pub(super) meaning: &'static str,
}

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const SRC: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const DST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const HOST: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 7);
const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x99);
const GROUP4: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

pub(super) fn packets() -> Vec<Described> {
    let mut all = Vec::new();
    headers(&mut all);
    control(&mut all);
    discovery(&mut all);
    listeners(&mut all);
    groups(&mut all);
    all.into_iter().map(|(meaning, bytes)| Described { bytes, meaning }).collect()
}

type All = Vec<(&'static str, Vec<u8>)>;

/// A packet of these headers around `payload`.
fn packet(hop_limit: u8, headers: &[Repr<'_>], upper: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut chain = vec![0xaa; headers.iter().map(Repr::header_len).sum()];
    let (next_header, len) = emit_chain(headers, upper, &mut chain);
    let repr = ipv6::Repr { src: SRC, dst: DST, next_header, hop_limit, traffic_class: 0xb9, flow_label: 0x12345 };
    let mut bytes = vec![0xaa; ipv6::HEADER_LEN];
    repr.emit(len + payload.len(), &mut bytes);
    [bytes, chain, payload.to_vec()].concat()
}

fn message(hop_limit: u8, headers: &[Repr<'_>], message: &Message<'_>) -> Vec<u8> {
    let mut bytes = vec![0xaa; message.total_len()];
    message.emit(SRC, DST, &mut bytes);
    packet(hop_limit, headers, Protocol::ICMPV6, &bytes)
}

/// A datagram with a checksum for these addresses: those that the packet is from and for in the end.
fn datagram(src: Ipv6Addr, dst: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xaa; udp::HEADER_LEN];
    udp::Repr { src_port: 1000, dst_port: 2000 }.emit(payload.len(), &mut bytes);
    bytes.extend(payload);
    summed(bytes, (src.into(), dst.into()), Protocol::UDP, udp::CHECKSUM_OFFSET)
}

fn segment() -> Vec<u8> {
    let options = tcp::Options { mss: Some(1440), window_scale: Some(7), ..tcp::Options::default() };
    let (seq, ack, flags) = (SeqNumber(7), SeqNumber(0), Flags::SYN);
    let repr = tcp::Repr { src_port: 1000, dst_port: 80, seq, ack, flags, window: 65_535, urgent: 0, options };
    let mut bytes = vec![0xaa; repr.header_len()];
    repr.emit(&mut bytes);
    summed(bytes, (SRC.into(), DST.into()), Protocol::TCP, tcp::CHECKSUM_OFFSET)
}

fn headers(all: &mut All) {
    let syn = segment();
    let udp = |headers: &[Repr<'_>]| packet(64, headers, Protocol::UDP, &datagram(SRC, DST, b"hello"));
    all.push((
        "ipv6.tclass == 0xb9 && ipv6.flow == 0x12345 && ipv6.hlim == 64 && tcp.dstport == 80 && \
         tcp.options.mss_val == 1440 && tcp.checksum.status == 1",
        packet(64, &[], Protocol::TCP, &syn),
    ));
    all.push((
        "ipv6.hopopts.nxt == 17 && ipv6.opt.router_alert == 1 && udp.checksum.status == 1",
        udp(&[Repr::HopByHop(&[HeaderOption::RouterAlert(1)])]),
    ));
    all.push((
        "ipv6.opt.mipv6.home_address == fd00:9::7 && udp.checksum.status == 1",
        packet(
            64,
            &[Repr::Destination(&[HeaderOption::HomeAddress(HOST)])],
            Protocol::UDP,
            &datagram(HOST, DST, b"hello"),
        ),
    ));
    all.push((
        "ipv6.opt.type == 0x1e && ipv6.dstopts.len_oct == 16 && udp.dstport == 2000",
        udp(&[Repr::Destination(&[HeaderOption::Unknown { kind: 0x1e, data: &[1, 2, 3, 4, 5, 6, 7, 8, 9] }])]),
    ));
    let segments = [&[1, 0, 0, 0][..], &DST.octets(), &FAR.octets()].concat();
    let home = [&[0; 4][..], &HOST.octets()].concat();
    let routing = |kind, segments_left, data| Repr::Routing { kind, segments_left, data };
    all.push((
        "ipv6.routing.type == 4 && ipv6.routing.segleft == 0 && ipv6.routing.srh.addr == 2001:db8::1 && \
         udp.checksum.status == 1",
        udp(&[routing(routing_type::SEGMENTS, 0, &segments)]),
    ));
    all.push((
        "ipv6.routing.type == 2 && ipv6.routing.mipv6.home_address == fd00:9::7 && udp.checksum.status == 1",
        packet(64, &[routing(routing_type::MOBILE, 1, &home)], Protocol::UDP, &datagram(SRC, HOST, b"hello")),
    ));
    let fragment = |offset, more| Repr::Fragment(Fragment { offset, more, id: 0x1234_5678 });
    let whole = datagram(SRC, DST, &[0x20; 1000]);
    all.push((
        "ipv6.fraghdr.more == 1 && ipv6.fraghdr.offset == 0 && ipv6.fraghdr.ident == 0x12345678",
        packet(64, &[fragment(0, true)], Protocol::UDP, &whole[..800]),
    ));
    all.push((
        "ipv6.fragment.count == 2 && udp.length == 1008 && udp.checksum.status == 1",
        packet(64, &[fragment(800, false)], Protocol::UDP, &whole[800..]),
    ));
    let authentication = ah::Header { spi: 256, seq: 1, icv: &[7; 12] };
    all.push((
        "ah.spi == 256 && ah.sequence == 1 && ah.next_header == 6 && tcp.dstport == 80",
        packet(64, &[Repr::Authentication(authentication)], Protocol::TCP, &syn),
    ));
    let mut encapsulated = vec![0xaa; esp::HEADER_LEN];
    esp::Header { spi: 257, seq: 2 }.emit(&mut encapsulated);
    let trailer = esp::Trailer::new(syn.len(), Protocol::TCP, 4);
    encapsulated.extend(&syn);
    let at = encapsulated.len();
    encapsulated.resize(at + trailer.len(), 0xaa);
    trailer.emit(&mut encapsulated[at..]);
    all.push(("esp.spi == 257 && esp.sequence == 2", packet(64, &[], Protocol::ESP, &encapsulated)));
    all.push(("ipv6.nxt == 59", packet(64, &[], Protocol::NO_NEXT_HEADER, &[])));
    let jumbo = [Repr::HopByHop(&[HeaderOption::JumboPayload(70_000)])];
    all.push((
        "ipv6.plen == 0 && ipv6.opt.jumbo == 70000 && !ipv6.opt.jumbo.truncated",
        packet(64, &jumbo, Protocol::NO_NEXT_HEADER, &vec![0; 70_000 - 8]),
    ));

    let coverage = udp_lite::Repr { src_port: 1000, dst_port: 2000, coverage: 10 };
    let mut lite = vec![0xaa; udp_lite::HEADER_LEN];
    coverage.emit(&mut lite);
    lite.extend(b"partly");
    let mut sum = checksum::pseudo_header(SRC.into(), DST.into(), Protocol::UDP_LITE.0, lite.len() as u32);
    sum.add(&lite[..coverage.covered_len(lite.len())]);
    lite[udp_lite::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
    all.push((
        "udplite && udp.checksum_coverage == 10 && udp.checksum.status == 1",
        packet(64, &[], Protocol::UDP_LITE, &lite),
    ));
}

fn control(all: &mut All) {
    let original = packet(64, &[], Protocol::UDP, &datagram(SRC, DST, b"lost"));
    let original = &original[..];
    for (meaning, it) in [
        (
            "icmpv6.type == 128 && icmpv6.echo.identifier == 5 && icmpv6.echo.sequence_number == 6",
            Message::EchoRequest { ident: 5, seq: 6, data: b"abc" },
        ),
        ("icmpv6.type == 129 && data.len == 3", Message::EchoReply { ident: 5, seq: 6, data: b"abc" }),
        (
            "icmpv6.type == 1 && icmpv6.code == 4 && udp.dstport == 2000",
            Message::DestinationUnreachable { code: UnreachableCode::PORT, original },
        ),
        ("icmpv6.type == 2 && icmpv6.mtu == 1280", Message::PacketTooBig { mtu: 1280, original }),
        (
            "icmpv6.type == 3 && icmpv6.code == 1",
            Message::TimeExceeded { code: TimeExceededCode::REASSEMBLY, original },
        ),
        (
            "icmpv6.type == 4 && icmpv6.code == 2 && icmpv6.pointer == 300",
            Message::ParameterProblem { code: ParameterCode::UNKNOWN_OPTION, pointer: 300, original },
        ),
    ] {
        all.push((meaning, message(64, &[], &it)));
    }
}

fn discovery(all: &mut All) {
    let mut names = [0; 64];
    let len = encode_domain("example.org", &mut names).unwrap();
    let servers = [HOST.octets(), FAR.octets()];
    let of_router = [
        NdOption::SourceLinkLayer(MAC),
        NdOption::Mtu(1480),
        NdOption::Prefix(PrefixInformation {
            prefix: Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 0),
            prefix_len: 64,
            on_link: true,
            autonomous: true,
            router_address: false,
            valid_lifetime: 86_400,
            preferred_lifetime: 14_400,
        }),
        NdOption::Route(RouteInformation {
            prefix: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
            prefix_len: 48,
            preference: Preference::High,
            lifetime: 600,
        }),
        NdOption::RecursiveDns(RecursiveDns { lifetime: 600, servers: Addresses::of(&servers) }),
        NdOption::DnsSearchList(DnsSearchList { lifetime: 601, domains: Domains::parse(&names[..len]).unwrap() }),
    ];
    let original = packet(64, &[], Protocol::UDP, &datagram(SRC, DST, &[0; 8]));
    let of_target = [NdOption::TargetLinkLayer(MAC), NdOption::RedirectedHeader(&original)];
    let [mut first, mut second, mut third, mut fourth] = [[0xaa; 256]; 4];
    let of_sender = Options::write(&[NdOption::SourceLinkLayer(MAC)], &mut first);
    for (meaning, it) in [
        (
            "icmpv6.type == 133 && icmpv6.opt.linkaddr == 02:00:00:00:00:01",
            ndisc::Message::RouterSolicitation { options: of_sender },
        ),
        (
            "icmpv6.type == 134 && icmpv6.nd.ra.cur_hop_limit == 64 && icmpv6.nd.ra.flag.m == 0 && \
             icmpv6.nd.ra.flag.o == 1 && icmpv6.nd.ra.flag.prf == 3 && icmpv6.nd.ra.router_lifetime == 1800 && \
             icmpv6.nd.ra.reachable_time == 30000 && icmpv6.nd.ra.retrans_timer == 1000 && \
             icmpv6.opt.linkaddr == 02:00:00:00:00:01 && icmpv6.opt.mtu == 1480 && icmpv6.opt.prefix == fd00:9:: && \
             icmpv6.opt.prefix.length == 64 && icmpv6.opt.prefix.flag.l == 1 && icmpv6.opt.prefix.flag.a == 1 && \
             icmpv6.opt.prefix.valid_lifetime == 86400 && icmpv6.opt.prefix.preferred_lifetime == 14400 && \
             icmpv6.opt.route_info.flag.route_preference == 1 && icmpv6.opt.route_lifetime == 600 && \
             icmpv6.opt.rdnss == fd00:9::7 && icmpv6.opt.rdnss == 2001:db8::1 && \
             icmpv6.opt.rdnss.lifetime == 600 && icmpv6.opt.dnssl == \"example.org\" && \
             icmpv6.opt.dnssl.lifetime == 601",
            ndisc::Message::RouterAdvertisement(RouterAdvertisement {
                hop_limit: 64,
                managed: false,
                other: true,
                preference: Preference::Low,
                lifetime: 1800,
                reachable_time: 30_000,
                retransmit_time: 1000,
                options: Options::write(&of_router, &mut second),
            }),
        ),
        (
            "icmpv6.type == 135 && icmpv6.nd.ns.target_address == fd00:9::7 && icmpv6.opt.nonce == 01:02:03:04:05:06",
            ndisc::Message::NeighborSolicitation {
                target: HOST,
                options: Options::write(&[NdOption::Nonce(&[1, 2, 3, 4, 5, 6])], &mut third),
            },
        ),
        (
            "icmpv6.type == 136 && icmpv6.nd.na.target_address == fe80::1 && icmpv6.nd.na.flag.r == 1 && \
             icmpv6.nd.na.flag.s == 0 && icmpv6.nd.na.flag.o == 1",
            ndisc::Message::NeighborAdvertisement(NeighborAdvertisement {
                router: true,
                solicited: false,
                overrides: true,
                target: SRC,
                options: Options::NONE,
            }),
        ),
        (
            "icmpv6.type == 137 && icmpv6.nd.rd.target_address == fe80::2 && icmpv6.rd.na.destination_address == 2001:db8::1 \
             && icmpv6.opt.linkaddr == 02:00:00:00:00:01 && udp.dstport == 2000",
            ndisc::Message::Redirect {
                target: DST,
                destination: FAR,
                options: Options::write(&of_target, &mut fourth),
            },
        ),
    ] {
        all.push((meaning, message(ndisc::HOP_LIMIT, &[], &Message::Discovery(it))));
    }
}

fn listeners(all: &mut All) {
    let sources = [HOST.octets(), FAR.octets()];
    let sources = Addresses::of(&sources);
    let details = QueryDetails { suppress: true, robustness: 2, interval: 125, sources };
    let record = |kind, sources| Record { kind, group: GROUP, sources, auxiliary: &[] };
    let records =
        [record(RecordKind::CHANGE_TO_EXCLUDE, Addresses::default()), record(RecordKind::ALLOW_NEW_SOURCES, sources)];
    let mut buffer = [0xaa; 128];
    for (meaning, it) in [
        (
            "icmpv6.type == 130 && icmpv6.mld.maximum_response_delay == 10000 && icmpv6.mld.multicast_address == ::",
            mld::Message::Query(mld::Query { max_response: 10_000, group: Ipv6Addr::UNSPECIFIED, details: None }),
        ),
        ("icmpv6.type == 131 && icmpv6.mld.multicast_address == ff05::99", mld::Message::ReportV1 { group: GROUP }),
        ("icmpv6.type == 132 && icmpv6.mld.multicast_address == ff05::99", mld::Message::Done { group: GROUP }),
        (
            "icmpv6.type == 130 && icmpv6.mld.maximum_response_code == 1000 && icmpv6.mld.flag.s == 1 && \
             icmpv6.mld.flag.qrv == 2 && icmpv6.mld.qqi == 125 && icmpv6.mld.nb_sources == 2 && \
             icmpv6.mld.source_address == 2001:db8::1",
            mld::Message::Query(mld::Query { max_response: 1000, group: GROUP, details: Some(details) }),
        ),
        (
            "icmpv6.type == 143 && icmpv6.mldr.nb_mcast_records == 2 && icmpv6.mldr.mar.record_type == 4 && \
             icmpv6.mldr.mar.record_type == 5 && icmpv6.mldr.mar.multicast_address == ff05::99 && \
             icmpv6.mldr.mar.source_address == fd00:9::7",
            mld::Message::ReportV2(Records::write(&records, &mut buffer)),
        ),
    ] {
        let alert = [Repr::HopByHop(&[HeaderOption::RouterAlert(0)])];
        all.push((meaning, message(mld::HOP_LIMIT, &alert, &Message::Listener(it))));
    }
}

fn groups(all: &mut All) {
    let sources = [[10, 9, 0, 1], [10, 9, 0, 2]];
    let sources = Addresses::of(&sources);
    let details = QueryDetails { suppress: false, robustness: 2, interval: 125, sources };
    let record = |kind, sources| Record { kind, group: GROUP4, sources, auxiliary: &[] };
    let records =
        [record(RecordKind::CHANGE_TO_EXCLUDE, Addresses::default()), record(RecordKind::BLOCK_OLD_SOURCES, sources)];
    let mut buffer = [0xaa; 128];
    for (meaning, it) in [
        (
            "igmp.version == 2 && igmp.type == 0x11 && igmp.max_resp == 100 && igmp.maddr == 239.1.2.3",
            igmp::Message::Query(igmp::Query { max_response: 100, group: GROUP4, details: None }),
        ),
        ("igmp.type == 0x12 && igmp.maddr == 239.1.2.3", igmp::Message::ReportV1 { group: GROUP4 }),
        ("igmp.type == 0x16 && igmp.maddr == 239.1.2.3", igmp::Message::ReportV2 { group: GROUP4 }),
        ("igmp.type == 0x17 && igmp.maddr == 239.1.2.3", igmp::Message::Leave { group: GROUP4 }),
        (
            "igmp.version == 3 && igmp.type == 0x11 && igmp.qrv == 2 && igmp.qqic == 125 && igmp.num_src == 2 && \
             igmp.saddr == 10.9.0.2",
            igmp::Message::Query(igmp::Query { max_response: 100, group: GROUP4, details: Some(details) }),
        ),
        (
            "igmp.type == 0x22 && igmp.num_grp_recs == 2 && igmp.record_type == 4 && igmp.record_type == 6 && \
             igmp.saddr == 10.9.0.1",
            igmp::Message::ReportV3(Records::write(&records, &mut buffer)),
        ),
    ] {
        let mut options = OptionBuffer::new();
        options.push(&IpOption::RouterAlert(0)).unwrap();
        let repr = ipv4::Repr {
            src: Ipv4Addr::new(10, 9, 0, 1),
            dst: igmp::ALL_IGMPV3_ROUTERS,
            protocol: Protocol::IGMP,
            ttl: igmp::TTL,
            tos: 0xc0,
            id: 1,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            options: options.as_bytes(),
        };
        let mut bytes = vec![0xaa; repr.header_len() + it.total_len()];
        let at = repr.emit(it.total_len(), &mut bytes);
        it.emit(&mut bytes[at..]);
        all.push((meaning, bytes));
    }
}
