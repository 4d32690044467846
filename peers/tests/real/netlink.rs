//! rtnetlink: what `ip` says of a node, and netlink sockets call by call.

use std::collections::BTreeMap;

use serde_json::Value;
use sockeye_peers::scene::python;
use sockeye_peers::{PEER, Process, SUBJECT, Scene, Setup, Side, Subject, checks, subject, wait_for};

use crate::autoconf::{kernels, settled};

/// Questions that both are asked: the kernel, as it was set up for this test, and a node with the same addresses.
const QUESTIONS: &[&str] = &[
    "-j link show",
    "-j -s link show dev lo",
    "-j link show dev veth0",
    "-j link show type bridge",
    "-j address show",
    "-j -4 address show dev veth0",
    "-j -6 address show dev lo",
    "-j address show up scope global",
    "-j route show",
    "-j -6 route show",
    "-j route show dev lo",
    "-j route show table local",
    "-j -6 route show table local",
    "-j route get 10.9.0.1",
    "-j route get 10.9.0.2",
    "-j route get 10.9.0.255",
    "-j route get 10.9.0.1 from 10.9.0.2 oif veth0",
    "-j route get 127.0.0.1",
    "-j route get fd09::1",
    "-j route get fibmatch 10.9.0.1",
    "-j neighbor show",
    "neighbor get 10.9.0.1 dev veth0",
    "-j -6 neighbor show dev lo",
    "-j rule show",
    "-j -6 rule show",
    // And what is an error.
    "link show dev nothing",
    "route get 203.0.113.1",
    "route get 10.9.0.1 from 10.9.0.7",
    "neighbor get 10.9.0.77 dev veth0",
];

/// What is not the network's: how a device came to be, how long ago something was, what a kernel does between.
const NOISE: &[&str] = &[
    "address", // of a link: drawn by chance
    "link_netnsid",
    "link_index",
    "link",
    "netns",
    "altnames",
    "qdisc",
    "stats64",
    "valid_life_time",
    "preferred_life_time",
    "used",
    "confirmed",
    "updated",
    "probes",
    "refcnt",
    "state",
    "lladdr",
    "cache",
    "uid",
    "noprefixroute",
    "nodad",
];

/// Without noise, and without what is there on one of the two by nature.
fn clean(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            let keys: Vec<String> = members.keys().cloned().collect();
            for key in keys {
                if NOISE.contains(&key.as_str()) {
                    members.remove(&key);
                } else if let Some(member) = members.get_mut(&key) {
                    *member = clean(member.take());
                }
            }
        }
        Value::Array(members) => {
            let empty = |one: &Value| one.as_object().is_some_and(|one| one.is_empty());
            *members = members.drain(..).map(clean).filter(|one| !empty(one)).collect();
        }
        Value::String(text) if text.starts_with("fe80:") => *text = "of the link".to_owned(),
        // The loopback's: one byte more than a packet of IPv4 can have.
        Value::Number(number) if number.as_u64() == Some(65_536) => return 65_535.into(),
        _ => {}
    }
    value
}

/// What `ip` says to each question.
fn said(kind: Subject) -> BTreeMap<&'static str, Value> {
    let scene = Scene::with(Setup { subject: Some(kind), ipv6: true, ..Setup::default() });
    let mut echo = scene.command(Side::Peer, python());
    let _echo = Process::start(echo.args(["-c", include_str!("ipv6_peer.py")]));
    scene.listens(Side::Peer, 7000);
    scene.settles();
    if kind == Subject::Kernel {
        wait_for("the link's own address", || settled(kernels(&scene, Side::Subject), "fe80:"));
    }
    let mut ping = scene.command(Side::Subject, "ping");
    Process::start(ping.args(["-c", "1", PEER])).success();
    QUESTIONS
        .iter()
        .map(|&question| {
            let words: Vec<&str> = question.split(' ').collect();
            let finished = Process::start(scene.copy("ip").args(&words)).finish();
            let text = finished.text();
            let answer = match serde_json::from_str(&text) {
                Ok(json) => clean(json),
                Err(_) if text.is_empty() => Value::String(finished.status.to_string()),
                // No JSON: up to what is drawn by chance.
                Err(_) => Value::String(text.split(" lladdr").next().unwrap_or_default().to_owned()),
            };
            (question, answer)
        })
        .collect()
}

#[test]
fn ip_says_of_a_node_what_it_says_of_the_kernel() {
    let kernel = said(Subject::Kernel);
    for (question, answer) in &kernel {
        let empty = matches!(answer, Value::Array(members) if members.is_empty()) || answer == "";
        assert!(!empty || question.contains("bridge") || question.contains("dev lo"), "{question} says nothing");
    }
    if subject() == Subject::Kernel {
        return;
    }
    let node = said(Subject::Sockeye);
    let differences: Vec<String> = kernel
        .iter()
        .filter(|(what, told)| node[*what] != **told)
        .map(|(what, told)| format!("ip {what}\n  kernel: {told}\n  node:   {}", node[what]))
        .collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// A function of the same name in `netlink.py`.
fn check(name: &str) {
    let scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    let mut script = scene.script(Side::Subject, "netlink.py", include_str!("netlink.py"));
    let kind = if subject() == Subject::Kernel { "kernel" } else { "node" };
    Process::start(script.args([name, kind, SUBJECT, PEER])).success();
}

checks! {
    netlink_sockets_have_addresses
    netlink_answers_wait_to_be_read
    netlink_sockets_are_descriptors
    netlink_errors_say_what_is_wrong
    netlink_options
    netlink_questions_about_one
    netlink_dumps_go_on_as_they_are_read
    netlink_that_is_not_read_is_lost_with_an_error
    netlink_dumps_end_in_a_datagram_of_their_own
    netlink_groups_are_joined_and_left
    netlink_tells_groups_of_changes
    netlink_knows_one_family
}
