//! The books on one careful batch: what has arrived of it, and what its worker is doing.
//!
//! A batch is careful if a worker's end may cost it one item instead of all: in a pool that
//! replaces lost workers, and wherever items have a limit.

use std::time::Duration;

use allcores_shm::Mark;

use crate::batch::Items;
use crate::error::Failure;
use crate::ids::{BatchId, Instance};
use crate::payload::Body;
use crate::scheduler::Ran;
use crate::slot::{Outcome, Part, PartResult};

/// What is to happen when an item's worker dies, or takes too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long one item may run.
    pub limit: Option<Duration>,
    /// How often an item is run again whose worker has died.
    pub retries: u32,
    /// Whether that also holds for an item whose limit has passed.
    pub retry_timeouts: bool,
}

impl Terms {
    /// The limit in nanoseconds.
    pub(crate) fn limit_ns(&self) -> Option<u64> {
        self.limit.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// One careful batch.
#[derive(Debug)]
pub(crate) struct Care {
    pub(crate) limit_ns: Option<u64>,
    /// What has arrived, and what has failed.
    parts: Vec<Part>,
    /// How it was sent last.
    instance: Instance,
    items: Items,
    /// The first item of these without a result.
    kept: u32,
    /// What has come of these, in bytes.
    arrived: u64,
    /// The worker has said that an item runs. Only where there are no marks.
    begun: bool,
    /// When it was sent, or a part came: stands for a mark.
    since_ns: u64,
}

/// Since when a worker does what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doing {
    pub(crate) since_ns: u64,
    pub(crate) position: Option<u32>,
}

impl Care {
    pub(crate) fn new(terms: &Terms) -> Care {
        Care {
            limit_ns: terms.limit_ns(),
            parts: Vec::new(),
            instance: Instance::FIRST,
            items: Items::all(0),
            kept: 0,
            arrived: 0,
            begun: false,
            since_ns: 0,
        }
    }

    /// Which sending of it is the newest.
    pub(crate) fn instance(&self) -> Instance {
        self.instance
    }

    /// It is being sent.
    pub(crate) fn sent(&mut self, instance: Instance, items: Items, now_ns: u64) {
        self.instance = instance;
        self.items = items;
        self.kept = items.start;
        self.arrived = 0;
        self.begun = false;
        self.since_ns = now_ns;
    }

    /// Results have come of the items up to `stop`. False: they can't have.
    pub(crate) fn part(&mut self, instance: Instance, stop: u32, tag: u32, body: Body) -> bool {
        if instance != self.instance || stop < self.kept || stop > self.items.stop {
            return false;
        }
        self.begun = true;
        if stop > self.kept {
            self.arrived += body.len() as u64;
            self.parts.push(Part { start: self.kept, result: PartResult::Answer { tag, body } });
            self.kept = stop;
        }
        true
    }

    /// How many bytes have come in parts since it was sent last.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// The time of the last part; for links without marks.
    pub(crate) fn note_time(&mut self, now_ns: u64) {
        self.since_ns = now_ns;
    }

    /// The rest of what it was sent for has come.
    pub(crate) fn rest(&mut self, tag: u32, body: Body) {
        self.parts.push(Part { start: self.kept, result: PartResult::Answer { tag, body } });
    }

    /// Whether nothing has come yet, and nothing has failed.
    pub(crate) fn is_untouched(&self) -> bool {
        self.parts.is_empty()
    }

    /// Those items have failed.
    pub(crate) fn failed(&mut self, items: Items, why: &Failure) {
        let fail = |start| Part { start, result: PartResult::Failed(why.clone()) };
        self.parts.extend((items.start..items.stop).map(fail));
    }

    /// All that has come.
    pub(crate) fn take_outcome(&mut self) -> Outcome {
        self.parts.sort_unstable_by_key(|part| part.start);
        Outcome::Parts(std::mem::take(&mut self.parts))
    }

    /// What its worker is doing, by its marks if it makes any.
    pub(crate) fn doing(&self, batch: BatchId, mark: Option<Mark>, marks: bool) -> Option<Doing> {
        if !marks {
            let position = self.begun.then_some(self.kept);
            return Some(Doing { since_ns: self.since_ns, position });
        }
        let mark = mark.filter(|mark| mark.names(batch.0, self.instance.0))?;
        Some(Doing { since_ns: mark.since_ns, position: mark.position })
    }

    /// How far a worker had come that was lost.
    pub(crate) fn ran(&self, doing: Option<Doing>) -> Ran {
        let kept = self.kept;
        match doing.and_then(|doing| doing.position) {
            Some(item) if item >= kept && item < self.items.stop => Ran::Item { kept, item },
            None if kept == self.items.start && self.items.len() > 1 => Ran::Unread,
            // It has but one.
            None if kept == self.items.start => Ran::Item { kept, item: kept },
            _ => Ran::Between { kept },
        }
    }
}
