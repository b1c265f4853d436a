//! Objects that are at home in one process only.
//!
//! After a `fork` the child has a copy of every object but none of the threads, and locks
//! may be held by threads that are not there. So the child must not touch what it
//! inherited, not even to drop it.

use allcores_engine::primitive::{AtomicU32, AtomicU64, Ordering};
use pyo3::PyResult;
use pyo3::exceptions::PyRuntimeError;
use pyo3::pyfunction;

/// How many forks lie between the first process and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The process that was marked last.
static MARKED: AtomicU32 = AtomicU32::new(0);

/// Says that this process is a fresh fork; everything made before is not at home in it. To be said
/// again is no other fork.
#[pyfunction]
pub(crate) fn mark_forked() {
    let process = std::process::id();
    if MARKED.swap(process, Ordering::Relaxed) != process {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
}

/// To be called before this process forks: what is mapped now stays as it is for the child.
#[pyfunction]
pub(crate) fn note_fork() {
    allcores_engine::note_fork();
}

/// A value that only the process that made it may use.
pub(crate) struct AtHome<T> {
    value: Option<T>,
    forks: u64,
}

impl<T> AtHome<T> {
    pub(crate) fn new(value: T) -> AtHome<T> {
        AtHome { value: Some(value), forks: FORKS.load(Ordering::Relaxed) }
    }

    /// No value: nobody may use it anywhere.
    pub(crate) fn empty() -> AtHome<T> {
        AtHome { value: None, forks: FORKS.load(Ordering::Relaxed) }
    }

    fn is_home(&self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }

    /// The value, or a `RuntimeError` in a forked child.
    pub(crate) fn get(&self) -> PyResult<&T> {
        match &self.value {
            Some(value) if self.is_home() => Ok(value),
            _ => Err(PyRuntimeError::new_err(
                "this object belongs to the process that was forked and cannot be used in its \
                 child\nhint: make a new executor in the child",
            )),
        }
    }
}

impl<T> Drop for AtHome<T> {
    fn drop(&mut self) {
        if !self.is_home() {
            std::mem::forget(self.value.take());
        }
    }
}
