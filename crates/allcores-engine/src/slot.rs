//! The future's Rust half: completed once, waited for by many.
//!
//! | stage     | entered by                         | left by                       |
//! | --------- | ---------------------------------- | ----------------------------- |
//! | `Pending` | birth                              | [`Slot::complete`], once      |
//! | `Done`    | [`Slot::complete`] (any outcome)   | never                         |
//!
//! A slot may be *watched*: then whoever completes it is told so, and must publish the
//! completion elsewhere. Watching and completing exclude each other under the lock, so a
//! watcher either sees the slot done or is certain to be told, never both, never neither.
//!
//! Waking costs a system call, so it is done only when somebody waits.

use std::time::Duration;

use allcores_shm::primitive::{Arc, AtomicBool, Condvar, Mutex, MutexGuard, Ordering};

use crate::clock;
#[cfg(not(loom))]
use crate::crowd::Crowd;
use crate::error::Failure;
use crate::ids::BatchId;
use crate::payload::{Body, Payload};
use crate::tally::Tally;

/// How a batch ended.
#[derive(Debug)]
pub enum Outcome {
    /// The worker answered; what `tag` says of `body` is the front end's business.
    Answer {
        /// The front end's word about the body.
        tag: u32,
        /// What the worker sent.
        body: Body,
    },
    /// It came piece by piece, by ascending position: answers, and what failed.
    Parts(Vec<Part>),
    /// There will be no answer. If its worker ended over it, what was asked of that worker.
    Failed(Failure, Option<Box<Asked>>),
    /// It was cancelled before it started.
    Cancelled,
}

/// A batch that a worker ended over.
#[derive(Debug)]
pub struct Asked {
    /// Its bytes, unless they were large.
    pub payload: Option<Payload>,
    /// How long it might have run.
    pub limit: Option<Duration>,
}

/// A piece of an outcome.
#[derive(Debug)]
pub struct Part {
    /// The position of its first item.
    pub start: u32,
    /// What became of it.
    pub result: PartResult,
}

/// What became of some items.
#[derive(Debug)]
pub enum PartResult {
    /// The worker answered, for all items up to the next part.
    Answer {
        /// The front end's word about the body.
        tag: u32,
        /// What the worker sent.
        body: Body,
    },
    /// The one item at `start` has no answer.
    Failed(Failure),
}

/// What a watcher finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not over; the watcher will be told.
    Pending,
    /// Over; the watcher will not be told.
    Done,
}

#[derive(Debug, Default)]
struct Inner {
    /// Boxed, so that a pending slot is small.
    outcome: Option<Box<Outcome>>,
    waiters: u32,
    watched: bool,
    /// Who counts it.
    tally: Option<Arc<Tally>>,
}

/// The place where the outcome of one batch appears.
#[derive(Debug)]
pub struct Slot {
    id: BatchId,
    done: AtomicBool,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[cfg(not(loom))]
static CROWD: Crowd = Crowd::new();

#[cfg(not(loom))]
impl Drop for Slot {
    fn drop(&mut self) {
        if CROWD.leave() {
            allcores_shm::give_free_memory_back();
        }
    }
}

impl Slot {
    /// A pending slot for the batch `id`.
    pub fn new(id: BatchId) -> Slot {
        #[cfg(not(loom))]
        CROWD.enter();
        Slot {
            id,
            done: AtomicBool::new(false),
            inner: Mutex::new(Inner::default()),
            changed: Condvar::new(),
        }
    }

    /// The batch this slot belongs to.
    pub fn id(&self) -> BatchId {
        self.id
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds a slot")
    }

    /// Whether the batch is over. Once true, always true.
    pub fn is_done(&self) -> bool {
        // SYNC: slot-done. Pairs with the store in `complete`; what is read afterwards is
        // read under the lock, so acquire is for the caller's own other data.
        self.done.load(Ordering::Acquire)
    }

    /// Stores the outcome and wakes the waiters. Returns whether the slot is watched: then
    /// the caller publishes the completion. A second completion is a bug and is ignored.
    pub fn complete(&self, outcome: Outcome) -> bool {
        let mut inner = self.lock();
        debug_assert!(!self.done.load(Ordering::Relaxed), "a slot is completed once");
        if self.done.load(Ordering::Relaxed) {
            return false;
        }
        inner.outcome = Some(Box::new(outcome));
        // SYNC: slot-done. What led to the outcome becomes visible to who sees it done.
        self.done.store(true, Ordering::Release);
        if inner.waiters > 0 {
            self.changed.notify_all();
        }
        let (watched, tally) = (inner.watched, inner.tally.take());
        drop(inner);
        if let Some(tally) = tally {
            tally.leave();
        }
        watched
    }

    /// Waits until the batch is over or `timeout` has passed; returns whether it is over.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        if self.is_done() {
            return true;
        }
        let deadline = clock::deadline(timeout);
        let mut inner = self.lock();
        inner.waiters += 1;
        while !self.done.load(Ordering::Relaxed) {
            let Some(left) = clock::left(deadline) else { break };
            inner = match left {
                None => self.changed.wait(inner).expect("nothing panics while it holds a slot"),
                Some(left) => {
                    let woken = self.changed.wait_timeout(inner, left);
                    woken.expect("nothing panics while it holds a slot").0
                }
            };
        }
        inner.waiters -= 1;
        self.done.load(Ordering::Relaxed)
    }

    /// Takes the outcome out: `Some` once after completion, `None` before and later.
    pub fn take(&self) -> Option<Outcome> {
        self.lock().outcome.take().map(|outcome| *outcome)
    }

    /// Copies an answer that fits to the front of `room`, and leaves it: its tag and its length.
    #[cfg(not(loom))]
    pub fn peek(&self, room: &mut [u8]) -> Option<(u32, usize)> {
        if !self.is_done() {
            return None;
        }
        match self.lock().outcome.as_deref() {
            Some(Outcome::Answer { tag, body }) if body.parcels().is_empty() => {
                let room = room.get_mut(..body.len())?;
                body.copy_out(room);
                Some((*tag, body.len()))
            }
            _ => None,
        }
    }

    /// A copy of an answer of this tag that begins so and has at most so many bytes; it is left.
    #[cfg(not(loom))]
    pub fn peek_long(&self, tag: u32, begins: &[u8], most: usize) -> Option<Vec<u8>> {
        if !self.is_done() {
            return None;
        }
        match self.lock().outcome.as_deref() {
            Some(Outcome::Answer { tag: found, body })
                if *found == tag
                    && body.parcels().is_empty()
                    && body.len() <= most
                    && body.first(begins.len()) == begins =>
            {
                Some(body.to_vec())
            }
            _ => None,
        }
    }

    /// Puts back what was taken and could not be used.
    pub fn put_back(&self, outcome: Outcome) {
        self.lock().outcome = Some(Box::new(outcome));
    }

    /// Asks to be told of the completion; says whether it has already happened.
    pub fn watch(&self) -> Stage {
        let mut inner = self.lock();
        if self.done.load(Ordering::Relaxed) {
            return Stage::Done;
        }
        inner.watched = true;
        Stage::Pending
    }

    /// Counts the batch among those of `tally` until it is over.
    pub fn count_in(&self, tally: &Arc<Tally>) {
        let mut inner = self.lock();
        if !self.done.load(Ordering::Relaxed) {
            tally.enter();
            inner.tally = Some(Arc::clone(tally));
        }
    }
}
