//! A way to the node for who has left its path behind.
//!
//! A server that is careful changes its root directory to an empty one (chroot(2)), and makes sockets there, or lets its children make them. The control
//! path leads nowhere from there. So before the root changes, a connection is opened and kept for one purpose: to ask on it for others
//! ([`Request::Admit`](sockeye_control::Request::Admit)). Unlike those that questions go on ([`connection`](crate::connection)) it is inherited by
//! children, and several processes use it at once: what is said on it is never answered there, but on an end that goes along.
//!
//! It is known by the kernel's cookie, as the others are. If the program has closed it, or the node is gone, the path is tried as before. It closes on exec: a program
//! that begins in another root directory finds no shim there either.

use crate::connection::{connect_by_path, is_it, out_of_the_way};
use crate::exchange;
use crate::sys::Descriptor;
use crate::{interpose, real};
use libc::{c_char, c_int};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

static NUMBER: AtomicI32 = AtomicI32::new(-1);
static COOKIE: AtomicU64 = AtomicU64::new(0);

/// A connection through the door, if there is one.
pub(crate) fn connection() -> Option<Descriptor> {
    exchange::ask_for_connection(number()?).ok()
}

fn number() -> Option<c_int> {
    let number = NUMBER.load(Ordering::Acquire);
    (number >= 0 && is_it(number, COOKIE.load(Ordering::Relaxed))).then_some(number)
}

/// Opens it, if there is none.
fn open() {
    if number().is_none()
        && let Ok((door, cookie)) = connect_by_path().and_then(|low| out_of_the_way(&low))
    {
        COOKIE.store(cookie, Ordering::Relaxed);
        NUMBER.store(door.into_number(), Ordering::Release);
    }
}

interpose! {
    /// `chroot(2)`.
    fn chroot(path: *const c_char) -> c_int {
        open();
        // SAFETY: the program's own argument, as it came.
        unsafe { real::chroot(path) }
    }
}
