//! The address of a node on an interface.
//!
//! By default it is the node's own: locally administered, and a hash of the interface's name, its address and the
//! machine's identity, so that it is the same each time and differs from one machine to the next. The neighbours' caches
//! then survive a restart, and no two machines collide. (IEEE 802: bit 1 of the first byte says "local", bit 0 "group".)

use std::hash::Hasher;

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
    /// The address on an interface whose own is `interface_mac`, if it has one to inherit.
    pub(crate) fn resolve(self, interface: &str, interface_mac: Option<MacAddr>) -> Result<MacAddr, OpenError> {
        let mac = match self {
            MacChoice::Auto => {
                let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
                stable_mac(interface, interface_mac.unwrap_or(MacAddr::ZERO), &machine)
            }
            MacChoice::Inherit => {
                interface_mac.ok_or_else(|| OpenError::NothingToInherit { interface: interface.to_owned() })?
            }
            MacChoice::Fixed(mac) => mac,
        };
        if mac.is_unicast() { Ok(mac) } else { Err(OpenError::BadMac { mac }) }
    }
}

fn stable_mac(interface: &str, interface_mac: MacAddr, machine: &[u8]) -> MacAddr {
    let mut hasher = SipHasher13::new();
    for part in [interface.as_bytes(), &interface_mac.0, machine] {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    let [first, second, third, fourth, fifth, sixth, ..] = hasher.finish().to_le_bytes();
    MacAddr([(first & !0x01) | 0x02, second, third, fourth, fifth, sixth])
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(MacChoice::Inherit.resolve("eth0", Some(mac)).ok(), Some(mac));
        assert_eq!(MacChoice::Fixed(mac).resolve("eth0", None).ok(), Some(mac));
        assert!(matches!(MacChoice::Inherit.resolve("tap0", None), Err(OpenError::NothingToInherit { .. })));
        for bad in [MacAddr::BROADCAST, MacAddr::ZERO, MacAddr([1, 0, 0, 0, 0, 0])] {
            assert!(matches!(MacChoice::Fixed(bad).resolve("eth0", None), Err(OpenError::BadMac { .. })));
        }
    }
}
