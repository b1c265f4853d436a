//! Careful batches, limits, and batches that are stopped: real processes again.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use allcores_engine::pool::Submission;
use allcores_engine::scheduler::OnLost;
use allcores_engine::slot::{Outcome, PartResult, Slot};
use allcores_engine::{Failure, LinkKind, Terms};

use crate::common::watched;
use crate::common::worker::Job;
use crate::front::{Front, Plan, Way, answer, failure, outcome};
use crate::{both, kill, pid};

/// Long enough for a process to be started, short enough to wait for.
const LIMIT: Duration = Duration::from_millis(100);

fn lasting(way: Way) -> Plan {
    Plan::new(way).on_lost(OnLost::Replace)
}

/// A batch of which each byte is an item.
fn walk(front: &Front, items: &[u8], terms: Terms) -> Arc<Slot> {
    submit(front, (Job::Walk, items.len() as u32), items, terms)
}

/// A batch of one item.
fn call(front: &Front, job: Job, payload: &[u8], terms: Terms) -> Arc<Slot> {
    submit(front, (job, 1), payload, terms)
}

fn submit(front: &Front, (job, count): (Job, u32), payload: &[u8], terms: Terms) -> Arc<Slot> {
    let payload = payload.to_vec().into();
    let what = Submission { function: None, tag: job.tag(), count, payload, terms };
    front.submit_on(what).unwrap()
}

/// What became of each item of a batch: its position, or why it failed.
fn items(slot: &Slot) -> Vec<Result<u8, Failure>> {
    let Outcome::Parts(parts) = outcome(slot) else { panic!("it came in parts") };
    let mut items = Vec::new();
    for part in parts {
        assert_eq!(part.start as usize, items.len(), "parts follow each other");
        match part.result {
            PartResult::Answer { body, .. } => items.extend(body.to_vec().into_iter().map(Ok)),
            PartResult::Failed(failure) => items.push(Err(failure)),
        }
    }
    items
}

fn failed(items: &[Result<u8, Failure>]) -> Vec<usize> {
    for (position, item) in items.iter().enumerate() {
        assert!(item.as_ref().is_ok_and(|result| *result as usize == position) || item.is_err());
    }
    (0..items.len()).filter(|position| items[*position].is_err()).collect()
}

#[test]
fn only_the_item_that_ran_fails_when_its_worker_dies() {
    both(|way| {
        let front = lasting(way).open();
        let slot = walk(&front, b"..x...x.", Terms::default());
        let items = items(&slot);
        assert_eq!(failed(&items), [2, 6]);
        assert_eq!(items.len(), 8);
        assert!(matches!(items[2], Err(Failure::WorkerLost { .. })));
        assert_eq!(front.started(), 3);
        assert_eq!(front.pool().broken(), None);
        front.close();
    });
}

#[test]
fn a_batch_in_which_nothing_happens_has_a_plain_answer() {
    watched(|| {
        let front = lasting(Way::Process(LinkKind::Shm)).open();
        match outcome(&walk(&front, b"..", Terms::default())) {
            Outcome::Answer { body, .. } => assert_eq!(body.to_vec(), [0, 1]),
            Outcome::Parts(parts) => assert!(parts.len() > 1, "it came late"),
            other => panic!("{other:?}"),
        }
        front.close();
    });
}

#[test]
fn a_worker_that_dies_before_the_first_item_fails_them_all() {
    both(|way| {
        let front = lasting(way).open();
        // It leaves before it looks at any item.
        let slot = submit(&front, (Job::Leave, 3), b"...", Terms::default());
        assert!(matches!(failure(&slot), Failure::LostUnread { .. }));
        front.close();
    });
}

#[test]
fn an_item_is_run_again_as_often_as_it_may() {
    both(|way| {
        let front = lasting(way).open();
        let terms = Terms { retries: 2, ..Terms::default() };
        let items = items(&walk(&front, b".x.", terms));
        assert_eq!(failed(&items), [1]);
        assert_eq!(front.started(), 4, "three for the item, one for the rest");
        front.close();
    });
}

#[test]
fn a_kill_costs_the_item_that_runs_and_no_other() {
    both(|way| {
        let front = lasting(way).open();
        let who = pid(&front.submit(Job::Who, b""));
        let slot = walk(&front, b"..h..", Terms::default());
        let mut gate = front.take_gate(who);
        gate.entered();
        kill(who);
        let items = items(&slot);
        assert_eq!(failed(&items), [2]);
        front.close();
    });
}

#[test]
fn an_item_that_takes_too_long_fails_and_the_others_go_on() {
    both(|way| {
        for plan in [Plan::new(way), lasting(way)] {
            let front = plan.workers(2).open();
            let slot = walk(&front, b"..h..h.", Terms { limit: Some(LIMIT), ..Terms::default() });
            let items = items(&slot);
            assert_eq!(failed(&items), [2, 5]);
            assert!(matches!(items[2], Err(Failure::TimedOut { .. })));
            assert_eq!(front.pool().broken(), None);
            assert_eq!(answer(&front.submit(Job::Echo, b"on it goes")), b"on it goes");
            front.close();
        }
    });
}

#[test]
fn a_call_that_takes_too_long_fails_wherever_it_waited() {
    both(|way| {
        let front = Plan::new(way).open();
        let terms = Terms { limit: Some(LIMIT), ..Terms::default() };
        let slow: Vec<_> = (0..3).map(|_| call(&front, Job::Hold, b"", terms)).collect();
        let quick = call(&front, Job::Echo, b"quick", terms);
        for slot in &slow {
            assert!(matches!(failure(slot), Failure::TimedOut { .. }));
        }
        assert_eq!(answer(&quick), b"quick");
        front.close();
    });
}

#[test]
fn a_limit_that_is_not_reached_does_nothing() {
    both(|way| {
        let front = Plan::new(way).open();
        let terms = Terms { limit: Some(Duration::from_secs(3600)), ..Terms::default() };
        let slots: Vec<_> = (0..500).map(|_| call(&front, Job::Echo, b"on", terms)).collect();
        slots.iter().for_each(|slot| assert_eq!(answer(slot), b"on"));
        assert_eq!(front.started(), 1);
        front.close();
    });
}

#[test]
fn a_timeout_is_retried_if_somebody_wants_that() {
    both(|way| {
        let front = Plan::new(way).open();
        let terms = Terms { limit: Some(LIMIT), retries: 1, retry_timeouts: true };
        let slot = call(&front, Job::Hold, b"", terms);
        assert!(matches!(failure(&slot), Failure::TimedOut { .. }));
        let next = front.submit(Job::Echo, b"");
        assert_eq!(answer(&next), b"");
        assert_eq!(front.started(), 3);
        front.close();
    });
}

#[test]
fn a_batch_that_runs_is_stopped_and_its_worker_replaced() {
    both(|way| {
        let front = Plan::new(way).open();
        let (held, _, _gate) = front.hold(b"");
        let waiting: Vec<_> = (0..5).map(|_| front.submit(Job::Echo, b"waited")).collect();
        assert!(front.pool().stop(&held));
        assert!(matches!(outcome(&held), Outcome::Cancelled));
        waiting.iter().for_each(|slot| assert_eq!(answer(slot), b"waited"));
        assert!(!front.pool().stop(&held));
        assert_eq!(front.started(), 2);
        assert_eq!(front.pool().broken(), None);
        front.close();
    });
}

#[test]
fn stopping_what_waits_kills_nobody() {
    both(|way| {
        let front = Plan::new(way).open();
        let (held, _, mut gate) = front.hold(b"held");
        let waiting = front.submit(Job::Echo, b"");
        let stopped = front.pool().stop(&waiting);
        assert!(stopped, "it was not started");
        gate.open();
        assert_eq!(answer(&held), b"held");
        assert_eq!(front.started(), 1);
        front.close();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_stopped_worker_has_started_ends_with_it() {
    both(|way| {
        for items in [b".ch", b".oh"] {
            let front = lasting(way).open();
            let who = pid(&front.submit(Job::Who, b""));
            let slot = walk(&front, items, Terms::default());
            let mut gate = front.take_gate(who);
            gate.entered();
            assert!(front.pool().stop(&slot));
            // The child has it as its standard output, so it ends with the last of them.
            let mut rest = Vec::new();
            gate.0.read_to_end(&mut rest).unwrap();
            assert_eq!(answer(&front.submit(Job::Echo, b"")), b"");
            front.close();
        }
    });
}

#[test]
fn stopping_and_ending_race_and_nobody_else_is_hit() {
    both(|way| {
        let front = Plan::new(way).workers(2).open();
        let (mut stopped, mut done) = (0, 0);
        for round in 0..1_000_usize {
            let target = front.submit(Job::Echo, b"target");
            let others: Vec<_> = (0..3).map(|_| front.submit(Job::Echo, b"other")).collect();
            // Earlier or later, so that it hits all moments.
            for _ in 0..round % 50 {
                std::thread::yield_now();
            }
            match (front.pool().stop(&target), outcome(&target)) {
                (true, Outcome::Cancelled) => stopped += 1,
                (false, Outcome::Answer { body, .. }) => {
                    assert_eq!(body.to_vec(), b"target");
                    done += 1;
                }
                (said, other) => panic!("round {round}: {said} and {other:?}"),
            }
            others.iter().for_each(|slot| assert_eq!(answer(slot), b"other", "round {round}"));
        }
        assert_eq!(stopped + done, 1_000);
        assert_eq!(front.pool().broken(), None);
        front.close();
    });
}

#[test]
fn a_pool_that_is_ended_fails_everything_and_kills_everybody() {
    both(|way| {
        let front = Plan::new(way).workers(2).open();
        let (held, _, mut gate) = front.hold(b"");
        let waiting: Vec<_> = (0..5).map(|_| front.submit(Job::Hold, b"")).collect();
        front.pool().end();
        assert_eq!(failure(&held), Failure::Ended);
        waiting.iter().for_each(|slot| assert_eq!(failure(slot), Failure::Ended));
        assert_eq!(front.pool().broken(), Some(Failure::Ended));
        assert_eq!(gate.0.read(&mut [0]).unwrap(), 0, "the worker has gone");
        front.close();
    });
}

#[test]
fn a_retired_worker_is_replaced_and_nothing_is_lost() {
    both(|way| {
        let front = Plan::new(way).open();
        for round in 0..5 {
            let retire = front.submit(Job::Retire, b"");
            let others: Vec<_> = (0..10).map(|_| front.submit(Job::Echo, b"other")).collect();
            assert_eq!(answer(&retire), b"");
            others.iter().for_each(|slot| assert_eq!(answer(slot), b"other"));
            assert_eq!(front.started(), round + 2);
        }
        assert_eq!(front.pool().broken(), None);
        front.close();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_most_memory_of_a_worker_is_known_even_when_it_is_lost() {
    watched(|| {
        let front = lasting(Way::Process(LinkKind::Shm)).open();
        let who = pid(&front.submit(Job::Who, b""));
        let worker = allcores_engine::WorkerId(0);
        let peak = front.pool().peak_memory(worker).expect("it has said so by now");
        assert!(peak > 100_000, "{peak}");
        kill(who);
        front.heard(crate::is_gone);
        assert_eq!(front.pool().peak_memory(worker), Some(peak));
        assert_eq!(front.pool().peak_memory(allcores_engine::WorkerId(9)), None);
        front.close();
    });
}

#[test]
fn a_worker_that_hands_over_what_cannot_be_is_replaced() {
    watched(|| {
        let front = lasting(Way::Process(LinkKind::Shm)).first_runs("part").open();
        let slot = walk(&front, b"...", Terms::default());
        assert!(matches!(failure(&slot), Failure::LostUnread { .. }));
        assert_eq!(answer(&front.submit(Job::Echo, b"sense")), b"sense");
        assert_eq!(front.started(), 2);
        front.close();
    });
}

#[test]
fn words_are_heard_by_who_takes_notices() {
    both(|way| {
        let front = Plan::new(way).open();
        let slot = front.submit(Job::Say, b"hello");
        assert_eq!(answer(&slot), b"hello");
        let said = front.heard(|notice| matches!(notice, allcores_engine::Notice::Said(..)));
        let expected = (allcores_engine::WorkerId(0), b"hello".to_vec());
        assert_eq!(said, allcores_engine::Notice::Said(expected.0, expected.1));
        front.close();
    });
}
