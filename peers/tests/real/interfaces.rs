//! Interfaces as programs see them: the same program, with the same addresses, first on the kernel and then on a node.
//!
//! It asks in every way that there is (the C library, ioctls, `/proc/net`, `/sys/class/net`, net-tools, psutil, tcpdump) and
//! prints what it was told. What the two were told must agree, files column for column.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::Value;
use sockeye_peers::scene::python;
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

#[test]
fn interfaces_let_through_what_administrators_want() {
    let scene = Scene::new();
    let says = |program: &str, arguments: &[&str]| {
        Process::start(scene.command(Side::Subject, program).args(arguments)).success().text()
    };
    for (change, shown, flags, count) in [
        ("promisc", "<UP,BROADCAST,RUNNING,PROMISC,MULTICAST>", "0x1103", 1),
        ("allmulti", "<UP,BROADCAST,RUNNING,PROMISC,ALLMULTI,MULTICAST>", "0x1303", 1),
        ("-promisc", "<UP,BROADCAST,RUNNING,ALLMULTI,MULTICAST>", "0x1203", 0),
        ("-allmulti", "<UP,BROADCAST,RUNNING,MULTICAST>", "0x1003", 0),
    ] {
        says("ifconfig", &["veth0", change]);
        assert!(says("ifconfig", &["veth0"]).contains(shown), "no {shown} after {change}");
        let link: Value = serde_json::from_str(&says("ip", &["-j", "-d", "link", "show", "dev", "veth0"])).unwrap();
        assert_eq!(link[0]["promiscuity"], count, "{change}");
        if subject() == Subject::Sockeye {
            // The kernel's /sys is that of whoever mounted it.
            assert_eq!(says("cat", &["/sys/class/net/veth0/flags"]).trim(), flags, "{change}");
        }
    }
}

/// Unless it is told not to, netsniff-ng asks for them by the interface's flags, and takes that back.
#[test]
fn netsniff_ng_sees_what_is_for_other_stations() {
    let scene = Scene::new();
    let mut sniff = scene.command(Side::Subject, "netsniff-ng");
    let mut sniffing = Process::start(sniff.args(["--in", "veth0", "--filter", "ether dst 02:00:00:00:00:99"]));
    sniffing.line_with("Running!");
    let flags = || Process::start(scene.command(Side::Subject, "ifconfig").arg("veth0")).success().text();
    assert!(flags().contains("PROMISC"));
    // It says that it runs a little before it does.
    let send = "import socket, time
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(('veth0', 0))
while True:
    link.send(bytes.fromhex('020000000099 020000000007 88b5') + bytes(46))
    time.sleep(0.1)";
    let sending = Process::start(scene.command(Side::Peer, python()).args(["-c", send]));
    sniffing.line_with("(02:00:00:00:00:07 => 02:00:00:00:00:99)");
    drop(sending);
    sniffing.signal(Signal::INT);
    sniffing.success();
    assert!(!flags().contains("PROMISC"));
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
