//! The parent's side of the pool: submit, cancel, shut down.
//!
//! A [`Pool`] may be used from any thread. Each call takes the core lock for a few
//! instructions, and does what may take longer (waking a worker, completing a slot) after
//! giving it back. It starts no process: [`Pool::take_workers_wanted`] says how many are
//! wanted, and the front end starts each with the descriptor [`Pool::open_link`] returns.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use allcores_shm::primitive::{Condvar, Mutex, MutexGuard};

use crate::care::Terms;
use crate::clock;
use crate::collector;
use crate::core::{Core, Effects};
pub use crate::core::{PoolConfig, Submission};
use crate::ears::Ears;
use crate::error::{EngineError, Failure, SubmitError};
use crate::ids::{FnId, WorkerId};
use crate::link::{Hub, ParentEnd, Wake};
use crate::notices::{Notice, Notices};
use crate::payload::Payload;
use crate::scheduler::Counts;
use crate::slot::Slot;
use crate::supervisor::{self, Force};
use crate::tally::Tally;
use crate::traffic::Traffic;
use crate::waker::Waker;

/// What the pool and its collector share.
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Taken before the core lock, never while it is held.
    ears: Mutex<Ears>,
    pub(crate) notices: Notices,
    pub(crate) hub: Hub,
    finished: Mutex<bool>,
    has_finished: Condvar,
}

impl Shared {
    /// Whoever finds that somebody has panicked in there gives the pool up first.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        match self.core.lock() {
            Ok(core) => core,
            Err(poisoned) => {
                let mut core = poisoned.into_inner();
                let mut fx = Effects::default();
                core.collapse("a thread of it has panicked", &mut fx);
                self.core.clear_poison();
                drop(core);
                self.apply(&mut fx);
                self.lock()
            }
        }
    }

    /// The collector has panicked: nobody will be heard any more.
    pub(crate) fn collapse(&self, why: &str) {
        // What was decided before still holds.
        let mut fx = self.ears().take_effects();
        self.lock().collapse(why, &mut fx);
        self.apply(&mut fx);
    }

    /// What a panic left of the ears is good for nothing but looking on.
    pub(crate) fn ears(&self) -> MutexGuard<'_, Ears> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ears, if nobody is listening.
    pub(crate) fn try_ears(&self) -> Option<MutexGuard<'_, Ears>> {
        self.ears.try_lock().ok()
    }

    /// Does what was decided under the lock; call it without the lock.
    pub(crate) fn apply(&self, fx: &mut Effects) {
        for peer in fx.sleepers.drain(..) {
            peer.wake();
        }
        for (slot, outcome) in fx.done.drain(..) {
            let id = slot.id();
            if slot.complete(outcome) {
                self.notices.push(Notice::Completed(id));
            }
        }
        if !fx.spent.is_empty() {
            fx.spent.clear();
            self.lock().tidy();
        }
        for pid in fx.kill.drain(..) {
            supervisor::end_tree(pid);
        }
        if std::mem::take(&mut fx.wake_collector) {
            self.hub.collector().wake();
        }
        for pid in fx.end.drain(..) {
            supervisor::end_process(pid, Force::Terminate);
        }
        for notice in fx.notices.drain(..) {
            self.notices.push(notice);
        }
        if std::mem::take(&mut fx.finished) {
            self.hub.collector().wake();
            *self.finished.lock().expect("nothing panics while it holds this lock") = true;
            self.has_finished.notify_all();
            self.notices.push(Notice::Finished);
        }
    }
}

/// A worker holds at most so many unfinished batches. Its link has a claim cell for each, and
/// ring slots for these, the functions they name and some forgotten ones.
pub const MOST_UNFINISHED: u32 = 48;

const _: () = assert!((MOST_UNFINISHED as usize) < allcores_shm::CLAIM_CELLS);

/// A pool of workers. Dropping it lets what was submitted finish.
pub struct Pool {
    shared: Arc<Shared>,
    collector: Mutex<Option<JoinHandle<()>>>,
}

impl Pool {
    /// A pool without workers yet.
    pub fn new(mut config: PoolConfig) -> Result<Pool, EngineError> {
        let prefetch = &mut config.scheduler.max_prefetch;
        *prefetch = (*prefetch).min(MOST_UNFINISHED);
        let shared = Shared {
            core: Mutex::new(Core::new(config.scheduler)),
            ears: Mutex::new(Ears::default()),
            notices: Notices::default(),
            hub: Hub::new(config.link)?,
            finished: Mutex::new(false),
            has_finished: Condvar::new(),
        };
        Ok(Pool { shared: Arc::new(shared), collector: Mutex::new(None) })
    }

    /// Gives a batch to the pool; its outcome appears in the slot.
    pub fn submit(
        &self,
        function: Option<FnId>,
        tag: u32,
        count: u32,
        payload: Payload,
    ) -> Result<Arc<Slot>, SubmitError> {
        let terms = Terms::default();
        self.submit_on(Submission { function, tag, count, payload, terms })
    }

    /// The same, on terms of its own.
    pub fn submit_on(&self, what: Submission) -> Result<Arc<Slot>, SubmitError> {
        let mut fx = Effects::default();
        let slot = self.shared.lock().submit(what, &mut fx);
        // Whoever submits looks after wanted workers itself; no helper thread is needed.
        fx.notices.clear();
        self.shared.apply(&mut fx);
        slot
    }

    /// Has all workers started with the first batch instead of one by one.
    pub fn start_all_at_once(&self) {
        self.shared.lock().scheduler.start_all_at_once();
    }

    /// Whether the pool takes batches.
    pub fn check_open(&self) -> Result<(), SubmitError> {
        self.shared.lock().check_open()
    }

    /// Keeps a function's bytes; they go to each worker once, when a batch names them.
    pub fn register(&self, payload: impl Into<Payload>) -> FnId {
        self.shared.lock().register(payload.into())
    }

    /// No batch will name that function any more.
    pub fn forget(&self, function: FnId) {
        let mut fx = Effects::default();
        self.shared.lock().forget(function, &mut fx);
        self.shared.apply(&mut fx);
    }

    /// How many items the next batch of a map should hold.
    pub fn batch_size(&self, function: Option<FnId>, remaining: Option<u64>) -> u32 {
        self.shared.lock().scheduler.batch_size(function, remaining)
    }

    /// Waits until the batch is over or `timeout` has passed; whether it is over. Listens to
    /// the workers itself for a moment, if nobody else does.
    pub fn wait(&self, slot: &Slot, timeout: Option<Duration>) -> bool {
        if !slot.is_done() && timeout.is_none_or(|timeout| !timeout.is_zero()) {
            collector::serve(&self.shared, slot);
        }
        slot.wait(timeout)
    }

    /// The same, or until fewer than `few` of `tally`, which counts the batch, are under way; whether
    /// either is so.
    pub fn wait_or_few(
        &self,
        slot: &Slot,
        (tally, few): (&Tally, usize),
        timeout: Option<Duration>,
    ) -> bool {
        if !slot.is_done() && tally.under_way() >= few {
            collector::serve(&self.shared, slot);
        }
        tally.wait_below_or_done(few, slot, timeout)
    }

    /// Keeps a batch from starting; false when it has started or is over.
    pub fn cancel(&self, slot: &Slot) -> bool {
        let mut fx = Effects::default();
        let cancelled = self.shared.lock().cancel(slot.id(), &mut fx);
        self.shared.apply(&mut fx);
        cancelled
    }

    /// Cancels a batch even if it runs: it is over at once, its worker is killed with all that it has
    /// started, and replaced. False when it is over.
    pub fn stop(&self, slot: &Slot) -> bool {
        // What has arrived counts. A wake-up that was meant for the collector may be among it.
        self.shared.ears().hear_all(&self.shared);
        self.shared.hub.collector().wake();
        let mut fx = Effects::default();
        let stopped = self.shared.lock().stop(slot.id(), &mut fx);
        self.shared.apply(&mut fx);
        stopped
    }

    /// Fails every batch and kills every worker with all that it has started.
    pub fn end(&self) {
        let mut fx = Effects::default();
        self.shared.lock().end_all(&mut fx);
        self.shared.apply(&mut fx);
    }

    /// The most memory in bytes that a worker, alive or lost, has said to have had.
    pub fn peak_memory(&self, worker: WorkerId) -> Option<u64> {
        self.shared.lock().peak_memory(worker)
    }

    /// Whether a worker is running the batch now.
    pub fn is_running(&self, slot: &Slot) -> bool {
        !slot.is_done() && self.shared.lock().is_running(slot.id())
    }

    /// How many workers should be started now; asking takes the number away.
    pub fn take_workers_wanted(&self) -> u32 {
        self.shared.lock().take_workers_wanted()
    }

    /// A link for a worker that is about to be started, and the worker's end of it.
    /// `None`: no worker is wanted any more. An error breaks the pool, as any start that fails.
    pub fn open_link(&self) -> Result<Option<(WorkerId, OwnedFd)>, EngineError> {
        match self.shared.hub.open_link() {
            Ok((end, control)) => Ok(self.add_worker(end).map(|worker| (worker, control))),
            Err(error) => {
                let mut fx = Effects::default();
                self.shared.lock().on_link_failed(&mut fx);
                self.shared.apply(&mut fx);
                Err(error)
            }
        }
    }

    /// Adds a worker over a link made elsewhere (tests bring their own).
    pub fn add_worker(&self, end: ParentEnd) -> Option<WorkerId> {
        let worker = self.shared.lock().add_worker(end);
        self.shared.hub.collector().wake();
        worker
    }

    /// The process of that worker runs under this id.
    pub fn worker_started(&self, worker: WorkerId, pid: u32) {
        let mut fx = Effects::default();
        self.shared.lock().on_started(worker, pid, &mut fx);
        self.shared.apply(&mut fx);
    }

    /// What wakes this pool's collector; for links that have no descriptor.
    pub fn waker(&self) -> Waker {
        self.shared.hub.collector().clone()
    }

    /// The process of that worker could not be started.
    pub fn start_failed(&self, worker: WorkerId) {
        let mut fx = Effects::default();
        let mut core = self.shared.lock();
        core.on_start_failed(worker, &mut fx);
        core.on_lost(worker, &mut fx);
        drop(core);
        self.shared.apply(&mut fx);
    }

    /// Starts the collector thread. Until then answers lie where they are; a front end
    /// that forks does so before.
    pub fn start_collector(&self) -> Result<(), EngineError> {
        let collector = collector::start(Arc::clone(&self.shared))?;
        *self.collector() = Some(collector);
        Ok(())
    }

    /// Ends the collector thread; what workers say lies where it is until it is started again. For
    /// a pool that has nothing to do.
    pub fn rest(&self) {
        let Some(collector) = self.collector().take() else { return };
        self.shared.lock().rests = true;
        self.shared.hub.collector().wake();
        let _panicked = collector.join();
        self.shared.lock().rests = false;
    }

    /// Tells whoever takes notices that it is not needed any more, after what it was told before.
    pub fn dismiss(&self) {
        self.shared.notices.push(Notice::Dismissed);
    }

    /// Accepts no more batches; those it has are run, or cancelled if `cancel_pending`.
    pub fn shut_down(&self, cancel_pending: bool) {
        let mut fx = Effects::default();
        self.shared.lock().shut_down(cancel_pending, &mut fx);
        self.shared.apply(&mut fx);
    }

    /// Waits until all workers have gone after a shutdown, and the collector with them; whether they
    /// have.
    pub fn join(&self, timeout: Option<Duration>) -> bool {
        let deadline = clock::deadline(timeout);
        let poisoned = "nothing panics while it holds this lock";
        let mut finished = self.shared.finished.lock().expect(poisoned);
        while !*finished {
            let Some(left) = clock::left(deadline) else { return false };
            finished = match left {
                None => self.shared.has_finished.wait(finished).expect(poisoned),
                Some(left) => {
                    self.shared.has_finished.wait_timeout(finished, left).expect(poisoned).0
                }
            };
        }
        drop(finished);
        // Whoever has the ears may have slots in hand that are not completed yet.
        drop(self.shared.ears());
        // With no link left the collector ends; who forks next must not find its thread.
        if let Some(collector) = self.collector().take() {
            let _panicked = collector.join();
        }
        true
    }

    fn collector(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.collector.lock().expect("nothing panics while it holds this lock")
    }

    /// Signals every worker that is up; kills it with all that it has started.
    pub fn end_workers(&self, force: Force) {
        let pids = self.shared.lock().pids();
        for pid in pids {
            match force {
                Force::Terminate => supervisor::end_process(pid, force),
                Force::Kill => supervisor::end_tree(pid),
            }
        }
    }

    /// The parent's ends of all control sockets, which no forked child may keep open.
    pub fn control_fds(&self) -> Vec<RawFd> {
        self.shared.lock().control_fds()
    }

    /// What wakes the collector, which no forked child needs.
    pub fn waker_fds(&self) -> [RawFd; 2] {
        self.shared.hub.collector().fds()
    }

    /// Why the pool is broken, if it is.
    pub fn broken(&self) -> Option<Failure> {
        self.shared.lock().broken.clone()
    }

    /// What the first worker that could not get ready said of the reason.
    pub fn start_failure(&self) -> Option<Vec<u8>> {
        self.shared.lock().start_failure.clone()
    }

    /// From now on notices of workers are kept, not only those of watched slots.
    pub fn listen(&self) {
        self.shared.notices.listen();
    }

    /// The next notice; waits for it at most `timeout`.
    pub fn next_notice(&self, timeout: Option<Duration>) -> Option<Notice> {
        self.shared.notices.next(timeout)
    }

    /// How many bytes went to workers and came from them.
    pub fn traffic(&self) -> Traffic {
        self.shared.lock().traffic
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        self.shared.lock().scheduler.counts()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shut_down(false);
    }
}
