//! Short connections one after the other between the same two hosts, in no time: each meets what the ones before have left.

use super::*;

/// A connection from `binding` that the server ends first, so that it keeps TIME-WAIT. Returns how long the handshake
/// took.
fn short_connection(
    net: &mut Network,
    (a, b): (HostId, HostId),
    listener: ListenerId,
    binding: Option<BindingId>,
) -> Duration {
    let (began, remote) = (net.now(), "10.0.0.2:80".parse().unwrap());
    let client = net.stack(a).tcp_connect(began, binding, remote, Options::default()).expect("the port is free");
    let server =
        net.run_until(Duration::from_secs(60), |net| net.stack(b).tcp_accept(listener)).expect("it is accepted");
    let opened = net.now();
    net.stack(b).tcp_close(opened, server);
    net.run_until(Duration::from_secs(1), |net| net.stack(a).tcp_status(client).peer_closed.then_some(()))
        .expect("an end");
    let now = net.now();
    net.stack(a).tcp_close(now, client);
    net.run_until(Duration::from_secs(1), |net| (net.stack(a).tcp_table_sizes()[2].1 == 0).then_some(()))
        .expect("closed");
    opened.since(began)
}

fn two_idle_hosts() -> (Network, (HostId, HostId), ListenerId) {
    let mut net = Network::new(11);
    let (a, b) = (net.host("10.0.0.1/24"), net.host("10.0.0.2/24"));
    net.wire(a, b, &Conditions::default());
    let listener = net.listen(b, 80);
    (net, (a, b), listener)
}

#[test]
fn thousands_of_short_connections_in_one_millisecond_meet_none_of_their_predecessors() {
    let (mut net, hosts, listener) = two_idle_hosts();
    for number in 0..3_000 {
        let took = short_connection(&mut net, hosts, listener, None);
        assert!(took < Duration::from_millis(1), "connection {number} took {took:?}");
    }
}

#[test]
fn a_connection_from_the_port_of_one_that_has_just_ended_waits_for_milliseconds_only() {
    let (mut net, (a, b), listener) = two_idle_hosts();
    let bind = Bind { reuse_address: true, ..Bind::new("10.0.0.1".parse().unwrap(), 40_000) };
    for _ in 0..10 {
        let binding = net.stack(a).tcp_bind(&bind).unwrap();
        let took = short_connection(&mut net, (a, b), listener, Some(binding));
        assert!(took < Duration::from_millis(10), "it took {took:?}");
    }
}
