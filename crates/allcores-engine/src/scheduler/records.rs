//! Every unfinished batch, and the queue of those that no worker holds.
//!
//! A batch that is cancelled in the middle of the queue leaves its id behind; ids without a record
//! are passed over, and swept when they are the greater part. So cancelling a hundred thousand
//! batches one by one stays linear.

use std::collections::VecDeque;

use super::resume::Resume;
use crate::batch::{Batch, Items};
use crate::ids::{BatchId, FnId, IdMap, Instance, WorkerId};
use crate::table::BatchTable;

/// An empty queue keeps room for so many.
const MOST_ROOM: usize = 4096;

/// Where an unfinished batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the queue.
    Queued,
    /// With a worker, whose books say how it stands.
    Sent(WorkerId),
}

/// One unfinished batch. A million of them may wait, so it is packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    function: Option<FnId>,
    count: u32,
    /// The payload's size; from four gigabytes on it is all the same.
    bytes: u32,
    retries: u32,
    retry_timeouts: bool,
    pub(super) instance: Instance,
    pub(super) place: Place,
    /// How many tries at its claim cell have no result yet. If it comes back by any other way while
    /// there are some, it is cancelled then; and only the last of them can tell that it was claimed.
    pub(super) cancel_asks: u32,
}

impl Record {
    fn new(batch: &Batch) -> Self {
        Self {
            function: batch.function,
            count: batch.count,
            bytes: u32::try_from(batch.bytes).unwrap_or(u32::MAX),
            retries: batch.retries,
            retry_timeouts: batch.retry_timeouts,
            instance: batch.instance,
            place: Place::Queued,
            cancel_asks: 0,
        }
    }

    /// The batch, whose number is not kept twice.
    pub(super) fn batch(&self, id: BatchId) -> Batch {
        Batch {
            id,
            function: self.function,
            count: self.count,
            bytes: u64::from(self.bytes),
            instance: self.instance,
            retries: self.retries,
            retry_timeouts: self.retry_timeouts,
        }
    }
}

/// All unfinished batches.
#[derive(Debug, Default)]
pub(super) struct Records {
    all: BatchTable<Record>,
    queue: VecDeque<BatchId>,
    /// Ids in `queue` without a record.
    stale: usize,
    /// What is left of batches of which a worker has been lost.
    resumes: IdMap<BatchId, Resume>,
}

impl Records {
    pub(super) fn get(&self, batch: BatchId) -> Option<&Record> {
        self.all.get(batch)
    }

    pub(super) fn get_mut(&mut self, batch: BatchId) -> Option<&mut Record> {
        self.all.get_mut(batch)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Unfinished batches.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Batches that no worker holds.
    pub(super) fn queued(&self) -> usize {
        self.queue.len() - self.stale
    }

    /// Batches that no worker holds, in order.
    pub(super) fn queue(&self) -> impl Iterator<Item = BatchId> {
        self.queue.iter().copied().filter(|id| self.all.contains(*id))
    }

    /// A new batch, at the back.
    pub(super) fn insert(&mut self, batch: Batch) {
        let older = self.all.insert(batch.id, Record::new(&batch));
        debug_assert!(older.is_none(), "batch `{}` was submitted twice", batch.id);
        self.queue.push_back(batch.id);
    }

    /// The batch that is next to be sent, and what of it.
    pub(super) fn first(&mut self) -> Option<(Batch, Items)> {
        while let Some(id) = self.queue.front().copied() {
            if self.all.contains(id) {
                break;
            }
            self.queue.pop_front();
            self.stale -= 1;
        }
        let id = *self.queue.front()?;
        let batch = self.all.get(id)?.batch(id);
        Some((batch, self.items(&batch)))
    }

    /// The batch that [`Records::first`] named is with this worker now.
    pub(super) fn sent(&mut self, worker: WorkerId) {
        if let Some(record) = self.queue.pop_front().and_then(|id| self.all.get_mut(id)) {
            record.place = Place::Sent(worker);
        }
        self.give_room_back();
    }

    fn give_room_back(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > MOST_ROOM {
            self.queue.shrink_to(MOST_ROOM / 4);
        }
    }

    /// What a batch is sent for next, or was sent for.
    pub(super) fn items(&self, batch: &Batch) -> Items {
        // Nearly always there are none at all.
        let resume = if self.resumes.is_empty() { None } else { self.resumes.get(&batch.id) };
        resume.and_then(Resume::first).unwrap_or(Items::all(batch.count))
    }

    /// What is left of a batch, if a worker has been lost of it.
    pub(super) fn resume(&self, batch: BatchId) -> Option<&Resume> {
        self.resumes.get(&batch)
    }

    /// What is left of a batch, to be changed.
    pub(super) fn resume_mut(&mut self, batch: &Batch) -> &mut Resume {
        self.resumes.entry(batch.id).or_insert_with(|| Resume::of(batch.count))
    }

    /// The items that the batch was sent for have their results: whether there are others.
    pub(super) fn has_more(&mut self, batch: BatchId) -> bool {
        !self.resumes.is_empty()
            && self.resumes.get_mut(&batch).is_some_and(|resume| resume.drop_first())
    }

    /// A sent batch comes back to the front, as its next instance.
    pub(super) fn requeue(&mut self, batch: BatchId) {
        if let Some(record) = self.all.get_mut(batch) {
            debug_assert_ne!(record.place, Place::Queued, "a queued batch can't come back");
            record.place = Place::Queued;
            record.instance = record.instance.next();
            self.queue.push_front(batch);
        }
    }

    /// The batch has ended.
    pub(super) fn remove(&mut self, batch: BatchId) -> Option<Record> {
        let record = self.all.remove(batch)?;
        if !self.resumes.is_empty() {
            self.resumes.remove(&batch);
        }
        if record.place == Place::Queued {
            self.stale += 1;
            if self.stale > 64 && self.stale > self.queue.len() / 2 {
                let all = &self.all;
                self.queue.retain(|id| all.contains(*id));
                self.stale = 0;
                self.give_room_back();
            }
        }
        Some(record)
    }

    /// Whether what is left of a batch is in order and not nothing; for checking.
    pub(super) fn resumes_are_sound(&self) -> bool {
        let sound = |resume: &Resume| {
            resume.first().is_some()
                && resume.pieces().all(|items| !items.is_empty())
                && resume.pieces().is_sorted_by(|a, b| a.stop < b.start)
        };
        self.resumes.iter().all(|(batch, resume)| {
            self.all.get(*batch).is_some_and(|record| record.count == 0 || sound(resume))
        })
    }

    /// Every record, in no order; for checking.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.all.values()
    }
}
