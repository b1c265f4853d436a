//! A peer that writes anything anywhere it can reach: this side answers with errors, never a panic, a
//! wait or a read outside its bounds.
#![cfg(not(loom))]

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use allcores_shm::primitive::Ordering;
use allcores_shm::{
    Arena, Bell, BlockRef, ClaimCell, ClaimState, Consumer, Control, LinkLayout, Marks, Message,
    PoolLayout, Producer, Segment, Shelf, ShmError, Socket,
};
use proptest::prelude::*;

/// Words that a hostile peer would like: any, and those near the truth.
fn nasty() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0_u64..300, Just(u64::MAX), Just(1 << 63)]
}

/// Where the peer writes, and what.
fn scribbles(words: usize) -> impl Strategy<Value = Vec<(usize, u64)>> {
    // Half of the blows at the first lines, where counts and flags lie.
    prop::collection::vec((prop_oneof![0..words, 0..words.min(80)], nasty()), 1..200)
}

fn scribble(segment: &Segment, at: usize, word: u64) {
    let words = segment.words(0..segment.len() / 8).expect("all its words");
    words[at].store(word, Ordering::Relaxed);
}

const LINK_WORDS: usize = 2_224;

fn mapped_again(segment: &Segment) -> Segment {
    let fd = segment.fd().try_clone_to_owned().expect("a descriptor");
    Segment::from_fd(fd).expect("our own segment")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("ALLCORES_VALGRIND").is_some() { 8 } else { 256 }))]

    #[test]
    fn any_eight_words_are_a_message_or_an_error(words in prop::array::uniform8(nasty()), kind in 0_u64..1024) {
        let _ = Message::decode(&words);
        let mut near = words;
        near[0] = kind;
        if let Ok(message) = Message::decode(&near) {
            prop_assert_eq!(message.encode(), near);
        }
    }

    #[test]
    fn a_scribbled_link_gives_messages_or_errors(blows in scribbles(LINK_WORDS)) {
        let link = LinkLayout::create().unwrap();
        prop_assert_eq!(link.segment.len(), LINK_WORDS * 8);
        let mut producer = Producer::new(link.task_ring.clone()).unwrap();
        let mut consumer = Consumer::new(link.result_ring.clone()).unwrap();
        let bell = Bell::new(link.worker_flag.clone()).unwrap();
        let marks = Marks::new(link.marks.clone()).unwrap();
        for (at, word) in blows {
            scribble(&link.segment, at, word);
            let _ = producer.push(&Message::Stop.encode());
            consumer.is_empty();
            // Never more messages than slots in a row without another blow.
            let mut taken = 0;
            while let Ok(Some(words)) = consumer.pop() {
                let _ = Message::decode(&words);
                taken += 1;
                prop_assert!(taken <= 128, "the peer makes us spin");
            }
            let _ = bell.must_ring();
            if let Some(mark) = marks.read() {
                prop_assert!(mark.names(mark.batch, mark.instance));
            }
            let _ = marks.peak();
            for cell in link.claims.cells() {
                let cell = ClaimCell::new(cell);
                let state = cell.state(3);
                let left = cell.cancel(3);
                prop_assert_eq!(state == ClaimState::Queued, left);
            }
        }
    }

    #[test]
    fn any_reference_opens_a_view_or_an_error(word in any::<u64>(), len in nasty(), near in 0_u64..4096) {
        let mut arena = Arena::new();
        let block = arena.allocate(100).unwrap();
        let mut shelf = Shelf::new();
        shelf.insert(0, mapped_again(block.segment()));
        for word in [word, near, block.at().to_word() ^ near, block.at().to_word()] {
            if let Ok(view) = shelf.open(BlockRef::from_word(word), len) {
                prop_assert_eq!(view.copy_to_vec().len() as u64, len);
            }
        }
    }

    #[test]
    fn a_scribbled_arena_still_lends_separate_blocks(blows in scribbles(1 << 17), len in 0_usize..2_000) {
        let mut arena = Arena::new();
        let mut lent = Vec::new();
        for (at, word) in blows {
            let block = arena.allocate(len).unwrap();
            let chunk = arena.segment(block.at().segment()).unwrap();
            scribble(chunk, at % (chunk.len() / 8), word);
            lent.push(block);
            if lent.len() > 20 {
                arena.release(lent.remove(0).at());
            }
        }
        // Whatever was scribbled, no place can be lent twice: a scribbled header only loses its block,
        // unless the peer writes exactly the free word of a current lending, and that is its right.
        let mut places: Vec<_> = lent.iter().map(|b| (b.at().segment(), b.at().offset())).collect();
        places.sort_unstable();
        places.dedup();
        prop_assert_eq!(places.len(), lent.len());
    }

    #[test]
    fn a_segment_with_any_first_words_opens_or_errs(magic in nasty(), version in nasty(), words in 1_usize..5_000) {
        let segment = Segment::create(words * 8).unwrap();
        scribble(&segment, 0, magic);
        if words > 1 {
            scribble(&segment, 1, version);
        }
        prop_assert!(LinkLayout::open(mapped_again(&segment)).is_err());
        prop_assert!(PoolLayout::open(segment).is_err());
    }

    #[test]
    fn a_right_header_on_a_short_segment_is_refused(words in 17_usize..LINK_WORDS) {
        let truth = LinkLayout::create().unwrap();
        let short = Segment::create(words * 8).unwrap();
        for at in 0..2 {
            scribble(&short, at, truth.segment.words(at..at + 1).unwrap()[0].load(Ordering::Relaxed));
        }
        let outside = matches!(LinkLayout::open(short), Err(ShmError::OutOfBounds { .. }));
        prop_assert!(outside, "cut from too short a segment");
    }

    #[test]
    fn any_bytes_on_the_control_socket_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let (mut peer, own) = UnixStream::pair().unwrap();
        let own = Socket::from_fd(OwnedFd::from(own)).unwrap();
        peer.write_all(&bytes).unwrap();
        drop(peer);
        let mut calls = 0;
        while !matches!(own.receive(true), Ok(Some(Control::Closed))) {
            calls += 1;
            prop_assert!(calls <= 100 / 16 + 1, "no end is seen");
        }
    }

    #[test]
    fn words_and_bytes_outside_a_segment_are_refused(offset in any::<usize>(), len in 0_usize..10_000) {
        let segment = Segment::create(4_096).unwrap();
        let inside = offset.checked_add(len).is_some_and(|end| end <= 4_096);
        prop_assert_eq!(segment.copy_out(offset, &mut vec![0; len]).is_ok(), inside);
        prop_assert_eq!(segment.copy_in(offset, &vec![0; len]).is_ok(), inside);
        prop_assert_eq!(segment.write(offset, &vec![0; len]).is_ok(), inside);
        prop_assert_eq!(segment.copy_out_to_vec(offset, len).is_ok(), inside);
        let end = offset.saturating_add(len);
        prop_assert_eq!(segment.words(offset..end).is_ok(), end <= 512 && offset != usize::MAX);
    }
}

#[test]
fn what_is_no_sealed_segment_is_refused() {
    let (socket, _peer) = UnixStream::pair().unwrap();
    assert!(Segment::from_fd(OwnedFd::from(socket)).is_err());
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(Segment::from_fd(OwnedFd::from(file)).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn a_segment_that_could_still_shrink_is_refused() {
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
    let unsealed = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&unsealed, 4_096).unwrap();
    assert!(matches!(Segment::from_fd(unsealed), Err(ShmError::Unsealed)));
}

#[cfg(target_os = "linux")]
#[test]
fn our_own_segments_can_neither_shrink_nor_grow() {
    let segment = Segment::create(8_192).unwrap();
    assert!(rustix::fs::ftruncate(segment.fd(), 4_096).is_err());
    assert!(rustix::fs::ftruncate(segment.fd(), 16_384).is_err());
}

#[test]
fn an_empty_segment_is_refused() {
    assert!(matches!(Segment::create(0), Err(ShmError::SegmentSize { bytes: 0 })));
}
