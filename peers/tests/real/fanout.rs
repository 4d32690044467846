//! Groups of packet sockets, of which one gets each frame.

use sockeye_peers::scene::python;
use sockeye_peers::{PEER, Process, SUBJECT, Scene, Side, checks};

/// A server that says once what it hears.
const ECHO: &str = "\
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(100))
socketserver.ThreadingTCPServer(('', 9998), Echo).serve_forever()
";

/// A function of the same name in `fanout.py`.
fn check(name: &str) {
    let scene = Scene::new();
    let _echo = Process::start(scene.command(Side::Peer, python()).args(["-c", ECHO]));
    scene.listens(Side::Peer, 9998);
    let mut script = scene.script(Side::Subject, "fanout.py", include_str!("fanout.py"));
    Process::start(script.arg(name).args([SUBJECT, PEER])).success();
}

checks! {
    errors
    flows_stay_together
    both_directions_are_one_flow
    turns
    one_of_each
    rollover
    programs
}
