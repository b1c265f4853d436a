//! The worker's side: take a batch, run it, reply.
//!
//! The front end loops over [`Port::next_work`] and answers each [`Work::Task`] with
//! [`Port::reply`]. The port remembers which batch it is in and how long it takes, so the
//! front end does not. A worker written in Rust uses it just like Python's does.
//!
//! The items of a *careful* batch are run in steps (see [`Walk`]), between which results are
//! handed over with [`Port::part`].

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allcores_shm::Marks;

use crate::clock;
use crate::error::EngineError;
use crate::ids::{BatchId, Instance};
use crate::link::{self, LinkKind, PartOut, Reply, Task, WorkerEnd};
pub use crate::link::{Bed, Loose, Next, Work};
use crate::memory;
pub use crate::walk::Walk;

/// How often a worker looks how much memory it has had: that takes 20 µs.
const BETWEEN_LOOKS_AT_MEMORY: Duration = Duration::from_millis(10);

/// A worker's end of its link.
pub struct Port {
    end: Box<dyn WorkerEnd>,
    marks: Option<Marks>,
    current: Option<Current>,
    /// When it last looked how much memory it has had.
    looked: Option<Instant>,
}

/// The batch that runs.
struct Current {
    batch: BatchId,
    instance: Instance,
    since: Instant,
    /// How far it is, if it is a careful one.
    walk: Option<Arc<Walk>>,
}

impl Port {
    /// The worker's end over the descriptor that the parent's `open_link` returned.
    pub fn attach(kind: LinkKind, control: OwnedFd) -> Result<Port, EngineError> {
        memory::adopt_orphans();
        Ok(Port::over(link::attach(kind, control)?))
    }

    /// A port over a link's end made elsewhere.
    pub fn over(end: Box<dyn WorkerEnd>) -> Port {
        let marks = end.marks();
        Port { end, marks, current: None, looked: None }
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
            self.begin(task);
        }
        Ok(next)
    }

    fn begin(&mut self, task: &Task) {
        let since = clock::now();
        let walk = task.careful.then(|| {
            let walk = Walk::new(task.instance, task.items, self.marks.clone());
            if let Some(marks) = &self.marks {
                marks.begin(task.batch.0, task.instance.0, clock::now_ns());
            }
            Arc::new(walk)
        });
        self.current = Some(Current { batch: task.batch, instance: task.instance, since, walk });
        self.note_memory(since);
    }

    fn note_memory(&mut self, now: Instant) {
        let due = self.looked.is_none_or(|looked| now >= looked + BETWEEN_LOOKS_AT_MEMORY);
        if let Some(marks) = self.marks.as_ref().filter(|_| due) {
            self.looked = Some(now);
            memory::peak().inspect(|bytes| marks.set_peak(*bytes));
        }
    }

    /// Where to sleep until there may be something to do. If that slept, call [`Port::awake`].
    pub fn bed(&self) -> Bed {
        self.end.bed()
    }

    /// Looks, after sleeping, at what may have come beside the work.
    pub fn awake(&mut self) -> Result<(), EngineError> {
        match self.end.awake() {
            // The parent has gone; `try_next` says so.
            Err(EngineError::Closed) => Ok(()),
            other => other,
        }
    }

    /// Sleeps until there may be something to do, or a signal has arrived.
    pub fn wait(&mut self) -> Result<(), EngineError> {
        match self.bed().sleep() {
            Ok(true) => self.awake(),
            Ok(false) | Err(EngineError::Closed) => Ok(()),
            Err(error) => Err(error),
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

    /// The steps of the current batch, if it is a careful one: from now on its items run.
    pub fn walk(&mut self) -> Result<Option<Arc<Walk>>, EngineError> {
        let Some(walk) = self.current.as_ref().and_then(|current| current.walk.clone()) else {
            return Ok(None);
        };
        if self.marks.is_none() && walk.position().is_none() && !walk.is_over() {
            // Without marks an empty part says that the first item starts.
            self.hand_over(0, walk.items().start, &[], &[])?;
        }
        Ok(Some(walk))
    }

    /// The end of the items that are to be run of the current batch, if it is a careful one.
    pub fn stop(&self) -> Option<u32> {
        Some(self.current.as_ref()?.walk.as_ref()?.items().stop)
    }

    /// Hands over the results of all items of the current careful batch since the last part, up to the
    /// one that was started last.
    pub fn part(&mut self, tag: u32, bytes: &[u8], parcels: Loose<'_>) -> Result<(), EngineError> {
        let Some(walk) = self.current.as_ref().and_then(|current| current.walk.clone()) else {
            return Ok(());
        };
        let Some(stop) = walk.unflushed() else { return Ok(()) };
        self.hand_over(tag, stop, bytes, parcels)?;
        walk.flushed(stop);
        self.note_memory(clock::now());
        Ok(())
    }

    fn hand_over(
        &mut self,
        tag: u32,
        stop: u32,
        bytes: &[u8],
        parcels: Loose<'_>,
    ) -> Result<(), EngineError> {
        let Some(Current { batch, instance, .. }) = self.current else { return Ok(()) };
        match self.end.part(PartOut { batch, instance, tag, stop, bytes, parcels }) {
            Err(EngineError::Closed) => Ok(()),
            other => other,
        }
    }

    /// Answers the batch that the last call of `next_work` returned. A parent that has gone is
    /// not an error: the next `next_work` says so.
    pub fn reply(&mut self, tag: u32, bytes: &[u8]) -> Result<(), EngineError> {
        self.reply_with(tag, bytes, &[])
    }

    /// The same, with large buffers that go along.
    pub fn reply_with(
        &mut self,
        tag: u32,
        bytes: &[u8],
        parcels: Loose<'_>,
    ) -> Result<(), EngineError> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let busy = clock::now().saturating_duration_since(current.since);
        let Current { batch, instance, .. } = current;
        match self.end.reply(Reply { batch, instance, tag, busy, bytes, parcels }) {
            Err(EngineError::Closed) | Ok(()) => {
                if let Some(walk) = current.walk {
                    walk.end();
                }
                Ok(())
            }
            Err(error) => {
                // The answer did not fit; the front end may try a shorter one.
                self.current = Some(current);
                Err(error)
            }
        }
    }

    /// Says, between two batches, that this worker takes nothing more: it will be told to leave.
    pub fn retire(&mut self) -> Result<(), EngineError> {
        match self.end.retire() {
            Err(EngineError::Closed) => Ok(()),
            other => other,
        }
    }

    /// Words for the parent beside the answers.
    pub fn say(&mut self, words: &[u8]) -> Result<(), EngineError> {
        match self.end.say(words) {
            Err(EngineError::Closed) => Ok(()),
            other => other,
        }
    }
}
