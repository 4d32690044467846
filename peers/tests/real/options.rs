//! Options of IP by their effects, on all kinds of sockets: what packets look like on the wire, and what comes in with what arrives.

use sockeye_peers::{PEER, Process, SUBJECT, Scene, Setup, Side, checks};

/// A function of the same name in `options.py`; the kernel's side of it watches the link.
fn check(name: &str) {
    let scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    let mut watcher = scene.script(Side::Peer, "options_peer.py", include_str!("options_peer.py"));
    let _watcher = Process::start(watcher.arg(scene.interface()));
    scene.listens(Side::Peer, 7000);
    let mut script = scene.script(Side::Subject, "options.py", include_str!("options.py"));
    let ends = [SUBJECT, PEER, Side::Subject.address6(), Side::Peer.address6()];
    Process::start(script.arg(name).args(ends).arg("veth0")).success();
}

checks! {
    datagrams
    foreign_addresses
    port_ranges
    what_came_in_pieces
    options_that_go_back
    too_long_for_the_path
    interfaces_to_leave_by
    interfaces_that_stick
    datagrams_without_checksums
    flows_keep_their_label
    labels_on_lease
    headers_of_streams
    headers_as_one_list
    only_neighbours
    source_filters
    what_errors_say_besides
}
