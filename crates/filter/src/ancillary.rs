//! What a program can ask about a packet besides its bytes: absolute loads at [`ANCILLARY_OFFSET`] and above.
//!
//! The size of such a load says nothing; byte, half and word mean the same.

use crate::code::ANCILLARY_OFFSET;

/// The loads that Linux knows, in the order of their offsets, four apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ancillary {
    /// `SKF_AD_PROTOCOL`: the EtherType.
    Protocol,
    /// `SKF_AD_PKTTYPE`: to whom the packet was sent.
    PacketType,
    /// `SKF_AD_IFINDEX`: the interface's index.
    InterfaceIndex,
    /// `SKF_AD_NLATTR`: where the netlink attribute of type X stands, looking from offset A on; 0 if nowhere.
    Attribute,
    /// `SKF_AD_NLATTR_NEST`: the same within the attribute at offset A.
    NestedAttribute,
    /// `SKF_AD_MARK`: the packet's mark.
    Mark,
    /// `SKF_AD_QUEUE`: the device queue that it came through.
    Queue,
    /// `SKF_AD_HATYPE`: the interface's hardware type.
    HardwareType,
    /// `SKF_AD_RXHASH`: the hash of its flow.
    Hash,
    /// `SKF_AD_CPU`: the processor that runs the program.
    Cpu,
    /// `SKF_AD_ALU_XOR_X`: no load at all, but A ^= X.
    XorX,
    /// `SKF_AD_VLAN_TAG`: the 802.1Q tag control information, 0 without a tag.
    VlanTag,
    /// `SKF_AD_VLAN_TAG_PRESENT`: whether there is a tag.
    VlanTagPresent,
    /// `SKF_AD_PAY_OFFSET`: where the transport's payload begins, as far as that can be told.
    PayloadOffset,
    /// `SKF_AD_RANDOM`: a random word.
    Random,
    /// `SKF_AD_VLAN_TPID`: the EtherType of the tag, 0 without one.
    VlanProtocol,
}

impl Ancillary {
    /// All of them, each at a quarter of its distance from [`ANCILLARY_OFFSET`].
    pub const ALL: [Ancillary; 16] = [
        Ancillary::Protocol,
        Ancillary::PacketType,
        Ancillary::InterfaceIndex,
        Ancillary::Attribute,
        Ancillary::NestedAttribute,
        Ancillary::Mark,
        Ancillary::Queue,
        Ancillary::HardwareType,
        Ancillary::Hash,
        Ancillary::Cpu,
        Ancillary::XorX,
        Ancillary::VlanTag,
        Ancillary::VlanTagPresent,
        Ancillary::PayloadOffset,
        Ancillary::Random,
        Ancillary::VlanProtocol,
    ];

    /// What an absolute load at `k` asks for. `None` for what is no ancillary load, or none that Linux knows.
    pub fn at(k: u32) -> Option<Ancillary> {
        let distance = k.checked_sub(ANCILLARY_OFFSET)?;
        if distance % 4 != 0 {
            return None;
        }
        Ancillary::ALL.get(distance as usize / 4).copied()
    }

    /// The offset to load from.
    pub const fn k(self) -> u32 {
        ANCILLARY_OFFSET + 4 * self as u32
    }

    /// The name in a listing, which is libpcap's.
    pub const fn name(self) -> &'static str {
        match self {
            Ancillary::Protocol => "proto",
            Ancillary::PacketType => "type",
            Ancillary::InterfaceIndex => "ifidx",
            Ancillary::Attribute => "nla",
            Ancillary::NestedAttribute => "nlan",
            Ancillary::Mark => "mark",
            Ancillary::Queue => "queue",
            Ancillary::HardwareType => "hatype",
            Ancillary::Hash => "rxhash",
            Ancillary::Cpu => "cpu",
            Ancillary::XorX => "xor_x",
            Ancillary::VlanTag => "vlan_tci",
            Ancillary::VlanTagPresent => "vlanp",
            Ancillary::PayloadOffset => "poff",
            Ancillary::Random => "random",
            Ancillary::VlanProtocol => "vlan_tpid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_at_its_offset_and_nothing_between_or_beyond() {
        for ancillary in Ancillary::ALL {
            assert_eq!(Ancillary::at(ancillary.k()), Some(ancillary));
            assert_eq!(Ancillary::at(ancillary.k() + 1), None);
        }
        assert_eq!(Ancillary::VlanProtocol.k(), -0x1000_i32 as u32 + 60);
        assert_eq!(Ancillary::at(ANCILLARY_OFFSET + 64), None);
        assert_eq!(Ancillary::at(ANCILLARY_OFFSET - 4), None);
        assert_eq!(Ancillary::at(u32::MAX), None);
    }
}
