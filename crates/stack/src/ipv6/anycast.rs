//! Anycast addresses: ours, and others' of the same link as well. Whoever is nearest, or answers first, is heard.
//!
//! A socket joins one for as long as it lives, and as often as all sockets together joined it they must leave. What is sent there is taken, datagrams
//! and echoes are answered from an address that is ours alone, and connections cannot be made: the next segment might reach somebody else. A program that knows
//! what it does may send from the address all the same, datagram by datagram (`IPV6_PKTINFO`).
//!
//! Neighbours who ask for the address ask all of us. So the answer waits for a random time, and does not override another's; nobody is probed for
//! having it already, because others may.
//!
//! # Standards
//!
//! RFC 4291 §2.6; RFC 4861 §7.2.4, §7.2.7 (answers); RFC 4862 §5.4 (no detection of duplicates); RFC 4443 §2.2, §4.2 (where answers come from);
//! Linux `anycast.c`.

use crate::Stack;
use crate::counters::Drop;
use crate::ip::Ip;
use crate::port::PortId;
use crate::selection::is_of_a_link;
use sockeye_device::Instant;
use sockeye_wire::{MacAddr, ipv6};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// RFC 4861 §10: MAX_ANYCAST_DELAY_TIME.
const DELAY: Duration = Duration::from_secs(1);
/// Answers that may wait (Linux's `proxy_qlen`).
const MOST_WAITING: usize = 64;
/// Such addresses of a port. Linux has a bound by memory (`optmem_max`).
const MOST: usize = 256;

/// An anycast address of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anycast {
    /// The address.
    pub address: Ipv6Addr,
    /// How often it was joined.
    pub users: u32,
}

/// There is no such port, or it has as many anycast addresses as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// An answer that waits: to whom, at which station if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    port: PortId,
    target: Ipv6Addr,
    to: Ipv6Addr,
    station: Option<MacAddr>,
}

impl Ip {
    fn join_anycast(&mut self, port: PortId, address: Ipv6Addr) -> Result<(), TooMany> {
        let held = &mut self.ports.get_mut(port.index()).ok_or(TooMany)?.anycast;
        if let Some(held) = held.iter_mut().find(|held| held.address == address) {
            held.users = held.users.checked_add(1).ok_or(TooMany)?;
            return Ok(());
        }
        if held.len() >= MOST {
            return Err(TooMany);
        }
        held.insert(0, Anycast { address, users: 1 });
        self.join_group(port, ipv6::solicited_node(address).into());
        self.readdress();
        Ok(())
    }

    fn leave_anycast(&mut self, port: PortId, address: Ipv6Addr) {
        let Some(state) = self.ports.get_mut(port.index()) else { return };
        let Some(at) = state.anycast.iter().position(|held| held.address == address) else { return };
        state.anycast[at].users -= 1;
        if state.anycast[at].users == 0 {
            state.anycast.remove(at);
            self.leave_group(port, ipv6::solicited_node(address).into());
            self.readdress();
        }
    }

    /// A neighbour asks for an anycast address of ours. Where all who have it were asked, the answer waits.
    pub(crate) fn answer_for_anycast(
        &mut self,
        now: Instant,
        (port, target): (PortId, Ipv6Addr),
        (to, station): (Ipv6Addr, Option<MacAddr>),
        alone: bool,
    ) -> Result<(), Drop> {
        let answer = Answer { port, target, to, station };
        if alone {
            self.send_anycast_answer(now, &answer);
        } else if self.anycast_answers >= MOST_WAITING {
            return Err(Drop::NdAnycast);
        } else {
            self.anycast_answers += 1;
            let delay = self.rng.up_to(DELAY);
            self.wait_to_answer(now + delay, answer);
        }
        Ok(())
    }

    /// An answer has waited.
    pub(crate) fn send_waiting_answer(&mut self, now: Instant, answer: &Answer) {
        self.anycast_answers -= 1;
        if self.addresses.is_anycast_on(answer.port, answer.target) {
            self.send_anycast_answer(now, answer);
        }
    }

    fn send_anycast_answer(&mut self, now: Instant, &Answer { port, target, to, station }: &Answer) {
        self.advertise(now, port, target, to, station);
    }

    /// The address of ours alone from which somebody is answered who was heard on a port.
    pub(crate) fn own_source(&self, port: PortId, to: Ipv6Addr) -> Option<Ipv6Addr> {
        let device = is_of_a_link(to.into()).then_some(port);
        match self.route_by(to.into(), None, device).ok()?.source {
            IpAddr::V6(source) => Some(source),
            IpAddr::V4(_) => None,
        }
    }

    /// True for an address that a program may send from if it says so.
    pub(crate) fn may_send_from(&self, address: IpAddr) -> bool {
        self.is_local(address) || self.addresses.anycast_port(address).is_some()
    }
}

/// Anycast addresses, for whoever has sockets.
impl Stack {
    /// A port has an anycast address, once more if it has it already. It is to be [left](Self::anycast_leave).
    pub fn anycast_join(&mut self, port: PortId, address: Ipv6Addr) -> Result<(), TooMany> {
        self.ip.join_anycast(port, address)
    }

    /// It has it once less.
    pub fn anycast_leave(&mut self, port: PortId, address: Ipv6Addr) {
        self.ip.leave_anycast(port, address);
    }

    /// The anycast addresses of a port, the last that was joined first.
    pub fn anycast_addresses(&self, port: PortId) -> &[Anycast] {
        self.ip.find_port(port).map_or(&[], |state| &state.anycast)
    }
}
