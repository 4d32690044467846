//! What all transports stand on: ports, addresses, routes, neighbours, and the way out.
//!
//! [`Ip`] is one struct that whoever works borrows mutably: a transport that handles a segment has `&mut self` and
//! `&mut Ip`, and nothing is shared in any other way. Its parts are rooms of their own (the routing decision in
//! `route`, neighbours in `neighbor`, `resolution` and `arp`, the way out in `ipv4::output`, reassembly in `reassembly`, errors in
//! `icmp`); what stands here is their common state, what is configured, and time.
//!
//! A flow that sends often caches two decisions and checks two numbers instead of deciding again: the
//! [route](crate::route::RouteEntry), valid while [`Ip::route_generation`] stands, and the neighbour's hardware address,
//! valid while [`Ip::link_generation`] stands and for [`USE_INTERVAL`](crate::neighbor::USE_INTERVAL) at most.

use crate::conflict::Conflicts;
use crate::counters::{Counters, Drop};
use crate::error_rates::Limiter;
use crate::fib::{self, Fib};
use crate::flow_labels::Leases;
use crate::hash::{Keyed, Keys};
use crate::icmp::Complaint;
use crate::ipv4::identification::Identifications;
use crate::ipv6::anycast::Answer;
use crate::ipv6::autoconf::Autoconf;
use crate::multicast::{Copies, Multicast};
use crate::neighbor::Neighbors;
use crate::path_mtu::PathMtus;
use crate::port::{Buffers, OutFrame, Port, PortConfig, PortId};
use crate::raw::View;
use crate::reassembly::{Reassembly, TimedOut};
use crate::redirect::Redirects;
use crate::rng::Rng;
use crate::route::Addresses;
use crate::selection::is_of_a_link;
use crate::wheel::{Wheel, earlier};
use crate::{Config, Egress};
use sockeye_device::{Capabilities, Checksum, Instant, Segmentation};
use sockeye_wire::{IpPrefix, MacAddr, Protocol, ipv6};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;
use std::time::Duration;

pub(crate) use crate::ipv4::output::Outgoing;
pub(crate) use crate::resolution::Link;
pub(crate) use crate::route::RouteEntry as Route;

/// A packet for a transport protocol, checked and whole: all but its payload.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    /// Of what came in pieces: the length of the longest; else 0.
    pub(crate) fragment_size: u16,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// By which it came, as sockets are told ([`Ip::port_told`]).
    pub(crate) port: PortId,
    /// By which it came.
    pub(crate) arrived_by: PortId,
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    /// What the device says of the transport checksum.
    pub(crate) checksum: Checksum,
    /// For a super-frame, how it would have been cut.
    pub(crate) segmentation: Option<Segmentation>,
    /// Sent to us alone, on the link and by IP.
    pub(crate) unicast: bool,
    /// The whole IP packet, in the frame's buffer.
    pub(crate) packet: Range<usize>,
    /// The options, in the frame's buffer.
    pub(crate) options: Range<usize>,
}

impl Incoming {
    /// The packet as raw sockets see it; `payload` is what it carries, in the frame's `buffer`.
    pub(crate) fn view<'a>(&self, protocol: Protocol, buffer: &'a [u8], payload: Range<usize>) -> View<'a> {
        View {
            fragment_size: self.fragment_size,
            source: self.source,
            destination: self.destination,
            protocol,
            port: self.port,
            ttl: self.ttl,
            tos: self.tos,
            packet: &buffer[self.packet.clone()],
            payload: &buffer[payload],
            unchecked: self.checksum == Checksum::Present,
            unicast: self.unicast,
        }
    }
}

/// What an ICMP error says of a packet that we sent, whatever the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// No route to the network (codes 0, 6, 11).
    NetworkUnreachable,
    /// The host does not answer, or does not exist (codes 1, 5, 7, 8, 12).
    HostUnreachable,
    /// The host does not speak the protocol (code 2).
    ProtocolUnreachable,
    /// Nobody has the port (code 3).
    PortUnreachable,
    /// A filter forbids it (codes 9, 10, 13).
    Prohibited,
    /// Too large for a link on the way, which carries `mtu` bytes; as the router said it, not yet believed.
    FragmentationNeeded {
        /// From the router; 0 if it does not say.
        mtu: u16,
        /// Total length of the packet that did not fit.
        packet: u16,
    },
    /// It was forwarded too often, or its fragments did not all come.
    TimeExceeded,
    /// A header was not understood.
    ParameterProblem,
    /// ICMPv6 has a type for it that nobody knows yet; that it is an error shows in its number (RFC 4443, 2.4 a).
    Unknown,
}

/// A packet that will not reach its neighbour.
#[derive(Debug)]
pub(crate) struct Undeliverable {
    /// By which it would have left.
    pub(crate) port: PortId,
    pub(crate) packet: OutFrame,
}

/// What the timers of this file are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    /// RFC 5227 §2.3: the second announcement of an address.
    Announce(PortId, IpAddr),
    /// RFC 4861 §7.2.7: an answer for an anycast address.
    Answer(Answer),
}

/// The common ground of all transports.
pub(crate) struct Ip {
    pub(crate) ports: Vec<Port>,
    pub(crate) addresses: Addresses,
    pub(crate) fib: Fib,
    pub(crate) neighbors: Neighbors,
    pub(crate) conflicts: Conflicts,
    pub(crate) multicast: Multicast,
    /// What comes back to us of what we send to many.
    pub(crate) copies: Copies,
    pub(crate) path_mtus: PathMtus,
    pub(crate) reassembly: Reassembly,
    pub(crate) autoconf: Autoconf,
    pub(crate) redirects: Redirects,
    pub(crate) limiter: Limiter,
    pub(crate) identifications: Identifications,
    pub(crate) rng: Rng,
    /// The secret of flow labels.
    pub(crate) flow_labels: Keyed,
    /// Labels that programs name, and who may.
    pub(crate) flow_leases: Leases,
    /// The time to live where nobody says another, and the hop limit until a router says one.
    pub(crate) ttl: u8,
    pub(crate) counters: Counters,
    pub(crate) buffers: Buffers,
    /// Gateways that did not answer, and until when they are passed over.
    pub(crate) dead_gateways: Vec<(PortId, IpAddr, Instant)>,
    pub(crate) undeliverable: VecDeque<Undeliverable>,
    /// Frames in the ports' queues: mostly none, and then no queue is looked at.
    queued: usize,
    pub(crate) route_generation: u64,
    timers: Wheel<Timer>,
    /// Answers for anycast addresses that wait.
    pub(crate) anycast_answers: usize,
}

/// RFC 5227 §1.1: ANNOUNCE_INTERVAL.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// How long a gateway that did not answer is passed over, where there is another.
pub(crate) const DEAD_GATEWAY: Duration = Duration::from_secs(60);

impl Ip {
    pub(crate) fn new(config: &Config, keys: &Keys) -> Self {
        let mut ip = Ip {
            ports: Vec::new(),
            addresses: Addresses::default(),
            fib: Fib::new(keys.hasher(b"fib")),
            neighbors: Neighbors::new(keys.hasher(b"neighbors"), config.max_neighbors),
            conflicts: Conflicts::new(),
            multicast: Multicast::new(keys),
            copies: Copies::default(),
            path_mtus: PathMtus::new(keys.hasher(b"path mtu")),
            reassembly: Reassembly::new(keys.hasher(b"reassembly"), config.reassembly_memory),
            autoconf: Autoconf::new(keys),
            redirects: Redirects::default(),
            limiter: Limiter::new(keys.hasher(b"icmp limit"), config.error_rates),
            identifications: Identifications::new(keys.hasher(b"identification")),
            rng: Rng::new(keys.derive(b"random")),
            flow_labels: keys.hasher(b"flow labels"),
            flow_leases: Leases::default(),
            ttl: config.ttl.max(1),
            counters: Counters::default(),
            buffers: Buffers::default(),
            dead_gateways: Vec::new(),
            undeliverable: VecDeque::new(),
            queued: 0,
            route_generation: 0,
            timers: Wheel::new(),
            anycast_answers: 0,
        };
        let capabilities = Capabilities { checksum: true, tcp_v4: true, tcp_v6: true, udp: false };
        let loopback = PortConfig { name: "lo".into(), mac: MacAddr::ZERO, mtu: 65_535, capabilities };
        let port = ip.add_port(loopback);
        if let Ok(prefix) = IpPrefix::new(IpAddr::from([127, 0, 0, 1]), 8) {
            ip.add_address(Instant::ZERO, port, prefix);
        }
        ip
    }

    /// The port with this identity, which came from [`Ip::add_port`] (the loopback for any other).
    pub(crate) fn port(&self, port: PortId) -> &Port {
        self.find_port(port).unwrap_or(&self.ports[0])
    }

    /// The port with this identity, if there is one.
    pub(crate) fn find_port(&self, port: PortId) -> Option<&Port> {
        self.ports.get(port.index())
    }

    /// Adds a port, with its link up.
    pub(crate) fn add_port(&mut self, config: PortConfig) -> PortId {
        let id = PortId(self.ports.len() as u16);
        self.ports.push(Port::new(config, self.ttl));
        self.join_standing_groups(id);
        self.route_generation += 1;
        id
    }

    /// The link of a port goes up or down.
    pub(crate) fn set_link(&mut self, now: Instant, port: PortId, up: bool) {
        if let Some(state) = self.ports.get_mut(port.index()) {
            self.route_generation += u64::from(state.carrier != up);
            state.carrier = up;
            self.settle(now, port);
        }
    }

    /// A port is taken down, or up again.
    pub(crate) fn set_enabled(&mut self, now: Instant, port: PortId, enabled: bool) {
        if let Some(state) = self.ports.get_mut(port.index()) {
            self.route_generation += u64::from(state.enabled != enabled);
            state.enabled = enabled;
            self.settle(now, port);
        }
    }

    /// A port may have gone up or down. Down: neighbours are forgotten, what is queued is dropped, its routes are not used.
    /// Up: its addresses are announced.
    fn settle(&mut self, now: Instant, port: PortId) {
        let Some(state) = self.ports.get_mut(port.index()) else { return };
        let up = state.carrier && state.enabled;
        if state.up == up {
            return;
        }
        state.up = up;
        self.route_generation += 1;
        if up {
            self.restate_groups(port);
            let detects = self.autoconf.link(port).is_some();
            for prefix in self.ports[port.index()].addresses.clone() {
                if prefix.addr().is_ipv4() || !detects {
                    self.announce_soon(now, port, prefix.addr());
                }
            }
            self.start_ipv6(now, port);
            self.resume_choice(now, port);
        } else {
            self.stop_ipv6(port);
            self.forget_redirects_of(port);
            self.pause_choice(port);
            let dropped = self.ports[port.index()].queue.clear(&mut self.buffers);
            self.queued -= dropped;
            for _ in 0..dropped {
                self.counters.drop(Drop::LinkDown);
            }
            self.forget_neighbors(port, None);
            self.silence_groups(port);
        }
    }

    /// Gives a port an address and the route to its network. Does nothing if it has the address already, or cannot have it.
    pub(crate) fn add_address(&mut self, now: Instant, port: PortId, prefix: IpPrefix) {
        let Some(state) = self.ports.get_mut(port.index()) else { return };
        if state.addresses.contains(&prefix) && prefix.addr().is_ipv4() {
            return;
        }
        if prefix.addr().is_ipv6() && !port.is_loopback() {
            if !state.carries_ipv6() {
                return;
            }
            if self.autoconf.link(port).is_some() {
                return self.add_configured(now, port, prefix);
            }
        }
        if self.assign(port, prefix) && self.ports[port.index()].up {
            self.announce_soon(now, port, prefix.addr());
        }
    }

    /// From now on the address is one of ours. False if it was.
    pub(crate) fn assign(&mut self, port: PortId, prefix: IpPrefix) -> bool {
        let Some(state) = self.ports.get_mut(port.index()) else { return false };
        if state.addresses.contains(&prefix) {
            return false;
        }
        state.addresses.push(prefix);
        if let Some(address) = self.unmanaged(port, prefix) {
            self.join_group(port, ipv6::solicited_node(address).into());
        }
        if self.names_its_network(port, prefix) {
            self.fib.insert(connected(port, prefix));
        }
        self.readdress();
        if is_of_a_link(prefix.addr()) {
            self.restate_v6_groups(port);
        }
        // Whoever had it before is no neighbour.
        self.forget_neighbors(port, Some(prefix.addr()));
        true
    }

    /// Takes an address from a port.
    pub(crate) fn remove_address(&mut self, port: PortId, prefix: IpPrefix) {
        if prefix.addr().is_ipv6() && self.autoconf.link(port).is_some() {
            self.remove_configured(port, prefix);
        } else {
            self.unassign(port, prefix);
        }
    }

    /// From now on the address is none of ours.
    pub(crate) fn unassign(&mut self, port: PortId, prefix: IpPrefix) {
        let Some(state) = self.ports.get_mut(port.index()) else { return };
        let before = state.addresses.len();
        state.addresses.retain(|address| *address != prefix);
        if state.addresses.len() == before {
            return;
        }
        if let Some(address) = self.unmanaged(port, prefix) {
            self.leave_group(port, ipv6::solicited_node(address).into());
        }
        if !self.names_its_network(port, prefix) {
            return self.readdress();
        }
        // Another address of the same network keeps the route, with itself as the source.
        let mut others = self.ports[port.index()].addresses.iter().copied();
        let other = others.find(|&own| own.network() == prefix.network() && self.names_its_network(port, own));
        match other {
            Some(other) => self.fib.insert(connected(port, other)),
            None => {
                self.fib.remove(&connected(port, prefix));
            }
        }
        self.readdress();
    }

    /// An address of IPv6 that the port does not look after by itself: neighbours ask for it in a group from now on.
    fn unmanaged(&self, port: PortId, prefix: IpPrefix) -> Option<Ipv6Addr> {
        let IpAddr::V6(address) = prefix.addr() else { return None };
        let link = self.autoconf.link(port);
        link.is_none_or(|link| link.state(address).is_none()).then_some(address)
    }

    /// What follows from the ports' addresses has changed.
    pub(crate) fn readdress(&mut self) {
        self.addresses.rebuild(&self.ports);
        self.route_generation += 1;
    }

    pub(crate) fn add_route(&mut self, route: fib::Route) {
        self.fib.insert(route);
        self.route_generation += 1;
    }

    pub(crate) fn remove_route(&mut self, route: &fib::Route) -> bool {
        self.route_generation += 1;
        self.fib.remove(route)
    }

    /// Changes whenever a route that was handed out may no longer be the right one.
    pub(crate) fn route_generation(&self) -> u64 {
        self.route_generation
    }

    /// Changes whenever either of them does: for those who cache both.
    pub(crate) fn generation(&self) -> u64 {
        // Neither ever falls.
        self.route_generation + self.link_generation()
    }

    /// True for one of our own addresses.
    pub(crate) fn is_local(&self, address: IpAddr) -> bool {
        self.addresses.is_local(address)
    }

    /// Changes whenever a hardware address that was handed out may no longer be used.
    pub(crate) fn link_generation(&self) -> u64 {
        self.neighbors.generation()
    }

    /// Hands queued frames to the devices. True when a queue that was long has become shorter.
    #[inline]
    pub(crate) fn flush(&mut self, egress: &mut dyn Egress) -> usize {
        if self.queued == 0 { 0 } else { self.flush_queues(egress) }
    }

    #[inline(never)]
    fn flush_queues(&mut self, egress: &mut dyn Egress) -> usize {
        let mut count = 0;
        for (index, port) in self.ports.iter_mut().enumerate() {
            count += port.queue.flush(PortId(index as u16), egress, &mut self.buffers);
        }
        self.counters.link_frames_sent += count as u64;
        self.queued -= count;
        count
    }

    /// Puts a frame into a port's queue. True when there was room.
    pub(crate) fn enqueue(&mut self, port: PortId, frame: OutFrame) -> bool {
        let Some(state) = self.ports.get_mut(port.index()) else { return false };
        if !state.up {
            self.counters.drop(Drop::LinkDown);
            self.buffers.give(frame.buffer);
            return false;
        }
        match state.queue.push(frame) {
            Ok(()) => {
                self.queued += 1;
                true
            }
            Err(frame) => {
                self.buffers.give(frame.buffer);
                false
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.handle_neighbor_timeouts(now);
        self.handle_autoconf_timeout(now);
        self.expire_redirects(now);
        self.flow_leases.expire(now);
        self.handle_multicast_timeouts(now);
        self.handle_conflict_timeout(now);
        while let Some(timer) = self.timers.expire(now) {
            match timer {
                Timer::Announce(port, address) if self.addresses.is_local(address) => self.announce(now, port, address),
                Timer::Announce(..) => {}
                Timer::Answer(answer) => self.send_waiting_answer(now, &answer),
            }
        }
        if self.path_mtus.expire(now) {
            self.route_generation += 1;
        }
        let before = self.dead_gateways.len();
        self.dead_gateways.retain(|&(_, _, until)| now < until);
        if self.dead_gateways.len() < before {
            self.route_generation += 1;
        }
        self.expire_fragments(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let dead_gateway = self.dead_gateways.iter().map(|&(_, _, until)| until).min();
        let ours = earlier(self.timers.next(), dead_gateway);
        let learnt = earlier(self.neighbors.poll_timeout(), self.path_mtus.poll_timeout());
        let learnt = earlier(earlier(learnt, self.autoconf.poll_timeout()), self.redirects.poll_timeout());
        let learnt = earlier(earlier(learnt, self.conflicts.poll_timeout()), self.flow_leases.poll_timeout());
        let groups = earlier(self.reassembly.poll_timeout(), self.multicast.poll_timeout());
        earlier(earlier(ours, learnt), groups)
    }

    /// RFC 1122 §3.3.2: the sender learns that a datagram did not become whole, if its first fragment had come.
    fn expire_fragments(&mut self, now: Instant) {
        while let Some(TimedOut { first, unicast }) = self.reassembly.expire(now) {
            self.counters.drop(Drop::FragmentTimeout);
            if let Some(first) = first {
                self.complain(now, &first, unicast, Complaint::Reassembly);
            }
        }
    }

    pub(crate) fn wait_to_answer(&mut self, until: Instant, answer: Answer) {
        self.timers.insert(until, Timer::Answer(answer));
    }

    fn forget_neighbors(&mut self, port: PortId, address: Option<IpAddr>) {
        self.neighbors.forget(port, address);
        self.count_evicted();
    }

    /// The port by which sockets are told that a packet to `destination` came: what comes by the loopback for an address of another port is
    /// that port's, as on Linux, and heard by who is bound to it.
    pub(crate) fn port_told(&self, port: PortId, destination: IpAddr) -> PortId {
        if port.is_loopback() { self.addresses.port_of(destination).unwrap_or(port) } else { port }
    }

    /// Announces an address now, and again a little later.
    fn announce_soon(&mut self, now: Instant, port: PortId, address: IpAddr) {
        if port == PortId::LOOPBACK {
            return;
        }
        if let IpAddr::V4(address) = address {
            self.probe_v4(port, address);
        }
        self.announce(now, port, address);
        self.timers.insert(now + ANNOUNCE_INTERVAL, Timer::Announce(port, address));
    }
}

/// The way to an address's network. Which of several addresses to use there, IPv6 decides for each destination.
fn connected(port: PortId, prefix: IpPrefix) -> fib::Route {
    let source = Some(prefix.addr()).filter(|address| address.is_ipv4());
    fib::Route { destination: prefix, next_hop: None, port, source, metric: 0 }
}
