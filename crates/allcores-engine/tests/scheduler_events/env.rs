//! A scheduler that is driven by hand, and short names for what it may ask for.

use std::ops::Range;
use std::time::Duration;

use allcores_engine::batch::{Batch, Cost, Items};
use allcores_engine::ids::{BatchId, FnId, Instance, WorkerId};
use allcores_engine::scheduler::{
    Action, BrokenReason, CancelStep, Claimed, Config, Counts, FailReason, OnLost, Ran, Scheduler,
    Verdict,
};

/// Compares the actions of one event with exactly those that are named.
macro_rules! gives {
    ($event:expr $(, $action:expr)* $(,)?) => {
        assert_eq!($event, Vec::<allcores_engine::scheduler::Action>::from([$($action),*]))
    };
}
pub(crate) use gives;

/// Long enough that a worker holds one waiting batch at most, and that moving it is worth while.
pub(crate) const LONG: Duration = Duration::from_millis(4);

pub(crate) struct TestEnv {
    pub(crate) scheduler: Scheduler,
}

/// A pool of so many workers that are started on demand.
pub(crate) fn pool_of(max_workers: usize) -> TestEnv {
    TestEnv::new(Config { max_workers, ..Config::default() })
}

/// The same, with a pool that outlives its workers.
pub(crate) fn lasting_pool_of(max_workers: usize) -> TestEnv {
    let on_worker_lost = OnLost::Replace;
    TestEnv::new(Config { max_workers, on_worker_lost, ..Config::default() })
}

pub(crate) fn plain(id: u64) -> Batch {
    Batch {
        id: BatchId(id),
        function: None,
        count: 1,
        bytes: 100,
        instance: Instance::FIRST,
        retries: 0,
        retry_timeouts: false,
    }
}

pub(crate) fn of_function(function: u32, id: u64, count: u32) -> Batch {
    Batch { function: Some(FnId(function)), count, ..plain(id) }
}

impl TestEnv {
    pub(crate) fn new(config: Config) -> Self {
        Self { scheduler: Scheduler::new(config) }
    }

    fn event(&mut self, event: impl FnOnce(&mut Scheduler, &mut Vec<Action>)) -> Vec<Action> {
        let mut out = Vec::new();
        event(&mut self.scheduler, &mut out);
        self.scheduler.sanity_check();
        out
    }

    /// So many workers are ready and idle; what they were started for was cancelled.
    pub(crate) fn with_ready_workers(mut self, workers: u32) -> Self {
        let first = 1_000_000;
        for worker in 0..workers {
            gives!(self.submit(first + u64::from(worker)), Action::Spawn);
            self.starting();
        }
        for worker in 0..workers {
            let id = first + u64::from(worker);
            assert_eq!(self.cancel(id), (CancelStep::Cancelled, vec![cancelled(id)]));
        }
        for worker in 0..workers {
            gives!(self.ready(worker));
        }
        self
    }

    /// The one shared slot of batches without a function has learned this duration.
    pub(crate) fn with_known_duration(mut self, busy: Duration) -> Self {
        gives!(self.submit(2_000_000), send(0, 2_000_000));
        gives!(self.done_in(0, 2_000_000, busy));
        self
    }

    pub(crate) fn submit(&mut self, id: u64) -> Vec<Action> {
        self.submit_batch(plain(id))
    }

    pub(crate) fn submit_batch(&mut self, batch: Batch) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_submit(batch, out))
    }

    pub(crate) fn starting(&mut self) -> WorkerId {
        let worker = self.scheduler.on_worker_starting();
        self.scheduler.sanity_check();
        worker.expect("the worker is wanted")
    }

    pub(crate) fn ready(&mut self, worker: u32) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_worker_ready(WorkerId(worker), out))
    }

    pub(crate) fn start_failed(&mut self, worker: u32) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_worker_start_failed(WorkerId(worker), out))
    }

    pub(crate) fn done(&mut self, worker: u32, batch: u64) -> Vec<Action> {
        self.done_in(worker, batch, LONG)
    }

    pub(crate) fn done_in(&mut self, worker: u32, batch: u64, busy: Duration) -> Vec<Action> {
        self.done_as(worker, batch, 0, busy)
    }

    /// The answer is so large.
    pub(crate) fn done_with(
        &mut self,
        worker: u32,
        batch: u64,
        busy: Duration,
        bytes: u64,
    ) -> Vec<Action> {
        let (worker, batch) = (WorkerId(worker), BatchId(batch));
        self.event(|scheduler, out| {
            scheduler.on_done(worker, batch, Instance::FIRST, Cost { busy, bytes }, out);
        })
    }

    pub(crate) fn done_as(
        &mut self,
        worker: u32,
        batch: u64,
        instance: u32,
        busy: Duration,
    ) -> Vec<Action> {
        let (worker, batch, instance) = (WorkerId(worker), BatchId(batch), Instance(instance));
        self.event(|scheduler, out| {
            let verdict = scheduler.on_done(worker, batch, instance, Cost::of_time(busy), out);
            assert_ne!(verdict, Verdict::Late, "the answer counts");
        })
    }

    pub(crate) fn late_answer(&mut self, worker: u32, batch: u64, instance: u32) -> Vec<Action> {
        let (worker, batch, instance) = (WorkerId(worker), BatchId(batch), Instance(instance));
        self.event(|scheduler, out| {
            let verdict = scheduler.on_done(worker, batch, instance, Cost::of_time(LONG), out);
            assert_eq!(verdict, Verdict::Late, "the answer is late");
        })
    }

    pub(crate) fn skipped(&mut self, worker: u32, batch: u64) -> Vec<Action> {
        let (worker, batch) = (WorkerId(worker), BatchId(batch));
        self.event(|scheduler, out| scheduler.on_skipped(worker, batch, Instance::FIRST, out))
    }

    pub(crate) fn not_sent(&mut self, worker: u32, batch: u64) -> Vec<Action> {
        let (worker, batch) = (WorkerId(worker), BatchId(batch));
        self.event(|scheduler, out| scheduler.on_not_sent(worker, batch, Instance::FIRST, out))
    }

    pub(crate) fn cancel(&mut self, batch: u64) -> (CancelStep, Vec<Action>) {
        let mut step = None;
        let out =
            self.event(|scheduler, out| step = Some(scheduler.on_cancel(BatchId(batch), out)));
        (step.expect("the event ran"), out)
    }

    pub(crate) fn cancel_result(&mut self, batch: u64, ok: bool) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_cancel_result(BatchId(batch), ok, out))
    }

    pub(crate) fn taken_back(&mut self, worker: u32, batch: u64, ok: bool) -> Vec<Action> {
        let (worker, batch, first) = (WorkerId(worker), BatchId(batch), Instance::FIRST);
        self.event(|scheduler, out| scheduler.on_taken_back(worker, batch, first, ok, out))
    }

    pub(crate) fn lost(&mut self, worker: u32, claimed: &[u64]) -> Vec<Action> {
        let whole = |batch: &u64| Claimed { batch: BatchId(*batch), ran: Ran::Whole };
        let claimed: Vec<Claimed> = claimed.iter().map(whole).collect();
        self.event(|scheduler, out| scheduler.on_worker_lost(WorkerId(worker), &claimed, out))
    }

    /// A worker ends that had come so far with a batch.
    pub(crate) fn lost_in(&mut self, worker: u32, batch: u64, ran: Ran) -> Vec<Action> {
        let claimed = [Claimed { batch: BatchId(batch), ran }];
        self.event(|scheduler, out| scheduler.on_worker_lost(WorkerId(worker), &claimed, out))
    }

    pub(crate) fn verdict(&mut self, worker: u32, batch: u64, instance: u32) -> Verdict {
        let (worker, batch, instance) = (WorkerId(worker), BatchId(batch), Instance(instance));
        let mut verdict = Verdict::Late;
        self.event(|scheduler, out| {
            verdict = scheduler.on_done(worker, batch, instance, Cost::of_time(LONG), out);
        });
        verdict
    }

    pub(crate) fn arrested(&mut self, worker: u32) -> (bool, Vec<Action>) {
        let mut can_be = false;
        let out =
            self.event(|scheduler, out| can_be = scheduler.on_arrested(WorkerId(worker), out));
        (can_be, out)
    }

    pub(crate) fn pardoned(&mut self, worker: u32) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_pardoned(WorkerId(worker), out))
    }

    pub(crate) fn stopped(&mut self, worker: u32, batch: u64) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_stopped(WorkerId(worker), BatchId(batch), out))
    }

    pub(crate) fn timed_out(&mut self, worker: u32) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_timed_out(WorkerId(worker), out))
    }

    pub(crate) fn retire(&mut self, worker: u32) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_retire(WorkerId(worker), out))
    }

    pub(crate) fn ended(&mut self) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_ended(out))
    }

    pub(crate) fn tick(&mut self) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_tick(out))
    }

    pub(crate) fn shut_down(&mut self) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_shutdown(false, out))
    }

    pub(crate) fn shut_down_and_cancel(&mut self) -> Vec<Action> {
        self.event(|scheduler, out| scheduler.on_shutdown(true, out))
    }

    pub(crate) fn counts(&self) -> Counts {
        self.scheduler.counts()
    }
}

pub(crate) fn send(worker: u32, batch: u64) -> Action {
    send_again(worker, batch, 0)
}

pub(crate) fn send_again(worker: u32, batch: u64, instance: u32) -> Action {
    send_items(worker, batch, instance, 0..1)
}

pub(crate) fn send_items(worker: u32, batch: u64, instance: u32, items: Range<u32>) -> Action {
    Action::Send {
        worker: WorkerId(worker),
        batch: BatchId(batch),
        instance: Instance(instance),
        items: Items { start: items.start, stop: items.end },
    }
}

pub(crate) fn fail_items(batch: u64, items: Range<u32>, why: FailReason) -> Action {
    let items = Items { start: items.start, stop: items.end };
    Action::FailItems { batch: BatchId(batch), items, why }
}

pub(crate) fn over(batch: u64) -> Action {
    Action::Over { batch: BatchId(batch) }
}

pub(crate) fn take_back(worker: u32, batch: u64) -> Action {
    take_back_again(worker, batch, 0)
}

pub(crate) fn take_back_again(worker: u32, batch: u64, instance: u32) -> Action {
    Action::TakeBack {
        worker: WorkerId(worker),
        batch: BatchId(batch),
        instance: Instance(instance),
    }
}

pub(crate) fn stop(worker: u32) -> Action {
    Action::Stop { worker: WorkerId(worker) }
}

pub(crate) fn cancelled(batch: u64) -> Action {
    Action::Cancelled { batch: BatchId(batch) }
}

pub(crate) fn fail(batch: u64, why: FailReason) -> Action {
    Action::Fail { batch: BatchId(batch), why }
}

pub(crate) fn fail_lost(batch: u64, worker: u32) -> Action {
    fail(batch, FailReason::WorkerLost { worker: WorkerId(worker) })
}

pub(crate) fn broken_lost(worker: u32) -> Action {
    Action::Broken { why: BrokenReason::WorkerLost { worker: WorkerId(worker) } }
}
