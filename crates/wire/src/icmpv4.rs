//! Control messages of IPv4.
//!
//! ```text
//!   0      1      2             4                           8
//!  +------+------+-------------+---------------------------+------------- - -
//!  | type | code | checksum    | depends on type           | data
//!  +------+------+-------------+---------------------------+------------- - -
//!    echo                      | identifier  | sequence    | any
//!    unreachable               | 0           | next-hop MTU| original packet
//!    time exceeded, quench     | 0                         | original packet
//!    parameter problem         | ptr. | 0                  | original packet
//!    redirect                  | gateway                   | original packet
//!    timestamp                 | identifier  | sequence    | three times
//!    routers are told          | count, size | lifetime    | addresses and preferences: see irdp
//! ```
//!
//! The shapes differ so much that there is no view but an enum: [`Message::parse`] verifies the checksum (a message is
//! small or rare, no device does it for us) and goes to the meaning in one step; data and quoted packets stay borrowed.
//! An error quotes the packet that caused it, cut after a few bytes: read it with
//! [`Packet::parse_quoted`](crate::ipv4::Packet::parse_quoted). Extensions behind the quote (RFC 4884) are beyond the
//! quoted packet's total length and fall off there.
//!
//! A message can be written whole, or only its head with the checksum over all of it, so that a large echo is gathered
//! from where it is.
//!
//! # Standards
//!
//! RFC 792 (all message formats but information request), RFC 1191 §4 (next-hop MTU), RFC 1122 §3.2.2 (which codes
//! there are, what is ignored), RFC 1812 §5.2.7 (codes of routers), RFC 4884 §4.1 (quoted packets), RFC 6633 §3 (source
//! quench is history: recognised to be ignored), RFC 1256 (router discovery). Types without a variant reach the caller as [`Message::Unknown`].

use core::fmt;
use core::net::Ipv4Addr;

use crate::Malformed;
use crate::checksum::{Sum, sum};
use crate::field::{put, split, u16_at, u32_at};
use crate::irdp;

/// Length of what every message begins with.
pub const HEADER_LEN: usize = 8;
/// Length of a timestamp message.
pub const TIMESTAMP_LEN: usize = 20;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
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
    /// A packet could not be delivered.
    DestinationUnreachable {
        /// Why.
        code: UnreachableCode,
        /// With [`UnreachableCode::FRAGMENTATION_NEEDED`], the next link's MTU; 0 from a router older than RFC 1191.
        next_hop_mtu: u16,
        /// The beginning of the packet.
        original: &'a [u8],
    },
    /// Send slower: obsolete.
    SourceQuench {
        /// The beginning of the packet.
        original: &'a [u8],
    },
    /// Another router is nearer.
    Redirect {
        /// For which packets.
        code: RedirectCode,
        /// The other router.
        gateway: Ipv4Addr,
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
        /// 0: `pointer` says where. 1: a required option is missing. 2: bad length.
        code: u8,
        /// The offending byte of the packet.
        pointer: u8,
        /// The beginning of the packet.
        original: &'a [u8],
    },
    /// What time is it?
    TimestampRequest(Timestamp),
    /// The answer to a timestamp request.
    TimestampReply(Timestamp),
    /// Which routers there are.
    Discovery(irdp::Message<'a>),
    /// A type that a host has no use for.
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

/// The content of a timestamp message; times in milliseconds since midnight UT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Which asker.
    pub ident: u16,
    /// Which question.
    pub seq: u16,
    /// When the asker sent it.
    pub originate: u32,
    /// When it arrived.
    pub receive: u32,
    /// When the answer left.
    pub transmit: u32,
}

impl<'a> Message<'a> {
    /// Reads a message from the whole payload of an IP packet, and verifies its checksum.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let (header, data) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
        if sum(bytes).finish() != 0 {
            return Err(Malformed::Checksum);
        }
        let [kind, code, _, _, rest @ ..] = *header;
        let (ident, seq) = (u16_at(header, 4), u16_at(header, 6));
        Ok(match (kind, code) {
            (ECHO_REPLY, 0) => Message::EchoReply { ident, seq, data },
            (ECHO_REQUEST, 0) => Message::EchoRequest { ident, seq, data },
            (UNREACHABLE, _) => {
                let code = UnreachableCode(code);
                let next_hop_mtu = if code == UnreachableCode::FRAGMENTATION_NEEDED { u16_at(header, 6) } else { 0 };
                Message::DestinationUnreachable { code, next_hop_mtu, original: data }
            }
            (SOURCE_QUENCH, 0) => Message::SourceQuench { original: data },
            (REDIRECT, _) => {
                let gateway = Ipv4Addr::from(rest);
                Message::Redirect { code: RedirectCode(code), gateway, original: data }
            }
            (TIME_EXCEEDED, _) => Message::TimeExceeded { code: TimeExceededCode(code), original: data },
            (PARAMETER_PROBLEM, _) => Message::ParameterProblem { code, pointer: rest[0], original: data },
            (TIMESTAMP_REQUEST | TIMESTAMP_REPLY, 0) => {
                let times: &[u8; 12] = data.first_chunk().ok_or(Malformed::Truncated)?;
                let [originate, receive, transmit] = [0, 4, 8].map(|at| u32_at(times, at));
                let timestamp = Timestamp { ident, seq, originate, receive, transmit };
                if kind == TIMESTAMP_REQUEST {
                    Message::TimestampRequest(timestamp)
                } else {
                    Message::TimestampReply(timestamp)
                }
            }
            (ROUTER_SOLICITATION, 0) => Message::Discovery(irdp::Message::Solicitation),
            _ => match irdp::Routers::parse(rest[0], rest[1], data) {
                Some(routers) if (kind, code) == (ROUTER_ADVERTISEMENT, 0) => {
                    Message::Discovery(irdp::Message::Advertisement { lifetime: seq, routers })
                }
                _ => Message::Unknown { kind, code, rest, data },
            },
        })
    }

    /// True for a message about another packet. No error may ever be sent about such a one.
    #[inline]
    pub fn is_error(&self) -> bool {
        self.original().is_some()
    }

    /// The packet that an error quotes.
    pub fn original(&self) -> Option<&'a [u8]> {
        match *self {
            Message::DestinationUnreachable { original, .. }
            | Message::SourceQuench { original }
            | Message::Redirect { original, .. }
            | Message::TimeExceeded { original, .. }
            | Message::ParameterProblem { original, .. } => Some(original),
            Message::EchoRequest { .. }
            | Message::EchoReply { .. }
            | Message::TimestampRequest(_)
            | Message::TimestampReply(_)
            | Message::Discovery(_)
            | Message::Unknown { .. } => None,
        }
    }

    /// What follows the head that [`Message::emit_header`] writes.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        match *self {
            Message::EchoRequest { data, .. } | Message::EchoReply { data, .. } | Message::Unknown { data, .. } => data,
            Message::DestinationUnreachable { original, .. }
            | Message::SourceQuench { original }
            | Message::Redirect { original, .. }
            | Message::TimeExceeded { original, .. }
            | Message::ParameterProblem { original, .. } => original,
            Message::Discovery(irdp::Message::Advertisement { lifetime: _, routers }) => routers.bytes,
            Message::TimestampRequest(_)
            | Message::TimestampReply(_)
            | Message::Discovery(irdp::Message::Solicitation) => &[],
        }
    }

    /// Bytes that [`Message::emit_header`] writes.
    #[inline]
    pub fn header_len(&self) -> usize {
        match self {
            Message::TimestampRequest(_) | Message::TimestampReply(_) => TIMESTAMP_LEN,
            _ => HEADER_LEN,
        }
    }

    /// Bytes that [`Message::emit`] writes.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.header_len() + self.data().len()
    }

    /// Writes the message, its checksum included, and says how long it is.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Message::total_len`].
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let (header, rest) = buffer.split_at_mut(self.header_len());
        let data = self.data();
        self.emit_header(header);
        rest[..data.len()].copy_from_slice(data);
        header.len() + data.len()
    }

    /// Writes all but [`Message::data`], with the checksum over both, and says how long it is.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Message::header_len`].
    pub fn emit_header(&self, buffer: &mut [u8]) -> usize {
        let (header, times) = split::<HEADER_LEN>(buffer);
        let (kind, code, rest) = self.head();
        put(header, 0, [kind, code, 0, 0]);
        put(header, 4, rest);
        let mut sum = Sum::new();
        sum.add(header);
        if let Message::TimestampRequest(timestamp) | Message::TimestampReply(timestamp) = *self {
            let (times, _) = split::<12>(times);
            put(times, 0, timestamp.originate.to_be_bytes());
            put(times, 4, timestamp.receive.to_be_bytes());
            put(times, 8, timestamp.transmit.to_be_bytes());
            sum.add(times);
        }
        sum.add(self.data());
        put(header, 2, sum.finish().to_be_bytes());
        self.header_len()
    }

    /// Type, code, and the four bytes after the checksum.
    fn head(&self) -> (u8, u8, [u8; 4]) {
        match *self {
            Message::EchoRequest { ident, seq, data: _ } => (ECHO_REQUEST, 0, pair(ident, seq)),
            Message::EchoReply { ident, seq, data: _ } => (ECHO_REPLY, 0, pair(ident, seq)),
            Message::DestinationUnreachable { code, next_hop_mtu, original: _ } => {
                let next_hop_mtu = if code == UnreachableCode::FRAGMENTATION_NEEDED { next_hop_mtu } else { 0 };
                (UNREACHABLE, code.0, pair(0, next_hop_mtu))
            }
            Message::SourceQuench { original: _ } => (SOURCE_QUENCH, 0, [0; 4]),
            Message::Redirect { code, gateway, original: _ } => (REDIRECT, code.0, gateway.octets()),
            Message::TimeExceeded { code, original: _ } => (TIME_EXCEEDED, code.0, [0; 4]),
            Message::ParameterProblem { code, pointer, original: _ } => (PARAMETER_PROBLEM, code, [pointer, 0, 0, 0]),
            Message::TimestampRequest(Timestamp { ident, seq, .. }) => (TIMESTAMP_REQUEST, 0, pair(ident, seq)),
            Message::TimestampReply(Timestamp { ident, seq, .. }) => (TIMESTAMP_REPLY, 0, pair(ident, seq)),
            Message::Discovery(irdp::Message::Solicitation) => (ROUTER_SOLICITATION, 0, [0; 4]),
            Message::Discovery(irdp::Message::Advertisement { lifetime, routers }) => {
                let count = (routers.bytes.len() / (usize::from(routers.words) * 4)) as u8;
                (ROUTER_ADVERTISEMENT, 0, pair(u16::from_be_bytes([count, routers.words]), lifetime))
            }
            Message::Unknown { kind, code, rest, data: _ } => (kind, code, rest),
        }
    }
}

/// Why a destination cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnreachableCode(pub u8);

impl UnreachableCode {
    /// No route to the network.
    pub const NETWORK: UnreachableCode = UnreachableCode(0);
    /// The host does not answer on its link.
    pub const HOST: UnreachableCode = UnreachableCode(1);
    /// The host does not speak the protocol.
    pub const PROTOCOL: UnreachableCode = UnreachableCode(2);
    /// Nobody listens on the port.
    pub const PORT: UnreachableCode = UnreachableCode(3);
    /// The packet is larger than the next link carries, and may not be cut.
    pub const FRAGMENTATION_NEEDED: UnreachableCode = UnreachableCode(4);
    /// The source route leads nowhere.
    pub const SOURCE_ROUTE_FAILED: UnreachableCode = UnreachableCode(5);
    /// The network does not exist.
    pub const NETWORK_UNKNOWN: UnreachableCode = UnreachableCode(6);
    /// The host does not exist.
    pub const HOST_UNKNOWN: UnreachableCode = UnreachableCode(7);
    /// The source host is isolated: obsolete.
    pub const SOURCE_ISOLATED: UnreachableCode = UnreachableCode(8);
    /// The network is closed to us.
    pub const NETWORK_PROHIBITED: UnreachableCode = UnreachableCode(9);
    /// The host is closed to us.
    pub const HOST_PROHIBITED: UnreachableCode = UnreachableCode(10);
    /// No route to the network with this type of service.
    pub const NETWORK_TOS: UnreachableCode = UnreachableCode(11);
    /// No way to the host with this type of service.
    pub const HOST_TOS: UnreachableCode = UnreachableCode(12);
    /// A filter forbids it.
    pub const PROHIBITED: UnreachableCode = UnreachableCode(13);
}

impl fmt::Display for UnreachableCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            0 => "network unreachable",
            1 => "host unreachable",
            2 => "protocol unreachable",
            3 => "port unreachable",
            4 => "fragmentation needed",
            5 => "source route failed",
            6 => "network unknown",
            7 => "host unknown",
            8 => "source host isolated",
            9 => "network prohibited",
            10 => "host prohibited",
            11 => "network unreachable for type of service",
            12 => "host unreachable for type of service",
            13 => "administratively prohibited",
            code => return write!(f, "unreachable, code {code}"),
        };
        f.write_str(text)
    }
}

/// Where a packet's time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeExceededCode(pub u8);

impl TimeExceededCode {
    /// In a router: its time to live reached zero.
    pub const TTL: TimeExceededCode = TimeExceededCode(0);
    /// In the receiver: not all fragments came.
    pub const REASSEMBLY: TimeExceededCode = TimeExceededCode(1);
}

/// Which packets should take the other router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RedirectCode(pub u8);

impl RedirectCode {
    /// Those to the network. To be treated like [`RedirectCode::HOST`].
    pub const NETWORK: RedirectCode = RedirectCode(0);
    /// Those to the host.
    pub const HOST: RedirectCode = RedirectCode(1);
    /// Those to the network with the type of service.
    pub const NETWORK_TOS: RedirectCode = RedirectCode(2);
    /// Those to the host with the type of service.
    pub const HOST_TOS: RedirectCode = RedirectCode(3);
}

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const ROUTER_ADVERTISEMENT: u8 = 9;
const ROUTER_SOLICITATION: u8 = 10;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
const TIMESTAMP_REQUEST: u8 = 13;
const TIMESTAMP_REPLY: u8 = 14;

fn pair(high: u16, low: u16) -> [u8; 4] {
    (u32::from(high) << 16 | u32::from(low)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipv4::Packet;

    /// An echo request, and what Linux answers.
    const PING: [u8; 12] = [0x08, 0x00, 0x02, 0xff, 0x30, 0x39, 0x00, 0x01, 0x61, 0x62, 0x63, 0x64];
    const PONG: [u8; 12] = [0x00, 0x00, 0x0a, 0xff, 0x30, 0x39, 0x00, 0x01, 0x61, 0x62, 0x63, 0x64];

    fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes[2..4].fill(0);
        let checksum = sum(&bytes).finish();
        bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    #[test]
    fn echo() {
        let (ident, seq, data) = (12345, 1, &b"abcd"[..]);
        for (bytes, message) in
            [(PING, Message::EchoRequest { ident, seq, data }), (PONG, Message::EchoReply { ident, seq, data })]
        {
            assert_eq!(Message::parse(&bytes), Ok(message));
            let mut written = [0xaa; 12];
            assert_eq!(message.emit(&mut written), 12);
            assert_eq!(written, bytes);
        }
    }

    /// RFC 1191 section 4: the MTU stands in the low half of the second word, with code 4 only.
    #[test]
    fn next_hop_mtu() {
        for code in 0..=15 {
            let bytes = with_checksum(vec![3, code, 0, 0, 0, 0, 0x05, 0x78]);
            let expected = if code == 4 { 1400 } else { 0 };
            let code = UnreachableCode(code);
            let message = Message::DestinationUnreachable { code, next_hop_mtu: expected, original: &[] };
            assert_eq!(Message::parse(&bytes), Ok(message));
            let mut written = [0xaa; 8];
            Message::DestinationUnreachable { code, next_hop_mtu: 1400, original: &[] }.emit(&mut written);
            assert_eq!(Message::parse(&written), Ok(message));
        }
    }

    /// Bad input D7: an error with every truncation, its quoted packet too; an echo of 0 to 8 bytes.
    #[test]
    fn truncations_are_refused() {
        let mut quoted = [0; 28];
        quoted[..4].copy_from_slice(&[0x45, 0, 0, 60]);
        for len in 0..8 {
            assert_eq!(Message::parse(&PING[..len]), Err(Malformed::Truncated));
        }
        for len in 0..=quoted.len() {
            let bytes = with_checksum([&[3, 3, 0, 0, 0, 0, 0, 0], &quoted[..len]].concat());
            let message = Message::parse(&bytes).unwrap();
            let original = message.original().unwrap();
            assert_eq!(original.len(), len);
            assert_eq!(Packet::parse_quoted(original).is_ok(), len >= 20);
        }
        for len in 8..TIMESTAMP_LEN {
            let bytes = with_checksum([vec![13], vec![0; len - 1]].concat());
            assert_eq!(Message::parse(&bytes), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn bad_checksums_are_refused() {
        for at in 0..PING.len() {
            let mut bytes = PING;
            bytes[at] ^= 0x10;
            assert_eq!(Message::parse(&bytes), Err(Malformed::Checksum), "byte {at}");
        }
    }

    #[test]
    fn every_type_and_code_means_something() {
        let errors = [3, 4, 5, 11, 12];
        for kind in 0..=255 {
            for code in 0..=255 {
                let bytes = with_checksum([vec![kind, code], vec![7; 30]].concat());
                let message = Message::parse(&bytes).unwrap();
                let known = if kind == 4 { code == 0 } else { true };
                assert_eq!(message.is_error(), errors.contains(&kind) && known, "type {kind}, code {code}");
                assert_eq!(message.head().0, kind);
            }
        }
    }

    #[test]
    fn as_text() {
        let unreachable = |code, next_hop_mtu| Message::DestinationUnreachable { code, next_hop_mtu, original: &[] };
        for (message, text) in [
            (Message::EchoReply { ident: 1, seq: 2, data: b"abc" }, "echo reply id 1 seq 2 of 3 bytes"),
            (unreachable(UnreachableCode::PORT, 0), "port unreachable"),
            (unreachable(UnreachableCode::FRAGMENTATION_NEEDED, 1400), "fragmentation needed, mtu 1400"),
            (unreachable(UnreachableCode(77), 0), "unreachable, code 77"),
            (Message::TimeExceeded { code: TimeExceededCode::TTL, original: &[] }, "time to live exceeded"),
        ] {
            assert_eq!(message.to_string(), text);
        }
    }
}
