//! Frames at a host with sockets and connections: good ones, and good ones bent at places of the script's choice.
//!
//! The script plays the peer, the network, the programs and the clock. It knows what the host has sent, so that what it
//! makes up stands near the numbers that the host expects, and gets past the first checks.
//!
//! What must hold: nothing panics; a frame is dropped for one reason or was of use; all that leaves is fit for a wire;
//! memory stays within its bounds; no timer fires for ever at one moment; an event is queued once. In the end a ping is
//! answered, and when the programs let go, nothing is left.

use super::device::script::Script;
use super::device::{assert_fit_for_a_wire, cut};
use sockeye_device::{Capabilities, Checksum, Full, Instant, Offload, RxFrame, SegmentKind, Segmentation, TxFrame};
use sockeye_stack::autoconf;
use sockeye_stack::counters::Drop;
use sockeye_stack::tcp::{self, ConnectionId, ListenerId, State};
use sockeye_stack::udp::{self, SocketId};
use sockeye_stack::{Bind, Config, Egress, PortConfig, PortId, Stack};
use sockeye_wire::arp::{self, Operation};
use sockeye_wire::icmpv4::Message;
use sockeye_wire::tcp::{Flags, Segment, Timestamps};
use sockeye_wire::{EtherType, IpPrefix, MacAddr, Protocol, SeqNumber, checksum, ethernet, ipv4, ipv6};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);
const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const MACS: [MacAddr; 5] = [OUR_MAC, PEER_MAC, OTHER_MAC, MacAddr::BROADCAST, MacAddr::ZERO];
const ADDRESSES: [Ipv4Addr; 8] = [
    US,
    PEER,
    OTHER,
    FAR,
    Ipv4Addr::new(10, 0, 0, 255),
    Ipv4Addr::BROADCAST,
    Ipv4Addr::UNSPECIFIED,
    Ipv4Addr::new(224, 0, 0, 1),
];
const MTUS: [u16; 3] = [1_500, 576, 9_000];
const REASSEMBLY_MEMORY: usize = 64 << 10;
const MAX_NEIGHBORS: usize = 8;
const RECEIVE_BUFFER: usize = 64 << 10;
/// With every header there is, this makes a packet.
const MAX_PAYLOAD: usize = 65_000;
/// Decisions of the largest kind that one course takes.
const STEPS: usize = 300;

/// A course of events.
pub fn stack_frames(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut host = Host::new(&mut script);
    for _ in 0..STEPS {
        if script.is_over() {
            break;
        }
        host.step(&mut script);
        host.assert_bounded();
    }
    host.end();
}

/// What the host has said last on a flow.
#[derive(Clone, Copy, Default)]
struct Said {
    /// Behind the last byte that it sent.
    end: u32,
    ack: u32,
    timestamp: u32,
}

struct Host {
    stack: Stack,
    port: PortId,
    now: Instant,
    mtu: u16,
    /// Frames that the device still takes.
    room: Option<usize>,
    listener: Option<ListenerId>,
    connections: Vec<ConnectionId>,
    sockets: Vec<SocketId>,
    /// By the host's port and the peer's.
    said: HashMap<(u16, u16), Said>,
    /// The last packets that it sent.
    sent: VecDeque<Vec<u8>>,
    pongs: usize,
}

#[derive(Default)]
struct Taker {
    frames: Vec<(Vec<u8>, Offload)>,
    room: Option<usize>,
}

impl Egress for Taker {
    fn transmit(&mut self, _: PortId, frame: &TxFrame<'_>) -> Result<(), Full> {
        if self.room.is_some_and(|room| self.frames.len() >= room) {
            return Err(Full);
        }
        let mut bytes = Vec::new();
        frame.gather(&mut bytes);
        assert!(cut(frame, &bytes).is_some(), "an offload that contradicts the frame: {:?}", frame.offload);
        self.frames.push((bytes, frame.offload));
        Ok(())
    }
}

impl Host {
    /// With a connection that it opened, one that it accepted, a listener and two datagram sockets.
    fn new(script: &mut Script<'_>) -> Host {
        let config = Config {
            max_neighbors: MAX_NEIGHBORS,
            reassembly_memory: REASSEMBLY_MEMORY,
            udp_memory: 256 << 10,
            ..Config::default()
        };
        let mut stack = Stack::new(config, [7; 32]);
        let capabilities = script.choose(&[Capabilities::ALL, Capabilities::NONE]);
        let mtu = script.choose(&MTUS);
        let port = stack.add_port(PortConfig { name: "eth0".into(), mac: OUR_MAC, mtu, capabilities });
        let now = Instant::from_millis(1_000);
        stack.configure_ipv6(now, port, autoconf::Settings::default());
        stack.add_address(now, port, prefix());
        let mut host = Host {
            stack,
            port,
            now,
            mtu,
            room: None,
            listener: None,
            connections: Vec::new(),
            sockets: Vec::new(),
            said: HashMap::new(),
            sent: VecDeque::new(),
            pongs: 0,
        };
        host.pass(Duration::from_secs(3));
        host.listen();
        for socket in [(53, None), (1_000, Some((PEER, 53).into()))] {
            let id = host.stack.udp_open(&Bind::new(Ipv4Addr::UNSPECIFIED.into(), socket.0)).unwrap();
            if socket.1.is_some() {
                host.stack.udp_connect(id, socket.1).unwrap();
            }
            host.sockets.push(id);
        }

        host.arrive(&arp_reply(PEER, PEER_MAC), Offload::default());
        let options = tcp::Options { receive_buffer: RECEIVE_BUFFER, ..tcp::Options::default() };
        let opened = host.stack.tcp_connect(host.now, None, (PEER, 80).into(), options).unwrap();
        host.transmit();
        host.arrive(&arp_reply(PEER, PEER_MAC), Offload::default());
        host.transmit();
        let local = host.stack.tcp_addresses(opened).unwrap().local.port();
        let timestamps = script.below(2) == 0;
        let offer = |timestamps| sockeye_wire::tcp::Options {
            mss: Some(1_460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps,
            ..Default::default()
        };
        let stamp = |value, echo| timestamps.then_some(Timestamps { value, echo });
        let said = host.said[&(local, 80)];
        let ack = SeqNumber(said.end);
        let syn = sockeye_wire::tcp::Repr {
            src_port: 80,
            dst_port: local,
            seq: SeqNumber(1_000),
            ack,
            flags: Flags::SYN | Flags::ACK,
            window: 60_000,
            urgent: 0,
            options: offer(stamp(1_000, said.timestamp)),
        };
        host.arrive(&tcp_frame(syn, &[]), Offload::default());
        host.transmit();
        assert_eq!(host.stack.tcp_status(opened).state, State::Established);
        host.connections.push(opened);

        let syn = sockeye_wire::tcp::Repr {
            src_port: 5_000,
            dst_port: 80,
            ack: SeqNumber(0),
            flags: Flags::SYN,
            options: offer(stamp(1_000, 0)),
            ..syn
        };
        host.arrive(&tcp_frame(syn, &[]), Offload::default());
        host.transmit();
        let said = host.said[&(80, 5_000)];
        let options = sockeye_wire::tcp::Options { timestamps: stamp(1_001, said.timestamp), ..Default::default() };
        let ack = sockeye_wire::tcp::Repr {
            seq: SeqNumber(1_001),
            ack: SeqNumber(said.end),
            flags: Flags::ACK,
            options,
            ..syn
        };
        host.arrive(&tcp_frame(ack, &[]), Offload::default());
        let accepted = host.stack.tcp_accept(host.listener.unwrap()).expect("a connection");
        host.connections.push(accepted);
        host
    }

    fn listen(&mut self) {
        let options = tcp::Options { receive_buffer: RECEIVE_BUFFER, ..tcp::Options::default() };
        let binding = self.stack.tcp_bind(&Bind::new(Ipv4Addr::UNSPECIFIED.into(), 80));
        self.listener = binding.ok().and_then(|binding| self.stack.tcp_listen(binding, 4, options).ok());
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0..10 => {
                let frame = self.frame(script);
                let offload = offload(script);
                self.arrive(&frame, offload);
                // Most are answered at once, some in a batch.
                if script.below(4) > 0 {
                    self.transmit();
                }
            }
            10 => {
                let unit = script.choose(&[1, 40, 1_000, 60_000]);
                self.pass(Duration::from_millis(unit * u64::from(script.u8())));
            }
            11 => self.stream_call(script),
            12 => self.datagram_call(script),
            13 => self.room = (script.below(4) > 0).then(|| usize::from(script.below(8))),
            14 => match script.below(4) {
                0 => self.stack.set_link(self.now, self.port, false),
                1 => self.stack.set_link(self.now, self.port, true),
                2 => self.stack.remove_address(self.port, prefix()),
                _ => self.stack.add_address(self.now, self.port, prefix()),
            },
            _ => self.transmit(),
        }
    }

    fn stream_call(&mut self, script: &mut Script<'_>) {
        let now = self.now;
        let id = self.connections[usize::from(script.u8()) % self.connections.len()];
        let stack = &mut self.stack;
        match script.below(12) {
            0 | 1 => drop(stack.tcp_write(now, id, &vec![b'w'; script.length()])),
            2 | 3 => drop(stack.tcp_read(now, id, &mut vec![0; script.length()])),
            4 => stack.tcp_shutdown(now, id),
            5 => stack.tcp_close(now, id),
            6 => stack.tcp_abort(now, id),
            7 => drop(stack.tcp_write_urgent(now, id, &vec![b'u'; script.length()])),
            8 => {
                let options = tcp::Options {
                    receive_buffer: usize::from(script.u8()) * 256,
                    send_buffer: usize::from(script.u8()) * 256,
                    nodelay: script.below(2) == 1,
                    cork: script.below(4) == 1,
                    keepalive: script.below(2) == 1,
                    keep_idle: Duration::from_secs(u64::from(script.u8())),
                    user_timeout: script.choose(&[None, Some(Duration::ZERO), Some(Duration::from_secs(5))]),
                    max_segment: script.choose(&[None, Some(0), Some(88), Some(u16::MAX)]),
                    ..tcp::Options::default()
                };
                stack.tcp_set_options(now, id, options);
            }
            9 => {
                if let Some(id) = self.listener.and_then(|listener| stack.tcp_accept(listener)) {
                    self.connections.push(id);
                }
            }
            10 => {
                let remote = (script.choose(&ADDRESSES), u16::from(script.below(3)) + 79);
                if let Ok(id) = stack.tcp_connect(now, None, remote.into(), tcp::Options::default()) {
                    self.connections.push(id);
                }
            }
            _ => match self.listener.take() {
                Some(listener) => stack.tcp_unlisten(now, listener),
                None => self.listen(),
            },
        }
        let _ = (self.stack.tcp_info(now, id), self.stack.tcp_summaries(now));
    }

    fn datagram_call(&mut self, script: &mut Script<'_>) {
        let id = self.sockets[usize::from(script.u8()) % self.sockets.len()];
        match script.below(4) {
            0 => {
                if let Some(received) = self.stack.udp_recv(id) {
                    self.stack.udp_recycle(received.data);
                }
            }
            1 => {
                let to = (script.below(2) == 0).then(|| (script.choose(&ADDRESSES), u16::from(script.u8())).into());
                let payload = vec![b'd'; script.length()];
                let send = udp::Send { to, payload: &[&payload], ..udp::Send::default() };
                let _ = self.stack.udp_send(self.now, id, &send);
            }
            2 => drop(self.stack.udp_take_error(id)),
            _ => {
                self.stack.udp_close(id);
                if let Ok(id) = self.stack.udp_open(&Bind::new(Ipv4Addr::UNSPECIFIED.into(), 53)) {
                    self.sockets.push(id);
                }
            }
        }
    }

    /// A frame that could have come, and then perhaps not quite.
    fn frame(&mut self, script: &mut Script<'_>) -> Vec<u8> {
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

    fn arrive(&mut self, bytes: &[u8], offload: Offload) {
        let before = self.stack.counters().clone();
        let mut frame = RxFrame::copied_from(bytes, offload);
        self.stack.handle_frame(self.now, self.port, &mut frame);
        let after = self.stack.counters();

        let mut reasons = Vec::new();
        for (reason, count) in after.drops() {
            // These are about something else that had to go, or about what would have been the answer; and what is for
            // everybody may find one socket full and another not.
            let besides = matches!(
                reason,
                Drop::FragmentMemory
                    | Drop::TcpReceiveMemory
                    | Drop::IcmpRateLimit
                    | Drop::LinkQueueFull
                    | Drop::NeighborQueueFull
                    | Drop::NeighborEvicted
                    | Drop::NeighborFailed
                    | Drop::UdpReceiveBuffer
                    | Drop::UdpMemory
            );
            for _ in before.dropped(reason)..count {
                reasons.push((reason, besides));
            }
        }
        let about = reasons.iter().filter(|(_, besides)| !besides).count();
        assert!(about <= 1, "{reasons:?} for {bytes:02x?}");
        // Received is not yet of use; ARP that teaches and a segment that a connection takes are no more than that.
        let idle =
            ["link_frames_received", "ipv4_packets_received", "ipv4_packets_delivered", "icmp_messages_received"];
        let used = before.iter().zip(after.iter()).any(|(old, new)| old != new && !idle.contains(&old.0));
        assert!(used || !reasons.is_empty(), "neither dropped nor of use: {bytes:02x?} {offload:?}");
    }

    /// Sends all that may be sent, looks at it, and at all events.
    fn transmit(&mut self) {
        let mut taker = Taker { frames: Vec::new(), room: self.room };
        self.stack.poll_transmit(self.now, &mut taker);
        for (bytes, offload) in taker.frames {
            self.look_at(bytes, offload);
        }
        let mut events = HashSet::new();
        while let Some(event) = self.stack.poll_event() {
            assert!(events.insert(event), "{event:?} is queued twice");
        }
    }

    fn look_at(&mut self, mut bytes: Vec<u8>, offload: Offload) {
        let whole = offload.segmentation.is_some();
        if !whole {
            sockeye_device::segment::complete(&mut bytes, offload.checksum).unwrap();
        }
        let frame = ethernet::Frame::parse(&bytes).unwrap();
        assert_eq!(frame.src(), OUR_MAC);
        assert!(frame.dst() != MacAddr::ZERO && frame.dst() != OUR_MAC, "sent to {}", frame.dst());
        if frame.ether_type() == EtherType::ARP {
            let arp = arp::Repr::parse(frame.payload()).unwrap();
            assert_eq!(arp.sender_mac, OUR_MAC);
            return;
        }
        if frame.ether_type() == EtherType::IPV6 {
            let packet = ipv6::Packet::parse(frame.payload()).unwrap();
            assert_eq!(packet.bytes().len(), frame.payload().len());
            assert!(bytes.len() <= usize::from(self.mtu) + ethernet::HEADER_LEN, "{} bytes on a link", bytes.len());
            return;
        }
        assert_eq!(frame.ether_type(), EtherType::IPV4);
        let packet = ipv4::Packet::parse(frame.payload()).unwrap();
        assert!(packet.verify_checksum() || whole);
        assert_eq!((packet.src(), packet.total_len()), (US, frame.payload().len()));
        assert!(whole || packet.total_len() <= usize::from(self.mtu), "{} bytes on a link", packet.total_len());
        if !packet.is_fragment() {
            match packet.protocol() {
                Protocol::TCP => {
                    if !whole {
                        assert_fit_for_a_wire(&bytes);
                    }
                    let segment = Segment::parse(packet.payload()).unwrap();
                    let end = segment.seq().0.wrapping_add(segment.seq_len());
                    let timestamp = segment.repr().options.timestamps.map_or(0, |timestamps| timestamps.value);
                    let said = Said { end, ack: segment.ack().0, timestamp };
                    self.said.insert((segment.src_port(), segment.dst_port()), said);
                }
                Protocol::UDP if !whole => assert_fit_for_a_wire(&bytes),
                Protocol::ICMP => {
                    let message = Message::parse(packet.payload()).unwrap();
                    self.pongs += usize::from(message == PONG);
                }
                _ => {}
            }
        }
        if self.sent.len() == 16 {
            self.sent.pop_front();
        }
        self.sent.push_back(packet.bytes().to_vec());
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut rounds = 0;
        while let Some(next) = self.stack.poll_timeout().filter(|&next| next <= end) {
            rounds = if next > self.now { 0 } else { rounds + 1 };
            assert!(rounds < 64, "a timer that fires for ever");
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
            self.transmit();
        }
        self.now = end;
        self.stack.handle_timeout(end);
        self.transmit();
    }

    fn assert_bounded(&self) {
        assert!(self.stack.reassembly_memory() <= REASSEMBLY_MEMORY);
        assert!(self.stack.neighbors().count() <= MAX_NEIGHBORS);
        assert!(self.stack.ports().all(|(_, port)| port.queued() <= 1_000));
        for &id in &self.connections {
            let readable = self.stack.tcp_status(id).readable;
            assert!(readable <= (1 << 20) + (64 << 10), "{readable} bytes wait");
        }
    }

    /// The network is well again: the host lives, and forgets.
    fn end(&mut self) {
        self.room = None;
        self.stack.set_link(self.now, self.port, true);
        self.stack.add_address(self.now, self.port, prefix());
        self.pass(Duration::from_secs(100));
        assert_eq!(self.stack.reassembly_memory(), 0, "fragments are kept for ever");
        self.pongs = 0;
        for _ in 0..2 {
            self.arrive(&arp_reply(PEER, PEER_MAC), Offload::default());
            let Message::EchoReply { ident, seq, data } = PONG else { panic!() };
            let message = Message::EchoRequest { ident, seq, data };
            let mut bytes = vec![0; message.total_len()];
            message.emit(&mut bytes);
            let header = ipv4::Repr { protocol: Protocol::ICMP, ..FROM_PEER };
            self.arrive(&link_frame(EtherType::IPV4, &packet(header, &bytes)), Offload::default());
            self.transmit();
        }
        assert!(self.pongs > 0, "the host is dead");

        for &id in &self.connections {
            self.stack.tcp_close(self.now, id);
        }
        for &id in &self.sockets {
            self.stack.udp_close(id);
        }
        if let Some(listener) = self.listener {
            self.stack.tcp_unlisten(self.now, listener);
        }
        self.pass(Duration::from_secs(1_500));
        for (name, size) in self.stack.tcp_table_sizes() {
            assert_eq!(size, 0, "{name}");
        }
        assert_eq!(self.stack.udp_sockets().count(), 0);
    }
}

const PONG: Message<'static> = Message::EchoReply { ident: 0xa11e, seq: 7, data: b"alive?" };

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

fn prefix() -> IpPrefix {
    "10.0.0.1/24".parse().unwrap()
}

/// Mostly none at all, sometimes a few, seldom anything.
fn near(script: &mut Script<'_>) -> u32 {
    match script.below(8) {
        0..4 => 0,
        4 => u32::from(script.u8()),
        5 => u32::from(script.u8()).wrapping_neg(),
        6 => u32::from(script.u16()),
        _ => u32::from(script.u16()) << 16 | u32::from(script.u16()),
    }
}

fn offload(script: &mut Script<'_>) -> Offload {
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

fn link_frame(ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN];
    ethernet::Repr { dst: OUR_MAC, src: PEER_MAC, vlan: None, ether_type }.emit(&mut frame);
    frame.extend_from_slice(payload);
    frame
}

fn arp_frame(dst: MacAddr, src: MacAddr, packet: arp::Repr) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN + arp::LEN];
    ethernet::Repr { dst, src, vlan: None, ether_type: EtherType::ARP }.emit(&mut frame);
    packet.emit(&mut frame[ethernet::HEADER_LEN..]);
    frame
}

fn arp_reply(ip: Ipv4Addr, mac: MacAddr) -> Vec<u8> {
    let (operation, target_mac, target_ip) = (Operation::REPLY, OUR_MAC, US);
    arp_frame(OUR_MAC, mac, arp::Repr { operation, sender_mac: mac, sender_ip: ip, target_mac, target_ip })
}

fn packet(header: ipv4::Repr<'_>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; header.header_len()];
    header.emit(payload.len(), &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

fn icmp_frame(script: &mut Script<'_>, message: &Message<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.total_len()];
    message.emit(&mut bytes);
    ipv4_frame(script, Protocol::ICMP, &bytes)
}

/// From and to anybody, mostly from the peer to us.
fn ipv4_frame(script: &mut Script<'_>, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
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
fn neighbor_frame(script: &mut Script<'_>) -> Vec<u8> {
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

fn tcp_frame(header: sockeye_wire::tcp::Repr, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; header.header_len()];
    header.emit(&mut segment);
    segment.extend_from_slice(payload);
    let mut frame = link_frame(EtherType::IPV4, &packet(ipv4::Repr { protocol: Protocol::TCP, ..FROM_PEER }, &segment));
    mend(&mut frame);
    frame
}

/// Mends the checksums of an IPv4 frame and what it carries, so that what lies behind them is reached.
fn mend(frame: &mut [u8]) {
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

fn put(frame: &mut [u8], at: usize, covered: std::ops::Range<usize>, mut sum: checksum::Sum) {
    if at + 2 > covered.end {
        return;
    }
    frame[at..at + 2].fill(0);
    sum.add(&frame[covered]);
    frame[at..at + 2].copy_from_slice(&sum.finish().to_be_bytes());
}
