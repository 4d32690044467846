//! What a client asks.
//!
//! Numbers that a program passed (families, types, levels, options) travel as the program gave them, in Linux's own
//! numbering: the node decides what they mean and which error they earn, and the shim need not know them.

use crate::codec::{Malformed, NoRoom, Reader, Writer};
use crate::{Address, MAX_NAME, MAX_OPTION, SocketId};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A request; each is one message. Whatever borrows does so from the message's bytes.
///
/// A request that has an `id` carries that socket's descriptor along (SCM_RIGHTS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// `socket(2)`. Answer: [`crate::Reply::Done`] and the program's descriptor, or why not. Who is not root, and has CAP_NET_RAW, shows a packet socket
    /// of the kernel's, which nobody makes without it.
    Socket {
        /// `AF_INET`, `AF_INET6`, `AF_PACKET`, `AF_NETLINK`, ...
        family: i32,
        /// `SOCK_STREAM`, `SOCK_DGRAM`, `SOCK_RAW`, ... without flags.
        kind: i32,
        /// As the program gave it: 0, `IPPROTO_TCP`, ...
        protocol: i32,
        /// Whether the program's end shall be `O_NONBLOCK`. (Close-on-exec belongs to a descriptor, so the receiver sets it.)
        nonblocking: bool,
    },
    /// `bind(2)`. Answer: `Done`.
    Bind {
        /// Which socket.
        id: SocketId,
        /// Port 0 lets the node choose.
        address: Address,
    },
    /// `listen(2)`. Answer: `Done`.
    Listen {
        /// Which socket.
        id: SocketId,
        /// As the program gave it, negative ones too; Linux reads it as unsigned.
        backlog: i32,
    },
    /// `connect(2)`. Answer: [`crate::Reply::InProgress`] (stream), `Done` (datagram; stream that is connected and had not said so yet).
    Connect {
        /// Which socket.
        id: SocketId,
        /// The peer; `None` (`AF_UNSPEC`) dissolves the association.
        address: Option<Address>,
    },
    /// `getsockname(2)`. Answer: [`crate::Reply::Address`].
    LocalAddress {
        /// Which socket.
        id: SocketId,
    },
    /// `getpeername(2)`. Answer: [`crate::Reply::Address`], or `ENOTCONN`.
    PeerAddress {
        /// Which socket.
        id: SocketId,
    },
    /// `setsockopt(2)`. Answer: `Done`, or [`crate::Reply::Value`], by which the beginning of the program's value is replaced; an option that is not
    /// implemented is `ENOPROTOOPT`, never a silent success.
    SetOption {
        /// Which socket.
        id: SocketId,
        /// `SOL_SOCKET`, `IPPROTO_TCP`, ...
        level: i32,
        /// The option's number in its level.
        name: i32,
        /// At most [`MAX_OPTION`] bytes (of a longer value its start); the rest of the message.
        value: &'a [u8],
    },
    /// `setsockopt(2)` of an option in [`Request::TOLD`] on a stream: a statement. No answer.
    TellOption {
        /// Which socket.
        id: SocketId,
        /// `SOL_SOCKET`, `IPPROTO_TCP`, ...
        level: i32,
        /// The option's number in its level.
        name: i32,
        /// An `int`, as the program gave it; the rest of the message.
        value: &'a [u8],
    },
    /// `getsockopt(2)`. Answer: [`crate::Reply::Value`], at most `len` bytes. `SO_ERROR` is cleared by asking.
    Option {
        /// Which socket.
        id: SocketId,
        /// `SOL_SOCKET`, `IPPROTO_TCP`, ...
        level: i32,
        /// The option's number in its level.
        name: i32,
        /// The size of the program's buffer.
        len: u32,
    },
    /// `getsockopt(2)` of an option of which the program's buffer says what is asked. Answer: [`crate::Reply::Value`].
    AskOption {
        /// Which socket.
        id: SocketId,
        /// `IPPROTO_IP`, ...
        level: i32,
        /// The option's number in its level.
        name: i32,
        /// The beginning of the buffer, at most [`MAX_OPTION`] bytes; the rest of the message.
        value: &'a [u8],
    },
    /// `shutdown(2)`. Answer: `Done`, after which the client shuts down its end of the pair.
    Shutdown {
        /// Which socket.
        id: SocketId,
        /// `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`, or something wrong.
        how: i32,
    },
    /// An `ioctl(2)` that the pair itself cannot answer, as `SIOCOUTQ`. Answer: [`crate::Reply::Value`], what goes to the program's argument.
    Ioctl {
        /// Which socket.
        id: SocketId,
        /// The command's number.
        command: u32,
        /// What the program's argument held, where the command reads it; the rest of the message.
        argument: &'a [u8],
    },
    /// What the program has written so far shall be taken before anything else. On a datagram socket: answer `Done`, or the
    /// error of a datagram that asked for an answer ([`crate::datagram::Header::answer`]). On a stream: an urgent byte follows, which the node must
    /// not read past. Answer: `Done`.
    Flush {
        /// Which socket.
        id: SocketId,
    },
    /// A write that a stream's pair has refused, because nobody is at its other end. Answer: `Done` if TCP takes it, as it does until the peer's
    /// reset says that it is gone; else `EPIPE`.
    WriteInVain {
        /// Which socket.
        id: SocketId,
        /// Of no bytes: nothing is sent, and nothing comes of it.
        empty: bool,
    },
    /// `recvmsg(2)` with `MSG_ERRQUEUE`. Answer: [`crate::Reply::Message`], or `EAGAIN` if no error waits.
    TakeError {
        /// Which socket.
        id: SocketId,
    },
    /// The memory of a packet socket's rings. Answer: [`crate::Reply::Value`], the length of the rings (eight bytes), and the file: the rings, and
    /// behind them a page by which the shim is told where to look ([`crate::ring`]). `EINVAL` if there are none.
    Memory {
        /// Which socket.
        id: SocketId,
    },
    /// `send(2)` of nothing, on a packet socket: what stands in its ring is to be sent. Answer: [`crate::Reply::Value`], how many bytes of frames were
    /// (eight bytes), and one of [`crate::ring::DONE`], [`crate::ring::MORE`] and [`crate::ring::FULL`] (one byte); or `Done` if it has no such ring.
    Transmit {
        /// Which socket.
        id: SocketId,
        /// Where to; none for where the socket is bound.
        address: Option<Address>,
    },
    /// Memory to write statements in ([`crate::board`]). Answer: `Done` and its file, or an error if there are enough of them.
    Board,
    /// There is something on the board: a statement. No answer.
    Ring,
    /// A connection for who cannot reach the path, as after `chroot(2)`: a statement. No answer here, as several processes may hold this
    /// connection; but on the end of a `SOCK_SEQPACKET` pair that comes along, `Done` and the new connection, or nothing if there is no room.
    Admit,
    /// Addresses of a name. Answer: [`crate::Reply::Addresses`]; it may take as long as the name servers do.
    Resolve {
        /// `AF_INET`, `AF_INET6`, or `AF_UNSPEC` for both.
        family: i32,
        /// [`Request::RESOLVE_CONFIGURED`] or 0; other bits are for later, and ignored.
        flags: u32,
        /// The host's name, not an address in text; at most [`MAX_NAME`] bytes; the rest of the message.
        name: &'a str,
    },
    /// The name of an address. Answer: [`crate::Reply::Name`].
    ResolveAddress {
        /// Of which address.
        address: IpAddr,
    },
    /// The node's interfaces and their addresses. Answer: `Done`, and a file that holds rtnetlink's messages (`RTM_NEWLINK`, `RTM_NEWADDR`),
    /// as the kernel's dumps do.
    Interfaces,
    /// An `ioctl(2)` about an interface, on whatever socket. Answer: [`crate::Reply::Value`], what goes where the command writes.
    InterfaceIoctl {
        /// The socket's family, which decides what it may be asked.
        family: i32,
        /// The command's number.
        command: u32,
        /// What the program's argument held (of `SIOCETHTOOL`: the interface's name in 16 bytes, and what the argument points to); the rest of
        /// the message.
        argument: &'a [u8],
    },
    /// What stands for the node at a path of `/proc/net` or `/sys/class/net`. Answer: `Done` and a descriptor; `ENOENT` if there is no such file, and
    /// `EOPNOTSUPP` if it is the kernel's.
    File {
        /// Only to look at (`O_PATH`), not to read.
        look: bool,
        /// The link itself, if the path ends at one.
        link: bool,
        /// The path, absolute; at most [`MAX_NAME`] bytes; the rest of the message.
        path: &'a str,
    },
    /// What the node has. Answer: [`crate::Reply::Text`], several.
    Show {
        /// Which table.
        what: What,
        /// JSON rather than a table for people.
        json: bool,
    },
    /// What the node does, as it does it. Answer: [`crate::Reply::Text`], until the client closes the connection.
    Trace,
    /// Stop in good order. Only for the node's own user and root. Answer: `Done`.
    Down,
}

/// A table that `show` can print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum What {
    Interfaces,
    Addresses,
    Routes,
    Neighbors,
    Sockets,
    Queues,
    Counters,
}

const SOL_SOCKET: i32 = 1;
const IPPROTO_TCP: i32 = 6;

const SOCKET: u8 = 1;
const BIND: u8 = 2;
const LISTEN: u8 = 3;
const CONNECT: u8 = 4;
const LOCAL_ADDRESS: u8 = 5;
const PEER_ADDRESS: u8 = 6;
const SET_OPTION: u8 = 7;
const OPTION: u8 = 8;
const SHUTDOWN: u8 = 9;
const IOCTL: u8 = 10;
const RESOLVE: u8 = 11;
const RESOLVE_ADDRESS: u8 = 12;
const SHOW: u8 = 13;
const TRACE: u8 = 14;
const DOWN: u8 = 15;
const FLUSH: u8 = 16;
const TELL_OPTION: u8 = 17;
const BOARD: u8 = 18;
const RING: u8 = 19;
const INTERFACES: u8 = 20;
const INTERFACE_IOCTL: u8 = 21;
const FILE: u8 = 22;
const TAKE_ERROR: u8 = 24;
const WRITE_IN_VAIN: u8 = 25;
const MEMORY: u8 = 32;
const ASK_OPTION: u8 = 40;
const TRANSMIT: u8 = 48;
const ADMIT: u8 = 56;

impl<'a> Request<'a> {
    /// In `Resolve`: only addresses of families of which the node has an address itself (`AI_ADDRCONFIG`).
    pub const RESOLVE_CONFIGURED: u32 = 1;

    /// Options of a stream, by level and name, of which the value is an `int` and the node refuses none: they need not be asked for.
    pub const TOLD: [(i32, i32); 6] = [
        (SOL_SOCKET, 2),   // SO_REUSEADDR
        (SOL_SOCKET, 9),   // SO_KEEPALIVE
        (SOL_SOCKET, 15),  // SO_REUSEPORT
        (IPPROTO_TCP, 1),  // TCP_NODELAY
        (IPPROTO_TCP, 3),  // TCP_CORK
        (IPPROTO_TCP, 12), // TCP_QUICKACK
    ];

    /// Writes the request into `buffer` and returns its length; [`crate::MAX_CALL`] bytes are always enough.
    ///
    /// [`NoRoom`] if the buffer is too small or a value or name is longer than its limit.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(buffer);
        match *self {
            Request::Socket { family, kind, protocol, nonblocking } => {
                writer.head(SOCKET)?;
                writer.i32(family)?;
                writer.i32(kind)?;
                writer.i32(protocol)?;
                writer.bool(nonblocking)?;
            }
            Request::Bind { id, address } => {
                writer.about(BIND, id)?;
                writer.any_address(Some(address))?;
            }
            Request::Listen { id, backlog } => {
                writer.about(LISTEN, id)?;
                writer.i32(backlog)?;
            }
            Request::Connect { id, address } => {
                writer.about(CONNECT, id)?;
                writer.any_address(address)?;
            }
            Request::LocalAddress { id } => writer.about(LOCAL_ADDRESS, id)?,
            Request::PeerAddress { id } => writer.about(PEER_ADDRESS, id)?,
            Request::SetOption { id, level, name, value } => {
                writer.about(SET_OPTION, id)?;
                writer.i32(level)?;
                writer.i32(name)?;
                writer.limited(value, MAX_OPTION)?;
            }
            Request::TellOption { id, level, name, value } => {
                writer.about(TELL_OPTION, id)?;
                writer.i32(level)?;
                writer.i32(name)?;
                writer.limited(value, MAX_OPTION)?;
            }
            Request::AskOption { id, level, name, value } => {
                writer.about(ASK_OPTION, id)?;
                writer.i32(level)?;
                writer.i32(name)?;
                writer.limited(value, MAX_OPTION)?;
            }
            Request::Option { id, level, name, len } => {
                writer.about(OPTION, id)?;
                writer.i32(level)?;
                writer.i32(name)?;
                writer.u32(len)?;
            }
            Request::Shutdown { id, how } => {
                writer.about(SHUTDOWN, id)?;
                writer.i32(how)?;
            }
            Request::Ioctl { id, command, argument } => {
                writer.about(IOCTL, id)?;
                writer.u32(command)?;
                writer.limited(argument, MAX_OPTION)?;
            }
            Request::Flush { id } => writer.about(FLUSH, id)?,
            Request::WriteInVain { id, empty } => {
                writer.about(WRITE_IN_VAIN, id)?;
                writer.bool(empty)?;
            }
            Request::TakeError { id } => writer.about(TAKE_ERROR, id)?,
            Request::Memory { id } => writer.about(MEMORY, id)?,
            Request::Transmit { id, address } => {
                writer.about(TRANSMIT, id)?;
                writer.any_address(address)?;
            }
            Request::Board => writer.head(BOARD)?,
            Request::Ring => writer.head(RING)?,
            Request::Admit => writer.head(ADMIT)?,
            Request::Resolve { family, flags, name } => {
                writer.head(RESOLVE)?;
                writer.i32(family)?;
                writer.u32(flags)?;
                writer.limited(name.as_bytes(), MAX_NAME)?;
            }
            Request::ResolveAddress { address } => {
                writer.head(RESOLVE_ADDRESS)?;
                writer.address(address)?;
            }
            Request::Interfaces => writer.head(INTERFACES)?,
            Request::InterfaceIoctl { family, command, argument } => {
                writer.head(INTERFACE_IOCTL)?;
                writer.i32(family)?;
                writer.u32(command)?;
                writer.limited(argument, MAX_OPTION)?;
            }
            Request::File { look, link, path } => {
                writer.head(FILE)?;
                writer.bool(look)?;
                writer.bool(link)?;
                writer.limited(path.as_bytes(), MAX_NAME)?;
            }
            Request::Show { what, json } => {
                writer.head(SHOW)?;
                writer.u8(what.number())?;
                writer.bool(json)?;
            }
            Request::Trace => writer.head(TRACE)?,
            Request::Down => writer.head(DOWN)?,
        }
        Ok(writer.len())
    }

    /// Reads a request from one message's bytes.
    pub fn decode(message: &'a [u8]) -> Result<Request<'a>, Malformed> {
        let mut reader = Reader::new(message);
        let request = match reader.head()? {
            SOCKET => Request::Socket {
                family: reader.i32()?,
                kind: reader.i32()?,
                protocol: reader.i32()?,
                nonblocking: reader.bool()?,
            },
            BIND => Request::Bind { id: reader.id()?, address: reader.any_address()? },
            LISTEN => Request::Listen { id: reader.id()?, backlog: reader.i32()? },
            CONNECT => Request::Connect { id: reader.id()?, address: reader.optional_any_address()? },
            LOCAL_ADDRESS => Request::LocalAddress { id: reader.id()? },
            PEER_ADDRESS => Request::PeerAddress { id: reader.id()? },
            SET_OPTION => {
                let (id, level, name) = (reader.id()?, reader.i32()?, reader.i32()?);
                let value = reader.remaining(MAX_OPTION, "option value")?;
                return Ok(Request::SetOption { id, level, name, value });
            }
            ASK_OPTION => {
                let (id, level, name) = (reader.id()?, reader.i32()?, reader.i32()?);
                let value = reader.remaining(MAX_OPTION, "option value")?;
                return Ok(Request::AskOption { id, level, name, value });
            }
            TELL_OPTION => {
                let (id, level, name) = (reader.id()?, reader.i32()?, reader.i32()?);
                let value = reader.remaining(MAX_OPTION, "option value")?;
                return Ok(Request::TellOption { id, level, name, value });
            }
            OPTION => {
                Request::Option { id: reader.id()?, level: reader.i32()?, name: reader.i32()?, len: reader.u32()? }
            }
            FLUSH => Request::Flush { id: reader.id()? },
            WRITE_IN_VAIN => Request::WriteInVain { id: reader.id()?, empty: reader.bool()? },
            TAKE_ERROR => Request::TakeError { id: reader.id()? },
            MEMORY => Request::Memory { id: reader.id()? },
            TRANSMIT => Request::Transmit { id: reader.id()?, address: reader.optional_any_address()? },
            BOARD => Request::Board,
            RING => Request::Ring,
            ADMIT => Request::Admit,
            SHUTDOWN => Request::Shutdown { id: reader.id()?, how: reader.i32()? },
            IOCTL => {
                let (id, command) = (reader.id()?, reader.u32()?);
                let argument = reader.remaining(MAX_OPTION, "ioctl argument")?;
                return Ok(Request::Ioctl { id, command, argument });
            }
            RESOLVE => {
                let (family, flags) = (reader.i32()?, reader.u32()?);
                let name = reader.remaining_text(MAX_NAME, "host name")?;
                return Ok(Request::Resolve { family, flags, name });
            }
            RESOLVE_ADDRESS => Request::ResolveAddress { address: reader.address()? },
            INTERFACES => Request::Interfaces,
            INTERFACE_IOCTL => {
                let (family, command) = (reader.i32()?, reader.u32()?);
                let argument = reader.remaining(MAX_OPTION, "ioctl argument")?;
                return Ok(Request::InterfaceIoctl { family, command, argument });
            }
            FILE => {
                let (look, link) = (reader.bool()?, reader.bool()?);
                let path = reader.remaining_text(MAX_NAME, "path")?;
                return Ok(Request::File { look, link, path });
            }
            SHOW => Request::Show { what: What::from_number(reader.u8()?)?, json: reader.bool()? },
            TRACE => Request::Trace,
            DOWN => Request::Down,
            tag => return Err(Malformed::Tag(tag)),
        };
        reader.end()?;
        Ok(request)
    }

    /// Which socket the request is about, if it is about one: then a descriptor comes along.
    pub fn id(&self) -> Option<SocketId> {
        match *self {
            Request::Bind { id, .. }
            | Request::Listen { id, .. }
            | Request::Connect { id, .. }
            | Request::LocalAddress { id }
            | Request::PeerAddress { id }
            | Request::SetOption { id, .. }
            | Request::TellOption { id, .. }
            | Request::AskOption { id, .. }
            | Request::Option { id, .. }
            | Request::Shutdown { id, .. }
            | Request::TakeError { id }
            | Request::Flush { id }
            | Request::WriteInVain { id, .. }
            | Request::Memory { id }
            | Request::Transmit { id, .. }
            | Request::Ioctl { id, .. } => Some(id),
            Request::Socket { .. }
            | Request::Board
            | Request::Ring
            | Request::Admit
            | Request::Resolve { .. }
            | Request::ResolveAddress { .. }
            | Request::Interfaces
            | Request::InterfaceIoctl { .. }
            | Request::File { .. }
            | Request::Show { .. }
            | Request::Trace
            | Request::Down => None,
        }
    }

    /// Whether it is a question. A statement has no answer, so the client does not wait.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Request::TellOption { .. } | Request::Ring | Request::Admit)
    }
}

impl Writer<'_> {
    fn about(&mut self, tag: u8, id: SocketId) -> Result<(), NoRoom> {
        self.head(tag)?;
        self.bytes(&id.0)
    }

    fn limited(&mut self, bytes: &[u8], limit: usize) -> Result<(), NoRoom> {
        if bytes.len() > limit {
            return Err(NoRoom);
        }
        self.bytes(bytes)
    }
}

impl Reader<'_> {
    fn id(&mut self) -> Result<SocketId, Malformed> {
        Ok(SocketId(self.array()?))
    }
}

impl What {
    /// All tables, in the order in which a help text should name them.
    pub const ALL: [What; 7] =
        [What::Interfaces, What::Addresses, What::Routes, What::Neighbors, What::Sockets, What::Queues, What::Counters];

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            What::Interfaces => "interfaces",
            What::Addresses => "addresses",
            What::Routes => "routes",
            What::Neighbors => "neighbors",
            What::Sockets => "sockets",
            What::Queues => "queues",
            What::Counters => "counters",
        }
    }

    fn number(self) -> u8 {
        match self {
            What::Interfaces => 0,
            What::Addresses => 1,
            What::Routes => 2,
            What::Neighbors => 3,
            What::Sockets => 4,
            What::Queues => 5,
            What::Counters => 6,
        }
    }

    fn from_number(number: u8) -> Result<What, Malformed> {
        What::ALL.into_iter().find(|what| what.number() == number).ok_or(Malformed::Field("table"))
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<What, String> {
        What::ALL
            .into_iter()
            .find(|what| what.as_str() == text)
            .ok_or_else(|| format!("nothing to show by the name of {text:?}"))
    }
}
