//! `execl`, `execlp` and `execle`, whose arguments are a list of any length.
//!
//! Stable Rust cannot define such functions, but a list of pointers is where the machine's calling convention has it: the first ones in registers, the others
//! on the stack. So a few instructions put those of the registers in front of the others, which makes of all of them the vector that `execv` takes.
//! Where this is not written for a machine, they are libc's: a program that has emptied its environment, or starts a file with capabilities, leaves the
//! node by them.

use super::environ::Reader;
use super::{Vector, current, execve, execvpe};
use libc::{c_char, c_int};

/// # Safety
///
/// As for `execv`.
unsafe extern "C" fn by_path(path: *const c_char, list: Vector) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { execve(path, list, current()) }
}

/// # Safety
///
/// As for `execvp`.
unsafe extern "C" fn by_name(file: *const c_char, list: Vector) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { execvpe(file, list, current()) }
}

/// # Safety
///
/// As for `execv`; the environment stands behind the list's end.
unsafe extern "C" fn with_environment(path: *const c_char, list: Vector) -> c_int {
    let mut reader = Reader::new();
    let mut at = list;
    while reader.pointer(at).is_ok_and(|argument| !argument.is_null()) {
        at = at.wrapping_add(1);
    }
    let envp = reader.pointer(at.wrapping_add(1)).unwrap_or(std::ptr::null());
    // SAFETY: the caller's promise.
    unsafe { execve(path, list, envp.cast()) }
}

macro_rules! listed {
    ($( $(#[$attribute:meta])* fn $name:ident = $then:ident; )*) => {
        $(
            $(#[$attribute])*
            ///
            /// # Safety
            ///
            /// As for the function of libc whose place it takes.
            #[cfg(target_arch = "x86_64")]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            #[cfg_attr(test, allow(dead_code))]
            #[unsafe(naked)]
            pub(crate) unsafe extern "C" fn $name() -> c_int {
                std::arch::naked_asm!(
                    // The return address makes way for the arguments that came in registers, and goes below them.
                    "pop rax",
                    "push r9",
                    "push r8",
                    "push rcx",
                    "push rdx",
                    "push rsi",
                    "mov rsi, rsp",
                    "push rax",
                    "call {then}",
                    "pop rcx",
                    "add rsp, 40",
                    "push rcx",
                    "ret",
                    then = sym $then,
                )
            }

            $(#[$attribute])*
            ///
            /// # Safety
            ///
            /// As for the function of libc whose place it takes.
            #[cfg(target_arch = "aarch64")]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            #[cfg_attr(test, allow(dead_code))]
            #[unsafe(naked)]
            pub(crate) unsafe extern "C" fn $name() -> c_int {
                std::arch::naked_asm!(
                    // x1 to x7 right below the arguments on the stack.
                    "sub sp, sp, #80",
                    "stp x29, x30, [sp]",
                    "mov x29, sp",
                    "str x1, [sp, #24]",
                    "stp x2, x3, [sp, #32]",
                    "stp x4, x5, [sp, #48]",
                    "stp x6, x7, [sp, #64]",
                    "add x1, sp, #24",
                    "bl {then}",
                    "ldp x29, x30, [sp]",
                    "add sp, sp, #80",
                    "ret",
                    then = sym $then,
                )
            }
        )*
    };
}

listed! {
    /// `execl(3)`.
    fn execl = by_path;
    /// `execlp(3)`.
    fn execlp = by_name;
    /// `execle(3)`.
    fn execle = with_environment;
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const _: [unsafe extern "C" fn(*const c_char, Vector) -> c_int; 3] = [by_path, by_name, with_environment];
