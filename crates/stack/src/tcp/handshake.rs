//! The passive side of the handshake: a SYN arrives, a third segment arrives, or neither does.
//!
//! What Linux does is followed where the standard leaves a choice, because programs and their operators know it:
//! see [`listener`](super::listener).

use super::connection::{Connection, Negotiated};
use super::demux::{Endpoint, Flow};
use super::filter::Place;
use super::heard::Kept;
use super::hop::{Extras, Hop};
use super::input::Arrival;
use super::isn::CookieOptions;
use super::listener::{HalfOpen, SYN_ACK_RETRIES, Waiting};
use super::path::{self, Path};
use super::timers::Timer;
use super::{ListenerId, RecordId, State, Tcp, WheelKey};
use crate::counters::Drop;
use crate::ip::Ip;
use sockeye_device::{Instant, RxFrame};
use sockeye_wire::SeqNumber;
use sockeye_wire::tcp::{Flags, Options, Repr, Timestamps};
use std::sync::Arc;

/// The shift that we offer: windows up to 8 MiB in steps of 128 bytes, whatever the buffer is now.
pub(crate) const RECEIVE_SCALE: u8 = 7;
/// A connection that takes the place of one in TIME-WAIT begins this far above it, as on Linux.
const NUMBERS_APART: u32 = 65_535 + 2;
/// Half-open connections of a host, all listeners together; beyond, cookies.
const MAX_HALF_OPEN: usize = 16 * 1024;

impl Tcp {
    /// A SYN for the listener at `index` (RFC 9293, 3.10.7.2).
    pub(super) fn handle_syn_for_listener(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        index: u32,
        flow: Flow,
        arrival: &Arrival,
        above: Option<SeqNumber>,
    ) {
        let half_open = self.half_open.len();
        let id: ListenerId = self.listeners.handle(index as usize);
        let Some(listener) = self.listeners.get_mut(id) else { return };
        if listener.accept_is_full() {
            listener.overflows += 1;
            ip.counters.drop(Drop::TcpAcceptQueueFull);
            return;
        }
        let theirs = &arrival.options;
        let path = Path::new(now, ip, &flow, &listener.options);
        let negotiated = Negotiated {
            peer_mss: theirs.mss.unwrap_or(path.default_mss()),
            send_scale: theirs.window_scale.unwrap_or(0).min(14),
            receive_scale: if theirs.window_scale.is_some() { RECEIVE_SCALE } else { 0 },
            sack: theirs.sack_permitted,
            timestamps: theirs.timestamps.is_some(),
        };
        // The clock alone is slower than a fast connection was.
        let isn = self.secrets.isn(now, &flow);
        let iss = above.map(|old| old + NUMBERS_APART).filter(|least| isn.before(*least)).unwrap_or(isn);
        let mut record = HalfOpen {
            flow,
            listener: id,
            iss,
            irs: arrival.seq,
            negotiated,
            ts_recent: theirs.timestamps.map_or(0, |timestamps| timestamps.value),
            timestamp_offset: self.secrets.timestamp_offset(&flow),
            retries: 0,
            acknowledged: false,
            sent_at: now,
            timer: None,
        };
        let options = &listener.options;
        let mss = options.max_segment.map_or(path.max_segment(), |most| path.max_segment().min(u32::from(most)));
        let offer = Offer {
            mss: mss.min(u32::from(u16::MAX)) as u16,
            window: options.receive_buffer.min(usize::from(u16::MAX)) as u16,
            hop: path.hop(options),
            extras: options.extras.clone(),
        };
        if listener.syn_is_full() || half_open >= MAX_HALF_OPEN {
            listener.last_overflow = Some(now);
            ip.counters.tcp_cookies_sent += 1;
            record.iss = self.secrets.cookie(now, &flow, arrival.seq, negotiated.peer_mss);
            let hidden = CookieOptions { window_scale: theirs.window_scale, sack_permitted: theirs.sack_permitted };
            let stamp = hidden.hide_in(timestamp(now, &record));
            record.send(ip, now, &offer, stamp);
            return;
        }
        listener.half_open += 1;
        record.send(ip, now, &offer, timestamp(now, &record));
        let delay = record.delay();
        let record: RecordId = self.half_open.insert(record);
        self.demux.insert(flow, Endpoint::HalfOpen(record.index));
        let timer = self.wheel.insert(now + delay, WheelKey::HalfOpen(record.index));
        if let Some(record) = self.half_open.get_mut(record) {
            record.timer = Some(timer);
        }
    }

    /// A segment for a connection in SYN-RECEIVED that came from LISTEN.
    pub(super) fn handle_for_half_open(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        index: u32,
        (place, arrival): (&Place<'_>, &mut Arrival),
        frame: &mut RxFrame,
    ) {
        let Some(record) = self.half_open.at_mut(index as usize) else { return };
        let Some(listener) = self.listeners.get_mut(record.listener) else {
            // Nobody listens any more, or somebody else does.
            let flow = record.flow;
            self.drop_half_open(index);
            self.handle_for_nobody(now, ip, flow, (place, arrival), frame);
            return;
        };
        let rcv_nxt = record.irs + 1;
        if arrival.flags.contains(Flags::RST) {
            // RFC 5961, 3.2, and RFC 9293: back to LISTEN, which is to say: nothing.
            if arrival.seq == rcv_nxt {
                ip.counters.tcp_resets_received += 1;
                self.drop_half_open(index);
            } else {
                ip.counters.drop(Drop::TcpBlindReset);
            }
            return;
        }
        if arrival.flags.contains(Flags::SYN) {
            if arrival.seq == record.irs && !arrival.flags.contains(Flags::ACK) {
                ip.counters.tcp_duplicate_segments += 1;
            } else {
                ip.counters.drop(Drop::TcpOutOfWindow);
            }
            // Our answer was lost, or this is somebody's guess: the same answer serves both (RFC 5961, 4.2).
            let (offer, stamp) = (Offer::of(&listener.options, now, ip, &record.flow), timestamp(now, record));
            record.send(ip, now, &offer, stamp);
            return;
        }
        if !arrival.flags.contains(Flags::ACK) {
            ip.counters.drop(Drop::TcpNoAck);
            return;
        }
        if arrival.ack != record.iss + 1 {
            ip.counters.drop(Drop::TcpBadAck);
            let flow = record.flow;
            Self::send_reset_for(now, ip, flow, arrival);
            return;
        }
        let stale = record.negotiated.timestamps
            && arrival.options.timestamps.is_none_or(|stamps| (stamps.value.wrapping_sub(record.ts_recent) as i32) < 0);
        if stale || arrival.seq.before(rcv_nxt) || (arrival.seq - rcv_nxt) as u32 > u32::from(u16::MAX) {
            ip.counters.drop(if stale { Drop::TcpPaws } else { Drop::TcpOutOfWindow });
            return;
        }
        if listener.accept_is_full() {
            // Not a RST: the peer believes the connection open, and will once there is room be right.
            listener.overflows += 1;
            record.acknowledged = true;
            ip.counters.drop(Drop::TcpAcceptQueueFull);
            return;
        }
        let Some(record) = self.half_open.remove(index as usize) else { return };
        listener.half_open -= 1;
        if let Some(timer) = record.timer {
            self.wheel.cancel(timer);
        }
        let kept = self.take_kept(Endpoint::HalfOpen(index));
        self.open_from(now, ip, (record, kept), (place, arrival), frame);
    }

    /// The third segment of a handshake of which we kept nothing. False when it is no such thing.
    pub(super) fn complete_from_cookie(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        index: u32,
        flow: Flow,
        (place, arrival): (&Place<'_>, &Arrival),
        frame: &mut RxFrame,
    ) -> bool {
        let id: ListenerId = self.listeners.handle(index as usize);
        let Some(listener) = self.listeners.get_mut(id) else { return false };
        if !listener.expects_cookies(now) {
            return false;
        }
        let irs = arrival.seq + u32::MAX;
        let iss = arrival.ack + u32::MAX;
        let Some(cookie) = self.secrets.check_cookie(now, &flow, irs, iss) else {
            ip.counters.tcp_cookies_failed += 1;
            return false;
        };
        if listener.accept_is_full() {
            listener.overflows += 1;
            ip.counters.drop(Drop::TcpAcceptQueueFull);
            return true;
        }
        ip.counters.tcp_cookies_received += 1;
        let timestamp_offset = self.secrets.timestamp_offset(&flow);
        let hidden = arrival.options.timestamps.map(|stamps| CookieOptions::found_in(stamps.echo));
        let scale = hidden.and_then(|hidden| hidden.window_scale);
        let record = HalfOpen {
            flow,
            listener: id,
            iss,
            irs,
            negotiated: Negotiated {
                peer_mss: cookie.mss,
                send_scale: scale.unwrap_or(0),
                receive_scale: if scale.is_some() { RECEIVE_SCALE } else { 0 },
                sack: hidden.is_some_and(|hidden| hidden.sack_permitted),
                timestamps: hidden.is_some(),
            },
            ts_recent: arrival.options.timestamps.map_or(0, |stamps| stamps.value),
            timestamp_offset,
            retries: 1,
            acknowledged: false,
            sent_at: now,
            timer: None,
        };
        // The SYN is forgotten.
        let kept = place.opening(listener.options.interest, frame);
        self.open_from(now, ip, (record, kept), (place, arrival), frame);
        true
    }

    /// A half-open connection becomes a whole one, and goes to the accept queue; `arrival` is its third segment. `kept` are the headers of the packet
    /// that began it, where somebody asks for these.
    fn open_from(
        &mut self,
        now: Instant,
        ip: &mut Ip,
        (record, kept): (HalfOpen, Option<Kept>),
        (place, arrival): (&Place<'_>, &Arrival),
        frame: &mut RxFrame,
    ) {
        let Some(listener) = self.listeners.get_mut(record.listener) else { return };
        let path = Path::new(now, ip, &record.flow, &listener.options);
        let mut connection =
            Connection::new(record.flow, State::SynReceived, record.iss, listener.options.clone(), path, now);
        connection.timestamp_offset = record.timestamp_offset;
        connection.heard = place.heard(frame);
        self.bindings.retain(listener.binding);
        connection.binding = Some(listener.binding);
        connection.waiting_in = Some(record.listener);
        connection.receiver.irs = record.irs;
        connection.receiver.edge = u64::from(u16::MAX).min(listener.options.receive_buffer as u64);
        connection.receiver.ts_recent = record.ts_recent;
        connection.establish(record.negotiated, now);
        connection.set_window(arrival);
        if record.retries == 0 {
            connection.sender.rtt.sample(now.since(record.sent_at));
        } else {
            connection.sender.rtt.syn_was_lost();
            connection.sender.congestion.begin_with_one_segment();
        }
        let flow = record.flow;
        let defer = listener.options.defer_accept.filter(|_| arrival.payload.is_empty());
        if let Some(delay) = defer {
            connection.timers.set(Timer::DeferAccept, now + delay);
        }
        let id: RecordId = self.connections.insert(connection);
        if let Some(kept) = kept {
            self.kept.insert(Endpoint::Connection(id.index), kept);
        }
        if defer.is_some() {
            listener.deferred.push(id.index);
        } else {
            listener.accept.push_back(Waiting::Whole(id.index));
        }
        self.demux.insert(flow, Endpoint::Connection(id.index));
        ip.counters.tcp_passive_opens += 1;
        self.tell_listener(record.listener);
        self.handle_for_connection(now, ip, id.index, arrival, frame);
    }

    /// Something happened to a connection that was not yet accepted.
    pub(super) fn offer_if_ready(&mut self, listener: ListenerId, index: u32) {
        let Some(connection) = self.connections.at(index as usize) else { return };
        let waits = connection.timers.is_set(Timer::DeferAccept)
            && connection.receiver.queue.is_empty()
            && !connection.receiver.finished
            && connection.state != State::Closed;
        let Some(queue) = self.listeners.get_mut(listener) else { return };
        if !waits && let Some(place) = queue.deferred.iter().position(|&deferred| deferred == index) {
            queue.deferred.swap_remove(place);
            queue.accept.push_back(Waiting::Whole(index));
            if let Some(connection) = self.connections.at_mut(index as usize) {
                connection.timers.clear(Timer::DeferAccept);
            }
            self.tell_listener(listener);
        }
    }

    pub(super) fn handle_half_open_timer(&mut self, now: Instant, ip: &mut Ip, index: u32) {
        let Some(record) = self.half_open.at_mut(index as usize) else { return };
        record.timer = None;
        let Some(listener) = self.listeners.get(record.listener).filter(|_| record.retries < SYN_ACK_RETRIES) else {
            ip.counters.tcp_half_open_expired += 1;
            self.drop_half_open(index);
            return;
        };
        record.retries += 1;
        ip.counters.tcp_syn_ack_retransmissions += 1;
        let (offer, stamp) = (Offer::of(&listener.options, now, ip, &record.flow), timestamp(now, record));
        record.send(ip, now, &offer, stamp);
        record.timer = Some(self.wheel.insert(now + record.delay(), WheelKey::HalfOpen(index)));
    }

    pub(super) fn drop_half_open(&mut self, index: u32) {
        let Some(record) = self.half_open.remove(index as usize) else { return };
        self.take_kept(Endpoint::HalfOpen(index));
        if let Some(timer) = record.timer {
            self.wheel.cancel(timer);
        }
        if let Some(listener) = self.listeners.get_mut(record.listener) {
            listener.half_open -= 1;
        }
        self.demux.remove(&record.flow, Endpoint::HalfOpen(index));
    }
}

/// What a SYN-ACK offers.
struct Offer {
    mss: u16,
    window: u16,
    hop: Hop,
    extras: Option<Arc<Extras>>,
}

impl Offer {
    fn of(options: &super::Options, now: Instant, ip: &mut Ip, flow: &Flow) -> Self {
        let path = Path::new(now, ip, flow, options);
        let most = path.max_segment();
        let mss = options.max_segment.map_or(most, |limit| most.min(u32::from(limit)));
        Offer {
            mss: mss.min(u32::from(u16::MAX)) as u16,
            window: options.receive_buffer.min(usize::from(u16::MAX)) as u16,
            hop: path.hop(options),
            extras: options.extras.clone(),
        }
    }
}

fn timestamp(now: Instant, record: &HalfOpen) -> u32 {
    (now.as_millis() as u32).wrapping_add(record.timestamp_offset)
}

impl HalfOpen {
    /// Sends the SYN-ACK.
    fn send(&self, ip: &mut Ip, now: Instant, offer: &Offer, stamp: u32) {
        let repr = Repr {
            src_port: self.flow.local.port(),
            dst_port: self.flow.remote.port(),
            seq: self.iss,
            ack: self.irs + 1,
            flags: Flags::SYN | Flags::ACK,
            window: offer.window,
            urgent: 0,
            options: Options {
                mss: Some(offer.mss),
                window_scale: (self.negotiated.receive_scale > 0).then_some(self.negotiated.receive_scale),
                sack_permitted: self.negotiated.sack,
                timestamps: self.negotiated.timestamps.then_some(Timestamps { value: stamp, echo: self.ts_recent }),
                ..Options::default()
            },
        };
        let extras = offer.extras.as_deref().filter(|extras| extras.len(self.flow.local.is_ipv6()) > 0);
        path::send_alone(now, ip, &self.flow, offer.hop, extras, &repr);
    }
}
