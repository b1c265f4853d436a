//! The protocols under the model checker: every interleaving with at most two preemptions, and every
//! value that weak memory allows. To see that a model can fail, weaken one ordering or drop one fence.
//!
//! Loom never lets a load see a later store, so "read before it is overwritten" cannot be tested on values.
//! Those models put a tracked cell where the memory would be: loom reports two accesses that nothing orders.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p allcores-shm --release --test loom`
#![cfg(loom)]

use allcores_shm::primitive::{Arc, AtomicU64, Condvar, Mutex, Ordering};
use allcores_shm::{Bell, ClaimCell, ClaimState, Header, RingError, Words, ring, ring_words};
use loom::cell::UnsafeCell;
use loom::thread;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    let explored = std::sync::Arc::new(std::sync::Mutex::new(0));
    let counter = std::sync::Arc::clone(&explored);
    builder.check(move || {
        *counter.lock().expect("never poisoned") += 1;
        model();
    });
    assert!(
        *explored.lock().expect("never poisoned") > 1,
        "a model that explores nothing checks nothing"
    );
}

fn message(number: u64) -> [u64; 8] {
    std::array::from_fn(|word| number * 10 + word as u64)
}

#[test]
fn messages_arrive_whole_and_in_order_while_slots_are_reused() {
    check(|| {
        let (mut producer, mut consumer) = ring(Words::on_heap(ring_words(2))).unwrap();
        let sender = thread::spawn(move || {
            for number in 1..=3 {
                while producer.push(&message(number)) == Err(RingError::Full) {
                    thread::yield_now();
                }
            }
        });
        for number in 1..=3 {
            let popped = loop {
                match consumer.pop().unwrap() {
                    Some(words) => break words,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(popped, message(number));
        }
        assert!(consumer.is_empty());
        sender.join().unwrap();
    });
}

#[test]
fn what_was_written_before_a_push_is_visible_after_the_pop() {
    check(|| {
        let (mut producer, mut consumer) = ring(Words::on_heap(ring_words(1))).unwrap();
        let payload = Arc::new(AtomicU64::new(0));
        let written = Arc::clone(&payload);
        let sender = thread::spawn(move || {
            written.store(7, Ordering::Relaxed);
            producer.push(&message(1)).unwrap();
        });
        if consumer.pop().unwrap().is_some() {
            assert_eq!(payload.load(Ordering::Relaxed), 7);
        }
        sender.join().unwrap();
    });
}

#[test]
fn a_slot_is_used_again_only_after_it_was_read() {
    check(|| {
        let (mut producer, mut consumer) = ring(Words::on_heap(ring_words(1))).unwrap();
        // The consumer touches it before it gives the first slot back, the producer after it got it.
        let slot = Arc::new(UnsafeCell::new(()));
        let producers = Arc::clone(&slot);
        let sender = thread::spawn(move || {
            producer.push(&message(1)).unwrap();
            while producer.push(&message(2)) == Err(RingError::Full) {
                thread::yield_now();
            }
            producers.with_mut(|_| ());
        });
        slot.with_mut(|_| ());
        while consumer.pop().unwrap().is_none() {
            thread::yield_now();
        }
        sender.join().unwrap();
    });
}

/// Stands for the control socket: how many wake bytes lie unread.
#[derive(Default)]
struct Socket {
    unread: Mutex<u32>,
    arrived: Condvar,
}

impl Socket {
    fn wake(&self) {
        *self.unread.lock().expect("never poisoned") += 1;
        self.arrived.notify_one();
    }

    fn sleep(&self) {
        let mut unread = self.unread.lock().expect("never poisoned");
        while *unread == 0 {
            unread = self.arrived.wait(unread).expect("never poisoned");
        }
        *unread = 0;
    }
}

/// `ringers` publish one piece of work each; a lost wake-up is a deadlock, which loom reports.
fn no_wake_up_is_lost_with(ringers: usize) {
    check(move || {
        let bell = Bell::new(Words::on_heap(1)).expect("one word");
        let socket = Arc::new(Socket::default());
        let work: Vec<_> = (0..ringers).map(|_| Arc::new(AtomicU64::new(0))).collect();
        let threads: Vec<_> = work
            .iter()
            .map(|work| {
                let (work, bell, socket) = (Arc::clone(work), bell.clone(), Arc::clone(&socket));
                thread::spawn(move || {
                    // Relaxed, weaker than a ring's push: the bell alone must suffice.
                    work.store(1, Ordering::Relaxed);
                    let rang = bell.must_ring();
                    if rang {
                        socket.wake();
                    }
                    u32::from(rang)
                })
            })
            .collect();

        let all_there = || work.iter().all(|work| work.load(Ordering::Relaxed) == 1);
        let mut announced = 0;
        while !all_there() {
            bell.about_to_sleep();
            announced += 1;
            if !all_there() {
                socket.sleep();
            }
            bell.awake();
        }
        let rung: u32 = threads.into_iter().map(|ringer| ringer.join().expect("no panic")).sum();
        assert!(rung <= announced, "at most one wake byte for each sleep");
    });
}

#[test]
fn no_wake_up_is_lost_with_one_ringer() {
    no_wake_up_is_lost_with(1);
}

#[test]
fn no_wake_up_is_lost_with_two_ringers() {
    no_wake_up_is_lost_with(2);
}

#[test]
fn awake_tells_exactly_if_somebody_rang() {
    check(|| {
        let bell = Bell::new(Words::on_heap(1)).unwrap();
        let ringer = bell.clone();
        bell.about_to_sleep();
        let ringer = thread::spawn(move || ringer.must_ring());
        let was_rung = bell.awake();
        assert_eq!(was_rung, ringer.join().unwrap());
    });
}

#[test]
fn ring_and_bell_together_deliver_everything() {
    check(|| {
        let (mut producer, mut consumer) = ring(Words::on_heap(ring_words(2))).unwrap();
        let bell = Bell::new(Words::on_heap(1)).unwrap();
        let socket = Arc::new(Socket::default());
        let (ringer, sender_socket) = (bell.clone(), Arc::clone(&socket));
        let sender = thread::spawn(move || {
            for number in 1..=2 {
                producer.push(&message(number)).unwrap();
                if ringer.must_ring() {
                    sender_socket.wake();
                }
            }
        });
        let mut next = 1;
        while next <= 2 {
            if let Some(words) = consumer.pop().unwrap() {
                assert_eq!(words, message(next));
                next += 1;
                continue;
            }
            bell.about_to_sleep();
            if consumer.is_empty() {
                socket.sleep();
            }
            bell.awake();
        }
        sender.join().unwrap();
    });
}

#[test]
fn a_batch_is_either_started_or_taken_back() {
    check(|| {
        let words = Words::on_heap(1);
        ClaimCell::new(&words.cells()[0]).offer(1);
        let workers = words.clone();
        let worker = thread::spawn(move || ClaimCell::new(&workers.cells()[0]).claim(1));
        let cell = ClaimCell::new(&words.cells()[0]);
        let cancelled = cell.cancel(1);
        let claimed = worker.join().unwrap();
        assert!(claimed != cancelled);
        let expected = if claimed { ClaimState::Claimed } else { ClaimState::Cancelled };
        assert_eq!(cell.state(1), expected);
    });
}

#[test]
fn a_late_claim_cannot_take_the_next_offer() {
    check(|| {
        let words = Words::on_heap(1);
        ClaimCell::new(&words.cells()[0]).offer(1);
        let workers = words.clone();
        let worker = thread::spawn(move || ClaimCell::new(&workers.cells()[0]).claim(1));
        let cell = ClaimCell::new(&words.cells()[0]);
        let cancelled = cell.cancel(1);
        if cancelled {
            cell.offer(2);
        }
        assert!(worker.join().unwrap() != cancelled);
        assert_eq!(cell.state(2) == ClaimState::Queued, cancelled);
    });
}

#[test]
fn what_a_worker_saw_before_claiming_is_settled_for_the_parent() {
    check(|| {
        let words = Words::on_heap(1);
        let started = Arc::new(AtomicU64::new(0));
        ClaimCell::new(&words.cells()[0]).offer(1);
        let (workers, workers_started) = (words.clone(), Arc::clone(&started));
        let worker = thread::spawn(move || {
            workers_started.store(1, Ordering::Relaxed);
            ClaimCell::new(&workers.cells()[0]).claim(1);
        });
        if ClaimCell::new(&words.cells()[0]).state(1) == ClaimState::Claimed {
            assert_eq!(started.load(Ordering::Relaxed), 1);
        }
        worker.join().unwrap();
    });
}

#[test]
fn a_freed_block_is_overwritten_only_after_it_was_read() {
    check(|| {
        let words = Words::on_heap(1);
        let payload = Arc::new(UnsafeCell::new(()));
        let (mut producer, mut consumer) = ring(Words::on_heap(ring_words(1))).unwrap();

        let (readers, readers_payload) = (words.clone(), Arc::clone(&payload));
        let reader = thread::spawn(move || {
            while consumer.pop().unwrap().is_none() {
                thread::yield_now();
            }
            let header = Header::new(&readers.cells()[0]);
            assert!(header.is_lent(1));
            readers_payload.with(|_| ());
            assert!(header.free(1));
            // A second, late free must not end the next lending.
            assert!(!header.free(1));
        });

        let header = Header::new(&words.cells()[0]);
        header.lend(1);
        payload.with_mut(|_| ());
        producer.push(&message(1)).unwrap();
        while !header.is_free(1) {
            thread::yield_now();
        }
        header.lend(2);
        payload.with_mut(|_| ());
        reader.join().unwrap();
        assert!(header.is_lent(2));
    });
}

#[test]
fn a_lending_ends_once_when_owner_and_reader_both_end_it() {
    check(|| {
        let words = Words::on_heap(1);
        Header::new(&words.cells()[0]).lend(1);
        let readers = words.clone();
        let reader = thread::spawn(move || Header::new(&readers.cells()[0]).free(1));
        let by_owner = Header::new(&words.cells()[0]).free(1);
        assert!(by_owner != reader.join().unwrap());
        assert!(Header::new(&words.cells()[0]).is_free(1));
    });
}
