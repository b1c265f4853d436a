//! The worker's quick way through plain work: calls of registered functions with plain arguments, one
//! by one or as the chunk of a map whose items are scalars.
//!
//! What `plain` can read is run here, and answered here if the results are plain too. All else goes
//! back to Python, which knows what to do: batches of other kinds as `next` tells them, exceptions
//! and results of other kinds through callbacks. Of a chunk Python takes over what is left.

use allcores_engine::Work;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::arrays;
use crate::errors::engine_error;
use crate::plain;
use crate::port::Port;
use crate::scalars::Scalars;

/// After so many calls in a row the worker's other threads get a chance, whatever the calls are.
const CALLS_IN_A_ROW: u32 = 64;

/// After so many items of a chunk it is looked whether a signal has come.
const ITEMS_BETWEEN_LOOKS: usize = 256;

/// What batches and answers are called.
pub(crate) struct Tags {
    /// A batch that is one call.
    call: u32,
    /// A batch that is a chunk, each item of which is an argument.
    map: u32,
    /// The value of a call.
    result: u32,
    /// The values of a chunk: a pickled list of scalars.
    scalars: u32,
}

impl From<(u32, u32, u32, u32)> for Tags {
    fn from((call, map, result, scalars): (u32, u32, u32, u32)) -> Tags {
        Tags { call, map, result, scalars }
    }
}

/// What it takes to answer plain work.
pub(crate) struct Server<'a, 'py> {
    pub(crate) port: &'a Port,
    /// The registered functions that need nothing but to be called, by number.
    pub(crate) functions: &'a Bound<'py, PyDict>,
    pub(crate) tags: Tags,
    /// `failed(error, function, args)` is the answer for a call that raised.
    pub(crate) failed: &'a Bound<'py, PyAny>,
    /// `dumped(value, function, args)` is the answer for a value that is not plain.
    pub(crate) dumped: &'a Bound<'py, PyAny>,
    /// `continued(function, payload, values, value, error)` is the answer for a chunk of which there
    /// are `values`; the next item gave `value`, unless there is an `error`.
    pub(crate) continued: &'a Bound<'py, PyAny>,
}

/// Whether a letter that begins so is worth a look, however long it is.
fn is_lone(first: &[u8]) -> bool {
    first.starts_with(&plain::LONE) || first == arrays::START
}

type Items = Scalars<Vec<u8>>;

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
            if let Some(call) = self.read(py, &work)? {
                drop(work);
                self.answer(py, call)?;
            } else if let Some((function, items)) = self.read_chunk(&work)? {
                drop(work);
                self.answer_chunk(py, &function, items)?;
            } else {
                return Ok(Some(work));
            }
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
        let (Some(number), true) = (task.function, task.tag == self.tags.call) else {
            return Ok(None);
        };
        let (mut few, mut many);
        let room = if body.len() <= plain::MOST_READ {
            few = [0; plain::MOST_READ];
            &mut few[..body.len()]
        } else if body.parcels().is_empty() && is_lone(&body.first(arrays::START.len())) {
            many = vec![0; body.len()];
            &mut many[..]
        } else {
            return Ok(None);
        };
        let Some(function) = self.functions.get_item(number.0)? else { return Ok(None) };
        body.copy_out(room);
        if room.starts_with(arrays::START) {
            let Some(array) = arrays::call_read(py, room) else { return Ok(None) };
            return Ok(Some(Call { function, args: PyTuple::new(py, [array])?, kwargs: None }));
        }
        Ok(plain::unpickled_with(py, room, Some(self.functions)).and_then(|call| {
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
            Ok(bytes) => self.reply(self.tags.result, bytes),
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

    fn read_chunk(&self, work: &Work) -> PyResult<Option<(Bound<'py, PyAny>, Items)>> {
        let Work::Task { task, body } = work else { return Ok(None) };
        let (Some(number), true, false) = (task.function, task.tag == self.tags.map, task.careful)
        else {
            return Ok(None);
        };
        let Some(function) = self.functions.get_item(number.0)? else { return Ok(None) };
        let payload = body.first(body.len());
        Ok(Scalars::of_second(payload).map(|items| (function, items)))
    }

    fn answer_chunk(
        &self,
        py: Python<'py>,
        function: &Bound<'py, PyAny>,
        mut items: Items,
    ) -> PyResult<()> {
        let mut out = plain::list_begun();
        let mut stopped = None;
        while let Some(item) = items.next(py) {
            let looks = items.left().is_multiple_of(ITEMS_BETWEEN_LOOKS);
            let given = if looks { py.check_signals() } else { Ok(()) };
            match given.and_then(|()| function.call1((item,))) {
                Ok(value) if plain::append_scalar(&value, &mut out).is_some() => {}
                other => {
                    stopped = Some(other);
                    break;
                }
            }
        }
        plain::list_ended(&mut out);
        let sent = match &stopped {
            None => self.reply(self.tags.scalars, &out),
            Some(outcome) => {
                let values = plain::unpickled(py, &out);
                let (value, error) = match outcome {
                    Ok(value) => (Some(value), None),
                    Err(error) => (None, Some(error.clone_ref(py))),
                };
                let payload = PyBytes::new(py, items.bytes());
                let told = (function, payload, values, value, error);
                self.reply_as_told(&self.continued.call1(told)?)
            }
        };
        match sent {
            Err(error) if error.is_instance_of::<PyOSError>(py) => {
                self.reply_as_told(&self.failed.call1((error, function, ()))?)
            }
            sent => sent,
        }
    }

    fn reply_as_told(&self, answer: &Bound<'py, PyAny>) -> PyResult<()> {
        let (tag, payload) = answer.extract::<(u32, Bound<'_, PyAny>)>()?;
        self.port.reply(tag, &payload)
    }

    fn reply(&self, tag: u32, bytes: &[u8]) -> PyResult<()> {
        self.port.lock()?.reply(tag, bytes).map_err(|error| engine_error(&error))
    }
}
