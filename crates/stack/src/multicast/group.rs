//! One group on a port: who listens, and what routers are still to be told.
//!
//! A change is told several times, as reports get lost: a change of mode with the whole list, a change of the list with
//! what was added and what was taken away. What changes again meanwhile is told as it is by then: nothing is queued but how
//! often something is still to be said. A group that nobody listens to any more is kept until that has been said.
//!
//! # Standards
//!
//! RFC 3376 §5.1 (what is said, and how often), §5.2 (answers); RFC 3810 §6.1, §6.3 (the same).

use super::filter::{FilterMode, SourceFilter, Votes};
use crate::wheel::TimerId;
use sockeye_device::Instant;
use sockeye_wire::group::RecordKind;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Sources of a question that are remembered; with more, the answer is about the whole group.
const ASKED: usize = 64;

/// A group on a port.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) votes: Votes,
    /// How often it is still to be said that the mode is now what it is.
    mode_left: u8,
    /// How often it is still to be said of a source that it is heard now, or not.
    sources_left: BTreeMap<IpAddr, u8>,
    /// An answer that is due, or, to routers that know of no sources, any report.
    pub(crate) answer: Option<Answer>,
    /// When the last one was given.
    pub(crate) answered: Option<Instant>,
    /// Of all hosts we were the last to report: it is ours to say that we leave (RFC 2236 §3, `flag`).
    pub(crate) reporter: bool,
}

/// An answer that is due.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) timer: TimerId,
    pub(crate) at: Instant,
    /// About these sources; none for the whole group.
    pub(crate) sources: Option<BTreeSet<IpAddr>>,
}

/// What is said about a group: a record, of whatever family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) kind: RecordKind,
    pub(crate) group: IpAddr,
    pub(crate) sources: Vec<IpAddr>,
}

impl Group {
    /// What all listeners want has become something else. True when there is something to say.
    pub(crate) fn note(&mut self, before: &SourceFilter, after: &SourceFilter, times: u8) -> bool {
        if before.mode != after.mode {
            self.mode_left = times;
            self.sources_left.clear();
        } else {
            for &source in before.sources.symmetric_difference(&after.sources) {
                self.sources_left.insert(source, times);
            }
        }
        before != after
    }

    /// Everything is to be said anew, as if it had just begun.
    pub(crate) fn restate(&mut self, times: u8) {
        self.sources_left.clear();
        match self.votes.merged() {
            SourceFilter { mode: FilterMode::Exclude, .. } => self.mode_left = times,
            SourceFilter { sources, .. } => {
                self.mode_left = 0;
                self.sources_left = sources.into_iter().map(|source| (source, times)).collect();
            }
        }
    }

    /// To routers that know of no sources only coming and going is told.
    pub(crate) fn note_presence(&mut self, times: u8) {
        self.mode_left = times;
        self.sources_left.clear();
    }

    /// Counts a report to such routers. True when there is another one to come.
    pub(crate) fn presence_told(&mut self) -> bool {
        self.mode_left = self.mode_left.saturating_sub(1);
        self.mode_left > 0
    }

    /// There is nothing more to say of what has changed.
    pub(crate) fn fall_silent(&mut self) {
        self.mode_left = 0;
        self.sources_left.clear();
    }

    /// True when there is something to say of what has changed.
    pub(crate) fn has_news(&self) -> bool {
        self.mode_left > 0 || !self.sources_left.is_empty()
    }

    /// Says once what has changed.
    pub(crate) fn news(&mut self, group: IpAddr, out: &mut Vec<Statement>) {
        let mut say = |kind, sources: Vec<IpAddr>| out.push(Statement { kind, group, sources });
        if self.mode_left > 0 {
            self.mode_left -= 1;
            let merged = self.votes.merged();
            let kind = match merged.mode {
                FilterMode::Include => RecordKind::CHANGE_TO_INCLUDE,
                FilterMode::Exclude => RecordKind::CHANGE_TO_EXCLUDE,
            };
            say(kind, merged.sources.into_iter().collect());
        } else {
            let (allowed, blocked): (Vec<_>, Vec<_>) =
                self.sources_left.keys().copied().partition(|&source| self.votes.admits(source));
            for (kind, sources) in [(RecordKind::ALLOW_NEW_SOURCES, allowed), (RecordKind::BLOCK_OLD_SOURCES, blocked)]
            {
                if !sources.is_empty() {
                    say(kind, sources);
                }
            }
        }
        self.sources_left.retain(|_, left| {
            *left = left.saturating_sub(1);
            *left > 0
        });
    }

    /// How it stands with the whole group.
    pub(crate) fn state(&self, group: IpAddr) -> Option<Statement> {
        if self.votes.is_nobody() {
            return None;
        }
        let merged = self.votes.merged();
        let kind = match merged.mode {
            FilterMode::Include => RecordKind::MODE_IS_INCLUDE,
            FilterMode::Exclude => RecordKind::MODE_IS_EXCLUDE,
        };
        Some(Statement { kind, group, sources: merged.sources.into_iter().collect() })
    }

    /// The same, of some sources: those of them that are heard, if any.
    pub(crate) fn state_of(&self, group: IpAddr, asked: &BTreeSet<IpAddr>) -> Option<Statement> {
        let heard: Vec<_> = asked.iter().copied().filter(|&source| self.votes.admits(source)).collect();
        (!heard.is_empty()).then_some(Statement { kind: RecordKind::MODE_IS_INCLUDE, group, sources: heard })
    }
}

/// The sources of a question, with those of an earlier one that was not answered yet. None for the whole group.
pub(crate) fn asked_for(
    earlier: Option<&Answer>,
    sources: impl ExactSizeIterator<Item = IpAddr>,
) -> Option<BTreeSet<IpAddr>> {
    if sources.len() == 0 || sources.len() > ASKED {
        return None;
    }
    let mut asked = match earlier {
        None => BTreeSet::new(),
        Some(Answer { sources, .. }) => sources.clone()?,
    };
    asked.extend(sources);
    (asked.len() <= ASKED).then_some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(232, 1, 2, 3));

    fn source(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    fn filter(mode: FilterMode, sources: &[u8]) -> SourceFilter {
        SourceFilter { mode, sources: sources.iter().map(|&number| source(number)).collect() }
    }

    /// A group whose only listener changes its mind.
    struct Listener {
        group: Group,
        filter: SourceFilter,
    }

    impl Listener {
        fn wants(&mut self, mode: FilterMode, sources: &[u8]) {
            let to = filter(mode, sources);
            let before = self.group.votes.merged();
            self.group.votes.change(&self.filter, &to);
            self.group.note(&before, &self.group.votes.merged(), 2);
            self.filter = to;
        }

        /// What the next report says: kind and last bytes of sources.
        fn news(&mut self) -> Vec<(u8, Vec<u8>)> {
            let mut out = Vec::new();
            self.group.news(GROUP, &mut out);
            let last = |address: &IpAddr| match address {
                IpAddr::V4(address) => address.octets()[3],
                IpAddr::V6(_) => 0,
            };
            out.iter().map(|said| (said.kind.0, said.sources.iter().map(last).collect())).collect()
        }
    }

    #[test]
    fn a_change_is_said_twice_and_as_it_is_by_then() {
        use FilterMode::{Exclude, Include};
        let mut listener = Listener { group: Group::default(), filter: SourceFilter::default() };
        listener.wants(Include, &[1, 2]);
        assert_eq!(listener.news(), [(5, vec![1, 2])]);
        // Before it is said again, one goes and one comes.
        listener.wants(Include, &[2, 3]);
        assert_eq!(listener.news(), [(5, vec![2, 3]), (6, vec![1])]);
        assert_eq!(listener.news(), [(5, vec![3]), (6, vec![1])]);
        assert!(!listener.group.has_news());
        listener.wants(Exclude, &[9]);
        assert_eq!(listener.news(), [(4, vec![9])]);
        // A change of the list goes along with the change of the mode, and is said alone once more.
        listener.wants(Exclude, &[9, 8]);
        assert_eq!(listener.news(), [(4, vec![8, 9])]);
        assert_eq!(listener.news(), [(6, vec![8])]);
        listener.wants(Include, &[]);
        assert_eq!(listener.news(), [(3, vec![])]);
        assert_eq!(listener.news(), [(3, vec![])]);
        assert!(!listener.group.has_news() && listener.group.votes.is_nobody());
    }

    #[test]
    fn answers_about_sources_name_those_that_are_heard() {
        let mut group = Group::default();
        group.votes.change(&SourceFilter::default(), &filter(FilterMode::Exclude, &[1]));
        let asked = [1, 2].map(source).into_iter().collect();
        assert_eq!(group.state_of(GROUP, &asked).map(|said| said.sources), Some(vec![source(2)]));
        assert_eq!(group.state_of(GROUP, &[source(1)].into_iter().collect()), None);
        assert_eq!(group.state(GROUP).map(|said| said.kind), Some(RecordKind::MODE_IS_EXCLUDE));
    }

    #[test]
    fn a_question_about_too_many_sources_is_one_about_the_group() {
        let sources = |count: u8| (0..count).map(source).collect::<Vec<_>>().into_iter();
        let first = asked_for(None, sources(60)).unwrap();
        assert_eq!(first.len(), 60);
        assert_eq!(asked_for(None, sources(65)), None);
        let mut wheel = crate::wheel::Wheel::new();
        let mut earlier = Answer { timer: wheel.insert(Instant::ZERO, ()), at: Instant::ZERO, sources: Some(first) };
        assert_eq!(asked_for(Some(&earlier), sources(64)).map(|asked| asked.len()), Some(64));
        earlier.sources = None;
        assert_eq!(asked_for(Some(&earlier), sources(1)), None, "the whole group is asked for already");
    }
}
