//! What calls answer on sockets in odd places: again the peer's kernel says what is right.

use sockeye_peers::{PEER, Process, SUBJECT, Scene, Setup, Side, Subject, checks, subject};

/// A function of the same name in `answers.py`, on both sides of a link.
fn check(name: &str) {
    let mut scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    let everybody = "0 2147483647";
    scene.peer().sysctl("ipv4/ping_group_range", everybody).unwrap();
    // There is a way to everywhere, for who does not insist on neighbours.
    scene.peer().route("default", SUBJECT.parse().unwrap()).unwrap();
    match subject() {
        Subject::Kernel => {
            let own = scene.subject_host();
            own.sysctl("ipv4/ping_group_range", everybody).unwrap();
            own.route("default", PEER.parse().unwrap()).unwrap();
        }
        Subject::Sockeye => scene.replace_node(&["-g", PEER]),
    }
    let ends = [(SUBJECT, Side::Subject, PEER, Side::Peer), (PEER, Side::Peer, SUBJECT, Side::Subject)];
    let [ours, kernels] = ends.map(|(own, side, other, beyond)| {
        let mut script = scene.script(side, "answers.py", include_str!("answers.py"));
        let addresses = [own, other, side.address6(), beyond.address6()];
        Process::start(script.arg(name).args(addresses)).success().text()
    });
    for (line, kernels) in ours.lines().zip(kernels.lines()) {
        assert_eq!(line, kernels);
    }
    assert!(!kernels.is_empty());
    assert_eq!(ours.lines().count(), kernels.lines().count());
}

checks! {
    mapped_addresses_on_sockets_of_ipv6_alone
    who_can_be_connected_to
    what_comes_with_errors
    what_no_packet_can_hold
    only_neighbours_are_connected_to
    what_goes_along
    names_of_peers
    files_about_the_net
}
