//! Which descriptors are a node's sockets.
//!
//! The answer is in the descriptor: it is bound to a name of `sockeye_control::SocketName`'s form. Asking costs a system call, so
//! the calls that are used most (`read`, `write`, `send`, `recv`) do not ask while there is nothing to ask for: as long as the process holds no datagram
//! socket of a node (or raw or packet socket: all that are no streams). [`MAY_HOLD_DATAGRAM_SOCKETS`] says so. It is set by each way in which a process comes by one (socket, a
//! message with descriptors, inheritance over exec) and never cleared; fork copies it.
//!
//! The same holds for fresh streams, which are neither connected nor listen: TCP says so at once, where a pair would let the program wait. A
//! fresh stream's descriptor bears a mark ([`Mark`]), and [`FRESH_STREAMS`] counts how many this process may hold, so that nobody is asked
//! where there is none (nor of a number that never was a listener's: a listener has no peer either). One that is closed fresh, or connected by another process, stays counted; that costs system calls, and no more.

use crate::numbers::Numbers;
use crate::sandbox::{self, Call};
use crate::sys::{self, Errno};
use crate::{patience, poll};
use libc::{c_int, msghdr};
use sockeye_control::{Family, Kind, SocketName};
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static MAY_HOLD_DATAGRAM_SOCKETS: AtomicBool = AtomicBool::new(false);
static HAS_TIMES: AtomicBool = AtomicBool::new(false);
static FRESH_STREAMS: AtomicU32 = AtomicU32::new(0);
/// A guess: a connection that comes to such a number costs system calls, and a listener put on another by `dup2` is not noticed.
static LISTENERS: Numbers = Numbers::none();

/// What a descriptor says of itself, in every process that holds it. It is kept as the descriptor's priority (`SO_PRIORITY`), which has no
/// meaning on a Unix socket, and which the program never sees: its own `SO_PRIORITY` goes to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It has, or had, a connection.
    Connection = 0,
    Listener = 1,
    Fresh = 2,
    /// It has a connection, and a `connect` that waited has said so; the node does not know that it did.
    Told = 3,
    /// It was of IPv6, as its name says, and is of IPv4 (`IPV6_ADDRFORM`). It has a connection. The one mark that datagram sockets bear.
    Ipv4 = 4,
    /// The same of one that was told.
    Ipv4Told = 5,
}

/// Marks a descriptor.
pub(crate) fn mark(fd: c_int, mark: Mark) -> Result<(), Errno> {
    sys::set_option(fd, libc::SO_PRIORITY, &(mark as c_int))
}

/// Whether a descriptor bears this mark.
pub(crate) fn is_marked(fd: c_int, mark: Mark) -> bool {
    marked(fd) == Some(mark as c_int)
}

fn marked(fd: c_int) -> Option<c_int> {
    if sandbox::forbids(Call::Option) {
        return None;
    }
    let mut found: c_int = -1;
    sys::option(fd, libc::SO_PRIORITY, &mut found).ok().map(|()| found)
}

/// A stream of a node without a connection: a fresh one, or a listener.
pub(crate) fn unconnected(fd: c_int) -> Option<Mark> {
    if LISTENERS.has(fd) != Some(true) && FRESH_STREAMS.load(Ordering::Relaxed) == 0 || sandbox::cannot_ask() {
        return None;
    }
    identity(fd).filter(|name| name.kind == Kind::Stream)?;
    let found = marked(fd)?;
    [Mark::Fresh, Mark::Listener].into_iter().find(|&mark| found == mark as c_int)
}

/// The family of a socket: what its name says, or what it has become since.
pub(crate) fn family(fd: c_int, name: SocketName) -> Family {
    if name.family == Family::V6 && has_become_ipv4(fd) { Family::V4 } else { name.family }
}

fn has_become_ipv4(fd: c_int) -> bool {
    marked(fd).is_some_and(|found| found >= Mark::Ipv4 as c_int)
}

/// A socket of IPv6 has become one of IPv4.
pub(crate) fn become_ipv4(fd: c_int) -> Result<(), Errno> {
    mark(fd, if is_marked(fd, Mark::Told) { Mark::Ipv4Told } else { Mark::Ipv4 })
}

/// Whether a `connect` that waited has said that the stream has its connection.
pub(crate) fn is_told(fd: c_int) -> bool {
    is_marked(fd, Mark::Told) || is_marked(fd, Mark::Ipv4Told)
}

/// The process has set a timeout of some socket.
pub(crate) fn has_times() {
    HAS_TIMES.store(true, Ordering::Relaxed);
}

/// What is accepted waits as long as its listener. (Unless the listener had its timeouts from another program: nobody is asked where there may be none.)
pub(crate) fn inherit_times(listener: c_int, connection: c_int) -> Result<(), Errno> {
    let may_have = HAS_TIMES.load(Ordering::Relaxed) && !sandbox::forbids(Call::Option);
    if may_have { sys::copy_times(listener, connection) } else { Ok(()) }
}

/// This process made a stream.
pub(crate) fn born(fd: c_int) -> Result<(), Errno> {
    FRESH_STREAMS.fetch_add(1, Ordering::Relaxed);
    mark(fd, Mark::Fresh)
}

/// A stream is now a connection or a listener.
pub(crate) fn settle(fd: c_int, as_what: Mark) -> Result<(), Errno> {
    if as_what == Mark::Connection {
        patience::has_stream(fd);
    }
    if is_marked(fd, Mark::Fresh) {
        let _ = FRESH_STREAMS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
    }
    if as_what == Mark::Listener {
        LISTENERS.add(fd);
    }
    if has_become_ipv4(fd) {
        return Ok(());
    }
    mark(fd, as_what)
}

/// Which socket of a node this descriptor is; `None` for all other descriptors, open or not.
pub(crate) fn identity(fd: c_int) -> Option<SocketName> {
    if sandbox::forbids(Call::Name) {
        return sandbox::remembered(fd);
    }
    let (address, len) = sys::own_name(fd).ok()?;
    parse(&address, len)
}

/// Reads the name in a Unix socket's address.
pub(crate) fn parse(address: &libc::sockaddr_un, len: usize) -> Option<SocketName> {
    let path_len = len.checked_sub(offset_of!(libc::sockaddr_un, sun_path))?;
    if c_int::from(address.sun_family) != libc::AF_UNIX || path_len != SocketName::LEN {
        return None;
    }
    let mut path = [0u8; SocketName::LEN];
    for (to, &from) in path.iter_mut().zip(&address.sun_path) {
        *to = from as u8;
    }
    SocketName::parse(&path)
}

/// [`identity`], asked only where it can matter: `unusual` arguments, or a process that may hold datagram sockets.
pub(crate) fn identity_if(unusual: bool, fd: c_int) -> Option<SocketName> {
    if unusual || MAY_HOLD_DATAGRAM_SOCKETS.load(Ordering::Relaxed) { identity(fd) } else { None }
}

/// Tells of each datagram socket of a node that this process holds.
pub(crate) fn each_datagram_socket(mut act: impl FnMut(c_int, SocketName)) {
    if MAY_HOLD_DATAGRAM_SOCKETS.load(Ordering::Relaxed) {
        each_descriptor(|fd| {
            if let Some(name) = identity(fd).filter(|name| !name.kind.is_stream()) {
                act(fd, name);
            }
        });
    }
}

fn each_descriptor(mut act: impl FnMut(c_int)) {
    if sys::each_descriptor(&mut act).is_err() {
        (0..64).for_each(act);
    }
}

/// This process came by a descriptor.
pub(crate) fn learn(fd: c_int) {
    match identity(fd).map(|name| name.kind) {
        Some(Kind::Datagram | Kind::Raw) => MAY_HOLD_DATAGRAM_SOCKETS.store(true, Ordering::Relaxed),
        Some(Kind::Stream) if is_marked(fd, Mark::Fresh) => {
            FRESH_STREAMS.fetch_add(1, Ordering::Relaxed);
        }
        Some(Kind::Stream) if is_marked(fd, Mark::Listener) => LISTENERS.add(fd),
        Some(Kind::Stream) => patience::has_stream(fd),
        _ => {}
    }
}

/// Descriptors may have arrived with a message.
///
/// # Safety
///
/// The kernel has just filled the message.
pub(crate) unsafe fn learn_from(message: &msghdr) {
    if message.msg_control.is_null() || message.msg_controllen == 0 {
        return;
    }
    // SAFETY: the kernel filled the control messages, so that the headers are within the buffer.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = control.as_ref() {
            if header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(control).cast::<c_int>();
                let len = header.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize) / size_of::<c_int>();
                for at in 0..len {
                    learn(data.add(at).read_unaligned());
                }
            }
            control = libc::CMSG_NXTHDR(message, control);
        }
    }
}

/// A program may be started with sockets of a node, as inetd does.
pub(crate) fn look_for_inherited_sockets() {
    each_descriptor(learn);
    // Whoever set them up may have asked for errors.
    if MAY_HOLD_DATAGRAM_SOCKETS.load(Ordering::Relaxed) {
        poll::expect_errors();
    }
}
