//! `gethostbyname`, `gethostbyaddr` and their kin: the old way to ask for names, still in use.
//!
//! The node is asked as for `getaddrinfo`; the answer is laid out in the caller's buffer (the `_r` calls) or in one of the process's own (the others,
//! which by their definition overwrite the last answer). Names that are addresses in numbers stay libc's.

use crate::exchange;
use crate::interpose;
use crate::real;
use crate::resolve::{addresses_of, name_of};
use crate::sys::Errno;
use libc::{c_char, c_int, c_void, hostent, size_t, socklen_t};
use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr::null_mut;

const HOST_NOT_FOUND: c_int = 1;
const TRY_AGAIN: c_int = 2;
const NO_RECOVERY: c_int = 3;
const NO_DATA: c_int = 4;
/// Look into `errno`.
const NETDB_INTERNAL: c_int = -1;

unsafe extern "C" {
    fn __h_errno_location() -> *mut c_int;
}

/// The answer of the calls that are not `_r`.
struct Last(UnsafeCell<([u64; 512], hostent)>);

// SAFETY: by their definition a program must not make these calls from two threads at once.
unsafe impl Sync for Last {}

static LAST: Last = Last(UnsafeCell::new((
    [0; 512],
    hostent { h_name: null_mut(), h_aliases: null_mut(), h_addrtype: 0, h_length: 0, h_addr_list: null_mut() },
)));

interpose! {
    /// `gethostbyname(3)`.
    fn gethostbyname(name: *const c_char) -> *mut hostent {
        // SAFETY: the program's own argument, as it came.
        unsafe { gethostbyname2(name, libc::AF_INET) }
    }

    /// `gethostbyname2(3)`.
    fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent {
        // SAFETY: the program's own arguments, and the process's own buffer.
        last(|entry, buffer, len, result, error| unsafe { gethostbyname2_r(name, family, entry, buffer, len, result, error) })
    }

    /// `gethostbyaddr(3)`.
    fn gethostbyaddr(address: *const c_void, address_len: socklen_t, family: c_int) -> *mut hostent {
        // SAFETY: the program's own arguments, and the process's own buffer.
        last(|entry, buffer, len, result, error| unsafe { gethostbyaddr_r(address, address_len, family, entry, buffer, len, result, error) })
    }

    /// `gethostbyname_r(3)`.
    fn gethostbyname_r(name: *const c_char, entry: *mut hostent, buffer: *mut c_char, len: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int {
        // SAFETY: the program's own arguments, as they came.
        unsafe { gethostbyname2_r(name, libc::AF_INET, entry, buffer, len, result, error) }
    }

    /// `gethostbyname2_r(3)`.
    fn gethostbyname2_r(name: *const c_char, family: c_int, entry: *mut hostent, buffer: *mut c_char, len: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int {
        // SAFETY: the program's own argument, which ends in a zero byte.
        let text = unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("");
        // What starts like a number or has a colon, libc takes as one, or refuses without asking anybody.
        if text.parse::<IpAddr>().is_ok() || text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            // SAFETY: the program's own arguments, as they came.
            return unsafe { real::gethostbyname2_r(name, family, entry, buffer, len, result, error) };
        }
        let mut answer = exchange::buffer();
        let found = addresses_of(text, family, 0, &mut answer);
        let laid = found.map(|(canonical, addresses)| {
            // SAFETY: the program's own buffer.
            unsafe { lay_out(canonical, family, addresses.iter(), entry, buffer, len) }
        });
        // SAFETY: the program's own arguments.
        unsafe { finish(laid, entry, result, error) }
    }

    /// `gethostbyaddr_r(3)`.
    fn gethostbyaddr_r(address: *const c_void, address_len: socklen_t, family: c_int, entry: *mut hostent, buffer: *mut c_char, len: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int {
        let ip = match (family, address_len) {
            // SAFETY: the program's own address, of this length.
            (libc::AF_INET, 4) => Ok(IpAddr::V4(Ipv4Addr::from(unsafe { address.cast::<[u8; 4]>().read_unaligned() }))),
            // SAFETY: the program's own address, of this length.
            (libc::AF_INET6, 16) => Ok(IpAddr::V6(Ipv6Addr::from(unsafe { address.cast::<[u8; 16]>().read_unaligned() }))),
            _ => Err(Errno(libc::EAFNOSUPPORT)),
        };
        let mut answer = exchange::buffer();
        let laid = ip.and_then(|ip| {
            let name = name_of(ip, &mut answer)?;
            // SAFETY: the program's own buffer.
            Ok(unsafe { lay_out(name, family, std::iter::once(ip), entry, buffer, len) })
        });
        // SAFETY: the program's own arguments.
        unsafe { finish(laid, entry, result, error) }
    }
}

/// Calls an `_r` with the process's own buffer and `h_errno`.
fn last(call: impl FnOnce(*mut hostent, *mut c_char, size_t, *mut *mut hostent, *mut c_int) -> c_int) -> *mut hostent {
    let mut result = null_mut();
    // SAFETY: the fields' addresses; nobody else uses them now (see `Last`).
    let (buffer, entry) = unsafe {
        let last = LAST.0.get();
        (&raw mut (*last).0, &raw mut (*last).1)
    };
    // SAFETY: libc always has one for the thread.
    let error = unsafe { __h_errno_location() };
    call(entry, buffer.cast(), size_of::<[u64; 512]>(), &mut result, error);
    result
}

/// An answer's or an error's way back to the program.
///
/// # Safety
///
/// The program's arguments are what they should be.
unsafe fn finish(
    laid: Result<Result<(), TooSmall>, Errno>,
    entry: *mut hostent,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    let (found, code, returned) = match laid {
        Ok(Ok(())) => (entry, 0, 0),
        Ok(Err(TooSmall)) => (null_mut(), NETDB_INTERNAL, libc::ERANGE),
        Err(Errno(libc::ENOENT | libc::EINVAL)) => (null_mut(), HOST_NOT_FOUND, 0),
        Err(Errno(libc::ENODATA)) => (null_mut(), NO_DATA, 0),
        Err(Errno(libc::EAGAIN | libc::ENETDOWN)) => (null_mut(), TRY_AGAIN, libc::EAGAIN),
        Err(Errno(errno @ (libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAFNOSUPPORT))) => {
            (null_mut(), NETDB_INTERNAL, errno)
        }
        Err(_) => (null_mut(), NO_RECOVERY, 0),
    };
    // SAFETY: the caller's promise.
    unsafe {
        *result = found;
        if code != 0 {
            *error = code;
            // glibc's resolver leaves it here, too, and programs look here.
            *__h_errno_location() = code;
        }
    }
    if code == NETDB_INTERNAL {
        crate::sys::set_errno(Errno(returned));
    }
    returned
}

/// The buffer does not hold the answer.
struct TooSmall;

/// Fills an entry: two lists of pointers, the addresses, the name.
///
/// # Safety
///
/// `entry` can be written, and so can `len` bytes from `buffer`.
unsafe fn lay_out(
    name: &str,
    family: c_int,
    addresses: impl Iterator<Item = IpAddr> + Clone,
    entry: *mut hostent,
    buffer: *mut c_char,
    len: usize,
) -> Result<(), TooSmall> {
    let size = if family == libc::AF_INET6 { 16 } else { 4 };
    let count = addresses.clone().count();
    let skip = buffer.align_offset(align_of::<*mut c_char>());
    let pointers = (count + 2) * size_of::<*mut c_char>();
    let needed = skip.saturating_add(pointers + count * size + name.len() + 1);
    if needed > len {
        return Err(TooSmall);
    }
    // SAFETY: all of it is within `needed` bytes, which the buffer has; the pointers are aligned.
    unsafe {
        let aliases = buffer.add(skip).cast::<*mut c_char>();
        let list = aliases.add(1);
        let bytes = buffer.add(skip + pointers);
        *aliases = null_mut();
        for (at, address) in addresses.enumerate() {
            let to = bytes.add(at * size);
            match address {
                IpAddr::V4(v4) if size == 4 => to.cast::<[u8; 4]>().write_unaligned(v4.octets()),
                IpAddr::V4(v4) => to.cast::<[u8; 16]>().write_unaligned(v4.to_ipv6_mapped().octets()),
                IpAddr::V6(v6) if size == 16 => to.cast::<[u8; 16]>().write_unaligned(v6.octets()),
                // The node was asked for IPv4.
                IpAddr::V6(_) => to.cast::<[u8; 4]>().write_unaligned([0; 4]),
            }
            *list.add(at) = to;
        }
        *list.add(count) = null_mut();
        let text = bytes.add(count * size);
        std::ptr::copy_nonoverlapping(name.as_ptr(), text.cast(), name.len());
        *text.add(name.len()) = 0;
        entry.write(hostent {
            h_name: text,
            h_aliases: aliases,
            h_addrtype: family,
            h_length: size as c_int,
            h_addr_list: list,
        });
    }
    Ok(())
}
