//! What a host knows of those who ask on a link: which version they speak, and how often things are to be said.
//!
//! The oldest version that was heard of late is spoken, since an older router does not understand more. Versions are
//! counted as IGMP counts them; MLD's are one less (MLDv2 is what IGMPv3 is) and know no first one.
//!
//! # Standards
//!
//! RFC 3376 §7.2.1 and §8, RFC 9776 §7.2.1 and §8.12 (how long an older querier counts), RFC 3810 §8.2.1 and §9.

use crate::wheel::TimerId;
use sockeye_device::Instant;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// How often a report is sent, where no querier says otherwise.
const ROBUSTNESS: u8 = 2;
/// Between two questions to all, where no querier says otherwise.
const QUERY_INTERVAL: Duration = Duration::from_secs(125);

/// Which version is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// IGMPv1: nobody says that he leaves.
    One,
    /// IGMPv2, MLDv1: groups without sources.
    Two,
    /// IGMPv3, MLDv2.
    #[default]
    Three,
}

/// One family's on one port.
#[derive(Debug)]
pub(crate) struct Querier {
    pub(crate) version: Version,
    /// While they run, version 1, and version 2, have been heard of late.
    older: [Option<TimerId>; 2],
    pub(crate) robustness: u8,
    pub(crate) interval: Duration,
    /// An answer about all groups that is due.
    pub(crate) answer: Option<(TimerId, Instant)>,
    /// When the last one was given.
    pub(crate) answered: Option<Instant>,
    /// When what has changed is said next.
    pub(crate) change: Option<TimerId>,
    /// Groups of which there is something to say.
    pub(crate) changed: BTreeSet<IpAddr>,
}

impl Default for Querier {
    fn default() -> Self {
        Querier {
            version: Version::Three,
            older: [None, None],
            robustness: ROBUSTNESS,
            interval: QUERY_INTERVAL,
            answer: None,
            answered: None,
            change: None,
            changed: BTreeSet::new(),
        }
    }
}

impl Querier {
    /// A querier of the newest version has said how it wants things; zero where it has not.
    pub(crate) fn learn(&mut self, robustness: u8, interval: u32) {
        self.robustness = if robustness == 0 { ROBUSTNESS } else { robustness };
        self.interval = if interval == 0 { QUERY_INTERVAL } else { Duration::from_secs(interval.into()) };
    }

    /// How long one of an older version counts after it was heard.
    pub(crate) fn memory(&self, response: Duration) -> Duration {
        self.interval * self.robustness.into() + response
    }

    /// One of an older version was heard. Returns the timer that ran for it, and whether another version is now spoken.
    pub(crate) fn hear_older(&mut self, version: Version, timer: TimerId) -> (Option<TimerId>, bool) {
        let place = usize::from(version == Version::Two);
        let stale = self.older[place].replace(timer);
        (stale, self.settle())
    }

    /// One of an older version was not heard for long.
    pub(crate) fn forget_older(&mut self, version: Version) {
        self.older[usize::from(version == Version::Two)] = None;
        self.settle();
    }

    fn settle(&mut self) -> bool {
        let version = match self.older {
            [Some(_), _] => Version::One,
            [None, Some(_)] => Version::Two,
            [None, None] => Version::Three,
        };
        std::mem::replace(&mut self.version, version) != version
    }
}
