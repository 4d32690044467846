//! What must hold for any bytes whatever: one function a parser, for the property tests, the kept corpus and the
//! fuzzer alike.
//!
//! Each parses, asks everything that the view can answer, and where the bytes parse writes the meaning down again: what
//! is then read must be the same, and written once more it must be the same bytes.

#![allow(unreachable_pub, reason = "the fuzz targets use this file in a crate of their own")]
#![allow(clippy::unwrap_used, reason = "a panic is the verdict")]

mod ipv6;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use ipv6::{icmpv6, igmp, ipsec, ipv6, ipv6_extensions, ndisc_options, udp_lite};

use sockeye_wire::ipv4::options::{IpOption, OptionBuffer, follow_source_route, record};
use sockeye_wire::tcp::{Flags, OptionIter, SackBlocks, TcpOption};
use sockeye_wire::{EtherType, IpPrefix, MacAddr, Malformed};
use sockeye_wire::{arp, checksum, ethernet, icmpv4, ipv4, tcp, udp};

/// A parser under test.
pub type Exercise = fn(&[u8]);

/// All of them, by the name of their fuzz target and corpus.
pub const ALL: [(&str, Exercise); 17] = [
    ("ethernet", ethernet),
    ("arp", arp),
    ("ipv4", ipv4),
    ("ipv4_options", ipv4_options),
    ("icmpv4", icmpv4),
    ("igmp", igmp),
    ("ipv6", ipv6),
    ("ipv6_extensions", ipv6_extensions),
    ("icmpv6", icmpv6),
    ("ndisc_options", ndisc_options),
    ("ipsec", ipsec),
    ("udp", udp),
    ("udp_lite", udp_lite),
    ("tcp", tcp),
    ("tcp_options", tcp_options),
    ("checksum", checksum),
    ("text", text),
];

const SRC: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
const DST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2));
const SRC6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 1));
const DST6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 2));

/// Ethernet frames, tagged or not.
pub fn ethernet(bytes: &[u8]) {
    let Ok(frame) = ethernet::Frame::parse(bytes) else { return };
    assert_eq!(&bytes[frame.header_len()..][..frame.payload().len()], frame.payload());
    assert!(frame.vlan().is_some() || frame.inner_vlan().is_none());

    let mut copy = vec![0xaa; bytes.len()];
    let mut len = match frame.repr() {
        Some(repr) => {
            assert_eq!(repr.header_len(), frame.header_len());
            repr.emit(&mut copy)
        }
        None => {
            let (outer, inner) = (frame.vlan().unwrap(), frame.inner_vlan().unwrap());
            let repr = ethernet::Repr { dst: frame.dst(), src: frame.src(), vlan: None, ether_type: EtherType::QINQ };
            let mut at = repr.emit(&mut copy);
            at += outer.emit(EtherType::VLAN, &mut copy[at..]);
            at + inner.emit(frame.ether_type(), &mut copy[at..])
        }
    };
    assert_eq!(len, frame.header_len());
    copy[len..][..frame.payload().len()].copy_from_slice(frame.payload());
    len += frame.payload().len();
    let again = ethernet::Frame::parse(&copy[..len]).unwrap();
    assert_eq!((again.dst(), again.src(), again.ether_type()), (frame.dst(), frame.src(), frame.ether_type()));
    assert_eq!((again.vlan(), again.inner_vlan()), (frame.vlan(), frame.inner_vlan()));
    assert_eq!(again.payload(), frame.payload());
}

/// ARP packets.
pub fn arp(bytes: &[u8]) {
    let Ok(repr) = arp::Repr::parse(bytes) else { return };
    let mut copy = [0xaa; arp::LEN];
    assert_eq!(repr.emit(&mut copy), arp::LEN);
    assert_eq!(copy, bytes[..arp::LEN]);
    assert!(!(repr.is_probe() && repr.is_announcement()));
}

/// IPv4 packets, whole and quoted.
pub fn ipv4(bytes: &[u8]) {
    if let Ok(quoted) = ipv4::Packet::parse_quoted(bytes) {
        assert!(quoted.bytes().len() <= bytes.len());
        assert_eq!(quoted.header_len() + quoted.payload().len(), quoted.bytes().len());
    }
    let Ok(packet) = ipv4::Packet::parse(bytes) else { return };
    assert!(ipv4::Packet::parse_quoted(bytes).is_ok());
    assert_eq!(packet.total_len(), packet.bytes().len());
    assert_eq!(packet.header_len() + packet.payload().len(), packet.total_len());
    assert_eq!(packet.options().len() % 4, 0);
    assert_eq!(packet.is_fragment(), packet.more_fragments() || packet.fragment_offset() != 0);

    let repr = packet.repr();
    let mut copy = vec![0xaa; packet.total_len()];
    assert_eq!(repr.header_len(), packet.header_len());
    assert_eq!(repr.emit(packet.payload().len(), &mut copy), packet.header_len());
    copy[packet.header_len()..].copy_from_slice(packet.payload());
    let again = ipv4::Packet::parse(&copy).unwrap();
    assert!(again.verify_checksum());
    assert_eq!(again.repr(), repr);
    assert_eq!(again.payload(), packet.payload());
    if packet.verify_checksum() && bytes[6] & 0x80 == 0 && packet.checksum() != 0xffff {
        assert_eq!(copy, packet.bytes(), "a good header is written as it was read");
    }
}

/// IPv4 options. Two bytes of address and two of time, then up to 40 of options.
pub fn ipv4_options(bytes: &[u8]) {
    let Some((&[a, b, c, d], bytes)) = bytes.split_first_chunk::<4>() else { return };
    let (address, time) = (Ipv4Addr::new(10, 9, a, b), u32::from_be_bytes([0, 0, c, d]));
    let bytes = &bytes[..bytes.len().min(ipv4::options::MAX_LEN)];
    let options = ipv4::options::Options::new(bytes);
    let pointer = 20..=60;
    for option in options.clone() {
        match option {
            Ok(
                IpOption::RecordRoute(route) | IpOption::LooseSourceRoute(route) | IpOption::StrictSourceRoute(route),
            ) => {
                assert!(route.passed().len() + route.remaining().len() <= 9);
                assert!(!route.is_complete() || route.remaining().len() == 0);
            }
            Ok(IpOption::Timestamp(times)) => assert!(times.entries().count() <= 9 && times.overflow() <= 15),
            Ok(IpOption::NoOperation | IpOption::RouterAlert(_) | IpOption::Unknown { .. }) => {}
            Err(error) => assert!(pointer.contains(&error.pointer)),
        }
    }

    // All that is well-formed fits into a header again, and means the same.
    let good: Vec<IpOption<'_>> = options.clone().filter_map(Result::ok).collect();
    let mut buffer = OptionBuffer::new();
    for option in &good {
        buffer.push(option).unwrap();
    }
    let again: Vec<IpOption<'_>> = ipv4::options::Options::new(buffer.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(again, good);

    let fragments = OptionBuffer::for_fragments(bytes);
    assert!(ipv4::options::Options::new(fragments.as_bytes()).all(|option| option.unwrap().is_copied()));

    for option in &good {
        if let Some((_, back)) = OptionBuffer::way_back(option, address) {
            let (IpOption::LooseSourceRoute(route) | IpOption::StrictSourceRoute(route)) = option else { panic!() };
            let mut back = ipv4::options::Options::new(back.as_bytes());
            match back.next() {
                None => assert_eq!(route.passed().len(), 0),
                Some(way) => {
                    let (IpOption::LooseSourceRoute(way) | IpOption::StrictSourceRoute(way)) = way.unwrap() else {
                        panic!("not the same kind of option")
                    };
                    assert_eq!(way.remaining().len(), route.passed().len());
                    assert_eq!(way.remaining().last(), Some(address));
                }
            }
        }
    }

    // Filling in keeps every option where it is.
    let mut copy = bytes.to_vec();
    match record(&mut copy, address, time) {
        Ok(()) => assert!(options.clone().all(|option| option.is_ok())),
        Err(error) => assert!(pointer.contains(&error.pointer)),
    }
    assert_eq!(outlines(&copy), outlines(bytes));
    let mut copy = bytes.to_vec();
    let mut steps = 0;
    while let Ok(Some(_)) = follow_source_route(&mut copy, address) {
        steps += 1;
        assert!(steps <= 9, "a source route ends");
    }
    assert_eq!(outlines(&copy), outlines(bytes));
    if options.clone().validate().is_ok() {
        assert!(options.filter(|option| option.unwrap().is_source_route()).count() <= 1);
    }
}

/// Kind and length of each option, whatever its pointer says.
fn outlines(mut bytes: &[u8]) -> Vec<(u8, u8)> {
    let mut outlines = Vec::new();
    while let &[kind @ 1..=255, ref rest @ ..] = bytes {
        let len = if kind == ipv4::options::NO_OPERATION { 1 } else { rest.first().copied().unwrap_or(0) };
        outlines.push((kind, len));
        bytes = bytes.get(usize::from(len)..).filter(|_| len > 0).unwrap_or(&[]);
    }
    outlines
}

/// ICMPv4 messages, with the checksum that they have and with the right one.
pub fn icmpv4(bytes: &[u8]) {
    icmpv4_as_it_is(bytes);
    if let Err(Malformed::Checksum) = icmpv4::Message::parse(bytes) {
        let mut mended = bytes.to_vec();
        mended[2..4].fill(0);
        let checksum = checksum::sum(&mended).finish();
        mended[2..4].copy_from_slice(&checksum.to_be_bytes());
        assert!(icmpv4_as_it_is(&mended) || mended.len() < icmpv4::TIMESTAMP_LEN);
    }
}

fn icmpv4_as_it_is(bytes: &[u8]) -> bool {
    let Ok(message) = icmpv4::Message::parse(bytes) else { return false };
    assert!(message.total_len() <= bytes.len());
    assert_eq!(message.is_error(), message.original().is_some());
    if let Some(original) = message.original() {
        ipv4(original);
        if let Ok(packet) = ipv4::Packet::parse_quoted(original) {
            let _ = (tcp::Quoted::parse(packet.payload()), udp::Quoted::parse(packet.payload()));
        }
    }
    let mut copy = vec![0xaa; message.total_len()];
    assert_eq!(message.emit(&mut copy), copy.len());
    assert_eq!(icmpv4::Message::parse(&copy), Ok(message));
    let mut head = vec![0xaa; message.header_len()];
    assert_eq!(message.emit_header(&mut head), head.len());
    head.extend_from_slice(message.data());
    assert_eq!(head, copy);
    assert!(!message.to_string().is_empty());
    true
}

/// UDP datagrams in both families.
pub fn udp(bytes: &[u8]) {
    let Ok(datagram) = udp::Datagram::parse(bytes) else { return };
    assert_eq!(datagram.total_len(), udp::HEADER_LEN + datagram.payload().len());
    let quoted = udp::Quoted::parse(bytes).unwrap();
    let repr = datagram.repr();
    assert_eq!((quoted.src_port, quoted.dst_port), (repr.src_port, repr.dst_port));
    if datagram.checksum() == 0 {
        assert!(datagram.verify_checksum(SRC, DST) && !datagram.verify_checksum(SRC6, DST6));
    }

    for (src, dst) in [(SRC, DST), (SRC6, DST6)] {
        let mut copy = vec![0xaa; datagram.total_len()];
        assert_eq!(repr.emit(datagram.payload().len(), &mut copy), udp::HEADER_LEN);
        copy[udp::HEADER_LEN..].copy_from_slice(datagram.payload());
        let mut sum = checksum::pseudo_header(src, dst, 17, copy.len() as u32);
        sum.add(&copy);
        copy[udp::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
        let again = udp::Datagram::parse(&copy).unwrap();
        assert!(again.verify_checksum(src, dst));
        assert_eq!(again.repr(), repr);
        assert_eq!(again.payload(), datagram.payload());
    }
}

/// TCP segments in both families.
pub fn tcp(bytes: &[u8]) {
    let Ok(segment) = tcp::Segment::parse(bytes) else { return };
    assert_eq!(segment.header_len() + segment.payload().len(), bytes.len());
    assert_eq!(segment.options_bytes().len() % 4, 0);
    let quoted = tcp::Quoted::parse(bytes).unwrap();
    let repr = segment.repr();
    assert_eq!((quoted.src_port, quoted.dst_port, quoted.seq), (repr.src_port, repr.dst_port, repr.seq));
    let control = [Flags::SYN, Flags::FIN].iter().filter(|flag| segment.flags().contains(**flag)).count();
    assert_eq!(segment.seq_len() as usize, segment.payload().len() + control);
    tcp_options(segment.options_bytes());

    for (src, dst) in [(SRC, DST), (SRC6, DST6)] {
        let mut copy = vec![0xaa; repr.header_len()];
        assert_eq!(repr.emit(&mut copy), repr.header_len());
        copy.extend_from_slice(segment.payload());
        let mut sum = checksum::pseudo_header(src, dst, 6, copy.len() as u32);
        sum.add(&copy);
        copy[tcp::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish().to_be_bytes());
        let again = tcp::Segment::parse(&copy).unwrap();
        assert!(again.verify_checksum(src, dst));
        let tcp::Repr { options, .. } = again.repr();
        assert_eq!(tcp::Repr { options: repr.options, ..again.repr() }, repr);
        assert_same_options(&repr.options, &options);
        assert_eq!(again.payload(), segment.payload());
    }
    assert!(!repr.to_string().is_empty());
}

/// TCP options: at once, and one by one.
pub fn tcp_options(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(tcp::MAX_OPTIONS_LEN)];
    let options = tcp::Options::parse(bytes);

    // The quick way and the slow way agree.
    let mut slow = tcp::Options::default();
    let mut rewritten = Vec::new();
    let good = || OptionIter::new(bytes).filter_map(Result::ok);
    for option in good() {
        match option {
            TcpOption::MaxSegmentSize(size) => slow.mss = Some(size),
            TcpOption::WindowScale(shift) => slow.window_scale = Some(shift.min(14)),
            TcpOption::SackPermitted => slow.sack_permitted = true,
            TcpOption::Sack(blocks) => slow.sack = blocks,
            TcpOption::Timestamps(timestamps) => slow.timestamps = Some(timestamps),
            _ => {}
        }
        let mut out = [0xaa; tcp::MAX_OPTIONS_LEN];
        let len = option.emit(&mut out);
        assert_eq!(len, option.len());
        rewritten.extend_from_slice(&out[..len]);
    }
    assert_eq!(options, slow);
    assert!(rewritten.len() <= bytes.len());
    assert!(OptionIter::new(&rewritten).map(Result::unwrap).eq(good()));

    let mut out = [0xaa; tcp::MAX_OPTIONS_LEN];
    let len = options.emit(&mut out);
    assert_eq!((len, len % 4), (options.len(), 0));
    assert_eq!(options.is_empty(), len == 0);
    assert_same_options(&options, &tcp::Options::parse(&out[..len]));
}

/// What is read after writing is what was meant, but for SACK blocks that found no room.
fn assert_same_options(meant: &tcp::Options, read: &tcp::Options) {
    assert_eq!(
        tcp::Options { sack: SackBlocks::default(), ..*meant },
        tcp::Options { sack: SackBlocks::default(), ..*read }
    );
    assert!(meant.sack.as_slice().starts_with(read.sack.as_slice()));
    assert!(read.sack == meant.sack || read.len() > tcp::MAX_OPTIONS_LEN - 8);
}

/// The checksum of the bytes in two pieces, against the sum as RFC 1071 writes it; then the update of one word.
pub fn checksum(bytes: &[u8]) {
    let Some((&[cut_high, cut_low, new_high, new_low], bytes)) = bytes.split_first_chunk::<4>() else { return };
    let expected = checksum_by_the_book(bytes);
    assert_eq!(checksum::sum(bytes).finish(), expected);

    let cut = usize::from(u16::from_be_bytes([cut_high, cut_low])) % (bytes.len() + 1);
    let (first, second) = bytes.split_at(cut);
    let mut pieces = checksum::sum(first);
    pieces.add(second);
    assert_eq!(pieces.finish(), expected);
    let mut combined = checksum::sum(first);
    combined.combine(checksum::sum(second));
    assert_eq!(combined.finish(), expected);

    let mut copy = bytes.to_vec();
    if let Some(word) = copy.get_mut(cut & !1..).and_then(|rest| rest.first_chunk_mut::<2>()) {
        let old = u16::from_be_bytes(*word);
        *word = [new_high, new_low];
        if copy.iter().any(|&byte| byte != 0) && bytes.iter().any(|&byte| byte != 0) {
            let new = u16::from_be_bytes([new_high, new_low]);
            assert_eq!(checksum::update(expected, old, new), checksum_by_the_book(&copy));
        }
    }
}

/// The sum, word by word, with the carry added back at once.
pub fn checksum_by_the_book(bytes: &[u8]) -> u16 {
    let mut sum: u16 = 0;
    for word in bytes.chunks(2) {
        let word = u16::from(word[0]) << 8 | word.get(1).copied().map_or(0, u16::from);
        let (added, carry) = sum.overflowing_add(word);
        sum = added + u16::from(carry);
    }
    !sum
}

/// Addresses and prefixes as text.
pub fn text(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Ok(prefix) = text.parse::<IpPrefix>() {
        assert_eq!(prefix.to_string().parse(), Ok(prefix));
        assert!(prefix.contains(prefix.addr()) && prefix.contains(prefix.network().addr()));
        assert!(prefix.network().covers(&prefix) && prefix.network().network() == prefix.network());
        assert!(prefix.broadcast().is_none_or(|broadcast| prefix.contains(broadcast.into())));
    }
    if let Ok(mac) = text.parse::<MacAddr>() {
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }
}
