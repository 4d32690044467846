//! What is remembered of descriptors' numbers, a bit each.
//!
//! A number is not a file: what was noted of one may be about a file that is gone. So the bits are guesses, and each user says what a wrong one costs.

use libc::c_int;
use std::sync::atomic::{AtomicU64, Ordering};

/// A set of numbers below 1,024.
pub(crate) struct Numbers([AtomicU64; 16]);

impl Numbers {
    pub(crate) const fn none() -> Numbers {
        Numbers([const { AtomicU64::new(0) }; 16])
    }

    pub(crate) fn add(&self, fd: c_int) {
        if let Some((word, bit)) = self.place(fd) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(crate) fn remove(&self, fd: c_int) {
        if let Some((word, bit)) = self.place(fd) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// `None` for large numbers, of which nothing is known.
    pub(crate) fn has(&self, fd: c_int) -> Option<bool> {
        self.place(fd).map(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn place(&self, fd: c_int) -> Option<(&AtomicU64, u64)> {
        let number = usize::try_from(fd).ok()?;
        self.0.get(number / 64).map(|word| (word, 1 << (number % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_stands_for_itself_and_large_ones_for_nothing() {
        let numbers = Numbers::none();
        numbers.add(63);
        numbers.add(1_023);
        numbers.add(1_024);
        numbers.add(-1);
        assert_eq!(
            [62, 63, 64, 1_023, 1_024, -1].map(|fd| numbers.has(fd)),
            [Some(false), Some(true), Some(false), Some(true), None, None]
        );
        numbers.remove(63);
        assert_eq!([63, 1_023].map(|fd| numbers.has(fd)), [Some(false), Some(true)]);
    }
}
