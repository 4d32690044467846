//! The node's end of a program's socket: the entry that everything about one socket hangs on.
//!
//! What an edge of epoll said is kept in [`Ready`] until a call comes back short. Interest in writing is asked for when a
//! write is blocked, and dropped after it has been idle for a few wake-ups ([`End::blocked`], `relax`): a bulk
//! transfer pays for two epoll_ctl in all, a request and its reply for none.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::net::UCred;
use sockeye_control as control;
use sockeye_socket::table::Key;

use crate::datagram::DatagramPump;
use crate::listener::ListenerPump;
use crate::poller::{Poller, Token};
use crate::stream::StreamPump;

/// Wake-ups for nothing that interest in writing outlives.
const PATIENCE: u8 = 8;

/// Whose socket it is: who asked for it, or for the listener that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
}

impl From<UCred> for Owner {
    fn from(credentials: UCred) -> Owner {
        Owner { pid: credentials.pid.as_raw_nonzero().get(), uid: credentials.uid.as_raw() }
    }
}

/// What is known of an end's readiness.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// There may be something to read.
    pub(crate) input: bool,
    /// There may be room to write.
    pub(crate) output: bool,
    /// The program writes no more.
    pub(crate) end: bool,
    /// The program closed its end, or both directions are shut.
    pub(crate) hangup: bool,
    /// An urgent byte waits.
    pub(crate) urgent: bool,
}

/// What is done with it.
pub(crate) enum Pump {
    /// A stream without a peer: nothing flows.
    Idle,
    Stream(StreamPump),
    Listener(ListenerPump),
    /// On the heap, as it is three times as large as what streams need.
    Datagram(Box<DatagramPump>),
}

/// What is to become of an end after it was pumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    /// The program closed it, or both directions have ended: the stack goes on alone.
    Close,
    /// The program closed it with data unread, or data came after: reset.
    Abort,
    /// The connection failed: the program reads the reason with SO_ERROR.
    Failed,
}

/// Which program's end it belongs to, and whose that is.
pub(crate) struct Identity {
    pub(crate) id: control::SocketId,
    pub(crate) cookie: u64,
    pub(crate) kind: control::Kind,
    pub(crate) owner: Owner,
    pub(crate) number: u64,
}

/// The node's end of a pair.
pub(crate) struct End {
    pub(crate) fd: OwnedFd,
    pub(crate) key: Key,
    pub(crate) id: control::SocketId,
    /// The kernel's number of the program's end.
    pub(crate) cookie: u64,
    pub(crate) socket: sockeye_socket::SocketId,
    pub(crate) kind: control::Kind,
    pub(crate) owner: Owner,
    /// A number for people, as `show` and `trace` print it.
    pub(crate) number: u64,
    pub(crate) ready: Ready,
    pub(crate) pump: Pump,
    /// On the list of those to be pumped.
    pub(crate) queued: bool,
    interest: EventFlags,
    idle: u8,
}

const STREAM: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::PRI).union(EventFlags::ET);
/// Credits on a listener's pair wake nobody.
const LISTENER: EventFlags = EventFlags::RDHUP.union(EventFlags::ET);

impl End {
    /// The node's end `fd` of a pair, whose program's end is `identity`.
    pub(crate) fn new(fd: OwnedFd, key: Key, socket: sockeye_socket::SocketId, identity: Identity) -> End {
        let Identity { id, cookie, kind, owner, number } = identity;
        End {
            fd,
            key,
            id,
            cookie,
            socket,
            kind,
            owner,
            number,
            ready: Ready { input: false, output: true, end: false, hangup: false, urgent: false },
            pump: match kind {
                control::Kind::Stream => Pump::Idle,
                control::Kind::Datagram | control::Kind::Raw => Pump::Datagram(Box::default()),
            },
            queued: false,
            interest: STREAM,
            idle: 0,
        }
    }

    /// Begins to listen to the end.
    pub(crate) fn register(&self, poller: &Poller) -> io::Result<()> {
        poller.add(self.fd.as_fd(), Token::End(self.key), self.interest)
    }

    /// Takes in what epoll said. True if there is something to do.
    pub(crate) fn take(&mut self, flags: EventFlags, poller: &Poller) -> bool {
        self.ready.input |= flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR);
        self.ready.end |= flags.intersects(EventFlags::RDHUP | EventFlags::HUP);
        self.ready.hangup |= flags.contains(EventFlags::HUP);
        self.ready.urgent |= flags.contains(EventFlags::PRI);
        if flags.contains(EventFlags::OUT) {
            if self.ready.output && flags == EventFlags::OUT {
                self.relax(poller);
                return false;
            }
            self.ready.output = true;
            self.idle = 0;
        }
        true
    }

    /// A write found no room: wait for some.
    pub(crate) fn blocked(&mut self, poller: &Poller) {
        self.ready.output = false;
        self.ask(poller, self.interest | EventFlags::OUT);
    }

    /// A listener's end: credits are looked for when they are needed.
    pub(crate) fn listen(&mut self, poller: &Poller, credits: bool) {
        self.ask(poller, if credits { LISTENER | EventFlags::IN } else { LISTENER });
    }

    fn relax(&mut self, poller: &Poller) {
        self.idle += 1;
        if self.idle >= PATIENCE {
            self.idle = 0;
            self.ask(poller, self.interest - EventFlags::OUT);
        }
    }

    fn ask(&mut self, poller: &Poller, interest: EventFlags) {
        if interest != self.interest {
            self.interest = interest;
            if let Err(error) = poller.modify(self.fd.as_fd(), Token::End(self.key), interest) {
                tracing::warn!(%error, number = self.number, "cannot change what is waited for");
            }
        }
    }
}
