//! How many items a batch shall hold.

use std::time::Duration;

use allcores_engine::ids::FnId;
use allcores_engine::scheduler::SizeReason;

use crate::env::{TestEnv, gives, of_function, pool_of, send_items};

const F: Option<FnId> = Some(FnId(7));

/// Batches of these sizes have come back, each item having taken so long.
fn measured(max_workers: usize, sizes: &[u32], per_item: Duration) -> TestEnv {
    let mut env = pool_of(max_workers).with_ready_workers(1);
    for (id, &count) in (0..).zip(sizes) {
        gives!(env.submit_batch(of_function(7, id, count)), send_items(0, id, 0, 0..count));
        gives!(env.done_in(0, id, per_item * count));
    }
    env
}

fn size(env: &TestEnv, remaining: Option<u64>) -> (u32, SizeReason) {
    let size = env.scheduler.explain_size(F, remaining);
    assert_eq!(env.scheduler.batch_size(F, remaining), size.items);
    (size.items, size.why)
}

#[test]
fn unknown_function_is_tried_with_one_item() {
    let env = measured(4, &[], Duration::ZERO);
    assert_eq!(size(&env, Some(1_000_000)), (1, SizeReason::NothingMeasured));
}

#[test]
fn size_grows_eightfold_at_most() {
    let short = Duration::from_micros(1);
    assert_eq!(size(&measured(4, &[1], short), None), (8, SizeReason::Growing { largest: 1 }));
    let env = measured(4, &[1, 8, 3], short);
    assert_eq!(size(&env, None), (64, SizeReason::Growing { largest: 8 }));
}

#[test]
fn batch_aims_at_four_milliseconds() {
    let env = measured(4, &[1, 8, 64, 512], Duration::from_micros(10));
    assert_eq!(size(&env, None), (400, SizeReason::TargetDuration));
}

#[test]
fn long_items_come_alone() {
    let env = measured(4, &[1], Duration::from_millis(20));
    assert_eq!(size(&env, Some(1_000)), (1, SizeReason::TargetDuration));
}

#[test]
fn tail_is_spread_over_all_workers() {
    let env = measured(4, &[1, 8, 64], Duration::from_micros(10));
    assert_eq!(size(&env, Some(100)), (13, SizeReason::EvenTail { remaining: 100 }));
    assert_eq!(size(&env, Some(1)), (1, SizeReason::EvenTail { remaining: 1 }));
    assert_eq!(size(&env, Some(0)), (1, SizeReason::EvenTail { remaining: 0 }));
    assert_eq!(size(&env, Some(u64::MAX)), (400, SizeReason::TargetDuration));
}

#[test]
fn no_batch_is_larger_than_the_limit() {
    let env = measured(1, &[65_535; 8], Duration::from_nanos(1));
    assert_eq!(size(&env, None), (65_536, SizeReason::Limit));
}

#[test]
fn one_slow_batch_does_not_shrink_the_next() {
    let mut env = measured(1, &[1, 8, 64, 400, 400], Duration::from_micros(10));
    gives!(env.submit_batch(of_function(7, 99, 400)), send_items(0, 99, 0, 0..400));
    gives!(env.done_in(0, 99, Duration::from_secs(3)));
    assert_eq!(size(&env, None), (400, SizeReason::TargetDuration));
}

#[test]
fn reasons_are_plain_words() {
    let words = |why: SizeReason| why.to_string();
    assert_eq!(words(SizeReason::TargetDuration), "as many items as take about 4 ms");
    assert_eq!(
        words(SizeReason::EvenTail { remaining: 5 }),
        "small enough to spread the last `5` items over all workers"
    );
}

#[test]
fn heavy_items_come_in_batches_of_a_megabyte() {
    let mut env = measured(4, &[1, 8, 64], Duration::from_micros(1));
    let heavy = |env: &mut TestEnv, id, count, bytes| {
        gives!(env.submit_batch(of_function(7, id, count)), send_items(0, id, 0, 0..count));
        gives!(env.done_with(0, id, Duration::from_micros(1) * count, bytes));
    };
    heavy(&mut env, 10, 10, 10 << 17);
    assert_eq!(size(&env, None), (8, SizeReason::TargetBytes));
    // The largest counts for a while: the next may be as heavy.
    heavy(&mut env, 11, 10, 0);
    assert_eq!(size(&env, None), (10, SizeReason::TargetBytes));
    heavy(&mut env, 12, 1, 1 << 30);
    assert_eq!(size(&env, None), (1, SizeReason::TargetBytes));
    assert_eq!(SizeReason::TargetBytes.to_string(), "as many items as bring or take about 1 MB");
}
