//! The worker's port, seen from Python.

use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard};

use allcores_engine::port::Next;
use allcores_engine::{EngineError, LinkKind, Port as EnginePort, Work, duplicate};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::engine_error;
use crate::home::AtHome;
use crate::slot::to_bytes;

/// What `next` returns: `(function, tag, count, payload)`; see there.
type Told<'py> = (Option<u32>, i64, u32, Option<Bound<'py, PyBytes>>);

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
    /// `(function, tag, count, payload)`: a batch; its tag is not negative.
    /// `(function, FUNCTION, 0, bytes)`: a function that later batches will name.
    /// `(function, FORGET, 0, None)`: a function that no batch will name again.
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

    /// Answers the batch that the last `next` returned.
    fn reply(&self, tag: u32, payload: &[u8]) -> PyResult<()> {
        self.lock()?.reply(tag, payload).map_err(|error| engine_error(&error))
    }
}

fn told<'py>(py: Python<'py>, work: &Work) -> PyResult<Told<'py>> {
    Ok(match work {
        Work::Task { task, body } => {
            let function = task.function.map(|function| function.0);
            (function, i64::from(task.tag), task.count, Some(to_bytes(py, body)?))
        }
        Work::Function { function, body } => {
            (Some(function.0), FUNCTION, 0, Some(to_bytes(py, body)?))
        }
        Work::Forget { function } => (Some(function.0), FORGET, 0, None),
    })
}
