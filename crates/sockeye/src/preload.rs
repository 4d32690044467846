//! The shim as a file.
//!
//! A program loads the shim from a path, so the bytes that this command carries are written out once, under a name that
//! is their hash: another version of the command never overwrites a library that a running program has mapped, and a
//! second `run` finds the first one's file. The file appears by rename, whole or not at all.
//!
//! The directory must be one that only this user (or root) can write, for what lies there runs inside the user's
//! programs; from which code may be mapped (`noexec` is common on /run); and whose path has no character that
//! `LD_PRELOAD` takes for a separator.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use sockeye_control::program;

use crate::failure::Failure;

/// The library, as build.rs made it.
static SHIM: &[u8] = include_bytes!(env!("SOCKEYE_SHIM_LIBRARY"));

/// The environment variable that names the directory for the shim, against the rule.
pub(crate) const DIRECTORY: &str = "SOCKEYE_SHIM_DIR";

/// The path of the shim, written out where it was not yet.
pub(crate) fn library() -> Result<PathBuf, Failure> {
    let mut reasons = Vec::new();
    for (directory, mode) in candidates() {
        match install(&directory, mode) {
            Ok(path) => return Ok(path),
            Err(error) => reasons.push(format!("{}: {error}", directory.display())),
        }
    }
    Err(Failure::new(format!(
        "found no directory for the shim ({}); set XDG_RUNTIME_DIR or TMPDIR to a private one that is not mounted noexec",
        reasons.join("; ")
    )))
}

/// The value of `LD_PRELOAD`: the shim before all that was there.
pub(crate) fn preload_list(library: &Path, present: Option<OsString>) -> OsString {
    let mut list = library.as_os_str().to_owned();
    for entry in present.unwrap_or_default().as_bytes().split(|byte| matches!(byte, b':' | b' ')) {
        let entry = OsStr::from_bytes(entry);
        // A `run` inside a `run` has the shim there already, be it from another user's directory or of another version.
        if !entry.is_empty() && entry != library.as_os_str() && !program::is_shim(entry.as_bytes()) {
            list.push(":");
            list.push(entry);
        }
    }
    list
}

/// Where the file may stand, best first, with the mode that a directory of this kind is made with.
fn candidates() -> Vec<(PathBuf, u32)> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = rustix::process::geteuid();
    if let Some(path) = variable(DIRECTORY) {
        return vec![(path, 0o755)];
    }
    let mut list = Vec::new();
    if user.is_root() {
        // A program may give up root later and start others: they must be able to read the file.
        list.push((PathBuf::from("/run/sockeye"), 0o755));
        list.push((PathBuf::from("/var/lib/sockeye"), 0o755));
    }
    list.extend(variable("XDG_RUNTIME_DIR").map(|path| (path.join("sockeye"), 0o700)));
    list.extend(variable("XDG_CACHE_HOME").map(|path| (path.join("sockeye"), 0o700)));
    list.extend(variable("HOME").map(|path| (path.join(".cache/sockeye"), 0o700)));
    let name = format!("sockeye-{}", user.as_raw());
    list.push((std::env::temp_dir().join(name), if user.is_root() { 0o755 } else { 0o700 }));
    list
}

fn install(directory: &Path, mode: u32) -> io::Result<PathBuf> {
    if directory.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b':' | b' ' | b'$')) {
        return Err(io::Error::other("LD_PRELOAD cannot hold this path"));
    }
    match DirBuilder::new().mode(mode).create(directory) {
        // Whatever the umask says.
        Ok(()) => fs::set_permissions(directory, fs::Permissions::from_mode(mode))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() || !trusted(found.uid()) || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can write there"));
    }
    if rustix::fs::statvfs(directory)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err(io::Error::other("mounted noexec"));
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(SHIM);
    let path = directory.join(format!("shim-{:016x}.so", hasher.finish()));
    if whole(&path) {
        return Ok(path);
    }
    let draft = directory.join(format!(".shim-{}", std::process::id()));
    let written = write(&draft).and_then(|()| fs::rename(&draft, &path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written.map(|()| path)
}

/// Is the file there, ours and complete? The bytes are compared: the hash only names them.
fn whole(path: &Path) -> bool {
    let ours = fs::symlink_metadata(path).is_ok_and(|found| {
        found.is_file() && trusted(found.uid()) && found.mode() & 0o022 == 0 && found.len() == SHIM.len() as u64
    });
    ours && fs::read(path).is_ok_and(|bytes| bytes == SHIM)
}

fn trusted(owner: u32) -> bool {
    owner == 0 || owner == rustix::process::geteuid().as_raw()
}

fn write(path: &Path) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?;
    file.write_all(SHIM)?;
    // Whatever the umask says.
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("sockeye-preload-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn the_file_is_written_once_and_mended() {
        let directory = scratch("once").join("runtime");
        let path = install(&directory, 0o700).unwrap();
        assert_eq!(fs::read(&path).unwrap(), SHIM);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o755);
        let inode = fs::metadata(&path).unwrap().ino();
        assert_eq!(install(&directory, 0o700).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "not written again");
        fs::write(&path, b"half").unwrap();
        install(&directory, 0o700).unwrap();
        assert_eq!(fs::read(&path).unwrap(), SHIM, "mended");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no drafts left");
        fs::remove_dir_all(directory.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let directory = scratch("open");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(install(&directory, 0o700).is_err());
        let link = scratch("link").join("link");
        std::os::unix::fs::symlink(&directory, &link).unwrap();
        assert!(install(&link, 0o700).is_err());
        assert!(install(Path::new("/tmp/a:b"), 0o700).is_err());
        fs::remove_dir_all(&directory).unwrap();
        fs::remove_dir_all(link.parent().unwrap()).unwrap();
    }

    #[test]
    fn the_list_keeps_what_was_there() {
        let shim = Path::new("/run/sockeye/shim.so");
        assert_eq!(preload_list(shim, None), "/run/sockeye/shim.so");
        assert_eq!(preload_list(shim, Some("/a.so /b.so".into())), "/run/sockeye/shim.so:/a.so:/b.so");
        assert_eq!(preload_list(shim, Some("/run/sockeye/shim.so:/a.so".into())), "/run/sockeye/shim.so:/a.so");
        assert_eq!(preload_list(shim, Some("/a.so:/x/shim-0123456789abcdef.so".into())), "/run/sockeye/shim.so:/a.so");
    }
}
