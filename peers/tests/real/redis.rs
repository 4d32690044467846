//! Redis: an event loop of many small requests, with and without a pipeline.

use sockeye_peers::{Process, Scene, Side};

fn serve_and_ask(server: Side) {
    let scene = Scene::new();
    let mut serve = scene.command(server, "redis-server");
    let _serving = Process::start(serve.args(["--bind", server.address(), "--save", "", "--protected-mode", "no"]));
    scene.listens(server, 6379);
    for more in [&["-n", "20000", "-c", "50"][..], &["-n", "50000", "-c", "20", "-P", "16", "-d", "2000"]] {
        let mut ask = scene.command(server.other(), "redis-benchmark");
        ask.args(["-h", server.address(), "-q", "-t", "set,get"]).args(more);
        let asked = Process::start(&mut ask).success();
        assert!(asked.text().contains("requests per second") && !asked.text().contains("Error"), "{asked}");
    }
    let mut ask = scene.command(server.other(), "redis-cli");
    let keys = Process::start(ask.args(["-h", server.address(), "dbsize"])).success();
    assert_eq!(keys.text().trim(), "1");
}

#[test]
fn redis_serves() {
    serve_and_ask(Side::Subject);
}

#[test]
fn redis_asks() {
    serve_and_ask(Side::Peer);
}
