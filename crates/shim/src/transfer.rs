//! All calls that read or write: one line to the kernel for most, a few more for datagrams.
//!
//! For a stream, and for descriptors that are none of ours, each is libc's own call with a second look at its result ([`stream`]). Datagram
//! sockets take the other way ([`datagram`]). [`names::identity_if`] tells them apart and costs nothing in a process that has no datagram socket.

use crate::address::{self, Raw};
use crate::datagram::{self, Control, Incoming};
use crate::names::{self, identity, identity_if};
use crate::sys::{Errno, answer, errno, set_errno};
use crate::{discard, interpose, memory, patience, real, stream};
use libc::{c_int, c_uint, c_void, iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec};
use sockeye_control::{Address, SocketName, ancillary};
use std::mem::offset_of;

const INVALID: Errno = Errno(libc::EINVAL);
const UNSUPPORTED: Errno = Errno(libc::EOPNOTSUPP);

/// A list of control messages that is looked at before it is sent; few are longer.
const SHORT_LIST: usize = 256;

/// What a descriptor takes.
enum Way {
    /// The kernel's own.
    Kernel,
    /// A datagram socket's, or a stream's queue of errors.
    Datagram(SocketName),
    /// Not possible on a stream, or not on this one.
    Refused(Errno),
    /// Writing to a stream that was never connected.
    Broken,
}

/// Without Fast Open, as Linux says where it is switched off; a pair would ignore it.
fn way_out(fd: c_int, flags: c_int) -> Way {
    let opens = flags & libc::MSG_FASTOPEN != 0;
    match identity_if(opens, fd) {
        Some(name) if !name.kind.is_stream() => Way::Datagram(name),
        Some(_) if opens => Way::Refused(UNSUPPORTED),
        _ if names::unconnected(fd).is_some() => Way::Broken,
        _ => stream::told_to_writers(fd).map_or(Way::Kernel, Way::Refused),
    }
}

/// A queue of errors is the node's; a pair would give data in its stead.
fn way_in(fd: c_int, flags: c_int) -> Way {
    let errors = flags & libc::MSG_ERRQUEUE != 0;
    match identity_if(errors, fd) {
        Some(name) if errors || !name.kind.is_stream() => Way::Datagram(name),
        _ if names::unconnected(fd).is_some() => Way::Refused(Errno(libc::ENOTCONN)),
        _ => stream::told_to_readers(fd).map_or(Way::Kernel, Way::Refused),
    }
}

unsafe extern "C" {
    /// libc's answer to a buffer that the compiler knows to be too small.
    fn __chk_fail() -> !;
}

interpose! {
    /// `read(2)`.
    fn read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t {
        match way_in(fd, 0) {
            // A read of nothing takes no datagram, unlike a receive.
            Way::Datagram(name) if len > 0 => answer(receive_one(fd, name, buffer, len, 0)),
            Way::Refused(errno) => answer(Err(errno)),
            _ => {
                // SAFETY: the program's own arguments, as they came.
                let read = patience::receive(fd, buffer, len, || unsafe { real::read(fd, buffer, len) });
                if len == 0 { read } else { stream::received(fd, read) }
            }
        }
    }

    /// `readv(2)`.
    fn readv(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
        match way_in(fd, 0) {
            Way::Broken => stream::broken(0),
            Way::Datagram(name) => answer(with_counted(pieces, count, |pieces| {
                if datagram::total(pieces) == 0 { Ok(0) } else { datagram::receive(fd, name, pieces, 0).map(|got| got.len as ssize_t) }
            })),
            Way::Refused(errno) => answer(Err(errno)),
            // SAFETY: the program's own arguments, as they came.
            _ => stream::received(fd, unsafe { real::readv(fd, pieces, count) }),
        }
    }

    /// `write(2)`.
    fn write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t {
        match way_out(fd, 0) {
            Way::Datagram(name) => answer(send_one(fd, name, None, buffer, len, 0)),
            Way::Broken => stream::broken(0),
            // SAFETY: the program's own arguments, as they came.
            _ => stream::sent(fd, unsafe { real::write(fd, buffer, len) }, || Ok(len as ssize_t)),
        }
    }

    /// `writev(2)`.
    fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
        match way_out(fd, 0) {
            Way::Broken => stream::broken(0),
            Way::Datagram(name) => answer(with_counted(pieces, count, |pieces| {
                if datagram::total(pieces) == 0 {
                    return Ok(0);
                }
                datagram::send(fd, name, None, Control::NONE, pieces, 0).map(|len| len as ssize_t)
            })),
            // SAFETY: the program's own arguments, as they came.
            _ => stream::sent(fd, unsafe { real::writev(fd, pieces, count) }, || {
                with_counted(pieces, count, |pieces| Ok(datagram::total(pieces) as ssize_t))
            }),
        }
    }

    /// `recv(2)`.
    fn recv(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
        match way_in(fd, flags) {
            Way::Datagram(name) => answer(receive_one(fd, name, buffer, len, flags)),
            Way::Refused(errno) => answer(Err(errno)),
            Way::Kernel | Way::Broken if flags == 0 => {
                // SAFETY: the program's own arguments, as they came.
                stream::received(fd, patience::receive(fd, buffer, len, || unsafe { real::recv(fd, buffer, len, 0) }))
            }
            Way::Kernel | Way::Broken if discard::is_asked(fd, flags) => {
                stream::received(fd, discard::receive(fd, len, flags))
            }
            // SAFETY: the program's own arguments, as they came.
            Way::Kernel | Way::Broken => stream::received(fd, unsafe { real::recv(fd, buffer, len, flags) }),
        }
    }

    /// `recvfrom(2)`.
    fn recvfrom(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int, from: *mut sockaddr, from_len: *mut socklen_t) -> ssize_t {
        match way_in(fd, flags) {
            Way::Datagram(name) => answer(receive_from(fd, name, buffer, len, flags, from, from_len)),
            Way::Refused(errno) => answer(Err(errno)),
            Way::Kernel | Way::Broken if discard::is_asked(fd, flags) => {
                let received = stream::received(fd, discard::receive(fd, len, flags));
                let named = if received < 0 || from.is_null() { Ok(()) } else { memory::write(from_len.cast(), &0u32.to_ne_bytes()) };
                answer(named.map(|()| received))
            }
            Way::Kernel | Way::Broken => {
                // SAFETY: the program's own arguments, as they came.
                let received = stream::received(fd, unsafe { real::recvfrom(fd, buffer, len, flags, from, from_len) });
                // SAFETY: the kernel has just written there, if there was an address to write.
                if received >= 0 && !from.is_null() && let Some(from_len) = unsafe { from_len.as_mut() } {
                    stream::hide_name(from, from_len);
                }
                received
            }
        }
    }

    /// `recvmsg(2)`.
    fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
        match way_in(fd, flags) {
            Way::Datagram(name) => answer(receive_message(fd, name, message, flags)),
            Way::Refused(errno) => answer(Err(errno)),
            Way::Kernel | Way::Broken if discard::is_asked(fd, flags) => answer(discard_message(fd, message, flags)),
            Way::Kernel | Way::Broken => {
                // SAFETY: the program's own arguments, as they came.
                let received = stream::received(fd, unsafe { real::recvmsg(fd, message, flags) });
                // SAFETY: the kernel has just filled it.
                if received >= 0 && let Some(message) = unsafe { message.as_mut() } {
                    // SAFETY: as above.
                    unsafe { look_at(message) };
                }
                received
            }
        }
    }

    /// `recvmmsg(2)`.
    fn recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int {
        match way_in(fd, flags) {
            Way::Datagram(name) => answer(receive_many(fd, name, messages, count, flags, timeout)),
            Way::Refused(errno) => answer(Err(errno)),
            Way::Kernel | Way::Broken => {
                // SAFETY: the program's own arguments, as they came.
                let received = unsafe { real::recvmmsg(fd, messages, count, flags, timeout) };
                for at in 0..usize::try_from(received).unwrap_or(0) {
                    // SAFETY: the kernel has just filled as many.
                    unsafe { look_at(&mut (*messages.add(at)).msg_hdr) };
                }
                received
            }
        }
    }

    /// `send(2)`.
    fn send(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int) -> ssize_t {
        match way_out(fd, flags) {
            Way::Datagram(name) => answer(send_one(fd, name, None, buffer, len, flags)),
            Way::Refused(errno) => answer(Err(errno)),
            Way::Broken => stream::broken(flags),
            // SAFETY: the program's own arguments, as they came, but for the flag.
            Way::Kernel => stream::send(fd, flags, || Ok(len as ssize_t), |flags| unsafe { real::send(fd, buffer, len, flags) }),
        }
    }

    /// `sendto(2)`.
    fn sendto(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int, to: *const sockaddr, to_len: socklen_t) -> ssize_t {
        match way_out(fd, flags) {
            Way::Datagram(name) => {
                let raw = if to.is_null() { Ok(None) } else { Raw::read(to, to_len).map(Some) };
                answer(raw.and_then(|to| send_one(fd, name, to, buffer, len, flags)))
            }
            Way::Refused(errno) => answer(Err(errno)),
            Way::Broken => stream::broken(flags),
            Way::Kernel => stream::send(fd, flags, || Ok(len as ssize_t), |flags| {
                // SAFETY: the program's own arguments, as they came, but for the flag.
                let sent = unsafe { real::sendto(fd, buffer, len, flags, to, to_len) };
                if !pair_refuses_address(fd, sent) {
                    return sent;
                }
                // SAFETY: as above, and without the address, which TCP ignores.
                unsafe { real::send(fd, buffer, len, flags) }
            }),
        }
    }

    /// `sendmsg(2)`.
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
        match way_out(fd, flags) {
            Way::Datagram(name) => answer(send_message(fd, name, message, flags)),
            Way::Refused(errno) => answer(Err(errno)),
            Way::Broken => stream::broken(flags),
            Way::Kernel => stream::send(fd, flags, || whole(message), |flags| {
                // SAFETY: the program's own arguments, as they came, but for the flag.
                let sent = unsafe { real::sendmsg(fd, message, flags) };
                if !pair_refuses_address(fd, sent) {
                    return sent;
                }
                // SAFETY: the kernel has read it, or there would be another error.
                let mut anonymous = unsafe { *message };
                anonymous.msg_name = std::ptr::null_mut();
                anonymous.msg_namelen = 0;
                // SAFETY: the program's own message without the address, which TCP ignores.
                unsafe { real::sendmsg(fd, &anonymous, flags) }
            }),
        }
    }

    /// `sendmmsg(2)`.
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
        match way_out(fd, flags) {
            Way::Datagram(name) => answer(send_many(fd, name, messages, count, flags)),
            Way::Refused(errno) => answer(Err(errno)),
            Way::Broken => stream::broken(flags) as c_int,
            // SAFETY: the program's own arguments, as they came.
            Way::Kernel => unsafe { real::sendmmsg(fd, messages, count, flags) },
        }
    }

    /// `read` where the compiler knows the buffer's size.
    fn __read_chk(fd: c_int, buffer: *mut c_void, len: size_t, size: size_t) -> ssize_t {
        if len > size {
            // SAFETY: ends the program, as libc would.
            unsafe { __chk_fail() };
        }
        // SAFETY: the program's own arguments, as they came.
        unsafe { read(fd, buffer, len) }
    }

    /// `recv` where the compiler knows the buffer's size.
    fn __recv_chk(fd: c_int, buffer: *mut c_void, len: size_t, size: size_t, flags: c_int) -> ssize_t {
        if len > size {
            // SAFETY: ends the program, as libc would.
            unsafe { __chk_fail() };
        }
        // SAFETY: the program's own arguments, as they came.
        unsafe { recv(fd, buffer, len, flags) }
    }

    /// `recvfrom` where the compiler knows the buffer's size.
    fn __recvfrom_chk(fd: c_int, buffer: *mut c_void, len: size_t, size: size_t, flags: c_int, from: *mut sockaddr, from_len: *mut socklen_t) -> ssize_t {
        if len > size {
            // SAFETY: ends the program, as libc would.
            unsafe { __chk_fail() };
        }
        // SAFETY: the program's own arguments, as they came.
        unsafe { recvfrom(fd, buffer, len, flags, from, from_len) }
    }
}

/// A message that the kernel filled: descriptors in it may be sockets of a node, its sender's name may be a pair's.
///
/// # Safety
///
/// The kernel has just filled it.
unsafe fn look_at(message: &mut msghdr) {
    // SAFETY: the caller's promise.
    unsafe { names::learn_from(message) };
    stream::hide_name(message.msg_name.cast_const().cast(), &mut message.msg_namelen);
}

/// Whether a stream of ours refused an address that TCP would have ignored.
fn pair_refuses_address(fd: c_int, sent: ssize_t) -> bool {
    let refusal = errno();
    let refused = sent == -1 && refusal == Errno(libc::EISCONN) && identity(fd).is_some();
    set_errno(refusal);
    refused
}

/// How long what a message's pieces hold is.
fn whole(message: *const msghdr) -> Result<ssize_t, Errno> {
    let message = memory::read_value(message)?;
    datagram::with_pieces(message.msg_iov, message.msg_iovlen, |pieces| Ok(datagram::total(pieces) as ssize_t))
}

/// The pieces of `readv` and `writev`, which count them in an int.
fn with_counted<T>(
    pieces: *const iovec,
    count: c_int,
    act: impl FnOnce(&mut [iovec]) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let count = usize::try_from(count).ok().filter(|&count| count <= datagram::MAX_PIECES).ok_or(INVALID)?;
    datagram::with_pieces(pieces, count, act)
}

fn receive_one(fd: c_int, name: SocketName, buffer: *mut c_void, len: usize, flags: c_int) -> Result<ssize_t, Errno> {
    let mut pieces = datagram::around(buffer, len);
    datagram::receive(fd, name, &mut pieces, flags).map(|got| got.len as ssize_t)
}

fn receive_from(
    fd: c_int,
    name: SocketName,
    buffer: *mut c_void,
    len: usize,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> Result<ssize_t, Errno> {
    let mut pieces = datagram::around(buffer, len);
    let got = datagram::receive(fd, name, &mut pieces, flags)?;
    if !from.is_null() {
        give(got.remote, from, from_len)?;
    }
    Ok(got.len as ssize_t)
}

fn receive_message(fd: c_int, name: SocketName, to: *mut msghdr, flags: c_int) -> Result<ssize_t, Errno> {
    let message = memory::read_value(to.cast_const())?;
    if (message.msg_namelen as c_int) < 0 {
        return Err(INVALID);
    }
    let room = if message.msg_control.is_null() { 0 } else { message.msg_controllen };
    let give_control = |list: &mut [u8]| {
        let (len, lost) = ancillary::cut(list, room);
        memory::write(message.msg_control, &list[..len])?;
        Ok((len, if lost { libc::MSG_CTRUNC } else { 0 }))
    };
    let (Incoming { remote, len, flags }, (control_len, lost)) =
        datagram::with_pieces(message.msg_iov, message.msg_iovlen, |pieces| {
            datagram::receive_with(fd, name, pieces, flags, give_control)
        })?;
    if !message.msg_name.is_null() {
        give(remote, message.msg_name.cast(), field(to, offset_of!(msghdr, msg_namelen)).cast())?;
    }
    memory::write(field(to, offset_of!(msghdr, msg_controllen)), &control_len.to_ne_bytes())?;
    memory::write(field(to, offset_of!(msghdr, msg_flags)), &(flags | lost).to_ne_bytes())?;
    Ok(len as ssize_t)
}

/// `MSG_TRUNC` on a stream: as much as there is room for goes to nobody.
fn discard_message(fd: c_int, to: *mut msghdr, flags: c_int) -> Result<ssize_t, Errno> {
    let message = memory::read_value(to.cast_const())?;
    let room = datagram::with_pieces(message.msg_iov, message.msg_iovlen, |pieces| Ok(datagram::total(pieces)))?;
    let received = stream::received(fd, discard::receive(fd, room, flags));
    if received >= 0 {
        memory::write(field(to, offset_of!(msghdr, msg_namelen)), &0u32.to_ne_bytes())?;
        memory::write(field(to, offset_of!(msghdr, msg_controllen)), &0usize.to_ne_bytes())?;
        memory::write(field(to, offset_of!(msghdr, msg_flags)), &0u32.to_ne_bytes())?;
    }
    Ok(received)
}

/// Tells whom a datagram came from.
fn give(remote: Option<Address>, to: *mut sockaddr, len: *mut socklen_t) -> Result<(), Errno> {
    match remote {
        Some(remote) => address::give(remote, to, len),
        None => memory::write(len.cast(), &0u32.to_ne_bytes()),
    }
}

fn field(message: *mut msghdr, offset: usize) -> *mut c_void {
    message.cast::<c_void>().wrapping_byte_add(offset)
}

fn receive_many(
    fd: c_int,
    name: SocketName,
    messages: *mut mmsghdr,
    count: c_uint,
    mut flags: c_int,
    timeout: *mut timespec,
) -> Result<c_int, Errno> {
    let end = if timeout.is_null() {
        None
    } else {
        let limit = memory::read_value(timeout.cast_const())?;
        if limit.tv_sec < 0 || !(0..1_000_000_000).contains(&limit.tv_nsec) {
            return Err(INVALID);
        }
        Some(nanoseconds(now()).saturating_add(nanoseconds(limit)))
    };
    let mut done: c_int = 0;
    for at in 0..(count as usize).min(datagram::MAX_PIECES) {
        let message = messages.wrapping_add(at);
        let header = message.cast::<c_void>().wrapping_byte_add(offset_of!(mmsghdr, msg_hdr));
        match receive_message(fd, name, header.cast(), flags & !libc::MSG_WAITFORONE) {
            Ok(len) => set_len(message, len)?,
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        }
        done += 1;
        if flags & libc::MSG_WAITFORONE != 0 {
            flags |= libc::MSG_DONTWAIT;
        }
        // As the kernel does: the time is looked at after each message, and does not limit the wait for one.
        if let Some(end) = end {
            let left = (end - nanoseconds(now())).max(0);
            let mut rest = [0; 16];
            rest[..8].copy_from_slice(&(left / 1_000_000_000).to_ne_bytes()[..8]);
            rest[8..].copy_from_slice(&(left % 1_000_000_000).to_ne_bytes()[..8]);
            memory::write(timeout.cast(), &rest)?;
            if left == 0 {
                break;
            }
        }
    }
    Ok(done)
}

fn now() -> timespec {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills a structure of ours, and cannot fail with this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now
}

fn nanoseconds(time: timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

fn set_len(message: *mut mmsghdr, len: ssize_t) -> Result<(), Errno> {
    let to = message.cast::<c_void>().wrapping_byte_add(offset_of!(mmsghdr, msg_len));
    memory::write(to, &(len as c_uint).to_ne_bytes())
}

fn send_one(
    fd: c_int,
    name: SocketName,
    to: Option<Raw>,
    buffer: *const c_void,
    len: usize,
    flags: c_int,
) -> Result<ssize_t, Errno> {
    let to = to.map(|raw| raw.to_send(name)).transpose()?;
    let mut pieces = datagram::around(buffer, len);
    datagram::send(fd, name, to, Control::NONE, &mut pieces, flags).map(|len| len as ssize_t)
}

fn send_message(fd: c_int, name: SocketName, from: *const msghdr, flags: c_int) -> Result<ssize_t, Errno> {
    let message = memory::read_value(from)?;
    let to = if message.msg_name.is_null() || message.msg_namelen == 0 {
        None
    } else {
        // Longer than any address: Linux takes what it knows.
        let len = (message.msg_namelen as c_int).min(128);
        Some(Raw::read(message.msg_name.cast(), len as socklen_t)?.to_send(name)?)
    };
    let listed = if message.msg_control.is_null() { 0 } else { message.msg_controllen };
    let mut list = [0; SHORT_LIST];
    let control = match list.get_mut(..listed) {
        None => Control::Unread(message.msg_control, listed),
        Some(list) => {
            memory::read(message.msg_control, list)?;
            Control::Read(list)
        }
    };
    datagram::with_pieces(message.msg_iov, message.msg_iovlen, |pieces| {
        datagram::send(fd, name, to, control, pieces, flags)
    })
    .map(|len| len as ssize_t)
}

fn send_many(fd: c_int, name: SocketName, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> Result<c_int, Errno> {
    let mut done = 0;
    for at in 0..(count as usize).min(datagram::MAX_PIECES) {
        let message = messages.wrapping_add(at);
        let header = message.cast::<c_void>().wrapping_byte_add(offset_of!(mmsghdr, msg_hdr));
        match send_message(fd, name, header.cast_const().cast(), flags) {
            Ok(len) => set_len(message, len)?,
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        }
        done += 1;
    }
    Ok(done)
}
