//! The host inside a program, against the kernel on the other end of a link: streams both ways in both roles, datagrams, and
//! what is said about a peer that refuses. For the kernel as subject the same is done with the standard library.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use sockeye::host;
use sockeye_lab::{Lab, Offloads};
use sockeye_peers::{DEADLINE, Family, Pattern, Scene, Side, Subject, in_both_families, subject, wait_for};

use crate::autoconf::{BEYOND, NETWORK, router, settled, subjects};

const PORT: u16 = 7000;
const MUCH: u64 = 8 << 20;

fn at(side: Side, family: Family) -> SocketAddr {
    SocketAddr::new(side.address_in(family).parse().unwrap(), PORT)
}

/// What a program does with sockets, whoever has them.
trait Sockets {
    type Stream: Read + Write;
    type Listener;
    type Datagrams;
    fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream>;
    fn listen(&self, at: SocketAddr) -> Self::Listener;
    fn accept(&self, listener: &Self::Listener) -> Self::Stream;
    fn end_writing(&self, stream: &Self::Stream);
    fn datagrams(&self, at: SocketAddr) -> Self::Datagrams;
    fn ask(&self, datagrams: &Self::Datagrams, to: SocketAddr, question: &[u8], answer: &mut [u8])
    -> io::Result<usize>;
}

struct Kernel;

/// A stream on which nobody waits for ever: a failure at one end is one at the other.
fn patient(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

impl Sockets for Kernel {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Datagrams = UdpSocket;
    fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        patient(TcpStream::connect_timeout(&to, DEADLINE)?)
    }
    fn listen(&self, at: SocketAddr) -> TcpListener {
        let listener = TcpListener::bind(at).unwrap();
        set_socket_timeout(&listener, Timeout::Recv, Some(DEADLINE)).unwrap();
        listener
    }
    fn accept(&self, listener: &TcpListener) -> TcpStream {
        patient(listener.accept().unwrap().0).unwrap()
    }
    fn end_writing(&self, stream: &TcpStream) {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    fn datagrams(&self, at: SocketAddr) -> UdpSocket {
        let socket = UdpSocket::bind(at).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }
    fn ask(&self, socket: &UdpSocket, to: SocketAddr, question: &[u8], answer: &mut [u8]) -> io::Result<usize> {
        socket.connect(to)?;
        socket.send(question)?;
        socket.recv(answer)
    }
}

impl Sockets for host::Host {
    type Stream = host::TcpStream;
    type Listener = host::TcpListener;
    type Datagrams = host::UdpSocket;
    fn connect(&self, to: SocketAddr) -> io::Result<host::TcpStream> {
        let stream = self.connect_timeout(to, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(stream)
    }
    fn listen(&self, at: SocketAddr) -> host::TcpListener {
        let listener = host::Host::listen(self, at).unwrap();
        listener.set_read_timeout(Some(DEADLINE)).unwrap();
        listener
    }
    fn accept(&self, listener: &host::TcpListener) -> host::TcpStream {
        listener.accept().unwrap().0
    }
    fn end_writing(&self, stream: &host::TcpStream) {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    fn datagrams(&self, at: SocketAddr) -> host::UdpSocket {
        let socket = self.udp(at).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }
    fn ask(&self, socket: &host::UdpSocket, to: SocketAddr, question: &[u8], answer: &mut [u8]) -> io::Result<usize> {
        socket.connect(to)?;
        socket.send(question)?;
        socket.recv(answer)
    }
}

/// What the subject does; the peer's part is in the tests.
trait Part: Send {
    fn play(self, sockets: &impl Sockets);
}

/// Runs the peer's part on a kernel and the subject's on whatever is under test, with nothing but a link between them.
fn scene(family: Family, offloads: Offloads, peer: impl FnOnce() + Send, part: impl Part) {
    let lab = Lab::new().unwrap_or_else(|error| panic!("{error}; `cargo xtask test` does that for you"));
    let (near, far) = (lab.host("peer").unwrap(), lab.host("subject").unwrap());
    lab.link(&near, "veth0", &far, "veth0").unwrap();
    near.offloads("veth0", offloads).unwrap();
    far.offloads("veth0", offloads).unwrap();
    let length = if family == Family::V4 { 24 } else { 64 };
    let address = |side: Side| format!("{}/{length}", side.address_in(family));
    for host in [&near, &far] {
        host.sysctl("ipv6/conf/veth0/accept_dad", "0").unwrap();
    }
    near.address("veth0", &address(Side::Peer)).unwrap();
    let subject = subject();
    if subject == Subject::Kernel {
        far.address("veth0", &address(Side::Subject)).unwrap();
    }
    thread::scope(|scope| {
        scope.spawn(|| near.enter(peer).unwrap());
        far.enter(|| match subject {
            Subject::Kernel => part.play(&Kernel),
            Subject::Sockeye => {
                let config = host::Config::new("veth0").address(address(Side::Subject).parse().unwrap());
                part.play(&host::Host::open(config).unwrap());
            }
        })
        .unwrap();
    });
}

/// Sends one stream, ends it, and hears another to its end.
fn talk<S: Sockets>(sockets: &S, mut stream: S::Stream, [ours, theirs]: [u64; 2]) {
    Pattern::write(ours, MUCH, &mut stream).unwrap();
    sockets.end_writing(&stream);
    Pattern::check(theirs, MUCH, &mut stream).unwrap();
}

/// The reverse.
fn listen<S: Sockets>(mut stream: S::Stream, [ours, theirs]: [u64; 2]) {
    Pattern::check(theirs, MUCH, &mut stream).unwrap();
    Pattern::write(ours, MUCH, &mut stream).unwrap();
}

struct Talks {
    family: Family,
    /// The peer listens.
    ready: Receiver<()>,
}

impl Part for Talks {
    fn play(self, sockets: &impl Sockets) {
        self.ready.recv().unwrap();
        talk(sockets, sockets.connect(at(Side::Peer, self.family)).unwrap(), [1, 2]);
    }
}

fn a_stream_each_way(family: Family, offloads: Offloads) {
    let (listening, ready) = channel();
    let peer = move || {
        let listener = Kernel.listen(at(Side::Peer, family));
        listening.send(()).unwrap();
        listen::<Kernel>(Kernel.accept(&listener), [2, 1]);
    };
    scene(family, offloads, peer, Talks { family, ready });
}

fn a_library_connects(family: Family) {
    a_stream_each_way(family, Offloads::All);
}

fn a_library_connects_over_frames_of_a_wires_size(family: Family) {
    a_stream_each_way(family, Offloads::None);
}

struct Serves {
    family: Family,
    listening: Sender<()>,
}

impl Part for Serves {
    fn play(self, sockets: &impl Sockets) {
        serve(sockets, self.family, &self.listening);
    }
}

fn serve<S: Sockets>(sockets: &S, family: Family, listening: &Sender<()>) {
    let listener = sockets.listen(at(Side::Subject, family));
    listening.send(()).unwrap();
    listen::<S>(sockets.accept(&listener), [1, 2]);
}

fn a_library_serves(family: Family) {
    let (listening, ready) = channel();
    let peer = move || {
        ready.recv().unwrap();
        talk(&Kernel, Kernel.connect(at(Side::Subject, family)).unwrap(), [2, 1]);
    };
    scene(family, Offloads::All, peer, Serves { family, listening });
}

struct Asks {
    family: Family,
    /// The peer has its socket.
    ready: Receiver<()>,
}

impl Part for Asks {
    fn play(self, sockets: &impl Sockets) {
        self.ready.recv().unwrap();
        let socket = sockets.datagrams(at(Side::Subject, self.family));
        let mut answer = [0; 64];
        let count = sockets.ask(&socket, at(Side::Peer, self.family), b"question", &mut answer).unwrap();
        assert_eq!(&answer[..count], b"answer");
        let nobody = SocketAddr::new(at(Side::Peer, self.family).ip(), PORT + 1);
        let refused = sockets.ask(&socket, nobody, b"question", &mut answer);
        assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
        let refused = sockets.connect(nobody).err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
    }
}

fn a_library_sends_datagrams_and_hears_refusals(family: Family) {
    let (bound, ready) = channel();
    let peer = move || {
        let socket = Kernel.datagrams(at(Side::Peer, family));
        bound.send(()).unwrap();
        let mut question = [0; 64];
        let (count, from) = socket.recv_from(&mut question).unwrap();
        assert_eq!(&question[..count], b"question");
        socket.send_to(b"answer", from).unwrap();
    };
    scene(family, Offloads::All, peer, Asks { family, ready });
}

/// Nothing was given to it: a router gives a prefix, and is the way to what is beyond.
#[test]
fn a_library_believes_a_router() {
    let mut scene = Scene::new();
    if subject() == Subject::Sockeye {
        scene.stop_node();
    }
    let _radvd = router(&scene);
    if subject() == Subject::Kernel {
        wait_for("an address of the router's prefix", || settled(subjects(&scene), NETWORK));
    }
    let beyond = SocketAddr::new(BEYOND.parse().unwrap(), PORT);
    let listener = scene.peer().enter(|| Kernel.listen(beyond)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| listen::<Kernel>(Kernel.accept(&listener), [2, 1]));
        let reach = || match subject() {
            Subject::Kernel => talk(&Kernel, Kernel.connect(beyond).unwrap(), [1, 2]),
            Subject::Sockeye => {
                let host = host::Host::open(host::Config::new("veth0")).unwrap();
                let stream = wait_for("a way beyond the router", || host.connect(beyond).ok());
                talk(&host, stream, [1, 2]);
            }
        };
        scene.subject_host().enter(reach).unwrap();
    });
}

in_both_families! {
    a_library_connects
    a_library_connects_over_frames_of_a_wires_size
    a_library_serves
    a_library_sends_datagrams_and_hears_refusals
}
