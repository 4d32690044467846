//! Socket filters: the program that `setsockopt` points to, in parts that fit into a request.
//!
//! The value of `SO_ATTACH_FILTER` is a length and a pointer to as many instructions; the node gets instructions, behind the number of all of them and the place of
//! the first. `SO_GET_FILTER` counts in instructions, too, and so does the length that it returns.

use crate::exchange::{self, Along, NONSENSE};
use crate::memory;
use crate::sys::Errno;
use libc::{c_int, c_void, sock_fprog, socklen_t};
use sockeye_control::{Reply, Request, SocketName};

const INVALID: Errno = Errno(libc::EINVAL);
/// `BPF_MAXINSNS`, and bytes of an instruction.
const MOST: usize = 4_096;
const INSTRUCTION: usize = 8;
/// Instructions in one request.
const PART: usize = 120;
/// Options whose value is a `struct sock_fprog`: besides those of all sockets PACKET_FANOUT_DATA.
pub(crate) const PROGRAMS: [(c_int, c_int); 3] = [
    (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER),
    (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF),
    (libc::SOL_PACKET, 22),
];

/// `setsockopt` of one of [`PROGRAMS`].
pub(crate) fn attach(
    fd: c_int,
    socket: SocketName,
    (level, name): (c_int, c_int),
    value: *const c_void,
    len: usize,
) -> Result<(), Errno> {
    if len != size_of::<sock_fprog>() {
        return Err(INVALID);
    }
    let program = memory::read_value(value.cast::<sock_fprog>())?;
    let total = usize::from(program.len);
    if total == 0 || total > MOST || program.filter.is_null() {
        return Err(INVALID);
    }
    for at in (0..total).step_by(PART) {
        let count = PART.min(total - at);
        let mut head = [0; 4];
        head[..2].copy_from_slice(&(total as u16).to_ne_bytes());
        head[2..].copy_from_slice(&(at as u16).to_ne_bytes());
        let request = Request::SetOption { id: socket.id, level, name, value: &head };
        let from = program.filter.cast_const().cast::<c_void>().wrapping_byte_add(at * INSTRUCTION);
        let along = Along { value: Some((from, count * INSTRUCTION)), ..Along::socket(fd) };
        match exchange::ask(&request, along, &mut exchange::buffer())?.reply {
            Reply::Done => {}
            _ => return Err(NONSENSE),
        }
    }
    Ok(())
}

/// `getsockopt` of `SO_GET_FILTER`: `room` instructions at most.
pub(crate) fn give(
    fd: c_int,
    socket: SocketName,
    room: usize,
    value: *mut c_void,
    len: *mut socklen_t,
) -> Result<(), Errno> {
    let mut at = 0;
    loop {
        let name = libc::SO_GET_FILTER;
        let request = Request::Option { id: socket.id, level: libc::SOL_SOCKET, name, len: at as u32 };
        let mut buffer = exchange::buffer();
        let Reply::Value(part) = exchange::about(fd, &request, &mut buffer)? else { return Err(NONSENSE) };
        let (head, instructions) = part.split_first_chunk::<4>().ok_or(NONSENSE)?;
        let total = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        if room > 0 && room < total {
            return Err(INVALID);
        }
        if room > 0 {
            memory::write(value.wrapping_byte_add(at * INSTRUCTION), instructions)?;
            at += instructions.len() / INSTRUCTION;
        }
        if room == 0 || at >= total || instructions.is_empty() {
            return memory::write(len.cast(), &(total as socklen_t).to_ne_bytes());
        }
    }
}
