//! Streams: what the pair cannot tell.
//!
//! Data, end and readiness are the pair's own. Three things are not:
//!
//! *A fresh stream* has neither peer nor end: `ENOTCONN` and `EPIPE` come from its mark (`names`).
//!
//! *A reset that finds nothing unread reads as an orderly end*, because the node can only close its end. A read of 0 bytes is therefore looked at again.
//! After an orderly end the other direction is still open and the descriptor does not poll `HUP`; so if it does not, it was the end, without asking
//! anybody. Else the node knows whether there was an error.
//!
//! *Sending after a reset is `EPIPE` at once*, where TCP first returns the reason and raises no signal. `send` can ask for no signal, look
//! for the reason, and repeat itself for the signal if there is none. `write` cannot ask; there the signal comes first.
//!
//! *What is said of a connection that goes on* (`IP_RECVERR`) fails one call. A pair cannot fail and go on, nor wake anybody for that; so on a descriptor
//! on which a program asked for it the node is asked before each write, and before each read that finds nothing.
//!
//! *So is sending to a program of the same node that has closed.* TCP takes the first such write, and the peer's answer is a reset; only the node
//! knows which one is the first (`WriteInVain`).

use crate::exchange::{self, NO_NODE};
use crate::names::identity;
use crate::numbers::Numbers;
use crate::sandbox;
use crate::sys::{self, Errno, answer, errno, set_errno};
use libc::{c_int, c_short, sockaddr, sockaddr_un, socklen_t, ssize_t};
use sockeye_control::{Kind, Request, SocketId};
use std::sync::atomic::{AtomicBool, Ordering};

const NONE: Errno = Errno(0);
const PIPE: Errno = Errno(libc::EPIPE);

/// The descriptors on which this process asked to be told what is said of a connection that goes on. A guess: the node knows what is set.
static ASKED: Numbers = Numbers::none();
static MAY_HAVE_ASKED: AtomicBool = AtomicBool::new(false);

/// A stream may be told of errors that do not end it.
pub(crate) fn expect_errors(fd: c_int) {
    ASKED.add(fd);
    MAY_HAVE_ASKED.store(true, Ordering::Relaxed);
}

/// What is said of a stream, before something is written to it.
pub(crate) fn told_to_writers(fd: c_int) -> Option<Errno> {
    if MAY_HAVE_ASKED.load(Ordering::Relaxed) { told(fd, 0) } else { None }
}

/// What is said of a stream, before something is read from it: data come first.
pub(crate) fn told_to_readers(fd: c_int) -> Option<Errno> {
    if MAY_HAVE_ASKED.load(Ordering::Relaxed) { told(fd, libc::POLLIN) } else { None }
}

/// An end is told by the call itself, and to who did not ask nothing is said but when he asks why.
#[cold]
#[inline(never)]
fn told(fd: c_int, first: c_short) -> Option<Errno> {
    if ASKED.has(fd) == Some(false) || sandbox::cannot_ask() || sys::readiness(fd, first) & (first | libc::POLLHUP) != 0
    {
        return None;
    }
    let name = identity(fd).filter(|name| name.kind == Kind::Stream)?;
    let asked = |level, option| exchange::number(fd, name.id, level, option).is_ok_and(|value| value != 0);
    if !asked(libc::IPPROTO_IP, libc::IP_RECVERR) && !asked(libc::IPPROTO_IPV6, libc::IPV6_RECVERR) {
        return None;
    }
    exchange::socket_error(fd, name.id).ok().map(Errno).filter(|&error| error != NONE)
}

/// Looks again at what the kernel returned for reading.
pub(crate) fn received(fd: c_int, len: ssize_t) -> ssize_t {
    match len {
        0 => match after_the_end(fd) {
            Ok(()) => 0,
            Err(errno) => {
                set_errno(errno);
                -1
            }
        },
        // The node went with something unread, as after a connection that failed.
        -1 if errno() == Errno(libc::ECONNRESET) => {
            let found = end(fd);
            set_errno(found.map(|(_, error)| error).filter(|&error| error != NONE).unwrap_or(Errno(libc::ECONNRESET)));
            -1
        }
        len => len,
    }
}

/// Looks again at what the kernel returned for writing as much as `whole` tells.
pub(crate) fn sent(fd: c_int, len: ssize_t, whole: impl FnOnce() -> Result<ssize_t, Errno>) -> ssize_t {
    if len != -1 || errno() != PIPE {
        return len;
    }
    answer(refused(fd, whole))
}

/// Writing to a stream that was never connected.
pub(crate) fn broken(flags: c_int) -> ssize_t {
    if flags & libc::MSG_NOSIGNAL == 0 {
        // SAFETY: takes a number.
        unsafe { libc::raise(libc::SIGPIPE) };
    }
    set_errno(PIPE);
    -1
}

/// Sends as much as `whole` tells, so that a reset is told before a signal is raised. The call is given the flags to use.
pub(crate) fn send(
    fd: c_int,
    flags: c_int,
    whole: impl FnOnce() -> Result<ssize_t, Errno>,
    call: impl Fn(c_int) -> ssize_t,
) -> ssize_t {
    if flags & libc::MSG_OOB != 0
        && let Some(name) = identity(fd)
    {
        // The node must not read past the urgent byte. If it cannot be told, sending will tell why.
        let _ = exchange::order(fd, &Request::Flush { id: name.id });
    }
    let len = call(flags | libc::MSG_NOSIGNAL);
    if len != -1 || errno() != PIPE {
        return len;
    }
    match refused(fd, whole) {
        Err(PIPE) if flags & libc::MSG_NOSIGNAL == 0 => call(flags),
        refused => answer(refused),
    }
}

/// A peer's address on a stream has no length, as TCP returns none: a pair's would be the node's own business.
pub(crate) fn hide_name(address: *const sockaddr, len: &mut socklen_t) {
    let room = size_of::<sockaddr_un>();
    let known = (*len as usize).min(room);
    if address.is_null() || known < size_of::<libc::sa_family_t>() + 9 {
        return;
    }
    let mut bytes = [0; size_of::<libc::sa_family_t>() + 9];
    // The kernel has just written it there.
    if crate::memory::read(address.cast(), &mut bytes).is_ok() {
        let family = libc::sa_family_t::from_ne_bytes([bytes[0], bytes[1]]);
        if c_int::from(family) == libc::AF_UNIX && bytes[2..] == *b"\0sockeye/" {
            *len = 0;
        }
    }
}

/// What the node knows of the end of a stream: its name, and the error, if there was one. `None` where nobody can be asked.
fn end(fd: c_int) -> Option<(SocketId, Errno)> {
    if sandbox::cannot_ask() {
        return None;
    }
    let name = identity(fd).filter(|name| name.kind == Kind::Stream)?;
    match exchange::socket_error(fd, name.id) {
        Ok(error) => Some((name.id, Errno(error))),
        // Without a node nobody knows whether that was all.
        Err(NO_NODE) => Some((name.id, NO_NODE)),
        Err(_) => None,
    }
}

fn after_the_end(fd: c_int) -> Result<(), Errno> {
    if sandbox::cannot_ask() || sys::readiness(fd, 0) & libc::POLLHUP == 0 {
        return Ok(());
    }
    match end(fd) {
        // `EPIPE` is a reset after the peer's end: an end it stays for who reads.
        None | Some((_, NONE | PIPE)) => Ok(()),
        Some((_, error)) => Err(error),
    }
}

/// What TCP says to a write of so many bytes that the pair has refused.
fn refused(fd: c_int, whole: impl FnOnce() -> Result<ssize_t, Errno>) -> Result<ssize_t, Errno> {
    match end(fd) {
        None => Err(PIPE),
        Some((id, NONE)) => {
            let whole = whole()?;
            exchange::order(fd, &Request::WriteInVain { id, empty: whole == 0 }).map(|()| whole)
        }
        Some((_, error)) => Err(error),
    }
}
