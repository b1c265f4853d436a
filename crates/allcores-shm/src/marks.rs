//! Which item runs since when: four words that a worker writes and its parent reads at any time, above
//! all after the worker's death.
//!
//! ```text
//!   word 0  batch                                  begin writes all of them, around an UNSET place
//!   word 1  place: instance low, position high     at writes 2, then 1
//!   word 2  since, nanoseconds of the monotonic clock
//!   word 3  peak: the most memory that the worker has had, in bytes
//! ```
//!
//! A writer that dies in the middle leaves the older item with a newer time, or no place at all: both true
//! enough, for between two items nothing of the user runs. A living one is read twice, until both looks
//! agree; the time makes two different marks differ.
//!
//! What stands there is the worker's word. Whether it names a batch that it holds, and an item of it, is
//! for those who keep the books.

use crate::error::{Result, ShmError};
use crate::primitive::{AtomicU64, Ordering};
use crate::words::Words;

const BATCH: usize = 0;
const PLACE: usize = 1;
const SINCE: usize = 2;
const PEAK: usize = 3;
const COUNT: usize = 4;

/// A batch has been claimed and none of its items started.
const NOWHERE: u32 = u32::MAX;
/// No batch: the words are being changed, or nothing was ever marked. The worker's first word.
const UNSET: u64 = 0;
/// So that the first instance's first item does not look like [`UNSET`].
const SET: u64 = 1 << 31;
const INSTANCE: u64 = SET - 1;

/// A living worker's marks change while they are read; this often they are tried again.
const TRIES: u32 = 64;

/// What a worker says that it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The batch that it claimed last.
    pub batch: u64,
    /// Which attempt at it, without its highest bit.
    pub instance: u32,
    /// The item that it started last; `None` before the first.
    pub position: Option<u32>,
    /// Since when, in nanoseconds of the monotonic clock.
    pub since_ns: u64,
}

impl Mark {
    /// Whether it speaks of this attempt at this batch.
    pub fn names(&self, batch: u64, instance: u32) -> bool {
        self.batch == batch && u64::from(self.instance) == u64::from(instance) & INSTANCE
    }
}

/// The marks of one worker, for it to write and for its parent to read.
#[derive(Clone, Debug)]
pub struct Marks {
    words: Words,
}

impl Marks {
    /// The marks in the first of `words`.
    pub fn new(words: Words) -> Result<Self> {
        match words.cells().len() {
            count if count < COUNT => Err(ShmError::WordCount { words: count }),
            _ => Ok(Self { words }),
        }
    }

    /// How many words they need.
    pub const WORDS: usize = COUNT;

    /// Worker: a batch has been claimed.
    pub fn begin(&self, batch: u64, instance: u32, now_ns: u64) {
        let cells = self.words.cells();
        cells[PLACE].store(UNSET, Ordering::Relaxed);
        // SYNC: MARK. Who sees the new batch sees that the old place is gone.
        cells[BATCH].store(batch, Ordering::Release);
        set(cells, instance, NOWHERE, now_ns);
    }

    /// Worker: an item of the batch that began last starts now.
    pub fn at(&self, instance: u32, position: u32, now_ns: u64) {
        set(self.words.cells(), instance, position, now_ns);
    }

    /// Worker: the most memory it has had.
    pub fn set_peak(&self, bytes: u64) {
        // Relaxed: a number by itself.
        self.words.cells()[PEAK].store(bytes, Ordering::Relaxed);
    }

    /// Parent: the most memory the worker says it has had; `None` if it has not said.
    pub fn peak(&self) -> Option<u64> {
        Some(self.words.cells()[PEAK].load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Parent: what the worker is doing; `None` if nothing is marked, or it changes all the time.
    pub fn read(&self) -> Option<Mark> {
        let mut last = self.look();
        for _ in 0..TRIES {
            let again = self.look();
            if again == last {
                return again;
            }
            last = again;
        }
        None
    }

    fn look(&self) -> Option<Mark> {
        let cells = self.words.cells();
        // SYNC: MARK. The place first: the time that goes with it, or a later one, is visible then.
        let place = cells[PLACE].load(Ordering::Acquire);
        // SYNC: MARK. Before the second look at the place, which shows if this is another batch.
        let batch = cells[BATCH].load(Ordering::Acquire);
        let since_ns = cells[SINCE].load(Ordering::Acquire);
        let position = (place >> 32) as u32;
        (place & SET != 0).then(|| Mark {
            batch,
            instance: (place & INSTANCE) as u32,
            position: (position != NOWHERE).then_some(position),
            since_ns,
        })
    }
}

fn set(cells: &[AtomicU64], instance: u32, position: u32, now_ns: u64) {
    // SYNC: MARK. Released, so that who sees this time sees the batch it belongs to, and the unset place.
    cells[SINCE].store(now_ns, Ordering::Release);
    let place = u64::from(position) << 32 | SET | u64::from(instance) & INSTANCE;
    // SYNC: MARK. The item does not start before this is visible.
    cells[PLACE].store(place, Ordering::Release);
}
