//! Addresses of sockets: the internet's, a link's and netlink's.

use std::fmt;
use std::net::SocketAddr;

/// Where a socket is bound, where a message goes or comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `sockaddr_in`, `sockaddr_in6`.
    Internet(SocketAddr),
    /// `sockaddr_ll`.
    Link(LinkAddress),
    /// `sockaddr_nl`.
    Netlink(NetlinkAddress),
}

/// What a netlink socket has for an address: netlink(7), `struct sockaddr_nl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetlinkAddress {
    /// Which socket, among those of the family; 0 is the node's side.
    pub port: u32,
    /// A bit for each group that is listened to.
    pub groups: u32,
}

/// What a packet socket has for an address: packet(7), `struct sockaddr_ll`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LinkAddress {
    /// The EtherType (`ETH_P_*`), in the machine's own order.
    pub protocol: u16,
    /// The interface's index as the program knows it; 0 is any.
    pub port: u32,
    /// The kind of hardware (`ARPHRD_*`).
    pub hardware: u16,
    /// To whom the packet was sent (`PACKET_HOST`, ...).
    pub packet: u8,
    /// How many bytes of `address` count; what a program says may be more than there are.
    pub len: u8,
    /// The hardware address.
    pub address: [u8; 8],
}

impl Address {
    /// The internet's, if it is one.
    pub fn internet(self) -> Option<SocketAddr> {
        match self {
            Address::Internet(address) => Some(address),
            Address::Link(_) | Address::Netlink(_) => None,
        }
    }

    /// The link's, if it is one.
    pub fn link(self) -> Option<LinkAddress> {
        match self {
            Address::Link(address) => Some(address),
            Address::Internet(_) | Address::Netlink(_) => None,
        }
    }
}

impl From<NetlinkAddress> for Address {
    fn from(address: NetlinkAddress) -> Self {
        Address::Netlink(address)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address::Internet(address)
    }
}

impl From<LinkAddress> for Address {
    fn from(address: LinkAddress) -> Self {
        Address::Link(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Internet(address) => address.fmt(f),
            Address::Link(address) => address.fmt(f),
            Address::Netlink(NetlinkAddress { port, groups: 0 }) => write!(f, "netlink {port}"),
            Address::Netlink(NetlinkAddress { port, groups }) => write!(f, "netlink {port} groups {groups:#x}"),
        }
    }
}

impl fmt::Display for LinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.address.iter().take(usize::from(self.len)).enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { ":" })?;
        }
        write!(f, "{}protocol {:#06x}%{}", if self.len == 0 { "" } else { " " }, self.protocol, self.port)
    }
}
