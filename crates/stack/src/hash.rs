//! Secrets, and the hashing that they key.
//!
//! Everything that must not be guessed from outside (which bucket an address falls into, the next port, the next
//! identification) comes from one seed of 32 bytes, which whoever makes the stack draws from the operating system. Each
//! use has a key of its own, derived from the seed by name: what leaks through one tells nothing of the others. With
//! the same seed the same stack does the same things, which tests and the simulator live on.
//!
//! Tables whose keys a peer can choose hash with SipHash-1-3, as the standard library's do: short keys, a few
//! nanoseconds, and nobody can fill one bucket on purpose. Derivation and random numbers use SipHash-2-4.

use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::{BuildHasher, Hash, Hasher};

/// The seed, from which every key is derived.
#[derive(Clone)]
pub struct Keys {
    seed: [u8; 32],
}

impl Keys {
    /// Keys from a seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Keys { seed }
    }

    /// The key of the use with this name.
    pub fn derive(&self, name: &[u8]) -> [u8; 16] {
        let (key, rest) = self.seed.split_at(16);
        let key: [u8; 16] = std::array::from_fn(|index| key[index]);
        let mut hasher = SipHasher24::new_with_key(&key);
        hasher.write(rest);
        hasher.write(name);
        hasher.finish128().as_bytes()
    }

    /// A hasher for a table of this name.
    pub fn hasher(&self, name: &[u8]) -> Keyed {
        Keyed { key: self.derive(name) }
    }
}

/// Builds the hashers of one table.
#[derive(Clone)]
pub struct Keyed {
    key: [u8; 16],
}

/// The key stays out of sight.
impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyed")
    }
}

impl Keyed {
    /// Hashes one value.
    pub fn hash<T: Hash + ?Sized>(&self, value: &T) -> u64 {
        self.hash_one(value)
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.key)
    }
}

/// SipHash-1-3 of twelve bytes, a word of eight and one of four, little-endian: what [`SipHasher13`] makes of them, at
/// half its price, as nothing is collected in a buffer first.
#[inline]
pub fn of_twelve(key: &[u64; 2], first: u64, second: u32) -> u64 {
    let [k0, k1] = *key;
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    // The last word of the input has its length in the top byte.
    for word in [first, 12 << 56 | u64::from(second)] {
        v[3] ^= word;
        round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    (0..3).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline(always)]
fn round(v: &mut [u64; 4]) {
    let [mut v0, mut v1, mut v2, mut v3] = *v;
    v0 = v0.wrapping_add(v1);
    v2 = v2.wrapping_add(v3);
    v1 = v1.rotate_left(13) ^ v0;
    v3 = v3.rotate_left(16) ^ v2;
    v0 = v0.rotate_left(32).wrapping_add(v3);
    v2 = v2.wrapping_add(v1);
    v3 = v3.rotate_left(21) ^ v0;
    v1 = v1.rotate_left(17) ^ v2;
    v2 = v2.rotate_left(32);
    *v = [v0, v1, v2, v3];
}

/// A key of two words, as it stands in the bytes.
pub fn words(key: [u8; 16]) -> [u64; 2] {
    let key = u128::from_le_bytes(key);
    [key as u64, (key >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_name_has_its_own_key_and_the_seed_decides_it() {
        let keys = Keys::new([7; 32]);
        assert_ne!(keys.derive(b"a"), keys.derive(b"b"));
        assert_eq!(keys.derive(b"a"), Keys::new([7; 32]).derive(b"a"));
        let mut other = [7; 32];
        other[31] = 8;
        assert_ne!(keys.derive(b"a"), Keys::new(other).derive(b"a"));
    }

    proptest! {
        #[test]
        fn twelve_bytes_hash_as_by_the_general_way(key in any::<[u8; 16]>(), first in any::<u64>(), second in any::<u32>()) {
            let mut general = SipHasher13::new_with_key(&key);
            general.write(&first.to_le_bytes());
            general.write(&second.to_le_bytes());
            prop_assert_eq!(of_twelve(&words(key), first, second), general.finish());
        }
    }
}
