//! How long the items that are left would take on a rung, as a sum of named terms.
//!
//! A rung of workers is a pipeline: the caller hands items out and takes results (*move*), the
//! workers compute, and the slower of the two sets the pace. What the pace costs beyond the ideal
//! division of the work is *contention*: for the interpreter's lock, for cores, for the caller. At
//! the end some workers have nothing left while the last item runs: the *tail*.

use crate::machine::Machine;
use crate::measurement::Measurement;
use crate::rung::Rung;

/// What a prediction is made of, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms {
    /// Until the workers work.
    pub start_ns: f64,
    /// The function and the arguments, on their way.
    pub move_in_ns: f64,
    /// The work, divided ideally.
    pub compute_ns: f64,
    /// The results.
    pub move_out_ns: f64,
    /// Waiting for the lock, for a core, for the caller.
    pub contention_ns: f64,
    /// The last item, while others have none.
    pub tail_ns: f64,
}

impl Terms {
    /// Their sum.
    #[must_use]
    pub fn total_ns(&self) -> f64 {
        self.start_ns
            + self.move_in_ns
            + self.compute_ns
            + self.move_out_ns
            + self.contention_ns
            + self.tail_ns
    }

    /// By name, in the order of the story.
    #[must_use]
    pub fn named(&self) -> [(&'static str, f64); 6] {
        [
            ("start", self.start_ns),
            ("move in", self.move_in_ns),
            ("compute", self.compute_ns),
            ("move out", self.move_out_ns),
            ("contention", self.contention_ns),
            ("tail", self.tail_ns),
        ]
    }
}

/// What a rung would take for the items that are left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Which rung.
    pub rung: Rung,
    /// With how many workers.
    pub workers: usize,
    /// What it is made of.
    pub terms: Terms,
}

impl Prediction {
    /// Its sum.
    #[must_use]
    pub fn total_ns(&self) -> f64 {
        self.terms.total_ns()
    }
}

/// What a rung would take; None where nobody can know (not compiled, no cluster).
#[must_use]
pub fn predict(rung: Rung, measured: &Measurement, machine: &Machine) -> Option<Prediction> {
    let at = |costs: Costs| Some(costs.best(rung, measured, machine));
    match rung {
        Rung::Serial => {
            let compute_ns = measured.planned() * measured.wall_ns.mean;
            Some(Prediction { rung, workers: 1, terms: Terms { compute_ns, ..Terms::default() } })
        }
        Rung::Native => {
            // It was compiled to be tried.
            let compiled = measured.compiled()?;
            let costs = Costs {
                start_ns: machine.threads_start_ns,
                worker_ns: 0.0,
                move_in_ns: machine.native_item_ns,
                move_out_ns: 0.0,
                last_ns: machine.handover_ns,
                once_ns: 0.0,
                cores: machine.cores,
                locked_ns: compiled.locked_ns(),
            };
            Some(costs.best(rung, &compiled, machine))
        }
        Rung::Threads => {
            let beside = measured.beside_others();
            let costs = Costs {
                start_ns: machine.threads_start_ns,
                worker_ns: 0.0,
                move_in_ns: machine.handover_ns,
                move_out_ns: 0.0,
                last_ns: machine.handover_ns,
                once_ns: 0.0,
                cores: machine.cores,
                locked_ns: if machine.is_free_threaded { 0.0 } else { beside.locked_ns() },
            };
            Some(costs.best(rung, &beside, machine))
        }
        Rung::Interpreters | Rung::Processes => {
            let is_process = rung == Rung::Processes;
            let (start_ns, worker_ns) = if is_process {
                (machine.processes_start_ns, machine.process_ns)
            } else {
                (machine.interpreters_start_ns, machine.interpreter_ns)
            };
            let (bytes_in, bytes_out) = (machine.bytes_in_per_s, machine.bytes_out_per_s);
            at(Costs {
                start_ns: start_ns + THERE_AND_MADE * measured.function_pickle_ns,
                worker_ns,
                move_in_ns: machine.item_ns / 2.0
                    + measured.pickle_ns
                    + transfer_ns(measured.argument_bytes, bytes_in),
                move_out_ns: machine.item_ns / 2.0
                    + measured.result_unpickle_ns
                    + transfer_ns(measured.result_bytes, bytes_out),
                last_ns: machine.round_trip_ns,
                once_ns: transfer_ns(measured.function_bytes, bytes_in),
                cores: machine.cores,
                locked_ns: 0.0,
            })
        }
        Rung::Cluster => {
            let remote = machine.remote?;
            at(Costs {
                start_ns: remote.start_ns + THERE_AND_MADE * measured.function_pickle_ns,
                worker_ns: 0.0,
                move_in_ns: remote.item_ns / 2.0
                    + measured.pickle_ns
                    + transfer_ns(measured.argument_bytes, remote.bytes_per_s),
                move_out_ns: remote.item_ns / 2.0
                    + measured.result_unpickle_ns
                    + transfer_ns(measured.result_bytes, remote.bytes_per_s),
                last_ns: remote.round_trip_ns,
                once_ns: transfer_ns(measured.function_bytes, remote.bytes_per_s),
                cores: remote.cores,
                locked_ns: 0.0,
            })
        }
    }
}

fn transfer_ns(bytes: f64, per_s: f64) -> f64 {
    bytes / per_s.max(1.0) * 1e9
}

/// With a longest item so many times longer than the mean, two resources are never busy together.
const LUMPY: f64 = 4.0;

/// With one so many times longer than the mean, it is the last long one that ends last.
const SKEWED: f64 = 6.0;

/// Among so few workers somebody has the lock or a core anyway.
const FEW_STALLED: f64 = 3.0;

/// The function is pickled before any of it, and unpickled by all at a time. That keeps the bytes, and
/// makes objects in memory that nobody has touched: so many times what was measured, which does
/// neither.
const THERE_AND_MADE: f64 = 6.0;

/// What a rung of workers costs.
struct Costs {
    start_ns: f64,
    worker_ns: f64,
    /// The caller's work for an item on its way in, and out.
    move_in_ns: f64,
    move_out_ns: f64,
    /// From the last item's end to its result.
    last_ns: f64,
    /// For each worker.
    once_ns: f64,
    cores: usize,
    /// What an item needs of a lock that all share.
    locked_ns: f64,
}

impl Costs {
    /// With as many workers as pay; so more cores never predict more time.
    fn best(&self, rung: Rung, measured: &Measurement, machine: &Machine) -> Prediction {
        let items = measured.planned().max(1.0);
        let most = (machine.workers(rung) as f64).min(items).max(1.0) as usize;
        let mut best = self.with(1, rung, measured);
        for workers in 2..=most {
            let other = self.with(workers, rung, measured);
            if other.total_ns() < best.total_ns() {
                best = other;
            }
        }
        best
    }

    fn with(&self, workers: usize, rung: Rung, measured: &Measurement) -> Prediction {
        let items = measured.planned();
        let crew = workers as f64;
        let move_in_ns = items * self.move_in_ns + crew * self.once_ns;
        let move_out_ns = items * self.move_out_ns;
        // A worker unpickles what the caller pickled, and the other way round.
        let moving_there_ns = (self.move_in_ns - measured.pickle_ns + measured.unpickle_ns)
            + (self.move_out_ns - measured.result_unpickle_ns + measured.result_pickle_ns);
        let is_apart = rung.moves_data();
        let item_ns =
            if is_apart { measured.apart_ns() + moving_there_ns } else { measured.wall_ns.mean };
        let cores = (self.cores as f64).max(1.0);
        // More calls at a time than cores help only those that wait.
        let side_by_side = crew.min(cores / measured.busy_cores.clamp(f64::MIN_POSITIVE, 1.0));
        let compute_ns = items * item_ns / side_by_side.max(1.0);
        // Each of these is a lower bound; the largest sets the pace. The caller needs a core too,
        // and, where all share one lock, the lock.
        let own_ns = if is_apart { moving_there_ns } else { 0.0 };
        let cores_ns = (items * (measured.cpu_ns() + own_ns) + move_in_ns + move_out_ns) / cores;
        // The last to have the lock still has to wait for what it waits for.
        let after_lock_ns = measured.wall_ns.mean - measured.cpu_ns();
        let lock_ns = match is_apart {
            true => 0.0,
            false => items * self.locked_ns + move_in_ns + after_lock_ns.max(0.0),
        };
        let caller_ns = move_in_ns + move_out_ns;
        // The caller sends to one after the other, and has the last results to take when all have
        // ended. No result is there before an item was made, and the last item is sent last.
        let sent_ns = self.move_in_ns - measured.pickle_ns + measured.unpickle_ns;
        let (sent_ns, taken_ns, caller_ns) = if is_apart {
            let first_ns = (self.move_in_ns + move_out_ns).max(move_in_ns + self.move_out_ns);
            let sent_ns = (crew - 1.0) * sent_ns;
            (sent_ns, (crew - 1.0) * own_ns - sent_ns, caller_ns.max(item_ns + first_ns))
        } else {
            (0.0, 0.0, caller_ns)
        };
        // All begin at once: the last of the crew gets the lock when the others had it. It has no item
        // more than others; who has, begins it sooner.
        let queue_ns = (crew * self.locked_ns - measured.cpu_ns()).max(0.0);
        let rounds = items / crew;
        let queued_ns =
            (rounds * item_ns + queue_ns / 2.0).max(rounds.floor() * item_ns + queue_ns);
        let over = (items - rounds.floor() * crew - 1.0).max(0.0) / (crew - 1.0).max(1.0);
        // Where there are more of them than cores have time for, the queue is hidden behind that.
        let manned_ns = compute_ns.max(queued_ns + sent_ns);
        let pace_ns = (manned_ns + taken_ns).max(cores_ns).max(lock_ns).max(caller_ns);
        // Where something else sets the pace, the uneven end is hidden behind it; but no end is
        // before that of the longest.
        let longest_ns = item_ns + self.excess_ns(measured);
        let side_by_side = side_by_side.max(1.0);
        let uneven_ns = |crew, lock| self.uneven_ns(measured, item_ns, crew, lock);
        let alone_ns = compute_ns + uneven_ns(side_by_side, false);
        let shares_a_lock = self.locked_ns > 0.0;
        let end_ns = (compute_ns + uneven_ns(side_by_side, shares_a_lock))
            .max(rounds * item_ns + uneven_ns(crew, shares_a_lock) + over * queue_ns + sent_ns)
            .max(longest_ns);
        let tail_ns = end_ns - pace_ns;
        let ideal_ns = pace_ns + tail_ns.max(0.0);
        let late_ns = self
            .late_ns(measured, crew)
            .max(self.stalled_ns(measured, crew, alone_ns, ideal_ns))
            .max(self.handed_ns(measured, move_in_ns, longest_ns, ideal_ns));
        let tail_ns = tail_ns.max(late_ns - pace_ns);
        // What moves while workers compute is hidden; the sum of the terms is the pace.
        let hidden_ns = pace_ns - compute_ns;
        let moved_ns = move_in_ns + move_out_ns;
        let shown = if moved_ns > 0.0 { (hidden_ns / moved_ns).min(1.0) } else { 0.0 };
        let terms = Terms {
            // The first works while the others start.
            start_ns: self.start_ns + (crew + 1.0) / 2.0 * self.worker_ns,
            move_in_ns: shown * move_in_ns,
            compute_ns,
            move_out_ns: shown * move_out_ns,
            contention_ns: (hidden_ns - shown * moved_ns).max(0.0),
            tail_ns: tail_ns.max(0.0) + self.last_ns,
        };
        Prediction { rung, workers, terms }
    }

    /// When the last of the long items ends, where each holds the lock in one piece and then waits:
    /// they come anywhere in the lock's queue, and what they wait for comes after it.
    fn late_ns(&self, measured: &Measurement, crew: f64) -> f64 {
        if self.locked_ns <= 0.0 {
            return 0.0;
        }
        let (wall, items) = (&measured.wall_ns, measured.planned());
        let long = measured.long();
        let queue_ns = items * self.locked_ns;
        let own_ns = wall.largest * self.locked_ns / wall.mean.max(f64::MIN_POSITIVE);
        let turn_ns = (queue_ns * long / (long + 1.0) + own_ns / 2.0).min(queue_ns);
        // Nor does one begin before a worker is free, whose last item had to wait for the lock.
        let begun = (long / (long + 1.0) - crew / items).max(0.0);
        let waiting_ns = wall.largest * measured.waiting_share();
        (turn_ns + waiting_ns).max(queue_ns * begun + wall.largest)
    }

    /// What it takes where long items hold the lock in one piece: who needs it meanwhile has to stop,
    /// so the time of the lock and that of the cores don't fall together any more.
    fn stalled_ns(&self, measured: &Measurement, crew: f64, alone_ns: f64, ideal_ns: f64) -> f64 {
        let mean_ns = measured.wall_ns.mean.max(f64::MIN_POSITIVE);
        // Where all begin at once nobody waits behind them.
        let waits = (measured.planned() / crew - 1.0).clamp(0.0, 1.0);
        let lumps = (self.excess_ns(measured) / mean_ns / LUMPY).clamp(0.0, 1.0)
            * (1.0 - FEW_STALLED / crew).max(0.0)
            * waits;
        let lock_ns = measured.planned() * self.locked_ns;
        ideal_ns + lumps * (alone_ns.hypot(lock_ns) - ideal_ns).max(0.0)
    }

    /// When the last of the long items ends, where the caller hands out one item after the other: they
    /// come anywhere in that row.
    fn handed_ns(&self, measured: &Measurement, in_ns: f64, longest_ns: f64, ideal_ns: f64) -> f64 {
        let long = measured.long();
        let end_ns = in_ns * long / (long + 1.0) + longest_ns;
        ideal_ns + self.skew(measured) * (end_ns - ideal_ns).max(0.0)
    }

    /// From 0, where all items take equally long, to 1, where it is the last long one that ends last.
    fn skew(&self, measured: &Measurement) -> f64 {
        (self.excess_ns(measured) / measured.wall_ns.mean.max(f64::MIN_POSITIVE) / SKEWED)
            .clamp(0.0, 1.0)
    }

    /// By how much the longest item is longer than others.
    fn excess_ns(&self, measured: &Measurement) -> f64 {
        (measured.wall_ns.largest - measured.wall_ns.mean).max(0.0)
    }

    /// How long after the ideal end the last item ends: by what does not divide evenly, or by one
    /// that is longer than the others and comes late.
    fn uneven_ns(
        &self,
        measured: &Measurement,
        item_ns: f64,
        crew: f64,
        shares_a_lock: bool,
    ) -> f64 {
        let items = measured.planned();
        let (work_ns, longest_ns) = (items * item_ns, item_ns + self.excess_ns(measured));
        let ideal_ns = work_ns / crew;
        // Who has one more than others begins it when his short ones have ended.
        let short_ns = item_ns - (measured.wall_ns.mean - measured.wall_ns.low).max(0.0);
        let uneven_ns = ((items / crew.ceil()).ceil() - items / crew) * short_ns;
        // Where all begin at once none comes late.
        let late_by = if items > crew { (1.0 - 1.0 / crew) / 2.0 } else { 0.0 };
        let plain_ns = uneven_ns.max(self.excess_ns(measured) * late_by).min(work_ns - ideal_ns);
        // Of some long ones, which come anywhere, the last one begins when most of the work has.
        let long = measured.long();
        if long <= 1.0 || shares_a_lock {
            return plain_ns; // where all share a lock, `late_ns` says it
        }
        let before = long / (long + 1.0);
        let mut begun_ns = before * (work_ns - longest_ns) / crew;
        if long - 1.0 < crew {
            // The others have their workers, and the short ones the rest of them.
            let short_ns = work_ns - long * longest_ns;
            begun_ns = begun_ns.min(before * short_ns.max(0.0) / (crew - (long - 1.0) / 2.0));
        }
        let least_ns = plain_ns.max(longest_ns - ideal_ns);
        let late_ns = begun_ns + longest_ns - ideal_ns;
        if late_ns <= least_ns {
            return plain_ns;
        }
        least_ns + self.skew(measured) * (late_ns - least_ns)
    }
}
