//! Memory of any length that is shared with a program: a ring of frames.
//!
//! The file is sealed against shrinking, as [`SharedWords`](crate::SharedWords) is. Each access is atomic, word by word, because the program
//! may write there at the same time; and none can be outside, because each looks where it goes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};

use crate::sys;

/// Bytes that this process and whoever has the file can use.
#[derive(Debug)]
pub struct SharedBytes(sys::Mapping);

impl SharedBytes {
    /// Zeros, `len` of them up to a multiple of eight, and the file for the other process.
    pub fn new(len: usize) -> io::Result<(SharedBytes, OwnedFd)> {
        let len = len.checked_next_multiple_of(8).ok_or(io::ErrorKind::InvalidInput)?;
        let file = rustix::fs::memfd_create("sockeye", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, len as u64)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::SEAL)?;
        Ok((SharedBytes(sys::Mapping::new(file.as_fd(), len / 8)?), file))
    }

    /// The memory of a file that [`new`](Self::new) has made, once more: its first `kept` bytes as they are, and zeros behind them, up to `len` in all.
    pub fn renewed(file: &OwnedFd, kept: usize, len: usize) -> io::Result<SharedBytes> {
        let len = len.checked_next_multiple_of(8).ok_or(io::ErrorKind::InvalidInput)?;
        let size = rustix::fs::fstat(file)?.st_size.cast_unsigned();
        if size < len as u64 {
            rustix::fs::ftruncate(file, len as u64)?;
        }
        if let Some(rest) = size.checked_sub(kept as u64).filter(|&rest| rest > 0) {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(file, hole, kept as u64, rest)?;
        }
        Ok(SharedBytes(sys::Mapping::new(file.as_fd(), len / 8)?))
    }

    /// A word of 32 bits at a multiple of four, after all that was written before it; 0 where there is none.
    pub fn load(&self, at: usize) -> u32 {
        self.word(at).map_or(0, |word| (word.load(Ordering::SeqCst) >> shift(at)) as u32)
    }

    /// Writes a word of 32 bits at a multiple of four, after all that was written before; nothing where there is none.
    pub fn store(&self, at: usize, value: u32) {
        if let Some(word) = self.word(at) {
            let mask = u64::from(u32::MAX) << shift(at);
            let new = u64::from(value) << shift(at);
            // Its other half may be somebody's at the same time.
            let _ = word.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |old| Some(old & !mask | new));
        }
    }

    /// Writes bytes; what would stand outside is not written.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(at.wrapping_neg() % 8));
        self.write_part(at, first);
        let at = at.saturating_add(first.len());
        let (whole, last) = rest.as_chunks::<8>();
        for (word, bytes) in self.words(at).iter().zip(whole) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        self.write_part(at.saturating_add(8 * whole.len()), last);
    }

    /// Reads bytes; what would stand outside stays as it was.
    pub fn read(&self, at: usize, bytes: &mut [u8]) {
        let (first, rest) = bytes.split_at_mut(bytes.len().min(at.wrapping_neg() % 8));
        self.read_part(at, first);
        let at = at.saturating_add(first.len());
        let (whole, last) = rest.as_chunks_mut::<8>();
        for (word, bytes) in self.words(at).iter().zip(&mut *whole) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        self.read_part(at.saturating_add(8 * whole.len()), last);
    }

    /// Writes a part of one word. Its other parts may be somebody's at the same time.
    fn write_part(&self, at: usize, bytes: &[u8]) {
        let within = at % 8;
        let (Some(word), false) = (self.word(at), bytes.is_empty()) else { return };
        let (mut mask, mut new) = ([0; 8], [0; 8]);
        mask[within..within + bytes.len()].fill(0xff);
        new[within..within + bytes.len()].copy_from_slice(bytes);
        let (mask, new) = (u64::from_ne_bytes(mask), u64::from_ne_bytes(new));
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(old & !mask | new));
    }

    fn read_part(&self, at: usize, bytes: &mut [u8]) {
        let within = at % 8;
        let Some(word) = self.word(at) else { return };
        bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes()[within..within + bytes.len()]);
    }

    /// The words from a multiple of eight on.
    fn words(&self, at: usize) -> &[AtomicU64] {
        self.0.words().get(at / 8..).unwrap_or_default()
    }

    fn word(&self, at: usize) -> Option<&AtomicU64> {
        self.0.words().get(at / 8)
    }
}

/// Where the word of 32 bits at `at` stands in its word of 64.
fn shift(at: usize) -> u32 {
    let second = !at.is_multiple_of(8);
    if second == cfg!(target_endian = "little") { 32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_written_here_is_read_there_and_nothing_is_outside() {
        let (shared, file) = SharedBytes::new(4096).expect("memory");
        let file = std::fs::File::from(file);
        let bytes: Vec<u8> = (1..=40).collect();
        for (at, len) in (0..9).flat_map(|at| (0..=bytes.len()).map(move |len| (at, len))) {
            shared.write(96, &[0xee; 64]);
            shared.write(100 + at, &bytes[..len]);
            let (mut again, mut beside) = (vec![0; len], [0; 64]);
            shared.read(100 + at, &mut again);
            assert_eq!(again, bytes[..len]);
            file.read_exact_at(&mut beside, 96).expect("read");
            let (before, rest) = beside.split_at(4 + at);
            assert_eq!(rest[..len], bytes[..len]);
            assert!(before.iter().chain(&rest[len..]).all(|&byte| byte == 0xee), "its neighbours were left alone");
        }
        for at in [0, 4, 8, 4092] {
            shared.store(at, 0x0102_0304 + at as u32);
            assert_eq!(shared.load(at), 0x0102_0304 + at as u32);
            let mut word = [0; 4];
            file.read_exact_at(&mut word, at as u64).expect("read");
            assert_eq!(u32::from_ne_bytes(word), 0x0102_0304 + at as u32);
        }
        assert_eq!(shared.load(0), 0x0102_0304, "its neighbour was left alone");
        shared.write(4090, &bytes);
        shared.write(usize::MAX - 3, &bytes);
        let mut outside = [7; 40];
        shared.read(4096, &mut outside);
        shared.read(usize::MAX - 3, &mut outside);
        assert_eq!(outside, [7; 40]);
        shared.store(4096, 7);
        shared.store(usize::MAX & !3, 7);
        assert_eq!((shared.load(4096), shared.load(usize::MAX & !3)), (0, 0));
        assert!(file.set_len(0).is_err());
    }

    #[test]
    fn memory_grows_and_shrinks_behind_what_is_kept_of_it() {
        let (shared, file) = SharedBytes::new(12_288).expect("memory");
        for at in [0, 4_092, 4_096, 12_284] {
            shared.store(at, 7);
        }
        for len in [4_096, 8_192, 20_480] {
            let again = SharedBytes::renewed(&file, 4_096, len).expect("memory");
            assert_eq!([0, 4_092, 4_096, 12_284].map(|at| again.load(at)), [7, 7, 0, 0], "{len}");
            again.store(len - 4, 9);
            again.store(len, 9);
            assert_eq!((again.load(len - 4), again.load(len)), (9, 0));
            again.store(4_092, 7);
        }
        assert_eq!(shared.load(4_092), 7, "it is the same");
    }
}
