//! What a program asks of an end of a connection within the node.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use sockeye_control::{Address, Request};
use sockeye_socket::Errno;
use sockeye_socket::names::{
    IPPROTO_IPV6, IPV6_2292PKTOPTIONS, IPV6_FLOWLABEL_MGR, SO_OOBINLINE, SO_SNDBUF, SO_SNDBUFFORCE, SOL_SOCKET,
};
use sockeye_socket::settings::cut_value;
use sockeye_socket::table::Key;
use sockeye_stack::tcp::Side;

use super::room;
use crate::datagram;
use crate::datagram::ancillary::stream;
use crate::pair;
use crate::requests::{Answer, Call, Outcome, SHUT_RD, directions, flow_label, holder, outstanding};

impl Call<'_, '_> {
    /// connect(2), if it can be done within the node: what the program is told. It is established at once, of which
    /// a program that does not wait learns as it would from Linux: afterwards.
    pub(crate) fn connect_local(&mut self, key: Key, address: SocketAddr, descriptor: &OwnedFd) -> Option<Answer> {
        let socket = self.boundary.connect_local(self.context, key, address, descriptor)?;
        let waits = rustix::fs::fcntl_getfl(descriptor).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK));
        if !waits {
            return Some(Answer::InProgress);
        }
        // So that a second call is told that it is connected.
        self.context.host.connect(self.context.now, socket, Some(address)).ok().map(|_| Answer::Done)
    }

    /// Lets those go that stand in the way of a request, if they are gone.
    pub(crate) fn look_for_gone(&mut self, request: &Request<'_>) {
        let host = &self.context.host;
        let bound = |key| self.boundary.ends.get(key).and_then(|end| host.local_address(end.socket).ok());
        let port = match *request {
            Request::Bind { address: Address::Internet(address), .. } => Some(address.port()),
            Request::Listen { id, .. } => self.boundary.find(id).and_then(bound).map(|address| address.port()),
            _ => None,
        };
        self.boundary.look_for_gone(self.context, port.filter(|&port| port != 0));
    }

    /// Answers for one side of a connection. What was done to its descriptor is done with the descriptor that came along.
    pub(crate) fn local(&mut self, key: Key, side: Side, request: &Request<'_>, descriptor: &OwnedFd) -> Outcome {
        // Whether the other end is still there is part of most answers.
        if request.is_answered()
            && !matches!(request, Request::SetOption { .. } | Request::LocalAddress { .. } | Request::Flush { .. })
        {
            self.boundary.look_at(self.context, key, side.other());
        }
        let Some(local) = self.boundary.locals.table.get(key) else { return Err(Errno::ENOTCONN.into()) };
        let Some(end) = local.end(side) else { return Err(Errno::ENOTCONN.into()) };
        let (socket, other) = (end.socket, local.end(side.other()).map(|other| other.socket));
        let (host, now) = (&mut *self.context.host, self.context.now);
        let answer = match *request {
            Request::Bind { address: Address::Internet(address), .. } => {
                host.bind(now, socket, address, self.privilege).map(|()| Answer::Done)?
            }
            Request::Listen { backlog, .. } => host.listen(socket, backlog).map(|()| Answer::Done)?,
            // Neither end is at hand to be taken away.
            Request::Connect { address: None, .. } => return Err(Errno::EISCONN.into()),
            Request::Connect { address, .. } => {
                host.connect(now, socket, address.and_then(Address::internet)).map(|_| Answer::Done)?
            }
            Request::LocalAddress { .. } => Answer::Address(host.local_address(socket)?.into()),
            Request::PeerAddress { .. } => Answer::Address(host.peer_address(socket)?.into()),
            Request::SetOption { level: IPPROTO_IPV6, name: IPV6_FLOWLABEL_MGR, value, .. } => {
                flow_label(host.manage_flow_label(now, socket, holder(self.privilege, self.who), value)?)
            }
            Request::AskOption { level, name, value, .. } => {
                Answer::Value(host.asked_option(now, socket, level, name, value)?)
            }
            Request::SetOption { level: IPPROTO_IPV6, name: IPV6_2292PKTOPTIONS, value, .. }
                if host.settings(socket).is_some_and(|settings| settings.ipv6.is_some()) =>
            {
                datagram::sticky::set(host, now, socket, self.privilege, value)?;
                Answer::Done
            }
            Request::SetOption { level, name, value, .. } | Request::TellOption { level, name, value, .. } => {
                host.set_option(now, socket, self.privilege, level, name, value)?;
                if let Some(settings) = host.settings(socket) {
                    match (level, name) {
                        (SOL_SOCKET, SO_OOBINLINE) => {
                            let _ = rustix::net::sockopt::set_socket_oobinline(descriptor, settings.oob_inline);
                        }
                        (SOL_SOCKET, SO_SNDBUF | SO_SNDBUFFORCE) => {
                            let theirs = other.and_then(|other| host.settings(other));
                            pair::set_send_buffer(descriptor, room(settings, theirs));
                        }
                        _ => {}
                    }
                }
                Answer::Done
            }
            Request::Option { level, name, len, .. }
                if let Some(told) = stream::option(host, socket, level, name, len) =>
            {
                Answer::Value(told)
            }
            Request::Option { level, name, len, .. } => {
                let value = cut_value(level, name, host.option(now, socket, level, name)?, len as usize)?;
                Answer::Value(value)
            }
            Request::Shutdown { how, .. } => {
                directions(how)?;
                host.may_shut_down(socket)?;
                if how != SHUT_RD {
                    host.shutdown(now, socket)?;
                }
                Answer::Done
            }
            // While somebody holds the other end, it is the pair that refuses.
            Request::WriteInVain { empty, .. } if other.is_none() => {
                host.write_in_vain(socket, empty).map(|()| Answer::Done)?
            }
            Request::WriteInVain { .. } => return Err(Errno::EPIPE.into()),
            // No router says anything of it.
            Request::TakeError { .. } => return Err(Errno::EAGAIN.into()),
            // The pair keeps an urgent byte apart.
            Request::Flush { .. } => Answer::Done,
            // What was written is with the other end already.
            Request::Ioctl { command, .. } => outstanding(command, 0, 0)?,
            _ => return Err(Errno::EOPNOTSUPP.into()),
        };
        Ok((answer, None))
    }
}
