//! Listening to all workers: drain every link, give what arrived to the core.
//!
//! Whoever holds the ears hears everything; that is the collector thread, or for a moment a
//! thread that waits for a slot ([`crate::collector`]). A round that brought nothing may
//! end in sleep, by the protocol of `allcores-shm`'s bell: say so to every worker, look
//! once more, then sleep.

use crate::core::Effects;
use crate::ids::WorkerId;
use crate::link::{Answer, Peer, Pollable, Receiver};
use crate::pool::Shared;

struct Listener {
    worker: WorkerId,
    receiver: Box<dyn Receiver>,
    readable: bool,
    wants_write: bool,
}

/// Why a link is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The worker has gone.
    Gone,
    /// It spoke nonsense, so it is not listened to any more, and has to go.
    GivenUp,
}

/// What is to be polled for one worker.
pub(crate) struct Watch {
    pub(crate) worker: WorkerId,
    pub(crate) fd: Pollable,
    pub(crate) wants_write: bool,
}

/// The listening halves of all links, and room to work in.
#[derive(Default)]
pub(crate) struct Ears {
    listeners: Vec<Listener>,
    answers: Vec<Answer>,
    arrived: Vec<(WorkerId, Answer)>,
    lost: Vec<(WorkerId, End)>,
    fx: Effects,
    /// Some items have a limit.
    limits: bool,
}

impl Ears {
    /// Takes over the links that were opened meanwhile; true when the pool is finished, or rests.
    pub(crate) fn take_newcomers(&mut self, shared: &Shared) -> bool {
        let mut core = shared.lock();
        let new = core.newcomers.drain(..).map(|(worker, receiver)| Listener {
            worker,
            receiver,
            readable: false,
            wants_write: false,
        });
        self.listeners.extend(new);
        core.rests || (core.finished && self.listeners.is_empty())
    }

    /// One round: everything that has arrived is drained and digested; false if nothing had.
    pub(crate) fn hear(&mut self, shared: &Shared) -> bool {
        self.drain();
        self.digest(shared)
    }

    /// The same, without waiting for anybody to say that there is something. The collector must look
    /// again before it sleeps on.
    pub(crate) fn hear_all(&mut self, shared: &Shared) {
        for listener in &mut self.listeners {
            listener.readable = true;
        }
        self.hear(shared);
    }

    fn drain(&mut self) {
        let (answers, arrived, lost) = (&mut self.answers, &mut self.arrived, &mut self.lost);
        self.listeners.retain_mut(|listener| {
            let readable = std::mem::take(&mut listener.readable);
            let peer = listener.receiver.drain(readable, answers);
            arrived.extend(answers.drain(..).map(|answer| (listener.worker, answer)));
            let end = match peer {
                Ok(Peer::Alive) => return true,
                Ok(Peer::Gone) => End::Gone,
                Err(_) => End::GivenUp,
            };
            lost.push((listener.worker, end));
            false
        });
    }

    fn digest(&mut self, shared: &Shared) -> bool {
        let news = !(self.arrived.is_empty() && self.lost.is_empty());
        if !news && !self.wants_write() {
            return false;
        }
        let mut core = shared.lock();
        for (worker, answer) in self.arrived.drain(..) {
            core.on_answer(worker, answer, &mut self.fx);
        }
        for (worker, end) in self.lost.drain(..) {
            if end == End::GivenUp {
                core.end_process(worker, &mut self.fx);
            }
            core.on_lost(worker, &mut self.fx);
        }
        for listener in &mut self.listeners {
            listener.wants_write = core.write_on(listener.worker);
        }
        self.limits = core.limits.any();
        drop(core);
        shared.apply(&mut self.fx);
        news
    }

    /// What was left to do when a panic came between.
    pub(crate) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.fx)
    }

    /// Whether something has arrived that no descriptor will tell of.
    pub(crate) fn has_news(&self) -> bool {
        self.listeners.iter().any(|listener| listener.receiver.has_news())
    }

    /// Whether a link has something left to write.
    pub(crate) fn wants_write(&self) -> bool {
        self.listeners.iter().any(|listener| listener.wants_write)
    }

    /// Whether some item may be running for too long, as far as was heard.
    pub(crate) fn minds_limits(&self) -> bool {
        self.limits
    }

    /// Looks again at what is left to write.
    pub(crate) fn write_on(&mut self, shared: &Shared) {
        let mut core = shared.lock();
        for listener in &mut self.listeners {
            listener.wants_write = core.write_on(listener.worker);
        }
    }

    /// What to poll.
    pub(crate) fn watches(&self, into: &mut Vec<Watch>) {
        into.extend(self.listeners.iter().filter_map(|listener| {
            let (worker, wants_write) = (listener.worker, listener.wants_write);
            listener.receiver.fd().map(|fd| Watch { worker, fd, wants_write })
        }));
    }

    /// That worker's descriptor has something to read.
    pub(crate) fn mark_readable(&mut self, worker: WorkerId) {
        for listener in &mut self.listeners {
            listener.readable |= listener.worker == worker;
        }
    }
}
