//! Every error of the engine becomes one Python exception: the table.
//!
//! | engine                    | Python                                               |
//! | ------------------------- | ---------------------------------------------------- |
//! | `SubmitError::ShutDown`   | `RuntimeError`, the standard library's text          |
//! | `SubmitError::Broken`     | `RuntimeError`; the package turns it into its own    |
//! | `EngineError::TooLarge`   | `OverflowError`                                      |
//! | any other `EngineError`   | `OSError`                                            |

use allcores_engine::{EngineError, Failure, SubmitError};
use pyo3::PyErr;
use pyo3::exceptions::{PyOSError, PyOverflowError, PyRuntimeError};

pub(crate) fn submit_error(error: &SubmitError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

pub(crate) fn engine_error(error: &EngineError) -> PyErr {
    match error {
        EngineError::TooLarge(_) => PyOverflowError::new_err(error.to_string()),
        _ => PyOSError::new_err(error.to_string()),
    }
}

/// A failure as Python sees it: its kind, the worker it is about (or -1), and words.
pub(crate) fn failure(failure: &Failure) -> (&'static str, i64, String) {
    let (kind, worker) = match failure {
        Failure::WorkerLost { worker } => ("worker lost", i64::from(worker.0)),
        Failure::LostUnread { worker } => ("worker lost unread", i64::from(worker.0)),
        Failure::TimedOut { worker } => ("timed out", i64::from(worker.0)),
        Failure::Ended => ("ended", -1),
        Failure::Engine(_) => ("engine failed", -1),
        Failure::PoolBroken { worker } => ("pool broken", i64::from(worker.0)),
        Failure::StartFailed { worker } => ("start failed", i64::from(worker.0)),
        Failure::NotSent { .. } => ("not sent", -1),
        Failure::ShutDown => ("shut down", -1),
    };
    (kind, worker, failure.to_string())
}
