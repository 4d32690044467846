//! Links of other kinds than the usual: without offloads, with large and small frames, with a narrow hop far away. 64 MiB
//! cross each, either way, by either side's asking.

use std::io::Write;

use sockeye_lab::Offloads;
use sockeye_peers::{Medium, Pattern, Process, Scene, Setup, Side, wait_for};

use crate::http::{curl_gets, curl_puts};

fn crosses(setup: Setup) -> Scene {
    let scene = Scene::with(setup);
    curl_gets(&scene, Side::Subject);
    curl_puts(&scene, Side::Subject);
    curl_gets(&scene, Side::Peer);
    curl_puts(&scene, Side::Peer);
    scene
}

#[test]
fn a_link_without_offloads() {
    crosses(Setup { offloads: Some(Offloads::None), ..Setup::default() });
}

#[test]
fn a_link_with_checksums_only() {
    crosses(Setup { offloads: Some(Offloads::Checksums), ..Setup::default() });
}

#[test]
fn a_link_of_large_frames() {
    crosses(Setup { mtu: Some(9000), ..Setup::default() });
}

#[test]
fn a_link_of_small_frames() {
    crosses(Setup { mtu: Some(576), ..Setup::default() });
}

#[test]
fn a_narrow_hop_far_away() {
    crosses(Setup { medium: Medium::Narrow(1280), ..Setup::default() });
}

/// A datagram in fragments, which the router has to cut again.
#[test]
fn fragments_through_a_narrow_hop() {
    let scene = Scene::with(Setup { medium: Medium::Narrow(1280), ..Setup::default() });
    for server in [Side::Peer, Side::Subject] {
        let listen = format!("UDP4-LISTEN:7000,bind={},fork", server.address());
        let _serving = Process::start(scene.command(server, "socat").args(["-b65536", &listen, "PIPE"]));
        scene.is_bound(server, 7000);
        let to = format!("UDP4:{}:7000", server.address());
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
