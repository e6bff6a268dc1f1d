//! Compares two experiments on the same dataset, query by query.

use super::experiment::{Experiment, Part};
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
