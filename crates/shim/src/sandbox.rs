//! A process that has locked itself in.
//!
//! A program may give up system calls (seccomp(2)): sshd's child that talks to strangers keeps `read`, `write`, `poll` and a few more, and any other call is
//! its death. There the shim must make no call that the program would not have made. So from the moment that a filter stands,
//! reading and writing streams is the kernel's alone: nobody waits awake ([`patience`](crate::patience)), and why a stream ended is not asked
//! ([`stream`](crate::stream)). Calls that only the node can answer are made still: the program has made one like them itself.
//!
//! A filter that stood before the program was loaded says nothing: containers have one around every process, which lets the shim's calls through.

use crate::{interpose, names, real};
use libc::{c_int, c_ulong};
use std::sync::atomic::{AtomicBool, Ordering};

/// Never cleared, as no filter is ever taken away; fork copies it.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Whether this process has given up system calls.
pub(crate) fn is_entered() -> bool {
    ENTERED.load(Ordering::Relaxed)
}

/// Makes the call that gives up system calls.
pub(crate) fn enter<T: PartialEq + From<i8>>(call: impl FnOnce() -> T) -> T {
    names::look_for_datagram_sockets();
    let result = call();
    if result == T::from(0) {
        ENTERED.store(true, Ordering::Relaxed);
    }
    result
}

interpose! {
    /// `prctl(2)`. In C it takes a variable list of arguments, five with the first.
    fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        let call = || unsafe { real::prctl(option, a, b, c, d) };
        if option == libc::PR_SET_SECCOMP { enter(call) } else { call() }
    }
}
