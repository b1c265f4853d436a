//! Known shapes of work, and the rung that is right for them; and each refusal and warning.

use allcores_advice::{
    Exclusion, Leverage, Machine, Measurement, Refusal, Remote, Rung, Sample, Verdict, Warning,
    advise,
};

fn even(item_ns: f64, left: u64) -> Measurement {
    Measurement {
        wall_ns: Sample::of(&[item_ns; 8]),
        left: Some(left),
        done: 8,
        argument_bytes: 20.0,
        result_bytes: 10.0,
        pickle_ns: 200.0,
        result_pickle_ns: 100.0,
        ..Measurement::default()
    }
}

fn four_cores() -> Machine {
    Machine { cores: 4, ..Machine::default() }
}

fn advice(measured: &Measurement) -> Verdict {
    let not_here = [Exclusion { rung: Rung::Interpreters, refusal: Refusal::NotHere }];
    advise(measured, &four_cores(), &not_here)
}

fn chosen(measured: &Measurement) -> Rung {
    advice(measured).rung
}

#[test]
fn long_items_of_pure_python_go_to_processes() {
    assert_eq!(chosen(&even(100e6, 10)), Rung::Processes);
    assert_eq!(chosen(&even(1e6, 1_000)), Rung::Processes);
    assert_eq!(chosen(&even(50e3, 100_000)), Rung::Processes);
}

#[test]
fn tiny_items_stay_in_the_caller() {
    assert_eq!(chosen(&even(300.0, 1_000_000)), Rung::Serial);
    assert_eq!(chosen(&even(1_000.0, 1_000)), Rung::Serial);
}

#[test]
fn little_work_stays_in_the_caller() {
    assert_eq!(chosen(&even(1e6, 4)), Rung::Serial);
    assert_eq!(chosen(&even(100e6, 1)), Rung::Serial);
}

#[test]
fn calls_that_wait_go_to_threads() {
    let waiting = Measurement { busy_cores: 0.01, free_share: 0.99, ..even(10e6, 100) };
    assert_eq!(chosen(&waiting), Rung::Threads);
}

#[test]
fn calls_that_wait_go_to_threads_on_one_core_too() {
    let waiting = Measurement { busy_cores: 0.01, free_share: 0.99, ..even(10e6, 100) };
    let machine = Machine { cores: 1, ..Machine::default() };
    assert_eq!(advise(&waiting, &machine, &[]).rung, Rung::Threads);
}

#[test]
fn calls_that_let_go_of_the_lock_on_large_buffers_go_to_threads() {
    let hashing = Measurement { free_share: 0.98, argument_bytes: 4e6, ..even(8e6, 100) };
    assert_eq!(chosen(&hashing), Rung::Threads);
}

#[test]
fn calls_that_are_slow_beside_each_other_stay_in_the_caller() {
    let summing = Measurement { free_share: 1.0, argument_bytes: 64e6, ..even(2e6, 100) };
    assert_eq!(chosen(&summing), Rung::Threads);
    assert_eq!(chosen(&Measurement { beside: 3.9, ..summing }), Rung::Serial);
    // It takes turns for the memory, and others don't sooner for that.
    assert_eq!(chosen(&Measurement { beside: 0.1, ..summing }), Rung::Threads);
}

#[test]
fn large_arguments_with_little_work_stay_in_the_caller() {
    let adding = Measurement { argument_bytes: 64e6, ..even(2e6, 100) };
    assert_eq!(chosen(&adding), Rung::Serial);
}

#[test]
fn work_whose_library_keeps_all_cores_busy_stays_in_the_caller() {
    let product = Measurement { busy_cores: 4.0, free_share: 1.0, ..even(50e6, 20) };
    assert_eq!(chosen(&product), Rung::Serial);
}

#[test]
fn free_threading_sends_pure_python_to_threads() {
    let machine = Machine { is_free_threaded: true, ..four_cores() };
    let measured = Measurement { free_share: 1.0, ..even(10e6, 100) };
    assert_eq!(advise(&measured, &machine, &[]).rung, Rung::Threads);
}

#[test]
fn compiled_functions_win_where_they_are_much_faster() {
    let measured = Measurement { native_ns: Some(20e3), ..even(1e6, 10_000) };
    assert_eq!(chosen(&measured), Rung::Native);
    assert_eq!(chosen(&Measurement { native_left: 0.9, ..measured }), Rung::Processes);
}

#[test]
fn compiled_functions_that_are_not_faster_stay_in_python() {
    assert_eq!(
        chosen(&Measurement { native_ns: Some(900.0), ..even(300.0, 1_000_000) }),
        Rung::Serial
    );
    assert_eq!(chosen(&Measurement { native_ns: Some(2e6), ..even(1e6, 1_000) }), Rung::Processes);
}

#[test]
fn a_cluster_pays_for_hours_but_not_for_seconds() {
    let remote =
        Remote { cores: 64, start_ns: 2e9, item_ns: 1e6, round_trip_ns: 5e6, bytes_per_s: 1e9 };
    let machine = Machine { remote: Some(remote), ..four_cores() };
    assert_eq!(advise(&even(1e9, 10_000), &machine, &[]).rung, Rung::Cluster);
    assert_eq!(advise(&even(100e6, 40), &machine, &[]).rung, Rung::Processes);
}

#[test]
fn an_endless_source_moves_when_as_much_again_would_pay() {
    let endless = |done| Measurement { left: None, done, ..even(1e6, 0) };
    assert_eq!(chosen(&endless(5)), Rung::Serial);
    assert_eq!(chosen(&endless(50)), Rung::Processes);
}

#[test]
fn items_that_differ_wildly_need_more_evidence() {
    let mut uneven = even(2e6, 12);
    assert_eq!(chosen(&uneven), Rung::Processes);
    uneven.wall_ns = Sample::of(&[1e5, 1e5, 3.9e6, 3.9e6]);
    assert_eq!(chosen(&uneven), Rung::Serial);
}

#[test]
fn leverage_is_computing_over_moving_with_its_spread() {
    let measured = Measurement {
        wall_ns: Sample::of(&[80e3, 100e3, 120e3]),
        argument_bytes: 0.0,
        result_bytes: 0.0,
        pickle_ns: 300.0,
        result_pickle_ns: 200.0,
        ..Measurement::default()
    };
    let leverage = Leverage::of(&measured, &Machine::default());
    assert!((leverage.value - 100.0).abs() < 1e-6);
    assert!(leverage.low < leverage.value && leverage.value < leverage.high);
}

#[test]
fn terms_add_up_to_the_prediction() {
    for each in advice(&even(1e6, 100)).predictions {
        let sum: f64 = each.terms.named().iter().map(|(_, ns)| ns).sum();
        assert!((sum - each.total_ns()).abs() < 1.0);
        assert!(each.terms.named().iter().all(|(_, ns)| *ns >= 0.0));
    }
}

#[test]
fn words_name_the_rung_the_times_and_what_was_ruled_out() {
    let verdict = advice(&even(100e6, 10));
    assert!(verdict.reason().starts_with("processes: "), "{}", verdict.reason());
    assert!(verdict.reason().contains("instead of 1.0 s"), "{}", verdict.reason());
    let lines = verdict.reasons();
    assert!(lines.contains(&"not threads: the function holds the interpreter's lock".into()));
    assert!(lines.contains(&"not interpreters: it can't be used here".into()));
}

/// A case in which the rung is refused for that reason. A new refusal does not compile without one.
fn refused(refusal: Refusal) -> (Measurement, Machine, Vec<Exclusion>, Rung) {
    let work = even(100e6, 10);
    let given = |rung| (work, four_cores(), vec![Exclusion { rung, refusal }], rung);
    match refusal {
        Refusal::UnpicklableFunction
        | Refusal::UnpicklableArgument
        | Refusal::UnpicklableResult
        | Refusal::NeedsState
        | Refusal::OptionNotKept => given(Rung::Processes),
        Refusal::NotCompiled | Refusal::LeftToPython | Refusal::ResultDiffers => {
            given(Rung::Native)
        }
        Refusal::NotHere => given(Rung::Interpreters),
        Refusal::TooFewItems => (even(100e6, 1), four_cores(), vec![], Rung::Processes),
        Refusal::OneCore => (work, Machine { cores: 1, ..four_cores() }, vec![], Rung::Processes),
        Refusal::LeverageBelowOne => {
            (even(300.0, 1_000_000), four_cores(), vec![], Rung::Processes)
        }
        Refusal::LockHeld => (work, four_cores(), vec![], Rung::Threads),
        Refusal::SpeedUnknown => (work, four_cores(), vec![], Rung::Native),
        Refusal::GainTooSmall => (even(1e6, 4), four_cores(), vec![], Rung::Processes),
    }
}

#[test]
fn every_refusal_is_given_where_it_holds_and_keeps_its_rung_from_being_chosen() {
    for refusal in Refusal::ALL {
        let (measured, machine, excluded, rung) = refused(refusal);
        let verdict = advise(&measured, &machine, &excluded);
        assert!(verdict.refusals.contains(&Exclusion { rung, refusal }), "{refusal:?}");
        assert_ne!(verdict.rung, rung, "{refusal:?}");
        assert!(verdict.reasons().iter().any(|line| line.contains(refusal.words())), "{refusal:?}");
        assert_eq!(Refusal::named(refusal.name()), Some(refusal));
    }
}

fn warned(warning: Warning) -> Measurement {
    match warning {
        Warning::FewMeasured => Measurement { done: 1, ..even(1e6, 100) },
        Warning::WideSpread => {
            Measurement { wall_ns: Sample::of(&[1.0, 1.0, 5e6, 9e6, 20e6]), ..even(1.0, 100) }
        }
        Warning::LargeData => Measurement { argument_bytes: 64e6, ..even(100e6, 10) },
        Warning::LongItem => {
            Measurement { wall_ns: Sample::of(&[1e6, 1e6, 1e6, 1e9]), ..even(1.0, 3) }
        }
    }
}

#[test]
fn every_warning_is_given_where_it_holds_and_not_for_even_work() {
    let plain = advice(&even(1e6, 100)).warnings;
    for warning in Warning::ALL {
        assert!(advice(&warned(warning)).warnings.contains(&warning), "{warning:?}");
        assert!(!plain.contains(&warning), "{warning:?}");
        assert!(!warning.words().is_empty());
    }
}

#[test]
fn names_of_rungs_lead_back_to_them() {
    for rung in Rung::ALL {
        assert_eq!(Rung::named(rung.name()), Some(rung));
    }
    assert_eq!(Rung::named("fibers"), None);
}
