//! What came of a study, as text and as JSON.

use super::{Material, workshop};
use crate::args;
use crate::print;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use vellum_core::Result;
use vellum_rag::eval::stats::Paired;
use vellum_rag::tune::parameters::{Assignment, Value as Setting};
use vellum_rag::tune::record::{End, Measured, Study, Trial};
use vellum_rag::tune::study::Plan;
use vellum_rag::tune::summary::{self, TrialCost};
use vellum_server::config::Resolved;

/// Trials in the table for people; `--json` and `--report` have all.
const SHOWN: usize = 15;

/// A study that is over, with what it is told beside.
pub(super) struct Report {
    pub(super) study: Study,
    pub(super) id: String,
    pub(super) dataset: String,
    pub(super) n_documents: usize,
    pub(super) n_seen: usize,
    pub(super) n_held_out: usize,
    pub(super) metric: String,
    pub(super) algorithm: String,
    seed: u64,
    pub(super) front: Vec<usize>,
    pub(super) importance: Vec<(String, f64)>,
    pub(super) cost: TrialCost,
    /// Values in force of the parameters that were searched.
    pub(super) in_force: Vec<(String, String)>,
    took: Duration,
}

impl Report {
    pub(super) fn new(
        settings: &Resolved,
        args: &args::Tune,
        material: &Material,
        plan: &Plan,
        study: &Study,
        took: Duration,
    ) -> Self {
        let paths: BTreeSet<&str> =
            plan.space.dimensions.iter().map(|dimension| dimension.parameter.path).collect();
        Self {
            front: summary::front(study),
            importance: summary::importance(study),
            cost: TrialCost::of(study),
            study: study.clone(),
            id: plan.identity.id(),
            dataset: material.dataset.name.clone(),
            n_documents: material.dataset.corpus.len(),
            n_seen: plan.queries.seen.len(),
            n_held_out: plan.queries.held_out.len(),
            metric: args.metric.clone(),
            algorithm: plan.identity.algorithm.to_string(),
            seed: args.seed,
            in_force: workshop::in_force(settings, paths),
            took,
        }
    }

    /// Returns the winner with its comparison.
    pub(super) fn winner(&self) -> Option<(usize, &Trial, &Paired)> {
        let (best, paired) = self.study.confirmed.as_ref()?;
        Some((*best, self.study.trials.get(*best)?, paired))
    }

    /// Returns `better`, `worse` or `undecided`: what the queries that were held out say of the winner.
    pub(super) fn verdict(&self) -> &'static str {
        self.winner().map_or("undecided", |(_, _, paired)| verdict(paired))
    }

    /// Returns what the held-out queries say, in words.
    pub(super) fn sentence(&self) -> String {
        sentence(&self.study, &self.metric)
    }

    /// Returns what trials cost, in words; a line for each kind.
    pub(super) fn cost_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let TrialCost { ingest, chunking, n_chunking, retrieval, n_retrieval } = self.cost;
        if let Some((seconds, share)) = ingest {
            lines.push(format!(
                "full ingest {seconds:.2} s, {:.0}% of the chunks embedded",
                share * 100.0
            ));
        }
        let part = |seconds: f64| match ingest {
            // A ratio to an ingest that found its embeddings made would flatter nobody.
            Some((full, share)) if share > 0.95 && seconds > 0.0 => {
                format!(" (1/{:.0} of the full ingest)", full / seconds)
            }
            _ => String::new(),
        };
        if let Some((seconds, share)) = chunking {
            lines.push(format!(
                "trial that changes chunking {seconds:.2} s{}, {:.0}% of its chunks embedded (median of {n_chunking})",
                part(seconds),
                share * 100.0
            ));
        }
        if let Some(seconds) = retrieval {
            lines.push(format!(
                "trial that changes retrieval only {seconds:.3} s{} (median of {n_retrieval})",
                part(seconds)
            ));
        }
        lines
    }

    /// Prints the study for people.
    pub(super) fn tell(&self) -> Result<()> {
        print::line(format_args!(
            "{}: {} documents, {} queries to search with, {} held out; {} by {}, study {}",
            self.dataset,
            self.n_documents,
            self.n_seen,
            self.n_held_out,
            self.metric,
            self.algorithm,
            self.id
        ))?;
        let mut table = table(["trial", "", &self.metric, "p95 ms", "index", "s", "settings"]);
        for (number, trial) in self.ranked().take(SHOWN) {
            let [state, value, latency, size, seconds] = self.cells(number, trial);
            table.add_row([
                number.to_string(),
                state,
                value,
                latency,
                size,
                seconds,
                written(&trial.settings),
            ]);
        }
        for column in table.column_iter_mut().skip(2).take(4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        print::line(table.trim_fmt())?;
        let left = self.study.trials.len().saturating_sub(SHOWN);
        if left > 0 {
            print::line(format_args!("{left} more; `--json` and `--report` have all"))?;
        }
        print::line("* no other trial is at once as good, as fast and as small")?;
        if !self.importance.is_empty() {
            let shares = self.importance.iter();
            let shares: Vec<String> =
                shares.map(|(path, share)| format!("{path} {:.0}%", share * 100.0)).collect();
            print::line(format_args!(
                "\nwhat explains the differences, each by itself: {}",
                shares.join(", ")
            ))?;
        }
        for line in self.cost_lines() {
            print::line(format_args!("trial cost: {line}"))?;
        }
        print::line(format_args!("\n{}", self.sentence()))?;
        if let Some((best, trial, _)) = self.winner()
            && best > 0
        {
            print::line(format_args!(
                "\n# trial {best}, for vellum.toml\n{}",
                fragment(&trial.settings)
            ))?;
        }
        Ok(())
    }

    /// Returns the trials, finished ones first, best first.
    pub(super) fn ranked(&self) -> impl Iterator<Item = (usize, &Trial)> {
        let mut trials: Vec<(usize, &Trial)> = self.study.trials.iter().enumerate().collect();
        let value = |trial: &Trial| trial.measured().map_or(f64::NEG_INFINITY, |m| m.value);
        trials.sort_by(|a, b| value(b.1).total_cmp(&value(a.1)).then(a.0.cmp(&b.0)));
        trials.into_iter()
    }

    /// Returns state, value, latency, size and seconds of a trial.
    pub(super) fn cells(&self, number: usize, trial: &Trial) -> [String; 5] {
        let seconds = trial.cost().map(|cost| cost.index_s.unwrap_or_default() + cost.queries_s);
        let seconds = seconds.map(|seconds| format!("{seconds:.2}")).unwrap_or_default();
        let none = String::new;
        match &trial.end {
            Some(End::Done(Measured { value, latency_p95_ms, index_bytes, .. })) => {
                let mark = if self.front.contains(&number) { "*" } else { "" };
                [
                    mark.to_owned(),
                    format!("{value:.4}"),
                    format!("{latency_p95_ms:.1}"),
                    size(*index_bytes),
                    seconds,
                ]
            }
            Some(End::Stopped { value, .. }) => {
                ["stopped".to_owned(), format!("{value:.4}"), none(), none(), seconds]
            }
            Some(End::Failed { .. }) => ["failed".to_owned(), none(), none(), none(), none()],
            None => ["".to_owned(), none(), none(), none(), none()],
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let trials: Vec<Value> =
            self.study.trials.iter().enumerate().map(|(n, trial)| trial_json(n, trial)).collect();
        let best = self.winner().map(|(best, trial, _)| {
            json!({
                "trial": best,
                "settings": trial.settings,
                "value": trial.measured().map(|measured| measured.value),
                "toml": fragment(&trial.settings),
            })
        });
        let held_out = self.winner().map(|(_, _, paired)| {
            json!({
                "verdict": self.verdict(),
                "confirmed": paired.is_better(),
                "in_force": paired.a,
                "best": paired.b,
                "difference": paired.difference,
                "low": paired.low,
                "high": paired.high,
                "p": paired.p,
                "queries": paired.n,
            })
        });
        let importance: Map<String, Value> =
            self.importance.iter().map(|(path, share)| (path.clone(), json!(share))).collect();
        let cost = &self.cost;
        json!({
            "study": self.id,
            "dataset": self.dataset,
            "documents": self.n_documents,
            "queries": { "search": self.n_seen, "held_out": self.n_held_out },
            "metric": self.metric,
            "algorithm": self.algorithm,
            "seed": self.seed,
            "trials": trials,
            "best": best,
            "held_out": held_out,
            "pareto": self.front,
            "importance": importance,
            "trial_cost": {
                "full_ingest_s": cost.ingest.map(|(seconds, _)| seconds),
                "full_ingest_embedded": cost.ingest.map(|(_, share)| share),
                "chunking_s": cost.chunking.map(|(seconds, _)| seconds),
                "chunking_embedded": cost.chunking.map(|(_, share)| share),
                "chunking_trials": cost.n_chunking,
                "retrieval_s": cost.retrieval,
                "retrieval_trials": cost.n_retrieval,
            },
            "elapsed_s": self.took.as_secs_f64(),
        })
    }
}

fn verdict(paired: &Paired) -> &'static str {
    match paired {
        paired if paired.is_better() => "better",
        paired if paired.is_worse() => "worse",
        _ => "undecided",
    }
}

/// Returns what the held-out queries say of the winner of a study, in words.
pub(super) fn sentence(study: &Study, metric: &str) -> String {
    let Some((best, paired)) = &study.confirmed else { return String::new() };
    if *best == 0 {
        return "No trial found more than the settings in force.".to_owned();
    }
    let found = format!(
        "on {} queries held out, {metric} {:.4} -> {:.4} ({:+.4}, 95% interval {:+.4} to {:+.4}, p = {:.4})",
        paired.n, paired.a, paired.b, paired.difference, paired.low, paired.high, paired.p
    );
    match verdict(paired) {
        "better" => format!("Trial {best} is better: {found}."),
        "worse" => {
            format!("Trial {best} is worse than the settings in force: {found}; keep those.")
        }
        _ => format!("Undecided whether trial {best} is better: {found}; that may be chance."),
    }
}

fn trial_json(number: usize, trial: &Trial) -> Value {
    let mut object = json!({ "trial": number, "settings": trial.settings });
    match &trial.end {
        Some(End::Done(measured)) => {
            object["state"] = json!("done");
            object["value"] = json!(measured.value);
            object["latency_p95_ms"] = json!(measured.latency_p95_ms);
            object["index_bytes"] = json!(measured.index_bytes);
            object["chunks"] = json!(measured.chunks);
        }
        Some(End::Stopped { value, queries, .. }) => {
            object["state"] = json!("stopped");
            object["value"] = json!(value);
            object["queries"] = json!(queries);
        }
        Some(End::Failed { reason }) => {
            object["state"] = json!("failed");
            object["reason"] = json!(reason);
        }
        None => object["state"] = json!("running"),
    }
    if let Some(cost) = trial.cost() {
        object["cost"] = json!(cost);
    }
    object
}

/// Returns settings on one line.
pub(super) fn written(settings: &Assignment) -> String {
    if settings.is_empty() {
        return "in force".to_owned();
    }
    let each: Vec<String> =
        settings.iter().map(|(path, value)| format!("{path}={value}")).collect();
    each.join(" ")
}

/// Returns settings as they stand in a `vellum.toml`.
pub(super) fn fragment(settings: &Assignment) -> String {
    let mut text = String::new();
    let mut open = None;
    for (path, value) in settings {
        let (section, key) = path.split_once('.').unwrap_or(("", path));
        if open != Some(section) {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&format!("[{section}]\n"));
            open = Some(section);
        }
        let value = match value {
            Setting::Word(word) => format!("{word:?}"),
            // A whole number is no number to TOML.
            Setting::Number(number) => format!("{number:?}"),
            Setting::Whole(_) | Setting::Flag(_) => value.to_string(),
        };
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}

fn table<'a>(titles: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(titles);
    table
}

/// Returns a size for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_toml() {
        let settings: Assignment = [
            ("retrieval.fusion", Setting::Word("rank".to_owned())),
            ("retrieval.dense_weight", Setting::Number(1.0)),
            ("collection.max_tokens", Setting::Whole(128)),
        ]
        .map(|(path, value)| (path.to_owned(), value))
        .into();
        let text = fragment(&settings);
        assert_eq!(
            text,
            "[collection]\nmax_tokens = 128\n\n[retrieval]\ndense_weight = 1.0\nfusion = \"rank\"\n"
        );
        assert!(text.parse::<toml::Table>().is_ok());
    }
}
