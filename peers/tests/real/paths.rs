//! Links of other kinds than the usual: without offloads, with large and small frames, with a narrow hop far away. 64 MiB
//! cross each, either way, by either side's asking.

use std::io::Write;

use sockeye_lab::Offloads;
use sockeye_peers::{Family, Medium, Pattern, Process, Scene, Setup, Side, in_both_families, wait_for};

use crate::http::{curl_gets, curl_puts};

fn crosses(setup: Setup) -> Scene {
    let scene = Scene::with(setup);
    curl_gets(&scene, Side::Subject);
    curl_puts(&scene, Side::Subject);
    curl_gets(&scene, Side::Peer);
    curl_puts(&scene, Side::Peer);
    scene
}

fn a_link_without_offloads(family: Family) {
    crosses(Setup { family, offloads: Some(Offloads::None), ..Setup::default() });
}

fn a_link_with_checksums_only(family: Family) {
    crosses(Setup { family, offloads: Some(Offloads::Checksums), ..Setup::default() });
}

fn a_link_of_large_frames(family: Family) {
    crosses(Setup { family, mtu: Some(9000), ..Setup::default() });
}

fn a_link_of_small_frames(family: Family) {
    // What each family asks of every link.
    let mtu = if family == Family::V4 { 576 } else { 1280 };
    crosses(Setup { family, mtu: Some(mtu), ..Setup::default() });
}

fn a_narrow_hop_far_away(family: Family) {
    crosses(Setup { family, medium: Medium::Narrow(1280), ..Setup::default() });
}

/// A datagram in fragments, which the router has to cut again, or (IPv6) has the sender cut smaller. Sockets that are connected
/// would be told of it by an error.
fn fragments_through_a_narrow_hop(family: Family) {
    let scene = Scene::with(Setup { family, medium: Medium::Narrow(1280), ..Setup::default() });
    for server in [Side::Peer, Side::Subject] {
        let listen = format!("UDP{}-RECVFROM:7000,bind={},fork", scene.version(), scene.host(server));
        let _serving = Process::start(scene.command(server, "socat").args(["-b65536", &listen, "PIPE"]));
        scene.is_bound(server, 7000);
        let to = format!("UDP{}-SENDTO:{}:7000", scene.version(), scene.host(server));
        let mut command = scene.command(server.other(), "socat");
        let (asking, mut input) = Process::start_with_input(command.args(["-b65536", "-t3", "-", &to]));
        let question = Pattern::bytes(1, 8000);
        wait_for("the echo of a datagram", || {
            let _ = input.write_all(&question);
            (asking.heard() >= question.len()).then_some(())
        });
        assert_eq!(asking.stdout()[..question.len()], question);
    }
}

in_both_families! {
    a_link_without_offloads
    a_link_with_checksums_only
    a_link_of_large_frames
    a_link_of_small_frames
    a_narrow_hop_far_away
    fragments_through_a_narrow_hop
}
