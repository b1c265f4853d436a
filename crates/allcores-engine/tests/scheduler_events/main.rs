//! One event at a time: exactly these actions, and nothing else.
//!
//! `env.rs` holds the builder; each other file holds the tests of one rule. After every event the
//! scheduler's books are derived anew and compared.

mod arrest;
mod cancel;
mod credit;
mod env;
mod explain;
mod loss;
mod order;
mod recycle;
mod resume;
mod shutdown;
mod sizing;
mod speed;
mod start;
mod take_back;
