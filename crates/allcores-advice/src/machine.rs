//! The constants of a machine and of what runs on it.

use crate::rung::Rung;

/// What moving and starting cost here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Cores for this process, by affinity and quota.
    pub cores: usize,
    /// Workers of a rung; None: as many as cores (threads: and four more).
    pub max_workers: Option<usize>,
    /// Whether the interpreter has no lock.
    pub is_free_threaded: bool,
    /// Handing an item to a thread and taking its result, in chunks.
    pub handover_ns: f64,
    /// The parent's work for an item that goes to a process and comes back, beside pickling.
    pub item_ns: f64,
    /// From the call in one process to its result in the other's hands: what the last item pays.
    pub round_trip_ns: f64,
    /// Bytes a second on the way to a worker.
    pub bytes_in_per_s: f64,
    /// Bytes a second on the way back.
    pub bytes_out_per_s: f64,
    /// Until a pool of threads works.
    pub threads_start_ns: f64,
    /// Until a pool of interpreters works, and for each of them.
    pub interpreters_start_ns: f64,
    /// For each interpreter.
    pub interpreter_ns: f64,
    /// Until a pool of processes works.
    pub processes_start_ns: f64,
    /// For each worker process.
    pub process_ns: f64,
    /// Handing an item to machine code and taking its result, in chunks.
    pub native_item_ns: f64,
    /// Other machines, if there are any.
    pub remote: Option<Remote>,
}

/// What a cluster has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remote {
    /// Its cores.
    pub cores: usize,
    /// Until it works.
    pub start_ns: f64,
    /// The parent's work for an item.
    pub item_ns: f64,
    /// From the call to the result.
    pub round_trip_ns: f64,
    /// Bytes a second, either way.
    pub bytes_per_s: f64,
}

impl Default for Machine {
    /// A usual machine of today with two cores.
    fn default() -> Machine {
        Machine {
            cores: 2,
            max_workers: None,
            is_free_threaded: false,
            handover_ns: 2_000.0,
            item_ns: 500.0,
            round_trip_ns: 30_000.0,
            bytes_in_per_s: 6e9,
            bytes_out_per_s: 4e9,
            threads_start_ns: 200_000.0,
            interpreters_start_ns: 1e6,
            interpreter_ns: 15e6,
            processes_start_ns: 6e6,
            process_ns: 1e6,
            native_item_ns: 300.0,
            remote: None,
        }
    }
}

/// More than the cores, since threads are for calls that wait.
const MORE_THREADS: usize = 4;
const MOST_THREADS: usize = 32;

impl Machine {
    /// How many calls can be under way at the same time.
    #[must_use]
    pub fn workers(&self, rung: Rung) -> usize {
        let usual = match rung {
            Rung::Serial => 1,
            Rung::Threads => (self.cores + MORE_THREADS).min(MOST_THREADS),
            Rung::Interpreters | Rung::Processes | Rung::Native => self.cores,
            Rung::Cluster => self.remote.map_or(0, |remote| remote.cores),
        };
        if rung == Rung::Serial { 1 } else { self.max_workers.unwrap_or(usual).max(1) }
    }
}
