//! Parcels: written once, lent to many, and used again when nobody reads them.

#![cfg(not(loom))]

use std::sync::{Arc, Mutex, MutexGuard};

use allcores_shm::{Depot, Lending, Parcel, Region, Segment, Shelf, View, note_fork};

const LEN: usize = 300 << 10;

/// How many regions may be mapped, and how often the process forked, are the whole process's affair.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect()
}

fn pack(depot: &Arc<Depot>, bytes: &[u8]) -> Arc<Parcel> {
    depot.pack(&[bytes]).expect("there is memory").0
}

/// A worker that has been told of the parcel's segment.
fn shelf_with(parcel: &Parcel) -> Shelf {
    let mut shelf = Shelf::new();
    let (id, segment) = parcel.segment();
    let fd = segment.fd().try_clone_to_owned().expect("a descriptor");
    shelf.insert(id, Segment::from_fd(fd).expect("a segment"));
    shelf
}

fn lend(parcel: &Parcel) -> Lending {
    parcel.lend().expect("a slot is free")
}

fn open(shelf: &Shelf, lending: &Lending, len: usize) -> Arc<View> {
    Arc::new(shelf.open(lending.at(), len as u64).expect("it is lent"))
}

#[test]
fn a_parcel_holds_its_pieces_one_after_the_other() {
    let depot = Depot::new();
    let (one, other) = (bytes(1, 100), bytes(2, LEN));
    let (parcel, written) = depot.pack(&[&one, &[], &other]).expect("there is memory");
    assert_eq!(written, parcel.len());
    assert_eq!(parcel.len(), 100 + LEN);
    assert!(parcel.copy().expect("its bytes") == [one, other].concat());
}

#[test]
fn the_same_buffer_under_way_is_the_same_parcel_until_it_changes() {
    let depot = Depot::new();
    let mut buffer = bytes(1, LEN);
    let first = pack(&depot, &buffer);
    assert!(Arc::ptr_eq(&first, &pack(&depot, &buffer)));
    let before = buffer.clone();
    buffer[LEN - 1] ^= 1;
    let second = pack(&depot, &buffer);
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(first.copy().expect("its bytes") == before, "it is as it was when it was packed");
    assert!(second.copy().expect("its bytes") == buffer);
}

#[test]
fn only_what_has_changed_is_written() {
    let depot = Depot::new();
    let mut buffer = bytes(1, LEN);
    let (parcel, written) = depot.pack(&[&buffer]).expect("there is memory");
    assert_eq!(written, LEN);
    let content = parcel.content();
    drop(parcel);
    let (parcel, written) = depot.pack(&[&buffer]).expect("there is memory");
    assert_eq!((parcel.content(), written), (content, 0));
    drop(parcel);
    buffer[LEN / 2] ^= 1;
    let (parcel, written) = depot.pack(&[&buffer]).expect("there is memory");
    assert!((1..LEN / 2).contains(&written), "{written}");
    assert_ne!(parcel.content(), content);
    assert!(parcel.copy().expect("its bytes") == buffer);
}

#[test]
fn an_equal_buffer_elsewhere_is_another_parcel() {
    let depot = Depot::new();
    let (one, other) = (bytes(1, LEN), bytes(1, LEN));
    assert!(!Arc::ptr_eq(&pack(&depot, &one), &pack(&depot, &other)));
}

#[test]
fn memory_that_nobody_reads_is_used_again() {
    let depot = Depot::new();
    let mut buffer = bytes(1, LEN);
    let id = pack(&depot, &buffer).segment().0;
    for round in 0..20 {
        buffer[round * 1000] ^= 1;
        let parcel = pack(&depot, &buffer);
        assert_eq!(parcel.segment().0, id);
        assert!(parcel.copy().expect("its bytes") == buffer);
    }
    let other = bytes(9, LEN - 5);
    let parcel = pack(&depot, &other);
    assert_eq!(parcel.segment().0, id);
    assert!(parcel.copy().expect("its bytes") == other);
}

#[test]
fn memory_that_a_worker_reads_is_not_written_to() {
    let _alone = alone();
    let depot = Depot::new();
    let mut buffer = bytes(1, LEN);
    let (parcel, before) = (pack(&depot, &buffer), buffer.clone());
    let (shelf, lending, id) = (shelf_with(&parcel), lend(&parcel), parcel.segment().0);
    let region = Region::of(&open(&shelf, &lending, LEN)).expect("it can be mapped");
    drop(parcel);
    buffer[7] ^= 1;
    assert_ne!(pack(&depot, &buffer).segment().0, id);
    assert!(region.to_vec() == before);
    drop(region);
    assert!(lending.is_over());
    let ids = [pack(&depot, &bytes(2, LEN)), pack(&depot, &bytes(3, LEN))].map(|p| p.segment().0);
    assert!(ids.contains(&id), "when it is read no more, it is");
}

#[test]
fn many_workers_may_read_one_parcel() {
    let _alone = alone();
    let depot = Depot::new();
    let buffer = bytes(1, LEN);
    let parcel = pack(&depot, &buffer);
    let shelf = shelf_with(&parcel);
    let lendings: Vec<_> = std::iter::from_fn(|| parcel.lend()).collect();
    assert!(lendings.len() >= 200 && parcel.lend().is_none(), "{}", lendings.len());
    let views: Vec<_> = lendings.iter().map(|lending| open(&shelf, lending, LEN)).collect();
    assert!(Region::of(&views[199]).expect("it can be mapped").to_vec() == buffer);
    drop(views);
    assert!(lendings.iter().all(Lending::is_over));
    assert!(parcel.lend().is_some());
}

#[test]
fn a_lending_that_was_ended_cannot_be_read() {
    let depot = Depot::new();
    let parcel = pack(&depot, &bytes(1, LEN));
    let (shelf, lending) = (shelf_with(&parcel), lend(&parcel));
    lending.end();
    assert!(shelf.open(lending.at(), LEN as u64).is_err());
}

#[test]
fn nothing_beyond_the_segment_can_be_opened() {
    let depot = Depot::new();
    let parcel = pack(&depot, &bytes(1, LEN));
    let (shelf, lending) = (shelf_with(&parcel), lend(&parcel));
    let len = parcel.segment().1.len() as u64;
    assert!(shelf.open(lending.at(), len).is_err());
    assert!(shelf.open(lending.at(), u64::MAX).is_err());
}

#[test]
fn what_was_mapped_when_the_process_forked_is_never_written_to_again() {
    let _alone = alone();
    let depot = Depot::new();
    let buffer = bytes(1, LEN);
    let parcel = pack(&depot, &buffer);
    let (shelf, lending) = (shelf_with(&parcel), lend(&parcel));
    let region = Region::of(&open(&shelf, &lending, LEN)).expect("it can be mapped");
    assert!(region.is_mapped());
    note_fork();
    drop(region);
    assert!(!lending.is_over(), "a child may be reading it");
}

#[test]
fn regions_beyond_a_number_are_copies() {
    let _alone = alone();
    let depot = Depot::new();
    let buffer = bytes(1, LEN);
    let parcel = pack(&depot, &buffer);
    let (shelf, lending) = (shelf_with(&parcel), lend(&parcel));
    let view = open(&shelf, &lending, LEN);
    let regions: Vec<_> = (0..500).map(|_| Region::of(&view).expect("it can be mapped")).collect();
    assert!(regions[0].is_mapped() && !regions[499].is_mapped());
    assert!(regions[499].to_vec() == buffer);
}

#[test]
fn resting_parcels_are_kept_up_to_a_bound() {
    let depot = Depot::new();
    const MEGABYTES: usize = 50 << 20;
    let buffer = vec![1; MEGABYTES];
    let parcels: Vec<_> = (0..7).map(|at| pack(&depot, &buffer[at..])).collect();
    drop(parcels);
    let rest = depot.resting_bytes();
    assert!((MEGABYTES..6 * MEGABYTES).contains(&rest), "{rest}");
}
