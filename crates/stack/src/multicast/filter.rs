//! Whom a listener hears in a group, and what all listeners of a port together want to hear.
//!
//! A [`SourceFilter`] is a mode and a list: only these sources (INCLUDE), or all but these (EXCLUDE). Who hears nobody is no
//! listener: INCLUDE of nothing is the same as having left.
//!
//! The filters of all listeners are merged into what the port asks of its link: if anybody excludes, all but the sources
//! that *every* excluding listener excludes and no including one wants; else the sources that somebody wants. [`Votes`]
//! counts for each source who wants it and who does not, so that one listener's change costs as much as its own lists are
//! long, and a packet's check one search.
//!
//! # Standards
//!
//! RFC 3376 §3.2 (the merge), RFC 3810 §4.2 (the same).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What a list of sources means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum FilterMode {
    /// Only these.
    #[default]
    Include,
    /// All but these.
    Exclude,
}

/// Which sources are heard. By default none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SourceFilter {
    /// What the list means.
    pub mode: FilterMode,
    /// The list.
    pub sources: BTreeSet<IpAddr>,
}

impl SourceFilter {
    /// Hears all.
    pub fn everybody() -> SourceFilter {
        SourceFilter { mode: FilterMode::Exclude, sources: BTreeSet::new() }
    }

    /// True when nobody is heard.
    pub fn is_nobody(&self) -> bool {
        self.mode == FilterMode::Include && self.sources.is_empty()
    }

    /// True when that source is heard.
    pub fn admits(&self, source: IpAddr) -> bool {
        self.sources.contains(&source) == (self.mode == FilterMode::Include)
    }
}

/// What all listeners want.
#[derive(Clone, Debug, Default)]
pub(crate) struct Votes {
    /// Listeners that hear somebody.
    listeners: u32,
    /// Listeners that exclude.
    excluding: u32,
    sources: BTreeMap<IpAddr, Vote>,
}

/// What is said of one source.
#[derive(Clone, Copy, Debug, Default)]
struct Vote {
    include: u32,
    exclude: u32,
}

impl Vote {
    fn of(&mut self, mode: FilterMode) -> &mut u32 {
        match mode {
            FilterMode::Include => &mut self.include,
            FilterMode::Exclude => &mut self.exclude,
        }
    }

    fn admits(&self, excluding: u32) -> bool {
        self.include > 0 || excluding > self.exclude
    }
}

impl Votes {
    /// How many listen to anybody.
    pub(crate) fn listeners(&self) -> u32 {
        self.listeners
    }

    /// All sources that are named, with how many want each and how many do not.
    pub(crate) fn named(&self) -> impl Iterator<Item = (IpAddr, u32, u32)> + '_ {
        self.sources.iter().map(|(&source, vote)| (source, vote.include, vote.exclude))
    }

    /// A listener that heard by one filter hears by another now.
    pub(crate) fn change(&mut self, from: &SourceFilter, to: &SourceFilter) {
        self.listeners += u32::from(!to.is_nobody());
        self.listeners = self.listeners.saturating_sub(u32::from(!from.is_nobody()));
        if to.mode == FilterMode::Exclude {
            self.excluding += 1;
        }
        for &source in &to.sources {
            *self.sources.entry(source).or_default().of(to.mode) += 1;
        }
        if from.mode == FilterMode::Exclude {
            self.excluding = self.excluding.saturating_sub(1);
        }
        for source in &from.sources {
            if let Some(vote) = self.sources.get_mut(source) {
                let count = vote.of(from.mode);
                *count = count.saturating_sub(1);
                if vote.include == 0 && vote.exclude == 0 {
                    self.sources.remove(source);
                }
            }
        }
    }

    /// True when somebody may want to hear that source.
    pub(crate) fn admits(&self, source: IpAddr) -> bool {
        match self.sources.get(&source) {
            Some(vote) => vote.admits(self.excluding),
            None => self.excluding > 0,
        }
    }

    /// True when nobody listens to anybody.
    pub(crate) fn is_nobody(&self) -> bool {
        self.excluding == 0 && self.sources.is_empty()
    }

    /// Sources that something is said of.
    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// The merge.
    pub(crate) fn merged(&self) -> SourceFilter {
        let mode = if self.excluding > 0 { FilterMode::Exclude } else { FilterMode::Include };
        let listed = |vote: &Vote| vote.admits(self.excluding) == (mode == FilterMode::Include);
        let sources = self.sources.iter().filter(|(_, vote)| listed(vote)).map(|(&source, _)| source).collect();
        SourceFilter { mode, sources }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    /// The words of RFC 3376 §3.2, one after the other.
    fn by_the_book(listeners: &[SourceFilter]) -> SourceFilter {
        let of = |mode| listeners.iter().filter(move |filter| filter.mode == mode).map(|filter| &filter.sources);
        let included: BTreeSet<IpAddr> = of(FilterMode::Include).flatten().copied().collect();
        let Some(first) = of(FilterMode::Exclude).next() else {
            return SourceFilter { mode: FilterMode::Include, sources: included };
        };
        let everywhere = |source: &&IpAddr| of(FilterMode::Exclude).all(|sources| sources.contains(source));
        let excluded: BTreeSet<IpAddr> = first.iter().filter(everywhere).copied().collect();
        SourceFilter { mode: FilterMode::Exclude, sources: &excluded - &included }
    }

    fn filter() -> impl Strategy<Value = SourceFilter> {
        let mode = prop_oneof![Just(FilterMode::Include), Just(FilterMode::Exclude)];
        (mode, prop::collection::btree_set((0..6u8).prop_map(source), 0..5))
            .prop_map(|(mode, sources)| SourceFilter { mode, sources })
    }

    proptest! {
        /// Listeners come, change their minds and go; the merge is the book's at each step.
        #[test]
        fn merges_as_the_book_says(steps in prop::collection::vec((0..5usize, filter()), 1..40)) {
            let mut votes = Votes::default();
            let mut listeners = vec![SourceFilter::default(); 5];
            for (who, to) in steps {
                votes.change(&listeners[who], &to);
                listeners[who] = to;
                let expected = by_the_book(&listeners);
                prop_assert_eq!(votes.merged(), expected.clone());
                prop_assert_eq!(votes.is_nobody(), listeners.iter().all(SourceFilter::is_nobody));
                for number in 0..8 {
                    prop_assert_eq!(votes.admits(source(number)), expected.admits(source(number)));
                }
            }
            for listener in &listeners {
                votes.change(listener, &SourceFilter::default());
            }
            prop_assert!(votes.is_nobody() && votes.len() == 0);
        }
    }
}
