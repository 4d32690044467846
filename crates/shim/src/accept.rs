//! `listen` and `accept`.
//!
//! The node sends each connection as a message on the listener's pair: both addresses, and the connection's descriptor. So accept is
//! `recvmsg`; whether it waits, how long, and which of several processes gets the connection, the kernel decides. For each message the
//! accepting process returns one byte of credit.
//!
//! A message must only be taken from a listener, so `listen` marks the descriptor ([`Mark`]).

use crate::exchange::{self, NO_NODE, Received};
use crate::names::{self, Mark, identity};
use crate::sys::{self, Descriptor, Errno, answer, outcome};
use crate::{address, connect, interpose, patience, real};
use libc::{c_int, sockaddr, socklen_t};
use sockeye_control::{Accepted, Kind, Request, SocketName, credit};

const INVALID: Errno = Errno(libc::EINVAL);

interpose! {
    /// `listen(2)`.
    fn listen(fd: c_int, backlog: c_int) -> c_int {
        let Some(name) = identity(fd) else {
            // SAFETY: the program's own arguments, as they came.
            return unsafe { real::listen(fd, backlog) };
        };
        let listen = || {
            connect::begin(fd, &Request::Listen { id: name.id, backlog })?;
            names::settle(fd, Mark::Listener)
        };
        answer(listen().map(|()| 0))
    }

    /// `accept(2)`.
    fn accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        unsafe { accept4(fd, address, len, 0) }
    }

    /// `accept4(2)`.
    fn accept4(fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int {
        let Some(name) = identity(fd) else {
            // SAFETY: the program's own arguments, as they came.
            return unsafe { real::accept4(fd, address, len, flags) };
        };
        answer(take(fd, name, address, len, flags))
    }
}

/// Whether the socket listens.
pub(crate) fn is_listener(fd: c_int) -> bool {
    names::is_marked(fd, Mark::Listener)
}

fn take(fd: c_int, name: SocketName, to: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> Result<c_int, Errno> {
    if flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) != 0 {
        return Err(INVALID);
    }
    if name.kind != Kind::Stream {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    if !is_listener(fd) {
        return Err(INVALID);
    }
    let (accepted, connection) = next(fd, name, flags)?;
    patience::has_stream(connection.number());
    names::inherit_times(fd, connection.number())?;
    if flags & libc::SOCK_NONBLOCK != 0 {
        sys::fcntl(connection.number(), libc::F_SETFL, libc::O_NONBLOCK)?;
    }
    if !to.is_null() {
        // If the program cannot be told, the connection is lost, as on Linux.
        address::give(accepted.remote, to, len)?;
    }
    Ok(connection.into_number())
}

fn next(fd: c_int, name: SocketName, flags: c_int) -> Result<(Accepted, Descriptor), Errno> {
    let mut message = [0; Accepted::LEN];
    let close = if flags & libc::SOCK_CLOEXEC != 0 { libc::MSG_CMSG_CLOEXEC } else { 0 };
    let Received { len, descriptor, lost } = exchange::receive_with_descriptor(&mut message, |header| {
        // SAFETY: the header points to our own buffers.
        outcome(|| unsafe { real::recvmsg(fd, header, close) }).map(|len| len as usize)
    })?;
    if len == 0 {
        // The listener was shut down, or the node is gone.
        return Err(if exchange::socket_error(fd, name.id) == Err(NO_NODE) { NO_NODE } else { INVALID });
    }
    let spent = if descriptor.is_some() { credit::TAKEN } else { credit::LOST };
    give_credit(fd, spent);
    match (Accepted::decode(message.get(..len).unwrap_or_default()), descriptor) {
        (Ok(accepted), Some(connection)) => Ok((accepted, connection)),
        (_, None) if lost => Err(Errno(libc::EMFILE)),
        _ => Err(Errno(libc::ECONNABORTED)),
    }
}

/// The node sends no more than it has credit for, so there is room for this byte. If not, or if the node is gone, the next accept tells.
fn give_credit(fd: c_int, credit: u8) {
    let mut pieces = [exchange::piece(std::ptr::from_ref(&credit).cast(), 1)];
    let message = exchange::message(&mut pieces);
    let _ = sys::send_message(fd, &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
}
