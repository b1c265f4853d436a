//! What holds for every pool.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use allcores_engine::slot::{Outcome, Stage};
use allcores_engine::{Notice, Slot, SubmitError};

use crate::common::bytes;
use crate::common::worker::Job;
use crate::front::{Plan, Way, answer, completed, outcome};

pub(crate) fn every_batch_gets_its_own_answer(way: Way) {
    let front = Plan::new(way).workers(3).open();
    let payloads: Vec<_> = (0..400).map(|batch| bytes(batch, batch as usize * 37)).collect();
    let slots: Vec<_> = payloads.iter().map(|p| front.submit(Job::Echo, p)).collect();
    for (slot, payload) in slots.iter().zip(&payloads) {
        assert!(answer(slot) == *payload, "{} came back garbled", slot.id());
        assert!(slot.take().is_none(), "an outcome is taken once");
    }
    let counts = front.pool().counts();
    assert_eq!((counts.submitted, counts.done, counts.failed), (400, 400, 0));
    front.close();
}

pub(crate) fn answers_come_in_any_order(way: Way) {
    let front = Plan::new(way).workers(2).open();
    let (held, _, mut gate) = front.hold(b"early");
    for _ in 0..5 {
        assert_eq!(answer(&front.submit(Job::Echo, b"late")), b"late");
    }
    assert!(!held.is_done());
    gate.open();
    assert_eq!(answer(&held), b"early");
    front.close();
}

pub(crate) fn what_waits_is_cancelled_once(way: Way) {
    let front = Plan::new(way).open();
    let (held, _, mut gate) = front.hold(b"");
    let waiting: Vec<_> = (0..10).map(|_| front.submit(Job::Echo, b"w")).collect();
    for slot in waiting.iter().step_by(2) {
        assert!(front.pool().cancel(slot));
        assert!(!front.pool().cancel(slot), "it is over");
        assert!(matches!(outcome(slot), Outcome::Cancelled));
    }
    gate.open();
    answer(&held);
    for slot in waiting.iter().skip(1).step_by(2) {
        assert_eq!(answer(slot), b"w");
        assert!(!front.pool().cancel(slot), "it is over");
    }
    assert_eq!(front.pool().counts().cancelled, 5);
    front.close();
}

pub(crate) fn what_runs_is_running_and_cannot_be_cancelled(way: Way) {
    let front = Plan::new(way).open();
    let (held, _, mut gate) = front.hold(b"");
    let waiting = front.submit(Job::Echo, b"");
    assert!(front.pool().is_running(&held));
    assert!(!front.pool().is_running(&waiting));
    assert!(!front.pool().cancel(&held));
    gate.open();
    answer(&held);
    answer(&waiting);
    assert!(!front.pool().is_running(&held));
    front.close();
}

pub(crate) fn shutdown_runs_what_was_submitted(way: Way) {
    let front = Plan::new(way).workers(2).open();
    let (held, _, mut gate) = front.hold(b"");
    let waiting: Vec<_> = (0..20).map(|_| front.submit(Job::Echo, b"w")).collect();
    front.pool().shut_down(false);
    gate.open();
    answer(&held);
    waiting.iter().for_each(|slot| assert_eq!(answer(slot), b"w"));
    front.close();
}

pub(crate) fn shutdown_can_cancel_what_waits(way: Way) {
    let front = Plan::new(way).open();
    let (held, _, mut gate) = front.hold(b"held");
    let waiting: Vec<_> = (0..20).map(|_| front.submit(Job::Echo, b"")).collect();
    front.pool().shut_down(true);
    for slot in &waiting {
        assert!(matches!(outcome(slot), Outcome::Cancelled));
    }
    gate.open();
    assert_eq!(answer(&held), b"held");
    front.close();
}

pub(crate) fn nothing_is_taken_after_shutdown(way: Way) {
    let front = Plan::new(way).open();
    answer(&front.submit(Job::Echo, b""));
    front.pool().shut_down(false);
    assert_eq!(front.pool().check_open(), Err(SubmitError::ShutDown));
    let refused = front.pool().submit(None, 0, 1, Vec::new().into());
    assert!(matches!(refused, Err(SubmitError::ShutDown)));
    front.close();
}

pub(crate) fn join_gives_up_when_its_time_is_over(way: Way) {
    let front = Plan::new(way).open();
    let (held, _, mut gate) = front.hold(b"");
    assert!(!front.pool().wait(&held, Some(Duration::from_millis(1))));
    front.pool().shut_down(false);
    assert!(!front.pool().join(Some(Duration::ZERO)));
    assert!(!front.pool().join(Some(Duration::from_millis(1))));
    gate.open();
    assert!(front.pool().join(None));
    assert!(front.pool().join(Some(Duration::ZERO)), "and stays so");
    assert!(held.is_done());
    front.close();
}

pub(crate) fn dropping_a_pool_lets_what_was_submitted_finish(way: Way) {
    let front = Plan::new(way).open();
    let slots: Vec<_> = (0..20).map(|_| front.submit(Job::Echo, b"w")).collect();
    front.close();
    assert!(slots.iter().all(|slot| slot.is_done()));
    slots.iter().for_each(|slot| assert_eq!(answer(slot), b"w"));
}

pub(crate) fn workers_are_replaced_after_so_many_batches(way: Way) {
    let mut plan = Plan::new(way).workers(2);
    plan.config.max_tasks_per_worker = Some(3);
    let front = plan.open();
    let slots: Vec<_> = (0..20).map(|_| front.submit(Job::Who, b"")).collect();
    let mut ran: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    slots.iter().for_each(|slot| *ran.entry(answer(slot)).or_default() += 1);
    assert!(ran.values().all(|batches| *batches <= 3), "{ran:?}");
    assert!(ran.len() >= 7, "{ran:?}");
    assert!(front.started() >= ran.len());
    front.close();
}

pub(crate) fn a_watched_slot_is_heard_of_once_and_others_never(way: Way) {
    let front = Plan::new(way).workers(2).open();
    let slots: Vec<_> = (0..200).map(|_| front.submit(Job::Echo, b"")).collect();
    let watched: Vec<&Arc<Slot>> = slots.iter().step_by(2).collect();
    let mut expected = Vec::new();
    for slot in watched {
        if slot.watch() == Stage::Pending {
            expected.push(slot.id());
        }
    }
    slots.iter().for_each(|slot| drop(answer(slot)));
    assert!(slots.iter().all(|slot| slot.watch() == Stage::Done));
    let mut heard = completed(&front.close_and_hear());
    heard.sort();
    assert_eq!(heard, expected);
}

pub(crate) fn a_function_goes_to_a_worker_once(way: Way) {
    let front = Plan::new(way).open();
    let (pool, code) = (front.pool(), bytes(5, 100_000));
    let (one, other) = (pool.register(code.clone()), pool.register(b"other".to_vec()));
    let slots = [one, other, one, one, other]
        .map(|function| front.submit_call(Some(function), Job::Call, b"!"));
    for (slot, function) in slots.iter().zip([&code[..], b"other", &code, &code, b"other"]) {
        assert!(answer(slot) == [function, b"!"].concat());
    }
    let known = [one.0, 1, other.0, 1].map(u32::to_le_bytes).concat();
    assert_eq!(answer(&front.submit(Job::Known, b"")), known);
    front.close();
}

pub(crate) fn a_function_is_forgotten_when_its_last_batch_is_over(way: Way) {
    let front = Plan::new(way).open();
    let function = front.pool().register(b"f".to_vec());
    answer(&front.submit_call(Some(function), Job::Call, b""));
    let (held, _, mut gate) = front.hold(b"");
    let waiting = front.submit_call(Some(function), Job::Call, b"");
    front.pool().forget(function);
    gate.open();
    answer(&held);
    assert_eq!(answer(&waiting), b"f", "what names it still finds it");
    assert_eq!(answer(&front.submit(Job::Known, b"")), b"");
    front.close();
}

pub(crate) fn a_large_answer_outlives_its_worker(way: Way) {
    let front = Plan::new(way).open();
    let payloads = [1, 70_000, 300_000, 5 << 20].map(|size| bytes(size as u64, size));
    let slots = payloads.each_ref().map(|payload| front.submit(Job::Echo, payload));
    let outcomes = slots.each_ref().map(|slot| outcome(slot));
    front.close();
    for (outcome, payload) in outcomes.iter().zip(&payloads) {
        let Outcome::Answer { body, .. } = outcome else { panic!("{outcome:?}") };
        let mut copy = vec![0; body.len()];
        body.copy_out(&mut copy);
        assert!(copy == *payload, "{} bytes came back garbled", payload.len());
    }
}

pub(crate) fn a_waiter_that_listens_itself_leaves_nothing_lying(way: Way) {
    let front = Plan::new(way).workers(2).open();
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let front = &front;
            scope.spawn(move || {
                for batch in 0..300 {
                    let payload = bytes(seed * 1_000 + batch, 20);
                    let left = front.submit(Job::Echo, b"left to the collector");
                    let slot = front.submit(Job::Echo, &payload);
                    assert!(front.pool().wait(&slot, None));
                    assert_eq!(answer(&slot), payload);
                    if batch % 10 == 0 {
                        answer(&left);
                    }
                }
            });
        }
    });
    assert_eq!(answer(&front.submit(Job::Echo, b"last")), b"last");
    front.close();
}

pub(crate) fn what_is_said_while_a_pool_rests_is_heard_when_it_listens_again(way: Way) {
    let front = Plan::new(way).open();
    let (held, _, mut gate) = front.hold(b"h");
    front.pool().rest();
    gate.open();
    front.pool().start_collector().unwrap();
    answer(&held);
    for _ in 0..20 {
        front.pool().rest();
        front.pool().start_collector().unwrap();
        answer(&front.submit(Job::Echo, b""));
    }
    front.close();
}

pub(crate) fn a_front_end_that_is_dismissed_is_told_so_and_the_pool_goes_on(way: Way) {
    let front = Plan::new(way).open();
    answer(&front.submit(Job::Echo, b""));
    front.pool().dismiss();
    front.heard(|notice| *notice == Notice::Dismissed);
    answer(&front.submit(Job::Echo, b""));
    front.pool().listen();
    front.close();
}
