//! Workers that are ended on purpose, and those that take nothing more.

use allcores_engine::batch::Batch;
use allcores_engine::ids::WorkerId;
use allcores_engine::scheduler::{Action, BrokenReason, FailReason, Ran};

use crate::env::{
    TestEnv, cancelled, fail, fail_items, gives, lasting_pool_of, plain, pool_of, send, send_again,
    send_items, stop, take_back,
};

const TIMED_OUT: FailReason = FailReason::TimedOut { worker: WorkerId(0) };

/// Worker 0 runs batch 1, and 2 waits behind it.
fn busy(env: TestEnv) -> TestEnv {
    let mut env = env.with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(0, 2));
    env
}

/// The same, with worker 0 arrested: 2 has come back.
fn arrested(env: TestEnv) -> TestEnv {
    let mut env = busy(env);
    assert_eq!(env.arrested(0), (true, vec![take_back(0, 2), take_back(0, 1)]));
    gives!(env.taken_back(0, 2, true));
    gives!(env.taken_back(0, 1, false));
    env
}

#[test]
fn arrested_worker_gives_back_what_it_has_not_claimed() {
    let mut env = arrested(pool_of(1));
    assert_eq!(env.arrested(0), (true, vec![]), "once is enough");
    gives!(env.submit(3));
}

#[test]
fn pardoned_worker_goes_on() {
    let mut env = arrested(pool_of(1));
    gives!(env.pardoned(0));
    gives!(env.done(0, 1), send_again(0, 2, 1));
    gives!(env.pardoned(0));
}

#[test]
fn stopped_batch_is_over_at_once_and_its_worker_is_replaced_whatever_the_policy() {
    for env in [pool_of(1), lasting_pool_of(1)] {
        let mut env = arrested(env);
        gives!(env.stopped(0, 1), cancelled(1));
        gives!(env.submit(3));
        gives!(env.lost(0, &[1]), Action::Spawn);
        env.starting();
        gives!(env.ready(1), send_again(1, 2, 1), send(1, 3));
        assert!(!env.scheduler.is_broken());
    }
}

#[test]
fn answer_of_a_stopped_batch_is_late() {
    let mut env = arrested(pool_of(1));
    gives!(env.stopped(0, 1), cancelled(1));
    gives!(env.late_answer(0, 1, 0));
    gives!(env.lost(0, &[]), Action::Spawn);
}

#[test]
fn batch_elsewhere_is_not_stopped_with_a_worker() {
    let mut env = pool_of(2).with_ready_workers(2);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(1, 2));
    assert_eq!(env.arrested(0), (true, vec![take_back(0, 1)]));
    gives!(env.taken_back(0, 1, false));
    gives!(env.stopped(0, 2));
    gives!(env.done(1, 2));
}

#[test]
fn item_that_timed_out_fails_and_the_others_go_on() {
    let mut env = pool_of(1).with_ready_workers(1);
    gives!(env.submit_batch(Batch { count: 4, ..plain(1) }), send_items(0, 1, 0, 0..4));
    env.arrested(0);
    gives!(env.taken_back(0, 1, false));
    gives!(env.timed_out(0));
    gives!(
        env.lost_in(0, 1, Ran::Item { kept: 1, item: 1 }),
        fail_items(1, 1..2, TIMED_OUT),
        Action::Spawn,
    );
    env.starting();
    gives!(env.ready(1), send_items(1, 1, 1, 2..4));
    assert!(!env.scheduler.is_broken());
}

#[test]
fn answer_in_the_last_moment_counts() {
    let mut env = arrested(pool_of(1));
    gives!(env.timed_out(0));
    gives!(env.done(0, 1));
    gives!(env.lost(0, &[]), Action::Spawn);
}

#[test]
fn timeout_is_retried_only_if_somebody_wants_that() {
    for (retry_timeouts, retries, again) in [(true, 1, true), (false, 1, false), (true, 0, false)] {
        let mut env = pool_of(1).with_ready_workers(1);
        env.submit_batch(Batch { retries, retry_timeouts, ..plain(1) });
        env.arrested(0);
        env.taken_back(0, 1, false);
        env.timed_out(0);
        let ends = env.lost_in(0, 1, Ran::Item { kept: 0, item: 0 });
        let expected = if again { Action::Spawn } else { fail(1, TIMED_OUT) };
        assert_eq!(ends, [expected]);
    }
}

#[test]
fn condemned_workers_tell_nothing_about_workers_in_general() {
    let mut env = lasting_pool_of(1);
    for worker in 0..5 {
        let batch = u64::from(worker);
        gives!(env.submit(batch), Action::Spawn);
        env.starting();
        gives!(env.ready(worker), send(worker, batch));
        env.arrested(worker);
        env.taken_back(worker, batch, false);
        gives!(env.stopped(worker, batch), cancelled(batch));
        gives!(env.lost(worker, &[]));
    }
    assert!(!env.scheduler.is_broken());
}

#[test]
fn worker_that_dies_while_arrested_has_died() {
    let mut env = arrested(pool_of(1));
    env.lost(0, &[1]);
    assert!(env.scheduler.is_broken());
}

#[test]
fn nobody_is_arrested_who_is_starting_or_leaving() {
    let mut env = pool_of(2).with_ready_workers(1);
    gives!(env.shut_down(), stop(0));
    assert_eq!(env.arrested(0), (false, vec![]));
    assert_eq!(env.arrested(7), (false, vec![]));
}

#[test]
fn pool_ends_though_a_worker_is_arrested() {
    let mut env = arrested(pool_of(1));
    env.shut_down();
    gives!(env.stopped(0, 1), cancelled(1));
    gives!(env.lost(0, &[]), Action::Spawn);
}

#[test]
fn retired_worker_gives_back_what_it_has_and_is_stopped_and_replaced() {
    let mut env = busy(pool_of(1));
    gives!(env.done(0, 1));
    gives!(env.submit(3), send(0, 3));
    gives!(env.retire(0), take_back(0, 3), take_back(0, 2));
    gives!(env.taken_back(0, 3, true));
    gives!(env.taken_back(0, 2, true));
    gives!(env.skipped(0, 2));
    gives!(env.skipped(0, 3), stop(0));
    gives!(env.lost(0, &[]), Action::Spawn);
    env.starting();
    gives!(env.ready(1), send_again(1, 2, 1), send_again(1, 3, 1));
}

#[test]
fn retired_worker_that_has_nothing_is_stopped_at_once() {
    let mut env = pool_of(1).with_ready_workers(1);
    gives!(env.retire(0), stop(0));
    gives!(env.lost(0, &[]));
    assert!(!env.scheduler.is_broken());
}

#[test]
fn retired_worker_may_say_that_it_skipped_before_anybody_asks() {
    let mut env = busy(pool_of(1));
    gives!(env.done(0, 1));
    gives!(env.retire(0), take_back(0, 2));
    gives!(env.taken_back(0, 2, false));
    gives!(env.skipped(0, 2), stop(0));
    gives!(env.lost(0, &[]), Action::Spawn);
}

#[test]
fn retired_worker_gets_nothing_even_if_it_is_arrested_and_pardoned() {
    let mut env = arrested(pool_of(1));
    gives!(env.done(0, 1));
    gives!(env.retire(0));
    gives!(env.skipped(0, 2));
    gives!(env.pardoned(0), stop(0));
}

#[test]
fn ended_pool_fails_everything_and_is_broken() {
    let mut env = busy(lasting_pool_of(1));
    gives!(
        env.ended(),
        fail(1, FailReason::Ended),
        fail(2, FailReason::Ended),
        Action::Broken { why: BrokenReason::Ended },
        stop(0),
    );
    gives!(env.submit(3), fail(3, FailReason::Ended));
    gives!(env.ended());
    gives!(env.shut_down());
    gives!(env.lost(0, &[1]), Action::Finished);
}
