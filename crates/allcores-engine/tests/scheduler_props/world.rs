//! Workers that start slowly, claim, finish, skip and die, and a pool that carries out actions with
//! some delay.
//!
//! Checked here, from outside: a batch ends once, each of its items ends once and is run again only
//! if its result was lost, or it has retries; work goes only to
//! workers that are ready and were not told to stop, within their credit; no more workers than
//! allowed; `Finished` comes once, and nothing after it. What can be seen only from inside is
//! checked by `sanity_check` after every event.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use allcores_engine::batch::{Batch, Cost, Items};
use allcores_engine::ids::{BatchId, FnId, Instance, WorkerId};
use allcores_engine::scheduler::{
    Action, CancelStep, Claimed, Config, OnLost, Ran, Scheduler, Verdict,
};

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
    Part(Given, u32),
    Skipped(Given),
    Retire,
}

/// What a worker runs.
#[derive(Clone, Copy, Debug)]
struct Run {
    given: Given,
    items: Items,
    /// The item that runs; `None` before the first.
    position: Option<u32>,
    /// Results of the items before were handed over.
    kept: u32,
}

#[derive(Debug, Default)]
struct SimWorker {
    ready: bool,
    dead: bool,
    told_to_stop: bool,
    sees_stop: bool,
    arrested: bool,
    retired: bool,
    ring: VecDeque<(Given, Items)>,
    cells: HashMap<Given, Cell>,
    running: Option<Run>,
    answers: VecDeque<Answer>,
    /// Descriptors sent and neither done nor skipped as far as the pool knows.
    credit_used: usize,
    /// Batches sent and not skipped.
    tasks: u32,
}

#[derive(Debug, Default)]
struct Fate {
    ends: u32,
    /// A worker runs it, or has and was not heard.
    claimed: bool,
    sent_as: Option<Instance>,
    careful: bool,
    retries: u32,
    items: Vec<Item>,
    /// How often a worker was lost before any item had started.
    unread: u32,
    /// What it was sent for and has no result yet.
    sent_from: u32,
    sent_to: u32,
}

#[derive(Debug, Default, Clone)]
struct Item {
    ends: u32,
    /// How often a worker was lost while it ran.
    losses: u32,
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
            Action::Send { worker, batch, instance, items } => {
                self.send(worker, (batch, instance), items);
            }
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
            Action::FailItems { batch, items, .. } => self.end_items(batch, items),
            Action::Over { batch } => {
                assert!(self.fate(batch).items.iter().all(|item| item.ends == 1), "{batch:?}");
                self.end(batch);
            }
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

    fn send(&mut self, worker: WorkerId, given: Given, items: Items) {
        let fate = self.fate(given.0);
        assert!(fate.ends == 0 && !fate.claimed, "{given:?} has ended or started");
        assert!(!items.is_empty(), "nothing of {given:?} is sent");
        assert!(fate.unread <= fate.retries, "{given:?} has no retries left");
        for item in &fate.items[items.start as usize..items.stop as usize] {
            assert_eq!(item.ends, 0, "an item of {given:?} runs again");
            assert!(item.losses <= fate.retries, "an item of {given:?} has no retries left");
        }
        (fate.sent_from, fate.sent_to) = (items.start, items.stop);
        let older = fate.sent_as.replace(given.1);
        assert!(older < Some(given.1), "{given:?} is told from {older:?}");
        let cap = self.config.max_prefetch as usize;
        let cap = if self.config.take_back { cap } else { cap.min(2) };
        let most_tasks = self.config.max_tasks_per_worker.unwrap_or(u32::MAX);
        let sim = self.workers.get_mut(&worker).expect("sends to the living");
        assert!(sim.ready && !sim.told_to_stop && !sim.arrested, "sends to who can work");
        sim.credit_used += 1;
        sim.tasks += 1;
        assert!(sim.credit_used <= cap, "credit exceeded");
        assert!(sim.tasks <= most_tasks, "more tasks than a life has");
        let older = sim.cells.insert(given, Cell::Queued);
        assert_eq!(older, None, "the same instance twice");
        sim.ring.push_back((given, items));
    }

    fn fate(&mut self, batch: BatchId) -> &mut Fate {
        &mut self.batches[batch.get() as usize]
    }

    fn end_items(&mut self, batch: BatchId, items: Items) {
        let fate = self.fate(batch);
        assert_eq!(fate.ends, 0, "{batch:?} is over");
        for item in &mut fate.items[items.start as usize..items.stop as usize] {
            item.ends += 1;
            assert_eq!(item.ends, 1, "an item of {batch:?} ends once");
        }
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
        let retries = (bytes % 5).saturating_sub(2) as u32;
        let careful = self.config.on_worker_lost == OnLost::Replace || bytes.is_multiple_of(2);
        let items = vec![Item::default(); count as usize];
        self.batches.push(Fate { careful, retries, items, ..Fate::default() });
        let batch = Batch {
            id,
            function,
            count,
            bytes,
            instance: Instance::FIRST,
            retries,
            retry_timeouts: bytes.is_multiple_of(3),
        };
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

    /// One step of a worker: it goes on with what it runs, ends it, or takes the next.
    pub(crate) fn work(&mut self, who: usize, busy: Duration) {
        let Some(id) = self.pick(who, |sim| sim.ready && !sim.dead) else { return };
        let Some(sim) = self.workers.get_mut(&id) else { return };
        if let Some(run) = sim.running.take() {
            let careful = self.batches[run.given.0.get() as usize].careful;
            let next = run.position.map_or(run.items.start, |position| position + 1);
            if next >= run.items.stop || !careful {
                sim.answers.push_back(Answer::Done(run.given, busy));
                return;
            }
            // In leaps, so that large batches end.
            let position = (next + (run.items.len() / 3)).min(run.items.stop - 1);
            let mut run = Run { position: Some(position), ..run };
            if busy.as_micros() % 2 == 1 && position > run.kept {
                run.kept = position;
                sim.answers.push_back(Answer::Part(run.given, position));
            }
            sim.running = Some(run);
        } else if let Some((given, items)) = sim.ring.pop_front() {
            let cell = sim.cells.get_mut(&given).expect("every descriptor has a cell");
            if *cell == Cell::Cancelled || sim.retired {
                *cell = Cell::Cancelled;
                sim.answers.push_back(Answer::Skipped(given));
                return;
            }
            *cell = Cell::Claimed;
            sim.running = Some(Run { given, items, position: None, kept: items.start });
            let fate = self.fate(given.0);
            assert!(!fate.claimed, "{given:?} runs at one place at a time");
            fate.claimed = true;
        } else if sim.sees_stop {
            sim.dead = true;
        }
    }

    pub(crate) fn retire(&mut self, who: usize) {
        let can = |sim: &SimWorker| sim.ready && !sim.dead && !sim.retired && sim.running.is_none();
        if let Some(id) = self.pick(who, can)
            && let Some(sim) = self.workers.get_mut(&id)
        {
            sim.retired = true;
            sim.answers.push_back(Answer::Retire);
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
        match answer {
            Answer::Done(given, busy) => {
                sim.credit_used -= 1;
                sim.cells.remove(&given);
                self.deliver_done(worker, given, busy);
            }
            Answer::Part((batch, instance), stop) => {
                let fate = &mut self.batches[batch.get() as usize];
                if self.scheduler.holder(batch) == Some((worker, instance)) {
                    let start = std::mem::replace(&mut fate.sent_from, stop);
                    self.end_items(batch, Items { start, stop });
                }
            }
            Answer::Skipped((batch, instance)) => {
                sim.credit_used -= 1;
                sim.tasks -= 1;
                self.event(|scheduler, out| scheduler.on_skipped(worker, batch, instance, out));
            }
            Answer::Retire => self.event(|scheduler, out| scheduler.on_retire(worker, out)),
        }
        true
    }

    fn deliver_done(&mut self, worker: WorkerId, (batch, instance): Given, busy: Duration) {
        // The answer counts before its actions are carried out, as in the pool.
        let mut actions = Vec::new();
        let verdict =
            self.scheduler.on_done(worker, batch, instance, Cost::of_time(busy), &mut actions);
        let ended = self.fate(batch).ends > 0;
        assert_eq!(verdict == Verdict::Late, ended, "what was claimed has its answer");
        if verdict != Verdict::Late {
            let fate = self.fate(batch);
            fate.claimed = false;
            let rest = Items { start: fate.sent_from, stop: fate.sent_to };
            self.end_items(batch, rest);
            let over = self.fate(batch).items.iter().all(|item| item.ends == 1);
            assert_eq!(verdict == Verdict::Last, over, "{batch:?} ends with its last item");
            if over {
                self.end(batch);
            }
        }
        self.event(|_, out| out.append(&mut actions));
    }

    /// A worker starts nothing more: the batch that it is in, if it is in one.
    fn arrest(&mut self, worker: WorkerId) -> Option<BatchId> {
        if !self.event(|scheduler, out| scheduler.on_arrested(worker, out)) {
            return None;
        }
        while let Some(which) = self.asked.iter().position(|(asked, _)| *asked == worker) {
            self.answer_take_back(which);
        }
        let sim = self.workers.get_mut(&worker).expect("it lives");
        sim.arrested = true;
        sim.running.map(|run| run.given.0)
    }

    fn pardon(&mut self, worker: WorkerId) {
        if let Some(sim) = self.workers.get_mut(&worker) {
            sim.arrested = false;
        }
        self.event(|scheduler, out| scheduler.on_pardoned(worker, out));
    }

    /// Somebody wants a batch to end, even if it runs.
    pub(crate) fn stop(&mut self, which: usize) {
        self.cancel(which);
        while !self.cancels.is_empty() {
            self.answer_cancel(0);
        }
        if self.batches.is_empty() {
            return;
        }
        let batch = BatchId((which % self.batches.len()) as u64);
        let Some((worker, _)) = self.scheduler.holder(batch) else { return };
        if self.workers[&worker].dead {
            return;
        }
        match self.arrest(worker) {
            Some(running) if running == batch => {
                self.event(|scheduler, out| scheduler.on_stopped(worker, batch, out));
                assert_eq!(self.fate(batch).ends, 1, "it is over at once");
                self.workers.get_mut(&worker).expect("it lived").dead = true;
            }
            _ => self.pardon(worker),
        }
    }

    /// A worker is in a batch for too long; `guilty`: still, when it was looked at again.
    pub(crate) fn time_out(&mut self, who: usize, guilty: bool) {
        let Some(worker) = self.pick(who, |sim| sim.running.is_some() && !sim.dead) else {
            return;
        };
        match self.arrest(worker) {
            Some(_) if guilty => {
                self.event(|scheduler, out| scheduler.on_timed_out(worker, out));
                self.workers.get_mut(&worker).expect("it lived").dead = true;
            }
            _ => self.pardon(worker),
        }
    }

    pub(crate) fn end_pool(&mut self) {
        self.event(|scheduler, out| scheduler.on_ended(out));
        for sim in self.workers.values_mut() {
            sim.dead = true;
        }
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
        let claimed: Vec<Claimed> =
            claimed.map(|((batch, _), _)| self.claimed(*batch, gone.running)).collect();
        self.event(|scheduler, out| scheduler.on_worker_lost(id, &claimed, out));
    }

    /// How far it had come, and what that means for its items.
    fn claimed(&mut self, batch: BatchId, running: Option<Run>) -> Claimed {
        let fate = &mut self.batches[batch.get() as usize];
        fate.claimed = false;
        let run = running.expect("what was claimed and not answered runs");
        let (careful, kept) = (fate.careful, fate.sent_from);
        let ran = match run.position {
            _ if !careful => Ran::Whole,
            None => Ran::Unread,
            Some(item) => Ran::Item { kept, item },
        };
        let lost = match run.position {
            Some(item) if careful => Items::one(item),
            // None of them had started, so none of them is to blame.
            None if careful && run.items.len() > 1 => {
                fate.unread += 1;
                Items::all(0)
            }
            _ => Items { start: kept, stop: run.items.stop },
        };
        for item in &mut fate.items[lost.start as usize..lost.stop as usize] {
            item.losses += 1;
        }
        Claimed { batch, ran }
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
