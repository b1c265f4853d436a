//! Stops calls from another thread: whoever looks up asks whether the brake was pulled.

use allcores_shm::primitive::{Arc, AtomicBool, Ordering};

/// One brake for as many calls as are given it; a clone is the same brake.
#[derive(Clone, Default)]
pub struct Brake(Arc<AtomicBool>);

impl Brake {
    /// Stops what runs, and what begins. It can't be released.
    pub fn pull(&self) {
        // Relaxed: it carries nothing.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Was it pulled?
    #[must_use]
    pub fn is_pulled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
