//! Rule 9: the end.

use std::time::Duration;

use allcores_engine::scheduler::{Action, FailReason};

use crate::env::{
    TestEnv, broken_lost, cancelled, fail, fail_lost, gives, lasting_pool_of, pool_of, send,
    send_again, stop, take_back,
};

/// Two workers: the first holds batches 1 and 3, the second batch 2.
fn busy(env: TestEnv) -> TestEnv {
    let mut env = env.with_ready_workers(2);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(1, 2));
    gives!(env.submit(3), send(0, 3));
    env
}

#[test]
fn pool_that_never_worked_is_finished_at_once() {
    let mut env = pool_of(2);
    gives!(env.shut_down(), Action::Finished);
    gives!(env.shut_down());
    gives!(env.shut_down_and_cancel());
    assert!(env.scheduler.is_finished());
}

#[test]
fn idle_workers_are_stopped_at_once() {
    let mut env = pool_of(2).with_ready_workers(2);
    gives!(env.shut_down(), stop(0), stop(1));
    gives!(env.lost(0, &[]));
    gives!(env.lost(1, &[]), Action::Finished);
}

#[test]
fn later_batches_are_refused() {
    let mut env = pool_of(2).with_ready_workers(1);
    gives!(env.shut_down(), stop(0));
    gives!(env.submit(9), fail(9, FailReason::ShutDown));
}

#[test]
fn what_was_submitted_is_done_and_idle_workers_help() {
    let mut env = busy(pool_of(2));
    gives!(env.shut_down());
    gives!(env.done(1, 2), take_back(0, 3));
    gives!(env.taken_back(0, 3, true), send_again(1, 3, 1));
    gives!(env.done(0, 1));
    gives!(env.skipped(0, 3), stop(0));
    gives!(env.done_as(1, 3, 1, crate::env::LONG), stop(1));
    gives!(env.lost(1, &[]));
    gives!(env.lost(0, &[]), Action::Finished);
}

#[test]
fn idle_worker_stays_while_short_work_may_turn_out_to_be_long() {
    let mut env = pool_of(2).with_ready_workers(2).with_known_duration(Duration::from_micros(1));
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(1, 2));
    gives!(env.submit(3), send(0, 3));
    gives!(env.done_in(1, 2, Duration::from_micros(1)));
    gives!(env.shut_down());
    assert!(env.scheduler.wants_tick());
    gives!(env.tick(), take_back(0, 3));
    gives!(env.taken_back(0, 3, false), stop(1));
}

#[test]
fn starting_worker_is_stopped_when_it_is_ready() {
    let mut env = pool_of(2).with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), Action::Spawn, send(0, 2));
    env.starting();
    gives!(env.done(0, 1));
    gives!(env.done(0, 2));
    gives!(env.shut_down(), stop(0));
    gives!(env.lost(0, &[]));
    gives!(env.ready(1), stop(1));
    gives!(env.lost(1, &[]), Action::Finished);
}

#[test]
fn starting_worker_does_the_queued_work_first() {
    let mut env = pool_of(1);
    gives!(env.submit(1), Action::Spawn);
    gives!(env.shut_down());
    env.starting();
    gives!(env.ready(0), send(0, 1));
    gives!(env.done(0, 1), stop(0));
    gives!(env.lost(0, &[]), Action::Finished);
}

#[test]
fn cancelling_shutdown_ends_what_has_not_started() {
    let mut env = busy(pool_of(2));
    gives!(env.submit(4), send(1, 4));
    gives!(env.submit(5));
    gives!(
        env.shut_down_and_cancel(),
        cancelled(5),
        take_back(0, 3),
        take_back(0, 1),
        take_back(1, 4),
        take_back(1, 2),
    );
    gives!(env.taken_back(0, 3, true), cancelled(3));
    gives!(env.taken_back(0, 1, false));
    gives!(env.taken_back(1, 4, true), cancelled(4));
    gives!(env.taken_back(1, 2, true), cancelled(2));
    gives!(env.skipped(1, 2));
    gives!(env.skipped(1, 4), stop(1));
    gives!(env.done(0, 1));
    gives!(env.skipped(0, 3), stop(0));
    gives!(env.lost(0, &[]));
    gives!(env.lost(1, &[]), Action::Finished);
}

#[test]
fn shutdown_may_turn_into_a_cancelling_one() {
    let mut env = busy(pool_of(2));
    gives!(env.submit(4), send(1, 4));
    gives!(env.submit(5));
    gives!(env.shut_down());
    gives!(
        env.shut_down_and_cancel(),
        cancelled(5),
        take_back(0, 3),
        take_back(0, 1),
        take_back(1, 4),
        take_back(1, 2),
    );
    gives!(env.shut_down());
}

#[test]
fn cancelling_shutdown_without_ready_workers_leaves_nothing_queued() {
    let mut env = pool_of(1);
    gives!(env.submit(1), Action::Spawn);
    gives!(env.shut_down_and_cancel(), cancelled(1), Action::Finished);
}

#[test]
fn cancelling_shutdown_leaves_each_starting_worker_the_batch_it_was_started_for() {
    let mut env = pool_of(1);
    gives!(env.submit(1), Action::Spawn);
    env.starting();
    gives!(env.submit(2));
    gives!(env.shut_down_and_cancel(), cancelled(2));
    gives!(env.ready(0), send(0, 1));
    gives!(env.done(0, 1), stop(0));
    gives!(env.lost(0, &[]), Action::Finished);
}

#[test]
fn crash_during_shutdown_breaks_a_pool_with_work_left() {
    let mut env = busy(pool_of(2));
    gives!(env.shut_down());
    gives!(
        env.lost(0, &[1]),
        fail_lost(1, 0),
        fail_lost(3, 0),
        fail_lost(2, 0),
        broken_lost(0),
        stop(1),
    );
    gives!(env.lost(1, &[2]), Action::Finished);
}

#[test]
fn crash_during_shutdown_costs_a_lasting_pool_what_was_claimed() {
    let mut env = lasting_pool_of(1).with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(0, 2));
    gives!(env.shut_down());
    gives!(env.lost(0, &[1]), fail_lost(1, 0), Action::Spawn);
    env.starting();
    gives!(env.ready(1), send_again(1, 2, 1));
    gives!(env.done_as(1, 2, 1, crate::env::LONG), stop(1));
    gives!(env.lost(1, &[]), Action::Finished);
}

#[test]
fn crash_of_a_worker_without_work_is_no_news_during_shutdown() {
    let mut env = pool_of(2);
    gives!(env.submit(1), Action::Spawn);
    gives!(env.submit(2), Action::Spawn);
    env.starting();
    env.starting();
    gives!(env.ready(0), send(0, 1), send(0, 2));
    gives!(env.done(0, 1));
    gives!(env.done(0, 2));
    gives!(env.shut_down(), stop(0));
    gives!(env.lost(1, &[]));
    gives!(env.lost(0, &[]), Action::Finished);
}

#[test]
fn crash_during_a_cancelling_shutdown_cancels_what_was_not_claimed() {
    let mut env = busy(lasting_pool_of(2));
    gives!(env.shut_down_and_cancel(), take_back(0, 3), take_back(0, 1), take_back(1, 2),);
    gives!(env.lost(0, &[1]), fail_lost(1, 0), cancelled(3));
}
