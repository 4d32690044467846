//! In which order a program is told the addresses of a name, and of which families (RFC 6724, AI_ADDRCONFIG): what glibc makes of a hosts file
//! on a kernel with the same addresses and routes is the judge. It is given RFC 6724's table, as gai.conf(5) has it: its own is that of RFC 3484.
//!
//! Left out is where glibc does otherwise by itself: it compares more than the prefix of a network, and of IPv4 what is on a host's own network.

use std::fs;
use std::path::Path;

use sockeye_lab::{Command, Host, Lab};
use sockeye_peers::scene::{python, sockeye_path};
use sockeye_peers::{Process, Scene, Side, Subject, subject};

const HOSTS: &str = "\
10.9.0.9 near
fd09::9 near
10.9.0.9 mixed
192.0.2.1 mixed
fd09::9 mixed
2001:db8:77::1 mixed
169.254.3.4 mixed
2002:c000:201::1 mixed
2001:0:1::1 mixed
fd77::7 mixed
127.0.0.1 mixed
fec0::1 mixed
::192.0.2.7 mixed
2001:db8:9::77 mixed
2001:db8:8::77 mixed
192.0.2.9 far
2001:db8:ffff::1 far
192.0.2.9 local
fd00::5 local
2002:c000:209::1 tunnels
192.0.2.9 tunnels
2001:0:9::9 tunnels
2001:db8:5::5 tunnels
";

/// Prefix, label, precedence.
const POLICIES: [(&str, u8, u8); 9] = [
    ("::1/128", 0, 50),
    ("::/0", 1, 40),
    ("::ffff:0:0/96", 4, 35),
    ("2002::/16", 2, 30),
    ("2001::/32", 5, 5),
    ("fc00::/7", 13, 3),
    ("::/96", 3, 1),
    ("fec0::/10", 11, 1),
    ("3ffe::/16", 12, 1),
];

/// Addresses, and routers. The first one has a loopback and no more.
const STATES: [(&[&str], &[&str]); 8] = [
    (&[], &[]),
    (&["10.9.0.2/24"], &[]),
    (&["10.9.0.2/24"], &["10.9.0.1"]),
    (&["2001:db8:9::2/64"], &[]),
    (&["2001:db8:9::2/64"], &["2001:db8:9::1"]),
    (&["10.9.0.2/24", "2001:db8:9::2/64"], &["10.9.0.1", "2001:db8:9::1"]),
    (&["10.9.0.2/24", "fd09::2/64"], &["10.9.0.1"]),
    (&["10.9.0.2/24", "2001:db8:9::2/64", "fd09::2/64"], &["10.9.0.1", "2001:db8:9::1"]),
];

/// A program that finds other files in the places of these.
fn with_files(host: &Host, files: &[(&Path, &str)], program: &[&str]) -> Command {
    let mut command = host.command("unshare");
    let mounts: String =
        files.iter().map(|(path, over)| format!("mount --bind {} {over} && ", path.display())).collect();
    command.args(["-m", "sh", "-c", &format!("{mounts}exec \"$@\""), "sh"]).args(program);
    command
}

fn is_v6(text: &&str) -> bool {
    text.contains(':')
}

/// A kernel in this state, and who is at the other end of its link.
fn kernel(lab: &Lab, (addresses, gateways): (&[&str], &[&str])) -> [Host; 2] {
    let [host, void] = ["judge", "void"].map(|name| lab.host(name).unwrap());
    if !addresses.is_empty() {
        lab.link(&host, "veth0", &void, "veth0").unwrap();
        let name = if addresses.iter().any(is_v6) { "accept_dad" } else { "disable_ipv6" };
        host.sysctl(&format!("ipv6/conf/veth0/{name}"), if name == "accept_dad" { "0" } else { "1" }).unwrap();
    }
    for address in addresses {
        host.address("veth0", address).unwrap();
    }
    for gateway in gateways {
        host.route("default", gateway.parse().unwrap()).unwrap();
    }
    [host, void]
}

#[test]
fn destinations_come_in_the_same_order_as_on_a_kernel() {
    if subject() == Subject::Kernel {
        return;
    }
    let mut scene = Scene::new();
    let mut last = Some(scene.take_node());
    let lab = Lab::new().unwrap();
    let [hosts, table, config, path] =
        ["hosts", "gai.conf", "node.toml", "destinations.py"].map(|name| scene.file(name));
    fs::write(&hosts, HOSTS).unwrap();
    let lines = POLICIES.map(|(prefix, label, first)| format!("label {prefix} {label}\nprecedence {prefix} {first}\n"));
    fs::write(&table, lines.concat()).unwrap();
    for (addresses, gateways) in STATES {
        scene.sockeye(&["down"]).success();
        last.take().unwrap().success();
        // Without a carrier no address is taken.
        let mut link = scene.peer().command("ip");
        let state = if addresses.is_empty() { "down" } else { "up" };
        Process::start(link.args(["link", "set", "veth0", state])).success();
        let enabled = addresses.is_empty() || addresses.iter().any(is_v6);
        let text = format!("[ipv6]\nenabled = {enabled}\nduplicate_detection = false\nrouters = false\n");
        fs::write(&config, text).unwrap();
        let (program, control) = (sockeye_path(), scene.control());
        let mut up = vec![&program, "up", "-i", "veth0", "-c", config.to_str().unwrap()];
        up.extend(["--control", control.to_str().unwrap()]);
        up.extend(addresses.iter().flat_map(|address| ["-a", address]));
        up.extend(gateways.iter().flat_map(|gateway| ["-g", gateway]));
        let mut node = Process::start(&mut with_files(scene.subject_host(), &[(&hosts, "/etc/hosts")], &up));
        node.line_with("ready");
        last = Some(node);

        let mut ask = scene.script(Side::Subject, "destinations.py", include_str!("destinations.py"));
        let told = Process::start(&mut ask).success().text();
        let files = [(&*hosts, "/etc/hosts"), (&*table, "/etc/gai.conf")];
        let [judge, _void] = kernel(&lab, (addresses, gateways));
        let mut ask = with_files(&judge, &files, &[python(), path.to_str().unwrap()]);
        let judged = Process::start(&mut ask).success().text();
        // Where nothing can be reached, the table alone decides.
        let heeded = judged.contains("local UNSPEC any ['192.0.2.9', 'fd00::5']");
        assert!(heeded || !addresses.is_empty(), "{judged}");
        assert_eq!(judged.lines().count(), 30);
        for (told, judged) in told.lines().zip(judged.lines()) {
            assert_eq!(told, judged, "with {addresses:?} {gateways:?}");
        }
        assert_eq!(told.lines().count(), judged.lines().count());
    }
}
