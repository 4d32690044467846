//! What the environment says, as it was when the program was loaded.
//!
//! Programs change their environment (nginx empties its workers'), so the control path is worked out once, at load. A call that
//! comes even earlier works it out for itself.
//!
//! `SOCKEYE_DEBUG` (set to anything) lets the shim say on standard error what a node refused and why, and once in a process that
//! there is no node.

use crate::sys::{self, Errno};
use sockeye_control::{ControlPath, PathError};
use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

struct Remembered {
    ready: AtomicBool,
    path: UnsafeCell<Result<ControlPath, PathError>>,
}

// SAFETY: the path is written once, before `ready` is set, by the thread that loads the program, and only read after.
unsafe impl Sync for Remembered {}

static REMEMBERED: Remembered =
    Remembered { ready: AtomicBool::new(false), path: UnsafeCell::new(Err(PathError::Unset)) };
/// The path stood in the environment.
static SET: AtomicBool = AtomicBool::new(false);
static DEBUG: AtomicBool = AtomicBool::new(false);
static COMPLAINED: AtomicBool = AtomicBool::new(false);

/// Reads the environment, at load.
pub(crate) fn remember() {
    if REMEMBERED.ready.load(Ordering::Acquire) {
        return;
    }
    DEBUG.store(variable(c"SOCKEYE_DEBUG").is_some(), Ordering::Relaxed);
    SET.store(variable(c"SOCKEYE_CONTROL").is_some(), Ordering::Relaxed);
    // SAFETY: `ready` is not set, so nobody reads; and only the loader calls this, once.
    unsafe { *REMEMBERED.path.get() = work_out() };
    REMEMBERED.ready.store(true, Ordering::Release);
}

/// Where the node is.
pub(crate) fn control_path() -> Result<ControlPath, PathError> {
    if REMEMBERED.ready.load(Ordering::Acquire) {
        // SAFETY: `ready` is set, so nobody writes any more.
        unsafe { *REMEMBERED.path.get() }
    } else {
        work_out()
    }
}

/// The way to the node for who is started: the path, and whether it stood in the environment. None before the program is loaded.
pub(crate) fn way() -> (Option<&'static [u8]>, bool) {
    if !REMEMBERED.ready.load(Ordering::Acquire) {
        return (None, false);
    }
    // SAFETY: `ready` is set, so nobody writes any more.
    let path = unsafe { &*REMEMBERED.path.get() };
    (path.as_ref().ok().map(ControlPath::as_bytes), SET.load(Ordering::Relaxed))
}

fn work_out() -> Result<ControlPath, PathError> {
    // SAFETY: has no condition and cannot fail.
    let user = unsafe { libc::geteuid() };
    ControlPath::default(variable(c"SOCKEYE_CONTROL"), variable(c"XDG_RUNTIME_DIR"), user)
}

/// A variable as it is now.
pub(crate) fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: the value ends in a zero byte; what is kept of it is copied at once, before the program can change it.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}

/// Says that a node refused something.
pub(crate) fn tell_refusal(errno: Errno, reason: &str) {
    if DEBUG.load(Ordering::Relaxed) {
        Line::new().text("sockeye: ").text(reason).text(" (errno ").number(errno.0.unsigned_abs()).text(")").say();
    }
}

/// Says that there is no node, once.
pub(crate) fn tell_absence(errno: Errno) {
    if DEBUG.load(Ordering::Relaxed) && !COMPLAINED.swap(true, Ordering::Relaxed) {
        let line = Line::new().text("sockeye: no node answers at ");
        let line = match &control_path() {
            Ok(path) => line.bytes(path.as_bytes()),
            Err(_) => line.text("any path; set SOCKEYE_CONTROL"),
        };
        line.text(" (errno ").number(errno.0.unsigned_abs()).text(")").say();
    }
}

/// A line of text without the heap.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    fn new() -> Line {
        Line { bytes: [0; 256], len: 0 }
    }

    /// Adds what fits; the last byte is kept for the end of the line.
    fn bytes(mut self, bytes: &[u8]) -> Line {
        let room = (self.bytes.len() - 1).saturating_sub(self.len);
        for &byte in bytes.iter().take(room) {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        self
    }

    fn text(self, text: &str) -> Line {
        self.bytes(text.as_bytes())
    }

    fn number(self, number: u32) -> Line {
        let line = if number >= 10 { self.number(number / 10) } else { self };
        line.bytes(&[b'0' + (number % 10) as u8])
    }

    fn say(mut self) {
        self.bytes[self.len] = b'\n';
        sys::write(2, &self.bytes[..=self.len]);
    }
}
