//! The abstract name that a program's end of a pair is bound to, and that makes it a socket of a node.
//!
//! ```text
//!  \0 sockeye/ 0a1b2c3d / 4s / 00112233445566778899aabbccddeeff
//!              node       ||   socket
//!                         |+- kind: s stream, d datagram, r raw
//!                         +-- family: 4 IPv4, 6 IPv6, p packets, n netlink
//! ```
//!
//! It has one spelling (lower case, fixed width) and a fixed length, so that the shim tells a foreign name from ours by the
//! length that `getsockname` returns and a comparison of a few bytes. `/proc/net/unix` shows all names to everybody: a name
//! identifies, it does not authorise (see the crate's page).

use std::fmt;

/// An address family, as a socket has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
    /// `AF_PACKET`.
    Packet,
    /// `AF_NETLINK`.
    Netlink,
}

/// What a program's socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `SOCK_STREAM`, TCP; the pair is `SOCK_STREAM`.
    Stream,
    /// `SOCK_DGRAM`: UDP, UDP-Lite, ICMP's echoes, packets without a link header; the pair is `SOCK_SEQPACKET`, and each message starts with a [`crate::datagram::Header`].
    Datagram,
    /// `SOCK_RAW`: raw sockets, packets as they stand; otherwise like a datagram socket.
    Raw,
}

impl Kind {
    /// Whether data flow on the pair as they are; all others have a header before each message.
    pub fn is_stream(self) -> bool {
        self == Kind::Stream
    }
}

/// Which socket of a node: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId(pub [u8; 16]);

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({self})")
    }
}

/// The whole name: node, family, kind and socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketName {
    /// Which node: a random number that it draws when it starts.
    pub node: u32,
    /// IPv4, IPv6, packets or netlink.
    pub family: Family,
    /// Stream, datagram or raw.
    pub kind: Kind,
    /// Which of the node's sockets.
    pub id: SocketId,
}

const PREFIX: &[u8; 9] = b"\0sockeye/";
const NODE_AT: usize = PREFIX.len();
const FAMILY_AT: usize = NODE_AT + 9;
const ID_AT: usize = FAMILY_AT + 3;

impl SocketName {
    /// The bytes of a name in `sun_path`, the leading zero byte counted.
    pub const LEN: usize = ID_AT + 32;

    /// The bytes for `sun_path`, of which the first is zero; `bind` with exactly this length.
    pub fn format(&self) -> [u8; Self::LEN] {
        let mut name = [b'/'; Self::LEN];
        name[..NODE_AT].copy_from_slice(PREFIX);
        hex(&self.node.to_be_bytes(), &mut name[NODE_AT..NODE_AT + 8]);
        name[FAMILY_AT] = match self.family {
            Family::V4 => b'4',
            Family::V6 => b'6',
            Family::Packet => b'p',
            Family::Netlink => b'n',
        };
        name[FAMILY_AT + 1] = match self.kind {
            Kind::Stream => b's',
            Kind::Datagram => b'd',
            Kind::Raw => b'r',
        };
        hex(&self.id.0, &mut name[ID_AT..]);
        name
    }

    /// Reads what `getsockname` returned: `sun_path` up to the returned length. `None` for everybody else's sockets.
    pub fn parse(path: &[u8]) -> Option<SocketName> {
        let path: &[u8; Self::LEN] = path.try_into().ok()?;
        if !path.starts_with(PREFIX) || path[FAMILY_AT - 1] != b'/' || path[ID_AT - 1] != b'/' {
            return None;
        }
        let family = match path[FAMILY_AT] {
            b'4' => Family::V4,
            b'6' => Family::V6,
            b'p' => Family::Packet,
            b'n' => Family::Netlink,
            _ => return None,
        };
        let kind = match path[FAMILY_AT + 1] {
            b's' => Kind::Stream,
            b'd' => Kind::Datagram,
            b'r' => Kind::Raw,
            _ => return None,
        };
        let node = u32::from_be_bytes(unhex(&path[NODE_AT..])?);
        let id = SocketId(unhex(&path[ID_AT..])?);
        Some(SocketName { node, family, kind, id })
    }
}

fn hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.get(..2 * N)?.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
