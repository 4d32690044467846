//! Addresses that are the same each time and tell nothing (RFC 7217): of the link and of a router's prefix, on two links, with the kernel's
//! `stable_secret` and the node's `secret`. Which they are is each host's own affair; what must hold of them is not.

use serde_json::Value;
use sockeye_lab::Lab;
use sockeye_peers::{Process, Scene, Side, Subject, subject, wait_for};

use crate::autoconf::{NETWORK, router, subjects};

const LINKS: [&str; 2] = ["veth0", "veth1"];
/// Secrets, as Linux writes them.
const SECRETS: [&str; 2] = ["2001:db8::123", "2001:db8::567"];

/// The subject begins anew, with this secret.
fn restart(scene: &mut Scene, secret: &str) {
    if subject() == Subject::Sockeye {
        let file = scene.file("node.toml");
        let text = format!("[ipv6]\nsecret = '{secret}'\n[[interface]]\nname = 'veth1'\naddresses = ['10.8.0.2/24']\n");
        std::fs::write(&file, text).unwrap();
        return scene.replace_node(&["-c", file.to_str().unwrap()]);
    }
    for (number, link) in LINKS.iter().enumerate() {
        let host = scene.subject_host();
        // What tells links apart for a kernel are hardware addresses that last, and a veth has none.
        host.sysctl(&format!("ipv6/conf/{link}/stable_secret"), &format!("{secret}{number}")).unwrap();
        for state in ["down", "up"] {
            let mut set = host.command("ip");
            Process::start(set.args(["link", "set", link, state])).success();
        }
    }
}

/// The subject's address on a link that begins like this.
fn address(scene: &Scene, link: &str, beginning: &str) -> Option<String> {
    let mut ask = scene.command(Side::Subject, "ip");
    let said = Process::start(ask.args(["-6", "-j", "address", "show", "dev", link])).success();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let own = said[0]["addr_info"].as_array().cloned().unwrap_or_default();
    let is = |own: &&Value| {
        own["dadfailed"] != true && own["local"].as_str().is_some_and(|address| address.starts_with(beginning))
    };
    own.iter().find(is).and_then(|own| own["local"].as_str()).map(str::to_owned)
}

/// The addresses of both links, and the one of the router's prefix.
fn addresses(scene: &Scene) -> [String; 3] {
    let one =
        |link, beginning| wait_for(&format!("an address of {beginning} on {link}"), || address(scene, link, beginning));
    let found = [one(LINKS[0], "fe80:"), one(LINKS[1], "fe80:"), one(LINKS[0], NETWORK)];
    if subject() == Subject::Sockeye {
        for own in [&found[0], &found[2]] {
            assert!(subjects(scene).iter().any(|shown| shown.is(own)), "`sockeye show` says the same of {own}");
        }
    }
    found
}

/// What comes behind the prefix.
fn identifiers(addresses: &[String]) -> Vec<[u8; 8]> {
    let octets = |text: &String| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    addresses.iter().map(|text| octets(text)[8..].try_into().unwrap()).collect()
}

#[test]
fn stable_addresses_last_and_tell_nothing() {
    let mut scene = Scene::new();
    let lab = Lab::new().unwrap();
    lab.link(scene.peer(), "veth1", scene.subject_host(), "veth1").unwrap();
    let _radvd = router(&scene);
    restart(&mut scene, SECRETS[0]);
    let first = addresses(&scene);
    let mut all = identifiers(&first);
    restart(&mut scene, SECRETS[1]);
    all.extend(identifiers(&addresses(&scene)));
    // Each prefix, each link and each secret has its own.
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), 6, "{all:x?}");
    // None was made of a hardware address.
    assert!(all.iter().all(|id| id[3..5] != [0xff, 0xfe]), "{all:x?}");
    // Another host has one of those that were; the others are the same as before.
    let mut take = scene.peer().command("ip");
    Process::start(take.args(["address", "add", &format!("{}/64", first[2]), "dev", "veth0", "nodad"])).success();
    restart(&mut scene, SECRETS[0]);
    let second =
        wait_for("another address", || address(&scene, LINKS[0], NETWORK).filter(|address| *address != first[2]));
    assert_ne!(identifiers(&[second]), identifiers(&first[2..]));
    assert_eq!(addresses(&scene)[..2], first[..2]);
    let mut give = scene.peer().command("ip");
    Process::start(give.args(["address", "del", &format!("{}/64", first[2]), "dev", "veth0"])).success();
    restart(&mut scene, SECRETS[0]);
    assert_eq!(addresses(&scene), first);
}
