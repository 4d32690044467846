//! What the stack says, as an errno: the only place where the two meet.

use sockeye_stack::bind::Foreign;
use sockeye_stack::errors::Cause;
use sockeye_stack::tcp::{self, ConnectError};
use sockeye_stack::{Bind, BindError, udp};

use std::net::SocketAddr;

use crate::errno::Errno;
use crate::host::Socket;
use crate::settings::Switch;

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
            ConnectError::Loopback => Errno::EINVAL,
            ConnectError::NoPort => Errno::ECONNREFUSED,
            ConnectError::Family => Errno::EAFNOSUPPORT,
        }
    }
}

impl From<tcp::Error> for Errno {
    fn from(error: tcp::Error) -> Self {
        match error {
            tcp::Error::Refused => Errno::ECONNREFUSED,
            tcp::Error::Reset => Errno::ECONNRESET,
            tcp::Error::BrokenPipe => Errno::EPIPE,
            tcp::Error::TimedOut => Errno::ETIMEDOUT,
            tcp::Error::HostUnreachable => Errno::EHOSTUNREACH,
            tcp::Error::NetworkUnreachable => Errno::ENETUNREACH,
            tcp::Error::Aborted => Errno::ECONNABORTED,
            tcp::Error::Reported(cause) => cause.into(),
        }
    }
}

impl From<udp::SendError> for Errno {
    fn from(error: udp::SendError) -> Self {
        match error {
            udp::SendError::Full => Errno::EAGAIN,
            udp::SendError::Closed => Errno::EBADF,
            udp::SendError::NotConnected => Errno::EDESTADDRREQ,
            udp::SendError::Destination | udp::SendError::Payload | udp::SendError::NotLocal => Errno::EINVAL,
            udp::SendError::Broadcast => Errno::EACCES,
            udp::SendError::NoRoute => Errno::ENETUNREACH,
            udp::SendError::HostUnreachable => Errno::EHOSTUNREACH,
            udp::SendError::LinkDown => Errno::ENETDOWN,
            udp::SendError::MessageSize => Errno::EMSGSIZE,
            udp::SendError::Family => Errno::EAFNOSUPPORT,
        }
    }
}

impl From<udp::Error> for Errno {
    fn from(error: udp::Error) -> Self {
        match error {
            udp::Error::Refused => Errno::ECONNREFUSED,
            udp::Error::HostUnreachable => Errno::EHOSTUNREACH,
            udp::Error::MessageSize => Errno::EMSGSIZE,
            udp::Error::Reported(cause) => cause.into(),
        }
    }
}

/// As Linux has it, code by code.
impl From<Cause> for Errno {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::MessageSize => Errno::EMSGSIZE,
            Cause::Icmp { kind: 3, code } => match code {
                0 | 6 | 9 | 11 => Errno::ENETUNREACH,
                2 => Errno::ENOPROTOOPT,
                3 => Errno::ECONNREFUSED,
                4 => Errno::EMSGSIZE,
                5 => Errno::EOPNOTSUPP,
                7 => Errno::EHOSTDOWN,
                8 => Errno::ENONET,
                _ => Errno::EHOSTUNREACH,
            },
            Cause::Icmp { kind: 12, .. } => Errno::EPROTO,
            Cause::Icmp { .. } => Errno::EHOSTUNREACH,
            Cause::Icmpv6 { kind: 1, code } => match code {
                0 => Errno::ENETUNREACH,
                1 | 5 | 6 => Errno::EACCES,
                2 | 3 => Errno::EHOSTUNREACH,
                4 => Errno::ECONNREFUSED,
                _ => Errno::EPROTO,
            },
            Cause::Icmpv6 { kind: 2, .. } => Errno::EMSGSIZE,
            Cause::Icmpv6 { kind: 3, .. } => Errno::EHOSTUNREACH,
            Cause::Icmpv6 { .. } => Errno::EPROTO,
        }
    }
}

/// What a socket wishes for when it is bound to `address`.
pub(crate) fn bind_of(socket: &Socket, address: SocketAddr) -> Bind {
    Bind {
        address: address.ip(),
        port: address.port(),
        dual: socket.settings.ipv6.is_some_and(|ipv6| !ipv6.only),
        reuse_address: socket.settings.reuse_address,
        reuse_port: socket.settings.reuse_port,
        device: socket.device,
        owner: socket.owner,
        foreign: match () {
            () if socket.settings.advanced.is_on(Switch::FOREIGN) => Foreign::Spoken,
            () if socket.settings.advanced.is_on(Switch::BINDS_ANYWHERE) => Foreign::Bound,
            () => Foreign::Never,
        },
        range: socket.settings.advanced.port_range,
    }
}
