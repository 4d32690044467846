//! The address of a node on an interface.
//!
//! By default it is the node's own: locally administered, and a hash of the interface's name, its address and the
//! machine's identity, so that it is the same each time and differs from one machine to the next. The neighbours' caches
//! then survive a restart, and no two machines collide. (IEEE 802: bit 1 of the first byte says "local", bit 0 "group".)
//!
//! Several nodes on one interface have one each: the first, the second, and so on of a row. Which are taken, a name tells (an abstract one of a Unix
//! socket, which is the network namespace's), that lives as long as its node.

use std::hash::Hasher;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use siphasher::sip::SipHasher13;
use sockeye_wire::MacAddr;

use crate::OpenError;

/// Which address to have on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MacChoice {
    /// A stable, locally administered address of our own.
    #[default]
    Auto,
    /// The interface's. It must then carry no address of the kernel's.
    Inherit,
    /// This one.
    Fixed(MacAddr),
}

impl MacChoice {
    /// The address on an interface whose own is `interface_mac`, if it has one to inherit, and what keeps others from choosing the same.
    pub(crate) fn resolve(
        self,
        interface: &str,
        interface_mac: Option<MacAddr>,
    ) -> Result<(MacAddr, Option<Claim>), OpenError> {
        let mac = match self {
            MacChoice::Auto => {
                let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
                let row = stable_macs(interface, interface_mac.unwrap_or(MacAddr::ZERO), &machine);
                let (mac, claim) = first_free(interface, row).map_err(|source| OpenError::System {
                    interface: interface.to_owned(),
                    action: "choose an address on",
                    source,
                })?;
                return Ok((mac, Some(claim)));
            }
            MacChoice::Inherit => {
                interface_mac.ok_or_else(|| OpenError::NothingToInherit { interface: interface.to_owned() })?
            }
            MacChoice::Fixed(mac) => mac,
        };
        if mac.is_unicast() { Ok((mac, None)) } else { Err(OpenError::BadMac { mac }) }
    }
}

/// While it lives, nobody else in this network namespace chooses the same address by itself.
#[derive(Debug)]
pub(crate) struct Claim {
    _name: OwnedFd,
}

/// As many nodes as there are may have an address of their own choice on one interface.
const ROW: u8 = 64;

fn first_free(interface: &str, row: impl Iterator<Item = MacAddr>) -> io::Result<(MacAddr, Claim)> {
    for mac in row {
        let name = SocketAddrUnix::new_abstract_name(format!("sockeye-mac/{interface}/{mac}").as_bytes())?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        match bind(&socket, &name) {
            Ok(()) => return Ok((mac, Claim { _name: socket })),
            Err(Errno::ADDRINUSE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::ADDRINUSE.into())
}

/// The addresses made for an interface, the first of them for whoever is alone there.
fn stable_macs(interface: &str, interface_mac: MacAddr, machine: &[u8]) -> impl Iterator<Item = MacAddr> {
    let mut hasher = SipHasher13::new();
    for part in [interface.as_bytes(), &interface_mac.0, machine] {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    (0..ROW).map(move |place| {
        let mut hasher = hasher;
        if place > 0 {
            hasher.write(&[place]);
        }
        let [first, second, third, fourth, fifth, sixth, ..] = hasher.finish().to_le_bytes();
        MacAddr([(first & !0x01) | 0x02, second, third, fourth, fifth, sixth])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stable_mac(interface: &str, interface_mac: MacAddr, machine: &[u8]) -> MacAddr {
        stable_macs(interface, interface_mac, machine).next().unwrap()
    }

    #[test]
    fn each_node_on_an_interface_has_one_of_its_own() {
        // Names are the network namespace's, and another run of this test may be in it.
        let [here, there] = ["a", "b"].map(|interface| format!("{interface}{}", std::process::id()));
        let row = || stable_macs(&here, MacAddr::ZERO, b"machine");
        let (first, claim) = first_free(&here, row()).unwrap();
        let (second, _second) = first_free(&here, row()).unwrap();
        assert_eq!(first, row().next().unwrap());
        assert_ne!(first, second);
        assert!(second.is_unicast() && second.is_local());
        assert_eq!(first_free(&there, row()).unwrap().0, first, "another interface");
        drop(claim);
        assert_eq!(first_free(&here, row()).unwrap().0, first, "free again");
        let none = first_free(&here, std::iter::once(second)).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_own_address_is_local_stable_and_different_for_each() {
        let mac = MacAddr([0x52, 0x54, 0, 1, 2, 3]);
        let one = stable_mac("eth0", mac, b"machine");
        assert!(one.is_unicast() && one.is_local());
        // Addresses must not change from one release to the next.
        assert_eq!(one.to_string(), "a6:29:af:04:e7:46");
        for other in [
            stable_mac("eth1", mac, b"machine"),
            stable_mac("eth0", MacAddr([0x52, 0x54, 0, 1, 2, 4]), b"machine"),
            stable_mac("eth0", mac, b"another"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn only_a_hosts_address_is_taken() {
        let mac = MacAddr([0x52, 0x54, 0, 1, 2, 3]);
        let resolved = |choice: MacChoice, own| choice.resolve("eth0", own).map(|(mac, _)| mac).ok();
        assert_eq!(resolved(MacChoice::Inherit, Some(mac)), Some(mac));
        assert_eq!(resolved(MacChoice::Fixed(mac), None), Some(mac));
        assert!(matches!(MacChoice::Inherit.resolve("tap0", None), Err(OpenError::NothingToInherit { .. })));
        for bad in [MacAddr::BROADCAST, MacAddr::ZERO, MacAddr([1, 0, 0, 0, 0, 0])] {
            assert!(matches!(MacChoice::Fixed(bad).resolve("eth0", None), Err(OpenError::BadMac { .. })));
        }
    }
}
