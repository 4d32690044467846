//! Whether somebody else has an IPv4 address, and addresses that a port chooses for itself.
//!
//! **An address that was given** serves at once: it is asked for once (a probe, which changes nobody's cache) and announced,
//! without waiting for an answer. Who has it already answers the probe, or defends it; that is a conflict, which is
//! counted, remembered for people ([`Stack::conflicts`]) and answered by an announcement, at most one in ten seconds. The address is
//! kept: whoever gave it has to decide.
//!
//! **A link-local address** is chosen by the port, out of 169.254/16, the same each time unless somebody has it. It is asked for three
//! times before it is used, then announced twice. When it is claimed by another, it is defended once; when again within ten
//! seconds, given up for the next. After ten conflicts a choice is made once a minute.
//!
//! # Standards
//!
//! RFC 5227 §1.1 (times), §2.1.1 (probes), §2.3 (announcements), §2.4 (conflicts; b for what was given); RFC 3927 §2.1 (choice),
//! §2.2.1 (rate), §2.5 (defence).

use crate::Stack;
use crate::hash::{Keyed, Keys};
use crate::ip::Ip;
use crate::port::PortId;
use crate::wheel::earlier;
use sockeye_device::Instant;
use sockeye_wire::{IpPrefix, MacAddr};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// RFC 5227 §1.1.
const PROBE_WAIT: Duration = Duration::from_secs(1);
const PROBE_COUNT: u8 = 3;
const PROBE_MIN: Duration = Duration::from_secs(1);
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
const MAX_CONFLICTS: u32 = 10;
const RATE_LIMIT_INTERVAL: Duration = Duration::from_secs(60);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// Conflicts that are remembered.
const REMEMBERED: usize = 64;

/// Somebody else claims an address of a port's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The port.
    pub port: PortId,
    /// The address.
    pub address: Ipv4Addr,
    /// Who claimed it last.
    pub station: MacAddr,
    /// How often it was claimed.
    pub count: u64,
    /// When last.
    pub at: Instant,
}

/// How far a port's choice of an address has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many questions are still to be asked, the next (or the end of the waiting) at that time.
    Probing { left: u8, at: Instant },
    /// It is used. When it was last defended.
    Claimed { defended: Option<Instant> },
    /// The link is down.
    Paused,
}

/// A port that chooses for itself.
#[derive(Clone, Copy, Debug)]
struct Choice {
    port: PortId,
    address: Ipv4Addr,
    state: State,
    conflicts: u32,
}

/// Conflicts, and choices.
pub(crate) struct Conflicts {
    hasher: Keyed,
    seen: Vec<Conflict>,
    /// Those that nobody was told of yet.
    news: Vec<Conflict>,
    choices: Vec<Choice>,
}

impl Conflicts {
    pub(crate) fn new() -> Self {
        // No secret: the host is to have the same address after it was started anew (RFC 3927, 2.1).
        let hasher = Keys::new([0; 32]).hasher(b"link-local addresses");
        Conflicts { hasher, seen: Vec::new(), news: Vec::new(), choices: Vec::new() }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let due = |choice: &Choice| match choice.state {
            State::Probing { at, .. } => Some(at),
            State::Claimed { .. } | State::Paused => None,
        };
        self.choices.iter().fold(None, |next, choice| earlier(next, due(choice)))
    }

    /// The address that a port asks for, before it has it.
    pub(crate) fn is_probed(&self, port: PortId, address: Ipv4Addr) -> bool {
        let probing = |choice: &&Choice| matches!(choice.state, State::Probing { .. });
        self.choices.iter().filter(probing).any(|choice| (choice.port, choice.address) == (port, address))
    }

    fn remember(&mut self, now: Instant, port: PortId, address: Ipv4Addr, station: MacAddr) {
        let known = self.seen.iter_mut().find(|seen| (seen.port, seen.address) == (port, address));
        let conflict = match known {
            Some(known) => {
                let changed = known.station != station;
                *known = Conflict { station, count: known.count + 1, at: now, ..*known };
                if !changed {
                    return;
                }
                *known
            }
            None => {
                let conflict = Conflict { port, address, station, count: 1, at: now };
                if self.seen.len() >= REMEMBERED {
                    self.seen.remove(0);
                }
                self.seen.push(conflict);
                conflict
            }
        };
        if self.news.len() < REMEMBERED {
            self.news.push(conflict);
        }
    }

    /// A port's next choice: 169.254.1.0 to 169.254.254.255, by its hardware address and how many were taken.
    fn choose(&self, mac: MacAddr, conflicts: u32) -> Ipv4Addr {
        let number = (self.hasher.hash(&(mac, conflicts)) % 65_024) as u16 + 256;
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(169, 254, high, low)
    }
}

impl Ip {
    /// A port chooses an address for itself, from now on.
    pub(crate) fn choose_v4(&mut self, now: Instant, port: PortId) {
        let Some(state) = self.find_port(port).filter(|_| !port.is_loopback()) else { return };
        if self.conflicts.choices.iter().any(|choice| choice.port == port) {
            return;
        }
        let (up, address) = (state.up, self.conflicts.choose(state.mac, 0));
        self.conflicts.choices.push(Choice { port, address, state: State::Paused, conflicts: 0 });
        if up {
            self.resume_choice(now, port);
        }
    }

    /// The link has come up: what was chosen is asked for (again).
    pub(crate) fn resume_choice(&mut self, now: Instant, port: PortId) {
        let wait = Duration::from_millis(self.rng.below(PROBE_WAIT.as_millis() as u32).into());
        if let Some(choice) = self.conflicts.choices.iter_mut().find(|choice| choice.port == port) {
            choice.state = State::Probing { left: PROBE_COUNT, at: now + wait };
        }
    }

    /// The link is down: the address may be another's when it comes up.
    pub(crate) fn pause_choice(&mut self, port: PortId) {
        if let Some(choice) = self.conflicts.choices.iter_mut().find(|choice| choice.port == port) {
            let claimed = matches!(choice.state, State::Claimed { .. });
            choice.state = State::Paused;
            if let (true, Some(prefix)) = (claimed, prefix_of(choice.address)) {
                self.unassign(port, prefix);
            }
        }
    }

    pub(crate) fn handle_conflict_timeout(&mut self, now: Instant) {
        for index in 0..self.conflicts.choices.len() {
            let choice = self.conflicts.choices[index];
            let State::Probing { left, at } = choice.state else { continue };
            if now < at {
                continue;
            }
            let state = match left {
                0 => {
                    if let Some(prefix) = prefix_of(choice.address) {
                        self.add_address(now, choice.port, prefix);
                    }
                    State::Claimed { defended: None }
                }
                left => {
                    self.probe_v4(choice.port, choice.address);
                    let jitter = Duration::from_millis(self.rng.below(1_000).into());
                    let wait = if left == 1 { ANNOUNCE_WAIT } else { PROBE_MIN + jitter };
                    State::Probing { left: left - 1, at: now + wait }
                }
            };
            self.conflicts.choices[index].state = state;
        }
    }

    /// Another station has, or wants, an address of ours, or one that we want.
    pub(crate) fn handle_conflict(&mut self, now: Instant, port: PortId, address: Ipv4Addr, station: MacAddr) {
        self.conflicts.remember(now, port, address, station);
        let mac = self.port(port).mac;
        let at = self.conflicts.choices.iter().position(|choice| (choice.port, choice.address) == (port, address));
        let Some(index) = at else { return self.defend(now, port, address.into()) };
        let choice = &mut self.conflicts.choices[index];
        match &mut choice.state {
            State::Claimed { defended } if defended.is_none_or(|last| now.since(last) >= DEFEND_INTERVAL) => {
                *defended = Some(now);
                self.counters.arp_defences += 1;
                return self.announce_v4(port, address);
            }
            State::Claimed { .. } => {
                if let Some(prefix) = prefix_of(address) {
                    self.unassign(port, prefix);
                }
            }
            State::Probing { .. } | State::Paused => {}
        }
        let conflicts = self.conflicts.choices[index].conflicts + 1;
        let next = self.conflicts.choose(mac, conflicts);
        let spread = Duration::from_millis(self.rng.below(PROBE_WAIT.as_millis() as u32).into());
        let wait = if conflicts > MAX_CONFLICTS { RATE_LIMIT_INTERVAL } else { spread };
        let choice = &mut self.conflicts.choices[index];
        (choice.conflicts, choice.address) = (conflicts, next);
        choice.state = State::Probing { left: PROBE_COUNT, at: now + wait };
    }
}

impl Stack {
    /// A port gives itself an address of 169.254/16 (RFC 3927), and another one when somebody has it.
    pub fn choose_address(&mut self, now: Instant, port: PortId) {
        self.ip.choose_v4(now, port);
    }

    /// Addresses that others claim, too.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.ip.conflicts.seen
    }

    /// A conflict that was not reported yet: of an address, or with another station than before.
    pub fn poll_conflict(&mut self) -> Option<Conflict> {
        self.ip.conflicts.news.pop()
    }
}

fn prefix_of(address: Ipv4Addr) -> Option<IpPrefix> {
    IpPrefix::new(IpAddr::V4(address), 16).ok()
}
