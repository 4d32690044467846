//! The part of Sockeye that runs inside an unmodified program: a library for `LD_PRELOAD` that interposes the C library's socket calls.
//!
//! # How it works
//!
//! A socket of a node is a real descriptor, one end of a Unix socket pair that the node made (see the `sockeye-control` crate). Reading, writing, polling,
//! duplicating, inheriting and closing it are the kernel's own work, and this library stays out of them. What it does:
//!
//! | call | here |
//! |---|---|
//! | `socket` | asks the node for a descriptor, if the family is one that the node serves |
//! | `bind`, `listen`, `getsockname`, `getpeername`, `getsockopt`, `setsockopt`, `shutdown`, some `ioctl`s | asks the node |
//! | `connect` | asks the node, then waits with `poll` if the descriptor blocks |
//! | `accept` | `recvmsg` on the listener's descriptor, over which the node sends connections |
//! | `send*`, `recv*`, `read*`, `write*` on a datagram socket | adds or strips the header that holds the addresses |
//! | the same on a stream | the kernel's; if it ends, asks the node whether it ended or was reset |
//! | `getaddrinfo`, `getnameinfo`, `gethostby*` | asks the node for names, and libc for the rest |
//!
//! There is no table of descriptors: whether a descriptor is a node's socket, and which, is in the name that it is bound to
//! (`names`). So nothing here can go stale over dup, fork, exec, or descriptors passed between processes, and there is no lock. The only
//! state of the process is the addresses of libc's own functions (`real`), the control path (`environment`) and a flag that
//! stays false in a process without datagram sockets, so that its `read` and `write` go straight through (`names`).
//!
//! # Rules of this house
//!
//! - The code runs in strangers' processes: before `main`, in signal handlers, between `vfork` and `exec`, on small stacks, in threads that may be
//!   cancelled. So no heap, no locks, no thread-local state; what the shim does for itself are plain system calls (`sys`), which are no
//!   cancellation points; what may block the program goes through libc's own functions, which are.
//! - `errno` is touched only by a call that fails.
//! - Pointers from the program are judged by the kernel, so that bad ones are `EFAULT` as on Linux (`memory`).
//! - A panic cannot unwind through `extern "C"`: it would abort the program. There should be nothing that panics.

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
compile_error!("the shim interposes the calls of glibc on 64-bit Linux");

mod accept;
mod address;
mod connect;
mod control_message;
mod datagram;
mod environment;
mod exchange;
mod hosts;
mod ioctl;
mod memory;
mod names;
mod options;
mod real;
mod resolve;
mod socket;
mod stream;
mod sys;
mod transfer;

/// Defines functions that take the place of libc's by their names.
///
/// In unit tests they keep their Rust names, lest they take the place of libc's in the test itself.
macro_rules! interpose {
    ($( $(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty $body:block )*) => {
        $(
            $(#[$attribute])*
            ///
            /// # Safety
            ///
            /// As for the function of libc whose place it takes.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            #[cfg_attr(test, allow(dead_code))]
            pub(crate) unsafe extern "C" fn $name($($argument: $type),*) -> $result $body
        )*
    };
}
pub(crate) use interpose;

/// Runs when the program is loaded, before its `main`, like a C library's constructor.
#[cfg_attr(not(test), unsafe(link_section = ".init_array"))]
#[used]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        real::find_all();
        environment::remember();
        names::look_for_inherited_datagram_sockets();
    }
    at_load
};
