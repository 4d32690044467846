//! The header before each message on the pair of a datagram, raw or packet socket, the same in both directions.
//!
//! A pair of `SOCK_SEQPACKET` keeps the bounds of messages but has no addresses, so each message begins with this header. It also keeps
//! messages from being empty, which a reader could not tell from the end. Between header and payload stand control messages, in the very
//! bytes that the program gives to `sendmsg` or gets from `recvmsg` ([`crate::ancillary`]); [`Header::control`] is their length.
//!
//! *Program to node* ([`Kind::Data`] only): `remote` is where to (`None`: the connected peer), the control messages are all that the program
//! attached, unread. The node finds out whether they can be meant.
//!
//! *Node to program*: `remote` is whom it came from, the control messages are what the socket's options ask for, in Linux's order.
//! The reader does not know beforehand how long their list is, and one call shall read all: header, list and payload, into different places. So
//! the list has a place of [`Header::PLACE`] bytes, filled up with zeros, and the payload follows behind it; few lists are longer, and
//! push the payload further back. [`Kind::Error`] reports an error on the socket (an ICMP message, or a send that failed): the
//! receiving call returns -1 with `errno`, and `remote` is the datagram's destination.
//!
//! A message that is shorter than the header or does not decode is dropped by the node and counted; the shim never makes one.
//!
//! ```text
//!   0         1      2       4       8         10     16       44
//!   | VERSION | kind | flags | errno | control | zero | remote | zero | control messages | payload
//!                                                              48
//! ```

use crate::codec::{Malformed, NoRoom, Reader, Writer};
use crate::{Address, VERSION};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A datagram follows the header.
    Data,
    /// An error with this errno (1 to 4095); what follows is the start of the datagram that caused it, or nothing.
    Error(i32),
    /// From the node to the program: there is something in the ring of a packet socket ([`crate::ring`]). It makes the descriptor
    /// poll readable, and is for the shim, which takes it away when the program has read what was there.
    Ready,
}

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Data or an error.
    pub kind: Kind,
    /// From the program to the node: the error of this datagram, if it has one, is asked for by [`crate::Request::Flush`], and told no other way. From the
    /// node, with an error: that is kept, and asked for (`SO_ERROR`); there may be none any more.
    pub answer: bool,
    /// The other side.
    pub remote: Option<Address>,
    /// From the node to the program: more control messages were asked for than have room (`MSG_CTRUNC`).
    pub lost: bool,
    /// From the program to the node: more of the same datagram follows (`MSG_MORE`).
    pub more: bool,
    /// From the program to the node: to a neighbour only (`MSG_DONTROUTE`).
    pub to_neighbor: bool,
    /// Bytes of control messages before the payload, at most [`Header::MAX_SENT`].
    pub control: u16,
}

const DATA: u8 = 0;
const ERROR: u8 = 1;
const READY: u8 = 2;
const ANSWER: u16 = 1;
const LOST: u16 = 2;
const MORE: u16 = 4;
const TO_NEIGHBOR: u16 = 8;

impl Header {
    /// Bytes of the header.
    pub const LEN: usize = 48;

    /// Bytes that are kept for the list of control messages on its way to a program: enough for a time, a destination, a hop limit, a
    /// traffic class and a size of segments.
    pub const PLACE: usize = 144;

    /// The most bytes of control messages that a program may attach: all of IPv6's extension headers at their longest, and what is said
    /// besides.
    pub const MAX_SENT: usize = 12 * 1024;

    /// The most that a program is given: what goes beyond the place must find one in a stranger's stack, which may be small.
    pub const MAX_RECEIVED: usize = 4 * 1024;

    /// A datagram to or from `remote`, and nothing else said.
    pub fn data(remote: Option<Address>) -> Header {
        Header { kind: Kind::Data, answer: false, remote, lost: false, more: false, to_neighbor: false, control: 0 }
    }

    /// An error, of a datagram to `remote`.
    pub fn error(errno: i32, remote: Option<Address>) -> Header {
        Header { kind: Kind::Error(errno), ..Self::data(remote) }
    }

    /// Where the payload begins in a message to a program.
    pub fn payload_at(&self) -> usize {
        Self::LEN + Self::PLACE.max(self.control.into())
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
        let Header { kind, answer, remote, lost, more, to_neighbor, control } = *self;
        let (kind, errno) = match kind {
            Kind::Data => (DATA, 0),
            Kind::Error(errno) => (ERROR, errno),
            Kind::Ready => (READY, 0),
        };
        writer.u8(VERSION)?;
        writer.u8(kind)?;
        let flags = [(answer, ANSWER), (lost, LOST), (more, MORE), (to_neighbor, TO_NEIGHBOR)];
        writer.u16(flags.iter().fold(0, |flags, &(on, flag)| if on { flags | flag } else { flags }))?;
        writer.i32(errno)?;
        writer.u16(control)?;
        writer.bytes(&[0; 6])?;
        writer.any_address(remote)?;
        writer.bytes(&[0; 4])
    }

    /// Reads the header of a message; also returns what follows it.
    pub fn decode(message: &[u8]) -> Result<(Header, &[u8]), Malformed> {
        let (bytes, rest) = message.split_at_checked(Self::LEN).ok_or(Malformed::Truncated)?;
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let kind = reader.u8()?;
        let flags = reader.u16()?;
        if flags & !(ANSWER | LOST | MORE | TO_NEIGHBOR) != 0 {
            return Err(Malformed::Field("flag"));
        }
        let kind = match (kind, reader.i32()?) {
            (DATA, 0) => Kind::Data,
            (ERROR, errno) if (1..4096).contains(&errno) => Kind::Error(errno),
            (READY, 0) => Kind::Ready,
            (DATA | ERROR | READY, _) => return Err(Malformed::Field("error number")),
            (kind, _) => return Err(Malformed::Tag(kind)),
        };
        let control = reader.u16()?;
        if usize::from(control) > Self::MAX_SENT {
            return Err(Malformed::TooLong("list of control messages"));
        }
        reader.zeros(6)?;
        let remote = reader.optional_any_address()?;
        reader.zeros(4)?;
        reader.end()?;
        let is = |flag| flags & flag != 0;
        let (answer, lost, more, to_neighbor) = (is(ANSWER), is(LOST), is(MORE), is(TO_NEIGHBOR));
        Ok((Header { kind, answer, remote, lost, more, to_neighbor, control }, rest))
    }

    /// Reads a whole message of a program: header, control messages, payload.
    pub fn split(message: &[u8]) -> Result<(Header, &[u8], &[u8]), Malformed> {
        let (header, rest) = Self::decode(message)?;
        let (control, payload) = rest.split_at_checked(header.control.into()).ok_or(Malformed::Truncated)?;
        Ok((header, control, payload))
    }

    /// Reads a whole message to a program: header, control messages, payload.
    pub fn split_received(message: &[u8]) -> Result<(Header, &[u8], &[u8]), Malformed> {
        let (header, rest) = Self::decode(message)?;
        let payload = message.get(header.payload_at()..).ok_or(Malformed::Truncated)?;
        Ok((header, &rest[..header.control.into()], payload))
    }
}
