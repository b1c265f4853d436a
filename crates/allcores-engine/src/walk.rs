//! The items of a careful batch, step by step.
//!
//! Before an item starts its position and the time are marked, where the parent can read them;
//! when results have been held back for long enough, a *part* is due and no item starts until
//! it was handed over. So after a death the parent knows what ran, and only what took a few
//! microseconds has to be done again.
//!
//! The time is read once an item: a slow item is noticed right after it, and so no result of
//! one is ever held back.

use allcores_shm::Marks;
use allcores_shm::primitive::{AtomicU32, AtomicU64, Ordering};

use crate::batch::Items;
use crate::clock;
use crate::ids::Instance;

/// Results may be held back for so long: a part costs about a tenth of that.
const HOLD_NS: u64 = 20_000;

/// Only the worker's own thread moves it; other parts of the process may look on, hence the atomics. They are
/// relaxed: nothing is published by them.
#[derive(Debug)]
pub struct Walk {
    instance: Instance,
    items: Items,
    marks: Option<Marks>,
    /// The item that starts next.
    next: AtomicU32,
    /// Where the results begin that were not handed over.
    flushed: AtomicU32,
    /// When the first of them was begun.
    held_since_ns: AtomicU64,
}

impl Walk {
    pub(crate) fn new(instance: Instance, items: Items, marks: Option<Marks>) -> Walk {
        Walk {
            instance,
            items,
            marks,
            next: AtomicU32::new(items.start),
            flushed: AtomicU32::new(items.start),
            held_since_ns: AtomicU64::new(0),
        }
    }

    /// Starts the next item: its position. `None`: a part is due, or there are no more.
    #[inline]
    pub fn step(&self) -> Option<u32> {
        let next = self.next.load(Ordering::Relaxed);
        if next >= self.items.stop {
            return None;
        }
        let now = clock::now_ns();
        if next == self.flushed.load(Ordering::Relaxed) {
            self.held_since_ns.store(now, Ordering::Relaxed);
        } else if self.is_due(now) {
            return None;
        }
        if let Some(marks) = &self.marks {
            marks.at(self.instance.0, next, now);
        }
        self.next.store(next + 1, Ordering::Relaxed);
        Some(next)
    }

    fn is_due(&self, now: u64) -> bool {
        // Without marks the part is what says that the next item starts.
        self.marks.is_none()
            || now.saturating_sub(self.held_since_ns.load(Ordering::Relaxed)) >= HOLD_NS
    }

    /// The items to run.
    pub fn items(&self) -> Items {
        self.items
    }

    /// The item that was started last.
    pub fn position(&self) -> Option<u32> {
        let next = self.next.load(Ordering::Relaxed);
        (next > self.items.start).then(|| next.min(self.items.stop) - 1)
    }

    /// Whether no item is left to be started.
    pub fn is_over(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.items.stop
    }

    /// The position after the results that were not handed over, if there are any.
    pub(crate) fn unflushed(&self) -> Option<u32> {
        let next = self.next.load(Ordering::Relaxed);
        (next > self.flushed.load(Ordering::Relaxed)).then_some(next)
    }

    pub(crate) fn flushed(&self, stop: u32) {
        self.flushed.store(stop, Ordering::Relaxed);
    }

    /// The batch was answered: no item of it starts any more.
    pub(crate) fn end(&self) {
        self.next.store(u32::MAX, Ordering::Relaxed);
    }
}
