//! What a program starts: it stays on the node.
//!
//! The loader takes the shim, and the shim the way to the node, from the environment. Two things get lost on the way to a new program:
//!
//! - *The environment*: `env -i`, sshd for its sessions and sudo begin with a new one. So what was there when this program was loaded is put back
//!   ([`environ`](mod@environ)), and nothing else is touched: who has set another path to a node, or other libraries, keeps them. `LD_PRELOAD=` (set, to nothing) says that the
//!   new program shall do without the shim, and is on the kernel's network.
//! - *Files with capabilities*: the loader heeds no `LD_PRELOAD` for them. If theirs are of the network alone, of which the node decides and not the
//!   kernel, the loader itself is started, with the file as its argument ([`loader`]). What the kernel would call the process is then set at load, and where
//!   `/proc/self/exe` leads is answered ([`origin`]).
//!
//! Of anything that does not fit (no memory, a file that cannot be read) libc's call is made as it came: no start fails because of the shim.
//!
//! This runs between `vfork` and `exec`, in memory that is the parent's: nothing is written but what is on the stack, or in memory of its own that is given back
//! when the call comes back ([`room`]). A program that lacks nothing pays for a look at its environment, and, who is not root, for one at the file's attributes.
//!
//! `system`, `popen` and `wordexp` start a shell within libc, with the environment as the program has it.
//!
//! # Standards
//!
//! execve(2), exec(3), fexecve(3), execveat(2), posix_spawn(3), environ(7), capabilities(7), ld.so(8).

mod environ;
mod listed;
mod loader;
mod origin;
mod room;

use crate::{interpose, real, sandbox};
use environ::Gaps;
use libc::{c_char, c_int, c_void, pid_t};

pub(crate) use origin::{link_to_program, remember};

/// A list of texts that ends with a null pointer, C's `argv` and `envp`.
type Vector = *const *const c_char;

/// How a call names the file that it starts.
#[derive(Clone, Copy)]
enum File {
    /// By a path.
    Path(*const c_char),
    /// By a name to look for in `PATH`, if there is no slash in it.
    Search(*const c_char),
    /// In another way, which is left to the kernel.
    Other,
}

unsafe extern "C" {
    static environ: Vector;
}

/// The program's environment, as it is now.
fn current() -> Vector {
    // SAFETY: libc's variable; a program that changes it in another thread meanwhile does so to libc, too.
    unsafe { environ }
}

interpose! {
    /// `execve(2)`.
    fn execve(path: *const c_char, argv: Vector, envp: Vector) -> c_int {
        // SAFETY: the program's own arguments as they came, or ones made of them.
        start(File::Path(path), argv, envp, |path, argv, envp| unsafe { real::execve(path, argv, envp) })
    }

    /// `execv(3)`.
    fn execv(path: *const c_char, argv: Vector) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { execve(path, argv, current()) }
    }

    /// `execvpe(3)`.
    fn execvpe(file: *const c_char, argv: Vector, envp: Vector) -> c_int {
        // SAFETY: the program's own arguments as they came, or ones made of them.
        start(File::Search(file), argv, envp, |file, argv, envp| unsafe { real::execvpe(file, argv, envp) })
    }

    /// `execvp(3)`.
    fn execvp(file: *const c_char, argv: Vector) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { execvpe(file, argv, current()) }
    }

    /// `fexecve(3)`.
    fn fexecve(fd: c_int, argv: Vector, envp: Vector) -> c_int {
        // SAFETY: the program's own arguments as they came, or ones made of them.
        start(File::Other, argv, envp, |_, argv, envp| unsafe { real::fexecve(fd, argv, envp) })
    }

    /// `execveat(2)`.
    fn execveat(directory: c_int, path: *const c_char, argv: Vector, envp: Vector, flags: c_int) -> c_int {
        if directory == libc::AT_FDCWD && flags == 0 {
            // SAFETY: the caller's promise.
            return unsafe { execve(path, argv, envp) };
        }
        // SAFETY: the program's own arguments as they came, or ones made of them.
        start(File::Other, argv, envp, |_, argv, envp| unsafe { real::execveat(directory, path, argv, envp, flags) })
    }

    /// `posix_spawn(3)`.
    fn posix_spawn(pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, argv: Vector, envp: Vector) -> c_int {
        // SAFETY: the program's own arguments as they came, or ones made of them.
        start(File::Path(path), argv, envp, |path, argv, envp| unsafe { real::posix_spawn(pid, path, actions, attributes, argv, envp) })
    }

    /// `posix_spawnp(3)`.
    fn posix_spawnp(pid: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void, argv: Vector, envp: Vector) -> c_int {
        // SAFETY: the program's own arguments as they came, or ones made of them.
        start(File::Search(file), argv, envp, |file, argv, envp| unsafe { real::posix_spawnp(pid, file, actions, attributes, argv, envp) })
    }
}

/// Makes a call with what it takes to stay on the node.
#[inline]
fn start(file: File, argv: Vector, envp: Vector, call: impl FnOnce(*const c_char, Vector, Vector) -> c_int) -> c_int {
    let file = match file {
        File::Path(path) => File::Path(origin::program_behind(path).unwrap_or(path)),
        other => other,
    };
    let plain = match file {
        File::Path(path) | File::Search(path) => path,
        File::Other => std::ptr::null(),
    };
    let Some(ours) = origin::ours() else { return call(plain, argv, envp) };
    let gaps = Gaps::of(envp, &ours).filter(|_| loader::can_take(ours.library));
    let mut found = loader::Name::new();
    let is_capable = loader::is_capable(file, &mut found);
    if gaps.is_none() && !is_capable {
        return call(plain, argv, envp);
    }
    mended(&ours, gaps, is_capable.then_some(&found), [argv, envp], |path, argv, envp| {
        call(path.unwrap_or(plain), argv, envp)
    })
}

/// The same, where something is to be put back or the loader to be started: as far as it can be done.
#[inline(never)]
fn mended(
    ours: &environ::Ours,
    gaps: Option<Gaps>,
    capable: Option<&loader::Name>,
    [argv, envp]: [Vector; 2],
    call: impl FnOnce(Option<*const c_char>, Vector, Vector) -> c_int,
) -> c_int {
    let mut interpreter = loader::Name::new();
    let argument = capable.and_then(|file| loader::Argument::of(file, argv, &mut interpreter));
    let need = gaps.as_ref().map_or(0, |gaps| gaps.room(ours)) + argument.as_ref().map_or(0, loader::Argument::room);
    room::with(need, |room| {
        let Some(room) = room else { return call(None, argv, envp) };
        let envp = gaps.and_then(|gaps| gaps.filled(ours, envp, room)).unwrap_or(envp);
        match argument.as_ref().and_then(|argument| argument.vector(argv, room)) {
            Some(argv) => call(Some(interpreter.as_ptr()), argv, envp),
            None => call(None, argv, envp),
        }
    })
}

/// Whether the process may make the calls that it takes to look at files.
fn may_look() -> bool {
    !sandbox::forbids(sandbox::Call::Look)
}
