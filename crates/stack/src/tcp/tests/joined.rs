//! Connections within the host: what others can see of them.

use super::*;
use crate::BindingId;
use crate::tcp::{Flow, JoinedId, Side};

fn listen(bench: &mut Bench, address: IpAddr, port: u16, backlog: usize) -> ListenerId {
    let binding = bench.stack.tcp_bind(&Bind::new(address, port)).unwrap();
    bench.stack.tcp_listen(binding, backlog, Options::default()).unwrap()
}

fn join(bench: &mut Bench, binding: Option<BindingId>, remote: SocketAddr) -> Option<JoinedId> {
    let now = bench.now;
    bench.stack.tcp_join(now, binding, remote)
}

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn own(port: u16) -> SocketAddr {
    SocketAddr::new(OUR_IP.into(), port)
}

#[test]
fn both_ends_know_their_addresses_and_nothing_is_sent() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, ANY, 80, 8);
    let id = join(&mut bench, None, own(80)).unwrap();
    assert_eq!(bench.stack.poll_event(), Some(crate::Event::Listener(listener)));
    assert_eq!(bench.stack.tcp_accept_queue(listener).0, 1);
    assert_eq!(bench.stack.tcp_accept(listener), None, "it is no connection with segments");
    assert_eq!(bench.stack.tcp_accept_joined(listener), Some(id));
    assert_eq!(bench.stack.tcp_accept_joined(listener), None);
    let Flow { local, remote } = bench.stack.tcp_joined_addresses(id, Side::Connecting).unwrap();
    assert_eq!((local.ip(), remote), (OUR_IP.into(), own(80)));
    let there = bench.stack.tcp_joined_addresses(id, Side::Accepting).unwrap();
    assert_eq!((there.local, there.remote), (remote, local));
    bench.poll();
    bench.silent();
}

#[test]
fn what_cannot_be_joined_is_left_to_the_handshake() {
    let mut bench = Bench::new();
    assert_eq!(join(&mut bench, None, own(80)), None, "nobody listens");
    let listener = listen(&mut bench, OUR_IP.into(), 80, 1);
    assert_eq!(join(&mut bench, None, SocketAddr::from(([127, 0, 0, 1], 80))), None, "at another address");
    assert_eq!(join(&mut bench, None, SocketAddr::new(PEER_IP.into(), 80)), None, "elsewhere");
    assert!(join(&mut bench, None, own(80)).is_some() && join(&mut bench, None, own(80)).is_some());
    assert_eq!(join(&mut bench, None, own(80)), None, "the queue is full");
    bench.stack.tcp_accept_joined(listener).unwrap();
    assert!(join(&mut bench, None, own(80)).is_some());
    let deferred = bench.stack.tcp_bind(&Bind::new(ANY, 81)).unwrap();
    let options = Options { defer_accept: Some(std::time::Duration::from_secs(1)), ..Options::default() };
    bench.stack.tcp_listen(deferred, 8, options).unwrap();
    assert_eq!(join(&mut bench, None, own(81)), None, "it is accepted with its data");
}

#[test]
fn ports_are_taken_while_one_end_lives() {
    let mut bench = Bench::new();
    let before = bench.stack.tcp_table_sizes();
    let listener = listen(&mut bench, ANY, 80, 8);
    let binding = bench.stack.tcp_bind(&Bind { reuse_address: true, ..Bind::new(OUR_IP.into(), 5_000) }).unwrap();
    let id = join(&mut bench, Some(binding), own(80)).unwrap();
    bench.stack.tcp_accept_joined(listener).unwrap();
    bench.stack.tcp_unlisten(bench.now, listener);
    let is_free = |bench: &mut Bench, port| {
        let bound = bench.stack.tcp_bind(&Bind::new(OUR_IP.into(), port));
        bound.map(|binding| bench.stack.tcp_unbind(binding)).is_ok()
    };
    bench.stack.tcp_joined_close(id, Side::Connecting);
    bench.stack.tcp_joined_close(id, Side::Connecting);
    assert!(!is_free(&mut bench, 80) && !is_free(&mut bench, 5_000));
    // The same four addresses, from either end.
    let again = bench.stack.tcp_bind(&Bind { reuse_address: true, ..Bind::new(OUR_IP.into(), 5_000) }).unwrap();
    let refused = bench.stack.tcp_connect(bench.now, Some(again), own(80), Options::default());
    assert_eq!(refused, Err(crate::tcp::ConnectError::InUse));
    bench.stack.tcp_unbind(again);
    bench.stack.tcp_joined_close(id, Side::Accepting);
    assert!(is_free(&mut bench, 80) && is_free(&mut bench, 5_000));
    assert_eq!(bench.stack.tcp_table_sizes(), before);
    assert!(bench.stack.tcp_joined_addresses(id, Side::Accepting).is_none());
}

#[test]
fn states_follow_what_each_end_has_said() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, ANY, 80, 8);
    let id = join(&mut bench, None, own(80)).unwrap();
    bench.stack.tcp_accept_joined(listener).unwrap();
    let states = |bench: &Bench| {
        [Side::Connecting, Side::Accepting].map(|side| bench.stack.tcp_joined_info(id, side).unwrap().state)
    };
    assert_eq!(states(&bench), [State::Established; 2]);
    bench.stack.tcp_joined_shutdown(id, Side::Accepting);
    assert_eq!(states(&bench), [State::CloseWait, State::FinWait2]);
    bench.stack.tcp_joined_close(id, Side::Connecting);
    assert_eq!(states(&bench), [State::Closed; 2]);
}

#[test]
fn a_listener_that_goes_lets_go_of_what_waits() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, ANY, 80, 8);
    let id = join(&mut bench, None, own(80)).unwrap();
    bench.stack.tcp_unlisten(bench.now, listener);
    assert_eq!(bench.stack.tcp_joined_info(id, Side::Connecting).unwrap().state, State::CloseWait);
    bench.stack.tcp_joined_close(id, Side::Connecting);
    let joined = bench.stack.tcp_table_sizes().into_iter().find(|(name, _)| *name == "joined");
    assert_eq!(joined, Some(("joined", 0)));
}
