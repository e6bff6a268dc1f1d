//! Fusion of the ranked lists of several legs into one.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use vellum_core::ids::ChunkId;
use vellum_core::ports::ScoredId;

/// Rank constant of reciprocal rank fusion; the paper's value. Larger flattens the top ranks.
const RRF_K: f32 = 60.0;

/// How lists are fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fusion {
    /// Weighted mean of scores, each list's divided by its best.
    #[default]
    Score,
    /// Weighted reciprocal ranks.
    Rank,
}

/// Fuses lists of `(weight, results best first)` and returns `(id, score)`, best first.
///
/// Ties are ordered by id, so the result does not depend on the order of arrival. Empty in, empty out.
pub fn fuse(fusion: Fusion, lists: &[(f32, &[ScoredId])]) -> Vec<(ChunkId, f32)> {
    let mut scores: HashMap<ChunkId, f32> = HashMap::new();
    for (weight, list) in lists {
        let parts = match fusion {
            Fusion::Score => scaled(list),
            Fusion::Rank => (1..=list.len()).map(|rank| 1.0 / (RRF_K + rank as f32)).collect(),
        };
        for (result, part) in list.iter().zip(parts) {
            *scores.entry(result.id).or_default() += weight * part;
        }
    }
    if fusion == Fusion::Score {
        let total: f32 = lists.iter().map(|(weight, _)| weight).sum();
        scores.values_mut().for_each(|score| *score /= total.max(f32::MIN_POSITIVE));
    }
    let mut fused: Vec<_> = scores.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    fused
}

/// Returns scores as shares of the best, from 0 for a score of 0 or less to 1.
///
/// Both scores have a meaningful zero (a right angle, no common word), so unlike min-max scaling this keeps
/// how far a list's last result is behind its first. Compare Bruch, Gai and Ingber, "An analysis of
/// fusion functions for hybrid retrieval", 2023.
fn scaled(list: &[ScoredId]) -> Vec<f32> {
    let best = list.iter().map(|result| result.score).fold(0.0, f32::max);
    list.iter().map(|r| if best > 0.0 { r.score.max(0.0) / best } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(results: &[(u8, f32)]) -> Vec<ScoredId> {
        results
            .iter()
            .map(|&(n, score)| ScoredId { id: ChunkId::from_bytes([n; 16]), score })
            .collect()
    }

    #[test]
    fn agreement_beats_a_single_top_rank() {
        let (dense, sparse) = (list(&[(1, 0.9), (2, 0.8)]), list(&[(3, 7.0), (2, 6.0)]));
        let lists = [(1.0, &dense[..]), (1.0, &sparse[..])];
        for (fusion, best) in
            [(Fusion::Rank, 2.0 / 62.0), (Fusion::Score, (0.8 / 0.9 + 6.0 / 7.0) / 2.0)]
        {
            let fused = fuse(fusion, &lists);
            assert_eq!(fused[0].0, ChunkId::from_bytes([2; 16]));
            assert!((fused[0].1 - best).abs() < 1e-6, "{fused:?}");
        }
    }

    #[test]
    fn a_clear_winner_of_one_list_stays_first_by_score_only() {
        let (dense, sparse) = (list(&[(1, 0.31), (2, 0.3)]), list(&[(3, 20.0), (2, 4.0)]));
        let lists = [(1.0, &dense[..]), (1.0, &sparse[..])];
        assert_eq!(fuse(Fusion::Rank, &lists)[0].0, ChunkId::from_bytes([2; 16]));
        let by_score = fuse(Fusion::Score, &[(0.5, &dense[..]), (1.5, &sparse[..])]);
        assert_eq!(by_score[0].0, ChunkId::from_bytes([3; 16]));
    }

    proptest! {
        #[test]
        fn order_of_lists_is_irrelevant_and_scores_are_shares(
            a in prop::collection::btree_map(0u8..20, -1.0f32..1.0, 0..10),
            b in prop::collection::btree_map(0u8..20, 0.0f32..30.0, 0..10),
        ) {
            let ranked = |map: std::collections::BTreeMap<u8, f32>| {
                let mut results: Vec<_> = map.into_iter().collect();
                results.sort_by(|x, y| y.1.total_cmp(&x.1));
                list(&results)
            };
            let (a, b) = (ranked(a), ranked(b));
            for fusion in [Fusion::Score, Fusion::Rank] {
                let one = fuse(fusion, &[(1.0, &a[..]), (0.5, &b[..])]);
                prop_assert_eq!(&one, &fuse(fusion, &[(0.5, &b[..]), (1.0, &a[..])]));
                prop_assert!(one.iter().all(|(_, score)| (0.0..=1.0 + 1e-6).contains(score)));
            }
        }
    }
}
