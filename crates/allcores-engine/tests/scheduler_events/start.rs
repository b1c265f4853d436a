//! Rule 6: when workers are started.

use allcores_engine::ids::WorkerId;
use allcores_engine::scheduler::{Action, BrokenReason, Config, FailReason, StartPolicy};

use crate::env::{TestEnv, fail, gives, lasting_pool_of, pool_of, send, stop, take_back};

#[test]
fn nothing_starts_before_the_first_batch() {
    let env = pool_of(4);
    assert_eq!(env.counts().workers_starting, 0);
}

#[test]
fn first_batch_starts_one_worker_and_waits_for_it() {
    let mut env = pool_of(4);
    gives!(env.submit(1), Action::Spawn);
    assert_eq!(env.starting(), WorkerId(0));
    assert_eq!(env.counts().queued, 1);
    gives!(env.ready(0), send(0, 1));
    assert_eq!(env.counts().sent, 1);
}

#[test]
fn each_waiting_batch_starts_a_worker_up_to_the_limit() {
    let mut env = pool_of(2);
    gives!(env.submit(1), Action::Spawn);
    gives!(env.submit(2), Action::Spawn);
    gives!(env.submit(3));
}

#[test]
fn starting_worker_counts_against_the_queue() {
    let mut env = pool_of(4);
    gives!(env.submit(1), Action::Spawn);
    env.starting();
    gives!(env.submit(2), Action::Spawn);
    gives!(env.ready(0), send(0, 1), send(0, 2));
    // One more is being started for the batch that was sent ahead.
    gives!(env.submit(3), Action::Spawn);
}

#[test]
fn idle_worker_is_used_before_another_is_started() {
    let mut env = pool_of(4).with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.done(0, 1));
    gives!(env.submit(2), send(0, 2));
}

#[test]
fn busy_worker_gets_a_second_batch_while_another_worker_starts() {
    let mut env = pool_of(4).with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), Action::Spawn, send(0, 2));
    env.starting();
    gives!(env.ready(1), take_back(0, 2));
}

#[test]
fn all_at_once_starts_all_at_the_first_batch() {
    let start = StartPolicy::AllAtOnce;
    let mut env = TestEnv::new(Config { max_workers: 3, start, ..Config::default() });
    gives!(env.submit(1), Action::Spawn, Action::Spawn, Action::Spawn);
    gives!(env.submit(2));
}

#[test]
fn work_is_sent_only_to_ready_workers() {
    let mut env = pool_of(2);
    gives!(env.submit(1), Action::Spawn);
    gives!(env.submit(2), Action::Spawn);
    env.starting();
    env.starting();
    gives!(env.ready(1), send(1, 1), send(1, 2));
    gives!(env.ready(1));
}

#[test]
fn failed_start_breaks_the_pool() {
    let mut env = lasting_pool_of(2);
    gives!(env.submit(1), Action::Spawn);
    gives!(env.submit(2), Action::Spawn);
    env.starting();
    env.starting();
    let worker = WorkerId(1);
    gives!(
        env.start_failed(1),
        fail(1, FailReason::StartFailed { worker }),
        fail(2, FailReason::StartFailed { worker }),
        Action::Broken { why: BrokenReason::StartFailed { worker } },
    );
    gives!(env.lost(1, &[]));
    gives!(env.ready(0), stop(0));
    gives!(env.submit(3), fail(3, FailReason::PoolBroken { worker }));
}

#[test]
fn worker_that_is_no_longer_wanted_is_not_started() {
    let mut env = pool_of(2);
    gives!(env.submit(1), Action::Spawn);
    let (_, actions) = env.cancel(1);
    assert_eq!(actions, [crate::env::cancelled(1)]);
    gives!(env.shut_down(), Action::Finished);
    assert_eq!(env.scheduler.on_worker_starting(), None);
}

#[test]
fn three_workers_that_die_before_they_are_ready_break_the_pool() {
    let mut env = lasting_pool_of(1);
    gives!(env.submit(1), Action::Spawn);
    for worker in 0..2 {
        env.starting();
        gives!(env.lost(worker, &[]), Action::Spawn);
    }
    env.starting();
    let worker = WorkerId(2);
    gives!(
        env.lost(2, &[]),
        fail(1, FailReason::WorkersKeepDying { worker }),
        Action::Broken { why: BrokenReason::WorkersKeepDying { worker } },
    );
}

#[test]
fn three_workers_that_die_before_they_claim_anything_break_the_pool() {
    let mut env = lasting_pool_of(1);
    gives!(env.submit(1), Action::Spawn);
    for life in 0..3 {
        env.starting();
        gives!(env.ready(life), crate::env::send_again(life, 1, life));
        if life < 2 {
            gives!(env.lost(life, &[]), Action::Spawn);
        }
    }
    let worker = WorkerId(2);
    gives!(
        env.lost(2, &[]),
        fail(1, FailReason::WorkersKeepDying { worker }),
        Action::Broken { why: BrokenReason::WorkersKeepDying { worker } },
    );
}

#[test]
fn worker_that_becomes_ready_forgives_those_that_did_not() {
    let mut env = lasting_pool_of(1);
    gives!(env.submit(1), Action::Spawn);
    for worker in 0..2 {
        env.starting();
        gives!(env.lost(worker, &[]), Action::Spawn);
    }
    env.starting();
    gives!(env.ready(2), send(2, 1));
    gives!(env.done(2, 1));
    gives!(env.lost(2, &[]));
    gives!(env.submit(2), Action::Spawn);
    env.starting();
    gives!(env.lost(3, &[]), Action::Spawn);
}
