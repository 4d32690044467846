//! Names, which the node resolves for its programs: by the hosts file, or by the name server that it was given. The
//! kernel as subject has the machine's own resolver, so there is nothing to hold these tests against: `cargo xtask test`
//! leaves them out for it.

use crate::autoconf::{NETWORK, ROUTER, router, settled, subjects};
use sockeye_peers::scene::{python, sockeye_path};
use sockeye_peers::{PEER, Process, Scene, Side, wait_for};

fn scene() -> (Scene, Process) {
    let scene = Scene::new();
    let mut command = scene.command(Side::Peer, python());
    let server = Process::start(command.args(["-c", include_str!("dns_server.py"), PEER]));
    scene.listens(Side::Peer, 53);
    scene.is_bound(Side::Peer, 53);
    (scene, server)
}

/// Runs a line of Python on the subject.
fn asks(scene: &Scene, expression: &str) -> String {
    let program = format!("import socket; print({expression})");
    Process::start(scene.command(Side::Subject, python()).args(["-c", &program])).success().text().trim().to_owned()
}

#[test]
fn curl_finds_a_server_by_its_name() {
    let (scene, _names) = scene();
    let mut serve = scene.command(Side::Peer, python());
    let _server = Process::start(serve.args(["-u", "-m", "http.server", "--bind", PEER, "8000"]));
    scene.listens(Side::Peer, 8000);
    std::fs::write(scene.file("hello"), "hello").unwrap();
    let mut fetch = scene.command(Side::Subject, "curl");
    assert_eq!(Process::start(fetch.args(["-sS", "http://web.lab:8000/hello"])).success().text(), "hello");
}

#[test]
fn names_without_an_address_are_an_error() {
    let (scene, _names) = scene();
    let mut fetch = scene.command(Side::Subject, "curl");
    let missing = Process::start(fetch.args(["-sS", "http://nobody.lab:8000/"])).finish();
    assert_eq!(missing.status.code(), Some(6), "{missing}");
}

#[test]
fn a_name_server_that_is_silent_is_an_error() {
    let (scene, _names) = scene();
    let mut fetch = scene.command(Side::Subject, "curl");
    let missing = Process::start(fetch.args(["-sS", "http://silent.lab:8000/"])).finish();
    assert_eq!(missing.status.code(), Some(6), "{missing}");
}

#[test]
fn all_calls_that_resolve_agree() {
    let (scene, _names) = scene();
    assert_eq!(asks(&scene, "socket.gethostbyname('web.lab')"), PEER);
    let many = "['10.9.0.11', '10.9.0.12', '10.9.0.13']";
    assert_eq!(asks(&scene, "sorted(socket.gethostbyname_ex('many.lab')[2])"), many);
    let list = "sorted(a[4][0] for a in socket.getaddrinfo('many.lab', 80, type=socket.SOCK_STREAM))";
    assert_eq!(asks(&scene, list), many);
    assert_eq!(asks(&scene, &format!("socket.getnameinfo(('{PEER}', 80), 0)[0]")), "web.lab");
    assert_eq!(asks(&scene, &format!("socket.gethostbyaddr('{PEER}')[0]")), "web.lab");
    assert_eq!(asks(&scene, "socket.gethostbyname('localhost')"), "127.0.0.1");
}

#[test]
fn a_truncated_answer_is_asked_for_again_by_stream() {
    let (scene, _names) = scene();
    let count = asks(&scene, "len(socket.getaddrinfo('big.lab', 80, socket.AF_INET, socket.SOCK_STREAM))");
    assert!(count.parse::<u32>().unwrap() > 20, "{count} addresses");
}

/// A name server that only routers have named.
#[test]
fn a_router_names_the_name_server() {
    let mut scene = Scene::new();
    // The usual node was given one.
    let node = scene.take_node();
    scene.sockeye(&["down"]).success();
    node.success();
    let mut up = scene.subject_host().command(&sockeye_path());
    let mut node =
        Process::start(up.args(["up", "-i", "veth0", "-a", "10.9.0.2/24", "--control"]).arg(scene.control()));
    node.line_with("ready");
    let _radvd = router(&scene);
    let mut serve = scene.command(Side::Peer, python());
    let _names = Process::start(serve.args(["-c", include_str!("dns_server.py"), ROUTER]));
    scene.is_bound(Side::Peer, 53);
    wait_for("an address of the router's prefix", || settled(subjects(&scene), NETWORK));
    let program =
        "import socket; print([a[4][0] for a in socket.getaddrinfo('both.lab', 80, type=socket.SOCK_STREAM)])";
    let found = Process::start(scene.command(Side::Subject, python()).args(["-c", program])).success();
    // The one that it can reach best comes first.
    assert_eq!(found.text().trim(), format!("['{ROUTER}', '10.9.0.1']"));
}
