//! Random histories in a simulated world: whatever happens in whatever order, the promises hold.
//! `PROPTEST_CASES=20000` and a release build look longer.

mod world;

use std::time::Duration;

use allcores_engine::batch::{Batch, Cost};
use allcores_engine::ids::{BatchId, FnId, Instance, WorkerId};
use allcores_engine::scheduler::{Action, Claimed, Config, OnLost, Ran, Scheduler, StartPolicy};
use proptest::prelude::*;
use world::World;

/// Something that happens in the world; a number chooses whom it happens to.
#[derive(Clone, Debug)]
enum Step {
    Submit { function: Option<u32>, count: u32, bytes: u64 },
    AnswerSpawn,
    BecomeReady(usize),
    FailToStart(usize),
    Work(usize, Duration),
    Deliver(usize),
    AnswerTakeBack(usize),
    Cancel(usize),
    AnswerCancel(usize),
    Kill(usize),
    Reap(usize),
    Tick,
    Retire(usize),
    Stop(usize),
    TimeOut(usize, bool),
    End,
    ShutDown { cancel: bool },
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_micros(5)),
        Just(Duration::from_micros(150)),
        Just(Duration::from_millis(30)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let any_one = any::<usize>;
    prop_oneof![
        12 => (prop::option::of(0..3u32), 1..50u32, 0..(6u64 << 20))
            .prop_map(|(function, count, bytes)| Step::Submit { function, count, bytes }),
        6 => Just(Step::AnswerSpawn),
        6 => any_one().prop_map(Step::BecomeReady),
        30 => (any_one(), duration()).prop_map(|(who, busy)| Step::Work(who, busy)),
        18 => any_one().prop_map(Step::Deliver),
        6 => any_one().prop_map(Step::AnswerTakeBack),
        3 => any_one().prop_map(Step::Cancel),
        3 => any_one().prop_map(Step::AnswerCancel),
        2 => any_one().prop_map(Step::Kill),
        3 => any_one().prop_map(Step::Reap),
        2 => Just(Step::Tick),
        1 => any_one().prop_map(Step::Retire),
        2 => any_one().prop_map(Step::Stop),
        2 => (any_one(), any::<bool>()).prop_map(|(who, guilty)| Step::TimeOut(who, guilty)),
        1 => Just(Step::ShutDown { cancel: false }),
    ]
}

/// Seldom events are mixed in by a die of their own, so that most histories are long.
fn history() -> impl Strategy<Value = Vec<Step>> {
    let rare = prop_oneof![
        any::<usize>().prop_map(Step::FailToStart),
        Just(Step::ShutDown { cancel: true }),
        Just(Step::End),
        Just(Step::Tick),
        Just(Step::Tick),
    ];
    let steps = prop::collection::vec(prop_oneof![80 => step(), 1 => rare], 1..250);
    (steps, 0..4u32).prop_map(|(mut steps, ends_early)| {
        if ends_early > 0 {
            steps.retain(|step| !matches!(step, Step::ShutDown { cancel: false }));
        }
        steps
    })
}

fn config() -> impl Strategy<Value = Config> {
    (
        1..5usize,
        prop_oneof![3 => Just(None), 1 => Just(Some(1)), 1 => Just(Some(3))],
        prop_oneof![1 => Just(OnLost::Break), 2 => Just(OnLost::Replace)],
        prop_oneof![3 => Just(StartPolicy::OnDemand), 1 => Just(StartPolicy::AllAtOnce)],
        prop_oneof![3 => Just(true), 1 => Just(false)],
        prop_oneof![Just(1), Just(2), Just(5), Just(48)],
    )
        .prop_map(|(max_workers, max_tasks_per_worker, lost, start, take_back, most)| Config {
            max_workers,
            max_tasks_per_worker,
            on_worker_lost: lost,
            start,
            take_back,
            max_prefetch: most,
        })
}

fn happen(world: &mut World, step: &Step) {
    match step {
        Step::Submit { function, count, bytes } => {
            world.submit(function.map(FnId), *count, *bytes);
        }
        Step::AnswerSpawn => world.answer_spawn(),
        Step::BecomeReady(who) => world.become_ready(*who),
        Step::FailToStart(who) => world.fail_to_start(*who),
        Step::Work(who, busy) => world.work(*who, *busy),
        Step::Deliver(who) => world.deliver(*who),
        Step::AnswerTakeBack(which) => world.answer_take_back(*which),
        Step::Cancel(which) => world.cancel(*which),
        Step::AnswerCancel(which) => world.answer_cancel(*which),
        Step::Kill(who) => world.kill(*who),
        Step::Reap(who) => world.reap(*who),
        Step::Tick => world.tick(),
        Step::Retire(who) => world.retire(*who),
        Step::Stop(which) => world.stop(*which),
        Step::TimeOut(who, guilty) => world.time_out(*who, *guilty),
        Step::End => world.end_pool(),
        Step::ShutDown { cancel } => world.shut_down(*cancel),
    }
}

proptest! {
    /// The promises of `world.rs`, after every step; and the end comes.
    #[test]
    fn every_history_keeps_the_promises_and_finishes(
        config in config(),
        immediate in any::<bool>(),
        steps in history(),
    ) {
        let mut world = World::new(config, immediate);
        for step in &steps {
            happen(&mut world, step);
        }
        world.come_to_an_end();
    }

    /// Without crashes, failures and cancelling every batch has its answer.
    #[test]
    fn every_peaceful_history_answers_everything(config in config(), steps in history()) {
        let mut world = World::new(config, true);
        for step in &steps {
            if !matches!(
                step,
                Step::Kill(_)
                    | Step::FailToStart(_)
                    | Step::Cancel(_)
                    | Step::Stop(_)
                    | Step::TimeOut(_, true)
                    | Step::End
                    | Step::ShutDown { .. }
            ) {
                happen(&mut world, step);
            }
        }
        world.come_to_an_end();
        let counts = world.scheduler.counts();
        prop_assert_eq!(counts.done, counts.submitted);
    }

    /// Events that no honest pool would report change nothing that must hold.
    #[test]
    fn nonsense_breaks_nothing(
        config in config(),
        events in prop::collection::vec((0..17u8, 0..6u32, 0..30u64, 0..3u32, any::<bool>()), 1..300),
    ) {
        let mut scheduler = Scheduler::new(config);
        let mut out = Vec::<Action>::new();
        for (fresh, (what, worker, batch, instance, yes)) in (100..).zip(events) {
            // Half of the ids exist: the batches are numbered from 100 on.
            let known = if yes { batch } else { 100 + batch };
            let (id, instance, worker) = (BatchId(known), Instance(instance), WorkerId(worker));
            match what {
                0..=2 => scheduler.on_submit(
                    Batch {
                        id: BatchId(fresh),
                        function: None,
                        count: u32::from(yes) * 3,
                        bytes: batch,
                        instance,
                        retries: u32::from(batch == 0),
                        retry_timeouts: yes,
                    },
                    &mut out,
                ),
                3 => drop(scheduler.on_worker_starting()),
                4 => scheduler.on_worker_ready(worker, &mut out),
                5 => {
                    let _verdict =
                        scheduler.on_done(worker, id, instance, Cost::of_time(Duration::MAX), &mut out);
                }
                6 => scheduler.on_skipped(worker, id, instance, &mut out),
                7 => drop(scheduler.on_cancel(id, &mut out)),
                8 => scheduler.on_cancel_result(id, yes, &mut out),
                9 => scheduler.on_taken_back(worker, id, instance, yes, &mut out),
                10 if batch < 3 => {
                    let ran = Ran::Item { kept: instance.0, item: batch as u32 };
                    let ran = if yes { ran } else { Ran::Between { kept: instance.0 } };
                    scheduler.on_worker_lost(worker, &[Claimed { batch: id, ran }], &mut out);
                }
                10 => scheduler.on_not_sent(worker, id, instance, &mut out),
                11 => drop(scheduler.on_arrested(worker, &mut out)),
                12 => scheduler.on_pardoned(worker, &mut out),
                13 => scheduler.on_stopped(worker, id, &mut out),
                14 => scheduler.on_timed_out(worker, &mut out),
                15 => scheduler.on_retire(worker, &mut out),
                _ if batch == 2 && yes => scheduler.on_ended(&mut out),
                _ if batch == 0 => scheduler.on_shutdown(yes, &mut out),
                _ if batch == 1 => scheduler.on_worker_start_failed(worker, &mut out),
                _ => scheduler.on_tick(&mut out),
            }
            scheduler.sanity_check();
        }
    }
}
