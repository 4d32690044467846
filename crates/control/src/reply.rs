//! What a node answers.

use crate::codec::{ADDRESS_LEN, Malformed, NoRoom, Reader, Writer};
use crate::{Address, MAX_ADDRESSES, MAX_ERROR, MAX_NAME, MAX_OPTION, MAX_REASON, MAX_TEXT};
use std::fmt;
use std::net::IpAddr;

/// A reply; each is one message. Whatever borrows does so from the message's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// It is done; nothing to tell. To `Socket`, the descriptor comes along.
    Done,
    /// A stream connects; the descriptor will tell when.
    InProgress,
    /// A socket's or a peer's address.
    Address(Address),
    /// An option's value or an ioctl's result, at most [`MAX_OPTION`] bytes.
    Value(&'a [u8]),
    /// An error of the queue, as a datagram's message: [`crate::datagram::Header`], control messages, payload; at most [`MAX_ERROR`] bytes.
    Message(&'a [u8]),
    /// A name's addresses in the order of preference, at most [`MAX_ADDRESSES`].
    Addresses {
        /// The name's canonical name; empty when it is the name itself.
        canonical: &'a str,
        /// The addresses; at least one (else it is an error).
        addresses: Addresses<'a>,
    },
    /// An address's name.
    Name(&'a str),
    /// A piece of an answer in text, at most [`MAX_TEXT`] bytes. Pieces are to be joined without anything between.
    Text {
        /// No piece follows.
        last: bool,
        /// The piece, whole lines or not.
        text: &'a str,
    },
    /// Refused.
    Error {
        /// Linux's number for it; positive.
        errno: i32,
        /// For people: what the culprit is, and what would mend it. Cut to [`MAX_REASON`] bytes.
        reason: &'a str,
    },
}

/// A list of addresses: borrowed from a slice to encode it, from a message's bytes after decoding.
#[derive(Clone, Copy)]
pub struct Addresses<'a>(List<'a>);

#[derive(Clone, Copy)]
enum List<'a> {
    Slice(&'a [IpAddr]),
    /// Checked when it was decoded.
    Encoded(&'a [u8]),
}

const DONE: u8 = 128;
const IN_PROGRESS: u8 = 129;
const ADDRESS: u8 = 130;
const VALUE: u8 = 131;
const ADDRESSES: u8 = 132;
const NAME: u8 = 133;
const TEXT: u8 = 134;
const ERROR: u8 = 135;
const MESSAGE: u8 = 140;

impl<'a> Reply<'a> {
    /// Writes the reply into `buffer` and returns its length; [`crate::MAX_CALL`] bytes are always enough except for
    /// `Text`, which takes at most [`crate::MAX_MESSAGE`].
    ///
    /// [`NoRoom`] if the buffer is too small or a part is longer than its limit (a reason is cut instead).
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(buffer);
        match *self {
            Reply::Done => writer.head(DONE)?,
            Reply::InProgress => writer.head(IN_PROGRESS)?,
            Reply::Address(address) => {
                writer.head(ADDRESS)?;
                writer.any_address(Some(address))?;
            }
            Reply::Value(value) => {
                writer.head(VALUE)?;
                within(value.len(), MAX_OPTION)?;
                writer.bytes(value)?;
            }
            Reply::Message(message) => {
                writer.head(MESSAGE)?;
                within(message.len(), MAX_ERROR)?;
                writer.bytes(message)?;
            }
            Reply::Addresses { canonical, addresses } => {
                within(canonical.len(), MAX_NAME)?;
                within(addresses.len(), MAX_ADDRESSES)?;
                writer.head(ADDRESSES)?;
                // Both are below 256, as just checked.
                writer.u8(u8::try_from(canonical.len()).map_err(|_| NoRoom)?)?;
                writer.u8(u8::try_from(addresses.len()).map_err(|_| NoRoom)?)?;
                writer.bytes(canonical.as_bytes())?;
                addresses.iter().try_for_each(|address| writer.address(address))?;
            }
            Reply::Name(name) => {
                writer.head(NAME)?;
                within(name.len(), MAX_NAME)?;
                writer.bytes(name.as_bytes())?;
            }
            Reply::Text { last, text } => {
                writer.head(TEXT)?;
                writer.bool(last)?;
                within(text.len(), MAX_TEXT)?;
                writer.bytes(text.as_bytes())?;
            }
            Reply::Error { errno, reason } => {
                writer.head(ERROR)?;
                writer.i32(errno)?;
                writer.bytes(&reason.as_bytes()[..reason.floor_char_boundary(MAX_REASON)])?;
            }
        }
        Ok(writer.len())
    }

    /// Reads a reply from one message's bytes.
    pub fn decode(message: &'a [u8]) -> Result<Reply<'a>, Malformed> {
        let mut reader = Reader::new(message);
        let reply = match reader.head()? {
            DONE => Reply::Done,
            IN_PROGRESS => Reply::InProgress,
            ADDRESS => Reply::Address(reader.any_address()?),
            MESSAGE => return Ok(Reply::Message(reader.remaining(MAX_ERROR, "message")?)),
            VALUE => return Ok(Reply::Value(reader.remaining(MAX_OPTION, "value")?)),
            ADDRESSES => {
                let canonical = usize::from(reader.u8()?);
                let count = usize::from(reader.u8()?);
                if count > MAX_ADDRESSES {
                    return Err(Malformed::TooLong("list of addresses"));
                }
                let canonical =
                    std::str::from_utf8(reader.take(canonical)?).map_err(|_| Malformed::Field("canonical name"))?;
                let encoded = reader.take(count * ADDRESS_LEN)?;
                for address in encoded.chunks_exact(ADDRESS_LEN) {
                    Reader::new(address).address()?;
                }
                Reply::Addresses { canonical, addresses: Addresses(List::Encoded(encoded)) }
            }
            NAME => return Ok(Reply::Name(reader.remaining_text(MAX_NAME, "name")?)),
            TEXT => {
                let last = reader.bool()?;
                return Ok(Reply::Text { last, text: reader.remaining_text(MAX_TEXT, "text")? });
            }
            ERROR => {
                let errno = reader.i32()?;
                // A caller puts this into errno and returns -1: zero or a negative number would make that a lie.
                if !(1..4096).contains(&errno) {
                    return Err(Malformed::Field("error number"));
                }
                return Ok(Reply::Error { errno, reason: reader.remaining_text(MAX_REASON, "reason")? });
            }
            tag => return Err(Malformed::Tag(tag)),
        };
        reader.end()?;
        Ok(reply)
    }
}

fn within(len: usize, limit: usize) -> Result<(), NoRoom> {
    if len <= limit { Ok(()) } else { Err(NoRoom) }
}

impl<'a> Addresses<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self.0 {
            List::Slice(slice) => slice.len(),
            List::Encoded(bytes) => bytes.len() / ADDRESS_LEN,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each address, in order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + Clone + use<'a> {
        let (slice, encoded): (&'a [IpAddr], &'a [u8]) = match self.0 {
            List::Slice(slice) => (slice, &[]),
            List::Encoded(bytes) => (&[], bytes),
        };
        let decoded = encoded.chunks_exact(ADDRESS_LEN).filter_map(|bytes| Reader::new(bytes).address().ok());
        slice.iter().copied().chain(decoded)
    }
}

impl<'a> From<&'a [IpAddr]> for Addresses<'a> {
    fn from(slice: &'a [IpAddr]) -> Self {
        Addresses(List::Slice(slice))
    }
}

impl PartialEq for Addresses<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Addresses<'_> {}

impl fmt::Debug for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
