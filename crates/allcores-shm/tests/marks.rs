//! What a worker marks is what its parent reads, whatever moment it picks.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped is a failure")]

use allcores_shm::primitive::{Arc, AtomicBool, Ordering};
use allcores_shm::{Mark, Marks, Words};

fn fresh() -> Marks {
    Marks::new(Words::on_heap(Marks::WORDS)).unwrap()
}

#[test]
fn nothing_is_read_before_the_first_mark() {
    assert_eq!(fresh().read(), None);
    assert_eq!(fresh().peak(), None);
}

#[test]
fn the_newest_mark_is_read() {
    let marks = fresh();
    marks.begin(7, 0, 100);
    let claimed = Mark { batch: 7, instance: 0, position: None, since_ns: 100 };
    assert_eq!(marks.read(), Some(claimed));
    marks.at(0, 0, 200);
    assert_eq!(marks.read(), Some(Mark { position: Some(0), since_ns: 200, ..claimed }));
    marks.begin(8, 3, 300);
    marks.at(3, 9, 400);
    let newest = Mark { batch: 8, instance: 3, position: Some(9), since_ns: 400 };
    assert_eq!(marks.read(), Some(newest));
    assert!(newest.names(8, 3) && !newest.names(8, 4) && !newest.names(7, 3));
}

#[test]
fn the_peak_is_a_word_of_its_own() {
    let marks = fresh();
    marks.set_peak(1 << 40);
    marks.begin(1, 1, 1);
    assert_eq!(marks.peak(), Some(1 << 40));
}

#[test]
fn too_few_words_are_refused() {
    assert!(Marks::new(Words::on_heap(Marks::WORDS - 1)).is_err());
}

/// Batch b is attempt b, and its item p starts at b · 1000 + p.
#[test]
fn no_mark_is_a_mixture_of_two() {
    let marks = fresh();
    let over = Arc::new(AtomicBool::new(false));
    let (writer, done) = (marks.clone(), Arc::clone(&over));
    let writes = std::thread::spawn(move || {
        for batch in 1..100_000_u64 {
            writer.begin(batch, batch as u32, batch * 1000 + 999);
            for position in 0..3 {
                writer.at(batch as u32, position, batch * 1000 + u64::from(position));
            }
        }
        done.store(true, Ordering::Release);
    });
    let mut newest = 0;
    while !over.load(Ordering::Acquire) {
        let Some(mark) = marks.read() else { continue };
        assert!(mark.names(mark.batch, mark.batch as u32), "{mark:?}");
        let same_batch = mark.since_ns / 1000 == mark.batch;
        assert!(same_batch, "{mark:?} has another batch's time");
        assert!(mark.batch >= newest, "{mark:?} after {newest}");
        newest = mark.batch;
    }
    writes.join().unwrap();
}
