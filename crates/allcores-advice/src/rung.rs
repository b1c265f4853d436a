//! The places on the ladder, and why one of them is not for a function.

use std::fmt;

/// A place on the ladder, from its bottom to its top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rung {
    /// In the caller, one after the other.
    Serial,
    /// In threads of this process.
    Threads,
    /// In other interpreters of this process.
    Interpreters,
    /// In worker processes.
    Processes,
    /// Compiled.
    Native,
    /// On other machines.
    Cluster,
}

impl Rung {
    /// All of them.
    pub const ALL: [Rung; 6] = [
        Rung::Serial,
        Rung::Threads,
        Rung::Interpreters,
        Rung::Processes,
        Rung::Native,
        Rung::Cluster,
    ];

    /// As users give it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rung::Serial => "serial",
            Rung::Threads => "threads",
            Rung::Interpreters => "interpreters",
            Rung::Processes => "processes",
            Rung::Native => "native",
            Rung::Cluster => "cluster",
        }
    }

    /// The rung with that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Rung> {
        Rung::ALL.into_iter().find(|each| each.name() == name)
    }

    /// Whether arguments and results are pickled on their way.
    #[must_use]
    pub fn moves_data(self) -> bool {
        matches!(self, Rung::Interpreters | Rung::Processes | Rung::Cluster)
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why a rung is not for a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The function can't be pickled: pass what it refers to as arguments.
    UnpicklableFunction,
    /// An argument can't be pickled: pass what it is made from.
    UnpicklableArgument,
    /// A result can't be pickled: return plain values.
    UnpicklableResult,
    /// It needs or changes state of this process.
    NeedsState,
    /// An option was asked for that the rung can't keep.
    OptionNotKept,
    /// The rung can't be used on this Python or build.
    NotHere,
    /// There is one item, or none: nothing can run beside it.
    TooFewItems,
    /// This process has one core: computing can't be divided.
    OneCore,
    /// Moving an item takes longer than computing it.
    LeverageBelowOne,
    /// The function holds the interpreter's lock while it computes.
    LockHeld,
    /// Nobody knows how fast it would be there.
    SpeedUnknown,
    /// It can't be compiled.
    NotCompiled,
    /// Machine code leaves most items to Python.
    LeftToPython,
    /// Machine code gave another result than Python.
    ResultDiffers,
    /// What it would gain is within the spread of what was measured.
    GainTooSmall,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 15] = [
        Refusal::UnpicklableFunction,
        Refusal::UnpicklableArgument,
        Refusal::UnpicklableResult,
        Refusal::NeedsState,
        Refusal::OptionNotKept,
        Refusal::NotHere,
        Refusal::TooFewItems,
        Refusal::OneCore,
        Refusal::LeverageBelowOne,
        Refusal::LockHeld,
        Refusal::SpeedUnknown,
        Refusal::NotCompiled,
        Refusal::LeftToPython,
        Refusal::ResultDiffers,
        Refusal::GainTooSmall,
    ];

    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Refusal::UnpicklableFunction => "unpicklable_function",
            Refusal::UnpicklableArgument => "unpicklable_argument",
            Refusal::UnpicklableResult => "unpicklable_result",
            Refusal::NeedsState => "needs_state",
            Refusal::OptionNotKept => "option_not_kept",
            Refusal::NotHere => "not_here",
            Refusal::TooFewItems => "too_few_items",
            Refusal::OneCore => "one_core",
            Refusal::LeverageBelowOne => "leverage_below_one",
            Refusal::LockHeld => "lock_held",
            Refusal::SpeedUnknown => "speed_unknown",
            Refusal::NotCompiled => "not_compiled",
            Refusal::LeftToPython => "left_to_python",
            Refusal::ResultDiffers => "result_differs",
            Refusal::GainTooSmall => "gain_too_small",
        }
    }

    /// The refusal with that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Refusal> {
        Refusal::ALL.into_iter().find(|each| each.name() == name)
    }

    /// One clause that says it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Refusal::UnpicklableFunction => "the function can't be pickled",
            Refusal::UnpicklableArgument => "an argument can't be pickled",
            Refusal::UnpicklableResult => "a result can't be pickled",
            Refusal::NeedsState => "the function needs state of this process",
            Refusal::OptionNotKept => "an option that was asked for can't be kept there",
            Refusal::NotHere => "it can't be used here",
            Refusal::TooFewItems => "there is nothing to run beside the first item",
            Refusal::OneCore => "this process has one core",
            Refusal::LeverageBelowOne => "moving an item takes longer than computing it",
            Refusal::LockHeld => "the function holds the interpreter's lock",
            Refusal::SpeedUnknown => "nobody knows how fast it would be there",
            Refusal::NotCompiled => "it can't be compiled",
            Refusal::LeftToPython => "machine code leaves most items to Python",
            Refusal::ResultDiffers => "machine code gave another result than Python",
            Refusal::GainTooSmall => "the gain is within the spread of the measurement",
        }
    }
}

/// A rung that was ruled out before anything was predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// Which one.
    pub rung: Rung,
    /// Why.
    pub refusal: Refusal,
}
