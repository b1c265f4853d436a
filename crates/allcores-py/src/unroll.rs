//! An iterator over one list after another, as quick as an iterator over one.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyList;

/// Hands out the items of the lists that `refill` returns, each from its end, and keeps no
/// reference to what it gave. `refill` is a subclass's; `None` from it is the end for now.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub(crate) struct Unroll {
    ready: Mutex<Vec<Py<PyAny>>>,
}

impl Unroll {
    fn pop(&self) -> Option<Py<PyAny>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

#[pymethods]
impl Unroll {
    #[new]
    fn new() -> Unroll {
        Unroll { ready: Mutex::new(Vec::new()) }
    }

    /// The next items, the last one first; a subclass knows better.
    fn refill(&self) -> Option<Vec<Py<PyAny>>> {
        None
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        loop {
            if let Some(item) = slf.get().pop() {
                return Ok(Some(item));
            }
            let list = slf.call_method0("refill")?;
            if list.is_none() {
                return Ok(None);
            }
            let list = list.cast_into::<PyList>()?;
            let items = list.iter().map(Bound::unbind).collect();
            *slf.get().ready.lock().unwrap_or_else(PoisonError::into_inner) = items;
        }
    }
}
