//! Between which bounds a float lies, where that is known: then it is no NaN and no infinity.
//!
//! Known are literals, floats made of ints, and what is computed of such within one expression. Each
//! operation gives the float nearest to the exact result, so that what grows with its operands does so
//! after rounding too, and bounds are computed as the values are.

use crate::ir::Binary;

/// All floats from `low` to `high`, both included and finite. Zeros of both signs are equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Span {
    /// None if a bound isn't finite.
    pub(crate) fn new(low: f64, high: f64) -> Option<Self> {
        (low.is_finite() && high.is_finite() && low <= high).then_some(Self { low, high })
    }

    /// The one number there is, if there is one.
    pub(crate) fn constant(self) -> Option<f64> {
        (self.low == self.high).then_some(self.low)
    }

    pub(crate) fn contains_zero(self) -> bool {
        self.low <= 0.0 && 0.0 <= self.high
    }

    /// Of a function that grows with its operand.
    pub(crate) fn map(self, function: impl Fn(f64) -> f64) -> Option<Self> {
        Self::new(function(self.low), function(self.high))
    }

    pub(crate) fn negated(self) -> Option<Self> {
        Self::new(-self.high, -self.low)
    }

    pub(crate) fn absolute(self) -> Option<Self> {
        let (low, high) = (self.low.abs(), self.high.abs());
        let least = if self.contains_zero() { 0.0 } else { low.min(high) };
        Self::new(least, low.max(high))
    }

    /// Of `a operation b`, if that is so where the bounds meet.
    pub(crate) fn binary(operation: Binary, a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let (a, b) = (a?, b?);
        let result = |a: f64, b: f64| match operation {
            Binary::Add => a + b,
            Binary::Subtract => a - b,
            Binary::Multiply => a * b,
            Binary::Divide if b != 0.0 => a / b,
            _ => f64::NAN,
        };
        if operation == Binary::Divide && b.contains_zero() {
            return None;
        }
        let all = [a.low, a.high].map(|a| [b.low, b.high].map(|b| result(a, b)));
        let all = all.as_flattened();
        if !all.iter().all(|value| value.is_finite()) {
            return None;
        }
        let low = all.iter().copied().fold(f64::INFINITY, f64::min);
        Self::new(low, all.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finite() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>().prop_filter("finite", |value| value.is_finite()),
            -100.0..100.0_f64,
            Just(0.0),
            Just(-0.0),
        ]
    }

    fn around(value: f64, one: f64, other: f64) -> Span {
        Span::new(value.min(one).min(other), value.max(one).max(other)).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn results_lie_within_their_bounds(
            a in finite(), b in finite(), bounds in [finite(), finite(), finite(), finite()],
        ) {
            let (one, other) = (around(a, bounds[0], bounds[1]), around(b, bounds[2], bounds[3]));
            let within = |span: Option<Span>, value: f64| {
                span.is_none_or(|span| span.low <= value && value <= span.high)
            };
            for (operation, value) in [
                (Binary::Add, a + b), (Binary::Subtract, a - b), (Binary::Multiply, a * b),
                (Binary::Divide, a / b),
            ] {
                prop_assert!(within(Span::binary(operation, Some(one), Some(other)), value));
            }
            prop_assert!(within(one.negated(), -a));
            prop_assert!(within(one.absolute(), a.abs()));
            prop_assert!(within(one.map(f64::trunc), a.trunc()));
        }
    }
}
