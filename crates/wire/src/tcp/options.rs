//! Options of a TCP header.
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
//! There are two ways in. [`OptionIter`] walks over all options and says of each what it is or what is wrong with it.
//! [`Options::parse`] keeps those that a connection lives by, and never fails: an option of a wrong length is ignored,
//! and a length that leads nowhere ends the parse, since a segment that would otherwise be good must not be lost to its
//! decoration, and a connection even less. Nearly every segment of a connection carries just the timestamps in one
//! customary form of 12 bytes; that one is recognised by a single comparison.
//!
//! On the way out, options are words of four bytes, each option with the "no operations" that align it.
//!
//! # Standards
//!
//! RFC 9293 §3.1 and §3.2 (format, MUST-4 to MUST-7, MUST-64, MUST-68), §3.7.1 (maximum segment size); RFC 7323 §2.2,
//! §2.3 (a shift above 14 is taken as 14) and §3.2 (timestamps, appendix A for the layout); RFC 2018 §2 and §3 (SACK);
//! RFC 5482 §3 (user timeout); RFC 7413 §4.1.1 (fast open); RFC 2385 §3 (MD5); RFC 5925 §2.2 (authentication).
//!
//! Deviation: RFC 9293 suggests under MUST-7 to reset a connection on an illegal length. That would let anybody's one
//! forged segment end it; the option is ignored instead.

use core::iter::FusedIterator;

use super::SeqNumber;

/// The most bytes that a header has for options.
pub const MAX_OPTIONS_LEN: usize = 40;

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

/// The options that a connection lives by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// The largest segment that the sender takes; on a SYN.
    pub mss: Option<u16>,
    /// The shift of the sender's windows, at most 14; on a SYN.
    pub window_scale: Option<u8>,
    /// The sender understands SACK blocks; on a SYN.
    pub sack_permitted: bool,
    /// The sender's clock, and ours as it has seen it.
    pub timestamps: Option<Timestamps>,
    /// What has arrived out of order.
    pub sack: SackBlocks,
}

impl Options {
    /// Reads the options of a header. Unknown and malformed ones are passed over; of a repeated one the last counts.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Options {
        let mut options = Options::default();
        let rest = match bytes.split_first_chunk::<12>() {
            Some((&[a, b, c, d, value @ .., e, g, h, i], rest)) if [a, b, c, d] == TIMESTAMPS_WORD => {
                let echo = u32::from_be_bytes([e, g, h, i]);
                options.timestamps = Some(Timestamps { value: u32::from_be_bytes(value), echo });
                rest
            }
            _ => bytes,
        };
        if rest.is_empty() { options } else { options.and(rest) }
    }

    /// Bytes that [`Options::emit`] writes: a multiple of 4, at most 40.
    #[inline]
    pub fn len(&self) -> usize {
        let blocks = self.sack_blocks().len();
        self.len_without_sack() + if blocks == 0 { 0 } else { 4 + 8 * blocks }
    }

    /// True when there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the options and says how long they are. Of the SACK blocks the first go along, as many as there is room
    /// for: four, or three beside timestamps.
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`Options::len`].
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let Options { mss, window_scale, sack_permitted, timestamps, sack: _ } = *self;
        let len = self.len();
        let mut words = buffer[..len].as_chunks_mut::<4>().0.iter_mut();
        let mut put = |word: [u8; 4]| {
            if let Some(slot) = words.next() {
                *slot = word;
            }
        };
        if let Some(mss) = mss {
            let [high, low] = mss.to_be_bytes();
            put([kind::MSS, 4, high, low]);
        }
        if let Some(Timestamps { value, echo }) = timestamps {
            // On a SYN "SACK permitted" takes the place of the two "no operations".
            put(if sack_permitted { [kind::SACK_PERMITTED, 2, kind::TIMESTAMPS, 10] } else { TIMESTAMPS_WORD });
            put(value.to_be_bytes());
            put(echo.to_be_bytes());
        } else if sack_permitted {
            put([kind::NO_OPERATION, kind::NO_OPERATION, kind::SACK_PERMITTED, 2]);
        }
        if let Some(shift) = window_scale {
            put([kind::NO_OPERATION, kind::WINDOW_SCALE, 3, shift]);
        }
        let blocks = self.sack_blocks();
        if !blocks.is_empty() {
            put([kind::NO_OPERATION, kind::NO_OPERATION, kind::SACK, (2 + 8 * blocks.len()) as u8]);
            for (left, right) in blocks {
                put(left.0.to_be_bytes());
                put(right.0.to_be_bytes());
            }
        }
        len
    }

    /// By value, so that the quick way needs no memory.
    #[inline(never)]
    fn and(mut self, bytes: &[u8]) -> Options {
        for option in OptionIter::new(bytes) {
            match option {
                Ok(TcpOption::MaxSegmentSize(size)) => self.mss = Some(size),
                Ok(TcpOption::WindowScale(shift)) => self.window_scale = Some(shift.min(MAX_SHIFT)),
                Ok(TcpOption::SackPermitted) => self.sack_permitted = true,
                Ok(TcpOption::Sack(blocks)) => self.sack = blocks,
                Ok(TcpOption::Timestamps(timestamps)) => self.timestamps = Some(timestamps),
                Ok(
                    TcpOption::NoOperation
                    | TcpOption::Md5(_)
                    | TcpOption::UserTimeout { .. }
                    | TcpOption::Authentication { .. }
                    | TcpOption::FastOpen(_)
                    | TcpOption::Unknown { .. },
                )
                | Err(_) => {}
            }
        }
        self
    }

    #[inline(always)]
    fn len_without_sack(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let window_scale = if self.window_scale.is_some() { 4 } else { 0 };
        let timestamps = match (self.timestamps.is_some(), self.sack_permitted) {
            (true, _) => 12,
            (false, true) => 4,
            (false, false) => 0,
        };
        mss + window_scale + timestamps
    }

    /// As many blocks as there is room for.
    #[inline(always)]
    fn sack_blocks(&self) -> &[SackBlock] {
        let blocks = self.sack.as_slice();
        if blocks.is_empty() {
            return blocks;
        }
        let room = (MAX_OPTIONS_LEN - 4 - self.len_without_sack()) / 8;
        &blocks[..blocks.len().min(room)]
    }
}

/// The sender's clock, and ours as it has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Timestamps {
    /// The sender's clock.
    pub value: u32,
    /// Our clock, from the segment that this one answers. Counts only with ACK.
    pub echo: u32,
}

/// What has arrived out of order: from the first number to before the second.
pub type SackBlock = (SeqNumber, SeqNumber);

/// Up to four [`SackBlock`]s.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SackBlocks {
    // Blocks beyond `len` are zero, so that derived equality holds.
    blocks: [SackBlock; SackBlocks::MAX],
    len: u8,
}

impl SackBlocks {
    /// The most blocks that a header has room for.
    pub const MAX: usize = 4;

    /// The blocks, first the one that the segment answers.
    #[inline]
    pub fn as_slice(&self) -> &[SackBlock] {
        &self.blocks[..usize::from(self.len).min(SackBlocks::MAX)]
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// True when there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a block; false when there is no room.
    #[inline]
    pub fn push(&mut self, block: SackBlock) -> bool {
        let Some(slot) = self.blocks.get_mut(usize::from(self.len)) else { return false };
        *slot = block;
        self.len += 1;
        true
    }
}

impl FromIterator<SackBlock> for SackBlocks {
    /// The first four.
    fn from_iter<I: IntoIterator<Item = SackBlock>>(blocks: I) -> SackBlocks {
        let mut sack = SackBlocks::default();
        for block in blocks.into_iter().take(SackBlocks::MAX) {
            sack.push(block);
        }
        sack
    }
}

impl core::fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

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

/// No operation twice, then the head of the timestamps: what a segment of an established connection begins with.
const TIMESTAMPS_WORD: [u8; 4] = [kind::NO_OPERATION, kind::NO_OPERATION, kind::TIMESTAMPS, 10];

/// The largest shift of a window.
const MAX_SHIFT: u8 = 14;

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

#[cfg(test)]
mod tests;
