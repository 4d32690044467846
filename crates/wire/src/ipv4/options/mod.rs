//! Options of an IPv4 header: reading and checking.
//!
//! ```text
//!  +------+                         no operation, end of options
//!  | kind |
//!  +------+--------+---------+----- - -
//!  | kind | length | pointer | data           record route, source routes
//!  +------+--------+---------+------+----- - -
//!  | 68   | length | pointer |ovf|fl| data    timestamp
//!  +------+--------+---------+------+----- - -
//!  | kind | length | data                     all others
//!  +------+--------+------ - -
//! ```
//!
//! A pointer counts from 1 at the kind, and names the first byte of the next free (or next unused) entry; beyond the
//! length it says that the data is full (or the route is at its end). [`Options`] walks over the bytes and refuses, with
//! the place for a parameter problem's pointer, a length or a pointer that lies; after an error in a length it ends, as
//! nothing says where the next option begins.
//!
//! Routers and hosts on the way write into options that exist, never beyond their length: [`record`] fills in a route
//! or a timestamp, [`follow_source_route`] takes the next step of one. [`OptionBuffer`] builds options to send.
//!
//! # Standards
//!
//! RFC 791 §3.1 ("Options", "Specific Option Definitions"); RFC 1122 §3.2.1.8 (what hosts do with them, one source
//! route at most) and §3.2.2.5 (where a parameter problem points); RFC 2113 §2.1 (router alert); RFC 6814 §3 (options
//! that are history: passed over); RFC 7126 §4 (which to drop).

mod write;

use core::iter::FusedIterator;
use core::net::Ipv4Addr;

pub use write::{NoRoom, OptionBuffer, follow_source_route, record, record_route};

use super::HEADER_LEN;
use crate::Malformed;

/// Kind of the byte that ends the options, and pads them.
pub const END: u8 = 0;
/// Kind of the byte between options.
pub const NO_OPERATION: u8 = 1;
/// Kind of a record of the way.
pub const RECORD_ROUTE: u8 = 7;
/// Kind of a record of times.
pub const TIMESTAMP: u8 = 68;
/// Kind of a route by these addresses and others.
pub const LOOSE_SOURCE_ROUTE: u8 = 131;
/// Kind of a route by these addresses only.
pub const STRICT_SOURCE_ROUTE: u8 = 137;
/// Kind of the request that every router look inside.
pub const ROUTER_ALERT: u8 = 148;
/// The most bytes that a header has for options.
pub const MAX_LEN: usize = 40;

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpOption<'a> {
    /// Nothing; puts the next option on a boundary.
    NoOperation,
    /// Every router writes its address.
    RecordRoute(Route<'a>),
    /// The way to go, with detours.
    LooseSourceRoute(Route<'a>),
    /// The way to go, without.
    StrictSourceRoute(Route<'a>),
    /// Every router writes the time.
    Timestamp(Timestamps<'a>),
    /// Every router looks inside; 0 is the only value in use.
    RouterAlert(u16),
    /// Anything else.
    Unknown {
        /// Its kind.
        kind: u8,
        /// What follows its length.
        data: &'a [u8],
    },
}

impl IpOption<'_> {
    /// The byte that the option begins with.
    pub fn kind(&self) -> u8 {
        match *self {
            IpOption::NoOperation => NO_OPERATION,
            IpOption::RecordRoute(_) => RECORD_ROUTE,
            IpOption::LooseSourceRoute(_) => LOOSE_SOURCE_ROUTE,
            IpOption::StrictSourceRoute(_) => STRICT_SOURCE_ROUTE,
            IpOption::Timestamp(_) => TIMESTAMP,
            IpOption::RouterAlert(_) => ROUTER_ALERT,
            IpOption::Unknown { kind, data: _ } => kind,
        }
    }

    /// True when the option goes into every fragment, not only the first.
    pub fn is_copied(&self) -> bool {
        self.kind() & 0x80 != 0
    }

    /// True for both kinds of source route.
    pub fn is_source_route(&self) -> bool {
        matches!(self, IpOption::LooseSourceRoute(_) | IpOption::StrictSourceRoute(_))
    }
}

/// The addresses of a recorded route or of a source route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    data: &'a [u8],
    used: usize,
}

impl<'a> Route<'a> {
    /// The addresses written so far: the way that the packet has come.
    pub fn passed(&self) -> impl DoubleEndedIterator<Item = Ipv4Addr> + ExactSizeIterator + use<'a> {
        addresses(&self.data[..self.used])
    }

    /// The addresses not yet reached: the rest of a source route. Of a recorded route, free entries.
    pub fn remaining(&self) -> impl DoubleEndedIterator<Item = Ipv4Addr> + ExactSizeIterator + use<'a> {
        addresses(&self.data[self.used..])
    }

    /// True when a recorded route has no free entry, and when a source route is at its end.
    pub fn is_complete(&self) -> bool {
        self.used == self.data.len()
    }
}

/// A record of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps<'a> {
    data: &'a [u8],
    used: usize,
    overflow: u8,
    kind: TimestampKind,
}

impl<'a> Timestamps<'a> {
    /// What an entry is.
    pub fn kind(&self) -> TimestampKind {
        self.kind
    }

    /// How many hosts found no room.
    pub fn overflow(&self) -> u8 {
        self.overflow
    }

    /// The entries written so far: who (where that is recorded) and when, in milliseconds since midnight UT; with the
    /// highest bit set, in a unit of the writer's.
    pub fn entries(&self) -> impl Iterator<Item = (Option<Ipv4Addr>, u32)> + use<'a> {
        let with_address = self.kind != TimestampKind::TimeOnly;
        self.data[..self.used].chunks_exact(self.kind.entry_len()).map(move |entry| {
            let (address, time) = entry.split_at(entry.len() - 4);
            (with_address.then(|| Ipv4Addr::from_bits(word(address))), word(time))
        })
    }

    /// True when there is no free entry.
    pub fn is_full(&self) -> bool {
        self.used == self.data.len()
    }
}

/// What an entry of a timestamp option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampKind {
    /// A time.
    TimeOnly,
    /// An address and a time, written together.
    WithAddress,
    /// An address that the sender wrote, for which a time is to be filled in.
    Prespecified,
}

impl TimestampKind {
    fn entry_len(self) -> usize {
        match self {
            TimestampKind::TimeOnly => 4,
            TimestampKind::WithAddress | TimestampKind::Prespecified => 8,
        }
    }

    fn flag(self) -> u8 {
        match self {
            TimestampKind::TimeOnly => 0,
            TimestampKind::WithAddress => 1,
            TimestampKind::Prespecified => 3,
        }
    }
}

/// An option that a packet must be refused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOption {
    /// The offending byte, counted from the beginning of the IP header: what a parameter problem's pointer says.
    pub pointer: u8,
    /// What is wrong with it.
    pub reason: Malformed,
}

/// Walks over options. Ends at the end of the bytes, at an "end of options", or at a length that lies.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Options<'a> {
    /// The options in `bytes`, which come from [`Packet::options`](super::Packet::options). Beyond 40 bytes nothing is
    /// looked at.
    pub fn new(bytes: &'a [u8]) -> Options<'a> {
        Options { bytes: bytes.get(..MAX_LEN).unwrap_or(bytes), at: 0 }
    }

    /// Checks all: every option well-formed, none of those that a host acts upon there twice, one source route at most.
    pub fn validate(self) -> Result<(), BadOption> {
        let mut seen = [false; 3];
        let mut options = self;
        loop {
            let at = options.at;
            let Some(option) = options.next() else { return Ok(()) };
            let seen = match option? {
                IpOption::RecordRoute(_) => &mut seen[0],
                IpOption::Timestamp(_) => &mut seen[1],
                IpOption::LooseSourceRoute(_) | IpOption::StrictSourceRoute(_) => &mut seen[2],
                IpOption::NoOperation | IpOption::RouterAlert(_) | IpOption::Unknown { .. } => continue,
            };
            if *seen {
                return Err(bad(options.skip_no_operations(at), Malformed::OptionRepeated));
            }
            *seen = true;
        }
    }

    fn skip_no_operations(&self, from: usize) -> usize {
        from + self.bytes[from..].iter().take_while(|&&kind| kind == NO_OPERATION).count()
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<IpOption<'a>, BadOption>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let kind = *self.bytes.get(at).filter(|&&kind| kind != END)?;
        if kind == NO_OPERATION {
            self.at += 1;
            return Some(Ok(IpOption::NoOperation));
        }
        let len = self.bytes.get(at + 1).map_or(0, |&len| usize::from(len));
        let Some(option) = self.bytes.get(at..at + len).filter(|option| option.len() >= 2) else {
            self.at = self.bytes.len();
            return Some(Err(bad(at + 1, Malformed::OptionLength)));
        };
        self.at += len;
        Some(read(option).map_err(|(offset, reason)| bad(at + offset, reason)))
    }
}

impl FusedIterator for Options<'_> {}

/// What is wrong, and at which byte of the option.
type Fault = (usize, Malformed);

const POINTER: usize = 2;
const FLAGS: usize = 3;

fn read(option: &[u8]) -> Result<IpOption<'_>, Fault> {
    Ok(match *option {
        [RECORD_ROUTE, ..] => IpOption::RecordRoute(read_route(option)?),
        [LOOSE_SOURCE_ROUTE, ..] => IpOption::LooseSourceRoute(read_route(option)?),
        [STRICT_SOURCE_ROUTE, ..] => IpOption::StrictSourceRoute(read_route(option)?),
        [TIMESTAMP, ..] => IpOption::Timestamp(read_timestamps(option)?),
        [ROUTER_ALERT, _, high, low] => IpOption::RouterAlert(u16::from_be_bytes([high, low])),
        [kind, _, ref data @ ..] if kind != ROUTER_ALERT => IpOption::Unknown { kind, data },
        _ => return Err((1, Malformed::OptionLength)),
    })
}

fn read_route(option: &[u8]) -> Result<Route<'_>, Fault> {
    let &[_, _, pointer, ref data @ ..] = option else { return Err((1, Malformed::OptionLength)) };
    let used = read_pointer(pointer, 4, data, 4)?;
    Ok(Route { data, used })
}

fn read_timestamps(option: &[u8]) -> Result<Timestamps<'_>, Fault> {
    let &[_, _, pointer, flags, ref data @ ..] = option else { return Err((1, Malformed::OptionLength)) };
    let kind = match flags & 0x0f {
        0 => TimestampKind::TimeOnly,
        1 => TimestampKind::WithAddress,
        3 => TimestampKind::Prespecified,
        _ => return Err((FLAGS, Malformed::OptionValue)),
    };
    let used = read_pointer(pointer, 5, data, kind.entry_len())?;
    Ok(Timestamps { data, used, overflow: flags >> 4, kind })
}

/// How many bytes of `data` are used. A pointer stands at the beginning of an entry for which there is room, or beyond
/// the data; so `used` is a number of whole entries, or all.
fn read_pointer(pointer: u8, first: usize, data: &[u8], entry_len: usize) -> Result<usize, Fault> {
    let used = usize::from(pointer).checked_sub(first).ok_or((POINTER, Malformed::OptionPointer))?;
    if used >= data.len() {
        return Ok(data.len());
    }
    if used % entry_len != 0 || data.len() - used < entry_len {
        return Err((POINTER, Malformed::OptionPointer));
    }
    Ok(used)
}

fn addresses(bytes: &[u8]) -> impl DoubleEndedIterator<Item = Ipv4Addr> + ExactSizeIterator {
    bytes.as_chunks::<4>().0.iter().copied().map(Ipv4Addr::from)
}

fn bad(at: usize, reason: Malformed) -> BadOption {
    BadOption { pointer: (HEADER_LEN + at) as u8, reason }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests;
