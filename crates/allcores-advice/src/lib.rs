//! Which rung of the ladder is fastest for a function and its items, and why.
//!
//! ```text
//!   Measurement (of the function) ─┐
//!   Machine (its constants) ───────┼─► model: a Prediction for each rung ─► Verdict
//!   Exclusions (what can't be) ────┘        a sum of named terms           rung, leverage, reasons
//! ```
//!
//! Numbers in, words and numbers out: no clock, no I/O, no state. All times are nanoseconds as
//! `f64`, all shares are between 0 and 1.
#![forbid(unsafe_code)]

mod machine;
mod measurement;
mod model;
mod rung;
mod sample;
mod verdict;

pub use machine::{Machine, Remote};
pub use measurement::Measurement;
pub use model::{Prediction, Terms, predict};
pub use rung::{Exclusion, Refusal, Rung};
pub use sample::{Sample, median, median_deviation, quantile};
pub use verdict::{Leverage, Verdict, Warning, advise};
