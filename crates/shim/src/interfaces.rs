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

use crate::exchange::{self, Along, NONSENSE};
use crate::interpose;
use crate::memory;
use crate::sys::{self, Errno, Mapped, answer, set_errno};
use libc::{c_char, c_int, c_uint, c_void, if_nameindex as NameIndex, ifaddrs, sockaddr};
use sockeye_control::{Reply, Request};
use std::ffi::CStr;
use std::ptr::{null_mut, write_unaligned};

const NAME_LEN: usize = libc::IF_NAMESIZE;
const IFREQ_LEN: usize = 40;
/// `struct nlmsghdr`, and `struct rtattr`.
const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;
/// The fixed parts: `struct ifinfomsg` and `struct ifaddrmsg`.
const LINK: usize = 16;
const ADDRESS: usize = 8;

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

/// Each message: its type, and what follows its header.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    pieces(bytes, HEADER, |header| {
        let len = header.first_chunk().map_or(0, |&len| u32::from_ne_bytes(len) as usize);
        (len, number(header, 4))
    })
}

/// Each attribute: its type, and its value.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    pieces(bytes, ATTRIBUTE, |header| (usize::from(number(header, 0)), number(header, 2)))
}

/// Pieces that begin with a header that tells length and type, aligned to four bytes; up to the first that cannot be.
fn pieces<'a>(
    mut rest: &'a [u8],
    header: usize,
    read: impl Fn(&[u8]) -> (usize, u16) + 'a,
) -> impl Iterator<Item = (u16, &'a [u8])> {
    std::iter::from_fn(move || {
        let (len, kind) = read(rest.get(..header)?);
        let value = rest.get(header..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn number(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |&two| u16::from_ne_bytes(two))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |&four| u32::from_ne_bytes(four))
}

/// What a message says of an interface.
#[derive(Clone, Copy)]
struct Link<'a> {
    index: c_uint,
    kind: u16,
    flags: c_uint,
    attributes: &'a [u8],
}

fn links(bytes: &[u8]) -> impl Iterator<Item = Link<'_>> {
    messages(bytes).filter(|(kind, body)| *kind == libc::RTM_NEWLINK && body.len() >= LINK).map(|(_, body)| Link {
        index: word(body, 4),
        kind: number(body, 2),
        flags: word(body, 8),
        attributes: &body[LINK..],
    })
}

impl<'a> Link<'a> {
    fn attribute(&self, kind: u16) -> &'a [u8] {
        attributes(self.attributes).find(|(other, _)| *other == kind).map_or(&[], |(_, value)| value)
    }

    fn name(&self) -> &'a [u8] {
        text(self.attribute(libc::IFLA_IFNAME))
    }

    fn padded_name(&self) -> [u8; NAME_LEN] {
        padded(self.name())
    }
}

/// What a message says of an address.
#[derive(Clone, Copy)]
struct Address<'a> {
    family: c_int,
    len: u8,
    index: c_uint,
    address: &'a [u8],
    local: Option<&'a [u8]>,
    broadcast: Option<&'a [u8]>,
    label: Option<&'a [u8]>,
}

impl<'a> Address<'a> {
    /// The interface's own: the other may be a peer's.
    fn own(&self) -> &'a [u8] {
        self.local.unwrap_or(self.address)
    }
}

fn addresses(bytes: &[u8]) -> impl Iterator<Item = Address<'_>> {
    messages(bytes).filter(|(kind, body)| *kind == libc::RTM_NEWADDR && body.len() >= ADDRESS).map(|(_, body)| {
        let find = |kind| attributes(&body[ADDRESS..]).find(|(other, _)| *other == kind).map(|(_, value)| value);
        Address {
            family: body[0].into(),
            len: body[1],
            index: word(body, 4),
            address: find(libc::IFA_ADDRESS).unwrap_or_default(),
            local: find(libc::IFA_LOCAL),
            broadcast: find(libc::IFA_BROADCAST),
            label: find(libc::IFA_LABEL).map(text),
        }
    })
}

/// Up to the zero byte.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn padded(name: &[u8]) -> [u8; NAME_LEN] {
    let mut bytes = [0; NAME_LEN];
    // The last byte stays zero.
    for (to, &from) in bytes[..NAME_LEN - 1].iter_mut().zip(name) {
        *to = from;
    }
    bytes
}

/// An address in C's form, whichever family's.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Storage([u8; 32]);

const NOWHERE: Storage = Storage([0; 32]);

fn internet(family: c_int, address: &[u8], scope: u32) -> Storage {
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
fn list_of(bytes: &[u8]) -> Result<*mut ifaddrs, Errno> {
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
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [(value.len() as u16 + 4).to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, body: &[Vec<u8>]) -> Vec<u8> {
        let body = body.concat();
        let mut bytes = (body.len() as u32 + 16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes
    }

    fn dump() -> Vec<u8> {
        let link = vec![0, 0, 1, 0, 2, 0, 0, 0, 0x43, 0x10, 1, 0, 0, 0, 0, 0];
        let local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        [
            message(
                libc::RTM_NEWLINK,
                &[link, attribute(libc::IFLA_IFNAME, b"eth0\0"), attribute(1, &[2, 0, 0, 0, 0, 9])],
            ),
            message(
                libc::RTM_NEWADDR,
                &[vec![2, 24, 0, 0, 2, 0, 0, 0], attribute(1, &[10, 9, 0, 2]), attribute(2, &[10, 9, 0, 2])],
            ),
            message(libc::RTM_NEWADDR, &[vec![10, 64, 0, 253, 2, 0, 0, 0], attribute(1, &local)]),
        ]
        .concat()
    }

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

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_ends_the_list() {
        let whole = dump();
        for len in 0..whole.len() {
            let (links, addresses) = (links(&whole[..len]).count(), addresses(&whole[..len]).count());
            assert!(links <= 1 && addresses <= 1, "{len}");
        }
        for len in [0_u32, 1, 15, u32::MAX] {
            let mut lie = whole.clone();
            lie[..4].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(messages(&lie).count(), 0, "{len}");
        }
    }
}
