//! What a study comes down to: the trades, what mattered, and what trials cost.

use super::parameters::{Assignment, Value};
use super::pareto;
use super::record::{Cost, End, Measured, Study, Trial};
use super::stop::median;
use std::collections::{BTreeMap, BTreeSet};

/// Trials that the share of a parameter needs, at least.
const LEAST_TRIALS: usize = 8;
/// Groups that the values of a number are put into.
const GROUPS: usize = 4;

/// Returns the finished trials that no other beats in quality, latency and size at once, best quality first.
pub fn front(study: &Study) -> Vec<usize> {
    let mut finished: Vec<(usize, &Measured)> =
        study.finished().map(|(number, _, measured)| (number, measured)).collect();
    finished.sort_by(|a, b| b.1.value.total_cmp(&a.1.value).then(a.0.cmp(&b.0)));
    let points: Vec<pareto::Point> = finished
        .iter()
        .map(|(_, measured)| {
            [measured.value, -measured.latency_p95_ms, -(measured.index_bytes as f64)]
        })
        .collect();
    pareto::front(&points).into_iter().map(|index| finished[index].0).collect()
}

/// Returns, for each parameter, the share of the trials' variance in quality that it explains by itself, largest first;
/// empty with few trials.
///
/// The share is that of a one-way analysis of variance (eta squared), numbers put into four groups of equal size, trials
/// in which the parameter did not count into one more. In [0, 1]. A hint and no more: it sees no interplay, a sampler that
/// looks where it is good skews it, and with few trials it is too high.
pub fn importance(study: &Study) -> Vec<(String, f64)> {
    let observed: Vec<(&Assignment, f64)> = study
        .trials
        .iter()
        .skip(1)
        .filter_map(|trial| Some((&trial.settings, value(trial)?)))
        .collect();
    if observed.len() < LEAST_TRIALS {
        return Vec::new();
    }
    let paths: BTreeSet<&String> =
        observed.iter().flat_map(|(settings, _)| settings.keys()).collect();
    let mut shares: Vec<(String, f64)> =
        paths.into_iter().map(|path| (path.clone(), share(path, &observed))).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    shares
}

fn value(trial: &Trial) -> Option<f64> {
    match trial.end.as_ref()? {
        End::Done(measured) => Some(measured.value),
        End::Stopped { value, .. } => Some(*value),
        End::Failed { .. } => None,
    }
}

fn share(path: &str, observed: &[(&Assignment, f64)]) -> f64 {
    let mut numbers: Vec<f64> =
        observed.iter().filter_map(|(settings, _)| number(settings.get(path)?)).collect();
    numbers.sort_by(f64::total_cmp);
    let group = |settings: &Assignment| match settings.get(path) {
        None => "absent".to_owned(),
        Some(value) => match number(value) {
            None => value.to_string(),
            Some(number) => {
                let below = numbers.partition_point(|other| *other < number);
                (below * GROUPS / numbers.len()).to_string()
            }
        },
    };
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (settings, value) in observed {
        groups.entry(group(settings)).or_default().push(*value);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let all: Vec<f64> = observed.iter().map(|(_, value)| *value).collect();
    let centre = mean(&all);
    let total: f64 = all.iter().map(|value| (value - centre).powi(2)).sum();
    let between: f64 = groups.values().map(|g| g.len() as f64 * (mean(g) - centre).powi(2)).sum();
    if total > 0.0 { (between / total).clamp(0.0, 1.0) } else { 0.0 }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Whole(whole) => Some(*whole as f64),
        Value::Number(number) => Some(*number),
        Value::Word(_) | Value::Flag(_) => None,
    }
}

/// What trials cost, in seconds, beside a full ingest of the corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TrialCost {
    /// The first ingest of the study, and the share of its chunks that had to be embedded: 1 with cold caches. `None`
    /// where an earlier run had begun it.
    pub ingest: Option<(f64, f64)>,
    /// Median of the trials that made an index, its queries included: seconds, and share of chunks embedded.
    pub chunking: Option<(f64, f64)>,
    /// Number of these trials.
    pub n_chunking: usize,
    /// Median of the trials over an index that was there.
    pub retrieval: Option<f64>,
    /// Number of these trials.
    pub n_retrieval: usize,
}

impl TrialCost {
    /// Returns what the finished trials of a study cost.
    pub fn of(study: &Study) -> Self {
        let done: Vec<(usize, &Cost, u64)> = study
            .finished()
            .map(|(number, _, measured)| (number, &measured.cost, measured.chunks))
            .collect();
        let share = |cost: &Cost, chunks: u64| cost.embedded as f64 / chunks.max(1) as f64;
        let first = done.iter().find(|(number, ..)| *number == 0);
        let ingest = first.and_then(|(_, cost, n)| Some((cost.index_s?, share(cost, *n).min(1.0))));
        let later = || done.iter().filter(|(number, ..)| *number > 0);
        let (mut seconds, mut shares, mut retrieval) = (Vec::new(), Vec::new(), Vec::new());
        for (_, cost, chunks) in later() {
            match cost.index_s {
                Some(index_s) => {
                    seconds.push(index_s + cost.queries_s);
                    shares.push(share(cost, *chunks));
                }
                None => retrieval.push(cost.queries_s),
            }
        }
        let typical = |values: &[f64]| (!values.is_empty()).then(|| median(values));
        Self {
            ingest,
            chunking: typical(&seconds).zip(typical(&shares)),
            n_chunking: seconds.len(),
            retrieval: typical(&retrieval),
            n_retrieval: retrieval.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings, value, latency, size, and seconds of the index.
    type Row<'a> = (&'a [(&'a str, Value)], f64, f64, u64, Option<f64>);

    fn study(trials: &[Row<'_>]) -> Study {
        let trial = |(settings, value, latency_p95_ms, index_bytes, index_s): &Row<'_>| {
            let cost = Cost { index_s: *index_s, embedded: 50, queries_s: 0.5, queries: 10 };
            Trial {
                settings: settings.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
                rungs: BTreeMap::new(),
                end: Some(End::Done(Measured {
                    value: *value,
                    latency_p95_ms: *latency_p95_ms,
                    index_bytes: *index_bytes,
                    chunks: 100,
                    cost,
                })),
            }
        };
        Study { trials: trials.iter().map(trial).collect(), ..Study::default() }
    }

    #[test]
    fn the_front_trades_quality_for_speed_and_size() {
        let study = study(&[
            (&[], 0.7, 5.0, 10, None),
            (&[], 0.9, 9.0, 20, None),
            (&[], 0.8, 9.0, 20, None),
            (&[], 0.8, 4.0, 20, None),
        ]);
        assert_eq!(front(&study), [1, 3, 0]);
    }

    #[test]
    fn what_matters_explains_the_variance() {
        let word = |fusion: &str| ("fusion", Value::Word(fusion.to_owned()));
        let settings: Vec<Vec<(&str, Value)>> = (0..16)
            .map(|n| {
                vec![
                    word(if n % 2 == 0 { "a" } else { "b" }),
                    ("noise", Value::Whole(n / 2 % 4)),
                    ("half", Value::Number(n as f64)),
                ]
            })
            .collect();
        let trials: Vec<_> = settings
            .iter()
            .enumerate()
            .map(|(n, settings)| (settings.as_slice(), (n % 2) as f64, 1.0, 1, None))
            .collect();
        let all: Vec<Row<'_>> = [[(&[] as &[_], 0.0, 1.0, 1, None)].as_slice(), &trials].concat();
        let shares = importance(&study(&all));
        assert_eq!(shares[0], ("fusion".to_owned(), 1.0));
        assert!(shares[1].1 < 1e-9 && shares[2].1 < 1e-9, "{shares:?}");
        assert!(importance(&study(&all[..6])).is_empty());
    }

    #[test]
    fn costs_are_told_apart() {
        let found = TrialCost::of(&study(&[
            (&[], 0.7, 5.0, 10, Some(20.0)),
            (&[], 0.9, 9.0, 20, Some(4.0)),
            (&[], 0.8, 9.0, 20, None),
        ]));
        let expect = TrialCost {
            ingest: Some((20.0, 0.5)),
            chunking: Some((4.5, 0.5)),
            n_chunking: 1,
            retrieval: Some(0.5),
            n_retrieval: 1,
        };
        assert_eq!(found, expect);
    }
}
