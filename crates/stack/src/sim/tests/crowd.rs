//! Many connections at once between two hosts, while the listener comes and goes and its backlog is short.

use super::*;

/// A client, and the server's end once it was accepted.
struct Pair {
    client: Actor,
    server: Option<Actor>,
}

impl Pair {
    fn act(&mut self, net: &mut Network, rng: &mut Rng) {
        let key = self.client.pattern.key;
        self.client.act(net, rng, &Pattern { key: !key });
        if let Some(server) = &mut self.server {
            server.act(net, rng, &Pattern { key });
        }
    }

    /// True when it has ended, or never will, as a reset was lost that only one end needs.
    fn finish(&mut self, net: &mut Network) -> bool {
        let key = self.client.pattern.key;
        let client = self.client.finish(net, &Pattern { key: !key });
        let server = self.server.as_mut().map(|server| server.finish(net, &Pattern { key }));
        match server {
            Some(server) => client && server || (self.client.aborted || self.server_aborted()) && (client || server),
            None => true,
        }
    }

    fn server_aborted(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.aborted)
    }

    fn end(&mut self, net: &mut Network) {
        let Some(server) = &mut self.server else {
            self.client.abort(net);
            return;
        };
        let graceful = ![&self.client, server].into_iter().any(|actor| actor.aborted || actor.failed);
        if graceful {
            assert_eq!((self.client.read, server.read), (server.written, self.client.written));
        }
        [&mut self.client, server].into_iter().filter(|actor| !actor.gone).for_each(|actor| actor.abort(net));
    }
}

fn listen(net: &mut Network, host: HostId, rng: &mut Rng) -> ListenerId {
    let bind = Bind { reuse_address: true, ..Bind::new(Ipv4Addr::UNSPECIFIED.into(), 80) };
    let binding = net.stack(host).tcp_bind(&bind).unwrap();
    net.stack(host).tcp_listen(binding, rng.below(8) as usize, Options::default()).unwrap()
}

fn accept(net: &mut Network, host: HostId, listener: ListenerId, pairs: &mut [Pair]) {
    while let Some(id) = net.stack(host).tcp_accept(listener) {
        let remote = net.stack(host).tcp_addresses(id).unwrap().remote;
        let pair = pairs.iter_mut().rfind(|pair| {
            let (host, id) = pair.client.at;
            pair.server.is_none() && net.stack(host).tcp_addresses(id).is_some_and(|flow| flow.local == remote)
        });
        match pair {
            Some(pair) => pair.server = Some(Actor::new((host, id), !pair.client.pattern.key)),
            None => {
                // Its client has gone before it came.
                let now = net.now();
                net.stack(host).tcp_abort(now, id);
            }
        }
    }
}

fn crowded_course(seed: u64) {
    let mut rng = course_rng(seed);
    let conditions = course_conditions(&mut rng);
    let mut net = Network::new(seed);
    let (a, b) = (net.host("10.0.0.1/24"), net.host("10.0.0.2/24"));
    net.wire(a, b, &conditions);
    let mut listener = listen(&mut net, b, &mut rng);
    let mut pairs = Vec::new();
    let most = 10 + rng.below(40) as usize;
    for _ in 0..rng.below(150) {
        for _ in 0..rng.below(4) {
            if pairs.len() < most {
                let client = net.connect(a, "10.0.0.2:80");
                let client = Actor::new((a, client), seed.wrapping_add(pairs.len() as u64));
                pairs.push(Pair { client, server: None });
            }
        }
        if rng.below(3) == 0 {
            accept(&mut net, b, listener, &mut pairs);
        }
        if rng.below(40) == 0 {
            let now = net.now();
            net.stack(b).tcp_unlisten(now, listener);
            listener = listen(&mut net, b, &mut rng);
        }
        for pair in &mut pairs {
            pair.act(&mut net, &mut rng);
        }
        net.run_for(Duration::from_millis(u64::from(rng.below(30))));
    }
    let done = net.run_until(Duration::from_secs(6_000), |net| {
        accept(net, b, listener, &mut pairs);
        let ended = pairs.iter_mut().fold(true, |all, pair| pair.finish(net) & all);
        ended.then_some(())
    });
    assert!(done.is_some(), "seed {seed}: a connection did not end");
    for pair in &mut pairs {
        pair.end(&mut net);
    }
    let now = net.now();
    net.stack(b).tcp_unlisten(now, listener);
    assert_nothing_left(&mut net, &[a, b]);
}

#[test]
fn crowded_courses_end_with_equal_bytes_and_empty_tables() {
    let count = std::env::var("SOCKEYE_SIM_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(20);
    for seed in 0..count {
        crowded_course(seed);
    }
}
