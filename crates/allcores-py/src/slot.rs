//! A future's Rust half, seen from Python.

use std::sync::Arc;
use std::time::Duration;

use allcores_engine::{Outcome, Part, PartResult, Slot as EngineSlot, Stage};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::arrays;
use crate::errors;
use crate::home::AtHome;
use crate::parcels::arrived;
use crate::plain;
use crate::pool::Pool;
use crate::tally::Tally;

/// How often a wait on the main thread looks for signals.
pub(crate) const SIGNAL_SLICE: Duration = Duration::from_millis(50);

/// Answers up to this size are looked at before they are taken.
const PEEKED: usize = 128;

/// The tag of an outcome that is a failure of the pool.
pub(crate) const FAILED: i64 = -1;
/// The tag of an outcome that is a cancellation.
pub(crate) const CANCELLED: i64 = -2;
/// The tag of an outcome that came in several parts.
pub(crate) const PARTS: i64 = -3;

/// Where the outcome of one batch appears; the base of `Future`, so that a call that waits is one
/// object. What may wait or change something needs the pool again: a slot keeps none alive.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub(crate) struct Slot {
    inner: AtHome<Arc<EngineSlot>>,
}

impl Slot {
    pub(crate) fn of(slot: Arc<EngineSlot>) -> Slot {
        Slot { inner: AtHome::new(slot) }
    }
}

/// Seconds as Python gives them; below zero means at once, `None` for ever.
pub(crate) fn timeout(seconds: Option<f64>) -> Option<Duration> {
    seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

/// Calls `wait` detached, in slices between which signals are looked for.
pub(crate) fn wait_in_slices(
    py: Python<'_>,
    seconds: Option<f64>,
    wait: impl Fn(Duration) -> bool + Sync,
) -> PyResult<bool> {
    let mut left = timeout(seconds);
    loop {
        let slice = left.map_or(SIGNAL_SLICE, |left| left.min(SIGNAL_SLICE));
        if py.detach(|| wait(slice)) {
            return Ok(true);
        }
        py.check_signals()?;
        if let Some(left) = &mut left {
            *left -= slice;
            if left.is_zero() {
                return Ok(false);
            }
        }
    }
}

fn part_of<'py>(py: Python<'py>, part: &Part) -> PyResult<(u32, i64, Bound<'py, PyAny>)> {
    Ok(match &part.result {
        PartResult::Answer { tag, body } => (part.start, i64::from(*tag), arrived(py, body)?),
        PartResult::Failed(failure) => {
            (part.start, FAILED, errors::failure(failure).into_pyobject(py)?.into_any())
        }
    })
}

fn outcome_of<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<(i64, Bound<'py, PyAny>)> {
    Ok(match outcome {
        Outcome::Answer { tag, body } => (i64::from(*tag), arrived(py, body)?),
        Outcome::Failed(failure, asked) => {
            let (kind, worker, words) = errors::failure(failure);
            let payload = asked.as_ref().and_then(|asked| asked.payload.as_ref());
            let payload = payload.map(|payload| PyBytes::new(py, payload.letter()));
            let limit = asked.as_ref().and_then(|asked| asked.limit);
            let limit = limit.map(|limit| limit.as_secs_f64());
            (FAILED, (kind, worker, words, payload, limit).into_pyobject(py)?.into_any())
        }
        Outcome::Parts(parts) => {
            let parts: PyResult<Vec<_>> = parts.iter().map(|part| part_of(py, part)).collect();
            (PARTS, parts?.into_pyobject(py)?)
        }
        Outcome::Cancelled => (CANCELLED, py.None().into_bound(py)),
    })
}

#[pymethods]
impl Slot {
    /// Gives a batch to the pool, as `Pool.submit` does; without one, a slot that nothing stands
    /// behind and nobody may ask.
    #[new]
    #[pyo3(signature = (pool = None, function = None, tag = 0, count = 1, payload = None,
                        limit = None, retries = 0, retry_timeouts = false))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn new(
        pool: Option<&Pool>,
        function: Option<u32>,
        tag: u32,
        count: u32,
        payload: Option<&Bound<'_, PyAny>>,
        limit: Option<f64>,
        retries: u32,
        retry_timeouts: bool,
    ) -> PyResult<Slot> {
        match (pool, payload) {
            (Some(pool), Some(payload)) => {
                pool.submit(function, tag, count, payload, limit, retries, retry_timeouts)
            }
            _ => Ok(Slot { inner: AtHome::empty() }),
        }
    }

    /// The number of the batch.
    #[getter]
    fn slot_id(&self) -> PyResult<u64> {
        Ok(self.inner.get()?.id().0)
    }

    /// Whether the batch is over.
    fn slot_done(&self) -> PyResult<bool> {
        Ok(self.inner.get()?.is_done())
    }

    /// Waits until the batch is over, at most `timeout` seconds; whether it is.
    #[pyo3(signature = (pool, timeout = None))]
    fn slot_wait(&self, py: Python<'_>, pool: &Pool, timeout: Option<f64>) -> PyResult<bool> {
        let slot = self.inner.get()?;
        if slot.is_done() {
            return Ok(true);
        }
        let pool = pool.get()?;
        wait_in_slices(py, timeout, |slice| pool.wait(slot, Some(slice)))
    }

    /// The same, or until fewer than `few` of `tally`, which counts the batch, are under way; whether
    /// either is so.
    #[pyo3(signature = (pool, tally, few, timeout = None))]
    fn slot_wait_or_few(
        &self,
        py: Python<'_>,
        pool: &Pool,
        tally: &Tally,
        few: usize,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        let (slot, pool, tally) = (self.inner.get()?, pool.get()?, tally.get()?);
        wait_in_slices(py, timeout, |slice| pool.wait_or_few(slot, (tally, few), Some(slice)))
    }

    /// The outcome, once: `(tag, bytes)` (or a `Delivery` instead of bytes, here and below),
    /// `(FAILED, (kind, worker, words, payload, limit))`,
    /// `(CANCELLED, None)` or `(PARTS, [(start, tag, bytes or (kind, worker, words)), …])`; `None`
    /// before the end and when it has been taken. The payload and the seconds allowed of a batch
    /// that a worker ended over are there if they are known.
    fn slot_take<'py>(&self, py: Python<'py>) -> PyResult<Option<(i64, Bound<'py, PyAny>)>> {
        let slot = self.inner.get()?;
        let Some(outcome) = slot.take() else { return Ok(None) };
        let told = outcome_of(py, &outcome);
        if told.is_err() {
            // Too large for the memory there is, perhaps: nothing is lost.
            slot.put_back(outcome);
        }
        told.map(Some)
    }

    /// The value of a batch that is over, as `(state, None, value)`, if `tag` says that there is one
    /// and it is plain and small, or a lone array; else `None`, and the outcome stays where it is.
    fn slot_settled<'py>(
        &self,
        py: Python<'py>,
        tag: u32,
        state: Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let slot = self.inner.get()?;
        let mut room = [0; PEEKED];
        let found = if let Some((found, len)) = slot.peek(&mut room) {
            let value =
                |letter| plain::unpickled(py, letter).or_else(|| arrays::value_read(py, letter));
            (found == tag).then(|| value(&room[..len])).flatten()
        } else {
            let letter = slot.peek_long(tag, arrays::START, arrays::MOST);
            letter.and_then(|letter| arrays::value_read(py, &letter))
        };
        let Some(value) = found else { return Ok(None) };
        PyTuple::new(py, [state, py.None().into_bound(py), value]).map(Some)
    }

    /// Drops the outcome.
    fn slot_clear(&self) -> PyResult<()> {
        drop(self.inner.get()?.take());
        Ok(())
    }

    /// Keeps the batch from starting; false when it has started or is over.
    fn slot_cancel(&self, pool: &Pool) -> PyResult<bool> {
        Ok(pool.get()?.cancel(self.inner.get()?))
    }

    /// As `slot_cancel`, and ends a batch that runs: its worker is killed with all it has started,
    /// and replaced.
    fn slot_stop(&self, py: Python<'_>, pool: &Pool) -> PyResult<bool> {
        let (slot, pool) = (self.inner.get()?, pool.get()?);
        Ok(py.detach(|| pool.stop(slot)))
    }

    /// Whether a worker is running the batch now.
    fn slot_running(&self, pool: &Pool) -> PyResult<bool> {
        Ok(pool.get()?.is_running(self.inner.get()?))
    }

    /// Asks the pool for a notice when the batch is over; false when it is over already.
    fn slot_watch(&self) -> PyResult<bool> {
        Ok(self.inner.get()?.watch() == Stage::Pending)
    }

    /// Counts the batch in `tally` until it is over.
    fn slot_count(&self, tally: &Tally) -> PyResult<()> {
        self.inner.get()?.count_in(tally.get()?);
        Ok(())
    }
}
