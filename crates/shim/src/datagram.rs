//! Datagram sockets: the header before each message.
//!
//! A datagram travels on the pair as one message: [`Header`], control messages, payload. Sending puts our header and the program's control
//! messages before the program's pieces, receiving puts our buffer before them; payload is not copied here and pointers to it are the
//! kernel's to judge. The kernel's own rules for peeking and waiting then hold as they stand.
//!
//! One call receives all, though nobody knows beforehand how long the list of control messages is: it has a place in our buffer. Of a
//! longer one (IPv6's extension headers) the rest comes to stand before the payload in the program's pieces, and the payload's end behind them in a
//! piece of ours; then all of it is moved to its place ([`unshift`]). Looking at the header first would be a second call, after which
//! another thread or process may have taken the message.
//!
//! What the node finds wrong with a datagram (no route, no permission to broadcast), or hears of it later (a port nobody listens on), comes
//! back as a message of its own, and the next call on the socket fails with that error, as on Linux. But a program wants to hear of the
//! first kind from the call that sends. So after its first datagram to a destination the node is asked (`Flush`); while the destination stays the
//! same, nobody is asked. Which it was last, the descriptor remembers: its least to receive (`SO_RCVLOWAT`), which has no meaning on a socket that
//! keeps the bounds of messages, holds a hash of it. Everything that could change the answer (connect, options) forgets it.

use crate::address::Encoded;
use crate::exchange::{self, NO_NODE};
use crate::names::identity;
use crate::sandbox::{self, Call};
use crate::sys::{self, Errno, outcome};
use crate::{memory, real, ring, transmit};
use libc::{c_int, c_void, iovec};
use sockeye_control::datagram::{self, Header};
use sockeye_control::{Address, Family, Kind, Reply, Request, SocketName, ancillary};
use std::mem::MaybeUninit;
use std::ops::RangeInclusive;

const AGAIN: Errno = Errno(libc::EAGAIN);
const UNSUPPORTED: Errno = Errno(libc::EOPNOTSUPP);

/// The most pieces that a system call takes (`UIO_MAXIOV`).
pub(crate) const MAX_PIECES: usize = 1024;

/// Places that each call has for pieces of its own: two before the program's, and one behind.
pub(crate) const BEFORE: usize = 2;
const AROUND: usize = BEFORE + 1;

/// The places around one piece of the program's.
pub(crate) fn around(base: *const c_void, len: usize) -> [iovec; 1 + AROUND] {
    let free = exchange::piece(std::ptr::null(), 0);
    [free, free, exchange::piece(base, len), free]
}

/// Calls `act` with the program's pieces among free places.
///
/// So many pieces that they leave no place: `EMSGSIZE`.
pub(crate) fn with_pieces<T>(
    from: *const iovec,
    count: usize,
    act: impl FnOnce(&mut [iovec]) -> Result<T, Errno>,
) -> Result<T, Errno> {
    // Most have one or two; a place for all is 16 KiB of a stack that may be small.
    if count <= 16 - AROUND { gather::<16, T>(from, count, act) } else { gather::<MAX_PIECES, T>(from, count, act) }
}

#[inline(never)]
fn gather<const N: usize, T>(
    from: *const iovec,
    count: usize,
    act: impl FnOnce(&mut [iovec]) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut pieces = [exchange::piece(std::ptr::null(), 0); N];
    let used = pieces.get_mut(..count.saturating_add(AROUND)).ok_or(Errno(libc::EMSGSIZE))?;
    memory::read_array(from, &mut used[BEFORE..BEFORE + count])?;
    act(used)
}

/// How long what the program's pieces hold is.
pub(crate) fn total(pieces: &[iovec]) -> usize {
    own_excluded(pieces).iter().fold(0, |len, piece| len.saturating_add(piece.iov_len))
}

/// Shortens what the program's pieces hold.
fn cut(pieces: &mut [iovec], mut most: usize) {
    let behind = pieces.len() - 1;
    for piece in pieces.get_mut(BEFORE..behind).unwrap_or_default() {
        piece.iov_len = piece.iov_len.min(most);
        most -= piece.iov_len;
    }
}

fn own_excluded(pieces: &[iovec]) -> &[iovec] {
    pieces.get(BEFORE..pieces.len() - 1).unwrap_or_default()
}

/// What a program attaches to a datagram: a list of control messages.
#[derive(Clone, Copy)]
pub(crate) enum Control<'a> {
    /// Nothing, or what is short, as most are.
    Read(&'a [u8]),
    /// Where the program says it is; the kernel judges.
    Unread(*const c_void, usize),
}

impl Control<'_> {
    /// Nothing.
    pub(crate) const NONE: Control<'static> = Control::Read(&[]);
}

/// Sends the program's pieces, and the control messages that go with them.
pub(crate) fn send(
    fd: c_int,
    name: SocketName,
    remote: Option<Address>,
    control: Control<'_>,
    pieces: &mut [iovec],
    flags: c_int,
) -> Result<usize, Errno> {
    let more = flags & libc::MSG_MORE != 0;
    // There is no urgent data but a stream's.
    if flags & libc::MSG_OOB != 0 {
        return Err(UNSUPPORTED);
    }
    let most = match name.family {
        Family::V4 | Family::V6 | Family::Netlink => 65_535,
        // With headers, and as many segments as travel in one piece.
        Family::Packet => 66 * 1024,
    };
    let len = total(pieces);
    if len > most {
        // Over IPv6 the node keeps an error that says what would do. What is cut is still too long for it.
        if (name.family, name.kind) != (Family::V6, Kind::Datagram) {
            return Err(Errno(libc::EMSGSIZE));
        }
        cut(pieces, most + 1);
    }
    if name.family == Family::Packet
        && len == 0
        && let Some(sent) = transmit::send(fd, name, remote, flags)?
    {
        return Ok(sent);
    }
    // Linux tells a pending error to whoever comes first; but not who sends raw packets, nor questions.
    let raw = name.kind == Kind::Raw && name.family != Family::Packet;
    let netlink = name.family == Family::Netlink;
    if !raw
        && !netlink
        && let Some(errno) = take_error(fd, name)
    {
        return Err(errno);
    }
    let (list, listed, destination) = match control {
        Control::Read(list) => (list.as_ptr().cast(), list.len(), Some(destination(name, remote, list, len))),
        Control::Unread(list, len) => (list, len, None),
    };
    if listed > Header::MAX_SENT {
        return Err(Errno(libc::ENOBUFS));
    }
    let to_neighbor = flags & libc::MSG_DONTROUTE != 0 && !netlink && name.family != Family::Packet;
    // What is held back is judged with what follows it.
    let destination = if to_neighbor || more { None } else { destination };
    // The answer to a question is there when the call returns.
    let known = !netlink && destination.is_some_and(|destination| is_last_destination(fd, destination));
    let header = Header { answer: !known, control: listed as u16, more, to_neighbor, ..Header::data(remote) }.encode();
    pieces[0] = exchange::piece(header.as_ptr().cast(), header.len());
    pieces[1] = exchange::piece(list, listed);
    let last = pieces.len() - 1;
    let message = exchange::message(&mut pieces[..last]);
    let flags = flags & libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header points to our own bytes and to the program's, which the kernel judges.
    match outcome(|| unsafe { real::sendmsg(fd, &message, flags) }) {
        Ok(_) if known => Ok(len),
        Ok(_) => {
            match exchange::order(fd, &Request::Flush { id: name.id }) {
                // The node has the datagram. That another thread has closed the descriptor since, or put something else there, is no matter.
                Err(_) if identity(fd) != Some(name) => return Ok(len),
                answer => answer?,
            }
            if let Some(destination) = destination.filter(|_| !netlink && !sandbox::forbids(Call::SetOption)) {
                let _ = sys::set_option(fd, libc::SO_RCVLOWAT, &destination);
            }
            Ok(len)
        }
        Err(Errno(libc::EPIPE | libc::ENOTCONN | libc::ECONNRESET | libc::ECONNREFUSED)) => {
            // Shut down by the program, or the node is gone.
            Err(if exchange::socket_error(fd, name.id) == Err(NO_NODE) { NO_NODE } else { Errno(libc::EPIPE) })
        }
        Err(errno) => Err(errno),
    }
}

/// A payload that fits into one packet nearly everywhere, and is as long as any link header, need not be judged by its length.
const SHORT: RangeInclusive<usize> = 14..=1232;

/// `UDP_SEGMENT`.
const SEGMENT: c_int = 103;

/// A number for what decides whether a datagram can be sent: where to, with what, how long. Never the one of a fresh descriptor, which is 1.
fn destination(name: SocketName, remote: Option<Address>, control: &[u8], len: usize) -> c_int {
    // FNV-1a. A collision costs a program the error of one call, and it can only deceive itself.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    match remote {
        None => add(0),
        Some(address) => Encoded::new(address).as_bytes().iter().copied().for_each(&mut add),
    }
    control.iter().copied().for_each(&mut add);
    // What is sent in segments is judged by their length, which is one of the control messages.
    let is_segment = |message: ancillary::Message<'_>| (message.level, message.kind) == (libc::SOL_UDP, SEGMENT);
    // A raw packet may be too short for the header that it brings.
    let judged = name.kind == Kind::Raw || !SHORT.contains(&len);
    if judged && !ancillary::messages(control).flatten().any(is_segment) {
        len.to_le_bytes().into_iter().for_each(&mut add);
    }
    ((hash >> 33) as c_int).max(2)
}

fn is_last_destination(fd: c_int, destination: c_int) -> bool {
    let mut last: c_int = 0;
    !sandbox::forbids(Call::Option) && sys::option(fd, libc::SO_RCVLOWAT, &mut last).is_ok() && last == destination
}

/// The next datagram will be asked after.
pub(crate) fn forget_destination(fd: c_int) {
    if !sandbox::forbids(Call::SetOption) {
        let _ = sys::set_option::<c_int>(fd, libc::SO_RCVLOWAT, &1);
    }
}

/// Takes the error that stands first in the queue, if one does.
pub(crate) fn take_error(fd: c_int, name: SocketName) -> Option<Errno> {
    let (errno, answer) = first_error(fd)?;
    take_next(fd);
    if answer { kept_error(fd, name) } else { Some(errno) }
}

/// The error that stands first in the queue, if one does; and whether it is only said that there is one.
pub(crate) fn first_error(fd: c_int) -> Option<(Errno, bool)> {
    let mut bytes = [0; Header::LEN];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    sys::receive_message(fd, &mut exchange::message(&mut [own(&mut bytes)]), flags).ok()?;
    match Header::decode(&bytes) {
        Ok((Header { kind: datagram::Kind::Error(errno), answer, .. }, _)) => Some((Errno(errno), answer)),
        _ => None,
    }
}

/// The error that the node keeps for the socket, if there is one.
fn kept_error(fd: c_int, name: SocketName) -> Option<Errno> {
    exchange::socket_error(fd, name.id).ok().filter(|&errno| errno != 0).map(Errno)
}

/// An error of the queue: `recvmsg` with `MSG_ERRQUEUE`.
#[cold]
#[inline(never)]
fn receive_error<T: Default>(
    fd: c_int,
    name: SocketName,
    pieces: &[iovec],
    control: impl FnOnce(&mut [u8]) -> Result<T, Errno>,
) -> Result<(Incoming, T), Errno> {
    // The message that tells of it goes with it; a stream has none.
    if !name.kind.is_stream()
        && let Some((_, true)) = first_error(fd)
    {
        take_next(fd);
    }
    let mut buffer = exchange::buffer();
    let Reply::Message(message) = exchange::about(fd, &Request::TakeError { id: name.id }, &mut buffer)? else {
        return Err(exchange::NONSENSE);
    };
    let (header, list, payload) = Header::split(message).map_err(|_| exchange::NONSENSE)?;
    let mut bytes = [0; Header::MAX_RECEIVED];
    let copy = bytes.get_mut(..list.len()).ok_or(exchange::NONSENSE)?;
    copy.copy_from_slice(list);
    let given = control(copy)?;
    let mut rest = payload;
    for piece in own_excluded(pieces) {
        let (part, more) = rest.split_at(rest.len().min(piece.iov_len));
        memory::write(piece.iov_base, part)?;
        rest = more;
    }
    let cut = if rest.is_empty() { 0 } else { libc::MSG_TRUNC };
    let flags = libc::MSG_ERRQUEUE | cut;
    Ok((Incoming { remote: header.remote, len: payload.len() - rest.len(), flags }, given))
}

/// A datagram that was received.
pub(crate) struct Incoming {
    /// Whom it came from.
    pub(crate) remote: Option<Address>,
    /// What the call returns.
    pub(crate) len: usize,
    /// `msg_flags`.
    pub(crate) flags: c_int,
}

impl Incoming {
    /// After the program shut the socket down.
    const END: Incoming = Incoming { remote: None, len: 0, flags: 0 };
}

/// A message's beginning: the header, and the place for control messages.
const BEGINNING: usize = Header::LEN + Header::PLACE;

/// What does not fit into the place.
const BEYOND: usize = Header::MAX_RECEIVED - Header::PLACE;

/// Receives into the program's pieces, without control messages.
pub(crate) fn receive(fd: c_int, name: SocketName, pieces: &mut [iovec], flags: c_int) -> Result<Incoming, Errno> {
    receive_with(fd, name, pieces, flags, |_| Ok(())).map(|(incoming, ())| incoming)
}

/// Receives into the program's pieces; `control` gets the list of control messages.
pub(crate) fn receive_with<T: Default>(
    fd: c_int,
    name: SocketName,
    pieces: &mut [iovec],
    flags: c_int,
    control: impl FnOnce(&mut [u8]) -> Result<T, Errno>,
) -> Result<(Incoming, T), Errno> {
    if flags & libc::MSG_ERRQUEUE != 0 {
        return receive_error(fd, name, pieces, control);
    }
    let room = total(pieces);
    let mut beginning = [0; BEGINNING];
    let mut end = MaybeUninit::<[u8; BEYOND]>::uninit();
    let last = pieces.len() - 1;
    pieces[BEFORE - 1] = exchange::piece(beginning.as_mut_ptr().cast(), beginning.len());
    pieces[last] = exchange::piece(end.as_mut_ptr().cast_const().cast(), BEYOND);
    // How long the payload was can only be told from how long all of it was.
    let kept = flags & (libc::MSG_PEEK | libc::MSG_DONTWAIT) | libc::MSG_TRUNC;
    let (whole, header, place) = loop {
        let mut message = exchange::message(&mut pieces[BEFORE - 1..]);
        // SAFETY: the header points to our own bytes and to the program's, which the kernel judges.
        let whole = outcome(|| unsafe { real::recvmsg(fd, &mut message, kept) })? as usize;
        if whole == 0 {
            return match exchange::socket_error(fd, name.id) {
                Err(NO_NODE) => Err(NO_NODE),
                _ => Ok((Incoming::END, T::default())),
            };
        }
        let (header, place) = Header::decode(&beginning).map_err(|_| exchange::NONSENSE)?;
        if header.kind == datagram::Kind::Ready {
            // That there is something in a ring is nothing to read.
            if flags & libc::MSG_PEEK != 0 {
                take_next(fd);
            }
            ring::was_read(name);
            continue;
        }
        let datagram::Kind::Error(errno) = header.kind else { break (whole, header, place) };
        if flags & libc::MSG_PEEK != 0 {
            take_next(fd);
        }
        if !header.answer {
            return Err(Errno(errno));
        }
        // It was told or taken meanwhile: what comes next is what was meant.
        if let Some(errno) = kept_error(fd, name) {
            return Err(errno);
        }
    };
    let len = whole.checked_sub(header.payload_at()).ok_or(exchange::NONSENSE)?;
    let listed = usize::from(header.control);
    let given = if listed <= Header::PLACE {
        control(&mut beginning[Header::LEN..Header::LEN + listed])?
    } else {
        // SAFETY: the kernel has just written to these pieces, from the first on, all that there was and room for.
        unsafe { unshift(&pieces[BEFORE..], place, listed, whole - BEGINNING, control)? }
    };
    let told = if flags & libc::MSG_TRUNC != 0 { len } else { len.min(room) };
    let lost = if header.lost { libc::MSG_CTRUNC } else { 0 };
    let flags = if len > room { libc::MSG_TRUNC } else { 0 } | lost;
    Ok((Incoming { remote: header.remote, len: told, flags }, given))
}

/// Gives `control` a list of control messages that found no room in its place, and takes the payload that stands behind the rest of it, in the
/// same pieces, to where it belongs.
///
/// # Safety
///
/// The first `filled` bytes of the pieces, or all if they are fewer, can be read and written.
#[cold]
#[inline(never)]
unsafe fn unshift<T>(
    pieces: &[iovec],
    place: &[u8],
    listed: usize,
    filled: usize,
    control: impl FnOnce(&mut [u8]) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut list = [0; Header::MAX_RECEIVED];
    let list = list.get_mut(..listed).ok_or(exchange::NONSENSE)?;
    let (front, rest) = list.split_at_mut_checked(place.len()).ok_or(exchange::NONSENSE)?;
    front.copy_from_slice(place);
    let rest = exchange::piece(rest.as_ptr().cast(), rest.len());
    let mut from = Cursor::new(pieces);
    // SAFETY: the list is ours, and the caller's promise. Each byte moves towards the beginning of the pieces, so that none is overwritten before
    // it was read (pieces of the program's that overlap each other are the program's own fault).
    unsafe {
        let moved = from.copy_to(&mut Cursor::new(&[rest]), filled);
        from.copy_to(&mut Cursor::new(pieces), filled.saturating_sub(moved));
    }
    control(list)
}

/// A place in pieces.
struct Cursor<'a> {
    pieces: &'a [iovec],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(pieces: &'a [iovec]) -> Self {
        Cursor { pieces, at: 0 }
    }

    /// The rest of the piece it is in; `None` at the end.
    fn piece(&mut self) -> Option<(*mut u8, usize)> {
        while let [piece, rest @ ..] = self.pieces {
            if self.at < piece.iov_len {
                return Some((piece.iov_base.cast::<u8>().wrapping_add(self.at), piece.iov_len - self.at));
            }
            (self.pieces, self.at) = (rest, 0);
        }
        None
    }

    /// Copies until either ends, `most` bytes at most; how many it were.
    ///
    /// # Safety
    ///
    /// That many bytes can be read here, and written there.
    unsafe fn copy_to(&mut self, to: &mut Cursor<'_>, most: usize) -> usize {
        let mut done = 0;
        while let (Some((source, there)), Some((target, room))) = (self.piece(), to.piece())
            && done < most
        {
            let count = there.min(room).min(most - done);
            // SAFETY: the caller's promise; both are in one piece each.
            unsafe { std::ptr::copy(source, target, count) };
            self.at += count;
            to.at += count;
            done += count;
        }
        done
    }
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
            Ok((header @ Header { kind: datagram::Kind::Data, .. }, _)) => Ok(len.saturating_sub(header.payload_at())),
            _ => Ok(0),
        },
        Err(AGAIN) => Ok(0),
        Err(errno) => Err(errno),
    }
}

fn own(bytes: &mut [u8; Header::LEN]) -> iovec {
    exchange::piece(bytes.as_mut_ptr().cast(), bytes.len())
}
