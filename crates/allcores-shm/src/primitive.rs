//! The façade over atomics, locks and shared ownership: `std`'s, or loom's when model-checked.
//!
//! Everything in `allcores` names these through here, so that one `--cfg loom` puts the very same source
//! under the model checker. This is the only file that may name `std`'s atomics (`clippy.toml` keeps it);
//! they are aliases and not re-exports because the lint sees through the latter.

#[cfg(loom)]
pub use loom::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(not(loom))]
pub use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, Weak,
    atomic::{Ordering, fence},
};

#[cfg(not(loom))]
pub use aliases::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};

#[cfg(not(loom))]
#[expect(clippy::disallowed_types, reason = "this is where the ban sends everybody else")]
mod aliases {
    use std::sync::atomic;

    /// A flag.
    pub type AtomicBool = atomic::AtomicBool;
    /// A small state.
    pub type AtomicU8 = atomic::AtomicU8;
    /// Half a word.
    pub type AtomicU32 = atomic::AtomicU32;
    /// A word: the unit of everything that is shared between processes.
    pub type AtomicU64 = atomic::AtomicU64;
    /// A count of things in memory.
    pub type AtomicUsize = atomic::AtomicUsize;
}
