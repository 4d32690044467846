//! The worked examples in `examples/`: what each sends is decoded by tshark, and is what was meant; what each receives it says as
//! tshark says it.
//!
//! What is sent on raw sockets, and on packet sockets, goes by in one scene, under one capture, and is decoded once. A number of its own tells the frames of one
//! command from those of another ([`cases`] says what is meant). What AH covers tshark does not verify: scapy does.

mod cases;
mod decoded;
mod page;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;
use sockeye_lab::Command;
use sockeye_peers::scene::python;
use sockeye_peers::{Family, Medium, PEER, Pattern, Process, Scene, Setup, Side, Subject};
use sockeye_peers::{in_both_families, subject, wait_for};

use cases::Case;
use decoded::Decoded;

/// What a test asks of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// Raw sockets, with the IP header and without.
    Raw,
    /// An interface by its name, and packet sockets on it.
    Interface,
}

impl Asks {
    fn of(case: &Case) -> Asks {
        if case.command.contains("--interface") { Asks::Interface } else { Asks::Raw }
    }
}

/// Command lines that a node refuses: record of times in IP_OPTIONS, with EINVAL.
const NOT_OF_A_NODE: &[&str] = &["--socket raw --option timestamp"];

/// Whom the example `ping` asks through a tunnel.
const PINGED: &str = "2002:c000:201::7";

/// The scene of the examples, and how a side's commands are written.
struct Stage {
    scene: Scene,
    peers_mac: String,
}

impl Stage {
    fn new(medium: Medium, asks: Asks) -> Stage {
        let scene = Scene::with(Setup { medium, ipv6: true, ..Setup::default() });
        if asks == Asks::Interface {
            // A link-local address may not be used before it is known that nobody else has it.
            wait_for("a link-local address", || has_link_local(&scene).then_some(()));
        }
        let mac = scene.peer().mac("veth0").unwrap();
        let peers_mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        // Many errors come back in a short time, and each is wanted.
        scene.peer().sysctl("ipv4/icmp_ratelimit", "0").unwrap();
        scene.peer().sysctl("ipv6/icmp/ratelimit", "0").unwrap();
        Stage { scene, peers_mac }
    }

    /// An example with its arguments, as a shell would take them.
    fn command(&self, side: Side, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let path = example(words.next().expect("a program"));
        let mut command = self.scene.command(side, path.to_str().unwrap());
        command.args(words);
        command
    }

    fn start(&self, side: Side, line: &str) -> Process {
        Process::start(&mut self.command(side, line))
    }

    /// Everything that goes by at the peer while `body` runs, in a file.
    fn capture(&self, body: impl FnOnce()) -> PathBuf {
        let file = self.scene.file("capture.pcap");
        // tcpdump gives up being root, and must still be able to write.
        let directory = file.parent().unwrap();
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = self.scene.command(Side::Peer, "tcpdump");
        command.args(["-i", "veth0", "--immediate-mode", "-U", "-w"]).arg(&file);
        let mut tcpdump = Process::start(&mut command);
        tcpdump.line_with("listening on");
        body();
        // What was sent before this has passed the capture when this has: a ping with a pattern of its own.
        // Its identifier is that of no case; otherwise it would be its process's.
        let mut ping = self.scene.command(Side::Peer, "ping");
        Process::start(ping.args(["-n", "-c1", "-w20", "-e", "1", "-p", "656e64", Side::Subject.address()])).success();
        wait_for("the last frame in the capture", || {
            std::fs::read(&file).is_ok_and(|bytes| bytes.windows(12).any(|seen| seen == b"endendendend")).then_some(())
        });
        tcpdump.signal(Signal::INT);
        tcpdump.success();
        file
    }
}

/// Whether the subject has a link-local address that is no longer tentative.
fn has_link_local(scene: &Scene) -> bool {
    let table = Process::start(scene.command(Side::Subject, "cat").arg("/proc/net/if_inet6")).success().text();
    // Address, index, length of the prefix, scope, flags, interface; the flag 0x40 is IFA_F_TENTATIVE.
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|words| {
        let is_tentative = u8::from_str_radix(words[4], 16).is_ok_and(|flags| flags & 0x40 != 0);
        words[0].starts_with("fe80") && words[5] == "veth0" && !is_tentative
    })
}

/// Where the examples lie: beside this test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    // TARGET/PROFILE/deps/TEST
    let path = test.ancestors().nth(2).expect("a directory").join(name);
    assert!(path.is_file(), "{} is missing: `cargo test -p sockeye-examples --no-run` builds it", path.display());
    path
}

#[test]
fn raw_sockets_send_what_was_meant() {
    send(Asks::Raw);
}

#[test]
fn packet_sockets_send_what_was_meant() {
    send(Asks::Interface);
}

/// Sends all that asks no more than this, and compares.
fn send(asks: Asks) {
    let stage = Stage::new(Medium::Veth, asks);
    let mut cases = cases::all(&stage.peers_mac);
    cases.retain(|case| Asks::of(case) == asks);
    if subject() == Subject::Sockeye {
        cases.retain(|case| !NOT_OF_A_NODE.iter().any(|words| case.command.contains(words)));
    }
    let mut wrong = Vec::new();
    let mut answer = stage.scene.script(Side::Peer, "answer_6to4.py", include_str!("examples/answer_6to4.py"));
    let mut answering = Process::start(answer.args([PEER, PINGED]));
    answering.line_with("answering");
    let file = stage.capture(|| {
        cases.retain(|case| {
            let ended = stage.start(Side::Subject, &case.command).finish();
            let well = ended.status.success();
            if !well {
                wrong.push(ended.to_string());
            }
            well
        });
    });
    let decoded = Decoded::new(&stage.scene, &file, &cases);
    wrong.extend(cases.iter().filter_map(|case| decoded.judge(case, &stage.peers_mac).err()));
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    authentic(&stage.scene, &file, &cases);
}

/// scapy verifies the check values of AH.
fn authentic(scene: &Scene, file: &std::path::Path, cases: &[Case]) {
    let mut script = scene.script(Side::Peer, "authentic.py", include_str!("examples/authentic.py"));
    let said = Process::start(script.arg(file).arg(cases::KEY)).success().text();
    let meant = cases.iter().filter(|case| case.command.contains("--protocol ah")).count();
    assert_eq!(said.trim(), format!("{meant} packets are authentic"));
}

/// What the peer's examples send, and what the subject's say of it.
#[test]
fn receivers_say_what_was_sent() {
    let stage = Stage::new(Medium::Veth, Asks::Interface);
    let [mut arp, mut irdp, mut raw, mut packet] =
        [("receive_arp", ""), ("receive_ra4", ""), ("receive_na", ""), ("receive_ra6", "--socket packet")].map(
            |(name, more)| stage.start(Side::Subject, &format!("{} --wait 60 --count 1000 {more}", page::line(name))),
        );
    for receiver in [&mut arp, &mut irdp, &mut raw, &mut packet] {
        receiver.line_with("listening on veth0");
    }
    let commands = [
        "arp --interface veth0 --from 10.9.0.99 announce",
        "neighbors --interface veth0 --from fe80::99 --socket packet solicit fd09::2",
        "neighbors --interface veth0 --from fe80::99 --socket packet advertise fd09::99",
        "neighbors --interface veth0 --from fe80::99 --socket packet routers",
        "neighbors --interface veth0 --from fe80::99 --socket packet router --prefix 2001:db8:99::",
        "irdp --interface veth0 --from 10.9.0.99 solicit",
        "irdp --interface veth0 --from 10.9.0.99 advertise --router 10.9.0.99:7",
    ];
    let fields = [
        "eth.src",
        "eth.dst",
        "arp.src.proto_ipv4",
        "arp.dst.proto_ipv4",
        "arp.src.hw_mac",
        "ipv6.src",
        "icmpv6.type",
        "icmpv6.nd.ns.target_address",
        "icmpv6.nd.na.target_address",
        "icmpv6.nd.ra.router_lifetime",
        "icmpv6.opt.linkaddr",
        "ip.src",
        "icmp.type",
        "icmp.lifetime",
        "icmp.router_address",
        "icmp.pref_level",
    ];
    let file = stage.capture(|| commands.iter().for_each(|line| _ = stage.start(Side::Peer, line).success()));
    let mut seen = 0;
    for row in decoded::rows(&stage.scene, &file, &fields, &[]) {
        let field = |name: &str| row[name].as_str();
        if field("arp.src.proto_ipv4") == "10.9.0.99" {
            seen += 1;
            arp.line_with(&format!(
                "{} > {}: who has {}? tell 10.9.0.99 at {}",
                field("eth.src"),
                field("eth.dst"),
                field("arp.dst.proto_ipv4"),
                field("arp.src.hw_mac"),
            ));
        }
        if field("ip.src") == "10.9.0.99" {
            seen += 1;
            irdp.line_with(&match field("icmp.type") {
                "10" => "10.9.0.99: which routers are there?".to_owned(),
                _ => format!(
                    "10.9.0.99: routers for {} s: {} ({})",
                    field("icmp.lifetime"),
                    field("icmp.router_address"),
                    field("icmp.pref_level"),
                ),
            });
        }
        if field("ipv6.src") == "fe80::99" {
            seen += 1;
            let mac = field("icmpv6.opt.linkaddr");
            let meant = match field("icmpv6.type") {
                "133" => format!("which routers are there?, says {mac}"),
                "134" => format!("router for {} s, 3 options, says {mac}", field("icmpv6.nd.ra.router_lifetime")),
                "135" => format!("who has {}?, says {mac}", field("icmpv6.nd.ns.target_address")),
                _ => format!("{} is at {mac}", field("icmpv6.nd.na.target_address")),
            };
            for receiver in [&mut raw, &mut packet] {
                // A host that does not listen to all solicited-node groups hears those of its own addresses.
                receiver.line_with(&format!("fe80::99: {meant}"));
            }
        }
    }
    assert_eq!(seen, commands.len());
    let asked = stage.start(Side::Subject, &format!("arp --interface veth0 ask {PEER}")).success();
    assert!(asked.text().contains(&format!("{PEER} is at {}", stage.peers_mac)), "{asked}");
    let peer = Side::Peer.address6();
    for more in ["", "--socket packet"] {
        let asked = stage.start(Side::Subject, &format!("neighbors --interface veth0 ask {peer} {more}")).success();
        assert!(asked.text().contains(&format!("{peer} is at {}", stage.peers_mac)), "{asked}");
    }
}

#[test]
fn the_way_to_the_peer_is_found() {
    let stage = Stage::new(Medium::Narrow(1500), Asks::Raw);
    // The routers' own addresses on the way, and the peer's.
    for (way, died) in [
        (["10.9.0.3", "10.9.9.1", PEER], "time to live exceeded"),
        (["fd09::3", "fd09:9::1", Side::Peer.address6()], "hop limit exceeded"),
    ] {
        // The end says in words of its own that it is the end.
        for (payload, end) in [("icmp", "echo reply"), ("udp", "port unreachable"), ("tcp", "RST|ACK")] {
            let line = format!("traceroute {} --payload {payload}", way[2]);
            let printed = stage.start(Side::Subject, &line).success().text();
            let found: Vec<[&str; 2]> = printed
                .lines()
                .map(|line| line.split("  ").collect::<Vec<_>>())
                .map(|words| [1, 3].map(|at| words.get(at).copied().unwrap_or_default()))
                .collect();
            assert_eq!(found, [[way[0], died], [way[1], died], [way[2], end]], "{payload}: {printed}");
        }
    }
}

fn a_page_is_fetched_by_hand(family: Family) {
    let stage = Stage::new(Medium::Veth, Asks::Interface);
    const LEN: usize = 300_000;
    std::fs::write(stage.scene.file("page"), Pattern::bytes(4, LEN)).unwrap();
    let mut serve = stage.scene.command(Side::Peer, python());
    let _server =
        Process::start(serve.args(["-u", "-m", "http.server", "8000", "--bind", Side::Peer.address_in(family)]));
    stage.scene.listens(Side::Peer, 8000);
    let (own, server) = (if family == Family::V4 { "10.9.0.77" } else { "fd09::77" }, Side::Peer.address_in(family));
    let line = format!("http_get {server} --port 8000 --path /page --interface veth0 --address {own}");
    let got = stage.start(Side::Subject, &line).success().stdout;
    let body = got.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a header") + 4;
    assert!(got.starts_with(b"HTTP/1.0 200"));
    Pattern::check(4, LEN as u64, &mut &got[body..]).unwrap();
    assert_eq!(got.len() - body, LEN);
}

in_both_families! {
    a_page_is_fetched_by_hand
}
