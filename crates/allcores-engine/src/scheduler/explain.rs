//! Why is this batch waiting, in plain words. (Why a batch has its size: [`super::SizeReason`].)

use std::fmt;

use super::Scheduler;
use super::records::Place;
use super::worker::Stand;
use crate::ids::{BatchId, WorkerId};

/// Why an unfinished batch has no result yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// No worker is ready.
    ForWorkers {
        /// How many are being started.
        starting: usize,
    },
    /// Every worker has as much as it may hold.
    InQueue {
        /// How many batches are before it.
        ahead: usize,
    },
    /// It lies in a worker's ring behind others.
    Behind {
        /// Whose.
        worker: WorkerId,
        /// How many batches are before it there.
        ahead: usize,
    },
    /// It is the first in a worker's ring: it runs, or is about to.
    Next {
        /// Whose.
        worker: WorkerId,
    },
    /// It is being taken back, to be given to an idle worker or cancelled.
    ComingBack {
        /// From whom.
        worker: WorkerId,
    },
    /// It has started.
    Running {
        /// Where.
        worker: WorkerId,
    },
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForWorkers { starting } => {
                write!(f, "no worker is ready, `{starting}` are starting")
            }
            Self::InQueue { ahead } => {
                write!(f, "every worker has as much as it may hold, `{ahead}` batches come first")
            }
            Self::Behind { worker, ahead } => {
                write!(f, "sent to worker `{worker}`, which has `{ahead}` batches to do first")
            }
            Self::Next { worker } => write!(f, "running on worker `{worker}`, or next there"),
            Self::ComingBack { worker } => write!(f, "being taken back from worker `{worker}`"),
            Self::Running { worker } => write!(f, "running on worker `{worker}`"),
        }
    }
}

impl Scheduler {
    /// Why a batch has not ended yet; `None` if it has, or never was.
    pub fn why_waiting(&self, batch: BatchId) -> Option<Waiting> {
        let record = self.records.get(batch)?;
        let worker = match record.place {
            Place::Sent(worker) => worker,
            Place::Queued if self.sum.ready == 0 => {
                return Some(Waiting::ForWorkers { starting: self.sum.starting + self.requested });
            }
            Place::Queued => {
                return Some(Waiting::InQueue {
                    ahead: self.records.queue().take_while(|id| *id != batch).count(),
                });
            }
        };
        let held = &self.workers[self.position(worker)?].held;
        let is = |at: &usize| held[*at].batch == batch && held[*at].instance == record.instance;
        let at = (0..held.len()).find(is)?;
        let ahead = held.range(..at).filter(|other| other.lives()).count();
        Some(match held[at].stand {
            Stand::Asked => Waiting::ComingBack { worker },
            Stand::Started => Waiting::Running { worker },
            Stand::Sent | Stand::Gone if ahead == 0 => Waiting::Next { worker },
            Stand::Sent | Stand::Gone => Waiting::Behind { worker, ahead },
        })
    }
}
