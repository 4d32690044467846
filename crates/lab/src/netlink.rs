//! Netlink, as far as a lab needs it: requests that are acknowledged, and replies of one message.
//!
//! A message is a header of 16 bytes, a fixed part by kind, and attributes, each a length, a kind and a value, padded to
//! four bytes; attributes nest. A [`Request`] is built front to back and the lengths are mended at the end. Replies come from
//! the kernel, yet their lengths are checked like anybody's.
//!
//! Standards: netlink(7), rtnetlink(7), RFC 3549.

use std::io;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::{GENERIC, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{bind, recv, send, socket_with};

const HEADER: usize = 16;
const ERROR: u16 = 2;
const FLAG_REQUEST: u16 = 0x01;
const FLAG_ACK: u16 = 0x04;
const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;

/// Flags for a request that makes something new: create, and fail if it is there.
pub(crate) const CREATE: u16 = 0x400 | 0x200;

/// A netlink socket in the namespace of the thread that opened it.
pub(crate) struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Links, addresses, routes: protocol 0, the default.
    pub(crate) fn route() -> io::Result<Socket> {
        Socket::open(None)
    }

    /// The families that register themselves by name.
    pub(crate) fn generic() -> io::Result<Socket> {
        Socket::open(Some(GENERIC))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Socket> {
        let descriptor = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        bind(&descriptor, &SocketAddrNetlink::new(0, 0))?;
        Ok(Socket { descriptor, sequence: 0 })
    }

    /// Sends a request and waits for the kernel's verdict.
    pub(crate) fn change(&mut self, request: Request) -> io::Result<()> {
        self.exchange(request, FLAG_ACK).map(drop)
    }

    /// Sends a request that one message answers; returns the answer without its header.
    pub(crate) fn ask(&mut self, request: Request) -> io::Result<Vec<u8>> {
        self.exchange(request, 0)
    }

    fn exchange(&mut self, mut request: Request, flags: u16) -> io::Result<Vec<u8>> {
        self.sequence += 1;
        request.finish(flags | FLAG_REQUEST, self.sequence);
        send(&self.descriptor, &request.bytes, SendFlags::empty())?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let (length, _) = recv(&self.descriptor, &mut buffer[..], RecvFlags::empty())?;
            let message = Message::parse(&buffer[..length]).ok_or_else(malformed)?;
            if message.sequence != self.sequence {
                continue;
            }
            if message.kind != ERROR {
                return Ok(message.body.to_vec());
            }
            let code = message.body.first_chunk().map(|code| i32::from_ne_bytes(*code)).ok_or_else(malformed)?;
            return match code {
                0 => Ok(Vec::new()),
                code => Err(Errno::from_raw_os_error(code.saturating_neg()).into()),
            };
        }
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "netlink reply is malformed")
}

struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

impl Message<'_> {
    fn parse(bytes: &[u8]) -> Option<Message<'_>> {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let [_, _, _, _, kind_0, kind_1, _, _, seq_0, seq_1, seq_2, seq_3, ..] = *header;
        Some(Message {
            kind: u16::from_ne_bytes([kind_0, kind_1]),
            sequence: u32::from_ne_bytes([seq_0, seq_1, seq_2, seq_3]),
            body: bytes.get(HEADER..length)?,
        })
    }
}

/// The value of the first attribute of `kind` in a run of attributes.
pub(crate) fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let [length_0, length_1, kind_0, kind_1] = *attributes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([length_0, length_1]));
        let value = attributes.get(4..length)?;
        if u16::from_ne_bytes([kind_0, kind_1]) & KIND_MASK == kind {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// A request under construction.
pub(crate) struct Request {
    bytes: Vec<u8>,
    flags: u16,
}

impl Request {
    /// A request of `kind` with `flags` beyond the usual ones, followed by the kind's fixed part.
    pub(crate) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Request {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Request { bytes, flags }
    }

    /// Appends an attribute.
    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Request {
        let start = self.open(kind);
        self.bytes.extend_from_slice(value);
        self.close(start);
        self
    }

    /// Appends an attribute that is a string; the kernel wants the zero.
    pub(crate) fn text(self, kind: u16, value: &str) -> Request {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Appends an attribute that begins with `fixed` and holds what `fill` appends.
    pub(crate) fn nest(mut self, kind: u16, fixed: &[u8], fill: impl FnOnce(Request) -> Request) -> Request {
        let start = self.open(kind | NESTED);
        self.bytes.extend_from_slice(fixed);
        let mut filled = fill(self);
        filled.close(start);
        filled
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        // Values are interface names, addresses and small sets of flags: far below 64 KiB.
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(&mut self, flags: u16, sequence: u32) {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&(self.flags | flags).to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_again_and_padded() {
        let request = Request::new(16, 0, &[]).text(3, "veth0").nest(18, &[], |nest| nest.attribute(1, &[7]));
        let attributes = &request.bytes[HEADER..];
        assert_eq!(attributes.len() % 4, 0);
        assert_eq!(attribute(attributes, 3), Some(&b"veth0\0"[..]));
        let inner = attribute(attributes, 18).expect("the nest is there");
        assert_eq!(attribute(inner, 1), Some(&[7][..]));
        assert_eq!(attribute(attributes, 4), None);
    }

    #[test]
    fn lying_lengths_end_the_search() {
        for length in [0_u16, 3, 9, 0xffff] {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0]);
            assert_eq!(attribute(&bytes, 2), None);
        }
    }
}
