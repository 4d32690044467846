//! `getsockopt` and `setsockopt`.
//!
//! Timeouts belong to the descriptor, because waiting does. What a socket is (type, family, protocol, whether it listens) is in its name and
//! mark. Everything else is the node's, and so is the error for what it does not know: an option is never a silent success. What the node does not refuse
//! (`Request::TOLD`: programs cork and uncork for each answer) it is told, and not asked. Whoever asks for the value afterwards gets what was said.

use crate::accept::is_listener;
use crate::exchange::{self, Along, NONSENSE};
use crate::names::{self, identity};
use crate::sys::{self, Errno, answer};
use crate::{datagram, filter, interpose, memory, poll, real, statement, stream};
use libc::{c_int, c_void, socklen_t};
use sockeye_control::{Family, Kind, MAX_OPTION, Reply, Request, SocketName};

/// A socket of IPv6 becomes one of IPv4.
const IPV6_ADDRFORM: c_int = 1;
/// 64-bit time on 32-bit machines; here they are known to the kernel all the same.
const SO_RCVTIMEO_NEW: c_int = 66;
const SO_SNDTIMEO_NEW: c_int = 67;

interpose! {
    /// `getsockopt(2)`.
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int {
        match identity(fd) {
            Some(socket) if !belongs_to_descriptor(level, name) => {
                answer(read(fd, socket, level, name, value, len).map(|()| 0))
            }
            // SAFETY: the program's own arguments, as they came.
            _ => unsafe { real::getsockopt(fd, level, name, value, len) },
        }
    }

    /// `setsockopt(2)`.
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> c_int {
        match identity(fd) {
            Some(socket) if !belongs_to_descriptor(level, name) => {
                answer(set(fd, socket, level, name, value, len).map(|()| 0))
            }
            Some(_) => {
                names::has_times();
                // SAFETY: the program's own arguments, as they came.
                unsafe { real::setsockopt(fd, level, name, value, len) }
            }
            // SAFETY: the program's own arguments, as they came.
            None => unsafe { real::setsockopt(fd, level, name, value, len) },
        }
    }
}

fn belongs_to_descriptor(level: c_int, name: c_int) -> bool {
    level == libc::SOL_SOCKET
        && matches!(name, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO | SO_RCVTIMEO_NEW | SO_SNDTIMEO_NEW)
}

/// What the descriptor itself must know, too, as it is the kernel that reads from it.
fn concerns_descriptor(level: c_int, name: c_int) -> bool {
    level == libc::SOL_SOCKET && matches!(name, libc::SO_OOBINLINE | libc::SO_RCVLOWAT)
}

fn read(
    fd: c_int,
    socket: SocketName,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> Result<(), Errno> {
    // A length is an int to the kernel.
    let room = memory::read_value(len.cast_const())? as c_int;
    let room = usize::try_from(room).map_err(|_| Errno(libc::EINVAL))?;
    if (level, name) == (libc::SOL_SOCKET, libc::SO_GET_FILTER) {
        return filter::give(fd, socket, room, value, len);
    }
    if socket.family == Family::Packet && (level, name) == (libc::SOL_PACKET, libc::PACKET_HDRLEN) {
        return header_len(room, value, len);
    }
    if let Some(known) = known(fd, socket, level, name)? {
        return give(&known.to_ne_bytes(), room, value, len);
    }
    if let Some(question) = question(level, name) {
        let request = Request::AskOption { id: socket.id, level, name, value: &[] };
        let along = Along { value: Some((value.cast_const(), room.min(question))), ..Along::socket(fd) };
        return match exchange::ask(&request, along, &mut exchange::buffer())?.reply {
            Reply::Value(bytes) => give(bytes, room, value, len),
            _ => Err(NONSENSE),
        };
    }
    let request = Request::Option { id: socket.id, level, name, len: room.min(MAX_OPTION) as u32 };
    match exchange::about(fd, &request, &mut exchange::buffer())? {
        Reply::Value(bytes) => give(bytes, room, value, len),
        _ => Err(NONSENSE),
    }
}

/// How long the question is that stands in the program's buffer, where there is one: `struct ip_msfilter`, `struct group_filter`, without sources;
/// `struct in6_flowlabel_req`.
fn question(level: c_int, name: c_int) -> Option<usize> {
    const IP_MSFILTER: c_int = 41;
    const MCAST_MSFILTER: c_int = 48;
    const IPV6_FLOWLABEL_MGR: c_int = 32;
    match (level, name) {
        (libc::IPPROTO_IP, IP_MSFILTER) => Some(16),
        (libc::IPPROTO_IP | libc::IPPROTO_IPV6, MCAST_MSFILTER) => Some(144),
        (libc::IPPROTO_IPV6, IPV6_FLOWLABEL_MGR) => Some(32),
        _ => None,
    }
}

/// `PACKET_HDRLEN`: the length of the header of a ring's version, which the value says.
fn header_len(room: usize, value: *mut c_void, len: *mut socklen_t) -> Result<(), Errno> {
    if room < size_of::<c_int>() {
        return Err(Errno(libc::EINVAL));
    }
    let header: c_int = match memory::read_value(value.cast_const().cast::<c_int>())? {
        // TPACKET_V1 to V3: `struct tpacket_hdr` on 64-bit machines, `tpacket2_hdr`, `tpacket3_hdr`.
        0 | 1 => 32,
        2 => 48,
        _ => return Err(Errno(libc::EINVAL)),
    };
    give(&header.to_ne_bytes(), room, value, len)
}

/// What needs no node, or not the node alone.
fn known(fd: c_int, socket: SocketName, level: c_int, name: c_int) -> Result<Option<c_int>, Errno> {
    if level != libc::SOL_SOCKET {
        return Ok(None);
    }
    Ok(Some(match (name, socket.kind) {
        (libc::SO_TYPE, Kind::Stream) => libc::SOCK_STREAM,
        (libc::SO_TYPE, Kind::Datagram) => libc::SOCK_DGRAM,
        (libc::SO_TYPE, Kind::Raw) => libc::SOCK_RAW,
        (libc::SO_PROTOCOL, Kind::Stream) => libc::IPPROTO_TCP,
        (libc::SO_DOMAIN, _) => match names::family(fd, socket) {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
            Family::Packet => libc::AF_PACKET,
            Family::Netlink => libc::AF_NETLINK,
        },
        (libc::SO_ACCEPTCONN, _) => c_int::from(is_listener(fd)),
        (libc::SO_ERROR, Kind::Datagram | Kind::Raw) => match datagram::take_error(fd, socket) {
            Some(errno) => errno.0,
            None => exchange::socket_error(fd, socket.id)?,
        },
        (libc::SO_ERROR, Kind::Stream) => exchange::socket_error(fd, socket.id)?,
        _ => return Ok(None),
    }))
}

fn give(bytes: &[u8], room: usize, value: *mut c_void, len: *mut socklen_t) -> Result<(), Errno> {
    let bytes = &bytes[..bytes.len().min(room)];
    memory::write(value, bytes)?;
    memory::write(len.cast(), &(bytes.len() as socklen_t).to_ne_bytes())
}

fn set(
    fd: c_int,
    socket: SocketName,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> Result<(), Errno> {
    // A length is an int to the kernel.
    let len = usize::try_from(len as c_int).map_err(|_| Errno(libc::EINVAL))?;
    if socket.kind == Kind::Stream
        && len >= size_of::<c_int>()
        && let Some(option) = Request::TOLD.iter().position(|&told| told == (level, name))
        && statement::tell(fd, socket.id, option, memory::read_value(value.cast())?)?
    {
        return Ok(());
    }
    if filter::PROGRAMS.contains(&(level, name)) {
        return filter::attach(fd, socket, (level, name), value, len);
    }
    let request = Request::SetOption { id: socket.id, level, name, value: &[] };
    let along = Along { value: Some((value, len)), ..Along::socket(fd) };
    match exchange::ask(&request, along, &mut exchange::buffer())?.reply {
        Reply::Done => {}
        // As with the kernel, a value that cannot be written is no error.
        Reply::Value(bytes) => drop(memory::write(value.cast_mut(), &bytes[..bytes.len().min(len)])),
        _ => return Err(NONSENSE),
    }
    if (level, name) == (libc::IPPROTO_IPV6, IPV6_ADDRFORM) {
        names::become_ipv4(fd)?;
    }
    let about_errors =
        matches!((level, name), (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR));
    if !socket.kind.is_stream() {
        if about_errors {
            poll::expect_errors();
        }
        datagram::forget_destination(fd);
    } else if about_errors {
        stream::expect_errors(fd);
    } else if concerns_descriptor(level, name) {
        sys::set_option(fd, name, &memory::read_value(value.cast::<c_int>())?)?;
    }
    Ok(())
}
