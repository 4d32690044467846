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
//! One kind of file is not refused: capabilities of the network alone, as ping has them, are nothing that a program on a node needs of the kernel,
//! since the node decides by its own rules. It is started as an argument of its loader ([`Found::loader`], and `sockeye_control::program` for why).
//!
//! A script is as good as its interpreter, also by way of `env`. What a program itself starts later is the shim's business.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use sockeye_control::program::{self, PT_INTERP, PT_NOTE, Segment, Segments};

use crate::failure::Failure;

/// Interpreters of interpreters; the kernel follows as many.
const MAX_DEPTH: usize = 5;
/// More of a `#!` line than this the kernel does not read.
const SCRIPT_LINE: usize = 256;
/// Notes of a hostile file are not read beyond this.
const MAX_NOTE: u64 = 64 * 1024;

/// What keeps the shim out of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Obstacle {
    Static,
    Go,
    Machine,
    Loader(String),
    Setuid,
    Capabilities,
    Interpreter,
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
                "has file capabilities beyond the network, so the loader keeps the shim out; run it as root or use a plain copy".into()
            }
            Obstacle::Interpreter => {
                "has file capabilities, so the loader keeps the shim out; give it as the program, and the script as its argument".into()
            }
        }
    }
}

/// A program that the shim can reach.
#[derive(Debug)]
pub(crate) struct Found {
    /// The file.
    pub(crate) path: PathBuf,
    /// The loader, if the file must be started as its argument.
    pub(crate) loader: Option<PathBuf>,
}

/// Finds PROGRAM as a shell would and refuses what the shim cannot reach.
pub(crate) fn find(name: &OsStr) -> Result<Found, Failure> {
    let path = locate(name)?;
    let (mut current, mut by_env) = (path.clone(), false);
    for _ in 0..MAX_DEPTH {
        let culprit = || {
            if current == path { show(name) } else { format!("{} (interpreter of {})", current.display(), show(name)) }
        };
        let kind = inspect(&current)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}; check its permissions", culprit())))?;
        match kind {
            Kind::Fine => return Ok(Found { path, loader: None }),
            Kind::Argument(loader) if current == path => return Ok(Found { path, loader: Some(loader.into()) }),
            // `env` will start it, and the shim in `env` knows how.
            Kind::Argument(_) if by_env => return Ok(Found { path, loader: None }),
            Kind::Argument(_) => {
                return Err(Failure::new(format!("{} {}", culprit(), Obstacle::Interpreter.reason())));
            }
            Kind::Obstructed(obstacle) => return Err(Failure::new(format!("{} {}", culprit(), obstacle.reason()))),
            Kind::Script { interpreter, is_env } => (current, by_env) = (locate(&interpreter)?, is_env),
        }
    }
    Ok(Found { path, loader: None })
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
    /// The loader heeds `LD_PRELOAD` if it is started itself, with this file as its argument.
    Argument(OsString),
    Obstructed(Obstacle),
    Script {
        interpreter: OsString,
        is_env: bool,
    },
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
        return Ok(interpreter(line).unwrap_or(Kind::Fine));
    }
    let privileges = privileged(path)?;
    if let Privileges::Beyond(obstacle) = privileges {
        return Ok(Kind::Obstructed(obstacle));
    }
    let Some(header) = head.first_chunk().filter(|_| head.starts_with(b"\x7fELF")) else { return Ok(Kind::Fine) };
    Ok(match elf(&file, header) {
        Ok(loader) if privileges == Privileges::Network => Kind::Argument(loader),
        Ok(_) => Kind::Fine,
        Err(obstacle) => Kind::Obstructed(obstacle),
    })
}

/// The program of a `#!` line; for `env` the one that it will look for.
fn interpreter(line: &[u8]) -> Option<Kind> {
    let line = line.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let program = words.next()?;
    let is_env = program.rsplit(|&byte| byte == b'/').next() == Some(b"env");
    let behind = is_env.then(|| words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))).flatten();
    let interpreter = OsString::from_vec(behind.unwrap_or(program).to_vec());
    Some(Kind::Script { interpreter, is_env: behind.is_some() })
}

/// More privileges than ours.
#[derive(Debug, PartialEq, Eq)]
enum Privileges {
    None,
    /// Over the network alone, of which the node decides.
    Network,
    Beyond(Obstacle),
}

/// With which would the kernel start this file?
fn privileged(path: &Path) -> io::Result<Privileges> {
    let found = fs::metadata(path)?;
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let setuid = found.mode() & 0o4000 != 0 && found.uid() != user;
    let setgid = found.mode() & 0o2010 == 0o2010 && found.gid() != group;
    if setuid || setgid {
        return Ok(Privileges::Beyond(Obstacle::Setuid));
    }
    let mut value = [0_u8; 64];
    let capabilities = rustix::fs::getxattr(path, program::CAPABILITIES, &mut value[..]);
    Ok(match capabilities.ok().and_then(|len| value.get(..len)) {
        None | Some([]) => Privileges::None,
        Some(_) if user == 0 => Privileges::None,
        Some(capabilities) if program::of_network_alone(capabilities) => Privileges::Network,
        Some(_) => Privileges::Beyond(Obstacle::Capabilities),
    })
}

/// Reads the program headers: the loader of a program that it can put the shim into.
fn elf(file: &File, header: &[u8; program::HEADER]) -> Result<OsString, Obstacle> {
    let segments = Segments::of(header).ok_or(Obstacle::Machine)?;
    let mut loader = None;
    let mut go = false;
    for place in segments.places() {
        let mut bytes = [0; program::SEGMENT];
        if file.read_exact_at(&mut bytes, place).is_err() {
            break;
        }
        let segment = Segment::of(&bytes);
        match segment.kind {
            PT_INTERP => loader = Some(content(file, segment.offset, segment.len.min(4096))),
            PT_NOTE => go |= program::notes_of_go(&content(file, segment.offset, segment.len.min(MAX_NOTE))),
            _ => {}
        }
    }
    let loader = loader.ok_or(Obstacle::Static)?;
    if go {
        return Err(Obstacle::Go);
    }
    let loader = loader.split(|&byte| byte == 0).next().unwrap_or_default();
    if program::is_of_musl(loader) {
        return Err(Obstacle::Loader(String::from_utf8_lossy(loader).into_owned()));
    }
    Ok(OsString::from_vec(loader.to_vec()))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with these program headers: kind and content.
    fn elf_file(headers: &[(u32, &[u8])]) -> Vec<u8> {
        let mut file = vec![0_u8; 64 + 56 * headers.len()];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, if cfg!(target_endian = "little") { 1 } else { 2 }]);
        file[18..20].copy_from_slice(&program::MACHINE.to_ne_bytes());
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
            let is_env = line.contains("env ");
            let expected = Kind::Script { interpreter: expected.into(), is_env };
            assert_eq!(judge("script", line.as_bytes()), expected, "{line}");
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
