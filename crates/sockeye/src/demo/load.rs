//! What the demo carries: bytes without a pattern, and their digest.
//!
//! The bytes come from a small generator with a fixed seed. A pattern would hide what a stack does wrong: a block that
//! is delivered twice, or in another's place, must change the digest. SHA-256, so that anybody can check with
//! `sha256sum`.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use sha2::{Digest, Sha256};

/// A digest, of which people see the first digits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sum([u8; 32]);

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const MIB: usize = 1 << 20;

/// Writes `size` MiB to `path`.
pub(crate) fn make(path: &Path, size: u32) -> io::Result<Sum> {
    let mut file = File::create_new(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0_u8; MIB];
    // xorshift64* (Marsaglia; Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled").
    let mut state = 0x0005_0c6e_7e00_5a1f_u64;
    for _ in 0..size {
        for word in block.chunks_exact_mut(8) {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            word.copy_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
        }
        hash.update(&block);
        file.write_all(&block)?;
    }
    Ok(Sum(hash.finalize().into()))
}

/// The digest of a file, and its length.
pub(crate) fn sum(path: &Path) -> io::Result<(Sum, u64)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0_u8; MIB];
    let mut total = 0;
    loop {
        match file.read(&mut block)? {
            0 => return Ok((Sum(hash.finalize().into()), total)),
            len => {
                hash.update(&block[..len]);
                total += len as u64;
            }
        }
    }
}

/// A place for the demo's files: a file system in memory that only this process and its children see, so that it goes
/// with them even after `kill -9`; or else a directory, which is removed where this is dropped.
pub(crate) struct Scratch {
    path: PathBuf,
    remove: bool,
}

impl Scratch {
    /// Makes one, in memory where there is room for what the demo carries: disks are not what it measures. Call it
    /// while the process has one thread.
    pub(crate) fn new(size: u32) -> io::Result<Scratch> {
        let wanted = u64::from(size) * 3 * MIB as u64;
        if available_memory().is_some_and(|available| available > wanted + wanted / 4)
            && let Ok(path) = private_memory(wanted + 64 * MIB as u64)
        {
            return Ok(Scratch { path, remove: false });
        }
        Scratch::on_disk()
    }

    fn on_disk() -> io::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("sockeye-demo-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Scratch { path, remove: true })
    }

    /// A path in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.remove {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// What the kernel could give without swapping, in bytes.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Puts a file system in memory over `/dev/shm`, for this process and its children alone.
fn private_memory(size: u64) -> io::Result<PathBuf> {
    let place = Path::new("/dev/shm");
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let options = CString::new(format!("size={size},mode=0700"))?;
    mount("sockeye-demo", place, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())?;
    Ok(place.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_has_its_sum_and_no_pattern() {
        let scratch = Scratch::on_disk().unwrap();
        let (first, second) = (scratch.join("first"), scratch.join("second"));
        let made = make(&first, 2).unwrap();
        let (read, len) = sum(&first).unwrap();
        assert!(made == read);
        assert_eq!(len, 2 << 20);
        let mut bytes = std::fs::read(&first).unwrap();
        bytes.rotate_left(MIB);
        std::fs::write(&second, &bytes).unwrap();
        assert!(sum(&second).unwrap().0 != made, "blocks in another order are another file");
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }
}
