//! Rule 8: workers that end unexpectedly.

use allcores_engine::ids::WorkerId;
use allcores_engine::scheduler::{Action, FailReason};

use crate::env::{
    LONG, TestEnv, broken_lost, cancelled, fail, fail_lost, gives, lasting_pool_of, pool_of, send,
    send_again, stop, take_back, take_back_again,
};

/// Two workers with two batches each (1 and 3, 2 and 4), and batch 5 in the queue.
fn busy(env: TestEnv) -> TestEnv {
    let mut env = env.with_ready_workers(2);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(1, 2));
    gives!(env.submit(3), send(0, 3));
    gives!(env.submit(4), send(1, 4));
    gives!(env.submit(5));
    env
}

#[test]
fn pool_that_breaks_fails_everything_and_stops_the_others() {
    let mut env = busy(pool_of(2));
    gives!(
        env.lost(0, &[1]),
        fail_lost(1, 0),
        fail_lost(3, 0),
        fail_lost(2, 0),
        fail_lost(4, 0),
        fail_lost(5, 0),
        broken_lost(0),
        stop(1),
    );
    gives!(env.late_answer(1, 2, 0));
    gives!(env.lost(1, &[4]));
    gives!(env.submit(6), fail(6, FailReason::PoolBroken { worker: WorkerId(0) }));
    gives!(env.shut_down(), Action::Finished);
}

#[test]
fn idle_worker_that_ends_breaks_the_pool_too() {
    let mut env = pool_of(2).with_ready_workers(2);
    gives!(env.lost(1, &[]), broken_lost(1), stop(0));
    assert!(env.scheduler.is_broken());
}

#[test]
fn worker_that_ends_while_starting_breaks_the_pool_too() {
    let mut env = pool_of(2);
    gives!(env.submit(1), Action::Spawn);
    env.starting();
    gives!(env.lost(0, &[]), fail_lost(1, 0), broken_lost(0));
}

#[test]
fn broken_pool_starts_nobody() {
    let mut env = pool_of(2);
    gives!(env.submit(1), Action::Spawn);
    gives!(env.submit(2), Action::Spawn);
    env.starting();
    gives!(env.lost(0, &[]), fail_lost(1, 0), fail_lost(2, 0), broken_lost(0));
    assert_eq!(env.scheduler.on_worker_starting(), None);
}

#[test]
fn lasting_pool_fails_what_was_claimed_and_runs_the_rest_elsewhere() {
    let mut env = busy(lasting_pool_of(2));
    gives!(env.lost(0, &[1]), fail_lost(1, 0), Action::Spawn);
    gives!(env.done(1, 2), send_again(1, 3, 1));
    env.starting();
    gives!(env.ready(2), send(2, 5));
    gives!(env.done(2, 5), take_back_again(1, 3, 1));
}

#[test]
fn unclaimed_batches_return_to_the_front_in_order() {
    let mut env = busy(lasting_pool_of(2));
    gives!(env.lost(0, &[]), Action::Spawn);
    gives!(env.done(1, 2), send_again(1, 1, 1));
    gives!(env.done(1, 4), send_again(1, 3, 1));
    gives!(env.done_as(1, 1, 1, LONG), send(1, 5));
}

#[test]
fn batch_known_to_have_started_is_never_run_again() {
    let mut env = busy(lasting_pool_of(2));
    env.cancel(1);
    gives!(env.cancel_result(1, false));
    gives!(env.lost(0, &[]), fail_lost(1, 0), Action::Spawn);
}

#[test]
fn late_answer_of_a_lost_worker_is_ignored() {
    let mut env = busy(lasting_pool_of(2));
    gives!(env.lost(0, &[]), Action::Spawn);
    gives!(env.late_answer(0, 1, 0));
    gives!(env.taken_back(0, 3, true));
    gives!(env.skipped(0, 3));
    gives!(env.lost(0, &[]));
}

#[test]
fn idle_worker_that_ends_is_replaced_when_it_is_needed() {
    let mut env = lasting_pool_of(1).with_ready_workers(1);
    gives!(env.lost(0, &[]));
    gives!(env.submit(1), Action::Spawn);
}

#[test]
fn batch_that_somebody_tries_to_cancel_is_not_given_to_another() {
    let mut env = busy(lasting_pool_of(2));
    env.cancel(3);
    gives!(env.lost(0, &[1]), fail_lost(1, 0), cancelled(3), Action::Spawn);
    gives!(env.cancel_result(3, true));
}

#[test]
fn batch_that_was_being_taken_back_from_a_lost_worker_is_ours() {
    let mut env = lasting_pool_of(2).with_ready_workers(2);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(1, 2));
    gives!(env.submit(3), send(0, 3));
    gives!(env.done(1, 2), take_back(0, 3));
    gives!(env.lost(0, &[1]), fail_lost(1, 0), send_again(1, 3, 1));
}
