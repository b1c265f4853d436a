//! The worker's port, seen from Python.

use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard};

use allcores_engine::port::Next;
use allcores_engine::primitive::{AtomicUsize, Ordering};
use allcores_engine::{EngineError, LinkKind, Port as EnginePort, Work, duplicate};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::errors::engine_error;
use crate::home::AtHome;
use crate::slot::to_bytes;

/// What `next` returns: `(function, tag, start, payload)`; see there.
type Told<'py> = (Option<u32>, i64, Option<u32>, Option<Bound<'py, PyBytes>>);

/// The tag of a message that brings a function.
pub(crate) const FUNCTION: i64 = -1;
/// The tag of a message that takes a function away.
pub(crate) const FORGET: i64 = -2;

/// A worker's end of its link.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Port {
    inner: AtHome<Mutex<EnginePort>>,
}

impl Port {
    fn lock(&self) -> PyResult<MutexGuard<'_, EnginePort>> {
        self.inner.get().map(lock)
    }
}

fn lock(port: &Mutex<EnginePort>) -> MutexGuard<'_, EnginePort> {
    port.lock().expect("nothing panics while it holds the port")
}

#[pymethods]
impl Port {
    /// The worker's end over the descriptor `control`, which stays the caller's to close.
    #[new]
    fn new(control: i32, stream: bool) -> PyResult<Port> {
        let kind = if stream { LinkKind::Stream } else { LinkKind::Shm };
        let control =
            duplicate(control).map_err(|error| engine_error(&EngineError::from(error)))?;
        let port = EnginePort::attach(kind, control).map_err(|error| engine_error(&error))?;
        Ok(Port { inner: AtHome::new(Mutex::new(port)) })
    }

    /// The control socket's descriptor, which no forked child may keep open.
    fn fileno(&self) -> PyResult<i32> {
        Ok(self.lock()?.fd().map_or(-1, |fd| fd.as_raw_fd()))
    }

    /// Says that this worker takes work.
    fn ready(&self) -> PyResult<()> {
        self.lock()?.ready().map_err(|error| engine_error(&error))
    }

    /// Says that this worker could not get ready, and why.
    fn start_failed(&self, why: &[u8]) -> PyResult<()> {
        self.lock()?.start_failed(why).map_err(|error| engine_error(&error))
    }

    /// The next thing to do, or `None` when it is time to leave; waits for it.
    ///
    /// `(function, tag, start, payload)`: a batch; its tag is not negative. If `start` is a number,
    /// only the items from there to `stop` are to be run, with care: see `walk`.
    /// `(function, FUNCTION, None, bytes)`: a function that later batches will name.
    /// `(function, FORGET, None, None)`: a function that no batch will name again.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Told<'py>>> {
        let port = self.inner.get()?;
        loop {
            let next = lock(port).try_next();
            match next.map_err(|error| engine_error(&error))? {
                Next::Work(work) => return told(py, &work).map(Some),
                Next::Leave => return Ok(None),
                Next::Nothing => {
                    py.detach(|| lock(port).wait()).map_err(|error| engine_error(&error))?;
                    py.check_signals()?;
                }
            }
        }
    }

    /// The end of the items that are to be run of the current careful batch.
    #[getter]
    fn stop(&self) -> PyResult<u32> {
        self.lock().map(|_| 0)
    }

    /// An iterator over the items that are to be run of the current careful batch. It notes which one
    /// runs, and pauses when a part of the results should be handed over.
    fn walk(&self, items: Bound<'_, PyList>) -> PyResult<Walk> {
        drop(self.lock()?);
        Ok(Walk { items: items.unbind(), position: AtomicUsize::new(usize::MAX) })
    }

    /// Hands over the results of all items since the last part, the newest of `walk` included.
    fn part(&self, tag: u32, payload: &[u8]) -> PyResult<()> {
        let _part = (tag, payload);
        self.lock().map(drop)
    }

    /// Says, between two batches, that this worker takes nothing more: it is stopped and replaced.
    fn retire(&self) -> PyResult<()> {
        self.lock().map(drop)
    }

    /// Words for the parent, in order with the answers: its notice `said`.
    fn say(&self, payload: &[u8]) -> PyResult<()> {
        let _words = payload;
        self.lock().map(drop)
    }

    /// Answers the batch that the last `next` returned.
    fn reply(&self, tag: u32, payload: &[u8]) -> PyResult<()> {
        self.lock()?.reply(tag, payload).map_err(|error| engine_error(&error))
    }
}

/// The items of a careful batch, one after the other.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Walk {
    items: Py<PyList>,
    position: AtomicUsize,
}

#[pymethods]
impl Walk {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let next = self.position.load(Ordering::Relaxed).wrapping_add(1);
        let item = self.items.bind(py).get_item(next).ok()?;
        self.position.store(next, Ordering::Relaxed);
        Some(item)
    }

    /// The position of the newest item.
    #[getter]
    fn position(&self) -> usize {
        self.position.load(Ordering::Relaxed)
    }

    /// Whether there are no more items.
    #[getter]
    fn is_over(&self, py: Python<'_>) -> bool {
        self.position.load(Ordering::Relaxed).wrapping_add(1) >= self.items.bind(py).len()
    }
}

fn told<'py>(py: Python<'py>, work: &Work) -> PyResult<Told<'py>> {
    Ok(match work {
        Work::Task { task, body } => {
            let function = task.function.map(|function| function.0);
            (function, i64::from(task.tag), None, Some(to_bytes(py, body)?))
        }
        Work::Function { function, body } => {
            (Some(function.0), FUNCTION, None, Some(to_bytes(py, body)?))
        }
        Work::Forget { function } => (Some(function.0), FORGET, None, None),
    })
}
