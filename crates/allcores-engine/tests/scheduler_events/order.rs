//! Rules 1 and 2: who gets what, and how a batch ends.

use std::time::Duration;

use allcores_engine::scheduler::Action;

use crate::env::{gives, of_function, pool_of, send, send_items};

#[test]
fn idle_worker_comes_first() {
    let mut env = pool_of(3).with_ready_workers(3);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(1, 2));
    gives!(env.submit(3), send(2, 3));
    gives!(env.done(1, 2));
    gives!(env.submit(4), send(1, 4));
}

#[test]
fn then_the_one_with_the_least_estimated_work() {
    let mut env = pool_of(2).with_ready_workers(2);
    gives!(env.submit_batch(of_function(1, 1, 1)), send(0, 1));
    gives!(env.done_in(0, 1, Duration::from_micros(10)));
    gives!(env.submit_batch(of_function(1, 2, 40)), send_items(0, 2, 0, 0..40));
    gives!(env.submit_batch(of_function(1, 3, 10)), send_items(1, 3, 0, 0..10));
    gives!(env.submit_batch(of_function(1, 4, 10)), send_items(1, 4, 0, 0..10));
    gives!(env.submit_batch(of_function(1, 5, 30)), send_items(1, 5, 0, 0..30));
    gives!(env.submit_batch(of_function(1, 6, 1)), send(0, 6));
}

#[test]
fn queue_is_served_in_order() {
    let mut env = pool_of(1).with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(0, 2));
    gives!(env.submit(3));
    gives!(env.submit(4));
    gives!(env.done(0, 1), send(0, 3));
    gives!(env.done(0, 2), send(0, 4));
}

#[test]
fn second_answer_does_not_count() {
    let mut env = pool_of(1).with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.done(0, 1));
    gives!(env.late_answer(0, 1, 0));
    assert_eq!(env.counts().done, 1);
}

#[test]
fn answer_of_a_stranger_does_not_count() {
    let mut env = pool_of(2).with_ready_workers(2);
    gives!(env.submit(1), send(0, 1));
    gives!(env.late_answer(1, 1, 0));
    gives!(env.late_answer(0, 1, 7));
    gives!(env.late_answer(9, 1, 0));
    gives!(env.done(0, 1));
}

#[test]
fn batch_that_could_not_be_sent_frees_its_place() {
    let mut env = pool_of(1).with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(0, 2));
    gives!(env.submit(3));
    gives!(env.not_sent(0, 2), send(0, 3));
    gives!(env.not_sent(0, 2));
    assert_eq!(env.counts().failed, 1);
}

#[test]
fn every_batch_is_counted_once() {
    let mut env = pool_of(1);
    for id in 0..6 {
        env.submit(id);
    }
    env.starting();
    gives!(env.ready(0), send(0, 0), send(0, 1));
    gives!(env.done(0, 0), send(0, 2));
    let (_, actions) = env.cancel(5);
    assert_eq!(actions, [crate::env::cancelled(5)]);
    let counts = env.counts();
    assert_eq!((counts.submitted, counts.queued, counts.sent), (6, 2, 2));
    assert_eq!((counts.done, counts.cancelled, counts.failed), (1, 1, 0));
    assert_eq!((counts.workers_ready, counts.workers_starting), (1, 0));
    gives!(
        env.lost(0, &[1]),
        crate::env::fail_lost(1, 0),
        crate::env::fail_lost(2, 0),
        crate::env::fail_lost(3, 0),
        crate::env::fail_lost(4, 0),
        Action::Broken {
            why: allcores_engine::scheduler::BrokenReason::WorkerLost {
                worker: allcores_engine::ids::WorkerId(0)
            }
        },
    );
}
