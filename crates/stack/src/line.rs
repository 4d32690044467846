//! A queue that mostly has one element at most.
//!
//! The first stands in place: no memory is allocated for it, and no index goes round. An idle connection then holds nothing
//! for its queues, and one that sends a request and reads the answer never needs a second element. What stands behind the
//! first is a [`VecDeque`]; it is empty when there is no first.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

/// The queue; its methods are those of [`VecDeque`].
#[derive(Debug)]
pub(crate) struct Line<T> {
    first: Option<T>,
    more: VecDeque<T>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Line { first: None, more: VecDeque::new() }
    }
}

impl<T> Line<T> {
    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    #[inline]
    pub(crate) fn front_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut()
    }

    #[inline]
    pub(crate) fn back_mut(&mut self) -> Option<&mut T> {
        if self.more.is_empty() { self.first.as_mut() } else { self.more.back_mut() }
    }

    #[inline]
    pub(crate) fn push_back(&mut self, value: T) {
        if self.first.is_none() {
            self.first = Some(value);
        } else {
            self.more.push_back(value);
        }
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let value = self.first.take();
        if !self.more.is_empty() {
            self.first = self.more.pop_front();
        }
        value
    }

    pub(crate) fn pop_back(&mut self) -> Option<T> {
        self.more.pop_back().or_else(|| self.first.take())
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        match index.checked_sub(1) {
            None => self.first.as_ref(),
            Some(index) => self.more.get(index),
        }
    }

    /// Inserts `value` before the element at `index`, or behind the last.
    pub(crate) fn insert(&mut self, index: usize, value: T) {
        match (index.checked_sub(1), &mut self.first) {
            (Some(index), Some(_)) => self.more.insert(index, value),
            (_, first) => {
                if let Some(second) = first.replace(value) {
                    self.more.push_front(second);
                }
            }
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.more)
    }

    /// The elements from the one at `index` on.
    pub(crate) fn tail(&self, index: usize) -> impl Iterator<Item = &T> {
        let behind = index.saturating_sub(1).min(self.more.len());
        self.first.iter().filter(move |_| index == 0).chain(self.more.range(behind..))
    }

    /// The same, to be changed.
    pub(crate) fn tail_mut(&mut self, index: usize) -> impl Iterator<Item = &mut T> {
        let behind = index.saturating_sub(1).min(self.more.len());
        self.first.iter_mut().filter(move |_| index == 0).chain(self.more.range_mut(behind..))
    }

    /// How many elements, of a queue in which they stand before the others, hold to `before`.
    pub(crate) fn partition_point(&self, mut before: impl FnMut(&T) -> bool) -> usize {
        match &self.first {
            Some(first) if before(first) => 1 + self.more.partition_point(before),
            _ => 0,
        }
    }
}

impl<T> Index<usize> for Line<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        match (index, &self.first) {
            (0, Some(first)) => first,
            _ => &self.more[index.wrapping_sub(1)],
        }
    }
}

impl<T> IndexMut<usize> for Line<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        match (index, &mut self.first) {
            (0, Some(first)) => first,
            _ => &mut self.more[index.wrapping_sub(1)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against what it stands for.
        #[test]
        fn is_a_deque(operations in prop::collection::vec((0u8..6, 0usize..8), 1..60)) {
            let (mut line, mut model) = (Line::default(), VecDeque::new());
            for (step, (operation, place)) in operations.into_iter().enumerate() {
                match operation {
                    0 | 1 => { line.push_back(step); model.push_back(step); }
                    2 => prop_assert_eq!(line.pop_front(), model.pop_front()),
                    3 => prop_assert_eq!(line.pop_back(), model.pop_back()),
                    4 if place <= model.len() => { line.insert(place, step); model.insert(place, step); }
                    _ => if let Some(value) = model.get_mut(place) { line[place] = step; *value = step },
                }
                prop_assert_eq!((line.len(), line.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(line.iter_mut().eq(&mut model) && line.iter_mut().rev().eq(model.iter_mut().rev()));
                prop_assert_eq!((line.front(), line.get(place)), (model.front(), model.get(place)));
                prop_assert_eq!(line.front_mut(), model.front_mut());
                prop_assert_eq!(line.back_mut(), model.back_mut());
                if model.iter().is_sorted() {
                    prop_assert_eq!(line.partition_point(|&value| value < place), model.partition_point(|&value| value < place));
                }
                let from = place.min(model.len());
                prop_assert!(line.tail(from).eq(model.range(from..)));
                prop_assert!(line.tail_mut(from).eq(model.range_mut(from..)));
                if let Some(value) = model.get(place) { prop_assert_eq!(line[place], *value); }
            }
        }
    }
}
