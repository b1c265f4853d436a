//! Python's arithmetic in machine code.
//!
//! Ints are 64 bits, and whatever needs more is left to Python. `//` rounds down and `%` has the sign
//! of the divisor, for floats too. Where an int meets a float it becomes the nearest float, as in
//! CPython; where the exact values count (comparisons, int / int) ints beyond 2**53 are left to Python.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value as Register, types};

use crate::division::Part;
use crate::emit::{Emitter, Ended, Value};
use crate::guard::Guard;
use crate::interval::{self, Interval};
use crate::ir::{Binary, Comparison, Unary};
use crate::ranges::ROOT;
use crate::runtime;
use crate::span::Span;
use crate::types::Type;

impl Emitter<'_, '_> {
    pub(crate) fn unary(&mut self, operation: Unary, operand: &Value) -> Result<Value, Ended> {
        match (operation, &operand.kind) {
            (Unary::Not, _) => {
                let truth = self.truth(operand);
                Ok(Value::bool(self.builder.ins().bxor_imm_s(truth, 1)))
            }
            (Unary::Plus, Type::Float | Type::Number) => Ok(operand.clone()),
            (Unary::Negate, Type::Number) => {
                let word = self.builder.ins().fneg(operand.words[0]);
                Ok(self.number(word, operand.words[1]))
            }
            (Unary::Plus, _) => Ok(Value::within(self.int_of(operand), operand.range())),
            (Unary::Negate, Type::Float) => {
                let word = self.builder.ins().fneg(operand.words[0]);
                Ok(Value::float_within(word, operand.span.and_then(Span::negated)))
            }
            (Unary::Negate, _) => {
                let (word, range) = (self.int_of(operand), operand.range());
                if range.low == i64::MIN {
                    let is_least = self.builder.ins().icmp_imm_s(IntCC::Equal, word, i64::MIN);
                    self.guard(is_least, Guard::Overflow);
                }
                Ok(Value::within(self.builder.ins().ineg(word), interval::negate(range)))
            }
            (Unary::Invert, _) => {
                let word = self.int_of(operand);
                let range = interval::invert(operand.range());
                Ok(Value::within(self.builder.ins().bnot(word), range))
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
            let words = [&left.words[..], &right.words[..]].concat();
            return Ok(Value {
                kind,
                words,
                ranges: [&left.ranges[..], &right.ranges[..]].concat(),
                span: None,
            });
        }
        match (&left.kind, &right.kind) {
            (Type::List(_) | Type::Row(_), _) => return Ok(self.repeated(left, right)),
            (_, Type::List(_) | Type::Row(_)) => return Ok(self.repeated(right, left)),
            _ => {}
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
            let span = Span::binary(operation, left.span(), right.span());
            return Ok(Value::float_within(self.quotient(a, b, right.span()), span));
        }
        let is_float = left.kind == Type::Float || right.kind == Type::Float;
        if !is_float && (left.kind == Type::Number || right.kind == Type::Number) {
            return Ok(self.numbers(operation, left, right));
        }
        if is_float {
            let (a, b) = (self.float_of(left), self.float_of(right));
            let span = Span::binary(operation, left.span(), right.span());
            return Ok(Value { span, ..self.floats(operation, a, b) });
        }
        let (a, b) = (self.int_of(left), self.int_of(right));
        let ranges = (left.range(), right.range());
        let word = self.ints(operation, (a, b), ranges);
        Ok(Value::within(word, interval::binary(operation, ranges.0, ranges.1)))
    }

    /// `a / b`. By a power of two it is a product: both are the float nearest to the same number.
    fn quotient(&mut self, a: Register, b: Register, divisor: Option<Span>) -> Register {
        let divisor = divisor.filter(|span| !span.contains_zero());
        let is_power = |value: f64| value.is_normal() && value.to_bits() << 12 == 0;
        match divisor.map(Span::constant) {
            Some(Some(divisor)) if is_power(divisor) && is_power(1.0 / divisor) => {
                let factor = self.float_constant(1.0 / divisor);
                return self.builder.ins().fmul(a, factor);
            }
            Some(_) => {}
            None => self.guard_zero(b),
        }
        self.builder.ins().fdiv(a, b)
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

    pub(crate) fn floats(&mut self, operation: Binary, a: Register, b: Register) -> Value {
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
        (a, b): (Register, Register),
        ranges: (Interval, Interval),
    ) -> Register {
        match operation {
            Binary::Add | Binary::Subtract => self.sum(operation, (a, b), ranges),
            Binary::Multiply => self.product(a, b, ranges),
            Binary::FloorDivide => self.divided(&[Part::Quotient], (a, b), ranges)[0],
            Binary::Modulo => self.divided(&[Part::Rest], (a, b), ranges)[0],
            Binary::ShiftLeft => self.shift_left(a, b, ranges),
            Binary::ShiftRight => self.shift_right(a, b, ranges.1),
            Binary::Power if ranges.1.constant() == Some(2) => {
                self.product(a, a, (ranges.0, ranges.0))
            }
            Binary::Power => self.checked(runtime::power_of_ints as *const u8, &[a, b]).words[0],
            Binary::And | Binary::Or | Binary::Xor | Binary::Divide => self.bits(operation, a, b),
        }
    }

    /// `a + b` and `a - b`. Where an operand's sign is known, one comparison finds an overflow.
    fn sum(
        &mut self,
        operation: Binary,
        (a, b): (Register, Register),
        ranges: (Interval, Interval),
    ) -> Register {
        let is_sum = operation == Binary::Add;
        let may_overflow = interval::may_overflow(operation, ranges.0, ranges.1);
        let (upwards, downwards) = (IntCC::SignedLessThan, IntCC::SignedGreaterThan);
        let wrong = match (is_sum, ranges) {
            (true, (_, other)) if other.low >= 0 => Some((upwards, a)),
            (true, (_, other)) if other.high <= 0 => Some((downwards, a)),
            (true, (one, _)) if one.low >= 0 => Some((upwards, b)),
            (true, (one, _)) if one.high <= 0 => Some((downwards, b)),
            (false, (_, other)) if other.low >= 0 => Some((downwards, a)),
            (false, (_, other)) if other.high <= 0 => Some((upwards, a)),
            _ => None,
        };
        let plain = |emitter: &mut Self| match operation {
            Binary::Add => emitter.builder.ins().iadd(a, b),
            _ => emitter.builder.ins().isub(a, b),
        };
        if !may_overflow {
            return plain(self);
        }
        let (value, overflows) = match wrong {
            Some((condition, than)) => {
                let value = plain(self);
                (value, self.builder.ins().icmp(condition, value, than))
            }
            None if is_sum => self.builder.ins().sadd_overflow(a, b),
            None => self.builder.ins().ssub_overflow(a, b),
        };
        self.guard(overflows, Guard::Overflow);
        value
    }

    fn product(&mut self, a: Register, b: Register, ranges: (Interval, Interval)) -> Register {
        if !interval::may_overflow(Binary::Multiply, ranges.0, ranges.1) {
            return self.builder.ins().imul(a, b);
        }
        match (ranges.0.constant(), ranges.1.constant()) {
            (_, Some(factor)) if factor > 1 => self.multiple(a, b, (ranges.0, factor)),
            (Some(factor), _) if factor > 1 => self.multiple(b, a, (ranges.1, factor)),
            _ if a == b => {
                let is_beyond = if ranges.0.low >= 0 {
                    self.builder.ins().icmp_imm_s(IntCC::SignedGreaterThan, a, ROOT)
                } else {
                    let above = self.builder.ins().iadd_imm_s(a, ROOT);
                    self.builder.ins().icmp_imm_s(IntCC::UnsignedGreaterThan, above, 2 * ROOT)
                };
                self.guard(is_beyond, Guard::Overflow);
                self.builder.ins().imul(a, a)
            }
            _ => {
                let (value, overflows) = self.builder.ins().smul_overflow(a, b);
                self.guard(overflows, Guard::Overflow);
                value
            }
        }
    }

    /// `a` times a known factor. Looking at `a` is done beside the multiplication, not after it.
    fn multiple(&mut self, a: Register, b: Register, known: (Interval, i64)) -> Register {
        let (range, factor) = known;
        let (least, most) = (i64::MIN / factor, i64::MAX / factor);
        let is_beyond = if range.low >= least {
            self.builder.ins().icmp_imm_s(IntCC::SignedGreaterThan, a, most)
        } else {
            let above = self.builder.ins().iadd_imm_s(a, -least);
            self.builder.ins().icmp_imm_s(IntCC::UnsignedGreaterThan, above, most - least)
        };
        self.guard(is_beyond, Guard::Overflow);
        if matches!(factor, 3 | 5 | 9) {
            // One instruction of one cycle.
            let more = self.builder.ins().ishl_imm_s(a, i64::from((factor - 1).trailing_zeros()));
            return self.builder.ins().iadd(a, more);
        }
        self.builder.ins().imul(a, b)
    }

    fn shift_left(&mut self, a: Register, b: Register, ranges: (Interval, Interval)) -> Register {
        if !ranges.1.is_within(0, 63) {
            let is_wide = self.builder.ins().icmp_imm_s(IntCC::UnsignedGreaterThan, b, 63);
            self.guard(is_wide, Guard::Overflow);
        }
        let value = self.builder.ins().ishl(a, b);
        if interval::may_overflow(Binary::ShiftLeft, ranges.0, ranges.1) {
            let back = self.builder.ins().sshr(value, b);
            let is_lost = self.builder.ins().icmp(IntCC::NotEqual, back, a);
            self.guard(is_lost, Guard::Overflow);
        }
        value
    }

    fn shift_right(&mut self, a: Register, b: Register, count: Interval) -> Register {
        if count.low < 0 {
            let is_negative = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, b, 0);
            self.guard(is_negative, Guard::Domain);
        }
        if count.high <= 63 {
            return self.builder.ins().sshr(a, b);
        }
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
        if left.kind.is_real() || right.kind.is_real() {
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
