//! Redirects of both families, from a router made by hand: what must not be believed is not, and the shorter way is taken.

use sockeye_peers::{Process, Scene, Setup, Side, Subject, subject};

const ROUTERS: [&str; 2] = ["10.9.0.77", "10.9.0.78"];

#[test]
fn the_shorter_way_is_taken_and_no_lie_believed() {
    let mut scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    let mut routes = scene.script(Side::Peer, "redirects_router.py", include_str!("redirects_router.py"));
    let mut routing = Process::start(routes.arg(scene.interface()).args(ROUTERS));
    routing.line_with("ready");
    match subject() {
        Subject::Kernel => scene.subject_host().route("default", ROUTERS[0].parse().unwrap()).unwrap(),
        Subject::Sockeye => scene.replace_node(&["-g", ROUTERS[0]]),
    }
    let mut script = scene.script(Side::Subject, "redirects.py", include_str!("redirects.py"));
    let ways = [("10.9.7.7", "the second router"), ("fd09:7::7", "the second router"), ("fd09:7::8", "the link")];
    let said = Process::start(script.arg(scene.interface()).args(ways.map(|(far, _)| far))).success().text();
    let expected: Vec<_> = ways.iter().map(|(far, way)| format!("{far} {way}")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}
