//! What the front end's helper thread must hear of.
//!
//! The collector never runs foreign code. What needs some (publishing a watched future,
//! starting a process) is put here, and a thread of the front end takes it when there is
//! one; until a front end [listens](Notices::listen), nothing but watched completions is
//! kept.

use std::collections::VecDeque;
use std::time::Duration;

use allcores_shm::primitive::{Condvar, Mutex, MutexGuard};

use crate::clock;
use crate::ids::{BatchId, WorkerId};

/// One thing to be done in the front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A watched slot is done.
    Completed(BatchId),
    /// Workers are to be started: take the number from the pool.
    WorkersWanted,
    /// A worker's process has ended or is about to: reap it.
    WorkerGone(WorkerId),
    /// A worker has said this beside its answers.
    Said(WorkerId, Vec<u8>),
    /// Nobody needs to listen any more; the pool goes on.
    Dismissed,
    /// The pool is finished; nothing follows.
    Finished,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Notice>,
    listening: bool,
    waiters: u32,
    finished: bool,
}

/// A queue of notices.
#[derive(Debug, Default)]
pub struct Notices {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Notices {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the notices")
    }

    /// From now on every notice is kept.
    pub fn listen(&self) {
        self.lock().listening = true;
    }

    /// Adds a notice.
    pub fn push(&self, notice: Notice) {
        let mut inner = self.lock();
        match notice {
            Notice::Finished => inner.finished = true,
            Notice::Completed(_) => inner.queue.push_back(notice),
            Notice::Dismissed => {
                inner.listening = false;
                inner.queue.push_back(notice);
            }
            _ if inner.listening => inner.queue.push_back(notice),
            _ => return,
        }
        if inner.waiters > 0 {
            self.changed.notify_all();
        }
    }

    /// The next notice; `None` when `timeout` has passed. `Finished` is repeated for ever.
    pub fn next(&self, timeout: Option<Duration>) -> Option<Notice> {
        let deadline = clock::deadline(timeout);
        let mut inner = self.lock();
        loop {
            if let Some(notice) = inner.queue.pop_front() {
                return Some(notice);
            }
            if inner.finished {
                return Some(Notice::Finished);
            }
            let left = clock::left(deadline)?;
            inner.waiters += 1;
            inner = match left {
                None => {
                    self.changed.wait(inner).expect("nothing panics while it holds the notices")
                }
                Some(left) => {
                    let woken = self.changed.wait_timeout(inner, left);
                    woken.expect("nothing panics while it holds the notices").0
                }
            };
            inner.waiters -= 1;
        }
    }
}
