//! After every event: ask for what the books now allow.
//!
//! Nothing here depends on which event it was. The sums make each step that has nothing to do a
//! comparison of two numbers, so a submit to an idle worker or an answer to an empty queue costs
//! little; only a choice among workers looks at them.

use super::worker::{Held, Phase, Stand, Worker};
use super::{Action, Mode, Scheduler, StartPolicy, TARGET_QUEUE_NANOS};
use crate::ids::{BatchId, Instance, WorkerId};

/// Work worth less than this is not taken back from a worker: moving it costs as much as waiting.
const WORTH_MOVING_NANOS: u64 = TARGET_QUEUE_NANOS / 10;

impl Scheduler {
    /// Start, send, take back, stop, finish.
    pub(super) fn settle(&mut self, out: &mut Vec<Action>) {
        if !self.is_broken() {
            self.spawn(out);
            self.dispatch(out);
            self.take_back(WORTH_MOVING_NANOS + 1, out);
            self.stop_spent(out);
        }
        if self.mode > Mode::Open {
            self.stop_idle(out);
            self.finish(out);
        }
    }

    /// One worker for each batch that waits and has neither an idle nor a starting one to hope for.
    fn spawn(&mut self, out: &mut Vec<Action>) {
        let room = self.config.max_workers.max(1).saturating_sub(self.living());
        if room == 0 || self.records.is_empty() {
            return;
        }
        let missing = if self.config.start == StartPolicy::AllAtOnce && self.mode == Mode::Open {
            room
        } else {
            // What waits behind a running batch can only move if the link can take it back.
            let movable = if self.config.take_back { self.sum.behind } else { 0 };
            let waiting = match self.mode {
                Mode::Cancelling => self.records.queued(),
                Mode::Open | Mode::Draining => self.records.queued() + movable,
            };
            waiting.saturating_sub(self.sum.idle + self.sum.starting + self.requested).min(room)
        };
        self.requested += missing;
        out.extend(std::iter::repeat_n(Action::Spawn, missing));
    }

    /// Sends from the front of the queue as long as somebody has credit.
    fn dispatch(&mut self, out: &mut Vec<Action>) {
        while self.sum.ready > 0
            && let Some((next, items)) = self.records.first()
        {
            let nanos = self.estimates.nanos(next.function, items.len());
            let Some(at) = self.choose(nanos) else { return };
            let worker = self.workers[at].id;
            self.records.sent(worker);
            let (batch, instance, bytes) = (next.id, next.instance, next.bytes);
            self.change(at, |worker| {
                worker.hold(Held { batch, instance, stand: Stand::Sent, nanos, bytes });
            });
            out.push(Action::Send { worker, batch, instance, items });
        }
    }

    /// The first idle worker (so that few are kept awake by little work), else the one whose queue
    /// is the shortest.
    fn choose(&self, nanos: u64) -> Option<usize> {
        let cap = self.credit_cap();
        let coming = self.sum.starting + self.requested;
        // What can't be taken back is better kept for a worker that is being started.
        let ahead = self.config.take_back || self.records.queued() > coming;
        if !ahead && self.sum.idle == 0 {
            return None;
        }
        let mut best: Option<(usize, (u64, usize))> = None;
        for (at, worker) in self.workers.iter().enumerate() {
            if !worker.accepts(nanos, cap) {
                continue;
            }
            if worker.live == 0 {
                return Some(at);
            }
            let load = (worker.load, worker.held.len());
            if ahead && best.is_none_or(|(_, least)| load < least) {
                best = Some((at, load));
            }
        }
        best.map(|(at, _)| at)
    }

    /// The most descriptors that may be in a worker's ring.
    pub(super) fn credit_cap(&self) -> usize {
        let most = self.config.max_prefetch.max(1) as usize;
        if self.config.take_back { most } else { most.min(2) }
    }

    /// Idle workers ask for up to half of what the most loaded one holds, if it holds at least
    /// `worth` nanoseconds.
    pub(super) fn take_back(&mut self, worth: u64, out: &mut Vec<Action>) {
        if !self.config.take_back || self.mode == Mode::Cancelling || self.is_broken() {
            return;
        }
        while self.sum.idle > self.asked && self.sum.behind > 0 && self.records.queued() == 0 {
            let loaded = |worker: &Worker| {
                worker.behind() > 0 && worker.load >= worth && worker.movable() > 0
            };
            let victims = self.workers.iter().enumerate().filter(|(_, worker)| loaded(worker));
            let Some((at, victim)) = victims.max_by_key(|(_, worker)| worker.load) else { return };
            let some = (victim.live / 2).clamp(1, victim.movable());
            self.ask_back(at, some, out);
        }
    }

    /// Asks for the newest `some` batches of a worker that nobody asked for yet.
    pub(super) fn ask_back(&mut self, at: usize, some: usize, out: &mut Vec<Action>) {
        let worker = &mut self.workers[at];
        let id = worker.id;
        let sent = worker.held.iter_mut().rev().filter(|held| held.stand == Stand::Sent);
        for held in sent.take(some) {
            held.stand = Stand::Asked;
            self.asked += 1;
            out.push(Action::TakeBack { worker: id, batch: held.batch, instance: held.instance });
        }
    }

    /// Workers that have had all their batches, or take no more, are stopped; what they leave is somebody else's.
    fn stop_spent(&mut self, out: &mut Vec<Action>) {
        if self.config.max_tasks_per_worker.is_none() && self.retired == 0 {
            return;
        }
        for at in 0..self.workers.len() {
            let worker = &self.workers[at];
            if worker.phase == Phase::Ready && worker.room == 0 && worker.held.is_empty() {
                self.stop(at, out);
            }
        }
    }

    /// At shutdown, workers end for which nothing can come any more.
    fn stop_idle(&mut self, out: &mut Vec<Action>) {
        let may_come = self.mode == Mode::Draining
            && (self.records.queued() > 0
                || self.asked > 0
                || (self.config.take_back && self.workers.iter().any(|w| w.movable() > 0)));
        if self.sum.idle == 0 || may_come {
            return;
        }
        for at in 0..self.workers.len() {
            if self.workers[at].is_idle() && self.workers[at].held.is_empty() {
                self.stop(at, out);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<Action>) {
        if !self.finished && self.workers.is_empty() && self.records.is_empty() {
            self.finished = true;
            out.push(Action::Finished);
        }
    }

    pub(super) fn stop(&mut self, at: usize, out: &mut Vec<Action>) {
        self.change(at, |worker| worker.phase = Phase::Stopping);
        out.push(Action::Stop { worker: self.workers[at].id });
    }

    /// Workers that live, or were asked for.
    pub(super) fn living(&self) -> usize {
        self.workers.len() + self.requested
    }

    pub(super) fn position(&self, worker: WorkerId) -> Option<usize> {
        self.workers.binary_search_by_key(&worker, |worker| worker.id).ok()
    }

    /// Changes one worker and keeps the sums right: the only way to change what they are made of.
    pub(super) fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Worker) -> R) -> R {
        let worker = &mut self.workers[at];
        self.sum.subtract(worker.share());
        let result = change(worker);
        self.sum.add(worker.share());
        result
    }

    pub(super) fn stand(&self, worker: WorkerId, batch: BatchId, is: Instance) -> Option<Stand> {
        let worker = &self.workers[self.position(worker)?];
        worker.find(batch, is).map(|at| worker.held[at].stand)
    }

    /// The descriptor has left the ring.
    pub(super) fn release(
        &mut self,
        at: usize,
        batch: BatchId,
        instance: Instance,
        also: impl FnOnce(&mut Worker),
    ) -> Option<Held> {
        let held = self.change(at, |worker| {
            let held = worker.find(batch, instance).and_then(|index| worker.release(index))?;
            also(worker);
            Some(held)
        })?;
        self.asked -= usize::from(held.stand == Stand::Asked);
        Some(held)
    }

    /// The batch will not run there, but its descriptor is still in the ring.
    pub(super) fn give_up(&mut self, at: usize, batch: BatchId, instance: Instance) {
        let Some(index) = self.workers[at].find(batch, instance) else { return };
        self.asked -= usize::from(self.workers[at].held[index].stand == Stand::Asked);
        self.change(at, |worker| worker.give_up(index));
    }

    /// The batch is known to be claimed.
    pub(super) fn mark_started(&mut self, at: usize, batch: BatchId, instance: Instance) {
        let Some(index) = self.workers[at].find(batch, instance) else { return };
        self.asked -= usize::from(self.workers[at].held[index].stand == Stand::Asked);
        self.change(at, |worker| {
            worker.mark_started(index);
            worker.fruitful = true;
        });
    }

    /// A sent batch that was not claimed is ours again: to the front of the queue, or gone if
    /// nobody wants it.
    pub(super) fn come_back(&mut self, batch: BatchId, out: &mut Vec<Action>) {
        let Some(record) = self.records.get(batch) else { return };
        if record.cancel_asks > 0 || self.mode == Mode::Cancelling {
            self.cancelled(batch, out);
        } else {
            self.records.requeue(batch);
        }
    }

    pub(super) fn cancelled(&mut self, batch: BatchId, out: &mut Vec<Action>) {
        if self.records.remove(batch).is_some() {
            self.totals.cancelled += 1;
            out.push(Action::Cancelled { batch });
        }
    }

    /// Cancels what is queued and asks for everything that may not have started.
    pub(super) fn cancel_pending(&mut self, out: &mut Vec<Action>) {
        // A worker that is starting was started for a batch, so one each counts as handed over.
        let queued: Vec<BatchId> = self.records.queue().skip(self.sum.starting).collect();
        for batch in queued {
            self.cancelled(batch, out);
        }
        if self.config.take_back {
            for at in 0..self.workers.len() {
                self.ask_back(at, usize::MAX, out);
            }
        }
    }
}
