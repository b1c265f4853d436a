//! The worker's quick way through plain calls: registered functions with plain arguments.
//!
//! A call that `plain` can read is made here, and answered here if its result is plain too. All else
//! goes back to Python, which knows what to do: batches of other kinds as `next` tells them,
//! exceptions and results of other kinds through two callbacks.

use allcores_engine::Work;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::errors::engine_error;
use crate::plain;
use crate::port::Port;

/// After so many calls in a row the worker's other threads get a chance, whatever the calls are.
const CALLS_IN_A_ROW: u32 = 64;

/// What it takes to answer a plain call.
pub(crate) struct Server<'a, 'py> {
    pub(crate) port: &'a Port,
    /// The registered functions that need nothing but to be called, by number.
    pub(crate) functions: &'a Bound<'py, PyDict>,
    /// The tag of a batch that is one call.
    pub(crate) call: u32,
    /// The tag of an answer that is a value.
    pub(crate) result: u32,
    /// `failed(error, function, args)` is the answer for a call that raised.
    pub(crate) failed: &'a Bound<'py, PyAny>,
    /// `dumped(value, function, args)` is the answer for a value that is not plain.
    pub(crate) dumped: &'a Bound<'py, PyAny>,
}

struct Call<'py> {
    function: Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    kwargs: Option<Bound<'py, PyDict>>,
}

impl<'py> Server<'_, 'py> {
    /// Answers plain calls until there is something else to do. `None`: leave.
    pub(crate) fn serve(&self, py: Python<'py>) -> PyResult<Option<Work>> {
        let mut calls = 0_u32;
        while let Some(work) = self.port.await_work(py)? {
            let Some(call) = self.read(py, &work)? else { return Ok(Some(work)) };
            drop(work);
            self.answer(py, call)?;
            calls += 1;
            if calls.is_multiple_of(CALLS_IN_A_ROW) {
                py.detach(|| ());
                py.check_signals()?;
            }
        }
        Ok(None)
    }

    fn read(&self, py: Python<'py>, work: &Work) -> PyResult<Option<Call<'py>>> {
        let Work::Task { task, body } = work else { return Ok(None) };
        let mut room = [0; plain::MOST_READ];
        let (Some(number), true, Some(room)) =
            (task.function, task.tag == self.call, room.get_mut(..body.len()))
        else {
            return Ok(None);
        };
        let Some(function) = self.functions.get_item(number.0)? else { return Ok(None) };
        body.copy_out(room);
        Ok(plain::unpickled(py, room).and_then(|call| {
            let (args, kwargs) = call.extract::<(Bound<'_, PyTuple>, Bound<'_, PyDict>)>().ok()?;
            Some(Call { function, args, kwargs: (!kwargs.is_empty()).then_some(kwargs) })
        }))
    }

    fn answer(&self, py: Python<'py>, call: Call<'py>) -> PyResult<()> {
        let Call { function, args, kwargs } = call;
        let answer = match function.call(&args, kwargs.as_ref()) {
            Ok(value) => match plain::pickled(&value) {
                Some(bytes) => Ok(bytes),
                None => Err(self.dumped.call1((value, &function, &args))?),
            },
            Err(error) => Err(self.failed.call1((error, &function, &args))?),
        };
        drop(kwargs);
        let sent = match &answer {
            Ok(bytes) => self.reply(self.result, bytes),
            Err(answer) => self.reply_as_told(answer),
        };
        match sent {
            // The answer does not fit into memory; the news that it doesn't will.
            Err(error) if error.is_instance_of::<PyOSError>(py) => {
                self.reply_as_told(&self.failed.call1((error, function, args))?)
            }
            sent => sent,
        }
    }

    fn reply_as_told(&self, answer: &Bound<'py, PyAny>) -> PyResult<()> {
        let (tag, bytes) = answer.extract::<(u32, Bound<'_, PyBytes>)>()?;
        self.reply(tag, bytes.as_bytes())
    }

    fn reply(&self, tag: u32, bytes: &[u8]) -> PyResult<()> {
        self.port.lock()?.reply(tag, bytes).map_err(|error| engine_error(&error))
    }
}
