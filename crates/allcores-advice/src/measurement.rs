//! What was measured of a function, by running items of it in the caller.

use crate::sample::Sample;

/// Of one function, per item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// How long an item takes alone.
    pub wall_ns: Sample,
    /// Cores that were busy meanwhile, on average: 0 while it waits (sockets, files, sleeping),
    /// more than 1 where a library has threads of its own.
    pub busy_cores: f64,
    /// The share in which the interpreter's lock was free, waiting included.
    pub free_share: f64,
    /// Bytes of an item's arguments when pickled, large buffers included.
    pub argument_bytes: f64,
    /// Bytes of its result.
    pub result_bytes: f64,
    /// Bytes of the function, sent to each worker once.
    pub function_bytes: f64,
    /// Pickling the function once, without keeping the bytes.
    pub function_pickle_ns: f64,
    /// Pickling an item's arguments: the caller does.
    pub pickle_ns: f64,
    /// Unpickling them: the worker does.
    pub unpickle_ns: f64,
    /// Pickling its result: the worker does.
    pub result_pickle_ns: f64,
    /// Unpickling that: the caller does.
    pub result_unpickle_ns: f64,
    /// Items that are still to run; None where nobody knows.
    pub left: Option<u64>,
    /// Items that have run.
    pub done: u64,
    /// How many times as long a call takes while another one runs in this process: they share
    /// caches, memory and locks that no single call sees.
    pub beside: f64,
    /// How long an item takes as machine code, if that was tried.
    pub native_ns: Option<f64>,
    /// The share of the items that machine code leaves to Python.
    pub native_left: f64,
}

impl Default for Measurement {
    fn default() -> Measurement {
        Measurement {
            wall_ns: Sample::default(),
            busy_cores: 1.0,
            free_share: 0.0,
            argument_bytes: 0.0,
            result_bytes: 0.0,
            function_bytes: 0.0,
            function_pickle_ns: 0.0,
            pickle_ns: 0.0,
            unpickle_ns: 0.0,
            result_pickle_ns: 0.0,
            result_unpickle_ns: 0.0,
            left: None,
            done: 0,
            beside: 1.0,
            native_ns: None,
            native_left: 0.0,
        }
    }
}

impl Measurement {
    /// How many items to plan for. Of an endless source, as many as have come: whatever is spent
    /// on moving then is earned back if as much again comes, and lost at most once.
    #[must_use]
    pub fn planned(&self) -> f64 {
        self.left.map_or_else(|| self.done.max(1) as f64, |left| left as f64)
    }

    /// How many of the items are as long as the longest, if all others are as the one in the middle.
    #[must_use]
    pub fn long(&self) -> f64 {
        let (wall, items) = (&self.wall_ns, self.planned());
        let apart_ns = (wall.largest - wall.median).max(f64::MIN_POSITIVE);
        (items * (wall.mean - wall.median) / apart_ns).clamp(1.0, items.max(1.0))
    }

    /// What an item needs of a core.
    #[must_use]
    pub fn cpu_ns(&self) -> f64 {
        self.wall_ns.mean * self.busy_cores.max(0.0)
    }

    /// The share of its time in which it waits.
    #[must_use]
    pub fn waiting_share(&self) -> f64 {
        (1.0 - self.busy_cores).clamp(0.0, 1.0)
    }

    /// What an item takes in a worker, whose libraries have one thread.
    #[must_use]
    pub fn apart_ns(&self) -> f64 {
        self.wall_ns.mean.max(self.cpu_ns())
    }

    /// The same function in threads of this process.
    #[must_use]
    pub fn beside_others(&self) -> Measurement {
        Measurement { wall_ns: self.wall_ns.scaled(self.beside.max(1.0)), ..*self }
    }

    /// The same function as machine code, which lets go of the interpreter's lock; None if that was
    /// not tried.
    #[must_use]
    pub fn compiled(&self) -> Option<Measurement> {
        let left = self.native_left.clamp(0.0, 1.0);
        let mean_ns = self.native_ns? + left * self.wall_ns.mean;
        let held_ns = left * self.wall_ns.mean;
        Some(Measurement {
            wall_ns: self.wall_ns.scaled(mean_ns / self.wall_ns.mean.max(f64::MIN_POSITIVE)),
            busy_cores: 1.0,
            free_share: 1.0 - held_ns / mean_ns.max(f64::MIN_POSITIVE),
            ..*self
        })
    }

    /// What an item needs of the interpreter's lock; no more than of a core.
    #[must_use]
    pub fn locked_ns(&self) -> f64 {
        (self.wall_ns.mean * (1.0 - self.free_share.clamp(0.0, 1.0))).min(self.cpu_ns())
    }
}
