//! How long an item of a function takes and how much it moves, learned from what came back.
//!
//! A measurement is the median of the last three (so one outlier, a first import say, changes
//! nothing), and the estimate moves half of the way to it, *in ratio*: durations span seven
//! decades, and a mean in seconds would need a hundred answers to come down from a slow start.
//! Before the first answer a batch counts as [`UNKNOWN_NANOS`].
//!
//! Of sizes the largest counts, and fades: what matters is that a batch does not grow too heavy.

use crate::batch::Cost;
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
    bytes_per_item: f64,
    largest: u32,
}

/// A size that does not come again counts for so much of itself the next time.
const FADING: f64 = 0.75;

impl Estimate {
    fn first(nanos: f64, bytes: f64, count: u32) -> Self {
        Self { recent: [nanos; 3], seen: 1, per_item: nanos, bytes_per_item: bytes, largest: count }
    }

    fn learn(&mut self, nanos: f64, bytes: f64, count: u32) {
        self.bytes_per_item = bytes.max(self.bytes_per_item * FADING);
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

    /// The larger of what an item brings and takes, in bytes.
    pub(super) fn bytes_per_item(&self) -> f64 {
        self.bytes_per_item
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

    /// What a batch of `count` items has cost.
    pub(super) fn learn(&mut self, function: Option<FnId>, count: u32, cost: Cost) {
        let count = count.max(1);
        let nanos = (cost.busy.as_nanos() as f64 / f64::from(count)).clamp(1.0, LONGEST_NANOS);
        let bytes = cost.bytes as f64 / f64::from(count);
        let slot = match function {
            None => &mut self.plain,
            Some(function) => match self.of.get_mut(&function) {
                Some(known) => return known.learn(nanos, bytes, count),
                None => {
                    self.of.insert(function, Estimate::first(nanos, bytes, count));
                    return;
                }
            },
        };
        match slot {
            Some(known) => known.learn(nanos, bytes, count),
            None => *slot = Some(Estimate::first(nanos, bytes, count)),
        }
    }

    pub(super) fn forget(&mut self, function: FnId) {
        self.of.remove(&function);
    }
}
