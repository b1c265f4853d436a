//! A block's first word: lent, or free again. The only word of an arena that its reader writes.
//!
//! ```text
//!            lend (owner)              free (reader, or owner)        the owner sees it: reuse
//!   spare ───────────────► LENT·g ───────────────────────────► FREE·g ───────────────────────► spare
//! ```
//!
//! The word is `generation << 1 | free`. The generation names one lending: freeing is a compare-and-swap
//! from `LENT·g`, so a late or doubled free of an earlier lending changes nothing. Zeroed memory is generation
//! 0, which is never lent.

use crate::primitive::{AtomicU64, Ordering};

const FREE: u64 = 1;

/// The header of one block.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a AtomicU64);

impl<'a> Header<'a> {
    /// The header in this word.
    pub fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    /// Owner: begins a lending, before the block is published.
    pub fn lend(self, generation: u64) {
        // Relaxed: the reader learns of the block through a ring, whose SLOT-FILLED publishes this too.
        self.0.store(generation << 1, Ordering::Relaxed);
    }

    /// Whether this lending is still on.
    pub fn is_lent(self, generation: u64) -> bool {
        // Relaxed: a reader asks after the ring's SLOT-FILLED; nothing else hangs on it.
        self.0.load(Ordering::Relaxed) == generation << 1
    }

    /// Reader (or the owner in its stead): ends this lending. False if it had ended before.
    pub fn free(self, generation: u64) -> bool {
        let lent = generation << 1;
        // SYNC: BLOCK-FREED. Pairs with the load in `is_free`: our reads of the block's bytes come before
        // the owner's next writes.
        self.0.compare_exchange(lent, lent | FREE, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Owner: whether this lending has ended.
    pub fn is_free(self, generation: u64) -> bool {
        // SYNC: BLOCK-FREED. Pairs with the swap in `free`.
        self.0.load(Ordering::Acquire) == generation << 1 | FREE
    }
}
