//! Small plain values to the bytes of a pickle and back, without the pickler.
//!
//! A call with a number or two is worth less than the machinery of `pickle` around it. So what is
//! plain (`None`, bools, ints, floats, strings, bytes, and tuples of these, of exactly these types)
//! and small is written here, in pickle's own format: whoever reads it needs not know. What is not
//! is left to Python. Reading takes a few more: lists and dictionaries, which the C pickler writes
//! with the same few operations; whatever stands for more than a value is left to Python as well,
//! before anything was made of it that could be seen.
//!
//! Lone bytes of some kilobytes are written too, and read by how they begin. So are arrays (`arrays`).
//!
//! Written: protocol 5 without a frame and without memo. A mutable value is not written, since it
//! might be there twice and must then arrive as one; a tuple that is there twice arrives as two
//! equal ones.

use pyo3::prelude::*;

use crate::arrays;
use crate::known::Known;
use crate::parcels::Shipment;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// Nothing longer is written here: large values cost more than their handling anyway.
const MOST: usize = 512;

/// Bytes of such lengths are written here if they are all there is: nothing in them has to be looked at,
/// and nothing can be there twice.
const LONE_BYTES: std::ops::Range<usize> = 256..60 << 10;

/// How the pickle of lone bytes begins. The C pickler's begin with a frame.
pub(crate) const LONE: [u8; 3] = [op::PROTO, PROTOCOL, op::BINBYTES];

/// Nothing longer is read here, lone bytes apart: for long pickles the C unpickler is the quicker one.
pub(crate) const MOST_READ: usize = 1024;

/// Tuples may be nested so deep.
const DEEPEST: usize = 8;

/// The operations, by their names in the standard library's `pickletools`.
pub(crate) mod op {
    pub(crate) const MARK: u8 = b'(';
    pub(crate) const STOP: u8 = b'.';
    pub(crate) const NONE: u8 = b'N';
    pub(crate) const NEWTRUE: u8 = 0x88;
    pub(crate) const NEWFALSE: u8 = 0x89;
    pub(crate) const BININT1: u8 = b'K';
    pub(crate) const BININT2: u8 = b'M';
    pub(crate) const BININT: u8 = b'J';
    pub(crate) const LONG1: u8 = 0x8a;
    pub(crate) const BINFLOAT: u8 = b'G';
    pub(crate) const SHORT_BINUNICODE: u8 = 0x8c;
    pub(crate) const BINUNICODE: u8 = b'X';
    pub(crate) const SHORT_BINBYTES: u8 = b'C';
    pub(crate) const BINBYTES: u8 = b'B';
    pub(crate) const EMPTY_TUPLE: u8 = b')';
    pub(crate) const TUPLE1: u8 = 0x85;
    pub(crate) const TUPLE2: u8 = 0x86;
    pub(crate) const TUPLE3: u8 = 0x87;
    pub(crate) const TUPLE: u8 = b't';
    pub(crate) const EMPTY_LIST: u8 = b']';
    pub(crate) const APPEND: u8 = b'a';
    pub(crate) const APPENDS: u8 = b'e';
    pub(crate) const EMPTY_DICT: u8 = b'}';
    pub(crate) const SETITEM: u8 = b's';
    pub(crate) const SETITEMS: u8 = b'u';
    pub(crate) const MEMOIZE: u8 = 0x94;
    pub(crate) const FRAME: u8 = 0x95;
    pub(crate) const PROTO: u8 = 0x80;
    pub(crate) const GLOBAL: u8 = b'c';
    pub(crate) const REDUCE: u8 = b'R';
}

const PROTOCOL: u8 = 5;

/// The operation that stands for the function which finds an object by its number.
const FINDER: &[u8] = b"callcores.pool.given\nvalue_of\n";

/// The pickle of a value, if it is plain.
pub(crate) fn pickled(value: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
    if let Some(bytes) = lone(value) {
        return Some(lone_pickled(bytes, &[op::STOP]));
    }
    let mut out = begun();
    if append(value, &mut out).is_none() {
        return arrays::value_written(value);
    }
    out.push(op::STOP);
    Some(out)
}

fn lone<'a>(value: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    let bytes = value.cast_exact::<PyBytes>().ok()?.as_bytes();
    LONE_BYTES.contains(&bytes.len()).then_some(bytes)
}

fn lone_pickled(bytes: &[u8], rest: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).expect("lone bytes are few");
    let mut out = Vec::with_capacity(LONE.len() + 4 + bytes.len() + rest.len());
    out.extend(LONE);
    out.extend(len.to_le_bytes());
    out.extend(bytes);
    out.extend(rest);
    out
}

/// Writes a value, if it is plain, behind what is there; if it is not, what is there stays as it is.
pub(crate) fn append(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Option<()> {
    let before = out.len();
    let room = Room { end: before + MOST, depth: DEEPEST };
    let written = write(value, out, room, &mut Names::none());
    if written.is_none() {
        out.truncate(before);
    }
    written
}

/// The beginning of the pickle of a list.
pub(crate) fn list_begun() -> Vec<u8> {
    let mut out = begun();
    out.extend([op::EMPTY_LIST, op::MARK]);
    out
}

/// An item of it, if it is a scalar.
pub(crate) fn append_scalar(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Option<()> {
    write(value, out, Room { end: out.len() + MOST, depth: 0 }, &mut Names::none())
}

/// The end of it.
pub(crate) fn list_ended(out: &mut Vec<u8>) {
    out.extend([op::APPENDS, op::STOP]);
}

/// The pickle of `(args, kwargs)`, if all of it is plain or has a name.
fn pickled_call(
    args: &Bound<'_, PyTuple>,
    kwargs: &Bound<'_, PyDict>,
    names: &mut Names<'_>,
) -> Option<Vec<u8>> {
    if let (1, true, Ok(only)) = (args.len(), kwargs.is_empty(), args.get_borrowed_item(0))
        && let Some(bytes) = lone(&only)
    {
        return Some(lone_pickled(bytes, &[op::TUPLE1, op::EMPTY_DICT, op::TUPLE2, op::STOP]));
    }
    let mut out = begun();
    let room = Room { end: MOST, depth: DEEPEST };
    write_tuple(args, &mut out, room, names)?;
    out.push(op::EMPTY_DICT);
    if !kwargs.is_empty() {
        out.push(op::MARK);
        for (name, value) in kwargs.iter() {
            write(&name, &mut out, room, names)?;
            write(&value, &mut out, room, names)?;
        }
        out.push(op::SETITEMS);
    }
    out.extend([op::TUPLE2, op::STOP]);
    Some(out)
}

/// The same, if all there is is an array: one that was not written by its name.
fn lone_array(args: &Bound<'_, PyTuple>, kwargs: &Bound<'_, PyDict>) -> Option<Vec<u8>> {
    let is_lone = args.len() == 1 && kwargs.is_empty();
    arrays::call_written(&*args.get_borrowed_item(0).ok().filter(|_| is_lone)?)
}

/// The first bytes of a pickle.
pub(crate) fn begun() -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend([op::PROTO, PROTOCOL]);
    out
}

/// How much may still be written: up to where, and how deep.
#[derive(Clone, Copy)]
struct Room {
    end: usize,
    depth: usize,
}

/// Objects that workers have already: they are written as calls that find them.
struct Names<'a> {
    known: Option<&'a Known>,
    /// The numbers that were written.
    used: Vec<u32>,
}

impl Names<'_> {
    fn none() -> Self {
        Self { known: None, used: Vec::new() }
    }
}

fn write_name(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, names: &mut Names<'_>) -> Option<()> {
    let number = names.known?.number_of(value)?;
    names.used.push(number);
    out.extend(FINDER);
    write_int(number.into(), out);
    out.extend([op::TUPLE1, op::REDUCE]);
    Some(())
}

fn write(
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    room: Room,
    names: &mut Names<'_>,
) -> Option<()> {
    if out.len() > room.end {
        return None;
    }
    if let Ok(int) = value.cast_exact::<PyInt>() {
        write_int(int.extract().ok()?, out);
    } else if let Ok(float) = value.cast_exact::<PyFloat>() {
        out.push(op::BINFLOAT);
        out.extend(float.value().to_bits().to_be_bytes());
    } else if let Ok(text) = value.cast_exact::<PyString>() {
        let text = text.to_str().ok()?;
        out.extend([op::SHORT_BINUNICODE, u8::try_from(text.len()).ok()?]);
        out.extend(text.as_bytes());
    } else if value.is_none() {
        out.push(op::NONE);
    } else if let Ok(truth) = value.cast_exact::<PyBool>() {
        out.push(if truth.is_true() { op::NEWTRUE } else { op::NEWFALSE });
    } else if let Ok(bytes) = value.cast_exact::<PyBytes>() {
        let bytes = bytes.as_bytes();
        out.extend([op::SHORT_BINBYTES, u8::try_from(bytes.len()).ok()?]);
        out.extend(bytes);
    } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        write_tuple(tuple, out, room, names)?;
    } else {
        write_name(value, out, names)?;
    }
    Some(())
}

fn write_tuple(
    tuple: &Bound<'_, PyTuple>,
    out: &mut Vec<u8>,
    room: Room,
    names: &mut Names<'_>,
) -> Option<()> {
    let inner = Room { depth: room.depth.checked_sub(1)?, ..room };
    let end = match tuple.len() {
        0 => op::EMPTY_TUPLE,
        1 => op::TUPLE1,
        2 => op::TUPLE2,
        3 => op::TUPLE3,
        _ => {
            out.push(op::MARK);
            op::TUPLE
        }
    };
    for item in tuple.iter_borrowed() {
        write(&item, out, inner, names)?;
    }
    out.push(end);
    Some(())
}

fn write_int(int: i64, out: &mut Vec<u8>) {
    if let Ok(small) = u8::try_from(int) {
        out.extend([op::BININT1, small]);
    } else if let Ok(small) = u16::try_from(int) {
        out.push(op::BININT2);
        out.extend(small.to_le_bytes());
    } else if let Ok(small) = i32::try_from(int) {
        out.push(op::BININT);
        out.extend(small.to_le_bytes());
    } else {
        // As few bytes as hold it with its sign.
        let bits = 65 - (if int < 0 { !int } else { int }).leading_zeros();
        let len = bits.div_ceil(8);
        out.extend([op::LONG1, len as u8]);
        out.extend(&int.to_le_bytes()[..len as usize]);
    }
}

/// The value of a pickle that holds nothing but plain values, lists and dictionaries; `None` for any
/// other bytes, good or bad.
pub(crate) fn unpickled<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    unpickled_with(py, bytes, None)
}

/// The same, and objects that are `given` by number.
pub(crate) fn unpickled_with<'py>(
    py: Python<'py>,
    bytes: &[u8],
    given: Option<&Bound<'py, PyDict>>,
) -> Option<Bound<'py, PyAny>> {
    let mut bytes = Bytes(bytes);
    let mut stack: Vec<Bound<'py, PyAny>> = Vec::with_capacity(8);
    let mut marks: Vec<usize> = Vec::new();
    loop {
        let value = match bytes.one()? {
            op::PROTO => {
                bytes.some(1)?;
                continue;
            }
            op::FRAME => {
                bytes.some(8)?;
                continue;
            }
            // What is remembered is never asked for: an operation that asks is unknown here.
            op::MEMOIZE => continue,
            op::MARK => {
                marks.push(stack.len());
                continue;
            }
            op::STOP => {
                let value = stack.pop()?;
                return (stack.is_empty() && marks.is_empty() && bytes.0.is_empty())
                    .then_some(value);
            }
            op::APPEND => {
                let item = stack.pop()?;
                stack.last()?.cast_exact::<PyList>().ok()?.append(item).ok()?;
                continue;
            }
            op::APPENDS => {
                let items = above(&mut stack, &mut marks)?;
                let list = stack.last()?.cast_exact::<PyList>().ok()?;
                for item in items {
                    list.append(item).ok()?;
                }
                continue;
            }
            op::SETITEM => {
                let (value, key) = (stack.pop()?, stack.pop()?);
                set(stack.last()?, key, value)?;
                continue;
            }
            op::SETITEMS => {
                let mut items = above(&mut stack, &mut marks)?.into_iter();
                while let Some(key) = items.next() {
                    set(stack.last()?, key, items.next()?)?;
                }
                continue;
            }
            op::TUPLE1 => tuple(py, &mut stack, 1)?,
            op::TUPLE2 => tuple(py, &mut stack, 2)?,
            op::TUPLE3 => tuple(py, &mut stack, 3)?,
            op::TUPLE => PyTuple::new(py, above(&mut stack, &mut marks)?).ok()?.into_any(),
            op::EMPTY_TUPLE => PyTuple::empty(py).into_any(),
            op::EMPTY_LIST => PyList::empty(py).into_any(),
            op::EMPTY_DICT => PyDict::new(py).into_any(),
            op::GLOBAL => given?.get_item(bytes.number_to_find(py)?).ok()??,
            scalar => bytes.scalar(py, scalar)?,
        };
        stack.push(value);
    }
}

fn set(dict: &Bound<'_, PyAny>, key: Bound<'_, PyAny>, value: Bound<'_, PyAny>) -> Option<()> {
    // A key of another type could run somebody's code.
    let plain = key.is_exact_instance_of::<PyString>() || key.is_exact_instance_of::<PyInt>();
    if plain { dict.cast_exact::<PyDict>().ok()?.set_item(key, value).ok() } else { None }
}

fn above<'py>(
    stack: &mut Vec<Bound<'py, PyAny>>,
    marks: &mut Vec<usize>,
) -> Option<Vec<Bound<'py, PyAny>>> {
    let mark = marks.pop()?;
    (mark <= stack.len()).then(|| stack.split_off(mark))
}

fn tuple<'py>(
    py: Python<'py>,
    stack: &mut Vec<Bound<'py, PyAny>>,
    len: usize,
) -> Option<Bound<'py, PyAny>> {
    let first = stack.len().checked_sub(len)?;
    Some(PyTuple::new(py, stack.drain(first..)).ok()?.into_any())
}

/// What is left to read.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn one(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn some(&mut self, len: usize) -> Option<&'a [u8]> {
        let (some, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(some)
    }

    /// What follows the operation of a finder: its number, and the call.
    fn number_to_find<'py>(&mut self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let name = self.some(FINDER.len() - 1)?;
        let operation = self.one()?;
        let number = self.scalar(py, operation)?;
        let called = name == &FINDER[1..] && self.some(2)? == [op::TUPLE1, op::REDUCE];
        called.then_some(number)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.some(N)?.try_into().ok()
    }

    pub(crate) fn length(&mut self) -> Option<usize> {
        self.array().map(|len| u32::from_le_bytes(len) as usize)
    }

    pub(crate) fn text(&mut self, len: usize) -> Option<&'a str> {
        std::str::from_utf8(self.some(len)?).ok()
    }

    pub(crate) fn scalar<'py>(
        &mut self,
        py: Python<'py>,
        operation: u8,
    ) -> Option<Bound<'py, PyAny>> {
        let int = |int: i64| PyInt::new(py, int).into_any();
        Some(match operation {
            op::NONE => py.None().into_bound(py),
            op::NEWTRUE => PyBool::new(py, true).to_owned().into_any(),
            op::NEWFALSE => PyBool::new(py, false).to_owned().into_any(),
            op::BININT1 => int(self.one()?.into()),
            op::BININT2 => int(u16::from_le_bytes(self.array()?).into()),
            op::BININT => int(i32::from_le_bytes(self.array()?).into()),
            op::LONG1 => int(self.long()?),
            op::BINFLOAT => {
                let bits = u64::from_be_bytes(self.array()?);
                PyFloat::new(py, f64::from_bits(bits)).into_any()
            }
            op::SHORT_BINUNICODE => {
                let len = self.one()?.into();
                PyString::new(py, self.text(len)?).into_any()
            }
            op::BINUNICODE => {
                let len = self.length()?;
                PyString::new(py, self.text(len)?).into_any()
            }
            op::SHORT_BINBYTES => {
                let len = self.one()?.into();
                PyBytes::new(py, self.some(len)?).into_any()
            }
            op::BINBYTES => {
                let len = self.length()?;
                PyBytes::new(py, self.some(len)?).into_any()
            }
            _ => return None,
        })
    }

    /// Passes over a scalar that could be read.
    pub(crate) fn pass_scalar(&mut self, operation: u8) -> Option<()> {
        let len = match operation {
            op::NONE | op::NEWTRUE | op::NEWFALSE => 0,
            op::BININT1 => 1,
            op::BININT2 => 2,
            op::BININT => 4,
            op::BINFLOAT => 8,
            op::LONG1 => usize::from(self.one().filter(|len| *len <= 8)?),
            op::SHORT_BINUNICODE => {
                let len = self.one()?.into();
                return self.text(len).map(drop);
            }
            op::BINUNICODE => {
                let len = self.length()?;
                return self.text(len).map(drop);
            }
            op::SHORT_BINBYTES => self.one()?.into(),
            op::BINBYTES => self.length()?,
            _ => return None,
        };
        self.some(len).map(drop)
    }

    fn long(&mut self) -> Option<i64> {
        let len = self.one()?;
        let bytes = self.some(len.into())?;
        let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut all = if negative { [0xff; 8] } else { [0; 8] };
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(i64::from_le_bytes(all))
    }
}

/// The pickle of `(args, kwargs)`, if all of it is plain and small: `None`, bools, ints of 64 bits,
/// floats, short strings and bytes, tuples of these; or known; or a lone array. With known objects it is a `Shipment`.
#[pyfunction]
#[pyo3(signature = (args, kwargs, known = None))]
pub(crate) fn plain_call<'py>(
    args: &Bound<'py, PyTuple>,
    kwargs: &Bound<'py, PyDict>,
    known: Option<&Bound<'py, Known>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = args.py();
    let mut names = Names { known: known.map(Bound::get), used: Vec::new() };
    let bytes = pickled_call(args, kwargs, &mut names).or_else(|| lone_array(args, kwargs));
    let Some(bytes) = bytes else { return Ok(None) };
    if names.used.is_empty() {
        return Ok(Some(PyBytes::new(py, &bytes).into_any()));
    }
    Ok(Some(Bound::new(py, Shipment::plain(bytes, names.used))?.into_any()))
}

/// Whether a value is made of exactly `None`, bools, ints, floats, strings, bytes, and tuples of these;
/// unless it has to be `lasting`, of lists and dictionaries, too. No code of anybody's runs when
/// it is pickled, read or used.
#[pyfunction]
pub(crate) fn is_plain(value: &Bound<'_, PyAny>, lasting: bool) -> bool {
    is_plain_down_to(value, lasting, DEEPEST)
}

fn is_plain_down_to(value: &Bound<'_, PyAny>, lasting: bool, depth: usize) -> bool {
    if value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyString>()
        || value.is_none()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_exact_instance_of::<PyBytes>()
    {
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else { return false };
    if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        return tuple.iter_borrowed().all(|item| is_plain_down_to(&item, lasting, depth));
    }
    if lasting {
        return false;
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return list.iter().all(|item| is_plain_down_to(&item, false, depth));
    }
    let Ok(dict) = value.cast_exact::<PyDict>() else { return false };
    dict.iter().all(|(key, value)| {
        is_plain_down_to(&key, false, depth) && is_plain_down_to(&value, false, depth)
    })
}

/// Whether these bytes hold the name of the main module; a pickle that does mentions it, perhaps.
#[pyfunction]
pub(crate) fn names_main(data: &[u8]) -> bool {
    memchr::memmem::find(data, b"_main__").is_some()
}
