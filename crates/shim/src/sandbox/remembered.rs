//! Which descriptors were a node's datagram sockets when the process locked itself in.
//!
//! Where a descriptor cannot be asked any more (`getsockname`), its number is all that there is. A program that locks itself in so far has what it needs, and
//! makes nothing new; if it closes such a socket all the same, and something else comes to its number, that is taken for the socket.

use libc::c_int;
use sockeye_control::SocketName;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

/// How many are remembered.
const MOST: usize = 64;
const NONE: c_int = -1;

struct Entry {
    fd: AtomicI32,
    name: [AtomicU8; SocketName::LEN],
}

static ENTRIES: [Entry; MOST] =
    [const { Entry { fd: AtomicI32::new(NONE), name: [const { AtomicU8::new(0) }; SocketName::LEN] } }; MOST];

/// What it was.
pub(super) fn find(fd: c_int) -> Option<SocketName> {
    let entry = ENTRIES.iter().find(|entry| fd >= 0 && entry.fd.load(Ordering::Acquire) == fd)?;
    SocketName::parse(&std::array::from_fn::<u8, { SocketName::LEN }, _>(|at| entry.name[at].load(Ordering::Relaxed)))
}

/// Remembers one; what is there by this number is replaced.
pub(super) fn add(fd: c_int, name: SocketName) {
    let has = |number| move |entry: &&Entry| entry.fd.load(Ordering::Relaxed) == number;
    if let Some(entry) = ENTRIES.iter().find(has(fd)).or_else(|| ENTRIES.iter().find(has(NONE))) {
        for (to, from) in entry.name.iter().zip(name.format()) {
            to.store(from, Ordering::Relaxed);
        }
        entry.fd.store(fd, Ordering::Release);
    }
}
