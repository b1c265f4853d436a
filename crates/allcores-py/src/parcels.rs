//! Values with large buffers, on their way out and in.
//!
//! Pickled, such a value is a stream of bytes and some buffers that go beside it (protocol 5). The stream is
//! the letter and the buffers are its parcels; a stream that is large itself is the first parcel, and
//! then the letter is empty.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use allcores_engine::payload::MOST_PARCELS;
use allcores_engine::{
    Arrived, Body, Depot, EngineError, FnId, Parcel, Payload, Shipment as Engines,
    expect_objects_of,
};
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

use crate::errors::engine_error;
use crate::home::AtHome;
use crate::view::{Buffer, Lent};

/// From this size on a stream is a parcel.
const LARGE_STREAM: usize = 128 << 10;

/// The parcels of this process, whichever pool they are for. The pools hold it, and the parcels.
static DEPOT: Mutex<Option<AtHome<Weak<Depot>>>> = Mutex::new(None);

/// The largest stream that this process has opened, in bytes: the heap has been told of it.
static EXPECTED: Mutex<usize> = Mutex::new(0);

pub(crate) fn depot() -> Arc<Depot> {
    let mut place = DEPOT.lock().unwrap_or_else(PoisonError::into_inner);
    // A forked child must not touch its parent's.
    let known = place.as_ref().and_then(|depot| depot.get().ok()).and_then(Weak::upgrade);
    known.unwrap_or_else(|| {
        let depot = Depot::new();
        *place = Some(AtHome::new(Arc::downgrade(&depot)));
        depot
    })
}

/// The chunks of a stream, and the buffers beside it, as Python has them.
pub(crate) struct Loose {
    chunks: Vec<Lent>,
    buffers: Vec<Lent>,
}

impl Loose {
    pub(crate) fn of(chunks: &Bound<'_, PyAny>, buffers: &Bound<'_, PyAny>) -> PyResult<Loose> {
        let lent = |list: &Bound<'_, PyAny>| -> PyResult<Vec<Lent>> {
            list.try_iter()?.map(|each| Lent::by(&each?)).collect()
        };
        let (chunks, buffers) = (lent(chunks)?, lent(buffers)?);
        if buffers.len() >= MOST_PARCELS {
            return Err(PyValueError::new_err("too many buffers"));
        }
        Ok(Loose { chunks, buffers })
    }

    /// Calls `send` with the letter and the pieces of each parcel.
    pub(crate) fn sent<T>(
        &self,
        py: Python<'_>,
        send: impl FnOnce(&[u8], &[Vec<&[u8]>]) -> T,
    ) -> T {
        let stream: Vec<&[u8]> = self.chunks.iter().map(|chunk| chunk.bytes(py)).collect();
        let mut parcels = Vec::with_capacity(1 + self.buffers.len());
        let mut letter = Vec::new();
        if stream.iter().map(|chunk| chunk.len()).sum::<usize>() < LARGE_STREAM {
            letter = stream.concat();
        } else {
            parcels.push(stream);
        }
        parcels.extend(self.buffers.iter().map(|buffer| vec![buffer.bytes(py)]));
        send(&letter, &parcels)
    }
}

/// A pickled value with its large buffers, as they were when this was made: `Shipment(chunks, buffers)`.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Shipment {
    inner: AtHome<Arc<Engines>>,
    /// How many bytes of large buffers were written, and how many need not be.
    written: u64,
    saved: u64,
}

#[pymethods]
impl Shipment {
    #[new]
    #[pyo3(signature = (chunks, buffers, needs = Vec::new()))]
    fn new(
        py: Python<'_>,
        chunks: &Bound<'_, PyAny>,
        buffers: &Bound<'_, PyAny>,
        needs: Vec<u32>,
    ) -> PyResult<Shipment> {
        let depot = depot();
        let (mut written, mut saved) = (0, 0);
        let shipment = Loose::of(chunks, buffers)?.sent(py, |letter, parcels| Engines {
            letter: letter.into(),
            parcels: parcels
                .iter()
                .map(|pieces| {
                    let (parcel, wrote) = packed(&depot, pieces);
                    written += wrote as u64;
                    saved += (parcel.len() - wrote) as u64;
                    parcel
                })
                .collect(),
            needs: needs.into_iter().map(FnId).collect(),
        });
        Ok(Shipment { inner: AtHome::new(Arc::new(shipment)), written, saved })
    }

    /// A number for what each of its large buffers holds: as long as this is there, the same number means
    /// the same bytes. 0 where nobody knows.
    #[getter]
    fn contents(&self) -> PyResult<Vec<u64>> {
        let content = |parcel: &Parcel| match parcel {
            Parcel::Shared(parcel) => parcel.content(),
            Parcel::Own(_) => 0,
        };
        Ok(self.inner.get()?.parcels.iter().map(content).collect())
    }

    /// Whether the other one holds the same.
    fn is_same(&self, other: &Bound<'_, Shipment>) -> PyResult<bool> {
        let (ours, theirs) = (self.contents()?, other.get().contents()?);
        let same_letter = self.inner.get()?.letter == other.get().inner.get()?.letter;
        Ok(same_letter && ours == theirs && !ours.contains(&0))
    }

    /// How many bytes of large buffers had to be written.
    #[getter]
    fn written(&self) -> u64 {
        self.written
    }

    /// How many bytes of large buffers were there already, from an earlier shipment.
    #[getter]
    fn saved(&self) -> u64 {
        self.saved
    }

    /// How many bytes it has in all.
    #[getter]
    fn nbytes(&self) -> PyResult<u64> {
        Ok(Payload::Shipment(Arc::clone(self.inner.get()?)).weight())
    }
}

/// In shared memory, if there is some; else the bytes wait here until they are sent.
fn packed(depot: &Arc<Depot>, pieces: &[&[u8]]) -> (Parcel, usize) {
    match depot.pack(pieces) {
        Ok((parcel, written)) => (Parcel::Shared(parcel), written),
        Err(_) => {
            let bytes: Box<[u8]> = pieces.concat().into();
            let written = bytes.len();
            (Parcel::Own(bytes), written)
        }
    }
}

impl Shipment {
    /// A letter of plain values that names registered ones.
    pub(crate) fn plain(letter: Vec<u8>, needs: Vec<u32>) -> Shipment {
        let needs = needs.into_iter().map(FnId).collect();
        let shipment = Engines { letter: letter.into(), parcels: Vec::new(), needs };
        Shipment { inner: AtHome::new(Arc::new(shipment)), written: 0, saved: 0 }
    }

    pub(crate) fn payload(&self) -> PyResult<Payload> {
        Ok(Payload::Shipment(Arc::clone(self.inner.get()?)))
    }
}

/// A pickled value that has arrived with large buffers.
#[pyclass(frozen, module = "allcores._core")]
pub(crate) struct Delivery {
    letter: Py<PyBytes>,
    parcels: AtHome<Vec<Arrived>>,
    /// So much of the stream belongs to something else.
    start: usize,
}

#[pymethods]
impl Delivery {
    /// The stream, and the buffers beside it: memory of this process's own, new at each call.
    fn open<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Vec<Bound<'py, PyMemoryView>>)> {
        let parcels = self.parcels.get()?;
        let first = usize::from(self.is_stream_apart(py));
        let buffers = parcels[first..].iter().map(|parcel| mapped(py, parcel));
        Ok((self.stream(py)?, buffers.collect::<PyResult<_>>()?))
    }

    /// The stream alone.
    fn stream<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let whole = match self.parcels.get()?.first() {
            Some(stream) if self.is_stream_apart(py) => {
                expect(stream.len());
                mapped(py, stream)?
            }
            _ => PyMemoryView::from(self.letter.bind(py))?,
        };
        let slice = pyo3::types::PySlice::new(py, self.start as isize, isize::MAX, 1);
        whole.get_item(slice)
    }

    /// The same with a stream that starts later.
    fn after(&self, py: Python<'_>, start: usize) -> PyResult<Delivery> {
        let parcels = self.parcels.get()?.clone();
        let start = self.start + start;
        Ok(Delivery { letter: self.letter.clone_ref(py), parcels: AtHome::new(parcels), start })
    }

    /// How many bytes arrived beside the letter.
    #[getter]
    fn nbytes(&self) -> PyResult<usize> {
        Ok(self.parcels.get()?.iter().map(Arrived::len).sum())
    }
}

impl Delivery {
    fn is_stream_apart(&self, py: Python<'_>) -> bool {
        self.letter.bind(py).as_bytes().is_empty()
    }
}

/// Large objects are about to be made from a stream of so many bytes, and will be again.
fn expect(bytes: usize) {
    let mut most = EXPECTED.lock().unwrap_or_else(PoisonError::into_inner);
    if *most < bytes {
        *most = bytes;
        expect_objects_of(bytes);
    }
}

fn mapped<'py>(py: Python<'py>, parcel: &Arrived) -> PyResult<Bound<'py, PyMemoryView>> {
    let region = parcel.region().map_err(|error| short_of_memory(parcel, &error))?;
    PyMemoryView::from(Bound::new(py, Buffer::of(region))?.as_any())
}

fn short_of_memory(parcel: &Arrived, error: &EngineError) -> PyErr {
    PyMemoryError::new_err(format!(
        "a buffer of `{}` bytes cannot be mapped: {error}\nhint: use smaller pieces, or raise the limit",
        parcel.len()
    ))
}

/// What arrived, for Python: bytes, copied once, or a [`Delivery`].
pub(crate) fn arrived<'py>(py: Python<'py>, body: &Body) -> PyResult<Bound<'py, PyAny>> {
    let letter = PyBytes::new_with(py, body.len(), |to| {
        body.copy_out(to);
        Ok(())
    })?;
    if body.parcels().is_empty() {
        return Ok(letter.into_any());
    }
    let parcels = AtHome::new(body.parcels().to_vec());
    let delivery = Delivery { letter: letter.unbind(), parcels, start: 0 };
    Ok(Bound::new(py, delivery)?.into_any())
}

/// Sends what Python wants to be sent: bytes, or chunks, buffers, and what they need (which concerns the
/// parent alone).
pub(crate) fn sent(
    payload: &Bound<'_, PyAny>,
    send: impl FnOnce(&[u8], &[Vec<&[u8]>]) -> Result<(), EngineError>,
) -> PyResult<()> {
    let py = payload.py();
    if let Ok(bytes) = payload.cast::<PyBytes>() {
        return send(bytes.as_bytes(), &[]).map_err(|error| engine_error(&error));
    }
    let (chunks, buffers, _) =
        payload.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
    Loose::of(&chunks, &buffers)?.sent(py, send).map_err(|error| engine_error(&error))
}
