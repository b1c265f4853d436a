//! The command line's host: what `allcores-cli` asks of Python, translated.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use allcores_cli::{
    Fact, Failure, Host, HostError, Items, Job, Outcome, Records, Request, Results, Selector,
    State, Step,
};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyTuple};

/// Does what the arguments (without the program's name) say, with `host` for what needs Python; the
/// exit code.
#[pyfunction]
pub(crate) fn command(arguments: Vec<OsString>, host: Py<PyAny>) -> u8 {
    allcores_cli::run(arguments, &PythonHost { host })
}

/// The items of a run on their way to the pool: bytes of a record, or a row. In an unordered run
/// each is in a pair with its position.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Feed {
    source: Mutex<Source>,
    is_ordered: bool,
}

enum Source {
    Records(Box<dyn Records>),
    Rows(Py<PyIterator>, Selector),
}

#[pymethods]
impl Feed {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *source {
            Source::Records(records) => loop {
                match records.next() {
                    Ok(None) => return Ok(None),
                    Ok(Some((_, bytes))) if self.is_ordered => {
                        return Ok(Some(PyBytes::new(py, bytes).into_any()));
                    }
                    Ok(Some((position, bytes))) => {
                        let record = PyBytes::new(py, bytes);
                        return Ok(Some((position, record).into_pyobject(py)?.into_any()));
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => py.check_signals()?,
                    Err(error) => return Err(PyOSError::new_err(error.to_string())),
                }
            },
            Source::Rows(rows, selector) => loop {
                if selector.is_done() {
                    return Ok(None);
                }
                let Some(row) = rows.bind(py).clone().next().transpose()? else { return Ok(None) };
                match selector.judge(0, 0) {
                    Step::Take(_) if self.is_ordered => return Ok(Some(row)),
                    Step::Take(position) => {
                        return Ok(Some((position, row).into_pyobject(py)?.into_any()));
                    }
                    Step::Skip => {}
                    Step::Stop => return Ok(None),
                }
            },
        }
    }
}

struct PythonHost {
    host: Py<PyAny>,
}

impl PythonHost {
    fn error(&self, py: Python<'_>, error: &PyErr) -> HostError {
        if error.is_instance_of::<PyKeyboardInterrupt>(py) {
            return HostError::Interrupted;
        }
        let host = self.host.bind(py);
        let refused =
            host.getattr("refused").is_ok_and(|class| error.matches(py, class).is_ok_and(|is| is));
        if refused {
            return HostError::Refused(words(error.value(py)));
        }
        let told = host.call_method1("words", (error.value(py),)).map(|told| words(&told));
        HostError::Broken(told.unwrap_or_else(|_| error.to_string()))
    }

    fn ask<T>(
        &self,
        asked: impl FnOnce(Python<'_>, &Bound<'_, PyAny>) -> PyResult<T>,
    ) -> Result<T, HostError> {
        Python::attach(|py| asked(py, self.host.bind(py)).map_err(|error| self.error(py, &error)))
    }
}

/// The text of an object; what is no Unicode in it is replaced.
fn words(value: &Bound<'_, PyAny>) -> String {
    value.str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Host for PythonHost {
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn fingerprint(&self, target: &str) -> Result<String, HostError> {
        self.ask(|_, host| host.call_method1("fingerprint", (target,))?.extract())
    }

    fn open<'h>(&'h self, job: &Job, items: Items) -> Result<Box<dyn Results + 'h>, HostError> {
        self.ask(|py, host| {
            let source = match items {
                Items::Records(records) => Source::Records(records),
                Items::Table(path, selector) => {
                    let rows = host.call_method1("table", (path,))?.try_iter()?;
                    Source::Rows(rows.unbind(), selector)
                }
            };
            let feed = Feed { source: Mutex::new(source), is_ordered: job.ordered };
            let told = PyDict::new(py);
            told.set_item("target", &job.target)?;
            told.set_item("name", &job.name)?;
            told.set_item("source", job.input.name())?;
            told.set_item("drain", job.output.name())?;
            told.set_item("calling", job.calling.name())?;
            told.set_item("header", job.header.as_ref().map(|bytes| PyBytes::new(py, bytes)))?;
            told.set_item("backend", &job.backend)?;
            told.set_item("workers", job.workers)?;
            told.set_item("timeout", job.timeout)?;
            told.set_item("retries", job.retries)?;
            told.set_item("ordered", job.ordered)?;
            told.set_item("trace", &job.trace)?;
            let results = host.call_method("open", (feed,), Some(&told))?.try_iter()?.unbind();
            let made: Box<dyn Results + 'h> =
                Box::new(PythonResults { host: self, results, is_ordered: job.ordered });
            Ok(made)
        })
    }

    fn rows(&self, table: &Path) -> Result<u64, HostError> {
        self.ask(|_, host| host.call_method1("rows", (table,))?.extract())
    }

    fn write_table(&self, spool: &Path, table: &Path, indexed: bool) -> Result<(), HostError> {
        self.ask(|_, host| host.call_method1("write_table", (spool, table, indexed)).map(drop))
    }

    fn aside(&self, work: &mut (dyn FnMut() + Send)) {
        Python::attach(|py| py.detach(work));
    }

    fn facts(&self) -> Result<Vec<Fact>, HostError> {
        let facts: Vec<(String, String, String, String)> =
            self.ask(|_, host| host.call_method0("facts")?.extract())?;
        let fact = |(name, value, state, hint): (String, String, String, String)| Fact {
            name,
            value,
            state: match state.as_str() {
                "good" => State::Good,
                "note" => State::Note,
                _ => State::Bad,
            },
            hint,
        };
        Ok(facts.into_iter().map(fact).collect())
    }

    fn compare(&self, request: &Request) -> Result<String, HostError> {
        self.ask(|py, host| {
            Ok(words(&host.call_method("compare", (), Some(&told(py, request)?))?))
        })
    }

    fn explain(&self, request: &Request) -> Result<String, HostError> {
        self.ask(|py, host| {
            Ok(words(&host.call_method("explain", (), Some(&told(py, request)?))?))
        })
    }
}

fn told<'py>(py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("target", &request.target)?;
    told.set_item("path", &request.input)?;
    told.set_item("source", request.format.name())?;
    told.set_item("calling", request.calling.name())?;
    told.set_item("sample", request.sample)?;
    told.set_item("backends", &request.backends)?;
    told.set_item("html", &request.html)?;
    told.set_item("json", &request.json)?;
    Ok(told)
}

struct PythonResults<'h> {
    host: &'h PythonHost,
    results: Py<PyIterator>,
    is_ordered: bool,
}

impl Results for PythonResults<'_> {
    fn next(&mut self, take: &mut dyn FnMut(Outcome<'_>)) -> Result<bool, HostError> {
        Python::attach(|py| match self.results.bind(py).clone().next() {
            None => Ok(false),
            Some(Ok(value)) => {
                self.hand_over(&value, take);
                Ok(true)
            }
            Some(Err(error)) => Err(self.host.error(py, &error)),
        })
    }

    fn abandon(&mut self) {
        // What can't be closed ends with the program.
        let _ = self.host.ask(|py, _| self.results.bind(py).call_method0("close").map(drop));
    }
}

impl PythonResults<'_> {
    /// Bytes are a result, a tuple is what the worker says of a failure, anything else is the
    /// exception of the pool's.
    fn hand_over(&self, value: &Bound<'_, PyAny>, take: &mut dyn FnMut(Outcome<'_>)) {
        if let Ok(bytes) = value.cast::<PyBytes>() {
            let bytes = bytes.as_bytes();
            match bytes.split_first_chunk() {
                Some((position, rest)) if !self.is_ordered => {
                    take(Outcome::Finished(Some(u64::from_le_bytes(*position)), rest));
                }
                _ => take(Outcome::Finished(None, bytes)),
            }
            return;
        }
        if let Ok(told) = value.cast::<PyTuple>() {
            let part = |at: usize| told.get_item(at).map(|each| words(&each)).unwrap_or_default();
            let position = told.get_item(4).and_then(|each| each.extract()).ok();
            let (kind, message, traceback, input) = (part(0), part(1), part(2), part(3));
            take(Outcome::Failed(position, Failure { kind, message, traceback, input }));
            return;
        }
        let host = self.host.host.bind(value.py());
        let told = host.call_method1("failure", (value, self.is_ordered));
        let found: PyResult<(String, String, String, String, Option<u64>)> =
            told.and_then(|told| told.extract());
        let (kind, message, traceback, input, index) = found.unwrap_or_else(|_| {
            let kind = value.get_type().name().map(|name| name.to_string()).unwrap_or_default();
            (kind, words(value), String::new(), String::new(), None)
        });
        let failure = Failure { kind, message, traceback, input };
        take(Outcome::Failed(if self.is_ordered { None } else { index }, failure));
    }
}
