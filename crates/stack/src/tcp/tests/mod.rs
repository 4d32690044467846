//! TCP as a trace: what the peer sends, what we send, and when.
//!
//! The peer is 10.0.0.2:4321 and its numbers begin at [`PEER`]; ours at [`US`], whatever the true one is: the harness
//! subtracts it. `rx!` gives the stack a segment, `tx!` takes the next one that it has sent and compares, `silent!`
//! asserts that it has sent nothing more. Times are in milliseconds since the connection's first segment.

mod closing;
mod data;
mod filter;
mod heard;
mod hostile;
mod joined;
mod opening;
mod prediction;
mod timing;

use super::{ConnectionId, ListenerId, Options, State, Status};
use crate::bind::Bind;
use crate::port::{PortConfig, PortId};
use crate::{Config, Egress, Stack};
use sockeye_device::{Capabilities, Checksum, Full, Instant, Offload, RxFrame, TxFrame};
use sockeye_wire::tcp::{self, Flags, Segment, Timestamps};
use sockeye_wire::{
    EtherType, IpPrefix, MacAddr, Protocol, SeqNumber, arp, checksum, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndisc,
};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(super) const OUR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const PEER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(super) const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(super) const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub(super) const OUR_PORT: u16 = 80;
pub(super) const PEER_PORT: u16 = 4321;
/// The largest packet of the wire between them.
const MTU: u16 = 1_500;
/// The peer's initial sequence number.
pub(super) const PEER: u32 = 7_000;
/// Ours, as the traces write it.
pub(super) const US: u32 = 1_000;

pub(super) const SYN: Flags = Flags::SYN;
pub(super) const ACK: Flags = Flags::ACK;
pub(super) const FIN: Flags = Flags::FIN;
pub(super) const RST: Flags = Flags::RST;
pub(super) const PSH: Flags = Flags::PSH;
pub(super) const URG: Flags = Flags::URG;

/// A segment, as the traces write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seg {
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) urgent: u16,
    pub(super) data: Vec<u8>,
    pub(super) options: tcp::Options,
}

/// What the peer sends once the connection is open, and has seen nothing but our SYN.
pub(super) fn from_peer() -> Seg {
    Seg {
        seq: PEER + 1,
        ack: US + 1,
        flags: ACK,
        window: 65_000,
        urgent: 0,
        data: Vec::new(),
        options: tcp::Options::default(),
    }
}

/// The host under test, and what it has sent.
pub(super) struct Bench {
    pub(super) stack: Stack,
    pub(super) began: Instant,
    pub(super) now: Instant,
    port: PortId,
    sent: VecDeque<Seg>,
    iss: Option<SeqNumber>,
    our_port: u16,
    peer_port: u16,
    full: bool,
    /// Both ends are of IPv6: the [same addresses](six), but for the family.
    ipv6: bool,
}

/// The address of IPv6 that stands for one of IPv4.
fn six(address: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(address.to_bits()))
}

struct Collect<'a> {
    frames: &'a mut Vec<Vec<u8>>,
    full: bool,
}

impl Egress for Collect<'_> {
    fn transmit(&mut self, _: PortId, frame: &TxFrame<'_>) -> Result<(), Full> {
        if self.full {
            return Err(Full);
        }
        let mut bytes = Vec::new();
        frame.gather(&mut bytes);
        let longest = frame.offload.segmentation.map_or(bytes.len(), |cut| cut.header_len as usize + cut.size as usize);
        assert!(longest <= ethernet::HEADER_LEN + MTU as usize, "{longest} bytes do not fit the path");
        self.frames.push(bytes);
        Ok(())
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        Bench::of(false)
    }

    fn of(ipv6: bool) -> Self {
        let mut stack = Stack::new(Config::default(), [5; 32]);
        let port = stack.add_port(PortConfig {
            name: "test0".to_owned(),
            mac: OUR_MAC,
            mtu: MTU,
            capabilities: Capabilities { checksum: true, tcp_v4: true, tcp_v6: true, udp: true },
        });
        let now = Instant::from_millis(1_000_000);
        for (address, length) in [(OUR_IP.into(), 24), (six(OUR_IP).into(), 64)].into_iter().take(1 + usize::from(ipv6))
        {
            stack.add_address(now, port, IpPrefix::new(address, length).unwrap());
        }
        let mut bench = Bench {
            stack,
            began: now,
            now,
            port,
            sent: VecDeque::new(),
            iss: None,
            our_port: OUR_PORT,
            peer_port: PEER_PORT,
            full: false,
            ipv6,
        };
        bench.poll();
        bench
    }

    /// An address of the trace in the bench's family.
    fn address(&self, address: Ipv4Addr) -> IpAddr {
        if self.ipv6 { six(address).into() } else { address.into() }
    }

    /// The peer answers a question for its hardware address.
    fn answer(&mut self) {
        let mut frame = vec![0; 14 + arp::LEN];
        let link = ethernet::Repr { dst: OUR_MAC, src: PEER_MAC, vlan: None, ether_type: EtherType::ARP };
        let header = link.emit(&mut frame);
        arp::Repr {
            operation: arp::Operation::REPLY,
            sender_mac: PEER_MAC,
            sender_ip: PEER_IP,
            target_mac: OUR_MAC,
            target_ip: OUR_IP,
        }
        .emit(&mut frame[header..]);
        self.stack.handle_frame(self.now, self.port, &mut RxFrame::copied_from(&frame, Offload::default()));
        self.poll();
    }

    /// A bench with a listener.
    pub(super) fn listening(backlog: usize, options: Options) -> (Self, ListenerId) {
        Bench::new().listens(backlog, options)
    }

    fn listens(self, backlog: usize, options: Options) -> (Self, ListenerId) {
        let mut bench = self;
        let any = if bench.ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let binding = bench.stack.tcp_bind(&Bind::new(any, OUR_PORT)).unwrap();
        let listener = bench.stack.tcp_listen(binding, backlog, options).unwrap();
        (bench, listener)
    }

    /// A bench with a connection that the peer has opened, without timestamps, SACK or scaling.
    pub(super) fn established(options: Options) -> (Self, ConnectionId) {
        let plain = tcp::Options { mss: Some(1_000), ..Default::default() };
        Self::established_with(options, plain)
    }

    /// The same with these options in the peer's SYN.
    pub(super) fn established_with(options: Options, theirs: tcp::Options) -> (Self, ConnectionId) {
        Bench::new().establishes(options, theirs)
    }

    fn establishes(self, options: Options, theirs: tcp::Options) -> (Self, ConnectionId) {
        let (mut bench, listener) = self.listens(10, options);
        bench.rx(0, Seg { seq: PEER, ack: 0, flags: SYN, options: theirs, ..from_peer() });
        let answer = bench.tx();
        assert_eq!((answer.flags, answer.seq, answer.ack), (SYN | ACK, US, PEER + 1));
        let stamps = answer.options.timestamps.map(|stamps| Timestamps { value: 501, echo: stamps.value });
        bench.rx(0, Seg { options: tcp::Options { timestamps: stamps, ..Default::default() }, ..from_peer() });
        let id = bench.stack.tcp_accept(listener).expect("a connection to accept");
        while bench.stack.poll_event().is_some() {}
        bench.sent.clear();
        (bench, id)
    }

    /// Time passes, and timers fire in their order.
    pub(super) fn at(&mut self, millis: u64) {
        let target = self.began + std::time::Duration::from_millis(millis);
        assert!(target >= self.now, "the trace goes back in time");
        while let Some(next) = self.stack.poll_timeout().filter(|&next| next <= target) {
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
            self.poll();
        }
        self.now = target;
        self.poll();
    }

    /// The peer sends a segment.
    pub(super) fn rx(&mut self, millis: u64, seg: Seg) {
        self.at(millis);
        self.rx_from(PEER_IP, seg);
    }

    pub(super) fn rx_from(&mut self, source: Ipv4Addr, seg: Seg) {
        let segment = self.segment(seg);
        self.rx_bytes(source, segment);
    }

    /// A segment of the peer's, without its checksum.
    fn segment(&self, seg: Seg) -> Vec<u8> {
        let iss = self.iss.unwrap_or(SeqNumber(US));
        let repr = tcp::Repr {
            src_port: self.peer_port,
            dst_port: self.our_port,
            seq: SeqNumber(seg.seq),
            ack: if seg.flags.contains(ACK) { iss + seg.ack.wrapping_sub(US) } else { SeqNumber(seg.ack) },
            flags: seg.flags,
            window: seg.window,
            urgent: seg.urgent,
            options: seg.options,
        };
        let mut bytes = vec![0; repr.header_len()];
        repr.emit(&mut bytes);
        bytes.extend_from_slice(&seg.data);
        bytes
    }

    /// The peer sends these bytes as a TCP segment; the checksum is made right.
    pub(super) fn rx_bytes(&mut self, source: Ipv4Addr, mut segment: Vec<u8>) {
        if segment.len() >= 20 {
            self.sum(source, &mut segment);
        }
        self.rx_raw(source, &segment);
    }

    fn sum(&self, source: Ipv4Addr, segment: &mut [u8]) {
        segment[16..18].fill(0);
        let (source, own) = (self.address(source), self.address(OUR_IP));
        let mut sum = checksum::pseudo_header(source, own, Protocol::TCP.0, segment.len() as u32);
        sum.add(segment);
        segment[16..18].copy_from_slice(&sum.finish().to_be_bytes());
    }

    /// A router says that the segment with this number was too large.
    pub(super) fn rx_too_big(&mut self, mtu: u16, seq: u32) {
        self.rx_unreachable(icmpv4::UnreachableCode::FRAGMENTATION_NEEDED, mtu, seq);
    }

    /// A router says what became of the segment with this number.
    pub(super) fn rx_unreachable(&mut self, code: icmpv4::UnreachableCode, next_hop_mtu: u16, seq: u32) {
        let mut quoted = vec![0; 28];
        let header = packet(OUR_IP, PEER_IP, Protocol::TCP).emit(1_480, &mut quoted);
        quoted[header..header + 2].copy_from_slice(&self.our_port.to_be_bytes());
        quoted[header + 2..header + 4].copy_from_slice(&self.peer_port.to_be_bytes());
        let seq = self.iss.unwrap_or(SeqNumber(US)) + seq.wrapping_sub(US);
        quoted[header + 4..].copy_from_slice(&seq.0.to_be_bytes());
        let message = icmpv4::Message::DestinationUnreachable { code, next_hop_mtu, original: &quoted };
        let mut bytes = vec![0; 64];
        let len = message.emit(&mut bytes);
        self.rx_packet(PEER_IP, Protocol::ICMP, &bytes[..len]);
    }

    pub(super) fn rx_raw(&mut self, source: Ipv4Addr, segment: &[u8]) {
        self.rx_packet(source, Protocol::TCP, segment);
    }

    fn rx_packet(&mut self, source: Ipv4Addr, protocol: Protocol, payload: &[u8]) {
        let mut frame = self.headers(OUR_MAC, source, protocol, payload.len());
        frame.extend_from_slice(payload);
        let offload = Offload { checksum: Checksum::Present, segmentation: None };
        self.stack.handle_frame(self.now, self.port, &mut RxFrame::copied_from(&frame, offload));
        self.poll();
    }

    /// What a packet of the peer's begins with.
    fn headers(&self, dst: MacAddr, source: Ipv4Addr, protocol: Protocol, len: usize) -> Vec<u8> {
        let ether_type = if self.ipv6 { EtherType::IPV6 } else { EtherType::IPV4 };
        let mut frame = vec![0; ethernet::HEADER_LEN + if self.ipv6 { ipv6::HEADER_LEN } else { ipv4::HEADER_LEN }];
        let header = ethernet::Repr { dst, src: PEER_MAC, vlan: None, ether_type }.emit(&mut frame);
        if self.ipv6 {
            let (src, dst) = (six(source), six(OUR_IP));
            ipv6::Repr { src, dst, next_header: protocol, hop_limit: 64, traffic_class: 0, flow_label: 7 }
                .emit(len, &mut frame[header..]);
        } else {
            packet(source, OUR_IP, protocol).emit(len, &mut frame[header..]);
        }
        frame
    }

    /// The peer answers a question for its hardware address, over IPv6.
    fn advertise(&mut self) {
        let (src, dst) = (six(PEER_IP), six(OUR_IP));
        let mut options = [0; 8];
        let options = ndisc::Options::write(&[ndisc::NdOption::TargetLinkLayer(PEER_MAC)], &mut options);
        let message = icmpv6::Message::Discovery(ndisc::Message::NeighborAdvertisement(ndisc::NeighborAdvertisement {
            router: false,
            solicited: true,
            overrides: true,
            target: src,
            options,
        }));
        let mut bytes = [0; 32];
        let len = message.emit(src, dst, &mut bytes);
        let mut frame = vec![0; ethernet::HEADER_LEN + ipv6::HEADER_LEN];
        let header =
            ethernet::Repr { dst: OUR_MAC, src: PEER_MAC, vlan: None, ether_type: EtherType::IPV6 }.emit(&mut frame);
        ipv6::Repr { src, dst, next_header: Protocol::ICMPV6, hop_limit: 255, traffic_class: 0, flow_label: 0 }
            .emit(len, &mut frame[header..]);
        frame.extend_from_slice(&bytes[..len]);
        self.stack.handle_frame(self.now, self.port, &mut RxFrame::copied_from(&frame, Offload::default()));
        self.poll();
    }

    /// Takes what the stack sends.
    pub(super) fn poll(&mut self) {
        let mut frames = Vec::new();
        self.stack.poll_transmit(self.now, &mut Collect { frames: &mut frames, full: self.full });
        for frame in frames {
            self.take(&frame);
        }
    }

    /// From now on the device takes nothing, or everything again.
    pub(super) fn set_full(&mut self, full: bool) {
        self.full = full;
        self.poll();
    }

    fn take(&mut self, frame: &[u8]) {
        let frame = ethernet::Frame::parse(frame).unwrap();
        if frame.ether_type() == EtherType::ARP {
            let question = arp::Repr::parse(frame.payload()).unwrap();
            if question.target_ip == PEER_IP {
                self.answer();
            }
            return;
        }
        let segment = if frame.ether_type() == EtherType::IPV6 {
            let packet = ipv6::Packet::parse(frame.payload()).unwrap();
            if packet.next_header() == Protocol::ICMPV6 {
                let asked = icmpv6::Message::parse(packet.payload(), packet.src(), packet.dst()).ok();
                if let Some(icmpv6::Message::Discovery(ndisc::Message::NeighborSolicitation { target, .. })) = asked
                    && target == six(PEER_IP)
                {
                    self.advertise();
                }
                return;
            }
            if packet.next_header() != Protocol::TCP {
                return;
            }
            Segment::parse(packet.payload()).unwrap()
        } else {
            let packet = ipv4::Packet::parse(frame.payload()).unwrap();
            assert!(packet.verify_checksum());
            if packet.protocol() != Protocol::TCP {
                return;
            }
            Segment::parse(packet.payload()).unwrap()
        };
        let repr = segment.repr();
        if repr.flags.contains(SYN) {
            self.iss = Some(repr.seq);
            self.our_port = repr.src_port;
            self.peer_port = repr.dst_port;
        }
        let iss = self.iss.unwrap_or(SeqNumber(US));
        self.sent.push_back(Seg {
            // A RST for nobody bears the number that it was given.
            seq: if repr.flags.contains(RST) && self.iss.is_none() {
                repr.seq.0
            } else {
                US.wrapping_add((repr.seq - iss) as u32)
            },
            ack: repr.ack.0,
            flags: repr.flags,
            window: repr.window,
            urgent: repr.urgent,
            data: segment.payload().to_vec(),
            options: repr.options,
        });
    }

    /// The next segment that the stack has sent.
    pub(super) fn tx(&mut self) -> Seg {
        self.sent.pop_front().expect("the stack has sent a segment")
    }

    /// Nothing more was sent.
    pub(super) fn silent(&mut self) {
        assert_eq!(self.sent.pop_front(), None, "the stack has sent something");
    }

    /// Forgets what was sent.
    pub(super) fn ignore(&mut self) {
        self.sent.clear();
    }

    pub(super) fn write(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        let count = self.stack.tcp_write(self.now, id, bytes);
        self.poll();
        count
    }

    pub(super) fn read(&mut self, id: ConnectionId) -> Vec<u8> {
        let mut out = vec![0; 1 << 20];
        let count = self.stack.tcp_read(self.now, id, &mut out);
        out.truncate(count);
        self.poll();
        out
    }

    pub(super) fn status(&self, id: ConnectionId) -> Status {
        self.stack.tcp_status(id)
    }

    pub(super) fn state(&self, id: ConnectionId) -> State {
        self.status(id).state
    }

    pub(super) fn dropped(&self, reason: crate::counters::Drop) -> u64 {
        self.stack.counters().dropped(reason)
    }

    /// Every table is empty.
    pub(super) fn assert_empty(&self) {
        for (name, size) in self.stack.tcp_table_sizes() {
            assert!(size == 0 || name == "listeners", "{size} {name}");
        }
    }
}

fn packet(src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol) -> ipv4::Repr<'static> {
    ipv4::Repr {
        src,
        dst,
        protocol,
        ttl: 64,
        tos: 0,
        id: 1,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        options: &[],
    }
}

/// `rx!(bench, at 40, Seg { seq: PEER + 1, data: b"hi".to_vec(), ..from_peer() })`
macro_rules! rx {
    ($bench:ident, at $millis:expr, $seg:expr) => {
        $bench.rx($millis, $seg)
    };
}

/// `tx!(bench, at 40, { seq: US + 1, ack: PEER + 3, flags: ACK })`: only the fields named are compared.
macro_rules! tx {
    ($bench:ident, at $millis:expr, { $($field:ident: $value:expr),* $(,)? }) => {{
        $bench.at($millis);
        let sent = $bench.tx();
        let expected = Seg { $($field: $value,)* ..sent.clone() };
        assert_eq!(sent, expected);
        sent
    }};
}

/// `silent!(bench, at 40)`
macro_rules! silent {
    ($bench:ident, at $millis:expr) => {{
        $bench.at($millis);
        $bench.silent();
    }};
}

pub(super) use {rx, silent, tx};

#[allow(dead_code)]
pub(super) fn peer_address() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(PEER_IP), PEER_PORT)
}
