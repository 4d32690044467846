//! A question to the node, and its answer.
//!
//! It travels on a connection that the process keeps (`connection`). One that the node has closed meanwhile, because it ended or had no
//! room for the idle, takes no question; then a fresh one is tried.
//!
//! With each question goes who asks, as the process is now: a program may have connected as root and have become somebody else since. The
//! kernel lets nobody say what he is not.
//!
//! The node answers at once (names aside), so an exchange is not interrupted by signals; and since waking a process takes longer
//! than most answers, the first moments of waiting are spent awake ([`await_awake`]). Without a node: `ENETDOWN`.

use crate::connection::Connection;
use crate::environment;
use crate::sandbox::{self, Call};
use crate::sys::{self, Descriptor, Errno};
use libc::{c_int, c_void, cmsghdr, iovec, msghdr, ucred};
use sockeye_control::{MAX_CALL, MAX_OPTION, Reply, Request, SocketId};
use std::mem::{offset_of, zeroed};
use std::ops::Range;

pub(crate) const NO_NODE: Errno = Errno(libc::ENETDOWN);

/// The answer is not what it can be to the question.
pub(crate) const NONSENSE: Errno = Errno(libc::EPROTO);

/// Where an answer is kept.
pub(crate) type Buffer = [u8; MAX_CALL];

pub(crate) const fn buffer() -> Buffer {
    [0; MAX_CALL]
}

/// What goes with a question.
#[derive(Clone, Copy)]
pub(crate) struct Along {
    /// The socket that it is about, as proof.
    pub(crate) socket: Option<c_int>,
    /// The program's bytes that follow the question's own, where it ends in a value; unread here, the kernel judges the pointer.
    pub(crate) value: Option<(*const c_void, usize)>,
    /// Whether a descriptor in the answer closes on exec.
    pub(crate) close_on_exec: bool,
}

impl Along {
    pub(crate) fn nothing() -> Along {
        Along { socket: None, value: None, close_on_exec: true }
    }

    pub(crate) fn socket(fd: c_int) -> Along {
        Along { socket: Some(fd), ..Along::nothing() }
    }
}

/// An answer, with the descriptor that came with it.
pub(crate) struct Answer<'a> {
    pub(crate) reply: Reply<'a>,
    pub(crate) descriptor: Option<Descriptor>,
    /// The connection, if it was for this question only.
    connection: Option<Descriptor>,
}

impl Answer<'_> {
    /// The descriptor at the lowest number that was free before the exchange: the connection may have taken it.
    pub(crate) fn lowest(self, close_on_exec: bool) -> Result<c_int, Errno> {
        let descriptor = self.descriptor.ok_or(NONSENSE)?;
        match self.connection {
            Some(connection) if connection.number() < descriptor.number() => {
                let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
                sys::duplicate_over(descriptor.number(), connection.number(), flags)?;
                Ok(connection.into_number())
            }
            _ => Ok(descriptor.into_number()),
        }
    }
}

/// Asks about a socket.
pub(crate) fn about<'b>(fd: c_int, request: &Request<'_>, buffer: &'b mut Buffer) -> Result<Reply<'b>, Errno> {
    ask(request, Along::socket(fd), buffer).map(|answer| answer.reply)
}

/// Asks about a socket what is only done or refused.
pub(crate) fn order(fd: c_int, request: &Request<'_>) -> Result<(), Errno> {
    match about(fd, request, &mut buffer())? {
        Reply::Done => Ok(()),
        _ => Err(NONSENSE),
    }
}

/// A socket's pending error, which is cleared by asking; 0 for none.
pub(crate) fn socket_error(fd: c_int, id: SocketId) -> Result<c_int, Errno> {
    // The pair may have an error of its own, when the node went with something unread.
    let mut pair = 0;
    if !sandbox::forbids(Call::Option) {
        let _ = sys::option(fd, libc::SO_ERROR, &mut pair);
    }
    match number(fd, id, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => Ok(pair),
        error if error > 0 => Ok(error),
        _ => Err(NONSENSE),
    }
}

/// An option that is an int.
pub(crate) fn number(fd: c_int, id: SocketId, level: c_int, name: c_int) -> Result<c_int, Errno> {
    match about(fd, &Request::Option { id, level, name, len: 4 }, &mut buffer())? {
        Reply::Value(value) => value.first_chunk().map(|&bytes| c_int::from_ne_bytes(bytes)).ok_or(NONSENSE),
        _ => Err(NONSENSE),
    }
}

/// Asks.
pub(crate) fn ask<'b>(request: &Request<'_>, along: Along, buffer: &'b mut Buffer) -> Result<Answer<'b>, Errno> {
    let len = request.encode(buffer).map_err(|_| Errno(libc::EINVAL))?;
    let question = &buffer[..len];
    let mut connection = Connection::take().map_err(absent)?;
    let mut sent = send(&connection, question, along, true);
    // What is closed took nothing of it.
    while connection.used && matches!(sent, Err(Errno(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN))) {
        drop(connection);
        connection = Connection::take().map_err(absent)?;
        sent = send(&connection, question, along, true);
    }
    if let Err(errno) = sent {
        return Err(absent(errno));
    }
    let at_once = !matches!(request, Request::Resolve { .. } | Request::ResolveAddress { .. });
    let (len, descriptor) = receive(&connection, buffer, along.close_on_exec, at_once)?;
    let connection = if connection.is_kept() {
        connection.done();
        None
    } else {
        connection.into_descriptor()
    };
    match Reply::decode(buffer.get(..len).unwrap_or_default()) {
        Ok(Reply::Error { errno, reason }) => {
            environment::tell_refusal(Errno(errno), reason);
            Err(Errno(errno))
        }
        Ok(reply) => Ok(Answer { reply, descriptor, connection }),
        Err(_) => Err(NONSENSE),
    }
}

/// Asks for a board, for the connection that it will be asked on.
pub(crate) fn ask_for_board(connection: Connection) {
    let mut buffer = buffer();
    let len = Request::Board.encode(&mut buffer).unwrap_or(0);
    let asked = send(&connection, &buffer[..len], Along::nothing(), true);
    if let Ok((len, page)) = asked.and_then(|()| receive(&connection, &mut buffer, true, true)) {
        if let (Ok(Reply::Done), Some(page)) = (Reply::decode(buffer.get(..len).unwrap_or_default()), page) {
            connection.hang_up(&page);
        }
        connection.done();
    }
}

/// A control message that holds one descriptor. (More than one never comes; if it did, the kernel would close it.)
#[repr(C)]
struct Rights {
    header: cmsghdr,
    descriptor: c_int,
}

impl Rights {
    /// `CMSG_LEN` of one descriptor: without the padding at the end.
    const LEN: usize = offset_of!(Rights, descriptor) + size_of::<c_int>();

    fn new(descriptor: c_int) -> Rights {
        let header = cmsghdr { cmsg_len: Self::LEN as _, cmsg_level: libc::SOL_SOCKET, cmsg_type: libc::SCM_RIGHTS };
        Rights { header, descriptor }
    }

    fn received(&self, len: usize) -> Option<Descriptor> {
        let whole = len >= Self::LEN && self.header.cmsg_len == Self::LEN;
        let rights = self.header.cmsg_level == libc::SOL_SOCKET && self.header.cmsg_type == libc::SCM_RIGHTS;
        (whole && rights).then(|| Descriptor::new(self.descriptor))
    }
}

/// The control messages of a question: who asks, and the socket, if there is one.
#[repr(C)]
struct Proof {
    header: cmsghdr,
    credentials: ucred,
    padding: u32,
    rights: Rights,
}

impl Proof {
    /// `CMSG_LEN` of the credentials.
    const CREDENTIALS: usize = offset_of!(Proof, padding);

    fn new(socket: Option<c_int>, credentials: bool) -> Proof {
        let header = cmsghdr {
            cmsg_len: Self::CREDENTIALS as _,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_CREDENTIALS,
        };
        let nobody = ucred { pid: 0, uid: 0, gid: 0 };
        let credentials = if credentials { sys::credentials() } else { nobody };
        Proof { header, credentials, padding: 0, rights: Rights::new(socket.unwrap_or(-1)) }
    }

    /// The bytes of it that are meant.
    fn range(socket: bool, credentials: bool) -> Range<usize> {
        let begin = if credentials { 0 } else { offset_of!(Proof, rights) };
        let end = offset_of!(Proof, rights) + if socket { Rights::LEN } else { 0 };
        begin..end
    }
}

/// How often to look for something before sleeping, at most, and for how long. Before each look those who wait for this processor
/// run first, perhaps the node; when that takes long the processor is wanted for other things, and it is time to sleep.
pub(crate) const MOMENTS: u32 = 64;
const AWAKE: i64 = 50_000;

/// Looks for something, awake, for a moment. `None` if it did not come.
pub(crate) fn await_awake<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = sys::clock();
    for _ in 0..MOMENTS {
        if let Some(found) = look() {
            return Some(found);
        }
        if sys::clock().wrapping_sub(begin) > AWAKE {
            return None;
        }
        if !sandbox::forbids(Call::StepAside) {
            sys::step_aside();
        }
    }
    None
}

/// Sends a message, with or without who sends it.
pub(crate) fn send(connection: &Connection, request: &[u8], along: Along, credentials: bool) -> Result<(), Errno> {
    send_on(connection.number(), request, along, credentials)
}

/// Asks whoever holds the other end of a connection for one more ([`Request::Admit`]), and takes it.
pub(crate) fn ask_for_connection(door: c_int) -> Result<Descriptor, Errno> {
    let mut buffer = buffer();
    let len = Request::Admit.encode(&mut buffer).map_err(|_| NONSENSE)?;
    let (ours, theirs) = sys::pair()?;
    send_on(door, &buffer[..len], Along::socket(theirs.number()), true)?;
    // From here on only the node has it, so that its end is seen.
    drop(theirs);
    let (len, connection) = receive_on(ours.number(), &mut buffer, true, true)?;
    match Reply::decode(buffer.get(..len).unwrap_or_default()) {
        Ok(Reply::Done) => connection.ok_or(NONSENSE),
        _ => Err(NONSENSE),
    }
}

fn send_on(connection: c_int, request: &[u8], along: Along, credentials: bool) -> Result<(), Errno> {
    // Where a process may not ask who it is, the kernel says it.
    let credentials = credentials && !sandbox::forbids(Call::Who);
    let mut proof = Proof::new(along.socket, credentials);
    let mut pieces = [piece(request.as_ptr().cast(), request.len()), piece(std::ptr::null(), 0)];
    let mut count = 1;
    if let Some((value, len)) = along.value {
        pieces[1] = piece(value, len.min(MAX_OPTION));
        count = 2;
    }
    let mut message = message(&mut pieces[..count]);
    let mut send = |credentials| {
        let range = Proof::range(along.socket.is_some(), credentials);
        message.msg_control = std::ptr::from_mut(&mut proof).cast::<c_void>().wrapping_byte_add(range.start);
        message.msg_controllen = range.len() as _;
        sys::again(|| sys::send_message(connection, &message, libc::MSG_NOSIGNAL)).map(drop)
    };
    match send(credentials) {
        // In a user namespace without numbers nobody can say who he is. The kernel says it.
        Err(Errno(libc::EINVAL | libc::EPERM)) if credentials => send(false),
        sent => sent,
    }
}

fn receive(
    connection: &Connection,
    buffer: &mut Buffer,
    close_on_exec: bool,
    at_once: bool,
) -> Result<(usize, Option<Descriptor>), Errno> {
    receive_on(connection.number(), buffer, close_on_exec, at_once).map_err(absent)
}

fn receive_on(
    connection: c_int,
    buffer: &mut Buffer,
    close_on_exec: bool,
    at_once: bool,
) -> Result<(usize, Option<Descriptor>), Errno> {
    let flags = if close_on_exec { libc::MSG_CMSG_CLOEXEC } else { 0 };
    let received = receive_with_descriptor(buffer, |message| {
        let mut look = || match sys::receive_message(connection, message, flags | libc::MSG_DONTWAIT) {
            Err(Errno(libc::EAGAIN)) => None,
            received => Some(received),
        };
        let soon = if at_once { await_awake(&mut look) } else { None };
        soon.unwrap_or_else(|| sys::again(|| sys::receive_message(connection, message, flags)))
    })?;
    match received {
        Received { len: 0, .. } => Err(Errno(libc::ECONNRESET)),
        // The process has no number left.
        Received { descriptor: None, lost: true, .. } => Err(Errno(libc::EMFILE)),
        Received { len, descriptor, .. } => Ok((len, descriptor)),
    }
}

/// A message that may have brought a descriptor.
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) descriptor: Option<Descriptor>,
    /// There was one, but the process has no number for it.
    pub(crate) lost: bool,
}

/// Receives into a buffer, with room for one descriptor.
pub(crate) fn receive_with_descriptor(
    buffer: &mut [u8],
    receive: impl FnOnce(&mut msghdr) -> Result<usize, Errno>,
) -> Result<Received, Errno> {
    let mut rights = Rights::new(-1);
    let mut pieces = [piece(buffer.as_mut_ptr().cast(), buffer.len())];
    let mut message = message(&mut pieces);
    message.msg_control = std::ptr::from_mut(&mut rights).cast();
    message.msg_controllen = Rights::LEN as _;
    let len = receive(&mut message)?;
    let descriptor = rights.received(message.msg_controllen as _);
    Ok(Received { len, descriptor, lost: message.msg_flags & libc::MSG_CTRUNC != 0 })
}

pub(crate) fn piece(base: *const c_void, len: usize) -> iovec {
    iovec { iov_base: base.cast_mut(), iov_len: len }
}

pub(crate) fn message(pieces: &mut [iovec]) -> msghdr {
    // SAFETY: all zeros is a valid message header, one without anything.
    let mut message: msghdr = unsafe { zeroed() };
    message.msg_iov = pieces.as_mut_ptr();
    message.msg_iovlen = pieces.len() as _;
    message
}

/// What a failing control socket means to the program. What is wrong with the program itself stays as it is.
pub(crate) fn absent(errno: Errno) -> Errno {
    match errno.0 {
        libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EFAULT | libc::EBADF | libc::EACCES => errno,
        libc::ETOOMANYREFS => Errno(libc::ENOBUFS),
        _ => {
            environment::tell_absence(errno);
            NO_NODE
        }
    }
}
