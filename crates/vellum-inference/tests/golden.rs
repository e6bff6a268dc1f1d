//! The bundled model against fp32: vectors of 100 texts, and the ranking of a public data set.
//!
//! `tests/golden/` was made by `tools/export-minilm/reference.py`. The data set is not part of the
//! repository; without it the ranking test says so and passes.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use serde::Deserialize;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use vellum_core::ports::{Embedder, TextKind};
use vellum_core::vector::Embedding;
use vellum_inference::{LocalEmbedder, Options};

const MIN_MEAN_COSINE: f64 = 0.98;
const MIN_COSINE: f64 = 0.95;
const MAX_NDCG_GAP: f64 = 0.005;
const XQUAD: &str = "../shared/eval/xquad-en";

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "_id", default)]
    id: String,
    text: String,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn rows(path: &Path) -> Vec<Row> {
    let lines = fs::read_to_string(path).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| row.text.clone()).collect()
}

fn bundled() -> LocalEmbedder {
    LocalEmbedder::bundled(Options::for_this_machine()).unwrap()
}

#[tokio::test]
async fn vectors_are_close_to_fp32() {
    let embedder = bundled();
    let texts = texts(&rows(&golden("texts.jsonl")));
    let reference: Vec<f32> = fs::read(golden("vectors.f32"))
        .unwrap()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    let dim = embedder.info().dim;
    assert_eq!(reference.len(), texts.len() * dim);

    let vectors = embedder.embed(&texts, TextKind::Passage).await.unwrap();
    let cosines: Vec<f64> = vectors
        .into_iter()
        .zip(reference.chunks_exact(dim))
        .map(|(ours, fp32)| f64::from(ours.cosine(&Embedding::normalised(fp32.into()).unwrap())))
        .collect();
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    let (worst, least) = cosines.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    println!("cosine to fp32: mean {mean:.4}, least {least:.4} (text {worst})");
    assert!(mean >= MIN_MEAN_COSINE, "mean cosine {mean}");
    assert!(*least >= MIN_COSINE, "cosine {least} of {:?}", texts[worst]);
}

#[tokio::test]
async fn ranking_is_as_good_as_fp32() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(XQUAD);
    if !folder.is_dir() {
        println!("skipped: no data set at `{XQUAD}` (relative to the workspace)");
        return;
    }
    let reference: serde_json::Value =
        serde_json::from_slice(&fs::read(golden("reference.json")).unwrap()).unwrap();
    let expect = reference["xquad_en"]["ndcg_at_10"].as_f64().unwrap();

    let (corpus, queries) =
        (rows(&folder.join("corpus.jsonl")), rows(&folder.join("queries.jsonl")));
    let qrels = fs::read_to_string(folder.join("qrels/test.tsv")).unwrap();
    let wanted: HashMap<&str, &str> = qrels
        .lines()
        .skip(1)
        .map(|line| {
            let mut columns = line.split('\t');
            (columns.next().unwrap(), columns.next().unwrap())
        })
        .collect();

    let embedder = bundled();
    let passages = embedder.embed(&texts(&corpus), TextKind::Passage).await.unwrap();
    let questions = embedder.embed(&texts(&queries), TextKind::Query).await.unwrap();
    // One relevant paragraph per question, so the ideal gain is 1.
    let total: f64 = queries
        .iter()
        .zip(&questions)
        .map(|(query, question)| {
            let wanted = corpus.iter().position(|p| p.id == wanted[query.id.as_str()]).unwrap();
            let score = question.cosine(&passages[wanted]);
            let rank = passages.iter().filter(|p| question.cosine(p) > score).count();
            if rank < 10 { 1.0 / (rank as f64 + 2.0).log2() } else { 0.0 }
        })
        .sum();
    let ndcg = total / queries.len() as f64;
    println!("nDCG@10: int8 {ndcg:.4}, fp32 {expect:.4}");
    assert!((ndcg - expect).abs() <= MAX_NDCG_GAP, "int8 {ndcg}, fp32 {expect}");
}
