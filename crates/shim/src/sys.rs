//! System calls that the shim makes for itself.
//!
//! They bypass libc's wrappers, for three reasons: libc's names may be our own functions, its wrappers are cancellation points (a
//! thread cancelled within an exchange would leave a descriptor open), and they touch `errno`. These leave `errno` as it was.

use libc::{c_char, c_int, c_long, c_void, iovec, msghdr, sockaddr_un, socklen_t, ucred};
use std::io::Write;
use std::mem::{size_of, zeroed};

/// One of Linux's error numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

pub(crate) fn errno() -> Errno {
    // SAFETY: libc always has an errno for the thread.
    Errno(unsafe { *libc::__errno_location() })
}

pub(crate) fn set_errno(errno: Errno) {
    // SAFETY: libc always has an errno for the thread.
    unsafe { *libc::__errno_location() = errno.0 }
}

/// A result in C's manner: -1 and `errno`.
pub(crate) fn answer<T: From<i8>>(result: Result<T, Errno>) -> T {
    result.unwrap_or_else(|errno| {
        set_errno(errno);
        T::from(-1)
    })
}

/// Calls one of libc's own functions and takes its error out of `errno`, which stays as it was.
pub(crate) fn outcome<T: Copy + PartialEq + From<i8>>(call: impl FnOnce() -> T) -> Result<T, Errno> {
    let before = errno();
    let result = call();
    if result == T::from(-1) {
        let error = errno();
        set_errno(before);
        return Err(error);
    }
    Ok(result)
}

/// A system call with the result in Rust's manner.
macro_rules! syscall {
    ($number:expr $(, $argument:expr)*) => {{
        let arguments = [$($argument as c_long),*];
        let mut words: [c_long; 6] = [0; 6];
        words[..arguments.len()].copy_from_slice(&arguments);
        let [a, b, c, d, e, f] = words;
        // SAFETY: the arguments are as the system call takes them; pointers are to values that outlive the call, or
        // are the program's, which the kernel checks.
        outcome(|| unsafe { crate::real::syscall($number, a, b, c, d, e, f) })
    }};
}

pub(crate) mod files;

/// A descriptor of the shim's own, closed when it goes.
#[derive(Debug)]
pub(crate) struct Descriptor(c_int);

impl Descriptor {
    pub(crate) fn new(number: c_int) -> Descriptor {
        Descriptor(number)
    }

    pub(crate) fn number(&self) -> c_int {
        self.0
    }

    /// The number, which is now the program's.
    pub(crate) fn into_number(self) -> c_int {
        let number = self.0;
        std::mem::forget(self);
        number
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let _ = syscall!(libc::SYS_close, self.0);
    }
}

fn int(value: c_long) -> c_int {
    // Descriptors, flags and readiness all fit.
    value as c_int
}

pub(crate) fn seqpacket() -> Result<Descriptor, Errno> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    syscall!(libc::SYS_socket, libc::AF_UNIX, kind, 0).map(|fd| Descriptor::new(int(fd)))
}

/// A packet socket of the kernel's, which hears nothing.
pub(crate) fn packet_socket() -> Result<Descriptor, Errno> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    syscall!(libc::SYS_socket, libc::AF_PACKET, kind, 0).map(|fd| Descriptor::new(int(fd)))
}

/// Both ends of a pair.
pub(crate) fn pair() -> Result<(Descriptor, Descriptor), Errno> {
    let mut ends: [c_int; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    syscall!(libc::SYS_socketpair, libc::AF_UNIX, kind, 0, std::ptr::from_mut(&mut ends))?;
    Ok((Descriptor::new(ends[0]), Descriptor::new(ends[1])))
}

pub(crate) fn connect(fd: c_int, address: &sockaddr_un, len: usize) -> Result<(), Errno> {
    syscall!(libc::SYS_connect, fd, std::ptr::from_ref(address), len).map(drop)
}

/// Whatever the message points to is checked by the kernel.
pub(crate) fn send_message(fd: c_int, message: &msghdr, flags: c_int) -> Result<usize, Errno> {
    syscall!(libc::SYS_sendmsg, fd, std::ptr::from_ref(message), flags).map(|len| len as usize)
}

/// Whatever the message points to is checked by the kernel.
pub(crate) fn receive_message(fd: c_int, message: &mut msghdr, flags: c_int) -> Result<usize, Errno> {
    syscall!(libc::SYS_recvmsg, fd, std::ptr::from_mut(message), flags).map(|len| len as usize)
}

/// An address as the kernel keeps it, with its length.
pub(crate) fn own_name(fd: c_int) -> Result<(sockaddr_un, usize), Errno> {
    // SAFETY: all zeros is a valid address structure.
    let mut address: sockaddr_un = unsafe { zeroed() };
    let mut len = size_of::<sockaddr_un>() as socklen_t;
    syscall!(libc::SYS_getsockname, fd, std::ptr::from_mut(&mut address), std::ptr::from_mut(&mut len))?;
    Ok((address, (len as usize).min(size_of::<sockaddr_un>())))
}

/// A descriptor's own option, a plain value.
pub(crate) fn option<T: Copy>(fd: c_int, name: c_int, value: &mut T) -> Result<(), Errno> {
    let mut len = size_of::<T>() as socklen_t;
    let value = std::ptr::from_mut(value);
    syscall!(libc::SYS_getsockopt, fd, libc::SOL_SOCKET, name, value, std::ptr::from_mut(&mut len)).map(drop)
}

pub(crate) fn set_option<T: Copy>(fd: c_int, name: c_int, value: &T) -> Result<(), Errno> {
    let len = size_of::<T>();
    syscall!(libc::SYS_setsockopt, fd, libc::SOL_SOCKET, name, std::ptr::from_ref(value), len).map(drop)
}

/// Gives one descriptor the timeouts of another.
pub(crate) fn copy_times(from: c_int, to: c_int) -> Result<(), Errno> {
    for name in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
        let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
        option(from, name, &mut time)?;
        set_option(to, name, &time)?;
    }
    Ok(())
}

pub(crate) fn fcntl(fd: c_int, command: c_int, argument: c_int) -> Result<c_int, Errno> {
    syscall!(libc::SYS_fcntl, fd, command, argument).map(int)
}

pub(crate) fn duplicate_over(from: c_int, to: c_int, flags: c_int) -> Result<(), Errno> {
    syscall!(libc::SYS_dup3, from, to, flags).map(drop)
}

/// Repeats a call that signals interrupt.
pub(crate) fn again<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno(libc::EINTR)) => {}
            result => return result,
        }
    }
}

/// Who this process is now. (A result of -1 would be an error; none of the three has one.)
pub(crate) fn credentials() -> ucred {
    let number = |result: Result<c_long, Errno>| result.unwrap_or(-1);
    ucred {
        pid: number(syscall!(libc::SYS_getpid)) as libc::pid_t,
        uid: number(syscall!(libc::SYS_geteuid)) as libc::uid_t,
        gid: number(syscall!(libc::SYS_getegid)) as libc::gid_t,
    }
}

/// How many descriptors the process may have.
pub(crate) fn descriptors() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let none: *const libc::rlimit = std::ptr::null();
    let _ = syscall!(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, none, std::ptr::from_mut(&mut limit));
    limit.rlim_cur
}

/// A page of zeros, which is one of zeros again in each child that has memory of its own.
pub(crate) fn wiped_in_children<T>() -> Result<*mut T, Errno> {
    const PAGE: usize = 4096;
    let anywhere: *mut c_void = std::ptr::null_mut();
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let page = syscall!(libc::SYS_mmap, anywhere, PAGE, access, kind, -1, 0)?;
    syscall!(libc::SYS_madvise, page, PAGE, libc::MADV_WIPEONFORK)?;
    Ok(page as *mut T)
}

/// Maps a file that holds a `T`, shared with whoever else has it, but not with children.
pub(crate) fn map_alone<T>(fd: c_int) -> Result<*mut T, Errno> {
    let (anywhere, len): (*mut c_void, _) = (std::ptr::null_mut(), size_of::<T>());
    let found = syscall!(libc::SYS_mmap, anywhere, len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, fd, 0)?;
    syscall!(libc::SYS_madvise, found, len, libc::MADV_DONTFORK).inspect_err(|_| unmap(found as *mut T))?;
    Ok(found as *mut T)
}

/// `mmap`, as it is: the program's own arguments, or the shim's.
pub(crate) fn map(
    address: *mut c_void,
    len: usize,
    access: c_int,
    flags: c_int,
    fd: c_int,
    offset: libc::off_t,
) -> Result<*mut c_void, Errno> {
    syscall!(libc::SYS_mmap, address, len, access, flags, fd, offset).map(|found| found as *mut c_void)
}

/// Gives memory back.
pub(crate) fn unmap_bytes(mapped: *mut c_void, len: usize) {
    let _ = syscall!(libc::SYS_munmap, mapped, len);
}

/// Gives it back.
pub(crate) fn unmap<T>(mapped: *mut T) {
    let _ = syscall!(libc::SYS_munmap, mapped, size_of::<T>());
}

/// A file's contents, as long as they are looked at.
pub(crate) struct Mapped {
    start: *const u8,
    len: usize,
}

impl Mapped {
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: as much was mapped, and stays so; nobody writes to a file of the node's.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.len > 0 {
            let _ = syscall!(libc::SYS_munmap, self.start, self.len);
        }
    }
}

/// Maps all of a file for reading.
pub(crate) fn map_whole(file: &Descriptor) -> Result<Mapped, Errno> {
    let len = syscall!(libc::SYS_lseek, file.number(), 0, libc::SEEK_END)? as usize;
    if len == 0 {
        return Ok(Mapped { start: std::ptr::null(), len });
    }
    let anywhere: *mut c_void = std::ptr::null_mut();
    let start = syscall!(libc::SYS_mmap, anywhere, len, libc::PROT_READ, libc::MAP_PRIVATE, file.number(), 0)?;
    Ok(Mapped { start: start as *const u8, len })
}

/// A socket's family, as the kernel knows it; an error for what is no socket.
pub(crate) fn domain(fd: c_int) -> Result<c_int, Errno> {
    let mut domain = 0;
    option(fd, libc::SO_DOMAIN, &mut domain)?;
    Ok(domain)
}

/// Whether a descriptor is one of a directory.
pub(crate) fn is_directory(file: &Descriptor) -> bool {
    // SAFETY: all zeros is a valid status.
    let mut status: libc::stat = unsafe { zeroed() };
    let status_at = std::ptr::from_mut(&mut status).cast();
    self::status_at(file.number(), c"".as_ptr(), status_at, libc::AT_EMPTY_PATH).is_ok()
        && status.st_mode & libc::S_IFMT == libc::S_IFDIR
}

/// What a path, or with an empty one the descriptor, is. Pointers are the program's.
pub(crate) fn status_at(
    directory: c_int,
    path: *const c_char,
    status: *mut c_void,
    flags: c_int,
) -> Result<c_int, Errno> {
    syscall!(libc::SYS_newfstatat, directory, path, status, flags).map(int)
}

/// The same, in the newer form.
pub(crate) fn extended_status_at(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    mask: libc::c_uint,
    status: *mut c_void,
) -> Result<c_int, Errno> {
    syscall!(libc::SYS_statx, directory, path, flags, mask, status).map(int)
}

/// Where a link leads. Pointers are the program's.
pub(crate) fn link_at(
    directory: c_int,
    path: *const c_char,
    target: *mut c_char,
    len: usize,
) -> Result<libc::ssize_t, Errno> {
    syscall!(libc::SYS_readlinkat, directory, path, target, len).map(|len| len as libc::ssize_t)
}

/// Whether what a descriptor stands for may be used so.
pub(crate) fn access(file: &Descriptor, mode: c_int, flags: c_int) -> Result<c_int, Errno> {
    syscall!(libc::SYS_faccessat2, file.number(), c"".as_ptr(), mode, flags | libc::AT_EMPTY_PATH).map(int)
}

/// The process's number, as it knows it.
pub(crate) fn process() -> c_int {
    syscall!(libc::SYS_getpid).map_or(0, int)
}

/// Lets others run that wait for this processor.
pub(crate) fn step_aside() {
    let _ = syscall!(libc::SYS_sched_yield);
}

/// Nanoseconds of a clock that only goes forward.
pub(crate) fn clock() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills a structure of ours, and cannot fail with this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec)
}

/// The signals that a thread had blocked before it blocked all of them.
pub(crate) struct Blocked([u8; SIGNALS]);

impl Blocked {
    /// Blocks all signals: they wait until they are let through.
    pub(crate) fn all() -> Blocked {
        let mut before = [0; SIGNALS];
        let all = [0xffu8; SIGNALS];
        let (new, old) = (std::ptr::from_ref(&all), std::ptr::from_mut(&mut before));
        let _ = syscall!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, SIGNALS);
        Blocked(before)
    }

    /// Puts things back as they were.
    pub(crate) fn release(&self) {
        let none: *mut c_void = std::ptr::null_mut();
        let _ = syscall!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, std::ptr::from_ref(&self.0), none, SIGNALS);
    }

    /// As the C library has it, for a call that lets signals through while it waits.
    pub(crate) fn before(&self) -> libc::sigset_t {
        // SAFETY: all zeros is a valid set, of none.
        let mut set: libc::sigset_t = unsafe { zeroed() };
        // SAFETY: the kernel's set is the first bytes of the C library's, which is longer.
        unsafe { std::ptr::from_mut(&mut set).cast::<[u8; SIGNALS]>().write_unaligned(self.0) };
        set
    }
}

/// What a descriptor is ready for now.
pub(crate) fn readiness(fd: c_int, events: libc::c_short) -> libc::c_short {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let none: *const libc::sigset_t = std::ptr::null();
    let _ = syscall!(libc::SYS_ppoll, std::ptr::from_mut(&mut poll), 1, std::ptr::from_ref(&now), none, 8);
    poll.revents
}

/// The kernel's set of signals is eight bytes.
const SIGNALS: usize = 8;

/// Whether the kernel can read eight bytes there: it reads a set of signals before it refuses what shall be done with it.
pub(crate) fn can_read(word: *const c_void) -> bool {
    let none: *mut c_void = std::ptr::null_mut();
    !word.is_null() && syscall!(libc::SYS_rt_sigprocmask, -1, word, none, SIGNALS) != Err(Errno(libc::EFAULT))
}

/// Whether the kernel can write eight bytes there; it writes them.
pub(crate) fn can_write(word: *mut c_void) -> bool {
    let none: *const c_void = std::ptr::null();
    !word.is_null() && syscall!(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, none, word, SIGNALS).is_ok()
}

/// Lets the kernel copy into the process's own memory.
pub(crate) fn copy_out(to: *mut c_void, bytes: &[u8]) -> Result<usize, Errno> {
    let local = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = iovec { iov_base: to, iov_len: bytes.len() };
    let process = syscall!(libc::SYS_getpid)?;
    let (local, remote) = (std::ptr::from_ref(&local), std::ptr::from_ref(&remote));
    syscall!(libc::SYS_process_vm_writev, process, local, 1, remote, 1, 0).map(|len| len as usize)
}

pub(crate) fn write(fd: c_int, bytes: &[u8]) {
    let _ = syscall!(libc::SYS_write, fd, bytes.as_ptr(), bytes.len());
}

/// The numbers of all descriptors that are open, as `/proc` tells them; an error if it does not.
pub(crate) fn each_descriptor(mut act: impl FnMut(c_int)) -> Result<(), Errno> {
    let path = c"/proc/self/fd".as_ptr();
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let directory = Descriptor::new(int(syscall!(libc::SYS_openat, libc::AT_FDCWD, path, flags)?));
    let mut buffer = [0u8; 1024];
    loop {
        let len = syscall!(libc::SYS_getdents64, directory.number(), buffer.as_mut_ptr(), buffer.len())? as usize;
        let mut entries = buffer.get(..len).unwrap_or_default();
        if entries.is_empty() {
            return Ok(());
        }
        // struct linux_dirent64: inode (8), offset (8), length of the entry (2), type (1), name with its zero.
        while let Some(&[low, high]) = entries.get(16..18) {
            let len = usize::from(u16::from_ne_bytes([low, high]));
            let name = entries.get(19..len).unwrap_or_default();
            let digits = name.split(|&byte| byte == 0).next().unwrap_or_default();
            if let Some(fd) = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok())
                && fd != directory.number()
            {
                act(fd);
            }
            entries = entries.get(len.max(1)..).unwrap_or_default();
        }
    }
}

/// The number of a descriptor's file.
pub(crate) fn inode(fd: c_int) -> Result<u64, Errno> {
    // SAFETY: all zeros is a valid structure, which the call fills.
    let mut about: libc::stat = unsafe { zeroed() };
    syscall!(libc::SYS_fstat, fd, &raw mut about)?;
    Ok(about.st_ino)
}

/// Adds a descriptor to a set of epoll.
pub(crate) fn watch(set: c_int, fd: c_int, event: libc::epoll_event) -> Result<(), Errno> {
    syscall!(libc::SYS_epoll_ctl, set, libc::EPOLL_CTL_ADD, fd, &raw const event).map(drop)
}

/// Reads what the kernel tells of a descriptor, line by line; what is longer than any line of its own is passed over.
pub(crate) fn each_line_about(fd: c_int, mut act: impl FnMut(&str)) -> Result<(), Errno> {
    let mut path = [0u8; 32];
    // With the zero behind it; a number has at most ten digits.
    let _ = write!(&mut path[..31], "/proc/self/fdinfo/{fd}");
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    let file = Descriptor::new(int(syscall!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags)?));
    let mut buffer = [0u8; 1024];
    let mut kept = 0;
    loop {
        let room = &mut buffer[kept..];
        let len = syscall!(libc::SYS_read, file.number(), room.as_mut_ptr(), room.len())? as usize;
        if len == 0 {
            return Ok(());
        }
        let filled = kept + len;
        let mut begin = 0;
        while let Some(end) = buffer[begin..filled].iter().position(|&byte| byte == b'\n') {
            if let Ok(line) = std::str::from_utf8(&buffer[begin..begin + end]) {
                act(line);
            }
            begin += end + 1;
        }
        buffer.copy_within(begin..filled, 0);
        kept = filled - begin;
        if kept == buffer.len() {
            kept = 0;
        }
    }
}
