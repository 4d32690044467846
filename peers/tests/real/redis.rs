//! Redis: an event loop of many small requests, with and without a pipeline.

use sockeye_peers::{Family, Process, Scene, Side, in_both_families};

fn serve_and_ask(family: Family, server: Side) {
    let scene = Scene::of(family);
    let mut serve = scene.command(server, "redis-server");
    let _serving =
        Process::start(serve.args(["--bind", scene.address(server), "--save", "", "--protected-mode", "no"]));
    scene.listens(server, 6379);
    for more in [&["-n", "20000", "-c", "50"][..], &["-n", "50000", "-c", "20", "-P", "16", "-d", "2000"]] {
        let mut ask = scene.command(server.other(), "redis-benchmark");
        ask.args(["-h", scene.address(server), "-q", "-t", "set,get"]).args(more);
        let asked = Process::start(&mut ask).success();
        assert!(asked.text().contains("requests per second") && !asked.text().contains("Error"), "{asked}");
    }
    let mut ask = scene.command(server.other(), "redis-cli");
    let keys = Process::start(ask.args(["-h", scene.address(server), "dbsize"])).success();
    assert_eq!(keys.text().trim(), "1");
}

fn redis_serves(family: Family) {
    serve_and_ask(family, Side::Subject);
}

fn redis_asks(family: Family) {
    serve_and_ask(family, Side::Peer);
}

in_both_families! {
    redis_serves
    redis_asks
}
