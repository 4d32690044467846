//! Selective acknowledgements: what has arrived beyond a gap.
//!
//! # Standards
//!
//! RFC 2018 §3 (format, at most four), RFC 2883 §4 (the first block may report a duplicate).

use core::fmt;

use super::SeqNumber;

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

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}
