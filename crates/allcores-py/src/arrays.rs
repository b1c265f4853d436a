//! Lone arrays of numpy to bytes and back, without the pickler.
//!
//! For an array of some kilobytes, numpy's part in pickling costs more than all the rest of a call. So one
//! that is the only argument of a call, or its value, is written here if it is nothing but numbers in a row:
//! of exactly the type `ndarray`, of a native type of numbers, in C order, to be written to. The letter
//! is a pickle like any other (a call of `array_of` in `allcores.pool.arrays`), so whoever reads it needs
//! not know; who knows how it begins reads it here, with one copy into a new array. Whatever else an
//! array may be, and letters that are not exactly as they are written here, are left to Python.
//!
//! Nothing here imports numpy: where nobody has, there are no arrays to write, and the first one to read is
//! Python's.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::plain::{Bytes, op};
use crate::view::{Lent, fill};

/// Arrays of so many bytes are written here. Larger ones have buffers beside their letter.
const LENGTHS: std::ops::Range<usize> = 1..60 << 10;

/// How the letter of a lone array begins.
pub(crate) const START: &[u8] = b"\x80\x05callcores.pool.arrays\narray_of\n";

/// How it ends: that of a value, and that of the arguments of a call.
const VALUE_ENDS: &[u8] = &[op::TUPLE3, op::REDUCE, op::STOP];
const CALL_ENDS: &[u8] =
    &[op::TUPLE3, op::REDUCE, op::TUPLE1, op::EMPTY_DICT, op::TUPLE2, op::STOP];

/// The longest letter that is read here.
pub(crate) const MOST: usize = LENGTHS.end + 1024;

/// numpy's names for the types of numbers.
const NUMBERS: [&str; 14] =
    ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"];

/// What is needed of numpy, once somebody has imported it.
struct Numpy {
    array: Py<PyType>,
    empty: Py<PyAny>,
    kinds: Vec<Kind>,
    /// Reducers that the user may have registered; one for arrays has its way.
    reducers: [Py<PyDict>; 2],
}

/// A type of numbers.
struct Kind {
    dtype: Py<PyAny>,
    /// Its `str`, by which it travels.
    name: String,
    number: i32,
    size: usize,
}

static NUMPY: PyOnceLock<Numpy> = PyOnceLock::new();
static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

fn numpy(py: Python<'_>) -> Option<&'static Numpy> {
    if let Some(numpy) = NUMPY.get(py) {
        return Some(numpy);
    }
    let modules = MODULES.get_or_try_init(py, || dict_of(py, "sys", "modules")).ok()?;
    let module = modules.bind(py).get_item(intern!(py, "numpy")).ok()??;
    // One that is being imported may not be complete yet.
    let numpy = Numpy::of(&module).ok()?;
    Some(NUMPY.get_or_init(py, || numpy))
}

fn dict_of(py: Python<'_>, module: &str, name: &str) -> PyResult<Py<PyDict>> {
    Ok(py.import(module)?.getattr(name)?.cast_into::<PyDict>()?.unbind())
}

impl Numpy {
    fn of(module: &Bound<'_, PyAny>) -> PyResult<Numpy> {
        let py = module.py();
        let kind = |name: &&str| -> PyResult<Kind> {
            let dtype = module.call_method1("dtype", (*name,))?;
            Ok(Kind {
                name: dtype.getattr("str")?.extract()?,
                number: dtype.getattr("num")?.extract()?,
                size: dtype.getattr("itemsize")?.extract()?,
                dtype: dtype.unbind(),
            })
        };
        let forking = py.import("multiprocessing.reduction")?.getattr("ForkingPickler")?;
        let forking = forking.getattr("_extra_reducers")?.cast_into::<PyDict>()?.unbind();
        Ok(Numpy {
            array: module.getattr("ndarray")?.cast_into::<PyType>()?.unbind(),
            empty: module.getattr("empty")?.unbind(),
            kinds: NUMBERS.iter().map(kind).collect::<PyResult<_>>()?,
            reducers: [dict_of(py, "copyreg", "dispatch_table")?, forking],
        })
    }

    /// The type of an array's numbers, if it is one of these and nothing more.
    fn kind_of(&self, array: &Bound<'_, PyAny>) -> Option<&Kind> {
        let py = array.py();
        let dtype = array.getattr(intern!(py, "dtype")).ok()?;
        let same = |kind: &&Kind| dtype.is(&kind.dtype);
        self.kinds.iter().find(same).or_else(|| self.kind_like(&dtype))
    }

    /// The same for a type that is an object of its own, as one that was unpickled is.
    fn kind_like(&self, dtype: &Bound<'_, PyAny>) -> Option<&Kind> {
        let py = dtype.py();
        let number: i32 = dtype.getattr(intern!(py, "num")).ok()?.extract().ok()?;
        let kind = self.kinds.iter().find(|kind| kind.number == number)?;
        let native: bool = dtype.getattr(intern!(py, "isnative")).ok()?.extract().ok()?;
        let bare = dtype.getattr(intern!(py, "metadata")).ok()?.is_none();
        (native && bare).then_some(kind)
    }

    fn has_reducer(&self, py: Python<'_>) -> bool {
        self.reducers.iter().any(|table| table.bind(py).contains(&self.array).unwrap_or(true))
    }
}

/// The letter of a value that is such an array.
pub(crate) fn value_written(value: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
    written(value, VALUE_ENDS)
}

/// The letter of a call of which it is the only argument.
pub(crate) fn call_written(argument: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
    written(argument, CALL_ENDS)
}

fn written(value: &Bound<'_, PyAny>, end: &[u8]) -> Option<Vec<u8>> {
    let py = value.py();
    let numpy = numpy(py)?;
    if !value.get_type().is(&numpy.array) || numpy.has_reducer(py) {
        return None;
    }
    let kind = numpy.kind_of(value)?;
    let lent = Lent::numbers(value)?;
    let bytes = lent.bytes(py);
    if !LENGTHS.contains(&bytes.len()) {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() + 256);
    out.extend(START);
    out.extend([op::SHORT_BINUNICODE, u8::try_from(kind.name.len()).ok()?]);
    out.extend(kind.name.as_bytes());
    out.push(op::MARK);
    for extent in lent.shape() {
        out.push(op::BININT2);
        // Not more than the array has bytes: none is 0.
        out.extend(u16::try_from(*extent).ok()?.to_le_bytes());
    }
    out.extend([op::TUPLE, op::BINBYTES]);
    out.extend(u32::try_from(bytes.len()).ok()?.to_le_bytes());
    out.extend(bytes);
    out.extend(end);
    Some(out)
}

/// The array of a letter that `value_written` gave; `None` for any other bytes, good or bad.
pub(crate) fn value_read<'py>(py: Python<'py>, letter: &[u8]) -> Option<Bound<'py, PyAny>> {
    read(py, letter, VALUE_ENDS)
}

/// The same for `call_written`.
pub(crate) fn call_read<'py>(py: Python<'py>, letter: &[u8]) -> Option<Bound<'py, PyAny>> {
    read(py, letter, CALL_ENDS)
}

fn read<'py>(py: Python<'py>, letter: &[u8], end: &[u8]) -> Option<Bound<'py, PyAny>> {
    let mut rest = Bytes(letter.strip_prefix(START)?);
    let numpy = numpy(py)?;
    let name = rest.short_text()?;
    let kind = numpy.kinds.iter().find(|kind| kind.name == name)?;
    let shape = rest.shape()?;
    if rest.one()? != op::BINBYTES {
        return None;
    }
    let len = rest.length()?;
    let bytes = rest.some(len)?;
    let size =
        shape.iter().try_fold(kind.size, |size, extent| size.checked_mul((*extent).into()))?;
    if size != bytes.len() || rest.0 != end {
        return None;
    }
    let array = numpy.empty.bind(py).call1((PyTuple::new(py, shape).ok()?, &kind.dtype)).ok()?;
    fill(&array, bytes).ok()?;
    Some(array)
}

impl<'a> Bytes<'a> {
    fn short_text(&mut self) -> Option<&'a str> {
        if self.one()? != op::SHORT_BINUNICODE {
            return None;
        }
        let len = self.one()?.into();
        self.text(len)
    }

    fn shape(&mut self) -> Option<Vec<u16>> {
        if self.one()? != op::MARK {
            return None;
        }
        let mut shape = Vec::with_capacity(4);
        loop {
            match self.one()? {
                op::BININT2 => shape.push(u16::from_le_bytes(self.array()?)),
                op::TUPLE => return Some(shape),
                _ => return None,
            }
        }
    }
}
