//! `poll` and `ppoll`, for sockets that tell of errors.
//!
//! On Linux a socket with an error polls `ERR`. A pair can only have a message that says so, and polls `IN`. Programs that ask for errors one by one (`IP_RECVERR`:
//! traceroute, ping) look for `ERR`, so in a process where one did, what `poll` says of a socket of a node is looked at once more: if the first thing to be read
//! there is an error, `IN` becomes `ERR`. Any other process passes straight through. `select` makes no such difference, and `epoll` is not looked at.
//!
//! Who asks for nothing is told of errors all the same. The kernel would not wake him for a message, so it is asked for `IN` in his stead, on a copy of
//! the array ([`wait_for_errors`]); if it was data that came, the wait goes on, without that socket: an error behind data is told when they are read.

use crate::datagram::first_error;
use crate::names::identity;
use crate::sys::{self, Errno, answer};
use crate::{interpose, memory, real, ring};
use libc::{c_int, c_short, nfds_t, pollfd, sigset_t, size_t, timespec};
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, Ordering};

/// This process may hold a socket that tells of errors. Never cleared; fork copies it.
static EXPECTS_ERRORS: AtomicBool = AtomicBool::new(false);

const READABLE: c_short = libc::POLLIN | libc::POLLRDNORM;

/// The longest array that is copied.
const MOST: usize = 256;
const SECOND: i64 = 1_000_000_000;

/// A socket of this process may tell of errors.
pub(crate) fn expect_errors() {
    EXPECTS_ERRORS.store(true, Ordering::Relaxed);
}

unsafe extern "C" {
    /// libc's answer to a buffer that the compiler knows to be too small.
    fn __chk_fail() -> !;
}

interpose! {
    /// `poll(2)`.
    fn poll(descriptors: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
        ring::settle();
        let most = u64::try_from(timeout).ok().map(|milliseconds| milliseconds * 1_000_000);
        if let Some(ready) = wait_for_errors(descriptors, count, Ok(most), std::ptr::null()) {
            return answer(ready);
        }
        // SAFETY: the program's own arguments, as they came.
        let ready = unsafe { real::poll(descriptors, count, timeout) };
        // SAFETY: the kernel has just written to that array.
        unsafe { look(descriptors, count, ready) }
    }

    /// `ppoll(2)`.
    fn ppoll(descriptors: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int {
        ring::settle();
        if let Some(ready) = wait_for_errors(descriptors, count, Err(timeout), mask) {
            return answer(ready);
        }
        // SAFETY: the program's own arguments, as they came.
        let ready = unsafe { real::ppoll(descriptors, count, timeout, mask) };
        // SAFETY: the kernel has just written to that array.
        unsafe { look(descriptors, count, ready) }
    }

    /// `poll` where the compiler knows the array's size.
    fn __poll_chk(descriptors: *mut pollfd, count: nfds_t, timeout: c_int, size: size_t) -> c_int {
        if size / size_of::<pollfd>() < count as usize {
            // SAFETY: ends the program, as libc would.
            unsafe { __chk_fail() };
        }
        // SAFETY: the program's own arguments, as they came.
        unsafe { poll(descriptors, count, timeout) }
    }

    /// `ppoll` where the compiler knows the array's size.
    fn __ppoll_chk(descriptors: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, size: size_t) -> c_int {
        if size / size_of::<pollfd>() < count as usize {
            // SAFETY: ends the program, as libc would.
            unsafe { __chk_fail() };
        }
        // SAFETY: the program's own arguments, as they came.
        unsafe { ppoll(descriptors, count, timeout, mask) }
    }
}

/// Says `ERR` of those whose next message is an error. As many are ready as before.
///
/// # Safety
///
/// If any are ready, the array can be read and written.
unsafe fn look(descriptors: *mut pollfd, count: nfds_t, ready: c_int) -> c_int {
    if ready <= 0 || !EXPECTS_ERRORS.load(Ordering::Relaxed) {
        return ready;
    }
    for at in 0..count as usize {
        // SAFETY: within the array, by the caller's promise.
        let entry = unsafe { &mut *descriptors.add(at) };
        if entry.revents & READABLE != 0
            && identity(entry.fd).is_some_and(|name| !name.kind.is_stream())
            && first_error(entry.fd).is_some()
        {
            entry.revents = entry.revents & !READABLE | libc::POLLERR;
        }
    }
    ready
}

/// Waits as `poll` does, if there is a socket among the descriptors that is asked for nothing and may tell of an error. `timeout` in nanoseconds, or
/// as `ppoll` has it.
#[inline]
fn wait_for_errors(
    descriptors: *mut pollfd,
    count: nfds_t,
    timeout: Result<Option<u64>, *const timespec>,
    mask: *const sigset_t,
) -> Option<Result<c_int, Errno>> {
    if !EXPECTS_ERRORS.load(Ordering::Relaxed) {
        return None;
    }
    // What is wrong with the arguments is the kernel's to say.
    let timeout = match timeout {
        Ok(timeout) => timeout,
        Err(limit) if limit.is_null() => None,
        Err(limit) => {
            let timespec { tv_sec, tv_nsec } = memory::read_value(limit).ok()?;
            let part = u64::try_from(tv_nsec).ok().filter(|&part| part < SECOND as u64)?;
            Some(u64::try_from(tv_sec).ok()?.saturating_mul(SECOND as u64).saturating_add(part))
        }
    };
    wait_on_copy(descriptors, usize::try_from(count).ok()?, timeout, mask)
}

#[cold]
#[inline(never)]
fn wait_on_copy(
    descriptors: *mut pollfd,
    count: usize,
    timeout: Option<u64>,
    mask: *const sigset_t,
) -> Option<Result<c_int, Errno>> {
    let mut copy = [pollfd { fd: -1, events: 0, revents: 0 }; MOST];
    let mut added = [false; MOST];
    let (copy, added) = (copy.get_mut(..count)?, &mut added[..count]);
    memory::read_array(descriptors, copy).ok()?;
    // A wait of centuries has no end either.
    let end = timeout.and_then(|most| sys::clock().checked_add(i64::try_from(most).ok()?));
    let mut first = true;
    loop {
        for (entry, added) in copy.iter_mut().zip(&mut *added) {
            let asked = !*added && entry.events & READABLE != 0;
            *added = !asked && may_tell_of_error(entry.fd);
            entry.events = match (*added, asked) {
                (true, _) => entry.events | libc::POLLIN,
                (false, true) => entry.events,
                (false, false) => entry.events & !READABLE,
            };
        }
        if first && !added.contains(&true) {
            return None;
        }
        first = false;
        let left = end.map(|end| end.saturating_sub(sys::clock()).max(0));
        let limit = left.map(|left| timespec { tv_sec: left / SECOND, tv_nsec: left % SECOND });
        let limit_at = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: an array and a time of ours, and the program's mask.
        let waited = sys::outcome(|| unsafe { real::ppoll(copy.as_mut_ptr(), count as nfds_t, limit_at, mask) });
        if let Err(errno) = waited {
            return Some(Err(errno));
        }
        let mut ready = 0;
        for (entry, &added) in copy.iter_mut().zip(&*added) {
            let readable = entry.revents & READABLE != 0;
            if readable
                && identity(entry.fd).is_some_and(|name| !name.kind.is_stream())
                && first_error(entry.fd).is_some()
            {
                entry.revents = entry.revents & !READABLE | libc::POLLERR;
            } else if added {
                entry.revents &= !READABLE;
            }
            ready += c_int::from(entry.revents != 0);
        }
        if ready > 0 || left == Some(0) || waited == Ok(0) {
            let told = copy.iter().enumerate().try_for_each(|(at, entry)| {
                let to = descriptors.wrapping_add(at).wrapping_byte_add(offset_of!(pollfd, revents));
                memory::write(to.cast(), &entry.revents.to_ne_bytes())
            });
            return Some(told.map(|()| ready));
        }
    }
}

/// A socket of a node that is no stream, and has an error to tell of, or nothing yet.
fn may_tell_of_error(fd: c_int) -> bool {
    fd >= 0
        && identity(fd).is_some_and(|name| !name.kind.is_stream())
        && (first_error(fd).is_some() || sys::readiness(fd, libc::POLLIN) & libc::POLLIN == 0)
}
