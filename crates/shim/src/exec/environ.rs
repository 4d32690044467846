//! What an environment lacks, and one that has it.
//!
//! The loader heeds the last `LD_PRELOAD` of several, `getenv` the first `SOCKEYE_CONTROL`, of which only counts that there is one.

use super::Vector;
use super::room::Room;
use crate::memory::{self, PAGE};
use crate::sys::Errno;
use libc::c_char;
use sockeye_control::program::is_shim;

pub(super) const PRELOAD: &[u8] = b"LD_PRELOAD=";
const CONTROL: &[u8] = b"SOCKEYE_CONTROL=";

/// More variables than any environment has that the kernel takes.
const MOST: usize = 1 << 20;

/// What keeps a program on the node.
pub(super) struct Ours<'a> {
    /// The path of this library.
    pub(super) library: &'a [u8],
    /// The path of the control socket, if there is one.
    pub(super) control: Option<&'a [u8]>,
    /// It stood in the environment, and was not worked out.
    pub(super) control_was_set: bool,
}

/// What an environment lacks of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gaps<'a> {
    /// How many variables there are.
    count: usize,
    /// Where `LD_PRELOAD` stands that lacks the library, and its value; nowhere, if there is none.
    library: Option<(Option<usize>, &'a [u8])>,
    control: bool,
}

impl Gaps<'_> {
    /// `None` if nothing is lacking, if nothing is wanted, or if the environment cannot be read: that the kernel will say.
    pub(super) fn of<'a>(envp: Vector, ours: &Ours) -> Option<Gaps<'a>> {
        let mut reader = Reader::new();
        let (mut count, mut preload, mut has_control) = (0, None, false);
        // Without an environment there are no variables.
        while !envp.is_null() {
            let variable = reader.pointer(envp.wrapping_add(count)).ok()?;
            if variable.is_null() {
                break;
            }
            if reader.begins(variable, PRELOAD).ok()? {
                preload = Some((count, variable.wrapping_add(PRELOAD.len())));
            } else if reader.begins(variable, CONTROL).ok()? {
                has_control = true;
            }
            count += 1;
            if count > MOST {
                return None;
            }
        }
        let library = match preload {
            None => Some((None, &[][..])),
            Some((at, value)) => {
                let list = reader.text(value).ok()?;
                if list.is_empty() {
                    return None;
                }
                (!contains(list, ours.library)).then_some((Some(at), list))
            }
        };
        let control = !has_control && ours.control.is_some() && (library.is_some() || ours.control_was_set);
        (library.is_some() || control).then_some(Gaps { count, library, control })
    }

    /// How much room it takes to fill them.
    pub(super) fn room(&self, ours: &Ours) -> usize {
        let library = self.library.map_or(0, |(_, list)| PRELOAD.len() + ours.library.len() + 1 + list.len());
        let control = CONTROL.len() + ours.control.map_or(0, <[u8]>::len);
        Room::of_pointers(self.count + 3) + Room::of_text(library) + Room::of_text(control)
    }

    /// An environment without them.
    pub(super) fn filled(&self, ours: &Ours, envp: Vector, room: &mut Room) -> Option<Vector> {
        let list = room.pointers(self.count + 3)?;
        let (variables, more) = list.split_at_mut_checked(self.count)?;
        memory::read_array(envp, variables).ok()?;
        let mut more = more.iter_mut();
        if let Some((at, others)) = self.library {
            let between: &[u8] = if others.is_empty() { b"" } else { b":" };
            let place = match at {
                Some(at) => variables.get_mut(at)?,
                None => more.next()?,
            };
            *place = room.text([PRELOAD, ours.library, between, others])?;
        }
        if let Some(path) = ours.control.filter(|_| self.control) {
            *more.next()? = room.text([CONTROL, path])?;
        }
        Some(list.as_ptr())
    }
}

/// Whether a list of libraries, as the loader reads it, has this one, or another shim: who runs a program on a node as another user, or with another version of the
/// command, has set that.
pub(super) fn contains(list: &[u8], library: &[u8]) -> bool {
    list.split(|&byte| matches!(byte, b':' | b' ')).any(|entry| entry == library || is_shim(entry))
}

/// Reads the program's memory word by word and byte by byte, and asks the kernel about each page once where they lie together.
pub(super) struct Reader {
    words: usize,
    bytes: usize,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader { words: usize::MAX, bytes: usize::MAX }
    }

    pub(super) fn pointer(&mut self, at: Vector) -> Result<*const c_char, Errno> {
        let page = at as usize / PAGE;
        if page != self.words || (at as usize).wrapping_add(size_of::<usize>() - 1) / PAGE != page {
            memory::check_readable(at.cast(), size_of::<usize>())?;
            self.words = page;
        }
        // SAFETY: the kernel could read it.
        Ok(unsafe { at.read_unaligned() })
    }

    fn byte(&mut self, at: *const c_char) -> Result<u8, Errno> {
        let page = at as usize / PAGE;
        if page != self.bytes {
            memory::check_readable(at.cast(), 1)?;
            self.bytes = page;
        }
        // SAFETY: the kernel could read it.
        Ok(unsafe { *at.cast() })
    }

    /// Whether a text begins so; no byte is read after one that differs.
    pub(super) fn begins(&mut self, text: *const c_char, with: &[u8]) -> Result<bool, Errno> {
        for (index, &byte) in with.iter().enumerate() {
            if self.byte(text.wrapping_add(index))? != byte {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All of a text, without its zero byte.
    pub(super) fn text<'a>(&mut self, text: *const c_char) -> Result<&'a [u8], Errno> {
        let mut len = 0;
        while self.byte(text.wrapping_add(len))? != 0 {
            len += 1;
        }
        // SAFETY: the kernel could read as much; the program leaves it alone during its own call.
        Ok(unsafe { std::slice::from_raw_parts(text.cast(), len) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::room;
    use super::*;
    use std::ffi::{CStr, CString};

    const OURS: Ours<'static> =
        Ours { library: b"/run/shim.so", control: Some(b"/run/control"), control_was_set: true };

    /// The environment as it is passed on; `None` if it is passed on as it is.
    fn mended_for(ours: &Ours, variables: &[&str]) -> Option<Vec<String>> {
        let texts: Vec<_> = variables.iter().map(|text| CString::new(*text).unwrap()).collect();
        let list: Vec<_> = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        let gaps = Gaps::of(list.as_ptr(), ours)?;
        room::with(gaps.room(ours), |room| {
            let mut at = gaps.filled(ours, list.as_ptr(), room.unwrap()).unwrap();
            let mut made = Vec::new();
            // SAFETY: a list that ends with a null pointer, of texts that end with a zero byte.
            unsafe {
                while !(*at).is_null() {
                    made.push(CStr::from_ptr(*at).to_str().unwrap().to_owned());
                    at = at.add(1);
                }
            }
            Some(made)
        })
    }

    fn mended(variables: &[&str]) -> Option<Vec<String>> {
        mended_for(&OURS, variables)
    }

    #[test]
    fn what_is_complete_stays_as_it_is() {
        for library in ["/run/shim.so", "/a.so:/run/shim.so", "/run/shim.so /a.so", "/a.so:/x/shim-0123456789abcdef.so"]
        {
            for control in ["/run/control", "/run/another"] {
                let (library, control) = (format!("LD_PRELOAD={library}"), format!("SOCKEYE_CONTROL={control}"));
                assert_eq!(mended(&["A=1", &library, "B=2", &control]), None);
            }
        }
    }

    #[test]
    fn what_is_lacking_is_put_back() {
        let (library, control) = ("LD_PRELOAD=/run/shim.so", "SOCKEYE_CONTROL=/run/control");
        assert_eq!(mended(&[]).unwrap(), [library, control]);
        assert_eq!(mended(&["A=1", "LD_PRELOA=x", "SOCKEYE_CONTROLS=y"]).unwrap()[3..], [library, control]);
        assert_eq!(mended(&["A=1", control]).unwrap(), ["A=1", control, library]);
        assert_eq!(mended(&[library, "A=1"]).unwrap(), [library, "A=1", control]);
        assert_eq!(mended(&["SOCKEYE_CONTROL=/x"]).unwrap(), ["SOCKEYE_CONTROL=/x", library]);
    }

    #[test]
    fn other_libraries_stay_and_the_shim_comes_first() {
        let control = "SOCKEYE_CONTROL=/run/control";
        let both = "LD_PRELOAD=/run/shim.so:/a.so /run/shim.so.old";
        assert_eq!(mended(&["LD_PRELOAD=/a.so /run/shim.so.old", "A=1"]).unwrap(), [both, "A=1", control]);
        // The loader takes the last one.
        let [one, another] = ["LD_PRELOAD=/run/shim.so", "LD_PRELOAD=/a.so"];
        assert_eq!(mended(&[one, another, control]).unwrap(), [one, "LD_PRELOAD=/run/shim.so:/a.so", control]);
    }

    #[test]
    fn who_wants_no_library_gets_none() {
        assert_eq!(mended(&["A=1", "LD_PRELOAD="]), None);
    }

    #[test]
    fn a_path_that_was_worked_out_is_told_where_the_environment_is_new() {
        let ours = Ours { control_was_set: false, ..OURS };
        assert_eq!(mended_for(&ours, &["LD_PRELOAD=/run/shim.so"]), None);
        assert_eq!(mended_for(&ours, &[]).unwrap(), ["LD_PRELOAD=/run/shim.so", "SOCKEYE_CONTROL=/run/control"]);
        let none = Ours { control: None, ..ours };
        assert_eq!(mended_for(&none, &["A=1"]).unwrap(), ["A=1", "LD_PRELOAD=/run/shim.so"]);
    }

    #[test]
    fn large_environments_are_mended_too() {
        let many: Vec<String> = (0..5000).map(|number| format!("V{number}=x")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let made = mended(&many).unwrap();
        assert_eq!(
            (made.len(), &made[..5000]),
            (5002, &many.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()[..])
        );
        let long = format!("LD_PRELOAD={}", "/a.so:".repeat(3000));
        assert_eq!(mended(&[&long]).unwrap()[0], long.replacen('=', "=/run/shim.so:", 1));
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_kernel() {
        assert_eq!(Gaps::of(8 as Vector, &OURS), None);
        let list = [16 as *const c_char, std::ptr::null()];
        assert_eq!(Gaps::of(list.as_ptr(), &OURS), None);
        assert!(Gaps::of(std::ptr::null(), &OURS).is_some(), "no environment is an empty one");
    }
}
