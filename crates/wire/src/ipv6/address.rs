//! What an IPv6 address tells beyond what the standard library asks it.
//!
//! The scope of an address says how far it means the same node (or group): an order of its own, by which source
//! addresses are chosen. A solicited-node group has few members (mostly one), so that asking it for a neighbour disturbs
//! few. An interface identifier is the lower half of most addresses.
//!
//! # Standards
//!
//! RFC 4291 §2.5.1 and appendix A (interface identifiers from hardware addresses), §2.5.6 (link-local addresses), §2.7
//! (multicast, its scopes, solicited-node groups); RFC 7346 §2 (scope 3); RFC 6724 §3.1 and §3.2 (scopes of unicast
//! addresses, of those of IPv4 too); RFC 5453 §3 and RFC 7136 §5 (reserved interface identifiers).

use core::fmt;
use core::net::Ipv6Addr;

use crate::MacAddr;

/// All nodes of a link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers of a link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// All routers of a link that want to hear reports of MLDv2.
pub const ALL_MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// How far an address reaches: the four bits of a multicast address. A smaller one reaches less far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub u8);

impl Scope {
    /// This interface: what a host sends to itself.
    pub const INTERFACE_LOCAL: Scope = Scope(1);
    /// This link.
    pub const LINK_LOCAL: Scope = Scope(2);
    /// A network of one technology, where there is such a thing.
    pub const REALM_LOCAL: Scope = Scope(3);
    /// What an administrator drew a line around.
    pub const ADMIN_LOCAL: Scope = Scope(4);
    /// A site. Of unicast addresses obsolete.
    pub const SITE_LOCAL: Scope = Scope(5);
    /// The sites of one organization.
    pub const ORGANIZATION_LOCAL: Scope = Scope(8);
    /// Everywhere.
    pub const GLOBAL: Scope = Scope(14);
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Scope::INTERFACE_LOCAL => f.write_str("interface-local"),
            Scope::LINK_LOCAL => f.write_str("link-local"),
            Scope::REALM_LOCAL => f.write_str("realm-local"),
            Scope::ADMIN_LOCAL => f.write_str("admin-local"),
            Scope::SITE_LOCAL => f.write_str("site-local"),
            Scope::ORGANIZATION_LOCAL => f.write_str("organization-local"),
            Scope::GLOBAL => f.write_str("global"),
            Scope(other) => write!(f, "scope {other}"),
        }
    }
}

/// The scope of an address. The loopback address is link-local, as RFC 6724 wants it, and an IPv4 address in an IPv6 one
/// (`::ffff:a.b.c.d`) is as far as it reaches itself. The unspecified address, which has no scope, counts as global.
pub const fn scope(addr: Ipv6Addr) -> Scope {
    match addr.octets() {
        [0xff, flags_and_scope, ..] => Scope(flags_and_scope & 0x0f),
        [0xfe, second, ..] if second & 0xc0 == 0x80 => Scope::LINK_LOCAL,
        [0xfe, second, ..] if second & 0xc0 == 0xc0 => Scope::SITE_LOCAL,
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] => Scope::LINK_LOCAL,
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, _, _] => Scope::LINK_LOCAL,
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, ..] => Scope::LINK_LOCAL,
        _ => Scope::GLOBAL,
    }
}

/// The group that a neighbour with this address listens to: `ff02::1:ff` and the address's last three bytes.
pub const fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(SOLICITED_NODE | addr.to_bits() & 0xff_ffff)
}

/// True for the solicited-node group of some address.
pub const fn is_solicited_node(addr: Ipv6Addr) -> bool {
    addr.to_bits() & !0xff_ffff == SOLICITED_NODE
}

const SOLICITED_NODE: u128 = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).to_bits();

/// The interface identifier that a hardware address makes (modified EUI-64): `fffe` in its middle, the bit for local
/// assignment turned over.
pub const fn interface_id(mac: MacAddr) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    u64::from_be_bytes([a ^ 0x02, b, c, 0xff, 0xfe, d, e, f])
}

/// The link-local address with an interface identifier.
pub const fn link_local(interface_id: u64) -> Ipv6Addr {
    with_interface_id(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), interface_id)
}

/// The upper half of `prefix` with an interface identifier for its lower half.
pub const fn with_interface_id(prefix: Ipv6Addr, interface_id: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.to_bits() & !(u64::MAX as u128) | interface_id as u128)
}

/// True for an interface identifier that no node may choose: that of the subnet's routers, those with IANA's hardware
/// prefix, and those of anycast addresses.
pub const fn is_reserved_interface_id(interface_id: u64) -> bool {
    matches!(interface_id, 0 | 0x0200_5eff_fe00_0000..=0x0200_5eff_feff_ffff | 0xfdff_ffff_ffff_ff80..=0xfdff_ffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn scopes() {
        for (text, expected, name) in [
            ("ff01::1", Scope::INTERFACE_LOCAL, "interface-local"),
            ("ff02::1", Scope::LINK_LOCAL, "link-local"),
            ("ff13::1", Scope::REALM_LOCAL, "realm-local"),
            ("ff05::1:3", Scope::SITE_LOCAL, "site-local"),
            ("ff3e::8000:1", Scope::GLOBAL, "global"),
            ("ff07::", Scope(7), "scope 7"),
            ("fe80::1", Scope::LINK_LOCAL, "link-local"),
            ("febf::1", Scope::LINK_LOCAL, "link-local"),
            ("fec0::1", Scope::SITE_LOCAL, "site-local"),
            ("fd00:9::1", Scope::GLOBAL, "global"),
            ("2001:db8::1", Scope::GLOBAL, "global"),
            ("::1", Scope::LINK_LOCAL, "link-local"),
            ("::ffff:169.254.3.4", Scope::LINK_LOCAL, "link-local"),
            ("::ffff:127.0.0.1", Scope::LINK_LOCAL, "link-local"),
            ("::ffff:10.9.0.1", Scope::GLOBAL, "global"),
            ("::", Scope::GLOBAL, "global"),
        ] {
            assert_eq!((scope(ip(text)), scope(ip(text)).to_string().as_str()), (expected, name), "{text}");
        }
        assert!(Scope::LINK_LOCAL < Scope::SITE_LOCAL && Scope::SITE_LOCAL < Scope::GLOBAL);
    }

    /// The example of RFC 4291 §2.7.1.
    #[test]
    fn solicited_node_groups() {
        assert_eq!(solicited_node(ip("4037::1:800:200e:8c6c")), ip("ff02::1:ff0e:8c6c"));
        for (text, is) in [
            ("ff02::1:ff0e:8c6c", true),
            ("ff02::1:ff00:0", true),
            ("ff02::1:fe0e:8c6c", false),
            ("ff05::1:ff0e:8c6c", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_solicited_node(ip(text)), is, "{text}");
        }
    }

    /// The example of RFC 4291, appendix A.
    #[test]
    fn interface_ids() {
        let mac = MacAddr([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]);
        assert_eq!(interface_id(mac), 0x3656_78ff_fe9a_bcde);
        assert_eq!(link_local(interface_id(mac)), ip("fe80::3656:78ff:fe9a:bcde"));
        assert_eq!(with_interface_id(ip("2001:db8:1:2:3::4"), 0x0a), ip("2001:db8:1:2::a"));
        for (id, reserved) in [
            (0, true),
            (1, false),
            (0x0200_5eff_fe00_5213, true),
            (0x0200_5eff_feff_ffff, true),
            (0x0200_5eff_ff00_0000, false),
            (0xfdff_ffff_ffff_ff7f, false),
            (0xfdff_ffff_ffff_ff80, true),
            (0xfdff_ffff_ffff_ffff, true),
            (0xfe00_0000_0000_0000, false),
        ] {
            assert_eq!(is_reserved_interface_id(id), reserved, "{id:x}");
        }
    }
}
