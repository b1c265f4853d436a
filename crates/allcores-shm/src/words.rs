//! A range of atomic words, wherever they live.
//!
//! Rings, bells and claim cells are written against `&[AtomicU64]` and know nothing of mappings. In a
//! process the words lie in a [`Segment`]; under the model checker, and in tests of one
//! process, on the heap. A handle keeps its memory alive, so an end of a ring is `'static` and can move
//! to a thread.

#[cfg(not(loom))]
use std::ops::Range;

#[cfg(not(loom))]
use crate::error::Result;
use crate::primitive::{Arc, AtomicU64};
#[cfg(not(loom))]
use crate::segment::Segment;

/// Words per line of 128 bytes: what two cores must not share when both write (cache lines are fetched in
/// pairs on common machines).
pub(crate) const LINE: usize = 16;

/// An owned, cloneable handle on some atomic words.
#[derive(Clone, Debug)]
pub struct Words(Home);

#[derive(Clone, Debug)]
enum Home {
    Heap(Arc<Vec<AtomicU64>>),
    #[cfg(not(loom))]
    Segment(Arc<Segment>, Range<usize>),
}

impl Words {
    /// `count` zeroed words on the heap.
    pub fn on_heap(count: usize) -> Self {
        Self(Home::Heap(Arc::new((0..count).map(|_| AtomicU64::new(0)).collect())))
    }

    /// The words of `segment` with these indices.
    #[cfg(not(loom))]
    pub fn in_segment(segment: &Arc<Segment>, range: Range<usize>) -> Result<Self> {
        segment.words(range.clone())?;
        Ok(Self(Home::Segment(Arc::clone(segment), range)))
    }

    /// The words themselves. Any process that shares them may change them at any time.
    pub fn cells(&self) -> &[AtomicU64] {
        match &self.0 {
            Home::Heap(words) => words,
            #[cfg(not(loom))]
            Home::Segment(segment, range) => segment
                .words(range.clone())
                .expect("`in_segment` checked the range, and a segment never changes its size"),
        }
    }
}
