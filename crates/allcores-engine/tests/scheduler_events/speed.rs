//! What one submit with its answer costs. Printed (`--nocapture`), never asserted: machines differ.

use std::time::{Duration, Instant};

use allcores_engine::batch::Cost;
use allcores_engine::ids::{BatchId, Instance, WorkerId};
use allcores_engine::scheduler::{Action, Config, Scheduler, Verdict};

use crate::env::plain;

const PAIRS: u64 = if cfg!(debug_assertions) { 10_000 } else { 1_000_000 };

/// Keeps `ahead` batches under way and answers them in order; nanoseconds per submit and answer.
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn nanos_per_pair(max_workers: usize, ahead: u64) -> u128 {
    let mut scheduler = Scheduler::new(Config { max_workers, ..Config::default() });
    let mut actions = Vec::new();
    let mut sent = std::collections::VecDeque::<(WorkerId, BatchId, Instance)>::new();
    let mut begin = Instant::now();
    let mut done = 0;
    let mut next = 0;
    while done < PAIRS + 10_000 {
        if done == 10_000 {
            begin = Instant::now();
        }
        while next < done + ahead {
            scheduler.on_submit(plain(next), &mut actions);
            next += 1;
        }
        if let Some((worker, batch, instance)) = sent.pop_front() {
            let busy = Duration::from_micros(1);
            let verdict =
                scheduler.on_done(worker, batch, instance, Cost::of_time(busy), &mut actions);
            done += u64::from(verdict == Verdict::Last);
        }
        let mut at = 0;
        while let Some(&action) = actions.get(at) {
            at += 1;
            match action {
                Action::Send { worker, batch, instance, .. } => {
                    sent.push_back((worker, batch, instance));
                }
                Action::Spawn => {
                    let worker = scheduler.on_worker_starting().expect("it is wanted");
                    scheduler.on_worker_ready(worker, &mut actions);
                }
                Action::TakeBack { worker, batch, instance } => {
                    scheduler.on_taken_back(worker, batch, instance, false, &mut actions);
                }
                _ => {}
            }
        }
        actions.clear();
    }
    begin.elapsed().as_nanos() / u128::from(PAIRS)
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is the point")]
fn submit_and_done_pair_is_cheap() {
    for (workers, ahead) in [(1, 1), (2, 1), (8, 1), (8, 64), (8, 1_000), (64, 1), (64, 1_000)] {
        let nanos = nanos_per_pair(workers, ahead);
        println!(
            "{workers:3} workers, {ahead:5} batches under way: {nanos:4} ns a submit and done"
        );
    }
}
