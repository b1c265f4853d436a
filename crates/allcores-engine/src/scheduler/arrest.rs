//! Ending a worker on purpose, and only for what it really does.
//!
//! ```text
//!   Ready ──on_arrested──► Arrested ──on_stopped, on_timed_out──► Condemned ──on_worker_lost──► gone
//!     ▲                       │
//!     └──────on_pardoned──────┘
//! ```
//!
//! A worker that is to be ended because of one batch must not be in the middle of another by
//! then. So it is arrested first: it is sent nothing more, and what it has not claimed comes
//! back. Then whoever asks looks which batch it has claimed last: as rings are read in
//! order, that is the one that it runs, and it can't start another. If it is the right one,
//! the worker is condemned, and whoever asks ends it; else it is pardoned.
//!
//! The end of a condemned worker is no accident: it is replaced whatever the policy, and tells
//! nothing about workers in general.

use super::worker::Phase;
use super::{Action, BrokenReason, Scheduler};
use crate::ids::{BatchId, Instance, WorkerId};

impl Scheduler {
    /// Who holds a batch, and as which instance.
    pub fn holder(&self, batch: BatchId) -> Option<(WorkerId, Instance)> {
        let record = self.records.get(batch)?;
        match record.place {
            super::Place::Sent(worker) => Some((worker, record.instance)),
            super::Place::Queued => None,
        }
    }

    /// A worker may have to be ended. False: it can't be judged, for it is ending anyway.
    pub fn on_arrested(&mut self, worker: WorkerId, out: &mut Vec<Action>) -> bool {
        let Some(at) = self.position(worker) else { return false };
        match self.workers[at].phase {
            Phase::Arrested | Phase::Condemned => return true,
            Phase::Starting | Phase::Stopping => return false,
            Phase::Ready => {}
        }
        self.change(at, |worker| worker.phase = Phase::Arrested);
        if self.config.take_back {
            self.ask_back(at, usize::MAX, out);
        }
        true
    }

    /// It does not do what it was arrested for.
    pub fn on_pardoned(&mut self, worker: WorkerId, out: &mut Vec<Action>) {
        let Some(at) = self.position(worker) else { return };
        if self.workers[at].phase != Phase::Arrested {
            return;
        }
        self.change(at, |worker| worker.phase = Phase::Ready);
        if self.is_broken() {
            self.stop(at, out);
        }
        self.settle(out);
    }

    /// It runs a batch that nobody wants any more: that is cancelled now, and the worker will end.
    pub fn on_stopped(&mut self, worker: WorkerId, batch: BatchId, out: &mut Vec<Action>) {
        let Some(at) = self.condemn(worker, false) else { return };
        if let Some((holder, instance)) = self.holder(batch)
            && holder == worker
        {
            self.give_up(at, batch, instance);
            self.cancelled(batch, out);
        }
        self.settle(out);
    }

    /// It runs an item for longer than that may take, and will end.
    pub fn on_timed_out(&mut self, worker: WorkerId, out: &mut Vec<Action>) {
        self.condemn(worker, true);
        self.settle(out);
    }

    fn condemn(&mut self, worker: WorkerId, timed_out: bool) -> Option<usize> {
        let at = self.position(worker)?;
        self.change(at, |worker| match worker.phase {
            Phase::Arrested => {
                worker.phase = Phase::Condemned;
                worker.timed_out = timed_out;
                Some(at)
            }
            Phase::Condemned => Some(at),
            _ => None,
        })
    }

    /// A worker takes nothing more: what it has not claimed comes back, and then it is stopped.
    pub fn on_retire(&mut self, worker: WorkerId, out: &mut Vec<Action>) {
        let Some(at) = self.position(worker) else { return };
        let phase = self.workers[at].phase;
        if !matches!(phase, Phase::Ready | Phase::Arrested) || self.workers[at].retired {
            return;
        }
        self.retired += 1;
        self.change(at, |worker| {
            worker.retired = true;
            worker.room = 0;
        });
        if self.config.take_back {
            self.ask_back(at, usize::MAX, out);
        }
        self.settle(out);
    }

    /// Every batch fails now, and the pool is broken.
    pub fn on_ended(&mut self, out: &mut Vec<Action>) {
        if !self.finished {
            self.break_down(BrokenReason::Ended, out);
        }
    }
}
