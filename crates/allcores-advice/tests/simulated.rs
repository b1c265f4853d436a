//! The choice against a simulated machine, which knows nothing of the model: items with durations
//! drawn from a profile go one by one to the worker that is free first; a caller hands them out and
//! takes their results, one after the other; cores and the interpreter's lock are shared.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use allcores_advice::{Exclusion, Machine, Measurement, Refusal, Rung, Sample, advise, predict};
use proptest::prelude::*;

/// What a function costs, item by item.
#[derive(Clone, Debug)]
struct Profile {
    durations_ns: Vec<f64>,
    busy: f64,
    free: f64,
    argument_bytes: f64,
    result_bytes: f64,
    pickle_ns: f64,
}

impl Profile {
    /// Known well, as after many items of the same kind: what is in doubt is no error of the model.
    fn measured(&self) -> Measurement {
        Measurement {
            wall_ns: Sample { count: 10_000, ..Sample::of(&self.durations_ns) },
            busy_cores: self.busy,
            free_share: self.free,
            argument_bytes: self.argument_bytes,
            result_bytes: self.result_bytes,
            pickle_ns: self.pickle_ns,
            unpickle_ns: self.pickle_ns,
            result_pickle_ns: self.pickle_ns,
            result_unpickle_ns: self.pickle_ns,
            left: Some(self.durations_ns.len() as u64),
            done: 10,
            ..Measurement::default()
        }
    }
}

/// Whole nanoseconds, for a heap.
fn whole(ns: f64) -> u64 {
    ns.max(0.0) as u64
}

/// One thing of which so many are there; who comes takes the one that is free first.
struct Shared {
    free_at: BinaryHeap<Reverse<u64>>,
}

impl Shared {
    fn new(count: usize, from: u64) -> Shared {
        Shared { free_at: vec![Reverse(from); count].into() }
    }

    /// From `at` or later, for so long; when that ends.
    fn take(&mut self, at: u64, length: u64) -> u64 {
        let Reverse(free) = self.free_at.pop().expect("there is at least one");
        let end = free.max(at) + length;
        self.free_at.push(Reverse(end));
        end
    }
}

fn serially(profile: &Profile) -> u64 {
    profile.durations_ns.iter().map(|each| whole(*each)).sum()
}

/// Who works, and what moving takes.
struct Crew {
    workers: usize,
    cores: usize,
    start_ns: f64,
    worker_ns: f64,
    send_ns: f64,
    receive_ns: f64,
    /// The worker's own part of moving.
    own_ns: f64,
    shares_a_lock: bool,
}

/// A worker takes an item when it is free; the caller must have sent it by then; computing needs a
/// core for its busy part, and results go through the caller again. The lock is held in one piece.
/// The caller needs a core now and then, which it gets: all cores together do no more than they can.
fn with_workers(profile: &Profile, of: &Crew) -> u64 {
    let start = whole(of.start_ns);
    let mut caller = Shared::new(1, start);
    // Workers are there one after the other.
    let mut crew: BinaryHeap<Reverse<u64>> =
        (1..=of.workers).map(|each| Reverse(start + whole(each as f64 * of.worker_ns))).collect();
    let mut busy = Shared::new(of.cores, start);
    let mut lock = Shared::new(1, start);
    let (mut arrivals, mut computed) = (Vec::new(), 0);
    for duration in &profile.durations_ns {
        let sent = caller.take(start, whole(of.send_ns));
        let Reverse(free) = crew.pop().expect("there is a worker");
        let begun = free.max(sent);
        let computing = whole(duration * profile.busy.min(1.0) + of.own_ns);
        let waiting = whole(duration * (1.0 - profile.busy).max(0.0));
        computed += computing;
        let mut end = busy.take(begun, computing);
        if of.shares_a_lock {
            let held = whole((duration * (1.0 - profile.free)).min(duration * profile.busy));
            end = end.max(lock.take(begun, held));
        }
        end += waiting;
        crew.push(Reverse(end));
        arrivals.push(end);
    }
    arrivals.sort_unstable();
    let end = arrivals.into_iter().fold(start, |_, end| caller.take(end, whole(of.receive_ns)));
    let moved = whole(of.send_ns + of.receive_ns) * profile.durations_ns.len() as u64;
    end.max(start + (computed + moved) / of.cores as u64)
}

/// The mean over items that begin at another place: nobody knows in which order they come.
fn simulated(rung: Rung, profile: &Profile, machine: &Machine) -> u64 {
    let count = profile.durations_ns.len();
    let mut turned = profile.clone();
    let mut sum = 0;
    for turn in 0..ORDERS {
        turned.durations_ns.clone_from(&profile.durations_ns);
        turned.durations_ns.rotate_left(turn * count / ORDERS);
        sum += once(rung, &turned, machine);
    }
    sum / ORDERS as u64
}

const ORDERS: usize = 24;

fn once(rung: Rung, profile: &Profile, machine: &Machine) -> u64 {
    let workers = machine.workers(rung).min(profile.durations_ns.len()).max(1);
    let measured = profile.measured();
    let crew = Crew {
        workers,
        cores: machine.cores,
        start_ns: machine.threads_start_ns,
        worker_ns: 0.0,
        send_ns: machine.handover_ns,
        receive_ns: 0.0,
        own_ns: 0.0,
        shares_a_lock: !machine.is_free_threaded,
    };
    if rung == Rung::Threads {
        return with_workers(profile, &crew);
    }
    if rung == Rung::Processes {
        let send_ns = machine.item_ns / 2.0
            + measured.pickle_ns
            + 1e9 * measured.argument_bytes / machine.bytes_in_per_s;
        let receive_ns = machine.item_ns / 2.0
            + measured.result_pickle_ns
            + 1e9 * measured.result_bytes / machine.bytes_out_per_s;
        let apart = Crew {
            start_ns: machine.processes_start_ns,
            worker_ns: machine.process_ns,
            send_ns,
            receive_ns,
            own_ns: send_ns + receive_ns,
            shares_a_lock: false,
            ..crew
        };
        return with_workers(profile, &apart) + whole(machine.round_trip_ns);
    }
    serially(profile)
}

/// What is possible here beside the rungs that were simulated.
fn others() -> Vec<Exclusion> {
    [Rung::Interpreters, Rung::Native, Rung::Cluster]
        .map(|rung| Exclusion { rung, refusal: Refusal::NotHere })
        .to_vec()
}

fn durations() -> impl Strategy<Value = Vec<f64>> {
    let scale = (2.0..9.0_f64).prop_map(|power| 10.0_f64.powf(power));
    let count = prop_oneof![1..12_usize, 12..400_usize];
    let shape = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(0.5..1.5_f64, 7),
        prop::collection::vec((0.0..1.0_f64).prop_map(|each| -(1.0 - each).ln() + 0.01), 50),
        prop::collection::vec(prop_oneof![9 => Just(0.3), 1 => Just(6.0)], 50),
    ];
    (scale, count, shape).prop_map(|(scale, count, shape): (f64, usize, Vec<f64>)| {
        (0..count)
            .map(|at| scale * if shape.is_empty() { 1.0 } else { shape[at % shape.len()] })
            .collect()
    })
}

fn profiles() -> impl Strategy<Value = Profile> {
    let busy = prop_oneof![3 => Just(1.0), 1 => Just(0.0), 1 => 0.0..1.0_f64];
    let bytes = || prop_oneof![Just(10.0), (1.0..8.0_f64).prop_map(|power| 10.0_f64.powf(power))];
    (durations(), busy, 0.0..1.0_f64, bytes(), bytes(), 50.0..2_000.0_f64).prop_map(
        |(durations_ns, busy, free, argument_bytes, result_bytes, pickle_ns)| Profile {
            durations_ns,
            busy,
            // While it waits the lock is free.
            free: free.max(1.0 - busy),
            argument_bytes,
            result_bytes,
            pickle_ns,
        },
    )
}

fn machines() -> impl Strategy<Value = Machine> {
    (1..33_usize, 1e5..1e8_f64, prop::bool::ANY).prop_map(|(cores, start, is_free_threaded)| {
        Machine { cores, processes_start_ns: start, is_free_threaded, ..Machine::default() }
    })
}

/// So many times the best rung's time may the chosen one take.
const MOST: f64 = 1.2;

/// What no measurement tells apart: less than this is no loss.
const NOTHING_NS: u64 = 1_500_000;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn choice_costs_at_most_a_fifth_more_than_the_best_rung(
        profile in profiles(),
        machine in machines(),
    ) {
        let verdict = advise(&profile.measured(), &machine, &others());
        let chosen = simulated(verdict.rung, &profile, &machine);
        let (best, rung) = [Rung::Serial, Rung::Threads, Rung::Processes]
            .into_iter()
            .map(|rung| (simulated(rung, &profile, &machine), rung))
            .min()
            .expect("there are three");
        prop_assert!(
            chosen as f64 <= MOST * best as f64 + NOTHING_NS as f64,
            "{} takes {} ms, {} {} ms: {:?}",
            verdict.rung, chosen as f64 / 1e6, rung, best as f64 / 1e6, verdict.predictions
        );
    }

    #[test]
    fn more_cores_never_predict_slower(profile in profiles(), machine in machines()) {
        let more = Machine { cores: machine.cores + 1, ..machine };
        for rung in [Rung::Serial, Rung::Threads, Rung::Interpreters, Rung::Processes] {
            let measured = profile.measured();
            let before = predict(rung, &measured, &machine).expect("known").total_ns();
            let after = predict(rung, &measured, &more).expect("known").total_ns();
            prop_assert!(after <= before * 1.000_001, "{rung}: {before} became {after}");
        }
    }

    #[test]
    fn terms_are_never_negative_and_choice_is_never_predicted_slower_than_serial(
        profile in profiles(),
        machine in machines(),
    ) {
        let verdict = advise(&profile.measured(), &machine, &others());
        for each in &verdict.predictions {
            prop_assert!(each.terms.named().iter().all(|(_, ns)| *ns >= 0.0), "{each:?}");
        }
        let serial = verdict.predicted_ns(Rung::Serial).expect("serial is always possible");
        prop_assert!(verdict.predicted_ns(verdict.rung).expect("chosen") <= serial);
    }
}
