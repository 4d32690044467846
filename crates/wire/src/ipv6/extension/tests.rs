use core::net::Ipv6Addr;

use super::*;
use crate::ipv6;

const HOP: Protocol = Protocol::HOP_BY_HOP;
const DESTINATION: Protocol = Protocol::DESTINATION_OPTIONS;

/// A packet of these headers around 20 bytes of TCP.
fn packet(headers: &[Repr<'_>], upper: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut chain = vec![0xaa; headers.iter().map(Repr::header_len).sum()];
    let (next_header, len) = emit_chain(headers, upper, &mut chain);
    assert_eq!(len, chain.len());
    raw(next_header, &[&chain, payload].concat())
}

fn raw(next_header: Protocol, payload: &[u8]) -> Vec<u8> {
    let (src, dst) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let repr = ipv6::Repr { src, dst, next_header, hop_limit: 64, traffic_class: 0, flow_label: 0 };
    let mut bytes = vec![0; HEADER_LEN];
    repr.emit(payload.len(), &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

fn walk(bytes: &[u8]) -> Result<Upper<'_>, BadHeader> {
    Extensions::new(&Packet::parse(bytes).unwrap(), Limits::DEFAULT).upper()
}

fn refused(bytes: &[u8]) -> (u32, Malformed) {
    let BadHeader { pointer, reason } = walk(bytes).unwrap_err();
    (pointer, reason)
}

/// A header of options as they are.
fn options(next: Protocol, bytes: &[u8]) -> Vec<u8> {
    assert_eq!(bytes.len() % 8, 6);
    [&[next.0, (bytes.len() / 8) as u8], bytes].concat()
}

const TCP: [u8; 20] = [0, 80, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0];

#[test]
fn every_header() {
    let segments = [&[1, 0, 0, 0][..], &[0x20; 16], &[0x30; 16]].concat();
    let icv = [7; 12];
    let headers = [
        Repr::HopByHop(&[HeaderOption::RouterAlert(0)]),
        Repr::Destination(&[HeaderOption::Unknown { kind: 0x1e, data: b"any" }]),
        Repr::Routing { kind: routing_type::SEGMENTS, segments_left: 1, data: &segments },
        Repr::Fragment(Fragment { offset: 0, more: false, id: 0x1234_5678 }),
        Repr::Authentication(ah::Header { spi: 5, seq: 6, icv: &icv }),
        Repr::Destination(&[HeaderOption::HomeAddress(Ipv6Addr::LOCALHOST)]),
    ];
    let bytes = packet(&headers, Protocol::TCP, &TCP);
    let parsed = Packet::parse(&bytes).unwrap();
    let mut walk = Extensions::new(&parsed, Limits::DEFAULT);
    let mut found = Vec::new();
    for header in walk.by_ref() {
        let header = header.unwrap();
        assert_eq!(bytes[header.at], header.next_header.0);
        assert!(bytes.ends_with(header.rest));
        found.push((header.at, header.extension.to_string()));
    }
    let expected = [
        (40, "1 hop-by-hop options"),
        (48, "1 destination options"),
        (56, "routing type 4 with 1 segments left"),
        (96, "fragment of 305419896 at 0"),
        (104, "AH spi 0x5 seq 6"),
        (128, "1 destination options"),
    ];
    assert_eq!(found, expected.map(|(at, text)| (at, text.to_owned())));
    let upper = walk.end().unwrap();
    assert_eq!((upper.protocol, upper.protocol_at, upper.at), (Protocol::TCP, 128, 152));
    assert_eq!((upper.payload, upper.fragment.map(|fragment| fragment.is_atomic())), (&TCP[..], Some(true)));
}

#[test]
fn a_packet_without_headers() {
    let bytes = raw(Protocol::TCP, &TCP);
    let mut extensions = Extensions::new(&Packet::parse(&bytes).unwrap(), Limits::DEFAULT);
    assert_eq!(extensions.next(), None);
    let upper = extensions.end().unwrap();
    assert_eq!((upper.protocol_at, upper.at, upper.payload), (6, 40, &TCP[..]));
    // What is no header ends the walk, whatever stands behind it.
    for protocol in [Protocol::NO_NEXT_HEADER, Protocol::ESP, Protocol(135), Protocol(255)] {
        assert_eq!(walk(&raw(protocol, &[0xff; 30])).unwrap().protocol, protocol);
    }
}

/// Bad input B1: hop-by-hop in second place is an unknown next header, at the byte that names it.
#[test]
fn hop_by_hop_comes_first_or_not_at_all() {
    let empty = options(HOP, &[1, 4, 0, 0, 0, 0]);
    for first in [HOP, DESTINATION] {
        let bytes = raw(first, &[&empty[..], &options(Protocol::TCP, &[0, 0, 0, 0, 0, 0])].concat());
        assert_eq!(refused(&bytes), (40, Malformed::HeaderOrder));
        assert_eq!(walk(&bytes).unwrap_err().parameter_code(), Some(ParameterCode::UNKNOWN_NEXT_HEADER));
    }
    let bytes = raw(HOP, &options(Protocol::TCP, &[1, 4, 0, 0, 0, 0]));
    let upper = walk(&bytes).unwrap();
    assert_eq!(upper.protocol, Protocol::TCP);
    // Neither in what a reassembled packet goes on with.
    let within = Upper { protocol: HOP, ..upper };
    assert_eq!(Extensions::within(within, Limits::DEFAULT).upper().unwrap_err().reason, Malformed::HeaderOrder);
}

/// Bad input B1: lengths past the end.
#[test]
fn lying_lengths_are_refused() {
    for protocol in [HOP, DESTINATION, Protocol::ROUTING] {
        for len in 0..=255u8 {
            let mut payload = [0; 64];
            payload[..2].copy_from_slice(&[Protocol::TCP.0, len]);
            let bytes = raw(protocol, &payload);
            let found = Extensions::new(&Packet::parse(&bytes).unwrap(), Limits::NONE).upper();
            match found {
                Ok(upper) => assert!(len < 8 && upper.payload.len() == 56 - usize::from(len) * 8),
                Err(BadHeader { pointer, reason }) => {
                    assert_eq!((len >= 8, pointer, reason), (true, 41, Malformed::HeaderLength));
                }
            }
        }
    }
    let mut payload = [0; 64];
    for len in 0..=255u8 {
        payload[..2].copy_from_slice(&[Protocol::TCP.0, len]);
        let found = walk(&raw(Protocol::AH, &payload)).map(|upper| upper.payload.len());
        match (usize::from(len) + 2) * 4 {
            whole @ 16..=64 if whole % 8 == 0 => assert_eq!(found, Ok(64 - whole), "in IPv6 a multiple of 8"),
            _ => assert_eq!(found, Err(bad(41, Malformed::HeaderLength))),
        }
    }
    for protocol in [HOP, DESTINATION, Protocol::ROUTING, Protocol::FRAGMENT, Protocol::AH] {
        for len in 0..8 {
            let expected =
                if (protocol, len) == (HOP, 0) { (4, Malformed::TotalLength) } else { (40, Malformed::Truncated) };
            assert_eq!(refused(&raw(protocol, &[0; 8][..len])), expected);
        }
    }
}

/// Bad input B1: 100 headers, and what else a sender may think of.
#[test]
fn limits() {
    let limits = Limits { headers: 3, chain_len: 48, options_len: 32, options: 2, padding: 7 };
    let check = |bytes: &[u8]| {
        let extensions = Extensions::new(&Packet::parse(bytes).unwrap(), limits);
        extensions.upper().map(|upper| upper.at).map_err(|bad| (bad.pointer, bad.reason))
    };
    let headers = |count| packet(&vec![Repr::Destination(&[]); count], Protocol::TCP, &TCP);
    assert_eq!(check(&headers(3)), Ok(64));
    assert_eq!(check(&headers(4)), Err((64, Malformed::TooManyHeaders)));
    assert_eq!(refused(&headers(100)), (40 + 16 * 8, Malformed::TooManyHeaders));

    let long = HeaderOption::Unknown { kind: 0x1e, data: &[0; 20] };
    let with = |options: &[HeaderOption<'_>]| packet(&[Repr::Destination(options)], Protocol::TCP, &TCP);
    assert_eq!(check(&with(&[long])), Ok(64));
    assert_eq!(check(&with(&[long, long])), Err((40, Malformed::HeaderTooLong)));
    let twice = packet(&[Repr::Destination(&[long]), Repr::Destination(&[long])], Protocol::TCP, &TCP);
    assert_eq!(check(&twice), Ok(88));
    let thrice = packet(&[Repr::Destination(&[long]); 3], Protocol::TCP, &TCP);
    assert_eq!(check(&thrice), Err((88, Malformed::ChainTooLong)));

    let small = HeaderOption::Unknown { kind: 0x1e, data: &[] };
    assert_eq!(check(&with(&[small, small])), Ok(48));
    assert_eq!(check(&with(&[small, HeaderOption::Pad1, small, small])), Err((47, Malformed::TooManyOptions)));

    // Seven bytes of padding in a row, of whatever kind.
    let padded = |bytes: &[u8]| check(&raw(DESTINATION, &options(Protocol::TCP, bytes)));
    assert_eq!(padded(&[0, 0, 0, 0, 0, 0, 0, 0x1e, 0, 0, 0, 0, 0, 0]), Ok(56));
    assert_eq!(padded(&[0, 0, 0, 0, 0, 0, 0, 0, 0x1e, 0, 0, 0, 0, 0]), Err((49, Malformed::Padding)));
    assert_eq!(padded(&[1, 5, 0, 0, 0, 0, 0, 0x1e, 0, 1, 3, 0, 0, 0]), Ok(56));
    assert_eq!(padded(&[1, 6, 0, 0, 0, 0, 0, 0, 0x1e, 0, 0, 0, 0, 0]), Err((42, Malformed::Padding)));
    assert_eq!(padded(&[1, 1, 0, 1, 3, 0, 0, 0, 0x1e, 0, 0, 0, 0, 0]), Err((45, Malformed::Padding)));
    assert_eq!(walk(&raw(DESTINATION, &options(Protocol::TCP, &[0; 14]))).unwrap_err().parameter_code(), None);
}

/// Bad input B2: an option of every kind with every length that it may have or not.
#[test]
fn options_that_lie_are_refused_at_their_length() {
    for protocol in [HOP, DESTINATION] {
        for kind in 2..=255u8 {
            for len in 0..=255u8 {
                let mut bytes = [0; 30];
                bytes[..2].copy_from_slice(&[kind, len]);
                let fits = len <= 28;
                let right = match (kind, protocol) {
                    (option_kind::ROUTER_ALERT, HOP) => len == 2,
                    (option_kind::JUMBO_PAYLOAD, HOP) => len == 4,
                    (option_kind::HOME_ADDRESS, DESTINATION) => len == 16,
                    _ => true,
                };
                let bytes = raw(protocol, &options(Protocol::TCP, &bytes));
                let limits = Limits { padding: 30, ..Limits::DEFAULT };
                let found = Extensions::new(&Packet::parse(&bytes).unwrap(), limits).upper();
                let expected = if !fits || !right {
                    Err(bad(43, Malformed::OptionLength))
                } else if (kind, protocol) == (option_kind::JUMBO_PAYLOAD, HOP) {
                    Err(bad(42, Malformed::Value))
                } else {
                    Ok(72)
                };
                assert_eq!(found.map(|upper| upper.at), expected, "{protocol}, kind {kind}, length {len}");
            }
        }
    }
    // The last byte of a header can only be padding.
    let bytes = raw(DESTINATION, &options(Protocol::TCP, &[1, 3, 0, 0, 0, 7]));
    assert_eq!(refused(&bytes), (47, Malformed::OptionLength));
    // Padding that smuggles.
    let bytes = raw(DESTINATION, &options(Protocol::TCP, &[1, 4, 0, 0, 9, 0]));
    assert_eq!(refused(&bytes), (46, Malformed::Padding));
}

/// Bad input B2: what to do with each kind of unknown option, and whom to tell.
#[test]
fn unknown_options_say_what_is_to_be_done() {
    let (node, group) = (Ipv6Addr::LOCALHOST, ipv6::ALL_NODES);
    for (kind, action, tells_node, tells_group) in [
        (0x1e, UnknownAction::Skip, false, false),
        (0x5e, UnknownAction::Discard, false, false),
        (0x9e, UnknownAction::Report, true, true),
        (0xde, UnknownAction::ReportUnlessMulticast, true, false),
    ] {
        let option = HeaderOption::Unknown { kind, data: &[1, 2, 3] };
        let bytes = packet(&[Repr::Destination(&[HeaderOption::Pad1, option])], Protocol::TCP, &TCP);
        let header = Extensions::new(&Packet::parse(&bytes).unwrap(), Limits::DEFAULT).next().unwrap().unwrap();
        let Extension::Destination(options) = header.extension else { panic!("{header:?}") };
        let found = options.options().find(|placed| !placed.option.is_padding()).unwrap();
        assert_eq!(found, PlacedOption { at: 43, option });
        assert_eq!((bytes[found.at], found.option.may_change()), (kind, false));
        assert_eq!(found.option.unknown_action(), action);
        assert_eq!((action.reports(node), action.reports(group)), (tells_node, tells_group));
    }
}

#[test]
fn options_are_at_home_in_one_header_only() {
    let found = |bytes: &[u8]| {
        let header = Extensions::new(&Packet::parse(bytes).unwrap(), Limits::DEFAULT).next().unwrap().unwrap();
        let (Extension::HopByHop(options) | Extension::Destination(options)) = header.extension else { panic!() };
        options.options().find(|placed| !placed.option.is_padding()).unwrap().option.kind()
    };
    let alert = [HeaderOption::RouterAlert(1)];
    assert_eq!(found(&packet(&[Repr::HopByHop(&alert)], Protocol::TCP, &TCP)), option_kind::ROUTER_ALERT);
    let bytes = packet(&[Repr::Destination(&alert)], Protocol::TCP, &TCP);
    assert_eq!(found(&bytes), option_kind::ROUTER_ALERT);
    let header = Extensions::new(&Packet::parse(&bytes).unwrap(), Limits::DEFAULT).next().unwrap().unwrap();
    let Extension::Destination(options) = header.extension else { panic!() };
    assert!(matches!(options.options().next().unwrap().option, HeaderOption::Unknown { data: [0, 1], .. }));
}

/// RFC 8200, appendix A: where alignment puts options.
#[test]
fn options_are_aligned() {
    for (options, expected) in [
        (&[][..], &[1, 4, 0, 0, 0, 0][..]),
        (&[HeaderOption::RouterAlert(3)], &[5, 2, 0, 3, 1, 0]),
        (&[HeaderOption::Pad1, HeaderOption::RouterAlert(0)], &[0, 0, 5, 2, 0, 0]),
        (&[HeaderOption::JumboPayload(0x0001_0000)], &[0xc2, 4, 0, 1, 0, 0]),
        (
            &[HeaderOption::Unknown { kind: 0x3e, data: &[9; 3] }, HeaderOption::JumboPayload(0x0001_0000)],
            &[0x3e, 3, 9, 9, 9, 1, 1, 0, 0xc2, 4, 0, 1, 0, 0],
        ),
        (&[HeaderOption::Unknown { kind: 0x3e, data: &[9; 3] }], &[0x3e, 3, 9, 9, 9, 0]),
        (
            &[HeaderOption::HomeAddress(Ipv6Addr::UNSPECIFIED)],
            &[1, 2, 0, 0, 0xc9, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
    ] {
        let repr = Repr::HopByHop(options);
        let mut bytes = vec![0xaa; repr.header_len()];
        assert_eq!(repr.emit(Protocol::TCP, &mut bytes), bytes.len());
        assert_eq!((bytes[0], usize::from(bytes[1])), (6, bytes.len() / 8 - 1));
        assert_eq!(&bytes[2..], expected, "{options:?}");
    }
}

/// RFC 2675 §3: whom each error points at.
#[test]
fn jumbograms_that_are_none() {
    let jumbo = |len| [HeaderOption::JumboPayload(len)];
    let zero_len = |mut bytes: Vec<u8>| {
        bytes[4..6].fill(0);
        bytes
    };
    let with_a_length = packet(&[Repr::HopByHop(&jumbo(65_536))], Protocol::TCP, &TCP);
    assert_eq!(refused(&with_a_length), (42, Malformed::Value));
    let too_small = zero_len(packet(&[Repr::HopByHop(&jumbo(28))], Protocol::TCP, &TCP));
    assert_eq!(refused(&too_small), (44, Malformed::TotalLength));
    let without = zero_len(packet(&[Repr::HopByHop(&[])], Protocol::TCP, &TCP));
    assert_eq!(refused(&without), (4, Malformed::TotalLength));

    let fragment = Repr::Fragment(Fragment { offset: 0, more: true, id: 1 });
    let whole = packet(&[Repr::HopByHop(&jumbo(65_536))], Protocol::NO_NEXT_HEADER, &vec![0; 65_528]);
    assert_eq!(walk(&whole).unwrap().payload.len(), 65_528);
    let bytes = packet(&[Repr::HopByHop(&jumbo(65_536)), fragment], Protocol::NO_NEXT_HEADER, &vec![0; 65_520]);
    assert_eq!(refused(&bytes), (48, Malformed::Value));
}

/// RFC 7112: a first fragment has all headers, the transport's too; later ones have none.
#[test]
fn fragments() {
    let fragment = |offset, more| Repr::Fragment(Fragment { offset, more, id: 7 });
    let first = packet(&[fragment(0, true), Repr::Destination(&[])], Protocol::TCP, &TCP);
    assert_eq!(walk(&first).unwrap().payload, TCP);
    for cut in 48..first.len() {
        let mut bytes = first[..cut].to_vec();
        bytes[4..6].copy_from_slice(&((cut - 40) as u16).to_be_bytes());
        assert_eq!(refused(&bytes), (0, Malformed::FirstFragment), "{cut} bytes");
        assert_eq!(walk(&bytes).unwrap_err().parameter_code(), Some(ParameterCode::FIRST_FRAGMENT));
        // Alone it is a whole packet, and the transport's to refuse.
        bytes[43] = 0;
        let expected = if cut < 56 { Err(bad(48, Malformed::Truncated)) } else { Ok(cut - 56) };
        assert_eq!(walk(&bytes).map(|upper| upper.payload.len()), expected, "{cut} bytes");
    }

    for (protocol, least) in [
        (Protocol::TCP, 20),
        (Protocol::UDP, 8),
        (Protocol::ICMPV6, 8),
        (Protocol::NO_NEXT_HEADER, 0),
        (Protocol::ESP, 1),
        (Protocol(200), 1),
    ] {
        for len in 0..24 {
            let bytes = packet(&[fragment(0, true)], protocol, &[0; 24][..len]);
            assert_eq!(walk(&bytes).is_ok(), len >= least, "{len} bytes of {protocol}");
        }
    }

    let later = packet(&[fragment(1480, false)], DESTINATION, &[0xff; 24]);
    let upper = walk(&later).unwrap();
    assert_eq!((upper.protocol, upper.payload), (DESTINATION, &[0xff; 24][..]));
    assert_eq!(upper.fragment, Some(Fragment { offset: 1480, more: false, id: 7 }));
    for (word, offset, more) in [(0xfff8u16, 65_528, false), (0xfff9, 65_528, true), (0x0006, 0, false), (8, 8, false)]
    {
        let mut bytes = later.clone();
        bytes[42..44].copy_from_slice(&word.to_be_bytes());
        bytes[40] = Protocol::NO_NEXT_HEADER.0;
        assert_eq!(walk(&bytes).unwrap().fragment, Some(Fragment { offset, more, id: 7 }), "reserved bits are ignored");
    }
}

#[test]
fn routing_headers() {
    let (a, b) = (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));
    let route = [&[0; 4][..], &a.octets(), &b.octets()].concat();
    let segments = [&[1, 0, 0, 0][..], &a.octets(), &b.octets()].concat();
    let one = [&[0; 4][..], &a.octets()].concat();
    let none = Vec::new();
    for (kind, data, addresses, last) in [
        (routing_type::SOURCE_ROUTE, &route, Some(vec![a, b]), Some(b)),
        (routing_type::MOBILE, &one, Some(vec![a]), Some(a)),
        (routing_type::RPL, &route, None, None),
        (routing_type::SEGMENTS, &segments, Some(vec![a, b]), Some(a)),
        (routing_type::SEGMENTS, &one, Some(vec![a]), Some(a)),
        (253, &one, None, None),
        (routing_type::SOURCE_ROUTE, &none, None, None),
    ] {
        let routing = Routing { kind, segments_left: 1, data };
        assert_eq!(routing.addresses().map(Iterator::collect), addresses, "type {kind}");
        assert_eq!(routing.final_destination(), last);
        assert_eq!(Routing { segments_left: 0, ..routing }.final_destination(), None);
        if !data.is_empty() {
            let bytes = packet(&[Repr::Routing { kind, segments_left: 1, data }], Protocol::TCP, &TCP);
            let header = Extensions::new(&Packet::parse(&bytes).unwrap(), Limits::DEFAULT).next().unwrap().unwrap();
            assert_eq!(header.extension, Extension::Routing(routing));
        }
    }
    // A list of segments that is longer than its header.
    let lying = [&[2, 0, 0, 0][..], &a.octets()].concat();
    let routing = Routing { kind: routing_type::SEGMENTS, segments_left: 1, data: &lying };
    assert!(routing.addresses().is_none() && routing.final_destination().is_none());
}
