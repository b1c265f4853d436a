//! Why is this batch waiting.

use allcores_engine::ids::{BatchId, WorkerId};
use allcores_engine::scheduler::{Action, Waiting};

use crate::env::{TestEnv, gives, pool_of, send, take_back};

fn why(env: &TestEnv, batch: u64) -> Option<Waiting> {
    env.scheduler.why_waiting(BatchId(batch))
}

#[test]
fn every_place_has_its_reason() {
    let mut env = pool_of(1);
    gives!(env.submit(1), Action::Spawn);
    assert_eq!(why(&env, 1), Some(Waiting::ForWorkers { starting: 1 }));
    env.starting();
    for id in 2..=4 {
        gives!(env.submit(id));
    }
    gives!(env.ready(0), send(0, 1), send(0, 2));
    let worker = WorkerId(0);
    assert_eq!(why(&env, 1), Some(Waiting::Next { worker }));
    assert_eq!(why(&env, 2), Some(Waiting::Behind { worker, ahead: 1 }));
    assert_eq!(why(&env, 3), Some(Waiting::InQueue { ahead: 0 }));
    assert_eq!(why(&env, 4), Some(Waiting::InQueue { ahead: 1 }));
    env.cancel(1);
    gives!(env.cancel_result(1, false));
    assert_eq!(why(&env, 1), Some(Waiting::Running { worker }));
    gives!(env.done(0, 1), send(0, 3));
    assert_eq!(why(&env, 1), None);
}

#[test]
fn batch_that_is_being_taken_back_says_so() {
    let mut env = pool_of(2).with_ready_workers(2);
    gives!(env.submit(1), send(0, 1));
    gives!(env.submit(2), send(1, 2));
    gives!(env.submit(3), send(0, 3));
    gives!(env.done(1, 2), take_back(0, 3));
    let reason = why(&env, 3);
    assert_eq!(reason, Some(Waiting::ComingBack { worker: WorkerId(0) }));
    assert_eq!(
        reason.map(|why| why.to_string()).as_deref(),
        Some("being taken back from worker `0`")
    );
}
