//! Where the transport's payload begins: the ancillary load `SKF_AD_PAY_OFFSET`.
//!
//! A program asks for it to keep all headers of a packet and nothing else. The answer is found by walking from header to header,
//! through tags and tunnels, for as long as what comes next is known and at most fifteen headers beyond the first; then the fixed
//! or stated length of the transport's header is added. It is a guess by what the headers claim: no length is compared
//! with another, and the answer may lie beyond the packet's end. 0 means that a header is cut short, or unknown at the link.
//!
//! # Standards
//!
//! Linux: the flow dissector (`skb_get_poff`, with no flags), as of 6.18. The formats are those of RFC 791, 8200, 2784, 2890, 2637,
//! 2516, 3032, IEEE 802.1Q, 802.1AD and 1588, IEC 62439-3, FC-BB-5, and batman-adv's.

use crate::packet::{Bytes, Packet};

/// Headers that may follow the first.
const MAX_HEADERS: u32 = 15;

mod ether_type {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const ARP: u16 = 0x0806;
    pub(super) const BATMAN: u16 = 0x4305;
    pub(super) const TRANSPARENT_ETHERNET: u16 = 0x6558;
    pub(super) const RARP: u16 = 0x8035;
    pub(super) const VLAN: u16 = 0x8100;
    pub(super) const IPV6: u16 = 0x86dd;
    pub(super) const MPLS: u16 = 0x8847;
    pub(super) const MPLS_MULTICAST: u16 = 0x8848;
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    pub(super) const PPP_IN_GRE: u16 = 0x880b;
    pub(super) const QINQ: u16 = 0x88a8;
    pub(super) const TIPC: u16 = 0x88ca;
    pub(super) const PTP: u16 = 0x88f7;
    pub(super) const PRP: u16 = 0x88fb;
    pub(super) const CFM: u16 = 0x8902;
    pub(super) const FCOE: u16 = 0x8906;
    pub(super) const HSR: u16 = 0x892f;
}

mod protocol {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ICMP: u8 = 1;
    pub(super) const IGMP: u8 = 2;
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const DCCP: u8 = 33;
    pub(super) const IPV6: u8 = 41;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const GRE: u8 = 47;
    pub(super) const ICMPV6: u8 = 58;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const SCTP: u8 = 132;
    pub(super) const UDP_LITE: u8 = 136;
    pub(super) const MPLS: u8 = 137;
}

/// The offset of the payload from the packet's data, or 0.
pub(crate) fn offset<B: Bytes + ?Sized>(packet: &Packet<'_, B>) -> u32 {
    let metadata = packet.metadata();
    let mut walk = Walk {
        packet,
        at: packet.network(),
        ether_type: metadata.vlan.map_or(metadata.protocol, |tag| tag.protocol),
        protocol: 0,
        later_fragment: false,
        tag_met: false,
    };
    match walk.run() {
        Some(()) => walk.payload(),
        None => 0,
    }
}

/// What to do after a header. That it was cut short or unknown is `None` in its place.
enum Step {
    /// It was IP, and `protocol` says what it carries.
    Inside,
    /// Another header, of which `ether_type` says the kind.
    EtherType,
    /// Another header, of which `protocol` says the kind.
    Protocol,
    /// Nothing further is to be looked at.
    End,
}

struct Walk<'a, B: Bytes + ?Sized> {
    packet: &'a Packet<'a, B>,
    /// Where the next header begins, from the data.
    at: i64,
    /// What is there, by the link's numbers.
    ether_type: u16,
    /// What is there, by IP's numbers.
    protocol: u8,
    /// Whether it is a fragment other than the first, so that no transport header follows.
    later_fragment: bool,
    /// Whether the tag that was taken out of the frame has been met.
    tag_met: bool,
}

impl<B: Bytes + ?Sized> Walk<'_, B> {
    /// Goes as far as it can. `None` when there is no answer.
    fn run(&mut self) -> Option<()> {
        let mut step = self.by_ether_type()?;
        let mut further = 0;
        loop {
            step = match step {
                Step::Inside => self.by_protocol()?,
                Step::EtherType if further < MAX_HEADERS => {
                    further += 1;
                    self.by_ether_type()?
                }
                Step::Protocol if further < MAX_HEADERS => {
                    further += 1;
                    self.by_protocol()?
                }
                Step::EtherType | Step::Protocol | Step::End => return Some(()),
            };
        }
    }

    fn by_ether_type(&mut self) -> Option<Step> {
        match self.ether_type {
            ether_type::IPV4 => self.ipv4(),
            ether_type::IPV6 => {
                let header: [u8; 40] = self.packet.at(self.at)?;
                self.protocol = header[6];
                self.at += 40;
                Some(Step::Inside)
            }
            ether_type::VLAN | ether_type::QINQ => self.tag(),
            ether_type::PPPOE_SESSION => self.pppoe(),
            ether_type::TIPC => self.packet.at::<16>(self.at).map(|_| Step::End),
            ether_type::MPLS | ether_type::MPLS_MULTICAST => {
                // One label, there or not.
                self.at += 4;
                Some(Step::End)
            }
            ether_type::FCOE => self.skip::<38>(),
            ether_type::PTP => self.skip::<34>(),
            ether_type::ARP | ether_type::RARP | ether_type::CFM => Some(Step::End),
            ether_type::BATMAN => {
                // Version 15, a unicast packet: 10 bytes, then an Ethernet header.
                let header: [u8; 24] = self.packet.at(self.at)?;
                if [header[0], header[1]] != [0x40, 15] {
                    return None;
                }
                self.ether_type = u16::from_be_bytes([header[22], header[23]]);
                self.at += 24;
                Some(Step::EtherType)
            }
            ether_type::PRP | ether_type::HSR => {
                let [.., high, low]: [u8; 6] = self.packet.at(self.at)?;
                self.ether_type = u16::from_be_bytes([high, low]);
                self.at += 6;
                Some(Step::EtherType)
            }
            _ => None,
        }
    }

    fn by_protocol(&mut self) -> Option<Step> {
        let in_ipv6 = self.ether_type == ether_type::IPV6;
        match self.protocol {
            protocol::GRE => self.gre(),
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION if in_ipv6 => {
                let [next, len] = self.packet.at(self.at)?;
                self.protocol = next;
                self.at += (i64::from(len) + 1) * 8;
                Some(Step::Protocol)
            }
            protocol::FRAGMENT if in_ipv6 => {
                let [next, _, high, low, ..]: [u8; 8] = self.packet.at(self.at)?;
                self.protocol = next;
                self.at += 8;
                self.later_fragment = u16::from_be_bytes([high, low]) & 0xfff8 != 0;
                Some(Step::End)
            }
            protocol::IPV4 => Some(self.tunnel(ether_type::IPV4)),
            protocol::IPV6 => Some(self.tunnel(ether_type::IPV6)),
            protocol::MPLS => Some(self.tunnel(ether_type::MPLS)),
            _ => Some(Step::End),
        }
    }

    fn tunnel(&mut self, carries: u16) -> Step {
        self.ether_type = carries;
        Step::EtherType
    }

    /// A header of a known length that nothing known follows.
    fn skip<const N: usize>(&mut self) -> Option<Step> {
        self.packet.at::<N>(self.at)?;
        self.at += N as i64;
        Some(Step::End)
    }

    fn ipv4(&mut self) -> Option<Step> {
        let header: [u8; 20] = self.packet.at(self.at)?;
        let words = header[0] & 0x0f;
        if words < 5 {
            return None;
        }
        self.at += i64::from(words) * 4;
        self.protocol = header[9];
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        self.later_fragment = fragment & 0x1fff != 0;
        // The first fragment is not looked into either, but its transport header is known to be there.
        Some(if fragment & 0x3fff == 0 { Step::Inside } else { Step::End })
    }

    fn tag(&mut self) -> Option<Step> {
        if self.packet.metadata().vlan.is_some() && !self.tag_met {
            self.ether_type = self.packet.metadata().protocol;
        } else {
            let [_, _, high, low] = self.packet.at(self.at)?;
            self.ether_type = u16::from_be_bytes([high, low]);
            self.at += 4;
        }
        self.tag_met = true;
        Some(Step::EtherType)
    }

    fn pppoe(&mut self) -> Option<Step> {
        let [version, code, .., high, low]: [u8; 8] = self.packet.at(self.at)?;
        if [version, code] != [0x11, 0] {
            return None;
        }
        let ppp = u16::from_be_bytes([high, low]);
        self.at += 8;
        match ppp {
            0x0021 => Some(self.tunnel(ether_type::IPV4)),
            0x0057 => Some(self.tunnel(ether_type::IPV6)),
            0x0281 => Some(self.tunnel(ether_type::MPLS)),
            0x0283 => Some(self.tunnel(ether_type::MPLS_MULTICAST)),
            // A number that RFC 1661 allows: even first, odd second byte.
            _ if ppp & 0x0101 == 0x0001 => Some(Step::End),
            _ => None,
        }
    }

    fn gre(&mut self) -> Option<Step> {
        const CHECKSUM: u16 = 0x8000;
        const ROUTING: u16 = 0x4000;
        const KEY: u16 = 0x2000;
        const SEQUENCE: u16 = 0x1000;
        const ACKNOWLEDGEMENT: u16 = 0x0080;
        const VERSION: u16 = 0x0007;

        let [f0, f1, p0, p1] = self.packet.at(self.at)?;
        let (flags, carries) = (u16::from_be_bytes([f0, f1]), u16::from_be_bytes([p0, p1]));
        let has = |flag| flags & flag != 0;
        let version = flags & VERSION;
        // Version 1 is PPTP's: PPP inside, and a key.
        let pptp = version == 1 && carries == ether_type::PPP_IN_GRE && has(KEY);
        if has(ROUTING) || !(version == 0 || pptp) {
            return Some(Step::End);
        }

        let mut at = self.at + 4 + if has(CHECKSUM) { 4 } else { 0 };
        if has(KEY) {
            self.packet.at::<4>(at)?;
            at += 4;
        }
        at += if has(SEQUENCE) { 4 } else { 0 };
        self.ether_type = carries;
        if pptp {
            at += if has(ACKNOWLEDGEMENT) { 4 } else { 0 };
            match self.packet.at(at)? {
                [_, _, 0x00, 0x21] => self.ether_type = ether_type::IPV4,
                [_, _, 0x00, 0x57] => self.ether_type = ether_type::IPV6,
                _ => {}
            }
            at += 4;
        } else if carries == ether_type::TRANSPARENT_ETHERNET {
            let [.., high, low]: [u8; 14] = self.packet.at(at)?;
            self.ether_type = u16::from_be_bytes([high, low]);
            at += 14;
        }
        self.at = at;
        Some(Step::EtherType)
    }

    /// Where the payload begins, once the walk is over.
    fn payload(&self) -> u32 {
        // Linux holds both in sixteen bits.
        let at = u32::from((self.at as u16).min(self.packet.data_len() as u16));
        if self.later_fragment {
            return at;
        }
        at + match self.protocol {
            protocol::TCP => match self.packet.at(i64::from(at) + 12) {
                Some([words]) => (u32::from(words & 0xf0) >> 2).max(20),
                None => 0,
            },
            protocol::UDP | protocol::UDP_LITE | protocol::ICMP | protocol::ICMPV6 | protocol::IGMP => 8,
            protocol::DCCP | protocol::SCTP => 12,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Metadata, VlanTag};
    use crate::packet::Headers;

    fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes[0] = 0x45;
        bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
        bytes[9] = protocol;
        bytes.extend(payload);
        bytes
    }

    fn ask(ether_type: u16, bytes: &[u8]) -> u32 {
        let metadata = Metadata { protocol: ether_type, ..Metadata::default() };
        offset(&Packet::new(bytes, &metadata))
    }

    #[test]
    fn transports_have_their_headers() {
        let mut tcp = [0; 40];
        tcp[12] = 0x80;
        assert_eq!(ask(0x0800, &ipv4(protocol::TCP, 0, &tcp)), 20 + 32);
        assert_eq!(ask(0x0800, &ipv4(protocol::TCP, 0, &[])), 20);
        assert_eq!(ask(0x0800, &ipv4(protocol::UDP, 0, &[0; 8])), 28);
        assert_eq!(ask(0x0800, &ipv4(protocol::UDP, 0x2000, &[0; 8])), 28);
        assert_eq!(ask(0x0800, &ipv4(protocol::UDP, 0x2001, &[0; 8])), 20);
        assert_eq!(ask(0x0800, &[0x44; 40]), 0);
        assert_eq!(ask(0x1234, &[0; 40]), 0);
    }

    #[test]
    fn tunnels_and_tags_are_walked_through() {
        let inner = ipv4(protocol::UDP, 0, &[0; 8]);
        assert_eq!(ask(0x0800, &ipv4(protocol::IPV4, 0, &inner)), 48);
        let gre = [&[0xa0, 0, 8, 0][..], &[0; 8], &inner].concat();
        assert_eq!(ask(0x0800, &ipv4(protocol::GRE, 0, &gre)), 20 + 12 + 28);
        let tagged = [&[0, 5, 8, 0][..], &inner].concat();
        assert_eq!(ask(0x8100, &tagged), 32);
        // The same tag, taken out.
        let vlan = Some(VlanTag { control: 5, protocol: 0x8100 });
        let metadata = Metadata { protocol: 0x0800, vlan, ..Metadata::default() };
        assert_eq!(offset(&Packet::new(&inner[..], &metadata)), 28);
    }

    #[test]
    fn headers_before_the_data_are_walked_too() {
        let bytes = ipv4(protocol::UDP, 0, &[0; 12]);
        let metadata = Metadata { protocol: 0x0800, ..Metadata::default() };
        let headers = Headers { link: None, network: 0, data: 20 };
        assert_eq!(offset(&Packet::with_headers(&bytes[..], headers, &metadata)), 8);
    }

    #[test]
    fn an_endless_row_of_headers_ends() {
        let tags: Vec<u8> = [0, 5, 0x81, 0].repeat(100);
        assert_eq!(ask(0x8100, &tags), 4 * 16);
        assert_eq!(ask(0x86dd, &[0; 4000]), 40 + 8 * 16);
    }
}
