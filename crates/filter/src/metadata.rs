//! What is known of a packet besides its bytes, for the [ancillary](crate::Ancillary) loads. Whoever runs a program fills it in.

/// The facts about a packet. The default is a packet of which nothing is known, as on a Unix socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The EtherType; where the frame has a length in its place, Linux's `ETH_P_802_3` or `ETH_P_802_2`.
    pub protocol: u16,
    /// To whom the packet was sent, as in `sll_pkttype` of packet(7): 0 to us, 1 broadcast, 2 multicast, 3 to somebody else,
    /// 4 from us.
    pub packet_type: u8,
    /// The interface that it came by. A program that asks for it where there is none ends at once, and returns
    /// what A held before: Linux does so.
    pub device: Option<Device>,
    /// The mark, as SO_MARK sets it.
    pub mark: u32,
    /// The device queue that it came through.
    pub queue: u16,
    /// The hash of its flow; 0 is none.
    pub hash: u32,
    /// The processor that runs the program.
    pub cpu: u32,
    /// The 802.1Q tag that was taken out of the frame.
    pub vlan: Option<VlanTag>,
    /// A seed for this packet. Each load of a random word takes the next one of the sequence that it begins, so
    /// whoever cannot guess the seed cannot guess the words.
    pub random: u64,
}

/// An interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its index.
    pub index: u32,
    /// Its `ARPHRD_` number; 1 for Ethernet.
    pub hardware_type: u16,
}

/// A tag that a device or the stack has taken out of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// Priority, drop eligibility and identifier: the sixteen bits after the tag's EtherType.
    pub control: u16,
    /// The tag's EtherType.
    pub protocol: u16,
}
