//! Writing into a caller's buffer and reading from bytes that nobody vouches for.
//!
//! [`Writer`] and [`Reader`] are the only places that touch indices, so that the messages are lists of fields. Both check every
//! length; neither can panic. A [`Reader`] must be finished ([`Reader::end`]), which refuses trailing bytes.

use crate::{Address, LinkAddress, NetlinkAddress, VERSION};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The message ends within a field.
    Truncated,
    /// Bytes follow after the last field.
    Trailing,
    /// Another version of the protocol.
    Version(u8),
    /// No message has this tag.
    Tag(u8),
    /// A field has a value that it cannot have: which one.
    Field(&'static str),
    /// A variable part is longer than its limit: which one.
    TooLong(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Truncated => f.write_str("message is truncated"),
            Malformed::Trailing => f.write_str("message has trailing bytes"),
            Malformed::Version(version) => {
                write!(f, "message is of protocol version {version}, this side speaks {VERSION}")
            }
            Malformed::Tag(tag) => write!(f, "message has unknown tag {tag}"),
            Malformed::Field(field) => write!(f, "message has an impossible {field}"),
            Malformed::TooLong(field) => write!(f, "message has too long a {field}"),
        }
    }
}

impl std::error::Error for Malformed {}

/// The caller's buffer is too small for the message, or a variable part exceeds its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("message does not fit")
    }
}

impl std::error::Error for NoRoom {}

/// Bytes of an encoded socket address: family, zero, port, flow information, address, scope; or family, zero, protocol, interface,
/// hardware, kind of packet, length, address, zeros; or family, zeros, port, groups, zeros.
pub(crate) const SOCKET_ADDRESS_LEN: usize = 28;
const LINK: u8 = 17;
const NETLINK: u8 = 16;

/// Bytes of an encoded address without a port: family, address.
pub(crate) const ADDRESS_LEN: usize = 17;

pub(crate) struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Writer { buffer, at: 0 }
    }

    /// The four bytes that each message on the control socket starts with.
    pub(crate) fn head(&mut self, tag: u8) -> Result<(), NoRoom> {
        self.bytes(&[VERSION, tag, 0, 0])
    }

    /// How many bytes were written.
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let end = self.at.checked_add(bytes.len()).ok_or(NoRoom)?;
        self.buffer.get_mut(self.at..end).ok_or(NoRoom)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    pub(crate) fn u8(&mut self, value: u8) -> Result<(), NoRoom> {
        self.bytes(&[value])
    }

    pub(crate) fn bool(&mut self, value: bool) -> Result<(), NoRoom> {
        self.u8(value.into())
    }

    pub(crate) fn u16(&mut self, value: u16) -> Result<(), NoRoom> {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> Result<(), NoRoom> {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn i32(&mut self, value: i32) -> Result<(), NoRoom> {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn address(&mut self, address: IpAddr) -> Result<(), NoRoom> {
        let mut bytes = [0; ADDRESS_LEN];
        match address {
            IpAddr::V4(address) => {
                bytes[0] = 4;
                bytes[1..5].copy_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                bytes[0] = 6;
                bytes[1..].copy_from_slice(&address.octets());
            }
        }
        self.bytes(&bytes)
    }

    pub(crate) fn socket_address(&mut self, address: Option<SocketAddr>) -> Result<(), NoRoom> {
        let mut bytes = [0; SOCKET_ADDRESS_LEN];
        match address {
            None => {}
            Some(SocketAddr::V4(address)) => {
                bytes[0] = 4;
                bytes[2..4].copy_from_slice(&address.port().to_le_bytes());
                bytes[8..12].copy_from_slice(&address.ip().octets());
            }
            Some(SocketAddr::V6(address)) => {
                bytes[0] = 6;
                bytes[2..4].copy_from_slice(&address.port().to_le_bytes());
                bytes[4..8].copy_from_slice(&address.flowinfo().to_le_bytes());
                bytes[8..24].copy_from_slice(&address.ip().octets());
                bytes[24..28].copy_from_slice(&address.scope_id().to_le_bytes());
            }
        }
        self.bytes(&bytes)
    }
}

impl Writer<'_> {
    pub(crate) fn any_address(&mut self, address: Option<Address>) -> Result<(), NoRoom> {
        match address {
            Some(Address::Link(LinkAddress { protocol, port, hardware, packet, len, address })) => {
                self.bytes(&[LINK, 0])?;
                self.u16(protocol)?;
                self.u32(port)?;
                self.u16(hardware)?;
                self.bytes(&[packet, len])?;
                self.bytes(&address)?;
                self.bytes(&[0; 8])
            }
            Some(Address::Netlink(NetlinkAddress { port, groups })) => {
                self.bytes(&[NETLINK, 0, 0, 0])?;
                self.u32(port)?;
                self.u32(groups)?;
                self.bytes(&[0; 16])
            }
            Some(Address::Internet(address)) => self.socket_address(Some(address)),
            None => self.socket_address(None),
        }
    }
}

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Checks the four bytes that each message on the control socket starts with; returns the tag.
    pub(crate) fn head(&mut self) -> Result<u8, Malformed> {
        let version = self.u8()?;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let tag = self.u8()?;
        self.zeros(2)?;
        Ok(tag)
    }

    /// The message must end here.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Trailing) }
    }

    /// All that is left, if it is within its limit.
    pub(crate) fn remaining(self, limit: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        if self.rest.len() <= limit { Ok(self.rest) } else { Err(Malformed::TooLong(field)) }
    }

    pub(crate) fn remaining_text(self, limit: usize, field: &'static str) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.remaining(limit, field)?).map_err(|_| Malformed::Field(field))
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn zeros(&mut self, count: usize) -> Result<(), Malformed> {
        if self.take(count)?.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(Malformed::Field("reserved byte")) }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Field("flag")),
        }
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub(crate) fn address(&mut self) -> Result<IpAddr, Malformed> {
        match self.u8()? {
            4 => {
                let octets = self.array::<4>()?;
                self.zeros(12)?;
                Ok(Ipv4Addr::from(octets).into())
            }
            6 => Ok(Ipv6Addr::from(self.array::<16>()?).into()),
            _ => Err(Malformed::Field("address family")),
        }
    }

    pub(crate) fn optional_socket_address(&mut self) -> Result<Option<SocketAddr>, Malformed> {
        let family = self.u8()?;
        self.zeros(1)?;
        match family {
            0 => {
                self.zeros(26)?;
                Ok(None)
            }
            4 => {
                let port = self.u16()?;
                self.zeros(4)?;
                let octets = self.array::<4>()?;
                self.zeros(16)?;
                Ok(Some(SocketAddrV4::new(Ipv4Addr::from(octets), port).into()))
            }
            6 => {
                let port = self.u16()?;
                let flow = self.u32()?;
                let octets = self.array::<16>()?;
                let scope = self.u32()?;
                Ok(Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope).into()))
            }
            _ => Err(Malformed::Field("address family")),
        }
    }

    pub(crate) fn optional_any_address(&mut self) -> Result<Option<Address>, Malformed> {
        match self.rest.first() {
            Some(&LINK) => {}
            Some(&NETLINK) => return self.netlink_address().map(|address| Some(address.into())),
            _ => return Ok(self.optional_socket_address()?.map(Address::Internet)),
        }
        self.u8()?;
        self.zeros(1)?;
        let link = LinkAddress {
            protocol: self.u16()?,
            port: self.u32()?,
            hardware: self.u16()?,
            packet: self.u8()?,
            len: self.u8()?,
            address: self.array()?,
        };
        self.zeros(8)?;
        Ok(Some(Address::Link(link)))
    }

    fn netlink_address(&mut self) -> Result<NetlinkAddress, Malformed> {
        self.u8()?;
        self.zeros(3)?;
        let address = NetlinkAddress { port: self.u32()?, groups: self.u32()? };
        self.zeros(16)?;
        Ok(address)
    }

    pub(crate) fn any_address(&mut self) -> Result<Address, Malformed> {
        self.optional_any_address()?.ok_or(Malformed::Field("address family"))
    }

    pub(crate) fn socket_address(&mut self) -> Result<SocketAddr, Malformed> {
        self.optional_socket_address()?.ok_or(Malformed::Field("address family"))
    }
}
