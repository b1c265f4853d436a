//! What a lost worker leaves of a batch of several items.

use allcores_engine::batch::Batch;
use allcores_engine::ids::WorkerId;
use allcores_engine::scheduler::{Action, FailReason, Ran, Verdict};

use crate::env::{
    TestEnv, cancelled, fail, fail_items, fail_lost, gives, lasting_pool_of, over, plain, pool_of,
    send_items, stop,
};

fn lost(worker: u32) -> FailReason {
    FailReason::WorkerLost { worker: WorkerId(worker) }
}

fn ten(id: u64, retries: u32) -> Batch {
    Batch { count: 10, retries, ..plain(id) }
}

/// Batch 1 with ten items is with worker 0, and worker 1 is idle.
fn at_work(retries: u32) -> TestEnv {
    let mut env = lasting_pool_of(2).with_ready_workers(2);
    gives!(env.submit_batch(ten(1, retries)), send_items(0, 1, 0, 0..10));
    env
}

#[test]
fn item_that_ran_fails_and_the_others_run_elsewhere_in_two_pieces() {
    let mut env = at_work(0);
    gives!(
        env.lost_in(0, 1, Ran::Item { kept: 3, item: 5 }),
        fail_items(1, 5..6, lost(0)),
        send_items(1, 1, 1, 3..5),
    );
    assert_eq!(env.verdict(1, 1, 1), Verdict::More);
    assert_eq!(env.verdict(1, 1, 2), Verdict::Last);
    assert_eq!(env.counts().done, 1);
}

#[test]
fn second_piece_is_sent_when_the_first_has_come() {
    let mut env = at_work(0);
    env.lost_in(0, 1, Ran::Item { kept: 3, item: 5 });
    gives!(env.done_as(1, 1, 1, crate::env::LONG), send_items(1, 1, 2, 6..10));
    gives!(env.done_as(1, 1, 2, crate::env::LONG));
}

#[test]
fn pieces_may_break_again() {
    let mut env = at_work(0);
    env.lost_in(0, 1, Ran::Item { kept: 3, item: 5 });
    gives!(
        env.lost_in(1, 1, Ran::Item { kept: 3, item: 4 }),
        fail_items(1, 4..5, lost(1)),
        Action::Spawn,
    );
    env.starting();
    gives!(env.ready(2), send_items(2, 1, 2, 3..4));
    gives!(env.done_as(2, 1, 2, crate::env::LONG), send_items(2, 1, 3, 6..10));
}

#[test]
fn batch_is_over_when_its_last_item_fails() {
    let mut env = at_work(0);
    gives!(
        env.lost_in(0, 1, Ran::Item { kept: 9, item: 9 }),
        fail_items(1, 9..10, lost(0)),
        over(1),
    );
    assert_eq!(env.counts().done, 1);
}

#[test]
fn nothing_fails_when_the_worker_was_between_two_items() {
    let mut env = at_work(0);
    gives!(env.lost_in(0, 1, Ran::Between { kept: 4 }), send_items(1, 1, 1, 4..10));
}

#[test]
fn batch_of_which_everything_has_come_is_over_without_an_answer() {
    let mut env = at_work(0);
    gives!(env.lost_in(0, 1, Ran::Between { kept: 10 }), over(1));
}

#[test]
fn unread_batch_fails_as_a_whole_and_says_so() {
    let mut env = at_work(0);
    let why = FailReason::LostUnread { worker: WorkerId(0) };
    gives!(env.lost_in(0, 1, Ran::Unread), fail(1, why));
}

#[test]
fn what_is_left_of_a_batch_fails_item_by_item_when_it_was_not_even_read() {
    let mut env = at_work(0);
    env.lost_in(0, 1, Ran::Item { kept: 3, item: 5 });
    let why = FailReason::LostUnread { worker: WorkerId(1) };
    gives!(
        env.lost_in(1, 1, Ran::Unread),
        fail_items(1, 3..5, why),
        fail_items(1, 6..10, why),
        over(1),
    );
}

#[test]
fn batch_of_one_item_just_fails() {
    let mut env = lasting_pool_of(2).with_ready_workers(1);
    env.submit(1);
    gives!(env.lost_in(0, 1, Ran::Item { kept: 0, item: 0 }), fail_lost(1, 0));
}

#[test]
fn item_with_retries_runs_again_with_what_is_left() {
    let mut env = at_work(1);
    gives!(env.lost_in(0, 1, Ran::Item { kept: 3, item: 5 }), send_items(1, 1, 1, 3..10));
    gives!(
        env.lost_in(1, 1, Ran::Item { kept: 5, item: 5 }),
        fail_items(1, 5..6, lost(1)),
        Action::Spawn,
    );
}

#[test]
fn each_item_has_retries_of_its_own() {
    let mut env = at_work(1);
    env.lost_in(0, 1, Ran::Item { kept: 3, item: 5 });
    gives!(env.lost_in(1, 1, Ran::Item { kept: 6, item: 6 }), Action::Spawn);
    env.starting();
    gives!(env.ready(2), send_items(2, 1, 2, 6..10));
}

#[test]
fn batch_of_one_item_is_run_again_as_often_as_it_may() {
    let mut env = lasting_pool_of(3).with_ready_workers(3);
    gives!(env.submit_batch(Batch { retries: 2, ..plain(1) }), send_items(0, 1, 0, 0..1));
    let ran = Ran::Item { kept: 0, item: 0 };
    gives!(env.lost_in(0, 1, ran), send_items(1, 1, 1, 0..1));
    gives!(env.lost_in(1, 1, ran), send_items(2, 1, 2, 0..1));
    gives!(env.lost_in(2, 1, ran), fail_lost(1, 2));
}

#[test]
fn claims_that_cannot_be_are_taken_for_none() {
    for ran in [
        Ran::Item { kept: 5, item: 4 },
        Ran::Item { kept: 0, item: 10 },
        Ran::Between { kept: 11 },
        Ran::Item { kept: u32::MAX, item: u32::MAX },
    ] {
        let mut env = at_work(0);
        let why = FailReason::LostUnread { worker: WorkerId(0) };
        gives!(env.lost_in(0, 1, ran), fail(1, why));
    }
}

#[test]
fn what_comes_back_of_a_lost_worker_keeps_its_order() {
    let mut env = lasting_pool_of(1).with_ready_workers(1);
    gives!(env.submit_batch(ten(1, 0)), send_items(0, 1, 0, 0..10));
    gives!(env.submit(2), send_items(0, 2, 0, 0..1));
    gives!(env.submit(3));
    gives!(
        env.lost_in(0, 1, Ran::Item { kept: 0, item: 0 }),
        fail_items(1, 0..1, lost(0)),
        Action::Spawn,
    );
    env.starting();
    gives!(env.ready(1), send_items(1, 1, 1, 1..10), send_items(1, 2, 1, 0..1));
}

#[test]
fn piece_that_waits_is_cancelled_like_any_batch() {
    let mut env = lasting_pool_of(1).with_ready_workers(1);
    env.submit_batch(ten(1, 0));
    env.lost_in(0, 1, Ran::Item { kept: 3, item: 5 });
    assert_eq!(env.cancel(1).1, [cancelled(1)]);
}

#[test]
fn breaking_pool_fails_the_whole_batch() {
    let mut env = pool_of(2).with_ready_workers(2);
    env.submit_batch(ten(1, 3));
    gives!(
        env.lost_in(0, 1, Ran::Item { kept: 3, item: 5 }),
        fail(1, lost(0)),
        crate::env::broken_lost(0),
        stop(1),
    );
}
