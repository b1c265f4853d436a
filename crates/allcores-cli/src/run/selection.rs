//! Which records of the input are run, and where each that is on its way came from.
//!
//! An *index* counts the records of the input from 0, a *position* the items handed out, a *line*
//! the lines of the file from 1. They part where a run goes on, retries, or meets empty lines.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which records are wanted.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// From this index on.
    From(u64),
    /// These, in ascending order.
    Only(Vec<u64>),
    /// All but these.
    Except(HashSet<u64>),
}

/// Where an item came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: u64,
    /// 0 where there are no lines.
    pub(crate) line: u64,
}

/// What feeding knows and writing needs.
#[derive(Debug, Default)]
pub(crate) struct Underway {
    places: HashMap<u64, Place>,
    /// Bytes of the input that were looked at.
    pub(crate) read: u64,
    /// Bytes before the end of the first record that was wanted.
    pub(crate) read_before: u64,
    /// Why reading ended early.
    pub(crate) trouble: Option<io::Error>,
}

impl Underway {
    /// Where the item at `position`, which has ended, came from.
    pub(crate) fn ended(&mut self, position: u64) -> Option<Place> {
        self.places.remove(&position)
    }

    /// Where the items that have not ended came from, in the order of the input.
    pub(crate) fn left(&mut self) -> Vec<Place> {
        let mut left: Vec<Place> = self.places.drain().map(|(_, place)| place).collect();
        left.sort_unstable_by_key(|place| place.index);
        left
    }
}

/// `Underway` for two: the feed and the sink.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Underway>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Underway> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do with the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run it; its position.
    Take(u64),
    /// Leave it out.
    Skip,
    /// No more records are wanted.
    Stop,
}

/// Goes through the records of the input.
#[derive(Debug)]
pub struct Selector {
    selection: Selection,
    limit: Option<u64>,
    index: u64,
    position: u64,
    /// Of `Only`, how many were found.
    found: usize,
    shared: Shared,
}

impl Selector {
    pub(crate) fn new(selection: Selection, limit: Option<u64>, shared: Shared) -> Selector {
        Selector { selection, limit, index: 0, position: 0, found: 0, shared }
    }

    /// Whether another record is wanted at all.
    pub fn is_done(&self) -> bool {
        let over = match &self.selection {
            Selection::Only(wanted) => self.found == wanted.len(),
            _ => false,
        };
        over || self.limit.is_some_and(|limit| self.index >= limit)
    }

    /// What to do with the next record, which ends at `line` after `read` bytes.
    pub fn judge(&mut self, line: u64, read: u64) -> Step {
        if self.is_done() {
            return Step::Stop;
        }
        let index = self.index;
        self.index += 1;
        let is_wanted = match &self.selection {
            Selection::From(first) => index >= *first,
            Selection::Only(wanted) => wanted.get(self.found) == Some(&index),
            Selection::Except(done) => !done.contains(&index),
        };
        if !is_wanted {
            return Step::Skip;
        }
        self.found += 1;
        let position = self.position;
        self.position += 1;
        let mut shared = self.shared.lock();
        shared.places.insert(position, Place { index, line });
        shared.read = read;
        if position == 0 {
            shared.read_before = read;
        }
        Step::Take(position)
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Selection, Selector, Shared, Step};

    fn taken(selection: Selection, limit: Option<u64>) -> Vec<u64> {
        let shared = Shared::default();
        let mut selector = Selector::new(selection, limit, shared.clone());
        let mut indices = Vec::new();
        for line in 1..=6 {
            if let Step::Take(position) = selector.judge(line, 0) {
                let place = shared.lock().ended(position);
                assert_eq!(place, Some(Place { index: line - 1, line }));
                indices.push(line - 1);
            }
        }
        indices
    }

    #[test]
    fn selections_take_what_they_say_up_to_the_limit() {
        assert_eq!(taken(Selection::From(2), None), [2, 3, 4, 5]);
        assert_eq!(taken(Selection::From(2), Some(4)), [2, 3]);
        assert_eq!(taken(Selection::Only(vec![0, 4]), None), [0, 4]);
        assert_eq!(taken(Selection::Except([1, 2].into()), None), [0, 3, 4, 5]);
    }
}
