//! A process that has locked itself in.
//!
//! A program may give up system calls (seccomp(2)): sshd's child that talks to strangers keeps `read`, `write`, `poll` and a few more, and any other call is
//! its death. There the shim must make no call that the program would not have made. What is forbidden is known: the filter is a
//! program that the kernel runs for each call, so when it is set the shim runs it for its own ones ([`verdict`]), and from then on does without those that it forbids
//! ([`forbids`]):
//!
//! - *What a descriptor is* (`getsockname`): datagram sockets are remembered by their numbers from before ([`names`]); a stream is what is not remembered.
//!   Of a stream's end nobody asks for a reason ([`cannot_ask`]).
//! - *Who asks* (`geteuid`): the kernel says it. *Whether a pointer is good* (`rt_sigprocmask`): it is believed. *Where a datagram went last*: the node is
//!   asked each time.
//! - *A connection to the node* (`socket`, `connect`): one is opened and kept before.
//!
//! - *Whether a file that is started needs its loader* ([`exec`](crate::exec)): it is started as it is.
//!
//! Nobody waits awake there ([`patience`](crate::patience)). Without `sendmsg` and `recvmsg` there are no datagrams and no questions; the calls are made still, as the
//! program has made one like them itself.
//!
//! A filter that stood before the program was loaded says nothing: containers have one around every process, which lets the shim's calls through.

mod remembered;
mod verdict;

use crate::{connection, interpose, names, real};
use libc::{c_int, c_long, c_ulong, sock_fprog};
use sockeye_control::SocketName;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Never cleared, as no filter is ever taken away; fork copies it.
static ENTERED: AtomicBool = AtomicBool::new(false);
/// A bit for each call that some filter forbids. Never cleared.
static FORBIDDEN: AtomicU32 = AtomicU32::new(0);

/// What the shim can do without.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    /// `getsockname`: what a descriptor is.
    Name,
    /// `getsockopt`, at the level of sockets.
    Option,
    /// `setsockopt`, at the level of sockets.
    SetOption,
    /// `geteuid` and its kin: who asks.
    Who,
    /// `rt_sigprocmask`: whether a pointer is good.
    Judge,
    /// `sched_yield`.
    StepAside,
    /// `ppoll` of one descriptor.
    Poll,
    /// `sendmsg` and `recvmsg`.
    Exchange,
    /// `socket` and `connect`: another connection to the node.
    Connect,
    /// What it takes to look at a file before it is started, and memory for that.
    Look,
}

/// The system calls that each of them is, with arguments that the filter may look at.
const CALLS: &[(Call, c_long, [u64; 3])] = &[
    (Call::Name, libc::SYS_getsockname, [3, POINTER, POINTER]),
    (Call::Option, libc::SYS_getsockopt, [3, libc::SOL_SOCKET as u64, libc::SO_COOKIE as u64]),
    (Call::SetOption, libc::SYS_setsockopt, [3, libc::SOL_SOCKET as u64, libc::SO_RCVLOWAT as u64]),
    (Call::Who, libc::SYS_geteuid, [0; 3]),
    (Call::Who, libc::SYS_getegid, [0; 3]),
    (Call::Who, libc::SYS_getpid, [0; 3]),
    (Call::Judge, libc::SYS_rt_sigprocmask, [u64::MAX, POINTER, 0]),
    (Call::StepAside, libc::SYS_sched_yield, [0; 3]),
    (Call::Poll, libc::SYS_ppoll, [POINTER, 1, POINTER]),
    (Call::Exchange, libc::SYS_sendmsg, [3, POINTER, libc::MSG_NOSIGNAL as u64]),
    (Call::Exchange, libc::SYS_recvmsg, [3, POINTER, libc::MSG_DONTWAIT as u64]),
    (Call::Connect, libc::SYS_socket, [libc::AF_UNIX as u64, libc::SOCK_SEQPACKET as u64, 0]),
    (Call::Connect, libc::SYS_connect, [3, POINTER, 110]),
    (Call::Look, libc::SYS_geteuid, [0; 3]),
    (Call::Look, libc::SYS_getxattr, [POINTER, POINTER, POINTER]),
    (Call::Look, libc::SYS_faccessat, [CURRENT, POINTER, libc::R_OK as u64]),
    (Call::Look, libc::SYS_newfstatat, [CURRENT, POINTER, POINTER]),
    (Call::Look, libc::SYS_openat, [CURRENT, POINTER, libc::O_CLOEXEC as u64]),
    (Call::Look, libc::SYS_pread64, [3, POINTER, 64]),
    (Call::Look, libc::SYS_close, [3, 0, 0]),
    (Call::Look, libc::SYS_mmap, [0, 8192, (libc::PROT_READ | libc::PROT_WRITE) as u64]),
    (Call::Look, libc::SYS_munmap, [POINTER, 8192, 0]),
];

/// Where a pointer may point.
const POINTER: u64 = 0x7fff_0000_0000;

/// The current directory, as the kernel takes it in a word.
const CURRENT: u64 = libc::AT_FDCWD as u64;

/// Whether this process has given up system calls.
pub(crate) fn is_entered() -> bool {
    ENTERED.load(Ordering::Relaxed)
}

/// Whether it has given up this one.
pub(crate) fn forbids(call: Call) -> bool {
    FORBIDDEN.load(Ordering::Relaxed) & bit(call) != 0
}

/// Whether what it takes to ask about a stream is forbidden.
pub(crate) fn cannot_ask() -> bool {
    [Call::Name, Call::Option, Call::Poll, Call::Exchange].into_iter().any(forbids)
}

/// What a descriptor was when the process locked itself in.
pub(crate) fn remembered(fd: c_int) -> Option<SocketName> {
    remembered::find(fd)
}

/// Makes the call that gives up system calls: all that a filter forbids, or without one nearly all.
pub(crate) fn enter<T: PartialEq + From<i8>>(filter: Option<*const sock_fprog>, call: impl FnOnce() -> T) -> T {
    // What cannot be read the kernel will refuse.
    let filter = filter.and_then(|filter| verdict::Filter::at(filter).ok());
    let allows = |number, arguments| filter.as_ref().is_some_and(|filter| filter.allows(number, arguments));
    let mut forbidden = FORBIDDEN.load(Ordering::Relaxed);
    for &(call, number, arguments) in CALLS {
        forbidden |= if allows(number, arguments) { 0 } else { bit(call) };
    }
    if forbidden & bit(Call::Name) != 0 {
        names::each_datagram_socket(remembered::add);
    }
    if forbidden & bit(Call::Connect) != 0 && forbidden & bit(Call::Exchange) == 0 {
        connection::have_one();
    }
    let result = call();
    if result != T::from(-1) {
        FORBIDDEN.fetch_or(forbidden, Ordering::Relaxed);
        ENTERED.store(true, Ordering::Release);
    }
    result
}

fn bit(call: Call) -> u32 {
    1 << call as u32
}

interpose! {
    /// `prctl(2)`. In C it takes a variable list of arguments, five with the first.
    fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        let call = || unsafe { real::prctl(option, a, b, c, d) };
        if option != libc::PR_SET_SECCOMP {
            return call();
        }
        let is_filter = a == c_ulong::from(libc::SECCOMP_MODE_FILTER);
        enter(is_filter.then_some(b as *const sock_fprog), call)
    }
}
