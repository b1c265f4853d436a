//! What is done with any bytes: one function for each decoder of what another process wrote.
//!
//! A target takes bytes as a script of what a mad peer does and of what this side does meanwhile.
//! It panics, hangs or crashes only if the code under test does, or breaks a promise of the
//! protocol (`allcores-shm/README.md`).
//!
//! They are run in two ways: by `tests/fuzz.rs` with random bytes, in every `cargo test`; and by
//! the coverage-guided fuzzer of `fuzz/` (`make fuzz SECONDS=60`), which includes this file.

mod control;
mod memory;
mod pool;
pub(crate) mod reader;
mod shm;
mod stream;

/// A target and its name.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const TARGETS: [Target; 10] = [
    ("messages", memory::messages),
    ("link_words", memory::link_words),
    ("layouts", memory::layouts),
    ("shelf", memory::shelf),
    ("control", control::control),
    ("stream_parent", stream::parent),
    ("stream_worker", stream::worker),
    ("shm_parent", shm::parent),
    ("shm_worker", shm::worker),
    ("pool", pool::pool),
];
