//! A ring of messages for one producer and one consumer, on words.
//!
//! ```text
//!   line 0: head   (consumer writes)     how many messages were taken, ever
//!   line 1: tail   (producer writes)     how many messages were put, ever
//!   then  : slots  (producer writes)     capacity × 8 words; message n lies in slot n mod capacity
//! ```
//!
//! The counts only grow and wrap at 2^64. *Empty* is `head == tail`, *full* is `tail - head == capacity`.
//!
//! Each end keeps its own count **privately**: what stands in shared memory is a copy for the peer, never
//! read back. It also remembers the peer's last count and looks again only when that one says *full* (or
//! *empty*), so in a busy stream most operations touch no line that the other core is writing. A peer's
//! count is believed only if it could be true (it goes forward and the distance fits the ring), else the
//! ring is [`RingError::Corrupt`] and its peer is to be treated as dead. A slot's content is not judged
//! here: `descriptor` does that.
//!
//! What this does **not** do: block, wake (`bell`), or count credit. By the engine's credit a full task
//! ring is a bug; a worker looks for room before it says more than was asked.

use crate::descriptor::MESSAGE_WORDS;
use crate::error::{Result, ShmError};
use crate::primitive::{AtomicU64, Ordering};
use crate::words::{LINE, Words};

const HEAD: usize = 0;
const TAIL: usize = LINE;
const SLOTS: usize = 2 * LINE;

/// Why a ring refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// No slot is free until the consumer takes a message.
    #[error("the ring is full")]
    Full,
    /// The peer's count cannot be true. It is never repaired: treat the peer as dead.
    #[error("the ring's peer wrote an impossible position")]
    Corrupt,
}

/// How many words a ring of `capacity` messages needs.
pub const fn ring_words(capacity: usize) -> usize {
    SLOTS + capacity * MESSAGE_WORDS
}

/// Both ends over the same fresh (zeroed) words.
pub fn ring(words: Words) -> Result<(Producer, Consumer)> {
    Ok((Producer::new(words.clone())?, Consumer::new(words)?))
}

/// The capacity of a ring on so many words: a power of two, or there is none.
fn capacity_of(words: &Words) -> Result<u64> {
    let count = words.cells().len();
    let slots = count.saturating_sub(SLOTS) / MESSAGE_WORDS;
    if slots.is_power_of_two() && count == ring_words(slots) {
        Ok(slots as u64)
    } else {
        Err(ShmError::WordCount { words: count })
    }
}

/// The words of message number `count`.
fn slot(cells: &[AtomicU64], capacity: u64, count: u64) -> &[AtomicU64] {
    // The mask keeps it inside for any count.
    let start = SLOTS + (count & (capacity - 1)) as usize * MESSAGE_WORDS;
    &cells[start..start + MESSAGE_WORDS]
}

/// The end that puts messages in. There must be one per ring, made while the ring is fresh.
#[derive(Debug)]
pub struct Producer {
    words: Words,
    capacity: u64,
    /// How many messages we have put.
    tail: u64,
    /// How many the consumer had taken when we last looked.
    head_seen: u64,
}

impl Producer {
    /// The producer of a fresh (zeroed) ring.
    pub fn new(words: Words) -> Result<Self> {
        let capacity = capacity_of(&words)?;
        Ok(Self { words, capacity, tail: 0, head_seen: 0 })
    }

    /// Whether more than `kept` slots are free.
    pub fn has_room(&mut self, kept: u64) -> std::result::Result<bool, RingError> {
        if self.capacity - self.tail.wrapping_sub(self.head_seen) > kept {
            return Ok(true);
        }
        self.look()?;
        Ok(self.capacity - self.tail.wrapping_sub(self.head_seen) > kept)
    }

    fn look(&mut self) -> std::result::Result<(), RingError> {
        // SYNC: SLOT-EMPTIED. Pairs with the store in `pop`: the consumer has read the slots below
        // `head`, so overwriting them cannot reach into its reads.
        let head = self.words.cells()[HEAD].load(Ordering::Acquire);
        if self.tail.wrapping_sub(head) > self.capacity {
            return Err(RingError::Corrupt);
        }
        self.head_seen = head;
        Ok(())
    }

    /// Puts one message in. It is visible to the consumer when this returns; ringing is the caller's job.
    pub fn push(&mut self, message: &[u64; MESSAGE_WORDS]) -> std::result::Result<(), RingError> {
        if self.tail.wrapping_sub(self.head_seen) == self.capacity {
            self.look()?;
            if self.tail.wrapping_sub(self.head_seen) == self.capacity {
                return Err(RingError::Full);
            }
        }
        let cells = self.words.cells();
        for (cell, word) in slot(cells, self.capacity, self.tail).iter().zip(message) {
            // Relaxed: published by the store of `tail` below.
            cell.store(*word, Ordering::Relaxed);
        }
        self.tail = self.tail.wrapping_add(1);
        // SYNC: SLOT-FILLED. Pairs with the load in `look`: whoever sees this count sees the slot's words,
        // and every payload byte, segment announcement and claim cell that was written before the push.
        cells[TAIL].store(self.tail, Ordering::Release);
        Ok(())
    }
}

/// The end that takes messages out. There must be one per ring, made while the ring is fresh.
#[derive(Debug)]
pub struct Consumer {
    words: Words,
    capacity: u64,
    /// How many messages we have taken.
    head: u64,
    /// How many the producer had put when we last looked.
    tail_seen: u64,
}

impl Consumer {
    /// The consumer of a fresh (zeroed) ring.
    pub fn new(words: Words) -> Result<Self> {
        let capacity = capacity_of(&words)?;
        Ok(Self { words, capacity, head: 0, tail_seen: 0 })
    }

    /// Takes the oldest message out, if there is one.
    pub fn pop(&mut self) -> std::result::Result<Option<[u64; MESSAGE_WORDS]>, RingError> {
        if self.head == self.tail_seen {
            let tail = self.look();
            if tail.wrapping_sub(self.head) > self.capacity {
                return Err(RingError::Corrupt);
            }
            self.tail_seen = tail;
            if tail == self.head {
                return Ok(None);
            }
        }
        let cells = self.words.cells();
        let mut message = [0; MESSAGE_WORDS];
        for (word, cell) in message.iter_mut().zip(slot(cells, self.capacity, self.head)) {
            // Relaxed: ordered by the load of `tail` in `look`.
            *word = cell.load(Ordering::Relaxed);
        }
        self.head = self.head.wrapping_add(1);
        // SYNC: SLOT-EMPTIED. Pairs with the load in `push`: our reads of the slot come before its reuse.
        cells[HEAD].store(self.head, Ordering::Release);
        Ok(Some(message))
    }

    /// Whether there is nothing to take right now. A corrupt ring is not empty: `pop` will say so.
    pub fn is_empty(&self) -> bool {
        self.head == self.tail_seen && self.look() == self.head
    }

    /// How many messages were taken.
    pub fn taken(&self) -> u64 {
        self.head
    }

    /// What shows whether there are more, even to another thread.
    pub fn glimpse(&self) -> Glimpse {
        Glimpse { words: self.words.clone() }
    }

    fn look(&self) -> u64 {
        // SYNC: SLOT-FILLED. Pairs with the store in `push`: the words of all slots below are visible.
        self.words.cells()[TAIL].load(Ordering::Acquire)
    }
}

/// A look at a ring from beside its consumer.
#[derive(Clone, Debug)]
pub struct Glimpse {
    words: Words,
}

impl Glimpse {
    /// Whether more messages were put than `taken`. A corrupt ring has more, too.
    pub fn has_more(&self, taken: u64) -> bool {
        // SYNC: SLOT-FILLED. Like the load in `look`; who pops looks again.
        self.words.cells()[TAIL].load(Ordering::Acquire) != taken
    }
}
