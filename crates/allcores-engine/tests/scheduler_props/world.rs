//! Workers that start slowly, claim, finish, skip and die, and a pool that carries out actions with
//! some delay.
//!
//! Checked here, from outside: a batch ends once and is claimed at most once; work goes only to
//! workers that are ready and were not told to stop, within their credit; no more workers than
//! allowed; `Finished` comes once, and nothing after it. What can be seen only from inside is
//! checked by `sanity_check` after every event.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use allcores_engine::batch::Batch;
use allcores_engine::ids::{BatchId, FnId, Instance, WorkerId};
use allcores_engine::scheduler::{Action, CancelStep, Config, Scheduler};

type Given = (BatchId, Instance);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Queued,
    Claimed,
    Cancelled,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Done(Given, Duration),
    Skipped(Given),
}

#[derive(Debug, Default)]
struct SimWorker {
    ready: bool,
    dead: bool,
    told_to_stop: bool,
    sees_stop: bool,
    ring: VecDeque<Given>,
    cells: HashMap<Given, Cell>,
    running: Option<Given>,
    answers: VecDeque<Answer>,
    /// Descriptors sent and neither done nor skipped as far as the pool knows.
    credit_used: usize,
    /// Batches sent and not skipped.
    tasks: u32,
}

#[derive(Debug, Default)]
struct Fate {
    ends: u32,
    claims: u32,
    sent_as: Option<Instance>,
}

pub(crate) struct World {
    pub(crate) scheduler: Scheduler,
    config: Config,
    /// Take-backs are answered while the actions are carried out, as the pool does, or some time
    /// later.
    immediate: bool,
    spawns: usize,
    workers: BTreeMap<WorkerId, SimWorker>,
    batches: Vec<Fate>,
    asked: Vec<(WorkerId, Given)>,
    cancels: Vec<(BatchId, bool)>,
    shut_down: bool,
    broken: bool,
    finished: bool,
}

impl World {
    pub(crate) fn new(config: Config, immediate: bool) -> Self {
        Self {
            scheduler: Scheduler::new(config),
            config,
            immediate,
            spawns: 0,
            workers: BTreeMap::new(),
            batches: Vec::new(),
            asked: Vec::new(),
            cancels: Vec::new(),
            shut_down: false,
            broken: false,
            finished: false,
        }
    }

    fn event<R>(&mut self, event: impl FnOnce(&mut Scheduler, &mut Vec<Action>) -> R) -> R {
        let mut actions = Vec::new();
        let result = event(&mut self.scheduler, &mut actions);
        self.scheduler.sanity_check();
        let mut at = 0;
        while let Some(&action) = actions.get(at) {
            at += 1;
            assert!(!self.finished || matches!(action, Action::Fail { .. }), "{action:?} late");
            self.carry_out(action, &mut actions);
        }
        self.check_limits();
        result
    }

    fn carry_out(&mut self, action: Action, more: &mut Vec<Action>) {
        match action {
            Action::Spawn => {
                assert!(!self.broken, "a broken pool starts nobody");
                self.spawns += 1;
                let living = self.workers.len() + self.spawns;
                assert!(living <= self.config.max_workers, "too many workers");
            }
            Action::Send { worker, batch, instance } => self.send(worker, (batch, instance)),
            Action::TakeBack { worker, batch, instance } => {
                assert!(self.config.take_back, "this link takes nothing back");
                let ask = (worker, (batch, instance));
                assert!(!self.asked.contains(&ask), "asked twice at a time: {ask:?}");
                self.asked.push(ask);
                if self.immediate {
                    let last = self.asked.len() - 1;
                    self.take_back(last, more);
                }
            }
            Action::Stop { worker } => {
                let broken = self.broken;
                let sim = self.workers.get_mut(&worker).expect("stops the living");
                assert!(sim.ready && !sim.told_to_stop, "stops a ready worker once");
                assert!(broken || sim.credit_used == 0, "stops a worker without work");
                sim.told_to_stop = true;
                sim.sees_stop = true;
            }
            Action::Fail { batch, .. } | Action::Cancelled { batch } => self.end(batch),
            Action::Broken { .. } => {
                assert!(!self.broken, "breaks once");
                self.broken = true;
                self.spawns = 0;
            }
            Action::Finished => {
                assert!(self.shut_down && self.workers.is_empty(), "finished too early");
                assert!(self.batches.iter().all(|fate| fate.ends == 1), "batches are left");
                self.finished = true;
            }
        }
    }

    fn send(&mut self, worker: WorkerId, given: Given) {
        let fate = self.fate(given.0);
        assert_eq!((fate.ends, fate.claims), (0, 0), "{given:?} has ended or started");
        let older = fate.sent_as.replace(given.1);
        assert!(older < Some(given.1), "{given:?} is told from {older:?}");
        let cap = self.config.max_prefetch as usize;
        let cap = if self.config.take_back { cap } else { cap.min(2) };
        let most_tasks = self.config.max_tasks_per_worker.unwrap_or(u32::MAX);
        let sim = self.workers.get_mut(&worker).expect("sends to the living");
        assert!(sim.ready && !sim.told_to_stop, "sends to who can work");
        sim.credit_used += 1;
        sim.tasks += 1;
        assert!(sim.credit_used <= cap, "credit exceeded");
        assert!(sim.tasks <= most_tasks, "more tasks than a life has");
        let older = sim.cells.insert(given, Cell::Queued);
        assert_eq!(older, None, "the same instance twice");
        sim.ring.push_back(given);
    }

    fn fate(&mut self, batch: BatchId) -> &mut Fate {
        &mut self.batches[batch.get() as usize]
    }

    fn end(&mut self, batch: BatchId) {
        let fate = self.fate(batch);
        fate.ends += 1;
        assert_eq!(fate.ends, 1, "{batch:?} ends once");
    }

    fn check_limits(&self) {
        let counts = self.scheduler.counts();
        let ended = self.batches.iter().filter(|fate| fate.ends == 1).count() as u64;
        assert_eq!(counts.done + counts.failed + counts.cancelled, ended);
        assert_eq!(counts.submitted, self.batches.len() as u64);
    }

    fn pick(&self, who: usize, which: impl Fn(&SimWorker) -> bool) -> Option<WorkerId> {
        let found = self.workers.iter().filter(|(_, sim)| which(sim));
        let found: Vec<WorkerId> = found.map(|(id, _)| *id).collect();
        (!found.is_empty()).then(|| found[who % found.len()])
    }

    pub(crate) fn submit(&mut self, function: Option<FnId>, count: u32, bytes: u64) {
        let id = BatchId(self.batches.len() as u64);
        self.batches.push(Fate::default());
        let batch = Batch { id, function, count, bytes, instance: Instance::FIRST };
        self.event(|scheduler, out| scheduler.on_submit(batch, out));
    }

    pub(crate) fn answer_spawn(&mut self) {
        if self.spawns == 0 {
            return;
        }
        self.spawns -= 1;
        if let Some(id) = self.event(|scheduler, _| scheduler.on_worker_starting()) {
            assert!(!self.finished, "nobody starts after the end");
            self.workers.insert(id, SimWorker::default());
        }
    }

    pub(crate) fn become_ready(&mut self, who: usize) {
        let Some(id) = self.pick(who, |sim| !sim.ready && !sim.dead) else { return };
        if let Some(sim) = self.workers.get_mut(&id) {
            sim.ready = true;
        }
        self.event(|scheduler, out| scheduler.on_worker_ready(id, out));
    }

    pub(crate) fn fail_to_start(&mut self, who: usize) {
        let Some(id) = self.pick(who, |sim| !sim.ready && !sim.dead) else { return };
        if let Some(sim) = self.workers.get_mut(&id) {
            sim.dead = true;
        }
        self.event(|scheduler, out| scheduler.on_worker_start_failed(id, out));
    }

    /// One step of a worker: it ends what it runs, or takes the next.
    pub(crate) fn work(&mut self, who: usize, busy: Duration) {
        let Some(id) = self.pick(who, |sim| sim.ready && !sim.dead) else { return };
        let Some(sim) = self.workers.get_mut(&id) else { return };
        if let Some(given) = sim.running.take() {
            sim.answers.push_back(Answer::Done(given, busy));
        } else if let Some(given) = sim.ring.pop_front() {
            let cell = sim.cells.get_mut(&given).expect("every descriptor has a cell");
            if *cell == Cell::Cancelled {
                sim.answers.push_back(Answer::Skipped(given));
                return;
            }
            *cell = Cell::Claimed;
            sim.running = Some(given);
            let fate = self.fate(given.0);
            fate.claims += 1;
            assert_eq!(fate.claims, 1, "{given:?} is started once");
        } else if sim.sees_stop {
            sim.dead = true;
        }
    }

    pub(crate) fn deliver(&mut self, who: usize) {
        if let Some(id) = self.pick(who, |sim| !sim.answers.is_empty()) {
            self.deliver_one(id);
        }
    }

    fn deliver_one(&mut self, worker: WorkerId) -> bool {
        let Some(sim) = self.workers.get_mut(&worker) else { return false };
        let Some(answer) = sim.answers.pop_front() else { return false };
        sim.credit_used -= 1;
        match answer {
            Answer::Done((batch, instance), busy) => {
                sim.cells.remove(&(batch, instance));
                // The answer counts before its actions are carried out, as in the pool.
                let mut actions = Vec::new();
                let counts = self.scheduler.on_done(worker, batch, instance, busy, &mut actions);
                assert_eq!(counts, !self.broken, "what was claimed has its answer");
                if counts {
                    self.end(batch);
                }
                self.event(|_, out| out.append(&mut actions));
            }
            Answer::Skipped((batch, instance)) => {
                sim.tasks -= 1;
                self.event(|scheduler, out| scheduler.on_skipped(worker, batch, instance, out));
            }
        }
        true
    }

    /// The pool's side of the claim cell.
    fn try_cell(&mut self, worker: WorkerId, given: Given) -> bool {
        let sim = self.workers.get_mut(&worker);
        match sim.and_then(|sim| sim.cells.get_mut(&given)) {
            Some(cell) if *cell == Cell::Queued => {
                *cell = Cell::Cancelled;
                true
            }
            _ => false,
        }
    }

    fn take_back(&mut self, which: usize, out: &mut Vec<Action>) {
        let (worker, given) = self.asked.remove(which);
        let ok = self.try_cell(worker, given);
        self.scheduler.on_taken_back(worker, given.0, given.1, ok, out);
        self.scheduler.sanity_check();
    }

    pub(crate) fn answer_take_back(&mut self, which: usize) {
        if self.asked.is_empty() {
            return;
        }
        let which = which % self.asked.len();
        let mut actions = Vec::new();
        self.take_back(which, &mut actions);
        self.event(|_, out| out.append(&mut actions));
    }

    pub(crate) fn cancel(&mut self, which: usize) {
        if self.batches.is_empty() {
            return;
        }
        let batch = BatchId((which % self.batches.len()) as u64);
        let ended = self.fate(batch).ends > 0;
        match self.event(|scheduler, out| scheduler.on_cancel(batch, out)) {
            CancelStep::Cancelled => assert_eq!(self.fate(batch).ends, 1),
            CancelStep::AskWorker { worker, instance } => {
                assert!(self.config.take_back && !ended);
                let ok = self.try_cell(worker, (batch, instance));
                self.cancels.push((batch, ok));
            }
            CancelStep::TooLate => assert!(!ended),
            CancelStep::Unknown => assert!(ended),
        }
    }

    pub(crate) fn answer_cancel(&mut self, which: usize) {
        if self.cancels.is_empty() {
            return;
        }
        let (batch, ok) = self.cancels.remove(which % self.cancels.len());
        self.event(|scheduler, out| scheduler.on_cancel_result(batch, ok, out));
        assert!(!ok || self.fate(batch).ends == 1, "{batch:?} will never run, so it has ended");
    }

    pub(crate) fn kill(&mut self, who: usize) {
        if let Some(id) = self.pick(who, |sim| !sim.dead)
            && let Some(sim) = self.workers.get_mut(&id)
        {
            sim.dead = true;
        }
    }

    /// The pool learns of a death, after all that the dead had to say.
    pub(crate) fn reap(&mut self, who: usize) {
        let Some(id) = self.pick(who, |sim| sim.dead) else { return };
        while self.deliver_one(id) {}
        let Some(gone) = self.workers.remove(&id) else { return };
        let claimed = gone.cells.iter().filter(|(_, cell)| **cell == Cell::Claimed);
        let claimed: Vec<BatchId> = claimed.map(|((batch, _), _)| *batch).collect();
        self.event(|scheduler, out| scheduler.on_worker_lost(id, &claimed, out));
    }

    pub(crate) fn tick(&mut self) {
        self.event(|scheduler, out| scheduler.on_tick(out));
    }

    pub(crate) fn shut_down(&mut self, cancel: bool) {
        self.shut_down = true;
        self.event(|scheduler, out| scheduler.on_shutdown(cancel, out));
    }

    /// Everybody goes on in turn until the end, which must come.
    pub(crate) fn come_to_an_end(&mut self) {
        self.shut_down(false);
        let mut rounds = 0;
        while !self.finished {
            rounds += 1;
            assert!(rounds < 20_000, "the end doesn't come: {:?}", self.scheduler);
            self.answer_spawn();
            self.become_ready(rounds);
            self.answer_take_back(rounds);
            self.answer_cancel(rounds);
            self.work(rounds, Duration::from_micros(10));
            self.deliver(rounds);
            self.reap(rounds);
        }
        assert!(self.batches.iter().all(|fate| fate.ends == 1));
    }
}
