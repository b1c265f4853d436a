//! A payload as memory of this process's own: to be read and written as if it had been copied.
//!
//! Large payloads are mapped privately: nothing is copied until somebody writes, and then one page. The
//! lending goes on as long as the region is there, for the owner must not write under it. Small payloads
//! are copied, for mapping costs as much as some hundred kilobytes; so are payloads that
//! are many, for each lending holds a descriptor on both sides.

use std::io::ErrorKind;

use crate::error::{Result, ShmError};
use crate::primitive::{Arc, AtomicUsize, Ordering};
use crate::private::Private;
use crate::shelf::View;

/// From so many bytes on a payload is mapped.
const MAPPED_FROM: usize = 128 << 10;

/// So many regions of this process may be mapped at a time.
const MOST_MAPPED: usize = 128;

static MAPPED: AtomicUsize = AtomicUsize::new(0);

static FORKS: AtomicUsize = AtomicUsize::new(0);

/// To be called before this process forks. What is mapped now is mapped in the child, too, and may be
/// read there for as long as the child lives: the owner must never write there again.
pub fn note_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Bytes that are this process's own.
#[derive(Debug)]
pub struct Region(Memory);

#[derive(Debug)]
enum Memory {
    Mapped(Mapped),
    Copied(Vec<u8>),
}

#[derive(Debug)]
struct Mapped {
    /// There until it is dropped.
    map: Option<Private>,
    /// It keeps the owner from writing there.
    view: Arc<View>,
    /// How often this process had forked.
    forks: usize,
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.forks != FORKS.load(Ordering::Relaxed) {
            self.view.stay_lent();
        } else if let Some(map) = self.map.take() {
            self.view.keep_mapping(map);
        }
        MAPPED.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Region {
    /// What lies in the view.
    pub fn of(view: &Arc<View>) -> Result<Self> {
        // Relaxed: a bound that may be missed by a few.
        if view.len() >= MAPPED_FROM && MAPPED.load(Ordering::Relaxed) < MOST_MAPPED {
            let map = view.map_privately()?;
            MAPPED.fetch_add(1, Ordering::Relaxed);
            let (map, view, forks) = (Some(map), Arc::clone(view), FORKS.load(Ordering::Relaxed));
            return Ok(Self(Memory::Mapped(Mapped { map, view, forks })));
        }
        Self::filled(view.len(), |bytes| view.copy_out(0, bytes))
    }

    /// A copy of these bytes.
    pub fn copy_of(bytes: &[u8]) -> Result<Self> {
        Self::filled(bytes.len(), |to| {
            to.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn filled(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<Self> {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(len).is_err() {
            return Err(ShmError::MapSegment { bytes: len, source: ErrorKind::OutOfMemory.into() });
        }
        bytes.resize(len, 0);
        fill(&mut bytes)?;
        Ok(Self(Memory::Copied(bytes)))
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        match &self.0 {
            Memory::Mapped(mapped) => mapped.view.len(),
            Memory::Copied(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is mapped, and not copied.
    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Memory::Mapped(..))
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::<u8>::with_capacity(self.len());
        // SAFETY: `len` bytes from the pointer on are this region's, and the vector has room for them.
        unsafe { self.as_mut_ptr().copy_to_nonoverlapping(bytes.as_mut_ptr(), self.len()) };
        // SAFETY: the line above has initialised as many bytes, within the capacity asked for.
        unsafe { bytes.set_len(self.len()) };
        bytes
    }

    /// The first byte. The `len` bytes from there on may be read and written as long as the region is there,
    /// by one thread at a time: who gives the pointer out sees to that.
    pub fn as_mut_ptr(&self) -> *mut u8 {
        match &self.0 {
            Memory::Mapped(mapped) => {
                mapped.map.as_ref().expect("it is there until it is dropped").as_mut_ptr()
            }
            // The vector is never touched again but to drop it.
            Memory::Copied(bytes) => bytes.as_ptr().cast_mut(),
        }
    }
}
