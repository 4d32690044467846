//! A table of what has an owner outside: dense indices for speed, generations so that a stale handle is noticed.

/// What a handle needs to be: a dense index, and the generation of whoever stands there.
pub(crate) trait Handle: Copy {
    fn new(index: u32, generation: u32) -> Self;
    fn index(self) -> usize;
    fn generation(self) -> u32;
}

/// A handle of its own name for each kind of value, so that they are not mixed up.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name {
            index: u32,
            generation: u32,
        }

        impl $name {
            /// A dense index: small, and used again after the end.
            pub fn index(self) -> usize {
                self.index as usize
            }
        }

        impl $crate::slab::Handle for $name {
            fn new(index: u32, generation: u32) -> Self {
                $name { index, generation }
            }
            fn index(self) -> usize {
                self.index as usize
            }
            fn generation(self) -> u32 {
                self.generation
            }
        }
    };
}
pub(crate) use handle;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Values by handle.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { slots: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert<H: Handle>(&mut self, value: T) -> H {
        self.len += 1;
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            return H::new(index, slot.generation);
        }
        self.slots.push(Slot { generation: 0, value: Some(value) });
        H::new((self.slots.len() - 1) as u32, 0)
    }

    pub(crate) fn remove(&mut self, index: usize) -> Option<T> {
        let slot = self.slots.get_mut(index)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index as u32);
        self.len -= 1;
        Some(value)
    }

    pub(crate) fn get<H: Handle>(&self, handle: H) -> Option<&T> {
        let slot = self.slots.get(handle.index())?;
        if slot.generation == handle.generation() { slot.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut<H: Handle>(&mut self, handle: H) -> Option<&mut T> {
        let slot = self.slots.get_mut(handle.index())?;
        if slot.generation == handle.generation() { slot.value.as_mut() } else { None }
    }

    /// The value at an index that the caller got from a table of its own (demultiplexer, timer), with its handle.
    pub(crate) fn at(&self, index: usize) -> Option<&T> {
        self.slots.get(index)?.value.as_ref()
    }

    pub(crate) fn at_mut(&mut self, index: usize) -> Option<&mut T> {
        self.slots.get_mut(index)?.value.as_mut()
    }

    pub(crate) fn handle<H: Handle>(&self, index: usize) -> H {
        H::new(index as u32, self.slots.get(index).map_or(0, |slot| slot.generation))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.value.as_ref()?)))
    }
}
