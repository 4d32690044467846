//! Interface identifiers: the lower half of an address that a host makes for itself.
//!
//! A **stable** identifier is a keyed hash of the network and the interface. In one network it is the same at each
//! start; from one network to the next nobody can tell that it is the same host, and nobody can guess it. The key is the
//! host's secret. SipHash-2-4 is a pseudo-random function; what an attacker sees of it, 64 bits for each network that the host visits,
//! tells nothing of the key. A **temporary** identifier is a random number.
//!
//! # Standards
//!
//! RFC 7217 §5 (stable ones), RFC 8981 §3.3.1 (random ones), RFC 5453 (reserved ones), RFC 4291 appendix A.

use super::Identifiers;
use crate::rng::Rng;
use siphasher::sip::SipHasher24;
use sockeye_wire::{MacAddr, ipv6};
use std::hash::Hasher;
use std::net::Ipv6Addr;

/// What a stable identifier is made from, the network aside.
pub(super) struct Interface<'a> {
    pub(super) secret: &'a [u8; 16],
    pub(super) name: &'a str,
    pub(super) mac: MacAddr,
}

impl Interface<'_> {
    /// The identifier in the network of `prefix`, after so many that were taken.
    pub(super) fn identifier(&self, kind: Identifiers, prefix: Ipv6Addr, collisions: u8) -> u64 {
        if kind == Identifiers::Hardware && collisions == 0 {
            return ipv6::interface_id(self.mac);
        }
        // Reserved ones are passed over in steps that no number of collisions makes.
        (0..=u8::MAX)
            .map(|step| self.hash(prefix, collisions, step))
            .find(|&id| !ipv6::is_reserved_interface_id(id))
            .unwrap_or(1)
    }

    fn hash(&self, prefix: Ipv6Addr, collisions: u8, step: u8) -> u64 {
        let mut hasher = SipHasher24::new_with_key(self.secret);
        hasher.write(&prefix.octets()[..8]);
        hasher.write(&self.mac.0);
        hasher.write(&[collisions, step]);
        hasher.write(self.name.as_bytes());
        hasher.finish()
    }
}

/// An identifier that nobody can know.
pub(super) fn random(rng: &mut Rng) -> u64 {
    loop {
        let id = rng.next_u64();
        if !ipv6::is_reserved_interface_id(id) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0);

    fn interface<'a>(secret: &'a [u8; 16], name: &'a str) -> Interface<'a> {
        Interface { secret, name, mac: MacAddr([2, 0, 0, 0, 0, 1]) }
    }

    #[test]
    fn a_stable_identifier_is_the_same_each_time_and_another_elsewhere() {
        let one = interface(&[1; 16], "eth0").identifier(Identifiers::Stable, NETWORK, 0);
        // It must not change from one release to the next.
        assert_eq!(one, 0x4c76e25e888df20a);
        let elsewhere = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0);
        let others = [
            interface(&[2; 16], "eth0").identifier(Identifiers::Stable, NETWORK, 0),
            interface(&[1; 16], "eth1").identifier(Identifiers::Stable, NETWORK, 0),
            interface(&[1; 16], "eth0").identifier(Identifiers::Stable, elsewhere, 0),
            interface(&[1; 16], "eth0").identifier(Identifiers::Stable, NETWORK, 1),
            interface(&[1; 16], "eth0").identifier(Identifiers::Hardware, NETWORK, 0),
            interface(&[1; 16], "eth0").identifier(Identifiers::Hardware, NETWORK, 1),
        ];
        assert!(others[..5].iter().all(|other| *other != one), "{others:x?}");
        assert_eq!(others[4], 0x0000_00ff_fe00_0001, "of the hardware");
        assert_eq!(others[5], others[3], "which has no second one");
        // The lower half of what is given plays no part.
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 1, 2, 3, 4);
        assert_eq!(interface(&[1; 16], "eth0").identifier(Identifiers::Stable, address, 0), one);
    }
}
