use super::extension::HeaderOption;
use super::*;

/// A ping from Linux to a group, with a flow label.
#[rustfmt::skip]
const PACKET: [u8; 48] = [
    0x60, 0x0e, 0x47, 0x31, 0x00, 0x08, 0x3a, 0x01,
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1,
    0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    0x80, 0x00, 0x35, 0x5a, 0x12, 0x34, 0x00, 0x01,
];

fn repr() -> Repr {
    Repr {
        src: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1),
        dst: ALL_NODES,
        next_header: Protocol::ICMPV6,
        hop_limit: 1,
        traffic_class: 0,
        flow_label: 0xe_4731,
    }
}

fn with(change: impl FnOnce(&mut [u8; 48])) -> Result<usize, Malformed> {
    let mut bytes = PACKET;
    change(&mut bytes);
    Packet::parse(&bytes).map(|packet| packet.payload().len())
}

#[test]
fn fields() {
    let packet = Packet::parse(&PACKET).unwrap();
    assert_eq!(packet.repr(), repr());
    assert_eq!((packet.payload(), packet.bytes()), (&PACKET[40..], &PACKET[..]));
    let mut bytes = [0xaa; 48];
    assert_eq!(repr().emit(8, &mut bytes), 40);
    assert_eq!(bytes[..40], PACKET[..40]);
}

#[test]
fn class_and_label_share_words() {
    let mut bytes = PACKET;
    for class in [0, 0x01, 0x2e << 2, 0xf0, 0xff] {
        for label in [0, 1, 0x8_0000, MAX_FLOW_LABEL] {
            let meant = Repr { traffic_class: class, flow_label: label, ..repr() };
            meant.emit(8, &mut bytes);
            assert_eq!(Packet::parse(&bytes).map(|packet| packet.repr()), Ok(meant));
        }
    }
    let marked = Repr { traffic_class: 3, ..repr() };
    assert_eq!(marked.to_string(), "fe80::ff:fe00:1 > ff02::1 ICMPv6 hop limit 1 class 0x03 flow 0xe4731");
}

#[test]
fn lying_lengths_are_refused() {
    for len in 0..=u16::MAX {
        let expected = if len <= 8 { Ok(usize::from(len)) } else { Err(Malformed::TotalLength) };
        assert_eq!(with(|bytes| bytes[4..6].copy_from_slice(&len.to_be_bytes())), expected, "payload length {len}");
    }
    for version in (0..=15).filter(|&version| version != 6) {
        assert_eq!(with(|bytes| bytes[0] = version << 4), Err(Malformed::Version));
    }
    for len in 0..PACKET.len() {
        let expected = if len < 40 { Malformed::Truncated } else { Malformed::TotalLength };
        assert_eq!(Packet::parse(&PACKET[..len]).unwrap_err(), expected);
    }
    let padded = [&PACKET[..], &[0xee; 12]].concat();
    assert_eq!(Packet::parse(&padded).unwrap().bytes(), PACKET);
}

/// Bad input D7.
#[test]
fn quoted_packets_may_be_cut_in_the_payload_only() {
    for len in 0..PACKET.len() {
        match Packet::parse_quoted(&PACKET[..len]) {
            Ok(packet) => assert_eq!((packet.payload(), packet.payload_len()), (&PACKET[40..len], 8)),
            Err(reason) => assert_eq!((len < 40, reason), (true, Malformed::Truncated)),
        }
    }
    let extended = [&PACKET[..], &[0xee; 12]].concat();
    assert_eq!(Packet::parse_quoted(&extended).unwrap().payload(), &PACKET[40..], "what follows is no part of it");
}

/// A packet of `payload_len` bytes behind the fixed header, hop-by-hop options among them, that says 0.
fn jumbogram(options: &[HeaderOption<'_>], payload_len: usize) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN + payload_len];
    let repr = Repr { next_header: Protocol::HOP_BY_HOP, ..repr() };
    repr.emit(0, &mut bytes);
    extension::Repr::HopByHop(options).emit(Protocol::UDP, &mut bytes[HEADER_LEN..]);
    bytes
}

#[test]
fn jumbograms() {
    const LEN: u32 = 70_000;
    let whole = jumbogram(&[HeaderOption::JumboPayload(LEN)], LEN as usize);
    let packet = Packet::parse(&whole).unwrap();
    assert_eq!((packet.payload_len(), packet.payload().len()), (0, LEN as usize));
    let padded = [&whole[..], &[0; 9]].concat();
    assert_eq!(Packet::parse(&padded).unwrap().payload().len(), LEN as usize);
    assert_eq!(Packet::parse(&whole[..whole.len() - 1]).unwrap_err(), Malformed::TotalLength);
    assert_eq!(Packet::parse_quoted(&whole[..1232]).unwrap().payload().len(), 1192);

    let mut again = vec![0xaa; 40];
    packet.repr().emit(LEN as usize, &mut again);
    assert_eq!(again, whole[..40]);

    // Without the option there is no payload, whatever the link delivered.
    let nothing = jumbogram(&[HeaderOption::RouterAlert(0)], 100);
    assert_eq!(Packet::parse(&nothing).unwrap().payload().len(), 0);
    let without_payload = Repr { next_header: Protocol::NO_NEXT_HEADER, ..repr() };
    let mut bytes = [0; 50];
    without_payload.emit(0, &mut bytes);
    assert_eq!(Packet::parse(&bytes).unwrap().payload(), []);
}

#[test]
#[should_panic(expected = "a payload that fits a packet")]
fn a_payload_too_long_is_not_cut_silently() {
    repr().emit(65_536, &mut [0; 40]);
}
