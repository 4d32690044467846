//! What a program asks: each control request that concerns a socket, done and answered.
//!
//! A request about a socket carries that socket's descriptor, and is refused without it: the name that the socket bears
//! can be read by everybody, the descriptor is had only by those whom somebody gave it. Who asks matters for ports below
//! 1024, for SO_MARK and its like, and for quotas; the kernel says who it is.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, sockopt};
use sockeye_control::{Address, Kind, LinkAddress, Request, SocketId};
use sockeye_device::namespace;
use sockeye_socket::names::{
    AF_INET, AF_PACKET, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPV6_2292PKTOPTIONS, IPV6_ADDRFORM,
    IPV6_FLOWLABEL_MGR, IPV6_PATHMTU, PACKET_FANOUT, PACKET_RX_RING, PACKET_TX_RING, SO_ATTACH_FILTER, SO_ERROR,
    SO_OOBINLINE, SOCK_PACKET, SOCK_RAW, SOL_PACKET, SOL_SOCKET, TCP_CORK, UDP_CORK,
};
use sockeye_socket::settings::{TimestampKind, cut_value};
use sockeye_socket::table::Key;
use sockeye_socket::{Body, Errno, Holder, Privilege, Progress};
use sockeye_stack::tcp::Side;

use crate::boundary::{Boundary, Context};
use crate::datagram;
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

fn refuse<T>(errno: Errno, reason: impl Into<String>) -> Result<T, Refusal> {
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
            grave.settings.set(grave.kind == Kind::Stream, self.privilege, level, name, value)?;
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

    fn socket(
        &mut self,
        (family, kind, protocol): (i32, i32, i32),
        nonblocking: bool,
        shown: Option<&OwnedFd>,
    ) -> Outcome {
        let privilege = if shown.is_some_and(shows_capability) { Privilege::Administrator } else { self.privilege };
        let socket = if family == i32::from(AF_PACKET) {
            self.packet_socket(kind, protocol, privilege)?
        } else {
            self.context.host.socket(family, kind, protocol)?
        };
        if kind == SOCK_RAW && privilege == Privilege::User {
            self.context.host.abort(self.context.now, socket);
            return refuse(Errno::EPERM, "raw sockets are for root, and who has CAP_NET_RAW");
        }
        match self.boundary.open(self.context, socket, self.who, nonblocking) {
            Ok((key, theirs)) => {
                self.boundary.freshen(key);
                Ok((Answer::Done, Some(theirs)))
            }
            Err(errno @ (Errno::ENFILE | Errno::EMFILE)) => refuse(errno, "the node's quota of sockets is used up"),
            Err(errno) => Err(errno.into()),
        }
    }

    fn packet_socket(
        &mut self,
        kind: i32,
        protocol: i32,
        privilege: Privilege,
    ) -> Result<sockeye_socket::SocketId, Refusal> {
        match self.context.host.packet_socket(kind, protocol, privilege) {
            Err(Errno::EPERM) => refuse(
                Errno::EPERM,
                "packet sockets are for root, the user who started the node, and who has CAP_NET_RAW",
            ),
            Err(errno) if kind == SOCK_PACKET => refuse(errno, "SOCK_PACKET is no more: use SOCK_RAW"),
            made => Ok(made?),
        }
    }

    fn living(&mut self, key: Key, request: &Request<'_>, descriptor: &OwnedFd) -> Outcome {
        let Some(end) = self.boundary.ends.get(key) else { return Err(Errno::EBADF.into()) };
        let socket = end.socket;
        // Who made a raw socket without being root has shown CAP_NET_RAW.
        let shown = end.kind == Kind::Raw && end.owner.uid != 0 && end.owner.uid != self.context.uid;
        let privilege = if shown { Privilege::Administrator } else { self.privilege };
        // What is half a datagram over IPv6 cannot become one over IPv4.
        if let Request::SetOption { level: IPPROTO_IPV6, name: IPV6_ADDRFORM, value, .. } = *request
            && value.first_chunk() == Some(&i32::from(AF_INET).to_ne_bytes())
            && let Pump::Datagram(pump) = &end.pump
            && pump.makes_ipv6(self.context.host.peer_address(socket).ok())
        {
            return Err(Errno::EBUSY.into());
        }
        if let Request::Connect { address: Some(Address::Internet(address)), .. } = *request
            && let Some(answer) = self.connect_local(key, address, descriptor)
        {
            return Ok((answer, None));
        }
        let Context { host, now, .. } = &mut *self.context;
        let answer = match *request {
            Request::Bind { address: Address::Link(address), .. } => {
                host.packet_bind(socket, address.protocol, address.port)?;
                self.boundary.mark(key);
                Answer::Done
            }
            Request::LocalAddress { .. } if matches!(host.body(socket), Some(Body::Packet(_))) => {
                let name = host.packet_name(socket)?;
                let mut address = LinkAddress {
                    protocol: name.protocol,
                    port: name.index,
                    hardware: name.hardware,
                    ..LinkAddress::default()
                };
                if let Some(own) = name.address {
                    address.len = 6;
                    address.address[..6].copy_from_slice(&own);
                }
                Answer::Address(address.into())
            }
            Request::Connect { address: Some(Address::Link(_) | Address::Netlink(_)), .. } => {
                return Err(Errno::EOPNOTSUPP.into());
            }
            Request::Bind { address: Address::Internet(address), .. } => {
                match host.bind(*now, socket, address, self.privilege) {
                    Err(Errno::EACCES) => {
                        return refuse(Errno::EACCES, format!("port {} is below 1024: for root only", address.port()));
                    }
                    Err(Errno::EADDRNOTAVAIL) => {
                        return refuse(
                            Errno::EADDRNOTAVAIL,
                            format!("{} is not an address of this node", address.ip()),
                        );
                    }
                    Err(errno) => return Err(errno.into()),
                    Ok(()) => Answer::Done,
                }
            }
            Request::Listen { backlog, .. } => {
                host.listen(socket, backlog)?;
                self.boundary.listen(self.context, key, descriptor, backlog);
                Answer::Done
            }
            Request::Connect { address, .. } => {
                match host.connect(*now, socket, address.and_then(Address::internet))? {
                    Progress::Done => {
                        self.boundary.mark(key);
                        Answer::Done
                    }
                    Progress::Started => {
                        if let Err(errno) = self.boundary.connect(key, descriptor) {
                            self.boundary.close(self.context, key, true);
                            return Err(errno.into());
                        }
                        Answer::InProgress
                    }
                }
            }
            Request::LocalAddress { .. } => Answer::Address(host.local_address(socket)?.into()),
            Request::PeerAddress { .. } => Answer::Address(host.peer_address(socket)?.into()),
            Request::SetOption { level: SOL_PACKET, name: name @ (PACKET_RX_RING | PACKET_TX_RING), value, .. } => {
                return self.set_ring(key, name, value);
            }
            Request::Memory { .. } => return self.ring_memory(key),
            Request::Transmit { address, .. } => return self.transmit(key, address, descriptor),
            Request::Option { level: SOL_SOCKET, name: SO_ATTACH_FILTER, len, .. } => {
                const MOST: usize = 120;
                Answer::Value(host.filter_part(socket, len as usize, MOST))
            }
            Request::SetOption { level: IPPROTO_IPV6, name: IPV6_FLOWLABEL_MGR, value, .. } => {
                flow_label(host.manage_flow_label(*now, socket, holder(self.privilege, self.who), value)?)
            }
            Request::SetOption { level: IPPROTO_IPV6, name: IPV6_2292PKTOPTIONS, value, .. }
                if host.settings(socket).is_some_and(|settings| settings.ipv6.is_some()) =>
            {
                datagram::sticky::set(host, *now, socket, privilege, value)?;
                Answer::Done
            }
            Request::SetOption { level, name, value, .. } | Request::TellOption { level, name, value, .. } => {
                host.set_option(*now, socket, privilege, level, name, value)?;
                if (level, name) == (SOL_SOCKET, SO_OOBINLINE) {
                    // The pair's own urgent byte follows; the descriptor is the program's.
                    let inline = host.settings(socket).is_some_and(|settings| settings.oob_inline);
                    let _ = rustix::net::sockopt::set_socket_oobinline(descriptor, inline);
                }
                self.uncork(key, request);
                Answer::Done
            }
            Request::Flush { .. } => match self.boundary.flush(self.context, key) {
                Some(errno) => return Err(errno.into()),
                None => Answer::Done,
            },
            Request::AskOption { level, name, value, .. } => {
                Answer::Value(host.asked_option(*now, socket, level, name, value)?)
            }
            Request::Option { level, name, len, .. } => {
                if (level, name) == (SOL_SOCKET, SO_ERROR)
                    && let Some(errno) = self.boundary.take_untold(key)
                {
                    return Ok((Answer::Value(errno.raw().to_ne_bytes().to_vec()), None));
                }
                let is_v6 = host.settings(socket).is_some_and(|settings| settings.ipv6.is_some());
                // The one value that is given whole or not at all.
                if (level, name) == (IPPROTO_IPV6, IPV6_PATHMTU) && is_v6 && len < 32 {
                    return Err(Errno::EINVAL.into());
                }
                let value = host.option(*now, socket, level, name)?;
                if (level, name) == (SOL_SOCKET, SO_ERROR) {
                    self.boundary.asked_for_error(key, value.iter().any(|&byte| byte != 0));
                }
                let value = cut_value(level, name, value, len as usize)?;
                Answer::Value(value)
            }
            Request::WriteInVain { .. } => return Err(Errno::EPIPE.into()),
            Request::TakeError { .. } => {
                let reported = host.take_report(socket).ok_or(Errno::EAGAIN);
                let settings = host.settings(socket).ok_or(Errno::EBADF)?;
                let message = reported.map(|reported| datagram::errors::message(settings, *now, &reported));
                self.boundary.asked_for_error(key, message.is_ok());
                Answer::Message(message?)
            }
            Request::Shutdown { how, .. } => {
                let (read, _) = directions(how)?;
                // What was written before stands in the pair; its end there is what ends the stream.
                host.may_shut_down(socket)?;
                if matches!(host.body(socket), Some(Body::Listener(_))) {
                    host.shutdown(*now, socket)?;
                    self.boundary.abandon_unheard(self.context);
                }
                if let Some(end) = self.boundary.ends.get_mut(key)
                    && let Pump::Stream(pump) = &mut end.pump
                {
                    pump.discard |= read;
                }
                Answer::Done
            }
            Request::Ioctl { command: SIOCOUTQ, .. } if !host.is_stream(socket) => {
                let waits = match self.boundary.ends.get(key).map(|end| &end.pump) {
                    Some(Pump::Datagram(pump)) => pump.unsent(),
                    _ => 0,
                };
                Answer::Value((waits as u32).to_ne_bytes().to_vec())
            }
            Request::Ioctl { command: command @ (SIOCGSTAMP | SIOCGSTAMPNS), .. } => {
                let kind = if command == SIOCGSTAMP { TimestampKind::Micros } else { TimestampKind::Nanos };
                let time = match self.boundary.ends.get(key).map(|end| &end.pump) {
                    Some(Pump::Datagram(pump)) => pump.time_of_newest(kind, *now),
                    // As Linux: of a stream nobody knows.
                    _ => None,
                };
                Answer::Value(time.ok_or(Errno::ENOENT)?)
            }
            Request::Ioctl { command, .. } => {
                let Some(Body::Connection(connection)) = host.body(socket) else { return Err(Errno::EINVAL.into()) };
                let info = host.stack().tcp_info(*now, connection).ok_or(Errno::EINVAL)?;
                outstanding(command, info.unacknowledged, info.not_sent)?
            }
            _ => return Err(Errno::EOPNOTSUPP.into()),
        };
        Ok((answer, None))
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

/// Whether a descriptor shows that somebody has CAP_NET_RAW who is not root. Nobody can be asked: by the time that the node looked, the process may
/// be another program. But nobody makes a packet socket of the kernel's without it, in a network that is not of his own user namespace.
fn shows_capability(descriptor: &OwnedFd) -> bool {
    sockopt::socket_domain(descriptor) == Ok(AddressFamily::PACKET)
        && namespace::is_of_own_user(descriptor).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use sockeye_socket::Settings;
    use sockeye_socket::names::{SO_KEEPALIVE, SO_REUSEADDR, SO_REUSEPORT, TCP_NODELAY, TCP_QUICKACK};

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
