//! What breaks the node, or should not: its death, its end, garbage on its control socket, wrong words at its command line.
//! The kernel as subject has none of these; `cargo xtask test` leaves them out for it.

use std::io::Write;

use rustix::process::Signal;
use sockeye_peers::scene::{python, sockeye_path};
use sockeye_peers::{Family, Finished, Process, Scene, Side, in_both_families};

use crate::faults::{endless, gone};

fn one_line(ended: &Finished) {
    let errors = ended.errors();
    assert_eq!(errors.trim_end().lines().count(), 1, "{ended}");
    assert!(!errors.contains("panicked"), "{ended}");
}

fn programs_get_an_error_when_the_node_is_killed(family: Family) {
    let mut scene = Scene::of(family);
    let [own, peer] = [Side::Subject, Side::Peer].map(|side| scene.address(side));
    // One that sends, one that receives, one that waits for somebody to connect.
    let (sending, _receiving) = endless(&scene, Side::Subject);
    let mut listen = scene.command(Side::Peer, "nc");
    let (_silent, _input) = Process::start_with_input(listen.args(["-l", peer, "7001"]));
    scene.listens(Side::Peer, 7001);
    let url = format!("http://{}:7001/", scene.host(Side::Peer));
    let fetching = Process::start(scene.command(Side::Subject, "curl").args(["-sS", &url]));
    let mut accept = scene.command(Side::Subject, "nc");
    let (accepting, _more) = Process::start_with_input(accept.args(["-l", own, "7002"]));
    scene.listens(Side::Subject, 7002);

    let node = scene.take_node();
    node.signal(Signal::KILL);
    node.finish();
    for (program, what) in [(sending, "sends"), (fetching, "receives"), (accepting, "accepts")] {
        let ended = program.finish();
        assert!(!ended.status.success(), "the program that {what} noticed nothing: {ended}");
    }
    let refused = Process::start(scene.command(Side::Subject, "curl").args(["-sS", &url])).finish();
    assert!(!refused.status.success(), "{refused}");
    assert_eq!(refused.errors().trim().lines().count(), 1, "{refused}");

    // What the dead one left at the control path is in nobody's way.
    let next = scene.start_node();
    scene.serves_on();
    assert!(scene.sockeye(&["down"]).status.success());
    next.success();
}

fn a_program_goes_on_with_the_next_node(family: Family) {
    let mut scene = Scene::of(family);
    let [own, peer] = [Side::Subject, Side::Peer].map(|side| scene.address(side));
    let mut helper = scene.script(Side::Peer, "calls_peer.py", include_str!("calls_peer.py"));
    let _helper = Process::start(helper.args([peer, own]));
    scene.listens(Side::Peer, 7000);
    let mut program = scene.script(Side::Subject, "next_node.py", include_str!("next_node.py"));
    let (mut program, mut input) = Process::start_with_input(program.arg(peer));
    program.line_with("connected");

    let node = scene.take_node();
    node.signal(Signal::KILL);
    node.finish();
    input.write_all(b"none\n").unwrap();
    program.line_with("without");
    let _next = scene.start_node();
    input.write_all(b"next\n").unwrap();
    program.success();
}

#[test]
fn a_node_stops_when_told() {
    let mut scene = Scene::new();
    scene.stop_node();
    assert!(!scene.control().exists(), "the control socket was left");
    let node = scene.start_node();
    node.signal(Signal::TERM);
    node.finish();
    let gone = scene.sockeye(&["show", "sockets"]);
    assert_eq!(gone.status.code(), Some(1), "{gone}");
    one_line(&gone);
}

fn a_node_that_stops_delivers_what_a_program_wrote_before_it_closed(family: Family) {
    const BYTES: usize = 500_000;
    let mut scene = Scene::of(family);
    let node = scene.take_node();
    let address = scene.address(Side::Peer);
    let number = if family == Family::V4 { "AF_INET" } else { "AF_INET6" };
    let read_late = format!(
        "import socket, sys\nserver = socket.create_server(('{address}', 7000), family=socket.{number})\nconnection, _ = server.accept()\n\
         sys.stdin.readline()\ncount = 0\nwhile data := connection.recv(65536): count += len(data)\nprint(count)"
    );
    let mut command = scene.command(Side::Peer, python());
    let (server, mut input) = Process::start_with_input(command.args(["-c", &read_late]));
    scene.listens(Side::Peer, 7000);
    let write = format!("import socket\nsocket.create_connection(('{address}', 7000)).sendall(bytes({BYTES}))");
    Process::start(scene.command(Side::Subject, python()).args(["-c", &write])).success();
    node.signal(Signal::TERM);
    input.write_all(b"\n").unwrap();
    assert_eq!(server.success().text().trim(), BYTES.to_string());
    node.finish();
}

#[test]
fn garbage_on_the_control_socket_is_nobody_elses_trouble() {
    let scene = Scene::new();
    let mut garbage = scene.script(Side::Peer, "garbage.py", include_str!("garbage.py"));
    Process::start(garbage.arg(scene.control())).success();
    scene.serves_on();
    gone(&scene);
}

#[test]
fn wrong_command_lines_are_told_in_one_line() {
    let wrong: &[&[&str]] = &[
        &["frobnicate"],
        &["up", "-i"],
        &["up", "-i", "veth0", "-a", "10.9.0.2/33"],
        &["up", "-i", "veth0", "-a", "10.9.0.256/24"],
        &["up", "-i", "veth0", "-a", "fd09::2/129"],
        &["up", "-i", "veth0", "-a", "fd09::20000/64"],
        &["up", "-i", "veth0", "-a", "10.9.0.2/24", "--driver", "carrier-pigeon"],
        &["up", "-i", "veth0", "-a", "10.9.0.2/24", "--mac", "ff:ff"],
        &["up", "-i", "veth0", "-a", "10.9.0.2/24", "-g", "nowhere"],
        &["up", "-i", "veth0", "-a", "fd09::2/64", "-g", "fd09::1::"],
        &["run"],
        &["run", "--"],
        &["show", "weather"],
        &["show"],
        &["down", "now"],
        &["show", "sockets", "--control"],
    ];
    let lab = sockeye_lab::Lab::new().unwrap();
    let host = lab.host("alone").unwrap();
    for arguments in wrong {
        let ended = Process::start(host.command(&sockeye_path()).args(*arguments)).finish();
        assert_eq!(ended.status.code(), Some(2), "{ended}");
        one_line(&ended);
    }
    let failing: &[&[&str]] = &[
        &["show", "sockets", "--control", "/nonexistent/socket"],
        &["down", "--control", "/nonexistent/socket"],
        &["run", "--control", "/nonexistent/socket", "--", "true"],
        &["up", "-i", "nosuch0", "-a", "10.9.0.2/24", "--control", "/tmp/sockeye-nosuch"],
        &["up", "-i", "nosuch0", "-a", "fd09::2/64", "--control", "/tmp/sockeye-nosuch"],
    ];
    for arguments in failing {
        let ended = Process::start(host.command(&sockeye_path()).args(*arguments)).finish();
        assert_eq!(ended.status.code(), Some(1), "{ended}");
        one_line(&ended);
    }
}

#[test]
fn the_kernels_own_addresses_are_refused() {
    let lab = sockeye_lab::Lab::new().unwrap();
    let host = lab.host("alone").unwrap();
    for address in ["10.9.0.2/24", "fd00:9::2/64", "fe80::2/64"] {
        let mut add = host.command("ip");
        Process::start(add.args(["address", "add", address, "dev", "lo", "nodad"])).success();
        let mut up = host.command(&sockeye_path());
        let ended =
            Process::start(up.args(["up", "-i", "lo", "-a", address, "--control", "/tmp/sockeye-none"])).finish();
        assert_eq!(ended.status.code(), Some(1), "{ended}");
        one_line(&ended);
        assert!(ended.errors().contains("the kernel's own address"), "{ended}");
    }
}

fn two_nodes_live_on_one_interface(family: Family) {
    let scene = Scene::of(family);
    let control = scene.file("second");
    let (second, length) = if family == Family::V4 { ("10.9.0.7", 24) } else { ("fd09::7", 64) };
    let mut up = scene.subject_host().command(&sockeye_path());
    up.args(["up", "-i", scene.interface(), "-a", &format!("{second}/{length}"), "--control"]).arg(&control);
    let mut node = Process::start(&mut up);
    node.line_with("ready");
    scene.serves_on();
    let mut ping = scene.command(Side::Peer, "ping");
    Process::start(ping.args(["-c1", "-w10", second])).success();
    let known = Process::start(scene.command(Side::Peer, "ip").args(["neighbor"])).success().text();
    let station = |address: &str| {
        let line = known.lines().find(|line| line.starts_with(&format!("{address} ")));
        line.and_then(|line| line.split(" lladdr ").nth(1)?.split(' ').next()).unwrap_or_else(|| panic!("{known}"))
    };
    assert_ne!(station(second), station(scene.address(Side::Subject)));
    let mut down = scene.subject_host().command(&sockeye_path());
    Process::start(down.args(["down", "--control"]).arg(&control)).success();
    node.success();
    scene.serves_on();
}

/// A small one: what it carries it compares itself, and its story tells frames of either family.
fn the_demo_ends_well(family: Family) {
    let host = sockeye_lab::Lab::new().unwrap().host("alone").unwrap();
    let mut demo = host.command(&sockeye_path());
    demo.args(["demo", "--size", "1"]).args((family == Family::V6).then_some("--ipv6"));
    let told = Process::start(&mut demo).success();
    let found = if family == Family::V4 { "is at" } else { "→ icmp6" };
    for expected in [found, "→ SYN seq 0", "← SYN|ACK seq 0 ack 1", "every file arrived as it was sent", "All well"]
    {
        assert!(told.text().contains(expected), "no {expected:?}: {told}\n{}", told.text());
    }
}

in_both_families! {
    the_demo_ends_well
    programs_get_an_error_when_the_node_is_killed
    a_program_goes_on_with_the_next_node
    two_nodes_live_on_one_interface
    a_node_that_stops_delivers_what_a_program_wrote_before_it_closed
}
