//! What a mean over queries is worth: bootstrap intervals, paired comparison, percentiles.
//!
//! The queries of a dataset are taken as a sample of what users ask. A bootstrap draws as many queries again, with
//! replacement, many times over; how the mean varies among these draws is how it would vary among such samples. The
//! draws are seeded, so the same values always give the same interval.
//!
//! Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 (percentile intervals) and 16
//! (tests); for paired comparison of systems over queries: Sakai, SIGIR 2006.

use serde::{Deserialize, Serialize};

/// Draws for an interval of a mean. There are a hundred and more of them in an evaluation.
const INTERVAL_DRAWS: usize = 2_000;
/// Draws of a comparison, which a decision hangs on.
const PAIRED_DRAWS: usize = 10_000;
/// Seed of the draws. Another gives slightly other intervals.
const SEED: u64 = 0x5eed;
/// Share of draws that an interval leaves out at either end: 95% are inside.
const TAIL: f64 = 0.025;
/// Above this, a difference is taken for chance.
pub const SIGNIFICANCE: f64 = 0.05;

/// A mean over queries with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Number of queries.
    pub n: usize,
}

/// Returns the mean of `values` with its interval; all 0 when there are none.
pub fn estimate(values: &[f64]) -> Estimate {
    let (low, high) = interval(&mut draws(values, INTERVAL_DRAWS));
    Estimate { mean: mean(values), low, high, n: values.len() }
}

/// How the values of two systems differ on the same queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Number of queries.
    pub n: usize,
    /// Mean of the first system.
    pub a: f64,
    /// Mean of the second system.
    pub b: f64,
    /// `b - a`; positive when the second is better.
    pub difference: f64,
    /// Lower end of the difference's 95% interval.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
    /// Two-sided p-value: how often a difference of the other sign, or none, is drawn. Below 0.05 just where the
    /// interval leaves 0 out.
    pub p: f64,
    /// Queries on which the second is better.
    pub wins: usize,
    /// Queries on which it is worse.
    pub losses: usize,
    /// Queries on which they are equal.
    pub ties: usize,
}

impl Paired {
    /// Whether the second system is worse, and not by chance.
    pub fn is_worse(&self) -> bool {
        self.difference < 0.0 && self.p < SIGNIFICANCE
    }

    /// Whether the second system is better, and not by chance.
    pub fn is_better(&self) -> bool {
        self.difference > 0.0 && self.p < SIGNIFICANCE
    }
}

/// Compares the values of two systems, query by query. The slices have equal lengths.
pub fn paired(a: &[f64], b: &[f64]) -> Paired {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let count = |test: fn(f64) -> bool| differences.iter().filter(|d| test(**d)).count();
    let (wins, losses) = (count(|d| d > SAME), count(|d| d < -SAME));
    let mut drawn = draws(&differences, PAIRED_DRAWS);
    let share = |test: fn(f64) -> bool| {
        let seen = drawn.iter().filter(|d| test(**d)).count();
        // One more than was seen: that a chance is nil cannot be seen in any number of draws.
        (seen + 1) as f64 / (drawn.len() + 1) as f64
    };
    let p = (2.0 * share(|d| d <= SAME).min(share(|d| d >= -SAME))).min(1.0);
    let (low, high) = interval(&mut drawn);
    Paired {
        n: differences.len(),
        a: mean(a),
        b: mean(b),
        difference: mean(&differences),
        low,
        high,
        p,
        wins,
        losses,
        ties: differences.len() - wins - losses,
    }
}

/// Values that differ by less are the same: they are stored with six decimals.
pub const SAME: f64 = 1e-9;

/// Returns the value below which the share `q` in [0, 1] of `sorted` lies, between neighbours in proportion; 0 of nothing.
///
/// NumPy's default (`linear`); Hyndman and Fan, 1996, definition 7.
pub fn percentile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// Returns the mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Returns the means of `count` draws of as many values as there are.
fn draws(values: &[f64], count: usize) -> Vec<f64> {
    if values.is_empty() {
        return vec![0.0; count];
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    let one = |_| {
        let sum: f64 = (0..values.len()).map(|_| values[random.usize(..values.len())]).sum();
        sum / values.len() as f64
    };
    (0..count).map(one).collect()
}

fn interval(draws: &mut [f64]) -> (f64, f64) {
    draws.sort_unstable_by(f64::total_cmp);
    (percentile(draws, TAIL), percentile(draws, 1.0 - TAIL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_those_of_numpy() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (q, expect) in [(0.0, 1.0), (0.5, 3.0), (0.95, 7.4), (1.0, 8.0)] {
            assert!((percentile(&sorted, q) - expect).abs() < 1e-12, "{q}");
        }
        assert_eq!((percentile(&[], 0.5), percentile(&[3.0], 0.99)), (0.0, 3.0));
    }

    #[test]
    fn an_interval_is_as_wide_as_theory_says() {
        // A share of 0.5 among 400: the standard error is sqrt(0.25 / 400) = 0.025, the interval 1.96 of it.
        let values: Vec<f64> = (0..400).map(|n| f64::from(n % 2)).collect();
        let Estimate { mean, low, high, n } = estimate(&values);
        assert_eq!((mean, n), (0.5, 400));
        assert!((low - 0.451).abs() < 0.004 && (high - 0.549).abs() < 0.004, "{low} {high}");
        assert_eq!(estimate(&values), estimate(&values));
        assert_eq!(estimate(&[]), Estimate { mean: 0.0, low: 0.0, high: 0.0, n: 0 });
    }

    #[test]
    fn pairs_show_what_means_hide() {
        // Every query gains a little: far less than queries differ, and yet certain.
        let a: Vec<f64> = (0..60).map(|n| f64::from(n % 10) / 10.0).collect();
        let b: Vec<f64> = a.iter().enumerate().map(|(i, x)| x + 0.01 * (i % 3) as f64).collect();
        let better = paired(&a, &b);
        assert!(better.is_better() && !better.is_worse(), "{better:?}");
        assert_eq!((better.wins, better.losses, better.ties), (40, 0, 20));
        assert!(estimate(&b).low < better.a, "the intervals of the means overlap");
        let worse = paired(&b, &a);
        assert!(worse.is_worse(), "{worse:?}");
        let same = paired(&a, &a);
        assert_eq!((same.p, same.ties, same.low, same.high), (1.0, 60, 0.0, 0.0));
        assert_eq!(paired(&[], &[]).p, 1.0);
    }

    #[test]
    fn chance_is_not_taken_for_a_difference() {
        // 200 comparisons of two samples of one kind: about 5% are called different, as promised.
        let mut random = fastrand::Rng::with_seed(7);
        let mut called = 0;
        for _ in 0..200 {
            let mut sample = || (0..50).map(|_| random.f64()).collect::<Vec<_>>();
            let (a, b) = (sample(), sample());
            called += usize::from(paired(&a, &b).p < SIGNIFICANCE);
        }
        assert!((2..=22).contains(&called), "{called}");
    }

    proptest! {
        #[test]
        fn p_and_interval_agree(pairs in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0), 2..40)) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let found = paired(&a, &b);
            prop_assert!(found.low <= found.high);
            prop_assert_eq!(found.wins + found.losses + found.ties, found.n);
            // At the very border the two count draws a little differently.
            if found.p < SIGNIFICANCE - 0.002 {
                prop_assert!(found.low > 0.0 || found.high < 0.0);
            }
            if found.p > SIGNIFICANCE + 0.002 {
                prop_assert!(found.low <= SAME && found.high >= -SAME);
            }
        }
    }
}
