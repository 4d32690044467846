//! RFC 3542 and the options of IP as programs use them: libc's own functions for extension headers, and a table of options.

use std::process::Command;

use sockeye_peers::{Process, Scene, Setup, Side};

fn scene() -> Scene {
    Scene::with(Setup { ipv6: true, ..Setup::default() })
}

/// What a node has not, by kind of socket, level and number; the reasons stand in docs/options.md. There it answers as it does to what is unknown.
const REFUSED: [(&str, &str, &[u8]); 5] = [
    // A membership that cannot be is left on no interface, or on one.
    ("udp4 udp6 raw4", "0", &[36]),
    // What netfilter has.
    ("tcp6", "41", &[80]),
    // IPsec, netfilter.
    ("udp4 udp6 tcp4 tcp6 raw4", "0", &[16, 17, 64, 65, 66, 67, 80]),
    // IPsec, netfilter.
    ("udp6 tcp6 raw6", "41", &[34, 35, 64, 65, 68, 69]),
    // Signatures, repair, data in a SYN, and what else streams do not do.
    ("tcp4 tcp6", "6", &[14, 16, 19, 26, 27, 30, 32, 33, 34, 35, 36, 37, 42, 44, 45, 46]),
];

/// What each option is at first, takes, refuses and reads back: the peer's kernel says what is right.
#[test]
fn every_option_takes_and_refuses_what_linux_does() {
    let scene = scene();
    let [kernel, subject] = [Side::Peer, Side::Subject].map(|side| {
        Process::start(&mut scene.script(side, "options_table.py", include_str!("options_table.py"))).success().text()
    });
    assert!(kernel.lines().count() > 2_000);
    for (kernel, subject) in kernel.lines().zip(subject.lines()) {
        let row: Vec<_> = subject.split(' ').collect();
        let is_refused = REFUSED.iter().any(|(kinds, level, numbers)| {
            kinds.split(' ').any(|kind| kind == row[0])
                && *level == row[1]
                && numbers.iter().any(|number| number.to_string() == row[2])
        });
        if !is_refused || subject == kernel {
            assert_eq!(subject, kernel);
        } else if row[3] == "set" {
            assert!(subject.contains("ENOPROTOOPT") || subject.contains("EINVAL"), "refused, or done: {subject}");
        }
    }
    assert_eq!(subject.lines().count(), kernel.lines().count());
}

/// Which flow labels can be leased, by whom and for how long, and who may send them: again the peer's kernel says what is right.
#[test]
fn flow_labels_are_leased_as_on_linux() {
    let scene = scene();
    let [kernel, subject] = [Side::Peer, Side::Subject].map(|side| {
        Process::start(&mut scene.script(side, "flow_labels.py", include_str!("flow_labels.py"))).success().text()
    });
    assert!(kernel.ends_with("held []\n"), "{kernel}");
    assert_eq!(subject, kernel);
}

const TOLD: &str = "\
hop-by-hop done
hop-by-hop reads 00 1e 04 11 22 33 44
destination done
destination reads 04 1e 1e 55 66 77 88 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 04 00 00 00 00
stops done
short EINVAL
odd EINVAL
tiny EINVAL
type 0 EINVAL
type 77 EINVAL
routing reads
attached type 0 EINVAL
attached short EINVAL
attached wide EINVAL
attached unknown EINVAL
cleared reads
end
";

const CAME: &str = "\
ready
came 3 hop flags 0 52:64 67:0 hop-by-hop:8(1e 4 11223344) 8:64 old-hop-by-hop:8(1e 4 11223344)
came 4 both flags 0 52:64 67:0 hop-by-hop:8(1e 4 11223344) destination:40(1e 30 55667788) 8:64 old-hop-by-hop:8(1e 4 11223344)
came 5 stops flags 0 52:64 67:0 hop-by-hop:8(1e 4 11223344) destination:40(1e 30 55667788) 8:64 old-hop-by-hop:8(1e 4 11223344)
came 3000 x flags 0 52:64 67:0 hop-by-hop:8(1e 4 11223344) destination:40(1e 30 55667788) 8:64 old-hop-by-hop:8(1e 4 11223344)
came 8 attached flags 0 52:9 67:72 flow:04854321 destination:16(1e 7 99aabbcc) 8:9
came 5 plain flags 0 52:64 67:0 8:64
";

/// Extension headers from `sender` to the other side, sticky and ancillary, whole and in fragments.
fn extension_headers(sender: Side) {
    let scene = scene();
    let (source, binary) = (scene.file("extension.c"), scene.file("extension"));
    std::fs::write(&source, include_str!("extension.c")).unwrap();
    let compiled = Command::new("cc").args(["-O2", "-Wall", "-Werror", "-o"]).args([&binary, &source]).status();
    assert!(compiled.expect("this test needs a C compiler").success());
    let program = binary.to_str().unwrap();
    let mut receive = scene.command(sender.other(), program);
    let mut receiver = Process::start(receive.args(["receive", "7777", "6"]));
    receiver.line_with("ready");
    // To a neighbour that is known all goes in order; what is sent while one answers may overtake what has waited for it.
    let mut ping = scene.command(sender, "ping");
    Process::start(ping.args(["-c", "1", "-w", "60", sender.other().address6()])).success();
    let mut send = scene.command(sender, program);
    let sent = Process::start(send.args(["send", sender.other().address6(), "7777"])).success();
    assert_eq!(sent.text(), TOLD);
    assert_eq!(receiver.success().text(), CAME);
}

#[test]
fn extension_headers_leave_as_they_were_set() {
    extension_headers(Side::Subject);
}

#[test]
fn extension_headers_arrive_as_they_were_sent() {
    extension_headers(Side::Peer);
}
