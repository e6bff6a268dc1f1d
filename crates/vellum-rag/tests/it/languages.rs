//! Lexical search of one language and of several, on XQuAD: the same paragraphs and questions in each language.
//!
//! Needs `../shared/eval`; without it there is nothing to measure and the test passes.

use crate::world::{World, pass};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use vellum_rag::app::App;
use vellum_rag::eval::dataset::{self, Dataset};
use vellum_rag::eval::experiment::{Plan, measure};
use vellum_rag::eval::run;
use vellum_rag::eval::source::{DatasetConverter, DatasetObjects};
use vellum_rag::search::Mode;

/// Questions of each language: every eighth of 1,190.
const EVERY: usize = 8;
/// Most that a question may lose to the other languages in its collection, in nDCG@10. A translation of the right paragraph has its
/// names and numbers, and counts as wrong.
const MAX_LOSS: f64 = 0.02;

fn folder(language: &str) -> PathBuf {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/eval");
    shared.join(format!("xquad-{language}"))
}

/// Returns the lines of a file with their ids led by the language.
fn named(language: &str, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder(language).join(file)).unwrap();
    let own = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line["_id"] = json!(format!("{language}-{}", line["_id"].as_str().unwrap()));
        line.to_string()
    };
    text.lines().map(own).collect()
}

/// Returns a dataset of the documents of some languages, with questions in one of them.
fn dataset(documents: &[&str], asked: &str) -> (TempDir, Dataset) {
    let dir = tempfile::tempdir().unwrap();
    let write = |file: &str, lines: Vec<String>| {
        std::fs::write(dir.path().join(file), lines.join("\n")).unwrap();
    };
    let corpus = documents.iter().flat_map(|language| named(language, "corpus.jsonl")).collect();
    let queries: Vec<String> = named(asked, "queries.jsonl").into_iter().step_by(EVERY).collect();
    let judgements = std::fs::read_to_string(folder(asked).join("qrels/test.tsv")).unwrap();
    let judgements = judgements.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        format!("{asked}-{}\t{asked}-{}\t{}", fields[0], fields[1], fields[2])
    });
    let is_asked = |line: &String| {
        let query = json!(line.split('\t').next().unwrap()).to_string();
        queries.iter().any(|asked| asked.contains(&query))
    };
    let header = "query-id\tcorpus-id\tscore".to_owned();
    std::fs::create_dir(dir.path().join("qrels")).unwrap();
    write("qrels/test.tsv", std::iter::once(header).chain(judgements.filter(is_asked)).collect());
    write("corpus.jsonl", corpus);
    write("queries.jsonl", queries);
    let dataset = dataset::open(dir.path()).unwrap();
    (dir, dataset)
}

async fn app(dataset: &Dataset, language: Option<&str>) -> Arc<App> {
    let mut app = World::new().product("local");
    app.settings.language = language.map(str::to_owned);
    app.objects = Arc::new(DatasetObjects(dataset.corpus.clone()));
    app.converter = Arc::new(DatasetConverter);
    let app = Arc::new(app);
    run::ingest(&app, &pass()).await.unwrap();
    app
}

async fn ndcg(app: &App, dataset: &Dataset) -> f64 {
    let plan = Plan { modes: vec![Mode::Sparse], cutoffs: vec![10], answers: None };
    let retrieval = &app.settings.retrieval;
    let measured = measure(app, &pass(), dataset, retrieval, &plan, &|_, _, _| {}).await;
    measured.unwrap().0.parts["sparse"].means["ndcg_at_10"].mean
}

#[tokio::test]
async fn several_languages_cost_little() {
    let languages = ["en", "de", "es"];
    if !languages.iter().all(|language| folder(language).is_dir()) {
        println!("skipped: ../shared/eval is not there");
        return;
    }
    let mixed = languages.map(|language| dataset(&languages, language));
    let together = app(&mixed[0].1, None).await;
    let as_english = app(&mixed[0].1, Some("en")).await;
    let settled = vellum_rag::collections::get(&together, &pass()).await.unwrap().sparse.unwrap();
    assert_eq!(settled.others.len(), 2, "{settled:?}");
    let (mut losses, mut gain) = (Vec::new(), 0.0);
    for (language, (_, mixed)) in languages.iter().zip(&mixed) {
        let (_dir, own) = dataset(&[*language], language);
        let alone = ndcg(&*app(&own, None).await, &own).await;
        let (mixed, by_one) = (ndcg(&together, mixed).await, ndcg(&as_english, mixed).await);
        println!(
            "{language}: {alone:.4} alone, {mixed:.4} among three languages, {by_one:.4} by one analyser"
        );
        losses.push((language, alone - mixed));
        gain += mixed - by_one;
    }
    assert!(losses.iter().all(|(_, loss)| *loss <= MAX_LOSS), "{losses:?}");
    assert!(gain > 0.0, "one analyser for all languages would do");
}
