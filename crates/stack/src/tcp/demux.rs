//! Which connection a segment belongs to.
//!
//! One keyed hash table for the three sizes in which a connection lives: half-open, whole, and in TIME-WAIT. It stores
//! the addresses and an index. The key is secret, so a peer cannot aim many connections at one bucket, and the cost of a
//! lookup does not grow with the number of connections. Before it stand the [predictions](super::prediction), which end when
//! what they predict does.

use super::prediction::Predictions;
use crate::hash;
use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

/// The two ends of a connection, ours first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

impl Flow {
    /// As the other end sees it.
    pub fn reversed(self) -> Flow {
        Flow { local: self.remote, remote: self.local }
    }
}

/// What stands at the end of a flow: an index into one of four tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Connection(u32),
    HalfOpen(u32),
    TimeWait(u32),
    Joined(u32),
}

#[derive(Clone, Copy)]
struct Entry {
    flow: Flow,
    endpoint: Endpoint,
}

/// The table.
pub(crate) struct Demux {
    key: Key,
    table: HashTable<Entry>,
    pub(super) predictions: Predictions,
}

impl Demux {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Demux {
            key: Key { bytes: key, words: hash::words(key) },
            table: HashTable::new(),
            predictions: Predictions::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// What a segment of `flow` is for.
    pub(crate) fn find(&self, flow: &Flow) -> Option<Endpoint> {
        self.table.find(self.key.hash(flow), |entry| entry.flow == *flow).map(|entry| entry.endpoint)
    }

    /// Puts `endpoint` at the end of `flow`, in the place of what stood there.
    pub(crate) fn insert(&mut self, flow: Flow, endpoint: Endpoint) {
        self.predictions.forget(flow.local.port(), flow.remote.port());
        let key = &self.key;
        let hashed = key.hash(&flow);
        match self.table.entry(hashed, |entry| entry.flow == flow, |entry| key.hash(&entry.flow)) {
            hashbrown::hash_table::Entry::Occupied(mut entry) => entry.get_mut().endpoint = endpoint,
            hashbrown::hash_table::Entry::Vacant(entry) => {
                entry.insert(Entry { flow, endpoint });
            }
        }
    }

    /// Removes `flow` if `endpoint` still stands there.
    pub(crate) fn remove(&mut self, flow: &Flow, endpoint: Endpoint) {
        self.predictions.forget(flow.local.port(), flow.remote.port());
        let hashed = self.key.hash(flow);
        if let Ok(entry) = self.table.find_entry(hashed, |entry| entry.flow == *flow && entry.endpoint == endpoint) {
            entry.remove();
        }
    }
}

/// The key, in the two forms in which it is wanted.
struct Key {
    bytes: [u8; 16],
    words: [u64; 2],
}

impl Key {
    /// The two addresses and ports of IPv4 are twelve bytes, which are hashed in one go; others field by field.
    #[inline]
    fn hash(&self, flow: &Flow) -> u64 {
        match (flow.local, flow.remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => {
                let addresses = u64::from(local.ip().to_bits()) << 32 | u64::from(remote.ip().to_bits());
                let ports = u32::from(local.port()) << 16 | u32::from(remote.port());
                hash::of_twelve(&self.words, addresses, ports)
            }
            _ => {
                let mut hasher = SipHasher13::new_with_key(&self.bytes);
                flow.hash(&mut hasher);
                hasher.finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(port: u16) -> Flow {
        let address = |last, port| SocketAddr::from(([10, 0, 0, last], port));
        Flow { local: address(1, 80), remote: address(2, port) }
    }

    #[test]
    fn an_endpoint_is_replaced_and_only_its_own_removal_counts() {
        let mut demux = Demux::new([7; 16]);
        demux.insert(flow(1), Endpoint::HalfOpen(4));
        demux.insert(flow(1), Endpoint::Connection(9));
        demux.remove(&flow(1), Endpoint::HalfOpen(4));
        assert_eq!((demux.find(&flow(1)), demux.find(&flow(2))), (Some(Endpoint::Connection(9)), None));
        demux.remove(&flow(1), Endpoint::Connection(9));
        assert_eq!((demux.find(&flow(1)), demux.len()), (None, 0));
    }
}
