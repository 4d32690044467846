//! What a stream tells of the packets that brought it (IP_PKTOPTIONS, IPV6_2292PKTOPTIONS). Each test is a function of the same name in `heard.py`; the
//! kernel's side of it is `heard_peer.py`.

use sockeye_peers::{PEER, Process, SUBJECT, Scene, Setup, Side, checks};

fn check(name: &str) {
    let scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    let mut helper = scene.script(Side::Peer, "heard_peer.py", include_str!("heard_peer.py"));
    let _helper = Process::start(&mut helper);
    scene.listens(Side::Peer, 7000);
    let mut script = scene.script(Side::Subject, "heard.py", include_str!("heard.py"));
    let ends = [SUBJECT, PEER, Side::Subject.address6(), Side::Peer.address6()];
    Process::start(script.arg(name).args(ends).arg("veth0")).success();
}

checks! {
    over_ipv4
    mapped
    over_ipv6
    a_listener_asks
    who_connects
    within_the_host
}
