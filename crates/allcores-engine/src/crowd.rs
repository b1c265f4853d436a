//! When many slots have gone, the memory of their time goes back to the system.
//!
//! A waiting batch is some hundred bytes in several small pieces, and its slot is the piece that lives
//! longest: as long as somebody holds its future. Free pages between slots stay with the C library
//! until it is asked for them (`give_free_memory_back`), so it is asked when of a crowd few are left.

use allcores_shm::primitive::{AtomicBool, AtomicUsize, Ordering};

/// So many slots are a crowd.
const CROWD: usize = 100_000;

/// It has gone when so few are left.
const FEW: usize = 1_000;

/// The slots of all pools of this process.
pub(crate) struct Crowd {
    alive: AtomicUsize,
    is_large: AtomicBool,
}

impl Crowd {
    pub(crate) const fn new() -> Crowd {
        Crowd { alive: AtomicUsize::new(0), is_large: AtomicBool::new(false) }
    }

    /// One more.
    pub(crate) fn enter(&self) {
        // Counting is all that happens here: nothing is read or written because of the count.
        if self.alive.fetch_add(1, Ordering::Relaxed) + 1 == CROWD {
            self.is_large.store(true, Ordering::Relaxed);
        }
    }

    /// One less; whether that was the end of a crowd.
    pub(crate) fn leave(&self) -> bool {
        self.alive.fetch_sub(1, Ordering::Relaxed) == FEW + 1
            && self.is_large.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(crowd: &Crowd, leaving: usize) -> usize {
        (0..leaving).filter(|_| crowd.leave()).count()
    }

    #[test]
    fn the_end_of_a_crowd_is_told_once() {
        let crowd = Crowd::new();
        for _ in 0..3 {
            (0..CROWD).for_each(|_| crowd.enter());
            assert_eq!(ends(&crowd, CROWD - FEW - 1), 0);
            assert_eq!(ends(&crowd, 1), 1);
            assert_eq!(ends(&crowd, FEW), 0);
        }
    }

    #[test]
    fn few_are_no_crowd() {
        let crowd = Crowd::new();
        for _ in 0..1_000 {
            (0..2 * FEW).for_each(|_| crowd.enter());
            assert_eq!(ends(&crowd, 2 * FEW), 0);
        }
    }
}
