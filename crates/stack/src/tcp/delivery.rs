//! What arrives goes to the connection, the half-open one, the one in TIME-WAIT or the listener that it is for; what is for nobody is answered with a
//! reset. So do errors of ICMP.
//!
//! # Standards
//!
//! RFC 9293 §3.10.7 (segments), §3.5.2 (resets), §3.9.2.2 (ICMP); RFC 5927 (which errors are believed); RFC 5082 (from how far).

use super::connection::Connection;
use super::demux::{Endpoint, Flow};
use super::filter::Place;
use super::hop::Hop;
use super::input::{Arrival, Reply};
use super::options::Options;
use super::{Error, Tcp, path, time_wait};
use crate::counters::Drop;
use crate::errors::Report;
use crate::ip::{IcmpError, Incoming, Ip};
use crate::port::PortId;
use sockeye_device::{Checksum, Instant, RxFrame};
use sockeye_wire::SeqNumber;
use sockeye_wire::tcp::{Flags, Segment};
use std::net::SocketAddr;
use std::ops::Range;

/// In an IPv4 header.
const TTL_OFFSET: usize = 8;

impl Tcp {
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
                let Some(found) = self.connections.at(index as usize) else { return };
                let noted = place.note(found.options.interest, frame);
                if let Some(filter) = found.options.filter.as_deref() {
                    if !place.passes(ip, filter, frame, &mut arrival) {
                        return;
                    }
                } else if noted.is_none() {
                    let generation = ip.route_generation();
                    self.demux.predictions.learn(frame, place.segment.start, incoming.arrived_by, generation, index);
                }
                self.handle_for_connection(now, ip, index, &arrival, frame);
                if let Some(noted) = noted {
                    self.keep(index, &arrival, noted);
                }
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

    pub(super) fn handle_for_connection(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        index: u32,
        arrival: &Arrival,
        frame: &mut RxFrame,
    ) {
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
    pub(super) fn handle_for_nobody(
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
            if !self.complete_from_cookie(now, ip, listener, flow, (place, arrival), frame) {
                ip.counters.drop(Drop::TcpBadAck);
                Self::send_reset_for(now, ip, flow, arrival);
            }
        } else if arrival.flags.contains(Flags::SYN) {
            self.handle_syn_for_listener(now, ip, listener, flow, arrival, None);
            self.note_syn(listener, &flow, place, frame);
        } else {
            ip.counters.drop(Drop::TcpNoSyn);
        }
    }

    /// An ICMP error about something that we sent, with the original's transport header (RFC 9293, 3.9.2.2).
    pub(crate) fn handle_icmp(&mut self, now: Instant, ip: &mut Ip, error: IcmpError, report: &Report<'_>) {
        let Report { source, destination, .. } = *report;
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
        connection.handle_icmp(now, error, report, &mut self.pool);
        self.settle(now, ip, index);
    }

    /// A neighbour does not answer: what waits for it learns so. `report` says it in the words of ICMP.
    pub(crate) fn handle_unreachable(&mut self, now: Instant, ip: &mut Ip, report: &Report<'_>) {
        let Ok(quoted) = sockeye_wire::tcp::Quoted::parse(report.transport) else { return };
        let local = SocketAddr::new(report.source, quoted.src_port);
        let remote = SocketAddr::new(report.destination, quoted.dst_port);
        if let Some(Endpoint::Connection(index)) = self.demux.find(&Flow { local, remote })
            && let Some(connection) = self.connections.at_mut(index as usize)
        {
            connection.handle_soft_error(now, Error::HostUnreachable, report, &mut self.pool);
            self.settle(now, ip, index);
        }
    }

    /// A RST that answers a segment for which there is no connection (RFC 9293, 3.10.7.1).
    pub(super) fn send_reset_for(now: Instant, ip: &mut Ip, flow: Flow, arrival: &Arrival) {
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
    pub(super) fn send_reset_of(now: Instant, ip: &mut Ip, connection: &Connection) {
        let seq = connection.send_seq(connection.sender.board.nxt());
        let ack = connection.receive_seq(connection.rcv_nxt());
        Self::send_reset(now, ip, connection.flow, seq, ack, Flags::RST | Flags::ACK);
    }

    pub(super) fn send_reset(now: Instant, ip: &mut Ip, flow: Flow, seq: SeqNumber, ack: SeqNumber, flags: Flags) {
        ip.counters.tcp_resets_sent += 1;
        let hop = Hop::plain(ip.ttl);
        path::send_alone(now, ip, &flow, hop, None, &path::bare(&flow, seq, ack, flags));
    }
}
