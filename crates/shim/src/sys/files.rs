//! System calls about files that are to be started. Paths are the program's: the kernel judges them.

use super::{Descriptor, Errno, int, outcome};
use libc::{c_char, c_long};
use std::ffi::CStr;
use std::io::Write;

/// An extended attribute.
pub(crate) fn attribute(path: *const c_char, name: &CStr, value: &mut [u8]) -> Result<usize, Errno> {
    syscall!(libc::SYS_getxattr, path, name.as_ptr(), value.as_mut_ptr(), value.len()).map(|len| len as usize)
}

/// Whether the process's real user may do this with a file.
pub(crate) fn may(path: *const c_char, mode: libc::c_int) -> bool {
    syscall!(libc::SYS_faccessat, libc::AT_FDCWD, path, mode).is_ok()
}

/// The file's kind and permissions.
pub(crate) fn mode(path: *const c_char) -> Result<libc::mode_t, Errno> {
    // SAFETY: all zeros is a valid status.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    super::status_at(libc::AT_FDCWD, path, std::ptr::from_mut(&mut status).cast(), 0)?;
    Ok(status.st_mode)
}

pub(crate) fn open(path: *const c_char, flags: libc::c_int) -> Result<Descriptor, Errno> {
    let flags = flags | libc::O_CLOEXEC;
    syscall!(libc::SYS_openat, libc::AT_FDCWD, path, flags, 0).map(|fd| Descriptor::new(int(fd)))
}

/// Reads some bytes at a place of a file; how many there were.
pub(crate) fn read_at(file: &Descriptor, bytes: &mut [u8], place: u64) -> Result<usize, Errno> {
    syscall!(libc::SYS_pread64, file.number(), bytes.as_mut_ptr(), bytes.len(), place).map(|len| len as usize)
}

/// The path of a file from the root, without a zero byte; how long it is.
pub(crate) fn whole_path(path: &CStr, whole: &mut [u8]) -> Result<usize, Errno> {
    let file = open(path.as_ptr(), libc::O_PATH)?;
    let mut link = [0u8; 32];
    // With the zero behind it; a number has at most ten digits.
    let _ = write!(&mut link[..31], "/proc/self/fd/{}", file.number());
    super::link_at(libc::AT_FDCWD, link.as_ptr().cast(), whole.as_mut_ptr().cast(), whole.len()).map(|len| len as usize)
}

/// Gives the process (its first thread) a name. The kernel takes 15 bytes.
pub(crate) fn call_process(name: &[u8]) {
    let mut bytes = [0u8; 16];
    bytes.iter_mut().zip(name).take(15).for_each(|(to, from)| *to = *from);
    let _ = syscall!(libc::SYS_prctl, libc::PR_SET_NAME, bytes.as_ptr(), 0, 0, 0);
}

/// The effective user's number.
pub(crate) fn user() -> libc::uid_t {
    syscall!(libc::SYS_geteuid).map_or(0, |user| user as libc::uid_t)
}
