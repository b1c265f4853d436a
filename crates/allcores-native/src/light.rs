//! Branches so short that both sides are computed and one result is taken.
//!
//! A branch that depends on data is guessed wrong half the time, which costs as much as twenty
//! additions. Where both sides are a few additions, products, bit operations or constants, neither is
//! worth a guess. While a side is written, the *predicate* says whether the side counts: a guard of a
//! side that doesn't leaves nothing to Python. Nothing that can trap, and no call, is light.

use cranelift_codegen::ir::{InstBuilder, Value as Register};

use crate::emit::{Emitter, Ended, Value};
use crate::ir::{Binary, Expression, Kind, Local, Statement, Target, Unary};
use crate::ranges::{join, opposite};
use crate::types::Type;

/// Operations on both sides together.
const MOST_OPERATIONS: usize = 4;
const MOST_ASSIGNMENTS: usize = 3;

impl Emitter<'_, '_> {
    /// Writes an `if` as a choice between values; false if it isn't light.
    pub(crate) fn choose(
        &mut self,
        test: &Expression,
        body: &[Statement],
        otherwise: &[Statement],
    ) -> Result<bool, Ended> {
        let (Some(yes), Some(no)) = (self.assigned(body), self.assigned(otherwise)) else {
            return Ok(false);
        };
        let operations = yes.1 + no.1;
        let mut locals = [yes.0, no.0].concat();
        if !is_light_test(test)
            || operations > MOST_OPERATIONS
            || locals.is_empty()
            || locals.len() > MOST_ASSIGNMENTS
        {
            return Ok(false);
        }
        locals.sort_unstable();
        locals.dedup();
        let [truth, untruth] = self.truths(test)?;
        let before = self.ranges.clone();
        let old: Vec<Value> =
            locals.iter().map(|local| self.local(*local)).collect::<Result<_, _>>()?;
        let mut sides = Vec::new();
        let mut ranges = Vec::new();
        for (part, counts, predicate) in [(body, true, truth), (otherwise, false, untruth)] {
            self.ranges.clone_from(&before);
            self.scope.refine(&mut self.ranges, test, counts);
            self.under(predicate, |emitter| emitter.body(part))?;
            let values: Vec<Value> =
                locals.iter().map(|local| self.local(*local)).collect::<Result<_, _>>()?;
            sides.push(values);
            ranges.push(self.ranges.clone());
            for (local, value) in locals.iter().zip(&old) {
                self.set_local(*local, value);
            }
        }
        for (index, local) in locals.iter().enumerate() {
            let (one, other) = (&sides[0][index], &sides[1][index]);
            let word = self.choice(truth, one.words[0], other.words[0]);
            self.set_local(*local, &Value::new(one.kind.clone(), vec![word]));
        }
        self.ranges = ranges.swap_remove(0);
        join(&mut self.ranges, &ranges[0]);
        Ok(true)
    }

    /// Writes a conditional expression so; none if it isn't light.
    pub(crate) fn choose_value(
        &mut self,
        test: &Expression,
        then: &Expression,
        otherwise: &Expression,
    ) -> Result<Option<Value>, Ended> {
        let operations = (self.light(then), self.light(otherwise));
        let (Some(one), Some(other)) = operations else { return Ok(None) };
        let kinds = (self.scope.kind(then, &self.ranges), self.scope.kind(otherwise, &self.ranges));
        let (Some(one_kind), Some(other_kind)) = kinds else { return Ok(None) };
        let Some(kind) = one_kind.either(&other_kind) else { return Ok(None) };
        if !is_light_test(test) || one + other > MOST_OPERATIONS {
            return Ok(None);
        }
        let [truth, untruth] = self.truths(test)?;
        let before = self.ranges.clone();
        let mut values = Vec::new();
        for (side, counts, predicate) in [(then, true, truth), (otherwise, false, untruth)] {
            self.scope.refine(&mut self.ranges, test, counts);
            values.push(self.under(predicate, |emitter| {
                let value = emitter.expression(side)?;
                emitter.converted(&value, &kind)
            })?);
            self.ranges.clone_from(&before);
        }
        let pairs = values[0].words.iter().zip(&values[1].words);
        let words = pairs.map(|(one, other)| self.choice(truth, *one, *other)).collect();
        Ok(Some(Value::new(kind, words)))
    }

    /// Is the test true, and is it not.
    fn truths(&mut self, test: &Expression) -> Result<[Register; 2], Ended> {
        if let Kind::Compare { first, rest } = &test.kind
            && let [(comparison, right)] = &rest[..]
        {
            let (left, right) = (self.expression(first)?, self.expression(right)?);
            if !left.kind.is_real() && !right.kind.is_real() {
                let truth = self.compare(*comparison, &left, &right);
                return Ok([truth, self.compare(opposite(*comparison), &left, &right)]);
            }
            let truth = self.compare(*comparison, &left, &right);
            return Ok([truth, self.builder.ins().bxor_imm_s(truth, 1)]);
        }
        let value = self.expression(test)?;
        let truth = self.truth(&value);
        Ok([truth, self.builder.ins().bxor_imm_s(truth, 1)])
    }

    /// Which variables a side assigns, and with how many operations; none if it isn't light.
    fn assigned(&self, body: &[Statement]) -> Option<(Vec<Local>, usize)> {
        let mut locals = Vec::new();
        let mut operations = 0;
        for statement in body {
            let Statement::Assign { target: Target::Local(local), value } = statement else {
                return None;
            };
            if !self.is_light_local(*local) {
                return None;
            }
            operations += self.light(value)?;
            locals.push(*local);
        }
        Some((locals, operations))
    }

    fn is_light_local(&self, local: Local) -> bool {
        let is_number = self.places[local].kind.as_ref().is_some_and(Type::is_plain_number);
        is_number && self.bound[local] && !self.scope.loose[local]
    }

    /// How many operations an expression has; none if it isn't light.
    fn light(&self, value: &Expression) -> Option<usize> {
        match &value.kind {
            Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) => Some(0),
            Kind::Local(local) => self.is_light_local(*local).then_some(0),
            Kind::Tuple(items) => items.iter().map(|item| self.light(item)).sum(),
            Kind::Unary { operation, operand } if *operation != Unary::Not => {
                Some(1 + self.light(operand)?)
            }
            Kind::Binary { operation, left, right } => {
                let is_light = match operation {
                    Binary::Add
                    | Binary::Subtract
                    | Binary::Multiply
                    | Binary::And
                    | Binary::Or
                    | Binary::Xor => true,
                    Binary::ShiftLeft | Binary::ShiftRight => {
                        matches!(right.kind, Kind::Int(0..=63))
                    }
                    Binary::FloorDivide | Binary::Modulo => {
                        matches!(right.kind, Kind::Int(power) if power > 0 && power & (power - 1) == 0)
                            && self.is_whole(left)
                    }
                    Binary::Divide | Binary::Power => false,
                };
                let operands = (self.light(left)?, self.light(right)?);
                is_light.then_some(1 + operands.0 + operands.1)
            }
            _ => None,
        }
    }

    fn is_whole(&self, value: &Expression) -> bool {
        match &value.kind {
            Kind::Int(_) => true,
            Kind::Local(local) => self.places[*local].kind.as_ref().is_some_and(Type::is_whole),
            _ => false,
        }
    }
}

fn is_light_test(test: &Expression) -> bool {
    match &test.kind {
        Kind::Compare { rest, .. } => rest.len() == 1,
        Kind::Binary { .. } | Kind::Local(_) => true,
        _ => false,
    }
}
