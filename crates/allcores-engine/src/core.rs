//! What the core lock protects: the scheduler, the links' speaking halves, the batches.
//!
//! The scheduler decides and this carries out. Nothing here blocks, and nothing that
//! might (waking a peer, completing a slot, signalling a process) happens under the lock:
//! it is put into [`Effects`] and done by the caller after unlocking.

mod careful;
mod functions;

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use allcores_shm::ShmError;

use crate::batch::{Batch, Cost, Items};
use crate::care::{Care, Terms};
use crate::clock;
use crate::error::{EngineError, Failure, SubmitError};
use crate::ids::{BatchId, FnId, IdMap, Instance, WorkerId};
use crate::limits::Limits;
use crate::link::{Answer, LinkKind, ParentEnd, Receiver, Sender, Task, Wake};
use crate::notices::Notice;
use crate::payload::Payload;
use crate::scheduler::{Action, BrokenReason, CancelStep, Config, FailReason, OnLost, Scheduler};
use crate::slot::{Asked, Outcome, Slot};
use crate::table::BatchTable;
use crate::traffic::Traffic;
use functions::{Function, send_over};

/// Of so many lost workers it is kept how much memory they have had.
const MOST_PEAKS: usize = 1_000;

/// Words of a worker beyond this size are cut off.
const MOST_SAID: usize = 16 << 20;

/// A payload up to this size stays with the news that a worker ended over it, to be described.
const MOST_KEPT: u64 = 256 * 1024;

/// What is left to do once the lock is free.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) done: Vec<(Arc<Slot>, Outcome)>,
    pub(crate) sleepers: Vec<Arc<dyn Wake>>,
    pub(crate) notices: Vec<Notice>,
    /// Processes that get SIGTERM.
    pub(crate) end: Vec<u32>,
    /// Processes that get SIGKILL, with all that they have started.
    pub(crate) kill: Vec<u32>,
    pub(crate) finished: bool,
    /// The collector sleeps too long.
    pub(crate) wake_collector: bool,
    /// Parcels that nobody needs any more: letting go of them may take a while.
    pub(crate) spent: Vec<Payload>,
}

struct Entry {
    slot: Arc<Slot>,
    function: Option<FnId>,
    tag: u32,
    payload: Payload,
    care: Option<Box<Care>>,
}

struct WorkerLink {
    sender: Box<dyn Sender>,
    functions: HashSet<FnId>,
    pid: Option<u32>,
    /// It has said that it could not get ready.
    start_failed: bool,
    /// It will be killed.
    condemned: bool,
    touched: bool,
}

/// One task as the front end gives it.
#[derive(Debug)]
pub struct Submission {
    /// The registered function, if any.
    pub function: Option<FnId>,
    /// The front end's word about the payload.
    pub tag: u32,
    /// How many items it holds.
    pub count: u32,
    /// Its bytes.
    pub payload: Payload,
    /// What holds for its items.
    pub terms: Terms,
}

pub(crate) struct Core {
    pub(crate) scheduler: Scheduler,
    entries: BatchTable<Entry>,
    functions: IdMap<FnId, Function>,
    links: IdMap<WorkerId, WorkerLink>,
    /// Listening halves the collector has not taken over yet.
    pub(crate) newcomers: Vec<(WorkerId, Box<dyn Receiver>)>,
    /// Workers that have to end and whose processes are not known yet; whether they are killed.
    doomed: Vec<(WorkerId, bool)>,
    /// All batches are careful ones.
    always_careful: bool,
    pub(crate) limits: Limits,
    pub(crate) traffic: Traffic,
    /// The most memory that lost workers have had, the last ones.
    peaks: VecDeque<(WorkerId, u64)>,
    actions: Vec<Action>,
    touched: Vec<WorkerId>,
    next_batch: u64,
    next_function: u32,
    workers_wanted: u32,
    pub(crate) shut_down: bool,
    pub(crate) broken: Option<Failure>,
    pub(crate) start_failure: Option<Vec<u8>>,
    pub(crate) finished: bool,
    /// The collector is to leave, until there is another.
    pub(crate) rests: bool,
}

impl Core {
    pub(crate) fn new(config: Config) -> Core {
        Core {
            scheduler: Scheduler::new(config),
            entries: BatchTable::default(),
            functions: IdMap::default(),
            links: IdMap::default(),
            newcomers: Vec::new(),
            doomed: Vec::new(),
            always_careful: config.on_worker_lost == OnLost::Replace,
            limits: Limits::default(),
            traffic: Traffic::default(),
            peaks: VecDeque::new(),
            actions: Vec::new(),
            touched: Vec::new(),
            next_batch: 0,
            next_function: 0,
            workers_wanted: 0,
            shut_down: false,
            broken: None,
            start_failure: None,
            finished: false,
            rests: false,
        }
    }

    pub(crate) fn check_open(&self) -> Result<(), SubmitError> {
        if let Some(failure) = &self.broken {
            return Err(SubmitError::Broken(failure.clone()));
        }
        if self.shut_down { Err(SubmitError::ShutDown) } else { Ok(()) }
    }

    pub(crate) fn submit(
        &mut self,
        what: Submission,
        fx: &mut Effects,
    ) -> Result<Arc<Slot>, SubmitError> {
        self.check_open()?;
        let id = BatchId(self.next_batch);
        self.next_batch += 1;
        let batch = Batch {
            id,
            function: what.function,
            count: what.count,
            bytes: what.payload.weight(),
            instance: Instance(0),
            retries: what.terms.retries,
            retry_timeouts: what.terms.retry_timeouts,
        };
        let careful = self.always_careful || what.terms.limit.is_some();
        let slot = Arc::new(Slot::new(id));
        for id in what.function.iter().chain(what.payload.needs()) {
            if let Some(function) = self.functions.get_mut(id) {
                function.unfinished += 1;
            }
        }
        let entry = Entry {
            slot: Arc::clone(&slot),
            function: what.function,
            tag: what.tag,
            payload: what.payload,
            care: careful.then(|| Box::new(Care::new(&what.terms))),
        };
        self.limits.begin(&what.terms);
        self.entries.insert(id, entry);
        self.scheduler.on_submit(batch, &mut self.actions);
        self.carry_out(fx);
        Ok(slot)
    }

    /// Keeps a batch from starting. One has started even if no worker has it, because the one that
    /// had was lost, and what it left is to be sent.
    pub(crate) fn cancel(&mut self, batch: BatchId, fx: &mut Effects) -> bool {
        !self.scheduler.has_begun(batch) && self.withdraw(batch, fx)
    }

    /// Cancels a batch that is with no worker, or can be had back.
    fn withdraw(&mut self, batch: BatchId, fx: &mut Effects) -> bool {
        let cancelled = match self.scheduler.on_cancel(batch, &mut self.actions) {
            CancelStep::Cancelled => true,
            CancelStep::AskWorker { worker, instance } => {
                let link = self.links.get_mut(&worker);
                let ok = link.is_some_and(|link| link.sender.cancel(batch, instance));
                self.scheduler.on_cancel_result(batch, ok, &mut self.actions);
                ok
            }
            CancelStep::TooLate | CancelStep::Unknown => false,
        };
        self.carry_out(fx);
        cancelled
    }

    pub(crate) fn is_running(&self, batch: BatchId) -> bool {
        self.entries.contains(batch)
            && self.links.values().any(|link| link.sender.has_started(batch))
    }

    pub(crate) fn shut_down(&mut self, cancel_pending: bool, fx: &mut Effects) {
        self.shut_down = true;
        self.scheduler.on_shutdown(cancel_pending, &mut self.actions);
        self.carry_out(fx);
    }

    /// `None`: the worker is not wanted any more.
    pub(crate) fn add_worker(&mut self, end: ParentEnd) -> Option<WorkerId> {
        let worker = self.scheduler.on_worker_starting()?;
        let link = WorkerLink {
            sender: end.sender,
            functions: HashSet::new(),
            pid: None,
            start_failed: false,
            condemned: false,
            touched: false,
        };
        self.links.insert(worker, link);
        self.newcomers.push((worker, end.receiver));
        Some(worker)
    }

    /// The process of `worker` runs under this id.
    pub(crate) fn on_started(&mut self, worker: WorkerId, pid: u32, fx: &mut Effects) {
        if let Some(at) = self.doomed.iter().position(|(doomed, _)| *doomed == worker) {
            let (_, kill) = self.doomed.swap_remove(at);
            if kill { fx.kill.push(pid) } else { fx.end.push(pid) }
        }
        if let Some(link) = self.links.get_mut(&worker) {
            link.pid = Some(pid);
            match &self.broken {
                None => {}
                Some(Failure::Ended | Failure::Engine(_)) => fx.kill.push(pid),
                Some(_) => fx.end.push(pid),
            }
        }
    }

    /// A worker was wanted, and not even a link to it could be made.
    pub(crate) fn on_link_failed(&mut self, fx: &mut Effects) {
        if let Some(worker) = self.scheduler.on_worker_starting() {
            self.scheduler.on_worker_start_failed(worker, &mut self.actions);
            self.scheduler.on_worker_lost(worker, &[], &mut self.actions);
            self.carry_out(fx);
        }
    }

    /// The process of `worker` could not be started at all.
    pub(crate) fn on_start_failed(&mut self, worker: WorkerId, fx: &mut Effects) {
        self.scheduler.on_worker_start_failed(worker, &mut self.actions);
        self.carry_out(fx);
    }

    pub(crate) fn on_answer(&mut self, worker: WorkerId, answer: Answer, fx: &mut Effects) {
        match answer {
            Answer::Ready => self.scheduler.on_worker_ready(worker, &mut self.actions),
            Answer::Done { batch, instance, tag, busy, body } => {
                if let Some(link) = self.links.get_mut(&worker) {
                    link.sender.answered(batch, instance);
                }
                self.traffic.came(&body);
                self.traffic.busy = self.traffic.busy.saturating_add(busy);
                let bytes = body.weight() + self.arrived(batch);
                let cost = Cost { busy, bytes };
                let verdict =
                    self.scheduler.on_done(worker, batch, instance, cost, &mut self.actions);
                self.on_verdict(verdict, batch, tag, body, fx);
            }
            Answer::Part { batch, instance, tag, stop, body } => {
                self.traffic.came(&body);
                self.on_part(worker, (batch, instance), (tag, stop), body, fx);
            }
            Answer::Retire => self.scheduler.on_retire(worker, &mut self.actions),
            Answer::Said { body } => fx.notices.push(Notice::Said(worker, body.first(MOST_SAID))),
            Answer::Skipped { batch, instance } => {
                if let Some(link) = self.links.get_mut(&worker) {
                    link.sender.answered(batch, instance);
                }
                self.scheduler.on_skipped(worker, batch, instance, &mut self.actions);
            }
            Answer::StartFailed { body } => {
                // The pool breaks when the worker has gone, so that it may end in peace: what it
                // has logged about the failure is still on its way.
                self.start_failure.get_or_insert_with(|| body.first(MOST_SAID));
                if let Some(link) = self.links.get_mut(&worker) {
                    link.start_failed = true;
                }
            }
        }
        self.carry_out(fx);
    }

    pub(crate) fn on_tick(&mut self, fx: &mut Effects) {
        self.scheduler.on_tick(&mut self.actions);
        self.carry_out(fx);
    }

    /// That worker's process has to end, whatever it does.
    pub(crate) fn end_process(&mut self, worker: WorkerId, fx: &mut Effects) {
        match self.links.get(&worker).map(|link| link.pid) {
            Some(Some(pid)) => fx.end.push(pid),
            Some(None) => self.doomed.push((worker, false)),
            None => {}
        }
    }

    pub(crate) fn on_lost(&mut self, worker: WorkerId, fx: &mut Effects) {
        let Some(mut link) = self.links.remove(&worker) else { return };
        // First: what has not started by now never will, even if the process lives on.
        link.sender.close();
        let claimed = self.claimed(&*link.sender);
        if let Some(peak) = link.sender.peak() {
            self.peaks.push_back((worker, peak));
            if self.peaks.len() > MOST_PEAKS {
                self.peaks.pop_front();
            }
        }
        if link.start_failed {
            self.scheduler.on_worker_start_failed(worker, &mut self.actions);
        }
        self.scheduler.on_worker_lost(worker, &claimed, &mut self.actions);
        fx.notices.push(Notice::WorkerGone(worker));
        self.carry_out(fx);
    }

    /// Parcels were let go of: workers need not keep their memory.
    pub(crate) fn tidy(&mut self) {
        for link in self.links.values_mut() {
            link.sender.tidy();
        }
    }

    /// How many workers the front end should start now; asking takes the number away.
    pub(crate) fn take_workers_wanted(&mut self) -> u32 {
        std::mem::take(&mut self.workers_wanted)
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.links.values().filter_map(|link| link.pid).collect()
    }

    pub(crate) fn control_fds(&self) -> Vec<RawFd> {
        self.links.values().filter_map(|link| link.sender.fd().map(|fd| fd.as_raw_fd())).collect()
    }

    pub(crate) fn write_on(&mut self, worker: WorkerId) -> bool {
        self.links.get_mut(&worker).is_some_and(|link| link.sender.write_on())
    }

    fn carry_out(&mut self, fx: &mut Effects) {
        let mut next = 0;
        while let Some(action) = self.actions.get(next).cloned() {
            next += 1;
            match action {
                Action::Spawn => {
                    self.workers_wanted += 1;
                    fx.notices.push(Notice::WorkersWanted);
                }
                Action::Send { worker, batch, instance, items } => {
                    self.send(worker, (batch, instance), items, fx);
                }
                Action::TakeBack { worker, batch, instance } => {
                    let link = self.links.get_mut(&worker);
                    let ok = link.is_some_and(|link| link.sender.cancel(batch, instance));
                    self.scheduler.on_taken_back(worker, batch, instance, ok, &mut self.actions);
                }
                Action::Stop { worker } => {
                    if let Some(link) = self.links.get_mut(&worker) {
                        // A peer that has gone has stopped.
                        let _gone = link.sender.send_stop();
                        touch(&mut self.touched, worker, link);
                    }
                }
                Action::Fail { batch, why } => {
                    let failure = self.failure(why);
                    self.end(batch, Outcome::Failed(failure, None), fx);
                }
                Action::FailItems { batch, items, why } => {
                    let failure = self.failure(why);
                    if let Some(care) = self.care(batch) {
                        care.failed(items, &failure);
                    }
                }
                Action::Over { batch } => self.over(batch, fx),
                Action::Cancelled { batch } => self.end(batch, Outcome::Cancelled, fx),
                Action::Broken { why } => self.on_broken(why, fx),
                Action::Finished => {
                    self.finished = true;
                    fx.finished = true;
                }
            }
        }
        self.actions.clear();
        self.collect_sleepers(fx);
    }

    fn send(
        &mut self,
        worker: WorkerId,
        (batch, instance): (BatchId, Instance),
        items: Items,
        fx: &mut Effects,
    ) {
        let (Some(link), Some(entry)) = (self.links.get_mut(&worker), self.entries.get_mut(batch))
        else {
            return;
        };
        if let Some(care) = &mut entry.care {
            let now_ns = care.limit_ns.map_or(0, |_| clock::now_ns());
            care.sent(instance, items, now_ns);
            fx.wake_collector |= self.limits.sent(care.limit_ns, now_ns);
        }
        touch(&mut self.touched, worker, link);
        let task = Task {
            batch,
            instance,
            function: entry.function,
            tag: entry.tag,
            items,
            careful: entry.care.is_some(),
        };
        let sent = send_over(link, &task, &entry.payload, &self.functions, &mut self.traffic);
        match sent {
            // Whoever has gone is reported by the collector, and then the scheduler
            // decides what becomes of its batches.
            Ok(()) | Err(EngineError::Closed) => {}
            // Credit keeps a ring from being full, so its reader wrote nonsense: it counts as gone.
            Err(EngineError::Shm(ShmError::Ring(_))) => link.sender.close(),
            Err(error) => {
                let reason = error.to_string().into();
                self.scheduler.on_not_sent(worker, batch, instance, &mut self.actions);
                self.end(batch, Outcome::Failed(Failure::NotSent { batch, reason }, None), fx);
            }
        }
    }

    fn end(&mut self, batch: BatchId, outcome: Outcome, fx: &mut Effects) {
        let Some(entry) = self.entries.remove(batch) else { return };
        if let Some(care) = &entry.care {
            self.limits.end(care.limit_ns);
        }
        self.need_no_more(entry.function.iter().chain(entry.payload.needs()));
        let mut payload = Some(entry.payload);
        let outcome = match outcome {
            Outcome::Failed(failure, None) if failure.is_about_its_worker() => {
                let limit = entry.care.and_then(|care| care.limit_ns).map(Duration::from_nanos);
                let payload = payload.take_if(|payload| payload.weight() <= MOST_KEPT);
                Outcome::Failed(failure, Some(Box::new(Asked { payload, limit })))
            }
            other => other,
        };
        fx.spent.extend(payload.filter(|payload| !payload.parcels().is_empty()));
        fx.done.push((entry.slot, outcome));
    }

    fn on_broken(&mut self, why: BrokenReason, fx: &mut Effects) {
        let failure = match why {
            BrokenReason::WorkerLost { worker } => Failure::PoolBroken { worker },
            BrokenReason::StartFailed { worker } | BrokenReason::WorkersKeepDying { worker } => {
                Failure::StartFailed { worker }
            }
            BrokenReason::Ended => Failure::Ended,
        };
        self.broken.get_or_insert(failure);
        if why == BrokenReason::Ended {
            // All are killed by `ended`.
            return;
        }
        // As the standard pool does: a worker in the middle of a task would keep the
        // broken pool alive for as long as that task takes.
        fx.end.extend(self.pids());
    }

    fn failure(&self, why: FailReason) -> Failure {
        match why {
            FailReason::WorkerLost { worker } => Failure::WorkerLost { worker },
            FailReason::PoolBroken { worker } => Failure::PoolBroken { worker },
            FailReason::StartFailed { worker } | FailReason::WorkersKeepDying { worker } => {
                Failure::StartFailed { worker }
            }
            FailReason::LostUnread { worker } => Failure::LostUnread { worker },
            FailReason::TimedOut { worker } => Failure::TimedOut { worker },
            FailReason::Ended => Failure::Ended,
            FailReason::ShutDown => Failure::ShutDown,
        }
    }

    fn collect_sleepers(&mut self, fx: &mut Effects) {
        for worker in self.touched.drain(..) {
            if let Some(link) = self.links.get_mut(&worker) {
                link.touched = false;
                fx.sleepers.extend(link.sender.sleeper());
            }
        }
    }
}

fn touch(touched: &mut Vec<WorkerId>, worker: WorkerId, link: &mut WorkerLink) {
    if !link.touched {
        link.touched = true;
        touched.push(worker);
    }
}

/// What a pool is made of.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// The scheduler's part.
    pub scheduler: Config,
    /// Which links it uses.
    pub link: LinkKind,
}
