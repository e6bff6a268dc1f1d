//! Whether one experiment is better than another, and which queries make the difference.

use super::summary::table;
use crate::args;
use crate::print::{self, Outcome};
use comfy_table::CellAlignment;
use serde_json::{Value, json};
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::eval::compare::{self, Change, Differences};
use vellum_rag::eval::experiment::{Experiment, PARTS};
use vellum_rag::eval::stats::Paired;

/// Queries that are shown on either side.
const SHOWN: usize = 5;
/// Queries that `--json` has on either side.
const LISTED: usize = 100;

/// Two experiments with what sets them apart, and the metric that decides.
pub(super) struct Decision<'a> {
    pub(super) a: &'a Experiment,
    pub(super) b: &'a Experiment,
    pub(super) part: &'static str,
    pub(super) metric: &'a str,
    pub(super) differences: Differences,
    /// Queries on which the deciding metric differs, gains first.
    pub(super) changes: Vec<Change>,
    /// The deciding metric.
    pub(super) paired: Paired,
}

impl<'a> Decision<'a> {
    /// Compares two experiments; `metric` of `part` decides, by default of the first part that both have.
    ///
    /// # Errors
    /// `Conflict` when the datasets differ, `Invalid` when both do not have the metric.
    pub(super) fn between(
        a: &'a Experiment,
        b: &'a Experiment,
        metric: &'a str,
        part: Option<args::Part>,
    ) -> Result<Self> {
        let differences = compare::compare(a, b)?;
        let has = |part: &&str| {
            differences.get(*part).is_some_and(|metrics| metrics.contains_key(metric))
        };
        let part = match part {
            None => PARTS.into_iter().find(has),
            Some(part) => Some(name(part)).filter(has),
        };
        let Some(part) = part else {
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
        let changes = compare::changes(a, b, part, metric);
        Ok(Self { a, b, part, metric, differences, changes, paired })
    }

    /// Whether the second experiment holds: not worse, or by chance only.
    pub(super) fn outcome(&self) -> Outcome {
        Outcome::of(!self.paired.is_worse())
    }

    /// Returns `better`, `worse`, or `undecided` where the difference may be chance.
    pub(super) fn verdict(&self) -> &'static str {
        match (self.paired.is_better(), self.paired.is_worse()) {
            (true, _) => "better",
            (_, true) => "worse",
            _ => "undecided",
        }
    }

    /// Returns the queries that gained, the most first.
    pub(super) fn gained(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.difference() > 0.0)
    }

    /// Returns the queries that lost, the most first.
    pub(super) fn lost(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().rev().filter(|change| change.difference() < 0.0)
    }

    /// Returns the parts and metrics that are worth a line: of the usual cut-offs, those that changed, and the one that
    /// decides.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&'static str, &str, &Paired)> {
        PARTS.into_iter().filter_map(|part| Some((part, self.differences.get(part)?))).flat_map(
            move |(part, metrics)| {
                let usual = |metric: &str| match metric.split_once("_at_") {
                    None => true,
                    Some((_, "5")) => metric.starts_with("evidence") || metric.starts_with("page"),
                    Some(("map", "100") | ("recall", "100")) => true,
                    Some((name, "10")) => matches!(name, "ndcg" | "recall" | "mrr"),
                    Some(_) => false,
                };
                let decides = move |metric: &str| part == self.part && metric == self.metric;
                let shown = metrics.iter().filter(move |(metric, it)| {
                    decides(metric) || (usual(metric) && it.wins + it.losses > 0)
                });
                shown.map(move |(metric, paired)| (part, metric.as_str(), paired))
            },
        )
    }

    pub(super) fn to_json(&self) -> Value {
        let about = |it: &Experiment| json!({ "id": it.id, "name": it.name, "version": it.version, "setup_digest": it.setup_digest });
        json!({
            "a": about(self.a),
            "b": about(self.b),
            "dataset": self.b.dataset.name,
            "part": self.part,
            "metric": self.metric,
            "verdict": self.verdict(),
            "difference": self.paired,
            "differences": self.differences,
            "gained": self.gained().take(LISTED).collect::<Vec<_>>(),
            "lost": self.lost().take(LISTED).collect::<Vec<_>>(),
        })
    }

    /// Prints the comparison for people.
    pub(super) fn tell(&self) -> Result<()> {
        print::line(format_args!("{} compared with {}", title(self.b), title(self.a)))?;
        let mut table = table([
            "part",
            "metric",
            "was",
            "is",
            "difference",
            "95% interval",
            "p",
            "won",
            "lost",
            "tied",
        ]);
        for (part, metric, it) in self.lines() {
            table.add_row([
                part.to_owned(),
                metric.to_owned(),
                format!("{:.4}", it.a),
                format!("{:.4}", it.b),
                format!("{:+.4}", it.difference),
                format!("{:+.4} to {:+.4}", it.low, it.high),
                format!("{:.4}", it.p),
                it.wins.to_string(),
                it.losses.to_string(),
                it.ties.to_string(),
            ]);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        print::line(table.trim_fmt())?;
        let sides: [(&str, Vec<&Change>); 2] = [
            ("gained most", self.gained().take(SHOWN).collect()),
            ("lost most", self.lost().take(SHOWN).collect()),
        ];
        for (side, changes) in sides {
            if changes.is_empty() {
                continue;
            }
            print::line(format_args!("\n{side} ({} of {}):", self.metric, self.part))?;
            for change in changes {
                print::line(format_args!(
                    "  {:+.3}  {}  {}",
                    change.difference(),
                    change.query,
                    change.text
                ))?;
                if !change.first_a.is_empty() || !change.first_b.is_empty() {
                    print::line(format_args!("          was: {}", change.first_a.join(", ")))?;
                    print::line(format_args!("          is:  {}", change.first_b.join(", ")))?;
                }
            }
        }
        print::line(format_args!("\n{}", self.sentence()))
    }

    /// Returns the decision in words.
    pub(super) fn sentence(&self) -> String {
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

fn name(part: args::Part) -> &'static str {
    match part {
        args::Part::Hybrid => "hybrid",
        args::Part::Dense => "dense",
        args::Part::Sparse => "sparse",
        args::Part::Answers => "answers",
    }
}

/// Returns an experiment as it is called.
pub(super) fn title(it: &Experiment) -> String {
    match &it.name {
        Some(name) => format!("{name} ({})", it.id),
        None => it.id.clone(),
    }
}
