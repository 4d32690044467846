//! Segments that arrived ahead of a gap.
//!
//! Pieces stand in an ordered tree by stream offset and never overlap: what was there first stays, new bytes fill gaps
//! only. So a flood of tiny or overlapping segments costs a tree operation each (CVE-2018-5390 was a list), and its
//! memory is counted in what it truly holds, not in payload bytes, against the receive buffer's limit.

use crate::buffer::{ByteQueue, Pool, SMALL};
use std::collections::BTreeMap;
use std::ops::Range;

struct Piece {
    bytes: Vec<u8>,
    range: Range<usize>,
}

/// Out-of-order data by stream offset.
#[derive(Default)]
pub(crate) struct Reassembly {
    pieces: BTreeMap<u64, Piece>,
    capacity: usize,
    /// Where the piece that came last begins: the first SACK block names it (RFC 2018, 4).
    latest: u64,
}

impl Reassembly {
    /// True when nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Memory held, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Payload bytes held.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.pieces.values().map(|piece| piece.range.len()).sum()
    }

    /// Keeps a copy of those of `bytes`, which begin at stream offset `at`, that are not held yet.
    /// Returns false when `room` bytes of memory do not suffice for all.
    pub(crate) fn insert(&mut self, pool: &mut Pool, mut at: u64, mut bytes: &[u8], room: usize) -> bool {
        let limit = self.capacity + room;
        self.latest = at;
        if let Some((&start, piece)) = self.pieces.range_mut(..=at).next_back() {
            let end = start + piece.range.len() as u64;
            if end >= at {
                let known = ((end - at) as usize).min(bytes.len());
                bytes = &bytes[known..];
                at += known as u64;
                self.latest = start;
            }
        }
        while !bytes.is_empty() {
            let next = self.pieces.range(at..).next().map(|(&start, piece)| (start, piece.range.len() as u64));
            let gap = next.map_or(u64::MAX, |(start, _)| start - at);
            let count = gap.min(bytes.len() as u64) as usize;
            if count > 0 && !self.place(pool, at, &bytes[..count], limit) {
                return false;
            }
            let skipped = match next {
                Some((_, held)) if bytes.len() > count => (held as usize).min(bytes.len() - count),
                _ => 0,
            };
            bytes = &bytes[count + skipped..];
            at += (count + skipped) as u64;
        }
        true
    }

    /// Lets go of the piece that is furthest ahead; false when there is none.
    pub(crate) fn drop_last(&mut self, pool: &mut Pool) -> bool {
        let Some((_, piece)) = self.pieces.pop_last() else { return false };
        self.capacity -= piece.bytes.len();
        pool.give(piece.bytes);
        true
    }

    /// Moves what now follows `queue`'s end into it.
    pub(crate) fn drain_into(&mut self, pool: &mut Pool, queue: &mut ByteQueue) {
        while let Some(entry) = self.pieces.first_entry() {
            let start = *entry.key();
            if start > queue.end() {
                break;
            }
            let piece = entry.remove();
            self.capacity -= piece.bytes.len();
            let known = ((queue.end() - start) as usize).min(piece.range.len());
            let range = piece.range.start + known..piece.range.end;
            if range.len() * 4 >= piece.bytes.len() {
                queue.push_owned(piece.bytes, range);
            } else {
                queue.push(pool, &piece.bytes[range]);
                pool.give(piece.bytes);
            }
        }
    }

    /// Contiguous stretches, the one that changed last first, then upwards: the blocks to report.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u64, u64)> {
        let latest = self.stretch_with(self.latest);
        let others = self.stretches().filter(move |stretch| Some(*stretch) != latest);
        latest.into_iter().chain(others)
    }

    /// Lets go of everything.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        for piece in std::mem::take(&mut self.pieces).into_values() {
            pool.give(piece.bytes);
        }
        self.capacity = 0;
    }

    /// Puts `bytes`, which overlap nothing, behind their predecessor if that has room, else into a piece of their own.
    fn place(&mut self, pool: &mut Pool, at: u64, bytes: &[u8], limit: usize) -> bool {
        if let Some((&start, piece)) = self.pieces.range_mut(..at).next_back() {
            let room = piece.bytes.len() - piece.range.end;
            if start + piece.range.len() as u64 == at && room >= bytes.len() {
                piece.bytes[piece.range.end..piece.range.end + bytes.len()].copy_from_slice(bytes);
                piece.range.end += bytes.len();
                return true;
            }
        }
        let size = if bytes.len() <= SMALL { SMALL } else { crate::buffer::LARGE };
        if self.capacity + size > limit || bytes.len() > size {
            return false;
        }
        let mut chunk = if size == SMALL { pool.small() } else { pool.large() };
        chunk[..bytes.len()].copy_from_slice(bytes);
        self.capacity += chunk.len();
        self.pieces.insert(at, Piece { bytes: chunk, range: 0..bytes.len() });
        true
    }

    fn stretches(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut pieces = self.pieces.iter().map(|(&start, piece)| (start, start + piece.range.len() as u64)).peekable();
        std::iter::from_fn(move || {
            let (start, mut end) = pieces.next()?;
            while let Some((_, next_end)) = pieces.next_if(|next| next.0 == end) {
                end = next_end;
            }
            Some((start, end))
        })
    }

    fn stretch_with(&self, offset: u64) -> Option<(u64, u64)> {
        let (&first, piece) = self.pieces.range(..=offset).next_back()?;
        let (mut start, mut end) = (first, first + piece.range.len() as u64);
        if offset >= end {
            return None;
        }
        for (&before, piece) in self.pieces.range(..start).rev() {
            if before + piece.range.len() as u64 != start {
                break;
            }
            start = before;
        }
        for (&after, piece) in self.pieces.range(end..) {
            if after != end {
                break;
            }
            end += piece.range.len() as u64;
        }
        Some((start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: usize = 1 << 30;

    #[test]
    fn blocks_name_the_latest_stretch_first() {
        let (mut reassembly, mut pool) = (Reassembly::default(), Pool::default());
        reassembly.insert(&mut pool, 10, &[0; 10], ROOM);
        reassembly.insert(&mut pool, 40, &[0; 10], ROOM);
        reassembly.insert(&mut pool, 20, &[0; 5], ROOM);
        assert_eq!(reassembly.blocks().collect::<Vec<_>>(), [(10, 25), (40, 50)]);
        reassembly.insert(&mut pool, 45, &[0; 10], ROOM);
        assert_eq!(reassembly.blocks().collect::<Vec<_>>(), [(40, 55), (10, 25)]);
    }

    #[test]
    fn memory_is_bounded_by_what_is_held_not_by_payload() {
        let (mut reassembly, mut pool) = (Reassembly::default(), Pool::default());
        let limit = 256 * 1024;
        let kept = (0..100_000u64)
            .rev()
            .filter(|at| {
                let room = limit - reassembly.capacity();
                reassembly.insert(&mut pool, at * 2, b"x", room)
            })
            .count();
        assert_eq!(kept, limit / SMALL);
        assert!(reassembly.capacity() <= limit);
    }

    proptest! {
        /// Any order, any overlap: the stream that comes out is the one that went in.
        #[test]
        fn any_order_and_overlap_gives_the_stream(pieces in prop::collection::vec((0usize..20_000, 1usize..3_000), 1..80)) {
            let stream: Vec<u8> = (0..30_000u32).map(|i| (i * 7 % 251) as u8).collect();
            let (mut reassembly, mut pool, mut queue) = (Reassembly::default(), Pool::default(), ByteQueue::default());
            let mut known = vec![false; stream.len()];
            for (at, len) in pieces {
                let from = at.max(queue.len());
                if from >= at + len { continue; }
                prop_assert!(reassembly.insert(&mut pool, from as u64, &stream[from..at + len], ROOM));
                known[at..at + len].fill(true);
                reassembly.drain_into(&mut pool, &mut queue);
                let contiguous = known.iter().take_while(|known| **known).count();
                prop_assert_eq!(queue.len(), contiguous);
                let blocks: usize = reassembly.blocks().map(|(start, end)| (end - start) as usize).sum();
                prop_assert_eq!(blocks, reassembly.len());
            }
            let mut out = vec![0; queue.len()];
            queue.copy_to(0, &mut out);
            prop_assert_eq!(&out, &stream[..out.len()]);
        }
    }
}
