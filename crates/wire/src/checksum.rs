//! The Internet checksum: the ones' complement of the ones' complement sum of 16-bit words.
//!
//! The sum has three properties that this file lives on.
//!
//! - It is associative, so a packet may be summed in pieces: a pseudo-header, a header, slices of a send buffer. A
//!   piece that starts at an odd offset contributes with its two bytes swapped; [`Sum`] keeps count of that.
//! - It does not depend on byte order: summing the words as the machine reads them gives the sum with its bytes
//!   swapped. So the loop loads native words, and one swap at the end puts it right.
//! - Carries may be added back at any time, so wider words may be summed, and folded once at the end. The loop takes 64
//!   bytes a step into independent 64-bit lanes, each the sum of 32-bit halves: no carry to chain, nothing to
//!   overflow below 2^31 steps, and in this form the compiler makes vector instructions of it without `unsafe`.
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
    /// Sum of 16-bit words in the machine's byte order; carries are still in it. Every addition is at most 0xffff, so
    /// it would take 2^48 of them to overflow.
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
        self.add_words(fold(words), !bytes.len().is_multiple_of(2));
    }

    /// Adds one word.
    #[inline]
    pub fn add_u16(&mut self, word: u16) {
        self.add_words(word.to_be(), false);
    }

    /// Adds two words, the upper half first.
    #[inline]
    pub fn add_u32(&mut self, words: u32) {
        self.add_words(fold(u64::from(words.to_be())), false);
    }

    /// Adds what `next` has summed, as if its bytes came directly after ours.
    #[inline]
    pub fn combine(&mut self, next: Sum) {
        self.add_words(fold(next.words), next.odd);
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
    fn add_words(&mut self, words: u16, odd: bool) {
        self.words += u64::from(if self.odd { words.swap_bytes() } else { words });
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

/// Sums native words four bytes at a time; a last odd byte counts as the first of its word.
#[inline(always)]
fn short(bytes: &[u8]) -> u64 {
    let (quads, rest) = bytes.as_chunks::<4>();
    let mut words = 0;
    for &quad in quads {
        words += u64::from(u32::from_ne_bytes(quad));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words + u64::from(u32::from_ne_bytes(last))
}

/// The same, 64 bytes a step in eight lanes.
fn long(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<64>();
    let mut lanes = [0u64; 8];
    for block in blocks {
        let (eights, _) = block.as_chunks::<8>();
        for (lane, &eight) in lanes.iter_mut().zip(eights) {
            let wide = u64::from_ne_bytes(eight);
            *lane += (wide & 0xffff_ffff) + (wide >> 32);
        }
    }
    // A lane holds less than 2^33 a step. Halving it keeps the total below 2^64 for any slice there can be.
    lanes.iter().map(|lane| (lane >> 32) + (lane & 0xffff_ffff)).sum::<u64>() + short(rest)
}

/// Adds the carries back until 16 bits are left.
#[inline(always)]
fn fold(words: u64) -> u16 {
    let words = (words >> 32) + (words & 0xffff_ffff);
    let words = (words >> 32) + (words & 0xffff_ffff);
    let words = (words >> 16) + (words & 0xffff);
    let words = (words >> 16) + (words & 0xffff);
    let words = (words >> 16) + (words & 0xffff);
    words as u16
}
