//! When something is said about groups: after a change, and when asked.
//!
//! **Changes** of all groups of a port go into one report, at once and again after a random moment below a second, as often
//! as the querier's robustness wants. **Questions** are answered once, after a random part of the time that they leave: about
//! all groups, about one, or about sources in it; a question that comes while an answer is due brings it forward or widens
//! it, never doubles it. Answers of one kind are at least [`SPACING`] apart, whatever a question allows, so a flood of questions
//! makes a trickle of answers.
//!
//! **Older routers** are told of one group at a time, in a packet to that group; a host that hears another one's report
//! saves its own, and who reported last says that it leaves.
//!
//! Nobody is told of the groups that everybody is in, nor of those that do not reach beyond the host, and nobody on the loopback.
//!
//! # Standards
//!
//! RFC 3376 §5, §7.2 (which RFC 9776 keeps); RFC 2236 §3, RFC 1112 appendix I; RFC 3810 §6, §8.2, RFC 2710 §4, §5.

use super::Multicast;
use super::filter::SourceFilter;
use super::group::{Answer, Group, Statement, asked_for};
use super::packing::pack;
use super::querier::{Querier, Version};
use crate::ip::Ip;
use crate::port::PortId;
use crate::wheel::TimerId;
use sockeye_device::Instant;
use sockeye_wire::igmp;
use sockeye_wire::ipv6::{self, Scope};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// RFC 3376 §8.11, RFC 3810 §9.11: Unsolicited Report Interval.
const UNSOLICITED: Duration = Duration::from_secs(1);
/// RFC 2236 §8.10, RFC 2710 §7.10: the same in the older versions.
const UNSOLICITED_OLDER: Duration = Duration::from_secs(10);
/// Between two answers to the same question.
const SPACING: Duration = Duration::from_millis(100);

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// To say what has changed.
    Change(PortId, Family),
    /// To answer about all groups.
    Answer(PortId, Family),
    /// To answer about one.
    AnswerGroup(PortId, IpAddr),
    /// A querier of an older version was not heard for long.
    Older(PortId, Family, Version),
}

/// IPv4's groups or IPv6's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    fn has(self, address: IpAddr) -> bool {
        Family::of(address) == self
    }
}

/// A question that was heard, whatever the family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) version: Version,
    /// An answer may take as long.
    pub(crate) response: Duration,
    /// None for all of them.
    pub(crate) group: Option<IpAddr>,
    /// None for all of them.
    pub(crate) sources: &'a [IpAddr],
    /// Robustness and interval in seconds, where the querier says them.
    pub(crate) said: Option<(u8, u32)>,
}

/// True for a group of which routers are told.
fn is_told(port: PortId, group: IpAddr) -> bool {
    !port.is_loopback()
        && match group {
            IpAddr::V4(group) => group != igmp::ALL_SYSTEMS,
            IpAddr::V6(group) => group != ipv6::ALL_NODES && ipv6::scope(group).0 > Scope::INTERFACE_LOCAL.0,
        }
}

impl Multicast {
    pub(crate) fn querier(&mut self, port: PortId, family: Family) -> &mut Querier {
        if self.queriers.len() <= port.index() {
            self.queriers.resize_with(port.index() + 1, Default::default);
        }
        &mut self.queriers[port.index()][family as usize]
    }

    /// What all listeners of a group want has become something else.
    pub(super) fn note(&mut self, port: PortId, group: IpAddr, before: &SourceFilter, after: &SourceFilter) {
        if !is_told(port, group) {
            return self.bury(port, group);
        }
        let family = Family::of(group);
        let (version, times) = (self.querier(port, family).version, self.querier(port, family).robustness);
        let Some(state) = self.groups.get_mut(&(port, group)) else { return };
        if version == Version::Three {
            if state.note(before, after, times) {
                self.say_soon(port, group);
            } else {
                self.bury(port, group);
            }
        } else if before.is_nobody() != after.is_nobody() {
            state.note_presence(times);
            self.answer_at(Instant::ZERO, port, group, None);
        } else {
            self.bury(port, group);
        }
    }

    /// A group that nobody listens to, and of which nothing is to be said, is forgotten.
    fn bury(&mut self, port: PortId, group: IpAddr) {
        if self.groups.get(&(port, group)).is_some_and(|state| state.votes.is_nobody() && !state.has_news()) {
            self.remove(port, group);
        }
    }

    /// Says at once that a group has changed.
    fn say_soon(&mut self, port: PortId, group: IpAddr) {
        let family = Family::of(group);
        let timer = self.timers.insert(Instant::ZERO, Timer::Change(port, family));
        let querier = self.querier(port, family);
        querier.changed.insert(group);
        if let Some(stale) = querier.change.replace(timer) {
            self.timers.cancel(stale);
        }
    }

    fn answer_at(&mut self, at: Instant, port: PortId, group: IpAddr, sources: Option<BTreeSet<IpAddr>>) {
        let Some(state) = self.groups.get_mut(&(port, group)) else { return };
        if let Some(stale) = state.answer.take() {
            self.timers.cancel(stale.timer);
        }
        let timer = self.timers.insert(at, Timer::AnswerGroup(port, group));
        state.answer = Some(Answer { timer, at, sources });
    }

    fn cancel_answer(&mut self, port: PortId, group: IpAddr) {
        if let Some(answer) = self.groups.get_mut(&(port, group)).and_then(|state| state.answer.take()) {
            self.timers.cancel(answer.timer);
        }
    }

    /// All groups of a port, of one family.
    fn names(&self, port: PortId, family: Family) -> Vec<IpAddr> {
        let of_port = self.groups.range((port, Ipv4Addr::UNSPECIFIED.into())..);
        let names = of_port.map(|(&key, _)| key).take_while(|&(on, _)| on == port).map(|(_, group)| group);
        names.filter(|&group| family.has(group)).collect()
    }

    /// RFC 3376 §7.2.1: what was to be said in one version is not said in another.
    fn forget_pending(&mut self, port: PortId, family: Family) {
        let querier = self.querier(port, family);
        querier.changed.clear();
        let timers: Vec<TimerId> =
            querier.answer.take().map(|(timer, _)| timer).into_iter().chain(querier.change.take()).collect();
        timers.into_iter().for_each(|timer| self.timers.cancel(timer));
        for group in self.names(port, family) {
            self.cancel_answer(port, group);
            if let Some(state) = self.groups.get_mut(&(port, group)) {
                state.fall_silent();
            }
            self.bury(port, group);
        }
    }

    /// Everything is said anew: the link, or the address that reports come from, is another.
    fn restate(&mut self, port: PortId, family: Family) {
        self.forget_pending(port, family);
        let (version, times) = (self.querier(port, family).version, self.querier(port, family).robustness);
        for group in self.names(port, family).into_iter().filter(|&group| is_told(port, group)) {
            let Some(state) = self.groups.get_mut(&(port, group)) else { continue };
            if version == Version::Three {
                state.restate(times);
                self.say_soon(port, group);
            } else {
                state.note_presence(times);
                self.answer_at(Instant::ZERO, port, group, None);
            }
        }
    }
}

impl Ip {
    /// A link has come up: routers there know nothing yet.
    pub(crate) fn restate_groups(&mut self, port: PortId) {
        self.multicast.restate(port, Family::V4);
        self.multicast.restate(port, Family::V6);
    }

    /// A port has got an address that reports can come from, where before they came from none (RFC 3590 §4).
    pub(crate) fn restate_v6_groups(&mut self, port: PortId) {
        self.multicast.restate(port, Family::V6);
    }

    /// A link is down: whatever there was to say.
    pub(crate) fn silence_groups(&mut self, port: PortId) {
        self.multicast.forget_pending(port, Family::V4);
        self.multicast.forget_pending(port, Family::V6);
    }

    /// A router asks.
    pub(crate) fn handle_question(&mut self, now: Instant, port: PortId, family: Family, question: &Question<'_>) {
        if let (Version::Three, Some((robustness, interval))) = (question.version, question.said) {
            self.multicast.querier(port, family).learn(robustness, interval);
        } else if question.version != Version::Three {
            let until = now + self.multicast.querier(port, family).memory(question.response);
            let timer = self.multicast.timers.insert(until, Timer::Older(port, family, question.version));
            let (stale, other) = self.multicast.querier(port, family).hear_older(question.version, timer);
            stale.into_iter().for_each(|stale| self.multicast.timers.cancel(stale));
            if other {
                self.multicast.forget_pending(port, family);
            }
        }
        let newest = self.multicast.querier(port, family).version == Version::Three;
        let longest = u32::try_from(question.response.as_millis()).unwrap_or(u32::MAX);
        match question.group {
            None if newest => {
                let querier = self.multicast.querier(port, family);
                let earliest = querier.answered.map_or(now, |answered| now.max(answered + SPACING));
                let at = earliest.max(now + Duration::from_millis(self.rng.below(longest).into()));
                if querier.answer.is_some_and(|(_, due)| due <= at) {
                    return;
                }
                let timer = self.multicast.timers.insert(at, Timer::Answer(port, family));
                if let Some((stale, _)) = self.multicast.querier(port, family).answer.replace((timer, at)) {
                    self.multicast.timers.cancel(stale);
                }
            }
            None => {
                for group in self.multicast.names(port, family) {
                    self.ask_group(now, port, group, longest, &[]);
                }
            }
            Some(group) => self.ask_group(now, port, group, longest, if newest { question.sources } else { &[] }),
        }
    }

    fn ask_group(&mut self, now: Instant, port: PortId, group: IpAddr, longest: u32, sources: &[IpAddr]) {
        let Some(state) = self.multicast.groups.get_mut(&(port, group)) else { return };
        if !is_told(port, group) || state.votes.is_nobody() {
            return;
        }
        let earliest = state.answered.map_or(now, |answered| now.max(answered + SPACING));
        let mut at = earliest.max(now + Duration::from_millis(self.rng.below(longest).into()));
        let asked = asked_for(state.answer.as_ref(), sources.iter().copied());
        if let Some(earlier) = &state.answer {
            at = at.min(earlier.at);
        }
        self.multicast.answer_at(at, port, group, asked);
    }

    /// Another host on the link has reported a group to routers of an older version: that serves for us, too.
    pub(crate) fn hear_report(&mut self, port: PortId, group: IpAddr) {
        if self.multicast.querier(port, Family::of(group)).version == Version::Three {
            return;
        }
        let Some(state) = self.multicast.groups.get_mut(&(port, group)).filter(|state| !state.votes.is_nobody()) else {
            return;
        };
        state.reporter = false;
        state.fall_silent();
        self.multicast.cancel_answer(port, group);
    }

    pub(crate) fn handle_multicast_timeouts(&mut self, now: Instant) {
        while let Some(timer) = self.multicast.timers.expire(now) {
            match timer {
                Timer::Change(port, family) => self.say_changes(now, port, family),
                Timer::Answer(port, family) => self.say_all(now, port, family),
                Timer::AnswerGroup(port, group) => self.say_group(now, port, group),
                Timer::Older(port, family, version) => self.multicast.querier(port, family).forget_older(version),
            }
        }
    }

    fn say_changes(&mut self, now: Instant, port: PortId, family: Family) {
        let Multicast { groups, queriers, timers, .. } = &mut self.multicast;
        let Some(querier) = queriers.get_mut(port.index()).map(|both| &mut both[family as usize]) else { return };
        querier.change = None;
        let mut statements = Vec::new();
        let mut silent = Vec::new();
        querier.changed.retain(|&group| {
            let Some(state) = groups.get_mut(&(port, group)) else { return false };
            state.news(group, &mut statements);
            if !state.has_news() {
                silent.push(group);
            }
            state.has_news()
        });
        if !querier.changed.is_empty() {
            let delay = Duration::from_millis(u64::from(1 + self.rng.below(UNSOLICITED.as_millis() as u32)));
            querier.change = Some(timers.insert(now + delay, Timer::Change(port, family)));
        }
        silent.into_iter().for_each(|group| self.multicast.bury(port, group));
        self.report(now, port, family, statements);
    }

    fn say_all(&mut self, now: Instant, port: PortId, family: Family) {
        let querier = self.multicast.querier(port, family);
        querier.answer = None;
        querier.answered = Some(now);
        let told = self.multicast.names(port, family).into_iter().filter(|&group| is_told(port, group));
        let groups = &self.multicast.groups;
        let statements = told.filter_map(|group| groups.get(&(port, group))?.state(group)).collect();
        self.report(now, port, family, statements);
    }

    fn say_group(&mut self, now: Instant, port: PortId, group: IpAddr) {
        let family = Family::of(group);
        let version = self.multicast.querier(port, family).version;
        let Some(state) = self.multicast.groups.get_mut(&(port, group)) else { return };
        let Some(answer) = state.answer.take() else { return };
        state.answered = Some(now);
        if version == Version::Three {
            let said = match &answer.sources {
                None => state.state(group),
                Some(asked) => state.state_of(group, asked),
            };
            return self.report(now, port, family, said.into_iter().collect());
        }
        if state.votes.is_nobody() {
            let leave = state.reporter && version == Version::Two;
            self.multicast.remove(port, group);
            if leave {
                self.send_leave(now, port, group);
            }
            return;
        }
        state.reporter = true;
        if state.presence_told() {
            let delay = Duration::from_millis(u64::from(1 + self.rng.below(UNSOLICITED_OLDER.as_millis() as u32)));
            self.multicast.answer_at(now + delay, port, group, None);
        }
        self.send_older_report(now, port, group, version);
    }

    /// Sends reports with all that there is to say.
    fn report(&mut self, now: Instant, port: PortId, family: Family, statements: Vec<Statement>) {
        if statements.is_empty() || !self.find_port(port).is_some_and(|state| state.is_up()) {
            return;
        }
        let room = usize::from(self.port(port).mtu).saturating_sub(super::messages::report_overhead(family));
        for statements in pack(statements, room) {
            self.send_report(now, port, family, &statements);
        }
    }
}

/// The counterpart of [`Group`]'s state for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    /// On which port.
    pub port: PortId,
    /// Which.
    pub group: IpAddr,
    /// Which sources are heard.
    pub filter: SourceFilter,
    /// How many listen.
    pub listeners: u32,
    /// The sources that they name, with how many want each and how many do not.
    pub named: Vec<(IpAddr, u32, u32)>,
    /// What is spoken to routers there.
    pub version: Version,
}

impl Multicast {
    /// All groups that somebody listens to.
    pub(crate) fn summaries(&self) -> impl Iterator<Item = GroupSummary> + '_ {
        let living = self.groups.iter().filter(|(_, state)| !state.votes.is_nobody());
        living.map(|(&(port, group), state): (_, &Group)| GroupSummary {
            port,
            group,
            filter: state.votes.merged(),
            listeners: state.votes.listeners(),
            named: state.votes.named().collect(),
            version: self
                .queriers
                .get(port.index())
                .map_or(Version::Three, |both| both[Family::of(group) as usize].version),
        })
    }
}
