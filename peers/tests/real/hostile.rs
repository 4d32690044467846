//! Frames that nobody should send. After each kind of them the subject serves on, its memory is bounded, and a node's
//! counters tell what it has refused.

use std::collections::BTreeMap;
use std::fs;

use sockeye_peers::{Family, Process, Scene, Setup, Side, Subject, in_both_families, subject, wait_for};

/// A node at work under attack may take more than an idle one, but not at the attacker's will.
const MOST_KIB: u64 = 200 << 10;

fn attack(family: Family, case: &str) -> (Scene, BTreeMap<String, u64>) {
    let scene = Scene::of(family);
    scene.serves_on();
    // Whoever claims an address while it is still asked for gets it (RFC 4862, 5.4.5).
    scene.settles();
    let before = counters(&scene);
    send(&scene, case, &[]);
    scene.serves_on();
    let mut grown = counters(&scene);
    for (name, value) in &mut grown {
        *value -= before.get(name).copied().unwrap_or(0).min(*value);
    }
    grown.retain(|_, value| *value > 0);
    is_bounded(&scene, case);
    (scene, grown)
}

fn is_bounded(scene: &Scene, after: &str) {
    if subject() == Subject::Kernel {
        return;
    }
    let status = fs::read_to_string(format!("/proc/{}/status", scene.node().id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let resident: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(resident < MOST_KIB, "after {after} the node occupies {resident} KiB");
}

fn send(scene: &Scene, case: &str, more: &[&str]) {
    let (mac, target) = (scene.mac_of_subject(), scene.address(Side::Subject));
    let (text, own) = match scene.family() {
        Family::V4 => (include_str!("hostile.py"), None),
        Family::V6 => (include_str!("hostile6.py"), Some(scene.address(Side::Peer))),
    };
    let mut script = scene.script(Side::Peer, "hostile.py", text);
    Process::start(script.args([case, scene.interface(), &mac, target]).args(own).args(more)).success();
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

fn truncated_packets_are_counted(family: Family) {
    let (_scene, grown) = attack(family, "truncated");
    counted(&grown, &["truncated", "malformed", "length"], 100);
}

fn lying_lengths_and_options_are_counted(family: Family) {
    let (_scene, grown) = attack(family, "lengths");
    counted(&grown, &["malformed", "length", "truncated", "version"], 100);
}

fn bad_checksums_are_counted(family: Family) {
    let (_scene, grown) = attack(family, "checksums");
    counted(&grown, &["checksum"], 240);
}

fn hostile_fragments_are_counted_and_bounded(family: Family) {
    let (_scene, grown) = attack(family, "fragments");
    counted(&grown, &["fragment", "reassembl", "overlap"], 100);
}

fn impossible_addresses_are_counted(family: Family) {
    let (_scene, grown) = attack(family, "addresses");
    counted(&grown, &["martian", "source", "destination", "address", "not_ours", "notours"], 7);
}

fn forged_messages_change_nothing(family: Family) {
    attack(family, "messages");
}

fn noise_changes_nothing(family: Family) {
    attack(family, "noise");
}

/// A server on the subject that sends back what it gets.
struct Echo<'a> {
    scene: &'a Scene,
    _serving: Process,
}

impl Echo<'_> {
    fn new(scene: &Scene) -> Echo<'_> {
        let mut serve = scene.command(Side::Subject, "socat");
        let listen = format!("TCP{}-LISTEN:80,bind={},fork", scene.version(), scene.host(Side::Subject));
        let serving = Process::start(serve.args(["-t30", &listen, "PIPE"]));
        scene.listens(Side::Subject, 80);
        scene.serves_on();
        Echo { scene, _serving: serving }
    }

    fn ask(&self) {
        let mut command = self.scene.command(Side::Peer, "nc");
        let address = self.scene.address(Side::Subject);
        let (asking, mut input) = Process::start_with_input(command.args(["-N", address, "80"]));
        std::io::Write::write_all(&mut input, b"still there?\n").unwrap();
        drop(input);
        assert_eq!(asking.success().text(), "still there?\n");
    }
}

fn a_flood_of_100_000_syns_does_not_shut_a_server_out(family: Family) {
    let scene = Scene::of(family);
    let echo = Echo::new(&scene);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| send(&scene, "flood", &["80"]));
        while !flood.is_finished() {
            echo.ask();
        }
        flood.join().unwrap();
    });
    echo.ask();
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

/// Rows B1, B2 and A16 of headers between IP and what it carries: too many, out of place, unknown, malformed.
fn extension_headers_are_counted(family: Family) {
    let (_scene, grown) = attack(family, "extensions");
    counted(&grown, &["ipv6_extension"], 100);
    counted(&grown, &["ipv6_option"], 100);
    counted(&grown, &["ipv6_routing"], 10);
    counted(&grown, &["ipv6_protocol"], 100);
}

/// Rows B5, B7, B8, B10: neighbours and routers from further away, malformed, many, and such as claim the subject's address.
fn neighbors_and_routers_that_are_none_are_counted(family: Family) {
    let (_scene, grown) = attack(family, "discovery");
    counted(&grown, &["nd_invalid"], 20);
    counted(&grown, &["nd_conflict"], 100);
    counted(&grown, &["icmp_malformed"], 100);
    counted(&grown, &["redirect_invalid"], 50);
    counted(&grown, &["nd_"], 20_000);
}

/// Row B7, from outside: who answers for himself is served while 100,000 are asked for who do not.
fn a_scan_of_the_link_shuts_no_neighbor_out(family: Family) {
    let scene = Scene::of(family);
    let echo = Echo::new(&scene);
    scene.settles();
    let before = counters(&scene);
    std::thread::scope(|scope| {
        let scan = scope.spawn(|| send(&scene, "scan", &[]));
        while !scan.is_finished() {
            echo.ask();
        }
        scan.join().unwrap();
    });
    echo.ask();
    scanned(&scene, &before, 20_000);
}

/// Row B7, by a program of the host's own.
fn a_program_that_scans_shuts_no_neighbor_out(family: Family) {
    let scene = Scene::of(family);
    let _echo = Process::start(&mut scene.script(Side::Peer, "ipv6_peer.py", include_str!("ipv6_peer.py")));
    scene.listens(Side::Peer, 7000);
    scene.is_bound(Side::Peer, 7001);
    let before = counters(&scene);
    let mut scan = scene.script(Side::Subject, "scan.py", include_str!("scan.py"));
    Process::start(scan.arg(scene.address(Side::Peer))).success();
    scanned(&scene, &before, 10_000);
}

/// A node has told what it did not keep, keeps no more than it may, and knows whom it knew.
fn scanned(scene: &Scene, before: &BTreeMap<String, u64>, least: u64) {
    is_bounded(scene, "a scan");
    scene.serves_on();
    if subject() == Subject::Kernel {
        return;
    }
    let grown = |name: &str| scene.counters()[name] - before[name];
    assert!(grown("drop.neighbor_evicted") >= least, "{:#?}", scene.counters());
    let shown = scene.show("neighbors");
    let rows = shown.as_array().unwrap();
    assert!(rows.len() <= 4096, "{} neighbours", rows.len());
    let peer = rows.iter().find(|row| row["address"] == scene.address(Side::Peer));
    assert!(peer.is_some_and(|row| row["mac"] != serde_json::Value::Null), "{peer:?}");
}

/// Row B6.
fn thousands_of_prefixes_and_routers_are_bounded(family: Family) {
    attack(family, "routers");
}

/// Row B12.
fn questions_about_groups_are_bounded(family: Family) {
    attack(family, "groups");
}

/// Rows F1, F3 and F4.
#[test]
fn a_program_that_misuses_its_sockets_harms_nobody() {
    let scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    let mut script = scene.script(Side::Subject, "misuse.py", include_str!("misuse.py"));
    let ends = [Family::V4, Family::V6].map(|family| [Side::Subject, Side::Peer].map(|side| side.address_in(family)));
    let misuse = Process::start(script.args(ends.as_flattened())).success();
    assert_eq!(misuse.text().lines().count(), 5);
    scene.serves_on();
    is_bounded(&scene, "misuse");
}

in_both_families! {
    [ipv6:
        extension_headers_are_counted
        neighbors_and_routers_that_are_none_are_counted
        thousands_of_prefixes_and_routers_are_bounded
        a_scan_of_the_link_shuts_no_neighbor_out
        a_program_that_scans_shuts_no_neighbor_out
        questions_about_groups_are_bounded
    ]
    truncated_packets_are_counted
    lying_lengths_and_options_are_counted
    bad_checksums_are_counted
    hostile_fragments_are_counted_and_bounded
    impossible_addresses_are_counted
    forged_messages_change_nothing
    noise_changes_nothing
    a_flood_of_100_000_syns_does_not_shut_a_server_out
}
