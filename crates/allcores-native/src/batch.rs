//! Many items on all cores.
//!
//! The caller's thread takes part, beside threads of the crew that come when they can: each takes the
//! next piece of the items when it has done its last. The caller waits for pieces that somebody has
//! taken, and for nobody who has taken none. Pieces become smaller towards the end, so that all end
//! together.

use std::num::NonZero;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use allcores_shm::primitive::{Arc, AtomicBool, Condvar, Mutex, MutexGuard, Ordering};

use crate::call::{Look, Machine, Place, Run};
use crate::crew::Task;
use crate::guard::Guard;
use crate::items::{Item, Items};
use crate::watch::Watch;

/// A piece is what is left, divided by so many times the threads.
const SHARE: usize = 8;
const MOST_ITEMS: usize = 4096;
const PERIOD: Duration = Duration::from_millis(50);

/// What became of items, one after the other.
pub struct Outcome {
    /// The words of their results.
    pub words: Vec<u64>,
    /// The words of each result's list; none if results have no lists.
    pub lists: Vec<Vec<u64>>,
    /// For each item why it is left to Python, if it is.
    pub guards: Vec<Option<Guard>>,
}

/// How a batch is run.
pub struct Options {
    /// How many threads, the caller's among them.
    pub threads: NonZero<usize>,
    /// How deep calls of the program's own functions may go.
    pub depth: i64,
}

/// What those who work on a batch share.
struct Batch {
    machine: Arc<Machine>,
    items: Items,
    depth: i64,
    threads: usize,
    stop: AtomicBool,
    progress: Mutex<Progress>,
    /// Rung when the last piece is done.
    done: Condvar,
}

#[derive(Default)]
struct Progress {
    /// The first item that nobody has taken.
    next: usize,
    /// Pieces that somebody has taken and not done.
    under_way: usize,
    /// What is done, by the piece's first item; or why it couldn't be.
    parts: Vec<(usize, thread::Result<Outcome>)>,
}

impl Machine {
    /// Runs many items.
    ///
    /// `look` is asked in the caller's thread, some twenty times a second, whether to stop; items
    /// that are under way then, or wait, end with [`Guard::Stopped`].
    ///
    /// # Panics
    ///
    /// If the items are of other types.
    #[must_use]
    pub fn batch(
        self: &Arc<Self>,
        watch: &Watch,
        options: &Options,
        items: Items,
        look: Box<Look>,
    ) -> Outcome {
        assert!(items.kinds() == self.arguments(), "items of another program");
        let batch = Arc::new(Batch {
            machine: Arc::clone(self),
            depth: options.depth,
            threads: options.threads.get().min(items.count()),
            items,
            stop: AtomicBool::new(false),
            progress: Mutex::default(),
            done: Condvar::new(),
        });
        let task: Task = Arc::new({
            let (batch, watch) = (Arc::clone(&batch), watch.clone());
            move || {
                let theirs = Arc::clone(&batch);
                // SYNC: stop. Relaxed: whoever reads what was done takes `progress` first.
                let run = Run::new(Box::new(move || theirs.stop.load(Ordering::Relaxed)));
                batch.work(&watch, &run);
            }
        });
        if batch.threads > 1 {
            watch.crew.hand(&task, batch.threads - 1);
        }
        let theirs = Arc::clone(&batch);
        let run = Run::new(Box::new(move || {
            if look() {
                theirs.stop.store(true, Ordering::Relaxed);
            }
            theirs.stop.load(Ordering::Relaxed)
        }));
        batch.work(watch, &run);
        if batch.threads > 1 {
            watch.crew.recall(&task);
        }
        batch.outcome(&run)
    }

    /// Runs one item in the caller's thread; `look` is asked as for a [batch](Self::batch).
    ///
    /// # Panics
    ///
    /// If the item is of other types, or the slice doesn't have as many words as the result.
    pub fn one(
        &self,
        watch: &Watch,
        depth: i64,
        item: (&Item, Place<'_>),
        look: Box<Look>,
    ) -> Option<Guard> {
        let run = Run::new(look);
        let _watched = watch.over(&run);
        self.run(&run, depth, item.0, item.1)
    }
}

impl Batch {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does pieces until all are taken.
    fn work(&self, watch: &Watch, run: &Arc<Run>) {
        let Some(mut piece) = self.take(&mut self.lock()) else { return };
        let watched = watch.over(run);
        let under_way = loop {
            let first = piece.start;
            let part = catch_unwind(AssertUnwindSafe(|| self.part(run, piece)));
            let mut progress = self.lock();
            progress.parts.push((first, part));
            progress.under_way -= 1;
            match self.take(&mut progress) {
                Some(next) => piece = next,
                None => break progress.under_way,
            }
        };
        drop(watched);
        if under_way == 0 {
            self.done.notify_one();
        }
    }

    fn take(&self, progress: &mut Progress) -> Option<Range<usize>> {
        let left = self.items.count() - progress.next;
        if left == 0 {
            return None;
        }
        let size = (left / (self.threads * SHARE)).clamp(1, MOST_ITEMS);
        let first = progress.next;
        progress.next += size;
        progress.under_way += 1;
        Some(first..first + size)
    }

    fn part(&self, run: &Run, piece: Range<usize>) -> Outcome {
        let machine = &self.machine;
        let (words_in, words_out) = (machine.words_in(), machine.result().width());
        let count = piece.len();
        let mut part = Outcome {
            words: vec![0; count * words_out],
            lists: vec![Vec::new(); if machine.has_list() { count } else { 0 }],
            guards: Vec::with_capacity(count),
        };
        let stopped = run.is_flagged() && run.must_end();
        let mut none = Vec::new();
        for (index, item) in piece.enumerate() {
            let input = &self.items.words()[item * words_in..][..words_in];
            let words = &mut part.words[index * words_out..][..words_out];
            let list = part.lists.get_mut(index).unwrap_or(&mut none);
            part.guards.push(if stopped {
                Some(Guard::Stopped)
            } else {
                machine.run_words(run, self.depth, input, Place { words, list })
            });
        }
        part
    }

    /// Waits for what others have taken, and puts the parts together.
    fn outcome(&self, run: &Run) -> Outcome {
        let mut progress = self.lock();
        while progress.under_way > 0 {
            let waited = self.done.wait_timeout(progress, PERIOD);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            drop(guard);
            if timeout.timed_out() {
                run.must_end();
            }
            progress = self.lock();
        }
        let mut parts = std::mem::take(&mut progress.parts);
        drop(progress);
        parts.sort_unstable_by_key(|(first, _)| *first);
        let count = self.items.count();
        let mut whole = Outcome {
            words: Vec::with_capacity(count * self.machine.result().width()),
            lists: Vec::new(),
            guards: Vec::with_capacity(count),
        };
        for (_, part) in parts {
            let part = part.unwrap_or_else(|panic| resume_unwind(panic));
            whole.words.extend(part.words);
            whole.lists.extend(part.lists);
            whole.guards.extend(part.guards);
        }
        whole
    }
}
