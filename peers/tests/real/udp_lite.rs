//! UDP-Lite. Each test is a function of the same name in `udp_lite.py`; the kernel's side of it is `sockets_peer.py`.

use sockeye_peers::{Family, Process, Scene, Side, checks};

fn check(family: Family, name: &str) {
    let scene = Scene::of(family);
    let [own, peer] = [Side::Subject, Side::Peer].map(|side| scene.address(side));
    let mut helper = scene.script(Side::Peer, "sockets_peer.py", include_str!("sockets_peer.py"));
    let _helper = Process::start(helper.args([peer, own]));
    scene.listens(Side::Peer, 7100);
    let mut script = scene.script(Side::Subject, "udp_lite.py", include_str!("udp_lite.py"));
    Process::start(script.args([name, own, peer])).success();
}

checks! {
    in both families:
    [ipv6: both_families_at_once]
    what_is_sent_is_covered_so_far
    what_is_taken
    between_programs
    ports_and_errors
    coverages_are_options
    groups
}
