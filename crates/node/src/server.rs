//! The control socket: who may speak to the node, and how much at once.
//!
//! A SEQPACKET listener at a path that everybody may connect to: what each may do is decided by who it is when it asks
//! (SO_PEERCRED, SCM_CREDENTIALS, which cannot be forged) and by the descriptors that it shows. A client has one question under way. Answers that do
//! not fit its socket wait here, within a bound; a client that sends garbage is told so and let go; one that does not
//! read what it asked for is let go.
//!
//! Programs keep their connections. An idle one costs its descriptor; when there is no room for another client, the one
//! that has been idle for longest is let go, and comes anew when it has something to ask.
//!
//! A path that a dead node left behind is replaced; that of a living one is an error that says so. The path is removed
//! at the end, if it is still the one that was made.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::event::epoll::EventFlags;
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use sockeye_control::{MAX_MESSAGE, MAX_TEXT, Reply};
use sockeye_socket::Errno;
use sockeye_socket::table::{Key, Table};

use crate::board::{self, ClientBoard};
use crate::counters::counters;
use crate::end::Owner;
use crate::error::Error;
use crate::pair::{self, Received};
use crate::poller::{Poller, Token};

/// Answers that wait for one client, in bytes: `show sockets` of a busy node fits.
const OUTBOX_MAX: usize = 64 << 20;
/// The same for a trace, which loses lines instead of the listener.
const TRACE_MAX: usize = 4 << 20;
const BACKLOG: i32 = 1024;

/// What a client is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// It may ask.
    Idle,
    /// Its question is under way.
    Waiting,
    /// It listens to the trace.
    Tracing,
}

/// A connection to the control socket.
pub(crate) struct Client {
    fd: OwnedFd,
    /// Who connected.
    uid: u32,
    /// Who asked last: a program may have become somebody else, or have handed its connection on.
    pub(crate) who: Owner,
    /// How many requests there were when it asked last; `None` before its first.
    asked: Option<u64>,
    pub(crate) activity: Activity,
    /// Its question was read, and is not answered yet.
    asking: bool,
    /// Others come by it who cannot come by the path.
    door: bool,
    pub(crate) board: Option<Box<ClientBoard>>,
    outbox: VecDeque<Vec<u8>>,
    waiting: usize,
    interest: EventFlags,
}

counters! {
    /// What the server counted.
    Counters {
        clients: "",
        clients_refused: "Too many at once.",
        clients_made_way: "Idle, for others; they come anew.",
        requests: "",
        requests_malformed: "Answered with EPROTO, and let go.",
        statements: "Read on boards.",
        statements_refused: "Of a socket that is another, or no more.",
        clients_not_reading: "Let go, or lost lines of a trace.",
    }
}

/// The control server.
pub(crate) struct Server {
    listener: OwnedFd,
    path: PathBuf,
    inode: (u64, u64),
    pub(crate) clients: Table<Client>,
    /// Those that have a board.
    pub(crate) boards: Vec<Key>,
    by_user: HashMap<u32, usize>,
    limit: usize,
    pub(crate) counters: Counters,
    buffer: Box<[u8; MAX_MESSAGE]>,
}

const LISTENING: EventFlags = EventFlags::IN.union(EventFlags::RDHUP);

impl Server {
    /// Listens at `path`.
    pub(crate) fn open(path: &Path, limit: usize) -> Result<Server, Error> {
        let wrong = |what: String| Error::Control { path: path.to_owned(), what };
        let refused = |error: io::Error| {
            wrong(match error.kind() {
                io::ErrorKind::PermissionDenied => format!("{error}; choose a path of your own with --control PATH"),
                _ => error.to_string(),
            })
        };
        let address = SocketAddrUnix::new(path)
            .map_err(|_| wrong("the path is too long for a socket; choose one of at most 107 bytes".to_owned()))?;
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory).map_err(refused)?;
        }
        clear(path, &address).map_err(|error| match error {
            Occupied::Alive => wrong(
                "another node serves there; stop it with `sockeye down`, or choose another path with --control PATH"
                    .to_owned(),
            ),
            Occupied::NoSocket => wrong(
                "a file that is no socket stands there; remove it, or choose another path with --control PATH"
                    .to_owned(),
            ),
            Occupied::Unknown(error) => refused(error),
        })?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(Error::system("making the control socket"))?;
        rustix::net::bind(&listener, &address).map_err(|errno| refused(errno.into()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(refused)?;
        let inode = inode(path).map_err(refused)?;
        rustix::net::listen(&listener, BACKLOG).map_err(Error::system("listening on the control socket"))?;
        Ok(Server {
            listener,
            path: path.to_owned(),
            inode,
            clients: Table::new(),
            boards: Vec::new(),
            by_user: HashMap::new(),
            limit,
            counters: Counters::default(),
            buffer: Box::new([0; MAX_MESSAGE]),
        })
    }

    pub(crate) fn register(&self, poller: &Poller) -> io::Result<()> {
        poller.add(&self.listener, Token::Server, EventFlags::IN)
    }

    /// Serves nobody any more who has not come yet.
    pub(crate) fn deafen(&self, poller: &Poller) {
        if let Err(error) = poller.modify(&self.listener, Token::Server, EventFlags::empty()) {
            tracing::warn!(%error, "cannot change what is waited for");
        }
    }

    /// Takes a client in who waits, if there is one. Its key, to be served at once: it has mostly asked already.
    pub(crate) fn accept(&mut self, poller: &Poller) -> Option<Key> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = match rustix::net::accept_with(&self.listener, flags) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::AGAIN) => return None,
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the control socket");
                return None;
            }
        };
        let who = Owner::from(sockopt::socket_peercred(&fd).ok()?);
        self.take_in(fd, who, None, poller)
    }

    /// Takes in whoever asks for a connection on that of `door`, and answers on an end of its own. The new one's key.
    pub(crate) fn admit(&mut self, door: Key, who: Owner, answer: &OwnedFd, poller: &Poller) -> Option<Key> {
        // What is no such end gets nothing: not everything takes a message without waiting or harm.
        let domain = sockopt::socket_domain(answer).ok()?;
        if domain != AddressFamily::UNIX || sockopt::socket_type(answer) != Ok(SocketType::SEQPACKET) {
            return None;
        }
        self.clients.get_mut(door)?.door = true;
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).ok()?;
        // The kernel saw the node connect, so nobody is believed to be that.
        let key = self.take_in(ours, who, Some(self.counters.requests), poller)?;
        let told = Reply::Done
            .encode(&mut self.buffer[..])
            .is_ok_and(|len| pair::send(answer, &self.buffer[..len], Some(theirs.as_fd())).is_ok());
        if !told {
            self.remove(key);
            return None;
        }
        Some(key)
    }

    /// A client more, if there is room for it.
    fn take_in(&mut self, fd: OwnedFd, who: Owner, asked: Option<u64>, poller: &Poller) -> Option<Key> {
        sockopt::set_socket_passcred(&fd, true).ok()?;
        let count = self.by_user.get(&who.uid).copied().unwrap_or(0);
        // One user has at most half of what there is.
        let of_whom = if who.uid != 0 && count >= self.limit / 2 {
            Some(Some(who.uid))
        } else if self.clients.len() >= self.limit {
            Some(None)
        } else {
            None
        };
        if of_whom.is_some_and(|uid| !self.make_room(uid)) {
            self.counters.clients_refused += 1;
            return None;
        }
        self.counters.clients += 1;
        *self.by_user.entry(who.uid).or_default() += 1;
        let key = self.clients.insert_with(|_| Client {
            fd,
            uid: who.uid,
            who,
            asked,
            activity: Activity::Idle,
            asking: false,
            door: false,
            board: None,
            outbox: VecDeque::new(),
            waiting: 0,
            interest: LISTENING,
        });
        let client = self.clients.get(key)?;
        if let Err(error) = poller.add(&client.fd, Token::Client(key), LISTENING) {
            tracing::warn!(%error, "cannot poll a client");
            self.remove(key);
            return None;
        }
        Some(key)
    }

    /// Lets go whoever has been idle for longest, of one user or of all. False if nobody is idle.
    fn make_room(&mut self, uid: Option<u32>) -> bool {
        let mut idle: Vec<(u64, Key)> = self
            .clients
            .iter()
            .filter(|(_, client)| client.activity == Activity::Idle && client.outbox.is_empty())
            // Who has a board says what no message tells of.
            .filter(|(_, client)| client.board.is_none())
            // Who comes by a door has no other way.
            .filter(|(_, client)| !client.door)
            .filter(|(_, client)| uid.is_none_or(|uid| client.uid == uid))
            .filter_map(|(key, client)| client.asked.map(|asked| (asked, key)))
            .collect();
        idle.sort_unstable_by_key(|(asked, _)| *asked);
        for (_, key) in idle {
            let Some(client) = self.clients.get(key) else { continue };
            // From here on it cannot ask here any more. If it has just done so, it is answered, and goes then.
            let _ = rustix::net::shutdown(&client.fd, Shutdown::Read);
            if rustix::io::ioctl_fionread(&client.fd) == Ok(0) {
                self.remove(key);
                self.counters.clients_made_way += 1;
                return true;
            }
        }
        false
    }

    /// The next message of a client: `Ok(None)` when there is none, an error at the end.
    pub(crate) fn receive(&mut self, key: Key, buffer: &mut [u8]) -> Result<Option<Received>, ()> {
        let Some(client) = self.clients.get_mut(key) else { return Ok(None) };
        if client.activity == Activity::Waiting || client.asking {
            return Ok(None);
        }
        match pair::receive(&client.fd, buffer) {
            Ok(received) if received.len == 0 => Err(()),
            Ok(received) => {
                // With its first message it is whom the kernel saw connect: SO_PASSCRED may have come later than that.
                if client.asked.replace(self.counters.requests).is_some()
                    && let Some(sender) = received.sender
                {
                    client.who = sender;
                }
                self.counters.requests += 1;
                Ok(Some(received))
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(_) => Err(()),
        }
    }

    /// A client's question was read, or is being answered.
    pub(crate) fn set_asking(&mut self, key: Key, asking: bool) {
        if let Some(client) = self.clients.get_mut(key) {
            client.asking = asking;
        }
    }

    /// Sends a reply, or keeps it until the client reads. False if the client had to be let go.
    pub(crate) fn reply(
        &mut self,
        key: Key,
        reply: &Reply<'_>,
        descriptor: Option<BorrowedFd<'_>>,
        poller: &Poller,
    ) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        let Ok(len) = reply.encode(&mut self.buffer[..]) else { return false };
        let message = &self.buffer[..len];
        if client.outbox.is_empty() {
            match pair::send(&client.fd, message, descriptor) {
                Ok(()) => return true,
                // A descriptor that cannot go now is one too many for a client that does not read.
                Err(rustix::io::Errno::AGAIN) if descriptor.is_none() => {}
                Err(_) => return false,
            }
        }
        let limit = if client.activity == Activity::Tracing { TRACE_MAX } else { OUTBOX_MAX };
        if client.waiting + len > limit {
            self.counters.clients_not_reading += 1;
            return client.activity == Activity::Tracing;
        }
        client.waiting += len;
        client.outbox.push_back(message.to_vec());
        client.ask(key, poller);
        true
    }

    /// Sends a text, in as many pieces as it takes.
    pub(crate) fn reply_text(&mut self, key: Key, text: &str, last: bool, poller: &Poller) -> bool {
        let mut rest = text;
        loop {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(MAX_TEXT));
            let is_last = after.is_empty();
            if !self.reply(key, &Reply::Text { last: last && is_last, text: piece }, None, poller) {
                return false;
            }
            if is_last {
                return true;
            }
            rest = after;
        }
    }

    /// The client's socket has room again. False if it had to be let go.
    pub(crate) fn flush(&mut self, key: Key, poller: &Poller) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return true };
        while let Some(message) = client.outbox.front() {
            match pair::send(&client.fd, message, None) {
                Ok(()) => {
                    client.waiting -= message.len();
                    client.outbox.pop_front();
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => return false,
            }
        }
        client.ask(key, poller);
        true
    }

    /// The client begins something else.
    pub(crate) fn set_activity(&mut self, key: Key, activity: Activity, poller: &Poller) {
        if let Some(client) = self.clients.get_mut(key) {
            client.activity = activity;
            client.ask(key, poller);
        }
    }

    /// Gives a client a board, if there are not enough of them, and it has none.
    pub(crate) fn give_board(&mut self, key: Key, poller: &Poller) -> bool {
        let refusal = Reply::Error { errno: Errno::ENOBUFS.raw(), reason: "there are boards enough" };
        let Some(client) = self.clients.get_mut(key) else { return false };
        let made =
            if client.board.is_none() && self.boards.len() < board::MOST { ClientBoard::new().ok() } else { None };
        let Some((made, file)) = made else { return self.reply(key, &refusal, None, poller) };
        client.board = Some(Box::new(made));
        self.boards.push(key);
        self.reply(key, &Reply::Done, Some(file.as_fd()), poller)
    }

    /// Asks those who write on boards to ring from now on, or not to. False if somebody has written something already.
    pub(crate) fn ask_to_ring(&self, ring: bool) -> bool {
        let boards = || self.boards.iter().filter_map(|&key| self.clients.get(key)?.board.as_ref());
        boards().for_each(|board| board.board().ask_to_ring(ring));
        boards().all(|board| board.waiting() == Some(0))
    }

    /// Lets a client go. What it was at.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Activity> {
        let client = self.clients.remove(key)?;
        self.boards.retain(|&other| other != key);
        if let Some(count) = self.by_user.get_mut(&client.uid) {
            *count -= 1;
            if *count == 0 {
                self.by_user.remove(&client.uid);
            }
        }
        Some(client.activity)
    }
}

impl Client {
    fn ask(&mut self, key: Key, poller: &Poller) {
        let listening = if self.activity == Activity::Waiting { EventFlags::RDHUP } else { LISTENING };
        let interest = if self.outbox.is_empty() { listening } else { listening | EventFlags::OUT };
        if interest != self.interest {
            self.interest = interest;
            if let Err(error) = poller.modify(self.fd.as_fd(), Token::Client(key), interest) {
                tracing::warn!(%error, "cannot change what is waited for");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|inode| inode == self.inode)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the control socket");
        }
    }
}

enum Occupied {
    Alive,
    NoSocket,
    Unknown(io::Error),
}

/// Makes way at `path`: a socket on which nobody listens any more is removed.
fn clear(path: &Path, address: &SocketAddrUnix) -> Result<(), Occupied> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Occupied::Unknown(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(Occupied::NoSocket);
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(|errno| Occupied::Unknown(errno.into()))?;
    match rustix::net::connect(&probe, address) {
        Err(rustix::io::Errno::CONNREFUSED) => std::fs::remove_file(path).map_err(Occupied::Unknown),
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::PROTOTYPE) => Err(Occupied::Alive),
        Err(errno) => Err(Occupied::Unknown(errno.into())),
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use rustix::net::SendFlags;

    use super::*;

    fn directory(test: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("sockeye-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        directory
    }

    #[test]
    fn a_living_path_is_refused_a_dead_one_replaced_and_the_own_removed() {
        let directory = directory("server");
        let path = directory.join("deep/er/control.sock");
        let server = Server::open(&path, 8).expect("opened");
        let error = Server::open(&path, 8).err().expect("occupied").to_string();
        assert!(error.contains("another node") && error.contains("--control"), "{error}");
        // A node that was killed leaves its path.
        let dead = directory.join("dead.sock");
        drop(std::os::unix::net::UnixDatagram::bind(&dead).expect("bound"));
        let flags = SocketFlags::CLOEXEC;
        let killed = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("made");
        std::fs::remove_file(&dead).expect("removed");
        rustix::net::bind(&killed, &SocketAddrUnix::new(&dead).expect("an address")).expect("bound");
        drop(killed);
        drop(Server::open(&dead, 8).expect("replaced"));
        assert!(!dead.exists());
        let file = directory.join("file");
        std::fs::write(&file, "precious").expect("written");
        let error = Server::open(&file, 8).err().expect("no socket").to_string();
        assert!(error.contains("no socket"), "{error}");
        assert_eq!(std::fs::read(&file).expect("there"), b"precious");
        drop(server);
        assert!(!path.exists());
        std::fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn the_one_that_was_idle_for_longest_makes_way() {
        let directory = directory("room");
        let path = directory.join("control.sock");
        let poller = Poller::new().expect("a poller");
        let mut server = Server::open(&path, 3).expect("opened");
        let address = SocketAddrUnix::new(&path).expect("an address");
        let come = |server: &mut Server| {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let client = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
            let client = client.expect("a socket");
            rustix::net::connect(&client, &address).expect("connected");
            (client, server.accept(&poller))
        };
        let ask = |client: &OwnedFd| rustix::net::send(client, b"?", SendFlags::NOSIGNAL).map(|_| ());
        let hear = |server: &mut Server, key| server.receive(key, &mut [0; 16]).map(|received| received.is_some());
        let mut three: Vec<(OwnedFd, Key)> =
            (0..3).map(|_| come(&mut server)).map(|(client, key)| (client, key.expect("admitted"))).collect();
        // Nobody has asked yet: each is about to.
        assert!(come(&mut server).1.is_none());
        for (client, key) in three.iter().rev() {
            ask(client).expect("asked");
            assert_eq!(hear(&mut server, *key), Ok(true));
        }
        // The last one asked first, and again: it is not idle. The one before it goes.
        ask(&three[2].0).expect("asked");
        let (fourth, key) = come(&mut server);
        let key = key.expect("admitted");
        assert_eq!(ask(&three[1].0), Err(rustix::io::Errno::PIPE));
        assert_eq!((hear(&mut server, three[2].1), hear(&mut server, three[2].1)), (Ok(true), Err(())));
        ask(&three[0].0).expect("asked");
        ask(&fourth).expect("asked");
        assert_eq!((hear(&mut server, three[0].1), hear(&mut server, key)), (Ok(true), Ok(true)));
        assert_eq!(server.counters.clients_made_way, 1);
        three.clear();
        drop(server);
        std::fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn who_comes_by_a_door_is_who_asks() {
        let directory = directory("door");
        let path = directory.join("control.sock");
        let poller = Poller::new().expect("a poller");
        let mut server = Server::open(&path, 3).expect("opened");
        let flags = SocketFlags::CLOEXEC;
        let program = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
        let program = program.expect("a socket");
        rustix::net::connect(&program, &SocketAddrUnix::new(&path).expect("an address")).expect("connected");
        let door = server.accept(&poller).expect("admitted");
        let mut buffer = [0; 16];
        rustix::net::send(&program, b"admit", SendFlags::NOSIGNAL).expect("asked");
        assert!(server.receive(door, &mut buffer).expect("asked").is_some());
        let pair = |kind| rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None).expect("a pair");
        // Root: of others one has half of what there is.
        let somebody = Owner { pid: 1, uid: 0 };
        // What is no end of such a pair gets nothing.
        let (_, stream) = pair(SocketType::STREAM);
        assert!(server.admit(door, somebody, &stream, &poller).is_none());
        let mut admit = |server: &mut Server| {
            let (asks, answers) = pair(SocketType::SEQPACKET);
            let key = server.admit(door, somebody, &answers, &poller).expect("admitted");
            let answer = pair::receive(&asks, &mut buffer).expect("an answer");
            assert_eq!(Reply::decode(&buffer[..answer.len]), Ok(Reply::Done));
            (key, answer.descriptor.expect("a connection"))
        };
        let (first, connection) = admit(&mut server);
        // Its first message already says who asks, and not who made the pair: that was the node.
        assert_eq!(server.clients.get(first).expect("there").who, somebody);
        rustix::net::send(&connection, b"?", SendFlags::NOSIGNAL).expect("asked");
        assert!(server.receive(first, &mut [0; 16]).expect("asked").is_some());
        assert_eq!(server.clients.get(first).expect("there").who.pid, std::process::id() as i32);
        // The door was idle for longest, and stays.
        let more = [admit(&mut server), admit(&mut server)];
        assert_eq!(server.counters.clients_made_way, 1);
        assert!(server.clients.get(door).is_some() && server.clients.get(first).is_none());
        drop((more, server));
        std::fs::remove_dir_all(directory).expect("removed");
    }
}
