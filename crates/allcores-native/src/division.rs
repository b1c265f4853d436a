//! `//` and `%` of ints: rounded down, the rest with the sign of the divisor.
//!
//! A processor divides 32 bits sooner than 64, and natural numbers need no correction for signs. So
//! where neither is known, code asks whether both operands are natural numbers of 32 bits, which most
//! are, and divides those; all others go the long way. By a constant it is a product.
//!
//! The rest of a sum is often that of a step around a ring, or of the sum of two rests, which is
//! below twice the divisor. It is then the lesser of `a` and `a - b`, as `a - b` of natural numbers
//! wraps below zero to more than any `a`; and it is below `b`, which tells. So nobody waits for a
//! division there: `(last + k) % size` is three times as fast. For rests of all else, this would cost
//! more than it gains: Euclid's algorithm has a quotient of 1 every other time, and no processor
//! foresees when.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Opcode, Value as Register, types};

use crate::emit::Emitter;
use crate::guard::Guard;
use crate::interval::Interval;

/// What is wanted of a division.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// `a // b`
    Quotient,
    /// `a % b`
    Rest,
}

/// Two operands and their bounds.
#[derive(Clone, Copy)]
struct Division {
    a: Register,
    b: Register,
    dividend: Interval,
    divisor: Interval,
}

const SHORT: i64 = u32::MAX as i64;

impl Emitter<'_, '_> {
    /// The parts that are wanted of `a` divided by `b`, in that order.
    pub(crate) fn divided(
        &mut self,
        parts: &[Part],
        (a, b): (Register, Register),
        (dividend, divisor): (Interval, Interval),
    ) -> Vec<Register> {
        if let Some(constant) = divisor.constant().filter(|constant| *constant > 0) {
            let both = self.by_constant(a, dividend, constant);
            return chosen(parts, both);
        }
        if divisor.contains(0) {
            let is_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0);
            self.guard(is_zero, Guard::ZeroDivision);
        }
        let division = Division { a, b, dividend, divisor };
        if dividend.is_within(0, SHORT) && divisor.is_within(0, SHORT) {
            return self.short(parts, division);
        }
        let may_be_short = dividend.high >= 0 && divisor.high >= 0;
        if self.predicate.is_some() || !may_be_short || dividend.low > SHORT || divisor.low > SHORT
        {
            return self.long(parts, division);
        }
        let [short, long, join] = [(); 3].map(|()| self.builder.create_block());
        let both = self.builder.ins().bor(a, b);
        let upper = self.builder.ins().ushr_imm_u(both, 32);
        self.builder.ins().brif(upper, long, &[], short, &[]);
        for _ in parts {
            self.builder.append_block_param(join, types::I64);
        }
        for (block, is_short) in [(short, true), (long, false)] {
            self.go_on_in(block);
            let words =
                if is_short { self.short(parts, division) } else { self.long(parts, division) };
            let words: Vec<_> = words.into_iter().map(BlockArg::Value).collect();
            self.builder.ins().jump(join, &words);
        }
        self.go_on_in(join);
        self.builder.block_params(join).to_vec()
    }

    /// Both are natural numbers of 32 bits.
    fn short(&mut self, parts: &[Part], division: Division) -> Vec<Register> {
        let [a, b] =
            [division.a, division.b].map(|word| self.builder.ins().ireduce(types::I32, word));
        self.natural_parts(parts, (a, b), division.a)
            .into_iter()
            .map(|word| self.builder.ins().uextend(types::I64, word))
            .collect()
    }

    /// The parts for natural numbers; what was computed last for the dividend is `origin`.
    fn natural_parts(
        &mut self,
        parts: &[Part],
        (a, b): (Register, Register),
        origin: Register,
    ) -> Vec<Register> {
        if self.predicate.is_none() && parts.contains(&Part::Rest) && self.is_plain_sum(origin) {
            return self.natural_by_steps(parts, a, b);
        }
        self.natural_division(parts, a, b)
    }

    /// Is it a sum or a difference, and not one with a product, that may be many times the divisor?
    fn is_plain_sum(&self, word: Register) -> bool {
        let graph = &self.builder.func.dfg;
        let made =
            |word| graph.value_def(word).inst().map(|inst| (graph.insts[inst].opcode(), inst));
        let Some((Opcode::Iadd | Opcode::Isub, sum)) = made(word) else { return false };
        graph.inst_args(sum).iter().all(|term| {
            !matches!(made(*term), Some((Opcode::Imul | Opcode::Ishl | Opcode::Umulhi, _)))
        })
    }

    /// One step down at most, and a division only if that is not enough.
    fn natural_by_steps(&mut self, parts: &[Part], a: Register, b: Register) -> Vec<Register> {
        let [above, join] = [(); 2].map(|()| self.builder.create_block());
        let word = self.builder.func.dfg.value_type(a);
        for _ in parts {
            self.builder.append_block_param(join, word);
        }
        let lower = self.builder.ins().isub(a, b);
        let rest = self.builder.ins().umin(a, lower);
        let is_step = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, a, b);
        let quotient = self.builder.ins().uextend(word, is_step);
        let is_rest = self.builder.ins().icmp(IntCC::UnsignedLessThan, rest, b);
        let words: Vec<_> =
            chosen(parts, (quotient, rest)).into_iter().map(BlockArg::Value).collect();
        self.builder.ins().brif(is_rest, join, &words, above, &[]);
        self.go_on_in(above);
        let words = self.natural_division(parts, a, b);
        let words: Vec<_> = words.into_iter().map(BlockArg::Value).collect();
        self.builder.ins().jump(join, &words);
        self.go_on_in(join);
        self.builder.block_params(join).to_vec()
    }

    /// One division, whatever is wanted.
    fn natural_division(&mut self, parts: &[Part], a: Register, b: Register) -> Vec<Register> {
        if parts == [Part::Rest] {
            return vec![self.builder.ins().urem(a, b)];
        }
        let quotient = self.builder.ins().udiv(a, b);
        let product = self.builder.ins().imul(quotient, b);
        let rest = self.builder.ins().isub(a, product);
        chosen(parts, (quotient, rest))
    }

    fn long(&mut self, parts: &[Part], division: Division) -> Vec<Register> {
        let Division { a, b, dividend, divisor } = division;
        if divisor.low >= 0 && dividend.low >= 0 {
            return self.natural_parts(parts, (a, b), a);
        }
        if divisor.contains(-1) && dividend.low == i64::MIN {
            let is_least = self.builder.ins().icmp_imm_s(IntCC::Equal, a, i64::MIN);
            let is_minus_one = self.builder.ins().icmp_imm_s(IntCC::Equal, b, -1);
            let overflows = self.builder.ins().band(is_least, is_minus_one);
            self.guard(overflows, Guard::Overflow);
        }
        let quotient = self.builder.ins().sdiv(a, b);
        let product = self.builder.ins().imul(quotient, b);
        let rest = self.builder.ins().isub(a, product);
        if divisor.low >= 0 {
            let sign = self.builder.ins().sshr_imm_s(rest, 63);
            let more = self.builder.ins().band(sign, b);
            let both =
                (self.builder.ins().iadd(quotient, sign), self.builder.ins().iadd(rest, more));
            return chosen(parts, both);
        }
        let signs = self.builder.ins().bxor(rest, b);
        let differ = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, signs, 0);
        let is_rest = self.builder.ins().icmp_imm_s(IntCC::NotEqual, rest, 0);
        let is_above = self.builder.ins().band(differ, is_rest);
        let lower = self.builder.ins().iadd_imm_s(quotient, -1);
        let higher = self.builder.ins().iadd(rest, b);
        let both = (
            self.builder.ins().select(is_above, lower, quotient),
            self.builder.ins().select(is_above, higher, rest),
        );
        chosen(parts, both)
    }

    /// By a constant above zero.
    fn by_constant(&mut self, a: Register, dividend: Interval, by: i64) -> (Register, Register) {
        if by & (by - 1) == 0 {
            let quotient = self.builder.ins().sshr_imm_s(a, i64::from(by.trailing_zeros()));
            return (quotient, self.builder.ins().band_imm_s(a, by - 1));
        }
        let quotient = if dividend.low >= 0 {
            self.part(a, by)
        } else {
            // Below zero, `a // b` is `~(~a // b)`.
            let sign = self.builder.ins().sshr_imm_s(a, 63);
            let natural = self.builder.ins().bxor(a, sign);
            let quotient = self.part(natural, by);
            self.builder.ins().bxor(quotient, sign)
        };
        let product = self.builder.ins().imul_imm_s(quotient, by);
        (quotient, self.builder.ins().isub(a, product))
    }

    /// A number from 0 on divided by a constant that is no power of two.
    fn part(&mut self, natural: Register, by: i64) -> Register {
        let Reciprocal { factor, shift } = Reciprocal::of(by.unsigned_abs());
        let factor = self.constant(factor.cast_signed());
        let high = self.builder.ins().umulhi(natural, factor);
        self.builder.ins().ushr_imm_u(high, i64::from(shift))
    }
}

fn chosen(parts: &[Part], (quotient, rest): (Register, Register)) -> Vec<Register> {
    parts.iter().map(|part| if *part == Part::Quotient { quotient } else { rest }).collect()
}

/// `n // d` is `n * factor // 2**(64 + shift)` for each `n` of 63 bits.
///
/// Granlund and Montgomery, Division by Invariant Integers using Multiplication (1994), theorem 4.2:
/// with `l` the number of bits of `d - 1`, so is every factor between `2**(63 + l) / d` and that and
/// `2**l / d` more. As `n` has 63 bits, the factor has no more than 64, and nothing is to be added.
#[derive(Debug)]
struct Reciprocal {
    factor: u64,
    shift: u32,
}

impl Reciprocal {
    /// Of a number from 2 on, below `2**63`.
    fn of(divisor: u64) -> Self {
        let bits = 64 - (divisor - 1).leading_zeros();
        let factor = (1_u128 << (63 + bits)) / u128::from(divisor) + 1;
        Self { factor: u64::try_from(factor).unwrap_or(u64::MAX), shift: bits - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn divided(number: u64, divisor: u64) -> u64 {
        let Reciprocal { factor, shift } = Reciprocal::of(divisor);
        let product = u128::from(number) * u128::from(factor);
        u64::try_from(product >> (64 + shift)).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn product_with_the_reciprocal_is_the_quotient(
            divisor in prop_oneof![3..1000_u64, 3..1_u64 << 63, Just((1 << 63) - 1)],
            number in 0..1_u64 << 63,
            near in -2..3_i64,
        ) {
            let multiple = number - number % divisor;
            let near = multiple.saturating_add_signed(near).min((1 << 63) - 1);
            for number in [number, near, (1 << 63) - 1] {
                if !divisor.is_power_of_two() {
                    prop_assert_eq!(divided(number, divisor), number / divisor);
                }
            }
        }
    }
}
