//! Diversification by maximal marginal relevance.

use vellum_core::vector::Embedding;

/// Returns the indices of `top_k` candidates, ordered by maximal marginal relevance.
///
/// `candidates` are `(relevance, embedding)`, relevance on the scale of a cosine. `lambda` in [0, 1]; 1 is
/// pure relevance. Embeddings: unit-norm, equal dimensions. Ties keep the incoming order. Greedy,
/// O(top_k * n * dim). Empty in, empty out; never fails.
/// Source: Carbonell and Goldstein, SIGIR 1998; both similarities are cosine.
pub fn select(candidates: &[(f32, &Embedding)], lambda: f32, top_k: usize) -> Vec<usize> {
    let mut redundancy = vec![f32::NEG_INFINITY; candidates.len()];
    let mut chosen: Vec<usize> = Vec::with_capacity(top_k.min(candidates.len()));
    while chosen.len() < top_k.min(candidates.len()) {
        let marginal = |index: usize| {
            let penalty = redundancy[index].max(0.0);
            lambda * candidates[index].0 - (1.0 - lambda) * penalty
        };
        let Some(best) = (0..candidates.len())
            .filter(|index| !chosen.contains(index))
            .reduce(|best, next| if marginal(next) > marginal(best) { next } else { best })
        else {
            break;
        };
        chosen.push(best);
        for (index, similarity) in redundancy.iter_mut().enumerate() {
            *similarity = similarity.max(candidates[index].1.cosine(candidates[best].1));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_copy_gives_way_to_something_new() {
        let v = |x: f32, y: f32| Embedding::normalised(vec![x, y]).unwrap();
        let (first, copy, other) = (v(1.0, 0.0), v(1.0, 0.01), v(0.6, 0.8));
        let candidates = [(0.9, &first), (0.89, &copy), (0.7, &other)];
        assert_eq!(select(&candidates, 0.5, 2), [0, 2]);
        assert_eq!(select(&candidates, 1.0, 3), [0, 1, 2]);
        assert!(select(&[], 0.5, 3).is_empty());
    }
}
