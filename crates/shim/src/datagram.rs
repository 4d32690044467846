//! Datagram sockets: the header before each message.
//!
//! A datagram travels on the pair as one message, [`Header`] and payload. Sending puts our header before the program's pieces, receiving puts our
//! buffer before the program's; payload is never copied here and pointers to it are the kernel's to judge. The kernel's own rules for
//! truncation, peeking and waiting then hold for the payload as they stand.
//!
//! What the node finds wrong with a datagram (no route, no permission to broadcast), or hears of it later (a port nobody listens on), comes
//! back as a message of its own, and the next call on the socket fails with that error, as on Linux. But a program wants to hear of the
//! first kind from the call that sends. So after its first datagram to a destination the node is asked (`Flush`); while the destination stays the
//! same, nobody is asked. Which it was last, the descriptor remembers: its least to receive (`SO_RCVLOWAT`), which has no meaning on a socket that
//! keeps the bounds of messages, holds a hash of it. Everything that could change the answer (connect, options) forgets it.

use crate::address::Encoded;
use crate::exchange::{self, NO_NODE};
use crate::sys::{self, Errno, outcome};
use crate::{memory, real};
use libc::{c_int, iovec};
use sockeye_control::datagram::{Header, Kind, Wanted};
use sockeye_control::{Address, Family, Request, SocketName};

const AGAIN: Errno = Errno(libc::EAGAIN);
const UNSUPPORTED: Errno = Errno(libc::EOPNOTSUPP);

/// The most pieces that a system call takes (`UIO_MAXIOV`).
pub(crate) const MAX_PIECES: usize = 1024;

/// Calls `act` with the program's pieces behind a free place for the header.
///
/// [`MAX_PIECES`] pieces of the program leave no place: `EMSGSIZE`.
pub(crate) fn with_pieces<T>(
    from: *const iovec,
    count: usize,
    act: impl FnOnce(&mut [iovec]) -> Result<T, Errno>,
) -> Result<T, Errno> {
    // Most have one or two; a place for all is 16 KiB of a stack that may be small.
    if count < 16 { gather::<16, T>(from, count, act) } else { gather::<MAX_PIECES, T>(from, count, act) }
}

#[inline(never)]
fn gather<const N: usize, T>(
    from: *const iovec,
    count: usize,
    act: impl FnOnce(&mut [iovec]) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut pieces = [exchange::piece(std::ptr::null(), 0); N];
    let used = pieces.get_mut(..=count).ok_or(Errno(libc::EMSGSIZE))?;
    memory::read_array(from, &mut used[1..])?;
    act(used)
}

/// Sends the pieces but the first, which is the header's place.
pub(crate) fn send(
    fd: c_int,
    name: SocketName,
    header: &Header,
    pieces: &mut [iovec],
    flags: c_int,
) -> Result<usize, Errno> {
    // UDP has no urgent data, and what `MSG_MORE` holds back here would be sent apart.
    if flags & (libc::MSG_OOB | libc::MSG_MORE) != 0 {
        return Err(UNSUPPORTED);
    }
    let most = match name.family {
        Family::V4 | Family::V6 => 65_535,
        // With headers, and as many segments as travel in one piece.
        Family::Packet => 66 * 1024,
    };
    let len = pieces.iter().skip(1).fold(0usize, |len, piece| len.saturating_add(piece.iov_len));
    if len > most {
        return Err(Errno(libc::EMSGSIZE));
    }
    // Linux tells a pending error to whoever comes first.
    if let Some(errno) = take_error(fd) {
        return Err(errno);
    }
    let destination = destination(header, len);
    let known = is_last_destination(fd, destination);
    let mut header = *header;
    header.wanted.set(Wanted::ANSWER, !known);
    let header = header.encode();
    pieces[0] = exchange::piece(header.as_ptr().cast(), header.len());
    let message = exchange::message(pieces);
    let flags = flags & libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header points to our own bytes and to the program's, which the kernel judges.
    match outcome(|| unsafe { real::sendmsg(fd, &message, flags) }) {
        Ok(_) if known => Ok(len),
        Ok(_) => {
            exchange::order(fd, &Request::Flush { id: name.id })?;
            let _ = sys::set_option(fd, libc::SO_RCVLOWAT, &destination);
            Ok(len)
        }
        Err(Errno(libc::EPIPE | libc::ENOTCONN | libc::ECONNRESET | libc::ECONNREFUSED)) => {
            // Shut down by the program, or the node is gone.
            Err(if exchange::socket_error(fd, name.id) == Err(NO_NODE) { NO_NODE } else { Errno(libc::EPIPE) })
        }
        Err(errno) => Err(errno),
    }
}

/// A payload that fits into one packet nearly everywhere need not be judged by its length.
const SHORT: usize = 1232;

/// A number for what decides whether a datagram can be sent: where to, where from, how long. Never the one of a fresh descriptor, which is 1.
fn destination(header: &Header, len: usize) -> c_int {
    let piece = if header.segment == 0 { len } else { usize::from(header.segment) };
    // FNV-1a. A collision costs a program the error of one call, and it can only deceive itself.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for address in [header.remote, header.local.map(Address::Internet)] {
        match address {
            None => add(0),
            Some(address) => Encoded::new(address).as_bytes().iter().copied().for_each(&mut add),
        }
    }
    if piece > SHORT {
        piece.to_le_bytes().into_iter().for_each(&mut add);
    }
    ((hash >> 33) as c_int).max(2)
}

fn is_last_destination(fd: c_int, destination: c_int) -> bool {
    let mut last: c_int = 0;
    sys::option(fd, libc::SO_RCVLOWAT, &mut last).is_ok() && last == destination
}

/// The next datagram will be asked after.
pub(crate) fn forget_destination(fd: c_int) {
    let _ = sys::set_option::<c_int>(fd, libc::SO_RCVLOWAT, &1);
}

/// Takes the error that stands first in the queue, if one does.
pub(crate) fn take_error(fd: c_int) -> Option<Errno> {
    let mut bytes = [0; Header::LEN];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    sys::receive_message(fd, &mut exchange::message(&mut [own(&mut bytes)]), flags).ok()?;
    match Header::decode(&bytes) {
        Ok((Header { kind: Kind::Error(errno), .. }, _)) => {
            take_next(fd);
            Some(Errno(errno))
        }
        _ => None,
    }
}

/// A datagram that was received.
pub(crate) struct Incoming {
    /// What was before it; `None` at the end, after the program shut the socket down.
    pub(crate) header: Option<Header>,
    /// What the call returns.
    pub(crate) len: usize,
    /// `msg_flags`.
    pub(crate) flags: c_int,
}

/// Receives into the pieces but the first, which is the header's place.
pub(crate) fn receive(fd: c_int, name: SocketName, pieces: &mut [iovec], flags: c_int) -> Result<Incoming, Errno> {
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Err(AGAIN);
    }
    let mut bytes = [0; Header::LEN];
    pieces[0] = exchange::piece(bytes.as_mut_ptr().cast(), bytes.len());
    let mut message = exchange::message(pieces);
    let kept = flags & (libc::MSG_PEEK | libc::MSG_DONTWAIT | libc::MSG_TRUNC);
    // SAFETY: the header points to our own bytes and to the program's, which the kernel judges.
    let len = outcome(|| unsafe { real::recvmsg(fd, &mut message, kept) })? as usize;
    if len == 0 {
        return match exchange::socket_error(fd, name.id) {
            Err(NO_NODE) => Err(NO_NODE),
            _ => Ok(Incoming { header: None, len: 0, flags: 0 }),
        };
    }
    let (header, _) = Header::decode(&bytes).map_err(|_| exchange::NONSENSE)?;
    let len = len.checked_sub(Header::LEN).ok_or(exchange::NONSENSE)?;
    if let Kind::Error(errno) = header.kind {
        if flags & libc::MSG_PEEK != 0 {
            take_next(fd);
        }
        return Err(Errno(errno));
    }
    Ok(Incoming { header: Some(header), len, flags: message.msg_flags & libc::MSG_TRUNC })
}

/// An error is told once, even to who only peeks.
fn take_next(fd: c_int) {
    let mut bytes = [0; Header::LEN];
    let _ = sys::receive_message(fd, &mut exchange::message(&mut [own(&mut bytes)]), libc::MSG_DONTWAIT);
}

/// The length of the next datagram; 0 if there is none.
pub(crate) fn next_len(fd: c_int) -> Result<usize, Errno> {
    let mut bytes = [0; Header::LEN];
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    match sys::receive_message(fd, &mut exchange::message(&mut [own(&mut bytes)]), flags) {
        Ok(len) => match Header::decode(&bytes) {
            Ok((Header { kind: Kind::Data, .. }, _)) => Ok(len.saturating_sub(Header::LEN)),
            _ => Ok(0),
        },
        Err(AGAIN) => Ok(0),
        Err(errno) => Err(errno),
    }
}

fn own(bytes: &mut [u8; Header::LEN]) -> iovec {
    exchange::piece(bytes.as_mut_ptr().cast(), bytes.len())
}
