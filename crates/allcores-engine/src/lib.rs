//! The pool of worker processes, with no Python in it.
//!
//! The story of a batch: [`Pool::submit`] gives it to the pure
//! [`Scheduler`](scheduler::Scheduler), whose actions the pool carries out over one
//! [link](link) per worker. In the worker a [`Port`] takes it, runs it and replies. The
//! [collector](collector) thread drains the replies, tells the scheduler, refills the
//! worker and completes the batch's [`Slot`], which wakes whoever waits for it.
//!
//! Payloads are bytes without meaning here; what a `tag` says about them is agreed
//! between the two front ends. Nothing in this crate starts a process: the front end
//! does, and hands the child its end of a control socket ([`Pool::open_link`]).
#![forbid(unsafe_code)]

pub mod batch;
pub mod clock;
pub mod collector;
mod core;
pub mod error;
pub mod ids;
pub mod link;
pub mod notices;
pub mod payload;
pub mod pool;
pub mod port;
pub mod scheduler;
pub mod slot;
pub mod supervisor;

pub use allcores_shm::{duplicate, primitive};
pub use batch::Batch;
pub use error::{EngineError, Failure, SubmitError};
pub use ids::{BatchId, FnId, Instance, WorkerId};
pub use link::LinkKind;
pub use notices::Notice;
pub use payload::{Body, Payload};
pub use pool::{Pool, PoolConfig};
pub use port::{Port, Work};
pub use slot::{Outcome, Slot, Stage};
