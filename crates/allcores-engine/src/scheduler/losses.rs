//! Workers end: as expected, or not.
//!
//! A worker that was told to stop ends as expected, whatever its exit status; if batches wait,
//! `settle` replaces it. So does one that was condemned (see `arrest`). Any other end breaks the pool, or costs the item that ran there
//! and no more (see `resume`). There is one thing that replacing can't heal: workers that end before they can work.
//! After three in a row the pool breaks instead of starting yet another.

use super::worker::{Phase, Stand, Worker};
use super::{Action, BrokenReason, Claimed, FailReason, Mode, OnLost, Ran, Scheduler};
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
        *self = Self::default();
    }

    fn is_hopeless(self) -> bool {
        self.unready >= MOST_USELESS || self.barren >= MOST_USELESS
    }
}

impl Scheduler {
    /// A worker has ended and all its answers were reported; `claimed` are the batches that it had
    /// claimed and did not answer.
    pub fn on_worker_lost(&mut self, worker: WorkerId, claimed: &[Claimed], out: &mut Vec<Action>) {
        let Some(at) = self.position(worker) else { return };
        let gone = self.workers.remove(at);
        self.sum.subtract(gone.share());
        self.retired -= usize::from(gone.retired);
        let asked = gone.held.iter().filter(|held| held.stand == Stand::Asked).count();
        self.asked -= asked;

        let expected = gone.phase == Phase::Stopping && gone.live == 0;
        // While shutting down with nothing left to do, an end is no news.
        let harmless = self.mode > Mode::Open && self.records.is_empty();
        if !(expected || harmless || self.is_broken()) {
            match self.config.on_worker_lost {
                _ if gone.phase == Phase::Condemned => drop(self.salvage(&gone, claimed, out)),
                OnLost::Break => {
                    self.fail_all(&gone, FailReason::WorkerLost { worker }, out);
                    self.break_down(BrokenReason::WorkerLost { worker }, out);
                }
                OnLost::Replace => self.replace(&gone, claimed, out),
            }
        }
        self.settle(out);
    }

    /// What it had claimed fails as far as it ran; what it had not comes back, in order. Whether it
    /// had claimed anything.
    fn salvage(&mut self, gone: &Worker, claimed: &[Claimed], out: &mut Vec<Action>) -> bool {
        let mut back = Vec::new();
        let mut any_claimed = false;
        for held in gone.held.iter().filter(|held| held.lives()) {
            let known = claimed.iter().find(|claimed| claimed.batch == held.batch);
            if known.is_none() && held.stand != Stand::Started {
                back.push(held.batch);
                continue;
            }
            any_claimed = true;
            let ran = known.map_or(Ran::Whole, |known| known.ran);
            if self.lose(held.batch, ran, gone.id, gone.timed_out, out) {
                back.push(held.batch);
            }
        }
        for batch in back.into_iter().rev() {
            self.come_back(batch, out);
        }
        any_claimed
    }

    /// It ended unexpectedly.
    fn replace(&mut self, gone: &Worker, claimed: &[Claimed], out: &mut Vec<Action>) {
        let worker = gone.id;
        let any_claimed = self.salvage(gone, claimed, out);
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

    pub(super) fn fail(&mut self, batch: BatchId, why: FailReason, out: &mut Vec<Action>) {
        if self.records.remove(batch).is_some() {
            self.totals.failed += 1;
            out.push(Action::Fail { batch, why });
        }
    }

    /// Whether `on_worker_lost` will be expected; for those who report deaths to people.
    pub fn is_stopping(&self, worker: WorkerId) -> bool {
        let ending =
            |at: usize| matches!(self.workers[at].phase, Phase::Stopping | Phase::Condemned);
        self.position(worker).is_some_and(ending)
    }
}
