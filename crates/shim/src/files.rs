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

use crate::exchange::{self, Along, NO_NODE, NONSENSE};
use crate::sys::{self, Descriptor, Errno, answer, errno, set_errno};
use crate::{interpose, real};
use libc::{DIR, FILE, c_char, c_int, c_uint, c_void, mode_t, size_t, ssize_t};
use sockeye_control::{MAX_NAME, Reply, Request};
use std::ptr::null_mut;

/// A path of the node's, in its one spelling.
struct Path {
    bytes: [u8; MAX_NAME],
    len: usize,
    /// It ends in a slash, or as if it did: a link at its end is followed.
    through: bool,
}

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

impl Path {
    /// A path that may be the node's.
    fn of(path: &[u8]) -> Option<Path> {
        let through = path.ends_with(b"/") || path.ends_with(b"/.") || path.ends_with(b"/..");
        let mut clean = Path { bytes: [0; MAX_NAME], len: 0, through };
        for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
            if part == b".." {
                // One up, except from where the kernel would first follow a link.
                if !clean.as_bytes().starts_with(b"/sys/") {
                    return None;
                }
                clean.len = clean.as_bytes().iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                continue;
            }
            clean.push(b"/")?;
            clean.push(part)?;
        }
        let rest = clean.as_bytes();
        let is_ours = if let Some(rest) = rest.strip_prefix(b"/sys/") {
            let within =
                |directory: &[u8]| rest.strip_prefix(directory).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
            within(b"class/net") || within(b"devices/virtual/net")
        } else if let Some(rest) = rest.strip_prefix(b"/proc/") {
            let whose = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
            let own = matches!(whose, b"self" | b"thread-self") || is_own_number(whose);
            let rest = if own { rest.get(whose.len() + 1..).unwrap_or_default() } else { rest };
            rest.starts_with(b"net/")
        } else {
            false
        };
        is_ours.then_some(clean)
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn is_in_proc(&self) -> bool {
        self.as_bytes().starts_with(b"/proc/")
    }

    /// Asks the node for a descriptor.
    fn open(&self, flags: c_int) -> Result<Descriptor, Errno> {
        let look = flags & libc::O_PATH != 0;
        if !look && (flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (libc::O_TRUNC | libc::O_APPEND) != 0) {
            return Err(Errno(libc::EACCES));
        }
        let path = std::str::from_utf8(self.as_bytes()).map_err(|_| Errno(libc::ENOENT))?;
        let request = Request::File { look, link: flags & libc::O_NOFOLLOW != 0 && !self.through, path };
        let close_on_exec = flags & libc::O_CLOEXEC != 0;
        let mut buffer = exchange::buffer();
        let answer = exchange::ask(&request, Along { close_on_exec, ..Along::nothing() }, &mut buffer)?;
        if answer.reply != Reply::Done {
            return Err(NONSENSE);
        }
        let file = Descriptor::new(answer.lowest(close_on_exec)?);
        if flags & libc::O_DIRECTORY != 0 && !sys::is_directory(&file) {
            return Err(Errno(libc::ENOTDIR));
        }
        Ok(file)
    }
}

/// Whether it is this process's number.
fn is_own_number(text: &[u8]) -> bool {
    let digits = !text.is_empty() && text.len() < 10 && text.iter().all(u8::is_ascii_digit);
    digits && text.iter().fold(0, |number, digit| number * 10 + c_int::from(digit - b'0')) == sys::process()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_nodes_are_known_by_how_they_begin() {
        let of =
            |path: &str| Path::of(path.as_bytes()).map(|path| String::from_utf8(path.as_bytes().to_vec()).unwrap());
        let own = format!("/proc/{}/net/tcp", std::process::id());
        for path in ["/proc/net/dev", "/proc/self/net/if_inet6", "/sys/class/net", "/sys/devices/virtual/net/lo", &own]
        {
            assert_eq!(of(path).as_deref(), Some(path));
        }
        assert_eq!(of("/sys/class/net/lo/..").as_deref(), Some("/sys/class/net"));
        assert_eq!(of("/sys//class/./net/lo/").as_deref(), Some("/sys/class/net/lo"));
        for path in [
            "/proc/net",
            "/proc/1/net/tcp",
            "/proc/netx/tcp",
            "/proc/meminfo",
            "/sys/class/network",
            "/sys/class/net/../x",
            "/sysx/class/net",
            "/process",
            "/proc/self",
            "/proc/99999999999/net/tcp",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
        assert_eq!(of(&format!("/sys/class/net/{}", "x".repeat(MAX_NAME))), None);
    }

    #[test]
    fn a_descriptor_that_libc_does_not_take_is_closed() {
        let open = |number| sys::fcntl(number, libc::F_GETFD, 0).is_ok();
        // It is none of a directory.
        let file = sys::seqpacket().expect("a descriptor");
        let number = file.number();
        // SAFETY: refused, as the descriptor stands for a socket.
        assert!(given(file, |number| unsafe { libc::fdopendir(number) }).is_null());
        assert!(errno() == Errno(libc::ENOTDIR) && !open(number));
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
