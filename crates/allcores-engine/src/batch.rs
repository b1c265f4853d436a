//! A batch as the scheduler sees it: who it is and how heavy, never what is in it.

use crate::ids::{BatchId, FnId, Instance};

/// One message to a worker: some calls of one function, whose payload the engine never looks into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Unique in the pool's life.
    pub id: BatchId,
    /// The registered function that its items call; `None` if the payload brings its own.
    pub function: Option<FnId>,
    /// How many items it holds; durations are learned per item.
    pub count: u32,
    /// The payload's size.
    pub bytes: u64,
    /// [`Instance::FIRST`] when it is submitted; the scheduler counts on from there.
    pub instance: Instance,
}
