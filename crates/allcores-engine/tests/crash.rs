//! Workers that are killed, leave in the middle, or go mad: real processes, no sleeps.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped is a failure")]

#[path = "crash/careful.rs"]
mod careful;
mod common;
#[path = "common/front.rs"]
mod front;
#[path = "crash/mad.rs"]
mod mad;

use std::sync::Arc;

use allcores_engine::scheduler::OnLost;
use allcores_engine::slot::{Outcome, Slot, Stage};
use allcores_engine::supervisor::{Force, end_process};
use allcores_engine::{Failure, LinkKind, Notice, SubmitError};

use common::worker::Job;
use common::{bytes, watched};
use front::{Front, Plan, Way, answer, completed, failure, outcome};

/// Not a test by itself: what a copy of this binary runs.
#[test]
fn worker_process() {
    common::place::in_a_process(|program, kind, control, gate| match program {
        "ordinary" => common::place::ordinary(kind, control, gate),
        madness => mad::go(madness, kind, control, gate),
    });
}

fn both(test: impl Fn(Way)) {
    watched(|| [LinkKind::Shm, LinkKind::Stream].map(Way::Process).into_iter().for_each(test));
}

fn kill(pid: u64) {
    end_process(u32::try_from(pid).unwrap(), Force::Kill);
}

fn pid(slot: &Slot) -> u64 {
    u64::from_le_bytes(answer(slot).try_into().unwrap())
}

fn is_gone(notice: &Notice) -> bool {
    matches!(notice, Notice::WorkerGone(_))
}

#[test]
fn a_worker_killed_in_the_middle_of_a_batch_breaks_a_pool_that_shall_break() {
    both(|way| {
        let front = Plan::new(way).open();
        let (held, pid, _gate) = front.hold(b"");
        let waiting: Vec<_> = (0..20).map(|_| front.submit(Job::Echo, b"")).collect();
        kill(pid);
        assert!(matches!(failure(&held), Failure::WorkerLost { .. }));
        for slot in &waiting {
            let why = failure(slot);
            assert!(
                matches!(why, Failure::WorkerLost { .. } | Failure::PoolBroken { .. }),
                "{why}"
            );
        }
        assert!(matches!(front.pool().broken(), Some(Failure::PoolBroken { .. })));
        let refused = front.pool().submit(None, 0, 1, Vec::new().into());
        assert!(matches!(refused, Err(SubmitError::Broken(_))));
        front.close();
    });
}

#[test]
fn a_worker_killed_in_the_middle_of_a_batch_costs_a_pool_that_replaces_only_that_batch() {
    both(|way| {
        let front = Plan::new(way).on_lost(OnLost::Replace).open();
        let (held, pid, _gate) = front.hold(b"");
        let payloads: Vec<_> = (0..20).map(|batch| bytes(batch, 70_000)).collect();
        let waiting: Vec<_> = payloads.iter().map(|p| front.submit(Job::Echo, p)).collect();
        kill(pid);
        assert!(matches!(failure(&held), Failure::WorkerLost { .. }));
        for (slot, payload) in waiting.iter().zip(&payloads) {
            assert!(answer(slot) == *payload);
        }
        assert_eq!(front.started(), 2);
        assert_eq!(front.pool().broken(), None);
        front.close();
    });
}

#[test]
fn a_worker_that_exits_in_the_middle_of_a_batch_costs_that_batch() {
    let in_a_thread = |way: &dyn Fn(Way)| watched(|| way(Way::Thread(LinkKind::Shm)));
    let test = |way| {
        let front = Plan::new(way).on_lost(OnLost::Replace).workers(2).open();
        for _ in 0..3 {
            let before: Vec<_> = (0..5).map(|_| front.submit(Job::Echo, b"before")).collect();
            before.iter().for_each(|slot| assert_eq!(answer(slot), b"before"));
            let fatal = front.submit(Job::Leave, b"");
            let after: Vec<_> = (0..5).map(|_| front.submit(Job::Echo, b"after")).collect();
            assert!(matches!(failure(&fatal), Failure::WorkerLost { .. }));
            after.iter().for_each(|slot| assert_eq!(answer(slot), b"after"));
        }
        front.close();
    };
    both(test);
    in_a_thread(&test);
}

#[test]
fn answers_given_before_a_death_count() {
    both(|way| {
        let front = Plan::new(way).open();
        let (held, pid, mut gate) = front.hold(b"kept");
        gate.open();
        assert!(held.wait(None));
        kill(pid);
        front.heard(is_gone);
        assert_eq!(answer(&held), b"kept");
        front.close();
    });
}

#[test]
fn a_worker_killed_between_two_batches_is_noticed_though_nobody_waits() {
    both(|way| {
        let front = Plan::new(way).open();
        kill(pid(&front.submit(Job::Who, b"")));
        front.heard(is_gone);
        assert!(front.pool().broken().is_some());
        front.close();
    });
}

#[test]
fn a_worker_killed_between_two_batches_is_replaced_when_there_is_work() {
    both(|way| {
        let front = Plan::new(way).on_lost(OnLost::Replace).open();
        let first = pid(&front.submit(Job::Who, b""));
        kill(first);
        front.heard(is_gone);
        assert_ne!(pid(&front.submit(Job::Who, b"")), first);
        front.close();
    });
}

#[test]
fn the_workers_of_a_broken_pool_are_ended() {
    both(|way| {
        let front = Plan::new(way).workers(2).open();
        let (first, pid, _gate) = front.hold(b"");
        // Nobody will ever let that one on, if it has come so far.
        let second = front.submit(Job::Hold, b"");
        kill(pid);
        failure(&first);
        failure(&second);
        front.close();
    });
}

/// A row of numbers that a seed gives.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Submits batches and kills workers that have worked, now and then; every slot is watched.
fn massacre(front: &Front, seed: u64, kills: usize) -> (Vec<Arc<Slot>>, Vec<Arc<Slot>>) {
    let mut chance = Chance(seed);
    let (mut told, mut seen, mut killed) = (Vec::new(), Vec::new(), 0);
    let mut submit = |job, payload: &[u8]| {
        // A broken pool takes nothing.
        let slot = front.try_submit(None, job, payload).ok()?;
        match slot.watch() {
            Stage::Pending => told.push(Arc::clone(&slot)),
            Stage::Done => seen.push(Arc::clone(&slot)),
        }
        Some(slot)
    };
    while killed < kills {
        for batch in 0..chance.below(40) {
            let size = [0, 10, 5_000, 66_000][chance.below(4) as usize];
            submit(Job::Echo, &bytes(batch, size));
        }
        let Some(who) = submit(Job::Who, b"") else { break };
        if chance.below(3) > 0 {
            who.wait(None);
        }
        if who.is_done()
            && let Some(Outcome::Answer { body, .. }) = who.take()
        {
            for _ in 0..chance.below(20) {
                submit(Job::Echo, b"in the air");
            }
            kill(u64::from_le_bytes(body.to_vec().try_into().unwrap()));
            killed += 1;
        }
    }
    (told, seen)
}

fn every_slot_ends_once(front: Front, (told, seen): (Vec<Arc<Slot>>, Vec<Arc<Slot>>)) -> usize {
    let slots: Vec<_> = told.iter().chain(&seen).cloned().collect();
    let failed = slots.iter().filter(|slot| {
        assert!(slot.wait(None));
        matches!(slot.take(), Some(Outcome::Failed(..)))
    });
    let failed = failed.count();
    let counts = front.pool().counts();
    assert_eq!(counts.done + counts.failed, slots.len() as u64, "{counts:?}");
    let mut told: Vec<_> = told.iter().map(|slot| slot.id()).collect();
    let mut heard = completed(&front.close_and_hear());
    told.sort();
    heard.sort();
    assert_eq!(heard, told, "each watched slot is heard of once");
    failed
}

#[test]
fn random_kills_cost_a_replacing_pool_at_most_one_batch_each() {
    both(|way| {
        for seed in 1..=3 {
            let front = Plan::new(way).on_lost(OnLost::Replace).workers(3).open();
            let slots = massacre(&front, seed, 8);
            assert_eq!(front.pool().broken(), None, "seed {seed}");
            let failed = every_slot_ends_once(front, slots);
            assert!(failed <= 8, "seed {seed}: {failed} failed");
        }
    });
}

#[test]
fn a_random_kill_ends_every_batch_of_a_breaking_pool() {
    both(|way| {
        for seed in 11..=14 {
            let front = Plan::new(way).workers(3).open();
            let slots = massacre(&front, seed, 1);
            every_slot_ends_once(front, slots);
        }
    });
}

#[test]
fn a_worker_that_goes_mad_is_replaced_and_its_process_ended() {
    watched(|| {
        for madness in mad::ALL {
            let way = Way::Process(LinkKind::Shm);
            let front = Plan::new(way).on_lost(OnLost::Replace).first_runs(madness).open();
            let payloads: Vec<_> = (0..10).map(|batch| bytes(batch, 1_000)).collect();
            let slots: Vec<_> = payloads.iter().map(|p| front.submit(Job::Echo, p)).collect();
            for (slot, payload) in slots.iter().zip(&payloads) {
                assert!(answer(slot) == *payload, "{madness}");
            }
            assert_eq!(front.started(), 2, "{madness}");
            front.close();
        }
    });
}

#[test]
fn a_worker_whose_ring_cannot_be_written_any_more_is_replaced() {
    watched(|| {
        let way = Way::Process(LinkKind::Shm);
        let front = Plan::new(way).on_lost(OnLost::Replace).first_runs("reader").open();
        for _ in 0..30 {
            let slots: Vec<_> = (0..10).map(|_| front.submit(Job::Echo, b"")).collect();
            slots.iter().for_each(|slot| assert_eq!(answer(slot), b""));
        }
        assert_eq!(front.started(), 2);
        front.close();
    });
}

#[test]
fn a_worker_that_goes_mad_breaks_a_pool_that_shall_break() {
    watched(|| {
        for madness in mad::ALL {
            let front = Plan::new(Way::Process(LinkKind::Shm)).first_runs(madness).open();
            let slot = front.submit(Job::Echo, b"");
            assert!(matches!(outcome(&slot), Outcome::Failed(..)), "{madness}");
            front.close();
        }
    });
}

#[test]
fn bytes_that_are_no_message_end_a_stream() {
    watched(|| {
        let way = Way::Process(LinkKind::Stream);
        let front = Plan::new(way).on_lost(OnLost::Replace).first_runs("babble").open();
        assert_eq!(answer(&front.submit(Job::Echo, b"sense")), b"sense");
        assert_eq!(front.started(), 2);
        front.close();
    });
}
