//! Options of sockets of all kinds: filters, and what SOL_SOCKET and SOL_UDP know. Each test is a function of the same name in `sockets.py`; the
//! kernel's side of it is `sockets_peer.py`.

use sockeye_peers::scene::subject;
use sockeye_peers::{Family, Process, Scene, Side, Subject, checks};

fn check(family: Family, name: &str) {
    let mut scene = Scene::of(family);
    if name == "datagrams_to_neighbours_only" {
        let router = scene.address(Side::Peer);
        match subject() {
            Subject::Kernel => scene.subject_host().route("default", router.parse().unwrap()).unwrap(),
            Subject::Sockeye => scene.replace_node(&["-g", router]),
        }
    }
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
    programs_of_the_other_machine_are_refused
    datagrams_to_neighbours_only
    filter_on_a_stream
    filter_trims_a_segment
    filter_on_a_listener
    program_chooses_among_datagrams
    program_chooses_among_listeners
    datagrams_are_written_in_pieces
    raw_packets_are_written_in_pieces
    several_datagrams_come_as_one
    options_of_sockets
    datagrams_tell_what_was_lost
    times_of_datagrams
    messages_of_the_network
    errors_have_a_bound
    raw_packets_to_groups_come_back
}
