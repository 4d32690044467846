//! Packet sockets: frames by hand, options, filters and rings, and the programs that live on them.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use sockeye_peers::scene::python;
use sockeye_peers::{Family, Process, Scene, Side, checks, in_both_families, wait_for};

/// A function of the same name in `packet.py`.
fn check(family: Family, name: &str) {
    let scene = Scene::of(family);
    let ends = [Side::Subject, Side::Peer].map(|side| scene.address(side));
    let mut script = scene.script(Side::Subject, "packet.py", include_str!("packet.py"));
    Process::start(script.arg(name).args(ends)).success();
}

checks! {
    in both families:
    // These send nothing of either family, or what they send of both.
    [ipv4:
        frames_that_cannot_be
        options
        headers_of_two_lengths
        filters
        filters_of_datagrams
        filters_of_raw_packets
        rings_of_nothing
    ]
    frames_by_hand
    cooked
    loopback
    what_is_told_beside
    rings
}

/// The frames of a file, each with its length on the wire and what was kept of it, by how often it is in it. What tells them apart is all
/// but the times.
fn frames(file: &Path) -> HashMap<(u32, Vec<u8>), u32> {
    let bytes = std::fs::read(file).unwrap();
    let (header, mut rest) = bytes.split_at(24);
    assert_eq!(header[..4], 0xa1b2_c3d4_u32.to_ne_bytes(), "the usual format");
    let mut frames = HashMap::new();
    while let Some((record, behind)) = rest.split_at_checked(16) {
        let [kept, len] = [8, 12].map(|at| u32::from_ne_bytes(record[at..at + 4].try_into().unwrap()));
        let (frame, behind) = behind.split_at(kept as usize);
        *frames.entry((len, frame.to_vec())).or_default() += 1;
        rest = behind;
    }
    assert!(rest.is_empty());
    frames
}

/// What tcpdump writes on both ends, through this filter, while iperf3 speaks in this way. The last packet that passes is one of UDP.
fn tcpdump_and_iperf3(family: Family, filter: &str, options: &[&str]) {
    const LAST: &[u8] = b"endendendend";
    let scene = Scene::of(family);
    let files = [(Side::Subject, scene.file("ours.pcap")), (Side::Peer, scene.file("theirs.pcap"))];
    // tcpdump gives up being root, and must still be able to write.
    let directory = files[0].1.parent().unwrap();
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
    let serving = Process::start(scene.command(Side::Peer, "iperf3").args(["-s", "-1"]));
    scene.listens(Side::Peer, 5201);
    let dumping = files.clone().map(|(side, file)| {
        let mut command = scene.command(side, "tcpdump");
        command.args(["-n", "-U", "-i", "veth0", "-B", "65536", "-s", "128", "-w"]).arg(file);
        let mut dumping = Process::start(command.arg(filter));
        dumping.line_with("listening on");
        dumping
    });
    let to = scene.address(Side::Peer);
    let mut ask = scene.command(Side::Subject, "iperf3");
    Process::start(ask.args(["-c", to]).args(options)).success();
    serving.success();
    let number = if family == Family::V4 { 2 } else { 10 };
    let last = format!("import socket; socket.socket({number}, 2).sendto(b'endendendend', ('{to}', 5201))");
    Process::start(scene.command(Side::Subject, python()).args(["-c", &last])).success();
    for ((_, file), dumping) in files.iter().zip(dumping) {
        wait_for("the last packet in the capture", || {
            let bytes = std::fs::read(file).ok()?;
            bytes.windows(LAST.len()).any(|seen| seen == LAST).then_some(())
        });
        dumping.signal(Signal::INT);
        let said = dumping.success().errors();
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
    }
    let [ours, theirs] = files.map(|(_, file)| frames(&file));
    assert!(ours.values().sum::<u32>() > 500, "{}", ours.len());
    let differ = ours.iter().filter(|(frame, count)| theirs.get(*frame) != Some(count)).count();
    assert!(differ == 0 && ours.len() == theirs.len(), "{differ} of {} and {}", ours.len(), theirs.len());
}

fn tcpdump_writes_what_is_on_the_wire_while_iperf3_sends_datagrams(family: Family) {
    let filter = if family == Family::V4 { "udp port 5201" } else { "ip6 and udp port 5201" };
    tcpdump_and_iperf3(family, filter, &["-u", "-b", "5M", "-l", "1000", "-n", "600K"]);
}

/// Segments are compared as they are on the wire: super-frames as one, whichever way they go.
fn tcpdump_writes_what_is_on_the_wire_while_iperf3_streams(family: Family) {
    let filter = if family == Family::V4 { "ip and port 5201" } else { "ip6 and port 5201" };
    tcpdump_and_iperf3(family, filter, &["-n", "30M", "-b", "120M"]);
}

mod captures {
    use super::*;

    in_both_families! {
        tcpdump_writes_what_is_on_the_wire_while_iperf3_sends_datagrams
        tcpdump_writes_what_is_on_the_wire_while_iperf3_streams
    }
}
