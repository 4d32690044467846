//! libc's own functions: the next ones by these names after ours.
//!
//! Each address is looked up when the program is loaded and kept in an atomic; a call that comes earlier (from another library's
//! constructor) looks it up itself. Two threads that do so at once find the same.

use libc::{
    DIR, FILE, addrinfo, c_char, c_int, c_long, c_uint, c_ulong, c_void, epoll_event, fd_set, hostent, iovec, mmsghdr,
    mode_t, msghdr, nfds_t, pid_t, pollfd, sigset_t, size_t, sockaddr, socklen_t, ssize_t, timespec, timeval,
};
use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

struct Function {
    name: &'static CStr,
    address: AtomicPtr<c_void>,
}

impl Function {
    const fn new(name: &'static CStr) -> Function {
        Function { name, address: AtomicPtr::new(std::ptr::null_mut()) }
    }

    fn address(&self) -> *mut c_void {
        let known = self.address.load(Ordering::Relaxed);
        if known.is_null() { self.find() } else { known }
    }

    #[cold]
    fn find(&self) -> *mut c_void {
        // SAFETY: the name ends in a zero byte.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.address.store(found, Ordering::Relaxed);
        found
    }
}

macro_rules! real {
    ($( fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $missing:expr; )*) => {
        #[allow(non_upper_case_globals)]
        mod function {
            use super::Function;
            $( pub(super) static $name: Function = Function::new(match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name without a final zero"),
            }); )*
        }

        /// Looks all of them up.
        pub(crate) fn find_all() {
            $( function::$name.find(); )*
        }

        $(
            /// libc's own. Where libc has none: `ENOSYS`.
            pub(crate) unsafe fn $name($($argument: $type),*) -> $result {
                let address = function::$name.address();
                if address.is_null() {
                    crate::sys::set_errno(crate::sys::Errno(libc::ENOSYS));
                    return $missing;
                }
                // SAFETY: libc's function by this name has this type.
                let function: unsafe extern "C" fn($($type),*) -> $result = unsafe { std::mem::transmute(address) };
                // SAFETY: the caller's promise.
                unsafe { function($($argument),*) }
            }
        )*
    };
}

real! {
    fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int = -1;
    fn bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int = -1;
    fn listen(fd: c_int, backlog: c_int) -> c_int = -1;
    fn accept4(fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int = -1;
    fn connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int = -1;
    fn getsockname(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int = -1;
    fn getpeername(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int = -1;
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int = -1;
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> c_int = -1;
    fn shutdown(fd: c_int, how: c_int) -> c_int = -1;
    fn ioctl(fd: c_int, command: c_ulong, argument: *mut c_void) -> c_int = -1;

    fn execve(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int = -1;
    fn execvpe(file: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int = -1;
    fn fexecve(fd: c_int, argv: *const *const c_char, envp: *const *const c_char) -> c_int = -1;
    fn execveat(directory: c_int, path: *const c_char, argv: *const *const c_char, envp: *const *const c_char, flags: c_int) -> c_int = -1;
    fn posix_spawn(pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, argv: *const *const c_char, envp: *const *const c_char) -> c_int = libc::ENOSYS;
    fn posix_spawnp(pid: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void, argv: *const *const c_char, envp: *const *const c_char) -> c_int = libc::ENOSYS;

    fn chroot(path: *const c_char) -> c_int = -1;
    fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int = -1;
    fn syscall(number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long = -1;

    fn read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t = -1;
    fn readv(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t = -1;
    fn recv(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int) -> ssize_t = -1;
    fn recvfrom(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int, address: *mut sockaddr, address_len: *mut socklen_t) -> ssize_t = -1;
    fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t = -1;
    fn recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int = -1;
    fn write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t = -1;
    fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t = -1;
    fn send(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int) -> ssize_t = -1;
    fn sendto(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int, address: *const sockaddr, address_len: socklen_t) -> ssize_t = -1;
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t = -1;
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int = -1;

    fn poll(descriptors: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int = -1;
    fn ppoll(descriptors: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int = -1;
    fn select(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int = -1;
    fn pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, signals: *const sigset_t) -> c_int = -1;
    fn epoll_wait(fd: c_int, events: *mut epoll_event, count: c_int, timeout: c_int) -> c_int = -1;
    fn epoll_pwait(fd: c_int, events: *mut epoll_event, count: c_int, timeout: c_int, signals: *const sigset_t) -> c_int = -1;

    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = -1;
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = -1;
    fn openat(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int = -1;
    fn openat64(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int = -1;
    fn __open_2(path: *const c_char, flags: c_int) -> c_int = -1;
    fn __open64_2(path: *const c_char, flags: c_int) -> c_int = -1;
    fn __openat_2(directory: c_int, path: *const c_char, flags: c_int) -> c_int = -1;
    fn __openat64_2(directory: c_int, path: *const c_char, flags: c_int) -> c_int = -1;
    fn faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int = -1;
    fn getxattr(path: *const c_char, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t = -1;
    fn lgetxattr(path: *const c_char, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t = -1;
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut FILE = std::ptr::null_mut();
    fn fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE = std::ptr::null_mut();
    fn opendir(path: *const c_char) -> *mut DIR = std::ptr::null_mut();

    fn getaddrinfo(name: *const c_char, service: *const c_char, hints: *const addrinfo, result: *mut *mut addrinfo) -> c_int = libc::EAI_SYSTEM;
    fn getnameinfo(address: *const sockaddr, len: socklen_t, host: *mut c_char, host_len: socklen_t, service: *mut c_char, service_len: socklen_t, flags: c_int) -> c_int = libc::EAI_SYSTEM;
    fn gethostbyname2_r(name: *const c_char, family: c_int, entry: *mut hostent, buffer: *mut c_char, len: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int = libc::ENOSYS;
}
