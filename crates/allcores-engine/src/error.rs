//! What can go wrong, and what its reader can do about it.

use allcores_shm::ShmError;

use crate::ids::{BatchId, WorkerId};

/// Something the operating system or a peer refused.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Shared memory or the control socket failed; the message says which call.
    #[error("shared memory: {0}")]
    Shm(#[from] ShmError),
    /// A system call of the engine failed.
    #[error("{call}: {errno}")]
    System {
        /// The call that failed.
        call: &'static str,
        /// What the system said.
        errno: rustix::io::Errno,
    },
    /// The peer of a link has gone. The collector learns of it by itself.
    #[error("the other end of the link is closed")]
    Closed,
    /// The peer sent words that mean nothing. The link is given up.
    #[error("the peer of the link sent nonsense")]
    Corrupt,
    /// A link of that worker is unknown: it was never opened, or is gone.
    #[error("no link to {0}")]
    NoLink(WorkerId),
    /// A message does not fit what a link can say.
    #[error("a message of {0} bytes is too large for the link")]
    TooLarge(u64),
}

/// Why a batch was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// `shutdown` was called before.
    #[error("cannot schedule new futures after shutdown")]
    ShutDown,
    /// The pool is broken; make a new one.
    #[error("the pool is broken: {0}")]
    Broken(Failure),
}

impl Failure {
    /// Whether the batch's own worker ended over it.
    pub(crate) fn is_about_its_worker(&self) -> bool {
        matches!(self, Self::WorkerLost { .. } | Self::LostUnread { .. } | Self::TimedOut { .. })
    }
}

/// Why a batch has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The worker that held it died.
    #[error("{worker} died")]
    WorkerLost {
        /// The worker.
        worker: WorkerId,
    },
    /// The worker that held it died before it had started any of its items.
    #[error("{worker} died before it had started any item")]
    LostUnread {
        /// The worker.
        worker: WorkerId,
    },
    /// It ran longer than it may, and its worker was ended.
    #[error("the limit has passed, {worker} was ended")]
    TimedOut {
        /// The worker.
        worker: WorkerId,
    },
    /// Somebody ended the pool.
    #[error("the pool was ended")]
    Ended,
    /// The engine has failed: a bug of ours.
    #[error("the engine has failed: {0}")]
    Engine(std::sync::Arc<str>),
    /// Another worker's death broke the pool.
    #[error("the pool broke when {worker} died")]
    PoolBroken {
        /// The worker whose death broke the pool.
        worker: WorkerId,
    },
    /// A worker could not get ready: its initializer raised, or it never came up.
    #[error("{worker} could not start")]
    StartFailed {
        /// The worker.
        worker: WorkerId,
    },
    /// The payload could not be put into shared memory.
    #[error("{batch} could not be sent: {reason}")]
    NotSent {
        /// The batch.
        batch: BatchId,
        /// What the memory or the link said.
        reason: std::sync::Arc<str>,
    },
    /// The pool was shut down before the batch was accepted.
    #[error("the pool was shut down")]
    ShutDown,
}
