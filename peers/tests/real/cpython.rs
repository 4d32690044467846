//! CPython's own tests of sockets, as a judge of the boundary: those whose verdict on a node is another than on the kernel are told here one
//! by one, with the reason; each other difference is a defect.
//!
//! The suite runs on the kernel, on a node, and on a node without the shortcut between its programs, at the same time: what the tests do,
//! they do within one host. A test that has differed runs again by itself, since some of them wait for no more than a moment.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use sockeye_peers::{Process, Scene, Setup, Side, Subject, subject};

const SUITE: [&str; 10] = [
    "test.test_socket",
    "test.test_selectors",
    "test.test_socketserver",
    "test.test_asyncore",
    "test.test_asyncio.test_sock_lowlevel",
    "test.test_ssl.TestPreHandshakeClose",
    "test.test_ssl.SimpleBackgroundTests.test_bio_handshake",
    "test.test_httplib",
    "test.test_smtplib",
    "test.test_telnetlib",
];

/// Tests of which a node has another verdict than the kernel, in the order of their names, and why.
const DIFFERENCES: &[(&str, &str)] = &[];

/// How many tests the suite has at least that can be run anywhere; else it has hardly been run.
const MANY: usize = 900;
/// How often a test must have the same verdict on both.
const AGAIN: usize = 2;

const PATIENCE: Duration = Duration::from_secs(600);

type Verdicts = BTreeMap<String, String>;

/// What these tests come to.
fn judge(scene: &Scene, tests: &[&str]) -> Verdicts {
    let verdicts = scene.file("verdicts");
    let mut script = scene.script(Side::Subject, "cpython.py", include_str!("cpython.py"));
    Process::start(script.arg(&verdicts).args(tests)).finish_within(PATIENCE).success();
    let text = fs::read_to_string(verdicts).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(verdict, test)| (test.to_owned(), verdict.to_owned()))
        .collect()
}

/// Those of the tests on which the two do not say the same.
fn differing<'a>(one: &'a Verdicts, other: &'a Verdicts) -> Vec<&'a str> {
    let tests = one.iter().chain(other).map(|(test, _)| &**test);
    let mut differing: Vec<_> = tests.filter(|&test| one.get(test) != other.get(test)).collect();
    differing.sort_unstable();
    differing.dedup();
    differing
}

#[test]
fn the_suite_of_cpython_says_the_same() {
    assert!(
        Path::new("/usr/lib/python3.11/test/test_socket.py").exists(),
        "the package libpython3.11-testsuite is missing"
    );
    let kernel = Setup { subject: Some(Subject::Kernel), ipv6: true, ..Setup::default() };
    if subject() == Subject::Kernel {
        let scene = Scene::with(kernel);
        let verdicts = judge(&scene, &SUITE);
        assert!(verdicts.values().filter(|verdict| *verdict == "ok").count() >= MANY, "{} tests", verdicts.len());
        let bad = |verdicts: Verdicts| -> Vec<String> {
            verdicts.into_iter().filter(|(_, verdict)| verdict == "bad").map(|(test, _)| test).collect()
        };
        let mut left = bad(verdicts);
        for _ in 0..AGAIN {
            if left.is_empty() {
                break;
            }
            left = bad(judge(&scene, &left.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        assert!(left.is_empty(), "{left:#?}");
        return;
    }
    let kernel = Scene::with(kernel);
    let nodes = [false, true].map(|packets| {
        let mut scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
        if packets {
            scene.replace_node(&["--no-local-shortcut"]);
        }
        scene
    });
    let (expected, found) = thread::scope(|scope| {
        let [one, other] = nodes.each_ref().map(|node| scope.spawn(|| judge(node, &SUITE)));
        (judge(&kernel, &SUITE), [one, other].map(|node| node.join().unwrap()))
    });
    assert!(expected.values().filter(|verdict| *verdict == "ok").count() >= MANY, "{} tests", expected.len());
    for (node, found) in nodes.iter().zip(found) {
        let mut left: Vec<_> = differing(&expected, &found).into_iter().map(str::to_owned).collect();
        for _ in 0..AGAIN {
            if left.is_empty() {
                break;
            }
            let tests: Vec<_> = left.iter().map(String::as_str).collect();
            let (one, other) = (judge(&kernel, &tests), judge(node, &tests));
            left = differing(&one, &other).into_iter().map(str::to_owned).collect();
        }
        let known: Vec<_> = DIFFERENCES.iter().map(|&(test, _)| test).collect();
        assert_eq!(left, known, "tests of CPython's that differ");
    }
}
