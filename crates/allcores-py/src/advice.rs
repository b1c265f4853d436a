//! The adviser, seen from Python: dictionaries of numbers in, a verdict out.

use allcores_advice::{
    Exclusion, Machine, Measurement, Refusal, Rung, Sample, Verdict as PureVerdict, Warning,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// What was measured, as `ladder.probe` says it. Times in nanoseconds, an item's unless it says more.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Measured {
    wall_ns: Vec<f64>,
    done: u64,
    left: Option<u64>,
    busy_cores: f64,
    free_share: f64,
    argument_bytes: f64,
    result_bytes: f64,
    function_bytes: f64,
    function_pickle_ns: f64,
    pickle_ns: f64,
    unpickle_ns: f64,
    result_pickle_ns: f64,
    result_unpickle_ns: f64,
    beside: f64,
    native_ns: Option<f64>,
    native_left: f64,
}

impl Measured {
    fn into_measurement(self) -> Measurement {
        Measurement {
            wall_ns: Sample::of(&self.wall_ns),
            busy_cores: self.busy_cores,
            free_share: self.free_share,
            argument_bytes: self.argument_bytes,
            result_bytes: self.result_bytes,
            function_bytes: self.function_bytes,
            function_pickle_ns: self.function_pickle_ns,
            pickle_ns: self.pickle_ns,
            unpickle_ns: self.unpickle_ns,
            result_pickle_ns: self.result_pickle_ns,
            result_unpickle_ns: self.result_unpickle_ns,
            left: self.left,
            done: self.done,
            beside: self.beside,
            native_ns: self.native_ns,
            native_left: self.native_left,
        }
    }
}

/// The machine's constants, as `ladder.machine` says them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Constants {
    cores: usize,
    max_workers: Option<usize>,
    is_free_threaded: bool,
    handover_ns: f64,
    item_ns: f64,
    round_trip_ns: f64,
    bytes_in_per_s: f64,
    bytes_out_per_s: f64,
    threads_start_ns: f64,
    interpreters_start_ns: f64,
    interpreter_ns: f64,
    processes_start_ns: f64,
    process_ns: f64,
    native_item_ns: f64,
}

impl Constants {
    fn into_machine(self) -> Machine {
        Machine {
            cores: self.cores,
            max_workers: self.max_workers,
            is_free_threaded: self.is_free_threaded,
            handover_ns: self.handover_ns,
            item_ns: self.item_ns,
            round_trip_ns: self.round_trip_ns,
            bytes_in_per_s: self.bytes_in_per_s,
            bytes_out_per_s: self.bytes_out_per_s,
            threads_start_ns: self.threads_start_ns,
            interpreters_start_ns: self.interpreters_start_ns,
            interpreter_ns: self.interpreter_ns,
            processes_start_ns: self.processes_start_ns,
            process_ns: self.process_ns,
            native_item_ns: self.native_item_ns,
            ..Machine::default()
        }
    }
}

/// Which rung the adviser chose, and why.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Verdict {
    inner: PureVerdict,
}

/// By rung: the seconds of each term of its prediction, and their `total`.
type Seconds = Vec<(&'static str, Vec<(&'static str, f64)>)>;

#[pymethods]
impl Verdict {
    /// The chosen rung.
    #[getter]
    fn rung(&self) -> &'static str {
        self.inner.rung.name()
    }

    /// Predicted seconds for what is left, as pairs of a rung and its terms, the fastest first.
    /// Each term is a pair of its name and its seconds; the last one is `total`.
    #[getter]
    fn predictions(&self) -> Seconds {
        let seconds = |ns: f64| ns / 1e9;
        self.inner
            .predictions
            .iter()
            .map(|each| {
                let mut terms = each.terms.named().map(|(name, ns)| (name, seconds(ns))).to_vec();
                terms.push(("total", seconds(each.total_ns())));
                (each.rung.name(), terms)
            })
            .collect()
    }

    /// Seconds of computing per second of moving data: of the item in the middle, and what a tenth
    /// of the items are below and above.
    #[getter]
    fn leverage(&self) -> (f64, f64, f64) {
        let leverage = self.inner.leverage;
        (leverage.value, leverage.low, leverage.high)
    }

    /// The choice in one line.
    #[getter]
    fn reason(&self) -> String {
        self.inner.reason()
    }

    /// The choice, and why not the others, a line each.
    #[getter]
    fn reasons(&self) -> Vec<String> {
        self.inner.reasons()
    }

    /// Rungs that were ruled out, each with the name of its reason.
    #[getter]
    fn refusals(&self) -> Vec<(&'static str, &'static str)> {
        self.inner.refusals.iter().map(|each| (each.rung.name(), each.refusal.name())).collect()
    }

    /// What else the user should know, a clause each.
    #[getter]
    fn warnings(&self) -> Vec<&'static str> {
        self.inner.warnings.iter().map(|each: &Warning| each.words()).collect()
    }

    fn __repr__(&self) -> String {
        format!("<Verdict: {}>", self.inner.reason())
    }
}

/// The fastest rung for what is left of a function's items.
///
/// `measured` and `machine` are dictionaries of numbers; `excluded` has pairs of a rung and the name
/// of a refusal. Raises `ValueError` for a name that is not known.
#[pyfunction]
pub(crate) fn advise(
    measured: Measured,
    machine: Constants,
    excluded: Vec<(String, String)>,
) -> PyResult<Verdict> {
    let unknown = |what: &str, name: &str| PyValueError::new_err(format!("no {what} `{name}`"));
    let mut exclusions = Vec::with_capacity(excluded.len());
    for (rung, refusal) in &excluded {
        exclusions.push(Exclusion {
            rung: Rung::named(rung).ok_or_else(|| unknown("rung", rung))?,
            refusal: Refusal::named(refusal).ok_or_else(|| unknown("refusal", refusal))?,
        });
    }
    let (measurement, machine) = (measured.into_measurement(), machine.into_machine());
    Ok(Verdict { inner: allcores_advice::advise(&measurement, &machine, &exclusions) })
}
