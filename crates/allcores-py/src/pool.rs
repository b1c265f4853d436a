//! The pool, seen from Python.

use std::os::fd::IntoRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use allcores_engine::pool::{MOST_UNFINISHED, Submission};
use allcores_engine::scheduler::{Config, OnLost, StartPolicy};
use allcores_engine::supervisor::Force;
use allcores_engine::{
    Depot, FnId, LinkKind, Notice, Payload, Pool as EnginePool, PoolConfig, Terms, WorkerId,
};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::errors::{engine_error, failure, submit_error};
use crate::home::AtHome;
use crate::parcels::{Shipment, depot};
use crate::slot::{Slot, timeout, wait_in_slices};

/// From this size on a payload is kept alive instead of copied.
const KEEP: usize = 16 * 1024;

/// The engine's pool.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Pool {
    inner: AtHome<EnginePool>,
    /// Parcels rest there from one batch to the next, until the pool has finished.
    depot: Mutex<Option<Arc<Depot>>>,
}

fn payload_of(payload: &Bound<'_, PyAny>) -> PyResult<Payload> {
    match payload.cast::<PyBytes>() {
        Ok(bytes) if bytes.as_bytes().len() < KEEP => Ok(Payload::copy_of(bytes.as_bytes())),
        Ok(bytes) => Ok(Payload::Shared(Box::new(PyBackedBytes::from(bytes.clone())))),
        Err(_) => payload.cast::<Shipment>()?.get().payload(),
    }
}

impl Pool {
    /// The engine's own, where it is at home.
    pub(crate) fn get(&self) -> PyResult<&EnginePool> {
        self.inner.get()
    }
}

#[pymethods]
impl Pool {
    #[new]
    #[pyo3(signature = (max_workers, *, max_tasks_per_worker = None, replace_lost = false,
                        stream = false))]
    fn new(
        max_workers: usize,
        max_tasks_per_worker: Option<u32>,
        replace_lost: bool,
        stream: bool,
    ) -> PyResult<Pool> {
        let scheduler = Config {
            max_workers,
            max_tasks_per_worker,
            on_worker_lost: if replace_lost { OnLost::Replace } else { OnLost::Break },
            start: StartPolicy::OnDemand,
            take_back: !stream,
            // Without take-back a task could wait for one that waits behind it.
            max_prefetch: if stream { 1 } else { MOST_UNFINISHED },
        };
        let link = if stream { LinkKind::Stream } else { LinkKind::Shm };
        let pool = EnginePool::new(PoolConfig { scheduler, link });
        let pool = pool.map_err(|error| engine_error(&error))?;
        Ok(Pool { inner: AtHome::new(pool), depot: Mutex::new(Some(depot())) })
    }

    /// Gives a batch to the pool. An item of it may run `limit` seconds, and is run again up to `retries`
    /// times if its worker dies, or, with `retry_timeouts`, its limit passes.
    #[pyo3(signature = (function, tag, count, payload, limit = None, retries = 0,
                        retry_timeouts = false))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    pub(crate) fn submit(
        &self,
        function: Option<u32>,
        tag: u32,
        count: u32,
        payload: &Bound<'_, PyAny>,
        limit: Option<f64>,
        retries: u32,
        retry_timeouts: bool,
    ) -> PyResult<Slot> {
        let pool = self.inner.get()?;
        let payload = payload_of(payload)?;
        let limit = limit
            .map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
        let terms = Terms { limit, retries, retry_timeouts };
        let function = function.map(FnId);
        let slot = pool.submit_on(Submission { function, tag, count, payload, terms });
        let slot = slot.map_err(|error| submit_error(&error))?;
        Ok(Slot::of(slot))
    }

    /// Has all workers started with the first batch instead of one by one.
    fn start_all_at_once(&self) -> PyResult<()> {
        self.inner.get()?.start_all_at_once();
        Ok(())
    }

    /// Raises what `submit` would raise.
    fn check_open(&self) -> PyResult<()> {
        self.inner.get()?.check_open().map_err(|error| submit_error(&error))
    }

    /// Keeps a function's bytes and returns its number.
    fn register(&self, function: &Bound<'_, PyAny>) -> PyResult<u32> {
        Ok(self.inner.get()?.register(payload_of(function)?).0)
    }

    /// No batch will name that function any more.
    fn forget(&self, function: u32) -> PyResult<()> {
        self.inner.get()?.forget(FnId(function));
        Ok(())
    }

    /// How many items the next batch of a map should hold.
    fn batch_size(&self, function: Option<u32>, remaining: Option<u64>) -> PyResult<u32> {
        Ok(self.inner.get()?.batch_size(function.map(FnId), remaining))
    }

    /// How many workers should be started now; asking takes the number away.
    fn workers_wanted(&self) -> PyResult<u32> {
        Ok(self.inner.get()?.take_workers_wanted())
    }

    /// A link for a new worker: its number, and the descriptor for its process.
    /// `None`: no worker is wanted any more.
    fn open_link(&self) -> PyResult<Option<(u32, i32)>> {
        let link = self.inner.get()?.open_link().map_err(|error| engine_error(&error))?;
        Ok(link.map(|(worker, control)| (worker.0, control.into_raw_fd())))
    }

    /// The process of that worker runs under this id.
    fn worker_started(&self, worker: u32, pid: u32) -> PyResult<()> {
        self.inner.get()?.worker_started(WorkerId(worker), pid);
        Ok(())
    }

    /// The process of that worker could not be started.
    fn start_failed(&self, worker: u32) -> PyResult<()> {
        self.inner.get()?.start_failed(WorkerId(worker));
        Ok(())
    }

    /// Starts the thread that listens to the workers.
    fn start_collector(&self) -> PyResult<()> {
        self.inner.get()?.start_collector().map_err(|error| engine_error(&error))
    }

    /// Ends that thread, while there is nothing to do.
    fn rest(&self, py: Python<'_>) -> PyResult<()> {
        let pool = self.inner.get()?;
        py.detach(|| pool.rest());
        Ok(())
    }

    /// The notices that are left end with one that says so.
    fn dismiss(&self) -> PyResult<()> {
        self.inner.get()?.dismiss();
        Ok(())
    }

    /// It has finished: lets go of memory that was kept for batches to come.
    fn let_go(&self) -> PyResult<()> {
        self.inner.get()?;
        drop(self.depot.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    /// Accepts no more batches; cancels those that have not started, if asked to.
    fn shut_down(&self, cancel_pending: bool) -> PyResult<()> {
        self.inner.get()?.shut_down(cancel_pending);
        Ok(())
    }

    /// Waits until all workers have gone, at most `timeout` seconds; whether they have.
    #[pyo3(signature = (timeout = None))]
    fn join(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let pool = self.inner.get()?;
        wait_in_slices(py, timeout, |slice| pool.join(Some(slice)))
    }

    /// Signals every worker: SIGKILL if `kill`, with all it has started; else SIGTERM.
    fn end_workers(&self, py: Python<'_>, kill: bool) -> PyResult<()> {
        let force = if kill { Force::Kill } else { Force::Terminate };
        let pool = self.inner.get()?;
        py.detach(|| pool.end_workers(force));
        Ok(())
    }

    /// Ends everything at once: all batches fail, and all workers are killed with what they have started.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let pool = self.inner.get()?;
        py.detach(|| pool.end());
        Ok(())
    }

    /// The most memory that a worker, alive or lost, has said to have had, in bytes.
    fn peak_memory(&self, worker: u32) -> PyResult<Option<u64>> {
        Ok(self.inner.get()?.peak_memory(WorkerId(worker)))
    }

    /// The control sockets and the collector's, which no forked child may keep open.
    fn control_fds(&self) -> PyResult<Vec<i32>> {
        let pool = self.inner.get()?;
        let mut fds = pool.control_fds();
        fds.extend(pool.waker_fds());
        Ok(fds)
    }

    /// Why the pool is broken: `(kind, worker, words)`, or `None`.
    fn broken(&self) -> PyResult<Option<(&'static str, i64, String)>> {
        Ok(self.inner.get()?.broken().as_ref().map(failure))
    }

    /// What a worker that could not get ready said of the reason.
    fn start_failure<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let why = self.inner.get()?.start_failure();
        Ok(why.map(|why| PyBytes::new(py, &why)))
    }

    /// From now on notices about workers are kept, too.
    fn listen(&self) -> PyResult<()> {
        self.inner.get()?.listen();
        Ok(())
    }

    /// The next notice, `(kind, number)` or `("said", worker, words)`; `None` when `timeout` seconds
    /// have passed.
    #[pyo3(signature = (timeout = None))]
    fn next_notice<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let pool = self.inner.get()?;
        let wait = self::timeout(timeout);
        let notice = py.detach(|| pool.next_notice(wait));
        let Some(notice) = notice else { return Ok(None) };
        let (kind, number) = match notice {
            Notice::Said(worker, words) => {
                let said = ("said", worker.0, PyBytes::new(py, &words));
                return said.into_pyobject(py).map(Some);
            }
            Notice::Completed(batch) => ("completed", batch.0),
            Notice::WorkersWanted => ("workers wanted", 0),
            Notice::WorkerGone(worker) => ("worker gone", u64::from(worker.0)),
            Notice::Dismissed => ("dismissed", 0),
            Notice::Finished => ("finished", 0),
        };
        (kind, number).into_pyobject(py).map(Some)
    }

    /// What has been counted so far.
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = self.inner.get()?.counts();
        let dict = PyDict::new(py);
        dict.set_item("queued", counts.queued)?;
        dict.set_item("sent", counts.sent)?;
        dict.set_item("workers_ready", counts.workers_ready)?;
        dict.set_item("workers_starting", counts.workers_starting)?;
        dict.set_item("submitted", counts.submitted)?;
        dict.set_item("done", counts.done)?;
        dict.set_item("failed", counts.failed)?;
        dict.set_item("cancelled", counts.cancelled)?;
        dict.set_item("taken_back", counts.taken_back)?;
        let traffic = self.inner.get()?.traffic();
        dict.set_item("bytes_copied", traffic.copied)?;
        dict.set_item("bytes_mapped", traffic.mapped)?;
        dict.set_item("busy_ns", u64::try_from(traffic.busy.as_nanos()).unwrap_or(u64::MAX))?;
        Ok(dict)
    }
}
