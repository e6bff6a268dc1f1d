//! The embedder behind its port: the conformance suite, determinism under load, folders of files.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vellum_core::ErrorKind;
use vellum_core::ports::{Embedder, TextKind};
use vellum_core::testing::embedder::embedder_suite;
use vellum_inference::{LocalEmbedder, Options};

const OPTIONS: Options = Options { workers: 4, max_calls: 128, max_texts: 32 };

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("model/all-MiniLM-L6-v2")
}

/// Copies `files` of the bundled model into a new folder.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let to = dir.path().join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(model().join(file), to).unwrap();
    }
    dir
}

#[tokio::test]
async fn the_bundled_model_conforms() {
    embedder_suite(&LocalEmbedder::bundled(OPTIONS).unwrap()).await;
}

#[tokio::test]
async fn a_model_folder_conforms_and_gives_the_vectors_of_the_bundled_model() {
    let from_dir = LocalEmbedder::from_dir(&model(), OPTIONS).unwrap();
    embedder_suite(&from_dir).await;
    let bundled = LocalEmbedder::bundled(OPTIONS).unwrap();
    assert_eq!(from_dir.info(), bundled.info());
    let texts = [String::from("the same text")];
    assert_eq!(
        from_dir.embed(&texts, TextKind::Query).await.unwrap(),
        bundled.embed(&texts, TextKind::Query).await.unwrap(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vector_does_not_depend_on_what_is_in_flight() {
    let embedder = Arc::new(LocalEmbedder::bundled(OPTIONS).unwrap());
    let text = [String::from("Which pump feeds the second cooling circuit?")];
    let alone = embedder.embed(&text, TextKind::Query).await.unwrap();

    let others = (0..64).map(|n| {
        let embedder = Arc::clone(&embedder);
        let texts = [format!("text {n} {}", "with more and more words ".repeat(n % 9))];
        tokio::spawn(async move { embedder.embed(&texts, TextKind::Passage).await })
    });
    let others: Vec<_> = others.collect();
    for kind in [TextKind::Query, TextKind::Passage] {
        assert_eq!(embedder.embed(&text, kind).await.unwrap(), alone);
    }
    for other in others {
        other.await.unwrap().unwrap();
    }
}

#[test]
fn tokens_are_counted_beyond_the_limit() {
    let embedder = LocalEmbedder::bundled(OPTIONS).unwrap();
    assert_eq!(embedder.n_tokens(""), 2);
    assert_eq!(embedder.n_tokens("hello world"), 4);
    assert_eq!(embedder.n_tokens(&"hello ".repeat(1000)), 1002);
}

#[test]
fn what_is_wrong_with_a_folder_is_named() {
    let check = |dir: &Path, kind: ErrorKind, word: &str| {
        let error = LocalEmbedder::from_dir(dir, OPTIONS).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.message().contains(word), "{error:?}");
    };
    let empty = folder(&[]);
    check(empty.path(), ErrorKind::NotFound, "`model.onnx` or `onnx/model.onnx`");
    check(folder(&["model.onnx"]).path(), ErrorKind::NotFound, "`tokenizer.json`");

    let dir = folder(&["model.onnx", "tokenizer.json"]);
    fs::write(
        dir.path().join("modules.json"),
        r#"[{"type": "sentence_transformers.models.Dense"}]"#,
    )
    .unwrap();
    check(dir.path(), ErrorKind::Unsupported, "Dense");
    fs::write(dir.path().join("modules.json"), "[]").unwrap();
    fs::create_dir(dir.path().join("1_Pooling")).unwrap();
    let pooling = dir.path().join("1_Pooling/config.json");
    fs::write(&pooling, r#"{"pooling_mode_max_tokens": true}"#).unwrap();
    check(dir.path(), ErrorKind::Unsupported, "max_tokens");
    fs::remove_file(pooling).unwrap();
    fs::write(dir.path().join("tokenizer.json"), "{").unwrap();
    check(dir.path(), ErrorKind::Corrupt, "tokenizer.json");
    fs::write(dir.path().join("model.onnx"), "no model").unwrap();
    check(dir.path(), ErrorKind::Corrupt, "model.onnx");
}

#[test]
fn settings_beside_the_model_decide() {
    let dir = folder(&["model.onnx", "tokenizer.json"]);
    let bare = LocalEmbedder::from_dir(dir.path(), OPTIONS).unwrap();
    assert_eq!((bare.info().dim, bare.info().max_tokens), (384, 512));

    fs::write(dir.path().join("sentence_bert_config.json"), r#"{"max_seq_length": 100}"#).unwrap();
    let prompts = r#"{"prompts": {"query": "query: ", "document": "passage: "}}"#;
    fs::write(dir.path().join("config_sentence_transformers.json"), prompts).unwrap();
    let set = LocalEmbedder::from_dir(dir.path(), OPTIONS).unwrap();
    assert_eq!(set.info().max_tokens, 100);
    assert_eq!(set.n_tokens("hello"), bare.n_tokens("passage: hello"));
    assert_ne!(set.info().digest, bare.info().digest);
}
