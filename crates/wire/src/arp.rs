//! Address resolution: who has this IPv4 address, on Ethernet.
//!
//! ```text
//!   0       2       4    5    6       8             14          18            24          28
//!  +-------+-------+----+----+-------+-------------+-----------+-------------+-----------+
//!  | 0001  | 0800  | 06 | 04 | oper. | sender MAC  | sender IP | target MAC  | target IP |
//!  +-------+-------+----+----+-------+-------------+-----------+-------------+-----------+
//! ```
//!
//! The protocol could carry any pair of address families; on Ethernet with IPv4 it has one length and one layout, and
//! everything else is refused, so the packet goes from bytes to its meaning in one step. What follows the 28 bytes is
//! the padding of a short frame and is ignored. Whether the sender may be believed is the neighbour table's question.
//!
//! # Standards
//!
//! RFC 826 ("Packet format", "Packet Reception"), RFC 5227 §1.1 (what a probe and an announcement are), RFC 5494 §3
//! (the reserved values of the fields that are not ours).

use core::fmt;
use core::net::Ipv4Addr;

use crate::field::{array_at, put, split, u16_at};
use crate::{EtherType, MacAddr, Malformed};

/// Length of a packet.
pub const LEN: usize = 28;

/// The meaning of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// What is asked or told.
    pub operation: Operation,
    /// Who speaks.
    pub sender_mac: MacAddr,
    /// Who speaks; unspecified in a probe.
    pub sender_ip: Ipv4Addr,
    /// Who is spoken to; zero in a request, as that is the question.
    pub target_mac: MacAddr,
    /// Whose address is asked for, or who asked for it.
    pub target_ip: Ipv4Addr,
}

impl Repr {
    /// Reads a packet; what follows it is ignored.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        let packet: &[u8; LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        if packet[..6] != FOR_IPV4_ON_ETHERNET {
            return Err(Malformed::AddressKind);
        }
        Ok(Repr {
            operation: Operation(u16_at(packet, 6)),
            sender_mac: MacAddr(array_at(packet, 8)),
            sender_ip: Ipv4Addr::from(array_at::<4, LEN>(packet, 14)),
            target_mac: MacAddr(array_at(packet, 18)),
            target_ip: Ipv4Addr::from(array_at::<4, LEN>(packet, 24)),
        })
    }

    /// Writes the packet and returns [`LEN`].
    ///
    /// # Panics
    ///
    /// When the buffer is shorter than [`LEN`].
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let Repr { operation, sender_mac, sender_ip, target_mac, target_ip } = *self;
        let (packet, _) = split::<LEN>(buffer);
        put(packet, 0, FOR_IPV4_ON_ETHERNET);
        put(packet, 6, operation.0.to_be_bytes());
        put(packet, 8, sender_mac.0);
        put(packet, 14, sender_ip.octets());
        put(packet, 18, target_mac.0);
        put(packet, 24, target_ip.octets());
        LEN
    }

    /// True for a probe: a question by somebody who has no address yet, and who must not be learnt from.
    #[inline]
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::REQUEST && self.sender_ip.is_unspecified()
    }

    /// True for an announcement, a request or reply in which the sender asks for itself ("gratuitous ARP").
    #[inline]
    pub fn is_announcement(&self) -> bool {
        self.sender_ip == self.target_ip && !self.sender_ip.is_unspecified()
    }
}

/// What a packet asks or tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation(pub u16);

impl Operation {
    /// Who has the target address?
    pub const REQUEST: Operation = Operation(1);
    /// The sender has it.
    pub const REPLY: Operation = Operation(2);
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Operation::REQUEST => f.write_str("request"),
            Operation::REPLY => f.write_str("reply"),
            Operation(code) => write!(f, "operation {code}"),
        }
    }
}

/// Hardware type, protocol type and both address lengths.
const FOR_IPV4_ON_ETHERNET: [u8; 6] = {
    let [high, low] = EtherType::IPV4.0.to_be_bytes();
    [0, 1, high, low, 6, 4]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const REQUEST: [u8; LEN] = [
        0, 1, 8, 0, 6, 4, 0, 1,
        2, 0, 0, 0, 0, 1, 10, 9, 0, 1,
        0, 0, 0, 0, 0, 0, 10, 9, 0, 2,
    ];

    #[test]
    fn fields() {
        let repr = Repr::parse(&REQUEST).unwrap();
        assert_eq!(repr.operation, Operation::REQUEST);
        assert_eq!((repr.sender_mac, repr.sender_ip), (MacAddr([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(10, 9, 0, 1)));
        assert_eq!((repr.target_mac, repr.target_ip), (MacAddr::ZERO, Ipv4Addr::new(10, 9, 0, 2)));
        assert_eq!(repr.to_string(), "who has 10.9.0.2? tell 10.9.0.1 at 02:00:00:00:00:01");
    }

    #[test]
    fn truncated_packets_are_refused() {
        for len in 0..LEN {
            assert_eq!(Repr::parse(&REQUEST[..len]), Err(Malformed::Truncated));
        }
    }

    /// Bad input E4: hlen 6, plen 4, and nothing else.
    #[test]
    fn other_address_families_are_refused() {
        for at in 0..6 {
            for value in 0..=255 {
                let mut bytes = REQUEST;
                bytes[at] = value;
                let expected = if value == REQUEST[at] { Ok(()) } else { Err(Malformed::AddressKind) };
                assert_eq!(Repr::parse(&bytes).map(|_| ()), expected, "byte {at} is {value}");
            }
        }
    }

    #[test]
    fn probes_and_announcements() {
        let request = Repr::parse(&REQUEST).unwrap();
        let probe = Repr { sender_ip: Ipv4Addr::UNSPECIFIED, ..request };
        let announcement = Repr { target_ip: request.sender_ip, ..request };
        let nonsense = Repr { target_ip: Ipv4Addr::UNSPECIFIED, ..probe };
        for (repr, is_probe, is_announcement) in
            [(request, false, false), (probe, true, false), (announcement, false, true), (nonsense, true, false)]
        {
            assert_eq!((repr.is_probe(), repr.is_announcement()), (is_probe, is_announcement), "{repr}");
        }
    }
}
