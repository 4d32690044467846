//! Packet sockets: frames by hand, options, filters and rings, and the programs that live on them.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use sockeye_peers::scene::python;
use sockeye_peers::{PEER, Process, SUBJECT, Scene, Side, checks, wait_for};

/// A function of the same name in `packet.py`.
fn check(name: &str) {
    let scene = Scene::new();
    let mut script = scene.script(Side::Subject, "packet.py", include_str!("packet.py"));
    Process::start(script.arg(name).args([SUBJECT, PEER])).success();
}

checks! {
    frames_by_hand
    frames_that_cannot_be
    cooked
    loopback
    options
    what_is_told_beside
    filters
    filters_of_datagrams
    filters_of_raw_packets
    rings
    rings_of_nothing
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

#[test]
fn tcpdump_writes_what_is_on_the_wire_while_iperf3_runs() {
    const LAST: &[u8] = b"endendendend";
    let scene = Scene::new();
    let files = [(Side::Subject, scene.file("ours.pcap")), (Side::Peer, scene.file("theirs.pcap"))];
    // tcpdump gives up being root, and must still be able to write.
    let directory = files[0].1.parent().unwrap();
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
    let dumping = files.clone().map(|(side, file)| {
        let mut command = scene.command(side, "tcpdump");
        command.args(["-n", "-U", "-i", "veth0", "-B", "16384", "-s", "96", "-w"]).arg(file);
        let mut dumping = Process::start(command.args(["udp", "port", "5201"]));
        dumping.line_with("listening on");
        dumping
    });
    let serving = Process::start(scene.command(Side::Peer, "iperf3").args(["-s", "-1"]));
    scene.listens(Side::Peer, 5201);
    let mut ask = scene.command(Side::Subject, "iperf3");
    Process::start(ask.args(["-c", PEER, "-u", "-b", "5M", "-l", "1000", "-t", "1"])).success();
    serving.success();
    let last = format!("import socket; socket.socket(2, 2).sendto(b'endendendend', ('{PEER}', 5201))");
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
