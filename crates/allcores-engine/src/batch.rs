//! A batch as the scheduler sees it: who it is and how heavy, never what is in it.

use std::time::Duration;

use crate::ids::{BatchId, FnId, Instance};

/// Some items of a batch, by their positions in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Items {
    /// The first.
    pub start: u32,
    /// After the last.
    pub stop: u32,
}

impl Items {
    /// All of a batch that holds so many.
    pub const fn all(count: u32) -> Self {
        Self { start: 0, stop: count }
    }

    /// The one at a position.
    pub const fn one(position: u32) -> Self {
        Self { start: position, stop: position + 1 }
    }

    /// How many.
    pub const fn len(self) -> u32 {
        self.stop - self.start
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.start >= self.stop
    }

    /// Whether that position is one of them.
    pub const fn contains(self, position: u32) -> bool {
        self.start <= position && position < self.stop
    }
}

/// What some items of a batch have cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How long the worker was busy.
    pub busy: Duration,
    /// The size of the answer.
    pub bytes: u64,
}

impl Cost {
    /// Time alone.
    pub const fn of_time(busy: Duration) -> Self {
        Self { busy, bytes: 0 }
    }
}

/// One message to a worker: some calls of one function, whose payload the engine never looks into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Unique in the pool's life.
    pub id: BatchId,
    /// The registered function that its items call; `None` if the payload brings its own.
    pub function: Option<FnId>,
    /// How many items it holds; durations are learned per item.
    pub count: u32,
    /// The payload's size.
    pub bytes: u64,
    /// [`Instance::FIRST`] when it is submitted; the scheduler counts on from there.
    pub instance: Instance,
    /// How often an item of it is run again whose worker has died.
    pub retries: u32,
    /// Whether that also holds for an item whose limit has passed.
    pub retry_timeouts: bool,
}
