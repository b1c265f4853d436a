//! The worker's side: take a batch, run it, reply.
//!
//! The front end loops over [`Port::next_work`] and answers each [`Work::Task`] with
//! [`Port::reply`]. The port remembers which batch it is in and how long it takes, so the
//! front end does not. A worker written in Rust uses it just like Python's does.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use crate::clock;
use crate::error::EngineError;
use crate::ids::{BatchId, Instance};
use crate::link::{self, LinkKind, Reply, WorkerEnd};
pub use crate::link::{Next, Work};

/// A worker's end of its link.
pub struct Port {
    end: Box<dyn WorkerEnd>,
    current: Option<(BatchId, Instance, Instant)>,
}

impl Port {
    /// The worker's end over the descriptor that the parent's `open_link` returned.
    pub fn attach(kind: LinkKind, control: OwnedFd) -> Result<Port, EngineError> {
        Ok(Port::over(link::attach(kind, control)?))
    }

    /// A port over a link's end made elsewhere.
    pub fn over(end: Box<dyn WorkerEnd>) -> Port {
        Port { end, current: None }
    }

    /// The control socket, which no forked child may keep open.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.end.fd()
    }

    /// Says that this worker takes work.
    pub fn ready(&mut self) -> Result<(), EngineError> {
        self.end.ready()
    }

    /// Says that this worker could not get ready, and why.
    pub fn start_failed(&mut self, why: &[u8]) -> Result<(), EngineError> {
        self.end.start_failed(why)
    }

    /// The next thing to do, if it is here.
    pub fn try_next(&mut self) -> Result<Next, EngineError> {
        let next = match self.end.try_next() {
            Ok(next) => next,
            Err(EngineError::Closed) => Next::Leave,
            Err(error) => return Err(error),
        };
        if let Next::Work(Work::Task { task, .. }) = &next {
            self.current = Some((task.batch, task.instance, clock::now()));
        }
        Ok(next)
    }

    /// Sleeps until there may be something to do, or a signal has arrived.
    pub fn wait(&mut self) -> Result<(), EngineError> {
        match self.end.wait() {
            // The parent has gone; `try_next` says so.
            Err(EngineError::Closed) => Ok(()),
            other => other,
        }
    }

    /// The next thing to do; waits for it. `None`: leave.
    pub fn next_work(&mut self) -> Result<Option<Work>, EngineError> {
        loop {
            match self.try_next()? {
                Next::Work(work) => return Ok(Some(work)),
                Next::Leave => return Ok(None),
                Next::Nothing => self.wait()?,
            }
        }
    }

    /// Answers the batch that the last call of `next_work` returned. A parent that has gone is
    /// not an error: the next `next_work` says so.
    pub fn reply(&mut self, tag: u32, bytes: &[u8]) -> Result<(), EngineError> {
        let Some((batch, instance, since)) = self.current.take() else { return Ok(()) };
        let busy = clock::now().saturating_duration_since(since);
        match self.end.reply(Reply { batch, instance, tag, busy, bytes }) {
            Err(EngineError::Closed) => Ok(()),
            Err(error) => {
                // The answer did not fit; the front end may try a shorter one.
                self.current = Some((batch, instance, since));
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}
