//! A pickled list of scalars, read one by one.
//!
//! The items of a chunk and its results are often numbers, as many as fit. Made all at once they are
//! a list that leaves every cache before anybody looks at its first item. So the list is checked once
//! as it lies there (nothing but what `plain` can read, no value in another), and each value is made
//! when it is its turn.

use std::ops::Deref;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::plain::{Bytes, op};

/// The items of a list, each to come.
pub(crate) struct Scalars<B> {
    bytes: B,
    at: usize,
    left: usize,
}

impl<B: Deref<Target = [u8]>> Scalars<B> {
    /// Of the pickle of such a list.
    pub(crate) fn of_list(bytes: B) -> Option<Self> {
        Self::checked(bytes, 0, &[op::STOP])
    }

    /// Of the pickle of a pair: a number, and such a list.
    pub(crate) fn of_second(bytes: B) -> Option<Self> {
        Self::checked(bytes, 1, &[op::TUPLE2, op::STOP])
    }

    /// `before` scalars come before the list, `end` after it.
    fn checked(bytes: B, before: usize, end: &[u8]) -> Option<Self> {
        let mut rest = Bytes(&bytes);
        for _ in 0..before {
            let operation = significant(&mut rest)?;
            rest.pass_scalar(operation)?;
        }
        if significant(&mut rest)? != op::EMPTY_LIST {
            return None;
        }
        let at = bytes.len() - rest.0.len();
        let mut left = 0;
        let mut expected = end.iter();
        let mut open = None;
        loop {
            match (significant(&mut rest)?, open) {
                (op::MARK, None) => open = Some(left),
                (op::APPENDS, Some(_)) => open = None,
                (operation, None) if expected.as_slice().first() == Some(&operation) => {
                    expected.next();
                    if expected.as_slice().is_empty() {
                        return rest.0.is_empty().then_some(Self { bytes, at, left });
                    }
                }
                // Nothing but the end comes after its beginning.
                _ if expected.as_slice().len() < end.len() => return None,
                (operation, Some(_)) => {
                    rest.pass_scalar(operation)?;
                    left += 1;
                }
                (operation, None) => {
                    rest.pass_scalar(operation)?;
                    left += 1;
                    if significant(&mut rest)? != op::APPEND {
                        return None;
                    }
                }
            }
        }
    }

    /// All of the pickle.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many are left.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// The next one.
    pub(crate) fn next<'py>(&mut self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.left = self.left.checked_sub(1)?;
        let mut rest = Bytes(&self.bytes[self.at..]);
        let value = loop {
            match significant(&mut rest)? {
                op::MARK | op::APPENDS | op::APPEND => {}
                operation => break rest.scalar(py, operation)?,
            }
        };
        self.at = self.bytes.len() - rest.0.len();
        Some(value)
    }
}

/// The next operation that does something to the value.
fn significant(rest: &mut Bytes<'_>) -> Option<u8> {
    loop {
        match rest.one()? {
            op::PROTO => drop(rest.some(1)?),
            op::FRAME => drop(rest.some(8)?),
            op::MEMOIZE => {}
            operation => return Some(operation),
        }
    }
}

/// How many items the pickled list has, if it is one of scalars: then an `Unroll` reads it.
#[pyfunction]
pub(crate) fn scalars_in(pickled: PyBackedBytes) -> Option<usize> {
    Scalars::of_list(pickled).map(|scalars| scalars.left())
}
