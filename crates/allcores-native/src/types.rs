//! The types that values have: the words they are made of.

use std::fmt;
use std::sync::Arc;

/// The type of a value. A subclass of a Python type is another type, and none of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `None`, which needs no word.
    None,
    /// A `bool`: a word that is 0 or 1.
    Bool,
    /// An `int` that fits 64 bits with its sign.
    Int,
    /// A `float`: its bits.
    Float,
    /// A `tuple`: its elements' words, one after the other.
    Tuple(Arc<[Type]>),
}

impl Type {
    /// How many words a value has.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Bool | Self::Int | Self::Float => 1,
            Self::Tuple(items) => items.iter().map(Self::width).sum(),
        }
    }

    /// The types of its words, in order.
    #[must_use]
    pub fn words(&self) -> Vec<Self> {
        match self {
            Self::None => Vec::new(),
            Self::Tuple(items) => items.iter().flat_map(Self::words).collect(),
            scalar => vec![scalar.clone()],
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Bool | Self::Int | Self::Float)
    }

    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Bool | Self::Int)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float"),
            Self::Tuple(items) => {
                f.write_str("(")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
        }
    }
}
