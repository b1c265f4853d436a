//! The arena: blocks that live never overlap, freed memory is used again, growth is bounded.
#![cfg(not(loom))]

use std::collections::BTreeMap;

use allcores_shm::{Arena, Block, BlockRef, Payload, Segment, Shelf, ShmError, View};
use proptest::prelude::*;

/// An owner and a reader in one process, mapping each segment twice as two processes would.
#[derive(Default)]
struct Pair {
    arena: Arena,
    shelf: Shelf,
}

impl Pair {
    fn send(&mut self, bytes: &[u8]) -> (Block, View) {
        let block = self.arena.allocate(bytes.len()).expect("memory for a test");
        block.write(0, bytes).expect("the payload fits its block");
        let view = self.open(block.payload());
        (block, view)
    }

    fn open(&mut self, payload: Payload) -> View {
        let id = payload.block.segment();
        for retired in self.arena.take_retired() {
            self.shelf.remove(retired);
        }
        if !self.shelf.contains(id) {
            let announced = self.arena.segment(id).expect("the segment of a lent block");
            let fd = announced.fd().try_clone_to_owned().expect("a descriptor");
            self.shelf.insert(id, Segment::from_fd(fd).expect("our own segment"));
        }
        self.shelf.open(payload.block, payload.len).expect("a lent block")
    }
}

fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let word = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes = word.repeat(len / 8 + 1);
    bytes.truncate(len);
    bytes
}

/// What a block of that payload takes up, by the documentation.
fn room(len: usize) -> usize {
    if len + 8 <= 128 << 10 {
        (len + 8).next_power_of_two().max(64)
    } else {
        (len + 64).next_power_of_two()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Read(prop::sample::Index),
    TakeBack(prop::sample::Index),
    Sweep,
}

fn steps(lens: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => lens.prop_map(Step::Send),
        6 => any::<prop::sample::Index>().prop_map(Step::Read),
        1 => any::<prop::sample::Index>().prop_map(Step::TakeBack),
        1 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 1..200)
}

/// Runs a history. Checks at each step what must hold of live blocks; returns what was used at most.
fn live_through(history: Vec<Step>) -> (usize, BTreeMap<usize, usize>) {
    let mut pair = Pair::default();
    let mut live: Vec<(u64, Block, View)> = Vec::new();
    let mut most_live = BTreeMap::new();
    for (step, number) in history.into_iter().zip(1..) {
        match step {
            Step::Send(len) => {
                let (block, view) = pair.send(&pattern(number, len));
                let start = block.at().offset();
                for (_, other, _) in &live {
                    let other_start = other.at().offset();
                    let apart = block.at().segment() != other.at().segment()
                        || start + room(len) <= other_start
                        || other_start + room(other.len()) <= start;
                    assert!(apart, "{block:?} overlaps {other:?}");
                }
                live.push((number, block, view));
                let alike = live.iter().filter(|(_, b, _)| room(b.len()) == room(len)).count();
                let most = most_live.entry(room(len)).or_insert(0);
                *most = alike.max(*most);
            }
            Step::Read(which) if !live.is_empty() => {
                let (seed, block, view) = live.swap_remove(which.index(live.len()));
                assert_eq!(view.copy_to_vec(), pattern(seed, block.len()));
                view.release();
                assert!(!pair.arena.release(block.at()), "it was free already");
            }
            Step::TakeBack(which) if !live.is_empty() => {
                let (_, block, view) = live.swap_remove(which.index(live.len()));
                assert!(pair.arena.release(block.at()));
                drop(view); // late, and harmless
            }
            Step::Read(_) | Step::TakeBack(_) => {}
            Step::Sweep => pair.arena.sweep(),
        }
    }
    for (seed, block, view) in live {
        assert_eq!(view.copy_to_vec(), pattern(seed, block.len()));
    }
    (pair.arena.footprint(), most_live)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("ALLCORES_VALGRIND").is_some() { 4 } else { 96 }))]

    #[test]
    fn live_blocks_keep_their_bytes_and_never_overlap(
        history in steps(prop_oneof![6 => 0_usize..3_000, 2 => 3_000_usize..140_000, 1 => 140_000_usize..600_000])
    ) {
        live_through(history);
    }

    #[test]
    fn small_memory_is_bounded_by_what_lived_at_once(history in steps(0_usize..60_000)) {
        let (footprint, most_live) = live_through(history);
        // Twice what lived, for freed blocks that were not looked at yet, some slack per class, and the
        // chunk that is being cut.
        let bound: usize = most_live.iter().map(|(room, most)| room * (2 * most + 8)).sum();
        prop_assert!(footprint <= bound + (2 << 20), "{footprint} bytes for {most_live:?}");
    }
}

#[test]
fn freed_blocks_are_used_again_for_ever() {
    let mut pair = Pair::default();
    for number in 0..20_000 {
        let (_, view) = pair.send(&pattern(number, number as usize % 1_000));
        view.release();
    }
    assert_eq!(pair.arena.footprint(), 64 << 10, "the first chunk");
}

#[test]
fn long_lived_blocks_do_not_hide_freed_ones() {
    let mut pair = Pair::default();
    let _kept: Vec<_> = (0..1_000).map(|number| pair.send(&pattern(number, 1_000))).collect();
    for number in 0..10_000 {
        let (_, view) = pair.send(&pattern(number, 1_000));
        view.release();
    }
    assert!(pair.arena.footprint() <= (2 << 20) + (64 << 10), "{}", pair.arena.footprint());
}

#[test]
fn a_block_that_was_never_sent_is_taken_back() {
    let mut arena = Arena::new();
    for _ in 0..50_000 {
        let block = arena.allocate(100).unwrap();
        assert!(arena.release(block.at()));
        assert!(!arena.release(block.at()), "only once");
    }
    assert_eq!(arena.footprint(), 64 << 10);
}

#[test]
fn a_stale_reference_ends_nobody_elses_lending() {
    let mut pair = Pair::default();
    let (old, view) = pair.send(b"old");
    view.release();
    pair.arena.sweep();
    let (new, view) = pair.send(b"new");
    assert_eq!(old.at().offset(), new.at().offset(), "the block is used again");
    assert!(!pair.arena.release(old.at()));
    assert!(matches!(pair.shelf.open(old.at(), 3), Err(ShmError::StaleBlock { .. })));
    assert_eq!(view.copy_to_vec(), b"new");
}

#[test]
fn a_block_cannot_be_opened_after_it_was_freed() {
    let mut pair = Pair::default();
    let (block, view) = pair.send(b"once");
    drop(view);
    let again = pair.shelf.open(block.at(), 4);
    assert!(matches!(again, Err(ShmError::StaleBlock { .. })));
}

#[test]
fn warm_large_segments_are_recycled() {
    let mut pair = Pair::default();
    let (first, view) = pair.send(&pattern(1, 1 << 20));
    view.release();
    // Longer than the first, within the same power of two: part of it is written to fresh pages.
    let (second, view) = pair.send(&pattern(2, (2 << 20) - 100));
    assert_eq!(first.at().segment(), second.at().segment());
    assert_eq!(view.copy_to_vec(), pattern(2, (2 << 20) - 100));
    assert_eq!(pair.arena.footprint(), 2 << 20);
}

#[test]
fn surplus_large_segments_are_retired_and_their_ids_come_again() {
    let mut arena = Arena::new();
    // Sparse: they take address space only. 600 MiB are more than are kept.
    let blocks: Vec<_> = (0..3).map(|_| arena.allocate(200 << 20).unwrap()).collect();
    for block in &blocks {
        assert!(arena.release(block.at()));
    }
    arena.sweep();
    assert_eq!(arena.footprint(), 512 << 20);
    assert!(arena.segment(0).is_none());
    assert_eq!(arena.take_retired(), [0]);
    assert_eq!(arena.take_retired(), []);
    let other = arena.allocate(300 << 10).unwrap();
    assert_eq!(other.at().segment(), 0);
    assert!(!arena.release(blocks[0].at()), "the old reference does not fit the new segment");
}

#[test]
fn impossible_lengths_are_refused() {
    let mut arena = Arena::new();
    for len in [usize::MAX, usize::MAX - 63, isize::MAX as usize, 1 << 62] {
        assert!(matches!(
            arena.allocate(len),
            Err(ShmError::TooLarge { .. }
                | ShmError::CreateSegment { .. }
                | ShmError::MapSegment { .. })
        ));
    }
    assert_eq!(arena.footprint(), 0);
}

#[test]
fn writing_and_reading_past_a_payload_is_refused() {
    let mut pair = Pair::default();
    let (block, view) = pair.send(b"four");
    assert!(matches!(block.write(4, b"!"), Err(ShmError::OutOfBounds { .. })));
    assert!(matches!(block.write(usize::MAX, b"!"), Err(ShmError::OutOfBounds { .. })));
    assert!(matches!(view.copy_out(1, &mut [0; 4]), Err(ShmError::OutOfBounds { .. })));
    let mut middle = [0; 2];
    view.copy_out(1, &mut middle).unwrap();
    assert_eq!(&middle, b"ou");
}

#[test]
fn references_keep_their_parts() {
    let word = (5_u64 << 44) | (16_383 << 30) | 77;
    let at = BlockRef::from_word(word);
    assert_eq!((at.segment(), at.offset(), at.generation()), (5, (1 << 20) - 64, 77));
    assert_eq!(at.to_word(), word);
}
