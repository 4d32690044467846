//! Waiting: one epoll for everything that the node holds.
//!
//! Devices, the control server, its clients and netlink sockets are level-triggered: forgetting one costs a wake-up, not a stall. Programs' sockets are
//! edge-triggered: what an edge said is remembered in the socket's own entry, and forgotten when a read or a write comes back short,
//! so that data costs no epoll_ctl. Readiness to write is asked for only while a write is blocked: the kernel announces
//! it each time the program reads, and a node that listened would wake twice for each reply.
//!
//! An idle node sleeps in epoll_pwait2 without a timeout. Timeouts are in nanoseconds; no timer descriptor is needed.

use core::time::Duration;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;

use sockeye_socket::table::Key;

use crate::spin::Spin;

/// How long to look before sleeping.
const LOOK: Duration = Duration::from_micros(64);
/// Stepping aside took so long: somebody else has much to do here. Then it is better to sleep, for a wake-up is cheap on a
/// processor that is awake.
const CONTENDED: Duration = Duration::from_micros(20);
/// How many events one wake-up takes.
const BATCH: usize = 256;

/// Whom an event concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Device(u16),
    Server,
    Client(Key),
    End(Key),
    Netlink(Key),
    Signals,
}

impl Token {
    fn encode(self) -> u64 {
        let (kind, key) = match self {
            Token::Device(port) => (0, Key { index: port.into(), generation: 0 }),
            Token::Server => (1, Key { index: 0, generation: 0 }),
            Token::Client(key) => (2, key),
            Token::End(key) => (3, key),
            Token::Netlink(key) => (5, key),
            Token::Signals => (4, Key { index: 0, generation: 0 }),
        };
        kind << 60 | u64::from(key.generation) << 32 | u64::from(key.index)
    }

    fn decode(number: u64) -> Token {
        let key = Key { index: number as u32, generation: (number >> 32) as u32 & 0x0fff_ffff };
        match number >> 60 {
            0 => Token::Device(key.index as u16),
            1 => Token::Server,
            2 => Token::Client(key),
            3 => Token::End(key),
            5 => Token::Netlink(key),
            _ => Token::Signals,
        }
    }
}

/// An epoll descriptor.
pub(crate) struct Poller {
    epoll: OwnedFd,
    spin: Cell<Spin>,
}

/// What happened, in the order in which it happened; kept from wake-up to wake-up for its memory.
pub(crate) struct Happened(Vec<epoll::Event>);

impl Happened {
    pub(crate) fn new() -> Self {
        Happened(Vec::with_capacity(BATCH))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// There may be more than was told.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() == self.0.capacity()
    }

    pub(crate) fn at(&self, index: usize) -> Option<(Token, EventFlags)> {
        self.0.get(index).map(|event| {
            let (data, flags) = (event.data, event.flags);
            (Token::decode(data.u64()), flags)
        })
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Poller { epoll: epoll::create(CreateFlags::CLOEXEC)?, spin: Cell::new(Spin::new(LOOK)) })
    }

    pub(crate) fn add(&self, fd: impl AsFd, token: Token, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token.encode()), interest)?)
    }

    pub(crate) fn modify(&self, fd: impl AsFd, token: Token, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(token.encode()), interest)?)
    }

    /// Hears no more of a descriptor that is handed on, and not closed.
    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits until something happens or `timeout` passes; `None`: for as long as it takes. Looks for a while before it sleeps,
    /// see [`Spin`], and steps aside between looks: a program that shares the node's processor runs at once, and what it
    /// wrote is seen when it waits.
    pub(crate) fn wait(&self, happened: &mut Happened, timeout: Option<Duration>) -> io::Result<()> {
        self.poll(happened, Some(Duration::ZERO))?;
        if happened.len() > 0 || timeout == Some(Duration::ZERO) {
            return Ok(());
        }
        let begin = Instant::now();
        let mut spin = self.spin.take();
        let allowed = spin.begin();
        let limit = timeout.map_or(allowed, |timeout| timeout.min(allowed));
        let mut looked = Duration::ZERO;
        while looked < limit && happened.len() == 0 {
            rustix::thread::sched_yield();
            let before = std::mem::replace(&mut looked, begin.elapsed());
            if looked - before > CONTENDED {
                break;
            }
            self.poll(happened, Some(Duration::ZERO))?;
        }
        if happened.len() == 0 {
            self.poll(happened, timeout.map(|timeout| timeout.saturating_sub(looked)))?;
        }
        spin.end(allowed, begin.elapsed());
        self.spin.set(spin);
        Ok(())
    }

    fn poll(&self, happened: &mut Happened, timeout: Option<Duration>) -> io::Result<()> {
        happened.0.clear();
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let room = rustix::buffer::spare_capacity(&mut happened.0);
        match epoll::wait(&self.epoll, room, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        let key = Key { index: u32::MAX, generation: (1 << 28) - 1 };
        for token in
            [Token::Device(7), Token::Server, Token::Client(key), Token::End(key), Token::Netlink(key), Token::Signals]
        {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
