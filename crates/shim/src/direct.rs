//! System calls by their numbers: `syscall(SYS_recvmmsg, ...)`.
//!
//! Libraries that are older than a wrapper of libc's, or do not trust that there is one, make the call through `syscall` (libuv sends and
//! receives datagrams so). On a descriptor of a node the kernel's own call would see the pair and not the socket: no address, and a header
//! where the payload should be. So the numbers that have a function here go there; all others (futex above all, which is why the decision is
//! one jump) go to the kernel. The results are the same as those of libc's functions: -1 and `errno`.

use crate::{accept, connect, door, exec, interpose, ioctl, options, real, sandbox, socket, transfer};
use libc::{c_int, c_long, c_uint, c_ulong, c_void};

interpose! {
    /// `syscall(2)`. In C it takes a variable list of arguments, six words at most; what was not passed is anything, and not looked at.
    fn syscall(number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long {
        // The kernel, too, takes of a word what the argument's type holds.
        let (fd, int) = (a as c_int, |word: c_long| word as c_int);
        // SAFETY: the program's own arguments, as they came; each function judges pointers as the kernel does.
        unsafe {
            match number {
                libc::SYS_read => transfer::read(fd, b as *mut c_void, c as usize) as c_long,
                libc::SYS_readv => transfer::readv(fd, b as *const _, int(c)) as c_long,
                libc::SYS_write => transfer::write(fd, b as *const c_void, c as usize) as c_long,
                libc::SYS_writev => transfer::writev(fd, b as *const _, int(c)) as c_long,
                libc::SYS_recvfrom => transfer::recvfrom(fd, b as *mut c_void, c as usize, int(d), e as *mut _, f as *mut _) as c_long,
                libc::SYS_recvmsg => transfer::recvmsg(fd, b as *mut _, int(c)) as c_long,
                libc::SYS_recvmmsg => transfer::recvmmsg(fd, b as *mut _, c as c_uint, int(d), e as *mut _).into(),
                libc::SYS_sendto => transfer::sendto(fd, b as *const c_void, c as usize, int(d), e as *const _, f as u32) as c_long,
                libc::SYS_sendmsg => transfer::sendmsg(fd, b as *const _, int(c)) as c_long,
                libc::SYS_sendmmsg => transfer::sendmmsg(fd, b as *mut _, c as c_uint, int(d)).into(),
                libc::SYS_socket => socket::socket(fd, int(b), int(c)).into(),
                libc::SYS_bind => socket::bind(fd, b as *const _, c as u32).into(),
                libc::SYS_getsockname => socket::getsockname(fd, b as *mut _, c as *mut _).into(),
                libc::SYS_getpeername => socket::getpeername(fd, b as *mut _, c as *mut _).into(),
                libc::SYS_shutdown => socket::shutdown(fd, int(b)).into(),
                libc::SYS_listen => accept::listen(fd, int(b)).into(),
                libc::SYS_accept => accept::accept(fd, b as *mut _, c as *mut _).into(),
                libc::SYS_accept4 => accept::accept4(fd, b as *mut _, c as *mut _, int(d)).into(),
                libc::SYS_connect => connect::connect(fd, b as *const _, c as u32).into(),
                libc::SYS_getsockopt => options::getsockopt(fd, int(b), int(c), d as *mut c_void, e as *mut _).into(),
                libc::SYS_setsockopt => options::setsockopt(fd, int(b), int(c), d as *const c_void, e as u32).into(),
                libc::SYS_ioctl => ioctl::ioctl(fd, b as c_ulong, c as *mut c_void).into(),
                libc::SYS_prctl => sandbox::prctl(fd, b as c_ulong, c as c_ulong, d as c_ulong, e as c_ulong).into(),
                libc::SYS_execve => exec::execve(a as *const _, b as *const _, c as *const _).into(),
                libc::SYS_execveat => exec::execveat(fd, b as *const _, c as *const _, d as *const _, int(e)).into(),
                libc::SYS_chroot => door::chroot(a as *const _).into(),
                // The other operations only ask.
                libc::SYS_seccomp if [libc::SECCOMP_SET_MODE_STRICT, libc::SECCOMP_SET_MODE_FILTER].contains(&(a as c_uint)) => {
                    let is_filter = a as c_uint == libc::SECCOMP_SET_MODE_FILTER;
                    sandbox::enter(is_filter.then_some(c as *const _), || real::syscall(number, a, b, c, d, e, f))
                }
                _ => real::syscall(number, a, b, c, d, e, f),
            }
        }
    }
}
