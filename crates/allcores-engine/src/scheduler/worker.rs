//! What the scheduler knows about one worker: its phase and what it holds, in the order of its
//! ring.
//!
//! ```text
//! Starting ──on_worker_ready──► Ready ──Stop──► Stopping ──on_worker_lost──► gone
//!     └───────────────on_worker_lost──┴──────────────────────────────────────► gone
//!                                  (and Arrested, Condemned: see `arrest`)
//!
//! held:  Sent ──TakeBack──► Asked ──on_taken_back(true)──► Gone ──on_skipped──► out of the ring
//!          └───────────────── on_taken_back(false) ──► Started ──on_done──► out of the ring
//! ```
//!
//! A batch that was cancelled or taken back stays as `Gone` until the worker has popped its
//! descriptor: till then it occupies a place in the ring and a claim cell, hence credit.

use std::collections::VecDeque;

use crate::ids::{BatchId, Instance, WorkerId};

/// Payload that one worker may hold before nothing more is sent ahead to it.
pub(super) const PREFETCH_BYTES: u64 = 4 << 20;

/// Behind work worth this much nothing is sent ahead: against it a refill is nothing, which takes a
/// millisecond when all cores are busy.
const LONG_NANOS: u64 = 10_000_000;

/// A worker's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The pool has begun to start it; gets no work yet.
    Starting,
    /// It reads its ring.
    Ready,
    /// Somebody looks whether it must be ended; gets nothing.
    Arrested,
    /// It will be ended on purpose; gets nothing more.
    Condemned,
    /// It was told to end, or said that it can't work; gets nothing more, and its end is expected.
    Stopping,
}

/// Where a sent batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// In the ring or running: only its claim cell knows.
    Sent,
    /// A take-back was asked for and not yet answered.
    Asked,
    /// Known to be claimed.
    Started,
    /// Cancelled or taken back; only its descriptor is left.
    Gone,
}

/// One batch that a worker holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) batch: BatchId,
    pub(super) instance: Instance,
    pub(super) stand: Stand,
    /// The estimate when it was sent.
    pub(super) nanos: u64,
    pub(super) bytes: u64,
}

impl Held {
    pub(super) fn lives(&self) -> bool {
        self.stand != Stand::Gone
    }
}

/// One worker and its books. `live`, `started`, `load` and `bytes` are sums over `held`.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) phase: Phase,
    pub(super) held: VecDeque<Held>,
    /// How many of `held` are not `Gone`.
    pub(super) live: usize,
    /// How many of `held` are `Started`.
    pub(super) started: usize,
    /// Estimated nanoseconds of those that are not `Gone`.
    pub(super) load: u64,
    /// Payload of all of `held`: what is `Gone` still lies in memory.
    pub(super) bytes: u64,
    /// How many more batches it may get in its life.
    pub(super) room: u64,
    /// It has finished or claimed a batch.
    pub(super) fruitful: bool,
    /// It has said that it takes nothing more; there is no `room` for good.
    pub(super) retired: bool,
    /// It was condemned for an item that ran too long.
    pub(super) timed_out: bool,
}

/// What one worker adds to the scheduler's sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) starting: usize,
    pub(super) ready: usize,
    pub(super) idle: usize,
    pub(super) behind: usize,
    pub(super) live: usize,
}

impl Share {
    pub(super) fn add(&mut self, other: Self) {
        self.starting += other.starting;
        self.ready += other.ready;
        self.idle += other.idle;
        self.behind += other.behind;
        self.live += other.live;
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.starting -= other.starting;
        self.ready -= other.ready;
        self.idle -= other.idle;
        self.behind -= other.behind;
        self.live -= other.live;
    }
}

impl Worker {
    pub(super) fn starting(id: WorkerId, room: u64) -> Self {
        Self {
            id,
            phase: Phase::Starting,
            held: VecDeque::new(),
            live: 0,
            started: 0,
            load: 0,
            bytes: 0,
            room,
            fruitful: false,
            retired: false,
            timed_out: false,
        }
    }

    /// Ready, nothing to do, and may be given something.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Ready && self.live == 0 && self.room > 0
    }

    /// Batches that wait here behind one that runs. Rings are read in order: whatever is known to
    /// have started, at least the oldest has, or is about to.
    pub(super) fn behind(&self) -> usize {
        self.live.saturating_sub(self.started.max(1))
    }

    pub(super) fn share(&self) -> Share {
        Share {
            starting: usize::from(self.phase == Phase::Starting),
            ready: usize::from(self.phase == Phase::Ready),
            idle: usize::from(self.is_idle()),
            behind: self.behind(),
            live: self.live,
        }
    }

    /// Credit: may a batch of this estimated duration be sent here now?
    ///
    /// An idle worker always gets one. A busy one may have one waiting unless what it has is long:
    /// then the refill costs nothing, and what waits behind it would start later than its successors
    /// in the queue. More than these two only while all of it is expected to take no longer than the
    /// target, so that little has to be taken back when the guess was wrong.
    pub(super) fn accepts(&self, nanos: u64, cap: usize) -> bool {
        if self.phase != Phase::Ready || self.room == 0 || self.held.len() >= cap {
            return false;
        }
        if self.live == 0 {
            return true;
        }
        self.bytes <= PREFETCH_BYTES
            && (self.held.len() < 2 || self.load + nanos <= super::TARGET_QUEUE_NANOS)
            && self.load < LONG_NANOS
    }

    pub(super) fn hold(&mut self, held: Held) {
        debug_assert_eq!(held.stand, Stand::Sent, "what is given out was not asked for yet");
        self.live += 1;
        self.load += held.nanos;
        self.bytes += held.bytes;
        self.room -= 1;
        self.held.push_back(held);
    }

    /// A batch that it was sent does not count.
    pub(super) fn give_room_back(&mut self) {
        if !self.retired {
            self.room += 1;
        }
    }

    pub(super) fn find(&self, batch: BatchId, instance: Instance) -> Option<usize> {
        // Answers come in the order of the ring, so this is nearly always the first.
        self.held.iter().position(|held| held.batch == batch && held.instance == instance)
    }

    /// The descriptor has left the ring.
    pub(super) fn release(&mut self, at: usize) -> Option<Held> {
        let held = self.held.remove(at)?;
        self.bytes -= held.bytes;
        if held.lives() {
            self.live -= 1;
            self.load -= held.nanos;
            self.started -= usize::from(held.stand == Stand::Started);
        }
        Some(held)
    }

    /// The batch will not run here, but its descriptor is still in the ring.
    pub(super) fn give_up(&mut self, at: usize) {
        let held = &mut self.held[at];
        if held.lives() {
            self.live -= 1;
            self.load -= held.nanos;
            self.started -= usize::from(held.stand == Stand::Started);
            held.stand = Stand::Gone;
        }
    }

    /// The batch was claimed, and so was, the ring being read in order, whatever was sent before
    /// it.
    pub(super) fn mark_started(&mut self, at: usize) {
        for (index, held) in self.held.iter_mut().enumerate().take(at + 1) {
            if held.stand == Stand::Sent || (index == at && held.stand == Stand::Asked) {
                held.stand = Stand::Started;
                self.started += 1;
            }
        }
    }

    /// How many of those that wait here nobody has asked for yet.
    pub(super) fn movable(&self) -> usize {
        let asked = self.held.iter().filter(|held| held.stand == Stand::Asked).count();
        let sent = self.live - self.started - asked;
        sent.min(self.behind().saturating_sub(asked))
    }
}
