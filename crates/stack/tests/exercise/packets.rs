//! Packet and raw sockets in the hands of a hostile program: any option, any frame, any header to be filled in, and rings in which
//! it writes anything anywhere at any time.
//!
//! What must hold: nothing panics; nothing is read or written outside a ring's memory (which is no longer than was asked for, and panics); a ring
//! that is sent in turns comes to an end; an offload that leaves contradicts no frame, and what is whole is no longer than the link
//! carries; what waits stays within its bounds. When the program has let go, nothing is left.

use super::device::cut;
use super::device::script::Script;
use sockeye_device::{Capabilities, Checksum, Full, Instant, Offload, RxFrame, SegmentKind, Segmentation, TxFrame};
use sockeye_filter::{Program, parse};
use sockeye_stack::packet::ring::{CONTROL_LEN, Geometry, Memory, Request, Version};
use sockeye_stack::packet::{ALL_PROTOCOLS, Choice, Fanout, Options, Progress, Reception, Send, SocketId};
use sockeye_stack::raw::{self, Kind};
use sockeye_stack::{Config, Egress, PortConfig, PortId, Stack};
use sockeye_wire::MacAddr;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STEPS: usize = 200;
const MTU: u16 = 1_500;
const PACKET_MEMORY: usize = 64 << 10;
const SOCKETS: usize = 4;
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// A course of events.
pub fn stack_packets(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut host = Host::new(&mut script);
    for _ in 0..STEPS {
        if script.is_over() {
            break;
        }
        host.step(&mut script);
        assert!(host.stack.packet_sockets().map(|socket| socket.receive_memory).sum::<usize>() <= PACKET_MEMORY);
    }
    host.end();
}

/// Memory that the program has mapped.
#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Memory for Shared {
    fn load(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0.lock().unwrap()[at..at + 4].try_into().unwrap())
    }
    fn store(&self, at: usize, value: u32) {
        self.write(at, &value.to_ne_bytes());
    }
    fn write(&self, at: usize, bytes: &[u8]) {
        self.0.lock().unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fn read(&self, at: usize, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.lock().unwrap()[at..at + bytes.len()]);
    }
}

struct Socket {
    id: SocketId,
    rings: [Option<Geometry>; 2],
    memory: Option<Shared>,
}

struct Host {
    stack: Stack,
    port: PortId,
    now: Instant,
    sockets: Vec<Socket>,
    raw: Vec<raw::SocketId>,
    room: usize,
}

struct Taker(usize);

impl Egress for Taker {
    fn transmit(&mut self, _: PortId, frame: &TxFrame<'_>) -> Result<(), Full> {
        self.0 = self.0.checked_sub(1).ok_or(Full)?;
        let mut bytes = Vec::new();
        frame.gather(&mut bytes);
        assert!(cut(frame, &bytes).is_some(), "an offload that contradicts the frame: {:?}", frame.offload);
        let most = usize::from(MTU) + 18;
        assert!(frame.offload.segmentation.is_some() || bytes.len() <= most, "{} bytes on a link", bytes.len());
        Ok(())
    }
}

impl Host {
    fn new(script: &mut Script<'_>) -> Host {
        let config = Config { packet_memory: PACKET_MEMORY, ..Config::default() };
        let mut stack = Stack::new(config, [7; 32]);
        let capabilities = script.choose(&[Capabilities::ALL, Capabilities::NONE]);
        let port = stack.add_port(PortConfig { name: "eth0".into(), mac: MAC, mtu: MTU, capabilities });
        let now = Instant::from_millis(1_000);
        for prefix in ["10.0.0.1/24", "2001:db8::1/64"] {
            stack.add_address(now, port, prefix.parse().unwrap());
        }
        Host { stack, port, now, sockets: Vec::new(), raw: Vec::new(), room: usize::MAX }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        if self.sockets.is_empty() {
            self.open(script);
        }
        let which = usize::from(script.u8()) % self.sockets.len();
        let id = self.sockets[which].id;
        match script.below(16) {
            0 => self.open(script),
            1 => {
                self.stack.packet_close(id);
                self.sockets.swap_remove(which);
            }
            2 => {
                let port = script.choose(&[None, Some(self.port), Some(PortId::LOOPBACK)]);
                self.stack.packet_bind(id, script.choose(&[ALL_PROTOCOLS, 0x0800, 0, 0x86dd]), port);
            }
            3 => self.set(script, id),
            4 => self.ring(script, which),
            5 | 6 => self.scribble(script, which),
            7 | 8 => self.ask(script, which),
            9 => self.send(script, id),
            10 => self.arrive(script),
            11 => self.pass(Duration::from_millis(u64::from(script.u8()) * 4)),
            12 => {
                let room = script.u8();
                self.room = if room == 0 { usize::MAX } else { usize::from(room - 1) };
                self.transmit();
            }
            13 => self.join(script, id),
            14 => match script.below(4) {
                0 => drop(self.stack.packet_recv(id)),
                1 => drop(self.stack.packet_take_signal(id)),
                2 => drop(self.stack.packet_take_statistics(id)),
                _ => self.stack.set_link(self.now, self.port, script.below(4) > 0),
            },
            _ => self.raw(script),
        }
    }

    fn open(&mut self, script: &mut Script<'_>) {
        if self.sockets.len() < SOCKETS {
            let id = self.stack.packet_open(script.below(2) == 1, script.choose(&[ALL_PROTOCOLS, 0x0800, 0]));
            self.sockets.push(Socket { id, rings: [None; 2], memory: None });
        }
    }

    fn set(&mut self, script: &mut Script<'_>, id: SocketId) {
        let flags = script.u8();
        let options = Options {
            receive_buffer: usize::from(script.u8()) * 256,
            send_buffer: usize::from(script.u8()) * 256,
            ignore_outgoing: flags & 1 != 0,
            unseen: flags & 2 != 0,
            virtual_header: if flags & 4 == 0 { 0 } else { [10, 12][usize::from(flags >> 6 & 1)] },
            placed: flags & 8 != 0,
            loss: flags & 16 != 0,
            copy: flags & 32 != 0,
            reserve: usize::from(script.u16()) * usize::from(flags >> 6 == 3),
        };
        self.stack.packet_set_options(id, options);
        let what = Reception { promiscuous: flags & 64 != 0, all_multicast: flags & 128 != 0 };
        self.stack.packet_receive_more(self.port, what, script.below(2) == 1);
        while self.stack.poll_reception().is_some() {}
    }

    /// A ring of any numbers, mostly of some that can be.
    fn ring(&mut self, script: &mut Script<'_>, which: usize) {
        let version = script.choose(&[Version::V1, Version::V2, Version::V3]);
        let receive = usize::from(script.below(2));
        let socket = &mut self.sockets[which];
        let (blocks, size) = (u32::from(script.below(4)), u32::from(script.u8()) * 16);
        let block_size = script.choose(&[4_096, 8_192, 0, 4_095, u32::MAX]);
        let frames = block_size.checked_div(size).unwrap_or(0).wrapping_mul(blocks);
        let asked = Request {
            block_size,
            blocks,
            frame_size: size,
            frames: frames.wrapping_add(u32::from(script.below(8) == 7)),
            retire_after: if receive == 0 { u32::from(script.u8()) } else { 0 },
            private: if receive == 0 { u32::from(script.u16()) } else { 0 },
            features: if receive == 0 { u32::from(script.below(4)) } else { 0 },
        };
        let reserve = self.stack.packet_options(socket.id).map_or(0, |options| options.reserve as u32);
        let Ok(geometry) = Geometry::check(version, reserve, receive == 0, &asked) else { return };
        socket.rings[receive] = geometry;
        let len: usize = socket.rings.iter().flatten().map(Geometry::len).sum();
        socket.memory = (len > 0).then(|| Shared(Arc::new(Mutex::new(vec![0; len + CONTROL_LEN]))));
        let memory = socket.memory.clone().map(|memory| -> Arc<dyn Memory> { Arc::new(memory) });
        self.stack.packet_set_rings(self.now, socket.id, socket.rings, memory);
        assert!(self.stack.packet_ring_memory() >= len);
    }

    /// The program writes what it likes.
    fn scribble(&mut self, script: &mut Script<'_>, which: usize) {
        let Some(memory) = &self.sockets[which].memory else { return };
        for _ in 0..script.below(8) {
            let mut bytes = memory.0.lock().unwrap();
            let at = usize::from(script.u16()) % bytes.len();
            let value = script.choose(&[0, 1, 2, 4, 0xff, 64]);
            bytes[at] = value;
        }
    }

    /// It fills slots as a program would that wants them sent, more or less, and has them sent.
    fn ask(&mut self, script: &mut Script<'_>, which: usize) {
        let socket = &self.sockets[which];
        let begin = socket.rings[0].map_or(0, |ring| ring.len());
        if let (Some(memory), Some(_)) = (&socket.memory, socket.rings[1]) {
            let mut bytes = memory.0.lock().unwrap();
            let end = bytes.len() - CONTROL_LEN;
            // Where a slot of this size would begin, in any version.
            let size = 16 * usize::from(script.u8()).max(4);
            for slot in (begin..end).step_by(size).take(usize::from(script.below(16))) {
                let mut put = |at: usize, word: u32| {
                    if let Some(place) = bytes[..end].get_mut(slot + at..slot + at + 4) {
                        place.copy_from_slice(&word.to_ne_bytes());
                    }
                };
                let len = script.length() as u32;
                let places = u32::from(script.u8()) | u32::from(script.u8()) << 16;
                match script.below(4) {
                    0 => [(0, 1), (8, len), (16, places)].into_iter().for_each(|(at, word)| put(at, word)),
                    1 => [(0, 1), (4, len), (12, places)].into_iter().for_each(|(at, word)| put(at, word)),
                    2 => [(0, 0), (20, 1), (16, len), (24, places)].into_iter().for_each(|(at, word)| put(at, word)),
                    _ => put(0, len),
                }
            }
        }
        let send = Send { port: script.choose(&[None, Some(self.port)]), to: Some(MAC), ..Send::default() };
        // Each turn sends something, or is the last.
        for turn in 0.. {
            match self.stack.packet_send_ring(socket.id, &send) {
                Some(Ok((_, Progress::More))) => assert!(turn < 64, "a ring that never ends"),
                Some(Ok((_, Progress::Full))) => {
                    assert!(self.stack.packet_is_blocked(socket.id));
                    break;
                }
                _ => break,
            }
        }
    }

    fn send(&mut self, script: &mut Script<'_>, id: SocketId) {
        let checksum = match script.below(4) {
            0 => Checksum::Partial { start: script.u8().into(), offset: script.u8().into() },
            1 => Checksum::Verified,
            _ => Checksum::Present,
        };
        let kind = script.choose(&[SegmentKind::TcpV4, SegmentKind::TcpV6, SegmentKind::Udp]);
        let (size, header_len) = (script.u8().into(), script.u8().into());
        let segmentation = (script.below(2) == 1).then_some(Segmentation { kind, size, header_len });
        let frame = frame(script);
        let send = Send {
            port: script.choose(&[None, Some(self.port), Some(PortId::LOOPBACK), Some(PortId::from_index(9))]),
            protocol: script.choose(&[0, 0x0800]),
            to: script.choose(&[None, Some(MAC)]),
            offload: Offload { checksum, segmentation },
            payload: &frame,
        };
        let _ = self.stack.packet_send(id, &send);
        if let Some((header, frame)) = frame.split_first_chunk()
            && let Ok(offload) = sockeye_stack::packet::offload(header, frame)
        {
            let _ = self.stack.packet_send(id, &Send { offload, payload: frame, ..send });
        }
    }

    fn arrive(&mut self, script: &mut Script<'_>) {
        let frame = frame(script);
        let mut frame = RxFrame::copied_from(&frame, Offload::default());
        self.stack.handle_frame(self.now, self.port, &mut frame);
    }

    fn join(&mut self, script: &mut Script<'_>, id: SocketId) {
        let choices = [Choice::Flow, Choice::Turns, Choice::First, Choice::Room, Choice::Random, Choice::Program];
        let kind = script.below(6);
        let flags = script.u8();
        let fanout = Fanout {
            id: (flags & 1 == 0).then(|| u16::from(flags >> 1 & 1)),
            kind,
            choice: choices[usize::from(kind)],
            flags: flags & 0x50,
            rollover: flags & 0x10 != 0,
            ignore_outgoing: flags & 0x40 != 0,
            most: (flags & 4 != 0).then_some(2),
        };
        let _ = self.stack.packet_join(id, &fanout);
        let program = Program::new(&parse("2\n48 0 0 14\n22 0 0 0\n").unwrap()).unwrap();
        self.stack.packet_set_choice(id, Arc::new(program));
        let _ = (self.stack.packet_group(id), self.stack.packet_rollover(id));
    }

    fn raw(&mut self, script: &mut Script<'_>) {
        let destinations: [IpAddr; 4] =
            ["10.0.0.2", "10.0.0.1", "2001:db8::2", "ff02::1"].map(|text| text.parse().unwrap());
        let to = script.choose(&destinations);
        if self.raw.len() == SOCKETS {
            self.stack.raw_close(self.raw.remove(0));
        }
        let kind = script.choose(&[Kind::Echo, Kind::Protocol(255), Kind::Protocol(17), Kind::Protocol(58)]);
        let id = self.stack.raw_open(to.is_ipv6(), kind);
        self.raw.push(id);
        if let Some(options) = self.stack.raw_options(id).copied() {
            let checksum_offset = script.choose(&[options.checksum_offset, None, Some(2), Some(u16::MAX)]);
            let header_included = script.below(2) == 1;
            self.stack.raw_set_options(id, raw::Options { checksum_offset, header_included, ..options });
        }
        let len = script.length();
        let mut payload = script.bytes(len).to_vec();
        if script.below(2) == 1 && !payload.is_empty() {
            payload[0] = if to.is_ipv6() { 0x60 } else { 0x45 };
        }
        let len = usize::from(script.below(41));
        let options = script.bytes(len);
        let send = raw::Send { to: Some(to), options, payload: &payload, ..raw::Send::default() };
        let _ = self.stack.raw_send(self.now, id, &send);
        self.transmit();
    }

    fn transmit(&mut self) {
        self.stack.poll_transmit(self.now, &mut Taker(self.room));
        while self.stack.poll_event().is_some() {}
    }

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
        self.transmit();
    }

    fn end(&mut self) {
        for socket in self.sockets.drain(..) {
            while self.stack.packet_recv(socket.id).is_some() {}
            self.stack.packet_close(socket.id);
        }
        self.raw.drain(..).for_each(|id| self.stack.raw_close(id));
        self.room = usize::MAX;
        self.pass(Duration::from_secs(10));
        assert_eq!(self.stack.packet_sockets().count(), 0);
        assert_eq!((self.stack.packet_ring_memory(), self.stack.is_watched()), (0, false));
        // What was sent does not stand in the way of who comes now.
        let id = self.stack.packet_open(false, 0);
        self.stack.set_link(self.now, self.port, true);
        let send = Send { port: Some(self.port), payload: &[0; 60], ..Send::default() };
        assert_eq!(self.stack.packet_send(id, &send), Ok(()));
    }
}

/// Anything, mostly with a link header that says what it carries.
fn frame(script: &mut Script<'_>) -> Vec<u8> {
    let len = script.length();
    let mut frame = vec![0; 14];
    frame[..6].copy_from_slice(&script.choose(&[MAC, MacAddr::BROADCAST, MacAddr([9; 6])]).0);
    frame[12..].copy_from_slice(&script.choose(&[[8, 0], [0x86, 0xdd], [0x81, 0], [8, 6], [0, 4]]));
    frame.push(script.choose(&[0x45, 0x60, 0x4f, 0]));
    frame.extend_from_slice(script.bytes(len.min(64)));
    frame.resize(len, script.u8());
    frame
}
