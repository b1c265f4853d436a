//! Values by batch id, in pages that are given back.
//!
//! Ids are issued in sequence and end in nearly that order, so neighbours share a page: a table of a
//! million batches has no empty places, and when they have ended it has no memory. A hash table
//! would be half empty at its worst, and never shrink.

use crate::ids::{BatchId, IdMap};

const PAGE: u64 = 32;

struct Page<V> {
    values: [Option<V>; PAGE as usize],
    used: u32,
}

/// A value for each of some batches.
pub(crate) struct BatchTable<V> {
    pages: IdMap<u64, Box<Page<V>>>,
    len: usize,
}

impl<V> Default for BatchTable<V> {
    fn default() -> Self {
        Self { pages: IdMap::default(), len: 0 }
    }
}

impl<V> std::fmt::Debug for BatchTable<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BatchTable({} batches)", self.len)
    }
}

impl<V> BatchTable<V> {
    /// How many batches have a value.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether no batch has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of `batch`.
    pub(crate) fn get(&self, batch: BatchId) -> Option<&V> {
        let (page, at) = place(batch);
        self.pages.get(&page)?.values[at].as_ref()
    }

    /// The value of `batch`, to be changed.
    pub(crate) fn get_mut(&mut self, batch: BatchId) -> Option<&mut V> {
        let (page, at) = place(batch);
        self.pages.get_mut(&page)?.values[at].as_mut()
    }

    /// Whether `batch` has a value.
    pub(crate) fn contains(&self, batch: BatchId) -> bool {
        self.get(batch).is_some()
    }

    /// Gives `batch` a value; the one it had before.
    pub(crate) fn insert(&mut self, batch: BatchId, value: V) -> Option<V> {
        let (page, at) = place(batch);
        let page = self
            .pages
            .entry(page)
            .or_insert_with(|| Box::new(Page { values: std::array::from_fn(|_| None), used: 0 }));
        let before = page.values[at].replace(value);
        if before.is_none() {
            page.used += 1;
            self.len += 1;
        }
        before
    }

    /// Takes the value of `batch`.
    pub(crate) fn remove(&mut self, batch: BatchId) -> Option<V> {
        let (number, at) = place(batch);
        let page = self.pages.get_mut(&number)?;
        let value = page.values[at].take()?;
        page.used -= 1;
        self.len -= 1;
        if page.used == 0 {
            self.pages.remove(&number);
            if self.pages.is_empty() {
                self.pages.shrink_to(16);
            }
        }
        Some(value)
    }

    /// All values, in no order, taken out.
    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.pages.into_values().flat_map(|page| page.values.into_iter().flatten())
    }

    /// All values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.pages.values().flat_map(|page| page.values.iter().flatten())
    }
}

fn place(batch: BatchId) -> (u64, usize) {
    (batch.0 / PAGE, (batch.0 % PAGE) as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0_u64..200, any::<bool>()), 1..500)) {
            let mut table = BatchTable::default();
            let mut map = HashMap::new();
            for (step, (key, inserts)) in steps.into_iter().enumerate() {
                let batch = BatchId(key);
                if inserts {
                    prop_assert_eq!(table.insert(batch, step), map.insert(key, step));
                } else {
                    prop_assert_eq!(table.remove(batch), map.remove(&key));
                }
                prop_assert_eq!(table.get(batch), map.get(&key));
                prop_assert_eq!(table.len(), map.len());
                prop_assert_eq!(table.is_empty(), map.is_empty());
            }
            let mut values: Vec<_> = table.values().copied().collect();
            let mut expected: Vec<_> = map.values().copied().collect();
            values.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(values, expected);
        }
    }

    #[test]
    fn empty_pages_are_given_back() {
        let mut table = BatchTable::default();
        for key in 0..10_000 {
            table.insert(BatchId(key), key);
        }
        for key in (0..10_000).filter(|key| key % 7 != 0 || *key < 9_000) {
            table.remove(BatchId(key));
        }
        assert_eq!(table.pages.len(), 32);
    }
}
