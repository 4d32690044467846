//! The Internet checksum: the ones' complement of the ones' complement sum of 16-bit words.
//!
//! The sum has three properties that this file lives on.
//!
//! - It is associative, so a packet may be summed in pieces: a pseudo-header, a header, slices of a send buffer. A
//!   piece that starts at an odd offset contributes with its two bytes swapped; [`Sum`] keeps count of that.
//! - It does not depend on byte order: summing the words as the machine reads them gives the sum with its bytes
//!   swapped. So the loop loads native words, and one swap at the end puts it right.
//! - Wider words may be summed, and folded once at the end: 2^64 - 1 is a multiple of 2^16 - 1. A short piece is summed
//!   eight bytes at a time with the carry brought back. A long one goes 64 bytes a step into independent lanes that
//!   sum 32-bit halves: no carry to chain, nothing to overflow below 2^32 steps, and in this form the compiler makes
//!   vector instructions of it without `unsafe`.
//!
//! A checksum field is verified by summing everything, the field included: the sum is then all ones, and
//! [`Sum::finish`] is zero. A router that changes one word need not sum the rest again: [`update`].
//!
//! # Standards
//!
//! RFC 1071 §1 to §2 (the sum and its properties), RFC 1624 §3 (the incremental update, equation 3, and why the older
//! equation of RFC 1141 is wrong), RFC 791 §3.1, RFC 768, RFC 9293 §3.1 and RFC 8200 §8.1 (pseudo-headers).

use core::net::IpAddr;

/// A ones' complement sum in the making.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// A ones' complement sum of 64-bit words in the machine's byte order, which folds to that of 16-bit words.
    words: u64,
    /// An odd number of bytes has gone in: the next byte is the low half of a word.
    odd: bool,
}

impl Sum {
    /// The empty sum.
    #[inline]
    pub const fn new() -> Sum {
        Sum { words: 0, odd: false }
    }

    /// Adds bytes, directly after those added before, at an even offset or an odd one.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        let words = if bytes.len() < SHORT { short(bytes) } else { long(bytes) };
        self.add_words(words, !bytes.len().is_multiple_of(2));
    }

    /// Adds one word.
    #[inline]
    pub fn add_u16(&mut self, word: u16) {
        self.add_words(u64::from(word.to_be()), false);
    }

    /// Adds two words, the upper half first.
    #[inline]
    pub fn add_u32(&mut self, words: u32) {
        self.add_words(u64::from(words.to_be()), false);
    }

    /// Adds what `next` has summed, as if its bytes came directly after ours.
    #[inline]
    pub fn combine(&mut self, next: Sum) {
        self.add_words(next.words, next.odd);
    }

    /// The sum in 16 bits, *not* complemented: what a checksum field holds for a device that completes it.
    #[inline]
    pub fn folded(self) -> u16 {
        u16::from_be(fold(self.words))
    }

    /// The checksum: the complement of the sum. Over bytes that contain their own checksum it is 0 exactly when that
    /// is right.
    #[inline]
    pub fn finish(self) -> u16 {
        !self.folded()
    }

    /// The checksum for UDP, where the field's zero means "none": zero is sent as its other form, all ones.
    #[inline]
    pub fn finish_nonzero(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            checksum => checksum,
        }
    }

    #[inline(always)]
    fn add_words(&mut self, words: u64, odd: bool) {
        // Rotated by 8 bits, every word has its bytes swapped with its neighbours': the same sum, swapped.
        self.words = add(self.words, if self.odd { words.rotate_left(8) } else { words });
        self.odd ^= odd;
    }
}

/// The sum of `bytes`.
#[inline]
pub fn sum(bytes: &[u8]) -> Sum {
    let mut sum = Sum::new();
    sum.add(bytes);
    sum
}

/// The sum of the pseudo-header for `len` bytes of `protocol` (transport header and payload) between two addresses of
/// one family.
#[inline]
pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, len: u32) -> Sum {
    let mut sum = Sum::new();
    for addr in [src, dst] {
        match addr {
            IpAddr::V4(addr) => sum.add_u32(addr.to_bits()),
            IpAddr::V6(addr) => sum.add(&addr.octets()),
        }
    }
    sum.add_u32(len);
    sum.add_u16(u16::from(protocol));
    sum
}

/// The checksum after one of the words that it covers has changed from `old` to `new`.
///
/// Keeps the form that a sender computes: it yields 0 only where summing anew would.
#[inline]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    replace(checksum, u32::from(!old), u32::from(new))
}

/// The checksum after two of the words that it covers (an IPv4 address, a sequence number) have changed together. The
/// field must begin at an even offset.
#[inline]
pub fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    let [old, new] = [!old, new].map(|words| (words >> 16) + (words & 0xffff));
    replace(checksum, old, new)
}

/// RFC 1624, equation 3: `HC' = ~(~HC + ~m + m')`.
#[inline]
fn replace(checksum: u16, not_old: u32, new: u32) -> u16 {
    let sum = u64::from(!checksum) + u64::from(not_old) + u64::from(new);
    !fold(sum)
}

/// Below this length the wide loop does not pay.
const SHORT: usize = 64;

/// Sums native words eight bytes at a time; a last odd byte counts as the first of its word.
#[inline(always)]
fn short(bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut words = 0;
    for &eight in eights {
        words = add(words, u64::from_ne_bytes(eight));
    }
    let (fours, rest) = rest.as_chunks::<4>();
    if let [four] = *fours {
        words = add(words, u64::from(u32::from_ne_bytes(four)));
    }
    let (twos, rest) = rest.as_chunks::<2>();
    if let [two] = *twos {
        words = add(words, u64::from(u16::from_ne_bytes(two)));
    }
    if let [one] = *rest {
        words = add(words, u64::from(u16::from_ne_bytes([one, 0])));
    }
    words
}

/// The same, 64 bytes a step in eight lanes.
///
/// A lane counts `total`, the sum of its words modulo 2^64, and `upper`, the sum of their upper halves. The sum of
/// the lower halves is then `total - upper * 2^32`, exactly, since it is itself below 2^64: one operation a word saved.
fn long(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<64>();
    let mut total = [0u64; 8];
    let mut upper = [0u64; 8];
    for block in blocks {
        let (eights, _) = block.as_chunks::<8>();
        for ((total, upper), &eight) in total.iter_mut().zip(&mut upper).zip(eights) {
            let wide = u64::from_ne_bytes(eight);
            *total = total.wrapping_add(wide);
            *upper += wide >> 32;
        }
    }
    let lanes = total.iter().zip(&upper).map(|(total, upper)| halves(total.wrapping_sub(upper << 32)) + upper);
    add(lanes.sum(), short(rest))
}

/// The ones' complement sum of 64-bit words: the carry comes back in at the end.
#[inline(always)]
fn add(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u64::from(carry)
}

/// The ones' complement sum of both halves, which may be one bit wider.
#[inline(always)]
fn halves(wide: u64) -> u64 {
    (wide >> 32) + (wide & 0xffff_ffff)
}

/// Adds halves until 16 bits are left.
#[inline(always)]
fn fold(words: u64) -> u16 {
    let words = halves(halves(words));
    let words = (words >> 16) + (words & 0xffff);
    let words = (words >> 16) + (words & 0xffff);
    words as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The carry is added back word by word.
    fn by_the_book(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|word| u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
        !words.fold(0, |sum: u16, word| {
            let (sum, carry) = sum.overflowing_add(word);
            sum + u16::from(carry)
        })
    }

    #[test]
    fn example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&bytes).folded(), 0xddf2);
        assert_eq!(sum(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn example_of_rfc_1624() {
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn every_length_and_every_split() {
        // All ones carry the most; a ramp shows bytes that are swapped or lost.
        for fill in [|_| 0xff, |index: usize| (index * 7 + 1) as u8] {
            let bytes: Vec<u8> = (0..300).map(fill).collect();
            for len in 0..bytes.len() {
                let bytes = &bytes[..len];
                assert_eq!(sum(bytes).finish(), by_the_book(bytes), "{len} bytes");
                for cut in 0..=len {
                    let mut pieces = sum(&bytes[..cut]);
                    pieces.add(&bytes[cut..]);
                    assert_eq!(pieces.finish(), by_the_book(bytes), "{len} bytes cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn largest_packets_do_not_overflow() {
        for len in [65_535, 65_536, 1 << 22] {
            let bytes = vec![0xff; len];
            assert_eq!(sum(&bytes).finish(), by_the_book(&bytes));
        }
    }

    #[test]
    fn every_update_of_a_word_equals_summing_anew() {
        for old in (0..=u16::MAX).step_by(251) {
            for new in (0..=u16::MAX).step_by(257).chain([0xffff]) {
                for other in [1, 0x8000, 0xffff, !old, !new] {
                    let (mut before, mut after) = (Sum::new(), Sum::new());
                    for word in [old, other] {
                        before.add_u16(word);
                    }
                    for word in [new, other] {
                        after.add_u16(word);
                    }
                    if other != 0 {
                        assert_eq!(
                            update(before.finish(), old, new),
                            after.finish(),
                            "{old:x} to {new:x} by {other:x}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn zero_is_sent_as_ones_in_udp() {
        let mut sum = Sum::new();
        sum.add_u16(0xffff);
        assert_eq!((sum.finish(), sum.finish_nonzero()), (0, 0xffff));
        sum.add_u16(1);
        assert_eq!(sum.finish_nonzero(), 0xfffe);
    }
}
