//! What programs hear of ICMP errors, with the kernel as the judge: a router complains in each way that there is, and the same program
//! on the kernel and on the subject must be told the same, on datagrams that ask for errors or do not, connected or not, and on
//! streams that open.

use sockeye_peers::{Family, Process, Scene, Setup, Side, Subject, in_both_families, subject};

/// All codes of unreachable destinations, and each other error but that of a reassembly that took too long (11.1): what RFC 1122, 3.2.2.4 wants
/// told Linux keeps to itself, for IPv4.
const ERRORS: [&str; 19] = [
    "3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14",
    "3.15", "11.0", "12.0", "12.1",
];
const ERRORS6: [&str; 13] = ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "2.0", "3.0", "3.1", "4.0", "4.1"];

/// What the program is told where this is under test.
fn told(family: Family, kind: Subject) -> Vec<String> {
    let mut scene = Scene::with(Setup { subject: Some(kind), family, ..Setup::default() });
    let router = scene.address(Side::Peer);
    let (beyond, far, errors) = match family {
        Family::V4 => ("10.9.7.0/24", "10.9.7.7", &ERRORS[..]),
        Family::V6 => ("fd09:7::/64", "fd09:7::7", &ERRORS6[..]),
    };
    match kind {
        Subject::Kernel => scene.subject_host().route("default", router.parse().unwrap()).unwrap(),
        Subject::Sockeye => scene.replace_node(&["-g", router]),
    }
    // The kernel there is to say nothing of its own.
    let mut silence = scene.peer().command("ip");
    Process::start(silence.args([&format!("-{}", scene.version()), "route", "add", "blackhole", beyond])).success();
    let mut complains = scene.script(Side::Peer, "complaints_router.py", include_str!("complaints_router.py"));
    let ends = [scene.interface(), Side::Peer.address(), Side::Peer.address6()];
    let mut complaining = Process::start(complains.args(ends));
    complaining.line_with("ready");
    let mut script = scene.script(Side::Subject, "complaints.py", include_str!("complaints.py"));
    let said = Process::start(script.arg(far).args(errors)).success().text();
    let lines: Vec<_> = said.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), errors.len() * 8, "{said}");
    lines
}

fn programs_are_told_of_each_error_as_linux_tells(family: Family) {
    let judge = told(family, Subject::Kernel);
    if subject() == Subject::Kernel {
        return;
    }
    let ours = told(family, Subject::Sockeye);
    let differ: Vec<_> = judge.iter().zip(&ours).filter(|(judge, ours)| judge != ours).collect();
    let differ: Vec<_> = differ.iter().map(|(judge, ours)| format!("{ours}\n    instead of {judge}")).collect();
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}

in_both_families! {
    programs_are_told_of_each_error_as_linux_tells
}
