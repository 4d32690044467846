//! A node on a veth pair with a kernel host at the other end, driven as the shim drives it: by control messages and by
//! plain reads and writes on the descriptors that they bring. Needs the right to make network namespaces; without it
//! the tests say so and pass over.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use sockeye_control::datagram::{Header, Kind};
use sockeye_control::{Accepted, MAX_MESSAGE, Reply, Request, SocketId, SocketName, What, credit};
use sockeye_lab::{Host, Lab, is_privileged};
use sockeye_node::{Config, Driver, Error, Interface, MacChoice, Node};

const NODE: &str = "10.9.0.2";
const KERNEL: &str = "10.9.0.1";
const LIMIT: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// A node and a kernel host on one wire.
struct Fixture {
    kernel: Host,
    control: PathBuf,
    node: Option<JoinHandle<Result<(), Error>>>,
    _lab: Lab,
}

impl Fixture {
    fn new(name: &str) -> Option<Fixture> {
        if !is_privileged() {
            eprintln!("passed over: no right to make network namespaces");
            return None;
        }
        let lab = Lab::new().expect("a lab");
        let (kernel, host) = (lab.host("kernel").expect("a host"), lab.host("node").expect("a host"));
        lab.link(&kernel, "k0", &host, "n0").expect("a link");
        kernel.address("k0", &format!("{KERNEL}/24")).expect("an address");
        let control = std::env::temp_dir().join(format!("sockeye-node-{name}-{}.sock", std::process::id()));
        let mut config = Config::new(&control);
        config.interfaces.push(Interface {
            name: "n0".to_owned(),
            addresses: vec![format!("{NODE}/24").parse().expect("a prefix")],
            mac: MacChoice::Auto,
            driver: Driver::Packet,
        });
        let (ready, wait) = std::sync::mpsc::channel();
        let node = std::thread::spawn(move || {
            host.enter(|| {
                let node = Node::open(config)?;
                let _ = ready.send(());
                node.run()
            })
            .expect("inside the namespace")
        });
        wait.recv().expect("the node opens");
        Some(Fixture { kernel, control, node: Some(node), _lab: lab })
    }

    fn connect(&self) -> OwnedFd {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("a socket");
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.control).expect("an address"))
            .expect("the node is there");
        socket
    }

    /// One request on a connection of its own.
    fn ask<T>(
        &self,
        request: &Request<'_>,
        descriptor: Option<BorrowedFd<'_>>,
        read: impl FnOnce(Reply<'_>, Option<OwnedFd>) -> T,
    ) -> T {
        let socket = self.connect();
        let mut message = [0; MAX_MESSAGE];
        let len = request.encode(&mut message).expect("fits");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let rights = descriptor.map(|descriptor| [descriptor]);
        if let Some(rights) = &rights {
            ancillary.push(SendAncillaryMessage::ScmRights(rights));
        }
        rustix::net::sendmsg(&socket, &[IoSlice::new(&message[..len])], &mut ancillary, SendFlags::empty())
            .expect("sent");
        let (len, descriptor) = receive(&socket, &mut message);
        read(Reply::decode(&message[..len]).expect("a reply"), descriptor)
    }

    fn socket(&self, kind: i32) -> Socket<'_> {
        let request = Request::Socket { family: 2, kind, protocol: 0, nonblocking: false };
        let fd = self.ask(&request, None, |reply, descriptor| {
            assert_eq!(reply, Reply::Done);
            descriptor.expect("a descriptor")
        });
        let name = SocketAddrUnix::try_from(rustix::net::getsockname(&fd).expect("a name")).expect("a Unix name");
        let path = [&[0], name.abstract_name().expect("abstract")].concat();
        let id = SocketName::parse(&path).expect("the node's").id;
        Socket { fixture: self, fd, id }
    }

    fn stop(&mut self) {
        self.ask(&Request::Down, None, |reply, _| assert_eq!(reply, Reply::Done));
        let node = self.node.take().expect("running");
        node.join().expect("no panic").expect("a good end");
        assert!(!self.control.exists());
    }
}

struct Socket<'a> {
    fixture: &'a Fixture,
    fd: OwnedFd,
    id: SocketId,
}

impl Socket<'_> {
    fn ask<T>(&self, request: Request<'_>, read: impl FnOnce(Reply<'_>) -> T) -> T {
        self.fixture.ask(&request, Some(self.fd.as_fd()), |reply, _| read(reply))
    }

    fn done(&self, request: Request<'_>) {
        self.ask(request, |reply| assert_eq!(reply, Reply::Done));
    }

    fn error(&self) -> i32 {
        self.ask(Request::Option { id: self.id, level: 1, name: 4, len: 4 }, |reply| match reply {
            Reply::Value(value) => i32::from_ne_bytes(value.try_into().expect("an int")),
            other => panic!("{other:?}"),
        })
    }

    fn into_stream(self) -> UnixStream {
        self.fd.into()
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> (usize, Option<OwnedFd>) {
    wait(socket, PollFlags::IN);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .expect("received");
    let descriptor = ancillary.drain().find_map(|piece| match piece {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    (message.bytes, descriptor)
}

fn wait(fd: &impl AsFd, flags: PollFlags) -> PollFlags {
    let mut ends = [PollFd::new(fd, flags)];
    assert_ne!(poll(&mut ends, Some(&LIMIT)).expect("poll"), 0, "nothing happens");
    ends[0].revents()
}

fn address(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse().expect("an address"), port)
}

/// Bytes that differ from place to place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[test]
fn a_client_connects_and_both_directions_end_in_order() {
    let Some(mut fixture) = Fixture::new("client") else { return };
    let listener = fixture.kernel.enter(|| TcpListener::bind(address(KERNEL, 0))).expect("inside").expect("bound");
    let remote = listener.local_addr().expect("an address");
    let sent = pattern(3_000_000);
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepted");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("read");
        stream.write_all(&all).expect("written");
    });
    let socket = fixture.socket(1);
    socket.ask(Request::Connect { id: socket.id, address: Some(remote) }, |reply| assert_eq!(reply, Reply::InProgress));
    assert_eq!(wait(&socket.fd, PollFlags::OUT), PollFlags::OUT);
    assert_eq!(socket.error(), 0);
    socket.ask(Request::PeerAddress { id: socket.id }, |reply| assert_eq!(reply, Reply::Address(remote)));
    let mut stream = socket.into_stream();
    let writer = std::thread::spawn({
        let (mut stream, sent) = (stream.try_clone().expect("a clone"), sent.clone());
        move || {
            stream.write_all(&sent).expect("written");
            stream.shutdown(std::net::Shutdown::Write).expect("shut down");
        }
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("read");
    assert!(back == sent, "{} of {} bytes came back, or other ones", back.len(), sent.len());
    writer.join().expect("written");
    echo.join().expect("echoed");
    fixture.stop();
}

#[test]
fn a_refused_connect_polls_an_error_that_so_error_tells_once() {
    let Some(mut fixture) = Fixture::new("refused") else { return };
    let socket = fixture.socket(1);
    let nobody = address(KERNEL, 9);
    socket.ask(Request::Connect { id: socket.id, address: Some(nobody) }, |reply| assert_eq!(reply, Reply::InProgress));
    let happened = wait(&socket.fd, PollFlags::OUT);
    assert!(happened.contains(PollFlags::ERR | PollFlags::HUP), "{happened:?}");
    assert_eq!((socket.error(), socket.error()), (111, 0));
    // The same socket may connect once more, on a new pair.
    let listener = fixture.kernel.enter(|| TcpListener::bind(address(KERNEL, 0))).expect("inside").expect("bound");
    let remote = listener.local_addr().expect("an address");
    let again = Request::Connect { id: socket.id, address: Some(remote) };
    let fd = fixture.ask(&again, Some(socket.fd.as_fd()), |reply, descriptor| {
        assert_eq!(reply, Reply::InProgress);
        descriptor.expect("a new end")
    });
    assert_eq!(wait(&fd, PollFlags::OUT), PollFlags::OUT);
    drop(socket);
    fixture.stop();
}

#[test]
fn a_listener_hands_connections_over_and_takes_credits() {
    let Some(mut fixture) = Fixture::new("listener") else { return };
    let socket = fixture.socket(1);
    socket.done(Request::Bind { id: socket.id, address: address("0.0.0.0", 7777) });
    // A backlog of one: the window is one, so that each connection after the first waits for a credit.
    socket.done(Request::Listen { id: socket.id, backlog: 1 });
    for round in 0..5u8 {
        let mut client =
            fixture.kernel.enter(|| TcpStream::connect(address(NODE, 7777))).expect("inside").expect("connected");
        let mut message = [0; Accepted::LEN];
        let (len, descriptor) = receive(&socket.fd, &mut message);
        let accepted = Accepted::decode(&message[..len]).expect("an accepted connection");
        assert_eq!(accepted.local, address(NODE, 7777));
        assert_eq!(accepted.remote, client.local_addr().expect("an address"));
        rustix::io::write(&socket.fd, &[credit::TAKEN]).expect("credited");
        let mut stream = UnixStream::from(descriptor.expect("a descriptor"));
        client.write_all(&[round]).expect("written");
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("read");
        assert_eq!(byte, [round]);
        if round % 2 == 0 {
            // In good order: the peer reads the end.
            drop(stream);
            assert_eq!(client.read(&mut byte).expect("the end"), 0);
        } else {
            // With data unread: the peer reads a reset.
            client.write_all(b"unread").expect("written");
            wait(&stream, PollFlags::IN);
            drop(stream);
            assert_eq!(client.read(&mut byte).expect_err("reset").kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    drop(socket);
    fixture.stop();
}

#[test]
fn datagrams_carry_addresses_and_errors_come_back() {
    let Some(mut fixture) = Fixture::new("datagram") else { return };
    let peer = fixture.kernel.enter(|| UdpSocket::bind(address(KERNEL, 0))).expect("inside").expect("bound");
    let remote = peer.local_addr().expect("an address");
    let socket = fixture.socket(2);
    socket.done(Request::Bind { id: socket.id, address: address("0.0.0.0", 5353) });
    for payload in [&b""[..], b"hello", &pattern(20_000)] {
        let message = [&Header::data(Some(remote)).encode()[..], payload].concat();
        rustix::net::send(&socket.fd, &message, SendFlags::empty()).expect("sent");
        let mut buffer = vec![0; 65_536];
        let (len, from) = peer.recv_from(&mut buffer).expect("received");
        assert_eq!((&buffer[..len], from), (payload, address(NODE, 5353)));
        peer.send_to(payload, from).expect("sent");
        let (len, _) = receive(&socket.fd, &mut buffer);
        let (header, data) = Header::decode(&buffer[..len]).expect("a datagram");
        assert_eq!((header.remote, header.local, data), (Some(remote), Some(address(NODE, 5353)), payload));
    }
    // No such route: the program is told.
    let nowhere = address("192.0.2.1", 9);
    rustix::net::send(&socket.fd, &Header::data(Some(nowhere)).encode(), SendFlags::empty()).expect("sent");
    let mut buffer = [0; 256];
    let (len, _) = receive(&socket.fd, &mut buffer);
    let (header, _) = Header::decode(&buffer[..len]).expect("an error");
    assert_eq!((header.kind, header.remote), (Kind::Error(101), Some(nowhere)));
    drop(socket);
    fixture.stop();
}

#[test]
fn a_program_cannot_touch_a_socket_that_it_does_not_hold() {
    let Some(mut fixture) = Fixture::new("foreign") else { return };
    let (mine, other) = (fixture.socket(1), fixture.socket(1));
    let steal = Request::Bind { id: other.id, address: address("0.0.0.0", 4000) };
    let refused = |reply: Reply<'_>, errno| {
        assert!(matches!(reply, Reply::Error { errno: was, .. } if was == errno), "{reply:?}")
    };
    fixture.ask(&steal, Some(mine.fd.as_fd()), |reply, _| refused(reply, 1));
    fixture.ask(&steal, None, |reply, _| refused(reply, 9));
    // Garbage is answered, and let go; the node serves on.
    let socket = fixture.connect();
    rustix::net::send(&socket, b"garbage", SendFlags::empty()).expect("sent");
    let mut buffer = [0; 1024];
    let (len, _) = receive(&socket, &mut buffer);
    refused(Reply::decode(&buffer[..len]).expect("a reply"), 71);
    assert_eq!(receive(&socket, &mut buffer).0, 0);
    other.done(steal);
    let shown = fixture.ask(&Request::Show { what: What::Counters, json: true }, None, |reply, _| match reply {
        Reply::Text { last: true, text } => text.to_owned(),
        other => panic!("{other:?}"),
    });
    assert!(shown.contains("\"requests_malformed\": 1"), "{shown}");
    drop((mine, other));
    fixture.stop();
}
