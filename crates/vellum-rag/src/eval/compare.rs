//! Compares two experiments on the same dataset, query by query.

use super::experiment::{Experiment, PARTS, Part};
use super::stats::{self, Paired};
use serde::Serialize;
use std::collections::BTreeMap;
use vellum_core::{Error, ErrorKind, Result};

/// Differences by part and metric, of what both experiments have.
pub type Differences = BTreeMap<String, BTreeMap<String, Paired>>;

/// A query on which two experiments differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Id.
    pub query: String,
    /// The words.
    pub text: String,
    /// Value in the first experiment.
    pub a: f64,
    /// Value in the second.
    pub b: f64,
    /// First documents in the first experiment.
    pub first_a: Vec<String>,
    /// First documents in the second.
    pub first_b: Vec<String>,
}

impl Change {
    /// Returns how much the query gained.
    pub fn difference(&self) -> f64 {
        self.b - self.a
    }
}

/// A metric that is no longer what it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Fall {
    /// The part.
    pub part: String,
    /// The metric.
    pub metric: String,
    /// What it was, and its interval.
    pub was: stats::Estimate,
    /// How it compares now.
    pub paired: Paired,
    /// Queries that lost, the most first.
    pub lost: Vec<Change>,
}

/// Two experiments with what sets them apart, and the metric that decides.
#[derive(Debug)]
pub struct Decision<'a> {
    /// The one that is compared with.
    pub a: &'a Experiment,
    /// The one that may be better or worse.
    pub b: &'a Experiment,
    /// The part that the metric is of.
    pub part: &'static str,
    /// The metric that decides.
    pub metric: &'a str,
    /// How every metric differs.
    pub differences: Differences,
    /// Queries on which the deciding metric differs, gains first.
    pub changes: Vec<Change>,
    /// How the deciding metric differs.
    pub paired: Paired,
}

impl<'a> Decision<'a> {
    /// Compares two experiments; `metric` of `part` decides, by default of the first part that both have.
    ///
    /// # Errors
    /// `Conflict` when the datasets differ, `Invalid` when both do not have the metric.
    pub fn between(
        a: &'a Experiment,
        b: &'a Experiment,
        metric: &'a str,
        part: Option<&str>,
    ) -> Result<Self> {
        let differences = compare(a, b)?;
        let has = |part: &&str| {
            differences.get(*part).is_some_and(|metrics| metrics.contains_key(metric))
        };
        let asked = |name: &&str| part.is_none_or(|part| part == *name);
        let Some(part) = PARTS.into_iter().filter(asked).find(has) else {
            let mut known: Vec<&str> = differences
                .values()
                .flat_map(|metrics| metrics.keys())
                .map(String::as_str)
                .collect();
            known.sort_unstable();
            known.dedup();
            let message = format!("both experiments do not have a metric `{metric}` of that part");
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_hint(format!("they have {}", known.join(", "))));
        };
        let paired = differences[part][metric];
        let changes = changes(a, b, part, metric);
        Ok(Self { a, b, part, metric, differences, changes, paired })
    }

    /// Returns `better`, `worse`, or `undecided` where the difference may be chance.
    pub fn verdict(&self) -> &'static str {
        match (self.paired.is_better(), self.paired.is_worse()) {
            (true, _) => "better",
            (_, true) => "worse",
            _ => "undecided",
        }
    }

    /// Returns the queries that gained, the most first.
    pub fn gained(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.difference() > 0.0)
    }

    /// Returns the queries that lost, the most first.
    pub fn lost(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().rev().filter(|change| change.difference() < 0.0)
    }

    /// Returns the decision in words.
    pub fn sentence(&self) -> String {
        let Self { part, metric, paired: it, .. } = self;
        let found = format!(
            "{metric} of {part} {:+.4} (95% interval {:+.4} to {:+.4}, p = {:.4}, {} queries)",
            it.difference, it.low, it.high, it.p, it.n
        );
        match self.verdict() {
            "better" => format!("Better: {found}."),
            "worse" => format!("Worse: {found}."),
            _ => format!("Undecided: {found}; such a difference may be chance."),
        }
    }
}

/// Compares every metric that both experiments have; `b - a`.
///
/// # Errors
/// `Conflict` when they were made on different datasets or have nothing in common.
pub fn compare(a: &Experiment, b: &Experiment) -> Result<Differences> {
    must_match(a, b)?;
    let mut differences = Differences::new();
    for (name, part_a) in &a.parts {
        let Some(part_b) = b.parts.get(name) else { continue };
        for metric in part_a.values.keys().filter(|metric| part_b.values.contains_key(*metric)) {
            let (of_a, of_b) = pairs(a, part_a, b, part_b, metric)
                .into_iter()
                .map(|(_, a, b)| (a, b))
                .unzip::<_, _, Vec<_>, Vec<_>>();
            let paired = stats::paired(&of_a, &of_b);
            differences.entry(name.clone()).or_default().insert(metric.clone(), paired);
        }
    }
    if differences.is_empty() {
        let message = format!("experiments `{}` and `{}` measured nothing alike", a.id, b.id);
        return Err(Error::new(ErrorKind::Conflict, message)
            .with_hint("run both with the same `--mode` and `--k`"));
    }
    Ok(differences)
}

/// Fails unless both experiments were made on the same dataset.
fn must_match(a: &Experiment, b: &Experiment) -> Result<()> {
    if a.dataset.digest == b.dataset.digest {
        return Ok(());
    }
    let message = format!(
        "experiment `{}` was made on dataset `{}` ({}), `{}` on `{}` ({}): their queries or judgements differ",
        a.id, a.dataset.name, a.dataset.digest, b.id, b.dataset.name, b.dataset.digest
    );
    Err(Error::new(ErrorKind::Conflict, message)
        .with_hint("measure both on the same dataset and compare again"))
}

/// Returns `(index in a, value in a, value in b)` of the queries that have a value in both.
fn pairs(
    a: &Experiment,
    part_a: &Part,
    b: &Experiment,
    part_b: &Part,
    metric: &str,
) -> Vec<(usize, f64, f64)> {
    let empty = Vec::new();
    let values_b = part_b.values.get(metric).unwrap_or(&empty);
    let by_id: BTreeMap<&str, Option<f64>> =
        b.queries.iter().map(|query| query.id.as_str()).zip(values_b.iter().copied()).collect();
    let values_a = part_a.values.get(metric).unwrap_or(&empty);
    let both = |(index, (query, value)): (usize, (&super::experiment::Asked, &Option<f64>))| {
        Some((index, (*value)?, (*by_id.get(query.id.as_str())?)?))
    };
    a.queries.iter().zip(values_a).enumerate().filter_map(both).collect()
}

/// Returns the queries on which a metric of a part differs, the greatest gain first and the greatest loss last; ties by
/// the order of the dataset. Empty when one of the experiments does not have it.
pub fn changes(a: &Experiment, b: &Experiment, part: &str, metric: &str) -> Vec<Change> {
    let (Some(part_a), Some(part_b)) = (a.parts.get(part), b.parts.get(part)) else {
        return Vec::new();
    };
    let at_b: BTreeMap<&str, usize> =
        b.queries.iter().enumerate().map(|(index, query)| (query.id.as_str(), index)).collect();
    let first = |part: &Part, index: usize| part.first.get(index).cloned().unwrap_or_default();
    let mut changes: Vec<Change> = pairs(a, part_a, b, part_b, metric)
        .into_iter()
        .filter(|(_, a, b)| (b - a).abs() > stats::SAME)
        .map(|(index, value_a, value_b)| {
            let query = &a.queries[index];
            Change {
                query: query.id.clone(),
                text: query.text.clone(),
                a: value_a,
                b: value_b,
                first_a: first(part_a, index),
                first_b: first(part_b, at_b[query.id.as_str()]),
            }
        })
        .collect();
    changes.sort_by(|x, y| y.difference().total_cmp(&x.difference()));
    changes
}

/// Returns the metrics of `baseline` that `now` does not hold: whose mean is below the baseline's interval, or that are
/// worse on the same queries, and not by chance.
///
/// The interval tells what another sample of questions could have given, and is wide. The paired comparison asks about
/// these very questions, and is far sharper.
///
/// # Errors
/// `Conflict` when the datasets differ, or `now` lacks a metric.
pub fn falls(baseline: &Experiment, now: &Experiment) -> Result<Vec<Fall>> {
    let differences = compare(baseline, now)?;
    let mut falls = Vec::new();
    for (name, part) in &baseline.parts {
        for (metric, was) in &part.means {
            let found = differences.get(name).and_then(|metrics| metrics.get(metric));
            let paired = *found.ok_or_else(|| {
                let message = format!("experiment `{}` has no {metric} of {name}", now.id);
                Error::new(ErrorKind::Conflict, message)
            })?;
            if paired.b >= was.low && !paired.is_worse() {
                continue;
            }
            let mut lost = changes(baseline, now, name, metric);
            lost.retain(|change| change.difference() < 0.0);
            lost.reverse();
            let (part, metric) = (name.clone(), metric.clone());
            falls.push(Fall { part, metric, was: *was, paired, lost });
        }
    }
    Ok(falls)
}

#[cfg(test)]
mod tests {
    use super::super::experiment::{About, Asked, Setup};
    use super::*;
    use crate::app::Settings;
    use vellum_core::collection::{IndexSettings, SplitterSettings};

    /// An experiment on queries `(id, value)` of one metric.
    fn experiment(id: &str, values: &[(&str, Option<f64>)]) -> Experiment {
        let known: Vec<f64> = values.iter().filter_map(|(_, value)| *value).collect();
        let part = Part {
            means: [("mrr_at_10".to_owned(), stats::estimate(&known))].into(),
            values: [("mrr_at_10".to_owned(), values.iter().map(|(_, v)| *v).collect())].into(),
            first: values.iter().map(|(query, _)| vec![format!("{id} {query}")]).collect(),
            latencies_ms: Vec::new(),
        };
        let asked = |(query, _): &(&str, Option<f64>)| Asked {
            id: (*query).to_owned(),
            text: format!("{query}?"),
        };
        Experiment {
            format: 1,
            id: id.to_owned(),
            name: None,
            version: String::new(),
            created_ms: 0,
            dataset: About {
                name: "set".to_owned(),
                digest: "0123".to_owned(),
                documents: 9,
                queries: known.len(),
            },
            subject: None,
            setup: Setup {
                index: IndexSettings {
                    converter: String::new(),
                    splitter: SplitterSettings::new(256, 0),
                    embedder: String::new(),
                    embedder_digest: String::new(),
                    dim: 1,
                },
                language: None,
                retrieval: Settings::default().retrieval,
            },
            setup_digest: String::new(),
            chunks: 9,
            language: None,
            queries: values.iter().map(asked).collect(),
            parts: [("hybrid".to_owned(), part)].into(),
        }
    }

    #[test]
    fn queries_are_compared_by_id_and_ordered_by_gain() {
        let a = experiment(
            "a",
            &[
                ("q1", Some(1.0)),
                ("q2", Some(0.5)),
                ("q3", None),
                ("q4", Some(0.2)),
                ("q5", Some(1.0)),
            ],
        );
        let b = experiment(
            "b",
            &[
                ("q5", Some(1.0)),
                ("q4", Some(1.0)),
                ("q3", Some(1.0)),
                ("q2", Some(1.0)),
                ("q1", Some(0.25)),
            ],
        );
        let found: Vec<String> = changes(&a, &b, "hybrid", "mrr_at_10")
            .iter()
            .map(|it| format!("{} {} {} {:?} {:?}", it.text, it.a, it.b, it.first_a, it.first_b))
            .collect();
        let expect = [
            r#"q4? 0.2 1 ["a q4"] ["b q4"]"#,
            r#"q2? 0.5 1 ["a q2"] ["b q2"]"#,
            r#"q1? 1 0.25 ["a q1"] ["b q1"]"#,
        ];
        assert_eq!(found, expect);
        let paired = compare(&a, &b).unwrap()["hybrid"]["mrr_at_10"];
        assert_eq!((paired.n, paired.wins, paired.losses, paired.ties), (4, 2, 1, 1));
        assert!(changes(&a, &b, "dense", "mrr_at_10").is_empty());
    }

    #[test]
    fn other_datasets_and_other_metrics_are_not_compared() {
        let a = experiment("a", &[("q1", Some(1.0))]);
        let mut b = a.clone();
        b.dataset.digest = "4567".to_owned();
        let error = compare(&a, &b).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains("0123") && error.message().contains("4567"));
        let mut b = a.clone();
        b.parts = [("dense".to_owned(), Part::default())].into();
        assert!(compare(&a, &b).unwrap_err().message().contains("nothing alike"));
    }

    #[test]
    fn a_fall_is_a_mean_below_the_interval_or_a_sure_loss() {
        let names: Vec<String> = (0..60).map(|n| format!("q{n:02}")).collect();
        let with = |id, value: &dyn Fn(usize) -> f64| {
            let values: Vec<_> =
                names.iter().enumerate().map(|(n, name)| (name.as_str(), Some(value(n)))).collect();
            experiment(id, &values)
        };
        let is_even = |n: usize| n.is_multiple_of(2);
        let baseline = with("baseline", &|n| if is_even(n) { 1.0 } else { 0.2 });
        assert_eq!(falls(&baseline, &baseline).unwrap(), []);
        let better = with("better", &|n| if is_even(n) { 1.0 } else { 0.5 });
        assert_eq!(falls(&baseline, &better).unwrap(), []);
        // One query alone may be chance.
        let chance = with("chance", &|n| if is_even(n) && n > 0 { 1.0 } else { 0.2 });
        assert_eq!(falls(&baseline, &chance).unwrap(), []);
        // Inside the interval of the mean, and yet worse for each query.
        let sure = with("sure", &|n| if is_even(n) { 0.95 } else { 0.2 });
        let fell = falls(&baseline, &sure).unwrap();
        assert!(fell[0].paired.b > fell[0].was.low, "{fell:?}");
        assert_eq!((fell[0].lost.len(), fell[0].lost[0].query.as_str()), (30, "q58"));
        let low = with("low", &|_| 0.2);
        assert!(falls(&baseline, &low).unwrap()[0].paired.b < fell[0].was.low);
    }

    #[test]
    fn an_experiment_is_read_as_it_was_written() {
        let written =
            experiment("a", &[("q1", Some(1.0)), ("q2", None)]).named(Some("n".to_owned()));
        assert_eq!(Experiment::from_json(&written.to_json()).unwrap(), written);
        assert_eq!(written.id.len(), 8);
        let newer = br#"{"format":2,"unknown":[]}"#;
        assert_eq!(Experiment::from_json(newer).unwrap_err().kind(), ErrorKind::TooNew);
        assert_eq!(Experiment::from_json(b"{}").unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
