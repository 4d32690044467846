//! Two programs on one node that connect to each other: the node hands its own end of the client's pair to the program that
//! accepts, and steps out. From then on the bytes go from program to program, and never pass the node.
//!
//! ```text
//!   before    client ══ pair ══ node ══ stack, loopback, stack ══ node ══ pair ══ server
//!   after     client ══ pair ══ server
//! ```
//!
//! The stack takes both ports, fills the listener's backlog and gives each end its addresses and its state
//! (`sockeye_stack::tcp`, joined); what a program asks of an end is answered here. It is a connection to
//! everybody, but for the packets, of which there are none.
//!
//! **How does the node know that a connection has ended, of which it holds neither end?** Each end is bound to a
//! name, and the kernel frees the name when the last descriptor of the end is closed, in whatever process. So the node tries to
//! bind another socket to it: as long as that fails, the end lives. Nothing is told and nothing is waited for; the question is
//! asked when the answer matters:
//!
//! - when somebody asks about the other end (SO_ERROR, TCP_INFO, getpeername): about that one end;
//! - when a port, or a place in a quota, is not to be had: about those who may have it;
//! - before `show`: about all;
//! - with each new connection: about two others, in turn. So those that are gone are never more than those that live,
//!   each connection pays the same for it, and none pays while nothing is opened.
//!
//! An idle node has no timer for it, and the connections pay nothing while they carry data.

mod requests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use sockeye_control::{self as control, Accepted, Kind, SocketName};
use sockeye_socket::table::{Key, Table};
use sockeye_socket::{Body, Errno, Settings, SocketId};
use sockeye_stack::tcp::{JoinedId, Side, State};

use crate::boundary::{Boundary, Context, random};
use crate::end::{Identity, Owner, Pump};
use crate::pair;

/// How many others are looked at with each new connection.
const LOOKS: usize = 2;
/// Places that are passed over in search of them.
const STEPS: usize = 64;
/// How many living ends are asked before a port or a place in a quota is given up.
const PATIENCE: usize = 1_024;
/// What an end may be ahead of the other, where no program has said: TCP's two buffers.
const SEND_BUFFER: i32 = 1 << 20;
const RECEIVE_BUFFER: i32 = 1 << 20;

/// An end of a connection within the node.
pub(crate) struct LocalEnd {
    pub(crate) identity: Identity,
    /// What its descriptor is bound to, whatever its socket becomes.
    name: SocketName,
    pub(crate) socket: SocketId,
}

/// A connection within the node.
pub(crate) struct Local {
    joined: JoinedId,
    connecting: Option<LocalEnd>,
    accepting: Option<LocalEnd>,
    /// The end that nobody has accepted yet.
    held: Option<OwnedFd>,
}

impl Local {
    /// One end, while somebody holds it.
    pub(crate) fn end(&self, side: Side) -> Option<&LocalEnd> {
        match side {
            Side::Connecting => self.connecting.as_ref(),
            Side::Accepting => self.accepting.as_ref(),
        }
    }

    fn take(&mut self, side: Side) -> Option<LocalEnd> {
        match side {
            Side::Connecting => self.connecting.take(),
            Side::Accepting => self.accepting.take(),
        }
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Locals {
    pub(crate) table: Table<Local>,
    ids: HashMap<control::SocketId, (Key, Side)>,
    by_joined: Vec<Option<Key>>,
    /// Those that nobody has accepted yet.
    waiting: Vec<Key>,
    /// Where the next look begins.
    cursor: u32,
    probe: Option<OwnedFd>,
}

impl Locals {
    /// The connection and the side that an id names.
    pub(crate) fn find(&self, id: control::SocketId) -> Option<(Key, Side)> {
        self.ids.get(&id).copied()
    }

    /// How many ends there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    fn is_alive(&mut self, name: &SocketName) -> bool {
        if self.probe.is_none() {
            let flags = SocketFlags::CLOEXEC;
            self.probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok();
        }
        let Some(probe) = &self.probe else { return true };
        let free = pair::bind(probe, name).is_ok();
        if free {
            // It has the name now, and is of no more use.
            self.probe = None;
        }
        !free
    }
}

impl Boundary {
    /// connect(2) within the node, if that can be: then it is done. `theirs` is the program's end. Its socket.
    pub(crate) fn connect_local(
        &mut self,
        context: &mut Context<'_>,
        key: Key,
        remote: SocketAddr,
        theirs: &OwnedFd,
    ) -> Option<SocketId> {
        let end = self.ends.get(key).filter(|end| matches!(end.pump, Pump::Idle))?;
        if !self.local_shortcut || !context.host.join(context.now, end.socket, remote) {
            return None;
        }
        let (identity, socket, ours) = self.detach(context, key)?;
        let Body::Joined(joined, _) = context.host.body(socket)? else { return None };
        self.counters.connections_local += 1;
        pair::stale(theirs.as_fd());
        pair::announce(theirs.as_fd(), ours.as_fd());
        let (id, pid, number) = (identity.id, identity.owner.pid, identity.number);
        let name = self.stream_name(context.host, socket, id);
        let connecting = Some(LocalEnd { identity, name, socket });
        let local = Local { joined, connecting, accepting: None, held: Some(ours) };
        // Before it is there itself.
        self.look_around(context);
        let key = self.locals.table.insert_with(|_| local);
        self.locals.ids.insert(id, (key, Side::Connecting));
        if self.locals.by_joined.len() <= joined.index() {
            self.locals.by_joined.resize(joined.index() + 1, None);
        }
        self.locals.by_joined[joined.index()] = Some(key);
        self.locals.waiting.push(key);
        let settings = context.host.settings(socket).cloned().unwrap_or_default();
        pair::set_send_buffer(theirs, room(&settings, None));
        let from = context.host.local_address(socket);
        self.note(pid, || {
            let from = from.map_or_else(|errno| errno.to_string(), |from| from.to_string());
            (format!("connect(#{number})"), format!("established from {from} within the node, without packets"))
        });
        Some(socket)
    }

    /// A listener's program gets the node's end of a connection that `socket` has just accepted: the message that brings
    /// it, the end, and the connection's key. `None` if it is lost.
    pub(crate) fn accept_local(
        &mut self,
        context: &mut Context<'_>,
        socket: SocketId,
        joined: JoinedId,
        owner: Owner,
    ) -> Option<(Accepted, OwnedFd, Key)> {
        let key = self.locals.by_joined.get(joined.index()).copied().flatten();
        let made = key.and_then(|key| Some((self.hand_over(context, key, socket, owner)?, key)));
        if made.is_none() {
            context.host.close(context.now, socket);
            key.into_iter().for_each(|key| self.abandon(context, key));
        }
        made.map(|((message, ours), key)| (message, ours, key))
    }

    fn hand_over(
        &mut self,
        context: &mut Context<'_>,
        key: Key,
        socket: SocketId,
        owner: Owner,
    ) -> Option<(Accepted, OwnedFd)> {
        let host = &mut context.host;
        let id = control::SocketId(random().ok()?);
        let name = self.stream_name(host, socket, id);
        let local = self.locals.table.get_mut(key)?;
        let ours = local.held.take()?;
        self.locals.waiting.retain(|waiting| *waiting != key);
        let message = Accepted { local: host.local_address(socket).ok()?, remote: host.peer_address(socket).ok()? };
        let settings = host.settings(socket).cloned().unwrap_or_default();
        let cookie = pair::give_away(&ours, &name, settings.oob_inline).ok()?;
        let client = local.connecting.as_ref().and_then(|client| host.settings(client.socket));
        pair::set_send_buffer(&ours, room(&settings, client));
        self.numbers += 1;
        let identity = Identity { id, cookie, kind: Kind::Stream, owner, number: self.numbers };
        local.accepting = Some(LocalEnd { identity, name, socket });
        self.locals.ids.insert(id, (key, Side::Accepting));
        self.count_in(owner.uid);
        host.set_owner(socket, owner.uid);
        self.counters.sockets_made += 1;
        Some((message, ours))
    }

    /// Nobody will ever take the accepting end, or nobody has: a reset, as on Linux.
    pub(crate) fn abandon(&mut self, context: &mut Context<'_>, key: Key) {
        let Some(local) = self.locals.table.get_mut(key) else { return };
        local.held = None;
        self.locals.waiting.retain(|waiting| *waiting != key);
        if let Some(client) = &local.connecting {
            context.host.fail(client.socket, Errno::ECONNRESET);
        }
        self.let_go(context, key, Side::Accepting);
    }

    /// A listener is no more: whom it left in its queue.
    pub(crate) fn abandon_unheard(&mut self, context: &mut Context<'_>) {
        let unheard = |locals: &Locals, key: Key| {
            let joined = locals.table.get(key)?.joined;
            let info = context.host.stack().tcp_joined_info(joined, Side::Connecting)?;
            Some(matches!(info.state, State::CloseWait | State::Closed))
        };
        let waiting = self.locals.waiting.iter().copied();
        let keys: Vec<Key> = waiting.filter(|&key| unheard(&self.locals, key) != Some(false)).collect();
        keys.into_iter().for_each(|key| self.abandon(context, key));
    }

    /// Looks whether an end lives still, and lets it go if not. True if it does.
    pub(crate) fn look_at(&mut self, context: &mut Context<'_>, key: Key, side: Side) -> bool {
        let Some(end) = self.locals.table.get(key).and_then(|local| local.end(side)) else { return false };
        let name = end.name;
        let alive = self.locals.is_alive(&name);
        if !alive {
            self.let_go(context, key, side);
        }
        alive
    }

    /// Looks at both ends of all connections.
    pub(crate) fn look_at_all(&mut self, context: &mut Context<'_>) {
        let keys: Vec<Key> = self.locals.table.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.look_at_both(context, key);
        }
    }

    /// Looks at those that have a port, or at all without one, until it is plain that many live.
    pub(crate) fn look_for_gone(&mut self, context: &mut Context<'_>, port: Option<u16>) {
        let stack = context.host.stack();
        let has = |local: &Local| {
            let flow = stack.tcp_joined_addresses(local.joined, Side::Connecting);
            port.is_none_or(|port| flow.is_none_or(|flow| flow.local.port() == port || flow.remote.port() == port))
        };
        let keys: Vec<Key> = self.locals.table.iter().filter(|(_, local)| has(local)).map(|(key, _)| key).collect();
        let mut alive = 0;
        for key in keys {
            alive += self.look_at_both(context, key);
            if alive >= PATIENCE {
                return;
            }
        }
    }

    /// Looks at the next few.
    fn look_around(&mut self, context: &mut Context<'_>) {
        let mut looks = 0;
        for _ in 0..STEPS.min(self.locals.table.places()) {
            let place = self.locals.cursor;
            self.locals.cursor = (place + 1) % self.locals.table.places() as u32;
            if let Some(key) = self.locals.table.key_at(place) {
                self.look_at_both(context, key);
                looks += 1;
                if looks == LOOKS {
                    return;
                }
            }
        }
    }

    fn look_at_both(&mut self, context: &mut Context<'_>, key: Key) -> usize {
        [Side::Connecting, Side::Accepting].into_iter().filter(|&side| self.look_at(context, key, side)).count()
    }

    /// An end is gone.
    fn let_go(&mut self, context: &mut Context<'_>, key: Key, side: Side) {
        let Some(local) = self.locals.table.get_mut(key) else { return };
        let gone = local.take(side);
        let (joined, over) =
            (local.joined, local.connecting.is_none() && local.accepting.is_none() && local.held.is_none());
        if let Some(LocalEnd { identity, name: _, socket }) = gone {
            // The pair itself tells the other of what was left unread, but not of this.
            let reset = context.host.settings(socket).is_some_and(|settings| settings.linger == Some(0));
            if let Some(other) = local.end(side.other()).filter(|_| reset) {
                context.host.fail(other.socket, Errno::ECONNRESET);
            }
            context.host.close(context.now, socket);
            self.locals.ids.remove(&identity.id);
            self.count_out(identity.owner.uid);
            self.note(identity.owner.pid, || (format!("close(#{})", identity.number), "0".to_owned()));
        }
        if over {
            self.locals.table.remove(key);
            if let Some(place) = self.locals.by_joined.get_mut(joined.index()).filter(|place| **place == Some(key)) {
                *place = None;
            }
        }
    }
}

/// How far an end with these settings may be ahead of the other one, with those.
fn room(own: &Settings, theirs: Option<&Settings>) -> usize {
    let sent = own.send_buffer.unwrap_or(SEND_BUFFER);
    let received = theirs.and_then(|settings| settings.receive_buffer).unwrap_or(RECEIVE_BUFFER);
    usize::try_from(sent.saturating_add(received)).unwrap_or(0)
}
