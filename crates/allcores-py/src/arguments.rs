//! Python's values as arguments of machine code.
//!
//! Numbers, `None`, tuples of these; and what holds numbers one after the other: lists, `bytes`,
//! `bytearray`, `array.array`, `memoryview`, numpy's arrays. Those are copied, once for all items that
//! are read together, so that nobody changes them while the interpreter's lock is released. A
//! subclass may do as it likes with every operation, so it is none of these.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use allcores_native::items::{Elements, Item};
use allcores_native::types::{Buffer, Element};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyList, PyTuple};

use crate::view::Lent;

/// Reads arguments, and remembers what it has copied.
#[derive(Default)]
pub(crate) struct Reader {
    copied: HashMap<usize, (Py<PyAny>, Elements)>,
}

impl Reader {
    /// The arguments of a call; none if one of them has no words.
    pub(crate) fn item(&mut self, arguments: &Bound<'_, PyTuple>) -> Option<Item> {
        let mut item = Item::default();
        for argument in arguments.iter_borrowed() {
            self.add(&mut item, &argument)?;
        }
        Some(item)
    }

    fn add(&mut self, item: &mut Item, value: &Bound<'_, PyAny>) -> Option<()> {
        if value.is_exact_instance_of::<PyInt>() {
            item.int(value.extract().ok()?);
        } else if value.is_exact_instance_of::<PyFloat>() {
            item.float(value.extract().ok()?);
        } else if value.is_exact_instance_of::<PyBool>() {
            item.truth(value.is_truthy().ok()?);
        } else if value.is_none() {
            item.none();
        } else if value.is_exact_instance_of::<PyTuple>() {
            let first = item.len();
            for each in value.cast::<PyTuple>().ok()?.iter_borrowed() {
                self.add(item, &each)?;
            }
            item.close_tuple(first);
        } else {
            item.buffer(self.elements(value)?);
        }
        Some(())
    }

    fn elements(&mut self, value: &Bound<'_, PyAny>) -> Option<&Elements> {
        let (_, elements) = match self.copied.entry(value.as_ptr().addr()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let elements = match value.cast_exact::<PyList>() {
                    Ok(list) => of_list(list),
                    Err(_) => of_memory(value),
                };
                // Held, so that nothing else gets its address.
                place.insert((value.clone().unbind(), elements?))
            }
        };
        Some(elements)
    }
}

fn plain(element: Element) -> Buffer {
    Buffer { element, dimensions: 1, is_foreign: false }
}

/// A list whose elements are all ints, or all floats.
fn of_list(list: &Bound<'_, PyList>) -> Option<Elements> {
    let mut words = Vec::with_capacity(list.len());
    let is_of_floats = list.get_item(0).is_ok_and(|first| first.is_exact_instance_of::<PyFloat>());
    for value in list.iter() {
        let word = if is_of_floats {
            value.cast_exact::<PyFloat>().ok()?.extract::<f64>().ok()?.to_bits()
        } else {
            value.cast_exact::<PyInt>().ok()?.extract::<i64>().ok()?.cast_unsigned()
        };
        words.push(word);
    }
    Elements::of_words(plain(if is_of_floats { Element::F64 } else { Element::I64 }), words)
}

fn of_memory(value: &Bound<'_, PyAny>) -> Option<Elements> {
    let py = value.py();
    let is_bytes =
        value.is_exact_instance_of::<PyBytes>() || value.is_exact_instance_of::<PyByteArray>();
    let is_foreign = !is_bytes && is_of(value, "numpy", "ndarray");
    let is_known = is_bytes
        || is_foreign
        || is_of(value, "array", "array")
        || is_of(value, "builtins", "memoryview");
    if !is_known {
        return None;
    }
    let lent = Lent::readable(value)?;
    let element = element_of(&lent.format(), lent.element_size())?;
    let lengths = lent.shape().to_vec();
    let dimensions = u8::try_from(lengths.len()).ok().filter(|count| (1..=8).contains(count))?;
    Elements::copied(Buffer { element, dimensions, is_foreign }, lengths, lent.bytes(py))
}

/// Is it exactly of that class of that module?
fn is_of(value: &Bound<'_, PyAny>, module: &str, name: &str) -> bool {
    let kind = value.get_type();
    let is_named = |found: PyResult<String>, wanted: &str| found.is_ok_and(|found| found == wanted);
    is_named(kind.name().map(|name| name.to_string()), name)
        && is_named(kind.module().map(|module| module.to_string()), module)
}

/// What the buffer protocol calls it, in this machine's own order and sizes.
fn element_of(format: &str, size: usize) -> Option<Element> {
    let is_signed = matches!(format, "b" | "h" | "i" | "l" | "q");
    let is_unsigned = matches!(format, "B" | "H" | "I" | "L" | "Q");
    Some(match (format, size) {
        ("?", 1) => Element::Bool,
        ("f", 4) => Element::F32,
        ("d", 8) => Element::F64,
        (_, 1) if is_signed => Element::I8,
        (_, 2) if is_signed => Element::I16,
        (_, 4) if is_signed => Element::I32,
        (_, 8) if is_signed => Element::I64,
        (_, 1) if is_unsigned => Element::U8,
        (_, 2) if is_unsigned => Element::U16,
        (_, 4) if is_unsigned => Element::U32,
        (_, 8) if is_unsigned => Element::U64,
        _ => return None,
    })
}
