//! What lies where in the two kinds of control segments.
//!
//! ```text
//!   link segment, one per worker, made by the parent          pool segment, one per pool
//!   ┌──────────────────────────────────────┐                  ┌─────────────────────────┐
//!   │ magic, version                       │ line 0           │ magic, version          │ line 0
//!   │ the worker's sleep flag              │ line 1           │ the collector's flag    │ line 1
//!   │ task ring    parent → worker         │ 128 slots        └─────────────────────────┘
//!   │ result ring  worker → parent         │ 128 slots
//!   │ claim cells                          │ 64 words
//!   │ the worker's marks                   │ last line
//!   └──────────────────────────────────────┘
//! ```
//!
//! Words that different processes write lie on different 128-byte lines. The offsets are constants of the
//! version: a segment is opened only if its magic and version agree, and its size is checked once, when
//! the parts are cut.

use std::ops::Range;

use crate::claim::CLAIM_CELLS;
use crate::error::{Result, ShmError};
use crate::marks::Marks;
use crate::primitive::{Arc, Ordering};
use crate::ring::ring_words;
use crate::segment::{Segment, WORD};
use crate::words::{LINE, Words};

/// Slots of the ring from parent to worker. A worker's credit is smaller.
pub const TASK_RING: usize = 128;
/// Slots of the ring from worker to parent. At least as many as a worker can answer on its credit.
pub const RESULT_RING: usize = 128;

/// The id under which a link segment is announced; no arena hands out ids that high.
pub const LINK_SEGMENT: u32 = u32::MAX;
/// The id under which a pool segment is announced.
pub const POOL_SEGMENT: u32 = u32::MAX - 1;

/// To be raised whenever an offset, a message or a state changes its meaning.
const VERSION: u64 = 2;
const LINK_MAGIC: u64 = u64::from_le_bytes(*b"ac-link\0");
const POOL_MAGIC: u64 = u64::from_le_bytes(*b"ac-pool\0");

const MAGIC_WORD: usize = 0;
const VERSION_WORD: usize = 1;

const FLAG: Range<usize> = LINE..LINE + 1;
const TASKS: Range<usize> = 2 * LINE..2 * LINE + ring_words(TASK_RING);
const RESULTS: Range<usize> = TASKS.end..TASKS.end + ring_words(RESULT_RING);
const CLAIMS: Range<usize> = RESULTS.end..RESULTS.end + CLAIM_CELLS;
const MARKS: Range<usize> = CLAIMS.end..CLAIMS.end + LINE;
const LINK_WORDS: usize = MARKS.end;
const POOL_WORDS: usize = 2 * LINE;

const _: () = assert!(TASK_RING.is_power_of_two() && RESULT_RING.is_power_of_two());
const _: () = assert!(TASKS.start.is_multiple_of(LINE), "the task ring starts a line");
const _: () = assert!(RESULTS.start.is_multiple_of(LINE), "the result ring starts a line");
const _: () = assert!(CLAIMS.start.is_multiple_of(LINE), "the claim cells start a line");
const _: () = assert!(MARKS.start.is_multiple_of(LINE), "the marks start a line");
const _: () = assert!(Marks::WORDS <= LINE, "the marks fit their line");

/// A link segment and its parts.
#[derive(Clone, Debug)]
pub struct LinkLayout {
    /// The segment itself, to be announced to the worker.
    pub segment: Arc<Segment>,
    /// For the parent's `Producer` and the worker's `Consumer`.
    pub task_ring: Words,
    /// For the worker's `Producer` and the parent's `Consumer`.
    pub result_ring: Words,
    /// For the `Bell` of which the worker is the sleeper.
    pub worker_flag: Words,
    /// One word per `ClaimCell`.
    pub claims: Words,
    /// For the `Marks`.
    pub marks: Words,
}

impl LinkLayout {
    /// Parent: a fresh link.
    pub fn create() -> Result<Self> {
        Self::cut(created(LINK_WORDS, LINK_MAGIC)?)
    }

    /// Worker: the link in a segment that the parent has sent.
    pub fn open(segment: Segment) -> Result<Self> {
        Self::cut(opened(segment, LINK_MAGIC)?)
    }

    fn cut(segment: Arc<Segment>) -> Result<Self> {
        Ok(Self {
            task_ring: Words::in_segment(&segment, TASKS)?,
            result_ring: Words::in_segment(&segment, RESULTS)?,
            worker_flag: Words::in_segment(&segment, FLAG)?,
            claims: Words::in_segment(&segment, CLAIMS)?,
            marks: Words::in_segment(&segment, MARKS)?,
            segment,
        })
    }
}

/// A pool segment and its one part.
#[derive(Clone, Debug)]
pub struct PoolLayout {
    /// The segment itself, to be announced to every worker.
    pub segment: Arc<Segment>,
    /// For the `Bell` of which the parent's collector is the sleeper, and every worker a ringer.
    pub collector_flag: Words,
}

impl PoolLayout {
    /// Parent: a fresh one.
    pub fn create() -> Result<Self> {
        Self::cut(created(POOL_WORDS, POOL_MAGIC)?)
    }

    /// Worker: the one in a segment that the parent has sent.
    pub fn open(segment: Segment) -> Result<Self> {
        Self::cut(opened(segment, POOL_MAGIC)?)
    }

    fn cut(segment: Arc<Segment>) -> Result<Self> {
        Ok(Self { collector_flag: Words::in_segment(&segment, FLAG)?, segment })
    }
}

fn created(words: usize, magic: u64) -> Result<Arc<Segment>> {
    let segment = Segment::create(words * WORD)?;
    let header = segment.words(0..LINE)?;
    // Relaxed: the worker learns of the segment through a system call, which orders more than enough.
    header[MAGIC_WORD].store(magic, Ordering::Relaxed);
    header[VERSION_WORD].store(VERSION, Ordering::Relaxed);
    Ok(Arc::new(segment))
}

fn opened(segment: Segment, magic: u64) -> Result<Arc<Segment>> {
    let header = segment.words(0..LINE)?;
    let found = header[MAGIC_WORD].load(Ordering::Relaxed);
    if found != magic {
        return Err(ShmError::Magic { expected: magic, found });
    }
    let found = header[VERSION_WORD].load(Ordering::Relaxed);
    if found != VERSION {
        return Err(ShmError::Version { expected: VERSION, found });
    }
    Ok(Arc::new(segment))
}
