use super::*;
use crate::group::Addresses;
use crate::icmpv6;
use crate::ipv6::{ALL_NODES, ALL_ROUTERS, solicited_node};
use crate::{IpPrefix, MacAddr};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 1);
const OTHER: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 2);

fn arrival(src: Ipv6Addr, dst: Ipv6Addr) -> Arrival {
    Arrival { src, dst, hop_limit: 255, fragmented: false, router_alert: false }
}

fn written(message: &Message<'_>) -> Vec<u8> {
    let message = icmpv6::Message::Discovery(*message);
    let mut bytes = vec![0xaa; message.total_len()];
    assert_eq!(message.emit(LOCAL, GLOBAL, &mut bytes), bytes.len());
    assert_eq!(icmpv6::Message::parse(&bytes, LOCAL, GLOBAL), Ok(message));
    bytes
}

#[test]
fn solicitation_and_advertisement() {
    let options = [1, 1, 2, 0, 0, 0, 0, 1];
    let message = Message::NeighborSolicitation { target: OTHER, options: Options::parse(&options).unwrap() };
    let bytes = written(&message);
    assert_eq!(bytes[..2], [135, 0]);
    assert_eq!(bytes[4..], [&[0; 4][..], &OTHER.octets(), &options].concat());
    assert_eq!(message.options().source_link_layer(), Some(MAC));
    let icmp = icmpv6::Message::Discovery(message);
    assert_eq!(icmp.to_string(), "who has fd00:9::2?, says 02:00:00:00:00:01");

    let options = [2, 1, 2, 0, 0, 0, 0, 1];
    for (flags, router, solicited, overrides) in [
        (0x00, false, false, false),
        (0x80, true, false, false),
        (0x40, false, true, false),
        (0x20, false, false, true),
    ] {
        let options = Options::parse(&options).unwrap();
        let neighbor = NeighborAdvertisement { router, solicited, overrides, target: OTHER, options };
        let bytes = written(&Message::NeighborAdvertisement(neighbor));
        assert_eq!((bytes[0], &bytes[4..8]), (136, &[flags, 0, 0, 0][..]));
        let text = Message::NeighborAdvertisement(neighbor).to_string();
        assert_eq!(text, "fd00:9::2 is at 02:00:00:00:00:01");
    }
}

/// As a router sends it, with all that we know.
#[test]
fn router_advertisement() {
    let mut names = [0; 32];
    let len = encode_domain("lab.example", &mut names).unwrap();
    let servers = [GLOBAL.octets(), OTHER.octets()];
    let given = [
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
            lifetime: 1800,
        }),
        NdOption::RecursiveDns(RecursiveDns { lifetime: 600, servers: Addresses::of(&servers) }),
        NdOption::DnsSearchList(DnsSearchList { lifetime: 600, domains: Domains::parse(&names[..len]).unwrap() }),
        NdOption::Nonce(&[1, 2, 3, 4, 5, 6]),
        NdOption::Unknown { kind: 38, data: &[7; 14] },
    ];
    let mut buffer = [0xaa; 256];
    let options = Options::write(&given, &mut buffer);
    assert_eq!(options.as_bytes().len(), given.iter().map(NdOption::len).sum::<usize>());
    assert!(options.iter().map(Result::unwrap).eq(given));
    assert_eq!((options.source_link_layer(), options.target_link_layer()), (Some(MAC), None));
    assert_eq!(options.nonce(), Some(&[1, 2, 3, 4, 5, 6][..]));
    let advertisement = RouterAdvertisement {
        hop_limit: 64,
        managed: false,
        other: true,
        preference: Preference::Low,
        lifetime: 1800,
        reachable_time: 30_000,
        retransmit_time: 1000,
        options,
    };
    let bytes = written(&Message::RouterAdvertisement(advertisement));
    assert_eq!(bytes[4..16], [64, 0x58, 0x07, 0x08, 0, 0, 0x75, 0x30, 0, 0, 0x03, 0xe8]);
    let text = Message::RouterAdvertisement(advertisement).to_string();
    assert_eq!(text, "router for 1800 s, 8 options, says 02:00:00:00:00:01");

    // RFC 4191 §2.2: the reserved preference is medium in a router's, and no option at all in a route's.
    let mut reserved = bytes;
    reserved[5] = 0x10;
    let parsed = Message::parse(message_type::ROUTER_ADVERTISEMENT, &reserved[4..]).unwrap();
    assert_eq!(
        parsed,
        Message::RouterAdvertisement(RouterAdvertisement {
            other: false,
            preference: Preference::Medium,
            ..advertisement
        })
    );
    assert!(Preference::Low < Preference::Medium && Preference::Medium < Preference::High);
}

#[test]
fn redirect() {
    let packet = [0x60; 48];
    let mut buffer = [0xaa; 128];
    let options = [NdOption::TargetLinkLayer(MAC), NdOption::RedirectedHeader(&packet)];
    let options = Options::write(&options, &mut buffer);
    let message = Message::Redirect { target: LOCAL, destination: OTHER, options };
    let bytes = written(&message);
    assert_eq!((bytes.len(), &bytes[8..24]), (40 + 8 + 56, &LOCAL.octets()[..]));
    assert_eq!(message.to_string(), "redirect for fd00:9::2 to fe80::ff:fe00:1");
    assert_eq!(message.validate(&arrival(LOCAL, GLOBAL)), Ok(()));
}

/// Bad input B5: a length of zero must not loop for ever; the message is refused.
#[test]
fn lying_lengths_are_refused() {
    for length in 0..=255u8 {
        for have in 0..32 {
            let mut bytes = vec![0; have];
            if let Some(byte) = bytes.get_mut(1) {
                *byte = length;
            }
            let expected = have == 0 || (have > 1 && length > 0 && usize::from(length) * 8 == have);
            assert_eq!(Options::parse(&bytes).is_ok(), expected, "length {length} of {have} bytes");
        }
    }
    for (kind, least) in [(133, 4), (134, 12), (135, 20), (136, 20), (137, 36)] {
        for len in 0..60 {
            let found = Message::parse(kind, &[0; 60][..len]);
            match len {
                _ if len < least => assert_eq!(found, Err(Malformed::Truncated)),
                _ if len == least => assert!(found.is_ok()),
                _ => assert_eq!(found, Err(Malformed::OptionLength)),
            }
        }
    }
}

/// Bad input B6: an option that is not what its kind has to be is ignored, and not more than it.
#[test]
fn bad_options_are_ignored_one_by_one() {
    let length_of = |kind: u8, length: u8, change: &dyn Fn(&mut [u8])| {
        let mut bytes = vec![0; usize::from(length) * 8 + 8];
        bytes[..2].copy_from_slice(&[kind, length]);
        change(&mut bytes);
        let at = usize::from(length) * 8;
        bytes[at..].copy_from_slice(&[5, 1, 0, 0, 0, 0, 5, 0]);
        let options = Options::parse(&bytes).unwrap();
        let mut options = options.iter();
        let found = options.next().unwrap().map(|option| option.kind());
        assert_eq!((options.next(), options.next()), (Some(Ok(NdOption::Mtu(1280))), None), "the next one is read");
        found
    };
    let plain = |_: &mut [u8]| ();
    for length in 1..=255 {
        let is = |right: bool, kind| {
            if right { Ok(kind) } else { Err(BadOption { kind, reason: Malformed::OptionLength }) }
        };
        assert_eq!(length_of(1, length, &plain), is(length == 1, 1));
        assert_eq!(length_of(2, length, &plain), is(length == 1, 2));
        assert_eq!(length_of(3, length, &plain), is(length == 4, 3));
        assert_eq!(length_of(4, length, &plain), Ok(4));
        assert_eq!(length_of(5, length, &plain), is(length == 1, 5));
        assert_eq!(length_of(14, length, &plain), Ok(14));
        assert_eq!(length_of(24, length, &plain), is(length <= 3, 24));
        assert_eq!(length_of(25, length, &plain), is(length >= 3 && length % 2 == 1, 25), "CVE-2020-16898");
        assert_eq!(length_of(31, length, &plain), is(false, 31), "no name at all");
        assert_eq!(length_of(200, length, &plain), Ok(200));
    }
    let value = |kind| Err(BadOption { kind, reason: Malformed::OptionValue });
    assert_eq!(length_of(3, 4, &|bytes| bytes[2] = 129), value(3));
    assert_eq!(length_of(24, 3, &|bytes| bytes[2] = 129), value(24));
    assert_eq!(length_of(24, 3, &|bytes| bytes[3] = 0x10), value(24));
    for prefix_len in 0..=255u8 {
        for length in 1..=3u8 {
            let found = length_of(24, length, &|bytes| bytes[2] = prefix_len);
            let fits = prefix_len <= 128 && usize::from(prefix_len) <= (usize::from(length) - 1) * 64;
            assert_eq!(found.is_ok(), fits, "/{prefix_len} in {length}");
        }
    }
    assert_eq!(length_of(31, 2, &|bytes| bytes[8..].copy_from_slice(b"\x03lab\0\0\0\0\0\0\0\0\0\0\0\0")), Ok(31));
    assert_eq!(length_of(31, 2, &|bytes| bytes[8] = 0xc0), value(31));
}

#[test]
fn prefixes_without_host_bits() {
    let bytes =
        [&[24, 3, 49, 0, 0, 0, 0, 9][..], &Ipv6Addr::new(0x2001, 0xdb8, 1, 0xffff, 5, 6, 7, 8).octets()].concat();
    let Ok(NdOption::Route(route)) = Options::parse(&bytes).unwrap().iter().next().unwrap() else { panic!() };
    assert_eq!(route.prefix, Ipv6Addr::new(0x2001, 0xdb8, 1, 0x8000, 0, 0, 0, 0), "bits beyond the length are ignored");
    assert_eq!(route.network(), "2001:db8:1:8000::/49".parse::<IpPrefix>().unwrap());
    let default = RouteInformation { prefix: Ipv6Addr::UNSPECIFIED, prefix_len: 0, ..route };
    assert_eq!((NdOption::Route(default).len(), default.network().to_string().as_str()), (8, "::/0"));
}

/// Bad input B5 and B10: each rule of RFC 4861, broken one by one.
#[test]
fn validation() {
    let with = [1, 1, 2, 0, 0, 0, 0, 1];
    let with = Options::parse(&with).unwrap();
    let none = Options::NONE;
    let nobody = Ipv6Addr::UNSPECIFIED;
    let router = Message::RouterAdvertisement(RouterAdvertisement {
        hop_limit: 64,
        managed: false,
        other: false,
        preference: Preference::Medium,
        lifetime: 0,
        reachable_time: 0,
        retransmit_time: 0,
        options: none,
    });
    let neighbor = |solicited, target| {
        let (router, overrides, options) = (false, true, none);
        Message::NeighborAdvertisement(NeighborAdvertisement { router, solicited, overrides, target, options })
    };
    let solicitation = |target, options| Message::NeighborSolicitation { target, options };
    let redirect = |target, destination| Message::Redirect { target, destination, options: none };
    let group = solicited_node(OTHER);
    let cases = [
        (Message::RouterSolicitation { options: with }, LOCAL, ALL_ROUTERS, Ok(())),
        (Message::RouterSolicitation { options: none }, nobody, ALL_ROUTERS, Ok(())),
        (Message::RouterSolicitation { options: with }, nobody, ALL_ROUTERS, Err(Invalid::SourceLinkLayer)),
        (router, LOCAL, ALL_NODES, Ok(())),
        (router, GLOBAL, ALL_NODES, Err(Invalid::Source)),
        (router, nobody, ALL_NODES, Err(Invalid::Source)),
        (solicitation(OTHER, with), GLOBAL, OTHER, Ok(())),
        (solicitation(ALL_NODES, with), GLOBAL, OTHER, Err(Invalid::Target)),
        (solicitation(OTHER, none), nobody, group, Ok(())),
        (solicitation(OTHER, none), nobody, OTHER, Err(Invalid::Destination)),
        (solicitation(OTHER, none), nobody, ALL_NODES, Err(Invalid::Destination)),
        (solicitation(OTHER, with), nobody, group, Err(Invalid::SourceLinkLayer)),
        (neighbor(true, OTHER), OTHER, GLOBAL, Ok(())),
        (neighbor(false, OTHER), OTHER, ALL_NODES, Ok(())),
        (neighbor(true, OTHER), OTHER, ALL_NODES, Err(Invalid::Solicited)),
        (neighbor(true, ALL_NODES), OTHER, GLOBAL, Err(Invalid::Target)),
        (redirect(LOCAL, OTHER), LOCAL, GLOBAL, Ok(())),
        (redirect(OTHER, OTHER), LOCAL, GLOBAL, Ok(())),
        (redirect(GLOBAL, OTHER), LOCAL, GLOBAL, Err(Invalid::Target)),
        (redirect(LOCAL, ALL_NODES), LOCAL, GLOBAL, Err(Invalid::Destination)),
        (redirect(LOCAL, OTHER), OTHER, GLOBAL, Err(Invalid::Source)),
    ];
    for (message, src, dst, expected) in cases {
        let arrived = arrival(src, dst);
        assert_eq!(message.validate(&arrived), expected, "{message} from {src} to {dst}");
        if expected.is_ok() {
            for hop_limit in [0, 1, 64, 254] {
                assert_eq!(message.validate(&Arrival { hop_limit, ..arrived }), Err(Invalid::HopLimit));
            }
            assert_eq!(message.validate(&Arrival { fragmented: true, ..arrived }), Err(Invalid::Fragmented));
            assert_eq!(message.validate(&Arrival { src: ALL_NODES, ..arrived }), Err(Invalid::Source));
        }
    }
}
