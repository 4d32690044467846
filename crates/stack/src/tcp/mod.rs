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
//! | [`delivery`] | for which connection, or for none, something is that arrives |
//! | [`input`] | a segment arrives at its connection |
//! | [`output`] | what to send |
//! | [`timers`], [`timeout`] | what is waited for, and what happens when it does not come |
//! | [`recovery`] | what an acknowledgement means |
//! | [`scoreboard`] | what is outstanding |
//! | [`congestion`], [`rtt`] | how much, how long |
//! | [`reassembly`] | what arrived ahead of a gap |
//! | [`listener`], [`lookup`], [`handshake`] | passive opens |
//! | [`filter`] | what a program's filter leaves of a segment |
//! | [`heard`] | what is remembered of the packets around segments |
//! | [`joined`] | connections within the host |
//! | [`isn`] | numbers that cannot be guessed, SYN cookies |
//! | [`ephemeral`] | ports for connections that have none |
//! | [`path`], [`hop`], [`template`] | route, link header, MTU; what IP says in each packet; headers that are written once |
//! | [`open`], [`calls`] | what the owner asks |
//!
//! Standards: RFC 9293, 5681, 5961, 6056, 6298, 6528, 6582, 6675, 6928, 7323, 2018, 3042, 3465, 4987, 1337, 6191;
//! deviations stand in docs/deviations.md.

mod calls;
mod congestion;
mod connection;
mod delivery;
mod demux;
mod ephemeral;
mod filter;
mod handshake;
mod heard;
mod hop;
mod info;
mod input;
mod isn;
mod joined;
mod listener;
mod lookup;
mod open;
mod options;
mod output;
mod path;
mod prediction;
mod reassembly;
mod recovery;
mod rtt;
mod scoreboard;
mod template;
mod time_wait;
mod timeout;
mod timers;
mod window;

#[cfg(test)]
mod tests;

pub use calls::Status;
pub use demux::Flow;
pub use heard::{Heard, Interest, Kept};
pub use hop::Extras;
pub use info::{Info, Summary, TimerInfo};
pub use input::ACK_DELAY;
pub use joined::Side;
pub use open::ConnectError;
pub use options::Options;
pub use rtt::{MAX_RTO, MIN_RTO};

use crate::bind::{BindingId, Bindings};
use crate::buffer::Pool;
use crate::errors::Cause;
use crate::ip::Ip;
use crate::port::PortId;
use crate::slab::{Slab, handle};
use crate::wheel::Wheel;
use crate::{Egress, Event};
use connection::{Connection, Fate};
use demux::{Demux, Endpoint};
use ephemeral::Ephemeral;
use isn::Secrets;
use joined::Joined;
use listener::{HalfOpen, Listener};
use sockeye_device::{Full, Instant};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
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
    /// Headers of packets, of the connections that keep some.
    kept: HashMap<Endpoint, Kept, crate::hash::Keyed>,
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
            kept: HashMap::with_hasher(keys.hasher(b"tcp kept")),
            pool: Pool::default(),
            bindings: Bindings::new(keys.hasher(b"tcp bindings")),
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
                if connection.aborting {
                    self.reset(now, ip, index);
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
            self.orphan_memory -= connection.orphan_charge as usize;
            self.take_kept(Endpoint::Connection(index));
            connection.sender.queue.clear(&mut self.pool);
            connection.receiver.queue.clear(&mut self.pool);
            connection.receiver.reassembly.clear(&mut self.pool);
        }
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
