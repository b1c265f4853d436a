//! Plain numeric Python as machine code, exactly, with no Python in it.
//!
//! The story of a function: the front writes it as bytes, which [`ir`] reads; when it is called,
//! `infer` finds the types of its variables from those of the arguments, or [`refuse`]s; `compile`
//! has it written (`statements`, `expressions`, `arithmetic`, `functions`, all by way of `emit`) as
//! code that gives **exactly** what CPython gives or leaves the item to it ([`guard`]). A [`Machine`]
//! is the code; it runs one item, or a [batch] on all cores, and looks up now and then
//! whether somebody wants it to end ([`Watch`]).
//!
//! Compiled functions have no effect but their result. So an item that is left half-way can always be
//! run again by Python, and what is uncertain needs no cleverness here.
#![deny(unsafe_code)]

mod arithmetic;
pub mod batch;
mod brake;
mod builtins;
mod call;
mod compile;
mod counting;
mod crew;
mod division;
mod emit;
pub mod error;
mod expressions;
mod functions;
pub mod guard;
mod infer;
mod interval;
pub mod ir;
pub mod items;
mod light;
mod lists;
mod numbers;
mod ranges;
pub mod refuse;
mod runtime;
mod sequences;
mod span;
mod statements;
pub mod types;
mod watch;

pub use brake::Brake;
pub use call::{Look, Machine, Place, Run};
pub use watch::Watch;
