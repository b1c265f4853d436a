//! Sees from a thread of its own that a block takes long, while it still does; as long as none does,
//! nobody who needs the interpreter is held up for that.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use allcores_engine::clock;
use allcores_engine::primitive::{AtomicBool, AtomicU64, Ordering};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::home::AtHome;

/// Between two blocks.
const NONE: u64 = u64::MAX;

/// Looks at each block once in `look_s`, or once in `1 / share` of the work so far if that is more.
/// If a block is as old as that, `ring(nanoseconds)` is called with its age on the lookout's thread;
/// it returns the age at which to call again for this block, or `None`. After `idle_s` without a
/// block it ends.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Lookout {
    inner: AtHome<Inner>,
}

struct Inner {
    seen: Arc<Seen>,
    looking: Mutex<Looking>,
}

struct Looking {
    /// Its end calls the thread off.
    call_off: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the caller and the thread know.
struct Seen {
    since: Instant,
    /// The work before that.
    done: Duration,
    /// When the block that runs now began, in nanoseconds after `since`.
    begun: AtomicU64,
    has_ended: AtomicBool,
    least: Duration,
    share: f64,
    idle: Duration,
}

impl Seen {
    fn elapsed(&self) -> Duration {
        clock::now().duration_since(self.since)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.elapsed().as_nanos()).unwrap_or(NONE - 1)
    }

    /// How long to sleep now.
    fn look(&self) -> Duration {
        self.least.max((self.done + self.elapsed()).div_f64(self.share))
    }

    /// Calls `ring` for the block that began then, if it still runs; at what age to call again, if
    /// ever.
    fn rung(&self, py: Python<'_>, ring: &Py<PyAny>, begun: u64) -> Option<u64> {
        // Whoever waits for the interpreter may do so for longer than the block takes.
        if self.begun.load(Ordering::Acquire) != begun {
            return Some(0);
        }
        let again = ring.call1(py, (self.now() - begun,));
        let again = again.and_then(|again| again.extract::<Option<f64>>(py));
        let again = again.unwrap_or_else(|error| {
            error.write_unraisable(py, None);
            None
        });
        // A float becomes the nearest integer there is.
        again.map(|age| age as u64)
    }

    fn watch(&self, ring: &Py<PyAny>, called_off: &Receiver<()>) {
        let (mut last, mut rings_at) = (NONE, Some(0));
        let mut idle = Duration::ZERO;
        loop {
            let look = self.look();
            if called_off.recv_timeout(look) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let begun = self.begun.load(Ordering::Acquire);
            if begun == NONE {
                idle += look;
                if idle >= self.idle {
                    return;
                }
                continue;
            }
            idle = Duration::ZERO;
            if begun != last {
                last = begun;
                rings_at = u64::try_from(look.as_nanos()).ok();
            }
            if rings_at.is_some_and(|age| self.now() - begun >= age) {
                // At the very end of the interpreter nobody can be called any more.
                match Python::try_attach(|py| self.rung(py, ring, begun)) {
                    Some(age) => rings_at = age,
                    None => return,
                }
            }
        }
    }
}

#[pymethods]
impl Lookout {
    #[new]
    fn new(
        ring: Py<PyAny>,
        done_ns: u64,
        look_s: f64,
        share: f64,
        idle_s: f64,
    ) -> PyResult<Lookout> {
        let seen = Arc::new(Seen {
            since: clock::now(),
            done: Duration::from_nanos(done_ns),
            begun: AtomicU64::new(NONE),
            has_ended: AtomicBool::new(false),
            least: Duration::from_secs_f64(look_s),
            share,
            idle: Duration::from_secs_f64(idle_s),
        });
        let (call_off, called_off) = channel::<()>();
        let looks = Arc::clone(&seen);
        let thread = Builder::new().name("allcores-lookout".into()).spawn(move || {
            looks.watch(&ring, &called_off);
            looks.has_ended.store(true, Ordering::Release);
            // What it holds on to goes where Python is.
            Python::try_attach(|_| drop(ring));
        });
        let thread = thread.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        let looking = Mutex::new(Looking { call_off: Some(call_off), thread: Some(thread) });
        Ok(Lookout { inner: AtHome::new(Inner { seen, looking }) })
    }

    /// A block begins now.
    fn block_begins(&self) {
        if let Ok(Inner { seen, .. }) = self.inner.get() {
            seen.begun.store(seen.now(), Ordering::Release);
        }
    }

    /// It has ended.
    fn block_ended(&self) {
        if let Ok(Inner { seen, .. }) = self.inner.get() {
            seen.begun.store(NONE, Ordering::Release);
        }
    }

    /// Whether nobody looks any more.
    #[getter]
    fn has_ended(&self) -> bool {
        self.inner.get().map_or(true, |inner| inner.seen.has_ended.load(Ordering::Acquire))
    }

    /// How long it sleeps now, in seconds.
    fn look_s(&self) -> PyResult<f64> {
        Ok(self.inner.get()?.seen.look().as_secs_f64())
    }

    /// Calls it off; if `wait`, until the thread has ended.
    fn stop(&self, py: Python<'_>, wait: bool) {
        let Ok(inner) = self.inner.get() else { return };
        let thread = {
            let mut looking = inner.looking.lock().unwrap_or_else(PoisonError::into_inner);
            looking.call_off = None;
            if wait { looking.thread.take() } else { None }
        };
        // Nobody can wait for himself.
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            drop(py.detach(|| thread.join()));
        }
    }
}
