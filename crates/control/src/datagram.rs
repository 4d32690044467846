//! The header before each message on the pair of a datagram, raw or packet socket, the same in both directions.
//!
//! A pair of `SOCK_SEQPACKET` keeps the bounds of messages but has no addresses, so each message begins with this header. It also keeps
//! messages from being empty, which a reader could not tell from the end.
//!
//! *Program to node* ([`Kind::Data`] only): `remote` is where to (`None`: the connected peer); `local` where it shall come from
//! and `port` by which interface (`IP_PKTINFO`; `None` and 0: the node chooses); `ttl` and `tos` where the program gave them for this one
//! datagram; `segment` cuts the payload into several datagrams (`UDP_SEGMENT`).
//!
//! *Node to program*: `remote` is whom it came from, `local` which address it was sent to, `port` by which interface, `ttl`, `tos` and
//! `timestamp` (nanoseconds since 1970) what the datagram had. They are always there for data; [`Wanted`] says which of them the
//! program asked for as control messages, which the node knows because it keeps the options. [`Kind::Error`] reports an error on
//! the socket (an ICMP message, or a send that failed): the receiving call returns -1 with `errno`, and `remote` is the
//! datagram's destination, `local` the address of the host that reported it.
//!
//! *Control messages* that have no field here stand between header and payload, in the very bytes that the program gives to `sendmsg` or gets
//! from `recvmsg` (`struct cmsghdr` of 64-bit Linux, each padded to eight bytes); `control` is their length. From the program they are what the shim does not
//! know; to the program they are what the socket's options ask for.
//!
//! A message that is shorter than the header or does not decode is dropped by the node and counted; the shim never makes one.
//!
//! ```text
//!   0         1      2        4        32      60     64      68    69    70        72        74        76     80          88
//!   | VERSION | kind | wanted | remote | local | port | errno | ttl | tos | present | segment | control | zero | timestamp | control | payload
//! ```

use crate::codec::{Malformed, NoRoom, Reader, Writer};
use crate::{Address, VERSION};
use std::net::SocketAddr;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A datagram follows the header.
    Data,
    /// An error with this errno (1 to 4095); what follows is the start of the datagram that caused it, or nothing.
    Error(i32),
}

/// Which control messages a program wants with what it receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted(u16);

impl Wanted {
    /// `IP_PKTINFO`, `IPV6_RECVPKTINFO`.
    pub const PACKET_INFO: Wanted = Wanted(1);
    /// `IP_RECVTTL`, `IPV6_RECVHOPLIMIT`.
    pub const TTL: Wanted = Wanted(2);
    /// `IP_RECVTOS`, `IPV6_RECVTCLASS`.
    pub const TOS: Wanted = Wanted(4);
    /// `SO_TIMESTAMP`: microseconds.
    pub const TIMESTAMP: Wanted = Wanted(8);
    /// `SO_TIMESTAMPNS`: nanoseconds.
    pub const TIMESTAMP_NANOSECONDS: Wanted = Wanted(16);
    /// `IP_RECVORIGDSTADDR`.
    pub const ORIGINAL_DESTINATION: Wanted = Wanted(32);
    /// `UDP_GRO`: the size of the segments that were joined.
    pub const SEGMENT: Wanted = Wanted(64);

    /// From the program to the node: the error of this datagram, if it has one, is asked for by [`crate::Request::Flush`], and told no other way.
    pub const ANSWER: Wanted = Wanted(128);

    const ALL: u16 = 255;

    /// Whether all of `other` is wanted.
    pub fn contains(self, other: Wanted) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is wanted.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// With `other`, or without.
    pub fn set(&mut self, other: Wanted, on: bool) {
        if on {
            self.0 |= other.0;
        } else {
            self.0 &= !other.0;
        }
    }
}

impl std::ops::BitOr for Wanted {
    type Output = Wanted;

    fn bitor(self, other: Wanted) -> Wanted {
        Wanted(self.0 | other.0)
    }
}

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Data or an error.
    pub kind: Kind,
    /// Which control messages the program wants; from the program nothing or [`Wanted::ANSWER`].
    pub wanted: Wanted,
    /// The other side.
    pub remote: Option<Address>,
    /// This side.
    pub local: Option<SocketAddr>,
    /// The interface's index, as the program knows it; 0 is none.
    pub port: u32,
    /// Time to live or hop limit.
    pub ttl: Option<u8>,
    /// Type of service or traffic class.
    pub tos: Option<u8>,
    /// Payload bytes of each datagram where several travel as one; 0: it is one.
    pub segment: u16,
    /// Bytes of control messages before the payload, at most [`Header::MAX_CONTROL`].
    pub control: u16,
    /// When it arrived, in nanoseconds since 1970; from the program it is 0.
    pub timestamp: u64,
}

const DATA: u8 = 0;
const ERROR: u8 = 1;
const TTL_PRESENT: u16 = 1;
const TOS_PRESENT: u16 = 2;

impl Header {
    /// Bytes of the header.
    pub const LEN: usize = 88;

    /// The most bytes of control messages.
    pub const MAX_CONTROL: usize = 8 * 1024;

    /// A datagram to or from `remote`, and nothing else said.
    pub fn data(remote: Option<Address>) -> Header {
        Header {
            kind: Kind::Data,
            wanted: Wanted::default(),
            remote,
            local: None,
            port: 0,
            ttl: None,
            tos: None,
            segment: 0,
            control: 0,
            timestamp: 0,
        }
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        // The buffer holds all fields, whatever they are; the round-trip test would fail if it did not.
        let written = self.write(Writer::new(&mut bytes));
        debug_assert!(written.is_ok());
        bytes
    }

    fn write(&self, mut writer: Writer<'_>) -> Result<(), NoRoom> {
        let Header { kind, wanted, remote, local, port, ttl, tos, segment, control, timestamp } = *self;
        let (kind, errno) = match kind {
            Kind::Data => (DATA, 0),
            Kind::Error(errno) => (ERROR, errno),
        };
        writer.u8(VERSION)?;
        writer.u8(kind)?;
        writer.u16(wanted.0)?;
        writer.any_address(remote)?;
        writer.socket_address(local)?;
        writer.u32(port)?;
        writer.i32(errno)?;
        writer.u8(ttl.unwrap_or(0))?;
        writer.u8(tos.unwrap_or(0))?;
        writer.u16(if ttl.is_some() { TTL_PRESENT } else { 0 } | if tos.is_some() { TOS_PRESENT } else { 0 })?;
        writer.u16(segment)?;
        writer.u16(control)?;
        writer.bytes(&[0; 4])?;
        writer.u64(timestamp)
    }

    /// Reads the header of a message; also returns what follows it: control messages and payload ([`Header::split`] parts them).
    pub fn decode(message: &[u8]) -> Result<(Header, &[u8]), Malformed> {
        let (bytes, payload) = message.split_at_checked(Self::LEN).ok_or(Malformed::Truncated)?;
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let kind = reader.u8()?;
        let wanted = Wanted(reader.u16()?);
        if wanted.0 & !Wanted::ALL != 0 {
            return Err(Malformed::Field("control message"));
        }
        let remote = reader.optional_any_address()?;
        let local = reader.optional_socket_address()?;
        let port = reader.u32()?;
        let kind = match (kind, reader.i32()?) {
            (DATA, 0) => Kind::Data,
            (ERROR, errno) if (1..4096).contains(&errno) => Kind::Error(errno),
            (DATA | ERROR, _) => return Err(Malformed::Field("error number")),
            (kind, _) => return Err(Malformed::Tag(kind)),
        };
        let (ttl, tos, present) = (reader.u8()?, reader.u8()?, reader.u16()?);
        if present & !(TTL_PRESENT | TOS_PRESENT) != 0 {
            return Err(Malformed::Field("presence of fields"));
        }
        let optional = |value: u8, bit| match (present & bit != 0, value) {
            (true, value) => Ok(Some(value)),
            (false, 0) => Ok(None),
            (false, _) => Err(Malformed::Field("absent field")),
        };
        let (ttl, tos) = (optional(ttl, TTL_PRESENT)?, optional(tos, TOS_PRESENT)?);
        let segment = reader.u16()?;
        let control = reader.u16()?;
        if usize::from(control) > Self::MAX_CONTROL {
            return Err(Malformed::TooLong("list of control messages"));
        }
        reader.zeros(4)?;
        let timestamp = reader.u64()?;
        reader.end()?;
        Ok((Header { kind, wanted, remote, local, port, ttl, tos, segment, control, timestamp }, payload))
    }

    /// Reads a whole message: header, control messages, payload.
    pub fn split(message: &[u8]) -> Result<(Header, &[u8], &[u8]), Malformed> {
        let (header, rest) = Self::decode(message)?;
        let (control, payload) = rest.split_at_checked(usize::from(header.control)).ok_or(Malformed::Truncated)?;
        Ok((header, control, payload))
    }
}
