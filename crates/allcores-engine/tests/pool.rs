//! A pool with workers written in Rust, over all its links; the test is the front end.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped is a failure")]

#[path = "pool/collapse.rs"]
mod collapse;
mod common;
#[path = "common/front.rs"]
mod front;
#[path = "pool/own_process.rs"]
mod own_process;
#[path = "pool/start.rs"]
mod start;
#[path = "pool/suite.rs"]
mod suite;

use allcores_engine::LinkKind;
use front::Way;

/// Not a test by itself: what a copy of this binary runs.
#[test]
fn worker_process() {
    common::place::in_a_process(|program, kind, control, gate| match program {
        "ordinary" => common::place::ordinary(kind, control, gate),
        _ => start::hopeless(kind, control),
    });
}

macro_rules! over {
    ($($name:ident: $way:expr),*; $tests:tt) => { $(over!(@one $name, $way, $tests);)* };
    (@one $name:ident, $way:expr, { $($test:ident),* $(,)? }) => {
        mod $name {
            use super::*;
            $(#[test] fn $test() { common::watched(|| suite::$test($way)); })*
        }
    };
}

over! {
    local: Way::Local,
    shm_threads: Way::Thread(LinkKind::Shm),
    stream_threads: Way::Thread(LinkKind::Stream),
    shm_processes: Way::Process(LinkKind::Shm),
    stream_processes: Way::Process(LinkKind::Stream);
    {
        every_batch_gets_its_own_answer,
        answers_come_in_any_order,
        what_waits_is_cancelled_once,
        what_runs_is_running_and_cannot_be_cancelled,
        shutdown_runs_what_was_submitted,
        shutdown_can_cancel_what_waits,
        nothing_is_taken_after_shutdown,
        join_gives_up_when_its_time_is_over,
        dropping_a_pool_lets_what_was_submitted_finish,
        workers_are_replaced_after_so_many_batches,
        a_watched_slot_is_heard_of_once_and_others_never,
        a_function_goes_to_a_worker_once,
        a_function_is_forgotten_when_its_last_batch_is_over,
        a_large_answer_outlives_its_worker,
        a_waiter_that_listens_itself_leaves_nothing_lying,
        what_is_said_while_a_pool_rests_is_heard_when_it_listens_again,
        a_front_end_that_is_dismissed_is_told_so_and_the_pool_goes_on,
    }
}
