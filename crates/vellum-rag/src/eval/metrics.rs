//! Ranking metrics, as trec_eval defines them.

use std::collections::HashMap;

/// Relevance of documents for one query: grade by document id; grades above 0 are relevant.
pub type Judgements = HashMap<String, u32>;

/// Returns nDCG at `k`: gain = grade, discount = log2(rank + 1), against the ideal order.
///
/// In [0, 1], higher is better; 0 when nothing is relevant. `ranking` holds document ids, best first,
/// without repeats. Source: Jaervelin and Kekaelaeinen, TOIS 2002; linear gain as in trec_eval.
pub fn ndcg(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    let dcg = |grades: &mut dyn Iterator<Item = u32>| {
        grades.take(k).enumerate().map(|(i, g)| f64::from(g) / (i as f64 + 2.0).log2()).sum::<f64>()
    };
    let mut ideal: Vec<u32> = judgements.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = dcg(&mut ideal.into_iter());
    if best == 0.0 {
        return 0.0;
    }
    dcg(&mut ranking.iter().map(|id| judgements.get(id).copied().unwrap_or(0))) / best
}

/// Returns the share of relevant documents among the first `k`; 0 when nothing is relevant.
pub fn recall(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    let relevant = judgements.values().filter(|grade| **grade > 0).count();
    let found = ranking.iter().take(k).filter(|id| is_relevant(id, judgements)).count();
    if relevant == 0 { 0.0 } else { found as f64 / relevant as f64 }
}

/// Returns 1 / rank of the first relevant document among the first `k`; 0 when there is none.
pub fn reciprocal_rank(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    ranking
        .iter()
        .take(k)
        .position(|id| is_relevant(id, judgements))
        .map_or(0.0, |index| 1.0 / (index as f64 + 1.0))
}

fn is_relevant(id: &str, judgements: &Judgements) -> bool {
    judgements.get(id).is_some_and(|grade| *grade > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed_values() {
        let judgements: Judgements =
            [("a", 2), ("b", 1), ("c", 0), ("d", 1)].map(|(id, g)| (id.to_owned(), g)).into();
        let ranking: Vec<String> = ["c", "a", "x", "b"].map(str::to_owned).into();
        let near = |x: f64, y: f64| assert!((x - y).abs() < 1e-6, "{x} {y}");
        // (2/log2(3) + 1/log2(5)) / (2 + 1/log2(3) + 1/log2(4))
        near(ndcg(&ranking, &judgements, 10), 0.540_585_8);
        near(recall(&ranking, &judgements, 10), 2.0 / 3.0);
        near(recall(&ranking, &judgements, 2), 1.0 / 3.0);
        near(reciprocal_rank(&ranking, &judgements, 10), 0.5);
        near(reciprocal_rank(&ranking, &judgements, 1), 0.0);
        near(ndcg(&ranking, &Judgements::new(), 10), 0.0);
    }
}
