//! The only things the scheduler may ask for, and its answers to the events that have one.

use std::fmt;

use crate::batch::Items;
use crate::ids::{BatchId, Instance, WorkerId};

/// What the pool shall do now. Actions are to be carried out in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start one worker and report `on_worker_starting`.
    Spawn,
    /// Give a batch to a worker that is ready.
    Send {
        /// Who gets it.
        worker: WorkerId,
        /// What it gets.
        batch: BatchId,
        /// Which answer will count.
        instance: Instance,
        /// What is left to run of it.
        items: Items,
    },
    /// Try to take a sent batch back before the worker claims it, and report `on_taken_back`.
    TakeBack {
        /// Who holds it.
        worker: WorkerId,
        /// What shall come back.
        batch: BatchId,
        /// The instance that was sent.
        instance: Instance,
    },
    /// Tell a worker to end; nothing that counts is left with it. Report `on_worker_lost` when it
    /// has ended.
    Stop {
        /// Who shall end.
        worker: WorkerId,
    },
    /// The batch is over without a result; this is its only end.
    Fail {
        /// What failed.
        batch: BatchId,
        /// Why.
        why: FailReason,
    },
    /// Some items of a batch have no result; the others do, or will.
    FailItems {
        /// Whose items.
        batch: BatchId,
        /// Which.
        items: Items,
        /// Why.
        why: FailReason,
    },
    /// All items of the batch have a result or have failed; this is its only end.
    Over {
        /// Which.
        batch: BatchId,
    },
    /// The batch is over because somebody wished so; this is its only end.
    Cancelled {
        /// What is gone.
        batch: BatchId,
    },
    /// The pool will never work again; every batch has failed before this and every ready worker is
    /// stopped after it.
    Broken {
        /// Why.
        why: BrokenReason,
    },
    /// Shutdown is complete: no worker and no batch is left.
    Finished,
}

/// Why a batch has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailReason {
    /// A worker ended unexpectedly: it had claimed the batch, or its end broke the pool.
    WorkerLost {
        /// Who ended.
        worker: WorkerId,
    },
    /// A worker ended unexpectedly before it had started any item of the batch.
    LostUnread {
        /// Who ended.
        worker: WorkerId,
    },
    /// The item ran longer than it may, so its worker was ended.
    TimedOut {
        /// Who ran it.
        worker: WorkerId,
    },
    /// The pool was ended.
    Ended,
    /// A worker could not be started or prepared.
    StartFailed {
        /// Whose start failed.
        worker: WorkerId,
    },
    /// Worker after worker ended before it could work.
    WorkersKeepDying {
        /// The last of them.
        worker: WorkerId,
    },
    /// The pool was broken before the batch came.
    PoolBroken {
        /// Whose end or failed start broke it.
        worker: WorkerId,
    },
    /// The pool was shut down before the batch came.
    ShutDown,
}

/// Why the pool broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenReason {
    /// A worker ended unexpectedly and the policy is to break.
    WorkerLost {
        /// Who ended.
        worker: WorkerId,
    },
    /// A worker could not be started or prepared.
    StartFailed {
        /// Whose start failed.
        worker: WorkerId,
    },
    /// Worker after worker ended before it could work; starting yet another one would never end.
    WorkersKeepDying {
        /// The last of them.
        worker: WorkerId,
    },
    /// Somebody wished so.
    Ended,
}

impl BrokenReason {
    /// Why a batch fails that comes too late.
    pub(super) fn refusal(self) -> FailReason {
        match self {
            Self::WorkerLost { worker }
            | Self::StartFailed { worker }
            | Self::WorkersKeepDying { worker } => FailReason::PoolBroken { worker },
            Self::Ended => FailReason::Ended,
        }
    }
}

impl From<BrokenReason> for FailReason {
    fn from(why: BrokenReason) -> Self {
        match why {
            BrokenReason::WorkerLost { worker } => Self::WorkerLost { worker },
            BrokenReason::StartFailed { worker } => Self::StartFailed { worker },
            BrokenReason::WorkersKeepDying { worker } => Self::WorkersKeepDying { worker },
            BrokenReason::Ended => Self::Ended,
        }
    }
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkerLost { worker } => write!(f, "worker `{worker}` ended unexpectedly"),
            Self::StartFailed { worker } => write!(f, "worker `{worker}` could not be started"),
            Self::WorkersKeepDying { worker } => {
                write!(f, "workers end before they can work, the last one was `{worker}`")
            }
            Self::PoolBroken { worker } => {
                write!(f, "the pool is broken since worker `{worker}` failed")
            }
            Self::LostUnread { worker } => {
                write!(f, "worker `{worker}` ended before it had started any item")
            }
            Self::TimedOut { worker } => {
                write!(f, "the limit has passed and worker `{worker}` was ended")
            }
            Self::Ended => f.write_str("the pool was ended"),
            Self::ShutDown => f.write_str("the pool is shut down"),
        }
    }
}

impl fmt::Display for BrokenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FailReason::from(*self).fmt(f)
    }
}

/// How far a wish to cancel has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelStep {
    /// It was still queued; `Action::Cancelled` says so too.
    Cancelled,
    /// It was sent; try its claim cell and report `on_cancel_result`.
    AskWorker {
        /// Who holds it.
        worker: WorkerId,
        /// The instance that was sent.
        instance: Instance,
    },
    /// It has started, or the link can't take anything back.
    TooLate,
    /// It has ended, or never was.
    Unknown,
}

/// What an answer was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the batch was cancelled, failed or given to another in the meantime.
    Late,
    /// Its items have their results, but there are others, which will be sent.
    More,
    /// The batch has ended.
    Last,
}

/// What a lost worker had claimed and not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The batch.
    pub batch: BatchId,
    /// How far it had come.
    pub ran: Ran,
}

/// How far a lost worker had come with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// Nobody knows: all of it or nothing.
    Whole,
    /// It had not started any item, though it was about to.
    Unread,
    /// Results have arrived of all items before `kept`; `item` had started.
    Item {
        /// The first item without a result.
        kept: u32,
        /// The last that had started.
        item: u32,
    },
    /// Results have arrived of all items before `kept`, and no other had started.
    Between {
        /// The first item without a result.
        kept: u32,
    },
}
