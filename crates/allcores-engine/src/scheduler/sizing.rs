//! How many items a batch shall hold.
//!
//! A batch costs some microseconds whatever it holds, so it should take long against that; and it
//! should be short against the whole, or the last worker works alone. What is not known is tried:
//! one item, then at most eight times the most that has come back so far, so a wrong guess costs
//! little. Several batches wait for their consumer, so none shall be heavy either: a megabyte
//! takes long against what a batch costs.

use std::fmt;

use super::Scheduler;
use super::estimate::Estimate;
use crate::ids::FnId;

/// A batch should take so long.
const TARGET_BATCH_NANOS: f64 = 4e6;

/// The arguments of a batch, and its results, should be no larger.
const TARGET_BATCH_BYTES: f64 = 1_048_576.0;

/// A batch may be so many times as large as the largest that has come back.
const GROWTH: u32 = 8;

/// No batch is larger, however short its items.
const MOST_ITEMS: u32 = 65_536;

/// A size and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many items; at least one.
    pub items: u32,
    /// What decided it.
    pub why: SizeReason,
}

/// What decided the size of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeReason {
    /// Workers are replaced after a number of batches, and the user counts items.
    WorkersAreRecycled,
    /// No batch of this function has come back yet.
    NothingMeasured,
    /// It takes as long as a batch should.
    TargetDuration,
    /// It is as heavy as a batch should be.
    TargetBytes,
    /// It grows step by step.
    Growing {
        /// The most items that have come back in one batch.
        largest: u32,
    },
    /// The last items are spread over all workers.
    EvenTail {
        /// How many items are left.
        remaining: u64,
    },
    /// No batch is larger.
    Limit,
}

impl fmt::Display for SizeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkersAreRecycled => {
                f.write_str("one item a batch because workers are replaced after a number of them")
            }
            Self::NothingMeasured => {
                f.write_str("one item because no batch of this function has come back yet")
            }
            Self::TargetDuration => f.write_str("as many items as take about 4 ms"),
            Self::TargetBytes => f.write_str("as many items as bring or take about 1 MB"),
            Self::Growing { largest } => {
                write!(f, "growing step by step, the largest batch so far held `{largest}` items")
            }
            Self::EvenTail { remaining } => {
                write!(f, "small enough to spread the last `{remaining}` items over all workers")
            }
            Self::Limit => write!(f, "the limit of `{MOST_ITEMS}` items"),
        }
    }
}

impl Scheduler {
    /// How many items the next batch of a function shall hold, if so many are left.
    pub fn batch_size(&self, function: Option<FnId>, remaining: Option<u64>) -> u32 {
        self.explain_size(function, remaining).items
    }

    /// The same, with its reason.
    pub fn explain_size(&self, function: Option<FnId>, remaining: Option<u64>) -> Size {
        if self.config.max_tasks_per_worker.is_some() {
            return Size { items: 1, why: SizeReason::WorkersAreRecycled };
        }
        let workers = self.config.max_workers.max(1) as u64;
        let Some(known) = self.estimates.get(function) else {
            return Size { items: 1, why: SizeReason::NothingMeasured };
        };
        let size = measured_size(known);
        let Some(remaining) = remaining else { return size };
        let share = remaining.div_ceil(2 * workers).max(1);
        match u32::try_from(share) {
            Ok(items) if items < size.items => {
                Size { items, why: SizeReason::EvenTail { remaining } }
            }
            _ => size,
        }
    }
}

fn measured_size(known: &Estimate) -> Size {
    let largest = known.largest();
    // A cast to an integer saturates, and an item takes at least a nanosecond.
    let lasting = ((TARGET_BATCH_NANOS / known.per_item()) as u32).max(1);
    let weighing = ((TARGET_BATCH_BYTES / known.bytes_per_item()) as u32).max(1);
    let target = lasting.min(weighing);
    let grown = largest.saturating_mul(GROWTH);
    if target.min(grown) > MOST_ITEMS {
        Size { items: MOST_ITEMS, why: SizeReason::Limit }
    } else if target > grown {
        Size { items: grown, why: SizeReason::Growing { largest } }
    } else if weighing < lasting {
        Size { items: target, why: SizeReason::TargetBytes }
    } else {
        Size { items: target, why: SizeReason::TargetDuration }
    }
}
