//! Options of a TCP header, one by one.
//!
//! ```text
//!  kind  length
//!    0                                    end of options
//!    1                                    no operation
//!    2      4     size (2)                maximum segment size
//!    3      3     shift (1)               window scale
//!    4      2                             SACK permitted
//!    5   2 + 8n   n times left, right     SACK blocks
//!    8     10     value (4), echo (4)     timestamps
//!   19     18     digest (16)             MD5 signature
//!   28      4     unit, timeout (2)       user timeout
//!   29   4 to ..  key ids (2), MAC        authentication
//!   34   2 to 18  cookie                  fast open
//! ```
//!
//! [`OptionIter`] walks over all of them and says of each what it is or what is wrong with it; [`TcpOption::emit`]
//! writes one. What a connection needs of them all at once is [`Options`](super::Options).
//!
//! # Standards
//!
//! RFC 9293 §3.1 (format), §3.2 (kinds 0 to 2); RFC 7323 §2.2 and §3.2 (window scale, timestamps); RFC 2018 §2 and §3
//! (SACK); RFC 5482 §3 (user timeout); RFC 7413 §4.1.1 (fast open); RFC 2385 §3 (MD5); RFC 5925 §2.2 (authentication).

use core::iter::FusedIterator;

use super::{SackBlocks, SeqNumber, Timestamps};

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// Nothing; puts the next option on a boundary.
    NoOperation,
    /// The largest segment that the sender takes.
    MaxSegmentSize(u16),
    /// The shift of the sender's windows, as it was sent.
    WindowScale(u8),
    /// The sender understands SACK blocks.
    SackPermitted,
    /// What has arrived out of order.
    Sack(SackBlocks),
    /// The sender's clock and ours.
    Timestamps(Timestamps),
    /// A signature with a shared key.
    Md5(&'a [u8; 16]),
    /// How long the sender waits for acknowledgements.
    UserTimeout {
        /// In minutes instead of seconds.
        minutes: bool,
        /// How many, 15 bits.
        timeout: u16,
    },
    /// A signature with one of several keys.
    Authentication {
        /// Which key made it.
        key_id: u8,
        /// Which key the sender would rather see.
        next_key_id: u8,
        /// The code.
        mac: &'a [u8],
    },
    /// A cookie that lets data ride on a SYN (4 to 16 bytes), or the request for one (none).
    FastOpen(&'a [u8]),
    /// Anything else.
    Unknown {
        /// Its kind.
        kind: u8,
        /// What follows its length.
        data: &'a [u8],
    },
}

impl TcpOption<'_> {
    /// Bytes that [`TcpOption::emit`] writes. Not padded.
    #[allow(clippy::len_without_is_empty, reason = "no option is empty")]
    pub fn len(&self) -> usize {
        match self {
            TcpOption::NoOperation => 1,
            TcpOption::SackPermitted => 2,
            TcpOption::WindowScale(_) => 3,
            TcpOption::MaxSegmentSize(_) | TcpOption::UserTimeout { .. } => 4,
            TcpOption::Timestamps(_) => 10,
            TcpOption::Md5(_) => 18,
            TcpOption::Sack(blocks) => 2 + 8 * blocks.len(),
            TcpOption::Authentication { mac, .. } => 4 + mac.len(),
            TcpOption::FastOpen(data) | TcpOption::Unknown { data, .. } => 2 + data.len(),
        }
    }

    /// Writes the option and says how long it is. Whoever writes one by one also pads to a multiple of 4 in the end.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`TcpOption::len`], or the option longer than 255 bytes.
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let len = self.len();
        let out = &mut buffer[..len];
        if let TcpOption::NoOperation = self {
            out[0] = kind::NO_OPERATION;
            return len;
        }
        out[1] = u8::try_from(len).expect("an option that fits a header");
        match *self {
            TcpOption::NoOperation => {}
            TcpOption::MaxSegmentSize(size) => {
                out[0] = kind::MSS;
                out[2..].copy_from_slice(&size.to_be_bytes());
            }
            TcpOption::WindowScale(shift) => {
                out[0] = kind::WINDOW_SCALE;
                out[2] = shift;
            }
            TcpOption::SackPermitted => out[0] = kind::SACK_PERMITTED,
            TcpOption::Sack(ref blocks) => {
                out[0] = kind::SACK;
                for (out, (left, right)) in out[2..].chunks_exact_mut(8).zip(blocks.as_slice()) {
                    out[..4].copy_from_slice(&left.0.to_be_bytes());
                    out[4..].copy_from_slice(&right.0.to_be_bytes());
                }
            }
            TcpOption::Timestamps(Timestamps { value, echo }) => {
                out[0] = kind::TIMESTAMPS;
                out[2..6].copy_from_slice(&value.to_be_bytes());
                out[6..].copy_from_slice(&echo.to_be_bytes());
            }
            TcpOption::Md5(digest) => {
                out[0] = kind::MD5;
                out[2..].copy_from_slice(digest);
            }
            TcpOption::UserTimeout { minutes, timeout } => {
                out[0] = kind::USER_TIMEOUT;
                out[2..].copy_from_slice(&(u16::from(minutes) << 15 | timeout & 0x7fff).to_be_bytes());
            }
            TcpOption::Authentication { key_id, next_key_id, mac } => {
                out[0] = kind::AUTHENTICATION;
                out[2..4].copy_from_slice(&[key_id, next_key_id]);
                out[4..].copy_from_slice(mac);
            }
            TcpOption::FastOpen(cookie) => {
                out[0] = kind::FAST_OPEN;
                out[2..].copy_from_slice(cookie);
            }
            TcpOption::Unknown { kind, data } => {
                out[0] = kind;
                out[2..].copy_from_slice(data);
            }
        }
        len
    }
}

/// An option that is to be ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOption {
    /// Its kind.
    pub kind: u8,
    /// The length that it claims; 0 also when there is none.
    pub len: u8,
}

/// Walks over options. One whose length is not one that its kind can have is reported and passed over; one whose length
/// leads nowhere is reported and ends the walk, as does "end of options".
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    rest: &'a [u8],
}

impl<'a> OptionIter<'a> {
    /// The options in `bytes`, which come from [`Segment::options_bytes`](super::Segment::options_bytes).
    #[inline]
    pub fn new(bytes: &'a [u8]) -> OptionIter<'a> {
        OptionIter { rest: bytes }
    }
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<TcpOption<'a>, BadOption>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, rest) = self.rest.split_first()?;
        match kind {
            kind::END => {
                self.rest = &[];
                None
            }
            kind::NO_OPERATION => {
                self.rest = rest;
                Some(Ok(TcpOption::NoOperation))
            }
            _ => {
                let len = rest.first().copied().unwrap_or(0);
                let Some((option, rest)) = self.rest.split_at_checked(usize::from(len)).filter(|_| len >= 2) else {
                    self.rest = &[];
                    return Some(Err(BadOption { kind, len }));
                };
                self.rest = rest;
                Some(read(kind, &option[2..]).ok_or(BadOption { kind, len }))
            }
        }
    }
}

impl FusedIterator for OptionIter<'_> {}

/// Option kinds.
pub mod kind {
    /// End of options.
    pub const END: u8 = 0;
    /// No operation.
    pub const NO_OPERATION: u8 = 1;
    /// Maximum segment size.
    pub const MSS: u8 = 2;
    /// Window scale.
    pub const WINDOW_SCALE: u8 = 3;
    /// SACK permitted.
    pub const SACK_PERMITTED: u8 = 4;
    /// SACK blocks.
    pub const SACK: u8 = 5;
    /// Timestamps.
    pub const TIMESTAMPS: u8 = 8;
    /// MD5 signature.
    pub const MD5: u8 = 19;
    /// User timeout.
    pub const USER_TIMEOUT: u8 = 28;
    /// Authentication.
    pub const AUTHENTICATION: u8 = 29;
    /// Fast open cookie.
    pub const FAST_OPEN: u8 = 34;
}

fn read(kind: u8, data: &[u8]) -> Option<TcpOption<'_>> {
    Some(match kind {
        kind::MSS => TcpOption::MaxSegmentSize(u16::from_be_bytes(data.try_into().ok()?)),
        kind::WINDOW_SCALE => {
            let &[shift] = data else { return None };
            TcpOption::WindowScale(shift)
        }
        kind::SACK_PERMITTED if data.is_empty() => TcpOption::SackPermitted,
        kind::SACK_PERMITTED => return None,
        kind::SACK => {
            let (blocks @ [_, ..], []) = data.as_chunks::<8>() else { return None };
            if blocks.len() > SackBlocks::MAX {
                return None;
            }
            let block = |&block| {
                let (left, right) = halves(block);
                (SeqNumber(left), SeqNumber(right))
            };
            TcpOption::Sack(blocks.iter().map(block).collect())
        }
        kind::TIMESTAMPS => {
            let (value, echo) = halves(data.try_into().ok()?);
            TcpOption::Timestamps(Timestamps { value, echo })
        }
        kind::MD5 => TcpOption::Md5(data.try_into().ok()?),
        kind::USER_TIMEOUT => {
            let value = u16::from_be_bytes(data.try_into().ok()?);
            TcpOption::UserTimeout { minutes: value & 0x8000 != 0, timeout: value & 0x7fff }
        }
        kind::AUTHENTICATION => {
            let &[key_id, next_key_id, ref mac @ ..] = data else { return None };
            TcpOption::Authentication { key_id, next_key_id, mac }
        }
        kind::FAST_OPEN => match data.len() {
            0 | 4 | 6 | 8 | 10 | 12 | 14 | 16 => TcpOption::FastOpen(data),
            _ => return None,
        },
        kind => TcpOption::Unknown { kind, data },
    })
}

fn halves([a, b, c, d, e, g, h, i]: [u8; 8]) -> (u32, u32) {
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, g, h, i]))
}
