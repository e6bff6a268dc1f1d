//! The cross-encoder in `tests/reranker`, made by `tools/tiny-reranker`, against onnxruntime and the suite of its port.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use vellum_core::ErrorKind;
use vellum_core::ports::Reranker;
use vellum_core::testing::reranker::reranker_suite;
use vellum_inference::{LocalReranker, Options};

/// Largest difference of a score from onnxruntime's.
const TOLERANCE: f32 = 1e-3;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reranker")
}

fn open(dir: &Path) -> vellum_core::Result<LocalReranker> {
    LocalReranker::from_dir(dir, Options { workers: 2, ..Options::for_this_machine() })
}

#[derive(Deserialize)]
struct Pair {
    query: String,
    text: String,
    score: f32,
}

#[tokio::test]
async fn scores_are_those_of_onnxruntime() {
    let pairs: Vec<Pair> =
        serde_json::from_slice(&std::fs::read(folder().join("reference.json")).unwrap()).unwrap();
    let reranker = open(&folder()).unwrap();
    for Pair { query, text, score } in &pairs {
        let got = reranker.rerank(query, std::slice::from_ref(text)).await.unwrap()[0];
        assert!((got - score).abs() < TOLERANCE, "{query} / {text:.40}: {got}, not {score}");
    }
    let distinct = pairs.iter().filter(|pair| (pair.score - pairs[0].score).abs() > 0.01).count();
    assert!(distinct * 2 > pairs.len(), "the reference scores tell texts apart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_a_reranker() {
    reranker_suite(&open(&folder()).unwrap()).await;
}

#[tokio::test]
async fn what_is_no_cross_encoder_is_refused() {
    let embedder = Path::new(env!("CARGO_MANIFEST_DIR")).join("model/all-MiniLM-L6-v2");
    let error = open(&embedder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.hint().is_some());
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(open(empty.path()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn one_call_too_many_is_refused() {
    let options = Options { max_calls: 0, ..Options::for_this_machine() };
    let reranker = LocalReranker::from_dir(&folder(), options).unwrap();
    let error = reranker.rerank("q", &["t".to_owned()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
}
