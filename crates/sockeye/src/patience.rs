//! Waiting for an event, but not for ever.

use std::os::fd::AsFd;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags};

/// Does a child end in time? It has still to be waited for.
pub(crate) fn ends_within(child: &Child, patience: Duration) -> bool {
    rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())
        .is_ok_and(|descriptor| readable_until(&descriptor, Instant::now() + patience))
}

/// Does a descriptor become readable in time?
pub(crate) fn readable_until(descriptor: &impl AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) };
        let mut waiting = [PollFd::from_borrowed_fd(descriptor.as_fd(), PollFlags::IN)];
        match poll(&mut waiting, Some(&left)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
