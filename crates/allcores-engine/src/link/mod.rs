//! The way between the parent and one worker.
//!
//! ```text
//!   parent                                             worker
//!   Sender   (under the core lock)      ── task ──►    WorkerEnd
//!   Receiver (the collector's own)      ◄─ answer ──
//! ```
//!
//! Three implementations with one meaning: [`shm`] (rings and arenas in shared memory),
//! [`stream`] (the same messages over the control socket, where shared memory is missing)
//! and [`local`] (both ends in this process, for tests). `tests/link_conformance.rs` runs
//! the same suite over all of them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use allcores_shm::{Bell, Mark, Marks, PoolLayout};

use crate::batch::Items;
use crate::error::EngineError;
use crate::ids::{BatchId, FnId, Instance};
use crate::payload::{Body, Cargo};
use crate::waker::Waker;

pub mod local;
pub mod shm;
pub mod stream;

/// Which implementation a pool uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// Shared memory: the fast one.
    Shm,
    /// A local stream socket: no shared memory needed, no take-back.
    Stream,
}

/// What is said of a batch that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// The batch.
    pub batch: BatchId,
    /// Which sending of it this is.
    pub instance: Instance,
    /// The registered function it calls, if any.
    pub function: Option<FnId>,
    /// The front end's word about the payload.
    pub tag: u32,
    /// The items to run.
    pub items: Items,
    /// Whether the worker marks each item, and hands results over in parts.
    pub careful: bool,
}

/// What a worker says.
#[derive(Debug)]
pub enum Answer {
    /// It is up and takes work.
    Ready,
    /// A batch is done.
    Done {
        /// The batch.
        batch: BatchId,
        /// Which sending of it.
        instance: Instance,
        /// The worker's word about the body.
        tag: u32,
        /// How long it ran.
        busy: Duration,
        /// The outcome.
        body: Body,
    },
    /// The next items of a careful batch are done.
    Part {
        /// The batch.
        batch: BatchId,
        /// Which sending of it.
        instance: Instance,
        /// The worker's word about the body.
        tag: u32,
        /// The position after the last of them. Without any the first item starts now.
        stop: u32,
        /// The outcome of these.
        body: Body,
    },
    /// A batch was cancelled or taken back before it started.
    Skipped {
        /// The batch.
        batch: BatchId,
        /// Which sending of it.
        instance: Instance,
    },
    /// It takes nothing more.
    Retire,
    /// Words beside its answers.
    Said {
        /// The words.
        body: Body,
    },
    /// It could not get ready and leaves.
    StartFailed {
        /// Why, in the front end's words.
        body: Body,
    },
}

/// What a worker is told.
#[derive(Debug)]
pub enum Work {
    /// A function that later batches will name.
    Function {
        /// Its name from now on.
        function: FnId,
        /// Its bytes.
        body: Body,
    },
    /// A batch to run; it is claimed already.
    Task {
        /// What it is.
        task: Task,
        /// Its payload.
        body: Body,
    },
    /// A function that no batch will name again.
    Forget {
        /// The function.
        function: FnId,
    },
}

/// What a worker finds when it looks.
#[derive(Debug)]
pub enum Next {
    /// Something to do.
    Work(Work),
    /// Nothing yet.
    Nothing,
    /// There will be no more: leave.
    Leave,
}

/// A descriptor somebody polls; it stays open while they do.
pub type Pollable = Arc<dyn AsFd + Send + Sync>;

/// Whether a link still has a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// It may still speak.
    Alive,
    /// It has gone; everything it said has been drained.
    Gone,
}

/// Wakes the sleeping end of a link; called when no lock is held.
pub trait Wake: Send + Sync {
    /// Sends one wake-up. A peer that has gone is not an error.
    fn wake(&self);
}

/// The parent's speaking half. Used under the core lock, so nothing in it may block.
pub trait Sender: Send {
    /// Sends a function.
    fn send_function(&mut self, function: FnId, cargo: Cargo<'_>) -> Result<(), EngineError>;
    /// Sends a batch.
    fn send_task(&mut self, task: &Task, cargo: Cargo<'_>) -> Result<(), EngineError>;
    /// Says that a function is not needed any more.
    fn send_forget(&mut self, function: FnId) -> Result<(), EngineError>;
    /// Says that no batch follows: the worker leaves when it has run what it has.
    fn send_stop(&mut self) -> Result<(), EngineError>;
    /// Tries to keep a sent batch from starting; false when it has started.
    fn cancel(&mut self, batch: BatchId, instance: Instance) -> bool;
    /// Whether a sent batch has started.
    fn has_started(&self, batch: BatchId) -> bool;
    /// The batches that were sent, have started and were not answered.
    fn started(&self) -> Vec<(BatchId, Instance)>;
    /// The one of them that runs, if any does. While it is the answer and nothing else is there that
    /// could start, the worker can be in no other.
    fn running(&self) -> Option<(BatchId, Instance)>;
    /// Whether parcels in shared memory are lent where they lie; else they are copied like letters.
    fn lends_parcels(&self) -> bool;
    /// Whether the worker marks what it does.
    fn has_marks(&self) -> bool {
        false
    }
    /// What the worker says that it is doing.
    fn mark(&self) -> Option<Mark> {
        None
    }
    /// The most memory the worker says it has had, in bytes.
    fn peak(&self) -> Option<u64> {
        None
    }
    /// The answer to a sent batch was seen: what it occupied is free again.
    fn answered(&mut self, batch: BatchId, instance: Instance);
    /// Some parcels are under way no more: the worker need not keep their memory.
    fn tidy(&mut self) {}
    /// Whoever must be woken so that the worker sees what was sent, if anybody sleeps.
    fn sleeper(&mut self) -> Option<Arc<dyn Wake>>;
    /// Writes on what could not be written at once; true while something is left.
    fn write_on(&mut self) -> bool {
        false
    }
    /// Closes the parent's end, so that the worker leaves as soon as it looks. Where sent batches
    /// can be taken back, none starts after this.
    fn close(&mut self);
    /// The control socket, which no forked child may keep open; `None` for a local link.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// The parent's listening half; the collector owns it alone.
pub trait Receiver: Send {
    /// Appends everything that has arrived to `answers`.
    /// `readable`: the descriptor had something to read, which costs a system call to take.
    fn drain(&mut self, readable: bool, answers: &mut Vec<Answer>) -> Result<Peer, EngineError>;
    /// Whether something has arrived that no descriptor will tell of.
    fn has_news(&self) -> bool;
    /// What becomes readable when the worker rings or has gone; `None` for a local link,
    /// which wakes the collector by itself.
    fn fd(&self) -> Option<Pollable>;
}

/// The worker's end.
pub trait WorkerEnd: Send {
    /// The next thing to do, if it is here. A batch that is handed out has been claimed.
    fn try_next(&mut self) -> Result<Next, EngineError>;
    /// Where to sleep until there may be something to do; to be done without this end, so that other
    /// threads may use it meanwhile.
    fn bed(&self) -> Bed;
    /// Looks, after sleeping, at what may have come beside the work.
    fn awake(&mut self) -> Result<(), EngineError> {
        Ok(())
    }
    /// Says that the worker takes work.
    fn ready(&mut self) -> Result<(), EngineError>;
    /// Answers a batch.
    fn reply(&mut self, answer: Reply<'_>) -> Result<(), EngineError>;
    /// Hands over the next items of a careful batch. Waits for room.
    fn part(&mut self, part: PartOut<'_>) -> Result<(), EngineError>;
    /// Says that the worker takes nothing more; every batch that comes is skipped from now on.
    fn retire(&mut self) -> Result<(), EngineError>;
    /// Words beside the answers. Waits for room.
    fn say(&mut self, words: &[u8]) -> Result<(), EngineError>;
    /// Where items are marked; without it parts tell which one runs.
    fn marks(&self) -> Option<Marks> {
        None
    }
    /// Says that the worker leaves because it could not get ready.
    fn start_failed(&mut self, why: &[u8]) -> Result<(), EngineError>;
    /// The control socket, which no forked child may keep open; `None` for a local link.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Sleeps in a worker's stead.
pub trait Sleeper: Send + Sync {
    /// Sleeps until the worker may have been told more than so many things, or a signal has come.
    /// False: it did not even close its eyes, there is work.
    fn sleep(&self, taken: u64) -> Result<bool, EngineError>;
}

/// A sleeper, and what it has to know.
#[derive(Clone)]
pub struct Bed {
    pub(crate) sleeper: Arc<dyn Sleeper>,
    pub(crate) taken: u64,
}

impl Bed {
    /// Sleeps until there may be something to do, or a signal has arrived; whether it slept.
    pub fn sleep(&self) -> Result<bool, EngineError> {
        self.sleeper.sleep(self.taken)
    }
}

/// Large buffers of a worker on their way out, each of some pieces.
pub type Loose<'a> = &'a [Vec<&'a [u8]>];

/// A worker's answer to a batch, on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// The batch.
    pub batch: BatchId,
    /// Which sending of it.
    pub instance: Instance,
    /// The worker's word about the bytes.
    pub tag: u32,
    /// How long it ran.
    pub busy: Duration,
    /// The outcome.
    pub bytes: &'a [u8],
    /// What goes along with it.
    pub parcels: Loose<'a>,
}

/// Some results of a careful batch, on their way out.
#[derive(Debug, Clone, Copy)]
pub struct PartOut<'a> {
    /// The batch.
    pub batch: BatchId,
    /// Which sending of it.
    pub instance: Instance,
    /// The worker's word about the bytes.
    pub tag: u32,
    /// The position after the last item.
    pub stop: u32,
    /// The results since the last part.
    pub bytes: &'a [u8],
    /// What goes along with them.
    pub parcels: Loose<'a>,
}

/// Both halves of the parent's end, and what the child process is given.
pub struct ParentEnd {
    /// For the core.
    pub sender: Box<dyn Sender>,
    /// For the collector.
    pub receiver: Box<dyn Receiver>,
}

/// What all links of a pool share: how they reach its collector.
pub struct Hub {
    collector: Waker,
    shared: Option<(PoolLayout, Bell)>,
}

impl Hub {
    /// The hub of a pool with links of that kind.
    pub fn new(kind: LinkKind) -> Result<Hub, EngineError> {
        let shared = match kind {
            LinkKind::Stream => None,
            LinkKind::Shm => {
                let layout = PoolLayout::create()?;
                let bell = Bell::new(layout.collector_flag.clone())?;
                Some((layout, bell))
            }
        };
        Ok(Hub { collector: Waker::new()?, shared })
    }

    /// What wakes the collector.
    pub fn collector(&self) -> &Waker {
        &self.collector
    }

    /// Says that the collector is about to sleep; it looks at everything once more then.
    pub fn about_to_sleep(&self) {
        if let Some((_, bell)) = &self.shared {
            bell.about_to_sleep();
        }
    }

    /// Says that the collector is awake.
    pub fn awake(&self) {
        if let Some((_, bell)) = &self.shared {
            bell.awake();
        }
    }

    /// Makes a link; the descriptor is the worker's end of its control socket.
    pub fn open_link(&self) -> Result<(ParentEnd, OwnedFd), EngineError> {
        match &self.shared {
            Some((layout, _)) => shm::open(layout),
            None => stream::open(self.collector.clone()),
        }
    }
}

/// The worker's end over the descriptor that [`Hub::open_link`] returned.
pub fn attach(kind: LinkKind, control: OwnedFd) -> Result<Box<dyn WorkerEnd>, EngineError> {
    match kind {
        LinkKind::Shm => Ok(Box::new(shm::Worker::attach(control)?)),
        LinkKind::Stream => Ok(Box::new(stream::Worker::attach(control)?)),
    }
}
