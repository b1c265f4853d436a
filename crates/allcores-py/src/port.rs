//! The worker's port, seen from Python.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard};

use allcores_engine::port::Next;
use allcores_engine::{
    EngineError, LinkKind, Port as EnginePort, Walk as EngineWalk, Work, duplicate,
};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::errors::engine_error;
use crate::home::AtHome;
use crate::parcels::{arrived, sent};
use crate::serve::Server;

/// What `next` returns: `(function, tag, start, payload)`; see there.
pub(crate) type Told<'py> = (Option<u32>, i64, Option<u32>, Option<Bound<'py, PyAny>>);

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
    pub(crate) fn lock(&self) -> PyResult<MutexGuard<'_, EnginePort>> {
        self.inner.get().map(lock)
    }

    /// The next thing to do; waits for it. `None`: leave.
    pub(crate) fn await_work(&self, py: Python<'_>) -> PyResult<Option<Work>> {
        let port = self.inner.get()?;
        loop {
            let mut end = lock(port);
            let bed = match end.try_next().map_err(|error| engine_error(&error))? {
                Next::Work(work) => return Ok(Some(work)),
                Next::Leave => return Ok(None),
                Next::Nothing => end.bed(),
            };
            // Other threads may have something to say meanwhile.
            drop(end);
            let woken = py.detach(|| if bed.sleep()? { lock(port).awake() } else { Ok(()) });
            woken.map_err(|error| engine_error(&error))?;
            py.check_signals()?;
        }
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
    /// `(function, tag, start, payload)`: a batch; its payload is bytes or a `Delivery`, its tag is not negative. If `start` is a number,
    /// only the items from there to `stop` are to be run, with care: see `walk`.
    /// `(function, FUNCTION, None, bytes)`: a function that later batches will name.
    /// `(function, FORGET, None, None)`: a function that no batch will name again.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Told<'py>>> {
        self.await_work(py)?.map(|work| told(py, &work)).transpose()
    }

    /// Makes the calls of registered functions whose arguments are plain, until there is something
    /// else to do, which it returns as `next` does.
    ///
    /// `functions` has them by number, `tags` names a call, a chunk, a value and the values of a chunk.
    /// `failed(error, function, args)` and `dumped(value, function, args)` give the answer, `(tag, bytes)`,
    /// for a call that raised and for a value that is not plain; `continued(function, payload, values,
    /// value, error)` that for a chunk whose first items gave `values`, and the next one `value` or
    /// `error`.
    fn serve<'py>(
        &self,
        py: Python<'py>,
        functions: &Bound<'py, PyDict>,
        tags: (u32, u32, u32, u32),
        failed: &Bound<'py, PyAny>,
        dumped: &Bound<'py, PyAny>,
        continued: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Told<'py>>> {
        let server = Server { port: self, functions, tags: tags.into(), failed, dumped, continued };
        let Some(work) = server.serve(py)? else { return Ok(None) };
        told(py, &work).map(Some)
    }

    /// The end of the items that are to be run of the current careful batch; 0 for any other.
    #[getter]
    fn stop(&self) -> PyResult<u32> {
        Ok(self.lock()?.stop().unwrap_or(0))
    }

    /// An iterator over the items that are to be run of the current careful batch. It notes which one
    /// runs, and pauses when a part of the results should be handed over.
    fn walk(&self, items: Bound<'_, PyList>) -> PyResult<Walk> {
        match self.lock()?.walk() {
            Ok(Some(walk)) => Ok(Walk { walk: AtHome::new(walk), items: items.unbind() }),
            Ok(None) => Err(PyRuntimeError::new_err("the current batch is no careful one")),
            Err(error) => Err(engine_error(&error)),
        }
    }

    /// Hands over the results of all items since the last part, the newest of `walk` included.
    fn part(&self, py: Python<'_>, tag: u32, payload: &Bound<'_, PyAny>) -> PyResult<()> {
        let port = self.inner.get()?;
        sent(payload, |letter, parcels| {
            if parcels.is_empty() {
                py.detach(|| lock(port).part(tag, letter, parcels))
            } else {
                // Attached: nobody may write to what is being copied.
                lock(port).part(tag, letter, parcels)
            }
        })
    }

    /// Says, between two batches, that this worker takes nothing more: it is stopped and replaced.
    fn retire(&self) -> PyResult<()> {
        self.lock()?.retire().map_err(|error| engine_error(&error))
    }

    /// Words for the parent, in order with the answers: its notice `said`. From any thread.
    fn say(&self, py: Python<'_>, payload: &[u8]) -> PyResult<()> {
        let port = self.inner.get()?;
        py.detach(|| lock(port).say(payload)).map_err(|error| engine_error(&error))
    }

    /// Answers the batch that the last `next` returned.
    pub(crate) fn reply(&self, tag: u32, payload: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut port = self.lock()?;
        sent(payload, |letter, parcels| port.reply_with(tag, letter, parcels))
    }
}

/// The items of a careful batch, one after the other.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Walk {
    walk: AtHome<Arc<EngineWalk>>,
    items: Py<PyList>,
}

#[pymethods]
impl Walk {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.walk.get()?.step() {
            None => Ok(None),
            Some(position) => self.items.bind(py).get_item(position as usize).map(Some),
        }
    }

    /// The position of the newest item; one before the first item if there is none yet.
    #[getter]
    fn position(&self) -> PyResult<i64> {
        let walk = self.walk.get()?;
        let before = i64::from(walk.items().start) - 1;
        Ok(walk.position().map_or(before, i64::from))
    }

    /// Whether there are no more items.
    #[getter]
    fn is_over(&self) -> PyResult<bool> {
        Ok(self.walk.get()?.is_over())
    }
}

fn told<'py>(py: Python<'py>, work: &Work) -> PyResult<Told<'py>> {
    Ok(match work {
        Work::Task { task, body } => {
            let function = task.function.map(|function| function.0);
            let start = task.careful.then_some(task.items.start);
            (function, i64::from(task.tag), start, Some(arrived(py, body)?))
        }
        Work::Function { function, body } => {
            (Some(function.0), FUNCTION, None, Some(arrived(py, body)?))
        }
        Work::Forget { function } => (Some(function.0), FORGET, None, None),
    })
}
