//! `connect`.
//!
//! The node never lets a call wait: it answers that the connection is under way and the descriptor tells when it stands. A program whose
//! descriptor blocks waits here, in `poll` on that descriptor, so that signals, cancellation and `SO_SNDTIMEO` are the kernel's.
//!
//! One thing `poll` does otherwise than `connect`: a signal always interrupts it, also when the handler was installed
//! with `SA_RESTART`. Which signal it was cannot be known, so the wait goes on if each handler of the program has the flag. One that comes
//! between the question to the node and the wait must interrupt it, too: until then signals are blocked.
//!
//! A socket whose connection failed may be bound, listen or be connected again on Linux. Its pair cannot, as the node has closed it; so the answer may bring a
//! new descriptor, which takes the old one's place with the same flags, and in the sets of epoll ([`watches`](crate::watches)). (A duplicate of the
//! old one stays with the failure.)

use crate::accept::is_listener;
use crate::address::Raw;
use crate::datagram;
use crate::exchange::{self, Along, NO_NODE, NONSENSE};
use crate::names::{self, Mark, identity};
use crate::sys::{self, Blocked, Descriptor, Errno, answer, outcome};
use crate::watches::Watches;
use crate::{interpose, real};
use libc::{c_int, sockaddr, socklen_t, timeval};
use sockeye_control::{Kind, Reply, Request, SocketName};
use std::mem::zeroed;

const IN_PROGRESS: Errno = Errno(libc::EINPROGRESS);

interpose! {
    /// `connect(2)`.
    fn connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
        let Some(name) = identity(fd) else {
            // SAFETY: the program's own arguments, as they came.
            return unsafe { real::connect(fd, address, len) };
        };
        let signals = Blocked::all();
        let started = start(fd, name, address, len, &signals);
        signals.release();
        answer(started.map(|()| 0))
    }
}

fn start(
    fd: c_int,
    name: SocketName,
    address: *const sockaddr,
    len: socklen_t,
    signals: &Blocked,
) -> Result<(), Errno> {
    let address = Raw::read(address, len)?.to_connect(SocketName { family: names::family(fd, name), ..name })?;
    let flags = sys::fcntl(fd, libc::F_GETFL, 0)?;
    let mut buffer = exchange::buffer();
    let mut current = name;
    let result = match exchange::ask(&Request::Connect { id: name.id, address }, Along::socket(fd), &mut buffer) {
        Ok(answer) => {
            if let Some(new) = answer.descriptor {
                replace(fd, flags, new)?;
                current = identity(fd).ok_or(NONSENSE)?;
            }
            let told = name.kind == Kind::Stream && names::is_told(fd);
            match (answer.reply, name.kind) {
                (Reply::Done, Kind::Stream) if address.is_none() => {
                    if is_listener(fd) {
                        names::born(fd)
                    } else {
                        Ok(())
                    }
                }
                (Reply::Done, Kind::Stream) if told => Err(Errno(libc::EISCONN)),
                (Reply::Done, Kind::Stream) => names::settle(fd, Mark::Connection),
                (Reply::InProgress, Kind::Stream) => names::settle(fd, Mark::Connection).and(Err(IN_PROGRESS)),
                (Reply::Done, Kind::Datagram | Kind::Raw) => {
                    datagram::forget_destination(fd);
                    Ok(())
                }
                _ => Err(NONSENSE),
            }
        }
        Err(errno) => Err(errno),
    };
    let waits = name.kind == Kind::Stream && flags & libc::O_NONBLOCK == 0;
    match result {
        // EALREADY: an earlier wait was interrupted, or another thread waits.
        Err(state @ (IN_PROGRESS | Errno(libc::EALREADY))) if waits => wait(fd, current, signals, state),
        result => result,
    }
}

/// Orders what begins something on a socket. True if it had failed, and has a new descriptor now.
pub(crate) fn begin(fd: c_int, request: &Request<'_>) -> Result<bool, Errno> {
    let mut buffer = exchange::buffer();
    let answer = exchange::ask(request, Along::socket(fd), &mut buffer)?;
    if answer.reply != Reply::Done {
        return Err(NONSENSE);
    }
    let Some(new) = answer.descriptor else { return Ok(false) };
    replace(fd, sys::fcntl(fd, libc::F_GETFL, 0)?, new)?;
    Ok(true)
}

/// Puts a new descriptor in an old one's place.
fn replace(fd: c_int, flags: c_int, new: Descriptor) -> Result<(), Errno> {
    let close_on_exec = sys::fcntl(fd, libc::F_GETFD, 0)? & libc::FD_CLOEXEC != 0;
    sys::fcntl(new.number(), libc::F_SETFL, flags)?;
    sys::copy_times(fd, new.number())?;
    let watches = Watches::of(fd);
    sys::duplicate_over(new.number(), fd, if close_on_exec { libc::O_CLOEXEC } else { 0 })?;
    watches.renew(fd);
    Ok(())
}

/// Waits until the connection stands or has failed. When the time is over it is what it was before the wait.
fn wait(fd: c_int, name: SocketName, signals: &Blocked, state: Errno) -> Result<(), Errno> {
    let mut limit = timeval { tv_sec: 0, tv_usec: 0 };
    sys::option(fd, libc::SO_SNDTIMEO, &mut limit)?;
    let limited = limit.tv_sec != 0 || limit.tv_usec != 0;
    let limit = libc::timespec { tv_sec: limit.tv_sec, tv_nsec: limit.tv_usec * 1000 };
    let limit = if limited { std::ptr::from_ref(&limit) } else { std::ptr::null() };
    // A neighbour answers sooner than a sleeper wakes.
    let _ = exchange::await_awake(|| (sys::readiness(fd, libc::POLLOUT) != 0).then_some(()));
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    let through = signals.before();
    loop {
        // SAFETY: structures of ours, which outlive the call.
        match outcome(|| unsafe { libc::ppoll(&mut poll, 1, limit, &through) }) {
            Ok(0) => return Err(state),
            Ok(_) if poll.revents & libc::POLLNVAL != 0 => return Err(Errno(libc::EBADF)),
            Ok(_) => break,
            Err(Errno(libc::EINTR)) if !limited && all_handlers_restart() => {}
            Err(errno) => return Err(errno),
        }
    }
    if poll.revents & (libc::POLLERR | libc::POLLHUP) == 0 {
        // It stands, and only the next `connect` has to know that this one said so.
        return names::mark(fd, Mark::Told);
    }
    match exchange::socket_error(fd, name.id)? {
        0 if poll.revents & libc::POLLERR != 0 => Err(NO_NODE),
        0 => Ok(()),
        errno => Err(Errno(errno)),
    }
}

/// Whether each signal that has a handler restarts what it interrupts.
pub(crate) fn all_handlers_restart() -> bool {
    (1..=libc::SIGRTMAX()).all(|signal| {
        // SAFETY: all zeros is a valid action, and the call only fills it.
        let mut action: libc::sigaction = unsafe { zeroed() };
        // SAFETY: as above. Numbers that are no signal's fail.
        let known = outcome(|| unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) }).is_ok();
        let handled = action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN;
        !known || !handled || action.sa_flags & libc::SA_RESTART != 0
    })
}
