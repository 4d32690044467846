//! Two hosts that want one address (RFC 5227, RFC 3927), beside the peer's kernel and arping(8).

use std::fs;
use std::time::Instant;

use sockeye_peers::{PEER, Process, SUBJECT, Scene, Side, Subject, subject, wait_for};

/// arping on the peer: whether a subject has this address. It asks once a second, until somebody answers.
fn is_had(scene: &Scene, address: &str, questions: &str) -> bool {
    let mut probe = scene.command(Side::Peer, "arping");
    let probed = Process::start(probe.args(["-D", "-c", questions, "-I", "veth0", address])).finish();
    probed.status.code() == Some(1)
}

/// The peer says that it has the address.
fn announce(scene: &Scene, address: &str) {
    scene.peer().sysctl("ipv4/ip_nonlocal_bind", "1").unwrap();
    let mut announce = scene.command(Side::Peer, "arping");
    Process::start(announce.args(["-U", "-c", "1", "-I", "veth0", "-s", address, address])).finish();
}

/// The address that the node has chosen for itself.
fn choice(scene: &Scene) -> Option<String> {
    let shown = scene.show("addresses");
    let mut addresses = shown.as_array()?.iter().filter_map(|row| row["address"].as_str()?.split('/').next());
    addresses.find(|own| own.starts_with("169.254.")).map(str::to_owned)
}

/// The same, once it has one.
fn chosen(scene: &Scene) -> String {
    wait_for("an address of the node's own choice", || choice(scene))
}

#[test]
fn who_asks_whether_an_address_is_free_is_told() {
    let scene = Scene::new();
    assert!(is_had(&scene, SUBJECT, "30"));
    assert!(!is_had(&scene, "10.9.0.9", "2"));
}

/// The node is given the peer's address, and the peer says that it has the node's: both is told, and the node serves on.
#[test]
fn an_address_that_was_given_is_defended_and_its_conflict_told() {
    if subject() == Subject::Kernel {
        return;
    }
    let mut scene = Scene::new();
    scene.replace_node(&["-a", &format!("{PEER}/24")]);
    // It is asked for when it is taken, and the peer answers.
    wait_for("a conflict", || (scene.counters()["drop.arp_conflict"] > 0).then_some(()));
    scene.replace_node(&[]);
    let began = Instant::now();
    wait_for("a defence", || {
        announce(&scene, SUBJECT);
        (scene.counters()["stack.arp_defences"] > 0).then_some(())
    });
    for _ in 0..3 {
        announce(&scene, SUBJECT);
    }
    let defences = scene.counters()["stack.arp_defences"];
    assert!(defences <= 1 + began.elapsed().as_secs() / 10, "{defences}, and not once in ten seconds");
    let mut node = scene.take_node();
    let said = node.line_with("is claimed by");
    assert!(said.contains(SUBJECT), "{said}");
    assert_eq!(
        Process::start(scene.command(Side::Peer, "ping").args(["-n", "-c1", "-w20", SUBJECT])).finish().status.code(),
        Some(0)
    );
    scene.sockeye(&["down"]).success();
    let errors = node.success().errors();
    assert!(errors.matches("is claimed by").count() as u64 <= defences, "{errors}");
}

/// An address of 169.254/16 that the peer's kernel has is not taken; one that is claimed twice is given up.
#[test]
fn an_address_that_was_chosen_makes_way() {
    if subject() == Subject::Kernel {
        return;
    }
    let mut scene = Scene::new();
    let file = scene.file("node.toml");
    fs::write(&file, "[[interface]]\nname = \"veth0\"\naddresses = [\"10.9.0.2/24\"]\nlink_local = true\n").unwrap();
    let config = ["-c", file.to_str().unwrap()];
    scene.replace_node(&config);
    let first = chosen(&scene);
    assert!(is_had(&scene, &first, "30"));
    scene.peer().address("veth0", &format!("{first}/16")).unwrap();
    // It chooses the same again, and asks.
    scene.replace_node(&config);
    wait_for("the peer's answer", || (scene.counters()["drop.arp_conflict"] > 0).then_some(()));
    let second = chosen(&scene);
    assert_ne!(second, first);
    // Twice within ten seconds.
    wait_for("the end of its use", || {
        announce(&scene, &second);
        (choice(&scene).as_ref() != Some(&second)).then_some(())
    });
}
