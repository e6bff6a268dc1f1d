//! Fusion of the ranked lists of several legs into one.

use std::collections::HashMap;
pub use vellum_core::collection::Fusion;
use vellum_core::ids::ChunkId;
use vellum_core::ports::ScoredId;

/// Rank constant of reciprocal rank fusion; the paper's value. Larger flattens the top ranks.
const RRF_K: f32 = 60.0;

/// The results of one leg.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    /// How much it counts, >= 0.
    pub weight: f32,
    /// Highest score there can be, such as 1 for a cosine; `None` where only the best result gives a measure.
    pub ceiling: Option<f32>,
    /// Best first.
    pub results: &'a [ScoredId],
}

/// Fuses lists and returns `(id, score)`, best first.
///
/// Ties are ordered by id, so the result does not depend on the order of arrival. Empty in, empty out.
pub fn fuse(fusion: Fusion, lists: &[List<'_>]) -> Vec<(ChunkId, f32)> {
    let mut scores: HashMap<ChunkId, f32> = HashMap::new();
    for list in lists {
        let results = list.results;
        let parts: Vec<f32> = match fusion {
            Fusion::Score => shares(list),
            Fusion::Rank => (1..=results.len()).map(|rank| 1.0 / (RRF_K + rank as f32)).collect(),
        };
        for (result, part) in results.iter().zip(parts) {
            *scores.entry(result.id).or_default() += list.weight * part;
        }
    }
    if fusion == Fusion::Score {
        let total: f32 = lists.iter().map(|list| list.weight).sum();
        scores.values_mut().for_each(|score| *score /= total.max(f32::MIN_POSITIVE));
    }
    let mut fused: Vec<_> = scores.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    fused
}

/// Returns scores as shares of the ceiling, else of the best, from 0 for a score of 0 or less to 1.
///
/// Both scores have a meaningful zero (a right angle, no common word). A cosine also has a meaningful height, so
/// that the best of a leg that found nothing close does not weigh like the best of one that did. Compare
/// Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", 2023.
fn shares(list: &List<'_>) -> Vec<f32> {
    let best = list.results.iter().map(|result| result.score).fold(0.0, f32::max);
    let whole = list.ceiling.unwrap_or(best).max(f32::MIN_POSITIVE);
    list.results.iter().map(|result| (result.score.max(0.0) / whole).min(1.0)).collect()
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

    /// Fuses a leg of cosines and a leg without a ceiling.
    fn fused(fusion: Fusion, dense: &[(u8, f32)], sparse: &[(u8, f32)]) -> Vec<(ChunkId, f32)> {
        let (dense, sparse) = (list(dense), list(sparse));
        let lists = [
            List { weight: 1.0, ceiling: Some(1.0), results: &dense },
            List { weight: 1.0, ceiling: None, results: &sparse },
        ];
        fuse(fusion, &lists)
    }

    #[test]
    fn agreement_beats_a_single_top_rank() {
        for (fusion, best) in [(Fusion::Rank, 2.0 / 62.0), (Fusion::Score, (0.8 + 6.0 / 7.0) / 2.0)]
        {
            let fused = fused(fusion, &[(1, 0.9), (2, 0.8)], &[(3, 7.0), (2, 6.0)]);
            assert_eq!(fused[0].0, ChunkId::from_bytes([2; 16]));
            assert!((fused[0].1 - best).abs() < 1e-6, "{fused:?}");
        }
    }

    #[test]
    fn a_leg_that_found_nothing_close_does_not_win() {
        let fused = fused(Fusion::Score, &[(1, 0.3), (2, 0.29)], &[(3, 40.0), (4, 20.0)]);
        assert_eq!(fused[0], (ChunkId::from_bytes([3; 16]), 0.5));
        assert_eq!(fused[1].0, ChunkId::from_bytes([4; 16]));
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
                let a = List { weight: 1.0, ceiling: Some(1.0), results: &a };
                let b = List { weight: 0.5, ceiling: None, results: &b };
                let one = fuse(fusion, &[a, b]);
                prop_assert_eq!(&one, &fuse(fusion, &[b, a]));
                prop_assert!(one.iter().all(|(_, score)| (0.0..=1.0 + 1e-6).contains(score)));
            }
        }
    }
}
