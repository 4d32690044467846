//! Neighbour discovery: asking for neighbours, answering for ourselves.
//!
//! What ARP is to IPv4 ([`arp`](crate::arp)), over the same [neighbour table](crate::neighbor) and by the same rules: questions
//! for our addresses are answered to whoever asks and leave no trace; a claim that we did not ask for replaces nothing; an
//! address of ours that another station claims is defended by an advertisement, at most one in ten seconds.
//!
//! A question goes to the group in which the address itself tells who listens, so it disturbs few; a known neighbour is
//! asked alone. All messages have a hop limit of 255, which nothing that came through a router has.
//!
//! What routers say, and the questions whether somebody has an address that we want, are [`autoconf`](super::autoconf)'s;
//! here they are read and written.
//!
//! # Standards
//!
//! RFC 4861 §4, §6.3.7, §7.1, §7.2; RFC 4862 §5.4 (who asks from no address); RFC 4429 §3 (what an optimistic address may
//! say); RFC 7527 §4; RFC 6980 (no fragments).

use crate::counters::Drop;
use crate::ip::{Ip, Outgoing};
use crate::ipv4::output::{Fragmentation, Manner, SendError};
use crate::ipv6::autoconf::AddressState;
use crate::ipv6::input::Accepted;
use crate::neighbor::Claim;
use crate::port::PortId;
use crate::resolution::Claimed;
use crate::route::{AddressKind, RouteEntry};
use sockeye_device::Instant;
use sockeye_wire::ndisc::{HOP_LIMIT, Message, NdOption, NeighborAdvertisement, Options};
use sockeye_wire::{IpPrefix, MacAddr, Protocol, icmpv6, ipv6};
use std::net::{IpAddr, Ipv6Addr};

/// Type, reserved, target and one link-layer address.
const MESSAGE_LEN: usize = 32;
/// The number in a question whether somebody has an address, with its kind and length.
const NONCE_LEN: usize = 8;

impl Ip {
    /// A message about neighbours or routers has arrived.
    pub(crate) fn handle_discovery(&mut self, now: Instant, port: PortId, accepted: &Accepted, message: &Message<'_>) {
        let arrival = icmpv6::Arrival {
            src: accepted.source,
            dst: accepted.destination,
            hop_limit: accepted.hop_limit,
            fragmented: accepted.fragmented,
            router_alert: accepted.router_alert,
        };
        let outcome = match message.validate(&arrival) {
            Err(_) => Err(Drop::NdInvalid),
            Ok(()) => match message {
                Message::NeighborSolicitation { target, options } => {
                    self.counters.nd_solicitations_received += 1;
                    self.take_solicitation(now, port, (accepted.source, accepted.unicast), *target, options)
                }
                Message::NeighborAdvertisement(advertisement) => {
                    self.counters.nd_advertisements_received += 1;
                    self.take_advertisement(now, port, accepted.unicast, advertisement)
                }
                Message::RouterAdvertisement(advertisement) => {
                    self.take_router_advertisement(now, port, accepted.source, advertisement)
                }
                Message::Redirect { target, destination, options } => {
                    let router = accepted.source.into();
                    let taken = self.take_redirect(now, port, router, (*destination).into(), (*target).into());
                    let mac = options.target_link_layer().filter(|mac| mac.is_unicast() && taken.is_ok());
                    if let Some(mac) = mac {
                        self.hear(now, port, (*target).into(), mac, Claim::Passing);
                    }
                    taken
                }
                Message::RouterSolicitation { .. } => Err(Drop::NdRouter),
            },
        };
        if let Err(reason) = outcome {
            self.counters.drop(reason);
        }
    }

    fn take_solicitation(
        &mut self,
        now: Instant,
        port: PortId,
        (source, alone): (Ipv6Addr, bool),
        target: Ipv6Addr,
        options: &Options<'_>,
    ) -> Result<(), Drop> {
        let mac = options.source_link_layer();
        let outcome = match mac {
            Some(mac) if !mac.is_unicast() => return Err(Drop::NdMalformed),
            Some(mac) if !source.is_unspecified() => {
                heard(self.hear(now, port, source.into(), mac, Claim::Passing), Drop::NdNotForUs)
            }
            _ => Ok(()),
        };
        let state = self.autoconf.link(port).and_then(|link| link.state(target));
        if matches!(state, Some(AddressState::Tentative | AddressState::Optimistic)) && source.is_unspecified() {
            // RFC 4862, 5.4.3: somebody wants it at the same time as we.
            if self.is_own_probe(port, target, options.nonce()) {
                return Err(Drop::NdLooped);
            }
            self.lose_address(now, port, target);
            return Err(Drop::NdDuplicate);
        }
        if state == Some(AddressState::Tentative) {
            return Err(Drop::NdTentative);
        }
        // Who has no address yet (and wants ours) is told by telling all; others where the question came from, so that nothing
        // has to be known of them.
        let whom = if source.is_unspecified() { (ipv6::ALL_NODES, None) } else { (source, mac) };
        if self.addresses.is_on(port, target) {
            self.advertise(now, port, target, whom.0, whom.1);
            Ok(())
        } else if self.addresses.is_anycast_on(port, target) {
            self.answer_for_anycast(now, (port, target), whom, alone)
        } else {
            outcome
        }
    }

    fn take_advertisement(
        &mut self,
        now: Instant,
        port: PortId,
        unicast: bool,
        advertisement: &NeighborAdvertisement<'_>,
    ) -> Result<(), Drop> {
        let NeighborAdvertisement { target, solicited, router, ref options, .. } = *advertisement;
        let state = self.autoconf.link(port).and_then(|link| link.state(target));
        if self.addresses.is_on(port, target) || state == Some(AddressState::Tentative) {
            if options.target_link_layer() == self.find_port(port).map(|port| port.mac) {
                // Our own, come back.
                return Err(Drop::Ipv6Source);
            }
            if matches!(state, Some(AddressState::Tentative | AddressState::Optimistic)) {
                self.lose_address(now, port, target);
                return Err(Drop::NdDuplicate);
            }
            self.defend(now, port, target.into());
            return Err(Drop::NdConflict);
        }
        let how = if solicited && unicast { Claim::Reply } else { Claim::Passing };
        // An answer to a question that was asked of it alone may leave its address out (RFC 4861, 4.4).
        let mac = options.target_link_layer().or_else(|| self.neighbors.link_address(port, target.into()));
        match mac {
            Some(mac) if mac.is_unicast() => {
                let claimed = self.hear(now, port, target.into(), mac, how);
                if claimed == Claimed::Heard && !router {
                    self.forget_router(port, target);
                }
                heard(claimed, Drop::NdUnsolicited)
            }
            Some(_) => Err(Drop::NdMalformed),
            None => Err(Drop::NdUnsolicited),
        }
    }

    /// Tells that an address is ours: whoever asked, at a station that is known or is not, or all.
    pub(crate) fn advertise(
        &mut self,
        now: Instant,
        port: PortId,
        address: Ipv6Addr,
        to: Ipv6Addr,
        station: Option<MacAddr>,
    ) {
        let Some(mac) = self.find_port(port).map(|port| port.mac) else { return };
        let mut bytes = [0; MESSAGE_LEN];
        let options = Options::write(&[NdOption::TargetLinkLayer(mac)], &mut bytes);
        let state = self.autoconf.link(port).and_then(|link| link.state(address));
        let anycast = !self.addresses.is_on(port, address) && self.addresses.is_anycast_on(port, address);
        let Some(source) = (if anycast { self.source_on_link(port, to) } else { Some(address) }) else { return };
        let message = Message::NeighborAdvertisement(NeighborAdvertisement {
            router: false,
            solicited: !to.is_multicast(),
            overrides: state != Some(AddressState::Optimistic) && !anycast,
            target: address,
            options,
        });
        self.counters.nd_advertisements_sent += 1;
        self.send_discovery(now, port, source, to, station, &message);
    }

    /// Asks for `target`: one station that is known, or those that may have it.
    pub(crate) fn solicit(&mut self, now: Instant, port: PortId, target: Ipv6Addr, known: Option<MacAddr>) {
        let Some(state) = self.find_port(port) else { return };
        let mac = state.mac;
        let Some(source) = self.source_on_link(port, target) else { return };
        let mut bytes = [0; MESSAGE_LEN];
        let options = Options::write(&[NdOption::SourceLinkLayer(mac)], &mut bytes);
        let message = Message::NeighborSolicitation { target, options };
        self.counters.nd_solicitations_sent += 1;
        let to = if known.is_some() { target } else { ipv6::solicited_node(target) };
        self.send_discovery(now, port, source, to, known, &message);
    }

    /// Asks whether somebody has an address that we want.
    pub(crate) fn send_duplicate_probe(&mut self, now: Instant, port: PortId, target: Ipv6Addr, nonce: &[u8]) {
        let mut bytes = [0; NONCE_LEN];
        let options = Options::write(&[NdOption::Nonce(nonce)], &mut bytes);
        let message = Message::NeighborSolicitation { target, options };
        self.counters.nd_solicitations_sent += 1;
        self.send_discovery(now, port, Ipv6Addr::UNSPECIFIED, ipv6::solicited_node(target), None, &message);
    }

    /// Asks which routers there are.
    pub(crate) fn send_router_solicitation(&mut self, now: Instant, port: PortId) {
        let Some(mac) = self.find_port(port).map(|port| port.mac) else { return };
        let mut bytes = [0; 8];
        // RFC 4429, 3.3: what is not certainly ours is not said to be at our station.
        let (source, options) = match self.link_local(port) {
            Some((address, true)) => (address, Options::write(&[NdOption::SourceLinkLayer(mac)], &mut bytes)),
            Some((address, false)) => (address, Options::NONE),
            None => (Ipv6Addr::UNSPECIFIED, Options::NONE),
        };
        self.counters.nd_router_solicitations_sent += 1;
        self.send_discovery(now, port, source, ipv6::ALL_ROUTERS, None, &Message::RouterSolicitation { options });
    }

    /// One of the port's addresses, rather of the same network; but for one that may yet be another's.
    fn source_on_link(&self, port: PortId, target: Ipv6Addr) -> Option<Ipv6Addr> {
        let link = self.autoconf.link(port);
        let certain = |own: &&IpPrefix| match own.addr() {
            IpAddr::V6(own) => link.and_then(|link| link.state(own)) != Some(AddressState::Optimistic),
            IpAddr::V4(_) => false,
        };
        let addresses = &self.find_port(port)?.addresses;
        let near = addresses.iter().filter(certain).find(|own| own.contains(target.into()));
        let near = near.and_then(|own| if let IpAddr::V6(own) = own.addr() { Some(own) } else { None });
        near.or_else(|| self.link_local(port).map(|(own, _)| own)).or_else(|| {
            addresses
                .iter()
                .filter(certain)
                .find_map(|own| if let IpAddr::V6(own) = own.addr() { Some(own) } else { None })
        })
    }

    /// Sends a message over the link, to a station that is known or as the neighbour table and the group say.
    fn send_discovery(
        &mut self,
        now: Instant,
        port: PortId,
        source: Ipv6Addr,
        to: Ipv6Addr,
        mac: Option<MacAddr>,
        message: &Message<'_>,
    ) {
        let message = icmpv6::Message::Discovery(*message);
        let mut bytes = [0; 2 * MESSAGE_LEN];
        let len = message.emit_header(source, to, &mut bytes);
        let outgoing = Outgoing {
            source: source.into(),
            destination: to.into(),
            protocol: Protocol::ICMPV6,
            ttl: HOP_LIMIT,
            tos: 0,
            checksum_offset: None,
            segment_size: None,
        };
        let mtu = self.port(port).mtu;
        let kind = if to.is_multicast() { AddressKind::Multicast } else { AddressKind::Unicast };
        let route = RouteEntry { port, source: source.into(), next_hop: to.into(), mtu, kind, hop_limit: HOP_LIMIT };
        let whole = Manner { fragmentation: Fragmentation::Never, ..Manner::default() };
        let sent = match mac {
            Some(mac) => self.send_v6_to(port, mac, &outgoing, (source, to), &bytes[..len]),
            None => self.send_v6_by(now, &route, &outgoing, &whole, &bytes[..len], &[]),
        };
        match sent {
            Ok(()) => {
                self.counters.icmp_messages_sent += 1;
                self.counters.icmpv6.note_sent(&bytes);
            }
            Err(SendError::Full) => self.counters.drop(Drop::LinkQueueFull),
            Err(_) => self.counters.ipv6_no_route += 1,
        }
    }
}

/// What a claim is counted as; `stranger` if it is none of our business.
fn heard(claimed: Claimed, stranger: Drop) -> Result<(), Drop> {
    match claimed {
        Claimed::Heard => Ok(()),
        Claimed::Stranger => Err(stranger),
        Claimed::Doubtful => Err(Drop::NdDoubtful),
    }
}
