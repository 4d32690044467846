//! Which connection a segment belongs to.
//!
//! One keyed hash table for the three sizes in which a connection lives: half-open, whole, and in TIME-WAIT. It stores
//! indices only, also for the connections within the host; the addresses stand with the connection. The key is secret, so a peer cannot aim many connections at
//! one bucket, and the cost of a lookup does not grow with the number of connections.

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Connection(u32),
    HalfOpen(u32),
    TimeWait(u32),
    Joined(u32),
}

struct Entry {
    flow: Flow,
    endpoint: Endpoint,
}

/// The table.
pub(crate) struct Demux {
    key: [u8; 16],
    table: HashTable<Entry>,
}

impl Demux {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Demux { key, table: HashTable::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn find(&self, flow: &Flow) -> Option<Endpoint> {
        self.table.find(hash(&self.key, flow), |entry| entry.flow == *flow).map(|entry| entry.endpoint)
    }

    /// Puts `endpoint` at the end of `flow`, in the place of what stood there.
    pub(crate) fn insert(&mut self, flow: Flow, endpoint: Endpoint) {
        let key = &self.key;
        let hashed = hash(key, &flow);
        match self.table.entry(hashed, |entry| entry.flow == flow, |entry| hash(key, &entry.flow)) {
            hashbrown::hash_table::Entry::Occupied(mut entry) => entry.get_mut().endpoint = endpoint,
            hashbrown::hash_table::Entry::Vacant(entry) => {
                entry.insert(Entry { flow, endpoint });
            }
        }
    }

    /// Removes `flow` if `endpoint` still stands there.
    pub(crate) fn remove(&mut self, flow: &Flow, endpoint: Endpoint) {
        let hashed = hash(&self.key, flow);
        if let Ok(entry) = self.table.find_entry(hashed, |entry| entry.flow == *flow && entry.endpoint == endpoint) {
            entry.remove();
        }
    }
}

/// The two addresses and ports in one run of bytes: cheaper to hash than field by field.
fn hash(key: &[u8; 16], flow: &Flow) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    let ports = u32::from(flow.local.port()) << 16 | u32::from(flow.remote.port());
    match (flow.local.ip(), flow.remote.ip()) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            hasher.write_u64(u64::from(local.to_bits()) << 32 | u64::from(remote.to_bits()));
            hasher.write_u32(ports);
        }
        (local, remote) => {
            (local, remote).hash(&mut hasher);
            hasher.write_u32(ports);
        }
    }
    hasher.finish()
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
