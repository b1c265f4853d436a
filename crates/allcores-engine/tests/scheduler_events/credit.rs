//! Rules 3 and 4: how much a worker may hold.

use std::time::Duration;

use allcores_engine::batch::Batch;
use allcores_engine::scheduler::{Action, Config};

use crate::env::{LONG, TestEnv, gives, of_function, plain, pool_of, send, send_items};

/// How many of 100 batches are sent to the one worker at once.
fn sent_ahead(mut env: TestEnv) -> u64 {
    for id in 0..100 {
        env.submit(id);
    }
    env.counts().sent
}

#[test]
fn two_of_an_unknown_duration() {
    assert_eq!(sent_ahead(pool_of(1).with_ready_workers(1)), 2);
}

#[test]
fn two_of_a_long_duration() {
    assert_eq!(sent_ahead(pool_of(1).with_ready_workers(1).with_known_duration(LONG)), 2);
}

#[test]
fn nothing_waits_behind_work_of_a_tenth_of_a_second() {
    // It would start after batches that were submitted later and found another worker idle.
    let env = pool_of(1).with_ready_workers(1).with_known_duration(Duration::from_millis(100));
    assert_eq!(sent_ahead(env), 1);
}

#[test]
fn as_many_as_take_a_millisecond() {
    let env = pool_of(1).with_ready_workers(1).with_known_duration(Duration::from_micros(100));
    assert_eq!(sent_ahead(env), 10);
}

#[test]
fn never_more_than_the_cap() {
    let env = pool_of(1).with_ready_workers(1).with_known_duration(Duration::from_micros(1));
    assert_eq!(sent_ahead(env), 48);
}

#[test]
fn two_at_most_if_nothing_can_be_taken_back() {
    let mut env = TestEnv::new(Config { take_back: false, ..Config::default() });
    gives!(env.submit(1_000), Action::Spawn);
    env.starting();
    gives!(env.ready(0), send(0, 1_000));
    gives!(env.done_in(0, 1_000, Duration::from_micros(1)));
    assert_eq!(sent_ahead(env), 2);
}

#[test]
fn none_ahead_if_the_cap_is_one() {
    let mut env = TestEnv::new(Config { max_prefetch: 1, ..Config::default() });
    gives!(env.submit(1), Action::Spawn);
    env.starting();
    gives!(env.ready(0), send(0, 1));
    gives!(env.submit(2));
    gives!(env.done(0, 1), send(0, 2));
}

#[test]
fn what_cannot_be_taken_back_is_kept_for_a_worker_that_starts() {
    let config = Config { max_workers: 2, take_back: false, ..Config::default() };
    let mut env = TestEnv::new(config);
    gives!(env.submit(1), Action::Spawn);
    env.starting();
    gives!(env.ready(0), send(0, 1));
    gives!(env.submit(2), Action::Spawn);
    gives!(env.submit(3), send(0, 2));
    env.starting();
    gives!(env.ready(1), send(1, 3));
}

#[test]
fn nothing_is_sent_ahead_behind_much_payload() {
    let mut env = pool_of(1).with_ready_workers(1);
    let heavy = |id| Batch { bytes: (4 << 20) + 1, ..plain(id) };
    gives!(env.submit_batch(heavy(1)), send(0, 1));
    gives!(env.submit_batch(heavy(2)));
    gives!(env.submit(3));
    gives!(env.done(0, 1), send(0, 2));
    gives!(env.done(0, 2), send(0, 3));
}

#[test]
fn cancelled_batch_occupies_credit_until_it_is_skipped() {
    let mut env = pool_of(1).with_ready_workers(1);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(0, 2));
    gives!(env.submit(3));
    env.cancel(2);
    gives!(env.cancel_result(2, true), crate::env::cancelled(2));
    gives!(env.skipped(0, 2), send(0, 3));
}

#[test]
fn short_batches_do_not_pile_up_behind_a_long_one() {
    let mut env = pool_of(1).with_ready_workers(1);
    gives!(env.submit_batch(of_function(1, 1, 1)), send(0, 1));
    gives!(env.done_in(0, 1, Duration::from_micros(1)));
    gives!(env.submit_batch(of_function(2, 2, 1)), send(0, 2));
    gives!(env.submit_batch(of_function(1, 3, 1)), send(0, 3));
    gives!(env.submit_batch(of_function(1, 4, 1)));
}

#[test]
fn one_outlier_changes_no_credit() {
    let mut env = pool_of(1).with_ready_workers(1);
    for id in 0..5 {
        gives!(env.submit(1_000 + id), send(0, 1_000 + id));
        gives!(env.done_in(0, 1_000 + id, Duration::from_micros(100)));
    }
    gives!(env.submit(2_000), send(0, 2_000));
    gives!(env.done_in(0, 2_000, Duration::from_secs(10)));
    assert_eq!(sent_ahead(env), 10);
}

#[test]
fn slow_first_call_is_soon_forgotten() {
    let mut env = pool_of(1).with_ready_workers(1).with_known_duration(Duration::from_millis(500));
    for id in 0..2 {
        gives!(env.submit(1_000 + id), send(0, 1_000 + id));
        gives!(env.done_in(0, 1_000 + id, Duration::from_micros(10)));
    }
    assert_eq!(sent_ahead(env), 48);
}

#[test]
fn functions_are_measured_apart() {
    let mut env = pool_of(1).with_ready_workers(1).with_known_duration(Duration::from_micros(1));
    gives!(env.submit_batch(of_function(1, 1, 1)), send(0, 1));
    gives!(env.submit_batch(of_function(1, 2, 1)), send(0, 2));
    gives!(env.submit_batch(of_function(1, 3, 1)));
}

#[test]
fn forgotten_function_is_unknown_again() {
    let mut env = pool_of(1).with_ready_workers(1);
    gives!(env.submit_batch(of_function(1, 1, 8)), send_items(0, 1, 0, 0..8));
    gives!(env.done_in(0, 1, Duration::from_micros(8)));
    let function = allcores_engine::ids::FnId(1);
    assert_eq!(env.scheduler.batch_size(Some(function), None), 64);
    env.scheduler.on_function_forgotten(function);
    assert_eq!(env.scheduler.batch_size(Some(function), None), 1);
}
