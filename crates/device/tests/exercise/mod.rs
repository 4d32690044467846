//! What must hold for any frame with any description of what it still lacks: for the kept corpus and the fuzzer alike.
//!
//! A script makes a frame of a stack's kind, or noise; bends it; says how it is to be cut and completed, truly or not;
//! and spreads it over a header and slices. Then it is cut, and put on a bad wire.

#![allow(unreachable_pub, reason = "the fuzz target uses this file in a crate of its own")]
#![allow(clippy::unwrap_used, reason = "a panic is the verdict")]

pub mod script;

use script::Script;
use sockeye_device::segment::Segments;
use sockeye_device::{
    Checksum, Impairer, Impairments, Instant, MAX_SUPER_FRAME, Offload, SegmentKind, Segmentation, TxFrame,
};
use sockeye_wire::ipv6::extension::{Extension, Extensions, Limits};
use sockeye_wire::{EtherType, Protocol, checksum, ethernet, ipv4, ipv6, tcp, udp};
use std::net::IpAddr;
use std::time::Duration;

/// Cutting, completing, and the wire that does both.
pub fn device_segments(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let (mut bytes, honest) = specimen(&mut script);
    let mut bent = false;
    for _ in 0..script.below(5) {
        let (at, value) = (usize::from(script.u8()), script.u8());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
            bent = true;
        }
    }
    if script.below(4) == 3 {
        bytes.truncate(script.length());
        bent = true;
    }
    let (offload, lies) = match script.below(4) {
        0 | 1 => (honest, false),
        _ => (lie(&mut script, honest), true),
    };

    // Where the header ends is the sender's own affair, unless the frame is to be cut.
    let all = offload.segmentation.map(|cut| usize::from(cut.header_len));
    let header_len = if script.below(4) < 3 { all.unwrap_or(bytes.len()) } else { script.length() }.min(bytes.len());
    let (header, payload) = bytes.split_at(header_len);
    let at = script.length().min(payload.len());
    let slices = [&payload[..at], &[][..], &payload[at..]];
    let frame = TxFrame { header, payload: &slices, offload };
    assert_eq!(frame.len(), bytes.len());

    let pieces = cut(&frame, &bytes);
    if !bent && !lies && all.is_none_or(|all| header_len >= all) && bytes.len() <= MAX_SUPER_FRAME {
        assert!(pieces.is_some(), "an honest frame is cut: {offload:?}");
    }
    on_a_bad_wire(&mut script, &frame);
}

/// Cuts a frame and compares the pieces with it; none if its description was found to be a lie.
pub fn cut(frame: &TxFrame<'_>, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut segments = Segments::new(frame).ok()?;
    let count = segments.count();
    assert!(count > 0);
    let (mut pieces, mut piece) = (Vec::new(), vec![0xaa; 7]);
    while segments.next_into(&mut piece).ok()? {
        assert!(pieces.len() < count);
        pieces.push(piece.clone());
    }
    assert!(piece.is_empty() && pieces.len() == count);
    assert_eq!(segments.next_into(&mut piece), Ok(false));

    let Some(cut) = frame.offload.segmentation else {
        assert_eq!(pieces[0].len(), bytes.len());
        let changed = pieces[0].iter().zip(bytes).filter(|(a, b)| a != b).count();
        assert!(changed <= 2, "no more than a checksum is written");
        return Some(pieces);
    };
    let (header_len, size) = (usize::from(cut.header_len), usize::from(cut.size));
    let mut rest = &bytes[header_len..];
    for (index, piece) in pieces.iter().enumerate() {
        let carried = &piece[header_len..];
        assert!(if index + 1 < count { carried.len() == size } else { carried.len() <= size });
        assert_eq!(carried, &rest[..carried.len()]);
        rest = &rest[carried.len()..];
        assert_eq!(piece[..ethernet::HEADER_LEN], bytes[..ethernet::HEADER_LEN]);
        assert_fit_for_a_wire(piece);
    }
    assert!(rest.is_empty());
    Some(pieces)
}

/// Every length and checksum of a TCP segment or UDP datagram in a frame is right, as the parsers see it.
pub fn assert_fit_for_a_wire(piece: &[u8]) {
    let frame = ethernet::Frame::parse(piece).unwrap();
    let (source, destination, protocol, transport): (IpAddr, IpAddr, _, _) = match frame.ether_type() {
        EtherType::IPV4 => {
            let packet = ipv4::Packet::parse(frame.payload()).unwrap();
            assert!(packet.verify_checksum());
            assert_eq!(packet.total_len(), frame.payload().len());
            (packet.src().into(), packet.dst().into(), packet.protocol(), packet.payload())
        }
        _ => {
            let packet = ipv6::Packet::parse(frame.payload()).unwrap();
            assert_eq!(packet.bytes().len(), frame.payload().len());
            let mut destination = packet.dst();
            let mut headers = Extensions::new(&packet, Limits::NONE);
            for header in headers.by_ref() {
                // Options that lie are copied as they are, and do not hinder the cut.
                let Ok(header) = header else { return };
                if let Extension::Routing(routing) = header.extension {
                    destination = routing.final_destination().unwrap_or(destination);
                }
            }
            let upper = headers.end().unwrap();
            (packet.src().into(), destination.into(), upper.protocol, upper.payload)
        }
    };
    match protocol {
        Protocol::TCP => assert!(tcp::Segment::parse(transport).unwrap().verify_checksum(source, destination)),
        Protocol::UDP => {
            let datagram = udp::Datagram::parse(transport).unwrap();
            assert!(datagram.verify_checksum(source, destination) && datagram.checksum() != 0);
            assert_eq!(datagram.total_len(), transport.len());
        }
        other => panic!("{other} was cut"),
    }
}

/// What goes in comes out, is lost, or is refused; and each is counted.
fn on_a_bad_wire(script: &mut Script<'_>, frame: &TxFrame<'_>) {
    let mut percent = || f64::from(script.u8()) / 255.0;
    let impairments = Impairments {
        loss: percent(),
        duplicate: percent(),
        reorder: percent(),
        corrupt: percent(),
        delay: Duration::from_micros(u64::from(script.u16())),
        jitter: Duration::from_micros(u64::from(script.u16())),
        rate: script.choose(&[None, Some(0), Some(1_000_000)]),
        limit: script.length(),
        ..Impairments::default()
    };
    let mut wire = Impairer::new(impairments, u64::from(script.u16()));
    let mut now = Instant::from_millis(1);
    for _ in 0..3 {
        wire.push(now, frame);
    }
    let (mut popped, longest) = (0, frame.len());
    while let Some(next) = wire.poll_timeout() {
        assert!(next <= now || wire.pop(now).is_none(), "a frame comes before its time");
        now = now.max(next);
        while let Some(bytes) = wire.pop(now) {
            assert!(bytes.len() <= longest);
            popped += 1;
            wire.recycle(bytes);
        }
    }
    assert!(wire.is_empty());
    let counters = wire.counters();
    assert_eq!(counters.delivered, popped);
    assert_eq!(counters.offered + counters.duplicated, popped + counters.lost + counters.overflowed);
}

/// A frame as a stack would hand it to a device, with what it would say of it; or noise.
fn specimen(script: &mut Script<'_>) -> (Vec<u8>, Offload) {
    let kind = script.below(4);
    if kind == 3 {
        let len = script.length();
        return (script.bytes(len).to_vec(), Offload::default());
    }
    let v6 = script.below(4) == 3;
    let tags = script.below(3);
    let options = usize::from(script.below(11)) * 4;
    let size = 1 + script.u16() % 4_000;
    let count = if script.below(8) == 7 { usize::from(script.u16()) } else { usize::from(script.u8()) * 8 };

    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for _ in 0..tags {
        bytes.extend([0x81, 0x00, 0x00, 0x05]);
    }
    let (protocol, transport_len, field) = if kind == 2 { (17, 8, 6) } else { (6, 20 + options, 16) };
    let room = usize::from(u16::MAX) - 60 - transport_len;
    let payload: Vec<u8> = (0..count.min(room)).map(|at| (at * 7 + at / 251) as u8).collect();
    let len = transport_len + payload.len();
    let network = bytes.len() + 2;
    if v6 {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        bytes.extend((len as u16).to_be_bytes());
        bytes.extend([protocol, 64]);
        for last in [1, 2] {
            bytes.extend([0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
    } else {
        bytes.extend([0x08, 0x00, 0x45, 0]);
        bytes.extend(((20 + len) as u16).to_be_bytes());
        bytes.extend([0xff, 0xfe, 0x40, 0, 64, protocol, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
        let sum = checksum::sum(&bytes[network..]).finish();
        bytes[network + 10..network + 12].copy_from_slice(&sum.to_be_bytes());
    }
    let transport = bytes.len();
    let mut header = vec![0; transport_len];
    header[..4].copy_from_slice(&[0x30, 0x39, 0, 80]);
    if kind == 2 {
        header[4..6].copy_from_slice(&(len as u16).to_be_bytes());
    } else {
        header[4..8].copy_from_slice(&[0xff, 0xff, 0xff, script.u8()]);
        header[12] = ((transport_len / 4) as u8) << 4;
        header[13] = script.u8();
        header[18] = script.below(16);
        header[20..].fill(1);
    }
    let addresses = if v6 { network + 8..network + 40 } else { network + 12..network + 20 };
    let mut sum = checksum::sum(&bytes[addresses]);
    sum.add_u16(u16::from(protocol));
    sum.add_u16(len as u16);
    header[field..field + 2].copy_from_slice(&(!sum.finish()).to_be_bytes());
    bytes.extend(header);
    let header_len = bytes.len() as u16;
    bytes.extend(payload);

    let kind = match (kind, v6) {
        (2, _) => SegmentKind::Udp,
        (_, false) => SegmentKind::TcpV4,
        (_, true) => SegmentKind::TcpV6,
    };
    let checksum = Checksum::Partial { start: transport as u16, offset: field as u16 };
    let segmentation = (script.below(4) > 0).then_some(Segmentation { kind, size, header_len });
    (bytes, Offload { checksum, segmentation })
}

/// Some of it wrong, or all.
fn lie(script: &mut Script<'_>, honest: Offload) -> Offload {
    let checksum = match script.below(4) {
        0 => honest.checksum,
        1 => Checksum::Present,
        2 => Checksum::Verified,
        _ => Checksum::Partial { start: script.length() as u16, offset: script.length() as u16 },
    };
    let kind = script.choose(&[SegmentKind::TcpV4, SegmentKind::TcpV6, SegmentKind::Udp]);
    let segmentation = match script.below(4) {
        0 => honest.segmentation,
        1 => None,
        2 => honest.segmentation.map(|cut| Segmentation { size: script.u16(), ..cut }),
        _ => Some(Segmentation { kind, size: script.length() as u16, header_len: script.length() as u16 }),
    };
    Offload { checksum, segmentation }
}
