//! Two hosts on a wire of the script's making, and programs that do as it says, in any order.
//!
//! What must hold: what is read is what was written, in its order, from its beginning; a datagram arrives as it was
//! sent; when both sides end in good order, all of it was read; and in the end the hosts have forgotten everything.

use super::device::script::Script;
use sockeye_device::Impairments;
use sockeye_stack::sim::{Conditions, HostId, Network};
use sockeye_stack::tcp::{ConnectionId, ListenerId, Options, State};
use sockeye_stack::udp::{Send, SocketId};
use sockeye_stack::{Bind, PortId};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Decisions of the largest kind that one course takes.
const STEPS: usize = 120;
/// Connections that one course opens.
const MOST: usize = 4;
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];

/// A course of events.
pub fn stack_operations(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut course = Course::new(&mut script);
    for _ in 0..STEPS {
        if script.is_over() {
            break;
        }
        course.step(&mut script);
    }
    course.end();
}

/// One end of a connection, in the hands of a program.
struct End {
    host: usize,
    id: ConnectionId,
    /// Tells the connection and the direction: each byte depends on it and on its place.
    key: u64,
    written: u64,
    read: u64,
    shut: bool,
    gone: bool,
    /// It was given up, here or there: not all need arrive.
    rude: bool,
    saw_end: bool,
}

struct Course {
    net: Network,
    hosts: [HostId; 2],
    ports: [PortId; 2],
    listeners: [Option<ListenerId>; 2],
    sockets: [SocketId; 2],
    /// Numbers of datagrams.
    sent: [u32; 2],
    ends: Vec<End>,
    opened: usize,
}

/// What stands at a place in a stream.
fn byte(key: u64, at: u64) -> u8 {
    ((at ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// The same for both ends: who opened, from which port.
fn key(opener: usize, port: u16, from_opener: bool) -> u64 {
    (opener as u64) << 40 | u64::from(port) << 20 | u64::from(from_opener) << 60
}

impl Course {
    fn new(script: &mut Script<'_>) -> Course {
        let mut net = Network::new(script.u8().into());
        let hosts = [net.host("10.0.0.1/24"), net.host("10.0.0.2/24")];
        let impaired = script.below(4) > 0;
        let mut percent = |most: u8| f64::from(script.below(most + 1)) / 100.0;
        let impairments = Impairments {
            loss: percent(10),
            reorder: percent(10),
            duplicate: percent(10),
            corrupt: percent(3),
            delay: Duration::from_micros(u64::from(script.u8()) * 200),
            jitter: Duration::from_micros(u64::from(script.u8()) * 20),
            rate: script.choose(&[None, Some(1_000_000), Some(20_000_000)]),
            limit: script.choose(&[8_192, 4, 40]),
            ..Impairments::default()
        };
        let conditions = Conditions {
            impairments: impaired.then_some(impairments),
            mtu: script.choose(&[1_500, 576, 9_000, 296]),
            queue: script.choose(&[1_000, 1, 10]),
        };
        net.wire(hosts[0], hosts[1], &conditions);
        let ports = hosts.map(|host| net.stack(host).ports().nth(1).unwrap().0);
        let sockets = [0, 1].map(|which| {
            let id = net.stack(hosts[which]).udp_open(&Bind::new(Ipv4Addr::UNSPECIFIED.into(), 53)).unwrap();
            net.stack(hosts[which]).udp_connect(id, Some((ADDRESSES[1 - which], 53).into())).unwrap();
            id
        });
        let listeners = hosts.map(|host| Some(net.listen(host, 80)));
        Course { net, hosts, ports, listeners, sockets, sent: [0; 2], ends: Vec::new(), opened: 0 }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let which = usize::from(script.below(2));
        let now = self.net.now();
        match script.below(16) {
            0 | 1 => self.connect(which, script.below(8) == 7),
            2 => self.accept(which),
            3 => match self.listeners[which].take() {
                Some(listener) if script.below(4) == 3 => {
                    self.net.stack(self.hosts[which]).tcp_unlisten(now, listener);
                    // Whoever waited there was reset.
                    self.ends.iter_mut().for_each(|end| end.rude = true);
                }
                Some(listener) => {
                    self.listeners[which] = Some(listener);
                    self.net.stack(self.hosts[which]).tcp_set_backlog(listener, script.below(5).into());
                }
                None => {
                    // As long as connections that were accepted there remain, the port is theirs.
                    let stack = self.net.stack(self.hosts[which]);
                    let binding = stack.tcp_bind(&Bind::new(Ipv4Addr::UNSPECIFIED.into(), 80)).ok();
                    let listener = binding.map(|binding| stack.tcp_listen(binding, 4, Options::default()));
                    self.listeners[which] = listener.map(|listener| listener.unwrap());
                }
            },
            4 => self.send_datagram(which, script.length()),
            5 => self.receive_datagrams(which),
            6 => {
                let up = script.below(2) == 1;
                self.net.stack(self.hosts[which]).set_link(now, self.ports[which], up);
            }
            7 | 8 => {
                let unit = script.choose(&[1, 20, 500, 10_000]);
                self.net.run_for(Duration::from_millis(unit * u64::from(script.u8())));
            }
            _ if self.ends.is_empty() => self.connect(which, false),
            _ => {
                let at = usize::from(script.u8()) % self.ends.len();
                self.call(at, script);
            }
        }
    }

    fn connect(&mut self, which: usize, to_itself: bool) {
        if self.opened == MOST {
            return;
        }
        let peer = if to_itself { which } else { 1 - which };
        let remote = SocketAddr::from((ADDRESSES[peer], 80));
        let now = self.net.now();
        let stack = self.net.stack(self.hosts[which]);
        // Nobody gives up by himself: what ends badly was ended so.
        if let Ok(id) = stack.tcp_connect(now, None, remote, Options::default()) {
            let port = stack.tcp_addresses(id).unwrap().local.port();
            self.opened += 1;
            self.ends.push(End::new(which, id, key(which, port, true)));
        }
    }

    fn accept(&mut self, which: usize) {
        let Some(listener) = self.listeners[which] else { return };
        let stack = self.net.stack(self.hosts[which]);
        let Some(id) = stack.tcp_accept(listener) else { return };
        // Nothing left to know of one that has ended already.
        let Some(flow) = stack.tcp_addresses(id) else { return };
        let opener = ADDRESSES.iter().position(|address| flow.remote.ip() == *address).unwrap();
        self.ends.push(End::new(which, id, key(opener, flow.remote.port(), false)));
    }

    fn call(&mut self, at: usize, script: &mut Script<'_>) {
        let now = self.net.now();
        let end = &mut self.ends[at];
        let stack = self.net.stack(self.hosts[end.host]);
        let mut bytes = vec![0; script.length() + 1];
        match script.below(16) {
            _ if end.gone => {}
            0..6 if !end.shut => {
                end.fill(&mut bytes);
                end.written += stack.tcp_write(now, end.id, &bytes) as u64;
            }
            6 if !end.shut => {
                end.fill(&mut bytes);
                if stack.tcp_write_urgent(now, end.id, &bytes) {
                    end.written += bytes.len() as u64;
                }
            }
            0..12 => {
                let count = stack.tcp_read(now, end.id, &mut bytes);
                end.check(&bytes[..count]);
            }
            12 => {
                let options = Options {
                    nodelay: script.below(2) == 0,
                    cork: script.below(4) == 1,
                    quick_ack: script.below(2) == 1,
                    keepalive: script.below(4) == 1,
                    receive_buffer: 1 << (10 + script.below(11)),
                    send_buffer: 1 << (10 + script.below(11)),
                    max_segment: script.choose(&[None, Some(100), Some(536)]),
                    window_clamp: script.choose(&[None, Some(1_000)]),
                    ..Options::default()
                };
                stack.tcp_set_options(now, end.id, options);
            }
            13 => {
                end.shut |= stack.tcp_status(end.id).state != State::SynSent;
                stack.tcp_shutdown(now, end.id);
            }
            14 => {
                stack.tcp_close(now, end.id);
                end.leave();
            }
            _ => {
                stack.tcp_abort(now, end.id);
                end.leave();
            }
        }
        self.look();
    }

    /// What has happened to whom.
    fn look(&mut self) {
        for end in self.ends.iter_mut().filter(|end| !end.gone) {
            let status = self.net.stack(self.hosts[end.host]).tcp_status(end.id);
            end.rude |= status.error.is_some();
            end.saw_end |= status.peer_closed && status.readable == 0;
        }
    }

    fn send_datagram(&mut self, which: usize, len: usize) {
        let number = self.sent[which];
        let mut payload = number.to_be_bytes().to_vec();
        payload.extend((0..len.min(9_000) as u64).map(|at| byte(number.into(), at)));
        let send = Send { payload: &[&payload], ..Send::default() };
        let now = self.net.now();
        let socket = self.sockets[which];
        if self.net.stack(self.hosts[which]).udp_send(now, socket, &send).is_ok() {
            self.sent[which] += 1;
        }
    }

    fn receive_datagrams(&mut self, which: usize) {
        let socket = self.sockets[which];
        while let Some(received) = self.net.stack(self.hosts[which]).udp_recv(socket) {
            let (number, payload) = received.data.split_first_chunk::<4>().unwrap();
            let number = u32::from_be_bytes(*number);
            assert!(number < self.sent[1 - which]);
            assert!(payload.iter().zip(0..).all(|(&value, at)| value == byte(number.into(), at)));
            assert_eq!(received.from, (ADDRESSES[1 - which], 53).into());
            self.net.stack(self.hosts[which]).udp_recycle(received.data);
        }
    }

    /// The network is well again; everybody reads to the end, and closes.
    fn end(&mut self) {
        let now = self.net.now();
        for which in [0, 1] {
            self.net.stack(self.hosts[which]).set_link(now, self.ports[which], true);
            self.receive_datagrams(which);
        }
        let end = now + Duration::from_secs(4_000);
        while self.net.now() < end && !self.ends.iter().all(|end| end.gone) {
            [0, 1].into_iter().for_each(|which| self.accept(which));
            let now = self.net.now();
            for end in self.ends.iter_mut().filter(|end| !end.gone) {
                end.finish(self.net.stack(self.hosts[end.host]), now);
            }
            self.net.run_for(Duration::from_millis(500));
        }
        let now = self.net.now();
        for end in self.ends.iter().filter(|end| !end.gone) {
            // Who has nothing more to send does not learn that the peer was aborted: as TCP is.
            let other = self.ends.iter().find(|other| other.key == end.key ^ 1 << 60);
            let alone = other.is_none_or(|other| other.gone && other.rude);
            let stack = self.net.stack(self.hosts[end.host]);
            let status = stack.tcp_status(end.id);
            assert!(alone && status.state == State::FinWait2, "{} read, {} written: {status:?}", end.read, end.written);
            stack.tcp_abort(now, end.id);
        }
        for end in &self.ends {
            let Some(other) = self.ends.iter().find(|other| other.key == end.key ^ 1 << 60) else { continue };
            assert!(end.read <= other.written, "more was read than was written");
            if end.gone && !end.rude && !other.rude {
                assert_eq!(end.read, other.written, "a good end, and bytes are missing");
            }
        }
        for which in [0, 1] {
            let stack = self.net.stack(self.hosts[which]);
            stack.udp_close(self.sockets[which]);
            if let Some(listener) = self.listeners[which] {
                stack.tcp_unlisten(now, listener);
            }
        }
        self.net.run_for(Duration::from_secs(1_500));
        for host in self.hosts {
            for (name, size) in self.net.stack(host).tcp_table_sizes() {
                assert_eq!(size, 0, "{name} of {host:?}");
            }
            assert_eq!(self.net.stack(host).reassembly_memory(), 0);
        }
    }
}

impl End {
    fn new(host: usize, id: ConnectionId, key: u64) -> End {
        End { host, id, key, written: 0, read: 0, shut: false, gone: false, rude: false, saw_end: false }
    }

    fn fill(&self, bytes: &mut [u8]) {
        for (at, value) in (self.written..).zip(bytes) {
            *value = byte(self.key, at);
        }
    }

    fn check(&mut self, bytes: &[u8]) {
        for (at, &value) in (self.read..).zip(bytes) {
            assert_eq!(value, byte(self.key ^ 1 << 60, at), "byte {at} of the stream");
        }
        self.read += bytes.len() as u64;
    }

    fn leave(&mut self) {
        (self.gone, self.rude) = (true, true);
    }

    /// Reads to the end, and closes.
    fn finish(&mut self, stack: &mut sockeye_stack::Stack, now: sockeye_device::Instant) {
        let status = stack.tcp_status(self.id);
        if !self.shut && status.state != State::SynSent {
            stack.tcp_shutdown(now, self.id);
            self.shut = true;
        }
        let mut bytes = vec![0; 65_536];
        loop {
            let count = stack.tcp_read(now, self.id, &mut bytes);
            if count == 0 {
                break;
            }
            self.check(&bytes[..count]);
        }
        let status = stack.tcp_status(self.id);
        self.rude |= status.error.is_some();
        self.saw_end |= status.peer_closed;
        if self.saw_end || status.state == State::Closed {
            stack.tcp_close(now, self.id);
            self.gone = true;
        }
    }
}
