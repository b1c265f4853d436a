//! Who works on what: events in, actions out.
//!
//! ```text
//!  on_submit ─────────┐                                   ┌──► Spawn, Stop
//!  on_worker_ready ───┤   books: records, queue, workers  ├──► Send, TakeBack
//!  on_done ───────────┼──►         then `settle`      ────┤
//!  on_cancel … ───────┤                                   ├──► Fail, Cancelled
//!  on_worker_lost ────┘                                   └──► Broken, Finished
//! ```
//!
//! The scheduler *does* nothing: it has no thread, reads no clock, performs no input or output and
//! knows no link. Every event first corrects the books and then runs `settle`, which asks for
//! whatever the books now allow, in the same order always: start workers, send, take back, stop,
//! finish. Actions are appended to `out`, in the order in which they are to be carried out.
//!
//! What holds at all times (and [`Scheduler::sanity_check`] derives anew):
//!
//! 1. A batch ends exactly once: `on_done` says `Last` for it, `Fail`, `Over` or `Cancelled` names
//!    it, or `on_not_sent` does.
//! 2. Only ready workers are sent work, and never more than their credit.
//! 3. No ready worker is idle while a batch is queued.
//! 4. An item that a worker may have started is never given to another one, unless its batch has
//!    retries left, or the item ended and its result was lost.
//!
//! Whoever drives it answers each `Spawn` with `on_worker_starting` (and, if the start fails at
//! once, with `on_worker_lost`), each `TakeBack` with `on_taken_back`, each `AskWorker` with
//! `on_cancel_result`, each `on_arrested` with a judgement ([`Scheduler::on_pardoned`] and its
//! neighbours), and reports the end of every worker once it has reported all its answers.

mod action;
mod arrest;
mod check;
mod estimate;
mod explain;
mod losses;
mod records;
mod resume;
mod settle;
mod sizing;
mod stats;
mod worker;

pub use action::{Action, BrokenReason, CancelStep, Claimed, FailReason, Ran, Verdict};
pub use explain::Waiting;
pub use sizing::{Size, SizeReason};
pub use stats::Counts;

use crate::batch::{Batch, Cost};
use crate::ids::{BatchId, FnId, Instance, WorkerId};
use estimate::Estimates;
use records::{Place, Records};
use stats::Totals;
use worker::{Phase, Share, Stand, Worker};

/// Work worth this much is sent ahead to a worker: long against the time a refill needs, short
/// against a user's patience.
const TARGET_QUEUE_NANOS: u64 = 1_000_000;

/// How a pool's scheduler shall behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most workers that live at a time.
    pub max_workers: usize,
    /// How many batches a worker gets in its life; then it is stopped and, if need be, replaced.
    pub max_tasks_per_worker: Option<u32>,
    /// What the unexpected end of a worker means.
    pub on_worker_lost: OnLost,
    /// When workers are started.
    pub start: StartPolicy,
    /// Whether the link can take unclaimed batches back.
    pub take_back: bool,
    /// The most unfinished batches per worker, whatever their duration; below the number of claim
    /// cells and ring slots.
    pub max_prefetch: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_workers: 1,
            max_tasks_per_worker: None,
            on_worker_lost: OnLost::Break,
            start: StartPolicy::OnDemand,
            take_back: true,
            max_prefetch: 48,
        }
    }
}

/// What the unexpected end of a worker means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    /// Every unfinished batch fails and the pool is broken.
    Break,
    /// What it had claimed fails, what it had not is given to others, and the worker is replaced.
    Replace,
}

/// When workers are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPolicy {
    /// One by one, as batches come that no idle worker could take.
    OnDemand,
    /// All of them at the first batch.
    AllAtOnce,
}

/// How far the end has come. Only forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    /// Takes batches.
    Open,
    /// Shut down; what was submitted is still worked on.
    Draining,
    /// Shut down; what has not started is cancelled.
    Cancelling,
}

/// The scheduler of one pool.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    mode: Mode,
    broken: Option<BrokenReason>,
    finished: bool,
    records: Records,
    /// Living workers by ascending id.
    workers: Vec<Worker>,
    next_worker: u32,
    /// `Spawn`s not yet answered.
    requested: usize,
    /// The sum over all workers.
    sum: Share,
    /// Batches that stand as `Asked`.
    asked: usize,
    losses: losses::Streak,
    /// Living workers that have retired.
    retired: usize,
    estimates: Estimates,
    totals: Totals,
}

impl Scheduler {
    /// A scheduler without workers and batches.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            mode: Mode::Open,
            broken: None,
            finished: false,
            records: Records::default(),
            workers: Vec::new(),
            next_worker: 0,
            requested: 0,
            sum: Share::default(),
            asked: 0,
            losses: losses::Streak::default(),
            retired: 0,
            estimates: Estimates::default(),
            totals: Totals::default(),
        }
    }

    /// From now on all workers are started with the first batch.
    pub fn start_all_at_once(&mut self) {
        self.config.start = StartPolicy::AllAtOnce;
    }

    /// A batch, with an id never used before.
    pub fn on_submit(&mut self, batch: Batch, out: &mut Vec<Action>) {
        self.totals.submitted += 1;
        let refusal = match (self.broken, self.mode) {
            (Some(why), _) => Some(why.refusal()),
            (None, Mode::Draining | Mode::Cancelling) => Some(FailReason::ShutDown),
            (None, Mode::Open) => None,
        };
        if let Some(why) = refusal {
            self.totals.failed += 1;
            out.push(Action::Fail { batch: batch.id, why });
            return;
        }
        self.records.insert(batch);
        self.settle(out);
    }

    /// The pool is about to start a worker. `None`: it is no longer wanted, so don't.
    pub fn on_worker_starting(&mut self) -> Option<WorkerId> {
        self.requested = self.requested.saturating_sub(1);
        if self.is_broken() || (self.mode > Mode::Open && self.records.is_empty()) {
            return None;
        }
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        let room = self.config.max_tasks_per_worker.map_or(u64::MAX, u64::from);
        let worker = Worker::starting(id, room.max(1));
        self.sum.add(worker.share());
        self.workers.push(worker);
        Some(id)
    }

    /// A worker reads its ring now.
    pub fn on_worker_ready(&mut self, worker: WorkerId, out: &mut Vec<Action>) {
        let Some(at) = self.position(worker) else { return };
        if self.workers[at].phase != Phase::Starting {
            return;
        }
        self.change(at, |worker| worker.phase = Phase::Ready);
        self.losses.started();
        if self.is_broken() {
            self.stop(at, out);
        } else {
            self.settle(out);
        }
    }

    /// A worker could not be prepared (its initializer failed) and will end by itself.
    pub fn on_worker_start_failed(&mut self, worker: WorkerId, out: &mut Vec<Action>) {
        let Some(at) = self.position(worker) else { return };
        self.change(at, |worker| worker.phase = Phase::Stopping);
        self.break_down(BrokenReason::StartFailed { worker }, out);
    }

    /// An answer has come, for all items that the batch was sent for.
    pub fn on_done(
        &mut self,
        worker: WorkerId,
        batch: BatchId,
        instance: Instance,
        cost: Cost,
        out: &mut Vec<Action>,
    ) -> Verdict {
        let Some(at) = self.position(worker) else { return Verdict::Late };
        let Some(held) = self.release(at, batch, instance, |worker| worker.fruitful = true) else {
            return Verdict::Late;
        };
        let mut verdict = Verdict::Late;
        if held.lives() {
            self.losses.fruitful();
            if let Some(record) = self.records.get(batch) {
                let asked = record.batch(batch);
                let items = self.records.items(&asked);
                let cost = Cost { bytes: cost.bytes.max(asked.bytes), ..cost };
                self.estimates.learn(asked.function, items.len(), cost);
                verdict = self.answered(batch, out);
            }
        }
        self.settle(out);
        verdict
    }

    fn answered(&mut self, batch: BatchId, out: &mut Vec<Action>) -> Verdict {
        if self.records.has_more(batch) {
            self.come_back(batch, out);
            Verdict::More
        } else {
            self.records.remove(batch);
            self.totals.done += 1;
            Verdict::Last
        }
    }

    /// A worker has popped a descriptor without running it: its credit is back.
    pub fn on_skipped(
        &mut self,
        worker: WorkerId,
        batch: BatchId,
        instance: Instance,
        out: &mut Vec<Action>,
    ) {
        let Some(at) = self.position(worker) else { return };
        let Some(held) = self.release(at, batch, instance, Worker::give_room_back) else {
            return;
        };
        if held.lives() {
            // The news of the skipping has overtaken that of the cancelling or taking back.
            self.come_back(batch, out);
        }
        self.settle(out);
    }

    /// A `Send` could not be carried out, and never will be: the batch fails by this call, without
    /// an action.
    pub fn on_not_sent(
        &mut self,
        worker: WorkerId,
        batch: BatchId,
        instance: Instance,
        out: &mut Vec<Action>,
    ) {
        let Some(at) = self.position(worker) else { return };
        let Some(held) = self.release(at, batch, instance, Worker::give_room_back) else {
            return;
        };
        if held.lives() && self.records.remove(batch).is_some() {
            self.totals.failed += 1;
        }
        self.settle(out);
    }

    /// Somebody wants a batch not to run.
    pub fn on_cancel(&mut self, batch: BatchId, out: &mut Vec<Action>) -> CancelStep {
        let Some(record) = self.records.get(batch) else { return CancelStep::Unknown };
        let instance = record.instance;
        let worker = match record.place {
            Place::Queued => {
                self.cancelled(batch, out);
                self.settle(out);
                return CancelStep::Cancelled;
            }
            Place::Sent(_) if !self.config.take_back => return CancelStep::TooLate,
            Place::Sent(worker) => worker,
        };
        match self.stand(worker, batch, instance) {
            Some(Stand::Sent | Stand::Asked) => {
                if let Some(record) = self.records.get_mut(batch) {
                    record.cancel_asks += 1;
                }
                CancelStep::AskWorker { worker, instance }
            }
            Some(Stand::Started | Stand::Gone) | None => CancelStep::TooLate,
        }
    }

    /// The answer to [`CancelStep::AskWorker`]: `ok` if the claim cell says cancelled, not claimed.
    pub fn on_cancel_result(&mut self, batch: BatchId, ok: bool, out: &mut Vec<Action>) {
        let Some(record) = self.records.get_mut(batch) else { return };
        let instance = record.instance;
        record.cancel_asks = record.cancel_asks.saturating_sub(1);
        let (place, last) = (record.place, record.cancel_asks == 0);
        if let Place::Sent(worker) = place
            && let Some(at) = self.position(worker)
        {
            match self.stand(worker, batch, instance) {
                _ if ok => self.give_up(at, batch, instance),
                // If a take-back or another try is under way, it may be this that was first at the
                // cell.
                Some(Stand::Sent) if last => self.mark_started(at, batch, instance),
                _ => {}
            }
        }
        if ok {
            self.cancelled(batch, out);
        }
        self.settle(out);
    }

    /// The answer to [`Action::TakeBack`]: `ok` if the claim cell says cancelled, not claimed.
    pub fn on_taken_back(
        &mut self,
        worker: WorkerId,
        batch: BatchId,
        instance: Instance,
        ok: bool,
        out: &mut Vec<Action>,
    ) {
        let Some(at) = self.position(worker) else { return };
        match self.stand(worker, batch, instance) {
            None | Some(Stand::Gone) => return,
            Some(_) if ok => {
                self.give_up(at, batch, instance);
                self.totals.taken_back += 1;
                self.come_back(batch, out);
            }
            Some(_) => self.mark_started(at, batch, instance),
        }
        self.settle(out);
    }

    /// No event has come for a moment (a millisecond, say) although [`Scheduler::wants_tick`]: what
    /// was expected to be short is not, so idle workers take over what waits behind it.
    pub fn on_tick(&mut self, out: &mut Vec<Action>) {
        self.take_back(0, out);
    }

    /// Whether a worker is idle while a batch waits behind one that should long be done, and may
    /// never be: it could be waiting for just that batch.
    pub fn wants_tick(&self) -> bool {
        self.config.take_back
            && !self.is_broken()
            && self.mode != Mode::Cancelling
            && self.sum.idle > self.asked
            && self.sum.behind > 0
            && self.workers.iter().any(|worker| worker.movable() > 0)
    }

    /// No more batches. `cancel_pending`: what has not started shall not start. May be said again,
    /// to cancel after all.
    pub fn on_shutdown(&mut self, cancel_pending: bool, out: &mut Vec<Action>) {
        let mode = if cancel_pending { Mode::Cancelling } else { Mode::Draining };
        if mode > self.mode {
            self.mode = mode;
            if cancel_pending {
                self.cancel_pending(out);
            }
        }
        self.settle(out);
    }

    /// A function is no longer registered; what was learned about it goes too.
    pub fn on_function_forgotten(&mut self, function: FnId) {
        self.estimates.forget(function);
    }

    /// Whether the pool will never work again.
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Whether `Finished` was said.
    pub fn is_finished(&self) -> bool {
        self.finished
    }
}
