//! ARP: asking for neighbours, answering for ourselves.
//!
//! Questions for our addresses are answered to whoever asks, with what the question says, and leave no trace in the
//! [neighbour table](crate::neighbor); [`resolution`](crate::resolution) says when there is something to ask. An address is
//! announced when it is configured and when its link comes up, twice (§2.3); what others have to say to that is [`conflict`](crate::conflict)'s.
//!
//! # Standards
//!
//! RFC 826 ("Packet Reception", without its merging of strangers), RFC 5227 §2.3, RFC 1122 §2.3.2.

use crate::counters::Drop;
use crate::ip::Ip;
use crate::neighbor::Claim;
use crate::port::{OutFrame, PortId};
use crate::resolution::Claimed;
use sockeye_device::{Instant, Offload};
use sockeye_wire::arp::{self, Operation};
use sockeye_wire::{EtherType, MacAddr, ethernet};
use std::net::{IpAddr, Ipv4Addr};

impl Ip {
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
        // RFC 5227, 2.1.1: who wants what we are about to take is as much in the way as who has it.
        let wanted = if sender.is_unspecified() { packet.target_ip } else { sender };
        if on_this_port(sender) || self.conflicts.is_probed(port, wanted) {
            self.handle_conflict(now, port, wanted, packet.sender_mac);
            return Err(Drop::ArpConflict);
        }
        let mut claimed = Claimed::Heard;
        if !sender.is_unspecified() {
            if !is_host(sender) {
                return Err(Drop::ArpSource);
            }
            let how = if reply && packet.target_mac == own_mac { Claim::Reply } else { Claim::Passing };
            claimed = self.hear(now, port, sender.into(), packet.sender_mac, how);
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
        match claimed {
            Claimed::Heard => Ok(()),
            // Whatever we did not need to know is a drop, so that nothing vanishes uncounted.
            Claimed::Stranger if reply => Err(Drop::ArpUnsolicited),
            Claimed::Stranger => Err(Drop::ArpNotForUs),
            Claimed::Doubtful => Err(Drop::ArpDoubtful),
        }
    }

    /// Tells the link that an address is ours.
    pub(crate) fn announce_v4(&mut self, port: PortId, address: Ipv4Addr) {
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

    /// Asks whether somebody has an address, in words that leave no trace (RFC 5227, 2.1.1).
    pub(crate) fn probe_v4(&mut self, port: PortId, address: Ipv4Addr) {
        let Some(state) = self.find_port(port) else { return };
        let probe = arp::Repr {
            operation: Operation::REQUEST,
            sender_mac: state.mac,
            sender_ip: Ipv4Addr::UNSPECIFIED,
            target_mac: MacAddr::ZERO,
            target_ip: address,
        };
        self.counters.arp_probes_sent += 1;
        self.send_arp(port, MacAddr::BROADCAST, &probe);
    }

    /// Asks for `target`: one station that is known, or all.
    pub(crate) fn request(&mut self, port: PortId, target: Ipv4Addr, to: Option<MacAddr>) {
        let Some(state) = self.find_port(port) else { return };
        let of_v4 = || state.addresses.iter().filter(|own| own.addr().is_ipv4());
        let own = of_v4().find(|own| own.contains(target.into())).or_else(|| of_v4().next());
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
