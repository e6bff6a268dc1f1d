//! Trials that no other beats in every respect.

/// What a trial reached, each respect so that higher is better: negate what shall be small.
pub type Point = [f64; 3];

/// Returns whether `a` is nowhere worse than `b` and somewhere better.
pub fn dominates(a: &Point, b: &Point) -> bool {
    let pairs = || a.iter().zip(b);
    pairs().all(|(a, b)| a >= b) && pairs().any(|(a, b)| a > b)
}

/// Returns the indices of the points that no other dominates, ascending; equal points stay together. O(n^2).
pub fn front(points: &[Point]) -> Vec<usize> {
    let is_free = |index: &usize| !points.iter().any(|other| dominates(other, &points[*index]));
    (0..points.len()).filter(is_free).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_trade_keeps_both() {
        let points = [[0.9, -5.0, -1.0], [0.8, -2.0, -1.0], [0.8, -3.0, -1.0], [0.9, -5.0, -1.0]];
        assert_eq!(front(&points), [0, 1, 3]);
        assert!(front(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn the_front_covers_the_rest(points in proptest::collection::vec(
            proptest::array::uniform3((0_i8..5).prop_map(f64::from)), 1..30)) {
            let front = front(&points);
            prop_assert!(!front.is_empty());
            for (index, point) in points.iter().enumerate() {
                let beaten = front.iter().any(|best| dominates(&points[*best], point));
                prop_assert_eq!(beaten, !front.contains(&index));
            }
        }
    }
}
