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
    let mut left: Vec<usize> = (0..candidates.len()).collect();
    let mut chosen: Vec<usize> = Vec::with_capacity(top_k.min(candidates.len()));
    while chosen.len() < top_k {
        let marginal = |index: usize| {
            let penalty = redundancy[index].max(0.0);
            lambda * candidates[index].0 - (1.0 - lambda) * penalty
        };
        let better = |best: usize, next: usize| match marginal(left[next]) > marginal(left[best]) {
            true => next,
            false => best,
        };
        let Some(best) = (0..left.len()).reduce(better) else { break };
        let best = left.remove(best);
        chosen.push(best);
        for index in &left {
            let similarity = cosine(candidates[*index].1, candidates[best].1);
            redundancy[*index] = redundancy[*index].max(similarity);
        }
    }
    chosen
}

/// Returns the cosine of unit vectors, summed in lanes: one sum after the other takes ten times as long, and a ranking that
/// is diversified as a whole compares each of its vectors with all others.
fn cosine(a: &Embedding, b: &Embedding) -> f32 {
    const LANES: usize = 16;
    let (a, b) = (a.as_slice().chunks_exact(LANES), b.as_slice().chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    let mut lanes = [0.0; LANES];
    for (a, b) in a.zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + rest
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

    #[test]
    fn lanes_sum_to_the_same() {
        for dim in [1, 15, 16, 17, 384] {
            let vector = |seed: usize| {
                let value = |n: usize| ((n * seed) % 7) as f32 - 2.5;
                Embedding::normalised((0..dim).map(value).collect()).unwrap()
            };
            let (a, b) = (vector(3), vector(5));
            assert!((cosine(&a, &b) - a.cosine(&b)).abs() < 1e-5, "{dim}");
        }
    }
}
