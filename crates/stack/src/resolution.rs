//! Which station a packet for a neighbour goes to, whatever the family.
//!
//! The [neighbour table](crate::neighbor) knows; what it wants asked is asked here, by [ARP](crate::arp) or by [neighbour
//! discovery](crate::ipv6::discovery), and what those hear comes back here. An address of ours that another station claims is
//! defended by an announcement, at most one in ten seconds, so that two hosts with the same address do not shout at each
//! other for ever.
//!
//! # Standards
//!
//! RFC 5227 §2.4 b (defence), RFC 1112 §6.4, RFC 2464 §7 (groups).

use crate::counters::Drop;
use crate::ip::{Ip, Undeliverable};
use crate::neighbor::{Action, Claim, Heard, Use};
use crate::port::PortId;
use sockeye_device::Instant;
use sockeye_wire::{MacAddr, ipv6};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// RFC 5227 §1.1: DEFEND_INTERVAL.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// Packets to failed neighbours that wait to be reported.
const REPORTS: usize = 256;

/// Where a packet for a neighbour goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// There. May be cached as [`crate::neighbor::USE_INTERVAL`] says.
    Ready(MacAddr),
    /// It is being asked for; [`Ip::link_generation`] changes when there is an answer or none.
    Pending,
    /// It did not answer.
    Failed,
}

/// What became of a claim to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// It was news, or known.
    Heard,
    /// We do not talk to that host.
    Stranger,
    /// It contradicts what is known: the known station is asked first.
    Doubtful,
}

impl Ip {
    /// The hardware address of `next_hop`, as a [route](crate::route::RouteEntry) names it. This is a *use*: it may start
    /// the neighbour's resolution or a check that it is still there.
    pub(crate) fn link(&mut self, now: Instant, port: PortId, next_hop: IpAddr) -> Link {
        if port == PortId::LOOPBACK {
            return Link::Ready(MacAddr::ZERO);
        }
        if next_hop == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Link::Ready(MacAddr::BROADCAST);
        }
        if next_hop.is_multicast() {
            return Link::Ready(MacAddr::for_group(next_hop));
        }
        match self.neighbors.use_address(now, port, next_hop) {
            Use::Ready(mac) => Link::Ready(mac),
            Use::Failed => Link::Failed,
            Use::Pending { ask } => {
                self.count_evicted();
                if ask {
                    self.ask(now, port, next_hop, None);
                }
                Link::Pending
            }
        }
    }

    /// Something that was sent to `next_hop` was answered (a TCP acknowledgement of new data, say): it is there.
    pub(crate) fn confirm(&mut self, now: Instant, port: PortId, next_hop: IpAddr) {
        if port != PortId::LOOPBACK {
            self.neighbors.confirm(now, &mut self.rng, port, next_hop);
        }
    }

    /// Somebody above has waited for `next_hop` in vain: it is asked whether it is still there, if it does not show soon.
    pub(crate) fn doubt(&mut self, now: Instant, port: PortId, next_hop: IpAddr) {
        if port != PortId::LOOPBACK {
            self.neighbors.suspect(now, port, next_hop);
        }
    }

    /// Somebody claims to have an address.
    pub(crate) fn hear(&mut self, now: Instant, port: PortId, sender: IpAddr, mac: MacAddr, how: Claim) -> Claimed {
        match self.neighbors.hear(now, &mut self.rng, port, sender, mac, how) {
            Heard::Stranger => Claimed::Stranger,
            Heard::Known => Claimed::Heard,
            Heard::Resolved(packets) => {
                self.revive_gateway(port, sender);
                for mut packet in packets {
                    packet.address_to(mac);
                    if !self.enqueue(port, packet) {
                        self.counters.drop(Drop::LinkQueueFull);
                    }
                }
                Claimed::Heard
            }
            Heard::Doubtful(known) => {
                self.ask(now, port, sender, Some(known));
                Claimed::Doubtful
            }
        }
    }

    /// An administrator says who has an address: what was known gives way.
    pub(crate) fn tell_neighbor(&mut self, now: Instant, port: PortId, address: IpAddr, mac: MacAddr) {
        if self.neighbors.link_address(port, address).is_some_and(|known| known != mac) {
            self.neighbors.forget(port, Some(address));
        }
        // It begins as one that is asked for, and there is the answer.
        let _ = self.neighbors.use_address(now, port, address);
        self.count_evicted();
        self.hear(now, port, address, mac, Claim::Passing);
    }

    pub(crate) fn handle_neighbor_timeouts(&mut self, now: Instant) {
        while let Some(action) = self.neighbors.handle_timeout(now) {
            match action {
                Action::Ask { port, address, to } => self.ask(now, port, address, to),
                Action::Failed { port, address, packets } => {
                    self.counters.neighbor_failures += 1;
                    self.forget_redirects(port, address);
                    self.bury_gateway(now, port, address);
                    for packet in packets {
                        self.counters.drop(Drop::NeighborFailed);
                        if self.undeliverable.len() < REPORTS {
                            self.undeliverable.push_back(Undeliverable { port, packet });
                        } else {
                            self.buffers.give(packet.buffer);
                        }
                    }
                }
            }
        }
        self.count_evicted();
    }

    /// Counts packets whose neighbour made room for another.
    pub(crate) fn count_evicted(&mut self) {
        for packet in self.neighbors.evicted() {
            self.counters.drop(Drop::NeighborEvicted);
            self.buffers.give(packet.buffer);
        }
    }

    /// Tells the link that an address is ours.
    pub(crate) fn announce(&mut self, now: Instant, port: PortId, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.announce_v4(port, address),
            IpAddr::V6(address) => self.advertise(now, port, address, ipv6::ALL_NODES, None),
        }
    }

    /// Another station claims an address of ours.
    pub(crate) fn defend(&mut self, now: Instant, port: PortId, address: IpAddr) {
        let Some(state) = self.ports.get_mut(port.index()) else { return };
        let last = &mut state.defended[usize::from(address.is_ipv6())];
        if last.is_none_or(|last| now.since(last) >= DEFEND_INTERVAL) {
            *last = Some(now);
            match address {
                IpAddr::V4(_) => self.counters.arp_defences += 1,
                IpAddr::V6(_) => self.counters.nd_defences += 1,
            }
            self.announce(now, port, address);
        }
    }

    /// Asks for `address`: one station that is known, or all that may have it.
    fn ask(&mut self, now: Instant, port: PortId, address: IpAddr, to: Option<MacAddr>) {
        match address {
            IpAddr::V4(address) => self.request(port, address, to),
            IpAddr::V6(address) => self.solicit(now, port, address, to),
        }
    }
}
