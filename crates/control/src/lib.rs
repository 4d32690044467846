//! The messages between a node, the shim inside a program, and the command line.
//!
//! This crate defines bytes and nothing else: no I/O, no allocation on the way in or out, no dependency. It lives in strangers'
//! processes (the shim is preloaded into them), so it is small, it never panics, and every length has a fixed limit.
//!
//! # The protocol, for a newcomer
//!
//! A node listens on a Unix socket of type `SOCK_SEQPACKET` at a path (see [`ControlPath`]). A client connects, sends one
//! [`Request`] as one message, and receives one [`Reply`] as one message; then it may send the next. Only `Show` and `Trace` are
//! answered by several messages ([`Reply::Text`]), the last of which says so. Nothing in a message's bytes identifies the client: the node
//! asks the kernel for process and user, because these cannot be forged. It is whoever sends the message (`SCM_CREDENTIALS`: what the sender
//! attaches, of what it truly is, or else its process and real user), not who once connected: programs keep their connections, and may
//! become somebody else meanwhile. With a connection's first message it is who connected (`SO_PEERCRED`).
//!
//! A client may send a *statement* ([`Request::is_answered`] says no) and the next message right behind it: there is no answer. A statement is what the node
//! would not refuse; if it must (the socket is another one, or no more), it does so in silence. Whatever was said, on whichever connection, before a
//! question was asked is done before the question is answered.
//!
//! A client may keep its connection. The node may close one that is idle; whatever is sent on it then fails (`EPIPE`) and was not taken, and the
//! client connects again.
//!
//! A program that changes its root directory leaves the path behind. It keeps a connection for one purpose, shares it with its children, and asks on it
//! for others ([`Request::Admit`]). The node lets such a one not go.
//!
//! ```text
//!  program (shim)                                   node
//!     | Socket{2, SOCK_STREAM, 0}                    |
//!     |--------------------------------------------->|  socketpair(); bind the program's end to a SocketName
//!     |        Done + the program's end (SCM_RIGHTS) |
//!     |<---------------------------------------------|
//!     | Connect{id, 10.0.0.1:80} + that descriptor   |
//!     |--------------------------------------------->|  fill the program's end with filler; send a SYN
//!     |                                  InProgress  |
//!     |<---------------------------------------------|
//!     |   poll(fd, OUT) ... handshake ...            |  read exactly the filler away: OUT fires
//!     |   read/write/poll/close: the kernel's own    |
//! ```
//!
//! ## Descriptors
//!
//! A program's socket is one end of a socket pair that the node made. Its identity is the abstract name that it is bound to
//! ([`SocketName`]), so any process that holds it, after dup, fork, exec or SCM_RIGHTS, learns with a plain `getsockname` which
//! socket it is. A stream socket is an end of a `SOCK_STREAM` pair, all others (datagram, raw, packet) of a `SOCK_SEQPACKET` pair.
//!
//! **Each request that names a socket carries that socket's descriptor** (exactly one, SCM_RIGHTS). Names can be read by every
//! local user in `/proc/net/unix`, so a name alone proves nothing; the node compares the descriptor that came along
//! (`SO_COOKIE`, which a look-alike in another network namespace does not share) with the end that it made, and closes it after the
//! request. Whatever comes along unasked is closed, too.
//!
//! Replies that carry a descriptor: `Done` to `Socket`, `Interfaces` and `File`, always. `InProgress` or `Done` to `Connect`, sometimes: a pair whose
//! connection failed cannot live again, so when a program connects the same socket once more, the node makes a new pair and the
//! shim puts the new end in the old one's place.
//!
//! ## Streams
//!
//! - *connect* is always without waiting: [`Reply::InProgress`], then the descriptor polls writable (established) or `ERR|HUP`
//!   (failed, and `Option{SO_ERROR}` has the reason). Until then the node holds filler ([`filler`]) in the program's end.
//!   A second `Connect` while the first is under way is `EALREADY`; the first one after success is `Done` (the shim's own, if the program's
//!   call waits), then `EISCONN`; the first one after a failure is that failure, if nobody has asked for it yet, then a new attempt.
//! - *fresh*: TCP says at once that reading and writing are in vain, so a fresh end must not wait either. The node leaves one byte of filler
//!   in it, so that it polls readable, and takes the byte back with `Connect` and `Listen`; the shim, which marks the descriptor, never reads it.
//! - *accept* is no request. On the listener's pair the node sends one [`Accepted`] message with the new descriptor for each
//!   connection; the accepting process answers on the same pair with one [`credit`] byte, so that the node knows how many are taken.
//! - *shutdown*: the request asks whether it may be (`ENOTCONN`) and announces it. After `Done` the shim shuts its end of the pair
//!   down, which conveys the end of the data in its right place; an announced `SHUT_RDWR` thus differs from a close.
//! - *close* is no request: the node sees it on the pair.
//! - *end or reset*: after a reset the node closes its end, and the shim, which reads 0 with `HUP`, asks `Option{SO_ERROR}` for the reason.
//!   So the node keeps an id's error until it is asked (a bounded number of them); the answer clears it. Of an id that it does not know any
//!   more, `SO_ERROR` is 0 and everything else `ENOTCONN`.
//!
//! ## Datagrams
//!
//! Each message on the pair of a socket that is no stream begins with a [`datagram::Header`], in both directions. What is wrong with a datagram
//! the node tells afterwards, by a message of its own, or, if it is asked at once ([`Request::Flush`]), in the answer.
//!
//! Whoever asked for errors one by one (`IP_RECVERR`) fetches them with [`Request::TakeError`], from a queue that the node keeps. That there are some
//! is told by a message on the pair, of kind error and with `answer` set: the errno is not in it but is asked for (`SO_ERROR`), since it may be told or
//! taken meanwhile; whoever is then told 0 reads on. At most one of these is on its way.
//!
//! ## Errors
//!
//! [`Reply::Error`] carries an errno of Linux and a text that names the culprit, for people. A request that cannot be decoded is
//! answered with `EPROTO` and the connection is closed. For `Resolve` and `ResolveAddress`: `ENOENT` no such name, `ENODATA` a name
//! without such addresses, `EAGAIN` no server answered, `EINVAL` not a name, anything else a failure that will stay.
//!
//! ## Encoding
//!
//! Integers are little-endian. Each message starts with four bytes: [`VERSION`], a tag, two zero bytes. Variable parts have a length
//! before them, or are the rest of the message. Each message has exactly one encoding: unused bytes are zero, flags are 0 or 1,
//! trailing bytes are refused, so whatever decodes encodes to the same bytes again.

mod accept;
mod address;
pub mod ancillary;
pub mod board;
mod codec;
pub mod datagram;
mod name;
mod path;
pub mod program;
mod reply;
mod request;
pub mod ring;
mod settings;
#[cfg(test)]
mod tests;

pub use accept::Accepted;
pub use address::{Address, LinkAddress, NetlinkAddress};
pub use codec::{Malformed, NoRoom};
pub use name::{Family, Kind, SocketId, SocketName};
pub use path::{ControlPath, PathError};
pub use reply::{Addresses, Reply};
pub use request::{Request, What};
pub use settings::SETTINGS;

/// The first byte of each message. A node answers another version with `EPROTO`.
pub const VERSION: u8 = 1;

/// The longest message of any kind: what a client that asks for `Show` or `Trace` needs as its buffer, and a node as its own.
pub const MAX_MESSAGE: usize = 16 * 1024;

/// The longest request, and the longest reply except [`Reply::Text`]: all that the shim needs (it has its buffers on the stack).
pub const MAX_CALL: usize = 2112;

/// The longest value of a socket option or argument of an ioctl, in bytes.
pub const MAX_OPTION: usize = 2048;

/// The longest message of an error, with its header.
pub const MAX_ERROR: usize = MAX_CALL - 4;

/// The longest host name, in bytes (RFC 1035 section 2.3.4 says 255 on the wire, which is 253 in text and a final dot).
pub const MAX_NAME: usize = 255;

/// The most addresses that an answer to `Resolve` holds.
pub const MAX_ADDRESSES: usize = 32;

/// The longest reason in [`Reply::Error`], in bytes. Longer ones are cut at a character when they are encoded.
pub const MAX_REASON: usize = 512;

/// The longest text in one [`Reply::Text`], in bytes.
pub const MAX_TEXT: usize = MAX_MESSAGE - 5;

/// What a connecting stream's end is filled with, so that it does not poll writable yet.
///
/// A Unix socket polls writable while no more than a quarter of its send buffer is in use, counted with the kernel's own overhead. The
/// node writes filler into the program's end until that is no longer so, remembers how many bytes it were, and reads exactly
/// as many from its own end when the connection stands. What the bytes are does not matter, as nobody looks at them.
pub mod filler {
    /// The value of each byte.
    pub const BYTE: u8 = 0xf1;
    /// How many to write in one go. One piece is enough at the default buffer size (212,992 bytes).
    pub const CHUNK: usize = 56 * 1024;
}

/// What the accepting process writes on a listener's pair, one byte for each [`Accepted`] that it received.
pub mod credit {
    /// The connection was taken.
    pub const TAKEN: u8 = 1;
    /// The message was taken, but the descriptor was lost, as the process had no free number (`EMFILE`).
    pub const LOST: u8 = 2;
}
