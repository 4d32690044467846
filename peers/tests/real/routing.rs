//! Routing headers as libc's own functions make and read them (RFC 3542, 7): sticky, attached, and at their end. What leaves is what was meant,
//! says tshark; what Linux refuses is refused.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use sockeye_lab::Offloads;
use sockeye_peers::{Process, Scene, Setup, Side, Subject, subject, wait_for};

const FAR: &str = "2001:db8::9";

/// A scene whose frames bear whole checksums and whose subject has a way to anywhere, and the program.
fn stage() -> (Scene, PathBuf) {
    let mut scene = Scene::with(Setup { ipv6: true, offloads: Some(Offloads::None), ..Setup::default() });
    let router = Side::Peer.address6();
    match subject() {
        Subject::Kernel => scene.subject_host().route("default", router.parse().unwrap()).unwrap(),
        Subject::Sockeye => scene.replace_node(&["-g", router]),
    }
    let (source, program) = (scene.file("routing.c"), scene.file("routing"));
    std::fs::write(&source, include_str!("routing.c")).unwrap();
    let compiled = Command::new("cc").args(["-O2", "-Wall", "-Werror", "-o"]).args([&program, &source]).status();
    assert!(compiled.expect("this test needs a C compiler").success());
    (scene, program)
}

const MADE: &str = "\
made type 0 left 3 of 3 in 56: fd09::1 fd09::2 fd09::3
reversed type 0 left 3 of 3 in 56: fd09::3 fd09::2 fd09::1
space 0, full -1
sticky type 0 EINVAL
attached type 0 EINVAL
";

const MOBILE: &str = "\
sticky type 2 done
reads 24 the same
sent sticky done
cleared done
sent attached done
";

const REFUSED: &str = "\
type 2 at its end EINVAL
attached at its end EINVAL
type 2 beyond its end EINVAL
type 2 with two EINVAL
attached with two EINVAL
attached type 4 EINVAL
sticky type 4 done
sent segments done
type 4 beyond its end EINVAL
short type 4 EINVAL
";

/// Destination, type, segments left, the last stops of type 2 and of type 4, whether the checksum is good, data.
const SEEN: [&str; 3] = [
    "fd09::1 2 1 2001:db8::9  1 737469636b79",
    "fd09::1 2 1 2001:db8::9  1 6174746163686564",
    "fd09::1 4 2  2001:db8::9,2001:db8::2,fd09::1 1 7365676d656e7473",
];

#[test]
fn routing_headers_leave_as_they_were_set() {
    let (scene, program) = stage();
    let file = scene.file("capture.pcap");
    let mut capture = scene.command(Side::Peer, "tcpdump");
    let watching = capture.args(["-i", "veth0", "-Z", "root", "--immediate-mode", "-U", "-w"]).arg(&file);
    let mut tcpdump = Process::start(watching.arg("ip6[6] == 43"));
    tcpdump.line_with("listening on");
    let mut send = scene.command(Side::Subject, program.to_str().unwrap());
    let said = Process::start(send.args(["send", FAR, Side::Peer.address6(), "7000"])).success().text();
    let middle = said.strip_prefix(MADE).and_then(|rest| rest.strip_suffix(REFUSED)).expect(&said);
    // Not every kernel was made for mobile hosts.
    let is_mobile = subject() == Subject::Sockeye || !middle.starts_with("sticky type 2 EINVAL");
    assert!(!is_mobile || middle == MOBILE, "{said}");
    wait_for("the last frame in the capture", || {
        std::fs::read(&file).is_ok_and(|bytes| bytes.windows(8).any(|seen| seen == b"segments")).then_some(())
    });
    tcpdump.signal(Signal::INT);
    tcpdump.success();
    let mut judge = scene.command(Side::Peer, "tshark");
    judge.arg("-r").arg(&file).args(["-o", "udp.check_checksum:TRUE", "-T", "fields", "-E", "separator=/s"]);
    for field in ["dst", "routing.type", "routing.segleft", "routing.mipv6.home_address", "routing.srh.addr"] {
        judge.args(["-e", &format!("ipv6.{field}")]);
    }
    let seen = Process::start(judge.args(["-e", "udp.checksum.status", "-e", "data.data"])).success().text();
    assert_eq!(seen.lines().collect::<Vec<_>>(), if is_mobile { &SEEN[..] } else { &SEEN[2..] });
}

/// RFC 8200, 4.4: one at its end is for the program to read, of whatever type.
#[test]
fn routing_headers_at_their_end_are_told() {
    let (scene, program) = stage();
    let program = program.to_str().unwrap();
    let mut receive = scene.command(Side::Subject, program);
    let mut receiver = Process::start(receive.args(["receive", "7001", "3"]));
    receiver.line_with("ready");
    // To a neighbour that is known all goes in order.
    let mut ping = scene.command(Side::Peer, "ping");
    Process::start(ping.args(["-c", "1", "-w", "60", Side::Subject.address6()])).success();
    let mut send = scene.command(Side::Peer, program);
    Process::start(send.args(["raw", Side::Peer.address6(), Side::Subject.address6(), "7001"])).success();
    let came = "\
ready
came data type 0 left 0 of 1 in 24: 2001:db8::1, reversed type 0 left 1 of 1 in 24: 2001:db8::1
came data type 0 left 0 of 2 in 40: 2001:db8::1 2001:db8::2, reversed type 0 left 2 of 2 in 40: 2001:db8::2 2001:db8::1
came data type 77 left 0 of -1 in 56:
";
    assert_eq!(receiver.success().text(), came);
}
