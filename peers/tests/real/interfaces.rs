//! Interfaces as programs see them: the same program, with the same addresses, first on the kernel and then on a node.
//!
//! It asks in every way that there is (the C library, ioctls, `/proc/net`, `/sys/class/net`, net-tools, psutil, tcpdump) and
//! prints what it was told. What the two were told must agree, files column for column.

use std::collections::BTreeMap;

use serde_json::Value;
use sockeye_peers::{PEER, Process, SUBJECT, Scene, Setup, Side, Subject, subject};

fn seen(subject: Subject) -> BTreeMap<String, Value> {
    let scene = Scene::with(Setup { subject: Some(subject), ipv6: true, ..Setup::default() });
    let _echo = Process::start(&mut scene.script(Side::Peer, "ipv6_peer.py", include_str!("ipv6_peer.py")));
    scene.listens(Side::Peer, 7000);
    scene.settles();
    let mut script = scene.script(Side::Subject, "interfaces.py", include_str!("interfaces.py"));
    let name = if subject == Subject::Kernel { "kernel" } else { "node" };
    let ends = [name, SUBJECT, PEER, Side::Subject.address6(), Side::Peer.address6()];
    let finished = Process::start(script.args(ends)).success();
    serde_json::from_slice(&finished.stdout).unwrap()
}

#[test]
fn interfaces_are_seen_as_the_kernels_are() {
    let kernel = seen(Subject::Kernel);
    if subject() == Subject::Kernel {
        return;
    }
    let node = seen(Subject::Sockeye);
    let differences: Vec<String> = kernel
        .iter()
        .filter(|(what, told)| node.get(*what) != Some(told))
        .map(|(what, told)| format!("{what}\n  kernel: {told}\n  node:   {}", node.get(what).unwrap_or(&Value::Null)))
        .collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert_eq!(kernel.len(), node.len());
}

/// Net-tools' `route` names of a route as much as it needs: `route del default` no more than that.
#[test]
fn routes_go_by_what_is_named_of_them() {
    let scene = Scene::new();
    let routes = |arguments: &[&str]| {
        let done = Process::start(scene.command(Side::Subject, "route").args(arguments)).finish();
        let shown = Process::start(scene.command(Side::Subject, "route").args(["-n"])).success().text();
        let rows = shown.lines().skip(2).map(|row| row.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
        (done.status.success(), rows.collect::<Vec<_>>())
    };
    let link = "10.9.0.0 0.0.0.0 255.255.255.0";
    let to = |gateway: &str| format!("0.0.0.0 {gateway} 0.0.0.0");
    assert_eq!(routes(&["add", "default", "gw", PEER]), (true, vec![to(PEER), link.to_owned()]));
    assert_eq!(routes(&["add", "default", "gw", "10.9.0.7", "metric", "9"]).1.len(), 3);
    // Another gateway, another metric, another interface: nothing goes.
    assert!(!routes(&["del", "default", "gw", "10.9.0.8"]).0);
    assert!(!routes(&["del", "default", "metric", "8"]).0);
    assert!(!routes(&["del", "default", "dev", "lo"]).0);
    // The best of those that are meant.
    assert_eq!(routes(&["del", "default"]), (true, vec![to("10.9.0.7"), link.to_owned()]));
    assert_eq!(routes(&["del", "default", "dev", "veth0"]), (true, vec![link.to_owned()]));
    assert!(!routes(&["del", "default"]).0);
}
