//! Rule 5: work moves from busy workers to idle ones.

use std::time::Duration;

use allcores_engine::batch::Batch;
use allcores_engine::ids::WorkerId;
use allcores_engine::scheduler::{Action, CancelStep, Config};

use crate::env::{
    LONG, TestEnv, cancelled, gives, plain, pool_of, send, send_again, send_items, stop, take_back,
};

/// Worker 0 holds batches 1 and 2, worker 1 has just become ready.
fn uneven() -> TestEnv {
    let mut env = pool_of(2).with_ready_workers(1).with_known_duration(LONG);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), Action::Spawn, send(0, 2));
    env.starting();
    gives!(env.ready(1), take_back(0, 2));
    env
}

/// Worker 0 holds batches 1 to 8 of this duration, worker 1 starts.
fn eight_on_one(busy: Duration) -> TestEnv {
    let mut env = pool_of(2).with_ready_workers(1).with_known_duration(busy);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), Action::Spawn, send(0, 2));
    for id in 3..=8 {
        gives!(env.submit(id), send(0, id));
    }
    assert_eq!(env.starting(), WorkerId(1));
    env
}

#[test]
fn idle_worker_gets_what_waits_behind_another() {
    let mut env = uneven();
    gives!(env.taken_back(0, 2, true), send_again(1, 2, 1));
    assert_eq!(env.counts().taken_back, 1);
    gives!(env.done_as(1, 2, 1, LONG));
}

#[test]
fn what_was_claimed_meanwhile_stays() {
    let mut env = uneven();
    gives!(env.taken_back(0, 2, false));
    gives!(env.done(0, 1));
    gives!(env.done(0, 2));
    assert_eq!(env.counts().taken_back, 0);
}

#[test]
fn what_was_refused_is_not_asked_for_again() {
    let mut env = uneven();
    gives!(env.taken_back(0, 2, false));
    gives!(env.tick());
    assert!(!env.scheduler.wants_tick());
}

#[test]
fn batch_is_asked_for_once_at_a_time() {
    let mut env = uneven();
    gives!(env.tick());
    gives!(env.submit(3), send(1, 3));
}

#[test]
fn answer_of_the_old_instance_is_late() {
    let mut env = uneven();
    gives!(env.taken_back(0, 2, true), send_again(1, 2, 1));
    gives!(env.late_answer(0, 2, 0));
    gives!(env.done_as(1, 2, 1, LONG));
}

#[test]
fn skipped_descriptor_returns_credit_to_the_old_worker() {
    let mut env = uneven();
    gives!(env.taken_back(0, 2, true), send_again(1, 2, 1));
    // Worker 0 still has two descriptors in its ring.
    gives!(env.submit(3), send(1, 3));
    gives!(env.submit(4));
    gives!(env.skipped(0, 2), send(0, 4));
}

#[test]
fn half_of_the_newest_moves() {
    let mut env = eight_on_one(Duration::from_micros(100));
    gives!(env.ready(1), take_back(0, 8), take_back(0, 7), take_back(0, 6), take_back(0, 5));
    gives!(env.taken_back(0, 8, true), send_again(1, 8, 1));
    gives!(env.taken_back(0, 7, true), send_again(1, 7, 1));
}

#[test]
fn short_work_stays_where_it_is() {
    let mut env = eight_on_one(Duration::from_micros(10));
    gives!(env.ready(1));
}

#[test]
fn short_work_moves_when_it_turns_out_to_be_long() {
    let mut env = eight_on_one(Duration::from_micros(10));
    assert!(!env.scheduler.wants_tick());
    gives!(env.ready(1));
    assert!(env.scheduler.wants_tick());
    gives!(env.tick(), take_back(0, 8), take_back(0, 7), take_back(0, 6), take_back(0, 5));
    assert!(!env.scheduler.wants_tick());
}

#[test]
fn refusal_tells_that_older_batches_have_started_too() {
    let mut env = eight_on_one(Duration::from_micros(100));
    gives!(env.ready(1), take_back(0, 8), take_back(0, 7), take_back(0, 6), take_back(0, 5));
    gives!(env.taken_back(0, 8, false));
    gives!(env.taken_back(0, 7, false));
    gives!(env.taken_back(0, 6, false));
    gives!(env.taken_back(0, 5, false));
    assert!(!env.scheduler.wants_tick());
}

#[test]
fn nothing_is_taken_back_over_a_link_that_cannot() {
    let config = Config { max_workers: 2, take_back: false, ..Config::default() };
    let mut env = TestEnv::new(config);
    for id in 1..=4 {
        env.submit(id);
    }
    env.starting();
    env.starting();
    gives!(env.ready(0), send(0, 1), send(0, 2));
    gives!(env.ready(1), send(1, 3), send(1, 4));
    gives!(env.done(0, 1));
    gives!(env.done(0, 2));
    gives!(env.tick());
}

#[test]
fn nothing_is_taken_back_while_something_is_queued() {
    let mut env = pool_of(2).with_ready_workers(2);
    for id in 1..=6 {
        env.submit(id);
    }
    gives!(env.done(0, 1), send(0, 5));
    gives!(env.done(0, 3), send(0, 6));
    gives!(env.done(0, 5));
    gives!(env.done(0, 6), take_back(1, 4));
}

#[test]
fn batch_that_is_wanted_back_can_be_cancelled() {
    let mut env = uneven();
    let (step, actions) = env.cancel(2);
    assert!(matches!(step, CancelStep::AskWorker { .. }));
    gives!(actions);
    // The take-back was first at the claim cell, so the wish is granted here.
    gives!(env.taken_back(0, 2, true), cancelled(2));
    gives!(env.cancel_result(2, false));
    gives!(env.skipped(0, 2));
}

#[test]
fn news_of_the_skipping_may_come_before_that_of_the_taking_back() {
    let mut env = uneven();
    gives!(env.skipped(0, 2), send_again(1, 2, 1));
    gives!(env.taken_back(0, 2, true));
    gives!(env.done_as(1, 2, 1, LONG));
}

#[test]
fn answer_may_come_before_that_of_the_claim_cell() {
    let mut env = uneven();
    gives!(env.done(0, 1));
    gives!(env.done(0, 2));
    gives!(env.taken_back(0, 2, false));
    gives!(env.submit(3), send(0, 3));
}

#[test]
fn most_loaded_worker_gives_first() {
    let mut env = pool_of(3).with_ready_workers(3).with_known_duration(LONG);
    let twice_as_long = |id| Batch { count: 2, ..plain(id) };
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit_batch(twice_as_long(2)), send_items(1, 2, 0, 0..2));
    gives!(env.submit(3), send(2, 3));
    gives!(env.submit(4), send(0, 4));
    gives!(env.submit(5), send(2, 5));
    gives!(env.submit_batch(twice_as_long(6)), send_items(1, 6, 0, 0..2));
    gives!(env.done(0, 1));
    gives!(env.done(0, 4), take_back(1, 6));
}

#[test]
fn idle_worker_with_a_ring_full_of_cancelled_batches_asks_for_nothing() {
    let mut env = TestEnv::new(Config { max_workers: 2, max_prefetch: 2, ..Config::default() })
        .with_ready_workers(2);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(1, 2));
    gives!(env.submit(3), send(0, 3));
    gives!(env.submit(4), send(1, 4));
    gives!(env.submit(5));
    for id in [1, 3] {
        env.cancel(id);
        gives!(env.cancel_result(id, true), cancelled(id));
    }
    gives!(env.skipped(0, 1), send(0, 5));
}

#[test]
fn started_batches_wait_for_nobody() {
    let mut env = uneven();
    gives!(env.taken_back(0, 2, false));
    gives!(env.shut_down(), stop(1));
    // Batch 2 was sent behind batch 1, but is known to run: nobody is started for it.
    gives!(env.lost(1, &[]));
}
