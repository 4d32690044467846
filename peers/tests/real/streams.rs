//! netcat and socat in both roles: streams both ways at once, half-close, datagrams, a process for each connection.

use std::io::Write;
use std::thread;

use sockeye_peers::{Family, Pattern, Process, Scene, Side, in_both_families, wait_for};

const PORT: &str = "7000";
const MUCH: usize = 8 << 20;

/// A stream each way at the same time. netcat leaves when its peer has ended, so neither ends before it has heard all.
fn netcat_both_ways(family: Family, server: Side) {
    let scene = Scene::of(family);
    let client = server.other();
    let mut listen = scene.command(server, "nc");
    let (serving, mut to_server) = Process::start_with_input(listen.args(["-l", "-N", scene.address(server), PORT]));
    scene.listens(server, 7000);
    let mut connect = scene.command(client, "nc");
    let (asking, mut to_client) = Process::start_with_input(connect.args(["-N", scene.address(server), PORT]));
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

fn netcat_serves_both_ways(family: Family) {
    netcat_both_ways(family, Side::Subject);
}

fn netcat_connects_both_ways(family: Family) {
    netcat_both_ways(family, Side::Peer);
}

/// netcat closes its direction at once; the other one, from socat, must carry all the same, and its end must be seen.
fn half_closed(family: Family, server: Side, netcat: Side) {
    let scene = Scene::of(family);
    let (address, open) = (scene.address(server), netcat.other());
    let (version, host) = (scene.version(), scene.host(server));
    let listen = format!("TCP{version}-LISTEN:{PORT},bind={host}");
    let connect = format!("TCP{version}:{host}:{PORT}");
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

fn a_server_talks_on_after_the_clients_end(family: Family) {
    half_closed(family, Side::Subject, Side::Peer);
}

fn a_server_hears_on_after_its_own_end(family: Family) {
    half_closed(family, Side::Subject, Side::Subject);
}

fn a_client_talks_on_after_the_servers_end(family: Family) {
    half_closed(family, Side::Peer, Side::Peer);
}

fn a_client_hears_on_after_its_own_end(family: Family) {
    half_closed(family, Side::Peer, Side::Subject);
}

/// Question and answer in datagrams.
fn netcat_datagrams(family: Family, server: Side) {
    let scene = Scene::of(family);
    let mut listen = scene.command(server, "nc");
    let (mut serving, mut to_server) =
        Process::start_with_input(listen.args(["-u", "-l", scene.address(server), PORT]));
    scene.is_bound(server, 7000);
    let mut connect = scene.command(server.other(), "nc");
    let (mut asking, mut to_client) = Process::start_with_input(connect.args(["-u", scene.address(server), PORT]));
    for round in 0..10 {
        to_client.write_all(format!("question {round}\n").as_bytes()).unwrap();
        serving.line_with(&format!("question {round}"));
        to_server.write_all(format!("answer {round}\n").as_bytes()).unwrap();
        asking.line_with(&format!("answer {round}"));
    }
}

fn netcat_serves_datagrams(family: Family) {
    netcat_datagrams(family, Side::Subject);
}

fn netcat_sends_datagrams(family: Family) {
    netcat_datagrams(family, Side::Peer);
}

/// A server that forks for each connection and runs a program on it; eight clients at once.
fn socat_forks(family: Family, server: Side) {
    let scene = Scene::of(family);
    let (version, host) = (scene.version(), scene.host(server));
    let listen = format!("TCP{version}-LISTEN:{PORT},bind={host},fork,reuseaddr");
    let _serving = Process::start(scene.command(server, "socat").args(["-t30", &listen, "EXEC:tr a-z A-Z"]));
    scene.listens(server, 7000);
    let to = format!("TCP{version}:{host}:{PORT}");
    let clients: Vec<_> = (0..8)
        .map(|_| Process::start_with_input(scene.command(server.other(), "socat").args(["-t30", "-", &to])))
        .collect();
    for (number, (client, mut input)) in clients.into_iter().enumerate() {
        input.write_all(format!("client {number}\n").as_bytes()).unwrap();
        drop(input);
        assert_eq!(client.success().text(), format!("CLIENT {number}\n"));
    }
}

fn socat_serves_with_a_process_each(family: Family) {
    socat_forks(family, Side::Subject);
}

fn socat_asks_a_process_each(family: Family) {
    socat_forks(family, Side::Peer);
}

/// Datagrams to an echo and back; a datagram of many fragments too.
fn socat_datagrams(family: Family, server: Side) {
    let scene = Scene::of(family);
    let (version, host) = (scene.version(), scene.host(server));
    let listen = format!("UDP{version}-LISTEN:{PORT},bind={host},fork");
    let _serving = Process::start(scene.command(server, "socat").args(["-b65536", &listen, "PIPE"]));
    let to = format!("UDP{version}:{host}:{PORT}");
    for size in [1, 100, 1472, 1473, 8000, 60_000] {
        // Who served the one before has the port, too, for that one alone.
        scene.is_bound(server, 7000);
        let question = Pattern::bytes(size as u64, size);
        let mut command = scene.command(server.other(), "socat");
        let (asking, mut input) = Process::start_with_input(command.args(["-b65536", "-t3", "-", &to]));
        input.write_all(&question).unwrap();
        wait_for("the echo", || (asking.heard() >= size).then_some(()));
        drop(input);
        assert_eq!(asking.stdout(), question, "a datagram of {size} bytes came back changed");
    }
}

fn socat_serves_datagrams(family: Family) {
    socat_datagrams(family, Side::Subject);
}

fn socat_sends_datagrams(family: Family) {
    socat_datagrams(family, Side::Peer);
}

/// ping: echo requests of many sizes, also of many fragments.
fn the_subject_answers_pings_of_any_size(family: Family) {
    let scene = Scene::of(family);
    for size in ["0", "56", "1452", "1453", "1472", "1473", "8000", "65507"] {
        let mut ping = scene.command(Side::Peer, "ping");
        Process::start(ping.args(["-c2", "-i0.01", "-w30", "-s", size, scene.address(Side::Subject)])).success();
    }
}

in_both_families! {
    netcat_serves_both_ways
    netcat_connects_both_ways
    a_server_talks_on_after_the_clients_end
    a_server_hears_on_after_its_own_end
    a_client_talks_on_after_the_servers_end
    a_client_hears_on_after_its_own_end
    netcat_serves_datagrams
    netcat_sends_datagrams
    socat_serves_with_a_process_each
    socat_asks_a_process_each
    socat_serves_datagrams
    socat_sends_datagrams
    the_subject_answers_pings_of_any_size
}
