//! `poll` and `ppoll`, for sockets that tell of errors.
//!
//! On Linux a socket with an error polls `ERR`. A pair can only have a message that says so, and polls `IN`. Programs that ask for errors one by one (`IP_RECVERR`:
//! traceroute, ping) look for `ERR`, so in a process where one did, what `poll` says of a socket of a node is looked at once more: if the first thing to be read
//! there is an error, `IN` becomes `ERR`. Any other process passes straight through. `select` makes no such difference, and `epoll` is not looked at.

use crate::datagram::first_error;
use crate::names::identity;
use crate::{interpose, real, ring};
use libc::{c_int, c_short, nfds_t, pollfd, sigset_t, size_t, timespec};
use std::sync::atomic::{AtomicBool, Ordering};

/// This process may hold a socket that tells of errors. Never cleared; fork copies it.
static EXPECTS_ERRORS: AtomicBool = AtomicBool::new(false);

const READABLE: c_short = libc::POLLIN | libc::POLLRDNORM;

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
        // SAFETY: the program's own arguments, as they came.
        let ready = unsafe { real::poll(descriptors, count, timeout) };
        // SAFETY: the kernel has just written to that array.
        unsafe { look(descriptors, count, ready) }
    }

    /// `ppoll(2)`.
    fn ppoll(descriptors: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int {
        ring::settle();
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
