//! Two hosts and a wire, good or bad.

mod autoconf;
mod crowd;
mod reuse;

use super::*;
use crate::bind::BindingId;
use crate::rng::Rng;
use crate::tcp::State;
use sockeye_device::Impairments;

fn bad(impairments: Impairments) -> Conditions {
    Conditions { impairments: Some(impairments), ..Conditions::default() }
}

/// A byte stream whose every byte can be told from its place.
struct Pattern {
    key: u64,
}

impl Pattern {
    fn byte(&self, at: u64) -> u8 {
        ((at ^ self.key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    }

    fn fill(&self, at: u64, out: &mut [u8]) {
        for (offset, byte) in (at..).zip(out) {
            *byte = self.byte(offset);
        }
    }

    fn check(&self, at: u64, bytes: &[u8]) {
        for (offset, &byte) in (at..).zip(bytes) {
            assert_eq!(byte, self.byte(offset), "byte {offset} of the stream");
        }
    }
}

/// One direction of a transfer.
struct Flowing {
    pattern: Pattern,
    from: (HostId, ConnectionId),
    to: (HostId, ConnectionId),
    total: u64,
    written: u64,
    read: u64,
}

impl Flowing {
    fn new(key: u64, from: (HostId, ConnectionId), to: (HostId, ConnectionId), total: u64) -> Self {
        Flowing { pattern: Pattern { key }, from, to, total, written: 0, read: 0 }
    }

    /// Writes and reads what can be; true when all has arrived and the end was seen.
    fn pump(&mut self, net: &mut Network, scratch: &mut [u8]) -> bool {
        let now = net.now();
        let (host, id) = self.from;
        while self.written < self.total {
            let len = scratch.len().min((self.total - self.written) as usize);
            self.pattern.fill(self.written, &mut scratch[..len]);
            let count = net.stack(host).tcp_write(now, id, &scratch[..len]);
            self.written += count as u64;
            if self.written == self.total {
                net.stack(host).tcp_shutdown(now, id);
            }
            if count < len {
                break;
            }
        }
        let (host, id) = self.to;
        loop {
            let count = net.stack(host).tcp_read(now, id, scratch);
            if count == 0 {
                break;
            }
            self.pattern.check(self.read, &scratch[..count]);
            self.read += count as u64;
        }
        let status = net.stack(host).tcp_status(id);
        assert_eq!(status.error, None);
        self.read == self.total && status.peer_closed
    }
}

/// Of everything that a wire does to frames, two in a hundred.
fn two_percent(delay: Duration) -> Impairments {
    Impairments { loss: 0.02, reorder: 0.02, duplicate: 0.02, delay, ..Impairments::default() }
}

fn two_hosts(seed: u64, mut conditions: Conditions) -> (Network, (HostId, ConnectionId), (HostId, ConnectionId)) {
    let mut net = Network::new(seed);
    // Of either family, as the seed has it.
    let [first, second, server] = match seed % 2 {
        0 => ["10.0.0.1/24", "10.0.0.2/24", "10.0.0.2:80"],
        _ => {
            // Less carries no IPv6.
            conditions.mtu = conditions.mtu.max(1_280);
            ["fd00::1/64", "fd00::2/64", "[fd00::2]:80"]
        }
    };
    let (a, b) = (net.host(first), net.host(second));
    net.wire(a, b, &conditions);
    let listener = net.listen(b, 80);
    let client = net.connect(a, server);
    let now = net.now();
    let server = net
        .run_until(Duration::from_secs(200), |net| net.stack(b).tcp_accept(listener))
        .expect("the handshake completes");
    net.stack(b).tcp_unlisten(now, listener);
    (net, (a, client), (b, server))
}

/// Both hosts have forgotten everything.
fn assert_nothing_left(net: &mut Network, hosts: &[HostId]) {
    net.run_for(Duration::from_secs(1_500));
    for &host in hosts {
        for (name, size) in net.stack(host).tcp_table_sizes() {
            assert_eq!(size, 0, "{name} of {host:?}");
        }
    }
}

fn transfer_both_ways(seed: u64, conditions: Conditions, total: u64) -> Duration {
    let (mut net, a, b) = two_hosts(seed, conditions);
    let began = net.now();
    let mut there = Flowing::new(seed, a, b, total);
    let mut back = Flowing::new(!seed, b, a, total);
    let mut scratch = vec![0; 100_000];
    let done = net.run_until(Duration::from_secs(100_000), |net| {
        let there = there.pump(net, &mut scratch);
        let back = back.pump(net, &mut scratch);
        (there && back).then_some(())
    });
    assert!(done.is_some(), "stuck at {} and {} of {total} bytes", there.read, back.read);
    let took = net.now().since(began);
    let now = net.now();
    net.stack(a.0).tcp_close(now, a.1);
    net.stack(b.0).tcp_close(now, b.1);
    assert_nothing_left(&mut net, &[a.0, b.0]);
    took
}

#[test]
fn a_good_wire_carries_both_ways() {
    transfer_both_ways(1, Conditions::default(), 8 << 20);
}

/// How long one direction takes, over a round trip of 200 ms, when the reader has these options.
fn over_a_long_path(options: &Options) -> Duration {
    let slow = Impairments { delay: Duration::from_millis(100), ..Impairments::default() };
    let (mut net, a, b) = two_hosts(5, bad(slow));
    let now = net.now();
    for (host, id) in [a, b] {
        net.stack(host).tcp_set_options(now, id, Options { send_buffer: 8 << 20, ..options.clone() });
    }
    let mut flow = Flowing::new(5, a, b, 40 << 20);
    let mut scratch = vec![0; 100_000];
    let done = net.run_until(Duration::from_secs(100), |net| flow.pump(net, &mut scratch).then_some(()));
    assert!(done.is_some(), "stuck at {}", flow.read);
    net.now().since(now)
}

#[test]
fn a_window_grows_to_what_a_long_path_holds() {
    let fixed = Options { receive_buffer: 256 << 10, receive_grows: false, ..Options::default() };
    // 160 windows, each of which waits a round trip.
    let small = over_a_long_path(&fixed);
    assert!(small > Duration::from_secs(30), "{small:?}");
    let grown = over_a_long_path(&Options::default());
    let large = over_a_long_path(&Options { receive_grows: false, ..Options::default() });
    assert!(grown < large + Duration::from_secs(1), "{grown:?}, and {large:?} with all of it from the start");
}

#[test]
fn a_wire_that_loses_reorders_and_duplicates_carries_both_ways() {
    for seed in 0..4 {
        transfer_both_ways(seed, bad(two_percent(Duration::from_millis(1))), 4 << 20);
    }
}

#[test]
fn a_wire_that_corrupts_is_a_wire_that_loses() {
    let corrupting = Impairments { corrupt: 0.01, delay: Duration::from_millis(1), ..Impairments::default() };
    transfer_both_ways(3, bad(corrupting), 2 << 20);
}

#[test]
fn a_gibibyte_over_a_bad_wire() {
    transfer_both_ways(9, bad(two_percent(Duration::from_micros(50))), 1 << 30);
}

/// What a program might do to a connection, in any order.
struct Actor {
    at: (HostId, ConnectionId),
    pattern: Pattern,
    written: u64,
    read: u64,
    shut: bool,
    gone: bool,
    aborted: bool,
    saw_end: bool,
    failed: bool,
}

impl Actor {
    fn new(at: (HostId, ConnectionId), key: u64) -> Self {
        Actor {
            at,
            pattern: Pattern { key },
            written: 0,
            read: 0,
            shut: false,
            gone: false,
            aborted: false,
            saw_end: false,
            failed: false,
        }
    }

    fn act(&mut self, net: &mut Network, rng: &mut Rng, peer: &Pattern) {
        if self.gone {
            return;
        }
        let (host, id) = self.at;
        let now = net.now();
        let mut bytes = vec![0; rng.below(200_000) as usize + 1];
        match rng.below(100) {
            0..40 if !self.shut => {
                self.pattern.fill(self.written, &mut bytes);
                self.written += net.stack(host).tcp_write(now, id, &bytes) as u64;
            }
            40..90 => {
                let count = net.stack(host).tcp_read(now, id, &mut bytes);
                peer.check(self.read, &bytes[..count]);
                self.read += count as u64;
            }
            90..92 => {
                let mut options = net.stack(host).tcp_options(id).cloned().unwrap_or_default();
                options.nodelay = rng.below(2) == 0;
                options.cork = rng.below(4) == 0;
                options.receive_buffer = 1 << (10 + rng.below(11));
                options.send_buffer = 1 << (10 + rng.below(11));
                options.keepalive = rng.below(4) == 0;
                net.stack(host).tcp_set_options(now, id, options);
            }
            92..94 => {
                net.stack(host).tcp_shutdown(now, id);
                self.shut = true;
            }
            94 => self.abort(net),
            95 => {
                net.stack(host).tcp_close(now, id);
                (self.gone, self.aborted) = (true, true);
            }
            96 if !self.shut => {
                bytes.truncate(5_000);
                self.pattern.fill(self.written, &mut bytes);
                if net.stack(host).tcp_write_urgent(now, id, &bytes) {
                    self.written += bytes.len() as u64;
                }
            }
            _ => {}
        }
        self.look(net);
    }

    fn abort(&mut self, net: &mut Network) {
        let (host, id) = self.at;
        let now = net.now();
        net.stack(host).tcp_abort(now, id);
        (self.gone, self.aborted) = (true, true);
    }

    fn look(&mut self, net: &mut Network) {
        let (host, id) = self.at;
        if !self.gone {
            let status = net.stack(host).tcp_status(id);
            self.failed |= status.error.is_some();
            self.saw_end |= status.peer_closed && status.readable == 0;
        }
    }

    /// Reads to the end, and closes.
    fn finish(&mut self, net: &mut Network, peer: &Pattern) -> bool {
        if self.gone {
            return true;
        }
        let (host, id) = self.at;
        let now = net.now();
        if !self.shut {
            net.stack(host).tcp_shutdown(now, id);
            self.shut = true;
        }
        let mut bytes = vec![0; 65_536];
        loop {
            let count = net.stack(host).tcp_read(now, id, &mut bytes);
            if count == 0 {
                break;
            }
            peer.check(self.read, &bytes[..count]);
            self.read += count as u64;
        }
        self.look(net);
        let state = net.stack(host).tcp_status(id).state;
        if self.saw_end || state == State::Closed {
            net.stack(host).tcp_close(now, id);
            self.gone = true;
        }
        self.gone
    }
}

fn course_rng(seed: u64) -> Rng {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    Rng::new(key)
}

fn course_conditions(rng: &mut Rng) -> Conditions {
    let percent = |rng: &mut Rng, most: u32| f64::from(rng.below(most + 1)) / 100.0;
    let impairments = Impairments {
        loss: percent(rng, 8),
        reorder: percent(rng, 8),
        duplicate: percent(rng, 8),
        corrupt: percent(rng, 2),
        delay: Duration::from_micros(u64::from(rng.below(20_000))),
        ..Impairments::default()
    };
    Conditions {
        impairments: (rng.below(4) > 0).then_some(impairments),
        mtu: 600 + rng.below(8_400) as u16,
        queue: 1 + rng.below(300) as usize,
    }
}

fn random_course(seed: u64) {
    let mut rng = course_rng(seed);
    let conditions = course_conditions(&mut rng);
    let (mut net, a, b) = two_hosts(seed, conditions);
    let (mut client, mut server) = (Actor::new(a, seed), Actor::new(b, !seed));
    for _ in 0..rng.below(120) {
        client.act(&mut net, &mut rng, &server.pattern);
        server.act(&mut net, &mut rng, &client.pattern);
        let pause = Duration::from_millis(u64::from(rng.below(30)));
        net.run_for(pause);
    }
    // Options that hold data back are no part of the ending.
    let mut done = net.run_until(Duration::from_secs(4_000), |net| {
        let ended = [client.finish(net, &server.pattern), server.finish(net, &client.pattern)];
        (ended == [true, true]).then_some(())
    });
    if done.is_none() && (client.aborted || server.aborted) {
        // The reset was lost, and who has nothing to send never learns.
        client.abort(&mut net);
        server.abort(&mut net);
        done = Some(());
    }
    assert!(done.is_some(), "seed {seed}: a connection did not end");
    let graceful = !client.aborted && !server.aborted && !client.failed && !server.failed;
    if graceful {
        assert_eq!((client.read, server.read), (server.written, client.written), "seed {seed}");
    }
    assert!(client.read <= server.written && server.read <= client.written, "seed {seed}");
    assert_nothing_left(&mut net, &[a.0, b.0]);
}

#[test]
fn a_thousand_random_courses_end_with_equal_bytes_and_empty_tables() {
    let count = std::env::var("SOCKEYE_SIM_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(1_000);
    for seed in 0..count {
        random_course(seed);
    }
}

#[test]
fn a_wire_that_is_full_does_not_hold_up_another() {
    let mut net = Network::new(5);
    let (a, b, c) = (net.host("10.0.0.1/24"), net.host("10.0.0.2/24"), net.host("10.0.1.3/24"));
    let slow = Impairments { delay: Duration::from_secs(1), ..Impairments::default() };
    net.wire(a, b, &Conditions { queue: 1, ..bad(slow) });
    net.wire(c, a, &Conditions::default());
    let route = |destination: &str, port| crate::Route {
        destination: destination.parse().unwrap(),
        next_hop: None,
        port,
        source: None,
        metric: 0,
    };
    net.stack(a).add_route(route("10.0.1.3/32", PortId(2)));
    net.stack(c).add_route(route("10.0.0.1/32", PortId(1)));
    let (far, near) = (net.listen(b, 80), net.listen(c, 80));
    let there = [net.connect(a, "10.0.0.2:80"), net.connect(a, "10.0.0.2:80")];
    for _ in there {
        net.run_until(Duration::from_secs(60), |net| net.stack(b).tcp_accept(far)).expect("the far one accepts");
    }
    let (now, mut scratch) = (net.now(), vec![0; 1 << 20]);
    for connection in there {
        // The second finds the device full.
        net.stack(a).tcp_write(now, connection, &scratch);
    }
    net.run_for(Duration::from_millis(100));
    let began = net.now();
    let client = net.connect(a, "10.0.1.3:80");
    let server =
        net.run_until(Duration::from_secs(60), |net| net.stack(c).tcp_accept(near)).expect("the near one accepts");
    let mut flowing = Flowing::new(5, (a, client), (c, server), 400_000);
    net.run_until(Duration::from_secs(600), |net| flowing.pump(net, &mut scratch).then_some(())).expect("an end");
    assert!(net.now().since(began) < Duration::from_millis(500), "{:?}", net.now().since(began));
}
