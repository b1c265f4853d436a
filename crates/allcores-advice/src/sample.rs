//! Robust statistics of a few measured values: one hiccup of the machine must not decide.

/// The value below which the share `at` of the sorted values lies, between two by proportion; 0 of
/// none.
#[must_use]
pub fn quantile(sorted: &[f64], at: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = at.clamp(0.0, 1.0) * last as f64;
    let below = place as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The middle value; 0 of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(&in_order(values), 0.5)
}

/// The median of the distances from the median.
#[must_use]
pub fn median_deviation(values: &[f64]) -> f64 {
    let middle = median(values);
    median(&values.iter().map(|value| (value - middle).abs()).collect::<Vec<_>>())
}

fn in_order(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// What is known of a quantity that was measured some times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// How often.
    pub count: u64,
    /// What a sum of many is made of.
    pub mean: f64,
    /// The middle one.
    pub median: f64,
    /// A tenth is below.
    pub low: f64,
    /// A tenth is above.
    pub high: f64,
    /// The largest.
    pub largest: f64,
    /// The usual distance from the median as a share of it, as a standard deviation would be if
    /// the values were normal.
    pub spread: f64,
}

/// A median deviation times this is a standard deviation, where values are normal.
const DEVIATIONS: f64 = 1.4826;

impl Sample {
    /// Of those values.
    #[must_use]
    pub fn of(values: &[f64]) -> Sample {
        let sorted = in_order(values);
        if sorted.is_empty() {
            return Sample::default();
        }
        let middle = quantile(&sorted, 0.5);
        let deviation = DEVIATIONS * median_deviation(&sorted);
        Sample {
            count: sorted.len() as u64,
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            median: middle,
            low: quantile(&sorted, 0.1),
            high: quantile(&sorted, 0.9),
            largest: quantile(&sorted, 1.0),
            spread: if middle > 0.0 { deviation / middle } else { 0.0 },
        }
    }

    /// All values so many times as large.
    #[must_use]
    pub fn scaled(&self, times: f64) -> Sample {
        Sample {
            mean: self.mean * times,
            median: self.median * times,
            low: self.low * times,
            high: self.high * times,
            largest: self.largest * times,
            ..*self
        }
    }

    /// How far the mean may be off, as a share of it: less the more was measured.
    #[must_use]
    pub fn doubt(&self) -> f64 {
        let count = self.count as f64;
        match self.count {
            0 => 1.0,
            // A spread of one or two says nothing.
            1 | 2 => 0.5 / count,
            _ => self.spread / count.sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hiccup_moves_the_mean_but_not_the_median_nor_the_spread() {
        let sample = Sample::of(&[10.0, 10.0, 11.0, 9.0, 10.0, 5_000.0]);
        assert!(sample.mean > 800.0);
        assert!((sample.median - 10.0).abs() < 1e-9);
        assert!(sample.spread < 0.1);
        assert!((sample.largest - 5_000.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_measured_is_all_doubt() {
        let sample = Sample::of(&[]);
        assert_eq!(sample, Sample::default());
        assert!((sample.doubt() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn quantiles_lie_between_two_values_by_proportion() {
        assert!((quantile(&[1.0, 2.0, 3.0], 0.25) - 1.5).abs() < 1e-9);
        assert!((quantile(&[7.0], 0.9) - 7.0).abs() < 1e-9);
        assert!((median(&[3.0, 1.0, 2.0, 10.0]) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn doubt_falls_with_the_root_of_the_count() {
        let values: Vec<f64> = (0..400).map(|each| f64::from(each % 10)).collect();
        let (few, many) = (Sample::of(&values[..100]), Sample::of(&values));
        assert!((few.doubt() / many.doubt() - 2.0).abs() < 1e-6);
    }

    #[test]
    fn values_that_are_no_numbers_are_left_out() {
        assert_eq!(Sample::of(&[f64::NAN, 4.0, f64::INFINITY]), Sample::of(&[4.0]));
    }
}
