//! ARP: asking for neighbours, answering for ourselves.
//!
//! Questions for our addresses are answered to whoever asks, with what the question says, and leave no trace in the
//! [neighbour table](crate::neighbor). An address of ours that another station claims is defended by an announcement, at
//! most one in ten seconds (RFC 5227 §2.4 b), so that two hosts with the same address do not shout at each other for ever.
//! An address is announced when it is configured and when its link comes up, twice (§2.3); we do not probe first, as an
//! address that an administrator gave is used whatever others say.
//!
//! # Standards
//!
//! RFC 826 ("Packet Reception", without its merging of strangers), RFC 5227 §2.3, §2.4, RFC 1122 §2.3.2, RFC 1112 §6.4.

use crate::counters::Drop;
use crate::ip::{Ip, Undeliverable};
use crate::neighbor::{Action, Claim, Heard, Use};
use crate::port::{OutFrame, PortId};
use sockeye_device::{Instant, Offload};
use sockeye_wire::arp::{self, Operation};
use sockeye_wire::{EtherType, MacAddr, ethernet, ipv6};
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

    /// An ARP packet has arrived.
    pub(crate) fn handle_arp(&mut self, now: Instant, port: PortId, bytes: &[u8]) {
        if let Err(reason) = self.take_arp(now, port, bytes) {
            self.counters.drop(reason);
        }
    }

    fn take_arp(&mut self, now: Instant, port: PortId, bytes: &[u8]) -> Result<(), Drop> {
        let packet = arp::Repr::parse(bytes).map_err(|_| Drop::ArpMalformed)?;
        let Some(own_mac) = self.find_port(port).map(|port| port.mac) else { return Ok(()) };
        if !packet.sender_mac.is_unicast() || packet.sender_mac == own_mac {
            return Err(Drop::ArpSource);
        }
        let reply = match packet.operation {
            Operation::REQUEST => {
                self.counters.arp_requests_received += 1;
                false
            }
            Operation::REPLY => {
                self.counters.arp_replies_received += 1;
                true
            }
            _ => return Err(Drop::ArpMalformed),
        };
        let sender = packet.sender_ip;
        let on_this_port =
            |address: Ipv4Addr| self.ports[port.index()].addresses.iter().any(|own| own.addr() == IpAddr::V4(address));
        let for_us = on_this_port(packet.target_ip);
        if on_this_port(sender) {
            self.defend(now, port, sender.into());
            return Err(Drop::ArpConflict);
        }
        let mut outcome = Ok(());
        if !sender.is_unspecified() {
            if !is_host(sender) {
                return Err(Drop::ArpSource);
            }
            let how = if reply && packet.target_mac == own_mac { Claim::Reply } else { Claim::Passing };
            outcome = self.hear(now, port, sender.into(), packet.sender_mac, how);
        }
        if !reply && for_us {
            self.counters.arp_replies_sent += 1;
            let answer = arp::Repr {
                operation: Operation::REPLY,
                sender_mac: own_mac,
                sender_ip: packet.target_ip,
                target_mac: packet.sender_mac,
                target_ip: sender,
            };
            self.send_arp(port, packet.sender_mac, &answer);
            return Ok(());
        }
        match outcome {
            // Whatever we did not need to know is a drop, so that nothing vanishes uncounted.
            Err(Drop::ArpNotForUs) if reply => Err(Drop::ArpUnsolicited),
            outcome => outcome,
        }
    }

    /// Somebody claims to have an address. What became of it, in the words of ARP.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        port: PortId,
        sender: IpAddr,
        mac: MacAddr,
        how: Claim,
    ) -> Result<(), Drop> {
        match self.neighbors.hear(now, &mut self.rng, port, sender, mac, how) {
            Heard::Stranger => Err(Drop::ArpNotForUs),
            Heard::Known => Ok(()),
            Heard::Resolved(packets) => {
                self.revive_gateway(port, sender);
                for mut packet in packets {
                    packet.address_to(mac);
                    if !self.enqueue(port, packet) {
                        self.counters.drop(Drop::LinkQueueFull);
                    }
                }
                Ok(())
            }
            Heard::Doubtful(known) => {
                self.ask(now, port, sender, Some(known));
                Err(Drop::ArpDoubtful)
            }
        }
    }

    pub(crate) fn handle_neighbor_timeouts(&mut self, now: Instant) {
        while let Some(action) = self.neighbors.handle_timeout(now) {
            match action {
                Action::Ask { port, address, to } => self.ask(now, port, address, to),
                Action::Failed { port, address, packets } => {
                    self.counters.neighbor_failures += 1;
                    self.bury_gateway(now, port, address);
                    for packet in packets {
                        self.counters.drop(Drop::NeighborFailed);
                        if self.undeliverable.len() < REPORTS {
                            self.undeliverable.push_back(Undeliverable { packet });
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
        let address = match address {
            IpAddr::V4(address) => address,
            IpAddr::V6(address) => return self.advertise(now, port, address, ipv6::ALL_NODES, None),
        };
        let Some(state) = self.find_port(port) else { return };
        let announcement = arp::Repr {
            operation: Operation::REQUEST,
            sender_mac: state.mac,
            sender_ip: address,
            target_mac: MacAddr::ZERO,
            target_ip: address,
        };
        self.counters.arp_requests_sent += 1;
        self.send_arp(port, MacAddr::BROADCAST, &announcement);
    }

    /// Another station claims an address of ours.
    pub(crate) fn defend(&mut self, now: Instant, port: PortId, address: IpAddr) {
        let Some(state) = self.ports.get_mut(port.index()) else { return };
        if state.defended.is_none_or(|last| now.since(last) >= DEFEND_INTERVAL) {
            state.defended = Some(now);
            match address {
                IpAddr::V4(_) => self.counters.arp_defences += 1,
                IpAddr::V6(_) => self.counters.nd_defences += 1,
            }
            self.announce(now, port, address);
        }
    }

    /// Asks for `address`: one station that is known, or all.
    fn ask(&mut self, now: Instant, port: PortId, address: IpAddr, to: Option<MacAddr>) {
        let target = match address {
            IpAddr::V4(target) => target,
            IpAddr::V6(target) => return self.solicit(now, port, target, to),
        };
        let Some(state) = self.find_port(port) else { return };
        let of_v4 = || state.addresses.iter().filter(|own| own.addr().is_ipv4());
        let own = of_v4().find(|own| own.contains(address)).or_else(|| of_v4().next());
        let Some(IpAddr::V4(own)) = own.map(|own| own.addr()) else { return };
        let question = arp::Repr {
            operation: Operation::REQUEST,
            sender_mac: state.mac,
            sender_ip: own,
            target_mac: MacAddr::ZERO,
            target_ip: target,
        };
        self.counters.arp_requests_sent += 1;
        self.send_arp(port, to.unwrap_or(MacAddr::BROADCAST), &question);
    }

    fn send_arp(&mut self, port: PortId, to: MacAddr, packet: &arp::Repr) {
        let Some(state) = self.find_port(port) else { return };
        let src = state.mac;
        let len = ethernet::HEADER_LEN + arp::LEN;
        let mut buffer = self.buffers.take(len);
        let header = ethernet::Repr { dst: to, src, vlan: None, ether_type: EtherType::ARP };
        let at = header.emit(&mut buffer);
        packet.emit(&mut buffer[at..]);
        if !self.enqueue(port, OutFrame { buffer, len, offload: Offload::default() }) {
            self.counters.drop(Drop::LinkQueueFull);
        }
    }
}

/// True for an address that one host can have.
fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first != 127 && first < 224
}
