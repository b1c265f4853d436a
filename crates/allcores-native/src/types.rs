//! The types that values have: the words they are made of.

use std::fmt;
use std::sync::Arc;

use crate::interval::Interval;

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
    /// An `int` or a `float`, which only shows at run time: the float that is equal to it, and whether
    /// it is an int. Such an int has at most 53 bits, and its zero no sign.
    Number,
    /// A `tuple`: its elements' words, one after the other.
    Tuple(Arc<[Type]>),
    /// Numbers that lie one after the other, to be read: their address, and how many there are in
    /// each dimension.
    Buffer(Buffer),
    /// A `list` that the program has made and appends to: the address of what is known of it.
    List(Scalar),
    /// A `list` in a program that appends to none: the address of its first word, and its length.
    Row(Scalar),
    /// An element of a foreign buffer, of which nothing can be had but the number: its word.
    Foreign(Scalar),
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// A `bool`.
    Bool,
    /// An `int`.
    Int,
    /// A `float`.
    Float,
}

impl Scalar {
    /// The type of such a number.
    #[must_use]
    pub fn kind(self) -> Type {
        match self {
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Float => Type::Float,
        }
    }

    /// The number that has this type.
    #[must_use]
    pub fn of(kind: &Type) -> Option<Self> {
        match kind {
            Type::Bool => Some(Self::Bool),
            Type::Int => Some(Self::Int),
            Type::Float => Some(Self::Float),
            _ => None,
        }
    }
}

/// What lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Buffer {
    /// What each element is.
    pub element: Element,
    /// How many indices an element has.
    pub dimensions: u8,
    /// Are elements objects of another library, as those of numpy's arrays are?
    pub is_foreign: bool,
}

/// How a number lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are called what they are")]
pub enum Element {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl Element {
    /// How many bytes it has.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// What Python makes of it.
    #[must_use]
    pub fn scalar(self) -> Scalar {
        match self {
            Self::Bool => Scalar::Bool,
            Self::F32 | Self::F64 => Scalar::Float,
            _ => Scalar::Int,
        }
    }

    /// Between which bounds it lies, if it is an int.
    pub(crate) fn range(self) -> Interval {
        match self {
            Self::Bool => Interval::new(0, 1),
            Self::I8 => Interval::new(i8::MIN.into(), i8::MAX.into()),
            Self::U8 => Interval::new(0, u8::MAX.into()),
            Self::I16 => Interval::new(i16::MIN.into(), i16::MAX.into()),
            Self::U16 => Interval::new(0, u16::MAX.into()),
            Self::I32 => Interval::new(i32::MIN.into(), i32::MAX.into()),
            Self::U32 => Interval::new(0, u32::MAX.into()),
            Self::U64 => Interval::new(0, i64::MAX),
            Self::I64 | Self::F32 | Self::F64 => Interval::ALL,
        }
    }
}

/// More elements than that no memory has.
pub(crate) const LENGTHS: Interval = Interval { low: 0, high: 1 << 48 };

impl Type {
    /// How many words a value has.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Bool | Self::Int | Self::Float | Self::List(_) | Self::Foreign(_) => 1,
            Self::Tuple(items) => items.iter().map(Self::width).sum(),
            Self::Row(_) | Self::Number => 2,
            Self::Buffer(buffer) => 1 + usize::from(buffer.dimensions),
        }
    }

    /// The types of its words, in order; an address is an int.
    #[must_use]
    pub fn words(&self) -> Vec<Self> {
        match self {
            Self::None => Vec::new(),
            Self::Number => vec![Self::Float, Self::Bool],
            Self::Tuple(items) => items.iter().flat_map(Self::words).collect(),
            Self::Buffer(_) | Self::List(_) | Self::Row(_) => vec![Self::Int; self.width()],
            Self::Foreign(scalar) => vec![scalar.kind()],
            scalar => vec![scalar.clone()],
        }
    }

    /// Between which bounds the words lie.
    pub(crate) fn ranges(&self) -> Vec<Interval> {
        match self {
            Self::Tuple(items) => items.iter().flat_map(Self::ranges).collect(),
            Self::Buffer(_) | Self::Row(_) => {
                let mut ranges = vec![LENGTHS; self.width()];
                ranges[0] = Interval::ALL;
                ranges
            }
            other => other.words().iter().map(Interval::of_word).collect(),
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Bool | Self::Int | Self::Float | Self::Number)
    }

    /// Is it a number whose type is known, so that it has one word?
    pub(crate) fn is_plain_number(&self) -> bool {
        self.is_number() && *self != Self::Number
    }

    /// Does arithmetic with it go on with floats?
    pub(crate) fn is_real(&self) -> bool {
        matches!(self, Self::Float | Self::Number)
    }

    /// The type of what is of the one type or the other; none if there is none.
    pub(crate) fn either(&self, other: &Self) -> Option<Self> {
        let may_be = |kind: &Self| matches!(kind, Self::Int | Self::Float | Self::Number);
        match (self, other) {
            _ if self == other => Some(self.clone()),
            _ if may_be(self) && may_be(other) => Some(Self::Number),
            (Self::Tuple(one), Self::Tuple(two)) if one.len() == two.len() => {
                let items = one.iter().zip(two.iter()).map(|(one, two)| one.either(two));
                items.collect::<Option<_>>().map(Self::Tuple)
            }
            _ => None,
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Bool | Self::Int)
    }

    /// Has it in it what exists only within a run or only for reading?
    pub(crate) fn is_bound_to_run(&self) -> bool {
        match self {
            Self::Tuple(items) => items.iter().any(Self::is_bound_to_run),
            Self::Buffer(_) | Self::Foreign(_) => true,
            _ => false,
        }
    }

    /// How many lists are in it.
    pub(crate) fn lists(&self) -> usize {
        match self {
            Self::Tuple(items) => items.iter().map(Self::lists).sum(),
            Self::List(_) | Self::Row(_) => 1,
            _ => 0,
        }
    }

    /// At which word the first list begins, if it has one.
    pub(crate) fn place_of_list(&self) -> Option<usize> {
        let Self::Tuple(items) = self else { return (self.lists() > 0).then_some(0) };
        let first = items.iter().position(|item| item.lists() > 0)?;
        let before: usize = items[..first].iter().map(Self::width).sum();
        items[first].place_of_list().map(|place| before + place)
    }

    /// The type of an element found by so many indices.
    pub(crate) fn element(&self, indices: usize) -> Option<Self> {
        match self {
            Self::Buffer(buffer) if usize::from(buffer.dimensions) == indices => {
                let scalar = buffer.element.scalar();
                Some(if buffer.is_foreign { Self::Foreign(scalar) } else { scalar.kind() })
            }
            Self::List(scalar) | Self::Row(scalar) if indices == 1 => Some(scalar.kind()),
            Self::Tuple(items) if indices == 1 => {
                let (first, rest) = items.split_first()?;
                rest.iter().all(|each| each == first).then(|| first.clone())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float"),
            Self::Number => f.write_str("int or float"),
            Self::Tuple(items) => {
                f.write_str("(")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            Self::Buffer(buffer) => {
                let commas = ",".repeat(usize::from(buffer.dimensions).saturating_sub(1));
                write!(f, "{:?}[{commas}]", buffer.element)
            }
            Self::List(scalar) | Self::Row(scalar) => write!(f, "list of {}", scalar.kind()),
            Self::Foreign(scalar) => write!(f, "foreign {}", scalar.kind()),
        }
    }
}
