//! How long an item of a function takes, learned from what came back.
//!
//! A measurement is the median of the last three (so one outlier, a first import say, changes
//! nothing), and the estimate moves half of the way to it, *in ratio*: durations span seven
//! decades, and a mean in seconds would need a hundred answers to come down from a slow start.
//! Before the first answer a batch counts as [`UNKNOWN_NANOS`].

use std::time::Duration;

use crate::ids::{FnId, IdMap};

/// What an unmeasured batch counts for: as much as a worker may hold, so that only one is sent
/// ahead.
pub(super) const UNKNOWN_NANOS: u64 = super::TARGET_QUEUE_NANOS;

/// Longer batches count as an hour, so that sums can't overflow.
const LONGEST_NANOS: f64 = 3.6e12;

/// What was learned about one function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    recent: [f64; 3],
    seen: u64,
    per_item: f64,
    largest: u32,
}

impl Estimate {
    fn first(nanos: f64, count: u32) -> Self {
        Self { recent: [nanos; 3], seen: 1, per_item: nanos, largest: count }
    }

    fn learn(&mut self, nanos: f64, count: u32) {
        self.recent[(self.seen % 3) as usize] = nanos;
        self.seen += 1;
        self.largest = self.largest.max(count);
        let [a, b, c] = self.recent;
        if self.seen == 2 {
            // Of two the smaller: what a first call pays for, later ones don't.
            self.per_item = a.min(b);
            return;
        }
        let median = a.min(b).max(a.max(b).min(c));
        self.per_item = (self.per_item * median).sqrt();
    }

    /// Nanoseconds per item.
    pub(super) fn per_item(&self) -> f64 {
        self.per_item
    }

    /// The most items that one finished batch has held.
    pub(super) fn largest(&self) -> u32 {
        self.largest
    }
}

/// The estimates of all functions; batches without one share a slot.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    plain: Option<Estimate>,
    of: IdMap<FnId, Estimate>,
}

impl Estimates {
    pub(super) fn get(&self, function: Option<FnId>) -> Option<&Estimate> {
        match function {
            None => self.plain.as_ref(),
            Some(function) => self.of.get(&function),
        }
    }

    /// How long a batch will take.
    pub(super) fn nanos(&self, function: Option<FnId>, count: u32) -> u64 {
        match self.get(function) {
            None => UNKNOWN_NANOS,
            Some(known) => (known.per_item * f64::from(count.max(1))).min(LONGEST_NANOS) as u64,
        }
    }

    /// A batch of `count` items took `busy`.
    pub(super) fn learn(&mut self, function: Option<FnId>, count: u32, busy: Duration) {
        let count = count.max(1);
        let nanos = (busy.as_nanos() as f64 / f64::from(count)).clamp(1.0, LONGEST_NANOS);
        let slot = match function {
            None => &mut self.plain,
            Some(function) => match self.of.get_mut(&function) {
                Some(known) => return known.learn(nanos, count),
                None => {
                    self.of.insert(function, Estimate::first(nanos, count));
                    return;
                }
            },
        };
        match slot {
            Some(known) => known.learn(nanos, count),
            None => *slot = Some(Estimate::first(nanos, count)),
        }
    }

    pub(super) fn forget(&mut self, function: FnId) {
        self.of.remove(&function);
    }
}
