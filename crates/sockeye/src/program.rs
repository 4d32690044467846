//! Can the shim reach this program?
//!
//! The shim is a library that the dynamic loader puts in front of the C library. A program that has no loader, that the
//! loader does not trust with strangers' libraries, or that calls the kernel past the C library would run on the
//! kernel's stack without a word. So the file is read before it is started, and refused with the reason:
//!
//! - an ELF file without `PT_INTERP` is linked statically;
//! - a Go program makes its system calls itself, linked dynamically or not (it bears a note of the owner `Go`);
//! - the loader must be that of the system's C library, for the machine that the shim is built for;
//! - setuid, setgid and file capabilities make the loader ignore `LD_PRELOAD` (ld.so(8), secure-execution mode).
//!
//! A script is as good as its interpreter, also by way of `env`. What a program itself starts later is not looked at.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Interpreters of interpreters; the kernel follows as many.
const MAX_DEPTH: usize = 5;
/// More of a `#!` line than this the kernel does not read.
const SCRIPT_LINE: usize = 256;
/// Program headers of a hostile file are not read beyond this.
const MAX_HEADERS: u16 = 512;
/// Nor notes.
const MAX_NOTE: u64 = 64 * 1024;

const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;

/// What keeps the shim out of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Obstacle {
    Static,
    Go,
    Machine,
    Loader(String),
    Setuid,
    Capabilities,
}

impl Obstacle {
    fn reason(&self) -> String {
        match self {
            Obstacle::Static => "is linked statically, so the shim cannot reach it; use a dynamically linked build".into(),
            Obstacle::Go => "is a Go program and calls the kernel past the C library, so the shim cannot reach it; use another program".into(),
            Obstacle::Machine => "is built for another machine than the shim; use a build for this one".into(),
            Obstacle::Loader(loader) => {
                format!("uses the loader {loader}, not that of the system's C library; use a build for glibc")
            }
            Obstacle::Setuid => {
                "is setuid or setgid, so the loader keeps the shim out; run it as its owner or use a plain copy".into()
            }
            Obstacle::Capabilities => {
                "has file capabilities, so the loader keeps the shim out; run it as root or use a plain copy".into()
            }
        }
    }
}

/// Finds PROGRAM as a shell would and refuses what the shim cannot reach.
pub(crate) fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    let path = locate(name)?;
    let mut current = path.clone();
    for _ in 0..MAX_DEPTH {
        let culprit = || {
            if current == path { show(name) } else { format!("{} (interpreter of {})", current.display(), show(name)) }
        };
        let kind = inspect(&current)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}; check its permissions", culprit())))?;
        match kind {
            Kind::Fine => return Ok(path),
            Kind::Obstructed(obstacle) => return Err(Failure::new(format!("{} {}", culprit(), obstacle.reason()))),
            Kind::Script(next) => current = locate(&next)?,
        }
    }
    Ok(path)
}

fn show(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

/// The file that execvp(3) would take.
fn locate(name: &OsStr) -> Result<PathBuf, Failure> {
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return match fs::metadata(&path) {
            Ok(found) if found.is_file() && found.mode() & 0o111 != 0 => Ok(path),
            Ok(found) if found.is_dir() => Err(Failure::new(format!("{} is a directory; name a program", show(name)))),
            Ok(_) => Err(Failure::new(format!("{} may not be executed; try chmod +x", show(name)))),
            Err(error) => Err(Failure::new(format!("cannot run {}: {error}; check the path", show(name)))),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0))
        .ok_or_else(|| Failure::new(format!("no program {} in PATH; check the name or give its path", show(name))))
}

/// What a file is to the shim.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Fine,
    Obstructed(Obstacle),
    Script(OsString),
}

fn inspect(path: &Path) -> io::Result<Kind> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // A file that may be run but not read can only be tried.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Kind::Fine),
        Err(error) => return Err(error),
    };
    let mut head = Vec::with_capacity(SCRIPT_LINE);
    file.by_ref().take(SCRIPT_LINE as u64).read_to_end(&mut head)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        return Ok(interpreter(line).map_or(Kind::Fine, Kind::Script));
    }
    if let Some(obstacle) = privileged(path)? {
        return Ok(Kind::Obstructed(obstacle));
    }
    if !head.starts_with(b"\x7fELF") {
        return Ok(Kind::Fine);
    }
    Ok(elf(&file, &head).map_or(Kind::Fine, Kind::Obstructed))
}

/// The program of a `#!` line; for `env` the one that it will look for.
fn interpreter(line: &[u8]) -> Option<OsString> {
    let line = line.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let program = words.next()?;
    let is_env = program.rsplit(|&byte| byte == b'/').next() == Some(b"env");
    let behind = is_env.then(|| words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))).flatten();
    Some(OsString::from_vec(behind.unwrap_or(program).to_vec()))
}

/// Would the kernel start this file with more privileges than ours?
fn privileged(path: &Path) -> io::Result<Option<Obstacle>> {
    let found = fs::metadata(path)?;
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let setuid = found.mode() & 0o4000 != 0 && found.uid() != user;
    let setgid = found.mode() & 0o2010 == 0o2010 && found.gid() != group;
    if setuid || setgid {
        return Ok(Some(Obstacle::Setuid));
    }
    let mut value = [0_u8; 64];
    let capabilities = rustix::fs::getxattr(path, "security.capability", &mut value[..]);
    if user != 0 && capabilities.is_ok_and(|len| len > 0) {
        return Ok(Some(Obstacle::Capabilities));
    }
    Ok(None)
}

/// Reads the program headers of a 64-bit ELF file in this machine's byte order.
fn elf(file: &File, head: &[u8]) -> Option<Obstacle> {
    const NATIVE_DATA: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
    let header = head.first_chunk::<64>()?;
    if header[4] != 2 || header[5] != NATIVE_DATA || half(header, 18) != machine() {
        return Some(Obstacle::Machine);
    }
    let table = long(header, 32);
    let (entry_len, entries) = (half(header, 54), half(header, 56).min(MAX_HEADERS));
    if entry_len < 56 {
        return None;
    }
    let mut loader = None;
    let mut go = false;
    for index in 0..entries {
        let mut entry = [0_u8; 56];
        let Some(at) = table.checked_add(u64::from(index) * u64::from(entry_len)) else { break };
        if file.read_exact_at(&mut entry, at).is_err() {
            break;
        }
        let (offset, len) = (long(&entry, 8), long(&entry, 32));
        match word(&entry, 0) {
            PT_INTERP => loader = Some(content(file, offset, len.min(4096))),
            PT_NOTE => go |= notes_of_go(&content(file, offset, len.min(MAX_NOTE))),
            _ => {}
        }
    }
    let Some(loader) = loader else { return Some(Obstacle::Static) };
    if go {
        return Some(Obstacle::Go);
    }
    let loader = String::from_utf8_lossy(loader.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned();
    let musl = loader.contains("ld-musl");
    (musl != cfg!(target_env = "musl")).then_some(Obstacle::Loader(loader))
}

/// Some bytes of a file; those that it does not have are zero.
fn content(file: &File, offset: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let mut filled = 0;
    while let Some(at) = offset.checked_add(filled as u64)
        && let Ok(count @ 1..) = file.read_at(&mut bytes[filled..], at)
    {
        filled += count;
    }
    bytes
}

/// Is one of these notes the build id that Go's linker writes?
fn notes_of_go(mut notes: &[u8]) -> bool {
    while let Some(header) = notes.first_chunk::<12>() {
        let (name_len, len) = (word(header, 0) as usize, word(header, 4) as usize);
        let rest = &notes[12..];
        if rest.starts_with(b"Go\0\0") && name_len == 4 {
            return true;
        }
        let (Some(name), Some(description)) = (padded(name_len), padded(len)) else { return false };
        match name.checked_add(description).and_then(|skip| rest.get(skip..)) {
            Some(next) => notes = next,
            None => return false,
        }
    }
    false
}

fn padded(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(4)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(value)
}

/// This machine's number in an ELF header.
const fn machine() -> u16 {
    if cfg!(target_arch = "x86_64") {
        62
    } else if cfg!(target_arch = "aarch64") {
        183
    } else if cfg!(target_arch = "riscv64") {
        243
    } else if cfg!(target_arch = "powerpc64") {
        21
    } else if cfg!(target_arch = "s390x") {
        22
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with these program headers: kind and content.
    fn elf_file(headers: &[(u32, &[u8])]) -> Vec<u8> {
        let mut file = vec![0_u8; 64 + 56 * headers.len()];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, if cfg!(target_endian = "little") { 1 } else { 2 }]);
        file[18..20].copy_from_slice(&machine().to_ne_bytes());
        file[32..40].copy_from_slice(&64_u64.to_ne_bytes());
        file[54..56].copy_from_slice(&56_u16.to_ne_bytes());
        file[56..58].copy_from_slice(&(headers.len() as u16).to_ne_bytes());
        for (index, (kind, content)) in headers.iter().enumerate() {
            let (at, offset) = (64 + 56 * index, file.len() as u64);
            file[at..at + 4].copy_from_slice(&kind.to_ne_bytes());
            file[at + 8..at + 16].copy_from_slice(&offset.to_ne_bytes());
            file[at + 32..at + 40].copy_from_slice(&(content.len() as u64).to_ne_bytes());
            file.extend_from_slice(content);
        }
        file
    }

    fn judge(name: &str, bytes: &[u8]) -> Kind {
        let path = std::env::temp_dir().join(format!("sockeye-program-{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        let kind = inspect(&path);
        fs::remove_file(&path).unwrap();
        kind.unwrap()
    }

    const LOADER: &[u8] = b"/lib64/ld-linux-x86-64.so.2\0";

    #[test]
    fn programs_are_judged_by_their_headers() {
        let go_note = [&4_u32.to_ne_bytes()[..], &4_u32.to_ne_bytes(), &4_u32.to_ne_bytes(), b"Go\0\0abcd"].concat();
        let gnu_note = [&4_u32.to_ne_bytes()[..], &4_u32.to_ne_bytes(), &3_u32.to_ne_bytes(), b"GNU\0abcd"].concat();
        assert_eq!(judge("dynamic", &elf_file(&[(PT_INTERP, LOADER), (PT_NOTE, &gnu_note)])), Kind::Fine);
        assert_eq!(judge("static", &elf_file(&[(PT_NOTE, &gnu_note)])), Kind::Obstructed(Obstacle::Static));
        let both = [gnu_note, go_note].concat();
        assert_eq!(judge("go", &elf_file(&[(PT_INTERP, LOADER), (PT_NOTE, &both)])), Kind::Obstructed(Obstacle::Go));
        let musl = b"/lib/ld-musl-x86_64.so.1\0";
        assert!(matches!(judge("musl", &elf_file(&[(PT_INTERP, musl)])), Kind::Obstructed(Obstacle::Loader(_))));
        let mut other = elf_file(&[(PT_INTERP, LOADER)]);
        other[4] = 1;
        assert_eq!(judge("narrow", &other), Kind::Obstructed(Obstacle::Machine));
    }

    #[test]
    fn lying_headers_do_no_harm() {
        let sound = elf_file(&[(PT_INTERP, LOADER), (PT_NOTE, &[0xff; 40])]);
        for len in 0..sound.len() {
            judge("cut", &sound[..len]);
        }
        let mut far = sound.clone();
        far[32..40].copy_from_slice(&u64::MAX.to_ne_bytes());
        judge("far", &far);
        let mut many = sound;
        many[56..58].copy_from_slice(&u16::MAX.to_ne_bytes());
        judge("many", &many);
        assert!(!notes_of_go(&[0xff; 64]));
    }

    #[test]
    fn scripts_name_their_interpreter() {
        for (line, expected) in [
            ("#!/bin/sh\nexit 0\n", "/bin/sh"),
            ("#! /usr/bin/python3 -u\n", "/usr/bin/python3"),
            ("#!/usr/bin/env python3\n", "python3"),
            ("#!/usr/bin/env -S A=1 perl -w\n", "perl"),
            ("#!/usr/bin/env\n", "/usr/bin/env"),
        ] {
            assert_eq!(judge("script", line.as_bytes()), Kind::Script(expected.into()), "{line}");
        }
        assert_eq!(judge("empty", b"#!\n"), Kind::Fine);
        assert_eq!(judge("text", b"echo hello\n"), Kind::Fine);
    }

    #[test]
    fn a_missing_program_is_named() {
        assert!(find(OsStr::new("no-such-program-at-all")).unwrap_err().to_string().contains("no-such-program-at-all"));
        assert!(find(OsStr::new("/dev/null/x")).unwrap_err().to_string().contains("/dev/null/x"));
        find(OsStr::new("sh")).unwrap();
    }
}
