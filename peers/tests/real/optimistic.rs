//! Optimistic addresses on the wire (RFC 4429): what is sent from one while it is still asked for, and what no more when somebody has it.

use sockeye_peers::{Process, Scene, Setup, Side, Subject, subject, wait_for};

use crate::autoconf::subjects;

const WANTED: &str = "fd09::7";
const NEIGHBOUR: &str = "fd09::55";
/// So often it is asked whether somebody has the address: longer than anybody looks.
const QUESTIONS: &str = "60";

/// The subject takes the address.
fn take(scene: &mut Scene) {
    if subject() == Subject::Sockeye {
        let file = scene.file("node.toml");
        std::fs::write(&file, format!("[ipv6]\nduplicate_detection = {QUESTIONS}\n")).unwrap();
        return scene.replace_node(&["-c", file.to_str().unwrap(), "-a", &format!("{WANTED}/64")]);
    }
    let host = scene.subject_host();
    for (name, value) in [("accept_dad", "1"), ("optimistic_dad", "1"), ("dad_transmits", QUESTIONS)] {
        host.sysctl(&format!("ipv6/conf/veth0/{name}"), value).unwrap();
    }
    let mut add = host.command("ip");
    Process::start(add.args(["-6", "address", "add", &format!("{WANTED}/64"), "dev", "veth0", "optimistic"])).success();
}

/// The flags of the address as `ip` tells them.
fn flags(scene: &Scene) -> String {
    let shown =
        Process::start(scene.command(Side::Subject, "ip").args(["-6", "-o", "address", "show"])).success().text();
    let line = shown.lines().find(|line| line.contains(&format!("{WANTED}/64")));
    line.unwrap_or_else(|| panic!("no {WANTED} in {shown}")).to_owned()
}

#[test]
fn an_optimistic_address_serves_and_takes_nothing_from_its_owner() {
    let mut scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    scene.settles();
    let seen = scene.file("seen.pcap");
    let mut script = scene.script(Side::Peer, "optimistic.py", include_str!("optimistic.py"));
    script.args([scene.interface(), WANTED, NEIGHBOUR, Side::Subject.address6()]).arg(&seen);
    let (mut peer, mut input) = Process::start_with_input(&mut script);
    peer.line_with("ready");
    take(&mut scene);
    peer.line_with("answered");
    let send = format!(
        "import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('{WANTED}', 0))
s.sendto(b'hello', ('{NEIGHBOUR}', 9))"
    );
    Process::start(scene.command(Side::Subject, sockeye_peers::scene::python()).args(["-c", &send])).success();
    peer.line_with("heard");
    assert!(flags(&scene).contains("optimistic"), "{}", flags(&scene));
    std::io::Write::write_all(&mut input, b"\n").unwrap();
    peer.line_with("claimed");
    wait_for("the address to be given up", || subjects(&scene).iter().any(|own| own.is_given_up(WANTED)).then_some(()));
    assert!(flags(&scene).contains("dadfailed"), "{}", flags(&scene));
    std::io::Write::write_all(&mut input, b"\n").unwrap();
    drop(input);
    peer.success();
    let count = |filter: &str| {
        let mut judge = scene.command(Side::Peer, "tshark");
        Process::start(judge.arg("-r").arg(&seen).args(["-Y", filter])).success().text().lines().count()
    };
    // Questions whether anybody has it name no station; nobody is asked for from there; and nothing said of it overrides.
    assert!(count(&format!("icmpv6.nd.ns.target_address == {WANTED} && ipv6.src == :: && !icmpv6.opt.linkaddr")) > 0);
    assert_eq!(count(&format!("icmpv6.type in {{133, 135}} && ipv6.src == {WANTED}")), 0);
    assert_eq!(count(&format!("icmpv6.nd.na.target_address == {WANTED} && icmpv6.nd.na.flag.o == 1")), 0);
    assert!(count(&format!("icmpv6.nd.na.target_address == {WANTED} && icmpv6.nd.na.flag.o == 0")) > 0);
    assert_eq!(count("_ws.malformed"), 0);
}
