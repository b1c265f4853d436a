//! Numbers for whoever looks on.

use super::Scheduler;

/// What is, and what has been since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches that no worker holds.
    pub queued: u64,
    /// Unfinished batches with workers, running ones included.
    pub sent: u64,
    /// Workers that are ready.
    pub workers_ready: usize,
    /// Workers that are starting.
    pub workers_starting: usize,
    /// Workers that were told to end and have not yet.
    pub workers_stopping: usize,
    /// Batches that were ever submitted, refused ones included.
    pub submitted: u64,
    /// Batches that ended with an answer.
    pub done: u64,
    /// Batches that failed, refused ones included.
    pub failed: u64,
    /// Batches that were cancelled.
    pub cancelled: u64,
    /// How often a batch was taken back from a worker.
    pub taken_back: u64,
}

/// What only grows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) submitted: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) taken_back: u64,
}

impl Scheduler {
    /// The numbers of this instant.
    pub fn counts(&self) -> Counts {
        let queued = self.records.queued();
        Counts {
            queued: queued as u64,
            sent: (self.records.len() - queued) as u64,
            workers_ready: self.sum.ready,
            workers_starting: self.sum.starting,
            workers_stopping: self.workers.len() - self.sum.ready - self.sum.starting,
            submitted: self.totals.submitted,
            done: self.totals.done,
            failed: self.totals.failed,
            cancelled: self.totals.cancelled,
            taken_back: self.totals.taken_back,
        }
    }
}
