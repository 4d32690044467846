//! Options of sockets of all kinds: filters, and what SOL_SOCKET and SOL_UDP know. Each test is a function of the same name in `sockets.py`; the
//! kernel's side of it is `sockets_peer.py`.

use sockeye_peers::scene::subject;
use sockeye_peers::{Family, Process, Scene, Side, Subject, checks};

fn check(family: Family, name: &str) {
    let scene = Scene::of(family);
    let [own, peer] = [Side::Subject, Side::Peer].map(|side| scene.address(side));
    let mut helper = scene.script(Side::Peer, "sockets_peer.py", include_str!("sockets_peer.py"));
    let _helper = Process::start(helper.args([peer, own]));
    scene.listens(Side::Peer, 7100);
    let subject = match subject() {
        Subject::Kernel => "kernel",
        Subject::Sockeye => "sockeye",
    };
    let mut script = scene.script(Side::Subject, "sockets.py", include_str!("sockets.py"));
    Process::start(script.args([name, own, peer, subject])).success();
}

checks! {
    in both families:
    [ipv4: programs_of_the_other_machine_are_refused]
    filter_on_a_stream
    filter_trims_a_segment
    filter_on_a_listener
    program_chooses_among_datagrams
    program_chooses_among_listeners
}
