//! `send` of nothing on a packet socket: what stands in its ring is to be sent.
//!
//! The node takes a bounded number of frames at a time, so that nobody else waits for a long ring; so it is asked until nothing is left. Where it has
//! no room, a call that waits does so until the descriptor polls writable, which the node sees to. Signals are held back between the
//! question and the wait, as in `connect`.

use crate::connect::all_handlers_restart;
use crate::exchange::{self, NONSENSE};
use crate::sys::{self, Blocked, Errno, outcome};
use libc::{c_int, timeval};
use sockeye_control::{Address, Reply, Request, SocketName, ring};

/// Sends what stands in the ring: bytes of frames. `None` if the socket has no ring for that.
pub(crate) fn send(
    fd: c_int,
    name: SocketName,
    address: Option<Address>,
    flags: c_int,
) -> Result<Option<usize>, Errno> {
    let waits = flags & libc::MSG_DONTWAIT == 0 && sys::fcntl(fd, libc::F_GETFL, 0)? & libc::O_NONBLOCK == 0;
    let mut sent = 0_usize;
    loop {
        let signals = Blocked::all();
        let turn = turn(fd, name, address, waits, &signals);
        signals.release();
        let Some((bytes, progress)) = turn? else { return Ok(None) };
        sent = sent.saturating_add(bytes);
        match progress {
            ring::DONE => return Ok(Some(sent)),
            ring::FULL if !waits => return if sent > 0 { Ok(Some(sent)) } else { Err(Errno(libc::EAGAIN)) },
            _ => {}
        }
    }
}

/// Asks once, and then waits for room if there was none.
fn turn(
    fd: c_int,
    name: SocketName,
    address: Option<Address>,
    waits: bool,
    signals: &Blocked,
) -> Result<Option<(usize, u8)>, Errno> {
    let mut buffer = exchange::buffer();
    let value = match exchange::about(fd, &Request::Transmit { id: name.id, address }, &mut buffer)? {
        Reply::Done => return Ok(None),
        Reply::Value(value) => value,
        _ => return Err(NONSENSE),
    };
    let (bytes, progress) = value.split_first_chunk().ok_or(NONSENSE)?;
    let &[progress] = progress else { return Err(NONSENSE) };
    if progress == ring::FULL && waits {
        wait(fd, signals)?;
    }
    Ok(Some((u64::from_ne_bytes(*bytes) as usize, progress)))
}

/// Waits until the descriptor polls writable.
fn wait(fd: c_int, signals: &Blocked) -> Result<(), Errno> {
    let mut limit = timeval { tv_sec: 0, tv_usec: 0 };
    sys::option(fd, libc::SO_SNDTIMEO, &mut limit)?;
    let limited = limit.tv_sec != 0 || limit.tv_usec != 0;
    let limit = libc::timespec { tv_sec: limit.tv_sec, tv_nsec: limit.tv_usec * 1000 };
    let limit = if limited { std::ptr::from_ref(&limit) } else { std::ptr::null() };
    // A device takes what it is given sooner than a sleeper wakes.
    if exchange::await_awake(|| (sys::readiness(fd, libc::POLLOUT) != 0).then_some(())).is_some() {
        return Ok(());
    }
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    let through = signals.before();
    loop {
        // SAFETY: structures of ours, which outlive the call.
        match outcome(|| unsafe { libc::ppoll(&mut poll, 1, limit, &through) }) {
            Ok(0) => return Err(Errno(libc::ETIMEDOUT)),
            Ok(_) => return Ok(()),
            Err(Errno(libc::EINTR)) if !limited && all_handlers_restart() => {}
            Err(errno) => return Err(errno),
        }
    }
}
