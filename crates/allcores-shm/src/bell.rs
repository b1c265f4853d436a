//! The sleep flag: who sleeps says so first, who brings work looks, and no wake-up is lost.
//!
//! ```text
//!   sleeper                                ringer
//!   1. about_to_sleep: flag := SLEEPY      1. publish (push to a ring)
//!   2.                 fence SeqCst        2. must_ring: fence SeqCst
//!   3. look at the rings again             3.            flag SLEEPY? swap it to AWAKE
//!   4. nothing: sleep on the socket        4. the swap saw SLEEPY: send one wake byte
//!   5. awake: flag := AWAKE, look
//! ```
//!
//! The two fences are totally ordered. If the sleeper's comes first, the ringer's load sees `SLEEPY` (or a
//! later value, written by someone who rings in its stead, or by the sleeper who is awake). If the ringer's comes
//! first, the sleeper's second look sees the work. The swap lets exactly one of many ringers send.
//!
//! The fences are explicit because loom models `fence(SeqCst)` fully but `SeqCst` accesses as weaker.
//! There is no I/O here: the byte goes through `control`, in the model through loom's `Condvar`.

use crate::error::{Result, ShmError};
use crate::primitive::{AtomicU64, Ordering, fence};
use crate::words::Words;

/// The sleeper is looking, or will look before it sleeps. Anybody may enter this state.
const AWAKE: u64 = 0;
/// The sleeper sleeps or is about to. Only the sleeper enters it; any other value counts as [`AWAKE`].
const SLEEPY: u64 = 1;

/// One sleeper's flag. The sleeper and its ringers hold a `Bell` over the same word.
#[derive(Clone, Debug)]
pub struct Bell {
    words: Words,
}

impl Bell {
    /// A bell whose flag is the first of `words`.
    pub fn new(words: Words) -> Result<Self> {
        match words.cells().len() {
            0 => Err(ShmError::WordCount { words: 0 }),
            _ => Ok(Self { words }),
        }
    }

    /// Sleeper: announces sleep. Look at every source of work once more after this, then sleep.
    pub fn about_to_sleep(&self) {
        // Relaxed: the fence below orders it.
        self.flag().store(SLEEPY, Ordering::Relaxed);
        // SYNC: SLEEP. Pairs with the fence in `must_ring`: of two fences one comes first, so either our
        // second look sees the work or the ringer sees the flag.
        fence(Ordering::SeqCst);
    }

    /// Sleeper: takes the announcement back, slept or not. True if somebody rang meanwhile: then a wake
    /// byte is in the socket or on its way and should be read when it is there.
    pub fn awake(&self) -> bool {
        // Relaxed: publishes nothing. A ringer that misses it sends one byte too many.
        self.flag().swap(AWAKE, Ordering::Relaxed) != SLEEPY
    }

    /// Ringer: to be asked after publishing. True: send one wake byte.
    #[must_use = "true means that the sleeper waits for a wake byte"]
    pub fn must_ring(&self) -> bool {
        // SYNC: SLEEP. Pairs with the fence in `about_to_sleep`.
        fence(Ordering::SeqCst);
        // The load spares a busy sleeper's line the write. Relaxed: ordered by the fence.
        self.flag().load(Ordering::Relaxed) == SLEEPY
            && self.flag().swap(AWAKE, Ordering::Relaxed) == SLEEPY
    }

    fn flag(&self) -> &AtomicU64 {
        &self.words.cells()[0]
    }
}
