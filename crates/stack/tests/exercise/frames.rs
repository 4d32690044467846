//! Frames at a host with sockets and connections: good ones, and good ones bent at places of the script's choice.
//!
//! The script plays the peer, the network, the programs and the clock. It knows what the host has sent, so that what it
//! makes up stands near the numbers that the host expects, and gets past the first checks.
//!
//! What must hold: nothing panics; a frame is dropped for one reason or was of use; all that leaves is fit for a wire;
//! memory stays within its bounds; no timer fires for ever at one moment; an event is queued once. In the end a ping is
//! answered, and when the programs let go, nothing is left.

mod make;

use super::device::script::Script;
use super::device::{assert_fit_for_a_wire, cut};
use sockeye_device::{Capabilities, Full, Instant, Offload, RxFrame, TxFrame};
use sockeye_stack::autoconf;
use sockeye_stack::counters::Drop;
use sockeye_stack::tcp::{self, ConnectionId, ListenerId, State};
use sockeye_stack::udp::{self, SocketId};
use sockeye_stack::{Bind, Config, Egress, PortConfig, PortId, Stack};
use sockeye_wire::arp;
use sockeye_wire::icmpv4::Message;
use sockeye_wire::tcp::{Flags, Segment, Timestamps};
use sockeye_wire::{EtherType, MacAddr, Protocol, SeqNumber, ethernet, ipv4, ipv6};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use make::*;

const MTUS: [u16; 3] = [1_500, 576, 9_000];
const REASSEMBLY_MEMORY: usize = 64 << 10;
const MAX_NEIGHBORS: usize = 8;
const RECEIVE_BUFFER: usize = 64 << 10;
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

    fn arrive(&mut self, bytes: &[u8], offload: Offload) {
        let before = self.stack.counters().clone();
        let mut frame = RxFrame::copied_from(bytes, offload);
        self.stack.handle_frame(self.now, self.port, &mut frame);
        let after = self.stack.counters();

        let mut reasons = Vec::new();
        for (reason, count) in after.drops() {
            // These are about something else that had to go, or about what would have been the answer; what is for everybody may
            // find one socket full and another not; and of what a router says one thing may be refused after the other.
            let besides = matches!(
                reason,
                Drop::FragmentMemory
                    | Drop::TcpReceiveMemory
                    | Drop::IcmpRateLimit
                    | Drop::LinkQueueFull
                    | Drop::NeighborQueueFull
                    | Drop::NeighborEvicted
                    | Drop::NeighborFailed
                    | Drop::NdOption
                    | Drop::NdLimit
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
