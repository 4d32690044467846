//! Hardware addresses: six bytes, of which the first says in two bits whether a group is meant and who assigned it.
//!
//! # Standards
//!
//! IEEE 802 §8.2 (the two bits), RFC 9542 §2.1 (the same, and notation), RFC 1112 §6.4 and RFC 2464 §7 (groups).

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

/// A 48-bit hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Everybody on the link.
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);
    /// Nobody: unknown, or not filled in.
    pub const ZERO: MacAddr = MacAddr([0; 6]);

    /// The address that frames to a group have: the group's last 23 bits in IPv4, its last 32 in IPv6.
    pub const fn for_group(group: IpAddr) -> MacAddr {
        match group {
            IpAddr::V4(group) => {
                let [_, b, c, d] = group.octets();
                MacAddr([0x01, 0x00, 0x5e, b & 0x7f, c, d])
            }
            IpAddr::V6(group) => {
                let [.., a, b, c, d] = group.octets();
                MacAddr([0x33, 0x33, a, b, c, d])
            }
        }
    }

    /// True for the address of everybody.
    #[inline]
    pub const fn is_broadcast(&self) -> bool {
        matches!(self.0, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    }

    /// True for the address of a group, everybody included.
    #[inline]
    pub const fn is_multicast(&self) -> bool {
        self.0[0] & 0x01 != 0
    }

    /// True for the address of one station: neither a group nor zero.
    #[inline]
    pub const fn is_unicast(&self) -> bool {
        !self.is_multicast() && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }

    /// True for an address that was not assigned by a manufacturer.
    #[inline]
    pub const fn is_local(&self) -> bool {
        self.0[0] & 0x02 != 0
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = MacAddrError;

    /// Reads six pairs of hexadecimal digits, all parted by `:` or all by `-`.
    fn from_str(text: &str) -> Result<MacAddr, MacAddrError> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut pairs = text.split(separator);
        let mut octets = [0; 6];
        for octet in &mut octets {
            let &[high, low] = pairs.next().map(str::as_bytes).unwrap_or_default() else { return Err(MacAddrError) };
            let digit = |byte| char::from(byte).to_digit(16).ok_or(MacAddrError);
            *octet = (digit(high)? << 4 | digit(low)?) as u8;
        }
        if pairs.next().is_some() { Err(MacAddrError) } else { Ok(MacAddr(octets)) }
    }
}

/// The text is not a hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddrError;

impl fmt::Display for MacAddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a hardware address (expected six hexadecimal pairs, for example 02:00:00:00:00:01)")
    }
}

impl core::error::Error for MacAddrError {}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    #[test]
    fn kinds_of_addresses() {
        for (mac, broadcast, multicast, unicast, local) in [
            (MacAddr::BROADCAST, true, true, false, true),
            (MacAddr::ZERO, false, false, false, false),
            (A, false, false, true, true),
            (MacAddr([0x01, 0, 0x5e, 0, 0, 1]), false, true, false, false),
            (MacAddr([0x00, 0x1b, 0x21, 0, 0, 1]), false, false, true, false),
        ] {
            let found = (mac.is_broadcast(), mac.is_multicast(), mac.is_unicast(), mac.is_local());
            assert_eq!(found, (broadcast, multicast, unicast, local), "{mac}");
        }
    }

    #[test]
    fn groups() {
        for (group, mac) in [
            ("224.0.0.1", "01:00:5e:00:00:01"),
            ("239.255.1.2", "01:00:5e:7f:01:02"),
            ("ff02::1:ff0e:8c6c", "33:33:ff:0e:8c:6c"),
        ] {
            assert_eq!(MacAddr::for_group(group.parse().unwrap()).to_string(), mac);
        }
    }

    #[test]
    fn addresses_as_text() {
        assert_eq!("02:00:00:00:00:01".parse(), Ok(A));
        assert_eq!("02-00-00-00-00-01".parse(), Ok(A));
        assert_eq!(MacAddr([0xab; 6]).to_string(), "ab:ab:ab:ab:ab:ab");
        for text in [
            "",
            "02",
            "02:00:00:00:00",
            "02:00:00:00:00:01:",
            "02:00:00:00:00:01:02",
            "02:00-00:00:00:01",
            "2:0:0:0:0:1",
            "02:00:00:00:00:0g",
            "+2:00:00:00:00:01",
            "02:00:00:00:00:é",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(MacAddrError), "{text:?}");
        }
    }
}
