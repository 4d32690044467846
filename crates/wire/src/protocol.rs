//! The number that says what an IP packet carries.
//!
//! # Standards
//!
//! RFC 791 §3.1 (Protocol), RFC 8200 §3 (Next Header); numbers from the IANA registry "Protocol Numbers".

use core::fmt;

/// What an IP packet carries: IPv4's protocol field, IPv6's last next header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Hop-by-hop options: an IPv6 extension header. (Of IPv4 it says nothing.)
    pub const HOP_BY_HOP: Protocol = Protocol(0);
    /// Internet Control Message Protocol.
    pub const ICMP: Protocol = Protocol(1);
    /// Internet Group Management Protocol.
    pub const IGMP: Protocol = Protocol(2);
    /// IPv4 in IP.
    pub const IPV4: Protocol = Protocol(4);
    /// Transmission Control Protocol.
    pub const TCP: Protocol = Protocol(6);
    /// User Datagram Protocol.
    pub const UDP: Protocol = Protocol(17);
    /// IPv6 in IP.
    pub const IPV6: Protocol = Protocol(41);
    /// Routing: an IPv6 extension header.
    pub const ROUTING: Protocol = Protocol(43);
    /// Fragment: an IPv6 extension header.
    pub const FRAGMENT: Protocol = Protocol(44);
    /// Generic Routing Encapsulation.
    pub const GRE: Protocol = Protocol(47);
    /// Encapsulating Security Payload.
    pub const ESP: Protocol = Protocol(50);
    /// Authentication Header, an extension header in IPv6.
    pub const AH: Protocol = Protocol(51);
    /// ICMP for IPv6.
    pub const ICMPV6: Protocol = Protocol(58);
    /// Nothing follows.
    pub const NO_NEXT_HEADER: Protocol = Protocol(59);
    /// Destination options: an IPv6 extension header.
    pub const DESTINATION_OPTIONS: Protocol = Protocol(60);
    /// UDP with a checksum that may cover less than all.
    pub const UDP_LITE: Protocol = Protocol(136);
}

impl From<Protocol> for u8 {
    #[inline]
    fn from(protocol: Protocol) -> u8 {
        protocol.0
    }
}

impl From<u8> for Protocol {
    #[inline]
    fn from(number: u8) -> Protocol {
        Protocol(number)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Protocol::HOP_BY_HOP => f.write_str("hop-by-hop options"),
            Protocol::ICMP => f.write_str("ICMP"),
            Protocol::IGMP => f.write_str("IGMP"),
            Protocol::IPV4 => f.write_str("IPv4"),
            Protocol::TCP => f.write_str("TCP"),
            Protocol::UDP => f.write_str("UDP"),
            Protocol::IPV6 => f.write_str("IPv6"),
            Protocol::ROUTING => f.write_str("routing header"),
            Protocol::FRAGMENT => f.write_str("fragment header"),
            Protocol::GRE => f.write_str("GRE"),
            Protocol::ESP => f.write_str("ESP"),
            Protocol::AH => f.write_str("AH"),
            Protocol::ICMPV6 => f.write_str("ICMPv6"),
            Protocol::NO_NEXT_HEADER => f.write_str("no next header"),
            Protocol::DESTINATION_OPTIONS => f.write_str("destination options"),
            Protocol::UDP_LITE => f.write_str("UDP-Lite"),
            Protocol(number) => write!(f, "protocol {number}"),
        }
    }
}
