//! `getaddrinfo` and `getnameinfo`.
//!
//! libc's resolver opens sockets of its own that nobody can interpose, so names are the node's: it has a hosts file and name servers on the network that
//! its programs see. Everything else about these calls is libc's: numeric addresses, services, flags, and the memory of the results.
//!
//! For each address that the node finds, libc's own `getaddrinfo` is asked for that address in numbers; the lists are joined.
//! (`freeaddrinfo` in glibc frees entry by entry.)

use crate::address::{Encoded, Raw};
use crate::exchange::{self, Along, Buffer, NO_NODE, NONSENSE};
use crate::sys::{Errno, set_errno};
use crate::{interfaces, interpose, real};
use libc::{addrinfo, c_char, c_int, c_uint, sockaddr, socklen_t};
use sockeye_control::{Addresses, MAX_NAME, Reply, Request};
use std::ffi::CStr;
use std::fmt::Write;
use std::mem::zeroed;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ptr::{null, null_mut};

interpose! {
    /// `getaddrinfo(3)`.
    fn getaddrinfo(name: *const c_char, service: *const c_char, hints: *const addrinfo, result: *mut *mut addrinfo) -> c_int {
        // SAFETY: the program's own arguments; all zeros is a valid structure.
        let wanted = unsafe { hints.as_ref().copied().unwrap_or_else(|| addrinfo { ai_flags: libc::AI_V4MAPPED | libc::AI_ADDRCONFIG, ..zeroed() }) };
        // libc would look which families the kernel's interfaces have.
        let mut numeric = addrinfo { ai_flags: wanted.ai_flags & !libc::AI_ADDRCONFIG, ..wanted };
        if name.is_null() {
            // SAFETY: the program's own arguments, as they came, but for the flag.
            return unsafe { real::getaddrinfo(name, service, &numeric, result) };
        }
        numeric.ai_flags |= libc::AI_NUMERICHOST;
        // SAFETY: the program's own argument, which ends in a zero byte.
        if let Some((address, index)) = scoped(unsafe { CStr::from_ptr(name) }) {
            // SAFETY: the program's own arguments, as they came, but for the flag and the zone.
            return index.map_or(libc::EAI_NONAME, |index| unsafe { with_scope(address, index, &numeric, service, result) });
        }
        // SAFETY: the program's own arguments, as they came, but for the flag.
        let error = unsafe { real::getaddrinfo(name, service, &numeric, result) };
        // Not an address in numbers, or not a service in numbers, is what this error says; all others would be the same for a name.
        if error != libc::EAI_NONAME || wanted.ai_flags & libc::AI_NUMERICHOST != 0 {
            return error;
        }
        // SAFETY: the program's own argument, as it came.
        let error = unsafe { wrong_service(service, &numeric) };
        if error != 0 {
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
        let numeric = |flags| unsafe { numeric_name(address, len, host, host_len, service, service_len, flags) };
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

/// What is wrong with a service, if anything: no name is asked for before that is known.
///
/// # Safety
///
/// As for `getaddrinfo`.
unsafe fn wrong_service(service: *const c_char, hints: &addrinfo) -> c_int {
    if service.is_null() {
        return 0;
    }
    let hints = addrinfo { ai_flags: hints.ai_flags & !libc::AI_CANONNAME, ..*hints };
    let mut list = null_mut();
    // SAFETY: the caller's promise; what libc has made is freed at once.
    unsafe {
        let error = real::getaddrinfo(null(), service, &hints, &mut list);
        if error == 0 {
            libc::freeaddrinfo(list);
        }
        error
    }
}

/// An address in numbers with a zone (`fe80::1%eth0`): the address, and the zone's index. libc would ask the kernel for it. `None` for everything else,
/// which libc knows better: zones in numbers, and zones of addresses that have none.
fn scoped(name: &CStr) -> Option<(Ipv6Addr, Option<c_uint>)> {
    let (address, zone) = name.to_str().ok()?.split_once('%')?;
    let address: Ipv6Addr = address.parse().ok()?;
    if !has_zone(address) || zone.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((address, interfaces::index_of(zone.as_bytes()).ok()))
}

/// Whether an address means something on one link only.
fn has_zone(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local() || address.segments()[0] & 0xff0f == 0xff02
}

/// `getaddrinfo` of an address without its zone, which is then written into what libc has made.
///
/// # Safety
///
/// As for `getaddrinfo`.
unsafe fn with_scope(
    address: Ipv6Addr,
    index: c_uint,
    hints: &addrinfo,
    service: *const c_char,
    result: *mut *mut addrinfo,
) -> c_int {
    let text = Text::new(address.into());
    // SAFETY: the caller's promise; the text ends in a zero byte.
    unsafe {
        let error = real::getaddrinfo(text.as_ptr(), service, hints, result);
        let mut at = if error == 0 { *result } else { null_mut() };
        while let Some(entry) = at.as_ref() {
            if entry.ai_family == libc::AF_INET6 {
                (*entry.ai_addr.cast::<libc::sockaddr_in6>()).sin6_scope_id = index;
            }
            at = entry.ai_next;
        }
        error
    }
}

/// `getnameinfo` by libc, with the zone by the node's name of it.
///
/// # Safety
///
/// As for `getnameinfo`.
unsafe fn numeric_name(
    address: *const sockaddr,
    len: socklen_t,
    host: *mut c_char,
    host_len: socklen_t,
    service: *mut c_char,
    service_len: socklen_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    let whole = |flags| unsafe { real::getnameinfo(address, len, host, host_len, service, service_len, flags) };
    let v6 = match Raw::read(address, len).and_then(Raw::any) {
        Ok(SocketAddr::V6(v6)) if has_zone(*v6.ip()) && v6.scope_id() != 0 && !host.is_null() && host_len > 0 => v6,
        _ => return whole(flags),
    };
    let mut zone = Text { bytes: [0; 48], len: 0 };
    let named = match interfaces::name_of(v6.scope_id()) {
        Ok(name) => {
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            write!(zone, "%{}", std::str::from_utf8(name).unwrap_or_default())
        }
        Err(_) => write!(zone, "%{}", v6.scope_id()),
    };
    let plain = Encoded::new(SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), v6.flowinfo(), 0)));
    let (bytes, size) = (plain.as_bytes().as_ptr().cast(), plain.as_bytes().len() as socklen_t);
    // SAFETY: the caller's promise; the address is our own.
    let error = unsafe { real::getnameinfo(bytes, size, host, host_len, service, service_len, flags) };
    if error != 0 || named.is_err() {
        return error;
    }
    // SAFETY: libc has written a text there, with its zero byte.
    let at = unsafe { CStr::from_ptr(host) }.to_bytes().len();
    if at + zone.len + 1 > host_len as usize {
        return libc::EAI_OVERFLOW;
    }
    // SAFETY: the program's buffer has room for it, and zeros follow the zone.
    unsafe { std::ptr::copy_nonoverlapping(zone.bytes.as_ptr(), host.add(at).cast(), zone.len + 1) };
    0
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
