//! Raw sockets, ICMP's echo sockets, and errors asked for one by one: what tools of the network live on.
//!
//! The peer is a router here, and behind it is one more host of the kernel's, on a link that carries 1,400 bytes.

use sockeye_lab::{Host, Lab};
use sockeye_peers::{
    Family, Finished, PEER, Process, SUBJECT, Scene, Setup, Side, Subject, checks, in_both_families, subject,
};

const FAR: &str = "10.9.1.2";
const FAR6: &str = "fd09:1::2";
const NARROW: u32 = 1_400;

struct Chain {
    scene: Scene,
    _far: Host,
}

fn chain() -> Chain {
    let mut scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    let lab = Lab::new().unwrap();
    let far = lab.host("far").unwrap();
    let router = scene.peer().clone();
    // A router asks for its neighbours by its link-local address, if that is known to be its own.
    for host in [&router, &far] {
        host.sysctl("ipv6/conf/default/accept_dad", "0").unwrap();
    }
    lab.link(&router, "down", &far, "veth0").unwrap();
    for (host, interface, addresses) in
        [(&router, "down", ["10.9.1.1/24", "fd09:1::1/64"]), (&far, "veth0", ["10.9.1.2/24", "fd09:1::2/64"])]
    {
        host.mtu(interface, NARROW).unwrap();
        for address in addresses {
            host.address(interface, address).unwrap();
        }
        // Not a test of how often a router complains.
        host.sysctl("ipv4/icmp_ratelimit", "0").unwrap();
        host.sysctl("ipv6/icmp/ratelimit", "0").unwrap();
    }
    far.route("default", "10.9.1.1".parse().unwrap()).unwrap();
    far.route("default", "fd09:1::1".parse().unwrap()).unwrap();
    router.sysctl("ipv4/ip_forward", "1").unwrap();
    router.sysctl("ipv6/conf/all/forwarding", "1").unwrap();
    let (router, router6) = (PEER, Side::Peer.address6());
    match subject() {
        Subject::Kernel => {
            let own = scene.subject_host();
            own.route("default", router.parse().unwrap()).unwrap();
            own.route("default", router6.parse().unwrap()).unwrap();
            own.sysctl("ipv4/ping_group_range", "0 2147483647").unwrap();
        }
        Subject::Sockeye => {
            scene.replace_node(&["-g", router, "-g", router6]);
        }
    }
    Chain { scene, _far: far }
}

impl Chain {
    /// What a program says, however it ends.
    fn says(&self, program: &str, arguments: &[&str]) -> Finished {
        Process::start(self.scene.copy(program).args(arguments)).finish()
    }

    fn says_what(&self, program: &str, arguments: &[&str], expected: &[&str]) {
        let said = self.says(program, arguments);
        for expected in expected {
            assert!(said.text().contains(expected) || said.errors().contains(expected), "no {expected:?} in {said}");
        }
    }
}

/// None of the first three is lost. Told to wait, ping goes on until so many were answered, or there was an error; by itself it waits for the
/// last one as long as the others took.
const ANSWERED: [&str; 3] = ["icmp_seq=1 ", "icmp_seq=2 ", "icmp_seq=3 "];

#[test]
fn ping_says_what_became_of_its_packets() {
    let chain = chain();
    for (family, to, router, far, too_long) in [
        ("-4", PEER, PEER, FAR, ["1372", "1373"]),
        ("-6", Side::Peer.address6(), Side::Peer.address6(), FAR6, ["1352", "1353"]),
    ] {
        let ping = |arguments: &[&str], expected: &[&str]| {
            chain.says_what("ping", &[&[family, "-n", "-i", "0.2", "-w", "60"], arguments].concat(), expected);
        };
        ping(&["-c", "3", to], &ANSWERED);
        // In fragments, both ways. A router cuts those of IPv4 once more.
        let whole = if family == "-4" { far } else { to };
        ping(&["-c", "2", "-s", "4000", whole], &["4008 bytes from", ANSWERED[0], ANSWERED[1]]);
        let who = format!("From {router}");
        let exceeded = if family == "-4" { "Time to live exceeded" } else { "Time exceeded: Hop limit" };
        ping(&["-c", "1", "-t", "1", far], &[&who, exceeded, "0 received"]);
        ping(&["-c", "1", "-M", "do", "-s", "3000", to], &["message too long, mtu", "1500", "0 received"]);
        let own = if family == "-4" { SUBJECT } else { Side::Subject.address6() };
        ping(&["-c", "1", "-I", own, to], &["bytes from"]);
        ping(&["-c", "1", "-M", "do", "-s", too_long[1], far], &["mtu", "1400", "0 received"]);
        ping(&["-c", "1", "-M", "do", "-s", too_long[0], far], &["bytes from"]);
    }
    // Each host on the way writes where it sends from, the first one, too.
    let way = format!("RR: \t{SUBJECT}\n\t{PEER}\n\t{PEER}\n\t{SUBJECT}");
    chain.says_what("ping", &["-n", "-c", "1", "-W", "10", "-R", PEER], &[&way]);
    // Nobody is there.
    chain.says_what(
        "ping",
        &["-n", "-c", "1", "-W", "10", "10.9.0.77"],
        &["From 10.9.0.2", "Destination Host Unreachable"],
    );
}

/// ping of somebody who may make no raw sockets: what it has is one of ICMP's for echo.
fn ping_without_privileges(family: Family) {
    let chain = chain();
    let [own, to] = [Side::Subject, Side::Peer].map(|side| side.address_in(family));
    // Routers cut fragments of IPv4 once more.
    let (version, far, whole, exceeded) = match family {
        Family::V4 => ("-4", FAR, FAR, "Time to live exceeded"),
        Family::V6 => ("-6", FAR6, to, "Time exceeded: Hop limit"),
    };
    chain.scene.copy("ping");
    let ping = |arguments: &[&str], expected: &[&str]| {
        let mut command = chain.scene.command(Side::Subject, "setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
        command.args(["./ping", version, "-v", "-n", "-i", "0.2", "-w", "60"]).args(arguments);
        let said = Process::start(&mut command).finish();
        for expected in [&["(socktype: SOCK_DGRAM)"], expected].concat() {
            assert!(said.text().contains(expected) || said.errors().contains(expected), "no {expected:?} in {said}");
        }
    };
    ping(&["-c", "3", to], &[&["64 bytes from"], &ANSWERED[..]].concat());
    ping(&["-c", "2", "-s", "4000", whole], &["4008 bytes from", ANSWERED[0], ANSWERED[1]]);
    ping(&["-c", "1", "-t", "1", far], &[&format!("From {to}"), exceeded, "0 received"]);
    ping(&["-c", "1", "-I", own, to], &["bytes from"]);
}

#[test]
fn traceroute_finds_the_way_by_each_method() {
    let chain = chain();
    for (family, router, far) in [("-4", PEER, FAR), ("-6", Side::Peer.address6(), FAR6)] {
        for method in [&[][..], &["-I"], &["-T"], &["-M", "tcpconn"]] {
            let said = chain.says("traceroute", &[&[family, "-n", "-w", "10"], method, &[far]].concat()).success();
            assert_eq!(hops(&said.text()), [[router], [far]], "{family} {method:?}: {said}");
        }
    }
}

/// Who answered at each distance.
fn hops(said: &str) -> Vec<Vec<&str>> {
    said.lines().skip(1).map(|line| line.split_whitespace().filter(is_address).collect()).collect()
}

fn is_address(word: &&str) -> bool {
    word.parse::<std::net::IpAddr>().is_ok()
}

/// By UDP, ICMP, UDP-Lite, and segments with SYN, with ACK, and with both marks of congestion.
#[test]
fn the_other_traceroutes_of_ipv6_find_the_way() {
    let chain = chain();
    chain.scene.copy("rltraceroute6");
    let methods: [(&str, &[&str]); 7] = [
        ("rltraceroute6", &[FAR6]),
        ("rltraceroute6", &["-I", FAR6]),
        ("rltraceroute6", &["-U", FAR6]),
        ("rltraceroute6", &["-A", FAR6]),
        ("rltraceroute6", &["-E", FAR6]),
        ("tcptraceroute6", &[FAR6, "9"]),
        // A script that calls the first.
        ("tracert6", &[FAR6]),
    ];
    for (program, method) in methods {
        let said = chain.says(program, &[&["-n", "-w", "10"], method].concat()).success();
        assert_eq!(hops(&said.text()), [[Side::Peer.address6()], [FAR6]], "{method:?}: {said}");
        assert!(said.text().contains("[closed]") == (program == "tcptraceroute6"), "{said}");
    }
}

#[test]
fn tracepath_finds_the_way_and_its_mtu() {
    let chain = chain();
    for (family, router, far) in [("-4", PEER, FAR), ("-6", Side::Peer.address6(), FAR6)] {
        let found = [router, "pmtu 1500", "Resume: pmtu 1400 hops 2 back 2"];
        chain.says_what("tracepath", &[family, "-n", far], &found);
    }
}

#[test]
fn mtr_counts_what_comes_back() {
    let chain = chain();
    for (family, router, far) in [("-4", PEER, FAR), ("-6", Side::Peer.address6(), FAR6)] {
        let mut mtr = chain.scene.command(Side::Subject, "mtr");
        let asked = mtr.args([family, "--report", "--no-dns", "-c", "2", "-i", "0.3", "--json", far]);
        let said = Process::start(asked).success();
        let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        let hubs = report["report"]["hubs"].as_array().unwrap();
        let found: Vec<_> = hubs.iter().map(|hub| (hub["host"].as_str(), hub["Loss%"].as_f64())).collect();
        assert_eq!(found, [(Some(router), Some(0.0)), (Some(far), Some(0.0))], "{said}");
    }
}

/// A function of the same name in `raw.py`.
fn check(name: &str) {
    let chain = chain();
    let mut script = chain.scene.script(Side::Subject, "raw.py", include_str!("raw.py"));
    let ends = [SUBJECT, PEER, Side::Subject.address6(), Side::Peer.address6(), FAR, FAR6];
    Process::start(script.arg(name).args(ends)).success();
}

checks! {
    what_there_is_no_socket_for
    packets_have_their_header_and_each_gets_a_copy
    filters_keep_types_away
    what_is_missing_in_a_header_is_filled_in
    nobody_speaks_from_where_he_is_not
    unknown_protocols_are_said_to_be_so
    checksums_of_ipv6
    the_header_of_ipv6_is_the_programs
    echo_sockets_have_identifiers
    errors_are_asked_for_one_by_one
    what_is_too_long_is_said_with_its_limit
    a_routers_limit_is_told
    raw_and_echo_sockets_hear_of_errors
}

/// Whoever asks for packets with a router alert on their way through gets none from a host, which forwards nothing.
#[test]
fn alerts_are_for_routers() {
    let chain = chain();
    chain.scene.subject_host().sysctl("ipv4/ip_forward", "0").unwrap();
    let subject6 = Side::Subject.address6();
    chain.scene.peer().route("10.9.7.0/24", SUBJECT.parse().unwrap()).unwrap();
    chain.scene.peer().route("fd09:7::/64", subject6.parse().unwrap()).unwrap();
    let script = |side| chain.scene.script(side, "raw.py", include_str!("raw.py"));
    let peer6 = Side::Peer.address6();
    let ends = ["alerts_are_for_routers", SUBJECT, PEER, subject6, peer6, FAR, FAR6];
    let mut asks = Process::start(script(Side::Subject).args(ends));
    asks.line_with("ready");
    let ends = ["alerts_are_sent", PEER, SUBJECT, peer6, subject6, FAR, FAR6];
    let _sender = Process::start(script(Side::Peer).args(ends));
    asks.success();
}

in_both_families! {
    ping_without_privileges
}
