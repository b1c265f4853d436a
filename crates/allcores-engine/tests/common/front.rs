//! A front end: it starts the workers that a pool wants, reaps them, and remembers every notice.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use allcores_engine::link::local;
use allcores_engine::pool::Submission;
use allcores_engine::scheduler::{Config, OnLost};
use allcores_engine::slot::Outcome;
use allcores_engine::{
    BatchId, Failure, FnId, LinkKind, Notice, Pool, PoolConfig, Port, Slot, SubmitError, Terms,
    WorkerId,
};

use crate::common::place::{Gate, Running};
use crate::common::worker::Job;

/// Which links a pool has, and where its workers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Local,
    Thread(LinkKind),
    Process(LinkKind),
}

impl Way {
    fn kind(self) -> LinkKind {
        match self {
            Way::Local => LinkKind::Stream,
            Way::Thread(kind) | Way::Process(kind) => kind,
        }
    }
}

/// What a pool shall be like.
#[derive(Clone)]
pub(crate) struct Plan {
    way: Way,
    pub(crate) config: Config,
    /// What the first workers run, in order; all others are ordinary.
    programs: Vec<&'static str>,
}

impl Plan {
    pub(crate) fn new(way: Way) -> Plan {
        let take_back = way == Way::Local || way.kind() == LinkKind::Shm;
        let max_prefetch = if take_back { 48 } else { 1 };
        let config = Config { take_back, max_prefetch, ..Config::default() };
        Plan { way, config, programs: Vec::new() }
    }

    pub(crate) fn workers(mut self, max_workers: usize) -> Plan {
        self.config.max_workers = max_workers;
        self
    }

    pub(crate) fn on_lost(mut self, on_worker_lost: OnLost) -> Plan {
        self.config.on_worker_lost = on_worker_lost;
        self
    }

    /// The first worker runs that program (see the binary's `worker_process`).
    pub(crate) fn first_runs(mut self, program: &'static str) -> Plan {
        self.programs.push(program);
        self
    }

    pub(crate) fn open(self) -> Front {
        let pool = Pool::new(PoolConfig { scheduler: self.config, link: self.way.kind() });
        let shared = Arc::new(Shared {
            pool: pool.expect("a pool"),
            plan: self,
            workers: Mutex::default(),
            gates: Mutex::default(),
        });
        shared.pool.listen();
        shared.pool.start_collector().expect("a thread");
        let (heard, notices) = mpsc::channel();
        let helper = Arc::clone(&shared);
        let helper = std::thread::spawn(move || helper.listen(&heard));
        Front { shared, notices: Mutex::new(notices), helper }
    }
}

struct Shared {
    pool: Pool,
    plan: Plan,
    /// How many were started, and those not yet reaped.
    workers: Mutex<(usize, BTreeMap<WorkerId, Running>)>,
    /// By the number that the worker answers to `Job::Who`.
    gates: Mutex<BTreeMap<u64, Gate>>,
}

impl Shared {
    fn listen(&self, heard: &mpsc::Sender<Notice>) {
        loop {
            let notice = self.pool.next_notice(None).expect("without a limit one comes");
            match &notice {
                Notice::WorkersWanted => self.start_wanted(),
                Notice::WorkerGone(worker) => {
                    let gone = self.workers.lock().expect("no panic").1.remove(worker);
                    // However it ended: the pool has judged that.
                    let _ending = gone.map(Running::join);
                }
                Notice::Completed(_) | Notice::Said(..) | Notice::Dismissed | Notice::Finished => {}
            }
            // The test may have heard enough.
            let last = notice == Notice::Finished;
            let _gone = heard.send(notice);
            if last {
                return;
            }
        }
    }

    fn start_wanted(&self) {
        for _ in 0..self.pool.take_workers_wanted() {
            let mut workers = self.workers.lock().expect("no panic");
            let program = self.plan.programs.get(workers.0).copied().unwrap_or("ordinary");
            let Some((id, running, gate)) = self.start(workers.0 as u64, program) else { return };
            let number = match &running {
                Running::Process(child) => {
                    self.pool.worker_started(id, child.id());
                    child.id().into()
                }
                Running::Thread(_) => workers.0 as u64,
            };
            workers.0 += 1;
            self.gates.lock().expect("no panic").insert(number, gate);
            workers.1.insert(id, running);
        }
    }

    fn start(&self, number: u64, program: &str) -> Option<(WorkerId, Running, Gate)> {
        if self.plan.way == Way::Local {
            let (end, worker) = local::open(self.pool.waker());
            let id = self.pool.add_worker(end)?;
            let (running, gate) = Running::thread(number, || Port::over(Box::new(worker)));
            return Some((id, running, gate));
        }
        let kind = self.plan.way.kind();
        let (id, control): (WorkerId, OwnedFd) = self.pool.open_link().expect("a link")?;
        let (running, gate) = match self.plan.way {
            Way::Process(_) => Running::process(program, kind, control),
            _ => Running::thread(number, move || Port::attach(kind, control).expect("a link")),
        };
        Some((id, running, gate))
    }
}

/// A pool with its front end.
pub(crate) struct Front {
    shared: Arc<Shared>,
    /// Every notice, in order.
    notices: Mutex<mpsc::Receiver<Notice>>,
    helper: JoinHandle<()>,
}

impl Front {
    pub(crate) fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    pub(crate) fn submit(&self, job: Job, payload: &[u8]) -> Arc<Slot> {
        self.submit_call(None, job, payload)
    }

    pub(crate) fn submit_call(&self, what: Option<FnId>, job: Job, payload: &[u8]) -> Arc<Slot> {
        self.try_submit(what, job, payload).expect("the pool is open")
    }

    pub(crate) fn try_submit(
        &self,
        what: Option<FnId>,
        job: Job,
        payload: &[u8],
    ) -> Result<Arc<Slot>, SubmitError> {
        let (payload, terms) = (payload.to_vec().into(), Terms::default());
        let tag = job.tag();
        self.submit_on(Submission { function: what, tag, count: 1, payload, terms })
    }

    /// The same, for a batch of any kind.
    pub(crate) fn submit_on(&self, what: Submission) -> Result<Arc<Slot>, SubmitError> {
        let slot = self.pool().submit_on(what);
        self.shared.start_wanted();
        slot
    }

    /// The gate of the worker that answers `Job::Who` with that number.
    pub(crate) fn take_gate(&self, number: u64) -> Gate {
        self.shared.gates.lock().expect("no panic").remove(&number).expect("taken once")
    }

    /// A batch that a worker is in the middle of, and the gate that holds that worker.
    pub(crate) fn hold(&self, payload: &[u8]) -> (Arc<Slot>, u64, Gate) {
        let who = answer(&self.submit(Job::Who, b""));
        let number = u64::from_le_bytes(who.try_into().expect("a number"));
        let slot = self.submit(Job::Hold, payload);
        let mut gate = self.take_gate(number);
        gate.entered();
        (slot, number, gate)
    }

    /// How many workers were started.
    pub(crate) fn started(&self) -> usize {
        self.shared.workers.lock().expect("no panic").0
    }

    /// Shuts down, and waits for all that is left.
    pub(crate) fn close(self) {
        drop(self.close_and_hear());
    }

    /// The same; every notice that nobody has heard yet.
    pub(crate) fn close_and_hear(self) -> mpsc::Receiver<Notice> {
        self.pool().shut_down(false);
        assert!(self.pool().join(None));
        self.helper.join().expect("the front end does not panic");
        self.notices.into_inner().expect("no panic")
    }

    /// Waits for the next notice for which `wanted` holds.
    pub(crate) fn heard(&self, wanted: impl Fn(&Notice) -> bool) -> Notice {
        let notices = self.notices.lock().expect("no panic");
        let notice = notices.iter().find(|notice| wanted(notice));
        notice.expect("it comes before the last one")
    }
}

/// How a batch ended.
pub(crate) fn outcome(slot: &Slot) -> Outcome {
    assert!(slot.wait(None));
    slot.take().expect("taken once")
}

/// What a batch answered.
pub(crate) fn answer(slot: &Slot) -> Vec<u8> {
    match outcome(slot) {
        Outcome::Answer { body, .. } => body.to_vec(),
        other => panic!("{} should have an answer, not {other:?}", slot.id()),
    }
}

/// Why a batch failed.
pub(crate) fn failure(slot: &Slot) -> Failure {
    match outcome(slot) {
        Outcome::Failed(failure, _) => failure,
        other => panic!("{} should fail, not {other:?}", slot.id()),
    }
}

/// The batches that were said to be completed, of all notices to the end.
pub(crate) fn completed(notices: &mpsc::Receiver<Notice>) -> Vec<BatchId> {
    let all = notices.iter().filter_map(|notice| match notice {
        Notice::Completed(batch) => Some(batch),
        _ => None,
    });
    all.collect()
}
