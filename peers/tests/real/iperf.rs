//! iperf3 in both roles and all its ways: bytes must move in each direction asked for, and no error be told. How fast
//! they move is nobody's verdict here: a run ends when so many have.

use serde_json::Value;
use sockeye_peers::{Family, Process, Scene, Side, in_both_families};

/// What is sent in the direction that is first with it.
const BYTES: &str = "256M";
/// Less would mean that something stood still: a window's worth, and then nothing.
const LEAST: u64 = 4 << 20;
/// The same for datagrams: no queue on the way holds so many.
const DATAGRAMS: u64 = 2000;

fn run(scene: &Scene, server: Side, options: &[&str]) -> Value {
    let mut serve = scene.command(server, "iperf3");
    let serving = Process::start(serve.args(["-s", "-1", "-B", scene.address(server)]));
    scene.listens(server, 5201);
    let mut ask = scene.command(server.other(), "iperf3");
    let asked = Process::start(ask.args(["-c", scene.address(server), "-J"]).args(options)).finish();
    let report: Value = serde_json::from_slice(&asked.stdout).unwrap_or_else(|error| panic!("{error}: {asked}"));
    assert!(report["error"].is_null(), "{} ({asked})", report["error"]);
    asked.success();
    serving.success();
    report
}

fn moved(report: &Value, sum: &str) {
    let bytes = report["end"][sum]["bytes"].as_u64().unwrap_or_default();
    assert!(bytes >= LEAST, "{sum}: only {bytes} bytes: {}", report["end"]);
}

fn plain(scene: &Scene, server: Side) {
    moved(&run(scene, server, &["-n", BYTES]), "sum_received");
}

fn reverse(scene: &Scene, server: Side) {
    moved(&run(scene, server, &["-n", BYTES, "-R"]), "sum_received");
}

fn parallel(scene: &Scene, server: Side) {
    let report = run(scene, server, &["-n", BYTES, "-P", "4"]);
    moved(&report, "sum_received");
    let streams = report["end"]["streams"].as_array().map_or(0, Vec::len);
    assert_eq!(streams, 4);
    for stream in 0..4 {
        let bytes = report["end"]["streams"][stream]["receiver"]["bytes"].as_u64();
        assert!(bytes > Some(0), "stream {stream} starved");
    }
}

fn both_ways(scene: &Scene, server: Side) {
    let report = run(scene, server, &["-n", BYTES, "--bidir"]);
    moved(&report, "sum_received");
    moved(&report, "sum_received_bidir_reverse");
}

fn datagrams(scene: &Scene, server: Side) {
    for reverse in [&[][..], &["-R"]] {
        let mut options = vec!["-u", "-b", "50M", "-l", "1400", "-n", "10M"];
        options.extend_from_slice(reverse);
        let report = run(scene, server, &options);
        let sum = &report["end"]["sum"];
        let [all, lost] = ["packets", "lost_packets"].map(|name| sum[name].as_u64().unwrap_or_default());
        // Who has been kept from sending makes up for it, faster than a socket's buffer is read.
        assert!(all >= lost + DATAGRAMS, "{sum}");
    }
}

fn iperf3_serves(family: Family) {
    let scene = Scene::of(family);
    plain(&scene, Side::Subject);
    reverse(&scene, Side::Subject);
}

fn iperf3_asks(family: Family) {
    let scene = Scene::of(family);
    plain(&scene, Side::Peer);
    reverse(&scene, Side::Peer);
}

fn iperf3_serves_four_streams(family: Family) {
    parallel(&Scene::of(family), Side::Subject);
}

fn iperf3_asks_with_four_streams(family: Family) {
    parallel(&Scene::of(family), Side::Peer);
}

fn iperf3_serves_both_ways(family: Family) {
    both_ways(&Scene::of(family), Side::Subject);
}

fn iperf3_asks_both_ways(family: Family) {
    both_ways(&Scene::of(family), Side::Peer);
}

fn iperf3_serves_datagrams(family: Family) {
    datagrams(&Scene::of(family), Side::Subject);
}

fn iperf3_asks_with_datagrams(family: Family) {
    datagrams(&Scene::of(family), Side::Peer);
}

fn iperf3_on_tap(family: Family) {
    let scene = Scene::tap(family);
    plain(&scene, Side::Subject);
    reverse(&scene, Side::Subject);
    plain(&scene, Side::Peer);
    reverse(&scene, Side::Peer);
}

in_both_families! {
    iperf3_serves
    iperf3_asks
    iperf3_serves_four_streams
    iperf3_asks_with_four_streams
    iperf3_serves_both_ways
    iperf3_asks_both_ways
    iperf3_serves_datagrams
    iperf3_asks_with_datagrams
    iperf3_on_tap
}
