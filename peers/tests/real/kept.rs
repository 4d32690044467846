//! Programs that do with their process what they like, while the shim keeps connections to the node in it. Each test is a
//! function of the same name in `kept.py`, and holds for the kernel, too.

use sockeye_peers::scene::python;
use sockeye_peers::{Family, Process, Scene, Side, in_both_families};

fn check(family: Family, name: &str) {
    let scene = Scene::of(family);
    let mut helper = scene.command(Side::Peer, python());
    let _helper = Process::start(helper.args([
        "-c",
        include_str!("calls_peer.py"),
        scene.address(Side::Peer),
        scene.address(Side::Subject),
    ]));
    scene.listens(Side::Peer, 7000);
    // A file, so that what fails is told with its line.
    let script = scene.file("kept.py");
    std::fs::write(&script, include_str!("kept.py")).unwrap();
    let mut command = scene.command(Side::Subject, python());
    Process::start(command.arg(script).args([name, scene.address(Side::Subject), scene.address(Side::Peer)])).success();
}

macro_rules! checks {
    ($($name:ident)*) => {
        $(
            fn $name(family: Family) {
                check(family, stringify!($name));
            }
        )*
        in_both_families! { $($name)* }
    };
}

checks! {
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
