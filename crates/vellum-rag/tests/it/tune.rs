//! The bench of a study over in-memory ports: what trials share, and that they measure what an evaluation measures.

use crate::faults::FaultyVectors;
use crate::world::World;
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::error::{Error, ErrorKind, Result};
use vellum_core::ports::{Embedder, EmbedderInfo, TextKind};
use vellum_core::testing::{HashEmbedder, ManualClock};
use vellum_core::vector::Embedding;
use vellum_rag::app::{App, Settings};
use vellum_rag::eval::dataset::{self, Dataset};
use vellum_rag::eval::experiment::{self, Plan};
use vellum_rag::eval::run;
use vellum_rag::eval::source::{DatasetConverter, DatasetObjects};
use vellum_rag::search::Mode;
use vellum_rag::tune::bench::Bench;
use vellum_rag::tune::parameters::{Assignment, Value};
use vellum_rag::tune::products::{self, Products, Workshop};

/// Stores in memory, each with calls that may fail once it is ingested.
struct Memory {
    dataset: Arc<Dataset>,
    shared: World,
    stores: Mutex<HashMap<String, Arc<AtomicI64>>>,
}

fn number(settings: &Assignment, path: &str) -> Option<f64> {
    match settings.get(path)? {
        Value::Whole(whole) => Some(*whole as f64),
        Value::Number(number) => Some(*number),
        Value::Word(_) | Value::Flag(_) => None,
    }
}

#[async_trait]
impl Workshop for Memory {
    fn index_key(&self, settings: &Assignment) -> Result<String> {
        let tokens = number(settings, "collection.max_tokens").unwrap_or(64.0);
        if tokens > 100.0 {
            return Err(Error::new(ErrorKind::Invalid, "too long"));
        }
        Ok(tokens.to_string())
    }

    async fn open(&self, settings: &Assignment, key: &str) -> Result<Arc<App>> {
        let store = World::new();
        let fuse = Arc::new(AtomicI64::new(-1));
        self.stores.lock().unwrap().insert(key.to_owned(), Arc::clone(&fuse));
        Ok(Arc::new(App {
            objects: Arc::new(DatasetObjects(self.dataset.corpus.clone())),
            converter: Arc::new(DatasetConverter),
            vectors: Arc::new(FaultyVectors { inner: store.vectors.clone(), fuse }),
            embeddings: Some(self.shared.embeddings.clone()),
            settings: self.settings(settings)?,
            ..store.product("tune")
        }))
    }

    fn settings(&self, settings: &Assignment) -> Result<Settings> {
        let mut all = Settings::default();
        all.splitter.max_tokens =
            number(settings, "collection.max_tokens").unwrap_or(64.0) as usize;
        if let Some(weight) = number(settings, "retrieval.dense_weight") {
            all.retrieval.dense_weight = weight as f32;
        }
        if let Some(top_k) = number(settings, "retrieval.top_k") {
            all.retrieval.top_k = top_k as usize;
        }
        if let Some(lambda) = number(settings, "retrieval.mmr_lambda") {
            all.retrieval.mmr_lambda = lambda as f32;
        }
        all.retrieval.mmr = settings.get("retrieval.mmr") == Some(&Value::Flag(true));
        Ok(all)
    }

    fn index_bytes(&self, key: &str) -> Result<u64> {
        Ok(key.len() as u64)
    }
}

/// Short documents, which any size leaves whole, and long ones.
fn dataset() -> (tempfile::TempDir, Arc<Dataset>) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let words = ["valve", "pump", "rotor", "seal", "gauge", "motor"];
    let sentence = |n: usize| format!("The {} of line {n} has {} bar. ", words[n % 6], n * 7 % 31);
    let text = |n: usize| match n % 2 {
        0 => sentence(n),
        _ => (0..12).map(|m| sentence(n * 12 + m)).collect(),
    };
    let line = |n: usize| format!("{{\"_id\":\"d{n}\",\"text\":\"{}\"}}\n", text(n));
    write("corpus.jsonl", (0..12).map(line).collect());
    let query = |n: usize| format!("{{\"_id\":\"q{n}\",\"text\":\"{} line bar\"}}\n", words[n % 6]);
    write("queries.jsonl", (0..12).map(query).collect());
    write("qrels/test.tsv", (0..12).map(|n| format!("q{n}\td{n}\t1\n")).collect());
    let span = |n: usize| {
        let end = sentence(n).len() - 1;
        format!("{{\"query-id\":\"q{n}\",\"corpus-id\":\"d{n}\",\"start\":0,\"end\":{end}}}\n")
    };
    write("spans.jsonl", (0..12).step_by(2).map(span).collect());
    let dataset = Arc::new(dataset::open(dir.path()).unwrap());
    (dir, dataset)
}

fn settings(pairs: &[(&str, Value)]) -> Assignment {
    pairs.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect()
}

fn bench(dataset: &Arc<Dataset>) -> (Arc<Memory>, Products) {
    bench_of(dataset, "ndcg_at_10")
}

fn bench_of(dataset: &Arc<Dataset>, metric: &str) -> (Arc<Memory>, Products) {
    let memory = Arc::new(Memory {
        dataset: Arc::clone(dataset),
        shared: World::new(),
        stores: Mutex::default(),
    });
    let queries = products::measurable(dataset, metric).unwrap();
    let products = Products::new(
        memory.clone(),
        Arc::new(HashEmbedder::default()),
        Arc::new(ManualClock::default()),
        queries,
        metric,
        2,
    );
    (memory, products.unwrap())
}

#[tokio::test]
async fn a_trial_pays_for_what_its_settings_change() {
    let (_dir, dataset) = dataset();
    let (_, bench) = bench(&dataset);
    let all: Vec<usize> = (0..12).collect();
    let first = bench.open(&Assignment::new()).await.unwrap();
    assert_eq!(first.index().embedded, first.index().chunks);
    assert!(first.index().made_s.is_some());
    let values = first.values(&all).await.unwrap();

    let light = settings(&[("retrieval.dense_weight", Value::Number(0.0))]);
    let second = bench.open(&light).await.unwrap();
    assert_eq!((second.index().made_s, second.index().embedded), (None, 0));
    let lexical = second.values(&all).await.unwrap();
    assert_ne!(values, lexical);

    // Other chunks: short documents are whole as before.
    let short = settings(&[("collection.max_tokens", Value::Whole(24))]);
    let third = bench.open(&short).await.unwrap().index();
    assert!(third.made_s.is_some());
    assert!((1..third.chunks).contains(&third.embedded), "{third:?}");
    assert!(third.chunks > first.index().chunks);

    let long = settings(&[("collection.max_tokens", Value::Whole(200))]);
    assert_eq!(bench.accepts(&long).unwrap_err().kind(), ErrorKind::Invalid);
}

/// An embedder that counts the texts whose tokens were asked for.
struct Counting(HashEmbedder, AtomicUsize);

#[async_trait]
impl Embedder for Counting {
    fn info(&self) -> &EmbedderInfo {
        self.0.info()
    }

    async fn embed(&self, texts: &[String], kind: TextKind) -> Result<Vec<Embedding>> {
        self.0.embed(texts, kind).await
    }

    fn n_tokens(&self, text: &str) -> usize {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.n_tokens(text)
    }

    async fn check(&self) -> Result<()> {
        self.0.check().await
    }
}

#[tokio::test]
async fn what_ways_to_cut_have_in_common_is_counted_once() {
    let (_dir, dataset) = dataset();
    let memory =
        Memory { dataset: Arc::clone(&dataset), shared: World::new(), stores: Mutex::default() };
    let embedder = Arc::new(Counting(HashEmbedder::default(), AtomicUsize::new(0)));
    let queries = products::measurable(&dataset, "ndcg_at_10").unwrap();
    let clock = Arc::new(ManualClock::default());
    let bench =
        Products::new(Arc::new(memory), embedder.clone(), clock, queries, "ndcg_at_10", 2).unwrap();
    let counted = async |tokens| {
        let before = embedder.1.load(Ordering::Relaxed);
        let settings = settings(&[("collection.max_tokens", Value::Whole(tokens))]);
        bench.open(&settings).await.unwrap();
        embedder.1.load(Ordering::Relaxed) - before
    };
    let (first, second) = (counted(64).await, counted(48).await);
    assert!(second > 0 && second * 2 < first, "the sentences are known: {first} {second}");
}

#[tokio::test]
async fn stores_are_made_once_by_trials_that_come_together() {
    let (_dir, dataset) = dataset();
    let (memory, bench) = bench(&dataset);
    let weights =
        (0..8).map(|n| settings(&[("retrieval.dense_weight", Value::Number(f64::from(n)))]));
    let weights: Vec<Assignment> = weights.collect();
    let stands = futures::future::join_all(weights.iter().map(|weight| bench.open(weight))).await;
    let made = stands.iter().filter(|stand| stand.as_ref().unwrap().index().made_s.is_some());
    assert_eq!(made.count(), 1);
    assert_eq!(memory.stores.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_trial_measures_what_an_evaluation_measures() {
    let (_dir, dataset) = dataset();
    let (memory, bench) = bench(&dataset);
    let weight = settings(&[("retrieval.dense_weight", Value::Number(0.25))]);
    let all: Vec<usize> = (0..12).collect();
    let stand = bench.open(&weight).await.unwrap();
    let values = stand.values(&all).await.unwrap();
    assert_eq!(stand.values(&all).await.unwrap(), values, "and again what is remembered");

    let app = memory.open(&weight, "other").await.unwrap();
    let pass = Pass::grant(&Principal::Owner, &"eval".parse().unwrap(), Verb::Write).unwrap();
    run::ingest(&app, &pass).await.unwrap();
    let plan = Plan { modes: vec![Mode::Hybrid], cutoffs: vec![10], answers: None };
    let retrieval = app.settings.retrieval;
    let measured =
        experiment::measure(&app, &pass, &dataset, &retrieval, &plan, &|_, _, _| {}).await.unwrap();
    let expect = &measured.0.parts["hybrid"].values["ndcg_at_10"];
    for (value, expect) in values.iter().zip(expect) {
        assert!((value - expect.unwrap()).abs() < 1e-6, "{values:?} {expect:?}");
    }
}

#[tokio::test]
async fn what_answers_are_made_from_depends_on_how_many_and_how_diverse() {
    let (_dir, dataset) = dataset();
    let (_, bench) = bench_of(&dataset, "evidence_recall_at_top_k");
    let all: Vec<usize> = (0..6).collect();
    let values = async |bench: &Products, pairs: &[(&str, Value)]| {
        let stand = bench.open(&settings(pairs)).await.unwrap();
        assert!(stand.latency_p95_ms().await.unwrap() >= 0.0);
        stand.values(&all).await.unwrap()
    };
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    let top_k = |k| ("retrieval.top_k", Value::Whole(k));
    assert_eq!(values(&bench, &[top_k(1_000)]).await, [1.0; 6], "all passages hold all evidence");
    let precise = bench_of(&dataset, "evidence_precision_at_top_k").1;
    let (few, many) =
        (values(&precise, &[top_k(2)]).await, values(&precise, &[top_k(1_000)]).await);
    assert!(sum(&many) < sum(&few), "and much else: {few:?} {many:?}");

    let lambda = ("retrieval.mmr_lambda", Value::Number(0.0));
    let mmr = |on| ("retrieval.mmr", Value::Flag(on));
    let by_relevance = values(&precise, &[top_k(4), mmr(false)]).await;
    let diverse = values(&precise, &[top_k(4), lambda.clone()]).await;
    assert_ne!(by_relevance, diverse, "answers are diverse unless somebody says otherwise");
    assert_eq!(values(&precise, &[top_k(4), mmr(true), lambda]).await, diverse);
    for metric in ["ndcg_at_top_k", "evidence_recall_at_topk"] {
        let error = products::measurable(&dataset, metric).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{metric}");
    }
}
