//! Programs that give up being root, and keep one capability.

use sockeye_peers::scene::python;
use sockeye_peers::{Process, Scene, Side, Subject, subject};

/// What becomes of a packet socket and of a raw one, made by somebody who is not root.
fn makes_sockets(scene: &Scene, how: &[&str]) -> String {
    let text = "import socket
for what in (socket.AF_PACKET, socket.SOCK_RAW, 3), (socket.AF_PACKET, socket.SOCK_DGRAM, 3), (socket.AF_INET, socket.SOCK_RAW, 1):
    try: print(socket.socket(*what).family.name)
    except OSError as error: print(error.strerror)";
    let mut make = scene.command(Side::Subject, "setpriv");
    make.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(how);
    Process::start(make.args([python(), "-c", text])).finish().text()
}

#[test]
fn a_capability_allows_raw_and_packet_sockets() {
    let scene = Scene::new();
    let capable = makes_sockets(&scene, &["--inh-caps=+net_raw", "--ambient-caps=+net_raw"]);
    assert_eq!(capable, "AF_PACKET\nAF_PACKET\nAF_INET\n");
    assert_eq!(makes_sockets(&scene, &[]), "Operation not permitted\n".repeat(3));
    if subject() == Subject::Sockeye {
        // Who has all capabilities over a network of his own (if the machine lets him) has none over the node's.
        let own = makes_sockets(&scene, &["unshare", "--user", "--map-root-user", "--net"]);
        assert!(!own.contains("AF_"), "{own}");
    }
}
