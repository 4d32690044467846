//! Calls that look at a path without opening it: `stat`, `access`, `readlink` and their kin.

use super::{KERNEL, instead};
use crate::sys::{self, Descriptor, Errno, answer, errno, set_errno};
use crate::{exec, interpose, memory, real};
use libc::{c_char, c_int, c_uint, c_void, size_t, ssize_t};

interpose! {
    /// `stat(2)`.
    fn stat(path: *const c_char, status: *mut c_void) -> c_int {
        status_of(libc::AT_FDCWD, path, status, 0)
    }

    /// `stat64`.
    fn stat64(path: *const c_char, status: *mut c_void) -> c_int {
        status_of(libc::AT_FDCWD, path, status, 0)
    }

    /// `lstat(2)`.
    fn lstat(path: *const c_char, status: *mut c_void) -> c_int {
        status_of(libc::AT_FDCWD, path, status, libc::AT_SYMLINK_NOFOLLOW)
    }

    /// `lstat64`.
    fn lstat64(path: *const c_char, status: *mut c_void) -> c_int {
        status_of(libc::AT_FDCWD, path, status, libc::AT_SYMLINK_NOFOLLOW)
    }

    /// `fstatat(2)`.
    fn fstatat(directory: c_int, path: *const c_char, status: *mut c_void, flags: c_int) -> c_int {
        status_of(directory, path, status, flags)
    }

    /// `fstatat64`.
    fn fstatat64(directory: c_int, path: *const c_char, status: *mut c_void, flags: c_int) -> c_int {
        status_of(directory, path, status, flags)
    }

    /// `stat` as programs from before glibc 2.33 call it. The version is that of the only structure there is.
    fn __xstat(_version: c_int, path: *const c_char, status: *mut c_void) -> c_int {
        status_of(libc::AT_FDCWD, path, status, 0)
    }

    /// The same of `stat64`.
    fn __xstat64(_version: c_int, path: *const c_char, status: *mut c_void) -> c_int {
        status_of(libc::AT_FDCWD, path, status, 0)
    }

    /// The same of `lstat`.
    fn __lxstat(_version: c_int, path: *const c_char, status: *mut c_void) -> c_int {
        status_of(libc::AT_FDCWD, path, status, libc::AT_SYMLINK_NOFOLLOW)
    }

    /// The same of `lstat64`.
    fn __lxstat64(_version: c_int, path: *const c_char, status: *mut c_void) -> c_int {
        status_of(libc::AT_FDCWD, path, status, libc::AT_SYMLINK_NOFOLLOW)
    }

    /// `statx(2)`.
    fn statx(directory: c_int, path: *const c_char, flags: c_int, mask: c_uint, status: *mut c_void) -> c_int {
        let before = errno();
        let theirs = answer(sys::extended_status_at(directory, path, flags, mask, status));
        match looked_at(theirs == 0, before, path, flags) {
            None => theirs,
            Some(found) => answer(found.and_then(|file| {
                sys::extended_status_at(file.number(), EMPTY, libc::AT_EMPTY_PATH, mask, status)
            })),
        }
    }

    /// `access(2)`.
    fn access(path: *const c_char, mode: c_int) -> c_int {
        access_of(libc::AT_FDCWD, path, mode, 0)
    }

    /// `faccessat(2)`.
    fn faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
        access_of(directory, path, mode, flags)
    }

    /// `getxattr(2)`: `ls -l` asks for access lists, of which sysfs has none.
    fn getxattr(path: *const c_char, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t {
        // SAFETY: the program's own arguments, as they came.
        no_attribute(unsafe { real::getxattr(path, name, value, len) }, path, 0)
    }

    /// `lgetxattr(2)`.
    fn lgetxattr(path: *const c_char, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t {
        // SAFETY: the program's own arguments, as they came.
        no_attribute(unsafe { real::lgetxattr(path, name, value, len) }, path, libc::AT_SYMLINK_NOFOLLOW)
    }

    /// `readlink(2)`.
    fn readlink(path: *const c_char, target: *mut c_char, len: size_t) -> ssize_t {
        target_of(libc::AT_FDCWD, path, target, len)
    }

    /// `readlinkat(2)`.
    fn readlinkat(directory: c_int, path: *const c_char, target: *mut c_char, len: size_t) -> ssize_t {
        target_of(directory, path, target, len)
    }
}

const EMPTY: *const c_char = c"".as_ptr();

fn status_of(directory: c_int, path: *const c_char, status: *mut c_void, flags: c_int) -> c_int {
    let before = errno();
    let theirs = answer(sys::status_at(directory, path, status, flags));
    match looked_at(theirs == 0, before, path, flags) {
        None => theirs,
        Some(found) => answer(found.and_then(|file| sys::status_at(file.number(), EMPTY, status, libc::AT_EMPTY_PATH))),
    }
}

fn access_of(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    let before = errno();
    // SAFETY: the program's own arguments, as they came.
    let theirs = unsafe { real::faccessat(directory, path, mode, flags) };
    match looked_at(theirs == 0, before, path, flags) {
        None => theirs,
        Some(found) => answer(found.and_then(|file| {
            match sys::access(&file, mode, flags) {
                // A kernel before 5.8: all may read, nobody write.
                Err(Errno(libc::ENOSYS)) if mode & libc::W_OK == 0 => Ok(0),
                Err(Errno(libc::ENOSYS)) => Err(Errno(libc::EACCES)),
                access => access,
            }
        })),
    }
}

fn target_of(directory: c_int, path: *const c_char, target: *mut c_char, len: size_t) -> ssize_t {
    let before = errno();
    let theirs = answer(sys::link_at(directory, path, target, len));
    if theirs >= 0
        && let Some(program) = exec::link_to_program(path)
    {
        let len = len.min(program.len());
        return answer(memory::write(target.cast(), &program[..len]).map(|()| len as ssize_t));
    }
    match looked_at(theirs >= 0 || errno() == Errno(libc::EINVAL), before, path, libc::AT_SYMLINK_NOFOLLOW) {
        None => theirs,
        Some(found) => answer(found.and_then(|file| match sys::link_at(file.number(), EMPTY, target, len) {
            // Of a descriptor that is no link.
            Err(Errno(libc::ENOENT)) => Err(Errno(libc::EINVAL)),
            read => read,
        })),
    }
}

/// What the kernel has not found may be there all the same.
fn no_attribute(theirs: ssize_t, path: *const c_char, flags: c_int) -> ssize_t {
    if theirs < 0 && errno() == Errno(libc::ENOENT) && matches!(looked_at(false, errno(), path, flags), Some(Ok(_))) {
        set_errno(Errno(libc::EOPNOTSUPP));
    }
    theirs
}

/// What is to be looked at in place of what the kernel has found or not. Files in `/proc/net` look all alike: what the kernel has found there will do.
fn looked_at(found: bool, before: Errno, path: *const c_char, flags: c_int) -> Option<Result<Descriptor, Errno>> {
    let look = libc::O_PATH | if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { libc::O_NOFOLLOW } else { 0 };
    let looked = instead(found, path, |path| match found && path.is_in_proc() {
        true => Err(KERNEL),
        false => path.open(look),
    });
    if matches!(looked, Some(Ok(_))) {
        set_errno(before);
    }
    looked
}
