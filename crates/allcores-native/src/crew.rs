//! Threads that stay for a while after their last task, so that the next batch needn't start any.
//!
//! ```text
//!   hand ──► tasks ──► a thread that waits for one, or a new one ──► waits ──► ends itself
//! ```
//!
//! A waiting thread costs no time on a core, and after a fifth of a second in vain it ends: a fork
//! then finds a process without threads. Tasks may come too late or never (no thread could be
//! started), so nobody may depend on them: who hands a task out does the work himself if nobody
//! takes it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use allcores_shm::primitive::{Arc, Condvar, Mutex, MutexGuard};

const IDLE: Duration = Duration::from_millis(200);

/// Something to be done once by each thread that takes it.
pub(crate) type Task = Arc<dyn Fn() + Send + Sync>;

/// The threads of this process; a forked child needs others.
#[derive(Default)]
pub(crate) struct Crew {
    hall: Arc<Hall>,
}

#[derive(Default)]
struct Hall {
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    /// Threads that wait for a task, or are on their way here.
    idle: usize,
}

impl Crew {
    /// Hands the task to so many threads; returns at once.
    pub(crate) fn hand(&self, task: &Task, threads: usize) {
        let mut state = self.hall.lock();
        state.tasks.extend((0..threads).map(|_| Arc::clone(task)));
        let missing = state.tasks.len().saturating_sub(state.idle);
        state.idle += missing;
        drop(state);
        for _ in missing..threads {
            self.hall.called.notify_one();
        }
        for _ in 0..missing {
            let hall = Arc::clone(&self.hall);
            let builder = thread::Builder::new().name("allcores-native".into());
            if builder.spawn(move || hall.serve()).is_err() {
                self.hall.lock().withdraw();
            }
        }
    }

    /// Takes the task back from threads that have not begun it.
    pub(crate) fn recall(&self, task: &Task) {
        self.hall.lock().tasks.retain(|each| !Arc::ptr_eq(each, task));
    }
}

impl State {
    /// One thread less than was hoped for, and one task less.
    fn withdraw(&mut self) {
        self.idle -= 1;
        self.tasks.pop_back();
    }
}

impl Hall {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a thread.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                state.idle -= 1;
                drop(state);
                // What a task that panics leaves behind is the affair of who handed it out.
                let _ = catch_unwind(AssertUnwindSafe(|| task()));
                drop(task);
                state = self.lock();
                state.idle += 1;
                continue;
            }
            let waited = self.called.wait_timeout(state, IDLE);
            let (again, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = again;
            if timeout.timed_out() && state.tasks.is_empty() {
                state.idle -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::mpsc::channel;
    use std::thread::ThreadId;

    use allcores_shm::primitive::{AtomicUsize, Ordering};

    use super::*;

    fn ids_of(crew: &Crew, threads: usize) -> Vec<ThreadId> {
        let (send, receive) = channel();
        let (send, gate) = (Mutex::new(send), Arc::new(std::sync::Barrier::new(threads + 1)));
        let theirs = Arc::clone(&gate);
        let task: Task = Arc::new(move || {
            send.lock().unwrap().send(thread::current().id()).unwrap();
            theirs.wait();
        });
        crew.hand(&task, threads);
        gate.wait();
        drop(task);
        receive.iter().take(threads).collect()
    }

    #[test]
    fn tasks_of_one_batch_run_beside_each_other() {
        let mut ids = ids_of(&Crew::default(), 3);
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn batches_of_many_callers_all_get_their_threads() {
        let crew = Crew::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| assert_eq!(ids_of(&crew, 2).len(), 2)));
            }
        });
    }

    #[test]
    fn task_that_was_recalled_needs_no_thread_of_its_own() {
        let crew = Crew::default();
        let begun = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let counted = Arc::clone(&begun);
            let task: Task = Arc::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
            });
            crew.hand(&task, 2);
            crew.recall(&task);
        }
        let state = crew.hall.lock();
        assert!(state.tasks.is_empty());
        // Beside a task that was begun in time others need threads of their own.
        assert!(state.idle <= 2 + begun.load(Ordering::SeqCst));
    }

    #[test]
    fn thread_outlives_a_task_that_panics() {
        let crew = Crew::default();
        let task: Task = Arc::new(|| resume_unwind(Box::new("as it should")));
        crew.hand(&task, 1);
        assert_eq!(ids_of(&crew, 1).len(), 1);
    }

    #[test]
    fn threads_end_when_there_is_nothing_to_do() {
        let crew = Crew::default();
        ids_of(&crew, 2);
        let hall = Arc::downgrade(&crew.hall);
        drop(crew);
        while hall.strong_count() > 0 {
            thread::yield_now();
        }
    }
}
