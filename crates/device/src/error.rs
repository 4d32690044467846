//! Why a device cannot be opened: one line that names the culprit and the mend.

use std::error::Error;
use std::fmt;
use std::io;

use sockeye_wire::MacAddr;

/// Why [`PacketSocket::open`](crate::PacketSocket::open) or [`Tap::open`](crate::Tap::open) failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The process may not do this.
    Permission {
        /// The interface that was asked for.
        interface: String,
        /// The capability that it needs.
        capability: &'static str,
    },
    /// No interface has this name.
    NoSuchInterface {
        /// The name.
        interface: String,
    },
    /// The interface is there, but not up.
    Down {
        /// Its name.
        interface: String,
    },
    /// The interface does not carry Ethernet frames.
    NotEthernet {
        /// Its name.
        interface: String,
    },
    /// Another program holds the TAP.
    Busy {
        /// Its name.
        interface: String,
    },
    /// The interface of this name is not a TAP that can be attached to.
    NotTap {
        /// Its name.
        interface: String,
    },
    /// There is no `/dev/net/tun`.
    NoTunDriver {
        /// The interface that was asked for.
        interface: String,
    },
    /// The name is empty, too long, or has bytes that no interface name has.
    BadName {
        /// The name.
        interface: String,
    },
    /// The address cannot be a host's own.
    BadMac {
        /// The address.
        mac: MacAddr,
    },
    /// A TAP has no address to inherit: its interface is the kernel's end.
    NothingToInherit {
        /// The TAP's name.
        interface: String,
    },
    /// The kernel refused for another reason.
    System {
        /// The interface.
        interface: String,
        /// What was being done, as in "cannot ...".
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl OpenError {
    /// Sorts an error of the kernel.
    pub(crate) fn from_system(
        interface: &str,
        capability: &'static str,
        action: &'static str,
    ) -> impl Fn(io::Error) -> Self {
        let interface = interface.to_owned();
        move |source| {
            let interface = interface.clone();
            match source.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => OpenError::Permission { interface, capability },
                Some(libc::ENODEV | libc::ENXIO) => OpenError::NoSuchInterface { interface },
                Some(libc::ENETDOWN) => OpenError::Down { interface },
                _ => OpenError::System { interface, action, source },
            }
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Permission { interface, capability } => {
                write!(f, "no permission to open {interface}: run as root, or give the program {capability}")
            }
            OpenError::NoSuchInterface { interface } => {
                write!(f, "there is no interface {interface}: `ip link` lists those of this network namespace")
            }
            OpenError::Down { interface } => {
                write!(f, "interface {interface} is down: bring it up with `ip link set {interface} up`")
            }
            OpenError::NotEthernet { interface } => {
                write!(f, "interface {interface} does not carry Ethernet frames: choose one of type ether in `ip link`")
            }
            OpenError::Busy { interface } => {
                write!(f, "TAP {interface} is in use by another program: stop that, or choose another name")
            }
            OpenError::NotTap { interface } => write!(
                f,
                "interface {interface} is not a TAP of one queue: choose another name, or remove it with `ip link del {interface}`"
            ),
            OpenError::NoTunDriver { interface } => {
                write!(f, "cannot open {interface}: there is no /dev/net/tun; load it with `modprobe tun`")
            }
            OpenError::BadName { interface } => {
                write!(f, "{interface:?} is not a name for an interface: use 1 to 15 bytes without `/` and blanks")
            }
            OpenError::BadMac { mac } => {
                write!(
                    f,
                    "{mac} cannot be a host's address: choose one that is neither zero nor multicast, such as 02:00:00:00:00:01"
                )
            }
            OpenError::NothingToInherit { interface } => write!(
                f,
                "TAP {interface} has no address to inherit, its interface is the kernel's end: use `auto` or an address"
            ),
            OpenError::System { interface, action, source } => write!(f, "cannot {action} {interface}: {source}"),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            OpenError::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What the kernel accepts as a name: 1 to 15 bytes, neither blank nor `/` nor `:`, and not a directory's.
pub(crate) fn check_name(interface: &str) -> Result<(), OpenError> {
    let bad = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, 0 | b'/' | b':');
    if matches!(interface.len(), 1..libc::IFNAMSIZ) && !interface.bytes().any(bad) && !matches!(interface, "." | "..") {
        Ok(())
    } else {
        Err(OpenError::BadName { interface: interface.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_kernel_has_them() {
        for good in ["eth0", "a", "fifteen-bytes-x", "veth.5"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "sixteen-bytes-xx", "a b", "a/b", "..", "a\0", "a:1"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_error_is_one_line_that_names_the_culprit() {
        let sort = OpenError::from_system("eth7", "CAP_NET_RAW", "bind to");
        for number in [libc::EPERM, libc::ENODEV, libc::ENETDOWN, libc::ENOMEM] {
            let line = sort(io::Error::from_raw_os_error(number)).to_string();
            assert!(line.contains("eth7") && !line.contains('\n'), "{line}");
        }
    }
}
