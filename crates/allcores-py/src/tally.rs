//! A count of batches under way, seen from Python.

use std::sync::Arc;

use allcores_engine::Tally as EngineTally;
use pyo3::prelude::*;

use crate::home::AtHome;
use crate::slot::wait_in_slices;

/// How many batches of somebody are under way; `Slot.slot_count` enters one.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Tally {
    inner: AtHome<Arc<EngineTally>>,
}

impl Tally {
    pub(crate) fn get(&self) -> PyResult<&Arc<EngineTally>> {
        self.inner.get()
    }
}

#[pymethods]
impl Tally {
    #[new]
    fn new() -> Tally {
        Tally { inner: AtHome::new(Arc::new(EngineTally::default())) }
    }

    /// How many are under way.
    fn under_way(&self) -> PyResult<usize> {
        Ok(self.get()?.under_way())
    }

    /// Waits until fewer than `few` are under way, at most `timeout` seconds; whether so few are.
    #[pyo3(signature = (few, timeout = None))]
    fn wait_below(&self, py: Python<'_>, few: usize, timeout: Option<f64>) -> PyResult<bool> {
        let tally = self.get()?;
        wait_in_slices(py, timeout, |slice| tally.wait_below(few, Some(slice)))
    }
}
