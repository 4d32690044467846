//! Paths that may be the node's: `/proc/net`, a few of `/proc/sys/net`, and `/sys/class/net`, in their one spelling.

use crate::exchange::{self, Along, NONSENSE};
use crate::sys::{self, Descriptor, Errno};
use libc::c_int;
use sockeye_control::{MAX_NAME, Reply, Request, SETTINGS};

/// A path of the node's, in its one spelling.
pub(super) struct Path {
    bytes: [u8; MAX_NAME],
    len: usize,
    /// It ends in a slash, or as if it did: a link at its end is followed.
    through: bool,
}

impl Path {
    /// A path that may be the node's.
    pub(super) fn of(path: &[u8]) -> Option<Path> {
        let through = path.ends_with(b"/") || path.ends_with(b"/.") || path.ends_with(b"/..");
        let mut clean = Path { bytes: [0; MAX_NAME], len: 0, through };
        for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
            if part == b".." {
                // One up, except from where the kernel would first follow a link.
                if !clean.as_bytes().starts_with(b"/sys/") {
                    return None;
                }
                clean.len = clean.as_bytes().iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                continue;
            }
            clean.push(b"/")?;
            clean.push(part)?;
        }
        let rest = clean.as_bytes();
        let is_ours = if let Some(rest) = rest.strip_prefix(b"/sys/") {
            let within =
                |directory: &[u8]| rest.strip_prefix(directory).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
            within(b"class/net") || within(b"devices/virtual/net")
        } else if let Some(rest) = rest.strip_prefix(b"/proc/") {
            let whose = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
            let own = matches!(whose, b"self" | b"thread-self") || is_own_number(whose);
            let rest = if own { rest.get(whose.len() + 1..).unwrap_or_default() } else { rest };
            rest.starts_with(b"net/") || !own && is_setting(rest)
        } else {
            false
        };
        is_ours.then_some(clean)
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn is_in_proc(&self) -> bool {
        self.as_bytes().starts_with(b"/proc/")
    }

    /// Asks the node for a descriptor.
    pub(super) fn open(&self, flags: c_int) -> Result<Descriptor, Errno> {
        let look = flags & libc::O_PATH != 0;
        if !look && (flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (libc::O_TRUNC | libc::O_APPEND) != 0) {
            return Err(Errno(libc::EACCES));
        }
        let path = std::str::from_utf8(self.as_bytes()).map_err(|_| Errno(libc::ENOENT))?;
        let request = Request::File { look, link: flags & libc::O_NOFOLLOW != 0 && !self.through, path };
        let close_on_exec = flags & libc::O_CLOEXEC != 0;
        let mut buffer = exchange::buffer();
        let answer = exchange::ask(&request, Along { close_on_exec, ..Along::nothing() }, &mut buffer)?;
        if answer.reply != Reply::Done {
            return Err(NONSENSE);
        }
        let file = Descriptor::new(answer.lowest(close_on_exec)?);
        if flags & libc::O_DIRECTORY != 0 && !sys::is_directory(&file) {
            return Err(Errno(libc::ENOTDIR));
        }
        Ok(file)
    }
}

/// Whether it is a setting that the node has, from `/proc/` on.
fn is_setting(path: &[u8]) -> bool {
    let Some(name) = path.strip_prefix(b"sys/net/") else { return false };
    SETTINGS.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
}

/// Whether it is this process's number.
fn is_own_number(text: &[u8]) -> bool {
    let digits = !text.is_empty() && text.len() < 10 && text.iter().all(u8::is_ascii_digit);
    digits && text.iter().fold(0, |number, digit| number * 10 + c_int::from(digit - b'0')) == sys::process()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_nodes_are_known_by_how_they_begin() {
        let of =
            |path: &str| Path::of(path.as_bytes()).map(|path| String::from_utf8(path.as_bytes().to_vec()).unwrap());
        let own = format!("/proc/{}/net/tcp", std::process::id());
        for path in [
            "/proc/net/dev",
            "/proc/self/net/if_inet6",
            "/proc/sys/net/core/somaxconn",
            "/sys/class/net",
            "/sys/devices/virtual/net/lo",
            &own,
        ] {
            assert_eq!(of(path).as_deref(), Some(path));
        }
        assert_eq!(of("/sys/class/net/lo/..").as_deref(), Some("/sys/class/net"));
        assert_eq!(of("/sys//class/./net/lo/").as_deref(), Some("/sys/class/net/lo"));
        for path in [
            "/proc/net",
            "/proc/1/net/tcp",
            "/proc/netx/tcp",
            "/proc/self/sys/net/core/somaxconn",
            "/proc/sys/net/core",
            "/proc/sys/net/core/somaxconnx",
            "/proc/sys/net/ipv4/tcp_mem",
            "/proc/meminfo",
            "/sys/class/network",
            "/sys/class/net/../x",
            "/sysx/class/net",
            "/process",
            "/proc/self",
            "/proc/99999999999/net/tcp",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
        assert_eq!(of(&format!("/sys/class/net/{}", "x".repeat(MAX_NAME))), None);
        // Nobody writes there, whoever he is; the node is not even asked.
        let setting = Path::of(b"/proc/sys/net/core/somaxconn").expect("the node's");
        for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_TRUNC] {
            assert_eq!(setting.open(flags).err(), Some(Errno(libc::EACCES)));
        }
    }
}
