//! The program's memory, which may not be where the program says.
//!
//! A system call answers a bad pointer with `EFAULT`; a library that follows it dies. So before the shim follows a pointer it
//! lets the kernel try, by a call that has no other effect; where the program has given that up (`sandbox`), it is believed. (Another thread may unmap the memory in between; it would have deserved the same
//! from the kernel a moment later.) Where possible the pointer goes to the kernel unread instead: payloads and option values do.

use crate::sandbox::{self, Call};
use crate::sys::{self, Errno};
use libc::c_void;

const FAULT: Errno = Errno(libc::EFAULT);

/// No page is smaller.
pub(crate) const PAGE: usize = 4096;

/// Reads a `T`, one of C's plain structures, that the program points to, aligned or not.
pub(crate) fn read_value<T: Copy>(from: *const T) -> Result<T, Errno> {
    check_readable(from.cast(), size_of::<T>())?;
    // SAFETY: the kernel could read it, and each of C's plain structures is valid whatever its bytes are.
    Ok(unsafe { from.read_unaligned() })
}

/// Reads bytes that the program points to.
pub(crate) fn read(from: *const c_void, bytes: &mut [u8]) -> Result<(), Errno> {
    check_readable(from, bytes.len())?;
    if !bytes.is_empty() {
        // SAFETY: the kernel could read as much there.
        unsafe { std::ptr::copy(from.cast::<u8>(), bytes.as_mut_ptr(), bytes.len()) };
    }
    Ok(())
}

/// Reads as many `T` as there is room for.
pub(crate) fn read_array<T: Copy>(from: *const T, array: &mut [T]) -> Result<(), Errno> {
    check_readable(from.cast(), size_of_val(array))?;
    for (at, value) in array.iter_mut().enumerate() {
        // SAFETY: the kernel could read as much there, and each of C's plain structures is valid whatever its bytes are.
        *value = unsafe { from.wrapping_add(at).read_unaligned() };
    }
    Ok(())
}

/// Writes bytes to where the program points.
pub(crate) fn write(to: *mut c_void, bytes: &[u8]) -> Result<(), Errno> {
    if sandbox::forbids(Call::Judge) {
        check_readable(to, bytes.len())?;
        // SAFETY: the program's promise, which nobody can judge here.
        unsafe { std::ptr::copy(bytes.as_ptr(), to.cast::<u8>(), bytes.len()) };
        return Ok(());
    }
    let Some(last) = bytes.len().checked_sub(8) else { return write_few(to, bytes) };
    let end = to.wrapping_byte_add(last);
    let mut at = to;
    // The trial writes eight bytes, which are about to be overwritten: once for each page, and at the end.
    while at < end {
        if !sys::can_write(at) {
            return Err(FAULT);
        }
        at = at.wrapping_byte_add(PAGE);
    }
    if !sys::can_write(end) || (end as usize) < to as usize {
        return Err(FAULT);
    }
    // SAFETY: the kernel could write as much there.
    unsafe { std::ptr::copy(bytes.as_ptr(), to.cast::<u8>(), bytes.len()) };
    Ok(())
}

/// Fewer than the trial would write.
fn write_few(to: *mut c_void, bytes: &[u8]) -> Result<(), Errno> {
    if bytes.is_empty() {
        return Ok(());
    }
    match sys::copy_out(to, bytes) {
        Ok(len) if len == bytes.len() => Ok(()),
        Ok(_) | Err(FAULT) => Err(FAULT),
        // The kernel has no such call, or a sandbox forbids it: at least what cannot be read cannot be written.
        Err(_) => {
            check_readable(to, bytes.len())?;
            // SAFETY: the memory is there; that it can be written is the program's promise.
            unsafe { std::ptr::copy(bytes.as_ptr(), to.cast::<u8>(), bytes.len()) };
            Ok(())
        }
    }
}

pub(crate) fn check_readable(from: *const c_void, len: usize) -> Result<(), Errno> {
    let Some(last) = len.checked_sub(1) else { return Ok(()) };
    if sandbox::forbids(Call::Judge) {
        return if from.is_null() { Err(FAULT) } else { Ok(()) };
    }
    let first = from as usize & !7;
    let last = (from as usize).checked_add(last).ok_or(FAULT)? & !7;
    // The word of eight bytes that holds the first byte, the first word of each page that follows, and the last word: none crosses a page.
    let mut at = first;
    while at < last {
        if !sys::can_read(at as *const c_void) {
            return Err(FAULT);
        }
        at = (at & !(PAGE - 1)).checked_add(PAGE).ok_or(FAULT)?;
    }
    // A word on the same page needs no second trial.
    if (first & !(PAGE - 1) != last & !(PAGE - 1) || first == last) && !sys::can_read(last as *const c_void) {
        return Err(FAULT);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    /// One page that can be used, and one behind it that cannot.
    fn pages(protection: libc::c_int) -> *mut u8 {
        // SAFETY: new memory, wherever the kernel likes.
        unsafe {
            let start =
                libc::mmap(ptr::null_mut(), 2 * PAGE, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(start, PAGE, protection), 0);
            start.cast()
        }
    }

    #[test]
    fn what_can_be_used_is_used_up_to_the_last_byte() {
        let page = pages(libc::PROT_READ | libc::PROT_WRITE);
        for len in [1, 3, 4, 7, 8, 9, 15, 16, 56, 128, 1024] {
            let at = page.wrapping_add(PAGE - len).cast::<c_void>();
            let bytes: Vec<u8> = (1..=len).map(|byte| byte as u8).collect();
            assert_eq!(write(at, &bytes), Ok(()));
            let mut again = vec![0; len];
            assert_eq!(read(at, &mut again), Ok(()));
            assert_eq!(again, bytes);
            for beyond in [1, len.min(7), len] {
                let at = at.wrapping_byte_add(beyond);
                assert_eq!(write(at, &bytes), Err(FAULT), "{len} {beyond}");
                assert_eq!(read(at, &mut again), Err(FAULT), "{len} {beyond}");
            }
        }
        assert_eq!(
            read_value(page.cast::<u64>().wrapping_byte_add(PAGE - 8)).map(u64::to_ne_bytes).map(|b| b[7]),
            Ok(0)
        );
        assert_eq!(read_value(page.cast::<u64>().wrapping_byte_add(PAGE - 7)), Err(FAULT));
    }

    #[test]
    fn what_is_nowhere_is_a_fault() {
        let read_only = pages(libc::PROT_READ);
        for at in [0, 1, 7, 8, usize::MAX, usize::MAX - 7, usize::MAX - 8, 1 << 63] {
            assert_eq!(read(at as *const c_void, &mut [0; 16]), Err(FAULT), "{at:x}");
            assert_eq!(write(at as *mut c_void, &[0; 16]), Err(FAULT), "{at:x}");
            assert_eq!(write(at as *mut c_void, &[0; 4]), Err(FAULT), "{at:x}");
            assert_eq!(read(at as *const c_void, &mut []), Ok(()));
            assert_eq!(write(at as *mut c_void, &[]), Ok(()));
        }
        assert_eq!(write(read_only.cast(), &[0; 16]), Err(FAULT));
        assert_eq!(write(read_only.cast(), &[0; 4]), Err(FAULT));
        assert_eq!(read(read_only.cast(), &mut [0; 16]), Ok(()));
    }
}
