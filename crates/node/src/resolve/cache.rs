//! Answers that may still be believed: a bounded number of them, each for as long as its TTL says and no longer.

use std::collections::HashMap;
use std::time::Duration;

use sockeye_device::Instant;

use super::message::{Found, RecordKind};

const ENTRIES_MAX: usize = 1024;
/// However long a server says, an answer is asked for again after this.
const TTL_MAX: u32 = 3_600;

/// What is known of a name and a kind of record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Found(Found),
    NoData,
    NoName,
}

#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: HashMap<(String, RecordKind), (Instant, Known)>,
}

impl Cache {
    pub(crate) fn get(&self, now: Instant, name: &str, kind: RecordKind) -> Option<&Known> {
        let (expires, known) = self.entries.get(&(name.to_owned(), kind))?;
        (now < *expires).then_some(known)
    }

    pub(crate) fn put(&mut self, now: Instant, name: &str, kind: RecordKind, ttl: u32, known: Known) {
        if ttl == 0 {
            return;
        }
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.retain(|_, (expires, _)| now < *expires);
        }
        if self.entries.len() >= ENTRIES_MAX {
            // Full of what is still good: the one that goes first, goes now.
            let first = self.entries.iter().min_by_key(|(_, (expires, _))| *expires).map(|(key, _)| key.clone());
            first.map(|key| self.entries.remove(&key));
        }
        let expires = now + Duration::from_secs(ttl.min(TTL_MAX).into());
        self.entries.insert((name.to_owned(), kind), (expires, known));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_in_time_and_under_pressure() {
        let mut cache = Cache::default();
        let at = |seconds: u64| Instant::from_millis(seconds * 1000);
        cache.put(at(0), "a", RecordKind::A, 10, Known::NoName);
        assert_eq!(cache.get(at(9), "a", RecordKind::A), Some(&Known::NoName));
        assert_eq!(cache.get(at(9), "a", RecordKind::Aaaa), None);
        assert_eq!(cache.get(at(10), "a", RecordKind::A), None);
        for number in 0..3 * ENTRIES_MAX {
            cache.put(at(20), &number.to_string(), RecordKind::A, 50 + number as u32, Known::NoData);
        }
        assert!(cache.entries.len() <= ENTRIES_MAX);
        assert!(cache.get(at(20), &(3 * ENTRIES_MAX - 1).to_string(), RecordKind::A).is_some());
    }
}
