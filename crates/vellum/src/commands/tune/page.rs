//! The report of a study as one page of HTML: nothing is loaded from elsewhere, and it needs no script.

use super::plot::{self, Axes, Mark};
use super::report::{Report, fragment, size, written};
use askama::Template;
use vellum_core::{Error, ErrorKind, Result};

#[derive(Template)]
#[template(path = "tune.html")]
struct Page<'a> {
    it: &'a Report,
    verdict: &'static str,
    sentence: String,
    fragment: Option<String>,
    progress: String,
    latency: String,
    size: String,
    importance: Vec<(String, String)>,
    costs: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    number: usize,
    cells: [String; 5],
    settings: String,
}

/// Returns the page.
///
/// # Errors
/// `Internal` when it cannot be made.
pub(super) fn page(it: &Report) -> Result<String> {
    let winner = it.winner().filter(|(best, ..)| *best > 0);
    let page = Page {
        verdict: it.verdict(),
        sentence: it.sentence(),
        fragment: winner.map(|(_, trial, _)| fragment(&trial.settings)),
        progress: progress(it),
        latency: trade(it, "p95 of a search in ms", |m| m.latency_p95_ms),
        size: trade(it, "index in MiB", |m| m.index_bytes as f64 / 1_048_576.0),
        importance: it
            .importance
            .iter()
            .map(|(path, share)| (path.clone(), format!("{:.0}%", share * 100.0)))
            .collect(),
        costs: it.cost_lines(),
        rows: it
            .ranked()
            .map(|(number, trial)| Row {
                number,
                cells: it.cells(number, trial),
                settings: written(&trial.settings),
            })
            .collect(),
        it,
    };
    page.render()
        .map_err(|error| Error::new(ErrorKind::Internal, "render the report").with_source(error))
}

/// Returns the trials in order with the best so far.
fn progress(it: &Report) -> String {
    let (mut marks, mut line) = (Vec::new(), Vec::new());
    let mut best = f64::NEG_INFINITY;
    for (number, trial, measured) in it.study.finished() {
        best = best.max(measured.value);
        line.push((number as f64, best));
        marks.push(Mark {
            x: number as f64,
            y: measured.value,
            class: class(it, number),
            title: format!("trial {number}: {:.4}; {}", measured.value, written(&trial.settings)),
        });
    }
    let title = format!("{} by trial, and the best so far", it.metric);
    plot::scatter(&Axes { title: &title, x: "trial", y: &it.metric }, &marks, &line)
}

/// Returns the finished trials by quality and a cost.
fn trade(
    it: &Report,
    name: &str,
    cost: impl Fn(&vellum_rag::tune::record::Measured) -> f64,
) -> String {
    let marks: Vec<Mark> = it
        .study
        .finished()
        .map(|(number, trial, measured)| Mark {
            x: cost(measured),
            y: measured.value,
            class: class(it, number),
            title: format!(
                "trial {number}: {:.4}, {:.1} ms, {}; {}",
                measured.value,
                measured.latency_p95_ms,
                size(measured.index_bytes),
                written(&trial.settings)
            ),
        })
        .collect();
    let title = format!("{} and {name}", it.metric);
    plot::scatter(&Axes { title: &title, x: name, y: &it.metric }, &marks, &[])
}

fn class(it: &Report, number: usize) -> &'static str {
    match number {
        0 => "force",
        number if it.front.contains(&number) => "front",
        _ => "other",
    }
}
