//! Who waits for a descriptor by epoll.
//!
//! epoll watches files, not numbers. Where another file takes a socket's place (`connect` again after a failure), the sets of this process that watched
//! the old one are told of the new one, with the events and the data that the program gave. The kernel knows them, a line each in
//! `/proc/self/fdinfo/SET`:
//!
//! ```text
//! tfd:        5 events:       19 data:                5  pos:0 ino:2a9 sdev:8
//! ```
//!
//! Numbers are hexadecimal, but for the descriptor's. Where there is no `/proc`, or where more than eight sets watch, the rest is not told.

use crate::sys;
use libc::{c_int, epoll_event};

/// The sets that watch a descriptor.
pub(crate) struct Watches([Option<(c_int, epoll_event)>; 8]);

impl Watches {
    /// Those of this process.
    pub(crate) fn of(fd: c_int) -> Watches {
        let mut found = [None; 8];
        let mut places = found.iter_mut();
        if let Ok(inode) = sys::inode(fd) {
            let _ = sys::each_descriptor(|set| {
                let _ = sys::each_line_about(set, |line| {
                    if let Some(event) = event(line, fd, inode)
                        && let Some(place) = places.next()
                    {
                        *place = Some((set, event));
                    }
                });
            });
        }
        Watches(found)
    }

    /// They watch what stands at that number now.
    pub(crate) fn renew(self, fd: c_int) {
        for (set, event) in self.0.into_iter().flatten() {
            // It is watched already if somebody else holds the old file, of which the set goes on hearing.
            let _ = sys::watch(set, fd, event);
        }
    }
}

/// What a line of a set says of a descriptor, if it is about that one.
fn event(line: &str, fd: c_int, inode: u64) -> Option<epoll_event> {
    let mut words = line.split_ascii_whitespace();
    let mut after = |key| words.next().filter(|&word| word == key).and_then(|_| words.next());
    let number: c_int = after("tfd:")?.parse().ok()?;
    let events = u32::from_str_radix(after("events:")?, 16).ok()?;
    let data = u64::from_str_radix(after("data:")?, 16).ok()?;
    let file = words.find_map(|word| word.strip_prefix("ino:"))?;
    let file = u64::from_str_radix(file, 16).ok()?;
    (number == fd && file == inode).then_some(epoll_event { events, u64: data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_set_goes_on_watching_what_takes_the_place_of_a_file() {
        // SAFETY: takes a number.
        let set = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let (mut old, mut new) = ([0; 2], [0; 2]);
        for pair in [&mut old, &mut new] {
            // SAFETY: there is room for two descriptors.
            assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()) }, 0);
        }
        let asked = epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0xfeed_0000_0007 };
        sys::watch(set, old[0], asked).unwrap();
        let watches = Watches::of(old[0]);
        assert_eq!(watches.0.iter().flatten().count(), 1);
        sys::duplicate_over(new[0], old[0], 0).unwrap();
        watches.renew(old[0]);
        // Only what has taken the place has something to read. The old file may live on in the child of a test that forks, and the set with it.
        // SAFETY: one byte is there.
        assert_eq!(unsafe { libc::write(new[1], b"!".as_ptr().cast(), 1) }, 1);
        let mut told = [epoll_event { events: 0, u64: 0 }; 4];
        // SAFETY: there is room for four events.
        assert_eq!(unsafe { libc::epoll_wait(set, told.as_mut_ptr(), 4, 0) }, 1);
        let (events, data) = (told[0].events, told[0].u64);
        assert_eq!((events, data), (libc::EPOLLIN as u32, asked.u64));
        let file = File::open("/dev/null").unwrap();
        assert!(Watches::of(file.as_raw_fd()).0.iter().all(Option::is_none));
        for fd in [set, old[0], old[1], new[0], new[1]] {
            // SAFETY: ours, and not used again.
            unsafe { libc::close(fd) };
        }
    }

    #[test]
    fn lines_of_other_files_and_other_words_say_nothing() {
        let line = "tfd:        5 events:       19 data:                5  pos:0 ino:2a9 sdev:8";
        assert!(event(line, 5, 0x2a9).is_some());
        for (line, fd, inode) in
            [(line, 6, 0x2a9), (line, 5, 0x2aa), ("pos:\t0", 5, 0), ("", 5, 0), ("tfd: 5 events: 19", 5, 0)]
        {
            assert!(event(line, fd, inode).is_none(), "{line}");
        }
    }
}
