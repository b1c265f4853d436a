//! The choice, what it rests on, and the words for it.

use std::fmt::Write as _;

use crate::machine::Machine;
use crate::measurement::Measurement;
use crate::model::{Prediction, predict};
use crate::rung::{Exclusion, Refusal, Rung};

/// Seconds of computing per second of moving data, for an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leverage {
    /// Of the item in the middle.
    pub value: f64,
    /// Of all items together.
    pub of_all: f64,
    /// A tenth of the items has less.
    pub low: f64,
    /// A tenth has more.
    pub high: f64,
}

impl Leverage {
    /// Of items that are sent to another process.
    #[must_use]
    pub fn of(measured: &Measurement, machine: &Machine) -> Leverage {
        let bytes_in = measured.argument_bytes / machine.bytes_in_per_s.max(1.0);
        let bytes_out = measured.result_bytes / machine.bytes_out_per_s.max(1.0);
        let moving_ns = machine.item_ns
            + measured.pickle_ns.max(measured.unpickle_ns)
            + measured.result_pickle_ns.max(measured.result_unpickle_ns)
            + (bytes_in + bytes_out) * 1e9;
        let of = |computing_ns: f64| computing_ns / moving_ns.max(1.0);
        let wall = &measured.wall_ns;
        Leverage {
            value: of(wall.median),
            of_all: of(wall.mean),
            low: of(wall.low),
            high: of(wall.high),
        }
    }
}

/// What the user should know beside the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Less than three items were measured.
    FewMeasured,
    /// Items differ by more than their median: the prediction may be off.
    WideSpread,
    /// Most of the moving is bytes: share large arguments, or pass what they are made from.
    LargeData,
    /// The longest item alone takes longer than a fair share of the work.
    LongItem,
}

impl Warning {
    /// All of them.
    pub const ALL: [Warning; 4] =
        [Warning::FewMeasured, Warning::WideSpread, Warning::LargeData, Warning::LongItem];

    /// One clause that says it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Warning::FewMeasured => "fewer than three items were measured",
            Warning::WideSpread => "items differ by more than their median",
            Warning::LargeData => "most of the moving is bytes: share large arguments",
            Warning::LongItem => "one item takes longer than a fair share of the work",
        }
    }
}

/// Which rung, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The chosen one.
    pub rung: Rung,
    /// What each rung that is possible would take; the fastest first.
    pub predictions: Vec<Prediction>,
    /// Those that are not, or not worth it.
    pub refusals: Vec<Exclusion>,
    /// For processes.
    pub leverage: Leverage,
    /// What else the user should know.
    pub warnings: Vec<Warning>,
}

/// A gain must be this large as a share, even if nothing is in doubt: cores share memory, caches and
/// what else no term has.
const LEAST_GAIN: f64 = 0.08;
/// And save so much: less can't be told from nothing.
const LEAST_SAVED_NS: f64 = 0.5e6;
/// And no doubt asks for more than this.
const MOST_DOUBT: f64 = 0.5;

/// The rung to use for what is left. Serial is always possible, and kept unless another gains more
/// than what was measured may be off.
#[must_use]
pub fn advise(measured: &Measurement, machine: &Machine, excluded: &[Exclusion]) -> Verdict {
    let leverage = Leverage::of(measured, machine);
    let mut refusals = excluded.to_vec();
    let mut predictions = Vec::new();
    for rung in Rung::ALL {
        if refusals.iter().any(|each| each.rung == rung && rung != Rung::Serial) {
            continue;
        }
        match possible(rung, measured, machine, leverage) {
            Ok(prediction) => predictions.push(prediction),
            Err(refusal) => refusals.push(Exclusion { rung, refusal }),
        }
    }
    predictions.sort_by(|one, other| one.total_ns().total_cmp(&other.total_ns()));
    let serial_ns = measured.planned() * measured.wall_ns.mean;
    let doubt = LEAST_GAIN + measured.wall_ns.doubt().min(MOST_DOUBT);
    let is_worth_it =
        |each: &Prediction| each.total_ns() * (1.0 + doubt) + LEAST_SAVED_NS < serial_ns;
    let rung = predictions
        .iter()
        .find(|each| each.rung != Rung::Serial && is_worth_it(each))
        .map_or(Rung::Serial, |each| each.rung);
    for each in &predictions {
        if each.rung != Rung::Serial && !is_worth_it(each) {
            refusals.push(Exclusion { rung: each.rung, refusal: Refusal::GainTooSmall });
        }
    }
    let warnings =
        Warning::ALL.into_iter().filter(|each| applies(*each, measured, machine)).collect();
    Verdict { rung, predictions, refusals, leverage, warnings }
}

fn possible(
    rung: Rung,
    measured: &Measurement,
    machine: &Machine,
    leverage: Leverage,
) -> Result<Prediction, Refusal> {
    if rung != Rung::Serial && rung != Rung::Native {
        if measured.left.is_some_and(|left| left < 2) {
            return Err(Refusal::TooFewItems);
        }
        let is_waiting = measured.waiting_share() > LEAST_FREE;
        if machine.cores < 2 && rung != Rung::Cluster && !is_waiting {
            return Err(Refusal::OneCore);
        }
    }
    if rung == Rung::Threads && !machine.is_free_threaded && measured.free_share < LEAST_FREE {
        return Err(Refusal::LockHeld);
    }
    if rung.moves_data() && rung != Rung::Cluster && leverage.of_all < 1.0 {
        return Err(Refusal::LeverageBelowOne);
    }
    predict(rung, measured, machine).ok_or(Refusal::SpeedUnknown)
}

/// Threads run calls of one function beside each other in one memory. They are offered only to
/// functions that let others run anyway, by waiting or by letting go of the interpreter's lock.
const LEAST_FREE: f64 = 0.1;

fn applies(warning: Warning, measured: &Measurement, machine: &Machine) -> bool {
    let wall = &measured.wall_ns;
    match warning {
        Warning::FewMeasured => measured.done < 3,
        Warning::WideSpread => wall.spread > 1.0,
        Warning::LargeData => {
            let bytes_ns = (measured.argument_bytes / machine.bytes_in_per_s.max(1.0)
                + measured.result_bytes / machine.bytes_out_per_s.max(1.0))
                * 1e9;
            bytes_ns > machine.item_ns + measured.pickle_ns + measured.result_pickle_ns
        }
        Warning::LongItem => {
            let share_ns = measured.planned() * wall.mean / machine.cores.max(1) as f64;
            measured.left.is_some_and(|left| left >= 2) && wall.largest > share_ns
        }
    }
}

impl Verdict {
    /// What a rung would take, in nanoseconds; None if it is not possible.
    #[must_use]
    pub fn predicted_ns(&self, rung: Rung) -> Option<f64> {
        self.predictions.iter().find(|each| each.rung == rung).map(Prediction::total_ns)
    }

    /// Lines of words: why this rung, then why not the others.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let mut lines = vec![self.reason()];
        for each in &self.refusals {
            lines.push(format!("not {}: {}", each.rung, each.refusal.words()));
        }
        lines
    }

    /// The choice in one line.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut line = String::new();
        let serial_ns = self.predicted_ns(Rung::Serial).unwrap_or(0.0);
        let chosen_ns = self.predicted_ns(self.rung).unwrap_or(serial_ns);
        let written = if self.rung == Rung::Serial {
            let best = self.refusals.iter().rfind(|each| each.rung == Rung::Processes);
            let why = best.map_or("nothing is faster", |each| each.refusal.words());
            write!(line, "serial: {why}")
        } else {
            write!(
                line,
                "{}: {} instead of {} predicted for what is left",
                self.rung,
                duration(chosen_ns),
                duration(serial_ns)
            )
        };
        debug_assert!(written.is_ok());
        if self.leverage.value.is_finite() && self.leverage.value > 0.0 {
            let written = write!(line, ", leverage {}", short(self.leverage.value));
            debug_assert!(written.is_ok());
        }
        line
    }
}

fn duration(ns: f64) -> String {
    match ns {
        _ if ns >= 1e9 => format!("{} s", short(ns / 1e9)),
        _ if ns >= 1e6 => format!("{} ms", short(ns / 1e6)),
        _ => format!("{} µs", short(ns / 1e3)),
    }
}

fn short(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
