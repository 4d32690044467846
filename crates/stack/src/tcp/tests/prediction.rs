//! A host that predicts does what a host does that never has anything to predict from.

use super::*;
use crate::tcp::prediction::Predictions;
use proptest::prelude::*;

/// What one side of the wire, or the owner, does next.
#[derive(Clone, Debug)]
enum Step {
    /// The peer sends a segment, `ahead` of what it sent before, which acknowledges all but `unacknowledged` bytes.
    Segment {
        ahead: i32,
        unacknowledged: u32,
        flags: u8,
        len: usize,
        window: u16,
        stamp: Option<u32>,
        change: Change,
    },
    Write(usize),
    Read,
    Wait(u64),
    /// An address of ours comes or goes.
    Address,
    Shutdown,
}

/// What is different about the frame.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    /// This bit of it is the other way round.
    Bit(usize),
    /// It is cut off after so many bytes.
    Cut(usize),
    Padding,
    /// The checksum is not computed, and the device says that it need not be.
    Unsummed,
    Broadcast,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => Just(Change::Nothing),
        // In the headers, mostly.
        3 => (0..90 * 8usize).prop_map(Change::Bit),
        1 => (0..90usize).prop_map(Change::Cut),
        1 => Just(Change::Padding),
        1 => Just(Change::Unsummed),
        1 => Just(Change::Broadcast),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ahead = prop_oneof![12 => Just(0), 1 => -200..200i32];
    let flags = prop_oneof![8 => Just(ACK.0), 4 => Just((ACK | PSH).0), 1 => any::<u8>()];
    let stamp = prop_oneof![1 => Just(None), 8 => (0..3u32).prop_map(Some)];
    let segment = (ahead, 0..200u32, flags, 0..200usize, any::<u16>(), stamp, change());
    prop_oneof![
        10 => segment.prop_map(|(ahead, unacknowledged, flags, len, window, stamp, change)| {
            Step::Segment { ahead, unacknowledged, flags, len, window, stamp, change }
        }),
        3 => (1..3_000usize).prop_map(Step::Write),
        2 => Just(Step::Read),
        2 => (1..300u64).prop_map(Step::Wait),
        1 => Just(Step::Address),
        1 => Just(Step::Shutdown),
    ]
}

/// A host with its peer's numbers.
struct Side {
    bench: Bench,
    id: ConnectionId,
    stamps: bool,
    seq: u32,
    clock: u32,
    told: Vec<Seg>,
    predicted: usize,
}

impl Side {
    fn new(ipv6: bool, stamps: bool) -> Side {
        let timestamps = stamps.then_some(Timestamps { value: 500, echo: 0 });
        let theirs = tcp::Options { mss: Some(1_000), timestamps, sack_permitted: true, ..Default::default() };
        let (bench, id) = Bench::of(ipv6).establishes(Options { nodelay: true, ..Options::default() }, theirs);
        Side { bench, id, stamps, seq: PEER + 1, clock: 501, told: Vec::new(), predicted: 0 }
    }

    fn forget(&mut self) {
        self.bench.stack.tcp.demux.predictions = Predictions::default();
    }

    fn frame(&mut self, step: &Step) -> RxFrame {
        let &Step::Segment { ahead, unacknowledged, flags, len, window, stamp, change } = step else {
            return RxFrame::default();
        };
        self.clock += stamp.unwrap_or(0);
        let timestamps = stamp.filter(|_| self.stamps).map(|_| Timestamps { value: self.clock, echo: 0 });
        let sent = self.told.iter().map(|seg| seg.seq.wrapping_add(seg.data.len() as u32)).max().unwrap_or(US + 1);
        let repr = tcp::Repr {
            src_port: PEER_PORT,
            dst_port: OUR_PORT,
            seq: SeqNumber(self.seq.wrapping_add(ahead as u32)),
            ack: self.bench.iss.unwrap() + sent.saturating_sub(unacknowledged).wrapping_sub(US),
            flags: Flags(flags),
            window,
            urgent: 3,
            options: tcp::Options { timestamps, ..Default::default() },
        };
        if ahead == 0 {
            self.seq += len as u32;
        }
        let mut segment = vec![0; repr.header_len()];
        repr.emit(&mut segment);
        segment.extend((0..len).map(|index| index as u8));
        let mut offload = Offload::default();
        if matches!(change, Change::Unsummed) {
            offload.checksum = Checksum::Verified;
        } else {
            let ends = [PEER_IP, OUR_IP].map(|end| self.bench.address(end));
            let mut sum = checksum::pseudo_header(ends[0], ends[1], Protocol::TCP.0, segment.len() as u32);
            sum.add(&segment);
            segment[16..18].copy_from_slice(&sum.finish().to_be_bytes());
        }
        let dst = if matches!(change, Change::Broadcast) { MacAddr::BROADCAST } else { OUR_MAC };
        let mut bytes = self.bench.headers(dst, PEER_IP, Protocol::TCP, segment.len());
        bytes.extend(segment);
        match change {
            Change::Bit(bit) if bit / 8 < bytes.len() => bytes[bit / 8] ^= 1 << (bit % 8),
            Change::Cut(len) => bytes.truncate(len),
            Change::Padding => bytes.extend([0xee; 9]),
            _ => {}
        }
        RxFrame::copied_from(&bytes, offload)
    }

    /// Does a step; returns what can be seen from outside.
    fn take(&mut self, step: &Step) -> impl PartialEq + std::fmt::Debug + use<> {
        let other = IpPrefix::new(Ipv4Addr::new(10, 0, 0, 9).into(), 24).unwrap();
        let mut read = Vec::new();
        match *step {
            Step::Segment { .. } => {
                let mut frame = self.frame(step);
                let (tcp, port) = (&self.bench.stack.tcp, self.bench.port);
                let generation = self.bench.stack.ip.route_generation();
                self.predicted += usize::from(tcp.demux.predictions.find(&frame, port, generation).is_some());
                self.bench.stack.handle_frame(self.bench.now, port, &mut frame);
                self.bench.poll();
            }
            Step::Write(len) => _ = self.bench.write(self.id, &vec![7; len]),
            Step::Read => read = self.bench.read(self.id),
            Step::Wait(millis) => {
                let since = self.bench.now.since(self.bench.began).as_millis() as u64;
                self.bench.at(since + millis);
            }
            Step::Address => {
                let (now, port, stack) = (self.bench.now, self.bench.port, &mut self.bench.stack);
                if stack.ip.is_local(other.addr()) {
                    stack.remove_address(port, other);
                } else {
                    stack.add_address(now, port, other);
                }
                self.bench.poll();
            }
            Step::Shutdown => {
                self.bench.stack.tcp_shutdown(self.bench.now, self.id);
                self.bench.poll();
            }
        }
        let sent: Vec<Seg> = self.bench.sent.drain(..).collect();
        self.told.extend(sent.iter().cloned());
        let counters = self.bench.stack.counters();
        let drops: Vec<u64> = counters.drops().map(|(_, count)| count).collect();
        let done: Vec<_> = counters.iter().collect();
        let status = format!("{:?}", self.bench.status(self.id));
        (sent, read, drops, done, status, self.bench.stack.poll_timeout())
    }
}

proptest! {
    #[test]
    fn predicting_changes_nothing(
        ipv6 in any::<bool>(),
        stamps in any::<bool>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let [mut predicting, mut general] = [(); 2].map(|()| Side::new(ipv6, stamps));
        for step in &steps {
            general.forget();
            prop_assert_eq!(predicting.take(step), general.take(step), "{:?}", step);
        }
        prop_assert_eq!(general.predicted, 0);
    }
}

#[test]
fn all_but_the_first_of_a_row_is_predicted_until_an_address_changes_or_the_connection_ends() {
    for ipv6 in [false, true] {
        all_but_the_first_of_a_row(ipv6);
    }
}

fn all_but_the_first_of_a_row(ipv6: bool) {
    let mut side = Side::new(ipv6, true);
    let segment = |flags: Flags| Step::Segment {
        ahead: 0,
        unacknowledged: 0,
        flags: flags.0,
        len: 5,
        window: 1_000,
        stamp: Some(1),
        change: Change::Nothing,
    };
    // The handshake's last segment was the first.
    side.forget();
    let mut counts = Vec::new();
    for step in
        [segment(ACK), segment(ACK), segment(PSH | ACK), Step::Address, segment(ACK), segment(RST), segment(ACK)]
    {
        side.take(&step);
        counts.push(side.predicted);
    }
    assert_eq!(counts, [0, 1, 2, 2, 2, 3, 3]);
}

/// What begins alike is no part of the connection if it comes by another port: there, nobody has judged it.
#[test]
fn a_frame_is_known_on_its_own_port_only() {
    for ipv6 in [false, true] {
        let mut side = Side::new(ipv6, false);
        let step = Step::Segment {
            ahead: 0,
            unacknowledged: 0,
            flags: ACK.0,
            len: 5,
            window: 1_000,
            stamp: None,
            change: Change::Nothing,
        };
        let device = side.bench.port;
        side.forget();
        side.take(&step);
        assert_eq!(side.bench.stack.tcp.demux.predictions.ports(), [device]);
        let frame = side.frame(&step);
        let generation = side.bench.stack.ip.route_generation();
        let known = |predictions: &Predictions, port| predictions.find(&frame, port, generation);
        let (index, segment) = known(&side.bench.stack.tcp.demux.predictions, device).expect("it was learnt");
        assert_eq!(known(&side.bench.stack.tcp.demux.predictions, PortId::LOOPBACK), None);
        let mut predictions = Predictions::default();
        predictions.learn(&frame, segment.start, PortId::LOOPBACK, generation, index);
        assert_eq!(known(&predictions, device), None);
        assert_eq!(known(&predictions, PortId::LOOPBACK), Some((index, segment)));
    }
}

/// To an address of the device, too, whose port is what sockets are told.
#[test]
fn what_comes_by_the_loopback_is_learnt_as_from_there() {
    for ipv6 in [false, true] {
        let (mut bench, listener) = Bench::of(ipv6).listens(10, Options::default());
        let to = SocketAddr::new(bench.address(OUR_IP), OUR_PORT);
        let client = bench.stack.tcp_connect(bench.now, None, to, Options::default()).unwrap();
        bench.poll();
        let server = bench.stack.tcp_accept(listener).expect("a connection to accept");
        for _ in 0..3 {
            bench.write(client, b"hello");
            bench.poll();
        }
        assert_eq!(bench.read(server), b"hellohellohello");
        let ports = bench.stack.tcp.demux.predictions.ports();
        assert!(!ports.is_empty() && ports.iter().all(|port| port.is_loopback()), "{ports:?}");
        assert!(bench.sent.is_empty());
    }
}
