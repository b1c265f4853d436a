//! A segment: a piece of memory that two processes map, known by its descriptor.
//!
//! This is the only file that maps memory and nearly the only one with `unsafe` in it. It keeps three
//! invariants, on which every `SAFETY` comment below stands:
//!
//! - **M1**: the mapping is readable, writable and `len()` bytes long for the segment's whole life, starts
//!   on a page, and cannot be cut short by the peer (sealed, see `memory.rs`; checked in [`Segment::from_fd`]).
//! - **M2**: nobody makes a reference into it but to `AtomicU64`, for which any bits are valid and which
//!   other processes may change at any time.
//! - **M3**: payload bytes are moved by raw copies only. By protocol a block has one writer until it is
//!   published and only readers afterwards; a peer that breaks this garbles the bytes that it sent, which
//!   are opaque here, and nothing else.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::slice;
use std::sync::PoisonError;

use memmap2::{MmapOptions, MmapRaw};

use crate::error::{Result, ShmError};
use crate::foreign::above_stdio;
use crate::memory;
use crate::primitive::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::private::Private;

/// How many bytes are compared before those that differ are written.
const COMPARED_AT_ONCE: usize = 64 << 10;

/// Bytes in a word.
pub(crate) const WORD: usize = size_of::<u64>();

/// Memory that another process can map too.
#[derive(Debug)]
pub struct Segment {
    fd: OwnedFd,
    map: MmapRaw,
    /// How many bytes from the start surely have pages of memory behind them. Private to this process.
    settled: AtomicUsize,
    /// A private mapping that is not needed just now, and where it starts.
    kept: Mutex<Option<(usize, Private)>>,
}

impl Segment {
    /// A new segment of zeroes with memory behind every page.
    pub fn create(len: usize) -> Result<Self> {
        Self::new(len, true)
    }

    /// A new segment of zeroes that takes memory only as it is written with [`Segment::write`].
    pub fn create_sparse(len: usize) -> Result<Self> {
        Self::new(len, false)
    }

    fn new(len: usize, backed: bool) -> Result<Self> {
        let bytes = mappable(len as u64)?;
        let fd = memory::anonymous(len as u64, backed)
            .map_err(|errno| ShmError::CreateSegment { bytes, source: errno.into() })?;
        Self::map(fd, bytes, if backed { bytes } else { 0 })
    }

    /// Maps a segment that another process made. Refuses what that process could still shrink.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        // The seal first: only then does the size that we read stay true.
        if !memory::is_sealed(fd.as_fd()) {
            return Err(ShmError::Unsealed);
        }
        let size =
            rustix::fs::fstat(&fd).map_err(|errno| ShmError::InspectSegment(errno.into()))?.st_size;
        let bytes = mappable(u64::try_from(size).unwrap_or(0))?;
        Self::map(fd, bytes, 0)
    }

    fn map(fd: OwnedFd, bytes: usize, settled: usize) -> Result<Self> {
        let fd = above_stdio(fd)
            .map_err(|errno| ShmError::CreateSegment { bytes, source: errno.into() })?;
        let map = MmapOptions::new()
            .len(bytes)
            .map_raw(&fd)
            .map_err(|source: io::Error| ShmError::MapSegment { bytes, source })?;
        Ok(Self { fd, map, settled: AtomicUsize::new(settled), kept: Mutex::default() })
    }

    /// The descriptor, to be sent to the other process.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Its size in bytes; never zero.
    #[expect(clippy::len_without_is_empty, reason = "an empty segment cannot exist")]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// What it holds from `offset` on as memory of this process's own, which shows that until it is
    /// written to: then a page is copied.
    pub(crate) fn map_privately(&self, offset: usize) -> Result<Private> {
        if let Some((_, kept)) = self.kept().take_if(|(from, _)| *from == offset) {
            return Ok(kept);
        }
        let len = self.len().saturating_sub(offset);
        self.at(offset, len)?;
        // SAFETY: the descriptor is a segment's, which nobody can cut short (M1). What the peer writes there
        // may change what is read here; it is read as bytes only, through raw pointers (M3).
        let map = unsafe { MmapOptions::new().offset(offset as u64).len(len).map_copy(&self.fd) };
        let map = map.map_err(|source| ShmError::MapSegment { bytes: len, source })?;
        Ok(Private::new(map.into()))
    }

    /// Keeps a mapping for the next time, if it still shows what the segment holds.
    pub(crate) fn keep_mapping(&self, private: Private) {
        let offset = self.len() - private.len();
        if private.is_untouched() {
            *self.kept() = Some((offset, private));
        }
    }

    #[cfg(test)]
    pub(crate) fn has_mapping(&self) -> bool {
        self.kept().is_some()
    }

    fn kept(&self) -> MutexGuard<'_, Option<(usize, Private)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The words with these indices, as atomics.
    pub fn words(&self, range: Range<usize>) -> Result<&[AtomicU64]> {
        let count = range.end.saturating_sub(range.start);
        let offset = range.start.saturating_mul(WORD);
        let first = self.at(offset, count.saturating_mul(WORD))?.cast::<AtomicU64>();
        // SAFETY: `at` has checked that all `count` words lie inside the mapping, which lives as long as
        // `self` (M1); it starts on a page and `offset` is a multiple of 8, so `first` is aligned; others
        // see these bytes as atomics only (M2).
        Ok(unsafe { slice::from_raw_parts(first, count) })
    }

    /// One word by its byte offset, which must be a multiple of 8.
    pub(crate) fn word_at(&self, offset: usize) -> Result<&AtomicU64> {
        debug_assert!(offset.is_multiple_of(WORD), "words lie on word boundaries");
        let index = offset / WORD;
        Ok(&self.words(index..index.saturating_add(1))?[0])
    }

    /// Writes into memory that may be fresh: through the descriptor where pages are missing, which is
    /// quicker and turns a shortage of memory into an error; by a plain copy where they are there.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.at(offset, bytes.len())?;
        let end = offset + bytes.len();
        // Relaxed: a hint about our own past writes; a stale value costs a slower copy.
        let settled = self.settled.load(Ordering::Relaxed);
        if end <= settled {
            return self.copy_in(offset, bytes);
        }
        if !memory::fill(self.fd(), offset as u64, bytes)
            .map_err(|errno| ShmError::FillSegment(errno.into()))?
        {
            self.copy_in(offset, bytes)?;
        }
        if offset <= settled {
            self.settled.fetch_max(end, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether these bytes stand there.
    pub(crate) fn holds(&self, offset: usize, bytes: &[u8]) -> bool {
        // SAFETY: this is the declaration of the standard's <string.h>.
        unsafe extern "C" {
            fn memcmp(one: *const u8, other: *const u8, len: usize) -> core::ffi::c_int;
        }
        let Ok(there) = self.at(offset, bytes.len()) else { return false };
        // SAFETY: both are readable for `bytes.len()` bytes (checked by `at`, and a slice is). Should the peer
        // write there meanwhile, which the protocol forbids, the answer is worth nothing, as are the bytes (M3).
        unsafe { memcmp(there, bytes.as_ptr(), bytes.len()) == 0 }
    }

    /// Writes what does not stand there yet; how many bytes that were.
    pub(crate) fn refresh(&self, offset: usize, bytes: &[u8]) -> Result<usize> {
        let (mut at, mut written) = (offset, 0);
        for part in bytes.chunks(COMPARED_AT_ONCE) {
            if !self.holds(at, part) {
                self.write(at, part)?;
                written += part.len();
            }
            at += part.len();
        }
        Ok(written)
    }

    /// Copies `bytes` to `offset` through the mapping.
    pub fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        let to = self.at(offset, bytes.len())?;
        // SAFETY: `to` has room for `bytes.len()` bytes (checked by `at`), which overlap no Rust object:
        // nobody holds a reference to payload bytes of a segment (M2, M3).
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Copies from `offset` until `into` is full.
    pub fn copy_out(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let from = self.at(offset, into.len())?;
        // SAFETY: `from` is readable for `into.len()` bytes (checked by `at`); `into` is exclusively ours
        // and no part of a mapping, of which nobody holds a `&mut [u8]` (M3).
        unsafe { from.copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    /// Copies `len` bytes from `offset` into a new vector.
    pub fn copy_out_to_vec(&self, offset: usize, len: usize) -> Result<Vec<u8>> {
        let from = self.at(offset, len)?;
        let mut bytes = Vec::<u8>::with_capacity(len);
        // SAFETY: `from` is readable for `len` bytes (checked by `at`), the vector has room for them and
        // is exclusively ours.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), len) };
        // SAFETY: the line above has initialised the first `len` bytes, within the capacity asked for.
        unsafe { bytes.set_len(len) };
        Ok(bytes)
    }

    /// Where `len` bytes at `offset` begin, if all of them lie inside.
    fn at(&self, offset: usize, len: usize) -> Result<*mut u8> {
        match offset.checked_add(len) {
            // SAFETY: `offset <= end <= len()`, so the pointer stays within the mapping or one past its
            // end (M1), and `len()` fits an `isize` (checked by `mappable` when it was mapped).
            Some(end) if end <= self.len() => Ok(unsafe { self.map.as_mut_ptr().add(offset) }),
            _ => Err(ShmError::OutOfBounds { offset, len, segment: self.len() }),
        }
    }
}

/// A size that an address space can hold, at least in principle.
fn mappable(bytes: u64) -> Result<usize> {
    match isize::try_from(bytes) {
        Ok(size) if size > 0 => Ok(size.unsigned_abs()),
        _ => Err(ShmError::SegmentSize { bytes }),
    }
}
