//! Control messages of IPv6.
//!
//! ```text
//!   0      1      2             4                           8
//!  +------+------+-------------+---------------------------+------------- - -
//!  | type | code | checksum    | depends on type           | data
//!  +------+------+-------------+---------------------------+------------- - -
//!    unreachable, time exceeded| 0                         | original packet
//!    packet too big            | next link's MTU           | original packet
//!    parameter problem         | pointer                   | original packet
//!    echo                      | identifier  | sequence    | any
//!    neighbour discovery       | see crate::ndisc
//!    multicast listeners       | see crate::mld
//! ```
//!
//! As in [`icmpv4`](crate::icmpv4) there is no view but an enum, and [`Message::parse`] verifies the checksum, which here
//! covers the addresses, too. Types below 128 are errors, unknown ones as well: they are about a packet of ours, and are
//! passed to whoever has sent it. An error quotes that packet, cut where the minimum MTU ends: read it with
//! [`Packet::parse_quoted`](crate::ipv6::Packet::parse_quoted). Extensions behind the quote (RFC 4884) are beyond the
//! quoted packet's payload length and fall off there.
//!
//! What a message about neighbours or listeners must be like besides its bytes (hop limit, addresses) says its own
//! `validate`, asked with an [`Arrival`].
//!
//! # Standards
//!
//! RFC 4443 §2.1 (format), §2.3 (checksum), §3 and §4 (errors, echo); RFC 7112 §5, RFC 8883 §2 and §3, RFC 6550 §20.18,
//! RFC 8754 §8.1 (codes); RFC 4884 §4.3 and §4.4 (quoted packets).

mod code;
mod validity;

use core::net::Ipv6Addr;

pub use code::{ParameterCode, TimeExceededCode, UnreachableCode};
pub use validity::{Arrival, Invalid};

use crate::checksum::{Sum, pseudo_header};
use crate::field::{put, split, u16_at, u32_at};
use crate::{Malformed, Protocol, mld, ndisc};

/// Length of what every message begins with.
pub const HEADER_LEN: usize = 8;
/// Where in the message the checksum stands.
pub const CHECKSUM_OFFSET: usize = 2;

/// Types of messages.
pub mod message_type {
    /// A packet could not be delivered.
    pub const DESTINATION_UNREACHABLE: u8 = 1;
    /// A packet is larger than a link's MTU.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// A packet or a fragment lived too long.
    pub const TIME_EXCEEDED: u8 = 3;
    /// A header could not be understood.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Answer this.
    pub const ECHO_REQUEST: u8 = 128;
    /// The answer.
    pub const ECHO_REPLY: u8 = 129;
    /// Who listens to which groups?
    pub const LISTENER_QUERY: u8 = 130;
    /// The sender listens to a group.
    pub const LISTENER_REPORT: u8 = 131;
    /// The sender listens no more.
    pub const LISTENER_DONE: u8 = 132;
    /// Which routers are there?
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// The sender is a router.
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Who has this address?
    pub const NEIGHBOR_SOLICITATION: u8 = 135;
    /// The sender has it.
    pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    /// Another way is shorter.
    pub const REDIRECT: u8 = 137;
    /// What the sender listens to.
    pub const LISTENER_REPORT_V2: u8 = 143;
}

use message_type as kind;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A packet could not be delivered.
    DestinationUnreachable {
        /// Why.
        code: UnreachableCode,
        /// The beginning of the packet.
        original: &'a [u8],
    },
    /// A packet is larger than the next link carries.
    PacketTooBig {
        /// What it carries.
        mtu: u32,
        /// The beginning of the packet.
        original: &'a [u8],
    },
    /// A packet or a fragment lived too long.
    TimeExceeded {
        /// Where it died.
        code: TimeExceededCode,
        /// The beginning of the packet.
        original: &'a [u8],
    },
    /// A header could not be understood.
    ParameterProblem {
        /// What is the matter.
        code: ParameterCode,
        /// The offending byte of the packet, perhaps beyond what is quoted.
        pointer: u32,
        /// The beginning of the packet.
        original: &'a [u8],
    },
    /// Answer this.
    EchoRequest {
        /// Which asker.
        ident: u16,
        /// Which question.
        seq: u16,
        /// Comes back in the answer.
        data: &'a [u8],
    },
    /// The answer to an echo request.
    EchoReply {
        /// From the request.
        ident: u16,
        /// From the request.
        seq: u16,
        /// From the request.
        data: &'a [u8],
    },
    /// Neighbours and routers.
    Discovery(ndisc::Message<'a>),
    /// Listeners of groups.
    Listener(mld::Message<'a>),
    /// A type, or a code of a known type, that a host has no use for.
    Unknown {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// The four bytes after the checksum.
        rest: [u8; 4],
        /// All that follows.
        data: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Reads a message from the whole payload of a packet between these addresses, and verifies its checksum. With a
    /// routing header the destination is the last one.
    pub fn parse(bytes: &'a [u8], src: Ipv6Addr, dst: Ipv6Addr) -> Result<Message<'a>, Malformed> {
        let (header, data) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
        let mut sum = pseudo(src, dst, bytes.len());
        sum.add(bytes);
        if sum.finish() != 0 {
            return Err(Malformed::Checksum);
        }
        let [kind, code, _, _, rest @ ..] = *header;
        let (ident, seq) = (u16_at(header, 4), u16_at(header, 6));
        Ok(match (kind, code) {
            (kind::DESTINATION_UNREACHABLE, _) => {
                Message::DestinationUnreachable { code: UnreachableCode(code), original: data }
            }
            // The code is to be ignored.
            (kind::PACKET_TOO_BIG, _) => Message::PacketTooBig { mtu: u32_at(header, 4), original: data },
            (kind::TIME_EXCEEDED, _) => Message::TimeExceeded { code: TimeExceededCode(code), original: data },
            (kind::PARAMETER_PROBLEM, _) => {
                Message::ParameterProblem { code: ParameterCode(code), pointer: u32_at(header, 4), original: data }
            }
            (kind::ECHO_REQUEST, 0) => Message::EchoRequest { ident, seq, data },
            (kind::ECHO_REPLY, 0) => Message::EchoReply { ident, seq, data },
            (kind::ROUTER_SOLICITATION..=kind::REDIRECT, 0) => {
                Message::Discovery(ndisc::Message::parse(kind, &bytes[4..])?)
            }
            // The code is to be ignored.
            (kind::LISTENER_QUERY..=kind::LISTENER_DONE | kind::LISTENER_REPORT_V2, _) => {
                Message::Listener(mld::Message::parse(kind, &bytes[4..])?)
            }
            _ => Message::Unknown { kind, code, rest, data },
        })
    }

    /// The type.
    pub fn kind(&self) -> u8 {
        self.head().0
    }

    /// True for a message about another packet. No error may ever be sent about such a one, nor about a redirect.
    #[inline]
    pub fn is_error(&self) -> bool {
        self.kind() < 128
    }

    /// The packet that an error quotes; of an unknown error, where it would stand.
    pub fn original(&self) -> Option<&'a [u8]> {
        match *self {
            Message::DestinationUnreachable { original, .. }
            | Message::PacketTooBig { original, .. }
            | Message::TimeExceeded { original, .. }
            | Message::ParameterProblem { original, .. } => Some(original),
            Message::Unknown { kind: 0..128, data, .. } => Some(data),
            Message::EchoRequest { .. }
            | Message::EchoReply { .. }
            | Message::Discovery(_)
            | Message::Listener(_)
            | Message::Unknown { .. } => None,
        }
    }

    /// What follows the head that [`Message::emit_header`] writes.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        match *self {
            Message::EchoRequest { data, .. } | Message::EchoReply { data, .. } | Message::Unknown { data, .. } => data,
            Message::DestinationUnreachable { original, .. }
            | Message::PacketTooBig { original, .. }
            | Message::TimeExceeded { original, .. }
            | Message::ParameterProblem { original, .. } => original,
            Message::Discovery(_) | Message::Listener(_) => &[],
        }
    }

    /// Bytes that [`Message::emit_header`] writes: of neighbour discovery and of listeners the whole message.
    #[inline]
    pub fn header_len(&self) -> usize {
        match self {
            Message::Discovery(message) => 4 + message.body_len(),
            Message::Listener(message) => 4 + message.body_len(),
            _ => HEADER_LEN,
        }
    }

    /// Bytes that [`Message::emit`] writes.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.header_len() + self.data().len()
    }

    /// Writes the message with the checksum for a packet between these addresses, and says how long it is.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Message::total_len`].
    pub fn emit(&self, src: Ipv6Addr, dst: Ipv6Addr, buffer: &mut [u8]) -> usize {
        let (header, rest) = buffer.split_at_mut(self.header_len());
        let data = self.data();
        self.emit_header(src, dst, header);
        rest[..data.len()].copy_from_slice(data);
        header.len() + data.len()
    }

    /// Writes all but [`Message::data`], with the checksum over both, and says how long it is.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Message::header_len`].
    pub fn emit_header(&self, src: Ipv6Addr, dst: Ipv6Addr, buffer: &mut [u8]) -> usize {
        let header = &mut buffer[..self.header_len()];
        let (kind, code, rest) = self.head();
        {
            let (first, _) = split::<HEADER_LEN>(header);
            put(first, 0, [kind, code, 0, 0]);
            put(first, 4, rest);
        }
        match self {
            Message::Discovery(message) => message.emit_body(&mut header[4..]),
            Message::Listener(message) => message.emit_body(&mut header[4..]),
            _ => {}
        }
        let mut sum = pseudo(src, dst, self.total_len());
        sum.add(header);
        sum.add(self.data());
        header[CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish().to_be_bytes());
        header.len()
    }

    /// Type, code, and the four bytes after the checksum (where those are not a body's).
    fn head(&self) -> (u8, u8, [u8; 4]) {
        let pair = |ident: u16, seq: u16| (u32::from(ident) << 16 | u32::from(seq)).to_be_bytes();
        match *self {
            Message::DestinationUnreachable { code, original: _ } => (kind::DESTINATION_UNREACHABLE, code.0, [0; 4]),
            Message::PacketTooBig { mtu, original: _ } => (kind::PACKET_TOO_BIG, 0, mtu.to_be_bytes()),
            Message::TimeExceeded { code, original: _ } => (kind::TIME_EXCEEDED, code.0, [0; 4]),
            Message::ParameterProblem { code, pointer, original: _ } => {
                (kind::PARAMETER_PROBLEM, code.0, pointer.to_be_bytes())
            }
            Message::EchoRequest { ident, seq, data: _ } => (kind::ECHO_REQUEST, 0, pair(ident, seq)),
            Message::EchoReply { ident, seq, data: _ } => (kind::ECHO_REPLY, 0, pair(ident, seq)),
            Message::Discovery(ref message) => (message.kind(), 0, [0; 4]),
            Message::Listener(ref message) => (message.kind(), 0, [0; 4]),
            Message::Unknown { kind, code, rest, data: _ } => (kind, code, rest),
        }
    }
}

/// The sum of the pseudo-header for a message of `len` bytes.
fn pseudo(src: Ipv6Addr, dst: Ipv6Addr, len: usize) -> Sum {
    pseudo_header(src.into(), dst.into(), Protocol::ICMPV6.0, len as u32)
}

#[cfg(test)]
mod tests;
