//! Interfaces as programs see them.
//!
//! A program asks after interfaces in many ways: `getifaddrs`, the ioctls of netdevice(7), `/proc/net`, `/sys/class/net`.
//! All of them are answered from one look at the stack ([`Interface`], taken at the moment of asking), so they cannot
//! contradict each other; each way is a file of its own:
//!
//! | asked by | answered in | in which form |
//! |---|---|---|
//! | `getifaddrs`, `if_nameindex`, `SIOCGIFCONF` | [`rtnetlink`] | a file of rtnetlink's messages, which the shim reads as glibc does |
//! | a netlink socket | [`rtnetlink`] | the messages themselves |
//! | `ioctl` | [`ioctl`], [`ethtool`] | the structure that the command writes |
//! | `/proc/net/...` | [`proc_net`], [`sockets`], [`snmp`], [`flow_labels`] | a file of text, column for column the kernel's |
//! | `/sys/class/net/...` | [`sysfs`] | a file of text; of a directory, a real one that the node keeps |
//!
//! An interface bears its device's name. Its index is the port's, counted from 1 as Linux does: the loopback is `lo`, 1.
//!
//! # Standards
//!
//! netdevice(7), rtnetlink(7), proc_net(5); RFC 2863 (what the counters count), RFC 3493 §4 (names and indices).

pub(crate) mod ethtool;
mod files;
mod flow_labels;
pub(crate) mod ioctl;
mod proc_net;
pub(crate) mod rtnetlink;
mod settings;
mod snmp;
mod sockets;
mod sysfs;

use std::net::Ipv6Addr;

use sockeye_device::{Capabilities, Device, Instant};
use sockeye_stack::autoconf::{AddressState, AddressView, Origin};
use sockeye_stack::ipv6::anycast::Anycast;
use sockeye_stack::multicast::{GroupSummary, Version};
use sockeye_stack::packet::{Reception, ReceptionCounts};
use sockeye_stack::{PortId, Stack};
use sockeye_wire::{IpPrefix, MacAddr};

use crate::ports::Ports;

pub(crate) use files::{Files, dump, open};

/// Bits of an interface's flags (`IFF_*`).
mod flags {
    pub(crate) const UP: u32 = 0x1;
    pub(crate) const BROADCAST: u32 = 0x2;
    pub(crate) const LOOPBACK: u32 = 0x8;
    pub(crate) const RUNNING: u32 = 0x40;
    pub(crate) const PROMISC: u32 = 0x100;
    pub(crate) const ALLMULTI: u32 = 0x200;
    pub(crate) const MULTICAST: u32 = 0x1000;
    pub(crate) const LOWER_UP: u32 = 0x10000;
}

/// Bits of an address's flags (`IFA_F_*`).
mod address_flags {
    pub(super) const TEMPORARY: u8 = 0x01;
    pub(super) const OPTIMISTIC: u8 = 0x04;
    pub(super) const DUPLICATED: u8 = 0x08;
    pub(super) const DEPRECATED: u8 = 0x20;
    pub(super) const TENTATIVE: u8 = 0x40;
    pub(super) const PERMANENT: u8 = 0x80;
}

/// Frames that wait for a device, at most: what Linux calls the queue's length.
const QUEUE_LEN: u32 = 1_000;

/// An interface, as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) port: PortId,
    /// As programs see it: from 1.
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: MacAddr,
    pub(crate) mtu: u32,
    /// Nobody has taken it down.
    pub(crate) enabled: bool,
    /// The link is there.
    pub(crate) carrier: bool,
    pub(crate) capabilities: Capabilities,
    pub(crate) addresses: Vec<Address>,
    /// Those that it shares with others, and how often each was joined.
    pub(crate) anycast: Vec<Anycast>,
    /// Groups that are listened to there, and what is spoken about those of IPv4.
    pub(crate) groups: Vec<GroupSummary>,
    pub(crate) version: Version,
    /// What it lets through besides what is for the host.
    pub(crate) reception: ReceptionCounts,
    pub(crate) statistics: Statistics,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) prefix: IpPrefix,
    /// `IFA_F_*`.
    pub(crate) flags: u8,
    /// For how many seconds it is preferred, and valid; none for ever.
    pub(crate) preferred: Option<u32>,
    pub(crate) valid: Option<u32>,
}

/// What passed an interface since the node began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) rx_errors: u64,
    pub(crate) rx_dropped: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) tx_errors: u64,
    pub(crate) tx_dropped: u64,
    /// Times that the link went down.
    pub(crate) carrier_lost: u64,
}

/// All interfaces, by their index.
pub(crate) fn interfaces(now: Instant, stack: &Stack, ports: &Ports) -> Vec<Interface> {
    let groups: Vec<GroupSummary> = stack.groups().collect();
    let of_port = |id: PortId, port: &sockeye_stack::Port| {
        let statistics = if id.is_loopback() {
            loopback(stack)
        } else {
            ports.iter().find(|(of, _)| *of == id).map(|(_, device)| statistics(device)).unwrap_or_default()
        };
        Interface {
            port: id,
            index: id.interface_index(),
            name: port.name.clone(),
            mac: port.mac,
            mtu: port.mtu.into(),
            enabled: port.is_enabled(),
            carrier: port.has_carrier(),
            capabilities: port.capabilities,
            addresses: stack.addresses_of(id).iter().map(|view| Address::of(now, view)).collect(),
            anycast: stack.anycast_addresses(id).to_vec(),
            groups: groups.iter().filter(|one| one.port == id).cloned().collect(),
            version: groups
                .iter()
                .find(|one| one.port == id && one.group.is_ipv4())
                .map_or(Version::Three, |one| one.version),
            reception: stack.packet_reception(id),
            statistics,
        }
    };
    let mut all: Vec<Interface> = stack.ports().map(|(id, port)| of_port(id, port)).collect();
    // The stack needs no such entry to be reached by it.
    let own = Address::configured(IpPrefix::host(Ipv6Addr::LOCALHOST.into()));
    for loopback in all.iter_mut().filter(|one| one.is_loopback() && !one.addresses.contains(&own)) {
        loopback.addresses.push(own);
    }
    all
}

/// What has been sent there has been received there.
fn loopback(stack: &Stack) -> Statistics {
    let counters = stack.counters();
    let (packets, bytes) = (counters.loopback_frames, counters.loopback_bytes);
    Statistics { rx_packets: packets, rx_bytes: bytes, tx_packets: packets, tx_bytes: bytes, ..Statistics::default() }
}

fn statistics(device: &dyn Device) -> Statistics {
    let counters = device.counters();
    Statistics {
        rx_packets: counters.rx_frames,
        rx_bytes: counters.rx_bytes,
        rx_errors: counters.rx_errors,
        rx_dropped: counters.rx_dropped,
        tx_packets: counters.tx_frames,
        tx_bytes: counters.tx_bytes,
        tx_errors: counters.tx_errors,
        tx_dropped: counters.tx_dropped,
        carrier_lost: counters.link_lost,
    }
}

impl Address {
    fn configured(prefix: IpPrefix) -> Address {
        Address { prefix, flags: address_flags::PERMANENT, preferred: None, valid: None }
    }

    fn of(now: Instant, view: &AddressView) -> Address {
        use address_flags::{DEPRECATED, DUPLICATED, OPTIMISTIC, PERMANENT, TEMPORARY, TENTATIVE};
        let &AddressView { prefix, state, origin, valid_until, preferred_until } = view;
        let state = match state {
            AddressState::Preferred => 0,
            AddressState::Tentative => TENTATIVE,
            AddressState::Optimistic => TENTATIVE | OPTIMISTIC,
            AddressState::Deprecated => DEPRECATED,
            AddressState::Duplicated => TENTATIVE | DUPLICATED,
        };
        let origin = if origin == Origin::Temporary { TEMPORARY } else { 0 };
        let permanent = if valid_until.is_none() { PERMANENT } else { 0 };
        let left = |until: Instant| u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX);
        Address {
            prefix,
            flags: state | origin | permanent,
            preferred: preferred_until.map(left),
            valid: valid_until.map(left),
        }
    }
}

fn reception_flags(reception: Reception) -> u32 {
    let Reception { promiscuous, all_multicast } = reception;
    (if promiscuous { flags::PROMISC } else { 0 }) | if all_multicast { flags::ALLMULTI } else { 0 }
}

impl Interface {
    pub(crate) fn is_loopback(&self) -> bool {
        self.port.is_loopback()
    }

    /// Frames can pass.
    pub(crate) fn is_running(&self) -> bool {
        self.enabled && self.carrier
    }

    /// What the device does, without what follows from the link.
    pub(crate) fn device_flags(&self) -> u32 {
        self.own_flags() | reception_flags(self.reception.wanted())
    }

    /// What was set, without what follows from the link.
    fn own_flags(&self) -> u32 {
        let kind = if self.is_loopback() { flags::LOOPBACK } else { flags::BROADCAST | flags::MULTICAST };
        kind | if self.enabled { flags::UP } else { 0 }
    }

    /// All flags.
    pub(crate) fn flags(&self) -> u32 {
        let link = if self.is_running() { flags::RUNNING | flags::LOWER_UP } else { 0 };
        self.own_flags() | reception_flags(self.reception.switched) | link
    }

    /// ARPHRD_LOOPBACK or ARPHRD_ETHER.
    pub(crate) fn hardware_type(&self) -> u16 {
        if self.is_loopback() { 772 } else { 1 }
    }

    /// To whom a frame for everybody is addressed.
    pub(crate) fn hardware_broadcast(&self) -> MacAddr {
        if self.is_loopback() { MacAddr::ZERO } else { MacAddr([0xff; 6]) }
    }

    /// RFC 2863's ifOperStatus, in Linux's numbering. The loopback has no link of which it could be known.
    pub(crate) fn operational_state(&self) -> (u8, &'static str) {
        match (self.is_running(), self.is_loopback()) {
            (true, true) => (0, "unknown"),
            (true, false) => (6, "up"),
            (false, _) => (2, "down"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use sockeye_stack::{Config, PortConfig};

    /// A host with an interface `eth0` that has an address of each family.
    pub(crate) fn host() -> Stack {
        let mut stack = Stack::new(Config::default(), [7; 32]);
        let port = stack.add_port(PortConfig {
            name: "eth0".to_owned(),
            mac: MacAddr([2, 0, 0, 0, 0, 9]),
            mtu: 1500,
            capabilities: Capabilities::default(),
        });
        for address in ["10.9.0.2/24", "fd09::2/64"] {
            stack.add_address(Instant::ZERO, port, address.parse().expect("a prefix"));
        }
        stack
    }

    #[test]
    fn the_loopback_is_the_first_and_a_device_keeps_its_name() {
        let all = interfaces(Instant::ZERO, &host(), &Ports::default());
        let seen: Vec<_> = all.iter().map(|one| (one.index, one.name.as_str(), one.flags())).collect();
        assert_eq!(seen, [(1, "lo", 0x10049), (2, "eth0", 0x11043)]);
        let shown: Vec<_> = all.iter().map(|one| one.operational_state().1).collect();
        assert_eq!(shown, ["unknown", "up"]);
    }

    #[test]
    fn an_interface_that_was_taken_down_is_down_whatever_its_link_does() {
        let mut stack = host();
        let port = PortId::from_index(1);
        let flags = |stack: &Stack| interfaces(Instant::ZERO, stack, &Ports::default())[1].flags();
        stack.set_enabled(Instant::ZERO, port, false);
        assert_eq!(flags(&stack), 0x1002);
        stack.set_link(Instant::ZERO, port, false);
        stack.set_enabled(Instant::ZERO, port, true);
        assert_eq!(flags(&stack), 0x1003);
        assert!(!stack.ports().nth(1).is_some_and(|(_, port)| port.is_up()));
        stack.set_link(Instant::ZERO, port, true);
        assert_eq!(flags(&stack), 0x11043);
    }
}
