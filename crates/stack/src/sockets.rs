//! What every kind of socket without connections has: a table of them, the owners to be told that something has changed, those who
//! wait for room towards a device, and the places where packets find a socket.
//!
//! An owner is told once, and again only after it has looked: what is told is a socket's handle, so that what waits to be told is never
//! more than there are sockets.

use crate::hash::Keyed;
use crate::slab::{Handle, Slab};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::hash::Hash;

#[derive(Debug)]
struct Entry<S> {
    socket: S,
    /// Its owner is to be told, and has not been yet.
    told: bool,
    /// It waits for room.
    blocked: bool,
}

/// Sockets by handle.
#[derive(Debug)]
pub(crate) struct Sockets<H, S> {
    table: Slab<Entry<S>>,
    events: VecDeque<H>,
    blocked: Vec<H>,
}

impl<H, S> Default for Sockets<H, S> {
    fn default() -> Self {
        Sockets { table: Slab::default(), events: VecDeque::new(), blocked: Vec::new() }
    }
}

impl<H: Handle, S> Sockets<H, S> {
    pub(crate) fn insert(&mut self, socket: S) -> H {
        self.table.insert(Entry { socket, told: false, blocked: false })
    }

    pub(crate) fn remove(&mut self, id: H) -> Option<S> {
        self.table.get(id)?;
        self.table.remove(id.index()).map(|entry| entry.socket)
    }

    pub(crate) fn get(&self, id: H) -> Option<&S> {
        self.table.get(id).map(|entry| &entry.socket)
    }

    pub(crate) fn get_mut(&mut self, id: H) -> Option<&mut S> {
        self.table.get_mut(id).map(|entry| &mut entry.socket)
    }

    /// The socket at an index from a table of the caller's own.
    pub(crate) fn at(&self, index: u32) -> Option<&S> {
        self.table.at(index as usize).map(|entry| &entry.socket)
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut S> {
        self.table.at_mut(index as usize).map(|entry| &mut entry.socket)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (H, &S)> {
        self.table.iter().map(|(index, entry)| (self.table.handle(index), &entry.socket))
    }

    /// Tells the owner of a socket that something has changed.
    pub(crate) fn notify(&mut self, id: H) {
        if let Some(entry) = self.table.get_mut(id)
            && !std::mem::replace(&mut entry.told, true)
        {
            self.events.push_back(id);
        }
    }

    /// The same by index.
    pub(crate) fn notify_at(&mut self, index: u32) {
        self.notify(self.table.handle(index as usize));
    }

    /// There was no room for what the socket wanted to send: its owner is told when there is.
    pub(crate) fn block(&mut self, id: H) {
        if let Some(entry) = self.table.get_mut(id)
            && !std::mem::replace(&mut entry.blocked, true)
        {
            self.blocked.push(id);
        }
    }

    pub(crate) fn is_blocked(&self, id: H) -> bool {
        self.table.get(id).is_some_and(|entry| entry.blocked)
    }

    /// There is room: whoever was refused may try again.
    pub(crate) fn handle_room(&mut self) {
        for at in 0..self.blocked.len() {
            let id = self.blocked[at];
            if let Some(entry) = self.table.get_mut(id) {
                entry.blocked = false;
                self.notify(id);
            }
        }
        self.blocked.clear();
    }

    /// The next socket whose owner is to look at it.
    pub(crate) fn poll_event(&mut self) -> Option<H> {
        while let Some(id) = self.events.pop_front() {
            if let Some(entry) = self.table.get_mut(id) {
                entry.told = false;
                return Some(id);
            }
        }
        None
    }
}

/// Indices of sockets by what finds them, in the order in which they came; several may share a place.
#[derive(Debug)]
pub(crate) struct Places<K>(HashMap<K, Vec<u32>, Keyed>);

impl<K: Eq + Hash> Places<K> {
    pub(crate) fn new(hasher: Keyed) -> Self {
        Places(HashMap::with_hasher(hasher))
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn insert(&mut self, key: K, index: u32) {
        self.0.entry(key).or_default().push(index);
    }

    pub(crate) fn remove(&mut self, key: &K, index: u32) {
        if let Some(found) = self.0.get_mut(key) {
            found.retain(|&other| other != index);
            if found.is_empty() {
                self.0.remove(key);
            }
        }
    }

    /// The same, where those who stand there are known by their number: the last one takes the place.
    pub(crate) fn remove_numbered(&mut self, key: &K, index: u32) {
        if let Some(found) = self.0.get_mut(key)
            && let Some(place) = found.iter().position(|&other| other == index)
        {
            found.swap_remove(place);
        }
        self.remove(key, index);
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Who stands there: nobody, or some.
    #[inline]
    pub(crate) fn find(&self, key: &K) -> &[u32] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Takes those who stand there out for a while, to be [given back](Self::give_back) before anything else is asked.
    pub(crate) fn lend(&mut self, key: &K) -> Option<Vec<u32>> {
        self.0.get_mut(key).map(std::mem::take)
    }

    pub(crate) fn give_back(&mut self, key: &K, lent: Vec<u32>) {
        if let Some(place) = self.0.get_mut(key) {
            *place = lent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::SocketId as Id;

    #[test]
    fn an_owner_is_told_once_until_it_looks() {
        let mut sockets = Sockets::<Id, &str>::default();
        let id = sockets.insert("one");
        sockets.notify(id);
        sockets.notify_at(id.index() as u32);
        assert_eq!(sockets.poll_event(), Some(id));
        assert_eq!(sockets.poll_event(), None);
        sockets.notify(id);
        assert_eq!(sockets.poll_event(), Some(id));
    }

    #[test]
    fn who_is_gone_is_not_spoken_of() {
        let mut sockets = Sockets::<Id, &str>::default();
        let old = sockets.insert("old");
        sockets.notify(old);
        sockets.block(old);
        assert_eq!(sockets.remove(old), Some("old"));
        assert_eq!(sockets.remove(old), None);
        let new = sockets.insert("new");
        assert_eq!(new.index(), old.index(), "the place is used again");
        sockets.handle_room();
        assert_eq!(sockets.poll_event(), None);
        assert_eq!((sockets.get(old), sockets.get(new)), (None, Some(&"new")));
    }

    #[test]
    fn who_found_no_room_is_told_when_there_is() {
        let mut sockets = Sockets::<Id, &str>::default();
        let id = sockets.insert("one");
        sockets.block(id);
        sockets.block(id);
        assert!(sockets.is_blocked(id));
        sockets.handle_room();
        assert!(!sockets.is_blocked(id));
        assert_eq!(sockets.poll_event(), Some(id));
        assert_eq!(sockets.poll_event(), None);
    }
}
