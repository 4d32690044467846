//! Control messages: what a program attaches to a datagram, and what its options ask for with one that came.
//!
//! Level, kind and data are Linux's, and so is who understands which: a datagram over IPv4 is asked about at level IP, one over IPv6 at level IPv6,
//! whatever the socket's own family is; only its destination (`IPV6_PKTINFO`) an IPv6 socket is told and may choose for both. What a level does
//! not know is refused (`EINVAL`), what belongs to other levels ignored.
//!
//! # Standards
//!
//! RFC 3542 §6; Linux ip(7), ipv6(7), udp(7), cmsg(3).

mod arrival;
mod attached;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

use sockeye_control::ancillary::{Message, messages};
use sockeye_socket::names::{SCM_CREDENTIALS, SCM_RIGHTS, SO_MARK, SO_PRIORITY, SOL_SOCKET};
use sockeye_socket::{Errno, Privilege};

pub(super) use arrival::{Arrival, list, path_mtu, time, timestamp};
pub(super) use attached::Attached;

/// What a program attached to a frame: only what concerns every kind of socket means something there.
pub(super) fn check(list: &[u8], who: Privilege) -> Result<(), Errno> {
    for message in messages(list) {
        let message = message.map_err(|_| Errno::EINVAL)?;
        if message.level == SOL_SOCKET {
            socket(message, who)?;
        }
    }
    Ok(())
}

/// Descriptors and credentials mean nothing to a datagram of the internet; Linux ignores them. A priority is judged, and has no effect, as the option.
fn socket(message: Message<'_>, who: Privilege) -> Result<(), Errno> {
    match (message.kind, message.data.try_into().map(i32::from_ne_bytes)) {
        (SCM_RIGHTS | SCM_CREDENTIALS, _) => Ok(()),
        (SO_PRIORITY, Ok(0..=6)) => Ok(()),
        (SO_PRIORITY, Ok(_)) if who == Privilege::Administrator => Ok(()),
        (SO_PRIORITY, Ok(_)) | (SO_MARK, _) => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}
