//! Connections within the host: both ends are here, and whoever drives the stack carries the bytes himself.
//!
//! A connection to one of the host's own addresses, where somebody listens with room in the queue, needs no segments:
//! its handshake cannot fail, nothing can be lost, and the peer's window is a matter between two programs. What remains
//! of TCP is what others can see of it: the ports are taken, the listener's backlog is filled, and each end knows its
//! addresses and its state. That is kept here, in a record for both ends. There is no TIME-WAIT, as no segment of
//! the old connection can turn up in the new one.
//!
//! States follow RFC 9293, 3.6, as if each FIN were acknowledged at once.

use super::demux::{Endpoint, Flow};
use super::handshake::RECEIVE_SCALE;
use super::heard::Heard;
use super::listener::Waiting;
use super::open::source_for;
use super::{Info, JoinedId, ListenerId, State, Tcp};
use crate::bind::BindingId;
use crate::family::Preferences;
use crate::port::PortId;
use crate::route::AddressKind;
use crate::{Event, Stack};
use sockeye_device::Instant;
use sockeye_wire::{Protocol, ipv4, ipv6};
use std::net::SocketAddr;
use std::time::Duration;

/// TCP, and the timestamps that segments between the ends would have.
const HEADERS: u32 = 20 + super::connection::TIMESTAMPS_LEN;

/// Which end of a connection within the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one that connected.
    Connecting,
    /// The one that was accepted.
    Accepting,
}

impl Side {
    /// The other end.
    pub fn other(self) -> Side {
        match self {
            Side::Connecting => Side::Accepting,
            Side::Accepting => Side::Connecting,
        }
    }
}

/// What is known of one end.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// It will write no more.
    finished: bool,
    /// Its owner has let go.
    gone: bool,
}

/// A connection within the host.
#[derive(Debug)]
pub(crate) struct Joined {
    /// As the connecting side sees it.
    flow: Flow,
    bindings: [Option<BindingId>; 2],
    ends: [End; 2],
}

impl Joined {
    fn flow(&self, side: Side) -> Flow {
        match side {
            Side::Connecting => self.flow,
            Side::Accepting => self.flow.reversed(),
        }
    }

    fn state(&self, side: Side) -> State {
        match (self.ends[side as usize].finished, self.ends[side.other() as usize].finished) {
            (false, false) => State::Established,
            (true, false) => State::FinWait2,
            (false, true) => State::CloseWait,
            (true, true) => State::Closed,
        }
    }
}

impl Stack {
    /// Connects to `remote` within the host, from what `binding` reserved or from an address and port of the stack's
    /// choice. The connection is established at once, and waits in the listener's queue. `None` where that cannot be:
    /// the address is not the host's own, nobody listens there, or there is no room. What comes of it
    /// then, [`Stack::tcp_connect`] finds out.
    pub fn tcp_join(&mut self, now: Instant, binding: Option<BindingId>, remote: SocketAddr) -> Option<JoinedId> {
        let Stack { tcp, ip, .. } = self;
        if ip.addresses.classify(remote.ip()) != AddressKind::Local {
            return None;
        }
        let bound = binding.and_then(|binding| tcp.bindings.get(binding)).copied();
        let local = source_for(ip, bound.as_ref(), remote, Preferences::Host).ok()?;
        // Before a port is looked for.
        let port = ip.port_told(PortId::LOOPBACK, remote.ip());
        tcp.listener_without_segment(&Flow { local: remote, remote: SocketAddr::new(local, 0) }, port)?;
        let (flow, chosen) = match bound {
            Some(bound) => {
                let flow = Flow { local: SocketAddr::new(local, bound.port), remote };
                tcp.may_connect(now, &flow).then_some((flow, None))?
            }
            None => {
                let (flow, binding) = tcp.choose_port(now, ip.rng.next_u32(), local, remote).ok()?;
                (flow, Some(binding))
            }
        };
        let joined = tcp.join(now, flow, port, binding.or(chosen));
        if joined.is_none() {
            tcp.release(chosen);
        } else {
            ip.counters.tcp_active_opens += 1;
            ip.counters.tcp_passive_opens += 1;
        }
        joined
    }

    /// The oldest connection that waits to be accepted, if it is one within the host.
    pub fn tcp_accept_joined(&mut self, id: ListenerId) -> Option<JoinedId> {
        let listener = self.tcp.listeners.get_mut(id)?;
        match *listener.accept.front()? {
            Waiting::Joined(joined) => {
                listener.accept.pop_front();
                Some(joined)
            }
            Waiting::Whole(_) => None,
        }
    }

    /// The addresses of one end of a connection within the host.
    pub fn tcp_joined_addresses(&self, id: JoinedId, side: Side) -> Option<Flow> {
        self.tcp.joined.get(id).map(|joined| joined.flow(side))
    }

    /// What one end would hear of a packet of the other's.
    pub fn tcp_joined_heard(&self, id: JoinedId, side: Side) -> Heard {
        let Some(joined) = self.tcp.joined.get(id) else { return Heard::default() };
        let Flow { local, remote } = joined.flow(side);
        let flow = self.ip.flow_label(Protocol::TCP, remote, local);
        Heard::new(self.port_to_tell(PortId::LOOPBACK, local.ip()), self.ip.ttl, flow)
    }

    /// What there is to tell of one end: its state, and what segments would be like. How many bytes went by only the
    /// owner knows.
    pub fn tcp_joined_info(&self, id: JoinedId, side: Side) -> Option<Info> {
        let joined = self.tcp.joined.get(id)?;
        let mtu = u32::from(self.ip.port(PortId::LOOPBACK).mtu);
        let network = if joined.flow(side).local.is_ipv4() { ipv4::HEADER_LEN } else { ipv6::HEADER_LEN };
        let mss = mtu - HEADERS - network as u32;
        Some(Info {
            state: joined.state(side),
            timestamps: true,
            sack: true,
            window_scales: Some((RECEIVE_SCALE, RECEIVE_SCALE)),
            congestion_state: 0,
            congestion_control: "reno",
            retransmits: 0,
            probes: 0,
            rto: Duration::from_millis(200),
            rtt: Duration::ZERO,
            rtt_variation: Duration::ZERO,
            least_rtt: Duration::ZERO,
            send_mss: mss,
            receive_mss: mss,
            path_mtu: mtu,
            congestion_window: 10 * mss,
            slow_start_threshold: u32::MAX,
            unacknowledged: 0,
            sacked: 0,
            lost: 0,
            send_window: mtu,
            receive_window: mtu,
            not_sent: 0,
            total_retransmissions: 0,
            bytes_sent: 0,
            bytes_acknowledged: 0,
            bytes_received: 0,
            since_sent: Duration::ZERO,
            since_received: Duration::ZERO,
        })
    }

    /// One end writes no more.
    pub fn tcp_joined_shutdown(&mut self, id: JoinedId, side: Side) {
        if let Some(joined) = self.tcp.joined.get_mut(id) {
            joined.ends[side as usize].finished = true;
        }
    }

    /// The owner of one end lets go of it. With the last one the addresses are free.
    pub fn tcp_joined_close(&mut self, id: JoinedId, side: Side) {
        self.tcp.part(id, side);
    }
}

impl Tcp {
    fn join(&mut self, now: Instant, flow: Flow, port: PortId, binding: Option<BindingId>) -> Option<JoinedId> {
        let reversed = flow.reversed();
        let index = self.listener_without_segment(&reversed, port)? as usize;
        // An old connection over the loopback may still be waiting for its end.
        if !self.may_connect(now, &reversed) {
            return None;
        }
        let listener: ListenerId = self.listeners.handle(index);
        let queue = self.listeners.get_mut(listener)?;
        if queue.accept_is_full() || queue.options.defer_accept.is_some() || queue.options.filter.is_some() {
            return None;
        }
        let bindings = [binding, Some(queue.binding)];
        let id: JoinedId = self.joined.insert(Joined { flow, bindings, ends: Default::default() });
        queue.accept.push_back(Waiting::Joined(id));
        self.bindings.retain(queue.binding);
        for flow in [flow, reversed] {
            self.demux.insert(flow, Endpoint::Joined(id.index));
        }
        self.tell_listener(listener);
        Some(id)
    }

    pub(super) fn part(&mut self, id: JoinedId, side: Side) {
        let Some(joined) = self.joined.get_mut(id) else { return };
        joined.ends[side as usize] = End { finished: true, gone: true };
        if !joined.ends[side.other() as usize].gone {
            return;
        }
        let Some(Joined { flow, bindings, .. }) = self.joined.remove(id.index()) else { return };
        for flow in [flow, flow.reversed()] {
            self.demux.remove(&flow, Endpoint::Joined(id.index));
        }
        bindings.into_iter().for_each(|binding| self.release(binding));
    }

    pub(super) fn tell_listener(&mut self, id: ListenerId) {
        if let Some(listener) = self.listeners.get_mut(id)
            && !listener.queued_event
            && !listener.accept.is_empty()
        {
            listener.queued_event = true;
            self.events.push_back(Event::Listener(id));
        }
    }
}
