//! Whether one experiment is better than another, and which queries make the difference.

use super::summary::table;
use crate::args;
use crate::print::{self, Outcome};
use comfy_table::CellAlignment;
use serde_json::{Value, json};
use vellum_core::Result;
use vellum_rag::eval::compare::{Change, Decision};
use vellum_rag::eval::experiment::{Experiment, PARTS};
use vellum_rag::eval::stats::Paired;

/// Queries that are shown on either side.
const SHOWN: usize = 5;
/// Queries that `--json` has on either side.
const LISTED: usize = 100;

/// Whether the second experiment holds: not worse, or by chance only.
pub(crate) fn outcome(decision: &Decision<'_>) -> Outcome {
    Outcome::of(!decision.paired.is_worse())
}

/// Returns the parts and metrics that are worth a line: of the usual cut-offs, those that changed, and the one that
/// decides.
pub(super) fn lines<'a>(
    decision: &'a Decision<'_>,
) -> impl Iterator<Item = (&'static str, &'a str, &'a Paired)> {
    PARTS.into_iter().filter_map(|part| Some((part, decision.differences.get(part)?))).flat_map(
        move |(part, metrics)| {
            let usual = |metric: &str| match metric.split_once("_at_") {
                None => true,
                Some((_, "5")) => metric.starts_with("evidence") || metric.starts_with("page"),
                Some(("map", "100") | ("recall", "100")) => true,
                Some((name, "10")) => matches!(name, "ndcg" | "recall" | "mrr"),
                Some(_) => false,
            };
            let decides = move |metric: &str| part == decision.part && metric == decision.metric;
            let shown = metrics.iter().filter(move |(metric, it)| {
                decides(metric) || (usual(metric) && it.wins + it.losses > 0)
            });
            shown.map(move |(metric, paired)| (part, metric.as_str(), paired))
        },
    )
}

/// Returns what `--json` prints.
pub(crate) fn to_json(decision: &Decision<'_>) -> Value {
    let about = |it: &Experiment| json!({ "id": it.id, "name": it.name, "version": it.version, "setup_digest": it.setup_digest });
    json!({
        "a": about(decision.a),
        "b": about(decision.b),
        "dataset": decision.b.dataset.name,
        "part": decision.part,
        "metric": decision.metric,
        "verdict": decision.verdict(),
        "difference": decision.paired,
        "differences": decision.differences,
        "gained": decision.gained().take(LISTED).collect::<Vec<_>>(),
        "lost": decision.lost().take(LISTED).collect::<Vec<_>>(),
    })
}

/// Prints the comparison for people.
pub(crate) fn tell(decision: &Decision<'_>) -> Result<()> {
    print::line(format_args!("{} compared with {}", title(decision.b), title(decision.a)))?;
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
    for (part, metric, it) in lines(decision) {
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
        ("gained most", decision.gained().take(SHOWN).collect()),
        ("lost most", decision.lost().take(SHOWN).collect()),
    ];
    for (side, changes) in sides {
        if changes.is_empty() {
            continue;
        }
        print::line(format_args!("\n{side} ({} of {}):", decision.metric, decision.part))?;
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
    print::line(format_args!("\n{}", decision.sentence()))
}

/// Returns the name of a part.
pub(super) fn name(part: args::Part) -> &'static str {
    match part {
        args::Part::Hybrid => "hybrid",
        args::Part::Dense => "dense",
        args::Part::Sparse => "sparse",
        args::Part::Answers => "answers",
    }
}

/// Returns an experiment as it is called.
pub(crate) fn title(it: &Experiment) -> String {
    match &it.name {
        Some(name) => format!("{name} ({})", it.id),
        None => it.id.clone(),
    }
}
