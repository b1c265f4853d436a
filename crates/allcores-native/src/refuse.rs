//! Every reason to say no for a type's sake.
//!
//! Refusing is cheap and right: Python runs what is refused. A reason is one of a list, so that a
//! report can count them and a test can ask for each; the front has a list of its own for what it
//! can't even write down (`python/allcores/native/refusals.py`).

use crate::ir::Position;

macro_rules! reasons {
    ($($variant:ident = $name:literal: $words:literal),* $(,)?) => {
        /// Why a function isn't compiled for the types at hand.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason { $(#[doc = $words] $variant),* }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it says.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(Self::$variant => $words),* }
            }
        }
    };
}

reasons! {
    VariableOfTwoTypes = "variable-of-two-types": "a variable holds values of two types",
    ResultOfTwoTypes = "result-of-two-types": "the function returns values of two types",
    OperandsOfTwoTypes = "operands-of-two-types": "the value is of one type or another",
    Operand = "operand": "the operation isn't supported for these types",
    Argument = "argument": "the call isn't supported for these types",
    NotATuple = "not-a-tuple": "only tuples can be unpacked",
    Index = "index": "this value has no elements by such indices",
    NotAList = "not-a-list": "only lists that the function has made itself can be changed",
    Escapes = "escapes": "the result has a list or a buffer in it",
    TupleLength = "tuple-length": "the tuple has another length",
    TooLarge = "too-large": "the function is too large",
}

/// A reason, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, at line {} column {}", reason.words(), at.line, at.column)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Where.
    pub at: Position,
}

impl Refusal {
    /// A refusal at a place.
    #[must_use]
    pub fn new(reason: Reason, at: Position) -> Self {
        Self { reason, at }
    }
}
