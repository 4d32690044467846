//! What the stack says, as an errno: the only place where the two meet.

use sockeye_stack::tcp::{self, ConnectError};
use sockeye_stack::{Bind, BindError};

use std::net::SocketAddr;

use crate::errno::Errno;
use crate::host::Socket;

impl From<BindError> for Errno {
    fn from(error: BindError) -> Self {
        match error {
            BindError::InUse | BindError::NoPorts => Errno::EADDRINUSE,
            BindError::NotLocal => Errno::EADDRNOTAVAIL,
        }
    }
}

impl From<ConnectError> for Errno {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::NoRoute | ConnectError::NotUnicast => Errno::ENETUNREACH,
            ConnectError::NotLocal | ConnectError::InUse | ConnectError::NoPorts => Errno::EADDRNOTAVAIL,
            ConnectError::Family => Errno::EAFNOSUPPORT,
        }
    }
}

impl From<tcp::Error> for Errno {
    fn from(error: tcp::Error) -> Self {
        match error {
            tcp::Error::Refused | tcp::Error::ProtocolUnreachable => Errno::ECONNREFUSED,
            tcp::Error::Reset => Errno::ECONNRESET,
            tcp::Error::BrokenPipe => Errno::EPIPE,
            tcp::Error::TimedOut => Errno::ETIMEDOUT,
            tcp::Error::HostUnreachable | tcp::Error::Prohibited => Errno::EHOSTUNREACH,
            tcp::Error::NetworkUnreachable => Errno::ENETUNREACH,
            tcp::Error::Aborted => Errno::ECONNABORTED,
        }
    }
}

/// What a socket wishes for when it is bound to `address`.
pub(crate) fn bind_of(socket: &Socket, address: SocketAddr) -> Bind {
    Bind {
        address: address.ip(),
        port: address.port(),
        reuse_address: socket.settings.reuse_address,
        reuse_port: socket.settings.reuse_port,
        device: socket.device,
        owner: socket.owner,
    }
}
