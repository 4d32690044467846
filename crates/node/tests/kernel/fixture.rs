//! A node and a kernel host on one wire, and the messages that the shim would send.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use sockeye_control::{MAX_MESSAGE, Reply, Request, SocketId, SocketName, What};
use sockeye_lab::{Host, Lab, is_privileged};
use sockeye_node::{Config, Driver, Error, Interface, MacChoice, Node};

pub(crate) const NODE: &str = "10.9.0.2";
pub(crate) const KERNEL: &str = "10.9.0.1";
const LIMIT: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A node and a kernel host on one wire.
pub(crate) struct Fixture {
    pub(crate) kernel: Host,
    pub(crate) control: PathBuf,
    node: Option<JoinHandle<Result<(), Error>>>,
    _lab: Lab,
}

impl Fixture {
    pub(crate) fn new(name: &str) -> Option<Fixture> {
        Fixture::with(name, |_| {})
    }

    /// `adjust` has the node before it runs.
    pub(crate) fn with(name: &str, adjust: impl FnOnce(&mut Node) + Send + 'static) -> Option<Fixture> {
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
                let mut node = Node::open(config)?;
                adjust(&mut node);
                let _ = ready.send(());
                node.run()
            })
            .expect("inside the namespace")
        });
        wait.recv().expect("the node opens");
        Some(Fixture { kernel, control, node: Some(node), _lab: lab })
    }

    pub(crate) fn connect(&self) -> OwnedFd {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("a socket");
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.control).expect("an address"))
            .expect("the node is there");
        socket
    }

    /// One request on a connection of its own.
    pub(crate) fn ask<T>(
        &self,
        request: &Request<'_>,
        descriptor: Option<BorrowedFd<'_>>,
        read: impl FnOnce(Reply<'_>, Option<OwnedFd>) -> T,
    ) -> T {
        self.ask_on(&self.connect(), request, descriptor, read)
    }

    /// One request on a connection that is there.
    pub(crate) fn ask_on<T>(
        &self,
        connection: &OwnedFd,
        request: &Request<'_>,
        descriptor: Option<BorrowedFd<'_>>,
        read: impl FnOnce(Reply<'_>, Option<OwnedFd>) -> T,
    ) -> T {
        self.say(connection, request, descriptor);
        let mut message = [0; MAX_MESSAGE];
        let (len, descriptor) = receive(connection, &mut message);
        read(Reply::decode(&message[..len]).expect("a reply"), descriptor)
    }

    /// Sends a message.
    pub(crate) fn say(&self, connection: &OwnedFd, request: &Request<'_>, descriptor: Option<BorrowedFd<'_>>) {
        let mut message = [0; MAX_MESSAGE];
        let len = request.encode(&mut message).expect("fits");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let rights = descriptor.map(|descriptor| [descriptor]);
        if let Some(rights) = &rights {
            ancillary.push(SendAncillaryMessage::ScmRights(rights));
        }
        rustix::net::sendmsg(connection, &[IoSlice::new(&message[..len])], &mut ancillary, SendFlags::empty())
            .expect("sent");
    }

    pub(crate) fn socket(&self, kind: i32) -> Socket<'_> {
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

    /// A number by its name in `show`.
    pub(crate) fn number(&self, what: What, name: &str) -> u64 {
        let shown = self.show(what);
        let value = shown.split(&format!("\"{name}\"")).nth(1).unwrap_or_else(|| panic!("no {name}: {shown}"));
        let digits = value.trim_start_matches(|character: char| !character.is_ascii_digit());
        digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
    }

    /// How many descriptors the node holds for programs.
    pub(crate) fn ends(&self) -> u64 {
        let shown = self.show(What::Queues);
        let rows = shown.split('}');
        let row = rows.clone().find(|row| row.contains("programs' ends")).unwrap_or_else(|| panic!("{shown}"));
        row.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number")
    }

    /// A table of the node's, as JSON.
    pub(crate) fn show(&self, what: What) -> String {
        let socket = self.connect();
        let mut message = [0; MAX_MESSAGE];
        let len = Request::Show { what, json: true }.encode(&mut message).expect("fits");
        rustix::net::send(&socket, &message[..len], SendFlags::empty()).expect("sent");
        let mut all = String::new();
        loop {
            let (len, _) = receive(&socket, &mut message);
            match Reply::decode(&message[..len]).expect("a reply") {
                Reply::Text { last, text } => {
                    all.push_str(text);
                    if last {
                        return all;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn stop(&mut self) {
        self.ask(&Request::Down, None, |reply, _| assert_eq!(reply, Reply::Done));
        let node = self.node.take().expect("running");
        node.join().expect("no panic").expect("a good end");
        assert!(!self.control.exists());
    }
}

pub(crate) struct Socket<'a> {
    fixture: &'a Fixture,
    pub(crate) fd: OwnedFd,
    pub(crate) id: SocketId,
}

impl Socket<'_> {
    pub(crate) fn ask<T>(&self, request: Request<'_>, read: impl FnOnce(Reply<'_>) -> T) -> T {
        self.fixture.ask(&request, Some(self.fd.as_fd()), |reply, _| read(reply))
    }

    pub(crate) fn done(&self, request: Request<'_>) {
        self.ask(request, |reply| assert_eq!(reply, Reply::Done));
    }

    pub(crate) fn error(&self) -> i32 {
        self.ask(Request::Option { id: self.id, level: 1, name: 4, len: 4 }, |reply| match reply {
            Reply::Value(value) => i32::from_ne_bytes(value.try_into().expect("an int")),
            other => panic!("{other:?}"),
        })
    }

    pub(crate) fn into_stream(self) -> UnixStream {
        self.fd.into()
    }
}

pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> (usize, Option<OwnedFd>) {
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

pub(crate) fn wait(fd: &impl AsFd, flags: PollFlags) -> PollFlags {
    let mut ends = [PollFd::new(fd, flags)];
    assert_ne!(poll(&mut ends, Some(&LIMIT)).expect("poll"), 0, "nothing happens");
    ends[0].revents()
}

pub(crate) fn address(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse().expect("an address"), port)
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}
