//! What the node tells of interfaces: messages of rtnetlink, read as far as the C library's calls need them.
//!
//! They come from the node, and a length that cannot be one ends them all the same.

use super::NAME_LEN;
use libc::{c_int, c_uint};

/// `struct nlmsghdr`, and `struct rtattr`.
const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;
/// The fixed parts: `struct ifinfomsg` and `struct ifaddrmsg`.
const LINK: usize = 16;
const ADDRESS: usize = 8;

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

pub(super) fn number(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |&two| u16::from_ne_bytes(two))
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |&four| u32::from_ne_bytes(four))
}

/// What a message says of an interface.
#[derive(Clone, Copy)]
pub(super) struct Link<'a> {
    pub(super) index: c_uint,
    pub(super) kind: u16,
    pub(super) flags: c_uint,
    attributes: &'a [u8],
}

pub(super) fn links(bytes: &[u8]) -> impl Iterator<Item = Link<'_>> {
    messages(bytes).filter(|(kind, body)| *kind == libc::RTM_NEWLINK && body.len() >= LINK).map(|(_, body)| Link {
        index: word(body, 4),
        kind: number(body, 2),
        flags: word(body, 8),
        attributes: &body[LINK..],
    })
}

impl<'a> Link<'a> {
    pub(super) fn attribute(&self, kind: u16) -> &'a [u8] {
        attributes(self.attributes).find(|(other, _)| *other == kind).map_or(&[], |(_, value)| value)
    }

    pub(super) fn name(&self) -> &'a [u8] {
        text(self.attribute(libc::IFLA_IFNAME))
    }

    pub(super) fn padded_name(&self) -> [u8; NAME_LEN] {
        padded(self.name())
    }
}

/// What a message says of an address.
#[derive(Clone, Copy)]
pub(super) struct Address<'a> {
    pub(super) family: c_int,
    pub(super) len: u8,
    pub(super) index: c_uint,
    pub(super) address: &'a [u8],
    pub(super) local: Option<&'a [u8]>,
    pub(super) broadcast: Option<&'a [u8]>,
    pub(super) label: Option<&'a [u8]>,
}

impl<'a> Address<'a> {
    /// The interface's own: the other may be a peer's.
    pub(super) fn own(&self) -> &'a [u8] {
        self.local.unwrap_or(self.address)
    }
}

pub(super) fn addresses(bytes: &[u8]) -> impl Iterator<Item = Address<'_>> {
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

pub(super) fn padded(name: &[u8]) -> [u8; NAME_LEN] {
    let mut bytes = [0; NAME_LEN];
    // The last byte stays zero.
    for (to, &from) in bytes[..NAME_LEN - 1].iter_mut().zip(name) {
        *to = from;
    }
    bytes
}

#[cfg(test)]
pub(super) mod tests {
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

    /// An interface with an address of each family.
    pub(in super::super) fn dump() -> Vec<u8> {
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
