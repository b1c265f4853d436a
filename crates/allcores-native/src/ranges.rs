//! Between which bounds the variables lie at each place of a function.
//!
//! The writer of machine code keeps the bounds as it goes on. Where a loop begins it has to know what
//! holds at each of its turns; so the body is gone through here, without writing anything, until a
//! turn changes no bound any more. What a variable is compared with bounds it in the branch.
//!
//! Bounds hold for values that the code has at that place; where code leaves the item to Python,
//! there are none.

use crate::infer::{Inference, binary as kind_of_binary, place};
use crate::interval::{self, Interval};
use crate::ir::{
    Binary, Builtin, Comparison, Expression, Junction, Kind, Local, Statement, Target, Unary,
};
use crate::types::{LENGTHS, Scalar, Type};

/// Loops within more loops than these take every variable to be anything.
const DEEPEST: usize = 4;
/// After so many turns bounds that still move are given up.
const PATIENCE: usize = 2;
/// After so many turns all bounds are given up.
const MOST_TURNS: usize = 12;

/// The bounds of each variable's words.
pub(crate) type Ranges = Vec<Vec<Interval>>;

/// The bounds of the words of a value, and its type.
struct Known {
    kind: Option<Type>,
    words: Vec<Interval>,
}

impl Known {
    fn of(kind: Type) -> Self {
        let words = by_type(&kind);
        Self { kind: Some(kind), words }
    }

    fn nothing() -> Self {
        Self { kind: None, words: Vec::new() }
    }

    fn int(range: Interval) -> Self {
        Self { kind: Some(Type::Int), words: vec![range] }
    }

    fn is_whole(&self) -> bool {
        self.kind.as_ref().is_some_and(Type::is_whole) && self.words.len() == 1
    }
}

/// What is known of an element found by so many indices.
fn element(kind: &Type, indices: usize) -> Known {
    match (kind, kind.element(indices)) {
        (Type::Buffer(buffer), Some(Type::Int)) => Known::int(buffer.element.range()),
        (_, Some(kind)) => Known::of(kind),
        (_, None) => Known::nothing(),
    }
}

/// What is known of a value by its type alone.
pub(crate) fn by_type(kind: &Type) -> Vec<Interval> {
    kind.ranges()
}

pub(crate) fn join(one: &mut Ranges, other: &Ranges) {
    for (one, other) in one.iter_mut().flatten().zip(other.iter().flatten()) {
        *one = one.join(*other);
    }
}

pub(crate) fn join_option(one: &mut Option<Ranges>, other: &Ranges) {
    match one {
        Some(one) => join(one, other),
        None => *one = Some(other.clone()),
    }
}

/// What a function's bounds depend on.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) inference: &'a Inference,
    pub(crate) instance: usize,
    /// Variables that expressions assign to, about which nothing is ever known.
    pub(crate) loose: &'a [bool],
}

struct Turn {
    next: Option<Ranges>,
    end: Option<Ranges>,
}

struct Walk<'a> {
    scope: Scope<'a>,
    loops: Vec<Turn>,
    depth: usize,
}

/// A loop: what it begins with, and its body.
#[derive(Clone, Copy)]
pub(crate) enum Head<'s> {
    /// `while test`
    While(&'s Expression),
    /// `for local in range(...)`
    For(Local, Interval),
}

impl<'a> Scope<'a> {
    fn kind_of(&self, local: Local) -> Option<&'a Type> {
        self.inference.instances[self.instance].locals[local].as_ref()
    }

    /// What is known of variables when a function begins.
    pub(crate) fn first(&self) -> Ranges {
        let locals = &self.inference.instances[self.instance].locals;
        locals.iter().map(|kind| kind.as_ref().map(by_type).unwrap_or_default()).collect()
    }

    /// What holds at the beginning of each turn of a loop, before its test.
    pub(crate) fn at_head(&self, before: &Ranges, head: Head<'_>, body: &[Statement]) -> Ranges {
        Walk { scope: *self, loops: Vec::new(), depth: 0 }.at_head(before, head, body)
    }

    /// What is known of one word that is an int or a bool; of others, anything.
    pub(crate) fn whole(&self, value: &Expression, ranges: &Ranges) -> Interval {
        let known = self.value(value, ranges);
        if known.is_whole() { known.words[0] } else { Interval::ALL }
    }

    /// The type of a value, if it is known.
    pub(crate) fn kind(&self, value: &Expression, ranges: &Ranges) -> Option<Type> {
        self.value(value, ranges).kind
    }

    /// The bounds of each word of a value of so many; none if they aren't known.
    pub(crate) fn words(
        &self,
        value: &Expression,
        ranges: &Ranges,
        width: usize,
    ) -> Option<Vec<Interval>> {
        Some(self.value(value, ranges).words).filter(|words| words.len() == width)
    }

    /// Bounds what the truth of an expression bounds.
    pub(crate) fn refine(&self, ranges: &mut Ranges, test: &Expression, truth: bool) {
        match &test.kind {
            Kind::Unary { operation: Unary::Not, operand } => self.refine(ranges, operand, !truth),
            Kind::Junction { junction, operands } if truth == (*junction == Junction::All) => {
                for operand in operands {
                    self.refine(ranges, operand, truth);
                }
            }
            Kind::Compare { first, rest } if truth || rest.len() == 1 => {
                let mut left = &**first;
                for (comparison, right) in rest {
                    let comparison = if truth { *comparison } else { opposite(*comparison) };
                    self.refine_by(ranges, left, comparison, right);
                    self.refine_by(ranges, right, turned(comparison), left);
                    left = right;
                }
            }
            Kind::Local(local) if !self.loose[*local] && self.is_int(*local) => {
                let range = &mut ranges[*local][0];
                *range = if truth { without(*range, 0) } else { range.meet(Interval::exact(0)) };
            }
            _ => {}
        }
    }

    fn is_int(&self, local: Local) -> bool {
        self.kind_of(local) == Some(&Type::Int)
    }

    fn refine_by(
        &self,
        ranges: &mut Ranges,
        left: &Expression,
        comparison: Comparison,
        right: &Expression,
    ) {
        let Kind::Local(local) = left.kind else { return };
        if self.loose[local] || !self.is_int(local) {
            return;
        }
        let bound = self.value(right, ranges);
        if !bound.is_whole() {
            return;
        }
        let (mine, bound) = (ranges[local][0], bound.words[0]);
        ranges[local][0] = match comparison {
            Comparison::Equal => mine.meet(bound),
            Comparison::NotEqual => bound.constant().map_or(mine, |value| without(mine, value)),
            Comparison::Less => {
                mine.meet(Interval { low: i64::MIN, high: bound.high.saturating_sub(1) })
            }
            Comparison::LessEqual => mine.meet(Interval { low: i64::MIN, high: bound.high }),
            Comparison::Greater => {
                mine.meet(Interval { low: bound.low.saturating_add(1), high: i64::MAX })
            }
            Comparison::GreaterEqual => mine.meet(Interval { low: bound.low, high: i64::MAX }),
        };
    }

    fn value(&self, value: &Expression, ranges: &Ranges) -> Known {
        match &value.kind {
            Kind::Int(number) => Known::int(Interval::exact(*number)),
            Kind::Float(_) => Known::of(Type::Float),
            Kind::Bool(_) | Kind::Compare { .. } | Kind::IsNone { .. } => Known::of(Type::Bool),
            Kind::None => Known::of(Type::None),
            Kind::Local(local) => match self.kind_of(*local) {
                Some(kind) => Known { kind: Some(kind.clone()), words: ranges[*local].clone() },
                None => Known::nothing(),
            },
            Kind::Unary { operation, operand } => {
                let operand = self.value(operand, ranges);
                match operation {
                    Unary::Not => Known::of(Type::Bool),
                    _ if !operand.is_whole() => Known { words: operand.words, kind: operand.kind },
                    Unary::Negate => Known::int(interval::negate(operand.words[0])),
                    Unary::Plus => Known::int(operand.words[0]),
                    Unary::Invert => Known::int(interval::invert(operand.words[0])),
                }
            }
            Kind::Binary { operation, left, right } => {
                let (one, other) = (self.value(left, ranges), self.value(right, ranges));
                if one.is_whole() && other.is_whole() && *operation != Binary::Divide {
                    let range = interval::binary(*operation, one.words[0], other.words[0]);
                    let kinds = (one.kind.as_ref(), other.kind.as_ref());
                    if kinds == (Some(&Type::Bool), Some(&Type::Bool)) {
                        let kind = kind_of_binary(*operation, &Type::Bool, &Type::Bool);
                        return kind.map_or_else(Known::nothing, |kind| match kind {
                            Type::Int => Known::int(range),
                            kind => Known::of(kind),
                        });
                    }
                    return Known::int(squared(*operation, left, right, range));
                }
                match (one.kind, other.kind) {
                    (Some(one), Some(other)) => kind_of_binary(*operation, &one, &other)
                        .map_or_else(Known::nothing, Known::of),
                    _ => Known::nothing(),
                }
            }
            Kind::Junction { operands, .. } => {
                self.joined(operands.iter().map(|each| self.value(each, ranges)))
            }
            Kind::Conditional { then, otherwise, .. } => {
                self.joined([then, otherwise].into_iter().map(|each| self.value(each, ranges)))
            }
            Kind::Tuple(items) => {
                let items: Vec<_> = items.iter().map(|item| self.value(item, ranges)).collect();
                let kinds: Option<Vec<_>> = items.iter().map(|item| item.kind.clone()).collect();
                let words = items.into_iter().flat_map(|item| item.words).collect();
                match kinds {
                    Some(kinds) => Known { kind: Some(Type::Tuple(kinds.into())), words },
                    None => Known::nothing(),
                }
            }
            Kind::Item { tuple, index } => {
                let tuple = self.value(tuple, ranges);
                let Some(Type::Tuple(kinds)) = &tuple.kind else {
                    return tuple
                        .kind
                        .as_ref()
                        .map_or_else(Known::nothing, |kind| element(kind, 1));
                };
                let Some(index) = place(*index, kinds.len()) else { return Known::nothing() };
                let begin = kinds[..index].iter().map(Type::width).sum::<usize>();
                let words = tuple.words[begin..][..kinds[index].width()].to_vec();
                Known { kind: Some(kinds[index].clone()), words }
            }
            Kind::Index { value, indices } => {
                let value = self.value(value, ranges);
                value.kind.map_or_else(Known::nothing, |kind| element(&kind, indices.len()))
            }
            Kind::List(items) => {
                let first = items.first().and_then(|item| self.value(item, ranges).kind);
                let scalar = first.and_then(|kind| Scalar::of(&kind));
                scalar.map_or_else(Known::nothing, |scalar| Known::of(self.inference.list(scalar)))
            }
            Kind::Builtin { builtin, arguments } => self.builtin(*builtin, arguments, ranges),
            Kind::Call { function, arguments } => {
                let kinds: Option<Vec<_>> =
                    arguments.iter().map(|each| self.value(each, ranges).kind).collect();
                let called = kinds.and_then(|kinds| self.inference.instance(*function, kinds));
                let result =
                    called.and_then(|number| self.inference.instances[number].result.clone());
                result.map_or_else(Known::nothing, Known::of)
            }
            Kind::Named { value, .. } => {
                // Whatever it is, variables that it assigns are loose.
                self.value(value, ranges)
            }
        }
    }

    fn joined(&self, values: impl Iterator<Item = Known>) -> Known {
        values
            .reduce(|one, other| match (&one.kind, &other.kind) {
                (None, _) => other,
                (_, None) => one,
                (Some(first), Some(second)) if first == second => Known {
                    words: one.words.iter().zip(other.words).map(|(a, b)| a.join(b)).collect(),
                    kind: one.kind,
                },
                (Some(first), Some(second)) => {
                    first.either(second).map_or_else(Known::nothing, Known::of)
                }
            })
            .unwrap_or_else(Known::nothing)
    }

    fn builtin(&self, builtin: Builtin, arguments: &[Expression], ranges: &Ranges) -> Known {
        let values: Vec<_> = arguments.iter().map(|each| self.value(each, ranges)).collect();
        let kinds: Option<Vec<_>> = values.iter().map(|each| each.kind.clone()).collect();
        let Some(kind) = kinds.and_then(|kinds| crate::builtins::result(builtin, &kinds)) else {
            return Known::nothing();
        };
        if builtin == Builtin::Len {
            return Known::int(LENGTHS);
        }
        if kind != Type::Int || !values.iter().all(Known::is_whole) {
            return Known::of(kind);
        }
        let ranges: Vec<_> = values.iter().map(|each| each.words[0]).collect();
        Known::int(of_builtin(builtin, &ranges))
    }
}

/// Where the results of one of Python's functions lie that takes ints and gives one.
pub(crate) fn of_builtin(builtin: Builtin, ranges: &[Interval]) -> Interval {
    use Builtin as B;
    let all = ranges.iter().copied();
    match (builtin, ranges) {
        (B::Abs, [one]) => interval::absolute(*one),
        (B::Int | B::Round | B::Floor | B::Ceil | B::Trunc, [one]) => *one,
        (B::Min, [_, _, ..]) => all
            .reduce(|a, b| Interval::new(a.low.min(b.low), a.high.min(b.high)))
            .unwrap_or(Interval::ALL),
        (B::Max, [_, _, ..]) => all
            .reduce(|a, b| Interval::new(a.low.max(b.low), a.high.max(b.high)))
            .unwrap_or(Interval::ALL),
        (B::Gcd | B::Isqrt, _) => Interval::new(0, i64::MAX),
        _ => Interval::ALL,
    }
}

/// The largest int whose square has 64 bits with its sign.
pub(crate) const ROOT: i64 = 3_037_000_499;

/// The square of a variable isn't below zero, nor above the largest there is.
pub(crate) fn squared(
    operation: Binary,
    left: &Expression,
    right: &Expression,
    range: Interval,
) -> Interval {
    match (operation, &left.kind, &right.kind) {
        (Binary::Multiply, Kind::Local(one), Kind::Local(other)) if one == other => {
            Interval::new(range.low.max(0), range.high.clamp(0, ROOT * ROOT))
        }
        _ => range,
    }
}

fn without(range: Interval, value: i64) -> Interval {
    match range.constant() {
        Some(_) => range,
        None if range.low == value => Interval::new(range.low + 1, range.high),
        None if range.high == value => Interval::new(range.low, range.high - 1),
        None => range,
    }
}

/// What holds where a comparison of ints doesn't.
pub(crate) fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterEqual,
        Comparison::LessEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessEqual,
        Comparison::GreaterEqual => Comparison::Less,
    }
}

fn turned(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessEqual => Comparison::GreaterEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterEqual => Comparison::LessEqual,
        same => same,
    }
}

/// The numbers that `range(start, stop, step)` can have; some are given even if it has none.
pub(crate) fn of_range([start, stop, step]: [Interval; 3]) -> Interval {
    if step.low >= 1 {
        let high = stop.high.saturating_sub(1);
        Interval::new(start.low, high.max(start.low))
    } else if step.high <= -1 {
        let low = stop.low.saturating_add(1);
        Interval::new(low.min(start.high), start.high)
    } else {
        start.join(stop)
    }
}

impl Walk<'_> {
    fn at_head(&mut self, before: &Ranges, head: Head<'_>, body: &[Statement]) -> Ranges {
        if self.depth == DEEPEST {
            return self.scope.first();
        }
        let mut now = before.clone();
        for turn in 0.. {
            if turn == MOST_TURNS {
                return self.scope.first();
            }
            let mut next = now.clone();
            if let Some(after) = self.turn(&now, head, body) {
                join(&mut next, &after);
            }
            if next == now {
                break;
            }
            if turn >= PATIENCE {
                for (old, new) in now.iter().flatten().zip(next.iter_mut().flatten()) {
                    *new = old.widen(*new);
                }
            }
            now = next;
        }
        // Once more from bounds that hold: what the body gives holds too, and may be narrower.
        let mut narrower = before.clone();
        if let Some(after) = self.turn(&now, head, body) {
            join(&mut narrower, &after);
        }
        narrower
    }

    /// The bounds after one turn that begins with these; none if no turn comes to its end.
    fn turn(&mut self, now: &Ranges, head: Head<'_>, body: &[Statement]) -> Option<Ranges> {
        let mut inside = now.clone();
        self.scope.enter(&mut inside, head);
        self.loops.push(Turn { next: None, end: None });
        self.depth += 1;
        let after = self.body(inside, body);
        self.depth -= 1;
        let mut turn = self.loops.pop()?;
        if let Some(after) = after {
            join_option(&mut turn.next, &after);
        }
        turn.next
    }

    fn body(&mut self, mut ranges: Ranges, body: &[Statement]) -> Option<Ranges> {
        for statement in body {
            ranges = self.statement(ranges, statement)?;
        }
        Some(ranges)
    }

    fn statement(&mut self, mut ranges: Ranges, statement: &Statement) -> Option<Ranges> {
        match statement {
            Statement::Assign { target, value } => {
                let known = self.scope.value(value, &ranges);
                self.scope.assign(&mut ranges, target, &known.words);
                Some(ranges)
            }
            Statement::Evaluate(_) | Statement::Append { .. } => Some(ranges),
            Statement::If { test, body, otherwise } => {
                let mut no = ranges.clone();
                self.scope.refine(&mut ranges, test, true);
                self.scope.refine(&mut no, test, false);
                let yes = self.body(ranges, body);
                let mut after = self.body(no, otherwise);
                if let Some(yes) = yes {
                    join_option(&mut after, &yes);
                }
                after
            }
            Statement::While { test, body, otherwise } => {
                self.whole_loop(&ranges, Head::While(test), body, otherwise)
            }
            Statement::ForRange { target, range, body, otherwise } => {
                let bounds = [0, 1, 2].map(|index| self.scope.whole(&range[index], &ranges));
                self.whole_loop(&ranges, Head::For(*target, of_range(bounds)), body, otherwise)
            }
            Statement::Break => {
                join_option(&mut self.loops.last_mut()?.end, &ranges);
                None
            }
            Statement::Continue => {
                join_option(&mut self.loops.last_mut()?.next, &ranges);
                None
            }
            Statement::Return(_) | Statement::Leave => None,
        }
    }

    fn whole_loop(
        &mut self,
        before: &Ranges,
        head: Head<'_>,
        body: &[Statement],
        otherwise: &[Statement],
    ) -> Option<Ranges> {
        let at_head = self.at_head(before, head, body);
        let mut inside = at_head.clone();
        self.scope.enter(&mut inside, head);
        self.loops.push(Turn { next: None, end: None });
        self.depth += 1;
        self.body(inside, body);
        self.depth -= 1;
        let mut end = self.loops.pop()?.end;
        let mut out = at_head;
        self.scope.leave(&mut out, head);
        if let Some(after) = self.body(out, otherwise) {
            join_option(&mut end, &after);
        }
        end
    }
}

impl Scope<'_> {
    /// What a turn begins with, once its test has been passed.
    pub(crate) fn enter(&self, ranges: &mut Ranges, head: Head<'_>) {
        match head {
            Head::While(test) => self.refine(ranges, test, true),
            Head::For(target, range) => self.assign(ranges, &Target::Local(target), &[range]),
        }
    }

    /// What holds when there is no other turn.
    pub(crate) fn leave(&self, ranges: &mut Ranges, head: Head<'_>) {
        if let Head::While(test) = head {
            self.refine(ranges, test, false);
        }
    }

    /// Notes the bounds of a value that is assigned; of a value without, those of the type.
    pub(crate) fn assign(&self, ranges: &mut Ranges, target: &Target, words: &[Interval]) {
        match target {
            Target::Local(local) => {
                let Some(kind) = self.kind_of(*local) else { return };
                ranges[*local] = if self.loose[*local] || words.len() != kind.width() {
                    by_type(kind)
                } else {
                    words.to_vec()
                };
            }
            Target::Item { .. } => {}
            Target::Tuple(targets) => {
                let mut begin = 0;
                for target in targets {
                    let width = self.width(target);
                    let part = words.get(begin..begin + width).unwrap_or_default();
                    self.assign(ranges, target, part);
                    begin += width;
                }
            }
        }
    }

    fn width(&self, target: &Target) -> usize {
        match target {
            Target::Local(local) => self.kind_of(*local).map_or(0, Type::width),
            Target::Tuple(targets) => targets.iter().map(|each| self.width(each)).sum(),
            // A number is stored, or inference has refused it.
            Target::Item { .. } => 1,
        }
    }
}
