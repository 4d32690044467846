//! Bytes in order: the queue under every stream, and the pool that its memory comes from.
//!
//! A [`ByteQueue`] is a list of chunks that together hold a run of a byte stream. Positions are offsets in the stream
//! (64 bits, never wrapping), not indices into memory, so consuming at the front moves nothing. Bytes come in by copy,
//! by reading straight into reserved room, or by taking over a whole receive buffer; they go out as slices, which a
//! device gathers, so that a payload is copied neither to become a segment nor to reach a program.
//!
//! Chunks come in two sizes from a [`Pool`] that keeps what is given back up to a bound: an idle connection holds none,
//! a busy one allocates none.

use crate::line::Line;
use sockeye_device::copy;
use std::ops::Range;

/// The small chunk: a request, a reply.
pub const SMALL: usize = 4 * 1024;
/// The large chunk: bulk, and what a device receives a super-frame into.
pub const LARGE: usize = sockeye_device::BUFFER_LEN;

/// At most this much is kept of each size, in chunks.
const KEPT_SMALL: usize = 512;
const KEPT_LARGE: usize = 64;

/// Chunks waiting to be used again.
#[derive(Default)]
pub struct Pool {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
}

impl Pool {
    /// A chunk of [`SMALL`] bytes.
    pub fn small(&mut self) -> Vec<u8> {
        self.small.pop().unwrap_or_else(|| vec![0; SMALL])
    }

    /// A chunk of [`LARGE`] bytes.
    pub fn large(&mut self) -> Vec<u8> {
        self.large.pop().unwrap_or_else(|| vec![0; LARGE])
    }

    /// A large chunk that somebody has finished with, if there is one.
    pub fn spare(&mut self) -> Option<Vec<u8>> {
        self.large.pop()
    }

    /// Takes a chunk back. One of a foreign size is let go.
    pub fn give(&mut self, chunk: Vec<u8>) {
        match chunk.len() {
            SMALL if self.small.len() < KEPT_SMALL => self.small.push(chunk),
            LARGE if self.large.len() < KEPT_LARGE => self.large.push(chunk),
            _ => {}
        }
    }
}

struct Chunk {
    bytes: Vec<u8>,
    /// Index behind the last byte in use.
    tail: usize,
    /// Stream offset of the byte at `tail`.
    end: u64,
}

impl Chunk {
    fn index(&self, offset: u64) -> usize {
        self.tail - (self.end - offset) as usize
    }

    fn room(&self) -> usize {
        self.bytes.len() - self.tail
    }
}

/// A run of a byte stream, from offset [`start`](ByteQueue::start) to [`end`](ByteQueue::end).
#[derive(Default)]
pub struct ByteQueue {
    chunks: Line<Chunk>,
    start: u64,
    end: u64,
    /// Memory held, which is more than the bytes queued.
    capacity: usize,
}

impl ByteQueue {
    /// Offset of the first byte in the queue.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Offset behind the last byte in the queue.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes queued.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// True when no byte is queued.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Memory that the queue holds, in bytes.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub fn push(&mut self, pool: &mut Pool, bytes: &[u8]) {
        if self.chunks.is_empty() && bytes.len() <= SMALL && !bytes.is_empty() {
            let mut chunk = pool.small();
            chunk[..bytes.len()].copy_from_slice(bytes);
            self.push_owned(chunk, 0..bytes.len());
        } else {
            self.push_behind(pool, bytes);
        }
    }

    fn push_behind(&mut self, pool: &mut Pool, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.tail_room() == 0 {
                self.grow(pool, bytes.len() <= SMALL && self.is_empty());
            }
            let Some(chunk) = self.chunks.back_mut() else { return };
            let count = bytes.len().min(chunk.room());
            let (now, later) = bytes.split_at(count);
            copy(&mut chunk.bytes[chunk.tail..chunk.tail + count], now);
            chunk.tail += count;
            chunk.end += count as u64;
            self.end += count as u64;
            bytes = later;
        }
    }

    /// Appends `chunk[range]` without copying it.
    pub fn push_owned(&mut self, chunk: Vec<u8>, range: Range<usize>) {
        self.end += range.len() as u64;
        self.capacity += chunk.len();
        self.chunks.push_back(Chunk { tail: range.end, bytes: chunk, end: self.end });
    }

    /// Room to read up to `max` bytes into, in two pieces to be filled in order; [`commit`](ByteQueue::commit) says how many were.
    pub fn reserve(&mut self, pool: &mut Pool, max: usize) -> [&mut [u8]; 2] {
        self.drop_unused(pool);
        if max == 0 {
            return [&mut [], &mut []];
        }
        if self.tail_room() == 0 {
            self.grow(pool, self.is_empty());
        }
        let first = self.tail_room();
        if first < max {
            self.grow(pool, false);
        }
        let mut rooms = self.chunks.iter_mut().rev().map(|chunk| &mut chunk.bytes[chunk.tail..]);
        match (rooms.next(), rooms.next()) {
            (Some(second), Some(room)) if first < max => {
                let rest = second.len().min(max - first);
                [room, &mut second[..rest]]
            }
            (Some(room), _) => {
                let count = room.len().min(max);
                [&mut room[..count], &mut []]
            }
            (None, _) => [&mut [], &mut []],
        }
    }

    /// The first `count` bytes of the reserved room are now part of the stream.
    pub fn commit(&mut self, pool: &mut Pool, mut count: usize) {
        let reserved_at = self.end;
        let before_last_two = self.chunks.len().saturating_sub(2);
        for chunk in self.chunks.tail_mut(before_last_two).filter(|chunk| chunk.end == reserved_at) {
            let taken = count.min(chunk.room());
            chunk.tail += taken;
            self.end += taken as u64;
            chunk.end = self.end;
            count -= taken;
        }
        self.drop_unused(pool);
        if self.is_empty() {
            self.drop_consumed(pool);
        }
    }

    /// The bytes from stream offset `from` on that lie in one piece, at most `len` of them, if they begin in the first chunk.
    #[inline]
    pub fn front(&self, from: u64, len: usize) -> &[u8] {
        match self.chunks.front() {
            Some(chunk) if from >= self.start && from < chunk.end => {
                let begin = chunk.index(from);
                &chunk.bytes[begin..chunk.tail.min(begin + len)]
            }
            _ => &[],
        }
    }

    /// Calls `each` with the slices that make up `len` bytes from stream offset `from`, at most `max_slices` of them;
    /// returns how many bytes they hold. The range must lie in the queue.
    pub fn slices<'a>(&'a self, from: u64, len: usize, max_slices: usize, mut each: impl FnMut(&'a [u8])) -> usize {
        debug_assert!(from >= self.start && from + len as u64 <= self.end);
        let first = self.chunks.partition_point(|chunk| chunk.end <= from);
        let mut done = 0;
        for chunk in self.chunks.tail(first).take(max_slices) {
            if done == len {
                break;
            }
            let begin = chunk.index(from + done as u64);
            let count = (chunk.tail - begin).min(len - done);
            each(&chunk.bytes[begin..begin + count]);
            done += count;
        }
        done
    }

    /// Copies bytes from stream offset `from` on into `out`; returns how many there were.
    pub fn copy_to(&self, from: u64, out: &mut [u8]) -> usize {
        let len = out.len().min((self.end.saturating_sub(from)) as usize);
        let front = self.front(from, len);
        copy(&mut out[..front.len()], front);
        let mut done = front.len();
        if done == len {
            return len;
        }
        self.slices(from + done as u64, len - done, usize::MAX, |slice| {
            copy(&mut out[done..done + slice.len()], slice);
            done += slice.len();
        });
        done
    }

    /// Lets go of the first `count` bytes.
    #[inline]
    pub fn consume(&mut self, pool: &mut Pool, count: usize) {
        debug_assert!(count <= self.len());
        self.start += count as u64;
        self.drop_consumed(pool);
    }

    /// Lets go of everything; the offsets stay.
    pub fn clear(&mut self, pool: &mut Pool) {
        self.start = self.end;
        self.drop_consumed(pool);
    }

    fn tail_room(&mut self) -> usize {
        self.chunks.back_mut().map_or(0, |chunk| chunk.room())
    }

    fn grow(&mut self, pool: &mut Pool, small: bool) {
        let chunk = if small { pool.small() } else { pool.large() };
        self.push_owned(chunk, 0..0);
    }

    fn drop_consumed(&mut self, pool: &mut Pool) {
        while let Some(chunk) = self.chunks.front_mut()
            && chunk.end <= self.start
        {
            let bytes = std::mem::take(&mut chunk.bytes);
            self.chunks.pop_front();
            self.capacity -= bytes.len();
            pool.give(bytes);
        }
    }

    /// Lets go of what was reserved and not committed.
    fn drop_unused(&mut self, pool: &mut Pool) {
        while self.chunks.back_mut().is_some_and(|chunk| chunk.tail == 0) {
            if let Some(chunk) = self.chunks.pop_back() {
                self.capacity -= chunk.bytes.len();
                pool.give(chunk.bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reading_into_reserved_room_uses_a_small_chunk_first() {
        let (mut queue, mut pool) = (ByteQueue::default(), Pool::default());
        let [first, second] = queue.reserve(&mut pool, 1 << 20);
        assert_eq!((first.len(), second.len()), (SMALL, LARGE));
        first[..5].copy_from_slice(b"hello");
        queue.commit(&mut pool, 5);
        assert_eq!((queue.len(), queue.capacity()), (5, SMALL));
        queue.consume(&mut pool, 5);
        assert_eq!(queue.capacity(), 0);
    }

    #[test]
    fn nothing_read_leaves_nothing_held() {
        let (mut queue, mut pool) = (ByteQueue::default(), Pool::default());
        queue.reserve(&mut pool, 100);
        queue.commit(&mut pool, 0);
        assert_eq!((queue.len(), queue.capacity()), (0, 0));
    }

    proptest! {
        /// Against the obvious model: a vector.
        #[test]
        fn agrees_with_a_vector(operations in prop::collection::vec((0u8..5, 0usize..100_000), 1..60)) {
            let (mut queue, mut pool, mut model) = (ByteQueue::default(), Pool::default(), Vec::<u8>::new());
            let mut next = 0u8;
            let mut fill = |count: usize| -> Vec<u8> { (0..count).map(|_| { next = next.wrapping_mul(31).wrapping_add(7); next }).collect() };
            for (operation, size) in operations {
                match operation {
                    0 => { let bytes = fill(size); queue.push(&mut pool, &bytes); model.extend(bytes); }
                    1 => {
                        let bytes = fill(size);
                        if size % 3 == 0 {
                            queue.reserve(&mut pool, size * 2);
                        }
                        let [first, second] = queue.reserve(&mut pool, size);
                        let count = (first.len() + second.len()) / 2;
                        let head = count.min(first.len());
                        first[..head].copy_from_slice(&bytes[..head]);
                        second[..count - head].copy_from_slice(&bytes[head..count]);
                        queue.commit(&mut pool, count);
                        model.extend(&bytes[..count]);
                    }
                    2 => { let bytes = fill(size + 40); queue.push_owned(bytes.clone(), 17..size + 20); model.extend(&bytes[17..size + 20]); }
                    _ => { let count = size.min(model.len()); queue.consume(&mut pool, count); model.drain(..count); }
                }
                prop_assert_eq!(queue.len(), model.len());
                let from = size.min(model.len());
                let mut out = vec![0; model.len() - from];
                prop_assert_eq!(queue.copy_to(queue.start() + from as u64, &mut out), out.len());
                prop_assert_eq!(&out, &model[from..]);
            }
            queue.clear(&mut pool);
            prop_assert_eq!(queue.capacity(), 0);
        }
    }
}
