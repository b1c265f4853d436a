//! Numbers of which only the run shows whether they are ints or floats.
//!
//! `total = 0` before a loop and `total += 0.5` in it: such a variable holds the float that is equal to
//! its value, and whether that is an int. As long as ints have no more than 53 bits, sums, differences,
//! products, quotients and rests of ints are those of the equal floats, but for the sign of zero, which
//! ints don't have. An int beyond is left to Python.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value as Register};

use crate::emit::{Emitter, Ended, Value};
use crate::expressions::elements;
use crate::guard::Guard;
use crate::ir::Binary;
use crate::types::Type;

/// Below it every int is a float; the sum or product of two that is beyond may be rounded to it.
const LAST: f64 = 9_007_199_254_740_992.0;

impl Emitter<'_, '_> {
    /// The value as one of a type that is its own or has more values.
    pub(crate) fn converted(&mut self, value: &Value, kind: &Type) -> Result<Value, Ended> {
        if value.kind == *kind {
            return Ok(value.clone());
        }
        match (kind, &value.kind) {
            (Type::Number, Type::Int | Type::Float) => {
                let is_int = self.is_int(value);
                let word = self.same_float_of(value);
                Ok(Value::new(Type::Number, vec![word, is_int]))
            }
            (Type::Tuple(kinds), Type::Tuple(items)) if kinds.len() == items.len() => {
                let items: Vec<_> = elements(value)
                    .iter()
                    .zip(kinds.iter())
                    .map(|(item, kind)| self.converted(item, kind))
                    .collect::<Result<_, _>>()?;
                Ok(Value::tuple(&items))
            }
            _ => Err(self.leave_always(Guard::Type)),
        }
    }

    fn is_int(&mut self, value: &Value) -> Register {
        match value.kind {
            Type::Number => value.words[1],
            _ => self.truth_constant(value.kind != Type::Float),
        }
    }

    /// An operation on numbers neither of which is known to be a float.
    pub(crate) fn numbers(&mut self, operation: Binary, left: &Value, right: &Value) -> Value {
        let (one, other) = (self.is_int(left), self.is_int(right));
        let mut are_ints = self.builder.ins().band(one, other);
        let (a, b) = (self.same_float_of(left), self.same_float_of(right));
        if operation == Binary::Power {
            // Otherwise the power of ints is a float.
            let zero = self.float_constant(0.0);
            let is_natural = self.builder.ins().fcmp(FloatCC::GreaterThanOrEqual, b, zero);
            are_ints = self.builder.ins().band(are_ints, is_natural);
        }
        let word = self.floats(operation, a, b).words[0];
        self.number(word, are_ints)
    }

    /// The result of an operation, and whether it was one on ints.
    pub(crate) fn number(&mut self, word: Register, is_int: Register) -> Value {
        let (size, last) = (self.builder.ins().fabs(word), self.float_constant(LAST));
        let is_beyond = self.builder.ins().fcmp(FloatCC::GreaterThanOrEqual, size, last);
        let is_wrong = self.builder.ins().band(is_beyond, is_int);
        self.guard(is_wrong, Guard::Inexact);
        let zero = self.float_constant(0.0);
        let unsigned = self.builder.ins().fadd(word, zero);
        let word = self.choice(is_int, unsigned, word);
        Value::new(Type::Number, vec![word, is_int])
    }
}
