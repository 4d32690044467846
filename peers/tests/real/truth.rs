//! What the node says of itself, against what the kernel sees of it; and that it costs nothing when it has nothing to do.
//! For the node only: `cargo xtask test` leaves these out for the kernel as subject.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use sockeye_peers::scene::Socket;
use sockeye_peers::{Family, Process, Scene, Setup, Side, in_both_families, wait_for};

/// Ticks of user and system time that a process has used, by proc(5): the 14th and 15th word of `stat`.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, words) = stat.rsplit_once(')').unwrap();
    words.split_whitespace().skip(11).take(2).map(|word| word.parse::<u64>().unwrap()).sum()
}

fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_idle_node_costs_nothing() {
    let scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    // Connections that are open and quiet are part of being idle; this server takes those of both families.
    let mut listen = scene.command(Side::Subject, "socat");
    let _serving = Process::start(listen.args(["TCP6-LISTEN:7000,ipv6only=0,fork", "PIPE"]));
    scene.listens(Side::Subject, 7000);
    let quiet: Vec<_> = [Side::Subject.address(), Side::Subject.address6()]
        .into_iter()
        .flat_map(|own| [own; 10])
        .map(|own| Process::start_with_input(scene.command(Side::Peer, "nc").args(["-N", own, "7000"])))
        .collect();
    wait_for("20 connections", || (established(&scene).len() == 20).then_some(()));
    // Let what the setup has started come to its end: the test is about the time after.
    let node = scene.node().id();
    let mut before = ticks(node);
    let settled = wait_for("a quiet node", || {
        thread::sleep(Duration::from_millis(500));
        let now = ticks(node);
        let quiet = now == before;
        before = now;
        quiet.then_some(now)
    });
    // Here, and only here, the passing of time is what is tested.
    thread::sleep(Duration::from_secs(3));
    let used = ticks(node) - settled;
    assert!(used <= 1, "an idle node used {used} ticks in three seconds");
    let resident = resident_kib(node);
    assert!(resident < 20 << 10, "an idle node occupies {resident} KiB");
    drop(quiet);
}

/// The node's established TCP sockets: local and peer.
fn established(scene: &Scene) -> BTreeSet<(String, String)> {
    let sockets = scene.sockets().into_iter();
    sockets
        .filter(|socket| socket.protocol == "tcp" && socket.state.starts_with("ESTAB"))
        .map(|socket| (socket.local, socket.peer))
        .collect()
}

/// The kernel's established sockets at the peer, seen from the other end: peer and local.
fn established_at_peer(scene: &Scene) -> BTreeSet<(String, String)> {
    let mut ss = scene.command(Side::Peer, "ss");
    let shown = Process::start(ss.args(["-H", "-t", "-n", "state", "established"])).success().text();
    let addresses = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[3].to_owned(), words[2].to_owned())
    };
    shown.lines().map(addresses).collect()
}

fn show_sockets_is_what_the_kernel_sees(family: Family) {
    let scene = Scene::of(family);
    let serve = |side: Side| {
        let listen = format!("TCP{}-LISTEN:7000,bind={},fork", scene.version(), scene.host(side));
        let server = Process::start(scene.command(side, "socat").args([&listen, "PIPE"]));
        scene.listens(side, 7000);
        server
    };
    let _servers = [serve(Side::Peer), serve(Side::Subject)];
    let mut clients: Vec<_> = [Side::Peer, Side::Subject]
        .into_iter()
        .flat_map(|side| [side; 5])
        .map(|side| {
            let server = scene.address(side.other());
            Process::start_with_input(scene.command(side, "nc").args(["-N", server, "7000"]))
        })
        .collect();
    for (client, input) in &mut clients {
        input.write_all(b"hello\n").unwrap();
        client.line_with("hello");
    }
    let expected = established_at_peer(&scene);
    assert_eq!(expected.len(), 10);
    assert_eq!(established(&scene), expected);
    let listening = scene.sockets().into_iter().filter(|socket| socket.state.starts_with("LISTEN"));
    assert_eq!(
        listening.map(|socket| socket.local).collect::<Vec<_>>(),
        [format!("{}:7000", scene.host(Side::Subject))]
    );
    // All was echoed; who hears the echo confirms it a moment later.
    wait_for("empty queues", || {
        let is_empty = |socket: &Socket| (socket.receive_queue, socket.send_queue) == (Some(0), Some(0));
        let all = scene.sockets();
        all.iter().all(|socket| socket.state.starts_with("LISTEN") || is_empty(socket)).then_some(())
    });

    for (client, input) in clients {
        drop(input);
        client.success();
    }
    wait_for("the end of the connections", || established(&scene).is_empty().then_some(()));
}

/// A stream to a receiver that has been stopped; returns when neither end can take any more.
fn stalled(scene: &Scene, receiver: Side) -> (Process, Process, std::process::ChildStdin) {
    let mut listen = scene.command(receiver, "nc");
    let mut receiving = Process::start(listen.args(["-l", scene.address(receiver), "7000"]));
    scene.listens(receiver, 7000);
    let mut connect = scene.command(receiver.other(), "nc");
    let (sending, mut input) = Process::start_with_input(connect.args(["-N", scene.address(receiver), "7000"]));
    input.write_all(b"first\n").unwrap();
    receiving.line_with("first");
    receiving.signal(Signal::STOP);
    input.write_all(&[b'x'; 50_000]).unwrap();
    (sending, receiving, input)
}

fn queues_are_shown_where_the_bytes_are(family: Family) {
    let scene = Scene::of(family);
    let (sending, receiving, mut input) = stalled(&scene, Side::Peer);
    let pushing = thread::spawn(move || input.write_all(&vec![b'y'; 64 << 20]));
    wait_for("bytes that the peer has no room for", || {
        let socket = scene.sockets().into_iter().find(|socket| socket.state.starts_with("ESTAB"))?;
        (socket.send_queue > Some(0)).then_some(())
    });
    receiving.signal(Signal::CONT);
    pushing.join().unwrap().unwrap();
    sending.success();
    receiving.success();

    let (sending, receiving, mut input) = stalled(&scene, Side::Subject);
    let pushing = thread::spawn(move || input.write_all(&vec![b'y'; 64 << 20]));
    wait_for("bytes that the program does not read", || {
        let socket = scene.sockets().into_iter().find(|socket| socket.state.starts_with("ESTAB"))?;
        (socket.receive_queue > Some(0)).then_some(())
    });
    receiving.signal(Signal::CONT);
    pushing.join().unwrap().unwrap();
    sending.success();
    receiving.success();
}

fn nothing_is_left_when_the_programs_have_ended(family: Family) {
    let scene = Scene::of(family);
    let mut listen = scene.command(Side::Subject, "socat");
    let serving = Process::start(listen.args(["-t30", &format!("TCP{}-LISTEN:7000,fork", scene.version()), "PIPE"]));
    let mut datagrams = scene.command(Side::Subject, "socat");
    let echo = Process::start(datagrams.args([&format!("UDP{}-LISTEN:7001,fork", scene.version()), "PIPE"]));
    scene.listens(Side::Subject, 7000);
    scene.is_bound(Side::Subject, 7001);
    for side in [Side::Peer, Side::Peer, Side::Peer] {
        let mut connect = scene.command(side, "nc");
        let (client, mut input) = Process::start_with_input(connect.args(["-N", scene.address(Side::Subject), "7000"]));
        input.write_all(b"hello\n").unwrap();
        drop(input);
        assert_eq!(client.success().text(), "hello\n");
    }
    drop((serving, echo));
    wait_for("the sockets to go", || {
        scene.sockets().iter().all(|socket| socket.state.starts_with("TIME")).then_some(())
    });
}

fn show_tells_neighbors_routes_and_addresses(family: Family) {
    let scene = Scene::of(family);
    scene.serves_on();
    let mac = scene.peer().mac(scene.interface()).unwrap().map(|byte| format!("{byte:02x}")).join(":");
    let neighbors = scene.show("neighbors").to_string();
    let (peer, network) = (scene.address(Side::Peer), if family == Family::V4 { "10.9.0.0/24" } else { "fd09::/64" });
    assert!(neighbors.contains(peer) && neighbors.contains(&mac), "{neighbors} without {peer} at {mac}");
    assert!(scene.show("routes").to_string().contains(network));
    assert!(scene.show("addresses").to_string().contains(scene.address(Side::Subject)));
    assert!(scene.show("interfaces").to_string().contains(scene.interface()));
    for table in ["interfaces", "addresses", "routes", "neighbors", "sockets", "queues", "counters"] {
        assert!(!scene.sockeye(&["show", table]).success().stdout.is_empty(), "show {table} says nothing");
    }
}

in_both_families! {
    show_sockets_is_what_the_kernel_sees
    queues_are_shown_where_the_bytes_are
    nothing_is_left_when_the_programs_have_ended
    show_tells_neighbors_routes_and_addresses
}
