//! What each primitive asks of an Ethernet frame.
//!
//! A `vlan` moves what comes after it in the expression: tag by tag the EtherType and the network header stand four bytes
//! further. So where they stand is state, and primitives are translated in the order in which they are written.

use std::net::Ipv6Addr;

use sockeye_wire::{EtherType, MacAddr, Protocol};

use super::condition::{Base, Condition, Value};
use crate::code::*;

/// Which of two addresses or ports is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Direction {
    Source,
    Destination,
    #[default]
    Either,
    Both,
}

/// Where things stand in the frames that are asked about now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    tags: u32,
}

const SCTP: Protocol = Protocol(132);
const FRAGMENT: u32 = 44;
const RARP: EtherType = EtherType(0x8035);

impl Direction {
    /// The condition of the source and of the destination, put together.
    fn combine(self, source: impl FnOnce() -> Condition, destination: impl FnOnce() -> Condition) -> Condition {
        match self {
            Direction::Source => source(),
            Direction::Destination => destination(),
            Direction::Either => source().or(destination()),
            Direction::Both => source().and(destination()),
        }
    }
}

impl Frame {
    pub(super) fn untagged() -> Frame {
        Frame { tags: 0 }
    }

    /// Where the network header begins.
    pub(super) fn network(self) -> u32 {
        14 + 4 * self.tags
    }

    pub(super) fn ether_type(self, ether_type: EtherType) -> Condition {
        let at = Value::load(H, Base::Start(self.network() - 2), 0);
        Condition::is(at, u32::from(ether_type.0))
    }

    fn network_byte(self, at: u32) -> Value {
        Value::load(B, Base::Start(self.network()), at)
    }

    /// A frame with a tag, of this identifier or any. All that follows is asked behind the tag.
    pub(super) fn vlan(&mut self, id: Option<u16>) -> Condition {
        let tag = self.ether_type(EtherType::VLAN).or(self.ether_type(EtherType::QINQ));
        let tag = tag.or(self.ether_type(EtherType(0x9100)));
        let control = Value::load(H, Base::Start(self.network()), 0);
        self.tags += 1;
        match id {
            None => tag,
            Some(id) => tag.and(Condition::is(control.masked(0x0fff), id.into())),
        }
    }

    pub(super) fn ipv4_protocol(self, protocol: Protocol) -> Condition {
        self.ether_type(EtherType::IPV4).and(Condition::is(self.network_byte(9), protocol.0.into()))
    }

    /// The protocol, right behind the header or behind a fragment header.
    pub(super) fn ipv6_protocol(self, protocol: Protocol) -> Condition {
        let next = |at| Condition::is(self.network_byte(at), protocol.0.into());
        let fragment = Condition::is(self.network_byte(6), FRAGMENT);
        self.ether_type(EtherType::IPV6).and(next(6).or(fragment.and(next(40))))
    }

    pub(super) fn protocol(self, protocol: Protocol) -> Condition {
        self.ipv4_protocol(protocol).or(self.ipv6_protocol(protocol))
    }

    /// An IPv4 packet, or ARP or RARP for one, with an address in a network.
    pub(super) fn any_ipv4_address(self, address: u32, mask: u32, direction: Direction) -> Condition {
        let ip = self.ipv4_address(address, mask, direction);
        let arp = self.arp_address(EtherType::ARP, address, mask, direction);
        ip.or(arp).or(self.arp_address(RARP, address, mask, direction))
    }

    pub(super) fn ipv4_address(self, address: u32, mask: u32, direction: Direction) -> Condition {
        self.address_in(EtherType::IPV4, [12, 16], address, mask, direction)
    }

    /// ARP or RARP.
    pub(super) fn arp_address(self, kind: EtherType, address: u32, mask: u32, direction: Direction) -> Condition {
        self.address_in(kind, [14, 24], address, mask, direction)
    }

    fn address_in(
        self,
        carrier: EtherType,
        [source, destination]: [u32; 2],
        address: u32,
        mask: u32,
        direction: Direction,
    ) -> Condition {
        let at = |offset| self.ether_type(carrier).and(self.network_word(offset, address, mask));
        direction.combine(|| at(source), || at(destination))
    }

    /// A word of the network header under a mask. A mask without a bit asks nothing.
    fn network_word(self, at: u32, wanted: u32, mask: u32) -> Condition {
        if mask == 0 {
            return Condition::Constant(true);
        }
        Condition::is(Value::load(W, Base::Start(self.network()), at).masked(mask), wanted)
    }

    pub(super) fn ipv6_address(self, address: Ipv6Addr, prefix_len: u32, direction: Direction) -> Condition {
        let at = |offset: u32| {
            let words = (0..4).map(|index| {
                let word = (address.to_bits() >> (96 - 32 * index)) as u32;
                let bits = prefix_len.saturating_sub(32 * index).min(32);
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                self.network_word(offset + 4 * index, word, mask)
            });
            words.fold(self.ether_type(EtherType::IPV6), Condition::and)
        };
        direction.combine(|| at(8), || at(24))
    }

    pub(super) fn mac_address(self, MacAddr(address): MacAddr, direction: Direction) -> Condition {
        let [a, b, c, d, e, f] = address;
        let at = |offset| {
            let low = Condition::is(Value::load(W, Base::Start(0), offset + 2), u32::from_be_bytes([c, d, e, f]));
            low.and(Condition::is(Value::load(H, Base::Start(0), offset), u16::from_be_bytes([a, b]).into()))
        };
        direction.combine(|| at(6), || at(0))
    }

    /// A port in a range, of one transport or of all that have ports.
    pub(super) fn ports(self, transport: Option<Protocol>, low: u16, high: u16, direction: Direction) -> Condition {
        let in_range = |value: Value| {
            if low == high {
                return Condition::is(value, low.into());
            }
            let above = Condition::test(JGT, value.clone(), Value::Constant(high.into()));
            Condition::test(JGE, value, Value::Constant(low.into())).and(above.not())
        };
        let ports = |from: Base| {
            let port = |at| in_range(Value::load(H, from, at));
            direction.combine(|| port(0), || port(2))
        };
        let transports = |carries: &dyn Fn(Protocol) -> Condition| match transport {
            Some(transport) => carries(transport),
            None => carries(SCTP).or(carries(Protocol::TCP).or(carries(Protocol::UDP))),
        };
        let ipv6 = transports(&|transport| {
            let next = Condition::is(self.network_byte(6), transport.0.into());
            next.and(ports(Base::Start(self.network() + 40)))
        });
        let ipv4 = transports(&|transport| {
            let next = Condition::is(self.network_byte(9), transport.0.into());
            next.and(self.first_fragment()).and(ports(Base::AfterIpv4(self.network())))
        });
        self.ether_type(EtherType::IPV6).and(ipv6).or(self.ether_type(EtherType::IPV4).and(ipv4))
    }

    /// An IPv4 packet that is no fragment other than the first.
    pub(super) fn first_fragment(self) -> Condition {
        let fragment = Value::load(H, Base::Start(self.network()), 6);
        Condition::test(JSET, fragment, Value::Constant(0x1fff)).not()
    }

    pub(super) fn ethernet_multicast(self) -> Condition {
        Condition::test(JSET, Value::load(B, Base::Start(0), 0), Value::Constant(1))
    }

    pub(super) fn ipv4_multicast(self) -> Condition {
        let group = Condition::test(JGE, self.network_byte(16), Value::Constant(224));
        self.ether_type(EtherType::IPV4).and(group)
    }

    pub(super) fn ipv6_multicast(self) -> Condition {
        self.ether_type(EtherType::IPV6).and(Condition::is(self.network_byte(24), 255))
    }
}
