//! The host: frames and time in, frames and events out.
//!
//! [`Stack`] is driven from outside and does nothing by itself:
//!
//! 1. [`handle_frame`](Stack::handle_frame) for each frame that a device delivers, [`handle_timeout`](Stack::handle_timeout)
//!    when [`poll_timeout`](Stack::poll_timeout) says so, and the calls of the sockets' owners.
//! 2. [`poll_event`](Stack::poll_event) until there is none: a socket about which something has changed.
//! 3. [`poll_transmit`](Stack::poll_transmit), once after a batch of the above: all that may be sent goes to the devices, as
//!    far as they take it. What one refuses goes with the next call, when it is writable again.
//!
//! `now` must not go backwards.
//!
//! A frame's way in: if it begins as the last one of its connection did, it goes there at once
//! (`tcp::prediction`). Else [`link`] finds what it carries, `input` of its family decides whether it is ours, and
//! `delivery` performs the decision. What is sent to ourselves leaves by port 0 like any other and is
//! handled as soon as the devices have theirs; so it takes the same ways, and a program cannot tell.

use crate::counters::{Counters, Drop};
use crate::errors::{Cause, Report};
use crate::fib::Route;
use crate::hash::Keys;
use crate::icmp::Complaint;
use crate::ip::{Incoming, Ip};
use crate::multicast::GroupSummary;
use crate::neighbor::Neighbor;
use crate::packet::Packets;
use crate::port::{Port, PortConfig, PortId};
use crate::raw::Raw;
use crate::reassembly::{Outcome, Piece, Whole};
use crate::tcp::Tcp;
use crate::udp::{self, Udp};
use crate::wheel::earlier;
use crate::{Config, Egress, Event, link};
use sockeye_device::{Full, Instant, RxFrame, TxFrame};
use sockeye_wire::ipv4::Packet;
use sockeye_wire::ipv6::extension::{Extensions, Limits};
use sockeye_wire::{EtherType, IpPrefix, MacAddr, Protocol, ethernet};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Range;

/// A host.
pub struct Stack {
    pub(crate) ip: Ip,
    pub(crate) udp: Udp,
    pub(crate) raw: Raw,
    pub(crate) tcp: Tcp,
    pub(crate) packets: Packets,
    /// Frames that we have sent to ourselves.
    looped: VecDeque<RxFrame>,
    spare: Vec<Vec<u8>>,
}

/// Frames to ourselves that are handled in one go: two programs that answer each other must not keep the devices waiting.
const LOOP_BATCH: usize = 256;
/// Frames to ourselves that may wait.
const LOOP_QUEUE: usize = 256;
/// Buffers kept for them.
const LOOP_SPARE: usize = 64;

impl Stack {
    /// A host without ports but the loopback. All its secrets come from `seed`, which must be random and kept secret
    /// (or fixed, in a test).
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let keys = Keys::new(seed);
        let mut ip = Ip::new(&config, &keys);
        Stack {
            packets: Packets::new(config.packet_memory, &keys, ip.rng.next_u64()),
            ip,
            udp: Udp::new(&keys, config.udp_memory),
            raw: Raw::new(&keys, config.udp_memory),
            tcp: Tcp::new(&keys),
            looped: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Adds a port, with its link up.
    pub fn add_port(&mut self, config: PortConfig) -> PortId {
        self.ip.add_port(config)
    }

    /// The link of a port goes up or down.
    pub fn set_link(&mut self, now: Instant, port: PortId, up: bool) {
        self.ip.set_link(now, port, up);
    }

    /// A port is taken down, or up again: it is up while its link is, too.
    pub fn set_enabled(&mut self, now: Instant, port: PortId, enabled: bool) {
        self.ip.set_enabled(now, port, enabled);
    }

    /// Gives a port an address, and a route to its network.
    pub fn add_address(&mut self, now: Instant, port: PortId, prefix: IpPrefix) {
        self.ip.add_address(now, port, prefix);
    }

    /// From now on a port looks after its addresses of IPv6 by itself: a link-local one, and what routers say. To be called
    /// once, before addresses are given, so that nobody has them already.
    pub fn configure_ipv6(&mut self, now: Instant, port: PortId, settings: crate::autoconf::Settings) {
        self.ip.configure_ipv6(now, port, settings);
    }

    /// Takes an address from a port.
    pub fn remove_address(&mut self, port: PortId, prefix: IpPrefix) {
        self.ip.remove_address(port, prefix);
    }

    /// Adds a route, or changes the metric of one.
    pub fn add_route(&mut self, route: Route) {
        self.ip.add_route(route);
    }

    /// Removes a route; false if there was none.
    pub fn remove_route(&mut self, route: &Route) -> bool {
        self.ip.remove_route(route)
    }

    /// A frame has arrived on `port`. Its buffer may be kept: then it is empty afterwards.
    pub fn handle_frame(&mut self, now: Instant, port: PortId, frame: &mut RxFrame) {
        if self.packets.is_watching() {
            self.show(now, port, frame);
        }
        // A raw socket for TCP sees a segment before TCP does.
        let unseen = self.raw.is_empty() || ![false, true].iter().any(|&v6| self.raw.speaks(v6, Protocol::TCP));
        if unseen && self.tcp.handle_predicted(now, &mut self.ip, port, frame) {
            return;
        }
        if let Err(reason) = self.take_frame(now, port, frame) {
            self.ip.counters.drop(reason);
        }
    }

    /// Shows a frame that has arrived to those who look.
    #[cold]
    fn show(&mut self, now: Instant, port: PortId, frame: &RxFrame) {
        if let Some(state) = self.ip.find_port(port).filter(|port| port.up) {
            self.packets.see_arrived(now, port, state.mac, frame);
            self.count_packet_drops();
        }
    }

    fn count_packet_drops(&mut self) {
        for _ in 0..self.packets.take_drops() {
            self.ip.counters.drop(Drop::PacketReceiveBuffer);
        }
    }

    /// Frames have arrived on a port that was taken down: they are dropped.
    pub fn refuse_frames(&mut self, count: usize) {
        for _ in 0..count {
            self.ip.counters.drop(Drop::LinkDown);
        }
    }

    fn take_frame(&mut self, now: Instant, port: PortId, frame: &mut RxFrame) -> Result<(), Drop> {
        self.ip.counters.link_frames_received += 1;
        let Some(state) = self.ip.find_port(port).filter(|port| port.up) else { return Err(Drop::LinkDown) };
        let arrived = link::decide(frame, state, port, &self.ip.multicast)?;
        let carries_ipv6 = state.carries_ipv6();
        match arrived.ether_type {
            EtherType::IPV4 => self.handle_ipv4(now, port, frame, arrived),
            EtherType::IPV6 if carries_ipv6 => self.handle_ipv6(now, port, frame, arrived),
            EtherType::ARP => self.ip.handle_arp(now, port, &frame.buffer[arrived.payload]),
            _ => return Err(Drop::LinkProtocol),
        }
        Ok(())
    }

    /// A datagram of either family, whole, of UDP or UDP-Lite.
    pub(crate) fn deliver_datagram(
        &mut self,
        now: Instant,
        protocol: Protocol,
        incoming: &Incoming,
        frame: &RxFrame,
        payload: Range<usize>,
    ) {
        let headers = &frame.buffer[incoming.packet.start..payload.start];
        let bytes = (headers, &frame.buffer[payload]);
        let Stack { udp, ip, .. } = self;
        let outcome = match protocol {
            Protocol::UDP_LITE => udp.handle_lite(now, ip, incoming, bytes),
            _ => udp.handle_datagram(now, ip, incoming, bytes),
        };
        if let udp::Outcome::Dropped(reason) = outcome {
            self.ip.counters.drop(reason);
            if matches!(reason, Drop::UdpNoSocket | Drop::UdpLiteNoSocket) {
                let packet = &frame.buffer[incoming.packet.clone()];
                self.ip.complain(now, packet, incoming.unicast, Complaint::Port);
            }
        }
    }

    /// Takes a fragment; the datagram, if nothing is missing any more.
    pub(crate) fn reassemble(
        &mut self,
        now: Instant,
        piece: &Piece,
        header: &[u8],
        payload: &[u8],
    ) -> Result<Option<Whole>, Drop> {
        let outcome = self.ip.reassembly.insert(now, piece, header, payload);
        for _ in 0..self.ip.reassembly.take_evicted() {
            self.ip.counters.drop(Drop::FragmentMemory);
        }
        match outcome {
            Outcome::Kept => Ok(None),
            Outcome::Dropped(reason) => Err(reason),
            Outcome::Whole(whole) => Ok(Some(whole)),
        }
    }

    /// Does what time wants done.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ip.handle_timeout(now);
        self.tcp.handle_timeout(now, &mut self.ip);
        self.packets.handle_timeout(now);
        self.report_undeliverable(now);
    }

    /// When to call [`Stack::handle_timeout`] next; none while nothing waits for time to pass. A moment that has passed
    /// means: at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.looped.is_empty() || !self.ip.copies.is_empty() {
            return Some(Instant::ZERO);
        }
        earlier(earlier(self.ip.poll_timeout(), self.tcp.poll_timeout()), self.packets.poll_timeout())
    }

    /// A socket about which something has changed; each is named once until it is looked at.
    pub fn poll_event(&mut self) -> Option<Event> {
        let transports = self.tcp.poll_event().or_else(|| self.udp.poll_event());
        transports.or_else(|| self.raw.poll_event()).or_else(|| self.packets.poll_event())
    }

    /// Sends all that may be sent, as far as the devices take it.
    pub fn poll_transmit(&mut self, now: Instant, egress: &mut dyn Egress) {
        for round in 0.. {
            let Stack { looped, spare, packets, .. } = self;
            if packets.is_sending() {
                packets.transmit(now, &mut self.ip, &mut Loop { egress: &mut *egress, looped, spare });
            }
            let watched = packets.is_watching();
            let mut way = Way { devices: Loop { egress: &mut *egress, looped, spare }, packets, watched, now };
            let sent = self.ip.flush(&mut way);
            self.tcp.poll_transmit(now, &mut self.ip, &mut way);
            // Segments that belong to no connection's transmission went into the queues meanwhile.
            if sent + self.ip.flush(&mut way) > 0 {
                self.udp.handle_room();
                self.raw.handle_room();
            }
            if watched {
                self.count_packet_drops();
            }
            // What we have sent to ourselves arrives, and may be answered.
            let came_back = self.handle_copies(now);
            let count = self.looped.len().min(LOOP_BATCH);
            if count == 0 && !came_back || round == 4 {
                break;
            }
            for mut frame in self.looped.drain(..count).collect::<Vec<_>>() {
                self.ip.counters.loopback_frames += 1;
                self.ip.counters.loopback_bytes += frame.range.len() as u64;
                self.handle_frame(now, PortId::LOOPBACK, &mut frame);
                if !frame.buffer.is_empty() && self.spare.len() < LOOP_SPARE {
                    self.spare.push(frame.buffer);
                }
            }
        }
    }

    /// A buffer that the stack has finished with, for a device to receive into.
    pub fn spare_buffer(&mut self) -> Option<Vec<u8>> {
        self.tcp.pool.spare()
    }

    /// The port that an address of ours is on.
    pub fn port_of(&self, address: IpAddr) -> Option<PortId> {
        self.ip.addresses.port_of(address)
    }

    /// Puts addresses of a peer in the order in which to try them (RFC 6724, 6).
    pub fn order_destinations(&self, addresses: &mut [IpAddr]) {
        self.ip.order_destinations(addresses);
    }

    /// How far packets go where nothing else says.
    pub fn ttl(&self) -> u8 {
        self.ip.ttl
    }

    /// What was dropped and what was done.
    pub fn counters(&self) -> &Counters {
        &self.ip.counters
    }

    /// Changes whenever something of links, addresses and routes may have.
    pub fn route_generation(&self) -> u64 {
        self.ip.route_generation()
    }

    /// True unless the port was taken down.
    pub fn is_enabled(&self, port: PortId) -> bool {
        self.ip.port(port).is_enabled()
    }

    /// All ports; the first is the loopback.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &Port)> {
        self.ip.ports.iter().enumerate().map(|(index, port)| (PortId(index as u16), port))
    }

    /// All routes, in no order.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.ip.fib.iter()
    }

    /// The port on which a group is listened to when nobody says on which.
    pub fn port_for_group(&self, group: IpAddr) -> Option<PortId> {
        self.ip.port_for_group(group)
    }

    /// All groups that are listened to, by port.
    pub fn groups(&self) -> impl Iterator<Item = GroupSummary> + '_ {
        self.ip.multicast.summaries()
    }

    /// An administrator says which hardware address a neighbour has. Whether it is there is checked when it is used, as with any other.
    pub fn tell_neighbor(&mut self, now: Instant, port: PortId, address: IpAddr, mac: MacAddr) {
        self.ip.tell_neighbor(now, port, address, mac);
    }

    /// All neighbours, in no order.
    pub fn neighbors(&self) -> impl Iterator<Item = Neighbor> + '_ {
        self.ip.neighbors.iter()
    }

    /// Memory that incomplete datagrams take.
    pub fn reassembly_memory(&self) -> usize {
        self.ip.reassembly.held()
    }

    /// Tells sockets that the next hop of what they sent does not answer.
    fn report_undeliverable(&mut self, now: Instant) {
        while let Some(lost) = self.ip.undeliverable.pop_front() {
            let frame = lost.packet;
            if let Some(Sent { source, destination, protocol, payload }) =
                frame.bytes().get(ethernet::HEADER_LEN..).and_then(Sent::parse)
            {
                let packet = frame.bytes().get(ethernet::HEADER_LEN..).unwrap_or_default();
                // As ICMP would say it, from ourselves.
                let cause = match source {
                    IpAddr::V4(_) => Cause::Icmp { kind: 3, code: 1 },
                    IpAddr::V6(_) => Cause::Icmpv6 { kind: 1, code: 3 },
                };
                let report = Report {
                    quoted: 0,
                    cause,
                    info: 0,
                    offender: source,
                    to: source,
                    port: lost.port,
                    ttl: 64,
                    tos: 0,
                    flow_label: 0,
                    source,
                    destination,
                    protocol,
                    packet,
                    transport: payload,
                };
                self.raw.handle_report(now, &mut self.ip, None, &report);
                match protocol {
                    Protocol::UDP | Protocol::UDP_LITE => self.udp.handle_unreachable(now, &mut self.ip, &report),
                    Protocol::TCP => self.tcp.handle_unreachable(now, &mut self.ip, &report),
                    _ => {}
                }
            }
            self.ip.buffers.give(frame.buffer);
        }
    }
}

/// A packet of ours that did not leave: what it carries, if its beginning is in it.
struct Sent<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    payload: &'a [u8],
}

impl<'a> Sent<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        if let Ok(packet) = Packet::parse_quoted(bytes) {
            let (source, destination, protocol) = (packet.src().into(), packet.dst().into(), packet.protocol());
            let payload = packet.payload();
            return (packet.fragment_offset() == 0).then_some(Sent { source, destination, protocol, payload });
        }
        let packet = sockeye_wire::ipv6::Packet::parse_quoted(bytes).ok()?;
        let upper = Extensions::new(&packet, Limits::DEFAULT).upper().ok()?;
        let first = upper.fragment.is_none_or(|fragment| fragment.offset == 0);
        let (source, destination) = (packet.src().into(), packet.dst().into());
        first.then_some(Sent { source, destination, protocol: upper.protocol, payload: upper.payload })
    }
}

/// The way out, past those who look.
struct Way<'a> {
    devices: Loop<'a>,
    packets: &'a mut Packets,
    watched: bool,
    now: Instant,
}

impl Egress for Way<'_> {
    #[inline]
    fn transmit(&mut self, port: PortId, frame: &TxFrame<'_>) -> Result<(), Full> {
        self.devices.transmit(port, frame)?;
        if self.watched {
            self.packets.see_leaving(self.now, port, frame, None);
        }
        Ok(())
    }
}

/// The devices, and the way back to ourselves.
struct Loop<'a> {
    egress: &'a mut dyn Egress,
    looped: &'a mut VecDeque<RxFrame>,
    spare: &'a mut Vec<Vec<u8>>,
}

impl Egress for Loop<'_> {
    fn transmit(&mut self, port: PortId, frame: &TxFrame<'_>) -> Result<(), Full> {
        if !port.is_loopback() {
            return self.egress.transmit(port, frame);
        }
        if self.looped.len() >= LOOP_QUEUE {
            return Err(Full);
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        frame.gather(&mut buffer);
        let range = 0..buffer.len();
        self.looped.push_back(RxFrame { buffer, range, offload: frame.offload });
        Ok(())
    }
}
