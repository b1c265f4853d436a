//! The Python binding: translation only, no decisions.
//!
//! Every object here is `frozen` and belongs to the process that made it. In a child that
//! the user forks off it says so when it is used, and is left alone when it is dropped
//! (`home.rs`). Whatever may wait does so detached from the interpreter.
#![deny(unsafe_code)]

use pyo3::prelude::*;

mod advice;
mod alarm;
mod arguments;
mod arrays;
mod command;
mod errors;
mod home;
mod known;
mod lookout;
mod native;
mod parcels;
mod plain;
mod pool;
mod port;
mod scalars;
mod serve;
mod slot;
mod tally;
mod unroll;
mod view;
mod waiting;

/// The engine of allcores.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::advice::{Verdict, advise};
    #[pymodule_export]
    use super::alarm::Alarm;
    #[pymodule_export]
    use super::command::{Feed, command};
    #[pymodule_export]
    use super::home::mark_forked;
    #[pymodule_export]
    use super::home::note_fork;
    #[pymodule_export]
    use super::known::Known;
    #[pymodule_export]
    use super::lookout::Lookout;
    #[pymodule_export]
    use super::native::{Brake, Program, Watch};
    #[pymodule_export]
    use super::parcels::{Delivery, Shipment};
    #[pymodule_export]
    use super::plain::{is_plain, names_main, plain_call};
    #[pymodule_export]
    use super::pool::Pool;
    #[pymodule_export]
    use super::port::{Port, Walk};
    #[pymodule_export]
    use super::scalars::scalars_in;
    #[pymodule_export]
    use super::slot::Slot;
    #[pymodule_export]
    use super::tally::Tally;
    #[pymodule_export]
    use super::unroll::Unroll;
    #[pymodule_export]
    use super::view::Buffer;
    #[pymodule_export]
    use super::waiting::{is_ready, thread_numbers, waited_ns};

    #[pymodule_export]
    const FAILED: i64 = super::slot::FAILED;
    #[pymodule_export]
    const CANCELLED: i64 = super::slot::CANCELLED;
    #[pymodule_export]
    const PARTS: i64 = super::slot::PARTS;
    #[pymodule_export]
    const FUNCTION: i64 = super::port::FUNCTION;
    #[pymodule_export]
    const FORGET: i64 = super::port::FORGET;
}
