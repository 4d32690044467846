//! Whose a network is: the user namespace that a socket's network namespace belongs to.
//!
//! Whoever is root in a user namespace of his own has all capabilities over the networks that he makes there, and none over others. So a
//! socket that only a capability allows says something about its maker once it is known whose network it is of.
//!
//! # Standards
//!
//! namespaces(7), user_namespaces(7), ioctl_ns(2).

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use crate::sys;

/// Whether a socket of the kernel's is of a network that belongs to this process's user namespace. It is an error without CAP_NET_ADMIN over that network.
pub fn is_of_own_user(socket: impl AsFd) -> io::Result<bool> {
    let owner = sys::user_namespace(sys::network_namespace(socket.as_fd())?.as_fd())?;
    let owner = fs::File::from(owner).metadata()?;
    let own = fs::metadata("/proc/self/ns/user")?;
    Ok((owner.dev(), owner.ino()) == (own.dev(), own.ino()))
}
