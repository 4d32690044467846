//! Fragments in every order, overlap and size, with the kernel as the judge: the same frames go to a kernel and to the subject, and
//! both must deliver the same datagrams and complain of the same fragments. `fragments.py` makes them and writes down what
//! becomes of each case, a line for each.

use sockeye_peers::{Family, Process, Scene, Setup, Side, Subject, in_both_families, subject};

/// What a subject made of each case.
fn taken(family: Family, kind: Subject) -> Vec<String> {
    let scene = Scene::with(Setup { subject: Some(kind), family, ..Setup::default() });
    if kind == Subject::Kernel {
        // Otherwise errors depend on how fast the cases follow each other.
        let version = if family == Family::V4 { "ipv4/icmp_ratelimit" } else { "ipv6/icmp/ratelimit" };
        scene.subject_host().sysctl(version, "0").unwrap();
    }
    let mut sources = vec![scene.address(Side::Peer).to_owned()];
    if family == Family::V6 {
        // A node sends each of them few errors at a time. Their sums are one, so a checksum is good for all.
        sources = (1..=40u16).map(|number| format!("fd09::{number:x}:{:x}", 0xffff - number)).collect();
        for source in &sources {
            scene.peer().address(scene.interface(), &format!("{source}/64")).unwrap();
        }
    }
    let mut echo = scene.script(Side::Subject, "fragments_echo.py", include_str!("fragments_echo.py"));
    let _echo = Process::start(echo.arg(scene.address(Side::Subject)));
    scene.is_bound(Side::Subject, 7001);
    // So that the peer knows the subject's hardware address.
    scene.serves_on();
    let mac = scene.mac_of_subject();
    let mut script = scene.script(Side::Peer, "fragments.py", include_str!("fragments.py"));
    script.args([scene.interface(), &mac, scene.address(Side::Subject)]).args(sources);
    Process::start(&mut script).success().text().lines().map(str::to_owned).collect()
}

/// Where a piece lies within what has come in one row already, Linux takes it for a copy without a look at its bytes. To us it is an
/// overlap (RFC 5722): by the name of the piece, and where it comes.
const WITHIN: [(&str, [&str; 2]); 8] = [
    ("the same with other bytes", ["2 backwards", "3"]),
    ("the beginning of it", ["2 backwards", "3"]),
    ("the end of it", ["2 backwards", "3"]),
    ("the middle of it", ["2 backwards", "3"]),
    ("across its beginning", ["3", "3"]),
    ("the header again", ["2", "3"]),
    ("another header", ["2", "3"]),
    ("the end in part", ["2 backwards", "3 backwards"]),
];

fn is_within(case: &str) -> bool {
    WITHIN.iter().any(|(piece, places)| places.iter().any(|place| case == format!("{piece} as number {place}")))
}

fn the_kernel_takes_the_same(family: Family) {
    let (judge, ours) = (taken(family, Subject::Kernel), taken(family, subject()));
    assert!(judge.len() > 250 && judge.len() == ours.len(), "{} cases, and {}", judge.len(), ours.len());
    let mut wrong = Vec::new();
    for (judge, ours) in judge.iter().zip(&ours) {
        let case = judge.split(": heard").next().unwrap_or_default();
        let expected = match case {
            _ if subject() == Subject::Kernel => judge.clone(),
            _ if is_within(case) => format!("{case}: heard nothing, told nothing"),
            // Linux quotes the packet that it has put together, we the fragment.
            "a piece of a piece" => judge.replace("(4, 0, 40)", "(4, 0, 48)"),
            _ => judge.clone(),
        };
        if *ours != expected {
            wrong.push(format!("{ours}\n    instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

in_both_families! {
    the_kernel_takes_the_same
}
