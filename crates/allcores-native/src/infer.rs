//! Which types the variables and results of a program have, given the types of its arguments.
//!
//! A function together with the types of its arguments is an *instance*. A variable has one type in
//! all of an instance; if ints and floats are assigned to it, that of numbers which say at run time
//! what they are. Where it would need two other types the program is refused, for a result must have
//! the type that CPython would have given it. Types are found by walking until nothing changes any more,
//! since loops and recursion use what is only assigned further down. What no walk finds a type for
//! is never reached with a value: machine code leaves it to Python.

use std::collections::HashMap;

use crate::ir::{Binary, Expression, Kind, Position, Program, Statement, Target, Unary, empties};
use crate::refuse::{Reason, Refusal};
use crate::types::{Scalar, Type};

/// More instances than this, and the program is too large.
const MOST_INSTANCES: usize = 64;
/// No variable of more words than this.
const MOST_WORDS: usize = 64;

/// A type, if one is known by now.
pub(crate) type Known = Option<Type>;
type Outcome = Result<Known, Refusal>;

/// A function for certain types of arguments.
#[derive(Debug)]
pub(crate) struct Instance {
    /// The number of the function.
    pub(crate) function: usize,
    /// The types of the arguments.
    pub(crate) arguments: Vec<Type>,
    /// The types of its variables, by number.
    pub(crate) locals: Vec<Known>,
    /// The type of its result.
    pub(crate) result: Known,
    /// Does it call itself, through others maybe?
    pub(crate) calls: Vec<usize>,
}

/// All instances of a program, the first being the one that was asked for.
#[derive(Debug)]
pub(crate) struct Inference {
    pub(crate) instances: Vec<Instance>,
    /// Does the program append to lists?
    appends: bool,
    /// See [`Program`].
    pub(crate) sums_compensate: bool,
    numbers: HashMap<(usize, Vec<Type>), usize>,
}

impl Inference {
    /// The type of lists of such numbers.
    pub(crate) fn list(&self, scalar: Scalar) -> Type {
        if self.appends { Type::List(scalar) } else { Type::Row(scalar) }
    }

    /// The number of an instance that inference has found.
    pub(crate) fn instance(&self, function: usize, arguments: Vec<Type>) -> Option<usize> {
        self.numbers.get(&(function, arguments)).copied()
    }

    /// Can the instance be under way twice at a time?
    pub(crate) fn is_recursive(&self, instance: usize) -> bool {
        let mut seen = vec![false; self.instances.len()];
        let mut next = self.instances[instance].calls.clone();
        while let Some(called) = next.pop() {
            if called == instance {
                return true;
            }
            if !std::mem::replace(&mut seen[called], true) {
                next.extend(&self.instances[called].calls);
            }
        }
        false
    }
}

/// Finds the types of function 0 for these arguments, and of all that it calls.
pub(crate) fn infer(program: &Program, arguments: &[Type]) -> Result<Inference, Refusal> {
    let appends = program.functions.iter().any(|function| function.appends());
    let mut walk = Walk {
        program,
        found: Inference {
            instances: Vec::new(),
            appends,
            sums_compensate: program.sums_compensate,
            numbers: HashMap::new(),
        },
        current: 0,
        changed: false,
    };
    walk.instance(0, arguments.to_vec(), program.functions[0].at)?;
    loop {
        walk.changed = false;
        let mut number = 0;
        while number < walk.found.instances.len() {
            walk.current = number;
            let function = walk.found.instances[number].function;
            walk.body(&program.functions[function].body)?;
            number += 1;
        }
        if !walk.changed {
            return Ok(walk.found);
        }
    }
}

struct Walk<'a> {
    program: &'a Program,
    found: Inference,
    current: usize,
    changed: bool,
}

impl Walk<'_> {
    fn instance(
        &mut self,
        function: usize,
        arguments: Vec<Type>,
        at: Position,
    ) -> Result<usize, Refusal> {
        let key = (function, arguments);
        if let Some(&number) = self.found.numbers.get(&key) {
            return Ok(number);
        }
        if key.1.iter().any(|kind| kind.width() > MOST_WORDS) {
            return Err(Refusal::new(Reason::TooLarge, at));
        }
        let called = &self.program.functions[function];
        if called.parameters != key.1.len() {
            return Err(Refusal::new(Reason::Argument, at));
        }
        let number = self.found.instances.len();
        if number == MOST_INSTANCES {
            return Err(Refusal::new(Reason::TooLarge, at));
        }
        let mut locals: Vec<Known> = key.1.iter().cloned().map(Some).collect();
        locals.resize(called.locals.len(), None);
        let calls = Vec::new();
        let arguments = key.1.clone();
        self.found.instances.push(Instance { function, arguments, locals, result: None, calls });
        self.found.numbers.insert(key, number);
        self.changed = true;
        Ok(number)
    }

    fn body(&mut self, body: &[Statement]) -> Result<(), Refusal> {
        body.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Refusal> {
        match statement {
            Statement::Assign { target, value } => {
                let known = self.expression(value)?;
                self.assign(target, known, value.at)
            }
            Statement::Evaluate(value) => self.expression(value).map(drop),
            Statement::If { test, body, otherwise }
            | Statement::While { test, body, otherwise } => {
                self.test(test)?;
                self.body(body)?;
                self.body(otherwise)
            }
            Statement::ForRange { target, range, body, otherwise } => {
                for bound in range.iter() {
                    if self.expression(bound)?.is_some_and(|each| !each.is_whole()) {
                        return Err(Refusal::new(Reason::Operand, bound.at));
                    }
                }
                self.set_local(*target, Some(Type::Int), range[1].at)?;
                self.body(body)?;
                self.body(otherwise)
            }
            Statement::Break | Statement::Continue | Statement::Leave => Ok(()),
            Statement::Append { list, value } => {
                let known = (self.expression(list)?, self.expression(value)?);
                if let (Kind::Local(local), None, Some(kind)) = (&list.kind, &known.0, &known.1)
                    && let Some(scalar) = Scalar::of(kind)
                    && empties(&self.program.functions[self.function()].body, *local)
                {
                    return self.set_local(*local, Some(self.found.list(scalar)), list.at);
                }
                fits_in_list(&known.0, &known.1, list.at)
            }
            Statement::Return(value) => {
                let known = self.expression(value)?;
                self.set_result(known, value.at)
            }
        }
    }

    /// The number of the function that is gone through.
    fn function(&self) -> usize {
        self.found.instances[self.current].function
    }

    /// `None` beside another type is left to Python when it comes to that.
    fn set_result(&mut self, known: Known, at: Position) -> Result<(), Refusal> {
        let result = &mut self.found.instances[self.current].result;
        let better = match (&result, &known) {
            (None, Some(_)) => true,
            (Some(Type::None), Some(new)) => *new != Type::None,
            (Some(_), Some(Type::None)) | (_, None) => false,
            (Some(old), Some(new)) if old == new => false,
            (Some(old), Some(new)) => {
                let Some(either) = old.either(new) else {
                    return Err(Refusal::new(Reason::ResultOfTwoTypes, at));
                };
                self.changed |= *old != either;
                *result = Some(either);
                return Ok(());
            }
        };
        if better {
            *result = known;
            self.changed = true;
        }
        Ok(())
    }

    fn assign(&mut self, target: &Target, known: Known, at: Position) -> Result<(), Refusal> {
        match (target, known) {
            (Target::Local(local), known) => self.set_local(*local, known, at),
            (Target::Item { list, index }, known) => {
                let lists = (self.expression(list)?, self.expression(index)?);
                if lists.1.is_some_and(|kind| !kind.is_whole()) {
                    return Err(Refusal::new(Reason::Index, index.at));
                }
                fits_in_list(&lists.0, &known, list.at)
            }
            (Target::Tuple(_), None) => Ok(()),
            (Target::Tuple(targets), Some(Type::Tuple(items))) => {
                if targets.len() != items.len() {
                    return Err(Refusal::new(Reason::TupleLength, at));
                }
                targets
                    .iter()
                    .zip(items.iter())
                    .try_for_each(|(target, item)| self.assign(target, Some(item.clone()), at))
            }
            (Target::Tuple(_), Some(_)) => Err(Refusal::new(Reason::NotATuple, at)),
        }
    }

    fn set_local(&mut self, local: usize, known: Known, at: Position) -> Result<(), Refusal> {
        let Some(new) = known else { return Ok(()) };
        if new.width() > MOST_WORDS {
            return Err(Refusal::new(Reason::TooLarge, at));
        }
        match &mut self.found.instances[self.current].locals[local] {
            Some(old) => {
                let Some(either) = old.either(&new) else {
                    return Err(Refusal::new(Reason::VariableOfTwoTypes, at));
                };
                self.changed |= *old != either;
                *old = either;
                Ok(())
            }
            empty => {
                *empty = Some(new);
                self.changed = true;
                Ok(())
            }
        }
    }

    /// An expression of which only the truth is wanted: its operands may have different types.
    fn test(&mut self, value: &Expression) -> Result<(), Refusal> {
        match &value.kind {
            Kind::Junction { operands, .. } => operands.iter().try_for_each(|each| self.test(each)),
            Kind::Unary { operation: Unary::Not, operand } => self.test(operand),
            _ => {
                let known = self.expression(value)?;
                if is_of_no_truth(&known) {
                    return Err(Refusal::new(Reason::Operand, value.at));
                }
                Ok(())
            }
        }
    }

    fn expression(&mut self, value: &Expression) -> Outcome {
        match &value.kind {
            Kind::Int(_) => Ok(Some(Type::Int)),
            Kind::Float(_) => Ok(Some(Type::Float)),
            Kind::Bool(_) => Ok(Some(Type::Bool)),
            Kind::None => Ok(Some(Type::None)),
            Kind::Local(local) => Ok(self.found.instances[self.current].locals[*local].clone()),
            Kind::Unary { operation: Unary::Not, operand } => {
                self.test(operand)?;
                Ok(Some(Type::Bool))
            }
            Kind::Unary { operation, operand } => {
                let Some(known) = self.expression(operand)? else { return Ok(None) };
                unary(*operation, &known).map(Some).ok_or(Refusal::new(Reason::Operand, value.at))
            }
            Kind::Binary { operation, left, right } => {
                let known = (self.expression(left)?, self.expression(right)?);
                let (Some(left), Some(right)) = known else { return Ok(None) };
                let known = binary(*operation, &left, &right);
                known.map(Some).ok_or(Refusal::new(Reason::Operand, value.at))
            }
            Kind::Compare { first, rest } => {
                let mut left = self.expression(first)?;
                for (_, right) in rest {
                    let known = self.expression(right)?;
                    let numbers = |known: &Known| known.as_ref().is_none_or(Type::is_number);
                    if !numbers(&left) || !numbers(&known) {
                        return Err(Refusal::new(Reason::Operand, value.at));
                    }
                    left = known;
                }
                Ok(Some(Type::Bool))
            }
            Kind::Junction { operands, .. } => {
                let known = self.alike(operands.iter())?;
                if is_of_no_truth(&known) {
                    return Err(Refusal::new(Reason::Operand, value.at));
                }
                Ok(known)
            }
            Kind::Conditional { test, then, otherwise } => {
                self.test(test)?;
                self.alike([&**then, &**otherwise].into_iter())
            }
            Kind::Tuple(items) => {
                let known: Vec<_> =
                    items.iter().map(|item| self.expression(item)).collect::<Result<_, _>>()?;
                Ok(known.into_iter().collect::<Option<Vec<_>>>().map(|all| Type::Tuple(all.into())))
            }
            Kind::Item { tuple, index } => match self.expression(tuple)? {
                None => Ok(None),
                Some(Type::Tuple(items)) => place(*index, items.len())
                    .map(|place| Some(items[place].clone()))
                    .ok_or(Refusal::new(Reason::TupleLength, value.at)),
                Some(other) => {
                    other.element(1).map(Some).ok_or(Refusal::new(Reason::Index, value.at))
                }
            },
            Kind::Index { value: indexed, indices } => {
                let indexed = self.expression(indexed)?;
                for index in indices {
                    if self.expression(index)?.is_some_and(|kind| !kind.is_whole()) {
                        return Err(Refusal::new(Reason::Index, index.at));
                    }
                }
                let Some(indexed) = indexed else { return Ok(None) };
                let element = indexed.element(indices.len());
                element.map(Some).ok_or(Refusal::new(Reason::Index, value.at))
            }
            Kind::List(items) => match self.alike(items.iter())? {
                None => Ok(None),
                Some(kind) => Scalar::of(&kind)
                    .map(|scalar| Some(self.found.list(scalar)))
                    .ok_or(Refusal::new(Reason::Operand, value.at)),
            },
            Kind::Builtin { builtin, arguments } => match self.all(arguments)? {
                None => Ok(None),
                Some(known) => crate::builtins::result(*builtin, &known)
                    .map(Some)
                    .ok_or(Refusal::new(Reason::Argument, value.at)),
            },
            Kind::Call { function, arguments } => match self.all(arguments)? {
                None => Ok(None),
                Some(known) => {
                    let called = self.instance(*function, known, value.at)?;
                    let calls = &mut self.found.instances[self.current].calls;
                    if !calls.contains(&called) {
                        calls.push(called);
                    }
                    Ok(self.found.instances[called].result.clone())
                }
            },
            Kind::Named { local, value } => {
                let known = self.expression(value)?;
                self.set_local(*local, known.clone(), value.at)?;
                Ok(known)
            }
            Kind::IsNone { value, .. } => {
                self.expression(value)?;
                Ok(Some(Type::Bool))
            }
        }
    }

    fn all(&mut self, values: &[Expression]) -> Result<Option<Vec<Type>>, Refusal> {
        let known: Vec<_> =
            values.iter().map(|each| self.expression(each)).collect::<Result<_, _>>()?;
        Ok(known.into_iter().collect())
    }

    /// The one type that all have, as far as it is known.
    fn alike<'e>(&mut self, values: impl Iterator<Item = &'e Expression>) -> Outcome {
        let mut common = None;
        for value in values {
            let known = self.expression(value)?;
            match (&common, known) {
                (None, known) => common = known,
                (Some(old), Some(new)) => {
                    common = old.either(&new);
                    if common.is_none() {
                        return Err(Refusal::new(Reason::OperandsOfTwoTypes, value.at));
                    }
                }
                _ => {}
            }
        }
        Ok(common)
    }
}

/// Foreign values have a truth of their own.
fn is_of_no_truth(known: &Known) -> bool {
    match known {
        Some(Type::Foreign(_)) => true,
        Some(Type::Buffer(buffer)) => buffer.is_foreign,
        _ => false,
    }
}

fn fits_in_list(list: &Known, value: &Known, at: Position) -> Result<(), Refusal> {
    match (list, value) {
        (None, _) | (Some(Type::List(_) | Type::Row(_)), None) => Ok(()),
        (Some(Type::List(scalar) | Type::Row(scalar)), Some(kind)) if scalar.kind() == *kind => {
            Ok(())
        }
        (Some(Type::List(_) | Type::Row(_)), Some(_)) => {
            Err(Refusal::new(Reason::OperandsOfTwoTypes, at))
        }
        _ => Err(Refusal::new(Reason::NotAList, at)),
    }
}

/// Which element an index means, from the end if below zero.
pub(crate) fn place(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let place = if index < 0 { index + length } else { index };
    usize::try_from(place).ok().filter(|_| place < length)
}

fn unary(operation: Unary, operand: &Type) -> Option<Type> {
    match (operation, operand) {
        (Unary::Negate | Unary::Plus, Type::Bool | Type::Int) | (Unary::Invert, Type::Int) => {
            Some(Type::Int)
        }
        (Unary::Negate | Unary::Plus, Type::Float | Type::Number) => Some(operand.clone()),
        (Unary::Not, _) => Some(Type::Bool),
        // `~True` warns in some versions of Python.
        _ => None,
    }
}

pub(crate) fn binary(operation: Binary, left: &Type, right: &Type) -> Option<Type> {
    if let (Binary::Add, Type::Tuple(left), Type::Tuple(right)) = (operation, left, right) {
        return Some(Type::Tuple(left.iter().chain(right.iter()).cloned().collect()));
    }
    if let (Binary::Multiply, Type::Row(scalar), times)
    | (Binary::Multiply, times, Type::Row(scalar)) = (operation, left, right)
    {
        return times.is_whole().then_some(Type::Row(*scalar));
    }
    if let (Binary::Multiply, Type::List(scalar), times)
    | (Binary::Multiply, times, Type::List(scalar)) = (operation, left, right)
    {
        return times.is_whole().then_some(Type::List(*scalar));
    }
    if !left.is_number() || !right.is_number() {
        return None;
    }
    let whole = left.is_whole() && right.is_whole();
    let is_float = !whole;
    let may_be_whole = *left != Type::Float && *right != Type::Float;
    match operation {
        Binary::Divide => Some(Type::Float),
        Binary::Add
        | Binary::Subtract
        | Binary::Multiply
        | Binary::FloorDivide
        | Binary::Modulo
        | Binary::Power
            if is_float && may_be_whole =>
        {
            Some(Type::Number)
        }
        Binary::Add
        | Binary::Subtract
        | Binary::Multiply
        | Binary::FloorDivide
        | Binary::Modulo
        | Binary::Power => Some(if is_float { Type::Float } else { Type::Int }),
        Binary::And | Binary::Or | Binary::Xor if *left == Type::Bool && *right == Type::Bool => {
            Some(Type::Bool)
        }
        Binary::And | Binary::Or | Binary::Xor | Binary::ShiftLeft | Binary::ShiftRight => {
            whole.then_some(Type::Int)
        }
    }
}
