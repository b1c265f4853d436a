//! Many items on all cores.
//!
//! Threads live as long as the batch: starting one takes some ten microseconds, and none is there to
//! be lost by a fork. The caller's thread is one of them. Each takes the next piece of the items when
//! it has done its last; pieces own the places of their results.

use std::num::NonZero;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use allcores_shm::primitive::{Arc, AtomicBool, Condvar, Mutex, Ordering};

use crate::call::{Look, Machine, Place, Run};
use crate::guard::Guard;
use crate::items::{Item, Items};
use crate::watch::Watch;

/// Pieces for each thread, so that long items even out.
const PIECES: usize = 16;
const MOST_ITEMS: usize = 4096;
const PERIOD: Duration = Duration::from_millis(50);

/// What became of a batch.
pub struct Outcome {
    /// The words of all results, one item after the other.
    pub words: Vec<u64>,
    /// The words of each result's list; none if results have no lists.
    pub lists: Vec<Vec<u64>>,
    /// For each item why it is left to Python, if it is.
    pub guards: Vec<Option<Guard>>,
}

struct Piece<'a> {
    input: &'a [u64],
    output: &'a mut [u64],
    lists: &'a mut [Vec<u64>],
    guards: &'a mut [Option<Guard>],
}

/// How a batch is run.
pub struct Options {
    /// How many threads, the caller's among them.
    pub threads: NonZero<usize>,
    /// How deep calls of the program's own functions may go.
    pub depth: i64,
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
        &self,
        watch: &Watch,
        options: &Options,
        items: &Items,
        look: Box<Look>,
    ) -> Outcome {
        assert!(items.kinds() == self.arguments(), "items of another program");
        let words_out = self.result().width();
        let (count, input) = (items.count(), items.words());
        let mut words = vec![0; count * words_out];
        let mut guards = vec![None; count];
        let mut lists = vec![Vec::new(); if self.has_list() { count } else { 0 }];
        let threads = options.threads.get().min(count);
        let size = count.div_ceil(threads.max(1) * PIECES).clamp(1, MOST_ITEMS);
        let stop = Arc::new(AtomicBool::new(false));
        let pieces = Mutex::new(pieces(size, input, &mut words, &mut lists, &mut guards));
        let caller = Run::new(Box::new({
            let stop = Arc::clone(&stop);
            move || {
                // SYNC: stop. Relaxed: the threads are joined before anybody reads what they did.
                if look() {
                    stop.store(true, Ordering::Relaxed);
                }
                stop.load(Ordering::Relaxed)
            }
        }));
        let done = (Mutex::new(1), Condvar::new());
        thread::scope(|scope| {
            for _ in 1..threads {
                let stop = Arc::clone(&stop);
                let run = Run::new(Box::new(move || stop.load(Ordering::Relaxed)));
                let (pieces, done) = (&pieces, &done);
                let started = thread::Builder::new().name("allcores-native".into()).spawn_scoped(
                    scope,
                    move || {
                        self.work(watch, &run, options.depth, pieces);
                        *lock(&done.0) += 1;
                        done.1.notify_one();
                    },
                );
                if started.is_err() {
                    *lock(&done.0) += 1;
                }
            }
            self.work(watch, &caller, options.depth, &pieces);
            let mut ended = lock(&done.0);
            while *ended < threads {
                let waited = done.1.wait_timeout(ended, PERIOD);
                let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                drop(guard);
                if timeout.timed_out() {
                    caller.must_end();
                }
                ended = lock(&done.0);
            }
        });
        drop(pieces);
        Outcome { words, lists, guards }
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

    fn work<'p>(
        &self,
        watch: &Watch,
        run: &Arc<Run>,
        depth: i64,
        pieces: &Mutex<impl Iterator<Item = Piece<'p>>>,
    ) {
        let _watched = watch.over(run);
        let (words_in, words_out) = (self.words_in(), self.result().width());
        let next = || lock(pieces).next();
        while let Some(piece) = next() {
            let stopped = run.is_flagged() && run.must_end();
            let mut none = Vec::new();
            for (index, guard) in piece.guards.iter_mut().enumerate() {
                let input = &piece.input[index * words_in..][..words_in];
                let words = &mut piece.output[index * words_out..][..words_out];
                let list = piece.lists.get_mut(index).unwrap_or(&mut none);
                *guard = if stopped {
                    Some(Guard::Stopped)
                } else {
                    self.run_words(run, depth, input, Place { words, list })
                };
            }
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> allcores_shm::primitive::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Items, places of results and of guards, `size` items a piece.
fn pieces<'a>(
    size: usize,
    mut input: &'a [u64],
    mut output: &'a mut [u64],
    mut lists: &'a mut [Vec<u64>],
    guards: &'a mut [Option<Guard>],
) -> impl Iterator<Item = Piece<'a>> {
    let count = guards.len().max(1);
    let (words_in, words_out) = (input.len() / count, output.len() / count);
    let with_lists = !lists.is_empty();
    guards.chunks_mut(size).map(move |guards| {
        let count = if with_lists { guards.len() } else { 0 };
        let (theirs, rest) = std::mem::take(&mut lists).split_at_mut(count);
        lists = rest;
        let (mine, rest) = input.split_at(guards.len() * words_in);
        input = rest;
        let (places, rest) = std::mem::take(&mut output).split_at_mut(guards.len() * words_out);
        output = rest;
        Piece { input: mine, output: places, lists: theirs, guards }
    })
}
