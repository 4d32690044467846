//! Sockets whose end is gone while the program still holds its own: what can be asked of them, and what they can still do.
//!
//! What is left is the error and what was said of it, the socket's own address, what was set, and the right to be bound, listen or connect once
//! more. It is kept for a bounded number, the last that went.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;

use sockeye_control::{Request, SocketId};
use sockeye_socket::names::{IPPROTO_TCP, SO_ERROR, SOL_SOCKET, TCP_INFO};
use sockeye_socket::settings::cut_value;
use sockeye_socket::table::Key;
use sockeye_socket::{Errno, Remains};

use crate::boundary::{Boundary, Context};
use crate::datagram::ancillary::stream;
use crate::datagram::errors;
use crate::requests::{Answer, Call, Outcome, refuse};

/// How many that are gone can still be asked about.
const GRAVES: usize = 8_192;
/// What their filters and messages may cost together, in bytes.
const MEMORY: usize = 8 << 20;

/// What can still be asked about a socket whose end is gone.
#[derive(Debug)]
pub(crate) struct Grave {
    pub(crate) cookie: u64,
    pub(crate) remains: Remains,
    /// What it cost when it was dug.
    memory: usize,
}

/// The last [`GRAVES`] that are gone and were not forgotten.
#[derive(Debug, Default)]
pub(crate) struct Graveyard {
    graves: HashMap<SocketId, Box<Grave>>,
    order: VecDeque<SocketId>,
    memory: usize,
}

impl Graveyard {
    fn bury(&mut self, id: SocketId, grave: Grave) {
        while self.order.len() >= GRAVES || self.memory + grave.memory > MEMORY {
            let Some(oldest) = self.order.pop_front() else { break };
            self.memory -= self.graves.remove(&oldest).map_or(0, |grave| grave.memory);
        }
        self.memory += grave.memory;
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
    /// Keeps what can be asked about an end that goes; `error` is what ends it, where the socket itself does not know.
    pub(crate) fn bury(&mut self, context: &mut Context<'_>, key: Key, error: Option<Errno>) {
        let Some(end) = self.ends.get(key) else { return };
        let remains = context.host.remains(end.socket, error);
        let grave = Grave { cookie: end.cookie, memory: remains.memory(), remains };
        self.graveyard.bury(end.id, grave);
    }
}

impl Call<'_, '_> {
    /// The end is gone: what is left is its error, its own address, what was set, and the right to begin anew.
    pub(crate) fn gone(&mut self, id: SocketId, request: &Request<'_>, descriptor: &OwnedFd) -> Outcome {
        let Some(Grave { remains, .. }) = self.boundary.graveyard.get_mut(id) else {
            return Err(Errno::ENOTCONN.into());
        };
        let answer = match *request {
            Request::Option { level: SOL_SOCKET, name: SO_ERROR, len, .. } => {
                let mut value = remains.take_error().map_or(0, Errno::raw).to_ne_bytes().to_vec();
                value.truncate(len as usize);
                Answer::Value(value)
            }
            Request::LocalAddress { .. } => Answer::Address(remains.local.ok_or(Errno::ENOTCONN)?.into()),
            Request::Option { level: IPPROTO_TCP, name: TCP_INFO, len, .. } => {
                let mut value = sockeye_socket::closed_info();
                value.truncate(len as usize);
                Answer::Value(value)
            }
            Request::Option { level, name, len, .. }
                if let Some(told) = stream::option_of_gone(&remains.settings, remains.local, level, name, len) =>
            {
                Answer::Value(told)
            }
            Request::Option { level, name, len, .. } => {
                let value = cut_value(level, name, remains.settings.value(true, level, name)?, len as usize)?;
                Answer::Value(value)
            }
            Request::SetOption { level, name, value, .. } | Request::TellOption { level, name, value, .. } => {
                remains.set(self.privilege, level, name, value)?;
                Answer::Done
            }
            Request::TakeError { .. } => {
                let reported = remains.take_report().ok_or(Errno::EAGAIN)?;
                Answer::Message(errors::message(&remains.settings, self.context.now, &reported))
            }
            // Why the last connection failed is told first, once.
            Request::Connect { address: Some(_), .. } if let Some(error) = remains.take_error() => {
                return Err(error.into());
            }
            // It lets go of what was said, too.
            Request::Connect { address: None, .. } => {
                remains.take_error();
                Answer::Done
            }
            Request::Connect { .. } | Request::Bind { .. } | Request::Listen { .. } => {
                let remains = remains.clone();
                return self.revive(remains, request, descriptor);
            }
            Request::PeerAddress { .. } | Request::Shutdown { .. } => return Err(Errno::ENOTCONN.into()),
            Request::WriteInVain { .. } => return Err(Errno::EPIPE.into()),
            _ => return Err(Errno::EINVAL.into()),
        };
        Ok((answer, None))
    }

    /// A pair whose connection failed cannot live again: a new one takes its place, if what begins there can.
    fn revive(&mut self, remains: Remains, request: &Request<'_>, descriptor: &OwnedFd) -> Outcome {
        let nonblocking =
            rustix::fs::fcntl_getfl(descriptor).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK));
        let socket = match self.context.host.revive(remains) {
            Err(Errno::EADDRINUSE) => {
                return refuse(Errno::EADDRINUSE, "somebody else has taken the socket's port since it failed");
            }
            revived => revived?,
        };
        let (key, theirs) = self.boundary.open(self.context, socket, self.who, nonblocking)?;
        self.boundary.freshen(key);
        match self.living(key, request, &theirs) {
            Ok((answer, _)) => Ok((answer, Some(theirs))),
            Err(refusal) => {
                self.boundary.close(self.context, key, true);
                Err(refusal)
            }
        }
    }
}
