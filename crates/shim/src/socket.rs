//! `socket`, `bind`, the names of both sides, and `shutdown`.

use crate::accept::is_listener;
use crate::address::{self, Raw};
use crate::exchange::{self, Along, NONSENSE};
use crate::names::{self, identity};
use crate::sys::{self, Errno, answer};
use crate::{connect, interpose, real};
use libc::{c_int, sockaddr, socklen_t};
use sockeye_control::{Family, Kind, Reply, Request};

/// The flags that `socket` takes in its type.
const FLAGS: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
/// The bits that are the type itself.
const KIND: c_int = 0xf;

interpose! {
    /// `socket(2)`. The families of the internet, packets and netlink go to the node; all others are the kernel's.
    fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int {
        match family {
            libc::AF_NETLINK if is_of_the_machine(protocol) => {
                // SAFETY: the program's own arguments, as they came.
                unsafe { real::socket(family, kind, protocol) }
            }
            libc::AF_INET | libc::AF_INET6 | libc::AF_PACKET | libc::AF_NETLINK => answer(open(family, kind, protocol)),
            // SAFETY: the program's own arguments, as they came.
            _ => unsafe { real::socket(family, kind, protocol) },
        }
    }

    /// `bind(2)`.
    fn bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
        let Some(name) = identity(fd) else {
            // SAFETY: the program's own arguments, as they came.
            return unsafe { real::bind(fd, address, len) };
        };
        let bind = || {
            let address = Raw::read(address, len)?.to_bind(names::family(fd, name))?;
            if connect::begin(fd, &Request::Bind { id: name.id, address })? { names::born(fd) } else { Ok(()) }
        };
        answer(bind().map(|()| 0))
    }

    /// `getsockname(2)`.
    fn getsockname(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int {
        let Some(name) = identity(fd) else {
            // SAFETY: the program's own arguments, as they came.
            return unsafe { real::getsockname(fd, address, len) };
        };
        answer(give(fd, &Request::LocalAddress { id: name.id }, address, len))
    }

    /// `getpeername(2)`.
    fn getpeername(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int {
        let Some(name) = identity(fd) else {
            // SAFETY: the program's own arguments, as they came.
            return unsafe { real::getpeername(fd, address, len) };
        };
        answer(give(fd, &Request::PeerAddress { id: name.id }, address, len))
    }

    /// `shutdown(2)`. The node says whether it may be; the pair itself conveys it, after all data before it.
    fn shutdown(fd: c_int, how: c_int) -> c_int {
        let Some(name) = identity(fd) else {
            // SAFETY: the program's own arguments, as they came.
            return unsafe { real::shutdown(fd, how) };
        };
        let ordered = exchange::order(fd, &Request::Shutdown { id: name.id, how });
        // A listener has nothing to write, and listens on.
        if how == libc::SHUT_WR && is_listener(fd) {
            return answer(ordered.map(|()| 0));
        }
        // Linux shuts an unconnected datagram socket down, too, and still returns ENOTCONN.
        let valid = matches!(how, libc::SHUT_RD | libc::SHUT_WR | libc::SHUT_RDWR);
        let dissolves = !matches!(name.family, Family::Packet | Family::Netlink) && !name.kind.is_stream() && valid;
        if ordered.is_ok() || dissolves {
            // SAFETY: takes two numbers.
            let shut = unsafe { real::shutdown(fd, how) };
            if ordered.is_ok() {
                return shut;
            }
        }
        answer(ordered.map(|()| 0))
    }
}

/// What netlink tells of the machine, and not of its network: nothing that a node could know.
fn is_of_the_machine(protocol: c_int) -> bool {
    const KERNEL: [c_int; 4] =
        [libc::NETLINK_SELINUX, libc::NETLINK_AUDIT, libc::NETLINK_KOBJECT_UEVENT, libc::NETLINK_CRYPTO];
    KERNEL.contains(&protocol)
}

fn open(family: c_int, kind: c_int, protocol: c_int) -> Result<c_int, Errno> {
    if kind & !(KIND | FLAGS) != 0 {
        return Err(Errno(libc::EINVAL));
    }
    let request = Request::Socket { family, kind: kind & KIND, protocol, nonblocking: kind & libc::SOCK_NONBLOCK != 0 };
    let close_on_exec = kind & libc::SOCK_CLOEXEC != 0;
    let along = Along { close_on_exec, ..Along::nothing() };
    let (mut buffer, mut again) = (exchange::buffer(), exchange::buffer());
    let answer = match exchange::ask(&request, along, &mut buffer) {
        Err(refused @ Errno(libc::EPERM)) => {
            // Who has the capability without being root can make a packet socket of the kernel's, and shows it.
            let proof = sys::packet_socket().map_err(|_| refused)?;
            exchange::ask(&request, Along { socket: Some(proof.number()), ..along }, &mut again)?
        }
        answer => answer?,
    };
    if answer.reply != Reply::Done {
        return Err(NONSENSE);
    }
    let fd = answer.lowest(close_on_exec)?;
    match identity(fd).map(|name| name.kind) {
        Some(Kind::Stream) => names::born(fd)?,
        _ => names::learn(fd),
    }
    Ok(fd)
}

fn give(fd: c_int, request: &Request<'_>, to: *mut sockaddr, len: *mut socklen_t) -> Result<c_int, Errno> {
    match exchange::about(fd, request, &mut exchange::buffer())? {
        Reply::Address(address) => address::give(address, to, len).map(|()| 0),
        _ => Err(NONSENSE),
    }
}
