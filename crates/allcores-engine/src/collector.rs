//! Who listens to the workers, and when.
//!
//! The collector thread does: it hears until nothing has arrived, says that it sleeps, looks
//! once more and polls. It never runs foreign code, and ends when the pool is finished.
//!
//! A thread that waits for a slot may do so in its stead ([`serve`]): while the collector
//! sleeps, the waiter takes the ears and listens for a moment itself. That saves the worker
//! a system call and the answer a hop over another thread. Before the waiter leaves it
//! restores what the collector had said of its sleep and looks once more, so nothing that
//! arrives in between is left lying; what only the collector can do (write on, look again
//! after a while) it is woken for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::clock;
use crate::core::{Core, Effects};
use crate::ears::{Ears, Watch};
use crate::error::EngineError;
use crate::ids::WorkerId;
use crate::link::Wake;
use crate::pool::Shared;
use crate::slot::Slot;
use crate::supervisor::Tree;

/// A busy collector still looks at the sockets once in so many rounds, for the dead.
const ROUNDS_BETWEEN_POLLS: u32 = 64;

const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// How long it sleeps when the scheduler wants to look again although nothing happens.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// It sleeps no shorter than this for a limit that has nearly passed.
const LEAST_SLEEP: Duration = Duration::from_micros(100);

/// How long a waiter listens without hearing anything: a few times what waking a thread
/// costs, so that it is never much worse than sleeping at once.
const PATIENCE: Duration = Duration::from_micros(60);

/// Starts the collector thread for the pool behind `shared`.
pub(crate) fn start(shared: Arc<Shared>) -> Result<JoinHandle<()>, EngineError> {
    let thread = thread::Builder::new().name("allcores-collect".into());
    thread.spawn(move || collect_or_collapse(&shared)).map_err(|error| EngineError::System {
        call: "clone",
        errno: Errno::from_io_error(&error).unwrap_or(Errno::AGAIN),
    })
}

/// A panic is a bug of ours. The pool ends with it: everybody is told, and nobody waits for ever.
fn collect_or_collapse(shared: &Shared) {
    // What the panic leaves behind is not looked at again: the pool is given up as a whole.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| collect(shared))) {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        shared.collapse(words.unwrap_or("its collector has panicked"));
    }
}

fn collect(shared: &Shared) {
    let mut rounds = 0_u32;
    let mut watches = Vec::new();
    loop {
        let mut ears = shared.ears();
        if ears.take_newcomers(shared) {
            return;
        }
        if ears.hear(shared) {
            rounds += 1;
            if rounds.is_multiple_of(ROUNDS_BETWEEN_POLLS) {
                ears.watches(&mut watches);
                let readable = poll_for(shared, &watches, Some(&AT_ONCE)).0;
                readable.into_iter().for_each(|worker| ears.mark_readable(worker));
                watches.clear();
                if ears.minds_limits() {
                    drop(ears);
                    enforce_limits(shared);
                }
            }
            continue;
        }
        shared.hub.about_to_sleep();
        if !ears.has_news() && !shared.hub.collector().is_pending() {
            ears.watches(&mut watches);
            drop(ears);
            let readable = sleep(shared, &watches);
            watches.clear();
            ears = shared.ears();
            readable.into_iter().for_each(|worker| ears.mark_readable(worker));
        }
        shared.hub.awake();
        if shared.hub.collector().is_pending() {
            shared.hub.collector().hush();
            // Whoever wakes us may have left bytes unwritten on a link.
            ears.write_on(shared);
        }
    }
}

fn sleep(shared: &Shared, watches: &[Watch]) -> Vec<WorkerId> {
    let mut core = shared.lock();
    let tick = core.scheduler.wants_tick().then_some(TICK);
    // What is sent from now on wakes, if that is too late for it.
    let limit = until_limit(&mut core);
    drop(core);
    let timeout = match (tick, limit) {
        (Some(tick), Some(limit)) => Some(tick.min(limit)),
        (tick, limit) => tick.or(limit),
    };
    let (readable, in_time) = poll_for(shared, watches, timeout.as_ref());
    if !in_time && tick.is_some() {
        let mut fx = Effects::default();
        shared.lock().on_tick(&mut fx);
        shared.apply(&mut fx);
    }
    if limit.is_some() {
        enforce_limits(shared);
    }
    readable
}

/// How long until an item may have run for too long; `None` if none has a limit.
fn until_limit(core: &mut Core) -> Option<Timespec> {
    if !core.limits.any() {
        core.limits.sleep_without();
        return None;
    }
    let now_ns = clock::now_ns();
    let by_ns = core.next_look(now_ns);
    let left = Duration::from_nanos(by_ns.saturating_sub(now_ns)).max(LEAST_SLEEP);
    // Longer than a lifetime is as good as any.
    let tv_sec = left.as_secs().min(1 << 31) as i64;
    Some(Timespec { tv_sec, tv_nsec: left.subsec_nanos().into() })
}

/// Ends every worker whose item has run for too long.
fn enforce_limits(shared: &Shared) {
    let mut fx = Effects::default();
    let suspects = shared.lock().arrest_overdue(clock::now_ns(), &mut fx);
    shared.apply(&mut fx);
    for suspect in suspects {
        // It may have gone on to the next item by now. Once it is stopped it can't.
        let tree = suspect.pid.map(Tree::stop);
        shared.ears().hear_all(shared);
        let guilty = shared.lock().judge(&suspect, &mut fx);
        match tree {
            Some(tree) if guilty => tree.kill(),
            Some(tree) => tree.resume(),
            None => {}
        }
        shared.apply(&mut fx);
    }
}

/// Polls; whose descriptors have something to read, and whether anything had.
fn poll_for(
    shared: &Shared,
    watches: &[Watch],
    timeout: Option<&Timespec>,
) -> (Vec<WorkerId>, bool) {
    let waker = shared.hub.collector();
    let mut fds = vec![PollFd::from_borrowed_fd(waker.fd(), PollFlags::IN)];
    fds.extend(watches.iter().map(|watch| {
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, watch.wants_write);
        PollFd::from_borrowed_fd((*watch.fd).as_fd(), flags)
    }));
    // Interrupted or out of memory: the next round looks at everything again.
    let ready = poll(&mut fds, timeout).unwrap_or(1);
    let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
    let heard = fds[1..].iter().zip(watches).filter(|(fd, _)| fd.revents().intersects(readable));
    (heard.map(|(_, watch)| watch.worker).collect(), ready > 0)
}

/// Listens in the collector's stead until `slot` is done or nothing has come for a moment.
pub(crate) fn serve(shared: &Shared, slot: &Slot) {
    let Some(mut ears) = shared.try_ears() else { return };
    let mut rounds = 0_u32;
    loop {
        shared.hub.awake();
        listen(&mut ears, shared, slot, &mut rounds);
        shared.hub.about_to_sleep();
        if !ears.has_news() || rounds >= ROUNDS_BETWEEN_POLLS {
            break;
        }
    }
    if ears.has_news() || ears.wants_write() || shared.lock().scheduler.wants_tick() {
        shared.hub.collector().wake();
    }
}

fn listen(ears: &mut Ears, shared: &Shared, slot: &Slot, rounds: &mut u32) {
    let mut patience = clock::now() + PATIENCE;
    loop {
        if ears.has_news() {
            ears.hear(shared);
            patience = clock::now() + PATIENCE;
            *rounds += 1;
        }
        // Only the collector sees new workers and dead ones, so let it have its turn.
        if slot.is_done() || *rounds >= ROUNDS_BETWEEN_POLLS || clock::now() > patience {
            return;
        }
        // Another thread may need this core more, the worker's above all.
        thread::yield_now();
    }
}
