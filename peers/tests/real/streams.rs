//! netcat and socat in both roles: streams both ways at once, half-close, datagrams, a process for each connection.

use std::io::Write;
use std::thread;

use sockeye_peers::{Pattern, Process, Scene, Side, wait_for};

const PORT: &str = "7000";
const MUCH: usize = 8 << 20;

/// A stream each way at the same time. netcat leaves when its peer has ended, so neither ends before it has heard all.
fn netcat_both_ways(server: Side) {
    let scene = Scene::new();
    let client = server.other();
    let mut listen = scene.command(server, "nc");
    let (serving, mut to_server) = Process::start_with_input(listen.args(["-l", "-N", server.address(), PORT]));
    scene.listens(server, 7000);
    let mut connect = scene.command(client, "nc");
    let (asking, mut to_client) = Process::start_with_input(connect.args(["-N", server.address(), PORT]));
    thread::scope(|scope| {
        scope.spawn(|| to_server.write_all(&Pattern::bytes(1, MUCH)).unwrap());
        scope.spawn(|| to_client.write_all(&Pattern::bytes(2, MUCH)).unwrap());
        for process in [&serving, &asking] {
            wait_for("all of the stream", || (process.heard() >= MUCH).then_some(()));
        }
    });
    drop((to_server, to_client));
    Pattern::check(2, MUCH as u64, &mut &serving.success().stdout[..]).unwrap();
    Pattern::check(1, MUCH as u64, &mut &asking.success().stdout[..]).unwrap();
}

#[test]
fn netcat_serves_both_ways() {
    netcat_both_ways(Side::Subject);
}

#[test]
fn netcat_connects_both_ways() {
    netcat_both_ways(Side::Peer);
}

/// netcat closes its direction at once; the other one, from socat, must carry all the same, and its end must be seen.
fn half_closed(server: Side, netcat: Side) {
    let scene = Scene::new();
    let (address, open) = (server.address(), netcat.other());
    let listen = format!("TCP4-LISTEN:{PORT},bind={address}");
    let connect = format!("TCP4:{address}:{PORT}");
    let start = |side: Side| {
        let mut command = scene.command(side, if side == netcat { "nc" } else { "socat" });
        Process::start_with_input(match (side == netcat, side == server) {
            (true, true) => command.args(["-l", "-N", address, PORT]),
            (true, false) => command.args(["-N", address, PORT]),
            (false, true) => command.args(["-t60", "-", &listen]),
            (false, false) => command.args(["-t60", "-", &connect]),
        })
    };
    let first = start(server);
    scene.listens(server, 7000);
    let second = start(server.other());
    let ((mut hearing, closed), (talking, mut input)) =
        if server == netcat { (first, second) } else { (second, first) };
    drop(closed);
    input.write_all(b"after your end\n").unwrap_or_else(|error| panic!("the {open:?} has gone: {error}"));
    hearing.line_with("after your end");
    input.write_all(&Pattern::bytes(1, MUCH)).unwrap_or_else(|error| panic!("the {open:?} has gone: {error}"));
    drop(input);
    let heard = hearing.success().stdout;
    Pattern::check(1, MUCH as u64, &mut &heard[b"after your end\n".len()..]).unwrap();
    talking.success();
}

#[test]
fn a_server_talks_on_after_the_clients_end() {
    half_closed(Side::Subject, Side::Peer);
}

#[test]
fn a_server_hears_on_after_its_own_end() {
    half_closed(Side::Subject, Side::Subject);
}

#[test]
fn a_client_talks_on_after_the_servers_end() {
    half_closed(Side::Peer, Side::Peer);
}

#[test]
fn a_client_hears_on_after_its_own_end() {
    half_closed(Side::Peer, Side::Subject);
}

/// Question and answer in datagrams.
fn netcat_datagrams(server: Side) {
    let scene = Scene::new();
    let mut listen = scene.command(server, "nc");
    let (mut serving, mut to_server) = Process::start_with_input(listen.args(["-u", "-l", server.address(), PORT]));
    scene.is_bound(server, 7000);
    let mut connect = scene.command(server.other(), "nc");
    let (mut asking, mut to_client) = Process::start_with_input(connect.args(["-u", server.address(), PORT]));
    for round in 0..10 {
        to_client.write_all(format!("question {round}\n").as_bytes()).unwrap();
        serving.line_with(&format!("question {round}"));
        to_server.write_all(format!("answer {round}\n").as_bytes()).unwrap();
        asking.line_with(&format!("answer {round}"));
    }
}

#[test]
fn netcat_serves_datagrams() {
    netcat_datagrams(Side::Subject);
}

#[test]
fn netcat_sends_datagrams() {
    netcat_datagrams(Side::Peer);
}

/// A server that forks for each connection and runs a program on it; eight clients at once.
fn socat_forks(server: Side) {
    let scene = Scene::new();
    let listen = format!("TCP4-LISTEN:{PORT},bind={},fork,reuseaddr", server.address());
    let _serving = Process::start(scene.command(server, "socat").args(["-t30", &listen, "EXEC:tr a-z A-Z"]));
    scene.listens(server, 7000);
    let to = format!("TCP4:{}:{PORT}", server.address());
    let clients: Vec<_> = (0..8)
        .map(|_| Process::start_with_input(scene.command(server.other(), "socat").args(["-t30", "-", &to])))
        .collect();
    for (number, (client, mut input)) in clients.into_iter().enumerate() {
        input.write_all(format!("client {number}\n").as_bytes()).unwrap();
        drop(input);
        assert_eq!(client.success().text(), format!("CLIENT {number}\n"));
    }
}

#[test]
fn socat_serves_with_a_process_each() {
    socat_forks(Side::Subject);
}

#[test]
fn socat_asks_a_process_each() {
    socat_forks(Side::Peer);
}

/// Datagrams to an echo and back; a datagram of many fragments too.
fn socat_datagrams(server: Side) {
    let scene = Scene::new();
    let listen = format!("UDP4-LISTEN:{PORT},bind={},fork", server.address());
    let _serving = Process::start(scene.command(server, "socat").args(["-b65536", &listen, "PIPE"]));
    scene.is_bound(server, 7000);
    let to = format!("UDP4:{}:{PORT}", server.address());
    for size in [1, 100, 1472, 1473, 8000, 60_000] {
        let question = Pattern::bytes(size as u64, size);
        let mut command = scene.command(server.other(), "socat");
        let (asking, mut input) = Process::start_with_input(command.args(["-b65536", "-t3", "-", &to]));
        input.write_all(&question).unwrap();
        wait_for("the echo", || (asking.heard() >= size).then_some(()));
        drop(input);
        assert_eq!(asking.stdout(), question, "a datagram of {size} bytes came back changed");
    }
}

#[test]
fn socat_serves_datagrams() {
    socat_datagrams(Side::Subject);
}

#[test]
fn socat_sends_datagrams() {
    socat_datagrams(Side::Peer);
}

/// ping: echo requests of many sizes, also of many fragments.
#[test]
fn the_subject_answers_pings_of_any_size() {
    let scene = Scene::new();
    for size in ["0", "56", "1472", "1473", "8000", "65507"] {
        let mut ping = scene.command(Side::Peer, "ping");
        Process::start(ping.args(["-c2", "-i0.01", "-w30", "-s", size, Side::Subject.address()])).success();
    }
}
