//! Programs that do with their process what they like, while the shim keeps connections to the node in it. Each test is a
//! function of the same name in `kept.py`, and holds for the kernel, too.

use sockeye_peers::{Family, Process, Scene, Side, checks};

fn check(family: Family, name: &str) {
    let scene = Scene::of(family);
    let [own, peer] = [Side::Subject, Side::Peer].map(|side| scene.address(side));
    let mut helper = scene.script(Side::Peer, "calls_peer.py", include_str!("calls_peer.py"));
    let _helper = Process::start(helper.args([peer, own]));
    scene.listens(Side::Peer, 7000);
    let mut script = scene.script(Side::Subject, "kept.py", include_str!("kept.py"));
    Process::start(script.args([name, own, peer])).success();
}

checks! {
    in both families:
    all_descriptors_closed
    numbers_taken
    few_numbers
    fork_and_go_on_together
    many_threads
    what_was_said_is_read
    corks_are_pulled
    said_in_one_breath
    said_before_the_connection_is_gone
    another_user
}
