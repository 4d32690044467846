//! Packet sockets: frames by hand, options, filters and rings, and the programs that live on them.

use std::collections::HashMap;

use rustix::process::Signal;
use sockeye_peers::scene::python;
use sockeye_peers::{PEER, Process, SUBJECT, Scene, Side};

/// A function of the same name in `packet.py`.
fn check(name: &str) {
    let scene = Scene::new();
    let script = scene.file("packet.py");
    std::fs::write(&script, include_str!("packet.py")).unwrap();
    let mut command = scene.command(Side::Subject, python());
    Process::start(command.arg(script).arg(name).args([SUBJECT, PEER])).success();
}

macro_rules! checks {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*
    };
}

checks! {
    frames_by_hand
    frames_that_cannot_be
    cooked
    loopback
    options
    what_is_told_beside
    filters
    rings
}

/// The packets of a file, by how often each is in it: addresses and ports, sequence numbers and lengths.
fn packets(scene: &Scene, file: &str) -> HashMap<String, u32> {
    let mut read = scene.command(Side::Peer, "tcpdump");
    let text = Process::start(read.args(["-n", "-S", "-t", "-r", file])).success().text().to_owned();
    let mut packets = HashMap::new();
    for line in text.lines() {
        *packets.entry(line.to_owned()).or_default() += 1;
    }
    packets
}

#[test]
fn tcpdump_writes_what_is_on_the_wire_while_iperf3_runs() {
    let scene = Scene::new();
    let dump = |side, file: &str| {
        let mut command = scene.command(side, "tcpdump");
        let mut dumping = Process::start(
            command.args(["-n", "-i", "veth0", "-B", "16384", "-s", "96", "-w", file, "udp", "port", "5201"]),
        );
        dumping.line_with("listening on");
        dumping
    };
    let (ours, theirs) = (dump(Side::Subject, "ours.pcap"), dump(Side::Peer, "theirs.pcap"));
    let serving = Process::start(scene.command(Side::Peer, "iperf3").args(["-s", "-1"]));
    scene.listens(Side::Peer, 5201);
    let mut ask = scene.command(Side::Subject, "iperf3");
    Process::start(ask.args(["-c", PEER, "-u", "-b", "5M", "-l", "1000", "-t", "1"])).success();
    serving.success();
    for dumping in [ours, theirs] {
        dumping.signal(Signal::INT);
        let text = dumping.success().errors();
        assert!(text.contains("0 packets dropped by kernel"), "{text}");
    }
    let (ours, theirs) = (packets(&scene, "ours.pcap"), packets(&scene, "theirs.pcap"));
    assert!(ours.values().sum::<u32>() > 500, "{}", ours.len());
    assert_eq!(ours, theirs);
}
