//! Rule 7: workers that get so many batches and no more.

use allcores_engine::scheduler::{Action, Config, OnLost};

use crate::env::{TestEnv, cancelled, gives, send, stop};

fn recycling(max_workers: usize, tasks: u32) -> TestEnv {
    let max_tasks_per_worker = Some(tasks);
    TestEnv::new(Config { max_workers, max_tasks_per_worker, ..Config::default() })
}

/// One worker of two batches, ready and idle.
fn worker_of_two() -> TestEnv {
    let mut env = recycling(1, 2);
    gives!(env.submit(1), Action::Spawn);
    env.starting();
    gives!(env.ready(0), send(0, 1));
    env
}

#[test]
fn worker_is_stopped_after_its_last_batch_and_replaced_for_the_next() {
    let mut env = worker_of_two();
    gives!(env.submit(2), send(0, 2));
    gives!(env.submit(3));
    gives!(env.done(0, 1));
    gives!(env.done(0, 2), stop(0));
    gives!(env.lost(0, &[]), Action::Spawn);
    env.starting();
    gives!(env.ready(1), send(1, 3));
}

#[test]
fn worker_is_not_replaced_without_work() {
    let mut env = worker_of_two();
    gives!(env.submit(2), send(0, 2));
    gives!(env.done(0, 1));
    gives!(env.done(0, 2), stop(0));
    gives!(env.lost(0, &[]));
    gives!(env.submit(3), Action::Spawn);
}

#[test]
fn batch_that_did_not_run_does_not_count() {
    let mut env = worker_of_two();
    gives!(env.submit(2), send(0, 2));
    gives!(env.submit(3));
    env.cancel(2);
    gives!(env.cancel_result(2, true), cancelled(2));
    gives!(env.skipped(0, 2), send(0, 3));
    gives!(env.done(0, 1));
    gives!(env.done(0, 3), stop(0));
}

#[test]
fn expected_end_never_breaks_the_pool() {
    for on_worker_lost in [OnLost::Break, OnLost::Replace] {
        let max_tasks_per_worker = Some(1);
        let mut env =
            TestEnv::new(Config { max_tasks_per_worker, on_worker_lost, ..Config::default() });
        gives!(env.submit(0), Action::Spawn);
        for life in 0..5 {
            gives!(env.submit(u64::from(life) + 1));
            env.starting();
            gives!(env.ready(life), send(life, life.into()));
            gives!(env.done(life, life.into()), stop(life));
            gives!(env.lost(life, &[]), Action::Spawn);
        }
    }
}

#[test]
fn recycled_worker_is_replaced_during_shutdown_if_work_is_left() {
    let mut env = recycling(1, 1);
    gives!(env.submit(1), Action::Spawn);
    gives!(env.submit(2));
    env.starting();
    gives!(env.ready(0), send(0, 1));
    gives!(env.shut_down());
    gives!(env.done(0, 1), stop(0));
    gives!(env.lost(0, &[]), Action::Spawn);
    env.starting();
    gives!(env.ready(1), send(1, 2));
    gives!(env.done(1, 2), stop(1));
    gives!(env.lost(1, &[]), Action::Finished);
}

#[test]
fn batches_are_single_items_when_workers_are_recycled() {
    let mut env = recycling(1, 10);
    gives!(env.submit(1), Action::Spawn);
    env.starting();
    gives!(env.ready(0), send(0, 1));
    gives!(env.done_in(0, 1, std::time::Duration::from_nanos(10)));
    assert_eq!(env.scheduler.batch_size(None, None), 1);
}
