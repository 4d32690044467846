//! Frames that nobody should send. After each kind of them the subject serves on, its memory is bounded, and a node's
//! counters tell what it has refused.

use std::collections::BTreeMap;
use std::fs;

use sockeye_peers::scene::python;
use sockeye_peers::{Process, SUBJECT, Scene, Side, Subject, subject, wait_for};

/// A node at work under attack may take more than an idle one, but not at the attacker's will.
const MOST_KIB: u64 = 200 << 10;

fn attack(case: &str, more: &[&str]) -> (Scene, BTreeMap<String, u64>) {
    let scene = Scene::new();
    scene.serves_on();
    let before = counters(&scene);
    send(&scene, case, more);
    scene.serves_on();
    let mut grown = counters(&scene);
    for (name, value) in &mut grown {
        *value -= before.get(name).copied().unwrap_or(0).min(*value);
    }
    grown.retain(|_, value| *value > 0);
    if subject() == Subject::Sockeye {
        let status = fs::read_to_string(format!("/proc/{}/status", scene.node().id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let resident: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(resident < MOST_KIB, "after {case} the node occupies {resident} KiB");
    }
    (scene, grown)
}

fn send(scene: &Scene, case: &str, more: &[&str]) {
    let arp = scene.peer().enter(|| fs::read_to_string("/proc/thread-self/net/arp").unwrap()).unwrap();
    let line = arp.lines().find(|line| line.starts_with(SUBJECT)).unwrap_or_else(|| panic!("no {SUBJECT} in {arp}"));
    let mac = line.split_whitespace().nth(3).unwrap();
    let mut command = scene.peer().command(python());
    command.args(["-c", include_str!("hostile.py"), case, scene.interface(), mac, SUBJECT]).args(more);
    Process::start(&mut command).success();
}

fn counters(scene: &Scene) -> BTreeMap<String, u64> {
    if subject() == Subject::Sockeye { scene.counters() } else { BTreeMap::new() }
}

/// A node has counted at least so many under names with one of the words.
fn counted(grown: &BTreeMap<String, u64>, words: &[&str], least: u64) {
    if subject() == Subject::Kernel {
        return;
    }
    let matching = grown.iter().filter(|(name, _)| words.iter().any(|word| name.to_lowercase().contains(word)));
    let sum: u64 = matching.map(|(_, value)| value).sum();
    assert!(sum >= least, "{sum} of at least {least} counted by names with {words:?}: {grown:#?}");
}

#[test]
fn truncated_packets_are_counted() {
    let (_scene, grown) = attack("truncated", &[]);
    counted(&grown, &["truncated", "malformed", "length"], 100);
}

#[test]
fn lying_lengths_and_options_are_counted() {
    let (_scene, grown) = attack("lengths", &[]);
    counted(&grown, &["malformed", "length", "truncated", "version"], 100);
}

#[test]
fn bad_checksums_are_counted() {
    let (_scene, grown) = attack("checksums", &[]);
    counted(&grown, &["checksum"], 240);
}

#[test]
fn hostile_fragments_are_counted_and_bounded() {
    let (_scene, grown) = attack("fragments", &[]);
    counted(&grown, &["fragment", "reassembl", "overlap"], 100);
}

#[test]
fn impossible_addresses_are_counted() {
    let (_scene, grown) = attack("addresses", &[]);
    counted(&grown, &["martian", "source", "destination", "address", "not_ours", "notours"], 7);
}

#[test]
fn forged_messages_change_nothing() {
    attack("messages", &[]);
}

#[test]
fn noise_changes_nothing() {
    attack("noise", &[]);
}

#[test]
fn a_flood_of_100_000_syns_does_not_shut_a_server_out() {
    let scene = Scene::new();
    let mut serve = scene.command(Side::Subject, "socat");
    let _serving = Process::start(serve.args(["-t30", &format!("TCP4-LISTEN:80,bind={SUBJECT},fork"), "PIPE"]));
    scene.listens(Side::Subject, 80);
    scene.serves_on();
    let ask = || {
        let mut command = scene.command(Side::Peer, "nc");
        let (asking, mut input) = Process::start_with_input(command.args(["-N", SUBJECT, "80"]));
        std::io::Write::write_all(&mut input, b"still there?\n").unwrap();
        drop(input);
        assert_eq!(asking.success().text(), "still there?\n");
    };
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| send(&scene, "flood", &["80"]));
        while !flood.is_finished() {
            ask();
        }
        flood.join().unwrap();
    });
    ask();
    scene.serves_on();
    if subject() == Subject::Sockeye {
        wait_for("the half-open ones to be bounded", || {
            let half_open = scene.sockets().iter().filter(|socket| socket.state.starts_with("SYN")).count();
            (half_open <= 4096).then_some(())
        });
        let resident = fs::read_to_string(format!("/proc/{}/status", scene.node().id())).unwrap();
        assert!(resident.contains("VmRSS:"), "the node is alive");
    }
}
