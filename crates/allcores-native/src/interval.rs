//! Between which bounds an int lies, and where the results of operations lie then.
//!
//! An operation whose exact result may not fit 64 bits has its bounds cut to those: what doesn't fit
//! is left to Python, so nobody sees it. Bounds are for choosing shorter code; they are never wider
//! than 64 bits and may always be wider than the truth.

use crate::ir::Binary;
use crate::types::Type;

/// All ints from `low` to `high`, both included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

impl Interval {
    pub(crate) const ALL: Self = Self { low: i64::MIN, high: i64::MAX };

    /// # Panics
    ///
    /// In debug builds if it would be empty.
    pub(crate) fn new(low: i64, high: i64) -> Self {
        debug_assert!(low <= high, "an interval has at least one number");
        Self { low, high }
    }

    pub(crate) fn exact(value: i64) -> Self {
        Self { low: value, high: value }
    }

    /// What is known of a word by its type alone.
    pub(crate) fn of_word(kind: &Type) -> Self {
        if *kind == Type::Bool { Self::new(0, 1) } else { Self::ALL }
    }

    /// The one number there is, if there is one.
    pub(crate) fn constant(self) -> Option<i64> {
        (self.low == self.high).then_some(self.low)
    }

    pub(crate) fn contains(self, value: i64) -> bool {
        self.low <= value && value <= self.high
    }

    pub(crate) fn is_within(self, low: i64, high: i64) -> bool {
        low <= self.low && self.high <= high
    }

    pub(crate) fn join(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.max(other.high))
    }

    /// What lies in both; if nothing does, the code is never reached and `self` does no harm.
    pub(crate) fn meet(self, other: Self) -> Self {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        if low <= high { Self { low, high } } else { self }
    }

    /// The bounds that `next` has moved go as far as they can, so that looking ends.
    pub(crate) fn widen(self, next: Self) -> Self {
        Self {
            low: if next.low < self.low { i64::MIN } else { self.low },
            high: if next.high > self.high { i64::MAX } else { self.high },
        }
    }

    /// Without what lies outside all multiples of a factor.
    fn multiples(self, factor: i64) -> Self {
        let Some(size) = factor.checked_abs().filter(|size| *size > 0) else { return self };
        let high = self.high.checked_sub(self.high.rem_euclid(size));
        let low = match self.low.rem_euclid(size) {
            0 => Some(self.low),
            rest => self.low.checked_add(size - rest),
        };
        match (low, high) {
            (Some(low), Some(high)) if low <= high => Self { low, high },
            _ => self,
        }
    }

    fn cut((low, high): (i128, i128)) -> Self {
        let cut = |value: i128| {
            let value = value.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            i64::try_from(value).expect("it was clamped")
        };
        Self::new(cut(low), cut(high))
    }

    fn corners(self, other: Self, operation: impl Fn(i128, i128) -> i128) -> (i128, i128) {
        let all = [self.low, self.high]
            .map(|a| [other.low, other.high].map(|b| operation(i128::from(a), i128::from(b))));
        let all = all.as_flattened();
        let least = all.iter().copied().min().expect("four corners");
        (least, all.iter().copied().max().expect("four corners"))
    }
}

/// Where exact results lie, before they are cut; `None` for operations that can't leave 64 bits by
/// being too large, or whose check isn't about size.
pub(crate) fn exact(operation: Binary, a: Interval, b: Interval) -> Option<(i128, i128)> {
    match operation {
        Binary::Add => Some(a.corners(b, |a, b| a + b)),
        Binary::Subtract => Some(a.corners(b, |a, b| a - b)),
        Binary::Multiply => Some(a.corners(b, |a, b| a * b)),
        Binary::ShiftLeft => {
            let count = Interval { low: b.low.clamp(0, 63), high: b.high.clamp(0, 63) };
            Some(a.corners(count, |a, b| a << b))
        }
        _ => None,
    }
}

/// Can the exact result be beyond 64 bits?
pub(crate) fn may_overflow(operation: Binary, a: Interval, b: Interval) -> bool {
    exact(operation, a, b)
        .is_none_or(|(low, high)| low < i128::from(i64::MIN) || high > i128::from(i64::MAX))
}

/// Where the results of an operation on ints lie.
pub(crate) fn binary(operation: Binary, a: Interval, b: Interval) -> Interval {
    if let Some(bounds) = exact(operation, a, b) {
        let all = Interval::cut(bounds);
        return match (operation, a.constant(), b.constant()) {
            (Binary::Multiply, Some(factor), _) | (Binary::Multiply, _, Some(factor)) => {
                all.multiples(factor)
            }
            _ => all,
        };
    }
    let is_below = |value: Interval| value.low >= 0;
    match operation {
        Binary::FloorDivide if b.low >= 1 => Interval::cut(a.corners(b, |a, b| a.div_euclid(b))),
        Binary::FloorDivide => {
            let most = i128::from(a.low).abs().max(i128::from(a.high).abs());
            Interval::cut((-most, most))
        }
        Binary::Modulo if b.low >= 1 && is_below(a) => {
            if a.high < b.low {
                a
            } else {
                Interval::new(0, a.high.min(b.high - 1))
            }
        }
        Binary::Modulo => {
            Interval::new(b.low.saturating_add(1).min(0), b.high.saturating_sub(1).max(0))
        }
        Binary::And if is_below(a) && is_below(b) => Interval::new(0, a.high.min(b.high)),
        Binary::And if is_below(a) => Interval::new(0, a.high),
        Binary::And if is_below(b) => Interval::new(0, b.high),
        Binary::Or | Binary::Xor if is_below(a) && is_below(b) => {
            let bits = 64 - (a.high | b.high).leading_zeros();
            let high = if bits == 63 { i64::MAX } else { (1 << bits) - 1 };
            Interval::new(0, high)
        }
        Binary::ShiftRight => {
            let count = Interval { low: b.low.clamp(0, 63), high: b.high.clamp(0, 63) };
            Interval::cut(a.corners(count, |a, b| a >> b))
        }
        _ => Interval::ALL,
    }
}

/// `-a`
pub(crate) fn negate(a: Interval) -> Interval {
    Interval::cut((-i128::from(a.high), -i128::from(a.low)))
}

/// `~a`
pub(crate) fn invert(a: Interval) -> Interval {
    Interval::new(!a.high, !a.low)
}

/// `abs(a)`
pub(crate) fn absolute(a: Interval) -> Interval {
    let (low, high) = (i128::from(a.low).abs(), i128::from(a.high).abs());
    let least = if a.contains(0) { 0 } else { low.min(high) };
    Interval::cut((least, low.max(high)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn python(operation: Binary, a: i64, b: i64) -> Option<i64> {
        match operation {
            Binary::Add => a.checked_add(b),
            Binary::Subtract => a.checked_sub(b),
            Binary::Multiply => a.checked_mul(b),
            Binary::FloorDivide | Binary::Modulo => {
                let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
                let is_above = rest != 0 && (rest < 0) != (b < 0);
                Some(match operation {
                    Binary::Modulo if is_above => rest + b,
                    Binary::Modulo => rest,
                    _ if is_above => quotient - 1,
                    _ => quotient,
                })
            }
            Binary::ShiftLeft => {
                let count = u32::try_from(b).ok().filter(|&count| count < 64)?;
                i64::try_from(i128::from(a) << count).ok()
            }
            Binary::ShiftRight => u32::try_from(b.min(63)).ok().map(|count| a >> count),
            Binary::And => Some(a & b),
            Binary::Or => Some(a | b),
            Binary::Xor => Some(a ^ b),
            Binary::Divide | Binary::Power => None,
        }
    }

    fn edge() -> impl Strategy<Value = i64> {
        const NEAR: &[i64] = &[0, 1, 2, 63, 64, 1 << 31, 1 << 53, 1 << 62, i64::MAX, i64::MIN];
        prop_oneof![
            (proptest::sample::select(NEAR), -2_i64..3).prop_map(|(a, b)| a.wrapping_add(b)),
            any::<i64>(),
            -70_i64..70,
        ]
    }

    fn around(value: i64, below: i64, above: i64) -> Interval {
        Interval::new(value.min(below), value.max(above))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn results_lie_within_their_bounds(
            code in 0..Binary::ALL.len(), a in edge(), b in edge(), bounds in [edge(), edge(), edge(), edge()],
        ) {
            let operation = Binary::ALL[code];
            let left = around(a, bounds[0], bounds[1]);
            let right = around(b, bounds[2], bounds[3]);
            for (left, right) in [(left, right), (Interval::exact(a), right), (left, Interval::exact(b))] {
                if let Some(result) = python(operation, a, b) {
                    prop_assert!(binary(operation, left, right).contains(result));
                } else if matches!(operation, Binary::Add | Binary::Subtract | Binary::Multiply) {
                    prop_assert!(may_overflow(operation, left, right));
                }
            }
            prop_assert!(invert(left).contains(!a));
            prop_assert!(a.checked_neg().is_none_or(|value| negate(left).contains(value)));
            prop_assert!(a.checked_abs().is_none_or(|value| absolute(left).contains(value)));
        }
    }
}
