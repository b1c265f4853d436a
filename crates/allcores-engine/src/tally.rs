//! How many of somebody's batches are under way, and a place to wait until few are.
//!
//! Who feeds a pool with more than it should hold at a time counts what it gives: each slot is
//! entered ([`crate::Slot::count_in`]) and leaves when it is done, in whatever order the batches end.
//! So the feeder sleeps while enough is under way, and no single batch, however long, keeps it from
//! noticing that the others have ended.

use std::time::Duration;

use allcores_shm::primitive::{Condvar, Mutex, MutexGuard};

use crate::clock;
use crate::slot::Slot;

#[derive(Debug, Default)]
struct Inner {
    under_way: usize,
    waiters: usize,
    /// Somebody waits until fewer than this are under way; 0 if nobody waits.
    awaited: usize,
    /// How many of the waiters want to hear of each end.
    listeners: usize,
}

/// A count of batches that are under way.
#[derive(Debug, Default)]
pub struct Tally {
    inner: Mutex<Inner>,
    few: Condvar,
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds a tally")
    }

    /// One more is under way.
    pub(crate) fn enter(&self) {
        self.lock().under_way += 1;
    }

    /// One of them has ended.
    pub(crate) fn leave(&self) {
        let mut inner = self.lock();
        inner.under_way = inner.under_way.saturating_sub(1);
        let is_awaited = inner.under_way < inner.awaited || inner.listeners > 0;
        drop(inner);
        if is_awaited {
            self.few.notify_all();
        }
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.lock().under_way
    }

    /// Waits until fewer than `few` are under way or `timeout` has passed; whether so few are.
    pub fn wait_below(&self, few: usize, timeout: Option<Duration>) -> bool {
        self.wait_until(few, timeout, |inner| inner.under_way < few)
    }

    /// The same, or until the batch of `slot`, which is counted here, is over; whether either is.
    pub fn wait_below_or_done(&self, few: usize, slot: &Slot, timeout: Option<Duration>) -> bool {
        self.lock().listeners += 1;
        let found = self.wait_until(few, timeout, |inner| slot.is_done() || inner.under_way < few);
        self.lock().listeners -= 1;
        found
    }

    fn wait_until(
        &self,
        few: usize,
        timeout: Option<Duration>,
        holds: impl Fn(&Inner) -> bool,
    ) -> bool {
        let deadline = clock::deadline(timeout);
        let mut inner = self.lock();
        inner.waiters += 1;
        // Of several wishes the greatest: whoever wants fewer still looks again and sleeps on.
        inner.awaited = inner.awaited.max(few);
        while !holds(&inner) {
            let Some(left) = clock::left(deadline) else { break };
            let poisoned = "nothing panics while it holds a tally";
            inner = match left {
                None => self.few.wait(inner).expect(poisoned),
                Some(left) => self.few.wait_timeout(inner, left).expect(poisoned).0,
            };
        }
        inner.waiters -= 1;
        if inner.waiters == 0 {
            inner.awaited = 0;
        }
        holds(&inner)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::{Slot, Tally};
    use crate::ids::BatchId;
    use crate::slot::Outcome;

    #[test]
    fn slots_leave_in_any_order() {
        let tally = Arc::new(Tally::default());
        let slots: Vec<Slot> = (0..3).map(|id| Slot::new(BatchId(id))).collect();
        slots.iter().for_each(|slot| slot.count_in(&tally));
        assert_eq!(tally.under_way(), 3);
        slots[2].complete(Outcome::Cancelled);
        slots[0].complete(Outcome::Cancelled);
        assert!(tally.wait_below(2, None));
        assert_eq!(tally.under_way(), 1);
    }

    #[test]
    fn slot_that_is_done_is_not_counted() {
        let tally = Arc::new(Tally::default());
        let slot = Slot::new(BatchId(0));
        slot.complete(Outcome::Cancelled);
        slot.count_in(&tally);
        assert_eq!(tally.under_way(), 0);
    }
}
