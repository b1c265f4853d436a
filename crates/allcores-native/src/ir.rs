//! What the front sends: functions as trees of statements and expressions, without types.
//!
//! The front end writes a function of CPython's own `ast` as bytes, prefix order, one tag a node;
//! this file is the other half of that agreement (`python/allcores/native/encode.py`). Numbers are
//! little-endian; a count is four bytes; every expression carries its line and column, so that a
//! refusal can point at it. Nothing here judges: what has no meaning to us was refused by the front,
//! what has no type is refused by [`infer`](crate::infer).

use crate::error::Malformed;

/// Where an expression stands in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line in the file, from 1.
    pub line: u32,
    /// The column in that line, from 0, in bytes.
    pub column: u32,
}

/// The number of a local variable of a function; the parameters come first.
pub type Local = usize;

/// An operation on one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// `-a`
    Negate,
    /// `+a`
    Plus,
    /// `~a`
    Invert,
    /// `not a`
    Not,
}

/// An operation on two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a * b`
    Multiply,
    /// `a / b`
    Divide,
    /// `a // b`
    FloorDivide,
    /// `a % b`
    Modulo,
    /// `a ** b`
    Power,
    /// `a << b`
    ShiftLeft,
    /// `a >> b`
    ShiftRight,
    /// `a & b`
    And,
    /// `a | b`
    Or,
    /// `a ^ b`
    Xor,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `a == b`
    Equal,
    /// `a != b`
    NotEqual,
    /// `a < b`
    Less,
    /// `a <= b`
    LessEqual,
    /// `a > b`
    Greater,
    /// `a >= b`
    GreaterEqual,
}

/// What `and` and `or` have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junction {
    /// `a and b`: the first false operand, or the last.
    All,
    /// `a or b`: the first true operand, or the last.
    Any,
}

macro_rules! coded {
    ($name:ident: $($variant:ident),* $(,)?) => {
        impl $name {
            /// All of them, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn of_code(code: u8) -> Result<Self, Malformed> {
                Self::ALL.get(usize::from(code)).copied().ok_or(Malformed::Code(code))
            }
        }
    };
}

coded!(Unary: Negate, Plus, Invert, Not);
coded!(Binary: Add, Subtract, Multiply, Divide, FloorDivide, Modulo, Power, ShiftLeft, ShiftRight, And, Or, Xor);
coded!(Comparison: Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual);
coded!(Junction: All, Any);

macro_rules! builtins {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A function of Python's that the machine code has a twin of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is called what Python calls it")]
        pub enum Builtin { $($variant),* }

        coded!(Builtin: $($variant),*);

        impl Builtin {
            /// What Python calls it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

builtins! {
    Abs = "abs", Min = "min", Max = "max", Int = "int", Float = "float", Bool = "bool",
    Round = "round", Divmod = "divmod", Pow = "pow", Len = "len", Sum = "sum",
    Sqrt = "math.sqrt", Sin = "math.sin", Cos = "math.cos", Tan = "math.tan",
    Asin = "math.asin", Acos = "math.acos", Atan = "math.atan", Sinh = "math.sinh",
    Cosh = "math.cosh", Tanh = "math.tanh", Exp = "math.exp", Expm1 = "math.expm1",
    Log = "math.log", Log2 = "math.log2", Log10 = "math.log10", Log1p = "math.log1p",
    Fabs = "math.fabs", Floor = "math.floor", Ceil = "math.ceil", Trunc = "math.trunc",
    Atan2 = "math.atan2", MathPow = "math.pow", Fmod = "math.fmod", Copysign = "math.copysign",
    IsNan = "math.isnan", IsInf = "math.isinf", IsFinite = "math.isfinite",
    Gcd = "math.gcd", Isqrt = "math.isqrt", Degrees = "math.degrees", Radians = "math.radians",
}

/// An expression and where it stands.
#[derive(Clone, Debug)]
pub struct Expression {
    /// Where it stands.
    pub at: Position,
    /// What it is.
    pub kind: Kind,
}

/// What an expression is.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the operands, in the order they are evaluated")]
pub enum Kind {
    /// An int that fits 64 bits.
    Int(i64),
    /// A float.
    Float(f64),
    /// `True` or `False`.
    Bool(bool),
    /// `None`.
    None,
    /// The value of a variable.
    Local(Local),
    /// An operation on one operand.
    Unary { operation: Unary, operand: Box<Expression> },
    /// An operation on two operands.
    Binary { operation: Binary, left: Box<Expression>, right: Box<Expression> },
    /// A chain of comparisons, each middle operand evaluated once.
    Compare { first: Box<Expression>, rest: Vec<(Comparison, Expression)> },
    /// `and`, `or`.
    Junction { junction: Junction, operands: Vec<Expression> },
    /// `then if test else otherwise`
    Conditional { test: Box<Expression>, then: Box<Expression>, otherwise: Box<Expression> },
    /// A tuple.
    Tuple(Vec<Expression>),
    /// `tuple[constant]`
    Item { tuple: Box<Expression>, index: i64 },
    /// `value[indices]`
    Index { value: Box<Expression>, indices: Vec<Expression> },
    /// `[items]`; one without items is assigned to a variable, whose type is that of the list.
    List(Vec<Expression>),
    /// A function of Python's.
    Builtin { builtin: Builtin, arguments: Vec<Expression> },
    /// Another function of the program, by its number.
    Call { function: usize, arguments: Vec<Expression> },
    /// `name := value`
    Named { local: Local, value: Box<Expression> },
    /// `value is None`, or `is not`.
    IsNone { value: Box<Expression>, expected: bool },
}

/// What is assigned to.
#[derive(Clone, Debug)]
pub enum Target {
    /// A variable.
    Local(Local),
    /// The elements of a tuple.
    Tuple(Vec<Target>),
    /// `list[index]`
    Item {
        /// Whose element it is.
        list: Box<Expression>,
        /// Which.
        index: Box<Expression>,
    },
}

/// A statement.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the parts, in the order they stand")]
pub enum Statement {
    /// `target = value`
    Assign { target: Target, value: Expression },
    /// An expression whose value nobody wants.
    Evaluate(Expression),
    /// `if`
    If { test: Expression, body: Vec<Statement>, otherwise: Vec<Statement> },
    /// `while`, with its `else`.
    While { test: Expression, body: Vec<Statement>, otherwise: Vec<Statement> },
    /// `for target in range(start, stop, step)`, with its `else`.
    ForRange {
        target: Local,
        range: Box<[Expression; 3]>,
        body: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `return`
    Return(Expression),
    /// What Python has to do itself: `raise`.
    Leave,
    /// `list.append(value)`
    Append { list: Expression, value: Expression },
}

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name, for reports.
    pub name: String,
    /// Where it stands.
    pub at: Position,
    /// How many parameters it has.
    pub parameters: usize,
    /// The names of its variables, parameters first.
    pub locals: Vec<String>,
    /// What it does.
    pub body: Vec<Statement>,
}

impl Function {
    /// Does it append to a list?
    pub(crate) fn appends(&self) -> bool {
        appends(&self.body)
    }

    /// Which of its variables expressions assign to.
    pub(crate) fn loose(&self) -> Vec<bool> {
        let mut loose = vec![false; self.locals.len()];
        note_named(&self.body, &mut loose);
        loose
    }
}

/// Does one of the statements make the variable a list without elements?
pub(crate) fn empties(body: &[Statement], local: Local) -> bool {
    body.iter().any(|statement| match statement {
        Statement::Assign { target: Target::Local(target), value } => {
            *target == local && value.is_empty_list()
        }
        Statement::If { body, otherwise, .. }
        | Statement::While { body, otherwise, .. }
        | Statement::ForRange { body, otherwise, .. } => {
            empties(body, local) || empties(otherwise, local)
        }
        _ => false,
    })
}

/// Does one of the statements assign to the variable? (Expressions do so to those that are loose.)
pub(crate) fn assigns(body: &[Statement], local: Local) -> bool {
    body.iter().any(|statement| match statement {
        Statement::Assign { target, .. } => target.names(local),
        Statement::If { body, otherwise, .. } | Statement::While { body, otherwise, .. } => {
            assigns(body, local) || assigns(otherwise, local)
        }
        Statement::ForRange { target, body, otherwise, .. } => {
            *target == local || assigns(body, local) || assigns(otherwise, local)
        }
        _ => false,
    })
}

fn appends(body: &[Statement]) -> bool {
    body.iter().any(|statement| match statement {
        Statement::Append { .. } => true,
        Statement::If { body, otherwise, .. }
        | Statement::While { body, otherwise, .. }
        | Statement::ForRange { body, otherwise, .. } => appends(body) || appends(otherwise),
        _ => false,
    })
}

fn note_named(body: &[Statement], loose: &mut [bool]) {
    for statement in body {
        match statement {
            Statement::Assign { target, value } => {
                value.note_named(loose);
                target.note_named(loose);
            }
            Statement::Append { list, value } => {
                list.note_named(loose);
                value.note_named(loose);
            }
            Statement::Evaluate(value) | Statement::Return(value) => value.note_named(loose),
            Statement::If { test, body, otherwise }
            | Statement::While { test, body, otherwise } => {
                test.note_named(loose);
                note_named(body, loose);
                note_named(otherwise, loose);
            }
            Statement::ForRange { range, body, otherwise, .. } => {
                range.iter().for_each(|each| each.note_named(loose));
                note_named(body, loose);
                note_named(otherwise, loose);
            }
            Statement::Break | Statement::Continue | Statement::Leave => {}
        }
    }
}

impl Target {
    fn names(&self, local: Local) -> bool {
        match self {
            Self::Local(mine) => *mine == local,
            Self::Tuple(targets) => targets.iter().any(|each| each.names(local)),
            Self::Item { .. } => false,
        }
    }

    fn note_named(&self, loose: &mut [bool]) {
        match self {
            Self::Local(_) => {}
            Self::Tuple(targets) => targets.iter().for_each(|each| each.note_named(loose)),
            Self::Item { list, index } => {
                list.note_named(loose);
                index.note_named(loose);
            }
        }
    }
}

impl Expression {
    fn note_named(&self, loose: &mut [bool]) {
        if let Kind::Named { local, .. } = &self.kind {
            loose[*local] = true;
        }
        self.operands().into_iter().for_each(|each| each.note_named(loose));
    }

    /// Is it `[]`?
    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(&self.kind, Kind::List(items) if items.is_empty())
    }

    /// The expressions it consists of.
    fn operands(&self) -> Vec<&Expression> {
        match &self.kind {
            Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) | Kind::None | Kind::Local(_) => vec![],
            Kind::Unary { operand: one, .. }
            | Kind::Item { tuple: one, .. }
            | Kind::Named { value: one, .. }
            | Kind::IsNone { value: one, .. } => vec![one],
            Kind::Binary { left, right, .. } => vec![left, right],
            Kind::Compare { first, rest } => {
                std::iter::once(&**first).chain(rest.iter().map(|(_, right)| right)).collect()
            }
            Kind::Conditional { test, then, otherwise } => vec![test, then, otherwise],
            Kind::Index { value, indices } => std::iter::once(&**value).chain(indices).collect(),
            Kind::Junction { operands: all, .. }
            | Kind::Tuple(all)
            | Kind::List(all)
            | Kind::Builtin { arguments: all, .. }
            | Kind::Call { arguments: all, .. } => all.iter().collect(),
        }
    }
}

/// A function and those it calls, itself first.
#[derive(Clone, Debug)]
pub struct Program {
    /// Does `sum` of floats make up for what rounding loses, as from Python 3.12 on?
    pub sums_compensate: bool,
    /// The functions; calls name them by number.
    pub functions: Vec<Function>,
}

impl Program {
    /// Reads what the front wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if these are no such bytes: the two halves don't belong together.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { bytes, functions: 0, locals: 0 };
        let sums_compensate = reader.byte()? != 0;
        reader.functions = reader.count()?;
        if reader.functions == 0 {
            return Err(Malformed::Empty);
        }
        let functions =
            (0..reader.functions).map(|_| reader.function()).collect::<Result<_, _>>()?;
        if reader.bytes.is_empty() {
            Ok(Self { sums_compensate, functions })
        } else {
            Err(Malformed::TooLong)
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    functions: usize,
    locals: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.bytes.split_first_chunk::<N>().ok_or(Malformed::TooShort)?;
        self.bytes = tail;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take::<1>()?[0])
    }

    fn number(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn word(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_le_bytes(self.take()?))
    }

    /// A count of things that follow, each of at least one byte.
    fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.number()? as usize;
        if count > self.bytes.len() { Err(Malformed::TooShort) } else { Ok(count) }
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let length = self.count()?;
        let (text, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn position(&mut self) -> Result<Position, Malformed> {
        Ok(Position { line: self.number()?, column: self.number()? })
    }

    fn local(&mut self) -> Result<Local, Malformed> {
        let local = self.number()? as usize;
        if local < self.locals { Ok(local) } else { Err(Malformed::Local(local)) }
    }

    fn function(&mut self) -> Result<Function, Malformed> {
        let name = self.text()?;
        let at = self.position()?;
        let parameters = self.number()? as usize;
        let names = self.count()?;
        let locals: Vec<_> = (0..names).map(|_| self.text()).collect::<Result<_, _>>()?;
        if parameters > names {
            return Err(Malformed::Local(parameters));
        }
        self.locals = names;
        Ok(Function { name, at, parameters, locals, body: self.body()? })
    }

    fn body(&mut self) -> Result<Vec<Statement>, Malformed> {
        let count = self.count()?;
        (0..count).map(|_| self.statement()).collect()
    }

    fn statement(&mut self) -> Result<Statement, Malformed> {
        Ok(match self.byte()? {
            0 => Statement::Assign { target: self.target()?, value: self.expression()? },
            1 => Statement::Evaluate(self.expression()?),
            2 => Statement::If {
                test: self.expression()?,
                body: self.body()?,
                otherwise: self.body()?,
            },
            3 => Statement::While {
                test: self.expression()?,
                body: self.body()?,
                otherwise: self.body()?,
            },
            4 => Statement::ForRange {
                target: self.local()?,
                range: Box::new([self.expression()?, self.expression()?, self.expression()?]),
                body: self.body()?,
                otherwise: self.body()?,
            },
            5 => Statement::Break,
            6 => Statement::Continue,
            7 => Statement::Return(self.expression()?),
            8 => Statement::Leave,
            9 => Statement::Append { list: self.expression()?, value: self.expression()? },
            code => return Err(Malformed::Code(code)),
        })
    }

    fn target(&mut self) -> Result<Target, Malformed> {
        Ok(match self.byte()? {
            0 => Target::Local(self.local()?),
            1 => {
                let count = self.count()?;
                Target::Tuple((0..count).map(|_| self.target()).collect::<Result<_, _>>()?)
            }
            2 => Target::Item { list: self.boxed()?, index: self.boxed()? },
            code => return Err(Malformed::Code(code)),
        })
    }

    fn expressions(&mut self) -> Result<Vec<Expression>, Malformed> {
        let count = self.count()?;
        (0..count).map(|_| self.expression()).collect()
    }

    fn boxed(&mut self) -> Result<Box<Expression>, Malformed> {
        self.expression().map(Box::new)
    }

    fn expression(&mut self) -> Result<Expression, Malformed> {
        let code = self.byte()?;
        let at = self.position()?;
        let kind = match code {
            0 => Kind::Int(self.word()?),
            1 => Kind::Float(f64::from_bits(self.word()?.cast_unsigned())),
            2 => Kind::Bool(self.byte()? != 0),
            3 => Kind::None,
            4 => Kind::Local(self.local()?),
            5 => Kind::Unary { operation: Unary::of_code(self.byte()?)?, operand: self.boxed()? },
            6 => Kind::Binary {
                operation: Binary::of_code(self.byte()?)?,
                left: self.boxed()?,
                right: self.boxed()?,
            },
            7 => {
                let first = self.boxed()?;
                let count = self.count()?;
                let rest = (0..count)
                    .map(|_| Ok((Comparison::of_code(self.byte()?)?, self.expression()?)))
                    .collect::<Result<_, Malformed>>()?;
                Kind::Compare { first, rest }
            }
            8 => Kind::Junction {
                junction: Junction::of_code(self.byte()?)?,
                operands: self.expressions()?,
            },
            9 => Kind::Conditional {
                test: self.boxed()?,
                then: self.boxed()?,
                otherwise: self.boxed()?,
            },
            10 => Kind::Tuple(self.expressions()?),
            11 => Kind::Item { tuple: self.boxed()?, index: self.word()? },
            12 => Kind::Builtin {
                builtin: Builtin::of_code(self.byte()?)?,
                arguments: self.expressions()?,
            },
            13 => {
                let function = self.number()? as usize;
                if function >= self.functions {
                    return Err(Malformed::Function(function));
                }
                Kind::Call { function, arguments: self.expressions()? }
            }
            14 => Kind::Named { local: self.local()?, value: self.boxed()? },
            15 => Kind::IsNone { value: self.boxed()?, expected: self.byte()? != 0 },
            16 => Kind::Index { value: self.boxed()?, indices: self.expressions()? },
            17 => Kind::List(self.expressions()?),
            code => return Err(Malformed::Code(code)),
        };
        Ok(Expression { at, kind })
    }
}
