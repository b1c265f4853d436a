//! Workers end: as expected, or not.
//!
//! A worker that was told to stop ends as expected, whatever its exit status; if batches wait,
//! `settle` replaces it. Any other end breaks the pool, or costs what that worker had claimed and
//! no more. There is one thing that replacing can't heal: workers that end before they can work.
//! After three in a row the pool breaks instead of starting yet another.

use super::worker::{Phase, Stand, Worker};
use super::{Action, BrokenReason, FailReason, Mode, OnLost, Scheduler};
use crate::ids::{BatchId, WorkerId};

/// So many useless workers in a row, and the pool is broken.
const MOST_USELESS: u32 = 3;

/// Unexpected ends in a row that brought nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streak {
    /// Ends before being ready.
    unready: u32,
    /// Ends with work in hand, none of it ever claimed.
    barren: u32,
}

impl Streak {
    /// A worker is ready.
    pub(super) fn started(&mut self) {
        self.unready = 0;
    }

    /// A worker has finished or claimed a batch.
    pub(super) fn fruitful(&mut self) {
        self.barren = 0;
    }

    fn is_hopeless(self) -> bool {
        self.unready >= MOST_USELESS || self.barren >= MOST_USELESS
    }
}

impl Scheduler {
    /// A worker has ended and all its answers were reported; `claimed` are the batches that it had
    /// claimed and did not answer.
    pub fn on_worker_lost(&mut self, worker: WorkerId, claimed: &[BatchId], out: &mut Vec<Action>) {
        let Some(at) = self.position(worker) else { return };
        let gone = self.workers.remove(at);
        self.sum.subtract(gone.share());
        let asked = gone.held.iter().filter(|held| held.stand == Stand::Asked).count();
        self.asked -= asked;

        let expected = gone.phase == Phase::Stopping && gone.live == 0;
        // While shutting down with nothing left to do, an end is no news.
        let harmless = self.mode > Mode::Open && self.records.is_empty();
        if !(expected || harmless || self.is_broken()) {
            match self.config.on_worker_lost {
                OnLost::Break => {
                    self.fail_all(&gone, FailReason::WorkerLost { worker }, out);
                    self.break_down(BrokenReason::WorkerLost { worker }, out);
                }
                OnLost::Replace => self.replace(&gone, claimed, out),
            }
        }
        self.settle(out);
    }

    /// What it had claimed fails; what it had not comes back, in order.
    fn replace(&mut self, gone: &Worker, claimed: &[BatchId], out: &mut Vec<Action>) {
        let worker = gone.id;
        let was_claimed = |batch, stand| stand == Stand::Started || claimed.contains(&batch);
        let mut any_claimed = false;
        for held in gone.held.iter().filter(|held| held.lives()) {
            if was_claimed(held.batch, held.stand) {
                any_claimed = true;
                self.fail(held.batch, FailReason::WorkerLost { worker }, out);
            }
        }
        for held in gone.held.iter().rev().filter(|held| held.lives()) {
            if !was_claimed(held.batch, held.stand) {
                self.come_back(held.batch, out);
            }
        }
        if gone.phase == Phase::Starting {
            self.losses.unready += 1;
        } else if any_claimed || gone.fruitful {
            self.losses.fruitful();
        } else if gone.live > 0 {
            self.losses.barren += 1;
        }
        if self.losses.is_hopeless() {
            self.break_down(BrokenReason::WorkersKeepDying { worker }, out);
        }
    }

    /// Every batch fails, the pool is broken, ready workers stop.
    pub(super) fn break_down(&mut self, why: BrokenReason, out: &mut Vec<Action>) {
        let harmless = self.mode > Mode::Open && self.records.is_empty();
        if !(self.is_broken() || (harmless && matches!(why, BrokenReason::StartFailed { .. }))) {
            self.broken = Some(why);
            let workers = std::mem::take(&mut self.workers);
            for worker in &workers {
                self.fail_all(worker, why.into(), out);
            }
            self.workers = workers;
            let queued: Vec<BatchId> = self.records.queue().collect();
            for batch in queued {
                self.fail(batch, why.into(), out);
            }
            out.push(Action::Broken { why });
            for at in 0..self.workers.len() {
                self.abandon(at);
                if self.workers[at].phase == Phase::Ready {
                    self.stop(at, out);
                }
            }
        }
        self.settle(out);
    }

    /// Whatever it holds, no answer of it counts any more.
    fn abandon(&mut self, at: usize) {
        self.change(at, |worker| {
            for index in 0..worker.held.len() {
                worker.give_up(index);
            }
        });
        self.asked = 0;
    }

    fn fail_all(&mut self, worker: &Worker, why: FailReason, out: &mut Vec<Action>) {
        for held in worker.held.iter().filter(|held| held.lives()) {
            self.fail(held.batch, why, out);
        }
    }

    fn fail(&mut self, batch: BatchId, why: FailReason, out: &mut Vec<Action>) {
        if self.records.remove(batch).is_some() {
            self.totals.failed += 1;
            out.push(Action::Fail { batch, why });
        }
    }

    /// Whether `on_worker_lost` will be expected; for those who report deaths to people.
    pub fn is_stopping(&self, worker: WorkerId) -> bool {
        self.position(worker).is_some_and(|at| self.workers[at].phase == Phase::Stopping)
    }
}
