//! An iterator over one list after another, as quick as an iterator over one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyList;

use crate::scalars::Scalars;

/// Hands out the items of the lists that `refill` returns, each from its end, and keeps no
/// reference to what it gave. `refill` is a subclass's; `None` from it is the end for now. Instead
/// of a list it may return the pickle of one with nothing but scalars in it.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub(crate) struct Unroll {
    ready: Mutex<Ready>,
}

enum Ready {
    /// The last one is the next.
    Items(Vec<Py<PyAny>>),
    Pickled(Scalars<PyBackedBytes>),
}

impl Ready {
    fn next<'py>(&mut self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match self {
            Ready::Items(items) => items.pop().map(|item| item.into_bound(py)),
            Ready::Pickled(scalars) => scalars.next(py),
        }
    }
}

impl Unroll {
    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Unroll {
    #[new]
    fn new() -> Unroll {
        Unroll { ready: Mutex::new(Ready::Items(Vec::new())) }
    }

    /// The next items, the last one first; a subclass knows better.
    fn refill(&self) -> Option<Vec<Py<PyAny>>> {
        None
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        loop {
            if let Some(item) = slf.get().lock().next(py) {
                return Ok(Some(item));
            }
            let more = slf.call_method0("refill")?;
            if more.is_none() {
                return Ok(None);
            }
            let ready = match more.cast_into::<PyList>() {
                Ok(list) => Ready::Items(list.iter().map(Bound::unbind).collect()),
                Err(other) => {
                    let scalars = Scalars::of_list(other.into_inner().extract()?);
                    Ready::Pickled(scalars.ok_or_else(|| PyValueError::new_err("no scalars"))?)
                }
            };
            *slf.get().lock() = ready;
        }
    }
}
