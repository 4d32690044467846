use std::net::{Ipv4Addr, Ipv6Addr};

use sockeye_wire::ipv6::extension::Fragment;
use sockeye_wire::ndisc::{self, NdOption, Options};
use sockeye_wire::{MacAddr, ethernet, tcp};

use super::*;

const ENDS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
const ENDS6: [Ipv6Addr; 2] = [Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2)];

/// A frame of the one family and one of the other, which carry the same from the first end to the second.
fn frames(protocol: Protocol, payload: &[u8]) -> [Vec<u8>; 2] {
    let mut packet = vec![0; ipv4::HEADER_LEN];
    let header = ipv4::Repr {
        src: ENDS[0],
        dst: ENDS[1],
        protocol,
        ttl: 64,
        tos: 0,
        id: 7,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        options: &[],
    };
    header.emit(payload.len(), &mut packet);
    [framed(EtherType::IPV4, &[&packet[..], payload].concat()), frame6(protocol, payload)]
}

fn frame6(next_header: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut packet = [0; ipv6::HEADER_LEN];
    let [src, dst] = ENDS6;
    let header = ipv6::Repr { src, dst, next_header, hop_limit: 64, traffic_class: 0, flow_label: 0 };
    header.emit(payload.len(), &mut packet);
    framed(EtherType::IPV6, &[&packet[..], payload].concat())
}

fn framed(ether_type: EtherType, packet: &[u8]) -> Vec<u8> {
    let mut header = [0; 14];
    ethernet::Repr { dst: MacAddr([2; 6]), src: MacAddr([4; 6]), vlan: None, ether_type }.emit(&mut header);
    [&header[..], packet].concat()
}

/// What a trace says of the first so many bytes of a frame.
fn said(frame: &[u8], at_hand: usize) -> String {
    let mut tracer = Tracer::default();
    tracer.add_listener();
    tracer.frame(Instant::ZERO, Direction::Out, &frame[..at_hand.min(frame.len())], frame.len());
    let text = tracer.take();
    text.trim().split_once(' ').map_or_else(String::new, |(_, said)| said.trim().to_owned())
}

/// The same of both families, if its addresses are taken for `A` and `B`.
fn said_of_both(protocol: Protocol, payload: &[u8]) -> String {
    let [four, six] = frames(protocol, payload).map(|frame| said(&frame, HEADERS));
    let four = four.replace("10.0.0.1", "A").replace("10.0.0.2", "B");
    let six = six.replace("[fd00::1]", "A").replace("[fd00::2]", "B").replace("fd00::1", "A").replace("fd00::2", "B");
    assert_eq!(four, six);
    four
}

#[test]
fn segments_and_datagrams_are_told_alike_in_both_families() {
    let options = tcp::Options { mss: Some(1440), ..tcp::Options::default() };
    let segment = tcp::Repr {
        src_port: 4000,
        dst_port: 80,
        seq: SeqNumber(99),
        ack: SeqNumber(0),
        flags: Flags::SYN,
        window: 512,
        urgent: 0,
        options,
    };
    let mut bytes = vec![0; segment.header_len()];
    segment.emit(&mut bytes);
    assert_eq!(said_of_both(Protocol::TCP, &bytes), "> tcp A:4000 > B:80 SYN seq 0 win 512 <mss 1440>");
    // More than is at hand.
    let mut datagram = vec![0; 1000];
    udp::Repr { src_port: 53, dst_port: 4000 }.emit(992, &mut datagram);
    assert_eq!(said_of_both(Protocol::UDP, &datagram), "> udp A:53 > B:4000, 992 bytes");
    assert_eq!(said_of_both(Protocol::UDP, &datagram[..5]), "> UDP A > B, 5 bytes");
    assert_eq!(said_of_both(Protocol::TCP, &[0; 19]), "> TCP A > B, 19 bytes");
    assert_eq!(said_of_both(Protocol::GRE, &[0; 30]), "> GRE A > B, 30 bytes");
    // The other family's.
    assert_eq!(said(&frames(Protocol::ICMPV6, &[0; 8])[0], HEADERS), "> ICMPv6 10.0.0.1 > 10.0.0.2, 8 bytes");
    assert_eq!(said(&frames(Protocol::ICMP, &[0; 8])[1], HEADERS), "> ICMP fd00::1 > fd00::2, 8 bytes");
}

#[test]
fn neighbours_and_echoes_are_told() {
    let mut options = [0; 8];
    let options = Options::write(&[NdOption::SourceLinkLayer(MacAddr([4; 6]))], &mut options);
    let asks = icmpv6::Message::Discovery(ndisc::Message::NeighborSolicitation { target: ENDS6[1], options });
    let echo = icmpv6::Message::EchoRequest { ident: 7, seq: 1, data: &[0; 900] };
    for (message, expected) in [
        (asks, "> icmp6 fd00::1 > fd00::2 who has fd00::2?, says 04:04:04:04:04:04"),
        (echo, "> icmp6 fd00::1 > fd00::2 echo request id 7 seq 1 of 900 bytes"),
    ] {
        let mut bytes = vec![0; message.total_len()];
        message.emit(ENDS6[0], ENDS6[1], &mut bytes);
        assert_eq!(said(&frame6(Protocol::ICMPV6, &bytes), usize::MAX), expected);
    }
    // Of what is not all at hand the sum cannot be judged.
    let mut bytes = vec![0; echo.total_len()];
    echo.emit(ENDS6[0], ENDS6[1], &mut bytes);
    assert_eq!(said(&frame6(Protocol::ICMPV6, &bytes), HEADERS), "> ICMPv6 fd00::1 > fd00::2, 908 bytes");
}

#[test]
fn headers_between_are_passed_over_and_hostile_ones_harm_nobody() {
    let mut datagram = [0; 16];
    udp::Repr { src_port: 1, dst_port: 2 }.emit(8, &mut datagram);
    // Destination options of padding.
    let options = [&[Protocol::UDP.0, 0, 1, 4, 0, 0, 0, 0], &datagram[..]].concat();
    let frame = frame6(Protocol::DESTINATION_OPTIONS, &options);
    assert_eq!(said(&frame, HEADERS), "> udp [fd00::1]:1 > [fd00::2]:2, 8 bytes");
    let Fragment { offset, more, id } = Fragment { offset: 1232, more: false, id: 9 };
    let piece =
        [&[Protocol::UDP.0, 0][..], &(offset | u16::from(more)).to_be_bytes(), &u32::to_be_bytes(id), &datagram];
    let frame = frame6(Protocol::FRAGMENT, &piece.concat());
    assert_eq!(said(&frame, HEADERS), "> UDP fd00::1 > fd00::2 fragment at 1232, 16 bytes");
    // Longer than there is.
    let frame = frame6(Protocol::DESTINATION_OPTIONS, &[Protocol::UDP.0, 200, 1, 4, 0, 0, 0, 0]);
    assert_eq!(said(&frame, HEADERS), "> destination options fd00::1 > fd00::2, 8 bytes");
    for end in 0..frame.len() {
        said(&frame, end);
    }
}
