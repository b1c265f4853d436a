//! Python's arithmetic in machine code.
//!
//! Ints are 64 bits, and whatever needs more is left to Python. `//` rounds down and `%` has the sign
//! of the divisor, for floats too. Where an int meets a float it becomes the nearest float, as in
//! CPython; where the exact values count (comparisons, int / int) ints beyond 2**53 are left to Python.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value as Register, types};

use crate::emit::{Emitter, Ended, Value};
use crate::guard::Guard;
use crate::ir::{Binary, Comparison, Unary};
use crate::runtime;
use crate::types::Type;

impl Emitter<'_, '_> {
    pub(crate) fn unary(&mut self, operation: Unary, operand: &Value) -> Result<Value, Ended> {
        match (operation, &operand.kind) {
            (Unary::Not, _) => {
                let truth = self.truth(operand);
                Ok(Value::bool(self.builder.ins().bxor_imm_s(truth, 1)))
            }
            (Unary::Plus, Type::Float) => Ok(operand.clone()),
            (Unary::Plus, _) => Ok(Value::int(self.int_of(operand))),
            (Unary::Negate, Type::Float) => {
                Ok(Value::float(self.builder.ins().fneg(operand.words[0])))
            }
            (Unary::Negate, _) => {
                if let Some(value) = operand.constant.and_then(i64::checked_neg) {
                    let word = self.constant(value);
                    return Ok(Value { constant: Some(value), ..Value::int(word) });
                }
                let word = self.int_of(operand);
                let zero = self.constant(0);
                let (value, overflows) = self.builder.ins().ssub_overflow(zero, word);
                self.guard(overflows, Guard::Overflow);
                Ok(Value::int(value))
            }
            (Unary::Invert, _) => {
                let word = self.int_of(operand);
                Ok(Value::int(self.builder.ins().bnot(word)))
            }
        }
    }

    pub(crate) fn binary(
        &mut self,
        operation: Binary,
        left: &Value,
        right: &Value,
    ) -> Result<Value, Ended> {
        if let (Type::Tuple(first), Type::Tuple(second)) = (&left.kind, &right.kind) {
            let kind = Type::Tuple(first.iter().chain(second.iter()).cloned().collect());
            return Ok(Value::new(kind, [&left.words[..], &right.words[..]].concat()));
        }
        let is_bits = matches!(operation, Binary::And | Binary::Or | Binary::Xor);
        if is_bits && left.kind == Type::Bool && right.kind == Type::Bool {
            return Ok(Value::bool(self.bits(operation, left.words[0], right.words[0])));
        }
        if operation == Binary::Divide {
            let exact = left.kind != Type::Float && right.kind != Type::Float;
            let (a, b) = if exact {
                (self.same_float_of(left), self.same_float_of(right))
            } else {
                (self.float_of(left), self.float_of(right))
            };
            self.guard_zero(b);
            return Ok(Value::float(self.builder.ins().fdiv(a, b)));
        }
        if left.kind == Type::Float || right.kind == Type::Float {
            let (a, b) = (self.float_of(left), self.float_of(right));
            return Ok(self.floats(operation, a, b));
        }
        let (a, b) = (self.int_of(left), self.int_of(right));
        Ok(self.ints(operation, a, b, right.constant))
    }

    fn guard_zero(&mut self, word: Register) {
        let zero = self.float_constant(0.0);
        let is_zero = self.builder.ins().fcmp(FloatCC::Equal, word, zero);
        self.guard(is_zero, Guard::ZeroDivision);
    }

    fn bits(&mut self, operation: Binary, a: Register, b: Register) -> Register {
        match operation {
            Binary::And => self.builder.ins().band(a, b),
            Binary::Or => self.builder.ins().bor(a, b),
            _ => self.builder.ins().bxor(a, b),
        }
    }

    fn floats(&mut self, operation: Binary, a: Register, b: Register) -> Value {
        match operation {
            Binary::Add => Value::float(self.builder.ins().fadd(a, b)),
            Binary::Subtract => Value::float(self.builder.ins().fsub(a, b)),
            Binary::Multiply => Value::float(self.builder.ins().fmul(a, b)),
            Binary::FloorDivide => {
                self.guard_zero(b);
                let function = runtime::floor_divide as *const u8;
                Value::float(self.helper(function, &[a, b], &[types::F64])[0])
            }
            Binary::Modulo => {
                self.guard_zero(b);
                let function = runtime::modulo as *const u8;
                Value::float(self.helper(function, &[a, b], &[types::F64])[0])
            }
            _ => self.finite(runtime::power as *const u8, &[a, b]),
        }
    }

    fn ints(
        &mut self,
        operation: Binary,
        a: Register,
        b: Register,
        constant: Option<i64>,
    ) -> Value {
        let (value, overflows) = match operation {
            Binary::Add => self.builder.ins().sadd_overflow(a, b),
            Binary::Subtract => self.builder.ins().ssub_overflow(a, b),
            Binary::Multiply => self.builder.ins().smul_overflow(a, b),
            Binary::FloorDivide => return Value::int(self.floored(a, b, constant).0),
            Binary::Modulo => return Value::int(self.floored(a, b, constant).1),
            Binary::ShiftLeft => return Value::int(self.shift_left(a, b)),
            Binary::ShiftRight => return Value::int(self.shift_right(a, b)),
            Binary::Power if constant == Some(2) => self.builder.ins().smul_overflow(a, a),
            Binary::Power => return self.checked(runtime::power_of_ints as *const u8, &[a, b]),
            Binary::And | Binary::Or | Binary::Xor | Binary::Divide => {
                return Value::int(self.bits(operation, a, b));
            }
        };
        self.guard(overflows, Guard::Overflow);
        Value::int(value)
    }

    /// `a // b` and `a % b`; what isn't used is not computed.
    pub(crate) fn floored(
        &mut self,
        a: Register,
        b: Register,
        constant: Option<i64>,
    ) -> (Register, Register) {
        match constant {
            Some(divisor) if divisor > 0 && divisor.count_ones() == 1 => {
                let quotient =
                    self.builder.ins().sshr_imm_s(a, i64::from(divisor.trailing_zeros()));
                return (quotient, self.builder.ins().band_imm_s(a, divisor - 1));
            }
            Some(divisor) if divisor > 0 => {
                let quotient = self.builder.ins().sdiv(a, b);
                let product = self.builder.ins().imul(quotient, b);
                let rest = self.builder.ins().isub(a, product);
                let sign = self.builder.ins().sshr_imm_s(rest, 63);
                let more = self.builder.ins().band(sign, b);
                return (
                    self.builder.ins().iadd(quotient, sign),
                    self.builder.ins().iadd(rest, more),
                );
            }
            _ => {}
        }
        let is_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0);
        self.guard(is_zero, Guard::ZeroDivision);
        let is_least = self.builder.ins().icmp_imm_s(IntCC::Equal, a, i64::MIN);
        let is_minus_one = self.builder.ins().icmp_imm_s(IntCC::Equal, b, -1);
        let overflows = self.builder.ins().band(is_least, is_minus_one);
        self.guard(overflows, Guard::Overflow);
        let quotient = self.builder.ins().sdiv(a, b);
        let product = self.builder.ins().imul(quotient, b);
        let rest = self.builder.ins().isub(a, product);
        let signs = self.builder.ins().bxor(rest, b);
        let differ = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, signs, 0);
        let is_rest = self.builder.ins().icmp_imm_s(IntCC::NotEqual, rest, 0);
        let is_above = self.builder.ins().band(differ, is_rest);
        let lower = self.builder.ins().iadd_imm_s(quotient, -1);
        let higher = self.builder.ins().iadd(rest, b);
        (
            self.builder.ins().select(is_above, lower, quotient),
            self.builder.ins().select(is_above, higher, rest),
        )
    }

    fn shift_left(&mut self, a: Register, b: Register) -> Register {
        let is_wide = self.builder.ins().icmp_imm_s(IntCC::UnsignedGreaterThan, b, 63);
        self.guard(is_wide, Guard::Overflow);
        let value = self.builder.ins().ishl(a, b);
        let back = self.builder.ins().sshr(value, b);
        let is_lost = self.builder.ins().icmp(IntCC::NotEqual, back, a);
        self.guard(is_lost, Guard::Overflow);
        value
    }

    fn shift_right(&mut self, a: Register, b: Register) -> Register {
        let is_negative = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, b, 0);
        self.guard(is_negative, Guard::Domain);
        let most = self.constant(63);
        let count = self.builder.ins().umin(b, most);
        self.builder.ins().sshr(a, count)
    }

    pub(crate) fn compare(
        &mut self,
        comparison: Comparison,
        left: &Value,
        right: &Value,
    ) -> Register {
        if left.kind == Type::Float || right.kind == Type::Float {
            let (a, b) = (self.same_float_of(left), self.same_float_of(right));
            let condition = match comparison {
                Comparison::Equal => FloatCC::Equal,
                Comparison::NotEqual => FloatCC::NotEqual,
                Comparison::Less => FloatCC::LessThan,
                Comparison::LessEqual => FloatCC::LessThanOrEqual,
                Comparison::Greater => FloatCC::GreaterThan,
                Comparison::GreaterEqual => FloatCC::GreaterThanOrEqual,
            };
            return self.builder.ins().fcmp(condition, a, b);
        }
        let condition = match comparison {
            Comparison::Equal => IntCC::Equal,
            Comparison::NotEqual => IntCC::NotEqual,
            Comparison::Less => IntCC::SignedLessThan,
            Comparison::LessEqual => IntCC::SignedLessThanOrEqual,
            Comparison::Greater => IntCC::SignedGreaterThan,
            Comparison::GreaterEqual => IntCC::SignedGreaterThanOrEqual,
        };
        let (a, b) = (self.int_of(left), self.int_of(right));
        self.builder.ins().icmp(condition, a, b)
    }
}
