//! Becoming root where one is not: a user namespace of one's own.
//!
//! In a user namespace the caller's user is mapped to root, and a network namespace made inside belongs to it, with all
//! capabilities over it. Files keep their true owner. Linux lets only a process with one thread unshare its user
//! namespace, so this comes first in `main`, before any thread is made.

use std::fs::{read_to_string, write};
use std::io;

use nix::sched::{CloneFlags, unshare};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities};

use crate::error::{Context, Error, Result};
use crate::{link, netlink};

/// Whether this process may make and configure network namespaces.
pub fn is_privileged() -> bool {
    let wanted = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
    capabilities(None).is_ok_and(|held| held.effective.contains(wanted))
}

/// Makes this process root in a user namespace of its own, with an empty network whose loopback is up, and a mount
/// table of its own. Does nothing when the process has the privileges already. Call it before there are threads.
pub fn become_root() -> Result<()> {
    if is_privileged() {
        return Ok(());
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let all = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    unshare(all).map_err(io::Error::from).map_err(|reason| Error::new(mend(&reason), reason))?;
    write("/proc/self/setgroups", "deny")
        .and_then(|()| write("/proc/self/uid_map", format!("0 {user} 1")))
        .and_then(|()| write("/proc/self/gid_map", format!("0 {group} 1")))
        .and_then(|()| link::set_up(&mut netlink::Socket::route()?, "lo", true))
        .context(|| "cannot set up a user namespace".to_owned())
}

/// Why a user namespace was refused, and what helps.
fn mend(reason: &io::Error) -> String {
    let setting = |name: &str| read_to_string(format!("/proc/sys/{name}")).unwrap_or_default().trim().to_owned();
    let help = if reason.kind() == io::ErrorKind::InvalidInput {
        "this process has more than one thread already"
    } else if setting("kernel/unprivileged_userns_clone") == "0" {
        "be root, or set the sysctl kernel.unprivileged_userns_clone to 1"
    } else if setting("kernel/apparmor_restrict_unprivileged_userns") == "1" {
        "be root, or set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0"
    } else if setting("user/max_user_namespaces") == "0" {
        "be root, or raise the sysctl user.max_user_namespaces"
    } else {
        "be root"
    };
    format!("cannot make a user namespace ({help})")
}
