//! Objects that workers have been given once, known by where they are: a task's bytes name their number.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyTuple};

/// Objects that were registered. Whoever enters one sees to it that it is discarded before it has gone.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Known {
    entries: Mutex<HashMap<usize, Entry>>,
}

struct Entry {
    number: u32,
    /// An array is known only while neither it nor one of these can be written to.
    bases: Option<Py<PyTuple>>,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of that object, if it has one.
    pub(crate) fn number_of(&self, object: &Bound<'_, PyAny>) -> Option<u32> {
        let py = object.py();
        let (number, bases) = {
            let entries = self.lock();
            let entry = entries.get(&object.as_ptr().addr())?;
            (entry.number, entry.bases.as_ref().map(|bases| bases.clone_ref(py)))
        };
        let Some(bases) = bases else { return Some(number) };
        let bases = bases.into_bound(py);
        let fixed =
            !is_writable(object)? && bases.iter().all(|base| is_writable(&base) == Some(false));
        fixed.then_some(number)
    }
}

fn is_writable(array: &Bound<'_, PyAny>) -> Option<bool> {
    let py = array.py();
    let flags = array.getattr(intern!(py, "flags")).ok()?;
    flags.getattr(intern!(py, "writeable")).ok()?.is_truthy().ok()
}

#[pymethods]
impl Known {
    #[new]
    fn new() -> Known {
        Known { entries: Mutex::default() }
    }

    /// `known` has that number; an array with `bases` only while none of them is writable.
    #[pyo3(signature = (known, number, bases = None))]
    fn enter(&self, known: &Bound<'_, PyAny>, number: u32, bases: Option<Py<PyTuple>>) {
        let before = self.lock().insert(known.as_ptr().addr(), Entry { number, bases });
        // Not under the lock: dropping it may run anything.
        drop(before);
    }

    /// The object with this `id` is not known any more.
    fn discard(&self, address: usize) {
        let before = self.lock().remove(&address);
        drop(before);
    }
}
