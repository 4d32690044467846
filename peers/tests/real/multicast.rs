//! Groups: what sockets can wish, who hears what, and what routers are told.

use sockeye_peers::{PEER, Process, SUBJECT, Scene, Setup, Side, checks};

/// Other addresses of the peer's.
const OTHER: &str = "10.9.0.3";
const OTHER6: &str = "fd09::3";

fn scene() -> Scene {
    let scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    for address in [format!("{OTHER}/24"), format!("{OTHER6}/64")] {
        scene.peer().address("veth0", &address).unwrap();
    }
    scene
}

/// A function of the same name in `multicast.py`.
fn check(name: &str) {
    let scene = scene();
    let mut peer =
        Process::start(&mut scene.script(Side::Peer, "multicast_peer.py", include_str!("multicast_peer.py")));
    peer.line_with("ready");
    let mut script = scene.script(Side::Subject, "multicast.py", include_str!("multicast.py"));
    let ends = [SUBJECT, PEER, Side::Subject.address6(), Side::Peer.address6(), OTHER, OTHER6];
    Process::start(script.arg(name).args(ends)).success();
}

checks! {
    a_group_is_heard_while_a_socket_is_in_it
    sources_are_chosen
    several_sockets_share_a_group
    whoever_listens_here_hears_what_is_sent
    groups_elsewhere_are_reached
    who_is_in_no_group_hears_all_or_nothing
    every_wish_of_sources_holds
    raw_sockets_hear_groups_by_their_address
    options_and_their_errors
}

/// Who may join which anycast addresses, and what is told of these: the peer's kernel says what is right.
#[test]
fn anycast_addresses_are_joined_as_on_linux() {
    let scene = scene();
    let [kernel, subject] = [Side::Peer, Side::Subject].map(|side| {
        let mut table = scene.script(side, "anycast.py", include_str!("anycast.py"));
        Process::start(table.args(["table", side.address6(), "veth0"])).success().text()
    });
    assert_eq!(subject, kernel);
}

/// A neighbour finds the address, and is answered; from there only where a program says so.
#[test]
fn anycast_addresses_are_answered_for() {
    let scene = scene();
    let script = |side| scene.script(side, "anycast.py", include_str!("anycast.py"));
    let mut serving = Process::start(script(Side::Subject).arg("serve"));
    serving.line_with("ready");
    // What is not certainly its own it claims less loudly.
    scene.settles();
    let ends = ["ask", Side::Subject.address6(), "fd09::a:1", "veth0"];
    Process::start(script(Side::Peer).args(ends)).success();
}

/// What a router on the link is told, in all versions; Wireshark must find nothing wrong with it.
fn router_is_told(family: &str) {
    let scene = scene();
    let _member = Process::start(scene.script(Side::Subject, "member.py", include_str!("member.py")).arg(SUBJECT));
    scene.is_bound(Side::Subject, 7300);
    let heard = scene.file("heard.pcap");
    let mut ask = scene.script(Side::Peer, "router.py", include_str!("router.py"));
    Process::start(ask.arg(SUBJECT).arg(&heard).arg(family)).success();
    let wrong = "_ws.malformed || igmp.checksum.status == \"Bad\" || icmpv6.checksum.status == \"Bad\" || ip.checksum.status == \"Bad\"";
    for (filter, found) in [("igmp || icmpv6.type in {131, 132, 143}", true), (wrong, false)] {
        let mut judge = scene.command(Side::Peer, "tshark");
        let judge = judge.args(["-r"]).arg(&heard).args(["-Y", filter, "-o", "ip.check_checksum:TRUE"]);
        let said = Process::start(judge).success();
        assert_eq!(!said.text().is_empty(), found, "{filter}: {said}");
    }
}

#[test]
fn routers_of_ipv4_are_told() {
    router_is_told("4");
}

#[test]
fn routers_of_ipv6_are_told() {
    router_is_told("6");
}
