//! Daemons that lock themselves in: another root directory, another user, fewer system calls. What they do on the network goes on.

use serde_json::Value;
use sockeye_peers::{Finished, Process, Scene, Side, wait_for};

/// Asks a side's lldpd, by a socket that is a file.
fn ask(scene: &Scene, side: Side, words: &[&str]) -> Finished {
    let mut ask = scene.peer().command("lldpcli");
    Process::start(ask.arg("-u").arg(scene.file(&format!("{side:?}"))).args(words)).finish()
}

/// What a side's lldpd knows of its neighbours, by interface, once there is one.
fn neighbor(scene: &Scene, side: Side) -> Value {
    wait_for("a neighbour", || {
        // What it said before this one listened it says again; by itself every 30 seconds.
        ask(scene, side.other(), &["update"]);
        let said: Value =
            serde_json::from_slice(&ask(scene, side, &["-f", "json", "show", "neighbors"]).stdout).ok()?;
        said["lldp"]["interface"].get("veth0").cloned()
    })
}

/// One of its processes has another root directory, and makes sockets there; the other makes packet sockets for it, and is not root, but has CAP_NET_RAW.
#[test]
fn lldpd_and_its_neighbour_see_each_other() {
    let scene = Scene::new();
    // Where it locks itself in: the system's service makes it at its start.
    std::fs::create_dir_all("/run/lldpd").unwrap();
    let _daemons = [Side::Peer, Side::Subject].map(|side| {
        let mut serve = scene.command(side, "lldpd");
        serve.args(["-d", "-I", "veth0", "-S", &format!("the {side:?}"), "-u"]).arg(scene.file(&format!("{side:?}")));
        Process::start(&mut serve)
    });
    for side in [Side::Peer, Side::Subject] {
        let said = neighbor(&scene, side);
        let chassis = said["chassis"].as_object().and_then(|chassis| chassis.values().next()).unwrap();
        assert_eq!(chassis["descr"], format!("the {:?}", side.other()), "{said}");
        assert_eq!(said["port"]["id"]["type"], "mac", "{said}");
    }
}
