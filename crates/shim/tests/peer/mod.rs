//! A peer for the shim: it speaks the control protocol as a node does, but behind it is no network. Programs that connect to each
//! other are joined in memory, and names come from a list of four.
//!
//! It is one thread with one `poll`. It checks what a node relies on (each request about a socket carries that socket), and panics
//! where the shim breaks the protocol, which fails the test that owns it.

mod board;
mod streams;

use board::ClientBoard;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, recv, recvmsg, send, sendmsg,
    socket_with, socketpair, sockopt,
};
use sockeye_control::ancillary::{messages, put};
use sockeye_control::board::Notice;
use sockeye_control::datagram::{self, Header};
use sockeye_control::{Family, Kind, MAX_CALL, Reply, Request, SocketId, SocketName};
use std::collections::{BTreeMap, VecDeque};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// A running peer; it stops when it is dropped, and its panic becomes the owner's.
pub(crate) struct Peer {
    path: PathBuf,
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    pub(crate) fn start(name: &str) -> Peer {
        let path = std::env::temp_dir().join(format!("sockeye-shim-{}-{name}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&listener, 128).unwrap();
        let (stop, stopped) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let state = State { next: 0x1000, port: 40_000, ..State::default() };
        let thread = std::thread::spawn(move || state.run(&listener, &stop));
        Peer { path, stop: Some(stopped), thread: Some(thread) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop = None;
        let _ = std::fs::remove_file(&self.path);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

#[derive(Default)]
struct State {
    clients: Vec<OwnedFd>,
    /// Their boards, by the numbers of their descriptors.
    boards: BTreeMap<i32, ClientBoard>,
    sockets: BTreeMap<[u8; 16], Socket>,
    next: u64,
    port: u16,
    /// A program asked for the end.
    down: bool,
}

struct Socket {
    name: SocketName,
    /// The node's end of the pair; none after a reset.
    end: Option<OwnedFd>,
    /// The kernel's number for the program's end.
    cookie: u64,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    error: i32,
    /// Why the last datagram could not be sent.
    unsendable: i32,
    options: BTreeMap<(i32, i32), Vec<u8>>,
    state: Stream,
    /// For the program, not yet written.
    pending: VecDeque<u8>,
    /// Nothing more will come for the program.
    peer_finished: bool,
    /// The program will send nothing more.
    finished: bool,
}

enum Stream {
    Fresh,
    Listening {
        backlog: usize,
        in_flight: usize,
        waiting: VecDeque<SocketId>,
    },
    /// With so many bytes of filler.
    Connecting(usize),
    /// The connection stands; whether a second `connect` has been told so.
    Connected {
        peer: SocketId,
        told: bool,
    },
    Closed,
}

type Outcome<'a> = Result<Reply<'a>, i32>;

const NOT_CONNECTED: i32 = libc::ENOTCONN;

impl State {
    fn run(mut self, listener: &OwnedFd, stop: &OwnedFd) {
        while !self.down {
            let ids: Vec<_> =
                self.sockets.iter().filter(|(_, socket)| socket.end.is_some()).map(|(id, _)| *id).collect();
            let clients = self.clients.len();
            let ready: Vec<PollFlags> = {
                let mut polled = vec![PollFd::new(stop, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
                polled.extend(self.clients.iter().map(|client| PollFd::new(client, PollFlags::IN)));
                polled.extend(ids.iter().map(|id| {
                    let socket = &self.sockets[id];
                    PollFd::from_borrowed_fd(
                        socket.end.as_ref().unwrap().as_fd(),
                        socket.interest(self.peer_of(socket)),
                    )
                }));
                poll(&mut polled, None::<&Timespec>).unwrap();
                polled.iter().map(PollFd::revents).collect()
            };
            if !ready[0].is_empty() {
                return;
            }
            // Before the requests, as a node sees data before the request that came after it or not; both must do.
            for (id, ready) in ids.iter().zip(&ready[2 + clients..]) {
                if !ready.is_empty() && self.sockets.contains_key(id) {
                    match self.sockets[id].name.kind {
                        Kind::Stream => self.stream_is_ready(SocketId(*id), *ready),
                        Kind::Datagram | Kind::Raw => self.datagram_is_ready(SocketId(*id)),
                    }
                }
            }
            for at in (0..clients).rev() {
                if !ready[2 + at].is_empty() && !self.serve(at) {
                    self.boards.remove(&self.clients.remove(at).as_raw_fd());
                }
            }
            if !ready[1].is_empty() {
                self.clients.push(accept_with(listener, SocketFlags::CLOEXEC).unwrap());
            }
        }
    }

    fn peer_of(&self, socket: &Socket) -> Option<&Socket> {
        match socket.state {
            Stream::Connected { peer, .. } => self.sockets.get(&peer.0),
            _ => None,
        }
    }

    /// Answers one request; false at the end.
    fn serve(&mut self, at: usize) -> bool {
        let mut message = [0; MAX_CALL];
        let (len, mut descriptors) = receive(self.clients[at].as_fd(), &mut message);
        if len == 0 {
            return false;
        }
        let request = Request::decode(&message[..len]).expect("the shim's requests are well formed");
        if let Some(id) = request.id() {
            assert_eq!(descriptors.len(), 1, "a request about a socket carries it: {request:?}");
            if let Some(socket) = self.sockets.get(&id.0) {
                assert_eq!(sockopt::socket_cookie(&descriptors[0]).unwrap(), socket.cookie, "{request:?}");
            }
        }
        if request == Request::Admit {
            let flags = SocketFlags::CLOEXEC;
            let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
            let mut reply = [0; MAX_CALL];
            let len = Reply::Done.encode(&mut reply).unwrap();
            transmit(descriptors[0].as_fd(), &reply[..len], Some(theirs.as_fd()));
            self.clients.push(ours);
            return true;
        }
        let client = self.clients[at].as_raw_fd();
        let notices = self.boards.get_mut(&client).map(|board| board.before(&request)).unwrap_or_default();
        self.heed(notices);
        let mut attached = None;
        if request == Request::Board {
            let board = self.boards.entry(client).or_insert_with(ClientBoard::new);
            attached = Some(board.file());
        }
        let mut text = Vec::new();
        let outcome = self.answer(&request, descriptors.pop(), &mut attached, &mut text);
        if !request.is_answered() {
            if let (Request::TellOption { .. }, Some(board)) = (&request, self.boards.get_mut(&client)) {
                let notices = board.after_one();
                self.heed(notices);
            }
            return true;
        }
        let reply = outcome.unwrap_or_else(|errno| Reply::Error { errno, reason: "the peer's reason" });
        let mut buffer = [0; MAX_CALL];
        let len = reply.encode(&mut buffer).unwrap();
        transmit(self.clients[at].as_fd(), &buffer[..len], attached.as_ref().map(AsFd::as_fd));
        // Only now, so that the program hears that it is under way first.
        if let Request::Connect { id, .. } = request
            && reply == Reply::InProgress
        {
            self.connect_further(id);
        }
        true
    }

    fn heed(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            let mut value = [0; 4];
            let told = notice.request(&mut value).expect("the shim's notices are well formed");
            self.answer(&told, None, &mut None, &mut Vec::new()).expect("it is not refused");
        }
    }

    fn answer<'a>(
        &mut self,
        request: &Request<'a>,
        program_end: Option<OwnedFd>,
        attached: &mut Option<OwnedFd>,
        text: &'a mut Vec<IpAddr>,
    ) -> Outcome<'a> {
        let _ = &text;
        if let Some(id) = request.id()
            && !self.sockets.contains_key(&id.0)
        {
            return Err(libc::EBADF);
        }
        match *request {
            Request::Socket { family, kind, protocol, nonblocking } => {
                let kind = match (family, kind, protocol) {
                    (libc::AF_INET6, _, _) => return Err(libc::EAFNOSUPPORT),
                    (libc::AF_INET, libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Kind::Stream,
                    (libc::AF_INET, libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Kind::Datagram,
                    (libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_DGRAM, _) => return Err(libc::EPROTONOSUPPORT),
                    (libc::AF_INET, libc::SOCK_RAW, _) | (libc::AF_PACKET, _, _) => return Err(libc::EPERM),
                    _ => return Err(libc::ESOCKTNOSUPPORT),
                };
                let (_, program_end) = self.create(kind);
                if nonblocking {
                    rustix::io::ioctl_fionbio(&program_end, true).unwrap();
                }
                *attached = Some(program_end);
                Ok(Reply::Done)
            }
            Request::Bind { id, address } => self.bind(id, address.internet().unwrap()),
            Request::Listen { id, backlog } => self.listen(id, backlog),
            Request::Connect { id, address } => {
                let address = address.map(|address| address.internet().unwrap());
                self.connect(id, address, &program_end.unwrap(), attached)
            }
            Request::LocalAddress { id } => {
                let unbound = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
                Ok(Reply::Address(self.sockets[&id.0].local.unwrap_or(unbound).into()))
            }
            Request::PeerAddress { id } => {
                let socket = &self.sockets[&id.0];
                let established = match socket.state {
                    Stream::Connecting(_) | Stream::Closed => false,
                    Stream::Fresh | Stream::Listening { .. } | Stream::Connected { .. } => true,
                };
                socket.remote.filter(|_| established).map(|remote| Reply::Address(remote.into())).ok_or(NOT_CONNECTED)
            }
            Request::SetOption { id, level, name, value } => self.set_option(id, level, name, value),
            Request::TellOption { id, level, name, value } => {
                assert!(Request::TOLD.contains(&(level, name)) && value.len() == 4, "{request:?}");
                self.set_option(id, level, name, value)
            }
            Request::Option { id, level, name, len } => {
                let socket = self.sockets.get_mut(&id.0).unwrap();
                let known = match (level, name) {
                    (libc::SOL_SOCKET, libc::SO_PROTOCOL) => libc::IPPROTO_UDP.to_ne_bytes().to_vec(),
                    (libc::SOL_SOCKET, libc::SO_ERROR) => std::mem::take(&mut socket.error).to_ne_bytes().to_vec(),
                    _ if OPTIONS.contains(&(level, name)) => {
                        socket.options.get(&(level, name)).cloned().unwrap_or(vec![0; 4])
                    }
                    _ => return Err(libc::ENOPROTOOPT),
                };
                Ok(Reply::Value(Vec::leak(known[..known.len().min(len as usize)].to_vec())))
            }
            Request::Shutdown { id, how } => {
                if !(0..=2).contains(&how) {
                    return Err(libc::EINVAL);
                }
                let socket = self.sockets.get_mut(&id.0).unwrap();
                match socket.state {
                    Stream::Listening { .. } if how != libc::SHUT_WR => {
                        socket.state = Stream::Fresh;
                        Ok(Reply::Done)
                    }
                    Stream::Connected { .. } => Ok(Reply::Done),
                    _ if socket.name.kind == Kind::Datagram && socket.remote.is_some() => Ok(Reply::Done),
                    _ => Err(NOT_CONNECTED),
                }
            }
            Request::TakeError { .. } => Err(libc::EAGAIN),
            Request::WriteInVain { .. } => Err(libc::EPIPE),
            // What is written is routed when it is seen, before this; errors come as messages.
            Request::Memory { .. } | Request::Transmit { .. } | Request::AskOption { .. } => Err(libc::EINVAL),
            Request::Flush { id } if self.sockets[&id.0].name.kind == Kind::Stream => Ok(Reply::Done),
            Request::Flush { id } => match self.take_in(id) {
                0 => Ok(Reply::Done),
                errno => Err(errno),
            },
            Request::Ioctl { id, command, .. } if u64::from(command) == libc::TIOCOUTQ => {
                let end = self.sockets[&id.0].end.as_ref();
                let unread = end.map_or(0, |end| rustix::io::ioctl_fionread(end).unwrap()) as i32;
                Ok(Reply::Value(Vec::leak(unread.to_ne_bytes().to_vec())))
            }
            Request::Ioctl { .. } | Request::InterfaceIoctl { .. } => Err(libc::ENOTTY),
            // It has no interfaces, so that the kernel's files will do.
            Request::Interfaces | Request::File { .. } => Err(libc::EOPNOTSUPP),
            Request::Resolve { family, name, .. } => resolve(name, family),
            Request::ResolveAddress { address } => match address {
                IpAddr::V4(Ipv4Addr::LOCALHOST) => Ok(Reply::Name("localhost")),
                _ => Err(libc::ENOENT),
            },
            Request::Down => {
                self.down = true;
                Ok(Reply::Done)
            }
            Request::Board | Request::Ring | Request::Admit => Ok(Reply::Done),
            Request::Show { .. } | Request::Trace => panic!("not a program's request"),
        }
    }

    fn create(&mut self, kind: Kind) -> (SocketId, OwnedFd) {
        self.next += 1;
        let mut id = [0xab; 16];
        id[8..].copy_from_slice(&self.next.to_be_bytes());
        // Tests run side by side, and abstract names are common to them.
        id[..4].copy_from_slice(&std::process::id().to_be_bytes());
        let name = SocketName { node: self as *const _ as usize as u32, family: Family::V4, kind, id: SocketId(id) };
        let pair_kind = match kind {
            Kind::Stream => SocketType::STREAM,
            Kind::Datagram | Kind::Raw => SocketType::SEQPACKET,
        };
        let (end, program) = socketpair(AddressFamily::UNIX, pair_kind, SocketFlags::CLOEXEC, None).unwrap();
        rustix::io::ioctl_fionbio(&end, true).unwrap();
        bind(&program, &SocketAddrUnix::new_abstract_name(&name.format()[1..]).unwrap()).unwrap();
        let socket = Socket {
            name,
            end: Some(end),
            cookie: sockopt::socket_cookie(&program).unwrap(),
            local: None,
            remote: None,
            error: 0,
            unsendable: 0,
            options: BTreeMap::new(),
            state: Stream::Fresh,
            pending: VecDeque::new(),
            peer_finished: false,
            finished: false,
        };
        self.sockets.insert(id, socket);
        (SocketId(id), program)
    }

    fn ephemeral(&mut self) -> u16 {
        self.port += 1;
        self.port
    }

    fn bind<'a>(&mut self, id: SocketId, mut address: SocketAddr) -> Outcome<'a> {
        if !address.ip().is_unspecified() && !address.ip().is_loopback() {
            return Err(libc::EADDRNOTAVAIL);
        }
        let kind = self.sockets[&id.0].name.kind;
        if self.sockets[&id.0].local.is_some() {
            return Err(libc::EINVAL);
        }
        let taken = |socket: &Socket| {
            socket.name.kind == kind && socket.end.is_some() && socket.remote.is_none() && socket.local == Some(address)
        };
        if address.port() != 0 && self.sockets.values().any(taken) {
            return Err(libc::EADDRINUSE);
        }
        if address.port() == 0 {
            address.set_port(self.ephemeral());
        }
        self.sockets.get_mut(&id.0).unwrap().local = Some(address);
        Ok(Reply::Done)
    }

    fn set_option<'a>(&mut self, id: SocketId, level: i32, name: i32, value: &[u8]) -> Outcome<'a> {
        if !OPTIONS.contains(&(level, name)) {
            return Err(libc::ENOPROTOOPT);
        }
        if value.len() < 4 {
            return Err(libc::EINVAL);
        }
        let socket = self.sockets.get_mut(&id.0).unwrap();
        socket.options.insert((level, name), value.to_vec());
        Ok(Reply::Done)
    }

    fn datagram_is_ready(&mut self, id: SocketId) {
        let mut message = vec![0; 70_000];
        loop {
            let end = self.sockets[&id.0].end.as_ref().unwrap();
            let len = match recv(end, &mut message[..], RecvFlags::empty()) {
                Ok((0, _)) => {
                    // Closed by the program, or shut down.
                    if poll_now(end.as_fd()).contains(PollFlags::HUP) {
                        self.sockets.remove(&id.0);
                    }
                    return;
                }
                Ok((len, _)) => len,
                Err(Errno::AGAIN) => return,
                Err(Errno::CONNRESET) => {
                    self.sockets.remove(&id.0);
                    return;
                }
                Err(errno) => panic!("{errno}"),
            };
            let (header, control, payload) =
                Header::split(&message[..len]).expect("the shim's headers are well formed");
            assert_eq!(header.kind, datagram::Kind::Data);
            self.route(id, &header, control, payload);
        }
    }

    /// Takes in what was written; the error of it, which comes no other way.
    fn take_in(&mut self, id: SocketId) -> i32 {
        self.datagram_is_ready(id);
        self.sockets.get_mut(&id.0).map_or(0, |socket| std::mem::take(&mut socket.unsendable))
    }

    fn route(&mut self, id: SocketId, header: &Header, control: &[u8], payload: &[u8]) {
        let ephemeral = self.ephemeral();
        let from = self.sockets.get_mut(&id.0).unwrap();
        let Some(to) = header.remote.map(|to| to.internet().unwrap()).or(from.remote) else {
            from.unsendable = libc::EDESTADDRREQ;
            return;
        };
        if to.port() == 0 || payload.len() > 65_507 {
            from.unsendable = if to.port() == 0 { libc::EINVAL } else { libc::EMSGSIZE };
            return;
        }
        let bound = *from.local.get_or_insert(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), ephemeral));
        let mut source = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port());
        if !bound.ip().is_unspecified() {
            source = bound;
        }
        let (mut ttl, mut tos, mut beyond) = (64i32.to_ne_bytes().to_vec(), vec![0], Vec::new());
        for message in messages(control) {
            let Ok(message) = message else { return from.unsendable = libc::EINVAL };
            match (message.level, message.kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    source.set_ip(Ipv4Addr::from(*message.data[4..].first_chunk::<4>().unwrap()).into());
                }
                (libc::IPPROTO_IP, libc::IP_TTL) if message.data == 256i32.to_ne_bytes() => {
                    return from.unsendable = libc::EINVAL;
                }
                (libc::IPPROTO_IP, libc::IP_TTL) => ttl = message.data.to_vec(),
                (libc::IPPROTO_IP, libc::IP_TOS) => tos = message.data[..1].to_vec(),
                (libc::IPPROTO_IP, libc::IP_RETOPTS) => beyond = message.data.to_vec(),
                (libc::IPPROTO_IP | libc::SOL_SOCKET, _) => return from.unsendable = libc::EINVAL,
                _ => {}
            }
        }
        let takes = |socket: &&mut Socket| {
            socket.name.kind == Kind::Datagram
                && socket.local.is_some_and(|local| matches(local, to))
                && socket.remote.is_none_or(|remote| remote == source)
        };
        if let Some(socket) = self.sockets.values_mut().find(takes) {
            let mut list = Vec::new();
            let asked = |level, name| socket.options.get(&(level, name)).is_some_and(|value| value[..4] != [0; 4]);
            if asked(libc::SOL_SOCKET, libc::SO_TIMESTAMP) {
                put(&mut list, libc::SOL_SOCKET, libc::SO_TIMESTAMP, &[1; 16]);
            }
            if asked(libc::IPPROTO_IP, libc::IP_PKTINFO) {
                let IpAddr::V4(to) = to.ip() else { panic!("IPv4 only") };
                let info = [&1u32.to_ne_bytes()[..], &to.octets(), &to.octets()].concat();
                put(&mut list, libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            if asked(libc::IPPROTO_IP, libc::IP_RECVTTL) {
                put(&mut list, libc::IPPROTO_IP, libc::IP_TTL, &ttl);
            }
            if asked(libc::IPPROTO_IP, libc::IP_RECVTOS) {
                put(&mut list, libc::IPPROTO_IP, libc::IP_TOS, &tos);
            }
            if asked(libc::IPPROTO_IP, libc::IP_RECVOPTS) && !beyond.is_empty() {
                put(&mut list, libc::IPPROTO_IP, libc::IP_RECVOPTS, &beyond);
            }
            let header = Header { control: list.len() as u16, ..Header::data(Some(source.into())) };
            list.resize(list.len().max(Header::PLACE), 0);
            let message = [&header.encode(), &list[..], payload].concat();
            // A full queue drops, as a network does.
            let _ = send(socket.end.as_ref().unwrap(), &message, SendFlags::NOSIGNAL);
        } else if self.sockets[&id.0].remote.is_some() {
            self.sockets[&id.0].tell(Some(to), libc::ECONNREFUSED);
        }
    }
}

impl Socket {
    /// Sends an error to the program.
    fn tell(&self, remote: Option<SocketAddr>, errno: i32) {
        let header = Header::error(errno, remote.map(Into::into));
        let _ = send(self.end.as_ref().unwrap(), &header.encode(), SendFlags::NOSIGNAL);
    }
}

/// What the peer takes and keeps.
const OPTIONS: [(i32, i32); 19] = [
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_REUSEPORT),
    (libc::SOL_SOCKET, libc::SO_SNDBUF),
    (libc::SOL_SOCKET, libc::SO_RCVBUF),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_BROADCAST),
    (libc::SOL_SOCKET, libc::SO_LINGER),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMP),
    (libc::SOL_SOCKET, libc::SO_PRIORITY),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_CORK),
    (libc::IPPROTO_TCP, libc::TCP_MAXSEG),
    (libc::IPPROTO_TCP, libc::TCP_CONGESTION),
    (libc::IPPROTO_TCP, libc::TCP_INFO),
    (libc::IPPROTO_IP, libc::IP_PKTINFO),
    (libc::IPPROTO_IP, libc::IP_RECVTTL),
    (libc::IPPROTO_IP, libc::IP_RECVTOS),
    (libc::IPPROTO_IP, libc::IP_RECVOPTS),
];

fn matches(local: SocketAddr, to: SocketAddr) -> bool {
    local.port() == to.port() && (local.ip().is_unspecified() || local.ip() == to.ip())
}

fn resolve<'a>(name: &str, family: i32) -> Outcome<'a> {
    const TWO: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))];
    const LOCAL: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    match name {
        "two.test" | "localhost" if family == libc::AF_INET6 => Err(libc::ENODATA),
        "two.test" => Ok(Reply::Addresses { canonical: "one.two.test", addresses: TWO.as_slice().into() }),
        "localhost" => Ok(Reply::Addresses { canonical: "", addresses: LOCAL.as_slice().into() }),
        "empty.test" => Err(libc::ENODATA),
        "later.test" => Err(libc::EAGAIN),
        "broken.test" => Err(libc::EIO),
        _ => Err(libc::ENOENT),
    }
}

fn receive(from: BorrowedFd<'_>, buffer: &mut [u8]) -> (usize, Vec<OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let Ok(message) = recvmsg(from, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC) else {
        return (0, Vec::new());
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    (message.bytes, descriptors)
}

fn transmit(to: BorrowedFd<'_>, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    }
    // A program that is gone does not matter.
    let _ = sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
}

fn poll_now(end: BorrowedFd<'_>) -> PollFlags {
    let mut polled = [PollFd::from_borrowed_fd(end, PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
    polled[0].revents()
}
