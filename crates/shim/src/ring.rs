//! Rings of packet sockets: memory that the node has, mapped where the program asks for it.
//!
//! A program maps a ring with `mmap` on its socket's descriptor, and reads frames there without a system call. Here the descriptor is a pair's, so
//! the node is asked for the file that has the memory, and that is mapped in the descriptor's place. `munmap` is the kernel's own.
//!
//! Whether there is something in a ring the program asks by waiting on the descriptor; how that stays true is told in
//! `sockeye_control::ring`. So that [`settle`] can do its part, each ring is mapped a second time for the shim, with the page behind it. A
//! process without a ring pays one comparison for each wait.
//!
//! Which rings there are a few places remember, by the socket's name, which is never used again; the descriptor's number is only where to look, and is asked
//! who it is before it is used. If it is another's by now, all numbers are asked, once: the program may have made a duplicate and closed the first. The places
//! are taken by whoever comes first; who comes second meanwhile does without, which costs a wake-up for nothing. That they are taken stands in a word that the
//! kernel wipes in a child ([`connection::free_in_children`]), as nobody there would give them back; and a place is in use from when all of it is written.

use crate::exchange::{self, Along, NONSENSE};
use crate::memory::PAGE;
use crate::names::{identity, identity_if};
use crate::sys::{self, Errno, set_errno};
use crate::{connection, interpose, real};
use libc::{c_int, c_void, epoll_event, fd_set, off_t, sigset_t, size_t, timespec, timeval};
use sockeye_control::datagram::{Header, Kind};
use sockeye_control::{self as control, Family, Reply, Request, SocketId, SocketName, ring};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};

const INVALID: Errno = Errno(libc::EINVAL);
/// Rings of a process that are known at a time. One too many cannot be mapped.
const MOST: usize = 32;

#[derive(Clone, Copy)]
struct Entry {
    name: SocketName,
    fd: c_int,
    /// The rings, and the page behind them.
    memory: *mut c_void,
    /// Bytes of the rings.
    len: usize,
}

/// An entry, if it is in use.
struct Place {
    used: AtomicBool,
    entry: Entry,
}

impl Place {
    const fn empty() -> Place {
        let name = SocketName { node: 0, family: Family::Packet, kind: control::Kind::Raw, id: SocketId([0; 16]) };
        Place { used: AtomicBool::new(false), entry: Entry { name, fd: -1, memory: std::ptr::null_mut(), len: 0 } }
    }

    fn get(&mut self) -> Option<&mut Entry> {
        self.used.load(Ordering::Acquire).then_some(&mut self.entry)
    }

    fn fill(&mut self, entry: Entry) {
        self.entry = entry;
        self.used.store(true, Ordering::Release);
    }

    fn forget(&mut self) {
        if self.used.swap(false, Ordering::AcqRel) {
            sys::unmap_bytes(self.entry.memory, self.entry.len + ring::LEN);
        }
    }
}

struct Table(UnsafeCell<[Place; MOST]>);

// SAFETY: used by whoever has taken it only.
unsafe impl Sync for Table {}

static HAS_RINGS: AtomicBool = AtomicBool::new(false);
static TABLE: Table = Table(UnsafeCell::new([const { Place::empty() }; MOST]));

/// Acts on the table, unless somebody else does: another thread, or this one, which a signal has interrupted.
fn with_table<T>(act: impl FnOnce(&mut [Place; MOST]) -> T) -> Option<T> {
    let taken = connection::free_in_children();
    if taken.swap(1, Ordering::Acquire) != 0 {
        return None;
    }
    // SAFETY: it was not taken, and is now.
    let result = act(unsafe { &mut *TABLE.0.get() });
    taken.store(0, Ordering::Release);
    Some(result)
}

interpose! {
    /// `mmap(2)`.
    fn mmap(address: *mut c_void, len: size_t, access: c_int, flags: c_int, fd: c_int, offset: off_t) -> *mut c_void {
        let ours = if flags & libc::MAP_ANONYMOUS == 0 && fd >= 0 { identity_if(false, fd) } else { None };
        let mapped = match ours {
            Some(name) if name.family == Family::Packet => map(name, fd, address, len, access, flags, offset),
            // The pair has no memory either.
            _ => sys::map(address, len, access, flags, fd, offset),
        };
        mapped.unwrap_or_else(|errno| {
            set_errno(errno);
            libc::MAP_FAILED
        })
    }

    /// `mmap64(2)`: on 64-bit machines there is no other.
    fn mmap64(address: *mut c_void, len: size_t, access: c_int, flags: c_int, fd: c_int, offset: off_t) -> *mut c_void {
        // SAFETY: the program's own arguments, as they came.
        unsafe { mmap(address, len, access, flags, fd, offset) }
    }

    /// `select(2)`.
    fn select(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int {
        settle();
        // SAFETY: the program's own arguments, as they came.
        unsafe { real::select(count, read, write, except, timeout) }
    }

    /// `pselect(2)`.
    fn pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, signals: *const sigset_t) -> c_int {
        settle();
        // SAFETY: the program's own arguments, as they came.
        unsafe { real::pselect(count, read, write, except, timeout, signals) }
    }

    /// `epoll_wait(2)`.
    fn epoll_wait(fd: c_int, events: *mut epoll_event, count: c_int, timeout: c_int) -> c_int {
        settle();
        // SAFETY: the program's own arguments, as they came.
        unsafe { real::epoll_wait(fd, events, count, timeout) }
    }

    /// `epoll_pwait(2)`.
    fn epoll_pwait(fd: c_int, events: *mut epoll_event, count: c_int, timeout: c_int, signals: *const sigset_t) -> c_int {
        settle();
        // SAFETY: the program's own arguments, as they came.
        unsafe { real::epoll_pwait(fd, events, count, timeout, signals) }
    }
}

fn map(
    name: SocketName,
    fd: c_int,
    address: *mut c_void,
    len: usize,
    access: c_int,
    flags: c_int,
    offset: off_t,
) -> Result<*mut c_void, Errno> {
    if offset != 0 {
        return Err(INVALID);
    }
    let mut buffer = exchange::buffer();
    let answer = exchange::ask(&Request::Memory { id: name.id }, Along::socket(fd), &mut buffer)?;
    let rings = match answer.reply {
        Reply::Value(value) => value.try_into().map(u64::from_ne_bytes).map_err(|_| NONSENSE)? as usize,
        _ => return Err(NONSENSE),
    };
    let file = answer.descriptor.ok_or(NONSENSE)?;
    // As the kernel has it: all of it, from the beginning, and whole pages.
    if len.checked_next_multiple_of(PAGE) != Some(rings) {
        return Err(INVALID);
    }
    let whole = rings.checked_add(ring::LEN).ok_or(NONSENSE)?;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    let memory = sys::map(std::ptr::null_mut(), whole, both, libc::MAP_SHARED, file.number(), 0)?;
    let entry = Entry { name, fd, memory, len: rings };
    let remembered = (0..exchange::MOMENTS).find_map(|_| {
        let done = with_table(|table| {
            // One that was mapped before has other memory now.
            for place in table.iter_mut() {
                if place.get().is_some_and(|old| old.name == name || !old.is_open()) {
                    place.forget();
                }
            }
            table.iter_mut().find_map(|place| place.get().is_none().then(|| place.fill(entry))).is_some()
        });
        if done.is_none() {
            sys::step_aside();
        }
        done
    });
    let mapped = if remembered == Some(true) {
        HAS_RINGS.store(true, Ordering::Relaxed);
        sys::map(address, len, access, flags, file.number(), 0)
    } else {
        sys::unmap_bytes(memory, whole);
        Err(Errno(libc::ENOMEM))
    };
    drop(file);
    mapped
}

/// Before the program waits: what a ring's descriptor polls shall be true.
#[inline]
pub(crate) fn settle() {
    if HAS_RINGS.load(Ordering::Relaxed) {
        with_table(|table| table.iter_mut().for_each(settle_one));
    }
}

#[cold]
fn settle_one(place: &mut Place) {
    let Some(entry) = place.get() else { return };
    if entry.has_something() {
        return;
    }
    if !entry.is_open() {
        return place.forget();
    }
    // Where a message was wanted already, none is old: what comes now is the only one for what it tells of.
    let signalled = entry.word(entry.len + ring::ARMED).swap(1, Ordering::SeqCst) == 0;
    fence(Ordering::SeqCst);
    if signalled && !entry.has_something() && next_is_ready(entry.fd) {
        take(entry.fd);
    }
}

impl Entry {
    /// Whether the process still has a descriptor of the socket; it is looked for, if it is not where it was.
    fn is_open(&mut self) -> bool {
        if identity(self.fd) == Some(self.name) {
            return true;
        }
        let mut found = None;
        let looked = sys::each_descriptor(|fd| {
            if found.is_none() && identity(fd) == Some(self.name) {
                found = Some(fd);
            }
        });
        self.fd = found.unwrap_or(self.fd);
        // Where none can be looked for, it may be.
        found.is_some() || looked.is_err()
    }

    /// Whether the slot or block that was last made the program's is its still.
    fn has_something(&self) -> bool {
        let last = self.word(self.len + ring::LAST).load(Ordering::SeqCst) as usize;
        last < self.len && self.word(last).load(Ordering::SeqCst) != 0
    }

    /// A word, at a multiple of four within the memory.
    fn word(&self, at: usize) -> &AtomicU32 {
        let at = at.min(self.len + ring::LEN - 4) & !3;
        // SAFETY: mapped as long as the entry stands, of this length, aligned; whatever stands there is a value.
        unsafe { &*self.memory.byte_add(at).cast::<AtomicU32>() }
    }
}

/// Whether the message that stands first on the pair is the node's signal.
fn next_is_ready(fd: c_int) -> bool {
    let mut bytes = [0; Header::LEN];
    let mut pieces = [exchange::piece(bytes.as_mut_ptr().cast(), bytes.len())];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    sys::receive_message(fd, &mut exchange::message(&mut pieces), flags).is_ok()
        && matches!(Header::decode(&bytes), Ok((Header { kind: Kind::Ready, .. }, _)))
}

fn take(fd: c_int) {
    let mut bytes = [0; Header::LEN];
    let mut pieces = [exchange::piece(bytes.as_mut_ptr().cast(), bytes.len())];
    let _ = sys::receive_message(fd, &mut exchange::message(&mut pieces), libc::MSG_DONTWAIT);
}

/// A signal was read by the program in a frame's place: the next one is wanted.
pub(crate) fn was_read(name: SocketName) {
    with_table(|table| {
        for entry in table.iter_mut().filter_map(Place::get).filter(|entry| entry.name == name) {
            entry.word(entry.len + ring::ARMED).store(1, Ordering::SeqCst);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_has_taken_is_free_in_a_child() {
        connection::prepare();
        let status = with_table(|_| {
            assert!(with_table(|_| ()).is_none(), "taken");
            // SAFETY: the child makes system calls only.
            match unsafe { libc::fork() } {
                // SAFETY: ends the child.
                0 => unsafe { libc::_exit(c_int::from(with_table(|_| ()).is_none())) },
                child => {
                    let mut status = -1;
                    // SAFETY: waits for the child that was just made.
                    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                    status
                }
            }
        });
        assert_eq!(status, Some(0));
        assert!(with_table(|_| ()).is_some());
    }
}
