//! The pool of worker processes, with no Python in it.
//!
//! The story of a batch: [`Pool::submit`] gives it to the pure
//! [`Scheduler`](scheduler::Scheduler), whose actions the pool carries out over one
//! [link] per worker. In the worker a [`Port`] takes it, runs it and replies. The
//! [collector] thread drains the replies, tells the scheduler, refills the
//! worker and completes the batch's [`Slot`], which wakes whoever waits for it.
//!
//! Payloads are bytes without meaning here; what a `tag` says about them is agreed
//! between the two front ends. Nothing in this crate starts a process: the front end
//! does, and hands the child its end of a control socket ([`Pool::open_link`]).
//!
//! Under `cfg(loom)` only what has no system under it is there: slots, notices, scheduler.
#![forbid(unsafe_code)]

pub mod batch;
#[cfg(not(loom))]
mod care;
pub mod clock;
#[cfg(not(loom))]
mod collector;
#[cfg(not(loom))]
mod core;
#[cfg(not(loom))]
mod crowd;
#[cfg(not(loom))]
mod ears;
pub mod error;
pub mod ids;
#[cfg(not(loom))]
mod limits;
#[cfg(not(loom))]
pub mod link;
#[cfg(not(loom))]
mod memory;
pub mod notices;
#[cfg(not(loom))]
pub mod payload;
/// All that a model of a slot needs of its bytes.
#[cfg(loom)]
pub mod payload {
    /// Bytes that have arrived.
    #[derive(Debug)]
    pub struct Body;
    /// Bytes that wait to be sent.
    #[derive(Debug)]
    pub struct Payload;
}
#[cfg(not(loom))]
pub mod pool;
#[cfg(not(loom))]
pub mod port;
pub mod scheduler;
pub mod slot;
#[cfg(not(loom))]
pub mod supervisor;
mod table;
pub mod tally;
#[cfg(not(loom))]
pub mod traffic;
#[cfg(not(loom))]
pub mod waker;
#[cfg(not(loom))]
mod walk;

pub use allcores_shm::primitive;
#[cfg(not(loom))]
pub use allcores_shm::{Depot, Region, duplicate, expect_objects_of, note_fork};
pub use batch::{Batch, Cost, Items};
#[cfg(not(loom))]
pub use care::Terms;
pub use error::{EngineError, Failure, SubmitError};
pub use ids::{BatchId, FnId, Instance, WorkerId};
#[cfg(not(loom))]
pub use link::LinkKind;
pub use notices::Notice;
#[cfg(not(loom))]
pub use payload::{Arrived, Body, Parcel, Payload, Shipment};
#[cfg(not(loom))]
pub use pool::{Pool, PoolConfig};
#[cfg(not(loom))]
pub use port::{Port, Walk, Work};
pub use slot::{Outcome, Part, PartResult, Slot, Stage};
pub use tally::Tally;
