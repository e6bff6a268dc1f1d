//! Ranking metrics of one query, as trec_eval defines them.
//!
//! A ranking holds document ids, best first, without repeats, in the order of [`order`]. A grade above 0 is relevant.
//! Every metric is in [0, 1], higher is better, and is 0 for a query to which nothing is relevant. Checked against
//! trec_eval itself (`pytrec_eval`) in `tests/it/trec.rs`.

use std::collections::{BTreeMap, HashMap};

/// Relevance of documents for one query: grade by document id; grades above 0 are relevant.
pub type Judgements = HashMap<String, u32>;

/// Values by name, such as `ndcg_at_10`.
pub type Values = BTreeMap<String, f64>;

/// Sorts scored documents as trec_eval does: best first, of equal scores the greater id first.
///
/// A run file that an outsider scores then gives the same figures, whatever order its lines have.
pub fn order(documents: &mut [(String, f32)]) {
    documents.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
}

/// Returns every metric at every cut-off: `ndcg`, `recall`, `precision`, `map`, `mrr`, `hit_rate`.
pub fn score(ranking: &[String], judgements: &Judgements, cutoffs: &[usize]) -> Values {
    type Metric = fn(&[String], &Judgements, usize) -> f64;
    const METRICS: [(&str, Metric); 6] = [
        ("ndcg", ndcg),
        ("recall", recall),
        ("precision", precision),
        ("map", average_precision),
        ("mrr", reciprocal_rank),
        ("hit_rate", hit),
    ];
    let mut values = Values::new();
    for (name, metric) in METRICS {
        for k in cutoffs {
            values.insert(format!("{name}_at_{k}"), metric(ranking, judgements, *k));
        }
    }
    values
}

/// Returns nDCG at `k`: gain = grade, discount = log2(rank + 1), against the ideal order.
///
/// trec_eval: `ndcg_cut`. Source: Jaervelin and Kekaelaeinen, TOIS 2002; linear gain as in trec_eval.
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

/// Returns the share of relevant documents that are among the first `k`. trec_eval: `recall`.
pub fn recall(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    share(found(ranking, judgements, k), relevant(judgements))
}

/// Returns the share of the first `k` that is relevant, places that nothing was found for counted as irrelevant.
/// trec_eval: `P`.
pub fn precision(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    share(found(ranking, judgements, k), k)
}

/// Returns the mean, over all relevant documents, of the precision at the rank of each; 0 for those that are not among
/// the first `k`. trec_eval: `map_cut`.
pub fn average_precision(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    let mut seen = 0;
    let mut sum = 0.0;
    for (index, id) in ranking.iter().take(k).enumerate() {
        if is_relevant(id, judgements) {
            seen += 1;
            sum += share(seen, index + 1);
        }
    }
    if seen == 0 { 0.0 } else { sum / relevant(judgements) as f64 }
}

/// Returns 1 / rank of the first relevant document among the first `k`. trec_eval: `recip_rank`, of a run cut at `k`.
pub fn reciprocal_rank(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    let first = ranking.iter().take(k).position(|id| is_relevant(id, judgements));
    first.map_or(0.0, |index| share(1, index + 1))
}

/// Returns 1 when a relevant document is among the first `k`. trec_eval: `success`.
pub fn hit(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    if found(ranking, judgements, k) > 0 { 1.0 } else { 0.0 }
}

fn found(ranking: &[String], judgements: &Judgements, k: usize) -> usize {
    ranking.iter().take(k).filter(|id| is_relevant(id, judgements)).count()
}

fn relevant(judgements: &Judgements) -> usize {
    judgements.values().filter(|grade| **grade > 0).count()
}

fn is_relevant(id: &str, judgements: &Judgements) -> bool {
    judgements.get(id).is_some_and(|grade| *grade > 0)
}

/// Returns `part / whole`; 0 of nothing.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
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
        near(precision(&ranking, &judgements, 2), 0.5);
        near(precision(&ranking, &judgements, 10), 0.2);
        near(average_precision(&ranking, &judgements, 10), (0.5 + 0.5) / 3.0);
        near(average_precision(&ranking, &judgements, 3), 0.5 / 3.0);
        near(reciprocal_rank(&ranking, &judgements, 10), 0.5);
        near(reciprocal_rank(&ranking, &judgements, 1), 0.0);
        near(hit(&ranking, &judgements, 1), 0.0);
        near(hit(&ranking, &judgements, 2), 1.0);
    }

    #[test]
    fn nothing_relevant_scores_nothing() {
        let ranking = ["a".to_owned()];
        for judgements in [Judgements::new(), [("a".to_owned(), 0)].into()] {
            let values = score(&ranking, &judgements, &[1, 10]);
            assert_eq!(values.len(), 12);
            assert!(values.values().all(|value| *value == 0.0), "{values:?}");
        }
    }

    #[test]
    fn equal_scores_are_ordered_as_trec_eval_does() {
        let mut documents = [("a", 0.5), ("c", 0.5), ("b", 0.9)].map(|(id, s)| (id.to_owned(), s));
        order(&mut documents);
        assert_eq!(documents.map(|(id, _)| id), ["b", "c", "a"]);
    }
}
