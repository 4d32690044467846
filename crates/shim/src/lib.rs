//! The part of Sockeye that runs inside an unmodified program: a library for `LD_PRELOAD` that interposes the C library's socket calls.
//!
//! # How it works
//!
//! A socket of a node is a real descriptor, one end of a Unix socket pair that the node made (see the `sockeye-control` crate). Reading, writing, polling,
//! duplicating, inheriting and closing it are the kernel's own work, and this library stays out of them. What it does:
//!
//! | call | here |
//! |---|---|
//! | `socket` | asks the node for a descriptor, if the family is one that the node serves (internet, packets, netlink) |
//! | `bind`, `listen`, `getsockname`, `getpeername`, `getsockopt`, `setsockopt`, `shutdown`, some `ioctl`s | asks the node; tells it what it does not refuse (`statement`) |
//! | `connect` | asks the node, then waits with `poll` if the descriptor blocks |
//! | `accept` | `recvmsg` on the listener's descriptor, over which the node sends connections |
//! | `send*`, `recv*`, `read*`, `write*` on a datagram socket | adds or strips the header that holds the addresses |
//! | the same on a stream | the kernel's; if it ends, asks the node whether it ended or was reset |
//! | `getifaddrs`, `if_nameindex`, `if_nametoindex`, `if_indextoname`, `ioctl`s about interfaces | asks the node for the interfaces that it has |
//! | `open`, `fopen`, `opendir`, `stat`, `readlink`, `access` of `/proc/net` and `/sys/class/net` | asks the node for a file that tells of its own world |
//! | `mmap` on a packet socket | maps the node's memory; `poll`, `select` and `epoll_wait` look there first |
//! | `getaddrinfo`, `getnameinfo`, `gethostby*` | asks the node for names, and libc for the rest |
//! | `exec*`, `posix_spawn`, `posix_spawnp` | passes on what keeps the new program on the node, and starts files with capabilities of the network by their loader |
//! | `syscall` | the socket calls, `read`, `write` and `execve` by their numbers are those of above |
//!
//! There is no table of descriptors: whether a descriptor is a node's socket, and which, is in the name that it is bound to
//! (`names`). So nothing here can go stale over dup, fork, exec, or descriptors passed between processes, and there is no lock. The only
//! state of the process is the addresses of libc's own functions (`real`), the control path (`environment`), where the program comes from (`exec`), the connections to the node that
//! it keeps and checks before each use (`connection`), which sockets it has shown on them (`statement`), and a flag and a counter that
//! stay zero in a process without datagram sockets and fresh streams, so that its `read` and `write` go straight through (`names`).
//!
//! # Rules of this house
//!
//! - The code runs in strangers' processes: before `main`, in signal handlers, between `vfork` and `exec`, on small stacks, in threads that may be
//!   cancelled. So no heap (but for a filter of system calls, when a program sets one), no locks, no thread-local state; what the shim does for itself are plain system calls (`sys`), which are no
//!   cancellation points; what may block the program goes through libc's own functions, which are.
//! - `errno` is touched only by a call that fails.
//! - Pointers from the program are judged by the kernel, so that bad ones are `EFAULT` as on Linux (`memory`).
//! - A panic cannot unwind through `extern "C"`: it would abort the program. There should be nothing that panics.
//!
//! # Where it differs from Linux, and why
//!
//! What a pair or libc's seams cannot do otherwise; everything that a node does not do yet is the node's to say.
//!
//! - *Not reached*: programs that make system calls without libc (static ones, Go's), libc's own inner calls (stdio reads a stream, but takes a
//!   reset for its end; the resolver's `res_*` ask the kernel's network; `system` and `popen` pass the environment on as the program has it), set-id programs and files
//!   with capabilities beyond the network, `io_uring`, `sendfile` and `splice` into a datagram socket.
//! - *Files*: a path of `/proc/net` or `/sys/class/net` is known by how it begins; one that is relative, or leads there through a link or `..`, is
//!   the kernel's, and so are `scandir` and `realpath` by libc. A file of `/proc/net` holds what was so when it was opened. A directory in `/sys` is not for a program
//!   that has another root directory than the node.
//! - *Netlink*: what tells of the machine (audit, uevents, SELinux, crypto) is the kernel's, and so is what glibc asks by itself.
//! - *Descriptors more*: a control call needs a connection to the node. A process keeps up to four, at numbers that programs do not come to. If it has
//!   none, and no free number, it is `EMFILE`, also where Linux needs none.
//!   `accept` without a free number loses the connection (the peer sees a reset), where Linux leaves it in the queue.
//! - *Streams*: a fresh one polls `IN|OUT` rather than `OUT|HUP`; a fresh one that was inherited over `exec` without the shim, or read by `io_uring`, yields a
//!   byte that nobody sent. A listener polls `OUT`, too. After a reset
//!   without anything unread there is `HUP` without `ERR`, and `write` (not `send`) raises SIGPIPE at once. `recvmmsg` takes a reset
//!   for the end. `MSG_FASTOPEN` is refused. Who asked for errors (`IP_RECVERR`, on that descriptor) is told by the next read or write what is said of a connection that goes on; one that sleeps is not
//!   woken, and `poll` does not say `ERR`.
//! - *connect*: a duplicate made before a failed `connect` stays failed when the other is connected again. A signal whose
//!   handler has `SA_RESTART` restarts the wait only if all of the program's handlers have it.
//! - *Datagrams*: what is wrong with a datagram (no peer, no route, no permission to broadcast, too long) the call that sends it tells for the first one to each
//!   destination, and after each change of an option. If the same becomes wrong later (a route goes), it is told by the next call on the socket. A destination
//!   that is not the last one costs an exchange with the node. A pending error that stands behind datagrams in the queue is told
//!   when they are read. An error makes the socket polled `IN` rather than `ERR`, but for `poll` and `ppoll` in a process that
//!   asked for errors one by one (`IP_RECVERR`); there a socket with an error behind datagrams polls `IN` until they are read. 1,024 pieces in one call are
//!   one too many.
//! - *Bad pointers*: option values, payloads and addresses are judged by the kernel (`EFAULT`). Names for the resolver are read as they are, as libc does.
//! - *A node that was killed*: options that it is only told may seem to be set, a thousand times at most, before it is noticed.
//! - *Sandboxes*: in a process that gave up system calls that the shim needs (seccomp(2)), a stream's reset with nothing unread is an end, a fresh stream's
//!   reads are the pair's, datagram sockets are known by their numbers, and bad pointers are followed (`sandbox`).
//! - *chroot*: a program that closes the connection that it does not know, or executes another one there, has no way to the node any more
//!   (`door`).

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
compile_error!("the shim interposes the calls of glibc on 64-bit Linux");

mod accept;
mod address;
mod connect;
mod connection;
mod datagram;
mod direct;
mod discard;
mod door;
mod environment;
mod exchange;
mod exec;
mod files;
mod filter;
mod hosts;
mod interfaces;
mod ioctl;
mod memory;
mod names;
mod numbers;
mod options;
mod patience;
mod poll;
mod real;
mod resolve;
mod ring;
mod sandbox;
mod socket;
mod statement;
mod stream;
mod sys;
mod transfer;
mod transmit;
mod watches;

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
        exec::remember();
        connection::prepare();
        names::look_for_inherited_sockets();
    }
    at_load
};
