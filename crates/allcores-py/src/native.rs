//! The compiled rung: Python values to words and back, machine code by the types of its arguments.
//!
//! An item whose values have no words, whose types are refused, or which machine code leaves, comes
//! back as the `left` object that the caller gave, and the caller has Python run it. Counts of that
//! are kept for reports. Machine code runs detached; where it looks up, it attaches to ask for a
//! Ctrl-C.

use std::cell::Cell;
use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allcores_native::batch::Options;
use allcores_native::error::Error;
use allcores_native::guard::Guard;
use allcores_native::items::Items;
use allcores_native::types::Type;
use allcores_native::{Look, Machine, Place, ir};
use pyo3::exceptions::{PyInterruptedError, PyKeyboardInterrupt, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyNone, PyTuple};

use crate::arguments::Reader;

/// Has machine code of this process look up now and then, and has the threads that share in batches.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Watch(allcores_native::Watch);

#[pymethods]
impl Watch {
    #[new]
    fn new() -> Self {
        Self(allcores_native::Watch::new())
    }
}

/// Stops calls of machine code that were given it, from any thread.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Brake(allcores_native::Brake);

#[pymethods]
impl Brake {
    #[new]
    fn new() -> Self {
        Self(allcores_native::Brake::default())
    }

    /// Stops what runs, and what begins.
    fn pull(&self) {
        self.0.pull();
    }
}

/// A function as the front has written it, with its machine code for each kind of arguments.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Program {
    program: ir::Program,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    machines: HashMap<Vec<Type>, Result<Arc<Machine>, Error>>,
    guards: HashMap<&'static str, u64>,
    items: u64,
}

#[pymethods]
impl Program {
    #[new]
    fn new(code: &[u8]) -> PyResult<Self> {
        let program =
            ir::Program::decode(code).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self { program, state: Mutex::default() })
    }

    /// The result for one item, or `left`. It is stopped when the brake is pulled, or when it has
    /// been looked at so many `periods`.
    #[pyo3(signature = (arguments, watch, depth, left, brake=None, periods=None))]
    fn call<'py>(
        &self,
        arguments: &Bound<'py, PyTuple>,
        watch: &Watch,
        depth: i64,
        left: Bound<'py, PyAny>,
        brake: Option<&Brake>,
        periods: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = arguments.py();
        let Some(item) = Reader::default().item(arguments) else {
            self.count(1, [Guard::Type]);
            return Ok(left);
        };
        let Some(machine) = self.machine(item.kinds()) else { return Ok(left) };
        let mut output = vec![0; machine.result().width()];
        let (look, seen) = look((py, watch), brake, periods)?;
        let mut list = Vec::new();
        let item = (&item, Place { words: &mut output, list: &mut list });
        let guard = py.detach(|| machine.one(&watch.0, depth, item, look));
        if guard == Some(Guard::Stopped) {
            return Err(interrupted(&seen));
        }
        self.count(1, guard);
        match guard {
            None => value(py, machine.result(), &mut output.into_iter(), &list),
            Some(_) => Ok(left),
        }
    }

    /// The results of many items, each a tuple of arguments, `left` where there is none.
    #[pyo3(signature = (items, watch, depth, threads, left, brake=None))]
    fn batch<'py>(
        &self,
        items: &Bound<'py, PyList>,
        watch: &Watch,
        depth: i64,
        threads: NonZero<usize>,
        left: Bound<'py, PyAny>,
        brake: Option<&Brake>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let py = items.py();
        let mut results = vec![left; items.len()];
        let mut groups: Vec<Group> = Vec::new();
        let mut reader = Reader::default();
        for (index, arguments) in items.iter().enumerate() {
            let Some(item) = reader.item(arguments.cast::<PyTuple>()?) else {
                self.count(1, [Guard::Type]);
                continue;
            };
            let mut item = Some(item);
            for group in &mut groups {
                item = item.and_then(|item| group.items.add(item).err());
                if item.is_none() {
                    group.places.push(index);
                    break;
                }
            }
            if let Some(item) = item {
                groups.push(Group { items: Items::of(item), places: vec![index] });
            }
        }
        let options = Options { threads, depth };
        for group in groups {
            let Some(machine) = self.machine(group.items.kinds()) else { continue };
            let (look, seen) = look((py, watch), brake, None)?;
            let count = group.places.len();
            let outcome = py.detach(|| machine.batch(&watch.0, &options, group.items, look));
            if outcome.guards.contains(&Some(Guard::Stopped)) {
                return Err(interrupted(&seen));
            }
            self.count(count as u64, outcome.guards.iter().copied().flatten());
            let mut words = outcome.words.into_iter();
            let mut lists = outcome.lists.into_iter();
            for (&place, guard) in group.places.iter().zip(&outcome.guards) {
                let list = lists.next().unwrap_or_default();
                let result = value(py, machine.result(), &mut words, &list)?;
                if guard.is_none() {
                    results[place] = result;
                }
            }
        }
        Ok(results)
    }

    /// What the results for such arguments are: the name of their type, or why there is no machine
    /// code, with line and column; None for arguments that have no words.
    fn compile<'py>(
        &self,
        arguments: &Bound<'py, PyTuple>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let py = arguments.py();
        let Some(item) = Reader::default().item(arguments) else { return Ok(None) };
        self.machine(item.kinds());
        self.state().machines.get(item.kinds()).map(|made| described(py, made)).transpose()
    }

    /// What was compiled: the types of the arguments, and as `compile` has it.
    fn machines<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Bound<'py, PyTuple>)>> {
        let state = self.state();
        state
            .machines
            .iter()
            .map(|(kinds, made)| {
                Ok((Type::Tuple(kinds.clone().into()).to_string(), described(py, made)?))
            })
            .collect()
    }

    /// How many items were run, and how many were left to Python, by reason.
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<(u64, Bound<'py, PyDict>)> {
        let state = self.state();
        let guards = PyDict::new(py);
        for (name, count) in &state.guards {
            guards.set_item(name, count)?;
        }
        Ok((state.items, guards))
    }
}

/// Items of the same types, and where their results belong.
struct Group {
    items: Items,
    places: Vec<usize>,
}

impl Program {
    /// Only taken while attached, and for no longer than compiling takes.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn machine(&self, kinds: &[Type]) -> Option<Arc<Machine>> {
        let mut state = self.state();
        if let Some(made) = state.machines.get(kinds) {
            return made.as_ref().ok().cloned();
        }
        let made = Machine::new(&self.program, kinds).map(Arc::new);
        let machine = made.as_ref().ok().cloned();
        state.machines.insert(kinds.to_vec(), made);
        machine
    }

    fn count(&self, items: u64, guards: impl IntoIterator<Item = Guard>) {
        let mut state = self.state();
        state.items += items;
        for guard in guards {
            *state.guards.entry(guard.name()).or_default() += 1;
        }
    }
}

type Seen = Arc<Mutex<Option<PyErr>>>;

/// Asks Python for a Ctrl-C, and where the exception is if there was one; the brake, if there is one;
/// and whether this is the last of the periods.
///
/// Only the main thread hears of a Ctrl-C. Others ask nothing of Python: at the program's end one
/// that does is unwound by Python, which ends the program with an abort.
fn look(
    (py, watch): (Python<'_>, &Watch),
    brake: Option<&Brake>,
    periods: Option<u64>,
) -> PyResult<(Box<Look>, Seen)> {
    let seen = Seen::default();
    let theirs = Arc::clone(&seen);
    let brake = brake.map(|brake| brake.0.clone());
    let looks = Mutex::new(0);
    let hears_signals = is_main_thread(py, watch)?;
    let look = move || {
        if brake.as_ref().is_some_and(allcores_native::Brake::is_pulled) {
            *theirs.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(PyInterruptedError::new_err("the call was stopped"));
            return true;
        }
        let mut looked = looks.lock().unwrap_or_else(PoisonError::into_inner);
        *looked += 1;
        if periods.is_some_and(|periods| *looked >= periods) {
            *theirs.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(PyTimeoutError::new_err("the call has had its time"));
            return true;
        }
        drop(looked);
        if !hears_signals {
            return false;
        }
        Python::attach(|py| match py.check_signals() {
            Ok(()) => false,
            Err(error) => {
                *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                true
            }
        })
    };
    Ok((Box::new(look), seen))
}

/// Is this the thread that Python calls the main one? It is asked once a thread and watch: a forked
/// child has a watch of its own, and may have another main thread.
fn is_main_thread(py: Python<'_>, watch: &Watch) -> PyResult<bool> {
    thread_local! { static KNOWN: Cell<Option<(usize, bool)>> = const { Cell::new(None) } }
    let place = std::ptr::from_ref(watch).addr();
    if let Some((_, answer)) = KNOWN.get().filter(|(known, _)| *known == place) {
        return Ok(answer);
    }
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    let answer = threading.call_method0("get_ident")?.eq(main)?;
    KNOWN.set(Some((place, answer)));
    Ok(answer)
}

fn interrupted(seen: &Seen) -> PyErr {
    let error = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    error.unwrap_or_else(|| PyKeyboardInterrupt::new_err(()))
}

fn described<'py>(
    py: Python<'py>,
    made: &Result<Arc<Machine>, Error>,
) -> PyResult<Bound<'py, PyTuple>> {
    match made {
        Ok(machine) => (machine.result().to_string(), None::<&str>, 0, 0).into_pyobject(py),
        Err(Error::Refused(refusal)) => {
            let (reason, at) = (refusal.reason, refusal.at);
            (reason.words(), Some(reason.name()), at.line, at.column).into_pyobject(py)
        }
        Err(error) => (error.to_string(), Some("no-generator"), 0, 0).into_pyobject(py),
    }
}

fn value<'py>(
    py: Python<'py>,
    kind: &Type,
    words: &mut impl Iterator<Item = u64>,
    list: &[u64],
) -> PyResult<Bound<'py, PyAny>> {
    let mut word = || words.next().unwrap_or_default();
    Ok(match kind {
        // No buffer is ever a result (`Reason::Escapes`).
        Type::Buffer(_) | Type::Foreign(_) | Type::None => PyNone::get(py).to_owned().into_any(),
        Type::List(scalar) | Type::Row(scalar) => {
            for _ in 0..kind.width() {
                word();
            }
            let items =
                list.iter().map(|word| value(py, &scalar.kind(), &mut std::iter::once(*word), &[]));
            PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Type::Bool => PyBool::new(py, word() != 0).to_owned().into_any(),
        Type::Int => word().cast_signed().into_pyobject(py)?.into_any(),
        Type::Number => {
            let number = f64::from_bits(word());
            if word() == 0 {
                PyFloat::new(py, number).into_any()
            } else {
                // It has no more than 53 bits.
                (number as i64).into_pyobject(py)?.into_any()
            }
        }
        Type::Float => PyFloat::new(py, f64::from_bits(word())).into_any(),
        Type::Tuple(kinds) => {
            let items = kinds
                .iter()
                .map(|kind| value(py, kind, words, list))
                .collect::<PyResult<Vec<_>>>()?;
            PyTuple::new(py, items)?.into_any()
        }
    })
}
