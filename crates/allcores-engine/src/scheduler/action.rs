//! The only things the scheduler may ask for, and its answers to the events that have one.

use std::fmt;

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
}

impl BrokenReason {
    /// Whose end or failed start it was.
    pub fn worker(self) -> WorkerId {
        match self {
            Self::WorkerLost { worker }
            | Self::StartFailed { worker }
            | Self::WorkersKeepDying { worker } => worker,
        }
    }
}

impl From<BrokenReason> for FailReason {
    fn from(why: BrokenReason) -> Self {
        match why {
            BrokenReason::WorkerLost { worker } => Self::WorkerLost { worker },
            BrokenReason::StartFailed { worker } => Self::StartFailed { worker },
            BrokenReason::WorkersKeepDying { worker } => Self::WorkersKeepDying { worker },
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
