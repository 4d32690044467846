//! Interfaces by the C library's calls: `getifaddrs`, `if_nameindex` and their kin, and `SIOCGIFCONF`.
//!
//! libc asks the kernel's network, on sockets of its own. Here the node is asked; it answers with a file that holds the messages
//! of rtnetlink that the kernel would have sent, and each call picks out of them what libc would have picked.
//!
//! What the program keeps comes from its own `malloc`, in the pieces that libc's `freeifaddrs` and `if_freenameindex` free: so
//! these are not interposed, and it does not matter whose the program calls.
//!
//! # Standards
//!
//! getifaddrs(3), RFC 3493 §4 (names and indices), rtnetlink(7), netdevice(7).

mod list;
mod messages;

use crate::exchange::{self, Along, NONSENSE};
use crate::interpose;
use crate::memory;
use crate::sys::{self, Errno, Mapped, answer, set_errno};
use libc::{c_char, c_int, c_uint, c_void, if_nameindex as NameIndex, ifaddrs};
use list::{internet, list_of};
use messages::{addresses, links, padded};
use sockeye_control::{Reply, Request};
use std::ffi::CStr;
use std::ptr::{null_mut, write_unaligned};

const NAME_LEN: usize = libc::IF_NAMESIZE;
const IFREQ_LEN: usize = 40;

interpose! {
    /// `getifaddrs(3)`.
    fn getifaddrs(list: *mut *mut ifaddrs) -> c_int {
        let listed = ask().and_then(|file| list_of(file.bytes()));
        answer(listed.map(|first| {
            // SAFETY: the program's own argument.
            unsafe { *list = first };
            0
        }))
    }

    /// `if_nameindex(3)`.
    fn if_nameindex() -> *mut NameIndex {
        match ask().and_then(|file| names_of(file.bytes())) {
            Ok(names) => names,
            Err(errno) => {
                set_errno(errno);
                null_mut()
            }
        }
    }

    /// `if_nametoindex(3)`.
    fn if_nametoindex(name: *const c_char) -> c_uint {
        // SAFETY: the program's own argument, which ends in a zero byte.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        match index_of(name) {
            Ok(index) => index,
            Err(errno) => {
                set_errno(errno);
                0
            }
        }
    }

    /// `if_indextoname(3)`.
    fn if_indextoname(index: c_uint, name: *mut c_char) -> *mut c_char {
        match name_of(index) {
            Ok(found) => {
                // SAFETY: the program's own buffer, which has room for a name.
                unsafe { name.cast::<[u8; NAME_LEN]>().write_unaligned(found) };
                name
            }
            Err(errno) => {
                set_errno(errno);
                null_mut()
            }
        }
    }
}

/// An interface's index.
pub(crate) fn index_of(name: &[u8]) -> Result<c_uint, Errno> {
    let file = ask()?;
    links(file.bytes()).find(|link| link.name() == name).map(|link| link.index).ok_or(Errno(libc::ENODEV))
}

/// An interface's name, with zeros behind it.
pub(crate) fn name_of(index: c_uint) -> Result<[u8; NAME_LEN], Errno> {
    let file = ask()?;
    links(file.bytes()).find(|link| link.index == index).map(|link| link.padded_name()).ok_or(Errno(libc::ENXIO))
}

/// `SIOCGIFCONF`: the addresses of IPv4, each an `ifreq`, as many as there is room for; how much room there must be if there is no buffer.
pub(crate) fn configuration(argument: *mut c_void) -> Result<(), Errno> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Ifconf {
        len: c_int,
        buffer: *mut c_void,
    }
    let request = memory::read_value(argument.cast_const().cast::<Ifconf>())?;
    let room = usize::try_from(request.len).map_err(|_| Errno(libc::EINVAL))?;
    let file = ask()?;
    let mut len = 0;
    for link in links(file.bytes()) {
        for address in addresses(file.bytes()).filter(|one| one.index == link.index && one.family == libc::AF_INET) {
            if request.buffer.is_null() {
                len += IFREQ_LEN;
                continue;
            }
            if room - len < IFREQ_LEN {
                break;
            }
            let mut entry = [0; IFREQ_LEN];
            entry[..NAME_LEN].copy_from_slice(&padded(address.label.unwrap_or(link.name())));
            entry[NAME_LEN..].copy_from_slice(&internet(libc::AF_INET, address.own(), 0).0[..IFREQ_LEN - NAME_LEN]);
            memory::write(request.buffer.wrapping_byte_add(len), &entry)?;
            len += IFREQ_LEN;
        }
    }
    memory::write(argument, &(len as c_int).to_ne_bytes())
}

/// Asks the node.
fn ask() -> Result<Mapped, Errno> {
    let mut buffer = exchange::buffer();
    let answer = exchange::ask(&Request::Interfaces, Along::nothing(), &mut buffer)?;
    match (answer.reply, answer.descriptor) {
        (Reply::Done, Some(file)) => sys::map_whole(&file),
        _ => Err(NONSENSE),
    }
}

/// The array of `if_nameindex`: each name is a piece of its own, as libc frees them.
fn names_of(bytes: &[u8]) -> Result<*mut NameIndex, Errno> {
    let count = links(bytes).count();
    let size = (count + 1).checked_mul(size_of::<NameIndex>()).ok_or(Errno(libc::ENOBUFS))?;
    // SAFETY: any size may be asked for. `calloc` makes the entries that end the array: zeros.
    let array = unsafe { libc::calloc(1, size) }.cast::<NameIndex>();
    if array.is_null() {
        return Err(Errno(libc::ENOBUFS));
    }
    for (at, link) in links(bytes).take(count).enumerate() {
        // SAFETY: the array has room for `count` entries and one more; the name is as long as what is copied.
        unsafe {
            let name = libc::malloc(NAME_LEN).cast::<[u8; NAME_LEN]>();
            if name.is_null() {
                libc::if_freenameindex(array);
                return Err(Errno(libc::ENOBUFS));
            }
            write_unaligned(name, link.padded_name());
            *array.add(at) = NameIndex { if_index: link.index, if_name: name.cast() };
        }
    }
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::messages::tests::dump;
    use super::*;

    #[test]
    fn names_and_indices_are_those_of_the_links() {
        let names = names_of(&dump()).expect("an array");
        // SAFETY: the array was just made, and ends in zeros.
        unsafe {
            assert_eq!(((*names).if_index, CStr::from_ptr((*names).if_name)), (2, c"eth0"));
            assert!((*names.add(1)).if_name.is_null() && (*names.add(1)).if_index == 0);
            libc::if_freenameindex(names);
        }
    }
}
