//! Names, which the node resolves for its programs: by the hosts file, or by the name server that it was given. The
//! kernel as subject has the machine's own resolver, so there is nothing to hold these tests against: `cargo xtask test`
//! leaves them out for it.

use crate::autoconf::{NETWORK, ROUTER, router, settled, subjects};
use sockeye_lab::Command;
use sockeye_peers::scene::{python, sockeye_path};
use sockeye_peers::{Family, Process, Scene, Side, in_both_families, wait_for};

fn scene(family: Family) -> (Scene, Process) {
    let scene = Scene::of(family);
    let server = Process::start(names(&scene).arg(scene.address(Side::Peer)));
    scene.listens(Side::Peer, 53);
    scene.is_bound(Side::Peer, 53);
    (scene, server)
}

/// A name server on the peer, to be told its address.
fn names(scene: &Scene) -> Command {
    scene.script(Side::Peer, "dns_server.py", include_str!("dns_server.py"))
}

/// Runs a line of Python on the subject.
fn asks(scene: &Scene, expression: &str) -> String {
    let program = format!("import socket; print({expression})");
    Process::start(scene.command(Side::Subject, python()).args(["-c", &program])).success().text().trim().to_owned()
}

fn curl_finds_a_server_by_its_name(family: Family) {
    let (scene, _names) = scene(family);
    let mut serve = scene.command(Side::Peer, python());
    let _server = Process::start(serve.args(["-u", "-m", "http.server", "--bind", scene.address(Side::Peer), "8000"]));
    scene.listens(Side::Peer, 8000);
    std::fs::write(scene.file("hello"), "hello").unwrap();
    let mut fetch = scene.command(Side::Subject, "curl");
    assert_eq!(
        Process::start(fetch.args([&format!("-{}", scene.version()), "-sS", "http://web.lab:8000/hello"]))
            .success()
            .text(),
        "hello"
    );
}

fn names_without_an_address_are_an_error(family: Family) {
    let (scene, _names) = scene(family);
    let mut fetch = scene.command(Side::Subject, "curl");
    let missing =
        Process::start(fetch.args([&format!("-{}", scene.version()), "-sS", "http://nobody.lab:8000/"])).finish();
    assert_eq!(missing.status.code(), Some(6), "{missing}");
}

/// Of both families at once: it takes as long as a resolver waits.
#[test]
fn a_name_server_that_is_silent_is_an_error() {
    let ask = |family| {
        let (scene, names) = scene(family);
        let fetching = Process::start(scene.command(Side::Subject, "curl").args(["-sS", "http://silent.lab:8000/"]));
        (scene, names, fetching)
    };
    for (_scene, _names, fetching) in [Family::V4, Family::V6].map(ask) {
        let missing = fetching.finish();
        assert_eq!(missing.status.code(), Some(6), "{missing}");
    }
}

fn all_calls_that_resolve_agree(family: Family) {
    let (scene, _names) = scene(family);
    let peer = scene.address(Side::Peer);
    let many = match family {
        Family::V4 => "['10.9.0.11', '10.9.0.12', '10.9.0.13']",
        Family::V6 => "['fd09::11', 'fd09::12', 'fd09::13']",
    };
    let asked_for = if family == Family::V4 { "0" } else { "socket.AF_INET6" };
    let list = format!("sorted(a[4][0] for a in socket.getaddrinfo('many.lab', 80, {asked_for}, socket.SOCK_STREAM))");
    assert_eq!(asks(&scene, &list), many);
    assert_eq!(asks(&scene, &format!("socket.getnameinfo(('{peer}', 80), 0)[0]")), "web.lab");
    assert_eq!(asks(&scene, &format!("socket.gethostbyaddr('{peer}')[0]")), "web.lab");
    assert_eq!(asks(&scene, "socket.gethostbyname('localhost')"), "127.0.0.1");
    for (program, asked, answer) in [("name2addr", "web.lab", peer), ("addr2name", peer, "web.lab")] {
        let mut ask = scene.command(Side::Subject, program);
        let version = format!("-{}", scene.version());
        let arguments = if program == "name2addr" { vec![&*version, asked] } else { vec![asked] };
        assert_eq!(Process::start(ask.args(arguments)).success().text().trim(), answer);
    }
    if family == Family::V4 {
        // Calls that know no other family.
        assert_eq!(asks(&scene, "socket.gethostbyname('web.lab')"), peer);
        assert_eq!(asks(&scene, "sorted(socket.gethostbyname_ex('many.lab')[2])"), many);
    }
}

fn a_truncated_answer_is_asked_for_again_by_stream(family: Family) {
    let (scene, _names) = scene(family);
    let family = if family == Family::V4 { "AF_INET" } else { "AF_INET6" };
    let count = asks(&scene, &format!("len(socket.getaddrinfo('big.lab', 80, socket.{family}, socket.SOCK_STREAM))"));
    assert!(count.parse::<u32>().unwrap() > 20, "{count} addresses");
}

/// A name server of which a router says that it cannot be reached is not waited for.
#[test]
fn a_name_server_that_cannot_be_reached_is_passed_over() {
    let mut scene = Scene::new();
    scene.stop_node();
    for line in ["sysctl -qw net.ipv4.ip_forward=1", "ip route add unreachable 10.9.7.0/24"] {
        let (program, arguments) = line.split_once(' ').unwrap();
        Process::start(scene.peer().command(program).args(arguments.split(' '))).success();
    }
    let mut up = scene.subject_host().command(&sockeye_path());
    up.args(["up", "-i", "veth0", "-a", "10.9.0.2/24", "-g", "10.9.0.1", "--dns", "10.9.7.7", "--dns", "10.9.0.1"]);
    let mut node = Process::start(up.arg("--control").arg(scene.control()));
    node.line_with("ready");
    let _names = Process::start(names(&scene).arg("10.9.0.1"));
    scene.is_bound(Side::Peer, 53);
    assert_eq!(asks(&scene, "socket.gethostbyname('web.lab')"), "10.9.0.1");
    let counters = scene.sockeye(&["show", "counters", "--json"]).success().text();
    let counters: serde_json::Value = serde_json::from_str(&counters).unwrap();
    let count = |name: &str| counters["names"][name].as_u64();
    assert_eq!([count("questions"), count("answers_failed"), count("timeouts")], [Some(1), Some(1), Some(0)]);
}

/// A name server that only routers have named.
#[test]
fn a_router_names_the_name_server() {
    let mut scene = Scene::new();
    // The usual node was given one.
    scene.stop_node();
    let mut up = scene.subject_host().command(&sockeye_path());
    let mut node =
        Process::start(up.args(["up", "-i", "veth0", "-a", "10.9.0.2/24", "--control"]).arg(scene.control()));
    node.line_with("ready");
    let _radvd = router(&scene);
    let _names = Process::start(names(&scene).arg(ROUTER));
    scene.is_bound(Side::Peer, 53);
    wait_for("an address of the router's prefix", || settled(subjects(&scene), NETWORK));
    let program =
        "import socket; print([a[4][0] for a in socket.getaddrinfo('both.lab', 80, type=socket.SOCK_STREAM)])";
    let found = Process::start(scene.command(Side::Subject, python()).args(["-c", program])).success();
    // The one that it can reach best comes first.
    assert_eq!(found.text().trim(), format!("['{ROUTER}', '10.9.0.1']"));
}

/// AI_ADDRCONFIG, as libc has it: of a family of which the host has no address there are no names, and no questions to servers.
/// What the kernel of the programs has is nothing to them.
#[test]
fn a_family_of_which_there_is_no_address_has_no_names() {
    let (mut scene, _names) = scene(Family::V4);
    let file = scene.file("node.toml");
    std::fs::write(&file, "[ipv6]\nenabled = false\n").unwrap();
    scene.replace_node(&["-c", file.to_str().unwrap()]);
    let mut ask = scene.script(Side::Subject, "families.py", include_str!("families.py"));
    let said = Process::start(&mut ask).success().text();
    let expected = "\
INET web.lab ['10.9.0.1']
INET localhost ['127.0.0.1']
INET 10.9.0.9 ['10.9.0.9']
INET None ['0.0.0.0']
INET6 web.lab EAI_NONAME
INET6 localhost EAI_NONAME
UNSPEC web.lab ['10.9.0.1']
UNSPEC localhost ['127.0.0.1']
UNSPEC 10.9.0.9 ['10.9.0.9']
";
    assert_eq!(said, expected);
}

in_both_families! {
    curl_finds_a_server_by_its_name
    names_without_an_address_are_an_error
    all_calls_that_resolve_agree
    a_truncated_answer_is_asked_for_again_by_stream
}
