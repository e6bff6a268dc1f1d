//! When a trial is given up: it is behind the median of those that finished.
//!
//! A trial is asked the queries of the study in one order, and looked at after each rung of them. All trials see the same
//! queries up to a rung, so their means there compare. The rule is the median rule of Vizier (Golovin et al., KDD 2017),
//! which Katib has as `medianstop`, with its `min_trials_required` = 3; the mean over the queries so far takes the place of
//! both the best value and the running average, since a mean over more queries is the better estimate, not the larger one.

/// Finished trials that a rung needs before it stops any.
const MIN_FINISHED: usize = 3;
/// Queries of the first rung, at least: with fewer a mean says little.
const LEAST_QUERIES: usize = 16;

/// Returns how many queries a trial was asked at each rung, ascending; the last is all `n`.
pub fn rungs(n: usize) -> Vec<usize> {
    let halved = [8, 4, 2].map(|part| n / part).into_iter();
    halved.filter(|queries| *queries >= LEAST_QUERIES).chain([n]).collect()
}

/// Returns whether a trial with mean `value` at a rung is to be stopped; `finished` are the means of the finished trials
/// at that rung, in any order. Higher is better, and equal to the median goes on.
pub fn is_behind(value: f64, finished: &[f64]) -> bool {
    finished.len() >= MIN_FINISHED && value < median(finished)
}

/// Returns the median; of an even number the mean of the middle two. NaN for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_end_with_all() {
        assert_eq!(rungs(800), [100, 200, 400, 800]);
        assert_eq!(rungs(100), [25, 50, 100]);
        assert_eq!(rungs(31), [31]);
        assert_eq!(rungs(1), [1]);
    }

    #[test]
    fn below_the_median_of_three_is_behind() {
        assert!(!is_behind(0.0, &[1.0, 1.0]));
        assert!(is_behind(0.49, &[0.9, 0.5, 0.1]));
        assert!(!is_behind(0.5, &[0.9, 0.5, 0.1]));
        assert!(is_behind(0.49, &[0.9, 0.6, 0.4, 0.1]));
    }
}
