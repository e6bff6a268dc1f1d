//! What an experiment comes down to, as text and as JSON.

use crate::commands::job::ago;
use crate::print;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};
use vellum_core::Result;
use vellum_rag::eval::experiment::{ANSWERS, Experiment, Part};

/// Metrics of the table; `--json`, `--csv` and `--report` have all.
const SHOWN: [(&str, &str); 7] = [
    ("ndcg_at_10", "nDCG@10"),
    ("recall_at_5", "recall@5"),
    ("recall_at_10", "recall@10"),
    ("recall_at_100", "recall@100"),
    ("mrr_at_10", "MRR@10"),
    ("map_at_100", "MAP@100"),
    ("precision_at_5", "P@5"),
];
/// Metrics of the second table, for datasets that know where evidence stands.
const SHOWN_OF_SPANS: [(&str, &str); 4] = [
    ("evidence_recall_at_5", "evidence recall@5"),
    ("evidence_precision_at_5", "precision@5"),
    ("evidence_iou_at_5", "IoU@5"),
    ("page_hit_rate_at_5", "page hit@5"),
];

/// Prints experiments, one a line.
pub(super) fn list(experiments: &[Experiment], json: bool) -> Result<()> {
    if json {
        let list: Vec<Value> = experiments.iter().map(to_json).collect();
        return print::json(&json!({ "experiments": list }));
    }
    if experiments.is_empty() {
        print::note("no experiments; `vellum eval --dataset DIR` makes one");
        return Ok(());
    }
    let mut table = table([
        "ID",
        "NAME",
        "MADE",
        "DATASET",
        "COLLECTION",
        "VERSION",
        "QUERIES",
        "PART",
        "nDCG@10",
        "SETUP",
    ]);
    for it in experiments {
        let best = it.parts().find_map(|(name, part)| Some((name, part.means.get("ndcg_at_10")?)));
        table.add_row([
            it.id.clone(),
            it.name.clone().unwrap_or_default(),
            ago(it.created_ms),
            it.dataset.name.clone(),
            it.subject.as_ref().map(|subject| subject.collection.to_string()).unwrap_or_default(),
            it.subject.as_ref().map(|subject| subject.version.clone()).unwrap_or_default(),
            it.dataset.queries.to_string(),
            best.map(|(name, _)| name.to_owned()).unwrap_or_default(),
            best.map(|(_, mean)| format!("{:.4}", mean.mean)).unwrap_or_default(),
            it.setup_digest.clone(),
        ]);
    }
    print::line(table.trim_fmt())
}

/// Prints an experiment that was made before.
pub(super) fn show(experiment: &Experiment, json: bool) -> Result<()> {
    if json { print::json(&to_json(experiment)) } else { tell(experiment) }
}

/// Prints an experiment for people.
pub(super) fn tell(it: &Experiment) -> Result<()> {
    let name = it.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let of = it.subject.as_ref().map(|it| format!(" of {}, version {}", it.collection, it.version));
    print::line(format_args!(
        "{}{}: {} documents, {} queries, {} chunks, language {}; experiment {}{name}",
        it.dataset.name,
        of.unwrap_or_default(),
        it.dataset.documents,
        it.dataset.queries,
        it.chunks,
        it.language.as_deref().unwrap_or("unknown"),
        it.id,
    ))?;
    means(it, &SHOWN)?;
    means(it, &SHOWN_OF_SPANS)?;
    let times: Vec<String> = it
        .parts()
        .filter_map(|(name, part)| {
            let at = part.latency()?;
            Some(format!("{name} {:.1}, {:.1}, {:.1}", at.p50, at.p95, at.p99))
        })
        .collect();
    if !times.is_empty() {
        print::line(format_args!("search times in ms (p50, p95, p99): {}", times.join("; ")))?;
    }
    if let Some(part) = it.parts.get(ANSWERS) {
        let mean = |metric: &str| part.means.get(metric).map_or(0.0, |it| it.mean * 100.0);
        let n = |metric: &str| part.means.get(metric).map_or(0, |it| it.n);
        print::line(format_args!(
            "answers: {:.1}% of {} answered; first citation holds the evidence {:.1}%, overlaps it {:.1}%, any citation {:.1}%; {:.1}% of {} unanswerable refused",
            mean("answered"),
            n("answered"),
            mean("first_citation_holds"),
            mean("first_citation_overlaps"),
            mean("any_citation_overlaps"),
            mean("refused"),
            n("refused"),
        ))?;
    }
    Ok(())
}

/// Prints the means of metrics, a line for each mode; the first with its interval.
fn means(it: &Experiment, metrics: &[(&str, &str)]) -> Result<()> {
    let has = |metric: &str| it.parts().any(|(_, part)| part.means.contains_key(metric));
    let mut metrics = metrics.iter().copied().filter(|(metric, _)| has(metric));
    let Some((first, title)) = metrics.next() else { return Ok(()) };
    let others: Vec<(&str, &str)> = metrics.collect();
    let titles = others.iter().map(|(_, title)| *title);
    let mut table = table(["mode", title, "95% interval"].into_iter().chain(titles));
    for (name, part) in it.parts().filter(|(name, _)| *name != ANSWERS) {
        let mean = |metric: &str| part.means.get(metric).map(|it| format!("{:.4}", it.mean));
        let interval = part.means.get(first).map(|it| format!("{:.3} to {:.3}", it.low, it.high));
        let mut row =
            vec![name.to_owned(), mean(first).unwrap_or_default(), interval.unwrap_or_default()];
        row.extend(others.iter().map(|(metric, _)| mean(metric).unwrap_or_default()));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print::line(table.trim_fmt())
}

pub(super) fn table<'a>(titles: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(titles);
    table
}

/// Returns what `--json` prints: means by mode, without the values of single queries.
pub(super) fn to_json(it: &Experiment) -> Value {
    let modes: Map<String, Value> = it
        .parts()
        .filter(|(name, _)| *name != ANSWERS)
        .map(|(name, part)| (name.to_owned(), mode_json(part)))
        .collect();
    let mut document = json!({
        "id": it.id,
        "name": it.name,
        "version": it.version,
        "created_ms": it.created_ms,
        "dataset": it.dataset.name,
        "dataset_digest": it.dataset.digest,
        "documents": it.dataset.documents,
        "queries": it.dataset.queries,
        "chunks": it.chunks,
        "language": it.language,
        "setup": it.setup,
        "setup_digest": it.setup_digest,
        "modes": modes,
    });
    if let Some(subject) = &it.subject {
        document["collection"] = subject.collection.as_str().into();
        document["index_version"] = subject.version.as_str().into();
    }
    if let Some(part) = it.parts.get(ANSWERS) {
        document["answers"] = answers_json(part);
    }
    document
}

fn mode_json(part: &Part) -> Value {
    let mut object = means_json(part);
    if let Some(latency) = part.latency() {
        let latency = json!({ "p50": latency.p50, "p95": latency.p95, "p99": latency.p99 });
        object.insert("latency_ms".to_owned(), latency);
    }
    Value::Object(object)
}

fn answers_json(part: &Part) -> Value {
    let n = |metric: &str| part.means.get(metric).map_or(0, |it| it.n);
    let mut object = Map::new();
    object.insert("answerable".to_owned(), n("answered").into());
    object.insert("unanswerable".to_owned(), n("refused").into());
    object.insert("refused".to_owned(), json!(0.0));
    object.extend(means_json(part));
    Value::Object(object)
}

/// Returns each mean under the name of its metric, and their intervals as `[low, high]` under `intervals`.
fn means_json(part: &Part) -> Map<String, Value> {
    let intervals: Map<String, Value> =
        part.means.iter().map(|(metric, it)| (metric.clone(), json!([it.low, it.high]))).collect();
    let mut object: Map<String, Value> =
        part.means.iter().map(|(metric, it)| (metric.clone(), json!(it.mean))).collect();
    object.insert("intervals".to_owned(), Value::Object(intervals));
    object
}
