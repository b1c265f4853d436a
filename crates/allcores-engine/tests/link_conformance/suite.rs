//! The suite itself: each function runs over every way.

use std::sync::Arc;

use allcores_engine::link::{Answer, Peer};
use allcores_engine::payload::{MOST_PARCELS, Parcel as Beside};
use allcores_engine::{BatchId, Depot, FnId, Instance};

use crate::common::bytes;
use crate::common::worker::{Job, MARKED, OFTEN};
use crate::rig::{Parcel, Rig, Way, went_well};

const KIB: usize = 1024;

pub(crate) fn a_worker_that_is_up_says_so(way: Way) {
    let mut rig = Rig::starting(way);
    assert!(matches!(rig.next(), Some(Answer::Ready)));
}

pub(crate) fn a_worker_that_cannot_start_says_why_and_has_gone(way: Way) {
    let (end, hub, worker) = Rig::hopeless(way);
    assert!(worker.is_none_or(|(worker, _gate)| went_well(worker)));
    let (mut receiver, mut answers) = (end.receiver, Vec::new());
    // It has ended, so it is seen as gone without waiting; a stream ends only after its last bytes.
    let peers = [(); 2].map(|()| receiver.drain(true, &mut answers).unwrap());
    assert_eq!(peers[1], Peer::Gone);
    let [Answer::StartFailed { body }] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(body.to_vec(), b"no initializer");
    drop(hub);
}

pub(crate) fn functions_arrive_before_the_batches_that_name_them(way: Way) {
    let mut rig = Rig::new(way);
    for number in 0..30 {
        rig.teach(number, &bytes(number.into(), 3 * KIB * number as usize));
        rig.send(Parcel::new(number.into(), Job::Call).calling(number).with(b"!"));
    }
    for number in 0..30 {
        let mut expected = bytes(number, 3 * KIB * number as usize);
        expected.push(b'!');
        assert_eq!(rig.done(number), expected);
    }
}

pub(crate) fn a_function_without_bytes_is_a_function(way: Way) {
    let mut rig = Rig::new(way);
    rig.teach(0, b"");
    rig.send(Parcel::new(1, Job::Call).calling(0).with(b"only this"));
    assert_eq!(rig.done(1), b"only this");
}

pub(crate) fn a_forgotten_function_is_gone_and_the_others_stay(way: Way) {
    let mut rig = Rig::new(way);
    for number in 0..4 {
        rig.teach(number, b"f");
    }
    rig.forget(1);
    rig.forget(2);
    rig.send(Parcel::new(0, Job::Known));
    let known: Vec<u8> = [0_u32, 1, 3, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(rig.done(0), known);
}

pub(crate) fn many_forgotten_functions_leave_room_for_batches(way: Way) {
    let mut rig = Rig::new(way);
    for number in 0..300 {
        rig.teach(number, b"f");
        rig.send(Parcel::new(number.into(), Job::Call).calling(number));
        rig.done(number.into());
    }
    rig.send(Parcel::new(300, Job::Hold));
    rig.gate.entered();
    (0..300).for_each(|number| rig.forget(number));
    for batch in 301..340 {
        rig.teach(batch as u32, b"g");
        rig.send(Parcel::new(batch, Job::Call).calling(batch as u32));
    }
    rig.gate.open();
    (300..340).for_each(|batch| drop(rig.done(batch)));
    (340..380).for_each(|batch| {
        rig.send(Parcel::new(batch, Job::Echo));
        rig.done(batch);
    });
    rig.send(Parcel::new(380, Job::Known));
    assert_eq!(rig.done(380).len(), 39 * 8, "all that were forgotten are, and no other");
}

pub(crate) fn payloads_of_all_sizes_arrive_whole_both_ways(way: Way) {
    let mut rig = Rig::new(way);
    let sizes = [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 5 * KIB * KIB, 128 * KIB, 7];
    for (batch, size) in (0..).zip(sizes) {
        let payload = bytes(batch, size);
        rig.send(Parcel::new(batch, Job::Echo).with(&payload));
        assert!(rig.done(batch) == payload, "{size} bytes came back garbled");
    }
}

pub(crate) fn large_payloads_cross_both_ways_at_once(way: Way) {
    let mut rig = Rig::new(way);
    let payloads: Vec<Vec<u8>> = (0..12).map(|batch| bytes(batch, 900 * KIB)).collect();
    for (batch, payload) in (0..).zip(&payloads) {
        rig.send(Parcel::new(batch, Job::Echo).with(payload));
    }
    for (batch, payload) in (0..).zip(&payloads) {
        assert!(rig.done(batch) == *payload, "batch {batch} came back garbled");
    }
}

fn packed(depot: &Arc<Depot>, bytes: &[u8]) -> Beside {
    Beside::Shared(depot.pack(&[bytes]).expect("there is memory").0)
}

pub(crate) fn parcels_of_all_sizes_arrive_whole_both_ways(way: Way) {
    let (mut rig, depot) = (Rig::new(way), Depot::new());
    for (batch, size) in (0..).zip([1, 64 * KIB, 200 * KIB, 3 * KIB * KIB + 5]) {
        let sent = [bytes(batch, size), bytes(batch + 9, size + 1)];
        let beside = [packed(&depot, &sent[0]), Beside::Own(sent[1].clone().into())];
        rig.send(Parcel::new(batch, Job::Echo).with(b"the letter").and(&beside));
        let (letter, parcels) = rig.done_with(batch);
        assert_eq!(letter, b"the letter");
        assert!(parcels == sent, "{size} bytes came back garbled");
    }
}

pub(crate) fn a_letter_may_be_empty_but_for_its_parcels(way: Way) {
    let (mut rig, depot) = (Rig::new(way), Depot::new());
    let sent: Vec<_> = (0..MOST_PARCELS as u64).map(|number| bytes(number, KIB)).collect();
    let beside: Vec<_> = sent.iter().map(|sent| packed(&depot, sent)).collect();
    rig.send(Parcel::new(1, Job::Echo).and(&beside));
    assert_eq!(rig.done_with(1), (Vec::new(), sent));
}

pub(crate) fn a_parcel_is_sent_many_times_and_stays_the_same(way: Way) {
    let (mut rig, depot) = (Rig::new(way), Depot::new());
    let sent = bytes(1, 300 * KIB);
    let beside = [packed(&depot, &sent)];
    for batch in 0..300 {
        rig.send(Parcel::new(batch, Job::Echo).and(&beside));
        assert!(rig.done_with(batch).1 == [sent.as_slice()]);
    }
}

pub(crate) fn what_a_worker_keeps_of_a_parcel_is_never_written_over(way: Way) {
    let (mut rig, depot) = (Rig::new(way), Depot::new());
    let mut buffer = bytes(1, 300 * KIB);
    let kept = buffer.clone();
    rig.send(Parcel::new(0, Job::Keep).and(&[packed(&depot, &buffer)]));
    rig.done(0);
    for batch in 1..20 {
        buffer[0] = batch as u8;
        rig.send(Parcel::new(batch, Job::Echo).and(&[packed(&depot, &buffer)]));
        assert!(rig.done_with(batch).1 == [buffer.as_slice()]);
    }
    rig.send(Parcel::new(20, Job::Show));
    assert!(rig.done_with(20).1 == [kept], "the kept parcel has changed");
}

pub(crate) fn ten_thousand_tiny_messages_keep_their_order(way: Way) {
    const CREDIT: u64 = 40;
    let mut rig = Rig::new(way);
    for batch in 0..10_000 + CREDIT {
        if batch < 10_000 {
            rig.send(Parcel::new(batch, Job::Echo).with(&batch.to_le_bytes()));
        }
        if let Some(oldest) = batch.checked_sub(CREDIT) {
            assert_eq!(rig.done(oldest), oldest.to_le_bytes());
        }
    }
}

pub(crate) fn a_batch_has_started_from_its_start_to_its_answer(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Hold));
    rig.send(Parcel::new(2, Job::Echo));
    rig.gate.entered();
    assert!(rig.sender.has_started(BatchId(1)));
    assert!(!rig.sender.has_started(BatchId(2)));
    assert_eq!(rig.sender.started(), [(BatchId(1), Instance(0))]);
    rig.gate.open();
    rig.done(1);
    rig.done(2);
    assert!(!rig.sender.has_started(BatchId(1)));
    assert!(rig.sender.started().is_empty());
}

pub(crate) fn what_has_started_cannot_be_cancelled(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Hold).with(b"mine"));
    rig.gate.entered();
    assert!(!rig.sender.cancel(BatchId(1), Instance(0)));
    rig.gate.open();
    assert_eq!(rig.done(1), b"mine");
    assert!(!rig.sender.cancel(BatchId(1), Instance(0)), "what is over neither");
    assert!(!rig.sender.cancel(BatchId(9), Instance(0)), "what never was neither");
}

pub(crate) fn what_waits_is_cancelled_and_skipped_if_the_link_can(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Hold));
    rig.gate.entered();
    rig.send(Parcel::new(2, Job::Echo).with(&bytes(2, 70 * KIB)));
    rig.send(Parcel::new(3, Job::Echo));
    assert_eq!(rig.sender.cancel(BatchId(2), Instance(0)), way.takes_back());
    assert!(!rig.sender.cancel(BatchId(3), Instance(1)), "that was never sent");
    rig.gate.open();
    rig.done(1);
    if way.takes_back() {
        rig.skipped(2);
    } else {
        assert!(rig.done(2) == bytes(2, 70 * KIB));
    }
    rig.done(3);
}

pub(crate) fn what_was_taken_back_can_be_sent_again(way: Way) {
    if !way.takes_back() {
        return;
    }
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Hold));
    rig.gate.entered();
    rig.send(Parcel::new(2, Job::Echo).with(b"first"));
    assert!(rig.sender.cancel(BatchId(2), Instance(0)));
    rig.send(Parcel::new(2, Job::Hold).again(1).with(b"second"));
    rig.gate.open();
    rig.done(1);
    rig.skipped(2);
    rig.gate.entered();
    assert!(rig.sender.has_started(BatchId(2)));
    rig.gate.open();
    assert_eq!(rig.done_as(2, 1), b"second");
}

pub(crate) fn a_late_answer_to_another_instance_leaves_the_newer_one_alone(way: Way) {
    if !way.takes_back() {
        return;
    }
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Hold).again(3));
    rig.gate.entered();
    rig.sender.answered(BatchId(1), Instance(2));
    assert!(rig.sender.has_started(BatchId(1)));
    rig.gate.open();
    rig.done_as(1, 3);
}

pub(crate) fn a_payload_that_a_worker_keeps_stays_as_it_was(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(0, Job::Keep).with(&bytes(0, 100 * KIB)));
    rig.done(0);
    for batch in 1..20 {
        rig.send(Parcel::new(batch, Job::Echo).with(&bytes(batch, 100 * KIB)));
        rig.done(batch);
    }
    rig.send(Parcel::new(20, Job::Show));
    assert!(rig.done(20) == bytes(0, 100 * KIB), "it was overwritten");
}

pub(crate) fn a_worker_told_to_stop_ends_what_it_was_given(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Hold));
    rig.gate.entered();
    rig.send(Parcel::new(2, Job::Echo).with(&bytes(2, 300 * KIB)));
    rig.stop();
    rig.gate.open();
    rig.done(1);
    assert!(rig.done(2) == bytes(2, 300 * KIB));
    rig.gone();
    assert!(rig.leave().0, "it leaves as it should");
}

pub(crate) fn a_worker_leaves_when_its_parent_has_left(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Echo));
    rig.done(1);
    assert!(rig.leave().0, "it leaves as it should");
}

pub(crate) fn a_sleeping_worker_leaves_when_its_parent_closes(way: Way) {
    let mut rig = Rig::new(way);
    rig.sender.close();
    rig.gone();
    assert!(rig.leave().0, "it leaves as it should");
}

pub(crate) fn nothing_that_can_be_taken_back_starts_after_closing(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Hold));
    rig.gate.entered();
    rig.send(Parcel::new(2, Job::Mark));
    rig.sender.close();
    assert_eq!(rig.sender.started(), [(BatchId(1), Instance(0))]);
    rig.gate.open();
    let (left, rest) = rig.leave();
    assert!(left, "it leaves as it should");
    assert!(!(way.takes_back() && rest.contains(&MARKED)), "batch 2 was started");
}

pub(crate) fn a_worker_that_leaves_is_gone_after_all_its_answers(way: Way) {
    let mut rig = Rig::new(way);
    for batch in 0..20 {
        rig.send(Parcel::new(batch, Job::Echo).with(&bytes(batch, 30 * KIB)));
    }
    rig.send(Parcel::new(20, Job::Leave));
    for batch in 0..20 {
        assert!(rig.done(batch) == bytes(batch, 30 * KIB));
    }
    rig.gone();
    assert_eq!(rig.sender.started(), [(BatchId(20), Instance(0))], "it was in the middle of that");
    assert!(!rig.leave().0);
}

pub(crate) fn what_is_sent_to_a_worker_that_has_gone_is_no_panic(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Leave));
    rig.gone();
    let task = allcores_engine::link::Task {
        batch: BatchId(2),
        instance: Instance(0),
        function: None,
        tag: 0,
        items: allcores_engine::Items::all(1),
        careful: false,
    };
    // Whether the link has noticed is its own business.
    let _maybe_closed = rig.sender.send_task(&task, bytes(0, 200 * KIB)[..].into());
    let _maybe_closed = rig.sender.send_function(FnId(1), b"f"[..].into());
    let _maybe_closed = rig.sender.send_stop();
    rig.ring();
    assert!(!rig.sender.write_on());
    assert!(!rig.leave().0);
}

/// The next answers are parts of batch 1 and then the rest of it; positions in the order of coming.
fn positions(rig: &mut Rig) -> Vec<u8> {
    let mut positions = Vec::new();
    loop {
        let (stop, body) = match rig.next() {
            Some(Answer::Part { batch: BatchId(1), stop, body, .. }) => (Some(stop), body),
            Some(Answer::Done { batch: BatchId(1), body, .. }) => (None, body),
            other => panic!("{other:?}"),
        };
        positions.extend(body.to_vec());
        match stop {
            // Without marks an empty part comes first.
            Some(stop) => assert!(positions.last().is_none_or(|last| u32::from(*last) + 1 == stop)),
            None => return positions,
        }
    }
}

pub(crate) fn every_item_of_a_careful_batch_has_its_part(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Walk).careful(0, 5).with(b".h.h."));
    rig.gate.entered();
    rig.gate.open();
    rig.gate.entered();
    rig.gate.open();
    assert_eq!(positions(&mut rig), [0, 1, 2, 3, 4]);
}

pub(crate) fn a_careful_batch_begins_where_it_is_told_to(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Walk).careful(2, 4).with(b"xx..xx"));
    assert_eq!(positions(&mut rig), [2, 3]);
}

pub(crate) fn a_lost_worker_leaves_its_parts_and_what_it_was_in(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Walk).careful(0, 5).with(b".h.x."));
    rig.gate.entered();
    if let Some(mark) = rig.sender.mark() {
        assert!(mark.names(1, 0));
        assert_eq!(mark.position, Some(1));
    }
    rig.gate.open();
    let mut kept = 0;
    while let Some(answer) = rig.next() {
        match answer {
            Answer::Part { stop, .. } => kept = stop,
            other => panic!("{other:?}"),
        }
    }
    if rig.sender.has_marks() {
        assert_eq!(rig.sender.mark().unwrap().position, Some(3));
        assert!(kept <= 3);
    } else {
        assert_eq!(kept, 3, "without marks a part comes before every item");
    }
    assert_eq!(rig.sender.started(), [(BatchId(1), Instance(0))]);
}

pub(crate) fn who_says_much_waits_for_room(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Say).with(b"often"));
    rig.send(Parcel::new(2, Job::Say).with(&bytes(2, 70 * KIB)));
    for _ in 0..OFTEN {
        assert_eq!(said(&mut rig), b"often");
    }
    assert_eq!(rig.done(1), b"often");
    assert!(said(&mut rig) == bytes(2, 70 * KIB));
    rig.done(2);
}

pub(crate) fn who_waits_for_room_leaves_when_its_parent_has_left(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Say).with(b"often"));
    assert_eq!(said(&mut rig), b"often");
    assert!(rig.leave().0, "it leaves as it should");
}

fn said(rig: &mut Rig) -> Vec<u8> {
    match rig.next() {
        Some(Answer::Said { body }) => body.to_vec(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn words_come_in_order_with_the_answers(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Say).with(b"one"));
    rig.send(Parcel::new(2, Job::Say).with(&bytes(2, 200 * KIB)));
    assert_eq!(said(&mut rig), b"one");
    assert_eq!(rig.done(1), b"one");
    assert!(said(&mut rig) == bytes(2, 200 * KIB));
    assert!(rig.done(2) == bytes(2, 200 * KIB));
}

pub(crate) fn a_retired_worker_skips_what_comes(way: Way) {
    let mut rig = Rig::new(way);
    rig.send(Parcel::new(1, Job::Retire));
    rig.done(1);
    assert!(matches!(rig.next(), Some(Answer::Retire)));
    rig.send(Parcel::new(2, Job::Mark));
    rig.skipped(2);
    assert!(!rig.sender.has_started(BatchId(2)), "it counts as never started");
    rig.stop();
    rig.gone();
    let (left, rest) = rig.leave();
    assert!(left && !rest.contains(&MARKED));
}

pub(crate) fn what_runs_is_the_newest_that_was_claimed(way: Way) {
    let mut rig = Rig::new(way);
    assert_eq!(rig.sender.running(), None);
    rig.send(Parcel::new(1, Job::Echo));
    rig.send(Parcel::new(2, Job::Hold));
    rig.gate.entered();
    if way.takes_back() {
        // The answer to the first one lies there unread.
        assert_eq!(rig.sender.running(), Some((BatchId(2), Instance(0))));
    } else {
        assert_eq!(rig.sender.running(), None, "nobody can know");
    }
    rig.done(1);
    assert_eq!(rig.sender.running(), Some((BatchId(2), Instance(0))));
    rig.gate.open();
    rig.done(2);
    assert_eq!(rig.sender.running(), None);
}
