//! `getaddrinfo` and `getnameinfo`.
//!
//! libc's resolver opens sockets of its own that nobody can interpose, so names are the node's: it has a hosts file and name servers on the network that
//! its programs see. Everything else about these calls is libc's: numeric addresses, services, flags, and the memory of the results.
//!
//! For each address that the node finds, libc's own `getaddrinfo` is asked for that address in numbers; the lists are joined.
//! (`freeaddrinfo` in glibc frees entry by entry.)

use crate::address::Raw;
use crate::exchange::{self, Along, Buffer, NO_NODE, NONSENSE};
use crate::sys::{Errno, set_errno};
use crate::{interpose, real};
use libc::{addrinfo, c_char, c_int, sockaddr, socklen_t};
use sockeye_control::{Addresses, MAX_NAME, Reply, Request};
use std::ffi::CStr;
use std::fmt::Write;
use std::mem::zeroed;
use std::net::IpAddr;
use std::ptr::{null, null_mut};

interpose! {
    /// `getaddrinfo(3)`.
    fn getaddrinfo(name: *const c_char, service: *const c_char, hints: *const addrinfo, result: *mut *mut addrinfo) -> c_int {
        // SAFETY: the program's own arguments; all zeros is a valid structure.
        let mut numeric = unsafe { hints.as_ref().copied().unwrap_or_else(|| addrinfo { ai_flags: libc::AI_V4MAPPED | libc::AI_ADDRCONFIG, ..zeroed() }) };
        if name.is_null() || numeric.ai_flags & libc::AI_NUMERICHOST != 0 {
            // SAFETY: the program's own arguments, as they came.
            return unsafe { real::getaddrinfo(name, service, hints, result) };
        }
        let wanted = numeric;
        numeric.ai_flags |= libc::AI_NUMERICHOST;
        // SAFETY: the program's own arguments, as they came, but for the flag.
        let error = unsafe { real::getaddrinfo(name, service, &numeric, result) };
        // Not an address in numbers is exactly what this error says; all others would be the same for a name.
        if error != libc::EAI_NONAME {
            return error;
        }
        // SAFETY: the program's own argument, which ends in a zero byte.
        let Ok(text) = unsafe { CStr::from_ptr(name) }.to_str() else { return libc::EAI_NONAME };
        match look_up(text, &wanted, service) {
            Ok(list) => {
                // SAFETY: the program's own argument.
                unsafe { *result = list };
                0
            }
            Err(error) => error,
        }
    }

    /// `getnameinfo(3)`.
    fn getnameinfo(address: *const sockaddr, len: socklen_t, host: *mut c_char, host_len: socklen_t, service: *mut c_char, service_len: socklen_t, flags: c_int) -> c_int {
        // SAFETY: the program's own arguments, as they came, but for the flags.
        let numeric = |flags| unsafe { real::getnameinfo(address, len, host, host_len, service, service_len, flags) };
        if host.is_null() || host_len == 0 || flags & libc::NI_NUMERICHOST != 0 {
            return numeric(flags);
        }
        let Some(ip) = Raw::read(address, len).and_then(Raw::any).ok().map(|address| address.ip()) else { return numeric(flags) };
        let mut buffer = exchange::buffer();
        let name = match name_of(ip, &mut buffer) {
            Ok(name) => name,
            Err(_) if flags & libc::NI_NAMEREQD != 0 => return libc::EAI_NONAME,
            Err(_) => return numeric(flags | libc::NI_NUMERICHOST),
        };
        if name.len() >= host_len as usize {
            return libc::EAI_OVERFLOW;
        }
        if !service.is_null() && service_len != 0 {
            // SAFETY: the program's own arguments, as they came, without a host.
            let error = unsafe { real::getnameinfo(address, len, null_mut(), 0, service, service_len, flags & !libc::NI_NAMEREQD) };
            if error != 0 {
                return error;
            }
        }
        // SAFETY: the program's buffer has room for the name and its final zero.
        unsafe {
            std::ptr::copy_nonoverlapping(name.as_ptr(), host.cast(), name.len());
            *host.add(name.len()) = 0;
        }
        0
    }
}

/// Asks the node for a name's addresses; the answer's canonical name is the name itself where it has no other.
pub(crate) fn addresses_of<'b>(
    name: &'b str,
    family: c_int,
    flags: u32,
    buffer: &'b mut Buffer,
) -> Result<(&'b str, Addresses<'b>), Errno> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Errno(libc::ENOENT));
    }
    match exchange::ask(&Request::Resolve { family, flags, name }, Along::nothing(), buffer)?.reply {
        Reply::Addresses { canonical, addresses } if !addresses.is_empty() => {
            Ok((if canonical.is_empty() { name } else { canonical }, addresses))
        }
        Reply::Addresses { .. } => Err(Errno(libc::ENODATA)),
        _ => Err(NONSENSE),
    }
}

/// Asks the node for an address's name.
pub(crate) fn name_of(address: IpAddr, buffer: &mut Buffer) -> Result<&str, Errno> {
    match exchange::ask(&Request::ResolveAddress { address }, Along::nothing(), buffer)?.reply {
        Reply::Name(name) if !name.is_empty() && !name.contains('\0') => Ok(name),
        _ => Err(NONSENSE),
    }
}

fn look_up(name: &str, wanted: &addrinfo, service: *const c_char) -> Result<*mut addrinfo, c_int> {
    let flags = if wanted.ai_flags & libc::AI_ADDRCONFIG != 0 { Request::RESOLVE_CONFIGURED } else { 0 };
    let mut buffer = exchange::buffer();
    let mut second = exchange::buffer();
    let mut mapped = false;
    let found = match addresses_of(name, wanted.ai_family, flags, &mut buffer) {
        // The IPv4 addresses, written as IPv6 ones.
        Err(Errno(libc::ENODATA)) if wanted.ai_family == libc::AF_INET6 && wanted.ai_flags & libc::AI_V4MAPPED != 0 => {
            mapped = true;
            addresses_of(name, libc::AF_INET, flags, &mut second)
        }
        found => found,
    };
    let (canonical, addresses) = found.map_err(resolver_error)?;
    let mut hints = *wanted;
    hints.ai_flags |= libc::AI_NUMERICHOST;
    hints.ai_flags &= !(libc::AI_CANONNAME | libc::AI_ADDRCONFIG);
    let mut list = Joined { first: null_mut(), last: null_mut() };
    for address in addresses.iter() {
        let address = match address {
            IpAddr::V4(v4) if mapped => IpAddr::V6(v4.to_ipv6_mapped()),
            address => address,
        };
        list.join(address, service, &hints)?;
    }
    if wanted.ai_flags & libc::AI_CANONNAME != 0 {
        list.name(canonical)?;
    }
    Ok(list.take())
}

fn resolver_error(errno: Errno) -> c_int {
    match errno {
        Errno(libc::ENOENT | libc::EINVAL) => libc::EAI_NONAME,
        Errno(libc::ENODATA) => libc::EAI_NODATA,
        Errno(libc::EAGAIN) => libc::EAI_AGAIN,
        NO_NODE | Errno(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EACCES) => {
            set_errno(errno);
            libc::EAI_SYSTEM
        }
        _ => libc::EAI_FAIL,
    }
}

/// A list of libc's making, freed if it does not reach the program.
struct Joined {
    first: *mut addrinfo,
    last: *mut addrinfo,
}

impl Joined {
    fn join(&mut self, address: IpAddr, service: *const c_char, hints: &addrinfo) -> Result<(), c_int> {
        let text = Text::new(address);
        let mut part = null_mut();
        // SAFETY: the text ends in a zero byte; the service is the program's own.
        let error = unsafe { real::getaddrinfo(text.as_ptr(), service, hints, &mut part) };
        if error != 0 || part.is_null() {
            return Err(error);
        }
        if self.first.is_null() {
            self.first = part;
        } else {
            // SAFETY: the last entry of a list that is ours.
            unsafe { (*self.last).ai_next = part };
        }
        self.last = part;
        // SAFETY: entries of a list that is ours.
        unsafe {
            while !(*self.last).ai_next.is_null() {
                self.last = (*self.last).ai_next;
            }
        }
        Ok(())
    }

    /// The canonical name is in the first entry; who frees the list frees it.
    fn name(&mut self, name: &str) -> Result<(), c_int> {
        // SAFETY: memory of the C library, filled before it is used; the first entry is ours.
        unsafe {
            let copy = libc::malloc(name.len() + 1).cast::<u8>();
            if copy.is_null() {
                return Err(libc::EAI_MEMORY);
            }
            std::ptr::copy_nonoverlapping(name.as_ptr(), copy, name.len());
            *copy.add(name.len()) = 0;
            (*self.first).ai_canonname = copy.cast();
        }
        Ok(())
    }

    fn take(mut self) -> *mut addrinfo {
        std::mem::replace(&mut self.first, null_mut())
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if !self.first.is_null() {
            // SAFETY: a list of libc's own entries, which nobody else has.
            unsafe { libc::freeaddrinfo(self.first) };
        }
    }
}

/// An address in text with a final zero.
struct Text {
    bytes: [u8; 48],
    len: usize,
}

impl Text {
    fn new(address: IpAddr) -> Text {
        let mut text = Text { bytes: [0; 48], len: 0 };
        // The longest has 45 characters.
        let _ = write!(text, "{address}");
        text
    }

    fn as_ptr(&self) -> *const c_char {
        if self.len < self.bytes.len() { self.bytes.as_ptr().cast() } else { null() }
    }
}

impl Write for Text {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + piece.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(piece.as_bytes());
        self.len += piece.len();
        Ok(())
    }
}
