//! Memory for one call that starts a program: on the stack if it is little, else a mapping that is given back when the call comes back.

use super::may_look;
use crate::sys;
use libc::c_char;
use std::ptr::null_mut;

/// What is little: enough for a few dozen variables.
const LITTLE: usize = 4096;
const WORD: usize = size_of::<usize>();

/// Memory that is handed out from its beginning.
pub(super) struct Room<'a> {
    rest: &'a mut [usize],
}

impl<'a> Room<'a> {
    /// What a list of so many pointers takes, in bytes.
    pub(super) fn of_pointers(count: usize) -> usize {
        count.saturating_mul(WORD)
    }

    /// What so many bytes take, and a zero byte behind them.
    pub(super) fn of_text(len: usize) -> usize {
        (len / WORD + 1).saturating_mul(WORD)
    }

    /// Room for a list, all null.
    pub(super) fn pointers(&mut self, count: usize) -> Option<&'a mut [*const c_char]> {
        let words = self.take(count)?;
        // SAFETY: as many words, which nobody else has; a pointer is a word, and zero the null one.
        Some(unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), count) })
    }

    /// A text of these parts, with a zero byte behind them.
    pub(super) fn text<'b>(&mut self, parts: impl IntoIterator<Item = &'b [u8]> + Clone) -> Option<*const c_char> {
        let len = parts.clone().into_iter().map(<[u8]>::len).sum::<usize>();
        let words = self.take(len / WORD + 1)?;
        // SAFETY: as many bytes, which nobody else has.
        let bytes = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), words.len() * WORD) };
        let from = parts.into_iter().flatten();
        bytes.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        Some(bytes.as_ptr().cast())
    }

    fn take(&mut self, count: usize) -> Option<&'a mut [usize]> {
        if count > self.rest.len() {
            return None;
        }
        let (words, rest) = std::mem::take(&mut self.rest).split_at_mut(count);
        self.rest = rest;
        Some(words)
    }
}

/// Calls with room for so many bytes, all zero, if there is any.
pub(super) fn with<T>(need: usize, call: impl FnOnce(Option<&mut Room>) -> T) -> T {
    if need <= LITTLE {
        return call(Some(&mut Room { rest: &mut [0; LITTLE / WORD] }));
    }
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let mapped = may_look().then(|| sys::map(null_mut(), need, access, kind, -1, 0).ok()).flatten();
    let Some(mapped) = mapped else { return call(None) };
    // SAFETY: as much was just mapped, whole pages of zeros, for nobody else.
    let rest = unsafe { std::slice::from_raw_parts_mut(mapped.cast::<usize>(), need / WORD) };
    let result = call(Some(&mut Room { rest }));
    sys::unmap_bytes(mapped, need);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn there_is_as_much_room_as_was_asked_for() {
        for count in [0, 1, 100, 10_000] {
            let text = vec![b'x'; count];
            let need = Room::of_pointers(count) + Room::of_text(count);
            with(need, |room| {
                let room = room.unwrap();
                assert_eq!(room.pointers(count).unwrap().len(), count);
                let made = room.text([&text[..]]).unwrap();
                // SAFETY: it ends in a zero byte.
                assert_eq!(unsafe { CStr::from_ptr(made) }.to_bytes(), text);
                if count > LITTLE {
                    assert!(room.pointers(1).is_none(), "and no more");
                }
            });
        }
        with(usize::MAX, |room| assert!(room.is_none()));
    }
}
