//! The tools of those who look at networks and ask them questions: by ARP and by neighbour discovery, with packets made by
//! hand, by capture while it happens, and for a lease.

use std::fs;

use sockeye_lab::Command;
use sockeye_peers::scene::python;
use sockeye_peers::{Family, Finished, PEER, Process, SUBJECT, Scene, Setup, Side, checks, wait_for};

use crate::autoconf::{kernels, settled, subjects};

/// On the link, and of no host.
const NOBODY: [&str; 2] = ["10.9.0.9", "fd09::9"];

/// A program on the subject.
fn start(scene: &Scene, program: &str, arguments: &[&str]) -> Process {
    Process::start(scene.copy(program).args(arguments))
}

fn says(scene: &Scene, program: &str, arguments: &[&str]) -> Finished {
    start(scene, program, arguments).success()
}

/// It asks until it is told this: some wait a second for their answer, and who is asked may be busy for longer.
fn is_told(scene: &Scene, program: &str, arguments: &[&str], expected: &[&str]) {
    wait_for(&format!("{program} {arguments:?} to say {expected:?}"), || {
        let said = start(scene, program, arguments).finish();
        let told = said.status.success() && expected.iter().all(|expected| said.text().contains(expected));
        // For whoever waits in vain.
        eprintln!("{said}");
        told.then_some(())
    });
}

/// The hardware address of the peer's end of the link.
fn mac_of_peer(scene: &Scene) -> String {
    let mut ask = scene.peer().command("ip");
    let said = Process::start(ask.args(["-j", "link", "show", "dev", "veth0"])).success();
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    said[0]["address"].as_str().unwrap().to_uppercase()
}

#[test]
fn arping_asks_who_has_an_address() {
    let scene = Scene::new();
    let said = says(&scene, "arping", &["-c", "1", "-w", "30", "-I", "veth0", PEER]).text();
    let heading = format!("ARPING {PEER} from {SUBJECT} veth0\n");
    let reply = format!("reply from {PEER} [{}]", mac_of_peer(&scene));
    for expected in [&*heading, &reply, "Received 1 response(s)"] {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
    // Whether somebody has it, before it is taken: status 1 says so.
    let taken = start(&scene, "arping", &["-D", "-c", "30", "-I", "veth0", PEER]).finish();
    assert_eq!(taken.status.code(), Some(1), "{taken}");
}

#[test]
fn hping3_makes_packets_by_hand() {
    let scene = Scene::new();
    let closed = "sport=9 flags=RA seq=0 win=0";
    for (arguments, expected) in
        [(&["-1"][..], "icmp_seq=0"), (&["-S", "-p", "9"], closed), (&["-2", "-p", "9"], "ICMP Port Unreachable")]
    {
        let arguments = [&["-n", "-I", "veth0", "-c", "1"], arguments, &[PEER]].concat();
        is_told(&scene, "hping3", &arguments, &[expected, &format!("ip={PEER}")]);
    }
    let mut serve = scene.command(Side::Peer, "nc");
    let _serving = Process::start(serve.args(["-l", PEER, "7100"]));
    scene.listens(Side::Peer, 7100);
    is_told(&scene, "hping3", &["-n", "-I", "veth0", "-c", "1", "-S", "-p", "7100", PEER], &["sport=7100 flags=SA"]);
}

/// An open port, one that is closed, and one that is silent: a listener whose filter drops whatever comes.
fn nmap_tells_ports_apart(family: Family) {
    let scene = Scene::of(family);
    let peer = scene.address(Side::Peer);
    let serve = "import socket, struct, sys, ctypes, signal
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
open, silent = [socket.create_server((sys.argv[1], port), family=family) for port in (7100, 7101)]
program = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0))
silent.setsockopt(socket.SOL_SOCKET, 26, struct.pack('HxxxxxxP', 1, ctypes.addressof(program)))
print('ready', flush=True)
signal.pause()";
    let mut command = scene.command(Side::Peer, python());
    let mut serving = Process::start(command.args(["-c", serve, peer]));
    serving.line_with("ready");
    let version = format!("-{}", scene.version());
    let scan = [&version, "-sS", "-n", "-p", "9,7100,7101", "--reason", "-oG", "-", peer];
    // Of IPv4 nmap has no such option.
    let scan = if family == Family::V4 { &scan[1..] } else { &scan };
    // Whoever says nothing for four seconds is silent.
    let patience = ["--max-retries", "3", "--min-rtt-timeout", "1s", "--initial-rtt-timeout", "1s"];
    let finished = says(&scene, "nmap", &[scan, &patience].concat());
    let said = finished.text();
    for expected in ["9/closed/tcp", "7100/open/tcp", "7101/filtered/tcp", "Status: Up"] {
        assert!(said.contains(expected), "no {expected:?} in {finished}");
    }
}

fn tshark_reads_as_packets_pass(family: Family) {
    let scene = Scene::of(family);
    // Echo requests and replies: neighbours of IPv6 ask for each other beside.
    let filter = if family == Family::V4 { "icmp" } else { "icmp6 and (ip6[40] == 128 or ip6[40] == 129)" };
    let mut watch = scene.command(Side::Subject, "tshark");
    let mut watching = Process::start(watch.args(["-l", "-n", "-i", "veth0", "-c", "4", "-f", filter]));
    watching.line_with("Capture started");
    let [peer, own] = [Side::Peer, Side::Subject].map(|side| scene.address(side));
    let mut ping = scene.command(Side::Peer, "ping");
    Process::start(ping.args(["-n", "-c", "2", "-i", "0.2", own])).success();
    let said = watching.success().text();
    for (kind, from, to) in [("request", peer, own), ("reply", own, peer)] {
        let seen = said.lines().filter(|line| line.contains(&format!("Echo (ping) {kind}")));
        let right = seen.filter(|line| line.find(from) < line.find(to));
        assert_eq!(right.count(), 2, "{said}");
    }
}

#[test]
fn ndisc6_and_rdisc6_ask_from_here() {
    let scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    wait_for("the subject's own address", || settled(subjects(&scene), "fe80:"));
    let theirs = wait_for("the peer's own address", || settled(kernels(&scene, Side::Peer), "fe80:"));
    for address in [&theirs, Side::Peer.address6()] {
        assert_eq!(says(&scene, "ndisc6", &["-q", "-r", "30", address, "veth0"]).text().trim(), mac_of_peer(&scene));
    }
    let none = start(&scene, "rdisc6", &["-1", "-r", "1", "-w", "200", "veth0"]).finish();
    assert_eq!(none.status.code(), Some(2), "{none}");
    let _radvd = crate::autoconf::router(&scene);
    let said = says(&scene, "rdisc6", &["-1", "-r", "30", "veth0"]).text();
    for expected in ["2001:db8:9::/64", "1400 bytes", &theirs] {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
}

/// dnsmasq, which serves one lease and one name of each family; it serves leases of IPv6 if its host has an address of that.
pub(crate) fn dnsmasq(scene: &Scene, side: Side) -> Process {
    // A lease of IPv6 is asked for, and given, from a link-local address.
    if scene.family() == Family::V6 {
        wait_for("the subject's own address", || settled(subjects(scene), "fe80:"));
        wait_for("the peer's own address", || settled(kernels(scene, Side::Peer), "fe80:"));
    }
    let mut serve = scene.command(side, "dnsmasq");
    let alone = ["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--leasefile-ro", "--no-ping"];
    serve.args(alone).args(["--no-resolv", "--no-hosts", "--user=root", "--dhcp-authoritative", "--log-facility=-"]);
    serve.args(["--address=/name.test/10.9.0.77", "--address=/name.test/fd09::77"]);
    serve.args(["--bind-interfaces", "--interface=veth0", "--dhcp-range=10.9.0.50,10.9.0.50,255.255.255.0,1h"]);
    let serving = Process::start(serve.arg("--dhcp-range=fd09::50,fd09::50,64,1h"));
    scene.is_bound(side, if scene.family() == Family::V4 { 67 } else { 547 });
    serving
}

/// A script for udhcpc that says what it got, and sets nothing.
fn says_the_lease(scene: &Scene) -> String {
    let script = scene.executable("lease", "#!/bin/sh\necho $1 $ip $subnet $router $lease\n");
    script.to_str().unwrap().to_owned()
}

#[test]
fn udhcpc_gets_a_lease() {
    let scene = Scene::new();
    let _serving = dnsmasq(&scene, Side::Peer);
    let script = says_the_lease(&scene);
    let said =
        says(&scene, "busybox", &["udhcpc", "-f", "-q", "-n", "-T", "1", "-t", "30", "-i", "veth0", "-s", &script]);
    assert_eq!(said.text().lines().last(), Some("bound 10.9.0.50 255.255.255.0 10.9.0.1 3600"), "{said}");
}

/// The lease that ISC's client gets: by IPv4 with a packet socket, a filter and a socket besides, by IPv6 with a socket alone. It goes on
/// when it has its lease.
fn dhclient(scene: &Scene, mut command: Command) -> String {
    let [leases, pid] = ["leases", "pid"].map(|name| scene.file(name));
    command.args([&format!("-{}", scene.version()), "-1", "-d", "-sf", "/bin/true", "-lf"]);
    let _asking = Process::start(command.arg(&leases).arg("-pf").arg(&pid).arg("veth0"));
    wait_for("a lease", || {
        fs::read_to_string(&leases).ok().filter(|said| said.contains("lease") && said.ends_with("}\n"))
    })
}

fn dhclient_gets_a_lease(family: Family) {
    let scene = Scene::of(family);
    let _serving = dnsmasq(&scene, Side::Peer);
    let said = dhclient(&scene, scene.copy("dhclient"));
    let expected = match family {
        Family::V4 => ["fixed-address 10.9.0.50;", "dhcp-lease-time 3600;", "routers 10.9.0.1;"],
        Family::V6 => ["iaaddr fd09::50 {", "max-life 3600;", "dhcp6.name-servers fd09::1;"],
    };
    for expected in expected.into_iter().chain(["interface \"veth0\""]) {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
}

fn dnsmasq_serves_leases_and_names(family: Family) {
    let scene = Scene::of(family);
    let _serving = dnsmasq(&scene, Side::Subject);
    let (kind, name) = match family {
        Family::V4 => {
            let script = says_the_lease(&scene);
            let mut ask = scene.command(Side::Peer, "busybox");
            ask.args(["udhcpc", "-f", "-q", "-n", "-T", "1", "-t", "30", "-i", "veth0", "-s", &script]);
            let said = Process::start(&mut ask).success();
            assert_eq!(said.text().lines().last(), Some("bound 10.9.0.50 255.255.255.0 10.9.0.2 3600"), "{said}");
            ("-type=a", "10.9.0.77")
        }
        Family::V6 => {
            let said = dhclient(&scene, scene.command(Side::Peer, "dhclient"));
            for expected in ["iaaddr fd09::50 {", "dhcp6.name-servers fd09::2;"] {
                assert!(said.contains(expected), "no {expected:?} in {said}");
            }
            ("-type=aaaa", "fd09::77")
        }
    };
    let mut look_up = scene.command(Side::Peer, "busybox");
    let said = Process::start(look_up.args(["nslookup", kind, "name.test", scene.address(Side::Subject)])).success();
    assert!(said.text().contains(&format!("Address: {name}")), "{said}");
}

/// A word of what each says of a port that is open, of one that is closed, or of the station. Of IPv6 nping cannot make segments by hand,
/// on no stack: it connects.
fn scanners_find_the_peer(family: Family) {
    let scene = Scene::of(family);
    let [own, peer] = [Side::Subject, Side::Peer].map(|side| scene.address(side));
    let mut serve = scene.command(Side::Peer, "nc");
    let _serving = Process::start(serve.args(["-k", "-l", peer, "7100"]));
    scene.listens(Side::Peer, 7100);
    let [alive, open, connected] = [
        format!("{peer} is alive"),
        format!("TCP {peer}:7100 > {own}"),
        format!("Handshake with {peer}:7100 completed"),
    ];
    let station = mac_of_peer(&scene);
    let of_ipv4: &[(&str, &[&str], &str)] = &[
        ("fping", &["-r", "5", peer], &alive),
        ("arp-scan", &["-q", "-r", "5", "-I", "veth0", peer], &station.to_lowercase()),
        ("nping", &["-c", "3", "--delay", "100ms", "--tcp", "-p", "7100", peer], &open),
        ("nmap", &["-n", "-sO", "-p", "1", peer], "1        open  icmp"),
        ("nmap", &["-n", "-sA", "-p", "9", peer], "9/tcp unfiltered"),
        ("nmap", &["-n", "-sn", "-PR", peer], "Host is up"),
        ("hping3", &["-n", "--scan", "7100", "-S", peer], ".S..A..."),
    ];
    let of_ipv6: &[(&str, &[&str], &str)] = &[
        ("fping", &["-6", "-r", "5", peer], &alive),
        ("nping", &["-6", "-c", "3", "--delay", "100ms", "--tcp-connect", "-p", "7100", peer], &connected),
        ("nmap", &["-6", "-n", "-sO", "-p", "58", peer], "58       open  ipv6-icmp"),
        ("nmap", &["-6", "-n", "-sA", "-p", "9", peer], "9/tcp unfiltered"),
        // By neighbour discovery.
        ("nmap", &["-6", "-n", "-sn", peer], &station),
    ];
    for &(program, arguments, expected) in if family == Family::V4 { of_ipv4 } else { of_ipv6 } {
        is_told(&scene, program, arguments, &[expected]);
    }
}

/// A function of the same name in `tools.py`.
fn check(family: Family, name: &str) {
    let nobody = NOBODY[usize::from(family == Family::V6)];
    let scene = Scene::of(family);
    // Frames for this address reach the subject, and no stack: that of the subject does not have it.
    let mut ping = scene.command(Side::Peer, "ping");
    Process::start(ping.args(["-n", "-c", "1", scene.address(Side::Subject)])).success();
    let mut lead = scene.peer().command("ip");
    lead.args(["neigh", "replace", nobody, "dev", "veth0", "lladdr", &scene.mac_of_subject()]);
    Process::start(&mut lead).success();
    let page = scene.make_directory("page");
    fs::write(page.join("index.html"), "made by hand\n").unwrap();
    let peer = scene.address(Side::Peer);
    let mut serve = scene.command(Side::Peer, python());
    let _serving = Process::start(serve.args(["-m", "http.server", "8000", "--bind", peer, "-d"]).arg(&page));
    scene.listens(Side::Peer, 8000);
    let mut script = scene.script(Side::Subject, "tools.py", include_str!("tools.py"));
    Process::start(script.args([name, peer, nobody])).success();
}

checks! {
    in both families:
    [ipv4: scapy_asks_for_stations]
    scapy_asks_and_sniffs
    scapy_makes_a_connection
}

mod seen_from_here {
    use super::*;

    sockeye_peers::in_both_families! {
        nmap_tells_ports_apart
        tshark_reads_as_packets_pass
        dhclient_gets_a_lease
        dnsmasq_serves_leases_and_names
        scanners_find_the_peer
    }
}
