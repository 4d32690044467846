//! What the script's peer and strangers send: good frames, near what the host expects, and bent ones.

use super::super::device::script::Script;
use sockeye_device::{Checksum, Offload, SegmentKind, Segmentation};
use sockeye_wire::arp::{self, Operation};
use sockeye_wire::icmpv4::Message;
use sockeye_wire::{EtherType, IpPrefix, MacAddr, Protocol, checksum, ethernet, ipv4};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Host;

pub(super) const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(super) const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub(super) const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);
pub(super) const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(super) const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
pub(super) const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
pub(super) const MACS: [MacAddr; 5] = [OUR_MAC, PEER_MAC, OTHER_MAC, MacAddr::BROADCAST, MacAddr::ZERO];
pub(super) const ADDRESSES: [Ipv4Addr; 8] = [
    US,
    PEER,
    OTHER,
    FAR,
    Ipv4Addr::new(10, 0, 0, 255),
    Ipv4Addr::BROADCAST,
    Ipv4Addr::UNSPECIFIED,
    Ipv4Addr::new(224, 0, 0, 1),
];
/// With every header there is, this makes a packet.
pub(super) const MAX_PAYLOAD: usize = 65_000;

impl Host {
    /// A frame that could have come, and then perhaps not quite.
    pub(super) fn frame(&mut self, script: &mut Script<'_>) -> Vec<u8> {
        let mut frame = self.good_frame(script);
        for _ in 0..script.below(8).saturating_sub(4) {
            let (at, value) = (usize::from(script.u8()), script.u8());
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        if script.below(8) == 7 {
            frame.truncate(script.length());
        }
        if script.below(4) < 3 {
            mend(&mut frame);
        }
        frame
    }

    fn good_frame(&mut self, script: &mut Script<'_>) -> Vec<u8> {
        match script.below(12) {
            0 => {
                let operation = Operation(script.u8().into());
                let (sender_mac, sender_ip) = (script.choose(&MACS), script.choose(&ADDRESSES));
                let (target_mac, target_ip) = (script.choose(&MACS), script.choose(&ADDRESSES));
                arp_frame(
                    script.choose(&MACS),
                    PEER_MAC,
                    arp::Repr { operation, sender_mac, sender_ip, target_mac, target_ip },
                )
            }
            1 => {
                let data = vec![b'p'; script.length().min(MAX_PAYLOAD)];
                let (ident, seq) = (script.u16(), script.u16());
                let reply = script.below(4) == 3;
                let message = if reply {
                    Message::EchoReply { ident, seq, data: &data }
                } else {
                    Message::EchoRequest { ident, seq, data: &data }
                };
                icmp_frame(script, &message)
            }
            2 => {
                // About something that the host has sent.
                let count = self.sent.len().max(1);
                let which = usize::from(script.u8()) % count;
                let mut original = self.sent.get(which).cloned().unwrap_or_default();
                original.truncate(script.choose(&[28, 60, 548, 20, 27]));
                let (kind, code) = (script.choose(&[3, 11, 12, 5, 4]), script.below(16));
                let mut message = vec![kind, code, 0, 0];
                message.extend(script.u16().to_be_bytes());
                message.extend(script.u16().to_be_bytes());
                message.extend(original);
                ipv4_frame(script, Protocol::ICMP, &message)
            }
            3 => {
                let (from, to) = (script.choose(&[53, 5_353, 0]), script.choose(&[53, 1_000, 9, 0]));
                let payload = vec![b'q'; script.length().min(MAX_PAYLOAD)];
                let mut datagram = vec![0; 8];
                sockeye_wire::udp::Repr { src_port: from, dst_port: to }.emit(payload.len(), &mut datagram);
                datagram.extend(payload);
                ipv4_frame(script, Protocol::UDP, &datagram)
            }
            4..8 => self.segment(script),
            8 => {
                let payload = vec![script.u8(); script.length().min(MAX_PAYLOAD)];
                let header = ipv4::Repr {
                    id: script.below(4).into(),
                    fragment_offset: u16::from(script.u8()) * script.choose(&[8, 64, 256]),
                    more_fragments: script.below(2) == 0,
                    protocol: script.choose(&[Protocol::UDP, Protocol::TCP, Protocol::ICMP, Protocol(99)]),
                    tos: script.below(4),
                    ..FROM_PEER
                };
                link_frame(EtherType::IPV4, &packet(header, &payload))
            }
            9 => {
                let ether_type = script.choose(&[EtherType::IPV4, EtherType::ARP, EtherType::VLAN, EtherType::IPV6]);
                if ether_type == EtherType::IPV6 && script.below(4) > 0 {
                    return neighbor_frame(script);
                }
                let len = script.length();
                link_frame(ether_type, script.bytes(len))
            }
            10 => {
                // What the host has sent comes back, as from the peer.
                let count = self.sent.len().max(1);
                let which = usize::from(script.u8()) % count;
                link_frame(EtherType::IPV4, self.sent.get(which).map_or(&[], |packet| packet))
            }
            _ => {
                let len = usize::from(script.below(41));
                let mut options = script.bytes(len).to_vec();
                options.resize(options.len().next_multiple_of(4), 0);
                let message = [8, 0, 0, 0, 0, 1, 0, 1];
                link_frame(
                    EtherType::IPV4,
                    &packet(ipv4::Repr { protocol: Protocol::ICMP, options: &options, ..FROM_PEER }, &message),
                )
            }
        }
    }

    /// A segment near what the host expects, on a flow that it knows or not.
    fn segment(&mut self, script: &mut Script<'_>) -> Vec<u8> {
        let (local, remote) = match script.below(8) {
            0..3 => {
                let flow = self.connections.first().and_then(|&id| self.stack.tcp_addresses(id));
                (flow.map_or(40_000, |flow| flow.local.port()), 80)
            }
            3..6 => (80, 5_000),
            6 => (80, 6_000 + u16::from(script.below(8))),
            _ => (u16::from(script.u8()), u16::from(script.u8())),
        };
        let said = self.said.get(&(local, remote)).copied().unwrap_or_default();
        let payload = vec![b's'; script.length().min(MAX_PAYLOAD)];
        let options = match script.below(6) {
            0 | 1 => Vec::new(),
            2 | 3 => {
                let value = (self.now.as_millis() as u32).wrapping_add(near(script));
                let mut options = vec![1, 1, 8, 10];
                options.extend(value.to_be_bytes());
                options.extend(said.timestamp.wrapping_add(near(script)).to_be_bytes());
                options
            }
            4 => {
                let count = 1 + usize::from(script.below(4));
                let mut options = vec![1, 1, 5, 2 + 8 * count as u8];
                for _ in 0..count {
                    let start = said.end.wrapping_sub(near(script));
                    options.extend(start.to_be_bytes());
                    options.extend(start.wrapping_add(near(script)).to_be_bytes());
                }
                options
            }
            _ => {
                let len = usize::from(script.below(41));
                script.bytes(len).to_vec()
            }
        };
        let mut options = options;
        options.resize(options.len().next_multiple_of(4), 0);
        let flags = match script.below(4) {
            0 | 1 => 0x10,
            2 => 0x18 | script.u8() & 0x21,
            _ => script.u8(),
        };
        let mut segment = Vec::new();
        segment.extend(remote.to_be_bytes());
        segment.extend(local.to_be_bytes());
        segment.extend(said.ack.wrapping_add(near(script)).to_be_bytes());
        segment.extend(said.end.wrapping_add(near(script)).to_be_bytes());
        segment.extend([((20 + options.len()) * 4) as u8, flags]);
        segment.extend(script.u16().to_be_bytes());
        segment.extend([0, 0]);
        segment.extend(u16::from(script.u8()).to_be_bytes());
        segment.extend(options);
        segment.extend(payload);
        link_frame(EtherType::IPV4, &packet(ipv4::Repr { protocol: Protocol::TCP, ..FROM_PEER }, &segment))
    }
}

pub(super) const PONG: Message<'static> = Message::EchoReply { ident: 0xa11e, seq: 7, data: b"alive?" };

pub(super) const FROM_PEER: ipv4::Repr<'static> = ipv4::Repr {
    src: PEER,
    dst: US,
    protocol: Protocol::UDP,
    ttl: 64,
    tos: 0,
    id: 7,
    dont_fragment: false,
    more_fragments: false,
    fragment_offset: 0,
    options: &[],
};

pub(super) fn prefix() -> IpPrefix {
    "10.0.0.1/24".parse().unwrap()
}

/// Mostly none at all, sometimes a few, seldom anything.
pub(super) fn near(script: &mut Script<'_>) -> u32 {
    match script.below(8) {
        0..4 => 0,
        4 => u32::from(script.u8()),
        5 => u32::from(script.u8()).wrapping_neg(),
        6 => u32::from(script.u16()),
        _ => u32::from(script.u16()) << 16 | u32::from(script.u16()),
    }
}

pub(super) fn offload(script: &mut Script<'_>) -> Offload {
    let checksum = match script.below(8) {
        6 => Checksum::Verified,
        7 => Checksum::Partial { start: script.u16(), offset: script.u16() },
        _ => Checksum::Present,
    };
    let kind = script.choose(&[SegmentKind::TcpV4, SegmentKind::TcpV6, SegmentKind::Udp]);
    let segmentation =
        (script.below(8) == 7).then(|| Segmentation { kind, size: script.u16(), header_len: script.u16() });
    Offload { checksum, segmentation }
}

pub(super) fn link_frame(ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN];
    ethernet::Repr { dst: OUR_MAC, src: PEER_MAC, vlan: None, ether_type }.emit(&mut frame);
    frame.extend_from_slice(payload);
    frame
}

pub(super) fn arp_frame(dst: MacAddr, src: MacAddr, packet: arp::Repr) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN + arp::LEN];
    ethernet::Repr { dst, src, vlan: None, ether_type: EtherType::ARP }.emit(&mut frame);
    packet.emit(&mut frame[ethernet::HEADER_LEN..]);
    frame
}

pub(super) fn arp_reply(ip: Ipv4Addr, mac: MacAddr) -> Vec<u8> {
    let (operation, target_mac, target_ip) = (Operation::REPLY, OUR_MAC, US);
    arp_frame(OUR_MAC, mac, arp::Repr { operation, sender_mac: mac, sender_ip: ip, target_mac, target_ip })
}

pub(super) fn packet(header: ipv4::Repr<'_>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; header.header_len()];
    header.emit(payload.len(), &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

pub(super) fn icmp_frame(script: &mut Script<'_>, message: &Message<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.total_len()];
    message.emit(&mut bytes);
    ipv4_frame(script, Protocol::ICMP, &bytes)
}

/// From and to anybody, mostly from the peer to us.
pub(super) fn ipv4_frame(script: &mut Script<'_>, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let (mut src, mut dst) = (PEER, US);
    if script.below(4) == 3 {
        (src, dst) = (script.choose(&ADDRESSES), script.choose(&ADDRESSES));
    }
    let mut frame = link_frame(EtherType::IPV4, &packet(ipv4::Repr { protocol, src, dst, ..FROM_PEER }, payload));
    if script.below(8) == 7 {
        frame[..6].copy_from_slice(&script.choose(&MACS).0);
    }
    frame
}

/// What a router or a neighbour says of itself over IPv6, or something near it: prefixes, addresses, lifetimes.
pub(super) fn neighbor_frame(script: &mut Script<'_>) -> Vec<u8> {
    let address = |script: &mut Script<'_>| -> Ipv6Addr {
        let addresses = ["fe80::2", "fe80::1", "2001:db8::1", "ff02::1", "::", "ff02::1:ff00:1"];
        script.choose(&addresses).parse().unwrap()
    };
    let (source, destination) = (address(script), address(script));
    let mut message = vec![script.choose(&[134, 135, 136, 137, 130]), 0, 0, 0];
    let mut words = |message: &mut Vec<u8>, count: u8| {
        (0..count).for_each(|_| message.extend(script.choose(&[0, 1, 64, u32::MAX, 1_800, 7_200]).to_be_bytes()));
    };
    match message[0] {
        134 => {
            words(&mut message, 3);
            for _ in 0..2 {
                // A prefix, of which addresses may be made, and for how long.
                message.extend([3, 4, 64, 0xc0]);
                words(&mut message, 3);
                message.extend(Ipv6Addr::new(0x2001, 0xdb8, message.len() as u16, 0, 0, 0, 0, 0).octets());
            }
            message.extend([1, 1, 2, 0, 0, 0, 0, 2, 5, 1, 0, 0]);
            words(&mut message, 1);
        }
        _ => {
            words(&mut message, 1);
            message.extend(source.octets());
            message.extend([2, 1, 2, 0, 0, 0, 0, 2]);
        }
    }
    let mut packet = vec![0x60, 0, 0, 0, 0, message.len() as u8, 58, 255];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let pseudo = checksum::pseudo_header(source.into(), destination.into(), 58, message.len() as u32);
    let len = message.len();
    put(&mut message, 2, 0..len, pseudo);
    packet.extend(message);
    let mut frame = link_frame(EtherType::IPV6, &packet);
    if destination.is_multicast() {
        frame[..2].copy_from_slice(&[0x33, 0x33]);
        frame[2..6].copy_from_slice(&destination.octets()[12..]);
    }
    frame
}

pub(super) fn tcp_frame(header: sockeye_wire::tcp::Repr, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; header.header_len()];
    header.emit(&mut segment);
    segment.extend_from_slice(payload);
    let mut frame = link_frame(EtherType::IPV4, &packet(ipv4::Repr { protocol: Protocol::TCP, ..FROM_PEER }, &segment));
    mend(&mut frame);
    frame
}

/// Mends the checksums of an IPv4 frame and what it carries, so that what lies behind them is reached.
pub(super) fn mend(frame: &mut [u8]) {
    const START: usize = ethernet::HEADER_LEN;
    if frame.len() < START + ipv4::HEADER_LEN || frame[12..START] != [8, 0] {
        return;
    }
    let transport = START + usize::from(frame[START] & 15) * 4;
    let end = frame.len().min(START + usize::from(u16::from_be_bytes([frame[16], frame[17]])));
    if transport < START + ipv4::HEADER_LEN || end < transport {
        return;
    }
    put(frame, START + ipv4::CHECKSUM_OFFSET, START..transport, checksum::Sum::default());
    let protocol = frame[START + 9];
    let [source, destination] = [26, 30].map(|at: usize| {
        let octets: [u8; 4] = frame[at..at + 4].try_into().unwrap();
        Ipv4Addr::from(octets)
    });
    let pseudo = checksum::pseudo_header(source.into(), destination.into(), protocol, (end - transport) as u32);
    match Protocol(protocol) {
        Protocol::ICMP => put(frame, transport + 2, transport..end, checksum::Sum::default()),
        Protocol::UDP => put(frame, transport + 6, transport..end, pseudo),
        Protocol::TCP => put(frame, transport + 16, transport..end, pseudo),
        _ => {}
    }
}

pub(super) fn put(frame: &mut [u8], at: usize, covered: std::ops::Range<usize>, mut sum: checksum::Sum) {
    if at + 2 > covered.end {
        return;
    }
    frame[at..at + 2].fill(0);
    sum.add(&frame[covered]);
    frame[at..at + 2].copy_from_slice(&sum.finish().to_be_bytes());
}
