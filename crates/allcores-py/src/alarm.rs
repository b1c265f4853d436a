//! Something that is to be done after a while, unless it is called off.
//!
//! It waits on a thread of the system's of which Python knows nothing until the time has come.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::home::AtHome;
use crate::slot::timeout;

/// Calls `ring()` on a thread of its own when `seconds` have passed, and again after as many seconds
/// as it says; `None` is the end.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Alarm {
    inner: AtHome<Mutex<Option<Waiting>>>,
}

struct Waiting {
    /// Its end calls the thread off.
    call_off: Sender<()>,
    /// Gives the callable back, to be dropped where Python is.
    thread: JoinHandle<Py<PyAny>>,
}

/// How long to wait from now on, says `ring`.
fn rung(py: Python<'_>, ring: &Py<PyAny>) -> Option<Duration> {
    let again = ring.call0(py).and_then(|seconds| seconds.extract::<Option<f64>>(py));
    let again = again.unwrap_or_else(|error| {
        error.write_unraisable(py, None);
        None
    });
    timeout(again)
}

#[pymethods]
impl Alarm {
    #[new]
    fn new(seconds: f64, ring: Py<PyAny>) -> PyResult<Alarm> {
        let wait = timeout(Some(seconds));
        let (call_off, called_off) = channel::<()>();
        let thread = Builder::new().name("allcores-alarm".into()).spawn(move || {
            let mut next = wait;
            while let Some(wait) = next.take() {
                if called_off.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    // At the very end of the interpreter nobody can be called any more.
                    next = Python::try_attach(|py| rung(py, &ring)).flatten();
                }
            }
            ring
        });
        let thread = thread.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(Alarm { inner: AtHome::new(Mutex::new(Some(Waiting { call_off, thread }))) })
    }

    /// Calls it off, or waits until it is over.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let waiting = self.inner.get()?.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Waiting { call_off, thread }) = waiting {
            drop(call_off);
            // What `ring` lets go of may call this: nobody can wait for himself.
            if thread.thread().id() != std::thread::current().id() {
                drop(py.detach(|| thread.join()));
            }
        }
        Ok(())
    }
}
