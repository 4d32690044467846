//! The page behind the rings of a packet socket: how a program's `poll` stays true.
//!
//! The frames in a ring are read without a system call, so the node does not learn that a program has read them, and the descriptor cannot
//! poll readable exactly while there are some by the node's doing alone. So it is done by two:
//!
//! - The node makes a slot or block the program's, writes into [`LAST`] where the word stands that says so, and if [`ARMED`] is 1 clears it
//!   and sends one [`Ready`](crate::datagram::Kind::Ready) message: the descriptor polls readable.
//! - The shim looks before the program waits (`poll`, `select`, `epoll_wait`). While the word at [`LAST`] is not 0 there is something to read, and the
//!   message stays. Else it sets [`ARMED`], looks once more, and, if that was 0, takes one message away, the one that cleared it: what comes from now
//!   on is signalled anew.
//!
//! A message too many is a wake-up for nothing; one too few there cannot be, as each side writes before it looks.
//!
//! A ring of frames to send needs no page. `send` asks the node ([`Request::Transmit`](crate::Request::Transmit)), which takes a bounded number of frames and says how
//! far it came. If it has no room for more it fills the pair, so that the descriptor does not poll writable until it has: a call that waits,
//! waits there, and asks again.

/// What [`Request::Transmit`](crate::Request::Transmit) may answer: the next slot asks for nothing.
pub const DONE: u8 = 0;
/// That was enough for one turn.
pub const MORE: u8 = 1;
/// There is no room; the descriptor polls writable when there is.
pub const FULL: u8 = 2;

/// Bytes of the page.
pub const LEN: usize = 4_096;
/// In the page: where the word of the slot or block stands that was last made the program's.
pub const LAST: usize = 0;
/// In the page: 1 when a message is wanted.
pub const ARMED: usize = 4;
