//! Sockets whose end is gone while the program still holds its own: what can be asked of them, and what they can still do.
//!
//! What is left is the error, the socket's own address, what was set, and the right to connect once more. It is kept for a
//! bounded number, the last that went.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use sockeye_control::{Address, Kind, Request, SocketId};
use sockeye_socket::names::{IPPROTO_TCP, SO_ERROR, SOL_SOCKET, TCP_INFO};
use sockeye_socket::settings::cut_value;
use sockeye_socket::table::Key;
use sockeye_socket::{Errno, Settings};

use crate::boundary::{Boundary, Context};
use crate::requests::{Answer, Call, Outcome};

/// How many that are gone can still be asked about.
const GRAVES: usize = 8_192;

/// What can still be asked about a socket whose end is gone.
#[derive(Debug)]
pub(crate) struct Grave {
    pub(crate) cookie: u64,
    pub(crate) kind: Kind,
    pub(crate) error: Option<Errno>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) settings: Settings,
}

/// The last [`GRAVES`] that are gone and were not forgotten.
#[derive(Debug, Default)]
pub(crate) struct Graveyard {
    graves: HashMap<SocketId, Box<Grave>>,
    order: VecDeque<SocketId>,
}

impl Graveyard {
    fn bury(&mut self, id: SocketId, grave: Grave) {
        while self.order.len() >= GRAVES {
            self.order.pop_front().map(|oldest| self.graves.remove(&oldest));
        }
        self.order.push_back(id);
        self.graves.insert(id, Box::new(grave));
    }

    pub(crate) fn get(&self, id: SocketId) -> Option<&Grave> {
        self.graves.get(&id).map(|grave| &**grave)
    }

    pub(crate) fn get_mut(&mut self, id: SocketId) -> Option<&mut Grave> {
        self.graves.get_mut(&id).map(|grave| &mut **grave)
    }
}

impl Boundary {
    /// Keeps what can be asked about an end that goes.
    pub(crate) fn bury(&mut self, context: &mut Context<'_>, key: Key, error: Option<Errno>) {
        let Some(end) = self.ends.get(key) else { return };
        let grave = Grave {
            cookie: end.cookie,
            kind: end.kind,
            error,
            local: context.host.local_address(end.socket).ok(),
            settings: context.host.settings(end.socket).cloned().unwrap_or_default(),
        };
        self.graveyard.bury(end.id, grave);
    }
}

impl Call<'_, '_> {
    /// The end is gone: what is left is its error, its own address, what was set, and the right to connect once more.
    pub(crate) fn gone(&mut self, id: SocketId, request: &Request<'_>, descriptor: &OwnedFd) -> Outcome {
        let Some(grave) = self.boundary.graveyard.get_mut(id) else { return Err(Errno::ENOTCONN.into()) };
        let answer = match *request {
            Request::Option { level: SOL_SOCKET, name: SO_ERROR, len, .. } => {
                let mut value = grave.error.take().map_or(0, Errno::raw).to_ne_bytes().to_vec();
                value.truncate(len as usize);
                Answer::Value(value)
            }
            Request::LocalAddress { .. } => Answer::Address(grave.local.ok_or(Errno::ENOTCONN)?.into()),
            Request::Option { level: IPPROTO_TCP, name: TCP_INFO, len, .. } if grave.kind == Kind::Stream => {
                let mut value = sockeye_socket::closed_info();
                value.truncate(len as usize);
                Answer::Value(value)
            }
            Request::Option { level, name, len, .. } => {
                let stream = grave.kind == Kind::Stream;
                let value = cut_value(level, name, grave.settings.value(stream, level, name)?, len as usize)?;
                Answer::Value(value)
            }
            Request::SetOption { level, name, value, .. } | Request::TellOption { level, name, value, .. } => {
                let stream = grave.kind == Kind::Stream;
                grave.settings.set(stream, self.privilege, level, name, value)?;
                Answer::Done
            }
            // Why the last connection failed is told first, once.
            Request::Connect { .. } if let Some(error) = grave.error.take() => return Err(error.into()),
            Request::Connect { address: Some(Address::Internet(address)), .. } => {
                return self.reconnect(id, address, descriptor);
            }
            Request::Connect { address: None, .. } => Answer::Done,
            Request::PeerAddress { .. } | Request::Shutdown { .. } => return Err(Errno::ENOTCONN.into()),
            Request::WriteInVain { .. } => return Err(Errno::EPIPE.into()),
            _ => return Err(Errno::EINVAL.into()),
        };
        Ok((answer, None))
    }

    /// A pair whose connection failed cannot live again: a new one takes its place.
    fn reconnect(&mut self, id: SocketId, address: SocketAddr, descriptor: &OwnedFd) -> Outcome {
        let Some(grave) = self.boundary.graveyard.get_mut(id) else { return Err(Errno::ENOTCONN.into()) };
        let Grave { settings, kind, .. } = grave;
        let nonblocking =
            rustix::fs::fcntl_getfl(descriptor).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK));
        let stream = *kind == Kind::Stream;
        let socket = self.context.host.socket_like(stream, settings.clone());
        let (key, theirs) = self.boundary.open(self.context, socket, self.who, nonblocking)?;
        if let Some(answer) = self.connect_local(key, address, &theirs) {
            return Ok((answer, Some(theirs)));
        }
        let started = self
            .context
            .host
            .connect(self.context.now, socket, Some(address))
            .and_then(|_| self.boundary.connect(key, &theirs));
        match started {
            Ok(()) => Ok((Answer::InProgress, Some(theirs))),
            Err(errno) => {
                self.boundary.close(self.context, key, true);
                Err(errno.into())
            }
        }
    }
}
