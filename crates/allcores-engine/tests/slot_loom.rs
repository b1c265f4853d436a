//! Slots and notices under the model checker: every interleaving with at most two preemptions.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p allcores-engine --release --test slot_loom`
#![cfg(loom)]

use allcores_engine::primitive::{Arc, AtomicU64, Ordering};
use allcores_engine::slot::{Outcome, Slot, Stage};
use allcores_engine::{BatchId, Notice, Tally, WorkerId, notices::Notices};
use loom::thread;

/// Checks `model` in all its interleavings, and that there is more than one.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    let explored = std::sync::Arc::new(std::sync::Mutex::new(0));
    let counter = std::sync::Arc::clone(&explored);
    builder.check(move || {
        *counter.lock().expect("never poisoned") += 1;
        model();
    });
    let explored = *explored.lock().expect("never poisoned");
    assert!(explored > 1, "a model that explores nothing checks nothing");
}

fn slot() -> Arc<Slot> {
    Arc::new(Slot::new(BatchId(7)))
}

/// What the pool does with a slot that ends.
fn complete(slot: &Slot, notices: &Notices) {
    if slot.complete(Outcome::Cancelled) {
        notices.push(Notice::Completed(slot.id()));
    }
}

#[test]
fn whoever_waits_for_a_slot_is_woken_by_its_completion() {
    check(|| {
        let slot = slot();
        let waiting = Arc::clone(&slot);
        let waiter = thread::spawn(move || {
            assert!(waiting.wait(None));
            assert!(waiting.is_done());
        });
        slot.complete(Outcome::Cancelled);
        waiter.join().unwrap();
    });
}

#[test]
fn whoever_waits_until_few_are_under_way_is_woken_by_the_last_that_was_too_many() {
    check(|| {
        let tally = Arc::new(Tally::default());
        let slots = [slot(), slot()];
        slots.iter().for_each(|slot| slot.count_in(&tally));
        let waiting = Arc::clone(&tally);
        let waiter = thread::spawn(move || assert!(waiting.wait_below(2, None)));
        let first = Arc::clone(&slots[0]);
        let completer = thread::spawn(move || first.complete(Outcome::Cancelled));
        waiter.join().unwrap();
        completer.join().unwrap();
        assert_eq!(tally.under_way(), 1);
    });
}

#[test]
fn whoever_waits_for_one_of_many_is_woken_by_its_end_though_many_are_under_way() {
    check(|| {
        let tally = Arc::new(Tally::default());
        let slots = [slot(), slot()];
        slots.iter().for_each(|slot| slot.count_in(&tally));
        let (counts, first) = (Arc::clone(&tally), Arc::clone(&slots[0]));
        let waiter = thread::spawn(move || assert!(counts.wait_below_or_done(1, &first, None)));
        slots[0].complete(Outcome::Cancelled);
        waiter.join().unwrap();
    });
}

#[test]
fn two_waiters_are_both_woken_and_one_of_them_takes_the_outcome() {
    check(|| {
        let slot = slot();
        let other = Arc::clone(&slot);
        let waiter = thread::spawn(move || {
            assert!(other.wait(None));
            other.take().is_some()
        });
        let completer = Arc::clone(&slot);
        let completer = thread::spawn(move || completer.complete(Outcome::Cancelled));
        assert!(slot.wait(None));
        let took = slot.take().is_some();
        assert!(took != waiter.join().unwrap(), "the outcome is there for exactly one");
        completer.join().unwrap();
    });
}

#[test]
fn a_watcher_either_sees_the_slot_done_or_is_told() {
    check(|| {
        let slot = slot();
        let completer = Arc::clone(&slot);
        let completer = thread::spawn(move || completer.complete(Outcome::Cancelled));
        let seen_done = slot.watch() == Stage::Done;
        let told = completer.join().unwrap();
        assert!(seen_done != told, "seen done: {seen_done}, told: {told}");
    });
}

#[test]
fn two_watchers_of_a_pending_slot_are_told_once() {
    check(|| {
        let (slot, notices) = (slot(), Arc::new(Notices::default()));
        let (other, news) = (Arc::clone(&slot), Arc::clone(&notices));
        let completer = thread::spawn(move || complete(&other, &news));
        let other = Arc::clone(&slot);
        let watcher = thread::spawn(move || other.watch());
        let stages = [slot.watch(), watcher.join().unwrap()];
        completer.join().unwrap();
        notices.push(Notice::Finished);
        let told = notices.next(None) == Some(Notice::Completed(BatchId(7)));
        assert_eq!(told, stages.contains(&Stage::Pending));
        assert_eq!(notices.next(None), Some(Notice::Finished));
    });
}

#[test]
fn waiting_and_watching_at_once_both_end() {
    check(|| {
        let (slot, notices) = (slot(), Arc::new(Notices::default()));
        let waiting = Arc::clone(&slot);
        let waiter = thread::spawn(move || assert!(waiting.wait(None)));
        let (completing, news) = (Arc::clone(&slot), Arc::clone(&notices));
        let completer = thread::spawn(move || complete(&completing, &news));
        if slot.watch() == Stage::Pending {
            assert_eq!(notices.next(None), Some(Notice::Completed(BatchId(7))));
            assert!(slot.is_done(), "told only when it is done");
        }
        waiter.join().unwrap();
        completer.join().unwrap();
    });
}

#[test]
fn what_came_before_a_completion_is_visible_to_who_sees_it_done() {
    check(|| {
        let (slot, data) = (slot(), Arc::new(AtomicU64::new(0)));
        let (looking, read) = (Arc::clone(&slot), Arc::clone(&data));
        let looker = thread::spawn(move || {
            if looking.is_done() {
                assert_eq!(read.load(Ordering::Relaxed), 1);
            }
        });
        data.store(1, Ordering::Relaxed);
        slot.complete(Outcome::Cancelled);
        looker.join().unwrap();
    });
}

#[test]
fn a_listener_that_sleeps_gets_every_notice_once() {
    check(|| {
        let notices = Arc::new(Notices::default());
        notices.listen();
        let speaking = Arc::clone(&notices);
        let speaker = thread::spawn(move || {
            speaking.push(Notice::WorkersWanted);
            speaking.push(Notice::Finished);
        });
        let other = Arc::clone(&notices);
        let other = thread::spawn(move || other.push(Notice::WorkerGone(WorkerId(1))));
        let mut wanted = 0;
        while let Some(notice) = notices.next(None) {
            match notice {
                Notice::Finished | Notice::Dismissed => break,
                Notice::WorkersWanted => wanted += 1,
                Notice::WorkerGone(_) | Notice::Completed(_) | Notice::Said(..) => {}
            }
        }
        assert_eq!(wanted, 1);
        speaker.join().unwrap();
        other.join().unwrap();
    });
}
