//! What is started on a node stays there: files that have capabilities, as an ordinary user starts them, and programs with an environment of their own.
//!
//! The namespace of a node's programs has no network, so whoever reaches the peer does so by the node.

use std::fs;

use rustix::fs::{XattrFlags, getxattr, setxattr};
use sockeye_lab::Command;
use sockeye_peers::scene::python;
use sockeye_peers::{Family, Process, Scene, Setup, Side, Subject, in_both_families, subject, wait_for};

/// Without privileges, but with all that a file's capabilities can give.
const ORDINARY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// A program that an ordinary user starts who was root on the node.
fn ordinary(scene: &Scene, program: &str) -> Command {
    let mut command = scene.command(Side::Subject, "setpriv");
    command.args(ORDINARY).arg(program);
    command
}

const CAPABILITIES: &str = "security.capability";
/// `CAP_NET_BIND_SERVICE`, `CAP_NET_RAW`, `CAP_SYS_NICE`.
const BIND: u32 = 1 << 10;
const RAW: u32 = 1 << 13;
const NICE: u32 = 1 << 23;

/// A copy of a program that has these capabilities, permitted and effective (`struct vfs_cap_data`).
fn capable(scene: &Scene, program: &str, name: &str, permitted: u32) -> String {
    let path = scene.file(name);
    let mut copy = scene.peer().command("install");
    Process::start(copy.args(["-m", "755", program]).arg(&path)).success();
    let value: Vec<u8> = [0x0200_0001, permitted, 0, 0, 0].into_iter().flat_map(u32::to_le_bytes).collect();
    setxattr(&path, CAPABILITIES, &value, XattrFlags::empty()).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// An installed program that has CAP_NET_RAW; a copy of it, where the installation gave it none.
fn raw(scene: &Scene, name: &str) -> String {
    let installed = format!("/usr/bin/{name}");
    let has_some = getxattr(&installed, CAPABILITIES, &mut [0_u8; 64][..]).is_ok();
    if has_some { installed } else { capable(scene, &installed, name, RAW) }
}

/// Says which address it has towards the peer, which must hear it.
const ASKS: &str = "import socket, sys
peer, = sys.argv[1:]
with socket.create_connection((peer, 8910)) as stream: print(stream.getsockname()[0])";

/// Asserts that a program reaches the peer, and has the subject's address there.
#[track_caller]
fn is_on_the_node(scene: &Scene, command: &mut Command) {
    let said = Process::start(command).success();
    assert_eq!(said.text().trim(), scene.address(Side::Subject), "{said}");
}

/// Somebody who lets everybody connect to the peer.
fn listen(scene: &Scene) -> Process {
    let mut serve = scene.command(Side::Peer, "socat");
    let at = format!("TCP{}-LISTEN:8910,fork,reuseaddr,bind={}", scene.version(), scene.host(Side::Peer));
    let serving = Process::start(serve.args([at.as_str(), "SYSTEM:true"]));
    scene.listens(Side::Peer, 8910);
    serving
}

/// By `sockeye run` of his own, by another program, and by a shell.
fn an_ordinary_user_pings(family: Family) {
    let scene = Scene::of(family);
    let peer = scene.address(Side::Peer);
    let version = format!("-{}", scene.version());
    let line = ["-n", "-c", "2", "-i", "0.2", "-w", "60", &version, peer];
    let answered = |command: &mut Command| {
        let said = Process::start(command).success();
        assert!(said.text().contains("2 received"), "{said}");
    };
    let ping = raw(&scene, "ping");
    let (directory, _) = ping.rsplit_once('/').unwrap();
    answered(scene.command_of_nobody(&ping).args(line));
    answered(ordinary(&scene, &ping).args(line));
    // By name, as libc and the shell look for it; and without an environment.
    answered(ordinary(&scene, "ping").args(line).env("PATH", format!("{directory}:/usr/sbin:/usr/bin:/bin")));
    answered(ordinary(&scene, "sh").args(["-c", &format!("{ping} {}; exit $?", line.join(" "))]));
    answered(ordinary(&scene, "env").args(["-i", &ping]).args(line));
}

#[test]
fn a_ping_of_an_ordinary_user_is_called_ping() {
    let scene = Scene::new();
    let mut ping = scene.command_of_nobody(&raw(&scene, "ping"));
    let mut pinging = Process::start(ping.args(["-n", "-i", "0.2", "-w", "60", scene.address(Side::Peer)]));
    pinging.line_with("icmp_seq=2");
    let name = fs::read_to_string(format!("/proc/{}/comm", pinging.id())).unwrap();
    assert_eq!(name, "ping\n");
    if subject() == Subject::Sockeye {
        let shown = scene.show("sockets");
        assert!(shown.as_array().unwrap().iter().any(|row| row["program"] == "ping"), "{shown}");
    }
}

/// mtr has no capabilities, but what it starts (by `execlp`) has.
fn an_ordinary_user_traces(family: Family) {
    let scene = Scene::of(family);
    let version = format!("-{}", scene.version());
    let mut trace = ordinary(&scene, "mtr");
    trace.env("MTR_PACKET", raw(&scene, "mtr-packet"));
    let line = [&version, "--report", "--no-dns", "-c", "2", "-i", "1", "--json", scene.address(Side::Peer)];
    let said = Process::start(trace.args(line)).success();
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let hub = &report["report"]["hubs"][0];
    assert_eq!((hub["host"].as_str(), hub["Loss%"].as_f64()), (Some(scene.address(Side::Peer)), Some(0.0)), "{said}");
}

fn an_environment_of_its_own_is_no_way_out(family: Family) {
    let scene = Scene::of(family);
    let _listener = listen(&scene);
    let peer = scene.address(Side::Peer);
    let python = python();
    let asks = [python, "-c", ASKS, peer];
    is_on_the_node(&scene, scene.command(Side::Subject, "env").args(["-i"]).args(asks));
    is_on_the_node(&scene, scene.command(Side::Subject, "env").args(["-u", "SOCKEYE_CONTROL"]).args(asks));
    is_on_the_node(&scene, ordinary(&scene, "env").args(["-i"]).args(asks));
    let script = format!("import os, sys; os.execve({python:?}, [{python:?}] + sys.argv[1:], {{}})");
    is_on_the_node(&scene, scene.command(Side::Subject, python).args(["-c", &script, "-c", ASKS, peer]));
    let script =
        format!("import subprocess, sys; subprocess.run([{python:?}] + sys.argv[1:], env=dict(A='1'), check=True)");
    is_on_the_node(&scene, scene.command(Side::Subject, python).args(["-c", &script, "-c", ASKS, peer]));
    if subject() == Subject::Sockeye {
        // Who wants none gets none: there is no network but the node's.
        let mut leaves = scene.command(Side::Subject, "env");
        let said = Process::start(leaves.arg("LD_PRELOAD=").args(asks)).finish();
        assert!(!said.status.success() && said.errors().contains("Network is unreachable"), "{said}");
    }
}

const ITSELF: &str = "import os, socket, sys
own = os.readlink('/proc/self/exe'), os.readlink('/proc/%d/exe' % os.getpid())
print(own, open('/proc/self/comm').read().strip(), file=sys.stderr)
if sys.argv[1] == 'first': os.execv('/proc/self/exe', ['another', sys.argv[0], 'again', sys.argv[2]])
with socket.create_connection((sys.argv[2], 8910)) as stream: print(stream.getsockname()[0])";

/// A program with capabilities finds itself, and starts itself once more.
#[test]
fn a_file_with_capabilities_knows_itself() {
    let scene = Scene::new();
    let _listener = listen(&scene);
    let program = capable(&scene, python(), "snake", BIND);
    let path = scene.file("self.py");
    fs::write(&path, ITSELF).unwrap();
    let mut start = ordinary(&scene, &program);
    let said = Process::start(start.arg(&path).args(["first", scene.address(Side::Peer)])).success();
    assert_eq!(said.text().trim(), scene.address(Side::Subject), "{said}");
    let own = format!("('{program}', '{program}') ");
    let [first, again] = said.errors().lines().map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(first, format!("{own}snake"), "{said}");
    assert!(again.starts_with(&own), "{said}");
}

/// Beyond the network, the node has no say.
#[test]
fn other_capabilities_are_refused() {
    if subject() == Subject::Kernel {
        return;
    }
    let scene = Scene::with(Setup::default());
    let program = capable(&scene, "/usr/bin/true", "able", RAW | NICE);
    let said = Process::start(&mut scene.command_of_nobody(&program)).finish();
    assert!(!said.status.success() && said.errors().contains("has file capabilities beyond the network"), "{said}");
    // What a program starts is not refused, for it would not expect that.
    Process::start(&mut ordinary(&scene, &program)).success();
}

/// The node's own command does as ever: on a node, it shows, and has a node that is on the kernel.
#[test]
fn the_command_itself_stays_where_it_is() {
    if subject() == Subject::Kernel {
        return;
    }
    let scene = Scene::new();
    let sockeye = sockeye_peers::scene::sockeye_path();
    let shown = Process::start(scene.command(Side::Subject, &sockeye).args(["show", "addresses"])).success();
    assert!(shown.text().contains(scene.address(Side::Subject)), "{shown}");
    let mut nested = scene.command(Side::Subject, &sockeye);
    nested.args(["run", "-i", "lo0", "--driver", "tap", "-a", "10.8.0.2/24", "--", &sockeye, "show", "addresses"]);
    let shown = Process::start(&mut nested).success();
    assert!(shown.text().contains("10.8.0.2") && !shown.text().contains("10.9.0.2"), "{shown}");
    wait_for("the first node's answer", || scene.show("addresses").to_string().contains("10.9.0.2").then_some(()));
}

in_both_families! {
    an_ordinary_user_pings
    an_ordinary_user_traces
    an_environment_of_its_own_is_no_way_out
}
