//! `MSG_TRUNC` on a stream: what came is taken away, and given to nobody (tcp(7)).
//!
//! A pair would give it to the program's buffer, which need not even be one. So it is read into memory of ours, a piece at a time, as far as it
//! is there; only the first piece is waited for, and with `MSG_WAITALL` each.

use crate::names::identity;
use crate::sys::{Errno, answer, outcome};
use crate::{real, sandbox};
use libc::{c_int, ssize_t};
use sockeye_control::Kind;

/// As much as is taken away at a time: it is on the stack of a stranger's thread.
const PIECE: usize = 4096;

/// Whether a stream of a node is asked for this.
pub(crate) fn is_asked(fd: c_int, flags: c_int) -> bool {
    flags & libc::MSG_TRUNC != 0 && !sandbox::is_entered() && identity(fd).is_some_and(|name| name.kind == Kind::Stream)
}

/// Takes as much as `len` bytes away, and says how many; with `MSG_PEEK` only that.
pub(crate) fn receive(fd: c_int, len: usize, flags: c_int) -> ssize_t {
    let mut piece = [0u8; PIECE];
    let flags = flags & !libc::MSG_TRUNC;
    let mut take = |room: usize, flags: c_int| {
        // SAFETY: memory of ours, of that length.
        unsafe { real::recv(fd, piece.as_mut_ptr().cast(), room.min(PIECE), flags) }
    };
    if flags & libc::MSG_PEEK != 0 {
        let seen = take(len.min(1), flags);
        return if seen > 0 { answer(waiting(fd).map(|waiting| waiting.min(len) as ssize_t)) } else { seen };
    }
    let mut taken = 0;
    loop {
        let waits = taken == 0 || flags & libc::MSG_WAITALL != 0;
        let room = (len - taken).min(PIECE);
        let got = take(room, if waits { flags } else { flags | libc::MSG_DONTWAIT });
        let Ok(more @ 1..) = usize::try_from(got) else { return if taken == 0 { got } else { taken as ssize_t } };
        taken += more;
        if more < room || taken == len {
            return taken as ssize_t;
        }
    }
}

fn waiting(fd: c_int) -> Result<usize, Errno> {
    let mut waiting: c_int = 0;
    // SAFETY: the command writes an int.
    outcome(|| unsafe { real::ioctl(fd, libc::FIONREAD, (&raw mut waiting).cast()) })?;
    usize::try_from(waiting).map_err(|_| Errno(libc::EINVAL))
}
