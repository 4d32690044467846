//! IPv6: the kernel's ping, real programs, and sockets that speak both families.

use serde_json::Value;
use sockeye_peers::scene::python;
use sockeye_peers::{PEER, Pattern, Process, SUBJECT, Scene, Setup, Side};

const LARGE: usize = 16 << 20;

fn scene() -> Scene {
    Scene::with(Setup { ipv6: true, ..Setup::default() })
}

#[test]
fn ping_gets_answers_of_every_size() {
    let scene = scene();
    // The last two come and go in fragments.
    for size in ["0", "56", "1452", "1453", "60000"] {
        let mut ping = scene.command(Side::Peer, "ping");
        let asked = ping.args(["-6", "-n", "-c", "3", "-i", "0.2", "-s", size, Side::Subject.address6()]);
        Process::start(asked).success();
    }
}

/// Both ways: a file of the other side's.
fn fetch(client: Side) {
    let scene = scene();
    let server = client.other();
    std::fs::write(scene.file("large"), Pattern::bytes(6, LARGE)).unwrap();
    let mut serve = scene.command(server, python());
    let _server = Process::start(serve.args(["-u", "-m", "http.server", "--bind", server.address6(), "8000"]));
    scene.listens(server, 8000);
    let url = format!("http://[{}]:8000/large", server.address6());
    Process::start(scene.command(client, "curl").args(["-sS", "-f", "-o", "got", &url])).success();
    let bytes = std::fs::read(scene.file("got")).unwrap();
    Pattern::check(6, LARGE as u64, &mut &bytes[..]).unwrap();
}

#[test]
fn curl_fetches_from_the_subject() {
    fetch(Side::Peer);
}

#[test]
fn curl_fetches_from_the_peer() {
    fetch(Side::Subject);
}

#[test]
fn a_server_for_all_serves_both_families() {
    let scene = scene();
    let mut serve = scene.command(Side::Subject, python());
    let mut server = Process::start(serve.args(["-u", "-m", "http.server", "--bind", "::", "8000"]));
    scene.listens(Side::Subject, 8000);
    for (url, known_by) in [
        (format!("http://[{}]:8000/", Side::Subject.address6()), Side::Peer.address6().to_owned()),
        (format!("http://{SUBJECT}:8000/"), format!("::ffff:{PEER}")),
    ] {
        Process::start(scene.command(Side::Peer, "curl").args(["-sS", "-f", "-o", "got", &url])).success();
        server.line_with(&format!("{known_by} - - "));
    }
}

#[test]
fn iperf3_moves_bytes_both_ways_and_datagrams() {
    let scene = scene();
    for server in [Side::Subject, Side::Peer] {
        for options in [&[][..], &["-R"], &["-u", "-b", "50M", "-l", "1400"]] {
            let mut serve = scene.command(server, "iperf3");
            let serving = Process::start(serve.args(["-s", "-1", "-B", server.address6()]));
            scene.listens(server, 5201);
            let mut ask = scene.command(server.other(), "iperf3");
            let ask = ask.args(["-c", server.address6(), "-J", "-t", "1"]).args(options);
            let report: Value = serde_json::from_slice(&Process::start(ask).success().stdout).unwrap();
            let sum = if options.contains(&"-u") { "sum" } else { "sum_received" };
            let bytes = report["end"][sum]["bytes"].as_u64();
            assert!(bytes > Some(1 << 20), "{server:?} {options:?}: {}", report["end"]);
            serving.success();
        }
    }
}

/// A function of the same name in `ipv6.py`; the kernel's side of it echoes.
fn check(name: &str) {
    let scene = scene();
    let mut echo = scene.command(Side::Peer, python());
    let _echo = Process::start(echo.args(["-c", include_str!("ipv6_peer.py")]));
    scene.listens(Side::Peer, 7000);
    scene.is_bound(Side::Peer, 7001);
    let script = scene.file("ipv6.py");
    std::fs::write(&script, include_str!("ipv6.py")).unwrap();
    let mut command = scene.command(Side::Subject, python());
    let ends = [SUBJECT, PEER, Side::Subject.address6(), Side::Peer.address6()];
    Process::start(command.arg(script).arg(name).args(ends)).success();
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
    names_of_both_families
    one_port_two_families
    only_ipv6
    options_of_ipv6
    datagrams_with_what_came_along
    nobody_listens
}
