//! `socket`: which ones there are, who may have them, and its pair.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, sockopt};
use sockeye_device::namespace;
use sockeye_socket::names::{AF_PACKET, SOCK_PACKET, SOCK_RAW};
use sockeye_socket::{Errno, Privilege};

use super::{Answer, Call, Outcome, Refusal, refuse};

impl Call<'_, '_> {
    pub(super) fn socket(
        &mut self,
        (family, kind, protocol): (i32, i32, i32),
        nonblocking: bool,
        shown: Option<&OwnedFd>,
    ) -> Outcome {
        let privilege = if shown.is_some_and(shows_capability) { Privilege::Administrator } else { self.privilege };
        let socket = if family == i32::from(AF_PACKET) {
            self.packet_socket(kind, protocol, privilege)?
        } else {
            self.context.host.socket(family, kind, protocol)?
        };
        if kind == SOCK_RAW && privilege == Privilege::User {
            self.context.host.abort(self.context.now, socket);
            return refuse(Errno::EPERM, "raw sockets are for root, and who has CAP_NET_RAW");
        }
        match self.boundary.open(self.context, socket, self.who, nonblocking) {
            Ok((key, theirs)) => {
                self.boundary.freshen(key);
                Ok((Answer::Done, Some(theirs)))
            }
            Err(errno @ (Errno::ENFILE | Errno::EMFILE)) => refuse(errno, "the node's quota of sockets is used up"),
            Err(errno) => Err(errno.into()),
        }
    }

    fn packet_socket(
        &mut self,
        kind: i32,
        protocol: i32,
        privilege: Privilege,
    ) -> Result<sockeye_socket::SocketId, Refusal> {
        match self.context.host.packet_socket(kind, protocol, privilege) {
            Err(Errno::EPERM) => refuse(
                Errno::EPERM,
                "packet sockets are for root, the user who started the node, and who has CAP_NET_RAW",
            ),
            Err(errno) if kind == SOCK_PACKET => refuse(errno, "SOCK_PACKET is no more: use SOCK_RAW"),
            made => Ok(made?),
        }
    }
}

/// Whether a descriptor shows that somebody has CAP_NET_RAW who is not root. Nobody can be asked: by the time that the node looked, the process may
/// be another program. But nobody makes a packet socket of the kernel's without it, in a network that is not of his own user namespace.
fn shows_capability(descriptor: &OwnedFd) -> bool {
    sockopt::socket_domain(descriptor) == Ok(AddressFamily::PACKET)
        && namespace::is_of_own_user(descriptor).unwrap_or(false)
}
