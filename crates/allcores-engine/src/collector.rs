//! The one thread that listens to all workers.
//!
//! A round: take over new links, drain every link, give what arrived to the core in one
//! locking, do what follows from it. A round that brought nothing ends in sleep, by the
//! protocol of `allcores-shm`'s bell: say so to every worker, look once more, then poll.
//!
//! It never runs foreign code, and ends when the pool is finished.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use allcores_shm::primitive::{AtomicBool, Ordering};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::core::Effects;
use crate::error::EngineError;
use crate::ids::WorkerId;
use crate::link::{Answer, Peer, Receiver, Wake};
use crate::pool::Shared;

/// A busy collector still looks at the sockets once in so many rounds, for the dead.
const ROUNDS_BETWEEN_POLLS: u32 = 64;

const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// How long it sleeps when the scheduler wants to look again although nothing happens.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// Wakes the collector from any thread.
#[derive(Clone)]
pub struct Waker {
    inner: Arc<WakerInner>,
}

struct WakerInner {
    pending: AtomicBool,
    ring: OwnedFd,
    heard: OwnedFd,
}

impl Waker {
    pub(crate) fn new() -> Result<Waker, EngineError> {
        let system = |errno| EngineError::System { call: "socketpair", errno };
        let (ring, heard) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::empty(),
            None,
        )
        .map_err(system)?;
        for end in [&ring, &heard] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC).map_err(system)?;
        }
        let inner = WakerInner { pending: AtomicBool::new(false), ring, heard };
        Ok(Waker { inner: Arc::new(inner) })
    }

    fn hush(&self) {
        let mut byte = [0_u8; 8];
        // An empty socket is what this is for.
        let _empty = rustix::net::recv(&self.inner.heard, &mut byte, RecvFlags::DONTWAIT);
        // SYNC: collector-waker. Cleared before the round looks at anything, so what was
        // done before a later `wake` is seen by that round or rings again.
        self.inner.pending.store(false, Ordering::SeqCst);
    }

    fn is_pending(&self) -> bool {
        self.inner.pending.load(Ordering::SeqCst)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.inner.heard.as_fd()
    }
}

impl Wake for Waker {
    fn wake(&self) {
        // SYNC: collector-waker. At most one byte is under way.
        if !self.inner.pending.swap(true, Ordering::SeqCst) {
            // A full or closed socket wakes its reader as well.
            let _full = rustix::net::send(&self.inner.ring, &[1], SendFlags::DONTWAIT);
        }
    }
}

struct Listener {
    worker: WorkerId,
    receiver: Box<dyn Receiver>,
    readable: bool,
    wants_write: bool,
}

struct Collector {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    answers: Vec<Answer>,
    arrived: Vec<(WorkerId, Answer)>,
    lost: Vec<WorkerId>,
    fx: Effects,
}

/// Starts the thread for the pool behind `shared`.
pub(crate) fn start(shared: Arc<Shared>) -> Result<(), EngineError> {
    let collector = Collector {
        shared,
        listeners: Vec::new(),
        answers: Vec::new(),
        arrived: Vec::new(),
        lost: Vec::new(),
        fx: Effects::default(),
    };
    let thread = thread::Builder::new().name("allcores-collect".into());
    thread.spawn(move || collector.run()).map(drop).map_err(|error| EngineError::System {
        call: "clone",
        errno: Errno::from_io_error(&error).unwrap_or(Errno::AGAIN),
    })
}

impl Collector {
    fn run(mut self) {
        let mut rounds = 0_u32;
        while !self.take_newcomers() {
            self.drain();
            if self.digest() {
                rounds += 1;
                if rounds.is_multiple_of(ROUNDS_BETWEEN_POLLS) {
                    self.poll(Some(&AT_ONCE));
                }
                continue;
            }
            self.sleep();
        }
    }

    /// Takes over the links that were opened meanwhile; true when the pool is finished.
    fn take_newcomers(&mut self) -> bool {
        let mut core = self.shared.lock();
        let new = core.newcomers.drain(..).map(|(worker, receiver)| Listener {
            worker,
            receiver,
            readable: false,
            wants_write: false,
        });
        self.listeners.extend(new);
        core.finished && self.listeners.is_empty()
    }

    fn drain(&mut self) {
        let (answers, arrived, lost) = (&mut self.answers, &mut self.arrived, &mut self.lost);
        self.listeners.retain_mut(|listener| {
            let readable = std::mem::take(&mut listener.readable);
            let peer = listener.receiver.drain(readable, answers);
            arrived.extend(answers.drain(..).map(|answer| (listener.worker, answer)));
            match peer {
                Ok(Peer::Alive) => true,
                Ok(Peer::Gone) | Err(_) => {
                    lost.push(listener.worker);
                    false
                }
            }
        });
    }

    /// Gives what arrived to the core; false when there was nothing.
    fn digest(&mut self) -> bool {
        let writes = self.listeners.iter().any(|listener| listener.wants_write);
        if self.arrived.is_empty() && self.lost.is_empty() && !writes {
            return false;
        }
        let news = !(self.arrived.is_empty() && self.lost.is_empty());
        let mut core = self.shared.lock();
        for (worker, answer) in self.arrived.drain(..) {
            core.on_answer(worker, answer, &mut self.fx);
        }
        for worker in self.lost.drain(..) {
            core.on_lost(worker, &mut self.fx);
        }
        for listener in &mut self.listeners {
            listener.wants_write = core.write_on(listener.worker);
        }
        drop(core);
        self.shared.apply(&mut self.fx);
        news
    }

    fn sleep(&mut self) {
        let hub = &self.shared.hub;
        hub.about_to_sleep();
        let news = self.listeners.iter().any(|listener| listener.receiver.has_news());
        if !news && !hub.collector().is_pending() {
            let tick = self.shared.lock().scheduler.wants_tick().then_some(TICK);
            if !self.poll(tick.as_ref()) && tick.is_some() {
                self.shared.lock().on_tick(&mut self.fx);
                self.shared.apply(&mut self.fx);
            }
        }
        self.shared.hub.awake();
        if self.shared.hub.collector().is_pending() {
            self.shared.hub.collector().hush();
            // Whoever wakes us may have left bytes unwritten on a link.
            let mut core = self.shared.lock();
            for listener in &mut self.listeners {
                listener.wants_write = core.write_on(listener.worker);
            }
        }
    }

    /// Sleeps until a descriptor has something; false when the time is up.
    fn poll(&mut self, timeout: Option<&Timespec>) -> bool {
        let mut owners = Vec::with_capacity(self.listeners.len());
        let waker = self.shared.hub.collector().clone();
        let mut fds = vec![PollFd::from_borrowed_fd(waker.fd(), PollFlags::IN)];
        for (index, listener) in self.listeners.iter().enumerate() {
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, listener.wants_write);
            if let Some(fd) = listener.receiver.fd() {
                fds.push(PollFd::from_borrowed_fd(fd, flags));
                owners.push(index);
            }
        }
        // Interrupted or out of memory: the next round looks at everything again.
        let ready = poll(&mut fds, timeout).unwrap_or(1);
        let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let readable: Vec<usize> = fds[1..]
            .iter()
            .zip(owners)
            .filter(|(fd, _)| fd.revents().intersects(readable))
            .map(|(_, index)| index)
            .collect();
        drop(fds);
        for index in readable {
            self.listeners[index].readable = true;
        }
        ready > 0
    }
}
