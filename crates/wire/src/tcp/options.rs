//! The options that a connection lives by, as one value.
//!
//! [`Options::parse`] never fails: an option of a wrong length is ignored, and a length that leads nowhere ends the
//! parse, since a segment that would otherwise be good must not be lost to its decoration, and a connection even less.
//! Nearly every segment of a connection carries just the timestamps in one customary form of 12 bytes; that one is
//! recognised by a single comparison.
//!
//! On the way out, options are words of four bytes, each option with the "no operations" that align it. Their order is
//! that of Linux, which middleboxes have seen most.
//!
//! # Standards
//!
//! RFC 9293 §3.1 and §3.2 (MUST-4 to MUST-7, MUST-64, MUST-68), §3.7.1 (maximum segment size); RFC 7323 §2.3 (a shift
//! above 14 is taken as 14), §3.2 and appendix A (timestamps and their layout); RFC 2018 §2 and §3 (SACK).
//!
//! Deviation: RFC 9293 suggests under MUST-7 to reset a connection on an illegal length. That would let anybody's one
//! forged segment end it; the option is ignored instead.

use super::option::{OptionIter, TcpOption, kind};
use super::sack::{SackBlock, SackBlocks};

/// The most bytes that a header has for options.
pub const MAX_OPTIONS_LEN: usize = 40;

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
        let Options { mss, window_scale, sack_permitted, timestamps, ref sack } = *self;
        if let (Some(Timestamps { value, echo }), None, None, false, []) =
            (timestamps, mss, window_scale, sack_permitted, sack.as_slice())
        {
            // Nearly every segment of a connection.
            let words = [TIMESTAMPS_WORD, value.to_be_bytes(), echo.to_be_bytes()];
            buffer[..12].copy_from_slice(words.as_flattened());
            return 12;
        }
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

/// No operation twice, then the head of the timestamps: what a segment of an established connection begins with.
const TIMESTAMPS_WORD: [u8; 4] = [kind::NO_OPERATION, kind::NO_OPERATION, kind::TIMESTAMPS, 10];

/// The largest shift of a window.
const MAX_SHIFT: u8 = 14;

#[cfg(test)]
mod tests;
