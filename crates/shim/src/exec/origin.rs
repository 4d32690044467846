//! Where this program comes from, as it was when it was loaded: the library, the way to the node, and its own file.
//!
//! A program that the loader was started for ([`loader`](super::loader)) seems to be the loader: the kernel names the process so, and `/proc/self/exe` leads there.
//! The name is set at load. Where the link leads is answered by `readlink`, and a start of it is one of the program's own file. It is known by that the kernel has
//! loaded no loader for it (`AT_BASE`).

use super::environ::{Ours, PRELOAD, contains};
use crate::environment;
use crate::sys::{self, files};
use libc::{c_char, c_void};
use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// This library's path, if it is here by `LD_PRELOAD`.
static LIBRARY: AtomicPtr<c_char> = AtomicPtr::new(null_mut());

/// A path that is written once.
struct Written {
    len: AtomicUsize,
    bytes: UnsafeCell<[u8; libc::PATH_MAX as usize]>,
}

// SAFETY: the bytes are written before the length is set, once, by the thread that loads the program, and only read after.
unsafe impl Sync for Written {}

/// The program's own file, if the loader was started for it.
static PROGRAM: Written = Written { len: AtomicUsize::new(0), bytes: UnsafeCell::new([0; libc::PATH_MAX as usize]) };

/// Looks where the program comes from, at load.
pub(crate) fn remember() {
    remember_library();
    // SAFETY: has no condition.
    let (base, path) = unsafe { (libc::getauxval(libc::AT_BASE), libc::getauxval(libc::AT_EXECFN) as *const c_char) };
    if base == 0 && !path.is_null() {
        // SAFETY: the loader has put the program's path there, which ends in a zero byte.
        remember_program(unsafe { CStr::from_ptr(path) });
    }
}

fn remember_library() {
    // SAFETY: all null is a valid structure, which the call fills.
    let mut about: libc::Dl_info = unsafe { std::mem::zeroed() };
    let here = remember as fn() as *const c_void;
    // SAFETY: an address within this library.
    if unsafe { libc::dladdr(here, &mut about) } == 0 || about.dli_fname.is_null() {
        return;
    }
    // SAFETY: the loader's own text, which lasts as long as the library.
    let path = unsafe { CStr::from_ptr(about.dli_fname) }.to_bytes();
    let list = environment::variable(PRELOAD_NAME).unwrap_or_default();
    if path.starts_with(b"/") && contains(list, path) {
        LIBRARY.store(about.dli_fname.cast_mut(), Ordering::Release);
    }
}

const PRELOAD_NAME: &CStr = c"LD_PRELOAD";
const _: () = assert!(PRELOAD_NAME.count_bytes() + 1 == PRELOAD.len());

fn remember_program(path: &CStr) {
    if let Some(name) = path.to_bytes().rsplit(|&byte| byte == b'/').next() {
        files::call_process(name);
    }
    // SAFETY: the length is not set, so nobody reads; and only the loader's thread comes here.
    let bytes = unsafe { &mut *PROGRAM.bytes.get() };
    // The last byte stays zero.
    let room = bytes.len() - 1;
    if let Ok(len) = files::whole_path(path, &mut bytes[..room]) {
        PROGRAM.len.store(len, Ordering::Release);
    }
}

/// What keeps a program on the node, if this one is there by `LD_PRELOAD`.
pub(super) fn ours<'a>() -> Option<Ours<'a>> {
    let library = LIBRARY.load(Ordering::Acquire);
    if library.is_null() {
        return None;
    }
    // SAFETY: the loader's own text, which lasts as long as the library.
    let library = unsafe { CStr::from_ptr(library) }.to_bytes();
    let (control, control_was_set) = environment::way();
    Some(Ours { library, control, control_was_set })
}

/// The program's own file, with a zero byte behind it.
fn program() -> Option<&'static [u8]> {
    let len = PROGRAM.len.load(Ordering::Acquire);
    if len == 0 {
        return None;
    }
    // SAFETY: the length is set, so nobody writes any more.
    unsafe { &*PROGRAM.bytes.get() }.get(..=len)
}

const LINK: &[u8] = b"/proc/self/exe\0";

/// The program's own file, if a path is the link to it that leads to the loader.
pub(super) fn program_behind(path: *const c_char) -> Option<*const c_char> {
    let program = program()?;
    super::environ::Reader::new().begins(path, LINK).ok()?.then_some(program.as_ptr().cast())
}

/// Where that link should lead.
pub(crate) fn link_to_program(path: *const c_char) -> Option<&'static [u8]> {
    let program = program()?;
    let path = super::environ::Reader::new().text(path).ok()?;
    let own = || {
        let number = path.strip_prefix(b"/proc/")?.strip_suffix(b"/exe")?;
        std::str::from_utf8(number).ok()?.parse::<libc::pid_t>().ok().filter(|&number| number == sys::process())
    };
    (Some(path) == LINK.strip_suffix(b"\0") || own().is_some()).then(|| &program[..program.len() - 1])
}
