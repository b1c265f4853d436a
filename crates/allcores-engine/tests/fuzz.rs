//! Every decoder of bytes that another process wrote, with any bytes: a short run of what
//! `make fuzz` runs for long, and every input that once broke something.
#![cfg(not(loom))]

#[path = "fuzz/mod.rs"]
mod targets;
#[path = "common/watch.rs"]
mod watch;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use allcores_shm::Message;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use targets::reader::Reader;
use targets::{TARGETS, Target};
use watch::watched;

const CASES: u32 = 300;

fn target(name: &str) -> Target {
    *TARGETS.iter().find(|(known, _)| *known == name).expect("a target of that name")
}

/// Random scripts, and those that were kept in `fuzz/found/`.
fn run(name: &str) {
    let (name, body) = target(name);
    watched(|| {
        let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/found").join(name);
        for file in std::fs::read_dir(found).into_iter().flatten() {
            body(&std::fs::read(file.expect("a listing").path()).expect("a file"));
        }
        let scripts = prop::collection::vec(any::<u8>(), 0..1_500);
        let config = Config { failure_persistence: None, ..Config::with_cases(CASES) };
        let ran = TestRunner::new(config).run(&scripts, |script| {
            body(&script);
            Ok(())
        });
        if let Err(error) = ran {
            panic!("{name}: {error}");
        }
    });
}

macro_rules! each_is_a_test {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { run($name); })*

        #[test]
        fn each_target_has_its_test() {
            let tested = [$($name),*];
            assert_eq!(TARGETS.map(|(name, _)| name), tested);
        }
    };
}

each_is_a_test! {
    any_words_are_a_message_or_an_error: "messages",
    a_link_of_which_any_word_changes_gives_messages_or_errors: "link_words",
    any_segment_opens_with_all_its_parts_or_not_at_all: "layouts",
    any_reference_opens_what_was_lent_or_nothing: "shelf",
    any_bytes_and_descriptors_on_the_control_socket_are_survived: "control",
    a_parent_survives_any_frames_of_a_worker: "stream_parent",
    a_worker_survives_any_frames_of_a_parent: "stream_worker",
    a_parent_survives_a_mad_worker_on_shared_memory: "shm_parent",
    a_worker_survives_a_mad_parent_on_shared_memory: "shm_worker",
    a_pool_of_mad_workers_gives_every_batch_one_outcome: "pool",
}

/// The scripts reach every kind of message that there is, a new one too: else the targets would be
/// blind to it.
#[test]
fn random_scripts_hold_messages_of_every_kind() {
    let decodes = |first| Message::decode(&[first, 0, 0, 0, 0, 0, 0, 0]).is_ok();
    let is_known = |kind: &u64| (0..256).any(|flags| decodes(flags << 8 | kind));
    let known: Vec<u64> = (0..256).filter(is_known).collect();
    let seen = Mutex::new(BTreeSet::new());
    let scripts = prop::collection::vec(any::<u8>(), 100);
    let config = Config { failure_persistence: None, ..Config::with_cases(2_000) };
    let ran = TestRunner::new(config).run(&scripts, |script| {
        let words = Reader::new(&script).message(&[]);
        if Message::decode(&words).is_ok() {
            seen.lock().expect("no panic").insert(words[0] & 0xff);
        }
        Ok(())
    });
    assert!(ran.is_ok());
    let seen = seen.into_inner().expect("no panic");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), known);
}
