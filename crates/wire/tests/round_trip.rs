//! Meaning to bytes and back, for every format and all that it can express; and any bytes at all into every parser.

mod exercise;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sockeye_wire::icmpv4::{Message, RedirectCode, TimeExceededCode, Timestamp, UnreachableCode};
use sockeye_wire::ipv4::options::{IpOption, OptionBuffer, Options, record};
use sockeye_wire::tcp::{Flags, OptionIter, SackBlocks, TcpOption, Timestamps};
use sockeye_wire::{EtherType, IpPrefix, MacAddr, Protocol, SeqNumber, VlanTag};
use sockeye_wire::{arp, checksum, ethernet, icmpv4, ipv4, tcp, udp};

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits)
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![v4().prop_map(IpAddr::V4), any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))]
}

/// Two addresses of one family.
fn ends() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        (v4(), v4()).prop_map(|(src, dst)| (src.into(), dst.into())),
        any::<[u128; 2]>().prop_map(|[src, dst]| (Ipv6Addr::from_bits(src).into(), Ipv6Addr::from_bits(dst).into())),
    ]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..100), vec(any::<u8>(), 1400..3000)]
}

fn tag() -> impl Strategy<Value = VlanTag> {
    (0..8u8, any::<bool>(), 0..4096u16).prop_map(|(priority, drop_eligible, id)| VlanTag {
        priority,
        drop_eligible,
        id,
    })
}

fn ether_type() -> impl Strategy<Value = EtherType> {
    (0x0600..=u16::MAX).prop_map(EtherType).prop_filter("not a tag", |ether_type| !ether_type.is_tag())
}

prop_compose! {
    fn ethernet_repr()(dst in mac(), src in mac(), vlan in option::of(tag()), ether_type in ether_type()) -> ethernet::Repr {
        ethernet::Repr { dst, src, vlan, ether_type }
    }
}

prop_compose! {
    fn arp_repr()(
        operation in any::<u16>().prop_map(arp::Operation),
        (sender_mac, target_mac) in (mac(), mac()),
        (sender_ip, target_ip) in (v4(), v4()),
    ) -> arp::Repr {
        arp::Repr { operation, sender_mac, sender_ip, target_mac, target_ip }
    }
}

prop_compose! {
    /// All but the options, which are borrowed.
    fn ipv4_repr()(
        (src, dst) in (v4(), v4()),
        protocol in any::<u8>().prop_map(Protocol),
        (ttl, tos, id) in any::<(u8, u8, u16)>(),
        (dont_fragment, more_fragments) in any::<(bool, bool)>(),
        fragment_offset in (0..0x2000u16).prop_map(|units| units * 8),
    ) -> ipv4::Repr<'static> {
        ipv4::Repr {
            src, dst, protocol, ttl, tos, id, dont_fragment, more_fragments, fragment_offset, options: &[],
        }
    }
}

fn timestamps() -> impl Strategy<Value = Timestamps> {
    any::<(u32, u32)>().prop_map(|(value, echo)| Timestamps { value, echo })
}

fn sack(max: usize) -> impl Strategy<Value = SackBlocks> {
    vec(any::<(u32, u32)>().prop_map(|(left, right)| (SeqNumber(left), SeqNumber(right))), 0..=max)
        .prop_map(|blocks| blocks.into_iter().collect())
}

prop_compose! {
    fn tcp_options()(
        mss in option::of(any::<u16>()),
        window_scale in option::of(0..=14u8),
        sack_permitted in any::<bool>(),
        timestamps in option::of(timestamps()),
        sack in sack(4),
    ) -> tcp::Options {
        tcp::Options { mss, window_scale, sack_permitted, timestamps, sack }
    }
}

prop_compose! {
    fn tcp_repr()(
        (src_port, dst_port, window, urgent) in any::<(u16, u16, u16, u16)>(),
        (seq, ack) in any::<(u32, u32)>(),
        flags in any::<u8>(),
        options in tcp_options(),
    ) -> tcp::Repr {
        let (seq, ack, flags) = (SeqNumber(seq), SeqNumber(ack), Flags(flags));
        tcp::Repr { src_port, dst_port, seq, ack, flags, window, urgent, options }
    }
}

/// A message for every shape that there is.
fn messages(ident: u16, seq: u16, code: u8, times: [u32; 3], gateway: Ipv4Addr, data: &[u8]) -> Vec<Message<'_>> {
    let [originate, receive, transmit] = times;
    let timestamp = Timestamp { ident, seq, originate, receive, transmit };
    vec![
        Message::EchoRequest { ident, seq, data },
        Message::EchoReply { ident, seq, data },
        Message::DestinationUnreachable {
            code: UnreachableCode::FRAGMENTATION_NEEDED,
            next_hop_mtu: ident,
            original: data,
        },
        Message::DestinationUnreachable { code: UnreachableCode::PORT, next_hop_mtu: 0, original: data },
        Message::SourceQuench { original: data },
        Message::Redirect { code: RedirectCode(code), gateway, original: data },
        Message::TimeExceeded { code: TimeExceededCode(code), original: data },
        Message::ParameterProblem { code, pointer: code.wrapping_add(1), original: data },
        Message::TimestampRequest(timestamp),
        Message::TimestampReply(timestamp),
        Message::Unknown { kind: 200, code, rest: gateway.octets(), data },
    ]
}

proptest! {
    #[test]
    fn ethernet_round_trip(repr in ethernet_repr(), payload in payload()) {
        let mut bytes = vec![0xaa; repr.header_len()];
        prop_assert_eq!(repr.emit(&mut bytes), bytes.len());
        bytes.extend_from_slice(&payload);
        let frame = ethernet::Frame::parse(&bytes).unwrap();
        prop_assert_eq!(frame.repr(), Some(repr));
        prop_assert_eq!(frame.payload(), &payload);
        prop_assert_eq!(frame.header_len(), repr.header_len());
    }

    #[test]
    fn arp_round_trip(repr in arp_repr(), padding in 0..20usize) {
        let mut bytes = vec![0; arp::LEN + padding];
        prop_assert_eq!(repr.emit(&mut bytes), arp::LEN);
        prop_assert_eq!(arp::Repr::parse(&bytes), Ok(repr));
    }

    #[test]
    fn ipv4_round_trip(
        repr in ipv4_repr(),
        options in vec(any::<u8>(), 0..=40),
        payload in payload(),
        padding in 0..20usize,
    ) {
        let repr = ipv4::Repr { options: &options, ..repr };
        let mut bytes = vec![0xaa; repr.header_len() + payload.len() + padding];
        let header_len = repr.emit(payload.len(), &mut bytes);
        prop_assert_eq!(header_len, repr.header_len());
        bytes[header_len..][..payload.len()].copy_from_slice(&payload);
        let packet = ipv4::Packet::parse(&bytes).unwrap();
        prop_assert!(packet.verify_checksum());
        prop_assert_eq!(ipv4::Repr { options: &options, ..packet.repr() }, repr);
        prop_assert!(packet.options().starts_with(&options));
        prop_assert!(packet.options()[options.len()..].iter().all(|&byte| byte == 0));
        prop_assert_eq!(packet.payload(), &payload);

        // Any one bit that changes is seen, by the lengths or by the checksum. (Not so of the first byte: it says how
        // much there is to sum.)
        let bit = 8 + usize::from(repr.id) % (8 * (header_len - 1));
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!ipv4::Packet::parse(&bytes).is_ok_and(|packet| packet.verify_checksum()));
    }

    #[test]
    fn ipv4_options_round_trip(
        slots in 0..6usize,
        with_address in any::<bool>(),
        alert in any::<u16>(),
        hops in vec((v4(), any::<u32>()), 0..12),
    ) {
        let mut buffer = OptionBuffer::new();
        buffer.push_record_route(slots.min(3)).unwrap();
        buffer.push(&IpOption::NoOperation).unwrap();
        buffer.push(&IpOption::RouterAlert(alert)).unwrap();
        buffer.push_timestamp(slots.min(2), with_address).unwrap();
        let mut bytes = buffer.as_bytes().to_vec();
        for &(address, time) in &hops {
            record(&mut bytes, address, time).unwrap();
        }
        let options: Vec<_> = Options::new(&bytes).map(Result::unwrap).collect();
        let [IpOption::RecordRoute(route), IpOption::NoOperation, IpOption::RouterAlert(value), IpOption::Timestamp(times)] =
            options[..] else { panic!("{options:?}") };
        prop_assert_eq!(value, alert);
        prop_assert!(route.passed().eq(hops.iter().take(slots.min(3)).map(|&(address, _)| address)));
        prop_assert_eq!(route.is_complete(), hops.len() >= slots.min(3));
        let expected = hops.iter().take(slots.min(2)).map(|&(address, time)| (with_address.then_some(address), time));
        prop_assert!(times.entries().eq(expected));
        prop_assert_eq!(usize::from(times.overflow()), hops.len().saturating_sub(slots.min(2)));
        prop_assert_eq!(Options::new(&bytes).validate(), Ok(()));
    }

    #[test]
    fn icmpv4_round_trip(
        (ident, seq, code) in any::<(u16, u16, u8)>(),
        times in any::<[u32; 3]>(),
        gateway in v4(),
        data in payload(),
        bit in any::<usize>(),
    ) {
        for message in messages(ident, seq, code, times, gateway, &data) {
            let mut bytes = vec![0xaa; message.total_len()];
            prop_assert_eq!(message.emit(&mut bytes), bytes.len());
            prop_assert_eq!(Message::parse(&bytes), Ok(message));
            let bit = bit % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Message::parse(&bytes).is_err());
        }
    }

    #[test]
    fn udp_round_trip(
        (src_port, dst_port) in any::<(u16, u16)>(),
        (src, dst) in ends(),
        payload in payload(),
        bit in any::<usize>(),
    ) {
        let repr = udp::Repr { src_port, dst_port };
        let mut bytes = vec![0xaa; udp::HEADER_LEN];
        prop_assert_eq!(repr.emit(payload.len(), &mut bytes), udp::HEADER_LEN);
        bytes.extend_from_slice(&payload);
        let mut sum = checksum::pseudo_header(src, dst, Protocol::UDP.0, bytes.len() as u32);
        sum.add(&bytes);
        bytes[udp::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
        let datagram = udp::Datagram::parse(&bytes).unwrap();
        prop_assert_eq!(datagram.repr(), repr);
        prop_assert_eq!(datagram.payload(), &payload);
        prop_assert!(datagram.verify_checksum(src, dst));
        prop_assert!(datagram.verify_checksum(dst, src), "a sum does not know its order");

        // Any one bit of the payload, or of the ports.
        let bit = bit % (8 * (bytes.len() - 4));
        let at = if bit < 32 { bit } else { bit + 32 };
        bytes[at / 8] ^= 1 << (at % 8);
        prop_assert!(!udp::Datagram::parse(&bytes).unwrap().verify_checksum(src, dst));
    }

    #[test]
    fn tcp_round_trip(repr in tcp_repr(), (src, dst) in ends(), payload in payload()) {
        let mut bytes = vec![0xaa; repr.header_len()];
        prop_assert_eq!(repr.emit(&mut bytes), bytes.len());
        bytes.extend_from_slice(&payload);
        let mut sum = checksum::pseudo_header(src, dst, Protocol::TCP.0, bytes.len() as u32);
        sum.add(&bytes);
        bytes[tcp::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish().to_be_bytes());
        let segment = tcp::Segment::parse(&bytes).unwrap();
        prop_assert!(segment.verify_checksum(src, dst));
        prop_assert_eq!(segment.payload(), &payload);
        let read = segment.repr();
        let fitting = read.options.sack.len();
        prop_assert_eq!(&repr.options.sack.as_slice()[..fitting], read.options.sack.as_slice());
        prop_assert!(fitting == repr.options.sack.len() || read.options.len() > 32);
        prop_assert_eq!(tcp::Repr { options: tcp::Options { sack: repr.options.sack, ..read.options }, ..read }, repr);
    }

    #[test]
    fn established_segments_carry_what_they_should(timestamps in option::of(timestamps()), sack in sack(4)) {
        let options = tcp::Options { timestamps, sack, ..tcp::Options::default() };
        let mut bytes = [0xaa; tcp::MAX_OPTIONS_LEN];
        let len = options.emit(&mut bytes);
        let room = if timestamps.is_some() { 3 } else { 4 };
        let expected: SackBlocks = sack.as_slice().iter().copied().take(room).collect();
        prop_assert_eq!(tcp::Options::parse(&bytes[..len]), tcp::Options { sack: expected, ..options });
    }

    #[test]
    fn tcp_option_round_trip(
        (size, shift, timeout, minutes) in (any::<u16>(), any::<u8>(), 0..0x8000u16, any::<bool>()),
        timestamps in timestamps(),
        sack in sack(4).prop_filter("no block, no option", |sack| !sack.is_empty()),
        digest in any::<[u8; 16]>(),
        mac in vec(any::<u8>(), 0..36),
        cookie in 0..=8usize,
    ) {
        let options = [
            TcpOption::NoOperation,
            TcpOption::MaxSegmentSize(size),
            TcpOption::WindowScale(shift),
            TcpOption::SackPermitted,
            TcpOption::Sack(sack),
            TcpOption::Timestamps(timestamps),
            TcpOption::Md5(&digest),
            TcpOption::UserTimeout { minutes, timeout },
            TcpOption::Authentication { key_id: shift, next_key_id: !shift, mac: &mac },
            TcpOption::FastOpen(&digest[..if cookie == 1 { 0 } else { 2 * cookie }]),
            TcpOption::Unknown { kind: 254, data: &mac },
        ];
        for option in options {
            let mut bytes = [0; tcp::MAX_OPTIONS_LEN];
            prop_assert_eq!(option.emit(&mut bytes), option.len());
            let mut read = OptionIter::new(&bytes[..option.len()]);
            prop_assert_eq!(read.next(), Some(Ok(option)));
            prop_assert_eq!(read.next(), None);
        }
    }

    #[test]
    fn checksum_is_the_book_s(bytes in vec(any::<u8>(), 0..5000), cuts in any::<[u8; 4]>()) {
        let mut input = cuts.to_vec();
        input.extend_from_slice(&bytes);
        exercise::checksum(&input);
    }

    #[test]
    fn checksum_of_many_pieces(pieces in vec(vec(any::<u8>(), 0..130), 0..12)) {
        let mut sum = checksum::Sum::new();
        for piece in &pieces {
            sum.add(piece);
        }
        prop_assert_eq!(sum.finish(), exercise::checksum_by_the_book(&pieces.concat()));
    }

    #[test]
    fn checksum_words_are_bytes(words in vec(any::<u16>(), 0..40), wide in any::<u32>()) {
        let mut sum = checksum::Sum::new();
        words.iter().for_each(|&word| sum.add_u16(word));
        sum.add_u32(wide);
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend_from_slice(&wide.to_be_bytes());
        prop_assert_eq!(sum.finish(), exercise::checksum_by_the_book(&bytes));
    }

    #[test]
    fn checksum_update_of_an_address(bytes in vec(any::<u8>(), 4..60), at in any::<usize>(), new in 1..=u32::MAX) {
        prop_assume!(bytes.iter().any(|&byte| byte != 0));
        let at = (at % (bytes.len() - 3)) & !1;
        let mut changed = bytes.clone();
        let field = changed[at..].first_chunk_mut::<4>().unwrap();
        let old = u32::from_be_bytes(*field);
        *field = new.to_be_bytes();
        let checksum = exercise::checksum_by_the_book(&bytes);
        prop_assert_eq!(checksum::update_u32(checksum, old, new), exercise::checksum_by_the_book(&changed));
    }

    #[test]
    fn pseudo_headers_are_the_books((src, dst) in ends(), protocol in any::<u8>(), len in any::<u32>()) {
        let mut bytes = Vec::new();
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                // RFC 9293 section 3.1. The length is 16 bits there; ours is what a super-segment may need.
                let len = len & 0xffff;
                bytes.extend_from_slice(&[src.octets(), dst.octets()].concat());
                bytes.extend_from_slice(&[0, protocol]);
                bytes.extend_from_slice(&(len as u16).to_be_bytes());
                let sum = checksum::pseudo_header(src.into(), dst.into(), protocol, len);
                prop_assert_eq!(sum.finish(), exercise::checksum_by_the_book(&bytes));
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                // RFC 8200 section 8.1.
                bytes.extend_from_slice(&[src.octets(), dst.octets()].concat());
                bytes.extend_from_slice(&len.to_be_bytes());
                bytes.extend_from_slice(&[0, 0, 0, protocol]);
                let sum = checksum::pseudo_header(src.into(), dst.into(), protocol, len);
                prop_assert_eq!(sum.finish(), exercise::checksum_by_the_book(&bytes));
            }
            _ => unreachable!("one family"),
        }
    }

    #[test]
    fn seq_numbers_form_a_circle(a in any::<u32>(), step in prop_oneof![0..10u32, any::<u32>(), 0x7fff_fff0..0x8000_0010u32]) {
        let (a, b) = (SeqNumber(a), SeqNumber(a) + step);
        prop_assert_eq!((b - a).cast_unsigned(), step);
        prop_assert_eq!(b - step, a);
        prop_assert_eq!(usize::from(a.before(b)) + usize::from(a == b) + usize::from(a.after(b)), 1);
        prop_assert_eq!((a.before_eq(b), a.after_eq(b)), (!a.after(b), !a.before(b)));
        if step != 0x8000_0000 {
            prop_assert_eq!(a.before(b), step != 0 && step < 0x8000_0000);
            prop_assert_eq!((a.before(b), a.after(b)), (b.after(a), b.before(a)));
            prop_assert_eq!((a.max(b), a.min(b)), if a.before(b) { (b, a) } else { (a, b) });
        }
        prop_assert_eq!(b.within(a, step), false);
        prop_assert_eq!(b.within(a, step.saturating_add(1)), step != u32::MAX);
    }

    #[test]
    fn prefixes_are_networks(addr in ip(), len in 0..=130u8, other in ip()) {
        let limit = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = IpPrefix::new(addr, len);
        prop_assert_eq!(prefix.is_ok(), len <= limit);
        let Ok(prefix) = prefix else { return Ok(()) };
        prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
        exercise::text(prefix.to_string().as_bytes());
        let bits = |addr| match addr {
            IpAddr::V4(addr) => u128::from(addr.to_bits()) << 96,
            IpAddr::V6(addr) => addr.to_bits(),
        };
        // Bit by bit, without a mask.
        let same = addr.is_ipv4() == other.is_ipv4() && (bits(addr) ^ bits(other)).leading_zeros() >= u32::from(len);
        prop_assert_eq!(prefix.contains(other), same);
        prop_assert_eq!(bits(prefix.netmask()).leading_ones(), u32::from(len));
        prop_assert_eq!(bits(prefix.network().addr()), bits(addr) & bits(prefix.netmask()));
    }

    #[test]
    fn mac_addresses_are_text(mac in mac()) {
        prop_assert_eq!(mac.to_string().parse(), Ok(mac));
        prop_assert_eq!(mac.to_string().replace(':', "-").to_uppercase().parse(), Ok(mac));
    }

    #[test]
    fn any_bytes_into_every_parser(bytes in vec(any::<u8>(), 0..200)) {
        for (_, run) in exercise::ALL {
            run(&bytes);
        }
    }

    /// Bytes that get further than noise does: a valid header each, then noise in a few places.
    #[test]
    fn almost_good_bytes_into_every_parser(
        (ipv4, tcp) in (ipv4_repr(), tcp_repr()),
        options in vec(prop_oneof![0..12u8, Just(68), 130..149u8, any::<u8>()], 0..=40),
        spots in vec(any::<(prop::sample::Index, u8)>(), 0..4),
    ) {
        let mut segment = vec![0; tcp.header_len() + 10];
        tcp.emit(&mut segment);
        let ipv4 = ipv4::Repr { options: &options, ..ipv4 };
        let mut packet = vec![0; ipv4.header_len()];
        ipv4.emit(segment.len(), &mut packet);
        packet.extend_from_slice(&segment);
        let mut error = vec![0; icmpv4::HEADER_LEN + packet.len()];
        Message::TimeExceeded { code: TimeExceededCode::TTL, original: &packet }.emit(&mut error);
        for mut bytes in [segment, packet, error, options] {
            for (index, value) in &spots {
                if !bytes.is_empty() {
                    let at = index.index(bytes.len());
                    bytes[at] = *value;
                }
            }
            for (_, run) in exercise::ALL {
                run(&bytes);
            }
        }
    }
}
