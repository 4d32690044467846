//! Sequence numbers: a place on a circle of 2^32 bytes.
//!
//! On a circle nothing is smaller than anything; a number is *before* another when the shorter way to it leads
//! forwards. So the type has no `<`: `segment_end.after(rcv_nxt)`. Of two numbers exactly 2^31 apart each is before the
//! other; windows are at most 2^30, so that a connection never compares such a pair except of hostile segments, and
//! there either answer is safe.
//!
//! # Standards
//!
//! RFC 9293 §3.4 (sequence numbers, the arithmetic modulo 2^32), RFC 7323 §2.3 (why windows stay below 2^30).

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

/// A sequence number. Deliberately without an order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNumber(pub u32);

impl SeqNumber {
    /// True when `self` comes before `other`.
    #[inline]
    pub const fn before(self, other: SeqNumber) -> bool {
        self.distance(other) < 0
    }

    /// True when `self` is `other` or comes before it.
    #[inline]
    pub const fn before_eq(self, other: SeqNumber) -> bool {
        self.distance(other) <= 0
    }

    /// True when `self` comes after `other`.
    #[inline]
    pub const fn after(self, other: SeqNumber) -> bool {
        self.distance(other) > 0
    }

    /// True when `self` is `other` or comes after it.
    #[inline]
    pub const fn after_eq(self, other: SeqNumber) -> bool {
        self.distance(other) >= 0
    }

    /// True when `self` is one of the `len` numbers from `start` on.
    #[inline]
    pub const fn within(self, start: SeqNumber, len: u32) -> bool {
        self.0.wrapping_sub(start.0) < len
    }

    /// The later one.
    #[inline]
    #[must_use]
    pub const fn max(self, other: SeqNumber) -> SeqNumber {
        if self.before(other) { other } else { self }
    }

    /// The earlier one.
    #[inline]
    #[must_use]
    pub const fn min(self, other: SeqNumber) -> SeqNumber {
        if self.after(other) { other } else { self }
    }

    #[inline]
    const fn distance(self, other: SeqNumber) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

impl Add<u32> for SeqNumber {
    type Output = SeqNumber;
    #[inline]
    fn add(self, count: u32) -> SeqNumber {
        SeqNumber(self.0.wrapping_add(count))
    }
}

impl AddAssign<u32> for SeqNumber {
    #[inline]
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

impl Sub<u32> for SeqNumber {
    type Output = SeqNumber;
    #[inline]
    fn sub(self, count: u32) -> SeqNumber {
        SeqNumber(self.0.wrapping_sub(count))
    }
}

impl SubAssign<u32> for SeqNumber {
    #[inline]
    fn sub_assign(&mut self, count: u32) {
        *self = *self - count;
    }
}

impl Sub<SeqNumber> for SeqNumber {
    type Output = i32;
    /// How far `self` is after `other`; negative when it is before.
    #[inline]
    fn sub(self, other: SeqNumber) -> i32 {
        self.distance(other)
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bad input C20.
    #[test]
    fn comparisons_across_the_wrap() {
        let (end, start) = (SeqNumber(u32::MAX), SeqNumber(0));
        assert!(end.before(start) && start.after(end) && !start.before(end));
        assert_eq!((start - end, end - start, end + 1, start - 1), (1, -1, start, end));
        assert_eq!((end.max(start), end.min(start)), (start, end));
        assert!(end.before_eq(end) && end.after_eq(end) && !end.before(end) && !end.after(end));
        assert!(start.within(end, 2) && !start.within(end, 1) && !end.within(start, u32::MAX));
    }

    #[test]
    fn half_way_round_either_is_before_the_other() {
        let (a, b) = (SeqNumber(5), SeqNumber(5 + (1 << 31)));
        assert!(a.before(b) && b.before(a) && !a.after(b) && !b.after(a));
    }
}
