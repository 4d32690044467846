//! Waiting awake, for a moment.
//!
//! A program that reads from a stream when there is nothing sleeps in the kernel until somebody writes. To fall asleep and be woken
//! takes longer than many a peer takes to answer, the most so on a virtual processor: 40 µs, where two programs on one node
//! answer each other in five. So the first moments of waiting are spent awake: the descriptor is looked at again and again, and before each
//! look those who wait for this processor have their turn, perhaps the peer.
//!
//! Who has waited in vain waits half as long the next time, down to a single look; now and then all of it is tried again. So a
//! program whose peers are slow, or that waits for many at once, pays next to nothing for it.
//!
//! Only reads that would block are treated so. One with `O_NONBLOCK`, or with flags of its own, is the kernel's at once. A signal that comes in
//! those moments is as one that came just before the call: its handler has run, and the call waits.

use crate::names::identity;
use crate::numbers::Numbers;
use crate::sys::{self, Errno, outcome, set_errno};
use crate::{real, sandbox};
use libc::{c_int, c_void, ssize_t};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// This process has, or had, a stream that may be waited for. Never cleared; fork copies it.
static HAS_STREAMS: AtomicBool = AtomicBool::new(false);
/// How often in a row waiting awake was in vain.
static IN_VAIN: AtomicU32 = AtomicU32::new(0);
/// How often to look, at most.
const LOOKS: u32 = 64;
/// After so many times in vain, all of it is tried again.
const AGAIN: u32 = 64;

/// Which numbers were found to be no sockets, so that reading a file costs a system call more only once. A guess, which a wrong one makes
/// slower and no worse: a stream that was put on a file's number by `dup2` is waited for asleep.
static FILES: Numbers = Numbers::none();

/// This process came by a connection, at this number.
pub(crate) fn has_stream(fd: c_int) {
    HAS_STREAMS.store(true, Ordering::Relaxed);
    FILES.remove(fd);
}

/// Receives from what may be a stream; `sleep` is the call that waits for as long as it takes.
pub(crate) fn receive(fd: c_int, buffer: *mut c_void, len: usize, sleep: impl FnOnce() -> ssize_t) -> ssize_t {
    if len == 0 || !HAS_STREAMS.load(Ordering::Relaxed) || FILES.has(fd) == Some(true) || sandbox::is_entered() {
        return sleep();
    }
    // SAFETY: the program's own arguments, as they came.
    match outcome(|| unsafe { real::recv(fd, buffer, len, libc::MSG_DONTWAIT) }) {
        Ok(len) => len,
        Err(Errno(libc::EAGAIN)) if !is_nonblocking(fd) => {
            if identity(fd).is_some() {
                wait_awake(fd);
            }
            sleep()
        }
        Err(Errno(libc::ENOTSOCK)) => {
            FILES.add(fd);
            sleep()
        }
        Err(errno) => {
            set_errno(errno);
            -1
        }
    }
}

/// Whether a read of it ends at once, with or without something: then it has.
fn is_nonblocking(fd: c_int) -> bool {
    sys::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_NONBLOCK != 0)
}

fn wait_awake(fd: c_int) {
    let vain = IN_VAIN.load(Ordering::Relaxed);
    let moments = LOOKS.checked_shr(vain % AGAIN).unwrap_or(0).max(1);
    for _ in 0..moments {
        sys::step_aside();
        if sys::readiness(fd, libc::POLLIN) != 0 {
            IN_VAIN.store(0, Ordering::Relaxed);
            return;
        }
    }
    IN_VAIN.store(vain.wrapping_add(1), Ordering::Relaxed);
}
