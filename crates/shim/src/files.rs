//! The files in which programs read about the network: `/proc/net/...` and `/sys/class/net/...`.
//!
//! The kernel's show the kernel's network. So `open` and its kin ask the node for a file of its own (a descriptor of memory, or of a
//! directory that the node keeps), and `stat`, `readlink` and `access` look at such a descriptor.
//!
//! **The kernel goes first.** The call is made as the program made it, and only then is the path looked at: so a bad pointer is `EFAULT`
//! as ever, and a call with any other path costs a comparison of five bytes more. What the kernel has opened for one of our paths is closed again.
//!
//! # Standards
//!
//! proc(5), sysfs(5), open(2), stat(2), statx(2), readlink(2), access(2).

mod look;
mod path;

use crate::exchange::NO_NODE;
use crate::sys::{self, Descriptor, Errno, answer, errno, set_errno};
use crate::{interpose, real};
use libc::{DIR, FILE, c_char, c_int, mode_t};
use path::Path;
use std::ptr::null_mut;

interpose! {
    /// `open(2)`. In C it takes a variable list of arguments.
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        opened(unsafe { real::open(path, flags, mode) }, path, flags)
    }

    /// `open64`.
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        opened(unsafe { real::open64(path, flags, mode) }, path, flags)
    }

    /// `openat(2)`.
    fn openat(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        opened(unsafe { real::openat(directory, path, flags, mode) }, path, flags)
    }

    /// `openat64`.
    fn openat64(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        opened(unsafe { real::openat64(directory, path, flags, mode) }, path, flags)
    }

    /// `open` as `_FORTIFY_SOURCE` calls it.
    fn __open_2(path: *const c_char, flags: c_int) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        opened(unsafe { real::__open_2(path, flags) }, path, flags)
    }

    /// The same of `open64`.
    fn __open64_2(path: *const c_char, flags: c_int) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        opened(unsafe { real::__open64_2(path, flags) }, path, flags)
    }

    /// The same of `openat`.
    fn __openat_2(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        opened(unsafe { real::__openat_2(directory, path, flags) }, path, flags)
    }

    /// The same of `openat64`.
    fn __openat64_2(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        opened(unsafe { real::__openat64_2(directory, path, flags) }, path, flags)
    }

    /// `fopen(3)`.
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut FILE {
        // SAFETY: the program's own arguments, as they came.
        file_opened(unsafe { real::fopen(path, mode) }, path, mode)
    }

    /// `fopen64`.
    fn fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE {
        // SAFETY: the program's own arguments, as they came.
        file_opened(unsafe { real::fopen64(path, mode) }, path, mode)
    }

    /// `opendir(3)`.
    fn opendir(path: *const c_char) -> *mut DIR {
        // SAFETY: the program's own argument, as it came.
        let theirs = unsafe { real::opendir(path) };
        let Some(found) = instead(!theirs.is_null(), path, |path| path.open(libc::O_RDONLY | libc::O_DIRECTORY)) else {
            return theirs;
        };
        if !theirs.is_null() {
            // SAFETY: just opened, and known to nobody.
            unsafe { libc::closedir(theirs) };
        }
        match found {
            // SAFETY: a descriptor of ours, which is libc's from now on.
            Ok(directory) => given(directory, |number| unsafe { libc::fdopendir(number) }),
            Err(errno) => {
                set_errno(errno);
                null_mut()
            }
        }
    }
}

/// What `open` returns, after the kernel has answered.
fn opened(theirs: c_int, path: *const c_char, flags: c_int) -> c_int {
    let Some(found) = instead(theirs >= 0, path, |path| path.open(flags)) else { return theirs };
    let ours = found.and_then(|file| {
        if theirs < 0 {
            return Ok(file.into_number());
        }
        // In the place of the kernel's, which had the lowest free number.
        sys::duplicate_over(file.number(), theirs, flags & libc::O_CLOEXEC).map(|()| theirs)
    });
    if ours.is_err() && theirs >= 0 {
        drop(Descriptor::new(theirs));
    }
    answer(ours)
}

/// What `fopen` returns.
fn file_opened(theirs: *mut FILE, path: *const c_char, mode: *const c_char) -> *mut FILE {
    let found = instead(!theirs.is_null(), path, |path| {
        // SAFETY: libc has read the mode, which ends in a zero byte.
        let mode = unsafe { std::ffi::CStr::from_ptr(mode) }.to_bytes();
        let read_only = mode.first() == Some(&b'r') && !mode.contains(&b'+');
        let close_on_exec = if mode.contains(&b'e') { libc::O_CLOEXEC } else { 0 };
        path.open(if read_only { libc::O_RDONLY } else { libc::O_RDWR } | close_on_exec)
    });
    let Some(found) = found else { return theirs };
    if !theirs.is_null() {
        // SAFETY: just opened, and known to nobody.
        unsafe { libc::fclose(theirs) };
    }
    match found {
        // SAFETY: a descriptor of ours, which is libc's from now on; the mode is the program's.
        Ok(file) => given(file, |number| unsafe { libc::fdopen(number, mode) }),
        Err(errno) => {
            set_errno(errno);
            null_mut()
        }
    }
}

/// What libc makes of a descriptor, which then is libc's; if it makes nothing, the descriptor is closed.
fn given<T>(file: Descriptor, make: impl FnOnce(c_int) -> *mut T) -> *mut T {
    let made = make(file.number());
    if !made.is_null() {
        let _ = file.into_number();
    }
    made
}

/// Says that the kernel's answer stands.
const KERNEL: Errno = Errno(libc::EOPNOTSUPP);

/// What the node has at a path; `None` if the kernel's answer stands. `found` says whether the kernel had something there; if not, it is in `errno` why.
#[inline]
fn instead(
    found: bool,
    path: *const c_char,
    ask: impl FnOnce(&Path) -> Result<Descriptor, Errno>,
) -> Option<Result<Descriptor, Errno>> {
    // Other errors say that the path was not read, or that nothing can be opened.
    if !found && !matches!(errno().0, libc::ENOENT | libc::ENOTDIR | libc::EACCES | libc::ELOOP) {
        return None;
    }
    // With AT_EMPTY_PATH there may be none.
    if path.is_null() {
        return None;
    }
    // SAFETY: the kernel has read it, up to its zero byte.
    if !unsafe { begins_as_ours(path) } {
        return None;
    }
    // SAFETY: as above.
    let path = Path::of(unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes())?;
    match ask(&path) {
        // Without a node there is no network, and nothing to tell of it.
        Err(KERNEL | NO_NODE) => None,
        found => Some(found),
    }
}

/// `/proc` or `/sys/`.
///
/// # Safety
///
/// The path ends in a zero byte.
#[inline]
unsafe fn begins_as_ours(path: *const c_char) -> bool {
    let begins = |with: &[u8; 5]| {
        // SAFETY: no byte is read after one that differs, so none after the zero byte.
        with.iter().enumerate().all(|(at, &byte)| unsafe { *path.add(at) as u8 == byte })
    };
    begins(b"/proc") || begins(b"/sys/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_that_libc_does_not_take_is_closed() {
        let open = |number| sys::fcntl(number, libc::F_GETFD, 0).is_ok();
        // It is none of a directory. Another test may have the number next, so the file is looked for.
        let file = sys::seqpacket().expect("a descriptor");
        let (number, inode) = (file.number(), sys::inode(file.number()));
        // SAFETY: refused, as the descriptor stands for a socket.
        assert!(given(file, |number| unsafe { libc::fdopendir(number) }).is_null());
        assert_eq!(errno(), Errno(libc::ENOTDIR));
        assert!(inode.is_ok() && sys::inode(number) != inode);
        let file = sys::seqpacket().expect("a descriptor");
        let number = file.number();
        // SAFETY: a descriptor that nobody else has, and a mode.
        let stream = given(file, |number| unsafe { libc::fdopen(number, c"r".as_ptr()) });
        assert!(!stream.is_null() && open(number));
        // SAFETY: just opened.
        unsafe { libc::fclose(stream) };
    }

    #[test]
    fn a_comparison_stops_at_the_end_of_the_path() {
        for (path, ours) in
            [(c"", false), (c"/", false), (c"/pro", false), (c"/proc", true), (c"/sys/", true), (c"/sysx", false)]
        {
            // SAFETY: the path ends in a zero byte.
            assert_eq!(unsafe { begins_as_ours(path.as_ptr()) }, ours, "{path:?}");
        }
    }
}
