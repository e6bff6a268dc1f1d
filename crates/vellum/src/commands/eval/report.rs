//! A report as one page of HTML: nothing is loaded from elsewhere, and it needs no script.

use super::compare::{lines, title};
use super::svg::{self, Bar, Difference};
use askama::Template;
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::eval::compare::{Change, Decision};
use vellum_rag::eval::experiment::{ANSWERS, Experiment, Part};
use vellum_rag::eval::stats::Estimate;

/// Queries in a table.
const SHOWN: usize = 15;

/// Metrics that are drawn, with their titles.
const DRAWN: [(&str, &str); 9] = [
    ("ndcg_at_10", "nDCG@10"),
    ("recall_at_5", "Recall@5"),
    ("recall_at_100", "Recall@100"),
    ("mrr_at_10", "MRR@10"),
    ("map_at_100", "MAP@100"),
    ("evidence_recall_at_5", "Evidence recall@5"),
    ("evidence_precision_at_5", "Evidence precision@5"),
    ("evidence_iou_at_5", "Evidence IoU@5"),
    ("page_hit_rate_at_5", "Page hit rate@5"),
];
/// What is drawn of answers.
const DRAWN_OF_ANSWERS: [(&str, &str); 5] = [
    ("answered", "Answered"),
    ("first_citation_holds", "First citation holds"),
    ("first_citation_overlaps", "First citation touches"),
    ("any_citation_overlaps", "Any citation touches"),
    ("refused", "Rightly refused"),
];

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    it: &'a Experiment,
    title: String,
    made: String,
    setup: Vec<(String, String)>,
    modes: Vec<&'static str>,
    means: String,
    answers: Option<String>,
    latencies: Vec<(&'static str, String)>,
    worst: Option<Worst>,
    tables: Vec<Table>,
    comparison: Option<Comparison<'a>>,
}

/// Queries that did worst.
struct Worst {
    part: &'static str,
    metric: &'static str,
    rows: Vec<WorstRow>,
}

struct WorstRow {
    query: String,
    text: String,
    value: String,
    first: String,
}

/// All metrics of a part.
struct Table {
    part: &'static str,
    rows: Vec<(String, Estimate)>,
}

struct Comparison<'a> {
    with: String,
    verdict: &'static str,
    sentence: String,
    metric: &'a str,
    part: &'static str,
    forest: String,
    waterfall: String,
    gained: Vec<&'a Change>,
    lost: Vec<&'a Change>,
}

/// Returns the page of an experiment, with what sets it apart from another one where that was asked.
///
/// # Errors
/// `Internal` when the page cannot be made.
pub(super) fn page(it: &Experiment, decision: Option<&Decision<'_>>) -> Result<String> {
    let modes: Vec<&'static str> =
        it.parts().map(|(name, _)| name).filter(|name| *name != ANSWERS).collect();
    let page = Page {
        title: title(it),
        made: vellum_http::utc(it.created_ms),
        setup: setup(it),
        means: svg::bars("Means by mode with 95% intervals", &groups(it, &modes, &DRAWN)),
        answers: it.parts.contains_key(ANSWERS).then(|| {
            let groups = groups(it, &[ANSWERS], &DRAWN_OF_ANSWERS);
            svg::bars("Answers with 95% intervals", &groups)
        }),
        latencies: it
            .parts()
            .filter_map(|(name, part)| Some((name, latency(name, part)?)))
            .collect(),
        worst: worst(it),
        tables: it.parts().map(all_metrics).collect(),
        comparison: decision.map(comparison),
        modes,
        it,
    };
    page.render()
        .map_err(|error| Error::new(ErrorKind::Internal, "render the report").with_source(error))
}

fn setup(it: &Experiment) -> Vec<(String, String)> {
    let value = serde_json::to_value(&it.setup).unwrap_or_default();
    let mut rows = Vec::new();
    flatten("", &value, &mut rows);
    rows
}

fn flatten(path: &str, value: &serde_json::Value, rows: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, rows);
            }
        }
        serde_json::Value::String(text) => rows.push((path.to_owned(), text.clone())),
        other => rows.push((path.to_owned(), other.to_string())),
    }
}

fn groups<'a>(
    it: &Experiment,
    parts: &[&'a str],
    metrics: &[(&str, &str)],
) -> Vec<(String, Vec<Bar<'a>>)> {
    let bars = |metric: &str| -> Vec<Bar<'a>> {
        let bar = |name: &&'a str| {
            let Estimate { mean, low, high, .. } = *it.parts.get(*name)?.means.get(metric)?;
            Some(Bar { class: name, name, mean, low, high })
        };
        parts.iter().filter_map(bar).collect()
    };
    let group = |(metric, title): &(&str, &str)| ((*title).to_owned(), bars(metric));
    metrics.iter().map(group).filter(|(_, bars)| !bars.is_empty()).collect()
}

fn latency(name: &'static str, part: &Part) -> Option<String> {
    let at = part.latency()?;
    let marks = [("p50", at.p50), ("p95", at.p95), ("p99", at.p99)];
    let title = format!("Search times, {name}");
    Some(svg::histogram(&title, name, &part.latencies_ms, &marks))
}

/// Returns the queries that the first mode served worst.
fn worst(it: &Experiment) -> Option<Worst> {
    const METRIC: &str = "ndcg_at_10";
    let (name, part) = it.parts().find(|(_, part)| part.values.contains_key(METRIC))?;
    let mut values: Vec<(usize, f64)> = part.values[METRIC]
        .iter()
        .enumerate()
        .filter_map(|(index, value)| Some((index, (*value)?)))
        .filter(|(_, value)| *value < 1.0)
        .collect();
    values.sort_by(|a, b| a.1.total_cmp(&b.1));
    let row = |(index, value): (usize, f64)| WorstRow {
        query: it.queries[index].id.clone(),
        text: it.queries[index].text.clone(),
        value: format!("{value:.3}"),
        first: part.first.get(index).map(|first| first.join(", ")).unwrap_or_default(),
    };
    let rows = values.into_iter().take(SHOWN).map(row).collect();
    Some(Worst { part: name, metric: "nDCG@10", rows })
}

fn all_metrics((part, of): (&'static str, &Part)) -> Table {
    // By name, then by cut-off as a number.
    let key = |metric: &str| match metric.split_once("_at_") {
        Some((name, k)) => (name.to_owned(), k.parse().unwrap_or(0u32)),
        None => (metric.to_owned(), 0),
    };
    let mut rows: Vec<(String, Estimate)> =
        of.means.iter().map(|(metric, mean)| (metric.clone(), *mean)).collect();
    rows.sort_by_key(|(metric, _)| key(metric));
    Table { part, rows }
}

fn comparison<'a>(decision: &'a Decision<'a>) -> Comparison<'a> {
    let rows: Vec<Difference> = lines(decision)
        .map(|(part, metric, it)| Difference {
            label: format!("{part} {metric}"),
            class: match (it.is_better(), it.is_worse()) {
                (true, _) => "good",
                (_, true) => "bad",
                _ => "even",
            },
            value: it.difference,
            low: it.low,
            high: it.high,
            p: it.p,
        })
        .collect();
    let changes: Vec<(String, f64)> = decision
        .changes
        .iter()
        .map(|change| (format!("{} {}", change.query, change.text), change.difference()))
        .collect();
    Comparison {
        with: title(decision.a),
        verdict: decision.verdict(),
        sentence: decision.sentence(),
        metric: decision.metric,
        part: decision.part,
        forest: svg::forest("Differences with 95% intervals", &rows),
        waterfall: svg::waterfall("Difference of each query", &changes, decision.paired.n),
        gained: decision.gained().take(SHOWN).collect(),
        lost: decision.lost().take(SHOWN).collect(),
    }
}
