//! Netlink sockets: whom programs ask about the network, message by message.
//!
//! A program's end is one of a pair, as with all sockets, and each message has the header of a datagram. Behind it is nothing of the stack's: the node
//! reads a request, answers it from what it knows ([`rtnetlink`]), and writes the answer. The shim asks for each message to be taken in (`Flush`), so the
//! answer is there when the program's call returns, as Linux has it.
//!
//! An answer goes into the pair or is lost: then the next call that receives fails with ENOBUFS. A dump may be longer than the pair has room for; what
//! is left of it is held, and goes on as the program reads. A socket has one at a time (EBUSY), all sockets together hold [`MOST_HELD`] bytes.
//!
//! Of the families there is NETLINK_ROUTE. Who listens in its [groups] is told of changes of links, addresses and routes.
//!
//! # Standards
//!
//! netlink(7), rtnetlink(7); RFC 3549.

mod groups;
mod socket;

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::RecvFlags;
use sockeye_control::datagram::Header;
use sockeye_control::{self as control, Address, Family, Kind, NetlinkAddress, Request, SocketName};
use sockeye_socket::names::{
    AF_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_DROP_MEMBERSHIP, SOCK_DGRAM, SOCK_RAW, SOL_NETLINK,
};
use sockeye_socket::settings::cut_value;
use sockeye_socket::table::{Key, Table};
use sockeye_socket::{Errno, Privilege, Settings};

use crate::boundary;
use crate::end::Owner;
use crate::interfaces::rtnetlink::changes::Known;
use crate::interfaces::rtnetlink::messages::{self, Messages, NLM_F_ACK, NLM_F_REQUEST};
use crate::interfaces::rtnetlink::{self, Asker, Refused};
use crate::interfaces::{Interface, interfaces};
use crate::node::Node;
use crate::pair::{self, Pair};
use crate::poller::Token;
use crate::requests::{Answer, Outcome, Refusal};

use groups::Groups;
use socket::{INTEREST, NETLINK_ROUTE, Options, Overrun, Sent, Socket};

/// Messages of a socket in one turn, and requests in one message: what is more is refused.
const TURN: usize = 4;
const REQUESTS: usize = 64;
/// A message with its header.
const SCRATCH: usize = 68 * 1024;
/// Bytes of dumps that were not read, of all sockets.
const MOST_HELD: usize = 16 << 20;

/// All netlink sockets.
#[derive(Default)]
pub(crate) struct Netlinks {
    sockets: Table<Socket>,
    ids: HashMap<control::SocketId, Key>,
    /// Who has which port.
    ports: HashMap<u32, Key>,
    scratch: Vec<u8>,
    /// What those in groups were told, while there are some.
    known: Option<Known>,
}

impl Netlinks {
    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// What the trace calls a socket.
    pub(crate) fn number(&self, id: control::SocketId) -> Option<u64> {
        self.sockets.get(*self.ids.get(&id)?).map(|socket| socket.number)
    }

    /// Gives a socket a port: this one, or with 0 one that is free, the program's number if it can be.
    fn bind(&mut self, key: Key, port: u32) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(key).ok_or(Errno::EBADF)?;
        if let Some(own) = socket.port {
            return if port == own { Ok(()) } else { Err(Errno::EINVAL) };
        }
        let port = match port {
            0 => {
                let mut port = socket.owner.pid.cast_unsigned();
                while port == 0 || self.ports.contains_key(&port) {
                    // As Linux's, these are negative.
                    port = u32::from_ne_bytes(boundary::random().map_err(|_| Errno::EADDRINUSE)?) | 1 << 31;
                }
                port
            }
            port if self.ports.contains_key(&port) => return Err(Errno::EADDRINUSE),
            port => port,
        };
        socket.port = Some(port);
        self.ports.insert(port, key);
        Ok(())
    }
}

fn refuse<T>(errno: Errno, reason: &str) -> Result<T, Refusal> {
    Err(Refusal { errno, reason: reason.to_owned() })
}

impl Node {
    /// Whether a request makes a netlink socket, or is about one.
    pub(crate) fn is_netlink(&self, request: &Request<'_>) -> bool {
        match *request {
            Request::Socket { family, .. } => family == i32::from(AF_NETLINK),
            ref request => request.id().is_some_and(|id| self.boundary.netlinks.ids.contains_key(&id)),
        }
    }

    /// Does what such a request asks for.
    pub(crate) fn serve_netlink(&mut self, who: Owner, request: &Request<'_>, descriptor: Option<OwnedFd>) -> Outcome {
        if let Request::Socket { kind, protocol, nonblocking, .. } = *request {
            return self.open_netlink(who, kind, protocol, nonblocking);
        }
        let key = request.id().and_then(|id| self.boundary.netlinks.ids.get(&id)).copied().ok_or(Errno::EBADF)?;
        let privilege = self.privilege(who);
        let Netlinks { sockets, .. } = &mut self.boundary.netlinks;
        let socket = sockets.get_mut(key).ok_or(Errno::EBADF)?;
        match descriptor {
            None => return refuse(Errno::EBADF, "the request carries no descriptor of its socket"),
            Some(descriptor) if pair::is_end(&descriptor, socket.cookie) => {}
            Some(_) => return refuse(Errno::EPERM, "the descriptor that came along is not that socket"),
        }
        let answer = match *request {
            Request::Bind { address: Address::Netlink(NetlinkAddress { port, groups }), .. } => {
                let Ok(groups) = socket.groups.with_mask(groups) else { return refuse(Errno::EOPNOTSUPP, NOT_TOLD) };
                self.boundary.netlinks.bind(key, port)?;
                self.listen_netlink(key, groups);
                Answer::Done
            }
            Request::Connect { address: None, .. } => {
                socket.peer = 0;
                Answer::Done
            }
            Request::Connect { address: Some(Address::Netlink(NetlinkAddress { port: 1.., groups: 0 })), .. }
                if privilege != Privilege::Administrator =>
            {
                return refuse(Errno::EPERM, "only an administrator speaks to other programs by netlink");
            }
            Request::Connect { address: Some(Address::Netlink(NetlinkAddress { port, groups: 0 })), .. } => {
                socket.peer = port;
                if socket.port.is_none() {
                    self.boundary.netlinks.bind(key, 0)?;
                }
                Answer::Done
            }
            Request::Connect { address: Some(Address::Netlink(_)), .. } => {
                return refuse(Errno::EPERM, "a group is told of changes by the node");
            }
            Request::LocalAddress { .. } => {
                Answer::Address(NetlinkAddress { port: socket.port.unwrap_or(0), groups: socket.groups.mask() }.into())
            }
            Request::PeerAddress { .. } => Answer::Address(NetlinkAddress { port: socket.peer, groups: 0 }.into()),
            Request::SetOption {
                level: SOL_NETLINK,
                name: name @ (NETLINK_ADD_MEMBERSHIP | NETLINK_DROP_MEMBERSHIP),
                value,
                ..
            } => {
                // One that is too short is 0, as Linux has it.
                let group = value.first_chunk().map_or(0, |&value| i32::from_ne_bytes(value));
                match socket.groups.with(group, name == NETLINK_ADD_MEMBERSHIP) {
                    Ok(groups) => self.listen_netlink(key, groups),
                    Err(Errno::EOPNOTSUPP) => return refuse(Errno::EOPNOTSUPP, NOT_TOLD),
                    Err(errno) => return Err(errno.into()),
                }
                Answer::Done
            }
            Request::SetOption { level, name, value, .. } => {
                socket.set(privilege, level, name, value)?;
                Answer::Done
            }
            Request::Option { level, name, len, .. } => {
                let value = socket.value(level, name)?;
                Answer::Value(cut_value(level, name, value, len as usize)?)
            }
            Request::Flush { .. } => {
                self.pump_netlink(key);
                match self.boundary.netlinks.sockets.get_mut(key).and_then(|socket| socket.error.take()) {
                    Some(errno) => return Err(errno.into()),
                    None => Answer::Done,
                }
            }
            Request::TakeError { .. } => return Err(Errno::EAGAIN.into()),
            Request::Bind { .. } | Request::Connect { .. } | Request::Memory { .. } => return Err(Errno::EINVAL.into()),
            Request::Ioctl { .. } => return Err(Errno::ENOTTY.into()),
            _ => return Err(Errno::EOPNOTSUPP.into()),
        };
        Ok((answer, None))
    }

    fn open_netlink(&mut self, owner: Owner, kind: i32, protocol: i32, nonblocking: bool) -> Outcome {
        let kind = match kind {
            SOCK_RAW => Kind::Raw,
            SOCK_DGRAM => Kind::Datagram,
            _ => return Err(Errno::ESOCKTNOSUPPORT.into()),
        };
        if protocol != NETLINK_ROUTE {
            return refuse(Errno::EPROTONOSUPPORT, "of netlink's families a node has NETLINK_ROUTE");
        }
        if let Err(errno) = self.boundary.admit(owner) {
            self.boundary.counters.sockets_refused += 1;
            return refuse(errno, "the node's quota of sockets is used up");
        }
        let id = control::SocketId(boundary::random().map_err(|_| Errno::ENOBUFS)?);
        let name = SocketName { node: self.boundary.node, family: Family::Netlink, kind, id };
        let Pair { ours, theirs, cookie } = Pair::new(&name, nonblocking).map_err(|error| {
            tracing::warn!(%error, "cannot make a pair");
            Errno::ENFILE
        })?;
        self.boundary.numbers += 1;
        let number = self.boundary.numbers;
        let poller = &self.poller;
        let Netlinks { sockets, ids, .. } = &mut self.boundary.netlinks;
        let key = sockets.insert_with(|_| Socket {
            fd: ours,
            id,
            cookie,
            owner,
            number,
            port: None,
            peer: 0,
            groups: Groups::default(),
            settings: Settings::default(),
            options: Options::default(),
            held: Vec::new(),
            gone: 0,
            overrun: Overrun::None,
            error: None,
            waits: false,
        });
        let added = sockets.get(key).map_or(Ok(()), |one| poller.add(one.fd.as_fd(), Token::Netlink(key), INTEREST));
        if let Err(error) = added {
            tracing::warn!(%error, "cannot poll a pair");
            sockets.remove(key);
            return Err(Errno::ENOMEM.into());
        }
        ids.insert(id, key);
        self.boundary.count_in(owner.uid);
        self.boundary.counters.sockets_made += 1;
        Ok((Answer::Done, Some(theirs)))
    }

    /// Takes in what a program has written, and answers.
    pub(crate) fn pump_netlink(&mut self, key: Key) {
        self.go_on(key);
        let mut scratch = std::mem::take(&mut self.boundary.netlinks.scratch);
        scratch.resize(SCRATCH, 0);
        for _ in 0..TURN {
            let Some(socket) = self.boundary.netlinks.sockets.get(key) else { break };
            match rustix::net::recv(&socket.fd, &mut *scratch, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok((_, len)) if len > scratch.len() => self.boundary.counters.datagrams_malformed += 1,
                Ok((_, len)) if len > 0 => {
                    if let Err(errno) = self.hear_netlink(key, &scratch[..len]) {
                        self.boundary.counters.datagrams_refused += 1;
                        if let Some(socket) = self.boundary.netlinks.sockets.get_mut(key) {
                            socket.error = Some(errno);
                        }
                    }
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => self.close_netlink(key),
            }
        }
        self.boundary.netlinks.scratch = scratch;
    }

    /// A message: whom it is for, and what it asks.
    fn hear_netlink(&mut self, key: Key, message: &[u8]) -> Result<(), Errno> {
        let Ok((header, _, payload)) = Header::split(message) else {
            self.boundary.counters.datagrams_malformed += 1;
            return Ok(());
        };
        let owner = self.boundary.netlinks.sockets.get(key).ok_or(Errno::EBADF)?.owner;
        let administrator = self.privilege(owner) == Privilege::Administrator;
        let netlinks = &mut self.boundary.netlinks;
        let socket = netlinks.sockets.get(key).ok_or(Errno::EBADF)?;
        match header.remote {
            None if socket.peer == 0 => {}
            Some(Address::Netlink(NetlinkAddress { port: 0, groups: 0 })) => {}
            Some(Address::Netlink(NetlinkAddress { groups: 1.., .. })) => return Err(Errno::EPERM),
            Some(Address::Netlink(_)) if !administrator => return Err(Errno::EPERM),
            None | Some(Address::Netlink(_)) => return Err(Errno::ECONNREFUSED),
            Some(_) => return Err(Errno::EINVAL),
        }
        if payload.is_empty() {
            return Err(Errno::ENODATA);
        }
        if socket.port.is_none() {
            netlinks.bind(key, 0)?;
        }
        let all = interfaces(self.now, self.host.stack(), &self.ports);
        let mut rest = payload;
        let mut count = 0;
        while let Some((request, more)) = messages::Request::split(rest) {
            rest = more;
            count += 1;
            self.answer_netlink(key, &all, &request, count > REQUESTS);
        }
        Ok(())
    }

    fn answer_netlink(&mut self, key: Key, all: &[Interface], request: &messages::Request<'_>, too_many: bool) {
        /// What is less is netlink's own, and asks for nothing.
        const NLMSG_MIN_TYPE: u16 = 16;
        let Some(socket) = self.boundary.netlinks.sockets.get(key) else { return };
        let (port, options) = (socket.port.unwrap_or(0), socket.options);
        let administrator = self.privilege(socket.owner) == Privilege::Administrator;
        let asker = Asker { port, strict: options.strict, words: options.words, administrator };
        let answered = if request.flags & NLM_F_REQUEST == 0 || request.kind < NLMSG_MIN_TYPE {
            Ok(Vec::new())
        } else if too_many || (request.is_dump() && !socket.held.is_empty()) {
            Err(Refused(Errno::EBUSY, "read what is there first"))
        } else {
            rtnetlink::answer(self.now, all, self.host.stack(), asker, request)
        };
        match answered {
            Ok(bytes) if request.is_dump() && !bytes.is_empty() => self.hold(key, bytes),
            Ok(bytes) => {
                self.tell(key, 0, &bytes);
                if request.flags & NLM_F_ACK != 0 {
                    self.tell(key, 0, &Messages::outcome(request, port, 0, None, options.capped));
                }
            }
            Err(Refused(errno, text)) => {
                let text = options.words.then_some(text);
                self.tell(key, 0, &Messages::outcome(request, port, errno.raw(), text, options.capped));
            }
        }
    }

    /// Sends an answer, or what a group is told, or loses it.
    fn tell(&mut self, key: Key, group: u32, bytes: &[u8]) {
        let Some(socket) = self.boundary.netlinks.sockets.get_mut(key).filter(|_| !bytes.is_empty()) else { return };
        match socket.answer(group, bytes) {
            Sent::Done if socket.overrun == Overrun::Told => socket.overrun = Overrun::None,
            Sent::Done => {}
            Sent::NoRoom => self.overrun(key),
            Sent::Gone => self.close_netlink(key),
        }
    }

    /// Sends a dump, and holds what finds no room.
    fn hold(&mut self, key: Key, bytes: Vec<u8>) {
        let others: usize = self.boundary.netlinks.sockets.iter().map(|(_, one)| one.held.len()).sum();
        let Some(socket) = self.boundary.netlinks.sockets.get_mut(key) else { return };
        (socket.held, socket.gone) = (bytes, 0);
        self.go_on(key);
        if let Some(socket) = self.boundary.netlinks.sockets.get_mut(key)
            && others + socket.held.len() > MOST_HELD
            && !socket.held.is_empty()
        {
            (socket.held, socket.gone) = (Vec::new(), 0);
            self.overrun(key);
        }
    }

    fn overrun(&mut self, key: Key) {
        self.boundary.counters.netlink_overruns += 1;
        if let Some(socket) = self.boundary.netlinks.sockets.get_mut(key) {
            socket.lose();
        }
        self.go_on(key);
    }

    fn go_on(&mut self, key: Key) {
        let poller = &self.poller;
        let Some(socket) = self.boundary.netlinks.sockets.get_mut(key) else { return };
        match socket.go_on() {
            Sent::Done => socket.wait(key, poller, false),
            Sent::NoRoom => socket.wait(key, poller, true),
            Sent::Gone => self.close_netlink(key),
        }
    }

    /// Lets a socket go.
    pub(crate) fn close_netlink(&mut self, key: Key) {
        let Netlinks { sockets, ids, ports, .. } = &mut self.boundary.netlinks;
        let Some(Socket { id, owner, port, number, .. }) = sockets.remove(key) else { return };
        ids.remove(&id);
        if let Some(port) = port {
            ports.remove(&port);
        }
        self.boundary.netlinks.forget();
        self.boundary.count_out(owner.uid);
        self.boundary.note(owner.pid, || (format!("close(#{number})"), "0".to_owned()));
    }
}

const NOT_TOLD: &str = "nobody is told of changes of neighbours, memberships and what routers say: ask again";
