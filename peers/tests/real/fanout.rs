//! Groups of packet sockets, of which one gets each frame.

use sockeye_peers::scene::python;
use sockeye_peers::{Family, Process, Scene, Side, checks};

/// A server that says once what it hears.
const ECHO: &str = "\
import socket, socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(100))
class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
Server((sys.argv[1], 9998), Echo).serve_forever()
";

/// A function of the same name in `fanout.py`.
fn check(family: Family, name: &str) {
    let scene = Scene::of(family);
    let [own, peer] = [Side::Subject, Side::Peer].map(|side| scene.address(side));
    let _echo = Process::start(scene.command(Side::Peer, python()).args(["-c", ECHO, peer]));
    scene.listens(Side::Peer, 9998);
    // What is sent to a neighbour that is known leaves at once, before what is sent to the loopback.
    let mut ping = scene.command(Side::Subject, "ping");
    Process::start(ping.args(["-c", "1", "-w", "60", peer])).success();
    let mut script = scene.script(Side::Subject, "fanout.py", include_str!("fanout.py"));
    Process::start(script.arg(name).args([own, peer])).success();
}

checks! {
    in both families:
    // It sends nothing.
    [ipv4: errors]
    flows_stay_together
    both_directions_are_one_flow
    turns
    one_of_each
    rollover
    programs
}
