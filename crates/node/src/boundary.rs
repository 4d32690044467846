//! Between programs and sockets: every end that the node holds, and what becomes of it.
//!
//! An end is known by three names: the 128 bits that its program's descriptor bears, the host's socket, and the key that
//! epoll returns. Whatever happens to it, an edge or an event of the stack, puts it on one list; the loop pumps each
//! end on the list once a wake-up. Ends go when the program closes, when the connection has failed, or when both
//! directions have ended; what a program may still ask about one that is gone (its error, its own address) is
//! kept in the [`Graveyard`], for a bounded number.
//!
//! Quotas are counted here, because here sockets are made: in all, and for each user.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::rand::{GetRandomFlags, getrandom};
use sockeye_control::{self as control, Family, Kind, SocketName};
use sockeye_device::Instant;
use sockeye_socket::names::{SOCK_RAW, SOCK_STREAM};
use sockeye_socket::table::{Key, Table};
use sockeye_socket::{Body, Errno, Host, SocketId};

use crate::config::Limits;
use crate::counters::counters;
use crate::datagram;
use crate::end::{End, Fate, Identity, Owner, Pump};
use crate::graveyard::Graveyard;
use crate::listener::{Flight, ListenerPump};
use crate::local::Locals;
use crate::netlink::Netlinks;
use crate::pair::{self, Pair};
use crate::poller::Poller;
use crate::stream::{self, StreamPump};

/// Room for a datagram with its header.
const SCRATCH: usize = 68 * 1024;

counters! {
    /// What the boundary did.
    Counters {
        sockets_made: "",
        sockets_refused: "A quota was used up, or the kernel gave no descriptor.",
        connections_handed_over: "",
        connections_lost: "Accepted, and closed before it could be handed over.",
        connections_local: "Between two programs on this node, past it.",
        datagrams_malformed: "A program's message was no datagram.",
        datagrams_refused: "A program's datagram could not be sent; it was told.",
        netlink_overruns: "A program did not read netlink's answers; it was told.",
    }
}

/// What the parts of the boundary work with.
pub(crate) struct Context<'a> {
    pub(crate) host: &'a mut Host,
    pub(crate) poller: &'a Poller,
    pub(crate) now: Instant,
    /// Who runs the node, and may on it what root may.
    pub(crate) uid: u32,
}

/// Something that a program has done on its descriptor, in the words of a trace.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) pid: i32,
    pub(crate) call: String,
    pub(crate) outcome: String,
}

/// All ends.
pub(crate) struct Boundary {
    pub(crate) node: u32,
    pub(crate) ends: Table<End>,
    pub(crate) graveyard: Graveyard,
    pub(crate) counters: Counters,
    pub(crate) locals: Locals,
    pub(crate) netlinks: Netlinks,
    /// Programs on this node that connect to each other get a pair of their own.
    pub(crate) local_shortcut: bool,
    ids: HashMap<control::SocketId, Key>,
    by_socket: Vec<Option<Key>>,
    by_user: HashMap<u32, usize>,
    limits: Limits,
    pub(crate) numbers: u64,
    dirty: VecDeque<Key>,
    scratch: Box<[u8]>,
    /// What programs do without asking, for the trace, while somebody listens.
    pub(crate) notes: Option<Vec<Note>>,
}

impl Boundary {
    pub(crate) fn new(limits: Limits, local_shortcut: bool) -> io::Result<Self> {
        Ok(Boundary {
            node: u32::from_ne_bytes(random()?),
            ends: Table::new(),
            graveyard: Graveyard::default(),
            counters: Counters::default(),
            locals: Locals::default(),
            netlinks: Netlinks::default(),
            local_shortcut,
            ids: HashMap::new(),
            by_socket: Vec::new(),
            by_user: HashMap::new(),
            limits,
            numbers: 0,
            dirty: VecDeque::new(),
            scratch: vec![0; SCRATCH].into(),
            notes: None,
        })
    }

    /// Makes the pair of a socket; the program's end is returned. The socket is closed if that fails.
    pub(crate) fn open(
        &mut self,
        context: &mut Context<'_>,
        socket: SocketId,
        owner: Owner,
        nonblocking: bool,
    ) -> Result<(Key, OwnedFd), Errno> {
        let made = self.admit(owner).and_then(|()| self.make(context, socket, owner, nonblocking));
        match &made {
            Ok(_) => self.counters.sockets_made += 1,
            Err(_) => {
                self.counters.sockets_refused += 1;
                context.host.abort(context.now, socket);
            }
        }
        made
    }

    /// Whether there may be one more.
    pub(crate) fn admit(&self, owner: Owner) -> Result<(), Errno> {
        if self.ends.len() + self.locals.len() + self.netlinks.len() >= self.limits.sockets {
            return Err(Errno::ENFILE);
        }
        let count = self.by_user.get(&owner.uid).copied().unwrap_or(0);
        if owner.uid != 0 && count >= self.limits.sockets_per_user { Err(Errno::EMFILE) } else { Ok(()) }
    }

    fn make(
        &mut self,
        context: &mut Context<'_>,
        socket: SocketId,
        owner: Owner,
        nonblocking: bool,
    ) -> Result<(Key, OwnedFd), Errno> {
        let id = control::SocketId(random().map_err(|_| Errno::ENOBUFS)?);
        let kind = match context.host.kind(socket) {
            SOCK_STREAM => Kind::Stream,
            SOCK_RAW => Kind::Raw,
            _ => Kind::Datagram,
        };
        let family = context.host.is_cooked(socket).map(|_| Family::Packet);
        let named = self.stream_name(context.host, socket, id);
        let name = SocketName { kind, family: family.unwrap_or(named.family), ..named };
        let Pair { ours, theirs, cookie } = Pair::new(&name, nonblocking).map_err(|error| {
            tracing::warn!(%error, "cannot make a pair");
            Errno::ENFILE
        })?;
        self.numbers += 1;
        let number = self.numbers;
        let identity = Identity { id, cookie, kind, owner, number };
        let key = self.ends.insert_with(|key| End::new(ours, key, socket, identity));
        let registered = self.ends.get(key).map_or(Ok(()), |end| end.register(context.poller));
        if let Err(error) = registered {
            tracing::warn!(%error, "cannot poll a pair");
            self.ends.remove(key);
            return Err(Errno::ENOMEM);
        }
        self.ids.insert(id, key);
        if self.by_socket.len() <= socket.index() {
            self.by_socket.resize(socket.index() + 1, None);
        }
        self.by_socket[socket.index()] = Some(key);
        self.count_in(owner.uid);
        context.host.set_owner(socket, owner.uid);
        Ok((key, theirs))
    }

    /// The name that a socket bears as a stream.
    pub(crate) fn stream_name(&self, host: &Host, socket: SocketId, id: control::SocketId) -> SocketName {
        let ipv6 = host.settings(socket).is_some_and(|settings| settings.ipv6.is_some());
        let family = if ipv6 { Family::V6 } else { Family::V4 };
        SocketName { node: self.node, family, kind: Kind::Stream, id }
    }

    pub(crate) fn count_in(&mut self, uid: u32) {
        *self.by_user.entry(uid).or_default() += 1;
    }

    pub(crate) fn count_out(&mut self, uid: u32) {
        if let Some(count) = self.by_user.get_mut(&uid) {
            *count -= 1;
            if *count == 0 {
                self.by_user.remove(&uid);
            }
        }
    }

    /// What the trace calls a program's socket.
    pub(crate) fn number(&self, id: control::SocketId) -> Option<u64> {
        if let Some((key, side)) = self.locals.find(id) {
            return self.locals.table.get(key)?.end(side).map(|end| end.identity.number);
        }
        let end = || self.ends.get(self.find(id)?).map(|end| end.number);
        end().or_else(|| self.netlinks.number(id))
    }

    /// Parts an end from the boundary, which is to pump it no more: the program's side of it, the socket, the node's side.
    pub(crate) fn detach(&mut self, context: &mut Context<'_>, key: Key) -> Option<(Identity, SocketId, OwnedFd)> {
        let End { fd, id, cookie, socket, kind, owner, number, .. } = self.ends.remove(key)?;
        if let Err(error) = context.poller.remove(&fd) {
            tracing::warn!(%error, number, "cannot stop polling a pair");
        }
        self.ids.remove(&id);
        if let Some(place) = self.by_socket.get_mut(socket.index()) {
            *place = None;
        }
        Some((Identity { id, cookie, kind, owner, number }, socket, fd))
    }

    /// Whether anything can be said of that socket.
    pub(crate) fn knows(&self, id: control::SocketId) -> bool {
        self.ids.contains_key(&id) || self.locals.find(id).is_some() || self.graveyard.get(id).is_some()
    }

    /// The end of that name.
    pub(crate) fn find(&self, id: control::SocketId) -> Option<Key> {
        self.ids.get(&id).copied()
    }

    /// epoll says something of an end.
    pub(crate) fn take(&mut self, key: Key, flags: EventFlags, poller: &Poller) {
        if let Some(end) = self.ends.get_mut(key)
            && end.take(flags, poller)
        {
            self.mark(key);
        }
    }

    /// The stack says something of a socket; true if it has an end here.
    pub(crate) fn touch(&mut self, socket: SocketId) -> bool {
        let key = self.end_of(socket).map(|end| end.key);
        if let Some(key) = key {
            self.mark(key);
        }
        key.is_some()
    }

    /// The end of a host's socket.
    pub(crate) fn end_of(&self, socket: SocketId) -> Option<&End> {
        let key = self.by_socket.get(socket.index()).copied().flatten()?;
        self.ends.get(key).filter(|end| end.socket == socket)
    }

    /// The number that the last socket got.
    pub(crate) fn last_number(&self) -> u64 {
        self.numbers
    }

    /// Puts an end on the list of those to be pumped.
    pub(crate) fn mark(&mut self, key: Key) {
        if let Some(end) = self.ends.get_mut(key)
            && !end.queued
        {
            end.queued = true;
            self.dirty.push_back(key);
        }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Pumps each end on the list once. Those that are put on it meanwhile have their turn at the next call.
    pub(crate) fn pump(&mut self, context: &mut Context<'_>) {
        for _ in 0..self.dirty.len() {
            let Some(key) = self.dirty.pop_front() else { return };
            let Some(end) = self.ends.get_mut(key) else { continue };
            end.queued = false;
            let fate = match (&end.pump, context.host.body(end.socket)) {
                (Pump::Stream(_), Some(Body::Connection(connection))) => {
                    stream::pump(end, connection, context.host, context.now, context.poller, &mut self.scratch)
                }
                // It was a connection in the making, and is none any more.
                (Pump::Stream(_), _) => Fate::Failed,
                (Pump::Listener(_), Some(Body::Listener(_))) => self.pump_listener(key, context),
                (Pump::Datagram(_), Some(_)) => datagram::pump(end, context, &mut self.scratch, &mut self.counters),
                (Pump::Idle | Pump::Listener(_) | Pump::Datagram(_), _) => {
                    if end.ready.hangup {
                        Fate::Close
                    } else {
                        Fate::Keep
                    }
                }
            };
            self.settle(context, key, fate);
        }
    }

    fn settle(&mut self, context: &mut Context<'_>, key: Key, fate: Fate) {
        if matches!(fate, Fate::Close | Fate::Abort)
            && let Some(end) = self.ends.get(key)
            && end.ready.hangup
        {
            let (pid, number) = (end.owner.pid, end.number);
            self.note(pid, || (format!("close(#{number})"), "0".to_owned()));
        }
        match fate {
            Fate::Keep => {
                // A turn is bounded; what is left has another.
                let more = self.ends.get(key).is_some_and(|end| match &end.pump {
                    Pump::Stream(pump) => pump.cut_short,
                    Pump::Datagram(pump) => pump.cut_short,
                    _ => false,
                });
                if more {
                    self.mark(key);
                }
            }
            Fate::Close => {
                // Where both directions have ended, the program may hold its end for long, and ask.
                if self.ends.get(key).is_some_and(|end| matches!(&end.pump, Pump::Stream(pump) if pump.output_done)) {
                    self.bury(context, key, None);
                }
                self.close(context, key, false);
            }
            Fate::Abort => {
                // A program that only shut both directions may still ask.
                if self.ends.get(key).is_some_and(|end| matches!(&end.pump, Pump::Stream(pump) if pump.discard)) {
                    self.bury(context, key, Some(Errno::ECONNRESET));
                }
                self.close(context, key, true);
            }
            Fate::Failed => {
                self.bury(context, key, None);
                self.close(context, key, false);
            }
        }
    }

    pub(crate) fn note(&mut self, pid: i32, words: impl FnOnce() -> (String, String)) {
        if let Some(notes) = &mut self.notes {
            let (call, outcome) = words();
            notes.push(Note { pid, call, outcome });
        }
    }

    /// There may be something to read from a stream's program that epoll has not told of: it is looked for when the end is pumped.
    pub(crate) fn look_again(&mut self, key: Key) {
        if let Some(End { pump: Pump::Stream(_), ready, .. }) = self.ends.get_mut(key) {
            ready.input = true;
        }
    }

    /// Whether it is a socket of messages, not a stream.
    pub(crate) fn is_datagrams(&self, id: control::SocketId) -> bool {
        self.find(id).and_then(|key| self.ends.get(key)).is_some_and(|end| matches!(end.pump, Pump::Datagram(_)))
    }

    /// Takes in now what is to be read from a program in this turn.
    pub(crate) fn take_in(&mut self, context: &mut Context<'_>, id: control::SocketId) {
        if self.find(id).and_then(|key| self.ends.get(key)).is_some_and(|end| end.queued && end.ready.input) {
            self.pump(context);
        }
    }

    /// Lets an end go, and the socket behind it.
    pub(crate) fn close(&mut self, context: &mut Context<'_>, key: Key, abort: bool) {
        let Some(end) = self.ends.remove(key) else { return };
        self.ids.remove(&end.id);
        if let Some(place) = self.by_socket.get_mut(end.socket.index()) {
            *place = None;
        }
        self.count_out(end.owner.uid);
        if abort {
            context.host.abort(context.now, end.socket);
        } else {
            context.host.close(context.now, end.socket);
        }
        if let Pump::Listener(mut pump) = end.pump {
            pump.take_credits(&end.fd);
            for flight in pump.in_flight {
                match flight {
                    Flight::End(key) => self.close(context, key, true),
                    Flight::Local(key) => self.abandon(context, key),
                }
            }
            self.abandon_unheard(context);
        }
        // Dropping the descriptor takes it out of epoll.
        drop(end.fd);
    }

    /// Begins to hand over a listener's connections, or changes how many may be on their way.
    pub(crate) fn listen(&mut self, context: &mut Context<'_>, key: Key, theirs: &OwnedFd, backlog: i32) {
        let Some(end) = self.ends.get_mut(key) else { return };
        if matches!(end.pump, Pump::Idle) {
            pair::stale(theirs.as_fd());
        }
        match &mut end.pump {
            Pump::Listener(pump) => pump.set_backlog(backlog),
            pump => {
                *pump = Pump::Listener(ListenerPump::new(backlog));
                end.listen(context.poller, false);
            }
        }
        self.mark(key);
    }

    /// Lets a stream's end poll readable, as TCP does before there is a connection.
    pub(crate) fn freshen(&mut self, key: Key) {
        if let Some(End { pump: Pump::Idle, fd, .. }) = self.ends.get(key) {
            pair::freshen(fd.as_fd());
        }
    }

    /// Takes in what a program has written so far: the error of a datagram among it, which is told no other way.
    pub(crate) fn flush(&mut self, context: &mut Context<'_>, key: Key) -> Option<Errno> {
        let end = self.ends.get_mut(key)?;
        let error = match &mut end.pump {
            Pump::Datagram(_) => datagram::flush(end, context, &mut self.scratch, &mut self.counters),
            Pump::Stream(pump) => {
                pump.expects_urgent = true;
                None
            }
            Pump::Idle | Pump::Listener(_) => None,
        };
        self.mark(key);
        error
    }

    /// The error of a datagram that the program was not told of yet.
    pub(crate) fn take_untold(&mut self, key: Key) -> Option<Errno> {
        match &mut self.ends.get_mut(key)?.pump {
            Pump::Datagram(pump) => pump.take_error(),
            _ => None,
        }
    }

    /// A program has asked for an error of its own accord or because it was told to; `again`: there may be more to ask for.
    pub(crate) fn asked_for_error(&mut self, key: Key, again: bool) {
        if let Some(End { pump: Pump::Datagram(pump), .. }) = self.ends.get_mut(key) {
            pump.asked(again);
        }
        self.mark(key);
    }

    /// Fills the program's end, and watches the connection.
    pub(crate) fn connect(&mut self, key: Key, theirs: &OwnedFd) -> Result<(), Errno> {
        let Some(end) = self.ends.get_mut(key) else { return Err(Errno::EBADF) };
        pair::stale(theirs.as_fd());
        let filler = pair::fill(theirs.as_fd(), end.fd.as_fd()).map_err(|error| {
            tracing::warn!(%error, "cannot fill a pair");
            Errno::ENOBUFS
        })?;
        end.pump = Pump::Stream(StreamPump::new(filler));
        self.mark(key);
        Ok(())
    }
}

/// Random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let count = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if count == N { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
