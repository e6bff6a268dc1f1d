//! Reciprocal rank fusion of ranked lists.

use std::collections::HashMap;
use vellum_core::ids::ChunkId;

/// Rank constant of reciprocal rank fusion; the paper's value. Larger flattens the top ranks.
const RRF_K: f32 = 60.0;

/// Fuses ranked lists of `(weight, ids best first)` and returns `(id, score)`, best first.
///
/// `score = sum over lists of weight / (60 + rank)`, rank from 1. Ties are ordered by id, so the
/// result does not depend on the order of arrival. Empty in, empty out; never fails.
/// Source: Cormack, Clarke and Buettcher, SIGIR 2009; the weights are an addition.
pub fn reciprocal_rank<'a>(
    lists: impl IntoIterator<Item = (f32, &'a [ChunkId])>,
) -> Vec<(ChunkId, f32)> {
    let mut scores: HashMap<ChunkId, f32> = HashMap::new();
    for (weight, ids) in lists {
        for (index, id) in ids.iter().enumerate() {
            *scores.entry(*id).or_default() += weight / (RRF_K + index as f32 + 1.0);
        }
    }
    let mut fused: Vec<_> = scores.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: u8) -> ChunkId {
        ChunkId::from_bytes([n; 16])
    }

    #[test]
    fn agreement_beats_a_single_top_rank() {
        let (dense, sparse) = ([id(1), id(2)], [id(3), id(2)]);
        let fused = reciprocal_rank([(1.0, &dense[..]), (1.0, &sparse[..])]);
        assert_eq!(fused[0].0, id(2));
        assert!((fused[0].1 - 2.0 / 62.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn order_of_lists_is_irrelevant(a in prop::collection::vec(0u8..20, 0..10), b in prop::collection::vec(0u8..20, 0..10)) {
            let unique = |list: Vec<u8>| {
                let mut seen = Vec::new();
                for n in list { if !seen.contains(&id(n)) { seen.push(id(n)); } }
                seen
            };
            let (a, b) = (unique(a), unique(b));
            prop_assert_eq!(
                reciprocal_rank([(1.0, &a[..]), (0.5, &b[..])]),
                reciprocal_rank([(0.5, &b[..]), (1.0, &a[..])])
            );
        }
    }
}
