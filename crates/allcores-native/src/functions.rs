//! Python's own functions in machine code; `builtins` says which types they take.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value as Register};

use crate::division::Part;
use crate::emit::{Emitter, Ended, Value};
use crate::expressions::elements;
use crate::guard::Guard;
use crate::interval::{self, Interval};
use crate::ir::{Binary, Builtin, Comparison};
use crate::ranges::of_builtin;
use crate::runtime;
use crate::span::Span;
use crate::types::Type;

impl Emitter<'_, '_> {
    pub(crate) fn builtin(
        &mut self,
        builtin: Builtin,
        arguments: &[Value],
    ) -> Result<Value, Ended> {
        use Builtin as B;
        let Some(first) = arguments.first() else { return Err(self.leave_always(Guard::Type)) };
        if let Type::Foreign(scalar) = first.kind {
            return self.builtin(builtin, &[Value { kind: scalar.kind(), ..first.clone() }]);
        }
        let library = match builtin {
            B::Sin => runtime::sin as *const u8,
            B::Cos => runtime::cos as *const u8,
            B::Tan => runtime::tan as *const u8,
            B::Asin => runtime::asin as *const u8,
            B::Acos => runtime::acos as *const u8,
            B::Atan => runtime::atan as *const u8,
            B::Sinh => runtime::sinh as *const u8,
            B::Cosh => runtime::cosh as *const u8,
            B::Tanh => runtime::tanh as *const u8,
            B::Exp => runtime::exp as *const u8,
            B::Expm1 => runtime::expm1 as *const u8,
            B::Log => runtime::log as *const u8,
            B::Log2 => runtime::log2 as *const u8,
            B::Log10 => runtime::log10 as *const u8,
            B::Log1p => runtime::log1p as *const u8,
            B::Atan2 => runtime::atan2 as *const u8,
            B::MathPow => runtime::math_power as *const u8,
            B::Fmod => runtime::fmod as *const u8,
            _ => return self.short_builtin(builtin, first, arguments),
        };
        let words: Vec<_> = arguments.iter().map(|each| self.float_of(each)).collect();
        Ok(self.finite(library, &words))
    }

    fn short_builtin(
        &mut self,
        builtin: Builtin,
        first: &Value,
        arguments: &[Value],
    ) -> Result<Value, Ended> {
        use Builtin as B;
        match builtin {
            B::Abs => Ok(self.absolute(first)),
            B::Min | B::Max => self.extreme(builtin, arguments),
            B::Int | B::Trunc => {
                let round = |emitter: &mut Self, word| emitter.builder.ins().trunc(word);
                Ok(self.whole(first, f64::trunc, round))
            }
            B::Floor => {
                let round = |emitter: &mut Self, word| emitter.builder.ins().floor(word);
                Ok(self.whole(first, f64::floor, round))
            }
            B::Ceil => {
                let round = |emitter: &mut Self, word| emitter.builder.ins().ceil(word);
                Ok(self.whole(first, f64::ceil, round))
            }
            B::Round => {
                let round = |emitter: &mut Self, word| emitter.builder.ins().nearest(word);
                Ok(self.whole(first, f64::round_ties_even, round))
            }
            B::Float => Ok(Value::float_within(self.float_of(first), first.span())),
            B::Bool => Ok(Value::bool(self.truth(first))),
            B::Len => Ok(self.length(first)),
            B::Sum => self.sum_of(first),
            B::Divmod => self.divmod(first, &arguments[1]),
            B::Pow if arguments.len() == 2 => self.binary(Binary::Power, first, &arguments[1]),
            B::Pow => Ok(self.ints_by(runtime::power_modulo as *const u8, arguments)),
            B::Gcd => Ok(self.natural(runtime::gcd as *const u8, arguments)),
            B::Isqrt => Ok(self.natural(runtime::isqrt as *const u8, arguments)),
            B::Sqrt => {
                let word = self.float_of(first);
                let root = self.builder.ins().sqrt(word);
                let known = first.span().filter(|span| span.low >= 0.0);
                if known.is_none() {
                    self.require_finite(root);
                }
                Ok(Value::float_within(root, known.and_then(|span| span.map(f64::sqrt))))
            }
            B::Fabs => {
                let word = self.float_of(first);
                let span = first.span().and_then(Span::absolute);
                Ok(Value::float_within(self.builder.ins().fabs(word), span))
            }
            B::Degrees => Ok(self.scaled(first, 180.0 / std::f64::consts::PI)),
            B::Radians => Ok(self.scaled(first, std::f64::consts::PI / 180.0)),
            B::Copysign => {
                let (size, sign) = (self.float_of(first), self.float_of(&arguments[1]));
                Ok(Value::float(self.builder.ins().fcopysign(size, sign)))
            }
            B::IsNan | B::IsInf | B::IsFinite => Ok(self.kind_of_float(builtin, first)),
            // The others are the library's.
            _ => Err(self.leave_always(Guard::Type)),
        }
    }

    fn absolute(&mut self, value: &Value) -> Value {
        if value.kind == Type::Float {
            let word = self.builder.ins().fabs(value.words[0]);
            return Value::float_within(word, value.span.and_then(Span::absolute));
        }
        if value.kind == Type::Number {
            let word = self.builder.ins().fabs(value.words[0]);
            return Value::new(Type::Number, vec![word, value.words[1]]);
        }
        let word = self.int_of(value);
        let range = value.range();
        if range.low >= 0 {
            return Value::within(word, range);
        }
        if range.low == i64::MIN {
            let is_least = self.builder.ins().icmp_imm_s(IntCC::Equal, word, i64::MIN);
            self.guard(is_least, Guard::Overflow);
        }
        Value::within(self.builder.ins().iabs(word), interval::absolute(range))
    }

    /// The first of those that no other is beyond.
    fn extreme(&mut self, builtin: Builtin, arguments: &[Value]) -> Result<Value, Ended> {
        let values = match arguments {
            [only] if !matches!(only.kind, Type::Tuple(_)) => {
                return self.extreme_of(builtin, only);
            }
            [only] => elements(only),
            several => several.to_vec(),
        };
        let kinds: Vec<_> = values.iter().map(|value| value.kind.clone()).collect();
        let Some(common) = crate::builtins::result(builtin, &kinds) else {
            return Err(self.leave_always(Guard::Type));
        };
        let values: Vec<_> =
            values.iter().map(|value| self.converted(value, &common)).collect::<Result<_, _>>()?;
        let beyond = if builtin == Builtin::Min { Comparison::Less } else { Comparison::Greater };
        let mut best = values[0].clone();
        for value in &values[1..] {
            let is_beyond = self.compare(beyond, value, &best);
            let pairs = value.words.iter().zip(&best.words);
            let words: Vec<_> =
                pairs.map(|(new, old)| self.choice(is_beyond, *new, *old)).collect();
            let kind = best.kind.clone();
            best = match kind {
                Type::Int => {
                    Value::within(words[0], of_builtin(builtin, &[best.range(), value.range()]))
                }
                kind => Value::new(kind, words),
            };
        }
        Ok(best)
    }

    /// A float rounded: what rounds a number while compiling, and what does so in machine code.
    fn whole(
        &mut self,
        value: &Value,
        known: impl Fn(f64) -> f64,
        round: impl Fn(&mut Self, Register) -> Register,
    ) -> Value {
        if value.kind.is_real() {
            let word = round(self, value.words[0]);
            return self.float_to_int(word, value.span.and_then(|span| span.map(known)));
        }
        Value::within(self.int_of(value), value.range())
    }

    fn divmod(&mut self, left: &Value, right: &Value) -> Result<Value, Ended> {
        let (quotient, rest) = if left.kind == Type::Float || right.kind == Type::Float {
            let quotient = self.binary(Binary::FloorDivide, left, right)?;
            (quotient, self.binary(Binary::Modulo, left, right)?)
        } else {
            let (a, b) = (self.int_of(left), self.int_of(right));
            let ranges = (left.range(), right.range());
            let parts = self.divided(&[Part::Quotient, Part::Rest], (a, b), ranges);
            let (quotient, rest) = (parts[0], parts[1]);
            let within = |operation| interval::binary(operation, ranges.0, ranges.1);
            (
                Value::within(quotient, within(Binary::FloorDivide)),
                Value::within(rest, within(Binary::Modulo)),
            )
        };
        Ok(Value::tuple(&[quotient, rest]))
    }

    fn ints_by(&mut self, function: *const u8, arguments: &[Value]) -> Value {
        let words: Vec<_> = arguments.iter().map(|each| self.int_of(each)).collect();
        self.checked(function, &words)
    }

    fn natural(&mut self, function: *const u8, arguments: &[Value]) -> Value {
        let value = self.ints_by(function, arguments);
        Value::within(value.words[0], Interval::new(0, i64::MAX))
    }

    fn scaled(&mut self, value: &Value, factor: f64) -> Value {
        let (word, factor) = (self.float_of(value), self.float_constant(factor));
        Value::float(self.builder.ins().fmul(word, factor))
    }

    fn kind_of_float(&mut self, builtin: Builtin, value: &Value) -> Value {
        let word = self.float_of(value);
        if builtin == Builtin::IsNan {
            return Value::bool(self.builder.ins().fcmp(FloatCC::Unordered, word, word));
        }
        let size = self.builder.ins().fabs(word);
        let infinity = self.float_constant(f64::INFINITY);
        let condition = if builtin == Builtin::IsInf { FloatCC::Equal } else { FloatCC::LessThan };
        Value::bool(self.builder.ins().fcmp(condition, size, infinity))
    }
}
