//! Files that are started as an argument of their loader: `ld.so --argv0 NAME FILE ARGUMENTS...`.
//!
//! Such are files with capabilities of the network alone (`sockeye_control::program` says why), for who is not root: root's the loader trusts as they are. The
//! file must be one that the loader can start: it is dynamic, for this machine and of this C library, it can be read, and is not set-id. All others are
//! started as ever, without the shim: scripts whose interpreter has capabilities among them.

use super::environ::Reader;
use super::room::Room;
use super::{File, Vector, may_look};
use crate::environment;
use crate::sys::{Descriptor, files};
use libc::c_char;
use sockeye_control::program::{
    CAPABILITIES, HEADER, PT_INTERP, PT_NOTE, SEGMENT, Segment, Segments, is_of_musl, notes_of_go, of_network_alone,
};
use std::ffi::CStr;

/// Paths that are longer are not looked at.
const LONGEST: usize = 1024;
/// No call has more arguments that the kernel takes.
const MOST: usize = 1 << 21;
/// Where `execvp` looks if nobody says otherwise.
const USUAL: &[u8] = b"/bin:/usr/bin";

/// A path, with a zero byte behind it.
pub(super) struct Name {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Name {
    pub(super) fn new() -> Name {
        Name { bytes: [0; LONGEST], len: 0 }
    }

    fn set(&mut self, parts: &[&[u8]]) -> Option<()> {
        self.len = 0;
        for part in parts {
            let end = self.len + part.len();
            // The last byte stays free for the zero.
            self.bytes[..LONGEST - 1].get_mut(self.len..end)?.copy_from_slice(part);
            self.len = end;
        }
        self.bytes[self.len] = 0;
        Some(())
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

/// Whether the loader will find this library, which it may not in another root directory, or as another user.
pub(super) fn can_take(library: &[u8]) -> bool {
    // It is C's text: there is a zero byte behind it.
    !may_look() || files::may(library.as_ptr().cast(), libc::R_OK)
}

/// Whether a file has capabilities, of the network alone, that keep the shim out; and its path.
pub(super) fn is_capable(file: File, path: &mut Name) -> bool {
    if matches!(file, File::Other) || !may_look() || files::user() == 0 {
        return false;
    }
    look(file, path).unwrap_or(false)
}

fn look(file: File, path: &mut Name) -> Option<bool> {
    let mut reader = Reader::new();
    let name = match file {
        File::Path(path) | File::Search(path) => path,
        File::Other => return None,
    };
    if matches!(file, File::Path(_)) {
        // Nearly all have none, and that is one call.
        if !bears(name) {
            return None;
        }
        path.set(&[reader.text(name).ok()?])?;
        return Some(true);
    }
    let name = reader.text(name).ok()?;
    if name.is_empty() {
        return None;
    }
    if name.contains(&b'/') {
        path.set(&[name])?;
        return Some(bears(path.as_ptr()));
    }
    for directory in environment::variable(c"PATH").unwrap_or(USUAL).split(|&byte| byte == b':') {
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        if path.set(&[directory, slash, name]).is_none() || !files::may(path.as_ptr(), libc::X_OK) {
            continue;
        }
        if files::mode(path.as_ptr()).is_ok_and(|mode| mode & libc::S_IFMT == libc::S_IFREG) {
            return Some(bears(path.as_ptr()));
        }
    }
    None
}

/// Whether a file has capabilities of the network alone.
fn bears(path: *const c_char) -> bool {
    let mut value = [0; 64];
    files::attribute(path, CAPABILITIES, &mut value).is_ok_and(|len| value.get(..len).is_some_and(of_network_alone))
}

/// A file that its loader starts.
pub(super) struct Argument<'a> {
    path: &'a [u8],
    /// How many arguments there are, with the name.
    count: usize,
}

impl Argument<'_> {
    /// `None` if its loader cannot; else the loader's path is written.
    pub(super) fn of<'a>(file: &'a Name, argv: Vector, loader: &mut Name) -> Option<Argument<'a>> {
        let mode = files::mode(file.as_ptr()).ok()?;
        let is_plain = mode & libc::S_IFMT == libc::S_IFREG && mode & (libc::S_ISUID | libc::S_ISGID) == 0;
        if !is_plain || !files::may(file.as_ptr(), libc::X_OK) {
            return None;
        }
        interpreter(&files::open(file.as_ptr(), libc::O_RDONLY).ok()?, loader)?;
        let mut reader = Reader::new();
        let mut count = 0;
        while !argv.is_null() && !reader.pointer(argv.wrapping_add(count)).ok()?.is_null() {
            count += 1;
            if count > MOST {
                return None;
            }
        }
        // The loader would take its own first argument for the program's name.
        (count > 0).then_some(Argument { path: file.as_bytes(), count })
    }

    pub(super) fn room(&self) -> usize {
        Room::of_pointers(self.count + 4) + Room::of_text(2 + self.path.len())
    }

    /// The loader's arguments.
    pub(super) fn vector(&self, argv: Vector, room: &mut Room) -> Option<Vector> {
        let list = room.pointers(self.count + 4)?;
        let name = Reader::new().pointer(argv).ok()?;
        let mut head = list.iter_mut();
        // What `ps` shows begins with the name that the program was given.
        *head.next()? = name;
        if knows_names() {
            *head.next()? = c"--argv0".as_ptr();
            *head.next()? = name;
        }
        // A path without a slash the loader would look for, and one that begins with a dash it would take for an option.
        let here: &[u8] = if self.path.starts_with(b"/") { b"" } else { b"./" };
        *head.next()? = room.text([here, self.path])?;
        crate::memory::read_array(argv.wrapping_add(1), head.into_slice().get_mut(..self.count - 1)?).ok()?;
        Some(list.as_ptr())
    }
}

/// Whether the loader can be told the program's name, as since glibc 2.33. Before, a program is told its path instead.
fn knows_names() -> bool {
    // SAFETY: a text of libc's, for good.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) }.to_bytes();
    let mut numbers = version.split(|&byte| byte == b'.').map(|digits| {
        digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0u32, |number, byte| number.saturating_mul(10).saturating_add(u32::from(byte - b'0')))
    });
    (numbers.next(), numbers.next()) >= (Some(2), Some(33))
}

/// Writes the path of the loader of a program that the shim can be in.
fn interpreter(file: &Descriptor, loader: &mut Name) -> Option<()> {
    let mut header = [0; HEADER];
    read(file, &mut header, 0)?;
    let mut found = false;
    for place in Segments::of(&header)?.places() {
        let mut bytes = [0; SEGMENT];
        read(file, &mut bytes, place)?;
        let Segment { kind, offset, len } = Segment::of(&bytes);
        let len = usize::try_from(len).ok()?;
        match kind {
            PT_INTERP => {
                let path = loader.bytes.get_mut(..len).filter(|path| !path.is_empty())?;
                read(file, path, offset)?;
                loader.len = path.iter().position(|&byte| byte == 0)?;
                found = true;
            }
            PT_NOTE => {
                let mut notes = [0; 512];
                let len = len.min(notes.len());
                let len = files::read_at(file, &mut notes[..len], offset).ok()?;
                if notes_of_go(&notes[..len]) {
                    return None;
                }
            }
            _ => {}
        }
    }
    (found && loader.as_bytes().starts_with(b"/") && !is_of_musl(loader.as_bytes())).then_some(())
}

/// Reads all of it.
fn read(file: &Descriptor, bytes: &mut [u8], place: u64) -> Option<()> {
    (files::read_at(file, bytes, place) == Ok(bytes.len())).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    fn name(path: &str) -> Name {
        let mut name = Name::new();
        name.set(&[path.as_bytes()]).unwrap();
        name
    }

    /// What the loader of a program would be started with.
    fn started(path: &str, arguments: &[&str]) -> Option<(String, Vec<String>)> {
        let texts: Vec<_> = arguments.iter().map(|text| CString::new(*text).unwrap()).collect();
        let list: Vec<_> = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        let (file, mut loader) = (name(path), Name::new());
        let argument = Argument::of(&file, list.as_ptr(), &mut loader)?;
        super::super::room::with(argument.room(), |room| {
            let mut at = argument.vector(list.as_ptr(), room.unwrap()).unwrap();
            let mut made = Vec::new();
            // SAFETY: a list that ends with a null pointer, of texts that end with a zero byte.
            unsafe {
                while !(*at).is_null() {
                    made.push(CStr::from_ptr(*at).to_str().unwrap().to_owned());
                    at = at.add(1);
                }
            }
            Some((String::from_utf8(loader.as_bytes().to_vec()).unwrap(), made))
        })
    }

    #[test]
    fn a_loader_is_started_with_the_name_the_file_and_the_arguments() {
        let own = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
        let (loader, made) = started(&own, &["name", "-a", ""]).unwrap();
        assert!(loader.contains("/ld-linux"), "{loader}");
        assert_eq!(made, ["name", "--argv0", "name", &own, "-a", ""]);
        let many = vec!["x"; 2000];
        assert_eq!(started(&own, &many).unwrap().1.len(), 2003);
        assert_eq!(started(&own, &[]), None, "there is no name");
    }

    #[test]
    fn what_its_loader_cannot_start_is_left_alone() {
        for path in ["/", "/dev/null", "/etc/passwd", "/no/such/file", env!("CARGO_MANIFEST_PATH")] {
            assert_eq!(started(path, &["x"]), None, "{path}");
        }
        // A loader has no loader.
        let own = std::env::current_exe().unwrap();
        let (loader, _) = started(own.to_str().unwrap(), &["x"]).unwrap();
        assert_eq!(started(&loader, &["x"]), None);
    }

    #[test]
    fn paths_that_are_too_long_are_refused() {
        let mut name = Name::new();
        assert!(name.set(&[&[b'x'; LONGEST - 1]]).is_some());
        assert!(name.set(&[&[b'x'; LONGEST - 1], b"y"]).is_none());
    }
}
