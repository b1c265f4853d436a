//! The books, derived anew from what they are made of. Only tests call this; it is public so that
//! the pool's can too.

use super::records::Place;
use super::worker::{Phase, Share, Stand, Worker};
use super::{Mode, Scheduler};

impl Scheduler {
    /// Checks everything that holds between two events.
    ///
    /// # Panics
    ///
    /// If something doesn't hold: a bug in the scheduler, whatever events came.
    pub fn sanity_check(&self) {
        let mut sum = Share::default();
        let mut asked = 0;
        let retired = self.workers.iter().filter(|worker| worker.retired).count();
        assert_eq!(retired, self.retired, "workers that have retired");
        for worker in &self.workers {
            sum.add(worker.share());
            asked += count(worker, Stand::Asked);
            self.check_worker(worker);
        }
        assert_eq!(sum, self.sum, "the sums over all workers");
        assert_eq!(asked, self.asked, "take-backs not yet answered");
        assert!(self.workers.is_sorted_by(|a, b| a.id < b.id), "workers by ascending id");
        self.check_records();
        self.check_totals();
        self.check_end();
    }

    fn check_worker(&self, worker: &Worker) {
        let live = || worker.held.iter().filter(|held| held.lives());
        assert_eq!(worker.live, live().count(), "live batches of {worker:?}");
        assert_eq!(worker.started, count(worker, Stand::Started), "started ones of {worker:?}");
        assert_eq!(worker.load, live().map(|held| held.nanos).sum(), "load of {worker:?}");
        let bytes: u64 = worker.held.iter().map(|held| held.bytes).sum();
        assert_eq!(worker.bytes, bytes, "bytes of {worker:?}");
        assert!(worker.held.len() <= self.credit_cap(), "credit of {worker:?}");
        if worker.retired {
            assert_eq!(worker.room, 0, "room of {worker:?}");
        } else if let Some(most) = self.config.max_tasks_per_worker {
            let spent = u64::from(most.max(1)) - worker.room;
            assert!(worker.held.len() as u64 <= spent, "room of {worker:?}");
        }
        if worker.phase == Phase::Starting {
            assert!(worker.held.is_empty(), "work only for ready workers, not {worker:?}");
        }
        if worker.is_idle() && worker.held.len() < self.credit_cap() {
            assert_eq!(self.records.queued(), 0, "idle while work is queued: {worker:?}");
        }
        for held in live() {
            let record = self.records.get(held.batch).expect("a live batch has a record");
            assert_eq!(record.place, Place::Sent(worker.id), "where {held:?} is");
            assert_eq!(record.instance, held.instance, "the instance of {held:?}");
        }
    }

    fn check_records(&self) {
        let queued = self.records.iter().filter(|record| record.place == Place::Queued).count();
        assert_eq!(queued, self.records.queued(), "queued batches by their records");
        assert_eq!(queued, self.records.queue().count(), "queued batches by the queue");
        assert_eq!(self.records.len() - queued, self.sum.live, "sent batches");
        assert!(self.records.resumes_are_sound(), "something is left of what was begun");
    }

    fn check_totals(&self) {
        let counts = self.counts();
        assert_eq!(
            counts.submitted,
            counts.done + counts.failed + counts.cancelled + counts.queued + counts.sent,
            "every batch is somewhere: {counts:?}"
        );
    }

    fn check_end(&self) {
        if self.is_broken() {
            assert!(self.records.is_empty(), "a broken pool has no batches");
            assert_eq!(self.sum.ready, 0, "a broken pool has no ready workers");
        } else if !self.records.is_empty() {
            assert!(self.living() > 0, "somebody will do the work");
        }
        let over = self.mode > Mode::Open && self.workers.is_empty() && self.records.is_empty();
        assert_eq!(self.finished, over, "finished when nothing is left after shutdown");
    }
}

fn count(worker: &Worker, stand: Stand) -> usize {
    worker.held.iter().filter(|held| held.stand == stand).count()
}
