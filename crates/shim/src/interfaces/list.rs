//! The list of `getifaddrs`: links first, then addresses.
//!
//! All of it is one piece of the program's memory, with its first entry at the start, as glibc makes it: `free` of that entry frees the list.

use super::NAME_LEN;
use super::messages::{Link, addresses, links, padded};
use crate::sys::Errno;
use libc::{c_int, c_uint, ifaddrs, sockaddr};
use std::ptr::null_mut;

/// An address in C's form, whichever family's.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct Storage(pub(super) [u8; 32]);

const NOWHERE: Storage = Storage([0; 32]);

pub(super) fn internet(family: c_int, address: &[u8], scope: u32) -> Storage {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    let at = if family == libc::AF_INET { 4 } else { 8 };
    for (to, &from) in bytes[at..24].iter_mut().zip(address) {
        *to = from;
    }
    bytes[24..28].copy_from_slice(&scope.to_ne_bytes());
    Storage(bytes)
}

fn mask(family: c_int, len: u8) -> Storage {
    let mut bytes = [0; 16];
    let size = if family == libc::AF_INET { 4 } else { 16 };
    for (at, byte) in bytes[..size].iter_mut().enumerate() {
        let ones = usize::from(len).saturating_sub(8 * at).min(8);
        *byte = !(0xff_u16 >> ones) as u8;
    }
    internet(family, &bytes[..size], 0)
}

/// `struct sockaddr_ll`.
fn hardware(link: &Link<'_>, address: &[u8]) -> Storage {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
    bytes[4..8].copy_from_slice(&link.index.to_ne_bytes());
    bytes[8..10].copy_from_slice(&link.kind.to_ne_bytes());
    let len = address.len().min(bytes.len() - 12);
    bytes[11] = len as u8;
    bytes[12..12 + len].copy_from_slice(&address[..len]);
    Storage(bytes)
}

/// An entry of `getifaddrs`, with all that it points to.
#[repr(C)]
struct Entry {
    entry: ifaddrs,
    address: Storage,
    mask: Storage,
    other: Storage,
    /// `struct rtnl_link_stats`.
    statistics: [u8; 96],
    name: [u8; NAME_LEN],
}

/// What an entry says; what is not there is not pointed to.
struct Said {
    flags: c_uint,
    name: [u8; NAME_LEN],
    address: Option<Storage>,
    mask: Option<Storage>,
    other: Option<Storage>,
    statistics: Option<[u8; 96]>,
}

/// The list, in one piece of the program's memory, which `free` of its first entry frees.
pub(super) fn list_of(bytes: &[u8]) -> Result<*mut ifaddrs, Errno> {
    let count = links(bytes).count() + addresses(bytes).count();
    let size = count.checked_mul(size_of::<Entry>()).ok_or(Errno(libc::ENOMEM))?;
    if count == 0 {
        return Ok(null_mut());
    }
    // SAFETY: any size may be asked for.
    let list = unsafe { libc::malloc(size) }.cast::<Entry>();
    if list.is_null() {
        return Err(Errno(libc::ENOMEM));
    }
    let of_links = links(bytes).map(|link| {
        let statistics = link.attribute(libc::IFLA_STATS).first_chunk().copied();
        Said {
            flags: link.flags,
            name: link.padded_name(),
            address: Some(hardware(&link, link.attribute(libc::IFLA_ADDRESS))),
            mask: None,
            other: Some(hardware(&link, link.attribute(libc::IFLA_BROADCAST))),
            statistics,
        }
    });
    let of_addresses = addresses(bytes).map(|one| {
        let link = links(bytes).find(|link| link.index == one.index);
        let own = one.own();
        // fe80::/10 and ff02::/16 mean something on one link only.
        let scoped = matches!(own, [0xfe, second, ..] if second & 0xc0 == 0x80) || matches!(own, [0xff, 0x02, ..]);
        let scope = if one.family == libc::AF_INET6 && scoped { one.index } else { 0 };
        let storage = |address: &[u8]| internet(one.family, address, 0);
        Said {
            flags: link.map_or(0, |link| link.flags),
            name: one.label.map_or_else(|| link.map_or([0; NAME_LEN], |link| link.padded_name()), padded),
            address: Some(internet(one.family, own, scope)),
            mask: Some(mask(one.family, one.len)),
            // As glibc has it: the peer's, which is the own one where there is none, unless there is a broadcast address.
            other: one.broadcast.or(one.local.map(|_| one.address)).map(storage),
            statistics: None,
        }
    });
    for (at, said) in of_links.chain(of_addresses).take(count).enumerate() {
        // SAFETY: there is room for `count` entries, and `malloc` aligns for any structure.
        unsafe { fill(list.add(at), said, if at + 1 < count { list.add(at + 1) } else { null_mut() }) };
    }
    Ok(list.cast())
}

/// Writes an entry.
///
/// # Safety
///
/// `to` is where an entry may be written.
unsafe fn fill(to: *mut Entry, said: Said, next: *mut Entry) {
    let Said { flags, name, address, mask, other, statistics } = said;
    // SAFETY: the fields' own addresses, which stay where they are.
    unsafe {
        let pointer = |is: bool, field: *mut Storage| if is { field.cast::<sockaddr>() } else { null_mut() };
        to.write(Entry {
            entry: ifaddrs {
                ifa_next: next.cast(),
                ifa_name: (&raw mut (*to).name).cast(),
                ifa_flags: flags,
                ifa_addr: pointer(address.is_some(), &raw mut (*to).address),
                ifa_netmask: pointer(mask.is_some(), &raw mut (*to).mask),
                ifa_ifu: pointer(other.is_some(), &raw mut (*to).other),
                ifa_data: if statistics.is_some() { (&raw mut (*to).statistics).cast() } else { null_mut() },
            },
            address: address.unwrap_or(NOWHERE),
            mask: mask.unwrap_or(NOWHERE),
            other: other.unwrap_or(NOWHERE),
            statistics: statistics.unwrap_or([0; 96]),
            name,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::tests::dump;
    use super::super::messages::{number, word};
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn the_list_has_links_first_and_one_free_frees_it() {
        let first = list_of(&dump()).expect("a list");
        let mut at = first;
        let mut seen = Vec::new();
        // SAFETY: the list was just made.
        unsafe {
            while let Some(entry) = at.as_ref() {
                let name = CStr::from_ptr(entry.ifa_name).to_str().expect("a name");
                let address = entry.ifa_addr.cast::<[u8; 28]>().read();
                let mask = entry.ifa_netmask.cast::<[u8; 28]>();
                let family = c_int::from(number(&address, 0));
                let ones =
                    if mask.is_null() { 0 } else { mask.read()[2..].iter().map(|byte| byte.count_ones()).sum::<u32>() };
                seen.push((name, family, entry.ifa_flags, ones, word(&address, 24), entry.ifa_ifu.is_null()));
                at = entry.ifa_next;
            }
            assert_eq!(
                seen,
                [
                    ("eth0", libc::AF_PACKET, 0x11043, 0, 0, false),
                    ("eth0", libc::AF_INET, 0x11043, 24, 0, false),
                    ("eth0", libc::AF_INET6, 0x11043, 64, 2, true),
                ]
            );
            libc::freeifaddrs(first);
        }
    }
}
