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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_own_key_and_the_seed_decides_it() {
        let keys = Keys::new([7; 32]);
        assert_ne!(keys.derive(b"a"), keys.derive(b"b"));
        assert_eq!(keys.derive(b"a"), Keys::new([7; 32]).derive(b"a"));
        let mut other = [7; 32];
        other[31] = 8;
        assert_ne!(keys.derive(b"a"), Keys::new(other).derive(b"a"));
    }
}
