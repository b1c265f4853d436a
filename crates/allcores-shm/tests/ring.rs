//! Rings, bells, claim cells and messages in one process.
#![cfg(not(loom))]

use allcores_shm::{
    Arena, Bell, Block, BlockRef, CLAIM_CELLS, ClaimCell, ClaimState, Consumer, DescriptorError,
    LinkLayout, MAX_GENERATION, Message, Payload, PoolLayout, Producer, RingError, Segment, Shelf,
    ShmError, Socket, View, Words, ring, ring_words,
};
use proptest::prelude::*;
use std::thread;

fn message(number: u64) -> [u64; 8] {
    std::array::from_fn(|word| number.wrapping_mul(31) + word as u64)
}

#[test]
fn handles_may_move_to_other_threads_and_be_shared() {
    fn may<T: Send + Sync + 'static>() {}
    may::<(Segment, Words, LinkLayout, PoolLayout, Producer, Consumer, Bell)>();
    may::<(Arena, Block, Shelf, View, Socket, ShmError)>();
}

#[test]
fn a_fresh_ring_is_empty() {
    let (_, mut consumer) = ring(Words::on_heap(ring_words(4))).unwrap();
    assert!(consumer.is_empty());
    assert_eq!(consumer.pop(), Ok(None));
}

#[test]
fn a_full_ring_refuses_until_one_is_taken() {
    let (mut producer, mut consumer) = ring(Words::on_heap(ring_words(4))).unwrap();
    for number in 0..4 {
        producer.push(&message(number)).unwrap();
    }
    assert_eq!(producer.push(&message(4)), Err(RingError::Full));
    assert_eq!(consumer.pop(), Ok(Some(message(0))));
    producer.push(&message(4)).unwrap();
    for number in 1..5 {
        assert_eq!(consumer.pop(), Ok(Some(message(number))));
    }
    assert!(consumer.is_empty());
}

#[test]
fn a_ring_needs_a_power_of_two_and_exactly_its_words() {
    for words in [0, 1, 32, ring_words(3), ring_words(4) + 1, ring_words(4) - 1] {
        assert!(matches!(ring(Words::on_heap(words)), Err(ShmError::WordCount { .. })), "{words}");
    }
    for capacity in [1, 2, 128] {
        assert!(ring(Words::on_heap(ring_words(capacity))).is_ok());
    }
}

#[test]
fn a_million_messages_cross_between_threads_in_order() {
    let count: u64 =
        if std::env::var_os("ALLCORES_VALGRIND").is_some() { 5_000 } else { 1_000_000 };
    let link = LinkLayout::create().unwrap();
    let (mut producer, mut consumer) = ring(link.task_ring).unwrap();
    let sender = thread::spawn(move || {
        for number in 0..count {
            while let Err(refused) = producer.push(&message(number)) {
                assert_eq!(refused, RingError::Full);
                thread::yield_now();
            }
        }
    });
    for number in 0..count {
        let popped = loop {
            match consumer.pop().unwrap() {
                Some(words) => break words,
                None => thread::yield_now(),
            }
        };
        assert_eq!(popped, message(number));
    }
    sender.join().unwrap();
    assert!(consumer.is_empty());
}

#[test]
fn both_ends_of_a_link_see_the_same_words() {
    let parent = LinkLayout::create().unwrap();
    let fd = parent.segment.fd().try_clone_to_owned().unwrap();
    let worker = LinkLayout::open(Segment::from_fd(fd).unwrap()).unwrap();

    Producer::new(parent.task_ring).unwrap().push(&message(1)).unwrap();
    assert_eq!(Consumer::new(worker.task_ring).unwrap().pop(), Ok(Some(message(1))));
    Producer::new(worker.result_ring).unwrap().push(&message(2)).unwrap();
    assert_eq!(Consumer::new(parent.result_ring).unwrap().pop(), Ok(Some(message(2))));
    Bell::new(worker.worker_flag).unwrap().about_to_sleep();
    assert!(Bell::new(parent.worker_flag).unwrap().must_ring());
    assert_eq!(worker.claims.cells().len(), CLAIM_CELLS);
    ClaimCell::new(&parent.claims.cells()[63]).offer(5);
    assert!(ClaimCell::new(&worker.claims.cells()[63]).claim(5));
}

#[test]
fn a_segment_of_another_role_is_refused() {
    let link = LinkLayout::create().unwrap();
    let fd = link.segment.fd().try_clone_to_owned().unwrap();
    let opened = PoolLayout::open(Segment::from_fd(fd).unwrap());
    assert!(matches!(opened, Err(ShmError::Magic { .. })));
}

#[test]
fn a_segment_of_another_version_is_refused() {
    let link = LinkLayout::create().unwrap();
    let version = &link.segment.words(1..2).unwrap()[0];
    version.fetch_add(1, allcores_shm::primitive::Ordering::Relaxed);
    let fd = link.segment.fd().try_clone_to_owned().unwrap();
    let opened = LinkLayout::open(Segment::from_fd(fd).unwrap());
    assert!(matches!(opened, Err(ShmError::Version { expected: 2, found: 3 })));
}

#[test]
fn only_the_first_of_many_ringers_rings() {
    let bell = Bell::new(Words::on_heap(1)).unwrap();
    assert!(!bell.must_ring());
    bell.about_to_sleep();
    assert!(bell.must_ring());
    assert!(!bell.must_ring());
    assert!(bell.awake(), "somebody rang");
    bell.about_to_sleep();
    assert!(!bell.awake(), "nobody rang");
    assert!(!bell.must_ring());
}

#[test]
fn a_claimed_batch_cannot_be_cancelled_and_the_reverse() {
    let words = Words::on_heap(1);
    let cell = ClaimCell::new(&words.cells()[0]);
    assert_eq!(cell.state(0), ClaimState::Stale, "a zeroed cell offers nothing");
    cell.offer(1);
    assert_eq!(cell.state(1), ClaimState::Queued);
    assert!(cell.claim(1));
    assert!(!cell.claim(1) && !cell.cancel(1));
    assert_eq!(cell.state(1), ClaimState::Claimed);
    cell.offer(MAX_GENERATION);
    assert!(!cell.cancel(1), "another generation");
    assert!(cell.cancel(MAX_GENERATION) && !cell.claim(MAX_GENERATION));
    assert_eq!(cell.state(MAX_GENERATION), ClaimState::Cancelled);
    assert_eq!(cell.state(1), ClaimState::Stale);
}

fn any_payload() -> impl Strategy<Value = Option<Payload>> {
    let payload = (any::<u64>(), any::<u64>(), any::<u32>()).prop_map(|(block, len, parcels)| {
        Payload { block: BlockRef::from_word(block), len, parcels }
    });
    prop::option::of(payload)
}

fn any_message() -> impl Strategy<Value = Message> {
    let ids = (any::<u64>(), any::<u32>(), any::<u32>());
    prop_oneof![
        Just(Message::Ready),
        Just(Message::Stop),
        any::<u32>().prop_map(|function| Message::Forget { function }),
        (any::<u64>(), any::<u32>())
            .prop_map(|(batch, instance)| Message::Skipped { batch, instance }),
        any_payload().prop_map(|payload| Message::StartFailed { payload }),
        Just(Message::Retire),
        any_payload().prop_map(|payload| Message::Say { payload }),
        (ids, any::<u32>(), any_payload()).prop_map(|((batch, instance, tag), stop, payload)| {
            Message::Part { batch, instance, tag, stop, payload }
        }),
        (any::<u32>(), any_payload())
            .prop_map(|(function, payload)| Message::Function { function, payload }),
        (ids, any::<u64>(), any_payload()).prop_map(
            |((batch, instance, tag), busy_ns, payload)| Message::Done {
                batch,
                instance,
                tag,
                busy_ns,
                payload
            }
        ),
        (
            ids,
            prop::option::of(any::<u32>()),
            (any::<u32>(), any::<u32>(), any::<bool>()),
            0..CLAIM_CELLS as u32,
            0..=MAX_GENERATION,
            any_payload()
        )
            .prop_map(
                |(
                    (batch, instance, tag),
                    function,
                    (one, other, careful),
                    cell,
                    generation,
                    payload,
                )| {
                    Message::Task {
                        batch,
                        instance,
                        function,
                        tag,
                        start: one.min(other),
                        stop: one.max(other),
                        careful,
                        cell,
                        generation,
                        payload,
                    }
                }
            ),
    ]
}

proptest! {
    #[test]
    fn every_message_comes_back_as_it_was(message in any_message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn a_stray_bit_makes_a_message_another_or_none(
        message in any_message(), word in 0_usize..8, bit in 0_u32..64,
    ) {
        let mut words = message.encode();
        words[word] ^= 1 << bit;
        prop_assert_ne!(Message::decode(&words), Ok(message));
    }
}

#[test]
fn a_task_with_an_impossible_cell_is_refused() {
    assert_eq!(Message::decode(&task(0, CLAIM_CELLS as u32)), Err(DescriptorError::Cell(64)));
    assert_eq!(Message::decode(&[0; 8]), Err(DescriptorError::Kind(0)));
}

#[test]
fn a_task_that_ends_before_it_begins_is_refused() {
    let refused = Err(DescriptorError::Items { start: 2, stop: 1 });
    assert_eq!(Message::decode(&task(2, 0)), refused);
}

/// The words of a task for the items from `start` to 1.
fn task(start: u32, cell: u32) -> [u64; 8] {
    let task = Message::Task {
        batch: 1,
        instance: 0,
        function: None,
        tag: 0,
        start,
        stop: 1,
        careful: false,
        cell,
        generation: 1,
        payload: None,
    };
    task.encode()
}

#[test]
fn a_producer_sees_room_when_the_consumer_has_made_some() {
    let (mut producer, mut consumer) = ring(Words::on_heap(ring_words(8))).unwrap();
    for _ in 0..4 {
        assert_eq!(producer.has_room(4), Ok(true));
        producer.push(&[0; 8]).unwrap();
    }
    assert_eq!(producer.has_room(4), Ok(false));
    assert_eq!(producer.has_room(3), Ok(true));
    consumer.pop().unwrap();
    assert_eq!(producer.has_room(4), Ok(true));
}
