//! A whole pool whose workers are mad: however they end, every batch has one outcome, and the pool
//! comes to its end.
//!
//! No process belongs to these workers, so the pool has nobody to signal; that it ends the process of a
//! mad worker is for `tests/crash.rs`.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use allcores_engine::pool::Submission;
use allcores_engine::scheduler::{Config, OnLost};
use allcores_engine::{FnId, LinkKind, Notice, Pool, PoolConfig, Slot, Terms};

use super::reader::Reader;
use super::shm::MadPeer;
use super::stream;

/// The pool may want another worker meanwhile, of which nobody tells the one who waits for its end.
const A_LOOK: Duration = Duration::from_millis(10);
const LOOKS: usize = 3_000;
const PATIENCE: Duration = Duration::from_secs(20);
const MOST_WORKERS: usize = 5;

enum Worker {
    Shm(Box<MadPeer>),
    Stream(UnixStream),
}

impl Worker {
    fn new(kind: LinkKind, control: OwnedFd) -> Option<Worker> {
        match kind {
            LinkKind::Shm => MadPeer::worker(control).map(|mad| Worker::Shm(Box::new(mad))),
            LinkKind::Stream => {
                let stream = UnixStream::from(control);
                stream.set_nonblocking(true).expect("a socket");
                Some(Worker::Stream(stream))
            }
        }
    }

    fn act(&mut self, reader: &mut Reader<'_>) {
        match self {
            Worker::Shm(mad) => {
                mad.act(reader);
                mad.ring();
            }
            Worker::Stream(stream) => stream::write(stream, reader),
        }
    }
}

/// A pool that loses its mind, worker by worker.
pub(crate) fn pool(data: &[u8]) {
    let mut reader = Reader::new(data);
    let kind = if reader.one_in(3) { LinkKind::Stream } else { LinkKind::Shm };
    let take_back = kind == LinkKind::Shm;
    let config = Config {
        max_workers: 2,
        take_back,
        max_prefetch: if take_back { 48 } else { 1 },
        on_worker_lost: if reader.one_in(2) { OnLost::Break } else { OnLost::Replace },
        ..Config::default()
    };
    let pool = Pool::new(PoolConfig { scheduler: config, link: kind }).expect("a pool");
    pool.start_collector().expect("a thread");
    pool.listen();
    let function = pool.register(vec![7; 100]);
    let mut workers = Vec::new();
    let mut opened = 0;
    let mut slots: Vec<Arc<Slot>> = Vec::new();
    while let Some(step) = reader.step() {
        match step % 8 {
            0 | 1 if slots.len() < 100 => slots.extend(submit(&pool, function, &mut reader)),
            2 if !slots.is_empty() => {
                let slot = &slots[reader.below(slots.len())];
                let _running = pool.is_running(slot);
                let _over = match reader.byte() % 3 {
                    0 => pool.cancel(slot),
                    1 => pool.stop(slot),
                    _ => pool.wait(slot, Some(Duration::ZERO)),
                };
            }
            3 if !workers.is_empty() && reader.one_in(8) => {
                drop(workers.swap_remove(reader.below(workers.len())));
            }
            _ if !workers.is_empty() => {
                let at = reader.below(workers.len());
                let worker: &mut Worker = &mut workers[at];
                worker.act(&mut reader);
            }
            _ => {}
        }
        start_wanted(&pool, kind, &mut workers, &mut opened);
        while let Some(notice) = pool.next_notice(Some(Duration::ZERO)) {
            match notice {
                Notice::WorkerGone(worker) => drop(pool.peak_memory(worker)),
                // It is said again and again.
                Notice::Finished => break,
                _ => {}
            }
        }
    }
    workers.clear();
    if reader.one_in(4) {
        pool.end();
    }
    pool.shut_down(reader.one_in(2));
    // Workers that end before they are ready: after a few the pool gives up.
    let is_over = (0..LOOKS).any(|_| {
        start_wanted(&pool, kind, &mut workers, &mut 0);
        workers.clear();
        pool.join(Some(A_LOOK))
    });
    assert!(is_over, "the pool does not end");
    for slot in &slots {
        // The thread that heard of the pool's end may be ahead of the one that completes the slot.
        assert!(pool.wait(slot, Some(PATIENCE)), "{} has no outcome", slot.id());
        assert!(slot.take().is_some(), "{} has no outcome to take", slot.id());
        assert!(slot.take().is_none(), "{} has two outcomes", slot.id());
    }
}

fn submit(pool: &Pool, function: FnId, reader: &mut Reader<'_>) -> Option<Arc<Slot>> {
    let function = (reader.one_in(2)).then_some(function);
    let payload = reader.some_bytes().to_vec();
    let (tag, count) = (u32::from(reader.byte()), 1 + u32::from(reader.byte() % 8));
    let terms = Terms {
        // At once, soon, or not while this runs.
        limit: [None, Some(0), Some(1), Some(1_000)][reader.below(4)].map(Duration::from_millis),
        retries: u32::from(reader.byte() % 3),
        retry_timeouts: reader.one_in(2),
    };
    // A broken pool takes nothing.
    pool.submit_on(Submission { function, tag, count, payload: payload.into(), terms }).ok()
}

fn start_wanted(pool: &Pool, kind: LinkKind, workers: &mut Vec<Worker>, opened: &mut usize) {
    for _ in 0..pool.take_workers_wanted() {
        let Ok(Some((id, control))) = pool.open_link() else { return };
        if *opened < MOST_WORKERS {
            *opened += 1;
            workers.extend(Worker::new(kind, control));
        } else {
            pool.start_failed(id);
        }
    }
}
