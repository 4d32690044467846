//! Cutting a datagram that its path does not carry whole.
//!
//! The cut is a plan, made before anything is copied: [`Cut`] yields for each fragment where its bytes stand in the
//! datagram's payload. All but the last are multiples of eight bytes, as long as the MTU allows. Options go into the
//! first fragment whole, into the others as far as they ask to be copied.
//!
//! # Standards
//!
//! RFC 791 §3.2 ("An Example Fragmentation Procedure"), RFC 1122 §3.3.3.

use std::ops::Range;

/// The plan of a cut.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    len: usize,
    at: usize,
    first: usize,
    rest: usize,
}

impl Cut {
    /// How to cut `len` bytes, which one packet could hold, for an MTU. Header lengths may differ between the first fragment
    /// and the others. None when the MTU does not even hold a header and eight bytes.
    pub(crate) fn new(len: usize, mtu: usize, first_header: usize, rest_header: usize) -> Option<Cut> {
        let room = |header: usize| mtu.checked_sub(header).map(|room| room & !7).filter(|&room| room > 0);
        Some(Cut { len, at: 0, first: room(first_header)?, rest: room(rest_header)? })
    }

    /// How many fragments there will be.
    pub(crate) fn pieces(&self) -> usize {
        1 + self.len.saturating_sub(self.first).div_ceil(self.rest)
    }
}

impl Iterator for Cut {
    /// The bytes of a fragment, and whether more follow.
    type Item = (Range<usize>, bool);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.len {
            return None;
        }
        let start = self.at;
        let room = if start == 0 { self.first } else { self.rest };
        self.at = self.len.min(start + room);
        Some((start..self.at, self.at < self.len))
    }
}

/// Reads on through slices as if they were one.
#[derive(Clone, Debug)]
pub(crate) struct Gather<'a> {
    current: &'a [u8],
    rest: &'a [&'a [u8]],
}

impl<'a> Gather<'a> {
    pub(crate) fn new(first: &'a [u8], rest: &'a [&'a [u8]]) -> Self {
        Gather { current: first, rest }
    }

    /// Fills `out`; true when there was enough.
    pub(crate) fn copy_to(&mut self, mut out: &mut [u8]) -> bool {
        loop {
            let count = out.len().min(self.current.len());
            let (from, left) = self.current.split_at(count);
            out[..count].copy_from_slice(from);
            out = &mut out[count..];
            self.current = left;
            if out.is_empty() {
                return true;
            }
            let Some((next, rest)) = self.rest.split_first() else { return false };
            (self.current, self.rest) = (next, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_multiples_of_eight_and_cover_all() {
        for len in [1, 1_480, 1_481, 2_960, 2_961, 65_507] {
            let cut = Cut::new(len, 1_500, 20, 20).unwrap();
            let pieces: Vec<_> = cut.clone().collect();
            assert_eq!(pieces.len(), cut.pieces(), "{len}");
            assert_eq!(pieces.iter().map(|(range, _)| range.len()).sum::<usize>(), len);
            for (index, (range, more)) in pieces.iter().enumerate() {
                assert_eq!(*more, index + 1 < pieces.len());
                assert!(range.start % 8 == 0 && range.len() <= 1_480 && (!more || range.len() == 1_480));
            }
        }
        assert_eq!(Cut::new(100, 27, 20, 20).map(|_| ()), None, "no room for eight bytes");
    }

    #[test]
    fn gathers_across_slices() {
        let mut gather = Gather::new(b"ab", &[b"", b"cde", b"f"]);
        let mut out = [0; 4];
        assert!(gather.copy_to(&mut out[..3]));
        assert_eq!(&out[..3], b"abc");
        assert!(!gather.copy_to(&mut out));
        assert_eq!(&out[..3], b"def");
    }
}
