//! One word per pre-sent batch decides whether it starts or is taken back. Never both, never neither.
//!
//! ```text
//!                    offer                claim
//!   (any, finished) ───────► Queued ────────────────► Claimed      the worker runs it
//!                              │        cancel
//!                              └────────────────────► Cancelled    the worker will skip it
//! ```
//!
//! The word is `generation << 2 | state`. The parent numbers its offers; every step names the generation
//! it means, so a late worker cannot claim the batch that took over its cell. `Queued` is left by one
//! compare-and-swap: whoever makes it, wins. Cancelling therefore needs no message and works on a worker
//! that is busy with something else; and a dead worker's batches divide by this word into those that had
//! started and those that had not.

use crate::primitive::{AtomicU64, Ordering};

/// How many cells a link has: the most batches that can be under way to one worker.
pub const CLAIM_CELLS: usize = 64;

/// The largest generation that a cell can hold.
pub const MAX_GENERATION: u64 = u64::MAX >> STATE_BITS;

const STATE_BITS: u32 = 2;
/// The parent offers; either side may leave.
const QUEUED: u64 = 1;
/// The worker has started; final for its generation.
const CLAIMED: u64 = 2;
/// The parent has taken it back; final for its generation.
const CANCELLED: u64 = 3;

/// What a cell says about one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// Offered, not started.
    Queued,
    /// Started by the worker: it may run to its end.
    Claimed,
    /// Taken back before it started.
    Cancelled,
    /// The cell speaks of another generation, of none, or nonsense.
    Stale,
}

/// A cell, for as long as one looks at it.
#[derive(Clone, Copy, Debug)]
pub struct ClaimCell<'a>(&'a AtomicU64);

impl<'a> ClaimCell<'a> {
    /// The cell in this word.
    pub fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    /// Parent: offers a new generation, whatever the cell held. The descriptor is pushed after this.
    pub fn offer(self, generation: u64) {
        debug_assert!(generation <= MAX_GENERATION, "a generation has 62 bits");
        // SYNC: CLAIM. Release, though the ring's SLOT-FILLED orders it too: the cell is right by itself.
        self.0.store(word(generation, QUEUED), Ordering::Release);
    }

    /// Parent: takes the offer back. True: it had not started and never will.
    pub fn cancel(self, generation: u64) -> bool {
        self.leave_queued(generation, CANCELLED)
    }

    /// Worker: starts. False: it was cancelled, or the cell has moved on; skip the batch.
    pub fn claim(self, generation: u64) -> bool {
        self.leave_queued(generation, CLAIMED)
    }

    /// How it stands, for `running()` and for the books after a death.
    pub fn state(self, generation: u64) -> ClaimState {
        // SYNC: CLAIM. What the side that left `Queued` did before is visible.
        let found = self.0.load(Ordering::Acquire);
        match (found >> STATE_BITS == generation, found & ((1 << STATE_BITS) - 1)) {
            (true, QUEUED) => ClaimState::Queued,
            (true, CLAIMED) => ClaimState::Claimed,
            (true, CANCELLED) => ClaimState::Cancelled,
            _ => ClaimState::Stale,
        }
    }

    fn leave_queued(self, generation: u64, to: u64) -> bool {
        debug_assert!(generation <= MAX_GENERATION, "a generation has 62 bits");
        let queued = word(generation, QUEUED);
        // SYNC: CLAIM. The winner sees what came before the offer, and shows what it did before.
        self.0
            .compare_exchange(queued, word(generation, to), Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

fn word(generation: u64, state: u64) -> u64 {
    generation << STATE_BITS | state
}
