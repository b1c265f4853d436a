//! What is left of a batch of which a worker was lost.
//!
//! ```text
//!   sent for        [0 ................ 9)     results of 0, 1 and 2 have arrived, 5 was running
//!   after the loss          [3, 5)  [6, 9)     5 has failed; these are sent one after the other
//! ```
//!
//! Or all of [3, 9) is sent again, if 5 has retries left. What had run after the last results
//! and before the item that was running runs again in any case: nobody has its results.

use std::collections::VecDeque;

use super::Scheduler;
use super::action::{Action, FailReason, Ran};
use crate::batch::Items;
use crate::ids::{BatchId, WorkerId};

/// Stands for the batch as a whole where its items are counted.
const NO_ITEM: u32 = u32::MAX;

/// What is left of one batch.
#[derive(Clone, Debug)]
pub(super) struct Resume {
    /// By ascending position; the first is what the batch is, was or will be sent for.
    left: VecDeque<Items>,
    /// Nothing of it has a result or has failed.
    whole: bool,
    /// How often workers were lost with an item.
    losses: Vec<(u32, u32)>,
}

impl Resume {
    pub(super) fn of(count: u32) -> Self {
        Self { left: VecDeque::from([Items::all(count)]), whole: true, losses: Vec::new() }
    }

    pub(super) fn first(&self) -> Option<Items> {
        self.left.front().copied()
    }

    /// Whether something is left without it.
    pub(super) fn drop_first(&mut self) -> bool {
        self.whole = false;
        self.left.pop_front();
        !self.left.is_empty()
    }

    /// Whether a worker has had it and was lost.
    fn has_begun(&self) -> bool {
        !(self.whole && self.losses.is_empty())
    }

    /// Every piece that is left.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Items> {
        self.left.iter().copied()
    }

    /// A worker was lost with this item: whether it may be run again.
    fn try_again(&mut self, item: u32, retries: u32) -> bool {
        match self.losses.iter_mut().find(|(known, _)| *known == item) {
            Some((_, times)) => {
                *times += 1;
                *times <= retries
            }
            None => {
                self.losses.push((item, 1));
                retries > 0
            }
        }
    }

    /// Items before `kept` have their results.
    fn keep(&mut self, kept: u32) {
        let Some(first) = self.left.front_mut() else { return };
        self.whole &= kept <= first.start;
        first.start = first.start.max(kept);
        if first.is_empty() {
            self.left.pop_front();
        }
    }

    /// That item has failed.
    fn without(&mut self, item: u32) {
        let Some(first) = self.left.pop_front() else { return };
        self.whole = false;
        let pieces = [Items { start: item + 1, ..first }, Items { stop: item, ..first }];
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            self.left.push_front(piece);
        }
    }
}

/// Only what is possible for a batch that was sent for `items`.
fn possible(ran: Ran, items: Items) -> Ran {
    match ran {
        Ran::Item { kept, item } if items.start <= kept && kept <= item && items.contains(item) => {
            ran
        }
        Ran::Between { kept } if items.start <= kept && kept <= items.stop => ran,
        Ran::Whole => ran,
        _ if items.len() == 1 => Ran::Item { kept: items.start, item: items.start },
        _ => Ran::Unread,
    }
}

impl Scheduler {
    /// A worker was lost with a claimed batch: items fail, or the batch does. Whether something
    /// of it is left to be sent.
    pub(super) fn lose(
        &mut self,
        batch: BatchId,
        ran: Ran,
        worker: WorkerId,
        timed_out: bool,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(record) = self.records.get(batch) else { return false };
        let batch = record.batch(batch);
        let ran = possible(ran, self.records.items(&batch));
        let retries = if timed_out && !batch.retry_timeouts { 0 } else { batch.retries };
        let resume = self.records.resume_mut(&batch);
        let culprit = match ran {
            Ran::Item { kept, item } => {
                resume.keep(kept);
                Some(item)
            }
            Ran::Between { kept } => {
                resume.keep(kept);
                return self.goes_on(batch.id, out);
            }
            Ran::Whole | Ran::Unread => None,
        };
        if resume.try_again(culprit.unwrap_or(NO_ITEM), retries) {
            return true;
        }
        let whole = resume.whole;
        let why = match (ran, timed_out) {
            (_, true) => FailReason::TimedOut { worker },
            (Ran::Unread, false) => FailReason::LostUnread { worker },
            _ => FailReason::WorkerLost { worker },
        };
        match culprit {
            Some(item) if batch.count > 1 => {
                resume.without(item);
                out.push(Action::FailItems { batch: batch.id, items: Items::one(item), why });
                self.goes_on(batch.id, out)
            }
            None if !whole => {
                let fails = |items| Action::FailItems { batch: batch.id, items, why };
                out.extend(resume.pieces().map(fails));
                self.over(batch.id, out);
                false
            }
            _ => {
                self.fail(batch.id, why, out);
                false
            }
        }
    }

    /// Whether a worker has been lost with this batch: some of it has run, or is to be tried again.
    pub fn has_begun(&self, batch: BatchId) -> bool {
        self.records.resume(batch).is_some_and(Resume::has_begun)
    }

    fn goes_on(&mut self, batch: BatchId, out: &mut Vec<Action>) -> bool {
        let left = self.records.resume(batch).is_some_and(|resume| resume.first().is_some());
        if !left {
            self.over(batch, out);
        }
        left
    }

    fn over(&mut self, batch: BatchId, out: &mut Vec<Action>) {
        if self.records.remove(batch).is_some() {
            self.totals.done += 1;
            out.push(Action::Over { batch });
        }
    }
}
