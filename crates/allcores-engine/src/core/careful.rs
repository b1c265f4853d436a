//! Batches whose items count one by one, and workers that are ended on purpose.

use allcores_shm::Mark;

use super::{Core, Effects, Entry};
use crate::care::{Care, Doing};
use crate::error::Failure;
use crate::ids::{BatchId, Instance, WorkerId};
use crate::limits::Limits;
use crate::link::Sender;
use crate::notices::Notice;
use crate::payload::Body;
use crate::scheduler::{Claimed, Config, Ran, Scheduler, Verdict};
use crate::slot::Outcome;

/// An item that has run for too long, and the worker that was arrested for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspect {
    pub(crate) worker: WorkerId,
    pub(crate) pid: Option<u32>,
    batch: BatchId,
    instance: Instance,
    doing: Doing,
}

impl Core {
    pub(super) fn care(&mut self, batch: BatchId) -> Option<&mut Care> {
        self.entries.get_mut(batch)?.care.as_deref_mut()
    }

    pub(super) fn on_verdict(
        &mut self,
        verdict: Verdict,
        batch: BatchId,
        tag: u32,
        body: Body,
        fx: &mut Effects,
    ) {
        match (verdict, self.care(batch)) {
            (Verdict::Late, _) => {}
            (Verdict::More, Some(care)) => care.rest(tag, body),
            (Verdict::Last, Some(care)) if !care.is_untouched() => {
                care.rest(tag, body);
                self.over(batch, fx);
            }
            (Verdict::Last | Verdict::More, _) => {
                self.end(batch, Outcome::Answer { tag, body }, fx);
            }
        }
    }

    /// How many bytes have come of a batch in parts, since it was sent last.
    pub(super) fn arrived(&self, batch: BatchId) -> u64 {
        if self.always_careful || self.limits.any() {
            let care = self.entries.get(batch).and_then(|entry| entry.care.as_deref());
            return care.map_or(0, Care::arrived);
        }
        0
    }

    /// Every item has a result or has failed.
    pub(super) fn over(&mut self, batch: BatchId, fx: &mut Effects) {
        if let Some(outcome) = self.care(batch).map(Care::take_outcome) {
            self.end(batch, outcome, fx);
        }
    }

    pub(super) fn on_part(
        &mut self,
        worker: WorkerId,
        (batch, instance): (BatchId, Instance),
        (tag, stop): (u32, u32),
        body: Body,
        fx: &mut Effects,
    ) {
        if self.scheduler.holder(batch) != Some((worker, instance)) {
            // It was stopped, or its pool was ended.
            return;
        }
        let marks = self.links.get(&worker).is_some_and(|link| link.sender.has_marks());
        let sound = self.care(batch).is_some_and(|care| {
            if care.limit_ns.is_some() && !marks {
                care.note_time(crate::clock::now_ns());
            }
            care.part(instance, stop, tag, body)
        });
        if !sound {
            self.end_process(worker, fx);
            if let Some(link) = self.links.get_mut(&worker) {
                link.sender.close();
            }
        }
    }

    /// What a lost worker had claimed, and how far it had come.
    pub(super) fn claimed(&self, sender: &dyn Sender) -> Vec<Claimed> {
        let started = sender.started();
        let mark = if started.is_empty() { None } else { sender.mark() };
        let claimed = started.into_iter().map(|(batch, instance)| {
            let care = self.care_of(batch, instance);
            let ran = care
                .map_or(Ran::Whole, |care| care.ran(care.doing(batch, mark, sender.has_marks())));
            Claimed { batch, ran }
        });
        claimed.collect()
    }

    fn care_of(&self, batch: BatchId, instance: Instance) -> Option<&Care> {
        let care = self.entries.get(batch)?.care.as_deref();
        care.filter(|care| care.instance() == instance)
    }

    /// Cancels a batch, even if it runs: then its worker is killed.
    pub(crate) fn stop(&mut self, batch: BatchId, fx: &mut Effects) -> bool {
        if self.withdraw(batch, fx) {
            return true;
        }
        let Some((worker, instance)) = self.scheduler.holder(batch) else { return false };
        if !self.arrest(worker, (batch, instance), fx) {
            return false;
        }
        self.scheduler.on_stopped(worker, batch, &mut self.actions);
        self.kill(worker, fx);
        self.carry_out(fx);
        true
    }

    /// Has a worker start nothing more, if it is in that batch and no other.
    fn arrest(&mut self, worker: WorkerId, running: (BatchId, Instance), fx: &mut Effects) -> bool {
        if !self.scheduler.on_arrested(worker, &mut self.actions) {
            return false;
        }
        self.carry_out(fx);
        // Nothing that it could start is left: what it has claimed last is what it runs, if it runs.
        let is_in_it =
            self.links.get(&worker).is_some_and(|link| link.sender.running() == Some(running));
        if !is_in_it {
            self.scheduler.on_pardoned(worker, &mut self.actions);
            self.carry_out(fx);
        }
        is_in_it
    }

    /// Arrests every worker that is in an item for too long.
    pub(crate) fn arrest_overdue(&mut self, now_ns: u64, fx: &mut Effects) -> Vec<Suspect> {
        if !self.limits.any() {
            return Vec::new();
        }
        let overdue: Vec<Suspect> = self
            .limited()
            .filter(|(_, until_ns)| *until_ns <= now_ns)
            .map(|(suspect, _)| suspect)
            .collect();
        let mut arrested = overdue;
        arrested
            .retain(|suspect| self.arrest(suspect.worker, (suspect.batch, suspect.instance), fx));
        arrested
    }

    /// When the collector has to look at the limits again, at the latest.
    pub(crate) fn next_look(&mut self, now_ns: u64) -> u64 {
        let running: Vec<u64> = self.limited().map(|(_, until_ns)| until_ns).collect();
        self.limits.sleep(now_ns, running.into_iter())
    }

    /// What runs and has a limit, with the time when that will have passed.
    fn limited(&self) -> impl Iterator<Item = (Suspect, u64)> {
        self.links.iter().filter(|(_, link)| !link.condemned).filter_map(|(worker, link)| {
            let (batch, instance) = link.sender.running()?;
            let care = self.care_of(batch, instance)?;
            let limit_ns = care.limit_ns?;
            let mark: Option<Mark> = link.sender.mark();
            let doing = care.doing(batch, mark, link.sender.has_marks())?;
            let suspect = Suspect { worker: *worker, pid: link.pid, batch, instance, doing };
            Some((suspect, doing.since_ns.saturating_add(limit_ns)))
        })
    }

    /// The worker was stopped by now: condemns it if it still does what it was arrested for, else it
    /// is pardoned. Whether it is to be killed.
    pub(crate) fn judge(&mut self, suspect: &Suspect, fx: &mut Effects) -> bool {
        let Suspect { worker, batch, instance, doing, .. } = *suspect;
        let Some(link) = self.links.get(&worker) else { return true };
        if link.condemned {
            return true;
        }
        let guilty = link.sender.running() == Some((batch, instance))
            && self.care_of(batch, instance).is_some_and(|care| {
                care.doing(batch, link.sender.mark(), link.sender.has_marks()) == Some(doing)
            });
        if guilty {
            self.scheduler.on_timed_out(worker, &mut self.actions);
            self.condemn(worker);
            if suspect.pid.is_none() {
                self.kill(worker, fx);
            }
        } else {
            self.scheduler.on_pardoned(worker, &mut self.actions);
        }
        self.carry_out(fx);
        guilty
    }

    fn condemn(&mut self, worker: WorkerId) {
        if let Some(link) = self.links.get_mut(&worker) {
            link.condemned = true;
        }
    }

    /// That worker is killed, with all that it has started.
    fn kill(&mut self, worker: WorkerId, fx: &mut Effects) {
        self.condemn(worker);
        match self.links.get(&worker).map(|link| link.pid) {
            Some(Some(pid)) => fx.kill.push(pid),
            Some(None) => self.doomed.push((worker, true)),
            None => {}
        }
    }

    /// Every batch fails, and every worker is killed.
    pub(crate) fn end_all(&mut self, fx: &mut Effects) {
        self.scheduler.on_ended(&mut self.actions);
        self.carry_out(fx);
        let workers: Vec<WorkerId> = self.links.keys().copied().collect();
        for worker in workers {
            self.kill(worker, fx);
        }
    }

    /// Gives everything up, whatever state a panic has left it in: every batch fails, every worker is
    /// killed, and from now on it is the core of a pool that was ended.
    pub(crate) fn collapse(&mut self, why: &str, fx: &mut Effects) {
        if matches!(self.broken, Some(Failure::Engine(_))) {
            return;
        }
        let failure = Failure::Engine(why.into());
        let fail = |entry: Entry| (entry.slot, Outcome::Failed(failure.clone(), None));
        fx.done.extend(std::mem::take(&mut self.entries).into_values().map(fail));
        for (worker, mut link) in self.links.drain() {
            link.sender.close();
            match link.pid {
                Some(pid) => fx.kill.push(pid),
                None => self.doomed.push((worker, true)),
            }
            fx.notices.push(Notice::WorkerGone(worker));
        }
        self.broken = Some(failure);
        self.functions.clear();
        self.newcomers.clear();
        self.actions.clear();
        self.touched.clear();
        self.limits = Limits::default();
        self.scheduler = Scheduler::new(Config::default());
        self.scheduler.on_ended(&mut Vec::new());
        if self.shut_down {
            self.scheduler.on_shutdown(false, &mut self.actions);
            self.carry_out(fx);
        }
    }

    /// The most memory that a worker, alive or lost, has said to have had.
    pub(crate) fn peak_memory(&self, worker: WorkerId) -> Option<u64> {
        match self.links.get(&worker) {
            Some(link) => link.sender.peak(),
            None => {
                let lost = self.peaks.iter().find(|(lost, _)| *lost == worker);
                lost.map(|(_, bytes)| *bytes)
            }
        }
    }
}
