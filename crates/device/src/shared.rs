//! Memory that is shared with another process.
//!
//! It is a file without a name, which the other process maps as well. Its size is sealed: whoever holds it can change its words at any
//! time, but cannot take the memory away from under us.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU64;

use rustix::fs::{MemfdFlags, SealFlags};

use crate::sys;

/// `N` words that this process and whoever has the file can use.
#[derive(Debug)]
pub struct SharedWords<const N: usize>(sys::Mapping);

impl<const N: usize> SharedWords<N> {
    /// Zeros, and the file for the other process.
    pub fn new() -> io::Result<(SharedWords<N>, OwnedFd)> {
        let file = rustix::fs::memfd_create("sockeye", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, (8 * N) as u64)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((SharedWords(sys::Mapping::new(file.as_fd(), N)?), file))
    }

    /// The words.
    pub fn words(&self) -> &[AtomicU64; N] {
        // As many were mapped.
        self.0.words().first_chunk().unwrap_or_else(|| unreachable!("a mapping of another length"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn what_is_written_to_the_file_stands_in_memory_and_it_does_not_shrink() {
        let (shared, file) = SharedWords::<1024>::new().expect("memory");
        let file = std::fs::File::from(file);
        file.write_all_at(&7u64.to_ne_bytes(), 8).expect("written");
        assert_eq!(shared.words()[1].load(Ordering::Relaxed), 7);
        shared.words()[1023].store(9, Ordering::Relaxed);
        let mut word = [0; 8];
        file.read_exact_at(&mut word, 8184).expect("read");
        assert_eq!(u64::from_ne_bytes(word), 9);
        assert!(file.set_len(0).is_err() && file.set_len(16_384).is_err());
    }
}
