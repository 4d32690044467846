//! What a program asks: each control request that concerns a socket, done and answered.
//!
//! A request about a socket carries that socket's descriptor, and is refused without it: the name that the socket bears
//! can be read by everybody, the descriptor is had only by those whom somebody gave it. Who asks matters for ports below
//! 1024, for SO_MARK and its like, and for quotas; the kernel says who it is.

mod birth;
mod living;

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use sockeye_control::{Address, Request, SocketId};
use sockeye_socket::names::{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, PACKET_FANOUT, SOL_PACKET, TCP_CORK, UDP_CORK};
use sockeye_socket::table::Key;
use sockeye_socket::{Errno, Holder, Privilege};
use sockeye_stack::tcp::Side;

use crate::boundary::{Boundary, Context};
use crate::end::{End, Owner, Pump};
use crate::pair;
use crate::poller::{Happened, Token};

pub(crate) const SHUT_RD: i32 = 0;
pub(crate) const SHUT_WR: i32 = 1;
pub(crate) const SHUT_RDWR: i32 = 2;
/// Bytes not yet acknowledged; of these, not yet sent.
const SIOCOUTQ: u32 = 0x5411;
const SIOCOUTQNSD: u32 = 0x894b;
/// When the last datagram was read, which the node does not see.
const SIOCGSTAMP: u32 = 0x8906;
const SIOCGSTAMPNS: u32 = 0x8907;

/// What a program is told.
#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    InProgress,
    Address(Address),
    Value(Vec<u8>),
    /// An error of the queue.
    Message(Vec<u8>),
}

/// Or why not.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) errno: Errno,
    pub(crate) reason: String,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Refusal { errno, reason: errno.text().unwrap_or("refused").to_owned() }
    }
}

pub(crate) fn refuse<T>(errno: Errno, reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { errno, reason: reason.into() })
}

pub(crate) type Outcome = Result<(Answer, Option<OwnedFd>), Refusal>;

/// Whom a request is about.
enum Subject {
    Living(Key),
    /// Its other end is another program's.
    Local(Key, Side),
    /// The socket's end is gone, but the program still holds its own.
    Gone,
}

/// A request in hand.
pub(crate) struct Call<'a, 'b> {
    pub(crate) boundary: &'a mut Boundary,
    pub(crate) context: &'a mut Context<'b>,
    pub(crate) who: Owner,
    pub(crate) privilege: Privilege,
}

impl Call<'_, '_> {
    /// Does what a request about a socket asks for. Requests about other things are not for here.
    pub(crate) fn perform(&mut self, request: &Request<'_>, descriptor: Option<OwnedFd>) -> Outcome {
        // A listener of our own may have been closed a moment ago.
        if let Request::Connect { address: Some(Address::Internet(address)), .. } = *request
            && self.is_own(address.ip())
        {
            self.catch_up();
        }
        // So may members of a group of packet sockets.
        if let Request::SetOption { level: SOL_PACKET, name: PACKET_FANOUT, .. } = *request {
            self.catch_up();
        }
        // What was written before a cork leaves as it would without one.
        if let Some((id, true)) = cork(request) {
            self.boundary.take_in(self.context, id);
        }
        // Datagrams leave as the socket was when they were sent.
        if let Request::SetOption { id, .. } | Request::Connect { id, .. } | Request::Bind { id, .. } = *request
            && self.boundary.is_datagrams(id)
        {
            self.boundary.take_in(self.context, id);
        }
        match self.attempt(request, descriptor.as_ref()) {
            // Perhaps somebody has closed what is in the way, and we have not heard of it yet.
            Err(Refusal { errno: Errno::EADDRINUSE | Errno::ENFILE | Errno::EMFILE, .. }) => {
                self.catch_up();
                self.look_for_gone(request);
                self.attempt(request, descriptor.as_ref())
            }
            Err(Refusal { errno: Errno::EADDRNOTAVAIL, .. }) if matches!(request, Request::Connect { .. }) => {
                self.look_for_gone(request);
                self.attempt(request, descriptor.as_ref())
            }
            outcome => outcome,
        }
    }

    /// Does what is said of a socket that was shown before.
    pub(crate) fn told(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        let Request::TellOption { id, level, name, value } = *request else { return Err(Errno::EOPNOTSUPP.into()) };
        if let Some((id, true)) = cork(request) {
            self.boundary.take_in(self.context, id);
        }
        let Context { host, now, .. } = &mut *self.context;
        if let Some((key, side)) = self.boundary.locals.find(id) {
            let local = self.boundary.locals.table.get(key).and_then(|local| local.end(side)).ok_or(Errno::ENOTCONN)?;
            host.set_option(*now, local.socket, self.privilege, level, name, value)?;
        } else if let Some(key) = self.boundary.find(id) {
            let socket = self.boundary.ends.get(key).ok_or(Errno::EBADF)?.socket;
            host.set_option(*now, socket, self.privilege, level, name, value)?;
            self.uncork(key, request);
        } else {
            let grave = self.boundary.graveyard.get_mut(id).ok_or(Errno::ENOTCONN)?;
            grave.remains.set(self.privilege, level, name, value)?;
        }
        Ok(())
    }

    /// After an option was set: a pulled cork pushes what was written before.
    fn uncork(&mut self, key: Key, request: &Request<'_>) {
        if let Request::SetOption { level: IPPROTO_UDP | IPPROTO_UDPLITE, name: UDP_CORK, value, .. } = *request
            && value.first_chunk() == Some(&[0; 4])
            && let Some(End { pump: Pump::Datagram(pump), .. }) = self.boundary.ends.get_mut(key)
        {
            pump.uncork();
        }
        if let Some((_, false)) = cork(request) {
            self.boundary.look_again(key);
        }
        self.boundary.mark(key);
    }

    fn is_own(&self, address: IpAddr) -> bool {
        let mut ports = self.context.host.stack().ports();
        address.is_loopback() || ports.any(|(_, port)| port.addresses().iter().any(|own| own.addr() == address))
    }

    fn attempt(&mut self, request: &Request<'_>, descriptor: Option<&OwnedFd>) -> Outcome {
        if let Request::Socket { family, kind, protocol, nonblocking } = *request {
            return self.socket((family, kind, protocol), nonblocking, descriptor);
        }
        let Some(id) = request.id() else { return refuse(Errno::EOPNOTSUPP, "not a request about a socket") };
        let Some(descriptor) = descriptor else {
            return refuse(Errno::EBADF, "the request carries no descriptor of its socket");
        };
        match self.subject(id, descriptor)? {
            Subject::Living(key) => self.living(key, request, descriptor),
            Subject::Local(key, side) => self.local(key, side, request, descriptor),
            Subject::Gone => self.gone(id, request, descriptor),
        }
    }

    /// A program that closes a socket has done so when close returns, but epoll has the news. Whatever else it has is
    /// level-triggered, and will be told again.
    fn catch_up(&mut self) {
        let mut happened = Happened::new();
        if self.context.poller.wait(&mut happened, Some(Duration::ZERO)).is_err() {
            return;
        }
        for (token, flags) in (0..happened.len()).filter_map(|index| happened.at(index)) {
            if let Token::End(key) = token {
                self.boundary.take(key, flags, self.context.poller);
            }
        }
        self.boundary.pump(self.context);
    }

    fn subject(&self, id: SocketId, descriptor: &OwnedFd) -> Result<Subject, Refusal> {
        if let Some((key, side)) = self.boundary.locals.find(id) {
            let local = self.boundary.locals.table.get(key);
            return match local.and_then(|local| local.end(side)) {
                Some(end) if pair::is_end(descriptor, end.identity.cookie) => Ok(Subject::Local(key, side)),
                _ => refuse(Errno::EPERM, "the descriptor that came along is not that socket"),
            };
        }
        let living = self.boundary.find(id).and_then(|key| self.boundary.ends.get(key).map(|end| (key, end.cookie)));
        let gone = || self.boundary.graveyard.get(id).map(|grave| grave.cookie);
        match living {
            Some((key, cookie)) if pair::is_end(descriptor, cookie) => Ok(Subject::Living(key)),
            None if gone().is_some_and(|cookie| pair::is_end(descriptor, cookie)) => Ok(Subject::Gone),
            None if gone().is_none() => refuse(Errno::ENOTCONN, "the node knows no such socket (any more)"),
            _ => refuse(Errno::EPERM, "the descriptor that came along is not that socket"),
        }
    }
}

/// Who asks for a flow label.
pub(crate) fn holder(privilege: Privilege, Owner { pid, uid }: Owner) -> Holder {
    Holder { privilege, process: pid, user: uid }
}

/// The label that was chosen, if one was.
pub(crate) fn flow_label(chosen: Option<Vec<u8>>) -> Answer {
    chosen.map_or(Answer::Done, Answer::Value)
}

/// Whether a stream is to be corked or its cork to be pulled, and which.
fn cork(request: &Request<'_>) -> Option<(SocketId, bool)> {
    match *request {
        Request::SetOption { id, level: IPPROTO_TCP, name: TCP_CORK, value }
        | Request::TellOption { id, level: IPPROTO_TCP, name: TCP_CORK, value } => {
            value.first_chunk().map(|&value| (id, i32::from_ne_bytes(value) != 0))
        }
        _ => None,
    }
}

/// Bytes that the peer has not got yet, by an ioctl.
pub(crate) fn outstanding(command: u32, unacknowledged: u32, not_sent: u32) -> Result<Answer, Errno> {
    let bytes = match command {
        SIOCOUTQ => unacknowledged.saturating_add(not_sent),
        SIOCOUTQNSD => not_sent,
        SIOCGSTAMP | SIOCGSTAMPNS => return Err(Errno::ENOENT),
        _ => return Err(Errno::ENOTTY),
    };
    Ok(Answer::Value(bytes.to_ne_bytes().to_vec()))
}

pub(crate) fn directions(how: i32) -> Result<(bool, bool), Errno> {
    match how {
        SHUT_RD => Ok((true, false)),
        SHUT_WR => Ok((false, true)),
        SHUT_RDWR => Ok((true, true)),
        _ => Err(Errno::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use sockeye_socket::Settings;
    use sockeye_socket::names::{SO_KEEPALIVE, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET, TCP_NODELAY, TCP_QUICKACK};

    use super::*;

    #[test]
    fn what_is_told_is_never_refused_and_needs_no_descriptor() {
        let told = [
            (SOL_SOCKET, SO_REUSEADDR),
            (SOL_SOCKET, SO_KEEPALIVE),
            (SOL_SOCKET, SO_REUSEPORT),
            (IPPROTO_TCP, TCP_NODELAY),
            (IPPROTO_TCP, TCP_CORK),
            (IPPROTO_TCP, TCP_QUICKACK),
        ];
        // None of these is one that the descriptor must know, too.
        assert_eq!(Request::TOLD, told);
        for ((level, name), value) in
            told.into_iter().flat_map(|told| [0, 1, -1, i32::MIN, i32::MAX].map(|value| (told, value)))
        {
            let mut settings = Settings::default();
            assert_eq!(settings.set(true, Privilege::User, level, name, &value.to_ne_bytes()), Ok(()));
            let kept = i32::from(value != 0).to_ne_bytes().to_vec();
            assert_eq!(settings.value(true, level, name), Ok(kept));
        }
    }
}
