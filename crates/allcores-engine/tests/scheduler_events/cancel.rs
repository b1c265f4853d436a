//! Cancelling one batch.

use allcores_engine::ids::{Instance, WorkerId};
use allcores_engine::scheduler::{Action, CancelStep, Config};

use crate::env::{TestEnv, cancelled, gives, pool_of, send};

const ASK_FIRST_WORKER: CancelStep =
    CancelStep::AskWorker { worker: WorkerId(0), instance: Instance::FIRST };

/// One worker that holds batches 1 and 2, and batch 3 in the queue.
fn busy() -> TestEnv {
    let mut env = pool_of(1).with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(0, 2));
    gives!(env.submit(3));
    env
}

#[test]
fn queued_batch_is_gone_at_once() {
    let mut env = busy();
    assert_eq!(env.cancel(3), (CancelStep::Cancelled, vec![cancelled(3)]));
    assert_eq!(env.cancel(3), (CancelStep::Unknown, vec![]));
    gives!(env.done(0, 1));
}

#[test]
fn batch_in_the_middle_of_the_queue_leaves_the_order_alone() {
    let mut env = busy();
    gives!(env.submit(4));
    gives!(env.submit(5));
    assert_eq!(env.cancel(4).0, CancelStep::Cancelled);
    gives!(env.done(0, 1), send(0, 3));
    gives!(env.done(0, 2), send(0, 5));
}

#[test]
fn thousands_are_cancelled_one_by_one() {
    let mut env = busy();
    for id in 10..2_010 {
        gives!(env.submit(id));
    }
    for id in (10..2_010).rev().filter(|id| id % 100 != 0) {
        assert_eq!(env.cancel(id), (CancelStep::Cancelled, vec![cancelled(id)]));
    }
    assert_eq!(env.counts().queued, 1 + 20);
    gives!(env.done(0, 1), send(0, 3));
    gives!(env.done(0, 2), send(0, 100));
}

#[test]
fn sent_batch_is_cancelled_if_its_claim_cell_says_so() {
    let mut env = busy();
    assert_eq!(env.cancel(2), (ASK_FIRST_WORKER, vec![]));
    gives!(env.cancel_result(2, true), cancelled(2));
    assert_eq!(env.cancel(2), (CancelStep::Unknown, vec![]));
    gives!(env.late_answer(0, 2, 0), send(0, 3));
}

#[test]
fn started_batch_runs_on() {
    let mut env = busy();
    assert_eq!(env.cancel(1), (ASK_FIRST_WORKER, vec![]));
    gives!(env.cancel_result(1, false));
    assert_eq!(env.cancel(1), (CancelStep::TooLate, vec![]));
    gives!(env.done(0, 1), send(0, 3));
}

#[test]
fn ended_batch_is_unknown() {
    let mut env = busy();
    gives!(env.done(0, 1), send(0, 3));
    assert_eq!(env.cancel(1), (CancelStep::Unknown, vec![]));
    gives!(env.cancel_result(1, true));
}

#[test]
fn news_of_the_skipping_may_come_first() {
    let mut env = busy();
    assert_eq!(env.cancel(2), (ASK_FIRST_WORKER, vec![]));
    gives!(env.skipped(0, 2), cancelled(2), send(0, 3));
    gives!(env.cancel_result(2, true));
}

#[test]
fn sent_batch_is_too_late_over_a_link_that_takes_nothing_back() {
    let mut env = TestEnv::new(Config { take_back: false, ..Config::default() });
    gives!(env.submit(1), Action::Spawn);
    env.starting();
    gives!(env.ready(0), send(0, 1));
    assert_eq!(env.cancel(1), (CancelStep::TooLate, vec![]));
}

#[test]
fn worker_with_nothing_but_cancelled_batches_gets_work_at_once() {
    let mut env = pool_of(1).with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(0, 2));
    for id in [1, 2] {
        assert_eq!(env.cancel(id).0, ASK_FIRST_WORKER);
        gives!(env.cancel_result(id, true), cancelled(id));
    }
    gives!(env.submit(3), send(0, 3));
}

#[test]
fn two_tries_whose_results_come_in_the_wrong_order_end_it_once() {
    let mut env = busy();
    assert_eq!(env.cancel(2), (ASK_FIRST_WORKER, vec![]));
    assert_eq!(env.cancel(2), (ASK_FIRST_WORKER, vec![]));
    // The second try found the cell cancelled by the first, and reports before it.
    gives!(env.cancel_result(2, false));
    gives!(env.skipped(0, 2), cancelled(2), send(0, 3));
    gives!(env.cancel_result(2, true));
}
