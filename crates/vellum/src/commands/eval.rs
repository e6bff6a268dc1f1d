//! `vellum eval`: how well retrieval and answers do on a dataset.
//!
//! The corpus is ingested into a directory of its own that is removed at the end: no collection of the user
//! is touched, and a running server is not in the way.

use crate::args;
use crate::local::local;
use crate::print::{self, Outcome};
use crate::progress;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use vellum_core::access::{Pass, Verb};
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::app::App;
use vellum_rag::eval::dataset::{self, Dataset, Files};
use vellum_rag::eval::run::{self, AnswerScores, Scores};
use vellum_rag::eval::source::{DatasetConverter, DatasetObjects};
use vellum_rag::search::Mode;
use vellum_server::compose::{Parts, assemble};
use vellum_server::config::Config;

/// Passages that answers are drawn from, as `vellum ask` does by default.
const ANSWER_TOP_K: usize = 8;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    dataset: String,
    documents: usize,
    queries: usize,
    chunks: u64,
    language: Option<String>,
    modes: BTreeMap<&'static str, ModeScores>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Answers>,
}

#[derive(Debug, Serialize)]
struct ModeScores {
    ndcg_at_10: f64,
    recall_at_5: f64,
    recall_at_10: f64,
    recall_at_100: f64,
    mrr_at_10: f64,
}

#[derive(Debug, Serialize)]
struct Answers {
    answerable: usize,
    answered: f64,
    first_citation_holds: f64,
    first_citation_overlaps: f64,
    any_citation_overlaps: f64,
    unanswerable: usize,
    refused: f64,
}

pub(crate) async fn eval(config: &Config, args: args::Eval) -> Result<Outcome> {
    let dataset = read(&args.dataset)?;
    let temp = tempfile::Builder::new()
        .prefix("vellum-eval-")
        .tempdir()
        .map_err(|error| Error::io("make a temporary directory", error))?;
    let parts = Parts {
        objects: DatasetObjects::new(&dataset),
        embedder: (local().embedder)(config).await?,
        earlier_embedders: Vec::new(),
        converter: Arc::new(DatasetConverter),
        embeddings: None,
    };
    let app = assemble(config, &local(), temp.path(), parts).await?;
    let name: CollectionName = "eval".parse()?;
    let pass = crate::session::pass(&name, Verb::Write)?;

    let bar = progress::steps_bar(dataset.corpus.len() as u64, "ingesting documents");
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    run::ingest(&app, &pass).await?;
    bar.finish_and_clear();
    let report = measure(&app, &pass, &dataset, &args).await?;
    if args.json.json {
        print::json(&report)?;
    } else {
        tell(&report)?;
    }
    Ok(Outcome::Yes)
}

async fn measure(
    app: &Arc<App>,
    pass: &Pass,
    dataset: &Dataset,
    args: &args::Eval,
) -> Result<Report> {
    let modes = match args.mode {
        None => Mode::ALL.to_vec(),
        Some(mode) => vec![super::search::mode(mode).into()],
    };
    let answerable = dataset.queries.iter().filter(|q| !q.judgements.is_empty()).count();
    let mut scores = BTreeMap::new();
    for (index, mode) in modes.into_iter().enumerate() {
        let bar = progress::steps_bar(answerable as u64, mode.as_str());
        let rankings = run::rank(app, pass, dataset, mode, &|| bar.inc(1)).await?;
        bar.finish_and_clear();
        scores.insert(mode.as_str(), mode_scores(run::score(dataset, &rankings)));
        if let (0, Some(path)) = (index, &args.run) {
            let text = run::trec_run(&rankings, &format!("vellum-{}", mode.as_str()));
            std::fs::write(path, text)
                .map_err(|error| Error::io(format!("write `{}`", path.display()), error))?;
        }
    }
    let mut answers = None;
    if dataset.queries.iter().any(|query| !query.evidence.is_empty()) {
        let bar = progress::steps_bar(dataset.queries.len() as u64, "answers");
        let given = run::ask_all(app, pass, dataset, ANSWER_TOP_K, &|| bar.inc(1)).await?;
        bar.finish_and_clear();
        answers = Some(answer_scores(run::score_answers(dataset, &given)));
    }
    let summary = vellum_rag::collections::summary(app, pass).await?;
    Ok(Report {
        dataset: dataset.name.clone(),
        documents: dataset.corpus.len(),
        queries: answerable,
        chunks: summary.chunks,
        language: summary.collection.sparse.and_then(|sparse| sparse.language),
        modes: scores,
        answers,
    })
}

/// Reads the dataset in `dir`.
fn read(dir: &Path) -> Result<Dataset> {
    let text = |file: &str| {
        let path = dir.join(file);
        std::fs::read_to_string(&path).map_err(|error| {
            Error::io(format!("read `{}`", path.display()), error).with_hint(
                "the dataset must have BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.tsv",
            )
        })
    };
    let spans = match text("spans.jsonl") {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        spans => spans?,
    };
    let files = Files {
        corpus: text("corpus.jsonl")?,
        queries: text("queries.jsonl")?,
        qrels: text("qrels/test.tsv")?,
        spans,
    };
    let canonical = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = canonical.file_name().unwrap_or(canonical.as_os_str()).to_string_lossy();
    dataset::parse(&name, &files).map_err(|error| error.context(dir.display()))
}

fn tell(report: &Report) -> Result<()> {
    print::line(format_args!(
        "{}: {} documents, {} queries, {} chunks, language {}",
        report.dataset,
        report.documents,
        report.queries,
        report.chunks,
        report.language.as_deref().unwrap_or("unknown"),
    ))?;
    print::line(format_args!(
        "{:<8} {:>8} {:>9} {:>10} {:>11} {:>8}",
        "mode", "nDCG@10", "recall@5", "recall@10", "recall@100", "MRR@10"
    ))?;
    for (mode, s) in &report.modes {
        print::line(format_args!(
            "{mode:<8} {:>8.4} {:>9.4} {:>10.4} {:>11.4} {:>8.4}",
            s.ndcg_at_10, s.recall_at_5, s.recall_at_10, s.recall_at_100, s.mrr_at_10
        ))?;
    }
    if let Some(a) = &report.answers {
        print::line(format_args!(
            "answers: {:.1}% of {} answered; first citation holds the evidence {:.1}%, overlaps it {:.1}%, any citation {:.1}%; {:.1}% of {} unanswerable refused",
            a.answered * 100.0,
            a.answerable,
            a.first_citation_holds * 100.0,
            a.first_citation_overlaps * 100.0,
            a.any_citation_overlaps * 100.0,
            a.refused * 100.0,
            a.unanswerable,
        ))?;
    }
    Ok(())
}

/// Rounds for print: differences below a millionth are noise.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn mode_scores(scores: Scores) -> ModeScores {
    ModeScores {
        ndcg_at_10: rounded(scores.ndcg_at_10),
        recall_at_5: rounded(scores.recall_at_5),
        recall_at_10: rounded(scores.recall_at_10),
        recall_at_100: rounded(scores.recall_at_100),
        mrr_at_10: rounded(scores.mrr_at_10),
    }
}

fn answer_scores(scores: AnswerScores) -> Answers {
    Answers {
        answerable: scores.answerable,
        answered: rounded(scores.answered),
        first_citation_holds: rounded(scores.first_citation_holds),
        first_citation_overlaps: rounded(scores.first_citation_overlaps),
        any_citation_overlaps: rounded(scores.any_citation_overlaps),
        unanswerable: scores.unanswerable,
        refused: rounded(scores.refused),
    }
}
