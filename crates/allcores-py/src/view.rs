//! Memory seen from both sides: Python's buffers as bytes of Rust, regions of ours as buffers of Python.
//!
//! The only file of this crate with `unsafe` in it. Three invariants:
//!
//! - **V1**: memory that Python lends us (a [`Lent`]) stays where it is while the export is held, and is
//!   read only while this thread is attached, within one call: no code of Python runs meanwhile. Code that
//!   changes an array without the interpreter's lock races with whoever reads that array, the pickler too.
//! - **V2**: memory that we lend to Python belongs to a region, which the exporting object owns; Python
//!   keeps that object for as long as it has a view on it. Nothing in Rust reads or writes it meanwhile.
//! - **V3**: memory of Python's that is written to belongs to an array that its caller has just made, attached,
//!   and has given to nobody yet.
#![expect(unsafe_code, reason = "the buffer protocol deals in pointers")]

use std::ffi::c_int;
use std::slice;

use allcores_engine::Region;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Memory of a Python object, one byte after the other.
pub(crate) struct Lent(PyUntypedBuffer);

impl Lent {
    /// The memory of `bytes`, `bytearray`, or a `memoryview` of bytes.
    pub(crate) fn by(object: &Bound<'_, PyAny>) -> PyResult<Lent> {
        let buffer = PyUntypedBuffer::get(object)?;
        buffer.as_typed::<u8>()?;
        if buffer.is_c_contiguous() {
            Ok(Lent(buffer))
        } else {
            Err(PyBufferError::new_err("a buffer is not contiguous"))
        }
    }

    /// The memory of an array in C order that can be written to.
    pub(crate) fn numbers(array: &Bound<'_, PyAny>) -> Option<Lent> {
        let buffer = PyUntypedBuffer::get(array).ok()?;
        (buffer.is_c_contiguous() && !buffer.readonly()).then_some(Lent(buffer))
    }

    /// The memory of anything in C order.
    pub(crate) fn readable(object: &Bound<'_, PyAny>) -> Option<Lent> {
        let buffer = PyUntypedBuffer::get(object).ok()?;
        buffer.is_c_contiguous().then_some(Lent(buffer))
    }

    /// What its elements are, as `struct` has it.
    pub(crate) fn format(&self) -> String {
        self.0.format().to_string_lossy().into_owned()
    }

    /// How many bytes an element has.
    pub(crate) fn element_size(&self) -> usize {
        self.0.item_size()
    }

    /// How long it is in each direction.
    pub(crate) fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// The bytes, to be read before anything else happens in Python.
    pub(crate) fn bytes(&self, _attached: Python<'_>) -> &[u8] {
        let len = self.0.len_bytes();
        if len == 0 {
            return &[];
        }
        // SAFETY: the export says that `len` bytes lie there, one after the other (`by`), and keeps them there
        // as long as `self`; the thread is attached, so nobody changes them while the slice is used (V1).
        unsafe { slice::from_raw_parts(self.0.buf_ptr().cast::<u8>(), len) }
    }
}

/// Writes `bytes` to the memory of an array of that size, which was just made: nobody else has it yet.
pub(crate) fn fill(array: &Bound<'_, PyAny>, bytes: &[u8]) -> PyResult<()> {
    let buffer = PyUntypedBuffer::get(array)?;
    if buffer.readonly() || !buffer.is_c_contiguous() || buffer.len_bytes() != bytes.len() {
        return Err(PyBufferError::new_err("an array is not as it was asked for"));
    }
    // SAFETY: the export says that so many bytes lie there, one after the other, to be written to; nobody
    // else has the array (V3), so `bytes` is not part of it.
    unsafe { buffer.buf_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Ok(())
}

/// A large buffer that has arrived: memory of this process's own, to be read and written.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Buffer {
    region: Region,
}

impl Buffer {
    pub(crate) fn of(region: Region) -> Buffer {
        Buffer { region }
    }
}

#[pymethods]
impl Buffer {
    /// How many bytes it has.
    fn __len__(&self) -> usize {
        self.region.len()
    }

    /// Whether nothing was copied.
    #[getter]
    fn is_mapped(&self) -> bool {
        self.region.is_mapped()
    }

    // SAFETY: called by the interpreter alone, with a `Py_buffer` to be filled in.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let region = &slf.get().region;
        let (start, owner) = (region.as_mut_ptr().cast(), slf.as_ptr());
        // A region is no longer than an address space has room for.
        let len = region.len() as ffi::Py_ssize_t;
        // SAFETY: `view` is the interpreter's; `len` bytes from `start` on are the region's, writable, and there
        // as long as `owner`, of which the call keeps a reference in `view` (V2).
        let filled = unsafe { ffi::PyBuffer_FillInfo(view, owner, start, len, 0, flags) };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
