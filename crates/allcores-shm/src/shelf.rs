//! The reader's side of another process's arena: its segments, and views on its blocks.
//!
//! A view is opened from what a message says, so nothing about it is believed: the segment must be there,
//! header and payload inside of it, and the header must show this very lending. A view keeps its segment
//! mapped, even after the owner has retired it or died, and ends the lending when it goes.

use std::collections::HashMap;

use crate::arena::{header, payload_start};
use crate::descriptor::BlockRef;
use crate::error::{Result, ShmError};
use crate::parcel::PARCEL_START;
use crate::primitive::{Arc, AtomicBool, AtomicUsize, Ordering};
use crate::private::Private;
use crate::segment::Segment;

/// So many views may be open at a time before whoever can should copy instead: each holds a descriptor, here
/// and with the owner.
const MANY: usize = 128;

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Whether so many payloads of others are held where they lie that the next ones had better be copied.
pub fn many_views_are_open() -> bool {
    // Relaxed: a bound that may be missed by a few.
    OPEN.load(Ordering::Relaxed) >= MANY
}

/// The segments of one other process that have been announced to this one.
#[derive(Debug, Default)]
pub struct Shelf {
    segments: HashMap<u32, Arc<Segment>>,
}

impl Shelf {
    /// An empty shelf.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an announced segment on the shelf, in place of an earlier one of that id.
    pub fn insert(&mut self, id: u32, segment: Segment) {
        self.segments.insert(id, Arc::new(segment));
    }

    /// Whether that id has been announced.
    pub fn contains(&self, id: u32) -> bool {
        self.segments.contains_key(&id)
    }

    /// Takes a retired segment off. Its memory goes with the last view on it.
    pub fn remove(&mut self, id: u32) {
        self.segments.remove(&id);
    }

    /// A view on the first `len` bytes of a block. On `UnknownSegment` read the control socket: the
    /// announcement was sent before the message.
    pub fn open(&self, at: BlockRef, len: u64) -> Result<View> {
        let id = at.segment();
        let segment = self.segments.get(&id).ok_or(ShmError::UnknownSegment { id })?;
        let bytes = usize::try_from(len).map_err(|_| ShmError::TooLarge { bytes: len })?;
        let start = if at.is_parcel() { PARCEL_START } else { at.offset() + payload_start(bytes) };
        if start.checked_add(bytes).is_none_or(|end| end > segment.len()) {
            return Err(ShmError::OutOfBounds {
                offset: start,
                len: bytes,
                segment: segment.len(),
            });
        }
        // Generation 0 is that of zeroed memory: never lent.
        if at.generation() == 0 || !header(segment, at)?.is_lent(at.generation()) {
            return Err(ShmError::StaleBlock { word: at.to_word() });
        }
        OPEN.fetch_add(1, Ordering::Relaxed);
        Ok(View {
            segment: Arc::clone(segment),
            at,
            start,
            len: bytes,
            stays_lent: AtomicBool::new(false),
        })
    }
}

/// The right to read a payload, until it is released or dropped.
#[derive(Debug)]
pub struct View {
    segment: Arc<Segment>,
    at: BlockRef,
    /// Where the payload starts in the segment; `start + len` lies inside (checked by `open`).
    start: usize,
    len: usize,
    /// Somebody else may be reading it, too: the lending does not end with this view.
    stays_lent: AtomicBool,
}

impl View {
    /// How many bytes the payload has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the payload has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies from `offset` of the payload until `into` is full.
    pub fn copy_out(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        match offset.checked_add(into.len()) {
            Some(end) if end <= self.len => self.segment.copy_out(self.start + offset, into),
            _ => Err(ShmError::OutOfBounds { offset, len: into.len(), segment: self.len }),
        }
    }

    /// The whole payload in a new vector.
    pub fn copy_to_vec(&self) -> Vec<u8> {
        self.segment
            .copy_out_to_vec(self.start, self.len)
            .expect("`open` checked the bounds, and a segment never changes its size")
    }

    /// Maps the payload, and what comes after it, as memory of this process's own.
    pub(crate) fn map_privately(&self) -> Result<Private> {
        self.segment.map_privately(self.start)
    }

    /// Takes such a mapping back, while the view still keeps the owner from writing.
    pub(crate) fn keep_mapping(&self, private: Private) {
        self.segment.keep_mapping(private);
    }

    /// The payload stays lent for as long as its owner lives, whatever becomes of this view.
    pub(crate) fn stay_lent(&self) {
        // Relaxed: read when the last owner of the view lets go of it, which orders the two.
        self.stays_lent.store(true, Ordering::Relaxed);
    }

    /// Ends the lending now: the owner may write there again.
    pub fn release(self) {}
}

impl Drop for View {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
        if let Ok(header) = header(&self.segment, self.at)
            && !self.stays_lent.load(Ordering::Relaxed)
        {
            header.free(self.at.generation());
        }
    }
}
