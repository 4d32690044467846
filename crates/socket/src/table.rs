//! A table whose keys go stale instead of naming the wrong entry.
//!
//! The kernel hands back, with each event, a number that was given to it when a descriptor was registered. By then the entry
//! may be gone and its place taken, so a key is a place and the number of times that the place was used.

/// Names an entry, and only that entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The place, dense from 0.
    pub index: u32,
    /// How often the place was used, modulo 2^28: four bits are left for whoever packs a key into 64.
    pub generation: u32,
}

const GENERATIONS: u32 = 1 << 28;

/// The table.
#[derive(Debug)]
pub struct Table<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table::new()
    }
}

impl<T> Table<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Table { places: Vec::new(), free: Vec::new() }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Adds what `make` makes of its key.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            // A place is a descriptor; there are never 2^32 of those.
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        let key = Key { index, generation: place.0 };
        place.1 = Some(make(key));
        key
    }

    /// How many places there are, taken and free.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// The key of the entry at a place, if one stands there.
    pub fn key_at(&self, index: u32) -> Option<Key> {
        let (generation, entry) = self.places.get(index as usize)?;
        entry.as_ref().map(|_| Key { index, generation: *generation })
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry, unless it is gone.
    pub fn get(&self, key: Key) -> Option<&T> {
        let (generation, entry) = self.places.get(key.index as usize)?;
        entry.as_ref().filter(|_| *generation == key.generation)
    }

    /// The entry, unless it is gone.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (generation, entry) = self.places.get_mut(key.index as usize)?;
        entry.as_mut().filter(|_| *generation == key.generation)
    }

    /// Takes the entry out; its key names nothing from now on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let (generation, entry) = self.places.get_mut(key.index as usize)?;
        if *generation != key.generation {
            return None;
        }
        let entry = entry.take()?;
        *generation = (*generation + 1) % GENERATIONS;
        self.free.push(key.index);
        Some(entry)
    }

    /// All entries, by place.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().enumerate().filter_map(|(index, (generation, entry))| {
            entry.as_ref().map(|entry| (Key { index: index as u32, generation: *generation }, entry))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_name_the_next_tenant() {
        let mut table = Table::new();
        let first = table.insert_with(|_| 'a');
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert_with(|_| 'b');
        assert_eq!(first.index, second.index);
        assert_eq!((table.get(first), table.get(second)), (None, Some(&'b')));
        assert_eq!(table.remove(first), None);
        assert_eq!(table.len(), 1);
    }
}
