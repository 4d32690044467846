//! Neighbours: which hardware address stands behind an address on a link, and whether it still does.
//!
//! The states are those of RFC 4861 §7.3.2, which Linux uses for ARP as well:
//!
//! ```text
//!             use: ask                 answer                    15 to 45 s without confirmation
//!   (absent) ---------> INCOMPLETE -------------> REACHABLE ---------------------------> STALE
//!                        |      ^                  ^  ^                                   | use
//!        3 times, 1 s apart     | 3 times,         |  |  answer, or confirmation          v
//!                        v      | 1 s apart        |  +--------------------------------- DELAY
//!                      FAILED  PROBE --------------+                                      | 5 s
//!                               ^---------------------------------------------------------+
//! ```
//!
//! While a neighbour is INCOMPLETE, packets for it wait here, a bounded number of them, the latest being kept (RFC 1122
//! §2.3.2.2). When it FAILED they come back, so that whoever sent them can be told; it is asked again a second later at
//! the earliest (§2.3.2.1: no ARP floods). PROBE asks the known hardware address alone; if that is silent, all are asked
//! as if the neighbour were new.
//!
//! **Who is believed.** An entry is made only because we have something to send: strangers' questions and claims leave
//! no trace, so a flood of them costs nothing. A claim that we asked for is believed. A claim that we did not ask for
//! refreshes nothing and replaces nothing; if it contradicts a known address, the known station is asked once, and only
//! if it is silent is the question open to all. So poisoning a cache takes more than one packet, and an honest take-over
//! (a failed-over router announcing itself) takes a second.
//!
//! **Bounds.** Who must go where there is no room is in [`bounds`].
//!
//! **For those who cache.** [`Neighbors::generation`] changes whenever a hardware address that was handed out may no
//! longer be used. A flow may use what it got as long as the generation stands, but asks again at least every
//! [`USE_INTERVAL`] while it sends: only a use takes a STALE entry to DELAY, and thus to a check that it is alive.
//!
//! This is a table without I/O: what is to be asked comes back as an [`Action`].
//!
//! # Standards
//!
//! RFC 4861 §7.3 and §10 (states, constants), RFC 826, RFC 1122 §2.3.2, RFC 6583 §7 (bounds under attack).

mod bounds;

use crate::hash::Keyed;
use crate::port::{OutFrame, PortId};
use crate::rng::Rng;
use crate::wheel::{TimerId, Wheel};
use hashbrown::HashMap;
use sockeye_device::Instant;
use sockeye_wire::MacAddr;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// How long whoever caches a link address may use it before asking again.
pub const USE_INTERVAL: Duration = Duration::from_secs(5);

/// DELAY_FIRST_PROBE_TIME.
const DELAY: Duration = Duration::from_secs(5);
/// MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT.
const PROBES: u8 = 3;
/// A failed neighbour is not asked again for so long.
const HOLD_DOWN: Duration = Duration::from_secs(1);
/// An entry that nobody uses is forgotten after so long.
const FORGET: Duration = Duration::from_secs(300);
/// Packets that may wait for one neighbour.
const QUEUE: usize = 100;
/// Memory that packets may take while they wait, all together.
const QUEUE_MEMORY: usize = 8 << 20;
/// Times that the routers of a link may set for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// BaseReachableTime; the actual time is drawn from half of it to one and a half.
    pub(crate) reachable: Duration,
    /// RetransTimer.
    pub(crate) retransmit: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { reachable: Duration::from_secs(30), retransmit: Duration::from_secs(1) }
    }
}

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighborState {
    /// Asked for, no answer yet.
    Incomplete,
    /// Confirmed a short time ago.
    Reachable,
    /// Not confirmed for a while; nobody minds until it is used.
    Stale,
    /// Used though stale: it has five seconds to show that it is there.
    Delay,
    /// Being asked.
    Probe,
    /// Did not answer.
    Failed,
}

/// A neighbour, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// On which link.
    pub port: PortId,
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address, if known.
    pub mac: Option<MacAddr>,
    /// What is known of it.
    pub state: NeighborState,
    /// Packets that wait for it.
    pub queued: usize,
}

/// The answer to a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Send there.
    Ready(MacAddr),
    /// Wait. If `ask`, the caller must ask for it now.
    Pending { ask: bool },
    /// It did not answer.
    Failed,
}

/// What the table wants done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask for an address: a known station, or all.
    Ask { port: PortId, address: IpAddr, to: Option<MacAddr> },
    /// It did not answer: these packets will not be sent.
    Failed { port: PortId, address: IpAddr, packets: VecDeque<OutFrame> },
}

/// How a claim came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A reply, sent to us alone.
    Reply,
    /// In passing: its own question, an announcement.
    Passing,
}

/// What became of a claim.
#[derive(Debug)]
pub(crate) enum Heard {
    /// We do not talk to that host.
    Stranger,
    /// Nothing new.
    Known,
    /// Now it is known: send these.
    Resolved(VecDeque<OutFrame>),
    /// It contradicts what is known: ask this station first.
    Doubtful(MacAddr),
}

#[derive(Debug)]
enum State {
    Incomplete { asked: u8, packets: VecDeque<OutFrame> },
    Reachable { mac: MacAddr },
    Stale { mac: MacAddr },
    Delay { mac: MacAddr },
    Probe { mac: MacAddr, asked: u8 },
    Failed { until: Instant },
}

#[derive(Debug)]
struct Entry {
    port: PortId,
    address: IpAddr,
    state: State,
    timer: Option<TimerId>,
    /// When the neighbour last proved that it is there, and how long that counts.
    confirmed: Instant,
    reachable_for: Duration,
    used: Instant,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// The table.
pub(crate) struct Neighbors {
    index: HashMap<(PortId, IpAddr), u32, Keyed>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    wheel: Wheel<u32>,
    /// Entries in the order in which they became unresolved; some have been resolved since.
    unresolved: VecDeque<(u32, u32)>,
    unresolved_count: usize,
    waiting_memory: usize,
    /// Packets that had to go, for the caller to count.
    evicted: Vec<OutFrame>,
    limit: usize,
    /// Where the search for somebody to evict goes on.
    hand: usize,
    generation: u64,
    /// Of each port, where they are not the usual ones.
    timings: Vec<Timing>,
}

impl Neighbors {
    pub(crate) fn new(hasher: Keyed, limit: usize) -> Self {
        Neighbors {
            index: HashMap::with_hasher(hasher),
            slots: Vec::new(),
            free: Vec::new(),
            wheel: Wheel::new(),
            unresolved: VecDeque::new(),
            unresolved_count: 0,
            waiting_memory: 0,
            evicted: Vec::new(),
            limit: limit.max(2),
            hand: 0,
            generation: 0,
            timings: Vec::new(),
        }
    }

    /// Sets the times of a link.
    pub(crate) fn set_timing(&mut self, port: PortId, timing: Timing) {
        if self.timings.len() <= port.index() {
            self.timings.resize(port.index() + 1, Timing::default());
        }
        self.timings[port.index()] = timing;
    }

    /// Changes whenever a hardware address that was handed out may no longer be used, and when one that somebody waits
    /// for has become known.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Something is to be sent to `address`.
    pub(crate) fn use_address(&mut self, now: Instant, port: PortId, address: IpAddr) -> Use {
        let Some(&index) = self.index.get(&(port, address)) else {
            self.insert(now, port, address);
            return Use::Pending { ask: true };
        };
        let Some(entry) = self.slots[index as usize].entry.as_mut() else { return Use::Failed };
        entry.used = now;
        match entry.state {
            State::Reachable { mac } | State::Delay { mac } | State::Probe { mac, .. } => Use::Ready(mac),
            State::Stale { mac } => {
                entry.state = State::Delay { mac };
                self.arm(index, now + DELAY);
                Use::Ready(mac)
            }
            State::Incomplete { .. } => Use::Pending { ask: false },
            State::Failed { until } if now < until => Use::Failed,
            State::Failed { .. } => {
                self.begin(now, index);
                Use::Pending { ask: true }
            }
        }
    }

    /// Keeps a packet until the neighbour is known. Returns packets that will not be sent: older ones, or itself.
    pub(crate) fn wait(&mut self, port: PortId, address: IpAddr, packet: OutFrame) -> Option<OutFrame> {
        if self.waiting_memory + packet.buffer.len() > QUEUE_MEMORY {
            return Some(packet);
        }
        let Some(&index) = self.index.get(&(port, address)) else { return Some(packet) };
        match self.slots[index as usize].entry.as_mut().map(|entry| &mut entry.state) {
            Some(State::Incomplete { packets, .. }) => {
                self.waiting_memory += packet.buffer.len();
                packets.push_back(packet);
                let oldest = if packets.len() > QUEUE { packets.pop_front() } else { None };
                self.waiting_memory -= oldest.as_ref().map_or(0, |packet| packet.buffer.len());
                oldest
            }
            _ => Some(packet),
        }
    }

    /// Somebody claims to have `address`.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        port: PortId,
        address: IpAddr,
        claimed: MacAddr,
        how: Claim,
    ) -> Heard {
        let Some(&index) = self.index.get(&(port, address)) else { return Heard::Stranger };
        let Some(entry) = self.slots[index as usize].entry.as_mut() else { return Heard::Stranger };
        match (&mut entry.state, how) {
            (State::Incomplete { packets, .. }, _) => {
                let packets = std::mem::take(packets);
                self.waiting_memory -= packets.iter().map(|packet| packet.buffer.len()).sum::<usize>();
                self.unresolved_count -= 1;
                self.generation += 1;
                match how {
                    Claim::Reply => self.reach(now, rng, index, claimed),
                    // It is there, but whether it hears us is not yet known.
                    Claim::Passing => self.doubt(now, index, claimed),
                }
                Heard::Resolved(packets)
            }
            (State::Failed { .. }, _) => {
                self.generation += 1;
                self.doubt(now, index, claimed);
                Heard::Resolved(VecDeque::new())
            }
            (State::Probe { mac, .. } | State::Delay { mac }, Claim::Reply) if *mac == claimed => {
                self.reach(now, rng, index, claimed);
                Heard::Known
            }
            (State::Probe { mac, .. }, _) if *mac != claimed => Heard::Known,
            (State::Reachable { mac } | State::Stale { mac } | State::Delay { mac }, _) if *mac != claimed => {
                let mac = *mac;
                // The last of its unicast probes: if it is silent, all are asked.
                entry.state = State::Probe { mac, asked: PROBES };
                self.arm_question(now, index);
                Heard::Doubtful(mac)
            }
            _ => Heard::Known,
        }
    }

    /// The hardware address that is known, in whatever state.
    pub(crate) fn link_address(&self, port: PortId, address: IpAddr) -> Option<MacAddr> {
        let &index = self.index.get(&(port, address))?;
        match self.slots[index as usize].entry.as_ref()?.state {
            State::Reachable { mac } | State::Stale { mac } | State::Delay { mac } | State::Probe { mac, .. } => {
                Some(mac)
            }
            State::Incomplete { .. } | State::Failed { .. } => None,
        }
    }

    /// Somebody above has heard from the neighbour in answer to what was sent (RFC 4861 §7.3.1).
    pub(crate) fn confirm(&mut self, now: Instant, rng: &mut Rng, port: PortId, address: IpAddr) {
        let Some(&index) = self.index.get(&(port, address)) else { return };
        let Some(entry) = self.slots[index as usize].entry.as_mut() else { return };
        match entry.state {
            State::Reachable { .. } => entry.confirmed = now,
            State::Stale { mac } | State::Delay { mac } | State::Probe { mac, .. } => self.reach(now, rng, index, mac),
            State::Incomplete { .. } | State::Failed { .. } => {}
        }
    }

    /// Somebody above has waited for the neighbour in vain.
    pub(crate) fn suspect(&mut self, now: Instant, port: PortId, address: IpAddr) {
        let Some(&index) = self.index.get(&(port, address)) else { return };
        if let Some(Entry { state: State::Reachable { mac } | State::Stale { mac }, .. }) =
            self.slots[index as usize].entry
        {
            self.doubt(now, index, mac);
        }
    }

    /// One thing that time wants done; call until there is none.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Action> {
        while let Some(index) = self.wheel.expire(now) {
            if let Some(action) = self.fire(now, index) {
                return Some(action);
            }
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.wheel.next()
    }

    /// Forgets a link's neighbours, or one of them. Their packets are in [`Neighbors::evicted`].
    pub(crate) fn forget(&mut self, port: PortId, address: Option<IpAddr>) {
        let gone: Vec<u32> = self
            .index
            .iter()
            .filter(|&(&(on, who), _)| on == port && address.is_none_or(|address| address == who))
            .map(|(_, &index)| index)
            .collect();
        for index in gone {
            self.remove(index);
        }
    }

    /// Packets whose neighbour was evicted or forgotten.
    pub(crate) fn evicted(&mut self) -> impl Iterator<Item = OutFrame> + '_ {
        self.evicted.drain(..)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Neighbor> + '_ {
        self.slots.iter().filter_map(|slot| {
            let Entry { port, address, state, .. } = slot.entry.as_ref()?;
            let (state, mac, queued) = match state {
                State::Incomplete { packets, .. } => (NeighborState::Incomplete, None, packets.len()),
                State::Reachable { mac } => (NeighborState::Reachable, Some(*mac), 0),
                State::Stale { mac } => (NeighborState::Stale, Some(*mac), 0),
                State::Delay { mac } => (NeighborState::Delay, Some(*mac), 0),
                State::Probe { mac, .. } => (NeighborState::Probe, Some(*mac), 0),
                State::Failed { .. } => (NeighborState::Failed, None, 0),
            };
            Some(Neighbor { port: *port, address: *address, mac, state, queued })
        })
    }

    /// The timer of an entry has fired.
    fn fire(&mut self, now: Instant, index: u32) -> Option<Action> {
        let entry = self.slots[index as usize].entry.as_mut()?;
        entry.timer = None;
        let (port, address) = (entry.port, entry.address);
        match &mut entry.state {
            State::Incomplete { asked, .. } if *asked < PROBES => {
                *asked += 1;
                self.arm_question(now, index);
                Some(Action::Ask { port, address, to: None })
            }
            State::Incomplete { packets, .. } => {
                let packets = std::mem::take(packets);
                self.waiting_memory -= packets.iter().map(|packet| packet.buffer.len()).sum::<usize>();
                self.unresolved_count -= 1;
                entry.state = State::Failed { until: now + HOLD_DOWN };
                self.generation += 1;
                self.arm(index, now + FORGET);
                Some(Action::Failed { port, address, packets })
            }
            State::Reachable { mac } => {
                let (mac, until) = (*mac, entry.confirmed + entry.reachable_for);
                if now < until {
                    self.arm(index, until);
                } else {
                    entry.state = State::Stale { mac };
                    self.arm(index, now + FORGET);
                }
                None
            }
            State::Delay { mac } => {
                let mac = *mac;
                entry.state = State::Probe { mac, asked: 1 };
                self.arm_question(now, index);
                Some(Action::Ask { port, address, to: Some(mac) })
            }
            State::Probe { mac, asked } if *asked < PROBES => {
                *asked += 1;
                let to = Some(*mac);
                self.arm_question(now, index);
                Some(Action::Ask { port, address, to })
            }
            State::Probe { .. } => {
                self.generation += 1;
                self.begin(now, index);
                Some(Action::Ask { port, address, to: None })
            }
            State::Stale { .. } | State::Failed { .. } => {
                if now < entry.used + FORGET {
                    let until = entry.used + FORGET;
                    self.arm(index, until);
                } else {
                    self.remove(index);
                }
                None
            }
        }
    }

    fn reach(&mut self, now: Instant, rng: &mut Rng, index: u32, mac: MacAddr) {
        let timings = &self.timings;
        if let Some(entry) = self.slots[index as usize].entry.as_mut() {
            entry.state = State::Reachable { mac };
            entry.confirmed = now;
            entry.reachable_for = rng.around(timing(timings, entry.port, entry.address).reachable);
            let until = now + entry.reachable_for;
            self.arm(index, until);
        }
    }

    /// Its hardware address is known, but it has not answered us: as stale as after a long time.
    fn doubt(&mut self, now: Instant, index: u32, mac: MacAddr) {
        if let Some(entry) = self.slots[index as usize].entry.as_mut() {
            entry.state = State::Delay { mac };
            self.arm(index, now + DELAY);
        }
    }

    /// (Re)starts resolution. The caller sends the first question.
    fn begin(&mut self, now: Instant, index: u32) {
        if self.unresolved_count >= self.limit / 2 {
            self.evict_unresolved();
        }
        let slot = &mut self.slots[index as usize];
        if let Some(entry) = slot.entry.as_mut() {
            entry.state = State::Incomplete { asked: 1, packets: VecDeque::new() };
            self.unresolved.push_back((index, slot.generation));
            self.unresolved_count += 1;
            self.arm_question(now, index);
        }
        if self.unresolved.len() > 2 * self.limit {
            let slots = &self.slots;
            self.unresolved.retain(|&(index, generation)| slots[index as usize].is_unresolved(generation));
        }
    }

    /// The next question is due when this one has waited long enough.
    fn arm_question(&mut self, now: Instant, index: u32) {
        if let Some(Entry { port, address, .. }) = self.slots[index as usize].entry {
            self.arm(index, now + timing(&self.timings, port, address).retransmit);
        }
    }

    fn arm(&mut self, index: u32, deadline: Instant) {
        let Some(entry) = self.slots[index as usize].entry.as_mut() else { return };
        if let Some(timer) = entry.timer.take() {
            self.wheel.cancel(timer);
        }
        entry.timer = Some(self.wheel.insert(deadline, index));
    }
}

fn timing(timings: &[Timing], port: PortId, address: IpAddr) -> Timing {
    timings.get(port.index()).filter(|_| address.is_ipv6()).copied().unwrap_or_default()
}
