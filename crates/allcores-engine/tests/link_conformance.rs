//! One meaning, three links: the same suite over shared memory, stream and local links, with the
//! worker in a thread and, where the link can leave this process, in another process.
//!
//! What only one link has is tested in `link_conformance/alone.rs`.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped is a failure")]

#[path = "link_conformance/alone.rs"]
mod alone;
mod common;
#[path = "link_conformance/rig.rs"]
mod rig;
#[path = "link_conformance/suite.rs"]
mod suite;

use rig::Way;

/// Not a test by itself: what a copy of this binary runs.
#[test]
fn worker_process() {
    common::place::in_a_process(|program, kind, control, gate| match program {
        "ordinary" => common::place::ordinary(kind, control, gate),
        _ => rig::cannot_start(kind, control),
    });
}

macro_rules! over {
    ($($way:ident)*; $tests:tt) => { $(over!(@one $way $tests);)* };
    (@one $way:ident { $($test:ident),* $(,)? }) => {
        #[expect(non_snake_case, reason = "named like the way")]
        mod $way {
            $(#[test] fn $test() { crate::common::watched(|| crate::suite::$test(crate::Way::$way)); })*
        }
    };
}

over! {
    ShmThread ShmProcess StreamThread StreamProcess Local;
    {
        a_worker_that_is_up_says_so,
        a_worker_that_cannot_start_says_why_and_has_gone,
        functions_arrive_before_the_batches_that_name_them,
        a_function_without_bytes_is_a_function,
        a_forgotten_function_is_gone_and_the_others_stay,
        many_forgotten_functions_leave_room_for_batches,
        payloads_of_all_sizes_arrive_whole_both_ways,
        large_payloads_cross_both_ways_at_once,
        parcels_of_all_sizes_arrive_whole_both_ways,
        a_letter_may_be_empty_but_for_its_parcels,
        a_parcel_is_sent_many_times_and_stays_the_same,
        what_a_worker_keeps_of_a_parcel_is_never_written_over,
        ten_thousand_tiny_messages_keep_their_order,
        a_batch_has_started_from_its_start_to_its_answer,
        what_has_started_cannot_be_cancelled,
        what_waits_is_cancelled_and_skipped_if_the_link_can,
        what_was_taken_back_can_be_sent_again,
        a_late_answer_to_another_instance_leaves_the_newer_one_alone,
        a_payload_that_a_worker_keeps_stays_as_it_was,
        a_worker_told_to_stop_ends_what_it_was_given,
        a_worker_leaves_when_its_parent_has_left,
        a_sleeping_worker_leaves_when_its_parent_closes,
        nothing_that_can_be_taken_back_starts_after_closing,
        a_worker_that_leaves_is_gone_after_all_its_answers,
        what_is_sent_to_a_worker_that_has_gone_is_no_panic,
        every_item_of_a_careful_batch_has_its_part,
        a_careful_batch_begins_where_it_is_told_to,
        a_lost_worker_leaves_its_parts_and_what_it_was_in,
        who_says_much_waits_for_room,
        who_waits_for_room_leaves_when_its_parent_has_left,
        words_come_in_order_with_the_answers,
        a_retired_worker_skips_what_comes,
        what_runs_is_the_newest_that_was_claimed,
    }
}
