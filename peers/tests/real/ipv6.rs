//! Sockets that speak both families, and what only IPv6 has. What holds for each family alone is in the other rooms, which do
//! the same in both.

use sockeye_peers::scene::python;
use sockeye_peers::{PEER, Process, SUBJECT, Scene, Setup, Side, checks};

fn scene() -> Scene {
    Scene::with(Setup { ipv6: true, ..Setup::default() })
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

/// A function of the same name in `ipv6.py`; the kernel's side of it echoes.
fn check(name: &str) {
    let scene = scene();
    let _echo = Process::start(&mut scene.script(Side::Peer, "ipv6_peer.py", include_str!("ipv6_peer.py")));
    scene.listens(Side::Peer, 7000);
    scene.is_bound(Side::Peer, 7001);
    let mut script = scene.script(Side::Subject, "ipv6.py", include_str!("ipv6.py"));
    let ends = [SUBJECT, PEER, Side::Subject.address6(), Side::Peer.address6()];
    Process::start(script.arg(name).args(ends)).success();
}

checks! {
    names_of_both_families
    one_port_two_families
    only_ipv6
    options_of_ipv6
    datagrams_with_what_came_along
    nobody_listens
    nobody_in_particular_is_ourselves
    bound_to_the_other_family
    who_gets_what_both_could
    ipv4_addresses_on_ipv6_sockets
    ipv6_becomes_ipv4
}
