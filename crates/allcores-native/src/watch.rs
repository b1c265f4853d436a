//! Somebody who has running machine code look up twenty times a second.
//!
//! Code that runs in the caller's own thread can't be asked by that thread whether a Ctrl-C came. A
//! thread beside it raises the flags of all runs that are under way, and ends itself after a fifth
//! of a second without any: programs that don't use this rung have no such thread, those that do
//! lose it again.

use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use allcores_shm::primitive::{Arc, Condvar, Mutex, MutexGuard};

use crate::call::Run;
use crate::crew::Crew;

const PERIOD: Duration = Duration::from_millis(50);
const IDLE_PERIODS: u32 = 4;

/// The runs of this process, and the threads that share in batches; a forked child needs one of its
/// own, as it has no such threads.
#[derive(Clone, Default)]
pub struct Watch {
    state: Arc<State>,
    pub(crate) crew: Arc<Crew>,
}

#[derive(Default)]
struct State {
    runs: Mutex<Runs>,
    /// Nobody rings it: who waits here waits for a period to pass.
    period: Condvar,
}

#[derive(Default)]
struct Runs {
    under_way: Vec<Arc<Run>>,
    is_watched: bool,
    idle_periods: u32,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run is watched as long as this lives.
pub(crate) struct Watched<'a> {
    watch: &'a Watch,
    run: &'a Arc<Run>,
}

impl Watch {
    /// A watch over nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn over<'a>(&'a self, run: &'a Arc<Run>) -> Watched<'a> {
        let mut runs = self.state.lock();
        runs.under_way.push(Arc::clone(run));
        if !runs.is_watched {
            let state = Arc::clone(&self.state);
            // Without it a Ctrl-C waits for the end of the run; there is nothing better to do.
            let started =
                thread::Builder::new().name("allcores-watch".into()).spawn(move || keep(&state));
            runs.is_watched = started.is_ok();
        }
        Watched { watch: self, run }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let mut runs = self.watch.state.lock();
        if let Some(index) = runs.under_way.iter().position(|each| Arc::ptr_eq(each, self.run)) {
            runs.under_way.swap_remove(index);
        }
    }
}

fn keep(state: &State) {
    let mut runs = state.lock();
    loop {
        let waited = state.period.wait_timeout(runs, PERIOD);
        runs = waited.unwrap_or_else(PoisonError::into_inner).0;
        runs.idle_periods = if runs.under_way.is_empty() { runs.idle_periods + 1 } else { 0 };
        if runs.idle_periods > IDLE_PERIODS {
            runs.idle_periods = 0;
            runs.is_watched = false;
            return;
        }
        runs.under_way.iter().for_each(|run| run.interrupt());
    }
}
