//! Hosts wired in memory, and traces to read.
//!
//! A [`Host`] is a stack with one port, whose wire is two lists of frames. A test says what arrives and reads what leaves,
//! one line a frame, as [`describe`] writes it; two hosts can be wired together ([`Wire`]). Time passes when a test
//! says so.

mod anycast;
mod autoconf;
mod conflicts;
mod fragments;
mod hostile;
mod icmp;
mod input;
mod ipv6;
mod multicast;
mod neighbors;
mod packet;
mod packet_groups;
mod raw;
mod redirects;
mod routes;
mod sent;
mod udp;
mod udp_lite;

use crate::counters::Drop;
use crate::{Config, Egress, PortConfig, PortId, Stack};
use sockeye_device::{Capabilities, Full, Instant, Offload, RxFrame, TxFrame};
use sockeye_wire::arp::{self, Operation};
use sockeye_wire::icmpv4::Message;
use sockeye_wire::udp::{Datagram, Repr as UdpRepr};
use sockeye_wire::{EtherType, IpPrefix, MacAddr, Protocol, ethernet, ipv4};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn prefix(text: &str) -> IpPrefix {
    text.parse().unwrap()
}

/// Takes frames until it is told to be full.
#[derive(Default)]
struct Taker {
    frames: Vec<(PortId, Vec<u8>, Offload)>,
    room: Option<usize>,
}

impl Egress for Taker {
    fn transmit(&mut self, port: PortId, frame: &TxFrame<'_>) -> Result<(), Full> {
        if self.room.is_some_and(|room| self.frames.len() >= room) {
            return Err(Full);
        }
        let mut bytes = Vec::new();
        frame.gather(&mut bytes);
        self.frames.push((port, bytes, frame.offload));
        Ok(())
    }
}

/// A stack with one port, 10.0.0.1/24.
struct Host {
    stack: Stack,
    port: PortId,
    now: Instant,
    /// Frames that the device takes in one go, if not all.
    room: Option<usize>,
}

impl Host {
    fn new() -> Host {
        Host::with(Config::default(), Capabilities::default(), OUR_MAC, "10.0.0.1/24")
    }

    fn with(config: Config, capabilities: Capabilities, mac: MacAddr, address: &str) -> Host {
        let mut stack = Stack::new(config, [mac.0[5]; 32]);
        let now = Instant::from_millis(1_000);
        let port = stack.add_port(PortConfig { name: "eth0".into(), mac, mtu: 1_500, capabilities });
        stack.add_address(now, port, prefix(address));
        let mut host = Host { stack, port, now, room: None };
        let sent = host.sent();
        assert_eq!(sent.iter().filter(|line| !line.starts_with("arp probe")).count(), 1, "the announcement");
        host.pass(ms(2_010));
        assert_eq!(host.sent().len(), 1, "and the second");
        host
    }

    /// A host that has heard from its peer.
    fn acquainted() -> Host {
        Host::acquainted_with(Config::default())
    }

    fn acquainted_with(config: Config) -> Host {
        let mut host = Host::with(config, Capabilities::default(), OUR_MAC, "10.0.0.1/24");
        host.stack.ip.link(host.now, host.port, PEER.into());
        assert_eq!(host.sent(), ["arp who-has 10.0.0.2 tell 10.0.0.1"]);
        host.arrive(&arp_reply(PEER, PEER_MAC));
        host
    }

    fn arrive(&mut self, frame: &[u8]) {
        self.arrive_with(frame, Offload::default());
    }

    fn arrive_with(&mut self, frame: &[u8], offload: Offload) {
        let mut frame = RxFrame::copied_from(frame, offload);
        self.stack.handle_frame(self.now, self.port, &mut frame);
    }

    fn sent_frames(&mut self) -> Vec<(Vec<u8>, Offload)> {
        let mut taker = Taker { room: self.room, ..Taker::default() };
        self.stack.poll_transmit(self.now, &mut taker);
        taker.frames.into_iter().map(|(_, frame, offload)| (frame, offload)).collect()
    }

    /// What has left since this was last asked, but for what is said to routers about groups.
    fn sent(&mut self) -> Vec<String> {
        let frames = self.sent_frames();
        frames.iter().filter(|(frame, _)| !multicast::is_report(frame)).map(|(frame, _)| describe(frame)).collect()
    }

    /// The same, without ARP.
    fn sent_packets(&mut self) -> Vec<String> {
        self.sent().into_iter().filter(|line| !line.starts_with("arp")).collect()
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.stack.poll_timeout().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
        }
        self.now = end;
        self.stack.handle_timeout(end);
    }

    fn dropped(&self, reason: Drop) -> u64 {
        self.stack.counters().dropped(reason)
    }

    /// Everything that was dropped, by name.
    fn drops(&self) -> Vec<(&'static str, u64)> {
        let drops = self.stack.counters().drops();
        drops.filter(|&(_, count)| count > 0).map(|(reason, count)| (reason.name(), count)).collect()
    }
}

/// Two hosts on one wire: 10.0.0.1 and 10.0.0.2.
struct Wire {
    hosts: [Host; 2],
}

impl Wire {
    fn new() -> Wire {
        let b = Host::with(Config::default(), Capabilities::default(), PEER_MAC, "10.0.0.2/24");
        Wire { hosts: [Host::new(), b] }
    }

    /// Carries frames to and fro until there are none. Returns them, described.
    fn settle(&mut self) -> Vec<String> {
        let mut log = Vec::new();
        loop {
            let before = log.len();
            for (from, to) in [(0, 1), (1, 0)] {
                for (frame, offload) in self.hosts[from].sent_frames() {
                    log.push(format!("{} {}", ["a", "b"][from], describe(&frame)));
                    self.hosts[to].arrive_with(&frame, offload);
                }
            }
            if log.len() == before {
                return log;
            }
        }
    }
}

fn frame(src: MacAddr, dst: MacAddr, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN];
    ethernet::Repr { dst, src, vlan: None, ether_type }.emit(&mut frame);
    frame.extend_from_slice(payload);
    frame
}

fn arp_frame(to: MacAddr, packet: arp::Repr) -> Vec<u8> {
    let mut bytes = [0; arp::LEN];
    packet.emit(&mut bytes);
    frame(packet.sender_mac, to, EtherType::ARP, &bytes)
}

/// `who` asks everybody for `target`.
fn arp_request(who: Ipv4Addr, mac: MacAddr, target: Ipv4Addr) -> Vec<u8> {
    arp_frame(
        MacAddr::BROADCAST,
        arp::Repr {
            operation: Operation::REQUEST,
            sender_mac: mac,
            sender_ip: who,
            target_mac: MacAddr::ZERO,
            target_ip: target,
        },
    )
}

/// `who` tells us that it has `mac`.
fn arp_reply(who: Ipv4Addr, mac: MacAddr) -> Vec<u8> {
    arp_frame(
        OUR_MAC,
        arp::Repr { operation: Operation::REPLY, sender_mac: mac, sender_ip: who, target_mac: OUR_MAC, target_ip: US },
    )
}

/// An IPv4 header from the peer to us.
const FROM_PEER: ipv4::Repr<'static> = ipv4::Repr {
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

fn packet(header: ipv4::Repr<'_>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; header.header_len()];
    header.emit(payload.len(), &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// A frame from the peer to us.
fn ipv4_frame(header: ipv4::Repr<'_>, payload: &[u8]) -> Vec<u8> {
    frame(PEER_MAC, OUR_MAC, EtherType::IPV4, &packet(header, payload))
}

/// A datagram without a checksum.
fn udp_bytes(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    UdpRepr { src_port, dst_port }.emit(payload.len(), &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

fn icmp_bytes(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.total_len()];
    message.emit(&mut bytes);
    bytes
}

fn icmp_frame(message: &Message<'_>) -> Vec<u8> {
    ipv4_frame(ipv4::Repr { protocol: Protocol::ICMP, ..FROM_PEER }, &icmp_bytes(message))
}

fn echo_request(data: &[u8]) -> Vec<u8> {
    icmp_frame(&Message::EchoRequest { ident: 1, seq: 2, data })
}

/// A host is alive if it answers a ping.
fn assert_alive(host: &mut Host) {
    host.sent();
    host.arrive(&arp_reply(PEER, PEER_MAC));
    host.arrive(&echo_request(b"alive?"));
    host.sent();
    host.arrive(&arp_reply(PEER, PEER_MAC));
    host.arrive(&echo_request(b"alive?"));
    let sent = host.sent();
    assert!(sent.iter().any(|line| line.ends_with("echo reply 1/2 len 6")), "{sent:?}");
}

/// One line for a frame.
fn describe(bytes: &[u8]) -> String {
    let frame = ethernet::Frame::parse(bytes).unwrap();
    match frame.ether_type() {
        EtherType::ARP => {
            let arp = arp::Repr::parse(frame.payload()).unwrap();
            match arp.operation {
                _ if arp.is_probe() => format!("arp probe {}", arp.target_ip),
                _ if arp.is_announcement() => format!("arp announce {}", arp.sender_ip),
                Operation::REQUEST if frame.dst().is_broadcast() => {
                    format!("arp who-has {} tell {}", arp.target_ip, arp.sender_ip)
                }
                Operation::REQUEST => format!("arp ({}) who-has {} tell {}", frame.dst(), arp.target_ip, arp.sender_ip),
                _ => format!("arp {} is-at {}", arp.sender_ip, arp.sender_mac),
            }
        }
        EtherType::IPV4 => {
            let packet = ipv4::Packet::parse(frame.payload()).unwrap();
            assert!(packet.verify_checksum());
            describe_packet(&packet)
        }
        EtherType::IPV6 => ipv6::describe_ipv6(&sockeye_wire::ipv6::Packet::parse(frame.payload()).unwrap()),
        other => format!("{other}"),
    }
}

fn describe_packet(packet: &ipv4::Packet<'_>) -> String {
    let (src, dst, payload) = (packet.src(), packet.dst(), packet.payload());
    if packet.is_fragment() {
        let more = if packet.more_fragments() { "+" } else { "" };
        return format!("{src} > {dst} fragment {}..{}{more}", packet.fragment_offset(), {
            usize::from(packet.fragment_offset()) + payload.len()
        });
    }
    let text = match packet.protocol() {
        Protocol::UDP => {
            let datagram = Datagram::parse(payload).unwrap();
            let (from, to) = (datagram.src_port(), datagram.dst_port());
            return format!("{src}:{from} > {dst}:{to} udp len {}", datagram.payload().len());
        }
        Protocol::ICMP => match Message::parse(payload).unwrap() {
            Message::EchoRequest { ident, seq, data } => format!("echo request {ident}/{seq} len {}", data.len()),
            Message::EchoReply { ident, seq, data } => format!("echo reply {ident}/{seq} len {}", data.len()),
            Message::DestinationUnreachable { code, .. } => format!("{code}"),
            Message::TimeExceeded { code, .. } => format!("time exceeded {}", code.0),
            Message::ParameterProblem { pointer, .. } => format!("parameter problem at {pointer}"),
            other => format!("{other:?}"),
        },
        other => format!("{other} len {}", payload.len()),
    };
    format!("{src} > {dst} {text}")
}

fn v4(address: Ipv4Addr) -> IpAddr {
    IpAddr::V4(address)
}
