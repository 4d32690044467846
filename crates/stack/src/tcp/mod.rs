//! TCP (RFC 9293), one room for each of its concerns.
//!
//! A connection lives in three sizes: [half-open](listener), while it is one of perhaps many SYNs; [whole](connection);
//! and in [TIME-WAIT](time_wait). One hash table ([`demux`]) finds each by its addresses. A segment is read here, given
//! to whom it concerns, and what follows from it is noted; [`Tcp::settle`] then does for every connection that was
//! touched what its notes say (queue it for transmission, tell its owner, arm the wheel, bury it). That is the only
//! place where a connection meets the host's queues, so no path can forget one of them.
//!
//! | room | concern |
//! |---|---|
//! | [`prediction`] | whose it is, when it begins as the last one did |
//! | [`input`] | a segment arrives |
//! | [`output`] | what to send |
//! | [`timers`], [`timeout`] | what is waited for, and what happens when it does not come |
//! | [`recovery`] | what an acknowledgement means |
//! | [`scoreboard`] | what is outstanding |
//! | [`congestion`], [`rtt`] | how much, how long |
//! | [`reassembly`] | what arrived ahead of a gap |
//! | [`listener`], [`lookup`], [`handshake`] | passive opens |
//! | [`filter`] | what a program's filter leaves of a segment |
//! | [`joined`] | connections within the host |
//! | [`isn`] | numbers that cannot be guessed, SYN cookies |
//! | [`ephemeral`] | ports for connections that have none |
//! | [`path`], [`hop`] | route, link header, MTU; what IP says in each packet |
//! | [`calls`] | what the owner asks |
//!
//! Standards: RFC 9293, 5681, 5961, 6056, 6298, 6528, 6582, 6675, 6928, 7323, 2018, 3042, 3465, 4987, 1337, 6191;
//! deviations stand in docs/deviations.md.

mod calls;
mod congestion;
mod connection;
mod demux;
mod ephemeral;
mod filter;
mod handshake;
mod hop;
mod info;
mod input;
mod isn;
mod joined;
mod listener;
mod lookup;
mod options;
mod output;
mod path;
mod prediction;
mod reassembly;
mod recovery;
mod rtt;
mod scoreboard;
mod time_wait;
mod timeout;
mod timers;
mod window;

#[cfg(test)]
mod tests;

pub use calls::{ConnectError, Status};
pub use demux::Flow;
pub use hop::Extras;
pub use info::{Info, Summary, TimerInfo};
pub use joined::Side;
pub use options::Options;

use crate::bind::{BindingId, Bindings};
use crate::buffer::Pool;
use crate::counters::Drop;
use crate::errors::{Cause, Report};
use crate::ip::{IcmpError, Incoming, Ip};
use crate::port::PortId;
use crate::slab::{Slab, handle};
use crate::wheel::Wheel;
use crate::{Egress, Event};
use connection::{Connection, Fate};
use demux::{Demux, Endpoint};
use ephemeral::Ephemeral;
use filter::Place;
use hop::Hop;
use input::{Arrival, Reply};
use isn::Secrets;
use joined::Joined;
use listener::{HalfOpen, Listener};
use sockeye_device::{Checksum, Full, Instant, RxFrame};
use sockeye_wire::SeqNumber;
use sockeye_wire::tcp::{Flags, Segment};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use time_wait::TimeWait;

/// Where a connection stands (RFC 9293, 3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

/// Why a connection ended, or what its peer or a router on the way said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The peer answered the SYN with a RST.
    Refused,
    /// The peer sent a RST.
    Reset,
    /// The peer sent a RST after its FIN: what we still send reaches nobody.
    BrokenPipe,
    /// No answer.
    TimedOut,
    /// ICMP: host unreachable, or the neighbour does not answer.
    HostUnreachable,
    /// ICMP: network unreachable, or no route.
    NetworkUnreachable,
    /// ICMP: something else, in answer to a SYN.
    Reported(Cause),
    /// The owner gave it up.
    Aborted,
}

handle! {
    /// A connection. Goes stale when the connection is over and its owner has let go.
    ConnectionId
}
handle! {
    /// A listener.
    ListenerId
}
handle! {
    /// A connection within the host. Goes stale when the owners of both ends have let go.
    JoinedId
}
handle! {
    /// A record whose owner is this module.
    RecordId
}

/// In an IPv4 header.
const TTL_OFFSET: usize = 8;

/// What a timer in the wheel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WheelKey {
    Connection(u32),
    HalfOpen(u32),
    TimeWait(u32),
}

/// All of a host's TCP.
pub(crate) struct Tcp {
    connections: Slab<Connection>,
    half_open: Slab<HalfOpen>,
    time_wait: Slab<TimeWait>,
    listeners: Slab<Listener>,
    joined: Slab<Joined>,
    demux: Demux,
    /// Listeners by local address; the unspecified address stands for all.
    listening: HashMap<SocketAddr, Vec<u32>, crate::hash::Keyed>,
    secrets: Secrets,
    ephemeral: Ephemeral,
    wheel: Wheel<WheelKey>,
    /// Connections that have something to send, by the port that leads to their peers: one that is full must hold up no
    /// other.
    ready: Vec<VecDeque<u32>>,
    events: VecDeque<Event>,
    /// What connections without an owner hold.
    orphan_memory: usize,
    /// What was last set for a connection or a listener.
    recent_options: Arc<Options>,
    /// Some socket does not hear from everywhere, or did not once (IP_MINTTL).
    hears_near: bool,
    pub(crate) pool: Pool,
    pub(crate) bindings: Bindings,
}

impl Tcp {
    pub(crate) fn new(keys: &crate::hash::Keys) -> Self {
        Tcp {
            connections: Slab::default(),
            half_open: Slab::default(),
            time_wait: Slab::default(),
            listeners: Slab::default(),
            joined: Slab::default(),
            demux: Demux::new(keys.derive(b"tcp demux")),
            listening: HashMap::with_hasher(keys.hasher(b"tcp listen")),
            secrets: Secrets::new(keys.derive(b"tcp isn"), keys.derive(b"tcp cookie"), keys.derive(b"tcp stamp")),
            ephemeral: Ephemeral::new(keys.derive(b"tcp ports")),
            wheel: Wheel::new(),
            ready: Vec::new(),
            events: VecDeque::new(),
            orphan_memory: 0,
            recent_options: Arc::default(),
            hears_near: false,
            pool: Pool::default(),
            bindings: Bindings::new(keys.hasher(b"tcp bindings")),
        }
    }

    /// A TCP segment has arrived: `frame.buffer[segment]`.
    pub(crate) fn handle_segment(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        incoming: &Incoming,
        frame: &mut RxFrame,
        segment: Range<usize>,
    ) {
        ip.counters.tcp_segments_received += 1;
        let bytes = &frame.buffer[segment.clone()];
        let Ok(parsed) = Segment::parse(bytes) else {
            ip.counters.drop(Drop::TcpMalformed);
            return;
        };
        if incoming.checksum == Checksum::Present && !parsed.verify_checksum(incoming.source, incoming.destination) {
            ip.counters.drop(Drop::TcpChecksum);
            return;
        }
        // MUST-57, MUST-63: TCP is between two hosts.
        if !incoming.unicast || parsed.src_port() == 0 || parsed.dst_port() == 0 {
            ip.counters.drop(Drop::TcpAddress);
            return;
        }
        let flow = Flow {
            local: SocketAddr::new(incoming.destination, parsed.dst_port()),
            remote: SocketAddr::new(incoming.source, parsed.src_port()),
        };
        let mut arrival = Arrival::new(&parsed, &segment);
        let place = Place { incoming, segment };
        let found = self.demux.find(&flow);
        if self.hears_near && self.is_too_far(&flow, found, incoming.ttl) {
            return ip.counters.drop(Drop::TcpMinTtl);
        }
        match found {
            Some(Endpoint::Connection(index)) => {
                let filter = self.connections.at(index as usize).and_then(|found| found.options.filter.as_deref());
                if let Some(filter) = filter {
                    if !place.passes(ip, filter, frame, &mut arrival) {
                        return;
                    }
                } else {
                    let generation = ip.route_generation();
                    self.demux.predictions.learn(frame, place.segment.start, incoming.port, generation, index);
                }
                self.handle_for_connection(now, ip, index, &arrival, frame);
            }
            Some(Endpoint::HalfOpen(index)) => {
                let listener = self.half_open.at(index as usize).map(|record| record.listener);
                let filter = listener.and_then(|id| self.listeners.get(id)?.options.filter.as_deref());
                if filter.is_none_or(|filter| place.passes(ip, filter, frame, &mut arrival)) {
                    self.handle_for_half_open(now, ip, index, (&place, &mut arrival), frame);
                }
            }
            Some(Endpoint::TimeWait(index)) => {
                self.handle_for_time_wait(now, ip, index, (&place, &mut arrival), flow, frame);
            }
            // Nobody sends segments on it: it is from elsewhere, and no part of the connection.
            Some(Endpoint::Joined(_)) => ip.counters.drop(Drop::TcpOutOfWindow),
            None => self.handle_for_nobody(now, ip, flow, (&place, &mut arrival), frame),
        }
    }

    /// Whether a segment comes from farther away than its socket hears (RFC 5082). What was learnt of a connection ends when that changes, so that what
    /// is predicted need not be asked.
    fn is_too_far(&self, flow: &Flow, found: Option<Endpoint>, ttl: u8) -> bool {
        let least = |options: &Options| options.of(flow.local.is_ipv6()).min_ttl;
        let of_listener = |index: u32| self.listeners.at(index as usize).map(|listener| least(&listener.options));
        let least = match found {
            Some(Endpoint::Connection(index)) => {
                self.connections.at(index as usize).map(|connection| least(&connection.options))
            }
            Some(Endpoint::HalfOpen(index)) => {
                let listener = self.half_open.at(index as usize).map(|record| record.listener);
                listener.and_then(|id| of_listener(id.index))
            }
            // A listener has its own word.
            None | Some(Endpoint::TimeWait(_) | Endpoint::Joined(_)) => None,
        };
        least.is_some_and(|least| ttl < least)
    }

    /// Takes a frame whose way is known in advance; false, and nothing done, for any other.
    #[inline]
    pub(crate) fn handle_predicted(&mut self, now: Instant, ip: &mut Ip, port: PortId, frame: &mut RxFrame) -> bool {
        let Some((index, segment)) = self.demux.predictions.find(frame, port, ip.route_generation()) else {
            return false;
        };
        let Some(connection) = self.connections.at(index as usize) else { return false };
        let Ok(parsed) = Segment::parse(&frame.buffer[segment.clone()]) else { return false };
        let Flow { local, remote } = connection.flow;
        if frame.offload.checksum == Checksum::Present && !parsed.verify_checksum(remote.ip(), local.ip()) {
            return false;
        }
        let counters = &mut ip.counters;
        counters.link_frames_received += 1;
        if local.is_ipv4() {
            counters.ipv4_packets_received += 1;
            counters.ipv4_packets_delivered += 1;
        } else {
            counters.ipv6_packets_received += 1;
            counters.ipv6_packets_delivered += 1;
        }
        counters.tcp_segments_received += 1;
        let arrival = Arrival::new(&parsed, &segment);
        self.handle_for_connection(now, ip, index, &arrival, frame);
        true
    }

    fn handle_for_connection(&mut self, now: Instant, ip: &mut Ip, index: u32, arrival: &Arrival, frame: &mut RxFrame) {
        let Some(connection) = self.connections.at_mut(index as usize) else { return };
        match connection.handle(now, arrival, frame, &mut self.pool, &mut ip.counters) {
            Reply::None => {}
            Reply::Reset => {
                let flow = connection.flow;
                Self::send_reset_for(now, ip, flow, arrival);
            }
            Reply::Abort => {
                Self::send_reset_of(now, ip, connection);
                connection.finish(None, &mut self.pool);
            }
        }
        self.settle(now, ip, index);
    }

    fn handle_for_time_wait(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        index: u32,
        (place, arrival): (&Place<'_>, &mut Arrival),
        flow: Flow,
        frame: &RxFrame,
    ) {
        let Some(waiting) = self.time_wait.at(index as usize) else { return };
        let above = waiting.snd_nxt;
        let verdict = waiting.judge(arrival);
        if verdict == time_wait::Verdict::GiveWay
            && let Some(listener) = self.listener_for(ip, &flow, place, frame)
        {
            // MAY-2: the new connection starts above the old one's numbers.
            self.end_time_wait(index);
            if self.lets_in(ip, listener, place, frame, arrival) {
                self.handle_syn_for_listener(now, ip, listener, flow, arrival, Some(above));
            }
            return;
        }
        match verdict {
            time_wait::Verdict::Ignore => ip.counters.drop(Drop::TcpTimeWait),
            verdict => {
                let Some(waiting) = self.time_wait.at_mut(index as usize) else { return };
                path::send_alone(now, ip, &waiting.flow, waiting.hop, None, &waiting.acknowledgement(now));
                if verdict == (time_wait::Verdict::Acknowledge { restart: true }) {
                    waiting.since = now;
                }
            }
        }
    }

    /// RFC 9293, 3.10.7.1 and 3.10.7.2.
    fn handle_for_nobody(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        flow: Flow,
        (place, arrival): (&Place<'_>, &mut Arrival),
        frame: &mut RxFrame,
    ) {
        let Some(listener) = self.listener_for(ip, &flow, place, frame) else {
            ip.counters.drop(Drop::TcpNoListener);
            if !arrival.flags.contains(Flags::RST) {
                Self::send_reset_for(now, ip, flow, arrival);
            }
            return;
        };
        if !self.lets_in(ip, listener, place, frame, arrival) {
            return;
        }
        if arrival.flags.contains(Flags::RST) {
            ip.counters.drop(Drop::TcpBlindReset);
        } else if arrival.flags.contains(Flags::ACK) {
            if !self.complete_from_cookie(now, ip, listener, flow, arrival, frame) {
                ip.counters.drop(Drop::TcpBadAck);
                Self::send_reset_for(now, ip, flow, arrival);
            }
        } else if arrival.flags.contains(Flags::SYN) {
            self.handle_syn_for_listener(now, ip, listener, flow, arrival, None);
        } else {
            ip.counters.drop(Drop::TcpNoSyn);
        }
    }

    /// An ICMP error about something that we sent, with the original's transport header (RFC 9293, 3.9.2.2).
    pub(crate) fn handle_icmp(&mut self, now: Instant, ip: &mut Ip, error: IcmpError, report: &Report<'_>) {
        let Report { cause, source, destination, .. } = *report;
        let Ok(quoted) = sockeye_wire::tcp::Quoted::parse(report.transport) else {
            ip.counters.drop(Drop::IcmpMalformed);
            return;
        };
        let flow = Flow {
            local: SocketAddr::new(source, quoted.src_port),
            remote: SocketAddr::new(destination, quoted.dst_port),
        };
        let Some(Endpoint::Connection(index)) = self.demux.find(&flow) else {
            ip.counters.drop(Drop::IcmpNoSocket);
            return;
        };
        let Some(connection) = self.connections.at_mut(index as usize) else { return };
        // RFC 5927, 4.1: it must be about something that is in flight.
        let (una, nxt) = connection.outstanding_seq();
        if quoted.seq.before(una) || !quoted.seq.before(nxt) {
            ip.counters.drop(Drop::IcmpNotInFlight);
            return;
        }
        let family = connection.options.of(destination.is_ipv6());
        // RFC 5082, as Linux reads it: over IPv4 how far our packet had come, over IPv6 how far the message has.
        let ttl = if destination.is_ipv6() { report.ttl } else { report.packet.get(TTL_OFFSET).copied().unwrap_or(0) };
        if ttl < family.min_ttl {
            return ip.counters.drop(Drop::TcpMinTtl);
        }
        ip.counters.icmp_errors_delivered += 1;
        if let IcmpError::FragmentationNeeded { mtu, packet } = error {
            if !family.fragmentation.learns() {
                return;
            }
            ip.learn_path_mtu(now, destination, mtu, packet);
        }
        connection.handle_icmp(error, cause, &mut self.pool);
        self.settle(now, ip, index);
    }

    /// A neighbour does not answer: what waits for it learns so.
    pub(crate) fn handle_unreachable(&mut self, now: Instant, ip: &mut Ip, flow: &Flow) {
        if let Some(Endpoint::Connection(index)) = self.demux.find(flow)
            && let Some(connection) = self.connections.at_mut(index as usize)
        {
            connection.handle_soft_error(Error::HostUnreachable, &mut self.pool);
            self.settle(now, ip, index);
        }
    }

    /// Fires what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, ip: &mut Ip) {
        while let Some(key) = self.wheel.expire(now) {
            match key {
                WheelKey::Connection(index) => {
                    let Some(connection) = self.connections.at_mut(index as usize) else { continue };
                    connection.timers.note_fired();
                    while let Some(timer) = connection.timers.expired(now) {
                        connection.handle_timer(now, timer, ip, &mut self.pool);
                    }
                    self.settle(now, ip, index);
                }
                WheelKey::HalfOpen(index) => self.handle_half_open_timer(now, ip, index),
                WheelKey::TimeWait(index) => {
                    let Some(waiting) = self.time_wait.at_mut(index as usize) else { continue };
                    waiting.timer = None;
                    let until = waiting.since + time_wait::DURATION;
                    if until > now {
                        waiting.timer = Some(self.wheel.insert(until, key));
                    } else {
                        self.end_time_wait(index);
                    }
                }
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.wheel.next()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        match event {
            Event::Connection(id) => {
                if let Some(connection) = self.connections.get_mut(id) {
                    connection.queued_event = false;
                }
            }
            Event::Listener(id) => {
                if let Some(listener) = self.listeners.get_mut(id) {
                    listener.queued_event = false;
                }
            }
            Event::Udp(_) | Event::Raw(_) | Event::Packet(_) => {}
        }
        Some(event)
    }

    /// Lets every connection that has something to send do so, as far as the devices take it.
    pub(crate) fn poll_transmit(&mut self, now: Instant, ip: &mut Ip, egress: &mut dyn Egress) {
        for port in 0..self.ready.len() {
            while let Some(index) = self.ready[port].pop_front() {
                let Some(connection) = self.connections.at_mut(index as usize) else { continue };
                if !std::mem::take(&mut connection.queued_transmit) {
                    continue;
                }
                connection.wants_transmit = false;
                if connection.transmit(now, ip, egress) == Err(Full) {
                    connection.queued_transmit = true;
                    let full = connection.path.port();
                    queue_at(&mut self.ready, full).push_front(index);
                    if full.index() == port {
                        break;
                    }
                    // The route has changed meanwhile: this port may still have room for the others.
                    continue;
                }
                self.settle(now, ip, index);
            }
        }
    }

    /// Does for a connection what its notes say. Called after everything that may have changed it.
    #[inline(always)]
    fn settle(&mut self, now: Instant, ip: &mut Ip, index: u32) {
        if self.connections.at(index as usize).is_some_and(Connection::has_notes) {
            self.settle_notes(now, ip, index);
        }
    }

    #[inline(never)]
    fn settle_notes(&mut self, now: Instant, ip: &mut Ip, index: u32) {
        let Some(connection) = self.connections.at_mut(index as usize) else { return };
        if connection.wants_transmit && !connection.queued_transmit && connection.fate != Fate::Gone {
            connection.queued_transmit = true;
            let port = connection.path.port();
            queue_at(&mut self.ready, port).push_back(index);
        }
        let notify = std::mem::take(&mut connection.notify) && !connection.orphan;
        let (waiting_in, fate, arm) = (connection.waiting_in, connection.fate, connection.timers.may_need_arming());
        if notify && waiting_in.is_none() && !connection.queued_event {
            connection.queued_event = true;
            self.events.push_back(Event::Connection(self.connections.handle(index as usize)));
        }
        if let (true, Some(listener)) = (notify, waiting_in) {
            self.offer_if_ready(listener, index);
        }
        if fate != Fate::Alive || arm {
            self.settle_fate(now, ip, index);
        }
    }

    /// The rarer part: something is to be waited for, or it is over.
    #[inline(never)]
    fn settle_fate(&mut self, now: Instant, ip: &mut Ip, index: u32) {
        let Some(connection) = self.connections.at_mut(index as usize) else { return };
        match connection.fate {
            Fate::Alive => self.arm(index),
            // What is still to be said (the last acknowledgement) is said first.
            Fate::TimeWait if connection.queued_transmit => self.arm(index),
            Fate::TimeWait => self.enter_time_wait(now, ip, index),
            Fate::Gone => self.bury(index),
            Fate::Buried if connection.orphan => self.remove(index),
            Fate::Buried => {}
        }
    }

    fn arm(&mut self, index: u32) {
        let Some(connection) = self.connections.at_mut(index as usize) else { return };
        let Some((instead_of, deadline)) = connection.timers.take_arming() else { return };
        if let Some(id) = instead_of {
            self.wheel.cancel(id);
        }
        connection.timers.note_armed(self.wheel.insert(deadline, WheelKey::Connection(index)), deadline);
    }

    fn enter_time_wait(&mut self, now: Instant, ip: &mut Ip, index: u32) {
        let Some(connection) = self.connections.at_mut(index as usize) else { return };
        connection.state = State::TimeWait;
        let flow = connection.flow;
        if self.time_wait.len() < time_wait::MAX {
            let waiting = TimeWait::new(connection, now);
            connection.binding = None;
            let id: RecordId = self.time_wait.insert(waiting);
            let key = WheelKey::TimeWait(id.index);
            let timer = self.wheel.insert(now + time_wait::DURATION, key);
            if let Some(waiting) = self.time_wait.at_mut(id.index()) {
                waiting.timer = Some(timer);
            }
            self.demux.insert(flow, Endpoint::TimeWait(id.index));
        } else {
            ip.counters.tcp_time_wait_overflows += 1;
            self.demux.remove(&flow, Endpoint::Connection(index));
        }
        self.bury(index);
    }

    fn end_time_wait(&mut self, index: u32) {
        if let Some(waiting) = self.time_wait.remove(index as usize) {
            if let Some(timer) = waiting.timer {
                self.wheel.cancel(timer);
            }
            self.demux.remove(&waiting.flow, Endpoint::TimeWait(index));
            self.release(waiting.binding);
        }
    }

    /// The connection takes no more part; it stays in the table only as long as its owner, or the program that has yet
    /// to accept it, may ask how it ended.
    fn bury(&mut self, index: u32) {
        let Some(connection) = self.connections.at_mut(index as usize) else { return };
        self.demux.remove(&connection.flow, Endpoint::Connection(index));
        if let Some(timer) = connection.timers.take_armed() {
            self.wheel.cancel(timer);
        }
        connection.queued_transmit = false;
        connection.wants_transmit = false;
        connection.fate = Fate::Buried;
        let (binding, orphan) = (connection.binding.take(), connection.orphan);
        self.release(binding);
        if orphan {
            self.remove(index);
        }
    }

    fn release(&mut self, binding: Option<BindingId>) {
        if let Some(binding) = binding {
            self.bindings.release(binding);
        }
    }

    fn remove(&mut self, index: u32) {
        if let Some(mut connection) = self.connections.remove(index as usize) {
            self.orphan_memory -= connection.orphan_charge;
            connection.sender.queue.clear(&mut self.pool);
            connection.receiver.queue.clear(&mut self.pool);
            connection.receiver.reassembly.clear(&mut self.pool);
        }
    }

    /// A RST that answers a segment for which there is no connection (RFC 9293, 3.10.7.1).
    fn send_reset_for(now: Instant, ip: &mut Ip, flow: Flow, arrival: &Arrival) {
        let len = arrival.payload.len() as u32
            + u32::from(arrival.flags.contains(Flags::SYN))
            + u32::from(arrival.flags.contains(Flags::FIN));
        let (seq, ack, flags) = if arrival.flags.contains(Flags::ACK) {
            (arrival.ack, SeqNumber(0), Flags::RST)
        } else {
            (SeqNumber(0), arrival.seq + len, Flags::RST | Flags::ACK)
        };
        Self::send_reset(now, ip, flow, seq, ack, flags);
    }

    /// A RST that ends a connection.
    fn send_reset_of(now: Instant, ip: &mut Ip, connection: &Connection) {
        let seq = connection.send_seq(connection.sender.board.nxt());
        let ack = connection.receive_seq(connection.rcv_nxt());
        Self::send_reset(now, ip, connection.flow, seq, ack, Flags::RST | Flags::ACK);
    }

    fn send_reset(now: Instant, ip: &mut Ip, flow: Flow, seq: SeqNumber, ack: SeqNumber, flags: Flags) {
        ip.counters.tcp_resets_sent += 1;
        let hop = Hop::plain(ip.ttl);
        path::send_alone(now, ip, &flow, hop, None, &path::bare(&flow, seq, ack, flags));
    }
}

/// The queue of a port among those that have one.
#[inline]
fn queue_at(ready: &mut Vec<VecDeque<u32>>, port: PortId) -> &mut VecDeque<u32> {
    if ready.len() <= port.index() {
        add_queues(ready, port);
    }
    &mut ready[port.index()]
}

#[cold]
fn add_queues(ready: &mut Vec<VecDeque<u32>>, port: PortId) {
    ready.resize_with(port.index() + 1, VecDeque::new);
}
